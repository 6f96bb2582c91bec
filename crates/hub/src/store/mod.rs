//! What the hub keeps: clips as files, everything about them in SQLite.
//!
//! Owns: the store's folder (`hub.sqlite`, `clips/`, `staging/`, `disputed/`), and the order in which a clip becomes
//! safe: body whole → hash verified → renamed, its manifest written beside it → files and folders fsynced → row
//! committed (`synchronous=FULL`) → the database is still the one that a start would find → only then `stored` is
//! answered. Never does: talk to the broker, or replace or delete a stored clip. One thread owns a [`Store`]; messages
//! are handled one after the other inside one transaction per batch, and nothing that a batch answered may leave before
//! [`Store::commit`] returned. A failure leaves: an unfinished body that comes again, or files without a row, which the
//! clip's next manifest takes in.
//!
//! Longer than 500 lines: every fault of the store with its sentence, and the batch from its first message to its commit.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

mod accept;
mod apart;
mod at_rest;
mod backup;
mod backup_error;
mod backup_files;
mod bodies;
mod booth_page;
mod bucket;
mod check;
mod clips;
mod clocks;
pub(crate) mod codes;
pub(crate) mod copy;
mod elsewhere;
mod envelopes;
pub(crate) mod gaps;
mod history;
mod identity;
mod imports;
mod lists;
pub(crate) mod measures;
mod migrate;
mod mover;
pub(crate) mod private;
mod rebuild;
mod record;
mod reports;
mod restore;
mod rows;
mod schema;
mod share;
mod staging;
mod submissions;
mod unreadable;
mod views;
mod votes;
mod withdrawals;

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use booth_database::elsewhere::Elsewhere;
use booth_database::{Connection, TransactionBehavior};
use jiff::Timestamp;

pub use accept::{Accepted, accept, mark_child};
pub use backup::{BackedUp, backup};
pub use backup_error::BackupError;
pub use bodies::{BodiesAway, BodiesError, bodies_agree};
pub(crate) use bucket::MOST_CARRIED;
pub use check::{Checked, Finding, Progress, check};
pub use codes::{CodesError, Counts, MOST_CODES, Taken, VoteCodes};
pub use elsewhere::agrees;
pub use envelopes::BodyFiles;
pub use history::{Happened, history};
pub use imports::{Brought, Took};
pub use migrate::{Migrated, migrate};
pub use rebuild::{Rebuilt, rebuild, rebuild_in};
pub use reports::{config_reports, introduced};
pub use restore::{Restored, restore};
pub(crate) use rows::{Rank, show_operator};
pub use share::Share;
pub(crate) use submissions::{Entry, Kept, Levels, OWN_SENDERS, VoteCode, random_bytes};
pub use views::{BrokerStatus, StoreViews};
pub(crate) use withdrawals::OF_PAGE;
pub use withdrawals::{ask_to_delete, ask_to_withdraw};

use super::alerts;
use super::course;
use super::fleet::{self, FleetError};
use super::ingest::{Answer, is_clip_id, shortened};
use super::intake::MOST_SENDERS;
use super::receipts::Opener;
use apart::{Apart, Aside};
use bodies::Bodies;
use booth_contract::time::Mono;
use booth_contract::time::rfc3339;
use booth_contract::{BoothId, ClipId, Health, Topic, Topics};
use booth_host::plain_file;
use booth_sealing::Recipients;
use codes::Codes;
use identity::Watch;
use mover::Moves;
use private::{Private, Unmatched};
use record::Part;
use share::{Turn, lock};
use staging::Staging;
use withdrawals::Paces;

