//! Writing a version into the slot that does not run, so that the slot can be started only when every byte of it is right.
//!
//! Owns: the order of the writes. The slot's first sector makes it a FAT: that sector is wiped before anything else and
//! written as the very last thing, after all the rest was read back from the card and is what was signed. A power cut, a
//! broken connection or a bad card at any moment before that leaves a slot that cannot be started. Never does: choose the
//! slot.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::boot::Slot;
use super::container::ContainerError;
use super::manifest::{BEFORE_LETTER, HEAD, Manifest};
use super::payload::Payload;
use booth_contract::hex;

/// How many bytes are written and read at a time.
const CHUNK: usize = 1 << 20;
/// After at most this many bytes they are made durable: more of them in memory would keep the spool's syncs waiting.
const FLUSH_EVERY: u64 = 4 << 20;
const SECTOR: usize = 512;
/// The slot's letter in a payload as it was shipped.
pub(super) const SHIPPED_LETTER: u8 = b'a';

/// A slot's partition.
pub trait Device {
    /// Its length in bytes.
    fn bytes(&self) -> u64;
    /// Writes bytes, which are durable only after a flush; sectors of 512 bytes are written whole or not at all.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes everything durable that was written so far.
    fn flush(&mut self) -> io::Result<()>;
    /// Reads from the card itself, not from the page cache. Offset and length are multiples of 512.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Why a slot could not be written. It cannot be started then.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The update's file or connection.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The payload is not what was signed.
    #[error(
        "the update's payload is not the one that was signed ({0}); copy or download the file again"
    )]
    Payload(#[source] Mismatch),
    /// The card refuses.
    #[error(
        "the card refuses at byte {at} of slot {slot:?}: {error}; try again, and use another card if it stays"
    )]
    Card {
        /// Which.
        slot: Slot,
        /// Of the partition.
        at: u64,
        /// What it says.
        #[source]
        error: io::Error,
    },
    /// The slot that runs cannot be read.
    #[error(
        "the card refuses at byte {at} of the slot that runs: {error}; send the whole update instead of what differs"
    )]
    Running {
        /// Of the partition.
        at: u64,
        /// What it says.
        #[source]
        error: io::Error,
    },
    /// A difference from another image.
    #[error(
        "the update holds only what differs from the image {wanted}, and {runs} runs here; send the whole update"
    )]
    OtherBase {
        /// The image that it is about, hex.
        wanted: String,
        /// The image that runs, hex.
        runs: String,
    },
    /// The card has other bytes than were written.
    #[error(
        "slot {0:?} reads back otherwise than it was written; the card is worn out: use another one"
    )]
    ReadBack(Slot),
}

/// How a payload differs from the one that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the words say it
pub enum Mismatch {
    #[error("{announced} bytes instead of {signed}")]
    Length { announced: u64, signed: u64 },
    #[error("no slot's letter at byte {0}")]
    Letter(u64),
    #[error("another SHA-256")]
    Hash,
    #[error("no booth.slot= before byte {0}")]
    Word(u64),
    #[error(
        "what was put together from the slot that runs has another SHA-256, so that slot is not as it was delivered; send the whole update"
    )]
    Rebuilt,
}

/// The progress of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which pass over the bytes.
    pub stage: Stage,
    /// How many bytes of `total` are done.
    pub done: u64,
    /// Bytes of the payload.
    pub total: u64,
}

/// The two passes over a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From the file onto the card.
    Writing,
    /// Back from the card.
    Verifying,
}

/// Proof that a slot holds a whole signed version: only [`write`] makes one.
#[derive(Debug)]
pub struct Verified {
    slot: Slot,
    image_id: String,
}

impl Verified {
    /// Which slot.
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The image in it.
    pub fn image_id(&self) -> &str {
        &self.image_id
    }
}

/// Streams the payload into the slot.
pub fn write<R: Read>(
    device: &mut dyn Device,
    slot: Slot,
    manifest: &Manifest,
    mut payload: Payload<'_, R>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Verified, SlotError> {
    let signed = manifest.slot_bytes;
    let mut target = Target { device, slot };
    // From here on the slot cannot be started.
    target.put(&[0; HEAD as usize], 0)?;
    target.flush(0)?;
    let mut head = vec![0; HEAD as usize];
    if payload.some(&mut head)? < head.len() {
        return Err(SlotError::Payload(payload.mismatch()));
    }
    let sum = stream(&mut target, manifest, &mut payload, &head, tell)?;
    let mismatch = payload.mismatch();
    payload.finish()?;
    if sum != manifest.slot_sha256 {
        return Err(SlotError::Payload(mismatch));
    }
    target.flush(signed)?;
    read_back(&mut target, manifest, &head, tell)?;
    // Everything but the first sector, then that sector, which makes the slot startable.
    target.put_for_good(&head[SECTOR..], SECTOR as u64)?;
    target.put_for_good(&head[..SECTOR], 0)?;
    Ok(Verified {
        slot,
        image_id: manifest.image_id.clone(),
    })
}

