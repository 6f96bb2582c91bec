//! Sound of any rate and number of channels becomes what the earpiece plays: one channel, 48 kHz, Opus.
//!
//! Owns: mixing, resampling and encoding, block by block, so that a long file of many channels is never decoded in memory as
//! a whole.

use crate::ogg::Link;
use crate::opus::{Band, PACKET_SAMPLES, SpeechEncoder};
use crate::samples::{self, Samples};
use crate::sound::{Coded, Purpose, Remedy, Unplayable, Wanted, too_long};

/// Sample rates that are speech.
pub(crate) const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;
/// Most channels of a file.
pub(crate) const MOST_CHANNELS: usize = 64;
/// The earpiece's rate, samples per second.
const RATE: u64 = samples::RATE as u64;
/// Bits per second of what is encoded here.
const BITRATE: u32 = 32_000;
/// Zero crossings of the filter on either side.
const CROSSINGS: usize = 16;
/// Positions between two samples at which the filter is known; for others, two neighbours are interpolated.
const PHASES: usize = 256;

/// Where a loudspeaker stands, as far as mixing to one channel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Front,
    Centre,
    Behind,
    Deep,
}

/// The share of each channel in one, by the coefficients of RFC 7845 §5.1.1.5 (its two channels' mean); together 1.
pub(crate) fn shares(places: &[Place]) -> Vec<f32> {
    let weight = |place: &Place| match place {
        Place::Front => 0.5,
        Place::Centre | Place::Deep => std::f32::consts::FRAC_1_SQRT_2,
        Place::Behind => 0.683,
    };
    let whole: f32 = places.iter().map(weight).sum();
    places
        .iter()
        .map(|place| weight(place) / whole.max(0.1))
        .collect()
}

/// The shares of this many channels in the order of WAV and most others: left, right, centre, deep, the rest.
pub(crate) fn usual_shares(channels: usize) -> Vec<f32> {
    use Place::{Behind, Centre, Deep, Front};
    match channels {
        3 => shares(&[Front, Front, Centre]),
        4 => shares(&[Front, Front, Behind, Behind]),
        5 => shares(&[Front, Front, Centre, Behind, Behind]),
        6..=8 => {
            let mut places = vec![Front, Front, Centre, Deep];
            places.resize(channels, Behind);
            shares(&places)
        }
        _ => vec![1.0 / channels.max(1) as f32; channels],
    }
}

/// Takes samples and makes a prompt of them.
pub(crate) struct Mixer {
    shares: Vec<f32>,
    resampler: Resampler,
    rate: u32,
    most_seconds: u64,
    /// How many samples of one channel came in.
    came: u64,
    sink: Sink,
    mono: Vec<f32>,
}

impl Mixer {
    /// A mixer for sound of this rate and these channels.
    pub(crate) fn new(rate: u32, shares: Vec<f32>, wanted: Wanted) -> Result<Self, Unplayable> {
        if !RATES.contains(&rate) {
            let (least, most) = (RATES.start(), RATES.end());
            let what = format!("has {rate} samples per second, not {least} to {most}");
            return Err(Unplayable::new(what, Remedy::Convert));
        }
        if shares.is_empty() || shares.len() > MOST_CHANNELS {
            let what = format!(
                "has {} channels, more than {MOST_CHANNELS} or none",
                shares.len()
            );
            return Err(Unplayable::new(what, Remedy::Convert));
        }
        let sink = match wanted.purpose {
            Purpose::Check => Sink::Count,
            Purpose::Play => Sink::Encode(Encoding::new()?),
            Purpose::Samples => Sink::Keep(Vec::new()),
        };
        Ok(Self {
            shares,
            resampler: Resampler::new(rate),
            rate,
            most_seconds: wanted.most_seconds,
            came: 0,
            sink,
            mono: Vec::new(),
        })
    }

    /// Takes frames, the channels of each one after the other, full scale being 1.
    pub(crate) fn push(&mut self, interleaved: &[f32]) -> Result<(), Unplayable> {
        let frames = interleaved.chunks_exact(self.shares.len());
        self.came += frames.len() as u64;
        if self.came > self.most_seconds * u64::from(self.rate) {
            return Err(too_long(self.most_seconds));
        }
        if matches!(self.sink, Sink::Count) {
            return Ok(());
        }
        self.mono.clear();
        self.mono.extend(frames.map(|frame| {
            let mixed: f32 = frame
                .iter()
                .zip(&self.shares)
                .map(|(s, part)| s * part)
                .sum();
            // A file of floating-point numbers may hold infinities and NaN.
            if mixed.is_finite() {
                mixed.clamp(-1.0, 1.0)
            } else {
                0.0
            }
        }));
        let mono = std::mem::take(&mut self.mono);
        let sink = &mut self.sink;
        let done = self.resampler.push(&mono, &mut |sample| sink.push(sample));
        self.mono = mono;
        done
    }

