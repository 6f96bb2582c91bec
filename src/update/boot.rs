//! Which slot the firmware starts: `autoboot.txt`, the one-shot flag, and the trait by which the updater uses them.
//!
//! The Raspberry Pi's firmware reads `autoboot.txt` on the card's first partition. It starts the partition that `[all]`
//! names; after a restart with the one-shot flag, it starts once the partition that `[tryboot]` names. So the flag makes a
//! trial, and rewriting the file, one sector, is the commitment. A power cut, a reset by the watchdog, or a new version that
//! restarts without a commitment all lead back to the slot of `[all]`.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::slot::Verified;

/// One sector, so that a rewrite happens completely or not at all.
pub const LONGEST_AUTOBOOT: usize = 512;

/// One of the card's two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The second partition.
    A,
    /// The third.
    B,
}

impl Slot {
    /// The slot's letter on the kernel's command line.
    pub fn letter(self) -> u8 {
        match self {
            Slot::A => b'a',
            Slot::B => b'b',
        }
    }

    /// The slot's partition on the card, counted from 1.
    pub fn partition(self) -> u8 {
        match self {
            Slot::A => 2,
            Slot::B => 3,
        }
    }

    /// The slot named by a value of `booth.slot=`.
    pub fn of_letter(text: &str) -> Option<Self> {
        [Slot::A, Slot::B]
            .into_iter()
            .find(|slot| text.as_bytes() == [slot.letter()])
    }

    fn of_partition(number: &str) -> Option<Self> {
        match number {
            "2" => Some(Slot::A),
            "3" => Some(Slot::B),
            _ => None,
        }
    }

    /// The other slot.
    pub fn other(self) -> Self {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }
}

/// What keeps a slot from being armed or committed.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// `autoboot.txt` is not what this card was made with.
    #[error("autoboot.txt on BOOTH is not this image's ({0}); write the card again")]
    Autoboot(NotOurs),
    /// The card's first partition refuses.
    #[error("autoboot.txt on BOOTH: {0}; if that stays, use another card")]
    Booth(#[source] io::Error),
    /// The flag cannot be set.
    #[error("the restart on trial cannot be asked for: {0}")]
    Flag(#[source] FlagError),
    /// A trial within a trial.
    #[error(
        "the running version is on trial itself; wait until it is committed (at most 15 minutes)"
    )]
    OnTrial,
}

/// Why a text is not the `autoboot.txt` of this image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the words say it
pub enum NotOurs {
    #[error("longer than a sector")]
    TooLong,
    #[error("boot_partition is neither 2 nor 3")]
    Partition,
    #[error("boot_partition in a section that is not known")]
    Section,
    #[error("boot_partition twice in a section")]
    Twice,
    #[error("tryboot_a_b, or a boot_partition of [all] or [tryboot], is missing")]
    Missing,
}

/// Why the one-shot flag cannot be set or cleared.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum FlagError {
    #[error("{}: {error}", path.display())]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("this kernel cannot ask the firmware for it; the image lacks the module booth_tryboot")]
    NoMeans,
}

/// The slots that `autoboot.txt` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoboot {
    /// The slot that is started without the flag.
    pub all: Slot,
    /// The slot that is started once with the flag.
    pub tryboot: Slot,
    /// Where their partition numbers are in the text.
    places: (usize, usize),
}

impl Autoboot {
    /// Reads the text as the firmware does, and demands the keys that the updater needs.
    pub fn parse(text: &[u8]) -> Result<Self, BootError> {
        let wrong = BootError::Autoboot;
        if text.len() > LONGEST_AUTOBOOT {
            return Err(wrong(NotOurs::TooLong));
        }
        let mut section: &[u8] = b"all";
        let (mut all, mut tryboot, mut has_mode) = (None, None, false);
        let mut at = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let start = at;
            at += line.len();
            let line = line.trim_ascii_end();
            if let [b'[', name @ .., b']'] = line {
                section = name;
            } else if line == b"tryboot_a_b=1" && section == b"all" {
                has_mode = true;
            } else if let Some(number) = line.strip_prefix(b"boot_partition=") {
                let place = start + b"boot_partition=".len();
                let number = std::str::from_utf8(number).unwrap_or_default();
                let slot = Slot::of_partition(number).ok_or_else(|| wrong(NotOurs::Partition))?;
                let known = match section {
                    b"all" => &mut all,
                    b"tryboot" => &mut tryboot,
                    _ => return Err(wrong(NotOurs::Section)),
                };
                if known.replace((slot, place)).is_some() {
                    return Err(wrong(NotOurs::Twice));
                }
            }
        }
        match (all, tryboot) {
            (Some((all, all_at)), Some((tryboot, tryboot_at))) if has_mode => Ok(Self {
                all,
                tryboot,
                places: (all_at, tryboot_at),
            }),
            _ => Err(wrong(NotOurs::Missing)),
        }
    }

    /// The same text, byte for byte, but with these slots; its length is unchanged.
    pub fn rewritten(&self, text: &[u8], all: Slot) -> Vec<u8> {
        let mut text = text.to_vec();
        text[self.places.0] = b'0' + all.partition();
        text[self.places.1] = b'0' + all.other().partition();
        text
    }
}

/// The file `autoboot.txt`.
pub trait AutobootFile {
    /// Its bytes.
    fn read(&self) -> io::Result<Vec<u8>>;
    /// Writes the same number of bytes over the old ones, in place, and makes them durable.
    fn rewrite(&self, bytes: &[u8]) -> io::Result<()>;
}

