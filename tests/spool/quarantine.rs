//! Quarantine, the way out of it, and a card that does not give back what is on it: on the disk in memory.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_contract::ClipId;
use booth_spool::{KeptClip, OpenFacts, OpenReport, Refusal, Spool, SpoolError};
use booth_testkit::model_disk::{EIO, EROFS, Fault, Left, ModelDisk, Verb};
use booth_testkit::spool_rig::{body, facts, long_speech, new_clip, receipt, record};
use gateway_core::quarantine::{Cause, HubTerms, Moment, Note};

const ROOT: &str = "/spool";

fn open_as(disk: &ModelDisk, facts: OpenFacts) -> Result<(Spool, OpenReport), SpoolError> {
    let facts = OpenFacts {
        ledger: false,
        ..facts
    };
    Spool::open(Arc::new(disk.clone()), Path::new(ROOT), facts)
}

fn open(disk: &ModelDisk) -> (Spool, OpenReport) {
    open_as(disk, facts("boot-1")).expect("the spool opens")
}

fn file(folder: &str, clip: &KeptClip) -> PathBuf {
    Path::new(ROOT)
        .join(folder)
        .join(format!("{}.clip", clip.clip_id))
}

fn terms(version: &str) -> HubTerms {
    HubTerms {
        version: Some(version.into()),
        max_clip_bytes: Some(1_000),
        schemas: Some(vec![1]),
    }
}

fn refused(version: &str) -> Note {
    Note::refused(
        "2000 bytes are more than this hub takes (1000)",
        Some(terms(version)),
    )
}

fn moment(mono_ms: u64) -> Moment {
    Moment {
        boot_id: "boot-1".into(),
        mono_ms,
    }
}

fn back(spool: &Spool, clip: &KeptClip, by_itself: Option<Moment>) -> Result<KeptClip, SpoolError> {
    let clips = [clip.clip_id.clone()];
    let mut back = spool.bring_back(&clips, by_itself.as_ref());
    assert_eq!(back.len(), 1);
    back.remove(0).1
}

/// The clip is there once, as it was: in `clips/` (true) or in quarantine.
fn is_out(spool: &Spool, clip: &KeptClip, manifest: &[u8], what: &str) -> bool {
    let out = spool.clips().iter().filter(|other| *other == clip).count();
    let within = spool.quarantined_clips();
    let within = within.iter().filter(|(other, _)| other == clip).count();
    assert_eq!(
        out + within,
        1,
        "{what}: {out} times out, {within} times in quarantine"
    );
    assert_eq!(spool.manifest(&clip.clip_id).unwrap(), manifest, "{what}");
    assert_eq!(body(spool, clip).len() as u64, clip.bytes, "{what}");
    out == 1
}

#[test]
fn why_a_clip_was_refused_and_by_which_hub_is_known_after_a_restart_without_a_ledger() {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let clip = record(&spool, 3);
    let manifest = spool.manifest(&clip.clip_id).unwrap();
    assert_eq!(
        spool.quarantine(&clip.clip_id, &refused("1.0")).unwrap(),
        refused("1.0")
    );
    drop(spool);
    let (spool, report) = open(&disk);
    assert!(
        report.damaged.is_empty() && report.set_aside.is_empty(),
        "{report:?}"
    );
    assert_eq!(spool.quarantined_clips(), [(clip.clone(), refused("1.0"))]);
    // It comes out, and is what it was; that it came by itself is known when it is refused again.
    assert_eq!(back(&spool, &clip, Some(moment(77))).unwrap(), clip);
    assert!(is_out(&spool, &clip, &manifest, "out"));
    drop(spool);
    let (spool, _) = open(&disk);
    assert!(is_out(&spool, &clip, &manifest, "after a restart"));
    let again = spool.quarantine(&clip.clip_id, &refused("1.1")).unwrap();
    let with_moment = Note {
        returned: Some(moment(77)),
        ..refused("1.1")
    };
    assert_eq!(again, with_moment);
    drop(spool);
    let (spool, _) = open(&disk);
    assert_eq!(spool.quarantined_clips(), [(clip.clone(), with_moment)]);
    // Once it is out, a receipt lets it go like any other.
    back(&spool, &clip, None).unwrap();
    spool.release(receipt(&clip)).unwrap();
    assert!(disk.content(&file("clips", &clip)).is_none());
    drop(spool);
    assert_eq!(open(&disk).0.quarantined(), 0);
}

