//! The seam between the spool and the card: few verbs, so that a disk which forgets can stand behind them.

use std::io;
use std::path::Path;

/// An open file that only grows.
pub trait DiskFile: Send {
    /// Appends all of `bytes`.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes content and size durable (fdatasync(2)).
    fn sync_data(&mut self) -> io::Result<()>;
}

/// What the spool needs of a file system.
pub trait Disk: Send + Sync {
    /// Makes a folder (0700) with its parents; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a new file (0600); one that exists is an error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for appending after cutting it to `len` bytes; the cut is durable.
    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Reads up to `len` bytes from `offset`.
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// Length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// Names in a folder, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Renames; not durable before both folders are synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Unlinks a file; not durable before its folder is synced.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder's entries durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that this process may still write to the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Takes the lock, held until the value is dropped; `WouldBlock` if somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;

    /// Publishes a whole file: written aside, fsynced, renamed over `path`, the folder fsynced.
    fn publish(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = Path::new(&aside);
        match self.remove(aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = self.create(aside)?;
        file.append(bytes)?;
        file.sync_data()?;
        drop(file);
        self.rename(aside, path)?;
        self.sync_dir(dir)
    }
}
