//! Messages of another card: all of each or nothing, never twice, never at the cost of what is spoken here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_contract::{BootId, EndedBy, Manifest};
use booth_spool::inspect::{self, SpoolFile};
use booth_spool::{KeptClip, OpenFacts, OpenReport, Refusal, Spool, SpoolError, TakenOver};
use booth_testkit::model_disk::{EIO, ENOSPC, Fault, Left, ModelDisk};
use booth_testkit::spool_rig::{body, facts, long_speech, new_clip, receipt, record};
use gateway_core::quarantine::Note;
use uuid::Uuid;

fn open_with(disk: &ModelDisk, of: OpenFacts) -> (Spool, OpenReport) {
    Spool::open(Arc::new(disk.clone()), Path::new("/spool"), of).unwrap()
}

fn open(disk: &ModelDisk) -> (Spool, OpenReport) {
    let of = OpenFacts {
        ledger: false,
        ..facts("boot-1")
    };
    open_with(disk, of)
}

/// A card of another booth, as it was pulled out.
struct Pulled {
    /// Its finished clips, each with its manifest and body.
    clips: Vec<(KeptClip, Vec<u8>, Vec<u8>)>,
    /// A take of two frames that a power cut ended.
    cut_off: Uuid,
    /// Every clip's file.
    files: Vec<(Uuid, Vec<u8>)>,
}

impl Pulled {
    fn new() -> Self {
        let disk = ModelDisk::new();
        let of = OpenFacts {
            ledger: false,
            fresh_card_id: "0a0a0a0a-0000-4000-8000-000000000001".into(),
            ..facts("boot-of-the-other")
        };
        let (spool, _) = open_with(&disk, of);
        let mut clips = vec![
            record(&spool, 1),
            record(&spool, 3),
            spool.cast(new_clip(), 4).unwrap(),
        ];
        let refused = record(&spool, 2);
        spool
            .quarantine(&refused.clip_id, &Note::refused("no", None))
            .unwrap();
        let withdrawn = spool.begin(new_clip()).unwrap();
        withdrawn.discard().unwrap();
        let mut writer = spool.begin(new_clip()).unwrap();
        for frame in &long_speech()[..2] {
            writer.append(&frame.pages, frame.facts).unwrap();
        }
        let cut_off = writer.clip_id().parse().unwrap();
        let left = disk.snapshot();
        clips.push(refused);
        let clips = clips.into_iter().map(|clip| {
            let manifest = manifest(&spool, &clip);
            let body = body(&spool, &clip);
            (clip, manifest, body)
        });
        let clips = clips.collect();
        let files = files_of(&left);
        Self {
            clips,
            cut_off,
            files,
        }
    }

    fn file(&self, id: Uuid) -> &[u8] {
        let found = self.files.iter().find(|(of, _)| *of == id);
        &found.unwrap_or_else(|| panic!("{id}")).1
    }

    fn take_all(&self, spool: &Spool) -> Vec<TakenOver> {
        let taken = self.files.iter();
        taken
            .map(|(id, bytes)| spool.take_over(*id, bytes).unwrap())
            .collect()
    }
}

fn manifest(spool: &Spool, clip: &KeptClip) -> Vec<u8> {
    spool.manifest(&clip.clip_id).unwrap()
}

/// The clips' files on a card.
fn files_of(disk: &ModelDisk) -> Vec<(Uuid, Vec<u8>)> {
    let files = disk.files().into_iter();
    let clip = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let id = name.strip_suffix(".clip")?.parse().ok()?;
        Some((id, disk.content(&path)?))
    };
    files.filter_map(clip).collect()
}

/// Every clip of the other card is here as it was there, and the cut-off take as far as it went.
fn assert_all_here(spool: &Spool, pulled: &Pulled, what: &str) {
    let here = spool.clips();
    for (clip, manifest_there, body_there) in &pulled.clips {
        assert!(here.contains(clip), "{what}: {clip:?}");
        assert_eq!(&manifest(spool, clip), manifest_there, "{what}");
        assert_eq!(&body(spool, clip), body_there, "{what}");
    }
    let cut_off = here
        .iter()
        .find(|clip| clip.clip_id == pulled.cut_off.to_string());
    let cut_off = cut_off.unwrap_or_else(|| panic!("{what}: {here:?}"));
    assert_eq!(cut_off.duration_ms, 1_000, "{what}");
    assert_eq!(cut_off.card_id, spool.card().card_id, "{what}");
}

