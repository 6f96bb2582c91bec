//! Sound in codings that are not ours: MP3, FLAC, AAC and ALAC in MP4, Vorbis, AIFF; read by symphonia. And Opus in WebM and MP4, as
//! browsers record it: symphonia takes the packets out, and our own decoder decodes them.
//!
//! Owns: the use of that library, and its limits: no file may make it stop its program or keep it busy for ever.

use std::io::Cursor;
use std::io::ErrorKind::UnexpectedEof;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use crate::mono::{MOST_CHANNELS, Mixer, usual_shares};
use crate::ogg;
use crate::samples::{self, Samples};
use crate::sound::{Coded, Remedy, Unplayable, Wanted, too_long};

/// Most packets of a second: more than any of these codings has.
const MOST_PACKETS: u64 = 1_000;
/// Longest packet of Opus (RFC 6716 §2): 120 ms.
const LONGEST_PACKET: usize = Samples::in_ms(120).as_len();
/// Bytes of an Opus header before its mapping (RFC 7845 §5.1).
const OPUS_HEAD: usize = 19;
/// Damaged packets up to this number are gaps; with more, the whole file counts as damaged.
const MOST_DAMAGED: u64 = 10;
/// Most streams, one after the other.
const MOST_LINKS: u64 = 100;
/// Most samples of a channel in a packet, for which a decoder takes memory before it has one: FLAC's longest.
const MOST_FRAMES: u64 = 65_536;
/// Most of a tag or picture that is read, bytes.
const MOST_OF_A_TAG: usize = 64 * 1024;

/// Decodes such a file.
pub(crate) fn decoded(bytes: &[u8], wanted: Wanted) -> Result<Coded, Unplayable> {
    // A panic of the library must not end the booth, which would meet the same file at its next start.
    let done = catch_unwind(AssertUnwindSafe(|| read(bytes, wanted)));
    done.unwrap_or_else(|_| Err(Unplayable::new("cannot be decoded", Remedy::Convert)))
}

fn read(bytes: &[u8], wanted: Wanted) -> Result<Coded, Unplayable> {
    // The library finds Ogg behind other bytes, too, and keeps something of each stream that has begun.
    ogg::few_streams(bytes)?;
    // The library keeps what it reads from for as long as it likes.
    let source = Box::new(Cursor::new(bytes.to_vec()));
    let stream = MediaSourceStream::new(source, Default::default());
    let tags = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(MOST_OF_A_TAG))
        .limit_visual_bytes(Limit::Maximum(MOST_OF_A_TAG));
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), tags)
        .map_err(|error| unplayable(&error))?;
    let (mut id, mut decoder) = opened(&*format, wanted)?;
    let mut mixer: Option<(Mixer, u32, usize)> = None;
    let (mut packets, mut damaged, mut links) = (0, 0, 1);
    let mut samples: Vec<f32> = Vec::new();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Another stream begins after the one that has ended.
            Err(Error::ResetRequired) if links < MOST_LINKS => {
                (id, decoder) = opened(&*format, wanted)?;
                links += 1;
                continue;
            }
            // A browser does not know the length while it records: its WebM ends where the file ends.
            Err(Error::IoError(why))
                if packets > 0 && why.kind() == UnexpectedEof && ends_with_its_file(bytes) =>
            {
                break;
            }
            Err(error) => return Err(unplayable(&error)),
        };
        packets += 1;
        if packets > MOST_PACKETS * wanted.most_seconds {
            return Err(too_long(wanted.most_seconds));
        }
        if packet.track_id != id {
            continue;
        }
        let (rate, channels) = match decoder.decode(&packet, &mut samples) {
            Ok(form) => form,
            Err(Error::DecodeError(_)) if damaged < MOST_DAMAGED => {
                damaged += 1;
                continue;
            }
            Err(error) => return Err(unplayable(&error)),
        };
        if samples.is_empty() {
            continue;
        }
        if mixer.is_none() {
            mixer = Some((
                Mixer::new(rate, usual_shares(channels), wanted)?,
                rate,
                channels,
            ));
        }
        match &mut mixer {
            Some((mixer, its_rate, its_channels))
                if (*its_rate, *its_channels) == (rate, channels) =>
            {
                mixer.push(&samples)?;
            }
            _ => {
                let what = "changes its sample rate or its channels on the way";
                return Err(Unplayable::new(what, Remedy::Convert));
            }
        }
    }
    let (mixer, ..) = mixer.ok_or_else(no_sound)?;
    mixer.finish()
}

