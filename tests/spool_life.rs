//! What a clip goes through on a healthy card.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;

use booth_contract::time::Mono;
use booth_contract::{ClipId, EndedBy, Manifest};
use booth_spool::real_disk::RealDisk;
use booth_spool::{LedgerNews, Refusal, Spool, SpoolError, StartFacts};
use booth_testkit::spool_rig::*;
use gateway_core::quarantine::Note;
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn a_finished_clip_reads_back_whole_and_its_manifest_says_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, report) = open(dir.path());
    assert!(report.is_new_card && report.is_new_boot);
    assert_eq!(report.card_unreadable, None);
    let mut writer = spool.begin(new_clip()).unwrap();
    writer.set_start(StartFacts {
        wall_ms: 1_767_225_601_250,
        mono: Mono(61_250),
        clock_synced: false,
    });
    let speech = long_speech();
    for frame in &speech[..23] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let clip = writer
        .finish(&speech[23].pages, speech[23].facts, EndedBy::Key)
        .unwrap();

    let whole: Vec<u8> = speech
        .iter()
        .flat_map(|frame| frame.pages.clone())
        .collect();
    assert_eq!(body(&spool, &clip), whole);
    assert_eq!(clip.sha256, hex(&whole));
    let manifest: Manifest =
        serde_json::from_slice(&spool.manifest(&clip.clip_id).unwrap()).unwrap();
    assert_eq!(manifest.clip_no, 1);
    assert_eq!(
        manifest.started_at.as_deref(),
        Some("2026-01-01T00:00:01.250Z")
    );
    assert_eq!(manifest.started_mono_ms, Some(61_250));
    assert_eq!(manifest.clock_synced, Some(0));
    assert_eq!(manifest.duration_ms, Some(12_000));
    assert_eq!(manifest.ended_by, Some(EndedBy::Key));
    assert_eq!(manifest.recovered, 0);
    assert_eq!(manifest.bytes, whole.len() as u64);
    assert_eq!(manifest.sha256.as_deref(), Some(hex(&whole).as_str()));
    assert_eq!(manifest.speech_ratio, Some(0.75));
    assert_eq!(manifest.rms_dbfs, Some(-15.2));
    assert_eq!(manifest.peak_dbfs, Some(-12.2));
    assert_eq!(clip.kept_at_ms, 1_767_225_601_250 + 12_000);
    assert_eq!(clip.kept_mono_ms, 61_250 + 12_000);
}

#[test]
fn any_part_of_the_body_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 24);
    let other = record(&spool, 2);
    let whole = body(&spool, &clip);
    let mut dice = Dice(11);
    for _ in 0..200 {
        let from = dice.below(clip.bytes + 10);
        let len = dice.below(16_385) as usize;
        let expected =
            &whole[(from as usize).min(whole.len())..(from as usize + len).min(whole.len())];
        assert_eq!(spool.read_body(&clip.clip_id, from, len).unwrap(), expected);
        spool.read_body(&other.clip_id, 0, 100).unwrap();
    }
    assert!(matches!(
        spool.read_body(&"not-a-clip".into(), 0, 1),
        Err(SpoolError::UnknownClip { .. })
    ));
}

#[test]
fn numbers_are_given_to_kept_takes_only_and_without_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    assert_eq!(record(&spool, 3).clip_no, 1);
    let mut discarded = spool.begin(new_clip()).unwrap();
    discarded
        .append(&long_speech()[0].pages, long_speech()[0].facts)
        .unwrap();
    discarded.discard().unwrap();
    assert_eq!(record(&spool, 3).clip_no, 2);
    // Two takes at once: the number goes by the end.
    let speech = speech(2);
    let mut first = spool.begin(new_clip()).unwrap();
    let mut second = spool.begin(new_clip()).unwrap();
    first.append(&speech[0].pages, speech[0].facts).unwrap();
    second.append(&speech[0].pages, speech[0].facts).unwrap();
    assert_eq!(
        second
            .finish(&speech[1].pages, speech[1].facts, EndedBy::HangUp)
            .unwrap()
            .clip_no,
        3
    );
    assert_eq!(
        first
            .finish(&speech[1].pages, speech[1].facts, EndedBy::HangUp)
            .unwrap()
            .clip_no,
        4
    );
    assert_eq!(spool.last_clip_no(), 4);
    let numbers: Vec<u64> = spool.clips().iter().map(|clip| clip.clip_no).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(
        std::fs::read_dir(dir.path().join("clips")).unwrap().count(),
        4
    );
}

