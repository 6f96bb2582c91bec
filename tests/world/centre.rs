//! The centre's configuration in the loop, in virtual time: from a message to the card, the visit, the report, and the minute at which
//! a campaign begins.
#![allow(clippy::disallowed_methods)]

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use booth_contract::ConfigReport;
use booth_contract::time::{Mono, Timestamp};
use booth_gateway::adapters::capture::CaptureState;
use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::mqtt::{MqttCommand, MqttEvent};
use booth_gateway::adapters::playback::{PlaybackCommand, PlaybackEvent};
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::adapters::recorder::RecorderCommand;
use booth_gateway::config;
use booth_gateway::run::{
    About, CentreCard, Gateway, Happening, KeeperCommand, KeeperEvent, Machine, Speaker,
};
use booth_spool::real_disk::RealDisk;
use booth_testkit::centre::hex_sha256;
use booth_testkit::idle::{self, Told};
use booth_testkit::prompts::tone;
use booth_testkit::spool_rig::{open, record};
use gateway_core::session::{HandsetEvent, Key, KeySource, PlayId};
use serde_json::{Value, json};

/// The clocks, in a test's hands.
#[derive(Default)]
struct Clocks {
    mono_ms: Cell<u64>,
    /// Wall clock minus boot-time clock, ms.
    ahead_ms: Cell<i64>,
    is_synced: Cell<bool>,
}

impl Clocks {
    fn wall(&self) -> Timestamp {
        let mono = i64::try_from(self.mono_ms.get()).expect("a time");
        Timestamp::from_millisecond(mono + self.ahead_ms.get()).expect("a time")
    }

    fn set(&self, wall: &str) {
        let wall: Timestamp = wall.parse().expect(wall);
        let mono = i64::try_from(self.mono_ms.get()).expect("a time");
        self.ahead_ms.set(wall.as_millisecond() - mono);
    }
}

struct TestMachine(Rc<Clocks>);

impl Machine for TestMachine {
    fn wall(&self) -> Timestamp {
        self.0.wall()
    }

    fn mono(&self) -> Mono {
        Mono(self.0.mono_ms.get())
    }

    fn clock_synced(&self) -> bool {
        self.0.is_synced.get()
    }

    fn new_id(&self) -> String {
        "00000000-0000-4000-8000-000000000000".into()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), booth_sealing::NoRandom> {
        bytes.fill(7);
        Ok(())
    }

    fn about(&self) -> About {
        About::default()
    }

    fn show(&self, _: &str) {}
}

/// A booth at half past nine in the morning of the first of June in Denmark, with a card of its own.
struct Rig {
    gateway: Gateway,
    clocks: Rc<Clocks>,
    card: CentreCard,
    told: Told,
    said: Vec<(String, Vec<u8>)>,
    subscribed: Vec<String>,
    dir: tempfile::TempDir,
}

impl Rig {
    fn new(questions: &str) -> Self {
        let clocks = Rc::new(Clocks::default());
        clocks.mono_ms.set(60_000);
        clocks.set("2026-06-01T07:30:00Z");
        clocks.is_synced.set(true);
        Self::on(tempfile::tempdir().expect("a folder"), clocks, questions)
    }

    fn on(dir: tempfile::TempDir, clocks: Rc<Clocks>, questions: &str) -> Self {
        let (spool, report) = open(&dir.path().join("spool"));
        let text = format!(
            "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://broker:1883\"\n[privacy]\nseal = false\n\
             [session]\nprompts = {:?}\n[spool]\ndir = {:?}\n{questions}",
            dir.path().join("prompts"),
            dir.path().join("spool")
        );
        let config = config::parse(&text, "booth.toml").expect("good");
        let mut card = CentreCard::new(Arc::new(RealDisk::new()), &config);
        let prompts = Arc::new(Prompts::load(&dir.path().join("prompts"), "da", &[]).0);
        let speaker = Speaker {
            boot_id: "boot-1".into(),
            ..Speaker::default()
        };
        let (workers, told) = idle::workers(prompts, Arc::new(Mutex::new(speaker)));
        let machine = Box::new(TestMachine(clocks.clone()));
        let mut gateway = Gateway::new(config, Path::new("none"), machine, workers);
        let read = card.read();
        gateway.begin(Some((spool, report)));
        let mut rig = Self {
            gateway,
            clocks,
            card,
            told,
            said: Vec::new(),
            subscribed: Vec::new(),
            dir,
        };
        for happening in [
            Happening::Keeper(KeeperEvent::Centre(read)),
            Happening::Capture(CaptureState { works: Ok(()) }),
            Happening::Playback(PlaybackEvent::State { works: Ok(()) }),
            Happening::Handset(HandsetReport::Works(Ok(()))),
            Happening::Handset(HandsetReport::AtStart { off_hook: false }),
            Happening::Mqtt(MqttEvent::Connected { max_packet: None }),
        ] {
            rig.happen(happening);
        }
        rig.turn();
        rig
    }

