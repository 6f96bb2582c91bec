//! May this machine mount for a test?

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether a small file system can be mounted and let go. Where it cannot, `what` is said not to have run, loudly.
pub fn is_possible(what: &str) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let mut mount = Command::new("mount");
    let tried = mount
        .args(["-t", "tmpfs", "-o", "size=64k", "booth-test"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    let can = tried.is_ok_and(|status| status.success());
    if can {
        let _ = Command::new("umount").arg(folder.path()).status();
    } else {
        let line = format!("!! {what}: NOT RUN, nothing can be mounted here; it needs root\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    can
}
