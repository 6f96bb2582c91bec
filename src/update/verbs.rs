//! `booth-gateway update`: its forms for a person, for the centre's request and for the start of the machine.
//!
//! Owns: the order of fetching, writing, waiting for an empty booth and restarting; what is shown on the terminal. Never
//! does: restart while somebody is at the handset, or leave a trial armed that does not follow.
#![allow(clippy::disallowed_methods)] // opens the file it is given, and waits between its questions

use std::cell::Cell;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::boot::{BootControl, BootError};
use super::here::{Booth, Places};
use super::http::{Download, Patience, check_url};
use super::manifest::Manifest;
use super::slot::{Progress, Stage, Verified};
use super::state::{Kept, Phase, State, Store};
use super::trial::{self, Trial, Verdict, is_in_use};
use super::{
    Hands, REQUEST, Start, UpdateError, arm, commit, disarm, give_up, install, note_failure, settle,
};
use crate::config::Config;
use crate::status::{QUESTION, Status};
use crate::trust::keys::Keys;
use crate::trust::whence::Whence;
use booth_contract::time::Mono;
use booth_host::complain;
use booth_host::{clock, line_server, out};
use booth_spool::Card;
use booth_spool::disk::{Disk, read_whole};
use booth_spool::real_disk::RealDisk;

/// How often the gateway is asked.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A booth that is in use for this long without a break is not updated.
const EMPTY_WITHIN: Duration = Duration::from_secs(3600);
/// After this long a trial is over.
const TRIAL_OVER: Duration = Duration::from_secs(20 * 60);
/// How long a restart may take before it counts as failed.
const RESTART_WITHIN: Duration = Duration::from_secs(120);
/// A request that was begun this often without an end is dropped.
const MOST_ATTEMPTS: u32 = 3;
const LONGEST_REQUEST: u64 = 16 * 1024;
/// How long the lock is waited for: its holder may be writing another update, or noting its trial.
const LOCK_WITHIN: Duration = Duration::from_secs(300);
/// How long the start of the machine waits for the lock.
const LOCK_BRIEFLY: Duration = Duration::from_secs(30);
/// How long a busy gateway may take to answer what its spool is.
const KEPT_WITHIN: Duration = Duration::from_secs(60);
/// Pause before a request that stays is begun again.
const PAUSE: Duration = Duration::from_secs(60);
/// How long the one-shot flag may take to appear after the start.
const FLAG_WITHIN: Duration = Duration::from_secs(60);

