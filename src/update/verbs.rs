//! `booth-gateway update`: its forms for a person, for the centre's request and for the start of the machine.
//!
//! Owns: the order of fetching, writing, waiting for an empty booth and restarting; what is shown on the terminal. Never
//! does: restart while somebody is at the handset, or leave a trial armed that does not follow.
#![allow(clippy::disallowed_methods)] // opens the file it is given, and waits between its questions

mod differing;
mod error;
mod request;
mod trial;

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::here::{Booth, Places};
use super::http::{Download, Patience};
use super::slot::{Stage, Verified};
use super::state::{Kept, Phase, State, Store};
use super::trial::{Emptiness, SILENCE, is_in_use};
use super::{Described, Hands, arm, disarm, install};
use crate::config::Config;
use crate::status::{QUESTION, Status};
use crate::trust::keys::Keys;
use crate::trust::whence::Whence;
use booth_host::complain;
use booth_host::config_file::ConfigError;
use booth_host::meter::Meter;
use booth_host::{clock, line_server};
use booth_spool::Card;
use booth_spool::real_disk::RealDisk;
pub use differing::make_differing;
pub use error::{AskError, VerbError};
use request::Wanted;
pub use request::{BadRequest, Request, RequestError};

/// How often the gateway is asked.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A booth that is in use for this long without a break is not updated.
const EMPTY_WITHIN: Duration = Duration::from_secs(3600);
/// How long a restart may take before it counts as failed.
const RESTART_WITHIN: Duration = Duration::from_secs(120);
/// How long the lock is waited for: its holder may be writing another update, or noting its trial.
const LOCK_WITHIN: Duration = Duration::from_secs(300);
/// How long the start of the machine waits for the lock.
const LOCK_BRIEFLY: Duration = Duration::from_secs(30);
/// How long a busy gateway may take to answer what its spool is.
const KEPT_WITHIN: Duration = Duration::from_secs(60);

/// What is done in a stage, for its meter.
fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Writing => "writing",
        Stage::Verifying => "reading back",
    }
}

/// The updater's lock, held until it is dropped.
type Lock = Box<dyn Send + Sync>;

/// Where an update comes from.
enum Source<'a> {
    /// A file or an address that a person names; it may be fetched from anywhere.
    Given(&'a str),
    /// An address that the centre has sent.
    Sent {
        url: &'a str,
        /// Where it may lead.
        whence: Whence,
        /// Whether the centre still wants it.
        is_wanted: &'a dyn Fn() -> bool,
    },
}

/// The means that every form of the verb works with.
pub struct Updater {
    places: Places,
    config: PathBuf,
}

impl Updater {
    /// An updater for the booth whose files are below `root`; `config` is the gateway's configuration.
    pub fn new(root: &Path, config: &Path) -> Self {
        Self {
            places: Places::below(root),
            config: config.to_owned(),
        }
    }

    /// The gateway's configuration, read with the suspicion that the gateway could have made it: none of its links may lead
    /// this process elsewhere.
    fn config(&self) -> Result<Config, ConfigError> {
        let folder = self.config.parent().unwrap_or(Path::new("."));
        // Provisioning's own layout: DATA/config/booth.toml, and DATA is the gateway's.
        let data = match folder.file_name() {
            Some(name) if name == "config" => folder.parent().unwrap_or(folder),
            _ => folder,
        };
        Config::load_guarded(&RealDisk::guarding(data), &self.config)
    }

    /// The state of the latest update.
    pub fn state(&self) -> Result<State, VerbError> {
        let store = self.places.store();
        let path = store.folder.clone();
        store
            .load()
            .map_err(|error| VerbError::Store { path, error })
    }

    /// What an update file is, and whether a trusted key signed it.
    pub fn describe(&self, file: &Path) -> Result<Described, VerbError> {
        let input = open_file(file)?;
        // Off a booth there are no keys; then the result says that.
        let keys = self.places.store().keys().unwrap_or_default();
        Ok(super::describe(input, &keys)?)
    }

