//! `make demo-city`: a hub with a plausible year. Twelve booths in 26 places ask five campaigns; thousands of messages, spoken in several
//! voices in Danish and English, arrive over a broker as booths send them; a moderator and an editor work at the hub's pages.
//!
//! Starts everything on free loopback ports in a folder of its own (`run-city/`), says the addresses, and stays up until Ctrl-C.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods)] // a demonstration: reads the clock, starts programs

mod booths;
mod campaigns;
mod corpus;
mod people;
mod staff;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use booth_host::{complain, say};
use booth_testkit::hub::Broker;
use clap::Parser;
use jiff::ToSpan;
use jiff::civil::Date;

use booths::{Chance, Kept};
use campaigns::{CAMPAIGNS, Campaign};
use corpus::Said;

/// How many booths there are.
const BOOTHS: usize = 12;
/// Where they stand: area, latitude, longitude, the place's name.
const PLACES: &str = include_str!("places.tsv");
/// Schematic areas around those places: not the city's official ones.
const AREAS: &str = include_str!("areas.geojson");

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
    let broker = Broker::open();
    let hub = people::Hub::start(&folder, broker.port)?;
    steps.done(&format!(
        "the hub is up: citizens' pages {}, staff {}",
        hub.citizens, hub.staff
    ));
    let said = corpus::speak()?;
    let voices = said.len();
    steps.done(&format!(
        "{voices} different sentences are spoken by espeak-ng, in Danish and English"
    ));
    for campaign in &CAMPAIGNS {
        let file = campaign.write(&folder)?;
        let file = file.display().to_string();
        hub.run(&["campaign", "prompts", &file])?;
        hub.run(&["campaign", "publish", &file, "--wait", "0"])?;
    }
    steps.done("five campaigns are published");
    let today = jiff::ZonedDateTime::now().date();
    let first = today.saturating_sub(364.days());
    let editor = people::Editor::log_in(&hub)?;
    editor.places(first)?;
    steps.done("26 areas, and the booths' 26 places");
    let year = year(arguments.messages, first, &said);
    let number: usize = year.iter().map(Vec::len).sum();
    let port = broker.port;
    let delivered: Vec<Vec<String>> = std::thread::scope(|scope| {
        let said = &said;
        let booths = year.iter().enumerate().map(|(booth, kept)| {
            scope.spawn(move || booths::deliver(port, &name_of(booth), kept, said))
        });
        let booths: Vec<_> = booths.collect();
        booths
            .into_iter()
            .map(|booth| booth.join().expect("a booth"))
            .collect()
    });
    steps.done(&format!(
        "{number} messages and votes went over the broker, and the hub has them"
    ));
    let moderator = people::Moderator::log_in(&hub)?;
    let decided = moderator.decide(&delivered, &year, &said)?;
    steps.done(&decided);
    editor.tells_what_came_of_it(first)?;
    steps.done("phases, replies, ideas");
    say!(
        "\nThe city's pages:  {}\nThe staff's pages: {}login  (anna and bo, password {})",
        hub.citizens,
        hub.staff,
        people::PASSWORD
    );
    if arguments.once {
        return Ok(());
    }
    say!("Ctrl-C ends it.");
    hub.wait()
}

fn name_of(booth: usize) -> String {
    format!("booth-{:02}", booth + 1)
}

/// Everything that is said and voted in the year, by booth, in order.
fn year(messages: usize, first: Date, said: &[Said]) -> Vec<Vec<Kept>> {
    let mut chance = Chance::new(2026);
    let mut year: Vec<Vec<Kept>> = (0..BOOTHS).map(|_| Vec::new()).collect();
    let of_campaign = |campaign: &Campaign| -> Vec<usize> {
        let own = said
            .iter()
            .enumerate()
            .filter(|(_, said)| said.campaign == campaign.id);
        own.map(|(at, _)| at).collect()
    };
    let words: Vec<Vec<usize>> = CAMPAIGNS.iter().map(of_campaign).collect();
    for _ in 0..messages {
        let which = chance.below(CAMPAIGNS.len());
        let campaign = &CAMPAIGNS[which];
        let (from, to) = campaign.days;
        let day = from + chance.below((to - from) as usize) as i64;
        let at = booths::moment(&mut chance, first.saturating_add(day.days()));
        // Some booths stand where many people pass.
        let booth = chance.below(BOOTHS).min(chance.below(BOOTHS));
        let publish = match chance.below(100) {
            0..20 => "no",
            20..60 => "text",
            _ => "voice",
        };
        let one = words[which][chance.below(words[which].len())];
        year[booth].push(Kept {
            said: Some(one),
            campaign: campaign.id,
            question: campaign.question,
            choice: None,
            at,
            publish,
        });
        if let Some(vote) = &campaign.vote
            && chance.often(40)
        {
            let favourite = chance
                .below(vote.options.len())
                .min(chance.below(vote.options.len()));
            let day = to + chance.below(30) as i64;
            year[booth].push(Kept {
                said: None,
                campaign: campaign.id,
                question: vote.id,
                choice: Some(vote.options[favourite].0),
                at: booths::moment(&mut chance, first.saturating_add(day.min(364).days())),
                publish: "no",
            });
        }
    }
    for kept in &mut year {
        kept.sort_by_key(|kept| kept.at);
    }
    year
}
