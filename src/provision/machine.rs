//! Provisioning on this machine: real partitions, their owner, and the file that a laptop shows.
//!
//! Owns: what is read of the machine for `BOOTH-STATUS.TXT`, the writing of it, and who may read what provisioning made.
//! Never does: write the status when it says nothing new; the gateway itself never writes to FAT.
#![allow(clippy::disallowed_methods)] // reads os-release and looks at clip files

use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::network;
use super::status::{self, Facts};
use super::{Hands, LONGEST_OUTCOME, Outcome, Places, ProvisionError, at, outcome_of, provision};
use crate::adapters::disk::RealDisk;
use crate::adapters::{clock, line_server, sensors};
use crate::config::{Config, ConfigError};
use crate::doctor;
use crate::run;
use crate::spool::disk::{Disk, publish, read_whole};

/// On FAT.
const STATUS: &str = "BOOTH-STATUS.TXT";
/// Where NetworkManager notes what each interface is connected with, a file per interface number.
const NETWORK_MANAGER: &str = "/run/NetworkManager/devices";
const INTERFACES: &str = "/sys/class/net";

/// Provisions this machine, as root before the gateway starts, and says on FAT what came of it.
pub fn provision_here(places: &Places) -> Result<Outcome, ProvisionError> {
    let disk = RealDisk::new();
    let hands = Hands {
        disk: &disk,
        usable: &run::check_connection,
    };
    let outcome = provision(&hands, places, clock::wall()).inspect_err(|error| {
        let text = status::refusal(&error.to_string(), clock::wall());
        if let Err(error) = publish_news(&disk, places, &text) {
            log::warn!("{STATUS}: {error}");
        }
    })?;
    let mut made = vec![places.kept(), places.credentials()];
    made.extend([places.config.clone(), places.faults()]);
    for path in made {
        give(&path, &places.data).map_err(at("giving away", &path))?;
    }
    if let Err(error) = publish_news(
        &disk,
        places,
        &status::render(&facts(outcome.clone(), None)),
    ) {
        log::warn!("{STATUS}: {error}");
    }
    Ok(outcome)
}

/// Writes what a running gateway says to FAT, if that is news; true if it was written.
pub fn refresh_status(places: &Places) -> io::Result<bool> {
    let disk = RealDisk::new();
    let outcome = outcome_of(&disk, places).ok_or_else(|| {
        io::Error::other(
            "nothing has been provisioned yet; run `booth-gateway provision` without --status",
        )
    })?;
    let connected = connected(Path::new(NETWORK_MANAGER), Path::new(INTERFACES));
    let is_connected = |uuid: &str| connected.iter().any(|(other, _)| other == uuid);
    if let Err(error) = network::confirm(&disk, &places.data, &outcome.networks, is_connected) {
        log::warn!("which password of a network has connected could not be noted: {error}");
    }
    publish_news(
        &disk,
        places,
        &status::render(&facts(outcome, Some(connected))),
    )
}

/// Looks at those files of `[network]` that lie beside a configuration before it is on a card: passwords and PIN.
pub fn check_beside(config: &Config, file: &Path) -> Result<(), ConfigError> {
    let beside = file
        .parent()
        .filter(|beside| !beside.as_os_str().is_empty());
    network::check_beside(&RealDisk::new(), config, beside.unwrap_or(Path::new(".")))
}

/// The profiles that are connected, by their UUIDs, and their interfaces' names: NetworkManager notes them by interface
/// number. None where there is no NetworkManager.
fn connected(notes: &Path, interfaces: &Path) -> Vec<(String, String)> {
    let name_of = |number: &str| {
        let entries = std::fs::read_dir(interfaces)
            .into_iter()
            .flatten()
            .flatten();
        let mut same = entries.filter(|entry| {
            let own = std::fs::read_to_string(entry.path().join("ifindex"));
            own.is_ok_and(|own| own.trim() == number)
        });
        same.next()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    let entries = std::fs::read_dir(notes).into_iter().flatten().flatten();
    let mut connected: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let text = std::fs::read_to_string(entry.path()).ok()?;
            let uuid = text
                .lines()
                .find_map(|line| line.strip_prefix("connection-uuid="))?;
            // Its file outlives an interface that was pulled out.
            let name = name_of(&entry.file_name().to_string_lossy())?;
            Some((uuid.to_owned(), name))
        })
        .collect();
    connected.sort();
    connected
}

