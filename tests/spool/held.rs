//! A take whose words have ended and that is still open: closed, deleted, or met by a kill or a power cut.

use std::path::Path;
use std::sync::Arc;

use booth_contract::{BodyKind, EndedBy, Manifest, Publish};
use booth_sealing::{DataKey, Identity, KernelRandom, Recipients, Sealer};
use booth_spool::{ClipWriter, FrameFacts, KeptClip, NewClip, OpenFacts, Spool, SpoolError};
use booth_testkit::model_disk::{EIO, Fault, Left, ModelDisk, Verb};
use booth_testkit::searched;
use booth_testkit::spool_rig::{body, facts, long_speech, new_clip, receipt, record};

const ROOT: &str = "/spool";

fn open(disk: &ModelDisk) -> Spool {
    let facts = OpenFacts {
        ledger: false,
        ..facts("boot-1")
    };
    let (spool, _) = Spool::open(Arc::new(disk.clone()), Path::new(ROOT), facts).unwrap();
    spool
}

fn manifest(spool: &Spool, clip: &KeptClip) -> Manifest {
    serde_json::from_slice(&spool.manifest(&clip.clip_id).unwrap()).unwrap()
}

fn publish(spool: &Spool, clip: &KeptClip) -> Option<Publish> {
    manifest(spool, clip).consent.map(|consent| consent.publish)
}

/// A take of so many frames, the last of which ends its words.
fn held(spool: &Spool, clip: NewClip, frames: usize) -> ClipWriter {
    let mut writer = spool.begin(clip).unwrap();
    let (last, first) = long_speech()[..frames].split_last().unwrap();
    for frame in first {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    writer.hold(&last.pages, last.facts, EndedBy::Key).unwrap();
    writer
}

#[test]
fn a_held_take_has_no_number_and_gets_the_next_one_with_what_was_allowed_when_it_is_closed() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let clip = NewClip {
        sealed: Some("cmVjZWlwdA==".into()),
        config_version: Some(7),
        campaign_id: Some("spring".into()),
        ..new_clip()
    };
    let first = held(&spool, clip, 3);
    assert!(spool.clips().is_empty() && spool.last_clip_no() == 0);
    // Somebody else is never in between, but nothing would go wrong.
    assert_eq!(record(&spool, 2).clip_no, 1);
    let kept = first.close(Publish::Voice).unwrap();
    assert_eq!(
        (kept.clip_no, kept.ended_by, kept.recovered),
        (2, EndedBy::Key, false)
    );
    let manifest = manifest(&spool, &kept);
    assert_eq!(manifest.sealed.as_deref(), Some("cmVjZWlwdA=="));
    assert_eq!(
        (manifest.config_version, manifest.campaign_id.as_deref()),
        (Some(7), Some("spring"))
    );
    assert_eq!(publish(&spool, &kept), Some(Publish::Voice));
    assert_eq!(manifest.duration_ms, Some(1_500));
    assert!(body(&spool, &kept).len() > 1_000);
}

#[test]
fn the_manifests_of_clips_without_what_is_new_keep_their_bytes() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let clip = record(&spool, 1);
    let text = String::from_utf8(spool.manifest(&clip.clip_id).unwrap()).unwrap();
    assert!(!text.contains("config_version"), "{text}");
    assert!(text.contains("\"sealed\":null"), "{text}");
    let again = serde_json::from_str::<Manifest>(&text).unwrap().to_json();
    assert_eq!(String::from_utf8(again).unwrap(), text);
}

#[test]
fn a_take_that_was_not_held_is_not_closed_and_nothing_of_it_is_lost() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let mut writer = spool.begin(new_clip()).unwrap();
    let frame = &long_speech()[0];
    writer.append(&frame.pages, frame.facts).unwrap();
    let refused = writer.close(Publish::Text).unwrap_err();
    assert!(matches!(refused, SpoolError::BadTake { .. }), "{refused}");
    let [kept] = &spool.mend().kept[..] else {
        panic!("it is settled as recovery does")
    };
    assert_eq!(publish(&spool, kept), Some(Publish::No));
    // And of a take without a word nothing is held.
    let mut silent = spool.begin(new_clip()).unwrap();
    let nothing = silent.hold(&[], FrameFacts::NONE, EndedBy::HangUp);
    assert!(matches!(nothing, Err(SpoolError::NothingSaid { .. })));
    drop(silent);
    assert!(spool.is_settled() && spool.mend().kept.is_empty());
}

