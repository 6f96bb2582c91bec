//! What a file is by its first bytes, not by its name, and what to do about a file that cannot be played.
//!
//! Owns: the choice of the reader, and the kind of remedy of each fault. Never does: rely on a file's ending, or know its name.

use std::borrow::Cow;

use crate::ogg::{self, Inside, Link};
use crate::player::Player;
use crate::{foreign, wav};

/// Longest sound that is taken, seconds.
pub const MAX_SECONDS: u64 = 90;
/// Most tags of ID3v2 that are passed over.
const MOST_TAGS: usize = 8;

/// Why a file cannot be played, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unplayable {
    /// The reason, which follows the file's name in a sentence: "is cut short".
    pub what: String,
    /// What to do.
    pub remedy: Remedy,
}

/// What to do about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Turn it into Opus; it is whole.
    Convert,
    /// It was damaged on its way: copy it again.
    Again,
    /// Cut it.
    Shorten,
    /// It is an archive.
    Unpack,
}

impl Unplayable {
    /// A reason with its remedy.
    pub fn new(what: impl Into<String>, remedy: Remedy) -> Self {
        Self {
            what: what.into(),
            remedy,
        }
    }
}

/// A whole sound, encoded: one stream, or several one behind the other.
#[derive(Debug, Clone, Default)]
pub struct Coded {
    pub(crate) links: Vec<Link>,
    /// The samples of a file that was read for them, and was not Opus.
    pub(crate) kept: Option<Vec<i16>>,
}

/// What a file is read for, and how much of it at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub purpose: Purpose,
    /// A longer sound is refused, seconds.
    pub most_seconds: u64,
    /// Nobody answers for the file: what takes much memory for few bytes is refused.
    pub is_from_anybody: bool,
}

/// Who made a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Anybody who found the form.
    Anybody,
    /// Whoever runs the campaign.
    Operator,
}

/// What a file is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Only to know whether it can be played.
    Check,
    /// To be played: it becomes Opus.
    Play,
    /// For its samples, so that no second encoding takes from it.
    Samples,
}

impl Coded {
    /// Begins to play it.
    pub fn player(&self) -> Player<'_> {
        Player::of(Cow::Borrowed(&self.links))
    }

    /// Begins to play it, and lets go of it at its end.
    pub fn into_player(self) -> Player<'static> {
        Player::of(Cow::Owned(self.links))
    }
}

pub(crate) fn too_long(seconds: u64) -> Unplayable {
    let what = format!("is longer than {seconds} s");
    Unplayable::new(what, Remedy::Shorten)
}

/// Makes Opus of a file's bytes.
pub fn coded(bytes: &[u8]) -> Result<Coded, Unplayable> {
    read(bytes, Purpose::Play)
}

/// The samples of a file's bytes, one channel at 48 kHz.
pub fn samples(bytes: &[u8]) -> Result<Vec<i16>, Unplayable> {
    samples_of(bytes, MAX_SECONDS, Sender::Operator)
}

/// The same for a sound that may be longer or shorter than a prompt.
pub(crate) fn samples_of(
    bytes: &[u8],
    most_seconds: u64,
    sender: Sender,
) -> Result<Vec<i16>, Unplayable> {
    let wanted = Wanted {
        purpose: Purpose::Samples,
        most_seconds,
        is_from_anybody: sender == Sender::Anybody,
    };
    let mut coded = read_as(bytes, wanted)?;
    if let Some(kept) = coded.kept.take() {
        return Ok(kept);
    }
    let mut player = coded.into_player();
    Ok(std::iter::from_fn(|| player.next_piece())
        .flatten()
        .collect())
}

/// Whether a file's bytes can be played, without the work of encoding them.
pub fn check(bytes: &[u8]) -> Result<(), Unplayable> {
    read(bytes, Purpose::Check).map(drop)
}

/// Whether a file's bytes are Ogg Opus that can be played. Nothing else is looked into: the file may come from anybody.
///
/// # Errors
/// Why not.
pub fn check_opus(bytes: &[u8]) -> Result<(), Unplayable> {
    if bytes.is_empty() {
        return Err(Unplayable::new("is empty", Remedy::Again));
    }
    let is_opus = bytes.starts_with(b"OggS") && matches!(ogg::inside(bytes), Inside::Opus);
    match is_opus {
        true => ogg::from_ogg(bytes).map(drop),
        false => Err(Unplayable::new("is no Ogg Opus", Remedy::Convert)),
    }
}

