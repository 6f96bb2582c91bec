//! All campaigns of a booth become its one configuration.
//!
//! Owns: what several campaigns may say together, and the check of the whole by the contract. Pure. Never does: publish, or choose between two
//! campaigns that contradict each other: both are named instead.

use std::borrow::Cow;
use std::collections::BTreeMap;

use booth_contract::wanted::{Campaign, LocalTime, SIGNED_PROMPTS, Wanted};
use serde_json::{Map, Value};

use super::judge;
use super::register::{Campaigns, Ready};
use super::stops::{self, Stops};

/// A booth's configuration, still without its version and time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merged {
    pub(super) wanted: Wanted,
    /// The campaigns in it, by their ids.
    pub(super) campaigns: Vec<String>,
}

impl Merged {
    /// Whether something in it counts only with a signature (contract §3.8).
    pub(super) fn needs_signature(&self) -> bool {
        let names = self.wanted.prompts.iter().flatten();
        self.wanted.force
            || names
                .into_iter()
                .any(|(name, _)| SIGNED_PROMPTS.contains(&name.as_str()))
    }
}

/// What belongs together, and from which campaign it came first.
struct Pile<'a> {
    fields: Map<String, Value>,
    from: BTreeMap<String, &'a str>,
    conflicts: Vec<String>,
}

impl<'a> Pile<'a> {
    /// Puts a value under a key; what lies there already must be the same.
    fn put(&mut self, key: &str, what: &str, value: &Value, id: &'a str, booth: &str) {
        match self.from.get(key) {
            None => {
                self.from.insert(key.to_owned(), id);
                insert(&mut self.fields, key, value.clone());
            }
            Some(first) if found(&self.fields, key) != Some(value) => self.conflicts.push(format!(
                "campaigns {first:?} and {id:?} are both at {booth} and differ in {what}: write the same in both, or leave it out in one"
            )),
            Some(_) => {}
        }
    }
}

fn insert(fields: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('/') {
        None => drop(fields.insert(key.to_owned(), value)),
        Some((first, rest)) => {
            let inner = fields
                .entry(first)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

fn found<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    match key.split_once('/') {
        None => fields.get(key),
        Some((first, rest)) => found(fields.get(first)?.as_object()?, rest),
    }
}

/// The configuration of a booth from all campaigns that are there and not over at this local time, without what is stopped. Where everything
/// is stopped it asks nothing, also nothing of the booth's own.
///
/// # Errors
/// Everything that speaks against it, as sentences.
pub(super) fn merged(
    campaigns: &Campaigns,
    stopped: &Stops,
    booth: &str,
    now: LocalTime,
) -> Result<Merged, Vec<String>> {
    let here = campaigns
        .iter()
        .filter(|(_, ready)| ready.booths.has(booth) && !is_over(ready, now));
    let mut is_silent = false;
    let mut there: Vec<(&String, Cow<'_, Ready>)> = Vec::new();
    for (id, ready) in here {
        match stops::left(ready, stopped.get(id)) {
            Some(left) => there.push((id, left)),
            None => is_silent = true,
        }
    }
    let Some((_, first)) = there.first() else {
        return Ok(Merged {
            wanted: Wanted {
                campaigns: is_silent.then(Vec::new),
                ..Wanted::bare(1)
            },
            campaigns: Vec::new(),
        });
    };
    let language = &first.language;
    let mut pile = Pile {
        fields: Map::new(),
        from: BTreeMap::new(),
        conflicts: Vec::new(),
    };
    let mut all = Vec::new();
    for (id, ready) in &there {
        if ready.language != *language {
            pile.conflicts.push(format!(
                "campaigns {:?} and {id:?} are both at {booth} and differ in language ({language:?} and {:?}): a booth has one first language",
                there[0].0, ready.language
            ));
        }
        all.extend(
            ready
                .fields
                .get("campaigns")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .cloned(),
        );
        for key in ["hours", "quiet"] {
            if let Some(value) = ready.fields.get(key) {
                pile.put(key, key, value, id, booth);
            }
        }
        for (table, what) in [
            ("limits", "the limit"),
            ("languages", "the language of digit"),
        ] {
            for (key, value) in ready
                .fields
                .get(table)
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                pile.put(
                    &format!("{table}/{key}"),
                    &format!("{what} {key}"),
                    value,
                    id,
                    booth,
                );
            }
        }
        for (name, spoken) in ready
            .fields
            .get("prompts")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            for (lang, hash) in spoken.as_object().into_iter().flatten() {
                let what = format!("the prompt {name:?} in {lang:?}");
                pile.put(&format!("prompts/{name}/{lang}"), &what, hash, id, booth);
            }
        }
    }
    if !pile.conflicts.is_empty() {
        return Err(pile.conflicts);
    }
    pile.fields.insert("campaigns".into(), Value::Array(all));
    let wanted = judge::checked(&mut pile.fields, language, true, Some(now)).map_err(|faults| {
        let names = names(&pile.fields);
        let fault = faults.into_iter().map(|fault| {
            let text = names.iter().fold(fault.to_string(), |text, (path, name)| {
                text.replace(path, name)
            });
            format!("at {booth}: {text}")
        });
        fault.collect::<Vec<_>>()
    })?;
    Ok(Merged {
        wanted,
        campaigns: there.iter().map(|(id, _)| (*id).clone()).collect(),
    })
}

/// Whether all that it asks lies in the past.
pub(super) fn is_over(ready: &Ready, now: LocalTime) -> bool {
    campaign_of(ready).is_some_and(|campaign| campaign.until.is_some_and(|until| until <= now))
}

/// The campaign itself.
pub(super) fn campaign_of(ready: &Ready) -> Option<Campaign> {
    configuration_of(ready)?.campaigns?.pop()
}

/// The configuration with this campaign alone.
pub(super) fn configuration_of(ready: &Ready) -> Option<Wanted> {
    let mut fields = ready.fields.clone();
    judge::checked(&mut fields, &ready.language, true, None).ok()
}

/// What stands in the configuration, and what people call it; the longer ones first.
fn names(fields: &Map<String, Value>) -> Vec<(String, String)> {
    let mut names = Vec::new();
    let campaigns = fields.get("campaigns").and_then(Value::as_array);
    for (n, campaign) in campaigns.into_iter().flatten().enumerate() {
        let of = campaign["id"].as_str().unwrap_or_default();
        let path = format!("campaigns[{n}]");
        for (q, question) in campaign["questions"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
        {
            let id = question["id"].as_str().unwrap_or_default();
            let path = format!("{path}.questions[{q}]");
            names.push((
                format!("{path}."),
                format!("question {id:?} of campaign {of:?}, "),
            ));
            names.push((path, format!("question {id:?} of campaign {of:?}")));
        }
        names.push((format!("{path}."), format!("campaign {of:?}, ")));
        names.push((path, format!("campaign {of:?}")));
    }
    names.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
    names
}
