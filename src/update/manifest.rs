//! What an update's manifest says, and whether this booth may take the update. Pure.
//!
//! Owns: the manifest's shape, the running image's description, and every reason to refuse before a byte of a slot is
//! touched. Never does: check a manifest's signature; `keys` does that first.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::day_of;

/// The format that this version reads.
pub const FORMAT: u32 = 1;
/// The boards that this program's image is for.
pub const BOARD: &str = "raspberry-pi-arm64";
/// Longest manifest, bytes.
pub const LONGEST: u64 = 64 * 1024;
/// The first bytes of a slot: boot sector, information sector and the boot sector's copy (FAT32). They are written last.
pub const HEAD: u64 = 4096;
/// The text before the slot's letter on the kernel's command line.
pub const BEFORE_LETTER: &[u8] = b"booth.slot=";
const SECTOR: u64 = 512;
const MOST_LETTERS: usize = 16;

/// `manifest.json` of an update. Keys that a newer tool adds are ignored; a change that must not be ignored gets another
/// `format`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Always 1.
    pub format: u32,
    /// The boards that the update is for.
    pub board: String,
    /// The version's name, for people.
    pub version: String,
    /// SHA-256 of `root.sqfs`, hex: the image's identity.
    pub image_id: String,
    /// The time of its packages' lists, Unix seconds; for people.
    pub released: i64,
    /// A counter that rises with every release; a release whose counter is not higher than that of any kept before is no
    /// update.
    #[serde(default)]
    pub counter: u64,
    /// For people.
    #[serde(default)]
    pub kernel: String,
    /// Length of the payload: the used beginning of the slot's partition. The rest of the partition is not read.
    pub slot_bytes: u64,
    /// SHA-256 of the payload as it is in the file, hex.
    pub slot_sha256: String,
    /// Where in the payload the letter of `booth.slot=a` is; the updater writes its own slot's letter there.
    #[serde(default)]
    pub slot_letter_at: Vec<u64>,
    /// Which booths it may take back from an image with a higher counter.
    #[serde(default)]
    pub allow_older: AllowOlder,
}

/// Which booths a release may take back, and until when. A step back brings back faults that were mended since, so a signed
/// one must not be valid for every booth for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AllowOlder {
    /// `false` allows no booth. `true` allows none either: it names no booth and no day.
    Flag(bool),
    /// Allows these booths.
    For {
        /// Their ids.
        booths: Vec<String>,
        /// The last day, UTC.
        until: Date,
    },
}

impl Default for AllowOlder {
    fn default() -> Self {
        Self::Flag(false)
    }
}

/// The facts about this booth that decide whether it may take an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The image that runs.
    pub running: &'a Image,
    /// The highest release that was ever kept here.
    pub kept: &'a Floor,
    /// The booth's id, from the technician's configuration.
    pub booth: &'a str,
    /// Today, UTC; `None` while the clock is not synchronised.
    pub today: Option<Date>,
    /// The latest day that this booth's clock has ever shown while synchronised. A time server may name an earlier one
    /// today.
    pub latest_day: Option<Date>,
}

impl Standing<'_> {
    /// The day by which a step back is judged: never before a day that was seen, nor before the running image was made. If
    /// it is too late, it refuses a step back and nothing else.
    fn day(&self) -> Option<Date> {
        let made = Timestamp::from_second(self.running.released).ok();
        let made = made.map(day_of);
        self.today
            .max(self.latest_day)
            .max(made)
            .filter(|_| self.today.is_some())
    }
}

/// The highest release that a booth has kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Its counter.
    pub counter: u64,
    /// Its image: this image may come again, because the slot that holds it may be damaged.
    pub image_id: String,
}

/// `image.json` of a slot: which image it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // as in the manifest
pub struct Image {
    pub image_id: String,
    pub version: String,
    pub released: i64,
    #[serde(default)]
    pub counter: u64,
    pub board: String,
    #[serde(default)]
    pub kernel: String,
}