/// How long one of several processes waits for the database's lock: another one may sync a batch to a slow disk.
const PATIENCE_OF_SEVERAL: Duration = Duration::from_secs(30);
/// A process that stands still for so long within a transaction loses it, so that the others can go on.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(20);
/// Clips of an earlier version whose new records share a sync.
const RECORDS_AT_ONCE: usize = 1_000;
/// While less than this many times the reserve is free, senders that have used much of the disk get no more.
const TIGHT: u64 = 10;
/// For so many bytes of the reserve one more file must be possible: a clip has up to three files, and a disk can run out of files before it
/// runs out of bytes.
const RESERVE_BYTES_PER_FILE: u64 = 64 << 10;
/// With more new files than this in a batch, one syncfs is cheaper than an fsync of each and of its folder.
const FEW_FILES: usize = 4;

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
    Database(#[from] booth_database::Error),
    /// A newer hub was here.
    #[error(
        "the database has version {found}, this program knows {known}: start the {}",
        if found < known { "hub once, so that it is brought up to date" } else { "newer hub" }
    )]
    Version {
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// Clips without their database.
    #[error(
        "{} is missing or empty, and clips lie beside it: restore the database, or make it anew from the clips with booth-hub rebuild",
        .0.display()
    )]
    EmptyBesideClips(PathBuf),
    /// The database of other clips.
    #[error(
        "{} is not the database of the clips beside it: restore theirs, or make it anew from the clips with booth-hub rebuild",
        .0.display()
    )]
    OtherClips(PathBuf),
    /// No database, or a broken one.
    #[error(
        "{} is damaged or no database ({why}): keep it, and restore it or make it anew from the clips with booth-hub rebuild",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// A file of the open database is gone or another.
    #[error(
        "{} was removed or replaced while the hub runs: what is written goes nowhere, and nothing is acknowledged. The hub ends; see what \
         removed it, restore the database, or make it anew from the clips with booth-hub rebuild",
        .0.display()
    )]
    Replaced(PathBuf),
    /// The disk has less than the reserve.
    #[error(
        "only {free_mb} MB are free at {}, and {wanted_mb} MB are to stay free ([store] reserve_bytes): the booths keep their clips; make \
         room, and the hub goes on by itself",
        path.display()
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What is free.
        free_mb: u64,
        /// What must be.
        wanted_mb: u64,
    },
    /// The disk has room, and not for so many files.
    #[error(
        "only {free} more files can be made at {}, and {wanted} are to stay free ([store] reserve_bytes): the booths keep their clips; make \
         room for files (df -i), and the hub goes on by itself",
        path.display()
    )]
    NoFiles {
        /// Where.
        path: PathBuf,
        /// How many can be made.
        free: u64,
        /// How many must be.
        wanted: u64,
    },
    /// The rows are in PostgreSQL, and the configuration says otherwise.
    #[error(
        "what is known of the clips in {} is in {database}: name that as [store] database in hub.toml",
        dir.display()
    )]
    MovedAway {
        /// The folder.
        dir: PathBuf,
        /// What its note says.
        database: String,
    },
    /// The rows are beside the clips, and the configuration names PostgreSQL.
    #[error(
        "{} has its database beside its clips, and [store] database names PostgreSQL: move it with booth-hub migrate, or take that line away",
        .0.display()
    )]
    NotMoved(PathBuf),
    /// There is nothing that could be moved.
    #[error(
        "{} has no database to move: without clips, name PostgreSQL as [store] database in hub.toml and start the hub",
        .0.display()
    )]
    NothingToMove(PathBuf),
    /// Other rows are where these should go.
    #[error(
        "{database} has rows already, and they are no copy of those in {}: name an empty database (createdb), or see whose rows those are",
        dir.display()
    )]
    Occupied {
        /// The folder.
        dir: PathBuf,
        /// The address.
        database: String,
    },
    /// Something that is done with a database's file.
    #[error("what is known of the clips is in {database}, and not in a file: {instead}")]
    Elsewhere {
        /// What the folder's note says.
        database: String,
        /// What to use.
        instead: &'static str,
    },
    /// The address of PostgreSQL cannot be used.
    #[error("[store] database {0}")]
    Address(String),
    /// The bucket with the bodies.
    #[error("{0}")]
    Bodies(#[from] BodiesError),
    /// The bodies are in a bucket, and the configuration says otherwise.
    #[error(
        "the bodies of the clips in {} are in {bodies}: name that as [store] bodies in hub.toml",
        dir.display()
    )]
    BodiesMoved {
        /// The folder.
        dir: PathBuf,
        /// What its note says.
        bodies: String,
    },
    /// A restore was cut off: nothing is noted in it or made anew.
    #[error("{} holds a backup that was put back in part: run booth-hub restore again", .0.display())]
    HalfRestored(PathBuf),
    /// Another process has the store.
    #[error("{} is in use by another booth-hub", .0.display())]
    InUse(PathBuf),
    /// A worker's store is one process's alone.
    #[error(
        "{} is in use by a booth-hub that does all the work itself: set [ingest] workers in hub.toml, and start that one again",
        .0.display()
    )]
    NotShared(PathBuf),
    /// Another process writes, and does not end.
    #[error(
        "another booth-hub has been writing for 30 s ({}): look at the logs of the others, and at the disk",
        .0.display()
    )]
    NoTurn(PathBuf),
    /// A worker finds no store that it could share.
    #[error(
        "{} is not the store of a hub whose rows are in the named database: start booth-hub serve there first, and give workers its [store] dir",
        .0.display()
    )]
    NoCentre(PathBuf),
}

impl StoreError {
    pub(crate) fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// The same, if the database itself is broken.
    fn of_database(self, path: &Path) -> Self {
        match self {
            Self::Database(error) if is_broken(&error) => Self::Damaged {
                path: path.to_owned(),
                why: error.to_string(),
            },
            other => other,
        }
    }

