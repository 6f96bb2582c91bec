//! What a clip costs the card, in bytes.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use booth_contract::{BodyKind, EndedBy, Publish};
use booth_sealing::{DataKey, Identity, KernelRandom, Recipients, Sealer};
use booth_spool::NewClip;
use booth_testkit::spool_rig::*;

/// What the kernel has counted of this thread, which waits for each of the spool's writes. The ledger's own thread saves by the clock:
/// what it writes depends on how long the test takes.
fn io_count(name: &str) -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    io.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok())
        .unwrap()
}

#[test]
fn a_minute_of_speech_is_written_and_erased_at_most_four_and_a_half_times() {
    let minute = speech(120);
    let body: usize = minute.iter().map(|frame| frame.pages.len()).sum();
    // The target folder is on a real disk where the system's temporary folder may be in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (spool, _) = open(dir.path());
    record(&spool, 2);
    let before = io_count("write_bytes");
    const CLIPS: u64 = 3;
    let mut released = Vec::new();
    for clip_no in 0..CLIPS {
        let mut writer = spool.begin(new_clip()).unwrap();
        for frame in &minute[..119] {
            writer.append(&frame.pages, frame.facts).unwrap();
        }
        let last = &minute[119];
        let clip = writer
            .finish(&last.pages, last.facts, EndedBy::HangUp)
            .unwrap();
        spool
            .save_counters(&BTreeMap::from([("clips_total".to_owned(), clip_no)]))
            .unwrap();
        released.push(receipt(&clip));
        spool.release(released.pop().unwrap()).unwrap();
    }
    let written = io_count("write_bytes") - before;
    let times = written as f64 / (CLIPS * body as u64) as f64;
    println!("{written} bytes written for {CLIPS} clips of {body}: {times:.2} times");
    assert!(
        times <= 4.5,
        "{times:.2} bytes are written for each byte of a clip"
    );
}

#[test]
fn a_sealed_minute_is_written_at_most_three_and_a_half_times_from_its_first_word_to_its_release() {
    let minute = speech(120);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (spool, _) = open(dir.path());
    record(&spool, 2);
    let city = Identity::generate(&mut KernelRandom).unwrap();
    let keys = Recipients::new(vec![city.recipient()]).unwrap();
    let clip = NewClip {
        body: BodyKind::SealedOggOpus,
        key_ids: keys.ids(),
        sealed: Some("c2VhbGVk".repeat(60)),
        ..new_clip()
    };
    let id = uuid::Uuid::parse_str(&clip.clip_id).unwrap();
    let key = DataKey::generate(&mut KernelRandom).unwrap();
    let (mut sealer, mut sealed) = Sealer::begin(id, &key, &keys, &mut KernelRandom).unwrap();
    let before = io_count("write_bytes");
    let mut writer = spool.begin(clip).unwrap();
    for frame in &minute[..119] {
        sealed.extend(sealer.seal(frame.facts, &frame.pages));
        writer.append(&sealed, frame.facts).unwrap();
        sealed.clear();
    }
    let last = &minute[119];
    let sealed = sealer.seal_last(last.facts, &last.pages);
    writer.hold(&sealed, last.facts, EndedBy::Key).unwrap();
    let clip = writer.close(Publish::Text).unwrap();
    let receipt = receipt(&clip);
    spool.release(receipt).unwrap();
    let written = io_count("write_bytes") - before;
    let times = written as f64 / clip.bytes as f64;
    println!(
        "{written} bytes written for a sealed clip of {}: {times:.2} times",
        clip.bytes
    );
    assert!(
        times <= 3.5,
        "{times:.2} bytes are written for each byte of a clip"
    );
}
