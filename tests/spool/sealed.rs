//! A sealed take on the card: what lies open, and what is opened after a power cut.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use booth_audio::{Band, SpeechEncoder};
use booth_contract::{BodyKind, EndedBy, Manifest, Publish};
use booth_gateway::adapters::capture::{Feed, Tap};
use booth_gateway::adapters::recorder::{Recorder, RecorderCommand, RecorderEvent};
use booth_host::clock;
use booth_sealing::{
    DataKey, Ending, Identity, KernelRandom, Recipients, SealTo, Sealer, open as unseal,
};
use booth_spool::{ClipWriter, NewClip, OpenFacts, Spool};
use booth_testkit::model_disk::{EIO, ENOSPC, Fault, Left, ModelDisk};
use booth_testkit::searched;
use booth_testkit::spool_rig::*;
use gateway_core::liveness::Beat;
use gateway_core::session::TakeId;

/// The city, and a take that is sealed to it.
struct Sealed {
    city: Identity,
    sealer: Sealer,
    head: Vec<u8>,
    writer: ClipWriter,
    clip_id: String,
}

impl Sealed {
    fn begin(spool: &Spool) -> Self {
        let city = Identity::generate(&mut KernelRandom).unwrap();
        let recipients = Recipients::new(vec![city.recipient()]).unwrap();
        let clip = NewClip {
            body: BodyKind::SealedOggOpus,
            key_ids: recipients.ids(),
            ..new_clip()
        };
        let clip_id = clip.clip_id.clone();
        let id = uuid::Uuid::parse_str(&clip_id).unwrap();
        let key = DataKey::generate(&mut KernelRandom).unwrap();
        let (sealer, head) = Sealer::begin(id, &key, &recipients, &mut KernelRandom).unwrap();
        let writer = spool.begin(clip).unwrap();
        Self {
            city,
            sealer,
            head,
            writer,
            clip_id: clip_id.to_string(),
        }
    }

    fn append(&mut self, frame: &Frame) {
        let mut body = std::mem::take(&mut self.head);
        body.extend(self.sealer.seal(frame.facts, &frame.pages));
        self.writer.append(&body, frame.facts).unwrap();
    }
}

fn manifest(spool: &Spool, clip_id: &str) -> Manifest {
    serde_json::from_slice(&spool.manifest(&clip_id.into()).unwrap()).unwrap()
}

fn pages(frames: &[Frame]) -> Vec<u8> {
    frames
        .iter()
        .flat_map(|frame| frame.pages.clone())
        .collect()
}

/// Whether a file of this folder, or of one below it, holds these bytes.
fn holds(folder: &Path, piece: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        match path.is_dir() {
            true => holds(&path, piece),
            false => {
                let bytes = std::fs::read(&path).unwrap();
                searched::holds(&bytes, piece)
            }
        }
    })
}

/// No Opus packet of these frames, and no level of any, lies open in the spool.
fn assert_nothing_lies_open(spool: &Path, frames: &[Frame]) {
    for frame in frames {
        let last = frame.pages.len() - 24;
        assert!(!holds(spool, &frame.pages[last..]), "a packet lies open");
        let mut levels = frame.facts.mean_square.to_le_bytes().to_vec();
        levels.extend(frame.facts.peak.to_le_bytes());
        assert!(!holds(spool, &levels), "a level lies open");
    }
}

#[test]
fn a_sealed_take_opens_to_the_very_file_and_its_levels_are_in_its_manifest_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut take = Sealed::begin(&spool);
    let speech = long_speech();
    for frame in &speech[..23] {
        take.append(frame);
    }
    let last = take.sealer.seal_last(speech[23].facts, &speech[23].pages);
    let clip = take
        .writer
        .finish(&last, speech[23].facts, EndedBy::HangUp)
        .unwrap();

    let opened = unseal(&body(&spool, &clip), &[take.city]).unwrap();
    assert_eq!(opened.ending, Ending::Whole);
    assert_eq!(*opened.ogg, pages(speech));
    let manifest = manifest(&spool, &take.clip_id);
    assert_eq!(manifest.body, Some(BodyKind::SealedOggOpus));
    assert_eq!(manifest.key_ids.len(), 1);
    assert_eq!(manifest.duration_ms, Some(12_000));
    assert_eq!(
        (manifest.rms_dbfs, manifest.peak_dbfs),
        (Some(-15.2), Some(-12.2))
    );
    assert_eq!(manifest.speech_ratio, Some(0.75));
    drop(spool);
    assert_nothing_lies_open(dir.path(), speech);
}

