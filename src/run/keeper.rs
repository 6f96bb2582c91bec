//! The thread that does the card's slow work, so that the loop never waits for an fsync.
//!
//! Owns: opening the spool (again), releasing, quarantine and the way out of it, withdrawals, counters, watching for room, and the pauses
//! between tries of what the card refuses. Never does: decide; every deletion comes with its receipt.

use booth_contract::ClipId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Machine;
use super::centre_card::{CentreCard, CentreCommand, CentreEvent};
use crate::adapters::sensors::Sensors;
use crate::config;
use booth_contract::Withdrawal;
use booth_contract::time::Mono;
use booth_host::clock;
use booth_spool::real_disk::RealDisk;
use booth_spool::{
    BALLAST_BYTES, KeptClip, KeptWithdrawal, OpenFacts, OpenReport, Refusal, Spool, SpoolError,
};
use gateway_core::delivery::Receipt;
use gateway_core::health::SpoolFault;
use gateway_core::liveness::Beat;
use gateway_core::orders::Remembered;
use gateway_core::quarantine::{Moment, Note};
use gateway_core::retry::Retry;

/// How often the card's free room is looked at.
pub const LOOK: Duration = Duration::from_secs(5);
/// Longest pause between tries to mend faults that keep a booth from taking messages.
const MENDING_LAST: Duration = Duration::from_secs(60);
/// Longest pause between tries of work that can wait: confirmed clips that the card does not delete, refused clips that it
/// does not move.
const ERRANDS_LAST: Duration = Duration::from_secs(600);
/// Most failures whose sentences are remembered, so that each is logged once.
const MOST_SAID: usize = 32;
/// How long the keeper may be silent: longer than opening a full spool of a slow card takes.
pub(super) const SILENT_AT_MOST: Duration = Duration::from_secs(600);
/// Most commands that are worked off together.
const BATCH: usize = 64;
/// A release waits this long for further ones, so that a backlog does not cost the card a few syncs for each clip.
const GATHER: Duration = Duration::from_millis(100);

/// The sentence for a file system that cannot be written.
const READ_ONLY: &str =
    "the file system of the spool is read-only; the kernel makes it so after an error of the card";

/// What the keeper is instructed to do.
pub enum KeeperCommand {
    /// Delete a confirmed clip.
    Release(Receipt),
    /// Move a clip aside that was refused or is damaged.
    Quarantine {
        /// The clip.
        clip_id: ClipId,
        /// Why.
        note: Note,
    },
    /// Let these clips out of quarantine.
    BringBack {
        /// The clips.
        clips: Vec<ClipId>,
        /// This moment, if the clips come back by themselves; none if somebody asked.
        by_itself: Option<Moment>,
    },
    /// A recording failed: look, and report whether the card takes another, even if that has not changed.
    Look,
    /// Save the counters.
    Counters(BTreeMap<String, u64>),
    /// The wall clock is right, and this far ahead of the boot-time clock, ms.
    Clock(i64),
    /// Fix these manifests, which are offered next.
    Fix(Vec<ClipId>),
    /// Write what the card has to remember of the centre's commands.
    Remember(Box<Remembered>),
    /// Give up a clip in quarantine, for this reason.
    Purge {
        /// The clip.
        clip_id: ClipId,
        /// Why; may be empty.
        reason: String,
    },
    /// Take a clip back that its citizen has deleted, whether it is finished or not.
    TakeBack(ClipId),
    /// Keep a withdrawal.
    Withdraw(Box<Withdrawal>),
    /// Report whether the card takes a write.
    Probe,
    /// Close the spool, so that the card can be taken out, and keep it closed for this long.
    Close(Duration),
    /// Something about the centre's configuration.
    Centre(CentreCommand),
}

