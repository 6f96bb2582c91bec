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

mod effective;
pub mod guise;
pub mod judge;
mod keyfile;
mod machine;
pub mod network;
mod prompts;
mod secrets;
pub mod status;
mod strangers;
pub mod vault;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::adapters::prompts::Prompts;
use crate::config::Config;
use crate::update::state::Trust;
use booth_host::config_file::ConfigError;
use booth_host::text::text_of;
use booth_spool::disk::{Disk, Listed, publish, read_whole};
use effective::effective;
pub use effective::salvage;
use guise::{LONGEST_TEXT, printable};
use judge::{Judged, KeyVerdict, judge};
pub use machine::{STATUS, check_beside, provision_here, refresh_status, unused_prompts};
use network::ConnectionNews;
use secrets::move_secrets;
use vault::{Role, Vault};

/// The file that a technician writes.
pub const WRITTEN: &str = "booth.toml";
const GOOD: &str = "good.toml";
const OUTCOME: &str = "outcome.json";
/// The beginning of the line before the text in `good.toml`.
const GOOD_MARK: &str = "#: ";
const LONGEST_OUTCOME: u64 = 4 << 20;

/// The folders and files that provisioning works with.
#[derive(Debug, Clone)]
pub struct Places {
    /// The mounted FAT partition.
    pub boot: PathBuf,
    /// The booth's own partition, or its folder there.
    pub data: PathBuf,
    /// The effective configuration.
    pub config: PathBuf,
    /// The folder that `[spool] dir` and prompts are relative to; the same as `data`, except where that takes no writes.
    pub spool: PathBuf,
    /// Everything that is made here is lost with the power, so no secret may leave FAT.
    pub is_volatile: bool,
    /// Where secrets of networks are kept, root's alone.
    pub secrets: PathBuf,
    /// Where NetworkManager reads profiles; `None` leaves networks to others.
    pub network: Option<PathBuf>,
}

impl Places {
    /// The places in these folders; `config` is `DATA/config/booth.toml` by default.
    pub fn new(boot: &Path, data: &Path, config: Option<&Path>) -> Self {
        let usual = data.join("config").join(WRITTEN);
        Self {
            boot: boot.to_owned(),
            data: data.to_owned(),
            config: config.map_or(usual, Path::to_owned),
            spool: data.to_owned(),
            is_volatile: false,
            secrets: data.join("network"),
            network: None,
        }
    }

    /// The same with a folder for NetworkManager's profiles.
    pub fn with_network(mut self, network: Option<&Path>) -> Self {
        self.network = network.map(Path::to_owned);
        self
    }

    /// The same with another folder for the secrets of networks than `DATA/network`: DATA may be the gateway's own, and root
    /// must not work in a folder that another user could replace by a link.
    pub fn with_secrets(mut self, secrets: Option<&Path>) -> Self {
        if let Some(secrets) = secrets {
            self.secrets = secrets.to_owned();
        }
        self
    }

    /// The same for a machine whose own partition takes no writes: everything is made in `folder`, in RAM. The spool stays
    /// in its place, so that the gateway notices that nothing can be kept.
    pub fn without_data(mut self, folder: &Path) -> Self {
        self.data = folder.to_owned();
        self.config = folder.join("config").join(WRITTEN);
        // The secrets go beside the folder, because the folder itself is given to the gateway.
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        self.secrets = folder.with_file_name(format!("{name}-network"));
        self.is_volatile = true;
        self
    }

    /// `DATA/config`.
    pub fn kept(&self) -> PathBuf {
        self.data.join("config")
    }

    /// `DATA/credentials`.
    pub fn credentials(&self) -> PathBuf {
        self.data.join("credentials")
    }

    /// `DATA/prompts`: a copy of those on FAT.
    pub fn prompts(&self) -> PathBuf {
        self.data.join(prompts::FOLDER)
    }

    fn faults(&self) -> PathBuf {
        faults_file(&self.config)
    }
}

/// The file beside a configuration that says why the booth is not set up, a sentence a line.
pub fn faults_file(config: &Path) -> PathBuf {
    config.with_extension("faults")
}

/// Which configuration the booth has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The one on the card.
    Card,
    /// An earlier one, which is good.
    Kept {
        /// When it came, RFC 3339.
        since: String,
    },
    /// None.
    NotSetUp,
}

