//! Cards that were hurt: torn tails, flipped bytes, lost and foreign files, a broken ledger.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use booth_contract::{EndedBy, Manifest};
use booth_spool::{LedgerNews, OpenFacts, Spool, SpoolError};
use booth_testkit::model_disk::{EIO, ENOSPC, Fault, Left, ModelDisk, Verb};
use booth_testkit::spool_rig::*;
use proptest::prelude::*;

/// Bytes of preamble and of a record's head (docs/spool-format.md §1).
const PREAMBLE: usize = 24;
const HEAD: usize = 16;
const FRAME: u8 = 3;
const CLOSING: u8 = 4;
const PADDING: u8 = 7;
/// Bytes that the kernel writes as a whole.
const PAGE: usize = 4096;

/// Kind and range of every record of a file, by its format and not by the code under test.
fn records(bytes: &[u8]) -> Vec<(u8, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = PREAMBLE;
    while at < bytes.len() {
        let payload = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        found.push((bytes[at + 4], at..at + HEAD + payload));
        at += HEAD + payload;
    }
    found
}

/// The file of the longest take, never finished, and its id.
fn longest() -> &'static (String, Vec<u8>) {
    static LONGEST: OnceLock<(String, Vec<u8>)> = OnceLock::new();
    LONGEST.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = open(dir.path());
        let mut writer = spool.begin(new_clip()).unwrap();
        for frame in long_speech() {
            writer.append(&frame.pages, frame.facts).unwrap();
        }
        let bytes = std::fs::read(clip_file(dir.path(), writer.clip_id())).unwrap();
        (writer.clip_id().to_owned(), bytes)
    })
}

/// The same after `frames` frames.
fn unfinished(frames: usize) -> (String, Vec<u8>) {
    let (clip_id, bytes) = longest();
    let end = records(bytes)
        .into_iter()
        .filter(|(kind, _)| *kind == FRAME)
        .nth(frames - 1)
        .unwrap()
        .1
        .end;
    (clip_id.clone(), bytes[..end].to_vec())
}

fn a_card_with(clip_id: &str, bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    std::fs::write(clip_file(dir.path(), clip_id), bytes).unwrap();
    dir
}

fn spoken(frames: usize) -> Vec<u8> {
    long_speech()[..frames]
        .iter()
        .flat_map(|frame| frame.pages.clone())
        .collect()
}

#[derive(Debug, Clone)]
enum Hurt {
    Cut,
    Flip(u8),
    Zero(usize),
    Garbage(Vec<u8>),
}

