//! Power cuts between any two writes of the card on which the image ran: from QEMU's log of writes.
//!
//! Owns: the log, the states that a cut may leave, and the verdict over partition table, BOOTH, slots and data. Never does: repair
//! more than the image itself does at a boot. The rule of a card: what was written before the last flush is there; of what was
//! written after it, any part may be, sector by sector. Marks are sectors that the rig wrote into the card's unused gap, so that a
//! promise has a place among the writes. The spool is opened by this machine's own gateway, its clips are read by the format alone.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use booth_spool::real_disk::RealDisk;
use booth_spool::{OpenFacts, Spool};

use super::card::{self, BOOTH, DATA, Partition, SECTOR};
use super::{run, text};
use booth_testkit::blockdev::{Event, Trace, What};
use booth_testkit::card_reader::{self, ClipFile};
use booth_testkit::crash_image::{Cut, Dice, Later};

/// Where the rig writes its marks: sector 64, in the gap before the first partition.
const MARK_AT: u64 = 64 * SECTOR;
const MARK: &[u8] = b"rig-mark: ";
/// The mark after a laptop has written: a card that is pulled out of a laptop is none of the image's business.
pub const TECHNICIAN: &str = "the technician is done";
/// Flags of an entry of the log (dm-log-writes).
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MAGIC: u64 = 0x006a_7366_7773_6872;

/// All writes of the card in order, out of QEMU's log.
pub fn read_log(log: &Path, bytes: u64) -> Trace {
    let file = std::fs::read(log).expect("a log of writes");
    let number = |at: usize| {
        file.get(at..at + 8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("8")))
    };
    assert_eq!(number(0), Some(MAGIC), "not a log of writes");
    let mut trace = Trace {
        events: Vec::new(),
        bytes,
    };
    let mut push = |what| trace.events.push(Event { at_us: 0, what });
    let mut at = SECTOR as usize;
    while let (Some(sector), Some(sectors), Some(flags), Some(_)) =
        (number(at), number(at + 8), number(at + 16), number(at + 24))
    {
        if (sector, sectors, flags) == (0, 0, 0) {
            break;
        }
        at += SECTOR as usize;
        let length = (sectors * SECTOR) as usize;
        if flags & DISCARD != 0 {
            // What a card answers for a discarded sector is its own business: these answer zeros.
            push(What::Write(sector * SECTOR, vec![0; length]));
        } else if length > 0 {
            // The power may have gone while the log was written.
            let Some(content) = file.get(at..at + length) else {
                break;
            };
            at += length;
            let offset = sector * SECTOR;
            if let Some(said) = content.strip_prefix(MARK).filter(|_| offset == MARK_AT) {
                push(What::Mark(
                    String::from_utf8_lossy(said).trim_end().to_owned(),
                ));
            } else {
                push(What::Write(offset, content.to_vec()));
            }
        }
        if flags & (FLUSH | FUA) != 0 {
            push(What::Flush);
        }
    }
    trace
}

/// What the test knows of a clip.
#[derive(Debug, Clone)]
pub struct Promise {
    pub clip_id: String,
    /// The place of the mark that says so.
    pub kept: usize,
    /// From here on the centre may have it, so that it may have left the card.
    pub may_leave: usize,
}

/// The promises of a trace: marks "kept ID", and "the centre listens", after which a clip kept before may leave.
pub fn promises(trace: &Trace) -> Vec<Promise> {
    let marks: Vec<(usize, &str)> = trace
        .marks()
        .map(|(place, _, said)| (place, said))
        .collect();
    let kept = marks
        .iter()
        .filter_map(|(place, said)| Some((*place, said.strip_prefix("kept ")?)));
    kept.map(|(kept, clip_id)| {
        let opened = marks
            .iter()
            .filter(|(_, said)| *said == "the centre listens");
        let first = opened.map(|(place, _)| *place).find(|place| *place > kept);
        // A centre that listens when a clip is kept may have it at once.
        let listens = marks
            .iter()
            .rev()
            .find(|(place, said)| *place < kept && said.starts_with("the centre"));
        let at_once = listens.is_some_and(|(_, said)| *said == "the centre listens");
        Promise {
            clip_id: clip_id.to_owned(),
            kept,
            may_leave: if at_once {
                kept
            } else {
                first.unwrap_or(usize::MAX)
            },
        }
    })
    .collect()
}

