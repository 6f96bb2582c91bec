#![no_main]
//! See `cases/ledger.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("ledger", data));
