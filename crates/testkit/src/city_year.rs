//! A plausible year of a city, through real programs: twelve booths in 26 places ask five campaigns; messages, spoken in several voices in
//! Danish and English, arrive over a broker as booths send them; a moderator and an editor work at the hub's pages. Only the hours in which
//! booths were ready are written into the hub's database: it counts them day by day, on its own clock.
//!
//! `make demo-city` shows it, and tests look at every page of it.

mod booths;
mod campaigns;
mod corpus;
mod hours;
mod people;

use std::path::Path;

use jiff::ToSpan;
use jiff::civil::Date;

use rusqlite::{Connection, OpenFlags};

use crate::hub::Broker;
use crate::wait::until;
use booths::{Chance, Kept};
use campaigns::{CAMPAIGNS, Campaign};
use corpus::Said;
pub use people::{Hub, PASSWORD};

/// How many booths there are.
const BOOTHS: usize = 12;
/// Where they stand: area, latitude, longitude, the place's name.
const PLACES: &str = include_str!("city_year/places.tsv");
/// Schematic areas around those places: not the city's official ones.
const AREAS: &str = include_str!("city_year/areas.geojson");

/// A hub that has had its year, and its broker.
pub struct CityYear {
    /// The hub.
    pub hub: Hub,
    _broker: Broker,
}

impl CityYear {
    /// Lives the year in this folder, with so many messages and votes besides; tells each step.
    ///
    /// # Errors
    /// What a program said when it refused.
    pub fn live(folder: &Path, messages: usize, tell: impl Fn(&str)) -> Result<Self, String> {
        let broker = Broker::open();
        let hub = people::Hub::start(folder, broker.port)?;
        tell(&format!(
            "the hub is up: citizens' pages {}, staff {}",
            hub.citizens, hub.staff
        ));
        let said = corpus::speak(messages / 2)?;
        let voices = said.len();
        tell(&format!(
            "{voices} different sentences are spoken by espeak-ng, in Danish and English"
        ));
        for campaign in &CAMPAIGNS {
            let file = campaign.write(folder)?;
            let file = file.display().to_string();
            hub.run(&["campaign", "prompts", &file])?;
            hub.run(&["campaign", "publish", &file, "--wait", "0"])?;
        }
        tell("five campaigns are published");
        let today = jiff::ZonedDateTime::now().date();
        let first = today.saturating_sub(364.days());
        let editor = people::Editor::log_in(&hub)?;
        editor.places(first)?;
        tell("26 areas, and the booths' 26 places");
        let year = year(messages, first, &said);
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
        tell(&format!(
            "{number} messages and votes went over the broker, and the hub has them"
        ));
        has_followed(folder, number);
        hours::fill(folder, today).map_err(|why| format!("the booths' hours: {why}"))?;
        let moderator = people::Moderator::log_in(&hub)?;
        let decided = moderator.decide(&delivered, &year, &said)?;
        tell(&decided);
        editor.tells_what_came_of_it(first)?;
        tell("phases, replies, ideas");
        Ok(Self {
            hub,
            _broker: broker,
        })
    }
}

/// Waits until the city has taken over so many messages and votes.
fn has_followed(folder: &Path, number: usize) {
    let file = folder.join("store/city.sqlite");
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let db = db.expect("the city's database");
    until("the city has all messages", || {
        let asked = db.query_row("SELECT count(*) FROM message", [], |row| row.get(0));
        asked
            .is_ok_and(|there: usize| there >= number)
            .then_some(())
    });
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
