#![no_main]
//! See `cases/control_socket.rs`.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cases::run("control_socket", data));
