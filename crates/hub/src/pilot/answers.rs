//! What has to be known for a pilot: from flags, from an earlier run, or asked on the terminal.
//!
//! Owns: the questions, and what cannot be an answer. Never does: answer one by itself where countries differ.

use std::io::{self, BufRead};
use std::path::PathBuf;

use booth_contract::BoothId;
use booth_host::complain;
use clap::Args;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::PilotError;

/// Most days of a retention, as `[city.retention]` takes it.
const MOST_DAYS: u32 = 3_650;
/// Longest text that is answered, characters.
const LONGEST: usize = 1_000;

/// The arguments of `booth-hub pilot`.
#[derive(Debug, Clone, Default, Args)]
pub struct Pilot {
    /// The folder for everything; new, or of an earlier run, which is gone on with
    pub folder: PathBuf,
    /// The city's or organiser's name, as pages say it
    #[arg(long, value_name = "NAME")]
    pub city: Option<String>,
    /// The language that the booth speaks, e.g. en: in English and Danish it says everything by itself
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
    /// The time zone, e.g. Europe/Dublin
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// An emergency number of the country, at which the booth says that it cannot call for help; may be given several times
    #[arg(long = "emergency", value_name = "NUMBER")]
    pub emergency: Vec<String>,
    /// The licence of what is published, an SPDX identifier, e.g. CC-BY-4.0
    #[arg(long, value_name = "LICENCE")]
    pub licence: Option<String>,
    /// After how many days a message is deleted: undecided, rejected, heard, or published (from the campaign's end on)
    #[arg(long, value_name = "DAYS")]
    pub retention_days: Option<u32>,
    /// Whom citizens ask, e.g. a telephone number; on the pages and on the card
    #[arg(long, value_name = "TEXT")]
    pub contact: Option<String>,
    /// What is said before anybody speaks: who records, why, for how long, and how to take it back
    #[arg(long, value_name = "TEXT")]
    pub notice: Option<String>,
    /// What the booth asks
    #[arg(long, value_name = "TEXT")]
    pub question: Option<String>,
    /// The handset: usb (a USB handset or numeric pad), or sim (by commands, to try without one)
    #[arg(long, value_name = "BACKEND", value_parser = ["usb", "sim"])]
    pub handset: Option<String>,
    /// The USB handset's input device: `ls /dev/input/by-id`, the one that ends in -event-kbd
    #[arg(long, value_name = "PATH")]
    pub device: Option<String>,
    /// The key that its hook presses, or that stands for the hook, e.g. phone or kpplus
    #[arg(long, value_name = "KEY")]
    pub hook: Option<String>,
    /// What that key says: down (lifted while it is down), up (lifted while it is up), pressed (no hook: each press lifts and hangs up in turn)
    #[arg(long, value_name = "HOW", value_parser = ["down", "up", "pressed"])]
    pub hook_is: Option<String>,
    /// The sound card's ALSA name for microphone and earpiece: `arecord -L` lists them, e.g. plughw:CARD=Device,DEV=0
    #[arg(long, value_name = "PCM")]
    pub sound: Option<String>,
    /// The earpiece, where it is another one
    #[arg(long, value_name = "PCM")]
    pub earpiece: Option<String>,
    /// The booth's id
    #[arg(long, value_name = "ID", default_value = "booth-1")]
    pub booth: String,
    /// The broker's port on this machine; 1883 is that of Debian's own Mosquitto
    #[arg(long, value_name = "PORT", default_value_t = 18_830)]
    pub port: u16,
    /// The port of the pages for staff on this machine; those for citizens have the next one
    #[arg(long, value_name = "PORT", default_value_t = 8_080)]
    pub pages: u16,
}

