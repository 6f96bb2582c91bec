#![no_main]
//! See `cases/to_hub.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("to_hub", data));
