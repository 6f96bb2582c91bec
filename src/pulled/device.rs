//! The bytes of a card: a device, a partition or an image of one, opened for reading alone.
//!
//! Owns: where on it a file system of a booth begins. Never does: write, or believe a partition table that leads nowhere: where it is gone, as after
//! a formatting that was begun, the file system is looked for at every MiB, because cards are partitioned by these.
#![allow(clippy::disallowed_methods)] // opens devices and images

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::PulledError;

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Where the table of the four primary partitions stands in the first sector, and how long an entry is.
const TABLE_AT: usize = 446;
const ENTRY_BYTES: usize = 16;
/// The type of a data partition on which nothing was kept yet (docs/image.md).
const NEVER_STARTED: u8 = 0xda;
/// Where ext4's magic number stands, and that number (kernel documentation, ext4 superblock).
const MAGIC_AT: u64 = 1024 + 56;
const MAGIC: [u8; 2] = 0xef53_u16.to_le_bytes();
/// Where a superblock says of which block group it is: the first one's is not a copy.
const GROUP_AT: u64 = 1024 + 90;
/// No card is larger; at every MiB of it one sector is read.
const MOST_SEARCHED: u64 = 2 << 40;
/// The data partition of a booth's card begins below this.
const CARDS_BEGIN_BELOW: u64 = 2 << 30;

/// What lies where a booth's file system should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instead {
    /// A FAT as large as all of it.
    Fat,
    /// The FAT of one partition of a booth's card.
    Booth,
    /// A table whose data partition was never used.
    NeverStarted,
    /// Zeros.
    Nothing,
    /// Something else.
    Unknown,
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fat => {
                "it is formatted as FAT, and no file system of a booth is left on it. If it was a booth's card, write nothing more to it and \
                 send it to whoever recovers data from cards"
            }
            Self::Booth => {
                "this is the small partition with booth.toml; the messages lie on the card's fourth one. Name the whole card, e.g. /dev/sdb"
            }
            Self::NeverStarted => {
                "its data partition was never used: the card was not started in a booth yet, so that nothing is unsent on it"
            }
            Self::Nothing => {
                "nothing is on it. Look with lsblk whether this is the booth's card; if it is, write nothing more to it and send it to whoever \
                 recovers data from cards"
            }
            Self::Unknown => {
                "no file system of a booth is on it. Look with lsblk whether this is the booth's card"
            }
        })
    }
}

/// An open device or image.
pub(super) struct Device {
    file: Arc<File>,
    path: PathBuf,
    bytes: u64,
}

/// A piece of it, from a file system's beginning on.
pub(super) struct Region {
    file: Arc<File>,
    /// Where it begins.
    pub(super) at: u64,
}

impl Region {
    /// A file that is one from its beginning on.
    #[cfg(test)]
    pub(super) fn whole(file: File) -> Self {
        let file = Arc::new(file);
        Self { file, at: 0 }
    }

    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let at = self.at.checked_add(offset);
        self.file
            .read_exact_at(into, at.ok_or(io::ErrorKind::UnexpectedEof)?)
    }
}

/// One entry of the table, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Partition {
    kind: u8,
    start: u64,
    end: u64,
}

impl Device {
    pub(super) fn open(path: &Path) -> Result<Self, PulledError> {
        let opening = |error| PulledError::opening(path, error);
        let file = File::open(path).map_err(opening)?;
        // Seeking to the end gives a block device's length.
        let bytes = io::Seek::seek(&mut &file, io::SeekFrom::End(0)).map_err(opening)?;
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            bytes,
        })
    }

    /// The file systems on it, by where they begin: the one that the table names, and one that the image has moved aside.
    pub(super) fn file_systems(&self) -> Result<Vec<Region>, PulledError> {
        let unreadable = |source| PulledError::Unreadable {
            path: self.path.clone(),
            source,
        };
        let mut found = Vec::new();
        if self.has_ext4(0).map_err(unreadable)? {
            found.push(0);
        }
        let mut first = vec![0; SECTOR as usize];
        let has_first = self.bytes >= SECTOR;
        if has_first {
            self.file.read_exact_at(&mut first, 0).map_err(unreadable)?;
        }
        let table = table(&first);
        if found.is_empty() {
            for at in places(&table) {
                if self.has_ext4(at).map_err(unreadable)? {
                    found.push(at);
                }
            }
        }
        let is_fresh = table.iter().any(|part| part.kind == NEVER_STARTED);
        if found.is_empty() && !(is_fresh && self.is_blank_at(&table)) {
            found = self.search(MOST_SEARCHED).map_err(unreadable)?;
        }
        match found.is_empty() {
            true => Err(PulledError::NoFileSystem {
                path: self.path.clone(),
                why: instead(&first, is_fresh),
            }),
            false => Ok(found.into_iter().map(|at| self.region(at)).collect()),
        }
    }

    fn region(&self, at: u64) -> Region {
        Region {
            file: Arc::clone(&self.file),
            at,
        }
    }

    /// Whether the superblock of a whole file system begins here, and no copy of one.
    fn has_ext4(&self, at: u64) -> io::Result<bool> {
        if at.saturating_add(2048) > self.bytes {
            return Ok(false);
        }
        let (mut magic, mut group) = ([0; 2], [0; 2]);
        self.file.read_exact_at(&mut magic, at + MAGIC_AT)?;
        if magic != MAGIC {
            return Ok(false);
        }
        self.file.read_exact_at(&mut group, at + GROUP_AT)?;
        Ok(group == [0, 0])
    }

    /// Whether the beginning of a partition that says so was never written.
    fn is_blank_at(&self, table: &[Partition]) -> bool {
        let fresh = table.iter().find(|part| part.kind == NEVER_STARTED);
        let mut begins = vec![0; 4096];
        fresh.is_some_and(|part| {
            let read = self.file.read_exact_at(&mut begins, part.start);
            read.is_ok() && begins.iter().all(|byte| *byte == 0)
        })
    }

    /// Whether the table or the name of a volume says that it is a booth's card.
    pub(super) fn is_marked(&self) -> io::Result<bool> {
        let mut first = vec![0; SECTOR as usize];
        if self.bytes < SECTOR {
            return Ok(false);
        }
        self.file.read_exact_at(&mut first, 0)?;
        let table = table(&first);
        let mut is_marked = table.iter().any(|part| part.kind == NEVER_STARTED);
        for at in std::iter::once(0).chain(table.iter().map(|part| part.start)) {
            if at + SECTOR <= self.bytes {
                self.file.read_exact_at(&mut first, at)?;
                is_marked |= instead(&first, false) == Instead::Booth;
            }
        }
        Ok(is_marked)
    }

    /// The file systems where those of a booth's card begin, also where a formatting was begun over them.
    pub(super) fn early_file_systems(&self) -> io::Result<Vec<Region>> {
        let mut found = self.search(CARDS_BEGIN_BELOW)?;
        if self.has_ext4(0)? {
            found.push(0);
        }
        Ok(found.into_iter().map(|at| self.region(at)).collect())
    }

    /// Looks at every MiB below `most`.
    fn search(&self, most: u64) -> io::Result<Vec<u64>> {
        let mut found = Vec::new();
        let mut at = MIB;
        while at < self.bytes.min(most) {
            if self.has_ext4(at)? {
                found.push(at);
            }
            at += MIB;
        }
        Ok(found)
    }
}