/// Why an update is not taken. The slot that runs, and the other one, are as they were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum Refusal {
    #[error(
        "manifest.json cannot be understood ({0}); make the update again with the tool of the image's repository"
    )]
    Unreadable(String),
    #[error(
        "the manifest has format {0}, and this version knows format {FORMAT}; update over a version in between"
    )]
    Format(u32),
    #[error(
        "the update is for {0:?}, and this booth is {1:?}; take the update file for this board"
    )]
    Board(String, String),
    #[error("this is the image that runs already ({0}); there is nothing to do")]
    Same(String),
    #[error(
        "the update {0} has the counter {1}, and this booth has kept {2} already; give a release a higher counter, or to go back on purpose, sign it \
         with \"allow_older\": {{\"booths\": [\"{3}\"], \"until\": \"<the last day>\"}}"
    )]
    Older(String, u64, u64, String),
    #[error(
        "the update would take this booth back until {0}, and the latest day that this booth has seen is {1}; sign it anew with a later day, or set the clock"
    )]
    Over(Date, String),
    #[error(
        "the slot's image has {0} bytes and the partition {1}; the card was made by an older image: write a new card"
    )]
    TooLarge(u64, u64),
    #[error(
        "the manifest contradicts itself: {0}; make the update again with the tool of the image's repository"
    )]
    Wrong(#[source] Contradiction),
}

/// A value of a manifest that no release has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the words say it
pub enum Contradiction {
    #[error("version is empty, longer than 64 bytes, or not plain")]
    Version,
    #[error("image_id and slot_sha256 are 64 hexadecimal digits each, in lower case")]
    Hashes,
    #[error("slot_bytes {0} is no slot's length")]
    Length(u64),
    #[error("slot_letter_at: at most {MOST_LETTERS} rising offsets between {first} and slot_bytes")]
    Letters { first: u64 },
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl Manifest {
    /// Reads a manifest and checks everything that can be checked without a booth.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Only {
            format: u32,
        }
        let unreadable = |error: serde_json::Error| Refusal::Unreadable(error.to_string());
        // Another format may have other keys, so the format is read first.
        let only: Only = serde_json::from_slice(bytes).map_err(unreadable)?;
        if only.format != FORMAT {
            return Err(Refusal::Format(only.format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        manifest.check().map_err(Refusal::Wrong)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), Contradiction> {
        let is_name = |text: &str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if !is_name(&self.version) {
            return Err(Contradiction::Version);
        }
        if !is_sha256(&self.image_id) || !is_sha256(&self.slot_sha256) {
            return Err(Contradiction::Hashes);
        }
        if self.slot_bytes < 2 * HEAD || !self.slot_bytes.is_multiple_of(SECTOR) {
            return Err(Contradiction::Length(self.slot_bytes));
        }
        let letters = &self.slot_letter_at;
        let first = HEAD + BEFORE_LETTER.len() as u64;
        if letters.len() > MOST_LETTERS
            || !letters.is_sorted_by(|a, b| a < b)
            || letters
                .iter()
                .any(|at| !(first..self.slot_bytes).contains(at))
        {
            return Err(Contradiction::Letters { first });
        }
        Ok(())
    }

    /// Whether such a booth may write it into a partition of `partition_bytes`.
    pub fn admit(&self, here: &Standing, partition_bytes: u64) -> Result<(), Refusal> {
        let running = here.running;
        if self.board != running.board {
            return Err(Refusal::Board(self.board.clone(), running.board.clone()));
        }
        if self.image_id == running.image_id {
            return Err(Refusal::Same(running.version.clone()));
        }
        let is_the_highest =
            self.image_id == here.kept.image_id && self.counter == here.kept.counter;
        let kept = here.kept.counter.max(running.counter);
        if self.counter <= kept && !is_the_highest {
            self.may_go_back(here, kept)?;
        }
        if self.slot_bytes > partition_bytes {
            return Err(Refusal::TooLarge(self.slot_bytes, partition_bytes));
        }
        Ok(())
    }
}

impl Manifest {
    fn may_go_back(&self, here: &Standing, kept: u64) -> Result<(), Refusal> {
        match (&self.allow_older, here.day()) {
            (AllowOlder::For { booths, until }, today)
                if booths.iter().any(|booth| booth == here.booth) =>
            {
                match today {
                    Some(today) if today <= *until => Ok(()),
                    Some(today) => Err(Refusal::Over(*until, today.to_string())),
                    None => Err(Refusal::Over(
                        *until,
                        "not known, for the clock is not synchronised".into(),
                    )),
                }
            }
            _ => Err(Refusal::Older(
                self.version.clone(),
                self.counter,
                kept,
                here.booth.to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
