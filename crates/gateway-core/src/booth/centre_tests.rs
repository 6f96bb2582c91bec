//! Commands of the centre to a whole booth, with a card that keeps what it is told, loses power, or refuses.

use booth_contract::time::Timestamp;
use booth_contract::{BoothId, Signed, Topics};
use serde_json::{Value, json};

use super::tests::{around, booth_with, works};
use super::*;
use crate::commands::MOST_WAITING;
use crate::delivery::Offer;
use crate::orders::Remembered;
use crate::quarantine::Note;
use crate::session::HandsetEvent;

const NOON: Mono = Mono(30_000);

/// A signature in these tests is made from the text and a key.
fn minisig(body: &str, key: &str) -> String {
    format!(
        "{key}:{}:{}",
        body.len(),
        body.bytes().map(u64::from).sum::<u64>()
    )
}

fn rules(boot_id: &str) -> CentreRules {
    let booth = BoothId::parse("rundhoej-1").expect("an id");
    CentreRules {
        restarts: Ok(()),
        seals: true,
        privacy: "as in booth.toml".into(),
        checks: Checks {
            signature: Box::new(|body, signature| match signature == minisig(body, "city") {
                true => Ok(()),
                false => Err("the signature is wrong".into()),
            }),
            update_address: Box::new(|_| Ok(())),
            recipients: Box::new(
                |keys, _| match keys.iter().all(|key| key.starts_with("age1")) {
                    true => Ok(()),
                    false => Err("recipients: entry 1: this is a PRIVATE key".into()),
                },
            ),
        },
        ..CentreRules::bare(booth, Topics::new("booth/1"), boot_id.into())
    }
}

/// A booth on a card.
struct Rig {
    booth: Booth,
    /// What the card has.
    card: Remembered,
    /// Why the card refuses, if it does.
    refuses: Option<String>,
    /// Memories that the keeper has not written yet.
    at_keeper: Vec<Remembered>,
    keeper_waits: bool,
    clock_synced: bool,
    has_spool: bool,
    replies: Vec<(String, Value)>,
    deeds: Vec<String>,
    now: Mono,
    clips: u64,
}

impl Rig {
    fn new() -> Self {
        Self::with(Remembered::default(), "boot-1")
    }

    /// A start with this card, in this boot.
    fn with(card: Remembered, boot_id: &str) -> Self {
        Self::start(card, boot_id, true)
    }

    fn start(card: Remembered, boot_id: &str, clock_synced: bool) -> Self {
        let mut rig = Self {
            booth: booth_with(rules(boot_id)),
            card: card.clone(),
            refuses: None,
            at_keeper: Vec::new(),
            keeper_waits: false,
            clock_synced,
            has_spool: true,
            replies: Vec::new(),
            deeds: Vec::new(),
            now: NOON,
            clips: 0,
        };
        works(&mut rig.booth);
        rig.booth.evidence.no_recipient = true;
        rig.happen(Event::Connected { max_packet: None });
        rig.open(card);
        rig
    }

    fn open(&mut self, memory: Remembered) {
        self.happen(Event::SpoolOpened {
            saved: Default::default(),
            card_id: "card-1".into(),
            boot_count: 1,
            is_known: false,
            watchdog_reset: false,
            first_seen: Some(at("2026-01-01T00:00:00Z")),
            memory: Box::new(memory),
        });
    }

    fn around(&self) -> Around {
        Around {
            clock_synced: self.clock_synced,
            has_spool: self.has_spool,
            ..around(self.now)
        }
    }

