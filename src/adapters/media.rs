//! The centre's configuration and its prompts on the card (contract §3.8).
//!
//! Owns: the folder `centre/` beside the spool's own, with `configuration.json` and `media/<sha256>`; that each file is durable
//! before it counts, and that a configuration is replaced in one step, after every prompt that it names lies there. A power cut
//! leaves the old one or the new one, and at worst prompts that nobody wants, which are dropped later. Never does: decide what is
//! in force; fall back to memory.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use booth_contract::time::{Timestamp, rfc3339};
use booth_contract::wanted::{MAX_PROMPT_BYTES, MOST_PROMPTS, Wanted};
use booth_contract::{MediaHash, hex, reading};
use booth_host::plain_file::patiently;
use booth_spool::disk::{Disk, publish, read_whole};
use gateway_core::campaign::{Configuration, OnCard, Put, Unfit};

/// The folder's name below `[spool] dir`.
const FOLDER: &str = "centre";
const FILE: &str = "configuration.json";
/// Where a configuration lies that cannot be read; a person may look at it.
const UNREADABLE: &str = "configuration.unreadable";
/// Largest file of a configuration, bytes: one of the contract's size grows when it is written with all its defaults, and is a text
/// in a text.
const MAX_FILE: u64 = 128 * 1024;
/// Most prompts that may lie here: those of the configuration in force, and of one that is fetched.
const MOST_KEPT: usize = 2 * MOST_PROMPTS;

/// A configuration as it lies on the card.
#[derive(Serialize, Deserialize)]
struct Kept {
    schema: u64,
    is_signed: bool,
    /// When the latest signed one was issued that was in force, RFC 3339 UTC.
    latest_signed: Option<Timestamp>,
    /// SHA-256 of the other three, so that nothing of it changes unnoticed.
    sha256: String,
    /// What it says.
    configuration: String,
}

impl Kept {
    fn sum(&self) -> String {
        let Self {
            is_signed,
            latest_signed,
            configuration,
            ..
        } = self;
        let latest = latest_signed.map(rfc3339).unwrap_or_default();
        let text = format!("{is_signed} {latest} {configuration}");
        hex(&Sha256::digest(text.as_bytes()))
    }
}

/// The folder.
#[derive(Clone)]
pub struct Media {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    media: PathBuf,
    /// The folders' own names survive a power cut; found out by this process.
    has_folders: Arc<AtomicBool>,
}

impl Media {
    /// The folder beside the spool that lies in `spool_dir`. Nothing is made before something is kept.
    pub fn new(disk: Arc<dyn Disk>, spool_dir: &Path) -> Self {
        let folder = spool_dir.join(FOLDER);
        let media = folder.join("media");
        Self {
            disk,
            folder,
            media,
            has_folders: Arc::default(),
        }
    }

