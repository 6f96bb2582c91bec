//! The spool on a real file system: killed, torn, damaged, without its ledger; never short of a word.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use booth_gateway::adapters::disk::RealDisk;
use booth_gateway::adapters::opus::{OggOpus, SpeechEncoder};
use booth_gateway::contract::{BoothId, Consent, ConsentMode, EndedBy, Manifest, Publish};
use booth_gateway::gateway::delivery::{Confirmation, Delivery, Offer, Puback, Receipt, Verdict};
use booth_gateway::gateway::time::Mono;
use booth_gateway::spool::{
    ClipWriter, FrameFacts, KeptClip, Limits, NewClip, OpenFacts, OpenReport, Room, Spool,
    SpoolError, Start,
};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    max_bytes: 1 << 30,
    reserve_bytes: 1 << 20,
};

fn open_at(dir: &Path, boot: &str) -> (Spool, OpenReport) {
    try_open(dir, boot, LIMITS).expect("opens")
}

fn try_open(dir: &Path, boot: &str, limits: Limits) -> Result<(Spool, OpenReport), SpoolError> {
    let facts = OpenFacts {
        boot_id: boot.into(),
        new_card_id: uuid::Uuid::new_v4().to_string(),
        now: "2026-08-01T10:00:00.000Z".into(),
    };
    Spool::open(Arc::new(RealDisk), dir, limits, &facts)
}

fn new_clip() -> NewClip {
    NewClip {
        clip_id: uuid::Uuid::new_v4().to_string(),
        booth_id: BoothId::parse("rundhoej-1").expect("an id"),
        boot_id: "boot".into(),
        question_id: Some("square".into()),
        campaign_id: None,
        lang: "da".into(),
        consent: Consent {
            mode: ConsentMode::Digit,
            key: Some("1".into()),
            notice_id: None,
            publish: Publish::No,
        },
        test: false,
        bitrate: 24_000,
    }
}

fn start() -> Start {
    Start {
        started_at: "2026-08-01T10:00:01.000Z".into(),
        started_mono_ms: 5000,
        clock_synced: true,
    }
}

fn facts(samples: u32) -> FrameFacts {
    FrameFacts {
        samples,
        mean_square: 0.01,
        peak: 9000,
        speech: true,
    }
}

/// A clip as the recorder writes it: real Opus, half a second a frame.
struct Speaker {
    encoder: SpeechEncoder,
    stream: OggOpus,
    writer: ClipWriter,
}

impl Speaker {
    fn begin(spool: &Spool) -> Self {
        let encoder = SpeechEncoder::new(24_000, 5).expect("an encoder");
        let stream = OggOpus::new(7, encoder.pre_skip(), &[("BOOTH_ID", "rundhoej-1")]);
        let writer = spool.begin(new_clip(), encoder.pre_skip()).expect("room");
        Self {
            encoder,
            stream,
            writer,
        }
    }

    fn speak(&mut self) {
        let wave: Vec<i16> = (0..24_000)
            .map(|i| ((f64::from(i) * 0.06).sin() * 8000.0) as i16)
            .collect();
        self.stream.push(&mut self.encoder, &wave).expect("encodes");
        let page = self.stream.take_page();
        self.writer
            .append(&start(), &page, facts(24_000))
            .expect("durable");
    }

    fn hang_up(mut self) -> KeptClip {
        let end = self.stream.finish(&mut self.encoder).expect("ends");
        self.writer
            .finish(&start(), &end, facts(0), EndedBy::HangUp)
            .expect("durable")
    }
}

fn spoken(spool: &Spool, halves: usize) -> KeptClip {
    let mut speaker = Speaker::begin(spool);
    (0..halves).for_each(|_| speaker.speak());
    speaker.hang_up()
}

/// A receipt as the delivery machine gives it.
fn receipt(clip: &KeptClip) -> Receipt {
    let mut delivery = Delivery::new(Confirmation::Broker);
    delivery.connected(None);
    let offer = Offer {
        clip_id: clip.clip_id.clone(),
        bytes: clip.bytes,
        sha256: clip.sha256.clone(),
        kept_at_ms: 0,
    };
    delivery.keep(offer, false);
    loop {
        let send = delivery.next(Mono(0)).expect("something to send");
        for verdict in delivery.puback(Mono(0), send.token, Puback::Success, "") {
            if let Verdict::Release(receipt) = verdict {
                return receipt;
            }
        }
    }
}

fn body(spool: &Spool, clip: &KeptClip) -> Vec<u8> {
    let mut body = Vec::new();
    while (body.len() as u64) < clip.bytes {
        body.extend(
            spool
                .read_body(&clip.clip_id, body.len() as u64, 5000)
                .expect("readable"),
        );
    }
    body
}

