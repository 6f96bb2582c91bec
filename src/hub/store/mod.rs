//! What the hub keeps: clips as files, everything about them in SQLite.
//!
//! Owns: the store's folder (`hub.sqlite`, `clips/`, `staging/`), and the order in which a clip becomes
//! safe: body whole → hash verified → renamed → file and folder fsynced → row committed
//! (`synchronous=FULL`) → only then `stored` is answered. Never does: talk to the broker, or delete a
//! stored clip. One thread owns a [`Store`]; messages are handled one after the other inside one
//! transaction per batch, and nothing that a batch answered may leave before [`Store::commit`]
//! returned. A failure leaves: an unfinished body that comes again, or a renamed file without a row,
//! which the clip's next manifest adopts.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

mod clips;
mod clocks;
mod gaps;
mod lists;
mod schema;
mod staging;
mod unreadable;
mod views;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};

pub use views::{BrokerStatus, StoreViews};

use super::alerts;
use super::fleet::{self, FleetError};
use super::ingest::{Answer, rfc3339, shortened};
use crate::contract::{BodyKind, BoothId, Topic, Topics};
use crate::gateway::time::Mono;
use staging::Staging;

/// With more new files than this in a batch, one syncfs is cheaper than an fsync of each and of its folder.
const FEW_FILES: usize = 2;

/// The store cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder.
    #[error("{doing} {} failed: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The database.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// A newer hub was here.
    #[error("the database has version {found}, this hub knows {known}: start the newer hub")]
    Version {
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// Another process has the store.
    #[error("{} is in use by another booth-hub", .0.display())]
    InUse(PathBuf),
}

impl StoreError {
    fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// A message from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic, as it came.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether the broker had kept it.
    pub retained: bool,
    /// What is left of its expiry, in seconds.
    pub expiry_s: Option<u32>,
}

/// What the store is opened with.
#[derive(Debug, Clone)]
pub struct StoreRules {
    /// The store's folder; created with mode 0700.
    pub dir: PathBuf,
    /// A clip that claims more is refused.
    pub max_clip_bytes: u64,
    /// Topic root.
    pub root: String,
}

/// Everything the hub keeps; see the module.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    clips: PathBuf,
    staging: Staging,
    topics: Topics,
    max_clip_bytes: u64,
    /// The hub's own names at the broker.
    no_booths: Vec<String>,
    in_transaction: bool,
    /// Files that were moved into `clips/` since the last commit.
    unsynced_files: BTreeSet<PathBuf>,
    dirty_folders: BTreeSet<PathBuf>,
    zone: jiff::tz::TimeZone,
    _lock: File,
}

