//! The configuration that `run` reads, made of a good one, and the substitute for a configuration that is not good. Pure.

use std::path::Path;

use toml::{Table, Value};

use super::Places;
use super::good::Good;
use super::vault::{self, Role, Set};
use crate::config::Config;

/// The credentials that a configuration is made with.
#[derive(Default)]
pub(super) struct Credentials<'a> {
    /// The set that it names.
    pub set: Option<&'a Set>,
    /// Whether something that the connection needs is missing.
    pub is_lacking: bool,
}

/// The configuration that `run` reads, as TOML, with prompts in that folder.
pub(super) fn effective(
    good: &Good,
    credentials: &Credentials,
    places: &Places,
    prompts: &Path,
) -> String {
    let mut table = good.table.clone();
    let folder = places.credentials();
    if let Some(mqtt) = table.get_mut("mqtt").and_then(Value::as_table_mut) {
        for role in Role::ALL {
            let Some(name) = mqtt.get(role.key()).and_then(Value::as_str) else {
                continue;
            };
            if Path::new(name).is_absolute() {
                continue;
            }
            let set = credentials.set;
            let set = set.filter(|set| set.files.contains_key(&role));
            match set {
                Some(set) => {
                    let path = folder
                        .join(vault::folder_name(set.number))
                        .join(role.file());
                    mqtt.insert(role.key().into(), path.display().to_string().into());
                }
                None => drop(mqtt.remove(role.key())),
            }
        }
        if credentials.is_lacking {
            // Without its credentials the booth records and keeps; the connection comes when they are there.
            mqtt.remove("url");
            mqtt.remove("cert_file");
            mqtt.remove("key_file");
        }
    }
    let mut set_path = |section: &str, key: &str, path: &Path| {
        let section = table
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()));
        if let Some(section) = section.as_table_mut() {
            section.insert(key.into(), path.display().to_string().into());
        }
    };
    set_path(
        "spool",
        "dir",
        &match has(&good.table, "spool", "dir") {
            true => places.spool.join(&good.config.spool.dir),
            false => places.spool.clone(),
        },
    );
    set_path("session", "prompts", prompts);
    toml::to_string(&table).unwrap_or_default()
}

fn has(table: &Table, section: &str, key: &str) -> bool {
    table
        .get(section)
        .is_some_and(|section| section.get(key).is_some())
}

/// What can be used of a configuration that cannot be used as a whole: how the handset and the sound card are reached, and
/// the language; everything else has its default.
pub fn salvage(table: &Table) -> Config {
    let least = || {
        let mut whole = Table::new();
        let mut booth = Table::new();
        booth.insert("id".into(), "not-set-up".into());
        whole.insert("booth".into(), Value::Table(booth));
        let mut privacy = Table::new();
        privacy.insert("seal".into(), false.into());
        whole.insert("privacy".into(), Value::Table(privacy));
        whole
    };
    let mut whole = least();
    for section in ["handset", "audio", "session"] {
        let Some(said) = table.get(section) else {
            continue;
        };
        let mut said = said.clone();
        if let (Some(keys), "session") = (said.as_table_mut(), section) {
            keys.retain(|key, _| key == "language");
        }
        let mut with = whole.clone();
        with.insert(section.into(), said);
        let works = |config: Config| config.check("").is_ok();
        if with.clone().try_into().is_ok_and(works) {
            whole = with;
        }
    }
    let booth = table.get("booth").and_then(Value::as_table);
    let mut config: Config = whole
        .try_into()
        .or_else(|_| least().try_into())
        .unwrap_or_else(|error| unreachable!("the least configuration is one: {error}"));
    let said = |key: &str| {
        let value = booth
            .and_then(|booth| booth.get(key))
            .and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    config.booth.name = said("name");
    config.booth.contact = said("contact");
    config.questions = Vec::new();
    config
}
