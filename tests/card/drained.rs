//! A pulled card is sent from a laptop: over a real Mosquitto with the shipped access rules, to a real hub.
#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use booth_stage::program::Program;
use booth_testkit::card_reader::card_id;
use booth_testkit::centre::Centre;
use booth_testkit::city_broker::CityBroker;
use booth_testkit::hub::{Booth, Broker, Home, Hub};
use booth_testkit::proxy::{Mode, Proxy};
use booth_testkit::spool_rig::{open, record};
use booth_testkit::wait::until;
use serde_json::{Value, json};

use super::pulled::{Pulled, hash, text};

const USERS: [&str; 5] = ["hub", "courier", "operations", "rundhoej-1", "gellerup-2"];

/// A city's broker and hub, and a laptop's folder.
struct City {
    broker: CityBroker,
    home: Home,
    _hub: Option<Hub>,
    laptop: tempfile::TempDir,
}

/// How a drain ended: its status, what it said, and its receipt.
struct Drained {
    status: Option<i32>,
    said: String,
    receipt: Value,
}

impl Drained {
    fn fates(&self) -> Vec<&str> {
        let clips = self.receipt["clips"].as_array().into_iter().flatten();
        clips.filter_map(|clip| clip["fate"].as_str()).collect()
    }
}

impl City {
    fn new() -> Self {
        let city = Self::without_hub();
        let hub = Hub::start(&city.home);
        Self {
            _hub: Some(hub),
            ..city
        }
    }

    fn without_hub() -> Self {
        let broker = CityBroker::start(&USERS.map(|user| (user, "right")));
        let login = "username = \"hub\"\npassword_file = \"password\"\n[[booth]]\nid = \"rundhoej-1\"\n[[booth]]\nid = \"gellerup-2\"\n";
        let home = Home::new(broker.port, login);
        let laptop = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join("password"), "right\n").expect("written");
        std::fs::write(laptop.path().join("right"), "right\n").expect("written");
        std::fs::write(laptop.path().join("wrong"), "wrong\n").expect("written");
        Self {
            broker,
            home,
            _hub: None,
            laptop,
        }
    }

    fn centre(&self) -> Centre {
        Centre::open(&self.home.path().join("store")).expect("a store")
    }

    /// The ids of the clips that the hub has counted or holds, in no order.
    fn ids(&self) -> Vec<String> {
        let clips = self.centre().clips(None).expect("clips");
        let mut ids: Vec<String> = clips.into_iter().map(|clip| clip.clip_id).collect();
        ids.sort();
        ids
    }

    fn command(
        &self,
        card: &Path,
        user: &str,
        port: u16,
        receipt: &Path,
        more: &[&str],
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_booth-gateway"));
        command
            .args(["spool", "drain", text(card), "--user", user])
            .args(["--url", &format!("mqtt://127.0.0.1:{port}")])
            .args(["--receipt", text(receipt)]);
        if !more.contains(&"--password-file") {
            let password = self.laptop.path().join("right");
            command.args(["--password-file", text(&password)]);
        }
        command.args(more);
        command
    }

    /// A name that no receipt has yet.
    fn receipt(&self) -> PathBuf {
        let taken = std::fs::read_dir(self.laptop.path()).expect("a folder");
        self.laptop
            .path()
            .join(format!("receipt-{}.json", taken.count()))
    }

    fn drains_as(&self, user: &str, card: &Path, more: &[&str]) -> Drained {
        let receipt = self.receipt();
        let ran = self
            .command(card, user, self.broker.port, &receipt, more)
            .output()
            .expect("it runs");
        drained(ran.status.code(), &ran.stdout, &ran.stderr, &receipt)
    }

    fn drains(&self, card: &Path, more: &[&str]) -> Drained {
        self.drains_as("courier", card, more)
    }
}

fn drained(status: Option<i32>, out: &[u8], errors: &[u8], receipt: &Path) -> Drained {
    let said = String::from_utf8_lossy(out) + String::from_utf8_lossy(errors);
    let receipt = std::fs::read(receipt).unwrap_or_default();
    Drained {
        status,
        said: said.into_owned(),
        receipt: serde_json::from_slice(&receipt).unwrap_or_default(),
    }
}

/// A card of `rundhoej-1` with so many whole messages and nothing else.
fn card_of(folder: &Path, clips: usize) -> Vec<String> {
    card_with(folder, clips, 3)
}

