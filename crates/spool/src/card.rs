//! The identity of this card: `card.json` (docs/spool-format.md §3).
//!
//! Owns: the card's identity, the floor of the clip numbers, the checkpoint of the counters. Never does: guess a number; if the
//! file cannot be read the card gets a new identity. A failed save leaves the old file.

use booth_contract::{BootId, CardId};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::disk::{Disk, publish, read_whole};
use super::error::is_verdict;

/// The file's name.
pub(crate) const CARD_FILE: &str = "card.json";
/// No card gives a higher number or counts further: a file that says so is damaged. The limit lies far below 2^53, from which on
/// the hub refuses numbers and JSON readers lose digits, so that the numbers after it are good as well.
pub(crate) const HIGHEST_NUMBER: u64 = 1 << 48;
/// Longest file that is read.
pub(crate) const LONGEST_FILE: u64 = 64 * 1024;

/// The identity of a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Version of the file.
    pub schema: u32,
    /// Random, made at the card's first start.
    pub card_id: CardId,
    /// The earlier id, if an unreadable identity was replaced and its id could be found out.
    pub previous_card_id: Option<CardId>,
    /// RFC 3339 UTC, by the clock at that time.
    pub first_seen: String,
    /// The machine boot that the card saw last.
    pub boot_id: BootId,
    /// How many boots of a machine the card has seen.
    pub boot_count: u64,
    /// Every clip number up to here has been given.
    pub clip_no_floor: u64,
    /// How often counters have been saved.
    pub counter_saves: u64,
    /// Counters by name, as saved at the last checkpoint.
    pub counters: BTreeMap<String, u64>,
    /// The CID register (SD specification) of the SD card on which this identity was made, where there is one.
    #[serde(default)]
    pub cid: Option<String>,
    /// Serial number of the machine that used the card last.
    #[serde(default)]
    pub hw_serial: Option<String>,
    /// For each machine boot whose clock became right: wall clock minus boot-time clock, in ms.
    #[serde(default)]
    pub clocks: BTreeMap<BootId, i64>,
    /// Takes of other cards that were finished on this one (docs/spool-format.md §9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<Uuid>,
    /// Fields that a newer version has added: kept unchanged for when that version runs again (docs/spool-format.md §9).
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

/// Why an identity is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CardFault {
    /// No line with a checksum follows it.
    #[error("its checksum is missing")]
    NoChecksum,
    /// The checksum is of other bytes.
    #[error("its checksum is wrong")]
    WrongChecksum,
    /// It is no identity that this version understands, and why.
    #[error("it is not understood: {0}")]
    NotUnderstood(String),
    /// A number that no card reaches.
    #[error("a number in it cannot be")]
    ImpossibleNumber,
    /// The disk does not give it back, or not as long as it can be; the disk's words.
    #[error("{0}")]
    NotGiven(String),
}

/// Why there is no identity to look at.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The disk does not answer.
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// The file is not believed.
    #[error(transparent)]
    Unreadable(#[from] CardFault),
}

/// What was found in place of a card's identity.
pub(crate) enum CardFound {
    /// A good file.
    Known(Box<Card>),
    /// No file.
    Missing,
    /// A file that cannot be believed, and why.
    Unreadable(CardFault),
}

impl Card {
    /// A card at its first start.
    pub(crate) fn new(
        card_id: CardId,
        previous_card_id: Option<CardId>,
        first_seen: String,
    ) -> Self {
        Self {
            schema: 1,
            card_id,
            previous_card_id,
            first_seen,
            boot_id: BootId::default(),
            boot_count: 0,
            clip_no_floor: 0,
            counter_saves: 0,
            counters: BTreeMap::new(),
            cid: None,
            hw_serial: None,
            clocks: BTreeMap::new(),
            finished: Vec::new(),
            more: BTreeMap::new(),
        }
    }

