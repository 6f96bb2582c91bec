//! The same speech through `examples/encode.rs`, which does nothing but encode, and through a booth's recorder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use booth_audio::SpeechEncoder;
use booth_contract::time::Mono;
use booth_contract::{BoothId, Consent, EndedBy, Publish};
use booth_gateway::adapters::capture::Tap;
use booth_gateway::adapters::recorder::{Recorder, RecorderCommand, RecorderEvent};
use booth_gateway::config::Audio;
use booth_sealing::SealTo;
use booth_spool::real_disk::RealDisk;
use booth_spool::{NewClip, OpenFacts, Spool, StartFacts};
use booth_testkit::spool_rig::receipt;
use gateway_core::liveness::Beat;
use gateway_core::session::TakeId;

use super::bytes_written;

/// Makes this program the one that [`instructions`] counts: the recorder's thread without a clock.
pub const RECORDS: &str = "--recorder";
/// The same for a recorder that seals.
pub const SEALS: &str = "--sealing-recorder";
/// The id of the clip that [`record`] makes.
pub const RECORDED: uuid::Uuid = uuid::Uuid::from_u128(7);
/// What a callback brings, samples: 20 ms.
const PIECE: usize = 960;

/// Where `examples/encode.rs` is, built beside this program.
fn encode_place() -> PathBuf {
    let own = std::env::current_exe().expect("this program's name");
    let folder = own.ancestors().nth(2).expect("target/release");
    folder.join("examples/encode")
}

/// Whether it is there.
pub fn is_built() -> bool {
    encode_place().exists()
}

fn encode_program() -> PathBuf {
    let program = encode_place();
    let how = "`make bench` builds it: cargo build --release --example encode";
    assert!(program.exists(), "{}: missing; {how}", program.display());
    program
}

/// The encoder alone, at work beside a booth that hears the same speech at the same pace.
pub struct Paced(std::process::Child);

