//! Does a stream of a sound card live? One answer for microphone and earpiece.
//!
//! Owns: what a stream's callbacks report ([`Signs`]), and the judgement ([`StreamJudge`]), which is patient and pure. Never
//! does: touch a stream; its owner ends it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cpal::ErrorKind;

use booth_contract::time::Mono;

/// A stream that fails and moves no sample for this long is dead. Until a sound server has answered a new stream's first
/// question, PulseAudio's ALSA plug-in fails at every turn (alsa-plugins, issue 65); on a busy machine that takes a while.
const FAILS_AT_MOST: Duration = Duration::from_secs(2);
/// A stream that neither moves a sample nor fails for this long is dead.
const STILL_AT_MOST: Duration = Duration::from_secs(3);
/// A longer time between two looks counts as this much: the stream's owner got no processor either, or the machine slept.
const LOOKS_APART: Duration = Duration::from_millis(500);
/// cpal's worker asks a failing stream again at once. This rest before it lets the sound server have the processor.
const REST: Duration = Duration::from_millis(5);

/// What an error means for its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Samples were lost or late; the stream goes on.
    Xrun,
    /// Of no consequence by itself: the stream lives as long as it moves samples.
    Passing,
    /// The stream is dead.
    Lost,
}

impl Fault {
    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Xrun => Fault::Xrun,
            ErrorKind::DeviceNotAvailable
            | ErrorKind::StreamInvalidated
            | ErrorKind::HostUnavailable => Fault::Lost,
            _ => Fault::Passing,
        }
    }
}

/// Why a stream is dead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Dead {
    /// The card or its server has gone, in the sound system's words.
    #[error("{0}")]
    Lost(String),
    /// It has only failed for too long.
    #[error("for {} s it has only failed ({said})", FAILS_AT_MOST.as_secs())]
    OnlyFails {
        /// The latest failure, in the sound system's words.
        said: String,
    },
    /// It neither moves a sample nor fails.
    #[error("for {} s no sound has moved", STILL_AT_MOST.as_secs())]
    Still,
}

/// What the callbacks of one stream report, all on cpal's worker thread; its owner reads it.
#[derive(Debug, Default)]
pub struct Signs {
    /// How often samples have moved.
    moves: AtomicU64,
    /// How often the stream has failed.
    failures: AtomicU64,
    /// Whether the latest sign was no error.
    is_calm: AtomicBool,
    is_lost: AtomicBool,
    /// The text of the latest error.
    said: Mutex<String>,
}

impl Signs {
    /// Samples have arrived.
    pub fn arrived(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.moves.fetch_add(1, Ordering::Release);
    }

    /// The card asks for samples. Whether it took the ones before shows now: an error would have come first.
    pub fn asked(&self) {
        if self.is_calm.swap(true, Ordering::Relaxed) {
            self.moves.fetch_add(1, Ordering::Release);
        }
    }

    /// The stream has failed. The rest is taken on this thread, which is cpal's worker, because asking again at once would
    /// only use the processor.
    #[allow(clippy::disallowed_methods)] // nothing shows when a sound server is ready to answer
    pub fn failed(&self, error: &cpal::Error) -> Fault {
        let (fault, rest) = self.note(error.kind(), error.to_string());
        if !rest.is_zero() {
            std::thread::sleep(rest);
        }
        fault
    }

    /// Notes an error. Returns what it means and how long the worker has to rest.
    fn note(&self, kind: ErrorKind, said: String) -> (Fault, Duration) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
        let was_calm = self.is_calm.swap(false, Ordering::Relaxed);
        self.failures.fetch_add(1, Ordering::Release);
        let fault = Fault::of(kind);
        let rest = match fault {
            Fault::Lost => {
                self.is_lost.store(true, Ordering::Release);
                Duration::ZERO
            }
            // After a single xrun samples flow again at once, so the worker does not rest; after several in a row it does.
            Fault::Xrun if was_calm => Duration::ZERO,
            Fault::Xrun | Fault::Passing => REST,
        };
        (fault, rest)
    }

    /// How often samples have moved.
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// Samples have moved at some time.
    pub fn have_moved(&self) -> bool {
        self.moves() > 0
    }

    fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }
}

/// Judges one stream, look by look.
#[derive(Debug, Default)]
pub struct StreamJudge {
    looked: Option<Mono>,
    moves: u64,
    /// Failures at the latest move.
    failures: u64,
    /// For how long no sample has moved.
    still: Duration,
    /// For how long no sample has moved and the stream has failed.
    failing: Duration,
}

