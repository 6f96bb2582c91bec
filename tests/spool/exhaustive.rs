//! Every place of damage and every operation that can fail, one after another, on the disk in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_contract::{BodyKind, EndedBy, Publish};
use booth_sealing::{DataKey, Identity, KernelRandom, Recipients, Sealer};
use booth_spool::disk::Disk;
use booth_spool::{
    BALLAST_BYTES, KeptClip, NewClip, OpenFacts, OpenReport, Refusal, Spool, SpoolError,
};
use booth_testkit::model_disk::{EIO, ENOSPC, Fault, Left, ModelDisk};
use booth_testkit::promises::spoken;
use booth_testkit::searched::holds;
use booth_testkit::spool_rig::{facts, long_speech, new_clip, receipt, record};

const ROOT: &str = "/spool";

fn open(disk: &ModelDisk) -> Result<(Spool, OpenReport), SpoolError> {
    let facts = OpenFacts {
        ledger: false,
        ..facts("boot-1")
    };
    Spool::open(Arc::new(disk.clone()), Path::new(ROOT), facts)
}

/// A sealed clip of two frames.
fn record_sealed(spool: &Spool) -> KeptClip {
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
    writer.close(Publish::Text).unwrap()
}

/// A card with finished clips, one of them sealed, a vote, and a take that was cut off.
struct Hurting {
    disk: ModelDisk,
    clips: Vec<(KeptClip, Vec<u8>)>,
    cut_off: String,
}

impl Hurting {
    fn new() -> Self {
        let disk = ModelDisk::new();
        let (spool, _) = open(&disk).unwrap();
        let [one, two, four] = [1, 2, 4].map(|frames| record(&spool, frames));
        let vote = spool.cast(new_clip(), 7).unwrap();
        let clips = [one, two, four, record_sealed(&spool), vote];
        let clips = clips.map(|clip| {
            let manifest = spool.manifest(&clip.clip_id).unwrap();
            (clip, manifest)
        });
        let mut writer = spool.begin(new_clip()).unwrap();
        for frame in &long_speech()[..2] {
            writer.append(&frame.pages, frame.facts).unwrap();
        }
        Self {
            cut_off: writer.clip_id().to_owned(),
            disk: disk.snapshot(),
            clips: clips.to_vec(),
        }
    }

    /// Every file with its content.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = self.disk.files().into_iter();
        let files = files.filter(|path| !path.ends_with("lock"));
        files
            .map(|path| (path.clone(), self.disk.content(&path).unwrap()))
            .collect()
    }

    /// Gives one file another content, or none at all, and looks at what becomes of it and of the rest.
    fn hurt(&self, path: &Path, content: Option<&[u8]>, what: &str) {
        let disk = self.disk.snapshot();
        let what = format!("{what} of {}", path.display());
        assert!(disk.take_away(path));
        if let Some(content) = content {
            disk.put(path, content);
        }
        let (spool, report) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for (clip, manifest) in &self.clips {
            if is_whole(&spool, clip, manifest) {
                continue;
            }
            assert!(
                name.starts_with(clip.clip_id.as_str()),
                "{what}: {report:?}"
            );
            let is_recovered = |other: &KeptClip| other.clip_id == clip.clip_id;
            let is_said = !report.damaged.is_empty()
                || !report.set_aside.is_empty()
                || report.recovered.iter().any(is_recovered);
            // A file that is gone is missed by the ledger; where neither a frame nor the manifest is whole nothing was lost.
            let has = |part: &[u8]| content.is_some_and(|left| holds(left, part));
            let has_words = has(&long_speech()[0].pages) || has(manifest);
            assert!(is_said || !has_words, "{what}: {report:?}");
        }
        if !name.starts_with(&self.cut_off) {
            let mut recovered = report.recovered.iter();
            let recovered = recovered.find(|clip| clip.clip_id == self.cut_off);
            let recovered = recovered.unwrap_or_else(|| panic!("{what}: {report:?}"));
            assert_eq!(recovered.duration_ms, 1_000, "{what}");
            let body = spool
                .read_body(&self.cut_off.as_str().into(), 0, 1 << 20)
                .unwrap();
            assert!(body.starts_with(spoken(2)), "{what}");
        }
        if name == "card.json" {
            let is_said = report.card_unreadable.is_some();
            assert!(report.is_new_card && is_said, "{what}: {report:?}");
        }
        // It goes on, and so does the next start.
        let next = record(&spool, 1);
        drop(spool);
        let (spool, _) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(spool.clips().contains(&next), "{what}");
    }
}

