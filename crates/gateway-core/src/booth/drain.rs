//! `cmd/drain`: the booth is emptied, so that its card can be changed without a message on it (contract §3.7).
//!
//! Owns: until when nobody is invited, and the answer when everything is sent or the time is over. A restart of the gateway goes
//! on with it. A restart of the machine ends it, because its clock then counts anew, and the answer says so.

use std::time::Duration;

use booth_contract::BoothId;
use booth_contract::time::Mono;
use serde_json::json;

use super::desk::{Asked, Asker, refusal};
use super::resend::CARD_NOT_OPEN;
use super::{Around, Booth};
use crate::health::SpoolFault;
use crate::orders::{KeptAsker, KeptDrain};

/// A booth that is being emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drain {
    until: Mono,
    minutes: u64,
}

impl Booth {
    /// `cmd/drain`.
    pub(super) fn asked_to_drain(
        &mut self,
        now: Mono,
        around: &Around,
        to: Asker,
        minutes: Result<u64, &'static str>,
    ) {
        let minutes = match minutes {
            Ok(minutes) => minutes,
            Err(why) => return self.refuse(to, "drain", why),
        };
        if minutes == 0 {
            self.end_drain("the centre has ended the emptying");
            return self.reply(to, "drain", json!({ "ok": 1, "ended": 1 }));
        }
        if !around.has_spool {
            return self.refuse(to, "drain", CARD_NOT_OPEN);
        }
        let before = self.desk.waiting.askers(&Asked::Drain).len();
        self.takes_place(Asked::Drain, to);
        let has_place = self.desk.waiting.askers(&Asked::Drain).len() > before;
        let is_the_same = self.drain.is_some_and(|drain| drain.minutes == minutes);
        if has_place && !(is_the_same && before > 0) {
            let until = now + Duration::from_secs(minutes * 60);
            self.drain = Some(Drain { until, minutes });
        }
        self.remember_drain();
    }

    /// Answers when everything is sent, and lets citizens in again when the time is over.
    pub(super) fn watch_drain(&mut self, now: Mono) {
        let Some(drain) = self.drain else {
            return;
        };
        let (clips, withdrawals) = (self.delivery.unsent(), self.delivery.unsent_withdrawals());
        // What the card has refused so far may hold a take that is not finished.
        let owes = matches!(self.evidence.spool, Err(SpoolFault::Unwritable(_)));
        let is_empty = clips == 0 && withdrawals == 0 && !owes && !self.has_visitor();
        if is_empty && self.answers_drains() {
            let quarantined = self.quarantine.len();
            let left_s = drain.until.since(now).as_secs();
            let answer = json!({ "ok": 1, "quarantined": quarantined, "closed_for_s": left_s });
            self.answer_drains(&answer);
            self.remember_drain();
        }
        if drain.until <= now {
            self.end_drain(&format!(
                "the {} minutes are over, and {clips} messages and {withdrawals} withdrawals are still on the card; the booth takes messages again",
                drain.minutes
            ));
        }
    }

    /// Citizens are let in again. Those who still wait are told why.
    fn end_drain(&mut self, why: &str) {
        if self.drain.take().is_some() {
            self.answer_drains(&refusal(why));
            self.remember_drain();
        }
    }

    fn answers_drains(&self) -> bool {
        self.desk.waiting.waits(&Asked::Drain)
    }

    fn answer_drains(&mut self, answer: &serde_json::Value) {
        self.answer(&Asked::Drain, answer);
    }

    /// Until when nobody is invited.
    pub(super) fn drain_deadline(&self) -> Option<Mono> {
        self.drain.map(|drain| drain.until)
    }

    /// Whether the booth is being emptied.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    fn remember_drain(&mut self) {
        let askers = self.desk.waiting.askers(&Asked::Drain).iter();
        let askers = askers.map(|to| KeptAsker::of(to.correlation.as_deref()));
        let kept = self.drain.map(|drain| KeptDrain {
            boot_id: self.rules.centre.boot_id.clone(),
            until_ms: drain.until.0,
            minutes: drain.minutes,
            askers: askers.collect(),
        });
        if self.orders.memory.drain != kept {
            self.orders.memory.drain = kept;
            self.remember();
        }
    }

    /// Goes on with what an earlier process began in this boot of the machine.
    pub(super) fn resume_drain(&mut self) {
        let Some(kept) = self.orders.memory.drain.clone() else {
            return;
        };
        let booth: BoothId = self.rules.centre.booth.clone();
        if self.drain.is_none() {
            for asker in &kept.askers {
                let correlation = asker.correlation();
                let to = Asker {
                    booth: booth.clone(),
                    correlation,
                };
                // More than have a place were never remembered.
                let _ = self.desk.waiting.ask(Asked::Drain, to);
            }
        }
        let (until, minutes) = (Mono(kept.until_ms), kept.minutes);
        self.drain.get_or_insert(Drain { until, minutes });
        if kept.boot_id != self.rules.centre.boot_id {
            self.end_drain(
                "the machine was restarted, which ends the emptying; the booth takes messages again",
            );
        }
    }
}
