//! The booth's contacts: one thread that watches all lines and drives lamp and bell.
//!
//! Owns: the choice of backend, and the loop over edges that `rppal` and `cdev` share. Never does: decide what a lift or a
//! pulse means; `gateway_core::panel` does. A hook switch that cannot be read is reported and tried again; any other line
//! that cannot be claimed is reported, and the rest works without it.

mod outputs;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::handset_cdev::{self, CdevError};
use super::handset_lines::{Lines, LinesError};
use super::handset_rppal::{self, RppalError};
use super::handset_taught;
use super::handset_trace::{self, Traced, parts};
use super::handset_usb::{self, UsbError};
use super::wake::Wake;
use crate::config::{Backend, Handset};
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::bell::Ringing;
use gateway_core::liveness::Beat;
use gateway_core::panel::{Line, OutLine, Panel, PanelNews, Stuck};
use gateway_core::session::{HandsetEvent, Lamp};
use gateway_core::sign::Sign;
use gateway_core::stuck::StuckKeys;
use outputs::Outputs;
pub use outputs::is_lit;

/// Levels are read again this often, so that a missed edge does no lasting harm.
const READ_AGAIN: Duration = Duration::from_secs(2);
/// A failed line is tried again this often.
const RETRY: Duration = Duration::from_secs(5);
/// Lines that could not be claimed are tried again this often, while the handset is on its hook.
const TRY_ALL: Duration = Duration::from_millis(if cfg!(test) { 1_000 } else { 60_000 });

/// What the handset's thread is instructed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandsetCommand {
    /// Show this.
    Lamp(Lamp),
    /// Ring; a lift ends it at once.
    Ring(Ringing),
    /// Show this instead for a while; a lift ends it at once.
    Sign(Sign),
    /// Somebody is recorded (true), so that taps of the hook are no digits.
    Recording(bool),
}

/// What the handset's thread shares with others as it goes.
#[derive(Debug, Default)]
pub struct HandsetView {
    /// Somebody may be hanging up right now: the earpiece is silent.
    pub hush: AtomicBool,
    /// Edges of the hook switch in the last hour; none for the simulated handset.
    pub hook_toggles_1h: AtomicU64,
    /// The hook was taught to rest at the other level than configured.
    pub is_inverted: AtomicBool,
    contacts: Mutex<Vec<(Line, bool)>>,
}

impl HandsetView {
    /// Every contact but the keypad's, and whether it was active when it was last read.
    pub fn contacts(&self) -> Vec<(Line, bool)> {
        self.contacts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, line: Line, is_active: bool) {
        if line == Line::KeypadRow {
            return;
        }
        let mut contacts = self.contacts.lock().unwrap_or_else(PoisonError::into_inner);
        match contacts.iter_mut().find(|(known, _)| *known == line) {
            Some(known) => known.1 = is_active,
            None => contacts.push((line, is_active)),
        }
    }
}

/// What connects the handset's thread with the rest.
pub struct HandsetLinks {
    /// Its commands; the thread ends when they end.
    pub commands: Receiver<HandsetCommand>,
    /// Called after each command and after `stop`; otherwise the thread hears of them when it turns the next time.
    pub wake: Wake,
    /// What it shares.
    pub view: Arc<HandsetView>,
    /// Ends it.
    pub stop: Arc<AtomicBool>,
    /// Touched at every turn.
    pub alive: Beat,
    /// Where the taught resting level of the hook is kept.
    pub taught: std::path::PathBuf,
}

/// How long the thread of the lines may be silent. It turns every two seconds; the rest is for lines behind a slow bus.
pub const SILENT_AT_MOST: Duration = Duration::from_secs(20);