    /// Writes an update from a file or an address, and restarts into its trial.
    pub fn install(&self, source: &str, restart: bool) -> Result<(), VerbError> {
        let booth = Booth::find(&self.places)?;
        booth.takes_updates()?;
        let store = self.places.store();
        let _lock = lock(&store)?;
        let keys = store.keys()?;
        self.with(&booth, &store, &keys, |hands| {
            let verified = self.write(hands, Source::Given(source))?;
            complain!(
                "slot {:?} holds {} and was read back",
                verified.slot(),
                verified.image_id()
            );
            if restart {
                self.wait_until_empty()?;
            }
            self.start_trial(hands, &verified, restart)
        })
    }

    /// The wait on a real booth; elsewhere none.
    fn if_real(&self, time: Duration) -> Duration {
        match self.places.is_real() {
            true => time,
            false => Duration::ZERO,
        }
    }

    /// Asks for the lock until this time is over; off a real booth once.
    fn lock_within(&self, store: &Store, within: Duration) -> Result<Lock, VerbError> {
        let until = clock::mono() + self.if_real(within);
        loop {
            match lock(store) {
                Err(_) if clock::mono() < until => std::thread::sleep(ASK_EVERY),
                lock => return lock,
            }
        }
    }

    fn with<T>(
        &self,
        booth: &Booth,
        store: &Store,
        keys: &Keys,
        work: impl FnOnce(&Hands) -> Result<T, VerbError>,
    ) -> Result<T, VerbError> {
        let boot_id = self.places.boot_id();
        let meter = Meter::new();
        let has_fetch_failed = Cell::new(false);
        work(&Hands {
            store,
            boot: &booth.firmware(),
            slots: &|slot| booth.open_slot(slot),
            running_slot: &|| booth.open_running_slot(),
            running: &booth.running,
            keys,
            wall: &clock::wall,
            boot_id: &boot_id,
            is_clock_set: clock::clock_synced(),
            tell: &|progress| meter.tell(doing(progress.stage), progress.done, progress.total),
            has_fetch_failed: &has_fetch_failed,
        })
    }

    /// Writes an update into the other slot. On an error the state says so.
    fn write(&self, hands: &Hands, source: Source) -> Result<Verified, VerbError> {
        let (url, whence, is_wanted): (_, _, &dyn Fn() -> bool) = match source {
            Source::Given(path) if !path.contains("://") => {
                let file = hands.noting(open_file(Path::new(path)))?;
                return Ok(install(hands, io::BufReader::new(file), path)?);
            }
            Source::Given(url) => (url, Whence::anywhere(), &|| true),
            Source::Sent {
                url,
                whence,
                is_wanted,
            } => (url, whence, is_wanted),
        };
        let ca = self.config().ok().and_then(|config| config.mqtt.ca_file);
        let download = Download::new(url, ca.as_deref(), whence, Patience::default());
        let download = hands.noting(download)?;
        let fetched = Wanted::new(download, is_wanted, hands.has_fetch_failed);
        Ok(install(hands, fetched, url)?)
    }

    fn start_trial(
        &self,
        hands: &Hands,
        verified: &Verified,
        restart: bool,
    ) -> Result<(), VerbError> {
        let kept = hands.noting(self.kept())?;
        if restart {
            // Somebody may have lifted the handset since the booth was empty.
            hands.noting(self.wait_until_empty())?;
        }
        arm(hands, verified, kept)?;
        if !restart {
            complain!("the next restart of this machine starts it on trial");
            return Ok(());
        }
        complain!("restarting into the new version, on trial");
        let Err(why) = self.places.restart_cleanly(RESTART_WITHIN) else {
            return Ok(());
        };
        let why = VerbError::NoTrial(why);
        disarm(hands, &why.to_string());
        Err(why)
    }

