//! `booth-gateway update`: what a person, the centre's request and the start of the machine make of it.
//!
//! Owns: the order of fetching, writing, waiting for an empty booth and restarting; what is said on the terminal. Never
//! does: restart while somebody is at the handset, or leave a trial armed that does not follow.
#![allow(clippy::disallowed_methods)] // opens the file it is given, and waits between its questions

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::boot::BootError;
use super::here::{Booth, Places};
use super::http::{Download, Patience, check_url};
use super::keys::Keys;
use super::manifest::Manifest;
use super::slot::{Progress, Stage, Verified};
use super::state::{Kept, Phase, State, Store};
use super::trial::{self, Trial, Verdict, is_in_use};
use super::{Hands, REQUEST, UpdateError, arm, commit, disarm, give_up, install, settle};
use crate::adapters::{clock, line_server};
use crate::config::Config;
use crate::doctor::{QUESTION, Status};
use crate::gateway::time::Mono;

/// The gateway is asked this often.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A booth that is in use for so long without a break is not updated.
const EMPTY_WITHIN: Duration = Duration::from_secs(3600);
/// A trial is over by then.
const TRIAL_OVER: Duration = Duration::from_secs(20 * 60);
/// After a restart that did not come.
const RESTART_WITHIN: Duration = Duration::from_secs(120);
/// A request that was begun so often without an end is dropped.
const MOST_ATTEMPTS: u32 = 3;
const LONGEST_REQUEST: u64 = 16 * 1024;
/// Before a request that stays is begun again.
const PAUSE: Duration = Duration::from_secs(60);

/// What the gateway leaves for the updater.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Tells one request from another.
    pub id: String,
    /// Where the update is.
    pub url: String,
}

/// What every form of the verb works with.
pub struct Updater {
    places: Places,
    config: PathBuf,
}

impl Updater {
    /// On the booth whose files are below `root`; `config` is the gateway's configuration.
    pub fn new(root: &Path, config: &Path) -> Self {
        Self {
            places: Places::below(root),
            config: config.to_owned(),
        }
    }

    /// How far the latest update is.
    pub fn state(&self) -> Result<State, String> {
        let store = self.places.store();
        let place = store.folder.display().to_string();
        store.load().map_err(|error| format!("{place}: {error}"))
    }

    /// What an update file says of itself, and who signed it.
    pub fn describe(&self, file: &Path) -> Result<(Manifest, Result<(), String>), String> {
        let input = open_file(file)?;
        // Off a booth there are no keys; then that is what is said.
        let keys = self.places.store().keys().unwrap_or_default();
        let (manifest, signed) =
            super::describe(input, &keys).map_err(|error| error.to_string())?;
        Ok((manifest, signed.map_err(|error| error.to_string())))
    }

    /// Writes an update from a file or an address, and restarts into its trial.
    pub fn install(&self, source: &str, restart: bool) -> Result<(), String> {
        let booth = Booth::find(&self.places)?;
        let store = self.places.store();
        let _lock = lock(&store)?;
        let keys = store.keys()?;
        self.with(&booth, &store, &keys, |hands| {
            let verified = self.write(hands, source)?;
            eprintln!(
                "slot {:?} holds {} and was read back",
                verified.slot(),
                verified.image_id()
            );
            if restart {
                self.wait_until_empty()?;
            }
            self.start_trial(&booth, hands, &verified, restart)
        })
    }

    /// Does what the centre has asked for.
    pub fn requested(&self) -> Result<(), String> {
        let config = Config::load(&self.config).map_err(|error| error.to_string())?;
        let place = config.spool.dir.join(REQUEST);
        let done = self.follow_request(&place);
        if place.exists() {
            // The service is started again as long as the request is there; not without a break.
            std::thread::sleep(if self.places.is_real() {
                PAUSE
            } else {
                Duration::ZERO
            });
        }
        done
    }

