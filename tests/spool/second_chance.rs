//! The booth's own loop and keeper in virtual time, against a card, a broker and a hub that refuse: how often they turn, ask
//! the card and speak in an hour, and that every clip leaves in the end.
#![allow(clippy::disallowed_methods)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{channel, sync_channel};

use booth_contract::time::Mono;
use booth_contract::{AlertId, EndedBy, Manifest, Topic, Topics, Withdrawal, hex};
use booth_gateway::adapters::capture::CaptureState;
use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::mqtt::{MqttCommand, MqttEvent, Outbound};
use booth_gateway::adapters::playback::{PlaybackCommand, PlaybackEvent};
use booth_gateway::adapters::prompts::Prompts;
use booth_gateway::adapters::recorder::RecorderCommand;
use booth_gateway::config::{self, Config};
use booth_gateway::run::{
    About, Gateway, Happening, Keeper, KeeperEvent, LOOK, Machine, Reader, Speaker,
};
use booth_spool::{KeptClip, OpenFacts, Spool};
use booth_testkit::idle::{self, Told};
use booth_testkit::model_disk::{EIO, EROFS, Fault, Left, ModelDisk, Verb};
use booth_testkit::spool_rig::{facts, long_speech, new_clip};
use booth_testkit::wait::until;
use gateway_core::delivery::Puback;
use gateway_core::liveness::Liveness;
use gateway_core::quarantine::{Cause, Note};
use gateway_core::session::{HandsetEvent, Key, KeySource};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const ROOT: &str = "/spool";
const BOOTH: &str = "[booth]\nid = \"rundhoej-1\"\n[mqtt]\nurl = \"mqtt://broker:1883\"\n\
    [privacy]\nseal = false\n[[question]]\nid = \"q\"\ndigit = 1\nkind = \"speak\"\n";

thread_local! {
    static LINES: Cell<u64> = const { Cell::new(0) };
}

/// Counts the lines of each test's thread.
struct Counting;

impl log::Log for Counting {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() <= log::Level::Info {
            LINES.with(|lines| lines.set(lines.get() + 1));
        }
    }

    fn flush(&self) {}
}

struct Virtual(Rc<Cell<u64>>);

impl Machine for Virtual {
    fn wall(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(1_767_225_600_000 + self.0.get() as i64).unwrap()
    }

    fn mono(&self) -> Mono {
        Mono(self.0.get())
    }

    fn clock_synced(&self) -> bool {
        true
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

    fn show(&self, _: &str) {}
}

/// A hub that takes clips up to a size, and a broker that takes messages up to another.
struct Centre {
    topics: Topics,
    version: &'static str,
    max_clip_bytes: u64,
    /// Larger messages are answered *packet too large*.
    max_message: usize,
    /// What the broker says to everything of a clip, if that is not *success*.
    answer: Option<Puback>,
    manifests: BTreeMap<String, Manifest>,
    bodies: BTreeMap<String, BTreeMap<u64, Vec<u8>>>,
    stored: BTreeMap<String, Vec<u8>>,
    rejections: u64,
    replies: Vec<(Value, Option<Vec<u8>>)>,
    /// Withdrawals that came, and whether the hub says so.
    withdrawn: Vec<Withdrawal>,
    says_withdrawn: bool,
}

impl Centre {
    fn new() -> Self {
        Self {
            topics: Topics::new("booth/1"),
            version: "1.0",
            max_clip_bytes: 1 << 20,
            max_message: 1 << 20,
            answer: None,
            manifests: BTreeMap::new(),
            bodies: BTreeMap::new(),
            stored: BTreeMap::new(),
            rejections: 0,
            replies: Vec::new(),
            withdrawn: Vec::new(),
            says_withdrawn: true,
        }
    }

    fn state(&self) -> (String, Vec<u8>) {
        let state = json!({
            "state": "online", "version": self.version, "max_clip_bytes": self.max_clip_bytes, "schemas": [1]
        });
        ("booth/1/hub/state".into(), state.to_string().into_bytes())
    }