    /// The same card in a gateway that starts again, without a broker.
    fn again(self, questions: &str) -> Self {
        let Self {
            gateway,
            clocks,
            dir,
            told,
            ..
        } = self;
        drop((gateway, told));
        Self::on(dir, clocks, questions)
    }

    fn now(&self) -> Mono {
        Mono(self.clocks.mono_ms.get())
    }

    fn happen(&mut self, happening: Happening) {
        self.gateway.happen(self.now(), happening);
        self.work();
    }

    fn turn(&mut self) {
        self.gateway.turn(self.now());
        self.work();
    }

    /// The keeper works, and the connection takes what waits for it.
    fn work(&mut self) {
        loop {
            let commands: Vec<KeeperCommand> = self.told.keeper.try_iter().collect();
            let told = RefCell::new(Vec::new());
            for command in commands {
                if let KeeperCommand::Centre(command) = command {
                    self.card
                        .work(command, |event| told.borrow_mut().push(event));
                }
            }
            let told = told.into_inner();
            if told.is_empty() {
                break;
            }
            for event in told {
                let happening = Happening::Keeper(KeeperEvent::Centre(event));
                self.gateway.happen(self.now(), happening);
            }
        }
        while let Ok(command) = self.told.mqtt.try_recv() {
            match command {
                MqttCommand::Publish(message) => {
                    let own = "booth/1/up/rundhoej-1/";
                    let tail = message.topic.strip_prefix(own).expect("its own branch");
                    self.said.push((tail.to_owned(), message.payload));
                }
                MqttCommand::Fetch(topics) => self.subscribed = topics.into_iter().collect(),
                MqttCommand::StepBack(_)
                | MqttCommand::ConnectAgain { .. }
                | MqttCommand::Stop(_) => {}
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now() + Duration::from_secs(seconds);
        while self.now() < end {
            let wake = self.gateway.wake_at(self.now());
            let next = wake.max(self.now() + Duration::from_millis(1)).min(end);
            self.clocks.mono_ms.set(next.0);
            self.turn();
        }
    }

    fn hear(&mut self, topic: &str, payload: Vec<u8>) {
        self.happen(Happening::Mqtt(MqttEvent::Incoming {
            topic: format!("booth/1/{topic}"),
            payload,
            correlation: None,
        }));
        self.turn();
    }

    fn handset(&mut self, event: HandsetEvent) {
        let at = self.now();
        let done = None;
        self.happen(Happening::Handset(HandsetReport::Event { at, event, done }));
    }

    /// The age of the oldest message that is not confirmed, seconds.
    fn oldest_unsent(&mut self) -> u64 {
        let (answer, answered) = sync_channel(1);
        self.happen(Happening::Handset(HandsetReport::State { answer }));
        let state: Value = serde_json::from_str(&answered.recv().expect("a state")).expect("JSON");
        state["oldest_unsent_s"].as_u64().expect("an age")
    }

    /// What the earpiece was told to play last.
    fn played(&self) -> Option<PlayId> {
        let commands = self.told.earpiece.try_iter();
        let plays = commands.filter_map(|command| match command {
            PlaybackCommand::Play { id, .. } => Some(id),
            _ => None,
        });
        plays.last()
    }

    fn publish(&mut self, configuration: &Value) {
        self.hear("dn/rundhoej-1/config", configuration.to_string().into());
    }

    fn send(&mut self, sound: &[u8]) {
        let topic = format!("media/{}", hex_sha256(sound));
        if self.subscribed.contains(&format!("booth/1/{topic}")) {
            self.hear(&topic, sound.to_vec());
        }
    }

    fn report(&self) -> ConfigReport {
        let last = self.said.iter().rev().find(|(tail, _)| tail == "config");
        let (_, payload) = last.expect("a report");
        serde_json::from_slice(payload).expect("a report")
    }

    /// The alert about questions as it was said last; `None` where it is cleared.
    fn no_question(&self) -> Option<String> {
        let topic = "alert/no_question";
        let last = self.said.iter().rev().find(|(tail, _)| tail == topic);
        let (_, payload) = last.expect("an alert, raised or cleared");
        let alert: Value = serde_json::from_slice(payload).ok()?;
        alert["text"].as_str().map(str::to_owned)
    }
}

fn configuration(version: u64, sound: &[u8]) -> Value {
    json!({"schema": 1, "version": version, "campaigns": [{"id": "june", "questions": [
        {"id": "benches", "digit": 5, "kind": "speak", "prompt": {"da": hex_sha256(sound)}}]}]})
}

const OWN: &str = "[[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n";

#[test]
fn a_configuration_is_fetched_kept_reported_and_opens_a_booth_that_had_no_question() {
    let sound = tone(400.0, 300);
    let mut rig = Rig::new("");
    assert!(!rig.gateway.is_ready());
    assert_eq!(
        rig.report(),
        ConfigReport {
            ts: rig.report().ts,
            ..ConfigReport::default()
        }
    );
    rig.publish(&configuration(3, &sound));
    assert_eq!(
        rig.subscribed,
        [format!("booth/1/media/{}", hex_sha256(&sound))]
    );
    assert_eq!(
        (
            rig.report().wanted,
            rig.report().applied,
            rig.report().missing.len()
        ),
        (Some(3), None, 1)
    );
    assert!(!rig.gateway.is_ready());
    rig.send(&sound);
    assert_eq!(
        (rig.report().applied, rig.report().missing.len()),
        (Some(3), 0)
    );
    assert_eq!(rig.subscribed, [""; 0]);
    rig.turn();
    assert!(rig.gateway.is_ready(), "{:?}", rig.gateway.faults());
    assert_eq!(rig.no_question(), None);
    let applied = rig
        .said
        .iter()
        .filter(|(tail, _)| tail == "event/config_applied");
    assert_eq!(applied.count(), 1);
    // After a restart it is in force before anybody is connected, and is said at once.
    let rig = rig.again("");
    assert!(rig.gateway.is_ready());
    assert_eq!((rig.report().wanted, rig.report().applied), (None, Some(3)));
}

#[test]
fn a_new_configuration_during_a_visit_takes_no_sound_away_from_it() {
    let (sound, next) = (tone(400.0, 300), tone(500.0, 300));
    let mut rig = Rig::new("");
    rig.publish(&configuration(3, &sound));
    rig.send(&sound);
    rig.handset(HandsetEvent::Lifted);
    rig.publish(&configuration(4, &next));
    rig.send(&next);
    assert_eq!(rig.report().applied, Some(4));
    let media = rig.dir.path().join("spool/centre/media");
    let lies_there = |sound: &[u8]| media.join(hex_sha256(sound)).is_file();
    assert!(lies_there(&sound) && lies_there(&next));
    rig.handset(HandsetEvent::HungUp);
    rig.turn();
    assert!(!lies_there(&sound) && lies_there(&next));
}

#[test]
fn recordings_that_are_too_long_for_the_booths_bitrate_are_refused_with_their_key() {
    let sound = tone(400.0, 300);
    let mut rig = Rig::new("[audio]\nbitrate = 510000\n");
    let mut wanted = configuration(3, &sound);
    wanted["limits"] = json!({"max_seconds": 3600});
    let mut asked = configuration(4, &sound);
    asked["campaigns"][0]["questions"][0]["max_seconds"] = json!(800);
    for (wanted, key) in [
        (&wanted, "limits.max_seconds"),
        (&asked, "campaigns[0].questions[0].max_seconds"),
    ] {
        rig.publish(wanted);
        rig.send(&sound);
        let report = rig.report();
        let said = report.errors[0].to_string();
        assert!(said.contains(key) && said.contains("789 s"), "{said}");
        assert_eq!(report.applied, None);
    }
    rig.publish(&configuration(5, &sound));
    rig.send(&sound);
    assert_eq!(rig.report().applied, Some(5));
}

#[test]
fn the_age_of_an_unsent_message_of_this_boot_follows_no_step_of_the_wall_clock() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, _) = open(&dir.path().join("spool"));
    record(&spool, 2);
    drop(spool);
    let clocks = Rc::new(Clocks::default());
    clocks.mono_ms.set(3_600_000);
    clocks.set("2020-01-01T00:00:00Z");
    let mut rig = Rig::on(dir, clocks.clone(), "");
    let before = rig.oldest_unsent();
    clocks.set("2040-01-01T00:00:00Z");
    let mut rig = rig.again("");
    // Its words ended a little over a minute after the boot.
    let ages = [before, rig.oldest_unsent()];
    assert!(
        ages.iter().all(|age| (3_500..=3_540).contains(age)),
        "{ages:?}"
    );
}

