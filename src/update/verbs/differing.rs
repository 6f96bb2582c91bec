//! `booth-gateway update NEW --differs-from OLD --into FILE`: makes a small update of two whole ones, on any machine.
//!
//! Owns: reading both files and writing the third. Never does: sign. The small update carries the new one's manifest and its signature as they are.
#![allow(clippy::disallowed_methods)] // reads and writes the files that it is given

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{VerbError, open_file};
use crate::update::container::{MANIFEST, PAYLOAD, SIGNATURE, pack};
use crate::update::delta::{self, Base, DELTA};
use crate::update::manifest::Manifest;
use crate::update::slot::{Mismatch, SlotError};
use crate::update::{UpdateError, members};

/// Largest payload that is read into memory, bytes; a slot has less.
const MOST: u64 = 2 << 30;

/// A whole update in memory.
struct Whole {
    manifest: Manifest,
    text: Vec<u8>,
    signature: Vec<u8>,
    payload: Vec<u8>,
}

/// Writes into `into` what of the update `new` differs from the update `old`. Answers the bytes of the whole update and of the small one.
///
/// # Errors
/// A file that cannot be read or written, or is no whole update.
pub fn make_differing(new: &Path, old: &Path, into: &Path) -> Result<(u64, u64), VerbError> {
    let (new, old) = (read(new)?, read(old)?);
    let base = Base::of(&old.manifest).ok_or(VerbError::NoBase)?;
    let mut member = Vec::new();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| VerbError::Written { path, error }
    };
    delta::make(&base, &old.payload, &new.payload, &mut member).map_err(failed(into))?;
    let file = pack(&[
        (MANIFEST, &new.text),
        (SIGNATURE, &new.signature),
        (DELTA, &member),
    ]);
    write(into, &file).map_err(failed(into))?;
    Ok((new.payload.len() as u64, file.len() as u64))
}

fn read(path: &Path) -> Result<Whole, VerbError> {
    let (text, signature, mut file) =
        members(BufReader::new(open_file(path)?)).map_err(UpdateError::from)?;
    let manifest = Manifest::parse(&text).map_err(UpdateError::from)?;
    file.next(PAYLOAD).map_err(UpdateError::from)?;
    let payload = file.whole(PAYLOAD, MOST).map_err(UpdateError::from)?;
    file.finish().map_err(UpdateError::from)?;
    if booth_contract::hex(&Sha256::digest(&payload)) != manifest.slot_sha256 {
        return Err(UpdateError::from(SlotError::Payload(Mismatch::Hash)).into());
    }
    Ok(Whole {
        manifest,
        text,
        signature,
        payload,
    })
}

/// Whole or not at all.
fn write(into: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut part = into.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, into)
}
