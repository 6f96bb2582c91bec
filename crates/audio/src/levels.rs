//! How loud, and whether somebody speaks. Pure; no clock, no device.
//!
//! The detector compares each 20 ms with a noise floor that falls at once and rises by 3 dB a second, so that a hum or a
//! passing lorry becomes part of the floor. It calls it speech from 9 dB above the floor and from −50 dBFS on. Speech ends
//! after 300 ms without.

use crate::samples::Samples;
use booth_contract::FrameFacts;

const FRAME_MS: u64 = 20;
const FRAME: usize = Samples::in_ms(FRAME_MS).as_len();
const ABOVE_FLOOR_DB: f64 = 9.0;
const LEAST_DBFS: f64 = -50.0;
const FLOOR_RISE_DB: f64 = 0.06; // per 20 ms
const HANGOVER_FRAMES: u32 = 15;
/// Full scale of a sample.
const FULL_SCALE: f64 = 32_768.0;

/// Sums over samples. They are exact: they have room for a thousand minutes of full scale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    count: i64,
    sum: i64,
    squares: i64,
    /// Largest absolute sample, 0 to 32 768.
    pub peak: u16,
}

impl Sums {
    /// The sums of these samples.
    pub fn of(samples: &[i16]) -> Self {
        let mut sums = Self::default();
        // The two halves of a square are added up in 32 bits, which 960 samples never fill; that lets the processor take
        // several samples at a time.
        for piece in samples.chunks(FRAME) {
            let (mut sum, mut low, mut high) = (0i32, 0u32, 0u32);
            let (mut least, mut most) = (0i16, 0i16);
            for sample in piece {
                let value = i32::from(*sample);
                let square = (value * value) as u32;
                sum += value;
                low += square & 0xffff;
                high += square >> 16;
                least = least.min(*sample);
                most = most.max(*sample);
            }
            sums.add(Self {
                count: piece.len() as i64,
                sum: i64::from(sum),
                squares: i64::from(low) + (i64::from(high) << 16),
                peak: least.unsigned_abs().max(most.unsigned_abs()),
            });
        }
        sums
    }

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        self.peak = self.peak.max(other.peak);
    }

    /// Mean of the squares, full scale = 1.0.
    fn mean_square(self) -> f64 {
        self.squares as f64 / FULL_SCALE.powi(2) / self.count.max(1) as f64
    }

    /// The mean square without the mean: a card's constant offset is no sound.
    pub fn power(self) -> f64 {
        let count = self.count.max(1);
        let spread = count * self.squares - self.sum * self.sum;
        spread as f64 / (count * count) as f64 / FULL_SCALE.powi(2)
    }
}

/// A change of voice, counted in kept samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoiceChange {
    /// Somebody speaks now.
    pub active: bool,
    /// Milliseconds of kept audio at which it changed.
    pub at_ms: u64,
}

/// Levels of one take.
#[derive(Debug)]
pub struct LevelMeter {
    /// The 20 ms that are being filled.
    frame: Sums,
    floor_db: f64,
    loud: u32,
    quiet: u32,
    active: bool,
    elapsed_ms: u64,
    /// The sums since the last [`LevelMeter::take_page`].
    page: Sums,
    speech: bool,
}

impl Default for LevelMeter {
    fn default() -> Self {
        Self {
            frame: Sums::default(),
            floor_db: -60.0,
            loud: 0,
            quiet: 0,
            active: false,
            elapsed_ms: 0,
            page: Sums::default(),
            speech: false,
        }
    }
}

impl LevelMeter {
    /// Takes samples, and reports each change of voice.
    pub fn push(&mut self, mut samples: &[i16], mut changed: impl FnMut(VoiceChange)) {
        while !samples.is_empty() {
            let room = FRAME - self.frame.count as usize;
            let (now, later) = samples.split_at(room.min(samples.len()));
            samples = later;
            let sums = Sums::of(now);
            self.page.add(sums);
            self.frame.add(sums);
            if now.len() == room {
                let frame = std::mem::take(&mut self.frame);
                self.judge(frame, &mut changed);
            }
        }
    }