    /// Whether starting again changes nothing before somebody has acted: exit 78.
    pub fn needs_an_operator(&self) -> bool {
        match self {
            Self::Bodies(error) => return error.needs_an_operator(),
            // The hub's next start brings an older one up to date.
            Self::Version { found, known } => return found > known,
            _ => {}
        }
        matches!(
            self,
            Self::EmptyBesideClips(_)
                | Self::OtherClips(_)
                | Self::HalfRestored(_)
                | Self::Damaged { .. }
                | Self::MovedAway { .. }
                | Self::NotMoved(_)
                | Self::NothingToMove(_)
                | Self::Occupied { .. }
                | Self::Address(_)
                | Self::BodiesMoved { .. }
        )
    }

    /// Whether a running hub must end: nothing that it could promise would be true.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Replaced(_) | Self::Damaged { .. } => true,
            Self::Database(error) => is_broken(error),
            _ => false,
        }
    }
}

/// Whether SQLite says that the file is no database, or a damaged one.
fn is_broken(error: &booth_database::Error) -> bool {
    use booth_database::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}

/// A moment between two steps of a commit, where a power cut may fall: the model test stops there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    BeforeBody,
    AfterBody,
    AfterRecord,
    AfterRow,
    AfterSync,
    AfterCommit,
    /// A withdrawn clip has its mark outside the store, and everything else still.
    AfterTombstone,
    /// Its row is gone, and its files are there.
    AfterUnnamed,
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
    /// The database of PostgreSQL in which the rows are; without it they are in a file in the folder.
    pub database: Option<Elsewhere>,
    /// The bucket in which bodies are kept; without it they are kept in the folder.
    pub bodies: Option<BodiesAway>,
}

/// Everything the hub keeps; see the module's comment.
#[derive(Debug)]
pub struct Store {
    share: Share,
    /// The last row of the clips that has been looked at for its body, where workers write rows.
    seen_row: i64,
    db: Connection,
    clips: PathBuf,
    bodies: Bodies,
    moves: Moves,
    staging: Staging,
    apart: Apart,
    private: Private,
    codes: Codes,
    /// Files and folders there that the next commit syncs.
    private_dirty: BTreeSet<PathBuf>,
    /// The folder there, open since before the first envelope was written, for the same reason as `disk`.
    private_disk: Option<File>,
    unmatched: Unmatched,
    paces: Paces,
    /// What opens sealed receipts; a hub without a private key has none.
    opener: Option<Opener>,
    /// Whom bodies that come open are sealed to before they are kept.
    seals_to: Option<Recipients>,
    /// What no receipt made here contains besides `112`.
    emergency_numbers: Vec<Vec<u8>>,
    /// Deleted rows stand in SQLite's log until that is emptied.
    log_is_to_be_emptied: bool,
    /// Where health goes that was heard as it was said.
    course: Option<course::Notes>,
    watch: Watch,
    topics: Topics,
    max_clip_bytes: u64,
    /// The names that the hub itself uses at the broker: they are no booths.
    no_booths: Vec<String>,
    in_transaction: bool,
    /// Bytes that must stay free on the disk.
    reserve_bytes: u64,
    /// The reserve was not free: somewhat more than the reserve must be free before anything is taken again.
    is_short: bool,
    /// Whether free space was checked in this batch.
    has_looked: bool,
    /// Clips whose card their sender has not announced: a worker leaves each unanswered once, because the centre may be about to hear of the card.
    doubted: HashSet<ClipId>,
    /// `clips/`, open since the start: a syncfs on it reports every fault of the disk, even one that another process's sync was
    /// given meanwhile.
    disk: File,
    /// Files that were moved into `clips/` since the last commit.
    unsynced_files: BTreeSet<PathBuf>,
    /// Folders in which a name has changed since the last sync that went well.
    dirty_folders: BTreeSet<PathBuf>,
    /// Those of the unsynced files that lay there before this batch.
    found_files: BTreeSet<PathBuf>,
    zone: jiff::tz::TimeZone,
    #[cfg(test)]
    cut: Option<tests::Cut>,
    /// Where several processes write.
    turn: Option<Turn>,
    _locks: Vec<File>,
}