#[test]
fn a_sealed_take_that_a_power_cut_ended_opens_as_far_as_it_was_written_and_has_no_levels() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let mut take = Sealed::begin(&spool);
    let speech = long_speech();
    for frame in &speech[..5] {
        take.append(frame);
    }
    let file = dir.path().join(format!("clips/{}.clip", take.clip_id));
    let cut_off = std::fs::read(&file).unwrap();
    drop((take.writer, spool));
    // The power fails while the next frame is being written.
    let torn = [&cut_off[..], &[0x5A; 700]].concat();
    std::fs::write(&file, torn).unwrap();

    let (spool, report) = open(dir.path());
    assert_eq!(report.recovered.len(), 1);
    let clip = &report.recovered[0];
    let manifest = manifest(&spool, &take.clip_id);
    assert_eq!(
        (manifest.recovered, manifest.ended_by),
        (1, Some(EndedBy::Power))
    );
    assert_eq!(manifest.duration_ms, Some(2_500));
    let levels = (manifest.rms_dbfs, manifest.peak_dbfs, manifest.speech_ratio);
    assert_eq!(levels, (None, None, None));
    let opened = unseal(&body(&spool, clip), &[take.city]).unwrap();
    assert_eq!(opened.ending, Ending::Cut);
    assert!(opened.ogg.starts_with(&pages(&speech[..5])));
    drop(spool);
    assert_nothing_lies_open(dir.path(), &speech[..5]);
}

/// A booth's recorder whose spool lies on a disk in memory, and the frames that were ever found there.
struct Booth {
    disk: ModelDisk,
    keys: Arc<Recipients>,
    feed: Feed,
    recorder: Recorder<Box<dyn Fn(RecorderEvent)>>,
    orders: Sender<RecorderCommand>,
    ordered: Receiver<RecorderCommand>,
    told: Receiver<RecorderEvent>,
}

impl Booth {
    fn on(disk: &ModelDisk, keys: &Arc<Recipients>) -> Self {
        let (feed, tap) = Tap::pair();
        let (taps, tapped) = channel();
        taps.send(tap).unwrap();
        let (events, told) = channel();
        let encoder = SpeechEncoder::new(24_000, 0, Band::Wide).unwrap();
        let report: Box<dyn Fn(RecorderEvent)> = Box::new(move |event| {
            let _ = events.send(event);
        });
        let recorder = Recorder::new(encoder, tapped, Arc::default(), Beat::default(), report);
        let (orders, ordered) = channel();
        Self {
            disk: disk.clone(),
            keys: keys.clone(),
            feed,
            recorder,
            orders,
            ordered,
            told,
        }
    }

    fn order(&mut self, command: RecorderCommand) {
        self.orders.send(command).unwrap();
        self.recorder.turn(&self.ordered, Duration::ZERO);
    }

    /// Somebody speaks for a second and a half; true if the words are held.
    fn speak(&mut self, take: TakeId) -> bool {
        let now = || i64::try_from(clock::mono_us()).unwrap();
        self.feed.push(&[0; 960], 1, now() - 20_000);
        let clip = Box::new(new_clip());
        let seal_to = SealTo::Keys(self.keys.clone());
        self.order(RecorderCommand::Arm {
            take,
            clip,
            seal_to,
        });
        let from = clock::mono();
        self.order(RecorderCommand::Keep { take, from });
        let speech: Vec<i16> = (0..72_000).map(|at| ((at * 37) % 8_000) as i16).collect();
        for half in speech.chunks(24_000) {
            self.feed.push(half, 1, now());
            self.recorder.turn(&self.ordered, Duration::ZERO);
        }
        self.order(RecorderCommand::Finish {
            take,
            ended_by: EndedBy::Key,
            at: clock::mono() - Duration::from_millis(100),
            min: Duration::ZERO,
        });
        let mut told = self.told.try_iter();
        told.any(|event| matches!(event, RecorderEvent::Held { .. }))
    }
}

