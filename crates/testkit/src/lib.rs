//! What tests, benches and campaigns share: real components on free ports, models of a card and of a whole booth, and waiting
//! for an event instead of sleeping.
//!
//! Only a dev-dependency: no product is built with it. A module panics where a test would; those of the campaigns
//! (`programs`, `kills`, `drain`, `refusals`, `crash_*`) answer with a sentence.
#![allow(clippy::disallowed_methods)] // it starts programs, writes files, waits

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub use booth_stage::{city, files, program, pulse, screen, session, speech, stage, visit, wait};

pub mod alike;
pub mod backlog;
pub mod blockdev;
pub mod browser;
pub mod card_reader;
pub mod centre;
pub mod city_broker;
pub mod city_year;
pub mod comparison;
pub mod contacts;
pub mod crash_booth;
pub mod crash_centre;
pub mod crash_image;
pub mod crash_record;
pub mod crash_states;
pub mod drain;
pub mod fleet_watch;
pub mod flush_control;
pub mod gateway;
pub mod glass;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
// it traps on registers by x86's single step
pub mod gpio_kernel;
pub mod http_server;
pub mod hub;
pub mod hub_program;
pub mod idle;
pub mod kills;
pub mod lawful;
pub mod ledger_card;
pub mod look;
pub mod machine_clock;
pub mod model_card;
pub mod model_disk;
pub mod mounting;
pub mod power_cuts;
pub mod programs;
pub mod promises;
pub mod prompts;
pub mod proxy;
pub mod raw_mqtt;
pub mod refusals;
pub mod schemas;
pub mod searched;
pub mod speaking;
pub mod spool_rig;
pub mod staff;
pub mod stalls;
pub mod threads;
pub mod turns;
pub mod usb_stick;
pub mod words;
pub mod workers;
pub mod world;
pub mod zoo;

/// The repository that this crate lies in.
pub fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("crates, repository")
}

/// Where cargo has put the programs of this profile: two folders above a test or an example.
pub fn programs_folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let own = std::env::current_exe().expect("this program");
        own.ancestors().nth(2).expect("deps, profile").to_owned()
    });
    &FOLDER
}

/// The gateway's program: the one that `GATEWAY_PROGRAM` names, as in `make bench`, or the one that cargo builds before the tests and
/// benches of its package.
pub fn gateway_program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let named = std::env::var_os("GATEWAY_PROGRAM").map(PathBuf::from);
        named.unwrap_or_else(|| programs_folder().join("booth-gateway"))
    });
    &PROGRAM
}

/// A folder below cargo's target folder, on a real disk where the system's temporary folder may be in memory.
pub fn temporary() -> PathBuf {
    let folder = programs_folder().parent().expect("target").join("tmp");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
