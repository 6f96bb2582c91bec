//! A card outside its booth: read without root, without mounting, and without changing a byte of it; copied onto a stick that may fail.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use booth_contract::export::{CLIPS, ExportReceipt, LEFT, RECEIPT_FILE, body_name};
use booth_contract::{BoothId, Withdrawal};
use booth_gateway::pulled::{self, ExportError, PulledError, Spools};
use booth_spool::NewClip;
use booth_testkit::blockdev::Mounted;
use booth_testkit::hub::{Broker, Home, booth_hub};
use booth_testkit::mounting;
use booth_testkit::spool_rig::{clip_file, long_speech, new_clip, open, receipt, record};
use sha2::{Digest, Sha256};

/// Where the file system begins on these cards, and how large it is.
const AT: u64 = 16 << 20;
const BYTES: u64 = 24 << 20;
const BLOCK: usize = 4096;
/// The spool's place in the file system.
const PLACE: &str = "booth-gateway/spool";

fn runs(program: &str, arguments: &[&str]) {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{program} {arguments:?}: {said}");
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

pub(crate) fn gateway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .arg("spool")
        .args(arguments)
        .output()
        .expect("it runs")
}

pub(crate) fn hash(path: &Path) -> Vec<u8> {
    Sha256::digest(std::fs::read(path).expect("a file")).to_vec()
}

/// The files of a pulled card: three messages, a fourth that a power cut ended, and a withdrawal.
pub(crate) struct Pulled {
    pub(crate) folder: tempfile::TempDir,
    /// The ids of the whole messages, in their order.
    pub(crate) ids: Vec<String>,
}

impl Pulled {
    pub(crate) fn new() -> Self {
        Self::of(&["rundhoej-1"; 3])
    }

    /// With one message of each of these booths.
    pub(crate) fn of(booths: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("tree").join(PLACE);
        let (spool, _) = open(&dir);
        let mut ids = Vec::new();
        for booth in booths {
            let clip = NewClip {
                booth_id: BoothId::parse(booth).expect("an id"),
                ..new_clip()
            };
            let mut writer = spool.begin(clip).expect("a take");
            let speech = long_speech();
            writer
                .append(&speech[0].pages, speech[0].facts)
                .expect("kept");
            let kept = writer
                .finish(
                    &speech[1].pages,
                    speech[1].facts,
                    booth_contract::EndedBy::HangUp,
                )
                .expect("finished");
            ids.push(kept.clip_id.to_string());
        }
        let withdrawal = Withdrawal {
            id: uuid::Uuid::new_v4().to_string().into(),
            // As it begins; nobody here has the key.
            sealed: "YWdlLWVuY3J5cHRpb24ub3JnL3YxCg==".into(),
            ts: "2026-11-29T10:00:00.000Z".into(),
        };
        spool.keep_withdrawal(&withdrawal).expect("kept");
        let mut writer = spool.begin(new_clip()).expect("a take");
        let first = &long_speech()[0];
        writer.append(&first.pages, first.facts).expect("kept");
        let cut = folder.path().join("cut");
        std::fs::create_dir(&cut).expect("a folder");
        // What a power cut leaves: the files as they are while somebody speaks.
        let tree = folder.path().join("tree");
        runs("cp", &["-a", text(&tree), text(&cut)]);
        drop(writer);
        drop(spool);
        std::fs::remove_dir_all(&tree).expect("gone");
        std::fs::rename(cut.join("tree"), &tree).expect("moved");
        Self { folder, ids }
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.path().join("tree").join(PLACE)
    }

