//! The booth's contacts: one thread that watches all lines and drives lamp and bell.
//!
//! Owns: the choice of backend, and the loop over edges that `rppal` and `cdev` share. Never does: decide what a lift or a
//! pulse means; `gateway_core::panel` does. A hook switch that cannot be read is reported and tried again; any other line
//! that cannot be claimed is reported, and the rest works without it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::handset_taught;
use super::handset_trace::{self, Traced};
use super::{handset_cdev, handset_rppal};
use crate::config::{Backend, Handset};
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::bell::Ringing;
use gateway_core::keypad::Closed;
use gateway_core::liveness::Beat;
use gateway_core::panel::{Line, OutLine, Panel, PanelNews, PanelParts, Stuck};
use gateway_core::session::{HandsetEvent, Lamp};
use gateway_core::sign::Sign;

/// Levels are read again this often, so that a missed edge does no lasting harm.
const READ_AGAIN: Duration = Duration::from_secs(2);
/// How long a row of the keypad takes to follow its column, through a weak pull-up and some metres of cable.
pub(super) const KEYPAD_SETTLES: Duration = Duration::from_micros(100);
/// A failed line is tried again this often.
const RETRY: Duration = Duration::from_secs(5);
/// Lines that could not be claimed are tried again this often, while the handset is on its hook.
const TRY_ALL: Duration = Duration::from_millis(if cfg!(test) { 1_000 } else { 60_000 });
/// How often a lamp or bell that changes by itself is looked at.
const BLINK: Duration = Duration::from_millis(40);
/// How often commands are looked for while nothing blinks or rings.
const LOOK: Duration = Duration::from_millis(500);
/// How long the lamp answers a technician who holds the service button.
const ANSWER: Duration = Duration::from_secs(3);

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
    /// What it shares.
    pub view: Arc<HandsetView>,
    /// Ends it.
    pub stop: Arc<AtomicBool>,
    /// Touched at every turn.
    pub alive: Beat,
    /// Where the taught resting level of the hook is kept.
    pub taught: std::path::PathBuf,
}

/// How long the thread of the lines may be silent. It turns every half second; the rest is for lines behind a slow bus.
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
    /// The hook switch can be read, or the reason why not.
    Works(Result<(), String>),
    /// What does not work beside the hook switch, a sentence each; empty once all works.
    Controls(Vec<String>),
    /// The booth's case was opened or closed.
    CaseOpen(bool),
    /// The hook's resting level was taught with the service button.
    HookTaught,
}

/// Edges since the last call: time, line, and whether the line is active.
pub type Edges = Vec<(Mono, Line, bool)>;

/// The lines of one backend.
pub trait Lines: Send {
    /// Waits for edges, at most `patience`.
    fn wait(&mut self, patience: Duration) -> Result<Edges, String>;
    /// Reads every line but the keypad's.
    fn levels(&mut self) -> Result<Vec<(Line, bool)>, String>;
    /// Scans the keypad.
    fn scan(&mut self) -> Result<Closed, String> {
        Ok(Closed::default())
    }
    /// Switches an output; if there is no such output, that is no error.
    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), String>;
    /// Lines beside the hook switch that could not be claimed, a sentence each.
    fn refused(&self) -> &[String] {
        &[]
    }
}

/// Opens the lines of the configured backend, and records their edges if `trace` names a file. `sim` has no lines.
pub fn open(
    config: &Handset,
    trace: Option<&Path>,
) -> Result<(&'static str, Box<dyn Lines>), String> {
    let (name, lines) = open_backend(config)?;
    let Some(path) = trace else {
        return Ok((name, lines));
    };
    let file = handset_trace::open(path, config)
        .inspect_err(|why| log::warn!("{why}"))
        .ok();
    Ok((name, Box::new(Traced::new(lines, file))))
}

fn open_backend(config: &Handset) -> Result<(&'static str, Box<dyn Lines>), String> {
    let rppal = || handset_rppal::open(config).map(|lines| ("rppal", lines));
    let cdev = || handset_cdev::open(config).map(|lines| ("cdev", lines));
    match config.backend {
        Backend::Rppal => rppal(),
        Backend::Cdev => cdev(),
        Backend::Auto => rppal().or_else(|first| {
            cdev().map_err(|second| {
                format!(
                    "no handset hardware: {first}; {second}. On a machine without GPIO set [handset] backend = \"sim\""
                )
            })
        }),
        Backend::Sim => Err("the simulated handset has no lines".into()),
    }
}

