//! A disk in memory that knows what is durable, and what a power cut may leave of the rest.
//!
//! Owns: files and folders behind the spool's [`Disk`] trait, faults, a capacity, and [`ModelDisk::power_cut`]. Never
//! does: touch a real file, read a clock, make chance of its own; everything follows from the seeds it is given.
//!
//! **What is durable when.** The content and length of a file: after `sync_data` or `sync_all` on it. A name (made,
//! renamed, removed, of a file or a folder): after `sync_folder` of the folder it is in, and only then; syncing a file
//! does not keep its name, though ext4 would. Everything: after `sync_everything`.
//!
//! **What a power cut leaves** of what is not durable, harsher than ext4 with `data=ordered`, within what POSIX allows:
//! - of each 512-byte sector written since the last sync of its file, any version it has had since then; where the file
//!   grew, also zeros, or an old block of another file. One sector is never torn within itself.
//! - any length the file has had since then, or one in the middle of an extension: ahead of the data (zeros follow),
//!   or behind it.
//! - of the changes of names, any subset that keeps the order of the changes of each single name. Changes of different
//!   names are reordered, within one folder too. A renamed file never loses both names: its old one only goes if the new
//!   one came, it may keep both, and a file that a rename replaces is there until the new one is.
//! - after a failed sync a page that was dirty counts as clean: what was in it stays in doubt until it is written again.
//!   Reading it meanwhile gives what was written, as the page cache does.
//!
//! Not in the model: sectors that were synced and go bad by themselves, a disk that lies about syncs, whole erase
//! blocks lost by a card's controller.

pub mod cut;
pub mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use booth_spool::disk::{Disk, DiskFile, DiskStats, Listed, Open};

use state::{Node, State};

/// No space left on the device (Linux errno).
pub const ENOSPC: i32 = 28;
/// Input/output error (Linux errno).
pub const EIO: i32 = 5;
/// A reader waits for at most this long, in real time.
const STALL_AT_MOST: Duration = Duration::from_secs(60);
/// Read-only file system (Linux errno).
pub const EROFS: i32 = 30;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    Create,
    Write,
    Truncate,
    Sync,
    SyncFolder,
    SyncEverything,
    Rename,
    Unlink,
    MakeFolder,
    RemoveTree,
    /// Changes nothing; not counted, never cut, but may be made to fail.
    Read,
    /// As [`Verb::Read`].
    List,
    /// As [`Verb::Read`].
    OpenOld,
}

/// One operation, before it is done.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// Counted from 0 over the operations that change something.
    pub number: u64,
    pub verb: Verb,
    /// The file or folder; the new name of a rename.
    pub path: &'a Path,
}

/// What an operation that fails has done all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// Half of a write; all of anything else but a sync.
    Half,
    All,
}

/// A failure to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub errno: i32,
    pub left: Left,
}

type Faults = dyn FnMut(&Operation) -> Option<Fault> + Send;

/// Numbers that come again with the same seed.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Any seed will do, 0 too.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (splitmix64).
    #[expect(clippy::should_implement_trait, reason = "chance has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in `percent` of 100 cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The disk. A clone is another handle of the same disk; [`ModelDisk::snapshot`] is another disk.
#[derive(Clone, Default)]
pub struct ModelDisk {
    shared: Arc<Mutex<Shared>>,
    moves: Arc<Condvar>,
}

#[derive(Default)]
struct Shared {
    state: State,
    faults: Option<Box<Faults>>,
    operations: u64,
    /// How many more operations are done before the power goes.
    power_left: Option<u64>,
    is_off: bool,
    written: u64,
    syncs: u64,
    errors: u64,
    locks: Vec<u64>,
    stalls: bool,
    stalled: usize,
}

