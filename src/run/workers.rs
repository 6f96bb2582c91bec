//! The workers: each thread and task that the loop talks to, started once.
//!
//! Owns: how much may wait for each of them, and how long each may be silent. Never does: stop one; a worker ends with its
//! commands.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::centre_card::CentreCard;
use super::connections::Choice;
use super::ended::{RunError, setup};
use super::keeper::{Keeper, KeeperCommand, KeeperEvent};
use super::old_card::{self, TakeOver};
use super::post::{Post, post};
use super::reader::{ReadCommand, Reader, load_prompts};
use super::reports::Speaker;
use super::stick::{self, ExportToStick};
use super::update::UpdateAsk;
use super::{Happening, ThisMachine, Workers, connections, keeper, update};
use crate::adapters::capture::{CaptureFigures, Tap};
use crate::adapters::ear::MicLevels;
use crate::adapters::handset::{HandsetCommand, HandsetLinks, HandsetView};
use crate::adapters::mqtt::Will;
use crate::adapters::outbox::Outbox;
use crate::adapters::playback::{Earpiece, PlaybackCommand};
use crate::adapters::prompts::Prompts;
use crate::adapters::recorder::RecorderCommand;
use crate::adapters::sensors::Sensors;
use crate::adapters::wake::Wake;
use crate::adapters::{
    capture, handset, handset_sim, handset_trace, mixer, mqtt, outbox, playback, recorder,
};
use crate::config::{Backend, Config};
use crate::status::QUESTION;
use booth_audio::SpeechEncoder;
use booth_contract::{Presence, Topic, Topics};
use booth_host::line_server::LineSocket;
use booth_host::{clock, crew, line_server};
use booth_spool::real_disk::RealDisk;
use booth_spool::{OpenReport, Spool, SpoolError};
use gateway_core::liveness::Liveness;

/// Most messages that a worker has not taken yet; further ones that must arrive are held in the loop (`run::post`).
const MOST_FOR_RECORDER: usize = 256;
const MOST_FOR_EARPIECE: usize = 64;
const MOST_FOR_KEEPER: usize = 256;
const MOST_FOR_READER: usize = 4;
const MOST_FOR_HANDSET: usize = 64;
const MOST_FOR_UPDATE: usize = 8;
/// Most reports of the connection that wait for the loop: while that many wait, nothing is read from the broker.
pub(super) const MOST_FROM_BROKER: usize = 16;
/// Microphones that were opened and that the recorder does not use yet; the supervisor waits before it opens another.
const MOST_TAPS: usize = 8;

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
    let started = crew::start(name, work);
    started
        .map(drop)
        .map_err(setup("a thread cannot be started"))
}

/// The way by which every worker reports to the loop.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) happened: mpsc::Sender<Happening>,
    pub(super) witness: Arc<dyn Fn(&Happening) + Send + Sync>,
}

impl Reporter {
    /// Reports a happening. A worker waits for a loop that has [`MOST_HAPPENINGS`] before it; the loop itself never waits
    /// for a worker.
    fn report(&self, happening: Happening) {
        (self.witness)(&happening);
        // If the loop is gone, workers need not wait any more.
        if let Err(TrySendError::Full(happening)) = self.happened.try_send(happening) {
            let _ = self.happened.blocking_send(happening);
        }
    }

    /// For a worker that reports only one kind of happening.
    fn of<E>(&self, wrap: fn(E) -> Happening) -> impl Fn(E) + Send + Sync + use<E> {
        let reporter = self.clone();
        move |event| reporter.report(wrap(event))
    }
}

/// Starts the workers.
pub(super) struct Starter<'a> {
    pub(super) config: &'a Config,
    /// Where the configuration lies.
    pub(super) path: &'a Path,
    /// There is a configuration to run by.
    pub(super) is_set_up: bool,
    pub(super) reporter: Reporter,
    /// Ends those that take no commands.
    pub(super) stop: Arc<AtomicBool>,
    /// Wakes the handset's thread.
    pub(super) wake: Wake,
    pub(super) liveness: Liveness,
}

