//! Progress of long work for people, on the terminal or in the journal.
//!
//! Owns: how often a line is due, and its form. On a terminal one line is written over and over, with a bar; elsewhere there is a line for each tenth.
//! Never does: print anything on standard output.
#![allow(clippy::disallowed_methods)] // asks whether somebody looks on

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use booth_contract::time::Mono;

use crate::{clock, complain, out};

/// Width of the bar, characters.
const BAR: u64 = 20;

/// What has been shown of the progress.
pub struct Meter {
    is_terminal: bool,
    began: Cell<Mono>,
    doing: Cell<&'static str>,
    /// The last step shown: hundredths on a terminal, tenths elsewhere.
    step: Cell<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// A meter that has shown nothing.
    pub fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            began: Cell::new(clock::mono()),
            doing: Cell::new(""),
            step: Cell::new(0),
        }
    }

    /// Tells that `done` of `total` bytes are done, where that is due. Other words begin a new line and a new count of the speed.
    pub fn tell(&self, doing: &'static str, done: u64, total: u64) {
        if self.doing.replace(doing) != doing {
            self.began.set(clock::mono());
            self.step.set(0);
        }
        let total = total.max(1);
        let done = done.min(total);
        let steps = if self.is_terminal { 100 } else { 10 };
        let step = done * steps / total;
        if self.step.replace(step) == step {
            return;
        }
        let line = sentence(doing, done, total, clock::mono().since(self.began.get()));
        match self.is_terminal {
            true => {
                let full = done * BAR / total;
                let bar: String = (0..BAR)
                    .map(|at| if at < full { '#' } else { '.' })
                    .collect();
                let end = if done < total { "" } else { "\n" };
                out::complain(format_args!("\r[{bar}] {line}   {end}"));
            }
            false => complain!("{line}"),
        }
    }
}

/// E.g. `writing 37 %: 48 of 130 MB, 9.8 MB/s`.
fn sentence(doing: &str, done: u64, total: u64, took: Duration) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let seconds = took.as_secs_f64().max(0.001);
    format!(
        "{doing} {} %: {:.0} of {:.0} MB, {:.1} MB/s",
        done * 100 / total,
        megabytes(done),
        megabytes(total),
        megabytes(done) / seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_and_speed() {
        let said = sentence("writing", 48_000_000, 130_000_000, Duration::from_secs(5));
        assert_eq!(said, "writing 36 %: 48 of 130 MB, 9.6 MB/s");
    }
}
