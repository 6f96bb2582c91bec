//! `BOOTH-STATUS.TXT`: what a laptop shows of a booth when the booth's card is in it. Pure.
//!
//! Owns: the words, in the booth's language and in English. Never does: write anything that changes by itself (an age, a
//! level), so that the file is written only when there is news.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::network::{ConnectionNews, Way};
use super::vault::Role;
use super::{Outcome, SecretNews, Source};
use crate::adapters::sensors::Image;
use crate::config::zone;
use gateway_core::partition::{self, Partition};
use gateway_core::spoken::Language;

/// Most keys that are listed.
const MOST_KEYS: usize = 200;
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
    let told = |language| section(facts, language, &zone);
    let sections = match Language::of(&facts.outcome.language) {
        Language::Danish => [told(Language::Danish), told(Language::English)].join("\n\n"),
        Language::English => told(Language::English),
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

/// The messages come first, because they decide what may be done with the card.
fn messages(facts: &Facts, page: &mut Page, zone: &TimeZone) {
    // The file must not say that all messages are at the centre while others may be hidden on the card.
    let is_told = hidden_messages(facts, page);
    let (count, oldest) = match &facts.gateway {
        Some(gateway) => {
            let age = i64::try_from(gateway.oldest_unsent_s).unwrap_or(0);
            let at = Timestamp::from_second(facts.now.as_second().saturating_sub(age)).ok();
            (gateway.spool_clips, at)
        }
        None => (facts.clips, facts.oldest),
    };
    if count == 0 && is_told {
        return;
    }
    if count == 0 {
        page.say(
            "No message is only on this card.",
            "Ingen beskeder findes kun på dette kort.",
        );
        page.gap();
        return;
    }
    let since = oldest.map(|at| day(at, zone)).unwrap_or_default();
    page.say(
        &format!("DO NOT FORMAT THIS CARD. Messages of citizens that are only on it: {count}, the oldest since {since}."),
        &format!("FORMATÉR IKKE DETTE KORT. Beskeder fra borgere, der kun findes på kortet: {count}, den ældste siden {since}."),
    );
    send_to(facts, page);
    page.gap();
}

/// Reports messages that may lie where no program reads them; true if there is something to report.
fn hidden_messages(facts: &Facts, page: &mut Page) -> bool {
    match (&facts.partition, &facts.outcome.refused) {
        (Some(Partition::MovedAside(why)), _) => {
            let place = match partition::sector(why) {
                Some(sector) => format!("{} {sector}", page.pick("before sector", "før sektor")),
                None => page
                    .pick("beside the new one", "ved siden af den nye")
                    .to_owned(),
            };
            page.say(
                &format!("DO NOT FORMAT THIS CARD. Its former data partition was beyond repair and lies untouched {place}: messages of citizens may be there. Swap the card."),
                &format!("FORMATÉR IKKE DETTE KORT. Dets tidligere datapartition kunne ikke repareres og ligger urørt {place}: der kan være beskeder fra borgere. Skift kortet."),
            );
        }
        (Some(Partition::Missing(_)), _) | (_, Some(_)) => {
            let why = match &facts.partition {
                Some(Partition::Missing(why)) => line(why),
                _ => line(facts.outcome.refused.as_deref().unwrap_or_default()),
            };
            page.say(
                &format!("THE BOOTH CANNOT USE ITS OWN PART OF THIS CARD ({why}). DO NOT FORMAT IT: messages of citizens may be on it. Use another card."),
                &format!("BOKSEN KAN IKKE BRUGE SIN EGEN DEL AF KORTET ({why}). FORMATÉR DET IKKE: der kan være beskeder fra borgere på det. Brug et andet kort."),
            );
        }
        _ => return false,
    }
    send_to(facts, page);
    page.gap();
    true
}

/// Writes to whom the card belongs.
fn send_to(facts: &Facts, page: &mut Page) {
    let contact = line(&facts.outcome.contact);
    match contact.is_empty() {
        true => page.say(
            "Send it to whoever runs this booth.",
            "Send det til den, der driver boksen.",
        ),
        false => page.say(
            &format!("Send it to: {contact}"),
            &format!("Send det til: {contact}"),
        ),
    }
}

fn configuration(outcome: &Outcome, page: &mut Page, zone: &TimeZone) {
    let who = match outcome.name.is_empty() {
        true => outcome.booth_id.clone(),
        false => format!("{} ({})", outcome.booth_id, line(&outcome.name)),
    };
    match &outcome.source {
        Source::Card => page.say(
            &format!("Booth: {who}. It is set up with the booth.toml of this card."),
            &format!("Boks: {who}. Den er sat op med kortets booth.toml."),
        ),
        Source::Kept { since } => {
            let since = day_of(since, zone);
            page.say(
                &format!("Booth: {who}. The booth.toml of this card is NOT used. The booth goes on with the one of {since}."),
                &format!("Boks: {who}. Kortets booth.toml bruges IKKE. Boksen fortsætter med den fra {since}."),
            );
        }
        Source::NotSetUp => page.say(
            "This booth is NOT SET UP. It records nothing until booth.toml is right.",
            "Denne boks er IKKE SAT OP. Den optager intet, før booth.toml er rigtig.",
        ),
    }
    if !outcome.faults.is_empty() {
        page.say(
            "What is wrong (correct it on the card, and switch the booth off and on):",
            "Hvad der er galt (ret det på kortet, og sluk og tænd boksen):",
        );
        outcome.faults.iter().for_each(|fault| page.item(fault));
    }
    for note in &outcome.notes {
        page.item(note);
    }
    if !outcome.keys.is_empty() {
        page.gap();
        page.say("Keys of booth.toml:", "Nøgler i booth.toml:");
        for verdict in outcome.keys.iter().take(MOST_KEYS) {
            let word = match (&verdict.fault, &outcome.source) {
                (None, Source::Card) => page.pick("applied", "anvendt"),
                (None, _) => page.pick(
                    "right, but not used while others are wrong",
                    "rigtig, men bruges ikke, så længe andre er forkerte",
                ),
                (Some(_), _) if verdict.is_unknown => page.pick("UNKNOWN KEY", "UKENDT NØGLE"),
                (Some(_), _) => page.pick("WRONG", "FORKERT"),
            };
            let at = page.pick("line", "linje");
            let text = format!("{} ({at} {}): {word}", verdict.key, verdict.line);
            page.item(&text);
        }
        if outcome.keys.len() > MOST_KEYS {
            page.item("…");
        }
    }
    page.gap();
}

fn secrets(outcome: &Outcome, page: &mut Page, zone: &TimeZone) {
    for news in &outcome.secrets {
        let SecretNews {
            role,
            name,
            since,
            is_new,
            fault,
        } = news;
        let what = match role {
            Role::Password => page.pick("Password", "Adgangskode"),
            Role::Authority => page.pick("Certificate authority", "Certifikatudsteder"),
            Role::Certificate => page.pick("Certificate", "Certifikat"),
            Role::Key => page.pick("Private key", "Privat nøgle"),
        };
        let since = since.as_deref().map(|since| day_of(since, zone));
        let kept = match (&since, is_new) {
            (Some(_), true) => page
                .pick("taken from the card now", "taget fra kortet nu")
                .to_owned(),
            (Some(since), false) => format!("{} {since}", page.pick("kept since", "gemt siden")),
            (None, _) => page.pick("MISSING", "MANGLER").to_owned(),
        };
        let why = fault.as_ref().map(|why| format!("; {}", line(why)));
        page.lines.push(format!(
            "{what} ({}): {kept}{}",
            line(name),
            why.unwrap_or_default()
        ));
    }
    if outcome.candidate.is_some() {
        page.say(
            "The new credentials have not connected yet; the former are kept until they have.",
            "De nye adgangsoplysninger har endnu ikke givet forbindelse; de tidligere beholdes indtil da.",
        );
    }
    if !outcome.secrets.is_empty() {
        page.gap();
    }
}

fn running(facts: &Facts, page: &mut Page) {
    let Some(gateway) = &facts.gateway else {
        page.say(
            "The booth's program has not answered yet when this was written.",
            "Boksens program havde endnu ikke svaret, da dette blev skrevet.",
        );
        page.gap();
        return;
    };
    if gateway.ready == 1 {
        page.say("A citizen can speak now.", "En borger kan tale nu.");
    } else {
        page.say(
            "A citizen can NOT speak now.",
            "En borger kan IKKE tale nu.",
        );
    }
    let broker = facts
        .outcome
        .broker
        .as_deref()
        .map(line)
        .unwrap_or_default();
    match (gateway.connected, broker.is_empty()) {
        (1, _) => page.say(
            &format!("Broker: connected ({broker})."),
            &format!("Broker: forbundet ({broker})."),
        ),
        (_, true) => page.say("Broker: none is configured.", "Broker: ingen er angivet."),
        (_, false) => {
            page.say(
                &format!("Broker: NOT connected ({broker})."),
                &format!("Broker: IKKE forbundet ({broker})."),
            );
            let why = gateway
                .findings
                .iter()
                .find(|told| told.area == "broker" && told.verdict != "ok");
            if let Some(why) = why {
                page.item(&why.with_remedy(&why.sentence));
            }
        }
    }
    if gateway.connected == 1 {
        match gateway.hub_online {
            1 => page.say("Centre: reached.", "Centralen: nået."),
            _ => page.say("Centre: NOT reached.", "Centralen: IKKE nået."),
        }
    }
    // The trouble with the broker is in the file already, further up.
    let faults = gateway.faults.iter();
    for fault in faults.filter(|fault| fault.id != "not_connected") {
        page.item(&fault.with_remedy(&format!("{}: {}", fault.id, fault.text)));
    }
    if !gateway.unused_prompts.is_empty() {
        page.say(
            "Prompts that are not used:",
            "Indtalinger, der ikke bruges:",
        );
        gateway.unused_prompts.iter().for_each(|why| page.item(why));
    }
    page.gap();
}

fn networks(facts: &Facts, page: &mut Page, zone: &TimeZone) {
    if facts.outcome.networks.is_empty() {
        return;
    }
    page.say("Networks:", "Netværk:");
    for connection in &facts.outcome.networks {
        let what = what_connects(connection, page);
        let interface = |rank: usize| {
            let (uuid, connected) = (connection.profiles.get(rank)?, facts.connected.as_ref()?);
            let (_, interface) = connected.iter().find(|(other, _)| other == uuid)?;
            Some(line(interface))
        };
        let state = match (interface(0), interface(1), &facts.connected) {
            (Some(name), _, _) => format!("{} ({name})", page.pick("connected", "forbundet")),
            (None, Some(name), _) => format!(
                "{} ({name})",
                page.pick(
                    "connected with the FORMER password, the new one has not connected",
                    "forbundet med den TIDLIGERE adgangskode, den nye har ikke givet forbindelse"
                )
            ),
            (None, None, _) if connection.profiles.is_empty() => {
                page.pick("NOT USED", "BRUGES IKKE").to_owned()
            }
            (None, None, Some(_)) => page.pick("not connected", "ikke forbundet").to_owned(),
            (None, None, None) => page.pick("set up", "sat op").to_owned(),
        };
        page.item(&format!("{what}: {state}"));
        for secret in &connection.secrets {
            let since = secret.since.as_deref().map(|since| day_of(since, zone));
            let kept = match (since, secret.is_new) {
                (Some(_), true) => page
                    .pick("taken from the card now", "taget fra kortet nu")
                    .to_owned(),
                (Some(since), false) => {
                    format!("{} {since}", page.pick("kept since", "gemt siden"))
                }
                (None, _) => page.pick("MISSING", "MANGLER").to_owned(),
            };
            let why = secret.fault.as_ref().map(|why| format!("; {}", line(why)));
            page.item(&format!(
                "{}: {kept}{}",
                line(&secret.name),
                why.unwrap_or_default()
            ));
        }
    }
    page.gap();
}

fn what_connects(connection: &ConnectionNews, page: &Page) -> String {
    let name = line(&connection.name);
    match (connection.way, name.is_empty()) {
        (Way::Wired, true) => page.pick("Wired, DHCP", "Kablet, DHCP").to_owned(),
        (Way::Wired, false) => format!("{} {name}", page.pick("Wired,", "Kablet,")),
        (Way::Wifi, _) => format!("Wi-Fi \"{name}\""),
        (Way::Modem, true) => page.pick("Mobile modem", "Mobilmodem").to_owned(),
        (Way::Modem, false) => format!("{} ({name})", page.pick("Mobile modem", "Mobilmodem")),
    }
}

fn machine(facts: &Facts, page: &mut Page) {
    let none = page.pick("none", "ingen");
    let address = facts.ip.clone().unwrap_or_else(|| none.to_owned());
    page.say(
        &format!("Address: {address}"),
        &format!("Adresse: {address}"),
    );
    match facts.clock_synced {
        true => page.say("Clock: set by the network", "Ur: stillet over netværket"),
        false => page.say(
            "Clock: NOT set by the network; dates here may be wrong",
            "Ur: IKKE stillet over netværket; datoer her kan være forkerte",
        ),
    }
    page.say(
        &format!("Software: booth-gateway {}", facts.sw_version),
        &format!("Program: booth-gateway {}", facts.sw_version),
    );
    if let Some(image) = &facts.image {
        let (version, id) = (line(&image.version), &image.image_id);
        page.lines.push(format!("Image: {version} {id}"));
    }
    if let Some(card) = &facts.card_id {
        page.say(
            &format!("Card: {}", line(card)),
            &format!("Kort: {}", line(card)),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::judge::KeyVerdict;
    use super::super::network::NetworkSecret;
    use super::*;

    fn connection(way: Way, name: &str, uuids: &[&str], secret: Option<&str>) -> ConnectionNews {
        ConnectionNews {
            way,
            name: name.into(),
            profiles: uuids.iter().map(|uuid| (*uuid).to_owned()).collect(),
            secrets: secret
                .map(|fault| NetworkSecret {
                    slot: "wifi-0".into(),
                    name: "wifi-password".into(),
                    since: Some("2026-11-20T10:00:00Z".into()),
                    number: 2,
                    is_new: false,
                    fault: Some(fault.into()),
                })
                .into_iter()
                .collect(),
        }
    }

    fn facts() -> Facts {
        let outcome = Outcome {
            schema: 1,
            at: "2026-11-25T10:00:00Z".into(),
            source: Source::Kept {
                since: "2026-11-01T08:30:00Z".into(),
            },
            booth_id: "rundhoej-1".into(),
            name: "Rundhøj Torv".into(),
            contact: "Borgerservice, tel. 89 40 20 00".into(),
            language: "da".into(),
            timezone: "Europe/Copenhagen".into(),
            spool: PathBuf::from("/var/lib/booth-gateway"),
            socket: PathBuf::from("/run/x"),
            broker: Some("mqtts://broker.example".into()),
            file: Some("BOOTH.TOML".into()),
            hash: String::new(),
            keys: vec![
                KeyVerdict {
                    key: "[booth] id".into(),
                    line: 2,
                    fault: None,
                    is_unknown: false,
                },
                KeyVerdict {
                    key: "[booth] naem".into(),
                    line: 3,
                    fault: Some("unknown field `naem`".into()),
                    is_unknown: true,
                },
            ],
            faults: vec![
                "BOOTH.TOML:3: [booth] naem: unknown field `naem`; did you mean `name`?".into(),
            ],
            secrets: vec![SecretNews {
                role: Role::Password,
                name: "mqtt-password".into(),
                since: Some("2026-11-01T08:30:00Z".into()),
                is_new: false,
                fault: None,
            }],
            candidate: Some(3),
            refused: None,
            networks: vec![
                connection(Way::Wired, "", &["u-0"], None),
                connection(Way::Wifi, "Gæst", &["u-1", "u-2"], Some("kept")),
                connection(Way::Modem, "internet", &[], None),
            ],
            notes: Vec::new(),
        };
        let answer = r#"{"ready":1,"connected":0,"spool_clips":3,"oldest_unsent_s":3600,"pid":7,
            "faults":[{"id":"not_connected","text":"No broker.","remedy":"Look at the network."}],
            "unused_prompts":["prompts/da/notice.wma is not used; convert it"],
            "findings":[{"area":"broker","verdict":"fault","sentence":"The broker refused the password.","remedy":"Correct it."}]}"#;
        Facts {
            outcome,
            gateway: serde_json::from_str(answer).ok(),
            ip: Some("10.0.0.7".into()),
            connected: Some(vec![("u-2".into(), "wlan0".into())]),
            sw_version: "0.1.0".into(),
            image: None,
            partition: None,
            card_id: Some("c0ffee".into()),
            clips: 0,
            oldest: None,
            clock_synced: true,
            now: "2026-11-25T16:00:30Z".parse().expect("a time"),
        }
    }

    #[test]
    fn the_status_says_everything_in_danish_and_english_as_any_laptop_shows_it() {
        let text = render(&facts());
        assert!(text.starts_with("\u{feff}BOOTH STATUS 2026-11-25 17:00\r\n"));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        for part in [
            "FORMATÉR IKKE DETTE KORT. Beskeder fra borgere, der kun findes på kortet: 3, den ældste siden 2026-11-25 16:00.",
            "DO NOT FORMAT THIS CARD.",
            "Send it to: Borgerservice, tel. 89 40 20 00",
            "Boks: rundhoej-1 (Rundhøj Torv). Kortets booth.toml bruges IKKE. Boksen fortsætter med den fra 2026-11-01 09:30.",
            "BOOTH.TOML:3: [booth] naem: unknown field `naem`; did you mean `name`?",
            "[booth] naem (linje 3): UKENDT NØGLE",
            "[booth] id (line 2): right, but not used",
            "Password (mqtt-password): kept since 2026-11-01 09:30",
            "The new credentials have not connected yet",
            "Broker: NOT connected (mqtts://broker.example).",
            "The broker refused the password. Correct it.",
            "Indtalinger, der ikke bruges:\r\n  - prompts/da/notice.wma is not used; convert it",
            "Netværk:\r\n  - Kablet, DHCP: ikke forbundet",
            "Wi-Fi \"Gæst\": connected with the FORMER password, the new one has not connected (wlan0)",
            "wifi-password: kept since 2026-11-20 11:00; kept",
            "Mobilmodem (internet): BRUGES IKKE",
            "Address: 10.0.0.7",
            "Card: c0ffee",
        ] {
            assert!(text.contains(part), "{part} missing in\n{text}");
        }
        assert!(text.find("Dansk") < text.find("English"));
    }

    #[test]
    fn messages_that_no_program_reads_any_more_are_told_first() {
        let mut facts = facts();
        let why = "it lies untouched before sector 1234944 of the card";
        facts.partition = Some(Partition::MovedAside(why.into()));
        facts.gateway = None;
        facts.clips = 0;
        let text = render(&facts);
        for part in [
            "FORMATÉR IKKE DETTE KORT. Dets tidligere datapartition kunne ikke repareres og ligger urørt før sektor 1234944",
            "DO NOT FORMAT THIS CARD. Its former data partition was beyond repair and lies untouched before sector 1234944",
            "Send it to: Borgerservice, tel. 89 40 20 00",
        ] {
            assert!(text.contains(part), "{part} missing in\n{text}");
        }
        assert!(!text.contains("No message is only on this card"));
        facts.partition = Some(Partition::Missing("the card is too small".into()));
        let text = render(&facts);
        assert!(text.contains("OF THIS CARD (the card is too small). DO NOT FORMAT IT"));
        facts.partition = Some(Partition::Sound);
        assert!(render(&facts).contains("No message is only on this card"));
    }

    #[test]
    fn time_alone_is_no_news() {
        let before = render(&facts());
        let mut later = facts();
        later.now = "2026-11-25T16:10:30Z".parse().expect("a time");
        if let Some(gateway) = &mut later.gateway {
            gateway.oldest_unsent_s += 600;
        }
        assert!(is_same(&before, &render(&later)));
        assert_ne!(before, render(&later));
        later.ip = None;
        assert!(!is_same(&before, &render(&later)));
        assert!(!is_same("", ""));
    }

    #[test]
    fn a_booth_that_is_not_set_up_says_so_and_control_characters_stay_out() {
        let mut facts = facts();
        facts.outcome.source = Source::NotSetUp;
        facts.outcome.language = "en".into();
        facts.outcome.contact = "a\u{7}\nb".into();
        facts.gateway = None;
        facts.clips = 2;
        facts.oldest = "2026-11-24T16:00:30Z".parse().ok();
        let text = render(&facts);
        assert!(text.contains("NOT SET UP") && !text.contains("Dansk"));
        assert!(text.contains("Send it to: a  b"), "{text}");
        assert!(text.contains("only on it: 2, the oldest since 2026-11-24 17:00"));
    }
}
