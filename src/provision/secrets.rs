//! The move of the secrets from FAT to the vault.
//!
//! Owns: which files beside `booth.toml` are credentials, and when they may leave FAT. Never does: remove one from FAT that
//! has not been read back from the booth's own partition, or put credentials into use with which no connection could be
//! tried.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use toml::Table;

use super::effective::{Credentials, effective};
use super::good::Good;
use super::guise::{self, printable};
use super::vault::{self, Kept, LONGEST_CREDENTIAL, Role, Set, Vault};
use super::{Hands, Places, ProvisionError, SecretNews, at, remove_name};
use crate::config::Config;
use booth_host::config_file::{ConfigError, ConfigFault};
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
    let mut collected = Collected::of(&vault, newest).map_err(at("reading", &credentials))?;
    collected.add_those_beside(hands.disk, &places.boot, listed, &good.table, now);
    let mut set = newest.cloned();
    let mut may_remove = true;
    if collected.is_changed {
        let contents = &collected.contents;
        let added = vault.add(contents).map_err(at("writing", &credentials))?;
        match usable(&added) {
            Ok(()) => set = Some(added),
            Err(error) => {
                // The new credential stays on FAT to be looked at, and the set that connected before stays in use.
                may_remove = false;
                let keep: Vec<u64> = sets.iter().map(|set| set.number).collect();
                vault.prune(&keep).map_err(at("tidying", &credentials))?;
                collected.refuse(&error, &credentials);
            }
        }
    }
    if may_remove
        && !places.is_volatile
        && let Err(why) = remove_from_fat(hands.disk, &places.boot, &collected.on_fat)
    {
        notes.push(why.to_string());
    }
    let mut news = collected.news;
    let is_lacking = note_what_is_kept(&mut news, set.as_ref());
    let confirmed = vault.confirmed();
    let mut numbers: Vec<u64> = sets
        .iter()
        .filter(|set| usable(set).is_ok())
        .map(|set| set.number)
        .collect();
    numbers.extend(set.as_ref().map(|set| set.number));
    let candidate = match (&set, confirmed) {
        (Some(set), Some(confirmed)) if numbers.contains(&confirmed) => {
            Some(set.number).filter(|number| *number != confirmed)
        }
        _ => None,
    };
    Ok(Moved {
        set,
        candidate,
        keep: vault::order(&numbers, confirmed),
        news,
        is_lacking,
    })
}

/// The credentials of the newest set, and over them those that lie beside `booth.toml`.
struct Collected<'a> {
    contents: BTreeMap<Role, (Kept, Vec<u8>)>,
    /// Names of those that were found on FAT.
    on_fat: BTreeSet<&'a str>,
    /// The state of each credential that the configuration names, as far as it was looked at.
    news: Vec<SecretNews>,
    /// FAT has one that the newest set has not.
    is_changed: bool,
}

impl<'a> Collected<'a> {
    fn of(vault: &Vault, newest: Option<&Set>) -> io::Result<Self> {
        let mut contents = BTreeMap::new();
        if let Some(set) = newest {
            for (role, kept) in &set.files {
                let bytes = vault.content(set, *role)?;
                contents.insert(*role, (kept.clone(), bytes));
            }
        }
        Ok(Self {
            contents,
            on_fat: BTreeSet::new(),
            news: Vec::new(),
            is_changed: false,
        })
    }

    fn add_those_beside(
        &mut self,
        disk: &dyn Disk,
        boot: &Path,
        listed: &'a [Listed],
        table: &Table,
        now: &str,
    ) {
        for role in Role::ALL {
            let named = wanted(table, role).filter(|name| !Path::new(name).is_absolute());
            let Some(name) = named else {
                continue;
            };
            let mut news = SecretNews {
                role,
                name: printable(&name),
                since: None,
                is_new: false,
                fault: None,
            };
            match take(disk, boot, listed, &name, role) {
                Ok(None) => {}
                Ok(Some((entry, bytes))) => {
                    self.on_fat.insert(entry);
                    news.is_new = self.put(role, name, bytes, now);
                }
                Err(why) => news.fault = Some(why.to_string()),
            }
            self.news.push(news);
        }
    }

    /// Takes a credential's content; true if the newest set has another one, or none.
    fn put(&mut self, role: Role, name: String, bytes: Vec<u8>, now: &str) -> bool {
        let sha256 = vault::hash(&bytes);
        let known = self.contents.get(&role);
        if known.is_some_and(|(kept, _)| kept.sha256 == sha256) {
            return false;
        }
        self.is_changed = true;
        let kept = Kept {
            name,
            since: now.into(),
            sha256,
        };
        self.contents.insert(role, (kept, bytes));
        true
    }

