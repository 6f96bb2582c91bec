//! The recording path beside `arecord | opusenc` and an `ffmpeg` segmenter: the same microphone, the same words, the same seconds.
//!
//! The microphone is a null sink of PulseAudio behind ALSA's plug-in (docs/sound.md): there is no sound card here.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use booth_host::clock;
use booth_testkit::blockdev::BlockDevice;
use booth_testkit::card_reader;
use booth_testkit::crash_booth::{CrashBooth, configure};
use booth_testkit::crash_image::Dice;
use booth_testkit::fleet_watch::resident_mib;
use booth_testkit::programs::Programs;
use booth_testkit::pulse::{MIC, Pulse};
use booth_testkit::speaking::speak;
use booth_testkit::speech::decode;
use booth_testkit::threads::Cpu;

use super::ours::OurCentre;
use super::outages::power_cut;
use super::work::pause_until;

/// Who records beside the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    Pipe,
    Segments,
}

/// In the order of the table.
pub const RIVALS: [Rival; 2] = [Rival::Pipe, Rival::Segments];

/// What they are started with; the last word is where the words go.
const ARECORD: &[&str] = &[
    "-q", "-D", MIC, "-f", "S16_LE", "-c", "1", "-r", "48000", "-t", "raw",
];
const OPUSENC: &[&str] = &[
    "--quiet",
    "--raw",
    "--raw-bits",
    "16",
    "--raw-rate",
    "48000",
    "--raw-chan",
    "1",
    "--speech",
    "--bitrate",
    "24",
    "--comp",
    "5",
    "--framesize",
    "20",
    "-",
];
const FFMPEG: &[&str] = &[
    "-nostdin",
    "-loglevel",
    "error",
    "-f",
    "alsa",
    "-ac",
    "1",
    "-ar",
    "48000",
    "-i",
    MIC,
    "-c:a",
    "libopus",
    "-application",
    "voip",
    "-b:a",
    "24k",
    "-compression_level",
    "5",
    "-frame_duration",
    "20",
    "-f",
    "segment",
    "-segment_time",
    "10",
];

impl Rival {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Rival::Pipe => "arecord \\| opusenc",
            Rival::Segments => "ffmpeg, segments of 10 s",
        }
    }

    /// How it is started, for the page.
    pub fn command_line(self) -> String {
        match self {
            Rival::Pipe => format!(
                "arecord {} | opusenc {} out.opus",
                ARECORD.join(" "),
                OPUSENC.join(" ")
            ),
            Rival::Segments => format!("ffmpeg {} out-%03d.opus", FFMPEG.join(" ")),
        }
    }

    /// Which of its programs is missing.
    pub fn why_not(self) -> Option<String> {
        let needed: &[&str] = match self {
            Rival::Pipe => &["arecord", "opusenc"],
            Rival::Segments => &["ffmpeg"],
        };
        let is_missing = |program: &&&str| Command::new(program).arg("--help").output().is_err();
        needed
            .iter()
            .find(is_missing)
            .map(|program| format!("there is no {program}"))
    }

    fn start(self, pulse: &Pulse, folder: &Path) -> Result<Recording, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let fault = |error: std::io::Error| format!("{}: {error}", self.name());
        let began = Instant::now();
        let start = |program: &str,
                     arguments: &[&str],
                     last: Option<PathBuf>,
                     input: Stdio,
                     output: Stdio| {
            Command::new(program)
                .args(arguments)
                .args(last)
                .envs(pulse.environment())
                .stdin(input)
                .stdout(output)
                .stderr(Stdio::null())
                .spawn()
        };
        let children = match self {
            Rival::Pipe => {
                let mut arecord = start("arecord", ARECORD, None, Stdio::null(), Stdio::piped())
                    .map_err(fault)?;
                let samples = arecord.stdout.take().ok_or("no pipe")?;
                let out = Some(folder.join("out.opus"));
                let opusenc =
                    start("opusenc", OPUSENC, out, samples.into(), Stdio::null()).map_err(fault)?;
                vec![arecord, opusenc]
            }
            Rival::Segments => {
                let out = Some(folder.join("out-%03d.opus"));
                vec![start("ffmpeg", FFMPEG, out, Stdio::null(), Stdio::null()).map_err(fault)?]
            }
        };
        Ok(Recording { children, began })
    }
}

/// A rival at work; killed with its value.
struct Recording {
    children: Vec<Child>,
    began: Instant,
}

impl Drop for Recording {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

/// What recording costs, of one program.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// CPU seconds a minute of its own threads.
    pub own_s: f64,
    /// The same with the sound card's stand-in.
    pub all_s: f64,
    pub memory_mib: f64,
}

/// What a minute of the recording costs, and what came of its end.
#[derive(Debug, Clone, Default)]
pub struct Minute {
    pub ours: Cost,
    pub rivals: Vec<Option<Cost>>,
    /// opusenc alone, of the pipe.
    pub opusenc_s: Option<f64>,
    /// From the hang-up to the hub's answer, ms.
    pub ack_ms: f64,
}

fn costs(before: &[Cpu], pids: &[u32], scale: f64) -> Cost {
    let mut cost = Cost::default();
    for (before, pid) in before.iter().zip(pids) {
        let used = Cpu::of(*pid).since(before, scale);
        cost.own_s += used.own();
        cost.all_s += used.own() + used.plugin();
        cost.memory_mib += resident_mib(*pid);
    }
    cost
}