impl ModelDisk {
    /// An empty disk without end, its root folder durable.
    pub fn new() -> Self {
        Self::default()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(state: State) -> Self {
        let shared = Shared {
            state,
            ..Shared::default()
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            moves: Arc::default(),
        }
    }

    /// While the disk stalls, whoever reads a file waits; everything else goes on. A stall that nobody ends is a panic of the
    /// reader.
    pub fn stall_reads(&self, stalls: bool) {
        self.shared().stalls = stalls;
        self.moves.notify_all();
    }

    /// How many readers wait.
    pub fn stalled(&self) -> usize {
        self.shared().stalled
    }

    /// The disk, once it does not stall.
    fn moving(&self) -> MutexGuard<'_, Shared> {
        let mut shared = self.shared();
        shared.stalled += 1;
        let waited = self
            .moves
            .wait_timeout_while(shared, STALL_AT_MOST, |shared| shared.stalls);
        let (mut shared, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        shared.stalled -= 1;
        assert!(!waited.timed_out(), "a read waits for a disk that stalls");
        shared
    }

    /// Another disk with the same content, durable and not; without faults, locks and counts.
    pub fn snapshot(&self) -> ModelDisk {
        Self::of(self.shared().state.clone())
    }

    /// Another disk as a power cut now may leave this one. This one goes on unharmed.
    pub fn power_cut(&self, seed: u64) -> ModelDisk {
        Self::of(cut::crash(&self.shared().state, &mut Chance::new(seed)))
    }

    /// The power goes in the middle of the changing operation after the next `operations`: it errs and so does
    /// everything after it, and nothing changes any more. [`ModelDisk::power_cut`] then says what is left.
    pub fn cut_power_after(&self, operations: u64) {
        self.shared().power_left = Some(operations);
    }

    /// Whether the power is gone.
    pub fn is_off(&self) -> bool {
        self.shared().is_off
    }

    /// How many changing operations were asked for.
    pub fn operations(&self) -> u64 {
        self.shared().operations
    }

    /// Asks `faults` before every operation whether it fails.
    pub fn set_faults(&self, faults: impl FnMut(&Operation) -> Option<Fault> + Send + 'static) {
        self.shared().faults = Some(Box::new(faults));
    }

    /// The changing operation `number` ([`ModelDisk::operations`] counts them) fails.
    pub fn fail_at(&self, number: u64, fault: Fault) {
        self.set_faults(move |operation| {
            (operation.number == number && operation.verb.is_change()).then_some(fault)
        });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.shared().faults = None;
    }

    /// Bytes that fit; a write that does not fit does what it can and fails with ENOSPC.
    pub fn set_capacity(&self, bytes: u64) {
        self.shared().state.capacity = bytes;
    }

    /// Bytes of the capacity that others use.
    pub fn set_used_by_others(&self, bytes: u64) {
        self.shared().state.others = bytes;
    }

    /// All files with their paths.
    pub fn files(&self) -> Vec<PathBuf> {
        self.shared().state.files()
    }

    /// What a file holds now, durable or not.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let shared = self.shared();
        let file = shared.state.file(shared.state.find(path).ok()?).ok()?;
        Some(file.live.to_vec())
    }

    /// Puts a file there, durably and past every fault, in a folder that exists.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        self.shared().state.put(path, bytes);
    }

    /// Takes a file or folder away, durably and past every fault. True if it was there.
    pub fn take_away(&self, path: &Path) -> bool {
        self.shared().state.take_away(path)
    }
}

impl Verb {
    /// Whether it changes the disk or what of it is durable.
    pub fn is_change(self) -> bool {
        !matches!(self, Verb::Read | Verb::List | Verb::OpenOld)
    }

    fn is_sync(self) -> bool {
        matches!(self, Verb::Sync | Verb::SyncFolder | Verb::SyncEverything)
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl Shared {
    /// Does one operation, or what its fault or the end of the power leaves of it.
    fn operate<T>(
        &mut self,
        verb: Verb,
        path: &Path,
        work: impl FnOnce(&mut Shared, Left) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_off {
            return Err(power_is_off());
        }
        let number = self.operations;
        self.operations += u64::from(verb.is_change());
        if verb.is_change()
            && let Some(left) = &mut self.power_left
        {
            if *left == 0 {
                self.is_off = true;
                if !verb.is_sync() {
                    let _ = work(self, Left::All);
                }
                return Err(power_is_off());
            }
            *left -= 1;
        }
        let operation = Operation { number, verb, path };
        let fault = self.faults.as_mut().and_then(|faults| faults(&operation));
        let result = match fault {
            None => work(self, Left::All),
            Some(Fault { errno, left }) => {
                let is_done = match left {
                    Left::All => true,
                    Left::Half => !verb.is_sync(),
                    Left::Nothing => false,
                };
                if is_done {
                    work(self, left)?;
                } else if verb == Verb::Sync
                    && let Ok(file) = self.state.find(path)
                {
                    self.state.doubt(file);
                }
                Err(io::Error::from_raw_os_error(errno))
            }
        };
        if let Err(error) = &result
            && !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            )
        {
            self.errors += 1;
        }
        result
    }
}

struct ModelFile {
    disk: ModelDisk,
    file: u64,
    path: PathBuf,
    may_write: bool,
}

impl ModelFile {
    fn sync(&self) -> io::Result<()> {
        self.disk
            .shared()
            .operate(Verb::Sync, &self.path, |shared, _| {
                shared.syncs += 1;
                shared.state.sync(self.file)
            })
    }

