//! A booth's whole life with brokers that nobody here wrote (`make brokers` fetches them): a visit, an outage, a booth and a
//! broker without power, another hub, a rival for the booth's name, rules that refuse, small packets. A broker that is not
//! there, or cannot be asked for something, is named by a line `!! … NOT RUN: …`.
#![allow(clippy::disallowed_methods)]

use std::io::Write;

use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth, Home, Hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::speech::decode;
use booth_testkit::spool_rig as rig;
use booth_testkit::wait::until;
use booth_testkit::zoo::{Kind, Rules, Running, password};

const BOOTH: &str = "rundhoej-1";
const HUB: &str = "hub";
/// Half seconds of a clip that is laid on the card: more than two parts of the usual size.
const FRAMES: usize = 24;

/// A city with one booth and this broker; `None`, and a line, where it cannot be had.
fn city(kind: Kind, rules: Rules, what: &str) -> Option<City> {
    let why = match kind.can(rules) {
        false => Some("it cannot be told so".to_owned()),
        true => kind.why_not(),
    };
    if let Some(why) = why {
        // Past the test's own capture, which nobody sees of a test that passes.
        let line = format!("!! {}, {what}: NOT RUN: {why}\n", kind.name());
        std::io::stderr().write_all(line.as_bytes()).expect("told");
        return None;
    }
    let broker = Running::start(kind, rules, &[BOOTH, HUB]);
    let booth = BoothHome::with_mqtt(
        &format!(
            "url = \"mqtt://127.0.0.1:{}\"\npassword_file = \"password\"",
            broker.port
        ),
        "",
    );
    std::fs::write(booth.path().join("password"), password(BOOTH)).expect("a file");
    let hub_home = hub_home(broker.port);
    Some(City {
        broker,
        booth,
        hub_home,
        clips: Vec::new(),
    })
}

fn hub_home(port: u16) -> Home {
    let login = format!("username = \"{HUB}\"\npassword_file = \"password\"\n");
    let home = Home::new(port, &login);
    std::fs::write(home.path().join("password"), password(HUB)).expect("a file");
    home
}

struct City {
    broker: Running,
    booth: BoothHome,
    hub_home: Home,
    /// Clips that were laid on the card.
    clips: Vec<String>,
}

impl City {
    /// Lays a clip on the card of the booth, whose gateway does not run.
    fn lay_clip(&mut self) -> String {
        let (spool, _) = rig::open(&self.booth.spool());
        let clip = rig::record(&spool, FRAMES).clip_id;
        self.clips.push(clip.to_string());
        clip.to_string()
    }

    /// Everything that was said is at the hub, and the card is empty.
    fn all_arrives(&self, gateway: &Gateway) {
        gateway.reaches("spool_clips", 0);
        for clip in &self.clips {
            assert!(
                self.hub_home.clip_file(clip).exists(),
                "{clip} is at the hub"
            );
        }
        until("the card is clean", || {
            self.booth.files("clips").is_empty().then_some(())
        });
    }
}

fn has_fault(gateway: &Gateway, alert: &str) -> bool {
    gateway.state().is_some_and(|state| {
        let faults = state["faults"].as_array();
        faults.is_some_and(|faults| faults.iter().any(|fault| fault == alert))
    })
}

fn gets_fault(gateway: &Gateway, alert: &str) {
    until(alert, || has_fault(gateway, alert).then_some(()));
}

/// Somebody lifts, answers, and hangs up; the clip arrives.
fn visit(gateway: &Gateway, pulse: &Pulse, booth: &BoothHome) {
    let speech = booth.path().join("speech.wav");
    decode(&fixtures().join("speech/da.opus"), &speech).expect("decoded");
    gateway.reaches("ready", 1);
    gateway.records();
    pulse.speak(&speech);
    gateway.handset("hang-up");
    gateway.says(" kept ");
    gateway.says(" confirmed ");
}

