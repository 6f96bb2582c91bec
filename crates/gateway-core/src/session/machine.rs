//! The state machine itself.

use std::time::Duration;

use super::{
    Command, HandsetEvent, Input, Key, KeySource, Lamp, OpenQuestion, PlayId, Prompt, RecorderNews,
    SessionRules, TakeId,
};
use crate::counters::Counter;
use crate::health::Parts;
use crate::retry::Retry;
use booth_contract::time::Mono;
use booth_contract::{ConsentMode, EndedBy};

/// Longest time a play may take before it counts as ended; no prompt is longer.
const PLAY_LIMIT: Duration = Duration::from_secs(120);
/// Longest time the recorder may take to begin or end a take.
pub(super) const RECORDER_LIMIT: Duration = Duration::from_secs(10);
/// Time for the first word.
const FIRST_WORD: Duration = Duration::from_secs(20);
/// Soft tone this long before silence ends a recording.
const SILENCE_WARNING: Duration = Duration::from_secs(5);
/// Soft tone this long before the limit.
const LIMIT_WARNING: Duration = Duration::from_secs(15);
/// Digits of an emergency number follow each other within this.
const DIGIT_GAP: Duration = Duration::from_secs(5);
/// After a wrong service code no code is accepted for this long; each further wrong one doubles the pause, up to the last.
const CODE_PAUSE: Duration = Duration::from_secs(5);
const CODE_PAUSE_LAST: Duration = Duration::from_secs(300);
/// After this long without a wrong code, the next wrong one starts with the first pause again.
const CODES_FORGOTTEN: Duration = Duration::from_secs(3600);
/// From the last prompt or recording to the off-hook tone.
pub(super) const OFF_HOOK_AFTER: Duration = Duration::from_secs(60);
/// How long the off-hook tone is played.
const OFF_HOOK_TONE: Duration = Duration::from_secs(180);
/// From the last prompt or recording to `ready = 0`.
const LEFT_OFF_AFTER: Duration = Duration::from_secs(15 * 60);
/// Voice that began during a soft tone and is shorter than this is the tone itself.
const ECHO: Duration = Duration::from_secs(1);
/// How long the lamp says *saved*.
const SAVED: Duration = Duration::from_secs(3);
/// Length of a technician's test message.
pub(super) const TEST_MESSAGE: Duration = Duration::from_secs(3);
/// How long the centre may take to confirm it.
pub(super) const CONFIRMED_WITHIN: Duration = Duration::from_secs(20);
/// Louder at most by this many steps.
pub(super) const MAX_GAIN_STEPS: u8 = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// The notice plays; a key pressed meanwhile waits for its end.
    Notice {
        pending: Option<(Key, KeySource)>,
    },
    /// The question plays, or waits for a choice since its end.
    Asking {
        repeated: bool,
        heard: Option<Mono>,
    },
    /// Armed; the tone plays.
    Tone {
        take: TakeId,
    },
    /// The tone is over; the first kept frame is on its way.
    Starting {
        take: TakeId,
        until: Mono,
    },
    Recording(Recording),
    /// The recording was ended by a dialled digit that may be the beginning of an emergency number.
    Held {
        take: TakeId,
        at: Mono,
    },
    /// The recorder closes the take.
    Finishing {
        take: TakeId,
        until: Mono,
        broken: bool,
        next: Option<(Key, KeySource)>,
    },
    /// Thank-you said; another digit may be dialled.
    After,
    /// Goodbye or the emergency announcement said; only hanging up is left.
    Goodbye,
    /// The off-hook tone plays until then, or is over.
    OffHook {
        until: Mono,
    },
    OutOfOrder,
    /// A technician is served.
    Service(Service),
}

