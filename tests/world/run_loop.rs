//! The gateway's loop in a test's hands: what it tells its workers, one happening at a time.
#![allow(clippy::disallowed_methods)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use booth_contract::AlertId;
use booth_contract::time::Mono;
use booth_gateway::adapters::capture::CaptureState;
use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::mqtt::{MqttCommand, MqttEvent};
use booth_gateway::adapters::playback::PlaybackEvent;
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::config::{self, Config};
use booth_gateway::run::{Gateway, Happening, KeeperEvent, Machine, ThisMachine, Workers};
use booth_testkit::idle::{self, Told};
use booth_testkit::spool_rig::*;
use gateway_core::session::{HandsetEvent, Key};
use gateway_core::stuck::{KeyFault, StuckKeys};

const BOOTH: &str = "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://broker:1883\"\n\
    [privacy]\nseal = false\n[[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\n";

/// Workers that nobody works for, with prompts from `dir`; the other ends of what they are told have to be kept.
fn workers(dir: &Path) -> (Workers, Told) {
    let prompts = Arc::new(Prompts::load(dir, "da", &[]).0);
    idle::workers(prompts, Arc::default())
}

#[test]
fn a_clip_finished_late_stays_home_while_a_citizen_is_at_the_booth() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, report) = open(dir.path());
    let config: Config = config::parse(BOOTH, "booth.toml").unwrap();
    let (workers, mut told) = workers(dir.path());
    let mut gateway = Gateway::new(config, Path::new("none"), Box::new(ThisMachine), workers);
    gateway.begin(Some((spool.clone(), report)));
    let now = ThisMachine.mono();
    let lift = |event| HandsetReport::Event {
        at: now,
        event,
        done: None,
    };
    let hub = MqttEvent::Incoming {
        topic: "booth/1/hub/state".into(),
        payload: b"{\"state\":\"online\",\"ts\":null}".to_vec(),
        correlation: None,
    };
    for happening in [
        Happening::Capture(CaptureState { works: Ok(()) }),
        Happening::Playback(PlaybackEvent::State { works: Ok(()) }),
        Happening::Handset(HandsetReport::Works(Ok(()))),
        Happening::Handset(HandsetReport::AtStart { off_hook: false }),
        Happening::Mqtt(MqttEvent::Connected { max_packet: None }),
        Happening::Mqtt(hub),
        Happening::Handset(lift(HandsetEvent::Lifted)),
    ] {
        gateway.happen(now, happening);
    }
    // As after a failed write: the spool hands the clip out late.
    let clip = record(&spool, 2);
    let topic = format!("booth/1/up/rundhoej-1/clip/{}", clip.clip_id);
    let mut leaves = |gateway: &mut Gateway, at: Mono| {
        gateway.turn(at);
        idle::reads(&told, gateway, at);
        std::iter::from_fn(|| told.mqtt.try_recv().ok()).any(
            |command| matches!(command, MqttCommand::Publish(message) if message.topic == topic),
        )
    };
    gateway.happen(
        now,
        Happening::Keeper(KeeperEvent::Mended(vec![clip], Vec::new())),
    );
    assert!(!leaves(&mut gateway, now));
    gateway.happen(now, Happening::Handset(lift(HandsetEvent::HungUp)));
    assert!(leaves(&mut gateway, now));
}

#[test]
fn a_clip_that_was_spoken_at_another_booth_leaves_under_that_booths_name() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path());
    let clip = record(&spool, 2);
    drop(spool);
    // The card is another booth's now.
    let (spool, report) = open(dir.path());
    let text = BOOTH.replace("rundhoej-1", "torvet-2");
    let config: Config = config::parse(&text, "booth.toml").unwrap();
    let (workers, mut told) = workers(dir.path());
    let mut gateway = Gateway::new(config, Path::new("none"), Box::new(ThisMachine), workers);
    gateway.begin(Some((spool, report)));
    let now = ThisMachine.mono();
    gateway.happen(
        now,
        Happening::Mqtt(MqttEvent::Connected { max_packet: None }),
    );
    gateway.happen(
        now,
        Happening::Mqtt(MqttEvent::Incoming {
            topic: "booth/1/hub/state".into(),
            payload: b"{\"state\":\"online\",\"ts\":null}".to_vec(),
            correlation: None,
        }),
    );
    gateway.turn(now);
    idle::reads(&told, &mut gateway, now);
    let topic = format!("booth/1/up/torvet-2/clip/{}", clip.clip_id);
    let manifest =
        std::iter::from_fn(|| told.mqtt.try_recv().ok()).find_map(|command| match command {
            MqttCommand::Publish(message) if message.topic == topic => Some(message.payload),
            _ => None,
        });
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.expect("offered")).unwrap();
    assert_eq!(manifest["booth_id"], "rundhoej-1");
}