    fn to_text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("a card holds only text, numbers and a map");
        text.push(b'\n');
        let sum = crc32c::crc32c(&text);
        text.extend_from_slice(format!("crc32c:{sum:08x}\n").as_bytes());
        text
    }

    fn parse(text: &[u8]) -> Result<Card, CardFault> {
        let end = text
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(CardFault::NoChecksum)?
            + 1;
        let (line, sum) = text.split_at(end);
        if sum != format!("crc32c:{:08x}\n", crc32c::crc32c(line)).as_bytes() {
            return Err(CardFault::WrongChecksum);
        }
        let card: Card = serde_json::from_slice(line)
            .map_err(|error| CardFault::NotUnderstood(error.to_string()))?;
        let numbers = [card.boot_count, card.clip_no_floor, card.counter_saves];
        if numbers.iter().any(|number| *number > HIGHEST_NUMBER) {
            return Err(CardFault::ImpossibleNumber);
        }
        Ok(card)
    }

    /// Saves the identity durably.
    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        publish(disk, dir, CARD_FILE, &self.to_text())
    }

    /// The identity of the spool in `dir`, for a program that does not open the spool: `None` without a file, an error for a file
    /// that cannot be believed.
    pub fn identity(disk: &dyn Disk, dir: &Path) -> Result<Option<Card>, CardError> {
        match Self::load(disk, dir)? {
            CardFound::Known(card) => Ok(Some(*card)),
            CardFound::Missing => Ok(None),
            CardFound::Unreadable(why) => Err(why.into()),
        }
    }

    /// Reads the identity in `dir`. Only a disk that does not answer is an error: that says nothing about the disk's content.
    pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> io::Result<CardFound> {
        Self::found(read_whole(disk, &dir.join(CARD_FILE), LONGEST_FILE))
    }

    /// What the file is that was read so.
    pub(crate) fn found(text: io::Result<Vec<u8>>) -> io::Result<CardFound> {
        match text {
            Ok(text) => Ok(match Card::parse(&text) {
                Ok(card) => CardFound::Known(Box::new(card)),
                Err(why) => CardFound::Unreadable(why),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(CardFound::Missing),
            // What is no plain file will not be one when it is asked again.
            Err(error) if is_verdict(&error) || error.kind() == io::ErrorKind::InvalidInput => Ok(
                CardFound::Unreadable(CardFault::NotGiven(error.to_string())),
            ),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        let mut card = Card::new("c".into(), None, "2026-01-01T00:00:00.000Z".into());
        card.clip_no_floor = 1_000;
        card
    }

    #[test]
    fn a_card_comes_back_as_it_was_saved() {
        assert_eq!(Card::parse(&card().to_text()), Ok(card()));
    }

    #[test]
    fn what_a_newer_version_added_is_kept_by_an_older_one() {
        let line = r#"{"schema":1,"card_id":"c","previous_card_id":null,"first_seen":"","boot_id":"b","boot_count":3,
            "clip_no_floor":7,"counter_saves":1,"counters":{"lifts_total":2},"sealed_with":{"key":"k","since":[1,2]}}"#;
        let mut text = line.replace('\n', "").into_bytes();
        text.push(b'\n');
        let sum = format!("crc32c:{:08x}\n", crc32c::crc32c(&text));
        text.extend_from_slice(sum.as_bytes());
        let mut card = Card::parse(&text).expect("understood");
        assert_eq!((card.boot_count, card.clip_no_floor), (3, 7));
        card.boot_count = 4;
        let again = Card::parse(&card.to_text()).expect("understood");
        assert_eq!(again.more["sealed_with"]["since"][1], 2);
    }

    #[test]
    fn a_number_that_no_card_gives_makes_the_card_unreadable() {
        let mut bad = card();
        bad.clip_no_floor = u64::MAX;
        assert!(
            Card::parse(&bad.to_text()).is_err_and(|why| why.to_string().contains("cannot be"))
        );
        bad.clip_no_floor = HIGHEST_NUMBER;
        assert!(Card::parse(&bad.to_text()).is_ok());
    }

    #[test]
    fn any_flipped_byte_makes_the_card_unreadable() {
        let good = card().to_text();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(Card::parse(&bad).is_err(), "byte {at}");
        }
        for length in 0..good.len() {
            assert!(Card::parse(&good[..length]).is_err(), "{length} bytes");
        }
    }
}