#[test]
fn a_held_take_that_a_kill_or_a_power_cut_meets_is_recovered_whole_and_nothing_of_it_is_published()
{
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let writer = held(&spool, new_clip(), 4);
    let killed = disk.snapshot();
    let states = (0..60).map(|seed| disk.power_cut(seed));
    for left in states.chain([killed]) {
        let spool = open(&left);
        let [clip] = &spool.clips()[..] else {
            panic!("it is there")
        };
        assert_eq!((clip.recovered, clip.ended_by), (true, EndedBy::Key));
        assert_eq!((clip.clip_no, clip.duration_ms), (1, 2_000));
        assert_eq!(publish(&spool, clip), Some(Publish::No));
    }
    drop(writer);
}

#[test]
fn words_whose_end_the_card_refuses_are_kept_later_to_their_last_frame() {
    for (verb, left) in [
        (Verb::Write, Left::Nothing),
        (Verb::Sync, Left::Nothing),
        (Verb::Sync, Left::All),
    ] {
        let disk = ModelDisk::new();
        let spool = open(&disk);
        let mut writer = spool.begin(new_clip()).unwrap();
        let [first, last] = [&long_speech()[0], &long_speech()[1]];
        writer.append(&first.pages, first.facts).unwrap();
        disk.set_faults(move |operation| {
            (operation.verb == verb).then_some(Fault { errno: EIO, left })
        });
        let refused = writer.hold(&last.pages, last.facts, EndedBy::Silence);
        assert!(
            matches!(refused, Err(SpoolError::NotDurable { .. })),
            "{refused:?}"
        );
        disk.heal();
        // The writer has nothing any more: whoever deletes it now deletes nothing, and hears that.
        assert!(matches!(
            writer.discard(),
            Err(SpoolError::UnknownClip { .. })
        ));
        let mended = spool.mend();
        let [kept] = &mended.kept[..] else {
            panic!("it is kept")
        };
        assert_eq!(mended.finished, std::slice::from_ref(&kept.clip_id));
        assert_eq!(
            (kept.duration_ms, kept.ended_by, kept.recovered),
            (1_000, EndedBy::Silence, false)
        );
        assert_eq!(publish(&spool, kept), Some(Publish::No));
        assert!(spool.room().accepts);
    }
}

#[test]
fn a_take_whose_closing_the_card_refuses_keeps_what_its_citizen_allowed() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let writer = held(&spool, new_clip(), 2);
    disk.set_faults(|operation| {
        (operation.verb == Verb::Sync).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    assert!(matches!(
        writer.close(Publish::Text),
        Err(SpoolError::NotDurable { .. })
    ));
    disk.heal();
    let [kept] = &spool.mend().kept[..] else {
        panic!("it is kept")
    };
    assert_eq!(
        (kept.clip_no, publish(&spool, kept)),
        (1, Some(Publish::Text))
    );
}

/// A sealed take of two frames that is held, its sealed body, and the city's key.
fn sealed(spool: &Spool) -> (ClipWriter, Vec<u8>, Identity) {
    let city = Identity::generate(&mut KernelRandom).unwrap();
    let keys = Recipients::new(vec![city.recipient()]).unwrap();
    let clip = NewClip {
        body: BodyKind::SealedOggOpus,
        key_ids: keys.ids(),
        ..new_clip()
    };
    let id = uuid::Uuid::parse_str(&clip.clip_id).unwrap();
    let key = DataKey::generate(&mut KernelRandom).unwrap();
    let (mut sealer, head) = Sealer::begin(id, &key, &keys, &mut KernelRandom).unwrap();
    let mut writer = spool.begin(clip).unwrap();
    let [one, two] = [&long_speech()[0], &long_speech()[1]];
    let first = [head, sealer.seal(one.facts, &one.pages)].concat();
    writer.append(&first, one.facts).unwrap();
    let last = sealer.seal_last(two.facts, &two.pages);
    writer.hold(&last, two.facts, EndedBy::Key).unwrap();
    (writer, [first, last].concat(), city)
}

fn holds(disk: &ModelDisk, piece: &[u8]) -> bool {
    disk.files().iter().any(|path| {
        let content = disk.content(path).unwrap_or_default();
        searched::holds(&content, piece)
    })
}

#[test]
fn a_sealed_take_that_is_deleted_has_no_envelope_wherever_the_power_goes_once_that_is_said() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let (writer, body, _) = sealed(&spool);
    let envelope = &body[60..160];
    assert!(holds(&disk, envelope));
    writer.discard().unwrap();
    for seed in 0..60 {
        let left = disk.power_cut(seed);
        assert!(!holds(&left, envelope), "seed {seed}");
        assert!(open(&left).clips().is_empty());
    }
}

