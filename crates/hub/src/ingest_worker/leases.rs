//! Which booths a worker takes in, by leases in PostgreSQL.
//!
//! Owns: the tables `ingest.worker` and `ingest.lease`, how booths are shared out among the workers that live, and that a worker whose life has
//! run out knows it by its own monotonic clock. All times there are PostgreSQL's. A worker whose clock is another one than PostgreSQL's has no booths,
//! because it would date what it takes in; one without the broker has none, either; and one beside which the hub has been brought up to date, or has
//! other keys, ends. Never does: guard a clip. Two workers that take in one booth for a moment store each message once, because the second one finds
//! it in the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use booth_contract::time::Mono;
use booth_database::Connection;
use booth_database::elsewhere::{ElsewhereError, connect};
use booth_database::postgres::Role;
use booth_host::{clock, crew};

/// The namespace of the two tables.
const NAMESPACE: &str = "ingest";
/// How long a worker lives without a word of it, seconds, and its leases with it: one that died is replaced after this time, and one more beat. Tests
/// say themselves when it is over.
const LASTS_S: u64 = if cfg!(test) { 3_600 } else { 6 };
/// How often a worker says that it lives.
const BEAT: Duration = Duration::from_millis(1_500);
/// A worker gives up its leases so long before PostgreSQL does.
const MARGIN: Duration = Duration::from_secs(1);
/// A worker whose clock is further off than this from PostgreSQL's takes nothing in, ms: that a booth's time is a day ahead is judged by it.
const CLOCK_OFF_MS: u64 = 120_000;
/// How often a beat is tried that another worker's crosses (SQLSTATE [`DEADLOCK`]).
const TRIES: u32 = 5;
const DEADLOCK: &str = "40P01";
/// The tables. Two workers that begin at once make them one after the other.
const TABLES: &str = "
SELECT pg_advisory_xact_lock(hashtextextended('booth-hub ingest tables', 0));
CREATE SCHEMA IF NOT EXISTS ingest;
-- The workers, and until when each lives unless it says so again.
CREATE TABLE IF NOT EXISTS ingest.worker (name TEXT PRIMARY KEY, until TIMESTAMPTZ NOT NULL);
-- Which worker takes in which booth, as long as that worker lives.
CREATE TABLE IF NOT EXISTS ingest.lease (booth_id TEXT PRIMARY KEY, worker TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS lease_by_worker ON ingest.lease (worker);
";

/// The booths that this worker has, for all of its threads.
#[derive(Debug, Default)]
pub struct Leases {
    held: Mutex<Held>,
    /// The broker listens to this worker.
    is_online: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    booths: BTreeSet<String>,
    until: Mono,
}

impl Leases {
    /// The worker's connection to the broker has come, or has gone: without it, it leaves its booths to others.
    pub(crate) fn online(&self, is_online: bool) {
        self.is_online.store(is_online, Ordering::Relaxed);
    }

    /// The booths that this worker has now.
    pub fn held(&self, now: Mono) -> BTreeSet<String> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match now < held.until {
            true => held.booths.clone(),
            false => BTreeSet::new(),
        }
    }

    /// Whether this worker has the booth now.
    pub fn has(&self, now: Mono, booth: &str) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        now < held.until && held.booths.contains(booth)
    }

    fn renew(&self, booths: BTreeSet<String>, until: Mono) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Held { booths, until };
    }
}