/// What the states have shown together.
#[derive(Debug, Default, Clone)]
pub struct Verdicts {
    pub states: usize,
    /// With writes of which any part may be there.
    pub in_doubt: usize,
    /// Data was not yet in use, by the partition table.
    pub unmade: usize,
    /// `e2fsck -p` found nothing, or mended; then `-y`; then the second superblock.
    pub mended: [usize; 4],
    pub booth_marked: usize,
    pub booth_mended: usize,
    /// Promised clips that were there; takes that this opening finished.
    pub kept: usize,
    pub recovered: usize,
    /// In the middle of a citizen's words.
    pub in_the_middle: usize,
    pub slot_b_states: usize,
    pub broken: Vec<String>,
}

/// A partition as a state has it, in a file of its own.
struct Region {
    from: u64,
    to: u64,
    safe: std::fs::File,
    path: PathBuf,
    /// As of which number of writes `safe` is.
    writes: usize,
}

impl Region {
    fn new(card: &Path, partition: Partition, path: PathBuf) -> Self {
        let (from, bytes) = (partition.start * SECTOR, partition.length * SECTOR);
        let safe = std::fs::File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .expect("a file");
        safe.set_len(bytes).expect("its size");
        let card = std::fs::File::open(card).expect("a card");
        let mut piece = vec![0; 1 << 20];
        for at in (0..bytes).step_by(1 << 20) {
            let length = piece.len().min((bytes - at) as usize);
            let got = card.read_at(&mut piece[..length], from + at).expect("read");
            // Holes stay holes, and what lies beyond the image is one.
            if piece[..got].iter().any(|byte| *byte != 0) {
                safe.write_all_at(&piece[..got], at).expect("written");
            }
        }
        Self {
            from,
            to: from + bytes,
            safe,
            path,
            writes: 0,
        }
    }

    fn has(&self, offset: u64) -> bool {
        (self.from..self.to).contains(&offset)
    }

    fn write(&mut self, file: Option<&std::fs::File>, offset: u64, bytes: &[u8]) {
        let file = file.unwrap_or(&self.safe);
        // A hole is as good as zeros.
        let at = offset - self.from;
        let is_hole = bytes.iter().all(|byte| *byte == 0) && {
            let mut there = vec![1; bytes.len()];
            let got = file.read_at(&mut there, at).unwrap_or(0);
            there[..got].iter().all(|byte| *byte == 0)
        };
        if !is_hole {
            file.write_all_at(bytes, at).expect("written");
        }
    }

    /// The safe part as a file that may be changed.
    fn copy(&self, to: &Path) -> std::fs::File {
        run("cp", &["--sparse=always", text(&self.path), text(to)]);
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(to)
            .expect("a copy")
    }
}

pub struct Crashes<'a> {
    trace: &'a Trace,
    promises: Vec<Promise>,
    folder: tempfile::TempDir,
    /// The card's first sector, which is the partition table.
    record: Vec<u8>,
    booth: Region,
    data: Region,
    /// Slot partitions, by their own rule: whoever is named by autoboot.txt has to be one of these.
    slots: [Partition; 2],
    known: Vec<String>,
    slot: HashMap<usize, Vec<u8>>,
    card: PathBuf,
}

impl<'a> Crashes<'a> {
    /// States of a card that was `card` before the first write of the trace.
    pub fn new(card: &Path, trace: &'a Trace) -> Self {
        let base = super::repository().join("target/image");
        let folder = tempfile::tempdir_in(base).expect("a folder");
        let mut record = vec![0; SECTOR as usize];
        let file = std::fs::File::open(card).expect("a card");
        file.read_exact_at(&mut record, 0).expect("a first sector");
        let table = card::table(&record).expect("a card");
        // As large as it grows to.
        let grown = Partition {
            length: trace.bytes / SECTOR - table[DATA - 1].start,
            ..table[DATA - 1]
        };
        Self {
            promises: promises(trace),
            booth: Region::new(card, table[BOOTH - 1], folder.path().join("booth.safe")),
            data: Region::new(card, grown, folder.path().join("data.safe")),
            slots: [table[1], table[2]],
            known: Vec::new(),
            slot: HashMap::new(),
            trace,
            folder,
            record,
            card: card.to_owned(),
        }
    }

    /// The roots that a started slot may have, by their SHA-256.
    pub fn knows(&mut self, roots: [String; 2]) {
        self.known = roots.into();
    }