fn is_conformant(body: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("clip.opus");
    std::fs::write(&file, body).expect("written");
    let info = Command::new("opusinfo")
        .arg(&file)
        .output()
        .expect("opusinfo runs");
    let text =
        String::from_utf8_lossy(&info.stdout).into_owned() + &String::from_utf8_lossy(&info.stderr);
    assert!(
        info.status.success() && !text.contains("WARNING") && !text.contains("ERROR"),
        "{text}"
    );
}

fn only_clip(dir: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(dir.join("clips")).expect("clips");
    files.next().expect("a clip").expect("an entry").path()
}

#[test]
fn a_clip_is_read_back_as_it_was_spoken_and_its_manifest_is_from_its_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, report) = open_at(dir.path(), "boot");
    assert!(report.new_card);
    let clip = spoken(&spool, 5);
    let body = body(&spool, &clip);
    is_conformant(&body);
    assert_eq!(
        booth_gateway::spool::format::hex(&<sha2::Sha256 as sha2::Digest>::digest(&body)),
        clip.sha256
    );
    let manifest: Manifest =
        serde_json::from_slice(&spool.manifest(&clip.clip_id).expect("there")).expect("valid");
    assert_eq!(
        (manifest.clip_no, manifest.duration_ms, manifest.recovered),
        (1, Some(2500), 0)
    );
    assert_eq!(manifest.ended_by, Some(EndedBy::HangUp));
    assert_eq!(manifest.rms_dbfs, Some(-20.0));
    assert_eq!(
        spool
            .read_body(&clip.clip_id, clip.bytes, 10)
            .expect("readable"),
        b""
    );
}

#[test]
fn without_its_ledger_every_manifest_is_the_same_byte_for_byte() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let mut speaker = Speaker::begin(&spool);
    (0..3).for_each(|_| speaker.speak());
    drop(speaker); // a power cut
    let mut clips: Vec<KeptClip> = (1..6).map(|halves| spoken(&spool, halves)).collect();
    drop(spool);
    let (spool, report) = open_at(dir.path(), "boot");
    assert_eq!(report.recovered.len(), 1);
    clips = spool
        .clips()
        .into_iter()
        .filter(|clip| clip.recovered || clips.contains(clip))
        .collect();
    assert_eq!(clips.len(), 6);
    let manifests = |spool: &Spool| -> Vec<Vec<u8>> {
        clips
            .iter()
            .map(|clip| spool.manifest(&clip.clip_id).expect("there"))
            .collect()
    };
    let before = manifests(&spool);
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).expect("deleted");
    let (spool, report) = open_at(dir.path(), "boot");
    assert!(report.moved_aside.is_empty(), "{report:?}");
    assert_eq!(manifests(&spool), before);
}

#[test]
fn power_cut_before_the_end_keeps_every_fsynced_frame_as_a_conformant_clip() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let mut speaker = Speaker::begin(&spool);
    (0..7).for_each(|_| speaker.speak());
    drop((speaker, spool));
    let (spool, report) = open_at(dir.path(), "boot 2");
    assert_eq!(report.recovered.len(), 1);
    let clip = spool.clips().remove(0);
    assert_eq!(
        (
            clip.duration_ms,
            clip.ended_by,
            clip.recovered,
            clip.clip_no
        ),
        (3500, EndedBy::Power, true, 1)
    );
    is_conformant(&body(&spool, &clip));
    assert_eq!(spool.card().boot_count, 2);
}

#[test]
fn a_discarded_take_never_comes_back_and_takes_no_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let mut speaker = Speaker::begin(&spool);
    speaker.speak();
    let file = only_clip(dir.path());
    let before = std::fs::read(&file).expect("readable");
    speaker.writer.discard().expect("discarded");
    assert!(!file.exists());
    assert_eq!(spoken(&spool, 1).clip_no, 1);
    drop(spool);
    // The power went between the mark and the unlink.
    let marked = [before, booth_gateway::spool::discarded_record(3)].concat();
    std::fs::write(&file, marked).expect("written");
    let (spool, report) = open_at(dir.path(), "boot");
    assert!(report.recovered.is_empty() && !file.exists(), "{report:?}");
    assert_eq!(spool.clips().len(), 1);
}

#[test]
fn a_number_is_never_given_twice_even_when_all_clips_and_the_ledger_are_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let clips: Vec<KeptClip> = (0..4).map(|_| spoken(&spool, 1)).collect();
    assert_eq!(
        clips.iter().map(|clip| clip.clip_no).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    spool
        .release(clips.iter().map(receipt).collect())
        .expect("released");
    assert!(spool.clips().is_empty());
    assert_eq!(
        std::fs::read_dir(dir.path().join("clips"))
            .expect("clips")
            .count(),
        0
    );
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).expect("deleted");
    let (spool, _) = open_at(dir.path(), "boot");
    assert_eq!(spoken(&spool, 1).clip_no, 5);
}

