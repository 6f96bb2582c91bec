//! Traces of contacts, recorded by `booth-gateway run --record-trace`, written by hand or made here: what must come of each
//! stands in it. `MAKE_TRACES=1 cargo test --test world` writes those that are made again.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};

use booth_testkit::contacts::{Contacts, Dial};
use gateway_core::trace::Trace;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces")
}

/// A trace with what it is and what must come of it.
struct Made {
    name: String,
    about: String,
    layout: &'static str,
    has_off_normal: bool,
    wanted: Vec<String>,
    contacts: Contacts,
}

impl Made {
    fn new(name: impl Into<String>, about: impl Into<String>, contacts: Contacts) -> Self {
        Self {
            name: name.into(),
            about: about.into(),
            layout: "one_first",
            has_off_normal: true,
            wanted: Vec::new(),
            contacts,
        }
    }

    fn wants(mut self, wanted: &[&str]) -> Self {
        self.wanted
            .extend(wanted.iter().map(|event| (*event).to_owned()));
        self
    }

    fn lift(mut self) -> Self {
        self.contacts.hook(true);
        self.wants(&["Lifted"])
    }

    fn hang_up(mut self) -> Self {
        self.contacts.hook(false);
        self.wants(&["HungUp"])
    }

    /// Dials every digit, by its pulses.
    fn dial(mut self, dial: Dial) -> Self {
        for pulses in 1..=10 {
            self.contacts.turn(dial, pulses);
            let digit = match self.layout {
                "zero_first" => pulses - 1,
                _ => pulses % 10,
            };
            self.wanted.push(format!("Key(Digit({digit}), Dial)"));
        }
        self
    }

    fn then(mut self, what: impl FnOnce(&mut Contacts)) -> Self {
        what(&mut self.contacts);
        self
    }

    fn text(&self) -> String {
        let wanted: String = self
            .wanted
            .iter()
            .map(|event| format!("> {event}\n"))
            .collect();
        format!(
            "booth-gateway trace 1 hook_debounce_ms=20 dial={} off_normal={}\n# Made by tests/world/traces.rs: {}\n{wanted}{}",
            self.layout,
            u8::from(self.has_off_normal),
            self.about,
            self.contacts.lines()
        )
    }
}

/// The set that is kept beside this test.
fn set() -> Vec<Made> {
    let usual = Dial::default();
    let clean = || Contacts::new(0, 1);
    let mut set = vec![
        Made::new("clean", "contacts that do not bounce; every digit", clean())
            .lift()
            .dial(usual)
            .hang_up(),
        Made::new(
            "zero-first",
            "a dial whose first hole is 0, bouncing 10 ms; every digit",
            Contacts::new(10, 2),
        ),
        Made::new(
            "no-off-normal",
            "a dial without an off-normal contact, bouncing 10 ms; every digit",
            Contacts::new(10, 3),
        ),
    ];
    let zero_first = set.remove(1);
    set.push(
        Made {
            layout: "zero_first",
            ..zero_first
        }
        .lift()
        .dial(usual)
        .hang_up(),
    );
    let no_off_normal = set.remove(1);
    set.push(
        Made {
            has_off_normal: false,
            ..no_off_normal
        }
        .lift()
        .dial(Dial {
            off_normal_ms: None,
            ..usual
        })
        .hang_up(),
    );
    for bounce_ms in [5, 10, 20, 40] {
        set.push(
            Made::new(
                format!("bounce-{bounce_ms}-ms"),
                format!("hook and dial bounce up to {bounce_ms} ms; every digit"),
                Contacts::new(bounce_ms, 10 + bounce_ms),
            )
            .lift()
            .dial(usual)
            .hang_up(),
        );
    }
    for (name, pulses_per_s, break_share) in [
        ("slow-dial-short-breaks", 8.0, 0.5),
        ("slow-dial-long-breaks", 8.0, 0.8),
        ("fast-dial-short-breaks", 12.0, 0.5),
        ("fast-dial-long-breaks", 12.0, 0.8),
    ] {
        let dial = Dial {
            pulses_per_s,
            break_share,
            ..usual
        };
        let about = format!(
            "{pulses_per_s} pulses a second, {:.0} % break, bouncing 10 ms; every digit",
            break_share * 100.0
        );
        set.push(
            Made::new(name, about, Contacts::new(10, 30))
                .lift()
                .dial(dial)
                .hang_up(),
        );
    }
    set.push(
        Made::new(
            "worn-dial",
            "a worn dial: each pulse up to 15 % longer or shorter, contacts bounce 15 ms, and the off-normal contact comes \
             back 150 ms late; every digit",
            Contacts::new(15, 40),
        )
        .lift()
        .dial(Dial {
            uneven: 0.15,
            break_share: 0.65,
            off_normal_ms: Some(150),
            ..usual
        })
        .hang_up(),
    );
    set.push(
        Made::new(
            "flicks",
            "a hook that is knocked for 1 to 19 ms while somebody speaks; nobody hung up before the end",
            Contacts::new(8, 50),
        )
        .lift()
        .then(|contacts| [1, 2, 5, 10, 15, 19].map(|ms| contacts.flick(ms)).into_iter().collect())
        .hang_up(),
    );
    set.push(
        Made::new(
            "quick-citizens",
            "two who hang up and lift again within 60 ms: three citizens",
            clean(),
        )
        .lift()
        .then(|contacts| contacts.flick(60))
        .wants(&["HungUp", "Lifted"])
        .then(|contacts| contacts.flick(25))
        .wants(&["HungUp", "Lifted"])
        .hang_up(),
    );
    set.push(
        Made::new(
            "hang-up-in-the-tone",
            "dials 2 and hangs up 300 ms after it, while the tone sounds",
            Contacts::new(6, 60),
        )
        .lift()
        .then(|contacts| contacts.turn(usual, 2))
        .wants(&["Key(Digit(2), Dial)"])
        .then(|contacts| contacts.rest(50))
        .hang_up(),
    );
    set.push(
        Made::new(
            "dial-stuck",
            "a dial that stands in mid-turn for ten minutes: told once, no digit; free again, the next digit counts",
            clean(),
        )
        .lift()
        .then(|contacts| {
            contacts.moves(contacts.at, 100, "dial_off_normal", true);
            contacts.moves(contacts.at + 500, 100, "dial_pulse", true);
            // Somebody shakes it every minute.
            for minute in 1..10 {
                let at = contacts.at + minute * 60_000;
                contacts.moves(at, 100, "dial_pulse", false);
                contacts.moves(at + 300, 100, "dial_pulse", true);
            }
            contacts.rest(600_000);
            contacts.moves(contacts.at, 100, "dial_pulse", false);
            contacts.rest(100);
            contacts.moves(contacts.at, 100, "dial_off_normal", false);
            contacts.rest(1_000);
        })
        .wants(&[
            "Stuck { dial: true, key: false, hook: false, service: false }",
            "Stuck { dial: false, key: false, hook: false, service: false }",
        ])
        .then(|contacts| contacts.turn(usual, 4))
        .wants(&["Key(Digit(4), Dial)"])
        .hang_up(),
    );
    set.push(chatter("hook-chatters", 30_000));
    set.push(
        Made::new(
            "service-button",
            "a technician opens the case and lifts while the service button is held",
            Contacts::new(8, 70),
        )
        .then(|contacts| {
            contacts.moves(contacts.at, 100, "tamper", true);
            contacts.rest(1_000);
            contacts.moves(contacts.at, 100, "service_button", true);
            contacts.rest(500);
        })
        .wants(&["Tamper(true)"])
        .lift()
        .wants(&["Service"])
        .then(|contacts| {
            contacts.moves(contacts.at, 100, "service_button", false);
            contacts.rest(500);
        })
        .hang_up()
        .then(|contacts| contacts.moves(contacts.at, 100, "tamper", false))
        .wants(&["Tamper(false)"]),
    );
    set
}