/// The same with messages of so many half seconds.
fn card_with(folder: &Path, clips: usize, frames: usize) -> Vec<String> {
    let (spool, _) = open(folder);
    let kept = (0..clips).map(|_| record(&spool, frames).clip_id.to_string());
    let mut ids: Vec<String> = kept.collect();
    ids.sort();
    ids
}

#[test]
fn a_card_after_a_power_cut_is_sent_over_the_shipped_rules_and_no_byte_of_it_changes() {
    let city = City::new();
    let pulled = Pulled::new();
    let card = pulled.card(true);
    let before = hash(&card);
    let sent = city.drains(&card, &[]);
    // What the power cut ended needs a booth: the card is not to be wiped.
    assert_eq!(sent.status, Some(1), "{}", sent.said);
    assert!(
        sent.said
            .contains("booth rundhoej-1: 3 of 3 messages and votes are at the hub")
            && sent.said.contains("a power cut ended it")
            && sent.said.contains("keep the card"),
        "{}",
        sent.said
    );
    assert!(sent.said.contains("sending 100 %"), "{}", sent.said);
    assert_eq!(sent.fates(), ["stored"; 3]);
    assert_eq!(
        sent.receipt["withdrawals"][0]["fate"], "stored",
        "{}",
        sent.receipt
    );
    assert_eq!(
        (&sent.receipt["ended"], &sent.receipt["is_all_there"]),
        (&json!("done"), &json!(0))
    );
    assert!(hash(&card) == before, "the card has changed");
    let mut ids = pulled.ids.clone();
    ids.sort();
    assert_eq!(city.ids(), ids);
    // Byte for byte as the booth would have sent them.
    let (spool, _) = open(&pulled.spool());
    for id in &ids {
        let kept = std::fs::read(city.home.clip_file(id)).expect("the hub's file");
        let own = spool
            .read_body(&id.as_str().into(), 0, usize::MAX)
            .expect("a body");
        assert!(kept == own, "{id}");
    }
}

#[test]
fn messages_of_two_booths_on_one_card_go_each_in_the_name_of_its_own_booth() {
    let city = City::new();
    let pulled = Pulled::of(&["rundhoej-1", "gellerup-2"]);
    let card = card_id(&pulled.spool()).expect("a card");
    for id in ["rundhoej-1", "gellerup-2"] {
        // The card was in both booths, and each has said so.
        let booth = Booth::logged_in(city.broker.port, id, Some("right"), &[]);
        let birth = json!({"schema": 1, "booth_id": id, "name": id, "session": "1-5", "card_id": &card, "sw_version": "0.1.0", "health_interval_s": 60});
        booth.publish("birth", true, birth.to_string());
        booth.is_judged();
    }
    let sent = city.drains(&pulled.spool(), &[]);
    assert_eq!(sent.fates(), ["stored"; 2], "{}", sent.said);
    assert!(
        sent.said.contains("booth gellerup-2: 1 of 1")
            && sent.said.contains("name it with --booth"),
        "{}",
        sent.said
    );
    for booth in ["rundhoej-1", "gellerup-2"] {
        assert_eq!(city.centre().count(booth), Ok(1), "{booth}");
    }
    let sent = city.drains(&pulled.spool(), &["--booth", "gellerup-2"]);
    let slip = &sent.receipt["withdrawals"][0];
    assert_eq!(
        (&slip["fate"], &slip["booth_id"]),
        (&json!("stored"), &json!("gellerup-2"))
    );
}

#[test]
fn what_the_hub_has_already_is_confirmed_at_once_and_nothing_is_stored_twice() {
    let city = City::new();
    let card = city.laptop.path().join("card");
    let first = card_of(&card, 3);
    let sent = city.drains(&card, &[]);
    assert_eq!(sent.status, Some(0), "{}", sent.said);
    assert!(
        sent.said.contains("may be used for something else"),
        "{}",
        sent.said
    );
    assert_eq!(city.ids(), first);
    let mut all = [first, card_of(&card, 4)].concat();
    all.sort();
    let before = all
        .iter()
        .map(|id| hash(&booth_testkit::spool_rig::clip_file(&card, id)));
    let before: Vec<_> = before.collect();
    let sent = city.drains(&card, &[]);
    assert_eq!(
        (sent.status, sent.fates()),
        (Some(0), vec!["stored"; 7]),
        "{}",
        sent.said
    );
    assert_eq!(city.ids(), all);
    let after = all
        .iter()
        .map(|id| hash(&booth_testkit::spool_rig::clip_file(&card, id)));
    assert!(after.eq(before));
    // The booth into which the card goes back is told the same.
    let sent = city.drains_as("rundhoej-1", &card, &[]);
    assert_eq!(
        (sent.status, sent.fates()),
        (Some(0), vec!["stored"; 7]),
        "{}",
        sent.said
    );
    assert_eq!(city.ids(), all);
}

