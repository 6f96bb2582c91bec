//! `make demo-city`: a hub with a plausible year. Twelve booths in 26 places ask five campaigns; thousands of messages, spoken in several
//! voices in Danish and English, arrive over a broker as booths send them; a moderator and an editor work at the hub's pages.
//!
//! Starts everything on free loopback ports in a folder of its own (`run-city/`), says the addresses, and stays up until Ctrl-C.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods)] // a demonstration: reads the clock, starts programs

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use booth_host::{complain, say};
use booth_testkit::city_year::{CityYear, PASSWORD};
use clap::Parser;

/// Fills a hub with a year of a city, and shows it.
#[derive(Parser)]
struct Arguments {
    /// How many messages are spoken in the year; votes come besides.
    #[arg(long, default_value_t = 5_200)]
    messages: usize,
    /// End when everything is there: status 0, or 1 with the reason.
    #[arg(long)]
    once: bool,
}

fn main() -> ExitCode {
    match show(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Says how far it is, with the time since the beginning.
struct Steps(Instant);

impl Steps {
    fn done(&self, what: &str) {
        say!("{:6.1} s  {what}", self.0.elapsed().as_secs_f64());
    }
}

fn make_folder() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("run-city");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn show(arguments: &Arguments) -> Result<(), String> {
    let steps = Steps(Instant::now());
    let folder = make_folder()?;
    let year = CityYear::live(&folder, arguments.messages, |what| steps.done(what))?;
    say!(
        "\nThe city's pages:  {}\nThe staff's pages: {}login  (anna and bo, password {PASSWORD})",
        year.hub.citizens,
        year.hub.staff
    );
    if arguments.once {
        return Ok(());
    }
    say!("Ctrl-C ends it.");
    year.hub.wait()
}
