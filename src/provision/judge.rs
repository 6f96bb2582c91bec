//! What is right and what is wrong in a `booth.toml`, key by key. Pure.
//!
//! Owns: the verdict on every key, with its line, all at once: a technician at the roadside with a laptop corrects a file
//! once. Never does: know a key; each is tried alone on [`Config`], whose own sentences are shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::guise;
use crate::config::{self, Config};
use booth_host::config_file::{ConfigError, ConfigFault, Misfit};

/// A file with more keys than this is no configuration.
const MOST_KEYS: usize = 2_000;
/// Most faults that are shown.
const MOST_FAULTS: usize = 40;
/// A value for the one key without a default, while other keys are tried.
const SOME_ID: &str = "some-booth";

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyVerdict {
    /// As `[mqtt] url`, or `[[question]] square`.
    pub key: String,
    /// Its line in the file.
    pub line: usize,
    /// The sentence that says what is wrong with it; `None` if it can be applied.
    pub fault: Option<String>,
    /// No configuration has such a key.
    #[serde(default)]
    pub is_unknown: bool,
}

impl KeyVerdict {
    fn new(key: String, line: usize, result: &Result<(), Misfit>) -> Self {
        let misfit = result.as_ref().err();
        Self {
            key,
            line,
            fault: misfit.map(|misfit| misfit.sentence.clone()),
            is_unknown: misfit.is_some_and(|misfit| misfit.is_unknown_key),
        }
    }
}

/// A text with the verdicts on it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The configuration, if nothing is wrong.
    pub config: Option<Config>,
    /// The text as TOML, without the keys that are wrong.
    pub table: Table,
    /// Every key in the order of lines.
    pub keys: Vec<KeyVerdict>,
    /// All faults, each with file and line where they are known.
    pub faults: Vec<ConfigFault>,
}

impl Judged {
    /// The verdict where there is no text.
    pub(super) fn nothing(fault: ConfigFault) -> Self {
        Self {
            config: None,
            table: Table::new(),
            keys: Vec::new(),
            faults: vec![fault],
        }
    }
}

/// Judges a text; `file` is the file's name in the sentences.
pub fn judge(text: &str, file: &str) -> Judged {
    let mut judged = Judged {
        config: None,
        table: Table::new(),
        keys: Vec::new(),
        faults: Vec::new(),
    };
    let table: Table = match config::parse(text, file) {
        Ok(table) => table,
        Err(ConfigError(faults)) => {
            judged.faults = guise::typographic(text, file);
            judged.faults.extend(faults);
            return judged;
        }
    };
    let lines = Lines::of(text);
    let count: usize = table.values().map(|value| pieces(value).max(1)).sum();
    if count > MOST_KEYS {
        let why =
            format!("has {count} keys, more than the {MOST_KEYS} that a configuration may have");
        judged.faults.push(ConfigFault::whole(why).in_file(file));
        return judged;
    }
    for (section, value) in &table {
        judge_section(section, value, &lines, &mut judged);
    }
    judged.keys.sort_by_key(|verdict| verdict.line);
    let wrong = judged.keys.iter();
    judged.faults = wrong
        .filter_map(|verdict| {
            let fault = verdict.fault.as_ref()?;
            let fault = ConfigFault::of(&verdict.key, fault).in_file(file);
            Some(fault.at_line(verdict.line))
        })
        .collect();
    check_values(file, &mut judged);
    let is_good = judged.faults.is_empty();
    if is_good {
        // The whole file is checked once more as `run` reads it: the verdict must not depend on the keys having been tried
        // one by one.
        match config::parse::<Config>(text, file) {
            Ok(config) => judged.config = Some(config),
            Err(ConfigError(faults)) => judged.faults = faults,
        }
    }
    if judged.faults.len() > MOST_FAULTS {
        let more = judged.faults.len() - MOST_FAULTS;
        judged.faults.truncate(MOST_FAULTS);
        let why = format!("and {more} faults more");
        judged.faults.push(ConfigFault::whole(why).in_file(file));
    }
    judged
}

fn pieces(value: &Value) -> usize {
    match value {
        Value::Table(table) => table.len(),
        Value::Array(all) => all.len(),
        _ => 1,
    }
}

