//! Opens a sealed body, and says where one that is not whole ends.

use booth_contract::FrameFacts;
use booth_contract::ogg_page::{self, StreamEnd};
use booth_contract::written::TEXT_BEGINS;
use chacha20poly1305::Tag;
use chacha20poly1305::aead::AeadInOut;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use crate::body::BEFORE_ENVELOPE;
use crate::body::{FINAL, FRAME_COST, Frames, MAGIC, MAX_FRAME, SALT, commitment};
use crate::envelope::{self, EnvelopeError, MAX_BYTES, TAG};
use crate::key::{DataKey, Identity};

/// Why nothing of a body can be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Not of the form.
    #[error("this is no sealed clip: it does not begin like one")]
    NotSealed,
    /// Of another version.
    #[error("this clip is sealed in version {0} of the format; this program knows version 1")]
    Version(u8),
    /// It ends before its first frame.
    #[error("the clip ends within its head: nothing that was said is in it")]
    NoHead,
    /// The envelope cannot be opened.
    #[error("the clip's envelope cannot be opened: {0}")]
    Envelope(#[from] EnvelopeError),
    /// An envelope of another clip.
    #[error("the envelope belongs to another clip")]
    OtherClip,
    /// A key that is not this clip's.
    #[error("the envelope holds a key that does not belong to this clip")]
    OtherKey,
}

/// How a body ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With the frame that the booth sealed as the last.
    Whole,
    /// After a whole frame that was not the last. The power failed, or somebody cut the end off: the manifest says `recovered` in the first case.
    Cut,
    /// In the middle of a frame, which begins at this byte.
    CutWithin(u64),
    /// A frame was changed, dropped, repeated, moved or belongs to another clip; it begins at this byte.
    Damaged(u64),
    /// With the last frame; at this byte something follows that is no part of the clip.
    Followed(u64),
}

impl Ending {
    /// Whether everything is there that the booth sealed.
    pub fn has_all(&self) -> bool {
        matches!(self, Self::Whole | Self::Followed(_))
    }
}

/// An opened clip. What was said is overwritten when it is dropped, and never printed.
#[derive(Clone)]
pub struct Opened {
    /// The clip.
    pub clip: Uuid,
    /// A conformant Ogg Opus file (RFC 7845). Where the last frame is missing, a closing page of silence ends it.
    pub ogg: Zeroizing<Vec<u8>>,
    /// The body of a written message ([`booth_contract::written`]); then there is no sound.
    pub text: Option<Zeroizing<Vec<u8>>>,
    /// What is known of each frame's sound.
    pub facts: Vec<FrameFacts>,
    /// How the body ended.
    pub ending: Ending,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (clip, frames) = (self.clip, self.facts.len());
        write!(f, "Opened({clip}, {frames} frames, {:?})", self.ending)
    }
}

impl Opened {
    /// Kept samples, at 48 kHz.
    pub fn samples(&self) -> u64 {
        self.facts
            .iter()
            .map(|facts| u64::from(facts.samples))
            .sum()
    }
}

/// The head of a body: what stands before its frames.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The clip.
    pub clip: Uuid,
    salt: &'a [u8],
    commitment: &'a [u8],
    /// The age file with the clip's key.
    pub envelope: &'a [u8],
    /// Where the frames begin, in bytes.
    pub frames_at: usize,
}

impl<'a> Head<'a> {
    /// Reads the head of a body.
    pub fn read(body: &'a [u8]) -> Result<Self, OpenError> {
        let begins = &body[..body.len().min(MAGIC.len())];
        match (MAGIC.starts_with(begins), begins) {
            (true, _) => {}
            (false, [magic @ .., version]) if *magic == MAGIC[..7] => {
                return Err(OpenError::Version(*version));
            }
            (false, _) => return Err(OpenError::NotSealed),
        }
        let (fixed, rest) = body
            .split_at_checked(BEFORE_ENVELOPE)
            .ok_or(OpenError::NoHead)?;
        let clip: [u8; 16] = fixed[8..SALT].try_into().expect("16 bytes");
        let length: [u8; 4] = fixed[SALT..SALT + 4].try_into().expect("4 bytes");
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_BYTES {
            return Err(EnvelopeError::TooLong(length).into());
        }
        Ok(Self {
            clip: Uuid::from_bytes(clip),
            salt: &fixed[..SALT],
            commitment: &fixed[SALT + 4..],
            envelope: rest.get(..length).ok_or(OpenError::NoHead)?,
            frames_at: BEFORE_ENVELOPE + length,
        })
    }

