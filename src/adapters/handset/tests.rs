use super::*;
use crate::adapters::handset_lines::Edges;
use gateway_core::keypad::Closed;
use gateway_core::liveness::{Liveness, LivenessNews};
use std::sync::mpsc;

/// Lines that deliver a script of edges at once, each with a time so many ms ago, as a thread sees them that runs late; then
/// they stop the watch.
struct Script {
    edges: Vec<(u64, Line, bool)>,
    /// What a scan finds until `key_until`, and until a late thread has seen it [`SEEN`] times.
    key: Closed,
    key_until: Mono,
    scans: u32,
    /// How many more times edges are waited for after the script.
    turns_left: u32,
    refused: Vec<String>,
    levels: Vec<(Line, bool)>,
    /// One more edge, delivered once its time has come.
    later: Option<(Mono, Line, bool)>,
    /// After the edges the lines cannot be read any more.
    fails: bool,
    stop: Arc<AtomicBool>,
    switched: Arc<Mutex<Vec<(OutLine, bool)>>>,
}

/// Scans that find a key: enough for any debouncing, however far apart they come.
const SEEN: u32 = 20;

impl Script {
    /// Whether the key is still down. A thread that never scans is not waited for.
    fn is_down(&self, now: Mono) -> bool {
        let is_awaited = self.key != Closed::default() && self.scans < SEEN;
        now < self.key_until || (is_awaited && now < self.key_until + Duration::from_secs(60))
    }
}

impl Lines for Script {
    fn wait(&mut self, _: Duration, _: &Wake) -> Result<Edges, LinesError> {
        let now = clock::mono();
        if self.fails && self.edges.is_empty() {
            return Err("the lines are gone".into());
        }
        if !self.is_down(now) {
            // Even for a late thread, the panel is asked about times after the last edge.
            self.turns_left = self.turns_left.saturating_sub(1);
            std::thread::sleep(Duration::from_millis(10));
            self.stop.store(self.turns_left == 0, Ordering::Relaxed);
        }
        let later = self.later.take_if(|(at, ..)| *at <= now);
        let edges = self.edges.drain(..);
        let edges =
            edges.map(|(ago, line, is_active)| (now - Duration::from_millis(ago), line, is_active));
        Ok(edges.chain(later).collect())
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError> {
        Ok(self.levels.clone())
    }

    fn scan(&mut self) -> Result<Closed, LinesError> {
        if !self.is_down(clock::mono()) {
            return Ok(Closed::default());
        }
        self.scans += 1;
        Ok(self.key)
    }

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), LinesError> {
        self.switched.lock().expect("unpoisoned").push((which, on));
        Ok(())
    }

    fn refused(&self) -> &[String] {
        &self.refused
    }
}

/// A booth that plays a script.
struct Booth {
    script: Script,
    links: HandsetLinks,
    commands: mpsc::Sender<HandsetCommand>,
    folder: tempfile::TempDir,
}

fn booth(edges: &[(u64, Line, bool)]) -> Booth {
    let folder = tempfile::tempdir().expect("a folder");
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, commands) = mpsc::channel();
    Booth {
        script: Script {
            edges: edges.to_vec(),
            key: Closed::default(),
            key_until: clock::mono() + Duration::from_millis(100),
            scans: 0,
            turns_left: 10,
            refused: Vec::new(),
            later: None,
            levels: vec![(Line::OffHook, false)],
            fails: false,
            stop: stop.clone(),
            switched: Arc::default(),
        },
        links: HandsetLinks {
            commands,
            wake: Wake::new().expect("an eventfd"),
            view: Arc::default(),
            stop,
            alive: Beat::default(),
            taught: folder.path().join("hook"),
        },
        commands: sender,
        folder,
    }
}

impl Booth {
    /// What the watch reports.
    fn reported(self, handset: &str) -> Vec<String> {
        let reported = std::cell::RefCell::new(Vec::new());
        let config: Handset = toml::from_str(handset).expect("a configuration");
        let lines = Ok(("test", Box::new(self.script) as Box<dyn Lines>));
        watch(&config, None, lines, &self.links, |report| {
            reported.borrow_mut().push(match report {
                HandsetReport::Event { event, .. } => format!("{event:?}"),
                HandsetReport::Works(works) => {
                    format!("Works({:?})", works.map_err(|why| why.to_string()))
                }
                HandsetReport::Controls(faults) => {
                    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                    format!("Controls({faults:?})")
                }
                other => format!("{other:?}"),
            });
        });
        reported.into_inner()
    }
}