/// What the keeper reports.
pub enum KeeperEvent {
    /// The spool is open.
    Opened(Spool, Box<OpenReport>),
    /// It cannot be opened, or something in it failed.
    Failed(String),
    /// Something could not be read and was moved aside.
    Damaged(String),
    /// Whether the spool takes another clip; reported when that changes.
    Room(Result<(), SpoolFault>),
    /// Manifests that are fixed, or could not be.
    Fixed(Vec<(ClipId, Fix)>),
    /// A clip is in quarantine; the note says why.
    Quarantined(ClipId, Note),
    /// Clips that are out of quarantine, or why not.
    BroughtBack(Vec<(ClipId, Result<KeptClip, SpoolError>)>),
    /// Recordings that a failed write had left unfinished are kept now, or the card gives them back; the ids are those of the first kind.
    Mended(Vec<KeptClip>, Vec<ClipId>),
    /// The card has this memory, or why not.
    Remembered(Result<Box<Remembered>, SpoolError>),
    /// A clip was given up, and this declares its number void; or why not.
    Purged(ClipId, Result<KeptClip, SpoolError>),
    /// Nothing of a clip is left that its citizen has deleted; or nothing but this, which declares its number void.
    TakenBack(ClipId, Option<KeptClip>),
    /// A withdrawal is on the card, or why not.
    Withdrawn(Result<KeptWithdrawal, SpoolError>),
    /// Withdrawals that the card did not give back when it was opened.
    FoundWithdrawals(Vec<KeptWithdrawal>),
    /// The card takes a write, or why not.
    Probed(Result<(), SpoolError>),
    /// The spool is closed and all of it on the card, or why not.
    Closed(Result<(), NotClosed>),
    /// Something about the centre's configuration.
    Centre(CentreEvent),
}

/// Why the spool stays open.
#[derive(Debug, thiserror::Error)]
pub enum NotClosed {
    /// The card has not taken everything yet.
    #[error("the card still owes a write")]
    OwesWrite,
    /// The keeper has not answered in time.
    #[error("the card keeps the gateway waiting")]
    Stalls,
    /// The card refuses.
    #[error(transparent)]
    Refused(#[from] SpoolError),
}

/// What became of a manifest that was to be fixed.
#[derive(Debug)]
pub enum Fix {
    /// It is fixed.
    Done,
    /// The card refused to write it, or does not give the clip back.
    Failed(SpoolError),
    /// Another one failed before it, so this one was not tried.
    NotTried,
}

/// Opens the spool as configured. `failed_before`: how many times in a row it could not be opened.
pub(super) fn open(
    place: &config::Spool,
    machine: &dyn Machine,
    failed_before: u32,
) -> Result<(Spool, OpenReport), SpoolError> {
    let sensors = Sensors::default();
    let facts = OpenFacts {
        boot_id: clock::boot_id().into(),
        fresh_card_id: machine.new_id().into(),
        wall_ms: machine.wall().as_millisecond(),
        max_bytes: place.max_bytes,
        reserve_bytes: place.reserve_bytes,
        ledger: true,
        card_cid: sensors.card_cid(&place.dir),
        hw_serial: sensors.hw_serial(),
        ballast_bytes: BALLAST_BYTES,
        failed_before,
    };
    Spool::open(Arc::new(RealDisk::default()), &place.dir, facts)
}

/// Opens the spool for the first time and reports the result to the start, which waits for it, or to the loop once the start
/// waits no longer: opening a full spool may take long, and the booth answers meanwhile.
pub(super) fn open_first(
    open: impl Fn(u32) -> Result<(Spool, OpenReport), SpoolError>,
    waits: oneshot::Sender<Result<(Spool, OpenReport), SpoolError>>,
    report: impl Fn(KeeperEvent),
) -> Option<Spool> {
    let opened = open(0);
    let spool = opened.as_ref().ok().map(|(spool, _)| spool.clone());
    match waits.send(opened) {
        Ok(()) => {}
        Err(Ok((opened, found))) => report(KeeperEvent::Opened(opened, Box::new(found))),
        Err(Err(error)) => report(KeeperEvent::Failed(error.to_string())),
    }
    spool
}

fn room(spool: &Spool) -> Result<(), SpoolFault> {
    match spool.room().reason {
        None => Ok(()),
        Some(why @ (Refusal::Unwritable | Refusal::Unread)) => {
            Err(SpoolFault::Unwritable(why.to_string()))
        }
        // The sentence names the limit and no bytes, so that it does not change with every clip.
        Some(why @ (Refusal::Full | Refusal::Reserve)) => Err(SpoolFault::Full(why.to_string())),
    }
}

/// What commands that came together have in common.
#[derive(Default)]
struct Batch {
    /// Confirmed clips, which are deleted together.
    receipts: Vec<Receipt>,
    /// The spool is to be closed at the end, for this long.
    close_for: Option<Duration>,
    /// The card has refused something that is tried again.
    has_refused: bool,
}

/// What the keeper knows between two looks at the card.
pub struct Keeper {
    spool: Option<Spool>,
    /// The room that was last reported.
    reported: Option<Result<(), SpoolFault>>,
    /// The card may be out until then.
    closed_until: Mono,
    /// Confirmed clips that the card did not delete; tried again at every look.
    unreleased: Vec<Receipt>,
    /// Clips to be set aside that the card did not move, and why; tried again likewise.
    unmoved: Vec<(ClipId, Note)>,
    /// Clips that their citizens have deleted and the card has not; tried again likewise, also on a spool that is opened anew.
    untaken: Vec<ClipId>,
    /// The pair of clocks that the card did not take; tried again likewise.
    unnoted: Option<i64>,
    /// The pause between tries of opening the spool.
    opening: Retry,
    /// The pause between tries to mend unfinished recordings; also due when there are none.
    mending: Retry,
    mend_due: Mono,
    /// The pause between tries of what the card did not delete or move.
    errands: Retry,
    /// Failures that were reported; emptied when nothing fails any more.
    said: Vec<String>,
    /// Whether the spool's file system is read-only now.
    is_read_only: Box<dyn Fn() -> bool + Send>,
    /// The centre's configuration on the card.
    centre: Option<CentreCard>,
}

impl Keeper {
    /// A keeper of this spool, or of one that could not be opened yet.
    pub fn new(spool: Option<Spool>) -> Self {
        Self {
            spool,
            reported: None,
            closed_until: Mono(0),
            unreleased: Vec::new(),
            unmoved: Vec::new(),
            untaken: Vec::new(),
            unnoted: None,
            opening: Retry::new(LOOK, MENDING_LAST),
            mending: Retry::new(LOOK, MENDING_LAST),
            mend_due: Mono(0),
            errands: Retry::new(LOOK, ERRANDS_LAST),
            said: Vec::new(),
            is_read_only: Box::new(|| false),
            centre: None,
        }
    }