/// The state of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretNews {
    /// What it is for.
    pub role: Role,
    /// Its name in `booth.toml`.
    pub name: String,
    /// Kept since then, RFC 3339; `None` if the booth has none.
    pub since: Option<String>,
    /// It came with this boot.
    pub is_new: bool,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// The result of provisioning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Always 1; a file with another number was written by another program.
    pub schema: u32,
    /// When, RFC 3339, by a clock that may be wrong.
    pub at: String,
    /// Which configuration the booth has.
    pub source: Source,
    /// The booth's id.
    pub booth_id: String,
    /// The booth's name.
    pub name: String,
    /// Whom to contact about this booth, and where a card is sent to.
    pub contact: String,
    /// The language of its citizens.
    pub language: String,
    /// The time zone of its place.
    pub timezone: String,
    /// Where the spool is.
    pub spool: PathBuf,
    /// Where a running gateway answers.
    pub socket: PathBuf,
    /// The broker, as configured.
    pub broker: Option<String>,
    /// The name of the file on the card.
    pub file: Option<String>,
    /// The hash of its text, hex.
    pub hash: String,
    /// The verdict on each key of the file on the card.
    pub keys: Vec<KeyVerdict>,
    /// What is wrong with that file.
    pub faults: Vec<String>,
    /// The credentials.
    pub secrets: Vec<SecretNews>,
    /// The number of a newer set that waits for its first connection while another set has connected.
    pub candidate: Option<u64>,
    /// Why the booth's own partition took nothing, so that all of this is lost with the power.
    #[serde(default)]
    pub refused: Option<String>,
    /// The networks that were set up.
    #[serde(default)]
    pub networks: Vec<ConnectionNews>,
    /// Further sentences for people.
    pub notes: Vec<String>,
}

/// The means that provisioning works with.
pub struct Hands<'a> {
    /// FAT and the booth's own partition.
    pub disk: &'a dyn Disk,
    /// Whether the connection of a configuration can be set up, as far as that shows without a network: whether its files
    /// hold what they should.
    pub usable: &'a dyn Fn(&Config) -> Result<(), ConfigError>,
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

/// What was found on FAT.
struct Found {
    /// What is in the folder, empty if it cannot be read.
    listed: Vec<Listed>,
    file: Option<String>,
    text: Result<String, Vec<String>>,
    /// There is no `booth.toml` at all.
    is_absent: bool,
}

