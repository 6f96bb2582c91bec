//! A card, an image of one or a spool's folder, exported by `booth-gateway` into a folder that lives as long as its import.
//!
//! Owns: the folder `importing` beside the store, with one folder in it for each import. Whoever imports holds a lock on its own, so that two do not
//! disturb each other, and what a kill has left is overwritten and deleted by the next import of the same user, and by the hub's next start where
//! it is the hub's own user's. Never does: read a card itself, or begin without room for everything above the store's reserve.
#![allow(clippy::disallowed_methods)] // makes and wipes the folder, runs the other program

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use booth_contract::export::RECEIPT_FILE;
use rustix::fs::{FlockOperation, flock};

use super::ImportError;
use crate::store::measures::free_at;
use crate::store::private::{Private, make_folder, wipe};

/// The program that reads cards.
const PROGRAM: &str = "booth-gateway";
/// Where a spool may be below a folder that is named, as [`PROGRAM`] looks for it.
const PLACES: [&str; 4] = [
    "",
    "spool",
    "booth-gateway/spool",
    "var/lib/booth-gateway/spool",
];
/// Every message is on the disk twice, in the export and in the store.
const COPIES: u64 = 2;
/// How often it is looked whether the program has ended, or is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An export that is deleted with this value.
#[derive(Debug)]
pub struct Exported {
    folder: PathBuf,
    /// Of the folder: whoever has it is alive.
    _lock: File,
}

impl Exported {
    /// Exports what is named for the store in `dir`; ends early where it `is_to_end`.
    ///
    /// # Errors
    /// No such program, too little room, or an export that was not made; the program itself has said why.
    pub fn of(
        source: &Path,
        dir: &Path,
        reserve_bytes: u64,
        is_to_end: &AtomicBool,
    ) -> Result<Self, ImportError> {
        let exported = Self::begin(dir)?;
        let wanted = COPIES.saturating_mul(bytes_on(source, is_to_end)?);
        let free = free_at(&exported.folder, reserve_bytes)?;
        let left = free.bytes.saturating_sub(reserve_bytes);
        if wanted > left {
            return Err(ImportError::NoRoom {
                path: exported.folder.clone(),
                wanted_mb: wanted.div_ceil(1_000_000),
                left_mb: left / 1_000_000,
            });
        }
        let mut export = program();
        export.args(["spool", "export"]).arg(source);
        export.arg(exported.folder()).stdout(Stdio::null());
        ended(export, is_to_end)?;
        match exported.folder().join(RECEIPT_FILE).exists() {
            true => Ok(exported),
            false => Err(ImportError::NotExported(source.to_owned())),
        }
    }

    /// Where the export is.
    pub fn folder(&self) -> PathBuf {
        self.folder.join("export")
    }

    fn begin(dir: &Path) -> Result<Self, ImportError> {
        let above = above(dir);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| ImportError::Folder { path, source }
        };
        make_folder(&above)?;
        // Held until the new folder has its own lock, so that nobody takes it for one that was left.
        give_to_owner_of(dir, &above).map_err(failed(&above))?;
        let turn = File::open(&above).map_err(failed(&above))?;
        flock(&turn, FlockOperation::LockExclusive).map_err(|e| failed(&above)(e.into()))?;
        if let Err(error) = wipe_left(&above) {
            log::warn!(
                "what a killed import has left in {} stays: {error}",
                above.display()
            );
        }
        let folder = above.join(uuid::Uuid::new_v4().to_string());
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(failed(&folder))?;
        let lock = File::open(&folder).map_err(failed(&folder))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|e| failed(&folder)(e.into()))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }
}

impl Drop for Exported {
    fn drop(&mut self) {
        if let Err(error) = wipe_folder(&self.folder) {
            log::warn!(
                "{} cannot be deleted, and is at the next import: {error}",
                self.folder.display()
            );
        }
    }
}

/// Deletes what killed imports have left beside the store in `dir`.
///
/// # Errors
/// Those of the file system.
pub fn tidy(dir: &Path) -> io::Result<()> {
    let above = above(dir);
    let turn = match File::open(&above) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    match flock(&turn, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => wipe_left(&above),
        // An import begins just now, and does it.
        Err(_) => Ok(()),
    }
}

