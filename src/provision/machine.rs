//! Provisioning on this machine: real partitions, their owner, and the status file for a laptop.
//!
//! Owns: what is read from the machine for `BOOTH-STATUS.TXT`, the writing of that file, and who may read what provisioning
//! made. Never does: write the status without news; the gateway itself never writes to FAT.
#![allow(clippy::disallowed_methods)] // looks at clip files and NetworkManager's notes, and waits for its agent

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;

use super::network;
use super::prompts;
use super::status::{self, Facts};
use super::strangers;
use super::{
    Hands, LONGEST_OUTCOME, Outcome, Places, ProvisionError, at, go_on, keep_outcome, outcome_of,
    provision, replace,
};
use crate::adapters::prompts::Prompts;
use crate::adapters::prompts::folder::Weight;
use crate::adapters::screen::lacking;
use crate::adapters::sensors;
use crate::adapters::sensors::Sensors;
use crate::config::{Config, Question};
use crate::settings;
use crate::status::QUESTION;
use booth_host::config_file::ConfigError;
use booth_host::{clock, line_server};
use booth_spool::Card;
use booth_spool::disk::{Disk, publish, read_whole};
use booth_spool::real_disk::RealDisk;
use gateway_core::partition::{MOVED_ASIDE, Partition};

/// The file that the booth writes for a laptop, on FAT beside `booth.toml`.
pub const STATUS: &str = "BOOTH-STATUS.TXT";
/// Where NetworkManager notes the connection of each interface, in a file per interface number.
const NETWORK_MANAGER: &str = "/run/NetworkManager/devices";
const INTERFACES: &str = "/sys/class/net";

/// How long after a boot a modem has had enough time to connect, milliseconds.
const TIME_TO_CONNECT_MS: u64 = 60_000;
/// How long an agent for secrets has to stay so that NetworkManager notices it.
const AGENT_STAYS: Duration = Duration::from_secs(3);
/// How many levels of folders, with their contents, are given to the gateway; provisioning makes three.
const LEVELS_GIVEN: usize = 8;

/// Provisions this machine, as root before the gateway starts, and writes the result on FAT. If the booth's own partition
/// refuses, everything is made in `without_data` instead, a folder in RAM.
pub fn provision_here(
    places: &Places,
    without_data: Option<&Path>,
) -> Result<Outcome, ProvisionError> {
    let disk = RealDisk::guarding(&places.data);
    let hands = Hands {
        disk: &disk,
        usable: &settings::check_connection,
        give: &|path| strangers::give(path, &places.spool, LEVELS_GIVEN),
    };
    let way = make_way(places).inspect_err(|_| go_on(&hands, places));
    let made = way.and_then(|moved| {
        if let Err(error) = note_moved_aside(&disk, places) {
            log::warn!("what was moved aside on this card could not be noted: {error}");
        }
        let mut outcome = provision(&hands, places, clock::wall())?;
        report_moved(&disk, places, &mut outcome, moved)?;
        Ok(outcome)
    });
    // A configuration that exists stays in use, however old it is.
    let instead = without_data.filter(|_| !places.config.exists());
    let made = match (made, instead) {
        (Err(error), Some(folder)) => {
            log::error!("{error}; the configuration is made in RAM");
            let places = places.clone().without_data(folder);
            let disk = RealDisk::guarding(&places.data);
            in_ram(
                &Hands {
                    disk: &disk,
                    ..hands
                },
                places,
                &error,
            )
        }
        (made, _) => made.map(|outcome| (outcome, places.clone())),
    };
    let given = made.and_then(|(outcome, places)| {
        hands.give_all(&places)?;
        Ok((outcome, places))
    });
    let (outcome, places) = given.inspect_err(|error| {
        let text = status::refusal(&error.to_string(), clock::wall());
        if let Err(error) = publish_news(&disk, places, &text) {
            log::warn!("{STATUS}: {error}");
        }
    })?;
    let places = &places;
    if let Err(error) = publish_news(
        &disk,
        places,
        &status::render(&facts(places, outcome.clone(), None)),
    ) {
        log::warn!("{STATUS}: {error}");
    }
    Ok(outcome)
}

/// Provisions into RAM after the booth's own partition has refused; `refused` says why.
fn in_ram(
    hands: &Hands,
    places: Places,
    refused: &ProvisionError,
) -> Result<(Outcome, Places), ProvisionError> {
    let disk = hands.disk;
    let making = at("making", &places.data);
    disk.make_folder(&places.data).map_err(making)?;
    let moved = make_way(&places)?;
    let mut outcome = provision(hands, &places, clock::wall())?;
    outcome.refused = Some(refused.to_string());
    keep_outcome(disk, &places, &outcome)?;
    report_moved(disk, &places, &mut outcome, moved)?;
    let giving = at("giving away", &places.data);
    strangers::give(&places.data, &places.spool, 0).map_err(giving)?;
    Ok((outcome, places))
}

