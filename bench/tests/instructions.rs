//! Decoding stays as cheap as it was.

use std::process::Command;

#[test]
fn decoding_costs_no_more_instructions_than_its_budget() {
    let counted = Command::new(env!("CARGO_BIN_EXE_bench")).arg("instructions").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&counted.stdout), String::from_utf8_lossy(&counted.stderr));
    assert!(counted.status.success(), "{out}{err}");
}
