//! The state machine itself: what the booth remembers, and which room carries an input on.
//!
//! Owns: what is common to all states. The parts of a visit have rooms of their own: `state` (what there is to be in, and until
//! when), `hands` (keys), `asking`, `recording`, `after`, `vote`, `code`, `withdraw`, `service`. Over 500 lines: each input meets every
//! state here once, so that a state that is added is asked for everywhere.

use std::collections::BTreeMap;
use std::time::Duration;

use super::after::Hears;
use super::recording::{Current, Recording};
use super::state::{Service, State, Visit};
use super::vote::{Choosing, Voted};
use super::{
    Command, HandsetEvent, Input, Key, KeySource, Lamp, Offer, PlayId, Prompt, SessionRules, TakeId,
};
use crate::counters::Counter;
use crate::health::Parts;
use crate::prompt::Word;
use crate::retry::Retry;
use booth_contract::EndedBy;
use booth_contract::receipt::Receipt;
use booth_contract::time::Mono;

/// Longest time that one recording of a city may play, and one word of the booth's own voice.
const RECORDING_LIMIT: Duration = Duration::from_secs(95);
const WORD_LIMIT: Duration = Duration::from_secs(15);
/// Least time a play gets before it counts as ended without a report.
const PLAY_LIMIT: Duration = Duration::from_secs(120);
/// Longest time the recorder may take to begin or end a take, and the card to keep a vote or a withdrawal.
pub(super) const RECORDER_LIMIT: Duration = Duration::from_secs(10);
/// Digits of an emergency number or a code follow each other within this.
pub(super) const DIGIT_GAP: Duration = Duration::from_secs(5);
/// After a wrong service code no code is accepted for this long; each further wrong one doubles the pause, up to the last.
const CODE_PAUSE: Duration = Duration::from_secs(5);
const CODE_PAUSE_LAST: Duration = Duration::from_secs(300);
/// From the last prompt or recording to the off-hook tone.
pub(super) const OFF_HOOK_AFTER: Duration = Duration::from_secs(60);
/// How long the off-hook tone is played.
pub(super) const OFF_HOOK_TONE: Duration = Duration::from_secs(180);
/// From the last prompt or recording to `ready = 0`.
pub(super) const LEFT_OFF_AFTER: Duration = Duration::from_secs(15 * 60);
/// How long the lamp says *saved*.
pub(super) const SAVED: Duration = Duration::from_secs(3);
/// Length of a technician's test message.
pub(super) const TEST_MESSAGE: Duration = Duration::from_secs(3);
/// How long the centre may take to confirm it.
pub(super) const CONFIRMED_WITHIN: Duration = Duration::from_secs(20);
/// Louder at most by this many steps.
pub(super) const MAX_GAIN_STEPS: u8 = 2;

/// One booth's visit machine.
#[derive(Debug, Clone)]
pub struct Session {
    pub(super) rules: SessionRules,
    /// The prompt that is played while the booth cannot take messages.
    closed: Prompt,
    pub(super) offer: Offer,
    /// What is offered when the questions are asked again, or to the next citizen: nobody answers what was not heard.
    next_offer: Option<Offer>,
    /// Receipts can be sealed.
    pub(super) can_seal: bool,
    pub(super) parts: Parts,
    pub(super) state: State,
    pub(super) visit: Visit,
    /// What the citizen says or has said, until it is closed or deleted.
    pub(super) current: Option<Current>,
    /// The take or vote whose receipt may be spoken, and its receipt once the loop has made it.
    pub(super) receipt_of: Option<TakeId>,
    pub(super) receipt: Option<Receipt>,
    /// Votes that the card has not answered for yet, with their questions.
    pub(super) ballots: Vec<(TakeId, String)>,
    /// When each question was voted on last.
    pub(super) voted_at: BTreeMap<String, Voted>,
    /// What plays, and when it counts as ended even without a report of its end.
    pub(super) playing: Option<(PlayId, Mono)>,
    /// What was said last, to be said again on request.
    pub(super) said: Vec<Prompt>,
    next_play: u64,
    pub(super) next_take: u64,
    /// Whether the handset is off its hook, as far as a visit is concerned.
    pub(super) off_hook: bool,
    /// The handset was on its hook once: only then is a lift a lift.
    hook_was_on: bool,
    /// End of the last prompt or recording.
    pub(super) quiet_since: Mono,
    pub(super) left_off: bool,
    open: bool,
    /// The digits dialled last.
    pub(super) digits: Vec<(u8, Mono)>,
    /// How many of them can belong to the code that opens a withdrawal: none that was dialled while somebody was recorded.
    pub(super) code_digits: usize,
    /// Keys that may be the beginning of an emergency number and would do something meanwhile that cannot be undone.
    pub(super) unsure: Vec<(Key, KeySource, Mono)>,
    pub(super) saved_until: Option<Mono>,
    /// The latest test message.
    pub(super) test_take: Option<TakeId>,
    lamp: Lamp,
    /// What the handset was told last: whether somebody is recorded.
    records: bool,
    is_updating: bool,
    case_open: bool,
    /// The pause of service codes after wrong ones.
    pub(super) codes: Retry,
}

