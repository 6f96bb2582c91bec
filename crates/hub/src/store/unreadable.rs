//! Messages that the hub could not read (contract §3, "Reading"), and senders that are no booths.
//!
//! Owns: the count by sender and kind, which the operations page shows, and its line in the log. Never does: decide what can be
//! read.

use booth_database::{Connection, params};
use jiff::{SignedDuration, Timestamp};

use super::{OWN_SENDERS, Store, StoreError};
use crate::complaints;
use crate::fleet;
use crate::ingest::shortened;
use crate::intake::{Over, QUIET};
use crate::view::{Listed, UnreadableView};
use booth_contract::RESERVED_IDS;
use booth_contract::time::rfc3339;

/// Most rows kept; those that were quiet longest are deleted first.
const MAX_ROWS: i64 = 2_000;
/// Longest sentence kept, in characters.
const MAX_WHY_CHARS: usize = 300;
/// How many days after its last message a kind is shown.
const SHOWN_DAYS: i64 = 7;
/// Most entries of each list that one page shows.
const MOST_SHOWN: i64 = 200;
/// The kind under which messages beyond a sender's budget are counted.
const BUDGET: &str = "budget";

impl Store {
    /// Has the store take nothing from these senders: they are the names that the hub itself uses at the broker, and no booths.
    /// What was taken from them earlier is removed from the fleet; clips stay.
    ///
    /// # Errors
    /// When the database fails.
    pub fn refusing(mut self, names: Vec<String>) -> Result<Self, StoreError> {
        self.no_booths.extend(names);
        self.begin()?;
        for name in &self.no_booths {
            fleet::forget(&self.db, name)?;
        }
        self.commit()?;
        Ok(self)
    }

    /// The same for a worker: what was taken from them earlier is the centre's business.
    pub fn ignoring(mut self, names: Vec<String>) -> Self {
        self.no_booths.extend(names);
        self
    }

    /// Whether this name is not a booth's.
    pub(super) fn is_no_booth(&self, sender: &str) -> bool {
        RESERVED_IDS.contains(&sender)
            || OWN_SENDERS.iter().any(|(_, name)| *name == sender)
            || self.no_booths.iter().any(|name| name == sender)
    }

    /// Counts a message that is ignored, and logs it.
    pub(super) fn cannot_read(
        &mut self,
        wall: Timestamp,
        sender: &str,
        kind: &str,
        why: &str,
    ) -> Result<(), StoreError> {
        let sender = shortened(sender);
        complaints::note(&sender, &format!("ignored from {sender}: {why}"));
        self.count(wall, &sender, kind, why, 1)
    }

    /// Remembers that a sender has exceeded its budget.
    pub(crate) fn remember_over(&mut self, wall: Timestamp, over: &Over) -> Result<(), StoreError> {
        self.count(
            wall,
            &shortened(&over.sender),
            BUDGET,
            &over.why,
            over.times,
        )
    }

    fn count(
        &mut self,
        wall: Timestamp,
        sender: &str,
        kind: &str,
        why: &str,
        more: u64,
    ) -> Result<(), StoreError> {
        self.begin()?;
        let why: String = why.chars().take(MAX_WHY_CHARS).collect();
        let times: u64 = self
            .db
            .prepare_cached(
                "INSERT INTO unreadable (sender, kind, times, first_at, last_at, why)
                 VALUES (?1, ?2, ?5, ?3, ?3, ?4)
                 ON CONFLICT (sender, kind) DO UPDATE SET times = unreadable.times + excluded.times, last_at = excluded.last_at, why = excluded.why
                 RETURNING times",
            )?
            .query_row(params![sender, kind, rfc3339(wall), why, more], |row| row.get(0))?;
        if times == more {
            self.db
                .prepare_cached(
                    "DELETE FROM unreadable WHERE rowid IN (
                       SELECT rowid FROM unreadable ORDER BY last_at DESC, rowid DESC LIMIT -1 OFFSET ?1)",
                )?
                .execute([MAX_ROWS])?;
        }
        Ok(())
    }
}

/// Messages of the last days that could not be read, the latest first: as many as a page shows, and how many there are.
pub(super) fn shown(
    db: &Connection,
    now: Timestamp,
) -> Result<Listed<UnreadableView>, booth_database::Error> {
    let since = now - SignedDuration::from_hours(24 * SHOWN_DAYS);
    listed(db, "kind <> ?2", since)
}

/// Senders that have exceeded a budget and have not kept within it for a whole day since, the latest first.
pub(super) fn over_budget(
    db: &Connection,
    now: Timestamp,
) -> Result<Listed<UnreadableView>, booth_database::Error> {
    listed(db, "kind = ?2", now - QUIET)
}

fn listed(
    db: &Connection,
    which: &str,
    since: Timestamp,
) -> Result<Listed<UnreadableView>, booth_database::Error> {
    let since = rfc3339(since);
    let total = db
        .prepare_cached(&format!(
            "SELECT count(*) FROM unreadable WHERE last_at >= ?1 AND {which}"
        ))?
        .query_row([&since, BUDGET], |row| row.get(0))?;
    let entries = db
        .prepare_cached(&format!(
            "SELECT sender, kind, times, last_at, why FROM unreadable WHERE last_at >= ?1 AND {which}
             ORDER BY last_at DESC, rowid DESC LIMIT ?3"
        ))?
        .query_map(params![since, BUDGET, MOST_SHOWN], |row| {
            Ok(UnreadableView {
                sender: row.get(0)?,
                kind: row.get(1)?,
                times: row.get(2)?,
                last_at: row.get(3)?,
                why: row.get(4)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(Listed { entries, total })
}
