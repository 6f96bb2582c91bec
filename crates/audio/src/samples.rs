//! How many samples: a length of sound or a position in it, one channel at 48 kHz.
//!
//! Owns: the only conversions between samples and times.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// Samples per second of all that is recorded and played, Hz.
pub const RATE: u32 = 48_000;
/// Samples of a millisecond.
const IN_A_MS: u64 = RATE as u64 / 1_000;

/// A number of samples at [`RATE`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Samples(u64);

impl Samples {
    /// None.
    pub const ZERO: Self = Self(0);
    /// More than any stream has.
    pub const MAX: Self = Self(u64::MAX);

    /// This many.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// As many as this piece has.
    pub const fn of(piece: &[i16]) -> Self {
        Self(piece.len() as u64)
    }

    /// As many as are in so many milliseconds.
    pub const fn in_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(IN_A_MS))
    }

    /// As many as are in so many microseconds, rounded down.
    pub const fn in_us(us: u64) -> Self {
        Self(us.saturating_mul(IN_A_MS) / 1_000)
    }

    /// As many as are in so many seconds.
    pub const fn in_s(s: u64) -> Self {
        Self(s.saturating_mul(RATE as u64))
    }

    /// The number.
    pub const fn count(self) -> u64 {
        self.0
    }

    /// The number as the length of a piece.
    pub const fn as_len(self) -> usize {
        self.0 as usize
    }

    /// How long they last, whole milliseconds.
    pub const fn ms(self) -> u64 {
        self.0 / IN_A_MS
    }

    /// How long they last, whole microseconds.
    pub const fn us(self) -> u64 {
        self.0.saturating_mul(1_000) / IN_A_MS
    }

    /// How long they last, whole milliseconds.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms())
    }

    /// The difference, or none.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Samples {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Samples {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Samples {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl SubAssign for Samples {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Samples {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::add)
    }
}

/// Takes the first `count` samples off, and overwrites where the last ones were: what was said stays nowhere.
pub fn take_off(samples: &mut Vec<i16>, count: usize) {
    samples.copy_within(count.., 0);
    let left = samples.len() - count;
    samples[left..].fill(0);
    samples.truncate(left);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_times_become_each_other_and_never_overflow() {
        assert_eq!(Samples::in_ms(20), Samples::new(960));
        assert_eq!(Samples::in_s(1), Samples::in_us(1_000_000));
        assert_eq!((Samples::new(959).ms(), Samples::new(960).ms()), (19, 20));
        assert_eq!(Samples::new(959).us(), 19_979);
        assert_eq!(Samples::in_us(19_979), Samples::new(958));
        assert_eq!(Samples::new(960).duration(), Duration::from_millis(20));
        assert_eq!(Samples::of(&[0; 7]).as_len(), 7);
        assert_eq!(Samples::MAX.us(), Samples::MAX.ms());
        assert_eq!(Samples::in_us(u64::MAX), Samples::new(u64::MAX / 1_000));
        assert_eq!(Samples::ZERO.saturating_sub(Samples::MAX), Samples::ZERO);
    }
}
