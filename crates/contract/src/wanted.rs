//! What the centre wants a booth to ask (contract §3.8, `{root}/dn/{booth}/config`).
//!
//! Owns: the shape of a configuration, reading it with a fault for each key ([`Wanted::read`]), and the one check of its meaning
//! ([`check`]) that the hub asks before it publishes and the booth before it believes. Pure. Never does: know a prompt's sound, a
//! signature or a clock; what is true around the booth comes in as [`Here`].

mod checking;
mod moments;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize, Serializer};

use super::MediaHash;
pub use checking::{Here, check};
pub use moments::{DAY_MINUTES, Days, LocalTime, Span, minute_of, span_of};
pub use reading::BadWanted;

/// Version of the shape of a configuration.
pub const WANTED_SCHEMA: u64 = 1;
/// Most prompts that one configuration names, each counted once.
pub const MOST_PROMPTS: usize = 64;
/// Largest prompt, bytes.
pub const MAX_PROMPT_BYTES: usize = 100 * 1024;
/// Most bytes of all prompts of one configuration together. [`MOST_PROMPTS`] of the largest are less, so that no booth has to count.
pub const MAX_PROMPTS_BYTES: usize = 8 * 1024 * 1024;
const _: () = assert!(MOST_PROMPTS * MAX_PROMPT_BYTES <= MAX_PROMPTS_BYTES);
/// Most campaigns in one configuration.
pub const MOST_CAMPAIGNS: usize = 32;
/// Most questions in one campaign: as many as there are digits.
pub const MOST_QUESTIONS: usize = 9;
/// Most faults that are named; there is no use in more.
pub const MOST_FAULTS: usize = 32;
/// Longest id of a campaign, a question or an option, bytes: it goes into manifests.
pub const LONGEST_ID: usize = 128;
/// The prompts by name that count only in a signed configuration (contract §3.8).
pub const SIGNED_PROMPTS: [&str; 2] = ["notice", "emergency"];
/// The languages in which a booth says by itself whatever has no prompt.
pub const OWN_VOICE: [&str; 2] = ["da", "en"];

/// One thing that is wrong, and with which key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFault {
    /// The key as a path, e.g. `campaigns[0].questions[2].digit`; `payload` for the whole.
    pub key: String,
    /// What is wrong with it and what would be right: a sentence that follows the key.
    pub error: String,
}

impl KeyFault {
    /// A fault of this key.
    pub fn new(key: impl Into<String>, error: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            error: error.into(),
        }
    }
}

impl std::fmt::Display for KeyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.key, self.error)
    }
}

/// A prompt in each of its languages.
pub type Spoken = BTreeMap<String, MediaHash>;

/// A whole configuration. What is `None` falls back to booth.toml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// [`WANTED_SCHEMA`].
    pub schema: u64,
    /// Rises with every configuration; from 1 on.
    pub version: u64,
    /// When it was made, RFC 3339 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
    /// What is asked, and when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaigns: Option<Vec<Campaign>>,
    /// Prompts by their names (contract §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<BTreeMap<String, Spoken>>,
    /// The digit that changes to a language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<BTreeMap<u8, String>>,
    /// When the booth invites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Vec<Hours>>,
    /// When the bell is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
    /// The limits of a visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Takes the place of a higher version; counts only where it is signed.
    #[serde(skip_serializing_if = "is_false", serialize_with = "as_one")]
    pub force: bool,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn as_one<S: Serializer>(flag: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(u8::from(*flag))
}

/// Questions that are asked together for some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Campaign {
    /// Its id in manifests.
    pub id: String,
    /// From this local time on; from ever if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<LocalTime>,
    /// Up to this local time, which no longer counts; for ever if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<LocalTime>,
    /// What is asked, at least one question.
    pub questions: Vec<Question>,
}

impl Campaign {
    /// Whether its questions are open at this local time.
    pub fn is_open(&self, at: LocalTime) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether there is a time at which both are open.
    pub fn meets(&self, other: &Campaign) -> bool {
        let begins_before_end = |one: &Campaign, another: &Campaign| match (one.from, another.until)
        {
            (Some(from), Some(until)) => from < until,
            _ => true,
        };
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

/// What a citizen does at a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Speaks a message.
    Speak,
    /// Chooses one of the options.
    Choose,
}

/// What a citizen is asked after speaking about publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MayPublish {
    /// Nothing: it is not published.
    #[default]
    No,
    /// Whether the text may be published.
    AskText,
    /// Whether the text may be published, and whether the voice.
    AskVoice,
}