/// The partition of the slot that is being written.
struct Target<'a> {
    device: &'a mut dyn Device,
    slot: Slot,
}

impl Target<'_> {
    fn put(&mut self, bytes: &[u8], at: u64) -> Result<(), SlotError> {
        let done = self.device.write_at(bytes, at);
        done.map_err(|error| self.refused(at, error))
    }

    /// Makes everything durable; `at` is how far the writing has come.
    fn flush(&mut self, at: u64) -> Result<(), SlotError> {
        let done = self.device.flush();
        done.map_err(|error| self.refused(at, error))
    }

    fn get(&mut self, buffer: &mut [u8], at: u64) -> Result<(), SlotError> {
        let done = self.device.read_at(buffer, at);
        done.map_err(|error| self.refused(at, error))
    }

    /// Writes bytes, makes them durable and reads them back.
    fn put_for_good(&mut self, bytes: &[u8], at: u64) -> Result<(), SlotError> {
        self.put(bytes, at)?;
        self.flush(at)?;
        let mut there = vec![0; bytes.len()];
        self.get(&mut there, at)?;
        match there == bytes {
            true => Ok(()),
            false => Err(SlotError::ReadBack(self.slot)),
        }
    }

    fn refused(&self, at: u64, error: io::Error) -> SlotError {
        SlotError::Card {
            slot: self.slot,
            at,
            error,
        }
    }
}

/// Writes what comes after the head, with this slot's letters. Returns the SHA-256 of the payload as it came, hex.
fn stream<R: Read>(
    target: &mut Target,
    manifest: &Manifest,
    payload: &mut Payload<'_, R>,
    head: &[u8],
    tell: &mut dyn FnMut(Progress),
) -> Result<String, SlotError> {
    let total = manifest.slot_bytes;
    let mut sum = Sha256::new();
    sum.update(head);
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut flushed) = (HEAD, HEAD);
    while at < total {
        let room = usize::try_from(total - at).map_or(CHUNK, |left| left.min(CHUNK));
        let read = payload.some(&mut chunk[..room])?;
        if read == 0 {
            return Err(SlotError::Payload(payload.mismatch()));
        }
        let bytes = &mut chunk[..read];
        sum.update(&*bytes);
        for place in letters_in(manifest, at, read) {
            if bytes[place] != SHIPPED_LETTER {
                return Err(SlotError::Payload(Mismatch::Letter(at + place as u64)));
            }
            bytes[place] = target.slot.letter();
        }
        target.put(bytes, at)?;
        at += read as u64;
        if at - flushed >= FLUSH_EVERY {
            target.flush(at)?;
            flushed = at;
        }
        tell(Progress {
            stage: Stage::Writing,
            done: at,
            total,
        });
    }
    Ok(hex(&sum.finalize()))
}

/// The places of letters within `read` bytes from `at` on.
fn letters_in(manifest: &Manifest, at: u64, read: usize) -> impl Iterator<Item = usize> {
    let range = at..at + read as u64;
    let places = manifest.slot_letter_at.iter().copied();
    places
        .filter(move |place| range.contains(place))
        .map(move |place| (place - at) as usize)
}

/// Whether the card holds after the head what was signed, with this slot's letters.
fn read_back(
    target: &mut Target,
    manifest: &Manifest,
    head: &[u8],
    tell: &mut dyn FnMut(Progress),
) -> Result<(), SlotError> {
    let total = manifest.slot_bytes;
    let mut sum = Sha256::new();
    sum.update(head);
    let mut chunk = vec![0; CHUNK];
    // The end of the chunk before, needed for a letter at the beginning of a chunk.
    let mut before = [0; BEFORE_LETTER.len()];
    let mut at = HEAD;
    while at < total {
        let read = usize::try_from(total - at).map_or(CHUNK, |left| left.min(CHUNK));
        let bytes = &mut chunk[..read];
        target.get(bytes, at)?;
        let joined = [&before[..], bytes].concat();
        for place in letters_in(manifest, at, read) {
            if bytes[place] != target.slot.letter() {
                return Err(SlotError::ReadBack(target.slot));
            }
            // A wrong offset would change another file.
            if &joined[place..place + BEFORE_LETTER.len()] != BEFORE_LETTER {
                return Err(SlotError::Payload(Mismatch::Word(at + place as u64)));
            }
            bytes[place] = SHIPPED_LETTER;
        }
        sum.update(&*bytes);
        before.copy_from_slice(&joined[read..]);
        at += read as u64;
        tell(Progress {
            stage: Stage::Verifying,
            done: at,
            total,
        });
    }
    match hex(&sum.finalize()) == manifest.slot_sha256 {
        true => Ok(()),
        false => Err(SlotError::ReadBack(target.slot)),
    }
}