#[test]
fn a_deleted_take_stays_deleted_at_every_step_of_a_power_cut_and_its_key_goes_before_its_name() {
    let mut steps = 0;
    for step in 0.. {
        let disk = ModelDisk::new();
        let spool = open(&disk);
        let (writer, body, _) = sealed(&spool);
        disk.cut_power_after(step);
        let is_done = writer.discard().is_ok() && !disk.is_off();
        let envelope = &body[60..160];
        for seed in 0..20 {
            let left = disk.power_cut(seed);
            let had_envelope = holds(&left, envelope);
            let (spool, report) = {
                let facts = OpenFacts {
                    ledger: false,
                    ..facts("boot-2")
                };
                Spool::open(Arc::new(left.clone()), Path::new(ROOT), facts).unwrap()
            };
            assert!(
                report.set_aside.is_empty() && report.damaged.is_empty(),
                "{report:?}"
            );
            // Either nothing of the deletion was durable, and the take is whole, or nothing can be heard of it.
            match &spool.clips()[..] {
                [] => {}
                [clip] => assert!(!is_done && had_envelope && clip.duration_ms == 1_000),
                other => panic!("{other:?}"),
            }
        }
        if is_done {
            steps = step;
            break;
        }
    }
    assert!(steps >= 5, "{steps} steps");
}