/// The one-shot flag, which the firmware forgets at the next start.
pub trait OneShot {
    /// Makes the next restart a trial.
    fn set(&self) -> Result<(), FlagError>;
    /// Makes the next restart an ordinary one.
    fn clear(&self) -> Result<(), FlagError>;
}

/// What the updater needs from the firmware.
pub trait BootControl {
    /// The slot that is started without a flag.
    fn default_slot(&self) -> Result<Slot, BootError>;
    /// The slot that runs.
    fn running_slot(&self) -> Slot;
    /// Lets the next restart start this slot once.
    fn arm_trial(&self, verified: &Verified) -> Result<(), BootError>;
    /// Lets the next restart start the default slot, as always.
    fn disarm(&self) -> Result<(), BootError>;
    /// Makes the running slot the default.
    fn commit(&self) -> Result<(), BootError>;

    /// Whether the running slot has to prove itself.
    fn is_on_trial(&self) -> Result<bool, BootError> {
        Ok(self.default_slot()? != self.running_slot())
    }
}

/// [`BootControl`] of the Raspberry Pi's firmware.
pub struct Tryboot<F, O> {
    /// `autoboot.txt` on the partition BOOTH.
    pub file: F,
    /// The way to set the flag under this kernel.
    pub flag: O,
    /// The slot that runs, according to the kernel's command line.
    pub running: Slot,
}

impl<F: AutobootFile, O: OneShot> Tryboot<F, O> {
    fn look(&self) -> Result<(Vec<u8>, Autoboot), BootError> {
        let text = self.file.read().map_err(BootError::Booth)?;
        let autoboot = Autoboot::parse(&text)?;
        Ok((text, autoboot))
    }

    fn make_default(&self, slot: Slot) -> Result<(), BootError> {
        let (text, autoboot) = self.look()?;
        if autoboot.all != slot || autoboot.tryboot != slot.other() {
            let new = autoboot.rewritten(&text, slot);
            self.file.rewrite(&new).map_err(BootError::Booth)?;
        }
        Ok(())
    }
}

impl<F: AutobootFile, O: OneShot> BootControl for Tryboot<F, O> {
    fn default_slot(&self) -> Result<Slot, BootError> {
        self.look().map(|(_, autoboot)| autoboot.all)
    }

    fn running_slot(&self) -> Slot {
        self.running
    }

    fn arm_trial(&self, verified: &Verified) -> Result<(), BootError> {
        if self.is_on_trial()? {
            return Err(BootError::OnTrial);
        }
        assert_eq!(
            verified.slot(),
            self.running.other(),
            "the running slot is never written"
        );
        // A technician may have edited the file: the trial must fall back to the running slot.
        self.make_default(self.running)?;
        self.flag.set().map_err(BootError::Flag)
    }

    fn disarm(&self) -> Result<(), BootError> {
        self.flag.clear().map_err(BootError::Flag)
    }

    fn commit(&self) -> Result<(), BootError> {
        self.make_default(self.running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &[u8] = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";

    #[test]
    fn committing_swaps_two_digits_and_nothing_else() {
        let autoboot = Autoboot::parse(SHIPPED).expect("good");
        assert_eq!((autoboot.all, autoboot.tryboot), (Slot::A, Slot::B));
        let swapped = autoboot.rewritten(SHIPPED, Slot::B);
        let wanted: &[u8] =
            b"[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=2\n";
        assert_eq!(swapped, wanted);
        let back = Autoboot::parse(&swapped)
            .expect("good")
            .rewritten(&swapped, Slot::A);
        assert_eq!(back, SHIPPED);
    }

    #[test]
    fn a_technicians_line_ends_and_remarks_stay() {
        let text =
            b"# mine\r\ntryboot_a_b=1\r\nboot_partition=3\r\n[tryboot]\r\nboot_partition=3\r\n";
        let autoboot = Autoboot::parse(text).expect("good");
        assert_eq!((autoboot.all, autoboot.tryboot), (Slot::B, Slot::B));
        let new = autoboot.rewritten(text, Slot::B);
        assert_eq!(new.len(), text.len());
        assert_eq!(Autoboot::parse(&new).expect("good").tryboot, Slot::A);
        assert!(new.starts_with(b"# mine\r\n"));
    }

    #[test]
    fn a_file_that_is_not_this_images_is_never_rewritten() {
        for text in [
            "",
            "[all]\nboot_partition=2\n[tryboot]\nboot_partition=3\n",
            "[all]\ntryboot_a_b=1\nboot_partition=2\n",
            "[all]\ntryboot_a_b=1\nboot_partition=5\n[tryboot]\nboot_partition=3\n",
            "[all]\ntryboot_a_b=1\nboot_partition=22\n[tryboot]\nboot_partition=3\n",
            "[all]\ntryboot_a_b=1\nboot_partition=2\nboot_partition=3\n[tryboot]\nboot_partition=3\n",
            "[pi4]\nboot_partition=2\n[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n",
            &format!("{}{}", String::from_utf8_lossy(SHIPPED), " ".repeat(512)),
        ] {
            let said = Autoboot::parse(text.as_bytes())
                .expect_err("refused")
                .to_string();
            assert!(said.contains("write the card again"), "{said}");
        }
    }

    #[test]
    fn a_slot_knows_its_letter_and_partition() {
        for slot in [Slot::A, Slot::B] {
            let letter = char::from(slot.letter()).to_string();
            assert_eq!(Slot::of_letter(&letter), Some(slot));
            assert_eq!(
                Slot::of_partition(&slot.partition().to_string()),
                Some(slot)
            );
            assert_eq!(slot.other().other(), slot);
        }
        assert_eq!(Slot::of_letter("ab"), None);
    }
}