    fn happen(&mut self, event: Event) {
        let around = self.around();
        let mut commands = self.booth.handle(self.now, &around, event);
        while !commands.is_empty() {
            for command in std::mem::take(&mut commands) {
                match command {
                    Command::Reply(reply) => {
                        let correlation = reply.to.correlation.unwrap_or_default();
                        let to = String::from_utf8(correlation).expect("text");
                        self.replies.push((to, reply.payload));
                    }
                    Command::Remember(memory) => self.at_keeper.push(*memory),
                    Command::SealTo(keys) => self.deeds.push(format!("seal to {keys:?}")),
                    Command::Purge { clip_id, .. } => self.deeds.push(format!("purge {clip_id}")),
                    Command::Restart => self.deeds.push("restart".into()),
                    Command::Reload => self.deeds.push("reload".into()),
                    _ => {}
                }
            }
            if !self.keeper_waits
                && let Some(memory) = self.at_keeper.pop()
            {
                let written = match &self.refuses {
                    None => {
                        self.card = memory.clone();
                        Ok(Box::new(memory))
                    }
                    Some(why) => Err(why.clone()),
                };
                commands = self
                    .booth
                    .handle(self.now, &around, Event::Remembered(written));
            }
        }
    }

    /// The keeper does what waits for it.
    fn keeper_works(&mut self) {
        self.keeper_waits = false;
        self.happen(Event::Turn);
        if let Some(memory) = self.at_keeper.pop() {
            self.card = memory.clone();
            self.happen(Event::Remembered(Ok(Box::new(memory))));
        }
    }

    fn asks(&mut self, who: &str, command: &str, payload: &[u8]) {
        self.happen(Event::Incoming {
            topic: format!("booth/1/dn/rundhoej-1/cmd/{command}"),
            payload: payload.to_vec(),
            correlation: Some(who.as_bytes().to_vec()),
        });
    }

    fn turn(&mut self) {
        self.happen(Event::Turn);
    }

    fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
        self.turn();
    }

    /// What was answered since this was asked last.
    fn said(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.replies)
    }

    fn only_answer(&mut self) -> Value {
        let mut said = self.said();
        assert_eq!(said.len(), 1, "{said:?}");
        said.remove(0).1
    }

    fn did(&mut self) -> Vec<String> {
        std::mem::take(&mut self.deeds)
    }

    fn lift(&mut self) {
        self.happen(Event::Visit(Input::Handset(HandsetEvent::Lifted)));
    }

    fn hang_up(&mut self) {
        self.happen(Event::Visit(Input::Handset(HandsetEvent::HungUp)));
    }

    /// A clip lies in quarantine.
    fn quarantined(&mut self, clip_id: &str) {
        let note = Note::refused("no", None);
        self.booth.quarantine.entered(&clip_id.into(), note);
    }

    /// A clip waits to be sent.
    fn unsent(&mut self) -> Offer {
        self.clips += 1;
        let offer = Offer {
            clip_id: format!("clip-{}", self.clips).into(),
            bytes: 10,
            sha256: "00".into(),
            kept_at_ms: 0,
            fixed: true,
            is_withdrawal: false,
        };
        self.booth.delivery.keep(offer.clone(), false);
        offer
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// Today, by the clock of these tests.
fn today(now: Mono) -> Timestamp {
    around(now).wall
}

fn body(command: &str, nonce: &str, own: Value) -> Value {
    let issued = today(NOON);
    let expires = issued + Duration::from_secs(3_600);
    let mut body = json!({
        "booth": "rundhoej-1",
        "command": command,
        "issued_at": issued.to_string(),
        "expires_at": expires.to_string(),
        "nonce": nonce,
    });
    let own = own.as_object().expect("keys").clone();
    body.as_object_mut().expect("keys").extend(own);
    body
}

fn signed(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let minisig = minisig(&body, "city");
    Signed { body, minisig }.to_json()
}

fn recipients(version: u64, nonce: &str) -> Vec<u8> {
    let own = json!({ "version": version, "recipients": ["age1new"], "key_until": "2027-03-31" });
    signed(&body("recipients", nonce, own))
}

#[test]
fn a_signed_command_acts_once_and_only_after_the_card_has_its_nonce() {
    let mut rig = Rig::new();
    rig.keeper_waits = true;
    rig.quarantined("c");
    let purge = signed(&body("purge", "n-1", json!({ "clip_id": "c" })));
    rig.asks("a", "purge", &purge);
    assert!(
        rig.did().is_empty() && rig.said().is_empty(),
        "nothing is on the card yet"
    );
    rig.keeper_works();
    assert_eq!(rig.did(), ["purge c"]);
    assert!(rig.card.nonces.is_free("n-1").is_err());
    let void = rig.unsent();
    rig.happen(Event::Purged {
        clip_id: "c".into(),
        result: Ok((7, void)),
    });
    assert_eq!(
        rig.only_answer(),
        json!({ "ok": 1, "clip_id": "c", "clip_no": 7 })
    );
    assert!(rig.card.waiting.is_empty() && rig.booth.quarantine.is_empty());
    // The same bytes again, here and after a restart.
    for _ in 0..2 {
        rig.quarantined("c");
        rig.asks("a", "purge", &purge);
        let answer = rig.only_answer();
        assert!(
            answer["ok"] == 0 && answer["error"].to_string().contains("nonce"),
            "{answer}"
        );
        assert!(rig.did().is_empty());
        rig = Rig::with(rig.card, "boot-2");
    }
}

#[test]
fn every_field_changed_in_turn_is_refused_with_a_sentence_and_takes_no_place() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 13] = [
        ("another booth", |body| body["booth"] = json!("rundhoej-2")),
        ("another booth", |body| {
            body["booth"] = json!(["rundhoej-2"])
        }),
        ("as the command", |body| body["command"] = json!("purge")),
        ("expired", |body| {
            body["issued_at"] = json!("2026-11-20T00:00:00Z");
            body["expires_at"] = json!("2026-11-21T00:00:00Z");
        }),
        ("before this card", |body| {
            body["issued_at"] = json!("2025-12-31T00:00:00Z");
            body["expires_at"] = json!("2026-01-02T00:00:00Z");
        }),
        ("7 days", |body| {
            body["expires_at"] = json!("2027-12-31T00:00:00Z")
        }),
        ("issued_at", |body| body["issued_at"] = json!("yesterday")),
        ("nonce", |body| body["nonce"] = json!("")),
        ("version", |body| body["version"] = json!("1")),
        ("version 0", |body| body["version"] = json!(0)),
        ("recipients", |body| body["recipients"] = json!([])),
        ("PRIVATE", |body| {
            body["recipients"] = json!(["AGE-SECRET-KEY-1"])
        }),
        ("key_until", |body| body["key_until"] = json!(7)),
    ];
    let mut rig = Rig::new();
    rig.asks("a", "recipients", &recipients(0, "first"));
    assert_eq!(rig.only_answer(), json!({ "ok": 1, "version": 0 }));
    rig.did();
    let before = rig.card.clone();
    for (why, change) in changes {
        let own = json!({ "version": 1, "recipients": ["age1new"] });
        let mut wanted = body("recipients", "n-1", own);
        change(&mut wanted);
        // A card that was first seen late, so that "expired" is not the first thing that is found.
        rig.asks("a", "recipients", &signed(&wanted));
        let answer = rig.only_answer();
        let said = answer["error"].to_string();
        let is_either = said.contains(why) || (why.contains("before") && said.contains("expired"));
        assert!(answer["ok"] == 0 && is_either, "{why}: {answer}");
        // Signed by somebody else, whatever it says.
        let text = wanted.to_string();
        let forged = Signed {
            minisig: minisig(&text, "thief"),
            body: text,
        };
        rig.asks("a", "recipients", &forged.to_json());
        let answer = rig.only_answer();
        assert!(
            answer["error"].to_string().contains("signature is wrong"),
            "{answer}"
        );
        assert!(rig.did().is_empty() && rig.booth.desk.waiting.commands().count() == 0);
    }
    for unsigned in [
        &b"{}"[..],
        b"",
        br#"{"body":"{}"}"#,
        br#"{"version":2,"recipients":["age1x"]}"#,
    ] {
        rig.asks("a", "recipients", unsigned);
        assert!(
            rig.only_answer()["error"]
                .to_string()
                .contains("not signed")
        );
    }
    assert_eq!(rig.card, before);
}

