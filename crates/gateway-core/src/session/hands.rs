//! What keys mean: emergency numbers, codes, the key that repeats, and to which part of the visit any other key goes.
//!
//! Owns: the digits dialled last. Never does: choose a question; the parts of the visit do.

use super::machine::{DIGIT_GAP, MAX_GAIN_STEPS, OFF_HOOK_TONE, RECORDER_LIMIT, Session};
use super::recording::Recording;
use super::state::State;
use super::vote::Choosing;
use super::withdraw::Slowly;
use super::{Command, Key, KeySource, Prompt, RecorderNews};
use crate::counters::Counter;
use booth_contract::EndedBy;
use booth_contract::time::Mono;
use std::time::Duration;

/// After this long without a wrong code, the next wrong one starts with the first pause again.
const CODES_FORGOTTEN: Duration = Duration::from_secs(3600);

/// Whether this key repeats what was said, louder. A 0 on a keypad does so only where it cannot be taken for a wrong choice.
pub(super) fn repeats(key: Key, source: KeySource) -> bool {
    matches!(
        (key, source),
        (Key::Star, _) | (Key::Digit(0), KeySource::Dial)
    )
}

/// The same, where questions are not chosen.
pub(super) fn repeats_anywhere(key: Key) -> bool {
    matches!(key, Key::Star | Key::Digit(0))
}

impl Session {
    pub(super) fn key(&mut self, now: Mono, key: Key, source: KeySource, out: &mut Vec<Command>) {
        if !self.off_hook {
            return;
        }
        if let Key::Digit(digit) = key
            && let Some(begun) = self.completes_emergency(digit, now)
        {
            self.unsure.clear();
            self.emergency(now, begun, out);
            return;
        }
        // There they are digits of a receipt, or of a one-time code.
        let takes_codes = !matches!(self.state, State::Withdrawing(_) | State::Coding(_));
        if takes_codes && self.dialled_service_code(now, key, out) {
            self.settle_keys(now, out);
            self.serve(now, out);
            return;
        }
        if takes_codes && self.dialled_withdraw_code(key) {
            self.settle_keys(now, out);
            self.open_withdrawal(now, out);
            return;
        }
        let slowly = match takes_codes {
            true => self.dials_slowly(now, key),
            false => Slowly::Nothing,
        };
        if slowly == Slowly::Opens {
            self.settle_keys(now, out);
            self.open_withdrawal(now, out);
            return;
        }
        let begun = self.begun_emergency();
        if begun <= self.unsure.len() {
            self.settle_keys(now, out);
        }
        if self.is_unsure(key, begun) {
            self.stop_play(out);
            self.quiet_since = now;
            self.unsure.push((key, source, now));
            return;
        }
        self.settle_keys(now, out);
        self.act(now, key, source, out);
        if slowly == Slowly::Offers {
            self.offer_withdrawal(out);
        }
    }

    /// Lets the keys that waited for an emergency number do what they do.
    pub(super) fn settle_keys(&mut self, now: Mono, out: &mut Vec<Command>) {
        for (key, source, _) in std::mem::take(&mut self.unsure) {
            self.act(now, key, source, out);
        }
    }

    /// Whether this key waits, because it may belong to an emergency number of which `begun` digits are dialled, and would do
    /// something that the number's last digit could not undo, or speak into it.
    fn is_unsure(&self, key: Key, begun: usize) -> bool {
        let Key::Digit(digit) = key else { return false };
        match &self.state {
            State::After { .. } => match self.after_means(digit) {
                // To delete, and to say again.
                true => begun > 0 && matches!(digit, 4 | 5),
                false => begun > 0,
            },
            State::Voted { .. } => begun > 0 && !matches!(digit, 0 | 6 | 7),
            State::Choosing(choosing) => match (digit, choosing.chosen) {
                // One 1 casts at once; as a later digit of a number it waits.
                (1, Some(_)) => begun > 1,
                (1, None) => begun > 0,
                _ => false,
            },
            _ => false,
        }
    }

