//! `kill -9` at any moment, in a process of its own.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use booth_contract::EndedBy;
use booth_testkit::spool_rig::*;

/// Names the spool of the process that is to be killed.
const DIR_VARIABLE: &str = "SPOOL_KILL_DIR";
const KILLS: u32 = 30;

/// Records, discards and releases without end, and says what is done once it is durable.
/// An ordinary run of the tests has nothing to do here.
#[test]
fn recorder_that_gets_killed() {
    let Some(dir) = std::env::var_os(DIR_VARIABLE) else {
        return;
    };
    let (spool, report) = open(Path::new(&dir));
    // Not `println!`: the test harness may hold its output back.
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{line}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    for clip in &report.recovered {
        say(format!(
            "kept {} {} {}",
            clip.clip_id, clip.clip_no, clip.sha256
        ));
    }
    let mut dice = Dice(u64::from(std::process::id()) | 1);
    loop {
        let mut writer = spool.begin(new_clip()).unwrap();
        let clip_id = writer.clip_id().to_owned();
        let frames = 2 + dice.below(8) as usize;
        for (at, frame) in long_speech()[..frames].iter().enumerate() {
            writer.append(&frame.pages, frame.facts).unwrap();
            say(format!("frame {clip_id} {}", at + 1));
        }
        if dice.below(4) == 0 {
            say(format!("discarding {clip_id}"));
            writer.discard().unwrap();
            say(format!("discarded {clip_id}"));
            continue;
        }
        let last = &long_speech()[frames];
        let clip = writer
            .finish(&last.pages, last.facts, EndedBy::HangUp)
            .unwrap();
        say(format!("kept {clip_id} {} {}", clip.clip_no, clip.sha256));
        let waiting = spool.clips();
        if waiting.len() > 6 {
            for clip in &waiting[..4] {
                say(format!("releasing {}", clip.clip_id));
            }
            spool
                .release_all(waiting[..4].iter().map(receipt).collect())
                .unwrap();
        }
        if dice.below(3) == 0 {
            let counters = BTreeMap::from([("clips_total".to_owned(), clip.clip_no)]);
            spool.save_counters(&counters).unwrap();
        }
    }
}

#[test]
fn kill_9_at_any_moment_loses_no_acknowledged_frame_and_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let mut dice = Dice(20_260_101);
    // By clip: what the killed processes had been told is durable.
    let mut frames: HashMap<String, usize> = HashMap::new();
    let mut kept: HashMap<String, (u64, String)> = HashMap::new();
    let mut numbers: BTreeMap<u64, String> = BTreeMap::new();
    let mut may_be_gone: HashMap<String, &'static str> = HashMap::new();
    for round in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "recorder_that_gets_killed", "--nocapture"])
            .env(DIR_VARIABLE, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let doomed_after = 1 + dice.below(120);
        let mut heard = 0;
        for line in lines.map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["frame", id, count] => {
                    frames.insert((*id).into(), count.parse().unwrap());
                }
                ["kept", id, clip_no, sha256] => {
                    let clip_no: u64 = clip_no.parse().unwrap();
                    kept.insert((*id).into(), (clip_no, (*sha256).into()));
                    let other = numbers.insert(clip_no, (*id).into());
                    assert!(
                        other.is_none_or(|other| other == *id),
                        "number {clip_no} was given twice"
                    );
                }
                ["discarding", id] => {
                    may_be_gone.insert((*id).into(), "discarding");
                }
                ["discarded", id] => {
                    may_be_gone.insert((*id).into(), "discarded");
                }
                ["releasing", id] => {
                    may_be_gone.insert((*id).into(), "releasing");
                }
                _ => continue,
            }
            heard += 1;
            if heard == doomed_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(
            heard >= doomed_after,
            "the recorder ended by itself in round {round}"
        );

        let (spool, report) = open(dir.path());
        assert_eq!(report.set_aside, [], "round {round}");
        assert_eq!(report.missing, [], "round {round}");
        assert_eq!(report.left_unsettled, 0, "round {round}");
        let clips = spool.clips();
        for clip in &clips {
            let other = numbers.insert(clip.clip_no, clip.clip_id.to_string());
            assert!(
                other.is_none_or(|other| other == clip.clip_id),
                "{} was given twice",
                clip.clip_no
            );
            assert_ne!(
                may_be_gone.get(clip.clip_id.as_str()),
                Some(&"discarded"),
                "a discarded take is back"
            );
            // What is there can be read to the end.
            assert_eq!(body(&spool, clip).len() as u64, clip.bytes);
        }
        let by_id: HashMap<_, _> = clips
            .iter()
            .map(|clip| (clip.clip_id.as_str(), clip))
            .collect();
        for (id, count) in &frames {
            match by_id.get(id.as_str()) {
                Some(clip) => {
                    assert!(
                        clip.duration_ms >= 500 * *count as u64,
                        "round {round}: {id} lost a frame"
                    );
                }
                None => assert!(may_be_gone.contains_key(id), "round {round}: {id} is gone"),
            }
        }
        for (id, (clip_no, sha256)) in &kept {
            if let Some(clip) = by_id.get(id.as_str()) {
                assert_eq!(
                    (clip.clip_no, clip.sha256.as_str()),
                    (*clip_no, sha256.as_str())
                );
            }
        }
        // The numbers given so far are 1, 2, 3 … without gaps.
        let last = spool.last_clip_no();
        assert!(
            numbers.keys().copied().eq(1..=last),
            "round {round}: {:?} of {last}",
            numbers.keys()
        );
        // What is gone for good needs no further watch.
        frames.retain(|id, _| by_id.contains_key(id.as_str()));
    }
    assert!(numbers.len() > 5, "the recorder hardly recorded");
}