#[test]
fn without_a_right_clock_a_command_waits_is_answered_twice_and_survives_a_restart() {
    let mut rig = Rig::new();
    rig.clock_synced = false;
    let order = recipients(3, "n-1");
    rig.asks("a", "recipients", &order);
    rig.asks("b", "recipients", &order);
    let waits = json!({ "ok": 0, "waiting": "clock" });
    assert_eq!(
        rig.said(),
        [("a".into(), waits.clone()), ("b".into(), waits)]
    );
    assert!(rig.did().is_empty());
    // Another text under the same nonce is none of ours to choose between.
    rig.asks("c", "recipients", &recipients(4, "n-1"));
    assert_eq!(rig.only_answer()["ok"], 0);
    // The machine starts again; its clock becomes right an hour later.
    let mut rig = Rig::with(rig.card, "boot-2");
    rig.clock_synced = false;
    rig.turn();
    assert!(rig.said().is_empty());
    rig.clock_synced = true;
    rig.turn();
    let said = rig.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], ("a".into(), json!({ "ok": 1, "version": 3 })));
    assert_eq!(said[1].0, "b");
    assert_eq!(rig.did(), ["seal to [\"age1new\"]"]);
    assert!(rig.card.waiting.is_empty());
    assert!(!rig.booth.evidence.no_recipient);
}

#[test]
fn what_expired_while_the_clock_was_wrong_is_refused_at_its_end() {
    let mut rig = Rig::new();
    rig.clock_synced = false;
    rig.asks("a", "recipients", &recipients(3, "n-1"));
    rig.said();
    rig.wait(Duration::from_secs(3_601));
    assert!(rig.said().is_empty(), "it waits however long that takes");
    rig.clock_synced = true;
    rig.turn();
    assert!(rig.only_answer()["error"].to_string().contains("expired"));
    assert!(rig.did().is_empty() && rig.card.waiting.is_empty());
    // The time that was seen counts, whatever the clock says afterwards.
    rig.clock_synced = false;
    rig.now = NOON;
    rig.asks("a", "recipients", &recipients(4, "n-2"));
    assert!(rig.only_answer()["error"].to_string().contains("expired"));
}

#[test]
fn what_waits_when_the_technician_takes_the_key_away_is_refused() {
    let mut rig = Rig::new();
    rig.clock_synced = false;
    rig.asks("a", "recipients", &recipients(3, "n-1"));
    rig.said();
    let mut card = rig.card;
    card.waiting[0].minisig = "thief".into();
    let mut rig = Rig::with(card, "boot-2");
    assert!(
        rig.only_answer()["error"]
            .to_string()
            .contains("signature is wrong")
    );
    assert!(rig.did().is_empty() && rig.card.waiting.is_empty());
}

#[test]
fn a_card_that_takes_no_note_has_nothing_done_and_the_asker_hears_why() {
    let mut rig = Rig::new();
    rig.asks("a", "recipients", &recipients(1, "n-0"));
    rig.said();
    rig.did();
    rig.refuses = Some("no space left".into());
    rig.quarantined("c");
    rig.asks("a", "recipients", &recipients(2, "n-1"));
    rig.asks(
        "a",
        "purge",
        &signed(&body("purge", "n-2", json!({ "clip_id": "c" }))),
    );
    rig.asks("a", "reboot", &signed(&body("reboot", "n-3", json!({}))));
    let said = rig.said();
    assert_eq!(said.len(), 3);
    for (_, answer) in said {
        assert!(
            answer["error"].to_string().contains("no space left"),
            "{answer}"
        );
    }
    rig.turn();
    assert!(rig.did().is_empty());
    let version = |rig: &Rig| rig.booth.recipients().map(|kept| kept.version);
    assert_eq!(version(&rig), Some(1));
    // The nonces stay taken, and are written when the card takes writes again.
    rig.refuses = None;
    rig.wait(Duration::from_secs(600));
    rig.asks("a", "recipients", &recipients(2, "n-1"));
    assert_eq!(rig.only_answer()["ok"], 0);
    assert!(rig.card.nonces.is_free("n-3").is_err() && rig.card.waiting.is_empty());
    assert_eq!(version(&rig), Some(1));
    rig.has_spool = false;
    rig.asks("a", "recipients", &recipients(2, "n-4"));
    assert!(rig.only_answer()["error"].to_string().contains("not open"));
}

