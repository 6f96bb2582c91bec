//! WAV files, as recorders, pipes and sound editors write them.
//!
//! Owns: the chunks (RIFF, RF64, BW64), every plain coding of samples in them, and sizes that were never filled in. Never
//! does: trust a size more than the bytes that are there. symphonia's reader is not used here, because it refuses sizes that
//! contradict each other.

use crate::foreign;
use crate::mono::{self, MOST_CHANNELS, Mixer};
use crate::sound::{Coded, Remedy, Unplayable, Wanted};

/// A larger size is written by programs that do not know yet how long the sound will be: 0x7FFFF000 by sox and espeak,
/// 0xFFFFFFFF by ffmpeg.
const PLACEHOLDER: u64 = 0x7000_0000;
/// Bytes that may be missing at the end: some programs count a header as part of the sound.
const SLOPPY: u64 = 64;
/// Most chunks before the sound.
const MOST_CHUNKS: usize = 10_000;
/// A channel that never leaves this is empty, full scale being 1: −60 dBFS.
const SILENT: f32 = 0.001;
/// Frames that are taken at a time.
const BLOCK: usize = 4_096;
/// Known names of chunks; they show whether there is a pad byte before a chunk.
const KNOWN: [&[u8; 4]; 22] = [
    b"data", b"fmt ", b"fact", b"LIST", b"INFO", b"JUNK", b"junk", b"PAD ", b"bext", b"iXML",
    b"cue ", b"smpl", b"inst", b"plst", b"note", b"labl", b"PEAK", b"id3 ", b"ID3 ", b"ds64",
    b"axml", b"levl",
];

/// How a sample is written (Microsoft's `mmreg.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Integer,
    Float,
    ALaw,
    MuLaw,
    Mpeg,
}

/// What the `fmt ` chunk says.
struct Form {
    coding: Coding,
    channels: usize,
    rate: u32,
    /// Bytes of one sample.
    width: usize,
}

/// Takes a WAV file apart.
pub(crate) fn from_wav(bytes: &[u8], wanted: Wanted) -> Result<Coded, Unplayable> {
    let (form, sound) = chunks(bytes)?;
    if form.coding == Coding::Mpeg {
        return foreign::decoded(sound, wanted);
    }
    let mut mixer = Mixer::new(form.rate, shares(&form, sound), wanted)?;
    let frame = form.channels * form.width;
    let mut block = Vec::with_capacity(BLOCK * form.channels);
    for some in sound[..sound.len() / frame * frame].chunks(BLOCK * frame) {
        block.clear();
        let samples = some.chunks_exact(form.width);
        block.extend(samples.map(|sample| value(form.coding, sample)));
        mixer.push(&block)?;
    }
    mixer.finish()
}

/// The share of each channel in the mix. A silent channel gets none: recorders write one microphone to the left of two
/// channels.
fn shares(form: &Form, sound: &[u8]) -> Vec<f32> {
    let mut shares = mono::usual_shares(form.channels);
    let mut is_heard = vec![false; form.channels];
    for frame in sound.chunks_exact(form.channels * form.width) {
        let samples = frame.chunks_exact(form.width);
        for (is_heard, sample) in is_heard.iter_mut().zip(samples) {
            *is_heard |= value(form.coding, sample).abs() > SILENT;
        }
    }
    let pairs = || shares.iter().zip(&is_heard);
    let whole: f32 = pairs().filter(|(_, is)| **is).map(|(share, _)| share).sum();
    if whole > 0.0 {
        shares = pairs()
            .map(|(share, is)| if *is { share / whole } else { 0.0 })
            .collect();
    }
    shares
}

