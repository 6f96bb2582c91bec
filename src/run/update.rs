//! Updates as the gateway sees them: the centre's command becomes a request, the updater's state becomes events and lamp.
//!
//! Owns: what is reported of an update, and that its outcome is reported once, also across a restart. Never does: fetch or
//! write an update; the updater is another process, of root, without the gateway's sound card and with nothing of its
//! network.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::json;

use super::Gateway;
use super::desk::Asked;
use super::post::Post;
use crate::status::Finding;
use crate::trust::whence::Whence;
use crate::update::http::{AddressError, check_url, check_whence};
use crate::update::state::{Phase, STATE, State, load};
use crate::update::verbs::Request;
use booth_contract::BoothId;
use booth_contract::time::Mono;
use booth_host::clock::boot_id;
use booth_spool::disk::{Disk, publish, read_whole};
use gateway_core::session::Input;

/// How often the updater's state is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// A file beside the request: how much of the state has been reported.
const TOLD: &str = "told";
const LONGEST_TOLD: u64 = 1024;
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
    Told(String),
}

/// What that thread reports.
pub enum UpdateNews {
    /// The state has changed.
    State(Box<State>),
    /// Nobody works on that state any longer (true), or somebody does again (false).
    Left(bool),
    /// The latest report that the centre has got.
    Told(String),
    /// The request has been written, or could not be.
    Requested(Result<(), String>),
}

/// What the gateway knows of updates.
#[derive(Default)]
pub(super) struct Desk {
    worker: Option<Post<UpdateAsk>>,
    state: State,
    /// Nobody works on the update any longer: another request may take its place.
    is_left: bool,
    told: String,
    /// A report that was handed to the connection, with its token.
    telling: Option<(u64, String)>,
    /// What the centre asked for, until the request has been written.
    asked: Option<String>,
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

/// A key that distinguishes the states of all updates.
fn key(state: &State) -> String {
    format!("{} {}", state.phase.word(), state.at)
}

impl Gateway {
    /// `cmd/update`.
    pub(super) fn asked_for_update(&mut self, booth: BoothId, url: Option<String>) {
        let to = self.reply_to(booth);
        let url = match url {
            None => Err("no \"url\" is given; send {\"url\": \"https://…\"}".to_owned()),
            Some(url) => check_url(&url)
                .map_err(AddressError::from)
                .and_then(|()| check_whence(&url, &Whence::parse(&self.config.update.allow)?))
                .map(|()| url)
                .map_err(|why| why.to_string()),
        };
        let url = match url {
            Ok(url) => url,
            Err(why) => return self.refuse(to, "update", &why),
        };
        let is_the_same = self.update.asked.as_ref() == Some(&url);
        if let Some(why) = self.no_update_because().filter(|_| !is_the_same) {
            return self.refuse(to, "update", &why);
        }
        if !self.takes_place(Asked::Update(url.clone()), to) {
            return;
        }
        let request = Request {
            id: self.machine.new_id(),
            url: url.clone(),
        };
        if let Some(worker) = &self.update.worker {
            worker.send(UpdateAsk::Request(request));
        }
        self.update.asked = Some(url);
    }

    /// Why an update may not be asked for now, if so.
    fn no_update_because(&self) -> Option<String> {
        let state = &self.update.state;
        if self.config.update.keys.is_empty() {
            return Some(
                "this booth takes no updates: [update] keys of booth.toml is empty".into(),
            );
        }
        if state.phase.is_under_way() && !self.update.is_left {
            return Some(format!(
                "an update is under way ({}); wait for its event/update",
                state.phase.word()
            ));
        }
        if self.update.asked.is_some() {
            return Some("another update was asked for just now".into());
        }
        match self.update.worker {
            Some(_) => None,
            None => Some("this booth has no updater: it does not run the SD image".into()),
        }
    }

