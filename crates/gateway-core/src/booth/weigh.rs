//! Weighing the evidence: is the booth ready, what is wrong, and who has to hear of it.
//!
//! Owns: the order in which the parts are asked, the alerts, when a citizen could first speak, the sign of a first boot. Never
//! does: gather evidence; whoever finds something out writes it into [`Evidence`](crate::health::Evidence).

use std::collections::BTreeMap;
use std::time::Duration;

use booth_contract::AlertId;
use booth_contract::time::Mono;

use super::{Around, Booth, Command};
use crate::bell::Moment;
use crate::counters::Counters;
use crate::health::is_ready;
use crate::session::Input;
use crate::sign::View;

/// Evidence is weighed at least this often.
pub(super) const EVERY: Duration = Duration::from_secs(2);
/// A connection that has lasted this long is taken to be without a rival.
const SETTLED: Duration = Duration::from_secs(60);
/// The name under which the card remembers that the self-test's tone was heard once.
const MICROPHONE_HEARD: &str = "microphone_heard";
/// The names under which it remembers when a citizen could first speak, on the boot-time clock, and in which boot that was.
const READY_AT_MS: &str = "ready_at_ms";
const READY_IN_BOOT: &str = "ready_in_boot";
/// The names under which it remembers for which configuration good, and not good, were shown at the end of a first boot.
const TOLD_GOOD: &str = "told_good_for";
const TOLD_NOT_GOOD: &str = "told_not_good_for";

impl Booth {
    /// Whether a citizen can speak now.
    pub fn is_ready(&self) -> bool {
        is_ready(&self.faults)
    }

    /// Weighs the evidence: reports to the session what works, and to operations what does not.
    pub(super) fn weigh(&mut self, now: Mono, around: &Around) {
        self.weigh_delivery(now);
        self.evidence.hook_was_on = self.session.hook_was_on();
        self.evidence.draining = self.is_draining();
        self.watch_microphone(now, around);
        self.watch_clock(now, around);
        let parts = self.evidence.parts();
        if self.parts != Some(parts) {
            self.parts = Some(parts);
            self.visit(now, around, Input::Parts(parts));
        }
        let was_ready = self.is_ready();
        self.faults = self.evidence.faults(now);
        let has_changed = self.weigh_alerts(now, around);
        self.note_first_ready(now);
        self.give_sign(now, around);
        if was_ready != self.is_ready() {
            self.commands.push(Command::ShowReady(self.is_ready()));
        }
        if has_changed {
            self.commands.push(Command::SayHealth);
        }
    }

    fn weigh_delivery(&mut self, now: Mono) {
        let duplicate = self.evidence.delivery.remove(&AlertId::DuplicateIdentity);
        self.evidence.delivery = self.delivery.alerts(now);
        self.evidence.delivery.extend(self.quarantine.alerts());
        // A booth that fights with a rival for its identity is connected every now and then: only a lasting connection ends
        // the alarm.
        let is_settled = self.is_connected && now.since(self.connected_at) >= SETTLED;
        if let Some(text) = duplicate.filter(|_| !is_settled) {
            self.evidence
                .delivery
                .insert(AlertId::DuplicateIdentity, text);
        }
    }

    /// Takes the faults over into the alerts. Returns whether anything has changed.
    fn weigh_alerts(&mut self, now: Mono, around: &Around) -> bool {
        let changes = self
            .alerts
            .take(&self.faults, around.wall, self.evidence.clock_synced);
        // While the parts are still starting, a missing part is not reported.
        let is_starting = now.since(self.evidence.started) < EVERY;
        let has_changed = !changes.is_empty();
        self.commands
            .extend(changes.into_iter().map(|change| Command::SayAlert {
                change,
                is_starting,
            }));
        has_changed
    }

    /// Notes when the wall clock becomes right, and when it steps: the pair of clocks goes to the card and to the hub.
    fn watch_clock(&mut self, now: Mono, around: &Around) {
        self.evidence.clock_synced = around.clock_synced;
        let wall_ms = around.wall.as_millisecond();
        let news = self.clock.look(now, wall_ms, around.clock_synced);
        self.commands.extend(news.note_ms.map(Command::NoteClock));
        if news.is_news {
            self.say_clock();
        }
    }