#[test]
fn campaigns_and_hours_begin_and_end_at_their_minute_by_the_booths_own_time() {
    let sound = tone(400.0, 300);
    let mut rig = Rig::new(OWN);
    let mut wanted = configuration(3, &sound);
    wanted["campaigns"][0]["from"] = json!("2026-06-01T09:40");
    wanted["campaigns"][0]["until"] = json!("2026-06-01T09:50");
    rig.publish(&wanted);
    rig.send(&sound);
    assert_eq!(rig.report().applied, Some(3));
    // Half past nine by the clock on the wall in Denmark.
    rig.turn();
    assert!(!rig.gateway.is_ready());
    let why = rig.no_question().expect("raised");
    assert!(
        why.contains("the next campaign begins at 2026-06-01T09:40"),
        "{why}"
    );
    rig.pass(10 * 60 - 3);
    assert!(!rig.gateway.is_ready());
    rig.pass(6);
    assert!(rig.gateway.is_ready());
    rig.pass(10 * 60);
    assert!(!rig.gateway.is_ready());
    let why = rig.no_question().expect("raised");
    assert!(why.contains("all campaigns are over"), "{why}");
    // Hours.
    let mut wanted = configuration(4, &sound);
    wanted["hours"] = json!([["mo-su", "10:00", "11:00"]]);
    rig.publish(&wanted);
    rig.turn();
    let why = rig.no_question().expect("raised");
    assert!(why.contains("today at 10:00"), "{why}");
    rig.pass(10 * 60);
    assert!(rig.gateway.is_ready());
    // Whoever does not know what time it is does not close the booth.
    rig.pass(3_590);
    rig.clocks.is_synced.set(false);
    rig.pass(600);
    assert!(rig.gateway.is_ready());
    rig.clocks.is_synced.set(true);
    rig.pass(10);
    assert!(!rig.gateway.is_ready());
}

