//! Updates: a signed version is written into the slot that does not run, started once on trial, and kept only when the
//! gateway has been ready with its spool. If anything goes wrong, at any moment, the version from before runs.
//!
//! Owns: the order of the steps. `manifest` decides whether an update is taken, `container` reads its file, `payload` and
//! `delta` what is in it, `keys` checks its signature, `slot` writes it, `boot` controls the firmware, `trial` judges the new version, `state` remembers, `http`
//! fetches, `here` is this machine. Never does: write the slot that runs, or arm a slot that was not read back.
//!
//! ```text
//! idle ─▶ writing ─▶ verified ─▶ armed ─restart─▶ trial ─30 s ready─▶ committed
//!            │           │          │                └─15 min without─▶ rolled_back ─restart─▶ the old version
//!            └─▶ failed ◀┘          └─ any reset: the firmware starts the old version, which notes rolled_back
//! ```

pub mod boot;
pub mod container;
pub mod delta;
pub mod here;
pub mod http;
pub mod manifest;
pub mod payload;
pub mod slot;
pub mod state;
pub mod trial;
pub mod verbs;

use std::cell::Cell;
use std::io::{self, Read};

use crate::trust::keys::{KeyError, Keys};
use boot::{BootControl, BootError, Slot};
use container::{Container, ContainerError, MANIFEST, SIGNATURE};
use delta::{Base, DELTA};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use manifest::{Image, Manifest, Refusal, Standing};
use payload::Payload;
use slot::{Device, Mismatch, Progress, SlotError, Stage, Verified};
use state::{Kept, Phase, SettingsError, State, Store, Version};

use booth_contract::time::Mono;
use booth_contract::time::rfc3339;

/// The centre's request, in the gateway's own folder (`[spool] dir`): what `booth-update.path` waits for.
pub const REQUEST: &str = "update/request.json";
/// Longest signature file, bytes.
const LONGEST_SIGNATURE: u64 = 4096;
/// How many times the state is written while a slot is being written; no more often, because writes wear a card.
const STEPS: u64 = 20;

