//! The memory of the centre's commands, and clips that are given up: power cuts at every step, on the disk in memory.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_contract::{ClipKind, Manifest};
use booth_spool::{KeptClip, OpenFacts, OpenReport, Spool, SpoolError};
use booth_testkit::model_disk::{EIO, ENOSPC, EROFS, Fault, Left, ModelDisk};
use booth_testkit::searched::holds;
use booth_testkit::spool_rig::{body, facts, long_speech, receipt, record};
use gateway_core::orders::Remembered;
use gateway_core::quarantine::Note;

const ROOT: &str = "/spool";
const ORDERS: &str = "/spool/orders.json";
/// States that are drawn of each moment.
const SEEDS: u64 = 12;

fn open_after(disk: &ModelDisk, failed_before: u32) -> Result<(Spool, OpenReport), SpoolError> {
    let facts = OpenFacts {
        ledger: false,
        failed_before,
        ..facts("boot-1")
    };
    Spool::open(Arc::new(disk.clone()), Path::new(ROOT), facts)
}

fn open(disk: &ModelDisk) -> (Spool, OpenReport) {
    open_after(disk, 0).expect("the spool opens")
}

/// The card does not give the file.
fn keep_back(disk: &ModelDisk) {
    disk.set_faults(|operation| {
        let is_it = !operation.verb.is_change() && operation.path.ends_with("orders.json");
        is_it.then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
}

fn memory(nonces: &[&str]) -> Remembered {
    let mut memory = Remembered::default();
    for nonce in nonces {
        let expires = "2026-11-30T00:00:00Z".parse().expect("a time");
        memory.nonces.take(nonce, expires);
    }
    memory
}

#[test]
fn a_power_cut_at_any_step_leaves_the_memory_from_before_or_the_new_one_and_what_was_reported_stays()
 {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let (before, after) = (memory(&["a"]), memory(&["a", "b"]));
    spool.remember(&before).expect("written");
    drop(spool);
    let (mut cuts, mut kept_old) = (0, 0);
    for step in 0.. {
        let here = disk.snapshot();
        let (spool, _) = open(&here);
        here.cut_power_after(step);
        let written = spool.remember(&after);
        let is_over = written.is_ok();
        for seed in 0..SEEDS {
            let left = here.power_cut(seed);
            let (spool, report) = open(&left);
            assert_eq!(report.orders_unread, None, "step {step}, seed {seed}");
            let found = spool.remembered();
            match is_over {
                true => assert_eq!(found, after),
                false => assert!(found == before || found == after, "{found:?}"),
            }
            kept_old += u32::from(found == before);
            cuts += 1;
        }
        if is_over {
            break;
        }
    }
    assert!(cuts > 4 * SEEDS && kept_old > 0, "{cuts} cuts, {kept_old}");
}

#[test]
fn a_memory_that_cannot_be_read_begins_anew_is_told_and_keeps_no_spool_closed() {
    let disk = ModelDisk::new();
    let (spool, report) = open(&disk);
    assert_eq!(
        (spool.remembered(), report.orders_unread),
        (Remembered::default(), None)
    );
    spool.remember(&memory(&["a"])).expect("written");
    drop(spool);
    let good = disk.content(Path::new(ORDERS)).expect("a file");
    let mut flipped = good.clone();
    flipped[20] ^= 1;
    for bad in [&flipped[..], &good[..good.len() - 1], b"", &[b'x'; 2 << 20]] {
        disk.put(Path::new(ORDERS), bad);
        let (spool, report) = open(&disk);
        assert!(report.orders_unread.is_some() && spool.remembered().is_anew);
        assert!(
            report
                .set_aside
                .iter()
                .any(|(name, _)| name.starts_with("orders.json"))
        );
        drop(spool);
    }
    // A card that does not answer is asked again, and the file stays.
    disk.put(Path::new(ORDERS), &good);
    keep_back(&disk);
    for failed_before in 0..5 {
        let error = open_after(&disk, failed_before).err().expect("not yet");
        assert!(error.to_string().contains("orders.json"), "{error}");
    }
    disk.heal();
    assert_eq!(open(&disk).0.remembered(), memory(&["a"]));
    // One that it never gives is set aside in the end.
    keep_back(&disk);
    let (spool, report) = open_after(&disk, 5).expect("opened");
    assert!(report.orders_unread.is_some() && spool.remembered().is_anew);
    let (name, _) = report.set_aside.first().expect("set aside");
    assert!(name.starts_with("orders.json"), "{name}");
}

/// A card with one clip that goes, in quarantine, between two that stay.
fn card() -> (ModelDisk, KeptClip) {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    record(&spool, 1);
    let clip = record(&spool, 4);
    record(&spool, 1);
    let note = Note::refused("the hub does not take it", None);
    spool.quarantine(&clip.clip_id, &note).expect("moved");
    drop(spool);
    (disk, clip)
}

fn manifest(spool: &Spool, clip: &KeptClip) -> Manifest {
    let manifest = spool.manifest(&clip.clip_id).expect("a manifest");
    serde_json::from_slice(&manifest).expect("JSON")
}

fn file(folder: &str, clip: &KeptClip) -> PathBuf {
    Path::new(ROOT)
        .join(folder)
        .join(format!("{}.clip", clip.clip_id))
}

/// Whether any file of the card holds these words.
fn has_words(disk: &ModelDisk, words: &[u8]) -> bool {
    let files = disk.files();
    let mut contents = files.iter().filter_map(|path| disk.content(path));
    contents.any(|bytes| holds(&bytes, words))
}

#[test]
fn a_clip_that_is_given_up_is_gone_and_its_number_is_declared_void_with_the_reason() {
    let (disk, clip) = card();
    // Of the third frame, which only this clip has.
    let words = &long_speech()[2].pages[..];
    assert!(has_words(&disk, words));
    let (spool, _) = open(&disk);
    let stays = spool.clips()[0].clip_id.clone();
    assert!(matches!(
        spool.purge(&stays, ""),
        Err(SpoolError::NotInQuarantine { .. })
    ));
    assert!(matches!(
        spool.purge(&"nowhere".into(), ""),
        Err(SpoolError::UnknownClip { .. })
    ));
    let void = spool
        .purge(&clip.clip_id, "a test of the city")
        .expect("given up");
    assert_eq!((void.clip_no, void.bytes), (clip.clip_no, 0));
    let said = manifest(&spool, &clip);
    assert_eq!(
        (said.kind, said.bytes, said.clip_no),
        (ClipKind::Void, 0, clip.clip_no)
    );
    assert!(
        said.reason
            .is_some_and(|why| why.ends_with("a test of the city"))
    );
    assert!(!has_words(&disk, words));
    assert_eq!(spool.quarantined(), 0);
    assert_eq!(spool.clips().len(), 3);
    // Once more, as after a power cut before that was noted.
    assert_eq!(spool.purge(&clip.clip_id, "").expect("as before"), void);
    drop(spool);
    let (spool, _) = open(&disk);
    assert_eq!(spool.clips().len(), 3);
    let void = spool.clips()[1].clone();
    // It is delivered and released like any other.
    spool.release(receipt(&void)).expect("released");
    assert_eq!(spool.last_clip_no(), 3);
    assert!(record(&spool, 1).clip_no == 4);
}

#[test]
fn a_power_cut_at_any_step_of_giving_up_leaves_the_clip_whole_or_its_number_void_and_never_neither()
{
    let (disk, clip) = card();
    let words = {
        let (spool, _) = open(&disk.snapshot());
        spool.bring_back(std::slice::from_ref(&clip.clip_id), None);
        body(&spool, &clip)
    };
    let (mut whole, mut void) = (0, 0);
    for step in 0.. {
        let here = disk.snapshot();
        let (spool, _) = open(&here);
        here.cut_power_after(step);
        let is_over = spool.purge(&clip.clip_id, "").is_ok();
        for seed in 0..SEEDS {
            let left = here.power_cut(seed);
            let what = format!("step {step}, seed {seed}");
            let (spool, report) = open(&left);
            assert!(
                report.set_aside.is_empty() && report.missing.is_empty(),
                "{what}: {report:?}"
            );
            match spool.quarantined() {
                1 => {
                    assert!(!is_over, "{what}");
                    whole += 1;
                    let again = left.snapshot();
                    let (other, _) = open(&again);
                    let back = other
                        .bring_back(std::slice::from_ref(&clip.clip_id), None)
                        .remove(0)
                        .1;
                    assert_eq!(body(&other, &back.expect("whole")), words, "{what}");
                }
                _ => {
                    void += 1;
                    assert_eq!(manifest(&spool, &clip).kind, ClipKind::Void, "{what}");
                    assert!(left.content(&file("quarantine", &clip)).is_none(), "{what}");
                }
            }
            // Whatever was left, it is given up by asking again.
            let gone = spool.purge(&clip.clip_id, "").expect(&what);
            assert_eq!((gone.clip_no, gone.bytes), (clip.clip_no, 0), "{what}");
            assert_eq!(spool.clips().len(), 3, "{what}");
        }
        if is_over {
            break;
        }
    }
    assert!(whole > 0 && void > 0, "{whole} whole, {void} void");
}

#[test]
fn a_card_that_refuses_any_step_of_giving_up_keeps_the_clip_and_takes_it_later() {
    let (disk, clip) = card();
    for errno in [EIO, ENOSPC, EROFS] {
        for step in 0.. {
            let here = disk.snapshot();
            let (spool, _) = open(&here);
            let number = here.operations() + step;
            here.fail_at(
                number,
                Fault {
                    errno,
                    left: Left::Nothing,
                },
            );
            let first = spool.purge(&clip.clip_id, "");
            let has_failed = here.operations() > number;
            here.heal();
            let again = spool.purge(&clip.clip_id, "").expect("given up");
            assert_eq!((again.clip_no, again.bytes), (clip.clip_no, 0), "{first:?}");
            assert_eq!((spool.clips().len(), spool.quarantined()), (3, 0));
            drop(spool);
            let (spool, _) = open(&here);
            assert_eq!((spool.clips().len(), spool.quarantined()), (3, 0));
            if !has_failed {
                break;
            }
        }
    }
}
