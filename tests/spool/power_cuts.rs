//! Power cuts at any moment, on a disk in memory that forgets what was not synced.

use std::path::Path;

use booth_contract::EndedBy;
use booth_spool::disk::{Disk, DiskFile, Open, publish};
use booth_spool::{OpenFacts, Spool, SpoolError};
use booth_testkit::model_disk::{EIO, Fault, Left, ModelDisk, Verb};
use booth_testkit::power_cuts::{
    Outcome, one, one_with_faults, one_with_ledger, one_without_ledger_sync,
};
use booth_testkit::spool_rig as rig;

const CUTS: u64 = 400;

fn new_file(disk: &ModelDisk, path: &str) -> Box<dyn DiskFile> {
    disk.open(Path::new(path), Open::New).unwrap()
}

/// What is in `path` after each of many cuts.
fn after_cuts(disk: &ModelDisk, path: &str) -> Vec<Option<Vec<u8>>> {
    (0..CUTS)
        .map(|seed| disk.power_cut(seed).content(Path::new(path)))
        .collect()
}

#[test]
fn what_was_synced_with_its_name_survives_every_cut() {
    let disk = ModelDisk::new();
    disk.make_folder(Path::new("/spool/clips")).unwrap();
    let file = new_file(&disk, "/spool/clips/a");
    file.write_at(&[7; 3_000], 0).unwrap();
    file.sync_data().unwrap();
    for folder in ["/spool/clips", "/spool", "/"] {
        disk.sync_folder(Path::new(folder)).unwrap();
    }
    let kept = after_cuts(&disk, "/spool/clips/a");
    assert!(kept.iter().all(|left| left.as_deref() == Some(&[7; 3_000])));
}

#[test]
fn a_name_that_was_not_synced_can_vanish_though_its_file_was_synced() {
    let disk = ModelDisk::new();
    let file = new_file(&disk, "/a");
    file.write_at(b"words", 0).unwrap();
    file.sync_all().unwrap();
    let kept = after_cuts(&disk, "/a");
    assert!(kept.iter().any(|left| left.is_none()));
    assert!(kept.iter().any(|left| left.as_deref() == Some(b"words")));
    disk.sync_folder(Path::new("/")).unwrap();
    disk.unlink(Path::new("/a")).unwrap();
    let kept = after_cuts(&disk, "/a");
    assert!(kept.iter().any(|left| left.is_none()));
    assert!(kept.iter().any(|left| left.as_deref() == Some(b"words")));
}

