//! A configuration out of a payload, with a fault for each key that cannot be read.
//!
//! Owns: types, ranges and forms of single values; what follows from several of them is `checking`'s. As everywhere (contract §3,
//! "Reading") unknown keys are ignored and `null` is the same as absent.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::*;
use crate::{MAX_JSON_BYTES, reading};

/// How much of a value is shown in a sentence, in characters.
const SHOWN: usize = 40;
/// Most languages of one prompt.
const MOST_LANGUAGES: usize = 16;

/// A payload that is no configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadWanted {
    /// The version that it has all the same.
    pub version: Option<u64>,
    /// What is wrong: at least one fault, at most [`MOST_FAULTS`].
    pub faults: Vec<KeyFault>,
}

impl Wanted {
    /// Reads a payload of at most [`MAX_JSON_BYTES`].
    ///
    /// # Errors
    /// Every key that cannot be read, up to [`MOST_FAULTS`].
    pub fn read(payload: &[u8]) -> Result<Self, BadWanted> {
        let whole = |error: String| BadWanted {
            version: None,
            faults: vec![KeyFault::new("payload", error)],
        };
        if payload.len() > MAX_JSON_BYTES {
            let len = payload.len();
            return Err(whole(format!(
                "has {len} bytes; at most {MAX_JSON_BYTES} are read"
            )));
        }
        let fields = reading::fields(payload)
            .map_err(|error| whole(format!("is no JSON object: {error}")))?;
        Self::of_fields(&fields)
    }

    /// Reads the fields of a configuration, such as those of a signed one's text.
    ///
    /// # Errors
    /// As [`Wanted::read`].
    pub fn of_fields(fields: &Map<String, Value>) -> Result<Self, BadWanted> {
        let mut faults = Faults::default();
        let top = Keys {
            fields,
            path: String::new(),
        };
        let schema = top.whole("schema", 0..=u64::MAX, &mut faults);
        match schema {
            None if faults.0.is_empty() => faults.add("schema", missing("the number 1")),
            Some(schema) if schema != WANTED_SCHEMA => faults.add(
                "schema",
                format!("is {schema}; this program knows {WANTED_SCHEMA}"),
            ),
            _ => {}
        }
        let version = top.whole("version", 1..=u64::MAX, &mut faults);
        if version.is_none() && top.get("version").is_none() {
            faults.add("version", missing("a number that rises"));
        }
        let mut wanted = Wanted::bare(version.unwrap_or(0));
        wanted.issued_at = top.text("issued_at", &mut faults);
        if let Some(text) = &wanted.issued_at
            && text.parse::<jiff::Timestamp>().is_err()
        {
            faults.add("issued_at", "is no time; write 2026-01-31T12:00:00Z");
        }
        wanted.campaigns = top.list("campaigns", MOST_CAMPAIGNS, &mut faults, campaign);
        wanted.prompts = prompts(&top, &mut faults);
        wanted.languages = languages(&top, &mut faults);
        wanted.hours = top.list("hours", 32, &mut faults, hours_of);
        wanted.quiet = quiet(&top, &mut faults);
        wanted.limits = limits(&top, &mut faults);
        wanted.force = top.flag("force", &mut faults);
        match faults.0.is_empty() {
            true => Ok(wanted),
            false => Err(BadWanted {
                version,
                faults: faults.0,
            }),
        }
    }
}

/// What was found wrong so far, up to the limit.
#[derive(Default)]
pub(super) struct Faults(pub(super) Vec<KeyFault>);

impl Faults {
    pub(super) fn add(&mut self, key: impl Into<String>, error: impl Into<String>) {
        if self.0.len() < MOST_FAULTS {
            self.0.push(KeyFault::new(key, error));
        }
    }
}

fn missing(what: &str) -> String {
    format!("is missing; write {what}")
}

/// The sentence for a value of a wrong type.
fn wrong(value: &Value, right: &str) -> String {
    let text = value.to_string();
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("is {shown}; write {right}")
}