/// The gateway owns DATA: what lies there in provisioning's way, and is not of provisioning's kind, is moved aside and
/// reported.
fn make_way(places: &Places) -> Result<Vec<String>, ProvisionError> {
    let mut folders = vec![("config", 1), ("credentials", 2), (prompts::FOLDER, 2)];
    if places.secrets.parent() == Some(&places.data) {
        folders.push(("network", 1));
    }
    strangers::move_aside(&places.data, &folders).map_err(at("making way in", &places.data))
}

/// Adds what was moved aside to the notes.
fn report_moved(
    disk: &dyn Disk,
    places: &Places,
    outcome: &mut Outcome,
    moved: Vec<String>,
) -> Result<(), ProvisionError> {
    if moved.is_empty() {
        return Ok(());
    }
    outcome
        .notes
        .extend(moved.into_iter().map(|what| format!("{what}.")));
    keep_outcome(disk, places, outcome)
}

/// A new data partition that lies beside one beyond repair does not know of the old one; this writes a note about it onto
/// the new one.
fn note_moved_aside(disk: &dyn Disk, places: &Places) -> io::Result<()> {
    let note = places.kept().join(MOVED_ASIDE);
    let Some(Partition::MovedAside(reason)) = Sensors::default().partition(Path::new("")) else {
        return Ok(());
    };
    let before = read_whole(disk, &note, LONGEST_OUTCOME).unwrap_or_default();
    let mut text = String::from_utf8_lossy(&before).into_owned();
    if !text.contains(&reason) {
        text = format!("{reason}\n{text}");
    }
    replace(disk, &note, text.as_bytes())
}

/// Writes the running gateway's status to FAT, if it is news; true if it was written.
pub fn refresh_status(places: &Places, without_data: Option<&Path>) -> io::Result<bool> {
    // Uses what was made at this boot: in RAM there is something only if the booth's own partition refused.
    let (usual, in_ram) = (
        places,
        without_data.map(|folder| places.clone().without_data(folder)),
    );
    let places = match &in_ram {
        Some(in_ram) if outcome_of(&RealDisk::guarding(&in_ram.data), in_ram).is_some() => in_ram,
        _ => places,
    };
    let disk = RealDisk::guarding(&places.data);
    let outcome = outcome_of(&disk, places).ok_or_else(|| {
        io::Error::other(
            "nothing has been provisioned yet; run `booth-gateway provision` without --status",
        )
    })?;
    let connected = connected(Path::new(NETWORK_MANAGER), Path::new(INTERFACES));
    look_after_networks(usual, in_ram.as_ref(), &connected);
    publish_news(
        &disk,
        places,
        &status::render(&facts(places, outcome, Some(connected))),
    )
}

/// Lets Wi-Fi be tried again and notes which secrets have connected. An intruder in the gateway can write the outcome, so
/// the outcome is shown to people and used for nothing else: what root does for the networks follows from what lies in
/// root's own folder.
fn look_after_networks(usual: &Places, in_ram: Option<&Places>, connected: &[(String, String)]) {
    let disk = RealDisk::guarding(&usual.data);
    let made = |places: &Places| {
        let made = network::made_here(&disk, &places.secrets);
        made.unwrap_or_else(|error| {
            log::warn!("which networks were set up cannot be read: {error}");
            Vec::new()
        })
    };
    let made_in_ram = in_ram.map(made).unwrap_or_default();
    let is_in_ram = !made_in_ram.is_empty();
    let made = match is_in_ram {
        true => made_in_ram,
        false => made(usual),
    };
    let is_connected = |uuid: &str| connected.iter().any(|(other, _)| other == uuid);
    let had_time = clock::mono().0 >= TIME_TO_CONNECT_MS;
    if had_time
        && network::wants_a_new_try(&made, is_connected)
        && let Err(error) = let_try_again()
    {
        log::warn!("NetworkManager could not be asked to try Wi-Fi again: {error}");
    }
    // In RAM the note would be lost with the power.
    if !is_in_ram
        && let Err(error) = network::confirm(&disk, &usual.secrets, is_connected, had_time)
    {
        log::warn!("which password of a network has connected could not be noted: {error}");
    }
}