impl Store {
    /// Opens or creates the store; whatever was unfinished in `staging` is removed.
    pub fn open(rules: &StoreRules) -> Result<Self, StoreError> {
        let dir = &rules.dir;
        let is_new = !dir.exists();
        let clips = dir.join("clips");
        for folder in [dir, &clips] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|e| StoreError::file("creating", folder, e))?;
        }
        let lock_path = dir.join("lock");
        let lock =
            File::create(&lock_path).map_err(|e| StoreError::file("creating", &lock_path, e))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StoreError::InUse(dir.clone()))?;
        let db = schema::open(&database_in(dir))?;
        let staging = Staging::open(dir.join("staging"))?;
        fsync(dir)?;
        if is_new && let Some(parent) = dir.parent().filter(|parent| parent.is_dir()) {
            fsync(parent)?;
        }
        Ok(Self {
            db,
            clips,
            staging,
            topics: Topics::new(rules.root.clone()),
            max_clip_bytes: rules.max_clip_bytes,
            no_booths: Vec::new(),
            in_transaction: false,
            unsynced_files: BTreeSet::new(),
            dirty_folders: BTreeSet::new(),
            zone: jiff::tz::TimeZone::system(),
            _lock: lock,
        })
    }

    /// Handles one message; the answer may leave once [`Self::commit`] returned. On an error the
    /// batch must be given up with [`Self::roll_back`].
    pub fn handle(
        &mut self,
        wall: Timestamp,
        mono: Mono,
        message: &Message,
    ) -> Result<Option<Answer>, StoreError> {
        let Message {
            topic,
            payload,
            retained,
            expiry_s,
        } = message;
        let sender = self.topics.sender(topic).unwrap_or("nobody");
        // Access rules bind a branch to whoever logs in under its name: what comes from there is no booth's.
        if self.is_no_booth(sender) {
            let why = "it is no booth: the hub or operations log in under that name";
            self.cannot_read(wall, sender, "sender", why)?;
            return Ok(None);
        }
        let Some(known) = self.topics.parse(topic) else {
            let why = format!("{:?} is no topic of this hub", shortened(topic));
            self.cannot_read(wall, sender, "topic", &why)?;
            return Ok(None);
        };
        let booth = match &known {
            Topic::Clip(booth, clip_id) => {
                return self.manifest(wall, mono, booth, clip_id, payload);
            }
            Topic::Part(booth, clip_id, offset) => {
                return self.part(wall, mono, booth, clip_id, *offset, payload);
            }
            Topic::State(booth)
            | Topic::Birth(booth)
            | Topic::Health(booth)
            | Topic::Alert(booth, _)
            | Topic::Event(booth, _)
            | Topic::Reply(booth, _)
            | Topic::ConfigReport(booth) => booth.clone(),
            Topic::Ack(..) | Topic::ConfigWanted(_) | Topic::Cmd(..) | Topic::HubState => {
                return Ok(None);
            }
        };
        self.begin()?;
        let db = &self.db;
        let noted = match &known {
            Topic::State(_) => fleet::state(db, wall, &booth, payload),
            Topic::Birth(_) => fleet::birth(db, wall, &booth, payload, *retained),
            Topic::Health(_) => fleet::health(db, wall, &booth, payload, *retained, *expiry_s),
            Topic::Alert(_, id) => alerts::alert(db, wall, &booth, id, payload),
            Topic::Event(_, kind) => fleet::event(db, wall, &booth, kind, payload),
            Topic::Reply(_, command) => {
                fleet::event(db, wall, &booth, &format!("reply/{command}"), payload)
            }
            Topic::ConfigReport(_) => fleet::config_report(db, wall, &booth, payload),
            _ => Ok(()),
        };
        match noted {
            Ok(()) => {
                if matches!(&known, Topic::Event(_, kind) if kind == "clock_step") {
                    self.clock_step(wall, &booth, payload)?;
                }
                Ok(None)
            }
            Err(FleetError::Malformed(fault)) => {
                self.cannot_read(wall, booth.as_str(), kind_of(&known), &fault)?;
                Ok(None)
            }
            Err(FleetError::Database(error)) => Err(error.into()),
        }
    }

    /// Makes everything since the last commit durable: first the files and their folders, then the rows.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.sync_files()?;
        if self.in_transaction {
            self.db.execute_batch("COMMIT")?;
            self.in_transaction = false;
        }
        Ok(())
    }

    /// Fsyncs what was moved into `clips/`. A file whose sync fails may look whole and not be on the disk, now and
    /// after every later sync: all of the batch go, and have to come again.
    fn sync_files(&mut self) -> Result<(), StoreError> {
        let files = std::mem::take(&mut self.unsynced_files);
        let folders = std::mem::take(&mut self.dirty_folders);
        let synced = if files.len() > FEW_FILES {
            File::open(&self.clips)
                .and_then(|folder| Ok(rustix::fs::syncfs(&folder)?))
                .map_err(|e| StoreError::file("syncing", &self.clips, e))
        } else {
            let mut paths = files.iter().chain(&folders);
            paths.try_for_each(|path| fsync(path))
        };
        if synced.is_err() {
            for file in &files {
                match fs::remove_file(file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        log::warn!(
                            "{} may be damaged and cannot be removed: {error}",
                            file.display()
                        );
                    }
                    _ => {}
                }
            }
        }
        synced
    }

    /// Gives up everything since the last commit; the booths will send it again.
    pub fn roll_back(&mut self) {
        // Without a row they are adopted, and synced, by the next manifest.
        self.unsynced_files.clear();
        if std::mem::take(&mut self.in_transaction)
            && !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            log::error!("the database could not roll back: {error}");
        }
    }

    /// Whether the store can write durably now. Asked once per connection: what is known so far is from before it.
    pub fn probe(&mut self, wall: Timestamp) -> Result<(), StoreError> {
        self.begin()?;
        self.db.execute(
            "DELETE FROM offer WHERE at < ?1",
            [rfc3339(wall - jiff::SignedDuration::from_hours(24 * 30))],
        )?;
        alerts::hub_came(&self.db, wall)?;
        let path = self.clips.join(".probe");
        fs::write(&path, b"booth-hub").map_err(|e| StoreError::file("writing", &path, e))?;
        fs::remove_file(&path).map_err(|e| StoreError::file("removing", &path, e))?;
        self.commit()
    }

    /// Drops unfinished bodies that were left alone too long.
    pub fn expire(&mut self, mono: Mono) -> Result<(), StoreError> {
        match self.staging.expire(mono)? {
            0 => {}
            n => log::info!(
                "{n} unfinished clips were left alone for an hour and dropped from staging"
            ),
        }
        Ok(())
    }

    /// Withdraws a clip id: from now on it is answered `discard` if it is not stored.
    pub fn withdraw(&mut self, wall: Timestamp, clip_id: &str) -> Result<(), StoreError> {
        self.begin()?;
        self.db.execute(
            "INSERT OR IGNORE INTO withdrawn (clip_id, at) VALUES (?1, ?2)",
            params![clip_id, rfc3339(wall)],
        )?;
        self.commit()
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if !self.in_transaction {
            self.db.execute_batch("BEGIN IMMEDIATE")?;
            self.in_transaction = true;
        }
        Ok(())
    }
}