#[test]
fn a_power_cut_at_any_step_into_or_out_of_quarantine_loses_nothing_and_doubles_nothing() {
    for is_way_out in [false, true] {
        let mut ends = [0, 0];
        let mut operations = 0;
        'steps: for step in 0.. {
            for seed in 0..40 {
                let disk = ModelDisk::new();
                let (spool, _) = open(&disk);
                let (clip, other) = (record(&spool, 3), record(&spool, 2));
                let manifest = spool.manifest(&clip.clip_id).unwrap();
                if is_way_out {
                    spool.quarantine(&clip.clip_id, &refused("1.0")).unwrap();
                }
                disk.cut_power_after(step);
                // Whatever it says when the power goes, nobody lives to hear it.
                let done = match is_way_out {
                    true => back(&spool, &clip, Some(moment(5))).map(drop),
                    false => spool.quarantine(&clip.clip_id, &refused("1.0")).map(drop),
                };
                if !disk.is_off() {
                    done.expect("nothing failed");
                    operations = step;
                    break 'steps;
                }
                // Recovery may be cut off, too.
                let mut left = disk.power_cut(seed);
                if seed % 2 == 0 {
                    left.cut_power_after(seed / 2);
                    let _ = open_as(&left, facts("boot-2"));
                    left = left.power_cut(seed + 1);
                }
                let what = format!("way out {is_way_out}, step {step}, seed {seed}");
                let (spool, report) = open_as(&left, facts("boot-3")).expect(&what);
                assert!(
                    report.set_aside.is_empty() && report.damaged.is_empty(),
                    "{what}: {report:?}"
                );
                let out = is_out(&spool, &clip, &manifest, &what);
                assert!(spool.clips().contains(&other), "{what}");
                ends[usize::from(out)] += 1;
                // Wherever it is, it comes out and leaves.
                back(&spool, &clip, None).expect(&what);
                spool.release(receipt(&clip)).expect(&what);
                let names = left
                    .files()
                    .into_iter()
                    .filter(|path| path.to_string_lossy().contains(clip.clip_id.as_str()));
                assert_eq!(names.count(), 0, "{what}");
                assert_eq!(record(&spool, 1).clip_no, 3, "{what}");
            }
        }
        assert!(operations >= 4, "{operations} operations");
        // What was done to its end is durable.
        let disk = ModelDisk::new();
        let (spool, _) = open(&disk);
        let clip = record(&spool, 3);
        let manifest = spool.manifest(&clip.clip_id).unwrap();
        spool.quarantine(&clip.clip_id, &refused("1.0")).unwrap();
        if is_way_out {
            back(&spool, &clip, None).unwrap();
        }
        for seed in 0..40 {
            let (spool, _) = open_as(&disk.power_cut(seed), facts("boot-2")).unwrap();
            assert_eq!(is_out(&spool, &clip, &manifest, "done"), is_way_out);
        }
        assert!(
            ends.iter().all(|count| *count > 10),
            "way out {is_way_out}: {ends:?}"
        );
    }
}

#[test]
fn whichever_operation_of_the_moves_fails_the_clip_is_there_once_and_the_next_try_works() {
    for errno in [EIO, EROFS] {
        for left in [Left::Nothing, Left::Half, Left::All] {
            for failing in 0..8 {
                let disk = ModelDisk::new();
                let (spool, _) = open(&disk);
                let clip = record(&spool, 3);
                let manifest = spool.manifest(&clip.clip_id).unwrap();
                let what = format!("operation {failing}, {errno}, {left:?}");
                let fail = |disk: &ModelDisk| {
                    let at = disk.operations() + failing;
                    disk.fail_at(at, Fault { errno, left });
                };
                fail(&disk);
                let _ = spool.quarantine(&clip.clip_id, &refused("1.0"));
                disk.heal();
                if spool.quarantined() == 0 && disk.content(&file("clips", &clip)).is_none() {
                    // The rename failed and was done all the same: the next start sees where it is.
                    let (reopened, _) = open(&disk.snapshot());
                    assert!(!is_out(&reopened, &clip, &manifest, &what));
                    continue;
                }
                is_out(&spool, &clip, &manifest, &what);
                spool
                    .quarantine(&clip.clip_id, &refused("1.0"))
                    .expect(&what);
                assert!(!is_out(&spool, &clip, &manifest, &what));
                fail(&disk);
                let _ = back(&spool, &clip, None);
                disk.heal();
                let snapshot = disk.snapshot();
                let (reopened, _) = open(&snapshot);
                is_out(&reopened, &clip, &manifest, &what);
                back(&reopened, &clip, None).expect(&what);
                assert!(is_out(&reopened, &clip, &manifest, &what));
            }
        }
    }
}

