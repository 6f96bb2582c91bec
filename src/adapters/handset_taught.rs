//! The hook's resting level as a technician taught it: one small file on the card.
//!
//! Owns: that file. It says at which level the handset is off its hook, and counts instead of `hook.off_hook` of
//! booth.toml until that says the same, so that a corrected configuration makes it void. Never does: fail a start; a file
//! that makes no sense is as good as none.
#![allow(clippy::disallowed_methods)] // owns a file

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::config::Level;

/// Of the file, bytes.
const LONGEST: u64 = 64;

fn name(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::High => "high",
    }
}

/// Whether the hook is to be read the other way round than configured.
pub fn is_inverted(file: &Path, configured: Level) -> bool {
    // A pipe would keep the handset's thread waiting for ever, a link lead to something without end.
    match fs::symlink_metadata(file) {
        Err(_) => return false,
        Ok(facts) if facts.is_file() && facts.len() <= LONGEST => {}
        Ok(_) => {
            log::warn!("{}: makes no sense and is ignored", file.display());
            return false;
        }
    }
    let Ok(text) = fs::read_to_string(file) else {
        return false;
    };
    match text.trim() {
        "off_hook = \"low\"" => configured == Level::High,
        "off_hook = \"high\"" => configured == Level::Low,
        _ => {
            log::warn!("{}: makes no sense and is ignored", file.display());
            false
        }
    }
}

/// Keeps it through a power cut: write, fsync, rename, fsync of the folder.
pub fn keep(file: &Path, configured: Level, inverted: bool) -> Result<(), String> {
    let level = match (configured, inverted) {
        (level, false) => level,
        (Level::Low, true) => Level::High,
        (Level::High, true) => Level::Low,
    };
    let write = || {
        let new = file.with_extension("new");
        // What an earlier try left, or what is none of ours.
        let _ = fs::remove_file(&new);
        let mut out = File::create(&new)?;
        writeln!(out, "off_hook = \"{}\"", name(level))?;
        out.sync_all()?;
        fs::rename(&new, file)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taught_is_known_at_the_next_start_and_rubbish_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hook");
        assert!(!is_inverted(&file, Level::Low));
        for (configured, inverted) in [
            (Level::Low, true),
            (Level::High, false),
            (Level::High, true),
            (Level::Low, false),
        ] {
            keep(&file, configured, inverted).expect("kept");
            assert_eq!(is_inverted(&file, configured), inverted);
            // Who corrects the configuration is right from then on.
            let other = match configured {
                Level::Low => Level::High,
                Level::High => Level::Low,
            };
            assert_eq!(is_inverted(&file, other), !inverted);
        }
        fs::write(&file, "\u{0}rubbish").expect("written");
        assert!(!is_inverted(&file, Level::Low));
        for strange in ["hook", "hook.new"] {
            let strange = folder.path().join(strange);
            let _ = fs::remove_file(&strange);
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mkfifoat(rustix::fs::CWD, &strange, mode).expect("a pipe");
        }
        assert!(!is_inverted(&file, Level::Low));
        keep(&file, Level::Low, true).expect("kept in its place");
        assert!(is_inverted(&file, Level::Low));
        fs::remove_file(&file).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &file).expect("a link");
        assert!(!is_inverted(&file, Level::Low));
        let nowhere = folder.path().join("no/such/folder/hook");
        assert!(keep(&nowhere, Level::Low, true).is_err());
    }
}
