//! What the keeper of the card reports, and the clips that lie on it.
//!
//! Owns: which clips delivery knows of, and what was found of the card. Never does: touch the card.

use std::sync::PoisonError;
use std::time::Duration;

use super::Gateway;
use super::keeper::{Fix, KeeperCommand, KeeperEvent};
use crate::adapters::recorder::RecorderCommand;
use booth_contract::time::Mono;
use booth_contract::{ClipId, ClipKind};
use booth_spool::{KeptClip, KeptWithdrawal, LedgerNews, OpenReport, Spool, SpoolError};
use gateway_core::booth::Event;
use gateway_core::delivery::Offer;
use gateway_core::health::SpoolFault;
use gateway_core::quarantine::Note;
use gateway_core::session::Input;
use serde_json::json;

impl Gateway {
    pub(super) fn keeper_event(&mut self, now: Mono, event: KeeperEvent) {
        match event {
            KeeperEvent::Opened(spool, report) => {
                log::info!(over = "spool"; "the spool is open");
                self.use_spool(now, spool, &report);
            }
            KeeperEvent::Room(room) => self.booth.evidence.spool = room,
            KeeperEvent::Probed(result) => {
                let result = result.map_err(|error| error.to_string());
                self.decide(now, Event::Probed(result));
            }
            KeeperEvent::Closed(result) => self.card_was_closed(now, result),
            KeeperEvent::Centre(event) => self.centre_event(now, event),
            KeeperEvent::Damaged(what) => {
                log::error!("{what}");
                self.booth.evidence.damaged = Some(what);
            }
            KeeperEvent::Failed(why) => {
                let is_open = self.spool.is_some();
                match is_open {
                    true => log::error!(about = "spool-work"; "the spool: {why}"),
                    false => log::error!(fault = "spool"; "the spool: {why}"),
                }
                if !is_open {
                    self.booth.evidence.spool = Err(SpoolFault::Unwritable(why));
                }
            }
            KeeperEvent::Fixed(clips) => {
                for (clip_id, done) in clips {
                    self.manifest_fixed(now, &clip_id, done);
                }
            }
            KeeperEvent::Quarantined(clip_id, note) => {
                self.booth.delivery.sent_aside(&clip_id);
                self.booth.quarantine.entered(&clip_id, note);
            }
            KeeperEvent::BroughtBack(clips) => self.brought_back(now, clips),
            KeeperEvent::Remembered(written) => {
                let written = written.map_err(|error| error.to_string());
                if let Err(why) = &written {
                    log::error!(about = "orders"; "the memory of the centre's commands: {why}");
                }
                self.decide(now, Event::Remembered(written));
            }
            KeeperEvent::Purged(clip_id, result) => self.purged(now, clip_id, result),
            KeeperEvent::TakenBack(clip_id, void) => self.taken_back(now, &clip_id, void),
            KeeperEvent::Withdrawn(result) => self.withdrawal_kept(now, result),
            KeeperEvent::FoundWithdrawals(found) => {
                for kept in found {
                    log::info!(withdrawal = kept.id.as_str(); "the card gives a withdrawal back");
                    self.offer_withdrawal(now, kept);
                }
            }
            KeeperEvent::Mended(clips, finished) => {
                // These may be clips of the citizen who is here.
                let held = self.booth.has_visitor();
                for clip in clips {
                    if self.booth.delivery.is_taken_back(&clip.clip_id) {
                        continue;
                    }
                    log::info!(clip_id = clip.clip_id.as_str(); "finished after a failed write");
                    if finished.contains(&clip.clip_id)
                        && clip.kind == ClipKind::Audio
                        && !clip.test
                    {
                        self.decide(now, Event::KeptLate);
                    }
                    self.offer(now, &clip, Duration::ZERO, held);
                }
                self.booth.evidence.spool = Ok(());
            }
        }
    }

    /// What its citizen has deleted is off the card now, late.
    fn taken_back(&mut self, now: Mono, clip_id: &ClipId, void: Option<KeptClip>) {
        self.booth.delivery.let_go(clip_id);
        self.booth.quarantine.came_back(clip_id);
        let Some(void) = void else {
            return log::info!(clip_id = clip_id.as_str(); "deleted by its citizen");
        };
        log::info!(clip_id = clip_id.as_str(); "deleted by its citizen; its number {} is declared void", void.clip_no);
        let held = self.booth.has_visitor();
        self.offer(now, &void, Duration::ZERO, held);
    }

