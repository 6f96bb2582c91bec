//! Which of the disks in USB readers is a stick that may be written.
//!
//! Owns: the choice: the first disk that is no booth's card and has a file system that is known here; of several partitions the largest one, because the small one
//! before it is often a computer's own. Never does: write.
#![allow(clippy::disallowed_methods)] // lists devices and reads their first bytes

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Refusal;
use crate::pulled::may_be_a_booths_card;

/// What is read of a file system to know it.
const HEAD: usize = 2_048;

/// A file system of sticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// FAT12, FAT16, FAT32.
    Fat,
    /// exFAT.
    ExFat,
    /// ext4: for rigs whose kernel has no other.
    Ext4,
}

impl Kind {
    /// What every booth's kernel has.
    pub const USUAL: [Self; 2] = [Self::Fat, Self::ExFat];

    /// The kernel's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fat => "vfat",
            Self::ExFat => "exfat",
            Self::Ext4 => "ext4",
        }
    }

    /// By the first bytes (Microsoft's specifications of FAT, 1.03, and exFAT, 1.00; the kernel's documentation of ext4's superblock).
    fn of(head: &[u8]) -> Option<Self> {
        let has = |at: usize, text: &[u8]| head.get(at..at + text.len()) == Some(text);
        if has(3, b"EXFAT   ") {
            return Some(Self::ExFat);
        }
        if has(510, &[0x55, 0xaa]) && (has(54, b"FAT1") || has(82, b"FAT32")) {
            return Some(Self::Fat);
        }
        has(1024 + 56, &[0x53, 0xef]).then_some(Self::Ext4)
    }
}

/// What is to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The disk or its partition.
    pub(super) device: PathBuf,
    /// Its file system.
    pub(super) kind: Kind,
}

impl Choice {
    /// For people, e.g. `sda1`.
    pub(super) fn name(&self) -> String {
        named(&self.device)
    }
}

fn named(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The disks that are plugged in, in an order of their own.
pub(super) fn plugged(disks: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(disks).into_iter().flatten().flatten();
    let mut plugged: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    plugged.sort();
    plugged
}

/// The stick among these disks.
pub(super) fn choose(plugged: &[PathBuf], kinds: &[Kind]) -> Result<Choice, Refusal> {
    let mut why = Vec::new();
    for disk in plugged {
        match on(disk, kinds) {
            Ok(Some(choice)) => return Ok(choice),
            Ok(None) => why.push(format!("{} has neither FAT nor exFAT", named(disk))),
            Err(NotThis::ACard) => why.push(format!(
                "{} is a booth's card, or may be one, and is not written",
                named(disk)
            )),
            Err(NotThis::NoMedium) => why.push(format!("{} is empty", named(disk))),
            Err(NotThis::NotGiven(error)) => {
                why.push(format!("{} cannot be read: {error}", named(disk)));
            }
        }
    }
    Err(Refusal::None(match why.is_empty() {
        true => "nothing is plugged in".into(),
        false => why.join("; "),
    }))
}

/// Why a disk is not taken.
enum NotThis {
    ACard,
    NoMedium,
    NotGiven(String),
}

impl From<io::Error> for NotThis {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() == Some(Errno::NOMEDIUM.raw_os_error()) {
            true => Self::NoMedium,
            false => Self::NotGiven(error.to_string()),
        }
    }
}

/// What of one disk would be mounted.
fn on(disk: &Path, kinds: &[Kind]) -> Result<Option<Choice>, NotThis> {
    // What the reader is called leads to the kernel's own name, beside which the partitions are.
    let disk = disk.canonicalize()?;
    drop(File::open(&disk)?);
    match may_be_a_booths_card(&disk) {
        Ok(false) => {}
        Ok(true) => return Err(NotThis::ACard),
        Err(error) => return Err(NotThis::NotGiven(error.to_string())),
    }
    let mut largest: Option<(u64, Choice)> = None;
    for device in std::iter::once(disk.clone()).chain(partitions(&disk)) {
        let (bytes, kind) = look(&device)?;
        let Some(kind) = kind.filter(|kind| kinds.contains(kind)) else {
            continue;
        };
        if largest.as_ref().is_none_or(|(most, _)| *most < bytes) {
            largest = Some((bytes, Choice { device, kind }));
        }
    }
    Ok(largest.map(|(_, choice)| choice))
}

/// How large a device is, and its file system.
fn look(device: &Path) -> io::Result<(u64, Option<Kind>)> {
    let mut file = File::open(device)?;
    let bytes = file.seek(SeekFrom::End(0))?;
    let mut head = vec![0; HEAD.min(usize::try_from(bytes).unwrap_or(HEAD))];
    file.read_exact_at(&mut head, 0)?;
    Ok((bytes, Kind::of(&head)))
}

