//! `[network]` of a good configuration: its secrets on the booth's own partition, and the profiles that are made of both.
//!
//! Owns: the folder of secrets, which is root's alone, one file per secret: `DATA/network` or another (in the image, where
//! DATA is the gateway's). Never does: take a secret from FAT that was not read back, or remove the password that has
//! connected because a new one is there.
//!
//! ```text
//! SECRETS/wifi-<hash of the SSID>.json, modem-password.json, modem-pin.json   the newest secret, and the one before it
//! SECRETS/networks   which profiles were made of which secrets: what root believes of it, for `outcome.json` is the gateway's
//! ```
//!
//! While a new password has not connected there are two profiles, the newest preferred; NetworkManager reports which one is
//! connected ([`confirm`]). A power cut leaves the old file or the new one. A PIN has no second profile: a SIM card allows
//! three wrong ones. So until a PIN has connected it is in one profile only, and after [`secret::MOST_TRIES`] boots that lasted long
//! enough to try it ([`confirm`] notes that) it is withheld.

mod secret;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::guise::printable;
use super::keyfile::{self, ENDS, Keyfile, OURS, Retries};
use super::{LONGEST_OUTCOME, Places, ProvisionError, at, replace};
use crate::config::{Modem, Network, SecretKind, Wifi};
use booth_spool::disk::{Disk, Listed, read_whole};
pub(super) use secret::check_beside;
use secret::{PIN, keep, passwords, read};

/// The list of what was set up, in the folder of secrets. Its name has no `.json`, because each file with that ending is a
/// secret.
const LIST: &str = "networks";

/// A kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Ethernet.
    Wired,
    /// Wi-Fi.
    Wifi,
    /// The mobile modem.
    Modem,
}

/// The state of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionNews {
    /// Its kind.
    pub way: Way,
    /// SSID or access point; the fixed address of the wired network, empty with DHCP.
    pub name: String,
    /// UUIDs of its profiles: the newest secrets', then the former ones'. None if it lacks a secret.
    pub profiles: Vec<String>,
    /// Its secrets.
    pub secrets: Vec<NetworkSecret>,
}

impl ConnectionNews {
    fn new(way: Way, name: String, made: &[Keyfile], secrets: Vec<NetworkSecret>) -> Self {
        Self {
            way,
            name,
            profiles: made.iter().map(|file| file.uuid.clone()).collect(),
            secrets,
        }
    }
}

/// The state of a network's secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSecret {
    /// Its file in the folder of secrets, without ending.
    pub slot: String,
    /// Its name in `booth.toml`.
    pub name: String,
    /// Kept since then, RFC 3339; `None` if the booth has none.
    pub since: Option<String>,
    /// The number that distinguishes it from an earlier one.
    pub number: u64,
    /// It came with this boot.
    pub is_new: bool,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// A connection as root has made it. `Outcome` shows the same to people, but lies where the gateway can change it. With it,
/// an intruder in the gateway could confirm a password that never connected, so that the former one is removed, or a wrong
/// PIN, so that it is tried until the SIM card is locked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    way: Way,
    /// The same as in [`ConnectionNews`].
    profiles: Vec<String>,
    /// Slot and number of each of its secrets.
    secrets: Vec<(String, u64)>,
}

impl Made {
    fn of(news: &ConnectionNews) -> Self {
        let secrets = news.secrets.iter();
        Self {
            way: news.way,
            profiles: news.profiles.clone(),
            secrets: secrets
                .map(|secret| (secret.slot.clone(), secret.number))
                .collect(),
        }
    }
}

/// What the latest provisioning has set up. Empty if no provisioning of this version has run yet: then nothing is confirmed
/// until the next one.
pub(super) fn made_here(disk: &dyn Disk, secrets: &Path) -> io::Result<Vec<Made>> {
    match read_whole(disk, &secrets.join(LIST), LONGEST_OUTCOME) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether a file name is that of a secret's slot. It is checked because `DATA/network` is used where no other folder is
/// named, and DATA may be the gateway's.
fn is_slot(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain)
}

/// The making of all connections.
struct Work<'a> {
    disk: &'a dyn Disk,
    places: &'a Places,
    listed: &'a [Listed],
    now: &'a str,
    notes: &'a mut Vec<String>,
    /// The slots of the secrets that the configuration names.
    slots: BTreeSet<String>,
}

