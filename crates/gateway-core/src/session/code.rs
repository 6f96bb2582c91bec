//! A vote that counts with a one-time code alone: the code is dialled after an option was chosen, and its last digit casts the vote.
//!
//! Owns: what is chosen while its code is dialled. Never does: know which codes are on the hub's list: a booth looks at the form and the
//! check digit, and seals the code beside the receipt. Without a whole code nothing is cast.

use super::dialled::Dialled;
use super::machine::{RECORDER_LIMIT, Session};
use super::offer::OpenQuestion;
use super::state::State;
use super::vote::Ballot;
use super::{Command, Key, Prompt};
use crate::prompt::Word;
use booth_contract::time::Mono;
use booth_contract::{CODE_DIGITS, OneTimeCode};

/// A vote whose code is being dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) question: OpenQuestion,
    /// The digit that was chosen.
    pub(super) choice: u8,
    pub(super) dialled: Dialled,
}

impl Session {
    /// Asks for the code with which what was chosen counts.
    pub(super) fn ask_code(
        &mut self,
        now: Mono,
        question: OpenQuestion,
        choice: u8,
        out: &mut Vec<Command>,
    ) {
        let mut prompts = question.chosen_said(choice);
        prompts.push(Prompt::Word(Word::CodeIntro));
        self.state = State::Coding(Coding {
            question,
            choice,
            dialled: Dialled::of(CODE_DIGITS),
        });
        self.play(now, prompts, out);
    }

    /// A key while a code is dialled: 0 is one of its digits, `*` begins again, `#` leads back to the options.
    pub(super) fn code_key(&mut self, now: Mono, key: Key, out: &mut Vec<Command>) {
        let State::Coding(coding) = &mut self.state else {
            return;
        };
        match key {
            Key::Star => {
                let (question, choice) = (coding.question.clone(), coding.choice);
                self.digits.clear();
                self.louder();
                self.ask_code(now, question, choice, out);
            }
            Key::Hash => {
                let question = coding.question.clone();
                self.digits.clear();
                self.open_vote(now, question, false, None, out);
            }
            Key::Digit(digit) => {
                let whole = coding.dialled.push(digit);
                self.stop_play(out);
                self.quiet_since = now;
                if let Some(digits) = whole {
                    // What is dialled next is no part of an emergency number that begins in a code.
                    self.digits.clear();
                    self.code_dialled(now, &digits, out);
                }
            }
            Key::Button => {}
        }
    }

    fn code_dialled(&mut self, now: Mono, digits: &[u8], out: &mut Vec<Command>) {
        let State::Coding(Coding {
            question, choice, ..
        }) = &self.state
        else {
            return;
        };
        match OneTimeCode::parse(digits) {
            Ok(code) => {
                let (question, choice) = (question.clone(), *choice);
                let take = self.cast_with(now, &question, choice, Some(code), out);
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
            Err(_) => self.play(now, vec![Prompt::Word(Word::CodeWrong)], out),
        }
    }

    /// Nobody dials any more: the options are said once more, and then a goodbye. Nothing is cast.
    pub(super) fn tick_coding(&mut self, now: Mono, coding: &Coding, out: &mut Vec<Command>) {
        let is_due = self
            .dialling_due(&coding.dialled)
            .is_some_and(|due| due <= now);
        if is_due && self.tick_dialling(now, out) {
            self.digits.clear();
            let before = Some(Prompt::Repeat);
            self.open_vote(now, coding.question.clone(), true, before, out);
        }
    }
}
