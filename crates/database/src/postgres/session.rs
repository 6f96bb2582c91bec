//! A session at PostgreSQL with its one transaction.
//!
//! Owns: that a lost connection is made again, and that a transaction is either committed as a whole or known not to be. Outside of a
//! transaction a statement that only reads, or begins, is tried again once over a new connection. Never does: try a change again that may have
//! been made, or call a transaction committed in which a statement failed: PostgreSQL answers such a `COMMIT` with a rollback and no error.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use postgres::Row;
use rusqlite::types::Value;

use super::Address;
use super::remote::{Answer, Ask, Remote};
use crate::{Error, Result};

/// How long a statement waits for another writer, as with SQLite.
const PATIENCE: Duration = Duration::from_secs(5);

/// The server's word for a lock that another one has (SQLSTATE).
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It writes: one at a time.
    Writer,
    /// It only reads; a transaction of it sees one moment.
    Reader,
}

/// A session.
pub(crate) struct Session {
    address: Address,
    namespace: &'static str,
    role: Role,
    state: RefCell<State>,
}

struct State {
    remote: Option<Remote>,
    transaction: InTransaction,
    patience: Duration,
    /// How long a transaction may stand still before the server gives it up.
    standstill: Option<Duration>,
    /// What this session alone may do, as the key of a lock.
    holds: Option<i64>,
    changes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InTransaction {
    None,
    Open,
    /// A statement of it failed: nothing of it is kept.
    Failed,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, {})", self.address, self.namespace)
    }
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// A server that does not answer, or refuses.
    pub(crate) fn open(address: Address, namespace: &'static str, role: Role) -> Result<Self> {
        let session = Self {
            address,
            namespace,
            role,
            state: RefCell::new(State {
                remote: None,
                transaction: InTransaction::None,
                patience: PATIENCE,
                standstill: None,
                holds: None,
                changes: 0,
            }),
        };
        session.connect(&mut session.state.borrow_mut())?;
        Ok(session)
    }

    /// The namespace of its tables.
    pub(crate) fn namespace(&self) -> &'static str {
        self.namespace
    }

    /// Where it is connected to.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    fn connect(&self, state: &mut State) -> Result<()> {
        state.remote = None;
        let remote = Remote::connect(&self.address)?;
        let mut settings = self.settings(state.patience);
        settings.extend(state.standstill.map(giving_way));
        remote.ask(&Arc::new(Ask::Batch(settings)))?;
        if let Some(key) = state.holds
            && !take(&remote, key)?
        {
            return Err(Error::NotHere(
                "another booth-hub has taken this database over while the connection was lost: see which one is to run, and end the other",
            ));
        }
        state.remote = Some(remote);
        Ok(())
    }

    /// What each connection is told first. Whatever the server's own settings say, a commit is on its disk when it returns.
    fn settings(&self, patience: Duration) -> String {
        let of_role = match self.role {
            Role::Writer => "SET synchronous_commit = on",
            Role::Reader => {
                "SET default_transaction_read_only = on; SET default_transaction_isolation = 'repeatable read'"
            }
        };
        format!(
            "SET search_path TO {}; SET lock_timeout = {}; SET client_min_messages = warning; SET statement_timeout = 0;
             SET standard_conforming_strings = on; SET idle_in_transaction_session_timeout = 0; SET timezone = 'UTC'; {of_role}",
            self.namespace,
            in_ms(patience)
        )
    }

    /// Asks over the connection, and makes it where there is none. `may_repeat` says that it changes nothing, or nothing that lasts.
    fn ask(&self, may_repeat: bool, ask: Ask) -> Result<Answer> {
        let ask = Arc::new(ask);
        let state = &mut *self.state.borrow_mut();
        if state.transaction == InTransaction::Failed {
            return Err(Error::GivenUp);
        }
        let is_free = state.transaction == InTransaction::None;
        let mut again = may_repeat && is_free;
        loop {
            if state.remote.is_none() {
                self.connect(state)?;
            }
            let asked = state.remote.as_ref().map(|remote| remote.ask(&ask));
            let error = match asked {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(error)) => error,
                None => Error::Away("there is no connection".to_owned()),
            };
            if error.is_away() {
                state.remote = None;
            }
            if !is_free {
                state.transaction = InTransaction::Failed;
            }
            if !std::mem::take(&mut again) || !error.is_away() {
                return Err(error);
            }
        }
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, values: Vec<Value>) -> Result<usize> {
        let ask = Ask::Execute(sql.to_owned(), values);
        let Answer::Changed(changed) = self.ask(self.role == Role::Reader, ask)? else {
            return Ok(0);
        };
        self.state.borrow_mut().changes += changed;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// All rows of a question.
    pub(crate) fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>> {
        let may_repeat = self.role == Role::Reader || is_question(sql);
        match self.ask(may_repeat, Ask::Query(sql.to_owned(), values))? {
            Answer::Rows(rows) => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    /// Runs several statements.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        let ask = Ask::Batch(sql.to_owned());
        self.ask(self.role == Role::Reader, ask).map(|_| ())
    }

    /// A writer waits for its turn first, so that everything which it reads afterwards is what the writer before has left.
    pub(crate) fn begin(&self) -> Result<()> {
        if !self.is_autocommit() {
            return Err(Error::NotHere("a transaction is under way already"));
        }
        let sql = match self.role {
            Role::Reader => "BEGIN".to_owned(),
            Role::Writer => {
                let lock = format!("SELECT pg_advisory_xact_lock({})", self.key("writer"));
                format!("BEGIN ISOLATION LEVEL READ COMMITTED; {lock}")
            }
        };
        match self.ask(true, Ask::Batch(sql)) {
            Ok(_) => {
                self.state.borrow_mut().transaction = InTransaction::Open;
                Ok(())
            }
            Err(error) => {
                // The writer before took too long: the transaction was begun, and waits for its end.
                self.roll_back();
                Err(error)
            }
        }
    }

    pub(crate) fn commit(&self) -> Result<()> {
        let transaction = self.state.borrow().transaction;
        let done = match transaction {
            InTransaction::None => return Err(Error::NotHere("no transaction is under way")),
            InTransaction::Failed => Err(Error::GivenUp),
            InTransaction::Open => self.ask(false, Ask::Batch("COMMIT".to_owned())),
        };
        match done {
            Ok(_) => {
                self.state.borrow_mut().transaction = InTransaction::None;
                Ok(())
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Gives up what is under way, and the connection with it where it does not answer: then the server rolls back.
    pub(crate) fn roll_back(&self) {
        let state = &mut *self.state.borrow_mut();
        state.transaction = InTransaction::None;
        let ask = Arc::new(Ask::Batch("ROLLBACK".to_owned()));
        if let Some(remote) = &state.remote
            && remote.ask(&ask).is_err()
        {
            state.remote = None;
        }
    }

    pub(crate) fn is_autocommit(&self) -> bool {
        self.state.borrow().transaction == InTransaction::None
    }

    pub(crate) fn total_changes(&self) -> u64 {
        self.state.borrow().changes
    }

    pub(crate) fn wait_at_most(&self, patience: Duration) -> Result<()> {
        self.state.borrow_mut().patience = patience;
        self.batch(&format!("SET lock_timeout = {}", in_ms(patience)))
    }

    /// Has the server give up a transaction that stands still for so long, or whose other end is gone.
    pub(crate) fn give_way_after(&self, standstill: Duration) -> Result<()> {
        self.state.borrow_mut().standstill = Some(standstill);
        self.batch(&giving_way(standstill))
    }

    /// Makes this session the only one of its kind in this namespace, for as long as it lives; a connection that is made again takes the lock
    /// again. `false` where another one has it.
    pub(crate) fn hold(&self, what: &str) -> Result<bool> {
        let rows = self.query(&format!("SELECT {}", self.key(what)), Vec::new())?;
        let key = rows.first().and_then(|row| row.try_get(0).ok());
        let key: i64 = key.ok_or(Error::NotHere("PostgreSQL made no key for a lock"))?;
        let state = &mut *self.state.borrow_mut();
        let Some(remote) = &state.remote else {
            return Err(Error::Away("there is no connection".to_owned()));
        };
        let is_taken = take(remote, key)?;
        state.holds = is_taken.then_some(key);
        Ok(is_taken)
    }

    /// A lock's key, as an expression.
    fn key(&self, what: &str) -> String {
        format!("hashtextextended('booth-hub {} {what}', 0)", self.namespace)
    }
}

/// Takes a lock for as long as the connection lives. `false` where another session has it, and does not let go of it in the time that a statement
/// waits: the server hears of the end of a process a moment later.
fn take(remote: &Remote, key: i64) -> Result<bool> {
    let ask = Ask::Batch(format!("SELECT pg_advisory_lock({key})"));
    match remote.ask(&Arc::new(ask)) {
        Ok(_) => Ok(true),
        Err(Error::Postgres { code, .. }) if code == LOCK_NOT_AVAILABLE => Ok(false),
        Err(error) => Err(error),
    }
}

/// The settings by which the server gives up a transaction. A machine that is gone is noticed after three unanswered questions; where the server is on
/// this machine it ignores them.
fn giving_way(standstill: Duration) -> String {
    format!(
        "; SET idle_in_transaction_session_timeout = {}; SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3",
        in_ms(standstill)
    )
}

/// PostgreSQL takes zero for no limit.
fn in_ms(patience: Duration) -> u128 {
    patience.as_millis().max(1)
}

/// Whether a statement only asks.
fn is_question(sql: &str) -> bool {
    let word = sql.trim_start().get(..6);
    word.is_some_and(|word| word.eq_ignore_ascii_case("select"))
}
