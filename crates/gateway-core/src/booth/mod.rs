//! A whole booth's decisions: events with their time in, commands and the next deadline out.
//!
//! Owns: every part that decides (the visit, delivery, quarantine, evidence and alerts, self-test, clock, introductions, bell,
//! first boot, counters) and the one place that merges their deadlines. Never does: read a clock, a machine or a card; what these
//! say comes with each event as [`Around`].

mod centre;
#[cfg(test)]
mod centre_tests;
mod clock_watch;
mod command;
mod configuration;
mod desk;
mod drain;
mod event;
mod introduction;
mod orders;
mod pauses;
mod resend;
mod selftest;
#[cfg(test)]
mod tests;
mod updates;
mod weigh;

use std::collections::BTreeMap;
use std::time::Duration;

use booth_contract::time::Mono;
use booth_contract::{AlertId, CardId};

use crate::bell::{Bell, Silent};
use crate::counters::{Counter, Counters};
use crate::delivery::Delivery;
use crate::health::{AlertBook, Evidence, Parts};
use crate::microphone::Microphone;
use crate::power::Supply;
use crate::quarantine::Quarantine;
use crate::rival::{Loss, Own, Rival};
use crate::session::{self, Input, RecorderNews, Session, TakeId};
use crate::sign::FirstBoot;
use crate::unreadable::Unreadable;
pub use centre::{CentreRules, Checks};
use clock_watch::ClockWatch;
pub use command::{Command, Listened};
pub use configuration::Came;
use desk::Desk;
pub use desk::{Asker, Reply};
use drain::Drain;
pub use event::{Around, Event, Rules};
use introduction::Introduction;
use orders::Orders;
pub use resend::Back;
use resend::Resend;
use selftest::SelfTest;
pub use selftest::TEST_TONE;
pub use updates::UpdateStage;
use updates::Updates;

/// An introduction and a self-test that were asked for begin at most this often; an asker in between is answered with the next
/// one.
const PACE: Duration = Duration::from_secs(2);
/// The supply voltage is looked at this often where the machine knows it: the kernel's alarm holds for two seconds.
const LOOK_AT_SUPPLY: Duration = Duration::from_secs(1);
/// How often its files are looked for: the alarm's driver may be loaded later.
const LOOK_FOR_SUPPLY: Duration = Duration::from_secs(60);

/// The earliest time that the pace allows.
fn paced(now: Mono, latest: Option<Mono>) -> Mono {
    latest.map_or(now, |latest| now.max(latest + PACE))
}

/// A booth.
#[derive(Debug)]
pub struct Booth {
    rules: Rules,
    session: Session,
    /// What is sent, kept and released; the loop hands it clips and answers.
    pub delivery: Delivery,
    /// What waits in quarantine; the loop hands it what the keeper did.
    pub quarantine: Quarantine,
    /// What is known; whoever finds something out writes it here.
    pub evidence: Evidence,
    /// What is counted.
    pub counters: Counters,
    /// The centre's messages that could not be read.
    pub unreadable: Unreadable,
    parts: Option<Parts>,
    faults: BTreeMap<AlertId, String>,
    alerts: AlertBook,
    is_set_up: bool,
    microphone: Microphone,
    selftest: SelfTest,
    bell: Bell,
    clock: ClockWatch,
    introduction: Introduction,
    /// The centre's commands that wait.
    desk: Desk,
    resends: Vec<Resend>,
    updates: Updates,
    drain: Option<Drain>,
    orders: Orders,
    is_connected: bool,
    connected_at: Mono,
    reconnects: u64,
    rival: Rival,
    /// The first take of the citizen who is here; takes from it on do not leave the booth yet.
    open_session: Option<TakeId>,
    /// The card's id, empty before it was read.
    card_id: CardId,
    boot_count: u64,
    /// When a citizen could speak for the first time in this boot.
    first_ready: Option<Mono>,
    first_boot: FirstBoot,
    health_due: Mono,
    /// When the files of the supply voltage are looked for again, and when they are read next.
    supply_search_due: Mono,
    supply_due: Mono,
    /// What is counted or known has changed since it was saved.
    is_unsaved: bool,
    commands: Vec<Command>,
}

