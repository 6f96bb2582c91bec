//! `make compare`: the gateway beside what else would be used, at the same work, on this machine, in one run.
//!
//! Owns: which parts run, their tables, the picture, and the page that keeps them. Never does: leave a row out because it is lost. A peer
//! that is not installed says so in its cells. docs/comparison.md says what each part does and what it does not show.
#![allow(clippy::disallowed_methods)] // a measurement: reads the clock, starts programs, writes its tables
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod ours;
mod outages;
mod own;
mod peers;
mod recording;
mod tables;
mod work;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use booth_host::out;
use booth_host::{complain, say};
use booth_testkit::blockdev;
use booth_testkit::comparison::{Comparison, Table};
use booth_testkit::programs::Programs;
use booth_testkit::repository;
use clap::Parser;
use outages::{End, Pace};

/// Compares the gateway with what else would be used, and writes the tables and the picture.
#[derive(Parser)]
struct Arguments {
    /// Parts to run; all if none is named. What an earlier call has found of the others stays.
    #[arg(value_parser = PARTS)]
    parts: Vec<String>,
    /// Where `booth-gateway` and `booth-hub` of the release build are.
    #[arg(long, default_value = "target/release")]
    binaries: PathBuf,
    /// Where the tables of each part are kept.
    #[arg(long, default_value = "target/compare")]
    folder: PathBuf,
    /// A small look whether everything still runs; its figures are nobody's.
    #[arg(long)]
    look: bool,
    /// Of the full sizes, in percent.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    percent: u32,
    /// Puts what was found into docs/comparison.md, its picture and its figures.
    #[arg(long)]
    publish: bool,
    /// Only put together what earlier calls have found.
    #[arg(long)]
    table: bool,
    /// Keeps clips in this spool, and says each (the comparison starts itself so, to be killed).
    #[arg(long, hide = true)]
    keep: Option<PathBuf>,
    #[arg(long, hide = true, default_value_t = 1)]
    clips: u32,
    #[arg(long, hide = true, default_value_t = 0)]
    pace_ms: u64,
}

const PARTS: [&str; 6] = [
    "recording",
    "outage",
    "kill",
    "power-cut",
    "kill-in-drain",
    "own",
];

/// How much of everything.
pub struct Size {
    /// Clips that wait in the outage, and in the kill of the drain.
    pub waiting: u32,
    pub drained: u32,
    /// Clips of a kill or a power cut, and how often they are played.
    pub pace: Pace,
    pub seeds: u64,
    /// Seconds of the minute, and how often it is recorded.
    pub seconds: u64,
    pub minutes: usize,
    /// How often a recording is cut off.
    pub cuts: u64,
    /// Clips of the full tank and of the card that is verified; booths that are watched, and how long.
    pub tank: u64,
    pub verified: u64,
    pub booths: u32,
    pub watched_s: u64,
}

const WHOLE: Size = Size {
    waiting: 2_000,
    drained: 400,
    pace: Pace {
        clips: 40,
        pace: Duration::from_millis(200),
    },
    seeds: 2,
    seconds: 60,
    minutes: 2,
    cuts: 2,
    tank: 50_000,
    verified: 600,
    booths: 1_000,
    watched_s: 60,
};
const LOOK: Size = Size {
    waiting: 40,
    drained: 40,
    pace: Pace {
        clips: 10,
        pace: Duration::from_millis(200),
    },
    seeds: 1,
    seconds: 5,
    minutes: 1,
    cuts: 1,
    tank: 100,
    verified: 10,
    booths: 20,
    watched_s: 2,
};

impl Size {
    /// So much of it, and at least one of each.
    fn percent(&self, percent: u32) -> Self {
        let part = |of: u64| (of * u64::from(percent) / 100).max(1);
        let few = |of: u32| u32::try_from(part(u64::from(of))).unwrap_or(u32::MAX);
        Self {
            waiting: few(self.waiting),
            drained: few(self.drained),
            pace: self.pace,
            seeds: part(self.seeds),
            seconds: self.seconds,
            minutes: usize::try_from(part(self.minutes as u64)).unwrap_or(usize::MAX),
            cuts: part(self.cuts),
            tank: part(self.tank),
            verified: part(self.verified),
            booths: few(self.booths),
            watched_s: self.watched_s,
        }
    }
}

/// Bytes that a process has written to the disk; 0 of one that has ended.
pub fn bytes_written(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|bytes| bytes.trim().parse().ok())
        .unwrap_or(0)
}

