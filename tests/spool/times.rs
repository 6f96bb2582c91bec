//! Clocks that become right late, cards that are copies or foreign, numbers whose clip is gone, and the last room on a card.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;

use booth_contract::time::Mono;
use booth_contract::{ClipKind, EndedBy, Manifest};
use booth_spool::real_disk::RealDisk;
use booth_spool::{KeptClip, OpenFacts, OpenReport, Spool, StartFacts};
use booth_testkit::spool_rig::*;

/// 2026-01-01T00:00:00Z, at boot.
const OFFSET_MS: i64 = 1_767_225_600_000;

fn manifest(spool: &Spool, clip: &KeptClip) -> Manifest {
    serde_json::from_slice(&spool.manifest(&clip.clip_id).unwrap()).unwrap()
}

/// A clip that began 60 s after boot, by a clock that was never set.
fn record_unset(spool: &Spool, ends: bool) -> Option<KeptClip> {
    let mut clip = new_clip();
    clip.armed = StartFacts {
        wall_ms: 60_000,
        mono: Mono(60_000),
        clock_synced: false,
    };
    let mut writer = spool.begin(clip).unwrap();
    for frame in &long_speech()[..3] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let last = &long_speech()[3];
    let kept = || writer.finish(&last.pages, last.facts, EndedBy::HangUp);
    ends.then(|| kept().unwrap())
}

fn open_as(dir: &Path, boot: &str, change: impl FnOnce(&mut OpenFacts)) -> (Spool, OpenReport) {
    let mut facts = facts(boot);
    change(&mut facts);
    Spool::open(Arc::new(RealDisk::new()), dir, facts).unwrap()
}

#[test]
fn a_clip_of_an_unset_clock_is_offered_with_the_right_time_once_the_clock_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record_unset(&spool, true).unwrap();
    assert_eq!(manifest(&spool, &clip).clock_synced, Some(0));
    assert!(spool.needs_fixing(&clip.clip_id));
    spool.note_clock(OFFSET_MS).unwrap();
    // The pair is durable: also the next start of the process knows it.
    drop(spool);
    let (spool, _) = open(dir.path());
    spool.fix(&clip.clip_id).unwrap();
    let fixed = manifest(&spool, &clip);
    assert_eq!(
        fixed.started_at.as_deref(),
        Some("2026-01-01T00:01:00.000Z")
    );
    assert_eq!(fixed.clock_synced, Some(1));
    assert!(!spool.needs_fixing(&clip.clip_id));
    assert_eq!(
        (fixed.sha256, fixed.clip_no),
        (Some(clip.sha256.clone()), 1)
    );
    let offered = spool.manifest(&clip.clip_id).unwrap();
    // Whatever becomes known later, and without the ledger: the bytes stay.
    spool.note_clock(OFFSET_MS + 86_400_000).unwrap();
    spool.fix(&clip.clip_id).unwrap();
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, report) = open_as(dir.path(), "boot-2", |_| ());
    assert_eq!(report.set_aside, []);
    assert_eq!(spool.manifest(&clip.clip_id).unwrap(), offered);
    assert_eq!(
        body(&spool, &spool.clips()[0]),
        long_speech()[..4]
            .iter()
            .flat_map(|f| f.pages.clone())
            .chain(
                body(&spool, &spool.clips()[0])[long_speech()[..4]
                    .iter()
                    .map(|f| f.pages.len())
                    .sum::<usize>()..]
                    .to_vec()
            )
            .collect::<Vec<_>>()
    );
    spool.release(receipt(&spool.clips()[0])).unwrap();
    assert!(spool.clips().is_empty());
}

#[test]
fn a_clip_once_offered_with_an_unknown_time_is_never_offered_with_another() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record_unset(&spool, true).unwrap();
    spool.fix(&clip.clip_id).unwrap();
    let offered = spool.manifest(&clip.clip_id).unwrap();
    spool.note_clock(OFFSET_MS).unwrap();
    spool.fix(&clip.clip_id).unwrap();
    assert_eq!(spool.manifest(&clip.clip_id).unwrap(), offered);
    drop(spool);
    let (spool, _) = open(dir.path());
    spool.fix(&clip.clip_id).unwrap();
    assert_eq!(spool.manifest(&clip.clip_id).unwrap(), offered);
}

