//! The thread that does the card's slow work, so that the loop never waits for an fsync.
//!
//! Owns: opening the spool (again), releasing, quarantine, counters, watching for room. Never does:
//! decide; every deletion arrives with its receipt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::Machine;
use crate::adapters::clock;
use crate::adapters::disk::RealDisk;
use crate::adapters::sensors::Sensors;
use crate::config;
use crate::gateway::delivery::Receipt;
use crate::gateway::health::SpoolFault;
use crate::gateway::liveness::Beat;
use crate::gateway::time::Mono;
use crate::spool::{BALLAST_BYTES, KeptClip, OpenFacts, OpenReport, Refusal, Spool, SpoolError};

/// Room is looked at this often.
pub const LOOK: Duration = Duration::from_secs(5);
/// How long the keeper may be silent: longer than opening a full spool of a slow card takes.
pub const SILENT_AT_MOST: Duration = Duration::from_secs(600);
/// Most commands worked off together.
const BATCH: usize = 64;
/// A release waits this long for others, so that a backlog does not cost the card a few syncs per clip.
const GATHER: Duration = Duration::from_millis(100);

/// The sentence for a file system that cannot be written.
const READ_ONLY: &str =
    "the file system of the spool is read-only; the kernel makes it so after an error of the card";

/// What the keeper is told.
pub enum KeeperCommand {
    /// Delete a confirmed clip.
    Release(Receipt),
    /// Move a clip aside that was refused or cannot be read.
    Quarantine {
        /// The clip.
        clip_id: String,
        /// Why.
        reason: String,
    },
    /// A recording failed: look, and say whether the card takes another, even if that is no news to you.
    Look,
    /// Save the counters.
    Counters(BTreeMap<String, u64>),
    /// The wall clock is right, and this far ahead of the boot-time clock, ms.
    Clock(i64),
    /// Fix these manifests, which are offered next.
    Fix(Vec<String>),
    /// Say whether the card takes a write.
    Probe,
    /// Close the spool, so that the card can be taken out, and leave it so for this long.
    Close(Duration),
}

/// What the keeper reports.
pub enum KeeperEvent {
    /// The spool is open.
    Opened(Spool, Box<OpenReport>),
    /// It cannot be opened, or something in it failed.
    Failed(String),
    /// Something could not be read and was moved aside.
    Damaged(String),
    /// Whether it takes another clip; told when it changes.
    Room(Result<(), SpoolFault>),
    /// Manifests that are fixed, or could not be.
    Fixed(Vec<(String, bool)>),
    /// Recordings that a failed write had left unfinished are kept now.
    Mended(Vec<KeptClip>),
    /// The card takes a write, or why not.
    Probed(Result<(), String>),
    /// The spool is closed and all of it on the card, or why not.
    Closed(Result<(), String>),
}

/// Opens the spool as configured.
pub fn open(
    place: &config::Spool,
    machine: &dyn Machine,
) -> Result<(Spool, OpenReport), SpoolError> {
    let sensors = Sensors::default();
    let facts = OpenFacts {
        boot_id: clock::boot_id(),
        fresh_card_id: machine.new_id(),
        wall_ms: machine.wall().as_millisecond(),
        max_bytes: place.max_bytes,
        reserve_bytes: place.reserve_bytes,
        ledger: true,
        card_cid: sensors.card_cid(&place.dir),
        hw_serial: sensors.hw_serial(),
        ballast_bytes: BALLAST_BYTES,
    };
    Spool::open(Arc::new(RealDisk::default()), &place.dir, facts)
}

fn room(spool: &Spool) -> Result<(), SpoolFault> {
    let room = spool.room();
    let (free, used) = (room.free_bytes, room.used_bytes);
    match room.reason {
        None => Ok(()),
        Some(why @ Refusal::Unwritable) => Err(SpoolFault::Unwritable(why.to_string())),
        // The sentence says the limit, not the bytes, so that it does not change with every clip.
        Some(why @ (Refusal::Full | Refusal::Reserve)) => {
            log::info!(free_bytes = free, used_bytes = used; "{why}");
            Err(SpoolFault::Full(why.to_string()))
        }
    }
}

/// What the keeper knows between two looks at the card.
pub struct Keeper {
    spool: Option<Spool>,
    /// What was said last about room.
    told: Option<Result<(), SpoolFault>>,
    /// The card may be out until then.
    closed_until: Mono,
    /// Clips that the centre has and the card did not let go; tried again at every look.
    unreleased: Vec<Receipt>,
    /// Clips to be set aside that the card did not move, and why; likewise.
    unmoved: Vec<(String, String)>,
    /// Whether the spool's file system is read-only now.
    is_read_only: Box<dyn Fn() -> bool + Send>,
}

