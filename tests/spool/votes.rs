//! Votes: clips without a body, with a number of their own.

use std::path::Path;
use std::sync::Arc;

use booth_contract::{ClipKind, Manifest};
use booth_spool::{KeptClip, NewClip, OpenFacts, OpenReport, Refusal, Spool, SpoolError};
use booth_testkit::model_disk::{EIO, ENOSPC, Fault, Left, ModelDisk, Verb};
use booth_testkit::spool_rig::{facts, new_clip, receipt, record};
use gateway_core::quarantine::Note;
use sha2::{Digest, Sha256};

fn open_as(disk: &ModelDisk, boot: &str) -> (Spool, OpenReport) {
    let facts = OpenFacts {
        ledger: false,
        ..facts(boot)
    };
    Spool::open(Arc::new(disk.clone()), Path::new("/spool"), facts).unwrap()
}

fn open(disk: &ModelDisk) -> Spool {
    open_as(disk, "boot-1").0
}

fn vote() -> NewClip {
    NewClip {
        question_id: Some("bench".into()),
        campaign_id: Some("spring".into()),
        sealed: Some("c2VhbGVk".into()),
        config_version: Some(3),
        ..new_clip()
    }
}

fn manifest(spool: &Spool, clip: &KeptClip) -> Manifest {
    serde_json::from_slice(&spool.manifest(&clip.clip_id).unwrap()).unwrap()
}

#[test]
fn a_vote_has_a_number_a_receipt_and_the_hash_of_its_text_and_leaves_like_a_clip() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let speech = record(&spool, 2);
    let kept = spool.cast(vote(), 4).unwrap();
    assert_eq!(
        (kept.clip_no, kept.kind, kept.bytes),
        (2, ClipKind::Choice, 0)
    );
    let manifest = manifest(&spool, &kept);
    let text = format!("{}:bench:4", kept.clip_id);
    let hash: String = Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(manifest.sha256.as_deref(), Some(hash.as_str()));
    assert_eq!(
        (manifest.kind, manifest.choice, manifest.bytes),
        (ClipKind::Choice, Some(4), 0)
    );
    assert_eq!(
        (manifest.body, manifest.duration_ms, manifest.ended_by),
        (None, None, None)
    );
    assert_eq!(manifest.sealed.as_deref(), Some("c2VhbGVk"));
    assert_eq!((manifest.config_version, manifest.recovered), (Some(3), 0));
    assert!(
        spool
            .read_body(&kept.clip_id, 0, 1 << 10)
            .unwrap()
            .is_empty()
    );
    assert_eq!(spool.clips(), [speech, kept.clone()]);
    // Into quarantine, out again, and away.
    spool
        .quarantine(&kept.clip_id, &Note::refused("no", None))
        .unwrap();
    assert_eq!(spool.quarantined(), 1);
    let [(_, back)] = &spool.bring_back(std::slice::from_ref(&kept.clip_id), None)[..] else {
        panic!("one answer")
    };
    assert_eq!(back.as_ref().unwrap(), &kept);
    spool.release(receipt(&kept)).unwrap();
    assert_eq!(spool.clips().len(), 1);
    drop(spool);
    let spool = open(&disk);
    assert_eq!((spool.clips().len(), record(&spool, 1).clip_no), (1, 3));
}

#[test]
fn a_vote_whose_clock_was_not_right_gets_its_time_before_its_first_offer() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let mut clip = vote();
    clip.armed.clock_synced = false;
    clip.armed.wall_ms = 0;
    let kept = spool.cast(clip, 2).unwrap();
    assert!(spool.needs_fixing(&kept.clip_id));
    spool.note_clock(1_767_225_540_000).unwrap();
    spool.fix(&kept.clip_id).unwrap();
    let fixed = manifest(&spool, &kept);
    assert_eq!(
        fixed.started_at.as_deref(),
        Some("2026-01-01T00:00:00.000Z")
    );
    assert_eq!((fixed.clock_synced, fixed.choice), (Some(1), Some(2)));
}