    /// The broker's answer, and what the hub says.
    fn take(&mut self, message: &Outbound) -> (Puback, Option<(String, Vec<u8>)>) {
        let topic = self
            .topics
            .parse(&message.topic)
            .expect("a topic of the contract");
        let clip_id = match topic {
            Topic::Clip(_, ref clip_id) | Topic::Part(_, ref clip_id, _) => clip_id.clone(),
            Topic::Reply(_, command) => {
                assert_eq!(command, "resend");
                let reply = serde_json::from_slice(&message.payload).expect("JSON");
                self.replies.push((reply, message.correlation.clone()));
                return (Puback::Success, None);
            }
            Topic::Withdraw(_, id) => {
                let came: Withdrawal = serde_json::from_slice(&message.payload).expect("JSON");
                assert_eq!(came.id, id);
                let sha256 = hex(&Sha256::digest(came.sealed.as_bytes()));
                self.withdrawn.push(came);
                let ack = json!({ "clip_id": id, "status": "stored", "sha256": sha256 });
                let topic = format!("booth/1/dn/rundhoej-1/ack/{id}");
                let says = (topic, ack.to_string().into_bytes());
                return (Puback::Success, self.says_withdrawn.then_some(says));
            }
            _ => return (Puback::Success, None),
        };
        if message.payload.len() > self.max_message {
            return (Puback::TooLarge, None);
        }
        if let Some(answer) = self.answer {
            return (answer, None);
        }
        let mut is_repeated = false;
        match topic {
            Topic::Part(_, _, offset) => {
                let parts = self.bodies.entry(clip_id.to_string()).or_default();
                parts.insert(offset, message.payload.clone());
            }
            _ => {
                let manifest: Manifest = serde_json::from_slice(&message.payload).unwrap();
                is_repeated = self
                    .manifests
                    .insert(clip_id.to_string(), manifest)
                    .is_some();
            }
        }
        let Some(manifest) = self.manifests.get(clip_id.as_str()) else {
            return (Puback::Success, None);
        };
        let mut ack = json!({ "clip_id": clip_id, "sha256": manifest.sha256 });
        let mut body = Vec::new();
        for (offset, part) in self.bodies.get(clip_id.as_str()).into_iter().flatten() {
            if *offset as usize == body.len() {
                body.extend_from_slice(part);
            }
        }
        if manifest.bytes > self.max_clip_bytes {
            self.rejections += 1;
            self.manifests.remove(clip_id.as_str());
            ack["status"] = "reject".into();
            ack["reason"] = "more than this hub takes".into();
        } else if body.len() as u64 == manifest.bytes {
            self.stored.insert(clip_id.to_string(), body);
            ack["status"] = "stored".into();
        } else if is_repeated {
            ack["status"] = "partial".into();
            ack["missing"] = json!([[0, manifest.bytes]]);
        } else {
            return (Puback::Success, None);
        }
        let topic = format!("booth/1/dn/rundhoej-1/ack/{clip_id}");
        (Puback::Success, Some((topic, ack.to_string().into_bytes())))
    }
}

/// A connected booth on a disk in memory.
struct Booth {
    now: Rc<Cell<u64>>,
    disk: ModelDisk,
    gateway: Gateway,
    keeper: Keeper,
    told: Told,
    centre: Centre,
    look_due: u64,
    turns: u64,
}

fn open(disk: &ModelDisk) -> (Spool, booth_spool::OpenReport) {
    let facts = OpenFacts {
        ledger: false,
        ..facts("boot-1")
    };
    Spool::open(Arc::new(disk.clone()), Path::new(ROOT), facts).expect("the spool opens")
}

/// Puts clips of that many half seconds on the card.
fn card(clips: &[usize], clock_synced: bool) -> (ModelDisk, Vec<KeptClip>) {
    let disk = ModelDisk::new();
    let (spool, _) = open(&disk);
    let made = clips.iter().map(|frames| {
        let mut clip = new_clip();
        clip.armed.clock_synced = clock_synced;
        let mut writer = spool.begin(clip).unwrap();
        let (last, rest) = long_speech()[..*frames].split_last().unwrap();
        for frame in rest {
            writer.append(&frame.pages, frame.facts).unwrap();
        }
        writer
            .finish(&last.pages, last.facts, EndedBy::HangUp)
            .unwrap()
    });
    let made = made.collect();
    drop(spool);
    (disk, made)
}

impl Booth {
    /// Connected; its hub has not said yet that it is there.
    fn start(disk: &ModelDisk, centre: Centre, at: u64) -> Self {
        static LOGGER: Counting = Counting;
        if log::set_logger(&LOGGER).is_ok() {
            log::set_max_level(log::LevelFilter::Info);
        }
        let now = Rc::new(Cell::new(at));
        let (spool, report) = open(disk);
        let config: Config = config::parse(BOOTH, "booth.toml").unwrap();
        let prompts = Arc::new(Prompts::load(Path::new("no-such-folder"), "da", &[]).0);
        let speaker = Speaker {
            boot_id: "boot-1".into(),
            ..Speaker::default()
        };
        let (workers, told) = idle::workers(prompts, Arc::new(std::sync::Mutex::new(speaker)));
        let machine = Box::new(Virtual(now.clone()));
        let mut gateway = Gateway::new(config, Path::new("none"), machine, workers);
        gateway.begin(Some((spool.clone(), report)));
        let mut booth = Self {
            now,
            disk: disk.clone(),
            gateway,
            keeper: Keeper::new(Some(spool)),
            told,
            centre,
            look_due: at,
            turns: 0,
        };
        booth.happens(Happening::Mqtt(MqttEvent::Connected { max_packet: None }));
        booth.settle();
        booth
    }