fn hurt() -> impl Strategy<Value = Hurt> {
    prop_oneof![
        Just(Hurt::Cut),
        (1..=255u8).prop_map(Hurt::Flip),
        (1..5_000usize).prop_map(Hurt::Zero),
        proptest::collection::vec(any::<u8>(), 1..2_000).prop_map(Hurt::Garbage),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_before_the_damage_is_kept(frames in 1..24usize, place in 0.0..1.0f64, hurt in hurt()) {
        let (clip_id, intact) = unfinished(frames);
        let mut bytes = intact.clone();
        let written = records(&bytes);
        prop_assert_eq!(written.iter().filter(|(kind, _)| *kind == FRAME).count(), frames);
        // Anywhere behind the header, which was durable before the first frame.
        let from = written[0].1.end;
        let at = from + ((bytes.len() - from) as f64 * place) as usize;
        match hurt {
            Hurt::Cut => bytes.truncate(at),
            Hurt::Flip(mask) => bytes[at] ^= mask,
            Hurt::Zero(len) => {
                let to = (at + len).min(bytes.len());
                bytes[at..to].fill(0);
            }
            Hurt::Garbage(garbage) => {
                bytes.truncate(at);
                bytes.extend_from_slice(&garbage);
            }
        }
        // Zeroing zeroes hurts nothing: the damage begins at the first byte that is another one.
        let same = bytes.iter().zip(&intact).take_while(|(now, then)| now == then).count();
        let whole = written.iter().filter(|(kind, range)| *kind == FRAME && range.end <= same).count();
        let dir = a_card_with(&clip_id, &bytes);
        let (spool, report) = open(dir.path());
        if whole == 0 {
            prop_assert!(report.recovered.is_empty());
            // What is behind the damage is kept for people to look at, never deleted.
            prop_assert_eq!(report.removed_empty as usize + report.set_aside.len(), 1, "{:?}", report);
        } else {
            prop_assert_eq!(report.recovered.len(), 1, "{:?}", report);
            let clip = &report.recovered[0];
            prop_assert_eq!(clip.duration_ms, 500 * whole as u64);
            prop_assert_eq!(clip.clip_no, 1);
            let body = body(&spool, clip);
            prop_assert!(body.starts_with(&spoken(whole)));
            // Nothing of the torn tail is left behind the closing record.
            let file = std::fs::read(clip_file(dir.path(), &clip_id)).unwrap();
            prop_assert_eq!(records(&file).last().unwrap().0, CLOSING);
            // Starting again changes nothing.
            let manifest = spool.manifest(&clip.clip_id).unwrap();
            drop(spool);
            std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
            let (spool, report) = open(dir.path());
            prop_assert!(report.recovered.is_empty());
            prop_assert_eq!(spool.manifest(&clip.clip_id).unwrap(), manifest);
        }
    }

    #[test]
    fn a_recovery_that_was_cut_off_comes_to_the_same_body(frames in 1..8usize, place in 0.0..1.0f64) {
        let (clip_id, bytes) = unfinished(frames);
        let dir = a_card_with(&clip_id, &bytes);
        let (spool, report) = open(dir.path());
        let finished = body(&spool, &report.recovered[0]);
        drop(spool);
        let path = clip_file(dir.path(), &clip_id);
        let mut file = std::fs::read(&path).unwrap();
        file.truncate(bytes.len() + ((file.len() - bytes.len()) as f64 * place) as usize);
        std::fs::write(&path, file).unwrap();
        let (spool, report) = open(dir.path());
        prop_assert_eq!(report.recovered.len(), 1);
        prop_assert_eq!(report.recovered[0].clip_no, 1);
        prop_assert_eq!(body(&spool, &report.recovered[0]), finished);
    }
}

#[test]
fn no_append_begins_in_one_page_of_the_card_and_ends_in_the_next() {
    let written = records(&longest().1);
    let frames: Vec<_> = written
        .iter()
        .filter(|(kind, _)| *kind == FRAME)
        .map(|(_, range)| range)
        .collect();
    assert!(frames.len() > 20);
    let torn = frames
        .iter()
        .filter(|frame| frame.start / PAGE != (frame.end - 1) / PAGE);
    // A frame that is longer than all before it may.
    assert!(torn.count() <= 1, "{frames:?}");
    let padded = written.iter().filter(|(kind, _)| *kind == PADDING);
    for (_, padding) in padded {
        assert_eq!(padding.end % PAGE, 0);
    }
}

#[test]
fn an_append_of_which_only_the_padding_came_through_is_no_damage() {
    let (clip_id, bytes) = longest();
    let written = records(bytes);
    let padding = written
        .iter()
        .position(|(kind, _)| *kind == PADDING)
        .expect("padding");
    let mut torn = bytes[..written[padding].1.end].to_vec();
    torn[written[padding - 1].1.clone()].fill(0);
    let frames = written[..padding - 1]
        .iter()
        .filter(|(kind, _)| *kind == FRAME)
        .count();
    let dir = a_card_with(clip_id, &torn);
    let (_, report) = open(dir.path());
    assert_eq!(report.set_aside, []);
    let [clip] = report.recovered.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(clip.duration_ms, 500 * frames as u64);
}

#[test]
fn a_torn_finish_keeps_the_number_that_was_written() {
    let disk = ModelDisk::new();
    let root = Path::new("/spool");
    let opened = || {
        let facts = OpenFacts {
            ledger: false,
            ..facts("boot-1")
        };
        booth_spool::Spool::open(Arc::new(disk.clone()), root, facts).unwrap()
    };
    let (spool, _) = opened();
    record(&spool, 4);
    // The card refuses the end of the words, and takes them together with the closing record later.
    let mut writer = spool.begin(new_clip()).unwrap();
    let (last, first) = long_speech()[..6].split_last().unwrap();
    for frame in first {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    disk.set_faults(|operation| {
        (operation.verb == Verb::Write).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    let ended = writer.hold(&last.pages, last.facts, EndedBy::HangUp);
    assert!(ended.is_err());
    disk.heal();
    let late = spool.mend().kept.remove(0);
    record(&spool, 2);
    drop((writer, spool));
    // The page with the last words was lost, the one with the closing record was not.
    let path = clip_file(root, &late.clip_id);
    let mut bytes = disk.content(&path).unwrap();
    let frames = records(&bytes)
        .into_iter()
        .filter(|(kind, _)| *kind == FRAME);
    let last_words = frames.map(|(_, range)| range).nth(5).unwrap();
    bytes[last_words.start + HEAD..last_words.end].fill(0);
    assert!(disk.take_away(&path));
    disk.put(&path, &bytes);
    let (spool, report) = opened();
    let [clip] = report.recovered.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((clip.clip_no, clip.duration_ms), (2, 2_500));
    assert_eq!(report.set_aside, []);
    assert_eq!(spool.last_clip_no(), 3);
    assert_eq!(record(&spool, 2).clip_no, 4);
}

#[test]
fn a_finish_of_which_only_the_closing_page_came_through_is_no_damage() {
    for frames in [1, 4] {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = open(dir.path());
        let clip = record(&spool, frames);
        drop(spool);
        std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
        // The last words were lost, the page and how they ended were not; the take had not been closed.
        let path = clip_file(dir.path(), &clip.clip_id);
        let mut bytes = std::fs::read(&path).unwrap();
        let written = records(&bytes);
        let [.., words, _page, _held, closing] = written.as_slice() else {
            panic!("{written:?}")
        };
        bytes[words.1.start + HEAD..words.1.end].fill(0);
        bytes.truncate(closing.1.start);
        std::fs::write(&path, bytes).unwrap();
        let (spool, report) = open(dir.path());
        assert_eq!(report.set_aside, []);
        let durations: Vec<_> = spool.clips().iter().map(|clip| clip.duration_ms).collect();
        let left = 500 * (frames as u64 - 1);
        assert_eq!(durations, if left > 0 { vec![left] } else { vec![] });
    }
}

#[test]
fn a_finished_clip_with_a_hole_goes_to_quarantine_and_keeps_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clips = [record(&spool, 12), record(&spool, 12)];
    let manifest = spool.manifest(&clips[1].clip_id).unwrap();
    drop(spool);
    let path = clip_file(dir.path(), &clips[1].clip_id);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = records(&bytes)[6].1.clone();
    bytes[middle.start + 100] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    // With the ledger the damage shows when the clip is read, never as wrong bytes.
    let (spool, _) = open(dir.path());
    let error = (0..clips[1].bytes)
        .step_by(4_096)
        .find_map(|offset| spool.read_body(&clips[1].clip_id, offset, 4_096).err());
    assert!(matches!(error, Some(SpoolError::Damaged { .. })));
    drop(spool);

    // Without it, at the start.
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(spool.clips(), clips[..1]);
    assert_eq!(spool.quarantined(), 1);
    assert_eq!(spool.manifest(&clips[1].clip_id).unwrap(), manifest);
    assert_eq!(record(&spool, 2).clip_no, 3);
}

#[test]
fn a_discarded_take_is_not_brought_back() {
    let (clip_id, bytes) = unfinished(3);
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut writer = spool.begin(new_clip()).unwrap();
    for frame in &long_speech()[..3] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let discarded = clip_file(dir.path(), writer.clip_id());
    // A second name for the file stands for an unlink that the power cut took back.
    let kept_name = dir.path().join("second-name");
    std::fs::hard_link(&discarded, &kept_name).unwrap();
    writer.discard().unwrap();
    drop(spool);
    std::fs::rename(&kept_name, &discarded).unwrap();
    std::fs::write(clip_file(dir.path(), &clip_id), bytes).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(report.removed_discarded, 1);
    assert_eq!(report.recovered.len(), 1);
    assert_eq!(spool.clips().len(), 1);
    assert!(!discarded.exists());
}

#[test]
fn what_cannot_be_read_is_set_aside_and_never_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 2);
    drop(spool);
    let garbage = uuid::Uuid::new_v4().to_string();
    std::fs::write(clip_file(dir.path(), &garbage), b"not a clip at all").unwrap();
    std::fs::write(dir.path().join("clips/holiday.jpg"), b"photo").unwrap();
    std::fs::create_dir(dir.path().join("clips/folder")).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(report.set_aside.len(), 3, "{report:?}");
    assert_eq!(spool.clips(), [clip]);
    let aside = dir.path().join("aside");
    assert_eq!(
        std::fs::read(aside.join(format!("{garbage}.clip-1"))).unwrap(),
        b"not a clip at all"
    );
    assert_eq!(
        std::fs::read(aside.join("holiday.jpg-1")).unwrap(),
        b"photo"
    );
    assert!(aside.join("folder-1").is_dir());
    drop(spool);
    let (_, report) = open(dir.path());
    assert_eq!(report.set_aside, []);
}

#[test]
fn an_unfinished_take_of_another_card_gets_a_number_of_this_one() {
    let (clip_id, bytes) = unfinished(3);
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    record(&spool, 2);
    let own = spool.card().card_id;
    drop(spool);
    std::fs::write(clip_file(dir.path(), &clip_id), bytes).unwrap();
    let (_, report) = open(dir.path());
    let [clip] = report.recovered.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((clip.clip_no, &clip.card_id), (2, &own));
}

#[test]
fn an_unreadable_card_identity_starts_a_new_card_and_keeps_the_clips_as_they_are() {
    for (ledger_too, gone) in [(false, false), (true, false), (false, true), (true, true)] {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = open(dir.path());
        let clips = [record(&spool, 2), record(&spool, 3)];
        let old = spool.card().card_id;
        let before: Vec<_> = clips
            .iter()
            .map(|clip| spool.manifest(&clip.clip_id).unwrap())
            .collect();
        drop(spool);
        let card = dir.path().join("card.json");
        if gone {
            std::fs::remove_file(&card).unwrap();
        } else {
            let mut text = std::fs::read(&card).unwrap();
            text[20] ^= 1;
            std::fs::write(&card, text).unwrap();
        }
        if ledger_too {
            std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
        }
        let (spool, report) = open(dir.path());
        assert!(
            report.is_new_card && report.card_unreadable.is_some(),
            "{report:?}"
        );
        assert_eq!(report.set_aside.len(), usize::from(!gone));
        let card = spool.card();
        assert_ne!(card.card_id, old);
        assert_eq!(card.previous_card_id, Some(old));
        let after: Vec<_> = clips
            .iter()
            .map(|clip| spool.manifest(&clip.clip_id).unwrap())
            .collect();
        assert_eq!(after, before);
        let next = record(&spool, 2);
        assert_eq!((next.clip_no, &next.card_id), (1, &card.card_id));
        // The older card's clips go first.
        assert_eq!(spool.clips(), [clips[0].clone(), clips[1].clone(), next]);
    }
}

#[test]
fn a_clip_file_that_somebody_removed_is_reported_and_its_number_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    record(&spool, 2);
    let lost = record(&spool, 2);
    spool.checkpoint().unwrap();
    drop(spool);
    std::fs::remove_file(clip_file(dir.path(), &lost.clip_id)).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(
        report.missing,
        [(lost.card_id.clone(), 2, lost.clip_id.clone())]
    );
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(report.missing, []);
    assert_eq!(record(&spool, 2).clip_no, 3);
}