/// What the handset reports.
#[derive(Debug)]
pub enum HandsetReport {
    /// Where the handset was found.
    AtStart {
        /// Off its hook.
        off_hook: bool,
    },
    /// Something was done with it.
    Event {
        /// When.
        at: Mono,
        /// What.
        event: HandsetEvent,
        /// Gets a message once the core has handled the event.
        done: Option<SyncSender<()>>,
    },
    /// The simulated handset asks for the booth's state, one JSON line.
    State {
        /// Where to.
        answer: SyncSender<String>,
    },
    /// A lift can be noticed, or why not.
    Works(Result<(), HookFault>),
    /// What does not work beside the hook switch; empty once all works.
    Controls(Vec<ControlFault>),
    /// The keys that do not count, because nobody presses them.
    Keys(StuckKeys),
    /// The booth's case was opened or closed.
    CaseOpen(bool),
    /// The hook's resting level was taught with the service button.
    HookTaught,
}

/// Why a lift cannot be noticed.
#[derive(Debug, thiserror::Error)]
pub enum HookFault {
    /// There are no lines; they are opened again.
    #[error(transparent)]
    NoLines(HandsetError),
    /// The lines have failed; they are opened again.
    #[error("{0}")]
    Failed(LinesError),
    /// The hook switch changes too often.
    #[error("the hook switch chatters")]
    Chatters,
}

/// One thing beside the hook switch that does not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    /// A line could not be claimed, in its backend's words.
    #[error("{0}")]
    NotClaimed(String),
    /// The dial does not come to rest.
    #[error("the dial stands in mid-turn")]
    DialMidTurn,
    /// The service button stays down.
    #[error("the service button does not come up")]
    ServiceDown,
}

