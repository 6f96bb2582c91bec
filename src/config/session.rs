//! `[session]` and `[[question]]` of booth.toml: what a citizen is asked, and the limits of a visit.

use std::path::PathBuf;

use serde::Deserialize;

use booth_contract::ConsentMode;
use booth_host::config_file::Faults;

/// Longest name that goes into a manifest.
const LONGEST_NAME: usize = 128;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Session {
    pub consent: ConsentMode,
    pub language: String,
    pub prompts: PathBuf,
    pub emergency_numbers: Vec<String>,
    pub max_seconds: u64,
    pub min_seconds: u64,
    pub silence_seconds: u64,
    pub choose_seconds: u64,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            consent: ConsentMode::Digit,
            language: "da".into(),
            prompts: "prompts".into(),
            emergency_numbers: vec!["112".into()],
            max_seconds: 180,
            min_seconds: 1,
            silence_seconds: 10,
            choose_seconds: 20,
        }
    }
}

impl Session {
    pub(super) fn check(&self, faults: &mut Faults) {
        if !(5..=3600).contains(&self.max_seconds) {
            faults.of("[session] max_seconds", "use 5 to 3600");
        }
        if self.min_seconds >= self.max_seconds {
            faults.that("[session] min_seconds", "must be less than max_seconds");
        }
        if !(2..=600).contains(&self.choose_seconds) {
            faults.of("[session] choose_seconds", "use 2 to 600");
        }
        let language = &self.language;
        if !is_plain(language)
            || language.len() > LONGEST_NAME
            || language.chars().any(char::is_control)
        {
            let why = format!("{language:?} is no folder name");
            faults.that("[session] language", why);
        }
        for number in &self.emergency_numbers {
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                let why = format!("{number:?} is not made of digits");
                faults.of("[session] emergency_numbers", why);
            }
        }
    }

    /// Whether there are as many questions as the way of consent can ask.
    pub(super) fn check_consent(&self, questions: usize, faults: &mut Faults) {
        if self.consent != ConsentMode::Digit && questions != 1 {
            let why = "\"button\" and \"implied\" need exactly one [[question]]";
            faults.of("[session] consent", why);
        }
    }
}

/// Whether a name can be one file's or folder's.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum QuestionKind {
    Speak,
    Choose,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Question {
    pub id: String,
    pub digit: u8,
    pub kind: QuestionKind,
    /// File name of the prompt without extension; the id by default.
    pub prompt: Option<String>,
}

impl Question {
    /// The prompt's file name without extension.
    pub fn prompt_name(&self) -> &str {
        self.prompt.as_deref().unwrap_or(&self.id)
    }

    /// Checks a question beside those that stand before it in the file.
    pub(super) fn check(&self, earlier: &[Question], faults: &mut Faults) {
        let id = &self.id;
        let mut wrong = |why: String| faults.that("[[question]]", why);
        if !(1..=9).contains(&self.digit) {
            wrong(format!("{id:?}: digit {} is outside 1 to 9", self.digit));
        }
        // The id goes into every manifest, and the hub takes no longer one.
        if id.is_empty() || id.len() > LONGEST_NAME || id.chars().any(char::is_control) {
            wrong(format!(
                "id {:?}: use 1 to {LONGEST_NAME} bytes, no control characters",
                id.chars().take(40).collect::<String>()
            ));
        }
        if self.kind == QuestionKind::Choose {
            wrong(format!(
                "{id:?}: kind \"choose\" is not there yet; use \"speak\""
            ));
        }
        if !is_plain(self.prompt_name()) {
            let prompt = self.prompt_name();
            wrong(format!("{id:?}: prompt {prompt:?} is no file name"));
        }
        if let Some(other) = earlier.iter().find(|other| other.digit == self.digit) {
            wrong(format!(
                "{id:?} and {:?} share digit {}",
                other.id, self.digit
            ));
        }
        if earlier.iter().any(|other| other.id == *id) {
            wrong(format!("id {id:?} is there twice"));
        }
    }
}