fn ledger_files(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir.join("ledger"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect()
}

fn all_manifests(spool: &Spool) -> Vec<Manifest> {
    let clips = spool.clips();
    let manifest =
        |clip_id: &str| serde_json::from_slice(&spool.manifest(&clip_id.into()).unwrap()).unwrap();
    clips.iter().map(|clip| manifest(&clip.clip_id)).collect()
}

#[test]
fn a_damaged_ledger_never_keeps_the_spool_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for _ in 0..3 {
        record(&spool, 2);
    }
    spool.checkpoint().unwrap();
    let before = all_manifests(&spool);
    drop(spool);
    let mut dice = Dice(4_711);
    let mut rebuilt = 0;
    for round in 0..24 {
        for path in ledger_files(dir.path()) {
            let mut bytes = std::fs::read(&path).unwrap();
            match round % 4 {
                0 => bytes
                    .iter_mut()
                    .for_each(|byte| *byte = dice.below(256) as u8),
                1 => bytes.truncate(bytes.len() / 2),
                2 => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x40),
                _ => {
                    let len = bytes.len();
                    bytes[len / 2..].fill(0);
                }
            }
            // One file at a time, then all of them.
            if round < 12 || dice.below(2) == 0 {
                std::fs::write(&path, bytes).unwrap();
            }
        }
        let (spool, report) = open(dir.path());
        assert!(!matches!(report.ledger, LedgerNews::Off(_)), "{report:?}");
        rebuilt += usize::from(matches!(report.ledger, LedgerNews::Rebuilt(_)));
        assert_eq!(all_manifests(&spool), before, "round {round}: {report:?}");
        assert_eq!(report.missing, []);
        assert_eq!(spool.last_clip_no(), 3);
        spool.checkpoint().unwrap();
    }
    assert!(rebuilt > 0, "no damage was noticed");
    let old = std::fs::read_dir(dir.path().join("aside"))
        .unwrap()
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("ledger-")
        })
        .count();
    assert!((1..=2).contains(&old), "{old} old ledgers are kept");
}