#[test]
fn every_message_of_another_card_is_taken_over_byte_for_byte_and_leaves_like_any_clip() {
    let pulled = Pulled::new();
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let own = record(&spool, 2);
    let taken = pulled.take_all(&spool);
    let kept = taken
        .iter()
        .filter(|taken| matches!(taken, TakenOver::Kept(_)));
    assert_eq!(kept.count(), pulled.clips.len() + 1);
    assert!(spool.clips().contains(&own));
    assert_all_here(&spool, &pulled, "at once");
    // What the other card has numbered keeps its number; what is finished here gets the next one of this card.
    let cut_off = spool
        .clips()
        .into_iter()
        .find(|clip| clip.clip_id == pulled.cut_off.to_string())
        .unwrap();
    let said: Manifest = serde_json::from_slice(&manifest(&spool, &cut_off)).unwrap();
    assert_eq!((said.clip_no, said.recovered), (own.clip_no + 1, 1));
    assert_eq!(record(&spool, 1).clip_no, own.clip_no + 2);
    // A second time changes nothing.
    let again = pulled.take_all(&spool);
    let here = again
        .iter()
        .filter(|taken| matches!(taken, TakenOver::Here));
    assert_eq!(here.count(), pulled.clips.len() + 1);
    drop(spool);
    let (spool, report) = open(&disk);
    assert!(report.set_aside.is_empty() && report.damaged.is_empty());
    assert_all_here(&spool, &pulled, "after a start");
    let last_no = spool.last_clip_no();
    for clip in spool.clips() {
        spool.release(receipt(&clip)).unwrap();
    }
    assert!(files_of(&disk).is_empty());
    // Read once more after the hub has everything: what has its number from the other card is offered again, and the take that was finished here
    // takes no second number, which the hub would miss.
    drop(spool);
    let (spool, _) = open(&disk);
    let once_more = pulled.take_all(&spool);
    let count = |is: fn(&TakenOver) -> bool| once_more.iter().filter(|taken| is(taken)).count();
    assert_eq!(
        count(|taken| matches!(taken, TakenOver::Kept(_))),
        pulled.clips.len()
    );
    assert_eq!(count(|taken| *taken == TakenOver::Here), 1);
    assert_eq!(spool.last_clip_no(), last_no);
}

#[test]
fn a_card_with_a_ledger_has_what_was_taken_over_at_its_next_start() {
    let pulled = Pulled::new();
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = booth_testkit::spool_rig::open(folder.path());
    pulled.take_all(&spool);
    assert_all_here(&spool, &pulled, "at once");
    drop(spool);
    let (spool, report) = booth_testkit::spool_rig::open(folder.path());
    assert!(report.set_aside.is_empty() && report.missing.is_empty());
    assert_all_here(&spool, &pulled, "after a start");
}

#[test]
fn what_this_card_has_only_damaged_is_not_called_here() {
    let pulled = Pulled::new();
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    pulled.take_all(&spool);
    drop(spool);
    let (clip, ..) = &pulled.clips[1];
    let id: Uuid = clip.clip_id.parse().unwrap();
    let path = PathBuf::from(format!("/spool/clips/{id}.clip"));
    let mut hurt = disk.content(&path).unwrap();
    let middle = hurt.len() / 3;
    hurt[middle] ^= 0x40;
    disk.put(&path, &hurt);
    let (spool, report) = open(&disk);
    assert_eq!(report.damaged.len(), 1);
    let taken = spool.take_over(id, pulled.file(id)).unwrap();
    assert!(matches!(taken, TakenOver::Left(_)), "{taken:?}");
}

#[test]
fn the_clocks_of_the_other_cards_boots_are_learned_and_never_too_many() {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    spool.note_clock(7_000).unwrap();
    let of_a_boot = |number: i64| (BootId::from(format!("boot-{number:03}")), number);
    let mut many: BTreeMap<BootId, i64> = (0..500).map(of_a_boot).collect();
    many.insert("boot-1".into(), 9);
    many.insert("x".repeat(10_000).into(), 9);
    spool.learn_clocks(&many).unwrap();
    let clocks = spool.card().clocks;
    assert!(
        clocks.len() > 100 && clocks.len() <= 128,
        "{}",
        clocks.len()
    );
    assert_eq!(clocks.get("boot-1"), Some(&7_000), "its own stays");
    assert_eq!(clocks.get("boot-003"), Some(&3));
    drop(spool);
    let (spool, report) = open(&disk);
    assert!(report.card_unreadable.is_none());
    assert_eq!(spool.card().clocks, clocks);
}

