//! The only loop: waits for something to happen, hands it to the core, does what the core commands.
//!
//! Owns: the running gateway. Never does: block on the card, the network or a device; adapters do
//! that on their own threads and report here. The watchdog is fed by this loop's turns.

mod connections;
mod desk;
mod diagnosis;
mod health;
mod keeper;
mod machine;
mod post;
mod reader;
mod reports;
mod resend;
mod selftest;
mod service;
mod stand_in;
mod start;
mod update;

use booth_contract::time::rfc3339;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;

use crate::adapters::capture::{CaptureFigures, CaptureState};
use crate::adapters::ear::MicLevels;
use crate::adapters::handset::{HandsetCommand, HandsetReport, HandsetView};
use crate::adapters::mixer::Applied;
use crate::adapters::mqtt::{Kind, MqttEvent, Outbound};
use crate::adapters::outbox::{GaveWay, Outbox};
use crate::adapters::playback::{PlaybackCommand, PlaybackEvent};
use crate::adapters::prompts::Prompts;
use crate::adapters::recorder::{RecorderCommand, RecorderEvent};
use crate::adapters::sensors::SupplyFiles;
use crate::config::Config;
use booth_contract::BrokerState;
use booth_contract::time::Mono;
use booth_contract::{BoothId, ClipId, Consent, Publish, Topic, Topics};
use booth_host::journal;
use booth_sealing::Recipients;
use booth_spool::{KeptClip, LedgerNews, NewClip, OpenReport, Spool, SpoolError, StartFacts};
use gateway_core::bell::{Bell, Moment};
use gateway_core::counters::{Counter, Counters};
use gateway_core::delivery::{Delivery, Offer, Puback, Send, Verdict, What};
use gateway_core::health::{AlertBook, AlertChange, Evidence, Parts, SpoolFault, is_ready};
use gateway_core::inbox::{self, Inbound};
use gateway_core::microphone::Microphone;
use gateway_core::quarantine::{Note, Quarantine};
use gateway_core::session::{
    Command, HandsetEvent, Input, Key, Lamp, RecorderNews, Session, TakeId,
};
use gateway_core::sign::{FirstBoot, Sign, View};
use gateway_core::unreadable::{self, Unreadable};
pub use keeper::{Fix, Keeper, KeeperCommand, KeeperEvent, LOOK};
pub use machine::{About, Machine, ThisMachine};
pub use post::{Post, post};
pub use reader::{Measured, ReadCommand, ReadEvent, Reader, certificate_file, read_message};
pub use reports::Speaker;
pub use start::{Ended, RunError, check_anywhere, run, run_witnessed};
pub use update::{UpdateAsk, UpdateNews};

/// Evidence is weighed at least this often.
const WEIGH: Duration = Duration::from_secs(2);
/// The supply voltage is looked at this often where the machine knows it: the kernel's alarm holds for two seconds.
const LOOK_AT_SUPPLY: Duration = Duration::from_secs(1);
/// How often its files are looked for: the alarm's driver may be loaded later.
const LOOK_FOR_SUPPLY: Duration = Duration::from_secs(60);
/// A connection that has lasted this long is taken to be without a rival.
const SETTLED: Duration = Duration::from_secs(60);
/// A wall clock that moves by this much against the boot-time clock has stepped; less is slewing and the time between reads.
const CLOCK_STEP_MS: u64 = 500;
/// The name under which the card remembers that the self-test's tone was heard once.
const MICROPHONE_HEARD: &str = "microphone_heard";
/// The names under which it remembers when a citizen could first speak, on the boot-time clock, and in which boot that was.
const READY_AT_MS: &str = "ready_at_ms";
const READY_IN_BOOT: &str = "ready_in_boot";
/// The names under which it remembers for which configuration good, and not good, were shown at the end of a first boot.
const TOLD_GOOD: &str = "told_good_for";
const TOLD_NOT_GOOD: &str = "told_not_good_for";
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

/// Where a command's reply goes.
struct ReplyTo {
    booth: BoothId,
    correlation: Option<Vec<u8>>,
}

