//! The store by its promises: every order, repeat, loss and lie of the messages of a clip.
//! Longer than 500 lines: one bench, and a test per promise.
#![allow(clippy::disallowed_methods)]

pub(super) mod away;
mod backup;
mod codes;
mod elsewhere;
mod faults;
mod fleet;
mod keeps;
mod model;
mod sealed;
mod small_s3;
mod submissions;
mod whose;
mod withdrawals;
mod workers;

pub(super) use elsewhere::is_over_postgresql;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;
use crate::view::{FleetView, Views};
use booth_contract::BodyKind;
use booth_contract::MAX_PART_BYTES;
use booth_contract::{Ack, AckStatus, ByteRange};

const CLIP: &str = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
const BOOTH: &str = "rundhoej-1";

/// Where the power is cut.
#[derive(Debug)]
pub(super) struct Cut {
    /// The power is cut after so many more points.
    left: u32,
    /// The point at which it was cut.
    at: Option<Point>,
}

impl Cut {
    pub(super) fn pass(&mut self, point: Point) -> Result<(), StoreError> {
        if self.left == 0 {
            self.at = Some(point);
            let cut = std::io::Error::other("the power is cut");
            return Err(StoreError::file("going on at", Path::new("."), cut));
        }
        self.left -= 1;
        Ok(())
    }
}

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    wall: Timestamp,
    mono: Mono,
}

fn rules(dir: &Path) -> StoreRules {
    StoreRules {
        dir: dir.to_owned(),
        max_clip_bytes: 1_000_000,
        root: "booth/1".into(),
        database: elsewhere::of(dir),
        bodies: away::of(dir),
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&rules(&folder.path().join("store"))).expect("opens");
        let wall = "2026-03-02T10:00:00Z".parse().expect("a time");
        Self {
            folder,
            store,
            wall,
            mono: Mono(1000),
        }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// As after `kill -9`: nothing is committed or closed in an orderly way.
    fn restart(self) -> Self {
        let Self {
            folder,
            mut store,
            wall,
            mono,
        } = self;
        store.roll_back();
        drop(store);
        let store = Store::open(&rules(&folder.path().join("store"))).expect("opens again");
        Self {
            folder,
            store,
            wall,
            mono,
        }
    }

    /// The hub stops, this happens in its folder, and it starts again.
    fn while_closed(self, happens: impl FnOnce(&Path)) -> Self {
        let Self {
            folder,
            store,
            wall,
            mono,
        } = self;
        drop(store);
        let dir = folder.path().join("store");
        happens(&dir);
        Self {
            store: Store::open(&rules(&dir)).expect("opens"),
            folder,
            wall,
            mono,
        }
    }

    /// After the database was lost and made anew from the files; and what that found.
    fn rebuilt(self) -> (Self, Rebuilt) {
        let mut rebuilt = Rebuilt::default();
        let bench = self.while_closed(|dir| {
            fs::remove_file(database_in(dir)).expect("removed");
            rebuilt = rebuild(dir, Progress::new("read")).expect("rebuilds");
        });
        (bench, rebuilt)
    }

    fn send(&mut self, topic: &str, payload: &[u8]) -> Option<Ack> {
        let answer = self.send_uncommitted(topic, payload);
        self.store.commit().expect("commits");
        answer
    }

    fn send_uncommitted(&mut self, topic: &str, payload: &[u8]) -> Option<Ack> {
        self.send_retained(topic, payload, false, None)
    }

    fn send_retained(
        &mut self,
        topic: &str,
        payload: &[u8],
        retained: bool,
        expiry_s: Option<u32>,
    ) -> Option<Ack> {
        let message = Message {
            topic: format!("booth/1/up/{topic}"),
            payload: payload.to_vec(),
            retained,
            expiry_s,
        };
        self.store
            .handle(self.wall, self.mono, &message)
            .expect("the store works")
            .map(|answer| answer.ack)
    }

    fn offer(&mut self, clip: &Clip) -> Option<Ack> {
        self.send(
            &format!("{BOOTH}/clip/{}", clip.id),
            clip.manifest.to_string().as_bytes(),
        )
    }

    fn part(&mut self, clip: &Clip, from: usize, to: usize) -> Option<Ack> {
        self.send(
            &format!("{BOOTH}/part/{}/{from}", clip.id),
            &clip.body[from..to],
        )
    }

    fn whole(&mut self, clip: &Clip) -> Option<Ack> {
        let last = self.offer(clip);
        assert_eq!(
            last, None,
            "the first sight is answered when the body is whole"
        );
        let mut last = None;
        for from in (0..clip.body.len()).step_by(16_384) {
            last = self.part(clip, from, (from + 16_384).min(clip.body.len()));
        }
        last
    }

    /// The same in a batch that is not committed yet.
    fn whole_uncommitted(&mut self, clip: &Clip) {
        let topic = format!("{BOOTH}/clip/{}", clip.id);
        self.send_uncommitted(&topic, clip.manifest.to_string().as_bytes());
        for from in (0..clip.body.len()).step_by(16_384) {
            let to = (from + 16_384).min(clip.body.len());
            let topic = format!("{BOOTH}/part/{}/{from}", clip.id);
            self.send_uncommitted(&topic, &clip.body[from..to]);
        }
    }

    fn file(&self, clip: &Clip) -> Option<Vec<u8>> {
        let Store {
            bodies, private, ..
        } = &self.store;
        let hash = clip.manifest["sha256"].as_str();
        let hash = hash.map(|hash| hash.to_owned().into());
        let kind = BodyKind::OggOpus;
        let files = BodyFiles::of(bodies, private, &clip.id, kind, hash.as_ref());
        files.read().ok()
    }

    fn views(&self) -> StoreViews {
        let status = BrokerStatus {
            connected: true,
            detail: String::new(),
            rival: None,
        };
        StoreViews::open(&self.dir(), Vec::new(), Arc::new(Mutex::new(status))).expect("opens")
    }

    fn fleet(&self) -> FleetView {
        self.views().read_fleet(self.wall).expect("reads")
    }

    fn state(&mut self, card: &str, session: &str, state: &str) {
        let payload = json!({"state": state, "session": session, "card_id": card, "boot_id": "b"});
        self.send(&format!("{BOOTH}/state"), payload.to_string().as_bytes());
    }

    fn birth(&mut self, card: &str, session: &str, serial: &str) {
        let payload = json!({"schema": 1, "booth_id": BOOTH, "session": session, "boot_id": "b",
            "boot_count": 1, "card_id": card, "hw_serial": serial, "sw_version": "0.1.0",
            "sealed": false, "consent_mode": "digit", "started_at": "", "health_interval_s": 60});
        self.send(&format!("{BOOTH}/birth"), payload.to_string().as_bytes());
    }

    fn health(&mut self, values: Value) {
        self.send(&format!("{BOOTH}/health"), values.to_string().as_bytes());
    }

    fn presence(&self) -> Option<booth_contract::Presence> {
        self.fleet().booths.first().and_then(|booth| booth.presence)
    }
}

