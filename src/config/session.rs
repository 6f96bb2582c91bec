//! `[session]` and `[[question]]` of booth.toml: what a citizen is asked, and the limits of a visit.

use std::path::PathBuf;

use serde::Deserialize;

use super::body::has_emergency_number;
use super::warning::ConfigWarning;
use booth_contract::ConsentMode;
use booth_host::config_file::Faults;
use gateway_core::session::MayPublish;

/// How many digits the code has that opens a withdrawal.
const WITHDRAW_DIGITS: std::ops::RangeInclusive<usize> = 3..=8;
/// How many options a vote has (contract §3.8), and on which digits.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=8;
const OPTION_DIGITS: std::ops::RangeInclusive<u8> = 2..=9;
/// How long a recording may be, seconds.
const SECONDS: std::ops::RangeInclusive<u64> = 5..=3600;
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
    /// The digits after which the booth takes a receipt; empty: none.
    pub withdraw_code: String,
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
            withdraw_code: "000".into(),
            max_seconds: 180,
            min_seconds: 1,
            silence_seconds: 10,
            choose_seconds: 20,
        }
    }
}

impl Session {
    pub(super) fn check(&self, faults: &mut Faults) {
        if !SECONDS.contains(&self.max_seconds) {
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
        if !self.withdraw_code_has_its_form() {
            let why = format!(
                "{:?}: use three to eight digits that begin with 00, or \"\" for none",
                self.withdraw_code
            );
            faults.of("[session] withdraw_code", why);
        }
    }

    /// The code that opens a withdrawal, as digits; empty where it is not to be one, or cannot be.
    pub fn withdraw_digits(&self) -> Vec<u8> {
        match self.wrong_withdraw_code() {
            Some(_) => Vec::new(),
            None => self.withdraw_code.bytes().map(|byte| byte - b'0').collect(),
        }
    }

    fn withdraw_code_has_its_form(&self) -> bool {
        let code = self.withdraw_code.as_str();
        let is_code = WITHDRAW_DIGITS.contains(&code.len())
            && code.starts_with("00")
            && code.bytes().all(|byte| byte.is_ascii_digit());
        code.is_empty() || is_code
    }

    /// A code that gets into the way of an emergency number: the number comes first, and the booth takes nothing back.
    pub(super) fn wrong_withdraw_code(&self) -> Option<ConfigWarning> {
        let code = self.withdraw_code.as_str();
        if code.is_empty() || !self.withdraw_code_has_its_form() {
            return None;
        }
        let begins = self.emergency_numbers.iter().any(|n| n.contains(code));
        (begins || has_emergency_number(code, &self.emergency_numbers)).then(|| {
            let what = format!("[session] withdraw_code {code:?} and an emergency number are in each other's way");
            let remedy = "use another code that begins with 00. Nobody can take a message back at this booth meanwhile";
            ConfigWarning::new(what, remedy)
        })
    }

    /// Whether the questions are such as the way of consent can ask.
    pub(super) fn check_consent(&self, questions: &[Question], faults: &mut Faults) {
        let can_ask = match questions {
            [only] => only.kind == QuestionKind::Speak,
            _ => false,
        };
        if self.consent != ConsentMode::Digit && !can_ask {
            let why =
                "\"button\" and \"implied\" need exactly one [[question]], and of kind \"speak\"";
            faults.of("[session] consent", why);
        }
    }
}

/// Whether a text can be an id in a manifest.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST_NAME && !id.chars().any(char::is_control)
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
    /// Longest recording, where it differs from `[session] max_seconds`.
    pub max_seconds: Option<u64>,
    /// What is asked after speaking.
    #[serde(default)]
    pub publish: PublishQuestion,
    /// What can be chosen in a vote.
    #[serde(default)]
    pub options: Vec<VoteOption>,
    /// Seconds from one vote at this booth to the next.
    #[serde(default)]
    pub min_pause_s: u64,
}

/// What may become of a message in public, if its citizen says so after speaking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum PublishQuestion {
    #[default]
    No,
    AskText,
    AskVoice,
}

impl From<PublishQuestion> for MayPublish {
    fn from(question: PublishQuestion) -> Self {
        match question {
            PublishQuestion::No => Self::No,
            PublishQuestion::AskText => Self::AskText,
            PublishQuestion::AskVoice => Self::AskVoice,
        }
    }
}

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct VoteOption {
    pub digit: u8,
    pub id: String,
    /// File name of the prompt without extension; the id by default.
    pub prompt: Option<String>,
}

impl VoteOption {
    /// The prompt's file name without extension.
    pub fn prompt_name(&self) -> &str {
        self.prompt.as_deref().unwrap_or(&self.id)
    }
}

impl Question {
    /// The prompt's file name without extension.
    pub fn prompt_name(&self) -> &str {
        self.prompt.as_deref().unwrap_or(&self.id)
    }

    /// The file names of its prompts without extension: its own, and those of its options.
    pub fn prompt_names(&self) -> impl Iterator<Item = String> + '_ {
        let options = self.options.iter().map(VoteOption::prompt_name);
        let all = std::iter::once(self.prompt_name()).chain(options);
        all.map(str::to_owned)
    }

    /// Checks the options of a vote, or that speech has none.
    fn check_options(&self, mut wrong: impl FnMut(String)) {
        let id = &self.id;
        if self.kind == QuestionKind::Speak {
            if !self.options.is_empty() || self.min_pause_s != 0 {
                wrong(format!(
                    "{id:?}: options and min_pause_s are for kind \"choose\""
                ));
            }
            return;
        }
        if !OPTIONS.contains(&self.options.len()) {
            wrong(format!(
                "{id:?}: kind \"choose\" has 2 to 8 options, and this one {}",
                self.options.len()
            ));
        }
        if self.publish != PublishQuestion::No || self.max_seconds.is_some() {
            wrong(format!(
                "{id:?}: publish and max_seconds are for kind \"speak\""
            ));
        }
        for (at, option) in self.options.iter().enumerate() {
            let (digit, name) = (option.digit, option.prompt_name());
            if !OPTION_DIGITS.contains(&digit) {
                wrong(format!(
                    "{id:?}: option digit {digit} is outside 2 to 9 (1 casts the vote, 0 repeats)"
                ));
            }
            if !is_id(&option.id) || !is_plain(name) {
                wrong(format!(
                    "{id:?}: option {digit} has no id or prompt name that can be used"
                ));
            }
            let mut earlier = self.options[..at].iter();
            if earlier.any(|other| other.digit == digit || other.id == option.id) {
                wrong(format!("{id:?}: option {digit} is there twice"));
            }
        }
    }

    /// Checks a question beside those that stand before it in the file.
    pub(super) fn check(&self, earlier: &[Question], faults: &mut Faults) {
        let id = &self.id;
        let mut wrong = |why: String| faults.that("[[question]]", why);
        if !(1..=9).contains(&self.digit) {
            wrong(format!("{id:?}: digit {} is outside 1 to 9", self.digit));
        }
        // The id goes into every manifest, and the hub takes no longer one.
        if !is_id(id) {
            wrong(format!(
                "id {:?}: use 1 to {LONGEST_NAME} bytes, no control characters",
                id.chars().take(40).collect::<String>()
            ));
        }
        if self.max_seconds.is_some_and(|max| !SECONDS.contains(&max)) {
            wrong(format!("{id:?}: max_seconds: use 5 to 3600"));
        }
        self.check_options(&mut wrong);
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