#[test]
fn a_take_without_audio_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let writer = spool.begin(new_clip()).unwrap();
    let nothing = booth_spool::FrameFacts {
        samples: 0,
        mean_square: 0.0,
        peak: 0,
        speech: false,
    };
    assert!(matches!(
        writer.finish(&[], nothing, EndedBy::DeviceLost),
        Err(SpoolError::NothingSaid { .. })
    ));
    assert_eq!(record(&spool, 2).clip_no, 1);
    assert_eq!(
        std::fs::read_dir(dir.path().join("clips")).unwrap().count(),
        1
    );
}

#[test]
fn a_stream_that_the_encoder_could_not_end_is_ended_conformantly() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let speech = long_speech();
    let mut writer = spool.begin(new_clip()).unwrap();
    for frame in &speech[..3] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let nothing = booth_spool::FrameFacts {
        samples: 0,
        mean_square: 0.0,
        peak: 0,
        speech: false,
    };
    let clip = writer.finish(&[], nothing, EndedBy::DeviceLost).unwrap();
    assert_eq!(clip.ended_by, EndedBy::DeviceLost);
    assert!(!clip.recovered);
    assert_conformant(&body(&spool, &clip));
}

/// `opusinfo` prints faults and warnings among its facts and says nothing of them in its exit status.
fn assert_conformant(body: &[u8]) {
    let file = tempfile::Builder::new().suffix(".opus").tempfile().unwrap();
    std::fs::write(file.path(), body).unwrap();
    let output = Command::new("opusinfo")
        .arg(file.path())
        .output()
        .expect("opusinfo (opus-tools) is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("Playback length") && said.contains("Logical stream 1 ended"),
        "{said}"
    );
    for complaint in ["WARNING", "Warning", "ERROR", "invalid", "hole", "Hole"] {
        assert!(!said.contains(complaint), "{said}");
    }
}

#[test]
fn a_recovered_clip_is_a_conformant_ogg_opus_file() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut writer = spool.begin(new_clip()).unwrap();
    let clip_id = writer.clip_id().to_owned();
    for frame in &long_speech()[..5] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let cut = std::fs::read(clip_file(dir.path(), &clip_id)).unwrap();
    drop(writer);
    drop(spool);
    std::fs::write(clip_file(dir.path(), &clip_id), cut).unwrap();
    let (spool, report) = open(dir.path());
    let [clip] = report.recovered.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(
        (clip.ended_by, clip.recovered, clip.duration_ms),
        (EndedBy::Power, true, 2_500)
    );
    let whole = body(&spool, clip);
    assert_conformant(&whole);
    let spoken: Vec<u8> = long_speech()[..5]
        .iter()
        .flat_map(|frame| frame.pages.clone())
        .collect();
    assert!(whole.starts_with(&spoken));
    assert_eq!(clip.sha256, hex(&whole));
}

/// Samples at 48 kHz that a decoder which knows nothing of us plays.
fn played(body: &[u8]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let (opus, wav) = (folder.path().join("a.opus"), folder.path().join("a.wav"));
    std::fs::write(&opus, body).unwrap();
    booth_testkit::speech::decode(&opus, &wav).expect("decoded");
    u64::from(hound::WavReader::open(&wav).unwrap().duration())
}

#[test]
fn a_recovered_clip_plays_exactly_as_long_as_its_manifest_says() {
    for frames in [1, 2, 5, 12] {
        // The power goes; or the writer is dropped, as when the card refused a frame.
        for is_dropped in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (spool, _) = open(dir.path());
            let mut writer = spool.begin(new_clip()).unwrap();
            let path = clip_file(dir.path(), writer.clip_id());
            for frame in &long_speech()[..frames] {
                writer.append(&frame.pages, frame.facts).unwrap();
            }
            let cut = std::fs::read(&path).unwrap();
            drop(writer);
            let (spool, recovered) = if is_dropped {
                let kept = spool.mend().kept;
                (spool, kept)
            } else {
                drop(spool);
                std::fs::write(&path, cut).unwrap();
                let (spool, report) = open(dir.path());
                (spool, report.recovered)
            };
            let [clip] = recovered.as_slice() else {
                panic!("{recovered:?}")
            };
            assert!(clip.recovered);
            assert_eq!(clip.duration_ms, frames as u64 * 500);
            assert_eq!(
                played(&body(&spool, clip)),
                clip.duration_ms * 48,
                "{frames} frames, dropped: {is_dropped}"
            );
        }
    }
}