/// A configuration that can be used, with the credentials' names as written.
struct Good {
    config: Config,
    table: Table,
    since: String,
    hash: String,
    /// The booth that this card was before.
    before: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct GoodFacts {
    since: String,
    sha256: String,
    /// The booth that this card belonged to before.
    #[serde(default)]
    before: Option<String>,
}

/// Reads FAT, keeps a good configuration, moves the secrets, writes the effective configuration. An error means that the
/// booth's own partition failed; what FAT refuses is in the outcome.
pub fn provision(
    hands: &Hands,
    places: &Places,
    wall: Timestamp,
) -> Result<Outcome, ProvisionError> {
    let now = wall.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let disk = hands.disk;
    let kept = places.kept();
    disk.make_folder(&kept).map_err(at("making", &kept))?;
    // Synced at every run: an earlier run that was cut off may have made the folder without its name being durable.
    disk.sync_folder(&places.data)
        .map_err(at("syncing", &places.data))?;
    let mut notes = Vec::new();
    let found = look(disk, &places.boot);
    let judged = match &found.text {
        Ok(text) => judge(text, found.file.as_deref().unwrap_or(WRITTEN)),
        Err(faults) => Judged {
            config: None,
            table: Table::new(),
            keys: Vec::new(),
            faults: faults.clone(),
        },
    };
    let earlier = last_good(disk, places, &mut notes);
    let (good, source) = match (judged.config.clone(), earlier) {
        (Some(config), earlier) => {
            let text = found.text.as_deref().unwrap_or_default();
            let hash = vault::hash(text.as_bytes());
            let (since, before) = match earlier {
                Some(earlier) if earlier.hash == hash => {
                    let facts = GoodFacts {
                        since: earlier.since,
                        sha256: hash.clone(),
                        before: earlier.before,
                    };
                    // An earlier version has not made root's copy, and the gateway can have changed its own copy. Neither is
                    // needed now.
                    if let Err(error) = keep_good(disk, places, text, &facts) {
                        notes.push(format!("{error}."));
                    }
                    (facts.since, facts.before)
                }
                earlier => {
                    let before = earlier.and_then(|earlier| {
                        let is_other = earlier.config.booth.id != config.booth.id;
                        let id = is_other.then(|| earlier.config.booth.id.to_string());
                        id.or(earlier.before)
                    });
                    let facts = GoodFacts {
                        since: now.clone(),
                        sha256: hash.clone(),
                        before,
                    };
                    keep_good(disk, places, text, &facts)?;
                    (facts.since, facts.before)
                }
            };
            let table = judged.table.clone();
            (
                Some(Good {
                    config,
                    table,
                    since,
                    hash,
                    before,
                }),
                Source::Card,
            )
        }
        (None, Some(earlier)) => {
            let since = earlier.since.clone();
            (Some(earlier), Source::Kept { since })
        }
        (None, None) => (None, Source::NotSetUp),
    };
    if let Some(good) = &good
        && let Some(old) = &good.before
        && *old != good.config.booth.id.to_string()
    {
        let new = &good.config.booth.id;
        notes.push(format!(
            "This card was the booth {old} before and is {new} now. Messages that were spoken at {old} are sent under that name."
        ));
    }
    if let Some(good) = &good {
        notes.extend(
            good.config
                .warnings_here()
                .into_iter()
                .map(|why| format!("{why}.")),
        );
    }
    if found.is_absent && good.is_some() {
        notes.push("The card's partition BOOTH has no booth.toml; the booth goes on with the one it knows.".into());
    }
    let mut secrets = Vec::new();
    let mut candidate = None;
    let named = good.as_ref().map(|good| &good.config.session.prompts);
    let on_fat = named.and_then(|named| prompts::on_fat(disk, &places.boot, named, &found.listed));
    let config = match &good {
        Some(good) => {
            let played = match &on_fat {
                Some(_) => places.prompts(),
                None => prompts::kept(disk, places, &good.config.session.prompts),
            };
            let moved = move_secrets(hands, places, good, &found.listed, &now, &mut notes)?;
            let effective = effective(good, &moved, places, &played);
            let text = format!(
                "# Made by `booth-gateway provision` at every boot; what is written here by hand is lost.\n\
                 # Edit booth.toml on the card's partition BOOTH. Good since {}, SHA-256 {}.\n{effective}",
                good.since, good.hash
            );
            replace(disk, &places.config, text.as_bytes())
                .map_err(at("writing", &places.config))?;
            remove(disk, &places.faults()).map_err(at("removing", &places.faults()))?;
            // Only now does nothing name an older set any more.
            let credentials = places.credentials();
            let vault = Vault {
                disk,
                folder: &credentials,
            };
            vault
                .prune(&moved.keep)
                .map_err(at("tidying", &credentials))?;
            candidate = moved.candidate;
            secrets = moved.news;
            toml::from_str(&text).ok()
        }
        None => {
            not_set_up(disk, places, &found, &judged).map_err(at("writing", &places.config))?;
            None
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
    let questions: Vec<String> = questions.map(|own| own.prompt_name().to_owned()).collect();
    let names = Prompts::names(&questions);
    // Prompts come last, because copying may take long, and without them a booth plays tones.
    if let Some(from) = &on_fat {
        prompts::bring(disk, from, &places.prompts(), &names, &mut notes);
    }
    if let Some(good) = &good {
        let named = &good.config.session.prompts;
        notes.extend(prompts::beside(&found.listed, named, &names));
    }
    let shown: Option<&Config> = config.as_ref();
    let salvaged = salvage(&judged.table);
    let shown = shown.unwrap_or(&salvaged);
    let outcome = Outcome {
        schema: 1,
        at: now,
        booth_id: match source {
            Source::NotSetUp => String::new(),
            Source::Card | Source::Kept { .. } => shown.booth.id.to_string(),
        },
        source,
        name: shown.booth.name.clone(),
        contact: shown.booth.contact.clone(),
        language: shown.session.language.clone(),
        timezone: shown.booth.timezone.clone(),
        spool: shown.spool.dir.clone(),
        socket: shown.doctor_socket(),
        broker: good.as_ref().and_then(|good| good.config.mqtt.url.clone()),
        file: found.file,
        hash: good.map(|good| good.hash).unwrap_or_default(),
        keys: judged.keys,
        faults: judged.faults,
        secrets,
        candidate,
        networks,
        refused: None,
        notes,
    };
    keep_outcome(disk, places, &outcome)?;
    Ok(outcome)
}

fn keep_outcome(disk: &dyn Disk, places: &Places, outcome: &Outcome) -> Result<(), ProvisionError> {
    let bytes = serde_json::to_vec(outcome).unwrap_or_default();
    let path = places.kept().join(OUTCOME);
    replace(disk, &path, &bytes).map_err(at("writing", &path))
}

/// The update settings of the card's own file, if that is a good one. Only a person with the card in his hands may say whose
/// updates are taken and from where; a copy in the gateway's own folder may not. Only FAT is read, so that nothing left by a
/// gateway can keep a technician from withdrawing a key.
pub fn trusted(disk: &dyn Disk, boot: &Path) -> Option<Trust> {
    let found = look(disk, boot);
    let text = found.text.ok()?;
    let config = judge(&text, found.file.as_deref().unwrap_or(WRITTEN)).config?;
    Some(Trust {
        keys: config.update.keys,
        booth: config.booth.id.to_string(),
        allow: config.update.allow,
    })
}

/// The result of the latest provisioning.
pub fn outcome_of(disk: &dyn Disk, places: &Places) -> Option<Outcome> {
    let bytes = read_whole(disk, &places.kept().join(OUTCOME), LONGEST_OUTCOME).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn look(disk: &dyn Disk, boot: &Path) -> Found {
    let mut found = Found {
        listed: Vec::new(),
        file: None,
        text: Err(Vec::new()),
        is_absent: false,
    };
    match disk.list(boot) {
        Ok(listed) => found.listed = listed,
        Err(error) => {
            let why = format!(
                "The card's partition BOOTH cannot be read: {error}. Write the image to the card again, or use another card."
            );
            found.text = Err(vec![why]);
            return found;
        }
    }
    let fault = |why: String| Err(vec![why]);
    found.text = match guise::named(&found.listed, WRITTEN)[..] {
        [] => {
            found.is_absent = true;
            let near = guise::near_misses(&found.listed);
            let hint = match near[..] {
                [] => String::new(),
                _ => format!(" There is {}: rename it.", near.join(", ")),
            };
            fault(format!(
                "There is no booth.toml on the card's partition BOOTH.{hint}"
            ))
        }
        [one] => {
            let name = printable(&one.name);
            found.file = Some(name.clone());
            if one.is_folder {
                fault(format!("{name} is a folder; a file of that name is needed"))
            } else {
                match read_whole(disk, &boot.join(&one.name), LONGEST_TEXT) {
                    Ok(bytes) => text_of(&bytes).map_err(|why| vec![format!("{name}: {why}")]),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => fault(format!(
                        "{name}: is longer than {LONGEST_TEXT} bytes; it cannot be a configuration"
                    )),
                    Err(error) => fault(format!(
                        "{name}: cannot be read: {error}. Copy it to the card again; if that does not help, use another card."
                    )),
                }
            }
        }
        ref several => {
            let names: Vec<String> = several.iter().map(|entry| printable(&entry.name)).collect();
            fault(format!(
                "There are {} on the card: leave the right one and delete the other.",
                names.join(" and ")
            ))
        }
    };
    found
}

/// The last good text, if its hash proves that it is unchanged. Root's own copy is used where there is one. The copy in the
/// gateway's folder is less safe: an intruder in the gateway could use it, while the card's own file is bad, to make root
/// forget passwords and take files from FAT.
fn last_good(disk: &dyn Disk, places: &Places, notes: &mut Vec<String>) -> Option<Good> {
    let read = |folder: &Path| read_whole(disk, &folder.join(GOOD), LONGEST_TEXT + 1024);
    let bytes = match read(&places.secrets) {
        // This version has not provisioned anything yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => read(&places.kept()),
        own => own,
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            notes.push(format!(
                "The last good configuration cannot be read: {error}."
            ));
            return None;
        }
    };
    let whole = String::from_utf8(bytes).ok();
    let good = whole.as_deref().and_then(|whole| {
        let (facts, text) = whole.split_once('\n')?;
        let facts: GoodFacts = serde_json::from_str(facts.strip_prefix(GOOD_MARK)?).ok()?;
        if vault::hash(text.as_bytes()) != facts.sha256 {
            return None;
        }
        // A newer version may judge differently.
        let judged = judge(text, GOOD);
        Some(Good {
            config: judged.config?,
            table: judged.table,
            since: facts.since,
            hash: facts.sha256,
            before: facts.before,
        })
    });
    if good.is_none() {
        notes.push("The last good configuration is damaged, or no longer good for this version; it is not used.".into());
    }
    good
}

/// Writes the good text into root's own folder, from which it is read, and into `DATA/config`, where earlier versions look
/// for it.
fn keep_good(
    disk: &dyn Disk,
    places: &Places,
    text: &str,
    facts: &GoodFacts,
) -> Result<(), ProvisionError> {
    let facts = serde_json::to_string(facts).unwrap_or_default();
    let whole = format!("{GOOD_MARK}{facts}\n{text}");
    for folder in [&places.secrets, &places.kept()] {
        let path = folder.join(GOOD);
        replace(disk, &path, whole.as_bytes()).map_err(at("writing", &path))?;
    }
    Ok(())
}

/// Prepares what `run` reports when the booth is not set up: the text as it is, and the sentences beside it.
fn not_set_up(disk: &dyn Disk, places: &Places, found: &Found, judged: &Judged) -> io::Result<()> {
    let marked = read_whole(disk, &places.faults(), LONGEST_OUTCOME).is_ok();
    let stands = read_whole(disk, &places.config, LONGEST_TEXT + 1024).is_ok();
    if stands && !marked {
        // The file was written by a person, or its origin is unknown: it is left alone.
        return Ok(());
    }
    replace(disk, &places.faults(), judged.faults.join("\n").as_bytes())?;
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