/// Every answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub(super) struct Answers {
    pub(super) city: String,
    pub(super) language: String,
    pub(super) timezone: String,
    pub(super) emergency: Vec<String>,
    pub(super) licence: String,
    pub(super) retention_days: u32,
    pub(super) contact: String,
    pub(super) notice: String,
    pub(super) question: String,
    pub(super) handset: String,
    pub(super) device: String,
    pub(super) hook: String,
    pub(super) hook_is: String,
    pub(super) sound: String,
    pub(super) earpiece: String,
    pub(super) booth: String,
    pub(super) port: u16,
    pub(super) pages_port: u16,
}

impl Answers {
    /// The languages of the pages: the booth's own first, where the program has it.
    pub(super) fn pages(&self) -> Vec<&str> {
        match self.language.as_str() {
            "da" => vec!["da", "en"],
            "en" => vec!["en"],
            _ => vec!["en"],
        }
    }
}

/// One question: its flag, what it is for, and the answer of the flag and of the earlier run.
struct Asking<'a> {
    known: Option<&'a Answers>,
    missing: Vec<&'static str>,
    is_terminal: bool,
}

impl Asking<'_> {
    /// An answer in words.
    fn text(
        &mut self,
        flag: &'static str,
        why: &str,
        given: Option<&str>,
        was: impl Fn(&Answers) -> String,
    ) -> Result<String, PilotError> {
        let was = self.known.map(was);
        if let Some(was) = was {
            return match given.is_none_or(|given| given == was) {
                true => Ok(was),
                false => Err(PilotError::Other { flag, was }),
            };
        }
        match given {
            Some(given) => checked(flag, given),
            None if self.is_terminal => checked(flag, &asked(flag, why)?),
            None => {
                self.missing.push(flag);
                Ok(String::new())
            }
        }
    }
}

fn checked(flag: &'static str, text: &str) -> Result<String, PilotError> {
    let text = text.trim();
    let is_good =
        !text.is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    match is_good {
        true => Ok(text.to_owned()),
        false => Err(PilotError::Answer(format!(
            "{flag}: one line of 1 to {LONGEST} characters"
        ))),
    }
}

fn asked(flag: &'static str, why: &str) -> Result<String, PilotError> {
    complain!("{why} ({flag}):");
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(|source| PilotError::Answer(format!("{flag}: nothing can be read: {source}")))?;
    Ok(line)
}

