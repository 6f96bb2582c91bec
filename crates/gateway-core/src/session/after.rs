//! Second thoughts: what a citizen can do with words that were just spoken, and what is asked about them.
//!
//! Owns: the one menu after speaking, with the same digits everywhere (contract §2): 3 hear, 4 say again, 5 delete, 6 receipt, 7 another
//! question; 8 and 9 publication. Never does: assume anything: what is not allowed by a key is not allowed.

use super::asking::digit_said;
use super::hands::repeats_anywhere;
use super::machine::{RECORDER_LIMIT, Session};
use super::offer::MayPublish;
use super::state::State;
use super::{Command, Key, KeySource, Prompt, TakeId};
use crate::prompt::Word;
use booth_contract::receipt::Receipt;
use booth_contract::time::Mono;
use booth_contract::{ConsentMode, Publish};
use std::time::Duration;

/// The own words begin and end later than they last by at most this much.
const PLAY_BACK_MARGIN: Duration = Duration::from_secs(30);
/// Digits of a receipt that are read together.
const GROUP: usize = 3;
/// Changes of mind about publication that are remembered.
const MOST_CHANGES: usize = 16;

/// What a citizen hears after speaking or voting, and hears again on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hears {
    /// What can be done.
    Menu,
    /// The held take.
    OwnWords,
    /// The receipt, at this pace.
    Receipt {
        /// With longer gaps.
        slow: bool,
    },
}

impl Session {
    /// The words are held: the citizen is told what can be done with them.
    pub(super) fn held(
        &mut self,
        now: Mono,
        broken: bool,
        next: Option<(Key, KeySource)>,
        out: &mut Vec<Command>,
    ) {
        self.quiet_since = now;
        if broken {
            self.out_of_order(now, out);
        } else if let Some((key, _)) = next {
            self.after_key(now, key, out);
        } else {
            let before = vec![Prompt::Thanks, Prompt::Word(Word::MessageKept)];
            self.after_menu(now, before, out);
        }
    }

    /// The words are deleted, by their citizen or because they were too short to keep.
    pub(super) fn is_gone(
        &mut self,
        now: Mono,
        said: Prompt,
        broken: bool,
        next: Option<(Key, KeySource)>,
        out: &mut Vec<Command>,
    ) {
        self.current = None;
        self.forget_receipt();
        self.quiet_since = now;
        if broken {
            self.out_of_order(now, out);
            return;
        }
        self.wait_for_choice(now, vec![said], out);
        if let Some((key, source)) = next {
            self.choose(now, key, source, out);
        }
    }

    /// Closes the held take, with what its citizen allowed.
    pub(super) fn let_go(&mut self, out: &mut Vec<Command>) {
        if let Some(current) = self.current.take() {
            out.push(Command::Close {
                take: current.take,
                publish: current.publish,
            });
        }
        self.forget_receipt();
    }

    /// Takes back what was allowed since then.
    pub(super) fn allowed_before(&mut self, since: Mono) {
        if let Some(current) = &mut self.current {
            let mut changes = current.allowed.iter();
            if let Some((_, before)) = changes.find(|(at, _)| *at >= since) {
                current.publish = *before;
            }
        }
    }

    fn may_publish(&self) -> MayPublish {
        let current = self.current.as_ref();
        current.map_or(MayPublish::No, |current| current.question.publish)
    }

    /// Whether a digit does something in the menu after speaking.
    pub(super) fn after_means(&self, digit: u8) -> bool {
        match digit {
            0 | 3..=7 => true,
            8 => self.may_publish() != MayPublish::No,
            9 => self.may_publish() == MayPublish::AskVoice,
            _ => false,
        }
    }