#[test]
fn a_vote_is_on_the_card_when_it_is_said_to_be_and_whole_or_gone_before_wherever_the_power_goes() {
    let mut steps = 0;
    for step in 0.. {
        let disk = ModelDisk::new();
        let spool = open(&disk);
        record(&spool, 1);
        disk.cut_power_after(step);
        let cast = spool.cast(vote(), 5);
        let is_cast = cast.is_ok() && !disk.is_off();
        for seed in 0..40 {
            let left = disk.power_cut(seed);
            let (spool, report) = open_as(&left, "boot-2");
            assert!(
                report.damaged.is_empty() && report.missing.is_empty(),
                "{report:?}"
            );
            let votes: Vec<KeptClip> = spool
                .clips()
                .into_iter()
                .filter(|clip| clip.kind == ClipKind::Choice)
                .collect();
            assert!(
                votes.len() <= 1 && (!is_cast || votes.len() == 1),
                "step {step}: {votes:?}"
            );
            for vote in &votes {
                assert_eq!((vote.clip_no, manifest(&spool, vote).choice), (2, Some(5)));
            }
            assert_eq!(record(&spool, 1).clip_no, 2 + votes.len() as u64);
        }
        if is_cast {
            steps = step;
            break;
        }
    }
    assert!(steps >= 3, "{steps} steps");
}

#[test]
fn a_vote_that_the_card_refuses_is_none_and_its_number_is_the_next_ones() {
    for verb in [Verb::Create, Verb::Write, Verb::Sync] {
        for left in [Left::Nothing, Left::Half, Left::All] {
            for errno in [EIO, ENOSPC] {
                let disk = ModelDisk::new();
                let spool = open(&disk);
                let mut fails = true;
                disk.set_faults(move |operation| {
                    (operation.verb == verb && std::mem::take(&mut fails))
                        .then_some(Fault { errno, left })
                });
                let refused = spool.cast(vote(), 3);
                disk.heal();
                if refused.is_ok() {
                    continue;
                }
                assert_eq!(spool.mend().trouble, None);
                assert!(spool.clips().is_empty(), "{verb:?} {left:?}");
                assert_eq!(record(&spool, 1).clip_no, 1);
                drop(spool);
                for seed in 0..10 {
                    assert_eq!(
                        open(&disk.power_cut(seed)).clips().len(),
                        1,
                        "{verb:?} {left:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_refused_vote_that_the_card_does_not_let_go_either_holds_up_the_numbers_until_it_is_gone() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    disk.set_faults(|operation| {
        matches!(operation.verb, Verb::Sync | Verb::Unlink).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    assert!(spool.cast(vote(), 3).is_err());
    assert!(matches!(
        spool.cast(vote(), 3),
        Err(SpoolError::Refused(Refusal::Unwritable))
    ));
    assert!(matches!(
        spool.begin(new_clip()),
        Err(SpoolError::Refused(Refusal::Unwritable))
    ));
    disk.heal();
    assert!(!spool.mend().is_unfinished && spool.room().accepts);
    assert_eq!(spool.cast(vote(), 6).unwrap().clip_no, 1);
    assert_eq!(spool.clips().len(), 1);
}

#[test]
fn a_vote_that_is_damaged_on_the_card_is_set_aside_and_told() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let kept = spool.cast(vote(), 3).unwrap();
    drop(spool);
    let path = Path::new("/spool/clips").join(format!("{}.clip", kept.clip_id));
    let whole = disk.content(&path).unwrap();
    for at in 24..whole.len() {
        let disk = disk.snapshot();
        let mut hurt = whole.clone();
        hurt[at] ^= 1;
        assert!(disk.take_away(&path));
        disk.put(&path, &hurt);
        let (spool, report) = open_as(&disk, "boot-2");
        assert!(spool.clips().is_empty());
        assert!(!report.set_aside.is_empty(), "byte {at}: {report:?}");
    }
}