fn main() -> ExitCode {
    match out::arguments::<Arguments>() {
        Ok(arguments) => out::status(compare(&arguments)),
        Err(status) => status,
    }
}

fn compare(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.keep {
        Some(spool) => ours::keep(
            spool,
            arguments.clips,
            Duration::from_millis(arguments.pace_ms),
        ),
        None => run(arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    std::fs::create_dir_all(&arguments.folder)
        .map_err(|error| format!("{}: {error}", arguments.folder.display()))?;
    for program in ["booth-gateway", "booth-hub"] {
        let place = arguments.binaries.join(program);
        if !place.exists() {
            return Err(format!(
                "there is no {}: cargo build --release --bins",
                place.display()
            ));
        }
    }
    let binaries = std::path::absolute(&arguments.binaries).map_err(|error| error.to_string())?;
    let programs = Programs::in_folder(&binaries);
    let size = match arguments.look {
        true => LOOK,
        false => WHOLE.percent(arguments.percent),
    };
    for part in PARTS {
        let is_named =
            arguments.parts.is_empty() || arguments.parts.iter().any(|named| named == part);
        if arguments.table || !is_named {
            continue;
        }
        let began = Instant::now();
        complain!("{part} …");
        match measure(part, &programs, &size) {
            Ok(table) => save(&arguments.folder, part, &table)?,
            Err(why) => complain!("NOT MEASURED: {part}: {why}"),
        }
        complain!("{part}: {:.0} s", began.elapsed().as_secs_f64());
    }
    let found = found(&arguments.folder)?;
    say!("{}", found.markdown());
    for figure in found.unreasoned() {
        complain!(
            "lost, and no reason is written yet (crates/testkit/src/comparison.rs): {figure}"
        );
    }
    if arguments.publish {
        publish(&found)
    } else {
        Ok(())
    }
}

fn measure(part: &str, programs: &Programs, size: &Size) -> Result<Table, String> {
    match part {
        "recording" => tables::recording(programs, size),
        "outage" => tables::outage(programs, size),
        "kill" => Ok(tables::ended(programs, End::Kill, size)),
        "power-cut" => match blockdev::obstacle() {
            Some(why) => Err(why),
            None => Ok(tables::ended(programs, End::PowerCut, size)),
        },
        "kill-in-drain" => Ok(tables::kill_in_drain(programs, size)),
        _ => Ok(tables::own(programs, size)),
    }
}

fn save(folder: &Path, part: &str, table: &Table) -> Result<(), String> {
    let text = serde_json::to_string_pretty(table).map_err(|error| error.to_string())?;
    let file = folder.join(format!("{part}.json"));
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// The parts that were measured, in their order.
fn found(folder: &Path) -> Result<Comparison, String> {
    let mut tables = Vec::new();
    for part in PARTS {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("{part}.json"))) else {
            continue;
        };
        tables.push(serde_json::from_str(&text).map_err(|error| format!("{part}.json: {error}"))?);
    }
    Ok(Comparison {
        machine: machine(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        commit: commit(),
        tables,
    })
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(2).unwrap_or("?");
    format!("{cores} cores, {model}, load {load} in its last quarter of an hour")
}

fn commit() -> String {
    let described = Command::new("git")
        .args(["describe", "--always", "--exclude=*"])
        .output();
    described.map_or_else(
        |_| "unknown".into(),
        |said| String::from_utf8_lossy(&said.stdout).trim().to_owned(),
    )
}

/// Where the tables stand on the page.
const BEGIN: &str = "<!-- The tables of the run: made by `make compare`. -->\n";
const END: &str = "<!-- End of the tables. -->\n";

fn publish(found: &Comparison) -> Result<(), String> {
    let docs = repository().join("docs");
    let write = |name: &str, text: &str| {
        let file = docs.join(name);
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
    };
    let figures = serde_json::to_string_pretty(found).map_err(|error| error.to_string())?;
    write("compare/run.json", &format!("{figures}\n"))?;
    write("comparison.svg", &found.picture())?;
    let page =
        std::fs::read_to_string(docs.join("comparison.md")).map_err(|error| error.to_string())?;
    let parted = page
        .split_once(BEGIN)
        .and_then(|(above, rest)| Some((above, rest.split_once(END)?.1)));
    let (above, below) = parted.ok_or("docs/comparison.md has no place for the tables")?;
    let about = format!(
        "{}, {}, programs of {}.",
        found.date, found.machine, found.commit
    );
    write(
        "comparison.md",
        &format!("{above}{BEGIN}{about}\n\n{}{END}{below}", found.markdown()),
    )
}