struct Clip {
    id: ClipId,
    body: Vec<u8>,
    manifest: Value,
}

fn clip(id: &str, clip_no: u64) -> Clip {
    let body: Vec<u8> = (0..40_000_u32)
        .map(|n| (n.wrapping_mul(31) >> 3) as u8)
        .collect();
    let hash = booth_contract::hex(&Sha256::digest(&body));
    let manifest = json!({"schema": 1, "clip_id": id, "clip_no": clip_no, "card_id": "card-1",
        "booth_id": BOOTH, "boot_id": "b", "kind": "audio", "source": "booth", "test": 0,
        "campaign_id": null, "question_id": "square", "choice": null, "lang": "da",
        "started_at": "2026-03-01T10:00:00.000Z", "started_mono_ms": 5, "clock_synced": 1,
        "duration_ms": 13_000, "ended_by": "hang_up", "recovered": 0, "body": "ogg-opus",
        "bytes": body.len(), "sha256": hash, "bitrate": 24000, "sample_rate": 48000, "channels": 1,
        "consent": null, "key_ids": [], "sealed": null, "rms_dbfs": null, "peak_dbfs": null,
        "speech_ratio": null});
    Clip {
        id: id.into(),
        body,
        manifest,
    }
}

/// The same clip in other words of the same length: the byte `nth` differs.
fn in_other_words(clip: &Clip, nth: usize) -> Clip {
    let mut body = clip.body.clone();
    body[nth] ^= 1;
    let mut manifest = clip.manifest.clone();
    manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&body)));
    Clip {
        id: clip.id.clone(),
        body,
        manifest,
    }
}