/// The running gateway: happenings go in by [`Gateway::happen`], due work is done by [`Gateway::turn`], and all results
/// leave through the [`Workers`].
pub struct Gateway {
    machine: Box<dyn Machine>,
    about: About,
    config: Config,
    config_path: std::path::PathBuf,
    /// Why there is no configuration to run by.
    not_set_up: Option<String>,
    /// A booth that was not set up has a good configuration.
    starts_again: bool,
    config_hash: String,
    /// The city's keys, where this booth seals. They come from the configuration that it started with.
    seal_to: Option<Arc<Recipients>>,
    topics: Topics,
    zone: jiff::tz::TimeZone,
    session: Session,
    delivery: Delivery,
    quarantine: Quarantine,
    resends: resend::Desk,
    desk: desk::Desk,
    evidence: Evidence,
    parts: Option<Parts>,
    faults: BTreeMap<booth_contract::AlertId, String>,
    alerts: AlertBook,
    counters: Counters,
    counters_changed: bool,
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
    /// What the machine said of itself last.
    measured: Measured,
    handset: Option<Post<HandsetCommand>>,
    view: Arc<HandsetView>,
    mqtt: Option<Outbox>,
    mixer: Option<Post<()>>,
    /// Mixer controls that were set to another value than asked, for the doctor.
    mixer_notes: Vec<String>,
    last_key: Option<(Mono, Key)>,
    capture_figures: Arc<CaptureFigures>,
    is_connected: bool,
    /// The connection stood at least once since the start.
    was_connected: bool,
    broker_state: BrokerState,
    connected_at: Mono,
    reconnects: u64,
    next_telegram: u64,
    waiting_events: VecDeque<(String, Vec<u8>)>,
    /// The first take of the citizen who is here; takes from it on do not leave the booth yet.
    open_session: Option<TakeId>,
    lifted_at: Option<Mono>,
    /// A lift whose first prompt has not reached the earpiece yet.
    unheard_lift: Option<Mono>,
    last_clip: Option<(Mono, KeptClip)>,
    last_clipped_pct: Option<f64>,
    last_test: Option<KeptClip>,
    /// Correlation Data of the message that came last.
    correlation: Option<Vec<u8>>,
    /// A technician's test message that the centre is to confirm.
    awaited_test: Option<ClipId>,
    microphone: Microphone,
    mic_levels: Arc<MicLevels>,
    asked: selftest::Asked,
    update: update::Desk,
    bell: Bell,
    /// When a citizen could speak for the first time in this boot.
    first_ready: Option<Mono>,
    first_boot: FirstBoot,
    health_due: Mono,
    /// Wall clock minus boot-time clock at the last step, ms.
    clock_offset: Option<i64>,
    clock_was_synced: bool,
    /// The pair of clocks was published while no hub listened.
    clock_step_unheard: bool,
    /// When the booth introduces itself to a hub that has come.
    introduction_due: Option<Mono>,
    /// The centre's messages that could not be read.
    unreadable: Unreadable,
    written: health::Written,
    /// The files of the supply voltage, when they are looked for again, and when they are read next.
    supply_files: SupplyFiles,
    supply_search_due: Mono,
    supply_due: Mono,
}

impl Gateway {
    fn speaker(&self) -> Speaker {
        self.speaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a citizen can speak now.
    pub fn is_ready(&self) -> bool {
        is_ready(&self.faults)
    }

    /// What is wrong, and the sentence for it.
    pub fn faults(&self) -> &BTreeMap<booth_contract::AlertId, String> {
        &self.faults
    }

    /// The session machine of the citizen's visit.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The delivery machine.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    fn local_day(&self) -> i64 {
        let date = self.zone.to_datetime(self.machine.wall()).date();
        let epoch = jiff::civil::Date::constant(1970, 1, 1);
        date.since(epoch)
            .map_or(0, |span| i64::from(span.get_days()))
    }