/// The thread that renews leases; they are given back when it is told to end.
pub(super) struct Keeper {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts it for the worker of this name, on the database of the store in `dir`.
    ///
    /// # Errors
    /// A system that gives no thread.
    pub(super) fn start(
        dir: PathBuf,
        worker: String,
        leases: Arc<Leases>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = crew::start("leases", move || keep(&dir, &worker, &leases, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Gives the leases back, so that other workers take the booths over at once.
    pub(super) fn end(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

/// Ends when it is told to, or when the worker has to begin anew.
fn keep(dir: &Path, worker: &str, leases: &Leases, stopped: &Receiver<()>) {
    let mut keeping = Keeping::default();
    loop {
        let began = clock::mono();
        match keeping.turn(dir, worker, leases.is_online.load(Ordering::Relaxed)) {
            Ok(booths) => {
                log::debug!(over = "leases"; "the leases are renewed");
                let was = leases.held(began);
                if was != booths {
                    log::info!(
                        booths = booths.len();
                        "this worker takes in {} booths, before {}",
                        booths.len(),
                        was.len()
                    );
                }
                leases.renew(booths, began + Duration::from_secs(LASTS_S) - MARGIN);
            }
            Err(KeepError::Changed) => {
                log::error!("{}", KeepError::Changed);
                break;
            }
            Err(error) => log::warn!(
                fault = "leases";
                "this worker cannot renew its leases; once they have run out it takes nothing in: {error}"
            ),
        }
        match stopped.recv_timeout(BEAT) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break,
        }
    }
    leases.renew(BTreeSet::new(), Mono(0));
    if let Err(error) = keeping.leave(worker) {
        log::warn!("leases run out by themselves: {error}");
    }
}

/// Why a worker has no leases.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    /// The database, or the way to it.
    #[error(transparent)]
    Elsewhere(#[from] ElsewhereError),
    /// What the worker began with is not what the hub goes by now.
    #[error(
        "the hub that serves has been brought up to date, or opens receipts with other keys: this worker ends, so that it begins anew as that hub is"
    )]
    Changed,
    /// The time of what it takes in would be wrong.
    #[error(
        "its clock is {0} s off from PostgreSQL's (ahead, where that is no negative number): see whether both machines keep their time (timedatectl)"
    )]
    Clock(i64),
}

impl From<booth_database::Error> for KeepError {
    fn from(error: booth_database::Error) -> Self {
        Self::Elsewhere(error.into())
    }
}

/// What the thread has while it runs.
#[derive(Default)]
struct Keeping {
    db: Option<Connection>,
    /// What the hub goes by, as it was when this worker began.
    goes_by: Option<String>,
    /// It may have booths.
    has_any: bool,
}

impl Keeping {
    fn turn(
        &mut self,
        dir: &Path,
        worker: &str,
        is_online: bool,
    ) -> Result<BTreeSet<String>, KeepError> {
        let db = match &mut self.db {
            Some(db) => db,
            none => none.insert(open(dir)?),
        };
        let now = what_the_hub_goes_by(db)?;
        if *self.goes_by.get_or_insert_with(|| now.clone()) != now {
            return Err(KeepError::Changed);
        }
        let theirs = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let theirs = db.query_row(theirs, [], |row| row.get(0))?;
        if let Some(off_s) = off_s(clock::wall().as_millisecond(), theirs) {
            self.leave(worker)?;
            return Err(KeepError::Clock(off_s));
        }
        if !is_online {
            self.leave(worker)?;
            return Ok(BTreeSet::new());
        }
        self.has_any = true;
        Ok(beat_at_last(db, worker)?)
    }

    fn leave(&mut self, worker: &str) -> booth_database::Result<()> {
        if let Some(db) = self.db.as_ref().filter(|_| self.has_any) {
            leave(db, worker)?;
        }
        self.has_any = false;
        Ok(())
    }
}

/// By how many seconds a clock is ahead of another one, where that is too much; both in ms since 1970.
fn off_s(own: i64, theirs: i64) -> Option<i64> {
    let off = own.saturating_sub(theirs);
    (off.unsigned_abs() > CLOCK_OFF_MS).then_some(off / 1_000)
}

/// The version of the tables, and the keys with which receipts are opened and hashed.
fn what_the_hub_goes_by(db: &Connection) -> booth_database::Result<String> {
    let asked = "SELECT (SELECT max(number) FROM hub.version) || ' ' || (SELECT max(opened_with || ' ' || receipt_key) FROM hub.store)";
    db.query_row(asked, [], |row| row.get(0))
}

