//! The thread that does the card's slow work, so that the loop never waits for an fsync.
//!
//! Owns: opening the spool (again), releasing, quarantine, counters, watching for room. Never does:
//! decide; every deletion arrives with its receipt.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::adapters::clock;
use crate::adapters::disk::RealDisk;
use crate::gateway::delivery::Receipt;
use crate::spool::{KeptClip, Limits, OpenFacts, OpenReport, Room, Spool, SpoolError};

/// Room is looked at this often.
const LOOK: Duration = Duration::from_secs(5);
/// Most receipts worked off together.
const BATCH: usize = 64;

/// What the keeper is told.
pub enum KeeperCommand {
    /// Delete a confirmed clip.
    Release(Receipt),
    /// Move a refused clip aside.
    Quarantine(String),
    /// Save the counters.
    Counters(BTreeMap<String, u64>),
}

/// What the keeper reports.
pub enum KeeperEvent {
    /// The spool is open.
    Opened(Spool, OpenReport),
    /// It cannot be opened, or something in it failed.
    Failed(String),
    /// Whether it takes another clip; told when it changes.
    Room(Room),
    /// Recordings that a failed write had left unfinished are kept now.
    Mended(Vec<KeptClip>),
}

/// Opens the spool as configured.
pub fn open(dir: &Path, limits: Limits) -> Result<(Spool, OpenReport), SpoolError> {
    let facts = OpenFacts {
        boot_id: clock::boot_id(),
        new_card_id: new_id(),
        now: clock::rfc3339_ms(clock::wall()),
    };
    Spool::open(Arc::new(RealDisk), dir, limits, &facts)
}

/// A random id, UUID v4 (RFC 9562).
#[allow(clippy::disallowed_methods)] // ids are drawn here and nowhere else
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Works until the commands end.
pub fn run(
    mut spool: Option<Spool>,
    dir: &Path,
    limits: Limits,
    commands: &Receiver<KeeperCommand>,
    report: impl Fn(KeeperEvent),
) {
    let mut room = None;
    loop {
        let Some(open_spool) = &spool else {
            match commands.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Disconnected) => return,
                // Nothing can be kept: counters of these minutes are in the loop's memory and come again.
                Ok(_) => continue,
                Err(RecvTimeoutError::Timeout) => {}
            }
            match open(dir, limits) {
                Ok((opened, found)) => {
                    spool = Some(opened.clone());
                    report(KeeperEvent::Opened(opened, found));
                }
                Err(error) => report(KeeperEvent::Failed(error.to_string())),
            }
            continue;
        };
        let now = open_spool.room();
        if room.as_ref() != Some(&now) {
            report(KeeperEvent::Room(now.clone()));
            room = Some(now.clone());
        }
        if now == Room::Free {
            match open_spool.mend() {
                Ok(kept) if kept.is_empty() => {}
                Ok(kept) => report(KeeperEvent::Mended(kept)),
                Err(error) => report(KeeperEvent::Failed(error.to_string())),
            }
        }
        let first = match commands.recv_timeout(LOOK) {
            Ok(command) => command,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let mut receipts = Vec::new();
        for command in std::iter::once(first).chain(commands.try_iter().take(BATCH)) {
            let done = match command {
                KeeperCommand::Release(receipt) => {
                    receipts.push(receipt);
                    Ok(())
                }
                KeeperCommand::Quarantine(clip_id) => open_spool.quarantine(&clip_id),
                KeeperCommand::Counters(counters) => open_spool.save_counters(&counters),
            };
            if let Err(error) = done {
                report(KeeperEvent::Failed(error.to_string()));
            }
        }
        if let Err(error) = open_spool.release(receipts) {
            // The clips stay and are offered again after the next start; the hub answers `stored` again.
            report(KeeperEvent::Failed(error.to_string()));
        }
    }
}
