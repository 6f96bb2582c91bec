//! A campaign's file, as people write it.
//!
//! Owns: its shape: which keys there are, where each stands, and how they become the keys of a configuration (contract §3.8). A value's form
//! and meaning are judged by the contract's own reading and check, which the booth uses, too. Never does: read a sound file.
//!
//! Longer than 500 lines: every key of the file, and the way of each into the configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use booth_contract::{BoothId, MediaHash};
use booth_host::config_file::{self, ConfigError, ConfigFault, meant};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::children::Children;

/// Most characters of one text: a booth speaks some 15 of them in a second.
const MOST_TEXT: usize = 1_000;

/// The keys of a campaign's file, and of its tables.
const TOP: [&str; 13] = [
    "id",
    "title",
    "from",
    "until",
    "booths",
    "language",
    "languages",
    "children",
    "hours",
    "quiet",
    "limits",
    "question",
    "prompt",
];
const LIMITS: [&str; 3] = ["max_seconds", "choose_seconds", "silence_seconds"];
const QUESTION: [&str; 11] = [
    "id",
    "digit",
    "kind",
    "publish",
    "max_seconds",
    "min_pause_s",
    "codes",
    "text",
    "sound",
    "option",
    "answer",
];
const OPTION: [&str; 4] = ["digit", "id", "text", "sound"];
const ANSWER: [&str; 3] = ["digit", "text", "sound"];
const PROMPT: [&str; 2] = ["text", "sound"];

/// At which booths a campaign is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Booths {
    /// At every booth of the hub.
    All,
    /// At these.
    Named(Vec<String>),
}

impl Booths {
    /// Whether this booth is among them.
    pub(super) fn has(&self, booth: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(named) => named.iter().any(|own| own == booth),
        }
    }
}

/// Something that is to be said, in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saying {
    /// What it is, for people: `question "square"`.
    pub(super) what: String,
    pub(super) lang: String,
    /// What is said; shown on a booth's screen.
    pub(super) text: Option<String>,
    /// A file with it, which is played instead of the text.
    pub(super) sound: Option<PathBuf>,
    /// Where it stands in the file.
    pub(super) line: usize,
    /// Where its hash belongs in the configuration: a JSON pointer (RFC 6901).
    pointer: String,
}

/// A campaign's file that has the shape of one.
#[derive(Debug)]
pub(super) struct Draft {
    /// The file's name in sentences.
    pub(super) file: String,
    pub(super) id: String,
    pub(super) title: String,
    pub(super) booths: Booths,
    /// The language in which the booths ask first.
    pub(super) language: String,
    /// What becomes of a message that is marked as a child's.
    pub(super) children: Children,
    /// Everything that is to be said.
    pub(super) sayings: Vec<Saying>,
    /// The configuration with this campaign alone. Where a prompt's hash belongs it has a stand-in.
    configuration: Value,
    /// The line of each key, by its path in the configuration.
    lines: BTreeMap<String, usize>,
    /// What stands in the configuration, and what people call it; the longer ones first.
    names: Vec<(String, String)>,
}

