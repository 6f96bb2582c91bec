//! Failing disks, and random schedules of loss, repeats, reordering and restarts.

use proptest::prelude::*;

use super::*;
use crate::monitoring::Meters;
use crate::worker::{self, Job, Outcome};

const PART: usize = 10_000;

/// One thing that can happen to a clip on its way.
#[derive(Debug, Clone)]
enum Step {
    Offer,
    Part(usize),
    Spoilt(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Offer),
        12 => (0..4usize).prop_map(Step::Part),
        1 => (0..4usize).prop_map(Step::Spoilt),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn stored_is_only_ever_said_of_the_true_bytes_and_a_patient_booth_always_gets_there(steps in steps()) {
        let mut bench = Bench::new();
        let clip = clip(CLIP, 1);
        let spoilt = vec![7; PART];
        let mut said_stored = false;
        for step in steps {
            let ack = match step {
                Step::Offer => bench.offer(&clip),
                Step::Part(n) => bench.part(&clip, n * PART, (n + 1) * PART),
                Step::Spoilt(n) => bench.send(&format!("{BOOTH}/part/{CLIP}/{}", n * PART), &spoilt),
                Step::Restart => { bench = bench.restart(); None }
            };
            match status(ack) {
                Some(AckStatus::Stored) => said_stored = true,
                other => prop_assert!(!said_stored || other.is_none(), "{:?} after stored", other),
            }
            if said_stored {
                prop_assert!(bench.file(&clip).as_ref() == Some(&clip.body));
            }
        }
        // As the contract says: the manifest until it is answered, then the parts that are missing.
        for _ in 0..8 {
            let Some(ack) = bench.offer(&clip) else { continue };
            if ack.status == AckStatus::Stored {
                said_stored = true;
                break;
            }
            for ByteRange(from, to) in ack.missing {
                for at in (from..to).step_by(PART) {
                    bench.part(&clip, at as usize, to.min(at + PART as u64) as usize);
                }
            }
        }
        prop_assert!(said_stored);
        prop_assert!(bench.file(&clip).as_ref() == Some(&clip.body));
        prop_assert_eq!(bench.views().answers(9).total, 1);
    }
}

#[test]
fn a_failing_disk_promises_nothing_and_the_clip_is_stored_once_it_is_mended() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.offer(&clip);
    for from in (0..30_000).step_by(PART) {
        bench.part(&clip, from, from + PART);
    }
    let clips = bench.dir().join("clips");
    fs::remove_dir_all(&clips).expect("removed");
    fs::write(&clips, b"in the way").expect("written");
    let last = Message {
        topic: format!("booth/1/up/{BOOTH}/part/{CLIP}/30000"),
        payload: clip.body[30_000..].to_vec(),
        retained: false,
        expiry_s: None,
    };
    #[allow(clippy::disallowed_methods)] // a test reads all of them
    let (outcomes_in, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    let Bench {
        folder,
        store,
        wall,
        mono,
    } = bench;
    let (jobs, thread) = worker::start(store, Arc::new(Meters::new(Mono(0))), move |outcome| {
        outcomes_in.send(outcome).is_ok()
    })
    .expect("starts");
    jobs.send(Job::Message(last.clone())).expect("sent");
    match outcomes.blocking_recv() {
        Some(Outcome::Failed { why, jobs: 1 }) => assert!(why.contains("clips"), "{why}"),
        other => panic!("{other:?}"),
    }
    jobs.send(Job::Probe(1)).expect("sent");
    assert!(matches!(
        outcomes.blocking_recv(),
        Some(Outcome::Failed { .. })
    ));

    fs::remove_file(&clips).expect("removed");
    fs::create_dir(&clips).expect("made");
    jobs.send(Job::Probe(2)).expect("sent");
    assert!(matches!(outcomes.blocking_recv(), Some(Outcome::Probed(2))));
    jobs.send(Job::Message(last)).expect("sent");
    match outcomes.blocking_recv() {
        Some(Outcome::Handled(Some(answer))) => {
            assert_eq!(answer.ack.status, AckStatus::Stored);
        }
        other => panic!("{other:?}"),
    }
    drop(jobs);
    thread.join().expect("ended");
    let store = Store::open(&rules(&folder.path().join("store"))).expect("opens");
    let bench = Bench {
        folder,
        store,
        wall,
        mono,
    };
    assert_eq!(bench.file(&clip), Some(clip.body));
    assert_eq!(bench.views().answers(9).total, 1);
}

#[test]
fn a_batch_whose_sync_fails_is_promised_to_nobody_and_comes_again_whole() {
    let mut bench = Bench::new();
    let clips: Vec<_> = (1..=2).map(numbered).collect();
    for clip in &clips {
        bench.whole_uncommitted(clip);
        assert!(bench.file(clip).is_some(), "it was moved");
    }
    let gone = bench.dir().join("clips").join(&clips[0].id[..2]);
    fs::remove_file(gone.join(format!("{}.opus", clips[0].id))).expect("removed");
    bench.store.commit().expect_err("it cannot be synced");
    bench.store.roll_back();
    assert_eq!(bench.views().answers(9).total, 0);
    for clip in &clips {
        assert_eq!(bench.file(clip), None, "its bytes may not be on the disk");
        // The offer was rolled back with the batch: the manifest counts as new again.
        assert_eq!(status(bench.offer(clip)), None);
        for from in (0..clip.body.len()).step_by(16_384) {
            bench.part(clip, from, (from + 16_384).min(clip.body.len()));
        }
        assert_eq!(bench.file(clip).as_ref(), Some(&clip.body));
    }
    assert_eq!(bench.views().answers(9).total, 2);
}

