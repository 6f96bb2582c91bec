//! When something that failed is tried again.
//!
//! Owns: pauses that grow from one failure to the next, up to a limit. Never does: give up; the caller decides that.

use std::time::Duration;

use booth_contract::time::Mono;

/// Tries of one thing: each pause is twice as long as the one before, up to the last.
#[derive(Debug, Clone)]
pub struct Retry {
    first: Duration,
    last: Duration,
    failures: u32,
    due: Mono,
}

impl Retry {
    /// Nothing has failed yet. `first` is the pause after one failure, `last` the longest.
    pub const fn new(first: Duration, last: Duration) -> Self {
        Self {
            first,
            last,
            failures: 0,
            due: Mono(0),
        }
    }

    /// It failed. Returns when the next try is due.
    pub fn failed(&mut self, now: Mono) -> Mono {
        let doublings = self.failures.min(30);
        self.failures = self.failures.saturating_add(1);
        self.due = now + self.first.saturating_mul(1 << doublings).min(self.last);
        self.due
    }

    /// It worked: the next failure is a first one.
    pub fn worked(&mut self) {
        self.failures = 0;
        self.due = Mono(0);
    }

    /// Lets the next try happen at once, however many have failed; the pause after it is as long as it would have been.
    pub fn hurry(&mut self) {
        self.due = Mono(0);
    }

    /// Whether no pause is left.
    pub fn is_due(&self, now: Mono) -> bool {
        self.due <= now
    }

    /// When the pause ends; before the first failure, long ago.
    pub fn due(&self) -> Mono {
        self.due
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_and_begin_anew_after_a_success() {
        let mut retry = Retry::new(Duration::from_secs(5), Duration::from_secs(60));
        assert!(retry.is_due(Mono(0)));
        let mut now = Mono(1_000);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let due = retry.failed(now);
            assert!(!retry.is_due(Mono(due.0 - 1)) && retry.is_due(due));
            pauses.push(due.since(now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        retry.worked();
        assert!(retry.is_due(now));
        assert_eq!(retry.failed(now).since(now).as_secs(), 5);
        // However often it fails, nothing overflows.
        for _ in 0..100 {
            retry.failed(Mono(u64::MAX));
        }
        assert_eq!(retry.due(), Mono(u64::MAX));
    }

    #[test]
    fn a_hurried_try_that_fails_pauses_no_shorter_than_before() {
        let mut retry = Retry::new(Duration::from_secs(5), Duration::from_secs(60));
        retry.failed(Mono(0));
        retry.hurry();
        assert!(retry.is_due(Mono(1)));
        assert_eq!(retry.failed(Mono(1)), Mono(10_001));
    }
}