/// A vote.
fn choice(clip_no: u64) -> Clip {
    let mut clip = numbered(clip_no);
    clip.body.clear();
    clip.manifest["kind"] = json!("choice");
    clip.manifest["choice"] = json!(3);
    clip.manifest["bytes"] = json!(0);
    let text = format!("{}:square:3", clip.id);
    clip.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(text.as_bytes())));
    clip
}

fn numbered(clip_no: u64) -> Clip {
    clip(&format!("6f9619ff-8b86-4d01-b42d-{clip_no:012x}"), clip_no)
}

fn status(ack: Option<Ack>) -> Option<AckStatus> {
    ack.map(|ack| ack.status)
}

#[test]
fn a_clip_in_order_is_stored_byte_for_byte_and_every_repeat_is_answered_at_once() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    let ack = bench.whole(&clip).expect("an answer");
    assert_eq!(ack.status, AckStatus::Stored);
    assert_eq!(ack.sha256.as_deref(), clip.manifest["sha256"].as_str());
    assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body));
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(bench.part(&clip, 0, 100), None, "late parts are ignored");
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(
        bench
            .views()
            .clip_file(&CLIP.into())
            .and_then(|file| file.files.read().ok()),
        Some(clip.body)
    );
}

#[test]
fn what_a_killed_hub_had_not_named_yet_is_gone_after_the_next_start_and_what_another_program_writes_stays()
 {
    let mut bench = Bench::new();
    let clip = numbered(1);
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    let (gone, running) = (std::process::id(), std::os::unix::process::parent_id());
    let name = |program: u32| format!(".{}.json.{program}", clip.id);
    let mut folders = Vec::new();
    let bench = bench.while_closed(|store| {
        let private = store.with_file_name("store-private");
        folders = vec![
            store.join("clips").join(&clip.id[..2]),
            private.join("envelopes").join(&clip.id[..2]),
            private.join("waiting"),
        ];
        for folder in &folders {
            fs::create_dir_all(folder).expect("a folder");
            for program in [gone, running] {
                fs::write(folder.join(name(program)), "half").expect("written");
            }
        }
    });
    for folder in &folders {
        assert!(!folder.join(name(gone)).exists(), "{}", folder.display());
        assert!(folder.join(name(running)).exists(), "{}", folder.display());
    }
    assert_eq!(bench.file(&clip), Some(clip.body));
}

#[test]
fn parts_may_come_before_the_manifest_and_in_any_order_twice_and_overlapping() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    for (from, to) in [
        (30_000, 40_000),
        (30_000, 40_000),
        (0, 10_000),
        (5_000, 21_000),
        (20_000, 31_000),
    ] {
        assert_eq!(bench.part(&clip, from, to), None);
    }
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(bench.file(&clip), Some(clip.body));
}

#[test]
fn a_repeated_manifest_is_told_exactly_what_is_missing() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    assert_eq!(bench.offer(&clip), None);
    bench.part(&clip, 10_000, 20_000);
    let ack = bench.offer(&clip).expect("an answer");
    assert_eq!(ack.status, AckStatus::Partial);
    assert_eq!(
        ack.missing,
        [ByteRange(0, 10_000), ByteRange(20_000, 40_000)]
    );
    bench.part(&clip, 0, 10_000);
    bench.part(&clip, 20_000, 30_000);
    assert_eq!(
        status(bench.part(&clip, 30_000, 40_000)),
        Some(AckStatus::Stored)
    );
}

#[test]
fn a_body_with_the_wrong_hash_is_asked_for_again_and_then_refused() {
    let mut bench = Bench::new();
    let mut broken = clip(CLIP, 1);
    broken.body[100] ^= 1;
    let ack = bench.whole(&broken).expect("an answer");
    assert_eq!(
        (ack.status, ack.missing),
        (AckStatus::Partial, vec![ByteRange(0, 40_000)])
    );
    for expected in [AckStatus::Partial, AckStatus::Reject] {
        let mut last = None;
        for from in (0..40_000).step_by(10_000) {
            last = bench.part(&broken, from, from + 10_000);
        }
        assert_eq!(status(last), Some(expected));
    }
    assert_eq!(bench.file(&broken), None);
    assert_eq!(bench.fleet().refused.len(), 1);
    // The operator has the booth send it again, and this time it is right.
    assert_eq!(status(bench.whole(&clip(CLIP, 1))), Some(AckStatus::Stored));
}

