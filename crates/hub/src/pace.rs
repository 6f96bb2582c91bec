//! How often something may be done: so many times at once, then once in so long.
//!
//! Owns: the count of one source. Pure: time is an input.

use booth_contract::time::Mono;

/// A limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// How many times at once.
    pub at_once: u64,
    /// After how many ms one more is allowed.
    pub every_ms: u64,
}

/// What one source has used of a limit.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Pace {
    used: u64,
    since: Mono,
}

impl Pace {
    /// Whether it may be done once more now. That it is done says [`Pace::count`].
    pub(crate) fn may(&mut self, now: Mono, limit: Limit) -> bool {
        let regained = now.0.saturating_sub(self.since.0) / limit.every_ms;
        self.used = self.used.saturating_sub(regained);
        self.since = match self.used {
            0 => now,
            _ => Mono(self.since.0 + regained * limit.every_ms),
        };
        self.used < limit.at_once
    }

    /// It is done once more.
    pub(crate) fn count(&mut self) {
        self.used += 1;
    }

    /// Whether all of the limit is free again.
    pub(crate) fn is_idle(&mut self, now: Mono, limit: Limit) -> bool {
        self.may(now, limit);
        self.used == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_so_many_at_once_one_more_in_each_span_and_all_again_after_a_rest() {
        let limit = Limit {
            at_once: 3,
            every_ms: 1_000,
        };
        let mut pace = Pace::default();
        let mut done = |from: u64, to: u64| {
            (from..to)
                .step_by(100)
                .filter(|at| {
                    let may = pace.may(Mono(*at), limit);
                    if may {
                        pace.count();
                    }
                    may
                })
                .count()
        };
        assert_eq!(done(0, 1_000), 3);
        assert_eq!(done(1_000, 11_000), 10);
        assert_eq!(done(100_000, 100_400), 3);
        assert!(pace.is_idle(Mono(200_000), limit));
    }
}
