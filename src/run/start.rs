//! Puts the gateway together, runs the loop, takes it apart.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::connections::{self, Choice};
use super::keeper::{self, Keeper, KeeperCommand, KeeperEvent};
use super::reports::Speaker;
use super::stand_in::StandIn;
use super::update::{self, UpdateAsk};
use super::{Gateway, Happening, Machine, ThisMachine, Workers};
use crate::adapters::capture::{self, CaptureFigures};
use crate::adapters::disk::RealDisk;
use crate::adapters::ear::MicLevels;
use crate::adapters::handset::{self, HandsetCommand, HandsetLinks, HandsetReport, HandsetView};
use crate::adapters::line_server::{self, LineSocket};
use crate::adapters::mixer;
use crate::adapters::mqtt::{self, MqttCommand, MqttSettings, Outbound, Will};
use crate::adapters::opus::SpeechEncoder;
use crate::adapters::playback::{self, Earpiece, PlaybackCommand};
use crate::adapters::prompts::Prompts;
use crate::adapters::sensors::{Sensors, SupplyFiles};
use crate::adapters::systemd::{self, Watchdog};
use crate::adapters::{clock, handset_sim, handset_trace, recorder, tls};
use crate::config::{Backend, BrokerUrl, Config, ConfigError, Confirm};
use crate::contract::{Presence, Topic, Topics};
use crate::doctor;
use crate::gateway::counters::Counters;
use crate::gateway::delivery::{Confirmation, Delivery};
use crate::gateway::health::{AlertBook, Evidence};
use crate::gateway::liveness::Liveness;
use crate::gateway::microphone::Microphone;
use crate::gateway::partition::{MOVED_ASIDE, Partition};
use crate::gateway::session::{Input, OpenQuestion, Prompt, Session, SessionRules};
use crate::gateway::sign::FirstBoot;
use crate::gateway::spoken::BrokerState;
use crate::gateway::time::Mono;
use crate::spool::{OpenReport, Spool, SpoolError};

/// Why the gateway did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Bad configuration: exit status 78.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Somebody else has the spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A part could not be set up.
    #[error("{0}")]
    Setup(String),
}

fn setup(what: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |error| RunError::Setup(format!("{what}: {error}"))
}

fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, RunError> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(setup("a thread cannot be started"))
}

/// Everything the connection needs; files that cannot be read are a bad configuration.
pub(crate) fn mqtt_settings(config: &Config) -> Result<Option<MqttSettings>, ConfigError> {
    let Some(url) = &config.mqtt.url else {
        return Ok(None);
    };
    let bad = |why: String| ConfigError(vec![format!("[mqtt] {why}")]);
    let BrokerUrl {
        host,
        port,
        tls: speaks_tls,
    } = BrokerUrl::parse(url).map_err(bad)?;
    let password = match &config.mqtt.password_file {
        Some(path) => Some(tls::read_password(path).map_err(bad)?),
        None => None,
    };
    let tls = if speaks_tls {
        let identity = config
            .mqtt
            .cert_file
            .as_deref()
            .zip(config.mqtt.key_file.as_deref());
        let settings = tls::client_config(config.mqtt.ca_file.as_deref(), identity);
        Some(settings.map_err(|error| bad(error.to_string()))?)
    } else {
        None
    };
    let client_id = config.booth.id.to_string();
    let filters = Topics::new(&config.mqtt.root).booth_filters(&config.booth.id);
    Ok(Some(MqttSettings {
        host,
        port,
        tls,
        client_id,
        password,
        filters,
    }))
}

/// Checks a configuration as `run` would, short of touching a device or the network.
pub fn check(path: &Path) -> Result<Config, ConfigError> {
    let config = Config::load(path)?;
    mqtt_settings(&config)?;
    Ok(config)
}

/// Whether the connection can be set up, short of the network: are its files what they should be?
pub fn check_connection(config: &Config) -> Result<(), ConfigError> {
    mqtt_settings(config).map(drop)
}