/// The form and the sound.
fn chunks(bytes: &[u8]) -> Result<(Form, &[u8]), Unplayable> {
    let mut form = None;
    let mut long_size = None;
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(head) = bytes.get(at..at + 8) else {
            break;
        };
        let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
        let inside = &bytes[at + 8..];
        let there = inside.len() as u64;
        match &head[..4] {
            b"fmt " => {
                let length = size.min(there).min(64) as usize;
                form = Some(form_of(&inside[..length])?);
            }
            // The 64-bit sizes of RF64 (EBU Tech 3306).
            b"ds64" => {
                let said = inside.get(8..16).and_then(|said| said.try_into().ok());
                long_size = said.map(u64::from_le_bytes);
            }
            b"data" => {
                let form = form.ok_or_else(|| {
                    Unplayable::new(
                        "does not say how its sound is written (no fmt chunk before the sound)",
                        Remedy::Convert,
                    )
                })?;
                let said = match long_size {
                    Some(long) if size == u64::from(u32::MAX) => long,
                    _ => size,
                };
                return Ok((form, sound(inside, said)?));
            }
            _ => {}
        }
        let Some(next) = after(bytes, at + 8, size) else {
            break;
        };
        at = next;
    }
    let what = match form {
        Some(_) => "is cut short: it has no sound in it (no data chunk)",
        None => "is cut short: its header is not whole",
    };
    Err(Unplayable::new(what, Remedy::Again))
}

/// Where the chunk after one of this size begins. A chunk of odd size is followed by a pad byte, which not every program
/// writes.
fn after(bytes: &[u8], inside: usize, size: u64) -> Option<usize> {
    let end = inside.checked_add(usize::try_from(size).ok()?)?;
    let name = |at: usize| bytes.get(at..)?.first_chunk::<4>();
    if end > bytes.len() {
        return None;
    }
    if size.is_multiple_of(2) {
        return Some(end);
    }
    let is_known = |at: usize| name(at).is_some_and(|name| KNOWN.contains(&name));
    let is_name =
        |at: usize| name(at).is_some_and(|name| name.iter().all(|byte| (32..127).contains(byte)));
    let is_unpadded = match (is_known(end + 1), is_known(end)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => !is_name(end + 1) && is_name(end),
    };
    Some(if is_unpadded { end } else { end + 1 })
}

/// The bytes of the sound, whose size may be a placeholder.
fn sound(there: &[u8], said: u64) -> Result<&[u8], Unplayable> {
    let length = there.len() as u64;
    let is_unknown = match said {
        // A size of 0 was not filled in, or the sound is empty: then another chunk or the end follows.
        0 => !there
            .first_chunk::<4>()
            .is_some_and(|name| KNOWN.contains(&name)),
        said => said >= PLACEHOLDER,
    };
    if is_unknown {
        return Ok(there);
    }
    if said > length + SLOPPY {
        let what = format!("is cut short: {length} of {said} bytes of sound are there");
        return Err(Unplayable::new(what, Remedy::Again));
    }
    Ok(&there[..said.min(length) as usize])
}

