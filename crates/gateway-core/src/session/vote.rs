//! Votes: options by digit, a choice that can be changed until it is cast, and the pause from one vote to the next.
//!
//! Owns: what is chosen and when a question was voted on. Never does: record.

use super::after::Hears;
use super::asking::digit_said;
use super::hands::repeats_anywhere;
use super::machine::{RECORDER_LIMIT, SAVED, Session};
use super::offer::{OpenQuestion, QuestionKind};
use super::state::State;
use super::{Command, Key, KeySource, Prompt, TakeId};
use crate::counters::Counter;
use crate::prompt::{Language, Word};
use crate::spoken;
use booth_contract::OneTimeCode;
use booth_contract::time::Mono;
use std::time::Duration;

/// Votes that the card may have left to answer for.
const MOST_BALLOTS: usize = 16;
/// Questions whose latest vote is remembered.
const MOST_VOTED: usize = 64;

/// When a question was voted on last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voted {
    /// Then, or at the start of this process if it was before.
    pub at: Mono,
    /// How much before.
    pub older: Duration,
}

/// A vote that is being held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choosing {
    pub(super) question: OpenQuestion,
    /// The digit that was chosen; hanging up casts it.
    pub(super) chosen: Option<u8>,
    /// The options were said once more because none was chosen.
    pub(super) repeated: bool,
    /// Since when it is quiet.
    pub(super) heard: Option<Mono>,
}

impl OpenQuestion {
    /// Whether a vote on it counts with a one-time code alone.
    pub(super) fn needs_code(&self) -> bool {
        matches!(self.kind, QuestionKind::Choose { codes: true, .. })
    }

    /// "You chose 2", with the option itself.
    pub(super) fn chosen_said(&self, chosen: u8) -> Vec<Prompt> {
        let mut options = self.options().iter();
        let option = options.find(|option| option.digit == chosen);
        let mut prompts = vec![Prompt::Word(Word::YouChose), digit_said(chosen)];
        prompts.extend(option.map(|option| option.prompt.clone()));
        prompts
    }
}

/// A vote that was cast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ballot {
    pub(super) take: TakeId,
    pub(super) question: OpenQuestion,
    pub(super) choice: u8,
}

impl Session {
    /// Says the question and its options, unless this booth has to wait before the next vote on it.
    pub(super) fn open_vote(
        &mut self,
        now: Mono,
        question: OpenQuestion,
        repeated: bool,
        before: Option<Prompt>,
        out: &mut Vec<Command>,
    ) {
        if !self.can_record() {
            self.out_of_order(now, out);
            return;
        }
        let is_only = self.asked_at_once().is_some();
        if question.needs_code() && !self.can_seal {
            let prompts = vec![Prompt::Word(Word::CodeNot)];
            self.not_possible(now, is_only, prompts, out);
            return;
        }
        if let Some(pause) = self.left_of_pause(now, &question) {
            let prompts = self.vote_later(pause);
            self.not_possible(now, is_only, prompts, out);
            return;
        }
        let mut prompts: Vec<Prompt> = before.into_iter().collect();
        if is_only {
            prompts.extend(self.languages_offered());
        }
        prompts.push(question.prompt.clone());
        for option in question.options() {
            prompts.push(option.prompt.clone());
            prompts.extend([Prompt::Word(Word::Dial), digit_said(option.digit)]);
        }
        if is_only {
            prompts.extend(self.answers_offered());
        }
        self.state = State::Choosing(Choosing {
            question,
            chosen: None,
            repeated,
            heard: None,
        });
        self.play(now, prompts, out);
    }

    /// Says why there is no vote now.
    fn not_possible(
        &mut self,
        now: Mono,
        is_only: bool,
        prompts: Vec<Prompt>,
        out: &mut Vec<Command>,
    ) {
        if is_only && self.offer.answers.is_empty() {
            self.state = State::Goodbye;
            self.play(now, prompts, out);
        } else {
            self.wait_for_choice(now, prompts, out);
        }
    }

    fn left_of_pause(&self, now: Mono, question: &OpenQuestion) -> Option<Duration> {
        let QuestionKind::Choose { min_pause, .. } = question.kind else {
            return None;
        };
        let Voted { at, older } = *self.voted_at.get(&question.id)?;
        let due = at + min_pause.saturating_sub(older);
        (now < due).then(|| due.since(now))
    }