#[test]
fn a_writer_that_is_dropped_leaves_its_words_to_mend() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut writer = spool.begin(new_clip()).unwrap();
    writer
        .append(&long_speech()[0].pages, long_speech()[0].facts)
        .unwrap();
    drop(writer);
    let mended = spool.mend();
    let [clip] = mended.kept.as_slice() else {
        panic!("{mended:?}")
    };
    assert_eq!(
        (clip.clip_no, clip.recovered, clip.ended_by),
        (1, true, EndedBy::Power)
    );
    assert_conformant(&body(&spool, clip));
    assert_eq!(record(&spool, 2).clip_no, 2);
}

#[test]
fn a_deleted_ledger_changes_no_byte_of_any_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    for frames in [2, 5, 9] {
        record(&spool, frames);
    }
    spool.checkpoint().unwrap();
    let before: Vec<(ClipId, Vec<u8>)> = manifests(&spool);
    drop(spool);
    let (spool, report) = open(dir.path());
    assert_eq!(report.ledger, LedgerNews::Intact);
    assert_eq!(manifests(&spool), before);
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(report.ledger, LedgerNews::Made);
    assert_eq!(manifests(&spool), before);
    assert_eq!(report.missing, []);
}

fn manifests(spool: &Spool) -> Vec<(ClipId, Vec<u8>)> {
    let clips = spool.clips();
    clips
        .into_iter()
        .map(|clip| (clip.clip_id.clone(), spool.manifest(&clip.clip_id).unwrap()))
        .collect()
}

#[test]
fn a_number_is_never_given_twice_even_after_all_clips_left_and_the_ledger_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clips = [record(&spool, 2), record(&spool, 2), record(&spool, 2)];
    let released = spool
        .release_all(clips.iter().map(receipt).collect())
        .unwrap();
    assert_eq!(released.clips.len(), 3);
    assert!(released.refused.is_empty());
    assert_eq!(spool.clips(), []);
    assert_eq!(
        std::fs::read_dir(dir.path().join("clips")).unwrap().count(),
        0
    );
    let card_id = spool.card().card_id;
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, report) = open(dir.path());
    assert_eq!(report.missing, []);
    let next = record(&spool, 2);
    assert_eq!((next.clip_no, next.card_id), (4, card_id));
}

#[test]
fn releasing_one_of_many_keeps_the_numbers_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clips = [record(&spool, 2), record(&spool, 3), record(&spool, 2)];
    spool.release(receipt(&clips[0])).unwrap();
    drop(spool);
    let (spool, report) = open(dir.path());
    assert_eq!(report.ledger, LedgerNews::Intact);
    assert_eq!(report.missing, []);
    assert_eq!(spool.clips(), clips[1..]);
    assert_eq!(record(&spool, 2).clip_no, 4);
}

#[test]
fn a_receipt_for_another_hash_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 2);
    let wrong = receipt_for(&clip.clip_id, 10, &hex(b"something else"));
    assert!(matches!(
        spool.release(wrong),
        Err(SpoolError::WrongReceipt { .. })
    ));
    assert!(!body(&spool, &clip).is_empty());
    let unknown = receipt_for(&uuid::Uuid::new_v4().to_string(), 10, &clip.sha256);
    assert!(matches!(
        spool.release(unknown),
        Err(SpoolError::UnknownClip { .. })
    ));
    spool.release(receipt(&clip)).unwrap();
    assert!(matches!(
        spool.manifest(&clip.clip_id),
        Err(SpoolError::UnknownClip { .. })
    ));
}