#[test]
fn wherever_the_power_is_cut_each_message_is_here_whole_or_not_at_all_and_reading_the_card_again_completes_it()
 {
    let pulled = Pulled::new();
    let mut steps = 0;
    for step in 0.. {
        let disk = ModelDisk::new();
        let (spool, _) = open(&disk);
        let own = record(&spool, 2);
        disk.cut_power_after(step);
        let mut taken = Vec::new();
        for (id, bytes) in &pulled.files {
            if let Ok(TakenOver::Kept(clip)) = spool.take_over(*id, bytes)
                && !disk.is_off()
            {
                taken.push(*clip);
            }
        }
        drop(spool);
        for seed in 0..12 {
            let what = format!("step {step}, seed {seed}");
            let left = disk.power_cut(seed);
            let (spool, report) = open(&left);
            assert!(report.set_aside.is_empty(), "{what}: {report:?}");
            assert!(report.damaged.is_empty(), "{what}: {report:?}");
            let here = spool.clips();
            assert!(here.contains(&own), "{what}");
            assert!(taken.iter().all(|clip| here.contains(clip)), "{what}");
            for clip in here.iter().filter(|clip| **clip != own) {
                let there = pulled.clips.iter().find(|(there, ..)| there == clip);
                let is_whole = there.is_some_and(|(_, _, bytes)| *bytes == body(&spool, clip));
                let is_cut_off = clip.clip_id == pulled.cut_off.to_string();
                assert!(
                    is_whole || (is_cut_off && clip.duration_ms == 1_000),
                    "{what}: {clip:?}"
                );
            }
            pulled.take_all(&spool);
            assert_all_here(&spool, &pulled, &what);
        }
        if taken.len() == pulled.clips.len() + 1 {
            steps = step;
            break;
        }
    }
    assert!(steps > 20, "{steps} steps");
}

#[test]
fn whichever_write_the_card_refuses_the_booth_goes_on_and_reading_the_card_again_completes_it() {
    let pulled = Pulled::new();
    for errno in [EIO, ENOSPC] {
        for left in [Left::Nothing, Left::Half, Left::All] {
            let mut failing = 0;
            loop {
                let what = format!("operation {failing} fails with {errno}, {left:?}");
                let disk = ModelDisk::new();
                let (spool, _) = open(&disk);
                let before = disk.operations();
                disk.fail_at(before + failing, Fault { errno, left });
                for (id, bytes) in &pulled.files {
                    let _ = spool.take_over(*id, bytes);
                }
                disk.heal();
                spool.mend();
                assert!(spool.room().accepts, "{what}");
                pulled.take_all(&spool);
                assert_all_here(&spool, &pulled, &what);
                let own = record(&spool, 1);
                assert_eq!(own.clip_no, spool.last_clip_no(), "{what}");
                drop(spool);
                let (spool, report) = open(&disk);
                assert!(report.set_aside.is_empty(), "{what}: {report:?}");
                assert_all_here(&spool, &pulled, &what);
                if before + failing >= disk.operations() {
                    break;
                }
                failing += 1;
            }
            assert!(failing > 20, "only {failing} operations failed");
        }
    }
}

