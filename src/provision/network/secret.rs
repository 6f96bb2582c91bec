//! The secrets of networks: one record each in root's folder of secrets.
//!
//! Owns: what a record remembers of its secret, and when a secret may leave FAT. Never does: take a secret from FAT that was
//! not read back, or try a PIN more often than [`MOST_TRIES`] times in vain.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::guise::printable;
use super::super::keyfile::Numbered;
use super::super::secrets::{NotTaken, remove_from_fat, take};
use super::super::vault::Role;
use super::{NetworkSecret, Work};
use crate::config::{Config, SecretFault, SecretKind};
use booth_contract::hex;
use booth_host::config_file::{ConfigError, ConfigFault};
use booth_spool::disk::{Disk, Listed, publish, read_whole};

/// At how many boots a PIN is tried that has never connected; a boot that was cut short does not count.
pub(super) const MOST_TRIES: u32 = 2;
const LONGEST_RECORD: u64 = 64 * 1024;
/// The slot (file name) of the PIN's secret.
pub(super) const PIN: &str = "modem-pin";

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub number: u64,
    since: String,
    secret: String,
}

impl Held {
    pub(super) fn numbered(&self) -> Numbered<'_> {
        Numbered {
            number: self.number,
            secret: &self.secret,
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Record {
    schema: u32,
    pub newest: Held,
    pub has_connected: bool,
    /// At how many boots it had time to connect. The boot of `was_tried` is added only when the next boot begins.
    pub tries: u32,
    /// It had time to connect at this boot, or at the latest one.
    #[serde(default)]
    pub was_tried: bool,
    pub former: Option<Held>,
}

/// The slot of a network with this SSID.
pub(super) fn slot_of_wifi(ssid: &str) -> String {
    let hash = hex(&Sha256::digest(ssid.as_bytes()));
    format!("wifi-{}", &hash[..16])
}

impl Work<'_> {
    /// A secret as it is now, if the configuration names one, and its state for the outcome.
    pub(super) fn secret(
        &mut self,
        slot: &str,
        name: Option<&str>,
        kind: SecretKind,
    ) -> io::Result<(Option<Record>, Vec<NetworkSecret>)> {
        let Some(name) = name else {
            return Ok((None, Vec::new()));
        };
        self.slots.insert(slot.to_owned());
        let mut record = self.read(slot)?;
        let mut news = NetworkSecret {
            slot: slot.to_owned(),
            name: printable(name),
            since: None,
            number: 0,
            is_new: false,
            fault: None,
        };
        match taken(self.disk, &self.places.boot, self.listed, name, kind) {
            Ok(None) => {}
            Ok(Some((entry, secret))) => {
                news.is_new = self.take_over(slot, &mut record, secret, kind)?;
                self.let_go(slot, entry, record.as_mut())?;
            }
            Err(why) => news.fault = Some(why.to_string()),
        }
        let Some(mut known) = record else {
            news.fault.get_or_insert_with(|| {
                format!(
                    "{} was never found; put it beside booth.toml on the card",
                    printable(name)
                )
            });
            return Ok((None, vec![news]));
        };
        news.since = Some(known.newest.since.clone());
        news.number = known.newest.number;
        if kind == SecretKind::Pin && !self.may_try(slot, &mut known)? {
            news.fault.get_or_insert_with(|| {
                format!(
                    "the PIN is withheld: at {MOST_TRIES} boots it had a minute and did not connect, and a third wrong one can lock the SIM card. \
                     Put {} with the right PIN beside booth.toml once more to have it tried again",
                    printable(name)
                )
            });
            return Ok((None, vec![news]));
        }
        Ok((Some(known), vec![news]))
    }

    /// Keeps a secret from FAT if it is another one than the newest; true if it is.
    fn take_over(
        &self,
        slot: &str,
        record: &mut Option<Record>,
        secret: String,
        kind: SecretKind,
    ) -> io::Result<bool> {
        let known = record.as_ref();
        if known.is_some_and(|known| known.newest.secret == secret) {
            return Ok(false);
        }
        let next = self.succeed(record.take(), secret, kind);
        self.keep(slot, &next)?;
        *record = Some(next);
        Ok(true)
    }

    /// Removes a secret's file from FAT, now that the booth has it.
    fn let_go(&mut self, slot: &str, entry: &str, record: Option<&mut Record>) -> io::Result<()> {
        if self.places.is_volatile {
            // In RAM the secret would be lost with the power, so it stays on FAT.
            return Ok(());
        }
        let names = BTreeSet::from([entry]);
        if let Err(why) = remove_from_fat(self.disk, &self.places.boot, &names) {
            self.notes.push(why.to_string());
            return Ok(());
        }
        // Somebody has put the secret there once more: it has to be tried once more.
        let has_tried = |record: &&mut Record| record.tries > 0 || record.was_tried;
        if let Some(record) = record.filter(has_tried) {
            record.tries = 0;
            record.was_tried = false;
            self.keep(slot, record)?;
        }
        Ok(())
    }

    /// Whether a PIN may be tried at this boot; counts the try of the latest one.
    fn may_try(&self, slot: &str, pin: &mut Record) -> io::Result<bool> {
        if pin.has_connected {
            return Ok(true);
        }
        if pin.was_tried {
            pin.tries = pin.tries.saturating_add(1);
            pin.was_tried = false;
            self.keep(slot, pin)?;
        }
        Ok(pin.tries < MOST_TRIES)
    }

    fn succeed(&self, before: Option<Record>, secret: String, kind: SecretKind) -> Record {
        let number = before.as_ref().map_or(1, |before| before.newest.number + 1);
        let former = before.and_then(|before| match before.has_connected {
            true => Some(before.newest),
            false => before.former.or(Some(before.newest)),
        });
        Record {
            schema: 1,
            newest: Held {
                number,
                since: self.now.to_owned(),
                secret,
            },
            has_connected: false,
            tries: 0,
            was_tried: false,
            former: former.filter(|_| kind != SecretKind::Pin),
        }
    }

    fn read(&mut self, slot: &str) -> io::Result<Option<Record>> {
        let record = read(self.disk, &self.places.secrets, slot);
        match record {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.notes.push(format!(
                    "network/{slot}: {error}; put the file beside booth.toml once more"
                ));
                Ok(None)
            }
            other => other,
        }
    }

