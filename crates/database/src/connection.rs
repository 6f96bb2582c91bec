//! A connection to one database of either kind.
//!
//! Owns: what a store asks of it. Never does: decide which of the two it is; whoever opens it does.

use std::path::Path;
use std::time::Duration;

use rusqlite::{OpenFlags, TransactionBehavior};

use crate::params::Params;
use crate::postgres::{Address, Role, Session};
use crate::rows::{AnyStatement, Row, Statement};
use crate::{Error, Result, Transaction};

/// A name of an attached database of SQLite.
pub type DatabaseName = Option<&'static str>;

/// A connection.
#[derive(Debug)]
pub struct Connection(Any);

#[derive(Debug)]
enum Any {
    Sqlite(rusqlite::Connection),
    Postgres(Box<Session>),
}

/// What is refused at PostgreSQL.
const NO_PRAGMA: Error = Error::NotHere("a pragma is SQLite's: PostgreSQL has settings of its own");

impl Connection {
    /// Opens SQLite's file, and creates it.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self(Any::Sqlite(rusqlite::Connection::open(path)?)))
    }

    /// A database of SQLite in memory.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open_in_memory() -> Result<Self> {
        Ok(Self(Any::Sqlite(rusqlite::Connection::open_in_memory()?)))
    }

    /// Opens SQLite's file.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open_with_flags(path: impl AsRef<Path>, flags: OpenFlags) -> Result<Self> {
        let opened = rusqlite::Connection::open_with_flags(path, flags)?;
        Ok(Self(Any::Sqlite(opened)))
    }

    /// Connects to PostgreSQL, to one namespace there.
    ///
    /// # Errors
    /// A server that does not answer, or refuses.
    pub fn open_postgres(address: &Address, namespace: &'static str, role: Role) -> Result<Self> {
        let session = Session::open(address.clone(), namespace, role)?;
        Ok(Self(Any::Postgres(Box::new(session))))
    }

    /// Closes it; SQLite says whether that went well.
    ///
    /// # Errors
    /// SQLite's.
    pub fn close(self) -> Result<()> {
        match self.0 {
            Any::Sqlite(db) => db.close().map_err(|(_, error)| error.into()),
            Any::Postgres(_) => Ok(()),
        }
    }

    /// Whether this is SQLite.
    pub fn is_sqlite(&self) -> bool {
        matches!(self.0, Any::Sqlite(_))
    }

    /// Where PostgreSQL is; `None` for SQLite.
    pub fn address(&self) -> Option<&Address> {
        self.session().map(Session::address)
    }

    /// Makes this connection the only one of its kind, for as long as it lives, and takes that up again where it was lost. `false` where another
    /// one has it. SQLite's files have locks of their own.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub fn hold(&self, what: &str) -> Result<bool> {
        self.session()
            .map_or(Ok(true), |session| session.hold(what))
    }

    /// Has the server give up a transaction of this connection that stands still for so long, or whose machine is gone for some ten seconds: others
    /// wait for its end. SQLite's locks end with their process.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub fn give_way_after(&self, standstill: Duration) -> Result<()> {
        self.session()
            .map_or(Ok(()), |session| session.give_way_after(standstill))
    }

    /// The session at PostgreSQL.
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.0 {
            Any::Sqlite(_) => None,
            Any::Postgres(session) => Some(session),
        }
    }

    /// How long a statement waits for another writer.
    ///
    /// # Errors
    /// The database's.
    pub fn busy_timeout(&self, patience: Duration) -> Result<()> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.busy_timeout(patience)?),
            Any::Postgres(session) => session.wait_at_most(patience),
        }
    }

    /// How many statements stay prepared. PostgreSQL's side has a number of its own.
    pub fn set_prepared_statement_cache_capacity(&self, capacity: usize) {
        if let Any::Sqlite(db) = &self.0 {
            db.set_prepared_statement_cache_capacity(capacity);
        }
    }

    /// Sets one of SQLite's settings.
    ///
    /// # Errors
    /// SQLite's; PostgreSQL has no such settings.
    pub fn pragma_update<V: rusqlite::ToSql>(
        &self,
        schema: DatabaseName,
        name: &str,
        value: V,
    ) -> Result<()> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.pragma_update(schema, name, value)?),
            Any::Postgres(_) => Err(NO_PRAGMA),
        }
    }

    /// Runs several statements without parameters.
    ///
    /// # Errors
    /// The database's.
    pub fn execute_batch(&self, sql: &str) -> Result<()> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.execute_batch(sql)?),
            Any::Postgres(session) => session.batch(sql),
        }
    }

    /// Runs one statement; how many rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub fn execute<P: Params>(&self, sql: &str, params: P) -> Result<usize> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.execute(sql, params.for_sqlite())?),
            Any::Postgres(session) => session.execute(sql, params.values()?),
        }
    }

    /// What the closure makes of the first row.
    ///
    /// # Errors
    /// The database's; no row is one ([`crate::OptionalExtension`]).
    pub fn query_row<T, P, F>(&self, sql: &str, params: P, read: F) -> Result<T>
    where
        P: Params,
        F: FnOnce(&Row<'_>) -> Result<T>,
    {
        self.prepare(sql)?.query_row(params, read)
    }

    /// A statement.
    ///
    /// # Errors
    /// SQL that the database does not understand. PostgreSQL says so when it is run.
    pub fn prepare(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match &self.0 {
            Any::Sqlite(db) => AnyStatement::Sqlite(db.prepare(sql)?),
            Any::Postgres(session) => of_postgres(session, sql),
        }))
    }

    /// A statement that stays prepared.
    ///
    /// # Errors
    /// The same.
    pub fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match &self.0 {
            Any::Sqlite(db) => AnyStatement::Cached(db.prepare_cached(sql)?),
            Any::Postgres(session) => of_postgres(session, sql),
        }))
    }

    /// The number that the last new row of this connection was given.
    ///
    /// # Errors
    /// PostgreSQL's: no row was given one.
    pub fn last_insert_rowid(&self) -> Result<i64> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.last_insert_rowid()),
            Any::Postgres(_) => self.query_row("SELECT lastval()", [], |row| row.get(0)),
        }
    }

    /// How many rows this connection has changed since it was opened.
    pub fn total_changes(&self) -> u64 {
        match &self.0 {
            Any::Sqlite(db) => db.total_changes(),
            Any::Postgres(session) => session.total_changes(),
        }
    }

    /// Whether no transaction is under way.
    pub fn is_autocommit(&self) -> bool {
        match &self.0 {
            Any::Sqlite(db) => db.is_autocommit(),
            Any::Postgres(session) => session.is_autocommit(),
        }
    }

    /// Begins a transaction by hand; [`Self::transaction`] rolls back by itself.
    ///
    /// # Errors
    /// The database's.
    pub fn begin(&self, behavior: TransactionBehavior) -> Result<()> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.execute_batch(match behavior {
                TransactionBehavior::Immediate => "BEGIN IMMEDIATE",
                TransactionBehavior::Exclusive => "BEGIN EXCLUSIVE",
                _ => "BEGIN DEFERRED",
            })?),
            Any::Postgres(session) => session.begin(),
        }
    }

    /// Keeps what was done since [`Self::begin`].
    ///
    /// # Errors
    /// The database's: then nothing of it is kept, or, where the connection was lost just now, all of it may be.
    pub fn commit(&self) -> Result<()> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.execute_batch("COMMIT")?),
            Any::Postgres(session) => session.commit(),
        }
    }

    /// Gives up what was done since [`Self::begin`].
    ///
    /// # Errors
    /// The database's.
    pub fn roll_back(&self) -> Result<()> {
        match &self.0 {
            Any::Sqlite(db) => Ok(db.execute_batch("ROLLBACK")?),
            Any::Postgres(session) => {
                session.roll_back();
                Ok(())
            }
        }
    }

    /// A transaction that writes, and takes the lock for it at once: one that reads first is refused, however long it would wait, if another process has
    /// written meanwhile.
    ///
    /// # Errors
    /// The database's.
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        Transaction::begin(self, TransactionBehavior::Immediate)
    }

    /// A transaction that reads, at one moment, on a connection that is shared. It fails inside of another transaction.
    ///
    /// # Errors
    /// The database's.
    pub fn unchecked_transaction(&self) -> Result<Transaction<'_>> {
        Transaction::begin(self, TransactionBehavior::Deferred)
    }
}

fn of_postgres<'c>(session: &'c Session, sql: &str) -> AnyStatement<'c> {
    AnyStatement::Postgres {
        session,
        sql: sql.to_owned(),
    }
}