impl Draft {
    /// Reads a file. The draft comes with everything that is wrong with its shape; without a draft the file is no TOML at all.
    ///
    /// # Errors
    /// A file that cannot be read, or is no TOML.
    pub(super) fn read(path: &Path) -> Result<(Self, Vec<ConfigFault>), ConfigError> {
        let bytes = booth_host::plain_file::read_at_most(path, config_file::LONGEST_FILE)
            .map_err(|error| config_file::unread(path, &error))?;
        // The parser of configurations takes every editor's text, and names the line of a fault.
        let _: toml::Table = config_file::parse_bytes(&bytes, path)?;
        let text = booth_host::text::text_of(&bytes).unwrap_or_default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self::of(text, &path.display().to_string(), &folder))
    }

    /// The same of a text that is TOML.
    pub(super) fn of(text: &str, file: &str, folder: &Path) -> (Self, Vec<ConfigFault>) {
        let table = DeTable::parse(text).unwrap_or_else(|_| Spanned::new(0..0, DeTable::new()));
        let mut reader = Reader {
            text,
            file,
            folder,
            faults: Vec::new(),
            lines: BTreeMap::new(),
            sayings: Vec::new(),
            names: Vec::new(),
        };
        let draft = reader.draft(table.get_ref());
        (draft, reader.faults)
    }

    /// The configuration with these hashes in the order of the sayings, as the fields of a payload without version.
    pub(super) fn fields(&self, hashes: &[MediaHash]) -> Map<String, Value> {
        let mut whole = self.configuration.clone();
        for (saying, hash) in self.sayings.iter().zip(hashes) {
            if let Some(place) = whole.pointer_mut(&saying.pointer) {
                *place = json!(hash);
            }
        }
        match whole {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// The configuration with stand-ins for its hashes.
    pub(super) fn stand_in(&self) -> Map<String, Value> {
        self.fields(&[])
    }

    /// Puts the hash of the saying at this place of the list into a configuration.
    pub(super) fn put_hash(&self, fields: &mut Map<String, Value>, n: usize, hash: &MediaHash) {
        let Some(saying) = self.sayings.get(n) else {
            return;
        };
        let mut whole = Value::Object(std::mem::take(fields));
        if let Some(place) = whole.pointer_mut(&saying.pointer) {
            *place = json!(hash);
        }
        if let Value::Object(back) = whole {
            *fields = back;
        }
    }

    /// A fault of this file at this line.
    pub(super) fn fault(&self, line: usize, key: &str, why: &str) -> ConfigFault {
        ConfigFault::of(key, why).in_file(&self.file).at_line(line)
    }

    /// A fault that the contract found, as whoever wrote the file reads it.
    pub(super) fn translated(&self, key: &str, error: &str) -> ConfigFault {
        let fault = ConfigFault::of(self.as_written(key), self.as_written(error));
        let fault = fault.in_file(&self.file);
        match self.line_of(key) {
            Some(line) => fault.at_line(line),
            None => fault,
        }
    }

    /// The line of a key of the file itself.
    pub(super) fn line(&self, key: &str) -> usize {
        self.lines.get(key).copied().unwrap_or(1)
    }

    /// The line of a key, or of the table that it is missing from.
    fn line_of(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return Some(*line);
            }
            let end = key.rfind(['.', '['])?;
            key = &key[..end];
        }
    }

    /// Paths of the configuration in a text, as people call what is there.
    fn as_written(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (path, name) in &self.names {
            text = text.replace(path, name);
        }
        text
    }
}

/// A path of the configuration grows by a key.
fn path(before: &str, key: &str) -> String {
    match before {
        "" => key.to_owned(),
        before => format!("{before}.{key}"),
    }
}

/// A key as a part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What stands for a prompt's hash until the prompt is made: different for each prompt.
fn stand_in(pointer: &str) -> Value {
    json!(MediaHash::of_digest(&Sha256::digest(pointer.as_bytes())))
}

/// The file while it is read.
struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    folder: &'a Path,
    faults: Vec<ConfigFault>,
    lines: BTreeMap<String, usize>,
    sayings: Vec<Saying>,
    names: Vec<(String, String)>,
}

