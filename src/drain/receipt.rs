//! The receipt of a card that was sent: what became of each message.

use booth_contract::export::LeftFile;
use booth_contract::{BodyHash, BoothId, CardId, ClipId, ClipKind};
use serde::Serialize;

use super::outcome::{Ended, Fate};

/// Version of the receipt.
pub(super) const SCHEMA: u32 = 1;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Its id.
    pub clip_id: ClipId,
    /// The booth where it was spoken.
    pub booth_id: BoothId,
    /// The card that gave its number.
    pub card_id: CardId,
    /// Its number.
    pub clip_no: u64,
    /// What it is.
    pub kind: ClipKind,
    /// Bytes of its body.
    pub bytes: u64,
    /// Hash of its body, or of its choice.
    pub sha256: BodyHash,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// A withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SentSlip {
    /// Its id.
    pub id: ClipId,
    /// In whose branch it was sent, if it was.
    pub booth_id: Option<BoothId>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What the receipt's file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DrainReceipt {
    /// Version of the receipt.
    pub schema: u32,
    /// The program that wrote it, with its version.
    pub made_by: String,
    /// When, RFC 3339 UTC by the machine's clock.
    pub made_at: String,
    /// What was read, as it was named.
    pub source: String,
    /// The broker, host and port.
    pub broker: String,
    /// Who sent.
    pub user: String,
    /// How it ended.
    pub ended: Ended,
    /// 1 where the same line may succeed later without anything being changed.
    pub may_succeed_later: u8,
    /// The sentence about that, with what to do; `None` when all was answered.
    pub why: Option<String>,
    /// 1 where nothing is on the card that is not at the hub or taken back: the card may be used for something else.
    pub is_all_there: u8,
    /// The messages, in the order in which they were spoken.
    pub clips: Vec<Sent>,
    /// The withdrawals.
    pub withdrawals: Vec<SentSlip>,
    /// What lies on the card and could not be sent.
    pub left: Vec<LeftFile>,
    /// What else is to be known, in sentences.
    pub notes: Vec<String>,
}

impl DrainReceipt {
    /// Whether nothing is on the card that is not at the hub or taken back.
    pub fn is_all_there(&self) -> bool {
        self.is_all_there == 1
    }

    /// The file's text.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text =
            serde_json::to_vec_pretty(self).expect("a receipt holds only texts and numbers");
        text.push(b'\n');
        text
    }
}
