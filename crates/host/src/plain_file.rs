//! Reading a small file that another person or program may have put there, and making or replacing one that nobody else may read.
//!
//! Owns: the limit of its length, that only a plain file is read, that a disk which does not answer is asked again, and that none is overwritten
//! unasked. Never does: wait for the other end of a pipe, or decide what is in the file.
#![allow(clippy::disallowed_methods)] // opens files

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// How often a disk that does not answer is asked, and how long it is waited in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Whether a read failed because disk or machine did not answer: the file may be as it should, and be given another time.
pub fn is_no_answer(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    errno.is_some_and(|errno| {
        [
            Errno::IO,
            Errno::TIMEDOUT,
            Errno::REMOTEIO,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
        ]
        .contains(&errno)
    })
}

/// Reads once more, up to five times within a second, where disk or machine do not answer.
///
/// # Errors
/// Those of the last try.
pub fn patiently<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..TRIES {
        match read() {
            Err(error) if is_no_answer(&error) => std::thread::park_timeout(PAUSE),
            answered => return answered,
        }
    }
    read()
}

/// The first bytes of the file at `path`: all of it, or one byte more than `most`, by which the caller sees that it is too long.
/// Links are followed.
///
/// # Errors
/// The errors of opening and reading, and an error for everything that is no plain file.
pub fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    patiently(|| read_once(path, most))
}

fn read_once(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let facts = file.metadata()?;
    if facts.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !facts.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no plain file",
        ));
    }
    // A buffer that grew would leave pieces of what may be a secret behind.
    let mut bytes = Vec::with_capacity(facts.len().min(most) as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a folder for nobody but its owner, and those on the way to it; one that is there stays as it is.
///
/// # Errors
/// The errors of making it.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a file that was not there, readable for its owner alone, with this content; durable when this returns.
///
/// # Errors
/// The errors of opening, writing and syncing; [`io::ErrorKind::AlreadyExists`] where something of that name is.
pub fn make_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Puts this content into the place of a file, readable for its owner alone; durable when this returns. A power cut leaves the old content
/// or the new one.
///
/// # Errors
/// The errors of creating, writing, syncing and renaming.
pub fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_does_not_answer_is_asked_again_and_a_verdict_is_taken_at_once() {
        let asked = |errors: &[Errno]| {
            let mut left = errors.iter();
            let read = patiently(|| left.next().map_or(Ok(7), |errno| Err((*errno).into())));
            (read.ok(), errors.len() - left.len())
        };
        assert_eq!(asked(&[Errno::IO, Errno::IO]), (Some(7), 2));
        assert_eq!(asked(&[Errno::IO; 9]), (None, 5));
        for verdict in [Errno::NOENT, Errno::ACCESS, Errno::ISDIR, Errno::NOTDIR] {
            assert_eq!(asked(&[verdict; 2]), (None, 1), "{verdict}");
        }
    }

    #[test]
    fn what_is_no_plain_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .expect("a pipe");
        let refused = read_at_most(&pipe, 9).expect_err("a pipe");
        assert_eq!(refused.to_string(), "it is no plain file");
        let refused = read_at_most(folder.path(), 9).expect_err("a folder");
        assert_eq!(refused.kind(), io::ErrorKind::IsADirectory);
        assert!(read_at_most(Path::new("/dev/zero"), 9).is_err());
        let file = folder.path().join("file");
        std::fs::write(&file, [7; 12]).expect("written");
        assert_eq!(read_at_most(&file, 20).expect("read"), [7; 12]);
        assert_eq!(read_at_most(&file, 9).expect("read").len(), 10);
    }

    #[test]
    fn a_replaced_file_has_the_new_content_and_nothing_lies_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("state.json");
        for content in [&b"the first"[..], b"2"] {
            replace_private(&file, content).expect("written");
            assert_eq!(std::fs::read(&file).expect("read"), content);
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1);
    }
}