#[test]
fn recipients_rise_hold_over_a_restart_and_give_way_to_a_new_privacy_of_the_technician() {
    let mut rig = Rig::new();
    rig.asks("a", "recipients", &recipients(5, "n-1"));
    assert_eq!(rig.did(), ["seal to [\"age1new\"]"]);
    rig.said();
    for version in [0, 4, 5] {
        let nonce = format!("low-{version}");
        rig.asks("a", "recipients", &recipients(version, &nonce));
        let answer = rig.only_answer();
        assert!(answer["error"].to_string().contains("higher"), "{answer}");
    }
    let mut again = Rig::with(rig.card.clone(), "boot-2");
    assert_eq!(again.did(), ["seal to [\"age1new\"]"]);
    // The technician writes another [privacy].
    let mut card = rig.card;
    card.recipients.as_mut().expect("some").instead_of = "another".into();
    let mut other = Rig::with(card, "boot-3");
    assert!(other.did().is_empty());
    assert_eq!(other.booth.recipients(), None);
    // An old command does not come back through that.
    other.asks("a", "recipients", &recipients(5, "n-9"));
    assert_eq!(other.only_answer()["ok"], 0);
    other.asks("a", "recipients", &recipients(6, "n-10"));
    assert_eq!(other.only_answer(), json!({ "ok": 1, "version": 6 }));
}

#[test]
fn what_was_issued_before_a_new_card_is_refused_also_where_its_first_clock_was_wrong() {
    let before = |by_s: u64| {
        let mut body = body("reboot", "n-1", json!({}));
        // The machine was started at the beginning of this test's time.
        let started = today(NOON) - Duration::from_millis(NOON.0);
        body["issued_at"] = (started - Duration::from_secs(by_s)).to_string().into();
        signed(&body)
    };
    // The card says January; the clock becomes right while the machine runs.
    let mut rig = Rig::start(Remembered::default(), "boot-1", false);
    rig.asks("a", "reboot", &before(60));
    rig.said();
    rig.clock_synced = true;
    rig.turn();
    let refused = rig.only_answer()["error"].to_string();
    assert!(refused.contains("before"), "{refused}");
    assert!(rig.did().is_empty());
    // The card knows it from then on, in whatever boot.
    let mut later = Rig::with(rig.card.clone(), "boot-2");
    later.asks("a", "reboot", &before(60));
    let refused = later.only_answer()["error"].to_string();
    assert!(refused.contains("before"), "{refused}");
    // What was issued since counts.
    let mut rig = Rig::start(Remembered::default(), "boot-1", false);
    rig.asks("a", "reboot", &signed(&body("reboot", "n-2", json!({}))));
    rig.clock_synced = true;
    rig.turn();
    rig.turn();
    assert_eq!(rig.did(), ["restart"]);
}

#[test]
fn a_booth_that_does_not_seal_takes_no_recipients() {
    let mut rig = Rig::new();
    rig.booth.rules.centre.seals = false;
    rig.asks("a", "recipients", &recipients(5, "n-1"));
    assert!(
        rig.only_answer()["error"]
            .to_string()
            .contains("seal = false")
    );
}