    /// Reads everything and proves it: the configuration by its hash, each prompt by its name. A prompt that is not what its name
    /// says is dropped, because it can be fetched again; a configuration that cannot be read is set aside.
    pub fn read(&self) -> OnCard {
        let mut found = OnCard::default();
        match self.read_configuration() {
            Ok(applied) => found.applied = applied,
            Err(why) => found.trouble = Some(why),
        }
        for hash in self.listed() {
            match self.sound(&hash) {
                Ok(_) => drop(found.media.insert(hash)),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    log::error!("the prompt {hash} on the card is damaged; it is fetched again");
                    self.drop_prompt(&hash);
                }
                Err(error) => log::error!("the prompt {hash} cannot be read: {error}"),
            }
        }
        if found.media.len() > MOST_KEPT {
            let wanted = found.applied.iter();
            let keep = wanted.flat_map(|applied| applied.wanted.media()).collect();
            self.tidy(&keep);
            found.media = found.media.intersection(&keep).cloned().collect();
        }
        found
    }

    fn read_configuration(&self) -> Result<Option<Configuration>, String> {
        let path = self.folder.join(FILE);
        let bytes = match patiently(|| read_whole(self.disk.as_ref(), &path, MAX_FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(format!(
                    "does not give the configuration of the centre that was in force: {error}; booth.toml counts"
                ));
            }
        };
        let read = understood(&bytes);
        read.map(Some).map_err(|why| {
            // The next one takes its place anyway; a failure leaves the file where it is.
            let _ = self.disk.rename(&path, &self.folder.join(UNREADABLE));
            format!(
                "holds a configuration of the centre that cannot be read ({why}); it was set aside, and booth.toml counts until the next"
            )
        })
    }

    /// The names of the prompts that lie here.
    pub(crate) fn listed(&self) -> BTreeSet<MediaHash> {
        let listed = self.disk.list(&self.media).unwrap_or_default();
        let plain = listed.iter().filter(|entry| !entry.is_folder);
        plain
            .filter_map(|entry| MediaHash::parse(&entry.name))
            .collect()
    }

    /// The bytes of a prompt.
    ///
    /// # Errors
    /// `InvalidData` if they are not what the name says.
    pub fn sound(&self, hash: &MediaHash) -> io::Result<Vec<u8>> {
        let limit = MAX_PROMPT_BYTES as u64;
        let bytes = read_whole(self.disk.as_ref(), &self.media.join(hash.as_str()), limit)?;
        match is_it(hash, &bytes) {
            true => Ok(bytes),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it has another SHA-256 than its name says",
            )),
        }
    }

    /// Makes a prompt durable that came from the centre.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn keep(&self, hash: &MediaHash, bytes: &[u8]) -> Result<(), Unfit> {
        if !is_it(hash, bytes) {
            return Err(Unfit::OtherHash);
        }
        if bytes.len() > MAX_PROMPT_BYTES {
            let len = bytes.len();
            let why = format!("has {len} bytes; a prompt has at most {MAX_PROMPT_BYTES}");
            return Err(Unfit::NoPrompt(why));
        }
        booth_audio::check_opus(bytes).map_err(|why| Unfit::NoPrompt(why.what))?;
        let kept = self
            .make_folders()
            .and_then(|()| publish(self.disk.as_ref(), &self.media, hash.as_str(), bytes));
        kept.map_err(|error| Unfit::Card(error.to_string()))
    }

    fn make_folders(&self) -> io::Result<()> {
        if self.has_folders.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Their names have to survive a power cut, too, also where a process that was killed made them.
        for folder in [&self.folder, &self.media] {
            self.disk.make_folder(folder)?;
            if let Some(above) = folder.parent() {
                self.disk.sync_folder(above)?;
            }
        }
        self.has_folders.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Puts a configuration in the place of the one before, in one step, and then drops all prompts but those to `keep`.
    pub fn put(&self, configuration: &Configuration, keep: &BTreeSet<MediaHash>) -> Put {
        let listed = self.listed();
        if !configuration.wanted.media().is_subset(&listed) {
            return Put::Lacks(listed);
        }
        let text = configuration.wanted.to_json();
        let mut kept = Kept {
            schema: 1,
            is_signed: configuration.is_signed,
            latest_signed: configuration.latest_signed,
            sha256: String::new(),
            configuration: String::from_utf8_lossy(&text).into_owned(),
        };
        kept.sha256 = kept.sum();
        let bytes = serde_json::to_vec(&kept).expect("it holds only text");
        let put = self
            .make_folders()
            .and_then(|()| publish(self.disk.as_ref(), &self.folder, FILE, &bytes));
        match put {
            Ok(()) => {
                self.tidy(keep);
                Put::InForce(self.listed())
            }
            Err(error) => Put::Refused(format!("does not take the configuration: {error}")),
        }
    }

    /// Drops all prompts but these, and what a power cut left half written. What the card does not drop is dropped next time.
    pub fn tidy(&self, keep: &BTreeSet<MediaHash>) {
        let listed = self.disk.list(&self.media).unwrap_or_default();
        for entry in listed.iter().filter(|entry| !entry.is_folder) {
            let is_kept = MediaHash::parse(&entry.name).is_some_and(|hash| keep.contains(&hash));
            if !is_kept {
                let _ = self.disk.unlink(&self.media.join(&entry.name));
            }
        }
    }

    fn drop_prompt(&self, hash: &MediaHash) {
        let _ = self.disk.unlink(&self.media.join(hash.as_str()));
    }
}

fn is_it(hash: &MediaHash, bytes: &[u8]) -> bool {
    hex(&Sha256::digest(bytes)) == hash.as_str()
}

fn understood(bytes: &[u8]) -> Result<Configuration, String> {
    let kept: Kept = reading::object(bytes).map_err(|error| error.to_string())?;
    if kept.sum() != kept.sha256 {
        return Err("its SHA-256 is another".into());
    }
    let fields = reading::fields(kept.configuration.as_bytes());
    let fields = fields.map_err(|error| error.to_string())?;
    let wanted = Wanted::of_fields(&fields).map_err(|bad| {
        let faults = bad.faults.iter().map(ToString::to_string);
        faults.collect::<Vec<_>>().join("; ")
    })?;
    Ok(Configuration {
        wanted,
        is_signed: kept.is_signed,
        latest_signed: kept.latest_signed,
    })
}