    /// A card with a partition table and these files on an ext4, the last whole message in its journal alone, as a power cut leaves it: the kernel
    /// has committed the transaction and not written it to its place. `replayed` leaves that transaction out.
    pub(crate) fn card(&self, has_journal: bool) -> PathBuf {
        let folder = self.folder.path();
        let last = self.ids.last().expect("a message");
        let late = clip_file(&self.spool(), last);
        let aside = folder.join("late.clip");
        std::fs::rename(&late, &aside).expect("moved");
        let before = folder.join("before.img");
        File::create(&before)
            .and_then(|file| file.set_len(BYTES))
            .expect("a file");
        let tree = folder.join("tree");
        let how = [
            "-q",
            "-F",
            "-t",
            "ext4",
            "-b",
            "4096",
            "-m",
            "1",
            "-J",
            "size=4",
            "-L",
            "booth-data",
            "-d",
        ];
        runs(
            "mke2fs",
            &[&how[..], &[text(&tree), text(&before)]].concat(),
        );
        std::fs::rename(&aside, &late).expect("moved back");
        let after = folder.join("after.img");
        std::fs::copy(&before, &after).expect("copied");
        let write = format!("write {} {PLACE}/clips/{last}.clip", text(&late));
        runs("debugfs", &["-w", "-R", &write, text(&after)]);
        let mut made = std::fs::read(&before).expect("a file system");
        let later = std::fs::read(&after).expect("a file system");
        let file = std::fs::read(&late).expect("a clip");
        let is_data = |block: &[u8]| file.chunks(BLOCK).any(|chunk| block.starts_with(chunk));
        let (mut numbers, mut contents, mut words) = (Vec::new(), Vec::new(), 0);
        // The superblock is no part of it: its copy in the journal is not what a reader begins with.
        for (number, block) in later.chunks(BLOCK).enumerate().skip(1) {
            let place = &mut made[number * BLOCK..(number + 1) * BLOCK];
            if block == place {
                continue;
            }
            match is_data(block) {
                true => {
                    place.copy_from_slice(block);
                    words = number;
                }
                false => {
                    numbers.push(number.to_string());
                    contents.extend_from_slice(block);
                }
            }
        }
        std::fs::write(&before, &made).expect("written");
        if has_journal {
            let (blocks, script) = (folder.join("blocks"), folder.join("script"));
            std::fs::write(&blocks, &contents).expect("written");
            let once = folder.join("once");
            std::fs::write(&once, [7; BLOCK]).expect("written");
            // A block of the message was a folder's once, in an earlier transaction, and the next one has revoked that.
            let lines = format!(
                "jo -c -v 3\njw -b {} {}\njw -b {words} {}\njw -r {words}\njc\n",
                numbers.join(","),
                text(&blocks),
                text(&once)
            );
            std::fs::write(&script, lines).expect("written");
            runs("debugfs", &["-w", "-f", text(&script), text(&before)]);
        }
        let card = folder.join("card.img");
        let file = File::create(&card).expect("a card");
        file.set_len(AT + BYTES).expect("its size");
        file.write_all_at(&table(0x83), 0).expect("written");
        file.write_all_at(&std::fs::read(&before).expect("read"), AT)
            .expect("written");
        card
    }
}

/// A partition table whose fourth entry is the data partition, of this type.
fn table(kind: u8) -> [u8; 512] {
    let mut sector = [0; 512];
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    let entry = &mut sector[446 + 3 * 16..][..16];
    entry[4] = kind;
    entry[8..12].copy_from_slice(&u32::try_from(AT / 512).expect("small").to_le_bytes());
    entry[12..16].copy_from_slice(&u32::try_from(BYTES / 512).expect("small").to_le_bytes());
    sector
}

fn look(named: &Path) -> Result<Spools, PulledError> {
    pulled::look(named, true, &mut |_, _| {})
}

fn export(named: &Path, to: &Path) -> Result<pulled::Exported, ExportError> {
    pulled::export(named, to, &mut |_, _, _| {})
}

fn found(spools: &Spools) -> BTreeSet<String> {
    let clips = spools.spools.iter().flat_map(|found| &found.clips);
    clips
        .map(|waiting| waiting.clip.clip_id.to_string())
        .collect()
}

fn receipt_in(folder: &Path) -> Option<ExportReceipt> {
    let text = std::fs::read(folder.join(RECEIPT_FILE)).ok()?;
    ExportReceipt::read(&text).ok()
}

