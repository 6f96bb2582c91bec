//! The only loop: waits for something to happen, hands it to the core, does what the core commands.
//!
//! Owns: the running gateway. Never does: block on the card, the network or a device; adapters do
//! that on their own threads and report here. The watchdog is fed by this loop's turns.

mod card;
mod centre;
mod centre_card;
mod configure;
mod connections;
mod decide;
mod deliver;
mod diagnosis;
mod ended;
mod errand;
mod health;
mod home_assistant;
mod keeper;
mod link;
mod machine;
mod old_card;
mod orders;
mod post;
mod reader;
mod reports;
mod screen;
mod selftest;
mod service;
mod stand_in;
mod start;
mod stick;
mod turning;
mod update;
mod visit;
mod workers;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::adapters::capture::{CaptureFigures, CaptureState};
use crate::adapters::ear::MicLevels;
use crate::adapters::handset::{HandsetCommand, HandsetReport, HandsetView};
use crate::adapters::mixer::{Applied, OutOfRange};
use crate::adapters::mqtt::MqttEvent;
use crate::adapters::outbox::Outbox;
use crate::adapters::playback::{PlaybackCommand, PlaybackEvent};
use crate::adapters::prompts::Prompts;
use crate::adapters::recorder::{RecorderCommand, RecorderEvent};
use crate::adapters::sensors::SupplyFiles;
use crate::adapters::spoken_take::SpokenTake;
use crate::config::Config;
use booth_contract::BrokerState;
use booth_contract::time::Mono;
use booth_contract::{ClipId, Topics};
use booth_host::journal;
use booth_sealing::SealTo;
use booth_spool::{KeptClip, Spool};
pub use centre_card::{CentreCard, CentreCommand, CentreEvent};
pub use configure::check_anywhere;
pub use ended::{Ended, RunError};
use errand::Errand;
use gateway_core::booth::{Booth, Event};
use gateway_core::delivery::Delivery;
use gateway_core::health::Works;
use gateway_core::session::{Key, PlayId, Session, TakeId};
pub use keeper::{Fix, Keeper, KeeperCommand, KeeperEvent, LOOK, NotClosed};
pub use machine::{About, Machine, ThisMachine};
pub use old_card::{OldCardEvent, OldCardFault, TakeOver};
pub use post::{Post, post};
pub use reader::{Measured, ReadCommand, ReadEvent, Reader, certificate_file, read_message};
pub use reports::Speaker;
pub use start::{run, run_witnessed};
pub use stick::{Copied, ExportToStick, StickEvent, StickFault};
pub use update::{UpdateAsk, UpdateNews};

/// A day, s.
const A_DAY_S: i64 = 24 * 3600;
/// Tokens of messages that are not parts of a clip.
const TELEGRAM: u64 = 1 << 63;

/// Something happened outside the loop.
pub enum Happening {
    /// The handset reports something.
    Handset(HandsetReport),
    /// The recorder reports something.
    Recorder(RecorderEvent),
    /// The earpiece reports something.
    Playback(PlaybackEvent),
    /// The microphone works, or stopped working.
    Capture(CaptureState),
    /// The connection to the broker reports something.
    Mqtt(MqttEvent),
    /// The keeper of the card reports something.
    Keeper(KeeperEvent),
    /// The reader has read something.
    Reader(ReadEvent),
    /// An old card in a USB reader was read further.
    OldCard(OldCardEvent),
    /// An export onto a stick went on.
    Stick(StickEvent),
    /// The sound card's mixer was set.
    Mixer(Applied),
    /// An update has moved on.
    Update(UpdateNews),
    /// The doctor asks for the booth's state.
    Doctor {
        /// Where one JSON line goes.
        answer: std::sync::mpsc::SyncSender<String>,
    },
}

/// The workers that the loop talks to, and what it shares with them.
pub struct Workers {
    /// The recorder.
    pub recorder: Post<RecorderCommand>,
    /// The earpiece.
    pub earpiece: Post<PlaybackCommand>,
    /// The keeper.
    pub keeper: Post<KeeperCommand>,
    /// The reader.
    pub reader: Post<ReadCommand>,
    /// The thread that reads old cards, where there is a spool.
    pub old_cards: Option<Post<TakeOver>>,
    /// The thread that copies messages onto sticks, where there is a spool.
    pub sticks: Option<Post<ExportToStick>>,
    /// The handset's thread, where it has lines to drive.
    pub handset: Option<Post<HandsetCommand>>,
    /// The connection, where a broker is configured.
    pub mqtt: Option<Outbox>,
    /// Shared with the connection for its will.
    pub speaker: Arc<Mutex<Speaker>>,
    /// The mixer, where the configuration names a control: any message makes it set the controls again.
    pub mixer: Option<Post<()>>,
    /// The thread that looks after requests for updates, where there is a spool.
    pub update: Option<Post<UpdateAsk>>,
    /// Shared with the microphone.
    pub capture_figures: Arc<CaptureFigures>,
    /// Shared with the recorder.
    pub mic_levels: Arc<MicLevels>,
    /// Shared with the handset's thread.
    pub view: Arc<HandsetView>,
    /// Shared with the earpiece.
    pub prompts: Arc<Prompts>,
    /// Name of what reads the handset.
    pub backend: &'static str,
}

