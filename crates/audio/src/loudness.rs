//! How loud speech is to an ear, and bringing it to a loudness without clipping. Pure; no clock, no device.
//!
//! Owns: the measure of ITU-R BS.1770-5 for one channel at 48 kHz (K-weighting, blocks of 400 ms that overlap by three quarters,
//! a gate at −70 LUFS and one 10 LU below the mean), and a limiter that looks ahead. Never does: change what lies below the limit
//! by anything but one gain.

use std::collections::VecDeque;

use crate::samples::Samples;

/// Samples of a block of the gate.
const BLOCK: usize = Samples::in_ms(400).as_len();
/// From one block to the next.
const STEP: usize = Samples::in_ms(100).as_len();
/// Nothing below this is counted, LUFS.
const ABSOLUTE_GATE: f64 = -70.0;
/// Blocks so far below the mean of the others are pauses, LU.
const RELATIVE_GATE: f64 = 10.0;
/// What a sine of 997 Hz at full scale in one channel is corrected by, so that it measures −3.01 LUFS.
const OFFSET: f64 = -0.691;
/// Highest sample that is made, full scale being 1: −2 dBFS, because a decoder may overshoot what was encoded.
const CEILING: f32 = 0.794;
/// The limiter looks so far ahead and behind.
const REACH: usize = Samples::in_ms(5).as_len();
/// How often the gain is corrected for what the limiter took.
const MOST_ROUNDS: usize = 8;
/// The loudness is met when it is this near, LU.
const NEAR: f64 = 0.1;

/// A filter of the second order: feed-forward and feedback coefficients, and its memory.
struct Filter {
    forward: [f64; 3],
    back: [f64; 2],
    came: [f64; 2],
    made: [f64; 2],
}

impl Filter {
    const fn new(forward: [f64; 3], back: [f64; 2]) -> Self {
        Self {
            forward,
            back,
            came: [0.0; 2],
            made: [0.0; 2],
        }
    }

    fn next(&mut self, sample: f64) -> f64 {
        let [b0, b1, b2] = self.forward;
        let [a1, a2] = self.back;
        let made = b0 * sample + b1 * self.came[0] + b2 * self.came[1]
            - a1 * self.made[0]
            - a2 * self.made[1];
        self.came = [sample, self.came[0]];
        self.made = [made, self.made[0]];
        made
    }
}

/// The K-weighting at 48 kHz (ITU-R BS.1770-5, tables 1 and 2): a head's shelf, then a high pass.
fn weighting() -> [Filter; 2] {
    [
        Filter::new(
            [
                1.535_124_859_586_97,
                -2.691_696_189_406_38,
                1.198_392_810_852_85,
            ],
            [-1.690_659_293_182_41, 0.732_480_774_215_85],
        ),
        Filter::new(
            [1.0, -2.0, 1.0],
            [-1.990_047_454_833_98, 0.990_072_250_366_21],
        ),
    ]
}

/// The loudness of a mean square, LUFS.
fn lufs(mean_square: f64) -> f64 {
    OFFSET + 10.0 * mean_square.max(1e-20).log10()
}

/// The loudness of speech without its pauses, LUFS; `None` where nothing is heard.
pub fn loudness(samples: &[i16]) -> Option<f64> {
    loudness_of(samples.iter().map(|sample| f32::from(*sample) / 32_768.0))
}

/// The same of samples whose full scale is 1. A sound shorter than a block is one block.
fn loudness_of(samples: impl Iterator<Item = f32>) -> Option<f64> {
    let [mut head, mut high] = weighting();
    let squares: Vec<f64> = samples
        .map(|sample| high.next(head.next(f64::from(sample))).powi(2))
        .collect();
    if squares.is_empty() {
        return None;
    }
    let block = BLOCK.min(squares.len());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let mut heard: Vec<f64> = squares
        .windows(block)
        .step_by(STEP)
        .map(mean)
        .filter(|power| lufs(*power) > ABSOLUTE_GATE)
        .collect();
    if heard.is_empty() {
        return None;
    }
    let gate = lufs(mean(&heard)) - RELATIVE_GATE;
    heard.retain(|power| lufs(*power) > gate);
    Some(lufs(mean(&heard)))
}

