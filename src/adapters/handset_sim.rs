//! The simulated handset: lines on a Unix socket (contract §2), and their sender.
//!
//! Owns: what a line of the control socket means. Never does: answer `ok` before the core has handled the line.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc;

use super::handset::HandsetReport;
use booth_host::clock;
use booth_host::line_server::{self, LineSocket, PATIENCE, SocketError};
use gateway_core::session::{HandsetEvent, Key, KeySource};

/// Listens on `path` and reports the events and questions that come there.
pub fn listen(
    path: &Path,
    report: impl Fn(HandsetReport) + Send + Sync + 'static,
) -> Result<LineSocket, SocketError> {
    // Reported before any line can come.
    report(HandsetReport::AtStart { off_hook: false });
    report(HandsetReport::Works(Ok(())));
    line_server::listen(path, "control", move |line| answer(line, &report))
}

/// Answers line after line until the sender goes away, or sends one that is too long.
#[doc(hidden)] // public for the fuzz targets
pub fn converse(
    input: impl Read,
    out: impl Write,
    report: &(dyn Fn(HandsetReport) + Send + Sync),
) -> io::Result<()> {
    line_server::converse(input, out, &|line| answer(line, report))
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

/// What may stand in a line.
const HELP: &str =
    "use lift, hang-up, dial 0-9, dial *, dial #, button, pulse 1-10, service or state";

/// Why a line means nothing.
#[derive(Debug, thiserror::Error)]
enum NotUnderstood<'a> {
    #[error("{0:?} is no key; {HELP}")]
    Key(&'a str),
    #[error("{0:?} is no number of dial pulses; {HELP}")]
    Pulses(&'a str),
    #[error("an empty line; {HELP}")]
    Empty,
    #[error("{0:?} is not understood; {HELP}")]
    Word(&'a str),
}

fn parse(line: &str) -> Result<HandsetEvent, NotUnderstood<'_>> {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["lift"] => Ok(HandsetEvent::Lifted),
        ["hang-up"] => Ok(HandsetEvent::HungUp),
        ["service"] => Ok(HandsetEvent::Service),
        ["button"] => Ok(HandsetEvent::Key(Key::Button, KeySource::Keypad)),
        ["dial", "*"] => Ok(HandsetEvent::Key(Key::Star, KeySource::Keypad)),
        ["dial", "#"] => Ok(HandsetEvent::Key(Key::Hash, KeySource::Keypad)),
        ["dial", digit] => match digit.parse::<u8>() {
            Ok(digit) if digit <= 9 => Ok(HandsetEvent::Key(Key::Digit(digit), KeySource::Keypad)),
            _ => Err(NotUnderstood::Key(digit)),
        },
        ["pulse", count] => match count.parse::<u8>() {
            // Ten pulses are the digit 0 (ITU-T Q.23's predecessor, decadic dialling).
            Ok(count @ 1..=10) => Ok(HandsetEvent::Key(Key::Digit(count % 10), KeySource::Dial)),
            _ => Err(NotUnderstood::Pulses(count)),
        },
        [] => Err(NotUnderstood::Empty),
        [word, ..] => Err(NotUnderstood::Word(word)),
    }
}

/// Sends one line to a gateway's control socket and returns its reply.
pub fn send_line(path: &Path, line: &str) -> Result<String, String> {
    line_server::ask(path, line).map_err(|error| {
        format!(
            "{}: {error}; is the gateway running with [handset] backend = \"sim\"?",
            path.display()
        )
    })
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // looks whether the socket's file is gone
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn lines_are_answered_after_the_core_and_rubbish_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("run/handset.sock");
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        drop(UnixListener::bind(&path).expect("a socket")); // leaves a stale file
        let handled = Arc::new(AtomicUsize::new(0));
        let seen = handled.clone();
        let socket = listen(&path, move |report| match report {
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
        assert!(listen(&path, |_| {}).is_err_and(|why| why.to_string().contains("in use")));
        drop(socket);
        assert!(!path.exists());
    }
}