impl Booth {
    /// A booth that knows nothing of its parts yet but for this evidence.
    pub fn new(
        now: Mono,
        rules: Rules,
        session: Session,
        delivery: Delivery,
        quarantine: Quarantine,
        evidence: Evidence,
    ) -> Self {
        Self {
            session,
            delivery,
            quarantine,
            evidence,
            counters: Counters::default(),
            unreadable: Unreadable::default(),
            parts: None,
            faults: BTreeMap::new(),
            alerts: AlertBook::default(),
            is_set_up: true,
            microphone: Microphone::new(rules.tone_test, now),
            selftest: SelfTest::at_night(rules.selftest_at),
            bell: rules.bell.clone(),
            clock: ClockWatch::default(),
            introduction: Introduction::default(),
            desk: Desk::default(),
            resends: Vec::new(),
            updates: Updates::default(),
            drain: None,
            orders: Orders::default(),
            is_connected: false,
            connected_at: now,
            reconnects: 0,
            rival: Rival::default(),
            open_session: None,
            card_id: CardId::default(),
            boot_count: 0,
            first_ready: None,
            first_boot: FirstBoot::new(now, rules.configuration),
            health_due: now,
            supply_search_due: now,
            supply_due: now,
            is_unsaved: false,
            commands: Vec::new(),
            rules,
        }
    }

    /// The booth has no configuration to run by: every visit hears this, and nothing is recorded.
    pub fn not_set_up(&mut self, prompt: crate::prompt::Prompt) {
        self.is_set_up = false;
        self.session.closed_with(prompt);
    }

    /// Handles one event completely. The commands are to be carried out in their order.
    pub fn handle(&mut self, now: Mono, around: &Around, event: Event) -> Vec<Command> {
        match event {
            Event::Turn => self.turn(now, around),
            Event::Weigh => self.weigh(now, around),
            Event::Visit(input) => self.visit(now, around, input),
            Event::PlayEnded(id) => {
                self.tone_played(now, id);
                self.visit(now, around, Input::PlayEnded(id));
            }
            Event::Connected { max_packet } => self.connected(now, around, max_packet),
            Event::Disconnected { why, loss } => self.disconnected(now, why, loss),
            Event::Incoming {
                topic,
                payload,
                correlation,
            } => self.incoming(now, around, &topic, &payload, correlation),
            Event::Tested(findings) => self.tested(findings),
            Event::Reloaded(result) => self.reloaded(result),
            Event::UpdateIs(stage) => self.update_is(now, around, stage),
            Event::UpdateLeft(is_left) => self.update_is_left(is_left),
            Event::UpdateRequested(result) => self.update_requested(result),
            Event::BroughtBack(clips) => self.brought_back(now, clips),
            Event::Remembered(written) => self.remembered(now, written.map(|memory| *memory)),
            Event::Purged { clip_id, result } => self.purged(&clip_id, result),
            Event::RestartAsked(result) => self.restart_asked(result),
            Event::Heard(heard) => self.heard(now, around, heard),
            Event::NotHeard => self.selftest.not_heard(),
            Event::Probed(result) => self.selftest.card_answered(result),
            Event::NotProbed => self.selftest.card_not_asked(),
            Event::Recorded { has_speech } => self.microphone.recorded(now, has_speech),
            Event::KeptLate => self.count(Counter::Clips, around),
            Event::Supply(supply) => self.supply(now, supply),
            Event::SpoolOpened {
                saved,
                card_id,
                boot_count,
                is_known,
                watchdog_reset,
                first_seen,
                memory,
            } => {
                self.card_id = card_id;
                self.commands
                    .extend(self.clock.believed_ms().map(Command::NoteClock));
                self.card_remembers(&saved, boot_count, is_known);
                if watchdog_reset && self.counters.watchdog_reset(boot_count) {
                    self.is_unsaved = true;
                    self.commands.push(Command::ResetByWatchdog);
                }
                self.orders_found(*memory, first_seen, boot_count == 1, is_known);
                if !is_known {
                    self.resume_pauses(now, around);
                }
                if self.is_connected {
                    self.introduce(around);
                }
            }
            Event::Configured {
                health_every,
                questions,
                notice_missing,
            } => {
                self.rules.health_every = health_every;
                self.evidence.questions = questions;
                self.evidence.notice_missing = notice_missing;
                self.health_due = Mono(0);
            }
        }
        std::mem::take(&mut self.commands)
    }

