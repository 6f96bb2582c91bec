//! Everything that is wrong with a campaign's file, at once.
//!
//! Owns: the judgement of a draft by the contract's own check, of its sound files, and what is worth a remark although nothing is wrong with
//! it. Never does: make a prompt.

use std::collections::BTreeSet;

use booth_contract::wanted::{self, Here, KeyFault, LocalTime, OWN_VOICE, SIGNED_PROMPTS, Wanted};
use booth_host::config_file::{ConfigFault, meant};
use serde_json::{Map, Value, json};

use super::children::{Children, speaks_of_children};
use super::file::{Booths, Draft};
use super::workshop;
use crate::config::HubConfig;

/// The names of prompts that booths know (contract §2), and those by which they ask about publication and offer a language.
const PROMPT_NAMES: [&str; 16] = [
    "notice",
    "menu",
    "tone",
    "repeat",
    "no_such_question",
    "limit_soon",
    "thanks",
    "goodbye",
    "too_short",
    "off_hook",
    "out_of_order",
    "emergency",
    "ask_text",
    "ask_voice",
    "offer_language",
    "no_question",
];

/// What was found out about a draft.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// What must be mended before it can be published.
    pub(super) faults: Vec<ConfigFault>,
    /// What is worth a look.
    pub(super) remarks: Vec<ConfigFault>,
}

/// Whether a booth says a prompt of this name by itself, as far as the centre knows: in its own voice. What lies in a booth's own folder of
/// prompts the centre does not know; the booth refuses what lacks a notice there, and names it.
pub(super) fn says(name: &str, lang: &str) -> bool {
    name == "notice" || OWN_VOICE.contains(&lang)
}

/// Judges a draft whose shape has these faults; `now` is local time at the booths.
pub(super) fn judge(
    draft: &Draft,
    mut faults: Vec<ConfigFault>,
    hub: &HubConfig,
    now: LocalTime,
) -> Judged {
    let mut fields = draft.stand_in();
    let judged = checked(&mut fields, &draft.language, true, Some(now));
    for KeyFault { key, error } in judged.err().unwrap_or_default() {
        let fault = draft.translated(&key, &error);
        // What the shape's reading has named at this place is not said twice.
        let is_said = faults
            .iter()
            .any(|said| said.line == fault.line && said.key == fault.key);
        if !is_said {
            faults.push(fault);
        }
    }
    for saying in draft.sayings.iter().filter(|saying| saying.sound.is_some()) {
        if let Err(why) = workshop::looked_at(saying) {
            let key = format!("{} sound.{}", saying.what, saying.lang);
            faults.push(draft.fault(saying.line, &key, &why));
        }
    }
    faults.sort_by_key(|fault| fault.line.unwrap_or(0));
    Judged {
        faults,
        remarks: remarks(draft, hub),
    }
}

/// Reads and checks the fields of a configuration by the contract; a version is put in where it has none.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn checked(
    fields: &mut Map<String, Value>,
    language: &str,
    is_signed: bool,
    now: Option<LocalTime>,
) -> Result<Wanted, Vec<KeyFault>> {
    fields.insert("schema".into(), json!(wanted::WANTED_SCHEMA));
    fields.entry("version").or_insert(json!(1));
    let read = Wanted::of_fields(fields).map_err(|bad| bad.faults)?;
    let here = Here {
        language,
        is_signed,
        now,
        issued: None,
        says: &says,
    };
    match wanted::check(&read, &here) {
        faults if faults.is_empty() => Ok(read),
        faults => Err(faults),
    }
}

fn remarks(draft: &Draft, hub: &HubConfig) -> Vec<ConfigFault> {
    let mut remarks = Vec::new();
    let fields = draft.stand_in();
    let prompts = fields.get("prompts").and_then(Value::as_object);
    let prompts: BTreeSet<&str> = prompts
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut remark = |line: usize, key: &str, why: &str| remarks.push(draft.fault(line, key, why));
    for saying in &draft.sayings {
        if saying.text.is_none() {
            let key = format!("{} text.{}", saying.what, saying.lang);
            let why = "is missing: the booth's screen shows nothing to whoever cannot hear it. Write down what the recording says";
            remark(saying.line, &key, why);
        }
    }
    for name in &prompts {
        let line = draft
            .sayings
            .iter()
            .find(|saying| saying.what == format!("prompt {name:?}"));
        let line = line.map_or(1, |saying| saying.line);
        let key = format!("prompt {name:?}");
        if SIGNED_PROMPTS.contains(name) {
            remark(
                line,
                &key,
                "counts only when the campaign is published with a signature (booth-hub campaign publish --help)",
            );
        } else if !PROMPT_NAMES.contains(name) {
            let hint = meant(name, PROMPT_NAMES).map(|meant| format!("; did you mean {meant:?}?"));
            let why = format!(
                "is no prompt that booths of this version play{}",
                hint.unwrap_or_default()
            );
            remark(line, &key, &why);
        }
    }
    let languages = fields.get("languages").and_then(Value::as_object);
    for lang in languages
        .into_iter()
        .flatten()
        .filter_map(|(_, lang)| lang.as_str())
    {
        let has_notice = draft
            .sayings
            .iter()
            .any(|saying| saying.what == "prompt \"notice\"" && saying.lang == lang);
        if lang != draft.language && !has_notice {
            let why = format!(
                "offers {lang:?}: each booth needs the notice in it, in its own prompts/{lang}/, or refuses the campaign and says so; \
                 or put it in here as [prompt.notice] and sign"
            );
            remark(1, "languages", &why);
        }
    }
    let notices: Vec<_> = draft
        .sayings
        .iter()
        .filter(|saying| saying.what == "prompt \"notice\"")
        .collect();
    let told = draft.children.told();
    for notice in &notices {
        let text = notice.text.as_deref().unwrap_or_default();
        if speaks_of_children(text, &notice.lang) == Some(false) {
            let why = format!(
                "says nothing about children, and this campaign promises that {told}: say so in it"
            );
            let key = format!("{} text.{}", notice.what, notice.lang);
            remark(notice.line, &key, &why);
        }
    }
    if notices.is_empty() && draft.children != Children::default() {
        let why = format!(
            "is not what booths say by themselves: the notice of each of these booths has to say that {told}; or put it in here as \
             [prompt.notice] and sign"
        );
        remark(draft.line("children"), "children", &why);
    }
    if let Booths::Named(named) = &draft.booths {
        for booth in named {
            if !hub
                .booths
                .iter()
                .any(|expected| expected.id.as_str() == booth)
            {
                let why = format!(
                    "names {booth:?}, which is no [[booth]] of hub.toml; is it written correctly?"
                );
                remark(1, "booths", &why);
            }
        }
    }
    remarks
}