/// The primary partitions in use, by their place.
fn table(first: &[u8]) -> Vec<Partition> {
    if first.get(510..512) != Some(&[0x55, 0xaa]) {
        return Vec::new();
    }
    let word = |at: usize| {
        let bytes = first
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        u64::from(u32::from_le_bytes(bytes.unwrap_or_default()))
    };
    let entry = |number: usize| {
        let at = TABLE_AT + ENTRY_BYTES * number;
        let start = word(at + 8) * SECTOR;
        Partition {
            kind: first[at + 4],
            start,
            end: start + word(at + 12) * SECTOR,
        }
    };
    let mut table: Vec<Partition> = (0..4).map(entry).collect();
    table.retain(|part| part.kind != 0 && part.start > 0 && part.end > part.start);
    table.sort_by_key(|part| part.start);
    table
}

/// Where a file system may begin: at each partition, and where one ends and the next does not begin: what the image could not repair lies there.
fn places(table: &[Partition]) -> Vec<u64> {
    let mut places: Vec<u64> = table
        .iter()
        .flat_map(|part| [part.start, part.end])
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

fn instead(first: &[u8], is_fresh: bool) -> Instead {
    let has = |at: usize, text: &[u8]| first.get(at..at + text.len()) == Some(text);
    if is_fresh {
        return Instead::NeverStarted;
    }
    // The names of the file system and of the volume in the boot sectors of FAT16 and FAT32 (Microsoft's FAT specification, 1.03).
    let is_fat = has(54, b"FAT") || has(82, b"FAT32");
    let is_booth = [43, 71]
        .into_iter()
        .any(|at| has(at, b"BOOTH ") || has(at, b"SLOT_A") || has(at, b"SLOT_B"));
    match (is_fat, is_booth) {
        (true, true) => Instead::Booth,
        (true, false) => Instead::Fat,
        (false, _) if first.iter().all(|byte| *byte == 0) => Instead::Nothing,
        (false, _) => Instead::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sector_with(entries: &[(u8, u32, u32)]) -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        for (number, (kind, start, length)) in entries.iter().enumerate() {
            let at = TABLE_AT + ENTRY_BYTES * number;
            sector[at + 4] = *kind;
            sector[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
            sector[at + 12..at + 16].copy_from_slice(&length.to_le_bytes());
        }
        sector
    }

    #[test]
    fn what_was_moved_aside_is_looked_for_where_the_partition_before_ends() {
        let sector = sector_with(&[(0xc, 100, 50), (0x83, 400, 100)]);
        let sectors: Vec<u64> = places(&table(&sector))
            .iter()
            .map(|at| at / SECTOR)
            .collect();
        assert_eq!(sectors, [100, 150, 400, 500]);
        assert!(table(&[0; 512]).is_empty());
    }

    #[test]
    fn each_thing_that_is_no_booths_card_has_a_sentence_of_its_own() {
        let mut fat = vec![0; 512];
        fat[82..87].copy_from_slice(b"FAT32");
        fat[71..82].copy_from_slice(b"NO NAME    ");
        assert_eq!(instead(&fat, false), Instead::Fat);
        fat[71..82].copy_from_slice(b"BOOTH      ");
        assert_eq!(instead(&fat, false), Instead::Booth);
        assert_eq!(instead(&[0; 512], false), Instead::Nothing);
        assert_eq!(instead(&[7; 512], false), Instead::Unknown);
        assert_eq!(instead(&[7; 512], true), Instead::NeverStarted);
    }
}
