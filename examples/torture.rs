//! `make torture`: the long campaigns behind the promises of README, on release binaries.
//!
//! Owns: running each campaign's cases from seeds on as many threads as help, within the time that is given, with a progress
//! bar; what was done is kept in a folder, and the next call goes on from there. Never does: judge a case; the campaigns
//! are the same code that `make test` runs a slice of (`crates/testkit`). The table at the end is what
//! docs/reliability.md keeps.
#![allow(clippy::disallowed_methods)] // a campaign: reads the clock, starts programs, writes its progress
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use booth_host::out;
use booth_host::{complain, say};
use booth_testkit::backlog;
use booth_testkit::blockdev;
use booth_testkit::crash_states;
use booth_testkit::drain::{self, BrokerSends};
use booth_testkit::kills;
use booth_testkit::power_cuts;
use booth_testkit::programs;
use booth_testkit::world;
use clap::Parser;
use serde::{Deserialize, Serialize};

/// Booths at a time in the campaign of kills, and evenings recorded for the crash states.
const BOOTHS: usize = 4;
const EVENINGS: u64 = 6;
/// Broken cases that are kept with their sentence.
const SHOWN: usize = 20;

/// Attacks the promises for long, and prints what came of it.
#[derive(Parser)]
struct Arguments {
    /// Campaigns to run; all if none is named.
    #[arg(value_parser = NAMES)]
    campaigns: Vec<String>,
    /// Where `booth-gateway` and `booth-hub` of the release build are.
    #[arg(long, default_value = "target/release")]
    binaries: PathBuf,
    /// What was done is remembered here; the next call goes on from it. Remove the folder to begin anew.
    #[arg(long, default_value = "target/torture")]
    folder: PathBuf,
    /// After so many minutes no new case is begun.
    #[arg(long, default_value_t = 90)]
    minutes: u64,
    /// Of the full sizes, in percent: 1 for a look.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    percent: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only print the table of what was done.
    #[arg(long)]
    table: bool,
}

const NAMES: [&str; 6] = [
    "power-cuts",
    "crash-states",
    "gateway-kills",
    "centre-kills",
    "simulation",
    "drain",
];

/// One figure over many cases.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Figure {
    sum: f64,
    most: f64,
    cases: u64,
}

/// What was done of one campaign.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Progress {
    commit: String,
    machine: String,
    date: String,
    first_seed: u64,
    next_seed: u64,
    /// What counts towards the size: cuts, states, kills, seeds.
    done: u64,
    cases: u64,
    /// Cases that came to nothing, for a reason outside the project (a stand-in for a sound card that fails).
    voids: u64,
    broken: u64,
    told: Vec<String>,
    seconds: f64,
    figures: BTreeMap<String, Figure>,
}

/// What one case came to: how much of the size it is, and its figures.
struct Case {
    counts: u64,
    figures: Vec<(&'static str, f64)>,
}

struct Campaign<'a> {
    name: &'static str,
    what: &'static str,
    size: u64,
    threads: usize,
    arguments: &'a Arguments,
    until: Instant,
}

