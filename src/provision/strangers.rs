//! Files in the gateway's folders that provisioning has not made.
//!
//! Owns: moving them aside, and giving what provisioning made to the gateway. The gateway owns its folder: an intruder in
//! the gateway can put a pipe, a link, a device or a second name of root's own file where root works at the next boot. Never
//! does: follow a link, open what it looks at, or delete anything. A failure leaves the rest where it was.
#![allow(clippy::disallowed_methods)] // works on folders that it holds open

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, chownat, fstat,
    mkdirat, openat, renameat_with, statat,
};
use rustix::io::Errno;

use booth_spool::real_disk::folder_below;

/// The folder that such files go to, in the gateway's own folder.
pub(super) const ASIDE: &str = "set-aside";
/// Most files and folders below one of provisioning's own folders; a folder with more goes aside as a whole.
const MOST_ENTRIES: usize = 10_000;
/// How many names are tried for a file that goes aside.
const MOST_NAMES: usize = 1_000;
/// Most files that are named.
const MOST_NAMED: usize = 8;
const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The users who may own what provisioning reads.
#[derive(Clone, Copy)]
struct Owners {
    gateway: u32,
    own: u32,
}

/// Looks at the folders `names` in `data`, each with this many levels of folders below it, and moves aside everything that
/// is neither a folder nor a plain file with one name, or that belongs neither to the gateway nor to this user. Returns a
/// sentence for each.
///
/// # Errors
/// When `data` cannot be looked at, or something can be moved nowhere.
pub(super) fn move_aside(data: &Path, names: &[(&str, usize)]) -> io::Result<Vec<String>> {
    let top = match openat(
        CWD,
        data,
        OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut looking = Looking {
        owners: Owners {
            gateway: fstat(&top)?.st_uid,
            own: rustix::process::geteuid().as_raw(),
        },
        top,
        moved: Vec::new(),
        seen: 0,
    };
    for (name, levels) in names {
        looking.seen = 0;
        let top = looking.top.try_clone()?;
        let (name, shown) = (OsStr::new(name), Path::new(name));
        if !looking.visit(top.as_fd(), name, shown, *levels)? {
            let why = "there are too many files in it";
            looking.move_away(top.as_fd(), name, shown, why)?;
        }
    }
    Ok(looking.named())
}

struct Looking {
    top: OwnedFd,
    owners: Owners,
    moved: Vec<String>,
    seen: usize,
}

impl Looking {
    /// Looks at one file or folder and what is below it; false if there is too much.
    fn visit(
        &mut self,
        above: BorrowedFd<'_>,
        name: &OsStr,
        shown: &Path,
        levels: usize,
    ) -> io::Result<bool> {
        self.seen += 1;
        if self.seen > MOST_ENTRIES {
            return Ok(false);
        }
        let facts = match statat(above, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => facts,
            Err(Errno::NOENT) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let is_folder = kind(&facts) == FileType::Directory;
        let why = match (is_folder, wants_folder(shown, levels)) {
            (true, Some(false)) => Some("it is a folder"),
            (false, Some(true)) => Some("it is no folder"),
            _ => stranger(&facts, self.owners),
        };
        if let Some(why) = why {
            self.move_away(above, name, shown, why)?;
            return Ok(true);
        }
        if !is_folder {
            return Ok(true);
        }
        let folder = openat(above, name, FOLDER, Mode::empty())?;
        for entry in names_in(&folder)? {
            if !self.visit(folder.as_fd(), &entry, &shown.join(&entry), levels - 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn move_away(
        &mut self,
        above: BorrowedFd<'_>,
        name: &OsStr,
        shown: &Path,
        why: &str,
    ) -> io::Result<()> {
        let aside = self.aside()?;
        let shown = shown.display();
        for number in 0..MOST_NAMES {
            let mut other = format!("{number}-").into_bytes();
            // Shortened, so that all parts together fit into a file name.
            other.extend(name.as_bytes().iter().take(200));
            let other = OsStr::from_bytes(&other);
            match renameat_with(above, name, &aside, other, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.moved.push(format!(
                        "{shown} lies in {ASIDE} ({why}). Provisioning never makes such a thing: somebody may have broken into the gateway. Swap the card, and \
                         see docs/threat-model.md"
                    ));
                    return Ok(());
                }
            }
        }
        Err(io::Error::other(format!(
            "{shown}: {why}, and {ASIDE} is full; use another card"
        )))
    }

    /// The folder that files are moved to, made if it is new; a file in its place is moved into it.
    fn aside(&self) -> io::Result<OwnedFd> {
        let open = || openat(&self.top, ASIDE, FOLDER, Mode::empty());
        match mkdirat(&self.top, ASIDE, Mode::from_raw_mode(0o700)) {
            Err(error) if error != Errno::EXIST => return Err(error.into()),
            _ => {}
        }
        match open() {
            Ok(folder) => return Ok(folder),
            Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {}
            Err(error) => return Err(error.into()),
        }
        for number in 0..MOST_NAMES {
            let other = format!("{ASIDE}-{number}");
            match renameat_with(&self.top, ASIDE, &self.top, &*other, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    mkdirat(&self.top, ASIDE, Mode::from_raw_mode(0o700))?;
                    return Ok(open()?);
                }
            }
        }
        Err(io::Error::other(format!(
            "{ASIDE} is no folder and cannot be moved; use another card"
        )))
    }

    fn named(mut self) -> Vec<String> {
        let more = self.moved.len().saturating_sub(MOST_NAMED);
        self.moved.truncate(MOST_NAMED);
        if more > 0 {
            self.moved.push(format!("{more} more lie in {ASIDE}"));
        }
        self.moved
    }
}

/// Whether provisioning expects a folder there; `None` where it may be a folder or a file.
fn wants_folder(shown: &Path, levels: usize) -> Option<bool> {
    // One of provisioning's own folders.
    if shown.components().count() == 1 {
        return Some(true);
    }
    if levels == 0 {
        return Some(false);
    }
    let in_credentials = shown.strip_prefix("credentials").ok()?.to_str()?;
    Some(in_credentials == "growing" || in_credentials.starts_with("set-"))
}

fn kind(facts: &Stat) -> FileType {
    FileType::from_raw_mode(facts.st_mode)
}

/// Why this cannot be of provisioning's making.
fn stranger(facts: &Stat, owners: Owners) -> Option<&'static str> {
    match kind(facts) {
        FileType::Directory => {}
        FileType::RegularFile if facts.st_nlink == 1 => {}
        FileType::RegularFile => return Some("it has a second name"),
        FileType::Symlink => return Some("it is a link"),
        _ => return Some("it is no plain file"),
    }
    let is_ours = facts.st_uid == owners.gateway || facts.st_uid == owners.own;
    (!is_ours).then_some("it belongs neither to root nor to the gateway")
}

fn names_in(folder: &OwnedFd) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
        if names.len() > MOST_ENTRIES {
            break;
        }
    }
    Ok(names)
}

