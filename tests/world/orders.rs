//! Signed commands to the booth's own loop and keeper, on a disk in memory whose power goes at every step; signed with minisign.
#![allow(clippy::disallowed_methods)]

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use booth_contract::time::{Mono, Timestamp};
use booth_contract::{ClipKind, Signed};
use booth_gateway::adapters::capture::CaptureState;
use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::mqtt::{MqttCommand, MqttEvent};
use booth_gateway::adapters::playback::PlaybackEvent;
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::adapters::restart::RestartError;
use booth_gateway::config::{self, Config};
use booth_gateway::run::{About, Gateway, Happening, Keeper, Machine, Speaker};
use booth_sealing::{Identity, KernelRandom};
use booth_spool::{KeptClip, OpenFacts, Spool};
use booth_testkit::idle::{self, Told};
use booth_testkit::model_disk::ModelDisk;
use booth_testkit::spool_rig::{facts, record};
use gateway_core::quarantine::Note;
use gateway_core::session::HandsetEvent;
use minisign::KeyPair;
use serde_json::{Value, json};

const ROOT: &str = "/spool";
/// The wall clock at the boot-time clock's zero.
const EPOCH_MS: i64 = 1_796_122_800_000;

struct Facts {
    now: Cell<u64>,
    clock_synced: Cell<bool>,
    restarts: Cell<u32>,
}

struct Virtual(Rc<Facts>);

impl Machine for Virtual {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millisecond(EPOCH_MS + self.0.now.get() as i64).expect("a time")
    }

    fn mono(&self) -> Mono {
        Mono(self.0.now.get())
    }

    fn clock_synced(&self) -> bool {
        self.0.clock_synced.get()
    }

    fn new_id(&self) -> String {
        uuid::Uuid::new_v4().to_string()
    }

    fn random(&self, bytes: &mut [u8]) -> Result<(), booth_sealing::NoRandom> {
        bytes.fill(7);
        Ok(())
    }

    fn about(&self) -> About {
        About::default()
    }

    fn may_restart(&self) -> Result<(), RestartError> {
        Ok(())
    }

    fn restart(&self) -> Result<(), RestartError> {
        self.0.restarts.set(self.0.restarts.get() + 1);
        Ok(())
    }

    fn show(&self, _: &str) {}
}

/// The city: it signs, and has keys to seal to.
struct City {
    control: KeyPair,
    first: Identity,
    second: Identity,
}

impl City {
    fn new() -> Self {
        let identity = || Identity::generate(&mut KernelRandom).expect("an identity");
        Self {
            control: KeyPair::generate_unencrypted_keypair().expect("a pair"),
            first: identity(),
            second: identity(),
        }
    }

    fn config(&self) -> Config {
        let text = format!(
            "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://broker:1883\"\n\
             [privacy]\nrecipients = [\"{}\"]\nkey_until = \"2026-12-24\"\n[control]\nkeys = [\"{}\"]\n\
             [[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\n",
            self.first.recipient(),
            self.control.pk.to_base64()
        );
        let config: Config = config::parse(&text, "booth.toml").expect("a configuration");
        config.check("booth.toml").expect("good");
        config
    }

    fn sign(&self, command: &str, nonce: &str, own: Value) -> Vec<u8> {
        let mut body = json!({
            "booth": ["torvet-2", "rundhoej-1"],
            "command": command,
            "issued_at": Timestamp::from_millisecond(EPOCH_MS).expect("a time").to_string(),
            "expires_at": Timestamp::from_millisecond(EPOCH_MS + 3_600_000).expect("a time").to_string(),
            "nonce": nonce,
        });
        let own = own.as_object().expect("keys").clone();
        body.as_object_mut().expect("keys").extend(own);
        let body = body.to_string();
        let signature = minisign::sign(None, &self.control.sk, body.as_bytes(), None, None);
        let minisig = signature.expect("signed").into_string();
        Signed { body, minisig }.to_json()
    }

    fn recipients(&self, version: u64, nonce: &str) -> Vec<u8> {
        let own = json!({
            "version": version,
            "recipients": [self.second.recipient().to_string()],
            "key_until": "2027-03-31",
        });
        self.sign("recipients", nonce, own)
    }
}