#[test]
fn one_spoilt_transfer_is_healed_by_the_next() {
    let mut bench = Bench::new();
    let good = clip(CLIP, 1);
    let mut broken = clip(CLIP, 1);
    broken.body[39_999] ^= 1;
    assert_eq!(status(bench.whole(&broken)), Some(AckStatus::Partial));
    for from in (0..30_000).step_by(10_000) {
        assert_eq!(bench.part(&good, from, from + 10_000), None);
    }
    assert_eq!(
        status(bench.part(&good, 30_000, 40_000)),
        Some(AckStatus::Stored)
    );
    assert_eq!(bench.file(&good), Some(good.body));
}

#[test]
fn another_hash_for_a_stored_clip_is_refused_where_an_operator_sees_it() {
    let mut bench = Bench::new();
    let good = clip(CLIP, 1);
    bench.whole(&good);
    let mut other = clip(CLIP, 1);
    other.manifest["sha256"] = json!("1".repeat(64));
    assert_eq!(status(bench.offer(&other)), Some(AckStatus::Reject));
    assert_eq!(bench.file(&good), Some(good.body));
    let refused = bench.fleet().refused;
    assert_eq!(
        (refused[0].clip_id.as_str(), refused[0].booth_id.as_str()),
        (CLIP, BOOTH)
    );
}

#[test]
fn a_restart_mid_clip_asks_for_everything_and_then_stores_it() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.offer(&clip);
    bench.part(&clip, 0, 10_000);
    let mut bench = bench.restart();
    let ack = bench
        .offer(&clip)
        .expect("a repeat is known as one across a restart");
    assert_eq!(
        (ack.status, ack.missing),
        (AckStatus::Partial, vec![ByteRange(0, 40_000)])
    );
    for from in (0..30_000).step_by(10_000) {
        bench.part(&clip, from, from + 10_000);
    }
    assert_eq!(
        status(bench.part(&clip, 30_000, 40_000)),
        Some(AckStatus::Stored)
    );
}

#[test]
fn parts_alone_finish_a_clip_whose_manifest_came_before_the_restart() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.offer(&clip);
    let mut bench = bench.restart();
    for from in (0..30_000).step_by(10_000) {
        assert_eq!(bench.part(&clip, from, from + 10_000), None);
    }
    assert_eq!(
        status(bench.part(&clip, 30_000, 40_000)),
        Some(AckStatus::Stored)
    );
}

#[test]
fn a_restart_between_rename_and_commit_is_harmless() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.offer(&clip);
    for from in (0..30_000).step_by(10_000) {
        bench.part(&clip, from, from + 10_000);
    }
    let last = format!("{BOOTH}/part/{}/30000", clip.id);
    bench.send_uncommitted(&last, &clip.body[30_000..]);
    assert!(bench.file(&clip).is_some(), "renamed");
    let mut bench = bench.restart();
    assert!(
        bench.views().clip_file(&CLIP.into()).is_none(),
        "not committed"
    );
    assert_eq!(
        status(bench.offer(&clip)),
        Some(AckStatus::Stored),
        "adopted"
    );
    assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body));
    let bench = bench.restart();
    assert!(bench.views().clip_file(&CLIP.into()).is_some());
}

#[test]
fn a_spoilt_file_without_its_entry_is_not_adopted_but_replaced() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    let folder = bench.dir().join("clips").join(&CLIP[..2]);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("{CLIP}.opus")), vec![0; 40_000]).expect("a file");
    assert_eq!(status(bench.whole(&clip)), Some(AckStatus::Stored));
    assert_eq!(bench.file(&clip), Some(clip.body));
}

#[test]
fn a_stored_clip_survives_a_restart() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.whole(&clip);
    let mut bench = bench.restart();
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(bench.views().answers(10).total, 1);
}

#[test]
fn two_booths_sending_one_clip_id_do_not_mix() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.offer(&clip);
    bench.part(&clip, 0, 10_000);
    bench.part(&clip, 10_000, 20_000);
    bench.send(&format!("other-booth/part/{CLIP}/20000"), &[0; 10_000]);
    bench.part(&clip, 20_000, 30_000);
    assert_eq!(
        status(bench.part(&clip, 30_000, 40_000)),
        Some(AckStatus::Stored)
    );
    assert_eq!(bench.file(&clip), Some(clip.body));
}

