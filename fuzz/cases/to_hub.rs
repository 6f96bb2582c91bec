//! Everything that the broker can bring to the hub, into a real store.
//!
//! A topic that begins with `@<seconds>@` was retained and has that much left of its expiry. One that
//! begins with `!` is no message: `!commit`, `!pages`, `!restart`, `!expire`, `!withdraw <clip_id>`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use booth_contract::time::Mono;
use booth_contract::{
    AckStatus, BodyKind, BoothId, MAX_JSON_BYTES, Manifest, Topic, Topics, hex, reading,
};
use booth_hub::config::ExpectedBooth;
use booth_hub::ingest::Answer;
use booth_hub::pages;
use booth_hub::store::{BrokerStatus, Message, Store, StoreRules, StoreViews};
use booth_hub::view::{Place, Views};
use gateway_core::inbox::{self, Inbound};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::script::{messages, script};
use super::spool_state::{CARD, CLIPS, manifest, open, recorded};

const MAX_CLIP_BYTES: u64 = 1_000_000;
const BOOTH: &str = "rundhoej-1";

/// A store in a folder of its own. Only a script that committed makes the next one begin anew.
struct Rig {
    store: Option<Store>,
    folder: tempfile::TempDir,
    is_dirty: bool,
}

static RIG: Mutex<Option<Rig>> = Mutex::new(None);