    /// `cmd/update` with `cancel`: an update whose trial has not begun ends.
    pub(super) fn asked_to_cancel_update(&mut self, booth: BoothId) {
        let to = self.reply_to(booth);
        let phase = self.update.state.phase;
        let is_wanted =
            matches!(phase, Phase::Writing | Phase::Verified) || self.update.asked.is_some();
        if matches!(phase, Phase::Armed | Phase::Trial | Phase::Unknown) {
            let why = "the new version is about to start or on trial; wait for its event/update";
            return self.refuse(to, "update", why);
        }
        match &self.update.worker {
            Some(worker) if is_wanted && worker.offer(UpdateAsk::Cancel) => {
                self.reply(to, "update".into(), &json!({ "ok": 1, "cancelled": 1 }));
            }
            _ => self.refuse(to, "update", "no update is being fetched"),
        }
    }

    pub(super) fn update_news(&mut self, now: Mono, news: UpdateNews) {
        match news {
            UpdateNews::Told(told) => self.update.told = told,
            UpdateNews::Requested(result) => {
                let reply = match result {
                    Ok(()) => json!({ "ok": 1, "accepted": 1 }),
                    Err(error) => json!({ "ok": 0, "error": error }),
                };
                if let Some(url) = self.update.asked.take() {
                    self.answer(&Asked::Update(url), &reply);
                }
            }
            UpdateNews::Left(is_left) => self.update.is_left = is_left,
            UpdateNews::State(state) => {
                if key(&state) != key(&self.update.state) {
                    log::warn!(phase = state.phase.word(); "update: {}", state.reason);
                }
                self.update.state = *state;
                let is_under_way = self.update.state.phase.is_under_way();
                self.tell(now, Input::Update(is_under_way));
                self.tell_update();
            }
        }
    }

    /// Reports how the update stands, if the centre does not know. Without a connection nothing is queued: the next
    /// connection gets the state of that time.
    pub(super) fn tell_update(&mut self) {
        let state = &self.update.state;
        let key = key(state);
        let is_being_told = self
            .update
            .telling
            .as_ref()
            .is_some_and(|(_, told)| *told == key);
        if !self.booth.is_connected()
            || state.phase == Phase::Idle
            || self.update.told == key
            || is_being_told
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
        self.update.telling = Some((token, key));
        self.event("update", more);
    }

    /// A connection has ended; reports that were on their way may not have arrived.
    pub(super) fn update_untold(&mut self) {
        self.update.telling = None;
    }

    /// A message will not reach the broker: its report is made again at the next introduction.
    pub(super) fn update_lost(&mut self, token: u64) {
        self.update
            .telling
            .take_if(|(telling, _)| *telling == token);
    }

    /// The broker has a message.
    pub(super) fn update_answered(&mut self, token: u64) {
        if let Some((_, told)) = self
            .update
            .telling
            .take_if(|(telling, _)| *telling == token)
        {
            if let Some(worker) = &self.update.worker {
                worker.send(UpdateAsk::Told(told.clone()));
            }
            self.update.told = told;
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
    tell: impl Fn(UpdateNews),
) {
    let own: PathBuf = spool.join("update");
    let told = read_whole(disk, &own.join(TOLD), LONGEST_TOLD).unwrap_or_default();
    tell(UpdateNews::Told(
        String::from_utf8_lossy(&told).into_owned(),
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
            tell(UpdateNews::Left(was_left));
        }
        match found.map(|(state, _)| state) {
            Ok(state) if state != known => {
                tell(UpdateNews::State(Box::new(state.clone())));
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
            Ok(ask) => carry_out(disk, spool, &own, ask, &tell),
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
    tell: &impl Fn(UpdateNews),
) {
    match ask {
        UpdateAsk::Request(request) => {
            let bytes = serde_json::to_vec(&request).unwrap_or_default();
            let left = leave(disk, spool, own, REQUESTED, &bytes);
            let left = left.map_err(|error| format!("{}: {error}", own.display()));
            tell(UpdateNews::Requested(left));
        }
        UpdateAsk::Cancel => match disk.unlink(&own.join(REQUESTED)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                log::warn!("{}: {error}", own.display());
            }
            // The updater looks for it each second.
            _ => {}
        },
        UpdateAsk::Told(told) => {
            if let Err(error) = leave(disk, spool, own, TOLD, told.as_bytes()) {
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