    /// Asks at every look whether the spool's file system is read-only: a kernel that found it damaged makes it so, and
    /// otherwise a citizen's message would be the first write to show it.
    pub fn watching(mut self, is_read_only: impl Fn() -> bool + Send + 'static) -> Self {
        self.is_read_only = Box::new(is_read_only);
        self
    }

    /// Keeps the centre's configuration, too.
    pub fn with_centre(mut self, centre: CentreCard) -> Self {
        self.centre = Some(centre);
        self
    }

    /// Whether the spool is open.
    pub fn is_open(&self) -> bool {
        self.spool.is_some()
    }

    /// Reports a failure, each one once until nothing fails any more.
    fn fail(&mut self, why: String, report: &impl Fn(KeeperEvent)) {
        if self.said.contains(&why) {
            return;
        }
        if self.said.len() == MOST_SAID {
            self.said.remove(0);
        }
        self.said.push(why.clone());
        report(KeeperEvent::Failed(why));
    }

    /// Tries again to open the spool, if it is time. `open` gets the number of failed openings in a row.
    pub fn try_open(
        &mut self,
        now: Mono,
        open: impl Fn(u32) -> Result<(Spool, OpenReport), SpoolError>,
        report: impl Fn(KeeperEvent),
    ) {
        if now < self.closed_until || !self.opening.is_due(now) {
            return;
        }
        match open(self.opening.failures()) {
            Ok((opened, found)) => {
                self.reported = None;
                self.said.clear();
                for retry in [&mut self.opening, &mut self.mending, &mut self.errands] {
                    retry.worked();
                }
                self.mend_due = Mono(0);
                self.spool = Some(opened.clone());
                report(KeeperEvent::Opened(opened, Box::new(found)));
            }
            Err(error) => {
                self.opening.failed(now);
                self.fail(error.to_string(), &report);
            }
        }
    }

    /// Looks after the card: finishes what was left unfinished, and measures the free room.
    pub fn look(&mut self, now: Mono, report: impl Fn(KeeperEvent)) {
        let Some(spool) = self.spool.clone() else {
            return;
        };
        if self.mend_due <= now {
            self.mend(now, &spool, &report);
        }
        let room = match (self.is_read_only)() {
            true => Err(SpoolFault::Unwritable(READ_ONLY.into())),
            false => room(&spool),
        };
        if self.reported.as_ref() != Some(&room) {
            report(KeeperEvent::Room(room.clone()));
            self.reported = Some(room);
        }
    }

