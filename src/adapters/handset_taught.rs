//! The hook's resting level as a technician taught it: one small file on the card.
//!
//! Owns: that file. It names the level at which the handset is off its hook, and overrides `hook.off_hook` of booth.toml.
//! Once booth.toml is corrected to the same level, the two agree and the file changes nothing. Never does: take a card that does not
//! answer for one without such a file; a file that makes no sense is ignored.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Level;
use booth_host::plain_file::{is_no_answer, patiently};
use booth_spool::disk::{publish, read_whole};
use booth_spool::real_disk::RealDisk;

/// The card does not take the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", file.display())]
pub struct NotKept {
    file: PathBuf,
    error: io::Error,
}

/// The card does not give the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}; which level of the hook is which is not known", file.display())]
pub struct NotRead {
    file: PathBuf,
    error: io::Error,
}

/// Of the file, bytes.
const LONGEST: u64 = 64;

fn name(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::High => "high",
    }
}

/// Whether the hook has to be read the other way round than configured.
///
/// # Errors
/// A card that does not answer.
pub fn is_inverted(file: &Path, configured: Level) -> Result<bool, NotRead> {
    let disk = RealDisk::guarding(folder_of(file));
    let text = match patiently(|| read_whole(&disk, file, LONGEST)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if is_no_answer(&error) => {
            let file = file.to_owned();
            return Err(NotRead { file, error });
        }
        Err(_) => Vec::new(),
    };
    Ok(match text.trim_ascii() {
        b"off_hook = \"low\"" => configured == Level::High,
        b"off_hook = \"high\"" => configured == Level::Low,
        _ => {
            log::warn!("{}: makes no sense and is ignored", file.display());
            false
        }
    })
}

/// Writes the taught level so that it survives a power cut.
pub fn keep(file: &Path, configured: Level, inverted: bool) -> Result<(), NotKept> {
    let level = match (configured, inverted) {
        (level, false) => level,
        (Level::Low, true) => Level::High,
        (Level::High, true) => Level::Low,
    };
    let text = format!("off_hook = \"{}\"\n", self::name(level));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    publish(&RealDisk::new(), folder_of(file), &name, text.as_bytes()).map_err(|error| NotKept {
        file: file.to_owned(),
        error,
    })
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // puts strange things in its place
mod tests {
    use std::fs;

    use super::*;

    fn inverted(file: &Path, configured: Level) -> bool {
        is_inverted(file, configured).expect("the card answers")
    }

    #[test]
    fn what_was_taught_is_known_at_the_next_start_and_rubbish_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("hook");
        assert!(!inverted(&file, Level::Low));
        for (configured, other_way) in [
            (Level::Low, true),
            (Level::High, false),
            (Level::High, true),
            (Level::Low, false),
        ] {
            keep(&file, configured, other_way).expect("kept");
            assert_eq!(inverted(&file, configured), other_way);
            // With the configuration corrected, the hook is read as configured.
            let other = match configured {
                Level::Low => Level::High,
                Level::High => Level::Low,
            };
            assert_eq!(inverted(&file, other), !other_way);
        }
        fs::write(&file, "\u{0}rubbish").expect("written");
        assert!(!inverted(&file, Level::Low));
        for strange in ["hook", "hook.tmp"] {
            let strange = folder.path().join(strange);
            let _ = fs::remove_file(&strange);
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mkfifoat(rustix::fs::CWD, &strange, mode).expect("a pipe");
        }
        assert!(!inverted(&file, Level::Low));
        keep(&file, Level::Low, true).expect("kept in its place");
        assert!(inverted(&file, Level::Low));
        fs::remove_file(&file).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &file).expect("a link");
        assert!(!inverted(&file, Level::Low));
        let nowhere = folder.path().join("no/such/folder/hook");
        assert!(keep(&nowhere, Level::Low, true).is_err());
    }
}