    /// Publishes anything that is not a part of a clip; dropped while there is no connection, because
    /// everything retained is published again at the next one.
    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, kind: Kind, expiry_s: Option<u32>) {
        self.telegram(topic, payload, kind, expiry_s, None);
    }

    fn telegram(
        &mut self,
        topic: &Topic,
        payload: Vec<u8>,
        kind: Kind,
        expiry_s: Option<u32>,
        correlation: Option<Vec<u8>>,
    ) {
        if !self.is_connected {
            return;
        }
        let token = self.event_token();
        self.next_telegram += 1;
        let topic = self.topics.name(topic);
        self.count_sent(&topic, &payload);
        let lost = self.mqtt.as_ref().and_then(|outbox| {
            outbox.put(Outbound {
                token,
                topic,
                payload,
                retain: kind == Kind::Statement,
                expiry_s,
                correlation,
                kind,
            })
        });
        match lost {
            None => {}
            Some(GaveWay::Replaced(earlier)) => self.count_unsent(&earlier),
            Some(GaveWay::Lost(lost)) => {
                log::warn!(about = "outbox"; "more waits for the broker than there is room for; {} is not sent", lost.topic);
                self.count_unsent(&lost);
                self.update_lost(lost.token);
            }
        }
    }

    /// A message will not go to the connection after all: takes it off the count.
    fn count_unsent(&mut self, message: &Outbound) {
        let bytes = message.topic.len() + message.payload.len();
        self.counters.unsent(bytes as u64);
    }

    /// The token for the next published message that is not a part of a clip.
    fn event_token(&self) -> u64 {
        TELEGRAM | self.next_telegram
    }

    /// Counts topic and payload of a message that goes to the connection.
    fn count_sent(&mut self, topic: &str, payload: &[u8]) {
        let bytes = topic.len() + payload.len();
        self.counters.sent(bytes as u64, self.local_day());
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
            }
            Happening::Playback(PlaybackEvent::Ended { id }) => {
                self.tone_played(now, id);
                self.tell(now, Input::PlayEnded(id));
            }
            Happening::Playback(PlaybackEvent::State { works }) => {
                log_works("earpiece", &works);
                self.set_mixer(&works);
                self.evidence.playback = works;
            }
            Happening::Capture(CaptureState { works }) => {
                log_works("microphone", &works);
                if let Err(why) = &works
                    && self.evidence.capture.is_ok()
                {
                    self.event(
                        "device_lost",
                        json!({ "device": "microphone", "text": why }),
                    );
                }
                self.set_mixer(&works);
                self.evidence.capture = works;
            }
            Happening::Mqtt(event) => self.mqtt_event(now, event),
            Happening::Keeper(event) => self.keeper_event(now, event),
            Happening::Reader(event) => self.read(now, event),
            Happening::Mixer(Applied { faults, notes }) => {
                for sentence in faults.iter().chain(&notes) {
                    log::warn!("{sentence}");
                }
                self.evidence.mixer = faults;
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
    fn set_mixer(&self, works: &Result<(), String>) {
        if works.is_ok()
            && let Some(mixer) = &self.mixer
        {
            // One message is enough, however often the card comes back.
            let _ = mixer.offer(());
        }
    }

    fn handset(&mut self, now: Mono, report: HandsetReport) {
        match report {
            HandsetReport::AtStart { off_hook } => {
                self.tell(now, Input::HandsetAtStart { off_hook })
            }
            HandsetReport::Works(works) => {
                log_works("handset", &works);
                self.evidence.handset = works;
            }
            HandsetReport::Controls(controls) => {
                for sentence in &controls {
                    log::warn!("{sentence}");
                }
                self.evidence.controls = controls;
            }
            HandsetReport::HookTaught => {
                log::warn!("the hook's resting level was taught with the service button");
                self.event("hook_taught", json!({}));
            }
            HandsetReport::CaseOpen(is_open) => {
                self.event(
                    if is_open {
                        "case_opened"
                    } else {
                        "case_closed"
                    },
                    json!({}),
                );
                self.evidence.case_open = is_open;
                self.tell(now, Input::CaseOpen(is_open));
            }
            HandsetReport::Event { at, event, done } => {
                if let HandsetEvent::Key(key, _) = event {
                    self.last_key = Some((at, key));
                }
                if event == HandsetEvent::Lifted {
                    self.lifted_at = Some(at);
                    self.unheard_lift = Some(at);
                    self.weigh(now);
                }
                self.tell(at, Input::Handset(event));
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
            HandsetReport::State { answer } => {
                self.weigh(now);
                let state = json!({
                    "session": self.session.state_name(),
                    "ready": u8::from(self.is_ready()),
                    "spool_clips": self.delivery.unsent(),
                    "oldest_unsent_s": self.delivery.oldest_unsent(now).map_or(0, |age| age.as_secs()),
                    "connected": u8::from(self.is_connected),
                    "hub_online": u8::from(self.delivery.is_hub_online()),
                    "faults": self.faults.keys().map(|id| id.as_str()).collect::<Vec<_>>(),
                });
                let _ = answer.send(state.to_string());
            }
        }
    }

    /// Hands an input to the session machine and carries out its commands.
    fn tell(&mut self, now: Mono, input: Input) {
        for command in self.session.handle(now, input) {
            self.obey(now, command);
        }
    }

    fn obey(&mut self, now: Mono, command: Command) {
        match command {
            Command::Play {
                id,
                prompts,
                gain_steps,
            } => {
                self.earpiece.send(PlaybackCommand::Play {
                    id,
                    prompts,
                    gain_steps,
                });
            }
            Command::StopPlay => {
                self.earpiece.send(PlaybackCommand::Stop);
            }
            Command::Arm {
                take,
                question_id,
                key,
            } => {
                let clip = NewClip {
                    question_id: Some(question_id),
                    ..self.new_clip(key)
                };
                let clip = Box::new(clip);
                self.arm(now, take, clip);
            }
            Command::ArmTest { take } => {
                let mut clip = Box::new(NewClip {
                    test: true,
                    ..self.new_clip(None)
                });
                // No notice was heard, so the manifest names none.
                clip.consent.notice_id = None;
                self.arm(now, take, clip);
            }
            Command::Service(ask) => self.serve(now, ask),
            Command::Keep { take, from } => {
                self.recorder.send(RecorderCommand::Keep { take, from });
            }
            Command::Finish {
                take,
                ended_by,
                at,
                min,
            } => {
                self.recorder.send(RecorderCommand::Finish {
                    take,
                    ended_by,
                    at,
                    min,
                });
            }
            Command::Discard { take } => {
                self.recorder.send(RecorderCommand::Discard { take });
            }
            Command::Lamp(lamp) => {
                self.to_handset(HandsetCommand::Recording(lamp == Lamp::Listening));
                self.to_handset(HandsetCommand::Lamp(lamp));
            }
            Command::Count(counter) => {
                if counter == Counter::WrongCodes {
                    log::warn!(about = "service code"; "somebody dialled a wrong service code");
                }
                self.count(counter);
            }
            Command::Event(kind) => self.event(kind, json!({})),
            Command::HandsetLeftOff(left_off) => self.evidence.left_off = left_off,
            Command::SessionOpened { first_take } => self.open_session = Some(first_take),
            Command::SessionClosed => {
                self.open_session = None;
                self.delivery.session_closed();
                self.save_counters();
            }
        }
    }

    /// A clip that begins now.
    fn new_clip(&self, key: Option<String>) -> NewClip {
        let consent = Consent {
            mode: self.config.session.consent,
            key,
            notice_id: self.prompts.notice_id().map(str::to_owned),
            publish: Publish::No,
        };
        let armed = StartFacts {
            wall_ms: self.machine.wall().as_millisecond(),
            mono: self.machine.mono(),
            clock_synced: self.machine.clock_synced(),
        };
        let (id, booth_id) = (self.machine.new_id(), self.config.booth.id.clone());
        NewClip {
            lang: Some(self.config.session.language.clone()),
            bitrate: self.config.audio.bitrate,
            ..NewClip::speech(id.into(), booth_id, consent, armed)
        }
    }

    /// Asks the recorder for a take. A recorder whose queue is full cannot record this one either.
    fn arm(&mut self, now: Mono, take: TakeId, clip: Box<NewClip>) {
        let command = RecorderCommand::Arm {
            take,
            clip,
            seal_to: self.seal_to.clone(),
        };
        if !self.recorder.offer(command) {
            log::error!(about = "recording"; "the recorder takes no more commands; the card keeps it waiting");
            self.tell(now, Input::Recorder(RecorderNews::Failed(take)));
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

    fn count(&mut self, counter: Counter) {
        self.counters.count(counter, self.local_day());
        self.counters_changed = true;
    }

    fn save_counters(&mut self) {
        if std::mem::take(&mut self.counters_changed) {
            let counters = KeeperCommand::Counters(self.saved_counters());
            // If the keeper is busy, it gets later counters.
            self.counters_changed = !self.keeper.offer(counters);
        }
    }

    /// Everything that is counted or known of this card.
    fn saved_counters(&self) -> BTreeMap<String, u64> {
        let mut saved = self.counters.saved();
        if let Some(at) = self.first_ready {
            saved.insert(READY_AT_MS.into(), at.0);
            saved.insert(READY_IN_BOOT.into(), self.speaker().boot_count);
        }
        let (good, not_good) = self.first_boot.remembered().unwrap_or_default();
        let told = [(TOLD_GOOD, good), (TOLD_NOT_GOOD, not_good)];
        let told = told
            .into_iter()
            .filter_map(|(name, number)| Some((name.to_owned(), number?)));
        saved.extend(told);
        saved.insert(
            MICROPHONE_HEARD.into(),
            self.microphone.heard_before().into(),
        );
        saved
    }

    fn recorded(&mut self, now: Mono, event: RecorderEvent) {
        match event {
            RecorderEvent::Started { take, .. } => {
                self.tell(now, Input::Recorder(RecorderNews::Started(take)))
            }
            RecorderEvent::Voice { take, active, at } => {
                self.tell(
                    now,
                    Input::Recorder(RecorderNews::Voice { take, active, at }),
                );
            }
            RecorderEvent::Heard(heard) => self.heard(now, heard),
            RecorderEvent::Kept {
                take,
                clip,
                clipped_pct,
            } => {
                log::info!(
                    clip_id = clip.clip_id.as_str(), clip_no = clip.clip_no, ms = clip.duration_ms,
                    bytes = clip.bytes; "kept"
                );
                if !clip.test {
                    self.microphone
                        .recorded(now, clip.speech_ratio != Some(0.0));
                }
                if clip.test {
                    self.last_test = Some((*clip).clone());
                } else {
                    self.last_clip = Some((now, (*clip).clone()));
                    self.last_clipped_pct = Some(clipped_pct);
                }
                // No clip of a citizen leaves before they have hung up; a technician's test leaves at once, because the
                // technician waits for the centre.
                let held = !clip.test && self.open_session.is_some_and(|first| take >= first);
                self.offer(now, &clip, Duration::ZERO, held);
                self.tell(now, Input::Recorder(RecorderNews::Kept(take)));
                if self.open_session.is_none() {
                    self.save_counters();
                }
            }
            RecorderEvent::Discarded { take, too_short } => {
                log::info!(take = take.0, too_short; "discarded");
                self.tell(now, Input::Recorder(RecorderNews::Discarded(take)));
                if self.open_session.is_none() {
                    self.save_counters();
                }
            }
            RecorderEvent::Failed { take, why } => {
                log::error!(about = "recording", take = take.0; "a recording failed: {why}");
                self.evidence.spool = Err(SpoolFault::Unwritable(why));
                // The keeper's next look shows whether that is still so.
                let _ = self.keeper.offer(KeeperCommand::Look);
                self.tell(now, Input::Recorder(RecorderNews::Failed(take)));
            }
        }
    }

    fn offer(&mut self, now: Mono, clip: &KeptClip, age: Duration, held: bool) {
        let now_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let offer = Offer {
            clip_id: clip.clip_id.clone(),
            bytes: clip.bytes,
            sha256: clip.sha256.clone(),
            kept_at_ms: now_ms.saturating_sub(age_ms),
            fixed: !self
                .spool
                .as_ref()
                .is_some_and(|spool| spool.needs_fixing(&clip.clip_id)),
        };
        self.delivery.keep(offer, held);
    }

    fn keeper_event(&mut self, now: Mono, event: KeeperEvent) {
        match event {
            KeeperEvent::Opened(spool, report) => {
                log::info!(over = "spool"; "the spool is open");
                self.use_spool(now, spool, &report);
                if self.is_connected {
                    self.introduce(now);
                }
            }
            KeeperEvent::Room(room) => self.evidence.spool = room,
            KeeperEvent::Probed(result) => self.card_probed(result),
            KeeperEvent::Closed(result) => self.card_was_closed(now, result),
            KeeperEvent::Damaged(what) => {
                log::error!("{what}");
                self.evidence.damaged = Some(what);
            }
            KeeperEvent::Failed(why) => {
                let is_open = self.spool.is_some();
                match is_open {
                    true => log::error!(about = "spool-work"; "the spool: {why}"),
                    false => log::error!(fault = "spool"; "the spool: {why}"),
                }
                if !is_open {
                    self.evidence.spool = Err(SpoolFault::Unwritable(why));
                }
            }
            KeeperEvent::Fixed(clips) => {
                for (clip_id, done) in clips {
                    self.manifest_fixed(now, &clip_id, done);
                }
            }
            KeeperEvent::Quarantined(clip_id, note) => {
                self.delivery.give_up(&clip_id);
                self.quarantine.entered(&clip_id, note);
            }
            KeeperEvent::BroughtBack(clips) => self.brought_back(now, clips),
            KeeperEvent::Mended(clips) => {
                // These may be clips of the citizen who is here.
                let held = self.open_session.is_some();
                for clip in clips {
                    log::info!(clip_id = clip.clip_id.as_str(); "finished after a failed write");
                    self.offer(now, &clip, Duration::ZERO, held);
                }
                self.evidence.spool = Ok(());
            }
        }
    }

    /// What became of a manifest that was to be fixed before its first offer.
    fn manifest_fixed(&mut self, now: Mono, clip_id: &ClipId, done: Fix) {
        match done {
            Fix::Done => self.delivery.fixed(clip_id),
            Fix::NotTried => self.delivery.not_tried(clip_id),
            Fix::Failed(error) if error.is_damage() => self.damaged(clip_id, &error),
            // The clip was released or quarantined meanwhile.
            Fix::Failed(SpoolError::UnknownClip { .. }) => self.delivery.give_up(clip_id),
            Fix::Failed(error) => {
                log::warn!("a manifest cannot be made final yet: {error}");
                self.delivery.not_fixed(now, clip_id, &error.to_string());
            }
        }
    }

    /// A clip's file is not what was written: it is sent no more, and kept.
    fn damaged(&mut self, clip_id: &ClipId, error: &SpoolError) {
        log::error!("{error}");
        self.evidence.damaged = Some(error.to_string());
        self.delivery.give_up(clip_id);
        let note = Note::damaged(&error.to_string());
        self.set_aside(clip_id, note);
    }

    /// Instructs the keeper to move a clip to quarantine.
    fn set_aside(&mut self, clip_id: &ClipId, note: Note) {
        self.quarantine.entered(clip_id, note.clone());
        let clip_id = clip_id.to_owned();
        self.keeper
            .send(KeeperCommand::Quarantine { clip_id, note });
    }

    /// The spool is there: its clips are offered, its counters go on.
    fn use_spool(&mut self, now: Mono, spool: Spool, report: &OpenReport) {
        let card = spool.identity();
        let is_known_card = {
            let mut speaker = self.speaker.lock().unwrap_or_else(PoisonError::into_inner);
            speaker.boot_count = card.boot_count;
            std::mem::replace(&mut speaker.card_id, card.card_id.clone()) == card.card_id
        };
        self.delivery.spool_opened();
        self.quarantine.found(spool.notes());
        self.spool = Some(spool.clone());
        let wall_ms = self.machine.wall().as_millisecond();
        for clip in spool.clips() {
            let age = u64::try_from(wall_ms.saturating_sub(clip.kept_at_ms)).unwrap_or(0);
            self.offer(now, &clip, Duration::from_millis(age), false);
        }
        for clip in &report.recovered {
            log::warn!(clip_id = clip.clip_id.as_str(); "finished what a power cut had left");
        }
        let mut found: Vec<String> = Vec::new();
        found.extend(
            report
                .card_unreadable
                .iter()
                .map(|why| format!("the card's identity: {why}")),
        );
        found.extend(
            report
                .set_aside
                .iter()
                .map(|(name, why)| format!("{name} was moved aside: {why}")),
        );
        for (name, why) in &report.unread {
            log::error!("clip {name} cannot be read now, and is tried again: {why}");
        }
        found.extend(
            report
                .damaged
                .iter()
                .map(|(name, why)| format!("clip {name} is in quarantine: {why}")),
        );
        found.extend(
            report
                .missing
                .iter()
                .map(|(_, no, id)| format!("clip {no} ({id}) is gone from the card")),
        );
        if report.left_over > 0 {
            found.push(format!(
                "{} other things on the card make no sense or are lost; they are tidied up little by little beside the running booth",
                report.left_over
            ));
        }
        if let LedgerNews::Rebuilt(why) | LedgerNews::Off(why) = &report.ledger {
            log::warn!("the ledger: {why}");
        }
        for what in &found {
            log::error!("{what}");
        }
        if !found.is_empty() {
            self.evidence.damaged = Some(found.join("; "));
        }
        if let Some(copied) = &report.card_cloned {
            log::warn!(card_id = copied.as_str(); "this card is a copy of another; it has an identity of its own now");
            self.event("card_cloned", json!({ "previous_card_id": copied }));
        }
        if let Some(before) = &report.hardware_changed {
            log::warn!(hw_serial = before.as_str(); "this card was in another machine before");
            self.evidence.hardware_changed =
                Some(format!("This card was in the machine {before} before."));
        }
        if self.clock_was_synced
            && let Some(offset) = self.clock_offset
        {
            self.keeper.send(KeeperCommand::Clock(offset));
        }
        // As they were when the spool was opened: the keeper may be writing newer ones, which came from here.
        let saved = spool.identity().counters.clone();
        if is_known_card {
            // The spool was only closed; the counters of that time are in memory.
            self.counters_changed = true;
        } else {
            self.counters = Counters::restored(&saved);
        }
        if saved.get(READY_IN_BOOT) == Some(&self.speaker().boot_count) {
            let at = saved.get(READY_AT_MS).map(|at| Mono(*at));
            self.first_ready = self.first_ready.or(at);
        }
        let told = |name: &str| saved.get(name).copied();
        self.first_boot
            .card_says(told(TOLD_GOOD), told(TOLD_NOT_GOOD));
        let was_heard = saved.get(MICROPHONE_HEARD).is_some_and(|heard| *heard > 0);
        self.microphone.was_heard_before(was_heard);
        self.asked.was_heard |= was_heard;
        self.evidence.card_closed = false;
        if self.machine.watchdog_reset() == Some(true)
            && self.counters.watchdog_reset(self.speaker().boot_count)
        {
            log::warn!("the machine was reset by its watchdog");
            self.counters_changed = true;
        }
        self.recorder.send(RecorderCommand::UseSpool(spool));
        self.evidence.spool = Ok(());
    }

    fn mqtt_event(&mut self, now: Mono, event: MqttEvent) {
        match event {
            MqttEvent::Connected { max_packet } => {
                log::info!(over = "broker"; "connected to the broker");
                self.reconnects +=
                    u64::from(self.evidence.broker.is_err() && self.health_due > Mono(0));
                self.is_connected = true;
                self.was_connected = true;
                self.broker_state = BrokerState::Connected;
                self.evidence.broker = Ok(());
                self.connected_at = now;
                self.delivery.connected(max_packet);
                self.weigh(now);
                self.introduce(now);
                self.health_due = now + Duration::from_secs(self.config.health.interval_s);
            }
            MqttEvent::Disconnected {
                why,
                state,
                taken_over,
            } => {
                log::warn!(fault = "broker"; "{why}");
                self.broker_state = state;
                self.is_connected = false;
                self.update_untold();
                self.delivery.disconnected();
                self.delivery.hub_online(false);
                self.introduction_due = None;
                let since = match &self.evidence.broker {
                    Err((since, _)) => *since,
                    Ok(()) => now,
                };
                if taken_over {
                    let text = format!(
                        "{} {why}",
                        booth_contract::AlertId::DuplicateIdentity.meaning()
                    );
                    self.evidence
                        .delivery
                        .insert(booth_contract::AlertId::DuplicateIdentity, text);
                }
                self.evidence.broker = Err((since, why));
            }
            MqttEvent::Answered { token, answer, why } if token & TELEGRAM == 0 => {
                let verdicts = self.delivery.puback(now, token, answer, &why);
                self.settle(now, verdicts);
            }
            // Operations may not be listening; that is no fault of the booth.
            MqttEvent::Answered { token, .. } => self.update_answered(token),
            MqttEvent::Incoming {
                topic,
                payload,
                correlation,
            } => {
                self.correlation = correlation;
                self.incoming(now, &topic, &payload);
            }
        }
    }

    fn incoming(&mut self, now: Mono, topic: &str, payload: &[u8]) {
        match inbox::read(&self.topics, topic, payload) {
            Inbound::Hub(hub) => {
                self.quarantine.hub_says(&hub);
                self.hub_is(now, &hub);
            }
            Inbound::HubUnreadable(why) => {
                // The first reason stays in the alert, so that the alert is reported once.
                self.evidence
                    .hub_unreadable
                    .get_or_insert_with(|| why.clone());
                self.unreadable(now, unreadable::Kind::HubState, why);
            }
            Inbound::AckUnreadable(why) => self.unreadable(now, unreadable::Kind::Ack, why),
            Inbound::Ack(ack) => {
                let verdicts = self.delivery.ack(now, &ack);
                self.settle(now, verdicts);
            }
            Inbound::Rebirth(booth) => {
                let to = self.reply_to(booth);
                self.asked_to_introduce(now, to);
            }
            Inbound::SelfTest(booth) => {
                let to = self.reply_to(booth);
                self.asked_to_test(now, to);
            }
            Inbound::Ring(booth, rings) => {
                let to = self.reply_to(booth);
                match self.bell.may_ring(self.moment()) {
                    Ok(()) => {
                        let ringing = self.config.bell.ringing(rings);
                        let rings = ringing.rings;
                        self.to_handset(HandsetCommand::Ring(ringing));
                        self.reply(to, "ring".into(), &json!({ "ok": 1, "rings": rings }));
                    }
                    Err(silent) => self.refuse(to, "ring", silent.sentence()),
                }
            }
            Inbound::Update(booth, url) => self.asked_for_update(booth, url),
            Inbound::CancelUpdate(booth) => self.asked_to_cancel_update(booth),
            Inbound::Resend(booth, wanted) => self.asked_to_resend(now, booth, wanted),
            Inbound::UnknownCommand(booth, command) => {
                let to = self.reply_to(booth);
                self.refuse(to, &command, "this version does not know the command");
            }
            Inbound::Odd(what) => self.unreadable(now, unreadable::Kind::Other, what),
        }
    }

    /// Counts and logs a message that cannot be read; it changes nothing else.
    fn unreadable(&mut self, now: Mono, kind: unreadable::Kind, why: String) {
        let about = format!("unreadable {}", kind.word());
        let sentence = self.unreadable.note(now, kind, why);
        log::warn!(about = about.as_str(); "{sentence}");
    }

    /// Notes when the wall clock becomes right, and when it steps: the pair of clocks goes to the card and to the hub.
    fn watch_clock(&mut self, now: Mono) {
        let synced = self.machine.clock_synced();
        self.evidence.clock_synced = synced;
        let wall_ms = self.machine.wall().as_millisecond();
        let offset = wall_ms.saturating_sub_unsigned(now.0);
        let stepped = self
            .clock_offset
            .is_some_and(|before| before.abs_diff(offset) >= CLOCK_STEP_MS);
        let became_right = synced && !self.clock_was_synced;
        self.clock_was_synced = synced;
        if self.clock_offset.is_none() || stepped || became_right {
            self.clock_offset = Some(offset);
        }
        if synced && (became_right || stepped) {
            self.keeper.send(KeeperCommand::Clock(offset));
        }
        if became_right || stepped {
            self.tell_clock();
        }
    }

    /// Where the answer to the latest command goes.
    fn reply_to(&mut self, booth: BoothId) -> ReplyTo {
        let correlation = self.correlation.take();
        ReplyTo { booth, correlation }
    }

    fn reply(&mut self, to: ReplyTo, command: String, reply: &serde_json::Value) {
        let topic = Topic::Reply(to.booth, command);
        let payload = reply.to_string().into_bytes();
        self.telegram(&topic, payload, Kind::Answer, None, to.correlation);
    }

    fn settle(&mut self, now: Mono, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            match verdict {
                Verdict::Release(receipt) => {
                    log::info!(clip_id = receipt.clip_id().as_str(); "confirmed");
                    self.confirmed(now, receipt.clip_id());
                    self.keeper.send(KeeperCommand::Release(receipt));
                }
                Verdict::Delete(receipt) => {
                    log::info!(clip_id = receipt.clip_id().as_str(); "withdrawn");
                    self.keeper.send(KeeperCommand::Release(receipt));
                }
                Verdict::Quarantine { clip_id, reason } => {
                    log::error!(about = "refused", clip_id = clip_id.as_str(); "the hub refused a clip: {reason}");
                    let note = Note::refused(&reason, self.quarantine.hub().cloned());
                    self.set_aside(&clip_id, note);
                }
                Verdict::Odd(what) => log_odd(&what),
            }
        }
    }

    /// Publishes what delivery has to send, as far as the windows allow.
    fn deliver(&mut self, now: Mono) {
        if self.spool.is_some() {
            let unfixed = self.delivery.to_fix(now);
            if !unfixed.is_empty() {
                self.keeper.send(KeeperCommand::Fix(unfixed));
            }
            self.bring_back_what_is_due(now);
        }
        self.read_next(now);
    }

    /// Asks the reader for the next message that delivery wants to send, unless it still reads one. A card that is closed for
    /// a technician is not read.
    fn read_next(&mut self, now: Mono) {
        if self.reading.is_none()
            && let Some(spool) = &self.spool
            && let Some(send) = self.delivery.next(now)
        {
            self.reading = Some(send.token);
            let spool = spool.clone();
            self.reader.send(ReadCommand::Message { spool, send });
        }
    }

    fn read(&mut self, now: Mono, event: ReadEvent) {
        match event {
            ReadEvent::Message { send, read } => {
                self.reading = None;
                // The clip was given up, or the connection was lost, while the card was read.
                if self.delivery.awaits(send.token) {
                    self.message_read(now, &send, read);
                }
                self.read_next(now);
            }
            ReadEvent::Configuration(Ok(read_again)) => self.configured(now, *read_again),
            ReadEvent::Configuration(Err(error)) => self.not_configured(&error),
            ReadEvent::Measured(measured) => self.measured(*measured),
        }
    }

    /// Publishes a message of a clip, or notes why the card does not give it.
    fn message_read(&mut self, now: Mono, send: &Send, read: Result<Vec<u8>, SpoolError>) {
        match read {
            Ok(payload) => self.publish_of_clip(now, send, payload),
            Err(error) if error.is_damage() => self.damaged(&send.clip_id, &error),
            // The clip is not on this card: another card was put in.
            Err(error @ SpoolError::UnknownClip { .. }) => {
                log_odd(&error.to_string());
                self.delivery.give_up(&send.clip_id);
            }
            Err(error) => {
                log::warn!(about = "spool-read"; "a clip cannot be read now, and is tried again: {error}");
                self.delivery
                    .unreadable(now, send.token, &error.to_string());
            }
        }
    }

    fn publish_of_clip(&mut self, now: Mono, send: &Send, payload: Vec<u8>) {
        let (booth, clip_id) = (self.config.booth.id.clone(), send.clip_id.clone());
        let topic = match send.what {
            What::Manifest => Topic::Clip(booth, clip_id),
            What::Part { from, .. } => Topic::Part(booth, clip_id, from),
        };
        self.delivery.sized(send.token, payload.len());
        let topic = self.topics.name(&topic);
        self.count_sent(&topic, &payload);
        let message = Outbound {
            token: send.token,
            topic,
            payload,
            retain: false,
            expiry_s: None,
            correlation: None,
            kind: Kind::Clip,
        };
        let lost = self.mqtt.as_ref().and_then(|outbox| outbox.put(message));
        if let Some(GaveWay::Lost(lost)) = lost {
            // Delivery's window is smaller than the outbox, so this should never happen.
            log_odd("the outbox has no room for a clip");
            let verdicts =
                self.delivery
                    .puback(now, lost.token, Puback::Later, "the outbox is full");
            self.settle(now, verdicts);
        }
    }

    /// Weighs the evidence: reports to the session what works, and to operations what does not.
    fn weigh(&mut self, now: Mono) {
        let duplicate = self
            .evidence
            .delivery
            .remove(&booth_contract::AlertId::DuplicateIdentity);
        self.evidence.delivery = self.delivery.alerts(now);
        self.evidence.delivery.extend(self.quarantine.alerts());
        // A booth that fights with a rival for its identity is connected every now and then: only a lasting connection ends
        // the alarm.
        let is_settled = self.is_connected && now.since(self.connected_at) >= SETTLED;
        if let Some(text) = duplicate.filter(|_| !is_settled) {
            self.evidence
                .delivery
                .insert(booth_contract::AlertId::DuplicateIdentity, text);
        }
        self.evidence.hook_was_on = self.session.hook_was_on();
        self.watch_microphone(now);
        self.watch_clock(now);
        let parts = self.evidence.parts();
        if self.parts != Some(parts) {
            self.parts = Some(parts);
            self.tell(now, Input::Parts(parts));
        }
        let was_ready = self.is_ready();
        self.faults = self.evidence.faults(now);
        let wall = rfc3339(self.machine.wall());
        let changes = self
            .alerts
            .take(&self.faults, &wall, self.evidence.clock_synced);
        for change in &changes {
            match change {
                // While the parts are still starting, a missing part is not reported.
                AlertChange::Raise(id) if now.since(self.evidence.started) < WEIGH => {
                    self.publish_alert(*id)
                }
                AlertChange::Raise(id) => {
                    log::warn!(about = id.as_str(), alert = id.as_str(); "{}", self.faults.get(id).map_or("", String::as_str));
                    self.publish_alert(*id);
                }
                AlertChange::Clear(id) => {
                    log::info!(over = id.as_str(), alert = id.as_str(); "cleared");
                    self.publish_alert(*id);
                }
            }
        }
        self.note_first_ready(now);
        self.give_sign(now);
        if was_ready != self.is_ready() {
            self.machine.show(if self.is_ready() {
                "ready"
            } else {
                "out of order"
            });
        }
        if !changes.is_empty() {
            self.publish_health(now);
        }
    }

    /// Notes when a citizen could first speak. The boot-time clock began with the kernel, so it shows how long the booth
    /// took to start. A gateway that is restarted in the same boot reads the time from the card.
    fn note_first_ready(&mut self, now: Mono) {
        if self.first_ready.is_some() || !self.is_ready() {
            return;
        }
        log::info!(
            "a citizen can speak, {:.1} s after the kernel's start",
            now.0 as f64 / 1_000.0
        );
        self.first_ready = Some(now);
        // Saved at once: a program that is killed a minute later is restarted in the same boot.
        self.counters_changed = true;
        self.save_counters();
    }

    /// Shows by lamp and bell whether the booth is good, to the person who put the card in.
    fn give_sign(&mut self, now: Mono) {
        if self.handset.is_none() {
            // A simulated handset has neither lamp nor bell.
            return;
        }
        let view = View {
            is_ready: self.is_ready(),
            is_set_up: self.not_set_up.is_none(),
            // A handset that cannot be read does not count as lifted.
            off_hook: self.session.is_off_hook() && self.evidence.handset.is_ok(),
        };
        let Some(due) = self.first_boot.look(now, view) else {
            return;
        };
        self.counters_changed = true;
        match due.sign {
            Sign::Good => log::info!("the end of a first boot: good"),
            Sign::NotGood => log::warn!("the end of a first boot: not good"),
        }
        self.to_handset(HandsetCommand::Sign(due.sign));
        if due.is_first && self.bell.may_sign(self.moment()) {
            self.to_handset(HandsetCommand::Ring(due.sign.ringing()));
        }
    }

    /// The local minute of the day, if the clock can be believed.
    fn local_minute(&self) -> Option<u16> {
        let time = self.zone.to_datetime(self.machine.wall()).time();
        let minute = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).ok()?;
        self.evidence.clock_synced.then_some(minute)
    }

    /// What the bell depends on.
    fn moment(&self) -> Moment {
        Moment {
            minute: self.local_minute(),
            off_hook: self.session.is_off_hook(),
            ready: self.is_ready(),
        }
    }

    /// When the loop must turn although nothing happens.
    pub fn wake_at(&self, now: Mono) -> Mono {
        let at = (now + WEIGH).min(self.health_due.max(now));
        let due = self
            .session
            .deadline()
            .into_iter()
            .chain(self.delivery.deadline(now))
            .chain(self.quarantine_deadline(now))
            .chain(self.introduction_deadline())
            .chain(self.test_deadline())
            .chain(self.microphone_deadline())
            .chain(
                self.first_boot
                    .deadline()
                    .filter(|_| self.handset.is_some()),
            )
            .chain([self.supply_due]);
        due.fold(at, |at, due| at.min(due.max(now)))
    }

    /// A look at the supply voltage, if it is due.
    fn look_at_supply(&mut self, now: Mono) {
        if now < self.supply_due {
            return;
        }
        if now >= self.supply_search_due {
            self.supply_files = self.machine.supply_files();
            self.supply_search_due = now + LOOK_FOR_SUPPLY;
        }
        let supply = self.supply_files.look();
        self.evidence.power.look(now, supply);
        self.supply_due = match supply.is_known() {
            true => now + LOOK_AT_SUPPLY,
            false => self.supply_search_due,
        };
    }

    /// Does what is due.
    pub fn turn(&mut self, now: Mono) {
        journal::tell_due();
        self.look_at_supply(now);
        if self.session.deadline().is_some_and(|due| due <= now) {
            self.tell(now, Input::Tick);
        }
        self.weigh(now);
        self.introduce_if_due(now);
        self.test_if_due(now);
        self.pass_on();
        self.deliver(now);
        let has_schedule = !self.config.bell.at.is_empty();
        if has_schedule && self.bell.is_due(now, self.moment()) {
            log::info!("the bell rings by its schedule");
            self.to_handset(HandsetCommand::Ring(self.config.bell.ringing(None)));
        }
        if now >= self.health_due {
            self.health_due = now + Duration::from_secs(self.config.health.interval_s);
            self.publish_health(now);
            self.save_counters();
        }
    }
}

fn log_works(what: &str, works: &Result<(), String>) {
    match works {
        Ok(()) => log::info!(over = what; "the {what} works"),
        Err(why) => log::warn!(fault = what; "{why}"),
    }
}

/// Logs something from outside that makes no sense.
fn log_odd(what: &str) {
    log::warn!(about = "odd"; "{what}");
}