#[test]
fn a_card_that_a_power_cut_left_is_read_with_its_journal_and_no_byte_of_it_changes() {
    let pulled = Pulled::new();
    // The control: without the journal the last message is not there.
    let card = pulled.card(false);
    assert_eq!(found(&look(&card).expect("a card")).len(), 2);
    let card = pulled.card(true);
    let before = hash(&card);
    let spools = look(&card).expect("a card");
    assert_eq!(found(&spools), pulled.ids.iter().cloned().collect());
    assert!(spools.is_whole(), "{spools:?}");
    let spool = &spools.spools[0];
    assert_eq!((spool.unfinished.len(), spool.withdrawals), (1, 1));
    assert_eq!(spool.place, format!("/{PLACE}"));
    let to = pulled.folder.path().join("stick");
    let said = gateway(&["list", text(&card)]);
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.status.success() && told.contains("booth rundhoej-1: 3 messages"),
        "{told}"
    );
    assert!(
        told.contains("1 withdrawal of citizens") && told.contains("cut off by a power cut"),
        "{told}"
    );
    let said = gateway(&["export", text(&card), text(&to)]);
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    assert!(hash(&card) == before, "the card has changed");
    let receipt = receipt_in(&to).expect("a receipt");
    assert_eq!(
        (
            receipt.clips.len(),
            receipt.withdrawals.len(),
            receipt.left.len()
        ),
        (3, 1, 1)
    );
    let (spool, _) = open(&pulled.spool());
    for clip in &receipt.clips {
        let body = std::fs::read(to.join(CLIPS).join(body_name(&clip.clip_id))).expect("a body");
        let kept = spool
            .read_body(&clip.clip_id, 0, usize::MAX)
            .expect("a body");
        assert!(body == kept, "byte for byte as a booth sends it");
    }
    // The partition by itself, and the folder, are the same card.
    let partition = pulled.folder.path().join("before.img");
    assert_eq!(found(&look(&partition).expect("a partition")).len(), 3);
}

#[test]
fn a_folder_says_the_same_as_the_card_for_a_person_and_for_a_script() {
    let pulled = Pulled::of(&["rundhoej-1", "gellerup-2"]);
    let said = gateway(&["verify", text(&pulled.spool()), "--json"]);
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    let told: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
    assert_eq!(told["is_whole"], 1);
    assert_eq!(told["booths"]["gellerup-2"]["messages"], 1);
    assert_eq!(told["booths"]["rundhoej-1"]["unfinished"], 1);
    assert_eq!(
        told["booths"]["gellerup-2"]["since"],
        "2026-01-01T00:00:01.000Z"
    );
    let said = gateway(&["list", text(&pulled.spool())]);
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(told.contains("more than one booth"), "{told}");
    let (spool, _) = open(&pulled.spool());
    let said = gateway(&["list", text(&pulled.spool())]);
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(told.contains("a gateway uses"), "{told}");
    drop(spool);
    // The whole tree of a data partition that somebody has mounted will do, too.
    let tree = pulled.folder.path().join("tree");
    assert_eq!(
        found(&look(&tree).expect("a tree")),
        found(&look(&pulled.spool()).expect("a spool"))
    );
}

#[test]
fn a_formatting_that_was_begun_leaves_the_messages_where_they_can_be_found() {
    let pulled = Pulled::new();
    let card = pulled.card(true);
    runs("mkfs.vfat", &[text(&card)]);
    let before = hash(&card);
    let spools = look(&card).expect("the file system is behind the new FAT");
    assert_eq!(found(&spools).len(), 3);
    assert!(hash(&card) == before);
    // What the formatting has reached is damage with a remedy.
    File::options()
        .write(true)
        .open(&card)
        .and_then(|file| file.write_all_at(&[0; 64 << 10], AT + 4096))
        .expect("written");
    let error = look(&card).expect_err("nothing can be read");
    assert!(
        matches!(error, PulledError::DamagedFileSystem { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("e2fsck"), "{error}");
}

#[test]
fn what_is_no_booths_card_is_told_by_a_sentence_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let make = |name: &str, bytes: u64, first: &[u8]| {
        let path = folder.path().join(name);
        let file = File::create(&path).expect("a file");
        file.set_len(bytes).expect("its size");
        file.write_all_at(first, 0).expect("written");
        path
    };
    let empty = make("empty", 4 << 20, &[]);
    let fat = make("fat", 4 << 20, &[]);
    runs("mkfs.vfat", &[text(&fat)]);
    let booth = make("booth", 4 << 20, &[]);
    runs("mkfs.vfat", &["-n", "BOOTH", text(&booth)]);
    let fresh = make("fresh", AT + (8 << 20), &table(0xda));
    let nothing = folder.path().join("nothing");
    std::fs::create_dir(&nothing).expect("a folder");
    let exported = folder.path().join("exported");
    std::fs::create_dir(&exported).expect("a folder");
    std::fs::write(exported.join(RECEIPT_FILE), "{}").expect("written");
    for (path, remedy) in [
        (&empty, "lsblk"),
        (&fat, "write nothing more to it"),
        (&booth, "Name the whole card"),
        (&fresh, "not started in a booth yet"),
        (&nothing, "[spool] dir"),
        (&exported, "booth-hub import"),
        (&folder.path().join("missing"), "lsblk lists them"),
    ] {
        let before = path.is_file().then(|| hash(path));
        let said = gateway(&["list", text(path)]);
        let told = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(1), "{told}");
        assert!(told.contains(remedy) && told.lines().count() == 1, "{told}");
        assert_eq!(path.is_file().then(|| hash(path)), before);
    }
}

