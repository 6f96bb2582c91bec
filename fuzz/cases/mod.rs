//! What is fed with bytes from outside, one case per door of the two programs.
//!
//! Owns: the table of cases, shared by the fuzz targets (`make fuzz`) and by `tests/world/fuzz_slice.rs`. A case
//! takes any bytes and panics when a promise is broken; it keeps no state that the next call can see.
//! What a run finds (`fuzz/artifacts/<case>/…`) is kept as `fuzz/finds/<case>/<what it was>`: the slice feeds it
//! again for ever. Never does: mutate; the fuzzer and the slice do that.
#![allow(dead_code, clippy::disallowed_methods)]

mod clip_file;
mod config;
mod control_socket;
mod ledger;
mod memory_disk;
mod prompt;
mod script;
mod sealed_clip;
mod spool_state;
mod to_booth;
mod to_hub;
mod to_pages;
mod update_manifest;

/// One door.
pub struct Case {
    /// Name of the fuzz target.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Good inputs to begin from, always in today's format.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All doors.
pub const CASES: &[Case] = &[
    Case {
        name: "clip_file",
        run: clip_file::run,
        seeds: clip_file::seeds,
    },
    Case {
        name: "ledger",
        run: ledger::run,
        seeds: ledger::seeds,
    },
    Case {
        name: "to_booth",
        run: to_booth::run,
        seeds: to_booth::seeds,
    },
    Case {
        name: "to_hub",
        run: to_hub::run,
        seeds: to_hub::seeds,
    },
    Case {
        name: "config",
        run: config::run,
        seeds: config::seeds,
    },
    Case {
        name: "control_socket",
        run: control_socket::run,
        seeds: control_socket::seeds,
    },
    Case {
        name: "prompt",
        run: prompt::run,
        seeds: prompt::seeds,
    },
    Case {
        name: "sealed_clip",
        run: sealed_clip::run,
        seeds: sealed_clip::seeds,
    },
    Case {
        name: "to_pages",
        run: to_pages::run,
        seeds: to_pages::seeds,
    },
    Case {
        name: "update_manifest",
        run: update_manifest::run,
        seeds: update_manifest::seeds,
    },
];

/// Feeds one case.
pub fn run(name: &str, data: &[u8]) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("there is no case {name}"));
    (case.run)(data);
}
