//! Updates as the gateway sees them: the centre's command becomes a request, the updater's state becomes events and lamp.
//!
//! Owns: what is reported of an update, and that its outcome is reported until somebody has heard it, also across a restart. Never does: fetch or
//! write an update; the updater is another process, of root, without the gateway's sound card and with nothing of its
//! network.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::json;

use super::Gateway;
use super::post::Post;
use crate::status::Finding;
use crate::update::state::{Phase, STATE, State, load};
use crate::update::verbs::Request;
use booth_contract::time::Mono;
use booth_host::clock::boot_id;
use booth_spool::disk::{Disk, publish, read_whole};
use gateway_core::booth::{Event, UpdateStage};

/// How often the updater's state is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A file beside the request: how much of the state has been reported.
const REPORTED: &str = "told";
const LONGEST_REPORTED: u64 = 1024;
/// The centre's request in the same place.
const REQUESTED: &str = "request.json";
const LONGEST_REQUEST: u64 = 16 * 1024;
/// If the updater is missing at this many looks in a row, it is not just starting, and the machine is not just going down.
const LOOKS: u32 = 3;

/// What the gateway asks of the thread that looks after requests and state.
pub enum UpdateAsk {
    /// Leave this request to the updater.
    Request(Request),
    /// Take the request back.
    Cancel,
    /// The centre has got this report.
    Reported(String),
}

/// What that thread reports.
pub enum UpdateNews {
    /// The state has changed.
    State(Box<State>),
    /// Nobody works on that state any longer (true), or somebody does again (false).
    Left(bool),
    /// The latest report that the centre has got.
    Reported(String),
    /// The request has been written, or could not be.
    Requested(Result<(), String>),
}

/// What the gateway knows of updates.
#[derive(Default)]
pub(super) struct Desk {
    worker: Option<Post<UpdateAsk>>,
    state: State,
    reported: String,
    /// A report that was handed to the connection, with its token.
    reporting: Option<(u64, String)>,
}

impl Desk {
    pub(super) fn new(worker: Option<Post<UpdateAsk>>) -> Self {
        Self {
            worker,
            ..Self::default()
        }
    }

    pub(super) fn pass_on(&self) {
        if let Some(worker) = &self.worker {
            worker.pass_on();
        }
    }
}

/// The reason, as far as it may leave the booth: the doctor's findings do leave it.
fn for_the_centre(state: &State) -> &str {
    match state.told.as_str() {
        "" => &state.reason,
        told => told,
    }
}

/// How far an update is, for the booth's decisions.
fn stage(phase: Phase) -> UpdateStage {
    match phase {
        Phase::Idle | Phase::Committed | Phase::RolledBack | Phase::Failed => UpdateStage::None,
        Phase::Writing | Phase::Verified => UpdateStage::Writing(phase.word()),
        Phase::Armed | Phase::Trial | Phase::Unknown => UpdateStage::Trial(phase.word()),
    }
}

/// A key that distinguishes the states of all updates.
fn key(state: &State) -> String {
    format!("{} {}", state.phase.word(), state.at)
}

impl Gateway {
    /// Leaves the centre's request to the updater.
    pub(super) fn request_update(&mut self, url: String) {
        let id = self.machine.new_id();
        if let Some(worker) = &self.update.worker {
            worker.send(UpdateAsk::Request(Request { id, url }));
        }
    }

    /// Takes the centre's request back.
    pub(super) fn cancel_update(&mut self) {
        if let Some(worker) = &self.update.worker {
            worker.send(UpdateAsk::Cancel);
        }
    }

    pub(super) fn update_news(&mut self, now: Mono, news: UpdateNews) {
        match news {
            UpdateNews::Reported(reported) => self.update.reported = reported,
            UpdateNews::Requested(result) => self.decide(now, Event::UpdateRequested(result)),
            UpdateNews::Left(is_left) => self.decide(now, Event::UpdateLeft(is_left)),
            UpdateNews::State(state) => {
                if key(&state) != key(&self.update.state) {
                    log::warn!(phase = state.phase.word(); "update: {}", state.reason);
                }
                self.update.state = *state;
                let stage = stage(self.update.state.phase);
                self.decide(now, Event::UpdateIs(stage));
                self.report_update();
            }
        }
    }

    /// Reports how the update stands, if the centre does not know. Without a connection nothing is queued: the next
    /// connection gets the state of that time.
    pub(super) fn report_update(&mut self) {
        let state = &self.update.state;
        let key = key(state);
        let is_being_reported = self
            .update
            .reporting
            .as_ref()
            .is_some_and(|(_, reported)| *reported == key);
        if !self.booth.is_connected()
            || state.phase == Phase::Idle
            || self.update.reported == key
            || is_being_reported
        {
            return;
        }
        let more = json!({
            "phase": state.phase.word(),
            "phase_at": state.at,
            "source": state.source,
            "reason": for_the_centre(state),
            "version": state.to.as_ref().map(|to| &to.version),
            "image_id": state.to.as_ref().map(|to| &to.image_id),
            "from_version": state.from.as_ref().map(|from| &from.version),
            "from_image_id": state.from.as_ref().map(|from| &from.image_id),
            "slot": state.slot,
        });
        let token = self.event_token();
        self.update.reporting = Some((token, key));
        self.event("update", more);
    }

    /// A connection has ended; reports that were on their way may not have arrived.
    pub(super) fn update_unreported(&mut self) {
        self.update.reporting = None;
    }

    /// A message has reached nobody: its report is made again at the next introduction, or when the hub comes.
    pub(super) fn update_lost(&mut self, token: u64) {
        self.update
            .reporting
            .take_if(|(reporting, _)| *reporting == token);
    }

