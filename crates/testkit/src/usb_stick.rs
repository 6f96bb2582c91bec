//! A USB stick as a loop device that can be pulled out, root's helper for it, and one that only plays it.
//!
//! Owns: the image, the loop device, the FUSE file under one that can be pulled out, and the helper's process. Everything is let go when a value is dropped,
//! also while a test panics.
#![allow(clippy::disallowed_methods)]

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};
use rustix::fs::OFlags;
use rustix::mount::{FsOpenFlags, fsopen};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::blockdev::{Mounted, obstacle, run, scratch};
use crate::gateway_program;
use crate::wait::until;

/// The one file of a stick that can be pulled out.
const DISK: &str = "disk";
const DISK_INODE: INodeNo = INodeNo(2);
/// What the kernel may believe of it between two questions.
const A_WHILE: Duration = Duration::from_secs(1);

/// The file systems of sticks that can be tried here, as the kernel calls them; what cannot be is said loudly, with what is not run for it.
pub fn kinds(what: &str) -> Vec<&'static str> {
    if let Some(why) = obstacle() {
        booth_host::complain!("!! {what}: NOT RUN, {why}");
        return Vec::new();
    }
    let makers = [
        ("vfat", "mkfs.vfat"),
        ("exfat", "mkfs.exfat"),
        ("ext4", "mkfs.ext4"),
    ];
    let mut kinds = Vec::new();
    for (kind, maker) in makers {
        let is_known = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).is_ok();
        let made = Command::new(maker).arg("-V").output();
        made.unwrap_or_else(|error| panic!("{maker}: {error}; the Makefile names its package"));
        match is_known {
            true => kinds.push(kind),
            false => booth_host::complain!(
                "!! {what}: NOT RUN with {kind}, which this kernel does not know"
            ),
        }
    }
    kinds
}

/// A stick.
pub struct UsbStick {
    kind: &'static str,
    device: PathBuf,
    fuse: Option<(BackgroundSession, Arc<Medium>)>,
    folder: tempfile::TempDir,
}

impl UsbStick {
    /// One with an empty file system of this kind and size.
    pub fn new(kind: &'static str, mib: u64) -> Self {
        Self::made(kind, mib, |image, _| (attached(image, &[]), None))
    }

    /// One whose lock is on.
    pub fn locked(kind: &'static str, mib: u64) -> Self {
        Self::made(kind, mib, |image, _| (attached(image, &["-r"]), None))
    }

    /// One that can be pulled out while it is mounted.
    pub fn loose(kind: &'static str, mib: u64) -> Self {
        Self::made(kind, mib, |image, folder| {
            let medium = Arc::new(Medium {
                bytes: Mutex::new(std::fs::read(image).expect("an image")),
                is_pulled: AtomicBool::new(false),
            });
            let front = folder.join("front");
            std::fs::create_dir(&front).expect("a folder");
            let mut config = Config::default();
            config.mount_options = vec![MountOption::FSName("usb-stick".into())];
            let session = fuser::spawn_mount(Front(medium.clone()), &front, &config);
            let session = session.expect("FUSE");
            (attached(&front.join(DISK), &[]), Some((session, medium)))
        })
    }

    fn made(
        kind: &'static str,
        mib: u64,
        plug: impl FnOnce(&Path, &Path) -> (PathBuf, Option<(BackgroundSession, Arc<Medium>)>),
    ) -> Self {
        let folder = scratch();
        let image = folder.path().join("image");
        let file = File::create(&image).and_then(|file| file.set_len(mib << 20));
        file.expect("an image");
        let maker = format!("mkfs.{kind}");
        let quietly: &[&OsStr] = match kind {
            "ext4" => &[
                OsStr::new("-q"),
                OsStr::new("-F"),
                OsStr::new("-b"),
                OsStr::new("1024"),
            ],
            _ => &[],
        };
        run(&maker, &[quietly, &[image.as_os_str()]].concat()).expect("a file system");
        let (device, fuse) = plug(&image, folder.path());
        Self {
            kind,
            device,
            fuse,
            folder,
        }
    }

    /// Plugs it in under this name.
    pub fn plug(&self, readers: &Path, name: &str) {
        symlink(&self.device, readers.join(name)).expect("a link");
    }

    /// It is gone from one moment to the next.
    pub fn pull_out(&self) {
        let (_, medium) = self.fuse.as_ref().expect("a loose stick");
        medium.is_pulled.store(true, Ordering::SeqCst);
    }

    /// Whether it is mounted in a folder that this process sees.
    pub fn is_in_a_folder(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        mounts.contains(&format!(" {} ", self.device.display()))
    }

    /// Whether nobody has it mounted.
    pub fn is_free(&self) -> bool {
        let flags = OFlags::EXCL.bits().cast_signed();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.device);
        opened.is_ok()
    }

    /// Waits until it is mounted: the helper takes it for itself alone for a moment before.
    pub fn is_mounted(&self) {
        let mut looks = 0;
        until("the stick is mounted", || {
            looks = match self.is_free() {
                true => 0,
                false => looks + 1,
            };
            (looks > 20).then_some(())
        });
    }

    /// Waits until nobody has it mounted.
    pub fn is_let_go(&self) {
        until("nobody has the stick mounted", || {
            self.is_free().then_some(())
        });
    }

    /// What is on it, for whoever plugs it into another machine.
    pub fn elsewhere(&self) -> Mounted {
        self.is_let_go();
        let place = self.folder.path().join("elsewhere");
        let _ = std::fs::create_dir(&place);
        run(
            "mount",
            &[
                "-t".as_ref(),
                self.kind.as_ref(),
                self.device.as_os_str(),
                place.as_os_str(),
            ],
        )
        .expect("mounted");
        Mounted::at(&place)
    }
}