#[test]
fn a_withdrawn_clip_is_discarded() {
    let mut bench = Bench::new();
    bench
        .store
        .withdraw(bench.wall, &CLIP.into())
        .expect("withdraws");
    assert_eq!(
        status(bench.offer(&clip(CLIP, 1))),
        Some(AckStatus::Discard)
    );
}

#[test]
fn a_choice_counts_a_void_fills_its_number_and_a_test_is_in_no_count() {
    let mut bench = Bench::new();
    let choice = choice(1);
    assert_eq!(status(bench.offer(&choice)), Some(AckStatus::Stored));
    let mut void = numbered(2);
    void.manifest["kind"] = json!("void");
    void.manifest["bytes"] = json!(0);
    void.manifest["sha256"] = Value::Null;
    void.manifest["reason"] = json!("unreadable");
    assert_eq!(status(bench.offer(&void)), Some(AckStatus::Stored));
    assert_eq!(status(bench.offer(&void)), Some(AckStatus::Stored));
    let mut test = numbered(3);
    test.manifest["test"] = json!(1);
    assert_eq!(status(bench.whole(&test)), Some(AckStatus::Stored));
    assert_eq!(status(bench.whole(&numbered(5))), Some(AckStatus::Stored));
    let answers = bench.views().answers(10);
    assert_eq!(answers.total, 2);
    assert_eq!(answers.by_question, [("square".to_owned(), 2)]);
    assert_eq!(answers.by_booth, [(BOOTH.to_owned(), String::new(), 2)]);
    assert_eq!(answers.clips.len(), 1);
    assert_eq!(answers.by_day.len(), 1);
    let gaps = bench.fleet().gaps;
    assert_eq!(gaps[0].missing, [(4, 4)]);
    // The citizen's words come after the number was given up.
    assert_eq!(status(bench.whole(&numbered(2))), Some(AckStatus::Stored));
    assert_eq!(bench.views().answers(10).total, 3);
    assert_eq!(status(bench.offer(&void)), Some(AckStatus::Stored));
    assert_eq!(bench.views().answers(10).total, 3, "and stay");
}

#[test]
fn rubbish_on_every_topic_is_ignored_and_changes_nothing() {
    let mut bench = Bench::new();
    let huge = vec![b'x'; 60_000];
    for tail in [
        "state",
        "birth",
        "health",
        "alert/x",
        "event/boot",
        "reply/ring",
        "config",
        "clip/x",
        &format!("part/{CLIP}/0"),
        "part/x/0",
        &format!("part/{CLIP}/18446744073709551615"),
        "withdraw/1",
        "nothing",
        "alert/a/b",
        "",
    ] {
        for payload in [
            &b"{"[..],
            b"\xff\xfe",
            b"[1,2]",
            b"\"x\"",
            b"{\"session\":\"-\"}",
            &huge,
        ] {
            let any_bytes_will_do = tail.starts_with("part/6") && payload.len() <= MAX_PART_BYTES;
            // Nothing in these messages is required, and unknown fields are ignored.
            let open = ["health", "alert/x", "event/boot", "reply/ring", "config"];
            let any_object_will_do = open.contains(&tail) && payload.starts_with(b"{\"");
            if any_bytes_will_do || any_object_will_do {
                continue;
            }
            assert_eq!(
                bench.send(&format!("{BOOTH}/{tail}"), payload),
                None,
                "{tail}"
            );
        }
    }
    assert!(bench.fleet().booths.is_empty());
    assert_eq!(bench.fleet().refused.len(), 0);
    assert_eq!(status(bench.whole(&clip(CLIP, 1))), Some(AckStatus::Stored));
}

#[test]
fn a_bad_manifest_on_a_good_topic_is_rejected_where_an_operator_sees_it() {
    let mut bench = Bench::new();
    let mut bad = clip(CLIP, 1);
    bad.manifest["kind"] = json!("text");
    let ack = bench.offer(&bad).expect("an answer");
    assert_eq!(ack.status, AckStatus::Reject);
    assert_eq!(ack.sha256.as_deref(), bad.manifest["sha256"].as_str());
    bench.offer(&bad);
    let refused = bench.fleet().refused;
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].reason.ends_with("(2 times)"),
        "{}",
        refused[0].reason
    );
}