impl Session {
    /// A booth at rest, with nothing known to work and no question open.
    pub fn new(rules: SessionRules) -> Self {
        Self {
            rules,
            closed: Prompt::OutOfOrder,
            offer: Offer::default(),
            next_offer: None,
            can_seal: false,
            parts: Parts {
                capture: false,
                playback: false,
                spool: false,
            },
            state: State::Idle,
            visit: Visit::default(),
            current: None,
            receipt_of: None,
            receipt: None,
            ballots: Vec::new(),
            voted_at: BTreeMap::new(),
            playing: None,
            said: Vec::new(),
            next_play: 1,
            next_take: 1,
            off_hook: false,
            hook_was_on: false,
            quiet_since: Mono(0),
            left_off: false,
            open: false,
            digits: Vec::new(),
            code_digits: 0,
            unsure: Vec::new(),
            saved_until: None,
            test_take: None,
            lamp: Lamp::Starting,
            records: false,
            is_updating: false,
            case_open: false,
            codes: Retry::new(CODE_PAUSE, CODE_PAUSE_LAST),
        }
    }

    /// Sets what is played instead of [`Prompt::OutOfOrder`] while the booth cannot take messages.
    pub fn closed_with(&mut self, prompt: Prompt) {
        self.closed = prompt;
    }

    /// Whether somebody's words are being kept now.
    pub fn is_recording(&self) -> bool {
        matches!(self.state, State::Recording(_))
    }

    /// Whether the technician may close the card: a person with the service button or an open case could take the card out
    /// anyway.
    pub fn may_close_card(&self) -> bool {
        self.visit.has_button || self.case_open
    }

    /// Whether the technician may have the messages copied: what is sealed says nothing to whoever has the copy, and what lies
    /// open goes to those alone who could take the card anyway.
    pub(super) fn may_export(&self) -> bool {
        self.rules.seals || self.may_close_card()
    }

    /// Whether a technician is served.
    pub fn is_in_service(&self) -> bool {
        matches!(self.state, State::Service(_))
    }

    /// Whether what is dialled now says what somebody chooses, allows or takes back: nobody else is shown it.
    pub fn keys_are_private(&self) -> bool {
        matches!(
            self.state,
            State::Withdrawing(_)
                | State::Choosing(_)
                | State::Coding(_)
                | State::Casting { .. }
                | State::Voted { .. }
                | State::After { .. }
                | State::Finishing { .. }
        )
    }

    /// Whether the handset is off its hook.
    pub fn is_off_hook(&self) -> bool {
        self.off_hook || !self.hook_was_on
    }

    /// Whether the handset was on its hook at least once.
    pub fn hook_was_on(&self) -> bool {
        self.hook_was_on
    }