    /// Cuts: half of them anywhere, half near a promise.
    pub fn choose(&self, count: usize, seed: u64) -> Vec<Cut> {
        let mut dice = Dice(seed);
        let all = 1..self.trace.events.len() + 1;
        let marks: Vec<usize> = self.trace.marks().map(|(place, ..)| place).collect();
        let cuts = (0..count).map(|number| {
            let mut cut = Cut::choose(self.trace, all.clone(), &mut dice);
            if number % 2 == 1 && !marks.is_empty() {
                let mark = marks[dice.below(marks.len() as u64) as usize];
                cut.point = (mark + dice.below(120) as usize)
                    .saturating_sub(20)
                    .clamp(1, all.end - 1);
            }
            // Past the end of a laptop's write.
            let rest = &self.trace.events[cut.point.min(all.end - 1)..];
            let ends = rest
                .iter()
                .take(3)
                .position(|event| event.what == What::Mark(TECHNICIAN.into()));
            cut.point += ends.map_or(0, |more| more + 1);
            cut
        });
        cuts.collect()
    }

    /// Seconds that a citizen had spoken at least when the cut came, none if nobody spoke.
    fn said_s(&self, point: usize) -> u64 {
        let mut before = self.trace.events[..point].iter().rev();
        let last = before.find_map(|event| match &event.what {
            What::Mark(said) if said.starts_with("spoken ") || said.starts_with("kept ") => {
                Some(said.as_str())
            }
            _ => None,
        });
        let spoken = last.and_then(|said| said.strip_prefix("spoken "));
        spoken.and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
    }

    fn safe(&self, cut: &Cut) -> usize {
        let before = self.trace.events[..cut.point].iter().enumerate().rev();
        before
            .filter(|(_, event)| event.what == What::Flush)
            .nth(cut.lies)
            .map_or(0, |(place, _)| place)
    }

    /// Looks at every state; the order is the card's own, so that each write is laid down once.
    pub fn look(&mut self, mut cuts: Vec<Cut>, seed: u64, mut tell: impl FnMut(usize)) -> Verdicts {
        cuts.sort_by_key(|cut| self.safe(cut));
        let mut verdicts = Verdicts::default();
        let mut dice = Dice(seed);
        let mut laid = 0;
        for cut in &cuts {
            let safe = self.safe(cut);
            for place in laid..safe {
                let event = &self.trace.events[place];
                if let What::Write(offset, bytes) = &event.what {
                    self.lay(*offset, bytes);
                }
            }
            laid = laid.max(safe);
            verdicts.states += 1;
            if let Err(why) = self.state(cut, safe, &mut dice, &mut verdicts) {
                verdicts.broken.push(format!("{cut:?}: {why}"));
            }
            tell(verdicts.states);
        }
        verdicts
    }