    /// When [`Event::Turn`] is due although nothing happens.
    pub fn deadline(&self, now: Mono, around: &Around) -> Mono {
        let at = (now + weigh::EVERY).min(self.health_due.max(now));
        let can_leave = around.has_spool && self.delivery.is_open();
        let from_quarantine = can_leave.then(|| self.quarantine.deadline(now)).flatten();
        let sign = self.first_boot.deadline();
        let due = self
            .session
            .deadline()
            .into_iter()
            .chain(self.delivery.deadline(now))
            .chain(from_quarantine)
            .chain(self.introduction.deadline(around.is_all_sent))
            .chain(self.selftest.deadline())
            .chain(self.microphone_deadline())
            .chain(sign.filter(|_| self.rules.has_lamp))
            .chain(self.drain_deadline())
            .chain([self.supply_due]);
        due.fold(at, |at, due| at.min(due.max(now)))
    }

    fn turn(&mut self, now: Mono, around: &Around) {
        if self.session.deadline().is_some_and(|due| due <= now) {
            self.visit(now, around, Input::Tick);
        }
        self.watch_drain(now);
        self.watch_orders(now, around);
        self.bring_back_what_is_due(now, around);
        self.weigh(now, around);
        let is_all_sent = around.is_all_sent && !self.commands.iter().any(Command::is_said);
        if self.introduction.begins(now, is_all_sent) {
            self.introduce(around);
            // No broker keeps an event: a clock step that was said while the hub was away is said again.
            if self.clock.take_unheard() {
                self.say_clock();
            }
        }
        self.test_if_due(now, around);
        if let Some(ringing) = &self.rules.scheduled_ringing {
            let ringing = ringing.clone();
            let moment = self.moment(around);
            if self.bell.is_due(now, moment) {
                self.commands.push(Command::RingBySchedule(ringing));
            }
        }
        if now >= self.health_due {
            self.health_due = now + self.rules.health_every;
            self.commands.extend([Command::SayHealth, Command::Save]);
        }
    }

    /// Hands an input to the session machine, and takes up what it says of the booth itself.
    fn visit(&mut self, now: Mono, around: &Around, input: Input) {
        let is_refused = matches!(input, Input::Recorder(RecorderNews::Failed(_)));
        let commands = self.session.handle(now, input);
        let is_cast = |command: &session::Command| matches!(command, session::Command::Cast { .. });
        if is_refused || commands.iter().any(is_cast) {
            self.remember_votes(now, around);
        }
        for command in commands {
            match command {
                session::Command::Count(counter) => {
                    self.count(counter, around);
                    self.commands.push(Command::Visit(command));
                }
                session::Command::HandsetLeftOff(left_off) => self.evidence.left_off = left_off,
                session::Command::SessionOpened { first_take } => {
                    self.open_session = Some(first_take);
                }
                session::Command::SessionClosed => {
                    self.open_session = None;
                    self.delivery.session_closed();
                    self.commands.push(Command::Save);
                }
                command => self.commands.push(Command::Visit(command)),
            }
        }
    }

    fn count(&mut self, counter: Counter, around: &Around) {
        self.counters.count(counter, around.local_day);
        self.is_unsaved = true;
    }

    fn connected(&mut self, now: Mono, around: &Around, max_packet: Option<u32>) {
        self.reconnects += u64::from(self.evidence.broker.is_err() && self.health_due > Mono(0));
        self.is_connected = true;
        self.evidence.broker = Ok(());
        self.connected_at = now;
        self.delivery.connected(max_packet);
        self.weigh(now, around);
        self.introduce(around);
        self.say_unsaid();
        self.health_due = now + self.rules.health_every;
    }

