//! A card that refuses: full, read-only, failing in one file, failing at any operation.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use booth_contract::time::Mono;
use booth_contract::{EndedBy, Publish};
use booth_gateway::run::{Keeper, KeeperCommand, KeeperEvent};
use booth_spool::disk::{Disk, DiskFile, DiskStats, Listed, Open};
use booth_spool::real_disk::RealDisk;
use booth_spool::{ClipWriter, KeptClip, OpenFacts, OpenReport, Refusal, Spool, SpoolError};
use booth_testkit::spool_rig::*;
use gateway_core::health::SpoolFault;
use gateway_core::quarantine::Note;

/// What happens to an operation that fails.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Left {
    /// Nothing of it is done.
    Nothing,
    /// Half of a write is done.
    Half,
    /// All of it is done, and failure is reported all the same.
    All,
}

type Fault = dyn FnMut(&str, &Path) -> Option<(io::ErrorKind, Left)> + Send;

/// The real disk with faults, and without the time that real syncs take.
#[derive(Clone)]
struct Faulty {
    real: RealDisk,
    fault: Arc<Mutex<Box<Fault>>>,
}

impl Faulty {
    fn new() -> Self {
        Self {
            real: RealDisk::new(),
            fault: Arc::new(Mutex::new(Box::new(|_, _| None))),
        }
    }

    fn set(
        &self,
        fault: impl FnMut(&str, &Path) -> Option<(io::ErrorKind, Left)> + Send + 'static,
    ) {
        *self.fault.lock().unwrap() = Box::new(fault);
    }

    fn heal(&self) {
        self.set(|_, _| None);
    }

    /// Every change of the disk fails in this way.
    fn refuse(&self, kind: io::ErrorKind) {
        self.set(move |_, _| Some((kind, Left::Nothing)));
    }

    fn change<T>(
        &self,
        verb: &str,
        path: &Path,
        work: impl FnOnce(Left) -> io::Result<T>,
    ) -> io::Result<T> {
        let fault = (self.fault.lock().unwrap())(verb, path);
        match fault {
            None => work(Left::All),
            Some((kind, left)) => {
                if left != Left::Nothing {
                    work(left)?;
                }
                Err(io::Error::new(kind, "fault"))
            }
        }
    }
}