/// A booth on the loop, and what it publishes.
struct Rig {
    gateway: Gateway,
    now: Mono,
    told: Told,
    /// What the connection has taken.
    taken: Vec<MqttCommand>,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (spool, report) = open(dir.path());
        let config: Config = config::parse(BOOTH, "booth.toml").unwrap();
        let (workers, told) = workers(dir.path());
        let mut gateway = Gateway::new(config, Path::new("none"), Box::new(ThisMachine), workers);
        gateway.begin(Some((spool, report)));
        Self {
            gateway,
            now: ThisMachine.mono(),
            told,
            taken: Vec::new(),
            _dir: dir,
        }
    }

    fn happen(&mut self, event: MqttEvent) {
        self.gateway.happen(self.now, Happening::Mqtt(event));
        self.takes();
    }

    fn turn(&mut self) {
        self.gateway.turn(self.now);
        idle::reads(&self.told, &mut self.gateway, self.now);
        self.takes();
    }

    /// The connection takes what waits for it.
    fn takes(&mut self) {
        let waiting = std::iter::from_fn(|| self.told.mqtt.try_recv().ok());
        self.taken.extend(waiting);
    }

    fn connected(&mut self) {
        self.happen(MqttEvent::Connected { max_packet: None });
    }

    fn disconnected(&mut self) {
        self.happen(MqttEvent::Disconnected {
            why: "the broker ended the connection".into(),
            state: booth_contract::BrokerState::NotReached,
            loss: gateway_core::rival::Loss::Other,
        });
    }

    fn heard(&mut self, tail: &str, payload: &str) {
        self.happen(MqttEvent::Incoming {
            topic: format!("booth/1/{tail}"),
            payload: payload.as_bytes().to_vec(),
            correlation: None,
        });
        self.turn();
    }

    fn hub(&mut self, payload: &str) {
        self.heard("hub/state", payload);
    }

    /// Turns whenever the loop wants to, until so many seconds have passed.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now = self
                .gateway
                .wake_at(self.now)
                .max(self.now + Duration::from_millis(1))
                .min(end);
            self.turn();
        }
    }

    /// The topics below the booth's own branch that were published since this was asked last, with their payloads.
    fn said(&mut self) -> Vec<(String, Vec<u8>)> {
        let own = "booth/1/up/rundhoej-1/";
        std::mem::take(&mut self.taken)
            .into_iter()
            .filter_map(|command| match command {
                MqttCommand::Publish(message) => {
                    let tail = message.topic.strip_prefix(own)?.to_owned();
                    Some((tail, message.payload))
                }
                _ => None,
            })
            .collect()
    }

    /// How often it introduced itself since this was asked last: each time whole.
    fn introductions(&mut self) -> usize {
        let said = self.said();
        let times = |topic: &str| said.iter().filter(|(tail, _)| tail == topic).count();
        let introduced = times("state");
        for topic in ["birth", "health"] {
            assert!(times(topic) >= introduced, "{topic}: {said:?}");
        }
        for id in AlertId::ALL {
            let topic = format!("alert/{}", id.as_str());
            assert!(times(&topic) >= introduced, "{topic}");
        }
        introduced
    }
}