impl Drop for UsbStick {
    fn drop(&mut self) {
        let _ = run("losetup", &["-d".as_ref(), self.device.as_os_str()]);
        if let Some((session, _)) = self.fuse.take() {
            let front = self.folder.path().join("front");
            // The loop device lets go of the file a moment later.
            let _ = run("umount", &["-l".as_ref(), front.as_os_str()]);
            drop(session);
        }
    }
}

fn attached(image: &Path, more: &[&str]) -> PathBuf {
    let made = Command::new("losetup")
        .args(["--find", "--show"])
        .args(more)
        .arg(image)
        .output()
        .expect("losetup runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "losetup: {said}");
    PathBuf::from(String::from_utf8_lossy(&made.stdout).trim())
}

struct Medium {
    bytes: Mutex<Vec<u8>>,
    is_pulled: AtomicBool,
}

/// The FUSE side: one folder, one file.
struct Front(Arc<Medium>);

impl Front {
    fn facts(&self, ino: INodeNo) -> FileAttr {
        let bytes = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_disk = ino == DISK_INODE;
        FileAttr {
            ino,
            size: if is_disk { bytes.len() as u64 } else { 0 },
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: match is_disk {
                true => FileType::RegularFile,
                false => FileType::Directory,
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

    fn is_pulled(&self) -> bool {
        self.0.is_pulled.load(Ordering::SeqCst)
    }
}

impl Filesystem for Front {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name.to_str() {
            Some(DISK) => reply.entry(&A_WHILE, &self.facts(DISK_INODE), Generation(0)),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&A_WHILE, &self.facts(ino));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if self.is_pulled() {
            return reply.error(Errno::EIO);
        }
        let bytes = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let from = bytes.len().min(offset as usize);
        let to = bytes.len().min(from + size as usize);
        reply.data(&bytes[from..to]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut bytes = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let from = offset as usize;
        match bytes.get_mut(from..from + data.len()) {
            Some(place) if !self.is_pulled() => place.copy_from_slice(data),
            _ => return reply.error(Errno::EIO),
        }
        reply.written(data.len() as u32);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.is_pulled() {
            true => reply.error(Errno::EIO),
            false => reply.ok(),
        }
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
        reply.error(Errno::EOPNOTSUPP);
    }
}

/// Root's helper as the service manager would start it: it has the socket that listens as its standard input.
pub struct StickHelper {
    child: Child,
    socket: PathBuf,
}

impl StickHelper {
    /// The socket as the service manager makes it: whoever connects waits for the helper.
    pub fn socket(socket: &Path) -> UnixListener {
        let _ = std::fs::remove_file(socket);
        UnixListener::bind(socket).expect("a socket")
    }

    /// Serves one gateway, with the disks of this folder.
    pub fn start(readers: &Path, socket: &Path) -> Self {
        Self::on(Self::socket(socket), readers, socket)
    }

    /// The same on a socket that is there.
    pub fn on(listener: UnixListener, readers: &Path, socket: &Path) -> Self {
        let child = Command::new(gateway_program())
            .args(["stick", "--ext4", "--disks"])
            .arg(readers)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn()
            .expect("it runs");
        Self {
            child,
            socket: socket.to_owned(),
        }
    }

    /// It is killed, as by a machine without memory.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Waits for its end.
    pub fn ends(mut self) -> ExitStatus {
        until("the helper ends", || {
            self.child.try_wait().expect("a child")
        })
    }
}

impl Drop for StickHelper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// What a helper that only plays it does with one gateway.
pub enum Plays {
    /// Hands over this folder, and says this line when the gateway has let go of it.
    Hands(PathBuf, &'static str),
    /// Says this line.
    Says(&'static str),
    /// Hands over this folder, and is gone when the flag is set.
    HandsAndDies(PathBuf, Arc<AtomicBool>),
}

/// Plays root's helper at this socket for one gateway after the other; needs no root.
pub fn plays(socket: &Path, turns: Vec<Plays>) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).expect("a socket");
    std::thread::spawn(move || {
        for turn in turns {
            let (mut gateway, _) = listener.accept().expect("a gateway");
            let folder = match &turn {
                Plays::Says(line) => {
                    say(&gateway.as_fd(), line, None);
                    continue;
                }
                Plays::Hands(folder, _) | Plays::HandsAndDies(folder, _) => {
                    File::open(folder).expect("a folder")
                }
            };
            say(&gateway.as_fd(), "mounted sdz1", Some(&folder));
            match turn {
                Plays::HandsAndDies(_, dies) => {
                    until("it is to die", || dies.load(Ordering::SeqCst).then_some(()))
                }
                Plays::Hands(_, line) => {
                    let mut nothing = Vec::new();
                    // A gateway that ends before it has read that there is a stick resets the connection.
                    if let Err(error) = gateway.read_to_end(&mut nothing) {
                        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                    }
                    assert!(nothing.is_empty(), "the gateway says nothing");
                    say(&gateway.as_fd(), line, None);
                }
                Plays::Says(_) => {}
            }
        }
    })
}

fn say(gateway: &impl AsFd, line: &str, folder: Option<&File>) {
    let line = format!("{line}\n");
    let handed: Vec<_> = folder.into_iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !handed.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&handed));
    }
    let bytes = [IoSlice::new(line.as_bytes())];
    // The gateway may have gone.
    let _ = sendmsg(gateway, &bytes, &mut control, SendFlags::NOSIGNAL);
}
