//! How long the microphone's worker rests after a period, so that it does not spin behind a sound server.
//!
//! Owns: the calculation. Never does: delay work that is due; a stream that is late is not held up. The earpiece's worker
//! has no such rest: it would have to rest before it hands the samples over, while the card's buffer runs empty.
//!
//! ALSA's plug-ins for PipeWire and PulseAudio report a stream as ready before a whole period is there, and cpal asks again
//! at once, without a callback in between. This fills most of a period: on PipeWire's plug-in the worker is busy all the
//! time.

use std::time::Duration;

use booth_audio::Samples;

/// The pace of one stream.
#[derive(Debug)]
pub struct Pace {
    /// Length of a period; zero for a stream that needs no rest.
    period_us: u64,
    last_us: Option<u64>,
}

impl Pace {
    /// The pace of a stream with this period. A kernel's card wakes its worker in time and needs no rest.
    pub fn new(is_kernel_card: bool, period: Samples) -> Self {
        let period_us = match is_kernel_card {
            true => 0,
            false => period.us(),
        };
        Self {
            period_us,
            last_us: None,
        }
    }

    /// How long to rest after the callback that began at `now_us`: two thirds of a period if the callback before came in
    /// time, so that the worker is awake when the next one comes; nothing if callbacks come fast, because there is a delay
    /// to catch up with.
    pub fn rest(&mut self, now_us: u64) -> Duration {
        let before = self.last_us.replace(now_us);
        let in_time = before.is_some_and(|before| {
            now_us.saturating_sub(before) >= self.period_us * 3 / 4
                && now_us.saturating_sub(before) <= self.period_us * 3 / 2
        });
        match in_time {
            true => Duration::from_micros(self.period_us * 2 / 3),
            false => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_in_time_rests_for_less_than_a_period_and_one_that_is_late_or_begins_does_not() {
        let mut pace = Pace::new(false, Samples::in_ms(20));
        assert_eq!(pace.rest(1_000_000), Duration::ZERO);
        assert_eq!(pace.rest(1_000_100), Duration::ZERO);
        let rest = pace.rest(1_020_100);
        assert!(rest > Duration::from_millis(10) && rest < Duration::from_millis(16));
        // The worker got no processor for three periods, and has three to catch up with.
        for late in [1_080_100, 1_080_200, 1_080_300] {
            assert_eq!(pace.rest(late), Duration::ZERO, "{late}");
        }
        assert!(pace.rest(1_100_300) > Duration::ZERO);
    }

    #[test]
    fn a_kernel_card_never_rests() {
        let mut pace = Pace::new(true, Samples::in_ms(30));
        for period in 0..10 {
            assert_eq!(pace.rest(period * 30_000), Duration::ZERO);
        }
    }
}
