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

/// The millisecond in which this microsecond lies.
fn mono_of(us: i64) -> Mono {
    Mono(u64::try_from(us / 1_000).expect("a time"))
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
    let (events, reports) = channel();
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
    // The microphone's samples follow each other exactly, however late this thread is.
    let heard_us = i64::try_from(clock::mono_us()).expect("a time");
    feed.push(&[0; 960], 1, heard_us - 20_000);
    let clip = Box::new(clip());
    let file = folder.path().join(format!("clips/{}.clip", clip.clip_id));
    recorder.command(RecorderCommand::Arm {
        take,
        clip,
        seal_to: booth_sealing::SealTo::Open,
    });
    let from = mono_of(heard_us);
    recorder.command(RecorderCommand::Keep { take, from });
    // The thread stands still for five seconds, in a sync of the card.
    let speech: Vec<i16> = (0..SAMPLES.as_len())
        .map(|at| ((at * 37) % 8_000) as i16)
        .collect();
    assert_eq!(feed.push(&speech, 1, heard_us), 0);
    recorder.pump();
    assert_eq!(frames(&file), 1);
    recorder.command(RecorderCommand::Finish {
        take,
        ended_by: EndedBy::HangUp,
        at: clock::mono() + Duration::from_secs(60),
        min: Duration::ZERO,
    });
    assert_eq!(frames(&file), 2);
    recorder.command(RecorderCommand::Close {
        take,
        publish: Publish::Text,
    });
    let kept = reports.try_iter().find_map(|event| match event {
        RecorderEvent::Kept { clip, .. } => Some(clip),
        _ => None,
    });
    let kept = kept.expect("a clip");
    assert!((5_000..=5_200).contains(&kept.duration_ms), "{kept:?}");
    assert_eq!(frames(&file), 2);
}

/// A sound in which no sample is silence.
fn speech(samples: Samples) -> Vec<i16> {
    (0..samples.as_len())
        .map(|at| 1 + ((at * 37) % 8_000) as i16)
        .collect()
}

#[test]
fn words_that_were_said_while_the_clip_was_opened_slowly_are_kept_from_the_tones_end_on() {
    let mut rig = Rig::new();
    let take = TakeId(1);
    rig.hears(&[0; 960]);
    let clip = Box::new(rig.clip());
    rig.recorder.command(RecorderCommand::Arm {
        take,
        clip,
        seal_to: SealTo::Open,
    });
    // The card takes seven seconds for the header; the tone is over after the first of them.
    rig.hears(&vec![0; Samples::in_s(1).as_len()]);
    let from = mono_of(rig.heard_us);
    for _ in 0..12 {
        rig.hears(&speech(Samples::in_ms(500)));
    }
    rig.recorder.pump();
    rig.recorder.command(RecorderCommand::Keep { take, from });
    rig.recorder.command(RecorderCommand::Finish {
        take,
        ended_by: EndedBy::HangUp,
        at: mono_of(rig.heard_us),
        min: Duration::ZERO,
    });
    let publish = Publish::No;
    rig.recorder
        .command(RecorderCommand::Close { take, publish });
    let (_, kept) = rig.kept().pop().expect("kept");
    assert!((5_990..=6_010).contains(&kept.duration_ms), "{kept:?}");
}

#[test]
fn the_last_words_before_a_stall_that_was_longer_than_the_ring_are_kept() {
    let mut rig = Rig::new();
    let take = TakeId(1);
    rig.hears(&[0; 960]);
    let clip = Box::new(rig.clip());
    rig.recorder.command(RecorderCommand::Arm {
        take,
        clip,
        seal_to: SealTo::Open,
    });
    let from = mono_of(rig.heard_us);
    rig.recorder.command(RecorderCommand::Keep { take, from });
    // The thread stands still for twelve seconds; whoever speaks hangs up after ten of them.
    let began = rig.heard_us;
    let half = speech(Samples::in_ms(500));
    let mut lost = 0;
    for piece in 0..24 {
        lost += rig.feed.push(&half, 1, began + piece * 500_000);
    }
    assert_eq!(Samples::new(lost), Samples::in_s(4));
    rig.recorder.command(RecorderCommand::Finish {
        take,
        ended_by: EndedBy::HangUp,
        at: mono_of(began + 10_000_000),
        min: Duration::ZERO,
    });
    let publish = Publish::No;
    rig.recorder
        .command(RecorderCommand::Close { take, publish });
    let (_, kept) = rig.kept().pop().expect("kept");
    assert!((7_990..=8_010).contains(&kept.duration_ms), "{kept:?}");
}