    /// What the new version must not lose: from the gateway's answer, else from the spool itself. `None` if there is no
    /// spool.
    fn kept(&self) -> Result<Option<Kept>, VerbError> {
        let mut answer = None;
        self.wait(self.if_real(KEPT_WITHIN), || {
            let status = self.ask().ok();
            answer = status.filter(|status| !status.card_id.is_empty());
            answer.is_some()
        });
        if let Some(status) = answer {
            return Ok(Some(Kept {
                card_id: status.card_id,
                last_clip_no: status.last_clip_no,
                was_connected: status.connected == 1 || status.was_connected == 1,
            }));
        }
        let Ok(config) = self.config() else {
            return Ok(None);
        };
        let disk = RealDisk::guarding(&config.spool.dir);
        let card = Card::identity(&disk, &config.spool.dir)
            .map_err(|why| VerbError::UnknownCard(why.to_string()))?;
        Ok(card.map(|card| Kept {
            card_id: card.card_id.to_string(),
            last_clip_no: card.clip_no_floor,
            was_connected: false,
        }))
    }

    /// Whether somebody is at the handset; `None` where the gateway does not answer.
    fn is_in_use(&self) -> Option<bool> {
        self.ask().ok().map(|status| is_in_use(&status))
    }

    /// Waits until nobody is at the handset, at most this long; false if somebody is there then. With a gateway that has not
    /// answered for a minute, nobody can be served.
    fn is_empty_within(&self, limit: Duration) -> bool {
        let (mut booth, silence) = (Emptiness::default(), self.if_real(SILENCE));
        self.wait(limit, || {
            booth.look(clock::mono(), self.is_in_use(), silence)
        })
    }

    /// Waits until nobody is at the handset.
    ///
    /// # Errors
    /// Somebody was there for an hour.
    pub fn wait_until_empty(&self) -> Result<(), VerbError> {
        match self.is_empty_within(EMPTY_WITHIN) {
            true => Ok(()),
            false => Err(VerbError::InUse),
        }
    }

    /// Waits until something is done; false if it is not by then.
    fn wait(&self, limit: Duration, mut is_done: impl FnMut() -> bool) -> bool {
        let until = clock::mono() + limit;
        loop {
            if is_done() {
                return true;
            }
            if clock::mono() >= until {
                return false;
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// Asks the gateway itself.
    fn ask(&self) -> Result<Status, AskError> {
        // The configuration may have been provisioned only now.
        let config = self.config().map_err(AskError::NotSetUp)?;
        let socket = config.doctor_socket();
        let reply = line_server::ask(&socket, QUESTION);
        let reply = reply.map_err(|error| AskError::Silent { socket, error })?;
        Ok(serde_json::from_str(&reply)?)
    }
}

impl Hands<'_> {
    /// The same result; an error is noted in the state as the reason why there is no trial.
    fn noting<T, E: std::fmt::Display>(&self, result: Result<T, E>) -> Result<T, E> {
        result.inspect_err(|why| self.fail(&why.to_string()))
    }
}

/// How long a trial takes by default.
pub fn usual_patience() -> (Duration, Duration) {
    (super::trial::PATIENCE, super::trial::STEADY)
}

fn lock(store: &Store) -> Result<Lock, VerbError> {
    let failed = |path: PathBuf| move |error| VerbError::Store { path, error };
    let made = store.disk.make_folder(&store.folder);
    made.map_err(failed(store.folder.clone()))?;
    let path = store.folder.join("lock");
    let lock = store.disk.lock(&path).map_err(failed(path))?;
    lock.ok_or(VerbError::Locked)
}

fn open_file(path: &Path) -> Result<File, VerbError> {
    File::open(path).map_err(|error| VerbError::File {
        path: path.to_owned(),
        error,
    })
}

/// The state in a few lines for people.
pub fn told(state: &State) -> String {
    let name = |version: &Option<super::state::Version>| match version {
        Some(version) => format!(
            "{} ({})",
            version.version,
            version.image_id.get(..12).unwrap_or_default()
        ),
        None => "?".into(),
    };
    if state.phase == Phase::Idle {
        return "there was no update on this card yet\n".into();
    }
    let mut text = format!("{} since {}\n", state.phase.word(), state.at);
    text += &format!("from {} to {}\n", name(&state.from), name(&state.to));
    if state.phase == Phase::Writing && state.total > 0 {
        text += &format!("{} % written\n", state.done * 100 / state.total);
    }
    if !state.reason.is_empty() {
        text += &format!("{}\n", state.reason);
    }
    text
}