/// The partitions of a disk as the kernel names them: `sda1`, and `loop0p1` where the disk's own name ends with a digit.
fn partitions(disk: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (disk.parent(), disk.file_name()) else {
        return Vec::new();
    };
    let mut begins = name.to_string_lossy().into_owned();
    if begins.ends_with(|end: char| end.is_ascii_digit()) {
        begins.push('p');
    }
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = |name: &OsString| {
        let name = name.to_string_lossy();
        name.strip_prefix(&begins).is_some_and(is_number)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let mut found: Vec<PathBuf> = names.filter(is_one).map(|name| folder.join(name)).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder of devices, and one of readers beside it.
    struct Rig(tempfile::TempDir);

    impl Rig {
        fn new() -> Self {
            let rig = Self(tempfile::tempdir().expect("a folder"));
            for folder in ["dev", "usb"] {
                std::fs::create_dir(rig.0.path().join(folder)).expect("a folder");
            }
            rig
        }

        fn device(&self, name: &str, mib: usize, pieces: &[(usize, &[u8])]) {
            let mut bytes = vec![0; mib << 20];
            for (at, piece) in pieces {
                bytes[*at..at + piece.len()].copy_from_slice(piece);
            }
            std::fs::write(self.0.path().join("dev").join(name), bytes).expect("written");
        }

        fn plug(&self, name: &str) {
            let device = self.0.path().join("dev").join(name);
            symlink(device, self.0.path().join("usb").join(name)).expect("a link");
        }

        fn choose(&self) -> Result<(String, Kind), String> {
            let plugged = plugged(&self.0.path().join("usb"));
            let chosen = choose(&plugged, &Kind::USUAL);
            chosen
                .map(|choice| (choice.name(), choice.kind))
                .map_err(|refusal| refusal.to_string())
        }
    }

    const END: (usize, &[u8]) = (510, &[0x55, 0xaa]);
    const FAT: (usize, &[u8]) = (82, b"FAT32   ");
    const EXFAT: (usize, &[u8]) = (3, b"EXFAT   ");

    #[test]
    fn the_largest_fat_or_exfat_of_the_first_stick_is_taken() {
        let rig = Rig::new();
        assert!(
            rig.choose()
                .expect_err("none")
                .contains("nothing is plugged in")
        );
        // Something else, then a stick with a small and a large partition, then one without a table.
        rig.device("sda", 1, &[(0, b"holiday pictures")]);
        rig.plug("sda");
        let why = rig.choose().expect_err("none");
        assert!(why.contains("sda has neither FAT nor exFAT"), "{why}");
        rig.device("sdb", 8, &[END]);
        rig.device("sdb1", 1, &[END, FAT]);
        rig.device("sdb2", 6, &[END, EXFAT]);
        rig.device("sdb10", 2, &[END, FAT]);
        // Another disk, which is not plugged in.
        rig.device("sdbb1", 9, &[END, FAT]);
        rig.plug("sdb");
        assert_eq!(rig.choose(), Ok(("sdb2".into(), Kind::ExFat)));
        std::fs::remove_file(rig.0.path().join("usb/sdb")).expect("pulled out");
        rig.device("sdc", 2, &[END, FAT]);
        rig.plug("sdc");
        assert_eq!(rig.choose(), Ok(("sdc".into(), Kind::Fat)));
    }

    #[test]
    fn a_booths_card_and_what_may_be_one_is_never_chosen() {
        let rig = Rig::new();
        let data: &[u8] = &[0, 0, 0, 0, 0xda, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
        let fat: &[u8] = &[0, 0, 0, 0, 0xc, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0];
        // The image's card that was never started.
        rig.device("sda", 4, &[END, (446, fat), (462, data)]);
        rig.device("sda1", 1, &[END, FAT]);
        rig.plug("sda");
        let why = rig.choose().expect_err("a card");
        assert!(why.contains("sda is a booth's card"), "{why}");
        // Its FAT by the volume's name alone.
        let begins = 2_048 * 512;
        let end = (begins + END.0, END.1);
        let named = (begins + 71, &b"BOOTH      "[..]);
        let fat32 = (begins + FAT.0, FAT.1);
        rig.device("sdb", 4, &[END, (446, fat), end, named, fat32]);
        rig.device("sdb1", 1, &[END, FAT, (71, b"BOOTH      ")]);
        rig.plug("sdb");
        let why = rig.choose().expect_err("a card");
        assert!(why.contains("sdb is a booth's card"), "{why}");
        // A card over which a FAT was laid: an ext4 that cannot be read is behind it.
        let ext4 = ((2 << 20) + 1024 + 56, &[0x53, 0xef][..]);
        rig.device("sdc", 4, &[END, FAT, ext4]);
        rig.plug("sdc");
        let why = rig.choose().expect_err("a card");
        assert!(
            why.contains("sdc is a booth's card, or may be one"),
            "{why}"
        );
    }
}