    /// A write that is on the card for good.
    fn lay(&mut self, offset: u64, bytes: &[u8]) {
        if offset < SECTOR {
            self.record.copy_from_slice(&bytes[..SECTOR as usize]);
        } else if self.booth.has(offset) {
            self.booth.write(None, offset, bytes);
            self.booth.writes += 1;
        } else if self.data.has(offset) {
            self.data.write(None, offset, bytes);
            self.data.writes += 1;
        } else if let Some(number) = self.slot_of(offset) {
            let (from, image) = self.slot_image(number);
            let at = (offset - from) as usize;
            image[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    fn slot_of(&self, offset: u64) -> Option<usize> {
        let sector = offset / SECTOR;
        let is_in = |slot: &Partition| (slot.start..slot.start + slot.length).contains(&sector);
        self.slots.iter().position(is_in)
    }

    /// A slot's partition in memory, read when it is first written to.
    fn slot_image(&mut self, number: usize) -> (u64, &mut Vec<u8>) {
        let slot = self.slots[number];
        let card = &self.card;
        let image = self.slot.entry(number).or_insert_with(|| {
            let mut image = vec![0; (slot.length * SECTOR) as usize];
            let file = std::fs::File::open(card).expect("a card");
            file.read_exact_at(&mut image, slot.start * SECTOR)
                .expect("a slot");
            image
        });
        (slot.start * SECTOR, image)
    }

    fn state(
        &mut self,
        cut: &Cut,
        safe: usize,
        dice: &mut Dice,
        verdicts: &mut Verdicts,
    ) -> Result<(), String> {
        let (booth, data) = (
            self.folder.path().join("booth.fat"),
            self.folder.path().join("data.ext4"),
        );
        let mut record = self.record.clone();
        let (booth_file, data_file) = (self.booth.copy(&booth), self.data.copy(&data));
        let mut undo: Vec<(usize, usize, Vec<u8>)> = Vec::new();
        let mut later = 0;
        for event in &self.trace.events[safe..cut.point] {
            let What::Write(offset, bytes) = &event.what else {
                continue;
            };
            later += 1;
            let is_whole = match cut.later {
                Later::Nothing => Some(false),
                Later::Everything => Some(true),
                Later::Writes(chance) => Some(dice.below(100) < chance),
                Later::Sectors(_) => None,
            };
            for (at, sector) in (*offset..)
                .step_by(SECTOR as usize)
                .zip(bytes.chunks(SECTOR as usize))
            {
                let is_there = is_whole.unwrap_or_else(|| match cut.later {
                    Later::Sectors(chance) => dice.below(100) < chance,
                    _ => false,
                });
                if !is_there {
                    continue;
                }
                if at < SECTOR {
                    record.copy_from_slice(sector);
                } else if self.booth.has(at) {
                    self.booth.write(Some(&booth_file), at, sector);
                } else if self.data.has(at) {
                    self.data.write(Some(&data_file), at, sector);
                } else if let Some(number) = self.slot_of(at) {
                    let (from, image) = self.slot_image(number);
                    let place = (at - from) as usize;
                    undo.push((number, place, image[place..place + sector.len()].to_vec()));
                    image[place..place + sector.len()].copy_from_slice(sector);
                }
            }
        }
        verdicts.in_doubt += usize::from(later > 0);
        let verdict = self.judge(cut, &record, &booth, &data, verdicts);
        for (number, place, bytes) in undo.into_iter().rev() {
            let (_, image) = self.slot_image(number);
            image[place..place + bytes.len()].copy_from_slice(&bytes);
        }
        verdict
    }

    fn judge(
        &mut self,
        cut: &Cut,
        record: &[u8],
        booth: &Path,
        data: &Path,
        verdicts: &mut Verdicts,
    ) -> Result<(), String> {
        let table = card::table(record)?;
        if table[BOOTH - 1].start * SECTOR != self.booth.from
            || (table[1].start, table[2].start) != (self.slots[0].start, self.slots[1].start)
            || table[DATA - 1].start * SECTOR != self.data.from
        {
            return Err(format!("the partition table is {table:?}"));
        }
        self.judge_booth(booth, verdicts)?;
        let promised: Vec<&Promise> = self
            .promises
            .iter()
            .filter(|promise| promise.kept < cut.point)
            .collect();
        match table[DATA - 1].kind {
            0xda if promised.is_empty() => {
                verdicts.unmade += 1;
                Ok(())
            }
            0x83 => self.judge_data(cut, data, &promised, verdicts),
            kind => Err(format!(
                "data is of type {kind:x} when {promised:?} were kept"
            )),
        }
    }

    /// BOOTH names a slot that is whole, and mends like any FAT.
    fn judge_booth(&mut self, booth: &Path, verdicts: &mut Verdicts) -> Result<(), String> {
        let autoboot = super::tried("mtype", &["-i", text(booth), "::autoboot.txt"])
            .ok_or("autoboot.txt cannot be read")?;
        let autoboot = String::from_utf8_lossy(&autoboot).into_owned();
        let named =
            card::chosen(&autoboot, "all").ok_or_else(|| format!("{autoboot:?} names no slot"))?;
        let number = named
            .checked_sub(2)
            .filter(|number| *number < 2)
            .ok_or_else(|| format!("partition {named} is no slot"))?;
        verdicts.slot_b_states += usize::from(!self.slot.is_empty());
        if self.slot.contains_key(&number) && !self.known.is_empty() {
            let file = self.folder.path().join("slot.fat");
            std::fs::write(&file, &self.slot[&number]).map_err(|error| error.to_string())?;
            let root = super::tried("mtype", &["-i", text(&file), "::root.sqfs"])
                .ok_or_else(|| format!("slot {named} has no root"))?;
            let hash = card::sha256(&root);
            if !self.known.contains(&hash) {
                return Err(format!(
                    "the slot {named} that is started has an unknown root {hash}"
                ));
            }
        }
        // The bit that a mounted FAT has set is no damage, and -a takes it back.
        if status("fsck.vfat", &["-n", text(booth)]) != Some(0) {
            verdicts.booth_marked += 1;
            status("fsck.vfat", &["-a", text(booth)]);
            if status("fsck.vfat", &["-n", text(booth)]) != Some(0) {
                let told = Command::new("fsck.vfat").args(["-n", text(booth)]).output();
                return Err(format!("BOOTH does not mend: {told:?}"));
            }
            verdicts.booth_mended += 1;
        }
        Ok(())
    }

    /// What the image does with its data at a boot, then what the gateway does with the spool.
    fn judge_data(
        &self,
        cut: &Cut,
        data: &Path,
        promised: &[&Promise],
        verdicts: &mut Verdicts,
    ) -> Result<(), String> {
        let how: [&[&str]; 3] = [&["-p"], &["-y"], &["-y", "-b", "32768"]];
        let mended = how.iter().position(|options| {
            let mut options = options.to_vec();
            options.push(text(data));
            status("e2fsck", &options).is_some_and(|status| status < 4)
        });
        let mended = mended.ok_or("the data partition cannot be repaired")?;
        verdicts.mended[mended] += 1;
        if status("e2fsck", &["-f", "-n", text(data)]) != Some(0) {
            return Err("the data partition is not whole after its repair".into());
        }
        let out = self.folder.path().join("files");
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir(&out).map_err(|error| error.to_string())?;
        status(
            "debugfs",
            &[
                "-R",
                &format!("rdump /booth-gateway {}", text(&out)),
                text(data),
            ],
        );
        let Some(spool) = spool_in(&out) else {
            return match promised {
                [] => Ok(()),
                lost => Err(format!("there is no spool, but {lost:?} were kept")),
            };
        };
        let facts = OpenFacts {
            boot_id: "another-boot".into(),
            fresh_card_id: uuid::Uuid::new_v4().to_string().into(),
            wall_ms: 1_800_000_000_000,
            max_bytes: 1 << 40,
            reserve_bytes: 0,
            ledger: true,
            card_cid: None,
            hw_serial: None,
            ballast_bytes: 0,
            failed_before: 0,
        };
        let (opened, report) = Spool::open(Arc::new(RealDisk::new()), &spool, facts)
            .map_err(|error| format!("the spool: {error}"))?;
        drop(opened);
        verdicts.recovered += report.recovered.len();
        let clips: BTreeMap<String, ClipFile> = card_reader::read_folder(&spool.join("clips"))
            .into_iter()
            .collect();
        if let Some((clip_id, _)) = card_reader::read_folder(&spool.join("quarantine")).first() {
            return Err(format!("clip {clip_id} is in quarantine"));
        }
        for (clip_id, clip) in &clips {
            let is_whole = !clip.has_torn_tail
                && clip.manifest_field("sha256") == clip.sha256.as_str()
                && clip.manifest_field("clip_id") == clip_id.as_str();
            if !is_whole {
                return Err(format!("clip {clip_id} is not whole: {clip:?}"));
            }
        }
        let unkept = |clip_id: &String| !promised.iter().any(|promise| promise.clip_id == *clip_id);
        let longest = clips
            .iter()
            .filter(|(clip_id, _)| unkept(clip_id))
            .map(|(_, clip)| clip.kept_ms)
            .max();
        let said_s = self.said_s(cut.point);
        if said_s > 1 {
            let there_ms = longest.unwrap_or(0);
            verdicts.in_the_middle += 1;
            if there_ms + 1_000 < said_s * 1_000 {
                return Err(format!("of {said_s} s of speech {there_ms} ms are there"));
            }
        }
        for promise in promised {
            match clips.get(&promise.clip_id) {
                Some(_) => verdicts.kept += 1,
                None if promise.may_leave < cut.point => {}
                None => return Err(format!("{promise:?} is gone; there are {:?}", clips.keys())),
            }
        }
        Ok(())
    }
}

fn status(program: &str, arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make image-test` installs it"));
    status.code()
}

/// The folder with `card.json`.
fn spool_in(folder: &Path) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|name| name == "clips") {
            return Some(folder.to_owned());
        }
        if path.is_dir()
            && let Some(found) = spool_in(&path)
        {
            return Some(found);
        }
    }
    None
}
