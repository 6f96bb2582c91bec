//! A disk in memory: nothing fails, nothing is slow, nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use booth_spool::disk::{Disk, DiskFile, DiskStats, Listed, Open};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// The disk; clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    tree: Arc<Mutex<Tree>>,
}

#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, Bytes>,
    folders: BTreeSet<PathBuf>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl MemoryDisk {
    /// Puts a file there.
    pub fn put(&self, path: impl Into<PathBuf>, bytes: Vec<u8>) {
        let path = path.into();
        let mut tree = locked(&self.tree);
        tree.folders
            .extend(path.ancestors().skip(1).map(Path::to_path_buf));
        tree.files.insert(path, Arc::new(Mutex::new(bytes)));
    }

    /// A file's bytes.
    pub fn get(&self, path: &Path) -> Option<Vec<u8>> {
        let file = locked(&self.tree).files.get(path).cloned()?;
        let bytes = locked(&file).clone();
        Some(bytes)
    }

    /// Every file's path.
    pub fn paths(&self) -> Vec<PathBuf> {
        locked(&self.tree).files.keys().cloned().collect()
    }
}

struct MemoryFile(Bytes);

impl DiskFile for MemoryFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = locked(&self.0);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = from
            .checked_add(buffer.len())
            .and_then(|to| bytes.get(from..to))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, new: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = locked(&self.0);
        let from = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        let to = from + new.len();
        if bytes.len() < to {
            bytes.resize(to, 0);
        }
        bytes[from..to].copy_from_slice(new);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(locked(&self.0).len() as u64)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
        locked(&self.0).resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn make_folder(&self, folder: &Path) -> io::Result<bool> {
        Ok(locked(&self.tree).folders.insert(folder.to_path_buf()))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        let tree = locked(&self.tree);
        if !tree.folders.contains(folder) {
            return Err(missing());
        }
        let name = |path: &Path| {
            (path.parent() == Some(folder))
                .then(|| path.file_name().map(|name| name.to_string_lossy().into()))
                .flatten()
        };
        let files = tree.files.iter().filter_map(|(path, bytes)| {
            Some(Listed {
                name: name(path)?,
                bytes: locked(bytes).len() as u64,
                is_folder: false,
            })
        });
        let folders = tree.folders.iter().filter_map(|path| {
            Some(Listed {
                name: name(path)?,
                bytes: 0,
                is_folder: true,
            })
        });
        Ok(files.chain(folders).collect())
    }

    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut tree = locked(&self.tree);
        if how == Open::New {
            if tree.files.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            tree.files.insert(path.to_path_buf(), Bytes::default());
        }
        let file = tree.files.get(path).ok_or_else(missing)?;
        Ok(Box::new(MemoryFile(Arc::clone(file))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = locked(&self.tree);
        let file = tree.files.remove(from).ok_or_else(missing)?;
        tree.files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let removed = locked(&self.tree).files.remove(path);
        removed.map(drop).ok_or_else(missing)
    }

    fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        let mut tree = locked(&self.tree);
        tree.files.retain(|path, _| !path.starts_with(folder));
        tree.folders.retain(|path| !path.starts_with(folder));
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_everything(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(1 << 40)
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Ok(Some(Box::new(())))
    }

    fn stats(&self) -> DiskStats {
        DiskStats::default()
    }
}