struct FaultyFile {
    real: Box<dyn DiskFile>,
    disk: Faulty,
    path: std::path::PathBuf,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.real.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.change("write", &self.path, |left| match left {
            Left::Half => self.real.write_at(&bytes[..bytes.len() / 2], offset),
            _ => self.real.write_at(bytes, offset),
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.real.len()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.disk
            .change("truncate", &self.path, |_| self.real.truncate(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.change("sync", &self.path, |_| Ok(()))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.disk.change("sync", &self.path, |_| Ok(()))
    }
}

impl Disk for Faulty {
    fn make_folder(&self, folder: &Path) -> io::Result<bool> {
        if folder.is_dir() {
            return Ok(false);
        }
        self.change("make", folder, |_| self.real.make_folder(folder))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        self.real.list(folder)
    }

    fn open(&self, file: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let work = || {
            Ok(Box::new(FaultyFile {
                real: self.real.open(file, how)?,
                disk: self.clone(),
                path: file.to_path_buf(),
            }) as Box<dyn DiskFile>)
        };
        match how {
            Open::New => self.change("create", file, |_| work()),
            _ => work(),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change("rename", to, |_| self.real.rename(from, to))
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        if !file.exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change("unlink", file, |_| self.real.unlink(file))
    }

    fn remove_tree(&self, folder: &Path) -> io::Result<()> {
        self.change("remove", folder, |_| self.real.remove_tree(folder))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.change("sync", folder, |_| Ok(()))
    }

    fn sync_everything(&self, folder: &Path) -> io::Result<()> {
        self.change("sync", folder, |_| Ok(()))
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        self.real.free_bytes(folder)
    }

    fn lock(&self, file: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.real.lock(file)
    }

    fn stats(&self) -> DiskStats {
        self.real.stats()
    }
}

fn quick(disk: &Faulty, dir: &Path) -> Result<(Spool, OpenReport), SpoolError> {
    Spool::open(
        Arc::new(disk.clone()),
        dir,
        OpenFacts {
            ledger: false,
            ..facts("boot-1")
        },
    )
}

fn begun(spool: &Spool, frames: usize) -> ClipWriter {
    let mut writer = spool.begin(new_clip()).unwrap();
    for frame in &long_speech()[..frames] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    writer
}

fn hang_up(writer: ClipWriter, frames: usize) -> Result<KeptClip, SpoolError> {
    let last = &long_speech()[frames];
    writer.finish(&last.pages, last.facts, EndedBy::HangUp)
}

fn spoken(frames: usize) -> Vec<u8> {
    long_speech()[..frames]
        .iter()
        .flat_map(|frame| frame.pages.clone())
        .collect()
}

#[test]
fn a_clip_that_the_full_card_refused_is_finished_when_room_returns_and_no_number_is_skipped() {
    for left in [Left::Nothing, Left::Half, Left::All] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Faulty::new();
        let (spool, _) = quick(&disk, dir.path()).unwrap();
        let (first, second) = (begun(&spool, 3), begun(&spool, 2));
        disk.set(move |_, _| Some((io::ErrorKind::StorageFull, left)));
        assert!(matches!(
            hang_up(first, 3),
            Err(SpoolError::NotDurable { .. })
        ));
        assert!(matches!(
            hang_up(second, 2),
            Err(SpoolError::NotDurable { .. })
        ));
        assert_eq!(spool.room().reason, Some(Refusal::Unwritable));
        assert!(matches!(
            spool.begin(new_clip()),
            Err(SpoolError::Refused(Refusal::Unwritable))
        ));
        let still = spool.mend();
        assert!(
            still.kept.is_empty() && still.trouble.is_some(),
            "{still:?}"
        );
        disk.heal();
        let mended = spool.mend();
        assert_eq!(mended.trouble, None);
        let kept: Vec<_> = mended
            .kept
            .iter()
            .map(|clip| (clip.clip_no, clip.duration_ms, clip.ended_by))
            .collect();
        assert_eq!(
            kept,
            [(1, 2_000, EndedBy::HangUp), (2, 1_500, EndedBy::HangUp)]
        );
        assert!(body(&spool, &mended.kept[0]).starts_with(&spoken(4)));
        assert!(spool.room().accepts);
        assert_eq!(hang_up(begun(&spool, 1), 1).unwrap().clip_no, 3);
        let before = spool.clips();
        drop(spool);
        assert_eq!(quick(&disk, dir.path()).unwrap().0.clips(), before);
    }
}

#[test]
fn a_number_in_doubt_is_neither_skipped_nor_used_twice_when_the_process_ends() {
    for (left, recovered) in [
        (Left::Nothing, true),
        (Left::Half, true),
        (Left::All, false),
    ] {
        for verb in ["write", "sync"] {
            let dir = tempfile::tempdir().unwrap();
            let disk = Faulty::new();
            let (spool, _) = quick(&disk, dir.path()).unwrap();
            let mut writer = begun(&spool, 3);
            let last = &long_speech()[3];
            writer
                .hold(&last.pages, last.facts, EndedBy::HangUp)
                .unwrap();
            disk.set(move |asked, path| {
                let fails =
                    asked == verb && path.extension().is_some_and(|suffix| suffix == "clip");
                fails.then_some((io::ErrorKind::Other, left))
            });
            assert!(writer.close(Publish::No).is_err());
            drop(spool);
            disk.heal();
            let (spool, report) = quick(&disk, dir.path()).unwrap();
            let clips = spool.clips();
            assert_eq!(clips.len(), 1, "{report:?}");
            assert_eq!(clips[0].clip_no, 1);
            // A failed sync leaves the written bytes where this test can read them.
            assert_eq!(clips[0].recovered, recovered && verb == "write");
            assert!(body(&spool, &clips[0]).starts_with(&spoken(3)));
            assert_eq!(hang_up(begun(&spool, 1), 1).unwrap().clip_no, 2);
        }
    }
}

#[test]
fn a_number_in_doubt_is_not_given_to_the_next_clip() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let (first, second) = (begun(&spool, 3), begun(&spool, 2));
    let bad = clip_file(dir.path(), first.clip_id());
    disk.set(move |verb, path| {
        (path == bad && verb == "sync").then_some((io::ErrorKind::Other, Left::All))
    });
    assert!(hang_up(first, 3).is_err());
    assert!(matches!(
        hang_up(second, 2),
        Err(SpoolError::NotDurable { .. })
    ));
    drop(spool);
    disk.heal();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let clips = spool.clips();
    let found: Vec<_> = clips
        .iter()
        .map(|clip| (clip.clip_no, clip.duration_ms))
        .collect();
    // The words of the second one had ended durably; only its number had to wait.
    assert_eq!(found, [(1, 2_000), (2, 1_500)]);
}

#[test]
fn one_file_that_always_fails_does_not_hold_up_the_booth_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let writer = begun(&spool, 3);
    let bad = clip_file(dir.path(), writer.clip_id());
    let bad_file = bad.clone();
    disk.set(move |verb, path| {
        (path == bad_file && ["write", "sync", "truncate"].contains(&verb))
            .then_some((io::ErrorKind::Other, Left::All))
    });
    assert!(hang_up(writer, 3).is_err());
    let set_aside = (0..10).find_map(|_| spool.mend().set_aside.pop());
    let (name, _) = set_aside.expect("it is given up in the end");
    assert!(dir.path().join("aside").join(name).exists() && !bad.exists());
    assert!(spool.mend().trouble.is_none());
    // Its number was never shown to anyone.
    assert_eq!(hang_up(begun(&spool, 1), 1).unwrap().clip_no, 1);
}

#[test]
fn frames_before_a_refused_one_are_kept() {
    for left in [Left::Nothing, Left::Half, Left::All] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Faulty::new();
        let (spool, _) = quick(&disk, dir.path()).unwrap();
        let mut writer = begun(&spool, 4);
        disk.set(move |_, _| Some((io::ErrorKind::Other, left)));
        let next = &long_speech()[4];
        assert!(writer.append(&next.pages, next.facts).is_err());
        assert!(writer.append(&next.pages, next.facts).is_err());
        disk.heal();
        // Nothing is appended after a hole, not even when the card works again.
        assert!(writer.append(&next.pages, next.facts).is_err());
        assert!(hang_up(writer, 5).is_err());
        let mended = spool.mend();
        let [clip] = mended.kept.as_slice() else {
            panic!("{mended:?}")
        };
        assert_eq!(
            (clip.clip_no, clip.duration_ms, clip.recovered),
            (1, 2_000, true)
        );
        assert!(body(&spool, clip).starts_with(&spoken(4)));
    }
}

