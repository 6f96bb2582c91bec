//! The tables of the course, with a column for each value of health.
//!
//! Owns: how the file is opened, and every statement that names the columns. SQLite keeps a whole number in one to eight bytes and an absent one
//! in none, so that a row of seventy values takes some 200 bytes. Never does: take a column's name from a message.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use booth_contract::Health;
use booth_database::types::Value;
use booth_database::{Connection, params_from_iter};

/// How long a statement waits for another process.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an hour keeps of each value: a suffix of its columns, and how SQLite computes it.
pub(super) const OF_AN_HOUR: [(&str, &str); 3] =
    [("least", "min"), ("most", "max"), ("mean", "avg")];

/// The statements over all columns.
pub(super) struct Tables {
    names: &'static [&'static str],
    keep: String,
    sum_up: String,
}

impl Tables {
    /// For values of these names.
    pub(super) fn of(names: &'static [&'static str]) -> Self {
        let places: String = (0..names.len()).map(|n| format!(", ?{}", n + 3)).collect();
        let columns: String = names.iter().map(|name| format!(", v_{name}")).collect();
        let keep =
            format!("INSERT OR REPLACE INTO said (booth, at{columns}) VALUES (?1, ?2{places})");
        let (mut into, mut from) = (String::new(), String::new());
        for name in names {
            for (suffix, function) in OF_AN_HOUR {
                let _ = write!(into, ", v_{name}_{suffix}");
                let _ = write!(from, ", {function}(v_{name})");
            }
        }
        let sum_up = format!(
            "INSERT OR REPLACE INTO hour (booth, at, times{into})
             SELECT booth, at / 3600 * 3600, count(*){from} FROM said
             WHERE booth = ?1 AND at >= ?2 AND at < ?3 GROUP BY booth, at / 3600"
        );
        Self {
            names,
            keep,
            sum_up,
        }
    }

    pub(super) fn keep(
        &self,
        db: &Connection,
        booth: i64,
        at: i64,
        health: &Health,
    ) -> booth_database::Result<()> {
        let values = self.names.iter().map(|name| {
            let value = health.get(name).filter(|value| value.is_finite());
            value.map_or(Value::Null, Value::Real)
        });
        let all = [Value::Integer(booth), Value::Integer(at)]
            .into_iter()
            .chain(values);
        db.prepare_cached(&self.keep)?
            .execute(params_from_iter(all))?;
        Ok(())
    }

    pub(super) fn sum_up(
        &self,
        db: &Connection,
        booth: i64,
        from: i64,
        until: i64,
    ) -> booth_database::Result<()> {
        db.prepare_cached(&self.sum_up)?
            .execute([booth, from, until])?;
        Ok(())
    }
}

/// Opens the database for writing, and gives it a column for each value that it has none for.
pub(super) fn open(file: &Path) -> booth_database::Result<Connection> {
    let mut db = Connection::open(file)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut may take the last commits, and leaves the database whole.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let transaction = db.transaction()?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS booth (
           number INTEGER PRIMARY KEY, booth_id TEXT NOT NULL UNIQUE, summed_until INTEGER NOT NULL
         ) STRICT;
         CREATE TABLE IF NOT EXISTS said (
           booth INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (booth, at)
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS hour (
           booth INTEGER NOT NULL, at INTEGER NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (booth, at)
         ) STRICT, WITHOUT ROWID;",
    )?;
    let of_said = Health::NAMES.iter().map(|name| format!("v_{name}"));
    add_columns(&transaction, "said", of_said)?;
    let of_hour = Health::NAMES
        .iter()
        .flat_map(|name| OF_AN_HOUR.map(|(suffix, _)| format!("v_{name}_{suffix}")));
    add_columns(&transaction, "hour", of_hour)?;
    transaction.commit()?;
    Ok(db)
}

fn add_columns(
    db: &Connection,
    table: &str,
    wanted: impl Iterator<Item = String>,
) -> booth_database::Result<()> {
    let there: Vec<String> = db
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
        .query_map([], |row| row.get(0))?
        .collect::<booth_database::Result<_>>()?;
    for column in wanted.filter(|column| !there.contains(column)) {
        db.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} REAL"))?;
    }
    Ok(())
}