#[test]
fn many_clips_of_one_batch_are_all_there_after_a_restart() {
    let mut bench = Bench::new();
    let clips: Vec<_> = (1..=6).map(numbered).collect();
    for clip in &clips {
        bench.whole_uncommitted(clip);
    }
    bench.store.commit().expect("commits");
    let bench = bench.restart();
    for clip in &clips {
        assert_eq!(bench.file(clip).as_ref(), Some(&clip.body));
    }
    assert_eq!(bench.views().answers(9).total, 6);
}

/// A batch that cannot be synced: the body of a new clip is removed before the commit.
fn fails_to_sync(bench: &mut Bench, clip: &Clip) {
    bench.whole_uncommitted(clip);
    let body = Part::Body(BodyKind::OggOpus);
    let path = record::path(&bench.dir().join("clips"), &clip.id, body);
    fs::remove_file(path).expect("removed");
    bench.store.commit().expect_err("it cannot be synced");
    bench.store.roll_back();
}

#[test]
fn a_sync_that_fails_takes_no_manifest_or_mark_from_before_its_batch() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    let held = numbered(1);
    let topic = format!("rundhoej-2/clip/{}", held.id);
    bench.send(&topic, held.manifest.to_string().as_bytes());
    for from in (0..held.body.len()).step_by(PART) {
        let topic = format!("rundhoej-2/part/{}/{from}", held.id);
        bench.send(&topic, &held.body[from..from + PART]);
    }
    bench
        .store
        .withdraw(bench.wall, &CLIP.into())
        .expect("withdraws");
    // The booth itself brings the clip, and its manifest is written anew; the mark is written as well.
    let topic = format!("{BOOTH}/clip/{}", held.id);
    let ack = bench.send_uncommitted(&topic, held.manifest.to_string().as_bytes());
    assert_eq!(status(ack), Some(AckStatus::Stored));
    let wall = bench.wall;
    bench.store.begin().expect("begins");
    bench
        .store
        .write_tombstone(&CLIP.into(), &rfc3339(wall))
        .expect("writes");
    fails_to_sync(&mut bench, &numbered(2));
    let clips = bench.dir().join("clips");
    let manifest = record::read(&record::path(&clips, &held.id, Part::Record));
    assert!(manifest.expect("reads").is_some());
    assert_eq!(bench.file(&held).as_ref(), Some(&held.body));
    assert!(record::path(&clips, &CLIP.into(), Part::Withdrawn).exists());
}

#[test]
fn a_folder_whose_sync_failed_is_synced_with_the_next_batch_unless_it_is_gone() {
    let mut bench = Bench::new();
    let clips = bench.dir().join("clips");
    let folder = clips.join(&CLIP[..2]);
    fails_to_sync(&mut bench, &numbered(1));
    let dirty: Vec<_> = bench.store.dirty_folders.iter().cloned().collect();
    assert_eq!(dirty, [clips.clone(), folder.clone()]);
    bench.store.commit().expect("commits");
    assert!(bench.store.dirty_folders.is_empty());
    bench.whole_uncommitted(&numbered(2));
    fs::remove_dir_all(&folder).expect("removed");
    bench.store.commit().expect_err("it cannot be synced");
    bench.store.roll_back();
    bench.store.commit().expect("commits");
    assert_eq!(status(bench.whole(&numbered(3))), Some(AckStatus::Stored));
}

#[test]
fn files_that_are_found_without_their_row_are_synced_with_their_folders() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.whole_uncommitted(&clip);
    let mut bench = bench.restart();
    let topic = format!("{BOOTH}/clip/{CLIP}");
    let ack = bench.send_uncommitted(&topic, clip.manifest.to_string().as_bytes());
    assert_eq!(status(ack), Some(AckStatus::Stored));
    let clips = bench.dir().join("clips");
    let wanted = [clips.clone(), clips.join(&CLIP[..2])];
    assert!(bench.store.dirty_folders.iter().eq(&wanted));
    assert_eq!(bench.store.unsynced_files.len(), 2);
}

#[test]
fn a_file_that_is_gone_is_missed_by_the_sync_of_many_too() {
    let mut bench = Bench::new();
    for n in 2..=6 {
        bench.whole_uncommitted(&numbered(n));
    }
    fails_to_sync(&mut bench, &numbered(1));
    assert_eq!(bench.views().answers(9).total, 0);
}

#[test]
fn a_disk_without_room_for_files_is_as_full_as_one_without_room_for_bytes() {
    let reserve = 200_000_000;
    let files = reserve / RESERVE_BYTES_PER_FILE;
    let room = |bytes, files| Room { bytes, files };
    assert!(!room(reserve, files).is_less_than(reserve));
    assert!(room(reserve - 1, files).is_less_than(reserve));
    assert!(room(reserve, files - 1).is_less_than(reserve));
    // A file system without a limit of files reports zero.
    assert!(!room(reserve, u64::MAX).is_less_than(reserve));
    // Senders that have used much of the disk get no more long before all senders are refused.
    let bench = Bench::new();
    assert!(!bench.store.is_tight());
    let free = bench.store.room().expect("reads").bytes;
    let mut store = bench.store.keeping_free(free / 5);
    assert!(store.is_tight());
    store.has_room().expect("for a while");
}