impl Keeper {
    /// A keeper of this spool, or of one that could not be opened yet.
    pub fn new(spool: Option<Spool>) -> Self {
        Self {
            spool,
            told: None,
            closed_until: Mono(0),
            unreleased: Vec::new(),
            unmoved: Vec::new(),
            is_read_only: Box::new(|| false),
        }
    }

    /// Asks at every look whether the spool's file system is read-only: a kernel that found it damaged makes it so, and the
    /// next write that would show it is a citizen's.
    pub fn watching(mut self, is_read_only: impl Fn() -> bool + Send + 'static) -> Self {
        self.is_read_only = Box::new(is_read_only);
        self
    }

    /// Whether the spool is open.
    pub fn is_open(&self) -> bool {
        self.spool.is_some()
    }

    /// Tries again to open the spool.
    pub fn try_open(
        &mut self,
        open: impl Fn() -> Result<(Spool, OpenReport), SpoolError>,
        report: impl Fn(KeeperEvent),
    ) {
        if clock::mono() < self.closed_until {
            return;
        }
        match open() {
            Ok((opened, found)) => {
                self.told = None;
                self.spool = Some(opened.clone());
                report(KeeperEvent::Opened(opened, Box::new(found)));
            }
            Err(error) => report(KeeperEvent::Failed(error.to_string())),
        }
    }

    /// Looks after the card: what was left unfinished, and whether there is room.
    pub fn look(&mut self, report: impl Fn(KeeperEvent)) {
        let Some(spool) = &self.spool else { return };
        let mended = spool.mend();
        if mended.trouble.is_none() {
            // Why they failed was said the first time.
            for (clip_id, reason) in std::mem::take(&mut self.unmoved) {
                if spool.quarantine(&clip_id, &reason).is_err() {
                    self.unmoved.push((clip_id, reason));
                }
            }
            if !self.unreleased.is_empty() {
                let again = std::mem::take(&mut self.unreleased);
                self.unreleased = spool.release_many(again).kept_back;
            }
        }
        if !mended.kept.is_empty() {
            report(KeeperEvent::Mended(mended.kept));
        }
        for (name, why) in mended.set_aside {
            report(KeeperEvent::Damaged(format!(
                "{name} was moved aside: {why}"
            )));
        }
        let now = match (self.is_read_only)() {
            true => Err(SpoolFault::Unwritable(READ_ONLY.into())),
            false => room(spool),
        };
        if self.told.as_ref() != Some(&now) {
            report(KeeperEvent::Room(now.clone()));
            self.told = Some(now);
        }
    }

    /// Does what it was told. Without a spool nothing can be kept: counters of these minutes are in the
    /// loop's memory and come again.
    pub fn work(
        &mut self,
        commands: impl Iterator<Item = KeeperCommand>,
        report: impl Fn(KeeperEvent),
    ) {
        let Some(spool) = &self.spool else {
            // Nothing is written, and nothing will be for a while.
            for command in commands {
                if let KeeperCommand::Close(span) = command {
                    self.closed_until = clock::mono() + span;
                    report(KeeperEvent::Closed(Ok(())));
                }
            }
            return;
        };
        let mut receipts = Vec::new();
        let mut close_for = None;
        for command in commands {
            let done = match command {
                KeeperCommand::Release(receipt) => {
                    receipts.push(receipt);
                    Ok(())
                }
                KeeperCommand::Quarantine { clip_id, reason } => {
                    spool.quarantine(&clip_id, &reason).inspect_err(|error| {
                        if !matches!(error, SpoolError::UnknownClip { .. }) {
                            self.unmoved.push((clip_id, reason));
                        }
                    })
                }
                KeeperCommand::Look => {
                    self.told = None;
                    Ok(())
                }
                KeeperCommand::Probe => {
                    let probed = spool.probe().map_err(|error| error.to_string());
                    report(KeeperEvent::Probed(probed));
                    Ok(())
                }
                KeeperCommand::Close(span) => {
                    close_for = Some(span);
                    Ok(())
                }
                KeeperCommand::Counters(counters) => spool.save_counters(&counters),
                KeeperCommand::Clock(wall_minus_mono_ms) => spool.note_clock(wall_minus_mono_ms),
                KeeperCommand::Fix(clips) => {
                    let fixed = clips.into_iter().map(|clip_id| {
                        let done = spool.fix(&clip_id);
                        if let Err(error) = &done {
                            log::warn!("{error}");
                        }
                        (clip_id, done.is_ok())
                    });
                    report(KeeperEvent::Fixed(fixed.collect()));
                    Ok(())
                }
            };
            if let Err(error) = done {
                report(KeeperEvent::Failed(error.to_string()));
            }
        }
        // A clip that could not be deleted stays and is tried again; should the process end before, it is
        // offered again after the next start, and the hub answers `stored` again.
        let released = spool.release_many(receipts);
        for error in released.refused {
            report(KeeperEvent::Failed(error.to_string()));
        }
        self.unreleased.extend(released.kept_back);
        if let Some(span) = close_for {
            let mended = spool.mend();
            if !mended.kept.is_empty() {
                report(KeeperEvent::Mended(mended.kept));
            }
            let closed = match spool.is_settled() {
                true => spool.checkpoint().map_err(|error| error.to_string()),
                false => Err("the card still owes a write".into()),
            };
            if closed.is_ok() {
                self.spool = None;
                self.closed_until = clock::mono() + span;
            }
            report(KeeperEvent::Closed(closed));
        }
    }