/// An object of the payload, and its path.
struct Keys<'a> {
    fields: &'a Map<String, Value>,
    path: String,
}

impl<'a> Keys<'a> {
    /// An object at this path.
    fn of(value: &'a Value, path: String, right: &str, faults: &mut Faults) -> Option<Self> {
        let fields = value.as_object();
        if fields.is_none() {
            faults.add(path.clone(), wrong(value, right));
        }
        fields.map(|fields| Self { fields, path })
    }

    fn path(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// A key's value; `null` is the same as absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// Whether a flag is up; one that is absent is not.
    fn flag(&self, key: &str, faults: &mut Faults) -> bool {
        match self.get(key) {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(other) => match other.as_u64() {
                Some(0) => false,
                Some(1) => true,
                _ => {
                    faults.add(self.path(key), wrong(other, "1"));
                    false
                }
            },
        }
    }

    fn text(&self, key: &str, faults: &mut Faults) -> Option<String> {
        let value = self.get(key)?;
        let text = value.as_str();
        if text.is_none() {
            faults.add(self.path(key), wrong(value, "a text"));
        }
        text.map(str::to_owned)
    }

    fn whole(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        faults: &mut Faults,
    ) -> Option<u64> {
        let value = self.get(key)?;
        let number = value.as_u64().filter(|number| range.contains(number));
        if number.is_none() {
            let right = match range.end() {
                &u64::MAX => format!("a whole number from {} on", range.start()),
                end => format!("a whole number from {} to {end}", range.start()),
            };
            faults.add(self.path(key), wrong(value, &right));
        }
        number
    }

    fn seconds(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        faults: &mut Faults,
    ) -> Option<u32> {
        let seconds = self.whole(key, range, faults)?;
        u32::try_from(seconds).ok()
    }

    /// A digit, which may be 0 here; 0 stands for one that is missing or wrong, too. Which digits may be used is checked later.
    fn digit(&self, faults: &mut Faults) -> u8 {
        let digit = self.whole("digit", 0..=9, faults);
        if self.get("digit").is_none() {
            faults.add(self.path("digit"), missing("one digit"));
        }
        digit
            .and_then(|digit| u8::try_from(digit).ok())
            .unwrap_or(0)
    }

    fn id(&self, faults: &mut Faults) -> String {
        let id = self.text("id", faults);
        let is_there = self.get("id").is_some();
        match id {
            Some(id) if id.is_empty() || id.len() > LONGEST_ID => {
                faults.add(self.path("id"), format!("needs 1 to {LONGEST_ID} bytes"));
                String::new()
            }
            Some(id) if id.chars().any(char::is_control) => {
                faults.add(self.path("id"), "has control characters");
                String::new()
            }
            Some(id) => id,
            None if is_there => String::new(),
            None => {
                faults.add(self.path("id"), missing("a name for it"));
                String::new()
            }
        }
    }

    fn list<T>(
        &self,
        key: &str,
        most: usize,
        faults: &mut Faults,
        read: impl Fn(&Value, String, &mut Faults) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        let path = self.path(key);
        let Some(list) = value.as_array() else {
            faults.add(path, wrong(value, "a list"));
            return None;
        };
        if list.len() > most {
            faults.add(
                path,
                format!("has {} entries; at most {most} are read", list.len()),
            );
            return None;
        }
        let each = list.iter().enumerate();
        let read = each.filter_map(|(n, value)| read(value, format!("{path}[{n}]"), faults));
        Some(read.collect())
    }

    /// A prompt by language.
    fn spoken(&self, key: &str, faults: &mut Faults) -> Spoken {
        let path = self.path(key);
        match self.get(key) {
            Some(value) => spoken(value, path, faults),
            None => {
                faults.add(path, missing("{\"da\":\"<sha256 of its sound>\"}"));
                Spoken::new()
            }
        }
    }
}

fn spoken(value: &Value, path: String, faults: &mut Faults) -> Spoken {
    let mut spoken = Spoken::new();
    let right = "{\"da\":\"<sha256 of its sound>\"}";
    let Some(keys) = Keys::of(value, path, right, faults) else {
        return spoken;
    };
    if keys.fields.len() > MOST_LANGUAGES {
        let len = keys.fields.len();
        faults.add(
            keys.path,
            format!("has {len} languages; at most {MOST_LANGUAGES} are read"),
        );
        return spoken;
    }
    for (lang, value) in keys.fields {
        if value.is_null() {
            continue;
        }
        let path = keys.path(&lang.chars().take(SHOWN).collect::<String>());
        if !is_language(lang) {
            faults.add(path, "is no language; write its short name, as da or en");
        } else if let Some(hash) = value.as_str().and_then(MediaHash::parse) {
            spoken.insert(lang.clone(), hash);
        } else {
            faults.add(
                path,
                wrong(value, "the SHA-256 of its sound, 64 lower-case hex digits"),
            );
        }
    }
    spoken
}

/// Whether a text is a language's tag: letters and digits in parts, as RFC 5646 has them. It is a folder's name, too.
fn is_language(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let first = text.split('-').next().unwrap_or_default();
    (2..=35).contains(&text.len())
        && text.split('-').all(is_part)
        && (2..=3).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn campaign(value: &Value, path: String, faults: &mut Faults) -> Option<Campaign> {
    let keys = Keys::of(value, path, "an object with id and questions", faults)?;
    let moment = |key: &str, read: fn(&str) -> Option<LocalTime>, faults: &mut Faults| {
        let text = keys.text(key, faults)?;
        let moment = read(&text);
        if moment.is_none() {
            let right = "a local time of the booth, as 2026-06-01T08:00";
            faults.add(keys.path(key), wrong(&text.clone().into(), right));
        }
        moment
    };
    let id = keys.id(faults);
    let from = moment("from", LocalTime::parse, faults);
    let until = moment("until", LocalTime::parse_end, faults);
    let questions = keys.list("questions", MOST_QUESTIONS, faults, question);
    if keys.get("questions").is_none() {
        faults.add(keys.path("questions"), missing("at least one question"));
    }
    Some(Campaign {
        id,
        from,
        until,
        questions: questions.unwrap_or_default(),
    })
}

/// One of several words.
fn word<T: Copy>(
    keys: &Keys<'_>,
    key: &str,
    words: &[(&str, T)],
    faults: &mut Faults,
) -> Option<T> {
    let value = keys.get(key)?;
    let known = value
        .as_str()
        .and_then(|text| words.iter().find(|(word, _)| *word == text));
    if known.is_none() {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        faults.add(keys.path(key), wrong(value, &names.join(" or ")));
    }
    known.map(|(_, value)| *value)
}

fn question(value: &Value, path: String, faults: &mut Faults) -> Option<Question> {
    let keys = Keys::of(value, path, "an object with id, digit and kind", faults)?;
    let kinds = [("speak", Kind::Speak), ("choose", Kind::Choose)];
    let kind = word(&keys, "kind", &kinds, faults);
    if keys.get("kind").is_none() {
        faults.add(keys.path("kind"), missing("speak or choose"));
    }
    let publish = [
        ("no", MayPublish::No),
        ("ask_text", MayPublish::AskText),
        ("ask_voice", MayPublish::AskVoice),
    ];
    let options = keys.list("options", 8, faults, |value, path, faults| {
        let keys = Keys::of(value, path, "an object with digit, id and prompt", faults)?;
        Some(Choice {
            digit: keys.digit(faults),
            id: keys.id(faults),
            prompt: keys.spoken("prompt", faults),
        })
    });
    let answer = keys.get("answer").and_then(|value| {
        let path = keys.path("answer");
        let keys = Keys::of(value, path, "an object with digit and prompt", faults)?;
        Some(Answer {
            digit: keys.digit(faults),
            prompt: keys.spoken("prompt", faults),
        })
    });
    Some(Question {
        id: keys.id(faults),
        digit: keys.digit(faults),
        kind: kind.unwrap_or(Kind::Speak),
        prompt: keys.spoken("prompt", faults),
        max_seconds: keys.seconds("max_seconds", 5..=3600, faults),
        min_pause_s: keys.seconds("min_pause_s", 0..=86_400, faults),
        codes: keys.flag("codes", faults),
        publish: word(&keys, "publish", &publish, faults).unwrap_or_default(),
        options: options.unwrap_or_default(),
        answer,
    })
}

fn prompts(top: &Keys<'_>, faults: &mut Faults) -> Option<BTreeMap<String, Spoken>> {
    let value = top.get("prompts")?;
    let right = "{\"menu\":{\"da\":\"<sha256 of its sound>\"}}";
    let keys = Keys::of(value, "prompts".into(), right, faults)?;
    let mut prompts = BTreeMap::new();
    for (name, value) in keys.fields.iter().filter(|(_, value)| !value.is_null()) {
        if name.is_empty() || name.len() > LONGEST_ID || name.chars().any(char::is_control) {
            faults.add(
                "prompts",
                wrong(&name.clone().into(), "the name of a prompt"),
            );
            continue;
        }
        prompts.insert(name.clone(), spoken(value, keys.path(name), faults));
    }
    Some(prompts)
}

fn languages(top: &Keys<'_>, faults: &mut Faults) -> Option<BTreeMap<u8, String>> {
    let value = top.get("languages")?;
    let keys = Keys::of(value, "languages".into(), "{\"8\":\"en\"}", faults)?;
    let mut languages = BTreeMap::new();
    for (digit, value) in keys.fields.iter().filter(|(_, value)| !value.is_null()) {
        let path = keys.path(&digit.chars().take(SHOWN).collect::<String>());
        let lang = value.as_str().filter(|lang| is_language(lang));
        match (digit.as_bytes(), lang) {
            ([digit @ b'0'..=b'9'], Some(lang)) => {
                languages.insert(digit - b'0', lang.to_owned());
            }
            ([b'0'..=b'9'], None) => {
                faults.add(
                    path,
                    wrong(value, "a language by its short name, as da or en"),
                );
            }
            _ => faults.add(path, "is no digit"),
        }
    }
    Some(languages)
}

fn hours_of(value: &Value, path: String, faults: &mut Faults) -> Option<Hours> {
    let texts: Option<Vec<&str>> = value
        .as_array()
        .and_then(|list| list.iter().map(Value::as_str).collect());
    let read = match texts.as_deref() {
        Some([days, from, to]) => Days::parse(days)
            .zip(Span::parse(from, to))
            .map(|(days, span)| Hours { days, span }),
        _ => None,
    };
    if read.is_none() {
        let right = "[\"mo-fr\",\"07:00\",\"21:00\"]: days out of mo tu we th fr sa su, two times that differ";
        faults.add(path, wrong(value, right));
    }
    read
}

fn quiet(top: &Keys<'_>, faults: &mut Faults) -> Option<Quiet> {
    let value = top.get("quiet")?;
    let texts: Option<Vec<&str>> = value
        .as_array()
        .and_then(|list| list.iter().map(Value::as_str).collect());
    let span = match (value.as_str(), texts.as_deref()) {
        (Some(""), _) | (_, Some([])) => return Some(Quiet::Never),
        (Some(text), _) => text
            .split_once('-')
            .and_then(|(from, to)| Span::parse(from, to)),
        (_, Some([from, to])) => Span::parse(from, to),
        _ => None,
    };
    if span.is_none() {
        let right = "\"20:00-09:00\", or \"\" for never";
        faults.add("quiet", wrong(value, right));
    }
    span.map(Quiet::In)
}

fn limits(top: &Keys<'_>, faults: &mut Faults) -> Option<Limits> {
    let value = top.get("limits")?;
    let keys = Keys::of(value, "limits".into(), "{\"max_seconds\":180}", faults)?;
    Some(Limits {
        max_seconds: keys.seconds("max_seconds", 5..=3600, faults),
        choose_seconds: keys.seconds("choose_seconds", 2..=600, faults),
        silence_seconds: keys.seconds("silence_seconds", 0..=3600, faults),
    })
}