    /// When the next vote is possible, in minutes, rounded up.
    fn vote_later(&self, pause: Duration) -> Vec<Prompt> {
        let minutes = pause.as_secs().div_ceil(60).max(1);
        let words = spoken::minutes(minutes, Language::of(&self.visit.lang));
        let words = std::iter::once(Word::VoteLater).chain(words);
        words.map(Prompt::Word).collect()
    }

    /// A key while an option can be chosen.
    pub(super) fn choose_option(&mut self, now: Mono, key: Key, out: &mut Vec<Command>) {
        let is_only = self.asked_at_once().is_some();
        let State::Choosing(choosing) = &mut self.state else {
            return;
        };
        let is_option = |digit: u8| {
            let mut options = choosing.question.options().iter();
            options.any(|option| option.digit == digit)
        };
        match key {
            _ if repeats_anywhere(key) => {
                self.louder();
                self.say_vote(now, out);
            }
            Key::Digit(digit) if is_option(digit) && choosing.question.needs_code() => {
                let question = choosing.question.clone();
                self.ask_code(now, question, digit, out);
            }
            Key::Digit(digit) if is_option(digit) => {
                choosing.chosen = Some(digit);
                self.visit.has_chosen = true;
                self.say_vote(now, out);
            }
            Key::Digit(1) if choosing.chosen.is_some() => {
                let Some(choice) = choosing.chosen else {
                    return;
                };
                let question = choosing.question.clone();
                self.stop_play(out);
                let take = self.cast(now, &question, choice, out);
                self.state = State::Casting {
                    ballot: Ballot {
                        take,
                        question,
                        choice,
                    },
                    until: now + RECORDER_LIMIT,
                    next: None,
                };
            }
            Key::Digit(7) if choosing.chosen.is_some() || !is_only => {
                if let Some(choice) = choosing.chosen {
                    let question = choosing.question.clone();
                    self.cast(now, &question, choice, out);
                    self.forget_receipt();
                }
                self.ask(now, false, None, out);
            }
            Key::Digit(digit) if choosing.chosen.is_none() => {
                if let Some(prompt) = self.answer(digit) {
                    if let State::Choosing(choosing) = &mut self.state {
                        choosing.heard = None;
                    }
                    self.play(now, vec![prompt], out);
                } else if !self.changes_language(now, digit, out) {
                    self.not_offered(now, out);
                }
            }
            Key::Digit(_) => self.not_offered(now, out),
            Key::Star | Key::Hash | Key::Button => {}
        }
    }

    /// The digit means nothing here: says so, and what can be dialled.
    fn not_offered(&mut self, now: Mono, out: &mut Vec<Command>) {
        let State::Choosing(choosing) = &self.state else {
            return;
        };
        if choosing.chosen.is_some() {
            let mut prompts = vec![Prompt::Word(Word::NotOffered)];
            prompts.extend(self.chosen_said());
            self.play(now, prompts, out);
        } else {
            let question = choosing.question.clone();
            let before = Some(Prompt::Word(Word::NotOffered));
            self.open_vote(now, question, false, before, out);
        }
    }

    /// Says the options, or what was chosen of them.
    fn say_vote(&mut self, now: Mono, out: &mut Vec<Command>) {
        let State::Choosing(choosing) = &self.state else {
            return;
        };
        if choosing.chosen.is_some() {
            let prompts = self.chosen_said();
            self.play(now, prompts, out);
        } else {
            let question = choosing.question.clone();
            self.open_vote(now, question, false, None, out);
        }
    }

    /// "You chose 2", with the option itself, and how it is cast.
    fn chosen_said(&self) -> Vec<Prompt> {
        let State::Choosing(Choosing {
            question,
            chosen: Some(chosen),
            ..
        }) = &self.state
        else {
            return Vec::new();
        };
        let mut prompts = question.chosen_said(*chosen);
        prompts.push(Prompt::Word(Word::HangUpToCast));
        prompts
    }

    /// Hands the vote to the card. It counts once, whatever ends the visit.
    pub(super) fn cast(
        &mut self,
        now: Mono,
        question: &OpenQuestion,
        choice: u8,
        out: &mut Vec<Command>,
    ) -> TakeId {
        self.cast_with(now, question, choice, None, out)
    }