#[test]
fn nothing_is_deleted_before_the_floor_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let clip = record(&spool, 2);
    disk.set(|_, path| {
        path.to_string_lossy()
            .contains("card.json")
            .then_some((io::ErrorKind::StorageFull, Left::Nothing))
    });
    let error = spool.release(receipt(&clip)).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(spool.clips(), std::slice::from_ref(&clip));
    assert!(clip_file(dir.path(), &clip.clip_id).exists());
    disk.heal();
    spool.release(receipt(&clip)).unwrap();
    drop(spool);
    assert_eq!(record(&quick(&disk, dir.path()).unwrap().0, 2).clip_no, 2);
}

#[test]
fn a_deleted_take_that_cannot_be_unlinked_stays_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let writer = begun(&spool, 3);
    let path = clip_file(dir.path(), writer.clip_id());
    disk.set(|verb, _| (verb == "unlink").then_some((io::ErrorKind::Other, Left::Nothing)));
    writer.discard().unwrap();
    assert!(path.exists());
    // Others go on meanwhile.
    assert_eq!(record(&spool, 2).clip_no, 1);
    drop(spool);
    disk.heal();
    let (spool, report) = quick(&disk, dir.path()).unwrap();
    assert_eq!((report.removed_discarded, report.recovered.len()), (1, 0));
    assert!(!path.exists());
    assert_eq!(spool.clips().len(), 1);
}