    /// Writes a secret; when this returns, it is durable and was read back.
    fn keep(&self, slot: &str, record: &Record) -> io::Result<()> {
        let place = &self.places.secrets;
        keep(self.disk, place, slot, record)?;
        if let Some(above) = place.parent() {
            self.disk.sync_folder(above)?;
        }
        let there = read(self.disk, place, slot)?;
        match there.is_some_and(|there| there.newest.secret == record.newest.secret) {
            true => Ok(()),
            false => Err(io::Error::other("what was written is not what is read")),
        }
    }
}

/// The passwords of the profiles to make: `None` for an open network, and no profile where a password is missing.
pub(super) fn passwords(record: Option<&Record>, is_open: bool) -> Vec<Option<Numbered<'_>>> {
    let Some(record) = record else {
        return if is_open { vec![None] } else { Vec::new() };
    };
    let held = std::iter::once(&record.newest).chain(&record.former);
    held.map(|held| Some(held.numbered())).collect()
}

pub(super) fn read(disk: &dyn Disk, secrets: &Path, slot: &str) -> io::Result<Option<Record>> {
    let path = secrets.join(format!("{slot}.json"));
    match read_whole(disk, &path, LONGEST_RECORD) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
            // The parser's own message could repeat a secret.
            io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn keep(disk: &dyn Disk, secrets: &Path, slot: &str, record: &Record) -> io::Result<()> {
    disk.make_folder(secrets)?;
    let bytes = serde_json::to_vec(record).map_err(io::Error::other)?;
    publish(disk, secrets, &format!("{slot}.json"), &bytes)
}

/// Why a secret of `[network]` beside `booth.toml` cannot be taken.
#[derive(Debug, thiserror::Error)]
enum NoSecret {
    #[error(transparent)]
    File(#[from] NotTaken),
    #[error("{0} is no text")]
    NoText(String),
    #[error("{file} {fault}")]
    Wrong {
        file: String,
        #[source]
        fault: SecretFault,
    },
}

/// A secret beside `booth.toml`: its file's name there and its content; or what is wrong with it.
fn taken<'a>(
    disk: &dyn Disk,
    boot: &Path,
    listed: &'a [Listed],
    name: &str,
    kind: SecretKind,
) -> Result<Option<(&'a str, String)>, NoSecret> {
    let Some((entry, bytes)) = take(disk, boot, listed, name, Role::Password)? else {
        return Ok(None);
    };
    let file = printable(entry);
    let Ok(secret) = String::from_utf8(bytes) else {
        return Err(NoSecret::NoText(file));
    };
    match kind.check(&secret) {
        Ok(()) => Ok(Some((entry, secret))),
        Err(fault) => Err(NoSecret::Wrong { file, fault }),
    }
}

/// Checks those files of `[network]` that lie in this folder; `check-config` does so before they are on a card.
pub(in crate::provision) fn check_beside(
    disk: &dyn Disk,
    config: &Config,
    beside: &Path,
) -> Result<(), ConfigError> {
    let listed = disk.list(beside).unwrap_or_default();
    let secrets = config.network.secrets().into_iter();
    let faults: Vec<ConfigFault> = secrets
        .filter_map(|(name, kind)| taken(disk, beside, &listed, name, kind).err())
        .map(|why| ConfigFault::that("[network]", why))
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(ConfigError(faults)),
    }
}
