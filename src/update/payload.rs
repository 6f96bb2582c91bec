//! The payload of an update as it comes: whole, or put together from what runs and what differs.
//!
//! Owns: which of the two a file holds. Never does: judge the payload.

use std::io::{self, Read};

use super::container::{Container, PAYLOAD};
use super::delta::{DELTA, Delta};
use super::manifest::Manifest;
use super::slot::{Device, Mismatch, SlotError};

/// A payload that is read from its first byte to its last.
pub enum Payload<'a, R> {
    /// The member `slot.img`.
    Whole(Container<R>),
    /// The member `slot.delta`.
    Differing(Delta<'a, R>),
}

impl<'a, R: Read> Payload<'a, R> {
    /// The payload whose member comes next. `running` opens the slot that runs, with the image `runs`.
    ///
    /// # Errors
    /// Another length than was signed, or a difference from another image than the one that runs.
    pub fn begin(
        mut file: Container<R>,
        manifest: &Manifest,
        runs: &str,
        running: impl FnOnce() -> io::Result<Box<dyn Device + 'a>>,
    ) -> Result<Self, SlotError> {
        let (name, announced) = file.next_of(&[PAYLOAD, DELTA])?;
        if name == DELTA {
            let running = running().map_err(|error| SlotError::Running { at: 0, error })?;
            return Ok(Self::Differing(Delta::begin(file, running, runs)?));
        }
        let signed = manifest.slot_bytes;
        if announced != signed {
            return Err(SlotError::Payload(Mismatch::Length { announced, signed }));
        }
        Ok(Self::Whole(file))
    }

    /// The next bytes; as many as fit, fewer only at the end.
    ///
    /// # Errors
    /// The file ends too early, or the running slot cannot be read.
    pub fn some(&mut self, buffer: &mut [u8]) -> Result<usize, SlotError> {
        match self {
            Self::Whole(file) => Ok(file.some(PAYLOAD, buffer)?),
            Self::Differing(delta) => delta.some(buffer),
        }
    }

    /// What it means that the payload has another hash than was signed.
    pub fn mismatch(&self) -> Mismatch {
        match self {
            Self::Whole(_) => Mismatch::Hash,
            Self::Differing(_) => Mismatch::Rebuilt,
        }
    }

    /// The file's end, which must come now.
    ///
    /// # Errors
    /// Something follows, or the end is missing.
    pub fn finish(self) -> Result<(), SlotError> {
        match self {
            Self::Whole(file) => Ok(file.finish()?),
            Self::Differing(delta) => delta.finish(),
        }
    }
}
