//! The move of the secrets from FAT to the vault.
//!
//! Owns: which files beside `booth.toml` are credentials, and when they may leave FAT. Never does: remove one from FAT that
//! has not been read back from the booth's own partition, or put credentials into use with which no connection could be
//! tried.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use toml::Table;

use super::effective::effective;
use super::guise::{self, printable};
use super::vault::{self, Kept, LONGEST_CREDENTIAL, Role, Set, Vault};
use super::{Good, Hands, Places, ProvisionError, SecretNews, at, remove_name};
use crate::config::Config;
use booth_host::config_file::ConfigError;
use booth_host::password;
use booth_host::tls::pem::{self, Wanted};
use booth_spool::disk::{Disk, Listed, read_whole};

/// The credentials that the booth has now.
#[derive(Default)]
pub(super) struct Moved {
    /// The set that the effective configuration names.
    pub set: Option<Set>,
    /// The number of a newer set than the one that has connected.
    pub candidate: Option<u64>,
    /// Sets that stay.
    pub keep: Vec<u64>,
    /// The state of each credential.
    pub news: Vec<SecretNews>,
    /// Whether something that the connection needs is missing.
    pub is_lacking: bool,
}

/// Moves credentials from beside `booth.toml` into the vault. An error means that the booth's own partition failed.
pub(super) fn move_secrets(
    hands: &Hands,
    places: &Places,
    good: &Good,
    listed: &[Listed],
    now: &str,
    notes: &mut Vec<String>,
) -> Result<Moved, ProvisionError> {
    let credentials = places.credentials();
    let vault = Vault {
        disk: hands.disk,
        folder: &credentials,
    };
    let (sets, damaged) = vault.sets().map_err(at("reading", &credentials))?;
    notes.extend(damaged);
    // A power cut may have come before a new set was checked: a set is not trusted just because it exists.
    let usable = |set: &Set| is_usable(hands, places, good, set);
    let newest = sets.iter().rev().find(|set| usable(set).is_ok());
    let mut moved = Moved::default();
    let mut contents: BTreeMap<Role, (Kept, Vec<u8>)> = BTreeMap::new();
    if let Some(set) = newest {
        for (role, kept) in &set.files {
            let bytes = vault
                .content(set, *role)
                .map_err(at("reading", &credentials))?;
            contents.insert(*role, (kept.clone(), bytes));
        }
    }
    let mut on_fat: BTreeSet<&str> = BTreeSet::new();
    let mut is_changed = false;
    for role in Role::ALL {
        let Some(name) = wanted(&good.table, role) else {
            continue;
        };
        let mut news = SecretNews {
            role,
            name: printable(&name),
            since: None,
            is_new: false,
            fault: None,
        };
        if Path::new(&name).is_absolute() {
            continue;
        }
        match take(hands.disk, &places.boot, listed, &name, role) {
            Ok(None) => {}
            Ok(Some((entry, bytes))) => {
                on_fat.insert(entry);
                let sha256 = vault::hash(&bytes);
                if contents
                    .get(&role)
                    .is_none_or(|(kept, _)| kept.sha256 != sha256)
                {
                    is_changed = true;
                    news.is_new = true;
                    let kept = Kept {
                        name: name.clone(),
                        since: now.into(),
                        sha256,
                    };
                    contents.insert(role, (kept, bytes));
                }
            }
            Err(why) => news.fault = Some(why),
        }
        moved.news.push(news);
    }
    let mut set = newest.cloned();
    let mut may_remove = true;
    if is_changed {
        let added = vault.add(&contents).map_err(at("writing", &credentials))?;
        match usable(&added) {
            Ok(()) => set = Some(added),
            Err(error) => {
                // The new credential stays on FAT to be looked at, and the set that connected before stays in use.
                may_remove = false;
                let keep: Vec<u64> = sets.iter().map(|set| set.number).collect();
                vault.prune(&keep).map_err(at("tidying", &credentials))?;
                let why = error
                    .0
                    .join("; ")
                    .replace(&credentials.display().to_string(), "credentials");
                for news in moved.news.iter_mut().filter(|news| news.is_new) {
                    news.is_new = false;
                    news.fault = Some(why.clone());
                }
            }
        }
    }
    if may_remove
        && !places.is_volatile
        && let Err(why) = remove_from_fat(hands.disk, &places.boot, &on_fat)
    {
        notes.push(why);
    }
    for news in &mut moved.news {
        let kept = set.as_ref().and_then(|set| set.files.get(&news.role));
        news.since = kept.map(|kept| kept.since.clone());
        if kept.is_none() {
            moved.is_lacking = true;
            let name = &news.name;
            news.fault.get_or_insert_with(|| {
                format!("{name} was never found; put it beside booth.toml on the card")
            });
        }
    }
    let confirmed = vault.confirmed();
    let mut numbers: Vec<u64> = sets
        .iter()
        .filter(|set| usable(set).is_ok())
        .map(|set| set.number)
        .collect();
    numbers.extend(set.as_ref().map(|set| set.number));
    moved.keep = vault::order(&numbers, confirmed);
    moved.candidate = match (&set, confirmed) {
        (Some(set), Some(confirmed)) if numbers.contains(&confirmed) => {
            Some(set.number).filter(|number| *number != confirmed)
        }
        _ => None,
    };
    moved.set = set;
    Ok(moved)
}