#[test]
fn a_read_only_card_is_one_clear_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    disk.refuse(io::ErrorKind::ReadOnlyFilesystem);
    let error = quick(&disk, &dir.path().join("spool")).err().unwrap();
    assert!(matches!(error, SpoolError::ReadOnly { .. }));
    assert!(
        error.to_string().contains("read-only file system"),
        "{error}"
    );
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn a_full_card_opens_hands_out_what_it_has_and_recovers_when_room_returns() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let kept = record(&spool, 3);
    let cut = begun(&spool, 4);
    let file = clip_file(dir.path(), cut.clip_id());
    let content = std::fs::read(&file).unwrap();
    drop(cut);
    drop(spool);
    std::fs::write(&file, content).unwrap();
    disk.refuse(io::ErrorKind::StorageFull);
    let (spool, report) = quick(&disk, dir.path()).unwrap();
    assert!(report.card_unsaved.is_some());
    assert_eq!(report.left_unsettled, 1);
    assert_eq!(spool.clips(), std::slice::from_ref(&kept));
    assert_eq!(body(&spool, &kept).len() as u64, kept.bytes);
    assert_eq!(spool.room().reason, Some(Refusal::Unwritable));
    disk.heal();
    let mended = spool.mend();
    let [late] = mended.kept.as_slice() else {
        panic!("{mended:?}")
    };
    assert_eq!(
        (late.clip_no, late.recovered, late.duration_ms),
        (2, true, 2_000)
    );
    assert!(spool.room().accepts);
}

/// What must hold whatever fails.
#[derive(Default)]
struct Promises {
    /// Frames acknowledged, by clip.
    frames: HashMap<String, u64>,
    /// Numbers seen, with their clip and hash.
    numbers: BTreeMap<u64, (String, String)>,
    gone: BTreeSet<String>,
}

impl Promises {
    fn see(&mut self, clip: &KeptClip, seed: u64) {
        let seen = (clip.clip_id.to_string(), clip.sha256.to_string());
        let other = self.numbers.insert(clip.clip_no, seen.clone());
        assert!(
            other.is_none_or(|other| other == seen),
            "seed {seed}: number {} changed hands",
            clip.clip_no
        );
    }

    fn check(&mut self, spool: &Spool, seed: u64) {
        let clips = spool.clips();
        for clip in &clips {
            self.see(clip, seed);
            assert_eq!(body(spool, clip).len() as u64, clip.bytes, "seed {seed}");
        }
        let by_id: HashMap<_, _> = clips
            .iter()
            .map(|clip| (clip.clip_id.as_str(), clip))
            .collect();
        for (id, frames) in &self.frames {
            match by_id.get(id.as_str()) {
                Some(clip) => assert!(
                    clip.duration_ms >= 500 * frames,
                    "seed {seed}: {id} lost words"
                ),
                None => assert!(self.gone.contains(id), "seed {seed}: {id} is gone"),
            }
        }
        let last = spool.last_clip_no();
        assert!(
            self.numbers.keys().copied().eq(1..=last),
            "seed {seed}: {:?} of {last}",
            self.numbers.keys()
        );
    }
}

