//! Takes secrets out of texts that others wrote: the doctor's sentences, the journal, the kernel's log. Pure.
//!
//! Owns: what is recognised as a secret in a text. Never does: decide what of booth.toml is shown.

use serde_json::Value;

use super::harmless::REMOVED;
use booth_contract::receipt::{DIGITS, Receipt};

/// Shorter texts are too common to be looked for.
const SHORTEST: usize = 4;
/// How a private key of age begins; its letters follow.
const IDENTITY: &str = "AGE-SECRET-KEY-1";
/// Between these a line of PEM names a key.
const PEM_KEY: &str = "PRIVATE KEY-----";

/// The secrets that are looked for.
#[derive(Default)]
pub(super) struct Scrub {
    secrets: Vec<String>,
}

impl Scrub {
    /// Looks for this text, too.
    pub(super) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.chars().count() >= SHORTEST && secret != REMOVED {
            self.secrets.push(secret.to_owned());
            // A text that holds another one goes first.
            self.secrets
                .sort_by_key(|text| std::cmp::Reverse(text.len()));
        }
    }

    /// Looks for every line of a file with a secret: a password, or a key in PEM.
    pub(super) fn add_lines(&mut self, file: &[u8]) {
        let text = String::from_utf8_lossy(file);
        let is_frame = |line: &&str| !line.starts_with("-----");
        text.lines()
            .filter(is_frame)
            // A log may have it without the padding of Base64.
            .for_each(|line| self.add(line.trim_end_matches('=')));
    }

    /// Looks for everything that stands between quotation marks: of a configuration that cannot be parsed, nobody knows what is secret.
    pub(super) fn add_quoted(&mut self, text: &str) {
        for line in text.lines() {
            line.split(['"', '\''])
                .skip(1)
                .step_by(2)
                .for_each(|quoted| self.add(quoted));
        }
    }

    /// The text without them, without private keys, and without anything that is a citizen's receipt.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret, REMOVED);
        }
        let mut is_in_key = false;
        let mut lines = Vec::new();
        for line in text.split('\n') {
            if line.contains(PEM_KEY) {
                is_in_key = line.contains("BEGIN");
                lines.push(REMOVED.to_owned());
            } else if is_in_key {
                // A log that broke off within a key goes on with lines that are longer or have blanks.
                is_in_key = line.len() <= 76 && !line.contains(' ');
                lines.push(if is_in_key {
                    REMOVED.to_owned()
                } else {
                    of_line(line)
                });
            } else {
                lines.push(of_line(line));
            }
        }
        lines.join("\n")
    }

    /// The same for every text within a value.
    pub(super) fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|inner| self.value(inner)),
            Value::Object(map) => map.values_mut().for_each(|inner| self.value(inner)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// One line without private keys of age, logins in addresses, and receipts.
fn of_line(line: &str) -> String {
    let line = without_identities(line);
    let line = without_logins(&line);
    without_receipts(&line)
}

fn without_identities(line: &str) -> String {
    let mut rest = line;
    let mut clean = String::new();
    while let Some(at) = rest.to_ascii_uppercase().find(IDENTITY) {
        clean += &rest[..at];
        clean += REMOVED;
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
    }
    clean + rest
}

/// `scheme://user:password@host` without the login.
fn without_logins(line: &str) -> String {
    let mut parts = line.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| c == '/' || c == '"' || c.is_whitespace())
            .unwrap_or(part.len());
        clean += "://";
        match part[..end].rfind('@') {
            Some(at) => {
                clean += REMOVED;
                clean += &part[at..];
            }
            None => clean += part,
        }
    }
    clean
}

/// Every run of as many digits as a receipt has, if they are one.
fn without_receipts(line: &str) -> String {
    let mut clean = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let run = &rest[start..];
        let length = run.find(|c: char| !c.is_ascii_digit()).unwrap_or(run.len());
        let digits = &run[..length];
        clean += &rest[..start];
        let is_receipt = length == DIGITS && Receipt::parse_text(digits).is_ok();
        clean += if is_receipt { REMOVED } else { digits };
        rest = &run[length..];
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> String {
        let mut next = 0_u8;
        let random = |bytes: &mut [u8]| {
            for byte in bytes {
                next = next.wrapping_add(37);
                *byte = next;
            }
        };
        let made = Receipt::generate(random, &[]).expect("a receipt");
        made.to_text().to_string()
    }

    #[test]
    fn known_secrets_keys_logins_and_receipts_are_taken_out_and_the_rest_stays() {
        let mut scrub = Scrub::default();
        scrub.add_lines(b"hunter2-and-more\n");
        scrub.add("hunter2");
        scrub.add("ab");
        scrub.add_quoted("code = \"unclosed-secret\nname = 'another one' # x");
        let receipt = receipt();
        let told = format!(
            "said hunter2-and-more, hunter2 ab; age-secret-key-1qqq; mqtt://u:p@host:1883 and https://host/x@y; \
             {receipt}; 123456789012345; 2026-11-29T18:00:00; unclosed-secret\n\
             -----BEGIN PRIVATE KEY-----\nMIIabc=\nshort\n-----END PRIVATE KEY-----\nafter another one"
        );
        let clean = scrub.text(&told);
        for secret in [
            "hunter2",
            "qqq",
            "u:p",
            &receipt,
            "MIIabc",
            "short",
            "unclosed",
            "another one",
        ] {
            assert!(!clean.contains(secret), "{secret} in {clean}");
        }
        for kept in [
            "said ",
            " ab;",
            "@host:1883",
            "https://host/x@y",
            "123456789012345",
            "2026-11-29T18:00:00",
            "after",
        ] {
            assert!(clean.contains(kept), "{kept} is not in {clean}");
        }
    }

    #[test]
    fn a_log_that_breaks_off_within_a_key_goes_on() {
        let told = "-----BEGIN EC PRIVATE KEY-----\nMIIabc=\n2026-11-29 a line of the log";
        let clean = Scrub::default().text(told);
        assert!(!clean.contains("MIIabc") && clean.ends_with("a line of the log"));
    }

    #[test]
    fn texts_within_json_are_cleaned_and_numbers_stay() {
        let mut scrub = Scrub::default();
        scrub.add("1234");
        let mut value = serde_json::json!({ "a": ["x1234y", { "b": "1234" }], "n": 12345 });
        scrub.value(&mut value);
        assert_eq!(
            value,
            serde_json::json!({ "a": ["x(removed)y", { "b": "(removed)" }], "n": 12345 })
        );
    }
}