impl Campaign<'_> {
    fn file(&self) -> PathBuf {
        self.arguments.folder.join(format!("{}.json", self.name))
    }

    fn load(&self) -> Progress {
        let stored = std::fs::read(self.file())
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Progress>(&bytes).ok())
            .filter(|progress| progress.commit == commit());
        stored.unwrap_or_else(|| Progress {
            commit: commit(),
            machine: machine(),
            date: today(),
            first_seed: self.arguments.seed,
            next_seed: self.arguments.seed,
            ..Progress::default()
        })
    }

    fn save(&self, progress: &Progress) {
        let text = serde_json::to_vec_pretty(progress).expect("plain data");
        let temporary = self.file().with_extension("tmp");
        std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, self.file()))
            .unwrap_or_else(|error| complain!("progress cannot be kept: {error}"));
    }

    /// Runs cases until the size is reached or the time is over. `case` gets the thread's number and the seed.
    fn run(&self, case: impl Fn(usize, u64) -> Result<Case, String> + Sync) -> Progress {
        let loaded = self.load();
        let next = AtomicU64::new(loaded.next_seed);
        let (seconds_before, begun) = (loaded.seconds, Instant::now());
        let progress = Mutex::new(loaded);
        let running = AtomicU64::new(self.threads as u64);
        std::thread::scope(|scope| {
            for thread in 0..self.threads {
                let (progress, next, case, running) = (&progress, &next, &case, &running);
                scope.spawn(move || {
                    while Instant::now() < self.until
                        && progress.lock().expect("no panic").done < self.size
                    {
                        let seed = next.fetch_add(1, Relaxed);
                        let came = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            case(thread, seed)
                        }));
                        let came =
                            came.unwrap_or_else(|_| Err(format!("seed {seed}: it panicked")));
                        let mut progress = progress.lock().expect("no panic");
                        progress.take(seed, came);
                        progress.seconds = seconds_before + begun.elapsed().as_secs_f64();
                        progress.next_seed = next.load(Relaxed);
                        self.show(&progress);
                    }
                    running.fetch_sub(1, Relaxed);
                });
            }
            scope.spawn(|| {
                while running.load(Relaxed) > 0 {
                    self.save(&progress.lock().expect("no panic"));
                    std::thread::park_timeout(Duration::from_secs(2));
                }
            });
        });
        let progress = progress.into_inner().expect("no panic");
        self.save(&progress);
        complain!("");
        progress
    }

    fn show(&self, progress: &Progress) {
        static SHOWN_AT: Mutex<Option<Instant>> = Mutex::new(None);
        let mut shown = SHOWN_AT.lock().expect("no panic");
        let is_terminal = std::io::stderr().is_terminal();
        let every = Duration::from_millis(if is_terminal { 200 } else { 15_000 });
        let is_over = progress.done >= self.size;
        if !is_over && shown.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        *shown = Some(Instant::now());
        let part = (progress.done as f64 / self.size as f64).min(1.0);
        let bar: String = (0..30)
            .map(|at| {
                if f64::from(at) < part * 30.0 {
                    '█'
                } else {
                    '·'
                }
            })
            .collect();
        let start = if is_terminal { "\r" } else { "" };
        out::complain(format_args!(
            "{start}{:<14} {bar} {}/{} {}, {} broken, {:.0} s{}",
            self.name,
            progress.done,
            self.size,
            self.what,
            progress.broken,
            progress.seconds,
            if is_terminal { " " } else { "\n" }
        ));
    }
}

impl Progress {
    fn take(&mut self, seed: u64, came: Result<Case, String>) {
        self.cases += 1;
        match came {
            Ok(case) => {
                self.done += case.counts;
                for (name, value) in case.figures {
                    let figure = self.figures.entry(name.into()).or_default();
                    figure.sum += value;
                    figure.most = figure.most.max(value);
                    figure.cases += 1;
                }
            }
            Err(why) if is_void(&why) => self.voids += 1,
            Err(why) => {
                self.broken += 1;
                self.done += 1;
                let line = format!("seed {seed}: {why}");
                complain!("\nBROKEN {line}");
                if self.told.len() < SHOWN {
                    self.told.push(line);
                }
            }
        }
    }
}

/// A case that never came to what it was to attack: PulseAudio, which stands in for the sound card, failed.
fn is_void(why: &str) -> bool {
    why.contains("no visit comes to a recording")
}