    /// What a key does where it is no part of a number or a code.
    fn act(&mut self, now: Mono, key: Key, source: KeySource, out: &mut Vec<Command>) {
        match &mut self.state {
            State::Notice { .. } if repeats(key, source) => {
                self.louder();
                self.read_notice(now, out);
            }
            State::Notice { pending } => {
                pending.get_or_insert((key, source));
            }
            State::Asking(_) => self.choose(now, key, source, out),
            State::Choosing(_) => self.choose_option(now, key, out),
            State::Recording(recording) => {
                let take = recording.take;
                let ends = match (key, source) {
                    (Key::Hash | Key::Button, _) | (Key::Digit(_), KeySource::Dial) => true,
                    (Key::Digit(_), KeySource::Keypad) | (Key::Star, _) => false,
                };
                if ends && source == KeySource::Dial && self.begun_emergency() > 0 {
                    self.stop_play(out);
                    self.quiet_since = now;
                    // Whoever dials for help is recorded no longer.
                    self.finish(take, EndedBy::Key, now, out);
                    self.state = State::Undecided {
                        take,
                        until: now + DIGIT_GAP,
                        came: None,
                    };
                } else if ends {
                    self.end_recording(take, EndedBy::Key, now, out);
                }
            }
            State::Undecided { until, .. } => {
                if matches!(key, Key::Digit(_)) {
                    *until = now + DIGIT_GAP;
                }
                if self.begun_emergency() == 0 {
                    self.is_decided(now, Some((key, source)), out);
                }
            }
            State::Finishing { next, .. } | State::Casting { next, .. } => {
                next.get_or_insert((key, source));
            }
            State::After { .. } => self.after_key(now, key, out),
            State::Voted { .. } => self.voted_key(now, key, out),
            State::Withdrawing(_) => self.withdrawal_key(now, key, out),
            State::Coding(_) => self.code_key(now, key, out),
            State::Service(service) => {
                let service = *service;
                self.service_key(now, service, key, out);
            }
            State::OutOfOrder | State::Goodbye if repeats_anywhere(key) => {
                self.louder();
                let said = std::mem::take(&mut self.said);
                self.play(now, said, out);
            }
            State::OutOfOrder => self.hear_answer_out_of_order(now, key, out),
            State::Idle
            | State::Tone { .. }
            | State::Starting { .. }
            | State::Goodbye
            | State::OffHook { .. } => {}
        }
    }

    /// No emergency number is dialled: the words stay, and `next` does what it does after them.
    pub(super) fn is_decided(
        &mut self,
        now: Mono,
        next: Option<(Key, KeySource)>,
        out: &mut Vec<Command>,
    ) {
        let State::Undecided { take, came, .. } = self.state else {
            return;
        };
        self.state = State::Finishing {
            take,
            until: now + RECORDER_LIMIT,
            deletes: false,
            broken: false,
            next,
        };
        if let Some(news) = came {
            self.news(now, news, out);
        }
    }

    /// Somebody asks for a repetition: louder, and with more time from now on.
    pub(super) fn louder(&mut self) {
        self.visit.gain_steps = (self.visit.gain_steps + 1).min(MAX_GAIN_STEPS);
        self.visit.is_patient = true;
    }

    /// Notes a digit. If it completes an emergency number: when that number's first digit was dialled.
    fn completes_emergency(&mut self, digit: u8, now: Mono) -> Option<Mono> {
        if self
            .digits
            .last()
            .is_some_and(|(_, last)| now.since(*last) > DIGIT_GAP)
        {
            self.digits.clear();
        }
        self.digits.push((digit, now));
        let numbers = self.rules.emergency_numbers.iter();
        let codes = [&self.rules.service_code, &self.rules.withdraw_code];
        let longest = numbers.chain(codes).map(Vec::len).max().unwrap_or(0);
        let extra = self.digits.len().saturating_sub(longest.max(1));
        self.digits.drain(..extra);
        let dialled = self.dialled();
        let numbers = self.rules.emergency_numbers.iter();
        let complete = numbers.filter(|number| dialled.ends_with(number));
        let length = complete.map(Vec::len).max()?;
        self.digits
            .get(self.digits.len() - length)
            .map(|(_, at)| *at)
    }

    fn dialled(&self) -> Vec<u8> {
        self.digits.iter().map(|(digit, _)| *digit).collect()
    }

    /// How many digits of an emergency number are dialled.
    fn begun_emergency(&self) -> usize {
        let dialled = self.dialled();
        let begun = |number: &Vec<u8>| {
            (1..number.len())
                .rev()
                .find(|len| dialled.ends_with(&number[..*len]))
        };
        let numbers = self.rules.emergency_numbers.iter();
        numbers.filter_map(begun).max().unwrap_or(0)
    }