/// The rules of a visit.
#[doc(hidden)] // public for the fuzz targets
pub fn session_rules(config: &Config) -> SessionRules {
    let session = &config.session;
    let digits = |number: &String| number.bytes().map(|byte| byte - b'0').collect();
    SessionRules {
        consent: session.consent,
        emergency_numbers: session.emergency_numbers.iter().map(digits).collect(),
        service_code: config.service.digits(),
        max: Duration::from_secs(session.max_seconds),
        min: Duration::from_secs(session.min_seconds),
        silence: Duration::from_secs(session.silence_seconds),
        choose: Duration::from_secs(session.choose_seconds),
    }
}

/// The questions that can be answered.
#[doc(hidden)] // public for the fuzz targets
pub fn open_questions(config: &Config) -> Vec<OpenQuestion> {
    let open = |question: &crate::config::Question| OpenQuestion {
        id: question.id.clone(),
        digit: question.digit,
        prompt: Prompt::Question(question.prompt_name().to_owned()),
    };
    config.questions.iter().map(open).collect()
}

fn load_prompts(config: &Config) -> Arc<Prompts> {
    let names: Vec<String> = config
        .questions
        .iter()
        .map(|question| question.prompt_name().to_owned())
        .collect();
    let (prompts, broken) =
        Prompts::load(&config.session.prompts, &config.session.language, &names);
    for why in broken {
        log::warn!("{why}");
    }
    Arc::new(prompts)
}

#[allow(clippy::disallowed_methods)] // the hash tells operations which file this booth runs
fn hash_of(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    crate::contract::hex(&Sha256::digest(&bytes))[..16].to_owned()
}

/// Another number for another configuration, for the card to remember.
fn configuration_number(path: &Path) -> u64 {
    u64::from_str_radix(&hash_of(path), 16).unwrap_or(0)
}

/// Why a gateway that ran does so no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// It was not set up and has a good configuration now: start it again.
    StartAgain,
}