    fn follow_request(&self, place: &Path) -> Result<(), String> {
        let booth = Booth::find(&self.places)?;
        let store = self.places.store();
        let _lock = lock(&store)?;
        let keys = store.keys()?;
        let done = self.with(&booth, &store, &keys, |hands| match read_request(place) {
            Ok(Some(request)) => self.follow(&booth, hands, &request, place),
            Ok(None) => Ok(()),
            Err(why) => {
                hands.fail(&why);
                Err(why)
            }
        });
        // Whatever came of it is in the state; a request that stays is begun again.
        remove(place).and(done)
    }

    fn follow(
        &self,
        booth: &Booth,
        hands: &Hands,
        request: &Request,
        place: &Path,
    ) -> Result<(), String> {
        let said = |error: UpdateError| error.to_string();
        if !self.wait(TRIAL_OVER, || {
            Ok(!hands
                .boot
                .is_on_trial()
                .map_err(|error| error.to_string())?)
        })? {
            return Err(BootError::OnTrial.to_string());
        }
        let mut state = hands.store.load().map_err(|error| error.to_string())?;
        let is_same = state.request == request.id;
        if is_same
            && matches!(
                state.phase,
                Phase::Armed | Phase::Trial | Phase::Committed | Phase::RolledBack
            )
        {
            return Ok(());
        }
        state.attempts = if is_same { state.attempts + 1 } else { 1 };
        state.request.clone_from(&request.id);
        hands
            .store
            .save(&state)
            .map_err(|error| said(UpdateError::State(error)))?;
        if state.attempts > MOST_ATTEMPTS {
            let why = format!(
                "the update was begun {MOST_ATTEMPTS} times and never came to its end; see the booth's supply and log"
            );
            hands.fail(&why);
            return Err(why);
        }
        let verified = self.write(hands, &request.url)?;
        if let Err(why) = self.wait_until_empty() {
            hands.fail(&why);
            return Err(why);
        }
        // Before the trial: afterwards nobody may begin it again.
        if let Err(why) = remove(place) {
            hands.fail(&why);
            return Err(why);
        }
        self.start_trial(booth, hands, &verified, true)
    }

    /// At the start of the machine: what became of an update; and the watch over a version on trial. True if it was
    /// committed, false if there is nothing on trial or it was given up.
    pub fn trial(&self, patience: Duration, steady: Duration) -> Result<bool, String> {
        let booth = Booth::find(&self.places)?;
        let store = self.places.store();
        let keys = Keys::default();
        self.with(&booth, &store, &keys, |hands| {
            let said = |error: UpdateError| error.to_string();
            let Some(state) = settle(hands, clock::mono()).map_err(said)? else {
                return Ok(false);
            };
            log::warn!(version = hands.running.version.as_str(); "this version is on trial");
            let began = state.trial_began_ms.map_or_else(clock::mono, Mono);
            let mut trial = Trial::new(began, patience, steady, state.kept);
            loop {
                let answer = self.ask();
                match trial.look(clock::mono(), answer.as_ref().map_err(String::as_str)) {
                    Verdict::Wait => std::thread::sleep(ASK_EVERY.min(steady.max(Duration::from_millis(50)))),
                    Verdict::Commit => {
                        commit(hands).map_err(said)?;
                        log::warn!(version = hands.running.version.as_str(); "this version is kept");
                        return Ok(true);
                    }
                    Verdict::GiveUp(why) => {
                        log::error!("{why}");
                        // The restart counts, not its note.
                        if let Err(error) = give_up(hands, &why) {
                            log::error!("{error}");
                        }
                        booth.restart()?;
                        return Ok(false);
                    }
                }
            }
        })
    }

    fn with<T>(
        &self,
        booth: &Booth,
        store: &Store,
        keys: &Keys,
        work: impl FnOnce(&Hands) -> Result<T, String>,
    ) -> Result<T, String> {
        let boot_id = self.places.boot_id();
        let meter = Meter::new();
        work(&Hands {
            store,
            boot: &booth.firmware(),
            slots: &|slot| booth.open_slot(slot),
            running: &booth.running,
            keys,
            wall: &clock::wall,
            boot_id: &boot_id,
            tell: &|progress| meter.tell(progress),
        })
    }