#[test]
fn while_the_clock_is_not_synchronised_dates_go_by_the_last_time_that_was_kept() {
    let sound = tone(400.0, 300);
    let mut rig = Rig::new("");
    let mut wanted = configuration(3, &sound);
    wanted["campaigns"][0]["from"] = json!("2026-06-01T08:00");
    wanted["campaigns"][0]["until"] = json!("2026-06-01T12:00");
    rig.publish(&wanted);
    rig.send(&sound);
    rig.pass(60);
    assert!(rig.gateway.is_ready());
    // A clock that nobody believes says that it is long over, and then that it has not begun.
    for wrong in ["2036-01-01T00:00:00Z", "1970-01-01T00:10:00Z"] {
        rig.clocks.is_synced.set(false);
        rig.clocks.set(wrong);
        rig.pass(60);
        assert!(
            rig.gateway.is_ready(),
            "{wrong}: {:?}",
            rig.gateway.faults()
        );
    }
    // The time goes on from the one that was kept.
    rig.pass(3 * 3_600);
    assert!(!rig.gateway.is_ready());
}

#[test]
fn a_bad_configuration_an_empty_one_and_what_nobody_asked_for_change_nothing() {
    let sound = tone(400.0, 300);
    let mut rig = Rig::new(OWN);
    rig.publish(&configuration(3, &sound));
    rig.send(&sound);
    let mut bad = configuration(4, &sound);
    bad["campaigns"][0]["questions"][0]["digit"] = json!(0);
    rig.publish(&bad);
    let report = rig.report();
    assert_eq!((report.wanted, report.applied), (Some(4), Some(3)));
    assert_eq!(report.errors[0].key, "campaigns[0].questions[0].digit");
    let before = rig.said.len();
    rig.hear("dn/rundhoej-1/config", Vec::new());
    rig.hear(&format!("media/{}", "ab".repeat(32)), sound.clone());
    rig.hear("media/../../etc", sound.clone());
    assert!(rig.said[before..].iter().all(|(tail, _)| tail != "config"));
    assert_eq!(rig.report().applied, Some(3));
    let findings = rig.gateway.findings(rig.now());
    let centre: Vec<String> = findings
        .iter()
        .map(|finding| format!("{finding:?}"))
        .collect();
    let has = |part: &str| centre.iter().any(|finding| finding.contains(part));
    assert!(
        has("configuration 3 is in force") && has("configuration 4 is not taken"),
        "{centre:?}"
    );
    assert!(has("1 prompts came that nobody asked for"), "{centre:?}");
    rig.hear("dn/rundhoej-1/config", vec![b'{'; 17_000]);
    assert_eq!((rig.report().wanted, rig.report().applied), (None, Some(3)));
    assert!(rig.report().errors[0].error.contains("at most 16384"));
}