/// Runs the gateway until SIGTERM or SIGINT. With `setup_on_error` a bad configuration is no end: the booth stands there as
/// *not set up*, says so and records nothing, until SIGHUP finds a good one.
pub async fn run(
    path: &Path,
    trace: Option<&Path>,
    setup_on_error: bool,
) -> Result<Ended, RunError> {
    let (config, not_set_up) = match check(path) {
        Ok(config) => (config, None),
        Err(error) if setup_on_error => {
            let stand_in = StandIn::new(path, error);
            (stand_in.config, Some(stand_in.why))
        }
        Err(error) => return Err(error.into()),
    };
    let choices = connections::choices(&config)?;
    let opening = match &not_set_up {
        None => keeper::open(&config.spool, &ThisMachine).map(Some),
        Some(_) => Ok(None),
    };
    let opened = match opening {
        Ok(opened) => opened,
        Err(error @ SpoolError::InUse { .. }) => return Err(error.into()),
        // A booth whose card cannot be written still says so, on the handset and to operations.
        Err(error) => {
            log::error!("{error}");
            None
        }
    };
    let (happened, mut happenings) = mpsc::unbounded_channel();
    let stop = Arc::new(AtomicBool::new(false));
    let teller = |wrap: fn(_) -> Happening| {
        let happened = happened.clone();
        move |event| drop(happened.send(wrap(event)))
    };

    let mut liveness = Liveness::default();
    let (tap_sender, taps) = std_mpsc::channel();
    let (recorder, recorder_commands) = std_mpsc::channel();
    let audio = &config.audio;
    let encoder = SpeechEncoder::new(audio.bitrate, audio.complexity, audio.bandwidth)
        .map_err(|error| RunError::Setup(error.to_string()))?;
    let tell = happened.clone();
    let mic_levels = Arc::new(MicLevels::default());
    let levels = mic_levels.clone();
    let alive = liveness.watch("recorder", recorder::SILENT_AT_MOST);
    let report = move |event| drop(tell.send(Happening::Recorder(event)));
    recorder::spawn(encoder, taps, recorder_commands, levels, alive, report)
        .map_err(setup("the recorder cannot be started"))?;

    let capture_figures = Arc::new(CaptureFigures::default());
    let (input, figures, halt) = (
        config.audio.input.clone(),
        capture_figures.clone(),
        stop.clone(),
    );
    let tell = happened.clone();
    let alive = liveness.watch("capture", capture::SILENT_AT_MOST);
    thread("capture", move || {
        capture::supervise(&input, &tap_sender, &figures, &halt, &alive, |state| {
            drop(tell.send(Happening::Capture(state)))
        });
    })?;

    let view = Arc::new(HandsetView::default());
    let prompts = load_prompts(&config);
    let (earpiece, earpiece_commands) = std_mpsc::channel();
    let (output, known) = (config.audio.output.clone(), prompts.clone());
    let (tell, handset_view) = (happened.clone(), view.clone());
    let alive = liveness.watch("earpiece", playback::SILENT_AT_MOST);
    thread("earpiece", move || {
        let report = |event| drop(tell.send(Happening::Playback(event)));
        let commands = earpiece_commands;
        Earpiece::new(&output, known, handset_view, commands, alive, report).run();
    })?;

    let (keeper_sender, keeper_commands) = std_mpsc::channel();
    let (place, spool) = (
        config.spool.clone(),
        opened.as_ref().map(|(spool, _)| spool.clone()),
    );
    let tell = happened.clone();
    let alive = match &not_set_up {
        None => Some(liveness.watch("keeper", keeper::SILENT_AT_MOST)),
        Some(_) => None,
    };
    let keeping = thread("keeper", move || {
        let Some(alive) = alive else {
            // Nothing is kept that nobody has configured: whoever wants the card out may take it.
            for command in keeper_commands {
                if let KeeperCommand::Close(_) = command {
                    drop(tell.send(Happening::Keeper(KeeperEvent::Closed(Ok(())))));
                }
            }
            return;
        };
        keeper::run(
            Keeper::new(spool).watching({
                let place = place.dir.clone();
                move || Sensors::default().is_read_only(&place) == Some(true)
            }),
            &alive,
            || keeper::open(&place, &ThisMachine),
            &keeper_commands,
            |event| drop(tell.send(Happening::Keeper(event))),
        );
    })?;

    let tell = teller(Happening::Handset);
    let (handset, backend, _socket) =
        start_handset(&config, trace, &stop, &view, &mut liveness, tell)?;
    let _doctors = answer_doctors(&config.doctor_socket(), &happened);

    let speaker = Arc::new(Mutex::new(Speaker {
        boot_id: clock::boot_id(),
        ..Speaker::default()
    }));
    let (mqtt, connection) = start_mqtt(&config, choices, &speaker, &happened);

    let workers = Workers {
        recorder,
        earpiece,
        keeper: keeper_sender,
        handset,
        mqtt,
        speaker,
        mixer: start_mixer(&config, &happened)?,
        update: match &not_set_up {
            None => Some(start_update_watch(&config, &happened)?),
            Some(_) => None,
        },
        capture_figures,
        mic_levels,
        view,
        prompts,
        backend,
    };
    let mut gateway = Gateway::new(config, path, Box::new(ThisMachine), workers);
    if let Some(why) = not_set_up {
        gateway.stand_in(why);
    }
    gateway.begin(opened);
    let ended = turn_until_stopped(&mut gateway, liveness, &mut happenings).await?;
    systemd::stopping();
    stop.store(true, Ordering::Relaxed);
    farewell(gateway, connection, keeping).await;
    Ok(ended)
}

type HandsetStarted = (
    Option<std_mpsc::Sender<HandsetCommand>>,
    &'static str,
    Option<LineSocket>,
);