/// Why an update did not come about. The version that runs goes on, and stays what is started.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each says it itself
pub enum UpdateError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Signature(#[from] KeyError),
    #[error(transparent)]
    File(#[from] ContainerError),
    #[error(transparent)]
    Slot(#[from] SlotError),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error("slot {0:?} cannot be opened: {1}; restart the booth and try again")]
    Open(Slot, #[source] io::Error),
    #[error(
        "the state of the update cannot be written: {0}; see `booth-gateway doctor` for the card"
    )]
    State(#[source] io::Error),
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// A function that opens a slot's partition.
pub type OpenSlot<'a> = dyn Fn(Slot) -> io::Result<Box<dyn Device>> + 'a;

/// The means that an update works with.
pub struct Hands<'a> {
    /// Where the state is.
    pub store: &'a Store,
    /// The firmware.
    pub boot: &'a dyn BootControl,
    /// The slots' partitions.
    pub slots: &'a OpenSlot<'a>,
    /// Opens the partition of the slot that runs, for reading alone.
    pub running_slot: &'a dyn Fn() -> io::Result<Box<dyn Device>>,
    /// The image that runs.
    pub running: &'a Image,
    /// The keys whose updates are taken.
    pub keys: &'a Keys,
    /// The wall clock.
    pub wall: &'a dyn Fn() -> Timestamp,
    /// The kernel's id of this boot.
    pub boot_id: &'a str,
    /// The wall clock is synchronised.
    pub is_clock_set: bool,
    /// Called at every step.
    pub tell: &'a dyn Fn(Progress),
    /// Set by the part that fetches the update, once fetching has failed for good.
    pub has_fetch_failed: &'a Cell<bool>,
}

/// The report to the centre about any update that could not be fetched. It is always the same, because an answer for each
/// address would make the booth a scanner of its own network.
const NOT_FETCHED: &str = "the update could not be fetched from the address that was sent; check the address, and see the booth's log or `booth-gateway update \
     --status` there for the reason";

impl Hands<'_> {
    fn save(&self, state: &mut State, phase: Phase) -> Result<(), UpdateError> {
        state.schema = 1;
        state.phase = phase;
        state.at = rfc3339((self.wall)());
        state.boot_id = self.boot_id.to_owned();
        state.pid = std::process::id();
        self.store.save(state).map_err(UpdateError::State)
    }

    fn running(&self) -> Version {
        Version {
            image_id: self.running.image_id.clone(),
            version: self.running.version.clone(),
        }
    }

    /// Notes why an update ended without a trial. If the note itself cannot be written, the update has ended all the same.
    pub fn fail(&self, why: &str) {
        let told = match self.has_fetch_failed.get() {
            true => NOT_FETCHED,
            false => "",
        };
        note_failure(self.store, (self.wall)(), self.boot_id, why, told);
    }
}

/// The same where nothing else is known of the booth.
pub fn note_failure(store: &Store, now: Timestamp, boot_id: &str, why: &str, told: &str) {
    let mut state = store.load().unwrap_or_default();
    state.schema = 1;
    state.phase = Phase::Failed;
    state.at = rfc3339(now);
    state.boot_id = boot_id.to_owned();
    state.pid = std::process::id();
    state.reason = why.to_owned();
    state.told = told.to_owned();
    if let Err(error) = store.save(&state) {
        log::error!("the state of the update cannot be written: {error}");
    }
}

/// The day of a moment, UTC; the permission for a step back is counted in such days.
pub fn day_of(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// Reads manifest and signature and checks them, or says why they are not good. The payload's member comes next.
pub fn open<R: Read>(input: R, keys: &Keys) -> Result<(Manifest, Container<R>), UpdateError> {
    let (bytes, signature, file) = members(input)?;
    keys.verify(&bytes, &signature)?;
    Ok((Manifest::parse(&bytes)?, file))
}

type Members<R> = (Vec<u8>, Vec<u8>, Container<R>);

fn members<R: Read>(input: R) -> Result<Members<R>, ContainerError> {
    let mut file = Container::new(input);
    file.next(MANIFEST)?;
    let manifest = file.whole(MANIFEST, manifest::LONGEST)?;
    file.next(SIGNATURE)?;
    let signature = file.whole(SIGNATURE, LONGEST_SIGNATURE)?;
    Ok((manifest, signature, file))
}

/// What an update file is, for people.
#[derive(Debug)]
pub struct Described {
    /// Its manifest.
    pub manifest: Manifest,
    /// Whether a trusted key signed it.
    pub signed: Result<(), KeyError>,
    /// The image that it holds the difference from, hex; `None` where it holds all.
    pub base: Option<String>,
}

/// Describes an update file: its manifest, whether a key of `keys` signed it, and whether a whole payload is the signed one. A difference can
/// be judged only where its base is.
pub fn describe(input: impl Read, keys: &Keys) -> Result<Described, UpdateError> {
    use sha2::{Digest, Sha256};
    let (bytes, signature, mut file) = members(input)?;
    let manifest = Manifest::parse(&bytes)?;
    let (name, _) = file.next_of(&[container::PAYLOAD, DELTA])?;
    let base = match name == DELTA {
        true => Some(Base::read(&mut file)?),
        false => None,
    };
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.some(name, &mut buffer)?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
    }
    file.finish()?;
    if base.is_none() && booth_contract::hex(&sum.finalize()) != manifest.slot_sha256 {
        return Err(SlotError::Payload(Mismatch::Hash).into());
    }
    Ok(Described {
        manifest,
        signed: keys.verify(&bytes, &signature),
        base: base.map(|base| booth_contract::hex(&base.image_id)),
    })
}

/// Checks an update and writes it into the slot that does not run. `source` is noted in the state. On an error the state
/// says so, and nothing starts that slot.
pub fn install(hands: &Hands, input: impl Read, source: &str) -> Result<Verified, UpdateError> {
    // During a trial nothing is written, and the state is the trial's.
    if hands.boot.is_on_trial()? {
        return Err(BootError::OnTrial.into());
    }
    let result = write(hands, input, source);
    if let Err(error) = &result {
        hands.fail(&error.to_string());
    }
    result
}

fn write(hands: &Hands, input: impl Read, source: &str) -> Result<Verified, UpdateError> {
    let before = hands.store.load().map_err(UpdateError::State)?;
    let mut state = State {
        source: source.to_owned(),
        from: Some(hands.running()),
        request: before.request,
        attempts: before.attempts,
        ..State::default()
    };
    // The flag may still be set by an earlier update without a restart.
    hands.boot.disarm()?;
    hands.save(&mut state, Phase::Writing)?;
    let (manifest, file) = open(input, hands.keys)?;
    let slot = hands.boot.running_slot().other();
    state.to = Some(Version {
        image_id: manifest.image_id.clone(),
        version: manifest.version.clone(),
    });
    state.slot = Some(slot);
    state.total = manifest.slot_bytes;
    hands.save(&mut state, Phase::Writing)?;
    let mut device = (hands.slots)(slot).map_err(|error| UpdateError::Open(slot, error))?;
    let kept = hands.store.floor().map_err(UpdateError::State)?;
    let booth = hands.store.booth()?;
    let here = Standing {
        running: hands.running,
        kept: &kept,
        booth: &booth,
        today: hands.is_clock_set.then(|| day_of((hands.wall)())),
        latest_day: hands.store.latest_day().map_err(UpdateError::State)?,
    };
    manifest.admit(&here, device.bytes())?;
    let mut tell = |progress: Progress| {
        (hands.tell)(progress);
        let step = |done: u64| done * STEPS / progress.total;
        if progress.stage == Stage::Writing && step(progress.done) > step(state.done) {
            state.done = progress.done;
            // An outdated state is no reason to stop.
            if let Err(error) = hands.store.save(&state) {
                log::warn!("the state of the update: {error}");
            }
        }
    };
    let payload = Payload::begin(file, &manifest, &hands.running.image_id, hands.running_slot)?;
    let verified = slot::write(&mut *device, slot, &manifest, payload, &mut tell)?;
    hands.save(&mut state, Phase::Verified)?;
    Ok(verified)
}

/// Lets the next restart try the version that was written. Only [`slot::write`] makes the proof that this needs.
pub fn arm(hands: &Hands, verified: &Verified, kept: Option<Kept>) -> Result<(), UpdateError> {
    let mut state = hands.store.load().map_err(UpdateError::State)?;
    state.kept = kept;
    // The note comes first: without it a trial could not be distinguished from an ordinary restart.
    hands.save(&mut state, Phase::Armed)?;
    let armed = hands.boot.arm_trial(verified);
    if let Err(error) = &armed {
        disarm(hands, &error.to_string());
    }
    Ok(armed?)
}

/// The restart did not happen: takes the flag back, so that the next one is no trial.
pub fn disarm(hands: &Hands, why: &str) {
    if let Err(error) = hands.boot.disarm() {
        log::error!("{error}");
    }
    hands.fail(why);
}

/// The result of the look at the start of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The running version is the default.
    Usual,
    /// The running version is on trial, and this is known of it.
    Trial(Box<State>),
    /// The running version is on trial and has lost it already, for this reason.
    Lost(String),
}