fn publish_news(disk: &dyn Disk, places: &Places, text: &str) -> io::Result<bool> {
    let before = read_whole(disk, &places.boot.join(STATUS), LONGEST_OUTCOME).unwrap_or_default();
    if status::is_same(&String::from_utf8_lossy(&before), text) {
        return Ok(false);
    }
    publish(disk, &places.boot, STATUS, text.as_bytes()).inspect_err(|_| {
        // On a full card, half a file helps nobody.
        let _ = disk.unlink(&places.boot.join(format!("{STATUS}.tmp")));
    })?;
    Ok(true)
}

/// With what is connected, if the running system is to be asked.
fn facts(outcome: Outcome, connected: Option<Vec<(String, String)>>) -> Facts {
    let gateway = connected
        .is_some()
        .then(|| line_server::ask(&outcome.socket, doctor::QUESTION).ok())
        .flatten()
        .and_then(|answer| serde_json::from_str(&answer).ok());
    let (clips, oldest) = clips_in(&outcome.spool.join("clips"));
    Facts {
        gateway,
        ip: sensors::ip(),
        connected,
        sw_version: env!("CARGO_PKG_VERSION").into(),
        image_id: image_id(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        card_id: card_id(&outcome.spool),
        clips,
        oldest,
        clock_synced: clock::clock_synced(),
        now: clock::wall(),
        outcome,
    }
}

/// os-release(5): which image this is, where it says so.
fn image_id(text: &str) -> Option<String> {
    let value = |key: &str| {
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map(|value| value.trim_matches(['"', '\'']).to_owned())
    };
    let id = value("IMAGE_ID")?;
    Some(match value("IMAGE_VERSION") {
        Some(version) => format!("{id} {version}"),
        None => id,
    })
}

fn card_id(spool: &Path) -> Option<String> {
    let bytes = read_whole(&RealDisk::new(), &spool.join("card.json"), 64 * 1024).ok()?;
    let card: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(card.get("card_id")?.as_str()?.to_owned())
}

/// How many clips wait in a spool that nobody has opened yet, and since when.
fn clips_in(folder: &Path) -> (u64, Option<Timestamp>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let clips = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "clip"));
    clips.fold((0, None), |(count, oldest), entry| {
        let written = entry.metadata().and_then(|facts| facts.modified()).ok();
        let written = written.and_then(|at| Timestamp::try_from(at).ok());
        (count + 1, oldest.into_iter().chain(written).min())
    })
}

/// Gives a file or folder and what is in it to the owner of `data`, who runs the gateway. Links are not followed.
fn give(path: &Path, data: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(data)?;
    let mut left: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let facts = match std::fs::symlink_metadata(&path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if (facts.uid(), facts.gid()) != (owner.uid(), owner.gid()) {
            lchown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        if facts.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_networkmanager_has_connected_is_told_with_its_interface() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let put = |name: &str, text: &str| {
            let path = at(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        put("net/wlan0/ifindex", "3\n");
        put("net/eth0/ifindex", "2\n");
        put(
            "nm/3",
            "# private\n\n[device]\nmanaged=managed\nconnection-uuid=a-b\n",
        );
        put("nm/2", "[device]\nmanaged=managed\n");
        put("nm/9", "[device]\nconnection-uuid=c\n");
        let told = connected(&at("nm"), &at("net"));
        assert_eq!(told, [("a-b".to_owned(), "wlan0".to_owned())]);
        assert!(connected(&at("nothing"), &at("net")).is_empty());
    }

    #[test]
    fn an_image_that_says_what_it_is_is_named() {
        let text = "ID=debian\nIMAGE_ID=\"booth-gateway\"\nIMAGE_VERSION='0.1.0'\n";
        assert_eq!(image_id(text).as_deref(), Some("booth-gateway 0.1.0"));
        assert_eq!(image_id("ID=debian\n"), None);
    }
}