    /// Says what can be done, and asks what may be published.
    pub(super) fn after_menu(&mut self, now: Mono, before: Vec<Prompt>, out: &mut Vec<Command>) {
        self.state = State::After { hears: Hears::Menu };
        if !self.has_digits() {
            self.play(now, before, out);
            return;
        }
        let mut words = vec![Word::MenuHear, Word::MenuAgain, Word::MenuDelete];
        words.extend(self.receipt.is_some().then_some(Word::MenuReceipt));
        words.push(Word::MenuAnother);
        words.extend(match self.may_publish() {
            MayPublish::No => None,
            MayPublish::AskText => Some(Word::AskText),
            MayPublish::AskVoice => Some(Word::AskVoice),
        });
        let mut prompts = before;
        prompts.extend(words.into_iter().map(Prompt::Word));
        prompts.extend(self.answer_offered());
        self.play(now, prompts, out);
    }

    /// Whether this booth has more than a button, as far as its way of consent tells.
    pub(super) fn has_digits(&self) -> bool {
        self.rules.consent != ConsentMode::Button
    }

    /// Once in a visit, after a message: where to hear what became of earlier answers, the ones to the same question first.
    pub(super) fn answer_offered(&mut self) -> Vec<Prompt> {
        if self.visit.answer_offered {
            return Vec::new();
        }
        let same = match (&self.current, &self.state) {
            (Some(current), _) => Some(&current.question.id),
            (None, State::Voted { ballot, .. }) => Some(&ballot.question.id),
            (None, _) => None,
        };
        let answers = &self.offer.answers;
        let answer = answers
            .iter()
            .find(|answer| Some(&answer.question_id) == same)
            .or(answers.first());
        let Some(answer) = answer else {
            return Vec::new();
        };
        self.visit.answer_offered = true;
        vec![Prompt::Word(Word::HearAnswerNext), digit_said(answer.digit)]
    }

    /// A key while the words are held.
    pub(super) fn after_key(&mut self, now: Mono, key: Key, out: &mut Vec<Command>) {
        let State::After { hears } = self.state else {
            return;
        };
        match key {
            _ if repeats_anywhere(key) => {
                self.louder();
                match hears {
                    Hears::Menu => self.after_menu(now, Vec::new(), out),
                    Hears::OwnWords => self.play_back(now, out),
                    Hears::Receipt { .. } => self.say_receipt(now, true, out),
                }
            }
            Key::Digit(digit) if !self.after_means(digit) => {
                self.after_menu(now, vec![Prompt::Word(Word::NotOffered)], out);
            }
            Key::Digit(3) => self.play_back(now, out),
            Key::Digit(4) => self.say_again(now, out),
            Key::Digit(5) => self.delete(now, out),
            Key::Digit(6) => self.say_receipt(now, false, out),
            Key::Digit(7) => {
                self.let_go(out);
                self.ask(now, false, None, out);
            }
            Key::Digit(8) => self.allow(now, Publish::Text, out),
            Key::Digit(_) => self.allow(now, Publish::Voice, out),
            // The only key of such a booth leads to its question again.
            Key::Button if !self.has_digits() => {
                self.let_go(out);
                self.ask(now, false, None, out);
            }
            Key::Star | Key::Hash | Key::Button => {}
        }
    }

    fn play_back(&mut self, now: Mono, out: &mut Vec<Command>) {
        let Some(current) = &self.current else { return };
        let (take, limit) = (current.take, current.max + PLAY_BACK_MARGIN);
        self.state = State::After {
            hears: Hears::OwnWords,
        };
        let id = self.next_play(now + limit);
        out.push(Command::PlayBack {
            id,
            take,
            gain_steps: self.visit.gain_steps,
        });
    }

    /// Deletes the words, and lets the citizen answer the same question anew.
    fn say_again(&mut self, now: Mono, out: &mut Vec<Command>) {
        if !self.can_record() {
            // There are no other words to take their place: they are kept, and what was allowed of them is not.
            if let Some(current) = &mut self.current {
                current.publish = Publish::No;
            }
            self.out_of_order(now, out);
            return;
        }
        if let Some(current) = self.current.take() {
            out.push(Command::Discard { take: current.take });
            self.consent(now, &current.question, current.key, out);
        }
    }