/// The samples at this loudness, limited. What is so uneven that the limiter would have to take more than it leaves comes out as near
/// as [`MOST_ROUNDS`] corrections bring it. `None` where nothing is heard.
pub(crate) fn levelled(samples: &[i16], target: f64) -> Option<Vec<i16>> {
    let mut gain = target - loudness(samples)?;
    let mut made = limited(samples, gain);
    for _ in 0..MOST_ROUNDS {
        let lacks = target - loudness_of(made.iter().copied())?;
        if lacks.abs() <= NEAR {
            break;
        }
        gain += lacks;
        made = limited(samples, gain);
    }
    let whole = |sample: f32| (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
    Some(made.into_iter().map(whole).collect())
}

/// The samples after a gain in dB, none above [`CEILING`]: around a peak the gain sinks, over 5 ms to either side.
fn limited(samples: &[i16], gain_db: f64) -> Vec<f32> {
    let gain = 10f64.powf(gain_db / 20.0) as f32;
    let loud: Vec<f32> = samples
        .iter()
        .map(|sample| f32::from(*sample) / 32_768.0 * gain)
        .collect();
    let wanted: Vec<f32> = loud
        .iter()
        .map(|sample| (CEILING / sample.abs().max(CEILING)).min(1.0))
        .collect();
    // The mean of the least shares within reach is nowhere above a sample's own share.
    let least = least_within_reach(&wanted);
    let shares = mean_within_reach(&least);
    let pairs = loud.iter().zip(shares);
    pairs.map(|(sample, share)| sample * share).collect()
}

/// For each place the least value within [`REACH`] of it.
fn least_within_reach(values: &[f32]) -> Vec<f32> {
    let mut waiting: VecDeque<usize> = VecDeque::new();
    let mut coming = 0;
    (0..values.len())
        .map(|place| {
            while coming < values.len().min(place + REACH + 1) {
                while waiting
                    .back()
                    .is_some_and(|last| values[*last] >= values[coming])
                {
                    waiting.pop_back();
                }
                waiting.push_back(coming);
                coming += 1;
            }
            while waiting.front().is_some_and(|first| first + REACH < place) {
                waiting.pop_front();
            }
            waiting.front().map_or(1.0, |first| values[*first])
        })
        .collect()
}

/// For each place the mean of the values within [`REACH`] of it.
fn mean_within_reach(values: &[f32]) -> Vec<f32> {
    let mut sum = 0.0f64;
    let (mut first, mut end) = (0, 0);
    (0..values.len())
        .map(|place| {
            while end < values.len().min(place + REACH + 1) {
                sum += f64::from(values[end]);
                end += 1;
            }
            while first + REACH < place {
                sum -= f64::from(values[first]);
                first += 1;
            }
            // Sums of so many parts differ from the true one in their last digits, to either side.
            ((sum / (end - first) as f64) as f32).min(1.0) * 0.999_9
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, amplitude: f64, seconds: f64) -> Vec<i16> {
        (0..(seconds * 48_000.0) as usize)
            .map(|at| {
                let angle = at as f64 * hz / 48_000.0 * std::f64::consts::TAU;
                (angle.sin() * amplitude * 32_767.0) as i16
            })
            .collect()
    }

    fn near(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found - wanted).abs() < 0.1)
    }

    #[test]
    fn a_full_sine_of_997_hz_measures_what_the_recommendation_says() {
        assert!(near(loudness(&sine(997.0, 1.0, 5.0)), -3.01));
        assert!(near(loudness(&sine(997.0, 0.1, 5.0)), -23.01));
        // Deep tones are less loud to an ear.
        assert!(loudness(&sine(40.0, 0.1, 5.0)).is_some_and(|lufs| lufs < -25.0));
    }

    #[test]
    fn pauses_do_not_count_and_silence_has_no_loudness() {
        let mut speech = sine(997.0, 0.1, 3.0);
        speech.extend(vec![0; 48_000 * 20]);
        // The three blocks at its end are partly silent.
        assert!(near(loudness(&speech), -23.23), "{:?}", loudness(&speech));
        assert_eq!(loudness(&vec![0; 48_000]), None);
        assert_eq!(loudness(&[]), None);
        assert!(loudness(&sine(997.0, 0.1, 0.05)).is_some());
    }

    #[test]
    fn loud_quiet_and_uneven_sounds_come_to_the_same_loudness_and_none_is_clipped() {
        // Clicks at full scale over a soft voice: one gain alone would have to cut them.
        let mut uneven = sine(300.0, 0.02, 4.0);
        for click in uneven.chunks_mut(20_000) {
            click[..40].fill(30_000);
        }
        for sound in [
            sine(500.0, 0.99, 3.0),
            sine(500.0, 0.001, 3.0),
            sine(500.0, 0.1, 0.2),
            uneven,
        ] {
            let made = levelled(&sound, -21.9).expect("it is heard");
            assert_eq!(made.len(), sound.len());
            let found = loudness(&made);
            assert!(near(found, -21.9), "{found:?}");
            let peak = made.iter().map(|s| s.unsigned_abs()).max();
            assert!(peak.is_some_and(|peak| peak <= 26_020), "{peak:?}");
        }
        assert_eq!(levelled(&[0; 48_000], -21.9), None);
    }

    #[test]
    fn what_lies_below_the_limit_is_changed_by_one_gain_alone() {
        let sound = sine(500.0, 0.1, 1.0);
        let made = limited(&sound, 6.0);
        let gain = 10f32.powf(0.3) * 0.999_9;
        for (made, sample) in made.iter().zip(&sound) {
            assert!((made - f32::from(*sample) / 32_768.0 * gain).abs() < 1e-4);
        }
    }
}
