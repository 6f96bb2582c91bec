//! What is known of the update: one small file that survives power cuts, read by the gateway and by people.
//!
//! Owns: `state.json` and the trusted keys beside it, in a folder that root owns and everybody may read. Each file is
//! replaced in one step. Never does: decide what happens next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::boot::Slot;
use super::manifest::{Floor, Image};
use crate::trust::EntryError;
use crate::trust::keys::Keys;
use crate::trust::whence::Whence;
use booth_spool::disk::{Disk, publish, read_whole};

/// The state's name in its folder.
pub const STATE: &str = "state.json";
const KEYS: &str = "keys";
const BOOTH: &str = "booth";
const ALLOW: &str = "allow";
const FLOOR: &str = "kept.json";
const DAY: &str = "day";
const LONGEST: u64 = 64 * 1024;

/// How far an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// There has been no update yet.
    #[default]
    Idle,
    /// It is being written into the slot that does not run.
    Writing,
    /// It has been written whole; nothing starts it yet.
    Verified,
    /// The next restart starts it once.
    Armed,
    /// It runs, and has to prove itself.
    Trial,
    /// It has proven itself and is the default.
    Committed,
    /// It has not proven itself; the version from before runs, or is about to.
    RolledBack,
    /// It was not started at all.
    Failed,
    /// A phase that a newer version wrote and this one does not know: it counts as a trial.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// The phase's name in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Idle => "idle",
            Phase::Writing => "writing",
            Phase::Verified => "verified",
            Phase::Armed => "armed",
            Phase::Trial => "trial",
            Phase::Committed => "committed",
            Phase::RolledBack => "rolled_back",
            Phase::Failed => "failed",
            Phase::Unknown => "unknown",
        }
    }
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// SHA-256 of its `root.sqfs`, hex.
    pub image_id: String,
    /// For people.
    pub version: String,
}

/// The spool's state when the trial was armed; a new version without it fails the trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The card's identity.
    pub card_id: String,
    /// Highest number given to a clip.
    pub last_clip_no: u64,
    /// The gateway had been connected to the broker since its start; then the new version has to connect once, too.
    #[serde(default)]
    pub was_connected: bool,
}

/// The content of `state.json`. A newer version may add keys, which an older one ignores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct State {
    /// Always 1.
    pub schema: u32,
    /// How far it is.
    pub phase: Phase,
    /// When this phase began, RFC 3339, by a clock that may be wrong.
    pub at: String,
    /// Where the update came from: a file or an address.
    #[serde(default)]
    pub source: String,
    /// The image that ran before.
    #[serde(default)]
    pub from: Option<Version>,
    /// The image that is to run.
    #[serde(default)]
    pub to: Option<Version>,
    /// The slot that it is written into.
    #[serde(default)]
    pub slot: Option<Slot>,
    /// Why it failed or was rolled back: a sentence with its remedy.
    #[serde(default)]
    pub reason: String,
    /// The reason as reported to the centre, where `reason` would reveal something of the booth's network; empty where the
    /// two are the same.
    #[serde(default)]
    pub told: String,
    /// Bytes of the payload written, in steps of a twentieth.
    #[serde(default)]
    pub done: u64,
    /// Bytes of the payload.
    #[serde(default)]
    pub total: u64,
    /// The boot that wrote this.
    #[serde(default)]
    pub boot_id: String,
    /// The process that wrote this; 0 from a version that did not note it.
    #[serde(default)]
    pub pid: u32,
    /// When the trial began on the boot-time clock, ms.
    #[serde(default)]
    pub trial_began_ms: Option<u64>,
    /// The spool when the trial was armed; `None` if the booth had none to show.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// The centre's request behind this update; empty for an update that a person gave.
    #[serde(default)]
    pub request: String,
    /// How often that request was begun.
    #[serde(default)]
    pub attempts: u32,
}

impl State {
    /// Whether the process that wrote this has ended, or ran before the last start of the machine; `false` where a version
    /// did not note the process. The updater's lock cannot show that: only root may touch it, and a process that probed the
    /// lock would hold it.
    pub fn is_left(&self, boot_id: &str) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| !self.boot_id.is_empty()) else {
            return false;
        };
        self.boot_id != boot_id || test_kill_process(pid) == Err(Errno::SRCH)
    }
}

/// Why the technician's settings for updates, which root keeps beside the state, cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum SettingsError {
    #[error("{}: {error}", path.display())]
    Unread {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error(transparent)]
    Entry(#[from] EntryError),
}

/// The folder with the state.
#[derive(Clone)]
pub struct Store {
    /// Its disk; files that are made through it can be read by everybody.
    pub disk: Arc<dyn Disk>,
    /// Usually `/data/booth-update`.
    pub folder: PathBuf,
}

