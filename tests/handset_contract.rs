//! What every backend of the handset does, whatever lies below it: one suite, run over gpiocdev and over rppal on the
//! registers of a Raspberry Pi 3, 4 and 5, with the code that the booth runs and a kernel that the test steers
//! (`crates/testkit/gpio_kernel.c`).
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // it traps on registers by x86's single step
#![allow(clippy::disallowed_methods)]

use booth_testkit::gpio_kernel::{self, KINDS, Kernel, Kind, Watched};

const THIS: [&str; 4] = [
    "the_process_that_watches",
    "--exact",
    "--ignored",
    "--nocapture",
];
/// A whole booth. Resting: on the hook, dial closed, case shut.
const BOOTH: &str = "hook = { line = 17 }\ndial_pulse = { line = 22 }\ndial_off_normal = { line = 23 }\n\
     button = { line = 24 }\ntamper = { line = 25 }\nlamp = { line = 27 }\n";
const KEYPAD: &str = "keypad = { rows = [5, 6, 12, 13], columns = [16, 20, 21] }\n";
const AT_REST: &str = "17:f 22:0 23:f 24:f 25:0";
const HOOK: u32 = 17;
const PULSE: u32 = 22;
const OFF_NORMAL: u32 = 23;
const BUTTON: u32 = 24;
const TAMPER: u32 = 25;
const LAMP: u32 = 27;

#[test]
#[ignore = "the process that the tests of this file start; alone it does nothing"]
fn the_process_that_watches() {
    gpio_kernel::watch_as_configured();
}

fn start(kind: Kind, handset: &str, kernel: &Kernel) -> Watched {
    Watched::start(kind, handset, kernel, &THIS)
}

/// All kinds at once: each is a process of its own, which mostly waits.
fn on_every_kind(test: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        let test = &test;
        for kind in KINDS {
            scope.spawn(move || test(kind));
        }
    });
}

/// A whole booth that works, and has said so.
fn booth(kind: Kind, more: &str) -> Watched {
    let kernel = Kernel {
        levels: AT_REST,
        ..Kernel::default()
    };
    let watched = start(kind, &format!("{BOOTH}{more}"), &kernel);
    let told = watched.until("Controls");
    assert_eq!(
        told,
        [
            "AtStart { off_hook: false }",
            "Works(Ok(()))",
            "Controls([])"
        ],
        "{kind:?}"
    );
    watched
}

/// An event and when it was, in ms after the edges began.
fn events(told: &[String]) -> Vec<(String, u64)> {
    told.iter()
        .filter_map(|line| {
            let (event, rest) = line.split_once(" at=")?;
            let at = rest.split(' ').next()?.parse().expect("ms");
            Some((event.to_owned(), at))
        })
        .collect()
}

/// Everything that comes of these edges, with the ms between each event and the first.
fn come_of(watched: &mut Watched, edges: &[(u64, u32, char)]) -> Vec<(String, u64)> {
    watched.edges(edges);
    fence(watched)
}

/// What was told before the case is opened and shut again.
fn fence(watched: &mut Watched) -> Vec<(String, u64)> {
    watched.edges(&[(400, TAMPER, 'f')]);
    let told = watched.until("CaseOpen(true)");
    watched.edges(&[(0, TAMPER, '0')]);
    watched.until("CaseOpen(false)");
    let events = events(&told);
    let first = events.first().map_or(0, |(_, at)| *at);
    events
        .into_iter()
        .map(|(event, at)| (event, at - first))
        .collect()
}

/// Within what a conversion between clocks rounds.
fn same(got: &[(String, u64)], wanted: &[(&str, u64)]) -> bool {
    got.len() == wanted.len()
        && got
            .iter()
            .zip(wanted)
            .all(|(got, wanted)| got.0 == wanted.0 && got.1.abs_diff(wanted.1) <= 2)
}