type Entry<'t, 'i> = (
    &'t Spanned<std::borrow::Cow<'i, str>>,
    &'t Spanned<DeValue<'i>>,
);

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    fn fault(&mut self, at: usize, key: &str, why: impl std::fmt::Display) {
        let line = self.line(at);
        let fault = ConfigFault::of(key, why).in_file(self.file).at_line(line);
        self.faults.push(fault);
    }

    /// Names the keys of a table that nobody knows.
    fn known(&mut self, table: &DeTable<'_>, known: &[&str], section: &str) {
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = match meant(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            let whole = format!("{section}{name}");
            self.fault(
                key.span().start,
                &whole,
                format_args!("is no key here; {hint}"),
            );
        }
    }

    /// Notes the lines of a value, and of all that is in it.
    fn note(&mut self, place: &str, value: &Spanned<DeValue<'_>>) {
        let line = self.line(value.span().start);
        self.lines.insert(place.to_owned(), line);
        match value.get_ref() {
            DeValue::Array(entries) => {
                for (n, entry) in entries.iter().enumerate() {
                    self.note(&format!("{place}[{n}]"), entry);
                }
            }
            DeValue::Table(table) => {
                for (key, entry) in table.iter() {
                    self.note(&path(place, key.get_ref()), entry);
                }
            }
            _ => {}
        }
    }

    /// Takes a key over as it is.
    fn copy(&mut self, (key, value): Entry<'_, '_>, place: &str, to: &mut Map<String, Value>) {
        self.note(&path(place, key.get_ref()), value);
        to.insert(key.get_ref().to_string(), plain(value.get_ref()));
    }

    /// The text of a key.
    fn words(&mut self, table: &DeTable<'_>, key: &str) -> Option<String> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.fault(value.span().start, key, "write a text in quotes");
        }
        text
    }

    fn draft(&mut self, top: &DeTable<'_>) -> Draft {
        self.known(top, &TOP, "");
        let id = self.words(top, "id");
        if id.as_ref().is_none_or(String::is_empty) && !top.contains_key("id") {
            self.fault(
                0,
                "id",
                "is missing; give the campaign a short name that stays, as id = \"square-2026\"",
            );
        }
        let title = self.words(top, "title").unwrap_or_default();
        let language = self.words(top, "language").unwrap_or_else(|| "da".into());
        let booths = self.booths(top);
        let children = self.children(top);
        let mut whole = Map::new();
        let mut campaign = Map::new();
        campaign.insert("id".into(), json!(id.clone().unwrap_or_default()));
        self.names.push(("campaigns[0].".into(), String::new()));
        self.names
            .push(("campaigns[0]".into(), "the campaign".into()));
        for entry in top.iter() {
            let place = "campaigns[0]";
            match entry.0.get_ref().as_ref() {
                "from" | "until" => self.copy(entry, place, &mut campaign),
                "languages" | "hours" | "quiet" => self.copy(entry, "", &mut whole),
                "limits" => {
                    if let Some(limits) = entry.1.get_ref().as_table() {
                        self.known(limits, &LIMITS, "limits.");
                    }
                    self.copy(entry, "", &mut whole);
                }
                "id" => self.note(&path(place, "id"), entry.1),
                "children" => self.note("children", entry.1),
                _ => {}
            }
        }
        let questions = self.questions(top);
        campaign.insert("questions".into(), questions);
        whole.insert("campaigns".into(), json!([campaign]));
        if let Some(prompts) = self.prompts(top) {
            whole.insert("prompts".into(), prompts);
        }
        // The longest paths first, so that none is taken for the beginning of another.
        self.names
            .sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Draft {
            file: self.file.to_owned(),
            id: id.unwrap_or_default(),
            title,
            booths,
            language,
            children,
            sayings: std::mem::take(&mut self.sayings),
            configuration: Value::Object(whole),
            lines: std::mem::take(&mut self.lines),
            names: std::mem::take(&mut self.names),
        }
    }

    fn children(&mut self, top: &DeTable<'_>) -> Children {
        let Some(value) = top.get("children") else {
            return Children::default();
        };
        let known = value.get_ref().as_str().and_then(Children::read);
        if known.is_none() {
            let right = "write \"text\", \"voice\" or \"not_published\"";
            self.fault(value.span().start, "children", right);
        }
        known.unwrap_or_default()
    }

    fn booths(&mut self, top: &DeTable<'_>) -> Booths {
        let right = "write \"all\", or the booths' ids, as booths = [\"rundhoej-1\"]";
        let Some(value) = top.get("booths") else {
            self.fault(0, "booths", format_args!("is missing; {right}"));
            return Booths::Named(Vec::new());
        };
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) if text == "all" => return Booths::All,
            DeValue::Array(entries) if !entries.is_empty() => {
                let mut named = Vec::new();
                for entry in entries.iter() {
                    let text = entry.get_ref().as_str().unwrap_or_default();
                    match BoothId::parse(text) {
                        Ok(booth) => named.push(booth.as_str().to_owned()),
                        Err(why) => self.fault(entry.span().start, "booths", why),
                    }
                }
                named.sort();
                named.dedup();
                return Booths::Named(named);
            }
            _ => self.fault(at, "booths", right),
        }
        Booths::Named(Vec::new())
    }

    /// The tables of a list such as `[[question]]`.
    fn tables<'t, 'i>(
        &mut self,
        table: &'t DeTable<'i>,
        key: &str,
        right: &str,
    ) -> Vec<(usize, &'t DeTable<'i>)> {
        let Some(value) = table.get(key) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        match value.get_ref() {
            DeValue::Array(entries) => {
                for entry in entries.iter() {
                    match entry.get_ref().as_table() {
                        Some(table) => found.push((entry.span().start, table)),
                        None => self.fault(entry.span().start, key, format_args!("write {right}")),
                    }
                }
            }
            _ => self.fault(
                value.span().start,
                key,
                format_args!("write {right}, with two brackets"),
            ),
        }
        found
    }

    fn questions(&mut self, top: &DeTable<'_>) -> Value {
        let mut questions = Vec::new();
        let tables = self.tables(top, "question", "[[question]]");
        if tables.is_empty() {
            self.fault(
                0,
                "[[question]]",
                "is missing; a campaign asks at least one question",
            );
        }
        for (n, (at, table)) in tables.into_iter().enumerate() {
            let place = format!("campaigns[0].questions[{n}]");
            let what = self.called("question", n, table);
            let line = self.line(at);
            self.lines.insert(place.clone(), line);
            self.known(table, &QUESTION, &format!("{what} "));
            let mut question = Map::new();
            for entry in table.iter() {
                let key: &str = entry.0.get_ref();
                if [
                    "id",
                    "digit",
                    "kind",
                    "publish",
                    "max_seconds",
                    "min_pause_s",
                    "codes",
                ]
                .contains(&key)
                {
                    self.copy(entry, &place, &mut question);
                }
            }
            let pointer = format!("/campaigns/0/questions/{n}");
            self.named(&place, &what);
            let prompt = self.says(table, line, &what, &place, &pointer);
            question.insert("prompt".into(), prompt);
            let options = self.options(table, &what, &place, &pointer);
            if !options.is_empty() {
                question.insert("options".into(), Value::Array(options));
            }
            if let Some(answer) = self.answer(table, &what, &place, &pointer) {
                question.insert("answer".into(), answer);
            }
            questions.push(Value::Object(question));
        }
        Value::Array(questions)
    }

    fn answer(
        &mut self,
        question: &DeTable<'_>,
        of: &str,
        place: &str,
        pointer: &str,
    ) -> Option<Value> {
        let answer = question.get("answer")?;
        let at = answer.span().start;
        let what = format!("{of} answer");
        let place = format!("{place}.answer");
        let line = self.line(at);
        self.lines.insert(place.clone(), line);
        let Some(table) = answer.get_ref().as_table() else {
            self.fault(at, &what, "write [question.answer] with digit and text");
            return None;
        };
        self.known(table, &ANSWER, &format!("{what} "));
        self.named(&place, &what);
        let mut answer = Map::new();
        for entry in table.iter().filter(|(key, _)| key.get_ref() == "digit") {
            self.copy(entry, &place, &mut answer);
        }
        let pointer = format!("{pointer}/answer");
        let prompt = self.says(table, line, &what, &place, &pointer);
        answer.insert("prompt".into(), prompt);
        Some(Value::Object(answer))
    }

    fn options(
        &mut self,
        question: &DeTable<'_>,
        of: &str,
        place: &str,
        pointer: &str,
    ) -> Vec<Value> {
        let mut options = Vec::new();
        let tables = self.tables(question, "option", "[[question.option]]");
        for (n, (at, table)) in tables.into_iter().enumerate() {
            let place = format!("{place}.options[{n}]");
            let what = format!("{of} {}", self.called("option", n, table));
            let line = self.line(at);
            self.lines.insert(place.clone(), line);
            self.known(table, &OPTION, &format!("{what} "));
            self.named(&place, &what);
            let mut option = Map::new();
            for entry in table.iter() {
                if ["id", "digit"].contains(&entry.0.get_ref().as_ref()) {
                    self.copy(entry, &place, &mut option);
                }
            }
            let pointer = format!("{pointer}/options/{n}");
            option.insert(
                "prompt".into(),
                self.says(table, line, &what, &place, &pointer),
            );
            options.push(Value::Object(option));
        }
        options
    }

    fn prompts(&mut self, top: &DeTable<'_>) -> Option<Value> {
        let value = top.get("prompt")?;
        let Some(table) = value.get_ref().as_table() else {
            self.fault(
                value.span().start,
                "prompt",
                "write [prompt.NAME] with text, as [prompt.menu]",
            );
            return None;
        };
        let mut prompts = Map::new();
        for (key, value) in table.iter() {
            let name: &str = key.get_ref();
            let what = format!("prompt {name:?}");
            let place = format!("prompts.{name}");
            let line = self.line(key.span().start);
            self.lines.insert(place.clone(), line);
            let Some(table) = value.get_ref().as_table() else {
                self.fault(
                    value.span().start,
                    &what,
                    format_args!("write [prompt.{name}] with text"),
                );
                continue;
            };
            self.known(table, &PROMPT, &format!("{what} "));
            // A prompt by name has no `prompt` of its own in the configuration: its languages come at once.
            self.names
                .push((format!("{place}."), format!("{what} text.")));
            self.names.push((place.clone(), what.clone()));
            let pointer = format!("/prompts/{}", escaped(name));
            let spoken = self.spoken(table, line, &what, &place, &pointer);
            prompts.insert(name.to_owned(), Value::Object(spoken));
        }
        Some(Value::Object(prompts))
    }

    /// How an entry of a list is called: by its id, else by its number.
    fn called(&self, word: &str, n: usize, table: &DeTable<'_>) -> String {
        let id = table.get("id").and_then(|id| id.get_ref().as_str());
        match id {
            Some(id) if !id.is_empty() => format!("{word} {id:?}"),
            _ => format!("{word} {}", n + 1),
        }
    }

    /// What stands at this path is called so, and what is said of it `text`.
    fn named(&mut self, place: &str, what: &str) {
        self.names
            .push((format!("{place}.prompt."), format!("{what} text.")));
        self.names
            .push((format!("{place}.prompt"), format!("{what} text")));
        self.names.push((format!("{place}."), format!("{what} ")));
        self.names.push((place.to_owned(), what.to_owned()));
    }

    /// What is said of a question, an option, an answer.
    fn says(
        &mut self,
        table: &DeTable<'_>,
        line: usize,
        what: &str,
        place: &str,
        pointer: &str,
    ) -> Value {
        let place = format!("{place}.prompt");
        let pointer = format!("{pointer}/prompt");
        Value::Object(self.spoken(table, line, what, &place, &pointer))
    }

    /// The languages of `text` and `sound`, each with a stand-in for its hash.
    fn spoken(
        &mut self,
        table: &DeTable<'_>,
        line: usize,
        what: &str,
        place: &str,
        pointer: &str,
    ) -> Map<String, Value> {
        let mut found: BTreeMap<String, (Option<String>, Option<PathBuf>, usize)> = BTreeMap::new();
        for kind in ["text", "sound"] {
            let Some(value) = table.get(kind) else {
                continue;
            };
            let key = format!("{what} {kind}");
            let Some(languages) = value.get_ref().as_table() else {
                let right = format!("write the language, as {kind}.da = \"…\"");
                self.fault(value.span().start, &key, right);
                continue;
            };
            for (lang, value) in languages.iter() {
                let at = value.span().start;
                let key = format!("{key}.{}", lang.get_ref());
                let text = value.get_ref().as_str().map(str::trim).unwrap_or_default();
                if text.is_empty() {
                    self.fault(at, &key, "is empty; write a text in quotes");
                    continue;
                }
                let characters = text.chars().count();
                if characters > MOST_TEXT {
                    self.fault(
                        at,
                        &key,
                        format_args!(
                            "has {characters} characters; a prompt has room for {MOST_TEXT} at most"
                        ),
                    );
                    continue;
                }
                let own_line = self.line(at);
                let entry = found.entry(lang.get_ref().to_string()).or_default();
                entry.2 = own_line;
                match kind {
                    "text" => entry.0 = Some(text.to_owned()),
                    _ => entry.1 = Some(self.folder.join(text)),
                }
            }
        }
        self.lines.entry(place.to_owned()).or_insert(line);
        let mut spoken = Map::new();
        for (lang, (text, sound, line)) in found {
            self.lines.insert(path(place, &lang), line);
            let pointer = format!("{pointer}/{}", escaped(&lang));
            spoken.insert(lang.clone(), stand_in(&pointer));
            self.sayings.push(Saying {
                what: what.to_owned(),
                lang,
                text,
                sound,
                line,
                pointer,
            });
        }
        spoken
    }
}

/// A value of the file as JSON has it. Dates and times stay texts.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            let number = i64::from_str_radix(&digits, number.radix());
            number.map_or_else(|_| json!(digits), |number| json!(number))
        }
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse::<f64>()
            .map_or(Value::Null, |number| json!(number)),
        DeValue::Boolean(is) => json!(is),
        DeValue::Datetime(moment) => json!(moment.to_string()),
        DeValue::Array(entries) => {
            Value::Array(entries.iter().map(|entry| plain(entry.get_ref())).collect())
        }
        DeValue::Table(table) => {
            let entries = table.iter();
            let entry =
                |(key, value): Entry<'_, '_>| (key.get_ref().to_string(), plain(value.get_ref()));
            Value::Object(entries.map(entry).collect())
        }
    }
}
