//! Typed configuration: unknown keys are refused with file, line and a suggestion.
//!
//! Owns: the shape of `booth.toml`, its defaults and the check for values that cannot work; and the
//! reader that `hub.toml` shares. Never does: touch a device or a network, or require a prompt file.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::contract::{BoothId, ConsentMode};

/// What is wrong with a configuration: one sentence per fault, each with file and line where one is known.
#[derive(Debug)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads and parses a file. The caller still runs its own check of values.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    #[allow(clippy::disallowed_methods)] // the one place that reads configuration
    let bytes = std::fs::read(path).map_err(|error| {
        ConfigError(vec![format!("{}: cannot be read: {error}", path.display())])
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        ConfigError(vec![format!(
            "{}: is not UTF-8 (byte {at}); save it as UTF-8",
            path.display()
        )])
    })?;
    parse(&text, &path.display().to_string())
}

/// Parses text with or without BOM, LF or CRLF; `file` names it in errors.
pub fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    toml::from_str(text).map_err(|error| ConfigError(vec![sentence(&error, text, file)]))
}

/// `file:line: what is wrong; did you mean …?`
fn sentence(error: &toml::de::Error, text: &str, file: &str) -> String {
    let line = error
        .span()
        .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"));
    let message = error.message().trim();
    let hint = unknown_field(message)
        .and_then(|(found, known)| {
            known
                .iter()
                .map(|candidate| (strsim::damerau_levenshtein(&found, candidate), candidate))
                .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
                .min_by_key(|(distance, _)| *distance)
                .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        })
        .unwrap_or_default();
    format!("{place}: {}{hint}", message.replace('\n', " "))
}

/// Takes serde's "unknown field `x`, expected one of `a`, `b`" apart.
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let found = quoted.next()?;
    Some((found, quoted.collect()))
}

/// `booth.toml`. A file's own path is needed to resolve relative names: see [`Config::load`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the names are the contract's own (§2)
pub struct Config {
    pub booth: Booth,
    #[serde(default)]
    pub mqtt: Mqtt,
    #[serde(default)]
    pub handset: Handset,
    #[serde(default)]
    pub audio: Audio,
    #[serde(default)]
    pub session: Session,
    #[serde(default, rename = "question")]
    pub questions: Vec<Question>,
    #[serde(default)]
    pub spool: Spool,
    #[serde(default)]
    pub privacy: Privacy,
    #[serde(default)]
    pub health: Health,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Booth {
    pub id: BoothId,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub contact: String,
    #[serde(default = "default_timezone")]
    pub timezone: String,
}

fn default_timezone() -> String {
    "Europe/Copenhagen".into()
}

/// Who confirms a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// The hub's ack, by hash.
    Hub,
    /// The broker's PUBACK Success of every part and of the manifest.
    Broker,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Mqtt {
    pub url: Option<String>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub root: String,
    pub confirm: Confirm,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: None,
            password_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            root: "booth/1".into(),
            confirm: Confirm::Hub,
        }
    }
}

/// Which code reads the hook switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Backend {
    Auto,
    Rppal,
    Cdev,
    Sim,
}

/// A level on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Level {
    Low,
    High,
}

/// A resistor inside the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Pull {
    Up,
    Down,
    None,
}

/// The hook switch's line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Hook {
    pub line: u32,
    pub off_hook: Level,
    pub pull: Pull,
    pub debounce_ms: u64,
}

impl Default for Hook {
    fn default() -> Self {
        Self { line: 17, off_hook: Level::Low, pull: Pull::Up, debounce_ms: 20 }
    }
}

/// An output line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Output {
    pub line: u32,
    /// The level at which it is on.
    #[serde(default = "default_on")]
    pub on: Level,
}

fn default_on() -> Level {
    Level::High
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Handset {
    pub backend: Backend,
    pub chip: Option<PathBuf>,
    pub hook: Hook,
    pub lamp: Option<Output>,
    pub control_socket: PathBuf,
}

impl Default for Handset {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            chip: None,
            hook: Hook::default(),
            lamp: None,
            control_socket: "/run/booth-gateway/handset.sock".into(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Audio {
    pub input: String,
    pub output: String,
    /// Bits per second.
    pub bitrate: u32,
    /// 0 to 10.
    pub complexity: u8,
}

impl Default for Audio {
    fn default() -> Self {
        Self {
            input: "plughw:CARD=handset,DEV=0".into(),
            output: "plughw:CARD=handset,DEV=0".into(),
            bitrate: 24_000,
            complexity: 5,
        }
    }
}

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
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Spool {
    pub dir: PathBuf,
    pub max_bytes: u64,
    pub reserve_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            dir: "/var/lib/booth-gateway".into(),
            max_bytes: 4_000_000_000,
            reserve_bytes: 200_000_000,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Privacy {
    pub recipients: Vec<String>,
    pub seal: bool,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { recipients: Vec::new(), seal: true }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Health {
    pub interval_s: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self { interval_s: 60 }
    }
}