macro_rules! assert_told {
    ($kind:expr, $got:expr, $wanted:expr) => {
        let (got, wanted) = ($got, $wanted);
        assert!(same(&got, &wanted), "{:?}: {got:?}, not {wanted:?}", $kind);
    };
}

/// Edges of a dial that turns: ten pulses a second, 60 % break, with chatter of some ms after each edge if `chatters`.
fn turn(from: u64, pulses: u64, chatters: bool) -> Vec<(u64, u32, char)> {
    let mut edges = vec![(from, OFF_NORMAL, '0')];
    let mut edge = |at: u64, level: char| {
        let other = if level == '0' { 'f' } else { '0' };
        edges.push((at, PULSE, level));
        if chatters {
            edges.extend([(at + 2, PULSE, other), (at + 5, PULSE, level)]);
            edges.extend([(at + 7, PULSE, other), (at + 9, PULSE, level)]);
        }
    };
    for n in 0..pulses {
        edge(from + 200 + n * 100, 'f');
        edge(from + 260 + n * 100, '0');
    }
    edges.push((from + 250 + pulses * 100, OFF_NORMAL, 'f'));
    edges
}

#[test]
fn on_every_backend_a_lift_is_told_at_its_first_edge_and_a_hang_up_with_the_time_of_its_first() {
    on_every_kind(|kind| {
        let mut booth = booth(kind, "");
        let told = come_of(
            &mut booth,
            &[
                (0, HOOK, '0'),
                (3, HOOK, 'f'),
                (5, HOOK, '0'),
                (11, HOOK, 'f'),
                (12, HOOK, '0'),
                // A glitch is none.
                (300, HOOK, 'f'),
                (302, HOOK, '0'),
                // A hang-up that bounces.
                (600, HOOK, 'f'),
                (604, HOOK, '0'),
                (605, HOOK, 'f'),
            ],
        );
        assert_told!(kind, told, [("Lifted", 0), ("HungUp", 605)]);
    });
}

#[test]
fn on_every_backend_a_hang_up_and_a_lift_that_were_read_late_are_two_citizens() {
    on_every_kind(|kind| {
        let mut booth = booth(kind, "");
        let told = come_of(
            &mut booth,
            &[(0, HOOK, '0'), (200, HOOK, 'f'), (260, HOOK, '0')],
        );
        assert_told!(
            kind,
            told,
            [("Lifted", 0), ("HungUp", 200), ("Lifted", 260)]
        );
    });
}

#[test]
fn on_every_backend_a_hook_that_chatters_is_one_lift_and_a_fault_that_is_told_once() {
    on_every_kind(|kind| {
        let mut booth = booth(kind, "");
        // Edges 1 ms apart, three times 900: less than the queue holds, more than one read fetches, and more than a switch
        // makes in a minute, wherever a minute ends.
        let chatter: Vec<_> = (0..901)
            .map(|n| (n, HOOK, if n % 2 == 0 { '0' } else { 'f' }))
            .collect();
        booth.edges(&chatter);
        assert!(booth.next().starts_with("Lifted"), "{kind:?}");
        booth.edges(&chatter);
        booth.edges(&chatter);
        booth.edges(&[(400, TAMPER, 'f')]);
        let told = booth.until("CaseOpen(true)");
        let faults = told.iter().filter(|line| line.contains("chatters"));
        assert_eq!(faults.count(), 1, "{kind:?}: {told:?}");
        let lost = told.iter().filter(|line| line.contains("lost"));
        assert_eq!(lost.count(), 0, "{kind:?}: {told:?}");
        let events: Vec<_> = events(&told).into_iter().map(|(event, _)| event).collect();
        assert_eq!(events, ["HungUp"], "{kind:?}: {told:?}");
    });
}