/// Whether this is WebM whose segment has no length (RFC 8794 §6.2: all ones).
fn ends_with_its_file(bytes: &[u8]) -> bool {
    const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];
    let beginning = &bytes[..bytes.len().min(4_096)];
    let found = beginning.windows(4).position(|word| word == SEGMENT);
    let length = found.and_then(|at| bytes.get(at + 4..)).unwrap_or_default();
    bytes.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
        && (length.starts_with(&[0xff])
            || length.starts_with(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))
}

/// What decodes a stream.
enum Decoder {
    Theirs(Box<dyn AudioDecoder>),
    /// Opus, mixed to one channel by the decoder itself, and the samples that are left out at its start.
    Opus(opus::Decoder, usize),
}

impl Decoder {
    /// Replaces `samples` by those of a packet, the channels of each one after the other; answers their rate and their channels.
    fn decode(&mut self, packet: &Packet, samples: &mut Vec<f32>) -> Result<(u32, usize), Error> {
        samples.clear();
        match self {
            Self::Theirs(decoder) => {
                let sound = decoder.decode(packet)?;
                let form = (sound.spec().rate(), sound.num_planes());
                if sound.frames() > 0 {
                    sound.copy_to_vec_interleaved(samples);
                }
                Ok(form)
            }
            Self::Opus(decoder, skip) => {
                samples.resize(LONGEST_PACKET, 0.0);
                let decoded = decoder.decode_float(&packet.data, samples, false);
                samples.truncate(decoded.as_ref().map_or(0, |count| *count));
                decoded.map_err(|_| Error::DecodeError("opus: a damaged packet"))?;
                let skipped = samples.len().min(*skip);
                *skip -= skipped;
                samples.drain(..skipped);
                Ok((samples::RATE, 1))
            }
        }
    }
}

/// A decoder of Opus by its header (RFC 7845 §5.1). More than two channels come in several streams, which nobody records here.
fn opus_decoder(head: Option<&[u8]>) -> Result<Decoder, Unplayable> {
    let strange = || Unplayable::new("holds Opus of a form that is not read", Remedy::Convert);
    let head = head.unwrap_or_default();
    let is_plain = head.starts_with(b"OpusHead")
        && head.len() >= OPUS_HEAD
        && matches!(head[9], 1 | 2)
        && head[18] == 0;
    if !is_plain {
        return Err(strange());
    }
    let skip = u16::from_le_bytes([head[10], head[11]]);
    let decoder = opus::Decoder::new(samples::RATE, opus::Channels::Mono);
    let mut decoder = decoder.map_err(|_| strange())?;
    let gain = i16::from_le_bytes([head[16], head[17]]);
    decoder.set_gain(i32::from(gain)).map_err(|_| strange())?;
    Ok(Decoder::Opus(decoder, usize::from(skip)))
}

/// Finds the stream to play, and its decoder. Nothing catches an allocation that fails: what would need too much is refused before the
/// decoder is made.
fn opened(format: &dyn FormatReader, wanted: Wanted) -> Result<(u32, Decoder), Unplayable> {
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(no_sound)?;
    let parameters = track.codec_params.as_ref().and_then(|codec| codec.audio());
    let parameters = parameters.ok_or_else(no_sound)?;
    if parameters.codec == CODEC_ID_OPUS {
        return Ok((track.id, opus_decoder(parameters.extra_data.as_deref())?));
    }
    let channels = parameters.channels.as_ref().map_or(0, Channels::count);
    let frames = parameters.max_frames_per_packet.unwrap_or(0);
    if channels > MOST_CHANNELS || frames > MOST_FRAMES {
        let what = format!("has packets of {frames} samples in {channels} channels");
        return Err(Unplayable::new(what, Remedy::Convert));
    }
    // A few bytes of it may ask for 256 tables of 16 MB.
    if wanted.is_from_anybody && parameters.codec == CODEC_ID_VORBIS {
        let what = "is Vorbis, which is read from operators only";
        return Err(Unplayable::new(what, Remedy::Convert));
    }
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| unplayable(&error))?;
    Ok((track.id, Decoder::Theirs(decoder)))
}

fn no_sound() -> Unplayable {
    Unplayable::new("has no sound in it", Remedy::Again)
}

fn unplayable(error: &Error) -> Unplayable {
    // The library's own message is for programmers.
    log::debug!("{error}");
    match error {
        Error::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Unplayable::new("is cut short", Remedy::Again)
        }
        // An MP4 file whose end is missing lacks its table, which most programs write last.
        Error::Unsupported("isomp4: missing moov atom") => {
            Unplayable::new("is cut short", Remedy::Again)
        }
        Error::Unsupported(_) => Unplayable::new(
            "is in a coding that the booth does not read",
            Remedy::Convert,
        ),
        _ => Unplayable::new("is damaged and cannot be decoded", Remedy::Again),
    }
}