/// What a message should have been, in the word of its topic.
fn kind_of(topic: &Topic) -> &'static str {
    match topic {
        Topic::State(_) => "state",
        Topic::Birth(_) => "birth",
        Topic::Health(_) => "health",
        Topic::Alert(..) => "alert",
        Topic::Event(..) => "event",
        Topic::Reply(..) => "reply",
        Topic::ConfigReport(_) => "config",
        Topic::Clip(..) => "clip",
        Topic::Part(..) => "part",
        Topic::Ack(..) | Topic::ConfigWanted(_) | Topic::Cmd(..) | Topic::HubState => "topic",
    }
}

/// The database's file.
pub(crate) fn database_in(dir: &Path) -> PathBuf {
    dir.join("hub.sqlite")
}

/// Removes a retired booth's rows beside a hub that may be running; answers its alerts' ids.
pub fn forget_booth(dir: &Path, booth: &BoothId) -> Result<Vec<String>, StoreError> {
    let path = database_in(dir);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let db = schema::open(&path)?;
    let alerts = fleet::alerts_of(&db, booth)?;
    fleet::forget(&db, booth.as_str())?;
    Ok(alerts)
}

/// How long after `booth-hub forget` a lost connection is its doing.
const FORGETTING: std::time::Duration = std::time::Duration::from_secs(120);

fn forgetting_in(dir: &Path) -> PathBuf {
    dir.join("forgetting")
}

/// Notes that `booth-hub forget` works now: a broker that binds client ids to users throws a running hub off for it. Without a
/// store there is no such hub.
pub fn note_forgetting(dir: &Path) {
    if dir.is_dir()
        && let Err(error) = std::fs::write(forgetting_in(dir), b"")
    {
        log::warn!("that booth-hub forget works cannot be noted in the store: {error}");
    }
}

/// Whether `booth-hub forget` has worked on this store just now.
pub fn is_forgetting(dir: &Path) -> bool {
    std::fs::metadata(forgetting_in(dir))
        .and_then(|file| file.modified())
        .is_ok_and(|at| at.elapsed().is_ok_and(|since| since < FORGETTING))
}

fn clip_path(clips: &Path, clip_id: &str, body: Option<BodyKind>) -> PathBuf {
    let suffix = match body {
        Some(BodyKind::SealedOggOpus) => "sealed",
        Some(BodyKind::OggOpus) | None => "opus",
    };
    clips
        .join(&clip_id[..2])
        .join(format!("{clip_id}.{suffix}"))
}

/// Of a file or a folder.
fn fsync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| StoreError::file("fsyncing", path, e))
}

#[cfg(test)]
mod tests;
