//! What a card remembers of the centre's commands, so that neither a restart nor a power cut loses or repeats one
//! (contract §3.7), and of the latest votes, so that it shortens no pause between two.
//!
//! Owns: the shape of that memory, and its limits. Never does: write it; the keeper does, whole and in one step.

use booth_contract::time::Timestamp;
use booth_contract::{BootId, Signed};
use serde::{Deserialize, Serialize};

use crate::signed::Nonces;

/// Version of the memory.
pub const SCHEMA: u32 = 1;
/// Longest Correlation Data that is remembered across a restart, in bytes; an asker with a longer one is answered without it then.
const LONGEST_CORRELATION: usize = 256;

/// What the card remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The latest synchronised time that was seen with this card, to the hour or so.
    #[serde(default)]
    pub latest: Option<Timestamp>,
    /// Names the `[control]` of booth.toml under which that was: with another one, the technician's, it is forgotten.
    #[serde(default)]
    pub control: String,
    /// What was issued before this is refused: the memory began anew then, or the machine was started that saw this card first.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// An earlier memory could not be read, and it is not known yet when that was.
    #[serde(default)]
    pub is_anew: bool,
    /// The nonces that were taken.
    #[serde(default)]
    pub nonces: Nonces,
    /// Signed commands that wait, earliest first.
    #[serde(default)]
    pub waiting: Vec<KeptOrder>,
    /// The recipients of sealing that the centre named last.
    #[serde(default)]
    pub recipients: Option<KeptRecipients>,
    /// The booth is being emptied.
    #[serde(default)]
    pub drain: Option<KeptDrain>,
    /// The latest vote on each question whose votes have a pause between them.
    #[serde(default)]
    pub voted: Vec<KeptVote>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            latest: None,
            control: String::new(),
            since: None,
            is_anew: false,
            nonces: Nonces::default(),
            waiting: Vec::new(),
            recipients: None,
            drain: None,
            voted: Vec::new(),
        }
    }
}

impl Remembered {
    /// A memory that begins because an earlier one cannot be read. What was taken before is not known any more, so that nothing
    /// that was issued before counts.
    pub fn anew() -> Self {
        Self {
            is_anew: true,
            ..Self::default()
        }
    }

    /// Takes note of a time that is certain.
    pub fn is_at_least(&mut self, certain: Timestamp) {
        self.latest = self.latest.max(Some(certain));
        if std::mem::take(&mut self.is_anew) {
            self.since = self.since.max(self.latest);
        }
        if let Some(latest) = self.latest {
            self.nonces.forget(latest);
        }
    }
}

/// A signed command that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOrder {
    /// The command's name.
    pub command: String,
    /// The text that was signed.
    pub body: String,
    /// Its signature, which is checked again after a restart.
    pub minisig: String,
    /// Its nonce was taken: it is carried out, whatever becomes of the clock.
    #[serde(default)]
    pub is_taken: bool,
    /// In this boot of the machine it was taken.
    #[serde(default)]
    pub boot_id: BootId,
    /// Who waits for the answer.
    #[serde(default)]
    pub askers: Vec<KeptAsker>,
}

impl KeptOrder {
    /// The message as it came.
    pub fn signed(&self) -> Signed {
        Signed {
            body: self.body.clone(),
            minisig: self.minisig.clone(),
        }
    }
}

/// Whoever waits for an answer: the Correlation Data of the question (MQTT 5 §3.3.2.3.6), in hex.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeptAsker(Option<String>);

impl KeptAsker {
    /// Of this question.
    pub fn of(correlation: Option<&[u8]>) -> Self {
        let short = correlation.filter(|bytes| bytes.len() <= LONGEST_CORRELATION);
        Self(short.map(booth_contract::hex))
    }

    /// The Correlation Data.
    pub fn correlation(&self) -> Option<Vec<u8>> {
        let text = self.0.as_deref()?;
        let digits = text.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect()
    }
}

/// The recipients of sealing, as the centre named them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRecipients {
    /// The highest version that was taken; a later one is higher.
    pub version: u64,
    /// The public keys (`age1…`).
    pub keys: Vec<String>,
    /// The last day on which they should be in use, `YYYY-MM-DD`.
    #[serde(default)]
    pub key_until: Option<String>,
    /// Names the `[privacy]` of booth.toml that they replace; with another one they count no more.
    pub instead_of: String,
}

/// When somebody voted on a question last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptVote {
    /// The question.
    pub question: String,
    /// In this boot of the machine.
    pub boot_id: BootId,
    /// At this time of its boot-time clock, ms.
    pub at_ms: u64,
    /// So much before that, if it was in another boot, ms.
    #[serde(default)]
    pub older_ms: u64,
    /// At this time of the wall clock, right or wrong, ms since 1970.
    pub wall_ms: i64,
}

/// A booth that is being emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDrain {
    /// In this boot of the machine.
    pub boot_id: BootId,
    /// Until this time of its boot-time clock, ms.
    pub until_ms: u64,
    /// For this many minutes.
    pub minutes: u64,
    /// Who waits for it.
    #[serde(default)]
    pub askers: Vec<KeptAsker>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn an_asker_is_remembered_as_it_asked_and_a_strange_one_is_answered_without_its_data() {
        for bytes in [&b""[..], b"\x00\xff-1", &[7; LONGEST_CORRELATION]] {
            assert_eq!(
                KeptAsker::of(Some(bytes)).correlation().as_deref(),
                Some(bytes)
            );
        }
        assert_eq!(KeptAsker::of(None).correlation(), None);
        let long = [7; LONGEST_CORRELATION + 1];
        assert_eq!(KeptAsker::of(Some(&long)).correlation(), None);
        assert_eq!(KeptAsker(Some("0g".into())).correlation(), None);
    }

    #[test]
    fn a_memory_that_began_anew_counts_nothing_that_was_issued_before_its_first_certain_time() {
        let mut memory = Remembered::anew();
        memory.is_at_least(at("2026-11-29T12:00:00Z"));
        assert_eq!(memory.since, Some(at("2026-11-29T12:00:00Z")));
        memory.is_at_least(at("2026-11-29T13:00:00Z"));
        assert_eq!(memory.since, Some(at("2026-11-29T12:00:00Z")));
        // A clock that is set back takes nothing away.
        memory.is_at_least(at("2026-11-01T00:00:00Z"));
        assert_eq!(memory.latest, Some(at("2026-11-29T13:00:00Z")));
        let mut first = Remembered::default();
        first.is_at_least(at("2026-11-29T12:00:00Z"));
        assert_eq!(first.since, None);
    }

    #[test]
    fn what_is_written_is_read_and_fields_of_a_newer_version_do_not_matter() {
        let memory = Remembered {
            latest: Some(at("2026-11-29T12:00:00Z")),
            waiting: vec![KeptOrder {
                command: "reboot".into(),
                body: "{}".into(),
                minisig: "x".into(),
                is_taken: true,
                boot_id: "b".into(),
                askers: vec![KeptAsker::of(Some(b"1")), KeptAsker::of(None)],
            }],
            ..Remembered::default()
        };
        let text = serde_json::to_string(&memory).expect("text");
        assert_eq!(
            serde_json::from_str::<Remembered>(&text).expect(&text),
            memory
        );
        let least = r#"{"schema":1,"new":{}}"#;
        let least: Remembered = serde_json::from_str(least).expect("read");
        assert_eq!(least, Remembered::default());
    }
}