/// A hook that chatters for so long: fast, so that no level of it lasts, and believed again once it has rested.
fn chatter(name: &str, ms: u64) -> Made {
    Made::new(
        name,
        format!(
            "a hook that chatters every 11 ms for {} s: one lift, told as a fault once; at rest again, the next citizen counts",
            ms / 1_000
        ),
        Contacts::new(0, 80),
    )
    .then(|contacts| {
        for n in 0..ms / 22 {
            let at = contacts.at + n * 22;
            contacts.moves(at, 100, "hook", true);
            contacts.moves(at + 11, 100, "hook", false);
        }
        contacts.rest(ms + 30_000);
    })
    .wants(&[
        "Lifted",
        "Stuck { dial: false, key: false, hook: true, service: false }",
        "HungUp",
        "Stuck { dial: false, key: false, hook: false, service: false }",
    ])
    .lift()
    .hang_up()
}

fn comes_to_what_it_says(name: &str, text: &str) {
    let trace = Trace::parse(text).unwrap_or_else(|why| panic!("{name}: {why}"));
    assert!(!trace.wanted.is_empty(), "{name}");
    for is_prompt in [true, false] {
        assert_eq!(
            trace.told(is_prompt),
            trace.wanted,
            "{name}, prompt: {is_prompt}"
        );
    }
}

#[test]
fn every_trace_comes_to_what_it_says() {
    let mut replayed = 0;
    for file in std::fs::read_dir(folder()).expect("traces") {
        let path = file.expect("a trace").path();
        let text = std::fs::read_to_string(&path).expect("text");
        comes_to_what_it_says(&path.display().to_string(), &text);
        replayed += 1;
    }
    assert!(replayed >= set().len() + 2);
}

#[test]
fn the_traces_that_are_kept_are_those_that_are_made() {
    for made in set() {
        let path = folder().join(format!("{}.trace", made.name));
        if std::env::var_os("MAKE_TRACES").is_some() {
            std::fs::write(&path, made.text()).expect("written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made.text(),
            "{}: MAKE_TRACES=1 makes it again",
            made.name
        );
    }
}

#[test]
fn a_hook_that_chatters_for_an_hour_is_one_fault() {
    comes_to_what_it_says("an hour", &chatter("an hour", 60 * 60_000).text());
}