#[test]
fn data_that_was_not_synced_can_vanish_tear_be_zeroed_and_its_length_go_either_way() {
    let disk = ModelDisk::new();
    let file = new_file(&disk, "/a");
    file.write_at(&[1; 700], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_folder(Path::new("/")).unwrap();
    file.write_at(&[2; 2_000], 700).unwrap();
    let kept = after_cuts(&disk, "/a");
    let seen = |what: &dyn Fn(&[u8]) -> bool| kept.iter().any(|left| what(left.as_ref().unwrap()));
    assert!(
        kept.iter()
            .flatten()
            .all(|left| left.starts_with(&[1; 700]))
    );
    assert!(seen(&|left| left.len() == 700), "nothing of it");
    assert!(
        seen(&|left| left.len() == 2_700 && left[700..] == [2; 2_000]),
        "all of it"
    );
    assert!(
        seen(&|left| left.len() > 700 && left.len() < 2_700),
        "a part of its length"
    );
    assert!(
        seen(&|left| left.len() == 2_700 && left[700..] == [0; 2_000]),
        "length ahead of data"
    );
    assert!(
        seen(&|left| left.len() == 2_700
            && left[1_024..1_536] == [0; 512]
            && left[1_536..2_048] == [2; 512]),
        "a hole before what came later"
    );
    // A sector is not torn within itself.
    for left in kept.iter().flatten().filter(|left| left.len() == 2_700) {
        for sector in left.chunks(512).skip(2) {
            assert!(sector.iter().all(|byte| byte == &sector[0]));
        }
    }
    file.sync_data().unwrap();
    let kept = after_cuts(&disk, "/a");
    assert!(
        kept.iter()
            .flatten()
            .all(|left| left.len() == 2_700 && left[700..] == [2; 2_000])
    );
}

#[test]
fn a_cut_file_that_was_not_synced_can_be_long_again() {
    let disk = ModelDisk::new();
    disk.put(Path::new("/a"), &[1; 5_000]);
    let file = disk.open(Path::new("/a"), Open::Write).unwrap();
    file.truncate(100).unwrap();
    let kept = after_cuts(&disk, "/a");
    assert!(kept.iter().flatten().any(|left| left[..] == [1; 5_000]));
    assert!(kept.iter().flatten().any(|left| left[..] == [1; 100]));
    file.sync_data().unwrap();
    assert!(
        after_cuts(&disk, "/a")
            .iter()
            .flatten()
            .all(|left| left[..] == [1; 100])
    );
}

#[test]
fn a_renamed_file_is_under_one_of_its_names_or_both_and_what_it_replaces_is_never_missed() {
    let disk = ModelDisk::new();
    for folder in ["/from", "/to"] {
        disk.make_folder(Path::new(folder)).unwrap();
    }
    disk.put(Path::new("/from/a"), b"new");
    disk.put(Path::new("/to/a"), b"old");
    disk.rename(Path::new("/from/a"), Path::new("/to/a"))
        .unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..CUTS {
        let left = disk.power_cut(seed);
        let source = left.content(Path::new("/from/a")).is_some();
        let target = left.content(Path::new("/to/a")).unwrap();
        assert!(source || target == b"new", "seed {seed}: it is gone");
        seen.insert((source, target));
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    // Where the old name's end is durable the new name is, too.
    disk.sync_folder(Path::new("/from")).unwrap();
    assert!(
        after_cuts(&disk, "/to/a")
            .iter()
            .flatten()
            .all(|left| left == b"new")
    );
}

#[test]
fn a_published_file_is_the_old_one_or_the_new_one_wherever_the_power_goes() {
    let mut operations = 0;
    for cut_at in 0.. {
        let disk = ModelDisk::new();
        disk.put(Path::new("/card.json"), &[1; 2_000]);
        disk.cut_power_after(cut_at);
        let published = publish(&disk, Path::new("/"), "card.json", &[2; 3_000]);
        for left in after_cuts(&disk, "/card.json") {
            let left = left.expect("it is never missing");
            assert!(left == [2; 3_000] || (published.is_err() && left == [1; 2_000]));
        }
        if published.is_ok() {
            operations = cut_at;
            break;
        }
    }
    assert!(operations >= 5, "{operations} operations were cut");
}

#[test]
fn two_folders_forget_their_names_apart() {
    let disk = ModelDisk::new();
    for folder in ["/one", "/two"] {
        disk.make_folder(Path::new(folder)).unwrap();
    }
    disk.sync_folder(Path::new("/")).unwrap();
    for path in ["/one/a", "/two/b"] {
        new_file(&disk, path);
    }
    let seen: std::collections::BTreeSet<_> =
        (0..CUTS).map(|seed| disk.power_cut(seed).files()).collect();
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn what_a_failed_sync_left_in_memory_stays_in_doubt_until_it_is_written_again() {
    let disk = ModelDisk::new();
    disk.put(Path::new("/a"), b"old");
    let file = disk.open(Path::new("/a"), Open::Write).unwrap();
    file.write_at(b"new", 0).unwrap();
    let fault = Fault {
        errno: EIO,
        left: Left::Nothing,
    };
    disk.fail_at(disk.operations(), fault);
    assert!(file.sync_data().is_err());
    disk.heal();
    assert_eq!(disk.content(Path::new("/a")).unwrap(), b"new");
    // The page counts as clean now: the next sync has nothing to write and succeeds.
    file.sync_data().unwrap();
    let kept = after_cuts(&disk, "/a");
    assert!(kept.iter().flatten().any(|left| left == b"old"));
    file.write_at(b"new", 0).unwrap();
    file.sync_data().unwrap();
    assert!(
        after_cuts(&disk, "/a")
            .iter()
            .flatten()
            .all(|left| left == b"new")
    );
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = ModelDisk::new();
    disk.set_capacity(16_384);
    disk.set_used_by_others(8_192);
    let file = new_file(&disk, "/a");
    file.write_at(&[1; 5_000], 0).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 0);
    let error = file.write_at(&[2; 5_000], 5_000).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 8_192);
    disk.set_used_by_others(0);
    file.write_at(&[2; 5_000], 5_000).unwrap();
    disk.unlink(Path::new("/a")).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 16_384);
}

#[test]
fn the_same_seed_leaves_the_same_disk_and_the_cut_one_goes_on_unharmed() {
    let disk = ModelDisk::new();
    let file = new_file(&disk, "/a");
    file.write_at(&[3; 9_000], 0).unwrap();
    for seed in 0..20 {
        let [one, two] = [disk.power_cut(seed), disk.power_cut(seed)];
        assert_eq!(one.content(Path::new("/a")), two.content(Path::new("/a")));
    }
    assert_eq!(disk.content(Path::new("/a")).unwrap(), [3; 9_000]);
    assert!(disk.lock(Path::new("/lock")).unwrap().is_some_and(|_held| {
        disk.lock(Path::new("/lock")).unwrap().is_none()
            && disk
                .power_cut(1)
                .lock(Path::new("/lock"))
                .unwrap()
                .is_some()
    }));
}