fn lives_a_whole_life(kind: Kind) {
    let Some(mut city) = city(kind, Rules::City, "a whole life") else {
        return;
    };
    let hub = Hub::start(&city.hub_home);
    let pulse = Pulse::start();

    // A visit.
    let gateway = Gateway::start(&city.booth, &pulse);
    gateway.reaches("hub_online", 1);
    visit(&gateway, &pulse, &city.booth);
    city.all_arrives(&gateway);

    // The power goes at the booth; when it returns there is no broker, and a clip on the card.
    gateway.kill();
    drop(pulse);
    city.lay_clip();
    city.broker.kill();
    let gateway = Gateway::start_deaf(&city.booth);
    gateway.reaches("spool_clips", 1);
    city.broker.start_again();
    city.all_arrives(&gateway);

    // The broker dies while booth and hub are connected, and comes back.
    gateway.clear_log();
    city.broker.kill();
    gateway.reaches("hub_online", 0);
    city.broker.start_again();
    gateway.reaches("hub_online", 1);
    gateway.kill();
    city.lay_clip();
    let gateway = Gateway::start_deaf(&city.booth);
    city.all_arrives(&gateway);

    // The hub dies, a clip waits, and the hub comes back.
    hub.kill();
    gateway.reaches("hub_online", 0);
    gateway.kill();
    city.lay_clip();
    let gateway = Gateway::start_deaf(&city.booth);
    gateway.says("connected to the broker");
    gateway.reaches("spool_clips", 1);
    let hub = Hub::start(&city.hub_home);
    city.all_arrives(&gateway);

    // Somebody else comes with the booth's name.
    let login = password(BOOTH);
    let dn = [format!("booth/1/dn/{BOOTH}/#")];
    gateway.clear_log();
    let rival = Booth::logged_in(city.broker.port, BOOTH, Some(&login), &dn);
    if kind.tells_of_take_overs() {
        gets_fault(&gateway, "duplicate_identity");
    } else {
        gateway.says("broker");
    }
    drop(rival);

    // The power goes once more; the booth begins anew, and its last clip arrives.
    gateway.kill();
    city.lay_clip();
    let gateway = Gateway::start_deaf(&city.booth);
    city.all_arrives(&gateway);
    assert!(
        !has_fault(&gateway, "duplicate_identity"),
        "the rival is gone"
    );

    assert!(gateway.stop().success());
    assert_eq!(hub.stop().code(), Some(0));
}

fn a_refused_part_is_told_and_the_clip_arrives_when_the_rules_allow_it(kind: Kind) {
    let Some(mut city) = city(kind, Rules::NoParts, "rules that refuse parts") else {
        return;
    };
    let hub = Hub::start(&city.hub_home);
    city.lay_clip();
    let gateway = Gateway::start_deaf(&city.booth);
    if kind.answers_what_it_refuses() {
        gets_fault(&gateway, "clip_refused_by_broker");
    } else {
        let (_, line) = gateway.says("which it did not answer");
        assert!(line.contains("/part/"), "it is told after what: {line}");
    }
    gateway.reaches("spool_clips", 1);
    assert!(
        !has_fault(&gateway, "duplicate_identity"),
        "{}",
        gateway.log()
    );
    city.broker.kill();
    city.broker.start_again_with(Rules::City);
    city.all_arrives(&gateway);
    until("the alert is over", || {
        (!has_fault(&gateway, "clip_refused_by_broker")).then_some(())
    });
    assert!(gateway.stop().success());
    hub.kill();
}

fn a_clip_goes_in_parts_that_the_broker_takes(kind: Kind, rules: Rules, what: &str) {
    let Some(mut city) = city(kind, rules, what) else {
        return;
    };
    let hub = Hub::start(&city.hub_home);
    city.lay_clip();
    let gateway = Gateway::start_deaf(&city.booth);
    city.all_arrives(&gateway);
    assert!(
        !has_fault(&gateway, "duplicate_identity"),
        "{}",
        gateway.log()
    );
    assert!(gateway.stop().success());
    hub.kill();
}

/// The same tests for each broker.
macro_rules! zoo {
    ($($module:ident: $kind:expr,)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn lives_a_whole_life_without_losing_a_word() {
                lives_a_whole_life($kind);
            }

            #[test]
            fn that_refuses_parts_is_told_and_the_clip_arrives_when_it_allows_them() {
                a_refused_part_is_told_and_the_clip_arrives_when_the_rules_allow_it($kind);
            }

            #[test]
            fn that_announces_small_packets_gets_small_parts() {
                let rules = Rules::Packets(5_000);
                a_clip_goes_in_parts_that_the_broker_takes($kind, rules, "small packets");
            }

            #[test]
            fn that_refuses_large_messages_without_announcing_it_gets_small_parts() {
                let rules = Rules::Messages(10_000);
                a_clip_goes_in_parts_that_the_broker_takes($kind, rules, "small messages");
            }
        }
    )*};
}

zoo! {
    mosquitto_of_debian_12: Kind::Mosquitto12,
    mosquitto_of_debian_13: Kind::Mosquitto13,
    rabbitmq_of_debian_13: Kind::RabbitMq,
    paho_interoperability: Kind::Paho,
}
