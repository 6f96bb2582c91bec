//! What the microphone hears, measured all the time: levels, noise floor, whether it hears anything, and one tone. Pure.
//!
//! Owns: the figures behind the level meter and the self-test. Never does: keep a sample longer than the 20 ms that are
//! measured together; only the recorder does, and only after consent.

use std::sync::{Mutex, PoisonError};

use booth_audio::Sums;
use gateway_core::microphone::Heard;

/// The tone of the self-test, Hz.
pub const TEST_HZ: f64 = 1_000.0;
/// Samples of one period of it.
const PERIOD: usize = booth_audio::RATE as usize / TEST_HZ as usize;
/// Samples of a block, 20 ms; 20 periods of the tone, so that its detector leaks nothing.
const BLOCK: usize = 20 * PERIOD;
/// Milliseconds of a block.
const BLOCK_MS: u64 = 20;
/// Blocks of the meter's level, 200 ms.
const RECENT: usize = 10;
/// The noise floor rises by this per block, 1 dB a second, and falls at once.
const FLOOR_RISE_DB: f64 = 0.02;
/// The level of digital silence, dBFS.
const SILENCE_DBFS: f64 = -120.0;

/// Levels of the last moments, for a meter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Root mean square of the last 200 ms, dBFS.
    pub rms_dbfs: f64,
    /// Highest sample of the last 200 ms, dBFS.
    pub peak_dbfs: f64,
    /// The level that sound hardly ever falls below, dBFS.
    pub floor_dbfs: f64,
    /// For how many ms each sample has been the same as the one before: nothing is connected, or it is digital silence.
    pub constant_ms: u64,
    /// Samples so far; a meter that does not move shows a dead card.
    pub samples: u64,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            rms_dbfs: SILENCE_DBFS,
            peak_dbfs: SILENCE_DBFS,
            floor_dbfs: SILENCE_DBFS,
            constant_ms: 0,
            samples: 0,
        }
    }
}

/// The latest levels, for other threads to look at.
#[derive(Debug, Default)]
pub struct MicLevels(Mutex<Levels>);

impl MicLevels {
    /// The latest levels.
    pub fn get(&self) -> Levels {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces them.
    pub fn set(&self, levels: Levels) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = levels;
    }
}

/// Listens, block by block.
#[derive(Debug)]
pub struct Ear {
    /// The block that is being filled.
    block: Vec<i16>,
    /// One period of the tone.
    wave: [(f64, f64); PERIOD],
    last: i16,
    recent: [(f64, u16); RECENT],
    place: usize,
    floor_dbfs: Option<f64>,
    constant_ms: u64,
    samples: u64,
    heard: Heard,
    /// Power of the tone in the last blocks, for its moving average.
    tone: [f64; RECENT],
    /// Blocks since the last [`Ear::heard`].
    blocks: usize,
}

impl Default for Ear {
    fn default() -> Self {
        let angle = |at: usize| at as f64 / PERIOD as f64 * std::f64::consts::TAU;
        Self {
            block: Vec::with_capacity(BLOCK),
            wave: std::array::from_fn(|at| (angle(at).cos(), angle(at).sin())),
            last: 0,
            recent: [(0.0, 0); RECENT],
            place: 0,
            floor_dbfs: None,
            constant_ms: 0,
            samples: 0,
            heard: Heard::nothing(),
            tone: [0.0; RECENT],
            blocks: 0,
        }
    }
}

impl Ear {
    /// Takes samples in.
    pub fn push(&mut self, mut samples: &[i16]) {
        while !samples.is_empty() {
            let room = BLOCK - self.block.len();
            let (now, later) = samples.split_at(room.min(samples.len()));
            samples = later;
            self.block.extend_from_slice(now);
            if now.len() == room {
                self.end_block();
            }
        }
    }

    /// Power of the tone in the block, full scale = 1.0: one line of the Fourier transform. All periods are added up first,
    /// which is exact.
    fn tone(&self) -> f64 {
        let mut period = [0i32; PERIOD];
        for samples in self.block.chunks_exact(PERIOD) {
            for (sum, sample) in period.iter_mut().zip(samples) {
                *sum += i32::from(*sample);
            }
        }
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (sum, (cosine, sine)) in period.iter().zip(self.wave) {
            real += f64::from(*sum) * cosine;
            imaginary += f64::from(*sum) * sine;
        }
        2.0 * (real * real + imaginary * imaginary) / (BLOCK as f64 * 32_768.0).powi(2)
    }

