//! Real speech-like pages, and a spool in a folder of its own.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::sync::{Arc, OnceLock};

use booth_contract::time::Mono;
use booth_contract::{BoothId, Consent, EndedBy};
use booth_spool::disk::Disk;
use booth_spool::real_disk::RealDisk;
use booth_spool::{
    FrameFacts, KeptClip, NewClip, OpenFacts, OpenReport, Spool, SpoolError, StartFacts,
};
use booth_stage::wait::until;
use gateway_core::delivery::{Confirmation, Delivery, Offer, Puback, Receipt, Verdict};
use ogg::writing::{PacketWriteEndInfo, PacketWriter};

/// Half a second of pages and what was measured over it.
#[derive(Clone)]
pub struct Frame {
    pub pages: Vec<u8>,
    pub facts: FrameFacts,
}

/// A conformant Ogg Opus stream of a warbling tone in frames of half a second; the last has the end of the stream.
pub fn speech(frames: usize) -> Vec<Frame> {
    let mut encoder =
        opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(24_000)).unwrap();
    let pre_skip = encoder.get_lookahead().unwrap() as u64;
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend_from_slice(&(pre_skip as u16).to_le_bytes());
    head.extend_from_slice(&48_000u32.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&4u32.to_le_bytes());
    tags.extend_from_slice(b"test");
    tags.extend_from_slice(&0u32.to_le_bytes());

    let serial = 0x0b00_7001;
    let mut writer = PacketWriter::new(Vec::new());
    writer
        .write_packet(head, serial, PacketWriteEndInfo::EndPage, 0)
        .unwrap();
    writer
        .write_packet(tags, serial, PacketWriteEndInfo::EndPage, 0)
        .unwrap();
    let mut made = Vec::new();
    let mut sent = 0;
    let mut sample = 0u64;
    for frame in 0..frames {
        for packet in 0..25 {
            let pcm: Vec<i16> = (0..960)
                .map(|_| {
                    sample += 1;
                    let t = sample as f64 / 48_000.0;
                    let pitch = 300.0 + 100.0 * (t * 3.0).sin();
                    ((t * pitch * std::f64::consts::TAU).sin() * 8_000.0) as i16
                })
                .collect();
            let bytes = encoder.encode_vec(&pcm, 1_500).unwrap();
            let end = match (packet, frame + 1 == frames) {
                (24, true) => PacketWriteEndInfo::EndStream,
                (24, false) => PacketWriteEndInfo::EndPage,
                _ => PacketWriteEndInfo::NormalPacket,
            };
            writer.write_packet(bytes, serial, end, sample).unwrap();
        }
        let bytes = writer.inner();
        made.push(Frame {
            pages: bytes[sent..].to_vec(),
            facts: FrameFacts {
                samples: 24_000,
                mean_square: 0.03,
                peak: 8_000,
                speech: frame % 4 != 3,
            },
        });
        sent = bytes.len();
    }
    made
}

/// Twelve seconds of such speech, made once.
pub fn long_speech() -> &'static [Frame] {
    static MADE: OnceLock<Vec<Frame>> = OnceLock::new();
    MADE.get_or_init(|| speech(24))
}

pub fn facts(boot: &str) -> OpenFacts {
    OpenFacts {
        boot_id: boot.into(),
        fresh_card_id: uuid::Uuid::new_v4().to_string().into(),
        wall_ms: 1_767_225_600_000,
        max_bytes: 1 << 30,
        reserve_bytes: 0,
        ledger: true,
        card_cid: None,
        hw_serial: None,
        ballast_bytes: 0,
        failed_before: 0,
    }
}

pub fn open(dir: &Path) -> (Spool, OpenReport) {
    open_on(Arc::new(RealDisk::new()), dir, "boot-1").unwrap()
}

/// Opens a spool, also one that this process has just closed: a child that a test beside has just started holds a copy of the
/// closed lock until its program runs.
pub fn open_when_free(
    disk: Arc<dyn Disk>,
    dir: &Path,
    facts: OpenFacts,
) -> Result<(Spool, OpenReport), SpoolError> {
    until("nobody has the spool", || {
        match Spool::open(disk.clone(), dir, facts.clone()) {
            Err(SpoolError::InUse { .. }) => None,
            opened => Some(opened),
        }
    })
}

pub fn open_on(
    disk: Arc<dyn Disk>,
    dir: &Path,
    boot: &str,
) -> Result<(Spool, OpenReport), SpoolError> {
    open_when_free(disk, dir, facts(boot))
}

pub fn new_clip() -> NewClip {
    let booth_id = BoothId::parse("rundhoej-1").expect("an id");
    let armed = StartFacts {
        wall_ms: 1_767_225_600_000,
        mono: Mono(60_000),
        clock_synced: true,
    };
    NewClip {
        question_id: Some("square".into()),
        lang: Some("da".into()),
        ..NewClip::speech(
            uuid::Uuid::new_v4().to_string().into(),
            booth_id,
            Consent::by_key("1"),
            armed,
        )
    }
}

/// Records `frames` of the long speech as a clip and hangs up.
pub fn record(spool: &Spool, frames: usize) -> KeptClip {
    let mut writer = spool.begin(new_clip()).unwrap();
    let speech = long_speech();
    for frame in &speech[..frames - 1] {
        writer.append(&frame.pages, frame.facts).unwrap();
    }
    let last = &speech[frames - 1];
    writer
        .finish(&last.pages, last.facts, EndedBy::HangUp)
        .unwrap()
}

pub fn receipt(clip: &KeptClip) -> Receipt {
    receipt_for(&clip.clip_id, clip.bytes, &clip.sha256)
}

/// The whole body, read as parts of an odd size.
pub fn body(spool: &Spool, clip: &KeptClip) -> Vec<u8> {
    let mut body = Vec::new();
    while (body.len() as u64) < clip.bytes {
        let part = spool
            .read_body(&clip.clip_id, body.len() as u64, 7_001)
            .unwrap();
        assert!(!part.is_empty(), "the body ends early");
        body.extend_from_slice(&part);
    }
    body
}

pub fn clip_file(dir: &Path, clip_id: &str) -> std::path::PathBuf {
    dir.join("clips").join(format!("{clip_id}.clip"))
}

/// Numbers that look random and come again with the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// A receipt for this body, made the only way there is: by the delivery machine.
pub fn receipt_for(clip_id: &str, bytes: u64, sha256: &str) -> Receipt {
    let mut delivery = Delivery::new(Confirmation::Broker);
    delivery.connected(None);
    delivery.keep(
        Offer {
            clip_id: clip_id.into(),
            bytes,
            sha256: sha256.into(),
            kept_at_ms: 0,
            fixed: true,
            is_withdrawal: false,
        },
        false,
    );
    loop {
        let send = delivery.next(Mono(0)).expect("something to send");
        for verdict in delivery.puback(Mono(0), send.token, Puback::Success, "") {
            if let Verdict::Release(receipt) = verdict {
                return receipt;
            }
        }
    }
}