#[test]
fn a_file_in_place_of_the_ledger_folder_does_not_keep_the_spool_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 2);
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    std::fs::write(dir.path().join("ledger"), b"?").unwrap();
    let (spool, _) = open(dir.path());
    assert_eq!(spool.clips(), [clip]);
    record(&spool, 2);
}

#[test]
fn a_recovered_take_says_so_in_its_manifest() {
    let (clip_id, bytes) = unfinished(4);
    let dir = a_card_with(&clip_id, &bytes);
    let (spool, _) = open(dir.path());
    let manifest = &all_manifests(&spool)[0];
    assert_eq!(manifest.recovered, 1);
    assert_eq!(manifest.ended_by, Some(EndedBy::Power));
    assert_eq!(manifest.duration_ms, Some(2_000));
    assert_eq!(manifest.speech_ratio, Some(0.75));
    let file = std::fs::read(clip_file(dir.path(), &clip_id)).unwrap();
    let (kind, closing) = records(&file).pop().unwrap();
    assert_eq!(kind, CLOSING);
    assert_eq!(
        &file[closing.start + HEAD..closing.end],
        spool.manifest(&clip_id.as_str().into()).unwrap()
    );
}

const ROOT: &str = "/spool";

/// A take in whose middle a frame is damaged, as a power cut left it on the card, and its file.
fn stranded(disk: &ModelDisk) -> (PathBuf, Vec<u8>) {
    let (clip_id, mut bytes) = unfinished(6);
    let mut frames = records(&bytes)
        .into_iter()
        .filter(|(kind, _)| *kind == FRAME);
    let hurt = frames.nth(1).unwrap().1;
    bytes[hurt.start + HEAD + 50] ^= 1;
    drop(opened(disk));
    let path = PathBuf::from(format!("{ROOT}/clips/{clip_id}.clip"));
    disk.put(&path, &bytes);
    (path, bytes)
}

