//! What an update must not break: an older version reads what a newer one has written, and today's what yesterday's has
//! (docs/spool-format.md §9). The fixture is a spool of version 0.1.0 and is never made anew: a later version needs one beside it.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use booth_testkit::spool_rig::*;
use gateway_core::quarantine::Note;
use serde_json::Value;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spool-0.1.0")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// As it was made, once: a message, one that the hub has refused, and one that the power has cut off.
#[test]
#[ignore = "writes the fixture of this version"]
fn make_the_fixture() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    record(&spool, 4);
    let refused = record(&spool, 3);
    spool
        .quarantine(&refused.clip_id, &Note::refused("rejected: a test", None))
        .unwrap();
    let mut writer = spool.begin(new_clip()).unwrap();
    writer.set_start(booth_spool::StartFacts {
        wall_ms: 1_767_225_601_250,
        mono: booth_contract::time::Mono(61_250),
        clock_synced: true,
    });
    for frame in &long_speech()[..3] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    assert!(!fixture().exists(), "a fixture stays as it is");
    for name in ["clips", "quarantine"] {
        copy(&dir.path().join(name), &fixture().join(name));
    }
    std::fs::copy(dir.path().join("card.json"), fixture().join("card.json")).unwrap();
}

#[test]
fn a_spool_of_version_0_1_0_stays_readable() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let text = std::fs::read_to_string(dir.path().join("card.json")).unwrap();
    let card: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let (spool, report) = open_on(
        std::sync::Arc::new(booth_spool::real_disk::RealDisk::new()),
        dir.path(),
        "boot-2",
    )
    .unwrap();
    assert_eq!(
        (
            report.card_unreadable,
            report.set_aside.len(),
            report.damaged.len()
        ),
        (None, 0, 0)
    );
    assert_eq!(*spool.identity().card_id, card["card_id"]);
    let mut clips = spool.clips();
    clips.sort_by_key(|clip| clip.clip_no);
    let numbers: Vec<u64> = clips.iter().map(|clip| clip.clip_no).collect();
    assert_eq!(numbers, [1, 3], "2 is in quarantine");
    assert_eq!(report.recovered.len(), 1);
    let speech = |frames: usize| -> Vec<u8> {
        long_speech()[..frames]
            .iter()
            .flat_map(|frame| frame.pages.clone())
            .collect()
    };
    // The encoder of another machine may have other bytes; the lengths say how much was said.
    let before = std::fs::read(
        dir.path()
            .join("clips")
            .join(format!("{}.clip", clips[0].clip_id)),
    )
    .unwrap();
    assert_eq!(body(&spool, &clips[0]).len() as u64, clips[0].bytes);
    assert!(before.len() > body(&spool, &clips[0]).len());
    assert_eq!(
        (clips[0].duration_ms, clips[1].duration_ms / 500),
        (2_000, 3)
    );
    assert!(body(&spool, &clips[1]).len() * 2 > speech(3).len());
    for clip in &clips {
        use sha2::{Digest, Sha256};
        let sum = booth_contract::hex(&Sha256::digest(body(&spool, clip)));
        assert_eq!(sum, clip.sha256);
    }
}

const PREAMBLE: usize = 24;
const CLOSING: u8 = 4;

/// The records of a clip file: kind and payload (docs/spool-format.md §1).
fn records(file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut records = Vec::new();
    let mut at = PREAMBLE;
    while at < file.len() {
        let bytes = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        records.push((file[at + 4], file[at + 16..at + 16 + bytes].to_vec()));
        at += 16 + bytes;
    }
    records
}

fn file_of(preamble: &[u8], records: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut file = preamble.to_vec();
    for (sequence, (kind, payload)) in records.iter().enumerate() {
        let mut head = (payload.len() as u32).to_le_bytes().to_vec();
        head.extend_from_slice(&[*kind, 0, 0, 0]);
        head.extend_from_slice(&(sequence as u32).to_le_bytes());
        let sum = crc32c::crc32c(&[preamble, &head, payload].concat());
        file.extend_from_slice(&head);
        file.extend_from_slice(&sum.to_le_bytes());
        file.extend_from_slice(payload);
    }
    file
}

fn with_keys(json: &[u8], more: &[(&str, Value)]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(json).unwrap();
    for (key, more) in more {
        value[*key] = more.clone();
    }
    serde_json::to_vec(&value).unwrap()
}

#[test]
fn what_a_newer_version_adds_is_skipped_by_an_older_one_and_not_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 4);
    let unfinished = record(&spool, 4);
    let whole = body(&spool, &clip);
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();

    // A finished clip: a record of a kind that is not known here, and more keys in every JSON.
    let path = clip_file(dir.path(), &clip.clip_id);
    let before = std::fs::read(&path).unwrap();
    let mut newer = records(&before);
    assert_eq!(
        file_of(&before[..PREAMBLE], &newer),
        before,
        "the test writes the format"
    );
    for (kind, payload) in &mut newer {
        if [1, 2, CLOSING].contains(kind) {
            *payload = with_keys(payload, &[("sealing", serde_json::json!({"round": 2}))]);
        }
    }
    newer.insert(2, (42, b"what a later version knows".to_vec()));
    let offered = newer
        .iter()
        .find(|(kind, _)| *kind == CLOSING)
        .unwrap()
        .1
        .clone();
    let file = file_of(&before[..PREAMBLE], &newer);
    std::fs::write(&path, &file).unwrap();
    // One that the power has cut off, with such a record as well.
    let cut = clip_file(dir.path(), &unfinished.clip_id);
    let before = std::fs::read(&cut).unwrap();
    let mut newer = records(&before);
    newer.retain(|(kind, _)| *kind != CLOSING);
    newer.insert(3, (42, vec![7; 100]));
    std::fs::write(&cut, file_of(&before[..PREAMBLE], &newer)).unwrap();

    let (spool, report) = open(dir.path());
    assert_eq!(
        (
            report.set_aside.len(),
            report.damaged.len(),
            report.missing.len()
        ),
        (0, 0, 0)
    );
    assert_eq!(report.recovered.len(), 1);
    assert_eq!(spool.clips().len(), 2);
    assert_eq!(
        spool.manifest(&clip.clip_id).unwrap(),
        offered,
        "offered as the newer one wrote it"
    );
    assert_eq!(body(&spool, &clip), whole);
    assert_eq!(
        std::fs::read(&path).unwrap(),
        file,
        "a clip file is never written anew"
    );
    let recovered = std::fs::read(&cut).unwrap();
    assert!(records(&recovered).contains(&(42, vec![7; 100])));
}