    /// The pair of clocks, by which the hub corrects the clips of this boot.
    pub(super) fn say_clock(&mut self) {
        if let Some((wall_minus_mono_ms, is_right)) = self.clock.say(self.delivery.is_hub_online())
        {
            self.commands.push(Command::SayClock {
                wall_minus_mono_ms,
                is_right,
            });
        }
    }

    /// Notes when a citizen could first speak. The boot-time clock began with the kernel, so it shows how long the booth
    /// took to start. A gateway that is restarted in the same boot reads the time from the card.
    fn note_first_ready(&mut self, now: Mono) {
        if self.first_ready.is_some() || !self.is_ready() {
            return;
        }
        self.first_ready = Some(now);
        self.commands.push(Command::FirstReady(now));
        // Saved at once: a program that is killed a minute later is restarted in the same boot.
        self.is_unsaved = true;
        self.commands.push(Command::Save);
    }

    /// Shows by lamp and bell whether the booth is good, to the person who put the card in.
    fn give_sign(&mut self, now: Mono, around: &Around) {
        if !self.rules.has_lamp {
            return;
        }
        let view = View {
            is_ready: self.is_ready(),
            is_set_up: self.is_set_up,
            // A handset that cannot be read does not count as lifted.
            off_hook: self.session.is_off_hook() && self.evidence.handset.is_ok(),
        };
        let Some(due) = self.first_boot.look(now, view) else {
            return;
        };
        self.is_unsaved = true;
        self.commands.push(Command::ShowSign(due.sign));
        if due.is_first && self.bell.may_sign(self.moment(around)) {
            self.commands.push(Command::Ring(due.sign.ringing()));
        }
    }

    /// The local minute of the day, if the clock can be believed.
    pub(super) fn local_minute(&self, around: &Around) -> Option<u16> {
        self.evidence.clock_synced.then_some(around.local_minute)
    }

    /// What the bell depends on.
    pub(super) fn moment(&self, around: &Around) -> Moment {
        Moment {
            minute: self.local_minute(around),
            off_hook: self.session.is_off_hook(),
            ready: self.is_ready(),
        }
    }

    /// Everything that is counted or known of this card, for the card, if it has changed since this was asked last.
    pub fn unsaved(&mut self) -> Option<BTreeMap<String, u64>> {
        std::mem::take(&mut self.is_unsaved).then(|| self.saved())
    }

    /// The card was not asked to save: the keeper is busy, or the spool is another one. It gets later values.
    pub fn not_saved(&mut self) {
        self.is_unsaved = true;
    }

    fn saved(&self) -> BTreeMap<String, u64> {
        let mut saved = self.counters.saved();
        if let Some(at) = self.first_ready {
            saved.insert(READY_AT_MS.into(), at.0);
            saved.insert(READY_IN_BOOT.into(), self.boot_count);
        }
        let (good, not_good) = self.first_boot.remembered().unwrap_or_default();
        let told = [(TOLD_GOOD, good), (TOLD_NOT_GOOD, not_good)];
        let told = told
            .into_iter()
            .filter_map(|(name, number)| Some((name.to_owned(), number?)));
        saved.extend(told);
        saved.insert(
            MICROPHONE_HEARD.into(),
            self.microphone.heard_before().into(),
        );
        saved
    }

    /// Takes up what the card remembers, in this boot of it. With `is_known` it was only closed, and the counters of that time
    /// are in memory.
    pub(super) fn card_remembers(
        &mut self,
        saved: &BTreeMap<String, u64>,
        boot_count: u64,
        is_known: bool,
    ) {
        self.boot_count = boot_count;
        match is_known {
            true => self.is_unsaved = true,
            false => self.counters = Counters::restored(saved),
        }
        let noted = |name: &str| saved.get(name).copied();
        if noted(READY_IN_BOOT) == Some(boot_count) {
            self.first_ready = self.first_ready.or(noted(READY_AT_MS).map(Mono));
        }
        self.first_boot
            .card_says(noted(TOLD_GOOD), noted(TOLD_NOT_GOOD));
        let was_heard = noted(MICROPHONE_HEARD).is_some_and(|heard| heard > 0);
        self.microphone.was_heard_before(was_heard);
        self.selftest.was_heard |= was_heard;
        self.evidence.card_closed = false;
    }
}
