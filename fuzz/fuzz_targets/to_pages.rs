#![no_main]
//! See `cases/to_pages.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("to_pages", data));