    /// With its hub there.
    fn online(disk: &ModelDisk, centre: Centre, at: u64) -> Self {
        let mut booth = Self::start(disk, centre, at);
        booth.hub_says();
        booth
    }

    fn mono(&self) -> Mono {
        Mono(self.now.get())
    }

    fn happens(&mut self, happening: Happening) {
        let now = self.mono();
        self.gateway.happen(now, happening);
        self.turn();
    }

    fn turn(&mut self) {
        self.turns += 1;
        self.gateway.turn(self.mono());
    }

    fn hears(&mut self, topic: String, payload: Vec<u8>, correlation: Option<Vec<u8>>) {
        self.happens(Happening::Mqtt(MqttEvent::Incoming {
            topic,
            payload,
            correlation,
        }));
    }

    fn hub_says(&mut self) {
        let (topic, payload) = self.centre.state();
        self.hears(topic, payload, None);
        self.settle();
    }

    /// Everything that the workers, the broker and the hub have to do at this moment.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            let now = self.mono();
            if idle::reads(&self.told, &mut self.gateway, now) {
                self.turn();
                continue;
            }
            let commands: Vec<_> = self.told.keeper.try_iter().collect();
            if !commands.is_empty() {
                let told = RefCell::new(Vec::new());
                let now = self.mono();
                self.keeper.work(now, commands.into_iter(), |event| {
                    told.borrow_mut().push(event)
                });
                for event in told.into_inner() {
                    self.happens(Happening::Keeper(event));
                }
                continue;
            }
            let Ok(MqttCommand::Publish(message)) = self.told.mqtt.try_recv() else {
                return;
            };
            let (answer, says) = self.centre.take(&message);
            self.happens(Happening::Mqtt(MqttEvent::Answered {
                token: message.token,
                answer,
                why: format!("{answer:?}"),
            }));
            if let Some((topic, payload)) = says {
                self.hears(topic, payload, None);
            }
        }
        panic!("it never comes to rest");
    }

    /// Lives for this long.
    fn live(&mut self, ms: u64) {
        let end = self.now.get() + ms;
        let mut at_one_moment = 0;
        loop {
            self.settle();
            let next = self.gateway.wake_at(self.mono()).0.min(self.look_due);
            if next >= end {
                return self.now.set(end);
            }
            at_one_moment = match next > self.now.get() {
                true => 0,
                false => at_one_moment + 1,
            };
            assert!(at_one_moment < 4, "the loop spins");
            self.now.set(next.max(self.now.get()));
            if self.look_due <= self.now.get() {
                let told = RefCell::new(Vec::new());
                self.keeper
                    .look(self.mono(), |event| told.borrow_mut().push(event));
                for event in told.into_inner() {
                    self.happens(Happening::Keeper(event));
                }
                self.look_due = self.now.get() + LOOK.as_millis() as u64;
            }
            self.turn();
        }
    }

    /// `cmd/resend`, and its answer.
    fn resend(&mut self, payload: &Value) -> Value {
        let before = self.centre.replies.len();
        let correlation = Some(payload.to_string().into_bytes());
        self.hears(
            "booth/1/dn/rundhoej-1/cmd/resend".into(),
            payload.to_string().into_bytes(),
            correlation.clone(),
        );
        self.settle();
        let replies = &self.centre.replies[before..];
        assert_eq!(replies.len(), 1, "one answer");
        assert_eq!(replies[0].1, correlation);
        replies[0].0.clone()
    }

    fn has(&self, id: AlertId) -> bool {
        self.gateway.faults().contains_key(&id)
    }

    fn text(&self, id: AlertId) -> &str {
        self.gateway.faults().get(&id).map_or("", String::as_str)
    }

    fn clips_on_card(&self, folder: &str) -> usize {
        let folder = Path::new(ROOT).join(folder);
        let files = self.disk.files();
        files
            .iter()
            .filter(|path| path.starts_with(&folder))
            .count()
    }
}