#[test]
fn a_courier_is_in_no_booths_way_and_two_with_one_name_end_with_a_sentence() {
    let city = City::without_hub();
    let card = city.laptop.path().join("card");
    card_of(&card, 2);
    // It comes back whenever it is thrown off, as a booth does.
    let mut on_line = Program::start(
        "mosquitto_sub",
        Command::new("mosquitto_sub")
            .args([
                "-p",
                &city.broker.port.to_string(),
                "-V",
                "5",
                "-t",
                "booth/1/hub/state",
            ])
            .args(["-u", "rundhoej-1", "-P", "right"]),
    )
    .expect("mosquitto_sub runs");
    let connects = || city.broker.said("as rundhoej-1 ");
    until("the booth is on line", || (connects() == 1).then_some(()));
    let sent = city.drains(&card, &["--patience", "2"]);
    assert_eq!(sent.status, Some(1), "{}", sent.said);
    assert_eq!(sent.receipt["may_succeed_later"], 1, "{}", sent.said);
    assert_eq!(connects(), 1, "the booth was thrown off");
    let sent = city.drains_as("rundhoej-1", &card, &["--patience", "120"]);
    assert_eq!(sent.status, Some(1), "{}", sent.said);
    assert_eq!(sent.receipt["ended"], "name_in_use", "{}", sent.said);
    assert!(
        sent.said
            .contains("rundhoej-1 itself is most likely on line")
            && sent.said.contains("\"courier\""),
        "{}",
        sent.said
    );
    on_line.kill();
}

#[test]
fn a_wrong_password_or_name_ends_at_once_and_says_what_to_look_at() {
    let city = City::new();
    let card = city.laptop.path().join("card");
    card_of(&card, 1);
    let wrong = city.laptop.path().join("wrong");
    let sent = city.drains(&card, &["--password-file", text(&wrong)]);
    assert_eq!(sent.status, Some(1), "{}", sent.said);
    assert!(
        sent.said.contains("refuses user \"courier\"") && sent.said.contains("--password-file"),
        "{}",
        sent.said
    );
    assert_eq!(
        (&sent.receipt["ended"], sent.fates()),
        (&json!("login_refused"), vec!["unanswered"])
    );
    let sent = city.drains_as("operations", &card, &[]);
    assert_eq!(sent.status, Some(1), "{}", sent.said);
    assert!(sent.said.contains("log in as \"courier\""), "{}", sent.said);
    assert!(city.ids().is_empty());
}

#[test]
fn a_broker_without_the_couriers_rules_is_named_as_the_reason() {
    let rules = "allow_anonymous true\nacl_file acl\n";
    let broker = Broker::start(rules, |folder| {
        let acl = "user hub\ntopic readwrite booth/1/#\nuser courier\ntopic read booth/1/#\n";
        std::fs::write(folder.join("acl"), acl).expect("written");
    });
    let city = City::without_hub();
    let home = Home::new(
        broker.port,
        "username = \"hub\"\n[[booth]]\nid = \"rundhoej-1\"\n",
    );
    let hub = Hub::start(&home);
    let card = city.laptop.path().join("card");
    card_of(&card, 2);
    let receipt = city.receipt();
    let ran = city
        .command(&card, "courier", broker.port, &receipt, &[])
        .output()
        .expect("it runs");
    let sent = drained(ran.status.code(), &ran.stdout, &ran.stderr, &receipt);
    assert_eq!(
        (sent.status, sent.fates()),
        (Some(1), vec!["not_let_through"; 2]),
        "{}",
        sent.said
    );
    assert!(sent.said.contains("docs/mosquitto.acl"), "{}", sent.said);
    assert!(hub.stop().success());
}

