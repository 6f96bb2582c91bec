//! The log of acts: who did what to what, and when. It only grows, and each entry holds the hash of the one before, so that an entry
//! that is changed or taken out is noticed.
//!
//! Owns: the table `act`. Never does: hold the words of a message, or a name that a citizen said.

use booth_database::{Connection, OptionalExtension, Transaction, params};
use booth_host::clock;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use booth_contract::hex;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Actor {
    /// An account, by its number and name.
    Account(i64, String),
    /// Whoever runs the program on the command line.
    CommandLine,
    /// The hub by itself, e.g. its retention.
    Hub,
    /// A citizen, of whom nothing is known.
    Citizen,
}

impl Actor {
    /// The account's number in what the log says of who did it.
    pub(crate) fn account_in(who: &str) -> Option<i64> {
        let rest = who.strip_prefix("account ")?;
        rest.split(' ').next()?.parse().ok()
    }

    /// What the log says of who did it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Account(number, name) => format!("account {number} {name}"),
            Self::CommandLine => "command line".into(),
            Self::Hub => "hub".into(),
            Self::Citizen => "citizen".into(),
        }
    }
}

/// One act.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    who: Actor,
    what: &'static str,
    about: String,
    detail: Value,
}

impl Act {
    /// `who` did `what` (a verb in the past, e.g. `published`) to `about` (e.g. a message's id).
    pub(crate) fn new(who: Actor, what: &'static str, about: impl Into<String>) -> Self {
        Self {
            who,
            what,
            about: about.into(),
            detail: Value::Null,
        }
    }