/// Tries each key of a section alone.
fn judge_section(section: &str, value: &Value, lines: &Lines, judged: &mut Judged) {
    match value {
        Value::Table(keys)
            if trial(section, &Value::Table(Table::new())).is_ok() || section == "booth" =>
        {
            let mut right = Table::new();
            for (key, value) in keys {
                let mut alone = Table::new();
                alone.insert(key.clone(), value.clone());
                let result = trial(section, &Value::Table(alone));
                let line = lines.of_key(section, key);
                let name = format!("[{section}] {key}");
                judged.keys.push(KeyVerdict::new(name, line, &result));
                if result.is_ok() {
                    right.insert(key.clone(), value.clone());
                }
            }
            judged.table.insert(section.into(), Value::Table(right));
        }
        Value::Array(elements) if elements.iter().all(Value::is_table) => {
            let mut right = Vec::new();
            for (index, element) in elements.iter().enumerate() {
                let result = trial(section, &Value::Array(vec![element.clone()]));
                let name = element.get("id").and_then(Value::as_str);
                let name = name.map_or(format!("number {}", index + 1), guise::printable);
                let line = lines.of_element(section, index);
                let name = format!("[[{section}]] {name}");
                judged.keys.push(KeyVerdict::new(name, line, &result));
                if result.is_ok() {
                    right.push(element.clone());
                }
            }
            judged.table.insert(section.into(), Value::Array(right));
        }
        other => {
            let result = trial(section, other);
            let name = match other.is_table() {
                true => format!("[{section}]"),
                false => section.to_owned(),
            };
            let line = lines.of_section(section);
            judged.keys.push(KeyVerdict::new(name, line, &result));
            if result.is_ok() {
                judged.table.insert(section.into(), other.clone());
            }
        }
    }
}

/// Whether a configuration with nothing else in it can have this value.
fn trial(section: &str, value: &Value) -> Result<(), Misfit> {
    let mut whole = Table::new();
    let mut booth = Table::new();
    booth.insert("id".into(), SOME_ID.into());
    match value {
        Value::Table(said) if section == "booth" => booth.extend(said.clone()),
        other => drop(whole.insert(section.into(), other.clone())),
    }
    whole.entry("booth").or_insert(Value::Table(booth));
    whole.try_into::<Config>().map(drop).map_err(|error| {
        let hint = match value {
            Value::Table(said) => said.values().find_map(Value::as_str).map(guise::hint_of),
            _ => None,
        };
        let mut misfit = Misfit::of(&error);
        misfit.sentence += &hint.unwrap_or_default();
        misfit
    })
}

/// Checks for values that cannot work; each fault goes to its key where it names one that is in the file.
fn check_values(file: &str, judged: &mut Judged) {
    let booth = judged.table.get("booth").and_then(Value::as_table);
    let has_id = booth.is_some_and(|booth| booth.contains_key("id"));
    let id_is_named = judged
        .keys
        .iter()
        .any(|verdict| verdict.key == "[booth] id");
    if !has_id && !id_is_named {
        let why = "is missing; write id = \"…\" with 3 to 32 of the characters a-z, 0-9 and -";
        judged
            .faults
            .push(ConfigFault::that("[booth] id", why).in_file(file));
    }
    let mut whole = judged.table.clone();
    if !has_id
        && let Some(booth) = whole
            .entry("booth")
            .or_insert(Value::Table(Table::new()))
            .as_table_mut()
    {
        booth.insert("id".into(), SOME_ID.into());
    }
    let config: Config = match whole.try_into() {
        Ok(config) => config,
        Err(error) => {
            let why = Misfit::of(&error).sentence;
            judged.faults.push(ConfigFault::whole(why).in_file(file));
            return;
        }
    };
    let Err(ConfigError(faults)) = config.check(file) else {
        return;
    };
    for fault in faults {
        let named = judged
            .keys
            .iter_mut()
            .find(|verdict| fault.is_in_key(&verdict.key));
        judged.faults.push(match named {
            Some(verdict) => {
                verdict.fault.get_or_insert_with(|| fault.sentence.clone());
                fault.at_line(verdict.line)
            }
            None => fault,
        });
    }
}

