//! Every target: the one that bears the name of the binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::run(env!("CARGO_BIN_NAME"), bytes));
