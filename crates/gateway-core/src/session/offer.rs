//! What a booth offers a citizen: the questions that are open, answers, languages, and the limits of a visit.
//!
//! Owns: the values. Never does: choose what is open; `campaign` and booth.toml do.

use std::time::Duration;

use super::Prompt;

/// What a citizen is offered. Digits of questions, answers and languages differ from each other (contract §2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The questions that can be answered now, in any order.
    pub questions: Vec<OpenQuestion>,
    /// "You said, we did."
    pub answers: Vec<OpenAnswer>,
    /// The languages beside [`Offer::lang`].
    pub languages: Vec<OtherLanguage>,
    /// The language in which a visit begins.
    pub lang: String,
    /// The centre's configuration that is in force; `None` where booth.toml asks.
    pub config_version: Option<u64>,
    /// How long a visit's parts may take.
    pub limits: Limits,
}

/// How long the parts of a visit may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest recording.
    pub max: Duration,
    /// From the end of the last prompt to the goodbye.
    pub choose: Duration,
    /// Silence after speech that ends a recording; zero = never.
    pub silence: Duration,
}

/// The defaults of `[session]`.
impl Default for Limits {
    fn default() -> Self {
        Self {
            max: Duration::from_secs(180),
            choose: Duration::from_secs(20),
            silence: Duration::from_secs(10),
        }
    }
}

/// A question that can be answered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenQuestion {
    /// Its id in the manifest.
    pub id: String,
    /// Its campaign, where the centre asks it.
    pub campaign_id: Option<String>,
    /// The digit that chooses it, 1 to 9.
    pub digit: u8,
    /// Its prompt.
    pub prompt: Prompt,
    /// How it is answered.
    pub kind: QuestionKind,
    /// What is asked of the citizen after speaking.
    pub publish: MayPublish,
    /// Longest recording, where it differs from [`Limits::max`].
    pub max: Option<Duration>,
}

impl OpenQuestion {
    /// What can be chosen; nothing for a question that is answered by speaking.
    pub fn options(&self) -> &[Choice] {
        match &self.kind {
            QuestionKind::Speak => &[],
            QuestionKind::Choose { options, .. } => options,
        }
    }
}

/// How a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuestionKind {
    /// By speaking.
    Speak,
    /// By a digit.
    Choose {
        /// What can be chosen.
        options: Vec<Choice>,
        /// From one vote at this booth to the next on this question.
        min_pause: Duration,
        /// A vote counts with a one-time code alone, which is dialled after the option.
        codes: bool,
    },
}

/// What can be chosen in a vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// 2 to 9.
    pub digit: u8,
    /// Its id in the configuration.
    pub id: String,
    /// Its prompt.
    pub prompt: Prompt,
}

/// What may become of a message in public, if its citizen says so after speaking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MayPublish {
    /// Nothing; nothing is asked.
    #[default]
    No,
    /// Its text: key 8.
    AskText,
    /// Its text, key 8, or the voice itself, key 9.
    AskVoice,
}

/// "You said, we did": what became of the answers to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAnswer {
    /// The question.
    pub question_id: String,
    /// The digit that plays it, 1 to 9.
    pub digit: u8,
    /// What is played.
    pub prompt: Prompt,
}

/// A language that a citizen can change to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherLanguage {
    /// The digit that changes to it, 1 to 9.
    pub digit: u8,
    /// The language, as `languages` of the configuration names it.
    pub lang: String,
}