    fn write(&self, hands: &Hands, source: &str) -> Result<Verified, String> {
        let result = if source.contains("://") {
            let ca = Config::load(&self.config)
                .ok()
                .and_then(|config| config.mqtt.ca_file);
            match Download::new(source, ca.as_deref(), Patience::default()) {
                Ok(download) => install(hands, download, source),
                Err(why) => Err(UpdateError::Here(why)),
            }
        } else {
            match open_file(Path::new(source)) {
                Ok(file) => install(hands, io::BufReader::new(file), source),
                Err(why) => Err(UpdateError::Here(why)),
            }
        };
        if let Err(UpdateError::Here(why)) = &result {
            hands.fail(why);
        }
        result.map_err(|error| error.to_string())
    }

    fn start_trial(
        &self,
        booth: &Booth,
        hands: &Hands,
        verified: &Verified,
        restart: bool,
    ) -> Result<(), String> {
        let kept = self
            .ask()
            .ok()
            .filter(|status| !status.card_id.is_empty())
            .map(|status| Kept {
                card_id: status.card_id,
                last_clip_no: status.last_clip_no,
            });
        arm(hands, verified, kept).map_err(|error| error.to_string())?;
        if !restart {
            eprintln!("the next restart of this machine starts it on trial");
            return Ok(());
        }
        let restarting = booth.restart();
        if restarting.is_ok() {
            eprintln!("restarting into the new version, on trial");
            // SIGTERM ends this.
            std::thread::sleep(if self.places.is_real() {
                RESTART_WITHIN
            } else {
                Duration::ZERO
            });
            if !self.places.is_real() {
                return Ok(());
            }
        }
        let why = restarting.err().unwrap_or_else(|| {
            "the machine was told to restart and did not; switch the booth off and on, and send the update again".into()
        });
        disarm(hands, &why);
        Err(why)
    }

    /// Waits until nobody is at the handset. A gateway that does not answer serves nobody.
    fn wait_until_empty(&self) -> Result<(), String> {
        let is_empty = self.wait(EMPTY_WITHIN, || {
            Ok(!self.ask().is_ok_and(|status| is_in_use(&status)))
        })?;
        is_empty
            .then_some(())
            .ok_or_else(|| "the booth was in use for an hour without a break; send the update again at another time".into())
    }