    fn judge(&mut self, frame: Sums, changed: &mut impl FnMut(VoiceChange)) {
        self.elapsed_ms += FRAME_MS;
        let db = 10.0 * (frame.power() + 1e-12).log10();
        let speech = db > LEAST_DBFS && db > self.floor_db + ABOVE_FLOOR_DB;
        self.floor_db = if db < self.floor_db {
            db.max(-70.0)
        } else {
            self.floor_db + FLOOR_RISE_DB
        };
        if speech {
            self.loud += 1;
            self.quiet = 0;
            self.speech |= self.loud >= 2;
            if self.loud >= 2 && !self.active {
                self.active = true;
                changed(VoiceChange {
                    active: true,
                    at_ms: self.elapsed_ms,
                });
            }
        } else {
            self.loud = 0;
            self.quiet += 1;
            if self.active && self.quiet >= HANGOVER_FRAMES {
                self.active = false;
                let at_ms = self.elapsed_ms - u64::from(self.quiet) * FRAME_MS;
                changed(VoiceChange {
                    active: false,
                    at_ms,
                });
            }
        }
    }

    /// The levels since the last call.
    pub fn take_page(&mut self) -> FrameFacts {
        let page = std::mem::take(&mut self.page);
        FrameFacts {
            samples: page.count as u32,
            mean_square: page.mean_square() as f32,
            peak: page.peak,
            speech: std::mem::take(&mut self.speech),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(ms: usize, amplitude: f64) -> Vec<i16> {
        (0..ms * 48)
            .map(|i| ((i as f64 * 0.05).sin() * amplitude) as i16)
            .collect()
    }

    fn changes(parts: &[Vec<i16>]) -> Vec<VoiceChange> {
        let mut meter = LevelMeter::default();
        let mut told = Vec::new();
        for part in parts {
            meter.push(part, |change| told.push(change));
        }
        told
    }

    #[test]
    fn a_word_between_silences_is_told_with_its_ends() {
        let told = changes(&[wave(1000, 3.0), wave(1000, 5000.0), wave(1000, 3.0)]);
        assert_eq!(
            told.iter().map(|c| c.active).collect::<Vec<_>>(),
            [true, false]
        );
        assert!((1000..=1060).contains(&told[0].at_ms), "{told:?}");
        assert!((1980..=2040).contains(&told[1].at_ms), "{told:?}");
    }

    #[test]
    fn silence_and_a_long_hum_are_no_speech() {
        assert_eq!(changes(&[vec![0; 48_000 * 5]]), []);
        let hum = changes(&[wave(60_000, 300.0)]);
        assert!(hum.last().is_none_or(|change| !change.active), "{hum:?}");
    }

    #[test]
    fn sums_are_exact_whatever_the_samples_are_and_however_they_come() {
        let mut seed = 20_261_128u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 48) as i16
        };
        let random: Vec<i16> = (0..5_000).map(|_| next()).collect();
        for samples in [
            &[][..],
            &[i16::MIN],
            &[i16::MIN; 3_000],
            &[i16::MAX; 3_000],
            &[-1; 961],
            &random,
        ] {
            let squares: i64 = samples.iter().map(|s| i64::from(*s).pow(2)).sum();
            let sum: i64 = samples.iter().map(|s| i64::from(*s)).sum();
            let peak = samples.iter().map(|s| s.unsigned_abs()).max();
            let wanted = Sums {
                count: samples.len() as i64,
                sum,
                squares,
                peak: peak.unwrap_or(0),
            };
            assert_eq!(Sums::of(samples), wanted);
            let mut parts = Sums::default();
            for part in samples.chunks(77) {
                parts.add(Sums::of(part));
            }
            assert_eq!(parts, wanted);
            let count = samples.len().max(1) as f64;
            let mean = sum as f64 / count;
            let spread = samples.iter().map(|s| (f64::from(*s) - mean).powi(2));
            let power = spread.sum::<f64>() / count / FULL_SCALE.powi(2);
            assert!((wanted.power() - power).abs() < 1e-9, "{power}");
        }
    }

    #[test]
    fn facts_are_per_frame() {
        let mut meter = LevelMeter::default();
        meter.push(&[i16::MIN; 4800], |_| {});
        let facts = meter.take_page();
        assert_eq!(
            (facts.samples, facts.peak, facts.mean_square),
            (4800, 32_768, 1.0)
        );
        assert_eq!(meter.take_page().samples, 0);
    }
}
