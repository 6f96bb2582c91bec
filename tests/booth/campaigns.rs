//! The centre's configuration at a whole booth: real gateway, real broker, real card.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use booth_contract::{ConfigReport, Manifest};
use booth_testkit::centre::hex_sha256;
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth as Client, Broker};
use booth_testkit::prompts::{coded, tone};
use booth_testkit::pulse::Pulse;
use booth_testkit::speech::decode;
use serde_json::{Value, json};

const CONFIG: &str = "booth/1/dn/rundhoej-1/config";

/// Whoever publishes at the centre, and hears what the booth reports.
struct City {
    client: Client,
    /// Events come in between reports, so whoever waits for one is another listener.
    events: Client,
}

impl City {
    fn new(broker: &Broker) -> Self {
        let listening = |name: &str, tail: &str| {
            let filter = format!("booth/1/up/rundhoej-1/{tail}");
            Client::listening(broker.port, name, &[filter])
        };
        Self {
            client: listening("city", "config"),
            events: listening("city-events", "event/config_applied"),
        }
    }

    fn sound(&self, bytes: &[u8]) -> String {
        let hash = hex_sha256(bytes);
        self.client
            .publish_at(&format!("booth/1/media/{hash}"), true, bytes);
        hash
    }

    fn publish(&self, configuration: &Value) {
        self.client
            .publish_at(CONFIG, true, configuration.to_string());
    }

    /// Waits for a report of this.
    fn hears(&self, is_it: impl Fn(&ConfigReport) -> bool) -> ConfigReport {
        loop {
            let heard = self.client.hear("config");
            let report = serde_json::from_slice(&heard.payload).expect("a report");
            if is_it(&report) {
                return report;
            }
        }
    }

    fn hears_of(&self, version: u64) -> ConfigReport {
        self.hears(|report| report.applied == Some(version))
    }

    fn hears_errors_of(&self, version: u64) -> Vec<String> {
        let report =
            self.hears(|report| report.wanted == Some(version) && !report.errors.is_empty());
        report.errors.iter().map(ToString::to_string).collect()
    }
}

fn configuration(version: u64, prompts: &[String]) -> Value {
    let questions: Vec<Value> = prompts
        .iter()
        .zip(1..)
        .map(|(hash, digit)| json!({"id": format!("q{digit}"), "digit": digit, "kind": "speak", "prompt": {"da": hash}}))
        .collect();
    json!({"schema": 1, "version": version, "campaigns": [{"id": "square", "questions": questions}]})
}

#[test]
fn eight_questions_with_prompts_of_twenty_seconds_are_live_and_still_are_after_a_restart_without_a_network()
 {
    let mut broker = Broker::open();
    let city = City::new(&broker);
    // No [[question]] of its own: the centre supplies them.
    let home = BoothHome::new(broker.port, "");
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    let sounds: Vec<Vec<u8>> = (0..8)
        .map(|n| coded(300.0 + 50.0 * f64::from(n), 20_000, 26_000))
        .collect();
    let bytes: usize = sounds.iter().map(Vec::len).sum();
    assert!(
        sounds.iter().all(|sound| sound.len() > 30_000),
        "{bytes} bytes in all"
    );
    let hashes: Vec<String> = sounds.iter().map(|sound| city.sound(sound)).collect();
    city.publish(&configuration(3, &hashes));
    let report = city.hears_of(3);
    assert_eq!((report.missing.len(), report.errors.len()), (0, 0));
    gateway.reaches("config_version", 3);
    let event = city.events.hear("event/config_applied");
    let event: Value = serde_json::from_slice(&event.payload).expect("JSON");
    assert_eq!(event["version"], 3);
    assert_eq!(home.files("centre/media").len(), 8);
    gateway.kill();
    broker.stop();
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("config_version", 3);
    assert!(gateway.state().is_some_and(|state| state["connected"] == 0));
    gateway.kill();
}

#[test]
fn a_citizen_answers_a_question_of_the_centre_and_the_manifest_says_so() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let city = City::new(&broker);
    let hub = Client::listening(broker.port, "hub", &["booth/1/up/+/clip/+".into()]);
    hub.publish_at("booth/1/hub/state", true, r#"{"state":"online"}"#);
    let home = BoothHome::new(broker.port, "");
    let wav = home.path().join("speech.wav");
    decode(&fixtures().join("speech/da.opus"), &wav).expect("decodes");
    let gateway = Gateway::start(&home, &pulse);
    gateway.reaches("ready", 1);
    let question = city.sound(&tone(500.0, 300));
    let mut wanted = configuration(7, &[]);
    wanted["campaigns"][0]["questions"] =
        json!([{"id": "benches", "digit": 5, "kind": "speak", "prompt": {"da": question}}]);
    city.publish(&wanted);
    city.hears_of(7);
    gateway.handset("lift");
    gateway.reaches("session", "question");
    gateway.handset("dial 5");
    gateway.reaches("session", "recording");
    pulse.speak(&wav);
    gateway.handset("hang-up");
    let heard = hub.try_hear(Duration::from_secs(30)).expect("a manifest");
    let manifest: Manifest = serde_json::from_slice(&heard.payload).expect("a manifest");
    assert_eq!(manifest.campaign_id.as_deref(), Some("square"));
    assert_eq!(manifest.question_id.as_deref(), Some("benches"));
    assert_eq!(manifest.lang.as_deref(), Some("da"));
    assert_eq!(manifest.config_version, Some(7));
    assert!(
        manifest
            .consent
            .is_some_and(|consent| consent.notice_id.is_some())
    );
    assert!(gateway.stop().success());
}

