//! The card that the machine starts from, read as the Raspberry Pi's firmware reads it and written as a technician writes it.
//!
//! Owns: partitions, the FAT files in them (by mtools), and which slot `autoboot.txt` names. Never does: start anything.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{run, text, tried};

pub const SECTOR: u64 = 512;
/// Where the card counts the starts that came to nothing (image/starts.sh), bytes.
const STARTS_AT: u64 = 8192 * SECTOR;
/// The partition with the configuration and the choice of the slot.
pub const BOOTH: usize = 1;
/// The partition with the citizens' words.
pub const DATA: usize = 4;

/// One entry of the partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    pub kind: u8,
    /// In sectors, as is the length.
    pub start: u64,
    pub length: u64,
}

/// The four primary partitions, as a boot ROM reads them.
pub fn table(record: &[u8]) -> Result<[Partition; 4], String> {
    if record.len() < 512 || record[510..512] != [0x55, 0xaa] {
        return Err("no MBR".into());
    }
    let word = |at: usize| {
        let bytes = &record[at..at + 4];
        u64::from(u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    };
    Ok([0, 1, 2, 3].map(|number| {
        let at = 446 + 16 * number;
        Partition {
            kind: record[at + 4],
            start: word(at + 8),
            length: word(at + 12),
        }
    }))
}

/// `boot_partition` of a section of `autoboot.txt`, as the firmware reads it: the last one counts.
pub fn chosen(autoboot: &str, section: &str) -> Option<usize> {
    let mut is_here = section == "all";
    let mut number = None;
    for line in autoboot.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            is_here = name == section;
        } else if let Some(value) = line.strip_prefix("boot_partition=").filter(|_| is_here) {
            number = value.trim().parse().ok();
        }
    }
    number
}

pub struct Card {
    pub file: PathBuf,
}

impl Card {
    /// A card of this size with this image on it.
    pub fn write(image: &Path, file: PathBuf, bytes: u64) -> Self {
        run("cp", &["--sparse=always", text(image), text(&file)]);
        let card = std::fs::File::options().write(true).open(&file);
        card.and_then(|card| card.set_len(bytes)).expect("its size");
        Self { file }
    }

    pub fn partition(&self, number: usize) -> Partition {
        let mut record = [0; 512];
        let card = std::fs::File::open(&self.file).expect("a card");
        card.read_exact_at(&mut record, 0).expect("a first sector");
        table(&record).expect("a card")[number - 1]
    }

    pub fn partition_bytes(&self, number: usize) -> Vec<u8> {
        let partition = self.partition(number);
        let mut bytes = vec![0; (partition.length * SECTOR) as usize];
        let card = std::fs::File::open(&self.file).expect("a card");
        card.read_exact_at(&mut bytes, partition.start * SECTOR)
            .expect("a partition");
        bytes
    }

    /// The partition as mtools names it.
    pub fn fat(&self, number: usize) -> String {
        let start = self.partition(number).start;
        format!("{}@@{}", text(&self.file), start * SECTOR)
    }

    /// A file of a FAT partition, if it is there.
    pub fn bytes(&self, number: usize, name: &str) -> Option<Vec<u8>> {
        tried("mtype", &["-i", &self.fat(number), &format!("::{name}")])
    }

    pub fn read(&self, number: usize, name: &str) -> Option<String> {
        let bytes = self.bytes(number, name)?;
        Some(String::from_utf8(bytes).expect("UTF-8"))
    }

    pub fn copy_out(&self, number: usize, name: &str, to: &Path) -> bool {
        let _ = std::fs::remove_file(to);
        let from = format!("::{name}");
        tried("mcopy", &["-n", "-i", &self.fat(number), &from, text(to)]).is_some()
    }

    /// A file or a folder, over what was there.
    pub fn put(&self, number: usize, from: &Path, name: &str) {
        let to = format!("::{name}");
        run(
            "mcopy",
            &["-s", "-o", "-i", &self.fat(number), text(from), &to],
        );
    }

    /// Text, byte for byte, into a file on BOOTH.
    pub fn write_text(&self, name: &str, content: impl AsRef<[u8]>) {
        self.write_text_to(BOOTH, name, content);
    }

    pub fn write_text_to(&self, number: usize, name: &str, content: impl AsRef<[u8]>) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("text");
        std::fs::write(&file, content).expect("written");
        self.put(number, &file, name);
    }

    /// The partition that the firmware starts, with its one-shot flag or without.
    pub fn due(&self, is_trial: bool) -> usize {
        let autoboot = self.read(BOOTH, "autoboot.txt").expect("autoboot.txt");
        assert!(autoboot.contains("tryboot_a_b=1"), "{autoboot:?}");
        let section = if is_trial { "tryboot" } else { "all" };
        chosen(&autoboot, section).unwrap_or_else(|| panic!("{section} in {autoboot:?}"))
    }

    /// The version of slot A in slot B too, as updates leave a card.
    pub fn fill_slot_b(&self) {
        let mut slot = self.partition_bytes(2);
        let letter = b"booth.slot=a";
        let at = slot
            .windows(letter.len())
            .position(|window| window == letter);
        slot[at.expect("the letter of slot A") + letter.len() - 1] = b'b';
        self.write_bytes(self.partition(3).start * SECTOR, &slot);
    }

    /// Zeros in the middle half of a slot's root, as a worn card may have them; the tables at its ends stay whole.
    pub fn wear_out(&self, number: usize) {
        let root = self.bytes(number, "root.sqfs").expect("a root");
        let slot = self.partition_bytes(number);
        let at = slot.windows(64).position(|window| window == &root[..64]);
        let at = self.partition(number).start * SECTOR + at.expect("its first bytes") as u64;
        let quarter = root.len() as u64 / 4;
        self.write_bytes(at + quarter, &vec![0; 2 * quarter as usize]);
        let worn = self.bytes(number, "root.sqfs").expect("a root");
        assert!(worn.len() == root.len() && worn != root && worn[..64] == root[..64]);
    }

    /// How many starts in a row came to nothing, as the card counts them.
    pub fn starts(&self) -> String {
        let mut sector = [0; SECTOR as usize];
        let card = std::fs::File::open(&self.file).expect("a card");
        card.read_exact_at(&mut sector, STARTS_AT)
            .expect("a sector");
        String::from_utf8_lossy(&sector)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// As if so many starts had come to nothing.
    pub fn set_starts(&self, count: u32) {
        let text = format!("booth-starts {count}\n");
        self.write_bytes(STARTS_AT, format!("{text:512}").as_bytes());
    }

    fn write_bytes(&self, offset: u64, bytes: &[u8]) {
        let card = std::fs::File::options().write(true).open(&self.file);
        card.and_then(|card| card.write_all_at(bytes, offset))
            .expect("written");
    }

    /// SHA-256 of what a slot is started from, by name; `None` where a file is missing.
    pub fn slot(&self, number: usize) -> Option<BTreeMap<String, String>> {
        let names = ["kernel8.img", "initrd.zst", "root.sqfs"];
        names
            .iter()
            .map(|name| Some(((*name).to_owned(), sha256(&self.bytes(number, name)?))))
            .collect()
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