#[test]
fn a_deletion_whose_name_the_card_does_not_let_go_leaves_no_envelope() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let (writer, body, _) = sealed(&spool);
    disk.set_faults(|operation| {
        (operation.verb == Verb::Unlink).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    writer.discard().unwrap();
    assert!(!holds(&disk, &body[60..160]));
    disk.heal();
    drop(spool);
    let spool = open(&disk);
    assert!(spool.clips().is_empty());
    let clip = record(&spool, 1);
    spool.release(receipt(&clip)).unwrap();
}

#[test]
fn words_that_are_deleted_while_the_card_fails_do_not_come_back() {
    // The end of the words is refused, or a frame before it is.
    for is_frame in [false, true] {
        for verb in [Verb::Write, Verb::Sync] {
            let disk = ModelDisk::new();
            let spool = open(&disk);
            let mut writer = spool.begin(new_clip()).unwrap();
            let id = booth_contract::ClipId::from(writer.clip_id());
            let [first, last] = [&long_speech()[0], &long_speech()[1]];
            writer.append(&first.pages, first.facts).unwrap();
            disk.set_faults(move |operation| {
                (operation.verb == verb).then_some(Fault {
                    errno: EIO,
                    left: Left::Nothing,
                })
            });
            let refused = match is_frame {
                true => writer.append(&last.pages, last.facts),
                false => writer.hold(&last.pages, last.facts, EndedBy::Key),
            };
            assert!(refused.is_err());
            drop(writer);
            // The card refuses the mark, too, and lets the name go.
            assert!(spool.discard_unfinished(&id).unwrap(), "{verb:?}");
            assert!(!spool.discard_unfinished(&id).unwrap());
            disk.heal();
            assert!(spool.mend().kept.is_empty());
            assert!(spool.room().accepts);
            drop(spool);
            let spool = open(&disk);
            assert!(spool.clips().is_empty());
            assert_eq!(record(&spool, 1).clip_no, 1);
        }
    }
}

#[test]
fn words_that_were_finished_before_they_could_be_deleted_leave_nothing_but_their_number() {
    // The write that ends the words is refused, and the keeper's look finishes the take before it is deleted.
    let finished_late = |disk: &ModelDisk| {
        let spool = open(disk);
        let mut writer = spool.begin(new_clip()).unwrap();
        let id = booth_contract::ClipId::from(writer.clip_id());
        let [first, last] = [&long_speech()[0], &long_speech()[1]];
        writer.append(&first.pages, first.facts).unwrap();
        disk.set_faults(|operation| {
            (operation.verb == Verb::Write).then_some(Fault {
                errno: EIO,
                left: Left::Nothing,
            })
        });
        writer
            .hold(&last.pages, last.facts, EndedBy::Key)
            .unwrap_err();
        disk.heal();
        assert_eq!(spool.mend().kept.len(), 1);
        assert!(!spool.discard_unfinished(&id).unwrap());
        (spool, id)
    };
    let words = &long_speech()[1].pages[..];
    let mut steps = 0;
    for step in 0.. {
        let disk = ModelDisk::new();
        let (spool, id) = finished_late(&disk);
        assert!(holds(&disk, words));
        disk.cut_power_after(step);
        let taken = spool.take_back(&id);
        let is_done = taken.is_ok() && !disk.is_off();
        for seed in 0..10 {
            let left = disk.power_cut(seed);
            let (spool, report) =
                Spool::open(Arc::new(left.clone()), Path::new(ROOT), facts("boot-2")).unwrap();
            assert!(
                report.set_aside.is_empty()
                    && report.damaged.is_empty()
                    && report.missing.is_empty(),
                "{report:?}"
            );
            let [clip] = &spool.clips()[..] else {
                panic!("the number is lost")
            };
            let is_void = clip.kind == booth_contract::ClipKind::Void;
            assert!(is_void || !is_done, "step {step}, seed {seed}");
            assert_eq!(holds(&left, words), !is_void);
            assert_eq!(record(&spool, 1).clip_no, 2);
        }
        if is_done {
            let void = taken.unwrap().expect("a declaration");
            assert_eq!((void.clip_no, void.bytes), (1, 0));
            let said = manifest(&spool, &void);
            assert_eq!(said.reason.as_deref(), Some("deleted by its citizen"));
            // Once more it is the same, and it leaves like any other.
            disk.cut_power_after(1_000_000);
            assert_eq!(spool.take_back(&id).unwrap(), Some(void.clone()));
            spool.release(receipt(&void)).unwrap();
            assert_eq!(spool.take_back(&id).unwrap(), None);
            steps = step;
            break;
        }
    }
    assert!(steps >= 3, "{steps} steps");
}

#[test]
fn words_whose_file_the_card_does_not_let_go_are_not_called_gone() {
    let disk = ModelDisk::new();
    let spool = open(&disk);
    let writer = held(&spool, new_clip(), 2);
    let id = booth_contract::ClipId::from(writer.clip_id());
    disk.set_faults(|operation| {
        [Verb::Write, Verb::Unlink]
            .contains(&operation.verb)
            .then_some(Fault {
                errno: EIO,
                left: Left::Nothing,
            })
    });
    assert!(writer.discard().is_err());
    let still = spool.take_back(&id);
    assert!(matches!(still, Err(SpoolError::NotNow { .. })), "{still:?}");
    disk.heal();
    assert!(spool.mend().kept.is_empty());
    assert_eq!(spool.take_back(&id).unwrap(), None);
    assert!(spool.clips().is_empty());
}