#[test]
fn a_broker_that_goes_away_in_the_middle_is_waited_for_and_then_told() {
    let city = City::new();
    let proxy = Proxy::before(city.broker.port).expect("a proxy");
    let card = city.laptop.path().join("card");
    let ids = card_with(&card, 12, 24);
    proxy.set(Mode::Throttle(400_000));
    let starts = |receipt: &Path, patience: &str| {
        let more = ["--patience", patience];
        let mut command = city.command(&card, "courier", proxy.port, receipt, &more);
        Program::start("drain", &mut command).expect("it runs")
    };
    // It does not come back.
    let first = city.receipt();
    let mut sending = starts(&first, "2");
    until("something has passed", || {
        (proxy.passed() > 100_000).then_some(())
    });
    proxy.set(Mode::Reset);
    let status = sending.ends().expect("it ends");
    let sent = drained(status.code(), b"", sending.tail().as_bytes(), &first);
    assert_eq!(
        (status.code(), &sent.receipt["ended"]),
        (Some(1), &json!("no_broker")),
        "{}",
        sent.said
    );
    assert!(sent.fates().contains(&"unanswered"), "{}", sent.receipt);
    let why = sent.receipt["why"].as_str().unwrap_or_default();
    assert!(
        why.contains("cannot be reached") || why.contains("connection"),
        "{why}"
    );
    assert!(why.contains("later"), "{why}");
    // It comes back.
    let passed = proxy.passed();
    proxy.set(Mode::Throttle(400_000));
    let second = city.receipt();
    let mut sending = starts(&second, "60");
    until("something has passed again", || {
        (proxy.passed() > passed + 20_000).then_some(())
    });
    proxy.set(Mode::Reset);
    proxy.set(Mode::Pass);
    let status = sending.ends().expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", sending.tail());
    assert_eq!(city.ids(), ids);
}

#[test]
fn a_hub_that_is_away_or_never_answers_ends_the_wait_with_a_sentence_of_its_own() {
    let city = City::without_hub();
    let card = city.laptop.path().join("card");
    card_of(&card, 2);
    let sent = city.drains(&card, &["--patience", "1"]);
    assert_eq!(
        (sent.status, &sent.receipt["ended"]),
        (Some(1), &json!("hub_away")),
        "{}",
        sent.said
    );
    assert!(sent.said.contains("booth-hub serve"), "{}", sent.said);
    // It says that it is there, listens, and answers nothing.
    let mute = Booth::logged_in(
        city.broker.port,
        "hub",
        Some("right"),
        &["booth/1/up/#".into()],
    );
    let state = json!({"state": "online", "ts": "2026-11-29T10:00:00.000Z", "version": "0", "schemas": [1]});
    mute.publish_at("booth/1/hub/state", true, state.to_string());
    mute.is_judged();
    let sent = city.drains(&card, &["--patience", "2"]);
    assert_eq!(
        (sent.status, &sent.receipt["ended"]),
        (Some(1), &json!("hub_silent")),
        "{}",
        sent.said
    );
    assert_eq!(sent.fates(), ["unanswered"; 2]);
    // The messages themselves were offered.
    until("a manifest came", || {
        let publish = mute.try_hear(Duration::from_millis(200))?;
        String::from_utf8_lossy(&publish.topic)
            .contains("/up/rundhoej-1/clip/")
            .then_some(())
    });
}

#[test]
fn a_message_of_a_newer_version_or_with_damage_stays_and_the_rest_is_sent() {
    let city = City::new();
    let pulled = Pulled::new();
    let file = |at: usize| booth_testkit::spool_rig::clip_file(&pulled.spool(), &pulled.ids[at]);
    let mut newer = std::fs::read(file(0)).expect("a clip");
    newer[7] = 2;
    std::fs::write(file(0), &newer).expect("written");
    let mut damaged = std::fs::read(file(1)).expect("a clip");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    std::fs::write(file(1), &damaged).expect("written");
    let before = (hash(&file(0)), hash(&file(1)));
    let sent = city.drains(&pulled.spool(), &[]);
    assert_eq!(
        (sent.status, sent.fates()),
        (Some(1), vec!["stored"]),
        "{}",
        sent.said
    );
    assert!(
        sent.said.contains("version 2 of the format") && sent.said.contains("is not whole"),
        "{}",
        sent.said
    );
    assert_eq!(city.ids(), [pulled.ids[2].clone()]);
    assert!((hash(&file(0)), hash(&file(1))) == before);
}

#[test]
fn a_receipt_that_is_there_or_would_lie_on_the_card_keeps_anything_from_being_sent() {
    let city = City::new();
    let card = city.laptop.path().join("card");
    card_of(&card, 1);
    for (name, words) in [
        ("right", "cannot be written"),
        ("card/receipt.json", "only read"),
        ("none/r.json", "cannot be written"),
    ] {
        let receipt = city.laptop.path().join(name);
        let ran = city
            .command(&card, "courier", city.broker.port, &receipt, &[])
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(
            ran.status.code() == Some(1) && said.contains(words),
            "{name}: {said}"
        );
    }
    assert!(city.ids().is_empty());
    let password = std::fs::read_to_string(city.laptop.path().join("right"));
    assert_eq!(password.expect("kept"), "right\n");
}