#[test]
fn a_receipt_for_another_body_releases_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let mut clip = spoken(&spool, 1);
    clip.sha256 = "0".repeat(64);
    assert!(matches!(
        spool.release(vec![receipt(&clip)]),
        Err(SpoolError::WrongReceipt(_))
    ));
    assert_eq!(spool.clips().len(), 1);
}

#[test]
fn a_quarantined_clip_is_kept_and_its_number_stays_taken() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let clip = spoken(&spool, 1);
    spool.quarantine(&clip.clip_id).expect("moved");
    assert!(spool.clips().is_empty());
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).expect("deleted");
    let (spool, _) = open_at(dir.path(), "boot");
    assert_eq!(spool.figures().quarantined, 1);
    assert_eq!(spoken(&spool, 1).clip_no, 2);
}

#[test]
fn a_damaged_ledger_identity_or_clip_is_set_aside_and_the_rest_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let clips: Vec<KeptClip> = (1..4).map(|halves| spoken(&spool, halves)).collect();
    let card = spool.card().card_id;
    drop(spool);
    for entry in std::fs::read_dir(dir.path().join("ledger"))
        .expect("the ledger")
        .flatten()
    {
        if entry.path().is_file() {
            std::fs::write(entry.path(), [0xAB; 3000]).expect("damaged");
        }
    }
    std::fs::write(dir.path().join("card.json"), b"{\"card_id\":").expect("damaged");
    let victim = dir
        .path()
        .join("clips")
        .join(format!("{}.clip", clips[0].clip_id));
    let mut bytes = std::fs::read(&victim).expect("readable");
    bytes[30] ^= 0xFF;
    std::fs::write(&victim, bytes).expect("damaged");
    let (spool, report) = open_at(dir.path(), "boot");
    assert_eq!(report.moved_aside.len(), 3, "{report:?}");
    assert!(report.new_card && spool.card().card_id != card);
    assert_eq!(
        spool.card().previous_card_id.as_deref(),
        Some(card.as_str())
    );
    let kept = spool.clips();
    assert_eq!(kept.len(), 2);
    assert!(
        kept.iter().all(|clip| clip.card_id == card),
        "clips keep their own card"
    );
    assert_eq!(
        std::fs::read_dir(dir.path().join("aside"))
            .expect("aside")
            .count(),
        3
    );
}

#[test]
fn a_second_gateway_is_told_and_a_full_or_read_only_card_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    assert!(matches!(
        try_open(dir.path(), "boot", LIMITS),
        Err(SpoolError::Locked(_))
    ));
    assert_eq!(spool.room(), Room::Free);
    drop(spool);
    let (spool, _) = try_open(
        dir.path(),
        "boot",
        Limits {
            max_bytes: 10,
            ..LIMITS
        },
    )
    .expect("opens");
    let mut speaker = Speaker::begin(&spool);
    speaker.speak();
    speaker.hang_up();
    assert!(matches!(spool.room(), Room::Full(why) if why.contains("max_bytes")));
    assert!(matches!(
        spool.begin(new_clip(), 312),
        Err(SpoolError::Full(_))
    ));
    drop(spool);
    let reserve = Limits {
        reserve_bytes: u64::MAX,
        ..LIMITS
    };
    let (spool, _) = try_open(dir.path(), "boot", reserve).expect("opens");
    assert!(matches!(spool.room(), Room::Full(why) if why.contains("reserve_bytes")));
    let Err(error) = try_open(Path::new("/proc/no-such-spool"), "boot", LIMITS) else {
        panic!("a spool in a place that cannot hold one")
    };
    assert!(error.to_string().contains("/proc/no-such-spool"), "{error}");
}

#[test]
fn counters_survive_a_restart_and_a_lost_ledger() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open_at(dir.path(), "boot");
    let counters = [("lifts_total".to_owned(), 41u64)].into();
    spool.save_counters(&counters).expect("saved");
    let clip = spoken(&spool, 1);
    spool.release(vec![receipt(&clip)]).expect("released");
    drop(spool);
    let (spool, _) = open_at(dir.path(), "boot");
    assert_eq!(spool.counters(), counters);
    drop(spool);
    std::fs::remove_dir_all(dir.path().join("ledger")).expect("deleted");
    assert_eq!(open_at(dir.path(), "boot").0.counters(), counters);
}

