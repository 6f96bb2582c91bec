//! The model disk with sled's own ledger beside it, on real files.
//!
//! Owns: which of the ledger's bytes are durable, and what a power cut may leave of the rest. Never does: look into
//! sled. sled writes its files past the [`Disk`] trait; the syncs that the spool adds go through it, and only what they
//! cover counts as durable:
//! - content and length of `db` and `conf`: as they were at the last sync of that file. Of what was written later a power
//!   cut keeps none, all, or any subset of 512-byte sectors or of 4 KiB pages, and either length or one between.
//! - `snap.*`: sled syncs their content before it renames them, so that only their names are in doubt: those at the last
//!   sync of the folder, those now, or any mixture. One that sled had not renamed yet may hold anything of its length.
//! - sled's own fsyncs of `db` (before it reuses segments) are not seen: harsher than the truth.
//! - names come with the sync of the folder after sled has opened; a cut before that may lose any of them.
//!
//! The folder `ledger` has a stand-in on the model disk, with a file that names the generation of its content, so that
//! moving it aside is cut like every other rename.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use booth_spool::disk::{Disk, DiskFile, DiskStats, Listed, Open};
use booth_spool::real_disk::RealDisk;

use super::model_disk::{Chance, ModelDisk};
use super::power_cuts::Card;

type Files = BTreeMap<String, Vec<u8>>;

/// Where the spool is on the model disk.
const MODEL_ROOT: &str = "/card/spool";

/// The card. Its real folder goes with it.
#[derive(Clone)]
pub struct LedgerCard {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where the spool is, for sled and for whoever opens it.
    root: PathBuf,
    /// In which folder other cards get theirs.
    folder: PathBuf,
    model: ModelDisk,
    syncs_ledger: bool,
    ledgers: Mutex<Ledgers>,
    _real: tempfile::TempDir,
}

#[derive(Default, Clone)]
struct Ledgers {
    by_generation: BTreeMap<u64, Durable>,
    /// Which generation lies in the real folder.
    current: u64,
    /// What was there when the power went.
    at_cut: Option<Files>,
}

#[derive(Default, Clone)]
struct Durable {
    /// Content at the last sync of each file; of snapshots at the last sync of the folder.
    content: Files,
    /// Names at the last sync of the folder.
    names: BTreeSet<String>,
    /// What it held when it was moved aside.
    moved: Files,
}

fn files_in(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            // A folder is none, and a file that sled removes just now is gone.
            Some((name, std::fs::read(entry.path()).ok()?))
        })
        .collect()
}

/// The generation whose stand-in is in place.
fn generation_in(model: &ModelDisk) -> Option<u64> {
    let listed = model.list(&Path::new(MODEL_ROOT).join("ledger")).ok()?;
    listed.iter().find_map(|file| file.name.parse().ok())
}

impl LedgerCard {
    /// A new card whose real files get a folder of their own in `folder`. Without `syncs_ledger` the sync of
    /// sled's `db` is left out.
    pub fn new(folder: &Path, syncs_ledger: bool) -> Self {
        let model = ModelDisk::new();
        let parent = Path::new(MODEL_ROOT).parent().unwrap_or(Path::new("/"));
        model
            .make_folder(parent)
            .and_then(|_| model.sync_everything(parent))
            .expect("nothing fails yet");
        Self::with(folder, syncs_ledger, model, Ledgers::default(), None)
    }

    fn with(
        folder: &Path,
        syncs_ledger: bool,
        model: ModelDisk,
        ledgers: Ledgers,
        files: Option<Files>,
    ) -> Self {
        let real = tempfile::tempdir_in(folder).expect("a folder can be made");
        if let Some(files) = files {
            let ledger = real.path().join("ledger");
            std::fs::create_dir_all(ledger.join("blobs")).expect("a folder can be made");
            for (name, bytes) in &files {
                std::fs::write(ledger.join(name), bytes).expect("a file can be written");
            }
        }
        LedgerCard {
            inner: Arc::new(Inner {
                root: real.path().to_path_buf(),
                folder: folder.to_path_buf(),
                model,
                syncs_ledger,
                ledgers: Mutex::new(ledgers),
                _real: real,
            }),
        }
    }
}

impl Card for LedgerCard {
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    fn root(&self) -> &Path {
        &self.inner.root
    }

    fn has_ledger(&self) -> bool {
        true
    }

    fn model(&self) -> &ModelDisk {
        &self.inner.model
    }

