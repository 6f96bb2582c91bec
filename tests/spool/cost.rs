//! What a clip costs the card, in bytes.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use booth_contract::EndedBy;
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
