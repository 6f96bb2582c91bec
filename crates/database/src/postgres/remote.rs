//! The thread that speaks with PostgreSQL for one session.
//!
//! Owns: the connection. It has a thread of its own because the crate `postgres` runs a runtime of its own inside of each call, which is a fault
//! on a thread that is one of a runtime's already; whoever asks waits for the answer as for SQLite's. Never does: connect again, or know a
//! transaction. It ends when its session lets go of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use postgres::types::ToSql;
use postgres::{Client, NoTls, Row, Statement};
use rusqlite::types::Value;

use super::value::Param;
use super::{Address, for_postgres};
use crate::{Error, Result};

/// Statements that stay prepared; with more, all are made anew.
const MOST_PREPARED: usize = 512;

/// What is asked.
#[derive(Debug)]
pub(super) enum Ask {
    /// Several statements.
    Batch(String),
    /// One statement that changes something.
    Execute(String, Vec<Value>),
    /// One that answers with rows.
    Query(String, Vec<Value>),
}

/// What is answered.
pub(super) enum Answer {
    Done,
    Changed(u64),
    Rows(Vec<Row>),
}

struct Job {
    ask: Arc<Ask>,
    to: SyncSender<Result<Answer>>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Remote {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Remote {
    /// Waits until the server has been told.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Remote {
    /// Connects.
    ///
    /// # Errors
    /// A server that does not answer or refuses, and a system that gives no thread.
    pub(super) fn connect(address: &Address) -> Result<Self> {
        let tls = address.tls().map_err(|error| Error::Tls {
            what: error.to_string(),
            remedy: "look at [store] database_ca_file",
        })?;
        let config = address.config().clone();
        let (jobs, waiting) = sync_channel(1);
        let (to, connected) = sync_channel(1);
        let connect = move || match tls {
            Some(tls) => config.connect(tls),
            None => config.connect(NoTls),
        };
        let work = move || match connect() {
            Ok(client) => {
                if to.send(Ok(())).is_ok() {
                    run(client, &waiting);
                }
            }
            Err(error) => {
                let _ = to.send(Err(Error::of_postgres(&error)));
            }
        };
        let thread = booth_host::crew::lend("postgresql", work)
            .map_err(|why| Error::Away(format!("the system gives no thread: {why}")))?;
        connected.recv().unwrap_or_else(|_| Err(ended()))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(super) fn ask(&self, ask: &Arc<Ask>) -> Result<Answer> {
        let (to, answer) = sync_channel(1);
        let ask = Arc::clone(ask);
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(Job { ask, to }).map_err(|_| ended())?;
        answer.recv().unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> Error {
    Error::Away("the connection has ended".to_owned())
}

fn run(mut client: Client, waiting: &Receiver<Job>) {
    let mut prepared = HashMap::new();
    while let Ok(job) = waiting.recv() {
        let answer = answer(&mut client, &mut prepared, &job.ask);
        // Whoever asked may have gone.
        let _ = job
            .to
            .send(answer.map_err(|error| Error::of_postgres(&error)));
    }
}

fn answer(
    client: &mut Client,
    prepared: &mut HashMap<String, Statement>,
    ask: &Ask,
) -> Result<Answer, postgres::Error> {
    match ask {
        Ask::Batch(sql) => client.batch_execute(sql).map(|()| Answer::Done),
        Ask::Execute(sql, values) => {
            let statement = prepare(client, prepared, sql)?;
            let params: Vec<Param<'_>> = values.iter().map(Param).collect();
            client
                .execute(&statement, &as_dyn(&params))
                .map(Answer::Changed)
        }
        Ask::Query(sql, values) => {
            let statement = prepare(client, prepared, sql)?;
            let params: Vec<Param<'_>> = values.iter().map(Param).collect();
            client.query(&statement, &as_dyn(&params)).map(Answer::Rows)
        }
    }
}

fn as_dyn<'p>(params: &'p [Param<'_>]) -> Vec<&'p (dyn ToSql + Sync)> {
    let params = params.iter();
    params.map(|param| param as &(dyn ToSql + Sync)).collect()
}

fn prepare(
    client: &mut Client,
    prepared: &mut HashMap<String, Statement>,
    sql: &str,
) -> Result<Statement, postgres::Error> {
    if let Some(statement) = prepared.get(sql) {
        return Ok(statement.clone());
    }
    let statement = client.prepare(&for_postgres(sql))?;
    if prepared.len() >= MOST_PREPARED {
        prepared.clear();
    }
    prepared.insert(sql.to_owned(), statement.clone());
    Ok(statement)
}
