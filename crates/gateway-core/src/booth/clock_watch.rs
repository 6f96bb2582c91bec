//! Whether the wall clock can be believed, and when it steps.
//!
//! Owns: the pair of clocks by which the centre corrects times. Never does: read a clock.

use booth_contract::time::Mono;

/// A wall clock that moves by this much against the boot-time clock has stepped; less is slewing and the time between reads.
const STEP_MS: u64 = 500;

/// The wall clock beside the boot-time clock.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    /// Wall clock minus boot-time clock at the last step, ms.
    offset_ms: Option<i64>,
    was_synced: bool,
    /// The pair of clocks was said while no hub listened.
    is_unheard: bool,
}

/// What a look at the clocks showed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClockNews {
    /// The pair that the card has to note, ms.
    pub(super) note_ms: Option<i64>,
    /// The centre has to hear of it.
    pub(super) is_news: bool,
}

impl ClockWatch {
    /// One look at both clocks.
    pub(super) fn look(&mut self, now: Mono, wall_ms: i64, synced: bool) -> ClockNews {
        let offset_ms = wall_ms.saturating_sub_unsigned(now.0);
        let stepped = self
            .offset_ms
            .is_some_and(|before| before.abs_diff(offset_ms) >= STEP_MS);
        let became_right = synced && !self.was_synced;
        self.was_synced = synced;
        if self.offset_ms.is_none() || stepped || became_right {
            self.offset_ms = Some(offset_ms);
        }
        let is_news = became_right || stepped;
        ClockNews {
            note_ms: self.offset_ms.filter(|_| synced && is_news),
            is_news,
        }
    }

    /// The pair, if the wall clock is right, ms.
    pub(super) fn believed_ms(&self) -> Option<i64> {
        self.offset_ms.filter(|_| self.was_synced)
    }

    /// The pair in ms, and whether it is right, to be said to the centre; `is_heard` if a hub listens.
    pub(super) fn say(&mut self, is_heard: bool) -> Option<(i64, bool)> {
        let offset_ms = self.offset_ms?;
        self.is_unheard |= !is_heard;
        Some((offset_ms, self.was_synced))
    }

    /// Whether the pair was said while no hub listened; true once.
    pub(super) fn take_unheard(&mut self) -> bool {
        std::mem::take(&mut self.is_unheard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(note_ms: Option<i64>, is_news: bool) -> ClockNews {
        ClockNews { note_ms, is_news }
    }

    #[test]
    fn a_clock_that_becomes_right_or_steps_is_news_and_slewing_is_none() {
        let mut watch = ClockWatch::default();
        assert_eq!(watch.look(Mono(1_000), 5_000, false), news(None, false));
        assert_eq!(watch.believed_ms(), None);
        // It steps, and nobody believes it yet.
        assert_eq!(watch.look(Mono(2_000), 9_000, false), news(None, true));
        assert_eq!(
            watch.look(Mono(3_000), 10_000, true),
            news(Some(7_000), true)
        );
        assert_eq!(watch.look(Mono(4_000), 11_499, true), news(None, false));
        assert_eq!(
            watch.look(Mono(4_000), 11_500, true),
            news(Some(7_500), true)
        );
        assert_eq!(watch.believed_ms(), Some(7_500));
    }

    #[test]
    fn what_no_hub_has_heard_is_remembered_once() {
        let mut watch = ClockWatch::default();
        assert_eq!(watch.say(false), None);
        watch.look(Mono(0), 1_000, true);
        assert_eq!(watch.say(true), Some((1_000, true)));
        assert!(!watch.take_unheard());
        assert_eq!(watch.say(false), Some((1_000, true)));
        assert!(watch.take_unheard());
        assert!(!watch.take_unheard());
    }
}
