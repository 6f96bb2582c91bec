//! `make bench`: the figures of the main job, release build, everything in one run on this machine.
//!
//! CPU is given as a ratio to `opusenc` encoding the same WAV in the same run; times and bytes are of
//! real parts: gateway, PulseAudio, Mosquitto and hub as processes on loopback.
#![allow(clippy::disallowed_methods)]

#[allow(dead_code)]
#[path = "../tests/support/gateway.rs"]
mod gateway;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[allow(dead_code)]
#[path = "../tests/support/gpio_kernel.rs"]
mod gpio_kernel;
#[allow(dead_code)]
#[path = "../tests/support/hub.rs"]
mod hub;
#[allow(dead_code)]
#[path = "../tests/support/pulse.rs"]
mod pulse;
#[path = "../tests/support/wait.rs"]
mod wait;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use gateway::{BoothHome, Gateway, fixtures};
use hub::{Broker, Home, Hub};
use pulse::Pulse;

const SHORT_VISITS: usize = 25;
const LONG_VISITS: usize = 5;
const DEAD_CAPTURES: usize = 3;
/// Kernel clock ticks per second (USER_HZ, fixed at 100 on Linux).
const TICKS: f64 = 100.0;

/// Makes this program the one that watches lines for [`handset_figures`].
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const WATCHES: &str = "--watch-handset";

