//! Puts the gateway together, runs the loop, takes it apart.

use booth_contract::time::rfc3339;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as std_mpsc};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::connections::{self, Choice};
use super::desk;
use super::keeper::{self, Keeper, KeeperCommand, KeeperEvent};
use super::post::{Post, post};
use super::reader::{Measured, ReadAgain, ReadCommand, Reader, hash_of, load_prompts};
use super::reports::Speaker;
use super::resend;
use super::stand_in::StandIn;
use super::update::{self, UpdateAsk};
use super::{Gateway, Happening, Machine, ThisMachine, Workers};
use crate::adapters::capture::{self, CaptureFigures};
use crate::adapters::ear::MicLevels;
use crate::adapters::handset::{self, HandsetCommand, HandsetLinks, HandsetReport, HandsetView};
use crate::adapters::mixer;
use crate::adapters::mqtt::{self, Kind, Outbound, Will};
use crate::adapters::opus::SpeechEncoder;
use crate::adapters::outbox::{self, Outbox};
use crate::adapters::playback::{self, Earpiece, PlaybackCommand};
use crate::adapters::sensors::{Sensors, SupplyFiles};
use crate::adapters::{handset_sim, handset_trace, recorder};
use crate::config::zone;
use crate::config::{Backend, Config, Confirm};
use crate::provision;
use crate::settings::{check, mqtt_settings, open_questions, session_rules};
use crate::status::QUESTION;
use booth_contract::BrokerState;
use booth_contract::time::Mono;
use booth_contract::{Presence, Topic, Topics};
use booth_host::clock;
use booth_host::config_file::ConfigError;
use booth_host::crew::{self, Crew, Death};
use booth_host::line_server::{self, LineSocket};
use booth_host::systemd::{self, Watchdog};
use booth_spool::real_disk::RealDisk;
use booth_spool::{OpenReport, Spool, SpoolError};
use gateway_core::counters::Counters;
use gateway_core::delivery::{Confirmation, Delivery};
use gateway_core::health::{AlertBook, Evidence};
use gateway_core::liveness::Liveness;
use gateway_core::microphone::Microphone;
use gateway_core::partition::{MOVED_ASIDE, Partition};
use gateway_core::quarantine::Quarantine;
use gateway_core::rival::{self, Own};
use gateway_core::session::{Input, Session};
use gateway_core::sign::FirstBoot;
use gateway_core::unreadable::Unreadable;

/// Most happenings that wait for the loop; a worker that reports one more waits until there is room.
const MOST_HAPPENINGS: usize = 1024;
/// Most reports of the connection that wait for the loop: while that many wait, nothing is read from the broker.
const MOST_FROM_BROKER: usize = 16;
/// Most messages that a worker has not taken yet; further ones that must arrive are held in the loop (`run::post`).
const MOST_FOR_RECORDER: usize = 256;
const MOST_FOR_EARPIECE: usize = 64;
const MOST_FOR_KEEPER: usize = 256;
const MOST_FOR_READER: usize = 4;
const MOST_FOR_HANDSET: usize = 64;
const MOST_FOR_UPDATE: usize = 8;
/// Microphones that were opened and that the recorder does not use yet; the supervisor waits before it opens another.
const MOST_TAPS: usize = 8;

/// How long the start waits for the spool: after that the booth answers, however much lies on its card.
const OPENING: Duration = Duration::from_secs(5);
/// How long connection and keeper may each take at the end.
const CLOSING: Duration = Duration::from_secs(6);

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
    /// A thread or task is no more: the service manager starts everything again.
    #[error(transparent)]
    Worker(#[from] Death),
}

fn setup(what: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |error| RunError::Setup(format!("{what}: {error}"))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    let started = crew::start(name, work);
    started
        .map(drop)
        .map_err(setup("a thread cannot be started"))
}

/// The way by which every worker reports to the loop.
#[derive(Clone)]
struct Teller {
    happened: mpsc::Sender<Happening>,
    witness: Arc<dyn Fn(&Happening) + Send + Sync>,
}