fn is_whole(spool: &Spool, clip: &KeptClip, manifest: &[u8]) -> bool {
    let body = spool.read_body(&clip.clip_id, 0, 1 << 20);
    spool.clips().contains(clip)
        && spool
            .manifest(&clip.clip_id)
            .is_ok_and(|same| same == manifest)
        && body.is_ok_and(|body| body.len() as u64 == clip.bytes)
}

#[test]
fn a_flipped_byte_anywhere_costs_at_most_the_file_it_is_in_and_is_said() {
    let card = Hurting::new();
    for (path, content) in card.files() {
        for at in (0..content.len()).step_by(3) {
            let mut hurt = content.clone();
            hurt[at] ^= 1 << (at % 8);
            card.hurt(&path, Some(&hurt), &format!("byte {at}"));
        }
    }
}

#[test]
fn a_tail_cut_anywhere_costs_at_most_the_file_it_is_in_and_is_said() {
    let card = Hurting::new();
    for (path, content) in card.files() {
        for len in (0..content.len()).step_by(11) {
            card.hurt(&path, Some(&content[..len]), &format!("{len} bytes"));
        }
    }
}

#[test]
fn a_zeroed_sector_or_page_anywhere_costs_at_most_the_file_it_is_in_and_is_said() {
    let card = Hurting::new();
    for (path, content) in card.files() {
        for unit in [512, 4_096] {
            for from in (0..content.len()).step_by(unit) {
                let mut hurt = content.clone();
                let to = (from + unit).min(content.len());
                hurt[from..to].fill(0);
                card.hurt(&path, Some(&hurt), &format!("zeros from {from} to {to}"));
            }
        }
    }
}

#[test]
fn any_one_file_may_be_deleted() {
    let card = Hurting::new();
    for (path, _) in card.files() {
        card.hurt(&path, None, "the loss");
    }
}

/// What was acknowledged in a short life in which operation `failing` fails, and afterwards what the spool has.
fn a_life_with_one_failure(failing: u64, fault: Fault) -> u64 {
    let what = format!("operation {failing} fails with {fault:?}");
    let disk = ModelDisk::new();
    disk.fail_at(failing, fault);
    let mut kept: Vec<KeptClip> = Vec::new();
    let mut released = Vec::new();
    let mut frames: BTreeMap<String, u64> = BTreeMap::new();
    let mut spool = open(&disk).map(|(spool, _)| spool).ok();
    for take in 0..4 {
        let Some(spool) = &spool else { break };
        let clip: NewClip = new_clip();
        let id = clip.clip_id.clone();
        let Ok(mut writer) = spool.begin(clip) else {
            kept.extend(spool.mend().kept);
            continue;
        };
        for frame in &long_speech()[..2] {
            if writer.append(&frame.pages, frame.facts).is_ok() {
                *frames.entry(id.to_string()).or_default() += 1;
            }
        }
        let last = &long_speech()[2];
        match take {
            2 => {
                frames.remove(id.as_str());
                let _ = writer.discard();
            }
            _ => kept.extend(writer.finish(&last.pages, last.facts, EndedBy::HangUp)),
        }
        kept.extend(spool.mend().kept);
        if take == 3 {
            kept.extend(spool.cast(new_clip(), 2));
            kept.extend(spool.mend().kept);
        }
        if take == 1
            && let Some(clip) = spool.clips().first()
        {
            released.push(clip.clip_id.clone());
            let _ = spool.release(receipt(clip));
        }
        let _ = spool.save_counters(&BTreeMap::from([("lifts_total".into(), take)]));
    }
    disk.heal();
    if let Some(spool) = spool.take() {
        kept.extend(spool.mend().kept);
        assert!(spool.room().accepts, "{what}: room is back");
    }
    let operations = disk.operations();
    let (spool, report) = open(&disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(report.set_aside, [], "{what}");
    assert!(
        report.damaged.is_empty() && report.left_unsettled == 0,
        "{what}"
    );
    let clips = spool.clips();
    for clip in &kept {
        let is_there = clips.contains(clip);
        assert!(
            is_there || released.contains(&clip.clip_id),
            "{what}: {clip:?}"
        );
    }
    for (id, frames) in frames {
        let clip = clips.iter().find(|clip| clip.clip_id == id);
        let is_there = clip.is_some_and(|clip| clip.duration_ms >= 500 * frames);
        assert!(
            is_there || released.contains(&id.as_str().into()),
            "{what}: {id} lost words"
        );
    }
    let mut numbers: Vec<u64> = clips.iter().chain(&kept).map(|clip| clip.clip_no).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.into_iter().eq(1..=spool.last_clip_no()), "{what}");
    let next = record(&spool, 1);
    assert_eq!(next.clip_no, spool.last_clip_no(), "{what}");
    operations
}

