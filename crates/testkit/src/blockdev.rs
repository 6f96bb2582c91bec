//! A block device that remembers every write and every flush, with a real ext4 on it.
//!
//! Owns: the FUSE file, the loop device under it, the mounts, and the [`Trace`]. Never does: judge what is on the
//! card. Everything is unmounted and detached when the value is dropped, also while a test panics. The file system
//! is served by threads of this process: whoever writes to it waits for them.
#![allow(clippy::disallowed_methods)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use booth_host::clock;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

/// A disk writes such a sector whole or not at all.
pub const SECTOR: usize = 512;
/// Size of the card: small, so that a crash state is built quickly, but with a second block group, where ext4 keeps a
/// copy of its superblock, as on every real card.
const CARD_BYTES: u64 = 192 << 20;
/// The names in the FUSE folder.
const DISK: &str = "disk";
const MARK: &str = "mark";
const DISK_INODE: INodeNo = INodeNo(2);
const MARK_INODE: INodeNo = INodeNo(3);
/// How long an unmount may wait for the loop device.
const LET_GO: Duration = Duration::from_secs(10);
/// Nothing but this program changes the files.
const FOR_EVER: Duration = Duration::from_secs(86_400);

/// What happened to the device.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// These bytes were written at this offset.
    Write(u64, Vec<u8>),
    /// Everything written before is on the card for good.
    Flush,
    /// Somebody said so, with [`BlockDevice::mark`] or by writing to the file `mark`.
    Mark(String),
}

/// One happening.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Boot-time clock, in microseconds: the gateway's own clock for what it records.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// All happenings in order, from an empty device on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// In order of time.
    pub events: Vec<Event>,
    /// Bytes of the device.
    pub bytes: u64,
}

impl Trace {
    /// The marks with their places and times.
    pub fn marks(&self) -> impl Iterator<Item = (usize, u64, &str)> {
        self.events
            .iter()
            .enumerate()
            .filter_map(|(place, event)| match &event.what {
                What::Mark(text) => Some((place, event.at_us, text.as_str())),
                _ => None,
            })
    }

    /// Keeps it for another process.
    pub fn save(&self, into: &Path) -> io::Result<()> {
        let mut file = io::BufWriter::new(File::create(into)?);
        file.write_all(&self.bytes.to_le_bytes())?;
        for event in &self.events {
            let (kind, offset, bytes): (u8, u64, &[u8]) = match &event.what {
                What::Write(offset, bytes) => (b'W', *offset, bytes),
                What::Flush => (b'F', 0, &[]),
                What::Mark(text) => (b'M', 0, text.as_bytes()),
            };
            file.write_all(&[kind])?;
            file.write_all(&event.at_us.to_le_bytes())?;
            file.write_all(&offset.to_le_bytes())?;
            file.write_all(&(bytes.len() as u64).to_le_bytes())?;
            file.write_all(bytes)?;
        }
        file.flush()
    }

    /// What was kept with [`Trace::save`].
    pub fn load(from: &Path) -> io::Result<Trace> {
        let mut file = io::BufReader::new(File::open(from)?);
        let mut number = [0; 8];
        file.read_exact(&mut number)?;
        let mut trace = Trace {
            events: Vec::new(),
            bytes: u64::from_le_bytes(number),
        };
        let mut head = [0; 25];
        while file.read(&mut head[..1])? == 1 {
            file.read_exact(&mut head[1..])?;
            let number = |at: usize| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&head[at..at + 8]);
                u64::from_le_bytes(bytes)
            };
            let mut bytes = vec![0; number(17) as usize];
            file.read_exact(&mut bytes)?;
            let what = match head[0] {
                b'W' => What::Write(number(9), bytes),
                b'F' => What::Flush,
                _ => What::Mark(String::from_utf8_lossy(&bytes).into_owned()),
            };
            trace.events.push(Event {
                at_us: number(1),
                what,
            });
        }
        Ok(trace)
    }
}

struct Recorded {
    image: Vec<u8>,
    trace: Trace,
}

impl Recorded {
    fn push(&mut self, what: What) {
        self.trace.events.push(Event {
            at_us: clock::mono_us(),
            what,
        });
    }
}

type Shared = Arc<Mutex<Recorded>>;

fn locked(shared: &Shared) -> MutexGuard<'_, Recorded> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The FUSE side: one folder, two files.
struct Folder(Shared);