#[test]
fn a_booth_introduces_itself_once_when_the_hub_has_come_and_not_at_its_repetitions() {
    let online = r#"{"state":"online","jitter_s":40}"#;
    let mut rig = Rig::new();
    rig.connected();
    assert_eq!(rig.introductions(), 1, "on the connection itself");
    // For the first time in this connection.
    rig.hub(online);
    rig.pass(40);
    assert_eq!(rig.introductions(), 1, "within the hub's jitter");
    for _ in 0..60 {
        rig.pass(60);
        rig.hub(online);
    }
    assert_eq!(rig.introductions(), 0, "a repetition is no arrival");
    // It was away.
    rig.hub(r#"{"state":"lost"}"#);
    rig.pass(700);
    assert_eq!(rig.introductions(), 0);
    rig.hub(online);
    rig.pass(40);
    assert_eq!(rig.introductions(), 1);
    // It comes and goes before the booth's turn has come, and the connection is lost meanwhile.
    rig.hub(r#"{"state":"lost"}"#);
    rig.hub(r#"{"state":"online","jitter_s":600}"#);
    rig.hub(r#"{"state":"lost"}"#);
    rig.pass(700);
    assert_eq!(rig.introductions(), 0, "there is nobody to hear it");
    rig.hub(r#"{"state":"online","jitter_s":600}"#);
    rig.disconnected();
    rig.pass(700);
    assert_eq!(rig.introductions(), 0);
    rig.connected();
    rig.hub(online);
    rig.pass(40);
    assert_eq!(rig.introductions(), 2, "on the connection, and for the hub");
}

#[test]
fn a_jitter_that_the_hub_does_not_say_is_ten_seconds_and_the_longest_ten_minutes() {
    for (said, at_most) in [
        ("", 10),
        (r#","jitter_s":null"#, 10),
        (r#","jitter_s":"long""#, 10),
        (r#","jitter_s":-5"#, 10),
        (r#","jitter_s":0"#, 0),
        (r#","jitter_s":4000000000"#, 600),
    ] {
        let mut rig = Rig::new();
        rig.connected();
        rig.introductions();
        rig.hub(&format!(r#"{{"state":"online"{said}}}"#));
        rig.pass(at_most);
        assert_eq!(rig.introductions(), 1, "{said}");
    }
}

#[test]
fn what_the_hub_says_and_nobody_can_read_changes_nothing_and_is_an_alert_until_it_can() {
    let mut rig = Rig::new();
    rig.connected();
    let raised = |rig: &Rig| rig.gateway.faults().contains_key(&AlertId::HubUnreadable);
    let is_online = |rig: &Rig| rig.gateway.delivery().is_hub_online();
    for unreadable in ["", "{", "{}", r#"{"state":5}"#, r#"{"state":"perhaps"}"#] {
        let is_gone = unreadable.is_empty();
        rig.hub(r#"{"state":"online","ts":1796000000}"#);
        assert!(
            is_online(&rig) && !raised(&rig),
            "a time that is a number hides no hub"
        );
        rig.hub(unreadable);
        // An empty payload clears what was retained: nobody is there.
        assert_eq!(is_online(&rig), !is_gone, "{unreadable}");
        assert_eq!(raised(&rig), !is_gone, "{unreadable}");
        rig.hub(r#"{"state":"lost"}"#);
        assert!(!is_online(&rig) && !raised(&rig));
        rig.hub(unreadable);
        assert!(!is_online(&rig), "{unreadable}");
    }
    rig.said();
    rig.pass(2);
    let findings = rig.gateway.findings(rig.now);
    let told = findings
        .iter()
        .find(|finding| finding.subject == "hub_unreadable");
    assert!(
        told.is_some_and(|finding| finding.sentence.contains("perhaps")),
        "{findings:?}"
    );
}

#[test]
fn answers_and_messages_that_cannot_be_read_are_counted_for_the_doctor() {
    let mut rig = Rig::new();
    rig.connected();
    for _ in 0..3 {
        rig.heard("dn/rundhoej-1/ack/c", r#"{"clip_id":"c","status":7}"#);
    }
    rig.heard("dn/rundhoej-1/nobody", "{}");
    rig.heard(
        "dn/rundhoej-1/ack/c",
        r#"{"clip_id":"c","status":"stored","sha256":"00","missing":null}"#,
    );
    let findings = rig.gateway.findings(rig.now);
    let about = |subject: &str| {
        let found = findings.iter().find(|finding| finding.subject == subject);
        found
            .map(|finding| finding.sentence.clone())
            .unwrap_or_default()
    };
    let acks = about("unreadable ack");
    assert!(
        acks.starts_with("3 answers of the hub to clips could not be read"),
        "{findings:?}"
    );
    assert!(
        about("unreadable other").starts_with("1 message from the centre could not"),
        "{findings:?}"
    );
    assert_eq!(about("unreadable state"), "");
}

#[test]
fn a_wet_key_is_an_alert_that_names_it_and_the_booth_stays_ready_until_it_is_dry() {
    let mut rig = Rig::new();
    rig.connected();
    rig.pass(2);
    rig.said();
    let keys = |rig: &mut Rig, keys: StuckKeys| {
        let report = HandsetReport::Keys(keys);
        rig.gateway.happen(rig.now, Happening::Handset(report));
        rig.turn();
        let said = rig.said();
        let alert = said.into_iter().find(|(tail, _)| tail == "alert/key_stuck");
        String::from_utf8(alert.expect("told").1).expect("text")
    };
    let before = rig.gateway.faults().clone();
    let wet = StuckKeys::default().with(Key::Digit(5), Some(KeyFault::Repeats));
    let raised = keys(&mut rig, wet);
    assert!(raised.contains("key 5 repeats by itself"), "{raised}");
    assert!(raised.contains("needs_visit"), "{raised}");
    let findings = rig.gateway.findings(rig.now);
    let found = findings
        .iter()
        .find(|finding| finding.subject == "key_stuck")
        .expect("a finding of the doctor");
    assert_eq!(found.area, "contacts");
    assert_eq!(found.remedy.as_deref(), Some(AlertId::KeyStuck.remedy()));
    assert_eq!(keys(&mut rig, StuckKeys::default()), "");
    assert_eq!(*rig.gateway.faults(), before);
}