fn read(bytes: &[u8], purpose: Purpose) -> Result<Coded, Unplayable> {
    let wanted = Wanted {
        purpose,
        most_seconds: MAX_SECONDS,
        is_from_anybody: false,
    };
    read_as(bytes, wanted)
}

fn read_as(bytes: &[u8], wanted: Wanted) -> Result<Coded, Unplayable> {
    let bytes = without_tags(bytes);
    let refused = |what: &str, remedy| Err(Unplayable::new(what, remedy));
    match bytes {
        [] => refused("is empty", Remedy::Again),
        bytes if bytes.iter().all(|byte| *byte == 0) => refused(
            "holds nothing but zeros: its copying was cut off",
            Remedy::Again,
        ),
        [b'O', b'g', b'g', b'S', ..] => match ogg::inside(bytes) {
            Inside::Opus => ogg::from_ogg_within(bytes, wanted.most_seconds),
            Inside::Vorbis | Inside::Flac => foreign::decoded(bytes, wanted),
            Inside::Speex => refused("is Speex, which the booth does not read", Remedy::Convert),
            Inside::Other => refused(
                "is Ogg, but neither Opus nor Vorbis nor FLAC",
                Remedy::Convert,
            ),
        },
        [b'R', b'I', b'F', b'F', ..]
        | [b'R', b'F', b'6', b'4', ..]
        | [b'B', b'W', b'6', b'4', ..] => match bytes.get(8..12) {
            Some(b"WAVE") => wav::from_wav(bytes, wanted),
            Some(_) => refused("is RIFF, but no sound", Remedy::Convert),
            None => refused("is cut short: its header is not whole", Remedy::Again),
        },
        [b'f', b'L', b'a', b'C', ..] | [b'F', b'O', b'R', b'M', ..] => {
            foreign::decoded(bytes, wanted)
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => foreign::decoded(bytes, wanted),
        // Matroska and WebM, which browsers record.
        [0x1a, 0x45, 0xdf, 0xa3, ..] => foreign::decoded(bytes, wanted),
        // The synchronisation of MPEG audio and of AAC's transport stream: eleven bits.
        [0xff, second, ..] if second & 0xe0 == 0xe0 => foreign::decoded(bytes, wanted),
        [b'#', b'!', b'A', b'M', b'R', ..] => {
            refused("is AMR, a telephone's coding", Remedy::Convert)
        }
        [0x30, 0x26, 0xb2, 0x75, ..] => refused("is Windows Media", Remedy::Convert),
        [b'c', b'a', b'f', b'f', ..] => refused("is Apple's Core Audio", Remedy::Convert),
        [b'R', b'I', b'F', b'X', ..] => {
            refused("is WAV of the other byte order (RIFX)", Remedy::Convert)
        }
        [b'r', b'i', b'f', b'f', ..] => refused("is Sony's Wave64", Remedy::Convert),
        [b'.', b's', b'n', b'd', ..] => refused("is Sun's sound (au)", Remedy::Convert),
        [b'<', ..] => refused(
            "is a web page and no sound: its download failed",
            Remedy::Again,
        ),
        [b'P', b'K', ..] => refused("is a ZIP archive", Remedy::Unpack),
        _ => refused("is no sound file that the booth knows", Remedy::Convert),
    }
}

/// The bytes after the tags of ID3v2, which some programs put before any format (id3.org, §3.1).
fn without_tags(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    for _ in 0..MOST_TAGS {
        let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = rest else {
            break;
        };
        let size = [a, b, c, d]
            .into_iter()
            .fold(0, |size, part| size << 7 | usize::from(part & 0x7f));
        let footer = if flags & 0x10 == 0 { 0 } else { 10 };
        rest = rest.get(10 + size + footer..).unwrap_or_default();
        // Some programs write zeros after their tag.
        let padding = rest.iter().position(|byte| *byte != 0);
        rest = &rest[padding.unwrap_or(rest.len())..];
    }
    rest
}
