//! What is known of the update: one small file that survives power cuts, read by the gateway and by people.
//!
//! Owns: `state.json` and the trusted keys beside it, in a folder of root's that everybody may read. Each file is replaced
//! in one step. Never does: decide what happens next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::boot::Slot;
use super::manifest::{Floor, Image};
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
    /// There was none yet.
    #[default]
    Idle,
    /// It is being written into the slot that does not run.
    Writing,
    /// It is there, whole; nothing starts it.
    Verified,
    /// The next restart starts it once.
    Armed,
    /// It runs, and has to prove itself.
    Trial,
    /// It has, and is what is started from now on.
    Committed,
    /// It has not; the version from before runs, or is about to.
    RolledBack,
    /// It was not started at all.
    Failed,
    /// A newer version's word, read by an older one: a trial as far as this one can tell.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// As in JSON.
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

    /// Whether something is going on that the lamp asks to leave the power on for.
    pub fn is_under_way(self) -> bool {
        matches!(
            self,
            Phase::Writing | Phase::Verified | Phase::Armed | Phase::Trial | Phase::Unknown
        )
    }
}

/// Which image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// SHA-256 of its `root.sqfs`, hex.
    pub image_id: String,
    /// For people.
    pub version: String,
}

/// What the spool was when the trial was armed; a new version that has lost it is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The card's identity.
    pub card_id: String,
    /// Highest number given to a clip.
    pub last_clip_no: u64,
    /// The gateway had been connected to the broker since its start; then the new version has to be, once.
    #[serde(default)]
    pub was_connected: bool,
}

/// The content of `state.json`. A newer version may say more, which an older one ignores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct State {
    /// 1.
    pub schema: u32,
    /// How far it is.
    pub phase: Phase,
    /// When this phase began, RFC 3339, by a clock that may be wrong.
    pub at: String,
    /// Where the update came from: a file or an address.
    #[serde(default)]
    pub source: String,
    /// What ran before.
    #[serde(default)]
    pub from: Option<Version>,
    /// What is to run.
    #[serde(default)]
    pub to: Option<Version>,
    /// Where it is written.
    #[serde(default)]
    pub slot: Option<Slot>,
    /// Why it failed or went back: a sentence with its remedy.
    #[serde(default)]
    pub reason: String,
    /// What the centre is told of that, where `reason` would tell of the booth's network; empty where it is the reason.
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
    /// The process that wrote this; 0 where a version did not say.
    #[serde(default)]
    pub pid: u32,
    /// When the trial began on the boot-time clock, ms.
    #[serde(default)]
    pub trial_began_ms: Option<u64>,
    /// The spool when the trial was armed; `None` if the booth had none to show.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// The centre's request that it follows; empty for one that a person gave.
    #[serde(default)]
    pub request: String,
    /// How often that request was begun.
    #[serde(default)]
    pub attempts: u32,
}

impl State {
    /// The process that wrote this lives no longer, or ran before the machine was started again; `false` where a version
    /// did not say which. The updater's lock cannot tell: only root may touch it, and whoever probed it would hold it.
    pub fn is_left(&self, boot_id: &str) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| !self.boot_id.is_empty()) else {
            return false;
        };
        self.boot_id != boot_id || test_kill_process(pid) == Err(Errno::SRCH)
    }
}

/// The folder with the state.
#[derive(Clone)]
pub struct Store {
    /// Its disk; what is made there is for everybody to read.
    pub disk: Arc<dyn Disk>,
    /// Usually `/data/booth-update`.
    pub folder: PathBuf,
}

impl Store {
    /// The state, or that of a booth that has never been updated. A file that cannot be understood is one of these too:
    /// whoever reads the state decides by the slot that runs what there is to do.
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

    /// Whose updates are taken. Kept here because here only root writes: the effective configuration belongs to the
    /// unprivileged gateway, which must not be able to make itself root by an update of its own.
    pub fn keys(&self) -> Result<Keys, String> {
        Keys::parse(&self.lines(KEYS)?).map_err(|error| error.to_string())
    }

    /// Which booth this is; empty where no technician has said it.
    pub fn booth(&self) -> Result<String, String> {
        Ok(self.lines(BOOTH)?.into_iter().next().unwrap_or_default())
    }

    /// Whence the centre's updates may come.
    pub fn whence(&self) -> Result<Whence, String> {
        Whence::parse(&self.lines(ALLOW)?)
    }

    fn lines(&self, name: &str) -> Result<Vec<String>, String> {
        let path = self.folder.join(name);
        let text = match read_whole(&*self.disk, &path, LONGEST) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let lines = text.lines().filter(|line| !line.is_empty());
        Ok(lines.map(str::to_owned).collect())
    }

    /// Remembers what the technician's `booth.toml` says; written only where it is something else than before.
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

    /// The highest release that this booth has kept. A file that cannot be understood is none.
    pub fn floor(&self) -> io::Result<Floor> {
        match read_whole(&*self.disk, &self.folder.join(FLOOR), LONGEST) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Floor::default()),
            Err(error) => Err(error),
        }
    }

    /// `running` is kept for good: none of a lower counter comes after it.
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
    /// The highest day that this booth has seen while its clock was synchronised. A file that cannot be understood is none.
    pub fn latest_day(&self) -> io::Result<Option<Date>> {
        match read_whole(&*self.disk, &self.folder.join(DAY), LONGEST) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers this day, UTC by a synchronised clock, if it is later than the latest. A day that was wrong and too late stays, too: all
    /// that follows is that a step back has to be signed for a later one.
    pub fn see_day(&self, today: Date) -> io::Result<()> {
        if self.latest_day()? >= Some(today) {
            return Ok(());
        }
        self.remember(DAY, format!("{today}\n").as_bytes())
    }
}

/// What a technician says of updates, in `booth.toml` on BOOTH and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whose are taken: minisign's public keys.
    pub keys: Vec<String>,
    /// Which booth this is.
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
