//! What lies in the folder that `booth-gateway spool export` makes of a card, and `booth-hub import` takes in.
//!
//! Owns: the names of its files and the receipt that says what they are. A folder without the receipt is not finished: it is written
//! last. What is sealed on the card is sealed here: a body is the very bytes that a booth sends.

use serde::{Deserialize, Serialize};

use super::{BodyHash, BoothId, CardId, ClipId, ClipKind};

/// Version of the folder. A hub that does not know it takes nothing.
pub const EXPORT_SCHEMA: u32 = 1;
/// The receipt's file.
pub const RECEIPT_FILE: &str = "receipt.json";
/// The folder with a manifest and a body for each whole clip.
pub const CLIPS: &str = "clips";
/// The folder with the withdrawals that wait.
pub const WITHDRAWALS: &str = "withdrawals";
/// The folder with the files of the card that are not whole, as they lie there.
pub const LEFT: &str = "left";

/// The name of a clip's manifest in [`CLIPS`], and of a withdrawal in [`WITHDRAWALS`].
pub fn json_name(id: &ClipId) -> String {
    format!("{id}.json")
}

/// The name of a clip's body in [`CLIPS`].
pub fn body_name(id: &ClipId) -> String {
    format!("{id}.body")
}

/// A clip in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedClip {
    /// Its id, which names its files.
    pub clip_id: ClipId,
    /// The booth where it was spoken.
    pub booth_id: BoothId,
    /// The card that gave its number.
    pub card_id: CardId,
    /// Its number.
    pub clip_no: u64,
    /// What it is.
    pub kind: ClipKind,
    /// Bytes of its body; without a body there is no file.
    pub bytes: u64,
    /// Hash of its body, or of its choice.
    pub sha256: Option<BodyHash>,
    /// Hash of its manifest's file.
    pub manifest_sha256: BodyHash,
    /// Why it lay in quarantine, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
}

/// A withdrawal in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedWithdrawal {
    /// Its id, which names its file.
    pub id: ClipId,
    /// The booth at which it was dialled; `None` where the card does not say.
    pub booth_id: Option<BoothId>,
    /// Hash of its file.
    pub file_sha256: BodyHash,
}

/// A file of the card that is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftFile {
    /// Its name in [`LEFT`]; `None` if the card does not give it.
    pub file: Option<String>,
    /// Where it lies on the card.
    pub path: String,
    /// What is wrong, as a sentence.
    pub why: String,
}

/// What [`RECEIPT_FILE`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportReceipt {
    /// [`EXPORT_SCHEMA`].
    pub schema: u32,
    /// The program that wrote it, with its version.
    pub made_by: String,
    /// When, RFC 3339 UTC by the machine's clock.
    pub made_at: String,
    /// What was read, as it was named.
    pub source: String,
    /// The whole clips.
    pub clips: Vec<ExportedClip>,
    /// The withdrawals that wait.
    pub withdrawals: Vec<ExportedWithdrawal>,
    /// What could not be exported as a clip.
    pub left: Vec<LeftFile>,
}

/// Only the version of a receipt, which another version has, too.
#[derive(Debug, Deserialize)]
struct Versioned {
    schema: u32,
}

/// Why a receipt is not taken.
#[derive(Debug)]
pub enum BadExport {
    /// It is no receipt, and why.
    NotUnderstood(serde_json::Error),
    /// It is of another version.
    Version(u32),
}

impl ExportReceipt {
    /// The file's text.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text =
            serde_json::to_vec_pretty(self).expect("a receipt holds only texts and numbers");
        text.push(b'\n');
        text
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// A text that is none, and one of another version.
    pub fn read(text: &[u8]) -> Result<Self, BadExport> {
        let Versioned { schema } =
            serde_json::from_slice(text).map_err(BadExport::NotUnderstood)?;
        if schema != EXPORT_SCHEMA {
            return Err(BadExport::Version(schema));
        }
        serde_json::from_slice(text).map_err(BadExport::NotUnderstood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> ExportReceipt {
        ExportReceipt {
            schema: EXPORT_SCHEMA,
            made_by: "booth-gateway 0.1.0".into(),
            made_at: "2026-11-29T10:00:00.000Z".into(),
            source: "/dev/sdb".into(),
            clips: vec![ExportedClip {
                clip_id: "c".into(),
                booth_id: BoothId::parse("rundhoej-1").expect("an id"),
                card_id: "card".into(),
                clip_no: 7,
                kind: ClipKind::Audio,
                bytes: 3,
                sha256: Some("00".into()),
                manifest_sha256: "01".into(),
                quarantine: None,
            }],
            withdrawals: vec![ExportedWithdrawal {
                id: "w".into(),
                booth_id: None,
                file_sha256: "02".into(),
            }],
            left: vec![LeftFile {
                file: None,
                path: "clips/x.clip".into(),
                why: "it is damaged".into(),
            }],
        }
    }

    #[test]
    fn a_receipt_is_read_back_as_it_was_written() {
        assert_eq!(
            ExportReceipt::read(&receipt().to_json()).ok(),
            Some(receipt())
        );
    }

    #[test]
    fn a_receipt_of_another_version_is_told_from_one_that_is_torn() {
        let newer = br#"{"schema":2,"everything":"else"}"#;
        assert!(matches!(
            ExportReceipt::read(newer),
            Err(BadExport::Version(2))
        ));
        let whole = receipt().to_json();
        assert!(matches!(
            ExportReceipt::read(&whole[..whole.len() / 2]),
            Err(BadExport::NotUnderstood(_))
        ));
    }
}