impl Paced {
    pub fn begin(wav: &Path) -> Self {
        let child = Command::new(encode_program())
            .args([wav, &wav.with_extension("paced.opus"), Path::new("--paced")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("the encoder starts"))
    }

    /// CPU seconds a minute of speech.
    pub fn end(self) -> f64 {
        per_minute(self.0.wait_with_output().expect("the encoder ends"))
    }
}

/// CPU seconds a minute of speech of the encoder alone, all speech at once; it leaves `into`.
pub fn alone(wav: &Path, into: &Path) -> f64 {
    let output = Command::new(encode_program()).args([wav, into]).output();
    per_minute(output.expect("the encoder runs"))
}

fn per_minute(output: std::process::Output) -> f64 {
    assert!(output.status.success(), "encode: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |key: &str| -> f64 {
        let value = text
            .split([' ', '\n'])
            .find_map(|part| part.strip_prefix(key));
        value.and_then(|value| value.parse().ok()).expect(key)
    };
    value("cpu_s=") / value("speech_s=") * 60.0
}

/// Instructions of these programs over the same speech, as Valgrind counts them: the recorder's, those of one that seals, and the
/// encoder's. They come out the same on a busy machine. `None` without Valgrind.
pub fn instructions(wav: &Path) -> Option<(f64, f64, f64)> {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (
        folder.path().join("ours.opus"),
        folder.path().join("theirs.opus"),
    );
    let own = std::env::current_exe().expect("this program's name");
    let recorder = counted(
        Command::new("valgrind"),
        &own,
        &[Path::new(RECORDS), wav, &ours],
    )?;
    let sealed = folder.path().join("sealed");
    let sealing = counted(
        Command::new("valgrind"),
        &own,
        &[Path::new(SEALS), wav, &sealed],
    )?;
    let encoder = counted(Command::new("valgrind"), &encode_program(), &[wav, &theirs])?;
    assert_eq!(
        packets(&ours),
        packets(&theirs),
        "a booth and the encoder alone make the same packets of the same speech"
    );
    Some((recorder, sealing, encoder))
}

fn counted(mut valgrind: Command, program: &Path, arguments: &[&Path]) -> Option<f64> {
    let output = valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let count = text
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    count.and_then(|count| count.trim().parse().ok())
}

/// The packets of a clip, without its two headers.
fn packets(file: &Path) -> Vec<Vec<u8>> {
    let file = std::fs::File::open(file).expect("a clip");
    let mut reader = ogg::PacketReader::new(file);
    let packets = std::iter::from_fn(|| reader.read_packet().expect("valid pages"));
    packets.skip(2).map(|packet| packet.data).collect()
}

/// The recorder's work over a WAV file, one piece after another: [`RECORDS`], [`SEALS`]. The clip's body is left in `into`. Returns how many
/// bytes went to the disk from the take's beginning to the release of its clip.
pub fn record(wav: &Path, into: &Path, seal_to: &SealTo) -> u64 {
    let samples: Vec<i16> = hound::WavReader::open(wav)
        .expect("a wav")
        .into_samples()
        .map(|sample| sample.expect("a sample"))
        .collect();
    // The target folder is on a real disk where the system's temporary folder may be in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let facts = OpenFacts {
        boot_id: "bench".into(),
        fresh_card_id: uuid::Uuid::from_u128(1).to_string().into(),
        wall_ms: 0,
        max_bytes: 1 << 30,
        reserve_bytes: 0,
        ledger: false,
        card_cid: None,
        hw_serial: None,
        ballast_bytes: 0,
        failed_before: 0,
    };
    let (spool, _) = Spool::open(Arc::new(RealDisk::new()), folder.path(), facts).expect("a spool");
    let audio = Audio::default();
    let encoder = SpeechEncoder::new(audio.bitrate, audio.complexity, audio.bandwidth);
    let ((mut feed, tap), (taps, tapped)) = (Tap::pair(), channel());
    taps.send(tap).expect("a recorder");
    let (told, news) = channel();
    let mut recorder = Recorder::new(
        encoder.expect("an encoder"),
        tapped,
        Arc::default(),
        Beat::default(),
        move |event| drop(told.send(event)),
    );
    let (orders, commands) = channel();
    let take = TakeId(1);
    let start = StartFacts {
        wall_ms: 0,
        mono: Mono(0),
        clock_synced: true,
    };
    let booth = BoothId::parse("rundhoej-1").expect("an id");
    let id = RECORDED.to_string();
    let clip = NewClip::speech(id.clone().into(), booth, Consent::by_key("1"), start);
    let clip = Box::new(clip);
    let before = bytes_written(std::process::id());
    for order in [
        RecorderCommand::UseSpool(spool.clone()),
        RecorderCommand::Arm {
            take,
            clip,
            seal_to: seal_to.clone(),
        },
        RecorderCommand::Keep {
            take,
            from: Mono(0),
        },
    ] {
        orders.send(order).expect("a recorder");
        recorder.turn(&commands, Duration::ZERO);
    }
    // As often as a booth's recorder looks: every other callback.
    for (at, pieces) in samples.chunks(2 * PIECE).enumerate() {
        for (half, piece) in pieces.chunks(PIECE).enumerate() {
            let at_us = i64::try_from(20_000 * (2 * at + half)).expect("a time");
            assert_eq!(feed.push(piece, 1, at_us), 0);
        }
        recorder.turn(&commands, Duration::ZERO);
    }
    let end = RecorderCommand::Finish {
        take,
        ended_by: EndedBy::HangUp,
        at: Mono(samples.len() as u64 / 48),
        min: Duration::ZERO,
    };
    let publish = Publish::No;
    for order in [end, RecorderCommand::Close { take, publish }] {
        orders.send(order).expect("a recorder");
        recorder.turn(&commands, Duration::ZERO);
    }
    let kept = news.try_iter().find_map(|event| match event {
        RecorderEvent::Kept { clip, .. } => Some(clip),
        _ => None,
    });
    let kept = kept.expect("the recorder keeps the clip");
    let recorded = bytes_written(std::process::id()) - before;
    std::fs::write(
        into,
        spool
            .read_body(&id.as_str().into(), 0, usize::MAX)
            .expect("a body"),
    )
    .expect("written");
    let before_body = bytes_written(std::process::id());
    spool.release(receipt(&kept)).expect("released");
    recorded + bytes_written(std::process::id()) - before_body
}
