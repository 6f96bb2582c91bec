//! The simulated handset: lines on a Unix socket (contract §2), and their sender.
//!
//! Owns: the control socket. Never does: answer `ok` before the core has handled the line. A stale
//! socket file is replaced; one that somebody listens on is not.
#![allow(clippy::disallowed_methods)] // owns a socket file

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::clock;
use super::handset::HandsetReport;
use crate::gateway::session::{HandsetEvent, Key, KeySource};

/// Longest line, bytes.
const MAX_LINE: u64 = 256;
/// Most connections at a time.
const MAX_CONNECTIONS: usize = 16;
/// The core answers within this, or the sender is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket, removed when dropped.
pub struct SimSocket {
    path: PathBuf,
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens on `path` and reports what is asked there.
pub fn listen(
    path: &Path,
    report: impl Fn(HandsetReport) + Send + Sync + 'static,
) -> Result<SimSocket, String> {
    let fault = |what: &str, error: io::Error| {
        format!("the control socket {}: {what}: {error}", path.display())
    };
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|error| fault("its folder cannot be made", error))?;
    }
    if path.exists() {
        if UnixStream::connect(path).is_ok() {
            return Err(format!(
                "the control socket {} is in use by another gateway",
                path.display()
            ));
        }
        std::fs::remove_file(path)
            .map_err(|error| fault("the stale file cannot be removed", error))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| fault("cannot listen", error))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))
        .map_err(|error| fault("its mode cannot be set", error))?;
    report(HandsetReport::AtStart { off_hook: false });
    report(HandsetReport::Works(Ok(())));
    let report: Arc<dyn Fn(HandsetReport) + Send + Sync> = Arc::new(report);
    let count = Arc::new(AtomicUsize::new(0));
    let accept = move || {
        for stream in listener.incoming().flatten() {
            if count.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                count.fetch_sub(1, Ordering::Relaxed);
                let _ = (&stream).write_all(b"error: too many connections\n");
                continue;
            }
            let (report, counted) = (report.clone(), count.clone());
            let started = std::thread::Builder::new()
                .name("handset-sim".into())
                .spawn(move || {
                    // A sender that goes away in the middle is nobody's fault.
                    let _ = converse(&stream, &stream, &*report);
                    counted.fetch_sub(1, Ordering::Relaxed);
                });
            if started.is_err() {
                count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    };
    std::thread::Builder::new()
        .name("handset-sim".into())
        .spawn(accept)
        .map_err(|error| fault("no thread", error))?;
    Ok(SimSocket {
        path: path.to_owned(),
    })
}

/// Answers line after line until the sender goes away, or sends one that is too long.
#[doc(hidden)] // public for the fuzz targets
pub fn converse(
    input: impl Read,
    mut out: impl Write,
    report: &(dyn Fn(HandsetReport) + Send + Sync),
) -> io::Result<()> {
    let mut reader = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n") || (read as u64) < MAX_LINE;
        let answer = match std::str::from_utf8(&line) {
            Ok(text) if whole => answer(text.trim(), report),
            _ => "error: a line is text of at most 255 bytes".to_owned(),
        };
        out.write_all(format!("{answer}\n").as_bytes())?;
        if !whole {
            return Ok(());
        }
    }
}

fn answer(line: &str, report: &(dyn Fn(HandsetReport) + Send + Sync)) -> String {
    if line == "state" {
        let (answer, state) = mpsc::sync_channel(1);
        report(HandsetReport::State { answer });
        return state
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| "error: the gateway does not answer".into());
    }
    match parse(line) {
        Ok(event) => {
            let (done, handled) = mpsc::sync_channel(1);
            report(HandsetReport::Event {
                at: clock::mono(),
                event,
                done: Some(done),
            });
            match handled.recv_timeout(PATIENCE) {
                Ok(()) => "ok".into(),
                Err(_) => "error: the gateway does not answer".into(),
            }
        }
        Err(why) => format!("error: {why}"),
    }
}

fn parse(line: &str) -> Result<HandsetEvent, String> {
    const HELP: &str =
        "use lift, hang-up, dial 0-9, dial *, dial #, button, pulse 1-10, service or state";
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["lift"] => Ok(HandsetEvent::Lifted),
        ["hang-up"] => Ok(HandsetEvent::HungUp),
        ["service"] => Ok(HandsetEvent::Service),
        ["button"] => Ok(HandsetEvent::Key(Key::Button, KeySource::Keypad)),
        ["dial", "*"] => Ok(HandsetEvent::Key(Key::Star, KeySource::Keypad)),
        ["dial", "#"] => Ok(HandsetEvent::Key(Key::Hash, KeySource::Keypad)),
        ["dial", digit] => match digit.parse::<u8>() {
            Ok(digit) if digit <= 9 => Ok(HandsetEvent::Key(Key::Digit(digit), KeySource::Keypad)),
            _ => Err(format!("{digit:?} is no key; {HELP}")),
        },
        ["pulse", count] => match count.parse::<u8>() {
            // Ten pulses are the digit 0 (ITU-T Q.23's predecessor, decadic dialling).
            Ok(count @ 1..=10) => Ok(HandsetEvent::Key(Key::Digit(count % 10), KeySource::Dial)),
            _ => Err(format!("{count:?} is no number of dial pulses; {HELP}")),
        },
        [] => Err(format!("an empty line; {HELP}")),
        [word, ..] => Err(format!("{word:?} is not understood; {HELP}")),
    }
}

/// Sends one line to a gateway's control socket and answers with its reply.
pub fn send_line(path: &Path, line: &str) -> Result<String, String> {
    let fault = |error: io::Error| {
        format!(
            "{}: {error}; is the gateway running with [handset] backend = \"sim\"?",
            path.display()
        )
    };
    let mut stream = UnixStream::connect(path).map_err(fault)?;
    stream
        .set_read_timeout(Some(PATIENCE + Duration::from_secs(2)))
        .map_err(fault)?;
    stream
        .write_all(format!("{line}\n").as_bytes())
        .map_err(fault)?;
    let mut reply = String::new();
    BufReader::new(stream)
        .read_line(&mut reply)
        .map_err(fault)?;
    Ok(reply.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_answered_after_the_core_and_rubbish_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run/handset.sock");
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        drop(UnixListener::bind(&path).expect("a socket")); // leaves a stale file
        let handled = Arc::new(AtomicUsize::new(0));
        let seen = handled.clone();
        let socket = listen(&path, move |told| match told {
            HandsetReport::Event {
                done: Some(done), ..
            } => {
                seen.fetch_add(1, Ordering::SeqCst);
                let _ = done.send(());
            }
            HandsetReport::State { answer } => {
                let _ = answer.send("{\"session\":\"idle\"}".into());
            }
            _ => {}
        })
        .expect("listens");
        for line in [
            "lift", "dial 5", "dial #", "dial *", "button", "pulse 10", "hang-up",
        ] {
            assert_eq!(send_line(&path, line).as_deref(), Ok("ok"), "{line}");
        }
        assert_eq!(handled.load(Ordering::SeqCst), 7);
        assert_eq!(
            send_line(&path, "state").as_deref(),
            Ok("{\"session\":\"idle\"}")
        );
        for line in [
            "",
            "dial 12",
            "pulse 11",
            "jump",
            "dial",
            "\u{0}\u{1}",
            &"x".repeat(1000),
        ] {
            let reply = send_line(&path, line).expect("a reply");
            assert!(reply.starts_with("error: "), "{line:?} got {reply}");
        }
        assert!(listen(&path, |_| {}).is_err_and(|why| why.contains("in use")));
        drop(socket);
        assert!(!path.exists());
    }
}