#[test]
fn a_sender_over_its_share_pays_with_its_own_oldest_body() {
    let mut bench = Bench::new();
    let first = numbered(1);
    bench.offer(&first);
    bench.part(&first, 0, 10_000);
    for clip_no in 2..=33 {
        bench.mono = bench.mono + std::time::Duration::from_millis(1);
        let clip = numbered(clip_no);
        bench.part(&clip, 0, 10_000);
    }
    let files = fs::read_dir(bench.dir().join("staging"))
        .expect("reads")
        .count();
    assert_eq!(files, 32);
    let ack = bench.offer(&first).expect("a repeat");
    assert_eq!(
        (ack.status, ack.missing),
        (AckStatus::Partial, vec![ByteRange(0, 40_000)])
    );
}

#[test]
fn a_body_left_alone_for_an_hour_goes() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.part(&clip, 0, 10_000);
    bench
        .store
        .expire(bench.mono + std::time::Duration::from_secs(3600))
        .expect("works");
    let files = |bench: &Bench| {
        fs::read_dir(bench.dir().join("staging"))
            .expect("reads")
            .count()
    };
    assert_eq!(files(&bench), 1);
    bench
        .store
        .expire(bench.mono + std::time::Duration::from_secs(3601))
        .expect("works");
    assert_eq!(files(&bench), 0);
}

#[test]
fn a_second_hub_on_the_same_store_is_told_so() {
    let bench = Bench::new();
    let error = Store::open(&rules(&bench.dir())).expect_err("in use");
    assert!(error.to_string().contains("another booth-hub"), "{error}");
}

#[test]
fn a_database_of_a_newer_hub_is_left_alone() {
    let bench = Bench::new();
    let dir = bench.dir();
    drop(bench.store);
    let db = Connection::open(database_in(&dir)).expect("opens");
    db.pragma_update(None, "user_version", 99).expect("sets");
    drop(db);
    let error = Store::open(&rules(&dir)).expect_err("newer");
    assert!(error.to_string().contains("newer hub"), "{error}");
}

#[test]
fn forgetting_beside_a_running_store_removes_the_booth() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    let booth = BoothId::parse(BOOTH).expect("an id");
    forget_booth(&bench.dir(), &booth).expect("forgets");
    assert!(bench.fleet().booths.is_empty());
}

#[test]
fn a_fleet_that_cannot_be_read_is_unknown_and_not_well() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "serial");
    let fleet = crate::view::Views::fleet(&bench.views());
    assert_eq!((fleet.is_unknown, fleet.booths.len()), (false, 1));
    let db = booth_database::Connection::open(database_in(&bench.dir())).expect("opens");
    db.execute_batch("DROP TABLE alert").expect("dropped");
    let fleet = crate::view::Views::fleet(&bench.views());
    assert_eq!((fleet.is_unknown, fleet.booths.len()), (true, 0));
    assert!(fleet.broker_detail.contains("cannot be read"));
}

#[test]
fn a_manifest_that_says_odd_things_beside_its_words_holds_up_no_page_and_no_other_message() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "serial");
    let mut odd = numbered(1);
    odd.manifest["key_ids"] = json!(5);
    odd.manifest["speech_ratio"] = json!("loud");
    odd.manifest["rms_dbfs"] = json!({});
    assert_eq!(status(bench.whole(&odd)), Some(AckStatus::Stored));
    // Some programs put a byte order mark before a text.
    let marked = numbered(2);
    let topic = format!("{BOOTH}/clip/{}", marked.id);
    let text = format!("\u{feff}{}", marked.manifest);
    bench.send(&topic, text.as_bytes());
    let len = marked.body.len();
    let parts = (0..len).step_by(16_384);
    let last = parts.fold(None, |_, from| {
        bench.part(&marked, from, (from + 16_384).min(len))
    });
    assert_eq!(status(last), Some(AckStatus::Stored));
    let mut right = numbered(3);
    right.manifest["rms_dbfs"] = json!(-24);
    assert_eq!(status(bench.whole(&right)), Some(AckStatus::Stored));

    assert_eq!(bench.views().answers(10).clips.len(), 3);
    let mut config = crate::config::HubConfig::default();
    config.store.dir = bench.dir();
    let centre = crate::centre::HubCentre::open(config, Arc::new(bench.views())).expect("opens");
    let arrived = booth_city::centre::Centre::arrived(&centre, 0, 10).expect("read");
    let levels: Vec<Option<f64>> = arrived.iter().map(|(_, one)| one.rms_dbfs).collect();
    assert_eq!(levels, [None, None, Some(-24.0)]);
}