#[test]
fn whatever_the_centre_sends_in_vain_leaves_what_was_in_force() {
    let broker = Broker::open();
    let city = City::new(&broker);
    let home = BoothHome::new(broker.port, "");
    let gateway = Gateway::start_deaf(&home);
    let good = city.sound(&tone(500.0, 300));
    city.publish(&configuration(5, std::slice::from_ref(&good)));
    city.hears_of(5);
    // Ten million bytes as a prompt: the broker keeps them to itself, because the booth has named a limit.
    let huge = vec![7; 10_000_000];
    let huge_hash = hex_sha256(&huge);
    let giver = rumqttc_publisher(&broker);
    giver.publish_at(&format!("booth/1/media/{huge_hash}"), true, huge);
    // A prompt of another content than its topic says, one that is no sound, one that is too large.
    let other = "ab".repeat(32);
    city.client
        .publish_at(&format!("booth/1/media/{other}"), true, tone(600.0, 300));
    let no_sound = city.sound(b"no sound at all");
    let mut padded = tone(500.0, 300);
    padded.resize(110_000, 0);
    let large = city.sound(&padded);
    let mut digits = configuration(14, &[good.clone(), good.clone()]);
    digits["campaigns"][0]["questions"][1]["digit"] = json!(1);
    let mut kind = configuration(15, std::slice::from_ref(&good));
    kind["campaigns"][0]["questions"][0]["kind"] = json!("sing");
    let mut dates = configuration(16, std::slice::from_ref(&good));
    dates["campaigns"][0]["from"] = json!("2026-08-01T00:00");
    dates["campaigns"][0]["until"] = json!("2026-07-01T00:00");
    let mut notice = configuration(17, std::slice::from_ref(&good));
    notice["prompts"] = json!({"notice": {"da": good}});
    for (wanted, part) in [
        (
            configuration(10, &[no_sound]),
            "campaigns[0].questions[0].prompt.da",
        ),
        (configuration(11, &[other]), "another SHA-256"),
        (configuration(12, &[large]), "at most 102400"),
        (digits, "campaigns[0].questions[1].digit"),
        (kind, "campaigns[0].questions[0].kind"),
        (dates, "campaigns[0].until"),
        (notice, "signed"),
        (
            configuration(4, std::slice::from_ref(&good)),
            "older than 5",
        ),
        (json!({"schema": 2, "version": 18}), "schema"),
    ] {
        city.publish(&wanted);
        let version = wanted["version"].as_u64().expect("a version");
        let errors = city.hears_errors_of(version);
        assert!(
            errors.iter().any(|error| error.contains(part)),
            "{version}: {errors:?}"
        );
        gateway.reaches("config_version", 5);
    }
    for text in ["", "null", "[]", "{", "\u{feff}"] {
        city.client.publish_at(CONFIG, true, text);
    }
    city.client.publish_at(CONFIG, true, vec![b' '; 20_000]);
    city.publish(&configuration(19, std::slice::from_ref(&huge_hash)));
    let waits = city.hears(|report| report.wanted == Some(19));
    assert_eq!((waits.applied, waits.missing.len()), (Some(5), 1));
    gateway.reaches("config_version", 5);
    // And a good one is taken all the same.
    city.publish(&configuration(20, &[good]));
    city.hears_of(20);
    assert_eq!(home.files("centre/media").len(), 1);
    gateway.kill();
}

/// A client whose own limit lets it publish what no booth takes.
fn rumqttc_publisher(broker: &Broker) -> Client {
    Client::listening(broker.port, "giver", &[])
}

#[test]
fn prompts_that_are_published_after_the_configuration_or_after_a_lost_connection_still_bring_it_into_force()
 {
    let mut broker = Broker::open();
    let home = BoothHome::new(broker.port, "");
    let gateway = Gateway::start_deaf(&home);
    let sounds: Vec<Vec<u8>> = (0..6)
        .map(|n| tone(300.0 + 50.0 * f64::from(n), 400))
        .collect();
    let hashes: Vec<String> = sounds.iter().map(|sound| hex_sha256(sound)).collect();
    let wanted = configuration(3, &hashes);
    {
        let city = City::new(&broker);
        city.publish(&wanted);
        city.hears(|report| report.wanted == Some(3) && report.missing.len() == 6);
        city.sound(&sounds[0]);
        city.hears(|report| report.missing.len() == 5);
    }
    broker.stop();
    gateway.reaches("connected", 0);
    broker.start_again();
    gateway.reaches("connected", 1);
    // The broker has forgotten everything; the booth has kept the one that came.
    let city = City::new(&broker);
    city.publish(&wanted);
    city.hears(|report| report.missing.len() == 5);
    for sound in &sounds[1..] {
        city.sound(sound);
    }
    city.hears_of(3);
    gateway.kill();
}