/// The line of each key.
struct Lines {
    sections: BTreeMap<String, usize>,
    keys: BTreeMap<(String, String), usize>,
    elements: BTreeMap<(String, usize), usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let starts: Vec<usize> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let line = |at: usize| starts.partition_point(|start| *start <= at);
        let mut lines = Self {
            sections: BTreeMap::new(),
            keys: BTreeMap::new(),
            elements: BTreeMap::new(),
        };
        let Ok(document) = toml::de::DeTable::parse(text) else {
            return lines;
        };
        for (section, value) in document.get_ref() {
            let name = section.get_ref().to_string();
            if let Some(table) = value.get_ref().as_table() {
                for key in table.keys() {
                    let at = (name.clone(), key.get_ref().to_string());
                    lines.keys.insert(at, line(key.span().start));
                }
            }
            if let Some(elements) = value.get_ref().as_array() {
                for (index, element) in elements.iter().enumerate() {
                    let at = (name.clone(), index);
                    lines.elements.insert(at, line(element.span().start));
                }
            }
            lines.sections.insert(name, line(section.span().start));
        }
        lines
    }

    fn of_section(&self, section: &str) -> usize {
        self.sections.get(section).copied().unwrap_or(1)
    }

    fn of_key(&self, section: &str, key: &str) -> usize {
        let at = (section.to_owned(), key.to_owned());
        let line = self.keys.get(&at).copied();
        line.unwrap_or_else(|| self.of_section(section))
    }

    fn of_element(&self, section: &str, index: usize) -> usize {
        let line = self.elements.get(&(section.to_owned(), index)).copied();
        line.unwrap_or_else(|| self.of_section(section))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n";

    #[test]
    fn a_good_file_is_applied_key_by_key() {
        let text = format!(
            "{GOOD}[handset]\nbackend = \"sim\"\nhook = {{ line = 4 }}\n\
             [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n"
        );
        let judged = judge(&text, "booth.toml");
        assert_eq!(judged.faults, Vec::<ConfigFault>::new());
        assert!(judged.config.is_some());
        let named: Vec<(&str, usize)> = judged
            .keys
            .iter()
            .map(|verdict| (verdict.key.as_str(), verdict.line))
            .collect();
        assert_eq!(
            named,
            [
                ("[booth] id", 2),
                ("[privacy] seal", 4),
                ("[handset] backend", 6),
                ("[handset] hook", 7),
                ("[[question]] square", 8),
            ]
        );
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_line_and_the_rest_is_kept() {
        let text = "[booth]\nid = \"rundhoej–1\"\nnaem = \"Torv\"\n[privacy]\nseal = false\n\
                    [mqtt]\nurl = \"http://x\"\nport = 1\n[handset]\nbackend = \"sim\"\n\
                    [audoi]\ninput = \"x\"\n[health]\ninterval_s = \"60\"\n\
                    [[question]]\nid = \"a\"\ndigit = 0\nkind = \"speak\"\n[[question]]\nid = \"b\"\n";
        let judged = judge(text, "booth.toml");
        assert!(judged.config.is_none());
        let all = ConfigError(judged.faults.clone()).to_string();
        for part in [
            "booth.toml:2: [booth] id: \"rundhoej–1\" is no booth id",
            "long dash",
            "booth.toml:3: [booth] naem: unknown field `naem`",
            "did you mean `name`?",
            "booth.toml:7: [mqtt] url: \"http://x\" has an unknown scheme",
            "booth.toml:8: [mqtt] port: unknown field",
            "booth.toml:11: [audoi]: unknown field `audoi`",
            "did you mean `audio`?",
            "booth.toml:14: [health] interval_s: invalid type",
            "digit 0 is outside 1 to 9",
            "booth.toml:19: [[question]] b: missing field `digit`",
        ] {
            assert!(all.contains(part), "{part} missing in\n{all}");
        }
        let backend = judged.table["handset"]["backend"].as_str();
        assert_eq!(backend, Some("sim"));
        assert!(judged.table["mqtt"].get("port").is_none());
        let applied = |key: &str| {
            let found = judged.keys.iter().find(|verdict| verdict.key == key);
            found.map(|verdict| verdict.fault.is_none())
        };
        assert_eq!(applied("[handset] backend"), Some(true));
        assert_eq!(applied("[mqtt] url"), Some(false));
    }

    #[test]
    fn no_id_and_no_toml_are_told() {
        let said = |text: &str| judge(text, "f").faults[0].to_string();
        assert!(said("").contains("[booth] id is missing"));
        assert!(said("[booth]\nid = “x”\n").starts_with("f:2: “ is a typographic"));
        assert!(said("[booth\n").starts_with("f:1: "));
    }

    #[test]
    fn a_flood_of_keys_or_faults_is_bounded() {
        let many: String = (0..3000).map(|n| format!("k{n} = 1\n")).collect();
        assert_eq!(judge(&many, "f").faults.len(), 1);
        let many: String = (0..300).map(|n| format!("k{n} = 1\n")).collect();
        assert_eq!(
            judge(&format!("[mqtt]\n{many}"), "f").faults.len(),
            MOST_FAULTS + 1
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_judge_panic(text in "(\\[\\[?(booth|mqtt|question|x)\\]?\\]|id|url|hook|=|\"a\"|1|\\{|\\}|\n|“|\\.| ){0,40}") {
            let judged = judge(&text, "f");
            proptest::prop_assert_eq!(judged.config.is_some(), judged.faults.is_empty());
        }
    }
}