/// Turns, operations of the card and lines of the log in an hour.
fn an_hour(booth: &mut Booth) -> (u64, u64, u64) {
    let before = (booth.turns, booth.disk.operations(), LINES.with(Cell::get));
    booth.live(HOUR);
    (
        booth.turns - before.0,
        booth.disk.operations() - before.1,
        LINES.with(Cell::get) - before.2,
    )
}

/// How often a booth turns in an hour in which nothing is wrong and nothing is to be sent, and some turns more: what fails is tried
/// again a few times, never without a pause.
fn most_turns() -> u64 {
    let (disk, _) = card(&[], false);
    let mut booth = Booth::start(&disk, Centre::new(), HOUR);
    booth.hub_says();
    an_hour(&mut booth).0 + 300
}

#[test]
fn an_hour_of_a_read_only_card_is_a_few_tries_and_lines_and_then_every_clip_leaves() {
    let (disk, clips) = card(&[2; 30], false);
    let mut booth = Booth::start(&disk, Centre::new(), HOUR);
    disk.set_faults(|operation| {
        operation.verb.is_change().then_some(Fault {
            errno: EROFS,
            left: Left::Nothing,
        })
    });
    booth.hub_says();
    let (turns, operations, lines) = an_hour(&mut booth);
    println!("{turns} turns, {operations} operations, {lines} lines");
    assert!(booth.centre.stored.is_empty());
    assert!(turns < most_turns(), "{turns} turns");
    assert!(operations < 200, "{operations} operations of the card");
    assert!(lines < 60, "{lines} lines");
    assert!(
        booth.text(AlertId::DiskErrors).contains("read-only"),
        "it is told"
    );
    disk.heal();
    booth.live(30 * MINUTE);
    assert_eq!(booth.centre.stored.len(), clips.len());
    assert_eq!(
        (
            booth.clips_on_card("clips"),
            booth.clips_on_card("quarantine")
        ),
        (0, 0)
    );
    assert!(!booth.text(AlertId::DiskErrors).contains("clip"));
}

