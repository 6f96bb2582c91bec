#![no_main]
//! See `cases/sealed_clip.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("sealed_clip", data));