impl Store {
    /// Opens or creates the store; unfinished files are removed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(rules: &StoreRules) -> Result<Self, StoreError> {
        Self::open_as(rules, Share::All)
    }

    /// The same for a part of the work. A worker creates nothing: it opens the store of a hub that has been there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open_as(rules: &StoreRules, share: Share) -> Result<Self, StoreError> {
        let dir = &rules.dir;
        if restore::is_cut_off(dir) {
            return Err(StoreError::HalfRestored(dir.clone()));
        }
        let is_new = !dir.exists();
        let clips = dir.join("clips");
        if let Share::Worker(_) = share {
            if is_new || !elsewhere::is_noted(dir)? {
                return Err(StoreError::NoCentre(dir.clone()));
            }
        } else {
            for folder in [dir, &clips] {
                plain_file::make_private_folder(folder)
                    .map_err(|e| StoreError::file("creating", folder, e))?;
            }
        }
        let locks = share::locks(dir, share)?;
        let turn = match share.has_others() {
            true => Some(Turn::at(dir)?),
            false => None,
        };
        if share.begins() {
            elsewhere::bind(dir, rules.database.as_ref())?;
            bodies::bind(dir, rules.bodies.as_ref())?;
        }
        let bodies = Bodies::of(dir)?;
        let moves = match share.begins() {
            true => Moves::begin(&bodies)?,
            false => Moves::default(),
        };
        let (db, watch) = match &rules.database {
            None => open_file(dir, &clips)?,
            Some(_) => open_elsewhere(dir, &clips, share)?,
        };
        let staging = Staging::open(dir.join(share.staging()))?;
        let disk = File::open(&clips).map_err(|e| StoreError::file("opening", &clips, e))?;
        // A folder in `clips/` may have been made before a power cut, and never synced.
        fsync(&clips)?;
        fsync(dir)?;
        if is_new && let Some(parent) = dir.parent().filter(|parent| parent.is_dir()) {
            fsync(parent)?;
        }
        let private = Private::beside(dir);
        if share.begins() {
            share::tidy_staging(dir)?;
            record::sweep(&clips, share.leaves_alone())?;
            record::sweep(private.dir(), share.leaves_alone())?;
        }
        let mut store = Self {
            share,
            seen_row: 0,
            db,
            clips,
            bodies,
            moves,
            staging,
            private_dirty: BTreeSet::new(),
            private_disk: None,
            unmatched: Unmatched::read(private.unmatched())?,
            paces: Paces::default(),
            opener: None,
            seals_to: None,
            emergency_numbers: Vec::new(),
            log_is_to_be_emptied: false,
            course: None,
            private,
            codes: Codes::beside(dir),
            apart: Apart::open(dir.join("disputed"))?,
            watch,
            topics: Topics::new(rules.root.clone()),
            max_clip_bytes: rules.max_clip_bytes,
            no_booths: Vec::new(),
            in_transaction: false,
            reserve_bytes: 0,
            is_short: false,
            has_looked: false,
            doubted: HashSet::new(),
            disk,
            unsynced_files: BTreeSet::new(),
            dirty_folders: BTreeSet::new(),
            found_files: BTreeSet::new(),
            zone: jiff::tz::TimeZone::system(),
            #[cfg(test)]
            cut: None,
            turn,
            _locks: locks,
        };
        if share.has_others() {
            store.db.busy_timeout(PATIENCE_OF_SEVERAL)?;
        }
        if !share.begins() {
            return Ok(store);
        }
        store.seen_row = store.newest_row()?;
        store.write_missing_records()?;
        store.go_on_leaving()?;
        store.private.forget_old_of_none()?;
        // Before anything is served or asked for: what was withdrawn may have come back with a backup.
        store.bury_again()?;
        store.take_old_envelopes_out()?;
        Ok(store)
    }

    /// Writes the missing records of a store of an earlier version, which has only bodies and rows.
    fn write_missing_records(&mut self) -> Result<(), StoreError> {
        let has_records: bool = self
            .db
            .query_row("SELECT has_records FROM store", [], |row| row.get(0))?;
        if has_records {
            return Ok(());
        }
        let mut last = ClipId::default();
        let mut written = 0_u64;
        loop {
            let clips = rows::known_after(&self.db, &last, RECORDS_AT_ONCE)?;
            let Some(clip) = clips.last() else { break };
            last.clone_from(&clip.clip_id);
            for clip in &clips {
                let path = record::path(&self.clips, &clip.clip_id, clip.record_part());
                if record::read(&path)?.is_none() {
                    self.write_record(&clip.record(), &path)?;
                    written += 1;
                }
            }
            self.sync_files()?;
        }
        self.write_missing_tombstones()?;
        self.db.execute("UPDATE store SET has_records = 1", [])?;
        if written > 0 {
            log::info!("{written} manifests were written beside their clips, from the database");
        }
        Ok(())
    }

    /// Has no receipt that is made here contain one of these numbers, each a row of digits 0 to 9 (contract §3.9).
    pub fn avoiding(mut self, emergency_numbers: Vec<Vec<u8>>) -> Self {
        self.emergency_numbers = emergency_numbers;
        self
    }

    /// Has the store take nothing while less than this is free on the disk.
    pub fn keeping_free(mut self, bytes: u64) -> Self {
        self.reserve_bytes = bytes;
        self
    }

    /// Has messages count for the days of this zone: without a word, the machine's.
    pub fn counting_days_in(mut self, zone: jiff::tz::TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// The same store, whose booths' values are noted over time.
    pub fn noting(mut self, course: course::Notes) -> Self {
        self.course = Some(course);
        self
    }

    /// Booths that have been heard, in no order; no more than the hub distinguishes.
    pub fn senders(&self) -> Result<Vec<String>, StoreError> {
        let mut rows = self.db.prepare("SELECT booth_id FROM booth LIMIT ?1")?;
        let names = rows.query_map([MOST_SENDERS as i64], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// Checks once in a batch whether the reserve is free. After it was not, a twentieth more must be free, so that the answer does
    /// not alternate.
    fn has_room(&mut self) -> Result<(), StoreError> {
        if std::mem::replace(&mut self.has_looked, true) {
            return Ok(());
        }
        let free = self.room()?;
        let wanted = match self.is_short {
            true => self.reserve_bytes + self.reserve_bytes / 20,
            false => self.reserve_bytes,
        };
        let wanted_files = wanted / RESERVE_BYTES_PER_FILE;
        self.is_short = free.is_less_than(wanted);
        if free.bytes < wanted {
            return Err(StoreError::NoRoom {
                path: self.clips.clone(),
                free_mb: free.bytes / 1_000_000,
                wanted_mb: wanted.div_ceil(1_000_000),
            });
        }
        match self.is_short {
            true => Err(StoreError::NoFiles {
                path: self.clips.clone(),
                free: free.files,
                wanted: wanted_files,
            }),
            false => Ok(()),
        }
    }

    fn room(&self) -> Result<Room, StoreError> {
        let disk = rustix::fs::statvfs(&self.clips)
            .map_err(|e| StoreError::file("looking for room at", &self.clips, e.into()))?;
        Ok(Room::of(&disk))
    }

    /// Whether so little is free that senders that have used much of it should get no more, long before all senders are refused.
    pub fn is_tight(&self) -> bool {
        let wanted = self.reserve_bytes.saturating_mul(TIGHT);
        let is_short = |free: Room| free.is_less_than(wanted);
        // An error of the disk is reported by the next message.
        self.room().is_ok_and(is_short)
    }

    /// The point between two steps of a commit is reached.
    fn pass(&mut self, _point: Point) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(cut) = &mut self.cut {
            return cut.pass(_point);
        }
        Ok(())
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
        // What a citizen takes back makes room, and needs next to none itself.
        if !matches!(self.topics.parse(topic), Some(Topic::Withdraw(..))) {
            self.has_room()?;
        }
        let sender = self.topics.sender(topic).unwrap_or("nobody");
        // The broker's access rules bind a branch to the name that a client logs in with: messages in a branch of the hub's own
        // names come from no booth.
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
            Topic::Clip(booth, _) if self.share == Share::Centre => {
                return self.hear_of(wall, booth);
            }
            Topic::Clip(booth, clip_id) => {
                return self.manifest(wall, mono, booth, clip_id, payload);
            }
            Topic::Part(booth, clip_id, offset) => {
                return self.part(wall, mono, booth, clip_id, *offset, payload);
            }
            Topic::Withdraw(booth, id) => return self.withdrawal(wall, booth, id, payload),
            Topic::State(booth)
            | Topic::Birth(booth)
            | Topic::Health(booth)
            | Topic::Alert(booth, _)
            | Topic::Event(booth, _)
            | Topic::Reply(booth, _)
            | Topic::ConfigReport(booth) => booth.clone(),
            Topic::Ack(..)
            | Topic::ConfigWanted(_)
            | Topic::Cmd(..)
            | Topic::Media(_)
            | Topic::HubState => {
                return Ok(None);
            }
        };
        self.begin()?;
        let db = &self.db;
        let noted = match &known {
            Topic::State(_) => fleet::state(db, wall, &booth, payload, *retained),
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
                if matches!(&known, Topic::Health(_)) && !retained {
                    self.note_values(wall, &booth, payload);
                }
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

    /// Workers take clips in, of booths that have been heard: one that comes with clips alone, as from a pulled card, has been heard from here on.
    fn hear_of(&mut self, wall: Timestamp, booth: &BoothId) -> Result<Option<Answer>, StoreError> {
        self.begin()?;
        match fleet::heard(&self.db, wall, booth) {
            Ok(()) => {}
            Err(FleetError::Malformed(fault)) => {
                self.cannot_read(wall, booth.as_str(), "clip", &fault)?;
            }
            Err(FleetError::Database(error)) => return Err(error.into()),
        }
        Ok(None)
    }

    fn note_values(&self, wall: Timestamp, booth: &BoothId, payload: &[u8]) {
        if let Some(course) = &self.course
            && let Ok(health) = Health::from_json(payload)
        {
            course.note(wall, booth, health);
        }
    }

    /// Makes everything since the last commit durable: first the files and their folders, then the rows.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.has_looked = false;
        self.sync_files()?;
        self.pass(Point::AfterSync)?;
        if self.in_transaction {
            self.db.commit()?;
            self.in_transaction = false;
            self.give_turn();
            self.pass(Point::AfterCommit)?;
        }
        self.watch.look()?;
        #[cfg(test)]
        self.carry_at_once();
        Ok(())
    }

    /// Fsyncs the files that were moved into `clips/`. A file whose sync fails may look whole and not be on the disk, now and after
    /// every later sync: so all new files of the batch are removed, and have to come again. Files that lay there before the batch
    /// are moved to `disputed`, and files in `disputed` stay. The folders are synced again with the next batch.
    fn sync_files(&mut self) -> Result<(), StoreError> {
        let files = std::mem::take(&mut self.unsynced_files);
        let folders = std::mem::take(&mut self.dirty_folders);
        let found = std::mem::take(&mut self.found_files);
        let private = std::mem::take(&mut self.private_dirty);
        // The envelopes first: a body whose envelope is not on the disk is lost.
        let sealed = self.sync_private(&private);
        let synced = if sealed.is_err() {
            sealed
        } else if files.len() > FEW_FILES {
            files
                .iter()
                .try_for_each(|file| is_still_there(file))
                .and_then(|()| {
                    rustix::fs::syncfs(&self.disk)
                        .map_err(|e| StoreError::file("syncing", &self.clips, e.into()))
                })
        } else {
            let mut paths = files.iter().chain(&folders);
            paths.try_for_each(|path| fsync(path))
        };
        if synced.is_err() {
            // A folder that is gone needs no sync; trying to sync it would fail for ever.
            let still = folders.into_iter().filter(|folder| folder.is_dir());
            self.dirty_folders.extend(still);
            for file in &files {
                if file.starts_with(self.apart.dir()) {
                    continue;
                }
                if found.contains(file) {
                    if let Err(error) = self.take_away(file, Aside::Unknown) {
                        log::warn!("{error}");
                    }
                    continue;
                }
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

    /// Fsyncs files and folders beside the store.
    fn sync_private(&self, paths: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
        match &self.private_disk {
            Some(disk) if paths.len() > 2 * FEW_FILES => {
                paths.iter().try_for_each(|path| is_still_there(path))?;
                rustix::fs::syncfs(disk)
                    .map_err(|e| StoreError::file("syncing", self.private.dir(), e.into()))
            }
            _ => paths.iter().try_for_each(|path| fsync(path)),
        }
    }

    /// Gives up everything since the last commit; the booths will send it again.
    pub fn roll_back(&mut self) {
        self.has_looked = false;
        // Files without a row are adopted, and synced, by their clips' next manifest.
        self.unsynced_files.clear();
        self.found_files.clear();
        if std::mem::take(&mut self.in_transaction) {
            if !self.db.is_autocommit()
                && let Err(error) = self.db.roll_back()
            {
                log::error!("the database could not roll back: {error}");
            }
            self.give_turn();
        }
    }

    /// The hub ends because of this fault: if the database is broken, the next start reads all of it before it begins.
    pub fn ends_by(&self, error: &StoreError) {
        if matches!(error, StoreError::Database(_)) {
            let dir = self.clips.parent().unwrap_or(&self.clips);
            identity::note_fault(&database_in(dir), error);
        }
    }

    /// Puts everything into the database's file, so that a backup of that one file has it. Readers that are open and idle are no hindrance.
    pub fn leave_whole(&self) {
        let why = match schema::empty_log(&self.db) {
            Ok(false) => return,
            Ok(true) => "somebody is reading it".to_owned(),
            Err(error) => error.to_string(),
        };
        log::warn!("what the database has written last stays beside it, in hub.sqlite-wal: {why}");
    }

    /// Whether the store can write durably now. Called once per connection, and notes that one: alerts that were said before are not
    /// confirmed.
    pub fn probe(&mut self, wall: Timestamp) -> Result<(), StoreError> {
        self.has_room()?;
        self.begin()?;
        if self.share.begins() {
            self.db.execute(
                "DELETE FROM offer WHERE at < ?1",
                [rfc3339(wall - jiff::SignedDuration::from_hours(24 * 30))],
            )?;
            alerts::hub_came(&self.db, wall)?;
        }
        self.watch.look()?;
        let path = self.clips.join(match self.share {
            Share::Worker(number) => format!(".probe-{number}"),
            _ => ".probe".to_owned(),
        });
        fs::write(&path, b"booth-hub").map_err(|e| StoreError::file("writing", &path, e))?;
        fs::remove_file(&path).map_err(|e| StoreError::file("removing", &path, e))?;
        self.commit()
    }

    /// Drops unfinished bodies that were left alone too long, and those of clips that another process has withdrawn meanwhile.
    pub fn expire(&mut self, mono: Mono) -> Result<(), StoreError> {
        if self.turn.is_some() {
            self.unmatched.look()?;
            let wall = booth_host::clock::wall();
            for (sender, clip_id) in self
                .staging
                .of_receipts(|mark| self.unmatched.has(wall, mark))
            {
                self.staging.erase(&clip_id, Some(&sender))?;
            }
            for clip_id in self.staging.clips() {
                if self.withdrawn(&clip_id)?.is_some() {
                    self.staging.erase(&clip_id, None)?;
                }
            }
        }
        match self.staging.expire(mono)? {
            0 => {}
            n => log::info!(
                "{n} unfinished clips were left alone for an hour and dropped from staging"
            ),
        }
        Ok(())
    }

    /// Withdraws a clip: everything that is here of it is deleted, and it is answered `discard` from now on. The mark is also a file,
    /// so that a database that is made anew has it. A text that cannot be a clip's id is ignored.
    pub fn withdraw(&mut self, wall: Timestamp, clip_id: &ClipId) -> Result<(), StoreError> {
        if !is_clip_id(clip_id) {
            return Ok(());
        }
        self.erase(wall, clip_id)
    }

    /// The mark's file is durable before it gets its name: a mark that was there before is never lost, whatever fails.
    fn write_tombstone(&mut self, clip_id: &ClipId, at: &str) -> Result<(), StoreError> {
        let path = record::path(&self.clips, clip_id, Part::Withdrawn);
        self.make_folder(&path)?;
        record::publish(&path, at.as_bytes(), true)?;
        self.dirty_folders.extend(path.parent().map(Path::to_owned));
        Ok(())
    }

    /// The same for marks as [`Self::write_missing_records`] for records.
    fn write_missing_tombstones(&mut self) -> Result<(), StoreError> {
        let withdrawn: Vec<(ClipId, String)> = self
            .db
            .prepare("SELECT clip_id, at FROM withdrawn")?
            .query_map([], |row| Ok((row.get::<_, String>(0)?.into(), row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for (clip_id, at) in withdrawn.iter().filter(|(id, _)| is_clip_id(id)) {
            self.write_tombstone(clip_id, at)?;
        }
        self.sync_files()
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        if !self.in_transaction {
            if let Some(turn) = &self.turn {
                turn.take()?;
            }
            if let Err(error) = self.db.begin(TransactionBehavior::Immediate) {
                self.give_turn();
                return Err(error.into());
            }
            self.in_transaction = true;
        }
        Ok(())
    }

    fn give_turn(&self) {
        if let Some(turn) = &self.turn {
            turn.give();
        }
    }

    /// Where other processes write, too, the batch's transaction begins before anything is judged that they may change: they wait for its end,
    /// and what they have done before is seen.
    pub(crate) fn begin_alone(&mut self) -> Result<(), StoreError> {
        if self.turn.is_none() {
            return Ok(());
        }
        self.begin()?;
        self.unmatched.look()
    }

    fn newest_row(&self) -> Result<i64, StoreError> {
        let newest = "SELECT coalesce(max(rowid), 0) FROM kept";
        Ok(self.db.query_row(newest, [], |row| row.get(0))?)
    }
}

/// How much is free on the store's disk.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: u64,
    /// Files that can still be made.
    files: u64,
}

impl Room {
    fn of(disk: &rustix::fs::StatVfs) -> Self {
        Self {
            bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            // A file system without a limit of files reports a limit of zero.
            files: match disk.f_files {
                0 => u64::MAX,
                _ => disk.f_favail,
            },
        }
    }

    /// Whether fewer bytes than these are free, or fewer files than belong to them.
    fn is_less_than(self, bytes: u64) -> bool {
        self.bytes < bytes || self.files < bytes / RESERVE_BYTES_PER_FILE
    }
}

/// The kind of message that belongs to the topic, as the topic calls it.
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
        Topic::Withdraw(..) => "withdraw",
        Topic::Ack(..)
        | Topic::ConfigWanted(_)
        | Topic::Cmd(..)
        | Topic::Media(_)
        | Topic::HubState => "topic",
    }
}

/// Opens the database beside the clips, and sees that it is theirs.
fn open_file(dir: &Path, clips: &Path) -> Result<(Connection, Watch), StoreError> {
    let database = database_in(dir);
    let mut watch = Watch::begin(&database);
    identity::refuse_to_begin_anew(&database, clips)?;
    let db = schema::open(&database)?;
    watch.look()?;
    identity::belong_together(&db, &database, clips)
        .and_then(|()| identity::look_after_a_fault(&db, &database))
        .map_err(|error| error.of_database(&database))?;
    Ok((db, watch))
}

/// Connects to the rows of these clips, for this process alone, or as one of several.
fn open_elsewhere(
    dir: &Path,
    clips: &Path,
    share: Share,
) -> Result<(Connection, Watch), StoreError> {
    let db = match share.begins() {
        true => schema::open_in(dir)?,
        false => schema::open_as_it_is(dir)?,
    };
    if share.has_others() {
        db.give_way_after(LONGEST_STANDSTILL)?;
    }
    let address = db.address().map(ToString::to_string);
    let address = PathBuf::from(address.unwrap_or_default());
    let held = match share {
        Share::All | Share::Centre => "store".to_owned(),
        Share::Worker(number) => format!("worker {number}"),
    };
    if !db.hold(&held)? {
        return Err(StoreError::InUse(address));
    }
    if !share.begins() {
        return match identity::is_theirs(&db, clips)? {
            true => Ok((db, Watch::of_nothing())),
            false => Err(StoreError::NoCentre(dir.to_owned())),
        };
    }
    identity::belong_together(&db, &address, clips)?;
    if let Some(before) = migrate::set_aside(dir)? {
        log::warn!(about = "moved"; "{}", migrate::advice(&before));
    }
    Ok((db, Watch::of_nothing()))
}

/// The path of the database's file.
pub(crate) fn database_in(dir: &Path) -> PathBuf {
    dir.join("hub.sqlite")
}

/// Removes a retired booth's rows while a hub may be running; answers the ids of its alerts.
pub fn forget_booth(dir: &Path, booth: &BoothId) -> Result<Vec<String>, StoreError> {
    if !schema::is_there(dir)? {
        return Ok(Vec::new());
    }
    let db = schema::open_in(dir)?;
    let alerts = fleet::alerts_of(&db, booth)?;
    fleet::forget(&db, booth.as_str())?;
    course::forget(dir, booth)?;
    Ok(alerts)
}

/// How long after `booth-hub forget` the loss of a connection is attributed to it.
const FORGETTING: Duration = Duration::from_secs(120);

fn forgetting_in(dir: &Path) -> PathBuf {
    dir.join("forgetting")
}

/// Notes that `booth-hub forget`, or `campaign`, is at work: a broker that binds client ids to users disconnects a running hub for it. Without a
/// store there is no running hub.
pub fn note_forgetting(dir: &Path) {
    if dir.is_dir()
        && let Err(error) = std::fs::write(forgetting_in(dir), b"")
    {
        log::warn!("that a booth-hub command works cannot be noted in the store: {error}");
    }
}

/// Whether such a command was at work on this store just now.
pub fn is_forgetting(dir: &Path) -> bool {
    std::fs::metadata(forgetting_in(dir))
        .and_then(|file| file.modified())
        .is_ok_and(|at| at.elapsed().is_ok_and(|since| since < FORGETTING))
}

/// Fails if a file is gone that a sync of the whole disk is to make durable, because that sync would not notice.
fn is_still_there(path: &Path) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(StoreError::file("syncing", path, error)),
    }
}

/// Fsyncs a file or a folder.
fn fsync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| StoreError::file("fsyncing", path, e))
}

/// Whether the store in this folder has a database.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn is_there(dir: &Path) -> Result<bool, StoreError> {
    schema::is_there(dir)
}

/// What differs between a database and one that was made anew in its place, or restored.
///
/// # Errors
/// A file that is gone, and PostgreSQL's.
pub(crate) fn place_of(db: &Connection, dir: &Path) -> Result<u64, StoreError> {
    use std::os::unix::fs::MetadataExt;
    if !db.is_sqlite() {
        let of_namespace = "SELECT oid FROM pg_namespace WHERE nspname = ?1";
        return Ok(db.query_row(of_namespace, [elsewhere::NAMESPACE], |row| row.get(0))?);
    }
    let path = database_in(dir);
    let file = fs::metadata(&path).map_err(|e| StoreError::file("looking at", &path, e))?;
    Ok(file.ino())
}

/// The database of the store in this folder, for whoever only reads.
///
/// # Errors
/// A database that cannot be opened.
pub(crate) fn open_for_reading(dir: &Path) -> Result<booth_database::Connection, StoreError> {
    schema::open_in_for_reading(dir)
}

#[cfg(test)]
mod tests;