/// Not a test of its own: the process that is killed. It tells each frame after it is durable.
#[test]
fn writer_for_the_kill_test() {
    let Some(dir) = std::env::var_os("BOOTH_SPOOL_WRITER") else {
        return;
    };
    let (spool, _) = open_at(Path::new(&dir), "boot");
    let mut out = std::io::stdout();
    for number in 0u32.. {
        let mut speaker = Speaker::begin(&spool);
        for frame in 0..(number % 4 + 1) {
            speaker.speak();
            writeln!(out, "\nframe {} {}", speaker.writer.clip_id(), frame + 1).expect("told");
        }
        if number % 3 != 2 {
            let clip = speaker.hang_up();
            writeln!(out, "\nkept {} {}", clip.clip_id, clip.clip_no).expect("told");
        }
    }
}

#[test]
fn kill_at_any_moment_loses_no_fsynced_frame_and_no_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut frames = std::collections::BTreeMap::<String, u64>::new();
    let mut kept = std::collections::BTreeMap::<String, u64>::new();
    let mut lots = 88_172_645_463_325_252u64;
    for _ in 0..25 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "writer_for_the_kill_test", "--nocapture"])
            .env("BOOTH_SPOOL_WRITER", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("runs");
        lots ^= lots << 13;
        lots ^= lots >> 7;
        lots ^= lots << 17;
        let mut left = 1 + lots % 60;
        for line in BufReader::new(child.stdout.take().expect("a pipe"))
            .lines()
            .map_while(Result::ok)
        {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["frame", id, count] => {
                    frames.insert((*id).into(), count.parse().expect("a count"));
                }
                ["kept", id, number] => {
                    kept.insert((*id).into(), number.parse().expect("a number"));
                }
                _ => continue,
            }
            left -= 1;
            if left == 0 {
                let _ = child.kill();
                break;
            }
        }
        let _ = child.kill();
        child.wait().expect("gone");
    }
    let (spool, report) = open_at(dir.path(), "boot");
    assert!(report.moved_aside.is_empty(), "{report:?}");
    let clips = spool.clips();
    assert!(
        frames.len() > 25 && kept.len() > 10,
        "the writers hardly wrote"
    );
    for (id, count) in &frames {
        let clip = clips
            .iter()
            .find(|clip| clip.clip_id == *id)
            .unwrap_or_else(|| panic!("clip {id} is lost"));
        assert!(
            clip.duration_ms >= count * 500,
            "{count} frames were durable, {} ms are left",
            clip.duration_ms
        );
    }
    for (id, number) in &kept {
        assert!(
            clips
                .iter()
                .any(|clip| clip.clip_id == *id && clip.clip_no == *number)
        );
    }
    let mut numbers: Vec<u64> = clips.iter().map(|clip| clip.clip_no).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=clips.len() as u64).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_torn_or_damaged_tail_costs_only_what_lies_behind_it(
        halves in 1usize..8, cut in 0.0f64..1.0, flip in prop::option::of((0.0f64..1.0, any::<u8>())), zeros in 0usize..5000
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let (spool, _) = open_at(dir.path(), "boot");
        let mut speaker = Speaker::begin(&spool);
        let mut ends = vec![std::fs::metadata(only_clip(dir.path())).expect("there").len()];
        for _ in 0..halves {
            speaker.speak();
            ends.push(std::fs::metadata(only_clip(dir.path())).expect("there").len());
        }
        drop((speaker, spool));
        let file = only_clip(dir.path());
        let mut bytes = std::fs::read(&file).expect("readable");
        // The header was fsynced before anybody spoke: damage begins behind it.
        let from = ends[0] as usize;
        let at = from + ((bytes.len() - from) as f64 * cut) as usize;
        bytes.truncate(at);
        let mut damaged = at;
        if let Some((place, value)) = flip && at > from {
            let index = from + ((at - from) as f64 * place) as usize;
            if bytes[index] != value {
                bytes[index] = value;
                damaged = index;
            }
        }
        bytes.extend(vec![0; zeros]);
        std::fs::write(&file, bytes).expect("written");
        let whole = ends[1..].iter().filter(|end| **end as usize <= damaged).count() as u64;
        let (spool, report) = open_at(dir.path(), "boot");
        prop_assert!(report.moved_aside.is_empty(), "{:?}", report);
        let clips = spool.clips();
        if whole == 0 {
            prop_assert!(clips.is_empty());
        } else {
            prop_assert_eq!(clips[0].duration_ms, whole * 500);
            let body = body(&spool, &clips[0]);
            let mut reader = ogg::PacketReader::new(std::io::Cursor::new(body));
            let mut ended = false;
            while let Some(packet) = reader.read_packet().expect("valid pages") {
                ended = packet.last_in_stream();
            }
            prop_assert!(ended);
        }
    }
}