/// The request that the gateway leaves for the updater.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Distinguishes one request from another.
    pub id: String,
    /// Where the update is.
    pub url: String,
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
    fn config(&self) -> Result<Config, String> {
        let folder = self.config.parent().unwrap_or(Path::new("."));
        // Provisioning's own layout: DATA/config/booth.toml, and DATA is the gateway's.
        let data = match folder.file_name() {
            Some(name) if name == "config" => folder.parent().unwrap_or(folder),
            _ => folder,
        };
        let disk = RealDisk::guarding(data);
        Config::load_guarded(&disk, &self.config).map_err(|error| error.to_string())
    }

    /// The state of the latest update.
    pub fn state(&self) -> Result<State, String> {
        let store = self.places.store();
        let place = store.folder.display().to_string();
        store.load().map_err(|error| format!("{place}: {error}"))
    }

    /// The manifest of an update file, and whether a trusted key signed it.
    pub fn describe(&self, file: &Path) -> Result<(Manifest, Result<(), String>), String> {
        let input = open_file(file)?;
        // Off a booth there are no keys; then the result says that.
        let keys = self.places.store().keys().unwrap_or_default();
        let (manifest, signed) =
            super::describe(input, &keys).map_err(|error| error.to_string())?;
        Ok((manifest, signed.map_err(|error| error.to_string())))
    }

    /// Writes an update from a file or an address, and restarts into its trial.
    pub fn install(&self, source: &str, restart: bool) -> Result<(), String> {
        let booth = Booth::find(&self.places)?;
        booth.takes_updates()?;
        let store = self.places.store();
        let _lock = lock(&store)?;
        let keys = store.keys()?;
        self.with(&booth, &store, &keys, |hands| {
            let verified = self.write(hands, source, Whence::anywhere(), &|| true)?;
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

    /// Carries out the centre's request.
    pub fn requested(&self) -> Result<(), String> {
        self.places.need_root()?;
        let config = self.config();
        let (done, stays) = match config {
            Err(why) => (Err(why), true),
            Ok(config) => {
                let spool = &config.spool.dir;
                let done = self.follow_request(spool);
                (done, spool.join(REQUEST).exists())
            }
        };
        if stays {
            // The service is started again as long as the request is there; this pause keeps that from happening without a
            // break.
            std::thread::sleep(self.if_real(PAUSE));
        }
        done
    }

    /// The wait on a real booth; elsewhere none.
    fn if_real(&self, time: Duration) -> Duration {
        match self.places.is_real() {
            true => time,
            false => Duration::ZERO,
        }
    }

    fn follow_request(&self, spool: &Path) -> Result<(), String> {
        if self.is_on_trial_for(TRIAL_OVER) {
            // During a trial the state is the trial's: the request stays for the version that runs afterwards.
            return Err(BootError::OnTrial.to_string());
        }
        let store = self.places.store();
        let before = store.load().unwrap_or_default();
        let done = self.try_request(&store, spool);
        if let Err(why) = &done {
            let state = store.load().unwrap_or_default();
            let is_told =
                state.phase == Phase::Failed && state.reason == *why && state.at != before.at;
            if !is_told {
                note_failure(&store, clock::wall(), &self.places.boot_id(), why, "");
            }
        }
        // The result is in the state; a request that stays is begun again.
        remove_request(spool).and(done)
    }

    /// Waits for a trial to be over; true if it is still on after `limit`.
    fn is_on_trial_for(&self, limit: Duration) -> bool {
        let is_over = self.wait(limit, || {
            let booth = Booth::find(&self.places)?;
            let known = booth.firmware().is_on_trial();
            Ok(!known.unwrap_or_else(|_| self.places.is_marked_on_trial()))
        });
        // A machine that is no booth, or that cannot be examined, is not on trial unless the initrd has marked it.
        !is_over.unwrap_or_else(|_| !self.places.is_marked_on_trial())
    }

    fn try_request(&self, store: &Store, spool: &Path) -> Result<(), String> {
        let booth = Booth::find(&self.places)?;
        booth.takes_updates()?;
        let _lock = self.lock_within(store, LOCK_WITHIN)?;
        // A request that outlived a power cut is carried out as soon as the machine starts, so the flag is waited for. If
        // the kernel has no such flag, that is reported when an update needs it.
        self.wait(self.if_real(FLAG_WITHIN), || {
            Ok(booth.firmware().flag.is_there())
        })?;
        let keys = store.keys()?;
        self.with(&booth, store, &keys, |hands| match read_request(spool)? {
            Some(request) => self.follow(hands, &request, spool),
            None => Ok(()),
        })
    }

    fn follow(&self, hands: &Hands, request: &Request, spool: &Path) -> Result<(), String> {
        let said = |error: UpdateError| error.to_string();
        let mut state = hands.store.load().map_err(|error| error.to_string())?;
        let is_same = state.request == request.id;
        if is_same
            && matches!(
                state.phase,
                Phase::Armed | Phase::Trial | Phase::Unknown | Phase::Committed | Phase::RolledBack
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
        let whence = hands.store.whence().inspect_err(|why| hands.fail(why))?;
        let is_wanted = || matches!(read_request(spool), Ok(Some(still)) if still.id == request.id);
        let verified = self.write(hands, &request.url, whence, &is_wanted)?;
        if let Err(why) = self.wait_until_empty() {
            hands.fail(&why);
            return Err(why);
        }
        if !is_wanted() {
            hands.fail(CANCELLED);
            return Err(CANCELLED.into());
        }
        // The request is removed before the trial: afterwards it must not begin again.
        if let Err(why) = remove_request(spool) {
            hands.fail(&why);
            return Err(why);
        }
        self.start_trial(hands, &verified, true)
    }

    /// At the start of the machine: finds out what became of an update, and watches over a version on trial. True if the
    /// version was committed, false if there is nothing on trial or the trial was given up. If it cannot be found out
    /// whether the version is on trial, this asks again until the time of a trial is over; then the machine restarts.
    pub fn trial(&self, patience: Duration, steady: Duration) -> Result<bool, String> {
        self.places.need_root()?;
        let store = self.places.store();
        let pause = ASK_EVERY.min(steady.max(Duration::from_millis(50)));
        let mut complaint = String::new();
        loop {
            let booth = Booth::find(&self.places);
            let looked = booth.as_ref().map_err(Clone::clone).and_then(|booth| {
                self.with(booth, &store, &Keys::default(), |hands| self.look(hands))
            });
            let why = match (looked, booth) {
                (Ok(Start::Usual), _) => return Ok(false),
                (Ok(Start::Lost(why)), _) => {
                    log::error!("{why}");
                    let _ = self.wait(trial::COURTESY, || Ok(!self.is_in_use()));
                    return self.go_back();
                }
                (Ok(Start::Trial(state)), Ok(booth)) => {
                    let began = self.places.trial_began(clock::mono());
                    let trial = Trial::new(began, patience, steady, state.kept);
                    return self.with(&booth, &store, &Keys::default(), |hands| {
                        self.watch(hands, trial, began + patience, pause)
                    });
                }
                (Err(why), _) | (Ok(Start::Trial(_)), Err(why)) => why,
            };
            if !self.may_be_on_trial(&store) {
                if self.places.at("/run/booth").exists() {
                    log::error!("{why}");
                    return Ok(false);
                }
                return Err(why);
            }
            if why != complaint {
                log::warn!("this version may be on trial, and that cannot be found out: {why}");
                complaint.clone_from(&why);
            }
            if clock::mono().since(self.places.trial_began(clock::mono())) >= patience {
                log::error!("{why}");
                return self.go_back();
            }
            std::thread::sleep(pause);
        }
    }

    /// Settles under the lock. A trial gets its verdict even if the lock cannot be had.
    fn look(&self, hands: &Hands) -> Result<Start, String> {
        let _lock = match self.lock_within(hands.store, LOCK_BRIEFLY) {
            Ok(lock) => Some(lock),
            Err(why) if hands.boot.is_on_trial().unwrap_or(true) => {
                log::warn!("{why}");
                None
            }
            // The holder of the lock writes an update and knows its state.
            Err(why) => {
                log::warn!("{why}");
                return Ok(Start::Usual);
            }
        };
        let has_request = self
            .config()
            .is_ok_and(|config| config.spool.dir.join(REQUEST).exists());
        settle(hands, clock::mono(), has_request).map_err(|error| error.to_string())
    }

    /// Asks for the lock until this time is over; off a real booth once.
    fn lock_within(&self, store: &Store, within: Duration) -> Result<Box<dyn Send + Sync>, String> {
        let until = clock::mono() + self.if_real(within);
        loop {
            match lock(store) {
                Err(_) if clock::mono() < until => std::thread::sleep(ASK_EVERY),
                lock => return lock,
            }
        }
    }

    /// Whether this may be a trial; for the case that neither the firmware's file nor the image's can be read.
    fn may_be_on_trial(&self, store: &Store) -> bool {
        let booth = Booth::find(&self.places);
        if let Ok(booth) = &booth
            && let Ok(is_on_trial) = booth.firmware().is_on_trial()
        {
            return is_on_trial;
        }
        let is_noted = || {
            let state = store.load().unwrap_or_default();
            let is_begun = matches!(state.phase, Phase::Armed | Phase::Trial | Phase::Unknown);
            let running = booth.as_ref().map(|booth| booth.running.image_id.as_str());
            is_begun && state.to.is_some_and(|to| running == Ok(&to.image_id))
        };
        self.places.is_marked_on_trial() || is_noted()
    }

    fn watch(
        &self,
        hands: &Hands,
        mut trial: Trial,
        over: Mono,
        pause: Duration,
    ) -> Result<bool, String> {
        log::warn!(version = hands.running.version.as_str(); "this version is on trial");
        let mut complaint = String::new();
        loop {
            let answer = self.ask();
            let verdict = trial.look(clock::mono(), answer.as_ref().map_err(String::as_str));
            let verdict = match verdict {
                Verdict::Commit => {
                    let _lock = self.lock_within(hands.store, LOCK_BRIEFLY);
                    match commit(hands) {
                        Ok(()) => Verdict::Commit,
                        // The commitment counts; only its note failed.
                        Err(error @ UpdateError::State(_)) => {
                            log::warn!("{error}");
                            Verdict::Commit
                        }
                        Err(error) if clock::mono() < over => {
                            let why = error.to_string();
                            if why != complaint {
                                log::warn!("this version cannot be kept yet: {why}");
                                complaint = why;
                            }
                            Verdict::Wait
                        }
                        Err(error) => Verdict::GiveUp(format!(
                            "the new version proved itself, but could not be kept: {error}"
                        )),
                    }
                }
                other => other,
            };
            match verdict {
                Verdict::Wait => std::thread::sleep(pause),
                Verdict::Commit => {
                    log::warn!(version = hands.running.version.as_str(); "this version is kept");
                    return Ok(true);
                }
                Verdict::GiveUp(why) => {
                    log::error!("{why}");
                    // The restart counts, not its note.
                    if let Err(error) = give_up(hands, &why) {
                        log::error!("{error}");
                    }
                    return self.go_back();
                }
            }
        }
    }

    /// Restarts, which brings back the version from before.
    fn go_back(&self) -> Result<bool, String> {
        self.places.restart(RESTART_WITHIN).map(|()| false)
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
        let has_fetch_failed = Cell::new(false);
        work(&Hands {
            store,
            boot: &booth.firmware(),
            slots: &|slot| booth.open_slot(slot),
            running: &booth.running,
            keys,
            wall: &clock::wall,
            boot_id: &boot_id,
            is_clock_set: clock::clock_synced(),
            tell: &|progress| meter.tell(progress),
            has_fetch_failed: &has_fetch_failed,
        })
    }

    /// `whence` and `is_wanted` come from the centre's request; an update that a person names may be fetched from anywhere
    /// and is not interrupted.
    fn write(
        &self,
        hands: &Hands,
        source: &str,
        whence: Whence,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Verified, String> {
        let result = if source.contains("://") {
            let ca = self.config().ok().and_then(|config| config.mqtt.ca_file);
            match Download::new(source, ca.as_deref(), whence, Patience::default()) {
                Ok(download) => {
                    let fetched = Wanted {
                        download,
                        is_wanted,
                        asked: clock::mono(),
                        has_failed: hands.has_fetch_failed,
                    };
                    install(hands, fetched, source)
                }
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

    fn start_trial(&self, hands: &Hands, verified: &Verified, restart: bool) -> Result<(), String> {
        let kept = match self.kept() {
            Ok(kept) => kept,
            Err(why) => {
                hands.fail(&why);
                return Err(why);
            }
        };
        arm(hands, verified, kept).map_err(|error| error.to_string())?;
        if !restart {
            complain!("the next restart of this machine starts it on trial");
            return Ok(());
        }
        complain!("restarting into the new version, on trial");
        let Err(why) = self.places.restart_cleanly(RESTART_WITHIN) else {
            return Ok(());
        };
        let why = format!("{why}, and send the update again");
        disarm(hands, &why);
        Err(why)
    }

    /// What the new version must not lose: from the gateway's answer, else from the spool itself. `None` if there is no
    /// spool.
    fn kept(&self) -> Result<Option<Kept>, String> {
        let mut answer = None;
        self.wait(self.if_real(KEPT_WITHIN), || {
            let status = self.ask().ok();
            answer = status.filter(|status| !status.card_id.is_empty());
            Ok(answer.is_some())
        })?;
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
        let card = Card::identity(&disk, &config.spool.dir).map_err(|why| {
            format!(
                "the gateway does not answer and the spool's card.json cannot be read ({why}), so nobody could say whether \
                 the new version keeps what was recorded; see `booth-gateway doctor`, and send the update again"
            )
        })?;
        Ok(card.map(|card| Kept {
            card_id: card.card_id.to_string(),
            last_clip_no: card.clip_no_floor,
            was_connected: false,
        }))
    }

    fn is_in_use(&self) -> bool {
        self.ask().is_ok_and(|status| is_in_use(&status))
    }

    /// Waits until nobody is at the handset. With a gateway that does not answer, nobody can be served.
    fn wait_until_empty(&self) -> Result<(), String> {
        let is_empty = self.wait(EMPTY_WITHIN, || Ok(!self.is_in_use()))?;
        is_empty
            .then_some(())
            .ok_or_else(|| "the booth was in use for an hour without a break; send the update again at another time".into())
    }

    fn wait(
        &self,
        limit: Duration,
        mut is_done: impl FnMut() -> Result<bool, String>,
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

    /// Asks the gateway itself.
    fn ask(&self) -> Result<Status, String> {
        // The configuration may have been provisioned only now.
        let config = self
            .config()
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

/// The request that the unprivileged gateway has left in `spool`. `None` if there is none; no link is followed.
fn read_request(spool: &Path) -> Result<Option<Request>, String> {
    let place = spool.join(REQUEST);
    let fault = |why: String| {
        format!(
            "the centre's request {}: {why}; send it again",
            place.display()
        )
    };
    let bytes = match read_whole(&RealDisk::guarding(spool), &place, LONGEST_REQUEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error.to_string())),
    };
    let request: Request =
        serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    check_url(&request.url).map_err(fault)?;
    Ok(Some(request))
}

/// Removes the request, even if it is no plain file.
fn remove_request(spool: &Path) -> Result<(), String> {
    let place = spool.join(REQUEST);
    let disk = RealDisk::guarding(spool);
    let removed = match disk.unlink(&place) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => disk.remove_tree(&place),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("{}: {error}", place.display()))
        }
        _ => Ok(()),
    }
}

/// The reason noted after the centre has taken its request back.
const CANCELLED: &str = "the centre has cancelled the update; nothing was changed";
/// How often it is checked whether the update is still wanted.
const WANTED_EVERY: Duration = Duration::from_secs(1);

/// The stream of an update, which ends when the update is not wanted any more.
struct Wanted<'a> {
    download: Download,
    is_wanted: &'a dyn Fn() -> bool,
    asked: Mono,
    has_failed: &'a Cell<bool>,
}

impl Read for Wanted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let now = clock::mono();
        if now.since(self.asked) >= WANTED_EVERY {
            self.asked = now;
            if !(self.is_wanted)() {
                return Err(io::Error::other(CANCELLED));
            }
        }
        let read = self.download.read(buffer);
        self.has_failed.set(read.is_err());
        read
    }
}

/// Progress for people, on the terminal or in the journal.
struct Meter {
    is_terminal: bool,
    began: Cell<Mono>,
    stage: Cell<Option<Stage>>,
    /// The last step shown: hundredths on a terminal, tenths elsewhere.
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
        match self.is_terminal {
            true if progress.done < progress.total => out::complain(format_args!("\r{line}   ")),
            true => complain!("\r{line}   "),
            false => complain!("{line}"),
        }
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
    fn a_request_that_is_no_file_of_the_gateways_is_refused_at_once_and_taken_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = folder.path();
        let place = spool.join(REQUEST);
        std::fs::create_dir(spool.join("update")).expect("a folder");
        assert_eq!(read_request(spool), Ok(None));
        let request = Request {
            id: "1".into(),
            url: "http://x/y".into(),
        };
        let text = serde_json::to_string(&request).expect("JSON");
        std::fs::write(&place, &text).expect("written");
        assert_eq!(read_request(spool), Ok(Some(request)));
        for bad in ["", "{}", r#"{"id":"1","url":"file:///etc/shadow"}"#] {
            std::fs::write(&place, bad).expect("written");
            assert!(read_request(spool).is_err(), "{bad}");
        }
        std::fs::remove_file(&place).expect("removed");
        let other = spool.join("other");
        std::fs::write(&other, &text).expect("written");
        let puts: [(&str, &dyn Fn()); 5] = [
            ("a link", &|| {
                std::os::unix::fs::symlink(&other, &place).expect("a link");
            }),
            ("a second name", &|| {
                std::fs::hard_link(&other, &place).expect("a name");
            }),
            ("a pipe", &|| pipe(&place)),
            ("a folder", &|| {
                std::fs::create_dir_all(place.join("in it")).expect("a folder");
            }),
            ("more than a request has", &|| {
                let long = "x".repeat(LONGEST_REQUEST as usize + 1);
                std::fs::write(&place, long).expect("written");
            }),
        ];
        for (what, put) in puts {
            put();
            assert!(read_request(spool).is_err(), "{what}");
            remove_request(spool).expect(what);
            assert_eq!(read_request(spool), Ok(None), "{what}");
            assert!(other.exists(), "{what}");
        }
        // The folder itself is a link to another place.
        let elsewhere = spool.join("elsewhere");
        std::fs::rename(spool.join("update"), &elsewhere).expect("moved");
        std::fs::write(elsewhere.join("request.json"), &text).expect("written");
        std::os::unix::fs::symlink(&elsewhere, spool.join("update")).expect("a link");
        assert!(read_request(spool).is_err() && remove_request(spool).is_err());
        assert!(elsewhere.join("request.json").exists());
    }

    fn pipe(place: &Path) {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, place, pipe, mode, 0).expect("a pipe");
    }
}