/// A recorder with a spool, whose microphone has heard nothing yet.
struct Rig {
    folder: tempfile::TempDir,
    spool: Spool,
    feed: crate::adapters::capture::Feed,
    recorder: Recorder<Box<dyn Fn(RecorderEvent)>>,
    reports: Receiver<RecorderEvent>,
    city: booth_sealing::Identity,
    /// When the microphone's next sample is captured, by its own clock: no sample is late, however late this thread is.
    heard_us: i64,
    /// Each take has a clip of its own.
    clips: u128,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (spool, _) =
            Spool::open(Arc::new(RealDisk::new()), folder.path(), facts()).expect("a spool");
        let (feed, tap) = Tap::pair();
        let (taps, tapped) = channel();
        taps.send(tap).expect("a recorder");
        let (events, reports) = channel();
        let encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
        let report: Box<dyn Fn(RecorderEvent)> = Box::new(move |event| {
            let _ = events.send(event);
        });
        let alive = Beat::default();
        let mut recorder = Recorder::new(encoder, tapped, Arc::default(), alive, report);
        recorder.command(RecorderCommand::UseSpool(spool.clone()));
        let city = booth_sealing::Identity::generate(&mut booth_sealing::KernelRandom);
        Self {
            folder,
            spool,
            feed,
            recorder,
            reports,
            city: city.expect("a key"),
            heard_us: i64::try_from(clock::mono_us()).expect("a time"),
            clips: 0,
        }
    }

    fn clip(&mut self) -> NewClip {
        self.clips += 1;
        NewClip {
            clip_id: uuid::Uuid::from_u128(self.clips).to_string().into(),
            ..clip()
        }
    }

    /// The microphone hears these samples.
    fn hears(&mut self, samples: &[i16]) {
        assert_eq!(self.feed.push(samples, 1, self.heard_us), 0);
        let heard = Samples::new(samples.len() as u64);
        self.heard_us += i64::try_from(heard.us()).expect("a time");
    }

    /// Somebody says something for two seconds, and their words are held.
    fn speak(&mut self, take: TakeId) -> SpokenTake {
        self.hears(&[0; 960]);
        let keys = booth_sealing::Recipients::new(vec![self.city.recipient()]);
        let seal_to = SealTo::Keys(Arc::new(keys.expect("one key")));
        let clip = Box::new(self.clip());
        self.recorder.command(RecorderCommand::Arm {
            take,
            clip,
            seal_to,
        });
        let from = mono_of(self.heard_us);
        self.recorder.command(RecorderCommand::Keep { take, from });
        let speech: Vec<i16> = (0..96_000).map(|at| ((at * 37) % 8_000) as i16).collect();
        for half in speech.chunks(24_000) {
            self.hears(half);
            self.recorder.pump();
        }
        self.recorder.command(RecorderCommand::Finish {
            take,
            ended_by: EndedBy::Key,
            at: clock::mono() + Duration::from_secs(60),
            min: Duration::ZERO,
        });
        let held = self.reports.try_iter().find_map(|event| match event {
            RecorderEvent::Held { take: held, sound } if held == take => Some(sound),
            RecorderEvent::Kept { .. } => panic!("it was closed before its citizen had gone"),
            _ => None,
        });
        held.expect("the words are held")
    }

    fn kept(&self) -> Vec<(TakeId, KeptClip)> {
        let kept = self.reports.try_iter().filter_map(|event| match event {
            RecorderEvent::Kept { take, clip, .. } => Some((take, *clip)),
            _ => None,
        });
        kept.collect()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("clips"))
            .expect("a folder")
            .count()
    }
}

#[test]
fn a_recorder_sleeps_until_a_page_is_whole_but_never_so_long_that_voice_is_told_late() {
    let mut rig = Rig::new();
    assert_eq!(rig.recorder.patience(), Duration::from_millis(200));
    rig.speak(TakeId(1));
    let take = TakeId(2);
    let (clip, seal_to) = (Box::new(rig.clip()), SealTo::Open);
    rig.recorder.command(RecorderCommand::Arm {
        take,
        clip,
        seal_to,
    });
    let from = Mono(0);
    rig.recorder.command(RecorderCommand::Keep { take, from });
    // A take begins as soon as its first sample is there.
    assert_eq!(rig.recorder.patience(), Duration::from_millis(40));
    let mut sleeps = Vec::new();
    for ms in [20, 160, 170, 140, 9, 1, 20] {
        let piece = vec![1; Samples::in_ms(ms).as_len()];
        rig.hears(&piece);
        rig.recorder.pump();
        sleeps.push(rig.recorder.patience().as_millis());
    }
    assert_eq!(sleeps, [180, 180, 180, 40, 31, 180, 180]);
}

