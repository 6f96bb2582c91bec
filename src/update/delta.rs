//! An update that holds only what differs from the version that runs: the payload is put together from the running slot and from the file.
//!
//! ```text
//! slot.delta:  magic │ base: image id, length, letters │ (copy from, copy bytes, new bytes │ the new bytes) …
//! ```
//!
//! Owns: the member `slot.delta`, its reading and its making. Never does: decide whether what came out is right. The manifest is that of the
//! whole update, so that its signed SHA-256 says so, of the payload as it comes and once more of the slot as it reads back.

use std::collections::HashMap;
use std::io::{self, Read};

use super::container::{Container, ContainerError};
use super::manifest::{HEAD, Manifest};
use super::slot::{Device, SHIPPED_LETTER, SlotError};
use booth_contract::hex;

/// The member that stands in place of the whole payload.
pub const DELTA: &str = "slot.delta";
const MAGIC: [u8; 8] = *b"BOOTHDL1";
/// Most letters of a base, as in a manifest.
const MOST_LETTERS: u16 = 16;
/// Bytes of the running slot that are read at a time; a multiple of a sector.
const WINDOW: u64 = 64 * 1024;
const SECTOR: u64 = 512;

/// The version that a difference is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// SHA-256 of its `root.sqfs`.
    pub image_id: [u8; 32],
    /// Length of its payload, bytes.
    pub bytes: u64,
    /// Where its payload has the slot's letter.
    pub letters: Vec<u64>,
}

/// One step: bytes of the running slot, then new ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Step {
    from: u64,
    copied: u64,
    new: u64,
}

const STEP_BYTES: usize = 24;

/// The payload as it is put together.
pub struct Delta<'a, R> {
    file: Container<R>,
    running: Box<dyn Device + 'a>,
    base: Base,
    step: Step,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a, R: Read> Delta<'a, R> {
    /// Reads what the difference is about; the member's first byte comes next. `runs` is the image that runs, in the slot `running`.
    ///
    /// # Errors
    /// Another image runs, or this is no difference.
    pub fn begin(
        mut file: Container<R>,
        running: Box<dyn Device + 'a>,
        runs: &str,
    ) -> Result<Self, SlotError> {
        let base = Base::read(&mut file)?;
        let wanted = hex(&base.image_id);
        if wanted != runs {
            return Err(SlotError::OtherBase {
                wanted,
                runs: runs.to_owned(),
            });
        }
        if base.bytes > running.bytes() {
            return Err(foreign("its base is longer than the slot that runs").into());
        }
        Ok(Self {
            file,
            running,
            base,
            step: Step::default(),
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// The next bytes of the payload; fewer than fit only at its end.
    pub fn some(&mut self, buffer: &mut [u8]) -> Result<usize, SlotError> {
        let mut done = 0;
        while done < buffer.len() {
            let room = &mut buffer[done..];
            let now = match self.step {
                Step { copied: 1.., .. } => self.copy(room)?,
                Step { new: 1.., .. } => {
                    let most = room
                        .len()
                        .min(usize::try_from(self.step.new).unwrap_or(usize::MAX));
                    let read = self.file.some(DELTA, &mut room[..most])?;
                    if read == 0 {
                        return Err(foreign("new bytes are missing").into());
                    }
                    self.step.new -= read as u64;
                    read
                }
                Step { .. } => match self.next_step()? {
                    true => 0,
                    false => break,
                },
            };
            done += now;
        }
        Ok(done)
    }

    /// The file's end, which must come now.
    pub fn finish(self) -> Result<(), SlotError> {
        Ok(self.file.finish()?)
    }

    fn next_step(&mut self) -> Result<bool, SlotError> {
        let mut bytes = [0; STEP_BYTES];
        match self.file.some(DELTA, &mut bytes)? {
            0 => return Ok(false),
            STEP_BYTES => {}
            _ => return Err(foreign("a step is cut short").into()),
        }
        let mut numbers = bytes.chunks_exact(8).map(|number| {
            let digits = number.iter().rev();
            digits.fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))
        });
        let mut next = || numbers.next().unwrap_or_default();
        let step = Step {
            from: next(),
            copied: next(),
            new: next(),
        };
        let end = step.from.checked_add(step.copied);
        if end.is_none_or(|end| end > self.base.bytes) || (step.copied == 0 && step.new == 0) {
            return Err(foreign("a step leads nowhere").into());
        }
        self.step = step;
        Ok(true)
    }

    /// Bytes of the running slot, with the letter that was shipped.
    fn copy(&mut self, room: &mut [u8]) -> Result<usize, SlotError> {
        let Step { from, copied, .. } = self.step;
        let is_there = (self.window_at..self.window_at + self.window.len() as u64).contains(&from);
        if !is_there {
            self.look(from)?;
        }
        let first = (from - self.window_at) as usize;
        let there = &self.window[first..];
        let most = usize::try_from(copied).unwrap_or(usize::MAX);
        let now = room.len().min(there.len()).min(most);
        room[..now].copy_from_slice(&there[..now]);
        self.step.from += now as u64;
        self.step.copied -= now as u64;
        Ok(now)
    }

    /// Reads the part of the running slot in which this byte is.
    fn look(&mut self, from: u64) -> Result<(), SlotError> {
        let at = from / SECTOR * SECTOR;
        let end = (at + WINDOW).min(self.running.bytes() / SECTOR * SECTOR);
        if end <= from {
            return Err(foreign("its base ends within a sector").into());
        }
        self.window.resize((end - at) as usize, 0);
        let read = self.running.read_at(&mut self.window, at);
        read.map_err(|error| SlotError::Running { at, error })?;
        self.window_at = at;
        for letter in &self.base.letters {
            if (at..end).contains(letter) {
                self.window[(letter - at) as usize] = SHIPPED_LETTER;
            }
        }
        Ok(())
    }
}