/// Makes NetworkManager try Wi-Fi again. A network whose handshake has failed, for example because its router was just
/// starting, counts for NetworkManager as one with an unknown password, and is left alone until an agent for secrets appears
/// that could know it. The agent that is started here stays for a moment and knows no PIN, which is enough.
fn let_try_again() -> io::Result<()> {
    let mut agent = Command::new("nmcli")
        .args(["agent", "secret"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    std::thread::sleep(AGENT_STAYS);
    agent.kill()?;
    agent.wait().map(drop)
}

/// Checks those files of `[network]` that lie beside a configuration which is not on a card yet: passwords and PIN.
pub fn check_beside(config: &Config, file: &Path) -> Result<(), ConfigError> {
    let beside = file
        .parent()
        .filter(|beside| !beside.as_os_str().is_empty());
    network::check_beside(&RealDisk::new(), config, beside.unwrap_or(Path::new(".")))
}

/// The prompt files, in the configuration's folder and beside the configuration, that would not be used; in the booth's own
/// sentences.
pub fn unused_prompts(config: &Config, file: &Path) -> Vec<String> {
    let questions = config.questions.iter();
    let questions: Vec<String> = questions.flat_map(Question::prompt_names).collect();
    let session = &config.session;
    let (loaded, unused) = Prompts::load(&session.prompts, &session.language, &questions);
    let unused = unused
        .iter()
        .filter(|file| file.weight != Weight::Elsewhere);
    let mut sentences: Vec<String> = unused.map(ToString::to_string).collect();
    if config.screen.enabled {
        sentences.extend(lacking(&loaded.without_text()));
    }
    let beside = file.parent().unwrap_or(Path::new(""));
    // Only where the folder of prompts is in the configuration's folder can files lie beside it.
    if session.prompts.parent() == Some(beside) {
        let listed = RealDisk::new().list(beside).unwrap_or_default();
        let named = session.prompts.file_name().unwrap_or_default();
        let names = Prompts::names(&questions);
        sentences.extend(prompts::beside(&listed, Path::new(named), &names));
    }
    sentences
}

/// The profiles that are connected, by their UUIDs, and their interfaces' names: NetworkManager notes by interface number
/// which profile was connected last, and the kernel knows whether the interface has a carrier. None where there is no
/// NetworkManager.
fn connected(notes: &Path, interfaces: &Path) -> Vec<(String, String)> {
    let name_of = |number: &str| {
        let entries = std::fs::read_dir(interfaces)
            .into_iter()
            .flatten()
            .flatten();
        let mut same = entries.filter(|entry| {
            let says = |name: &str, wanted: &str| {
                let own = std::fs::read_to_string(entry.path().join(name));
                own.is_ok_and(|own| own.trim() == wanted)
            };
            says("ifindex", number) && says("carrier", "1")
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
            // The note of an interface outlives the interface when that is pulled out.
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
        // On a full card a half-written file is of no use.
        let _ = disk.unlink(&places.boot.join(format!("{STATUS}.tmp")));
    })?;
    Ok(true)
}

/// The facts for the status file; with what is connected, if that was asked.
fn facts(places: &Places, outcome: Outcome, connected: Option<Vec<(String, String)>>) -> Facts {
    let gateway = connected
        .is_some()
        .then(|| line_server::ask(&outcome.socket, QUESTION).ok())
        .flatten()
        .and_then(|answer| serde_json::from_str(&answer).ok());
    let (clips, oldest) = clips_in(&outcome.spool.join("clips"));
    let note = places.kept().join(MOVED_ASIDE);
    Facts {
        partition: Sensors::default().partition(&note),
        gateway,
        ip: sensors::ip(),
        connected,
        sw_version: env!("CARGO_PKG_VERSION").into(),
        image: Sensors::default().image(),
        card_id: card_id(&outcome.spool),
        clips,
        oldest,
        clock_synced: clock::clock_synced(),
        now: clock::wall(),
        outcome,
    }
}

fn card_id(spool: &Path) -> Option<String> {
    let card = Card::identity(&RealDisk::guarding(spool), spool).ok()??;
    Some(card.card_id.to_string())
}

/// How many clips wait in a spool that has not been opened yet, and since when.
fn clips_in(folder: &Path) -> (u64, Option<Timestamp>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let clips = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "clip"));
    clips.fold((0, None), |(count, oldest), entry| {
        let written = entry.metadata().and_then(|facts| facts.modified()).ok();
        let written = written.and_then(|at| Timestamp::try_from(at).ok());
        (count + 1, oldest.into_iter().chain(written).min())
    })
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
        put("net/wlan0/carrier", "1\n");
        put("net/eth0/ifindex", "2\n");
        put("net/eth0/carrier", "1\n");
        // This profile was connected until its cable was pulled.
        put("net/eth1/ifindex", "4\n");
        put("net/eth1/carrier", "0\n");
        put("nm/4", "[device]\nconnection-uuid=d\n");
        put(
            "nm/3",
            "# private\n\n[device]\nmanaged=managed\nconnection-uuid=a-b\n",
        );
        put("nm/2", "[device]\nmanaged=managed\n");
        put("nm/9", "[device]\nconnection-uuid=c\n");
        let found = connected(&at("nm"), &at("net"));
        assert_eq!(found, [("a-b".to_owned(), "wlan0".to_owned())]);
        assert!(connected(&at("nothing"), &at("net")).is_empty());
    }
}