    fn wait(
        &self,
        limit: Duration,
        is_done: impl Fn() -> Result<bool, String>,
    ) -> Result<bool, String> {
        let until = clock::mono() + limit;
        loop {
            if is_done()? {
                return Ok(true);
            }
            if clock::mono() >= until {
                return Ok(false);
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// The gateway's own word.
    fn ask(&self) -> Result<Status, String> {
        // It may be provisioned only now.
        let config = Config::load(&self.config)
            .map_err(|error| format!("the gateway is not set up: {error}"))?;
        let socket = config.doctor_socket();
        let reply = line_server::ask(&socket, QUESTION).map_err(|error| {
            format!(
                "the gateway does not answer on {}: {error}",
                socket.display()
            )
        })?;
        serde_json::from_str(&reply)
            .map_err(|error| format!("the gateway's answer cannot be understood: {error}"))
    }
}

/// How long a trial takes by default.
pub fn usual_patience() -> (Duration, Duration) {
    (trial::PATIENCE, trial::STEADY)
}

fn lock(store: &Store) -> Result<Box<dyn Send + Sync>, String> {
    let path = store.folder.join("lock");
    store
        .disk
        .make_folder(&store.folder)
        .map_err(|error| format!("{}: {error}", store.folder.display()))?;
    match store.disk.lock(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => {
            Err("another update is being written; see `booth-gateway update --status`".into())
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn open_file(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("{}: {error}; name an update file", path.display()))
}

/// What the unprivileged gateway has left. `None` if there is nothing; no link is followed.
fn read_request(place: &Path) -> Result<Option<Request>, String> {
    let fault = |why: String| {
        format!(
            "the centre's request {}: {why}; send it again",
            place.display()
        )
    };
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits() | OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(no_link)
        .open(place)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error.to_string())),
    };
    if !file.metadata().is_ok_and(|facts| facts.is_file()) {
        return Err(fault("it is no file".into()));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_REQUEST)
        .read_to_end(&mut bytes)
        .map_err(|error| fault(error.to_string()))?;
    let request: Request =
        serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    check_url(&request.url).map_err(fault)?;
    Ok(Some(request))
}

fn remove(place: &Path) -> Result<(), String> {
    match std::fs::remove_file(place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", place.display()))
        }
        _ => Ok(()),
    }
}

/// Progress for people, on the terminal or in the journal.
struct Meter {
    is_terminal: bool,
    began: Cell<Mono>,
    stage: Cell<Option<Stage>>,
    /// In hundredths on a terminal, in tenths elsewhere.
    step: Cell<u64>,
}

impl Meter {
    fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            began: Cell::new(clock::mono()),
            stage: Cell::new(None),
            step: Cell::new(0),
        }
    }

    fn tell(&self, progress: Progress) {
        if self.stage.replace(Some(progress.stage)) != Some(progress.stage) {
            self.began.set(clock::mono());
            self.step.set(0);
        }
        let steps = if self.is_terminal { 100 } else { 10 };
        let step = progress.done * steps / progress.total;
        if self.step.replace(step) == step {
            return;
        }
        let line = sentence(progress, clock::mono().since(self.began.get()));
        let mut out = io::stderr();
        // Nobody may be looking.
        let _ = match self.is_terminal {
            true if progress.done < progress.total => write!(out, "\r{line}   "),
            true => writeln!(out, "\r{line}   "),
            false => writeln!(out, "{line}"),
        };
    }
}

/// E.g. `writing 37 %: 48 of 130 MB, 9.8 MB/s`.
fn sentence(progress: Progress, took: Duration) -> String {
    let doing = match progress.stage {
        Stage::Writing => "writing",
        Stage::Verifying => "reading back",
    };
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let seconds = took.as_secs_f64().max(0.001);
    format!(
        "{doing} {} %: {:.0} of {:.0} MB, {:.1} MB/s",
        progress.done * 100 / progress.total,
        megabytes(progress.done),
        megabytes(progress.total),
        megabytes(progress.done) / seconds
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_percent_and_speed() {
        let progress = Progress {
            stage: Stage::Writing,
            done: 48_000_000,
            total: 130_000_000,
        };
        let said = sentence(progress, Duration::from_secs(5));
        assert_eq!(said, "writing 36 %: 48 of 130 MB, 9.6 MB/s");
    }

    #[test]
    fn a_request_that_is_no_file_of_the_gateways_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("request.json");
        assert_eq!(read_request(&place), Ok(None));
        let request = Request {
            id: "1".into(),
            url: "http://x/y".into(),
        };
        let text = serde_json::to_string(&request).expect("JSON");
        std::fs::write(&place, &text).expect("written");
        assert_eq!(read_request(&place), Ok(Some(request)));
        for bad in ["", "{}", r#"{"id":"1","url":"file:///etc/shadow"}"#] {
            std::fs::write(&place, bad).expect("written");
            assert!(read_request(&place).is_err(), "{bad}");
        }
        let other = folder.path().join("other");
        std::fs::write(&other, &text).expect("written");
        std::fs::remove_file(&place).expect("removed");
        std::os::unix::fs::symlink(&other, &place).expect("a link");
        assert!(read_request(&place).is_err(), "a link is not followed");
        remove(&place).expect("removed");
        assert!(other.exists());
        std::fs::create_dir(&place).expect("a folder");
        assert!(read_request(&place).is_err());
    }
}
