//! Reading a configuration: a fault is reported by a sentence with file, line and a suggestion.
//!
//! Owns: how `booth.toml` and `hub.toml` are read, and the words of every refusal of the reader. Never does: know what a key means.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::plain_file::read_at_most;
use crate::text;

/// What is wrong with a configuration: one sentence per fault, each with file and line where one is known.
#[derive(Debug)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Longest configuration that is read, in bytes.
pub const LONGEST_FILE: u64 = 1 << 20;
/// Reads and parses a file. The caller still checks the values.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let bytes = read_at_most(path, LONGEST_FILE).map_err(|error| unread(path, &error))?;
    parse_bytes(&bytes, path)
}

/// The sentence about a file that cannot be read.
pub fn unread(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError(vec![format!("{}: cannot be read: {error}", path.display())])
}

/// Parses the content of a file, whatever editor saved it; `path` names the file in errors.
pub fn parse_bytes<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, ConfigError> {
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(ConfigError(vec![format!(
            "{}: is longer than {LONGEST_FILE} bytes; it cannot be a configuration",
            path.display()
        )]));
    }
    let text = text::text_of(bytes)
        .map_err(|why| ConfigError(vec![format!("{}: {why}", path.display())]))?;
    parse(&text, &path.display().to_string())
}

/// Parses text with or without BOM, with LF or CRLF; `file` names the file in errors.
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
    format!("{place}: {}", told(error.message()))
}

/// A parser's message in one line, with a suggestion if it names an unknown field.
pub fn told(message: &str) -> String {
    let message = message.trim();
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
    format!("{}{hint}", message.replace('\n', " "))
}

/// The parts of serde's "unknown field `x`, expected one of `a`, `b`": the field, and the expected ones.
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2).map(str::to_owned);
    let found = quoted.next()?;
    Some((found, quoted.collect()))
}
