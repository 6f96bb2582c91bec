#![no_main]
//! See `cases/clip_file.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("clip_file", data));