impl Folder {
    fn facts(ino: INodeNo) -> FileAttr {
        let size = if ino == DISK_INODE { CARD_BYTES } else { 0 };
        FileAttr {
            ino,
            size,
            blocks: size / SECTOR as u64,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: match ino {
                INodeNo::ROOT => FileType::Directory,
                _ => FileType::RegularFile,
            },
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Folder {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name.to_str() {
            Some(DISK) => reply.entry(&FOR_EVER, &Self::facts(DISK_INODE), Generation(0)),
            Some(MARK) => reply.entry(&FOR_EVER, &Self::facts(MARK_INODE), Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &Self::facts(ino));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<fuser::TimeOrNow>,
        _: Option<fuser::TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&FOR_EVER, &Self::facts(ino));
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // A mark is told at once and whole.
        let flags = match ino {
            MARK_INODE => FopenFlags::FOPEN_DIRECT_IO,
            _ => FopenFlags::empty(),
        };
        reply.opened(FileHandle(0), flags);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let recorded = locked(&self.0);
        let image = match ino {
            DISK_INODE => recorded.image.as_slice(),
            _ => &[],
        };
        let from = image.len().min(offset as usize);
        let to = image.len().min(from + size as usize);
        reply.data(&image[from..to]);
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut recorded = locked(&self.0);
        if ino == MARK_INODE {
            let text = String::from_utf8_lossy(data).into_owned();
            recorded.push(What::Mark(text));
        } else {
            let from = offset as usize;
            match recorded.image.get_mut(from..from + data.len()) {
                Some(place) => place.copy_from_slice(data),
                None => return reply.error(Errno::ENOSPC),
            }
            recorded.push(What::Write(offset, data.to_vec()));
        }
        reply.written(data.len() as u32);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        if ino == DISK_INODE {
            locked(&self.0).push(What::Flush);
        }
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EOPNOTSUPP); // no discards: they would forget what a card still has
    }
}

/// Why this machine cannot do it, or nothing. To be asked before anything here is used.
pub fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("this needs root".into());
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if let Err(error) = File::options().read(true).write(true).open(device) {
            return Some(format!("{device}: {error}"));
        }
    }
    let missing = ["mount", "umount", "mkfs.ext4", "e2fsck"]
        .into_iter()
        .find(|program| Command::new(program).arg("-V").output().is_err());
    missing.map(|program| format!("there is no {program}"))
}

/// Runs a program of the system to its end.
pub fn run(program: &str, arguments: &[&OsStr]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&said).trim()
        )),
    }
}

/// A folder in memory where there is one: nothing here is worth a real disk's time.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
    .expect("a folder")
}

/// An ext4 mounted from a file through a loop device that goes with the mount.
pub struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    /// Mounts it, with ext4's usual options.
    pub fn mount(file: &Path, folder: &Path) -> Result<Self, String> {
        let options = OsStr::new("loop,noatime");
        run(
            "mount",
            &[
                "-t".as_ref(),
                "ext4".as_ref(),
                "-o".as_ref(),
                options,
                file.as_ref(),
                folder.as_ref(),
            ],
        )?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// What is mounted here already.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if run("umount", &[self.folder.as_ref()]).is_err() {
            // Somebody is still in there: it goes when they do.
            let _ = run("umount", &["-l".as_ref(), self.folder.as_ref()]);
        }
    }
}

/// The device, with its ext4 mounted. Its fields are dropped in this order.
pub struct BlockDevice {
    card: Option<Mounted>,
    session: Option<BackgroundSession>,
    shared: Shared,
    folder: tempfile::TempDir,
}

impl BlockDevice {
    /// Makes the device, a file system on it, and mounts that.
    pub fn start() -> Result<Self, String> {
        let folder = scratch();
        let (front, card) = (folder.path().join("front"), folder.path().join("card"));
        for path in [&front, &card] {
            std::fs::create_dir(path).map_err(|error| format!("a folder: {error}"))?;
        }
        let recorded = Recorded {
            image: vec![0; CARD_BYTES as usize],
            trace: Trace {
                events: Vec::new(),
                bytes: CARD_BYTES,
            },
        };
        let shared = Arc::new(Mutex::new(recorded));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("crash-states".into())];
        let session = fuser::spawn_mount(Folder(shared.clone()), &front, &config)
            .map_err(|error| format!("the FUSE folder cannot be mounted: {error}"))?;
        let mut device = Self {
            card: None,
            session: Some(session),
            shared,
            folder,
        };
        let disk = front.join(DISK);
        // Everything is written now, so that no thread of ext4 writes tables beside what is looked at.
        let lazy = "nodiscard,lazy_itable_init=0,lazy_journal_init=0";
        run(
            "mkfs.ext4",
            &[
                "-q".as_ref(),
                "-F".as_ref(),
                "-b".as_ref(),
                "4096".as_ref(), // as on a card of the usual size
                "-J".as_ref(),
                "size=4".as_ref(),
                "-E".as_ref(),
                lazy.as_ref(),
                disk.as_ref(),
            ],
        )?;
        device.card = Some(Mounted::mount(&disk, &card)?);
        Ok(device)
    }

    /// The mounted file system.
    pub fn card(&self) -> PathBuf {
        self.folder.path().join("card")
    }

    /// The file that takes marks of other programs.
    pub fn mark_file(&self) -> PathBuf {
        self.folder.path().join("front").join(MARK)
    }

    /// A pen for marks that other threads may use.
    pub fn marker(&self) -> Marker {
        Marker(self.shared.clone())
    }

    /// Writes a mark.
    pub fn mark(&self, text: impl Into<String>) {
        locked(&self.shared).push(What::Mark(text.into()));
    }

    /// What happened so far; what comes later is not in it.
    pub fn trace(&self) -> Trace {
        locked(&self.shared).trace.clone()
    }
}

/// Writes marks.
#[derive(Clone)]
pub struct Marker(Shared);

impl Marker {
    /// Writes a mark.
    pub fn mark(&self, text: impl Into<String>) {
        locked(&self.0).push(What::Mark(text.into()));
    }
}

impl Drop for BlockDevice {
    fn drop(&mut self) {
        drop(self.card.take());
        let front = self.folder.path().join("front");
        // The loop device lets go of the file a moment after its unmount.
        let start = Instant::now();
        while let Err(why) = run("umount", &[front.as_ref()]) {
            if start.elapsed() > LET_GO {
                booth_host::complain!("!! {why}");
                let _ = run("umount", &["-l".as_ref(), front.as_ref()]);
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if let Some(session) = self.session.take() {
            let _ = session.join();
        }
    }
}
