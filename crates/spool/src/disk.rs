//! The disk as the spool needs it, and the one way to publish a file.
//!
//! Owns: the [`Disk`] trait, so that a disk that loses unsynced writes can stand behind the real
//! spool code in tests, and [`publish`]. Never does: touch a real file; `real_disk` does.

use std::io;
use std::path::Path;

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, without the folder.
    pub name: String,
    /// Its length in bytes; of no meaning for a folder.
    pub bytes: u64,
    /// Whether it is a folder, or anything else that is not a plain file.
    pub is_folder: bool,
}

/// An open file. Every call states its position, so that one handle can be shared.
pub trait DiskFile: Send + Sync {
    /// Fills `buffer` from `offset` on, or errs with `UnexpectedEof`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`. Durable only after a sync.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether nothing is in it.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|bytes| bytes == 0)
    }
    /// Cuts or extends the file. Durable only after a sync.
    fn truncate(&self, bytes: u64) -> io::Result<()>;
    /// Makes content and length durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
    /// Overwrites the first `bytes` of the content of a file that no longer has a name, or (`None`) all of it, durably, so that a
    /// person who takes the card finds nothing of it. Does nothing if the file still has a name, or on a disk that keeps nothing of
    /// removed files.
    fn erase(&self, _bytes: Option<u64>) -> io::Result<()> {
        Ok(())
    }
    /// Makes everything about the file durable except its name (fsync).
    fn sync_all(&self) -> io::Result<()>;
    /// Sets the time of the file's last change, in the unit of [`Disk::modified`]. Durable only after [`DiskFile::sync_all`].
    fn set_modified(&self, _nanoseconds: i64) -> io::Result<()> {
        Ok(())
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Must exist; read only.
    Read,
    /// Must exist; read and write.
    Write,
    /// Must not exist; read and write, readable by this user only.
    New,
}

/// Measurements of the disk since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DiskStats {
    /// 95th percentile of the latest syncs, in milliseconds; `None` before the first.
    pub fsync_p95_ms: Option<f64>,
    /// Bytes handed to the disk by the spool (without the ledger's own).
    pub bytes_written: u64,
    /// Failed operations other than "no such file".
    pub io_errors: u64,
}

/// The operations that the spool needs. Only the ledger uses the disk without them.
pub trait Disk: Send + Sync + 'static {
    /// Makes `folder` and its missing parents, for this user only. Returns true if it did not exist.
    fn make_folder(&self, folder: &Path) -> io::Result<bool>;
    /// The entries of `folder`, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>>;
    /// Opens a file.
    fn open(&self, file: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file or folder another name, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn unlink(&self, file: &Path) -> io::Result<()>;
    /// Removes a folder with everything in it: used for old ledgers only.
    fn remove_tree(&self, folder: &Path) -> io::Result<()>;
    /// Makes the names in `folder` durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes everything on the file system of `folder` durable (syncfs).
    fn sync_everything(&self, folder: &Path) -> io::Result<()>;
    /// Bytes that this user may still write on the file system of `folder`.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
    /// Locks `file`, which is made if needed; `None` if another process holds the lock. Held until dropped.
    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
    /// When a file was last changed, nanoseconds since 1970; `None` on a disk that does not know.
    fn modified(&self, _file: &Path) -> io::Result<Option<i64>> {
        Ok(None)
    }
    /// The measurements so far.
    fn stats(&self) -> DiskStats;
}

/// Replaces or makes `folder/name` so that after a power cut either the old or the new content is
/// there, never a mixture: write `name.tmp`, fsync, rename, fsync the folder. A failure leaves the old file.
pub fn publish(disk: &dyn Disk, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    publish_dated(disk, folder, name, bytes, None)
}

/// Like [`publish`], but with the given time of the last change, if one is given.
pub fn publish_dated(
    disk: &dyn Disk,
    folder: &Path,
    name: &str,
    bytes: &[u8],
    modified: Option<i64>,
) -> io::Result<()> {
    let temporary = folder.join(format!("{name}.tmp"));
    match disk.unlink(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&temporary, Open::New)?;
    file.write_at(bytes, 0)?;
    if let Some(modified) = modified {
        file.set_modified(modified)?;
    }
    file.sync_all()?;
    disk.rename(&temporary, &folder.join(name))?;
    disk.sync_folder(folder)
}

/// Reads a whole file of at most `limit` bytes; a longer one is an `InvalidData` error.
pub fn read_whole(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let bytes = file.len()?;
    if bytes > limit {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it has {bytes} bytes, more than the {limit} that are read"),
        ));
    }
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
    file.read_at(&mut content, 0)?;
    Ok(content)
}