#[test]
fn a_torn_fix_leaves_the_clip_whole_and_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record_unset(&spool, true).unwrap();
    let file = clip_file(dir.path(), &clip.clip_id);
    let before = std::fs::metadata(&file).unwrap().len();
    spool.fix(&clip.clip_id).unwrap();
    let whole = std::fs::read(&file).unwrap();
    drop(spool);
    for length in [before + 1, before + 20, whole.len() as u64 - 1] {
        std::fs::write(&file, &whole[..length as usize]).unwrap();
        let (spool, report) = open(dir.path());
        assert_eq!((report.damaged.len(), report.set_aside.len()), (0, 0));
        assert!(spool.needs_fixing(&clip.clip_id), "{length}");
        spool.fix(&clip.clip_id).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), whole);
    }
}

#[test]
fn a_recording_cut_by_a_power_cut_gets_its_time_from_the_clock_of_its_own_boot() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    record_unset(&spool, false);
    spool.note_clock(OFFSET_MS).unwrap();
    // As the power cut leaves it: nobody finishes it before the next start.
    let files: Vec<_> = std::fs::read_dir(dir.path().join("clips"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (std::fs::read(&path).unwrap(), path))
        .collect();
    drop(spool);
    for (bytes, path) in files {
        std::fs::write(path, bytes).unwrap();
    }
    let (spool, report) = open_as(dir.path(), "boot-2", |_| ());
    let [clip] = report.recovered.as_slice() else {
        panic!("{report:?}")
    };
    let manifest = manifest(&spool, clip);
    assert_eq!(
        manifest.started_at.as_deref(),
        Some("2026-01-01T00:01:00.000Z")
    );
    assert_eq!((manifest.clock_synced, manifest.recovered), (Some(1), 1));
}

#[test]
fn the_clocks_of_boots_without_clips_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    for boot in ["boot-1", "boot-2", "boot-3"] {
        let (spool, _) = open_as(dir.path(), boot, |_| ());
        if boot == "boot-2" {
            record_unset(&spool, true);
        }
        spool.note_clock(OFFSET_MS).unwrap();
    }
    let (spool, _) = open_as(dir.path(), "boot-3", |_| ());
    let boots: Vec<_> = spool.card().clocks.into_keys().collect();
    assert_eq!(boots, ["boot-2", "boot-3"]);
}

#[test]
fn a_copied_card_gets_an_identity_of_its_own_and_sends_what_is_on_it_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let on = |cid: &'static str| {
        open_as(dir.path(), "boot-1", move |facts| {
            facts.card_cid = Some(cid.into());
        })
    };
    let (spool, report) = on("aa");
    assert_eq!(report.card_cloned, None);
    let first = spool.card();
    let clip = record(&spool, 2);
    let offered = spool.manifest(&clip.clip_id).unwrap();
    spool
        .save_counters(&[("lifts".to_owned(), 7)].into())
        .unwrap();
    drop(spool);
    // The same files on another card.
    let (spool, report) = on("bb");
    assert_eq!(report.card_cloned.as_deref(), Some(first.card_id.as_str()));
    let card = spool.card();
    assert_ne!(card.card_id, first.card_id);
    assert_eq!(
        card.previous_card_id.as_deref(),
        Some(first.card_id.as_str())
    );
    assert_eq!(spool.manifest(&clip.clip_id).unwrap(), offered);
    assert!(spool.counters().is_empty(), "counters are the card's own");
    let next = record(&spool, 2);
    assert_eq!((next.clip_no, next.card_id), (1, card.card_id.clone()));
    drop(spool);
    let (spool, report) = on("bb");
    assert_eq!(
        (report.card_cloned, spool.card().card_id),
        (None, card.card_id)
    );
}