/// The reason where no note says what the spool was.
const STRANGER: &str = "the card's data does not know of this trial, so nobody can say whether the new version has kept what was \
     recorded; send the update again";

/// At the start of the machine: notes what became of an update, and decides whether the running version is on trial.
/// `has_request`: the centre's request is still there, so its update begins again. If the note of a trial cannot be written,
/// the trial goes on all the same.
pub fn settle(hands: &Hands, now: Mono, has_request: bool) -> Result<Start, UpdateError> {
    let is_on_trial = hands.boot.is_on_trial()?;
    let mut state = hands.store.load().map_err(UpdateError::State)?;
    let is_new_boot = state.boot_id != hands.boot_id;
    let running = &hands.running.image_id;
    let is_the_new = state.to.as_ref().is_some_and(|to| to.image_id == *running);
    if is_on_trial {
        let is_judged = state.phase == Phase::RolledBack && !is_new_boot;
        if is_judged {
            return Ok(Start::Lost(state.reason));
        }
        let is_armed = matches!(state.phase, Phase::Armed | Phase::Trial | Phase::Unknown);
        if !is_the_new || !(is_armed || state.kept.is_some()) {
            let mut state = State {
                to: Some(hands.running()),
                slot: Some(hands.boot.running_slot()),
                reason: STRANGER.into(),
                ..State::default()
            };
            warn_of(hands.save(&mut state, Phase::RolledBack));
            return Ok(Start::Lost(STRANGER.into()));
        }
        if is_new_boot || state.phase != Phase::Trial {
            state.trial_began_ms = Some(now.0);
            warn_of(hands.save(&mut state, Phase::Trial));
        }
        return Ok(Start::Trial(Box::new(state)));
    }
    match state.phase {
        // The power went between the commitment and its note.
        Phase::Armed | Phase::Trial | Phase::Unknown if is_the_new => {
            hands.save(&mut state, Phase::Committed)?;
        }
        Phase::Armed | Phase::Trial | Phase::Unknown if is_new_boot => {
            state.told.clear();
            state.reason = "the new version did not prove itself before the machine was started again: it does not start, \
                            or the power was cut; send the update again"
                .into();
            hands.save(&mut state, Phase::RolledBack)?;
        }
        // The updater begins this one again by itself.
        Phase::Writing | Phase::Verified if has_request && !state.request.is_empty() => {}
        Phase::Writing | Phase::Verified if is_new_boot => {
            state.reason =
                "the machine was started again before the update was whole; send the update again"
                    .into();
            hands.save(&mut state, Phase::Failed)?;
        }
        Phase::Committed if !is_the_new && !running.is_empty() => {
            state.reason = "the other slot was started: the committed one could not be read; send the update again, and if it \
                            happens again, use another card"
                .into();
            hands.save(&mut state, Phase::RolledBack)?;
        }
        Phase::Idle
        | Phase::Writing
        | Phase::Verified
        | Phase::Armed
        | Phase::Trial
        | Phase::Unknown
        | Phase::Committed
        | Phase::RolledBack
        | Phase::Failed => {}
    }
    // The default version was kept: by a trial, or by the person who wrote the card.
    if let Err(error) = hands.store.raise_floor(hands.running) {
        log::warn!("that this version is kept cannot be noted: {error}");
    }
    Ok(Start::Usual)
}

fn warn_of(saved: Result<(), UpdateError>) {
    if let Err(error) = saved {
        log::warn!("{error}");
    }
}

/// The running version has proven itself and becomes the default. After [`UpdateError::State`] it is the default as well,
/// and the next start makes up for the note.
pub fn commit(hands: &Hands) -> Result<(), UpdateError> {
    hands.boot.commit()?;
    let mut state = hands.store.load().map_err(UpdateError::State)?;
    state.reason.clear();
    state.told.clear();
    hands.save(&mut state, Phase::Committed)?;
    hands
        .store
        .raise_floor(hands.running)
        .map_err(UpdateError::State)
}

/// The running version has not proven itself; a restart brings back the one from before.
pub fn give_up(hands: &Hands, why: &str) -> Result<(), UpdateError> {
    let mut state = hands.store.load().map_err(UpdateError::State)?;
    state.reason = why.to_owned();
    hands.save(&mut state, Phase::RolledBack)
}