    /// Notes of every new credential that no connection could be tried with it.
    fn refuse(&mut self, error: &ConfigError, credentials: &Path) {
        let why = error
            .sentences()
            .join("; ")
            .replace(&credentials.display().to_string(), "credentials");
        for news in self.news.iter_mut().filter(|news| news.is_new) {
            news.is_new = false;
            news.fault = Some(why.clone());
        }
    }
}

/// Notes since when each credential is kept; true if the booth lacks one.
fn note_what_is_kept(all: &mut [SecretNews], set: Option<&Set>) -> bool {
    let mut is_lacking = false;
    for news in all {
        let kept = set.and_then(|set| set.files.get(&news.role));
        news.since = kept.map(|kept| kept.since.clone());
        if kept.is_none() {
            is_lacking = true;
            let name = &news.name;
            news.fault.get_or_insert_with(|| {
                format!("{name} was never found; put it beside booth.toml on the card")
            });
        }
    }
    is_lacking
}

/// Whether a connection could be tried with this set.
fn is_usable(hands: &Hands, places: &Places, good: &Good, set: &Set) -> Result<(), ConfigError> {
    let credentials = Credentials {
        set: Some(set),
        is_lacking: false,
    };
    let text = effective(good, &credentials, places, &places.prompts());
    let config = toml::from_str::<Config>(&text).map_err(ConfigFault::whole)?;
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

/// Why a credential beside `booth.toml` cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("{0} is no plain file name; put the file beside booth.toml and write its name alone")]
    Name(String),
    #[error("there are {} on the card: leave the right one and delete the other", .0.join(" and "))]
    Several(Vec<String>),
    #[error("{0} is one of the card's own files; give the credential another name")]
    OfTheCard(String),
    #[error("{0} is a folder; a file of that name is needed")]
    Folder(String),
    #[error("{0} is longer than {LONGEST_CREDENTIAL} bytes; is it the right file?")]
    TooLong(String),
    #[error("{file} cannot be read: {error}; copy it to the card again")]
    Unreadable {
        file: String,
        #[source]
        error: io::Error,
    },
    #[error("{file} {why}")]
    Password { file: String, why: String },
    #[error("{file} {error}")]
    Pem { file: String, error: pem::Unusable },
}

/// Finds a credential beside `booth.toml`: its name there and its content, without byte order mark and the like.
pub(super) fn take<'a>(
    disk: &dyn Disk,
    boot: &Path,
    listed: &'a [Listed],
    name: &str,
    role: Role,
) -> Result<Option<(&'a str, Vec<u8>)>, NotTaken> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
        return Err(NotTaken::Name(printable(name)));
    }
    let entry = match guise::named(listed, name)[..] {
        [] => return Ok(None),
        [one] => one,
        ref several => {
            let names = several.iter().map(|entry| printable(&entry.name));
            return Err(NotTaken::Several(names.collect()));
        }
    };
    let file = printable(&entry.name);
    if is_of_the_card(&entry.name) {
        return Err(NotTaken::OfTheCard(file));
    }
    if entry.is_folder {
        return Err(NotTaken::Folder(file));
    }
    let bytes = match read_whole(disk, &boot.join(&entry.name), LONGEST_CREDENTIAL) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(NotTaken::TooLong(file));
        }
        Err(error) => return Err(NotTaken::Unreadable { file, error }),
    };
    Ok(Some((&entry.name, content(&bytes, file, role)?)))
}

/// The credential in a file's bytes, if it is one of this kind.
fn content(bytes: &[u8], file: String, role: Role) -> Result<Vec<u8>, NotTaken> {
    let checked = match role {
        Role::Password => {
            let password = password::of(bytes);
            return password.map(String::into_bytes).map_err(|why| {
                let why = why.to_string();
                NotTaken::Password { file, why }
            });
        }
        Role::Key => pem::key_in(bytes, &file).map(drop),
        Role::Authority => pem::certificates_in(bytes, &file, Wanted::Authority).map(drop),
        Role::Certificate => pem::certificates_in(bytes, &file, Wanted::Certificate).map(drop),
    };
    match checked {
        Ok(()) => Ok(pem::cleaned(bytes).into_owned()),
        Err(error) => Err(NotTaken::Pem { file, error }),
    }
}

/// A file that the card does not let go.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} could not be removed from the card ({error}); the booth has its own copy: delete it with a laptop"
)]
pub(super) struct NotRemoved {
    file: String,
    #[source]
    error: io::Error,
}

pub(super) fn remove_from_fat(
    disk: &dyn Disk,
    boot: &Path,
    names: &BTreeSet<&str>,
) -> Result<(), NotRemoved> {
    let of = |name: &str| {
        let file = printable(name);
        |error| NotRemoved { file, error }
    };
    for name in names {
        remove_name(disk, &boot.join(name)).map_err(of(name))?;
    }
    match names.first() {
        Some(name) => disk.sync_folder(boot).map_err(of(name)),
        None => Ok(()),
    }
}
