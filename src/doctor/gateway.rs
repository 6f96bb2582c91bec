//! Whether a gateway runs on this machine, and what it reports.
//!
//! Owns: asking its socket, and looking which process holds the spool's lock. Never does: take the lock, so that a gateway
//! that starts at this moment finds it free.
#![allow(clippy::disallowed_methods)] // reads procfs

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::Config;
use crate::status::{Finding, QUESTION, Status};
use booth_host::line_server;

const AREA: &str = "gateway";

/// The gateway of this booth on this machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Running {
    /// It reports its status.
    Answers(Box<Status>),
    /// One runs, or may run, and does not report its status; the sentence and the remedy.
    Silent(String, &'static str),
    /// No gateway runs.
    Stopped,
}

impl Running {
    /// The name in JSON.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Running::Answers(_) => "running",
            Running::Silent(..) => "silent",
            Running::Stopped => "stopped",
        }
    }
}

/// Asks the gateway for its status.
pub(super) fn ask(socket: &Path) -> Result<Status, (ErrorKind, String)> {
    let reply = line_server::ask(socket, QUESTION)
        .map_err(|error| (error.kind(), format!("{}: {error}", socket.display())))?;
    serde_json::from_str(&reply).map_err(|error| {
        let start: String = reply.chars().take(60).collect();
        let sentence = format!("{}: {start:?} is no answer ({error})", socket.display());
        (ErrorKind::InvalidData, sentence)
    })
}

/// Finds out whether a gateway runs.
pub(super) fn find(config: &Config) -> Running {
    let lock = config.spool.dir.join("lock");
    match ask(&config.doctor_socket()) {
        Ok(status) => Running::Answers(Box::new(status)),
        Err((ErrorKind::PermissionDenied, why)) => {
            Running::Silent(why, "Run the doctor as root or as the user booth-gateway.")
        }
        Err((ErrorKind::NotFound | ErrorKind::ConnectionRefused, why)) => match is_locked(&lock) {
            Ok(false) => Running::Stopped,
            Ok(true) => Running::Silent(
                format!(
                    "A gateway holds {} and answers no doctor: {why}.",
                    lock.display()
                ),
                "See the gateway's log for its doctor socket; `systemctl restart booth-gateway` if it hangs.",
            ),
            Err(error) => Running::Silent(
                format!("{} cannot be looked at: {error}.", lock.display()),
                "Run the doctor as root or as the user booth-gateway.",
            ),
        },
        Err((_, why)) => Running::Silent(
            format!("The gateway does not answer: {why}."),
            "It hangs, or is another version than this doctor: `systemctl restart booth-gateway`.",
        ),
    }
}

/// Whether any process holds a file's lock (proc_locks(5)).
fn is_locked(lock: &Path) -> std::io::Result<bool> {
    let facts = match std::fs::metadata(lock) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let (major, minor) = (
        rustix::fs::major(facts.dev()),
        rustix::fs::minor(facts.dev()),
    );
    let place = format!("{major:02x}:{minor:02x}:{}", facts.ino());
    let locks = std::fs::read_to_string("/proc/locks")?;
    let is_it = |line: &str| line.contains(" FLOCK ") && line.split(' ').any(|word| word == place);
    Ok(locks.lines().any(is_it))
}

/// The verdict over the gateway itself.
pub(super) fn look(running: &Running, config: &Config) -> Vec<Finding> {
    match running {
        Running::Stopped => vec![Finding::warning(
            AREA,
            "process",
            "No gateway runs; the doctor looks for itself.",
            "systemctl start booth-gateway",
        )],
        Running::Silent(why, remedy) => vec![Finding::fault(AREA, "process", why, remedy)],
        Running::Answers(status) => {
            let mut all = vec![Finding::ok(
                AREA,
                "process",
                format!(
                    "The gateway {} runs since {} min (process {}) and is {}.",
                    status.sw_version,
                    status.up_s / 60,
                    status.pid,
                    if status.ready == 1 {
                        "ready"
                    } else {
                        "not ready"
                    }
                ),
            )];
            if status.booth_id != config.booth.id.as_str() {
                all.push(Finding::warning(
                    AREA,
                    "id",
                    format!(
                        "The running gateway is {:?}, the configuration says {:?}.",
                        status.booth_id,
                        config.booth.id.as_str()
                    ),
                    "Start the gateway again, or look with its own --config.",
                ));
            }
            all.extend(status.findings.iter().cloned().map(Finding::tidied));
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_lock_is_seen_without_taking_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        assert_eq!(is_locked(&path).ok(), Some(false));
        let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        let held = std::fs::File::create(&path).expect("a file");
        rustix::fs::flock(&held, lock).expect("free");
        assert_eq!(is_locked(&path).ok(), Some(true));
        drop(held);
        assert_eq!(is_locked(&path).ok(), Some(false));
        let free = std::fs::File::open(&path).expect("a file");
        rustix::fs::flock(&free, lock).expect("still free");
    }
}