    /// The end of a clean stop.
    pub fn finish(&mut self, report: impl Fn(KeeperEvent)) {
        if let Some(spool) = &self.spool
            && let Err(error) = spool.checkpoint()
        {
            report(KeeperEvent::Failed(error.to_string()));
        }
    }
}

/// Works until the commands end, touching `alive` at every turn.
pub fn run(
    mut keeper: Keeper,
    alive: &Beat,
    open: impl Fn() -> Result<(Spool, OpenReport), SpoolError>,
    commands: &Receiver<KeeperCommand>,
    report: impl Fn(KeeperEvent),
) {
    loop {
        alive.touch();
        keeper.look(&report);
        match commands.recv_timeout(LOOK) {
            Ok(first) => {
                keeper.work(gathered(first, commands).into_iter(), &report);
            }
            Err(RecvTimeoutError::Timeout) if !keeper.is_open() => keeper.try_open(&open, &report),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return keeper.finish(&report),
        }
    }
}

/// This command, and those that come soon after it if it is a release.
fn gathered(first: KeeperCommand, commands: &Receiver<KeeperCommand>) -> Vec<KeeperCommand> {
    let is_patient = matches!(first, KeeperCommand::Release(_));
    let mut batch = vec![first];
    let until = clock::mono() + GATHER;
    while is_patient && batch.len() < BATCH {
        // What else ends the wait ends the commands too; the next look at them sees that.
        let Ok(command) = commands.recv_timeout(until.since(clock::mono())) else {
            break;
        };
        batch.push(command);
    }
    batch.extend(commands.try_iter().take(BATCH.saturating_sub(batch.len())));
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::ThisMachine;
    use std::cell::RefCell;
    use std::sync::mpsc::channel;

    #[test]
    fn the_keeper_moves_at_every_command_and_every_look() {
        let (commands, commanded) = channel();
        let alive = Beat::default();
        let beats = alive.clone();
        let never = || Err(SpoolError::InUse { dir: "x".into() });
        let thread = std::thread::spawn(move || {
            run(Keeper::new(None), &alive, never, &commanded, |_| {});
        });
        for _ in 0..3 {
            commands.send(KeeperCommand::Look).expect("a keeper");
        }
        drop(commands);
        thread.join().expect("it ends with its commands");
        // Commands that came together are one turn.
        assert!(beats.count() >= 2, "{}", beats.count());
    }

    #[test]
    fn a_card_that_is_closed_is_let_go_and_opened_again_when_nobody_takes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = config::Spool {
            dir: folder.path().join("spool"),
            reserve_bytes: 1_000_000,
            ..config::Spool::default()
        };
        let (spool, _) = open(&place, &ThisMachine).expect("a spool");
        let card_id = spool.card().card_id;
        let told = RefCell::new(Vec::new());
        let report = |event| {
            told.borrow_mut().push(match event {
                KeeperEvent::Closed(result) => format!("closed {result:?}"),
                KeeperEvent::Opened(spool, _) => format!("opened {}", spool.card().card_id),
                KeeperEvent::Probed(result) => format!("probed {result:?}"),
                _ => return,
            });
        };
        let mut keeper = Keeper::new(Some(spool));
        assert!(matches!(
            open(&place, &ThisMachine),
            Err(SpoolError::InUse { .. })
        ));
        let close = KeeperCommand::Close(Duration::from_millis(300));
        keeper.work([KeeperCommand::Probe, close].into_iter(), report);
        assert!(!keeper.is_open());
        // Whoever takes the card out may read it elsewhere.
        drop(open(&place, &ThisMachine).expect("nobody has it"));
        keeper.try_open(|| open(&place, &ThisMachine), report);
        assert!(!keeper.is_open());
        let end = clock::mono() + Duration::from_secs(30);
        while !keeper.is_open() && clock::mono() < end {
            std::thread::park_timeout(Duration::from_millis(20));
            keeper.try_open(|| open(&place, &ThisMachine), report);
        }
        assert_eq!(
            told.into_inner(),
            [
                "probed Ok(())".to_owned(),
                "closed Ok(())".to_owned(),
                format!("opened {card_id}")
            ]
        );
        assert!(!place.dir.join("probe").exists());
    }
}
