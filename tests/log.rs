//! What a day of trouble leaves in the log: the cause, a line an hour, and the end. The real loop, keeper and spool in virtual
//! time (`crates/testkit/src/world.rs`), the hub's real store, and the journal's own rule.
#![allow(clippy::disallowed_methods)]

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use booth_contract::time::Mono;
use booth_host::{crew, journal};
use booth_hub::store::{Message, Store, StoreRules};
use booth_testkit::world;
use booth_testkit::world::plan::{DAY, Fault, HOUR, MINUTE, Plan};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// What the card keeps of the journal (image/system/usr/lib/booth/journal-ring).
const RING: usize = 500;

/// One line: when, how grave, what.
type Line = (u64, Level, String);

/// Where the lines go that are said.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<Line>>>);

impl Log for Page {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = (world::MONO.get(), record.level(), record.args().to_string());
        self.0.lock().expect("lines").push(line);
    }

    fn flush(&self) {}
}

type Digest = journal::Digest<Page, fn() -> Mono>;

thread_local! {
    /// The journal of this thread's test.
    static JOURNAL: RefCell<Option<Rc<Digest>>> = const { RefCell::new(None) };
}

/// The process's logger: each test has its own journal.
struct OfThread;

impl Log for OfThread {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(journal) = JOURNAL.with_borrow(Clone::clone) {
            journal.log(record);
        }
    }

    fn flush(&self) {
        if let Some(journal) = JOURNAL.with_borrow(Clone::clone) {
            journal.flush();
        }
    }
}

/// Listens to this thread from now on, by the clock of its world.
fn listen() -> Page {
    // The second test of the process finds it installed.
    let _ = log::set_boxed_logger(Box::new(OfThread));
    log::set_max_level(LevelFilter::Info);
    let page = Page::default();
    let clock: fn() -> Mono = || Mono(world::MONO.get());
    let journal = Rc::new(journal::Digest::new(page.clone(), clock));
    JOURNAL.set(Some(journal));
    page
}

impl Page {
    fn lines(&self) -> Vec<Line> {
        self.0.lock().expect("lines").clone()
    }
}

/// A day of one fault, from the second hour on, in a booth that people use.
fn a_day_of(fault: Fault) -> (Vec<Line>, world::Outcome) {
    let page = listen();
    let mut plan = Plan::of(3);
    plan.faults = vec![(HOUR, fault)];
    plan.busy_ms = 25 * HOUR + 30 * MINUTE;
    plan.visits_per_day = 60;
    plan.max_bytes = 1 << 30;
    plan.capacity = 64 << 20;
    (plan.poisoned, plan.withdrawn, plan.lies) = (0, 0, 0);
    plan.is_real_hub = false;
    let outcome = world::planned(plan).unwrap_or_else(|broken| panic!("{broken}"));
    (page.lines(), outcome)
}

fn shown(lines: &[&Line]) -> String {
    lines
        .iter()
        .fold(String::new(), |mut text, (at, level, line)| {
            let _ = writeln!(text, "{:6} {level:5} {line}", at / MINUTE);
            text
        })
}

/// Everything that is said of trouble, and of its end, once the booth is up; not what citizens leave.
fn of_trouble(lines: &[Line]) -> Vec<&Line> {
    let visits = [
        "kept",
        "confirmed",
        "discarded",
        "lifted, first sample",
        "self-test",
        "withdrawn",
        "a withdrawal is kept",
    ];
    lines
        .iter()
        .filter(|(at, ..)| *at > MINUTE)
        .filter(|(_, level, text)| {
            *level <= Level::Warn || !visits.iter().any(|start| text.starts_with(start))
        })
        .collect()
}

