//! What a person before the booth's screen should see now. Pure.
//!
//! Owns: the state of a visit as things to show: what goes on, which question it is about, what can be chosen by which digit,
//! what the other keys do, until when. Never does: choose words (`adapters::screen` has the sentences), change the visit.
//!
//! A scene holds nothing of a visit that is over: it is made anew from the state each time.

use super::after::Hears;
use super::machine::Session;
use super::state::State;
use super::{Choice, Key, MayPublish, OpenQuestion, Prompt};
use crate::prompt::Word;
use booth_contract::receipt::Receipt;
use booth_contract::time::Mono;
use booth_contract::{ConsentMode, Publish};

/// What goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody is at the handset, and a citizen can speak.
    Ready,
    /// The booth cannot take messages.
    OutOfOrder,
    /// The booth works, and nothing is asked.
    NothingAsked,
    /// The notice is said: who records and why.
    Notice,
    /// The questions are said, or a choice is waited for.
    Asking,
    /// The options of a vote are said, or a choice is waited for.
    Choosing,
    /// An option was chosen; hanging up casts it.
    Chosen,
    /// An option was chosen, and the code with which it counts is dialled.
    Coding,
    /// The vote is being put on the card.
    Casting,
    /// The vote is cast.
    Voted,
    /// A question was chosen; the tone is about to sound.
    Tone,
    /// Somebody's words are kept.
    Recording,
    /// The recording has ended and is being put on the card.
    Saving,
    /// The message is there; its citizen may hear, repeat or delete it.
    After,
    /// The citizen hears the message.
    PlayingBack,
    /// The receipt is said.
    Receipt,
    /// Somebody dials the receipt of a message that is to be taken back.
    Withdrawing,
    /// Only hanging up is left.
    Goodbye,
    /// The handset lies off its hook and nobody is there.
    OffHook,
    /// A technician is served.
    Service,
}

/// What a key does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Says it again, louder.
    Repeats,
    /// Starts the recording: the only question is agreed to.
    Consents,
    /// Ends the recording.
    EndsRecording,
    /// Plays the message.
    HearsIt,
    /// Deletes the message and records another one.
    SaysAgain,
    /// Deletes the message.
    Deletes,
    /// Says the receipt.
    SaysReceipt,
    /// Asks another question.
    AsksAnother,
    /// Allows the text to be published, or takes that back.
    AllowsText,
    /// Allows the voice to be published, or takes that back.
    AllowsVoice,
    /// Casts the vote.
    Casts,
}

/// A key and what it does. On a booth with a dial, [`Key::Star`] is its 0, and any digit ends a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The key.
    pub key: Key,
    /// What it does.
    pub does: Does,
    /// It was pressed, and what it does holds.
    pub is_on: bool,
}

/// What a digit chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A question, or an option of a vote.
    Own,
    /// What became of the answers to a question.
    Answer,
    /// Another language.
    Language,
}

/// Something that has a name and a prompt, and a digit that chooses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What it is.
    pub kind: Kind,
    /// The digit.
    pub digit: u8,
    /// Its id, for a prompt without a text; a language's tag.
    pub id: String,
    /// The prompt that says it.
    pub prompt: Prompt,
}

impl Named {
    fn question(question: &OpenQuestion) -> Self {
        Self {
            kind: Kind::Own,
            digit: question.digit,
            id: question.id.clone(),
            prompt: question.prompt.clone(),
        }
    }

    fn option(option: &Choice) -> Self {
        Self {
            kind: Kind::Own,
            digit: option.digit,
            id: option.id.clone(),
            prompt: option.prompt.clone(),
        }
    }
}

/// A key that does something; nothing was pressed yet.
fn hint(key: Key, does: Does) -> Hint {
    Hint {
        key,
        does,
        is_on: false,
    }
}

/// What is to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// What goes on.
    pub phase: Phase,
    /// The language of the visit, or the one in which the next one begins.
    pub lang: String,
    /// The question that it is about, where there is one.
    pub question: Option<Named>,
    /// What can be chosen by a digit.
    pub options: Vec<Named>,
    /// The digit of the option that was chosen.
    pub chosen: Option<u8>,
    /// The other keys that do something.
    pub hints: Vec<Hint>,
    /// The receipt, while its citizen wants to know it.
    pub receipt: Option<Receipt>,
    /// How many digits of a receipt or a one-time code are dialled.
    pub dialled: usize,
    /// When the present state ends by itself, where somebody has to know.
    pub until: Option<Mono>,
}