    /// The same with what else there is to know: never words of a citizen.
    pub(crate) fn with(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

/// The hash of an entry: of the one before and of everything it says.
pub(crate) fn hash_of(
    before: &str,
    at: &str,
    who: &str,
    what: &str,
    about: &str,
    detail: &str,
) -> String {
    let mut hash = Sha256::new();
    for part in [before, at, who, what, about, detail] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Writes an act down within this transaction.
pub(super) fn write(transaction: &Transaction<'_>, act: &Act) -> booth_database::Result<()> {
    let before: Option<String> = transaction
        .prepare_cached("SELECT hash FROM act ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let before = before.unwrap_or_default();
    let at: Timestamp = clock::wall();
    let at = booth_contract::time::rfc3339(at);
    let who = act.who.text();
    let detail = match &act.detail {
        Value::Null => String::new(),
        detail => detail.to_string(),
    };
    let hash = hash_of(&before, &at, &who, act.what, &act.about, &detail);
    transaction
        .prepare_cached(
            "INSERT INTO act (at, who, what, about, detail, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![at, who, act.what, act.about, detail, hash])?;
    Ok(())
}

/// An act as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenAct {
    /// Its place.
    pub seq: i64,
    /// When, RFC 3339 UTC.
    pub at: String,
    /// Who.
    pub who: String,
    /// What.
    pub what: String,
    /// About what.
    pub about: String,
    /// What else there is to know, as JSON; empty for nothing.
    pub detail: String,
}

/// What the chain of hashes says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedActs {
    /// How many acts there are.
    pub number: u64,
    /// The first act that is not what it was, or before which one is missing.
    pub first_bad: Option<i64>,
    /// The last hash. Written down elsewhere, it shows later that the end of the log was not cut off.
    pub last_hash: String,
}

/// Acts before a place, the newest first; `filter` is a part of who, what or about.
pub(crate) fn before(
    db: &Connection,
    before: Option<i64>,
    filter: &str,
    most: u32,
) -> booth_database::Result<Vec<WrittenAct>> {
    let mut statement = db.prepare_cached(
        "SELECT seq, at, who, what, about, detail FROM act
         WHERE seq < ?1 AND (?2 = '' OR instr(who, ?2) > 0 OR instr(what, ?2) > 0 OR instr(about, ?2) > 0)
         ORDER BY seq DESC LIMIT ?3",
    )?;
    let rows = statement.query_map(params![before.unwrap_or(i64::MAX), filter, most], |row| {
        Ok(WrittenAct {
            seq: row.get(0)?,
            at: row.get(1)?,
            who: row.get(2)?,
            what: row.get(3)?,
            about: row.get(4)?,
            detail: row.get(5)?,
        })
    })?;
    rows.collect()
}

/// Computes the chain of hashes anew. Places are not looked at: a transaction that failed may leave a gap.
pub(crate) fn check(db: &Connection) -> booth_database::Result<CheckedActs> {
    let mut statement =
        db.prepare_cached("SELECT seq, at, who, what, about, detail, hash FROM act ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut checked = CheckedActs {
        number: 0,
        first_bad: None,
        last_hash: String::new(),
    };
    while let Some(row) = rows.next()? {
        let text = |at: usize| {
            row.get_ref(at)?
                .as_str()
                .map_err(booth_database::Error::from)
        };
        let (at, who, what) = (text(1)?, text(2)?, text(3)?);
        let (about, detail, hash) = (text(4)?, text(5)?, text(6)?);
        let wanted = hash_of(&checked.last_hash, at, who, what, about, detail);
        if wanted != hash && checked.first_bad.is_none() {
            checked.first_bad = Some(row.get(0)?);
        }
        checked.number += 1;
        checked.last_hash = hash.to_owned();
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn three(store: &Store) {
        for message in ["a", "b", "c"] {
            let act = Act::new(Actor::Account(1, "anna".into()), "published", message);
            store.change(act, |_| Ok(())).expect("written");
        }
    }

    fn tampered(sql: &str) -> CheckedActs {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opens");
        three(&store);
        let db = Connection::open(folder.path().join("city.sqlite")).expect("opens");
        // Whoever has the file can take the triggers away.
        db.execute_batch("DROP TRIGGER act_is_not_changed; DROP TRIGGER act_is_not_deleted;")
            .expect("taken away");
        db.execute_batch(sql).expect("changed");
        store.read(check).expect("reads")
    }

    #[test]
    fn an_act_that_is_changed_taken_out_or_put_in_is_noticed() {
        let whole = tampered("");
        assert_eq!((whole.number, whole.first_bad), (3, None));
        for sql in [
            "UPDATE act SET who = 'account 2 bo' WHERE seq = 2",
            "UPDATE act SET at = '2026-01-01T00:00:00.000Z' WHERE seq = 2",
            "UPDATE act SET detail = 'x' WHERE seq = 2",
            "UPDATE act SET what = about, about = what WHERE seq = 2",
        ] {
            assert_eq!(tampered(sql).first_bad, Some(2), "{sql}");
        }
        assert_eq!(tampered("DELETE FROM act WHERE seq = 2").first_bad, Some(3));
        let put_in =
            "INSERT INTO act SELECT 9, at, who, what, about, detail, hash FROM act WHERE seq = 1";
        assert_eq!(tampered(put_in).first_bad, Some(9));
        // The end that is cut off shows by the last hash alone.
        let cut = tampered("DELETE FROM act WHERE seq = 3");
        assert_eq!(cut.first_bad, None);
        assert_ne!(cut.last_hash, whole.last_hash);
    }

    #[test]
    fn the_log_only_grows() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("opens");
        three(&store);
        for sql in ["UPDATE act SET who = 'x'", "DELETE FROM act"] {
            let done = store.change_quietly(|tx| Ok(tx.execute(sql, [])?));
            assert!(done.is_err(), "{sql}");
        }
        let acts = store
            .read(|db| before(db, Some(3), "anna", 10))
            .expect("reads");
        assert_eq!(acts.iter().map(|act| act.seq).collect::<Vec<_>>(), [2, 1]);
        assert!(
            store
                .read(|db| before(db, None, "bo", 10))
                .expect("reads")
                .is_empty()
        );
    }
}