/// Whether the lamp is lit (docs/lamp.md): steady = ready, fast = recording, double flash = saved, dark = out of order,
/// slow = starting, triple flash = a technician is served, mostly lit with short gaps = an update is being written.
pub fn is_lit(lamp: Lamp, now: Mono) -> bool {
    match lamp {
        Lamp::Ready => true,
        Lamp::Listening => now.0 % 500 < 250,
        Lamp::Saved => matches!(now.0 % 1000 / 125, 0 | 2),
        Lamp::OutOfOrder => false,
        Lamp::Starting => now.0 % 2000 < 1000,
        Lamp::Service => matches!(now.0 % 2000 / 125, 0 | 2 | 4),
        Lamp::Update => now.0 % 1000 >= 125,
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
    /// What the lamp has to show.
    lamp: Option<Lamp>,
    /// What was last reported of the lines: whether the hook chatters, and which lines could not be claimed.
    told: Option<(bool, Vec<String>)>,
}

/// Watches the lines until it is stopped; opens them again when they fail.
pub fn watch(
    config: &Handset,
    trace: Option<&Path>,
    first: Result<(&'static str, Box<dyn Lines>), String>,
    links: &HandsetLinks,
    report: impl Fn(HandsetReport),
) {
    let mut opened = first;
    let mut known = Known {
        inverted: handset_taught::is_inverted(&links.taught, config.hook.off_hook),
        ..Known::default()
    };
    while !links.stop.load(Ordering::Relaxed) {
        let ended = match opened {
            Ok((_, mut lines)) => serve(&mut *lines, config, links, &mut known, &report),
            Err(why) => Err(why),
        };
        let why = match ended {
            Ok(Ended::Stopped) => return,
            Ok(Ended::TryAll) => {
                opened = open(config, trace);
                continue;
            }
            Err(why) => why,
        };
        known.told = None;
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
) -> Result<Ended, String> {
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
        told,
    } = known
    else {
        return Ok(Ended::Stopped);
    };
    links.view.is_inverted.store(*inverted, Ordering::Relaxed);
    let refused = lines.refused().to_vec();
    let chatters = panel.stuck().hook;
    // Lines that are still held by another program are not reported again every minute.
    if told.as_ref() != Some(&(chatters, refused.clone())) {
        report(hook_works(chatters));
        report(controls(&refused, panel.stuck()));
        *told = Some((chatters, refused.clone()));
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
        told,
        chatters,
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
    told: &'a mut Option<(bool, Vec<String>)>,
    /// Whether the hook switch chatters, as was reported.
    chatters: bool,
    refused: Vec<String>,
    report: &'a R,
}

impl<R: Fn(HandsetReport)> Service<'_, R> {
    fn run(mut self) -> Result<Ended, String> {
        let try_all = clock::mono() + TRY_ALL;
        let mut read_again = clock::mono() + READ_AGAIN;
        // Keys that are held at the start make no edge.
        let mut wants_scan = self.config.keypad.is_some();
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
            let patience = self.outputs.switch(self.lines, now)?;
            let patience = match (wants_scan, self.panel.deadline()) {
                (true, _) => Duration::ZERO,
                (false, due) => due.map_or(patience, |due| patience.min(due.since(now))),
            };
            // Events before `now` are in the kernel's queue by then, and are read here. The panel is asked about `now` and
            // not about a later moment, so that it never counts a time whose edges it has not seen, however late this thread
            // runs.
            for (at, line, is_active) in self.lines.wait(patience)? {
                // A scan itself moves the rows; while a key is down the next scan comes by time.
                wants_scan |= line == Line::KeypadRow && !self.panel.is_key_down();
                self.edge(at, line, is_active)?;
            }
            let news = self.panel.tick(now);
            self.tell(news)?;
            let now = clock::mono();
            if std::mem::take(&mut wants_scan) || self.panel.wants_scan(now) {
                let closed = self.lines.scan()?;
                let news = self.panel.keys(now, closed);
                self.tell(news)?;
            }
            if now >= read_again {
                read_again = now + READ_AGAIN;
                wants_scan = self.config.keypad.is_some();
                for (at, line, is_active) in self.lines.wait(Duration::ZERO)? {
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
                self.panel
                    .set_hook_flash(self.config.hook_flash && !is_recording);
            }
        }
    }

    fn edge(&mut self, at: Mono, line: Line, is_active: bool) -> Result<(), String> {
        let is_active = is_active != (*self.inverted && line == Line::OffHook);
        self.level(at, line, is_active)
    }

    fn take_levels(&mut self, found: Vec<(Line, bool)>) -> Result<(), String> {
        let now = clock::mono();
        for (line, is_active) in found {
            self.level(now, line, is_active)?;
        }
        Ok(())
    }

    fn level(&mut self, at: Mono, line: Line, is_active: bool) -> Result<(), String> {
        let view = &self.links.view;
        view.note(line, is_active);
        let news = self.panel.level(at, line, is_active);
        if line == Line::OffHook && (is_active || self.panel.is_hook_resting()) {
            view.hush.store(!is_active, Ordering::Relaxed);
        }
        self.tell(news)
    }

    fn tell(&mut self, news: Vec<PanelNews>) -> Result<(), String> {
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
                        *self.told = Some((stuck.hook, self.refused.clone()));
                    }
                    report(controls(&self.refused, stuck));
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
    fn teach(&mut self) -> Result<(), String> {
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

/// Lamp and bell: their present state and the state they should have.
struct Outputs {
    lamp: Lamp,
    /// Until then the lamp answers a technician.
    answers: Mono,
    ringing: Option<(Ringing, Mono)>,
    sign: Option<(Sign, Mono)>,
    lit: Option<bool>,
    sounds: Option<bool>,
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            lamp: Lamp::Starting,
            answers: Mono(0),
            ringing: None,
            sign: None,
            lit: None,
            sounds: None,
        }
    }
}

impl Outputs {
    fn ring(&mut self, ringing: Ringing) {
        self.ringing = Some((ringing, clock::mono()));
    }

    /// Ends bell and sign at a lift: the citizen's hand is near the bell, and the lamp is for the citizen.
    fn lifted(&mut self) {
        self.ringing = None;
        self.sign = None;
    }

    /// Answers a technician who holds the service button.
    fn answer(&mut self) {
        self.answers = clock::mono() + ANSWER;
        self.ring(Ringing::chirp());
    }

    /// Switches the outputs that have to change. Returns how long they stay so.
    fn switch(&mut self, lines: &mut dyn Lines, now: Mono) -> Result<Duration, String> {
        let lamp = match now < self.answers {
            true => Lamp::Service,
            false => self.lamp,
        };
        let sign = |(sign, since): (Sign, Mono)| sign.is_lit(now.since(since));
        let signed = self.sign.and_then(sign);
        if signed.is_none() {
            self.sign = None;
        }
        let lit = match signed {
            Some(lit) if now >= self.answers => lit,
            _ => is_lit(lamp, now),
        };
        if self.lit != Some(lit) {
            self.lit = Some(lit);
            lines.switch(OutLine::Lamp, lit)?;
        }
        self.ringing
            .take_if(|(ringing, since)| ringing.is_over(now.since(*since)));
        let ringing = self.ringing.as_ref();
        let sounds = ringing.is_some_and(|(ringing, since)| ringing.sounds(now.since(*since)));
        if self.sounds != Some(sounds) {
            self.sounds = Some(sounds);
            lines.switch(OutLine::Ringer, sounds)?;
        }
        let steady = matches!(lamp, Lamp::Ready | Lamp::OutOfOrder)
            && self.ringing.is_none()
            && self.sign.is_none();
        Ok(if steady { LOOK } else { BLINK })
    }
}

/// Levels of all contacts, the hook's as taught.
fn levels(lines: &mut dyn Lines, inverted: bool) -> Result<Vec<(Line, bool)>, String> {
    let mut levels = lines.levels()?;
    for (line, is_active) in &mut levels {
        *is_active ^= inverted && *line == Line::OffHook;
    }
    Ok(levels)
}

/// What the panel has, by the lines that could be claimed: a dial does without its off-normal contact.
pub(super) fn parts(config: &Handset, found: &[(Line, bool)]) -> PanelParts {
    let has_off_normal = found.iter().any(|(line, _)| *line == Line::DialOffNormal);
    PanelParts {
        dial: config
            .dial_pulse
            .as_ref()
            .map(|_| (config.dial_layout, has_off_normal)),
        keypad: config.keypad.is_some(),
    }
}

/// Reports whether the hook switch can be read and does not chatter; otherwise a lift cannot be noticed.
fn hook_works(chatters: bool) -> HandsetReport {
    HandsetReport::Works(match chatters {
        true => Err("the hook switch chatters".to_owned()),
        false => Ok(()),
    })
}

/// Reports everything that does not work beside the hook switch.
fn controls(refused: &[String], stuck: Stuck) -> HandsetReport {
    let stuck = [
        (stuck.dial, "the dial stands in mid-turn"),
        (stuck.key, "a key of the keypad does not come up"),
        (stuck.service, "the service button does not come up"),
    ];
    let stuck = stuck.iter().filter(|(is_so, _)| *is_so);
    let stuck = stuck.map(|(_, sentence)| (*sentence).to_owned());
    HandsetReport::Controls(refused.iter().cloned().chain(stuck).collect())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // a thread of its own for the one under test
mod tests;