/// What the watch reports for a script, without the handset's position at the start and the report that it can be read.
fn reported(handset: &str, edges: &[(u64, Line, bool)], key: Closed, refused: &str) -> Vec<String> {
    let mut booth = booth(edges);
    booth.script.key = key;
    let refused = Some(refused.to_owned()).filter(|why| !why.is_empty());
    booth.script.refused = refused.into_iter().collect();
    let mut reported = booth.reported(handset);
    assert_eq!(
        reported[..2],
        ["AtStart { off_hook: false }", "Works(Ok(()))"]
    );
    reported.split_off(2)
}

#[test]
fn the_watch_tells_the_start_and_each_lift() {
    let edges = [(10, Line::OffHook, true)];
    assert_eq!(
        reported("", &edges, Closed::default(), ""),
        ["Controls([])", "Lifted"]
    );
}

#[test]
fn who_hangs_up_while_the_lines_cannot_be_read_has_hung_up() {
    let (config, mut known) = (Handset::default(), Known::default());
    let reported = std::cell::RefCell::new(Vec::new());
    let report = |report| {
        if let HandsetReport::Event { event, .. } = report {
            reported.borrow_mut().push(event);
        }
    };
    let mut failing = booth(&[(500, Line::OffHook, true)]);
    failing.script.fails = true;
    let (mut lines, links) = (failing.script, failing.links);
    assert!(serve(&mut lines, &config, &links, &mut known, &report).is_err());
    let mut back = booth(&[]);
    let served = serve(&mut back.script, &config, &back.links, &mut known, &report);
    assert!(matches!(served, Ok(Ended::Stopped)));
    assert_eq!(
        reported.into_inner(),
        [HandsetEvent::Lifted, HandsetEvent::HungUp]
    );
}

/// Lines whose wait hangs until the test lets it go.
struct Hangs {
    waits: mpsc::Sender<()>,
    let_go: mpsc::Receiver<()>,
}

impl Lines for Hangs {
    fn wait(&mut self, _: Duration, _: &Wake) -> Result<Edges, LinesError> {
        self.waits.send(()).expect("a test");
        self.let_go.recv().expect("a test");
        Ok(Edges::new())
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError> {
        Ok(vec![(Line::OffHook, false)])
    }

    fn switch(&mut self, _: OutLine, _: bool) -> Result<(), LinesError> {
        Ok(())
    }
}

#[test]
fn lines_that_hang_stop_the_feeding_and_lines_that_answer_again_let_it_go_on() {
    let mut liveness = Liveness::default();
    let mut links = booth(&[]).links;
    links.alive = liveness.watch("handset", SILENT_AT_MOST);
    // Its end of the commands must not be gone.
    let (_commands, commands) = mpsc::channel();
    links.commands = commands;
    let stop = links.stop.clone();
    let (waits, waiting) = mpsc::channel();
    let (go, let_go) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let lines: Box<dyn Lines> = Box::new(Hangs { waits, let_go });
        let config = Handset::default();
        watch(&config, None, Ok(("test", lines)), &links, |_| {});
    });
    waiting.recv().expect("the first wait");
    let mut news = Vec::new();
    for second in 0..=SILENT_AT_MOST.as_secs() {
        news.extend(liveness.judge(Mono(second * 1000)));
    }
    let hangs = LivenessNews::Hangs {
        thread: "handset",
        limit: SILENT_AT_MOST,
    };
    assert_eq!(news, [hangs]);
    assert!(!liveness.may_feed());
    go.send(()).expect("a thread");
    waiting.recv().expect("the second wait");
    let moves = LivenessNews::MovesAgain { thread: "handset" };
    assert_eq!(liveness.judge(Mono(60_000)), [moves]);
    assert!(liveness.may_feed());
    stop.store(true, Ordering::Relaxed);
    go.send(()).expect("a thread");
    thread.join().expect("it ends");
}

#[test]
fn a_hook_that_chatters_is_a_handset_that_does_not_work_until_it_rests() {
    let edges: Vec<_> = (0..600u64)
        .map(|n| (75_000 - n * 100, Line::OffHook, n % 2 == 0))
        .collect();
    let reported = reported("", &edges, Closed::default(), "");
    let works: Vec<_> = reported
        .iter()
        .filter(|reported| reported.starts_with("Works"))
        .collect();
    assert_eq!(
        works,
        ["Works(Err(\"the hook switch chatters\"))", "Works(Ok(()))"]
    );
    assert!(reported.len() < 100, "{} reports", reported.len());
}

