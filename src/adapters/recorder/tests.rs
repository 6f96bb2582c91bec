use std::sync::mpsc::channel;

use super::*;
use booth_audio::Band;
use booth_contract::{BoothId, Consent};
use booth_spool::OpenFacts;
use booth_spool::real_disk::RealDisk;

fn facts() -> OpenFacts {
    OpenFacts {
        boot_id: "boot-1".into(),
        fresh_card_id: uuid::Uuid::from_u128(1).to_string().into(),
        wall_ms: 0,
        max_bytes: 1 << 30,
        reserve_bytes: 0,
        ledger: false,
        card_cid: None,
        hw_serial: None,
        ballast_bytes: 0,
        failed_before: 0,
    }
}

fn clip() -> NewClip {
    let booth_id = BoothId::parse("rundhoej-1").expect("an id");
    let clip_id = uuid::Uuid::from_u128(7).to_string();
    let armed = start_at(clock::mono());
    NewClip::speech(clip_id.into(), booth_id, Consent::by_key("1"), armed)
}

#[test]
fn the_recorder_moves_while_there_is_nothing_to_do() {
    let (_taps, tapped) = channel();
    let (commands, commanded) = channel();
    let alive = Beat::default();
    let encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
    let recorder = Recorder::new(encoder, tapped, Arc::default(), alive.clone(), |_| {});
    let thread = std::thread::spawn(move || recorder.run(&commanded));
    let give_up = clock::mono() + Duration::from_secs(60);
    while alive.count() < 3 {
        assert!(clock::mono() < give_up, "it does not move");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    drop(commands);
    thread.join().expect("it ends with its commands");
}

#[test]
fn what_gathered_while_the_card_was_slow_is_written_at_once() {
    /// Ten pages and a piece.
    const SAMPLES: Samples = Samples::in_ms(5_200);
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, _) =
        Spool::open(Arc::new(RealDisk::new()), folder.path(), facts()).expect("a spool");
    let (mut feed, tap) = Tap::pair();
    let (taps, tapped) = channel();
    taps.send(tap).expect("a recorder");
    let (events, told) = channel();
    let encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
    let mut recorder = Recorder::new(
        encoder,
        tapped,
        Arc::default(),
        Beat::default(),
        move |event| {
            let _ = events.send(event);
        },
    );
    let take = TakeId(1);
    recorder.command(RecorderCommand::UseSpool(spool));
    let now = || i64::try_from(clock::mono_us()).expect("a time");
    feed.push(&[0; 960], 1, now() - 20_000);
    let clip = Box::new(clip());
    let file = folder.path().join(format!("clips/{}.clip", clip.clip_id));
    recorder.command(RecorderCommand::Arm {
        take,
        clip,
        seal_to: booth_sealing::SealTo::Open,
    });
    let from = clock::mono();
    recorder.command(RecorderCommand::Keep { take, from });
    // The thread stands still for five seconds, in a sync of the card.
    let speech: Vec<i16> = (0..SAMPLES.as_len())
        .map(|at| ((at * 37) % 8_000) as i16)
        .collect();
    assert_eq!(feed.push(&speech, 1, now()), 0);
    recorder.pump();
    assert_eq!(frames(&file), 1);
    recorder.command(RecorderCommand::Finish {
        take,
        ended_by: EndedBy::HangUp,
        at: clock::mono() + Duration::from_secs(60),
        min: Duration::ZERO,
    });
    let kept = told.try_iter().find_map(|event| match event {
        RecorderEvent::Kept { clip, .. } => Some(clip),
        _ => None,
    });
    let kept = kept.expect("a clip");
    assert!((5_000..=5_200).contains(&kept.duration_ms), "{kept:?}");
    assert_eq!(frames(&file), 2);
}

/// How many frames with sound a clip file has (docs/spool-format.md §1).
fn frames(file: &std::path::Path) -> usize {
    let bytes = std::fs::read(file).expect("a clip file");
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a word"));
    let (mut at, mut frames) = (24, 0);
    while at < bytes.len() {
        frames += usize::from(bytes[at + 4] == 3 && word(at + 16) > 0);
        at += 16 + word(at) as usize;
    }
    frames
}
