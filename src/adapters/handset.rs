//! The booth's contacts: one thread that watches all lines and drives the lamp.
//!
//! Owns: the choice of backend, and the loop over edges that `rppal` and `cdev` share. Never does: decide what a lift or a
//! pulse means; `gateway::panel` does. A hook switch that cannot be read is reported and tried again; any other line
//! that cannot be claimed is reported, and the rest works without it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use super::handset_trace::{self, Traced};
use super::{clock, handset_cdev, handset_rppal};
use crate::config::{Backend, Handset};
use crate::gateway::keypad::Closed;
use crate::gateway::panel::{Line, Panel, PanelNews, PanelParts, Stuck};
use crate::gateway::session::{HandsetEvent, Lamp};
use crate::gateway::time::Mono;

/// Levels are read again this often, so that a missed edge heals itself.
const READ_AGAIN: Duration = Duration::from_secs(2);
/// How long a row of the keypad takes to follow its column, through a weak pull-up and some metres of cable.
pub(super) const KEYPAD_SETTLES: Duration = Duration::from_micros(100);
/// A failed line is tried again this often.
const RETRY: Duration = Duration::from_secs(5);

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
        /// Told once the core has handled it.
        done: Option<SyncSender<()>>,
    },
    /// The simulated handset asks for the booth's state, one JSON line.
    State {
        /// Where to.
        answer: SyncSender<String>,
    },
    /// The hook switch can be read, or why not.
    Works(Result<(), String>),
    /// What beside the hook switch does not work, a sentence each; none once all works.
    Controls(Vec<String>),
    /// The booth's case was opened or closed.
    CaseOpen(bool),
}

/// Edges since the last call: when, of what, and whether it is what its name says.
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
    /// Switches the lamp.
    fn lamp(&mut self, on: bool) -> Result<(), String>;
    /// Lines beside the hook switch that could not be claimed, a sentence each.
    fn refused(&self) -> &[String] {
        &[]
    }
}

/// Opens the lines of the configured backend, and writes down their edges if `trace` names a file. `sim` has none.
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

/// Whether the lamp is lit: steady = ready, fast = recording, double flash = saved, dark = out of order,
/// slow = starting.
pub fn is_lit(lamp: Lamp, now: Mono) -> bool {
    match lamp {
        Lamp::Ready => true,
        Lamp::Listening => now.0 % 500 < 250,
        Lamp::Saved => matches!(now.0 % 1000 / 125, 0 | 2),
        Lamp::OutOfOrder => false,
        Lamp::Starting => now.0 % 2000 < 1000,
    }
}

/// Watches the lines until `stop`; opens them again when they fail.
pub fn watch(
    config: &Handset,
    trace: Option<&Path>,
    first: Result<(&'static str, Box<dyn Lines>), String>,
    lamps: &Receiver<Lamp>,
    stop: &AtomicBool,
    report: impl Fn(HandsetReport),
) {
    let mut opened = first;
    let mut panel = None;
    while !stop.load(Ordering::Relaxed) {
        let ended = match opened {
            Ok((_, mut lines)) => serve(&mut *lines, config, lamps, stop, &mut panel, &report),
            Err(why) => Err(why),
        };
        let Err(why) = ended else { return };
        report(HandsetReport::Works(Err(why)));
        let again = clock::mono() + RETRY;
        while clock::mono() < again && !stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(250));
        }
        opened = open(config, trace);
    }
}