#[test]
fn the_bell_rings_its_cadence_and_a_lift_silences_it() {
    let cadence = vec![Duration::from_secs(3_600)];
    let ring = HandsetCommand::Ring(Ringing { cadence, rings: 1 });
    let bell = |booth: Booth| {
        booth.commands.send(ring.clone()).expect("sent");
        let switched = booth.script.switched.clone();
        booth.reported("");
        let switched = switched.lock().expect("unpoisoned").clone();
        let bell = switched
            .into_iter()
            .filter(|(which, _)| *which == OutLine::Ringer);
        bell.map(|(_, on)| on).collect::<Vec<_>>()
    };
    // At its end the thread leaves all outputs off.
    assert_eq!(bell(booth(&[])), [true, false]);
    let mut lifted = booth(&[(10, Line::OffHook, true)]);
    lifted.script.key_until = clock::mono() + Duration::from_millis(300);
    assert_eq!(bell(lifted), [true, false, false]);
    // At an ear the bell does not ring at all.
    let mut off_hook = booth(&[]);
    off_hook.script.levels = vec![(Line::OffHook, true)];
    assert_eq!(bell(off_hook), [false, false]);
}

#[test]
fn the_service_button_makes_the_next_lift_a_technicians() {
    let handset = "service_button = { line = 24 }\nlamp = { line = 27 }\n";
    // The service button is held for 5 s with the handset on its hook, or held while lifting.
    let held = [
        (9_000, Line::ServiceButton, true),
        (3_000, Line::ServiceButton, false),
        (1_000, Line::OffHook, true),
    ];
    let lifting = [
        (900, Line::ServiceButton, true),
        (500, Line::OffHook, true),
        (100, Line::ServiceButton, false),
    ];
    for edges in [&held, &lifting] {
        let reported = reported(handset, edges, Closed::default(), "");
        assert_eq!(reported, ["Controls([])", "Lifted", "Service"], "{edges:?}");
    }
    let pressed = [
        (9_000, Line::ServiceButton, true),
        (8_000, Line::ServiceButton, false),
        (1_000, Line::OffHook, true),
    ];
    let reported = reported(handset, &pressed, Closed::default(), "");
    assert_eq!(reported, ["Controls([])", "Lifted"]);
}

#[test]
fn the_service_button_held_from_the_start_on_teaches_the_hook_its_rest() {
    let handset = "service_button = { line = 24 }\n";
    // The hook is wired the other way round than configured: at rest it looks lifted.
    let found = vec![(Line::OffHook, true), (Line::ServiceButton, true)];
    let mut first = booth(&[]);
    first.script.levels = found;
    let released = clock::mono() + Duration::from_millis(5_100);
    first.script.later = Some((released, Line::ServiceButton, false));
    first.script.key_until = released + Duration::from_millis(200);
    let (folder, taught) = (first.folder, first.links.taught.clone());
    let first = Booth {
        folder: tempfile::tempdir().expect("a folder"),
        ..first
    };
    let reported = first.reported(handset);
    assert_eq!(reported[0], "AtStart { off_hook: true }");
    assert!(reported.contains(&"HookTaught".to_owned()), "{reported:?}");
    assert_eq!(reported.last().map(String::as_str), Some("HungUp"));
    // At the next start the handset is on its hook, and the hook's other level is a lift.
    let mut next = booth(&[(100, Line::OffHook, false)]);
    next.script.levels = vec![(Line::OffHook, true)];
    next.links.taught = taught;
    let reported = next.reported(handset);
    assert_eq!(reported[0], "AtStart { off_hook: false }");
    assert_eq!(reported.last().map(String::as_str), Some("Lifted"));
    drop(folder);
}

#[test]
fn the_earpiece_is_hushed_from_the_first_edge_of_a_hang_up_and_not_after_a_glitch() {
    let view = |edges: &[(u64, Line, bool)]| {
        let booth = booth(edges);
        let view = booth.links.view.clone();
        booth.reported("");
        view.hush.load(Ordering::Relaxed)
    };
    let lift = (900, Line::OffHook, true);
    assert!(!view(&[lift]));
    assert!(view(&[lift, (100, Line::OffHook, false)]));
    let glitch = [(100, Line::OffHook, false), (98, Line::OffHook, true)];
    assert!(!view(&[lift, glitch[0], glitch[1]]));
}

#[test]
fn a_line_that_cannot_be_claimed_is_named_and_the_rest_works() {
    let edges = [(10, Line::OffHook, true)];
    let reported = reported("", &edges, Closed::default(), "line 22 is held");
    assert_eq!(reported, ["Controls([\"line 22 is held\"])", "Lifted"]);
}