#[test]
fn a_quarantined_clip_stays_with_its_reason_and_is_not_offered() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let (kept, bad) = (record(&spool, 2), record(&spool, 3));
    let manifest = spool.manifest(&bad.clip_id).unwrap();
    let note = Note::refused("rejected: unknown card", None);
    assert_eq!(spool.quarantine(&bad.clip_id, &note).unwrap(), note);
    assert_eq!(spool.clips(), std::slice::from_ref(&kept));
    assert_eq!(spool.quarantined(), 1);
    assert_eq!(spool.manifest(&bad.clip_id).unwrap(), manifest);
    drop(spool);
    let (spool, _) = open(dir.path());
    assert_eq!(spool.clips(), std::slice::from_ref(&kept));
    assert_eq!(spool.quarantined_clips(), [(bad.clone(), note.clone())]);
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, _) = open(dir.path());
    assert_eq!(spool.clips(), [kept]);
    assert_eq!(spool.quarantined_clips(), [(bad.clone(), note)]);
    assert_eq!(spool.manifest(&bad.clip_id).unwrap(), manifest);
    assert_eq!(record(&spool, 2).clip_no, 3);
}

#[test]
fn a_second_gateway_on_the_same_spool_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let (_spool, _) = open(dir.path());
    let error = Spool::open(Arc::new(RealDisk::new()), dir.path(), facts("boot-1"))
        .err()
        .unwrap();
    assert!(matches!(error, SpoolError::InUse { .. }));
    assert!(
        error.to_string().contains("already using the spool"),
        "{error}"
    );
}

#[test]
fn folder_and_files_are_for_the_gateway_only() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("deep/spool");
    let (spool, _) = open(&root);
    let clip = record(&spool, 2);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&clip_file(&root, &clip.clip_id)), 0o600);
    assert_eq!(mode(&root.join("card.json")), 0o600);
}

#[test]
fn a_take_is_refused_before_the_card_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::new());
    let with = |max_bytes, reserve_bytes| {
        let facts = booth_spool::OpenFacts {
            max_bytes,
            reserve_bytes,
            ..facts("boot-1")
        };
        open_when_free(disk.clone(), dir.path(), facts).unwrap().0
    };
    let spool = with(1 << 30, 0);
    assert!(spool.room().accepts);
    let clip = record(&spool, 20);
    assert!(spool.room().used_bytes > clip.bytes);
    drop(spool);
    let spool = with((2 << 20) + clip.bytes, 0);
    assert_eq!(spool.room().reason, Some(Refusal::Full));
    assert!(matches!(
        spool.begin(new_clip()),
        Err(SpoolError::Refused(Refusal::Full))
    ));
    spool.release(receipt(&clip)).unwrap();
    assert!(spool.room().accepts);
    drop(spool);
    let spool = with(1 << 30, u64::MAX);
    assert_eq!(spool.room().reason, Some(Refusal::Reserve));
}

#[test]
fn boots_are_counted_by_boot_id_and_counters_survive() {
    let dir = tempfile::tempdir().unwrap();
    let disk = || Arc::new(RealDisk::new());
    let (spool, _) = open_on(disk(), dir.path(), "boot-1").unwrap();
    let first = spool.card();
    assert_eq!(first.boot_count, 1);
    let counters = BTreeMap::from([("lifts_total".to_owned(), 7), ("lifts_today".to_owned(), 2)]);
    spool.save_counters(&counters).unwrap();
    drop(spool);
    let (spool, report) = open_on(disk(), dir.path(), "boot-1").unwrap();
    assert!(!report.is_new_boot && !report.is_new_card);
    assert_eq!(spool.card().boot_count, 1);
    assert_eq!(spool.counters(), counters);
    // The newer copy wins, not the higher value; and a clean stop survives the loss of the ledger.
    let later = BTreeMap::from([("lifts_total".to_owned(), 8), ("lifts_today".to_owned(), 1)]);
    spool.save_counters(&later).unwrap();
    spool.checkpoint().unwrap();
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).unwrap();
    let (spool, report) = open_on(disk(), dir.path(), "boot-2").unwrap();
    assert!(report.is_new_boot);
    assert_eq!(spool.card().boot_count, 2);
    assert_eq!(spool.card().card_id, first.card_id);
    assert_eq!(spool.counters(), later);
}

#[test]
fn the_disk_tells_what_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 20);
    let stats = spool.disk_stats();
    assert!(stats.fsync_p95_ms.is_some_and(|ms| ms >= 0.0));
    assert!(stats.bytes_written > clip.bytes);
    assert_eq!(stats.io_errors, 0);
}
