//! `make simulate`: whole booths in virtual time, one for each seed (`crates/testkit/src/world.rs`).
//!
//! `simulate 1000` runs seeds 0 to 999, `simulate 17..20` these three, `simulate --trace 17` says all that happens.
//! A failing seed is printed; the exit status is 1 if there was one.
#![allow(clippy::disallowed_methods)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use booth_host::out;
use booth_host::{complain, say};
use booth_testkit::world;

fn seeds(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    }
}

fn main() -> ExitCode {
    out::status(simulate())
}

fn simulate() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--trace", seed] if seed.parse::<u64>().is_ok() => trace(seed.parse().unwrap_or(0)),
        [range] if seeds(range).is_some() => many(seeds(range).unwrap_or(0..0)),
        _ => {
            complain!("usage: simulate SEEDS | simulate FROM..TO | simulate --trace SEED");
            ExitCode::from(2)
        }
    }
}

fn trace(seed: u64) -> ExitCode {
    match world::replay(seed, |line| say!("{line}")) {
        Ok(outcome) => {
            say!("{outcome:#?}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            say!("BROKEN: {broken}");
            ExitCode::FAILURE
        }
    }
}

fn many(seeds: Range<u64>) -> ExitCode {
    // A panic is a broken promise like any other; it is printed once, with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicU64::new(seeds.start);
    let total = Mutex::new(world::Outcome::default());
    let broken = Mutex::new(Vec::new());
    let done = AtomicU64::new(0);
    let begun = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds.end || out::is_over() {
                        return;
                    }
                    match world::one(seed) {
                        Ok(outcome) => total.lock().expect("no panic").add(&outcome),
                        Err(why) => {
                            say!("BROKEN: {why}\n  replay: make simulate SEED={seed}");
                            broken.lock().expect("no panic").push(seed);
                        }
                    }
                    let done = done.fetch_add(1, Relaxed) + 1;
                    if done.is_multiple_of(500) {
                        complain!("{done} seeds, {:.0} s", begun.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no panic");
    let mut broken = broken.into_inner().expect("no panic");
    broken.sort_unstable();
    let seconds = begun.elapsed().as_secs_f64();
    let count = seeds.end - seeds.start;
    say!(
        "{count} seeds ({}..{}), {:.1} virtual days, {:.0} s: {} broken",
        seeds.start,
        seeds.end,
        total.virtual_ms as f64 / 86_400_000.0,
        seconds,
        broken.len()
    );
    say!(
        "{} events, {} faults, {} deaths, {} visits; {} clips kept, {} recovered, {} takes discarded, {} of them after they had their number; \
         {} votes cast, {} messages taken back, {} times stepped back from another device of the booth's name; at the hub {} stored, {} rejected, {} offered again out of quarantine; \
         the real hub's store in {} seeds",
        total.events,
        total.faults,
        total.deaths,
        total.visits,
        total.kept,
        total.recovered,
        total.discarded + total.voided,
        total.voided,
        total.votes,
        total.noted,
        total.stepped_back,
        total.stored,
        total.rejected,
        total.returned,
        total.real_hub
    );
    if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        say!("broken seeds: {broken:?}");
        ExitCode::FAILURE
    }
}