impl Teller {
    /// Reports a happening. A worker waits for a loop that has [`MOST_HAPPENINGS`] before it; the loop itself never waits
    /// for a worker.
    fn tell(&self, happening: Happening) {
        (self.witness)(&happening);
        // If the loop is gone, workers need not wait any more.
        if let Err(TrySendError::Full(happening)) = self.happened.try_send(happening) {
            let _ = self.happened.blocking_send(happening);
        }
    }

    /// For a worker that reports only one kind of happening.
    fn of<E>(&self, wrap: fn(E) -> Happening) -> impl Fn(E) + Send + Sync + use<E> {
        let teller = self.clone();
        move |event| teller.tell(wrap(event))
    }
}

/// Checks a configuration on a machine that need not be the booth, and returns warnings too. If the file lies on a card that
/// was in a booth, credentials that are missing beside it are taken to be in the booth: a booth moves them off the card.
pub fn check_anywhere(path: &Path) -> Result<(Config, Vec<String>), ConfigError> {
    let config = Config::load(path)?;
    if let Some(why) = config.service_fault() {
        return Err(why.in_file(path.display()).into());
    }
    let warnings = config.warnings_here();
    let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let mut here = config.clone();
    if exists(&path.with_file_name(provision::STATUS)) {
        let mqtt = &mut here.mqtt;
        let files = [
            ("password_file", &mut mqtt.password_file),
            ("ca_file", &mut mqtt.ca_file),
            ("cert_file", &mut mqtt.cert_file),
            ("key_file", &mut mqtt.key_file),
        ];
        for (key, file) in files {
            if let Some(path) = file.take_if(|path| !exists(path)) {
                let place = path.display();
                warnings.push(format!(
                    "[mqtt] {key}: {place} is not here; put it there, unless {} says that the booth has it",
                    provision::STATUS
                ));
            }
        }
        if here.mqtt.cert_file.is_none() || here.mqtt.key_file.is_none() {
            here.mqtt.cert_file = None;
            here.mqtt.key_file = None;
        }
    }
    mqtt_settings(&here)?;
    Ok((config, warnings))
}

/// Whether anything of that name exists, be it readable or not.
#[allow(clippy::disallowed_methods)] // looks for it
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// A different number for each configuration, for the card to remember.
fn configuration_number(config_hash: &str) -> u64 {
    u64::from_str_radix(config_hash, 16).unwrap_or(0)
}

/// Why a gateway that ran has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Stopped,
    /// It was not set up and has a good configuration now: start it again.
    StartAgain,
}

/// Runs the gateway until SIGTERM or SIGINT. With `setup_on_error` a bad configuration does not end it: the booth runs as
/// *not set up*, says so and records nothing, until SIGHUP finds a good configuration.
pub async fn run(
    path: &Path,
    trace: Option<&Path>,
    setup_on_error: bool,
) -> Result<Ended, RunError> {
    run_witnessed(path, trace, setup_on_error, |_| {}).await
}

