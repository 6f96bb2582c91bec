//! Reading a configuration: a fault is a value with file, line, key and sentence.
//!
//! Owns: how `booth.toml` and `hub.toml` are read, and how every fault of a configuration is written. Never does: know what a key means.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::plain_file::{is_no_answer, read_at_most};
use crate::text;

/// One thing that is wrong with a configuration; `Display` writes it in one line, `booth.toml:3: [mqtt] url: …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The file's name as it stands in the line; none where the fault lies in no one file.
    pub file: Option<String>,
    /// The line in that file, counted from 1.
    pub line: Option<usize>,
    /// The key with its section, as `[mqtt] url` or `[handset] hook.debounce_ms`; the section alone, as `[[question]]`, where
    /// the fault concerns one of several entries or more than a key.
    pub key: Option<String>,
    /// What is wrong and what to do about it.
    pub sentence: String,
    /// The disk did not answer: the next try may find everything as it should be.
    pub may_pass: bool,
    /// What stands between key and sentence.
    joint: &'static str,
}

impl ConfigFault {
    /// A remark about a key: `[bell] rings: use 1 to 10`.
    pub fn of(key: impl Into<String>, remark: impl fmt::Display) -> Self {
        Self {
            key: Some(key.into()),
            joint: ": ",
            ..Self::whole(remark)
        }
    }

    /// A sentence that begins with the key: `[audio] complexity 11 is outside 0 to 10`.
    pub fn that(key: impl Into<String>, rest: impl fmt::Display) -> Self {
        Self {
            key: Some(key.into()),
            joint: " ",
            ..Self::whole(rest)
        }
    }

    /// A fault of the whole configuration.
    pub fn whole(sentence: impl fmt::Display) -> Self {
        Self {
            file: None,
            line: None,
            key: None,
            sentence: sentence.to_string(),
            may_pass: false,
            joint: "",
        }
    }

    /// The same with the file that it lies in.
    pub fn in_file(self, file: impl fmt::Display) -> Self {
        Self {
            file: Some(file.to_string()),
            ..self
        }
    }

    /// The same with its line.
    pub fn at_line(self, line: usize) -> Self {
        Self {
            line: Some(line),
            ..self
        }
    }

    /// Whether the fault lies in this key, or in a key within its table.
    pub fn is_in_key(&self, key: &str) -> bool {
        let rest = self.key.as_deref().and_then(|own| own.strip_prefix(key));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, _) => {}
        }
        let key = self.key.as_deref().unwrap_or_default();
        write!(f, "{key}{}{}", self.joint, self.sentence)
    }
}

/// Why a configuration is refused: everything that is wrong with it. `Display` gives each fault a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<ConfigFault>);

impl ConfigError {
    /// Whether the next try may find everything as it should be: nobody has to correct anything.
    pub fn may_pass(&self) -> bool {
        self.0.iter().all(|fault| fault.may_pass)
    }

    /// The faults as one line each.
    pub fn sentences(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl From<ConfigFault> for ConfigError {
    fn from(fault: ConfigFault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentences().join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// The faults that a check has found in one file so far.
#[derive(Debug)]
pub struct Faults<'a> {
    file: &'a str,
    found: Vec<ConfigFault>,
}

impl<'a> Faults<'a> {
    /// None yet.
    pub fn new(file: &'a str) -> Self {
        Self {
            file,
            found: Vec::new(),
        }
    }

    /// Adds [`ConfigFault::of`].
    pub fn of(&mut self, key: impl Into<String>, remark: impl fmt::Display) {
        self.push(ConfigFault::of(key, remark));
    }

    /// Adds [`ConfigFault::that`].
    pub fn that(&mut self, key: impl Into<String>, rest: impl fmt::Display) {
        self.push(ConfigFault::that(key, rest));
    }

    /// Adds a fault of this file.
    pub fn push(&mut self, fault: ConfigFault) {
        self.found.push(fault.in_file(self.file));
    }

    /// The verdict on the file: all of them, or none.
    pub fn verdict(self) -> Result<(), ConfigError> {
        match self.found.is_empty() {
            true => Ok(()),
            false => Err(ConfigError(self.found)),
        }
    }
}

/// Longest configuration that is read, in bytes.
pub const LONGEST_FILE: u64 = 1 << 20;

/// Reads and parses a file. The caller still checks the values.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let bytes = read_at_most(path, LONGEST_FILE).map_err(|error| unread(path, &error))?;
    parse_bytes(&bytes, path)
}

/// The fault of a file that cannot be read.
pub fn unread(path: &Path, error: &std::io::Error) -> ConfigError {
    let fault = ConfigFault::whole(format_args!("cannot be read: {error}"));
    let may_pass = is_no_answer(error);
    ConfigFault { may_pass, ..fault }
        .in_file(path.display())
        .into()
}

fn of_file(path: &Path, sentence: impl fmt::Display) -> ConfigError {
    ConfigFault::whole(sentence).in_file(path.display()).into()
}

/// Parses the content of a file, whatever editor saved it; `path` names the file in errors.
pub fn parse_bytes<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, ConfigError> {
    if bytes.len() as u64 > LONGEST_FILE {
        let why = format!("is longer than {LONGEST_FILE} bytes; it cannot be a configuration");
        return Err(of_file(path, why));
    }
    let text = text::text_of(bytes).map_err(|why| of_file(path, why))?;
    parse(&text, &path.display().to_string())
}

/// Parses text with or without BOM, with LF or CRLF; `file` names the file in errors.
pub fn parse<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    toml::from_str(text).map_err(|error| {
        let fault = ConfigFault::whole(Misfit::of(&error).sentence).in_file(file);
        let line = error
            .span()
            .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        ConfigError(vec![ConfigFault { line, ..fault }])
    })
}

/// Why a text or a value has not the shape of a configuration, as the parser says it. The parser names the kind of a fault in
/// its message alone; nothing else in our programs takes that message apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The message in one line, with a suggestion where it names an unknown word.
    pub sentence: String,
    /// The key is one that no configuration has.
    pub is_unknown_key: bool,
}

impl Misfit {
    /// What the parser says.
    pub fn of(error: &toml::de::Error) -> Self {
        let message = error.message().trim();
        let is_unknown_key = message.starts_with("unknown field");
        let hint = unknown_word(message)
            .and_then(|(found, known)| {
                let meant = meant(&found, known.iter().map(String::as_str));
                meant.map(|candidate| format!("; did you mean `{candidate}`?"))
            })
            .unwrap_or_default();
        Self {
            sentence: format!("{}{hint}", message.replace('\n', " ")),
            is_unknown_key,
        }
    }
}

/// The known word that was probably meant by one that is not; `None` where none is like it.
pub fn meant<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), candidate));
    let near = distances.filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3);
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The parts of serde's "unknown field `x`, expected one of `a`, `b`": the word, and the expected ones.
fn unknown_word(message: &str) -> Option<(String, Vec<String>)> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let found = quoted.next()?;
    Some((found, quoted.collect()))
}