/// What lies in `aside/` with these bytes.
fn copies(disk: &ModelDisk, bytes: &[u8]) -> usize {
    let files = disk.files().into_iter();
    let aside = files.filter(|path| path.starts_with(format!("{ROOT}/aside")));
    aside
        .filter(|path| disk.content(path).as_deref() == Some(bytes))
        .count()
}

fn opened(disk: &ModelDisk) -> Spool {
    open_on(Arc::new(disk.clone()), Path::new(ROOT), "boot-1")
        .unwrap()
        .0
}

/// The card refuses to give this file.
fn keep_back(disk: &ModelDisk, file: PathBuf) {
    disk.set_faults(move |operation| {
        (operation.path == file && operation.verb == Verb::Read).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
}

#[test]
fn what_lies_behind_damage_is_copied_once_before_it_is_cut_off_whatever_waits_on_the_card() {
    // Another take cannot be read yet, and this one waits behind it.
    let disk = ModelDisk::new();
    let (_, bytes) = stranded(&disk);
    let other = PathBuf::from(format!("{ROOT}/clips/{}.clip", uuid::Uuid::from_u128(1)));
    disk.put(&other, b"");
    keep_back(&disk, other);
    let spool = opened(&disk);
    assert_eq!(copies(&disk, &bytes), 0);
    disk.heal();
    let mended = spool.mend();
    assert_eq!((mended.kept.len(), mended.set_aside.len()), (1, 1));
    assert_eq!(copies(&disk, &bytes), 1);
    drop(spool);

    // The card takes the copy and not the end of the take: the next start makes no second one.
    let disk = ModelDisk::new();
    let (path, bytes) = stranded(&disk);
    for time in 0..3 {
        let take = path.clone();
        disk.set_faults(move |operation| {
            let is_end = operation.path == take && operation.verb == Verb::Truncate;
            (is_end && time < 2).then_some(Fault {
                errno: EIO,
                left: Left::Nothing,
            })
        });
        let spool = opened(&disk);
        assert_eq!(spool.clips().len(), usize::from(time == 2));
        assert_eq!(copies(&disk, &bytes), 1, "start {time}");
    }
}

#[test]
fn words_behind_damage_are_not_cut_off_while_their_copy_has_no_room_or_the_file_is_read_late() {
    // A full card: nothing is cut until there is room.
    let disk = ModelDisk::new();
    let (path, bytes) = stranded(&disk);
    disk.set_faults(|operation| {
        let is_copy = operation.path.starts_with(format!("{ROOT}/aside"));
        (is_copy && operation.verb == Verb::Create).then_some(Fault {
            errno: ENOSPC,
            left: Left::Nothing,
        })
    });
    let spool = opened(&disk);
    for _ in 0..20 {
        assert!(spool.mend().kept.is_empty() && !spool.room().accepts);
    }
    assert_eq!(disk.content(&path).as_deref(), Some(&bytes[..]));
    disk.heal();
    let mended = spool.mend();
    assert_eq!((mended.kept.len(), mended.set_aside.len()), (1, 1));
    assert_eq!(copies(&disk, &bytes), 1);
    assert!(spool.room().accepts);
    drop(spool);

    // A file that the card does not give at once.
    let disk = ModelDisk::new();
    let (path, bytes) = stranded(&disk);
    keep_back(&disk, path);
    let spool = opened(&disk);
    disk.heal();
    assert_eq!(spool.mend().kept.len(), 1);
    assert_eq!(copies(&disk, &bytes), 1);
}

#[test]
fn a_folder_that_takes_no_copy_for_ever_does_not_hold_up_a_booth() {
    let disk = ModelDisk::new();
    stranded(&disk);
    disk.set_faults(|operation| {
        let is_aside = operation.path.starts_with(format!("{ROOT}/aside"));
        (is_aside && operation.verb == Verb::List).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    let spool = opened(&disk);
    assert!(!spool.room().accepts, "it is tried again first");
    let kept = (0..6).find_map(|_| spool.mend().kept.pop());
    assert_eq!(kept.expect("it is finished in the end").duration_ms, 500);
    assert!(spool.room().accepts);
}
