#![no_main]
//! See `cases/update_manifest.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("update_manifest", data));