fn open(disk: &ModelDisk, boot: &str) -> (Spool, booth_spool::OpenReport) {
    let facts = OpenFacts {
        ledger: false,
        ..facts(boot)
    };
    Spool::open(Arc::new(disk.clone()), Path::new(ROOT), facts).expect("the spool opens")
}

/// A connected booth on this disk.
struct Booth {
    machine: Rc<Facts>,
    disk: ModelDisk,
    gateway: Gateway,
    keeper: Keeper,
    told: Told,
    replies: Vec<(String, Value)>,
    key_ids: Vec<String>,
    health: Value,
}

impl Booth {
    fn start(city: &City, disk: &ModelDisk, boot: &str, clock_synced: bool) -> Self {
        let machine = Rc::new(Facts {
            now: Cell::new(60_000),
            clock_synced: Cell::new(clock_synced),
            restarts: Cell::new(0),
        });
        let (spool, report) = open(disk, boot);
        let prompts = Arc::new(Prompts::load(Path::new("no-such-folder"), "da", &[]).0);
        let speaker = Speaker {
            boot_id: boot.into(),
            ..Speaker::default()
        };
        let (workers, told) = idle::workers(prompts, Arc::new(Mutex::new(speaker)));
        let virtual_machine = Box::new(Virtual(machine.clone()));
        let mut gateway = Gateway::new(city.config(), Path::new("none"), virtual_machine, workers);
        gateway.begin(Some((spool.clone(), report)));
        let mut booth = Self {
            machine,
            disk: disk.clone(),
            gateway,
            keeper: Keeper::new(Some(spool)),
            told,
            replies: Vec::new(),
            key_ids: Vec::new(),
            health: Value::Null,
        };
        for happening in [
            Happening::Capture(CaptureState { works: Ok(()) }),
            Happening::Playback(PlaybackEvent::State { works: Ok(()) }),
            Happening::Handset(HandsetReport::Works(Ok(()))),
            Happening::Handset(HandsetReport::AtStart { off_hook: false }),
            Happening::Mqtt(MqttEvent::Connected { max_packet: None }),
        ] {
            booth.happens(happening);
        }
        booth.settle();
        booth
    }

    fn happens(&mut self, happening: Happening) {
        let now = Mono(self.machine.now.get());
        self.gateway.happen(now, happening);
        self.gateway.turn(now);
    }

    fn handset(&mut self, event: HandsetEvent) {
        let at = Mono(self.machine.now.get());
        let report = HandsetReport::Event {
            at,
            event,
            done: None,
        };
        self.happens(Happening::Handset(report));
    }

    fn asks(&mut self, command: &str, payload: &[u8]) {
        self.happens(Happening::Mqtt(MqttEvent::Incoming {
            topic: format!("booth/1/dn/rundhoej-1/cmd/{command}"),
            payload: payload.to_vec(),
            correlation: Some(command.as_bytes().to_vec()),
        }));
        self.settle();
    }

    fn passes(&mut self, ms: u64) {
        self.machine.now.set(self.machine.now.get() + ms);
        self.gateway.turn(Mono(self.machine.now.get()));
        self.settle();
    }

    /// Everything that keeper, reader and connection have to do.
    fn settle(&mut self) {
        loop {
            let now = Mono(self.machine.now.get());
            if idle::reads(&self.told, &mut self.gateway, now) {
                continue;
            }
            let commands: Vec<_> = self.told.keeper.try_iter().collect();
            if !commands.is_empty() {
                let told = RefCell::new(Vec::new());
                self.keeper.work(now, commands.into_iter(), |event| {
                    told.borrow_mut().push(event);
                });
                for event in told.into_inner() {
                    self.happens(Happening::Keeper(event));
                }
                continue;
            }
            let Ok(MqttCommand::Publish(message)) = self.told.mqtt.try_recv() else {
                return;
            };
            let payload: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            let tail = message.topic.strip_prefix("booth/1/up/rundhoej-1/");
            match tail.expect("its own branch") {
                "birth" => {
                    let ids = payload["recipient_key_ids"].as_array().expect("a list");
                    let text = |id: &Value| id.as_str().expect("text").to_owned();
                    self.key_ids = ids.iter().map(text).collect();
                }
                "health" => self.health = payload,
                tail => {
                    if let Some(command) = tail.strip_prefix("reply/") {
                        self.replies.push((command.to_owned(), payload));
                    }
                }
            }
        }
    }

