#![no_main]
//! See `cases/to_booth.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("to_booth", data));
