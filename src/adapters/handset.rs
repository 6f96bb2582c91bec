//! The handset's hardware: one thread that watches the lines and drives the lamp.
//!
//! Owns: the choice of backend, and the loop over edges that `rppal` and `cdev` share. Never does:
//! decide what a lift means. A line that cannot be read is reported and tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use super::{clock, handset_cdev, handset_rppal};
use crate::config::{Backend, Handset};
use crate::gateway::hook::HookFilter;
use crate::gateway::session::{HandsetEvent, Lamp};
use crate::gateway::time::Mono;

/// Levels are read again this often, so that a missed edge heals itself.
const READ_AGAIN: Duration = Duration::from_secs(2);
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
    /// The lines can be read, or why not.
    Works(Result<(), String>),
}

/// Edges since the last call: when, and whether the handset is off its hook.
pub type Edges = Vec<(Mono, bool)>;

/// The lines of one backend.
pub trait Lines: Send {
    /// Waits for edges of the hook switch, at most `patience`.
    fn wait(&mut self, patience: Duration) -> Result<Edges, String>;
    /// Reads the hook switch.
    fn is_off_hook(&mut self) -> Result<bool, String>;
    /// Switches the lamp.
    fn lamp(&mut self, on: bool) -> Result<(), String>;
}

/// Opens the lines of the configured backend. `sim` has none.
pub fn open(config: &Handset) -> Result<(&'static str, Box<dyn Lines>), String> {
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
    first: Result<(&'static str, Box<dyn Lines>), String>,
    lamps: &Receiver<Lamp>,
    stop: &AtomicBool,
    report: impl Fn(HandsetReport),
) {
    let mut opened = first;
    let mut told_start = false;
    while !stop.load(Ordering::Relaxed) {
        let ended = match opened {
            Ok((_, mut lines)) => serve(&mut *lines, config, lamps, stop, &mut told_start, &report),
            Err(why) => Err(why),
        };
        let Err(why) = ended else { return };
        report(HandsetReport::Works(Err(why)));
        let again = clock::mono() + RETRY;
        while clock::mono() < again && !stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(250));
        }
        opened = open(config);
    }
}

fn serve(
    lines: &mut dyn Lines,
    config: &Handset,
    lamps: &Receiver<Lamp>,
    stop: &AtomicBool,
    told_start: &mut bool,
    report: &impl Fn(HandsetReport),
) -> Result<(), String> {
    let off_hook = lines.is_off_hook()?;
    if !std::mem::replace(told_start, true) {
        report(HandsetReport::AtStart { off_hook });
    }
    report(HandsetReport::Works(Ok(())));
    let mut hook = HookFilter::new(Duration::from_millis(config.hook.debounce_ms), off_hook);
    let mut lamp = Lamp::Starting;
    let mut lit = None;
    let mut read_again = clock::mono() + READ_AGAIN;
    let tell = |told: Option<(Mono, HandsetEvent)>| {
        if let Some((at, event)) = told {
            report(HandsetReport::Event {
                at,
                event,
                done: None,
            });
        }
    };
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
        let patience = hook
            .deadline()
            .map_or(patience, |due| patience.min(due.since(now)));
        for (at, off_hook) in lines.wait(patience)? {
            tell(hook.level(at, off_hook));
        }
        let now = clock::mono();
        tell(hook.tick(now));
        if now >= read_again {
            read_again = now + READ_AGAIN;
            tell(hook.level(now, lines.is_off_hook()?));
        }
    }
    lines.lamp(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::mpsc;

    /// Lines that play a script of edges and then stop the watch.
    struct Script {
        edges: VecDeque<(Duration, bool)>,
        off_hook: bool,
        missed: bool,
        stop: std::sync::Arc<AtomicBool>,
    }

    impl Lines for Script {
        fn wait(&mut self, _: Duration) -> Result<Edges, String> {
            let Some((_, off_hook)) = self.edges.pop_front() else {
                if !self.missed {
                    self.stop.store(true, Ordering::Relaxed);
                }
                return Ok(Vec::new());
            };
            self.off_hook = off_hook;
            Ok(vec![(clock::mono(), off_hook)])
        }

        fn is_off_hook(&mut self) -> Result<bool, String> {
            Ok(self.off_hook)
        }

        fn lamp(&mut self, _: bool) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn the_watch_tells_the_start_and_each_lift() {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let script = Script {
            edges: VecDeque::from([(Duration::ZERO, true)]),
            off_hook: false,
            missed: false,
            stop: stop.clone(),
        };
        let (_lamp, lamps) = mpsc::channel();
        let told = std::cell::RefCell::new(Vec::new());
        let config = Handset::default();
        watch(
            &config,
            Ok(("test", Box::new(script))),
            &lamps,
            &stop,
            |report| {
                told.borrow_mut().push(format!("{report:?}"));
            },
        );
        let told = told.into_inner();
        assert!(told[0].contains("AtStart { off_hook: false }"), "{told:?}");
        assert!(told[1].contains("Works(Ok(()))"), "{told:?}");
        assert!(told[2].contains("Lifted"), "{told:?}");
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
            match open(&config) {
                Ok(_) => return, // this machine is a Raspberry Pi
                Err(why) => assert!(why.contains("GPIO") || why.contains("gpio"), "{why}"),
            }
        }
    }
}