/// Gives a file or folder and this many levels of its contents to the owner of `data`, who runs the gateway. No link is
/// followed, within `data` not even in the path, and a file with a second name keeps its owner.
///
/// # Errors
/// When something cannot be looked at or given.
pub(super) fn give(path: &Path, data: &Path, levels: usize) -> io::Result<()> {
    let owner = rustix::fs::stat(data)?;
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let (guard, way) = match above.strip_prefix(data) {
        Ok(way) => (data, way),
        // The path is not in the gateway's folder: the way to it is trusted.
        Err(_) if above.as_os_str().is_empty() => (Path::new("."), Path::new("")),
        Err(_) => (above, Path::new("")),
    };
    match folder_below(guard, way) {
        Ok(folder) => give_at(folder.as_fd(), name, &owner, levels),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn give_at(above: BorrowedFd<'_>, name: &OsStr, owner: &Stat, levels: usize) -> io::Result<()> {
    let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let thing = match openat(above, name, look, Mode::empty()) {
        Ok(thing) => thing,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let facts = fstat(&thing)?;
    let is_folder = kind(&facts) == FileType::Directory;
    let is_given = (facts.st_uid, facts.st_gid) == (owner.st_uid, owner.st_gid);
    if !is_given && (is_folder || facts.st_nlink == 1) {
        let (user, group) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        chownat(&thing, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
    }
    if is_folder && levels > 0 {
        let folder = openat(above, name, FOLDER, Mode::empty())?;
        for entry in names_in(&folder)? {
            give_at(folder.as_fd(), &entry, owner, levels - 1)?;
        }
    }
    Ok(())
}
