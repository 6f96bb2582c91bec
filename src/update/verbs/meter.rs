//! Progress of an update for people, on the terminal or in the journal.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use crate::update::slot::{Progress, Stage};
use booth_contract::time::Mono;
use booth_host::{clock, complain, out};

/// What has been shown of the progress.
pub(super) struct Meter {
    is_terminal: bool,
    began: Cell<Mono>,
    stage: Cell<Option<Stage>>,
    /// The last step shown: hundredths on a terminal, tenths elsewhere.
    step: Cell<u64>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            began: Cell::new(clock::mono()),
            stage: Cell::new(None),
            step: Cell::new(0),
        }
    }

    pub(super) fn tell(&self, progress: Progress) {
        if self.stage.replace(Some(progress.stage)) != Some(progress.stage) {
            self.began.set(clock::mono());
            self.step.set(0);
        }
        let steps = if self.is_terminal { 100 } else { 10 };
        let step = progress.done * steps / progress.total;
        if self.step.replace(step) == step {
            return;
        }
        let line = sentence(progress, clock::mono().since(self.began.get()));
        match self.is_terminal {
            true if progress.done < progress.total => out::complain(format_args!("\r{line}   ")),
            true => complain!("\r{line}   "),
            false => complain!("{line}"),
        }
    }
}

/// E.g. `writing 37 %: 48 of 130 MB, 9.8 MB/s`.
fn sentence(progress: Progress, took: Duration) -> String {
    let doing = match progress.stage {
        Stage::Writing => "writing",
        Stage::Verifying => "reading back",
    };
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let seconds = took.as_secs_f64().max(0.001);
    format!(
        "{doing} {} %: {:.0} of {:.0} MB, {:.1} MB/s",
        progress.done * 100 / progress.total,
        megabytes(progress.done),
        megabytes(progress.total),
        megabytes(progress.done) / seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_and_speed() {
        let progress = Progress {
            stage: Stage::Writing,
            done: 48_000_000,
            total: 130_000_000,
        };
        let said = sentence(progress, Duration::from_secs(5));
        assert_eq!(said, "writing 36 %: 48 of 130 MB, 9.6 MB/s");
    }
}