#[test]
fn what_is_not_whole_stays_on_the_other_card_and_is_said() {
    let pulled = Pulled::new();
    let (spool, _) = open(&ModelDisk::new());
    let (clip, _, said) = &pulled.clips[1];
    let id: Uuid = clip.clip_id.parse().unwrap();
    let whole = pulled.file(id);
    let mut was_finished = false;
    for at in (0..whole.len()).step_by(7) {
        let mut hurt = whole.to_vec();
        hurt[at] ^= 0x10;
        match spool.take_over(id, &hurt) {
            Ok(TakenOver::Left(why)) => assert!(!why.is_empty()),
            // Only the closing record is damaged, as if the power had been cut before it: all words are here.
            Ok(TakenOver::Kept(kept)) => {
                assert!(kept.recovered, "byte {at}");
                assert_eq!(&body(&spool, &kept), said, "byte {at}");
                spool.release(receipt(&kept)).unwrap();
                was_finished = true;
            }
            // That was done once, and is remembered.
            Ok(TakenOver::Here) if was_finished => {}
            Ok(TakenOver::Nothing | TakenOver::Here) => panic!("byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    for strange in [&b""[..], b"PK\x03\x04", &[0; 4_096]] {
        assert!(!matches!(
            spool.take_over(id, strange).unwrap(),
            TakenOver::Kept(_) | TakenOver::Here
        ));
    }
    assert!(spool.clips().is_empty());
    // The file of one message does not pass for another one's.
    let (other, ..) = &pulled.clips[0];
    let other: Uuid = other.clip_id.parse().unwrap();
    assert!(matches!(
        spool.take_over(other, whole).unwrap(),
        TakenOver::Left(_)
    ));
}

#[test]
fn a_card_without_room_takes_nothing_over_and_still_takes_what_is_spoken_here() {
    let pulled = Pulled::new();
    let disk = ModelDisk::new();
    disk.set_capacity(64 << 20);
    let reserve = 8 << 20;
    let of = OpenFacts {
        ledger: false,
        reserve_bytes: reserve,
        ..facts("boot-1")
    };
    let (spool, _) = open_with(&disk, of);
    let (id, bytes) = &pulled.files[0];
    let free = booth_spool::disk::Disk::free_bytes(&disk, Path::new("/")).unwrap();
    disk.set_used_by_others(free - reserve - bytes.len() as u64 + 1);
    let refused = spool.take_over(*id, bytes);
    assert!(
        matches!(refused, Err(SpoolError::Refused(Refusal::Reserve))),
        "{refused:?}"
    );
    let mut writer = spool.begin(new_clip()).expect("citizens come first");
    let frame = &long_speech()[0];
    writer.append(&frame.pages, frame.facts).unwrap();
    let last = &long_speech()[1];
    writer
        .finish(&last.pages, last.facts, EndedBy::HangUp)
        .unwrap();
    disk.set_used_by_others(0);
    assert!(matches!(
        spool.take_over(*id, bytes),
        Ok(TakenOver::Kept(_))
    ));
}

#[test]
fn what_is_taken_over_while_somebody_speaks_disturbs_nobody() {
    let pulled = Pulled::new();
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let mut writer = spool.begin(new_clip()).unwrap();
    for (frame, (id, bytes)) in long_speech().iter().zip(&pulled.files) {
        writer.append(&frame.pages, frame.facts).unwrap();
        assert!(!matches!(
            spool.take_over(*id, bytes).unwrap(),
            TakenOver::Here
        ));
    }
    let last = &long_speech()[pulled.files.len()];
    let kept = writer
        .finish(&last.pages, last.facts, EndedBy::HangUp)
        .unwrap();
    assert_eq!(
        kept.duration_ms,
        500 * (pulled.files.len() as u64 + 1),
        "not a frame is missing"
    );
    assert_all_here(&spool, &pulled, "meanwhile");
}

#[test]
fn the_other_cards_files_are_what_a_look_at_it_finds() {
    // The bytes that are handed on are those that `inspect` has judged.
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let kept = record(&spool, 2);
    let id: Uuid = kept.clip_id.parse().unwrap();
    let (_, bytes) = files_of(&disk).pop().unwrap();
    struct One(Vec<u8>);
    impl inspect::Source for One {
        fn list(&self, _: &Path) -> std::io::Result<Vec<booth_spool::disk::Listed>> {
            Ok(Vec::new())
        }
        fn read(&self, _: &Path, _: u64) -> std::io::Result<Vec<u8>> {
            Ok(self.0.clone())
        }
    }
    let file = SpoolFile {
        path: "one.clip".into(),
        bytes: bytes.len() as u64,
        in_quarantine: false,
        id: Some(id),
    };
    let inspect::Looked::Whole(whole) = inspect::look(&One(bytes.clone()), &file, true) else {
        panic!("it is whole")
    };
    assert_eq!(whole.file(), bytes);
}

#[test]
fn a_message_that_claims_a_number_of_this_card_takes_none() {
    let copied = ModelDisk::new();
    let (spool, _) = open(&copied);
    record(&spool, 1);
    let copy = copied.snapshot();
    let forged = {
        let (spool, _) = open(&copy);
        let clips: Vec<KeptClip> = (0..5).map(|_| record(&spool, 1)).collect();
        let id: Uuid = clips[4].clip_id.parse().unwrap();
        let files = files_of(&copy);
        files.into_iter().find(|(of, _)| *of == id).unwrap()
    };
    let taken = spool.take_over(forged.0, &forged.1).unwrap();
    assert!(matches!(taken, TakenOver::Left(_)), "{taken:?}");
    assert_eq!(record(&spool, 1).clip_no, 2);
}
