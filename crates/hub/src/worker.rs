//! The one thread that owns the store: takes messages in batches, commits, then reports.
//!
//! Owns: the order "handle, commit, report" and the size of a batch, which shares one database commit. Never does: talk to the
//! broker. When the store fails, the whole batch is given up and reported as failed: nothing of it was promised to anyone, and the
//! booths send it again.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::ingest::Answer;
use super::intake::Over;
use super::monitoring::Meters;
use super::store::{Brought, Entry, Kept, Message, Store, StoreError, Took};
use booth_contract::ClipId;
use booth_host::{clock, crew};

/// Jobs that may wait here. With more, a late message of one sender would wait behind many of another's; the link keeps the others,
/// by sender.
pub const MAX_WAITING: usize = 2 * MAX_BATCH;
/// Answers from home that may wait besides: the link counts its own jobs, and never finds the queue full because of these.
pub const MAX_SUBMITS: usize = 16;
/// Most jobs that share a commit.
const MAX_BATCH: usize = 128;
/// How often withdrawals are worked off: what a citizen takes back is gone within a minute.
const WORK_OFF_EVERY_MS: u64 = 1_000;
/// How often the next body is carried into a bucket, while some are to be.
const CARRY_EVERY_MS: u64 = 20;
/// How often unfinished bodies are checked for their age.
const EXPIRE_EVERY_MS: u64 = 60_000;

/// A job for the store's thread.
#[derive(Debug)]
pub enum Job {
    /// Handle this message.
    Message(Message),
    /// Remember that a sender has used its budget up, for the operations page.
    Over(Over),
    /// Can the store write durably? Asked once per connection.
    Probe(u64),
    /// Is the thread alive?
    Tick,
    /// Keep an answer that does not come from a booth. Whoever sent it is answered, and nothing is reported of it.
    Submit(Box<Submit>),
    /// Take in a clip or a withdrawal of a pulled card. Whoever sent it is answered, and nothing is reported of it.
    Bring(Box<Bring>),
}

/// What is to be taken in, and who waits to hear of it.
#[derive(Debug)]
pub struct Bring {
    /// The clip or the withdrawal.
    pub brought: Brought,
    /// Is told when it is durable, or why it is not.
    pub answer: SyncSender<Result<Took, String>>,
}

/// The jobs of a batch, by who hears of them.
#[derive(Default)]
struct Batch {
    /// Nothing is reported of these: whoever sent them waits.
    submits: Vec<Submit>,
    brings: Vec<Bring>,
    /// The others, in their order.
    jobs: Vec<Job>,
}

impl Batch {
    fn of(all: Vec<Job>) -> Self {
        let mut batch = Self::default();
        for job in all {
            match job {
                Job::Submit(submit) => batch.submits.push(*submit),
                Job::Bring(bring) => batch.brings.push(*bring),
                job => batch.jobs.push(job),
            }
        }
        batch
    }

    /// How many of them write.
    fn writes(&self) -> usize {
        let writing = self.jobs.iter().filter(|job| !matches!(job, Job::Tick));
        writing.count() + self.submits.len() + self.brings.len()
    }
}

/// An answer to be kept, and who waits to hear of it.
#[derive(Debug)]
pub struct Submit {
    /// What is to be kept.
    pub entry: Entry,
    /// Under which id.
    pub clip_id: ClipId,
    /// Is told when it is durable, or why it is not kept.
    pub answer: SyncSender<Result<Kept, String>>,
}

/// What the store's thread reports, in the order of the jobs.
#[derive(Debug)]
pub enum Outcome {
    /// The message is handled and durable; the answer may leave.
    Handled(Option<Answer>),
    /// The sender is remembered.
    Remembered,
    /// The store can write.
    Probed(u64),
    /// The thread is alive.
    Ticked {
        /// Whether the store's disk is so short of room that senders that have used much of it should get no more.
        is_tight: bool,
    },
    /// The store cannot do its work.
    Failed {
        /// Why, in one sentence.
        why: String,
        /// How many jobs were given up.
        jobs: usize,
    },
}

impl Outcome {
    /// How many jobs end with this report.
    pub fn jobs(&self) -> usize {
        match self {
            Self::Failed { jobs, .. } => *jobs,
            _ => 1,
        }
    }
}

/// Starts the thread. It ends when every sender of jobs is gone, when `report` answers that nobody listens, or when the database
/// files are no longer those that the store opened.
pub fn start(
    store: Store,
    meters: Arc<Meters>,
    report: impl Fn(Outcome) -> bool + Send + 'static,
) -> std::io::Result<(SyncSender<Job>, JoinHandle<()>)> {
    let (jobs, waiting) = sync_channel(MAX_WAITING + MAX_SUBMITS);
    let thread = crew::start("store", move || run(store, &waiting, &meters, report))?;
    Ok((jobs, thread))
}

