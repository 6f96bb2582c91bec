//! WAV prompts, mixed, resampled and encoded, so that all prompts are played the same way.

use std::io::Cursor;

use super::{Coded, MAX_SECONDS};
use crate::adapters::opus::{PACKET_SAMPLES, SpeechEncoder};
use crate::config::Band;

/// Sample rates of WAV files that are speech.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// A WAV file's samples, mixed to one channel.
pub(super) struct Speech {
    mono: Vec<f64>,
    /// Samples per second.
    rate: f64,
    /// Samples at 48 kHz.
    count: u64,
}

impl Speech {
    /// Reads 16-bit WAV of any rate and number of channels.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = hound::WavReader::new(Cursor::new(bytes))
            .map_err(|error| format!("is no valid WAV file: {error}"))?;
        let spec = reader.spec();
        if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
            return Err("is not 16-bit PCM; convert it with sox or to Opus".into());
        }
        if !RATES.contains(&spec.sample_rate) {
            return Err(format!(
                "has {} samples per second; use {} to {}",
                spec.sample_rate,
                RATES.start(),
                RATES.end()
            ));
        }
        let channels = usize::from(spec.channels.max(1));
        let all: Result<Vec<i16>, _> = reader.samples::<i16>().collect();
        let all = all.map_err(|error| format!("is cut short: {error}"))?;
        let mono: Vec<f64> = all
            .chunks_exact(channels)
            .map(|frame| {
                frame.iter().map(|sample| f64::from(*sample)).sum::<f64>() / channels as f64
            })
            .collect();
        let rate = f64::from(spec.sample_rate);
        let count = (mono.len() as f64 * 48_000.0 / rate) as u64;
        if count == 0 || count > MAX_SECONDS * 48_000 {
            return Err(format!("is empty or longer than {MAX_SECONDS} s"));
        }
        Ok(Self { mono, rate, count })
    }

    /// The sample at 48 kHz, between its neighbours in the file.
    fn at(&self, i: u64) -> i16 {
        let place = i as f64 * self.rate / 48_000.0;
        let (low, part) = (place as usize, place.fract());
        let low_value = self.mono.get(low).copied().unwrap_or(0.0);
        let high_value = self.mono.get(low + 1).copied().unwrap_or(low_value);
        (low_value + (high_value - low_value) * part) as i16
    }

    /// Encodes it, so that it is played like every other prompt.
    pub(super) fn coded(&self) -> Result<Coded, String> {
        let mut encoder =
            SpeechEncoder::new(32_000, 5, Band::Wide).map_err(|error| error.to_string())?;
        let skip = encoder.pre_skip() as usize;
        let mut packets = Vec::new();
        let mut next = 0;
        while next < self.count + skip as u64 {
            let piece: Vec<i16> = (next..next + PACKET_SAMPLES as u64)
                .map(|i| if i < self.count { self.at(i) } else { 0 })
                .collect();
            next += PACKET_SAMPLES as u64;
            packets.push(
                encoder
                    .packet(&piece)
                    .map_err(|error| error.to_string())?
                    .into_boxed_slice(),
            );
        }
        Ok(Coded {
            packets,
            skip,
            samples: self.count,
        })
    }
}
