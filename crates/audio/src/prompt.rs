//! A prompt for the centre's campaigns, made of any sound file: one channel, as loud as the booth's own voice, small enough to be
//! sent.
//!
//! Owns: trimming, levelling, the choice of the bit rate, the comments of such a file. Never does: open a file, or know what a prompt
//! is for.

use booth_contract::ogg_page::checksum;

use crate::loudness::{levelled, loudness};
use crate::opus::{Band, OggOpus, OpusError, SpeechEncoder};
use crate::samples::Samples;
use crate::sound::{MAX_SECONDS, Remedy, Unplayable, samples};

/// Largest file that is made, bytes (contract §3).
pub const MOST_PROMPT_BYTES: usize = 100 * 1024;
/// The loudness of the booth's own voice, LUFS: what src/adapters/voice holds measures −22.0 in Danish and −21.8 in English.
pub const OWN_VOICE_LUFS: f64 = -21.9;
/// Bit rates that are tried, bit/s: the first as citizens are recorded, so that eight prompts of 20 s are at a booth within 75 s over
/// 64 kbit/s; at the last one speech is still good to understand.
const BITRATES: [u32; 4] = [24_000, 20_000, 16_000, 12_000];
/// The encoder's effort, which is spent once for each prompt.
const COMPLEXITY: u8 = 10;
/// A part of this length is speech or silence.
const PART: Samples = Samples::in_ms(20);
/// What is so far below the loudness at either end is silence, dB.
const SILENT_BELOW: f64 = 30.0;
/// Silence that stays before the first sound.
const LEAD: Samples = Samples::in_ms(60);
/// Silence that stays behind the last sound.
const TAIL: Samples = Samples::in_ms(200);
/// A prompt is as loud as the own voice when it is this near, LU.
const NEAR: f64 = 0.5;
/// How often the level is corrected for what the encoder takes.
const MOST_ROUNDS: usize = 6;
/// A sound below this is noise, LUFS: brought to the booth's loudness it would be hiss alone.
const LEAST_LUFS: f64 = -60.0;

/// A prompt that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct MadePrompt {
    /// An Ogg Opus file.
    pub bytes: Vec<u8>,
    /// How long it plays.
    pub length: Samples,
    /// Its bit rate, bit/s.
    pub bitrate: u32,
    /// How loud it is, LUFS.
    pub loudness: f64,
}

/// Why no prompt was made.
#[derive(Debug, thiserror::Error)]
pub enum NoPrompt {
    /// The file cannot be read as sound.
    #[error("{0}")]
    Unplayable(#[from] Unplayable),
    /// Nobody would hear anything.
    #[error(
        "is silent: nothing in it is louder than noise. Record it again, nearer to the microphone"
    )]
    Silent,
    /// It does not fit at the lowest bit rate.
    #[error(
        "lasts {seconds} s, and a prompt has room for about {fits} s ({most} KiB at {least} kbit/s): shorten it, or make two of it",
        most = MOST_PROMPT_BYTES / 1024, least = BITRATES[BITRATES.len() - 1] / 1_000
    )]
    TooLong {
        /// How long it is, seconds; a file that the reader gave up is longer than this.
        seconds: u64,
        /// How much would fit, seconds.
        fits: u64,
    },
    /// The encoder.
    #[error("{0}")]
    Encoder(#[from] OpusError),
}