#[test]
fn a_rotten_closing_record_of_an_unsynced_clip_goes_to_quarantine_and_the_rest_leaves() {
    let (disk, clips) = card(&[2, 2, 2], false);
    let mut booth = Booth::start(&disk, Centre::new(), HOUR);
    let path = Path::new(ROOT).join(format!("clips/{}.clip", clips[1].clip_id));
    let Some(mut bytes) = disk.content(&path) else {
        panic!("the clip is on the card");
    };
    let at = bytes
        .windows(7)
        .rposition(|word| word == b"clip_no")
        .unwrap();
    bytes[at] ^= 1;
    disk.put(&path, &bytes);
    booth.hub_says();
    let (turns, operations, lines) = an_hour(&mut booth);
    println!("{turns} turns, {operations} operations, {lines} lines");
    assert!(turns < most_turns() && operations < 200 && lines < 60);
    assert_eq!(booth.centre.stored.len(), 2);
    assert_eq!(
        (
            booth.clips_on_card("clips"),
            booth.clips_on_card("quarantine")
        ),
        (0, 1)
    );
    assert!(booth.has(AlertId::SpoolDamaged));
    let answer = booth.resend(&json!({ "clip_id": clips[1].clip_id }));
    assert_eq!(answer["ok"], 0);
    assert!(
        answer["error"].as_str().unwrap().contains("damaged"),
        "{answer}"
    );
    // Who asks for all is told of it, too.
    let answer = booth.resend(&json!({}));
    assert_eq!(
        answer,
        json!({ "ok": 1, "returned": 0, "retried": 0, "damaged": 1 })
    );
}

#[test]
fn an_hour_of_a_card_that_gives_nothing_back_is_a_few_reads_and_then_every_clip_leaves() {
    let (disk, clips) = card(&[2; 30], true);
    let reads = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&reads);
    let mut booth = Booth::start(&disk, Centre::new(), HOUR);
    disk.set_faults(move |operation| {
        let is_read = matches!(operation.verb, Verb::Read | Verb::OpenOld);
        let is_of_a_clip = operation.path.to_string_lossy().contains("clips/");
        (is_read && is_of_a_clip).then(|| {
            counted.fetch_add(1, Relaxed);
            Fault {
                errno: EIO,
                left: Left::Nothing,
            }
        })
    });
    booth.hub_says();
    let (turns, _, lines) = an_hour(&mut booth);
    println!(
        "{turns} turns, {} reads, {lines} lines",
        reads.load(Relaxed)
    );
    assert!(
        turns < most_turns() && lines < 120,
        "{turns} turns, {lines} lines"
    );
    assert!(
        (20..150).contains(&reads.load(Relaxed)),
        "{} reads",
        reads.load(Relaxed)
    );
    assert!(
        booth.text(AlertId::DiskErrors).contains("clip"),
        "it is told"
    );
    assert_eq!(
        (
            booth.clips_on_card("clips"),
            booth.clips_on_card("quarantine")
        ),
        (30, 0)
    );
    disk.heal();
    booth.live(HOUR);
    assert_eq!(booth.centre.stored.len(), clips.len());
    assert_eq!(booth.clips_on_card("clips"), 0);
    assert!(!booth.text(AlertId::DiskErrors).contains("clip"));
}

#[test]
fn a_rejected_clip_leaves_by_itself_when_the_hubs_limit_is_raised_also_after_a_restart() {
    for restart in [false, true] {
        let (disk, clips) = card(&[4], true);
        let mut centre = Centre::new();
        centre.max_clip_bytes = 100;
        let mut booth = Booth::online(&disk, centre, HOUR);
        booth.live(MINUTE);
        assert!(booth.has(AlertId::ClipRejected));
        assert_eq!(
            (
                booth.clips_on_card("clips"),
                booth.clips_on_card("quarantine")
            ),
            (0, 1)
        );
        // The hub says the same every minute: nothing happens.
        for _ in 0..90 {
            booth.hub_says();
            booth.live(MINUTE);
        }
        assert_eq!(booth.centre.rejections, 1);
        if restart {
            let at = booth.now.get();
            let centre = std::mem::replace(&mut booth.centre, Centre::new());
            drop(booth);
            booth = Booth::online(&disk, centre, at);
            booth.live(MINUTE);
            assert_eq!(booth.centre.rejections, 1);
            assert!(booth.has(AlertId::ClipRejected), "after a restart, too");
        }
        // A new version that still does not take it: once.
        booth.centre.version = "1.1";
        for _ in 0..30 {
            booth.hub_says();
            booth.live(MINUTE);
        }
        assert_eq!(booth.centre.rejections, 2);
        // Within the hour nothing comes by itself, then it does.
        booth.centre.max_clip_bytes = 1 << 20;
        booth.hub_says();
        booth.live(20 * MINUTE);
        assert_eq!(booth.centre.stored.len(), 0);
        booth.live(15 * MINUTE);
        assert_eq!(booth.centre.stored.len(), 1);
        assert_eq!(
            booth.centre.stored[clips[0].clip_id.as_str()].len() as u64,
            clips[0].bytes
        );
        assert!(!booth.has(AlertId::ClipRejected));
        assert_eq!(
            (
                booth.clips_on_card("clips"),
                booth.clips_on_card("quarantine")
            ),
            (0, 0)
        );
    }
}

