#![no_main]
#![allow(dead_code, reason = "the modules are those of the tests")]

#[path = "../../tests/fuzz/decode.rs"]
mod decode;
#[path = "../../tests/fuzz/native.rs"]
mod native;
#[path = "../../tests/fuzz/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    decode::run(input);
});