#[test]
fn a_restart_waits_for_the_citizen_and_for_an_update_and_is_known_after_it() {
    let mut rig = Rig::new();
    rig.lift();
    rig.asks("a", "reboot", &signed(&body("reboot", "n-1", json!({}))));
    rig.wait(Duration::from_secs(5));
    assert!(rig.did().is_empty() && rig.said().is_empty());
    // Another process goes on with it in the same boot.
    let card = rig.card.clone();
    rig.happen(Event::UpdateIs(UpdateStage::Writing("writing")));
    rig.hang_up();
    rig.turn();
    assert!(rig.did().is_empty(), "an update is under way");
    rig.happen(Event::UpdateIs(UpdateStage::None));
    rig.turn();
    rig.turn();
    assert_eq!(rig.did(), ["restart"], "once");
    rig.happen(Event::RestartAsked(Ok(())));
    assert_eq!(rig.only_answer(), json!({ "ok": 1, "restarting": 1 }));
    let mut same = Rig::with(card.clone(), "boot-1");
    same.turn();
    assert_eq!(same.did(), ["restart"]);
    same.happen(Event::RestartAsked(Err("no helper".into())));
    assert_eq!(same.only_answer(), json!({ "ok": 0, "error": "no helper" }));
    assert!(same.card.waiting.is_empty());
    // The machine was restarted meanwhile, whoever did that.
    let mut later = Rig::with(card, "boot-2");
    later.turn();
    assert!(later.did().is_empty());
    assert_eq!(later.only_answer(), json!({ "ok": 1, "restarted": 1 }));
    assert!(later.card.waiting.is_empty());
    later.booth.rules.centre.restarts = Err("it does not run the SD image".into());
    later.asks("a", "reboot", &signed(&body("reboot", "n-2", json!({}))));
    assert!(
        later.only_answer()["error"]
            .to_string()
            .contains("SD image")
    );
}

#[test]
fn only_what_is_in_quarantine_is_given_up_and_a_power_cut_in_between_goes_on() {
    let mut rig = Rig::new();
    for own in [
        json!({}),
        json!({ "clip_id": 7 }),
        json!({ "clip_id": "nowhere" }),
    ] {
        rig.asks("a", "purge", &signed(&body("purge", "n-1", own)));
        assert_eq!(rig.only_answer()["ok"], 0);
    }
    rig.quarantined("c");
    rig.asks(
        "a",
        "purge",
        &signed(&body("purge", "n-1", json!({ "clip_id": "c" }))),
    );
    assert_eq!(rig.did(), ["purge c"]);
    // The power goes before the keeper has done it.
    let mut again = Rig::with(rig.card, "boot-2");
    assert_eq!(again.did(), ["purge c"]);
    let void = again.unsent();
    again.happen(Event::Purged {
        clip_id: "c".into(),
        result: Ok((7, void)),
    });
    assert_eq!(
        again.said(),
        [("a".into(), json!({ "ok": 1, "clip_id": "c", "clip_no": 7 }))]
    );
    assert!(again.card.waiting.is_empty());
}

#[test]
fn at_most_ten_commands_wait_and_a_forged_one_takes_no_place() {
    let mut rig = Rig::new();
    rig.clock_synced = false;
    let forged = Signed {
        body: body("reboot", "x", json!({})).to_string(),
        minisig: "x".into(),
    };
    for _ in 0..20 {
        rig.asks("thief", "reboot", &forged.to_json());
    }
    rig.said();
    for n in 0..MOST_WAITING {
        rig.asks(
            "a",
            "reboot",
            &signed(&body("reboot", &format!("n-{n}"), json!({}))),
        );
    }
    let waits = json!({ "ok": 0, "waiting": "clock" });
    assert!(rig.said().iter().all(|(_, answer)| *answer == waits));
    rig.asks(
        "a",
        "reboot",
        &signed(&body("reboot", "one-more", json!({}))),
    );
    assert!(
        rig.only_answer()["error"]
            .to_string()
            .contains("ten commands")
    );
    assert_eq!(rig.card.waiting.len(), MOST_WAITING);
    // Those that wait already are answered with their own.
    rig.asks("b", "reboot", &signed(&body("reboot", "n-3", json!({}))));
    assert_eq!(rig.only_answer(), waits);
}