#[test]
fn a_clip_names_the_notice_that_was_played_and_not_the_one_that_came_meanwhile() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("prompts/da");
    std::fs::create_dir_all(&folder).expect("made");
    let (old, new) = (tone(400.0, 300), tone(600.0, 300));
    std::fs::write(folder.join("notice.opus"), &old).expect("written");
    let clocks = Rc::new(Clocks::default());
    clocks.mono_ms.set(60_000);
    clocks.set("2026-06-01T07:30:00Z");
    clocks.is_synced.set(true);
    let pair = minisign::KeyPair::generate_unencrypted_keypair().expect("a pair");
    let toml = format!("{OWN}[control]\nkeys = [{:?}]\n", pair.pk.to_base64());
    let mut rig = Rig::on(dir, clocks, &toml);
    let mut wanted = json!({"schema": 1, "version": 3});
    wanted["prompts"] = json!({"notice": {"da": hex_sha256(&new)}});
    let heard = |rig: &mut Rig, during: &dyn Fn(&mut Rig)| {
        rig.handset(HandsetEvent::Lifted);
        let id = rig.played().expect("the notice");
        during(rig);
        rig.happen(Happening::Playback(PlaybackEvent::Ended { id }));
        rig.handset(HandsetEvent::Key(Key::Digit(1), KeySource::Keypad));
        let armed = rig
            .told
            .recorder
            .try_iter()
            .find_map(|command| match command {
                RecorderCommand::Arm { clip, .. } => Some(clip.consent.notice_id.clone()),
                _ => None,
            });
        rig.handset(HandsetEvent::HungUp);
        rig.pass(60);
        armed.expect("a clip")
    };
    let id_of = |sound: &[u8]| Some(hex_sha256(sound)[..16].to_owned());
    let comes = |rig: &mut Rig| {
        let payload = signed(rig, &pair, &wanted, |_| {});
        rig.hear("dn/rundhoej-1/config", payload);
        rig.send(&new);
        assert_eq!(rig.report().applied, Some(3), "{:?}", rig.report());
    };
    assert_eq!(heard(&mut rig, &comes), id_of(&old));
    assert_eq!(heard(&mut rig, &|_| {}), id_of(&new));
}

/// A signed configuration, issued now and valid for a day.
fn signed(
    rig: &Rig,
    pair: &minisign::KeyPair,
    configuration: &Value,
    change: impl Fn(&mut Value),
) -> Vec<u8> {
    let now = rig.clocks.wall();
    let mut body = configuration.clone();
    body["booth"] = json!("rundhoej-1");
    body["command"] = json!("config");
    body["issued_at"] = json!(now.to_string());
    body["expires_at"] = json!((now + Duration::from_secs(86_400)).to_string());
    body["nonce"] = json!(format!("n{}", now.as_millisecond()));
    change(&mut body);
    let body = body.to_string();
    let made = minisign::sign(
        Some(&pair.pk),
        &pair.sk,
        body.as_bytes(),
        Some("t"),
        Some("u"),
    );
    let signed = booth_contract::Signed {
        body,
        minisig: made.expect("a signature").into_string(),
    };
    signed.to_json()
}

