//! What a booth can play: prompts by their names, among them every word of its own voice.
//!
//! Owns: the names. Never does: choose what is played. `session` chooses during a visit, `spoken` in a report; both know
//! this list, and it knows neither.

pub mod table;
mod word;

use std::collections::BTreeMap;

use booth_contract::MediaHash;

pub use word::{Language, Word};

/// A recording of the centre: for each language the hash of the sound.
pub type PromptByHash = BTreeMap<String, MediaHash>;

/// A prompt by its name in the contract (§2), or a question's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// Who records, why, and what becomes of it.
    Notice,
    /// Which digit is which question; played only when several are open.
    Menu,
    /// "Speak now."
    Tone,
    /// Introduces a question that is asked again.
    Repeat,
    /// The digit dialled belongs to no question.
    NoSuchQuestion,
    /// Soft tone: the recording is about to end.
    LimitSoon,
    /// Thank you; hang up or dial again.
    Thanks,
    /// A polite goodbye.
    Goodbye,
    /// That was too short to keep.
    TooShort,
    /// Off-hook tone.
    OffHook,
    /// The booth cannot take messages.
    OutOfOrder,
    /// This telephone cannot call for help.
    Emergency,
    /// The quiet tone of the self-test, played while nobody is at the handset and meant for the microphone.
    TestTone,
    /// A question's own prompt, by its file name without extension.
    Question(String),
    /// A recording of the centre, by its hash in each language; the language of the visit chooses.
    Wanted(PromptByHash),
    /// This one in that language, whatever the language of the visit is.
    InLanguage(String, Box<Prompt>),
    /// The booth's spoken name, where the prompt folder has it.
    BoothName,
    /// A moment of silence between the parts of a report.
    Pause,
    /// A word of the booth's own voice.
    Word(Word),
}

impl Prompt {
    /// Its name in the contract (§2), which is also that of its file, without extension.
    pub fn name(&self) -> &str {
        match self {
            Prompt::Notice => "notice",
            Prompt::Menu => "menu",
            Prompt::Tone => "tone",
            Prompt::Repeat => "repeat",
            Prompt::NoSuchQuestion => "no_such_question",
            Prompt::LimitSoon => "limit_soon",
            Prompt::Thanks => "thanks",
            Prompt::Goodbye => "goodbye",
            Prompt::TooShort => "too_short",
            Prompt::OffHook => "off_hook",
            Prompt::OutOfOrder => "out_of_order",
            Prompt::Emergency => "emergency",
            Prompt::TestTone => "test_tone",
            Prompt::Question(name) => name,
            Prompt::Wanted(_) => "wanted",
            Prompt::InLanguage(_, prompt) => prompt.name(),
            Prompt::BoothName => "booth_name",
            Prompt::Pause => "pause",
            Prompt::Word(word) => word.name(),
        }
    }
}