/// How far a technician's visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// The report plays, or is on its way.
    Report,
    /// The tone before the test message plays.
    Tone { take: TakeId },
    /// The first kept frame is on its way.
    Starting { take: TakeId, until: Mono },
    /// The test message is being recorded.
    Speaking { take: TakeId, until: Mono },
    /// The recorder closes it.
    Finishing { take: TakeId, until: Mono },
    /// The centre is to confirm it.
    Confirming { until: Mono },
    /// Keys are waited for.
    Waiting,
}

impl Service {
    pub(super) fn take(self) -> Option<TakeId> {
        match self {
            Service::Tone { take }
            | Service::Starting { take, .. }
            | Service::Speaking { take, .. }
            | Service::Finishing { take, .. } => Some(take),
            Service::Report | Service::Confirming { .. } | Service::Waiting => None,
        }
    }

    /// The take that the recorder has not been asked to end yet.
    pub(super) fn open_take(self) -> Option<TakeId> {
        match self {
            Service::Tone { take }
            | Service::Starting { take, .. }
            | Service::Speaking { take, .. } => Some(take),
            Service::Finishing { .. }
            | Service::Report
            | Service::Confirming { .. }
            | Service::Waiting => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) take: TakeId,
    began: Mono,
    spoke: bool,
    /// Since when nobody speaks; `None` while somebody does.
    quiet: Option<Mono>,
    /// Voice that began while a soft tone played: the microphone may only have heard the earpiece.
    echo: Option<Mono>,
    silence_warned: bool,
    limit_warned: bool,
}

impl Recording {
    fn speaks(&mut self) {
        self.spoke = true;
        self.quiet = None;
        self.silence_warned = false;
    }
}

/// One booth's visit machine.
#[derive(Debug, Clone)]
pub struct Session {
    rules: SessionRules,
    /// The prompt that is played while the booth cannot take messages.
    closed: Prompt,
    questions: Vec<OpenQuestion>,
    pub(super) parts: Parts,
    pub(super) state: State,
    /// What plays, and when it counts as ended even without a report of its end.
    pub(super) playing: Option<(PlayId, Mono)>,
    next_play: u64,
    pub(super) next_take: u64,
    /// Whether the handset is off its hook, as far as a visit is concerned.
    off_hook: bool,
    /// The handset was on its hook once: only then is a lift a lift.
    hook_was_on: bool,
    /// End of the last prompt or recording.
    pub(super) quiet_since: Mono,
    left_off: bool,
    open: bool,
    digits: Vec<(u8, Mono)>,
    pub(super) gain_steps: u8,
    saved_until: Option<Mono>,
    /// The latest test message.
    pub(super) test_take: Option<TakeId>,
    lamp: Lamp,
    /// What the handset was told last: whether somebody is recorded.
    records: bool,
    is_updating: bool,
    /// The technician at the handset used the service button.
    has_button: bool,
    case_open: bool,
    /// The pause of service codes after wrong ones.
    codes: Retry,
}

impl Session {
    /// A booth at rest, with nothing known to work and no question open.
    pub fn new(rules: SessionRules) -> Self {
        Self {
            rules,
            closed: Prompt::OutOfOrder,
            questions: Vec::new(),
            parts: Parts {
                capture: false,
                playback: false,
                spool: false,
            },
            state: State::Idle,
            playing: None,
            next_play: 1,
            next_take: 1,
            off_hook: false,
            hook_was_on: false,
            quiet_since: Mono(0),
            left_off: false,
            open: false,
            digits: Vec::new(),
            gain_steps: 0,
            saved_until: None,
            test_take: None,
            lamp: Lamp::Starting,
            records: false,
            is_updating: false,
            has_button: false,
            case_open: false,
            codes: Retry::new(CODE_PAUSE, CODE_PAUSE_LAST),
        }
    }

    /// Sets what is played instead of [`Prompt::OutOfOrder`] while the booth cannot take messages.
    pub fn closed_with(&mut self, prompt: Prompt) {
        self.closed = prompt;
    }

