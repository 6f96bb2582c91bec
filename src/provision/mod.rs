//! Provisioning: what a technician puts on the card's FAT partition becomes the booth's configuration.
//!
//! Owns: reading `booth.toml` at every boot, the last good one, the move of the secrets, the effective configuration that
//! `run` reads, and `BOOTH-STATUS.TXT`. Never does: take a working configuration away because a new one is bad, remove a
//! secret from FAT before it has been read back from the booth's own partition, or run while a citizen waits.
//!
//! ```text
//! FAT                      DATA/config                                        DATA/credentials
//! booth.toml ──judge──▶    good.toml (the last good one, date and hash), and SECRETS/good.toml, the one that is believed
//! mqtt-password ─────────────────────────────────────────────────────────▶    set-2/password   (vault)
//!                          booth.toml (effective: paths of the newest set)
//! wifi-password ──────────────────────────────────▶  SECRETS/wifi-….json (root's), and NetworkManager's profiles
//! prompts/da/… ──────────────────────────────────────────────────────────▶    prompts/da/…, for the gateway may not read FAT
//! BOOTH-STATUS.TXT ◀────   outcome.json ◀── and what the running gateway answers
//! ```
//!
//! Everything is made again from FAT, `good.toml` and the sets at each boot, and every file is replaced in one step: a
//! power cut at any moment leaves the configuration from before or the new one.

mod card;
mod effective;
mod good;
pub mod guise;
pub mod judge;
mod keyfile;
mod machine;
pub mod network;
mod outcome;
mod places;
mod prompts;
mod secrets;
pub mod status;
mod strangers;
pub mod vault;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::adapters::prompts::Prompts;
use crate::config::{Config, Question};
use booth_host::config_file::ConfigError;
use booth_spool::disk::{Disk, publish, read_whole};
use card::Found;
pub use card::trusted;
pub use effective::salvage;
use effective::{Credentials, effective};
use good::Good;
use guise::LONGEST_TEXT;
use judge::Judged;
pub use machine::{STATUS, check_beside, provision_here, refresh_status, unused_prompts};
use outcome::keep_outcome;
pub use outcome::{Outcome, SecretNews, Source, outcome_of};
pub use places::{Places, faults_file};
use secrets::{Moved, move_secrets};
use vault::Vault;

/// The file that a technician writes.
pub const WRITTEN: &str = "booth.toml";
const LONGEST_OUTCOME: u64 = 4 << 20;

/// The means that provisioning works with.
pub struct Hands<'a> {
    /// FAT and the booth's own partition.
    pub disk: &'a dyn Disk,
    /// Whether the connection of a configuration can be set up, as far as that shows without a network: whether its files
    /// hold what they should.
    pub usable: &'a dyn Fn(&Config) -> Result<(), ConfigError>,
    /// Gives a file or folder that was made here, with its contents, to the gateway, which is another user; one that does not
    /// exist is none to give.
    pub give: &'a dyn Fn(&Path) -> io::Result<()>,
}

impl Hands<'_> {
    /// Gives the gateway everything that is made for it.
    fn give_all(&self, places: &Places) -> Result<(), ProvisionError> {
        let made = [
            places.kept(),
            places.credentials(),
            places.prompts(),
            places.config.clone(),
            places.faults(),
        ];
        for path in &made {
            (self.give)(path).map_err(at("giving away", path))?;
        }
        Ok(())
    }
}

/// The booth's own partition refused; nothing that worked before is lost.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {error}")]
pub struct ProvisionError {
    what: &'static str,
    path: PathBuf,
    error: io::Error,
}

fn at<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> ProvisionError + use<'a> {
    move |error| ProvisionError {
        what,
        path: path.to_owned(),
        error,
    }
}

/// Reads FAT, keeps a good configuration, moves the secrets, writes the effective configuration. An error means that the
/// booth's own partition failed; what FAT refuses is in the outcome. After an error the gateway can read what is there, and the
/// networks of the last good configuration are set up.
pub fn provision(
    hands: &Hands,
    places: &Places,
    wall: Timestamp,
) -> Result<Outcome, ProvisionError> {
    set_up(hands, places, wall).inspect_err(|_| go_on(hands, places))
}

/// Leaves to the gateway and to the networks what they had, where provisioning has ended early.
fn go_on(hands: &Hands, places: &Places) {
    if let Err(error) = hands.give_all(places) {
        log::warn!("{error}");
    }
    let good = good::last_good(hands.disk, places, &mut Vec::new());
    if let Some(good) = good
        && let Err(error) = network::set_up_as_before(hands.disk, places, &good.config.network)
    {
        log::warn!("the networks could not be set up as they were: {error}");
    }
}