#[test]
fn what_is_not_whole_is_named_exported_as_it_lies_and_fails_the_verification() {
    let pulled = Pulled::new();
    let file = |number: usize| clip_file(&pulled.spool(), &pulled.ids[number]);
    let change = |number: usize, at: u64, byte: u8| {
        let file = File::options()
            .write(true)
            .open(file(number))
            .expect("a clip");
        file.write_all_at(&[byte], at).expect("written");
    };
    // One byte of the words, and the version of a program that is yet to come.
    let length = std::fs::metadata(file(0)).expect("a clip").len();
    change(0, length / 2, 0xff);
    change(1, 7, 2);
    let before = (hash(&file(0)), hash(&file(1)));
    let said = gateway(&["verify", text(&pulled.spool())]);
    let told = String::from_utf8_lossy(&said.stdout).into_owned();
    assert_eq!(said.status.code(), Some(1), "{told}");
    assert!(
        told.contains("is not whole") && told.contains("version 2 of the format"),
        "{told}"
    );
    let to = pulled.folder.path().join("stick");
    let exported = export(&pulled.spool(), &to).expect("the rest is exported");
    assert_eq!(exported.receipt.clips.len(), 1);
    let left = exported
        .receipt
        .left
        .iter()
        .filter_map(|left| left.file.clone());
    let left: Vec<Vec<u8>> = left.map(|name| hash(&to.join(LEFT).join(name))).collect();
    assert!(left.len() == 3 && left.contains(&before.0) && left.contains(&before.1));
    // Two whole records that do not belong together have good checksums, and not the manifest's hash.
    let (spool, _) = open(&pulled.folder.path().join("other"));
    record(&spool, 2);
    drop(spool);
    assert!(
        look(&pulled.folder.path().join("other"))
            .expect("a spool")
            .is_whole()
    );
}

#[test]
fn a_strange_name_on_the_card_ends_no_export_and_becomes_one_that_every_stick_takes() {
    let pulled = Pulled::new();
    let beside = clip_file(&pulled.spool(), &pulled.ids[0]);
    let folder = beside.parent().expect("a folder");
    let strange = [
        "a:b?<>|*\\\"c.clip.",
        "ends with a space ",
        "æ\u{1}.clip",
        &"l".repeat(250),
    ];
    for name in strange {
        std::fs::write(folder.join(name), "no clip").expect("written");
    }
    let to = pulled.folder.path().join("stick");
    let exported = export(&pulled.spool(), &to).expect("all of it is exported");
    let left = exported.receipt.left;
    for name in strange {
        let path = |path: &str| path.ends_with(name);
        let file = left.iter().find(|left| path(&left.path)).expect(name);
        let file = file.file.as_deref().expect("the card gives it");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        assert!(file.chars().all(is_plain) && file.len() <= 210, "{file}");
        assert!(!file.ends_with('.'), "{file}");
        assert_eq!(
            std::fs::read(to.join(LEFT).join(file)).expect("there"),
            b"no clip"
        );
    }
}

#[test]
fn a_card_without_a_whole_message_is_called_sent_only_if_nothing_on_it_may_be_one() {
    const SENT: &str = "the hub has confirmed every message";
    let told = |pulled: &Pulled| {
        let said = gateway(&["list", text(&pulled.spool())]);
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let keeps = |pulled: &Pulled, what: &str| {
        let told = told(pulled);
        assert!(!told.contains(SENT), "{what}: {told}");
        assert!(told.contains("keep the card"), "{what}: {told}");
    };
    let take_away = |pulled: &Pulled, folder: &str| {
        let folder = pulled.spool().join(folder);
        for file in walk(&folder) {
            std::fs::remove_file(file).expect("removed");
        }
    };
    let pulled = Pulled::new();
    for file in walk(&pulled.spool().join("clips")) {
        let file = File::options().write(true).open(file).expect("a clip");
        file.write_all_at(&[2], 7).expect("of a newer program");
    }
    keeps(&pulled, "messages of a newer program");
    take_away(&pulled, "clips");
    keeps(&pulled, "a withdrawal");
    take_away(&pulled, "withdrawals");
    assert!(told(&pulled).contains(SENT), "{}", told(&pulled));
    let aside = pulled.spool().join("aside");
    std::fs::create_dir_all(&aside).expect("a folder");
    let name = format!("{}.clip", pulled.ids[0]);
    std::fs::write(aside.join(name), "what was said").expect("written");
    keeps(&pulled, "a file that was set aside");
}

/// The files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path => found.push(path),
        }
    }
    found
}

