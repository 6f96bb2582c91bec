//! Built-in tones that stand in for missing prompts, in the manner of ITU-T E.180.
//!
//! Owns: which tone stands for which prompt, and its samples. 425 Hz is the European call-progress tone.

use super::ear::TEST_HZ;
use booth_audio::{RATE, Samples};
use gateway_core::prompt::Prompt;

/// One stretch of a tone: two frequencies in Hz (0 = none) for some ms.
pub type Stretch = (f64, f64, u32);

/// The tone that stands in for a prompt; at most two seconds.
pub fn tone_for(prompt: &Prompt) -> &'static [Stretch] {
    match prompt {
        Prompt::Notice => &[
            (425.0, 0.0, 250),
            (0.0, 0.0, 100),
            (530.0, 0.0, 250),
            (0.0, 0.0, 100),
            (640.0, 0.0, 400),
        ],
        Prompt::Menu => &[
            (425.0, 0.0, 150),
            (0.0, 0.0, 100),
            (425.0, 0.0, 150),
            (0.0, 0.0, 300),
        ],
        Prompt::Question(_) | Prompt::Wanted(_) => &[(350.0, 440.0, 1200), (0.0, 0.0, 200)],
        Prompt::Tone => &[(1000.0, 0.0, 300)],
        Prompt::BoothName => &[(640.0, 0.0, 150), (0.0, 0.0, 150)],
        Prompt::Pause => &[(0.0, 0.0, 350)],
        // A tick, so that a report of many words stays short.
        Prompt::Word(_) => &[(530.0, 0.0, 60), (0.0, 0.0, 60)],
        Prompt::InLanguage(_, prompt) => tone_for(prompt),
        Prompt::Repeat => &[(530.0, 0.0, 200), (0.0, 0.0, 200)],
        Prompt::NoSuchQuestion | Prompt::TooShort => &[
            (425.0, 0.0, 200),
            (0.0, 0.0, 100),
            (320.0, 0.0, 400),
            (0.0, 0.0, 200),
        ],
        Prompt::LimitSoon => &[(1400.0, 0.0, 150)],
        Prompt::Thanks => &[(530.0, 0.0, 150), (640.0, 0.0, 150), (800.0, 0.0, 300)],
        Prompt::Goodbye => &[(640.0, 0.0, 200), (530.0, 0.0, 200), (425.0, 0.0, 400)],
        // Off-hook warning in cadence; never louder than a prompt.
        Prompt::OffHook => &[
            (425.0, 0.0, 250),
            (0.0, 0.0, 250),
            (425.0, 0.0, 250),
            (0.0, 0.0, 250),
        ],
        // The self-test's, at `ear::TEST_HZ`; played more softly than any other.
        Prompt::TestTone => &[(TEST_HZ, 0.0, 700)],
        // Special information tone: three rising tones (ITU-T E.180 §7).
        Prompt::OutOfOrder | Prompt::Emergency => &[
            (950.0, 0.0, 330),
            (1400.0, 0.0, 330),
            (1800.0, 0.0, 330),
            (0.0, 0.0, 1000),
        ],
    }
}

/// Samples, about −14 dBFS, with soft edges.
pub fn samples(stretches: &[Stretch]) -> Vec<i16> {
    let mut out = Vec::new();
    for (low, high, ms) in stretches {
        let count = Samples::in_ms(u64::from(*ms)).as_len();
        for i in 0..count {
            let at = i as f64 / f64::from(RATE);
            let edge = (i.min(count - 1 - i) as f64 / 240.0).min(1.0);
            let wave = |hz: f64| {
                if hz > 0.0 {
                    (at * hz * std::f64::consts::TAU).sin()
                } else {
                    0.0
                }
            };
            let both = if *high > 0.0 {
                (wave(*low) + wave(*high)) / 2.0
            } else {
                wave(*low)
            };
            out.push((both * edge * 6500.0) as i16);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::prompt::Word;

    #[test]
    fn no_tone_is_longer_than_two_seconds_or_silent() {
        let all = [
            Prompt::Notice,
            Prompt::Menu,
            Prompt::Tone,
            Prompt::Repeat,
            Prompt::NoSuchQuestion,
            Prompt::LimitSoon,
            Prompt::Thanks,
            Prompt::Goodbye,
            Prompt::TooShort,
            Prompt::OffHook,
            Prompt::OutOfOrder,
            Prompt::Emergency,
            Prompt::Question("x".into()),
            Prompt::BoothName,
            Prompt::Word(Word::NoFaults),
        ];
        for prompt in all {
            let samples = samples(tone_for(&prompt));
            assert!(samples.len() <= 96_000, "{prompt:?}");
            assert!(samples.iter().any(|sample| *sample > 3000), "{prompt:?}");
        }
        let pause = samples(tone_for(&Prompt::Pause));
        assert!(pause.len() > 9_600 && pause.iter().all(|sample| *sample == 0));
    }
}