#[test]
fn whatever_fails_no_acknowledged_frame_is_lost_and_numbers_have_no_gap() {
    for seed in 1..=150u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let dir = tempfile::tempdir().unwrap();
        let disk = Faulty::new();
        let mut spool = quick(&disk, dir.path()).unwrap().0;
        let mut promises = Promises::default();
        for _ in 0..4 {
            // From here on one operation in so many fails, until the process ends.
            let one_in = 2 + dice.below(30);
            let mut chance = Dice(dice.below(u64::MAX) | 1);
            disk.set(move |_, _| {
                (chance.below(one_in) == 0).then(|| {
                    let kinds = [io::ErrorKind::StorageFull, io::ErrorKind::Other];
                    let lefts = [Left::Nothing, Left::Half, Left::All];
                    (
                        kinds[chance.below(2) as usize],
                        lefts[chance.below(3) as usize],
                    )
                })
            });
            for _ in 0..6 {
                spool.mend();
                let Ok(mut writer) = spool.begin(new_clip()) else {
                    continue;
                };
                let id = writer.clip_id().to_owned();
                let frames = 1 + dice.below(3);
                for (at, frame) in long_speech()[..frames as usize].iter().enumerate() {
                    if writer.append(&frame.pages, frame.facts).is_err() {
                        break;
                    }
                    promises.frames.insert(id.clone(), at as u64 + 1);
                }
                match dice.below(6) {
                    0 => {
                        promises.gone.insert(id);
                        let _ = writer.discard();
                    }
                    1 => drop(writer),
                    _ => {
                        if let Ok(clip) = hang_up(writer, frames as usize) {
                            assert!(clip.duration_ms == 500 * (frames + 1), "seed {seed}");
                            promises.frames.insert(id, frames + 1);
                            promises.see(&clip, seed);
                        }
                    }
                }
                for clip in spool.mend().kept {
                    promises.see(&clip, seed);
                }
                if dice.below(3) == 0
                    && let Some(clip) = spool.clips().first()
                {
                    promises.see(clip, seed);
                    promises.gone.insert(clip.clip_id.to_string());
                    let _ = spool.release(receipt(clip));
                }
            }
            // Takes that a failing file sent aside are not lost, but not here any more either.
            drop(spool);
            disk.heal();
            for entry in std::fs::read_dir(dir.path().join("aside")).unwrap() {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                if let Some((id, _)) = name.split_once(".clip-") {
                    promises.gone.insert(id.to_owned());
                }
            }
            let (reopened, report) = quick(&disk, dir.path()).unwrap();
            assert_eq!(report.left_unsettled, 0, "seed {seed}");
            assert_eq!(report.set_aside, [], "seed {seed}");
            spool = reopened;
            promises.check(&spool, seed);
        }
    }
}

/// What the keeper says to one command, and at the look after it.
fn keep_at(keeper: &mut Keeper, now: Mono, command: Option<KeeperCommand>) -> Vec<KeeperEvent> {
    let told = std::cell::RefCell::new(Vec::new());
    let report = |event| told.borrow_mut().push(event);
    keeper.work(now, command.into_iter(), report);
    keeper.look(now, report);
    told.into_inner()
}

/// The same, long after whatever was done before.
fn keep(keeper: &mut Keeper, command: Option<KeeperCommand>) -> Vec<KeeperEvent> {
    static HOURS: AtomicU64 = AtomicU64::new(1);
    let now = Mono(HOURS.fetch_add(1, Relaxed) * 3_600_000);
    keep_at(keeper, now, command)
}

#[test]
fn a_confirmed_clip_that_the_card_did_not_let_go_goes_when_it_can_without_a_restart() {
    for verb in ["unlink", "create"] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Faulty::new();
        let (spool, _) = quick(&disk, dir.path()).unwrap();
        let clip = record(&spool, 2);
        let mut keeper = Keeper::new(Some(spool.clone()));
        disk.set(move |asked, _| (asked == verb).then_some((io::ErrorKind::Other, Left::Nothing)));
        keep(&mut keeper, Some(KeeperCommand::Release(receipt(&clip))));
        assert_eq!(spool.clips().len(), 1, "{verb}");
        disk.heal();
        keep(&mut keeper, None);
        assert_eq!(spool.clips(), [], "{verb}");
        assert!(!clip_file(dir.path(), &clip.clip_id).exists());
    }
}