impl Rig {
    fn new() -> Rig {
        // In memory where there is such a file system: what is tried here is no disk.
        let folder = match Path::new("/dev/shm") {
            memory if memory.is_dir() => tempfile::tempdir_in(memory),
            _ => tempfile::tempdir(),
        };
        let folder = folder.expect("a folder");
        let mut rig = Rig {
            store: None,
            folder,
            is_dirty: false,
        };
        rig.open();
        rig
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn open(&mut self) {
        self.store = None; // gives the lock back
        let rules = StoreRules {
            dir: self.dir(),
            max_clip_bytes: MAX_CLIP_BYTES,
            root: "booth/1".into(),
            database: None,
            bodies: None,
        };
        self.store = Some(Store::open(&rules).expect("the hub starts by itself"));
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is open")
    }
}

pub fn run(data: &[u8]) {
    let mut guard = RIG.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rig = guard.take().unwrap_or_else(Rig::new);
    let wall: Timestamp = "2026-03-01T10:00:00Z".parse().expect("a time");
    let topics = Topics::new("booth/1");
    let mut mono = Mono(1_000);
    let mut stored = false;
    for (topic, payload) in messages(data) {
        mono = Mono(mono.0 + 1);
        if let Some(what) = topic.strip_prefix('!') {
            happen(&mut rig, wall, mono, what);
            continue;
        }
        let (left, topic) = match topic
            .strip_prefix('@')
            .and_then(|rest| rest.split_once('@'))
        {
            Some((left, topic)) => (Some(left.parse().ok()), topic.to_owned()),
            None => (None, topic),
        };
        let message = Message {
            topic: topic.clone(),
            payload: payload.to_vec(),
            retained: left.is_some(),
            expiry_s: left.flatten(),
        };
        let answer = rig
            .store()
            .handle(wall, mono, &message)
            .unwrap_or_else(|error| panic!("a message that the hub can never take: {error}"));
        if let Some(answer) = answer {
            stored |= answer.ack.status == AckStatus::Stored;
            check_answer(&rig, &topics, &topic, payload, &answer);
        }
    }
    rig.store().roll_back();
    rig.store().expire(Mono(u64::MAX)).expect("a good disk");
    if !rig.is_dirty && !stored {
        *guard = Some(rig);
    }
}

fn happen(rig: &mut Rig, wall: Timestamp, mono: Mono, what: &str) {
    match what.split_once(' ').unwrap_or((what, "")) {
        ("commit", _) => {
            rig.is_dirty = true;
            rig.store().commit().expect("a good disk");
        }
        ("pages", _) => {
            rig.is_dirty = true;
            rig.store().commit().expect("a good disk");
            draw(rig);
        }
        ("restart", _) => {
            rig.is_dirty = true;
            rig.store().commit().expect("a good disk");
            rig.open();
        }
        ("expire", _) => rig
            .store()
            .expire(Mono(mono.0 + 4_000_000))
            .expect("a good disk"),
        ("withdraw", clip_id) => {
            rig.is_dirty = true;
            rig.store()
                .withdraw(wall, &clip_id.into())
                .expect("a good disk");
        }
        _ => {}
    }
}

/// Both pages, as a browser would get them.
fn draw(rig: &Rig) {
    let status = BrokerStatus {
        connected: true,
        detail: "connected".into(),
        rival: None,
    };
    let expected = vec![ExpectedBooth {
        id: BoothId::parse(BOOTH).expect("an id"),
        name: String::new(),
        place: "Torv".into(),
    }];
    let views = StoreViews::open(&rig.dir(), expected, Arc::new(Mutex::new(status)))
        .expect("the pages can read");
    let fleet = views.fleet();
    assert_eq!(fleet.broker_detail, "connected");
    let answers = views.answers(50);
    assert!(answers.clips.len() as u64 <= answers.total);
    let refused = views.refused(50, &Place::Newest);
    for page in [
        pages::look_at(&pages::Head::Own, &refused, None).into_string(),
        pages::answers(&pages::Head::Own, &answers, None).into_string(),
        pages::operations(&pages::Head::Own, &fleet, None, &pages::Chosen::default()).into_string(),
    ] {
        assert!(page.ends_with("</html>") && !page.contains("<script"));
    }
    for clip in &answers.clips {
        views.clip_file(&clip.clip_id);
    }
}

/// An answer is one that the booth reads, and `stored` is true.
fn check_answer(rig: &Rig, topics: &Topics, topic: &str, payload: &[u8], answer: &Answer) {
    let bytes = serde_json::to_vec(&answer.ack).expect("text and numbers");
    assert!(
        bytes.len() <= MAX_JSON_BYTES,
        "an answer of {} bytes, which no booth reads",
        bytes.len()
    );
    let name = topics.name(&Topic::Ack(
        answer.booth.clone(),
        answer.ack.clip_id.clone(),
    ));
    assert_eq!(
        inbox::read(topics, &name, &bytes),
        Inbound::Ack(answer.ack.clone())
    );
    let Some(Topic::Clip(sender, clip_id)) = topics.parse(topic) else {
        return;
    };
    assert_eq!((&sender, &clip_id), (&answer.booth, &answer.ack.clip_id));
    if answer.ack.status != AckStatus::Stored {
        return;
    }
    let manifest: Manifest = reading::object(payload).expect("a stored manifest is one");
    assert_eq!(manifest.sha256, answer.ack.sha256);
    if manifest.bytes == 0 {
        return;
    }
    let suffix = match manifest.body {
        Some(BodyKind::SealedOggOpus) => "sealed",
        _ => "opus",
    };
    let path = rig
        .dir()
        .join("clips")
        .join(&clip_id[..2])
        .join(format!("{clip_id}.{suffix}"));
    let body = std::fs::read(&path).expect("a stored clip has its file");
    assert_eq!(Some(hex(&Sha256::digest(&body)).into()), manifest.sha256);
}

pub fn seeds() -> Vec<Vec<u8>> {
    let disk = super::memory_disk::MemoryDisk::default();
    let (spool, _) = open(&disk, "boot-1");
    let clip = recorded(&spool, CLIPS[0]);
    let offered = String::from_utf8(manifest(&spool, &clip).to_json()).expect("text");
    let body = spool
        .read_body(&CLIPS[0].into(), 0, 1 << 20)
        .expect("the body");
    let up = |tail: &str| format!("booth/1/up/{BOOTH}/{tail}");
    let (clip_topic, half) = (up(&format!("clip/{}", CLIPS[0])), body.len() / 2);
    let text = |value: &serde_json::Value| value.to_string();
    let birth = text(&serde_json::json!({
        "schema": 1, "booth_id": BOOTH, "name": "Torv", "session": "3-5000", "boot_id": "b", "boot_count": 3,
        "card_id": CARD, "card_first_seen": "", "hw_serial": "s1", "sw_version": "0.1.0", "config_hash": "",
        "sealed": false, "consent_mode": "digit", "started_at": "2026-01-01T00:00:00Z", "health_interval_s": 60,
    }));
    let state = format!(
        r#"{{"state":"online","session":"3-5000","card_id":"{CARD}","boot_id":"b","ts":"t"}}"#
    );
    let health = r#"{"ready":0,"ts":1767225600,"clock_synced":1,"boot_count":3,"last_clip_no":9,"oldest_clip_no_kept":4,"spool_clips":2,"oldest_unsent_s":90}"#;
    let alert = format!(
        r#"{{"id":"spool_full","severity":"citizen_cannot_speak","since":"2026-01-01T00:00:00Z","clock_synced":1,"text":"no room","session":"3-5000","card_id":"{CARD}"}}"#
    );
    let digest = |text: String| hex(&Sha256::digest(text.as_bytes()));
    let blank = |kind: &str, choice: &str, sha256: &str| {
        format!(
            r#"{{"schema":1,"clip_id":"{}","clip_no":4,"card_id":"{CARD}","booth_id":"{BOOTH}","boot_id":"b","kind":"{kind}","source":"booth","test":0,"campaign_id":null,"question_id":"q","choice":{choice},"lang":"da","started_at":null,"started_mono_ms":5,"clock_synced":1,"duration_ms":1000,"ended_by":null,"recovered":0,"body":null,"bytes":0,"sha256":{sha256},"bitrate":null,"sample_rate":null,"channels":null,"consent":null,"rms_dbfs":null,"peak_dbfs":null,"speech_ratio":null,"reason":"purged"}}"#,
            CLIPS[1]
        )
    };
    let void = blank("void", "null", "null");
    let sha = digest(format!("{}:q:3", CLIPS[1]));
    let choice = blank("choice", "3", &format!("\"{sha}\""));
    let other_clip = up(&format!("clip/{}", CLIPS[1]));
    let (birth_topic, state_topic, health_topic) = (up("birth"), up("state"), up("health"));
    let told: Vec<(&str, &str)> = vec![
        (&state_topic, &state),
        (&birth_topic, &birth),
        (&health_topic, health),
    ];
    let alert_topic = up("alert/spool_full");
    let retained = format!("@600@{health_topic}");
    let mut seeds = vec![
        script(&told),
        script(&[&told[..], &[(&alert_topic, &alert), ("!pages", "")]].concat()),
        script(&[(&retained, health), (&alert_topic, ""), ("!restart", "")]),
        script(&[(&other_clip, &void), ("!pages", "")]),
        script(&[(&other_clip, &choice), ("!pages", "")]),
        script(&[
            (&up("event/boot"), r#"{"kind":"boot"}"#),
            (&up("reply/ring"), r#"{"ok":1}"#),
            (&up("config"), "{}"),
        ]),
        script(&[
            (&format!("!withdraw {}", CLIPS[0]), ""),
            (&clip_topic, &offered),
        ]),
        script(&[
            (&clip_topic, &offered),
            ("!restart", ""),
            (&clip_topic, &offered),
            ("!expire", ""),
        ]),
    ];
    // A whole clip in two parts, out of order; binary, so not through `script`.
    let mut whole = Vec::new();
    for (from, to) in [(half, body.len()), (0, half)] {
        let topic = up(&format!("part/{}/{from}", CLIPS[0]));
        whole.extend_from_slice(format!("{topic}\n").as_bytes());
        whole.extend_from_slice(&body[from..to]);
        whole.push(0x1E);
    }
    whole.extend_from_slice(format!("{clip_topic}\n{offered}").as_bytes());
    seeds.push(whole);
    seeds
}