/// Why there are no lines.
#[derive(Debug, thiserror::Error)]
pub enum HandsetError {
    /// rppal has none.
    #[error(transparent)]
    Rppal(#[from] RppalError),
    /// The character device has none.
    #[error(transparent)]
    Cdev(#[from] CdevError),
    /// The device on USB has none.
    #[error(transparent)]
    Usb(#[from] UsbError),
    /// Neither has any.
    #[error(
        "no handset hardware: {0}; {1}. On a machine without GPIO set [handset] backend = \"sim\""
    )]
    Neither(Box<RppalError>, Box<CdevError>),
    /// The level that a technician has taught is not known.
    #[error(transparent)]
    Taught(#[from] handset_taught::NotRead),
    /// It is the simulated handset's backend.
    #[error("the simulated handset has no lines")]
    Simulated,
}

/// The name of a backend, and its lines.
pub type Opened = (&'static str, Box<dyn Lines>);

/// Opens the lines of the configured backend, and records their edges if `trace` names a file. `sim` has no lines.
pub fn open(config: &Handset, trace: Option<&Path>) -> Result<Opened, HandsetError> {
    let (name, lines) = open_backend(config)?;
    let Some(path) = trace else {
        return Ok((name, lines));
    };
    let file = handset_trace::open(path, config)
        .inspect_err(|why| log::warn!("{why}"))
        .ok();
    Ok((name, Box::new(Traced::new(lines, file))))
}

fn open_backend(config: &Handset) -> Result<Opened, HandsetError> {
    let rppal = || handset_rppal::open(config).map(|lines| ("rppal", lines));
    let cdev = || handset_cdev::open(config).map(|lines| ("cdev", lines));
    match config.backend {
        Backend::Rppal => Ok(rppal()?),
        Backend::Cdev => Ok(cdev()?),
        Backend::Auto => rppal().or_else(|first| {
            cdev().map_err(|second| HandsetError::Neither(first.into(), second.into()))
        }),
        Backend::Usb => Ok(("usb", handset_usb::open(config)?)),
        Backend::Sim => Err(HandsetError::Simulated),
    }
}

/// Why the lines are no longer served.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The daemon ends.
    Stopped,
    /// Some line could not be claimed; perhaps it can be by now.
    TryAll,
}

/// State that outlives a failure of the lines, so that a hang-up during the failure counts as one.
#[derive(Default)]
struct Known {
    panel: Option<Panel>,
    /// The hook's polarity is the other way round than configured: it was taught.
    inverted: bool,
    /// Whether that is known.
    is_taught_read: bool,
    /// What the lamp has to show.
    lamp: Option<Lamp>,
    /// What was last reported of the lines: whether the hook chatters, and which lines could not be claimed.
    reported: Option<(bool, Vec<String>)>,
}

/// Watches the lines until it is stopped; opens them again when they fail.
pub fn watch(
    config: &Handset,
    trace: Option<&Path>,
    first: Result<Opened, HandsetError>,
    links: &HandsetLinks,
    report: impl Fn(HandsetReport),
) {
    let mut opened = first;
    let mut known = Known::default();
    while !links.stop.load(Ordering::Relaxed) {
        if !known.is_taught_read {
            match handset_taught::is_inverted(&links.taught, config.hook.off_hook) {
                Ok(inverted) => (known.inverted, known.is_taught_read) = (inverted, true),
                // Nobody is told that the handset is lifted while it is not known what lifted looks like.
                Err(error) => opened = Err(error.into()),
            }
        }
        let ended = match opened {
            Ok((_, mut lines)) => {
                serve(&mut *lines, config, links, &mut known, &report).map_err(HookFault::Failed)
            }
            Err(why) => Err(HookFault::NoLines(why)),
        };
        let why = match ended {
            Ok(Ended::Stopped) => return,
            Ok(Ended::TryAll) => {
                opened = open(config, trace);
                continue;
            }
            Err(why) => why,
        };
        known.reported = None;
        report(HandsetReport::Works(Err(why)));
        let again = clock::mono() + RETRY;
        while clock::mono() < again && !links.stop.load(Ordering::Relaxed) {
            links.alive.touch();
            std::thread::park_timeout(Duration::from_millis(250));
        }
        opened = open(config, trace);
    }
}

fn serve(
    lines: &mut dyn Lines,
    config: &Handset,
    links: &HandsetLinks,
    known: &mut Known,
    report: &impl Fn(HandsetReport),
) -> Result<Ended, LinesError> {
    let mut found = levels(lines, known.inverted)?;
    let off_hook = found.contains(&(Line::OffHook, true));
    if known.panel.is_none() {
        report(HandsetReport::AtStart { off_hook });
        let debounce = Duration::from_millis(config.hook.debounce_ms);
        let mut panel = Panel::new(parts(config, &found), debounce, off_hook);
        if found.contains(&(Line::ServiceButton, true)) {
            panel.starts_in_service(clock::mono());
        }
        panel.set_hook_flash(config.hook_flash);
        known.panel = Some(panel);
    }
    let Known {
        panel: Some(panel),
        inverted,
        lamp,
        reported,
        ..
    } = known
    else {
        return Ok(Ended::Stopped);
    };
    links.view.is_inverted.store(*inverted, Ordering::Relaxed);
    let refused = lines.refused().to_vec();
    let Stuck {
        hook: chatters,
        key: keys,
        ..
    } = panel.stuck();
    // Lines that are still held by another program are not reported again every minute.
    if reported.as_ref() != Some(&(chatters, refused.clone())) {
        report(hook_works(chatters));
        report(controls(&refused, panel.stuck()));
        *reported = Some((chatters, refused.clone()));
    }
    found.retain(|level| *level != (Line::OffHook, panel.is_off_hook()));
    let mut service = Service {
        lines,
        config,
        links,
        panel,
        inverted,
        outputs: Outputs {
            lamp: lamp.unwrap_or(Lamp::Starting),
            ..Outputs::default()
        },
        lamp,
        reported,
        chatters,
        keys,
        refused,
        report,
    };
    service.take_levels(found)?;
    service.run()
}

/// The lines while they work.
struct Service<'a, R> {
    lines: &'a mut dyn Lines,
    config: &'a Handset,
    links: &'a HandsetLinks,
    panel: &'a mut Panel,
    inverted: &'a mut bool,
    outputs: Outputs,
    lamp: &'a mut Option<Lamp>,
    reported: &'a mut Option<(bool, Vec<String>)>,
    /// Whether the hook switch chatters, as was reported.
    chatters: bool,
    /// The keys that are stuck, as was reported.
    keys: StuckKeys,
    refused: Vec<String>,
    report: &'a R,
}

impl<R: Fn(HandsetReport)> Service<'_, R> {
    fn run(mut self) -> Result<Ended, LinesError> {
        let try_all = clock::mono() + TRY_ALL;
        let mut read_again = clock::mono() + READ_AGAIN;
        // Keys that are held at the start make no edge.
        let mut wants_scan = self.config.has_keypad();
        while !self.links.stop.load(Ordering::Relaxed) {
            self.links.alive.touch();
            loop {
                match self.links.commands.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(Ended::Stopped),
                }
            }
            let now = clock::mono();
            let toggles = self.panel.hook_toggles_1h(now);
            let view = &self.links.view;
            view.hook_toggles_1h.store(toggles, Ordering::Relaxed);
            let changes = self.outputs.switch(self.lines, now)?;
            let patience = match wants_scan {
                true => Duration::ZERO,
                false => {
                    let due = self.panel.deadline().map(|due| due.since(now));
                    let dues = [Some(read_again.since(now)), changes, due];
                    dues.into_iter().flatten().min().unwrap_or_default()
                }
            };
            // Events before `now` are in the kernel's queue by then, and are read here. The panel is asked about `now` and
            // not about a later moment, so that it never counts a time whose edges it has not seen, however late this thread
            // runs.
            for (at, line, is_active) in self.lines.wait(patience, &self.links.wake)? {
                // A scan itself moves the rows; while a key is down the next scan comes by time.
                wants_scan |= line == Line::KeypadRow && !self.panel.is_key_down();
                self.edge(at, line, is_active)?;
            }
            let news = self.panel.tick(now);
            self.take_news(news)?;
            let now = clock::mono();
            if std::mem::take(&mut wants_scan) || self.panel.wants_scan(now) {
                let closed = self.lines.scan()?;
                let news = self.panel.keys(now, closed);
                self.take_news(news)?;
            }
            if now >= read_again {
                read_again = now + READ_AGAIN;
                wants_scan = self.config.has_keypad();
                for (at, line, is_active) in self.lines.wait(Duration::ZERO, &self.links.wake)? {
                    self.edge(at, line, is_active)?;
                }
                let found = levels(self.lines, *self.inverted)?;
                self.take_levels(found)?;
            }
            let at_rest = !self.panel.is_off_hook()
                && !self.panel.stuck().hook
                && self.outputs.ringing.is_none();
            if !self.refused.is_empty() && now >= try_all && at_rest {
                return Ok(Ended::TryAll);
            }
        }
        self.lines.switch(OutLine::Ringer, false)?;
        self.lines.switch(OutLine::Lamp, false)?;
        Ok(Ended::Stopped)
    }

    fn obey(&mut self, command: HandsetCommand) {
        match command {
            HandsetCommand::Lamp(lamp) => {
                self.outputs.lamp = lamp;
                *self.lamp = Some(lamp);
            }
            HandsetCommand::Ring(_) | HandsetCommand::Sign(_) if self.panel.is_off_hook() => {}
            HandsetCommand::Sign(sign) => self.outputs.sign = Some((sign, clock::mono())),
            HandsetCommand::Ring(ringing) => self.outputs.ring(ringing),
            HandsetCommand::Recording(is_recording) => {
                self.lines.recording(is_recording);
                self.panel
                    .set_hook_flash(self.config.hook_flash && !is_recording);
            }
        }
    }

    fn edge(&mut self, at: Mono, line: Line, is_active: bool) -> Result<(), LinesError> {
        let is_active = is_active != (*self.inverted && line == Line::OffHook);
        self.level(at, line, is_active)
    }

    fn take_levels(&mut self, found: Vec<(Line, bool)>) -> Result<(), LinesError> {
        let now = clock::mono();
        for (line, is_active) in found {
            self.level(now, line, is_active)?;
        }
        Ok(())
    }

    fn level(&mut self, at: Mono, line: Line, is_active: bool) -> Result<(), LinesError> {
        let view = &self.links.view;
        view.note(line, is_active);
        let news = self.panel.level(at, line, is_active);
        if line == Line::OffHook && (is_active || self.panel.is_hook_resting()) {
            view.hush.store(!is_active, Ordering::Relaxed);
        }
        self.take_news(news)
    }

    fn take_news(&mut self, news: Vec<PanelNews>) -> Result<(), LinesError> {
        for news in news {
            let report = self.report;
            match news {
                PanelNews::Handset(at, event) => {
                    if event == HandsetEvent::Lifted {
                        self.outputs.lifted();
                    }
                    let done = None;
                    report(HandsetReport::Event { at, event, done });
                }
                PanelNews::Tamper(open) => report(HandsetReport::CaseOpen(open)),
                PanelNews::Stuck(stuck) => {
                    if std::mem::replace(&mut self.chatters, stuck.hook) != stuck.hook {
                        report(hook_works(stuck.hook));
                        *self.reported = Some((stuck.hook, self.refused.clone()));
                    }
                    match std::mem::replace(&mut self.keys, stuck.key) == stuck.key {
                        true => report(controls(&self.refused, stuck)),
                        false => report(HandsetReport::Keys(stuck.key)),
                    }
                }
                PanelNews::ServiceAwaited | PanelNews::HookAwaited => self.outputs.answer(),
                PanelNews::HookAtRest => {
                    self.outputs.answer();
                    self.teach()?;
                }
            }
        }
        Ok(())
    }

    /// Stores the hook's present level as its level at rest.
    fn teach(&mut self) -> Result<(), LinesError> {
        let found = levels(self.lines, *self.inverted)?;
        *self.inverted ^= found.contains(&(Line::OffHook, true));
        let view = &self.links.view;
        view.is_inverted.store(*self.inverted, Ordering::Relaxed);
        let configured = self.config.hook.off_hook;
        match handset_taught::keep(&self.links.taught, configured, *self.inverted) {
            Ok(()) => (self.report)(HandsetReport::HookTaught),
            Err(why) => log::error!("the hook's resting level holds until the next start: {why}"),
        }
        let found = levels(self.lines, *self.inverted)?;
        self.take_levels(found)
    }
}

/// Levels of all contacts, the hook's as taught.
fn levels(lines: &mut dyn Lines, inverted: bool) -> Result<Vec<(Line, bool)>, LinesError> {
    let mut levels = lines.levels()?;
    for (line, is_active) in &mut levels {
        *is_active ^= inverted && *line == Line::OffHook;
    }
    Ok(levels)
}

/// Reports whether the hook switch can be read and does not chatter; otherwise a lift cannot be noticed.
fn hook_works(chatters: bool) -> HandsetReport {
    HandsetReport::Works(match chatters {
        true => Err(HookFault::Chatters),
        false => Ok(()),
    })
}

/// Reports everything that does not work beside the hook switch.
fn controls(refused: &[String], stuck: Stuck) -> HandsetReport {
    let stuck = [
        (stuck.dial, ControlFault::DialMidTurn),
        (stuck.service, ControlFault::ServiceDown),
    ];
    let stuck = stuck.into_iter().filter(|(is_so, _)| *is_so);
    let refused = refused.iter().cloned().map(ControlFault::NotClaimed);
    HandsetReport::Controls(refused.chain(stuck.map(|(_, fault)| fault)).collect())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a thread of its own for the one under test
mod tests;