fn start_handset(
    config: &Config,
    trace: Option<&Path>,
    stop: &Arc<AtomicBool>,
    view: &Arc<HandsetView>,
    liveness: &mut Liveness,
    report: impl Fn(HandsetReport) + Send + Sync + 'static,
) -> Result<HandsetStarted, RunError> {
    if config.handset.backend == Backend::Sim {
        if trace.is_some() {
            let why = "--record-trace: the simulated handset has no lines whose edges could be written down";
            return Err(RunError::Setup(why.into()));
        }
        let socket =
            handset_sim::listen(&config.handset.control_socket, report).map_err(RunError::Setup)?;
        return Ok((None, "sim", Some(socket)));
    }
    if let Some(path) = trace {
        handset_trace::open(path, &config.handset).map_err(RunError::Setup)?;
    }
    let (sender, commands) = std_mpsc::channel();
    let opened = handset::open(&config.handset, trace);
    let backend = opened.as_ref().map_or("none", |(name, _)| name);
    let links = HandsetLinks {
        commands,
        view: view.clone(),
        stop: stop.clone(),
        // The simulated handset's threads wait for whoever connects, as long as that takes; only this one is watched.
        alive: liveness.watch("handset", handset::SILENT_AT_MOST),
        taught: config.spool.dir.join("hook"),
    };
    let config = config.handset.clone();
    let trace = trace.map(Path::to_owned);
    thread("handset", move || {
        handset::watch(&config, trace.as_deref(), opened, &links, report)
    })?;
    Ok((Some(sender), backend, None))
}

/// Answers `booth-gateway doctor`. A booth runs without: somebody else's file in the way is no reason to stand still.
fn answer_doctors(
    socket: &Path,
    happened: &mpsc::UnboundedSender<Happening>,
) -> Option<LineSocket> {
    let happened = happened.clone();
    let answer = move |line: &str| {
        if line != doctor::QUESTION {
            return format!("error: use {}", doctor::QUESTION);
        }
        let (answer, answered) = std_mpsc::sync_channel(1);
        let asked = happened.send(Happening::Doctor { answer });
        let told = asked
            .ok()
            .and_then(|()| answered.recv_timeout(line_server::PATIENCE).ok());
        told.unwrap_or_else(|| "error: the gateway does not answer".into())
    };
    line_server::listen(socket, "doctor", answer)
        .inspect_err(|why| log::warn!("{why}; the doctor gets no answer from this gateway"))
        .ok()
}

/// Sets the mixer now and whenever it is told, where the configuration names a control.
fn start_mixer(
    config: &Config,
    happened: &mpsc::UnboundedSender<Happening>,
) -> Result<Option<std_mpsc::Sender<()>>, RunError> {
    if config.audio.mixer_controls().is_empty() {
        return Ok(None);
    }
    let (mixer, commands) = std_mpsc::channel();
    let (audio, tell) = (config.audio.clone(), happened.clone());
    thread("mixer", move || {
        mixer::run(&audio, &commands, |applied| {
            drop(tell.send(Happening::Mixer(applied)))
        });
    })?;
    Ok(Some(mixer))
}

/// Looks after requests for updates and the updater's state.
fn start_update_watch(
    config: &Config,
    happened: &mpsc::UnboundedSender<Happening>,
) -> Result<std_mpsc::Sender<UpdateAsk>, RunError> {
    let (sender, asked) = std_mpsc::channel();
    let (folder, spool) = (config.update.state.clone(), config.spool.dir.clone());
    let tell = happened.clone();
    thread("update", move || {
        update::look_after(&RealDisk::new(), &folder, &spool, &asked, |news| {
            drop(tell.send(Happening::Update(news)))
        });
    })?;
    Ok(sender)
}

type Connection = Option<tokio::task::JoinHandle<()>>;

fn start_mqtt(
    config: &Config,
    choices: Vec<Choice>,
    speaker: &Arc<Mutex<Speaker>>,
    happened: &mpsc::UnboundedSender<Happening>,
) -> (Option<mpsc::UnboundedSender<MqttCommand>>, Connection) {
    if choices.is_empty() {
        return (None, None);
    }
    let (sender, commands) = mpsc::unbounded_channel();
    let topic = Topics::new(&config.mqtt.root).name(&Topic::State(config.booth.id.clone()));
    let (speaker, tell) = (speaker.clone(), happened.clone());
    let connecting = move || {
        let mut speaker = speaker.lock().unwrap_or_else(PoisonError::into_inner);
        speaker.connect_ms = clock::mono().0;
        Will {
            topic: topic.clone(),
            payload: speaker.state(Presence::Lost, clock::wall()),
        }
    };
    let report = move |event| drop(tell.send(Happening::Mqtt(event)));
    let (settings, accepted) = connections::told(choices);
    let task = tokio::spawn(mqtt::run(settings, connecting, commands, report, accepted));
    (Some(sender), Some(task))
}

