#![no_main]

#[path = "../../tests/fuzz/block.rs"]
mod block;
#[path = "../../tests/fuzz/choices.rs"]
mod choices;
#[path = "../../tests/fuzz/native.rs"]
mod native;
#[path = "../../tests/fuzz/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    block::run(input);
});
