//! How long to wait before the next connection (contract §3).
//!
//! Owns: the pauses. Never does: wait.
#![allow(clippy::disallowed_methods)] // its jitter is drawn here

use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(15);
/// Another client uses this identity: taking it back at once would only start a fight.
const TAKEN_OVER_PAUSE: Duration = Duration::from_secs(180);
/// A connection that lasted this long was a good one.
const GOOD_CONNECTION: Duration = Duration::from_secs(20);

/// The pauses of one link: each is twice the one before, and a good connection makes them begin anew.
#[derive(Debug)]
pub struct BackOff {
    pause: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { pause: FIRST_PAUSE }
    }
}

impl BackOff {
    /// The pause after an attempt that lasted this long; `is_taken_over`: another client has the identity now.
    pub fn after(&mut self, lasted: Duration, is_taken_over: bool) -> Duration {
        if lasted >= GOOD_CONNECTION {
            self.pause = FIRST_PAUSE;
        }
        // Full jitter: anything between nothing and the whole pause.
        let drawn = self.pause.mul_f64(lot());
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        match is_taken_over {
            true => TAKEN_OVER_PAUSE,
            false => drawn,
        }
    }
}

fn lot() -> f64 {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_fifteen_seconds_and_a_good_connection_begins_anew() {
        let mut back_off = BackOff::default();
        let short = Duration::from_secs(1);
        for most in [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000] {
            let pause = back_off.after(short, false);
            assert!(pause <= Duration::from_millis(most), "{pause:?}, {most} ms");
        }
        assert!(back_off.after(GOOD_CONNECTION, false) <= FIRST_PAUSE);
    }

    #[test]
    fn whoever_was_taken_over_steps_back_for_three_minutes_every_time() {
        let mut back_off = BackOff::default();
        for lasted in [0, 1, 30] {
            let pause = back_off.after(Duration::from_secs(lasted), true);
            assert_eq!(pause, Duration::from_secs(180));
        }
    }
}