/// Makes a prompt of a sound file's bytes; `comments` are written into its comment header (RFC 7845 §5.2). The same bytes and comments
/// make the same prompt.
///
/// # Errors
/// A file that is no sound, silent, or too long.
pub fn made_prompt(bytes: &[u8], comments: &[(&str, &str)]) -> Result<MadePrompt, NoPrompt> {
    let sound = samples(bytes).map_err(|why| match why.remedy {
        Remedy::Shorten => NoPrompt::TooLong {
            seconds: MAX_SECONDS,
            fits: estimated_fit(),
        },
        _ => NoPrompt::Unplayable(why),
    })?;
    let loud = loudness(&sound).filter(|lufs| *lufs >= LEAST_LUFS);
    let loud = loud.ok_or(NoPrompt::Silent)?;
    let sound = trimmed(&sound, loud);
    let mut size = 0;
    for bitrate in BITRATES {
        let mut target = OWN_VOICE_LUFS;
        for _ in 0..MOST_ROUNDS {
            let at_level = levelled(sound, target).ok_or(NoPrompt::Silent)?;
            let made = encoded(&at_level, bitrate, checksum(bytes), comments)?;
            size = made.len();
            if size > MOST_PROMPT_BYTES {
                break;
            }
            // The encoder keeps nothing above 8 kHz: what is loud there is softer when it is played.
            let heard = loudness(&samples(&made)?).ok_or(NoPrompt::Silent)?;
            let lacks = OWN_VOICE_LUFS - heard;
            target += lacks;
            if lacks.abs() <= NEAR {
                return Ok(MadePrompt {
                    bytes: made,
                    length: Samples::of(sound),
                    bitrate,
                    loudness: heard,
                });
            }
        }
        if size <= MOST_PROMPT_BYTES {
            return Err(NoPrompt::Silent);
        }
    }
    let seconds = Samples::of(sound).ms().div_ceil(1_000);
    let fits = seconds * MOST_PROMPT_BYTES as u64 / size.max(1) as u64;
    Err(NoPrompt::TooLong { seconds, fits })
}

/// Seconds that fit at the lowest bit rate, with a tenth more for Ogg.
fn estimated_fit() -> u64 {
    let least = u64::from(BITRATES[BITRATES.len() - 1]);
    MOST_PROMPT_BYTES as u64 * 8 * 10 / (11 * least)
}

/// The sound without the silence around it.
fn trimmed(sound: &[i16], loud: f64) -> &[i16] {
    let part = PART.as_len();
    let is_heard = |part: &[i16]| {
        let squares: f64 = part
            .iter()
            .map(|s| (f64::from(*s) / 32_768.0).powi(2))
            .sum();
        10.0 * (squares / part.len() as f64).max(1e-20).log10() > loud - SILENT_BELOW
    };
    let mut heard = sound
        .chunks(part)
        .enumerate()
        .filter(|(_, part)| is_heard(part));
    let Some((first, _)) = heard.next() else {
        return sound;
    };
    let last = heard.next_back().map_or(first, |(place, _)| place);
    let from = (first * part).saturating_sub(LEAD.as_len());
    let to = ((last + 1) * part + TAIL.as_len()).min(sound.len());
    &sound[from..to]
}

