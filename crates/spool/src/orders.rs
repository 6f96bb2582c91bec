//! What the card remembers of the centre's commands: `orders.json` (docs/spool-format.md §3).
//!
//! Owns: the file, as a whole and with a checksum. Never does: believe a file that is not what was written: it is set aside, and the
//! memory begins anew. A card that does not give it is asked again before that: who may seal for whom is in it. A power cut or a failed write
//! leaves the memory from before or the new one.

use std::io;
use std::path::Path;

use gateway_core::orders::{Remembered, SCHEMA};

use super::disk::{Disk, publish, read_whole};
use super::error::is_verdict;
use super::folders::Folders;
use super::recovery::CARD_TRIES;
use super::{OpenReport, Spool, SpoolError, locked};

/// The file's name.
const ORDERS_FILE: &str = "orders.json";
/// Longest file that is read: ten commands of 16 KiB and their askers, and all nonces.
const LONGEST_FILE: u64 = 1024 * 1024;

impl Spool {
    /// What the card remembered of the centre's commands when the spool was opened.
    pub fn remembered(&self) -> Remembered {
        locked(&self.inner.orders).clone()
    }

    /// Writes this memory; durable when this returns.
    pub fn remember(&self, memory: &Remembered) -> Result<(), SpoolError> {
        let inner = &self.inner;
        let text = to_text(memory);
        let root = &inner.folders.root;
        let disk = inner.folders.disk.as_ref();
        let written = inner
            .folders
            .with_room(|| publish(disk, root, ORDERS_FILE, &text));
        written.map_err(|error| SpoolError::io("writing", root.join(ORDERS_FILE), error))?;
        locked(&inner.orders).clone_from(memory);
        Ok(())
    }
}

/// Reads the memory when the spool is opened, for the so many-th time in a row. One that cannot be read does not keep the spool closed for good.
///
/// # Errors
/// A card that does not give the file now.
pub(super) fn find(
    folders: &Folders,
    dir: &Path,
    failed_before: u32,
    report: &mut OpenReport,
) -> Result<Remembered, SpoolError> {
    let why = match load(folders.disk.as_ref(), dir) {
        Ok(memory) => return Ok(memory),
        Err(NotRead::Missing) => return Ok(Remembered::default()),
        Err(NotRead::Bad(why)) => why,
        Err(NotRead::NotNow(error)) if failed_before >= CARD_TRIES => error.to_string(),
        Err(NotRead::NotNow(error)) => {
            return Err(SpoolError::io("reading", dir.join(ORDERS_FILE), error));
        }
    };
    if let Ok(name) = folders.set_aside(&dir.join(ORDERS_FILE)) {
        report.set_aside.push((name, why.clone()));
    }
    report.orders_unread = Some(why);
    Ok(Remembered::anew())
}

enum NotRead {
    Missing,
    /// It is not what was written.
    Bad(String),
    /// The card does not answer.
    NotNow(io::Error),
}

fn load(disk: &dyn Disk, dir: &Path) -> Result<Remembered, NotRead> {
    let text =
        read_whole(disk, &dir.join(ORDERS_FILE), LONGEST_FILE).map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => NotRead::Missing,
                io::ErrorKind::InvalidInput => NotRead::Bad(error.to_string()),
                _ if is_verdict(&error) => NotRead::Bad(error.to_string()),
                _ => NotRead::NotNow(error),
            }
        })?;
    parse(&text).map_err(NotRead::Bad)
}

fn to_text(memory: &Remembered) -> Vec<u8> {
    let mut text = serde_json::to_vec(memory).expect("a memory holds only text, numbers and times");
    text.push(b'\n');
    let sum = crc32c::crc32c(&text);
    text.extend_from_slice(format!("crc32c:{sum:08x}\n").as_bytes());
    text
}

fn parse(text: &[u8]) -> Result<Remembered, String> {
    let end = text.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or("its checksum is missing")? + 1;
    let (line, sum) = text.split_at(end);
    if sum != format!("crc32c:{:08x}\n", crc32c::crc32c(line)).as_bytes() {
        return Err("its checksum is wrong".into());
    }
    let memory: Remembered =
        serde_json::from_slice(line).map_err(|error| format!("it is not understood: {error}"))?;
    match memory.schema == SCHEMA {
        true => Ok(memory),
        false => Err(format!("it is of version {}", memory.schema)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_comes_back_as_it_was_written_and_any_flipped_byte_makes_it_unreadable() {
        let mut memory = Remembered::default();
        memory
            .nonces
            .take("n-1", "2026-11-30T00:00:00Z".parse().expect("a time"));
        let good = to_text(&memory);
        assert_eq!(parse(&good).as_ref(), Ok(&memory));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(parse(&bad).is_err(), "byte {at}");
        }
        for length in 0..good.len() {
            assert!(parse(&good[..length]).is_err(), "{length} bytes");
        }
        memory.schema = 2;
        assert!(parse(&to_text(&memory)).is_err());
    }
}