    pub(super) fn offer(&mut self, now: Mono, clip: &KeptClip, age: Duration, held: bool) {
        let offer = self.offer_of(now, clip, age);
        self.booth.delivery.keep(offer, held);
    }

    /// Offers a clip of nobody who is here.
    pub(super) fn offer_aged(&mut self, now: Mono, clip: &KeptClip) {
        let age = self.age_of(now, clip);
        self.offer(now, clip, age, false);
    }

    /// How long ago the words of a clip ended: of this boot by the boot-time clock, which no step of the wall clock moves; of an
    /// earlier one by the wall clock. A lost number has no time of its own, and is as old as this look.
    pub(super) fn age_of(&self, now: Mono, clip: &KeptClip) -> Duration {
        let is_of_this_boot = {
            let speaker = self.speaker.lock().unwrap_or_else(PoisonError::into_inner);
            speaker.boot_id == clip.boot_id
        };
        if clip.kind == ClipKind::Void {
            return Duration::ZERO;
        }
        if is_of_this_boot {
            return now.since(Mono(clip.kept_mono_ms));
        }
        let wall_ms = self.machine.wall().as_millisecond();
        let age = u64::try_from(wall_ms.saturating_sub(clip.kept_at_ms)).unwrap_or(0);
        Duration::from_millis(age)
    }

    /// What delivery has to know of a clip whose citizen ended so long ago.
    pub(super) fn offer_of(&self, now: Mono, clip: &KeptClip, age: Duration) -> Offer {
        let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Offer {
            clip_id: clip.clip_id.clone(),
            bytes: clip.bytes,
            sha256: clip.sha256.clone(),
            kept_at_ms: now_ms.saturating_sub(age_ms),
            fixed: !self
                .spool
                .as_ref()
                .is_some_and(|spool| spool.needs_fixing(&clip.clip_id)),
            is_withdrawal: false,
        }
    }

    /// Offers a withdrawal. It is about no recording of this visit, and leaves at once.
    pub(super) fn offer_withdrawal(&mut self, now: Mono, kept: KeptWithdrawal) {
        let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        let offer = Offer {
            clip_id: kept.id,
            bytes: 0,
            sha256: kept.sha256,
            kept_at_ms: now_ms,
            fixed: true,
            is_withdrawal: true,
        };
        self.booth.delivery.keep(offer, false);
    }

    /// What became of a withdrawal that was dialled.
    fn withdrawal_kept(&mut self, now: Mono, result: Result<KeptWithdrawal, SpoolError>) {
        let is_kept = result.is_ok();
        match result {
            Ok(kept) => {
                log::info!(id = kept.id.as_str(); "a withdrawal is kept");
                self.offer_withdrawal(now, kept);
            }
            Err(error) => {
                log::error!(about = "withdrawal"; "a withdrawal is not kept: {error}");
            }
        }
        self.hand_to_visit(now, Input::WithdrawalKept(is_kept));
    }

    /// What became of a manifest that was to be fixed before its first offer.
    pub(super) fn manifest_fixed(&mut self, now: Mono, clip_id: &ClipId, done: Fix) {
        match done {
            Fix::Done => self.booth.delivery.fixed(clip_id),
            Fix::NotTried => self.booth.delivery.not_tried(clip_id),
            Fix::Failed(error) if error.is_damage() => self.damaged(clip_id, &error),
            // The clip was released or quarantined meanwhile.
            Fix::Failed(SpoolError::UnknownClip { .. }) => self.booth.delivery.give_up(clip_id),
            Fix::Failed(error) => {
                log::warn!("a manifest cannot be made final yet: {error}");
                self.booth
                    .delivery
                    .not_fixed(now, clip_id, &error.to_string());
            }
        }
    }

    /// A clip's file is not what was written: it is sent no more, and kept.
    pub(super) fn damaged(&mut self, clip_id: &ClipId, error: &SpoolError) {
        log::error!("{error}");
        self.booth.delivery.sent_aside(clip_id);
        // Quarantine tells of it, until it comes out or is given up.
        let note = Note::damaged(&error.to_string());
        self.set_aside(clip_id, note);
    }