fn main() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    if std::env::args().any(|argument| argument == WATCHES) {
        gpio_kernel::watch_as_configured();
        return;
    }
    // `cargo test --all-targets` starts this too; only `cargo bench` measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut table = Table::default();
    handset_figures(&mut table);
    // `cargo bench --bench figures -- contacts` is enough for a look at these.
    if std::env::args().any(|argument| argument == "contacts") {
        return table.print();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let wav = folder.path().join("minute.wav");
    make_minute(&wav);
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(broker.port, "");
    let text = std::fs::read_to_string(booth.config()).expect("the booth's file");
    let usual = text.replace("[health]\ninterval_s = 1\n", "");
    assert_ne!(usual, text, "health is published as often as by default");
    std::fs::write(booth.config(), usual).expect("the booth's file");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.reaches("hub_online", 1);

    let mut idle = memory(gateway.pid());
    let (mut lifts, mut durables) = (Vec::new(), Vec::new());
    eprintln!("{SHORT_VISITS} short visits …");
    for _ in 0..SHORT_VISITS {
        gateway.clear_log();
        let visit = Visit::begin(&gateway);
        let (_, line) = gateway.says("first sample in the earpiece");
        lifts.push(
            line.split("ms=")
                .nth(1)
                .and_then(|ms| ms.parse().ok())
                .expect("a time"),
        );
        let spoken = Instant::now();
        gateway.reaches("session", "recording");
        wait::until("two seconds have been spoken", || {
            (spoken.elapsed().as_secs() >= 2).then_some(())
        });
        let hung_up = visit.hang_up();
        durables.push(ms(hung_up, gateway.says(" kept ").0));
        gateway.says(" confirmed ");
        gateway.reaches("spool_clips", 0);
        idle = idle.max(memory(gateway.pid()));
    }
    eprintln!("{LONG_VISITS} visits of a minute …");
    let (mut acks, mut written, mut busy) = (Vec::new(), Vec::new(), 0.0f64);
    let (mut cpus, mut plugins) = (Vec::new(), Vec::new());
    for _ in 0..LONG_VISITS {
        gateway.clear_log();
        let (before, visit) = (bytes_written(gateway.pid()), Visit::begin(&gateway));
        gateway.reaches("session", "recording");
        let before_speech = Cpu::of(gateway.pid());
        let began = Instant::now();
        pulse.speak(&wav);
        let spent = Cpu::of(gateway.pid());
        let per_minute = 60.0 / began.elapsed().as_secs_f64();
        cpus.push((spent.own - before_speech.own) * per_minute);
        plugins.push((spent.plugin - before_speech.plugin) * per_minute);
        busy = busy.max(memory(gateway.pid()));
        let hung_up = visit.hang_up();
        let (_, line) = gateway.says(" kept ");
        acks.push(ms(hung_up, gateway.says(" confirmed ").0));
        gateway.reaches("spool_clips", 0);
        let bytes: f64 = line
            .split("bytes=")
            .nth(1)
            .and_then(|text| text.split(' ').next()?.parse().ok())
            .expect("bytes");
        written.push((bytes_written(gateway.pid()) - before) as f64 / bytes);
        busy = busy.max(memory(gateway.pid()));
    }
    eprintln!("{DEAD_CAPTURES} dead microphones …");
    let mut noticed = Vec::new();
    for _ in 0..DEAD_CAPTURES {
        gateway.clear_log();
        let began = Instant::now();
        pulse.silence_microphone(true);
        let (at, _) = gateway.says("no frames come from the microphone");
        noticed.push(ms(began, at) / 1000.0);
        pulse.silence_microphone(false);
        gateway.says("the microphone works");
        gateway.reaches("ready", 1);
    }
    let encoders: Vec<f64> = (0..LONG_VISITS)
        .map(|_| opusenc(&wav, folder.path()))
        .collect();
    let (gateway_cpu, encoder_cpu) = (median(&mut cpus), median(&mut encoders.clone()));
    table.row(
        "CPU while recording, s per minute (all threads of ours)",
        gateway_cpu,
        "",
        cpus.len(),
    );
    table.row(
        "the same of PulseAudio's ALSA plug-in and cpal's ALSA worker",
        median(&mut plugins),
        "",
        plugins.len(),
    );
    table.row(
        "CPU of opusenc on the same WAV, s per minute",
        encoder_cpu,
        "",
        encoders.len(),
    );
    table.row("ratio of the two", gateway_cpu / encoder_cpu, "≤ 1.2", 1);
    table.row(
        "resident memory idle, MiB, highest",
        idle,
        "≤ 18",
        SHORT_VISITS,
    );
    table.row(
        "resident memory recording and sending, MiB, highest",
        busy,
        "≤ 24",
        LONG_VISITS,
    );
    table.row(
        "lift → first sample handed to ALSA, ms, p99",
        p99(&mut lifts),
        "≤ 100",
        SHORT_VISITS,
    );
    table.row(
        "hang-up → clip durable, ms, p99",
        p99(&mut durables),
        "≤ 50",
        SHORT_VISITS,
    );
    table.row(
        "hang-up → hub's ack, 60 s clip, ms, highest",
        p99(&mut acks),
        "≤ 250",
        LONG_VISITS,
    );
    table.row(
        "bytes to disk per byte of a 60 s clip, highest",
        p99(&mut written),
        "≤ 4.5",
        LONG_VISITS,
    );
    table.row(
        "dead capture noticed, s, highest",
        p99(&mut noticed),
        "≤ 5",
        DEAD_CAPTURES,
    );
    table.print();
    drop(gateway);
    hub.kill();
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn handset_figures(_: &mut Table) {
    eprintln!(
        "NOT MEASURED: the handset's thread; tests/support/gpio_kernel.c is for x86-64 Linux"
    );
}

/// The thread that watches the contacts, with the code that the booth runs, on lines of `tests/support/gpio_kernel.c`.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn handset_figures(table: &mut Table) {
    use gpio_kernel::{KINDS, Kernel, Kind, Watched};

    // Lifts of one process: more in a minute would be a hook that chatters.
    const LIFTS: usize = 36;
    const LIFT_ROUNDS: usize = 3;
    const BOOTH: &str = "hook = { line = 17 }\ndial_pulse = { line = 22 }\ndial_off_normal = { line = 23 }\n\
         button = { line = 24 }\ntamper = { line = 25 }\nlamp = { line = 27 }\n";
    const KEYPAD: &str = "keypad = { rows = [5, 6, 12, 13], columns = [16, 20, 21] }\n";
    let at_rest = Kernel {
        levels: "17:f 22:0 23:f 24:f 25:0",
        ..Kernel::default()
    };
    let begin = |kind, handset: &str| {
        let mut watched = Watched::start(kind, handset, &at_rest, &[WATCHES]);
        watched.until("Controls([])");
        watched.lamp("ready");
        watched
    };
    eprintln!("contacts …");
    for (name, is_rppal) in [("gpiocdev", false), ("rppal on Pi 3, 4, 5", true)] {
        let mut late = Vec::new();
        for kind in KINDS
            .into_iter()
            .filter(|kind| (*kind != Kind::Cdev) == is_rppal)
        {
            for _ in 0..LIFT_ROUNDS {
                let mut watched = begin(kind, BOOTH);
                for _ in 0..LIFTS {
                    let edge_ns: f64 = watched.kernel("now 17:0").parse().expect("ns");
                    let lifted = watched.next();
                    let told_ns = lifted
                        .split("told_ns=")
                        .nth(1)
                        .and_then(|ns| ns.parse::<f64>().ok());
                    late.push((told_ns.expect("a lift") - edge_ns) / 1e6);
                    watched.kernel("now 17:f");
                    watched.until("HungUp");
                }
            }
        }
        let n = late.len();
        table.row(
            &format!("edge → lift told by the core, {name}, ms, p99"),
            p99(&mut late),
            "≤ 5",
            n,
        );
    }
    for (name, handset) in [
        ("", BOOTH.to_owned()),
        (" with a keypad", format!("{BOOTH}{KEYPAD}")),
    ] {
        let watched: Vec<Watched> = KINDS
            .into_iter()
            .map(|kind| begin(kind, &handset))
            .collect();
        let wakes = |watched: &Watched| wakes(watched.pid(), "handset");
        let before: Vec<u64> = watched.iter().map(wakes).collect();
        let began = Instant::now();
        wait::until("the booth has been idle", || {
            (began.elapsed().as_secs() >= 30).then_some(())
        });
        let seconds = began.elapsed().as_secs_f64();
        let most = watched
            .iter()
            .zip(before)
            .map(|(watched, before)| (wakes(watched) - before) as f64 / seconds)
            .fold(0.0, f64::max);
        table.row(
            &format!("the contacts' thread wakes while idle{name}, a second, most"),
            most,
            "≤ 2",
            watched.len(),
        );
    }
}

