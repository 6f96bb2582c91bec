#![no_main]
//! See `cases/prompt.rs`. A panic of the decoding library is an error of ours there; libFuzzer's own hook would end the run before.

#[path = "../cases/mod.rs"]
mod cases;

libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|panic| {
        let is_foreign = panic.location().is_some_and(|at| at.file().contains("symphonia"));
        if !is_foreign {
            eprintln!("{panic}");
        }
    })),
    |data: &[u8]| cases::run("prompt", data)
);