#[test]
fn an_emptied_booth_invites_nobody_answers_when_all_is_sent_and_comes_back_by_itself() {
    let mut rig = Rig::new();
    rig.booth.evidence.no_recipient = false;
    rig.unsent();
    rig.turn();
    assert!(rig.booth.is_ready());
    rig.asks("a", "drain", br#"{"minutes":30}"#);
    rig.asks("b", "drain", br#"{"minutes":30}"#);
    rig.turn();
    assert!(!rig.booth.is_ready() && rig.said().is_empty());
    assert!(rig.booth.faults().contains_key(&AlertId::Draining));
    rig.lift();
    assert_eq!(rig.booth.session().state_name(), "out_of_order");
    rig.hang_up();
    rig.quarantined("c");
    rig.booth.delivery.give_up(&"clip-1".into());
    // A citizen's withdrawal is on the card still, and then a take that the card has not taken whole.
    let withdrawal = Offer {
        clip_id: "w".into(),
        is_withdrawal: true,
        ..rig.unsent()
    };
    rig.booth.delivery.give_up(&"clip-2".into());
    rig.booth.delivery.keep(withdrawal, false);
    rig.turn();
    assert!(rig.said().is_empty());
    rig.booth.delivery.give_up(&"w".into());
    rig.booth.evidence.spool = Err(crate::health::SpoolFault::Unwritable("no".into()));
    rig.turn();
    assert!(rig.said().is_empty());
    rig.booth.evidence.spool = Ok(());
    rig.wait(Duration::from_secs(60));
    let answer = json!({ "ok": 1, "quarantined": 1, "closed_for_s": 1_740 });
    assert_eq!(
        rig.said(),
        [("a".into(), answer.clone()), ("b".into(), answer)]
    );
    rig.wait(Duration::from_secs(1_738));
    assert!(!rig.booth.is_ready());
    rig.wait(Duration::from_secs(2));
    rig.turn();
    assert!(rig.booth.is_ready() && rig.card.drain.is_none());
    assert!(rig.said().is_empty(), "everybody was answered");
}

#[test]
fn a_booth_that_cannot_be_emptied_in_time_says_so_and_so_does_one_that_is_restarted() {
    let mut rig = Rig::new();
    rig.booth.evidence.no_recipient = false;
    rig.unsent();
    rig.asks("a", "drain", br#"{"minutes":1}"#);
    let card = rig.card.clone();
    rig.wait(Duration::from_secs(60));
    rig.turn();
    let answer = rig.only_answer();
    assert!(
        answer["error"]
            .to_string()
            .contains("1 messages and 0 withdrawals are still"),
        "{answer}"
    );
    assert!(rig.booth.is_ready());
    // A gateway that starts again in the same boot goes on with it.
    let mut same = Rig::with(card.clone(), "boot-1");
    same.booth.evidence.no_recipient = false;
    same.unsent();
    same.turn();
    assert!(!same.booth.is_ready() && same.said().is_empty());
    same.wait(Duration::from_secs(60));
    assert_eq!(same.said()[0].0, "a");
    // Another boot does not.
    let mut later = Rig::with(card, "boot-2");
    later.booth.evidence.no_recipient = false;
    later.turn();
    assert!(later.booth.is_ready() && later.card.drain.is_none());
    assert!(
        later.only_answer()["error"]
            .to_string()
            .contains("restarted")
    );
    // The centre ends one.
    later.asks("a", "drain", br#"{"minutes":120}"#);
    later.unsent();
    later.turn();
    later.said();
    later.asks("b", "drain", br#"{"minutes":0}"#);
    later.turn();
    assert!(later.booth.is_ready());
    later.asks("b", "drain", br#"{"minutes":121}"#);
    assert!(
        later
            .said()
            .iter()
            .any(|(_, answer)| answer["error"].to_string().contains("120"))
    );
}

#[test]
fn answers_that_nobody_would_hear_wait_for_the_connection() {
    let mut rig = Rig::new();
    rig.clock_synced = false;
    rig.asks("a", "recipients", &recipients(1, "n-1"));
    rig.said();
    rig.happen(Event::Disconnected {
        why: "gone".into(),
        loss: Loss::Other,
    });
    rig.clock_synced = true;
    rig.turn();
    assert_eq!(rig.did().len(), 1);
    assert!(rig.said().is_empty());
    rig.happen(Event::Connected { max_packet: None });
    assert_eq!(rig.only_answer(), json!({ "ok": 1, "version": 1 }));
}

#[test]
fn a_reload_is_answered_when_it_is_done_for_all_who_asked() {
    let mut rig = Rig::new();
    rig.asks("a", "reload", b"{}");
    rig.asks("b", "reload", b"");
    assert_eq!(rig.did(), ["reload"]);
    rig.happen(Event::Reloaded(Err("booth.toml:3: no".into())));
    let answer = json!({ "ok": 0, "error": "booth.toml:3: no" });
    assert_eq!(
        rig.said(),
        [("a".into(), answer.clone()), ("b".into(), answer)]
    );
    rig.asks("a", "reload", b"{}");
    rig.happen(Event::Reloaded(Ok(())));
    assert_eq!(rig.only_answer(), json!({ "ok": 1 }));
}

#[test]
fn the_time_is_kept_once_an_hour_and_a_memory_that_was_lost_counts_nothing_from_before() {
    let mut rig = Rig::new();
    rig.turn();
    let first = rig.card.latest.expect("a time");
    rig.wait(Duration::from_secs(3_599));
    assert_eq!(rig.card.latest, Some(first));
    rig.wait(Duration::from_secs(1));
    assert!(rig.card.latest > Some(first));
    let mut lost = Rig::with(Remembered::anew(), "boot-2");
    lost.turn();
    lost.now = lost.now + Duration::from_secs(1);
    lost.asks("a", "recipients", &{
        let mut before = body(
            "recipients",
            "n-1",
            json!({ "version": 1, "recipients": ["age1x"] }),
        );
        let issued = today(NOON)
            .checked_sub(Duration::from_secs(60))
            .expect("a time");
        before["issued_at"] = json!(issued.to_string());
        signed(&before)
    });
    assert!(
        lost.only_answer()["error"]
            .to_string()
            .contains("before this card")
    );
    assert_eq!(lost.card.since, Some(today(NOON)));
}

#[test]
fn drains_of_every_length_take_one_place_and_leave_room_for_what_is_signed() {
    let mut rig = Rig::new();
    rig.unsent();
    for minutes in 1..=8 {
        rig.asks(
            "thief",
            "drain",
            format!("{{\"minutes\":{minutes}}}").as_bytes(),
        );
    }
    assert!(rig.said().is_empty());
    assert_eq!(rig.booth.desk.waiting.commands().count(), 1);
    assert_eq!(
        rig.booth.drain_deadline(),
        Some(NOON + Duration::from_secs(480))
    );
    rig.asks("a", "recipients", &recipients(1, "n-1"));
    assert_eq!(rig.only_answer(), json!({ "ok": 1, "version": 1 }));
}

#[test]
fn a_wrong_time_that_was_believed_is_forgotten_with_another_control_of_the_technician() {
    let mut rig = Rig::new();
    let mut card = rig.card.clone();
    card.latest = Some(at("2099-01-01T00:00:00Z"));
    card.since = card.latest;
    let mut wrong = Rig::with(card.clone(), "boot-2");
    wrong.asks("a", "recipients", &recipients(1, "n-1"));
    assert!(
        wrong.only_answer()["error"]
            .to_string()
            .contains("has seen the time 2099")
    );
    card.control = "before the technician came".into();
    rig = Rig::with(card, "boot-3");
    rig.asks("a", "recipients", &recipients(1, "n-1"));
    assert_eq!(rig.only_answer(), json!({ "ok": 1, "version": 1 }));
}