impl MayPublish {
    /// The names of the prompts by which it is asked (contract §2).
    pub fn prompts(self) -> &'static [&'static str] {
        match self {
            MayPublish::No => &[],
            MayPublish::AskText => &["ask_text"],
            MayPublish::AskVoice => &["ask_text", "ask_voice"],
        }
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Its id in manifests.
    pub id: String,
    /// The digit that chooses it, 1 to 9.
    pub digit: u8,
    /// What a citizen does.
    pub kind: Kind,
    /// How it is asked.
    pub prompt: Spoken,
    /// Longest recording, s; `limits` and booth.toml if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u32>,
    /// Least time between two votes at this booth, s, of `choose`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pause_s: Option<u32>,
    /// A vote counts only with a one-time code of the hub's list, of `choose`. A booth that does not know the key asks for none.
    #[serde(skip_serializing_if = "is_false", serialize_with = "as_one")]
    pub codes: bool,
    /// What is asked about publication afterwards.
    pub publish: MayPublish,
    /// What can be chosen, of `choose`; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// "You said, we did", if it is there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// One option of a vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// The digit that chooses it, 2 to 9.
    pub digit: u8,
    /// Its id, for whoever counts.
    pub id: String,
    /// How it is said.
    pub prompt: Spoken,
}

/// What became of a question: "you said, we did".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The digit that plays it, 1 to 9.
    pub digit: u8,
    /// How it is said.
    pub prompt: Spoken,
}

/// A span of the day on some days of the week, in which the booth invites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// On which days it begins.
    pub days: Days,
    /// From and to; it passes midnight where the end is the smaller minute.
    pub span: Span,
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (from, to) = (self.span.from_text(), self.span.to_text());
        [self.days.to_string(), from, to].serialize(serializer)
    }
}

/// When the bell is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// Never.
    Never,
    /// In this span of every day.
    In(Span),
}

impl Serialize for Quiet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Quiet::Never => serializer.serialize_str(""),
            Quiet::In(span) => {
                serializer.serialize_str(&format!("{}-{}", span.from_text(), span.to_text()))
            }
        }
    }
}

/// The limits of a visit, as in `[session]` of booth.toml.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Longest recording, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u32>,
    /// From the end of the last prompt to the goodbye, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choose_seconds: Option<u32>,
    /// Silence after speech that ends a recording, s; 0: none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_seconds: Option<u32>,
}

impl Wanted {
    /// A configuration of this version that says nothing else.
    pub fn bare(version: u64) -> Self {
        Self {
            schema: WANTED_SCHEMA,
            version,
            issued_at: None,
            campaigns: None,
            prompts: None,
            languages: None,
            hours: None,
            quiet: None,
            limits: None,
            force: false,
        }
    }

    /// The payload.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a configuration holds only text, numbers and lists")
    }

    /// Every prompt that it names, each once.
    pub fn media(&self) -> BTreeSet<MediaHash> {
        let named = self.prompts.iter().flat_map(BTreeMap::values);
        let asked = self.campaigns.iter().flatten();
        let asked = asked
            .flat_map(|campaign| &campaign.questions)
            .flat_map(Question::spoken);
        let all = named.chain(asked).flat_map(BTreeMap::values);
        all.cloned().collect()
    }

    /// The languages besides a booth's own that a citizen can change to.
    pub fn other_languages(&self) -> impl Iterator<Item = (u8, &str)> {
        let all = self.languages.iter().flatten();
        all.map(|(digit, lang)| (*digit, lang.as_str()))
    }
}

impl Question {
    /// All that is said about it.
    pub fn spoken(&self) -> impl Iterator<Item = &Spoken> {
        let options = self.options.iter().map(|option| &option.prompt);
        let answer = self.answer.iter().map(|answer| &answer.prompt);
        [&self.prompt].into_iter().chain(options).chain(answer)
    }
}