    /// Takes one input and returns the commands to carry out, in order.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Command> {
        let mut out = Vec::new();
        match input {
            Input::HandsetAtStart { off_hook } => self.hook_was_on = !off_hook,
            Input::Handset(HandsetEvent::Lifted) => self.lifted(now, &mut out),
            Input::Handset(HandsetEvent::Service) if self.off_hook => {
                self.settle_keys(now, &mut out);
                self.visit.has_button = true;
                self.serve(now, &mut out);
            }
            Input::Handset(HandsetEvent::Service) => {}
            Input::Handset(HandsetEvent::HungUp) => self.hung_up(now, &mut out),
            Input::Handset(HandsetEvent::Key(key, source)) => self.key(now, key, source, &mut out),
            Input::PlayEnded(id) => {
                if self.playing.is_some_and(|(playing, _)| playing == id) {
                    self.play_ended(now, &mut out);
                }
            }
            Input::Recorder(news) => self.news(now, news, &mut out),
            Input::Service(news) => self.service_news(now, news, &mut out),
            Input::Parts(parts) => {
                self.parts = parts;
                self.parts_changed(now, &mut out);
            }
            Input::Offer(offer) => {
                self.next_offer = Some(offer);
                let is_free = matches!(
                    self.state,
                    State::Idle | State::OutOfOrder | State::Goodbye | State::OffHook { .. }
                );
                if is_free {
                    self.take_next_offer();
                }
            }
            Input::CanSeal(can_seal) => self.can_seal = can_seal,
            Input::Receipt { take, receipt } => {
                if self.receipt_of == Some(take) {
                    self.receipt = receipt;
                }
            }
            Input::WithdrawalKept(is_kept) => self.withdrawal_kept(now, is_kept, &mut out),
            Input::Update(is_under_way) => self.is_updating = is_under_way,
            Input::CaseOpen(is_open) => self.case_open = is_open,
            Input::Tick => self.tick(now, &mut out),
        }
        if self.saved_until.is_some_and(|until| until <= now) {
            self.saved_until = None;
        }
        let records = self.records_somebody();
        if records != self.records {
            self.records = records;
            out.push(Command::Recording(records));
        }
        let lamp = self.wanted_lamp();
        if lamp != self.lamp {
            self.lamp = lamp;
            out.push(Command::Lamp(lamp));
        }
        out
    }

    /// What is offered changes between two visits, and where the questions are asked again.
    pub(super) fn take_next_offer(&mut self) {
        if let Some(offer) = self.next_offer.take() {
            self.offer = offer;
            self.offer.questions.sort_by_key(|question| question.digit);
        }
    }

    fn records_somebody(&self) -> bool {
        matches!(
            self.state,
            State::Recording(_) | State::Tone { .. } | State::Starting { .. }
        )
    }

    fn wanted_lamp(&self) -> Lamp {
        if self.records_somebody() {
            return Lamp::Listening;
        }
        match &self.state {
            _ if self.saved_until.is_some() => Lamp::Saved,
            State::Service(_) => Lamp::Service,
            State::OutOfOrder => Lamp::OutOfOrder,
            _ if !self.can_record() => Lamp::OutOfOrder,
            // The lamp shows that the power must stay on; the booth can be used as always.
            _ if self.is_updating => Lamp::Update,
            _ => Lamp::Ready,
        }
    }

    /// Whether a visit is under way.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn is_working(&self) -> bool {
        let Parts {
            capture,
            playback,
            spool,
        } = self.parts;
        capture && playback && spool
    }

    pub(super) fn can_record(&self) -> bool {
        self.is_working() && !self.offer.questions.is_empty()
    }

    /// Says this in the language of the visit, in place of anything that plays.
    pub(super) fn play(&mut self, now: Mono, prompts: Vec<Prompt>, out: &mut Vec<Command>) {
        self.said.clone_from(&prompts);
        self.play_once(now, prompts, false, out);
    }

    /// The same, for what is said again by other means than the copy in `said`.
    pub(super) fn play_once(
        &mut self,
        now: Mono,
        prompts: Vec<Prompt>,
        slow: bool,
        out: &mut Vec<Command>,
    ) {
        let longest = |prompt: &Prompt| match prompt {
            Prompt::Word(_) | Prompt::Pause | Prompt::InLanguage(..) => WORD_LIMIT,
            _ => RECORDING_LIMIT,
        };
        let limit: Duration = prompts.iter().map(longest).sum();
        let id = self.next_play(now + limit.max(PLAY_LIMIT));
        out.push(Command::Play {
            id,
            prompts,
            lang: self.visit.lang.clone(),
            gain_steps: self.visit.gain_steps,
            slow,
        });
    }

    /// Something plays from now on, and until then at the latest.
    pub(super) fn next_play(&mut self, until: Mono) -> PlayId {
        let id = PlayId(self.next_play);
        self.next_play += 1;
        self.playing = Some((id, until));
        id
    }

    /// What was played last, or plays.
    pub(super) fn last_play(&self) -> Option<PlayId> {
        self.next_play.checked_sub(1).map(PlayId)
    }

    pub(super) fn next_take(&mut self) -> TakeId {
        let take = TakeId(self.next_take);
        self.next_take += 1;
        take
    }

    pub(super) fn stop_play(&mut self, out: &mut Vec<Command>) {
        if self.playing.take().is_some() {
            out.push(Command::StopPlay);
        }
    }

    fn lifted(&mut self, now: Mono, out: &mut Vec<Command>) {
        if self.off_hook || !self.hook_was_on {
            return;
        }
        self.off_hook = true;
        self.open = true;
        self.digits.clear();
        self.code_digits = 0;
        self.unsure.clear();
        self.visit = Visit {
            lang: self.offer.lang.clone(),
            ..Visit::default()
        };
        self.saved_until = None;
        self.quiet_since = now;
        out.push(Command::SessionOpened {
            first_take: TakeId(self.next_take),
        });
        out.push(Command::Count(Counter::Lifts));
        out.push(Command::Event("lifted"));
        if self.can_record() {
            self.read_notice(now, out);
        } else {
            self.out_of_order(now, out);
        }
    }

    fn hung_up(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.hook_was_on = true;
        if !self.off_hook {
            return;
        }
        self.settle_keys(now, out);
        self.off_hook = false;
        self.stop_play(out);
        let was = std::mem::replace(&mut self.state, State::Idle);
        match self.wind_up(now, was, EndedBy::HangUp, out) {
            Some(
                State::Notice { .. } | State::Asking(_) | State::Choosing(_) | State::Coding(_),
            ) => self.left_early(out),
            Some(State::Service(service)) => self.leave_service(service, out),
            Some(_) | None => {}
        }
        if self.left_off {
            self.left_off = false;
            out.push(Command::HandsetLeftOff(false));
        }
        out.push(Command::Event("hung_up"));
        self.close(out);
    }

    /// Somebody went before choosing, if nothing was said or chosen earlier in the visit.
    fn left_early(&self, out: &mut Vec<Command>) {
        if !self.visit.has_chosen {
            out.push(Command::Count(Counter::LeftEarly));
        }
    }

    /// The visit is over: nothing of it stays in memory.
    fn close(&mut self, out: &mut Vec<Command>) {
        self.current = None;
        self.forget_receipt();
        self.digits.clear();
        self.unsure.clear();
        self.said.clear();
        self.visit.gain_steps = 0;
        self.take_next_offer();
        if std::mem::take(&mut self.open) {
            out.push(Command::SessionClosed);
        }
    }

    pub(super) fn forget_receipt(&mut self) {
        self.receipt_of = None;
        self.receipt = None;
    }

    /// The booth cannot take messages, or nothing is asked: it says which.
    pub(super) fn out_of_order(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.stop_play(out);
        if matches!(self.state, State::After { .. }) {
            self.let_go(out);
        }
        self.current = None;
        self.state = State::OutOfOrder;
        self.quiet_since = now;
        let prompts = if self.is_working() && self.offer.questions.is_empty() {
            let mut prompts = vec![Prompt::Word(Word::NoQuestion)];
            prompts.extend(self.answers_offered());
            prompts
        } else {
            vec![self.closed.clone()]
        };
        self.play(now, prompts, out);
    }

    fn play_ended(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.playing = None;
        if !matches!(self.state, State::OffHook { .. }) {
            self.quiet_since = now;
        }
        match &mut self.state {
            State::Notice { pending } => {
                let pending = pending.take();
                self.notice_heard(now, pending, out);
            }
            State::Asking(asking) => {
                asking.heard = Some(now);
                self.asked(now, out);
            }
            State::Choosing(choosing) => choosing.heard = Some(now),
            State::Tone { take } => {
                let take = *take;
                out.push(Command::Keep { take, from: now });
                self.state = State::Starting {
                    take,
                    until: now + RECORDER_LIMIT,
                };
            }
            State::After { hears } => {
                // Whoever has heard the own words is told again what can be done with them.
                if *hears == Hears::OwnWords {
                    self.after_menu(now, Vec::new(), out);
                }
            }
            State::Withdrawing(withdrawing) if !withdrawing.is_possible => self.lead_back(now, out),
            State::Service(Service::Report) => self.test_message(now, out),
            State::Service(Service::Tone { take }) => {
                let take = *take;
                out.push(Command::Keep { take, from: now });
                let until = now + RECORDER_LIMIT;
                self.state = State::Service(Service::Starting { take, until });
            }
            // An earpiece that does not work ends every play at once: the tone is not asked for again and again.
            State::OffHook { until } if now < *until && self.parts.playback => {
                self.play(now, vec![Prompt::OffHook], out);
            }
            State::Idle
            | State::Coding(_)
            | State::Casting { .. }
            | State::Voted { .. }
            | State::Starting { .. }
            | State::Recording(_)
            | State::Undecided { .. }
            | State::Finishing { .. }
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder
            | State::Withdrawing(_)
            | State::Service(_) => {}
        }
    }

    fn parts_changed(&mut self, now: Mono, out: &mut Vec<Command>) {
        match &self.state {
            // What was chosen was to be cast at the hang-up; it needs no microphone.
            State::Choosing(Choosing {
                chosen: Some(choice),
                question,
                ..
            }) if !self.can_record() => {
                let (choice, question) = (*choice, question.clone());
                self.cast(now, &question, choice, out);
                self.out_of_order(now, out);
            }
            State::Notice { .. } | State::Asking(_) | State::Choosing(_) | State::Coding(_)
                if !self.can_record() =>
            {
                self.out_of_order(now, out)
            }
            State::Tone { take } | State::Starting { take, .. } if !self.can_record() => {
                out.push(Command::Discard { take: *take });
                self.out_of_order(now, out);
            }
            State::Recording(Recording { take, .. }) if !self.parts.capture => {
                let take = *take;
                self.end_recording(take, EndedBy::DeviceLost, now, out);
            }
            State::Service(service) if !self.parts.capture && service.take().is_some() => {
                let service = *service;
                self.test_failed(now, service, out);
            }
            State::Idle
            | State::Notice { .. }
            | State::Asking(_)
            | State::Choosing(_)
            | State::Coding(_)
            | State::Casting { .. }
            | State::Voted { .. }
            | State::Tone { .. }
            | State::Starting { .. }
            | State::Recording(_)
            | State::Undecided { .. }
            | State::Finishing { .. }
            | State::After { .. }
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder
            | State::Withdrawing(_)
            | State::Service(_) => {}
        }
    }

    fn tick(&mut self, now: Mono, out: &mut Vec<Command>) {
        if self.playing.is_some_and(|(_, limit)| limit <= now) {
            out.push(Command::StopPlay);
            self.play_ended(now, out);
        }
        if self
            .unsure
            .last()
            .is_some_and(|(_, _, at)| *at + DIGIT_GAP <= now)
        {
            self.settle_keys(now, out);
        }
        let is_quiet =
            self.playing.is_none() && self.quiet_since + self.patient(OFF_HOOK_AFTER) <= now;
        match self.state.clone() {
            State::Asking(asking) => self.tick_asking(now, &asking, out),
            State::Choosing(Choosing {
                chosen: Some(choice),
                question,
                ..
            }) => {
                if is_quiet {
                    self.cast(now, &question, choice, out);
                    self.left_lying(now, out);
                }
            }
            State::Choosing(choosing) => self.tick_choosing(now, &choosing, out),
            State::Coding(coding) => self.tick_coding(now, &coding, out),
            State::Starting { take, until } if until <= now => {
                out.push(Command::Discard { take });
                self.out_of_order(now, out);
            }
            State::Finishing {
                take,
                until,
                next,
                deletes,
                ..
            } if until <= now => {
                if !deletes {
                    Self::delete_unheld(take, next, out);
                }
                self.out_of_order(now, out);
            }
            State::Casting { until, .. } if until <= now => self.out_of_order(now, out),
            State::Recording(recording) => self.tick_recording(now, &recording, out),
            State::Undecided { until, .. } if until <= now => self.is_decided(now, None, out),
            State::Withdrawing(withdrawing) => self.tick_withdrawal(now, &withdrawing, out),
            State::Service(service) => self.tick_service(now, service, out),
            State::After { .. } | State::Voted { .. } | State::Goodbye | State::OutOfOrder
                if is_quiet =>
            {
                self.left_lying(now, out);
            }
            State::OffHook { until } => {
                if until <= now {
                    self.stop_play(out);
                }
                if !self.left_off && self.quiet_since + LEFT_OFF_AFTER <= now {
                    self.left_off = true;
                    out.push(Command::HandsetLeftOff(true));
                }
            }
            State::Idle
            | State::Notice { .. }
            | State::Voted { .. }
            | State::Casting { .. }
            | State::Tone { .. }
            | State::Starting { .. }
            | State::Undecided { .. }
            | State::Finishing { .. }
            | State::After { .. }
            | State::Goodbye
            | State::OutOfOrder => {}
        }
    }

    /// Nobody is at the handset any more: what was held is closed, and the visit is over.
    pub(super) fn left_lying(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.let_go(out);
        self.close(out);
        self.state = State::OffHook {
            until: now + OFF_HOOK_TONE,
        };
        // The quarter of an hour counts from the last prompt or recording, so `quiet_since` stays.
        self.play(now, vec![Prompt::OffHook], out);
    }
}
