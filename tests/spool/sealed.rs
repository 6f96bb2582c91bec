//! A sealed take on the card: what lies open, and what is opened after a power cut.
#![allow(clippy::disallowed_methods)]

use std::path::Path;

use booth_contract::{BodyKind, EndedBy, Manifest};
use booth_sealing::{DataKey, Ending, Identity, KernelRandom, Recipients, Sealer, open as unseal};
use booth_spool::{ClipWriter, NewClip, Spool};
use booth_testkit::spool_rig::*;

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
                bytes.windows(piece.len()).any(|window| window == piece)
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