fn open(dir: &Path) -> Result<Connection, ElsewhereError> {
    let db = connect(dir, NAMESPACE, Role::Writer)?;
    let db = db.ok_or(booth_database::Error::NotHere(
        "what is known of the clips is in a file: workers need PostgreSQL",
    ))?;
    db.execute_batch(TABLES)?;
    Ok(db)
}

/// The same as [`beat`], tried again where two workers' beats have crossed.
fn beat_at_last(db: &Connection, worker: &str) -> booth_database::Result<BTreeSet<String>> {
    for _ in 1..TRIES {
        match beat(db, worker) {
            Err(booth_database::Error::Postgres { code, .. }) if code == DEADLOCK => {}
            beaten => return beaten,
        }
    }
    beat(db, worker)
}

/// Says that the worker lives, takes its share of what no living worker has or gives up what is more than its share; answers what it has.
fn beat(db: &Connection, worker: &str) -> booth_database::Result<BTreeSet<String>> {
    db.execute(
        &format!(
            "INSERT INTO worker (name, until) VALUES (?1, clock_timestamp() + interval '{LASTS_S} seconds')
             ON CONFLICT (name) DO UPDATE SET until = excluded.until"
        ),
        [worker],
    )?;
    db.execute(
        "DELETE FROM lease WHERE worker = ?1 AND NOT EXISTS (SELECT 1 FROM hub.booth b WHERE b.booth_id = lease.booth_id)",
        [worker],
    )?;
    let (living, known, mine): (i64, i64, i64) = db.query_row(
        "SELECT (SELECT count(*) FROM worker WHERE until > clock_timestamp()), (SELECT count(*) FROM hub.booth),
           (SELECT count(*) FROM lease WHERE worker = ?1)",
        [worker],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    match share(living, known) - mine {
        0 => {}
        more @ 1.. => {
            db.execute(
                "INSERT INTO lease (booth_id, worker)
                   SELECT b.booth_id, ?1 FROM hub.booth b
                   WHERE NOT EXISTS (SELECT 1 FROM lease l JOIN worker w ON w.name = l.worker
                     WHERE l.booth_id = b.booth_id AND w.until > clock_timestamp())
                   ORDER BY b.booth_id LIMIT ?2
                 ON CONFLICT (booth_id) DO UPDATE SET worker = excluded.worker
                   WHERE NOT EXISTS (SELECT 1 FROM worker w WHERE w.name = lease.worker AND w.until > clock_timestamp())",
                (worker, more),
            )?;
        }
        less => {
            db.execute(
                "DELETE FROM lease WHERE worker = ?1 AND booth_id IN
                   (SELECT booth_id FROM lease WHERE worker = ?1 ORDER BY booth_id LIMIT ?2)",
                (worker, -less),
            )?;
        }
    }
    let mut having = db.prepare_cached("SELECT booth_id FROM lease WHERE worker = ?1")?;
    let booths = having.query_map([worker], |row| row.get(0))?;
    booths.collect()
}

/// How many booths each worker has at most: an equal part, rounded up.
fn share(living: i64, known: i64) -> i64 {
    let living = living.max(1);
    (known + living - 1) / living
}

/// The worker is no more: its booths are free.
fn leave(db: &Connection, worker: &str) -> booth_database::Result<()> {
    db.execute("DELETE FROM lease WHERE worker = ?1", [worker])?;
    db.execute("DELETE FROM worker WHERE name = ?1", [worker])?;
    Ok(())
}

/// How many workers live, asked over any connection to the hub's database; none where no worker has ever been.
///
/// # Errors
/// PostgreSQL's.
pub(crate) fn living(db: &Connection) -> booth_database::Result<u64> {
    let has_tables: bool = db.query_row(
        "SELECT to_regclass('ingest.worker') IS NOT NULL",
        [],
        |row| row.get(0),
    )?;
    match has_tables {
        false => Ok(0),
        true => db.query_row(
            "SELECT count(*) FROM ingest.worker WHERE until > clock_timestamp()",
            [],
            |row| row.get(0),
        ),
    }
}

#[cfg(test)]
mod tests;