#[allow(clippy::disallowed_methods)] // the loop's own wait, always up to a deadline
async fn turn_until_stopped(
    gateway: &mut Gateway,
    mut liveness: Liveness,
    happenings: &mut mpsc::UnboundedReceiver<Happening>,
) -> Result<Ended, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(setup("SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(setup("SIGINT"))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(setup("SIGHUP"))?;
    let mut watchdog = Watchdog::from_environment();
    systemd::ready("started");
    gateway.show_not_set_up();
    loop {
        let now = clock::mono();
        for news in liveness.judge(now) {
            gateway.tell_liveness(news);
        }
        if liveness.may_feed() {
            watchdog.feed(now);
        }
        gateway.turn(now);
        let mut wake_at = gateway.wake_at(now);
        if let Some(every) = watchdog.interval() {
            wake_at = wake_at.min(now + every);
        }
        let pause = wake_at.since(now);
        tokio::select! {
            happening = happenings.recv() => {
                let Some(happening) = happening else { return Ok(Ended::Stopped) };
                gateway.happen(clock::mono(), happening);
                // What has gathered meanwhile is worked off before the evidence is weighed again.
                for _ in 0..256 {
                    let Ok(happening) = happenings.try_recv() else { break };
                    gateway.happen(clock::mono(), happening);
                }
            }
            () = tokio::time::sleep(pause) => {}
            _ = terminate.recv() => return Ok(Ended::Stopped),
            _ = interrupt.recv() => return Ok(Ended::Stopped),
            _ = hang_up.recv() => match gateway.is_set_up() {
                true => gateway.reload(),
                false if gateway.is_set_up_now() => return Ok(Ended::StartAgain),
                false => {}
            },
        }
    }
}

/// Says `offline` and waits for what was handed to the card.
async fn farewell(gateway: Gateway, connection: Connection, keeping: std::thread::JoinHandle<()>) {
    if gateway.counters_changed {
        let _ = gateway
            .keeper
            .send(KeeperCommand::Counters(gateway.saved_counters()));
    }
    let state = Outbound {
        token: u64::MAX,
        topic: gateway
            .topics
            .name(&Topic::State(gateway.config.booth.id.clone())),
        payload: gateway
            .speaker()
            .state(Presence::Offline, gateway.machine.wall()),
        retain: true,
        expiry_s: None,
        correlation: None,
        urgent: true,
    };
    gateway.send(MqttCommand::Stop(vec![state]));
    if let Some(connection) = connection {
        let _ = tokio::time::timeout(Duration::from_secs(6), connection).await;
    }
    // Without commands the keeper saves what is to be saved and ends.
    drop(gateway);
    let kept = tokio::task::spawn_blocking(move || drop(keeping.join()));
    let _ = tokio::time::timeout(Duration::from_secs(6), kept).await;
}

impl Gateway {
    /// A gateway that knows nothing of its parts yet. `config_path` is where SIGHUP reads again.
    pub fn new(
        config: Config,
        config_path: &Path,
        machine: Box<dyn Machine>,
        workers: Workers,
    ) -> Self {
        let now = machine.mono();
        let why_unconnected = if config.mqtt.url.is_some() {
            "not connected yet"
        } else {
            "no broker is configured; set [mqtt] url"
        };
        let confirmation = match config.mqtt.confirm {
            Confirm::Hub => Confirmation::Hub,
            Confirm::Broker => Confirmation::Broker,
        };
        Self {
            session: Session::new(session_rules(&config)),
            delivery: Delivery::new(confirmation).paced(config.mqtt.upload_bytes_per_s()),
            evidence: Evidence {
                questions: config.questions.len(),
                broker: Err((now, why_unconnected.into())),
                notice_missing: workers.prompts.notice_id().is_none(),
                clock_synced: machine.clock_synced(),
                partition: machine.partition(&config_path.with_file_name(MOVED_ASIDE)),
                contact: config.booth.contact.clone(),
                ..Evidence::at_start(now)
            },
            config_path: config_path.to_owned(),
            not_set_up: None,
            config_hash: hash_of(config_path),
            topics: Topics::new(&config.mqtt.root),
            zone: jiff::tz::TimeZone::get(&config.booth.timezone)
                .unwrap_or(jiff::tz::TimeZone::UTC),
            parts: None,
            faults: BTreeMap::new(),
            alerts: AlertBook::default(),
            counters: Counters::default(),
            counters_changed: false,
            spool: None,
            prompts: workers.prompts,
            speaker: workers.speaker,
            backend: workers.backend,
            started_at: clock::rfc3339_ms(machine.wall()),
            recorder: workers.recorder,
            earpiece: workers.earpiece,
            keeper: workers.keeper,
            handset: workers.handset,
            view: workers.view,
            mqtt: workers.mqtt,
            mixer: workers.mixer,
            mixer_notes: Vec::new(),
            last_key: None,
            capture_figures: workers.capture_figures,
            is_connected: false,
            was_connected: false,
            broker_state: match config.mqtt.url {
                Some(_) => BrokerState::NotReached,
                None => BrokerState::NotConfigured,
            },
            connected_at: now,
            reconnects: 0,
            next_telegram: 0,
            waiting_events: VecDeque::new(),
            open_session: None,
            lifted_at: None,
            unheard_lift: None,
            last_clip: None,
            last_clipped_pct: None,
            last_test: None,
            awaited_test: None,
            correlation: None,
            microphone: Microphone::new(
                config
                    .selftest
                    .tone_test(config.handset.backend == Backend::Sim),
                now,
            ),
            mic_levels: workers.mic_levels,
            asked: super::selftest::Asked::default(),
            update: update::Desk::new(workers.update),
            bell: config.bell.ringer(config.handset.ringer.is_some()),
            last_odd: None,
            first_ready: None,
            first_boot: FirstBoot::new(now, configuration_number(config_path)),
            health_due: now,
            clock_offset: None,
            clock_was_synced: false,
            written_at_midnight: (i64::MIN, 0.0),
            supply_files: SupplyFiles::default(),
            supply_search_due: now,
            supply_due: now,
            machine,
            config,
        }
    }

    /// The first thing it is told: the spool, if it could be opened.
    pub fn begin(&mut self, opened: Option<(Spool, OpenReport)>) {
        let now = self.machine.mono();
        if let Some((spool, report)) = opened {
            self.use_spool(now, spool, &report);
        }
        let questions = open_questions(&self.config);
        self.tell(now, Input::Questions(questions));
        self.event(
            "boot",
            serde_json::json!({ "sw_version": env!("CARGO_PKG_VERSION") }),
        );
        if let Some(Partition::Repaired(why)) = &self.evidence.partition {
            log::warn!("the card's data partition was repaired: {why}");
            let more = serde_json::json!({ "text": why });
            self.event("data_partition_repaired", more);
        }
    }

    /// SIGHUP: questions, prompts and the health interval are read again; the rest needs a restart.
    fn reload(&mut self) {
        let config = match check(&self.config_path) {
            Ok(config) => config,
            Err(error) => {
                log::error!("the configuration stays as it was: {error}");
                return;
            }
        };
        self.config.questions = config.questions;
        self.config.health = config.health;
        self.config.session.prompts = config.session.prompts;
        self.config.session.language = config.session.language;
        self.config_hash = hash_of(&self.config_path);
        self.prompts = load_prompts(&self.config);
        self.evidence.notice_missing = self.prompts.notice_id().is_none();
        self.evidence.questions = self.config.questions.len();
        let _ = self
            .earpiece
            .send(PlaybackCommand::UsePrompts(self.prompts.clone()));
        let questions = open_questions(&self.config);
        self.tell(self.machine.mono(), Input::Questions(questions));
        self.publish_birth();
        self.event(
            "config_applied",
            serde_json::json!({ "config_hash": self.config_hash }),
        );
        self.health_due = Mono(0);
        log::info!(
            "questions, prompts and health interval were read again; other changes need a restart"
        );
    }
}