    /// Tries again what the card refused.
    fn mend(&mut self, now: Mono, spool: &Spool, report: &impl Fn(KeeperEvent)) {
        let mended = spool.mend();
        if !mended.kept.is_empty() {
            report(KeeperEvent::Mended(mended.kept, mended.finished));
        }
        self.mend_due = match mended.is_unfinished {
            true => self.mending.failed(now),
            false => {
                self.mending.worked();
                now + LOOK
            }
        };
        if mended.trouble.is_none() && self.errands.is_due(now) {
            self.run_errands(now, spool, report);
        }
        if !mended.withdrawals.is_empty() {
            report(KeeperEvent::FoundWithdrawals(mended.withdrawals));
        }
        let mut set_aside = mended.set_aside.into_iter();
        if let Some((name, why)) = set_aside.next() {
            let more = match set_aside.len() {
                0 => String::new(),
                others => format!(", and {others} others with it"),
            };
            report(KeeperEvent::Damaged(format!(
                "{name} was moved aside: {why}{more}"
            )));
        }
        for (clip_id, note) in mended.quarantined {
            report(KeeperEvent::Quarantined(clip_id, note));
        }
        if !self.has_errands() && !mended.is_unfinished {
            self.said.clear();
        }
    }

    /// Deletes and moves the clips that the card refused before. The reason was reported the first time.
    fn run_errands(&mut self, now: Mono, spool: &Spool, report: &impl Fn(KeeperEvent)) {
        if !self.has_errands() {
            return;
        }
        if let Some(pair) = self.unnoted
            && spool.note_clock(pair).is_ok()
        {
            self.unnoted = None;
        }
        for (clip_id, note) in std::mem::take(&mut self.unmoved) {
            match spool.quarantine(&clip_id, &note) {
                Ok(note) => report(KeeperEvent::Quarantined(clip_id, note)),
                Err(SpoolError::UnknownClip { .. }) => {}
                Err(_) => {
                    self.unmoved.push((clip_id, note));
                    // The card most likely refuses the others as well.
                    break;
                }
            }
        }
        // Its reason was reported the first time.
        let _ = self.take_back(spool, report);
        if !self.unreleased.is_empty() {
            let again = std::mem::take(&mut self.unreleased);
            self.unreleased = spool.release_many(again).kept_back;
        }
        match self.has_errands() {
            false => self.errands.worked(),
            true => drop(self.errands.failed(now)),
        }
    }

    /// Takes back what citizens have deleted; why it did not take one back, if so.
    fn take_back(
        &mut self,
        spool: &Spool,
        report: &impl Fn(KeeperEvent),
    ) -> Result<(), SpoolError> {
        let mut done = Ok(());
        self.untaken
            .retain(|clip_id| match spool.take_back(clip_id) {
                Ok(void) => {
                    report(KeeperEvent::TakenBack(clip_id.clone(), void));
                    false
                }
                Err(error) => {
                    done = Err(error);
                    true
                }
            });
        done
    }

    /// Carries out its commands. Without a spool nothing can be kept: the counters of these minutes stay in the loop's
    /// memory and are sent again.
    pub fn work(
        &mut self,
        now: Mono,
        commands: impl Iterator<Item = KeeperCommand>,
        report: impl Fn(KeeperEvent),
    ) {
        let Some(spool) = self.spool.clone() else {
            return self.work_without_spool(now, commands, report);
        };
        // While the card refuses earlier work, it gets no more work of that kind.
        let is_due = self.errands.is_due(now);
        let mut batch = Batch::default();
        for command in commands {
            if let Err(error) = self.work_on(&spool, command, is_due, &mut batch, &report) {
                self.fail(error.to_string(), &report);
            }
        }
        // A clip that could not be deleted stays and is tried again; should the process end before, it is
        // offered again after the next start, and the hub answers `stored` again.
        let released = spool.release_many(batch.receipts);
        for error in released.refused {
            self.fail(error.to_string(), &report);
        }
        let has_refused = batch.has_refused || !released.kept_back.is_empty();
        self.unreleased.extend(released.kept_back);
        if has_refused {
            self.errands.failed(now);
        }
        if let Some(span) = batch.close_for {
            self.close(now, &spool, span, &report);
        }
    }

