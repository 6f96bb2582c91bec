//! `make bench`: the figures of the main job, release build, everything in one run on this machine.
//!
//! CPU is given as a ratio to `examples/encode.rs`, which encodes the same speech with the same settings in the same run;
//! times and bytes are of real parts: gateway, PulseAudio, Mosquitto and hub as processes on loopback.
#![allow(clippy::disallowed_methods)]

mod campaign;
mod city;
mod encoders;
mod fleet;
mod intake;
mod pulled;
mod quality;
mod sealing;

use std::path::{Path, PathBuf};
use std::time::Instant;

use booth_testkit::fleet_watch::status_mib;
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use booth_testkit::gpio_kernel;
use booth_testkit::hub::{Broker, Home, Hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::repository;
use booth_testkit::speech;
use booth_testkit::threads::Cpu;
use booth_testkit::wait;

/// How often what is measured, and how long a long visit is.
struct Measured {
    short_visits: usize,
    long_visits: usize,
    seconds: usize,
    dead_captures: usize,
    campaigns: usize,
}

/// For the figures.
const WHOLE: Measured = Measured {
    short_visits: 25,
    long_visits: 5,
    seconds: 60,
    dead_captures: 3,
    campaigns: 10,
};
/// For `cargo test`: does the bench still understand the product? Its figures are nobody's.
const LOOK: Measured = Measured {
    short_visits: 1,
    long_visits: 1,
    seconds: 5,
    dead_captures: 1,
    campaigns: 1,
};
/// Speech whose instructions are counted, s: Valgrind is some fifty times slower than the machine.
const COUNTED_S: usize = 20;

/// Makes this program the one that watches lines for [`handset_figures`].
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const WATCHES: &str = "--watch-handset";

fn main() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    if std::env::args().any(|argument| argument == WATCHES) {
        gpio_kernel::watch_as_configured();
        return;
    }
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, wav, into] = &arguments[..]
        && [encoders::RECORDS, encoders::SEALS].contains(&mode.as_str())
    {
        let seal_to = match mode == encoders::SEALS {
            true => sealing::city().1,
            false => booth_sealing::SealTo::Open,
        };
        encoders::record(Path::new(wav), Path::new(into), &seal_to);
        return;
    }
    let is_asked = |word: &str| arguments.iter().any(|argument| argument == word);
    // `cargo test --all-targets` starts this too; only `cargo bench` measures.
    let is_look = !is_asked("--bench");
    let Measured {
        short_visits,
        long_visits,
        seconds,
        dead_captures,
        campaigns,
    } = if is_look { LOOK } else { WHOLE };
    if is_look && !encoders::is_built() {
        eprintln!(
            "NOT LOOKED AT: the encoder beside it is not built; `cargo test --all-targets` builds it"
        );
        return;
    }
    let mut table = Table::default();
    let folder = tempfile::tempdir().expect("a folder");
    // `cargo bench --bench figures -- instructions`, `contacts`, `campaigns`, `sealed`, `pulled`, `city`, `intake` or `fleet` is enough for a look at
    // these.
    let parts = [
        "instructions",
        "contacts",
        "campaigns",
        "sealed",
        "pulled",
        "city",
        "intake",
        "fleet",
    ];
    let are_asked = parts.iter().any(|part| is_asked(part));
    let is_wanted = |part: &str| is_asked(part) || !are_asked;
    let wav = folder.path().join("minute.wav");
    if is_wanted("instructions") && !is_look {
        count_instructions(&mut table, folder.path());
    }
    if is_wanted("contacts") && !is_look {
        handset_figures(&mut table);
    }
    if is_wanted("sealed") {
        make_speech(&wav, seconds);
        eprintln!("sealed minutes …");
        sealing::figures(&mut table, &wav, is_look);
    }
    if is_wanted("pulled") {
        pulled::figures(&mut table, is_look);
    }
    if is_wanted("city") {
        city::figures(&mut table, if is_look { &city::LOOK } else { &city::WHOLE });
    }
    if is_wanted("intake") {
        intake::figures(
            &mut table,
            if is_look {
                &intake::LOOK
            } else {
                &intake::WHOLE
            },
        );
    }
    if is_wanted("fleet") {
        fleet::figures(
            &mut table,
            if is_look { &fleet::LOOK } else { &fleet::WHOLE },
        );
    }
    if is_asked("campaigns") {
        campaign::figures(&mut table, campaigns);
    }
    if are_asked {
        return table.print();
    }
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(broker.port, "");
    let text = std::fs::read_to_string(booth.config()).expect("the booth's file");
    let usual = text.replace("[health]\ninterval_s = 1\n", "");
    assert_ne!(usual, text, "health is published as often as by default");
    std::fs::write(booth.config(), usual).expect("the booth's file");
    let environment = pulse.environment().into_iter().chain([of_the_unit()]);
    let gateway = Gateway::start_in(&booth, environment);
    gateway.reaches("ready", 1);
    gateway.reaches("hub_online", 1);

    let mut idle = memory(gateway.pid());
    let mut idle_own = own_memory(gateway.pid());
    let (mut lifts, mut tones, mut durables) = (Vec::new(), Vec::new(), Vec::new());
    eprintln!("{short_visits} short visits …");
    for _ in 0..short_visits {
        gateway.clear_log();
        let visit = Visit::begin(&gateway);
        lifts.push(told_ms(&gateway, "first sample in the earpiece"));
        tones.push(told_ms(&gateway, "tone in the earpiece"));
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
        idle_own = idle_own.max(own_memory(gateway.pid()));
    }
    eprintln!("{long_visits} visits of {seconds} s …");
    let (mut acks, mut written, mut busy) = (Vec::new(), Vec::new(), 0.0f64);
    let (mut used, mut paced) = (Vec::new(), Vec::new());
    let short_clips = clips_of(&home);
    for _ in 0..long_visits {
        gateway.clear_log();
        let (before, visit) = (bytes_written(gateway.pid()), Visit::begin(&gateway));
        gateway.reaches("session", "recording");
        let before_speech = Cpu::of(gateway.pid());
        // The same machine has the same to do beside both.
        let (began, encoder) = (Instant::now(), encoders::Paced::begin(&wav));
        pulse.speak(&wav);
        let spent = Cpu::of(gateway.pid());
        used.push(spent.since(&before_speech, 60.0 / began.elapsed().as_secs_f64()));
        paced.push(encoder.end());
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
    eprintln!("{dead_captures} dead microphones …");
    let mut noticed = Vec::new();
    for _ in 0..dead_captures {
        gateway.clear_log();
        let began = Instant::now();
        pulse.silence_microphone(true);
        let (at, _) = gateway.says("alert=capture_lost");
        noticed.push(ms(began, at) / 1000.0);
        pulse.silence_microphone(false);
        gateway.says("cleared alert=capture_lost");
        gateway.reaches("ready", 1);
    }
    campaign::figures(&mut table, campaigns);
    let mut minutes = clips_of(&home);
    minutes.retain(|clip| !short_clips.contains(clip));
    assert_eq!(minutes.len(), long_visits, "each minute is at the hub");
    let plain = folder.path().join("plain.opus");
    let mut alone: Vec<f64> = (0..long_visits)
        .map(|_| encoders::alone(&wav, &plain))
        .collect();
    let of = |what: &dyn Fn(&Cpu) -> f64| {
        let mut values: Vec<f64> = used.iter().map(what).collect();
        median(&mut values)
    };
    let (own, paced, alone) = (of(&Cpu::own), median(&mut paced), median(&mut alone));
    let rest = |cpu: &Cpu| cpu.own() - cpu.thread("recorder") - cpu.thread("booth-gateway");
    let recorder = of(&|cpu| cpu.thread("recorder"));
    for (what, value, bar) in [
        (
            "CPU while recording, s a minute, all threads of ours",
            own,
            "",
        ),
        ("… the recorder: encoder, voice, levels, card", recorder, ""),
        ("… the loop", of(&|cpu| cpu.thread("booth-gateway")), ""),
        ("… all other threads of ours", of(&rest), ""),
        (
            "CPU of PulseAudio's ALSA plug-in and cpal's ALSA workers",
            of(&Cpu::plugin),
            "",
        ),
        (
            "CPU of the encoder alone at the microphone's pace, beside it",
            paced,
            "",
        ),
        ("CPU of the encoder alone, all speech at once", alone, ""),
        (
            "all threads of ours / the encoder alone at the same pace",
            own / paced,
            "≤ 1.0",
        ),
        (
            "all threads of ours / the encoder alone at once",
            own / alone,
            "≤ 1.4",
        ),
    ] {
        table.row(what, value, bar, used.len());
    }
    // Quality is judged in pieces of ten seconds.
    if !is_look {
        quality::judge(&mut table, &wav, &minutes, &plain);
    }
    table.row(
        "resident memory idle, MiB, highest",
        idle,
        "≤ 18",
        short_visits,
    );
    table.row(
        "… its own; the rest is pages of program and libraries",
        idle_own,
        "",
        short_visits,
    );
    table.row(
        "resident memory recording and sending, MiB, highest",
        busy,
        "≤ 24",
        long_visits,
    );
    table.row(
        "lift → first sample handed to ALSA, ms, p99",
        p99(&mut lifts),
        "≤ 100",
        short_visits,
    );
    table.row(
        "key → first sample of the tone handed to ALSA, ms, p99",
        p99(&mut tones),
        "≤ 150",
        short_visits,
    );
    table.row(
        "hang-up → clip durable, ms, p99",
        p99(&mut durables),
        "≤ 50",
        short_visits,
    );
    table.row(
        "hang-up → hub's ack, 60 s clip, ms, highest",
        p99(&mut acks),
        "≤ 250",
        long_visits,
    );
    table.row(
        "bytes to disk per byte of a 60 s clip, highest",
        p99(&mut written),
        "≤ 4.5",
        long_visits,
    );
    table.row(
        "dead capture noticed, s, highest",
        p99(&mut noticed),
        "≤ 5",
        dead_captures,
    );
    table.print();
    drop(gateway);
    hub.kill();
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn handset_figures(_: &mut Table) {
    eprintln!(
        "NOT MEASURED: the handset's thread; crates/testkit/gpio_kernel.c is for x86-64 Linux"
    );
}

/// The thread that watches the contacts, with the code that the booth runs, on lines of `crates/testkit/gpio_kernel.c`.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn handset_figures(table: &mut Table) {
    use booth_testkit::gpio_kernel::{KINDS, Kernel, Kind, Watched};

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

/// What the service manager puts into a gateway's environment.
fn of_the_unit() -> (&'static str, PathBuf) {
    let unit = repository().join("systemd/booth-gateway.service");
    let unit = std::fs::read_to_string(unit).expect("the unit");
    let (name, value) = ("MALLOC_ARENA_MAX", "2");
    let line = format!("Environment={name}={value}");
    let all: Vec<&str> = unit
        .lines()
        .filter(|l| l.starts_with("Environment="))
        .collect();
    assert_eq!(all, [line], "the gateway is measured as it runs");
    (name, value.into())
}

/// The time that the gateway's line with these words names.
fn told_ms(gateway: &Gateway, words: &str) -> f64 {
    let (_, line) = gateway.says(words);
    let ms = line.split("ms=").nth(1);
    ms.and_then(|ms| ms.parse().ok()).expect("a time")
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
pub struct Table(Vec<(String, f64, &'static str, usize)>);

impl Table {
    pub fn row(&mut self, what: &str, value: f64, bar: &'static str, n: usize) {
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

/// The encoder's work and the recorder's, counted.
fn count_instructions(table: &mut Table, folder: &Path) {
    eprintln!("instructions …");
    let wav = folder.join("counted.wav");
    make_speech(&wav, COUNTED_S);
    let Some((recorder, sealing, encoder)) = encoders::instructions(&wav) else {
        return eprintln!("NOT MEASURED: instructions; install the package valgrind");
    };
    let millions = |count: f64| count / COUNTED_S as f64 / 1e6;
    for (what, value, bar) in [
        (
            "instructions of the recorder, millions a second of speech",
            millions(recorder),
            "",
        ),
        ("instructions of the encoder alone", millions(encoder), ""),
        ("ratio of the two", recorder / encoder, "≤ 1.05"),
        (
            "instructions of the recorder that seals / that does not",
            sealing / recorder,
            "≤ 1.05",
        ),
    ] {
        table.row(what, value, bar, 1);
    }
}

/// So many seconds of the fixtures' speech, Danish and English in turn.
fn make_speech(wav: &Path, seconds: usize) {
    let mut spoken = Vec::new();
    for language in ["da", "en"] {
        let once = wav.with_file_name(format!("{language}.wav"));
        let recording = fixtures().join(format!("speech/{language}.opus"));
        speech::decode(&recording, &once).expect("decoded");
        let reader = hound::WavReader::open(&once).expect("a wav");
        let samples = reader.into_samples::<i16>();
        spoken.extend(samples.map(|sample| sample.expect("a sample")));
    }
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(wav, spec).expect("a file");
    for sample in spoken.iter().cycle().take(seconds * 48_000) {
        writer.write_sample(*sample).expect("written");
    }
    writer.finalize().expect("written");
}

/// Every clip that the hub has.
fn clips_of(home: &Home) -> Vec<PathBuf> {
    let files = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let shelves = files(home.path().join("store/clips"));
    shelves
        .flat_map(|shelf| files(shelf.path()).map(|file| file.path()))
        .filter(|file| file.extension().is_some_and(|end| end == "opus"))
        .collect()
}

/// Resident memory, MiB.
fn memory(pid: u32) -> f64 {
    status_mib(pid, "VmRSS:")
}

/// The part of it that belongs to no file.
fn own_memory(pid: u32) -> f64 {
    status_mib(pid, "RssAnon:")
}

pub fn bytes_written(pid: u32) -> u64 {
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