/// How often a thread of this name has slept so far (voluntary context switches).
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn wakes(pid: u32, name: &str) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("tasks");
    let statuses = tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let mut of_it = statuses.filter(|status| status.starts_with(&format!("Name:\t{name}\n")));
    let status = of_it.next().expect("the thread");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.expect("a count").trim().parse().expect("a number")
}

struct Visit<'a>(&'a Gateway);

impl<'a> Visit<'a> {
    fn begin(gateway: &'a Gateway) -> Self {
        gateway.handset("lift");
        gateway.reaches("session", "question");
        gateway.handset("dial 1");
        Self(gateway)
    }

    fn hang_up(self) -> Instant {
        let at = Instant::now();
        self.0.handset("hang-up");
        at
    }
}

#[derive(Default)]
struct Table(Vec<(String, f64, &'static str, usize)>);

impl Table {
    fn row(&mut self, what: &str, value: f64, bar: &'static str, n: usize) {
        self.0.push((what.into(), value, bar, n));
    }

    fn print(&self) {
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = model
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let model = model.map_or("", |rest| rest.trim_start_matches(['\t', ' ', ':']));
        println!("machine: {} ({model})", machine.trim());
        println!("{:<62} {:>8}  {:<6} n", "figure", "value", "bar");
        for (what, value, bar, n) in &self.0 {
            println!("{what:<62} {value:>8.2}  {bar:<6} {n}");
        }
    }
}

/// A minute of the fixture's speech, over and over.
fn make_minute(wav: &Path) {
    let once = wav.with_file_name("once.wav");
    let status = Command::new("opusdec")
        .args(["--quiet", "--rate", "48000"])
        .args([&fixtures().join("speech/da.opus"), &once])
        .status()
        .expect("opusdec runs");
    assert!(status.success());
    let mut reader = hound::WavReader::open(&once).expect("a wav");
    let samples: Vec<i16> = reader
        .samples()
        .map(|sample| sample.expect("a sample"))
        .collect();
    let mut writer = hound::WavWriter::create(wav, reader.spec()).expect("a file");
    for sample in samples.iter().cycle().take(60 * 48_000) {
        writer.write_sample(*sample).expect("written");
    }
    writer.finalize().expect("written");
}

/// CPU seconds of one opusenc at the gateway's bit rate and complexity.
fn opusenc(wav: &Path, folder: &Path) -> f64 {
    let script = "TIMEFORMAT='%U %S'; time opusenc --quiet --speech --vbr --bitrate 24 --comp 5 --framesize 20 \"$1\" \"$2\"";
    let output = Command::new("bash")
        .args(["-c", script, "bash"])
        .args([wav, &folder.join("out.opus")])
        .output()
        .expect("bash runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default();
    last.split(' ')
        .map(|part| part.parse::<f64>().expect("seconds"))
        .sum()
}

/// CPU seconds that a gateway has used so far.
struct Cpu {
    own: f64,
    /// cpal's ALSA worker and the thread that PulseAudio's ALSA plug-in starts beside it. Both spin at times, and neither
    /// says anything about a kernel sound card, which has no such plug-in.
    plugin: f64,
}

impl Cpu {
    fn of(pid: u32) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("tasks");
        let mut cpu = Self {
            own: 0.0,
            plugin: 0.0,
        };
        for task in tasks.flatten() {
            let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else {
                continue;
            };
            let (head, rest) = stat.rsplit_once(')').expect("a stat line");
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let ticks: f64 = [fields[11], fields[12]]
                .iter()
                .map(|field| field.parse::<f64>().expect("utime and stime"))
                .sum();
            let is_plugin = ["(cpal_alsa", "(threaded-ml"]
                .iter()
                .any(|name| head.contains(name));
            *if is_plugin {
                &mut cpu.plugin
            } else {
                &mut cpu.own
            } += ticks / TICKS;
        }
        cpu
    }
}

fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("VmRSS");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .expect("KiB")
        / 1024.0
}

fn bytes_written(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("io");
    let line = io
        .lines()
        .find(|line| line.starts_with("write_bytes:"))
        .expect("write_bytes");
    line.split_whitespace()
        .nth(1)
        .and_then(|bytes| bytes.parse().ok())
        .expect("bytes")
}

fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}

fn p99(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * 99).div_ceil(100).min(values.len()) - 1]
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