impl Store {
    /// The state, or that of a booth that has never been updated. A file that makes no sense counts as never updated: the
    /// caller then decides by the running slot what has to be done.
    pub fn load(&self) -> io::Result<State> {
        load(&*self.disk, &self.folder)
    }

    /// Replaces the state.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(state).expect("a state holds only text and numbers");
        self.make()?;
        publish(&*self.disk, &self.folder, STATE, &bytes)
    }

    fn make(&self) -> io::Result<()> {
        if self.disk.make_folder(&self.folder)?
            && let Some(parent) = self.folder.parent()
        {
            self.disk.sync_folder(parent)?;
        }
        Ok(())
    }

    /// The keys whose updates are taken. They are kept here because only root writes here: the effective configuration
    /// belongs to the unprivileged gateway, which must not be able to make itself root by an update of its own.
    pub fn keys(&self) -> Result<Keys, SettingsError> {
        Ok(Keys::parse(&self.lines(KEYS)?)?)
    }

    /// The booth's id; empty where no technician has given one.
    pub fn booth(&self) -> Result<String, SettingsError> {
        Ok(self.lines(BOOTH)?.into_iter().next().unwrap_or_default())
    }

    /// Where the centre's updates may come from.
    pub fn whence(&self) -> Result<Whence, SettingsError> {
        Ok(Whence::parse(&self.lines(ALLOW)?)?)
    }

    fn lines(&self, name: &str) -> Result<Vec<String>, SettingsError> {
        let path = self.folder.join(name);
        let text = match read_whole(&*self.disk, &path, LONGEST) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(SettingsError::Unread { path, error }),
        };
        let lines = text.lines().filter(|line| !line.is_empty());
        Ok(lines.map(str::to_owned).collect())
    }

    /// Remembers the update settings of the technician's `booth.toml`; written only if they differ from those before.
    pub fn trust(&self, trust: &Trust) -> io::Result<()> {
        let lines = |texts: &[String]| -> String {
            texts
                .iter()
                .map(|text| format!("{}\n", text.trim()))
                .collect()
        };
        self.remember(KEYS, lines(&trust.keys).as_bytes())?;
        self.remember(ALLOW, lines(&trust.allow).as_bytes())?;
        self.remember(BOOTH, lines(std::slice::from_ref(&trust.booth)).as_bytes())
    }

    fn remember(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match read_whole(&*self.disk, &self.folder.join(name), LONGEST) {
            Ok(before) if before == bytes => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && bytes.is_empty() => {
                return Ok(());
            }
            _ => {}
        }
        self.make()?;
        publish(&*self.disk, &self.folder, name, bytes)
    }

    /// The highest release that this booth has kept. A file that makes no sense counts as none.
    pub fn floor(&self) -> io::Result<Floor> {
        match read_whole(&*self.disk, &self.folder.join(FLOOR), LONGEST) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Floor::default()),
            Err(error) => Err(error),
        }
    }

    /// Remembers that `running` is kept: no release with a lower counter comes after it.
    pub fn raise_floor(&self, running: &Image) -> io::Result<()> {
        if running.counter <= self.floor()?.counter {
            return Ok(());
        }
        let floor = Floor {
            counter: running.counter,
            image_id: running.image_id.clone(),
        };
        let bytes = serde_json::to_vec(&floor).map_err(io::Error::other)?;
        self.remember(FLOOR, &bytes)
    }
}

impl Store {
    /// The latest day that this booth has seen while its clock was synchronised. A file that makes no sense counts as none.
    pub fn latest_day(&self) -> io::Result<Option<Date>> {
        match read_whole(&*self.disk, &self.folder.join(DAY), LONGEST) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers this day, UTC by a synchronised clock, if it is later than the latest. A wrong day that is too late stays
    /// remembered, too; the only consequence is that a step back has to be signed for a later day.
    pub fn see_day(&self, today: Date) -> io::Result<()> {
        if self.latest_day()? >= Some(today) {
            return Ok(());
        }
        self.remember(DAY, format!("{today}\n").as_bytes())
    }
}

/// A technician's settings for updates, from `booth.toml` on BOOTH and from nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Minisign's public keys; updates signed by one of them are taken.
    pub keys: Vec<String>,
    /// The booth's id.
    pub booth: String,
    /// `[update] allow`.
    pub allow: Vec<String>,
}

/// The state in `folder`; see [`Store::load`].
pub fn load(disk: &dyn Disk, folder: &Path) -> io::Result<State> {
    match read_whole(disk, &folder.join(STATE), LONGEST) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
        Err(error) => Err(error),
    }
}
