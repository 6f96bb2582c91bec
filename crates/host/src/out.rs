//! Standard output and standard error, for people and for pipes.
//!
//! Owns: everything that a program prints, and what it means when something cannot be printed. Never does: panic, as `println!`
//! does. As in coreutils (close_stdout) the first failure is remembered and nothing is written after it; the program asks for it
//! once, at its end ([`status`]):
//!
//! - The reader has gone, as `head` does (EPIPE): nothing is said, and the status is the one that the work has earned, as with
//!   ripgrep or journalctl. 141, which the shell makes of a tool that SIGPIPE ends, would be a failure in a script with
//!   `pipefail`, and the doctor's verdict would be lost.
//! - The device refuses (ENOSPC on a full disk or `/dev/full`): one sentence on standard error, and status 1.
//!
//! If standard output was closed (`>&-`), it is `/dev/null` before the program begins: Rust's runtime opens that, so that no file
//! of the program takes its number. Standard error is the last resort: a failure there is not reported.
#![allow(clippy::disallowed_methods)] // the one place that knows the standard streams

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::Parser;

/// Why nothing more is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    NobodyReads,
    Refused(String),
}

static TROUBLE: OnceLock<Trouble> = OnceLock::new();

/// Prints a line, by the rules of `format!`.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        $crate::out::print(format_args!("{}\n", format_args!($($words)*)))
    };
}

/// Prints a line on standard error, by the rules of `format!`.
#[macro_export]
macro_rules! complain {
    ($($words:tt)*) => {
        $crate::out::complain(format_args!("{}\n", format_args!($($words)*)))
    };
}

/// Prints text as it is, at once.
pub fn print(text: impl Display) {
    if TROUBLE.get().is_none()
        && let Err(trouble) = write(&mut io::stdout().lock(), &text)
    {
        // If two threads fail, the first failure is kept.
        let _ = TROUBLE.set(trouble);
    }
}

/// Prints text as it is on standard error.
pub fn complain(text: impl Display) {
    let _ = write(&mut io::stderr().lock(), &text);
}

/// Whether nothing that is printed arrives any more; a program that prints for hours may then stop.
pub fn is_over() -> bool {
    TROUBLE.get().is_some()
}

/// The exit status of a program whose work has earned `earned`; to be called last.
pub fn status(earned: ExitCode) -> ExitCode {
    let (status, sentence) = judged(TROUBLE.get(), earned);
    if let Some(sentence) = sentence {
        complain(format_args!("{sentence}\n"));
    }
    status
}

/// Columns and rows of the terminal that standard output is connected to; `None` if it is no terminal.
pub fn screen() -> Option<(usize, usize)> {
    let out = io::stdout();
    let size = |size: rustix::termios::Winsize| (size.ws_col.into(), size.ws_row.into());
    out.is_terminal().then(|| {
        let known = rustix::termios::tcgetwinsize(&out).ok();
        known
            .filter(|size| size.ws_col > 0 && size.ws_row > 0)
            .map_or((80, 25), size)
    })
}

/// The program's arguments, or the exit status if it only had to show its help or was called wrongly.
pub fn arguments<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|answer| {
        let text = answer.render();
        let earned = u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        // The same condition under which clap's own `exit` uses colours.
        let may_paint = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb");
        match answer.use_stderr() {
            true if may_paint && io::stderr().is_terminal() => complain(text.ansi()),
            true => complain(text),
            false if may_paint && io::stdout().is_terminal() => print(text.ansi()),
            false => print(text),
        }
        status(earned)
    })
}

fn write(out: &mut impl Write, text: &impl Display) -> Result<(), Trouble> {
    let text = text.to_string();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Trouble::NobodyReads,
        _ => Trouble::Refused(error.to_string()),
    })
}

fn judged(trouble: Option<&Trouble>, earned: ExitCode) -> (ExitCode, Option<String>) {
    match trouble {
        None | Some(Trouble::NobodyReads) => (earned, None),
        Some(Trouble::Refused(why)) => {
            let sentence = format!(
                "standard output takes nothing more: {why}; what was printed there is not whole"
            );
            (ExitCode::FAILURE, Some(sentence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that takes so many bytes, and then refuses.
    struct Takes(usize, ErrorKind);

    impl Write for Takes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.min(bytes.len()) {
                0 => Err(self.1.into()),
                taken => {
                    self.0 -= taken;
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_costs_nothing_and_a_full_device_a_sentence_and_the_status() {
        let text = &"a line\n";
        assert_eq!(write(&mut Takes(7, ErrorKind::BrokenPipe), text), Ok(()));
        let gone = write(&mut Takes(3, ErrorKind::BrokenPipe), text).expect_err("gone");
        let full = write(&mut Takes(3, ErrorKind::StorageFull), text).expect_err("full");
        let verdict = ExitCode::from(78);
        let shown = |trouble| format!("{:?}", judged(trouble, verdict));
        assert_eq!(shown(None), format!("({verdict:?}, None)"));
        assert_eq!(shown(Some(&gone)), format!("({verdict:?}, None)"));
        let (status, sentence) = judged(Some(&full), verdict);
        assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::FAILURE));
        assert!(sentence.is_some_and(|text| text.contains("takes nothing more")));
    }
}