#[test]
fn a_held_take_has_no_number_is_heard_and_gets_what_its_citizen_allowed_when_it_is_closed() {
    let mut rig = Rig::new();
    let take = TakeId(1);
    let sound = rig.speak(take);
    assert_eq!((rig.spool.clips().len(), rig.files()), (0, 1));
    let (mut group, mut heard) = (0, 0);
    let mut player = booth_audio::PagePlayer::default();
    while let Some(piece) = player.next_piece(|| {
        group += 1;
        sound.group(group - 1)
    }) {
        heard += piece.len();
    }
    assert!((94_000..100_000).contains(&heard), "{heard} samples");
    // A command for another take changes nothing.
    let publish = Publish::Voice;
    let other = TakeId(9);
    rig.recorder.command(RecorderCommand::Close {
        take: other,
        publish,
    });
    assert!(rig.kept().is_empty());
    rig.recorder
        .command(RecorderCommand::Close { take, publish });
    let [(_, clip)] = &rig.kept()[..] else {
        panic!("one clip")
    };
    assert_eq!((clip.clip_no, clip.ended_by), (1, EndedBy::Key));
    let manifest = rig.spool.manifest(&clip.clip_id).expect("a manifest");
    let manifest: booth_contract::Manifest = serde_json::from_slice(&manifest).expect("one");
    assert_eq!(
        manifest.consent.map(|consent| consent.publish),
        Some(publish)
    );
    let body = rig
        .spool
        .read_body(&clip.clip_id, 0, 1 << 20)
        .expect("a body");
    let opened = booth_sealing::open(&body, std::slice::from_ref(&rig.city)).expect("the city's");
    assert_eq!(opened.ending, booth_sealing::Ending::Whole);
    // Nobody hears a closed take.
    assert!(sound.group(0).is_none());
}

#[test]
fn a_held_take_that_is_deleted_leaves_nothing_and_the_next_one_is_another_clip_under_another_key() {
    let mut rig = Rig::new();
    let sound = rig.speak(TakeId(1));
    let discard = RecorderCommand::Discard { take: TakeId(1) };
    rig.recorder.command(discard);
    assert!(sound.group(0).is_none());
    assert_eq!(rig.files(), 0);
    let reports: Vec<RecorderEvent> = rig.reports.try_iter().collect();
    let is_deleted = |event: &RecorderEvent| {
        matches!(
            event,
            RecorderEvent::Discarded {
                take: TakeId(1),
                too_short: false
            }
        )
    };
    assert!(reports.iter().any(is_deleted), "{reports:?}");
    rig.speak(TakeId(2));
    // The visit closes a take before it arms another one; if it did not, nothing would be lost.
    rig.speak_over(TakeId(3));
    let kept = rig.kept();
    assert!(
        kept.iter()
            .any(|(take, clip)| *take == TakeId(2) && clip.clip_no == 1),
        "{kept:?}"
    );
}

impl Rig {
    fn speak_over(&mut self, take: TakeId) {
        let clip = Box::new(self.clip());
        let seal_to = SealTo::Open;
        self.recorder.command(RecorderCommand::Arm {
            take,
            clip,
            seal_to,
        });
    }
}

#[test]
fn a_vote_is_kept_by_the_recorder_also_between_takes() {
    let mut rig = Rig::new();
    let clip = Box::new(NewClip {
        question_id: Some("bench".into()),
        ..rig.clip()
    });
    let take = TakeId(4);
    rig.recorder.command(RecorderCommand::Cast {
        take,
        clip,
        choice: 3,
    });
    let [(kept, clip)] = &rig.kept()[..] else {
        panic!("one vote")
    };
    assert_eq!(
        (*kept, clip.kind, clip.bytes),
        (take, booth_contract::ClipKind::Choice, 0)
    );
    rig.recorder.command(RecorderCommand::DropSpool);
    let clip = Box::new(rig.clip());
    rig.recorder.command(RecorderCommand::Cast {
        take,
        clip,
        choice: 3,
    });
    let failed = rig
        .reports
        .try_iter()
        .any(|event| matches!(event, RecorderEvent::Failed { .. }));
    assert!(failed);
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