#[test]
fn several_spools_below_one_folder_are_all_looked_at() {
    let (first, second) = (Pulled::new(), Pulled::new());
    let both = tempfile::tempdir().expect("a folder");
    for (name, pulled) in [("card-a", &first), ("card-b", &second)] {
        let to = both.path().join(name);
        std::fs::create_dir(&to).expect("a folder");
        runs(
            "cp",
            &["-r", text(&pulled.spool()), text(&to.join("spool"))],
        );
    }
    let spools = look(both.path()).expect("spools");
    let ids: BTreeSet<String> = [&first, &second]
        .iter()
        .flat_map(|pulled| found(&look(&pulled.spool()).expect("a spool")))
        .collect();
    assert_eq!((spools.spools.len(), found(&spools)), (2, ids));
}

#[test]
fn an_export_goes_into_an_empty_folder_alone_and_has_no_receipt_before_its_end() {
    let pulled = Pulled::new();
    let to = pulled.folder.path().join("stick");
    let mut had_receipt = false;
    pulled::export(&pulled.spool(), &to, &mut |_, _, _| {
        had_receipt |= to.join(RECEIPT_FILE).exists();
    })
    .expect("an export");
    assert!(!had_receipt && receipt_in(&to).is_some());
    let error = export(&pulled.spool(), &to).expect_err("it has something in it");
    assert!(matches!(error, ExportError::NotEmpty(_)), "{error}");
    let inside = pulled.spool().join("stick");
    let error = export(&pulled.spool(), &inside).expect_err("it would change the card");
    assert!(
        matches!(error, ExportError::Inside(_)) && !inside.exists(),
        "{error}"
    );
}

#[test]
fn what_the_kernel_left_in_its_journal_at_a_power_cut_is_read_without_mounting() {
    if !mounting::is_possible("a card whose journal the kernel has written") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (card, place) = (
        folder.path().join("card.img"),
        folder.path().join("mounted"),
    );
    File::create(&card)
        .and_then(|file| file.set_len(64 << 20))
        .expect("a card");
    // As the image makes and mounts its data partition (image/system/usr/lib/booth/data-partition), with a journal so small that the kernel goes round it.
    let how = "-q -F -t ext4 -b 4096 -L booth-data -m 1 -J size=4 -E lazy_itable_init=1,lazy_journal_init=0";
    let how: Vec<&str> = how.split(' ').chain([text(&card)]).collect();
    runs("mke2fs", &how);
    std::fs::create_dir(&place).expect("a folder");
    let options = "loop,noatime,data=ordered,commit=5";
    runs("mount", &["-o", options, text(&card), text(&place)]);
    let mounted = Mounted::at(&place);
    let (spool, _) = open(&place.join(PLACE));
    let mut kept = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..16 {
        for _ in 0..6 {
            kept.push(record(&spool, 2));
        }
        // What is confirmed goes, so that blocks change what they are for.
        for clip in kept.drain(..3) {
            spool.release(receipt(&clip)).expect("released");
        }
        let mut writer = spool.begin(new_clip()).expect("a take");
        let first = &long_speech()[0];
        writer.append(&first.pages, first.facts).expect("kept");
        let cut = folder.path().join("cut.img");
        std::fs::copy(&card, &cut).expect("the power goes");
        writer.discard().expect("discarded");
        let shown = Command::new("dumpe2fs").args(["-h", text(&cut)]).output();
        let shown = String::from_utf8_lossy(&shown.expect("it runs").stdout).into_owned();
        assert!(shown.contains("needs_recovery"), "the control: {shown}");
        let start = shown
            .lines()
            .find_map(|line| line.strip_prefix("Journal start:"));
        starts.push(start.and_then(|start| start.trim().parse::<u32>().ok()));
        let before = hash(&cut);
        let spools = look(&cut).expect("a card");
        let ids: BTreeSet<String> = kept.iter().map(|clip| clip.clip_id.to_string()).collect();
        assert_eq!(found(&spools), ids, "{starts:?}");
        assert!(
            spools.is_whole() && spools.spools[0].unfinished.len() == 1,
            "{spools:?}"
        );
        assert!(hash(&cut) == before);
    }
    let went_round = starts.windows(2).any(|pair| pair[1] < pair[0]);
    assert!(went_round, "the control: {starts:?}");
    drop(spool);
    drop(mounted);
}