/// The running gateway: happenings go in by [`Gateway::happen`], due work is done by [`Gateway::turn`], and all results
/// leave through the [`Workers`].
pub struct Gateway {
    /// Everything that decides.
    booth: Booth,
    machine: Box<dyn Machine>,
    about: About,
    config: Config,
    /// Why there is no configuration to run by.
    not_set_up: Option<String>,
    /// A booth that was not set up has a good configuration.
    starts_again: bool,
    config_hash: String,
    /// The city's keys: those of the configuration that it started with, or those that the centre has named since by a signed command.
    seal_to: SealTo,
    topics: Topics,
    zone: jiff::tz::TimeZone,
    centre: centre::Desk,
    spool: Option<Spool>,
    prompts: Arc<Prompts>,
    speaker: Arc<Mutex<Speaker>>,
    backend: &'static str,
    started_at: String,
    recorder: Post<RecorderCommand>,
    earpiece: Post<PlaybackCommand>,
    keeper: Post<KeeperCommand>,
    reader: Post<ReadCommand>,
    /// The message of a clip that is being read; one at a time, in delivery's order.
    reading: Option<u64>,
    old_cards: Option<Post<TakeOver>>,
    /// An old card is being taken over.
    old_card: Option<Errand>,
    sticks: Option<Post<ExportToStick>>,
    /// Messages are being copied onto a stick.
    copying: Option<Errand>,
    /// The keeper was told to close the card.
    is_closing: bool,
    /// What the machine said of itself last.
    measured: Measured,
    handset: Option<Post<HandsetCommand>>,
    view: Arc<HandsetView>,
    mqtt: Option<Outbox>,
    mixer: Option<Post<()>>,
    /// Mixer controls that were set to another value than asked, for the doctor.
    mixer_notes: Vec<OutOfRange>,
    last_key: Option<(Mono, Key)>,
    capture_figures: Arc<CaptureFigures>,
    /// The connection stood at least once since the start.
    was_connected: bool,
    broker_state: BrokerState,
    next_telegram: u64,
    waiting_events: VecDeque<(String, Vec<u8>)>,
    lifted_at: Option<Mono>,
    /// A lift whose first prompt has not reached the earpiece yet.
    unheard_lift: Option<Mono>,
    /// A tone that has not reached the earpiece yet, and when it was asked for.
    unheard_tone: Option<(PlayId, Mono)>,
    /// What the citizen can hear of the take that is held.
    spoken: Option<(TakeId, SpokenTake)>,
    /// The clip that was armed last, and those whose deletion the recorder has not answered.
    armed: Option<(TakeId, ClipId)>,
    deleting: Vec<(TakeId, ClipId)>,
    last_clip: Option<(Mono, KeptClip)>,
    last_clipped_pct: Option<f64>,
    last_test: Option<KeptClip>,
    /// A technician's test message that the centre is to confirm.
    awaited_test: Option<ClipId>,
    mic_levels: Arc<MicLevels>,
    update: update::Desk,
    written: health::Written,
    /// The files of the supply voltage.
    supply_files: SupplyFiles,
    /// Where the booth has a screen.
    screen: Option<screen::Desk>,
}