impl StreamJudge {
    /// Looks at the stream at `now`. Returns why it is dead, if it is. Time is added up from look to look.
    pub fn look(&mut self, now: Mono, signs: &Signs) -> Option<Dead> {
        if signs.is_lost.load(Ordering::Acquire) {
            return Some(Dead::Lost(signs.said()));
        }
        let before = self.looked.replace(now).unwrap_or(now);
        let moves = signs.moves();
        let failures = signs.failures.load(Ordering::Acquire);
        if moves != self.moves {
            *self = Self {
                looked: self.looked,
                moves,
                failures,
                ..Self::default()
            };
            return None;
        }
        let passed = now.since(before).min(LOOKS_APART);
        self.still += passed;
        if failures != self.failures {
            self.failing += passed;
        }
        if self.failing >= FAILS_AT_MOST {
            Some(Dead::OnlyFails { said: signs.said() })
        } else if self.still >= STILL_AT_MOST {
            Some(Dead::Still)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSING: ErrorKind = ErrorKind::BackendError;

    fn fails(signs: &Signs, kind: ErrorKind) -> (Fault, Duration) {
        signs.note(kind, "I/O error (5)".into())
    }

    /// Looks every 250 ms, as an owner does, for this long; `each` is what happens in between. Returns when the stream was
    /// found dead, in ms, and why.
    fn looks(
        judge: &mut StreamJudge,
        signs: &Signs,
        (from, to): (u64, u64),
        mut each: impl FnMut(u64),
    ) -> Option<(u64, String)> {
        (from..=to).step_by(250).find_map(|ms| {
            each(ms);
            let why = judge.look(Mono(ms), signs)?;
            Some((ms, why.to_string()))
        })
    }

    #[test]
    fn a_stream_that_fails_thousands_of_times_before_its_server_answers_lives() {
        let (mut judge, signs) = (StreamJudge::default(), Signs::default());
        // 2,400 errors, as a busy machine shows them, then sound.
        let dead = looks(&mut judge, &signs, (0, 1_750), |_| {
            for _ in 0..300 {
                fails(&signs, PASSING);
            }
        });
        assert_eq!(dead, None);
        let dead = looks(&mut judge, &signs, (2_000, 60_000), |_| signs.arrived());
        assert_eq!(dead, None);
    }

    #[test]
    fn a_stream_that_only_fails_is_dead_after_two_seconds_and_says_its_last_error() {
        let (mut judge, signs) = (StreamJudge::default(), Signs::default());
        looks(&mut judge, &signs, (0, 10_000), |_| signs.arrived());
        let dead = looks(&mut judge, &signs, (10_250, 60_000), |_| {
            fails(&signs, PASSING);
        });
        let (at, why) = dead.expect("dead");
        assert_eq!(at, 12_000);
        assert!(why.contains("I/O error (5)"), "{why}");
    }

    #[test]
    fn a_stream_that_moves_lives_however_often_it_fails() {
        let (mut judge, signs) = (StreamJudge::default(), Signs::default());
        // One period in 1.75 s, and a hundred errors beside it, for an hour.
        let dead = looks(&mut judge, &signs, (0, 3_600_000), |ms| {
            for _ in 0..100 {
                fails(&signs, PASSING);
            }
            if ms % 1_750 == 0 {
                signs.arrived();
            }
        });
        assert_eq!(dead, None);
    }

    #[test]
    fn a_stream_that_says_nothing_at_all_is_dead_after_three_seconds() {
        for moved_before in [false, true] {
            let (mut judge, signs) = (StreamJudge::default(), Signs::default());
            if moved_before {
                signs.arrived();
            }
            let (at, why) = looks(&mut judge, &signs, (0, 60_000), |_| {}).expect("dead");
            assert_eq!(at, 3_000, "{why}");
        }
    }

    #[test]
    fn a_lost_card_is_dead_at_once() {
        for kind in [
            ErrorKind::DeviceNotAvailable,
            ErrorKind::StreamInvalidated,
            ErrorKind::HostUnavailable,
        ] {
            let (mut judge, signs) = (StreamJudge::default(), Signs::default());
            signs.arrived();
            assert_eq!(fails(&signs, kind), (Fault::Lost, Duration::ZERO));
            assert!(judge.look(Mono(1), &signs).is_some(), "{kind:?}");
        }
    }

    #[test]
    fn samples_that_are_asked_for_and_refused_each_time_do_not_move() {
        let (mut judge, signs) = (StreamJudge::default(), Signs::default());
        let dead = looks(&mut judge, &signs, (0, 60_000), |_| {
            signs.asked();
            fails(&signs, PASSING);
        });
        assert_eq!(dead.map(|(at, _)| at), Some(2_000));
        assert!(!signs.have_moved());
        // Samples were asked for twice in a row, so the first were taken.
        signs.asked();
        signs.asked();
        assert!(signs.have_moved());
    }

    #[test]
    fn an_owner_that_got_no_processor_or_a_machine_that_slept_accuses_no_stream() {
        let (mut judge, signs) = (StreamJudge::default(), Signs::default());
        signs.arrived();
        for ms in [0, 1_500, 4_000, 3_600_000] {
            assert_eq!(judge.look(Mono(ms), &signs), None, "{ms}");
        }
        signs.arrived();
        assert_eq!(judge.look(Mono(3_600_010), &signs), None);
    }

    #[test]
    fn the_worker_rests_after_every_error_but_a_single_xrun() {
        let signs = Signs::default();
        signs.arrived();
        assert_eq!(
            fails(&signs, ErrorKind::Xrun),
            (Fault::Xrun, Duration::ZERO)
        );
        assert_eq!(fails(&signs, ErrorKind::Xrun), (Fault::Xrun, REST));
        signs.arrived();
        assert_eq!(fails(&signs, PASSING), (Fault::Passing, REST));
        assert_eq!(fails(&signs, ErrorKind::Xrun), (Fault::Xrun, REST));
    }
}