/// Everything that was started.
pub(super) struct Started {
    pub(super) workers: Workers,
    pub(super) connection: Connection,
    /// The handset's and the doctors', open as long as they are kept.
    pub(super) sockets: [Option<LineSocket>; 2],
}

impl Starter<'_> {
    /// The keeper, which comes first: the others wait for the spool for a while.
    pub(super) fn keeper(&mut self) -> Result<KeeperStarted, RunError> {
        start_keeper(
            self.config,
            self.is_set_up,
            &mut self.liveness,
            &self.reporter,
        )
    }

    fn handset(
        &mut self,
        trace: Option<&Path>,
        view: Arc<HandsetView>,
    ) -> Result<HandsetStarted, RunError> {
        let (config, report) = (self.config, self.reporter.of(Happening::Handset));
        if config.handset.backend == Backend::Sim {
            if trace.is_some() {
                let why = "--record-trace: the simulated handset has no lines whose edges could be written down";
                return Err(RunError::Setup(why.into()));
            }
            let socket = handset_sim::listen(&config.handset.control_socket, report)
                .map_err(|error| RunError::Setup(error.to_string()))?;
            return Ok((None, "sim", Some(socket)));
        }
        if let Some(path) = trace {
            handset_trace::open(path, &config.handset)
                .map_err(|error| RunError::Setup(error.to_string()))?;
        }
        let (sender, commands) = post(MOST_FOR_HANDSET);
        let opened = handset::open(&config.handset, trace);
        let backend = opened.as_ref().map_or("none", |(name, _)| name);
        let links = HandsetLinks {
            commands,
            wake: self.wake.clone(),
            view,
            stop: self.stop.clone(),
            // The simulated handset's threads wait for a client for any time; only this thread is watched.
            alive: self.liveness.watch("handset", handset::SILENT_AT_MOST),
            taught: config.spool.dir.join("hook"),
        };
        let config = config.handset.clone();
        let trace = trace.map(Path::to_owned);
        thread("handset", move || {
            handset::watch(&config, trace.as_deref(), opened, &links, report)
        })?;
        Ok((Some(sender.waking(self.wake.clone())), backend, None))
    }

    /// All the others.
    pub(super) fn workers(
        &mut self,
        keeper: Post<KeeperCommand>,
        trace: Option<&Path>,
        choices: Vec<Choice>,
    ) -> Result<Started, RunError> {
        let (config, reporter) = (self.config, self.reporter.clone());
        let reader = start_reader(config, self.path, &mut self.liveness, &reporter)?;
        let (taps, tapped) = std_mpsc::sync_channel(MOST_TAPS);
        let mic_levels = Arc::new(MicLevels::default());
        let recorder = self.recorder(tapped, mic_levels.clone())?;
        let capture_figures = Arc::new(CaptureFigures::default());
        self.capture(taps, capture_figures.clone())?;
        let view = Arc::new(HandsetView::default());
        let prompts = load_prompts(config);
        let earpiece = self.earpiece(prompts.clone(), view.clone())?;
        let (handset, backend, control) = self.handset(trace, view.clone())?;
        let doctors = answer_doctors(&config.doctor_socket(), reporter.clone());
        let speaker = Arc::new(Mutex::new(Speaker {
            boot_id: clock::boot_id().into(),
            ..Speaker::default()
        }));
        let (mqtt, connection) = start_mqtt(config, choices, &speaker, &reporter);
        let workers = Workers {
            recorder,
            earpiece,
            keeper,
            reader,
            old_cards: match self.is_set_up {
                true => Some(start_old_cards(config, &reporter)?),
                false => None,
            },
            sticks: match self.is_set_up {
                true => Some(start_sticks(config, &reporter)?),
                false => None,
            },
            handset,
            mqtt,
            speaker,
            mixer: start_mixer(config, &reporter)?,
            update: match self.is_set_up {
                true => Some(start_update_watch(config, &reporter)?),
                false => None,
            },
            capture_figures,
            mic_levels,
            view,
            prompts,
            backend,
        };
        Ok(Started {
            workers,
            connection,
            sockets: [control, doctors],
        })
    }

    fn recorder(
        &mut self,
        taps: std_mpsc::Receiver<Tap>,
        levels: Arc<MicLevels>,
    ) -> Result<Post<RecorderCommand>, RunError> {
        let (post, commands) = post(MOST_FOR_RECORDER);
        let audio = &self.config.audio;
        let encoder = SpeechEncoder::new(audio.bitrate, audio.complexity, audio.bandwidth)
            .map_err(|error| RunError::Setup(error.to_string()))?;
        let alive = self.liveness.watch("recorder", recorder::SILENT_AT_MOST);
        let report = self.reporter.of(Happening::Recorder);
        recorder::spawn(encoder, taps, commands, levels, alive, report)
            .map_err(setup("the recorder cannot be started"))?;
        Ok(post)
    }

    fn capture(
        &mut self,
        taps: std_mpsc::SyncSender<Tap>,
        figures: Arc<CaptureFigures>,
    ) -> Result<(), RunError> {
        let (input, halt) = (self.config.audio.input.clone(), self.stop.clone());
        let report = self.reporter.of(Happening::Capture);
        let alive = self.liveness.watch("capture", capture::SILENT_AT_MOST);
        thread("capture", move || {
            capture::supervise(&input, &taps, &figures, &halt, &alive, report);
        })
    }

    fn earpiece(
        &mut self,
        prompts: Arc<Prompts>,
        view: Arc<HandsetView>,
    ) -> Result<Post<PlaybackCommand>, RunError> {
        let (post, commands) = post(MOST_FOR_EARPIECE);
        let output = self.config.audio.output.clone();
        let report = self.reporter.of(Happening::Playback);
        let alive = self.liveness.watch("earpiece", playback::SILENT_AT_MOST);
        thread("earpiece", move || {
            Earpiece::new(&output, prompts, view, commands, alive, report).run();
        })?;
        Ok(post)
    }
}

