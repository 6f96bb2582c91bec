//! A slot's partition on the card, opened so that what was written is read back from the card itself.
#![allow(clippy::disallowed_methods)] // opens partitions

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, OFlags, fadvise};

use crate::update::slot::Device;

const DIRECT_ALIGNMENT: usize = 4096;

/// A partition, or a file in its place.
pub(super) struct Partition {
    file: File,
    /// For reads past the page cache; `None` where the file system cannot do that.
    direct: Option<File>,
    bytes: u64,
}

impl Partition {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // On a block device O_EXCL refuses a mounted one (open(2)).
        let mut how = OpenOptions::new();
        how.read(true).write(true).custom_flags(flags(OFlags::EXCL));
        Self::with(path, how.open(path)?)
    }

    /// One that may be mounted.
    pub(super) fn open_for_reading(path: &Path) -> io::Result<Self> {
        Self::with(path, File::open(path)?)
    }

    fn with(path: &Path, file: File) -> io::Result<Self> {
        let direct = OpenOptions::new()
            .read(true)
            .custom_flags(flags(OFlags::DIRECT))
            .open(path)
            .ok();
        // Seeking to the end gives a block device's length.
        let bytes = io::Seek::seek(&mut &file, io::SeekFrom::End(0))?;
        Ok(Self {
            file,
            direct,
            bytes,
        })
    }
}

fn flags(flags: OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or(0)
}

impl Device for Partition {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(direct) = &self.direct else {
            // What is durable is dropped from memory, so that the read gets it from the card.
            fadvise(&self.file, 0, None, Advice::DontNeed)?;
            return self.file.read_exact_at(buffer, offset);
        };
        let mut room = vec![0; buffer.len() + DIRECT_ALIGNMENT];
        let from = room.as_ptr().align_offset(DIRECT_ALIGNMENT);
        let aligned = &mut room[from..from + buffer.len()];
        direct.read_exact_at(aligned, offset)?;
        buffer.copy_from_slice(aligned);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_read_back_from_where_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("slot");
        std::fs::write(&path, vec![0; 1 << 16]).expect("written");
        let mut partition = Partition::open(&path).expect("open");
        assert_eq!(partition.bytes(), 1 << 16);
        partition.write_at(&[7; 1024], 4096).expect("written");
        partition.flush().expect("flushed");
        let mut back = [0; 1536];
        partition.read_at(&mut back, 4096).expect("read");
        assert!(back[..1024] == [7; 1024] && back[1024..] == [0; 512]);
        assert!(partition.read_at(&mut back, 1 << 16).is_err());
        let mut running = Partition::open_for_reading(&path).expect("open");
        running.read_at(&mut back, 4096).expect("read");
        assert!(back[..1024] == [7; 1024]);
        assert!(running.write_at(&[1; 512], 0).is_err());
    }
}
