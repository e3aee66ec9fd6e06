//! Writes the resource definition anew: `crds/` and the chart's copy.

use std::path::Path;
use std::process::ExitCode;

use caudal_model::resource::crd;

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, text) in crd::generated_files() {
        if let Err(error) = std::fs::write(root.join(path), text) {
            eprintln!("write {path}: {error}");
            return ExitCode::FAILURE;
        }
        println!("{path}");
    }
    ExitCode::SUCCESS
}
