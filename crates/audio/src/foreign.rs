//! Sound in codings that are not ours: MP3, FLAC, AAC and ALAC in MP4, Vorbis, AIFF; read by symphonia.
//!
//! Owns: the use of that library, and its limits: no file may make it stop its program or keep it busy for ever.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use crate::mono::{Mixer, usual_shares};
use crate::sound::{Coded, MAX_SECONDS, Purpose, Remedy, Unplayable, too_long};

/// Most packets: 90 s of 1 ms each, more than any of these codings has.
const MOST_PACKETS: u64 = MAX_SECONDS * 1_000;
/// Damaged packets up to this number are gaps; with more, the whole file counts as damaged.
const MOST_DAMAGED: u64 = 10;
/// Most streams, one after the other.
const MOST_LINKS: u64 = 100;
/// Most of a tag or picture that is read, bytes.
const MOST_OF_A_TAG: usize = 64 * 1024;

/// Decodes such a file.
pub(crate) fn decoded(bytes: &[u8], purpose: Purpose) -> Result<Coded, Unplayable> {
    // A panic of the library must not end the booth, which would meet the same file at its next start.
    let done = catch_unwind(AssertUnwindSafe(|| read(bytes, purpose)));
    done.unwrap_or_else(|_| Err(Unplayable::new("cannot be decoded", Remedy::Convert)))
}

fn read(bytes: &[u8], purpose: Purpose) -> Result<Coded, Unplayable> {
    // The library keeps what it reads from for as long as it likes.
    let source = Box::new(Cursor::new(bytes.to_vec()));
    let stream = MediaSourceStream::new(source, Default::default());
    let tags = MetadataOptions::default()
        .limit_tag_bytes(Limit::Maximum(MOST_OF_A_TAG))
        .limit_visual_bytes(Limit::Maximum(MOST_OF_A_TAG));
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), tags)
        .map_err(|error| unplayable(&error))?;
    let (mut id, mut decoder) = opened(&*format)?;
    let mut mixer: Option<(Mixer, u32, usize)> = None;
    let (mut packets, mut damaged, mut links) = (0, 0, 1);
    let mut samples: Vec<f32> = Vec::new();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Another stream begins after the one that has ended.
            Err(Error::ResetRequired) if links < MOST_LINKS => {
                (id, decoder) = opened(&*format)?;
                links += 1;
                continue;
            }
            Err(error) => return Err(unplayable(&error)),
        };
        packets += 1;
        if packets > MOST_PACKETS {
            return Err(too_long());
        }
        if packet.track_id != id {
            continue;
        }
        let sound = match decoder.decode(&packet) {
            Ok(sound) => sound,
            Err(Error::DecodeError(_)) if damaged < MOST_DAMAGED => {
                damaged += 1;
                continue;
            }
            Err(error) => return Err(unplayable(&error)),
        };
        let (rate, channels) = (sound.spec().rate(), sound.num_planes());
        if sound.frames() == 0 {
            continue;
        }
        sound.copy_to_vec_interleaved(&mut samples);
        if mixer.is_none() {
            mixer = Some((
                Mixer::new(rate, usual_shares(channels), purpose)?,
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

/// Finds the stream to play, and its decoder.
fn opened(format: &dyn FormatReader) -> Result<(u32, Box<dyn AudioDecoder>), Unplayable> {
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(no_sound)?;
    let parameters = track.codec_params.as_ref().and_then(|codec| codec.audio());
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(
            parameters.ok_or_else(no_sound)?,
            &AudioDecoderOptions::default(),
        )
        .map_err(|error| unplayable(&error))?;
    Ok((track.id, decoder))
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