impl Session {
    /// What a person before the screen should see now.
    pub fn scene(&self) -> Scene {
        let phase = self.phase();
        let chosen = match &self.state {
            State::Choosing(choosing) => choosing.chosen,
            State::Coding(coding) => Some(coding.choice),
            State::Casting { ballot, .. } | State::Voted { ballot, .. } => Some(ballot.choice),
            _ => None,
        };
        Scene {
            phase,
            lang: match self.off_hook {
                true => self.visit.lang.clone(),
                false => self.offer.lang.clone(),
            },
            question: self.asked_about().map(Named::question),
            options: self.options(phase),
            chosen,
            hints: self.hints(phase),
            receipt: self.receipt.clone().filter(|_| phase == Phase::Receipt),
            dialled: match &self.state {
                State::Withdrawing(withdrawing) => withdrawing.dialled.len(),
                State::Coding(coding) => coding.dialled.len(),
                _ => 0,
            },
            until: self.until(),
        }
    }

    fn phase(&self) -> Phase {
        match &self.state {
            // It was lifted before the booth started: nobody can lift it.
            State::Idle if self.can_record() && !self.hook_was_on() => Phase::OffHook,
            State::Idle if self.can_record() => Phase::Ready,
            State::Idle | State::OutOfOrder
                if self.is_working() && self.offer.questions.is_empty() =>
            {
                Phase::NothingAsked
            }
            State::Idle | State::OutOfOrder => Phase::OutOfOrder,
            State::Notice { .. } => Phase::Notice,
            State::Asking(_) => Phase::Asking,
            State::Choosing(choosing) if choosing.chosen.is_some() => Phase::Chosen,
            State::Choosing(_) => Phase::Choosing,
            State::Coding(_) => Phase::Coding,
            State::Casting { .. } => Phase::Casting,
            State::Tone { .. } | State::Starting { .. } => Phase::Tone,
            State::Recording(_) => Phase::Recording,
            State::Undecided { .. } | State::Finishing { .. } => Phase::Saving,
            State::After { hears } | State::Voted { hears, .. }
                if matches!(hears, Hears::Receipt { .. }) =>
            {
                Phase::Receipt
            }
            State::After {
                hears: Hears::OwnWords,
            } => Phase::PlayingBack,
            State::After { .. } => Phase::After,
            State::Voted { .. } => Phase::Voted,
            State::Withdrawing(withdrawing) if withdrawing.is_possible => Phase::Withdrawing,
            State::Withdrawing(_) | State::Goodbye => Phase::Goodbye,
            State::OffHook { .. } => Phase::OffHook,
            State::Service(_) => Phase::Service,
        }
    }

    /// The question that this is about: the one that was chosen, or the only one.
    fn asked_about(&self) -> Option<&OpenQuestion> {
        match (&self.state, &self.current, self.offer.questions.as_slice()) {
            (State::Choosing(choosing), ..) => Some(&choosing.question),
            (State::Coding(coding), ..) => Some(&coding.question),
            (State::Casting { ballot, .. } | State::Voted { ballot, .. }, ..) => {
                Some(&ballot.question)
            }
            (State::Asking(_) | State::Notice { .. }, _, [only]) => Some(only),
            (_, Some(current), _) => Some(&current.question),
            _ => None,
        }
    }