#[test]
fn folders_that_a_killed_first_start_made_do_not_vanish_with_the_clips_in_them() {
    for killed_at in 0..12 {
        let disk = ModelDisk::new();
        let root = Path::new("/new/place/spool");
        disk.cut_power_after(killed_at);
        drop(spool_on(&disk, root));
        // Killed, not cut: the names are there, but nobody has synced them.
        let disk = disk.snapshot();
        let spool = spool_on(&disk, root).unwrap();
        let clip = rig::record(&spool, 2);
        for seed in 0..40 {
            let left = spool_on(&disk.power_cut(seed), root).unwrap();
            assert_eq!(
                left.clips(),
                std::slice::from_ref(&clip),
                "killed at {killed_at}"
            );
        }
    }
}

/// The sync of the last write fails while it is in memory, the process is killed, and the next one on the same boot
/// believes what it reads. Then the power goes.
fn a_failed_sync_and_a_kill_and_a_power_cut(
    last: impl FnOnce(booth_spool::ClipWriter) -> Result<(), SpoolError>,
) {
    let disk = ModelDisk::new();
    let root = Path::new("/spool");
    let spool = spool_on(&disk, root).unwrap();
    let mut writer = spool.begin(rig::new_clip()).unwrap();
    for frame in &rig::long_speech()[..3] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    disk.set_faults(|operation| {
        (operation.verb == Verb::Sync).then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    assert!(last(writer).is_err());
    let disk = disk.snapshot();
    let spool = spool_on(&disk, root).unwrap();
    let clips = spool.clips();
    let [clip] = clips.as_slice() else {
        panic!("{clips:?}")
    };
    assert_eq!(clip.duration_ms, 2_000);
    let said = rig::body(&spool, clip);
    for seed in 0..CUTS {
        let left = spool_on(&disk.power_cut(seed), root).unwrap();
        assert_eq!(left.clips(), clips, "seed {seed}");
        assert_eq!(rig::body(&left, clip), said, "seed {seed}");
    }
}

#[test]
fn a_take_that_was_recovered_after_a_failed_sync_is_not_shortened_by_a_power_cut() {
    a_failed_sync_and_a_kill_and_a_power_cut(|mut writer| {
        let frame = &rig::long_speech()[3];
        let appended = writer.append(&frame.pages, frame.facts);
        std::mem::forget(writer);
        appended
    });
}

#[test]
fn a_clip_that_was_found_finished_after_a_failed_sync_is_not_shortened_by_a_power_cut() {
    a_failed_sync_and_a_kill_and_a_power_cut(|writer| {
        let frame = &rig::long_speech()[3];
        let ended = EndedBy::HangUp;
        writer.finish(&frame.pages, frame.facts, ended).map(|_| ())
    });
}

fn spool_on(disk: &ModelDisk, root: &Path) -> Result<Spool, SpoolError> {
    let facts = OpenFacts {
        ledger: false,
        ..rig::facts("boot-1")
    };
    Spool::open(std::sync::Arc::new(disk.clone()), root, facts).map(|(spool, _)| spool)
}

/// Lives from many seeds; the first broken promise ends the test, and names its seed.
fn lives(seeds: std::ops::Range<u64>, one: impl Fn(u64) -> Result<Outcome, String>) -> Outcome {
    let mut all = Outcome::default();
    for seed in seeds {
        match one(seed) {
            Ok(outcome) => all.add(outcome),
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{all:?}");
    all
}

#[test]
fn a_power_cut_anywhere_breaks_no_promise() {
    let all = lives(1..101, one);
    // The lives were lived, and were cut everywhere.
    assert!(all.cuts > 1_500 && all.cuts_of_recovery > 100 && all.kills > 300);
    assert!(all.frames > 1_000 && all.finished > 300 && all.recovered > 500);
    assert!(all.sealed > 300 && all.votes > 10 && all.withdrawals > 10);
    assert!(all.discarded > 10 && all.released > 20);
    assert!(all.quarantined > 10 && all.returned > 5);
}

#[test]
fn a_power_cut_on_a_failing_disk_breaks_no_promise() {
    let all = lives(1..301, one_with_faults);
    assert!(all.faults > 100 && all.cuts > 1_500);
}

#[test]
fn a_power_cut_with_the_real_ledger_breaks_no_promise() {
    let folder = tempfile::tempdir().unwrap();
    let all = lives(1..21, |seed| one_with_ledger(seed, folder.path()));
    assert!(all.cuts > 100);
}

#[test]
fn without_the_sync_after_the_ledgers_flush_counters_are_lost_and_this_test_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let broken = (1..61).find_map(|seed| {
        let broken = one_without_ledger_sync(seed, folder.path()).err()?;
        broken.contains("the counters are").then_some(broken)
    });
    println!("{}", broken.expect("counters are lost"));
}