#[test]
fn on_every_backend_digits_of_both_layouts_are_told_and_come_out_right_when_contacts_chatter() {
    on_every_kind(|kind| {
        for (layout, three) in [("one_first", 3), ("zero_first", 2)] {
            let mut booth = booth(kind, &format!("dial_layout = \"{layout}\"\n"));
            let mut edges = vec![(0, HOOK, '0')];
            edges.extend(turn(300, 3, false));
            edges.extend(turn(1_300, 1, true));
            let told = come_of(&mut booth, &edges);
            let keys = [
                ("Lifted".to_owned(), 0),
                (format!("Key(Digit({three}), Dial)"), 0),
                (format!("Key(Digit({}), Dial)", three - 2), 0),
            ];
            let told: Vec<_> = told.into_iter().map(|(event, _)| (event, 0)).collect();
            assert_eq!(told, keys, "{kind:?} {layout}");
        }
    });
}

#[test]
fn on_every_backend_a_key_of_the_matrix_is_told_as_its_row_follows_its_column() {
    on_every_kind(|kind| {
        let mut booth = booth(kind, KEYPAD);
        let rows = [5, 6, 12, 13];
        let columns = [16, 20, 21];
        for (row, column, key) in [
            (0, 0, "Digit(1)"),
            (0, 2, "Digit(3)"),
            (2, 1, "Digit(8)"),
            (3, 0, "Star"),
            (3, 2, "Hash"),
        ] {
            booth.kernel(&format!("keys {}:{}", rows[row], columns[column]));
            let told = booth.next();
            assert!(
                told.starts_with(&format!("Key({key}, Keypad) ")),
                "{kind:?}: {told}"
            );
            booth.kernel("keys");
            // Two keys at once are nobody's choice, and the fence comes next.
            booth.kernel(&format!(
                "keys {}:{} {}:{}",
                rows[0], columns[0], rows[1], columns[1]
            ));
            booth.edges(&[(100, TAMPER, 'f')]);
            assert_eq!(booth.next(), "CaseOpen(true)", "{kind:?}");
            booth.kernel("keys");
            booth.edges(&[(100, TAMPER, '0')]);
            assert_eq!(booth.next(), "CaseOpen(false)", "{kind:?}");
        }
        // All columns are driven low again, so that the next key moves its row.
        for column in columns {
            assert_eq!(
                booth.kernel(&format!("line {column}")).split(' ').nth(1),
                Some("level=0"),
                "{kind:?}"
            );
        }
    });
}

#[test]
fn on_every_backend_button_and_case_are_told_once_they_rest() {
    on_every_kind(|kind| {
        let mut booth = booth(kind, "");
        let told = come_of(
            &mut booth,
            &[
                (0, BUTTON, '0'),
                (2, BUTTON, 'f'),
                (4, BUTTON, '0'),
                (200, BUTTON, 'f'),
            ],
        );
        assert_told!(kind, told, [("Key(Button, Keypad)", 0)]);
    });
}

#[test]
fn on_every_backend_lines_have_the_pull_and_the_polarity_that_were_asked_for() {
    on_every_kind(|kind| {
        let handset = "hook = { line = 17, off_hook = \"high\", pull = \"down\" }\n\
             button = { line = 24, active = \"high\", pull = \"none\" }\ntamper = { line = 25 }\n\
             lamp = { line = 27, on = \"low\" }\n";
        let kernel = Kernel {
            levels: "24:0 25:0",
            ..Kernel::default()
        };
        let mut booth = start(kind, handset, &kernel);
        assert_eq!(booth.next(), "AtStart { off_hook: false }", "{kind:?}");
        booth.until("Controls([])");
        for (line, wanted) in [
            (HOOK, "input level=0 pull=down claimed=1"),
            (BUTTON, "input level=0 pull=none claimed=1"),
            (TAMPER, "input level=0 pull=up claimed=1"),
        ] {
            assert_eq!(
                booth.kernel(&format!("line {line}")),
                wanted,
                "{kind:?} {line}"
            );
        }
        let told = come_of(
            &mut booth,
            &[
                (0, HOOK, '1'),
                (200, BUTTON, '1'),
                (400, HOOK, '0'),
                (400, BUTTON, '0'),
            ],
        );
        assert_told!(
            kind,
            told,
            [("Lifted", 0), ("Key(Button, Keypad)", 200), ("HungUp", 400)]
        );
        // A lamp that is on when its line is low.
        for (how, level) in [("ready", "0"), ("dark", "1"), ("ready", "0")] {
            booth.lamp(how);
            lamp_is(&mut booth, level);
        }
    });
}

