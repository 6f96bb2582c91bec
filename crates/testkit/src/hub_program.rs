//! Where the hub's program is.
//!
//! It belongs to another package, and cargo builds a package's programs for that package's own tests alone: `cargo test` of
//! everything has built it, `cargo test --test pages` has not, or has left an old one.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

use super::repository;

/// The hub's program of the same profile, built from the sources as they are.
pub fn hub_program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let own = std::env::current_exe().expect("this program");
        let folder = own.ancestors().nth(2).expect("target, profile, deps");
        let program = folder.join("booth-hub");
        if !is_fresh(&program) {
            build(folder);
        }
        program
    });
    &PROGRAM
}

fn is_fresh(program: &Path) -> bool {
    let made = program.metadata().and_then(|about| about.modified());
    let crates = repository().join("crates");
    let sources = [
        "audio",
        "city",
        "contract",
        "gateway-core",
        "host",
        "hub",
        "sealing",
    ];
    let sources = sources.map(|name| newest(&crates.join(name)));
    made.is_ok_and(|made| sources.into_iter().all(|changed| changed < made))
}

/// When a file below this folder was changed last.
fn newest(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).expect("a folder of sources");
    let times = entries.map(|entry| {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("a kind").is_dir() {
            true => newest(&entry.path()),
            false => entry
                .metadata()
                .and_then(|about| about.modified())
                .expect("a time"),
        }
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn build(folder: &Path) {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("release") => "release",
        _ => "dev",
    };
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo has told this program of its own package would make it build other packages anew: their build scripts ask for it.
    for (name, _) in std::env::vars_os() {
        let is_of_package = name.to_str().is_some_and(|name| {
            let of = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
            ];
            of.iter().any(|begin| name.starts_with(begin))
        });
        if is_of_package {
            cargo.env_remove(name);
        }
    }
    let built = cargo
        .args(["build", "--package", "booth-hub", "--profile", profile])
        .env("CARGO_TARGET_DIR", folder.parent().expect("target"))
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "the hub is not built: {said}");
}