    /// The recorder has not answered yet, and the citizen has pressed a key that deletes: that holds, whatever comes first.
    pub(super) fn delete_unheld(
        take: TakeId,
        next: Option<(Key, KeySource)>,
        out: &mut Vec<Command>,
    ) {
        if let Some((Key::Digit(4 | 5), _)) = next {
            out.push(Command::Discard { take });
        }
    }

    /// The booth says that the words are deleted when they are.
    fn delete(&mut self, now: Mono, out: &mut Vec<Command>) {
        let Some(current) = self.current.take() else {
            return;
        };
        let take = current.take;
        self.stop_play(out);
        self.forget_receipt();
        self.saved_until = None;
        out.push(Command::Discard { take });
        self.state = State::Finishing {
            take,
            until: now + RECORDER_LIMIT,
            deletes: true,
            broken: false,
            next: None,
        };
    }

    /// One key allows it, the same key again takes that back.
    fn allow(&mut self, now: Mono, wanted: Publish, out: &mut Vec<Command>) {
        let Some(current) = &mut self.current else {
            return;
        };
        if current.allowed.len() == MOST_CHANGES {
            current.allowed.remove(0);
        }
        current.allowed.push((now, current.publish));
        current.publish = match current.publish == wanted {
            true => Publish::No,
            false => wanted,
        };
        let word = match current.publish {
            Publish::No => Word::MayNot,
            Publish::Text => Word::MayText,
            Publish::Voice => Word::MayVoice,
        };
        self.state = State::After { hears: Hears::Menu };
        self.play(now, vec![Prompt::Word(word)], out);
    }

    /// Says the receipt twice, digit by digit in groups, or that there is none.
    pub(super) fn say_receipt(&mut self, now: Mono, slow: bool, out: &mut Vec<Command>) {
        let hears = match &mut self.state {
            State::After { hears } | State::Voted { hears, .. } => hears,
            _ => return,
        };
        let Some(receipt) = &self.receipt else {
            *hears = Hears::Menu;
            self.play(now, vec![Prompt::Word(Word::NoReceipt)], out);
            return;
        };
        *hears = Hears::Receipt { slow };
        let read = read_slowly(receipt, slow);
        let mut prompts = vec![Prompt::Word(Word::ReceiptIntro), Prompt::Pause];
        prompts.extend(read.iter().cloned());
        prompts.extend([
            Prompt::Pause,
            Prompt::Word(Word::ReceiptAgain),
            Prompt::Pause,
        ]);
        prompts.extend(read);
        let code = &self.rules.withdraw_code;
        if !code.is_empty() {
            prompts.extend([Prompt::Pause, Prompt::Word(Word::ReceiptHow)]);
            prompts.extend(code.iter().map(|digit| digit_said(*digit)));
        }
        prompts.extend([Prompt::Pause, Prompt::Word(Word::ReceiptSlower)]);
        // The digits are not kept to be said again: the receipt itself is, until the visit ends.
        self.said.clear();
        self.play_once(now, prompts, slow, out);
    }
}

/// The digits of a receipt with the pauses in which they are written down.
fn read_slowly(receipt: &Receipt, slow: bool) -> Vec<Prompt> {
    let (after_digit, after_group) = if slow { (3, 6) } else { (1, 3) };
    let mut read = Vec::new();
    let mut digits = receipt.digits();
    for group in digits.chunks(GROUP) {
        for digit in group {
            read.push(digit_said(*digit));
            read.extend(std::iter::repeat_n(Prompt::Pause, after_digit));
        }
        read.extend(std::iter::repeat_n(
            Prompt::Pause,
            after_group - after_digit,
        ));
    }
    digits.fill(0);
    std::hint::black_box(&digits);
    read
}