#[test]
fn another_machine_with_the_same_card_is_told_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let in_machine = |serial: &'static str| {
        open_as(dir.path(), "boot-1", move |facts| {
            facts.card_cid = Some("aa".into());
            facts.hw_serial = Some(serial.into());
        })
    };
    let (spool, _) = in_machine("1000");
    let card = spool.card();
    drop(spool);
    let (spool, report) = in_machine("2000");
    assert_eq!(report.hardware_changed.as_deref(), Some("1000"));
    assert_eq!(spool.card().card_id, card.card_id);
    drop(spool);
    assert_eq!(in_machine("2000").1.hardware_changed, None);
}

#[test]
fn the_spool_of_another_card_is_taken_over_with_its_own_names_and_numbers() {
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (spool, _) = open(theirs.path());
    let foreign: Vec<KeptClip> = (0..3).map(|_| record(&spool, 2)).collect();
    let mut offered: Vec<Vec<u8>> = foreign
        .iter()
        .map(|clip| spool.manifest(&clip.clip_id).unwrap())
        .collect();
    // And one that was cut off on that card.
    let mut cut = spool.begin(new_clip()).unwrap();
    cut.append(&long_speech()[0].pages, long_speech()[0].facts)
        .unwrap();
    let cut_file = clip_file(theirs.path(), cut.clip_id());
    let cut_bytes = std::fs::read(&cut_file).unwrap();
    let (spool_ours, _) = open(ours.path());
    let own = record(&spool_ours, 2);
    drop(spool_ours);
    for clip in &foreign {
        let name = format!("clips/{}.clip", clip.clip_id);
        std::fs::copy(theirs.path().join(&name), ours.path().join(&name)).unwrap();
    }
    let cut_name = cut_file.file_name().unwrap();
    std::fs::write(ours.path().join("clips").join(cut_name), cut_bytes).unwrap();
    let (spool, report) = open(ours.path());
    assert_eq!(report.set_aside, []);
    offered.sort();
    let clips = spool.clips();
    assert_eq!(clips.len(), 5);
    let mut now: Vec<Vec<u8>> = clips
        .iter()
        .filter(|clip| clip.card_id == foreign[0].card_id)
        .map(|clip| spool.manifest(&clip.clip_id).unwrap())
        .collect();
    now.sort();
    assert_eq!(now, offered);
    // The one that was cut off is kept here, and so gets a number here.
    let [recovered] = report.recovered.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(
        (&recovered.card_id, recovered.clip_no),
        (&own.card_id, own.clip_no + 1)
    );
    for clip in &foreign {
        spool.release(receipt(clip)).unwrap();
    }
    assert_eq!(record(&spool, 2).clip_no, own.clip_no + 2);
}

#[test]
fn a_number_whose_clip_is_gone_is_declared_void_and_leaves_like_a_clip() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clips: Vec<KeptClip> = (0..4).map(|_| record(&spool, 2)).collect();
    spool.save_counters(&Default::default()).unwrap();
    drop(spool);
    std::fs::remove_file(clip_file(dir.path(), &clips[1].clip_id)).unwrap();
    std::fs::write(clip_file(dir.path(), &clips[2].clip_id), b"rubbish").unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(report.missing.len(), 2);
    assert_eq!(report.set_aside.len(), 1);
    for lost in &clips[1..3] {
        let void = manifest(&spool, lost);
        assert_eq!(
            (void.kind, void.clip_no, void.bytes, void.sha256),
            (ClipKind::Void, lost.clip_no, 0, None)
        );
        assert!(void.reason.is_some());
    }
    let numbers: Vec<u64> = spool.clips().iter().map(|clip| clip.clip_no).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let declared = spool.manifest(&clips[1].clip_id).unwrap();
    drop(spool);
    // Declared once: the next start finds it as it is, with or without the ledger.
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!((report.missing.len(), report.set_aside.len()), (0, 0));
    assert_eq!(spool.manifest(&clips[1].clip_id).unwrap(), declared);
    let void = spool.clips().into_iter().find(|clip| clip.clip_no == 2);
    spool.release(receipt(&void.unwrap())).unwrap();
    assert_eq!(spool.clips().len(), 3);
    assert_eq!(record(&spool, 2).clip_no, 5);
}