#[test]
fn a_notice_of_the_centre_counts_only_with_the_citys_signature_and_stays_when_that_has_expired() {
    let pair = minisign::KeyPair::generate_unencrypted_keypair().expect("a pair");
    let stranger = minisign::KeyPair::generate_unencrypted_keypair().expect("a pair");
    let toml = format!("[control]\nkeys = [{:?}]\n", pair.pk.to_base64());
    let (sound, notice) = (tone(400.0, 300), tone(600.0, 300));
    let mut rig = Rig::new(&toml);
    let mut wanted = configuration(3, &sound);
    wanted["prompts"] = json!({"notice": {"da": hex_sha256(&notice)}});
    let topic = "dn/rundhoej-1/config";
    let plain = |_: &mut Value| {};
    let refused = |rig: &mut Rig, payload: Vec<u8>, part: &str| {
        rig.hear(topic, payload);
        let report = rig.report();
        assert_eq!((report.applied, report.missing.len()), (None, 0), "{part}");
        let errors: Vec<String> = report.errors.iter().map(ToString::to_string).collect();
        assert!(
            errors.iter().any(|error| error.contains(part)),
            "{part}: {errors:?}"
        );
    };
    refused(&mut rig, wanted.to_string().into(), "signed");
    let payload = signed(&rig, &stranger, &wanted, plain);
    refused(&mut rig, payload, "minisig");
    let payload = signed(&rig, &pair, &wanted, |body| {
        body["booth"] = json!("torvet-2")
    });
    refused(&mut rig, payload, "another booth");
    let payload = signed(&rig, &pair, &wanted, |body| {
        body["command"] = json!("purge")
    });
    refused(&mut rig, payload, "purge");
    let payload = signed(&rig, &pair, &wanted, |body| {
        body["campaigns"][0]["questions"][0]["digit"] = json!(0)
    });
    refused(&mut rig, payload, "digit");
    let payload = signed(&rig, &pair, &wanted, plain);
    let altered = String::from_utf8(payload.clone())
        .expect("a text")
        .replace("june", "july");
    refused(&mut rig, altered.into(), "minisig");
    // While nobody knows what time it is, it waits.
    rig.clocks.is_synced.set(false);
    rig.hear(topic, payload.clone());
    assert!(
        rig.report().errors[0].error.contains("not synchronised"),
        "{:?}",
        rig.report()
    );
    rig.clocks.is_synced.set(true);
    rig.pass(5);
    assert_eq!(
        (rig.report().wanted, rig.report().missing.len()),
        (Some(3), 2),
        "{:?}",
        rig.report()
    );
    rig.send(&sound);
    rig.send(&notice);
    assert_eq!(
        (rig.report().applied, rig.report().errors.len()),
        (Some(3), 0)
    );
    // The broker sends it again for ever; it has expired, and stays in force.
    rig.pass(2 * 86_400);
    rig.hear(topic, payload.clone());
    assert_eq!(
        (rig.report().applied, rig.report().errors.len()),
        (Some(3), 0)
    );
    let mut rig = rig.again(&toml);
    rig.hear(topic, payload);
    assert_eq!(
        (rig.report().applied, rig.report().errors.len()),
        (Some(3), 0),
        "{:?}",
        rig.report()
    );
    // Whoever owns the broker can replace it by one without a notice, and cannot bring the signed one back.
    rig.publish(&configuration(4, &sound));
    assert_eq!(rig.report().applied, Some(4));
    let mut forced = wanted.clone();
    forced["force"] = json!(1);
    let payload = signed(&rig, &pair, &forced, plain);
    rig.hear(topic, payload.clone());
    rig.send(&notice);
    assert_eq!(rig.report().applied, Some(3), "{:?}", rig.report());
    rig.publish(&configuration(5, &sound));
    rig.hear(topic, payload);
    assert_eq!(rig.report().applied, Some(5));
    assert_eq!(rig.report().errors[0].key, "issued_at");
}
