//! A database of PostgreSQL with the tables that SQLite has.
//!
//! Owns: how a table of SQLite is written for PostgreSQL, the version of a namespace, and the copies of rows from one into the other. So the shape
//! of a database stands in one place: the text that SQLite reads. Never does: take anything away. Everything is done in one transaction: a
//! start that is cut off leaves what it found.
//!
//! What SQLite has by itself, PostgreSQL is given: each table without a number of its own has a column `rowid`, texts are ordered by their bytes,
//! and a few functions have SQLite's names ([`FUNCTIONS`]).

use rusqlite::types::Value;

use crate::{Connection, Error, Result, Row, TransactionBehavior, params, params_from_iter};

/// Functions of SQLite that PostgreSQL has under another name.
const FUNCTIONS: &str = "
CREATE FUNCTION max(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE STRICT AS 'SELECT greatest($1, $2)';
CREATE FUNCTION min(anycompatible, anycompatible) RETURNS anycompatible LANGUAGE sql IMMUTABLE STRICT AS 'SELECT least($1, $2)';
CREATE FUNCTION instr(text, text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT AS 'SELECT strpos($1, $2)::bigint';
CREATE FUNCTION printf(text, bigint) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
  'SELECT CASE $1 WHEN ''%020d'' THEN lpad($2::text, 20, ''0'') END';
CREATE FUNCTION unixepoch(text) RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS
  'BEGIN RETURN floor(extract(epoch FROM $1::timestamptz)); EXCEPTION WHEN data_exception THEN RETURN NULL; END';
";

/// Rows that are fetched at once.
const ROWS_AT_ONCE: usize = 1_000;

/// Why a database of PostgreSQL cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// It was made by another version of this program.
    #[error("the database has version {found}, this program knows {known}")]
    Version {
        /// In the database.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Brings a namespace of PostgreSQL to this version: a new one gets the tables and rows of the database of SQLite that `newest` makes, which is
/// one of this version without anything in it; an older one the steps since its version.
///
/// # Errors
/// The databases', and [`ShapeError::Version`] for one that is newer.
pub fn bring_up(
    db: &Connection,
    version: i64,
    newest: impl FnOnce() -> Result<Connection>,
    steps_since: impl FnOnce(i64) -> String,
) -> Result<(), ShapeError> {
    at_once(db, |namespace, found| match found {
        Some(found) if found == version => Ok(()),
        Some(found) if found < version => {
            db.execute_batch(&for_postgres(&steps_since(found)))?;
            db.execute("UPDATE version SET number = ?1", [version])?;
            Ok(())
        }
        Some(found) => Err(ShapeError::Version {
            found,
            known: version,
        }),
        None => {
            begin_anew(db, namespace, version, &newest()?, &mut |_| ())?;
            Ok(())
        }
    })
}

/// Makes a namespace of PostgreSQL out of a database of SQLite of this version: its tables and every row, in one transaction; how many rows there
/// were. `each` hears how many are done.
///
/// # Errors
/// The databases', and [`ShapeError::Version`] where the namespace has tables already: nothing is written over.
pub fn move_in(
    sqlite: &Connection,
    db: &Connection,
    version: i64,
    each: &mut dyn FnMut(u64),
) -> Result<u64, ShapeError> {
    at_once(db, |namespace, found| match found {
        Some(found) => Err(ShapeError::Version {
            found,
            known: version,
        }),
        None => Ok(begin_anew(db, namespace, version, sqlite, each)?),
    })
}

/// Copies every row of a namespace of PostgreSQL, as it is at one moment, into a database of SQLite of this version; how many rows there were.
/// What that one had before is deleted. `db` is a [`Role::Reader`](crate::postgres::Role::Reader). `each` hears how many are done.
///
/// # Errors
/// The databases', and [`ShapeError::Version`] for a namespace of another version: then nothing was copied.
pub fn copy_out(
    db: &Connection,
    sqlite: &Connection,
    version: i64,
    each: &mut dyn FnMut(u64),
) -> Result<u64, ShapeError> {
    // A reader's transaction sees one moment.
    db.begin(TransactionBehavior::Deferred)?;
    let copied = sqlite
        .begin(TransactionBehavior::Immediate)
        .map_err(ShapeError::from)
        .and_then(|()| copy_all_out(db, sqlite, version, each));
    let ended = match &copied {
        Ok(_) => sqlite.commit(),
        Err(_) if sqlite.is_autocommit() => Ok(()),
        Err(_) => sqlite.roll_back(),
    };
    db.roll_back()?;
    let rows = copied?;
    ended?;
    Ok(rows)
}

fn copy_all_out(
    db: &Connection,
    sqlite: &Connection,
    version: i64,
    each: &mut dyn FnMut(u64),
) -> Result<u64, ShapeError> {
    let found = version_of(db)?.unwrap_or(0);
    if found != version {
        return Err(ShapeError::Version {
            found,
            known: version,
        });
    }
    let mut rows = 0;
    for table in tables_of(sqlite)? {
        rows += copy_table_out(db, sqlite, &table, |done| each(rows + done))?;
    }
    Ok(rows)
}

/// Does all of it or nothing: in one transaction, by the namespace and the version that is found there.
fn at_once<T>(
    db: &Connection,
    act: impl FnOnce(&str, Option<i64>) -> Result<T, ShapeError>,
) -> Result<T, ShapeError> {
    let namespace = namespace_of(db)?;
    is_usable(db)?;
    db.begin(TransactionBehavior::Immediate)?;
    let found = version_of(db).map_err(ShapeError::from);
    match found.and_then(|found| act(namespace, found)) {
        Ok(done) => {
            db.commit()?;
            Ok(done)
        }
        Err(error) => {
            // One that is lost with its connection has ended by itself.
            if let Err(why) = db.roll_back() {
                log::debug!("nothing to roll back: {why}");
            }
            Err(error)
        }
    }
}

/// The version of the namespace; `None` where nothing is there.
///
/// # Errors
/// PostgreSQL's.
pub fn version_of(db: &Connection) -> Result<Option<i64>> {
    let table = format!("{}.version", namespace_of(db)?);
    let is_there: bool = db.query_row("SELECT to_regclass(?1) IS NOT NULL", [table], |row| {
        row.get(0)
    })?;
    match is_there {
        true => db.query_row("SELECT number FROM version", [], |row| row.get(0)),
        false => Ok(None),
    }
}

fn namespace_of(db: &Connection) -> Result<&'static str> {
    let session = db.session();
    session
        .map(|session| session.namespace())
        .ok_or(Error::NotHere("SQLite has no namespaces"))
}

/// Whether this server keeps what it confirms, in every alphabet.
fn is_usable(db: &Connection) -> Result<()> {
    let setting = |name: &str| -> Result<String> {
        db.query_row("SELECT current_setting(?1)", [name], |row| row.get(0))
    };
    if setting("server_encoding")? != "UTF8" {
        return Err(Error::NotHere(
            "this database of PostgreSQL keeps no UTF-8: make one with createdb -E UTF8 -T template0",
        ));
    }
    if setting("fsync")? != "on" {
        log::warn!(
            "PostgreSQL runs with fsync = off: a power cut may take clips that booths have let go of; set it to on"
        );
    }
    Ok(())
}

fn begin_anew(
    db: &Connection,
    namespace: &str,
    version: i64,
    newest: &Connection,
    each: &mut dyn FnMut(u64),
) -> Result<u64> {
    let is_there: bool = db.query_row(
        "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = ?1)",
        [namespace],
        |row| row.get(0),
    )?;
    if !is_there {
        db.execute_batch(&format!("CREATE SCHEMA {namespace}"))?;
    }
    db.execute_batch(FUNCTIONS)?;
    db.execute_batch(&format!(
        "CREATE TABLE version (id BIGINT PRIMARY KEY CHECK (id = 1), number BIGINT NOT NULL); INSERT INTO version VALUES (1, {version})",
    ))?;
    for sql in statements_of(newest)? {
        db.execute_batch(&for_postgres(&sql))?;
    }
    let mut rows = 0;
    for table in tables_of(newest)? {
        rows += copy_table(newest, db, &table, |done| each(rows + done))?;
    }
    Ok(rows)
}

/// What makes the tables, indexes and views of a database of SQLite, in order. Triggers are written by hand.
fn statements_of(sqlite: &Connection) -> Result<Vec<String>> {
    let mut found = sqlite.prepare(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
         ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, rowid",
    )?;
    found.query_map([], |row| row.get(0))?.collect()
}

/// The tables of a database of SQLite, in the order in which they were made.
///
/// # Errors
/// SQLite's.
pub fn tables_of(sqlite: &Connection) -> Result<Vec<String>> {
    let mut found = sqlite.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid",
    )?;
    found.query_map([], |row| row.get(0))?.collect()
}

/// Copies every row of a table of SQLite into the same table of PostgreSQL, each with its number; how many there were. `each` hears how many are
/// done.
///
/// # Errors
/// The databases'.
fn copy_table(
    sqlite: &Connection,
    postgres: &Connection,
    table: &str,
    mut each: impl FnMut(u64),
) -> Result<u64> {
    let columns = columns_in_both(sqlite, postgres, table)?;
    let names = columns.join(", ");
    let insert = insertion(table, &columns);
    let mut read = sqlite.prepare(&format!("SELECT {names} FROM {table}"))?;
    let mut rows = read.query([])?;
    let mut copied = 0;
    while let Some(row) = rows.next()? {
        insert_row(postgres, &insert, &row, columns.len())?;
        copied += 1;
        each(copied);
    }
    go_on_counting(postgres, table)?;
    Ok(copied)
}

/// The same the other way, by a cursor: a table need not fit into memory.
fn copy_table_out(
    postgres: &Connection,
    sqlite: &Connection,
    table: &str,
    mut each: impl FnMut(u64),
) -> Result<u64> {
    sqlite.execute(&format!("DELETE FROM {table}"), [])?;
    let columns = columns_in_both(sqlite, postgres, table)?;
    let names = columns.join(", ");
    let insert = insertion(table, &columns);
    postgres.execute_batch(&format!(
        "DECLARE rows_of_{table} NO SCROLL CURSOR FOR SELECT {names} FROM {table}"
    ))?;
    let fetch = format!("FETCH {ROWS_AT_ONCE} FROM rows_of_{table}");
    let mut copied = 0;
    loop {
        let before = copied;
        let mut read = postgres.prepare(&fetch)?;
        let mut rows = read.query([])?;
        while let Some(row) = rows.next()? {
            insert_row(sqlite, &insert, &row, columns.len())?;
            copied += 1;
            each(copied);
        }
        if copied == before {
            break;
        }
    }
    postgres.execute_batch(&format!("CLOSE rows_of_{table}"))?;
    Ok(copied)
}

fn insertion(table: &str, columns: &[String]) -> String {
    let places: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
    let (names, places) = (columns.join(", "), places.join(", "));
    format!("INSERT INTO {table} ({names}) VALUES ({places})")
}

fn insert_row(to: &Connection, insert: &str, row: &Row<'_>, columns: usize) -> Result<()> {
    let values: Vec<Value> = (0..columns).map(|at| row.get(at)).collect::<Result<_>>()?;
    to.prepare_cached(insert)?
        .execute(params_from_iter(values))
        .map(drop)
}

/// The columns of a table, with the number that SQLite gives each row where PostgreSQL's table has one.
fn columns_in_both(sqlite: &Connection, postgres: &Connection, table: &str) -> Result<Vec<String>> {
    let mut columns = columns_of(sqlite, table)?;
    let has_rowid: bool = postgres.query_row(
        "SELECT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass(?1) AND attname = 'rowid')",
        [format!("{}.{table}", namespace_of(postgres)?)],
        |row| row.get(0),
    )?;
    if has_rowid {
        columns.push("rowid".to_owned());
    }
    Ok(columns)
}

fn columns_of(sqlite: &Connection, table: &str) -> Result<Vec<String>> {
    let mut found = sqlite.prepare("SELECT name FROM pragma_table_info(?1)")?;
    found.query_map([table], |row| row.get(0))?.collect()
}

/// The next new row of the table gets a number after the highest.
fn go_on_counting(postgres: &Connection, table: &str) -> Result<()> {
    let namespace = namespace_of(postgres)?;
    let mut counted = postgres.prepare(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(?1) AND attidentity = 'd'",
    )?;
    let counted: Vec<String> = counted
        .query_map([format!("{namespace}.{table}")], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for column in counted {
        postgres.query_row(
            &format!(
                "SELECT setval(pg_get_serial_sequence(?1, ?2), coalesce((SELECT max({column}) FROM {table}), 0) + 1, false)"
            ),
            params![format!("{namespace}.{table}"), column],
            |_| Ok(()),
        )?;
    }
    Ok(())
}

/// Statements that change SQLite's tables, as PostgreSQL reads them.
pub fn for_postgres(sql: &str) -> String {
    let statements = statements(sql);
    let written = statements.iter().map(|one| statement_for_postgres(one));
    written.collect::<Vec<_>>().join(";\n")
}

/// The statements of a text, without remarks.
fn statements(sql: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quote = None;
    let mut rest = sql.chars().peekable();
    while let Some(c) = rest.next() {
        match quote {
            None if c == '-' && rest.peek() == Some(&'-') => {
                // The end of the line stays.
                while rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            None if c == ';' => {
                all.push(String::new());
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all.retain(|one| !one.trim().is_empty());
    all
}

fn statement_for_postgres(statement: &str) -> String {
    let statement = statement.trim();
    let is_table = statement.starts_with("CREATE TABLE");
    if !is_table && !statement.starts_with("ALTER TABLE") {
        return crate::postgres::for_postgres(statement);
    }
    let mut text = statement.to_owned();
    for ending in ["WITHOUT ROWID", "STRICT"] {
        let bare = text.trim_end_matches(|c: char| c.is_whitespace() || c == ',');
        text = bare
            .strip_suffix(ending)
            .unwrap_or(bare)
            .trim_end()
            .to_owned();
    }
    // Of two endings the first one is left.
    text = text.trim_end_matches(',').trim_end().to_owned();
    text = text.strip_suffix("STRICT").unwrap_or(&text).to_owned();
    let has_number = text.contains("INTEGER PRIMARY KEY");
    let has_rowid = is_table && !has_number && !statement.contains("WITHOUT ROWID");
    text = text.replace("AUTOINCREMENT", "");
    text = text.replace(
        "INTEGER PRIMARY KEY",
        "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    );
    for (sqlite, postgres) in [
        ("INTEGER", "BIGINT"),
        ("REAL", "DOUBLE PRECISION"),
        ("BLOB", "BYTEA"),
        ("TEXT", "TEXT COLLATE \"C\""),
    ] {
        text = with_word(&text, sqlite, postgres);
    }
    if has_rowid && let Some(end) = text.rfind(')') {
        text.insert_str(
            end,
            ", rowid BIGINT GENERATED BY DEFAULT AS IDENTITY UNIQUE",
        );
    }
    text
}

/// Every whole word exchanged.
fn with_word(text: &str, word: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(at) = rest.find(word) {
        let (before, from) = rest.split_at(at);
        let after = &from[word.len()..];
        let is_whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        out.push_str(before);
        out.push_str(if is_whole { by } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_for_postgresql() {
        let table = "CREATE TABLE \"kept\" (
  id TEXT PRIMARY KEY, -- a TEXT; or not
  text TEXT, n INTEGER NOT NULL, x REAL, manifest BLOB, UNIQUE (n)
) STRICT";
        let wanted = "CREATE TABLE \"kept\" (
  id TEXT COLLATE \"C\" PRIMARY KEY, 
  text TEXT COLLATE \"C\", n BIGINT NOT NULL, x DOUBLE PRECISION, manifest BYTEA, UNIQUE (n)
, rowid BIGINT GENERATED BY DEFAULT AS IDENTITY UNIQUE)";
        assert_eq!(for_postgres(table), wanted);
        assert_eq!(
            for_postgres("CREATE TABLE a (seq INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT) STRICT"),
            "CREATE TABLE a (seq BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY , b TEXT COLLATE \"C\")"
        );
        assert_eq!(
            for_postgres("CREATE TABLE a (b INTEGER PRIMARY KEY) STRICT, WITHOUT ROWID;"),
            "CREATE TABLE a (b BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)"
        );
        assert_eq!(
            for_postgres(
                "CREATE TABLE a (b INTEGER, PRIMARY KEY (b)) STRICT, WITHOUT ROWID;\nALTER TABLE a ADD COLUMN c TEXT;"
            ),
            "CREATE TABLE a (b BIGINT, PRIMARY KEY (b));\nALTER TABLE a ADD COLUMN c TEXT COLLATE \"C\""
        );
        assert_eq!(
            for_postgres("UPDATE a SET c = 'TEXT; -- it''s' WHERE c IS b; -- done\n"),
            "UPDATE a SET c = 'TEXT; -- it''s' WHERE c IS NOT DISTINCT FROM b"
        );
    }
}