fn serve(
    lines: &mut dyn Lines,
    config: &Handset,
    lamps: &Receiver<Lamp>,
    stop: &AtomicBool,
    panel: &mut Option<Panel>,
    report: &impl Fn(HandsetReport),
) -> Result<(), String> {
    let found = lines.levels()?;
    let off_hook = found.contains(&(Line::OffHook, true));
    if panel.is_none() {
        report(HandsetReport::AtStart { off_hook });
    }
    report(HandsetReport::Works(Ok(())));
    let debounce = Duration::from_millis(config.hook.debounce_ms);
    // The panel outlives a failure of the lines: who hung up meanwhile has hung up.
    let panel = panel.get_or_insert_with(|| Panel::new(parts(config, &found), debounce, off_hook));
    let refused = lines.refused().to_vec();
    report(controls(&refused, panel.stuck()));
    let tell = |news| tell(news, &refused, report);
    let known = found
        .into_iter()
        .filter(|level| *level != (Line::OffHook, panel.is_off_hook()));
    for (line, is_active) in known.collect::<Vec<_>>() {
        tell(panel.level(clock::mono(), line, is_active));
    }
    let mut lamp = Lamp::Starting;
    let mut lit = None;
    let mut read_again = clock::mono() + READ_AGAIN;
    // Keys that are held at the start are seen by no edge.
    let mut wants_scan = config.keypad.is_some();
    while !stop.load(Ordering::Relaxed) {
        loop {
            match lamps.try_recv() {
                Ok(next) => lamp = next,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        let now = clock::mono();
        if config.lamp.is_some() && lit != Some(is_lit(lamp, now)) {
            lit = Some(is_lit(lamp, now));
            lines.lamp(is_lit(lamp, now))?;
        }
        let blinks = config.lamp.is_some() && !matches!(lamp, Lamp::Ready | Lamp::OutOfOrder);
        // A steady lamp lets the thread sleep half a second, a blinking one an eighth.
        let patience = Duration::from_millis(if blinks { 60 } else { 500 });
        let patience = match (wants_scan, panel.deadline()) {
            (true, _) => Duration::ZERO,
            (false, due) => due.map_or(patience, |due| patience.min(due.since(now))),
        };
        // What happened before `now` is in the kernel's queue by then, and read here. Asking the panel about `now` and not
        // about a later moment, it never counts a time whose edges it has not seen, however late this thread runs.
        for (at, line, is_active) in lines.wait(patience)? {
            // A scan moves the rows itself; while a key is down the next one comes by time.
            wants_scan |= line == Line::KeypadRow && !panel.is_key_down();
            tell(panel.level(at, line, is_active));
        }
        tell(panel.tick(now));
        let now = clock::mono();
        if std::mem::take(&mut wants_scan) || panel.wants_scan(now) {
            tell(panel.keys(now, lines.scan()?));
        }
        if now >= read_again {
            read_again = now + READ_AGAIN;
            wants_scan = config.keypad.is_some();
            for (at, line, is_active) in lines.wait(Duration::ZERO)? {
                tell(panel.level(at, line, is_active));
            }
            let now = clock::mono();
            for (line, is_active) in lines.levels()? {
                tell(panel.level(now, line, is_active));
            }
        }
    }
    lines.lamp(false)
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

/// Tells what the panel says.
fn tell(news: Vec<PanelNews>, refused: &[String], report: &impl Fn(HandsetReport)) {
    for news in news {
        report(match news {
            PanelNews::Handset(at, event) => HandsetReport::Event {
                at,
                event,
                done: None,
            },
            PanelNews::Tamper(open) => HandsetReport::CaseOpen(open),
            PanelNews::Stuck(stuck) => controls(refused, stuck),
        });
    }
}

/// All that does not work beside the hook switch.
fn controls(refused: &[String], stuck: Stuck) -> HandsetReport {
    let stuck = [
        (stuck.dial, "the dial stands in mid-turn"),
        (stuck.key, "a key of the keypad does not come up"),
    ];
    let stuck = stuck.iter().filter(|(is_so, _)| *is_so);
    let stuck = stuck.map(|(_, sentence)| (*sentence).to_owned());
    HandsetReport::Controls(refused.iter().cloned().chain(stuck).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Lines that tell a script of edges at once, each so many ms ago, as a thread sees them that ran late; then they stop
    /// the watch.
    struct Script {
        edges: Vec<(u64, Line, bool)>,
        /// What a scan finds until then.
        key: Closed,
        key_until: Mono,
        refused: Vec<String>,
        levels: Vec<(Line, bool)>,
        /// After the edges they cannot be read any more.
        fails: bool,
        stop: std::sync::Arc<AtomicBool>,
    }

    impl Lines for Script {
        fn wait(&mut self, _: Duration) -> Result<Edges, String> {
            let now = clock::mono();
            if self.fails && self.edges.is_empty() {
                return Err("the lines are gone".into());
            }
            if now >= self.key_until + Duration::from_millis(50) {
                self.stop.store(true, Ordering::Relaxed);
            }
            let edges = self.edges.drain(..);
            Ok(edges
                .map(|(ago, line, is_active)| (now - Duration::from_millis(ago), line, is_active))
                .collect())
        }

        fn levels(&mut self) -> Result<Vec<(Line, bool)>, String> {
            Ok(self.levels.clone())
        }

        fn scan(&mut self) -> Result<Closed, String> {
            match clock::mono() < self.key_until {
                true => Ok(self.key),
                false => Ok(Closed::default()),
            }
        }

        fn lamp(&mut self, _: bool) -> Result<(), String> {
            Ok(())
        }

        fn refused(&self) -> &[String] {
            &self.refused
        }
    }

    /// What the watch tells of a script, beside where the handset was and that it can be read.
    fn told(handset: &str, edges: &[(u64, Line, bool)], key: Closed, refused: &str) -> Vec<String> {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let script = Script {
            edges: edges.to_vec(),
            key,
            key_until: clock::mono() + Duration::from_millis(100),
            refused: Some(refused.to_owned())
                .filter(|why| !why.is_empty())
                .into_iter()
                .collect(),
            levels: vec![(Line::OffHook, false)],
            fails: false,
            stop: stop.clone(),
        };
        let (_lamp, lamps) = mpsc::channel();
        let told = std::cell::RefCell::new(Vec::new());
        let config: Handset = toml::from_str(handset).expect("a configuration");
        watch(
            &config,
            None,
            Ok(("test", Box::new(script))),
            &lamps,
            &stop,
            |report| {
                told.borrow_mut().push(match report {
                    HandsetReport::Event { event, .. } => format!("{event:?}"),
                    other => format!("{other:?}"),
                });
            },
        );
        let mut told = told.into_inner();
        assert_eq!(told[..2], ["AtStart { off_hook: false }", "Works(Ok(()))"]);
        told.split_off(2)
    }

    #[test]
    fn the_watch_tells_the_start_and_each_lift() {
        let edges = [(10, Line::OffHook, true)];
        assert_eq!(
            told("", &edges, Closed::default(), ""),
            ["Controls([])", "Lifted"]
        );
    }

    #[test]
    fn who_hangs_up_while_the_lines_cannot_be_read_has_hung_up() {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let script = |edges: &[(u64, Line, bool)], fails| Script {
            edges: edges.to_vec(),
            key: Closed::default(),
            key_until: clock::mono() + Duration::from_millis(100),
            refused: Vec::new(),
            levels: vec![(Line::OffHook, false)],
            fails,
            stop: stop.clone(),
        };
        let (_lamp, lamps) = mpsc::channel();
        let told = std::cell::RefCell::new(Vec::new());
        let report = |report| {
            if let HandsetReport::Event { event, .. } = report {
                told.borrow_mut().push(event);
            }
        };
        let (config, mut panel) = (Handset::default(), None);
        let mut lines = script(&[(500, Line::OffHook, true)], true);
        assert!(serve(&mut lines, &config, &lamps, &stop, &mut panel, &report).is_err());
        let mut lines = script(&[], false);
        assert_eq!(
            serve(&mut lines, &config, &lamps, &stop, &mut panel, &report),
            Ok(())
        );
        assert_eq!(
            told.into_inner(),
            [HandsetEvent::Lifted, HandsetEvent::HungUp]
        );
    }

    #[test]
    fn a_line_that_cannot_be_claimed_is_named_and_the_rest_works() {
        let edges = [(10, Line::OffHook, true)];
        let told = told("", &edges, Closed::default(), "line 22 is held");
        assert_eq!(told, ["Controls([\"line 22 is held\"])", "Lifted"]);
    }

    #[test]
    fn a_digit_that_is_dialled_arrives_as_one_of_a_dial() {
        let mut edges = vec![
            (3_000, Line::OffHook, true),
            (2_500, Line::DialOffNormal, true),
        ];
        for pulse in 0..2 {
            edges.push((2_000 - pulse * 100, Line::DialPulse, true));
            edges.push((1_940 - pulse * 100, Line::DialPulse, false));
        }
        edges.push((1_700, Line::DialOffNormal, false));
        let handset = "dial_pulse = { line = 22 }\ndial_off_normal = { line = 23 }\n";
        let told = told(handset, &edges, Closed::default(), "");
        assert_eq!(told, ["Controls([])", "Lifted", "Key(Digit(2), Dial)"]);
    }

    #[test]
    fn a_key_and_a_button_arrive_once_and_an_open_case_is_told() {
        let handset = "keypad = { rows = [5, 6, 13, 19], columns = [16, 20, 21] }\nbutton = { line = 22 }\n\
                       tamper = { line = 23 }\n";
        let edges = [
            (900, Line::OffHook, true),
            (800, Line::Button, true),
            (790, Line::Button, false),
            (780, Line::Button, true),
            (700, Line::Button, false),
            (600, Line::Tamper, true),
            (5, Line::KeypadRow, true),
        ];
        let told = told(handset, &edges, Closed::default().with(3, 2), "");
        assert_eq!(
            told,
            [
                "Controls([])",
                "Lifted",
                "Key(Button, Keypad)",
                "CaseOpen(true)",
                "Key(Hash, Keypad)"
            ]
        );
    }

    #[test]
    fn a_machine_without_gpio_says_what_is_missing() {
        for backend in [Backend::Auto, Backend::Rppal, Backend::Cdev] {
            let chip = Some("no-such-gpiochip".into());
            let config = Handset {
                backend,
                chip,
                ..Handset::default()
            };
            match open(&config, None) {
                Ok(_) => return, // this machine is a Raspberry Pi
                Err(why) => assert!(why.contains("GPIO") || why.contains("gpio"), "{why}"),
            }
        }
    }
}