fn foreign(why: &str) -> ContainerError {
    ContainerError::Foreign(format!("{DELTA} contradicts itself: {why}"))
}

impl Base {
    /// The base of the whole update that has this manifest; `None` where its image id is no SHA-256.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let id = &manifest.image_id;
        let byte = |at: usize| u8::from_str_radix(id.get(2 * at..2 * at + 2)?, 16).ok();
        let bytes: Vec<u8> = (0..32).map_while(byte).collect();
        Some(Self {
            image_id: bytes.try_into().ok()?,
            bytes: manifest.slot_bytes,
            letters: manifest.slot_letter_at.clone(),
        })
    }

    /// Of the member whose first byte comes next.
    ///
    /// # Errors
    /// It is none.
    pub fn read<R: Read>(file: &mut Container<R>) -> Result<Self, ContainerError> {
        fn next<const N: usize, R: Read>(
            file: &mut Container<R>,
        ) -> Result<[u8; N], ContainerError> {
            let mut bytes = [0; N];
            match file.some(DELTA, &mut bytes)? == N {
                true => Ok(bytes),
                false => Err(foreign("its beginning is cut short")),
            }
        }
        if next::<8, R>(file)? != MAGIC {
            return Err(foreign("it is of a kind that this version does not know"));
        }
        let image_id = next::<32, R>(file)?;
        let bytes = u64::from_le_bytes(next(file)?);
        let number = u16::from_le_bytes(next(file)?);
        if number > MOST_LETTERS || bytes < HEAD {
            return Err(foreign("its base is no slot"));
        }
        let mut letters = Vec::new();
        for _ in 0..number {
            letters.push(u64::from_le_bytes(next(file)?));
        }
        if letters.iter().any(|letter| *letter >= bytes) {
            return Err(foreign("its base is no slot"));
        }
        Ok(Self {
            image_id,
            bytes,
            letters,
        })
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.image_id);
        bytes.extend(self.bytes.to_le_bytes());
        bytes.extend((self.letters.len() as u16).to_le_bytes());
        for letter in &self.letters {
            bytes.extend(letter.to_le_bytes());
        }
        bytes
    }
}

/// Bytes that two payloads must have in common, at an offset of the old one that is a multiple of it, so that they are found.
const BLOCK: usize = 512;

/// The member `slot.delta` that makes `new` of the payload `old`, which is that of `base`.
///
/// # Errors
/// It cannot be written.
pub fn make(base: &Base, old: &[u8], new: &[u8], out: &mut impl io::Write) -> io::Result<()> {
    out.write_all(&base.write())?;
    let places = index(old);
    let mut roll = Roll::default();
    // The first byte of `new` that no step has yet, and the copy that waits for the new bytes behind it.
    let (mut pending, mut waiting) = (0, Step::default());
    let mut at = 0;
    while at + BLOCK <= new.len() {
        let hash = roll.at(new, at);
        let found = places.get(&hash).copied().filter(|place| {
            let place = *place as usize * BLOCK;
            old[place..place + BLOCK] == new[at..at + BLOCK]
        });
        let Some(place) = found else {
            at += 1;
            continue;
        };
        let place = place as usize * BLOCK;
        let before = old[..place].iter().rev().zip(new[pending..at].iter().rev());
        let before = before.take_while(|(a, b)| a == b).count();
        let after = old[place..].iter().zip(&new[at..]);
        let after = after.take_while(|(a, b)| a == b).count();
        put(out, waiting, &new[pending..at - before])?;
        waiting = Step {
            from: (place - before) as u64,
            copied: (before + after) as u64,
            new: 0,
        };
        at += after;
        pending = at;
    }
    put(out, waiting, &new[pending..])
}

fn put(out: &mut impl io::Write, step: Step, new: &[u8]) -> io::Result<()> {
    if step.copied == 0 && new.is_empty() {
        return Ok(());
    }
    for number in [step.from, step.copied, new.len() as u64] {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(new)
}

/// Where each block of the old payload is, by its hash; of equal ones the first.
fn index(old: &[u8]) -> HashMap<u64, u32> {
    let mut places = HashMap::with_capacity(old.len() / BLOCK);
    for (number, block) in old.chunks_exact(BLOCK).enumerate() {
        let hash = block.iter().fold(0, |hash, byte| stir(hash, *byte));
        places.entry(hash).or_insert(number as u32);
    }
    places
}

/// A polynomial hash over a block, modulo 2^64 (Rabin and Karp, 1987).
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
/// What a byte has been multiplied by when it leaves the block.
const LEAVING: u64 = power(FACTOR, BLOCK);

fn stir(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(FACTOR).wrapping_add(u64::from(byte) + 1)
}

/// The hash of a block that moves on byte by byte.
#[derive(Default)]
struct Roll {
    hash: u64,
    at: Option<usize>,
}

impl Roll {
    fn at(&mut self, new: &[u8], at: usize) -> u64 {
        let moved_by_one = at
            .checked_sub(1)
            .is_some_and(|before| self.at == Some(before));
        self.hash = match moved_by_one {
            true => {
                let gone = (u64::from(new[at - 1]) + 1).wrapping_mul(LEAVING);
                stir(self.hash, new[at + BLOCK - 1]).wrapping_sub(gone)
            }
            false => new[at..at + BLOCK]
                .iter()
                .fold(0, |hash, byte| stir(hash, *byte)),
        };
        self.at = Some(at);
        self.hash
    }
}

const fn power(factor: u64, of: usize) -> u64 {
    let (mut product, mut at) = (1_u64, 0);
    while at < of {
        product = product.wrapping_mul(factor);
        at += 1;
    }
    product
}

#[cfg(test)]
mod tests;