#[test]
fn whichever_operation_fails_nothing_acknowledged_is_lost_and_the_spool_recovers() {
    for errno in [ENOSPC, EIO] {
        for left in [Left::Nothing, Left::Half, Left::All] {
            let mut failing = 0;
            while failing < a_life_with_one_failure(failing, Fault { errno, left }) {
                failing += 1;
            }
            assert!(failing > 60, "only {failing} operations failed");
        }
    }
}

#[test]
fn a_card_that_others_fill_at_any_moment_loses_nothing_and_goes_on_when_room_returns() {
    for free in (0..120_000).step_by(1_024) {
        let disk = ModelDisk::new();
        let (spool, _) = open(&disk).unwrap();
        let mut kept = vec![record(&spool, 3)];
        disk.set_capacity(1 << 20);
        let used = (1 << 20) - booth_spool::disk::Disk::free_bytes(&disk, Path::new("/")).unwrap();
        disk.set_used_by_others((1 << 20) - used - free);
        let mut acked = BTreeMap::new();
        for _ in 0..6 {
            let Ok(mut writer) = spool.begin(new_clip()) else {
                continue;
            };
            let id = writer.clip_id().to_owned();
            for (at, frame) in long_speech()[..8].iter().enumerate() {
                if writer.append(&frame.pages, frame.facts).is_err() {
                    break;
                }
                acked.insert(id.clone(), 500 * (at as u64 + 1));
            }
            let last = &long_speech()[8];
            kept.extend(writer.finish(&last.pages, last.facts, EndedBy::HangUp));
        }
        disk.set_used_by_others(0);
        kept.extend(spool.mend().kept);
        assert!(spool.room().accepts, "{free} bytes");
        kept.push(record(&spool, 2));
        for seed in 0..3 {
            let (spool, report) = open(&disk.power_cut(seed)).unwrap();
            let clips = spool.clips();
            assert!(
                report.set_aside.is_empty() && report.recovered.is_empty(),
                "{free} bytes"
            );
            assert!(kept.iter().all(|clip| clips.contains(clip)), "{free} bytes");
            let length = |id: &String| clips.iter().find(|clip| clip.clip_id == *id);
            for (id, least) in &acked {
                assert!(
                    length(id).is_some_and(|clip| clip.duration_ms >= *least),
                    "{free} bytes"
                );
            }
        }
    }
}

#[test]
fn a_card_that_others_fill_while_somebody_speaks_still_takes_the_rest_of_it_with_the_ballast() {
    let disk = ModelDisk::new();
    disk.set_capacity(64 << 20);
    let with_ballast = OpenFacts {
        ledger: false,
        ballast_bytes: BALLAST_BYTES,
        ..facts("boot-1")
    };
    let (spool, _) = Spool::open(
        Arc::new(disk.clone()),
        Path::new(ROOT),
        with_ballast.clone(),
    )
    .unwrap();
    let confirmed = record(&spool, 3);
    let mut writer = spool.begin(new_clip()).unwrap();
    let free = Disk::free_bytes(&disk, Path::new("/")).unwrap();
    disk.set_used_by_others(free);
    for frame in &long_speech()[..20] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let last = &long_speech()[20];
    let kept = writer
        .finish(&last.pages, last.facts, EndedBy::HangUp)
        .unwrap();
    assert_eq!(kept.duration_ms, 10_500);
    assert_eq!(
        spool.room().reason,
        Some(Refusal::Reserve),
        "nobody else is invited"
    );
    // What is confirmed leaves, and a power cut finds everything.
    spool.release(receipt(&confirmed)).unwrap();
    drop(spool);
    let disk = disk.power_cut(7);
    let (spool, report) =
        Spool::open(Arc::new(disk.clone()), Path::new(ROOT), with_ballast).unwrap();
    assert_eq!(report.card_unsaved, None);
    assert_eq!(spool.clips(), [kept]);
    disk.set_used_by_others(0);
    assert_eq!(spool.mend().trouble, None);
    assert!(spool.room().accepts);
    // The ballast is back: the next one may fill it again.
    let mut writer = spool.begin(new_clip()).unwrap();
    let free = Disk::free_bytes(&disk, Path::new("/")).unwrap();
    disk.set_used_by_others(free);
    for frame in &long_speech()[..20] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
}