    /// The state's name in the contract (§2).
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Idle => "idle",
            State::Notice { .. } => "notice",
            State::Asking { .. } | State::Tone { .. } | State::Starting { .. } => "question",
            State::Recording(_) => "recording",
            State::Held { .. } | State::Finishing { .. } | State::After => "after",
            State::Goodbye => "goodbye",
            State::OffHook { .. } => "off_hook",
            State::OutOfOrder => "out_of_order",
            State::Service(_) => "service",
        }
    }

    /// Whether somebody's words are being kept now.
    pub fn is_recording(&self) -> bool {
        matches!(self.state, State::Recording(_))
    }

    /// Whether the technician may close the card: a person with the service button or an open case could take the card out
    /// anyway.
    pub fn may_close_card(&self) -> bool {
        self.has_button || self.case_open
    }

    /// Whether a technician is served.
    pub fn is_in_service(&self) -> bool {
        matches!(self.state, State::Service(_))
    }

    /// Whether the handset is off its hook.
    pub fn is_off_hook(&self) -> bool {
        self.off_hook || !self.hook_was_on
    }

    /// Whether the handset was on its hook at least once.
    pub fn hook_was_on(&self) -> bool {
        self.hook_was_on
    }

    /// When [`Input::Tick`] must come at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let state = match &self.state {
            State::Idle | State::Notice { .. } | State::Tone { .. } => None,
            State::Asking { repeated, heard } => {
                heard.map(|heard| heard + self.patience(*repeated))
            }
            State::Starting { until, .. } | State::Finishing { until, .. } => Some(*until),
            State::Recording(recording) => Some(self.recording_deadline(recording)),
            State::Held { at, .. } => Some(*at + DIGIT_GAP),
            State::Service(
                Service::Starting { until, .. }
                | Service::Speaking { until, .. }
                | Service::Finishing { until, .. }
                | Service::Confirming { until },
            ) => Some(*until),
            State::Service(Service::Tone { .. }) => None,
            State::After
            | State::Goodbye
            | State::OutOfOrder
            | State::Service(Service::Report | Service::Waiting) => self
                .playing
                .is_none()
                .then_some(self.quiet_since + OFF_HOOK_AFTER),
            State::OffHook { until } => {
                let left_off = (!self.left_off).then_some(self.quiet_since + LEFT_OFF_AFTER);
                let tone = self.playing.map(|_| *until);
                // A handset that stays off is reported once; after that nothing is due for a long time, and a hang-up is an event.
                left_off
                    .into_iter()
                    .chain(tone)
                    .min()
                    .or(Some(self.quiet_since + LEFT_OFF_AFTER * 1000))
            }
        };
        let play = self.playing.map(|(_, limit)| limit);
        state.into_iter().chain(play).chain(self.saved_until).min()
    }

    /// How long a question waits for its digit before it is repeated, or before the goodbye.
    fn patience(&self, repeated: bool) -> Duration {
        if repeated {
            self.rules.choose
        } else {
            self.rules.choose / 2
        }
    }

    /// Takes one input and returns the commands to carry out, in order.
    pub fn handle(&mut self, now: Mono, input: Input) -> Vec<Command> {
        let mut out = Vec::new();
        match input {
            Input::HandsetAtStart { off_hook } => self.hook_was_on = !off_hook,
            Input::Handset(HandsetEvent::Lifted) => self.lifted(now, &mut out),
            Input::Handset(HandsetEvent::Service) if self.off_hook => {
                self.has_button = true;
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
            Input::Questions(questions) => {
                self.questions = questions;
                self.questions.sort_by_key(|question| question.digit);
                self.parts_changed(now, &mut out);
            }
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

    fn can_record(&self) -> bool {
        let Parts {
            capture,
            playback,
            spool,
        } = self.parts;
        capture && playback && spool && !self.questions.is_empty()
    }

    pub(super) fn play(&mut self, now: Mono, prompts: Vec<Prompt>, out: &mut Vec<Command>) {
        let id = PlayId(self.next_play);
        self.next_play += 1;
        self.playing = Some((id, now + PLAY_LIMIT));
        out.push(Command::Play {
            id,
            prompts,
            gain_steps: self.gain_steps,
        });
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
        self.has_button = false;
        self.gain_steps = 0;
        self.saved_until = None;
        self.quiet_since = now;
        out.push(Command::SessionOpened {
            first_take: TakeId(self.next_take),
        });
        out.push(Command::Count(Counter::Lifts));
        out.push(Command::Event("lifted"));
        if self.can_record() {
            self.state = State::Notice { pending: None };
            self.play(now, vec![Prompt::Notice], out);
        } else {
            self.out_of_order(now, out);
        }
    }

    fn hung_up(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.hook_was_on = true;
        if !self.off_hook {
            return;
        }
        self.off_hook = false;
        self.stop_play(out);
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Notice { .. } | State::Asking { .. } => {
                out.push(Command::Count(Counter::LeftEarly))
            }
            State::Tone { take } => out.push(Command::Discard { take }),
            State::Starting { take, .. } => self.finish(take, EndedBy::HangUp, now, out),
            State::Recording(Recording { take, .. }) => {
                self.finish(take, EndedBy::HangUp, now, out)
            }
            State::Held { take, at } => self.finish(take, EndedBy::Key, at, out),
            State::Service(service) => self.leave_service(service, out),
            State::Idle
            | State::Finishing { .. }
            | State::After
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder => {}
        }
        if self.left_off {
            self.left_off = false;
            out.push(Command::HandsetLeftOff(false));
        }
        out.push(Command::Event("hung_up"));
        self.close(out);
    }

    fn close(&mut self, out: &mut Vec<Command>) {
        if std::mem::take(&mut self.open) {
            out.push(Command::SessionClosed);
        }
    }

    /// Ends a take that a citizen ended; too short a one is discarded.
    pub(super) fn finish(&self, take: TakeId, ended_by: EndedBy, at: Mono, out: &mut Vec<Command>) {
        let min = match ended_by {
            EndedBy::HangUp | EndedBy::Key => self.rules.min,
            EndedBy::Limit | EndedBy::Silence | EndedBy::DeviceLost | EndedBy::Power => {
                Duration::ZERO
            }
        };
        out.push(Command::Finish {
            take,
            ended_by,
            at,
            min,
        });
    }

    fn out_of_order(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.stop_play(out);
        self.state = State::OutOfOrder;
        self.quiet_since = now;
        self.play(now, vec![self.closed.clone()], out);
    }

    fn key(&mut self, now: Mono, key: Key, source: KeySource, out: &mut Vec<Command>) {
        if !self.off_hook {
            return;
        }
        if let Key::Digit(digit) = key
            && self.completes_emergency(digit, now)
        {
            self.emergency(now, out);
            return;
        }
        if self.dialled_service_code(now, key, out) {
            self.serve(now, out);
            return;
        }
        match &mut self.state {
            State::Notice { pending } => {
                pending.get_or_insert((key, source));
            }
            State::Asking { .. } | State::After => self.choose(now, key, source, out),
            State::Recording(recording) => {
                let take = recording.take;
                let ends = match (key, source) {
                    (Key::Hash | Key::Button, _) | (Key::Digit(_), KeySource::Dial) => true,
                    (Key::Digit(_), KeySource::Keypad) | (Key::Star, _) => false,
                };
                if ends && source == KeySource::Dial && self.begins_emergency() {
                    self.stop_play(out);
                    self.quiet_since = now;
                    self.state = State::Held { take, at: now };
                } else if ends {
                    self.end_recording(take, EndedBy::Key, now, out);
                }
            }
            State::Held { take, at } => {
                let (take, at) = (*take, *at);
                if !self.begins_emergency() {
                    self.finish(take, EndedBy::Key, at, out);
                    let until = now + RECORDER_LIMIT;
                    self.state = State::Finishing {
                        take,
                        until,
                        broken: false,
                        next: Some((key, source)),
                    };
                }
            }
            State::Finishing { next, .. } => {
                next.get_or_insert((key, source));
            }
            State::Service(service) => {
                let service = *service;
                self.service_key(now, service, key, out);
            }
            State::Idle
            | State::Tone { .. }
            | State::Starting { .. }
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder => {}
        }
    }

    fn completes_emergency(&mut self, digit: u8, now: Mono) -> bool {
        if self
            .digits
            .last()
            .is_some_and(|(_, last)| now.since(*last) > DIGIT_GAP)
        {
            self.digits.clear();
        }
        self.digits.push((digit, now));
        let numbers = self.rules.emergency_numbers.iter();
        let longest = numbers.chain([&self.rules.service_code]).map(Vec::len);
        let longest = longest.max().unwrap_or(0);
        let extra = self.digits.len().saturating_sub(longest.max(1));
        self.digits.drain(..extra);
        let dialled: Vec<u8> = self.digits.iter().map(|(digit, _)| *digit).collect();
        self.rules
            .emergency_numbers
            .iter()
            .any(|number| dialled.ends_with(number))
    }

    /// Whether this digit, already noted, completes the service code. Wrong digits in the form of a code are counted, and
    /// for a while after them no code is accepted; for a citizen the digits do what they always do.
    fn dialled_service_code(&mut self, now: Mono, key: Key, out: &mut Vec<Command>) -> bool {
        let code = &self.rules.service_code;
        let is_digit = matches!(key, Key::Digit(_));
        if !is_digit || code.is_empty() || !self.codes.is_due(now) {
            return false;
        }
        let from = self.digits.len().saturating_sub(code.len());
        let dialled: Vec<u8> = self.digits[from..]
            .iter()
            .map(|(digit, _)| *digit)
            .collect();
        if dialled == *code {
            self.codes.worked();
            self.digits.clear();
            return true;
        }
        let has_its_form = matches!(dialled.as_slice(), [0, second, ..] if *second != 0);
        if has_its_form && dialled.len() == code.len() {
            if now.since(self.codes.due()) >= CODES_FORGOTTEN {
                self.codes.worked();
            }
            self.codes.failed(now);
            out.push(Command::Count(Counter::WrongCodes));
            out.push(Command::Event("service_code_wrong"));
        }
        false
    }

    /// Whether the digits dialled last are the beginning of an emergency number.
    fn begins_emergency(&self) -> bool {
        let dialled: Vec<u8> = self.digits.iter().map(|(digit, _)| *digit).collect();
        self.rules
            .emergency_numbers
            .iter()
            .any(|number| (1..number.len()).any(|len| dialled.ends_with(&number[..len])))
    }

    fn emergency(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.digits.clear();
        self.stop_play(out);
        match std::mem::replace(&mut self.state, State::Goodbye) {
            State::Tone { take }
            | State::Starting { take, .. }
            | State::Held { take, .. }
            | State::Recording(Recording { take, .. }) => out.push(Command::Discard { take }),
            State::Service(service) => self.leave_service(service, out),
            State::Idle
            | State::Notice { .. }
            | State::Asking { .. }
            | State::Finishing { .. }
            | State::After
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder => {}
        }
        out.push(Command::Count(Counter::EmergencyDialled));
        self.play(now, vec![Prompt::Emergency], out);
    }

    /// A key while a question is open.
    fn choose(&mut self, now: Mono, key: Key, source: KeySource, out: &mut Vec<Command>) {
        let only = match self.questions.as_slice() {
            [question] => Some(question.clone()),
            _ => None,
        };
        let by_digit = self.rules.consent != ConsentMode::Button;
        match (key, source) {
            (Key::Star, _) | (Key::Digit(0), KeySource::Dial) => {
                self.gain_steps = (self.gain_steps + 1).min(MAX_GAIN_STEPS);
                self.ask(now, false, None, out);
            }
            (Key::Digit(digit), _) if by_digit => {
                match self
                    .questions
                    .iter()
                    .find(|question| question.digit == digit)
                    .cloned()
                {
                    Some(question) => self.consent(now, &question, Some(digit.to_string()), out),
                    None => self.ask(now, false, Some(Prompt::NoSuchQuestion), out),
                }
            }
            (Key::Hash, _) if by_digit => match only {
                Some(question) => self.consent(now, &question, Some("#".into()), out),
                None => self.ask(now, false, Some(Prompt::NoSuchQuestion), out),
            },
            (Key::Button, _) if self.rules.consent == ConsentMode::Button => {
                if let Some(question) = only {
                    self.consent(now, &question, Some("button".into()), out);
                }
            }
            (Key::Digit(_) | Key::Hash | Key::Button, _) => {}
        }
    }

    /// Plays the open questions, after `before` if something has to be said first.
    fn ask(&mut self, now: Mono, repeated: bool, before: Option<Prompt>, out: &mut Vec<Command>) {
        if !self.can_record() {
            self.out_of_order(now, out);
            return;
        }
        let mut prompts: Vec<Prompt> = before.into_iter().collect();
        if self.questions.len() > 1 {
            prompts.push(Prompt::Menu);
        }
        prompts.extend(
            self.questions
                .iter()
                .map(|question| question.prompt.clone()),
        );
        self.state = State::Asking {
            repeated,
            heard: None,
        };
        self.play(now, prompts, out);
    }

    /// The active act of consent: words are kept from here on, and not before.
    fn consent(
        &mut self,
        now: Mono,
        question: &OpenQuestion,
        key: Option<String>,
        out: &mut Vec<Command>,
    ) {
        if !self.can_record() {
            self.out_of_order(now, out);
            return;
        }
        let take = TakeId(self.next_take);
        self.next_take += 1;
        self.saved_until = None;
        self.state = State::Tone { take };
        out.push(Command::Arm {
            take,
            question_id: question.id.clone(),
            key,
        });
        self.play(now, vec![Prompt::Tone], out);
    }

    fn play_ended(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.playing = None;
        if !matches!(self.state, State::OffHook { .. }) {
            self.quiet_since = now;
        }
        match &mut self.state {
            State::Notice { pending } => match pending.take() {
                Some((key, source)) => {
                    self.state = State::Asking {
                        repeated: false,
                        heard: Some(now),
                    };
                    self.choose(now, key, source, out);
                }
                None => self.ask(now, false, None, out),
            },
            State::Asking { heard, .. } => {
                *heard = Some(now);
                if self.rules.consent == ConsentMode::Implied
                    && let [question] = self.questions.as_slice()
                {
                    let question = question.clone();
                    self.consent(now, &question, None, out);
                }
            }
            State::Tone { take } => {
                let take = *take;
                out.push(Command::Keep { take, from: now });
                self.state = State::Starting {
                    take,
                    until: now + RECORDER_LIMIT,
                };
            }
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
            | State::Starting { .. }
            | State::Recording(_)
            | State::Held { .. }
            | State::Finishing { .. }
            | State::After
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder
            | State::Service(_) => {}
        }
    }

    fn end_recording(
        &mut self,
        take: TakeId,
        ended_by: EndedBy,
        now: Mono,
        out: &mut Vec<Command>,
    ) {
        self.stop_play(out);
        self.quiet_since = now;
        self.finish(take, ended_by, now, out);
        let broken = ended_by == EndedBy::DeviceLost;
        self.state = State::Finishing {
            take,
            until: now + RECORDER_LIMIT,
            broken,
            next: None,
        };
    }

    fn news(&mut self, now: Mono, news: RecorderNews, out: &mut Vec<Command>) {
        let about = match news {
            RecorderNews::Started(take)
            | RecorderNews::Voice { take, .. }
            | RecorderNews::Kept(take)
            | RecorderNews::Discarded(take)
            | RecorderNews::Failed(take) => take,
        };
        // Test messages are not counted.
        let is_test = self.test_take == Some(about);
        match news {
            RecorderNews::Kept(_) => {
                out.extend((!is_test).then_some(Command::Count(Counter::Clips)));
                self.saved_until = Some(now + SAVED);
            }
            RecorderNews::Discarded(_) if is_test => {}
            RecorderNews::Discarded(_) => out.push(Command::Count(Counter::Discarded)),
            RecorderNews::Started(_) | RecorderNews::Voice { .. } | RecorderNews::Failed(_) => {}
        }
        if let State::Service(service) = self.state
            && service.take() == Some(about)
        {
            self.service_take(now, service, about, news, out);
            return;
        }
        match (&mut self.state, news) {
            (State::Starting { take, .. }, RecorderNews::Started(_)) if *take == about => {
                self.state = State::Recording(Recording {
                    take: about,
                    began: now,
                    spoke: false,
                    quiet: Some(now),
                    echo: None,
                    silence_warned: false,
                    // A limit of a few seconds needs no warning.
                    limit_warned: self.rules.max <= LIMIT_WARNING,
                });
            }
            (State::Recording(recording), RecorderNews::Voice { active, at, .. })
                if recording.take == about =>
            {
                if active && self.playing.is_some() {
                    recording.echo = Some(at);
                } else if active {
                    recording.speaks();
                } else if recording
                    .echo
                    .take()
                    .is_none_or(|began| at.since(began) >= ECHO)
                {
                    recording.speaks();
                    recording.quiet = Some(at);
                }
            }
            (State::Finishing { take, .. }, RecorderNews::Kept(_)) if *take == about => {
                self.after(now, Prompt::Thanks, out);
            }
            (State::Finishing { take, .. }, RecorderNews::Discarded(_)) if *take == about => {
                self.after(now, Prompt::TooShort, out);
            }
            (
                State::Tone { take }
                | State::Starting { take, .. }
                | State::Held { take, .. }
                | State::Finishing { take, .. }
                | State::Recording(Recording { take, .. }),
                RecorderNews::Failed(_),
            ) if *take == about => self.out_of_order(now, out),
            // News of a take that this state does not wait for, or whose citizen has gone.
            _ => {}
        }
    }

    /// The take is closed: thank, and let another digit be dialled.
    fn after(&mut self, now: Mono, prompt: Prompt, out: &mut Vec<Command>) {
        let State::Finishing { broken, next, .. } =
            std::mem::replace(&mut self.state, State::After)
        else {
            return;
        };
        self.quiet_since = now;
        if broken {
            self.out_of_order(now, out);
        } else if let Some((key, source)) = next {
            self.choose(now, key, source, out);
        } else {
            self.play(now, vec![prompt], out);
        }
    }

    fn parts_changed(&mut self, now: Mono, out: &mut Vec<Command>) {
        match &self.state {
            State::Notice { .. } | State::Asking { .. } if !self.can_record() => {
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
            | State::Asking { .. }
            | State::Tone { .. }
            | State::Starting { .. }
            | State::Recording(_)
            | State::Held { .. }
            | State::Finishing { .. }
            | State::After
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder
            | State::Service(_) => {}
        }
    }

    /// Silence that ends this recording, and since when it lasts.
    fn silence_end(&self, recording: &Recording) -> Option<Mono> {
        let limit = if recording.spoke {
            self.rules.silence
        } else {
            FIRST_WORD
        };
        if self.rules.silence.is_zero() {
            None
        } else {
            recording.quiet.map(|quiet| quiet + limit)
        }
    }

    fn recording_deadline(&self, recording: &Recording) -> Mono {
        let limit = recording.began + self.rules.max;
        let limit = if recording.limit_warned {
            limit
        } else {
            self.limit_warning(recording).min(limit)
        };
        let limit = recording
            .echo
            .map_or(limit, |began| limit.min(began + ECHO));
        match self.silence_end(recording) {
            Some(end) if recording.silence_warned || !self.warns_of_silence(recording) => {
                limit.min(end)
            }
            Some(end) => limit.min(end - SILENCE_WARNING),
            None => limit,
        }
    }

    fn limit_warning(&self, recording: &Recording) -> Mono {
        recording.began + self.rules.max.saturating_sub(LIMIT_WARNING)
    }

    fn warns_of_silence(&self, recording: &Recording) -> bool {
        !recording.spoke || self.rules.silence > SILENCE_WARNING
    }

    fn tick(&mut self, now: Mono, out: &mut Vec<Command>) {
        if self.playing.is_some_and(|(_, limit)| limit <= now) {
            out.push(Command::StopPlay);
            self.play_ended(now, out);
        }
        match self.state.clone() {
            State::Asking {
                repeated,
                heard: Some(heard),
            } if heard + self.patience(repeated) <= now => {
                if repeated {
                    out.push(Command::Count(Counter::Refused));
                    self.state = State::Goodbye;
                    self.play(now, vec![Prompt::Goodbye], out);
                } else {
                    self.ask(now, true, Some(Prompt::Repeat), out);
                }
            }
            State::Starting { take, until } if until <= now => {
                out.push(Command::Discard { take });
                self.out_of_order(now, out);
            }
            State::Finishing { until, .. } if until <= now => self.out_of_order(now, out),
            State::Recording(recording) => self.tick_recording(now, &recording, out),
            State::Held { take, at } if at + DIGIT_GAP <= now => {
                self.finish(take, EndedBy::Key, at, out);
                let until = now + RECORDER_LIMIT;
                self.state = State::Finishing {
                    take,
                    until,
                    broken: false,
                    next: None,
                };
            }
            State::Service(service) => self.tick_service(now, service, out),
            State::After | State::Goodbye | State::OutOfOrder
                if self.playing.is_none() && self.quiet_since + OFF_HOOK_AFTER <= now =>
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
            | State::Asking { .. }
            | State::Tone { .. }
            | State::Starting { .. }
            | State::Held { .. }
            | State::Finishing { .. }
            | State::After
            | State::Goodbye
            | State::OutOfOrder => {}
        }
    }

    /// Nobody is at the handset any more.
    pub(super) fn left_lying(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.close(out);
        self.gain_steps = 0;
        self.state = State::OffHook {
            until: now + OFF_HOOK_TONE,
        };
        // The quarter of an hour counts from the last prompt or recording, so `quiet_since` stays.
        self.play(now, vec![Prompt::OffHook], out);
    }

    fn tick_recording(&mut self, now: Mono, recording: &Recording, out: &mut Vec<Command>) {
        if recording.began + self.rules.max <= now {
            self.end_recording(recording.take, EndedBy::Limit, now, out);
            return;
        }
        if recording.echo.is_some_and(|began| now.since(began) >= ECHO) {
            // It lasts longer than any tone, so somebody speaks on.
            if let State::Recording(current) = &mut self.state {
                current.echo = None;
                current.speaks();
            }
            return;
        }
        let silence_end = self.silence_end(recording);
        if silence_end.is_some_and(|end| end <= now) {
            self.end_recording(recording.take, EndedBy::Silence, now, out);
            return;
        }
        let limit_soon = !recording.limit_warned && self.limit_warning(recording) <= now;
        let silence_soon = !recording.silence_warned
            && self.warns_of_silence(recording)
            && silence_end.is_some_and(|end| end - SILENCE_WARNING <= now);
        if let State::Recording(current) = &mut self.state {
            current.limit_warned |= limit_soon;
            current.silence_warned |= silence_soon;
        }
        if limit_soon || silence_soon {
            self.play(now, vec![Prompt::LimitSoon], out);
        }
    }
}
