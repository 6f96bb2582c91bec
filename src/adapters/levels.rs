//! How loud, and whether somebody speaks. Pure; no clock, no device.
//!
//! The detector compares each 20 ms with a noise floor that falls at once and rises by 3 dB a second,
//! so that a hum or a passing lorry becomes floor, and calls it speech from 9 dB above the floor and
//! −50 dBFS on. Speech ends after 300 ms without.

use crate::spool::FrameFacts;

const FRAME: usize = 960;
const FRAME_MS: u64 = 20;
const ABOVE_FLOOR_DB: f64 = 9.0;
const LEAST_DBFS: f64 = -50.0;
const FLOOR_RISE_DB: f64 = 0.06; // per 20 ms
const HANGOVER_FRAMES: u32 = 15;

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
    frame: Vec<i16>,
    floor_db: f64,
    loud: u32,
    quiet: u32,
    active: bool,
    elapsed_ms: u64,
    facts: FrameFacts,
    squares: f64,
}

impl Default for LevelMeter {
    fn default() -> Self {
        Self {
            frame: Vec::with_capacity(FRAME),
            floor_db: -60.0,
            loud: 0,
            quiet: 0,
            active: false,
            elapsed_ms: 0,
            facts: FrameFacts::default(),
            squares: 0.0,
        }
    }
}

impl LevelMeter {
    /// Takes samples in; tells each change of voice.
    pub fn push(&mut self, samples: &[i16], mut changed: impl FnMut(VoiceChange)) {
        for sample in samples {
            let value = f64::from(*sample) / 32_768.0;
            self.squares += value * value;
            self.facts.samples += 1;
            self.facts.peak = self.facts.peak.max(sample.unsigned_abs());
            self.frame.push(*sample);
            if self.frame.len() == FRAME {
                self.judge(&mut changed);
                self.frame.clear();
            }
        }
    }

    fn judge(&mut self, changed: &mut impl FnMut(VoiceChange)) {
        self.elapsed_ms += FRAME_MS;
        // The mean is taken out, so that a card's constant offset is not loud.
        let mean = self.frame.iter().map(|s| f64::from(*s)).sum::<f64>() / FRAME as f64;
        let power = self
            .frame
            .iter()
            .map(|s| (f64::from(*s) - mean).powi(2))
            .sum::<f64>()
            / FRAME as f64;
        let db = 10.0 * (power / 32_768.0f64.powi(2) + 1e-12).log10();
        let speech = db > LEAST_DBFS && db > self.floor_db + ABOVE_FLOOR_DB;
        self.floor_db = if db < self.floor_db {
            db.max(-70.0)
        } else {
            self.floor_db + FLOOR_RISE_DB
        };
        if speech {
            self.loud += 1;
            self.quiet = 0;
            self.facts.speech |= self.loud >= 2;
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

    /// Facts of the frame since the last call.
    pub fn take_facts(&mut self) -> FrameFacts {
        let mut facts = std::mem::take(&mut self.facts);
        facts.mean_square =
            (std::mem::take(&mut self.squares) / f64::from(facts.samples.max(1))) as f32;
        facts
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
    fn facts_are_per_frame() {
        let mut meter = LevelMeter::default();
        meter.push(&[i16::MIN; 4800], |_| {});
        let facts = meter.take_facts();
        assert_eq!(
            (facts.samples, facts.peak, facts.mean_square),
            (4800, 32_768, 1.0)
        );
        assert_eq!(meter.take_facts().samples, 0);
    }
}
