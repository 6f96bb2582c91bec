//! What the running parts of the hub count.
//!
//! Owns: numbers that only rise, the depth of the queues at the last tick, and why the store failed last. Never does: block whoever counts:
//! everything is an atomic number, but for the sentence of a fault and the two histograms, whose locks are held for a copy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use booth_contract::AckStatus;
use booth_contract::time::Mono;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// The kinds of messages, as their topics call them. Whatever else comes counts as the last one.
pub const KINDS: [&str; 11] = [
    "state", "birth", "health", "alert", "event", "reply", "config", "clip", "part", "withdraw",
    "other",
];

/// The states of an answer to a booth.
pub(super) const ANSWERS: [&str; 4] = ["stored", "partial", "discard", "reject"];

/// See the module's comment.
#[derive(Debug)]
pub struct Meters {
    /// When the link's loop and the store's thread have last shown that they work.
    alive_at: AtomicU64,
    received: [AtomicU64; KINDS.len()],
    received_bytes: AtomicU64,
    refused: AtomicU64,
    acks: [AtomicU64; ANSWERS.len()],
    in_intake: AtomicU64,
    at_store: AtomicU64,
    failures: AtomicU64,
    /// Why the store could not do its work, until it does it again.
    fault: Mutex<Option<String>>,
    bodies: Mutex<Option<String>>,
    /// What of the store's own work fails, by the kind of its sighting, and why.
    failing: Mutex<BTreeMap<&'static str, String>>,
    /// How many workers live, beside a hub that has workers.
    workers: Mutex<Option<u64>>,
    /// Jobs that shared a commit.
    pub(super) batches: Histogram,
    /// How long handling and committing a batch took, seconds.
    pub(super) commits: Histogram,
}

impl Meters {
    /// Nothing is counted yet; the hub counts as alive at this moment.
    pub fn new(now: Mono) -> Self {
        Self {
            alive_at: AtomicU64::new(now.0),
            received: Default::default(),
            received_bytes: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            acks: Default::default(),
            in_intake: AtomicU64::new(0),
            at_store: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            fault: Mutex::new(None),
            bodies: Mutex::new(None),
            failing: Mutex::default(),
            workers: Mutex::new(None),
            batches: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            commits: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
        }
    }

    /// Both loops have just turned.
    pub fn alive(&self, now: Mono) {
        self.alive_at.store(now.0, Relaxed);
    }

    /// For how long neither has shown that it turns.
    pub(super) fn silent_s(&self, now: Mono) -> u64 {
        now.since(Mono(self.alive_at.load(Relaxed))).as_secs()
    }

    /// A message came; `levels` is its topic after the sender.
    pub fn came(&self, levels: &str, bytes: usize, has_place: bool) {
        let kind = levels.split('/').next().unwrap_or_default();
        let nth = KINDS.iter().position(|known| *known == kind);
        self.received[nth.unwrap_or(KINDS.len() - 1)].fetch_add(1, Relaxed);
        self.received_bytes.fetch_add(bytes as u64, Relaxed);
        if !has_place {
            self.refused.fetch_add(1, Relaxed);
        }
    }

    /// An answer leaves.
    pub fn answered(&self, status: AckStatus) {
        let nth = match status {
            AckStatus::Stored => 0,
            AckStatus::Partial => 1,
            AckStatus::Discard => 2,
            AckStatus::Reject => 3,
        };
        self.acks[nth].fetch_add(1, Relaxed);
    }

    /// How much waits now.
    pub fn waiting(&self, in_intake: usize, at_store: usize) {
        self.in_intake.store(in_intake as u64, Relaxed);
        self.at_store.store(at_store as u64, Relaxed);
    }

    /// A batch that asked the store to write is durable.
    pub fn committed(&self, jobs: usize, seconds: f64) {
        self.batches.observe(jobs as f64);
        self.commits.observe(seconds);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The store could not do its work.
    pub fn failed(&self, why: &str) {
        self.failures.fetch_add(1, Relaxed);
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// Notes why the bucket with the bodies does not do its work; `None` while it does.
    pub fn bodies(&self, fault: Option<String>) {
        *self.bodies.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Notes why this part of the store's own work fails; `None` while it does not.
    pub(crate) fn works(&self, kind: &'static str, fault: Option<String>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(why) => drop(failing.insert(kind, why)),
            None => drop(failing.remove(kind)),
        }
    }

    /// What of the store's own work fails, and why.
    pub(crate) fn failing(&self) -> Vec<(&'static str, String)> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = failing.iter().map(|(kind, why)| (*kind, why.clone()));
        failing.collect()
    }

    /// The store's thread has seen so many workers; `None` where there are to be none.
    pub(crate) fn workers(&self, living: Option<u64>) {
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner) = living;
    }

    /// How many workers live, where a hub has workers.
    pub(crate) fn living_workers(&self) -> Option<u64> {
        *self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the store could not do its work, if it has not done it since.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why the bucket with the bodies does not do its work, if it does not.
    pub(crate) fn bodies_fault(&self) -> Option<String> {
        self.bodies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn received(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.received.iter().map(|count| count.load(Relaxed));
        KINDS.into_iter().zip(counts)
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(super) fn acks(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.acks.iter().map(|count| count.load(Relaxed));
        ANSWERS.into_iter().zip(counts)
    }

    pub(super) fn queues(&self) -> [(&'static str, u64); 2] {
        [
            ("intake", self.in_intake.load(Relaxed)),
            ("store", self.at_store.load(Relaxed)),
        ]
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }
}