    fn end_block(&mut self) {
        let sums = Sums::of(&self.block);
        let power = sums.power();
        let tone = self.tone();
        let last = std::mem::replace(&mut self.last, self.block[BLOCK - 1]);
        let moved = self.block.iter().any(|sample| *sample != last);
        self.block.clear();
        let level = dbfs(power);
        self.samples += BLOCK as u64;
        self.floor_dbfs = Some(match self.floor_dbfs {
            Some(floor) => (floor + FLOOR_RISE_DB).min(level),
            None => level,
        });
        self.constant_ms = match moved {
            true => 0,
            false => self.constant_ms + BLOCK_MS,
        };
        self.recent[self.place] = (power, sums.peak);
        self.tone[self.place] = tone;
        self.place = (self.place + 1) % RECENT;
        self.blocks += 1;
        self.heard.ms += BLOCK_MS;
        self.heard.moved |= moved;
        if self.blocks >= RECENT {
            let mean = self.tone.iter().sum::<f64>() / RECENT as f64;
            self.heard.tone_dbfs = self.heard.tone_dbfs.max(dbfs(mean));
        }
    }

    /// What was heard since the last call.
    pub fn heard(&mut self) -> Heard {
        self.blocks = 0;
        std::mem::replace(&mut self.heard, Heard::nothing())
    }

    /// Levels of the last moments.
    pub fn levels(&self) -> Levels {
        let power = self.recent.iter().map(|(power, _)| power).sum::<f64>() / RECENT as f64;
        let peak = self.recent.iter().map(|(_, peak)| *peak).max().unwrap_or(0);
        Levels {
            rms_dbfs: dbfs(power),
            peak_dbfs: dbfs((f64::from(peak) / 32_768.0).powi(2)),
            floor_dbfs: self.floor_dbfs.unwrap_or(SILENCE_DBFS),
            constant_ms: self.constant_ms,
            samples: self.samples,
        }
    }
}

/// Power relative to full scale, as a level.
fn dbfs(power: f64) -> f64 {
    (10.0 * power.max(1e-30).log10()).max(SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(ms: usize, hz: f64, amplitude: f64) -> Vec<i16> {
        let at = |i: usize| (i as f64 / 48_000.0 * hz * std::f64::consts::TAU).sin();
        (0..ms * 48).map(|i| (at(i) * amplitude) as i16).collect()
    }

    fn noise(ms: usize, amplitude: i64) -> Vec<i16> {
        let mut seed = 20_261_125u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((seed >> 33) as i64 % (2 * amplitude + 1) - amplitude) as i16
        };
        (0..ms * 48).map(|_| next()).collect()
    }

    #[test]
    fn levels_follow_what_is_heard() {
        let mut ear = Ear::default();
        ear.push(&wave(1_000, 440.0, 3_276.8));
        let levels = ear.levels();
        assert!((levels.rms_dbfs + 23.0).abs() < 0.2, "{levels:?}");
        assert!((levels.peak_dbfs + 20.0).abs() < 0.2, "{levels:?}");
        ear.push(&noise(1_000, 3));
        let levels = ear.levels();
        assert!(
            levels.floor_dbfs < -80.0 && levels.constant_ms == 0,
            "{levels:?}"
        );
        assert_eq!(levels.samples, 96_000);
    }

    #[test]
    fn a_card_that_gives_one_value_for_ever_is_told_from_a_quiet_room() {
        for value in [0, -1, 2_000] {
            let mut ear = Ear::default();
            ear.push(&vec![value; 48_000]);
            assert!(
                ear.levels().constant_ms >= 980,
                "{value}: {:?}",
                ear.levels()
            );
            ear.heard();
            ear.push(&vec![value; 48_000]);
            assert!(!ear.heard().moved, "{value}");
            ear.push(&noise(500, 1));
            assert!(
                ear.levels().constant_ms == 0 && ear.heard().moved,
                "{value}"
            );
        }
    }

    #[test]
    fn the_tone_is_found_in_noise_and_speech_like_sounds_are_not_the_tone() {
        let tone = |samples: &[i16]| {
            let mut ear = Ear::default();
            ear.push(samples);
            ear.heard().tone_dbfs
        };
        let quiet = wave(600, TEST_HZ, 200.0);
        let loud_noise = noise(600, 400);
        let both: Vec<i16> = quiet.iter().zip(&loud_noise).map(|(a, b)| a + b).collect();
        let alone = tone(&quiet);
        assert!((alone + 47.3).abs() < 0.3, "{alone}");
        assert!((tone(&both) - alone).abs() < 1.5, "{} {alone}", tone(&both));
        assert!(tone(&loud_noise) < alone - 12.0);
        for hz in [300.0, 425.0, 900.0, 1_100.0, 2_000.0, 3_000.0] {
            let leaked = tone(&wave(600, hz, 8_000.0));
            assert!(leaked < -15.0 - 25.0, "{hz}: {leaked}");
        }
    }
}