    /// This state stands in the booth's own topic at the broker.
    fn own_state(&mut self, payload: &[u8]) {
        let own = Own {
            card_id: &self.card_id,
            boot_id: &self.rules.centre.boot_id,
            boot_count: self.boot_count,
        };
        let evidence = self.rival.state_came(payload, own);
        self.commands.extend(evidence.map(Command::StepBack));
    }

    fn disconnected(&mut self, now: Mono, why: String, loss: Loss) {
        self.is_connected = false;
        self.delivery.disconnected();
        self.delivery.hub_online(false);
        self.introduction.nobody_listens();
        let since = match &self.evidence.broker {
            Err((since, _)) => *since,
            Ok(()) => now,
        };
        let rival = self.rival.lost(loss, &why);
        let steps_back = rival.is_some();
        if let Some(evidence) = rival {
            let id = AlertId::DuplicateIdentity;
            let text = format!("{} {evidence}", id.meaning());
            self.evidence.delivery.insert(id, text);
        }
        self.commands.push(Command::ConnectAgain { steps_back });
        self.evidence.broker = Err((since, why));
    }

    /// The hub reports its state. When it has become `online` (again, or for the first time in this connection) it may have
    /// missed what the booth published, and no broker has to keep that for it: the booth introduces itself once more, after
    /// a pause of its own so that a fleet does not speak all at once. Repetitions of the hub's state change nothing.
    fn hub_says(&mut self, now: Mono, is_online: bool, wait: Duration) {
        if !is_online {
            self.introduction.nobody_listens();
        } else if !self.delivery.is_hub_online() {
            self.introduction.hub_came(now, now + wait);
        }
        self.evidence.hub_unreadable = None;
        self.delivery.hub_online(is_online);
    }

    /// Whether the supply voltage is to be looked at, and its files are to be looked for before that.
    pub fn looks_at_supply(&self, now: Mono) -> Option<bool> {
        (now >= self.supply_due).then_some(now >= self.supply_search_due)
    }

    fn supply(&mut self, now: Mono, supply: Supply) {
        if now >= self.supply_search_due {
            self.supply_search_due = now + LOOK_FOR_SUPPLY;
        }
        self.evidence.power.look(now, supply);
        self.supply_due = match supply.is_known() {
            true => now + LOOK_AT_SUPPLY,
            false => self.supply_search_due,
        };
    }

    /// The citizen's visit.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What is wrong, and the sentence for it.
    pub fn faults(&self) -> &BTreeMap<AlertId, String> {
        &self.faults
    }

    /// The alerts that are raised.
    pub fn alerts(&self) -> &AlertBook {
        &self.alerts
    }

    /// Whether the connection stands.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Connections that followed a lost one.
    pub fn reconnects(&self) -> u64 {
        self.reconnects
    }

    /// Whether a citizen is here.
    pub fn has_visitor(&self) -> bool {
        self.open_session.is_some()
    }

    /// Whether a clip of this take stays until its citizen has gone.
    pub fn holds(&self, take: TakeId) -> bool {
        self.open_session.is_some_and(|first| take >= first)
    }

    /// When a citizen could speak for the first time in this boot.
    pub fn first_ready(&self) -> Option<Mono> {
        self.first_ready
    }

    /// Clips in a row in which nobody was heard.
    pub fn silent_clips_in_row(&self) -> u64 {
        self.microphone.silent_in_row()
    }

    /// The bell's quiet hours, where the centre says some: `Some(None)` for none; else those of the configuration.
    pub fn bell_is_quiet(&mut self, quiet: Option<Option<(u16, u16)>>) {
        self.bell
            .keep_quiet(quiet.unwrap_or(self.rules.bell.quiet()));
    }

    /// Whether the bell may ring now, for the centre.
    ///
    /// # Errors
    /// Why it is silent.
    pub fn may_ring(&self, around: &Around) -> Result<(), Silent> {
        self.bell.may_ring(self.moment(around))
    }
}