    /// The broker has a message, and somebody to give it to.
    pub(super) fn update_answered(&mut self, token: u64) {
        if let Some((_, reported)) = self
            .update
            .reporting
            .take_if(|(reporting, _)| *reporting == token)
        {
            if let Some(worker) = &self.update.worker {
                worker.send(UpdateAsk::Reported(reported.clone()));
            }
            self.update.reported = reported;
        }
    }

    /// The doctor's finding about the update.
    pub(super) fn update_finding(&self) -> Option<Finding> {
        let state = &self.update.state;
        let version = state.to.as_ref().map_or("?", |to| to.version.as_str());
        let sentence = match state.phase {
            Phase::Idle => return None,
            Phase::Writing | Phase::Verified | Phase::Armed => {
                format!(
                    "An update to {version} is being made ready ({}).",
                    state.phase.word()
                )
            }
            Phase::Trial | Phase::Unknown => format!("Version {version} is on trial."),
            Phase::Committed => format!("Version {version} was taken in at {}.", state.at),
            Phase::RolledBack | Phase::Failed => {
                let sentence = format!(
                    "The update to {version} did not come about: {}.",
                    for_the_centre(state)
                );
                let remedy = "The sentence says what to do; the version from before runs.";
                return Some(Finding::warning("update", "latest", sentence, remedy));
            }
        };
        Some(Finding::ok("update", "latest", sentence))
    }
}

/// The thread that looks after requests and state, until the gateway is gone. `folder` is the updater's, `spool` the
/// gateway's own.
pub(super) fn look_after(
    disk: &dyn Disk,
    folder: &Path,
    spool: &Path,
    asked: &Receiver<UpdateAsk>,
    report: impl Fn(UpdateNews),
) {
    let own: PathBuf = spool.join("update");
    let reported = read_whole(disk, &own.join(REPORTED), LONGEST_REPORTED).unwrap_or_default();
    report(UpdateNews::Reported(
        String::from_utf8_lossy(&reported).into_owned(),
    ));
    let mut known = State::default();
    let mut complaint = String::new();
    let mut watch = Watch::new(boot_id());
    let mut was_left = false;
    loop {
        let found = load(disk, folder).map(|state| {
            // An update that the centre asked for and that was broken off begins again by itself.
            let waits = read_whole(disk, &own.join(REQUESTED), LONGEST_REQUEST).is_ok();
            watch.judge(state, waits)
        });
        if let Ok((_, is_left)) = &found
            && *is_left != was_left
        {
            was_left = *is_left;
            report(UpdateNews::Left(was_left));
        }
        match found.map(|(state, _)| state) {
            Ok(state) if state != known => {
                report(UpdateNews::State(Box::new(state.clone())));
                known = state;
            }
            Ok(_) => {}
            Err(error) => {
                let why = format!("{}: {error}", folder.join(STATE).display());
                if why != complaint {
                    log::warn!("{why}");
                    complaint = why;
                }
            }
        }
        match asked.recv_timeout(LOOK) {
            Ok(ask) => carry_out(disk, spool, &own, ask, &report),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Whether somebody still works on the update.
struct Watch {
    boot_id: String,
    /// Looks in a row at which the updater was missing, at most [`LOOKS`].
    gone: u32,
    given_up: Option<State>,
}

impl Watch {
    fn new(boot_id: String) -> Self {
        Self {
            boot_id,
            gone: 0,
            given_up: None,
        }
    }

    /// The state as it is to be reported, and whether nobody works on it any longer. `waits`: a request lies there for the
    /// updater.
    fn judge(&mut self, mut state: State, waits: bool) -> (State, bool) {
        let is_writing = matches!(state.phase, Phase::Writing | Phase::Verified);
        let can_be_left = is_writing && !waits || state.phase == Phase::Armed;
        // An update that was given up stays so, even if another one is asked for.
        let was_given_up = self.given_up.as_ref() == Some(&state);
        self.gone = match was_given_up || can_be_left && state.is_left(&self.boot_id) {
            true => LOOKS.min(self.gone + 1),
            false => 0,
        };
        let is_left = was_given_up || self.gone == LOOKS;
        self.given_up = is_left.then(|| state.clone());
        if is_left && is_writing {
            state.phase = Phase::Failed;
            state.reason =
                "the updater was ended before the update was whole; send the update again".into();
        }
        (state, is_left)
    }
}

fn carry_out(
    disk: &dyn Disk,
    spool: &Path,
    own: &Path,
    ask: UpdateAsk,
    report: &impl Fn(UpdateNews),
) {
    match ask {
        UpdateAsk::Request(request) => {
            let bytes = serde_json::to_vec(&request).unwrap_or_default();
            let left = leave(disk, spool, own, REQUESTED, &bytes);
            let left = left.map_err(|error| format!("{}: {error}", own.display()));
            report(UpdateNews::Requested(left));
        }
        UpdateAsk::Cancel => match disk.unlink(&own.join(REQUESTED)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                log::warn!("{}: {error}", own.display());
            }
            // The updater looks for it each second.
            _ => {}
        },
        UpdateAsk::Reported(reported) => {
            if let Err(error) = leave(disk, spool, own, REPORTED, reported.as_bytes()) {
                log::warn!("{}: {error}", own.display());
            }
        }
    }
}

fn leave(
    disk: &dyn Disk,
    spool: &Path,
    own: &Path,
    name: &str,
    bytes: &[u8],
) -> std::io::Result<()> {
    if disk.make_folder(own)? {
        disk.sync_folder(spool)?;
    }
    publish(disk, own, name, bytes)
}
