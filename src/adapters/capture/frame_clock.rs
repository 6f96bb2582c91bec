//! When a frame of the ring was captured, and which frame a time is.
//!
//! Owns: the clock of the frames, and that of the frames before the latest gap: frames that found no room were captured, but have no
//! number. The callback sets it and never waits; the recorder reads it.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};

use booth_audio::Samples;
use booth_contract::time::Mono;

/// A callback that comes so much later than its frames say had a gap before it, µs.
const GAP_US: i64 = 500_000;
/// A later estimate is followed by this part of its distance.
const FOLLOWED: i64 = 64;

/// The clock of one stream's frames.
#[derive(Debug, Default)]
pub(super) struct FrameClock {
    /// Odd while the callback writes.
    version: AtomicU64,
    /// The first frame after the latest gap.
    gap: AtomicU64,
    /// Boot-time clock of frame 0 by the frames before the gap, µs.
    before_us: AtomicI64,
    /// The same by the frames from the gap on.
    after_us: AtomicI64,
}

impl FrameClock {
    /// The callback says that this frame was captured at `at_us`; `is_after_gap` if frames between it and the one before were lost.
    pub(super) fn captured(&self, frame: Samples, at_us: i64, is_after_gap: bool) {
        let known = self.after_us.load(SeqCst);
        let said = at_us - frame.us() as i64;
        let is_first = frame == Samples::ZERO;
        let jumps = !is_first && (is_after_gap || said - known >= GAP_US);
        self.version.fetch_add(1, SeqCst);
        if jumps {
            self.before_us.store(known, SeqCst);
            self.gap.store(frame.count(), SeqCst);
        }
        // Callbacks come late, never early: an earlier estimate is followed at once, a later one slowly.
        let after = match is_first || jumps || said <= known {
            true => said,
            false => known + (said - known) / FOLLOWED,
        };
        self.after_us.store(after, SeqCst);
        self.version.fetch_add(1, SeqCst);
    }

    /// Which frame was captured at `at`; a time within the gap is its end.
    pub(super) fn frame_at(&self, at: Mono) -> Samples {
        let (before, gap, after) = self.read();
        let us = i64::try_from(at.0).unwrap_or(i64::MAX / 1000) * 1000;
        let frame = |origin| Samples::in_us(u64::try_from(us - origin).unwrap_or(0));
        match frame(after) {
            later if later >= gap => later,
            _ => frame(before).min(gap),
        }
    }

    /// When a frame was captured.
    pub(super) fn time_of(&self, frame: Samples) -> Mono {
        let (before, gap, after) = self.read();
        let origin = if frame < gap { before } else { after };
        let us = origin + frame.us() as i64;
        Mono(u64::try_from(us / 1000).unwrap_or(0))
    }

    fn read(&self) -> (i64, Samples, i64) {
        loop {
            let version = self.version.load(SeqCst);
            let gap = Samples::new(self.gap.load(SeqCst));
            let read = (self.before_us.load(SeqCst), gap, self.after_us.load(SeqCst));
            if version.is_multiple_of(2) && self.version.load(SeqCst) == version {
                return read;
            }
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    #[test]
    fn frames_before_a_gap_keep_their_times_and_a_time_within_it_is_its_end() {
        let clock = FrameClock::default();
        clock.captured(Samples::ZERO, 100 * S, false);
        clock.captured(Samples::in_s(1), 101 * S, false);
        assert_eq!(clock.frame_at(Mono(108_000)), Samples::in_s(8));
        // Of the frames of 12 s, those of 4 s found no room.
        clock.captured(Samples::in_s(8), 112 * S, true);
        for (s, frame) in [
            (99, 0),
            (100, 0),
            (106, 6),
            (108, 8),
            (110, 8),
            (112, 8),
            (113, 9),
        ] {
            assert_eq!(clock.frame_at(Mono(s * 1_000)), Samples::in_s(frame), "{s}");
        }
        assert_eq!(clock.time_of(Samples::in_s(6)), Mono(106_000));
        assert_eq!(clock.time_of(Samples::in_s(8)), Mono(112_000));
        // The clock after the gap is followed as the one before was.
        clock.captured(Samples::in_s(9), 113 * S - 20_000, false);
        assert_eq!(clock.time_of(Samples::in_s(9)), Mono(112_980));
        assert_eq!(clock.time_of(Samples::in_s(6)), Mono(106_000));
    }

    #[test]
    fn a_callback_that_comes_late_is_followed_slowly_and_one_that_jumps_is_a_gap() {
        let clock = FrameClock::default();
        clock.captured(Samples::ZERO, 100 * S, false);
        clock.captured(Samples::in_s(1), 101 * S + 64_000, false);
        assert_eq!(clock.time_of(Samples::in_s(1)), Mono(101_001));
        clock.captured(Samples::in_s(2), 103 * S, false);
        assert_eq!(clock.time_of(Samples::in_s(1)), Mono(101_001));
        assert_eq!(clock.time_of(Samples::in_s(2)), Mono(103_000));
    }
}
