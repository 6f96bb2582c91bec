//! From an empty file to one whose prompts are made: `new`, `check`, `prompts`.
//!
//! Owns: what these verbs do and say. Never does: connect.

use std::collections::BTreeMap;
use std::path::Path;

use booth_city::sentence;
use booth_city::words::Gap;
use booth_contract::MediaHash;
use booth_host::config_file::{ConfigError, ConfigFault};
use booth_host::{complain, plain_file, say};
use serde_json::json;

use super::CampaignError;
use super::file::{Draft, Saying};
use super::judge::{self, Judged};
use super::register::{self, Ready};
use super::verbs::{General, local_now};
use super::workshop::{Made, Workshop};
use crate::config::HubConfig;

/// The commented example, as `new` writes it.
const EXAMPLE: &str = include_str!("../../../../docs/campaign.example.toml");

pub(super) fn new(file: &Path) -> Result<(), CampaignError> {
    plain_file::make_private(file, EXAMPLE.as_bytes())
        .map_err(|error| CampaignError::file(file, error))?;
    let file = file.display();
    say!(
        "{file} has an example with every key. Write your questions into it, then: booth-hub campaign check {file}"
    );
    Ok(())
}

/// Reads a campaign's file and judges it; its faults end the command.
fn read(file: &Path, hub: &HubConfig) -> Result<(Draft, Judged), CampaignError> {
    let (draft, faults) = Draft::read(file)?;
    let judged = judge::judge(&draft, faults, hub, local_now());
    Ok((draft, judged))
}

/// The prompts of a draft, each with what was made of it.
fn prompts_of<'a>(
    draft: &'a Draft,
    workshop: &'a Workshop,
) -> impl Iterator<Item = (&'a Saying, Option<&'a Made>)> {
    draft
        .sayings
        .iter()
        .map(|saying| (saying, workshop.made(saying)))
}

pub(super) fn check(file: &Path, general: &General) -> Result<(), CampaignError> {
    let hub = HubConfig::load(&general.config)?;
    let (draft, judged) = read(file, &hub)?;
    let workshop = Workshop::open(&register::folder_in(&hub.store.dir))?;
    let lacking: Vec<(String, String)> = prompts_of(&draft, &workshop)
        .filter(|(_, made)| made.is_none())
        .map(|(saying, _)| (saying.what.clone(), saying.lang.clone()))
        .collect();
    let sentences = |faults: &[ConfigFault]| -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    };
    if general.json {
        let lacking = lacking
            .iter()
            .map(|(what, lang)| json!({"prompt": what, "lang": lang}));
        say!(
            "{}",
            json!({
                "ok": judged.faults.is_empty(), "faults": sentences(&judged.faults), "remarks": sentences(&judged.remarks),
                "prompts": draft.sayings.len(), "to_make": lacking.collect::<Vec<_>>(),
            })
        );
    } else {
        for fault in &judged.faults {
            say!("wrong: {fault}");
        }
        for remark in &judged.remarks {
            say!("look:  {remark}");
        }
        let mut by_lang: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (what, lang) in &lacking {
            by_lang.entry(lang).or_default().push(what);
        }
        for (lang, what) in by_lang {
            say!("to make in {lang:?}: {}", what.join(", "));
        }
        let name = file.display();
        match (judged.faults.is_empty(), lacking.is_empty()) {
            (false, _) => {}
            (true, false) => {
                say!("{name} is right. Make its prompts: booth-hub campaign prompts {name}")
            }
            (true, true) => say!(
                "{name} is right, and its {} prompts are made. Publish it: booth-hub campaign publish {name}",
                draft.sayings.len()
            ),
        }
    }
    match judged.faults.is_empty() {
        true => Ok(()),
        false if general.json => Err(CampaignError::Config(ConfigError(judged.faults))),
        false => {
            let n = judged.faults.len();
            let found = match n {
                1 => "one thing is wrong".to_owned(),
                n => format!("{n} things are wrong"),
            };
            let fault = ConfigFault::whole(format!("{found}; see above")).in_file(&draft.file);
            Err(CampaignError::Config(fault.into()))
        }
    }
}