/// Waits until the lamp's line has this level.
fn lamp_is(booth: &mut Watched, level: &str) {
    let wanted = format!("output level={level} ");
    let began = std::time::Instant::now();
    while !booth.kernel(&format!("line {LAMP}")).starts_with(&wanted) {
        assert!(
            began.elapsed().as_secs() < 30,
            "the lamp is never {wanted:?}"
        );
        std::thread::yield_now();
    }
}

#[test]
fn on_every_backend_a_line_that_another_driver_holds_is_named_and_the_rest_works() {
    on_every_kind(|kind| {
        let kernel = Kernel {
            levels: AT_REST,
            held: "20 24 27",
            ..Kernel::default()
        };
        let mut booth = start(kind, &format!("{BOOTH}{KEYPAD}"), &kernel);
        let told = booth.until("Controls");
        let controls = told.last().expect("the controls");
        for named in [
            "button: GPIO line 24",
            "lamp: GPIO line 27",
            "keypad.columns: GPIO line 20",
        ] {
            assert!(controls.contains(named), "{kind:?}: {controls}");
        }
        let told = come_of(&mut booth, &[(0, HOOK, '0'), (200, HOOK, 'f')]);
        assert_told!(kind, told, [("Lifted", 0), ("HungUp", 200)]);
    });
}

#[test]
fn on_every_backend_a_hook_line_that_is_held_or_a_chip_that_is_missing_is_said_and_nothing_panics()
{
    on_every_kind(|kind| {
        let held = Kernel {
            held: "17",
            ..Kernel::default()
        };
        let told = start(kind, BOOTH, &held).next();
        assert!(
            told.starts_with("Works(Err(") && told.contains("hook: GPIO line 17"),
            "{kind:?}: {told}"
        );
        let missing = Kernel {
            without: "chip",
            ..Kernel::default()
        };
        let told = start(kind, BOOTH, &missing).next();
        assert!(told.starts_with("Works(Err("), "{kind:?}: {told}");
        if kind != Kind::Cdev {
            let missing = Kernel {
                without: "memory",
                ..Kernel::default()
            };
            let told = start(kind, BOOTH, &missing).next();
            assert!(
                told.starts_with("Works(Err(") && told.contains("/dev/gpiomem"),
                "{kind:?}: {told}"
            );
        }
        // More lines than the chip has.
        let told = start(kind, "hook = { line = 77 }\n", &Kernel::default()).next();
        assert!(
            told.starts_with("Works(Err(") && told.contains("77"),
            "{kind:?}: {told}"
        );
    });
}

#[test]
fn on_every_backend_a_lost_edge_is_counted_and_heals() {
    on_every_kind(|kind| {
        let mut booth = booth(kind, "");
        booth.edges(&[(0, HOOK, '0')]);
        assert!(booth.next().starts_with("Lifted"));
        // The edge of the hang-up is lost; one of the button's comes after it.
        booth.kernel("burst 0:17:f! 100000:24:0 200000:24:f");
        let told = booth.until("HungUp");
        assert!(
            told.iter().all(|line| !line.starts_with("Lifted")),
            "{kind:?}: {told:?}"
        );
        // The next edge of that line shows the gap.
        booth.kernel("burst 0:17:0! 100000:17:f! 200000:17:0");
        let told = booth.until("Lifted");
        assert!(
            told.iter().any(|line| line.contains("edges were lost")),
            "{kind:?}: {told:?}"
        );
    });
}