/// Makes the profiles of a configuration's networks and writes them to `keyfiles`. An error means that the booth's own
/// partition failed; what the folder of profiles refuses is a note.
pub(super) fn set_up(
    disk: &dyn Disk,
    places: &Places,
    network: Option<&Network>,
    listed: &[Listed],
    now: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<ConnectionNews>, ProvisionError> {
    let default = Network::default();
    let Some(keyfiles) = &places.network else {
        let asks = network.is_some_and(|network| {
            !network.wifi.is_empty() || network.modem.is_some() || network.wired.address.is_some()
        });
        if asks {
            notes.push(
                "[network] of booth.toml is not used: this booth's image does not set up networks."
                    .into(),
            );
        }
        return Ok(Vec::new());
    };
    let mut work = Work {
        disk,
        places,
        listed,
        now,
        notes,
        slots: BTreeSet::new(),
    };
    let place = places.secrets.clone();
    let (news, files) = work
        .connections(network.unwrap_or(&default))
        .map_err(at("writing", &place))?;
    if network.is_some() {
        work.forget_others().map_err(at("tidying", &place))?;
        let country = network.and_then(Network::known_country);
        work.note_country(country).map_err(at("writing", &place))?;
    }
    if let Err(error) = write_keyfiles(disk, keyfiles, &files) {
        notes.push(format!(
            "The networks could not be set up ({error}); a wired network with DHCP works all the same. Write the image to the card again."
        ));
    }
    // The list comes last: the profiles work without it.
    let made: Vec<Made> = news.iter().map(Made::of).collect();
    let list = place.join(LIST);
    let bytes = serde_json::to_vec(&made).unwrap_or_default();
    replace(disk, &list, &bytes).map_err(at("writing", &list))?;
    Ok(news)
}

/// Makes the profiles of a configuration from the secrets that the booth has, where provisioning has ended before it came to
/// the networks. FAT is not read. Without the modem where its PIN's tries cannot be counted.
pub(super) fn set_up_as_before(
    disk: &dyn Disk,
    places: &Places,
    network: &Network,
) -> io::Result<()> {
    let Some(keyfiles) = &places.network else {
        return Ok(());
    };
    let mut work = Work {
        disk,
        places,
        listed: &[],
        now: "",
        notes: &mut Vec::new(),
        slots: BTreeSet::new(),
    };
    let made = work.connections(network).or_else(|_| {
        let without = Network {
            modem: None,
            ..network.clone()
        };
        work.connections(&without)
    });
    write_keyfiles(disk, keyfiles, &made?.1)
}

fn write_keyfiles(disk: &dyn Disk, folder: &Path, files: &[Keyfile]) -> io::Result<()> {
    for file in files {
        replace(disk, &folder.join(&file.name), file.text.as_bytes())?;
    }
    for entry in disk.list(folder)? {
        let is_ours = entry.name.starts_with(OURS) && entry.name.ends_with(ENDS);
        if is_ours && !files.iter().any(|file| file.name == entry.name) {
            disk.unlink(&folder.join(&entry.name))?;
        }
    }
    Ok(())
}

impl Work<'_> {
    fn connections(
        &mut self,
        network: &Network,
    ) -> io::Result<(Vec<ConnectionNews>, Vec<Keyfile>)> {
        let wired = keyfile::wired(&network.wired);
        let name = network.wired.address.clone().unwrap_or_default();
        let mut news = vec![ConnectionNews::new(
            Way::Wired,
            name,
            std::slice::from_ref(&wired),
            Vec::new(),
        )];
        let mut files = vec![wired];
        for (place, wifi) in network.wifi.iter().enumerate() {
            let (connection, made) = self.wifi(place, wifi)?;
            news.push(connection);
            files.extend(made);
        }
        if let Some(modem) = &network.modem {
            let (connection, made) = self.modem(modem)?;
            news.push(connection);
            files.extend(made);
        }
        Ok((news, files))
    }

    /// The profiles of a Wi-Fi network, whose `place` in the file says how much it is preferred.
    fn wifi(&mut self, place: usize, wifi: &Wifi) -> io::Result<(ConnectionNews, Vec<Keyfile>)> {
        let kind = SecretKind::WifiPassword;
        let slot = secret::slot_of_wifi(&wifi.ssid);
        let (record, secrets) = self.secret(&slot, wifi.password_file.as_deref(), kind)?;
        let is_open = wifi.password_file.is_none();
        let passwords = passwords(record.as_ref(), is_open);
        let made = passwords
            .iter()
            .enumerate()
            .map(|(rank, password)| keyfile::wifi(wifi, place, *password, rank, passwords.len()));
        let made: Vec<Keyfile> = made.collect();
        let name = printable(&wifi.ssid);
        let news = ConnectionNews::new(Way::Wifi, name, &made, secrets);
        Ok((news, made))
    }

    fn modem(&mut self, modem: &Modem) -> io::Result<(ConnectionNews, Vec<Keyfile>)> {
        let kind = SecretKind::ModemPassword;
        let password = modem.password_file.as_deref();
        let (record, mut secrets) = self.secret("modem-password", password, kind)?;
        let (pin, pins) = self.secret(PIN, modem.pin_file.as_deref(), SecretKind::Pin)?;
        secrets.extend(pins);
        // A SIM card does not work without its PIN; an operator may do without the password.
        let lacks_pin = modem.pin_file.is_some() && pin.is_none();
        let mut passwords = match lacks_pin {
            true => Vec::new(),
            false => passwords(record.as_ref(), password.is_none()),
        };
        let retries = match &pin {
            // A second profile would try the same PIN once more.
            Some(pin) if !pin.has_connected => {
                passwords.truncate(1);
                Retries::Once
            }
            _ => Retries::among(passwords.len()),
        };
        let pin = pin.as_ref().map(|pin| pin.newest.numbered());
        let made = passwords
            .iter()
            .enumerate()
            .map(|(rank, password)| keyfile::modem(modem, *password, pin, rank, retries));
        let made: Vec<Keyfile> = made.collect();
        let name = modem.apn.clone().unwrap_or_default();
        let news = ConnectionNews::new(Way::Modem, name, &made, secrets);
        Ok((news, made))
    }

    /// Removes secrets that no configuration names any more.
    fn forget_others(&self) -> io::Result<()> {
        let place = self.places.secrets.clone();
        let listed = match self.disk.list(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        for entry in listed {
            let slot = entry.name.strip_suffix(".json");
            if slot.is_some_and(|slot| !self.slots.contains(slot)) {
                self.disk.unlink(&place.join(&entry.name))?;
            }
        }
        Ok(())
    }

    /// Writes the file `country`, for `booth-wifi-country.service`.
    fn note_country(&self, country: Option<&str>) -> io::Result<()> {
        let path = self.places.secrets.join("country");
        match country {
            Some(country) => replace(self.disk, &path, format!("{country}\n").as_bytes()),
            None => super::remove(self.disk, &path),
        }
    }
}

/// Whether NetworkManager has to be asked for another try: no Wi-Fi network is connected. Never where the modem has a PIN,
/// because the same means would also let a refused PIN be tried again.
pub(super) fn wants_a_new_try(made: &[Made], is_connected: impl Fn(&str) -> bool) -> bool {
    let mut wifi = made
        .iter()
        .filter(|connection| connection.way == Way::Wifi)
        .flat_map(|connection| &connection.profiles)
        .peekable();
    let mut secrets = made.iter().flat_map(|connection| &connection.secrets);
    wifi.peek().is_some()
        && !wifi.any(|uuid| is_connected(uuid))
        && !secrets.any(|(slot, _)| slot == PIN)
}

/// Notes in the folder of secrets which secrets have connected, according to the profiles that are connected now. If the
/// boot has lasted long enough (`had_time`), it also notes which PIN was tried without success. Nothing is written if all
/// that is known, or if this version has set up nothing yet. Which secrets a profile was made of is read from that folder,
/// too, and from nowhere else.
pub fn confirm(
    disk: &dyn Disk,
    secrets: &Path,
    is_connected: impl Fn(&str) -> bool,
    had_time: bool,
) -> io::Result<()> {
    for connection in made_here(disk, secrets)? {
        let Some(newest) = connection.profiles.first() else {
            continue;
        };
        let is_connected = is_connected(newest);
        let has_tried = had_time && connection.way == Way::Modem;
        if !(is_connected || has_tried) {
            continue;
        }
        let slots = connection.secrets.iter().filter(|(slot, _)| is_slot(slot));
        for (slot, number) in slots {
            let Some(mut record) = read(disk, secrets, slot)? else {
                continue;
            };
            if !is_connected {
                let is_on_trial = slot == PIN && !record.has_connected;
                if is_on_trial && record.newest.number == *number && !record.was_tried {
                    record.was_tried = true;
                    keep(disk, secrets, slot, &record)?;
                }
                continue;
            }
            let is_known = record.has_connected && record.former.is_none();
            if record.newest.number == *number && !is_known {
                record.has_connected = true;
                record.former = None;
                record.tries = 0;
                record.was_tried = false;
                keep(disk, secrets, slot, &record)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(way: Way, uuid: &str, slot: &str) -> Made {
        Made {
            way,
            profiles: vec![uuid.into()],
            secrets: vec![(slot.into(), 1)],
        }
    }

    #[test]
    fn wifi_is_tried_again_only_where_none_is_connected_and_no_pin_could_be_tried_with_it() {
        let mut all = vec![
            connection(Way::Wired, "wired", "x"),
            connection(Way::Wifi, "one", "wifi-1"),
            connection(Way::Wifi, "two", "wifi-2"),
        ];
        assert!(wants_a_new_try(&all, |uuid| uuid == "wired"));
        assert!(!wants_a_new_try(&all, |uuid| uuid == "two"));
        assert!(!wants_a_new_try(&all[..1], |_| false));
        all.push(connection(Way::Modem, "modem", "modem-password"));
        assert!(wants_a_new_try(&all, |_| false));
        all.push(connection(Way::Modem, "modem", PIN));
        assert!(!wants_a_new_try(&all, |_| false));
    }
}