/// A stick of this size, as a file system in memory: it becomes full, takes no writes and goes away with the kernel's own errors.
struct Stick {
    mounted: Mounted,
    _folder: tempfile::TempDir,
}

impl Stick {
    fn new(kib: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={kib}k");
        runs(
            "mount",
            &["-t", "tmpfs", "-o", &size, "stick", text(folder.path())],
        );
        Self {
            mounted: Mounted::at(folder.path()),
            _folder: folder,
        }
    }

    fn place(&self) -> PathBuf {
        self.mounted.path().join("card-7")
    }
}

#[test]
fn a_stick_that_is_full_write_protected_or_pulled_out_ends_with_a_sentence_and_without_a_receipt() {
    if !mounting::is_possible("exports onto a stick that fails") {
        return;
    }
    let pulled = Pulled::new();
    let card = pulled.card(true);
    let before = hash(&card);
    let failed = |stick: &Stick, error: &ExportError, remedy: &str| {
        assert!(error.to_string().contains(remedy), "{error}");
        assert_eq!(receipt_in(&stick.place()), None);
        assert!(hash(&card) == before, "the card has changed");
    };
    let stick = Stick::new(8 << 10);
    assert!(export(&card, &stick.place()).is_ok());
    drop(stick);

    let stick = Stick::new(16);
    let error = export(&card, &stick.place()).expect_err("no room");
    assert!(matches!(error, ExportError::NoRoom { .. }), "{error}");
    failed(&stick, &error, "larger stick");
    drop(stick);

    // Somebody else fills it meanwhile.
    let stick = Stick::new(8 << 10);
    let filler = stick.mounted.path().join("filler");
    let error = pulled::export(&card, &stick.place(), &mut |_, done, _| {
        if done > 0 && !filler.exists() {
            let _ = std::fs::write(&filler, vec![1; 9 << 20]);
        }
    });
    let error = error.expect_err("it is full");
    assert!(matches!(error, ExportError::Full(_)), "{error}");
    failed(&stick, &error, "became full");
    drop(stick);

    let stick = Stick::new(8 << 10);
    runs("mount", &["-o", "remount,ro", text(stick.mounted.path())]);
    let error = export(&card, &stick.place()).expect_err("it is locked");
    assert!(matches!(error, ExportError::WriteProtected(_)), "{error}");
    failed(&stick, &error, "slide the stick's lock");
    drop(stick);

    // Pulled out: the file system is gone from one moment to the next.
    let stick = Stick::new(8 << 10);
    let mounted = stick.mounted.path().to_owned();
    let mut is_there = true;
    let error = pulled::export(&card, &stick.place(), &mut |_, _, _| {
        if std::mem::take(&mut is_there) {
            runs("umount", &["-l", text(&mounted)]);
        }
    });
    let error = error.expect_err("it is gone");
    assert!(matches!(error, ExportError::Gone { .. }), "{error}");
    failed(&stick, &error, "was the stick pulled out?");
}

#[test]
fn the_hub_takes_in_a_cards_image_itself_and_nothing_of_it_stays_beside_its_store() {
    let pulled = Pulled::new();
    let card = pulled.card(true);
    let before = hash(&card);
    let broker = Broker::open();
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let config = home.config();
    let import = ["import", text(&card), "--booth", "rundhoej-1", "--config"];
    let ran = booth_hub(&[&import[..], &[text(&config)]].concat());
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complained = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{complained}");
    assert!(said.contains("rundhoej-1: 3 taken"), "{said}");
    for id in &pulled.ids {
        assert!(home.clip_file(id).exists());
    }
    assert_eq!(hash(&card), before, "the card is as it was");
    let left = std::fs::read_dir(home.path().join("store-private/importing")).expect("a folder");
    assert_eq!(left.count(), 0);
}
