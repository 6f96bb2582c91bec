//! The sections of `BOOTH-STATUS.TXT`, each in the language of its page.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Facts, Page, day, day_of, line};
use crate::provision::network::{ConnectionNews, Way};
use crate::provision::vault::Role;
use crate::provision::{Outcome, SecretNews, Source};
use gateway_core::partition::{self, Partition};

/// Most keys that are listed.
const MOST_KEYS: usize = 200;

/// The messages come first, because they decide what may be done with the card.
pub(super) fn messages(facts: &Facts, page: &mut Page, zone: &TimeZone) {
    // The file must not say that all messages are at the centre while others may be hidden on the card.
    let is_named = hidden_messages(facts, page);
    let (count, oldest) = match &facts.gateway {
        Some(gateway) => {
            let age = i64::try_from(gateway.oldest_unsent_s).unwrap_or(0);
            let at = Timestamp::from_second(facts.now.as_second().saturating_sub(age)).ok();
            (gateway.spool_clips, at)
        }
        None => (facts.clips, facts.oldest),
    };
    if count == 0 && is_named {
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

pub(super) fn configuration(outcome: &Outcome, page: &mut Page, zone: &TimeZone) {
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

pub(super) fn secrets(outcome: &Outcome, page: &mut Page, zone: &TimeZone) {
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
        let kept = kept(since.as_deref(), *is_new, page, zone);
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

/// Since when the booth has a secret.
fn kept(since: Option<&str>, is_new: bool, page: &Page, zone: &TimeZone) -> String {
    match (since, is_new) {
        (Some(_), true) => page
            .pick("taken from the card now", "taget fra kortet nu")
            .to_owned(),
        (Some(since), false) => {
            let since = day_of(since, zone);
            format!("{} {since}", page.pick("kept since", "gemt siden"))
        }
        (None, _) => page.pick("MISSING", "MANGLER").to_owned(),
    }
}

pub(super) fn running(facts: &Facts, page: &mut Page) {
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
                .find(|finding| finding.area == "broker" && finding.verdict != "ok");
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

pub(super) fn networks(facts: &Facts, page: &mut Page, zone: &TimeZone) {
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
            let kept = kept(secret.since.as_deref(), secret.is_new, page, zone);
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

pub(super) fn machine(facts: &Facts, page: &mut Page) {
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