    /// Instructs the keeper to move a clip to quarantine.
    pub(super) fn set_aside(&mut self, clip_id: &ClipId, note: Note) {
        self.booth.quarantine.entered(clip_id, note.clone());
        let clip_id = clip_id.clone();
        self.keeper
            .send(KeeperCommand::Quarantine { clip_id, note });
    }

    /// The spool is there: its clips are offered, its counters go on.
    pub(super) fn use_spool(&mut self, now: Mono, spool: Spool, report: &OpenReport) {
        let card = spool.identity();
        let is_known_card = {
            let mut speaker = self.speaker.lock().unwrap_or_else(PoisonError::into_inner);
            speaker.boot_count = card.boot_count;
            std::mem::replace(&mut speaker.card_id, card.card_id.clone()) == card.card_id
        };
        self.booth.delivery.spool_opened();
        self.booth.quarantine.found(spool.notes());
        self.spool = Some(spool.clone());
        for clip in spool.clips() {
            self.offer_aged(now, &clip);
        }
        for kept in spool.withdrawals() {
            self.offer_withdrawal(now, kept);
        }
        for (clip, _) in spool.quarantined_clips() {
            self.booth.delivery.lies_aside(clip.clip_id, clip.sha256);
        }
        self.report_the_card(report);
        self.decide(
            now,
            Event::SpoolOpened {
                // As they were when the spool was opened: the keeper may be writing newer ones, which came from here.
                saved: card.counters.clone(),
                card_id: card.card_id.clone(),
                boot_count: card.boot_count,
                is_known: is_known_card,
                watchdog_reset: self.machine.watchdog_reset() == Some(true),
                first_seen: card.first_seen.parse().ok(),
                memory: Box::new(spool.remembered()),
            },
        );
        self.recorder.send(RecorderCommand::UseSpool(spool));
        self.booth.evidence.spool = Ok(());
    }

    /// Reports what was found when the spool was opened.
    fn report_the_card(&mut self, report: &OpenReport) {
        for clip in &report.recovered {
            log::warn!(clip_id = clip.clip_id.as_str(); "finished what a power cut had left");
        }
        for (name, why) in &report.unread {
            log::error!("clip {name} cannot be read now, and is tried again: {why}");
        }
        if let LedgerNews::Rebuilt(why) | LedgerNews::Off(why) = &report.ledger {
            log::warn!("the ledger: {why}");
        }
        if let Some(why) = &report.orders_unread {
            log::error!(
                "the memory of the centre's commands cannot be read and begins anew; signed commands that were issued before are refused: {why}"
            );
        }
        let damage = damage(report);
        for what in &damage {
            log::error!("{what}");
        }
        if !damage.is_empty() {
            self.booth.evidence.damaged = Some(damage.join("; "));
        }
        if let Some(copied) = &report.card_cloned {
            log::warn!(card_id = copied.as_str(); "this card is a copy of another; it has an identity of its own now");
            self.event("card_cloned", json!({ "previous_card_id": copied }));
        }
        if let Some(before) = &report.hardware_changed {
            log::warn!(hw_serial = before.as_str(); "this card was in another machine before");
            self.booth.evidence.hardware_changed =
                Some(format!("This card was in the machine {before} before."));
        }
    }
}

/// What was found damaged, moved aside or missing, a sentence each.
fn damage(report: &OpenReport) -> Vec<String> {
    let identity = report.card_unreadable.iter();
    let identity = identity.map(|why| format!("the card's identity: {why}"));
    let aside = report.set_aside.iter();
    let aside = aside.map(|(name, why)| format!("{name} was moved aside: {why}"));
    let damaged = report.damaged.iter();
    let damaged = damaged.map(|(name, why)| format!("clip {name} is in quarantine: {why}"));
    let missing = report.missing.iter();
    let missing = missing.map(|(_, no, id)| format!("clip {no} ({id}) is gone from the card"));
    let left_over = (report.left_over > 0).then(|| {
        format!(
            "{} other things on the card make no sense or are lost; they are tidied up little by little beside the running booth",
            report.left_over
        )
    });
    identity
        .chain(aside)
        .chain(damaged)
        .chain(missing)
        .chain(left_over)
        .collect()
}
