//! The sealed body of a clip, `sealed-ogg-opus/1`, as the booth writes it (docs/sealed-clip.md).

use booth_contract::FrameFacts;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::envelope::{self, EnvelopeError, TAG, derive};
use crate::key::{DataKey, Recipients};
use crate::random::Random;

/// How a sealed body begins: seven letters and the version.
pub(crate) const MAGIC: [u8; 8] = *b"BOOTHSC\x01";
/// Magic and clip id: the salt of every key of a clip, so that a key is good for one clip alone.
pub(crate) const SALT: usize = 24;
/// Bytes before the envelope: the salt, the envelope's length, the commitment.
pub const BEFORE_ENVELOPE: usize = SALT + 4 + 32;
/// The flag of the last frame, in its length.
pub(crate) const FINAL: u32 = 1 << 31;
/// Longest plaintext of a frame, in bytes.
pub const MAX_FRAME: usize = 65_536;
/// Bytes that a frame adds to its plaintext.
pub const FRAME_COST: usize = 4 + TAG;

/// The cipher of a clip's frames, and the number of the next one. A number is used once.
pub(crate) struct Frames {
    /// In one place of memory, which is overwritten at the end.
    cipher: Box<ChaCha20Poly1305>,
    number: u64,
}

impl Frames {
    pub(crate) fn new(key: &DataKey, salt: &[u8]) -> Self {
        let key = derive(key.bytes(), salt, b"booth sealed clip 1 frames");
        Self {
            cipher: Box::new(ChaCha20Poly1305::new((&*key).into())),
            number: 0,
        }
    }

    /// The nonce of the next frame: its number, 11 bytes big-endian, and whether it is the last.
    pub(crate) fn nonce(&mut self, is_final: bool) -> Nonce {
        let mut nonce = Nonce::default();
        nonce[3..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(is_final);
        self.number += 1;
        nonce
    }

    pub(crate) fn cipher(&self) -> &ChaCha20Poly1305 {
        &self.cipher
    }
}

/// What a key must give for this clip, so that one body has one key that fits.
pub(crate) fn commitment(key: &DataKey, salt: &[u8]) -> Zeroizing<[u8; 32]> {
    derive(key.bytes(), salt, b"booth sealed clip 1 commitment")
}

/// Seals one clip, frame by frame. What it returns is written as it is, also when a failed write is repeated: no frame number
/// ever seals two texts.
pub struct Sealer {
    frames: Frames,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer(at frame {})", self.frames.number)
    }
}

impl Sealer {
    /// Begins a clip under a key that no other clip has. Returns the head of the body, which belongs into the same write as the first frame:
    /// no word is on the card without what opens it.
    pub fn begin(
        clip: Uuid,
        key: &DataKey,
        recipients: &Recipients,
        random: &mut impl Random,
    ) -> Result<(Self, Vec<u8>), EnvelopeError> {
        let mut head = [&MAGIC[..], clip.as_bytes()].concat();
        let content = Zeroizing::new([clip.as_bytes(), key.bytes()].concat());
        let envelope = envelope::seal(&content, recipients, random)?;
        let length = u32::try_from(envelope.len()).expect("an envelope has at most 16 KiB");
        let commitment = commitment(key, &head);
        let frames = Frames::new(key, &head);
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&*commitment);
        head.extend_from_slice(&envelope);
        Ok((Self { frames }, head))
    }

    /// Seals the next frame: whole Ogg pages, and what is known of their sound.
    ///
    /// # Panics
    ///
    /// On more than [`MAX_FRAME`] bytes with the facts: an encoder's half second has some two thousand.
    pub fn seal(&mut self, facts: FrameFacts, pages: &[u8]) -> Vec<u8> {
        self.frame(facts, pages, false)
    }

    /// Seals the last frame; its pages end the stream.
    ///
    /// # Panics
    ///
    /// As [`Sealer::seal`] does.
    pub fn seal_last(mut self, facts: FrameFacts, pages: &[u8]) -> Vec<u8> {
        self.frame(facts, pages, true)
    }

    fn frame(&mut self, facts: FrameFacts, pages: &[u8], is_final: bool) -> Vec<u8> {
        let length = FrameFacts::BYTES + pages.len();
        assert!(length <= MAX_FRAME, "a frame has at most {MAX_FRAME} bytes");
        let mut mark = length as u32;
        if is_final {
            mark |= FINAL;
        }
        let mark = mark.to_le_bytes();
        // Room for all of it at once: a buffer that grew would leave speech behind in memory.
        let mut sealed = Vec::with_capacity(length + FRAME_COST);
        sealed.extend_from_slice(&mark);
        sealed.extend_from_slice(&facts.to_bytes());
        sealed.extend_from_slice(pages);
        let nonce = self.frames.nonce(is_final);
        let tag = self
            .frames
            .cipher()
            .encrypt_inout_detached(&nonce, &mark, (&mut sealed[4..]).into())
            .expect("a frame is shorter than the cipher's limit");
        sealed.extend_from_slice(&tag);
        sealed
    }
}