#[test]
fn resend_brings_one_clip_or_all_back_at_once_and_says_what_it_did() {
    let (disk, clips) = card(&[4, 5, 6], true);
    let mut centre = Centre::new();
    centre.max_clip_bytes = 100;
    let mut booth = Booth::online(&disk, centre, HOUR);
    booth.live(MINUTE);
    assert_eq!(booth.clips_on_card("quarantine"), 3);
    // The hub was mended, and says the same of itself as before.
    booth.centre.max_clip_bytes = 1 << 20;
    let one = |clip: &KeptClip| json!({ "clip_id": clip.clip_id });
    let done = |returned: u64| json!({ "ok": 1, "returned": returned, "retried": 0 });
    assert_eq!(booth.resend(&one(&clips[1])), done(1));
    booth.live(MINUTE);
    assert_eq!(
        booth.centre.stored.keys().collect::<Vec<_>>(),
        [&clips[1].clip_id]
    );
    assert_eq!(booth.resend(&json!({})), done(2));
    booth.live(MINUTE);
    assert_eq!(booth.centre.stored.len(), 3);
    assert_eq!(booth.resend(&json!({ "clip_id": null })), done(0));
    // One that has left, one that nobody knows, and nonsense.
    for (payload, part) in [
        (one(&clips[0]), "there is no clip"),
        (json!({ "clip_id": "no such clip" }), "there is no clip"),
        (json!({ "clip_id": 7 }), "clip_id"),
        (json!([]), "JSON object"),
    ] {
        let answer = booth.resend(&payload);
        assert_eq!(answer["ok"], 0, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{answer}");
    }
}

#[test]
fn resend_ends_the_pause_of_what_the_broker_refused() {
    let (disk, _) = card(&[2, 2], true);
    let mut centre = Centre::new();
    centre.answer = Some(Puback::Refused);
    let mut booth = Booth::online(&disk, centre, HOUR);
    booth.live(MINUTE);
    assert!(booth.has(AlertId::ClipRefusedByBroker));
    booth.centre.answer = None;
    booth.live(MINUTE);
    assert_eq!(booth.centre.stored.len(), 0, "its pause lasts");
    assert_eq!(
        booth.resend(&json!({})),
        json!({ "ok": 1, "returned": 0, "retried": 2 })
    );
    booth.live(MINUTE);
    assert_eq!(booth.centre.stored.len(), 2);
    assert!(!booth.has(AlertId::ClipRefusedByBroker));
}

#[test]
fn through_a_broker_that_takes_ten_thousand_bytes_a_long_clip_arrives_whole() {
    let (disk, clips) = card(&[24], true);
    let mut centre = Centre::new();
    centre.max_message = 10_000;
    let mut booth = Booth::online(&disk, centre, HOUR);
    booth.live(10 * MINUTE);
    assert_eq!(
        booth.centre.stored[clips[0].clip_id.as_str()].len() as u64,
        clips[0].bytes
    );
    assert_eq!(booth.clips_on_card("clips"), 0);
    assert!(!booth.has(AlertId::ClipRefusedByBroker));
}

#[test]
fn a_hub_that_goes_back_and_forth_between_two_versions_rejects_a_clip_once_an_hour() {
    let (disk, _) = card(&[4], true);
    let mut centre = Centre::new();
    centre.max_clip_bytes = 100;
    let mut booth = Booth::online(&disk, centre, HOUR);
    for minute in 0..300 {
        booth.centre.version = if minute % 2 == 0 { "1.0" } else { "1.1" };
        booth.hub_says();
        booth.live(MINUTE);
    }
    let rejections = booth.centre.rejections;
    assert!((4..=6).contains(&rejections), "{rejections}");
    drop(booth);
    let (spool, _) = open(&disk);
    let [(_, note)] = &spool.quarantined_clips()[..] else {
        panic!("one clip");
    };
    assert_eq!(note.cause, Cause::Hub);
    assert!(note.returned.is_some());
}

#[test]
fn a_card_whose_reads_stall_for_a_minute_keeps_clips_waiting_and_no_citizen() {
    let (disk, clips) = card(&[2; 3], true);
    let mut booth = Booth::start(&disk, Centre::new(), HOUR);
    for happening in [
        Happening::Capture(CaptureState { works: Ok(()) }),
        Happening::Playback(PlaybackEvent::State { works: Ok(()) }),
        Happening::Handset(HandsetReport::Works(Ok(()))),
        Happening::Handset(HandsetReport::AtStart { off_hook: false }),
    ] {
        booth.happens(happening);
    }
    booth.settle();
    // From here on the booth's own thread reads.
    let (asks, asked) = sync_channel(4);
    let commands = std::mem::replace(&mut booth.told.reader, asked);
    drop(asks);
    let (told, tells) = channel();
    let mut liveness = Liveness::default();
    let alive = liveness.watch("reader", Reader::SILENT_AT_MOST);
    let config = config::parse(BOOTH, "booth.toml").unwrap();
    let reader = std::thread::spawn(move || {
        let reader = Reader::new(&config, Path::new("none"));
        reader.run(&alive, &commands, |event| told.send(event).expect("a loop"));
    });
    disk.stall_reads(true);
    booth.hub_says();
    until("the reader waits for the card", || {
        (disk.stalled() == 1).then_some(())
    });

    let handset = |booth: &mut Booth, event| {
        let at = booth.mono();
        booth.happens(Happening::Handset(HandsetReport::Event {
            at,
            event,
            done: None,
        }));
    };
    let begun = booth.now.get();
    handset(&mut booth, HandsetEvent::Lifted);
    let key = Key::Digit(1);
    handset(&mut booth, HandsetEvent::Key(key, KeySource::Dial));
    let mut has_health = false;
    for second in 0..60 {
        booth.now.set(begun + second * 1_000);
        booth.turn();
        let now = booth.mono();
        assert_eq!(liveness.judge(now), []);
        assert!(liveness.may_feed());
        while let Ok(MqttCommand::Publish(message)) = booth.told.mqtt.try_recv() {
            has_health |= message.topic.ends_with("/health");
        }
        let played: Vec<_> = booth.told.earpiece.try_iter().collect();
        for command in played {
            if let PlaybackCommand::Play { id, .. } = command {
                booth.happens(Happening::Playback(PlaybackEvent::Ended { id }));
            }
        }
    }
    assert!(has_health, "health waits for no card");
    let armed = booth.told.recorder.try_iter();
    let is_arm = |command: &RecorderCommand| matches!(command, RecorderCommand::Arm { .. });
    assert!(armed.into_iter().any(|command| is_arm(&command)));
    assert_eq!(disk.stalled(), 1);
    assert!(booth.centre.stored.is_empty());

    // A clip that is given up meanwhile does not leave.
    let gone = clips[0].clip_id.clone();
    let note = Note::damaged("a test");
    booth.happens(Happening::Keeper(KeeperEvent::Quarantined(
        gone.clone(),
        note,
    )));
    disk.stall_reads(false);
    until("what is left arrives", || {
        while let Ok(event) = tells.try_recv() {
            booth.happens(Happening::Reader(event));
        }
        while let Ok(MqttCommand::Publish(message)) = booth.told.mqtt.try_recv() {
            let (answer, says) = booth.centre.take(&message);
            booth.happens(Happening::Mqtt(MqttEvent::Answered {
                token: message.token,
                answer,
                why: String::new(),
            }));
            if let Some((topic, payload)) = says {
                booth.hears(topic, payload, None);
            }
        }
        (booth.centre.stored.len() == clips.len() - 1).then_some(())
    });
    assert!(!booth.centre.stored.contains_key(gone.as_str()));
    drop(booth);
    reader.join().expect("it ends with its commands");
}

#[test]
fn a_withdrawn_clip_leaves_quarantine_for_good_by_its_own_hash_also_after_a_restart() {
    for restarts in [false, true] {
        let (disk, clips) = card(&[4, 2], true);
        let mut centre = Centre::new();
        centre.max_clip_bytes = 10;
        let mut booth = Booth::online(&disk, centre, HOUR);
        booth.live(MINUTE);
        assert_eq!(booth.clips_on_card("quarantine"), 2);
        if restarts {
            let centre = std::mem::replace(&mut booth.centre, Centre::new());
            drop(booth);
            booth = Booth::online(&disk, centre, 2 * HOUR);
            booth.live(MINUTE);
        }
        let says = |booth: &mut Booth, status: &str, sha256: &str| {
            let ack = json!({ "clip_id": clips[0].clip_id, "status": status, "sha256": sha256 });
            let topic = format!("booth/1/dn/rundhoej-1/ack/{}", clips[0].clip_id);
            booth.hears(topic, ack.to_string().into_bytes(), None);
            booth.live(MINUTE);
            booth.clips_on_card("quarantine")
        };
        assert_eq!(says(&mut booth, "discard", &clips[1].sha256), 2);
        assert_eq!(says(&mut booth, "stored", &clips[0].sha256), 2);
        assert_eq!(says(&mut booth, "discard", &clips[0].sha256), 1);
        let left = disk.files();
        let is_gone = !left
            .iter()
            .any(|path| path.to_string_lossy().contains(clips[0].clip_id.as_str()));
        assert!(is_gone, "{left:?}");
        // Another hub takes the other one, and nothing comes back of the first.
        booth.centre.version = "1.1";
        booth.centre.max_clip_bytes = 1 << 20;
        booth.hub_says();
        booth.live(2 * HOUR);
        assert_eq!(booth.centre.stored.len(), 1);
        assert_eq!(
            (
                booth.clips_on_card("clips"),
                booth.clips_on_card("quarantine")
            ),
            (0, 0)
        );
        assert!(!booth.has(AlertId::ClipRejected));
    }
}

#[test]
fn a_withdrawal_is_sent_until_the_hub_says_that_it_has_it_also_across_restarts() {
    let (disk, _) = card(&[2], true);
    let (spool, _) = open(&disk);
    let withdrawal = Withdrawal {
        id: uuid::Uuid::new_v4().to_string().into(),
        sealed: "c2VhbGVk".into(),
        ts: "2026-11-29T10:00:00.000Z".into(),
    };
    spool.keep_withdrawal(&withdrawal).unwrap();
    drop(spool);
    let mut centre = Centre::new();
    centre.says_withdrawn = false;
    let mut booth = Booth::online(&disk, centre, HOUR);
    booth.live(10 * MINUTE);
    let sent = booth.centre.withdrawn.len();
    assert!((3..12).contains(&sent), "{sent} times in ten minutes");
    assert!(
        booth
            .centre
            .withdrawn
            .iter()
            .all(|came| *came == withdrawal)
    );
    assert_eq!(
        (
            booth.centre.stored.len(),
            booth.clips_on_card("withdrawals")
        ),
        (1, 1)
    );
    let mut centre = std::mem::replace(&mut booth.centre, Centre::new());
    drop(booth);
    centre.says_withdrawn = true;
    let mut booth = Booth::online(&disk, centre, 2 * HOUR);
    booth.live(MINUTE);
    assert_eq!(booth.centre.withdrawn.len(), sent + 1);
    assert_eq!(booth.clips_on_card("withdrawals"), 0);
    booth.live(HOUR);
    assert_eq!(booth.centre.withdrawn.len(), sent + 1, "it is sent no more");
}