/// Adds the sealed frames of all clip files of a disk, by clip and number.
fn note_frames(disk: &ModelDisk, seen: &mut BTreeMap<(String, u64), BTreeSet<Vec<u8>>>) {
    for path in disk.files() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((clip, _)) = name.split_once(".clip") else {
            continue;
        };
        let file = disk.content(&path).unwrap();
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let (mut at, mut number) = (24, 0);
        while at + 16 <= file.len() && at + 16 + word(at) <= file.len() {
            let payload = &file[at + 16..at + 16 + word(at)];
            // A record that was torn or is in doubt is none: what its checksum covers is what was written.
            let sum = crc32c::crc32c_append(crc32c::crc32c(&file[..24]), &file[at..at + 12]);
            if crc32c::crc32c_append(sum, payload) as usize != word(at + 12) {
                break;
            }
            if file[at + 4] == 3 {
                let mut body = &payload[12..];
                if body.starts_with(b"BOOTHSC\x01") {
                    let envelope = u32::from_le_bytes(body[24..28].try_into().unwrap()) as usize;
                    body = &body[60 + envelope..];
                }
                while let Some((mark, _)) = body.split_first_chunk::<4>() {
                    let length = (u32::from_le_bytes(*mark) & 0x7FFF_FFFF) as usize + 20;
                    let (frame, rest) = body.split_at(length);
                    let frames = seen.entry((clip.to_owned(), number)).or_default();
                    frames.insert(frame.to_vec());
                    (body, number) = (rest, number + 1);
                }
            }
            at += 16 + word(at);
        }
    }
}

/// One visit with *say again*, in which an operation of the disk fails, and every state that it leaves. Returns how many operations
/// it had, and how many frames were seen.
fn a_visit_with_one_failure(failing: u64, fault: Fault) -> (u64, usize) {
    let city = Identity::generate(&mut KernelRandom).unwrap();
    let keys = Arc::new(Recipients::new(vec![city.recipient()]).unwrap());
    let disk = ModelDisk::new();
    let opened = |disk: &ModelDisk, boot: &str| {
        let facts = OpenFacts {
            ledger: false,
            ..facts(boot)
        };
        let disk = Arc::new(disk.clone());
        booth_spool::Spool::open(disk, Path::new("/spool"), facts)
            .unwrap()
            .0
    };
    let spool = opened(&disk, "boot-1");
    let mut seen = BTreeMap::new();
    let mut booth = Booth::on(&disk, &keys);
    booth.order(RecorderCommand::UseSpool(spool.clone()));
    disk.fail_at(disk.operations() + failing, fault);
    let before = disk.operations();
    for take in [TakeId(1), TakeId(2)] {
        let is_held = booth.speak(take);
        note_frames(&booth.disk, &mut seen);
        booth.order(match (take, is_held) {
            // Say again.
            (TakeId(1), true) => RecorderCommand::Discard { take },
            _ => RecorderCommand::Close {
                take,
                publish: Publish::No,
            },
        });
        for seed in 0..4 {
            note_frames(&disk.power_cut(seed), &mut seen);
        }
        spool.mend();
        note_frames(&disk, &mut seen);
    }
    let operations = disk.operations() - before;
    disk.heal();
    spool.mend();
    drop((booth, spool));
    for (boot, left) in [("boot-1", disk.snapshot()), ("boot-2", disk.power_cut(9))] {
        note_frames(&left, &mut seen);
        let spool = opened(&left, boot);
        note_frames(&left, &mut seen);
        for clip in spool.clips() {
            let opened = unseal(&body(&spool, &clip), std::slice::from_ref(&city)).unwrap();
            assert!(
                matches!(opened.ending, Ending::Whole | Ending::Cut),
                "{:?}",
                opened.ending
            );
            assert!(opened.ending == Ending::Whole || clip.recovered);
        }
    }
    for ((clip, number), frames) in &seen {
        assert_eq!(
            frames.len(),
            1,
            "operation {failing} {fault:?}: frame {number} of {clip}"
        );
    }
    (operations, seen.len())
}

#[test]
fn no_two_texts_are_ever_sealed_under_one_frame_number_whatever_fails_is_torn_or_is_said_again() {
    let mut frames = 0;
    for left in [Left::Nothing, Left::Half, Left::All] {
        for errno in [EIO, ENOSPC] {
            let mut failing = 0;
            loop {
                let (operations, seen) = a_visit_with_one_failure(failing, Fault { errno, left });
                frames += seen;
                failing += 1;
                if failing > operations {
                    break;
                }
            }
            assert!(failing > 20, "only {failing} operations failed");
        }
    }
    assert!(frames > 500, "{frames}");
}
