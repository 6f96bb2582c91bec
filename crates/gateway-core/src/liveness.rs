//! Do the threads still move? The service manager's watchdog is fed only while all of them do.
//!
//! Owns: how long each thread may be silent, and which one hangs. Never does: read a clock, feed the watchdog, or mend a
//! thread; the service manager starts the gateway again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use booth_contract::time::Mono;

/// More time than this between two judgements says nothing about a thread: the whole process or machine stood still.
const STANDSTILL: Duration = Duration::from_secs(5);

/// A thread's sign of life: touched at each turn of its own loop.
#[derive(Debug, Clone, Default)]
pub struct Beat(Arc<AtomicU64>);

impl Beat {
    /// Shows that the thread moves.
    pub fn touch(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has moved.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One thread that is watched.
#[derive(Debug)]
struct Watched {
    name: &'static str,
    beat: Beat,
    limit: Duration,
    seen: u64,
    silent: Duration,
}

impl Watched {
    fn hangs(&self) -> bool {
        self.silent >= self.limit
    }
}

/// What became of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LivenessNews {
    /// It has been silent for longer than it may.
    Hangs {
        /// Its name.
        thread: &'static str,
        /// How long it may be silent.
        limit: Duration,
    },
    /// It moves again.
    MovesAgain {
        /// Its name.
        thread: &'static str,
    },
}

/// All threads that are watched, judged in the loop's own time.
#[derive(Debug, Default)]
pub struct Liveness {
    threads: Vec<Watched>,
    judged: Option<Mono>,
}

impl Liveness {
    /// Watches one more thread, which may be silent for less than `limit`, from now on: a thread that never comes to its
    /// first turn is noticed too. `limit` must be longer than the longest wait that is normal for the thread.
    pub fn watch(&mut self, thread: &'static str, limit: Duration) -> Beat {
        let beat = Beat::default();
        self.threads.push(Watched {
            name: thread,
            beat: beat.clone(),
            limit,
            seen: 0,
            silent: Duration::ZERO,
        });
        beat
    }

    /// Looks at every thread at `now` and returns what changed since the last look. Silence is added up from look to look,
    /// and a long time between two looks counts little: a suspended machine or a stopped process makes no thread hang.
    pub fn judge(&mut self, now: Mono) -> Vec<LivenessNews> {
        let before = self.judged.replace(now).unwrap_or(now);
        let passed = now.since(before).min(STANDSTILL);
        let mut news = Vec::new();
        for thread in &mut self.threads {
            let hung = thread.hangs();
            let count = thread.beat.count();
            if count == thread.seen {
                thread.silent += passed;
            } else {
                thread.seen = count;
                thread.silent = Duration::ZERO;
            }
            match (hung, thread.hangs()) {
                (false, true) => news.push(LivenessNews::Hangs {
                    thread: thread.name,
                    limit: thread.limit,
                }),
                (true, false) => news.push(LivenessNews::MovesAgain {
                    thread: thread.name,
                }),
                (false, false) | (true, true) => {}
            }
        }
        news
    }

    /// Whether the watchdog may be fed: no thread hung at the last look.
    pub fn may_feed(&self) -> bool {
        !self.threads.iter().any(Watched::hangs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Looks every two seconds, as the loop does, from `from` to `to` in seconds; `moves` says which threads move then.
    fn looks(
        liveness: &mut Liveness,
        (from, to): (u64, u64),
        mut moves: impl FnMut(u64),
    ) -> Vec<(u64, LivenessNews)> {
        let mut told = Vec::new();
        for second in (from..=to).step_by(2) {
            moves(second);
            let news = liveness.judge(Mono(second * 1000));
            told.extend(news.into_iter().map(|news| (second, news)));
        }
        told
    }

    #[test]
    fn a_thread_that_hangs_is_named_once_and_nobody_is_fed_until_it_moves() {
        let mut liveness = Liveness::default();
        let capture = liveness.watch("capture", LIMIT);
        let handset = liveness.watch("handset", LIMIT);
        let told = looks(&mut liveness, (100, 128), |_| handset.touch());
        assert_eq!(told, []);
        assert!(liveness.may_feed());
        let told = looks(&mut liveness, (130, 190), |_| handset.touch());
        let hangs = LivenessNews::Hangs {
            thread: "capture",
            limit: LIMIT,
        };
        assert_eq!(told, [(130, hangs)]);
        assert!(!liveness.may_feed());
        capture.touch();
        let again = LivenessNews::MovesAgain { thread: "capture" };
        assert_eq!(liveness.judge(Mono(192_000)), [again]);
        assert!(liveness.may_feed());
    }

    #[test]
    fn a_thread_that_turns_just_within_its_limit_never_stops_the_feeding() {
        let mut liveness = Liveness::default();
        let beat = liveness.watch("recorder", LIMIT);
        let told = looks(&mut liveness, (0, 3600), |second| {
            if second % 28 == 0 {
                beat.touch();
            }
        });
        assert_eq!(told, []);
        assert!(liveness.may_feed());
    }

    #[test]
    fn a_machine_that_was_suspended_or_a_process_that_was_stopped_accuses_nobody() {
        let mut liveness = Liveness::default();
        let beat = liveness.watch("earpiece", LIMIT);
        beat.touch();
        assert_eq!(liveness.judge(Mono(1_000)), []);
        for hour in 1..=5 {
            assert_eq!(liveness.judge(Mono(hour * 3_600_000)), []);
        }
        assert!(liveness.may_feed());
        // But a loop that turns slowly still finds the thread that hangs.
        assert_eq!(liveness.judge(Mono(6 * 3_600_000)).len(), 1);
        assert!(!liveness.may_feed());
    }

    #[test]
    fn each_thread_has_its_own_limit() {
        let mut liveness = Liveness::default();
        let _slow = liveness.watch("recorder", LIMIT * 4);
        let _quick = liveness.watch("handset", LIMIT / 2);
        let told = looks(&mut liveness, (0, 200), |_| {});
        let when: Vec<_> = told
            .iter()
            .map(|(second, news)| match news {
                LivenessNews::Hangs { thread, .. } => (*second, *thread),
                LivenessNews::MovesAgain { thread } => panic!("{thread} moves"),
            })
            .collect();
        assert_eq!(when, [(16, "handset"), (120, "recorder")]);
    }
}