fn form_of(fmt: &[u8]) -> Result<Form, Unplayable> {
    let short = |at: usize| {
        let bytes = fmt.get(at..at + 2)?;
        Some(u16::from_le_bytes([bytes[0], bytes[1]]))
    };
    let cut = || Unplayable::new("is cut short: its header is not whole", Remedy::Again);
    let tag = short(0).ok_or_else(cut)?;
    let channels = usize::from(short(2).ok_or_else(cut)?);
    let rate = fmt.get(4..8).and_then(|rate| rate.try_into().ok());
    let rate = u32::from_le_bytes(rate.ok_or_else(cut)?);
    let align = usize::from(short(12).ok_or_else(cut)?);
    // The shortest form does not name the number of bits.
    let bits = short(14).map_or(0, usize::from);
    // WAVE_FORMAT_EXTENSIBLE: the tag is the beginning of its sub-format.
    let tag = match tag {
        0xfffe => short(24).unwrap_or(1),
        tag => tag,
    };
    let coding = match tag {
        1 => Coding::Integer,
        3 => Coding::Float,
        6 => Coding::ALaw,
        7 => Coding::MuLaw,
        0x50 | 0x55 => Coding::Mpeg,
        other => {
            let name = match other {
                2 | 0x11 => " (ADPCM)",
                0x31 => " (GSM)",
                0x14 | 0x40 | 0x45 | 0x64 | 0x65 => " (G.72x)",
                0x161..=0x163 => " (Windows Media)",
                _ => "",
            };
            let what =
                format!("is WAV of the coding 0x{other:02x}{name}, which the booth does not read");
            return Err(Unplayable::new(what, Remedy::Convert));
        }
    };
    if !(1..=MOST_CHANNELS).contains(&channels) {
        let what = format!("has {channels} channels, not 1 to {MOST_CHANNELS}");
        return Err(Unplayable::new(what, Remedy::Convert));
    }
    // A sample fills whole bytes; the frame's size says how many, where it has a possible value.
    let by_bits = bits.div_ceil(8);
    let by_frame = align / channels;
    let width = match (by_bits, by_frame) {
        (0, frame) => frame,
        (bits, frame) if align % channels == 0 && frame > bits => frame,
        (bits, _) => bits,
    };
    let is_right = match coding {
        Coding::Integer => (1..=4).contains(&width),
        Coding::Float => width == 4 || width == 8,
        Coding::ALaw | Coding::MuLaw => width == 1,
        Coding::Mpeg => true,
    };
    if !is_right {
        let what =
            format!("has samples of {bits} bits in {width} bytes, which the booth does not read");
        return Err(Unplayable::new(what, Remedy::Convert));
    }
    Ok(Form {
        coding,
        channels,
        rate,
        width,
    })
}

/// One sample, full scale being 1.
fn value(coding: Coding, bytes: &[u8]) -> f32 {
    match (coding, bytes) {
        (Coding::ALaw, [byte]) => f32::from(a_law(*byte)) / 32_768.0,
        (Coding::MuLaw, [byte]) => f32::from(mu_law(*byte)) / 32_768.0,
        (Coding::Float, [a, b, c, d]) => f32::from_le_bytes([*a, *b, *c, *d]),
        (Coding::Float, bytes) => bytes
            .first_chunk()
            .map_or(0.0, |bytes| f64::from_le_bytes(*bytes) as f32),
        // Samples of eight bits are unsigned.
        (_, [byte]) => (f32::from(*byte) - 128.0) / 128.0,
        // All others are left-justified, the highest byte last.
        (_, bytes) => {
            let whole = bytes
                .iter()
                .fold(0u32, |whole, byte| whole >> 8 | u32::from(*byte) << 24);
            whole.cast_signed() as f32 / 2_147_483_648.0
        }
    }
}

/// ITU-T G.711, table 1a, to 16 bits.
fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (segment, step) = (byte >> 4 & 7, i16::from(byte & 15) << 4);
    let level = match segment {
        0 => step + 8,
        _ => (step + 0x108) << (segment - 1),
    };
    if byte & 0x80 == 0 { -level } else { level }
}