fn commit() -> String {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output();
    output.map_or_else(
        |_| "unknown".into(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The day, UTC.
fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    format!("{cores} cores, {model}")
}

fn main() -> ExitCode {
    match out::arguments::<Arguments>() {
        Ok(arguments) => out::status(torture(&arguments)),
        Err(status) => status,
    }
}

fn torture(arguments: &Arguments) -> ExitCode {
    if let Err(error) = std::fs::create_dir_all(&arguments.folder) {
        complain!("{}: {error}", arguments.folder.display());
        return ExitCode::FAILURE;
    }
    for program in ["booth-gateway", "booth-hub"] {
        if !arguments.binaries.join(program).exists() {
            complain!(
                "there is no {program} in {}: cargo build --release --bins",
                arguments.binaries.display()
            );
            return ExitCode::from(2);
        }
    }
    let until = Instant::now() + Duration::from_secs(60 * arguments.minutes);
    let wanted = |name: &str| {
        arguments.campaigns.is_empty() || arguments.campaigns.iter().any(|given| given == name)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut rows = Vec::new();
    let failed = AtomicBool::new(false);
    for (name, what, size, threads) in [
        ("power-cuts", "cuts", 20_000, cores),
        ("simulation", "seeds", 10_000, cores),
        ("centre-kills", "kills", 200, cores),
        ("gateway-kills", "kills", 1_000, BOOTHS),
        ("crash-states", "states", 2_000, cores),
        ("drain", "drains", 3, 1),
    ] {
        let campaign = Campaign {
            name,
            what,
            size: (size * arguments.percent / 100).max(1),
            threads,
            arguments,
            until,
        };
        if !wanted(name) {
            continue;
        }
        let progress = if arguments.table {
            Ok(campaign.load())
        } else {
            attack(&campaign)
        };
        match progress {
            Ok(progress) => {
                let is_short = progress.done < campaign.size;
                failed.fetch_or(progress.broken > 0 || is_short, Relaxed);
                rows.push(row(&campaign, &progress));
            }
            Err(why) => {
                failed.store(true, Relaxed);
                complain!("{name}: NOT RUN: {why}");
                rows.push(format!("| {name} | NOT RUN: {why} | | | |"));
            }
        }
    }
    say!("| campaign | done of | broken | void | figures |\n| --- | --- | --- | --- | --- |");
    rows.iter().for_each(|row| say!("{row}"));
    say!("\n{}; {}", machine(), today());
    match failed.load(Relaxed) {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    }
}

fn attack(campaign: &Campaign) -> Result<Progress, String> {
    let binaries: &Path = &campaign.arguments.binaries;
    let programs = programs::Programs::in_folder(binaries);
    match campaign.name {
        "power-cuts" => Ok(campaign.run(|_, seed| {
            // One life in ten has the real sled on a real folder underneath, three have operations that fail.
            let outcome = match seed % 10 {
                0 => {
                    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                    power_cuts::one_with_ledger(seed, folder.path())?
                }
                1..=3 => power_cuts::one_with_faults(seed)?,
                _ => power_cuts::one(seed)?,
            };
            Ok(Case {
                counts: outcome.cuts,
                figures: vec![
                    ("cuts within a recovery", outcome.cuts_of_recovery as f64),
                    ("frames acknowledged", outcome.frames as f64),
                    ("takes recovered", outcome.recovered as f64),
                    ("operations that failed", outcome.faults as f64),
                ],
            })
        })),
        "simulation" => Ok(campaign.run(|_, seed| {
            let outcome = world::one(seed)?;
            Ok(Case {
                counts: 1,
                figures: vec![
                    ("virtual days", outcome.virtual_ms as f64 / 86_400_000.0),
                    ("faults", outcome.faults as f64),
                    ("power cuts and kills", outcome.deaths as f64),
                    ("clips kept", outcome.kept as f64),
                    ("takes recovered", outcome.recovered as f64),
                    ("seeds with the real hub's store", outcome.real_hub as f64),
                ],
            })
        })),
        "centre-kills" => {
            let voice = backlog::Voice::new(10)?;
            Ok(campaign.run(|_, seed| {
                let kill = kills::broker_or_hub_kill(&programs, &voice, seed)?;
                Ok(Case {
                    counts: u64::from(kill.broker_kills + kill.hub_kills),
                    figures: vec![
                        ("broker kills", f64::from(kill.broker_kills)),
                        ("hub kills", f64::from(kill.hub_kills)),
                        ("clips", kill.clips as f64),
                    ],
                })
            }))
        }
        "gateway-kills" => {
            let street = kills::Street::open(&programs, campaign.threads)?;
            let progress = campaign.run(|booth, seed| {
                let kill = street.gateway_kill(booth, seed)?;
                let mut figures = vec![("clips on the card at the kill", kill.on_card as f64)];
                if let Some(cut) = kill.cut {
                    figures.push((
                        "ms of speech lost of an unfinished take",
                        cut.lost_ms() as f64,
                    ));
                    figures.push((
                        "ms that the machine held up a writer",
                        cut.stalled_ms as f64,
                    ));
                }
                Ok(Case { counts: 1, figures })
            });
            street.check()?;
            Ok(progress)
        }
        "crash-states" => {
            if let Some(why) = blockdev::obstacle() {
                return Err(why);
            }
            let folder = campaign.arguments.folder.join("evenings");
            std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
            complain!("crash-states: recording {EVENINGS} evenings, some minutes …");
            let rig =
                crash_states::Rig::prepare(&programs, &folder, EVENINGS, campaign.arguments.seed)?;
            Ok(campaign.run(|_, seed| {
                let outcome = rig.one(seed)?;
                let mut figures = vec![
                    (
                        "states with writes in doubt",
                        f64::from(u8::from(outcome.in_doubt > 0)),
                    ),
                    ("kept clips compared", outcome.kept as f64),
                    ("takes recovered", outcome.recovered as f64),
                    (
                        "more than 1 s lost on a stalled machine",
                        f64::from(u8::from(outcome.was_busy)),
                    ),
                    (
                        "mounted after the check of a boot",
                        f64::from(u8::from(outcome.by_fsck)),
                    ),
                    (
                        "the sound card's stand-in failed",
                        f64::from(u8::from(outcome.was_deaf)),
                    ),
                ];
                figures.extend(
                    outcome
                        .lost_ms
                        .map(|ms| ("ms of speech lost of an unfinished take", ms as f64)),
                );
                Ok(Case { counts: 1, figures })
            }))
        }
        _ => Ok(campaign.run(|_, seed| {
            let (clips, named, against_mosquitto) = match seed - campaign.arguments.seed {
                0 => (500, ["MB/s of 500 clips", "RSS with 500 clips, MiB"], false),
                1 => (
                    5_000,
                    ["MB/s of 5,000 clips", "RSS with 5,000 clips, MiB"],
                    true,
                ),
                // 2 GB: what a busy booth has after a week without the hub.
                _ => (11_200, ["MB/s of 2 GB", "RSS with 2 GB, MiB"], false),
            };
            let clips = (clips * campaign.arguments.percent / 100).max(10);
            let drained =
                drain::drain(&programs, clips, 60, BrokerSends::AtOnce, against_mosquitto)?;
            let mut figures = vec![
                ("fdatasync of a page before it, ms", drained.flush_ms),
                (named[0], drained.mb_s()),
                (named[1], drained.gateway_rss_mib),
            ];
            if let Some(ratio) = drained.ratio() {
                figures.push(("5,000 clips against mosquitto_pub and _sub", ratio));
            }
            Ok(Case { counts: 1, figures })
        })),
    }
}

fn row(campaign: &Campaign, progress: &Progress) -> String {
    let mut figures: Vec<String> = progress
        .figures
        .iter()
        .map(|(name, figure)| {
            let is_level = name.contains("ms") || name.contains("MB") || name.contains("MiB");
            if is_level || name.contains("against") {
                format!(
                    "{name}: mean {:.2}, most {:.2} ({})",
                    figure.sum / figure.cases.max(1) as f64,
                    figure.most,
                    figure.cases
                )
            } else {
                format!("{name}: {:.0}", figure.sum)
            }
        })
        .collect();
    figures.push(format!(
        "seeds {} to {}, {:.0} s, commit {}, {}",
        progress.first_seed,
        progress.next_seed.saturating_sub(1),
        progress.seconds,
        progress.commit,
        progress.date
    ));
    format!(
        "| {} | {} of {} {} | {} | {} | {} |",
        campaign.name,
        progress.done,
        campaign.size,
        campaign.what,
        progress.broken,
        progress.voids,
        figures.join("; ")
    )
}