    /// Carries out one command, or notes what is done with the whole batch.
    fn work_on(
        &mut self,
        spool: &Spool,
        command: KeeperCommand,
        is_due: bool,
        batch: &mut Batch,
        report: &impl Fn(KeeperEvent),
    ) -> Result<(), SpoolError> {
        match command {
            KeeperCommand::Release(receipt) if is_due => batch.receipts.push(receipt),
            KeeperCommand::Release(receipt) => self.unreleased.push(receipt),
            KeeperCommand::Quarantine { clip_id, note } if is_due => {
                match spool.quarantine(&clip_id, &note) {
                    Ok(note) => report(KeeperEvent::Quarantined(clip_id, note)),
                    Err(error @ SpoolError::UnknownClip { .. }) => return Err(error),
                    Err(error) => {
                        batch.has_refused = true;
                        self.unmoved.push((clip_id, note));
                        return Err(error);
                    }
                }
            }
            KeeperCommand::Quarantine { clip_id, note } => self.unmoved.push((clip_id, note)),
            KeeperCommand::BringBack { clips, by_itself } => {
                // A clip that waits to be moved into quarantine is out of it already.
                self.unmoved.retain(|(clip_id, _)| !clips.contains(clip_id));
                let back = spool.bring_back(&clips, by_itself.as_ref());
                report(KeeperEvent::BroughtBack(back));
            }
            KeeperCommand::Remember(memory) => {
                let written = spool.remember(&memory).map(|()| memory);
                report(KeeperEvent::Remembered(written));
            }
            KeeperCommand::Purge { clip_id, reason } => {
                let purged = spool.purge(&clip_id, &reason);
                report(KeeperEvent::Purged(clip_id, purged));
            }
            KeeperCommand::TakeBack(clip_id) => {
                self.untaken.push(clip_id);
                let taken = self.take_back(spool, report);
                batch.has_refused |= taken.is_err();
                return taken;
            }
            KeeperCommand::Look => {
                self.reported = None;
                self.mend_due = Mono(0);
            }
            KeeperCommand::Probe => {
                report(KeeperEvent::Probed(spool.probe()));
            }
            KeeperCommand::Withdraw(withdrawal) => {
                report(KeeperEvent::Withdrawn(spool.keep_withdrawal(&withdrawal)));
            }
            KeeperCommand::Close(span) => batch.close_for = Some(span),
            KeeperCommand::Centre(command) => {
                if let Some(centre) = &mut self.centre {
                    centre.work(command, |event| report(KeeperEvent::Centre(event)));
                }
            }
            KeeperCommand::Counters(counters) => return spool.save_counters(&counters),
            KeeperCommand::Clock(wall_minus_mono_ms) => {
                let noted = spool.note_clock(wall_minus_mono_ms);
                batch.has_refused |= noted.is_err();
                self.unnoted = noted.is_err().then_some(wall_minus_mono_ms);
                return noted;
            }
            KeeperCommand::Fix(clips) => report(KeeperEvent::Fixed(fix(spool, clips))),
        }
        Ok(())
    }

    /// Closes the spool for so long, if the card owes no write.
    fn close(&mut self, now: Mono, spool: &Spool, span: Duration, report: &impl Fn(KeeperEvent)) {
        self.mend(now, spool, report);
        let closed = match spool.is_settled() && self.untaken.is_empty() {
            true => spool.checkpoint().map_err(NotClosed::Refused),
            false => Err(NotClosed::OwesWrite),
        };
        if closed.is_ok() {
            self.spool = None;
            self.closed_until = now + span;
        }
        report(KeeperEvent::Closed(closed));
    }

