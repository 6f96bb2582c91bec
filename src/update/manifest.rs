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
    Wrong(String),
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

    fn check(&self) -> Result<(), String> {
        let is_name = |text: &str| {
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if !is_name(&self.version) {
            return Err("version is empty, longer than 64 bytes, or not plain".into());
        }
        if !is_sha256(&self.image_id) || !is_sha256(&self.slot_sha256) {
            return Err(
                "image_id and slot_sha256 are 64 hexadecimal digits each, in lower case".into(),
            );
        }
        if self.slot_bytes < 2 * HEAD || !self.slot_bytes.is_multiple_of(SECTOR) {
            return Err(format!(
                "slot_bytes {} is no slot's length",
                self.slot_bytes
            ));
        }
        let letters = &self.slot_letter_at;
        let first = HEAD + BEFORE_LETTER.len() as u64;
        if letters.len() > MOST_LETTERS
            || !letters.is_sorted_by(|a, b| a < b)
            || letters
                .iter()
                .any(|at| !(first..self.slot_bytes).contains(at))
        {
            return Err(format!(
                "slot_letter_at: at most {MOST_LETTERS} rising offsets between {first} and slot_bytes"
            ));
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
mod tests {
    use super::*;

    fn good() -> serde_json::Value {
        serde_json::json!({
            "format": 1, "board": BOARD, "version": "0.2.0", "image_id": "ab".repeat(32), "released": 2000, "counter": 8,
            "kernel": "7.3.4", "slot_bytes": 65536, "slot_sha256": "cd".repeat(32), "slot_letter_at": [5000],
            "allow_older": false, "a_later_key": [1, 2]
        })
    }

    fn parse(change: impl FnOnce(&mut serde_json::Value)) -> Result<Manifest, Refusal> {
        let mut value = good();
        change(&mut value);
        Manifest::parse(value.to_string().as_bytes())
    }

    fn running() -> Image {
        Image {
            image_id: "11".repeat(32),
            version: "0.1.0".into(),
            released: 1000,
            counter: 7,
            board: BOARD.into(),
            kernel: String::new(),
        }
    }

    /// Whether a booth that runs 7 and has kept `kept` admits it on this day.
    fn admitted(
        manifest: &Manifest,
        kept: &Floor,
        today: Option<Date>,
        room: u64,
    ) -> Result<(), Refusal> {
        let here = Standing {
            running: &running(),
            kept,
            booth: "rundhoej-1",
            today,
            latest_day: None,
        };
        manifest.admit(&here, room)
    }

    fn day(text: &str) -> Option<Date> {
        Some(text.parse().expect("a day"))
    }

    #[test]
    fn a_manifest_of_a_later_tool_is_understood_and_another_format_is_not() {
        let manifest = parse(|_| {}).expect("good");
        assert_eq!(admitted(&manifest, &Floor::default(), None, 65536), Ok(()));
        assert_eq!(parse(|m| m["format"] = 2.into()), Err(Refusal::Format(2)));
        // The other keys of another format may be anything.
        let other = Manifest::parse(br#"{"format":7,"parts":[]}"#);
        assert_eq!(other, Err(Refusal::Format(7)));
        for rubbish in [
            "",
            "[]",
            "{}",
            "{\"format\":1}",
            "{\"format\":\"1\"}",
            "\u{feff}{",
        ] {
            let said = Manifest::parse(rubbish.as_bytes());
            assert!(
                matches!(said, Err(Refusal::Unreadable(_))),
                "{rubbish:?}: {said:?}"
            );
        }
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        type Change = fn(&mut serde_json::Value);
        let changes: [Change; 10] = [
            |m| m["version"] = "".into(),
            |m| m["version"] = "a\nb".into(),
            |m| m["image_id"] = "AB".repeat(32).into(),
            |m| m["slot_sha256"] = "ab".into(),
            |m| m["slot_bytes"] = 0.into(),
            |m| m["slot_bytes"] = 65537.into(),
            |m| m["slot_letter_at"] = serde_json::json!([65536]),
            |m| m["slot_letter_at"] = serde_json::json!([4096]),
            |m| m["slot_letter_at"] = serde_json::json!([6000, 5000]),
            |m| m["slot_letter_at"] = (5000..5017).collect::<Vec<_>>().into(),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let said = parse(change);
            assert!(
                matches!(said, Err(Refusal::Wrong(_))),
                "change {number}: {said:?}"
            );
        }
    }

    #[test]
    fn each_reason_to_refuse_says_what_to_do() {
        let admit = |change: fn(&mut Manifest), room| {
            let mut manifest = parse(|_| {}).expect("good");
            change(&mut manifest);
            let refusal = admitted(&manifest, &Floor::default(), None, room).expect_err("refused");
            refusal.to_string()
        };
        for (said, remedy) in [
            (
                admit(|m| m.board = "pc".into(), 65536),
                "take the update file for this board",
            ),
            (
                admit(|m| m.image_id = "11".repeat(32), 65536),
                "nothing to do",
            ),
            (admit(|m| m.counter = 7, 65536), "allow_older"),
            (admit(|_| {}, 65535), "write a new card"),
        ] {
            assert!(said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn only_a_higher_counter_is_an_update_whatever_day_its_packages_are_of() {
        let of = |counter: u64| parse(|m| m["counter"] = counter.into()).expect("good");
        let kept = Floor {
            counter: 9,
            image_id: "ab".repeat(32),
        };
        let none = Floor::default();
        for (counter, floor, is_taken) in [
            (8, &none, true),
            (7, &none, false),
            (0, &none, false),
            (10, &kept, true),
            (8, &kept, false),
        ] {
            let said = admitted(&of(counter), floor, day("2026-01-01"), 65536);
            assert_eq!(said.is_ok(), is_taken, "{counter} over {floor:?}: {said:?}");
        }
        // The image that was kept may come again: its slot may be damaged.
        assert_eq!(admitted(&of(9), &kept, None, 65536), Ok(()));
        let other = Floor {
            image_id: "cd".repeat(32),
            ..kept
        };
        assert!(admitted(&of(9), &other, None, 65536).is_err());
    }

    #[test]
    fn a_step_back_that_is_over_stays_over_whatever_day_the_clock_says() {
        let manifest = parse(|m| {
            m["counter"] = 1.into();
            m["allow_older"] = serde_json::json!({"booths": ["rundhoej-1"], "until": "2026-12-31"});
        })
        .expect("good");
        let says = |today, latest_day, released| {
            let here = Standing {
                running: &Image {
                    released,
                    ..running()
                },
                kept: &Floor::default(),
                booth: "rundhoej-1",
                today,
                latest_day,
            };
            manifest.admit(&here, 65536)
        };
        let (before, over) = (day("2026-01-01"), day("2027-01-01"));
        // 2027-01-02.
        let made_later = 1_798_848_000;
        assert_eq!(says(before, None, 1000), Ok(()));
        assert_eq!(says(before, day("2026-12-31"), 1000), Ok(()));
        for (today, latest_day, released) in [
            (before, over, 1000),
            (before, None, made_later),
            (over, before, 1000),
            // A day that was seen once is no synchronised clock.
            (None, before, 1000),
        ] {
            let said = says(today, latest_day, released);
            assert!(matches!(said, Err(Refusal::Over(..))), "{said:?}");
        }
        // A day too late, in the image or seen once, refuses no newer release.
        let newer = parse(|_| {}).expect("good");
        let here = Standing {
            running: &Image {
                released: i64::MAX,
                ..running()
            },
            kept: &Floor::default(),
            booth: "rundhoej-1",
            today: before,
            latest_day: day("9999-12-30"),
        };
        assert_eq!(newer.admit(&here, 65536), Ok(()));
    }

    #[test]
    fn a_step_back_is_for_named_booths_and_until_a_day() {
        let back = |allow: serde_json::Value| {
            parse(|m| {
                m["counter"] = 1.into();
                m["allow_older"] = allow;
            })
            .expect("good")
        };
        let none = Floor::default();
        let named =
            back(serde_json::json!({"booths": ["other", "rundhoej-1"], "until": "2026-12-31"}));
        assert_eq!(admitted(&named, &none, day("2026-12-31"), 65536), Ok(()));
        for (manifest, today, says) in [
            (&named, day("2027-01-01"), "a later day"),
            (&named, None, "set the clock"),
            (
                &back(serde_json::json!({"booths": ["other"], "until": "2026-12-31"})),
                day("2026-01-01"),
                "rundhoej-1",
            ),
            (&back(true.into()), day("2026-01-01"), "until"),
        ] {
            let said = admitted(manifest, &none, today, 65536)
                .expect_err("refused")
                .to_string();
            assert!(said.contains(says), "{said}");
        }
        for bad in [
            serde_json::json!({"booths": ["x"]}),
            serde_json::json!({"booths": ["x"], "until": "soon"}),
            serde_json::json!("yes"),
        ] {
            assert!(parse(|m| m["allow_older"] = bad.clone()).is_err(), "{bad}");
        }
    }
}