#[test]
fn lines_that_could_not_be_claimed_are_tried_again_and_the_lamp_says_what_it_said() {
    let config = Handset::default();
    let mut known = Known::default();
    let mut held = booth(&[]);
    held.script.refused = vec!["line 22 is held".into()];
    held.script.key_until = clock::mono() + Duration::from_secs(30);
    held.commands
        .send(HandsetCommand::Lamp(Lamp::Ready))
        .expect("sent");
    let served = serve(&mut held.script, &config, &held.links, &mut known, &|_| ());
    assert!(matches!(served, Ok(Ended::TryAll)));
    let mut free = booth(&[]);
    let served = serve(&mut free.script, &config, &free.links, &mut known, &|_| ());
    assert!(matches!(served, Ok(Ended::Stopped)));
    let switched = free.script.switched.lock().expect("unpoisoned").clone();
    assert_eq!(switched[0], (OutLine::Lamp, true));
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
    let reported = reported(handset, &edges, Closed::default(), "");
    assert_eq!(reported, ["Controls([])", "Lifted", "Key(Digit(2), Dial)"]);
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
    let reported = reported(handset, &edges, Closed::default().with(3, 2), "");
    assert_eq!(
        reported,
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
            Err(why) => {
                let why = why.to_string();
                assert!(why.contains("GPIO") || why.contains("gpio"), "{why}");
            }
        }
    }
}

#[test]
fn the_sign_of_a_first_boot_takes_the_lamp_for_a_while_and_a_lift_gives_it_back() {
    let lamp = |outputs: &mut Outputs, until: u64| {
        let mut script = booth(&[]).script;
        for ms in (0..until).step_by(25) {
            outputs.switch(&mut script, Mono(ms)).expect("switched");
        }
        let switched = script.switched.lock().expect("unpoisoned").clone();
        let lamp = switched
            .into_iter()
            .filter(|(which, _)| *which == OutLine::Lamp);
        lamp.map(|(_, on)| on).collect::<Vec<_>>()
    };
    let signed = || Outputs {
        lamp: Lamp::OutOfOrder,
        answers: Mono(0),
        sign: Some((Sign::NotGood, Mono(0))),
        ..Outputs::default()
    };
    // One long and three short, ten times, and dark again.
    let mut outputs = signed();
    let all = lamp(&mut outputs, 60_000);
    assert_eq!(all.iter().filter(|on| **on).count(), 40);
    assert_eq!((all.last(), outputs.sign), (Some(&false), None));
    let mut outputs = signed();
    outputs.lifted();
    assert_eq!(lamp(&mut outputs, 60_000), [false]);
    // A technician who holds the service button is answered first.
    let mut outputs = signed();
    outputs.answers = Mono(30_000);
    let service = lamp(&mut outputs, 2_000);
    assert_eq!(service.iter().filter(|on| **on).count(), 3);
}

/// Lines that have no edges, whose wait ends at a call and never by itself.
struct Patient {
    waits: mpsc::Sender<()>,
    switched: mpsc::Sender<(OutLine, bool)>,
}

impl Lines for Patient {
    fn wait(&mut self, patience: Duration, wake: &Wake) -> Result<Edges, LinesError> {
        if patience > Duration::ZERO {
            self.waits.send(())?;
            wake.wait_for_a_call()?;
        }
        Ok(Edges::new())
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError> {
        Ok(vec![(Line::OffHook, false)])
    }

    fn switch(&mut self, which: OutLine, on: bool) -> Result<(), LinesError> {
        Ok(self.switched.send((which, on))?)
    }
}

#[test]
fn a_command_is_obeyed_at_once_although_the_lines_have_nothing_to_tell() {
    let mut links = booth(&[]).links;
    let (commands, taken) = mpsc::channel();
    links.commands = taken;
    let (stop, wake) = (links.stop.clone(), links.wake.clone());
    let (waits, waiting) = mpsc::channel();
    let (switched, outputs) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let lines: Box<dyn Lines> = Box::new(Patient { waits, switched });
        watch(
            &Handset::default(),
            None,
            Ok(("test", lines)),
            &links,
            |_| {},
        );
    });
    let wait = || waiting.recv_timeout(Duration::from_secs(60));
    wait().expect("the first wait");
    let mut shown = None;
    for (lamp, is_on) in [
        (Lamp::OutOfOrder, false),
        (Lamp::Ready, true),
        (Lamp::OutOfOrder, false),
    ] {
        commands.send(HandsetCommand::Lamp(lamp)).expect("sent");
        wake.call();
        wait().expect("the next wait: the command has been obeyed");
        let lamps = outputs
            .try_iter()
            .filter(|(which, _)| *which == OutLine::Lamp);
        shown = lamps.last().map(|(_, on)| on).or(shown);
        assert_eq!(shown, Some(is_on), "{lamp:?}");
    }
    stop.store(true, Ordering::Relaxed);
    wake.call();
    thread.join().expect("it ends");
}