/// Whether a card, an image or a spool is named, and no export.
pub fn is_one(source: &Path) -> bool {
    if !source.is_dir() {
        return source.exists();
    }
    let is_spool = |place: &&str| source.join(place).join("card.json").exists();
    !source.join(RECEIPT_FILE).exists() && PLACES.iter().any(is_spool)
}

fn above(dir: &Path) -> PathBuf {
    Private::beside(dir).importing()
}

/// Root imports for the hub's user, who comes back without root.
fn give_to_owner_of(dir: &Path, above: &Path) -> io::Result<()> {
    let (Ok(store), made) = (fs::metadata(dir), fs::metadata(above)?) else {
        return Ok(());
    };
    match store.uid() == made.uid() {
        true => Ok(()),
        false => chown(above, Some(store.uid()), Some(store.gid())),
    }
}

/// Deletes the folders that nobody holds.
fn wipe_left(above: &Path) -> io::Result<()> {
    for entry in fs::read_dir(above)? {
        let folder = entry?.path();
        let lock = match File::open(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            wipe_folder(&folder)?;
        }
    }
    Ok(())
}

/// Overwrites every file of a folder, and deletes it: what is not sealed on a card lies open in its export.
fn wipe_folder(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => wipe_folder(&entry.path())?,
            false => drop(wipe(&entry.path()).map_err(io::Error::other)?),
        }
    }
    fs::remove_dir(folder)
}

/// The program beside this one, or the one that is installed.
fn program() -> Command {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let beside = beside.filter(|program| program.is_file());
    Command::new(beside.unwrap_or_else(|| PROGRAM.into()))
}

/// How many bytes all messages on a card have.
fn bytes_on(source: &Path, is_to_end: &AtomicBool) -> Result<u64, ImportError> {
    let mut list = program();
    list.args(["spool", "list", "--json"]).arg(source);
    list.stdout(Stdio::piped());
    let (is_well, said) = ended(list, is_to_end)?;
    let told: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
    match told["bytes"].as_u64() {
        Some(bytes) if is_well => Ok(bytes),
        _ => Err(ImportError::NotExported(source.to_owned())),
    }
}

/// Runs the program to its end; whether it went well, and what it has said.
fn ended(mut command: Command, is_to_end: &AtomicBool) -> Result<(bool, Vec<u8>), ImportError> {
    let started = command.stdin(Stdio::null()).spawn();
    let mut child = match started {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ImportError::NoProgram);
        }
        started => started.map_err(ImportError::Program)?,
    };
    let heard = child.stdout.take().map(|mut stdout| {
        std::thread::spawn(move || {
            let mut said = Vec::new();
            io::Read::read_to_end(&mut stdout, &mut said).map(|_| said)
        })
    });
    let is_well = wait(&mut child, is_to_end)?;
    let heard = heard.and_then(|heard| heard.join().ok());
    Ok((is_well, heard.and_then(Result::ok).unwrap_or_default()))
}

fn wait(child: &mut Child, is_to_end: &AtomicBool) -> Result<bool, ImportError> {
    loop {
        if let Some(status) = child.try_wait().map_err(ImportError::Program)? {
            return Ok(status.success());
        }
        if is_to_end.load(Ordering::Relaxed) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(ImportError::CutOff);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_import_left_is_deleted_and_one_that_runs_keeps_its_own() {
        let home = tempfile::tempdir().expect("a folder");
        let dir = home.path().join("store");
        let first = Exported::begin(&dir).expect("begun");
        let second = Exported::begin(&dir).expect("begun");
        fs::create_dir_all(first.folder().join("clips")).expect("made");
        let body = first.folder().join("clips/a.body");
        fs::write(&body, "what was said").expect("written");
        let left = above(&dir).join("left");
        fs::create_dir_all(left.join("export")).expect("made");
        fs::write(left.join("export/a.body"), "what was said").expect("written");
        tidy(&dir).expect("tidy");
        assert!(!left.exists() && body.exists() && second.folder.exists());
        drop(first);
        assert!(!body.exists() && second.folder.exists());
        drop(second);
        let rest = fs::read_dir(above(&dir)).expect("a folder");
        assert_eq!(rest.count(), 0);
    }
}