    /// Work while there is no spool, in which nothing is written.
    fn work_without_spool(
        &mut self,
        now: Mono,
        commands: impl Iterator<Item = KeeperCommand>,
        report: impl Fn(KeeperEvent),
    ) {
        for command in commands {
            match command {
                KeeperCommand::Close(span) => {
                    self.closed_until = now + span;
                    report(KeeperEvent::Closed(Ok(())));
                }
                KeeperCommand::Withdraw(_) => {
                    report(KeeperEvent::Withdrawn(Err(SpoolError::NotOpen)));
                }
                KeeperCommand::BringBack { clips, .. } => {
                    let not_open = |clip_id| (clip_id, Err(SpoolError::NotOpen));
                    let back = clips.into_iter().map(not_open).collect();
                    report(KeeperEvent::BroughtBack(back));
                }
                KeeperCommand::Centre(command) => {
                    CentreCard::refuse(command, |event| report(KeeperEvent::Centre(event)));
                }
                KeeperCommand::Remember(_) => {
                    report(KeeperEvent::Remembered(Err(SpoolError::NotOpen)));
                }
                KeeperCommand::Purge { clip_id, .. } => {
                    report(KeeperEvent::Purged(clip_id, Err(SpoolError::NotOpen)));
                }
                KeeperCommand::TakeBack(clip_id) => self.untaken.push(clip_id),
                _ => {}
            }
        }
    }

    /// The end of a clean stop.
    pub fn finish(&mut self, report: impl Fn(KeeperEvent)) {
        let Some(spool) = self.spool.clone() else {
            return;
        };
        let taken = self.take_back(&spool, &report);
        if let Err(error) = spool.checkpoint().and(taken) {
            report(KeeperEvent::Failed(error.to_string()));
        }
    }

    fn has_errands(&self) -> bool {
        !self.unmoved.is_empty()
            || !self.untaken.is_empty()
            || !self.unreleased.is_empty()
            || self.unnoted.is_some()
    }
}

/// Fixes these manifests; after the card has refused one, the others are not tried.
fn fix(spool: &Spool, clips: Vec<ClipId>) -> Vec<(ClipId, Fix)> {
    let mut has_failed = false;
    let mut fix_one = |clip_id: ClipId| {
        let done = match has_failed {
            true => Fix::NotTried,
            false => match spool.fix(&clip_id) {
                Ok(()) => Fix::Done,
                Err(error) => {
                    let is_of_this_clip =
                        error.is_damage() || matches!(error, SpoolError::UnknownClip { .. });
                    has_failed |= !is_of_this_clip;
                    Fix::Failed(error)
                }
            },
        };
        (clip_id, done)
    };
    clips.into_iter().map(&mut fix_one).collect()
}

/// Works until the commands end, touching `alive` at every turn.
pub(super) fn run(
    mut keeper: Keeper,
    alive: &Beat,
    open: impl Fn(u32) -> Result<(Spool, OpenReport), SpoolError>,
    commands: &Receiver<KeeperCommand>,
    report: impl Fn(KeeperEvent),
) {
    loop {
        alive.touch();
        keeper.look(clock::mono(), &report);
        match commands.recv_timeout(LOOK) {
            Ok(first) => {
                let batch = gathered(first, commands);
                keeper.work(clock::mono(), batch.into_iter(), &report);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return keeper.finish(&report),
        }
        if !keeper.is_open() {
            keeper.try_open(clock::mono(), &open, &report);
        }
    }
}

/// This command and, if it is a release, those that come soon after it.
fn gathered(first: KeeperCommand, commands: &Receiver<KeeperCommand>) -> Vec<KeeperCommand> {
    let is_patient = matches!(first, KeeperCommand::Release(_));
    let mut batch = vec![first];
    let until = clock::mono() + GATHER;
    while is_patient && batch.len() < BATCH {
        // If the wait ends because the commands ended, the next look at them shows that.
        let Ok(command) = commands.recv_timeout(until.since(clock::mono())) else {
            break;
        };
        batch.push(command);
    }
    batch.extend(commands.try_iter().take(BATCH.saturating_sub(batch.len())));
    batch
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a thread of its own for the one under test
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
        let never = |_| Err(SpoolError::InUse { dir: "x".into() });
        let thread = std::thread::spawn(move || {
            run(Keeper::new(None), &alive, never, &commanded, |_| {});
        });
        for _ in 0..3 {
            commands.send(KeeperCommand::Look).expect("a keeper");
        }
        drop(commands);
        thread.join().expect("it ends with its commands");
        // Commands that came together are worked off in one turn.
        assert!(beats.count() >= 2, "{}", beats.count());
    }

    #[test]
    fn whoever_waits_for_the_spool_gets_it_and_the_loop_does_where_nobody_waits_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = config::Spool {
            dir: folder.path().join("spool"),
            reserve_bytes: 1_000_000,
            ..config::Spool::default()
        };
        let reported = RefCell::new(Vec::new());
        let report = |event| {
            reported.borrow_mut().push(match event {
                KeeperEvent::Opened(..) => "opened",
                KeeperEvent::Failed(_) => "failed",
                _ => "else",
            });
        };
        let opens = |failures| open(&place, &ThisMachine, failures);
        let refuses = |_| Err(SpoolError::InUse { dir: "x".into() });
        let (waits, mut waiting) = oneshot::channel();
        let spool = open_first(opens, waits, report);
        assert!(spool.is_some() && matches!(waiting.try_recv(), Ok(Ok(_))));
        drop((spool, waiting));
        let (waits, mut waiting) = oneshot::channel();
        assert!(open_first(refuses, waits, report).is_none());
        assert!(matches!(
            waiting.try_recv(),
            Ok(Err(SpoolError::InUse { .. }))
        ));
        assert!(reported.borrow().is_empty());
        // The start no longer waits.
        for (is_open, said) in [(true, "opened"), (false, "failed")] {
            let (waits, waiting) = oneshot::channel();
            drop(waiting);
            let spool = match is_open {
                true => open_first(opens, waits, report),
                false => open_first(refuses, waits, report),
            };
            assert_eq!(spool.is_some(), is_open);
            assert_eq!(reported.borrow_mut().pop(), Some(said));
        }
    }