    /// The same, with the one-time code without which it does not count.
    pub(super) fn cast_with(
        &mut self,
        now: Mono,
        question: &OpenQuestion,
        choice: u8,
        code: Option<OneTimeCode>,
        out: &mut Vec<Command>,
    ) -> TakeId {
        self.visit.has_chosen = true;
        let take = self.next_take();
        if self.ballots.len() == MOST_BALLOTS {
            self.ballots.remove(0);
        }
        self.ballots.push((take, question.id.clone()));
        let has_pause = !matches!(
            question.kind,
            QuestionKind::Choose {
                min_pause: Duration::ZERO,
                ..
            }
        );
        if has_pause {
            self.was_voted(question.id.clone(), now, Duration::ZERO);
        }
        self.forget_receipt();
        self.receipt_of = Some(take);
        out.push(Command::Cast {
            take,
            asked: self.asked_by(question, Some(choice)),
            choice,
            code,
        });
        take
    }

    /// The latest votes on questions whose votes have a pause, each with its time.
    pub fn voted(&self) -> impl Iterator<Item = (&str, Voted)> {
        let voted = self.voted_at.iter();
        voted.map(|(question, voted)| (question.as_str(), *voted))
    }

    /// Notes a vote on a question: since then, and it is so much older than that.
    pub fn was_voted(&mut self, question: String, at: Mono, older: Duration) {
        if self.voted_at.len() == MOST_VOTED && !self.voted_at.contains_key(&question) {
            let mut voted: Vec<(&String, &Voted)> = self.voted_at.iter().collect();
            voted.sort_by_key(|(_, voted)| (voted.at, std::cmp::Reverse(voted.older)));
            if let Some(oldest) = voted.first().map(|(id, _)| (*id).clone()) {
                self.voted_at.remove(&oldest);
            }
        }
        self.voted_at.insert(question, Voted { at, older });
    }

    /// Whether a clip that is durable is a vote or speech.
    pub(super) fn counted_as(&mut self, take: TakeId) -> Counter {
        let before = self.ballots.len();
        self.ballots.retain(|(ballot, _)| *ballot != take);
        match self.ballots.len() < before {
            true => Counter::Choices,
            false => Counter::Clips,
        }
    }

    /// The card refused it: if it was a vote, the next one on its question need not wait.
    pub(super) fn vote_failed(&mut self, take: TakeId) {
        let mut ballots = self.ballots.iter();
        if let Some(at) = ballots.position(|(ballot, _)| *ballot == take) {
            let (_, question) = self.ballots.remove(at);
            self.voted_at.remove(&question);
        }
    }

    /// The vote is on the card.
    pub(super) fn was_cast(
        &mut self,
        now: Mono,
        ballot: Ballot,
        next: Option<(Key, KeySource)>,
        out: &mut Vec<Command>,
    ) {
        self.quiet_since = now;
        self.saved_until = Some(now + SAVED);
        self.state = State::Voted {
            ballot,
            hears: Hears::Menu,
        };
        match next {
            Some((key, _)) => self.voted_key(now, key, out),
            None => self.voted_menu(now, vec![Prompt::Word(Word::VoteCast)], out),
        }
    }

    fn voted_menu(&mut self, now: Mono, before: Vec<Prompt>, out: &mut Vec<Command>) {
        let mut prompts = before;
        let words = [
            self.receipt.is_some().then_some(Word::MenuReceipt),
            Some(Word::MenuAnother),
        ];
        prompts.extend(words.into_iter().flatten().map(Prompt::Word));
        prompts.extend(self.answer_offered());
        self.play(now, prompts, out);
    }

    /// A key after a vote was cast.
    pub(super) fn voted_key(&mut self, now: Mono, key: Key, out: &mut Vec<Command>) {
        let State::Voted { hears, .. } = self.state else {
            return;
        };
        match key {
            _ if repeats_anywhere(key) => {
                self.louder();
                match hears {
                    Hears::Receipt { .. } => self.say_receipt(now, true, out),
                    Hears::Menu | Hears::OwnWords => self.voted_menu(now, Vec::new(), out),
                }
            }
            Key::Digit(6) => self.say_receipt(now, false, out),
            Key::Digit(7) => {
                self.forget_receipt();
                self.ask(now, false, None, out);
            }
            Key::Digit(_) => {
                self.voted_menu(now, vec![Prompt::Word(Word::NotOffered)], out);
            }
            Key::Star | Key::Hash | Key::Button => {}
        }
    }

    pub(super) fn tick_choosing(&mut self, now: Mono, choosing: &Choosing, out: &mut Vec<Command>) {
        let due = choosing
            .heard
            .map(|heard| heard + self.patience(choosing.repeated));
        if due.is_none_or(|due| now < due) {
            return;
        }
        if choosing.repeated {
            self.goodbye(now, out);
        } else {
            let before = Some(Prompt::Repeat);
            self.open_vote(now, choosing.question.clone(), true, before, out);
        }
    }
}
