//! Writing a version into the slot that does not run, so that the slot can be started only when every byte of it is right.
//!
//! Owns: the order of the writes. The slot's first sector makes it a FAT: that sector is wiped before anything else and
//! written as the very last thing, after all the rest was read back from the card and is what was signed. A power cut, a
//! broken connection or a bad card at any moment before that leaves a slot that cannot be started. Never does: choose the
//! slot.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::boot::Slot;
use super::container::{Container, ContainerError, PAYLOAD};
use super::manifest::{BEFORE_LETTER, HEAD, Manifest};
use booth_contract::hex;

/// How many bytes are written and read at a time.
const CHUNK: usize = 1 << 20;
/// After at most this many bytes they are made durable: more of them in memory would keep the spool's syncs waiting.
const FLUSH_EVERY: u64 = 4 << 20;
const SECTOR: usize = 512;
/// The slot's letter in a payload as it was shipped.
const SHIPPED_LETTER: u8 = b'a';

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
    Payload(String),
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
    /// The card has other bytes than were written.
    #[error(
        "slot {0:?} reads back otherwise than it was written; the card is worn out: use another one"
    )]
    ReadBack(Slot),
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

/// Streams the payload, whose member comes next in `file`, into the slot.
pub fn write<R: Read>(
    device: &mut dyn Device,
    slot: Slot,
    manifest: &Manifest,
    mut file: Container<R>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Verified, SlotError> {
    let total = manifest.slot_bytes;
    let card = |at| move |error| SlotError::Card { slot, at, error };
    let announced = file.next(PAYLOAD)?;
    if announced != total {
        let why = format!("{announced} bytes instead of {total}");
        return Err(SlotError::Payload(why));
    }
    // From here on the slot cannot be started.
    device.write_at(&[0; HEAD as usize], 0).map_err(card(0))?;
    device.flush().map_err(card(0))?;

    let mut head = vec![0; HEAD as usize];
    file.some(PAYLOAD, &mut head)?;
    let mut sum = Sha256::new();
    sum.update(&head);
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut flushed) = (HEAD, HEAD);
    while at < total {
        let read = file.some(PAYLOAD, &mut chunk)?;
        let bytes = &mut chunk[..read];
        sum.update(&*bytes);
        for place in letters_in(manifest, at, read) {
            if bytes[place] != SHIPPED_LETTER {
                let why = format!("no slot's letter at byte {}", at + place as u64);
                return Err(SlotError::Payload(why));
            }
            bytes[place] = slot.letter();
        }
        device.write_at(bytes, at).map_err(card(at))?;
        at += read as u64;
        if at - flushed >= FLUSH_EVERY {
            device.flush().map_err(card(at))?;
            flushed = at;
        }
        tell(Progress {
            stage: Stage::Writing,
            done: at,
            total,
        });
    }
    file.finish()?;
    if hex(&sum.finalize()) != manifest.slot_sha256 {
        return Err(SlotError::Payload("another SHA-256".into()));
    }
    device.flush().map_err(card(total))?;
    read_back(device, slot, manifest, &head, tell)?;

    // Everything but the first sector, then that sector, which makes the slot startable.
    device
        .write_at(&head[SECTOR..], SECTOR as u64)
        .map_err(card(SECTOR as u64))?;
    device.flush().map_err(card(SECTOR as u64))?;
    let mut rest = vec![0; HEAD as usize - SECTOR];
    device
        .read_at(&mut rest, SECTOR as u64)
        .map_err(card(SECTOR as u64))?;
    if rest != head[SECTOR..] {
        return Err(SlotError::ReadBack(slot));
    }
    device.write_at(&head[..SECTOR], 0).map_err(card(0))?;
    device.flush().map_err(card(0))?;
    let mut first = vec![0; SECTOR];
    device.read_at(&mut first, 0).map_err(card(0))?;
    if first != head[..SECTOR] {
        return Err(SlotError::ReadBack(slot));
    }
    Ok(Verified {
        slot,
        image_id: manifest.image_id.clone(),
    })
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
    device: &mut dyn Device,
    slot: Slot,
    manifest: &Manifest,
    head: &[u8],
    tell: &mut dyn FnMut(Progress),
) -> Result<(), SlotError> {
    let total = manifest.slot_bytes;
    let card = |at| move |error| SlotError::Card { slot, at, error };
    let mut sum = Sha256::new();
    sum.update(head);
    let mut chunk = vec![0; CHUNK];
    // The end of the chunk before, needed for a letter at the beginning of a chunk.
    let mut before = [0; BEFORE_LETTER.len()];
    let mut at = HEAD;
    while at < total {
        let read = usize::try_from(total - at).map_or(CHUNK, |left| left.min(CHUNK));
        let bytes = &mut chunk[..read];
        device.read_at(bytes, at).map_err(card(at))?;
        let joined = [&before[..], bytes].concat();
        for place in letters_in(manifest, at, read) {
            if bytes[place] != slot.letter() {
                return Err(SlotError::ReadBack(slot));
            }
            // A wrong offset would change another file.
            if &joined[place..place + BEFORE_LETTER.len()] != BEFORE_LETTER {
                let why = format!("no booth.slot= before byte {}", at + place as u64);
                return Err(SlotError::Payload(why));
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
        false => Err(SlotError::ReadBack(slot)),
    }
}
