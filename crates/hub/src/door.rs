//! The way of an answer that does not come from a booth to the store's thread.
//!
//! Owns: how many may be under way, and the waiting for an answer. Never does: keep anything, or try again: whoever asked is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use booth_contract::ClipId;

use crate::store::{Brought, Entry, Kept, Took, random_bytes};
use crate::worker::{Bring, Job, MAX_SUBMITS, Submit};

/// Why an answer was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shut {
    /// As many as may be are under way.
    Busy,
    /// The hub ends, or its store's thread has.
    Gone,
    /// The store could not keep it; nothing of it is here.
    Failed(String),
}

/// See the module's comment.
#[derive(Debug)]
pub struct Door {
    jobs: Mutex<Option<SyncSender<Job>>>,
    under_way: AtomicUsize,
}

/// One place, until it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl Door {
    /// A door to this thread.
    pub fn new(jobs: SyncSender<Job>) -> Self {
        Self {
            jobs: Mutex::new(Some(jobs)),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Lets nothing in any more: the store's thread ends when nobody can send to it.
    pub fn shut(&self) {
        *self.jobs.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Has an answer kept. Blocks until it is durable.
    ///
    /// # Errors
    /// See [`Shut`]; nothing of the answer is kept then.
    pub fn keep(&self, entry: Entry) -> Result<Kept, Shut> {
        let clip_id = match &entry.clip_id {
            Some(clip_id) => clip_id.clone(),
            None => {
                let bytes = random_bytes().map_err(|error| Shut::Failed(error.to_string()))?;
                clip_id_of(bytes)
            }
        };
        self.ask(|answer| {
            Job::Submit(Box::new(Submit {
                entry,
                clip_id,
                answer,
            }))
        })
    }

    /// Has a clip or a withdrawal of a pulled card taken in. Blocks until it is durable.
    ///
    /// # Errors
    /// See [`Shut`]; nothing of it is promised then.
    pub fn bring(&self, brought: Brought) -> Result<Took, Shut> {
        self.ask(|answer| Job::Bring(Box::new(Bring { brought, answer })))
    }

    /// Sends a job to the thread, where there is a place, and waits for its answer.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<Result<T, String>>) -> Job) -> Result<T, Shut> {
        if self.under_way.fetch_add(1, Ordering::Acquire) >= MAX_SUBMITS {
            self.under_way.fetch_sub(1, Ordering::Release);
            return Err(Shut::Busy);
        }
        let _place = Place(&self.under_way);
        let (answer, answered) = sync_channel(1);
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match &*jobs {
            Some(jobs) => jobs.try_send(job(answer)).is_ok(),
            None => false,
        };
        drop(jobs);
        if !sent {
            return Err(Shut::Gone);
        }
        match answered.recv() {
            Ok(Ok(kept)) => Ok(kept),
            Ok(Err(why)) => Err(Shut::Failed(why)),
            Err(_) => Err(Shut::Gone),
        }
    }
}

/// An id of these bytes, as a UUID of version 4 is written.
pub(crate) fn clip_id_of(bytes: [u8; 16]) -> ClipId {
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    ClipId::from(id.to_string())
}