fn run(
    mut store: Store,
    waiting: &Receiver<Job>,
    meters: &Meters,
    report: impl Fn(Outcome) -> bool,
) {
    let mut expire_at = clock::mono().0 + EXPIRE_EVERY_MS;
    let mut work_off_at = 0;
    loop {
        let mut batch = Vec::new();
        let patience_ms = match store.is_carrying(clock::mono()) {
            true => CARRY_EVERY_MS,
            false => WORK_OFF_EVERY_MS,
        };
        match waiting.recv_timeout(Duration::from_millis(patience_ms)) {
            Ok(job) => batch.push(job),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                store.leave_whole();
                return;
            }
        }
        batch.extend(waiting.try_iter().take(MAX_BATCH - batch.len()));
        let mut is_over = false;
        let mut batch = Batch::of(batch);
        let (jobs, writes) = (batch.jobs.len(), batch.writes());
        let began = clock::mono_us();
        let outcomes = handle_all(&mut store, &mut batch);
        match &outcomes {
            // A look at whether the thread lives writes nothing and proves nothing of the disk.
            Ok(_) if writes == 0 => {}
            Ok(_) => {
                let took_us = clock::mono_us() - began;
                meters.committed(writes, took_us as f64 / 1e6);
            }
            Err(error) => meters.failed(&error.to_string()),
        }
        let outcomes = outcomes.unwrap_or_else(|error| {
            store.roll_back();
            give_up(&mut store, &batch, &error);
            is_over = error.is_fatal();
            if is_over {
                log::error!(fault = "store"; "{error}");
                store.ends_by(&error);
            }
            let why = error.to_string();
            match jobs {
                0 => Vec::new(),
                jobs => vec![Outcome::Failed { why, jobs }],
            }
        });
        for outcome in outcomes {
            if !report(outcome) {
                return;
            }
        }
        // Nothing that this store says is reliable any more: the hub ends, and at its next start says what to do.
        if is_over {
            return;
        }
        let now = clock::mono();
        if now.0 >= work_off_at {
            work_off_at = now.0 + WORK_OFF_EVERY_MS;
            let worked_off = store.work_off(clock::wall(), now);
            meters.works("withdrawals", fault_of(&worked_off));
            if let Err(error) = worked_off {
                store.roll_back();
                log::error!(fault = "withdrawals"; "withdrawals could not be worked off; they wait: {error}");
                if error.is_fatal() {
                    store.ends_by(&error);
                    return;
                }
            }
            let followed = store.follow_workers();
            meters.works("workers_unseen", fault_of(&followed));
            match followed {
                Ok(living) => meters.workers(living),
                Err(error) => {
                    log::warn!(fault = "workers"; "what workers do cannot be followed for now: {error}");
                }
            }
        }
        if let Err(error) = store.carry(now) {
            log::error!(fault = "bodies"; "a body could not be carried into the bucket; it stays in the folder: {error}");
        }
        meters.bodies(store.bodies_fault());
        if now.0 >= expire_at {
            expire_at = now.0 + EXPIRE_EVERY_MS;
            if let Err(error) = store.expire(now) {
                log::warn!("{error}");
            }
        }
    }
}

fn fault_of<T>(worked: &Result<T, StoreError>) -> Option<String> {
    worked.as_ref().err().map(StoreError::to_string)
}

/// Nothing of an answer stays whose batch failed, and whoever waits is told.
fn give_up(store: &mut Store, batch: &Batch, error: &StoreError) {
    for bring in &batch.brings {
        let _ = bring.answer.send(Err(error.to_string()));
    }
    for submit in &batch.submits {
        if let Err(why) = store.drop_submission(
            clock::wall(),
            &submit.clip_id,
            submit.entry.clip_id.is_some(),
        ) {
            log::error!(fault = "store"; "an answer from home was refused, and a file of it cannot be removed: {why}");
            store.roll_back();
        }
        let _ = submit.answer.send(Err(error.to_string()));
    }
}

fn handle_all(store: &mut Store, batch: &mut Batch) -> Result<Vec<Outcome>, StoreError> {
    if !batch.submits.is_empty() || !batch.brings.is_empty() {
        store.begin_alone()?;
    }
    let mut kept = Vec::with_capacity(batch.submits.len());
    for submit in &batch.submits {
        kept.push(store.submit(clock::wall(), clock::mono(), &submit.entry, &submit.clip_id)?);
    }
    let mut took = Vec::with_capacity(batch.brings.len());
    for bring in &batch.brings {
        took.push(store.take_in(clock::wall(), clock::mono(), &bring.brought)?);
    }
    let mut reports = Vec::with_capacity(batch.jobs.len());
    for job in std::mem::take(&mut batch.jobs) {
        reports.push(match job {
            Job::Message(message) => {
                Outcome::Handled(store.handle(clock::wall(), clock::mono(), &message)?)
            }
            Job::Over(over) => {
                store.remember_over(clock::wall(), &over)?;
                Outcome::Remembered
            }
            Job::Probe(connection) => {
                store.probe(clock::wall())?;
                Outcome::Probed(connection)
            }
            Job::Tick => Outcome::Ticked {
                is_tight: store.is_tight(),
            },
            Job::Submit(_) | Job::Bring(_) => continue,
        });
    }
    store.commit()?;
    for (submit, kept) in batch.submits.iter().zip(kept) {
        let _ = submit.answer.send(Ok(kept));
    }
    for (bring, took) in batch.brings.iter().zip(took) {
        let _ = bring.answer.send(Ok(took));
    }
    Ok(reports)
}