#[test]
fn a_refused_clip_that_the_card_did_not_move_is_set_aside_when_it_can_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let clip = record(&spool, 2);
    let mut keeper = Keeper::new(Some(spool.clone()));
    disk.set(|asked, _| (asked == "rename").then_some((io::ErrorKind::Other, Left::Nothing)));
    let command = KeeperCommand::Quarantine {
        clip_id: clip.clip_id.clone(),
        note: Note::refused("rejected", None),
    };
    keep(&mut keeper, Some(command));
    assert_eq!(spool.quarantined(), 0);
    disk.heal();
    keep(&mut keeper, None);
    let note = Note::refused("rejected", None);
    assert_eq!(spool.quarantined_clips(), [(clip, note)]);
}

#[test]
fn a_file_system_that_the_kernel_made_read_only_takes_no_recording_and_is_told_before_a_citizen_finds_out()
 {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = quick(&Faulty::new(), dir.path()).unwrap();
    let read_only = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = read_only.clone();
    let mut keeper =
        Keeper::new(Some(spool)).watching(move || asked.load(std::sync::atomic::Ordering::Relaxed));
    let mut rooms = |is_read_only| {
        read_only.store(is_read_only, std::sync::atomic::Ordering::Relaxed);
        let told = keep(&mut keeper, None).into_iter();
        let rooms = told.filter_map(|event| match event {
            KeeperEvent::Room(room) => Some(room),
            _ => None,
        });
        rooms.collect::<Vec<_>>()
    };
    assert_eq!(rooms(false), [Ok(())]);
    let told = rooms(true);
    assert!(
        matches!(&told[..], [Err(SpoolFault::Unwritable(why))] if why.contains("read-only")),
        "{told:?}"
    );
    assert_eq!(rooms(true), []);
    assert_eq!(rooms(false), [Ok(())]);
}

#[test]
fn after_a_failed_recording_the_keeper_says_again_that_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let mut keeper = Keeper::new(Some(spool.clone()));
    let room = |told: Vec<KeeperEvent>| -> Vec<Result<(), SpoolFault>> {
        let rooms = told.into_iter().filter_map(|event| match event {
            KeeperEvent::Room(room) => Some(room),
            _ => None,
        });
        rooms.collect()
    };
    assert_eq!(room(keep(&mut keeper, None)), [Ok(())]);
    assert_eq!(room(keep(&mut keeper, None)), []);
    // One failure between two looks: nobody but the recorder has seen it.
    disk.refuse(io::ErrorKind::Other);
    assert!(spool.begin(new_clip()).is_err());
    disk.heal();
    let told = keep(&mut keeper, Some(KeeperCommand::Look));
    assert_eq!(room(told), [Ok(())]);
}

#[test]
fn a_clip_file_whose_making_failed_leaves_no_name_behind() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    disk.set(|asked, _| (asked == "create").then_some((io::ErrorKind::Other, Left::All)));
    assert!(spool.begin(new_clip()).is_err());
    disk.heal();
    assert_eq!(spool.mend().trouble, None);
    assert_eq!(
        std::fs::read_dir(dir.path().join("clips")).unwrap().count(),
        0
    );
}

#[test]
fn an_hour_of_a_card_that_refuses_everything_does_not_count_against_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Faulty::new();
    let (spool, _) = quick(&disk, dir.path()).unwrap();
    let writer = begun(&spool, 3);
    disk.refuse(io::ErrorKind::ReadOnlyFilesystem);
    assert!(hang_up(writer, 3).is_err());
    for _ in 0..50 {
        spool.mend();
    }
    // The card is back, and once more one write of the clip fails.
    let mut left = 1;
    disk.set(move |asked, path| {
        let fails = asked == "write" && path.extension().is_some_and(|suffix| suffix == "clip");
        let fails = fails && left > 0;
        left -= i32::from(fails);
        fails.then_some((io::ErrorKind::Other, Left::Nothing))
    });
    assert!(spool.mend().set_aside.is_empty());
    let mended = spool.mend();
    assert!(mended.set_aside.is_empty(), "{mended:?}");
    assert_eq!(mended.kept.len(), 1);
    assert_eq!(mended.kept[0].duration_ms, 2_000);
}