fn set_up(hands: &Hands, places: &Places, wall: Timestamp) -> Result<Outcome, ProvisionError> {
    let now = wall.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let disk = hands.disk;
    let kept = places.kept();
    disk.make_folder(&kept).map_err(at("making", &kept))?;
    // Synced at every run: an earlier run that was cut off may have made the folder without its name being durable.
    disk.sync_folder(&places.data)
        .map_err(at("syncing", &places.data))?;
    let mut notes = Vec::new();
    let found = card::look(disk, &places.boot);
    let judged = found.judged();
    let (good, source) = good::choose(disk, places, &found, &judged, &now, &mut notes)?;
    if let Some(good) = &good {
        notes.extend(remarks(good, &found));
    }
    let named = good.as_ref().map(|good| &good.config.session.prompts);
    let on_fat = named.and_then(|named| prompts::on_fat(disk, &places.boot, named, &found.listed));
    let (config, moved) = match &good {
        Some(good) => {
            let played = match &on_fat {
                Some(_) => places.prompts(),
                None => prompts::kept(disk, places, &good.config.session.prompts),
            };
            let moved = move_secrets(hands, places, good, &found.listed, &now, &mut notes)?;
            let config = put_in_force(disk, places, good, &moved, &played)?;
            (config, moved)
        }
        None => {
            not_set_up(disk, places, &found, &judged).map_err(at("writing", &places.config))?;
            (None, Moved::default())
        }
    };
    let networks = network::set_up(
        disk,
        places,
        good.as_ref().map(|good| &good.config.network),
        &found.listed,
        &now,
        &mut notes,
    )?;
    let questions = good.iter().flat_map(|good| &good.config.questions);
    let questions: Vec<String> = questions.flat_map(Question::prompt_names).collect();
    let names = Prompts::names(&questions);
    // Prompts come last, because copying may take long, and without them a booth plays tones. Whatever ends it finds the
    // configuration the gateway's.
    hands.give_all(places)?;
    if let Some(from) = &on_fat {
        prompts::bring(disk, from, &places.prompts(), &names, &mut notes);
    }
    if let Some(named) = named {
        notes.extend(prompts::beside(&found.listed, named, &names));
    }
    let shown = config.unwrap_or_else(|| salvage(&judged.table));
    let outcome = Outcome {
        schema: 1,
        at: now,
        booth_id: match source {
            Source::NotSetUp => String::new(),
            Source::Card | Source::Kept { .. } => shown.booth.id.to_string(),
        },
        source,
        socket: shown.doctor_socket(),
        name: shown.booth.name,
        contact: shown.booth.contact,
        language: shown.session.language,
        timezone: shown.booth.timezone,
        spool: shown.spool.dir,
        broker: good.as_ref().and_then(|good| good.config.mqtt.url.clone()),
        file: found.file,
        hash: good.map(|good| good.hash).unwrap_or_default(),
        keys: judged.keys,
        faults: judged.faults.iter().map(ToString::to_string).collect(),
        secrets: moved.news,
        candidate: moved.candidate,
        networks,
        refused: None,
        notes,
    };
    keep_outcome(disk, places, &outcome)?;
    Ok(outcome)
}

/// What people should know of a good configuration.
fn remarks(good: &Good, found: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(old) = good.other_booth() {
        let new = &good.config.booth.id;
        notes.push(format!(
            "This card was the booth {old} before and is {new} now. Messages that were spoken at {old} are sent under that name."
        ));
    }
    let warnings = good.config.warnings_here().into_iter();
    notes.extend(warnings.map(|warning| format!("{warning}.")));
    if found.is_absent() {
        notes.push("The card's partition BOOTH has no booth.toml; the booth goes on with the one it knows.".into());
    }
    notes
}

/// Writes the effective configuration with the credentials that the booth has, and removes the sets that nothing names any
/// more. Returns the configuration as `run` reads it.
fn put_in_force(
    disk: &dyn Disk,
    places: &Places,
    good: &Good,
    moved: &Moved,
    prompts: &Path,
) -> Result<Option<Config>, ProvisionError> {
    let credentials = Credentials {
        set: moved.set.as_ref(),
        is_lacking: moved.is_lacking,
    };
    let text = format!(
        "# Made by `booth-gateway provision` at every boot; what is written here by hand is lost.\n\
         # Edit booth.toml on the card's partition BOOTH. Good since {}, SHA-256 {}.\n{}",
        good.since,
        good.hash,
        effective(good, &credentials, places, prompts)
    );
    replace(disk, &places.config, text.as_bytes()).map_err(at("writing", &places.config))?;
    remove(disk, &places.faults()).map_err(at("removing", &places.faults()))?;
    // Only now does nothing name an older set any more.
    let folder = places.credentials();
    let vault = Vault {
        disk,
        folder: &folder,
    };
    vault.prune(&moved.keep).map_err(at("tidying", &folder))?;
    Ok(toml::from_str(&text).ok())
}

/// Prepares what `run` reports when the booth is not set up: the text as it is, and the sentences beside it.
fn not_set_up(disk: &dyn Disk, places: &Places, found: &Found, judged: &Judged) -> io::Result<()> {
    let marked = read_whole(disk, &places.faults(), LONGEST_OUTCOME).is_ok();
    let stands = read_whole(disk, &places.config, LONGEST_TEXT + 1024).is_ok();
    if stands && !marked {
        // The file was written by a person, or its origin is unknown: it is left alone.
        return Ok(());
    }
    let faults = ConfigError(judged.faults.clone()).to_string();
    replace(disk, &places.faults(), faults.as_bytes())?;
    match &found.text {
        Ok(text) => replace(disk, &places.config, text.as_bytes()),
        Err(_) => remove(disk, &places.config),
    }
}

/// Writes a file, in a folder that is made durably if it is missing, if its content differs from the one that is there.
fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if read_whole(disk, path, LONGEST_OUTCOME).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let is_new = disk.make_folder(folder)?;
    if let Some(above) = folder.parent().filter(|_| is_new) {
        disk.sync_folder(above)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    publish(disk, folder, &name, bytes)
}

/// Removes a file durably; a file that does not exist counts as removed.
fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match remove_name(disk, path) {
        Ok(true) => disk.sync_folder(path.parent().unwrap_or(Path::new("."))),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove_name(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.unlink(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