    fn check_writable(&self) -> io::Result<()> {
        match self.may_write {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }
}

impl DiskFile for ModelFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk
            .moving()
            .operate(Verb::Read, &self.path, |shared, _| {
                let live = &shared.state.file(self.file)?.live;
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = from
                    .checked_add(buffer.len())
                    .and_then(|to| live.get(from..to))
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(bytes);
                Ok(())
            })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk
            .shared()
            .operate(Verb::Write, &self.path, |shared, left| {
                let bytes = match left {
                    Left::Half => &bytes[..bytes.len() / 2],
                    _ => bytes,
                };
                let written = shared.state.write(self.file, bytes, offset)?;
                shared.written += written as u64;
                if written < bytes.len() {
                    return Err(io::Error::from_raw_os_error(ENOSPC));
                }
                Ok(())
            })
    }

    fn len(&self) -> io::Result<u64> {
        let shared = self.disk.shared();
        if shared.is_off {
            return Err(power_is_off());
        }
        Ok(shared.state.file(self.file)?.live.len() as u64)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk
            .shared()
            .operate(Verb::Truncate, &self.path, |shared, _| {
                shared.state.resize(self.file, bytes)
            })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}

impl Disk for ModelDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<bool> {
        let mut shared = self.shared();
        match shared.state.find(folder) {
            Ok(found) => match shared.state.node(found)? {
                Node::Folder(_) => return Ok(false),
                Node::File(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        shared.operate(Verb::MakeFolder, folder, |shared, _| {
            shared.state.make_folders(folder)
        })?;
        Ok(true)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        self.shared()
            .operate(Verb::List, folder, |shared, _| shared.state.list(folder))
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let verb = match how {
            Open::New => Verb::Create,
            Open::Read | Open::Write => Verb::OpenOld,
        };
        let mut shared = self.shared();
        // A file that is there or missing is an answer and no change.
        match (shared.state.find(path), how) {
            _ if shared.is_off => {}
            (Ok(_), Open::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Err(error), Open::Read | Open::Write) => return Err(error),
            _ => {}
        }
        let file = shared.operate(verb, path, |shared, _| match how {
            Open::New => shared.state.create(path),
            Open::Read | Open::Write => {
                let found = shared.state.find(path)?;
                shared.state.file(found).map(|_| found)
            }
        })?;
        Ok(Box::new(ModelFile {
            disk: self.clone(),
            file,
            path: path.to_path_buf(),
            may_write: how != Open::Read,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut shared = self.shared();
        if !shared.is_off {
            shared.state.find(from)?;
        }
        shared.operate(Verb::Rename, to, |shared, _| shared.state.rename(from, to))
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        let mut shared = self.shared();
        if !shared.is_off {
            shared.state.find(file)?;
        }
        shared.operate(Verb::Unlink, file, |shared, _| shared.state.unlink(file))
    }

    fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        self.shared()
            .operate(Verb::RemoveTree, folder, |shared, _| {
                shared.state.remove_tree(folder)
            })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.shared()
            .operate(Verb::SyncFolder, folder, |shared, _| {
                shared.syncs += 1;
                let found = shared.state.find(folder)?;
                shared.state.sync_names(found)
            })
    }

    fn sync_everything(&self, folder: &Path) -> io::Result<()> {
        self.shared()
            .operate(Verb::SyncEverything, folder, |shared, _| {
                shared.syncs += 1;
                shared.state.find(folder)?;
                shared.state.sync_everything();
                Ok(())
            })
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let shared = self.shared();
        if shared.is_off {
            return Err(power_is_off());
        }
        shared.state.find(folder)?;
        Ok(shared.state.free())
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut shared = self.shared();
        let found = match shared.state.find(file) {
            Ok(found) => found,
            Err(_) => shared.operate(Verb::Create, file, |shared, _| shared.state.create(file))?,
        };
        if shared.is_off {
            return Err(power_is_off());
        }
        if shared.locks.contains(&found) {
            return Ok(None);
        }
        shared.locks.push(found);
        Ok(Some(Box::new(Lock {
            disk: self.clone(),
            file: found,
        })))
    }

    fn stats(&self) -> DiskStats {
        let shared = self.shared();
        DiskStats {
            fsync_p95_ms: (shared.syncs > 0).then_some(1.0),
            bytes_written: shared.written,
            io_errors: shared.errors,
        }
    }
}

struct Lock {
    disk: ModelDisk,
    file: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut shared = self.disk.shared();
        let file = self.file;
        shared.locks.retain(|locked| *locked != file);
    }
}