/// Whether a connection could be tried with this set.
fn is_usable(hands: &Hands, places: &Places, good: &Good, set: &Set) -> Result<(), ConfigError> {
    let trial = Moved {
        set: Some(set.clone()),
        ..Moved::default()
    };
    let text = effective(good, &trial, places, &places.prompts());
    let config = toml::from_str::<Config>(&text);
    let config = config.map_err(|error| ConfigError(vec![error.to_string()]))?;
    (hands.usable)(&config)
}

/// The name that `[mqtt]` gives for a credential.
fn wanted(table: &Table, role: Role) -> Option<String> {
    let value = table.get("mqtt")?.get(role.key())?;
    Some(value.as_str()?.to_owned())
}

/// Files that a booth, or the board's firmware, needs on FAT: a typing error in `booth.toml` must not remove them.
fn is_of_the_card(name: &str) -> bool {
    let name = name.to_lowercase();
    let is_firmware = [".elf", ".bin", ".dat", ".dtb", ".img", ".sqfs", ".zst"]
        .iter()
        .any(|end| name.ends_with(end));
    let own = [
        "booth.toml",
        "booth.toml.txt",
        "booth-status.txt",
        "config.txt",
        "cmdline.txt",
        "autoboot.txt",
        "tryboot.txt",
    ];
    is_firmware || own.contains(&name.as_str())
}

/// Finds a credential beside `booth.toml`: its name there and its content, without byte order mark and the like.
pub(super) fn take<'a>(
    disk: &dyn Disk,
    boot: &Path,
    listed: &'a [Listed],
    name: &str,
    role: Role,
) -> Result<Option<(&'a str, Vec<u8>)>, String> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(format!(
            "{} is no plain file name; put the file beside booth.toml and write its name alone",
            printable(name)
        ));
    }
    let entry = match guise::named(listed, name)[..] {
        [] => return Ok(None),
        [one] => one,
        ref several => {
            let names: Vec<String> = several.iter().map(|entry| printable(&entry.name)).collect();
            return Err(format!(
                "there are {} on the card: leave the right one and delete the other",
                names.join(" and ")
            ));
        }
    };
    let own = printable(&entry.name);
    if is_of_the_card(&entry.name) {
        return Err(format!(
            "{own} is one of the card's own files; give the credential another name"
        ));
    }
    if entry.is_folder {
        return Err(format!("{own} is a folder; a file of that name is needed"));
    }
    let bytes =
        read_whole(disk, &boot.join(&entry.name), LONGEST_CREDENTIAL).map_err(
            |error| match error.kind() {
                io::ErrorKind::InvalidData => {
                    format!(
                        "{own} is longer than {LONGEST_CREDENTIAL} bytes; is it the right file?"
                    )
                }
                _ => format!("{own} cannot be read: {error}; copy it to the card again"),
            },
        )?;
    let wrong = |why: &dyn std::fmt::Display| format!("{own} {why}");
    let clean = match role {
        Role::Password => password::of(&bytes)
            .map_err(|why| wrong(&why))?
            .into_bytes(),
        Role::Key => {
            pem::key_in(&bytes, &own).map_err(|why| wrong(&why))?;
            pem::cleaned(&bytes).into_owned()
        }
        Role::Authority | Role::Certificate => {
            let wanted = match role {
                Role::Authority => Wanted::Authority,
                _ => Wanted::Certificate,
            };
            pem::certificates_in(&bytes, &own, wanted).map_err(|why| wrong(&why))?;
            pem::cleaned(&bytes).into_owned()
        }
    };
    Ok(Some((&entry.name, clean)))
}

pub(super) fn remove_from_fat(
    disk: &dyn Disk,
    boot: &Path,
    names: &BTreeSet<&str>,
) -> Result<(), String> {
    let told = |name: &str, error: io::Error| {
        format!(
            "{} could not be removed from the card ({error}); the booth has its own copy: delete it with a laptop",
            printable(name)
        )
    };
    for name in names {
        remove_name(disk, &boot.join(name)).map_err(|error| told(name, error))?;
    }
    match names.first() {
        Some(name) => disk.sync_folder(boot).map_err(|error| told(name, error)),
        None => Ok(()),
    }
}