/// A draft that can be published, as far as its file goes.
pub(super) fn right(file: &Path, hub: &HubConfig) -> Result<Draft, CampaignError> {
    let (draft, judged) = read(file, hub)?;
    for remark in &judged.remarks {
        complain!("look:  {remark}");
    }
    match judged.faults.is_empty() {
        true => Ok(draft),
        false => Err(CampaignError::Config(ConfigError(judged.faults))),
    }
}

pub(super) fn prompts(file: &Path, general: &General) -> Result<(), CampaignError> {
    let hub = HubConfig::load(&general.config)?;
    let (draft, judged) = read(file, &hub)?;
    for fault in &judged.faults {
        complain!("wrong: {fault}");
    }
    // One command at a time makes prompts, too.
    let _turn = register::turn_to_publish(&hub.store.dir)?;
    let mut workshop = Workshop::open(&register::folder_in(&hub.store.dir))?;
    let (mut told, mut failed) = (Vec::new(), 0);
    for saying in &draft.sayings {
        let known = workshop.made(saying).cloned();
        let is_new = known.is_none();
        let made = match known {
            Some(made) => Ok(made),
            None => workshop.make(saying),
        };
        let (what, lang) = (&saying.what, &saying.lang);
        match made {
            Ok(made) => {
                let path = workshop.path(&made.hash);
                let Made {
                    ms,
                    bytes,
                    bitrate,
                    lufs,
                    ..
                } = &made;
                if general.json {
                    told.push(json!({"prompt": what, "lang": lang, "file": path, "hash": made.hash, "ms": ms, "bytes": bytes,
                        "bitrate": bitrate, "lufs": lufs, "new": is_new}));
                } else {
                    let seconds = *ms as f64 / 1_000.0;
                    let (kib, kbit) = (bytes.div_ceil(1_024), bitrate / 1_000);
                    let new = if is_new { "made" } else { "is there" };
                    say!(
                        "{what} in {lang:?} {new}: {seconds:.1} s, {kib} KiB at {kbit} kbit/s, {}",
                        path.display()
                    );
                }
            }
            Err(why) => {
                failed += 1;
                let key = format!("{what} in {lang:?}");
                let fault = draft.fault(saying.line, &key, &why);
                match general.json {
                    true => {
                        told.push(json!({"prompt": what, "lang": lang, "error": fault.to_string()}))
                    }
                    false => say!("not made: {fault}"),
                }
            }
        }
    }
    if general.json {
        say!("{}", json!({"prompts": told, "failed": failed}));
    } else if failed == 0 && judged.faults.is_empty() {
        say!(
            "Listen to them, then publish: booth-hub campaign publish {}",
            file.display()
        );
    }
    match failed {
        0 => Ok(()),
        1 => Err(CampaignError::refused("one prompt was not made; see above")),
        n => Err(CampaignError::refused(format!(
            "{n} prompts were not made; see above"
        ))),
    }
}

/// A draft with its prompts made.
pub(super) fn ready_file(
    draft: &Draft,
    source: &Path,
    workshop: &Workshop,
    at: &str,
) -> Result<Ready, CampaignError> {
    let text = plain_file::read_at_most(source, booth_host::config_file::LONGEST_FILE)
        .map_err(|error| CampaignError::file(source, error))?;
    let make = format!("booth-hub campaign prompts {}", source.display());
    ready(
        draft,
        &String::from_utf8_lossy(&text),
        make.into(),
        workshop,
        at,
    )
}

/// The same of a text; `make` says how prompts are made.
pub(super) fn ready(
    draft: &Draft,
    source: &str,
    make: Gap,
    workshop: &Workshop,
    at: &str,
) -> Result<Ready, CampaignError> {
    let mut hashes: Vec<MediaHash> = Vec::new();
    let mut lacking = Vec::new();
    for (saying, made) in prompts_of(draft, workshop) {
        match made {
            Some(made) => hashes.push(made.hash.clone()),
            None => lacking.push(format!("{} in {:?}", saying.what, saying.lang)),
        }
    }
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        let refused = sentence!("hub-prompts-not-made", prompts = lacking, make = make);
        return Err(CampaignError::Told(refused));
    }
    Ok(Ready {
        title: draft.title.clone(),
        booths: draft.booths.clone(),
        language: draft.language.clone(),
        children: draft.children,
        fields: draft.fields(&hashes),
        source: source.to_owned(),
        at: at.to_owned(),
    })
}
