//! A process that keeps what it has in its memory to itself.
//!
//! Owns: that neither a core file nor another process of the same user gets it. Never does: hide anything from root, or from a hand
//! that reads the memory chips.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// The kernel's account of this process's input and output. The files of a process that is not dumpable belong to root, also to
/// itself; one that is open already stays readable.
static ACCOUNT: OnceLock<File> = OnceLock::new();

/// Lets nothing of this process's memory into a core file, and no other process of its user attach to it (prctl(2),
/// PR_SET_DUMPABLE). To be called before there is anything to keep. A program that is started in its place has to do it again.
#[allow(clippy::disallowed_methods)] // one of its own files below /proc
pub fn keep_to_itself() -> io::Result<()> {
    if let Ok(account) = File::open("/proc/self/io") {
        // Whoever calls a second time has it already.
        let _ = ACCOUNT.set(account);
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Bytes that this process has caused to be written, where it keeps to itself.
pub fn bytes_written() -> Option<u64> {
    let mut text = [0; 512];
    let count = ACCOUNT.get()?.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..count]).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // writes a file to be counted

    use super::*;
    use rustix::process::{dumpable_behavior, getrlimit};

    #[test]
    fn a_process_that_keeps_to_itself_is_not_dumped_and_still_knows_what_it_wrote() {
        keep_to_itself().expect("it can");
        assert!(matches!(
            dumpable_behavior(),
            Ok(DumpableBehavior::NotDumpable)
        ));
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        let folder = tempfile::tempdir().expect("a folder");
        let before = bytes_written().expect("an account");
        let file = File::create(folder.path().join("x")).expect("a file");
        file.write_all_at(&[1; 100_000], 0).expect("written");
        file.sync_all().expect("synced");
        // A folder in memory costs nothing.
        assert!(bytes_written().expect("an account") >= before);
    }
}