/// The same with a witness, which sees everything that a worker reports to the loop, on the worker's own thread. The tests
/// of dead workers use one: it panics in a worker's thread, and that worker is dead.
pub async fn run_witnessed(
    path: &Path,
    trace: Option<&Path>,
    setup_on_error: bool,
    witness: impl Fn(&Happening) + Send + Sync + 'static,
) -> Result<Ended, RunError> {
    let mut crew = Crew::gather();
    let (config, not_set_up) = match check(path) {
        Ok(config) => (config, None),
        Err(error) if setup_on_error => {
            let stand_in = StandIn::new(path, error);
            (stand_in.config, Some(stand_in.why))
        }
        Err(error) => return Err(error.into()),
    };
    for why in config.warnings_here() {
        log::warn!("{why}");
    }
    let choices = connections::choices(&config)?;
    let (happened, mut happenings) = mpsc::channel(MOST_HAPPENINGS);
    let witness = Arc::new(witness);
    let teller = Teller { happened, witness };
    let stop = Arc::new(AtomicBool::new(false));

    let mut liveness = Liveness::default();
    let (keeper, kept, opened) = start_keeper(&config, &not_set_up, &mut liveness, &teller)?;
    let opened = match tokio::time::timeout(OPENING, opened).await {
        Ok(Ok(Err(error @ SpoolError::InUse { .. }))) => return Err(error.into()),
        // A booth whose card cannot be written still reports that, on the handset and to operations.
        Ok(Ok(Err(error))) => {
            log::error!("{error}");
            None
        }
        Ok(Ok(Ok(opened))) => Some(opened),
        // Not set up; or the keeper is dead, which the crew reports.
        Ok(Err(_)) => None,
        Err(_) => {
            let limit_s = OPENING.as_secs();
            log::warn!(
                "the spool is not open after {limit_s} s; the booth answers, and takes messages when it is"
            );
            None
        }
    };

    let reader = start_reader(&config, path, &mut liveness, &teller)?;
    let (tap_sender, taps) = std_mpsc::sync_channel(MOST_TAPS);
    let (recorder, recorder_commands) = post(MOST_FOR_RECORDER);
    let audio = &config.audio;
    let encoder = SpeechEncoder::new(audio.bitrate, audio.complexity, audio.bandwidth)
        .map_err(|error| RunError::Setup(error.to_string()))?;
    let mic_levels = Arc::new(MicLevels::default());
    let levels = mic_levels.clone();
    let alive = liveness.watch("recorder", recorder::SILENT_AT_MOST);
    let report = teller.of(Happening::Recorder);
    recorder::spawn(encoder, taps, recorder_commands, levels, alive, report)
        .map_err(setup("the recorder cannot be started"))?;

    let capture_figures = Arc::new(CaptureFigures::default());
    let (input, figures, halt) = (
        config.audio.input.clone(),
        capture_figures.clone(),
        stop.clone(),
    );
    let report = teller.of(Happening::Capture);
    let alive = liveness.watch("capture", capture::SILENT_AT_MOST);
    thread("capture", move || {
        capture::supervise(&input, &tap_sender, &figures, &halt, &alive, report);
    })?;

    let view = Arc::new(HandsetView::default());
    let prompts = load_prompts(&config);
    let (earpiece, earpiece_commands) = post(MOST_FOR_EARPIECE);
    let (output, known) = (config.audio.output.clone(), prompts.clone());
    let (report, handset_view) = (teller.of(Happening::Playback), view.clone());
    let alive = liveness.watch("earpiece", playback::SILENT_AT_MOST);
    thread("earpiece", move || {
        let commands = earpiece_commands;
        Earpiece::new(&output, known, handset_view, commands, alive, report).run();
    })?;

    let report = teller.of(Happening::Handset);
    let (handset, backend, _socket) =
        start_handset(&config, trace, &stop, &view, &mut liveness, report)?;
    let _doctors = answer_doctors(&config.doctor_socket(), teller.clone());

    let speaker = Arc::new(Mutex::new(Speaker {
        boot_id: clock::boot_id().into(),
        ..Speaker::default()
    }));
    let (mqtt, mut connection) = start_mqtt(&config, choices, &speaker, &teller);

    let workers = Workers {
        recorder,
        earpiece,
        keeper,
        reader,
        handset,
        mqtt,
        speaker,
        mixer: start_mixer(&config, &teller)?,
        update: match &not_set_up {
            None => Some(start_update_watch(&config, &teller)?),
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
    let reports = &mut connection.reports;
    let turning = turn_until_stopped(&mut gateway, liveness, &mut happenings, reports, &mut crew);
    let ended = crew::watched("loop", turning).await;
    // No worker waits for a loop that has ended.
    happenings.close();
    connection.reports.close();
    crew.dismiss();
    systemd::stopping();
    stop.store(true, Ordering::Relaxed);
    match ended {
        Ok(ended) => {
            if let Err(RunError::Worker(death)) = &ended {
                gateway.tell_death(death);
            }
            farewell(gateway, connection.task, kept).await;
            ended
        }
        Err(death) => {
            log::error!("{death}; the gateway ends");
            // What a broken loop holds is not believed; the keeper's earlier commands are still carried out.
            drop(gateway);
            let _ = tokio::time::timeout(CLOSING, kept).await;
            Err(death.into())
        }
    }
}

/// The keeper's post, a receiver that ends with the keeper, and the result of opening the spool; a booth that is not set up
/// opens none.
type KeeperStarted = (
    Post<KeeperCommand>,
    oneshot::Receiver<()>,
    oneshot::Receiver<Result<(Spool, OpenReport), SpoolError>>,
);

fn start_keeper(
    config: &Config,
    not_set_up: &Option<String>,
    liveness: &mut Liveness,
    teller: &Teller,
) -> Result<KeeperStarted, RunError> {
    let (post, commands) = post(MOST_FOR_KEEPER);
    let place = config.spool.clone();
    let report = teller.of(Happening::Keeper);
    let alive = match not_set_up {
        None => Some(liveness.watch("keeper", keeper::SILENT_AT_MOST)),
        Some(_) => None,
    };
    let (keeps, kept) = oneshot::channel::<()>();
    let (opens, opened) = oneshot::channel();
    thread("keeper", move || {
        // Dropped with this thread, however that ends.
        let _keeps = keeps;
        let Some(alive) = alive else {
            drop(opens);
            // Without a configuration nothing is kept: a technician who wants to take the card out may do so.
            for command in commands {
                if let KeeperCommand::Close(_) = command {
                    report(KeeperEvent::Closed(Ok(())));
                }
            }
            return;
        };
        let open = |failed_before| keeper::open(&place, &ThisMachine, failed_before);
        let spool = keeper::open_first(open, opens, &report);
        let keeper = Keeper::new(spool).watching({
            let place = place.dir.clone();
            move || Sensors::default().is_read_only(&place) == Some(true)
        });
        keeper::run(keeper, &alive, open, &commands, report);
    })?;
    Ok((post, kept, opened))
}

/// Reads for the loop what lies on the card.
fn start_reader(
    config: &Config,
    path: &Path,
    liveness: &mut Liveness,
    teller: &Teller,
) -> Result<Post<ReadCommand>, RunError> {
    let (post, commands) = post(MOST_FOR_READER);
    let reader = Reader::new(config, path);
    let alive = liveness.watch("reader", Reader::SILENT_AT_MOST);
    let report = teller.of(Happening::Reader);
    thread("reader", move || reader.run(&alive, &commands, report))?;
    Ok(post)
}

type HandsetStarted = (
    Option<Post<HandsetCommand>>,
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
    let (sender, commands) = post(MOST_FOR_HANDSET);
    let opened = handset::open(&config.handset, trace);
    let backend = opened.as_ref().map_or("none", |(name, _)| name);
    let links = HandsetLinks {
        commands,
        view: view.clone(),
        stop: stop.clone(),
        // The simulated handset's threads wait for a client for any time; only this thread is watched.
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

/// Answers `booth-gateway doctor`. A booth runs without the socket too: another program's file in its place must not stop
/// it.
fn answer_doctors(socket: &Path, teller: Teller) -> Option<LineSocket> {
    let answer = move |line: &str| {
        if line != QUESTION {
            return format!("error: use {}", QUESTION);
        }
        let (answer, answered) = std_mpsc::sync_channel(1);
        teller.tell(Happening::Doctor { answer });
        let told = answered.recv_timeout(line_server::PATIENCE);
        told.unwrap_or_else(|_| "error: the gateway does not answer".into())
    };
    line_server::listen(socket, "doctor", answer)
        .inspect_err(|why| log::warn!("{why}; the doctor gets no answer from this gateway"))
        .ok()
}

/// Sets the mixer now and at each message, where the configuration names a control.
fn start_mixer(config: &Config, teller: &Teller) -> Result<Option<Post<()>>, RunError> {
    if config.audio.mixer_controls().is_empty() {
        return Ok(None);
    }
    let (mixer, commands) = post(1);
    let (audio, report) = (config.audio.clone(), teller.of(Happening::Mixer));
    thread("mixer", move || mixer::run(&audio, &commands, report))?;
    Ok(Some(mixer))
}

/// Looks after requests for updates and the updater's state.
fn start_update_watch(config: &Config, teller: &Teller) -> Result<Post<UpdateAsk>, RunError> {
    let (sender, asked) = post(MOST_FOR_UPDATE);
    let (folder, spool) = (config.update.state.clone(), config.spool.dir.clone());
    let report = teller.of(Happening::Update);
    thread("update", move || {
        update::look_after(&RealDisk::new(), &folder, &spool, &asked, report);
    })?;
    Ok(sender)
}

/// The connection's task, and the channel of its reports.
struct Connection {
    task: Option<tokio::task::JoinHandle<()>>,
    reports: mpsc::Receiver<Happening>,
}

fn start_mqtt(
    config: &Config,
    choices: Vec<Choice>,
    speaker: &Arc<Mutex<Speaker>>,
    teller: &Teller,
) -> (Option<Outbox>, Connection) {
    let (report, reports) = mpsc::channel(MOST_FROM_BROKER);
    if choices.is_empty() {
        return (
            None,
            Connection {
                task: None,
                reports,
            },
        );
    }
    let (sender, commands) = outbox::pair();
    let topic = Topics::new(&config.mqtt.root).name(&Topic::State(config.booth.id.clone()));
    let (speaks, spoke) = (speaker.clone(), speaker.clone());
    let connecting = move || {
        let mut speaker = speaks.lock().unwrap_or_else(PoisonError::into_inner);
        speaker.connect_ms = clock::mono().0;
        Will {
            topic: topic.clone(),
            payload: speaker.state(Presence::Lost, clock::wall()),
        }
    };
    let said_by_another = move |payload: &[u8]| {
        let speaker = spoke.lock().unwrap_or_else(PoisonError::into_inner);
        let own = Own {
            card_id: &speaker.card_id,
            boot_id: &speaker.boot_id,
            session: speaker.session(),
        };
        rival::said_by_another(payload, own)
    };
    let witness = teller.witness.clone();
    let wrap = move |event| {
        let happening = Happening::Mqtt(event);
        witness(&happening);
        happening
    };
    let (settings, accepted) = connections::told(choices);
    let running = mqtt::run(
        settings,
        connecting,
        said_by_another,
        commands,
        report,
        wrap,
        accepted,
    );
    let task = Some(crew::task("mqtt", running));
    (Some(sender), Connection { task, reports })
}

#[allow(clippy::disallowed_methods)] // the loop's own wait, always up to a deadline
async fn turn_until_stopped(
    gateway: &mut Gateway,
    mut liveness: Liveness,
    happenings: &mut mpsc::Receiver<Happening>,
    from_broker: &mut mpsc::Receiver<Happening>,
    crew: &mut Crew,
) -> Result<Ended, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(setup("SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(setup("SIGINT"))?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(setup("SIGHUP"))?;
    let mut watchdog = Watchdog::from_environment();
    systemd::ready("started");
    gateway.show_not_set_up();
    loop {
        // What has gathered meanwhile is worked off before the evidence is weighed again, but only up to a limit: however
        // much the broker sends, a citizen never waits behind a flood.
        for _ in 0..256 {
            let Ok(happening) = happenings.try_recv() else {
                break;
            };
            gateway.happen(clock::mono(), happening);
        }
        for _ in 0..MOST_FROM_BROKER {
            let Ok(happening) = from_broker.try_recv() else {
                break;
            };
            gateway.happen(clock::mono(), happening);
        }
        if gateway.starts_again() {
            return Ok(Ended::StartAgain);
        }
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
            death = crew.death() => {
                log::error!("{death}; the gateway ends");
                return Err(death.into());
            }
            happening = happenings.recv() => {
                let Some(happening) = happening else { return Ok(Ended::Stopped) };
                gateway.happen(clock::mono(), happening);
            }
            // The channel has ended where there is no broker; the end of the connection's task is reported by the crew.
            Some(happening) = from_broker.recv() => gateway.happen(clock::mono(), happening),
            () = tokio::time::sleep(pause) => {}
            _ = terminate.recv() => return Ok(Ended::Stopped),
            _ = interrupt.recv() => return Ok(Ended::Stopped),
            _ = hang_up.recv() => gateway.read_again(),
        }
    }
}

/// Publishes `offline` and waits until the card has what was handed to it.
async fn farewell(
    gateway: Gateway,
    connection: Option<tokio::task::JoinHandle<()>>,
    kept: oneshot::Receiver<()>,
) {
    if gateway.counters_changed {
        gateway
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
        kind: Kind::Statement,
    };
    if let Some(outbox) = &gateway.mqtt {
        outbox.stop(vec![state]);
    }
    if let Some(connection) = connection {
        let _ = tokio::time::timeout(CLOSING, connection).await;
    }
    // When its commands end, the keeper saves everything and ends.
    drop(gateway);
    let _ = tokio::time::timeout(CLOSING, kept).await;
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
        let boot_id = {
            let speaker = workers.speaker.lock();
            speaker
                .unwrap_or_else(PoisonError::into_inner)
                .boot_id
                .clone()
        };
        let confirmation = match config.mqtt.confirm {
            Confirm::Hub => Confirmation::Hub,
            Confirm::Broker => Confirmation::Broker,
        };
        let config_hash = hash_of(config_path);
        Self {
            about: machine.about(),
            session: Session::new(session_rules(&config)),
            delivery: Delivery::new(confirmation).paced(config.mqtt.upload_bytes_per_s()),
            quarantine: Quarantine::new(boot_id),
            resends: resend::Desk::default(),
            desk: desk::Desk::default(),
            evidence: Evidence {
                questions: config.questions.len(),
                no_recipient: config.privacy.lacks_recipient(),
                broker: Err((now, why_unconnected.into())),
                notice_missing: workers.prompts.notice_id().is_none(),
                clock_synced: machine.clock_synced(),
                partition: machine.partition(&config_path.with_file_name(MOVED_ASIDE)),
                contact: config.booth.contact.clone(),
                ..Evidence::at_start(now)
            },
            config_path: config_path.to_owned(),
            not_set_up: None,
            starts_again: false,
            config_hash: config_hash.clone(),
            seal_to: config.privacy.seal_to().ok().flatten().map(Arc::new),
            topics: Topics::new(&config.mqtt.root),
            zone: zone::zone(&config.booth.timezone),
            parts: None,
            faults: BTreeMap::new(),
            alerts: AlertBook::default(),
            counters: Counters::default(),
            counters_changed: false,
            spool: None,
            prompts: workers.prompts,
            speaker: workers.speaker,
            backend: workers.backend,
            started_at: rfc3339(machine.wall()),
            recorder: workers.recorder,
            earpiece: workers.earpiece,
            keeper: workers.keeper,
            reader: workers.reader,
            reading: None,
            measured: Measured::default(),
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
            first_ready: None,
            first_boot: FirstBoot::new(now, configuration_number(&config_hash)),
            health_due: now,
            clock_offset: None,
            clock_was_synced: false,
            clock_step_unheard: false,
            introduction_due: None,
            unreadable: Unreadable::default(),
            written: super::health::Written::default(),
            supply_files: SupplyFiles::default(),
            supply_search_due: now,
            supply_due: now,
            machine,
            config,
        }
    }

    /// The first happening: the spool, if it could be opened.
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
    fn read_again(&self) {
        if !self.reader.offer(ReadCommand::Configuration) {
            log::error!(
                "the card keeps the gateway waiting; the configuration is not read again now"
            );
        }
    }

    /// There is a good configuration. A booth that is not set up starts again with it.
    pub(super) fn configured(&mut self, now: Mono, read: ReadAgain) {
        if !self.is_set_up() {
            return self.set_up_at_last();
        }
        let ReadAgain {
            config,
            hash,
            prompts,
        } = read;
        self.config.questions = config.questions;
        self.config.health = config.health;
        self.config.session.prompts = config.session.prompts;
        self.config.session.language = config.session.language;
        self.config_hash = hash;
        self.prompts = prompts;
        self.evidence.notice_missing = self.prompts.notice_id().is_none();
        self.evidence.questions = self.config.questions.len();
        self.earpiece
            .send(PlaybackCommand::UsePrompts(self.prompts.clone()));
        let questions = open_questions(&self.config);
        self.tell(now, Input::Questions(questions));
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

    /// The configuration cannot be used: the one from before stays, if there is one.
    pub(super) fn not_configured(&mut self, error: &ConfigError) {
        match self.is_set_up() {
            true => log::error!("the configuration stays as it was: {error}"),
            false => self.still_not_set_up(error),
        }
    }
}
