//! A file system that is mounted in no folder: whoever has its open root can use it, nobody else sees it, and it ends with the last of them.
//!
//! Owns: mounting, and the proof that it is over: the device can be taken for oneself alone. Never does: believe that, if a write or the device failed.
#![allow(clippy::disallowed_methods)] // opens the device

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, openat, syncfs};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::Refusal;
use super::disks::{Choice, Kind};

/// How often it is looked whether the gateway has let go of everything, and the pause before each look.
const LOOKS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(250);

/// Why a stick is not safe to take out.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReleased {
    /// What was written did not reach it.
    #[error("what was written did not reach it: {0}")]
    Lost(io::Error),
    /// Somebody still uses it.
    #[error("somebody still uses it")]
    Held,
    /// It is not there any more.
    #[error("it is gone: {0}")]
    Gone(io::Error),
}

/// A mounted stick.
pub(super) struct Mounted {
    /// The mount itself.
    mount: OwnedFd,
    /// Its root, open from the beginning, so that no error of a write is missed.
    root: OwnedFd,
    /// The device, open from the beginning, so that no other one gets its name.
    device: File,
    path: PathBuf,
}

/// Mounts it for this user and group.
pub(super) fn mount(choice: &Choice, user: u32, group: u32) -> Result<Mounted, Refusal> {
    let name = choice.name();
    let unusable = |error: &dyn std::fmt::Display| Refusal::Unusable(format!("{name}: {error}"));
    let device = File::open(&choice.device).map_err(|error| unusable(&error))?;
    match alone(&choice.device) {
        Ok(taken) => drop(taken),
        Err(error) if is(&error, Errno::BUSY) => {
            return Err(unusable(&"it is mounted here already"));
        }
        Err(error) => return Err(unusable(&error)),
    }
    let (user, group) = (user.to_string(), group.to_string());
    let mut options = Vec::new();
    if choice.kind != Kind::Ext4 {
        // Whose all of it is: these file systems know no owners. Nobody else sees the mount, and root, who has no right to pass by
        // what others own, opens its root.
        options = vec![
            ("uid", user.as_str()),
            ("gid", group.as_str()),
            ("fmask", "0133"),
            ("dmask", "0022"),
        ];
    }
    if choice.kind == Kind::Fat {
        // An export's names are ASCII, and every kernel has this one's table; what it takes by itself it may lack.
        options.push(("iocharset", "ascii"));
    }
    let kind = choice.kind.name();
    let settings = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| match error {
        Errno::NODEV => unusable(&format!("this machine's kernel does not know {kind}")),
        error => unusable(&error),
    })?;
    let configured = fsconfig_set_string(&settings, "source", &choice.device).and_then(|()| {
        for (key, value) in options {
            fsconfig_set_string(&settings, key, value)?;
        }
        fsconfig_create(&settings)
    });
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOATIME;
    let mount = configured
        .and_then(|()| fsmount(&settings, FsMountFlags::FSMOUNT_CLOEXEC, attributes))
        .map_err(|error| match error {
            Errno::ACCESS | Errno::ROFS => Refusal::Locked(name.clone()),
            error => unusable(&format!("{error} {}", words(&settings))),
        })?;
    let how = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(&mount, ".", how, Mode::empty()).map_err(|error| unusable(&error))?;
    Ok(Mounted {
        mount,
        root,
        device,
        path: choice.device.clone(),
    })
}

/// What the kernel says of a mount that failed.
fn words(settings: &OwnedFd) -> String {
    let mut text = String::new();
    let mut line = [0; 512];
    // One sentence at a time, until there is none.
    while let Ok(length @ 1..) = rustix::io::read(settings, &mut line[..]) {
        text.push_str(&String::from_utf8_lossy(&line[..length]));
    }
    text
}

/// The device, for as long as nobody else uses it as a file system.
fn alone(device: &Path) -> io::Result<File> {
    let flags = OFlags::EXCL.bits().cast_signed();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(device)
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

impl Mounted {
    /// Its open root, for whoever is to use it.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Writes everything to the stick and lets go of it. The other side must have let go before, or do so soon.
    pub(super) fn release(self) -> Result<(), NotReleased> {
        let Self {
            mount,
            root,
            device,
            path,
        } = self;
        let synced = syncfs(&root);
        drop(root);
        drop(mount);
        let mut free = None;
        for _ in 0..LOOKS {
            match alone(&path) {
                Ok(taken) => {
                    free = Some(taken);
                    break;
                }
                Err(error) if is(&error, Errno::BUSY) => std::thread::park_timeout(PAUSE),
                Err(error) => return Err(NotReleased::Gone(error)),
            }
        }
        let free = free.ok_or(NotReleased::Held)?;
        synced.map_err(|error| NotReleased::Lost(error.into()))?;
        // What the file system wrote when it ended, and what the stick itself has in its memory.
        device.sync_all().map_err(NotReleased::Lost)?;
        free.sync_all().map_err(NotReleased::Lost)
    }
}