#[test]
fn a_hundred_refusals_do_not_make_a_clip_file_long() {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let clip = record(&spool, 3);
    let before = disk.content(&file("clips", &clip)).unwrap().len();
    for round in 0..100 {
        let note = Note::refused(&"no ".repeat(200), Some(terms(&format!("1.{round}"))));
        spool.quarantine(&clip.clip_id, &note).unwrap();
        back(&spool, &clip, Some(moment(round))).unwrap();
    }
    let file = disk.content(&file("clips", &clip)).unwrap();
    assert!(file.len() < before + 12 * 1024, "{} bytes", file.len());
    drop(spool);
    let (spool, report) = open(&disk);
    assert!(report.damaged.is_empty() && report.set_aside.is_empty());
    assert_eq!(spool.clips(), [clip]);
}

#[test]
fn a_damaged_clip_does_not_come_out_and_one_that_is_whole_after_all_does() {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let clip = record(&spool, 6);
    let manifest = spool.manifest(&clip.clip_id).unwrap();
    let good = disk.content(&file("clips", &clip)).unwrap();
    spool
        .quarantine(&clip.clip_id, &Note::damaged("a checksum"))
        .unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    disk.put(&file("quarantine", &clip), &bad);
    let error = back(&spool, &clip, None).unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert_eq!(spool.quarantined_clips()[0].1.cause, Cause::Damage);
    // What was read wrong once, by a bad contact perhaps, is good now.
    disk.put(&file("quarantine", &clip), &good);
    back(&spool, &clip, None).unwrap();
    assert!(is_out(&spool, &clip, &manifest, "whole"));
    // A stranger is told so.
    let error = spool.bring_back(&["no such clip".into()], None).remove(0).1;
    assert!(matches!(error, Err(SpoolError::UnknownClip { .. })));
}

#[test]
fn a_clip_that_an_older_version_put_there_has_no_note_and_comes_out() {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let clip = record(&spool, 3);
    let manifest = spool.manifest(&clip.clip_id).unwrap();
    let bytes = disk.content(&file("clips", &clip)).unwrap();
    drop(spool);
    assert!(disk.take_away(&file("clips", &clip)));
    disk.put(&file("quarantine", &clip), &bytes);
    let (spool, _) = open(&disk);
    let [(_, note)] = &spool.quarantined_clips()[..] else {
        panic!("one clip");
    };
    assert_eq!((note.cause, &note.hub), (Cause::Unknown, &None));
    back(&spool, &clip, None).unwrap();
    assert!(is_out(&spool, &clip, &manifest, "out"));
}