#[test]
fn a_day_of_any_outage_is_a_handful_of_lines_and_one_an_hour_for_each_fault() {
    // What goes wrong, how many faults that is, and the words of its cause.
    let outages = [
        (
            Fault::BrokerRestart {
                ms: DAY,
                is_persistent: true,
            },
            1,
            "connection refused",
        ),
        (
            Fault::MicrophoneLost { ms: DAY },
            1,
            "the microphone has gone",
        ),
        (Fault::EarpieceLost { ms: DAY }, 1, "the earpiece has gone"),
        (
            Fault::HubRestart {
                ms: DAY,
                in_a_batch: false,
            },
            1,
            "the hub is not online",
        ),
        (Fault::ReadOnly { ms: DAY }, 2, "read-only"),
        (
            Fault::IoBurst {
                ms: DAY,
                percent: 100,
                errno: booth_testkit::model_disk::EIO,
            },
            3,
            "error 5",
        ),
        (
            Fault::FilledByOthers { ms: DAY, left: 0 },
            2,
            "reserve_bytes",
        ),
    ];
    for (fault, faults, cause) in outages {
        let (lines, outcome) = a_day_of(fault);
        assert!(outcome.visits > 20, "{fault:?}: {outcome:?}");
        let trouble = of_trouble(&lines);
        let told = shown(&trouble);
        println!(
            "{fault:?}: {} of {} lines\n{told}",
            trouble.len(),
            lines.len()
        );
        assert!(trouble.len() <= 8 + faults * 25, "{fault:?}:\n{told}");
        let end = lines
            .iter()
            .rposition(|(at, ..)| *at <= 25 * HOUR)
            .expect("lines");
        let ring = &lines[(end + 1).saturating_sub(RING)..=end];
        assert!(
            ring.iter().any(|(_, _, text)| text.contains(cause)),
            "{fault:?}: the cause is not among the last lines:\n{told}"
        );
    }
}

#[test]
fn a_connection_that_breaks_every_minute_for_a_day_is_no_flood() {
    let page = listen();
    let mut plan = Plan::of(3);
    plan.busy_ms = DAY;
    plan.faults = (10..24 * 60)
        .map(|minute| (minute * MINUTE, Fault::LinkLost))
        .collect();
    (plan.poisoned, plan.withdrawn, plan.lies) = (0, 0, 0);
    world::planned(plan).unwrap_or_else(|broken| panic!("{broken}"));
    let lines = page.lines();
    let trouble = of_trouble(&lines);
    let told = shown(&trouble);
    // The link; the hub, which is heard of again; and acks of clips that are gone by then.
    assert!(trouble.len() <= 10 + 3 * 25, "{told}");
    assert!(told.contains("again and again"), "{told}");
}

#[test]
fn rubbish_for_a_day_is_a_line_an_hour_for_each_who_sends_it() {
    let page = listen();
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Store::open(&StoreRules {
        dir: folder.path().join("store"),
        max_clip_bytes: 1 << 20,
        root: "booth/1".into(),
        database: None,
        bodies: None,
    })
    .expect("a store");
    let wall = jiff::Timestamp::from_second(1_772_409_600).expect("a time");
    for minute in 0..24 * 60 {
        world::MONO.set(minute * MINUTE);
        for n in 0..4 {
            let topic = match n {
                0 => format!("booth/1/up/rundhoej-1/nonsense{minute}"),
                1 => "booth/1/up/rundhoej-1/health".into(),
                2 => "booth/1/up/torvet-2/clip/no-uuid".into(),
                _ => format!("booth/1/up/torvet-2/part/x{minute}/y"),
            };
            let message = Message {
                topic,
                payload: vec![0xff; 7],
                retained: false,
                expiry_s: None,
            };
            let handled = store.handle(wall, Mono(minute * MINUTE), &message);
            assert_eq!(handled.expect("a store"), None);
        }
        log::logger().flush();
    }
    let lines = page.lines();
    let all: Vec<&Line> = lines.iter().collect();
    let told = shown(&all);
    assert!(
        (4..=8 + 3 * 24).contains(&lines.len()),
        "{}\n{told}",
        lines.len()
    );
}

#[test]
fn a_line_that_panics_while_it_is_made_stops_neither_its_thread_nor_the_journal() {
    struct Bomb;
    impl std::fmt::Display for Bomb {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("a fuse")
        }
    }
    let before = std::panic::take_hook();
    crew::log_panics();
    let (told, telling) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let page = listen();
        let line = std::panic::catch_unwind(|| log::warn!(fault = "bomb"; "{}", Bomb));
        log::warn!(fault = "bomb"; "the next line");
        told.send((line.is_err(), page.lines())).expect("a test");
    });
    let (has_panicked, lines) = telling
        .recv_timeout(Duration::from_secs(60))
        .expect("the journal does not wait for itself");
    thread.join().expect("it ends");
    std::panic::set_hook(before);
    assert!(has_panicked);
    let texts: Vec<&str> = lines.iter().map(|(_, _, text)| text.as_str()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("tests/log.rs") && texts[0].ends_with("a fuse"));
    assert_eq!(texts[1], "the next line");
}
