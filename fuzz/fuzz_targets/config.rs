#![no_main]
//! See `cases/config.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("config", data));