    #[test]
    fn a_card_that_is_closed_is_let_go_and_opened_again_when_nobody_takes_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = config::Spool {
            dir: folder.path().join("spool"),
            reserve_bytes: 1_000_000,
            ..config::Spool::default()
        };
        let (spool, _) = open(&place, &ThisMachine, 0).expect("a spool");
        let card_id = spool.card().card_id;
        let reported = RefCell::new(Vec::new());
        let report = |event| {
            reported.borrow_mut().push(match event {
                KeeperEvent::Closed(result) => format!("closed {result:?}"),
                KeeperEvent::Opened(spool, _) => format!("opened {}", spool.card().card_id),
                KeeperEvent::Probed(result) => format!("probed {result:?}"),
                _ => return,
            });
        };
        let mut keeper = Keeper::new(Some(spool));
        assert!(matches!(
            open(&place, &ThisMachine, 0),
            Err(SpoolError::InUse { .. })
        ));
        let close = KeeperCommand::Close(Duration::from_millis(300));
        let begun = Mono(1_000);
        keeper.work(begun, [KeeperCommand::Probe, close].into_iter(), report);
        assert!(!keeper.is_open());
        // The card that was taken out may be read elsewhere.
        drop(open(&place, &ThisMachine, 0).expect("nobody has it"));
        let again = |_| open(&place, &ThisMachine, 0);
        keeper.try_open(Mono(1_299), again, report);
        assert!(!keeper.is_open());
        keeper.try_open(Mono(1_300), again, report);
        assert!(keeper.is_open());
        assert_eq!(
            reported.into_inner(),
            [
                "probed Ok(())".to_owned(),
                "closed Ok(())".to_owned(),
                format!("opened {card_id}")
            ]
        );
        assert!(!place.dir.join("probe").exists());
    }

    #[test]
    fn what_its_citizen_deleted_while_there_was_no_spool_is_taken_back_when_there_is_one() {
        use booth_testkit::spool_rig;
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, _) = spool_rig::open(folder.path());
        let clip = spool_rig::record(&spool, 2);
        let taken = RefCell::new(Vec::new());
        let report = |event| {
            if let KeeperEvent::TakenBack(clip_id, void) = event {
                taken
                    .borrow_mut()
                    .push((clip_id, void.map(|void| void.clip_no)));
            }
        };
        let mut keeper = Keeper::new(None);
        let ids = [clip.clip_id.clone(), "never-begun".into()];
        let commands = ids.map(KeeperCommand::TakeBack);
        keeper.work(Mono(0), commands.into_iter(), report);
        assert!(taken.borrow().is_empty());
        drop(spool);
        let opens = |_| {
            let (spool, found) = spool_rig::open(folder.path());
            Ok((spool, found))
        };
        keeper.try_open(Mono(10_000), opens, report);
        keeper.look(Mono(10_000), report);
        let expected = [(clip.clip_id, Some(1)), ("never-begun".into(), None)];
        assert_eq!(taken.into_inner(), expected);
    }
}
