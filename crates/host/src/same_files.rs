//! Whether files that a program holds open are still the ones that their names lead to.
//!
//! Owns: which file each name led to at first, by device and inode. Never does: open one: opening and closing a database's file would let go of
//! its locks. A file that is taken away goes on taking what is written, and no start finds it again.
#![allow(clippy::disallowed_methods)] // looks at files

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The files of these names.
#[derive(Debug)]
pub struct SameFiles {
    files: Vec<(PathBuf, Option<(u64, u64)>)>,
}

impl SameFiles {
    /// Begins to watch; one that is not there yet counts from the look that finds it.
    pub fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let files = paths.into_iter().map(|path| {
            let found = identity(&path);
            (path, found)
        });
        Self {
            files: files.collect(),
        }
    }

    /// Looks at each of them.
    ///
    /// # Errors
    /// The first one that is gone, or another file.
    pub fn look(&mut self) -> Result<(), PathBuf> {
        for (path, known) in &mut self.files {
            let found = identity(path);
            match known {
                None => *known = found,
                Some(known) if Some(*known) == found => {}
                Some(_) => return Err(path.clone()),
            }
        }
        Ok(())
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}