/// How the spool opened for the first time.
pub(super) type FirstOpening = Result<(Spool, OpenReport), SpoolError>;

/// The keeper's post, a receiver that ends with the keeper, and the result of opening the spool; a booth that is not set up
/// opens none.
type KeeperStarted = (
    Post<KeeperCommand>,
    oneshot::Receiver<()>,
    oneshot::Receiver<FirstOpening>,
);

fn start_keeper(
    config: &Config,
    is_set_up: bool,
    liveness: &mut Liveness,
    reporter: &Reporter,
) -> Result<KeeperStarted, RunError> {
    let (post, commands) = post(MOST_FOR_KEEPER);
    let place = config.spool.clone();
    let mut centre = CentreCard::new(Arc::new(RealDisk::default()), config);
    let report = reporter.of(Happening::Keeper);
    let alive = is_set_up.then(|| liveness.watch("keeper", keeper::SILENT_AT_MOST));
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
        // Before the spool, so that the loop knows what is asked before the first citizen comes.
        report(KeeperEvent::Centre(centre.read()));
        let open = |failed_before| keeper::open(&place, &ThisMachine, failed_before);
        let spool = keeper::open_first(open, opens, &report);
        let keeper = Keeper::new(spool).with_centre(centre).watching({
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
    reporter: &Reporter,
) -> Result<Post<ReadCommand>, RunError> {
    let (post, commands) = post(MOST_FOR_READER);
    let reader = Reader::new(config, path);
    let alive = liveness.watch("reader", Reader::SILENT_AT_MOST);
    let report = reporter.of(Happening::Reader);
    thread("reader", move || reader.run(&alive, &commands, report))?;
    Ok(post)
}

/// Reads an old card in a USB reader. Nobody watches it: a reader that hangs is no fault of the booth.
fn start_old_cards(config: &Config, reporter: &Reporter) -> Result<Post<TakeOver>, RunError> {
    let (sender, orders) = post(1);
    let readers = config.service.usb_disks.clone();
    let report = reporter.of(Happening::OldCard);
    thread("old-card", move || old_card::run(&readers, &orders, report))?;
    Ok(sender)
}

/// Copies messages onto sticks. Nobody watches it: a stick that hangs is no fault of the booth.
fn start_sticks(config: &Config, reporter: &Reporter) -> Result<Post<ExportToStick>, RunError> {
    let (sender, orders) = post(1);
    let places = stick::Places {
        spool: config.spool.dir.clone(),
        helper: config.service.usb_stick.clone(),
    };
    let report = reporter.of(Happening::Stick);
    thread("stick", move || stick::run(&places, &orders, report))?;
    Ok(sender)
}

type HandsetStarted = (
    Option<Post<HandsetCommand>>,
    &'static str,
    Option<LineSocket>,
);

/// Answers `booth-gateway doctor`. A booth runs without the socket too: another program's file in its place must not stop
/// it.
fn answer_doctors(socket: &Path, reporter: Reporter) -> Option<LineSocket> {
    let answer = move |line: &str| {
        if line != QUESTION {
            return format!("error: use {}", QUESTION);
        }
        let (answer, answered) = std_mpsc::sync_channel(1);
        reporter.report(Happening::Doctor { answer });
        let line = answered.recv_timeout(line_server::PATIENCE);
        line.unwrap_or_else(|_| "error: the gateway does not answer".into())
    };
    line_server::listen(socket, "doctor", answer)
        .inspect_err(|why| log::warn!("{why}; the doctor gets no answer from this gateway"))
        .ok()
}

/// Sets the mixer now and at each message, where the configuration names a control.
fn start_mixer(config: &Config, reporter: &Reporter) -> Result<Option<Post<()>>, RunError> {
    if config.audio.mixer_controls().is_empty() {
        return Ok(None);
    }
    let (mixer, commands) = post(1);
    let (audio, report) = (config.audio.clone(), reporter.of(Happening::Mixer));
    thread("mixer", move || mixer::run(&audio, &commands, report))?;
    Ok(Some(mixer))
}

/// Looks after requests for updates and the updater's state.
fn start_update_watch(config: &Config, reporter: &Reporter) -> Result<Post<UpdateAsk>, RunError> {
    let (sender, asked) = post(MOST_FOR_UPDATE);
    let (folder, spool) = (config.update.state.clone(), config.spool.dir.clone());
    let report = reporter.of(Happening::Update);
    thread("update", move || {
        update::look_after(&RealDisk::new(), &folder, &spool, &asked, report);
    })?;
    Ok(sender)
}

/// The connection's task, and the channel of its reports.
pub(super) struct Connection {
    pub(super) task: Option<tokio::task::JoinHandle<()>>,
    pub(super) reports: mpsc::Receiver<Happening>,
}

fn start_mqtt(
    config: &Config,
    choices: Vec<Choice>,
    speaker: &Arc<Mutex<Speaker>>,
    reporter: &Reporter,
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
    let speaks = speaker.clone();
    let connecting = move || {
        let mut speaker = speaks.lock().unwrap_or_else(PoisonError::into_inner);
        speaker.connect_ms = clock::mono().0;
        Some(Will {
            topic: topic.clone(),
            payload: speaker.state(Presence::Lost, clock::wall()),
        })
    };
    let witness = reporter.witness.clone();
    let wrap = move |event| {
        let happening = Happening::Mqtt(event);
        witness(&happening);
        happening
    };
    let (settings, accepted) = connections::settings(choices);
    let running = mqtt::run(settings, connecting, commands, report, wrap, accepted);
    let task = Some(crew::task("mqtt", running));
    (Some(sender), Connection { task, reports })
}
