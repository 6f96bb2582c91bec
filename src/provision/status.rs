//! `BOOTH-STATUS.TXT`: what a laptop shows of a booth when the booth's card is in it. Pure.
//!
//! Owns: the words, in the booth's language and in English. Never does: write anything that changes by itself (an age, a
//! level), so that the file is written only when there is news.

mod sections;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::Outcome;
use crate::adapters::sensors::Image;
use crate::config::zone;
use gateway_core::partition::Partition;
use gateway_core::prompt::Language;
use sections::{configuration, machine, messages, networks, running, secrets};

/// Longest sentence of another program that is repeated.
const LONGEST_SENTENCE: usize = 500;

/// The running gateway's answer about itself; the rest of the answer is the doctor's.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GatewayFacts {
    /// A citizen can speak now.
    pub ready: u8,
    /// `not_set_up` means that nothing is recorded for lack of a good configuration.
    pub session: String,
    /// 1 while connected to the broker.
    pub connected: u8,
    /// The hub is online.
    pub hub_online: u8,
    /// Messages that are only on this card.
    pub spool_clips: u64,
    /// Age of the oldest, seconds.
    pub oldest_unsent_s: u64,
    /// Every raised alert.
    pub faults: Vec<Told>,
    /// The findings: what works and what does not.
    pub findings: Vec<Told>,
    /// Files among the prompts that are not used, and why.
    pub unused_prompts: Vec<String>,
}

/// A fault or a finding.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Told {
    /// The id of an alert.
    pub id: String,
    /// The area of a finding.
    pub area: String,
    /// The verdict of a finding.
    pub verdict: String,
    /// The sentence of an alert.
    pub text: String,
    /// The sentence of a finding.
    pub sentence: String,
    /// What to do.
    pub remedy: Option<String>,
}

impl Told {
    fn with_remedy(&self, what: &str) -> String {
        format!("{what} {}", self.remedy.as_deref().unwrap_or_default())
    }
}

/// Everything that the file shows.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The outcome of the latest provisioning.
    pub outcome: Outcome,
    /// The gateway's answer, if it gives one.
    pub gateway: Option<GatewayFacts>,
    /// The booth's address.
    pub ip: Option<String>,
    /// Profiles that are connected and their interfaces; `None` if that was not asked.
    pub connected: Option<Vec<(String, String)>>,
    /// Version of this program.
    pub sw_version: String,
    /// The image, where there is one.
    pub image: Option<Image>,
    /// The image's report about the card's data partition.
    pub partition: Option<Partition>,
    /// The card's id, once the spool has been opened.
    pub card_id: Option<String>,
    /// Messages in the spool, counted by their files: used while no gateway answers.
    pub clips: u64,
    /// The oldest of them.
    pub oldest: Option<Timestamp>,
    /// The wall clock is synchronised.
    pub clock_synced: bool,
    /// Wall clock.
    pub now: Timestamp,
}

/// The whole file: UTF-8 with a byte order mark and CRLF, which every laptop's editor can show.
pub fn render(facts: &Facts) -> String {
    let zone = zone::zone(&facts.outcome.timezone);
    let said = |language| section(facts, language, &zone);
    let sections = match Language::of(&facts.outcome.language) {
        Language::Danish => [said(Language::Danish), said(Language::English)].join("\n\n"),
        Language::English => said(Language::English),
    };
    let head = format!("BOOTH STATUS {}", day(facts.now, &zone));
    format!("\u{feff}{head}\n\n{sections}\n").replace('\n', "\r\n")
}

/// The file for the case that the booth's own partition refused, so that there is no outcome.
pub fn refusal(why: &str, now: Timestamp) -> String {
    let text = format!(
        "\u{feff}BOOTH STATUS {}\n\n\
         Boksen kan ikke bruge sin egen del af kortet og fortsætter med det, den kender: {why}\n\
         FORMATÉR IKKE DETTE KORT: der kan være beskeder fra borgere på det. Brug et andet kort, og send dette til den, der driver boksen.\n\n\
         The booth cannot use its own part of the card and goes on with what it knows: {why}\n\
         DO NOT FORMAT THIS CARD: there may be messages of citizens on it. Use another card, and send this one to whoever runs the booth.\n",
        day(now, &TimeZone::UTC),
        why = line(why)
    );
    text.replace('\n', "\r\n")
}

/// Whether two files say the same; their first lines are left out, because they hold only the date.
pub fn is_same(one: &str, other: &str) -> bool {
    let rest = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    rest(one) == rest(other) && rest(one).is_some()
}

fn day(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
}

fn day_of(text: &str, zone: &TimeZone) -> String {
    text.parse()
        .map_or_else(|_| text.to_owned(), |at| day(at, zone))
}

/// Another program's sentence in one line.
fn line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST_SENTENCE).collect()
}

struct Page {
    is_danish: bool,
    lines: Vec<String>,
}

impl Page {
    fn say(&mut self, english: &str, danish: &str) {
        let said = if self.is_danish { danish } else { english };
        self.lines.push(said.to_owned());
    }

    fn pick<'a>(&self, english: &'a str, danish: &'a str) -> &'a str {
        if self.is_danish { danish } else { english }
    }

    fn item(&mut self, text: &str) {
        self.lines.push(format!("  - {}", line(text)));
    }

    fn gap(&mut self) {
        self.lines.push(String::new());
    }
}

fn section(facts: &Facts, language: Language, zone: &TimeZone) -> String {
    let mut page = Page {
        is_danish: language == Language::Danish,
        lines: Vec::new(),
    };
    page.say("===== English =====", "===== Dansk =====");
    page.gap();
    messages(facts, &mut page, zone);
    configuration(&facts.outcome, &mut page, zone);
    secrets(&facts.outcome, &mut page, zone);
    running(facts, &mut page);
    networks(facts, &mut page, zone);
    machine(facts, &mut page);
    page.lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests;
