//! What a booth says about itself to a technician without screen or keyboard, word for word.
//!
//! Owns: which words, in which order and language, with numbers, singular and plural. Never does: find
//! a fact out, or play. Whatever the facts hold, the report has at most [`MAX_PROMPTS`] prompts.

mod number;

use std::net::IpAddr;
use std::time::Duration;

use super::prompt::{Language, Prompt, Word};
use booth_contract::{AlertId, BrokerState, Severity};
use number::{Gender, MAX_NUMBER};

/// Most prompts of a report: an id of 32 letters, an IPv6 address and three numbers at their longest.
pub const MAX_PROMPTS: usize = 128;

/// Most characters of an id that are spelled; the contract's ids have no more (§2).
const MAX_SPELLED: usize = 32;
/// Most faults that are named one by one.
const MAX_FAULTS: usize = 3;

/// What is known when the technician asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFacts {
    /// `[booth] id`.
    pub booth_id: String,
    /// The prompt folder has the booth's spoken name; without it the id is spelled.
    pub has_name_recording: bool,
    /// The booth's own address, IPv4 or IPv6; text that is no address is reported as a missing address.
    pub ip: Option<String>,
    /// The broker.
    pub broker: BrokerState,
    /// The hub listens; believed only while the broker is connected.
    pub hub_online: bool,
    /// Messages that are nowhere but on this card.
    pub unsent: u64,
    /// Age of the oldest of them; `None` if it is not known.
    pub oldest_unsent: Option<Duration>,
    /// The alerts that are raised, in any order.
    pub faults: Vec<AlertId>,
    /// The card ran in another machine before this start.
    pub card_moved: bool,
    /// The clock was set since the start.
    pub clock_synced: bool,
}

/// The whole report: name, address, broker, hub, messages, card and clock, faults with their remedies.
pub fn report(facts: &ServiceFacts, language: Language) -> Vec<Prompt> {
    let mut prompts = vec![Prompt::Word(Word::ServiceIntro)];
    if facts.has_name_recording {
        prompts.push(Prompt::BoothName);
    } else {
        prompts.extend(spelled(&facts.booth_id).into_iter().map(Prompt::Word));
    }
    prompts.push(Prompt::Pause);
    let address = address(facts.ip.as_deref());
    prompts.extend(address.into_iter().map(Prompt::Word));
    prompts.push(Prompt::Pause);
    prompts.extend(state(facts, language).into_iter().map(Prompt::Word));
    prompts
}

/// The sentences after the address.
fn state(facts: &ServiceFacts, language: Language) -> Vec<Word> {
    let mut said = Vec::new();
    said.push(broker(facts.broker));
    // Without the broker nothing can be known of the hub.
    if facts.broker == BrokerState::Connected {
        said.push(if facts.hub_online {
            Word::HubListening
        } else {
            Word::HubNotListening
        });
    }
    said.extend(messages(facts.unsent, facts.oldest_unsent, language));
    if facts.card_moved {
        said.push(Word::CardMoved);
    }
    if !facts.clock_synced {
        said.push(Word::AlertClockUnset);
    }
    said.extend(faults(facts, language));
    said
}

/// The sentence for an alert, with its remedy. An alert without a recording of its own has a sentence that says so.
pub fn alert(id: AlertId) -> Word {
    let own = |word: &&Word| word.name().strip_prefix("alert_") == Some(id.as_str());
    let word = Word::ALL.iter().find(own);
    word.copied().unwrap_or(Word::AlertUnknown)
}

/// So many minutes.
pub fn minutes(minutes: u64, language: Language) -> Vec<Word> {
    let mut said = number::words(minutes, Gender::Neuter, language);
    said.push(match minutes {
        1 => Word::Minute,
        _ => Word::Minutes,
    });
    said
}

/// So many messages, as a number alone.
pub fn messages_counted(count: u64, language: Language) -> Vec<Word> {
    number::words(count, Gender::Common, language)
}

/// A name letter by letter; characters that no id may contain are left out.
pub fn spelled(id: &str) -> Vec<Word> {
    let known = id.chars().filter_map(Word::of_char);
    known.take(MAX_SPELLED).collect()
}

