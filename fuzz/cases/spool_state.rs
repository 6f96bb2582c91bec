//! A spool on a disk in memory, and what must be true of any spool that opened.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use booth_audio::{Band, OggOpus, SpeechEncoder};
use booth_contract::time::Mono;
use booth_contract::{BoothId, Consent, EndedBy, Manifest, hex};
use booth_hub::ingest::is_clip_id;
use booth_spool::{
    ClipWriter, FrameFacts, KeptClip, NewClip, OpenFacts, OpenReport, Spool, StartFacts,
};
use gateway_core::delivery::{Confirmation, Delivery, Offer, Puback, Receipt, Verdict};
use sha2::{Digest, Sha256};

use super::memory_disk::MemoryDisk;

/// Where the spool is on the disk in memory.
pub const DIR: &str = "spool";
/// The clips of the seeds.
pub const CLIPS: [&str; 3] = [
    "6f9619ff-8b86-4d01-b42d-00cf4fc964f0",
    "6f9619ff-8b86-4d01-b42d-00cf4fc964f1",
    "6f9619ff-8b86-4d01-b42d-00cf4fc964f2",
];
/// Id of the seeds' card.
pub const CARD: &str = "0d8e4b0c-3a53-4f3e-9d0b-2f4b8f0a7c11";
const NEW_CLIP: &str = "11111111-2222-4333-8444-555555555555";

pub fn facts(boot: &str) -> OpenFacts {
    OpenFacts {
        boot_id: boot.into(),
        fresh_card_id: CARD.into(),
        wall_ms: 1_767_225_600_000,
        max_bytes: 1 << 30,
        reserve_bytes: 0,
        ledger: false,
        card_cid: None,
        hw_serial: None,
        ballast_bytes: 0,
        failed_before: 0,
    }
}

pub fn clip_path(clip_id: &str) -> String {
    format!("{DIR}/clips/{clip_id}.clip")
}

/// Opens the spool on `disk`; whatever lies there, this works.
pub fn open(disk: &MemoryDisk, boot: &str) -> (Spool, OpenReport) {
    Spool::open(Arc::new(disk.clone()), Path::new(DIR), facts(boot))
        .unwrap_or_else(|error| panic!("the gateway does not start by itself: {error}"))
}

pub fn new_clip(clip_id: &str) -> NewClip {
    let booth_id = BoothId::parse("rundhoej-1").expect("an id");
    let armed = StartFacts {
        wall_ms: 1_767_225_600_000,
        mono: Mono(60_000),
        clock_synced: true,
    };
    NewClip {
        question_id: Some("square".into()),
        lang: Some("da".into()),
        ..NewClip::speech(clip_id.into(), booth_id, Consent::by_key("1"), armed)
    }
}

/// Three half seconds of near silence as Ogg pages; the last ends the stream.
pub fn pages() -> &'static [Vec<u8>] {
    static MADE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut encoder = SpeechEncoder::new(6_000, 0, Band::Wide).expect("an encoder");
        let mut stream = OggOpus::new(7, encoder.pre_skip(), &[]);
        let mut pages = Vec::new();
        for _ in 0..2 {
            stream.push(&mut encoder, &[0; 24_000]).expect("encodes");
            pages.push(stream.take_page());
        }
        pages.push(stream.finish(&mut encoder).expect("ends"));
        pages
    })
}

pub fn frame_facts() -> FrameFacts {
    FrameFacts {
        samples: 24_000,
        mean_square: 0.03,
        peak: 8_000,
        speech: true,
    }
}

/// Begins a clip and says its first half second.
pub fn begun(spool: &Spool, clip_id: &str) -> ClipWriter {
    let mut writer = spool.begin(new_clip(clip_id)).expect("room for a clip");
    writer
        .append(&pages()[0], frame_facts())
        .expect("the disk takes it");
    writer
}

/// A whole clip.
pub fn recorded(spool: &Spool, clip_id: &str) -> KeptClip {
    let mut writer = begun(spool, clip_id);
    writer
        .append(&pages()[1], frame_facts())
        .expect("the disk takes it");
    writer
        .finish(&pages()[2], FrameFacts::default(), EndedBy::HangUp)
        .expect("the clip is kept")
}

/// Every clip can be read, and is what its manifest says.
pub fn check_readable(spool: &Spool, report: &OpenReport) {
    for clip in spool.clips() {
        let manifest = manifest(spool, &clip);
        assert_eq!(manifest.clip_id, clip.clip_id, "a manifest of another clip");
        assert!(is_clip_id(&clip.clip_id), "a topic that the hub ignores");
        assert_eq!(manifest.bytes, clip.bytes);
        let body = spool
            .read_body(&clip.clip_id, 0, usize::MAX)
            .unwrap_or_else(|error| panic!("a finished clip cannot be read: {error}"));
        assert_eq!(body.len() as u64, clip.bytes, "its body is not whole");
        if report
            .recovered
            .iter()
            .any(|found| found.clip_id == clip.clip_id)
        {
            assert_eq!(hex(&Sha256::digest(&body)), clip.sha256, "another hash");
            assert!(clip.recovered && manifest.recovered == 1);
        }
        let half = clip.bytes / 2;
        let part = spool.read_body(&clip.clip_id, half, 100).expect("a part");
        assert!(body[half as usize..].starts_with(&part));
    }
}

/// A clip's manifest, which is one.
pub fn manifest(spool: &Spool, clip: &KeptClip) -> Manifest {
    let bytes = spool
        .manifest(&clip.clip_id)
        .unwrap_or_else(|error| panic!("a finished clip has no manifest: {error}"));
    serde_json::from_slice(&bytes).expect("a manifest")
}

/// The booth goes on: another citizen's words get the next number.
pub fn check_goes_on(spool: &Spool) {
    let last = spool.last_clip_no();
    let kept = recorded(spool, NEW_CLIP);
    assert_eq!(kept.clip_no, last + 1, "a number is skipped or used twice");
    assert!(kept.clip_no < 1 << 53, "a number that the hub refuses");
}

/// A receipt for a clip, made the only way there is.
pub fn receipt(clip: &KeptClip) -> Receipt {
    let mut delivery = Delivery::new(Confirmation::Broker);
    delivery.connected(None);
    delivery.keep(
        Offer {
            clip_id: clip.clip_id.clone(),
            bytes: 0,
            sha256: clip.sha256.clone(),
            kept_at_ms: 0,
            fixed: true,
            is_withdrawal: false,
        },
        false,
    );
    let send = delivery.next(Mono(0)).expect("a manifest to send");
    match delivery
        .puback(Mono(0), send.token, Puback::Success, "")
        .pop()
    {
        Some(Verdict::Release(receipt)) => receipt,
        other => panic!("no receipt: {other:?}"),
    }
}