/// ITU-T G.711, table 2a, to 16 bits.
fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let level = ((i16::from(byte & 15) << 3) + 0x84) << (byte >> 4 & 7);
    if byte & 0x80 == 0 {
        level - 0x84
    } else {
        0x84 - level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A WAV file of these chunks after the form.
    fn wav(fmt: &[u8], chunks: &[(&[u8; 4], u32, &[u8])]) -> Vec<u8> {
        let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
        bytes.extend(b"fmt ");
        bytes.extend((fmt.len() as u32).to_le_bytes());
        bytes.extend(fmt);
        for (name, size, inside) in chunks {
            bytes.extend(*name);
            bytes.extend(size.to_le_bytes());
            bytes.extend(*inside);
        }
        bytes
    }

    fn fmt(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
        let align = channels * bits.div_ceil(8);
        let mut fmt = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
        fmt.extend(rate.to_le_bytes());
        fmt.extend((rate * u32::from(align)).to_le_bytes());
        fmt.extend(align.to_le_bytes());
        fmt.extend(bits.to_le_bytes());
        fmt
    }

    fn samples(bytes: &[u8]) -> Result<u64, String> {
        let wanted = Wanted {
            purpose: crate::sound::Purpose::Play,
            most_seconds: crate::MAX_SECONDS,
            is_from_anybody: false,
        };
        let coded = from_wav(bytes, wanted).map_err(|why| why.what)?;
        Ok(coded.links.iter().map(|link| link.samples.count()).sum())
    }

    #[test]
    fn a_size_that_nobody_filled_in_is_the_rest_of_the_file() {
        let sound = [0; 3_200];
        for size in [
            0,
            0x7fff_f000,
            0x7fff_ffff,
            0x8000_0000,
            u32::MAX - 36,
            u32::MAX,
        ] {
            let bytes = wav(&fmt(1, 1, 16_000, 16), &[(b"data", size, &sound)]);
            assert_eq!(samples(&bytes), Ok(4_800), "{size:x}");
        }
        let short = wav(&fmt(1, 1, 16_000, 16), &[(b"data", 32_000, &sound)]);
        assert!(samples(&short).is_err_and(|why| why.contains("3200 of 32000")));
        let none = wav(&fmt(1, 1, 16_000, 16), &[(b"data", 0, b"LIST\0\0\0\0")]);
        assert!(samples(&none).is_err_and(|why| why.contains("no sound")));
        // The header is counted in, and the last frame is not whole.
        let sloppy = wav(&fmt(1, 1, 16_000, 16), &[(b"data", 3_244, &[0; 3_201])]);
        assert_eq!(samples(&sloppy), Ok(4_800));
    }

    #[test]
    fn an_odd_chunk_is_passed_over_with_and_without_its_pad_byte() {
        let sound = [0; 3_200];
        let data = (b"data", 3_200, &sound[..]);
        for inside in [&b"abc\0"[..], b"abc", b"abc "] {
            for name in [b"bext", b"xyz1"] {
                let bytes = wav(&fmt(1, 1, 16_000, 16), &[(name, 3, inside), data]);
                assert_eq!(samples(&bytes), Ok(4_800), "{inside:?}");
            }
        }
    }

    #[test]
    fn every_length_of_the_form_is_read() {
        let sound = [0; 3_200];
        let plain = fmt(1, 1, 16_000, 16);
        let mut extensible = fmt(0xfffe, 1, 16_000, 16);
        extensible.extend([22, 0, 16, 0, 4, 0, 0, 0]);
        extensible.extend(*b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
        let longer = |length: usize| {
            let mut longer = plain.clone();
            longer.resize(length, 0);
            longer
        };
        for form in [
            plain[..14].to_vec(),
            plain.clone(),
            longer(18),
            longer(20),
            longer(40),
            extensible,
        ] {
            let bytes = wav(&form, &[(b"data", 3_200, &sound)]);
            assert_eq!(samples(&bytes), Ok(4_800), "{} bytes", form.len());
        }
        assert!(samples(&wav(&plain[..12], &[(b"data", 3_200, &sound)])).is_err());
    }

    #[test]
    fn every_coding_has_the_value_that_it_says() {
        use Coding::{ALaw, Float, Integer, MuLaw};
        let half: [(Coding, &[u8]); 9] = [
            (Integer, &[192]),
            (Integer, &[0, 0x40]),
            (Integer, &[0, 0, 0x40]),
            (Integer, &[0, 0, 0, 0x40]),
            (Float, &0.5f32.to_le_bytes()),
            (Float, &0.5f64.to_le_bytes()),
            // G.711's values nearest to a half of its full scale.
            (ALaw, &[0xa5]),
            (MuLaw, &[0x8f]),
            (Integer, &[0xff, 0x3f]),
        ];
        for (coding, bytes) in half {
            let is = value(coding, bytes);
            assert!((0.49..0.53).contains(&is), "{coding:?} {bytes:x?}: {is}");
        }
        for (coding, bytes) in [
            (Integer, &[128][..]),
            (Integer, &[0, 0]),
            (MuLaw, &[0xff]),
            (MuLaw, &[0x7f]),
        ] {
            assert_eq!(value(coding, bytes), 0.0);
        }
        assert_eq!(value(Integer, &[0, 0x80]), -1.0);
        assert_eq!((a_law(0xd5), a_law(0x55)), (8, -8));
        assert_eq!((a_law(0xaa), a_law(0x2a)), (32_256, -32_256));
        assert_eq!((mu_law(0x80), mu_law(0)), (32_124, -32_124));
    }

    #[test]
    fn channels_rates_and_widths_that_are_read_keep_their_length() {
        for (tag, channels, rate, bits) in [
            (1, 1, 8_000, 8),
            (1, 2, 44_100, 16),
            (1, 6, 48_000, 24),
            (1, 2, 96_000, 32),
            (1, 1, 16_000, 20),
            (3, 2, 48_000, 32),
            (3, 1, 48_000, 64),
            (6, 1, 8_000, 8),
            (7, 2, 8_000, 8),
        ] {
            let form = fmt(tag, channels, rate, bits);
            let width = usize::from(bits.div_ceil(8)) * usize::from(channels);
            let sound = vec![0; width * rate as usize / 2];
            let bytes = wav(&form, &[(b"data", sound.len() as u32, &sound)]);
            assert_eq!(
                samples(&bytes),
                Ok(24_000),
                "{tag} {channels} {rate} {bits}"
            );
        }
    }

    #[test]
    fn a_channel_in_which_nothing_stands_takes_nothing_from_the_others() {
        let stereo = fmt(1, 2, 16_000, 16);
        let form = form_of(&stereo).expect("a form");
        let left: Vec<u8> = [0, 0x20, 1, 0].repeat(100);
        assert_eq!(shares(&form, &left), [1.0, 0.0]);
        let both: Vec<u8> = [0, 0x20, 0, 0x20].repeat(100);
        assert_eq!(shares(&form, &both), [0.5, 0.5]);
        assert_eq!(shares(&form, &[0; 400]), [0.5, 0.5]);
    }

    #[test]
    fn what_is_not_read_is_named() {
        let sound = [0; 400];
        for (form, part) in [
            (fmt(0x45, 1, 8_000, 4), "G.72x"),
            (fmt(2, 1, 8_000, 4), "ADPCM"),
            (fmt(0x31, 1, 8_000, 8), "GSM"),
            (fmt(1, 0, 8_000, 8), "0 channels"),
            (fmt(1, 1, 23, 16), "23 samples per second"),
            (fmt(1, 1, 8_000, 64), "64 bits"),
            (fmt(3, 1, 8_000, 16), "16 bits"),
        ] {
            let why = samples(&wav(&form, &[(b"data", 400, &sound)]));
            assert!(
                why.as_ref().is_err_and(|why| why.contains(part)),
                "{part}: {why:?}"
            );
        }
    }

    #[test]
    fn the_longer_sizes_of_rf64_are_read() {
        let mut sizes = vec![0; 28];
        sizes[8..16].copy_from_slice(&3_200u64.to_le_bytes());
        let mut bytes = b"RF64\xff\xff\xff\xffWAVEds64".to_vec();
        bytes.extend((sizes.len() as u32).to_le_bytes());
        bytes.extend(&sizes);
        bytes.extend(&wav(&fmt(1, 1, 16_000, 16), &[(b"data", u32::MAX, &[0; 4_000])])[12..]);
        assert_eq!(samples(&bytes), Ok(4_800));
    }
}