/// A report as text, for a journal or a test; a prompt that is no word is written as its kind in brackets.
pub fn text(prompts: &[Prompt], language: Language) -> String {
    let words: Vec<&str> = prompts
        .iter()
        .map(|prompt| match prompt {
            Prompt::Word(word) => word.text(language),
            Prompt::BoothName => "[name]",
            Prompt::Pause => "…",
            _ => "[prompt]",
        })
        .collect();
    words.join(" ")
}

/// The address digit by digit, in its shortest form (RFC 5952).
fn address(ip: Option<&str>) -> Vec<Word> {
    // A zone or a prefix length is no part of the address.
    let bare = ip.and_then(|ip| ip.split(['%', '/']).next());
    match bare.and_then(|ip| ip.trim().parse::<IpAddr>().ok()) {
        Some(ip) if !ip.is_unspecified() => {
            let shown = ip.to_string();
            let digits = shown.chars().filter_map(Word::of_char);
            std::iter::once(Word::Address).chain(digits).collect()
        }
        _ => vec![Word::NoAddress],
    }
}

fn broker(state: BrokerState) -> Word {
    match state {
        BrokerState::Connected => Word::BrokerConnected,
        BrokerState::NotConfigured => Word::BrokerNotConfigured,
        BrokerState::NotReached => Word::BrokerNotReached,
        BrokerState::LoginRefused => Word::BrokerRefusedLogin,
        BrokerState::NameNotFound => Word::BrokerNameNotFound,
        BrokerState::TlsFailed => Word::BrokerTlsFailed,
    }
}

fn messages(unsent: u64, oldest: Option<Duration>, language: Language) -> Vec<Word> {
    if unsent == 0 {
        return vec![Word::NoMessages];
    }
    let mut said = number::words(unsent, Gender::Common, language);
    said.push(if unsent == 1 {
        Word::MessageHere
    } else {
        Word::MessagesHere
    });
    if let Some(age) = oldest {
        said.push(Word::OldestWaits);
        said.extend(at_least(age, language));
    }
    said
}

/// An age in its largest unit, rounded down, with the words for "more than" or "less than" before it.
fn at_least(age: Duration, language: Language) -> Vec<Word> {
    let minutes = age.as_secs() / 60;
    let (hours, days) = (minutes / 60, minutes / (24 * 60));
    let (count, gender, one, many) = if days > 0 {
        (days, Gender::Common, Word::Day, Word::Days)
    } else if hours > 0 {
        (hours, Gender::Common, Word::Hour, Word::Hours)
    } else {
        (minutes, Gender::Neuter, Word::Minute, Word::Minutes)
    };
    let bound = if minutes == 0 {
        Word::LessThan
    } else {
        Word::MoreThan
    };
    let count = count.clamp(1, MAX_NUMBER);
    let mut said = vec![bound];
    said.extend(number::words(count, gender, language));
    said.push(if count == 1 { one } else { many });
    said
}

/// The faults, the worst first. A fault that an earlier sentence of the report has named with its remedy is left out.
fn faults(facts: &ServiceFacts, language: Language) -> Vec<Word> {
    let connected = facts.broker == BrokerState::Connected;
    let told = |id: AlertId| match id {
        AlertId::NotConnected => !connected,
        AlertId::HubNotListening => connected && !facts.hub_online,
        AlertId::HardwareChanged => facts.card_moved,
        AlertId::ClockUnset => !facts.clock_synced,
        _ => false,
    };
    let mut left: Vec<(Severity, AlertId)> = facts
        .faults
        .iter()
        .filter(|id| !told(**id))
        .map(|id| (id.severity(), *id))
        .collect();
    left.sort_unstable();
    left.dedup();
    let sound = connected && facts.hub_online && !facts.card_moved && facts.clock_synced;
    if left.is_empty() {
        return vec![if sound {
            Word::NoFaults
        } else {
            Word::NoFurtherFaults
        }];
    }
    let mut said = number::words(left.len() as u64, Gender::Common, language);
    said.push(if left.len() == 1 {
        Word::Fault
    } else {
        Word::Faults
    });
    if left.len() > MAX_FAULTS {
        said.push(Word::FirstThree);
    }
    said.extend(left.iter().take(MAX_FAULTS).map(|(_, id)| alert(*id)));
    said
}

#[cfg(test)]
mod tests;