    /// The whole prompt; without packets if the file was only checked.
    pub(crate) fn finish(mut self) -> Result<Coded, Unplayable> {
        let samples = Samples::new(self.came * RATE / u64::from(self.rate));
        if samples == Samples::ZERO {
            return Err(Unplayable::new("has no sound in it", Remedy::Again));
        }
        let mut sink = self.sink;
        if !matches!(sink, Sink::Count) {
            self.resampler
                .flush(samples.count(), &mut |sample| sink.push(sample))?;
        }
        match sink {
            Sink::Count => Ok(Coded::default()),
            Sink::Encode(encoding) => encoding.finish(samples),
            Sink::Keep(kept) => Ok(Coded {
                kept: Some(kept),
                ..Coded::default()
            }),
        }
    }
}

/// Where the mixed samples go.
enum Sink {
    /// They are only counted.
    Count,
    Encode(Encoding),
    Keep(Vec<i16>),
}

impl Sink {
    fn push(&mut self, sample: f32) -> Result<(), Unplayable> {
        match self {
            Self::Count => Ok(()),
            Self::Encode(encoding) => encoding.push(sample),
            Self::Keep(kept) => {
                kept.push(whole(sample));
                Ok(())
            }
        }
    }
}

/// A sample of 16 bits.
fn whole(sample: f32) -> i16 {
    (sample * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16
}

/// Opus of what is pushed.
struct Encoding {
    encoder: SpeechEncoder,
    waiting: Vec<i16>,
    packets: Vec<Box<[u8]>>,
}

impl Encoding {
    fn new() -> Result<Self, Unplayable> {
        let encoder = SpeechEncoder::new(BITRATE, 5, Band::Wide).map_err(|error| broken(&error))?;
        Ok(Self {
            encoder,
            waiting: Vec::with_capacity(PACKET_SAMPLES),
            packets: Vec::new(),
        })
    }

    fn push(&mut self, sample: f32) -> Result<(), Unplayable> {
        self.waiting.push(whole(sample));
        if self.waiting.len() == PACKET_SAMPLES {
            let packet = self.encoder.packet(&self.waiting);
            let packet = packet.map_err(|error| broken(&error))?;
            self.packets.push(packet.into_boxed_slice());
            self.waiting.clear();
        }
        Ok(())
    }

    /// Plays out the encoder's delay.
    fn finish(mut self, samples: Samples) -> Result<Coded, Unplayable> {
        let skip = self.encoder.pre_skip();
        let wanted = (samples + skip).as_len().div_ceil(PACKET_SAMPLES);
        while self.packets.len() < wanted {
            self.push(0.0)?;
        }
        Ok(Coded {
            links: vec![Link::plain(self.packets, skip, samples)],
            kept: None,
        })
    }
}

fn broken(error: &dyn std::fmt::Display) -> Unplayable {
    Unplayable::new(error.to_string(), Remedy::Convert)
}

/// Converts any rate to 48 kHz by a windowed sinc, so that neither images nor frequencies beyond the new band are heard.
struct Resampler {
    rate: u64,
    /// Samples on either side of a position that the filter looks at.
    half: usize,
    /// The filter at each phase, `2 * half` long, and once more for the last phase's neighbour.
    filter: Vec<f32>,
    /// The samples that the filter still needs; begins with `half` zeros before the first sample.
    known: Vec<f32>,
    /// Position of the next sample in `known`, in parts of 1/48 000 of a sample.
    next: u64,
    made: u64,
}

impl Resampler {
    fn new(rate: u32) -> Self {
        let rate = u64::from(rate);
        // For a lower rate the filter is longer by as much as its band is narrower.
        let band = (RATE as f64 / rate as f64).min(1.0);
        let half = (CROSSINGS as f64 / band).ceil() as usize;
        let filter = match rate == RATE {
            true => Vec::new(),
            false => (0..=PHASES)
                .flat_map(|phase| row(phase, half, band))
                .collect(),
        };
        Self {
            rate,
            half,
            filter,
            known: vec![0.0; half],
            next: half as u64 * RATE,
            made: 0,
        }
    }

    fn push(
        &mut self,
        samples: &[f32],
        make: &mut dyn FnMut(f32) -> Result<(), Unplayable>,
    ) -> Result<(), Unplayable> {
        if self.rate == RATE {
            self.made += samples.len() as u64;
            return samples.iter().try_for_each(|sample| make(*sample));
        }
        self.known.extend_from_slice(samples);
        while (self.next / RATE) as usize + self.half < self.known.len() {
            make(self.at_next())?;
            self.next += self.rate;
            self.made += 1;
        }
        let past = ((self.next / RATE) as usize).saturating_sub(self.half);
        self.known.drain(..past.min(self.known.len()));
        self.next -= past as u64 * RATE;
        Ok(())
    }

    /// Makes the missing samples up to `samples`, and no more.
    fn flush(
        &mut self,
        samples: u64,
        make: &mut dyn FnMut(f32) -> Result<(), Unplayable>,
    ) -> Result<(), Unplayable> {
        let silence = vec![0.0; self.half];
        while self.made < samples {
            let left = samples - self.made;
            let mut count = 0;
            self.push(&silence, &mut |sample| {
                count += 1;
                if count <= left { make(sample) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    fn at_next(&self) -> f32 {
        let (place, part) = ((self.next / RATE) as usize, self.next % RATE);
        let phase = part as f64 * PHASES as f64 / RATE as f64;
        let (low, between) = (phase as usize, phase.fract() as f32);
        let length = 2 * self.half;
        let filter = &self.filter[low * length..(low + 2) * length];
        let (low, high) = filter.split_at(length);
        // The samples from `half - 1` before the position to `half` behind it.
        let around = &self.known[place + 1 - self.half..];
        let taps = around.iter().zip(low.iter().zip(high));
        taps.map(|(sample, (low, high))| sample * (low + (high - low) * between))
            .sum()
    }
}

/// The filter for a position this many 1/[`PHASES`] behind a sample: a sinc of this band under a Blackman window, with the
/// sum 1.
fn row(phase: usize, half: usize, band: f64) -> Vec<f32> {
    let behind = phase as f64 / PHASES as f64;
    let taps: Vec<f64> = (0..2 * half)
        .map(|tap| {
            let distance = tap as f64 - (half as f64 - 1.0) - behind;
            let angle = std::f64::consts::PI * distance;
            let sinc = match angle.abs() < 1e-9 {
                true => 1.0,
                false => (angle * band).sin() / (angle * band),
            };
            let turn = angle / half as f64;
            sinc * (0.42 + 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos()).max(0.0)
        })
        .collect();
    let whole: f64 = taps.iter().sum();
    taps.iter().map(|tap| (tap / whole) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resampled(rate: u32, samples: &[f32], piece: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(rate);
        let mut made = Vec::new();
        let mut make = |sample| {
            made.push(sample);
            Ok(())
        };
        for piece in samples.chunks(piece) {
            resampler.push(piece, &mut make).expect("made");
        }
        let wanted = samples.len() as u64 * RATE / u64::from(rate);
        resampler.flush(wanted, &mut make).expect("made");
        made
    }

    /// The level of a frequency, a full sine being 1 (Goertzel).
    fn level(samples: &[f32], hz: f64) -> f64 {
        let step = 2.0 * std::f64::consts::PI * hz / RATE as f64;
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in samples.iter().enumerate() {
            let angle = step * i as f64;
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        re.hypot(im) * 2.0 / samples.len() as f64
    }

    fn sine(rate: u32, hz: f64, count: usize) -> Vec<f32> {
        let step = 2.0 * std::f64::consts::PI * hz / f64::from(rate);
        (0..count).map(|i| (step * i as f64).sin() as f32).collect()
    }

    #[test]
    fn a_tone_of_any_rate_keeps_its_length_pitch_and_level_and_brings_no_image_of_itself() {
        for rate in [
            8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 384_000,
        ] {
            let count = rate as usize;
            let hz = 1_000.0;
            let made = resampled(rate, &sine(rate, hz, count), 1_000);
            assert_eq!(made.len(), 48_000, "{rate}");
            let whole = level(&made, hz);
            assert!((0.98..1.02).contains(&whole), "{rate}: {whole}");
            // Where the image of a lower rate would lie.
            let image = level(&made, f64::from(rate) - hz);
            if rate < 24_000 {
                assert!(image < 0.002, "{rate}: {image}");
            }
        }
    }

    #[test]
    fn what_lies_beyond_the_new_band_does_not_fold_back_into_it() {
        let made = resampled(96_000, &sine(96_000, 40_000.0, 48_000), 48_000);
        let folded = level(&made, 8_000.0);
        assert!(folded < 0.01, "{folded}");
    }

    #[test]
    fn pieces_of_any_size_make_the_same_sound() {
        let sound = sine(11_025, 440.0, 5_000);
        let whole = resampled(11_025, &sound, 5_000);
        for piece in [1, 7, 333] {
            assert_eq!(resampled(11_025, &sound, piece), whole, "{piece}");
        }
    }

    #[test]
    fn shares_are_one_together_and_a_centre_is_heard() {
        for channels in 1..=MOST_CHANNELS {
            let shares = usual_shares(channels);
            assert_eq!(shares.len(), channels);
            let whole: f32 = shares.iter().sum();
            assert!((0.999..1.001).contains(&whole), "{channels}: {whole}");
        }
        assert!(usual_shares(6)[2] > usual_shares(6)[0]);
        assert_eq!(usual_shares(2), [0.5, 0.5]);
    }
}