/// Everybody records the same minute.
pub fn minute(programs: &Programs, seconds: u64) -> Result<Minute, String> {
    let (pulse, home) = (
        Pulse::start(),
        tempfile::tempdir().map_err(|error| error.to_string())?,
    );
    let mut centre = OurCentre::away(programs)?;
    centre.comes_back()?;
    configure(home.path(), home.path(), &centre.mqtt())?;
    let _speech = speak(&pulse, home.path())?;
    let mut booth = CrashBooth::start(programs, home.path(), &pulse, |_| ())?;
    booth.reaches("hub_online", 1)?;
    booth.lift_and_choose()?;
    let mut running = Vec::new();
    for rival in RIVALS {
        let can = rival.why_not().is_none();
        let folder = home.path().join(format!("{rival:?}"));
        running.push(can.then(|| rival.start(&pulse, &folder)).transpose()?);
    }
    // The first seconds are of starting.
    pause_until(Instant::now() + Duration::from_secs(4));
    let pids: Vec<Vec<u32>> = running
        .iter()
        .map(|rival| {
            rival
                .iter()
                .flat_map(|rival| &rival.children)
                .map(Child::id)
                .collect()
        })
        .collect();
    let before: Vec<Vec<Cpu>> = pids
        .iter()
        .map(|pids| pids.iter().map(|pid| Cpu::of(*pid)).collect())
        .collect();
    let (began, ours) = (Instant::now(), [Cpu::of(booth.pid())]);
    pause_until(began + Duration::from_secs(seconds));
    let scale = 60.0 / began.elapsed().as_secs_f64();
    let ours = costs(&ours, &[booth.pid()], scale);
    let rivals = pids
        .iter()
        .zip(&before)
        .map(|(pids, before)| (!pids.is_empty()).then(|| costs(before, pids, scale)));
    let rivals: Vec<Option<Cost>> = rivals.collect();
    let opusenc_s = match (pids.first().map(Vec::as_slice), before.first()) {
        (Some([_, opusenc]), Some(before)) => {
            Some(Cpu::of(*opusenc).since(&before[1], scale).own())
        }
        _ => None,
    };
    drop(running);
    booth.clear_log();
    let hung_up = Instant::now();
    booth.handset("hang-up")?;
    let answered = booth.says(" confirmed ")?;
    booth.kill();
    Ok(Minute {
        ours,
        rivals,
        opusenc_s,
        ack_ms: answered.saturating_duration_since(hung_up).as_secs_f64() * 1_000.0,
    })
}

/// Seconds that were spoken and are not there, at `kill -9` and at a power cut; ours first.
#[derive(Debug, Clone, Default)]
pub struct Lost {
    pub kill: Vec<Option<f64>>,
    pub power_cut: Vec<Option<f64>>,
}

/// Seconds of speech in every file of a folder that opusdec can read.
fn decoded_s(folder: &Path) -> f64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let seconds = files.filter_map(|file| {
        let wav = tempfile::NamedTempFile::new().ok()?;
        // A file without one whole page is none.
        decode(&file.path(), wav.path()).ok()?;
        let reader = hound::WavReader::open(wav.path()).ok()?;
        Some(f64::from(reader.duration()) / 48_000.0)
    });
    seconds.sum()
}

/// Everybody records onto the same card; after a while of the seed it loses its power, and everybody is killed.
pub fn cut_off(programs: &Programs, seed: u64) -> Result<Lost, String> {
    let (device, pulse) = (BlockDevice::start()?, Pulse::start());
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    configure(home.path(), &device.card(), "")?;
    let _speech = speak(&pulse, home.path())?;
    let mut booth = CrashBooth::start(programs, home.path(), &pulse, |_| ())?;
    booth.lift_and_choose()?;
    let mut running = Vec::new();
    for rival in RIVALS {
        let can = rival.why_not().is_none();
        let folder = device.card().join(format!("{rival:?}"));
        running.push(can.then(|| rival.start(&pulse, &folder)).transpose()?);
    }
    let mut dice = Dice(seed);
    pause_until(Instant::now() + Duration::from_millis(14_000 + dice.below(12_000)));
    let (at, at_ms) = (Instant::now(), clock::mono().0);
    let trace = device.trace();
    booth.kill();
    let spoken: Vec<Option<f64>> = running
        .iter()
        .map(|rival| {
            rival
                .as_ref()
                .map(|rival| at.saturating_duration_since(rival.began).as_secs_f64())
        })
        .collect();
    drop(running);
    let lost_in = |card: &Path| {
        let clips = card_reader::read_folder(&card.join("spool/clips"));
        let ours = clips.iter().filter_map(|(_, clip)| {
            let said_ms = at_ms.saturating_sub(clip.began_mono_ms?);
            Some(said_ms.saturating_sub(clip.kept_ms) as f64 / 1_000.0)
        });
        let ours = ours.fold(None, |most: Option<f64>, lost| {
            Some(most.map_or(lost, |most| most.max(lost)))
        });
        let others = RIVALS.iter().zip(&spoken).map(|(rival, spoken)| {
            let left = decoded_s(&card.join(format!("{rival:?}")));
            spoken.map(|spoken| (spoken - left).max(0.0))
        });
        std::iter::once(ours)
            .chain(others)
            .collect::<Vec<Option<f64>>>()
    };
    let kill = lost_in(&device.card());
    let left = power_cut(&trace)?;
    Ok(Lost {
        kill,
        power_cut: lost_in(left.path()),
    })
}