    /// The clip's key, found in the envelope by one of the identities.
    pub fn key(&self, identities: &[Identity]) -> Result<DataKey, OpenError> {
        let content = envelope::open(self.envelope, identities)?;
        let (clip, key) = content.split_at_checked(16).ok_or(OpenError::OtherClip)?;
        if clip != self.clip.as_bytes() {
            return Err(OpenError::OtherClip);
        }
        DataKey::read(key).ok_or(OpenError::OtherKey)
    }
}

/// Bytes of a body that say whose it is: the format and the clip's id.
pub const NAME_BYTES: usize = SALT;

/// Whether a body that begins with these bytes, at least [`NAME_BYTES`], says that it is this clip's.
pub fn is_of(begins: &[u8], clip_id: &str) -> bool {
    let named = Uuid::parse_str(clip_id).ok();
    let said = begins.strip_prefix(&MAGIC).and_then(|rest| rest.get(..16));
    named.is_some_and(|clip| said == Some(clip.as_bytes()))
}

/// The length of the envelope of a body that begins with these bytes, as the body says it; `None` if it is no sealed body, or says
/// more than an envelope has.
pub fn envelope_length(begins: &[u8; BEFORE_ENVELOPE]) -> Option<usize> {
    if !begins.starts_with(&MAGIC) {
        return None;
    }
    let length: [u8; 4] = begins[SALT..SALT + 4].try_into().expect("4 bytes");
    let length = u32::from_le_bytes(length) as usize;
    (length <= MAX_BYTES).then_some(length)
}

/// Opens a body with one of the identities.
pub fn open(body: &[u8], identities: &[Identity]) -> Result<Opened, OpenError> {
    let head = Head::read(body)?;
    let key = head.key(identities)?;
    frames(body, &head, &key)
}

/// Opens a body with its own key: a booth that lets a citizen hear what was said.
pub fn open_with(body: &[u8], key: &DataKey) -> Result<Opened, OpenError> {
    frames(body, &Head::read(body)?, key)
}

fn frames(body: &[u8], head: &Head<'_>, key: &DataKey) -> Result<Opened, OpenError> {
    if *commitment(key, head.salt) != *head.commitment {
        return Err(OpenError::OtherKey);
    }
    let mut frames = Frames::new(key, head.salt);
    // Opened texts are shorter than sealed ones. A buffer that grew would leave speech behind in memory.
    let mut ogg = Zeroizing::new(Vec::with_capacity(body.len() + 1_024));
    let mut facts = Vec::new();
    let mut stream: Option<StreamEnd> = None;
    let mut is_text = false;
    let mut at = head.frames_at;
    let ending = loop {
        let rest = &body[at..];
        let Some((mark, after)) = rest.split_first_chunk::<4>() else {
            break match rest {
                [] => Ending::Cut,
                _ => Ending::CutWithin(at as u64),
            };
        };
        let marked = u32::from_le_bytes(*mark);
        let (length, is_final) = ((marked & !FINAL) as usize, marked & FINAL != 0);
        if !(FrameFacts::BYTES..=MAX_FRAME).contains(&length) {
            break Ending::Damaged(at as u64);
        }
        let Some((sealed, tag)) = after
            .get(..length + TAG)
            .and_then(|all| all.split_at_checked(length))
        else {
            break Ending::CutWithin(at as u64);
        };
        let mut text = Zeroizing::new(sealed.to_vec());
        let nonce = frames.nonce(is_final);
        let tag = Tag::try_from(tag).expect("16 bytes");
        let opened =
            frames
                .cipher()
                .decrypt_inout_detached(&nonce, mark, text.as_mut_slice().into(), &tag);
        let (Ok(()), Some((known, pages))) = (opened, FrameFacts::split(&text)) else {
            break Ending::Damaged(at as u64);
        };
        is_text |= facts.is_empty() && pages.starts_with(TEXT_BEGINS);
        if !pages.is_empty() && !is_text {
            match ogg_page::walk(pages, stream) {
                Some(end) => stream = Some(end),
                None => break Ending::Damaged(at as u64),
            }
        }
        ogg.extend_from_slice(pages);
        facts.push(known);
        at += length + FRAME_COST;
        if is_final {
            break match at == body.len() {
                true => Ending::Whole,
                false => Ending::Followed(at as u64),
            };
        }
    };
    let (ogg, text) = match is_text {
        true => (Zeroizing::default(), Some(ogg)),
        false => (ogg, None),
    };
    let mut opened = Opened {
        clip: head.clip,
        ogg,
        text,
        facts,
        ending,
    };
    if let Some(end) = stream
        && !end.has_ended
    {
        let page = ogg_page::closing_page(end, opened.samples());
        opened.ogg.extend_from_slice(&page);
    }
    Ok(opened)
}