/// Every answer, or which ones are missing where nobody is there to be asked.
pub(super) fn complete(
    asked: &Pilot,
    known: Option<&Answers>,
    is_terminal: bool,
) -> Result<Answers, PilotError> {
    let mut ask = Asking {
        known,
        missing: Vec::new(),
        is_terminal,
    };
    let emergency = (!asked.emergency.is_empty()).then(|| asked.emergency.join(","));
    let days = asked.retention_days.map(|days| days.to_string());
    let city = ask.text(
        "--city",
        "The city's or organiser's name",
        asked.city.as_deref(),
        |a| a.city.clone(),
    )?;
    let language = ask.text(
        "--language",
        "The language that the booth speaks, e.g. en",
        asked.language.as_deref(),
        |a| a.language.clone(),
    )?;
    let timezone = ask.text(
        "--timezone",
        "The time zone, e.g. Europe/Dublin",
        asked.timezone.as_deref(),
        |a| a.timezone.clone(),
    )?;
    let emergency = ask.text(
        "--emergency",
        "The country's emergency numbers, with commas between them",
        emergency.as_deref(),
        |a| a.emergency.join(","),
    )?;
    let licence = ask.text(
        "--licence",
        "The licence of what is published, e.g. CC-BY-4.0",
        asked.licence.as_deref(),
        |a| a.licence.clone(),
    )?;
    let days = ask.text(
        "--retention-days",
        "After how many days a message is deleted",
        days.as_deref(),
        |a| a.retention_days.to_string(),
    )?;
    let contact = ask.text(
        "--contact",
        "Whom citizens ask, e.g. a telephone number",
        asked.contact.as_deref(),
        |a| a.contact.clone(),
    )?;
    let notice = ask.text(
        "--notice",
        "What is said before anybody speaks: who records, why, for how long, how to take it back",
        asked.notice.as_deref(),
        |a| a.notice.clone(),
    )?;
    let question = ask.text(
        "--question",
        "What the booth asks",
        asked.question.as_deref(),
        |a| a.question.clone(),
    )?;
    let handset = ask.text(
        "--handset",
        "The handset: usb, or sim to try without one",
        asked.handset.as_deref(),
        |a| a.handset.clone(),
    )?;
    let (mut device, mut hook, mut hook_is) = (String::new(), String::new(), String::new());
    if handset == "usb" {
        device = ask.text(
            "--device",
            "Its input device, from `ls /dev/input/by-id`",
            asked.device.as_deref(),
            |a| a.device.clone(),
        )?;
        hook = ask.text(
            "--hook",
            "The key of its hook, e.g. phone, or kpplus of a numeric pad",
            asked.hook.as_deref(),
            |a| a.hook.clone(),
        )?;
        hook_is = ask.text(
            "--hook-is",
            "What that key says: down, up, or pressed where there is no hook",
            asked.hook_is.as_deref(),
            |a| a.hook_is.clone(),
        )?;
    }
    let sound = ask.text(
        "--sound",
        "The sound card's ALSA name, from `arecord -L`",
        asked.sound.as_deref(),
        |a| a.sound.clone(),
    )?;
    if !ask.missing.is_empty() {
        return Err(PilotError::Missing(ask.missing.join(", ")));
    }
    let earpiece = known.map(|known| known.earpiece.clone());
    let earpiece = earpiece
        .or(asked.earpiece.clone())
        .unwrap_or_else(|| sound.clone());
    let answers = Answers {
        city,
        language,
        timezone,
        emergency: emergency
            .split(',')
            .map(|number| number.trim().to_owned())
            .collect(),
        licence,
        retention_days: days.parse().unwrap_or_default(),
        contact,
        notice,
        question,
        handset,
        device,
        hook,
        hook_is,
        sound,
        earpiece,
        booth: known.map_or_else(|| asked.booth.clone(), |known| known.booth.clone()),
        port: known.map_or(asked.port, |known| known.port),
        pages_port: known.map_or(asked.pages, |known| known.pages_port),
    };
    check(&answers)?;
    Ok(answers)
}

/// Refuses what cannot work, each with what would.
fn check(answers: &Answers) -> Result<(), PilotError> {
    let no = |why: String| Err(PilotError::Answer(why));
    let Answers {
        language,
        timezone,
        licence,
        ..
    } = answers;
    let is_language =
        (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_lowercase());
    if !is_language {
        return no(format!(
            "--language {language:?}: two or three small letters, as en, de or da"
        ));
    }
    if TimeZone::get(timezone).is_err() {
        return no(format!(
            "--timezone {timezone:?} is no time zone; write one like Europe/Dublin"
        ));
    }
    for number in &answers.emergency {
        let is_number =
            (2..=6).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        if !is_number {
            return no(format!("--emergency {number:?}: two to six digits"));
        }
    }
    let is_spdx = licence
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-.+".contains(&b));
    if !is_spdx {
        return no(format!(
            "--licence {licence:?}: an SPDX identifier, as CC-BY-4.0 or CC0-1.0"
        ));
    }
    if !(1..=MOST_DAYS).contains(&answers.retention_days) {
        return no(format!("--retention-days: 1 to {MOST_DAYS}"));
    }
    if let Err(why) = BoothId::parse(&answers.booth) {
        return no(format!("--booth: {why}"));
    }
    if !["usb", "sim"].contains(&answers.handset.as_str()) {
        return no("--handset: usb or sim".to_owned());
    }
    if answers.handset == "usb" && !["down", "up", "pressed"].contains(&answers.hook_is.as_str()) {
        return no("--hook-is: down, up or pressed".to_owned());
    }
    Ok(())
}
