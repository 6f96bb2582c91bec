//! An answer from home: any sound that a browser or a telephone recorded becomes what a booth would have recorded.
//!
//! Owns: the form of such a recording (one channel, a booth's bit rate and pages) and its levels. Never does: open a file, make a
//! recording louder, or cut it. The same bytes make the same recording.

use booth_contract::FrameFacts;
use booth_contract::ogg_page::checksum;

use crate::levels::LevelMeter;
use crate::opus::{Band, OggOpus, OpusError, PAGE_SAMPLES, SpeechEncoder};
use crate::samples::Samples;
use crate::sound::{Sender, Unplayable, samples_of};

/// Bit rate, bit/s: a booth's.
const BITRATE: u32 = 24_000;
/// The encoder's effort: a booth's.
const COMPLEXITY: u8 = 5;
/// Below this peak nothing was recorded, of 32 768: a muted microphone gives zeros, or their noise after a lossy coding.
const SILENT_PEAK: u16 = 16;

/// A recording as a booth makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct MadeAnswer {
    /// An Ogg Opus file.
    pub bytes: Vec<u8>,
    /// Its levels.
    pub levels: Measured,
}

/// What is known of a sound as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// How long it plays.
    pub length: Samples,
    /// Loudness over the whole, dBFS; `None` for digital silence.
    pub rms_dbfs: Option<f64>,
    /// Its loudest sample, dBFS; `None` for digital silence.
    pub peak_dbfs: Option<f64>,
    /// Share of half seconds with speech in them, 0 to 1.
    pub speech_ratio: f64,
}

/// Why a sound is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It cannot be read.
    #[error("{0}")]
    Unplayable(#[from] Unplayable),
    /// Nothing is in it.
    #[error("is silent")]
    Silent,
    /// The encoder.
    #[error("{0}")]
    Encoder(#[from] OpusError),
}

/// Makes a booth's recording of a sound file's bytes, which may last `most_seconds`.
///
/// # Errors
/// What is no sound, too long, or silent.
pub fn made_answer(
    bytes: &[u8],
    most_seconds: u64,
    sender: Sender,
) -> Result<MadeAnswer, NoAnswer> {
    let sound = samples_of(bytes, most_seconds, sender)?;
    let peak = sound.iter().map(|sample| sample.unsigned_abs()).max();
    if peak.unwrap_or(0) < SILENT_PEAK {
        return Err(NoAnswer::Silent);
    }
    let mut encoder = SpeechEncoder::new(BITRATE, COMPLEXITY, Band::Wide)?;
    let mut stream = OggOpus::new(checksum(bytes), encoder.pre_skip(), &[]);
    let mut made = Vec::new();
    for half_second in sound.chunks(PAGE_SAMPLES.as_len()) {
        stream.push(&mut encoder, half_second)?;
        made.extend(stream.take_page());
    }
    made.extend(stream.finish(&mut encoder)?);
    Ok(MadeAnswer {
        bytes: made,
        levels: measured_of(&sound),
    })
}

/// Measures a sound file's bytes, which may last `most_seconds`.
///
/// # Errors
/// What is no sound, or too long.
pub fn measured(bytes: &[u8], most_seconds: u64) -> Result<Measured, Unplayable> {
    samples_of(bytes, most_seconds, Sender::Anybody).map(|sound| measured_of(&sound))
}

fn measured_of(sound: &[i16]) -> Measured {
    let mut meter = LevelMeter::default();
    let (mut energy, mut peak, mut frames, mut spoken) = (0.0, 0, 0_u64, 0_u64);
    for half_second in sound.chunks(PAGE_SAMPLES.as_len()) {
        meter.push(half_second, |_| ());
        let FrameFacts {
            samples,
            mean_square,
            peak: highest,
            speech,
        } = meter.take_page();
        energy += f64::from(mean_square) * f64::from(samples);
        peak = peak.max(highest);
        frames += 1;
        spoken += u64::from(speech);
    }
    let mean = energy / sound.len().max(1) as f64;
    let loudest = f64::from(peak) / 32_768.0;
    let rounded = |db: f64| (db * 10.0).round() / 10.0;
    Measured {
        length: Samples::of(sound),
        rms_dbfs: (mean > 0.0).then(|| rounded(10.0 * mean.log10())),
        peak_dbfs: (peak > 0).then(|| rounded(20.0 * loudest.log10())),
        speech_ratio: spoken as f64 / frames.max(1) as f64,
    }
}