/// Reading fails with EIO: of files whose path contains `of`, the read number `at` of them alone, or all from then on.
fn fail_reads(
    disk: &ModelDisk,
    of: String,
    at: u64,
    all: bool,
) -> Arc<std::sync::atomic::AtomicU64> {
    let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&count);
    disk.set_faults(move |operation| {
        let is_read = matches!(operation.verb, Verb::Read | Verb::OpenOld | Verb::List);
        if !is_read || !operation.path.to_string_lossy().contains(&of) {
            return None;
        }
        let number = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (number == at || all && number > at).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    count
}

#[test]
fn a_card_that_does_not_answer_is_no_damage_and_a_short_or_changed_file_is() {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let clip = record(&spool, 12);
    drop(spool);
    let read = |spool: &Spool| {
        spool.manifest(&clip.clip_id)?;
        spool.read_body(&clip.clip_id, 0, 1 << 20).map(|_| ())
    };
    for at in 0.. {
        let (spool, _) = open(&disk);
        let reads = fail_reads(&disk, clip.clip_id.to_string(), at, false);
        let result = read(&spool);
        disk.heal();
        if reads.load(std::sync::atomic::Ordering::Relaxed) <= at {
            assert!(at >= 4, "only {at} reads");
            break;
        }
        let error = result.expect_err("it was not read");
        assert!(
            !error.is_damage() && error.to_string().contains("os error 5"),
            "{error}"
        );
        read(&spool).expect("and can be read the next time");
    }
    let (spool, _) = open(&disk);
    let whole = disk.content(&file("clips", &clip)).unwrap();
    let short = whole[..whole.len() - 200].to_vec();
    let words = spool.read_body(&clip.clip_id, 9_000, 64).unwrap();
    let at = whole.windows(64).position(|bytes| bytes == words).unwrap();
    let mut changed = whole.clone();
    changed[at] ^= 1;
    for hurt in [short, changed] {
        disk.put(&file("clips", &clip), &hurt);
        // What was read before is not remembered.
        let (other, _) = (record(&spool, 2), record(&spool, 2));
        let (_, _) = (body(&spool, &other), body(&spool, &record(&spool, 2)));
        let error = read(&spool).expect_err("it is damaged");
        assert!(error.is_damage(), "{error}");
    }
}

/// A card with two finished clips and a take that was cut off.
fn a_card() -> (ModelDisk, Vec<KeptClip>, String) {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let clips = vec![record(&spool, 2), record(&spool, 3)];
    let mut writer = spool.begin(new_clip()).unwrap();
    for frame in &long_speech()[..2] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let cut_off = writer.clip_id().to_owned();
    (disk.snapshot(), clips, cut_off)
}

#[test]
fn whichever_read_of_the_start_fails_nothing_is_set_aside_or_declared_void_and_no_number_is_given_twice()
 {
    let mut starts = 0;
    for at in 0.. {
        let (disk, clips, cut_off) = a_card();
        let card_id = open(&disk.snapshot()).0.card().card_id;
        let reads = fail_reads(&disk, String::new(), at, false);
        let opened = open_as(&disk, facts("boot-2"));
        let is_over = reads.load(std::sync::atomic::Ordering::Relaxed) <= at;
        disk.heal();
        // Where it cannot be opened at all, it is opened a little later.
        let (spool, report) = opened.unwrap_or_else(|_| open_as(&disk, facts("boot-2")).unwrap());
        let what = format!("read {at}: {report:?}");
        assert!(
            report.set_aside.is_empty() && report.damaged.is_empty(),
            "{what}"
        );
        assert!(report.missing.is_empty() && !report.is_new_card, "{what}");
        let mended = spool.mend();
        assert!(
            mended.trouble.is_none() && !mended.is_unfinished,
            "{what}: {mended:?}"
        );
        assert_eq!(spool.card().card_id, card_id, "{what}");
        assert!(spool.room().accepts, "{what}");
        let next = record(&spool, 1);
        let mut there = spool.clips();
        there.sort_by_key(|clip| clip.clip_no);
        let ids: Vec<&str> = there.iter().map(|clip| clip.clip_id.as_str()).collect();
        let wanted = [
            &clips[0].clip_id,
            &clips[1].clip_id,
            &cut_off.as_str().into(),
            &next.clip_id,
        ];
        assert_eq!(ids, wanted, "{what}");
        assert!(there.iter().map(|clip| clip.clip_no).eq(1..=4), "{what}");
        assert_eq!(spool.quarantined(), 0, "{what}");
        starts += 1;
        if is_over {
            break;
        }
    }
    assert!(starts > 8, "only {starts} reads");
}

#[test]
fn a_file_that_the_card_does_not_give_back_holds_up_numbers_then_waits_in_quarantine_and_comes_back()
 {
    for is_cut_off in [false, true] {
        let (disk, clips, cut_off) = a_card();
        let id: &ClipId = if is_cut_off {
            &cut_off.as_str().into()
        } else {
            &clips[1].clip_id
        };
        fail_reads(&disk, id.to_string(), 0, true);
        let (spool, report) = open_as(&disk, facts("boot-2")).unwrap();
        assert_eq!(report.unread.len(), 1, "{report:?}");
        // Nobody knows which number it has: nobody gets one.
        assert_eq!(spool.room().reason, Some(Refusal::Unread));
        assert!(spool.begin(new_clip()).is_err());
        let mut told = Vec::new();
        let mut tries = 0;
        while !spool.room().accepts {
            tries += 1;
            assert!(tries < 10, "the booth goes on without it");
            told.extend(spool.mend().quarantined);
        }
        assert!((4..8).contains(&tries), "{tries} tries");
        let [(told, note)] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((told, note.cause), (id, Cause::Unread));
        assert_eq!(spool.quarantined(), 1);
        assert_eq!(spool.notes(), [(id.clone(), note.clone())]);
        assert!(
            disk.files()
                .iter()
                .any(|path| path.ends_with(format!("quarantine/{id}.clip")))
        );
        let next = record(&spool, 2);
        // Still not.
        let clips_asked = [id.clone()];
        assert!(
            !spool
                .bring_back(&clips_asked, None)
                .remove(0)
                .1
                .unwrap_err()
                .is_damage()
        );
        // After a restart it is tried again, also while the card still refuses.
        drop(spool);
        let (spool, report) = open_as(&disk, facts("boot-3")).unwrap();
        assert_eq!(report.unread.len(), 1);
        for _ in 0..10 {
            spool.mend();
        }
        assert!(spool.room().accepts && spool.quarantined() == 1);
        let later = record(&spool, 2);
        disk.heal();
        let clip = spool
            .bring_back(&clips_asked, None)
            .remove(0)
            .1
            .expect("it is read");
        assert_eq!(&clip.clip_id, id);
        assert_eq!(body(&spool, &clip).len() as u64, clip.bytes);
        let mut numbers: Vec<u64> = spool.clips().iter().map(|clip| clip.clip_no).collect();
        numbers.sort_unstable();
        assert_eq!(numbers.len(), 5, "{numbers:?}");
        numbers.dedup();
        assert_eq!(
            numbers.len(),
            5,
            "a number was given twice: {next:?} {later:?}"
        );
        assert_eq!(spool.quarantined(), 0);
        drop(spool);
        let (spool, report) = open_as(&disk, facts("boot-4")).unwrap();
        assert_eq!((spool.clips().len(), report.left_unsettled), (5, 0));
    }
}

#[test]
fn a_take_that_waits_unread_in_quarantine_is_finished_at_the_next_start() {
    let (disk, clips, cut_off) = a_card();
    fail_reads(&disk, cut_off.clone(), 0, true);
    let (spool, _) = open_as(&disk, facts("boot-2")).unwrap();
    for _ in 0..10 {
        spool.mend();
    }
    assert_eq!(spool.quarantined(), 1);
    drop(spool);
    disk.heal();
    let (spool, report) = open_as(&disk, facts("boot-3")).unwrap();
    let [recovered] = &report.recovered[..] else {
        panic!("{report:?}")
    };
    assert_eq!(
        (recovered.clip_id.as_str(), recovered.duration_ms),
        (cut_off.as_str(), 1_000)
    );
    assert_eq!(
        (spool.clips().len(), spool.quarantined()),
        (clips.len() + 1, 0)
    );
    assert!(report.set_aside.is_empty());
}

#[test]
fn a_card_json_that_cannot_be_read_makes_no_new_card_until_it_was_tried_again_and_again() {
    let (disk, ..) = a_card();
    let card_id = open(&disk.snapshot()).0.card().card_id;
    fail_reads(&disk, "card.json".into(), 0, true);
    let with = |failed_before| OpenFacts {
        failed_before,
        ..facts("boot-2")
    };
    for failed_before in 0..5 {
        let error = open_as(&disk, with(failed_before)).err().expect("not yet");
        assert!(error.to_string().contains("card.json"), "{error}");
    }
    let healed = disk.snapshot();
    assert_eq!(open_as(&healed, with(5)).unwrap().0.card().card_id, card_id);
    let (spool, report) = open_as(&disk, with(5)).unwrap();
    assert!(report.is_new_card && report.card_unreadable.is_some());
    assert_eq!(spool.clips().len(), 3);
}

#[test]
fn a_manifest_that_its_place_on_the_card_does_not_take_is_written_to_another_place() {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let mut clip = new_clip();
    clip.armed.clock_synced = false;
    let mut writer = spool.begin(clip).unwrap();
    let frames = &long_speech()[..2];
    writer.append(&frames[0].pages, frames[0].facts).unwrap();
    let clip = writer
        .finish(
            &frames[1].pages,
            frames[1].facts,
            booth_contract::EndedBy::HangUp,
        )
        .unwrap();
    spool.note_clock(1_800_000_000_000).unwrap();
    let bad = file("clips", &clip);
    let place = bad.clone();
    disk.set_faults(move |operation| {
        let is_write = matches!(operation.verb, Verb::Write | Verb::Sync | Verb::Truncate);
        (is_write && operation.path == place).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    spool.fix(&clip.clip_id).expect("another place takes it");
    let manifest = spool.manifest(&clip.clip_id).unwrap();
    assert!(String::from_utf8_lossy(&manifest).contains("\"clock_synced\":1"));
    assert_eq!(body(&spool, &clip).len() as u64, clip.bytes);
    drop(spool);
    for seed in 0..20 {
        let (spool, report) = open_as(&disk.power_cut(seed), facts("boot-2")).unwrap();
        assert!(report.set_aside.is_empty(), "{report:?}");
        assert_eq!(spool.manifest(&clip.clip_id).unwrap(), manifest);
    }
}
