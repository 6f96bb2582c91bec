//! The ext4 of a card's data partition, read without mounting it, as if its journal had been replayed.
//!
//! Owns: the wrapping of `ext4-view` as a source of a spool's files, over bytes in which the journal counts ([`super::journal`]). Never does: write.

use std::io;
use std::path::{Path, PathBuf};

use booth_spool::disk::Listed;
use booth_spool::inspect::Source;
use ext4_view::{Ext4, Ext4Error, Ext4Read};

use super::PulledError;
use super::device::Region;
use super::journal::Replayed;

/// Most entries of a folder: a damaged one may name a block again and again.
const MOST_ENTRIES: usize = 1 << 18;
/// How much is read of a file at a time.
const CHUNK_BYTES: usize = 1 << 20;

impl Ext4Read for Replayed {
    fn read(
        &mut self,
        start_byte: u64,
        into: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(Replayed::read(self, start_byte, into)?)
    }
}

/// An ext4 that is read.
pub(super) struct FileSystem(Ext4);

impl FileSystem {
    pub(super) fn open(named: &Path, region: Region) -> Result<Self, PulledError> {
        let at = region.at;
        let damaged = |why: String| PulledError::DamagedFileSystem {
            path: named.to_owned(),
            at,
            why,
        };
        let replayed = Replayed::of(region).map_err(|fault| damaged(fault.to_string()))?;
        let loaded = Ext4::load(Box::new(replayed));
        loaded.map(Self).map_err(|error| damaged(error.to_string()))
    }
}

/// The name of a path in the file system: every path begins at its root.
fn named(path: &Path) -> Result<String, io::Error> {
    let path = Path::new("/").join(path);
    let text = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(text.to_owned())
}

fn failed(error: Ext4Error) -> io::Error {
    match error {
        Ext4Error::NotFound | Ext4Error::NotADirectory => io::ErrorKind::NotFound.into(),
        Ext4Error::Io(source) => match source.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(source) => io::Error::other(source),
        },
        other => io::Error::other(other.to_string()),
    }
}

impl Source for FileSystem {
    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let folder = named(folder)?;
        let mut listed = Vec::new();
        for entry in self.0.read_dir(folder.as_str()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if listed.len() == MOST_ENTRIES {
                let why = format!("it names more than {MOST_ENTRIES} files");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            let name = String::from_utf8_lossy(entry.file_name().as_ref()).into_owned();
            if [".", ".."].contains(&name.as_str()) {
                continue;
            }
            let facts = entry.metadata().map_err(failed)?;
            listed.push(Listed {
                name,
                bytes: facts.len(),
                is_folder: !facts.file_type().is_regular_file(),
            });
        }
        Ok(listed)
    }

    fn read(&self, file: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let name = named(file)?;
        let mut open = self.0.open(name.as_str()).map_err(failed)?;
        let bytes = open.metadata().len();
        if bytes > limit {
            let why = format!("it has {bytes} bytes, more than the {limit} that are read");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let mut filled = 0;
        while filled < content.len() {
            let end = content.len().min(filled + CHUNK_BYTES);
            match open.read_bytes(&mut content[filled..end]).map_err(failed)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(content)
    }
}

/// Where a folder of the file system is, for people.
pub(super) fn shown(at: &Path) -> PathBuf {
    Path::new("/").join(at)
}