impl Gateway {
    fn speaker(&self) -> Speaker {
        self.speaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Seconds since 1970 by a local wall clock.
    fn local_seconds(&self, wall: jiff::Timestamp) -> i64 {
        wall.as_second() + i64::from(self.zone.to_offset(wall).seconds())
    }

    fn local_day(&self) -> i64 {
        self.local_seconds(self.machine.wall()).div_euclid(A_DAY_S)
    }

    /// Whether a citizen can speak now.
    pub fn is_ready(&self) -> bool {
        self.booth.is_ready()
    }

    /// Whether the centre empties the booth, so that nobody is invited.
    pub fn is_draining(&self) -> bool {
        self.booth.is_draining()
    }

    /// What is wrong, and the sentence for it.
    pub fn faults(&self) -> &BTreeMap<booth_contract::AlertId, String> {
        self.booth.faults()
    }

    /// The session machine of the citizen's visit.
    pub fn session(&self) -> &Session {
        self.booth.session()
    }

    /// The delivery machine.
    pub fn delivery(&self) -> &Delivery {
        &self.booth.delivery
    }

    /// When the loop must turn although nothing happens.
    pub fn wake_at(&self, now: Mono) -> Mono {
        let at = self.booth.deadline(now, &self.around());
        let campaigns = self.campaigns_deadline();
        campaigns.map_or(at, |due| at.min(due.max(now)))
    }

    /// Does what is due.
    pub fn turn(&mut self, now: Mono) {
        journal::tell_due();
        self.hold_errands();
        self.look_at_supply(now);
        self.look_at_campaigns(now);
        self.decide(now, Event::Turn);
        self.pass_on();
        self.deliver(now);
        self.show();
    }

    /// Handles one happening completely.
    pub fn happen(&mut self, now: Mono, happening: Happening) {
        match happening {
            Happening::Handset(report) => self.handset(now, report),
            Happening::Recorder(event) => self.recorded(now, event),
            Happening::Playback(PlaybackEvent::Started { id, at }) => {
                log::debug!(play = id.0, at_ms = at.0; "first sample handed to the sound card");
                if let Some(lifted) = self.unheard_lift.take() {
                    log::info!(ms = at.since(lifted).as_millis() as u64; "lifted, first sample in the earpiece");
                }
                if let Some((_, asked)) = self.unheard_tone.take_if(|(tone, _)| *tone == id) {
                    log::info!(ms = at.since(asked).as_millis() as u64; "key, tone in the earpiece");
                }
            }
            Happening::Playback(PlaybackEvent::Ended { id }) => {
                self.decide(now, Event::PlayEnded(id));
            }
            Happening::Playback(PlaybackEvent::State { works }) => {
                let works = log_works("earpiece", works);
                self.set_mixer(&works);
                self.booth.evidence.playback = works;
            }
            Happening::Capture(CaptureState { works }) => {
                let works = log_works("microphone", works);
                if let Err(why) = &works
                    && self.booth.evidence.capture.is_ok()
                {
                    self.event(
                        "device_lost",
                        json!({ "device": "microphone", "text": why }),
                    );
                }
                self.set_mixer(&works);
                self.booth.evidence.capture = works;
            }
            Happening::Mqtt(event) => self.mqtt_event(now, event),
            Happening::Keeper(event) => self.keeper_event(now, event),
            Happening::Reader(event) => self.read(now, event),
            Happening::OldCard(event) => self.old_card_event(now, event),
            Happening::Stick(event) => self.stick_event(now, event),
            Happening::Mixer(Applied { faults, notes }) => {
                self.booth.evidence.mixer = logged(&faults);
                logged(&notes);
                self.mixer_notes = notes;
            }
            Happening::Update(news) => self.update_news(now, news),
            Happening::Doctor { answer } => {
                // The asker may have gone.
                let status = self.diagnosis(now);
                let line =
                    serde_json::to_string(&status).expect("a status holds only text and numbers");
                let _ = answer.send(line);
            }
        }
    }

    /// Sets the mixer again when a card has come back: it has its own defaults.
    fn set_mixer(&self, works: &Works) {
        if works.is_ok()
            && let Some(mixer) = &self.mixer
        {
            // One message is enough, however often the card comes back.
            let _ = mixer.offer(());
        }
    }

    /// Hands on what workers had no room for before.
    fn pass_on(&self) {
        self.recorder.pass_on();
        self.earpiece.pass_on();
        self.keeper.pass_on();
        self.reader.pass_on();
        if let Some(handset) = &self.handset {
            handset.pass_on();
        }
        self.update.pass_on();
    }

    fn to_handset(&self, command: HandsetCommand) {
        if let Some(handset) = &self.handset {
            handset.send(command);
        }
    }
}

/// Logs whether a part works. Returns it as the core weighs it: the fact, and the sentence about a fault.
fn log_works(what: &str, works: Result<(), impl Display>) -> Works {
    let works = works.map_err(|fault| fault.to_string());
    match &works {
        Ok(()) => log::info!(over = what; "the {what} works"),
        Err(why) => log::warn!(fault = what; "{why}"),
    }
    works
}

/// Logs each of these faults, and returns their sentences for the core.
fn logged(faults: &[impl Display]) -> Vec<String> {
    let sentences: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for sentence in &sentences {
        log::warn!("{sentence}");
    }
    sentences
}

/// Logs something from outside that makes no sense.
fn log_odd(what: &str) {
    log::warn!(about = "odd"; "{what}");
}