    fn after_power_cut(&self, seed: u64) -> Self {
        let inner = &self.inner;
        let model = inner.model.power_cut(seed);
        let mut chance = Chance::new(seed ^ 0x1ed6e7);
        let mut ledgers = inner.ledgers().clone();
        let live = ledgers.at_cut.take().unwrap_or_else(|| inner.files());
        let files = generation_in(&model).map(|generation| {
            let durable = ledgers.by_generation.entry(generation).or_default();
            let live = match generation == ledgers.current {
                true => &live,
                false => &durable.moved,
            };
            let files = crash(durable, live, &mut chance);
            durable.names = files.keys().cloned().collect();
            durable.content.clone_from(&files);
            ledgers.current = generation;
            files
        });
        Self::with(&inner.folder, inner.syncs_ledger, model, ledgers, files)
    }

    fn after_kill(&self) -> Self {
        let inner = &self.inner;
        let model = inner.model.snapshot();
        let mut ledgers = inner.ledgers().clone();
        let live = ledgers.at_cut.take().unwrap_or_else(|| inner.files());
        let files = generation_in(&model).map(|_| live);
        Self::with(&inner.folder, inner.syncs_ledger, model, ledgers, files)
    }
}

/// What a power cut leaves of a ledger's files.
fn crash(durable: &Durable, live: &Files, chance: &mut Chance) -> Files {
    let (nothing, all) = match chance.below(5) {
        0 => (true, false),
        1 => (false, true),
        _ => (false, false),
    };
    let empty = Vec::new();
    let mut files = Files::new();
    for name in durable.names.iter().chain(live.keys()) {
        let (was, is) = (durable.names.contains(name), live.contains_key(name));
        let is_there = match (was, is) {
            (true, true) => true,
            _ if nothing => was,
            _ if all => is,
            _ => chance.percent(50),
        };
        if !is_there || files.contains_key(name) {
            continue;
        }
        let old = durable.content.get(name).unwrap_or(&empty);
        let content = match live.get(name) {
            None => old.clone(),
            // Its content was synced before it had this name.
            Some(new) if name.starts_with("snap.") && !name.ends_with(".generating") => new.clone(),
            Some(_) if nothing => old.clone(),
            Some(new) if all => new.clone(),
            Some(new) => mixed(old, new, chance),
        };
        files.insert(name.clone(), content);
    }
    files
}

/// Sectors or pages of both, and a length of one of them or between.
fn mixed(old: &[u8], new: &[u8], chance: &mut Chance) -> Vec<u8> {
    let unit = [512, 4096][chance.below(2) as usize];
    let (short, long) = (old.len().min(new.len()), old.len().max(new.len()));
    let len = match chance.below(4) {
        0 => old.len(),
        1 => new.len(),
        2 => (short + chance.below((long - short) as u64 + 1) as usize / unit * unit).min(long),
        _ => long,
    };
    let percent = [10, 50, 90][chance.below(3) as usize];
    let mut bytes = vec![0; len];
    for (at, place) in bytes.chunks_mut(unit).enumerate() {
        let from = at * unit;
        let source = match chance.percent(percent) {
            true => new,
            false => old,
        };
        let source = source.get(from..).unwrap_or(&[]);
        let known = source.len().min(place.len());
        place[..known].copy_from_slice(&source[..known]);
    }
    bytes
}

impl Inner {
    fn ledgers(&self) -> MutexGuard<'_, Ledgers> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    fn files(&self) -> Files {
        files_in(&self.ledger())
    }

    fn is_of_ledger(&self, path: &Path) -> bool {
        path.starts_with(self.ledger())
    }

    /// Where a path of the spool is on the model disk.
    fn place(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(rest) if rest == Path::new("") => MODEL_ROOT.into(),
            Ok(rest) => Path::new(MODEL_ROOT).join(rest),
            Err(_) => Path::new(MODEL_ROOT)
                .parent()
                .unwrap_or(Path::new("/"))
                .into(),
        }
    }

    /// Notes what the ledger holds at the moment when the power goes.
    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if self.model.is_off() {
            self.ledgers().at_cut.get_or_insert_with(|| self.files());
        }
        result
    }

    /// A sync of something of the ledger: counted, failed and cut like any other.
    fn sync(&self, note: impl FnOnce(&mut Durable, Files)) -> io::Result<()> {
        let stand_in = Path::new(MODEL_ROOT).join("ledger");
        self.watch(self.model.sync_folder(&stand_in))?;
        let mut ledgers = self.ledgers();
        let current = ledgers.current;
        note(
            ledgers.by_generation.entry(current).or_default(),
            self.files(),
        );
        Ok(())
    }
}