    /// Whether the code that opens a withdrawal opens nothing: while somebody is recorded, and while what was recorded is being ended.
    pub(super) fn takes_no_code(&self) -> bool {
        matches!(
            self.state,
            State::Idle
                | State::Tone { .. }
                | State::Starting { .. }
                | State::Recording(_)
                | State::Undecided { .. }
                | State::Finishing { .. }
                | State::Casting { .. }
                | State::OffHook { .. }
                | State::Service(_)
        )
    }

    /// Whether this digit, already noted, completes the code that opens a withdrawal.
    fn dialled_withdraw_code(&mut self, key: Key) -> bool {
        if self.takes_no_code() {
            // A digit that was dialled meanwhile is no part of the code, either.
            self.code_digits = 0;
            return false;
        }
        let code = &self.rules.withdraw_code;
        if !matches!(key, Key::Digit(_)) || code.is_empty() {
            return false;
        }
        self.code_digits = self.code_digits.saturating_add(1);
        if self.code_digits < code.len() || !self.dialled().ends_with(code) {
            return false;
        }
        self.digits.clear();
        true
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

    /// An emergency number was dialled, its first digit `begun` then. A take that is being spoken is deleted; one that was finished
    /// is kept, and what the digits of the number allowed by the way is not.
    fn emergency(&mut self, now: Mono, begun: Mono, out: &mut Vec<Command>) {
        self.digits.clear();
        self.stop_play(out);
        // Once a visit is over, nothing that is dialled begins it again.
        let after = match self.is_open() {
            true => State::Goodbye,
            false => State::OffHook {
                until: now + OFF_HOOK_TONE,
            },
        };
        match std::mem::replace(&mut self.state, after) {
            // It was too short, and is deleted.
            State::Undecided {
                came: Some(news @ RecorderNews::Discarded(_)),
                ..
            } => self.news(now, news, out),
            State::Tone { take }
            | State::Starting { take, .. }
            | State::Undecided { take, .. }
            | State::Recording(Recording { take, .. }) => out.push(Command::Discard { take }),
            State::After { .. } => {
                self.allowed_before(begun);
                self.let_go(out);
            }
            State::Finishing {
                take,
                next,
                deletes: false,
                ..
            } => Self::delete_unheld(take, next, out),
            State::Service(service) => self.leave_service(service, out),
            State::Idle
            | State::Notice { .. }
            | State::Asking(_)
            | State::Choosing(_)
            | State::Coding(_)
            | State::Casting { .. }
            | State::Voted { .. }
            | State::Finishing { .. }
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder
            | State::Withdrawing(_) => {}
        }
        self.current = None;
        self.forget_receipt();
        out.push(Command::Count(Counter::EmergencyDialled));
        self.play(now, vec![Prompt::Emergency], out);
    }

    /// Leaves whatever the citizen was doing for something else: what was said is kept, and what was chosen is cast.
    pub(super) fn leave(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.stop_play(out);
        let was = std::mem::replace(&mut self.state, State::Goodbye);
        if let Some(State::Service(service)) = self.wind_up(now, was, EndedBy::Key, out) {
            out.extend(service.open_take().map(|take| Command::Discard { take }));
        }
        self.current = None;
        self.forget_receipt();
    }

    /// Ends what the citizen was doing, however they leave it: what was said is kept, what was chosen is cast, and a deletion that
    /// waits for the end of the words is carried out. Returns the state if it holds nothing of the kind.
    pub(super) fn wind_up(
        &mut self,
        now: Mono,
        was: State,
        ended_by: EndedBy,
        out: &mut Vec<Command>,
    ) -> Option<State> {
        match was {
            State::Tone { take } => out.push(Command::Discard { take }),
            State::Starting { take, .. } | State::Recording(Recording { take, .. }) => {
                self.finish(take, ended_by, now, out);
            }
            // The recorder was asked to end it.
            State::Undecided { came, .. } => {
                if let Some(news) = came {
                    self.news(now, news, out);
                }
            }
            State::After { .. } => self.let_go(out),
            State::Choosing(Choosing {
                chosen: Some(choice),
                question,
                ..
            }) => {
                self.cast(now, &question, choice, out);
            }
            State::Finishing {
                take,
                next,
                deletes: false,
                ..
            } => Self::delete_unheld(take, next, out),
            State::Idle
            | State::Notice { .. }
            | State::Asking(_)
            | State::Choosing(_)
            | State::Coding(_)
            | State::Casting { .. }
            | State::Voted { .. }
            | State::Finishing { .. }
            | State::Goodbye
            | State::OffHook { .. }
            | State::OutOfOrder
            | State::Withdrawing(_)
            | State::Service(_) => return Some(was),
        }
        None
    }
}