    fn answers(&mut self) -> Vec<Value> {
        let replies = std::mem::take(&mut self.replies);
        replies.into_iter().map(|(_, payload)| payload).collect()
    }

    fn seals_to(&self, identity: &Identity) -> bool {
        self.key_ids == [identity.recipient().id()]
    }
}

/// A card with a clip in quarantine.
fn card() -> (ModelDisk, KeptClip) {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk, "boot-0");
    let clip = record(&spool, 2);
    let note = Note::refused("the hub does not take it", None);
    spool.quarantine(&clip.clip_id, &note).expect("moved");
    drop(spool);
    (disk, clip)
}

fn said(answer: &Value) -> String {
    answer["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn recipients_are_replaced_by_a_signature_alone_and_birth_and_health_follow() {
    let (city, (disk, _)) = (City::new(), card());
    let mut booth = Booth::start(&city, &disk, "boot-1", true);
    assert!(booth.seals_to(&city.first));
    assert_eq!(booth.health["key_days_left"], 24.0 - 1.0);
    let new = city.recipients(1, "n-1");
    // Somebody who owns the broker changes what he sees.
    let text = String::from_utf8(new.clone()).expect("text");
    for forged in [
        text.replace("rundhoej-1", "rundhoej-2"),
        text.replace("\\\"version\\\":1", "\\\"version\\\":2"),
        text.replace("n-1", "n-2"),
        text.replace(
            &city.second.recipient().to_string(),
            &city.first.recipient().to_string(),
        ),
        json!({ "version": 1, "recipients": [city.second.recipient().to_string()] }).to_string(),
    ] {
        assert_ne!(forged, text);
        booth.asks("recipients", forged.as_bytes());
        let answers = booth.answers();
        assert!(answers.len() == 1 && answers[0]["ok"] == 0 && !said(&answers[0]).is_empty());
        assert!(booth.seals_to(&city.first));
    }
    booth.asks("recipients", &new);
    assert_eq!(booth.answers(), [json!({ "ok": 1, "version": 1 })]);
    assert!(booth.seals_to(&city.second));
    booth.passes(60_000);
    assert_eq!(booth.health["key_days_left"], 120.0);
    // After a restart they are there before anything is said to anybody, and nothing is taken twice.
    let disk = booth.disk.snapshot();
    let mut booth = Booth::start(&city, &disk, "boot-2", true);
    assert!(booth.seals_to(&city.second));
    booth.asks("recipients", &new);
    assert!(said(&booth.answers()[0]).contains("nonce"));
    // A private key is refused, loudly and without being repeated.
    let private = city.second.to_text().to_string();
    let own = json!({ "version": 2, "recipients": [private] });
    booth.asks("recipients", &city.sign("recipients", "n-3", own));
    let answer = said(&booth.answers()[0]);
    assert!(
        answer.contains("PRIVATE") && !answer.contains(&private[20..40]),
        "{answer}"
    );
    assert!(booth.seals_to(&city.second));
    let memory = disk
        .content(Path::new("/spool/orders.json"))
        .expect("a file");
    assert!(!String::from_utf8_lossy(&memory).contains(&private[20..40]));
}

#[test]
fn whenever_the_power_goes_a_signed_command_acts_once_or_can_be_sent_again() {
    let (city, (disk, clip)) = (City::new(), card());
    let purge = city.sign("purge", "n-1", json!({ "clip_id": clip.clip_id }));
    let new = city.recipients(1, "n-2");
    let (mut again, mut done) = (0, 0);
    for step in 0.. {
        let here = disk.snapshot();
        let mut booth = Booth::start(&city, &here, "boot-1", true);
        here.cut_power_after(step);
        booth.asks("purge", &purge);
        booth.asks("recipients", &new);
        let answers = booth.answers();
        let is_over = !here.is_off();
        for seed in 0..4 {
            let left = here.power_cut(seed);
            let what = format!("step {step}, seed {seed}: {answers:?}");
            let mut booth = Booth::start(&city, &left, "boot-2", true);
            booth.passes(10_000);
            booth.replies.clear();
            // Sent again, each is either done now, or was taken before and is done already.
            booth.asks("purge", &purge);
            booth.asks("recipients", &new);
            for answer in booth.answers() {
                match answer["ok"] == 1 {
                    true => again += 1,
                    false => {
                        assert!(
                            said(&answer).contains("nonce") || said(&answer).contains("quarantine"),
                            "{what} {answer}"
                        );
                        done += 1;
                    }
                }
            }
            assert!(booth.seals_to(&city.second), "{what}");
            drop(booth);
            let (spool, _) = open(&left, "boot-3");
            let manifest = spool.manifest(&clip.clip_id).expect(&what);
            let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
            assert_eq!(manifest["kind"], json!(ClipKind::Void), "{what}");
            assert_eq!((spool.clips().len(), spool.quarantined()), (1, 0), "{what}");
        }
        // What was answered with ok was on the card.
        if answers.iter().any(|answer| answer["ok"] == 1) {
            assert!(done > 0);
        }
        if is_over {
            break;
        }
    }
    assert!(again > 0 && done > 0, "{again} again, {done} done");
}

#[test]
fn a_command_that_waits_for_the_clock_outlives_a_power_cut_and_the_restart_waits_for_the_citizen() {
    let (city, (disk, _)) = (City::new(), card());
    let mut booth = Booth::start(&city, &disk, "boot-1", false);
    let reboot = city.sign("reboot", "n-1", json!({}));
    booth.asks("reboot", &reboot);
    assert_eq!(booth.answers(), [json!({ "ok": 0, "waiting": "clock" })]);
    let left = disk.power_cut(1);
    let mut booth = Booth::start(&city, &left, "boot-2", false);
    booth.passes(10_000);
    assert!(booth.answers().is_empty());
    booth.handset(HandsetEvent::Lifted);
    booth.machine.clock_synced.set(true);
    booth.passes(5_000);
    assert_eq!(
        (booth.answers().len(), booth.machine.restarts.get()),
        (0, 0)
    );
    booth.handset(HandsetEvent::HungUp);
    booth.passes(5_000);
    assert_eq!(booth.answers(), [json!({ "ok": 1, "restarting": 1 })]);
    assert_eq!(booth.machine.restarts.get(), 1);
    let left = left.snapshot();
    let mut booth = Booth::start(&city, &left, "boot-3", true);
    booth.passes(10_000);
    assert_eq!(
        booth.machine.restarts.get(),
        0,
        "it does not restart for ever"
    );
    booth.asks("reboot", &reboot);
    assert!(said(&booth.answers()[0]).contains("nonce"));
}

#[test]
fn a_booth_without_control_keys_obeys_nobody() {
    let (city, (disk, _)) = (City::new(), card());
    let mut config = city.config();
    config.control.keys.clear();
    let prompts = Arc::new(Prompts::load(Path::new("no-such-folder"), "da", &[]).0);
    let (workers, told) = idle::workers(prompts, Arc::default());
    let machine = Rc::new(Facts {
        now: Cell::new(60_000),
        clock_synced: Cell::new(true),
        restarts: Cell::new(0),
    });
    let (spool, report) = open(&disk, "boot-1");
    let mut gateway = Gateway::new(
        config,
        Path::new("none"),
        Box::new(Virtual(machine.clone())),
        workers,
    );
    gateway.begin(Some((spool, report)));
    let mut booth = Booth {
        machine,
        disk,
        gateway,
        keeper: Keeper::new(None),
        told,
        replies: Vec::new(),
        key_ids: Vec::new(),
        health: Value::Null,
    };
    booth.happens(Happening::Mqtt(MqttEvent::Connected { max_packet: None }));
    booth.settle();
    for command in ["reboot", "purge", "recipients"] {
        booth.asks(command, &city.sign(command, "n-1", json!({})));
        let answer = said(&booth.answers()[0]);
        assert!(answer.contains("[control] keys of booth.toml"), "{answer}");
    }
}