fn encoded(
    sound: &[i16],
    bitrate: u32,
    serial: u32,
    comments: &[(&str, &str)],
) -> Result<Vec<u8>, OpusError> {
    let mut encoder = SpeechEncoder::new(bitrate, COMPLEXITY, Band::Wide)?;
    let mut stream = OggOpus::new(serial, encoder.pre_skip(), comments);
    stream.push(&mut encoder, sound)?;
    let mut bytes = stream.take_page();
    bytes.extend(stream.finish(&mut encoder)?);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn wav(samples: impl Iterator<Item = i16>, rate: u32, channels: u16) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut wav = hound::WavWriter::new(&mut bytes, spec).expect("a header");
        for sample in samples {
            for _ in 0..channels {
                wav.write_sample(sample).expect("written");
            }
        }
        wav.finalize().expect("written");
        bytes.into_inner()
    }

    /// Something like a voice: harmonics that come and go, of a pitch that moves, with breath.
    fn voice(rate: u32, amplitude: f64, seconds: f64) -> impl Iterator<Item = i16> {
        let mut seed = 20_261_129u64;
        let mut turn = 0.0;
        (0..(seconds * f64::from(rate)) as usize).map(move |at| {
            let time = at as f64 / f64::from(rate) * std::f64::consts::TAU;
            turn +=
                (140.0 + 40.0 * (0.31 * time).sin() + 15.0 * (1.7 * time).sin()) / f64::from(rate);
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let breath = (seed >> 40) as f64 / f64::from(1 << 24) - 0.5;
            let voiced: f64 = (1..12)
                .map(|n| (turn * f64::from(n) * std::f64::consts::TAU).sin() / f64::from(n))
                .sum();
            let swell = 0.55 + 0.45 * (2.5 * time).sin();
            ((voiced * swell + breath * (1.2 - swell)) * amplitude * 10_000.0) as i16
        })
    }

    fn played(made: &MadePrompt) -> Vec<i16> {
        samples(&made.bytes).expect("it plays")
    }

    #[test]
    fn loud_and_quiet_recordings_are_as_loud_as_the_booths_own_voice_when_they_are_played() {
        for (rate, amplitude, channels) in [
            (48_000, 1.6, 2),
            (44_100, 0.01, 1),
            (8_000, 0.2, 1),
            (22_050, 0.5, 1),
        ] {
            let file = wav(voice(rate, amplitude, 4.0), rate, channels);
            let made = made_prompt(&file, &[]).expect("a prompt");
            let heard = played(&made);
            let found = loudness(&heard).expect("it is heard");
            assert!(
                (found - OWN_VOICE_LUFS).abs() < 1.0,
                "{rate} {amplitude}: {found}"
            );
            let peak = heard
                .iter()
                .map(|s| s.unsigned_abs())
                .max()
                .expect("samples");
            assert!(peak < 32_000, "{rate} {amplitude}: {peak} is clipped");
            assert_eq!(made.bitrate, 24_000);
        }
    }

    #[test]
    fn the_silence_around_it_is_taken_off_and_the_pauses_in_it_stay() {
        let silence = || std::iter::repeat_n(0i16, 48_000 * 3);
        let words = || voice(48_000, 0.5, 2.0);
        let sound = silence()
            .chain(words())
            .chain(silence())
            .chain(words())
            .chain(silence());
        let made = made_prompt(&wav(sound, 48_000, 1), &[]).expect("a prompt");
        assert!(
            (7_000..7_400).contains(&made.length.ms()),
            "{:?}",
            made.length
        );
    }

    #[test]
    fn a_longer_prompt_gets_fewer_bits_and_none_is_larger_than_a_message_may_be() {
        let mut rates = Vec::new();
        for seconds in [10.0, 30.0, 42.0, 55.0] {
            let made = made_prompt(&wav(voice(16_000, 0.5, seconds), 16_000, 1), &[]);
            let made = made.unwrap_or_else(|why| panic!("{seconds}: {why}"));
            assert!(made.bytes.len() <= MOST_PROMPT_BYTES);
            rates.push(made.bitrate);
        }
        assert!(
            rates.is_sorted_by(|a, b| a >= b) && rates[0] > rates[3],
            "{rates:?}"
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_seconds_that_would() {
        for seconds in [85.0, 600.0] {
            let file = wav(voice(8_000, 0.5, seconds), 8_000, 1);
            let made = made_prompt(&file, &[]).map(|made| (made.bitrate, made.bytes.len()));
            let refused = made.expect_err("too long");
            let NoPrompt::TooLong { fits, .. } = refused else {
                panic!("{refused}");
            };
            assert!((50..80).contains(&fits), "{fits}");
            assert!(
                refused.to_string().contains(&format!("about {fits} s")),
                "{refused}"
            );
        }
    }

    #[test]
    fn silence_and_what_is_no_sound_are_refused() {
        let silent = made_prompt(&wav(std::iter::repeat_n(3, 48_000), 48_000, 1), &[]);
        assert!(matches!(silent, Err(NoPrompt::Silent)), "{silent:?}");
        let text = made_prompt(b"no sound at all", &[]);
        assert!(matches!(text, Err(NoPrompt::Unplayable(_))), "{text:?}");
    }

    #[test]
    fn what_is_said_stands_in_the_file_and_the_same_makes_the_same() {
        let file = wav(voice(48_000, 0.5, 1.0), 48_000, 1);
        let text = "Hvad synes du om pladsen? Æ ø å = ja".repeat(20);
        let comments = [("LANGUAGE", "da"), ("TEXT", text.as_str())];
        let made = made_prompt(&file, &comments).expect("a prompt");
        assert_eq!(crate::text(&made.bytes).as_deref(), Some(text.as_str()));
        assert_eq!(made_prompt(&file, &comments).expect("again"), made);
    }
}