    /// What digits choose: questions or a vote's options, what became of answers, other languages.
    fn options(&self, phase: Phase) -> Vec<Named> {
        let mut options: Vec<Named> = match (&self.state, phase) {
            (State::Choosing(choosing), _) => {
                let options = choosing.question.options().iter();
                options.map(Named::option).collect()
            }
            (State::Coding(coding), _) => {
                let options = coding.question.options().iter();
                let chosen = options.filter(|option| option.digit == coding.choice);
                chosen.map(Named::option).collect()
            }
            (_, Phase::Notice | Phase::Asking) if self.rules.consent != ConsentMode::Button => {
                self.offer.questions.iter().map(Named::question).collect()
            }
            _ => Vec::new(),
        };
        let hears_answers = match phase {
            Phase::Notice | Phase::Asking | Phase::Choosing => true,
            Phase::NothingAsked => self.off_hook,
            _ => false,
        };
        if hears_answers {
            let answers = self.offer.answers.iter().map(|answer| Named {
                kind: Kind::Answer,
                digit: answer.digit,
                id: answer.question_id.clone(),
                prompt: answer.prompt.clone(),
            });
            let others = self.offer.languages.iter();
            let others = others.filter(|other| other.lang != self.visit.lang);
            let offered = Prompt::Word(Word::OfferLanguage);
            let others = others.map(|other| Named {
                kind: Kind::Language,
                digit: other.digit,
                id: other.lang.clone(),
                prompt: Prompt::InLanguage(other.lang.clone(), Box::new(offered.clone())),
            });
            // While a vote is open its options have their digits.
            let mut taken = Vec::new();
            if let State::Choosing(_) = self.state {
                taken.extend(options.iter().map(|option| option.digit));
            }
            let free = answers.chain(others);
            options.extend(free.filter(|named| !taken.contains(&named.digit)));
        }
        options
    }

    /// What the other keys do.
    fn hints(&self, phase: Phase) -> Vec<Hint> {
        let mut hints = Vec::new();
        let receipt = self.receipt.as_ref().map(|_| (6, Does::SaysReceipt));
        match phase {
            Phase::Notice | Phase::Asking if self.rules.consent == ConsentMode::Button => {
                hints.push(hint(Key::Button, Does::Consents));
            }
            Phase::Recording => hints.push(hint(Key::Hash, Does::EndsRecording)),
            Phase::Chosen => hints.extend([
                hint(Key::Digit(1), Does::Casts),
                hint(Key::Digit(7), Does::AsksAnother),
            ]),
            Phase::Voted => {
                let receipt = receipt.map(|(digit, does)| hint(Key::Digit(digit), does));
                hints.extend(receipt);
                hints.push(hint(Key::Digit(7), Does::AsksAnother));
            }
            Phase::Receipt if matches!(self.state, State::Voted { .. }) => {
                hints.push(hint(Key::Digit(7), Does::AsksAnother));
            }
            Phase::After | Phase::PlayingBack | Phase::Receipt => {
                let receipt = receipt.filter(|_| phase != Phase::Receipt);
                let menu = [(3, Does::HearsIt), (4, Does::SaysAgain), (5, Does::Deletes)];
                let menu = menu.into_iter().chain(receipt);
                let menu = menu.chain([(7, Does::AsksAnother)]);
                hints.extend(menu.map(|(digit, does)| hint(Key::Digit(digit), does)));
                hints.extend(self.publication());
            }
            _ => {}
        }
        let says_something = matches!(
            phase,
            Phase::Notice
                | Phase::Asking
                | Phase::Choosing
                | Phase::Chosen
                | Phase::Coding
                | Phase::Voted
                | Phase::After
                | Phase::PlayingBack
                | Phase::Receipt
                | Phase::Withdrawing
                | Phase::Goodbye
        );
        hints.extend(says_something.then(|| hint(Key::Star, Does::Repeats)));
        hints
    }

    /// What may be published, each by its own key.
    fn publication(&self) -> impl Iterator<Item = Hint> {
        let (may, is) = self
            .current
            .as_ref()
            .map_or((MayPublish::No, Publish::No), |current| {
                (current.question.publish, current.publish)
            });
        let text = (may != MayPublish::No).then_some((8, Does::AllowsText, Publish::Text));
        let voice = (may == MayPublish::AskVoice).then_some((9, Does::AllowsVoice, Publish::Voice));
        text.into_iter()
            .chain(voice)
            .map(move |(digit, does, by)| Hint {
                key: Key::Digit(digit),
                does,
                is_on: is == by,
            })
    }

    /// When a recording ends by its limit, and when a booth that has asked twice says goodbye.
    fn until(&self) -> Option<Mono> {
        match &self.state {
            State::Recording(recording) => Some(recording.began + recording.max),
            State::Asking(asking) if asking.repeated => {
                asking.heard.map(|heard| heard + self.patience(true))
            }
            State::Choosing(choosing) if choosing.repeated && choosing.chosen.is_none() => {
                choosing.heard.map(|heard| heard + self.patience(true))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