/// A file of the model disk.
struct ModelFile {
    card: LedgerCard,
    file: Box<dyn DiskFile>,
}

impl DiskFile for ModelFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.card.inner.watch(self.file.write_at(bytes, offset))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.card.inner.watch(self.file.truncate(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.card.inner.watch(self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.card.inner.watch(self.file.sync_all())
    }
}

/// A file of sled's, of which the spool only uses the syncs.
struct LedgerFile {
    card: LedgerCard,
    name: String,
    file: Box<dyn DiskFile>,
}

impl DiskFile for LedgerFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("only sled writes the ledger"))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::Error::other("only sled cuts the ledger"))
    }

    fn sync_data(&self) -> io::Result<()> {
        let is_synced = self.card.inner.syncs_ledger || self.name != "db";
        self.card.inner.sync(|durable, files| {
            if let Some(bytes) = files.get(&self.name).filter(|_| is_synced) {
                durable.content.insert(self.name.clone(), bytes.clone());
            }
        })
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Disk for LedgerCard {
    fn make_folder(&self, folder: &Path) -> io::Result<bool> {
        let inner = &self.inner;
        let place = inner.place(folder);
        let is_new = inner.watch(inner.model.make_folder(&place))?;
        if folder == inner.ledger() {
            std::fs::create_dir_all(folder)?;
            if generation_in(&inner.model).is_none() {
                let generation = {
                    let mut ledgers = inner.ledgers();
                    ledgers.current = ledgers.by_generation.keys().max().map_or(1, |max| max + 1);
                    let current = ledgers.current;
                    ledgers.by_generation.insert(current, Durable::default());
                    current
                };
                let stand_in = place.join(generation.to_string());
                inner.watch(inner.model.open(&stand_in, Open::New))?;
            }
        }
        Ok(is_new)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        match self.inner.is_of_ledger(folder) {
            true => RealDisk::new().list(folder),
            false => self.inner.model.list(&self.inner.place(folder)),
        }
    }

    fn open(&self, file: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let inner = &self.inner;
        let card = self.clone();
        if inner.is_of_ledger(file) {
            let name = file.file_name().unwrap_or_default();
            return Ok(Box::new(LedgerFile {
                card,
                name: name.to_string_lossy().into_owned(),
                file: RealDisk::new().open(file, how)?,
            }));
        }
        let file = inner.watch(inner.model.open(&inner.place(file), how))?;
        Ok(Box::new(ModelFile { card, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let inner = &self.inner;
        inner.watch(inner.model.rename(&inner.place(from), &inner.place(to)))?;
        if from == inner.ledger() {
            let mut ledgers = inner.ledgers();
            let current = ledgers.current;
            ledgers.by_generation.entry(current).or_default().moved = inner.files();
            ledgers.current = 0;
            std::fs::rename(from, inner.root.join(format!("old-ledger-{current}")))?;
        }
        Ok(())
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        let inner = &self.inner;
        inner.watch(inner.model.unlink(&inner.place(file)))
    }

    fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        let inner = &self.inner;
        inner.watch(inner.model.remove_tree(&inner.place(folder)))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let inner = &self.inner;
        if folder == inner.ledger() {
            return inner.sync(|durable, files| {
                durable.names = files.keys().cloned().collect();
                for (name, bytes) in files {
                    if name.starts_with("snap.") {
                        durable.content.insert(name, bytes);
                    }
                }
            });
        }
        if inner.is_of_ledger(folder) {
            return inner.sync(|_, _| {});
        }
        inner.watch(inner.model.sync_folder(&inner.place(folder)))
    }

    fn sync_everything(&self, folder: &Path) -> io::Result<()> {
        let inner = &self.inner;
        inner.watch(inner.model.sync_everything(&inner.place(folder)))?;
        let mut ledgers = inner.ledgers();
        let current = ledgers.current;
        let files = inner.files();
        let durable = ledgers.by_generation.entry(current).or_default();
        durable.names = files.keys().cloned().collect();
        durable.content = files;
        Ok(())
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        self.inner.model.free_bytes(&self.inner.place(folder))
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let inner = &self.inner;
        inner.watch(inner.model.lock(&inner.place(file)))
    }

    fn stats(&self) -> DiskStats {
        self.inner.model.stats()
    }
}
