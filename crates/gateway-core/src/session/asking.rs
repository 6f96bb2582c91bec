//! What a citizen is asked: the notice, the languages, the questions that are open, and what became of earlier answers.
//!
//! Owns: the way from the lift to a choice. Never does: record, or count a vote.

use super::hands::repeats;
use super::machine::Session;
use super::offer::{OpenQuestion, QuestionKind};
use super::state::State;
use super::{Command, Key, KeySource, Prompt};
use crate::counters::Counter;
use crate::prompt::Word;
use booth_contract::ConsentMode;
use booth_contract::time::Mono;

/// The questions play, or something else after which one can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asking {
    /// The questions were asked once more because nothing was chosen.
    pub(super) repeated: bool,
    /// Since when it is quiet.
    pub(super) heard: Option<Mono>,
    /// The questions themselves were played, and not only a sentence.
    pub(super) is_question: bool,
}

/// A digit of the handset as the booth says it.
pub(super) fn digit_said(digit: u8) -> Prompt {
    let word = Word::of_char(char::from(b'0' + digit % 10));
    word.map_or(Prompt::Pause, Prompt::Word)
}

impl Session {
    /// The notice, in the language of the visit.
    pub(super) fn read_notice(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.state = State::Notice { pending: None };
        self.play(now, vec![Prompt::Notice], out);
    }

    /// The notice was heard to its end.
    pub(super) fn notice_heard(
        &mut self,
        now: Mono,
        pending: Option<(Key, KeySource)>,
        out: &mut Vec<Command>,
    ) {
        self.visit.notice_heard = true;
        match pending {
            Some((key, source)) => {
                self.state = State::Asking(Asking {
                    repeated: false,
                    heard: Some(now),
                    is_question: false,
                });
                self.choose(now, key, source, out);
            }
            None => self.ask(now, false, None, out),
        }
    }

    fn only_question(&self) -> Option<&OpenQuestion> {
        match self.offer.questions.as_slice() {
            [question] => Some(question),
            _ => None,
        }
    }

    /// The only question, unless it is a vote an option of which has the digit of a language or of an answer: digits never mean two things
    /// (contract §2), so that such a vote is chosen first, like one of several.
    pub(super) fn asked_at_once(&self) -> Option<&OpenQuestion> {
        let only = self.only_question()?;
        let languages = self.offer.languages.iter().map(|language| language.digit);
        let answers = self.offer.answers.iter().map(|answer| answer.digit);
        let is_option = |digit: u8| only.options().iter().any(|option| option.digit == digit);
        (!languages.chain(answers).any(is_option)).then_some(only)
    }

    /// Each other language in its own words, until something was chosen.
    pub(super) fn languages_offered(&self) -> Vec<Prompt> {
        if self.visit.has_chosen || !self.has_digits() {
            return Vec::new();
        }
        let others = self.offer.languages.iter();
        let others = others.filter(|other| other.lang != self.visit.lang);
        others
            .flat_map(|other| {
                [Prompt::Word(Word::OfferLanguage), digit_said(other.digit)]
                    .map(|prompt| Prompt::InLanguage(other.lang.clone(), Box::new(prompt)))
            })
            .collect()
    }

    /// Which digits play what became of earlier answers.
    pub(super) fn answers_offered(&self) -> Vec<Prompt> {
        let answers = self.offer.answers.iter();
        answers
            .filter(|_| self.has_digits())
            .flat_map(|answer| [Prompt::Word(Word::HearAnswer), digit_said(answer.digit)])
            .collect()
    }

    /// Plays the open questions, after `before` if something has to be said first. A vote that is the only question is held at once.
    pub(super) fn ask(
        &mut self,
        now: Mono,
        repeated: bool,
        before: Option<Prompt>,
        out: &mut Vec<Command>,
    ) {
        self.take_next_offer();
        if !self.can_record() {
            self.out_of_order(now, out);
            return;
        }
        if let Some(only) = self.asked_at_once()
            && let QuestionKind::Choose { .. } = only.kind
        {
            let only = only.clone();
            self.open_vote(now, only, repeated, before, out);
            return;
        }
        let mut prompts = Vec::new();
        if before != Some(Prompt::NoSuchQuestion) {
            prompts.extend(self.languages_offered());
        }
        prompts.splice(0..0, before);
        if let Some(only) = self.asked_at_once() {
            prompts.push(only.prompt.clone());
            match self.rules.consent {
                ConsentMode::Digit => {
                    prompts.extend([Prompt::Word(Word::DialToSpeak), digit_said(only.digit)]);
                }
                ConsentMode::Button => prompts.push(Prompt::Word(Word::PressToSpeak)),
                ConsentMode::Implied => {}
            }
        } else {
            prompts.push(Prompt::Menu);
            for question in &self.offer.questions {
                let digit = [Prompt::Word(Word::Dial), digit_said(question.digit)];
                prompts.push(question.prompt.clone());
                prompts.extend(digit);
            }
        }
        prompts.extend(self.answers_offered());
        self.state = State::Asking(Asking {
            repeated,
            heard: None,
            is_question: true,
        });
        self.play(now, prompts, out);
    }

