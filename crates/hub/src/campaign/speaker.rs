//! Text becomes sound: espeak-ng, where it is installed.
//!
//! Owns: how that program is started, its time limit, and what its refusals mean. Never does: level or encode.
#![allow(clippy::disallowed_methods)] // starts a program, and reads the file that it makes

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Words per minute, as the booth's own voice is spoken.
const PACE: &str = "150";
/// A text that takes longer than this has stalled the program, s.
const PATIENCE_S: &str = "60";
/// Largest sound that is read back, bytes: 90 s at the program's 22,050 Hz are four millions.
const MOST_BYTES: u64 = 64_000_000;
/// Status of `timeout` for a program that is not there, and for one that was ended.
const NOT_THERE: i32 = 127;
const ENDED: i32 = 124;

/// The text spoken by the language's voice, as a WAV file's bytes; `beside` is a free name that the program writes to.
///
/// # Errors
/// A sentence with what to do.
pub(crate) fn spoken(text: &str, lang: &str, beside: &Path) -> Result<Vec<u8>, String> {
    let said = say(text, lang, beside);
    let sound = said.and_then(|()| {
        booth_host::plain_file::read_at_most(beside, MOST_BYTES)
            .map_err(|error| format!("cannot be spoken: espeak-ng left no sound: {error}"))
    });
    // It may not be there.
    let _ = std::fs::remove_file(beside);
    sound
}

fn say(text: &str, lang: &str, to: &Path) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("cannot be spoken: {error}");
    let mut speaker = Command::new("timeout")
        .args([
            PATIENCE_S,
            "espeak-ng",
            "-v",
            lang,
            "-s",
            PACE,
            "--stdin",
            "-w",
        ])
        .arg(to)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    if let Some(mut words) = speaker.stdin.take() {
        // A program that ended early has said why.
        let _ = words.write_all(text.as_bytes());
    }
    let ended = speaker.wait_with_output().map_err(broken)?;
    if ended.status.success() {
        return Ok(());
    }
    Err(match ended.status.code() {
        Some(NOT_THERE) => "cannot be spoken: espeak-ng is not installed here. Install Debian's package espeak-ng (apt install espeak-ng), \
                            or record it and name the file with `sound`"
            .into(),
        Some(ENDED) => format!("cannot be spoken: espeak-ng was ended after {PATIENCE_S} s"),
        _ => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let said = said.lines().next().unwrap_or_default().trim().to_owned();
            format!(
                "cannot be spoken in {lang:?} by espeak-ng ({said}): see its languages with `espeak-ng --voices`, or record it and name the \
                 file with `sound`"
            )
        }
    })
}