    /// Says something after which a question can be chosen without being asked again at once.
    pub(super) fn wait_for_choice(
        &mut self,
        now: Mono,
        mut prompts: Vec<Prompt>,
        out: &mut Vec<Command>,
    ) {
        prompts.extend(self.has_digits().then_some(Prompt::Word(Word::DialAgain)));
        self.state = State::Asking(Asking {
            repeated: false,
            heard: None,
            is_question: false,
        });
        self.play(now, prompts, out);
    }

    /// What was played is over. At a closed event listening to the question is the consent.
    pub(super) fn asked(&mut self, now: Mono, out: &mut Vec<Command>) {
        let State::Asking(Asking {
            is_question: true, ..
        }) = self.state
        else {
            return;
        };
        if self.rules.consent == ConsentMode::Implied
            && let Some(only) = self.only_question()
        {
            let only = only.clone();
            self.consent(now, &only, None, out);
        }
    }

    /// A key while a question is open.
    pub(super) fn choose(
        &mut self,
        now: Mono,
        key: Key,
        source: KeySource,
        out: &mut Vec<Command>,
    ) {
        // One button cannot tell several questions apart.
        let by_digit = self.has_digits() || self.only_question().is_none();
        match key {
            _ if repeats(key, source) => {
                self.louder();
                self.ask(now, false, None, out);
            }
            Key::Digit(digit) => {
                let question = self.offer.questions.iter().filter(|_| by_digit);
                let mut question = question.filter(|question| question.digit == digit);
                if let Some(question) = question.next().cloned() {
                    match question.kind {
                        QuestionKind::Speak => {
                            self.consent(now, &question, Some(digit.to_string()), out)
                        }
                        QuestionKind::Choose { .. } => {
                            self.open_vote(now, question, false, None, out)
                        }
                    }
                } else if self.changes_language(now, digit, out)
                    || self.plays_answer(now, digit, out)
                    || self.votes_at_once(now, digit, out)
                {
                } else if by_digit {
                    self.ask(now, false, Some(Prompt::NoSuchQuestion), out);
                }
            }
            Key::Hash if by_digit => match self.only_question() {
                Some(question) if question.kind == QuestionKind::Speak => {
                    let question = question.clone();
                    self.consent(now, &question, Some("#".into()), out);
                }
                _ => self.ask(now, false, Some(Prompt::NoSuchQuestion), out),
            },
            Key::Button if self.rules.consent == ConsentMode::Button => {
                if let Some(question) = self.only_question().cloned() {
                    self.consent(now, &question, Some("button".into()), out);
                }
            }
            Key::Hash | Key::Button | Key::Star => {}
        }
    }

    /// Changes the language of this visit, if the digit is a language's. The notice is heard in it.
    pub(super) fn changes_language(
        &mut self,
        now: Mono,
        digit: u8,
        out: &mut Vec<Command>,
    ) -> bool {
        let mut languages = self.offer.languages.iter();
        let Some(language) = languages.find(|language| language.digit == digit) else {
            return false;
        };
        self.visit.lang.clone_from(&language.lang);
        self.visit.notice_heard = false;
        self.read_notice(now, out);
        true
    }

    /// Plays what became of earlier answers, if the digit is one of these.
    fn plays_answer(&mut self, now: Mono, digit: u8, out: &mut Vec<Command>) -> bool {
        let Some(prompt) = self.answer(digit) else {
            return false;
        };
        self.wait_for_choice(now, vec![prompt], out);
        true
    }

    pub(super) fn answer(&self, digit: u8) -> Option<Prompt> {
        let mut answers = self.offer.answers.iter();
        let answer = answers.find(|answer| answer.digit == digit);
        answer.map(|answer| answer.prompt.clone())
    }

    /// Where nothing is asked any more, what became of the answers can still be heard.
    pub(super) fn hear_answer_out_of_order(&mut self, now: Mono, key: Key, out: &mut Vec<Command>) {
        if let Key::Digit(digit) = key
            && self.is_working()
            && let Some(prompt) = self.answer(digit)
        {
            self.play(now, vec![prompt], out);
        }
    }

    /// Where a vote is the only question, an option counts although its digit came before the options.
    fn votes_at_once(&mut self, now: Mono, digit: u8, out: &mut Vec<Command>) -> bool {
        let Some(question) = self.asked_at_once() else {
            return false;
        };
        let is_option = question
            .options()
            .iter()
            .any(|option| option.digit == digit);
        if is_option {
            let question = question.clone();
            self.open_vote(now, question, false, None, out);
            if let State::Choosing(_) = self.state {
                self.choose_option(now, Key::Digit(digit), out);
            }
        }
        is_option
    }

    pub(super) fn tick_asking(&mut self, now: Mono, asking: &Asking, out: &mut Vec<Command>) {
        let due = asking
            .heard
            .map(|heard| heard + self.patience(asking.repeated));
        if due.is_none_or(|due| now < due) {
            return;
        }
        if asking.repeated {
            self.goodbye(now, out);
        } else {
            self.ask(now, true, Some(Prompt::Repeat), out);
        }
    }

    /// Nothing was chosen: a goodbye, counted if nothing was said or chosen earlier in the visit, either.
    pub(super) fn goodbye(&mut self, now: Mono, out: &mut Vec<Command>) {
        if !self.visit.has_chosen {
            out.push(Command::Count(Counter::Refused));
        }
        self.state = State::Goodbye;
        self.play(now, vec![Prompt::Goodbye], out);
    }
}
