//! Everything that the broker can bring to a booth: acks, the hub's presence, commands, rubbish.
//!
//! A topic that begins with `!` is no message but something that happens: `!wait <ms>`, `!puback <0-5>`,
//! `!connect <max packet>`, `!disconnect`, `!closed`.

use std::collections::{HashMap, HashSet, VecDeque};

use booth_contract::time::Mono;
use booth_contract::{
    BoothId, MAX_PART_BYTES, Presence, Signed, SignedBody, Topic, Topics, wanted,
};
use booth_gateway::update::http::check_url;
use gateway_core::delivery::{Confirmation, Delivery, Offer, Puback, Verdict, What};
use gateway_core::inbox::{self, Inbound};
use gateway_core::quarantine::{Note, Quarantine, Wanted};

use super::script::{messages, script};
use super::spool_state::CLIPS;

/// Sizes of the three clips; the last can only come from a ledger that lies.
const SIZES: [u64; 3] = [40_000, 5 << 20, u64::MAX];
/// Longest sentence for the log.
const LONGEST_SENTENCE: usize = 1_000;

struct Booth {
    delivery: Delivery,
    quarantine: Quarantine,
    now: Mono,
    sizes: HashMap<String, u64>,
    outstanding: VecDeque<u64>,
    /// Clips with a verdict. One that went to quarantine may get a second one: its citizen takes it back.
    settled: HashSet<String>,
}

pub fn run(data: &[u8]) {
    let topics = Topics::new("booth/1");
    let mut booth = Booth {
        delivery: Delivery::new(Confirmation::Hub),
        quarantine: Quarantine::new("boot-1".into()),
        now: Mono(1_000),
        sizes: HashMap::new(),
        outstanding: VecDeque::new(),
        settled: HashSet::new(),
    };
    for (index, clip_id) in CLIPS.iter().enumerate() {
        booth.sizes.insert((*clip_id).into(), SIZES[index]);
        booth.delivery.keep(offer(index), index == 1);
    }
    booth.delivery.connected(None);
    for (topic, payload) in messages(data) {
        match topic.strip_prefix('!') {
            Some(what) => booth.happen(what),
            None => booth.read(&topics, &topic, payload),
        }
        booth.send();
        assert_eq!(
            booth.delivery.unsent() + booth.settled.len(),
            CLIPS.len(),
            "a clip was let go without a verdict"
        );
    }
    let _ = booth.delivery.alerts(booth.now);
}

fn offer(index: usize) -> Offer {
    Offer {
        clip_id: CLIPS[index].into(),
        bytes: SIZES[index],
        sha256: hash(index).into(),
        kept_at_ms: index as i64 * 1000,
        fixed: true,
        is_withdrawal: false,
    }
}

fn hash(index: usize) -> String {
    index.to_string().repeat(64)
}

impl Booth {
    fn happen(&mut self, what: &str) {
        let (word, number) = what.split_once(' ').unwrap_or((what, ""));
        let number: u64 = number.parse().unwrap_or(0);
        match word {
            "wait" => self.now = Mono(self.now.0.saturating_add(number)),
            "puback" => {
                let answer = match number % 6 {
                    0 => Puback::Success,
                    1 => Puback::NoSubscriber,
                    2 => Puback::Later,
                    3 => Puback::Refused,
                    4 => Puback::TooLarge,
                    _ => Puback::Quota,
                };
                if let Some(token) = self.outstanding.pop_front() {
                    let verdicts = self.delivery.puback(self.now, token, answer, "why");
                    self.judge(verdicts);
                }
            }
            "connect" => {
                self.outstanding.clear();
                self.delivery.connected(u32::try_from(number).ok());
            }
            "disconnect" => {
                self.outstanding.clear();
                self.delivery.disconnected();
            }
            "closed" => self.delivery.session_closed(),
            _ => {}
        }
    }

    fn read(&mut self, topics: &Topics, topic: &str, payload: &[u8]) {
        match inbox::read(topics, topic, payload) {
            Inbound::Hub(hub) => {
                self.delivery.hub_online(hub.state == Presence::Online);
                self.quarantine.hub_says(&hub);
            }
            Inbound::HubUnreadable(_) | Inbound::AckUnreadable(_) => {}
            Inbound::Config(payload) => configured(&payload),
            Inbound::Ack(ack) => {
                let verdicts = self.delivery.ack(self.now, &ack);
                for verdict in &verdicts {
                    if let Verdict::Release(receipt) | Verdict::Delete(receipt) = verdict {
                        assert_eq!(ack.sha256.as_ref(), Some(receipt.sha256()));
                        assert_eq!(ack.clip_id, *receipt.clip_id());
                    }
                }
                self.judge(verdicts);
            }
            Inbound::Rebirth(booth) => reply(topics, booth, "rebirth".into()),
            Inbound::SelfTest(booth) => reply(topics, booth, "selftest".into()),
            Inbound::Ring(booth, _) => reply(topics, booth, "ring".into()),
            Inbound::Update(booth, url) => {
                if let Some(Err(why)) = url.as_deref().map(check_url) {
                    let why = why.to_string();
                    assert!(why.len() <= LONGEST_SENTENCE, "{} bytes", why.len());
                }
                reply(topics, booth, "update".into());
            }
            Inbound::CancelUpdate(booth) => reply(topics, booth, "update".into()),
            Inbound::Resend(booth, wanted) => {
                if let Ok(Wanted::One(clip_id)) = &wanted {
                    assert!(clip_id.chars().count() <= 100);
                    let is_known = self.delivery.offer_now(clip_id);
                    assert!(!is_known || self.sizes.contains_key(clip_id.as_str()));
                } else if wanted == Ok(Wanted::All) {
                    self.delivery.offer_refused();
                }
                reply(topics, booth, "resend".into());
            }
            Inbound::Reload(booth) => reply(topics, booth, "reload".into()),
            Inbound::Drain(booth, minutes) => {
                assert!(minutes.is_err() || minutes.is_ok_and(|minutes| minutes <= 120));
                reply(topics, booth, "drain".into());
            }
            Inbound::Signed(booth, command) => {
                // Whatever was signed: reading it ends, and the sentence for the asker is short.
                if let Some(signed) = Signed::read(payload)
                    && let Err(why) = SignedBody::read(&signed.body)
                {
                    assert!(why.to_string().len() <= LONGEST_SENTENCE);
                }
                reply(topics, booth, command.word().into());
            }
            Inbound::UnknownCommand(booth, command) => reply(topics, booth, command),
            Inbound::State(..) => {}
            Inbound::Odd(what) => assert!(what.len() <= LONGEST_SENTENCE, "{} bytes", what.len()),
        }
    }

    fn judge(&mut self, verdicts: Vec<Verdict>) {
        for verdict in verdicts {
            match verdict {
                Verdict::Release(receipt) | Verdict::Delete(receipt) => {
                    let index = CLIPS.iter().position(|id| id == receipt.clip_id());
                    let index = index.expect("one of ours");
                    assert_eq!(*receipt.sha256(), hash(index), "a receipt for another body");
                    self.quarantine.came_back(receipt.clip_id());
                    self.settled.insert(receipt.clip_id().to_string());
                }
                Verdict::Quarantine { clip_id, reason } => {
                    assert!(
                        self.sizes.contains_key(clip_id.as_str()) && reason.chars().count() <= 200
                    );
                    let note = Note::refused(&reason, self.quarantine.hub().cloned());
                    let text = serde_json::to_string(&note).expect("a note is text and numbers");
                    assert!(text.len() < 8_000, "a note of {} bytes", text.len());
                    self.quarantine.entered(&clip_id, note);
                    self.settled.insert(clip_id.to_string());
                }
                Verdict::Odd(what) => assert!(what.len() <= LONGEST_SENTENCE),
            }
        }
    }

    /// Sends what may be sent: a bounded number of messages, each inside its clip.
    fn send(&mut self) {
        for sent in 0.. {
            let Some(send) = self.delivery.next(self.now) else {
                break;
            };
            assert!(sent < 64, "it never stops sending");
            if let What::Part { from, to } = send.what {
                assert!(from < to && to <= self.sizes[send.clip_id.as_str()]);
                assert!(to - from <= MAX_PART_BYTES as u64);
            }
            self.outstanding.push_back(send.token);
        }
        // What the hub takes by now is offered again.
        for clip_id in self.quarantine.due(self.now) {
            self.quarantine.came_back(&clip_id);
            let index = CLIPS.iter().position(|id| **id == clip_id);
            self.delivery
                .keep(offer(index.expect("one of ours")), false);
            self.settled.remove(clip_id.as_str());
        }
        if let Some(due) = self.quarantine.deadline(self.now) {
            assert!(due > self.now, "the loop would spin");
        }
        if let Some(due) = self.delivery.deadline(self.now) {
            assert!(due > self.now, "the loop would spin");
        }
    }
}

/// What can be read can be written and read again, and what cannot is told in few words.
fn configured(payload: &[u8]) {
    match wanted::Wanted::read(payload) {
        Ok(read) => {
            let fields = booth_contract::reading::fields(&read.to_json()).expect("an object");
            assert_eq!(wanted::Wanted::of_fields(&fields).as_ref(), Ok(&read));
            let here = wanted::Here {
                language: "da",
                is_signed: payload.len().is_multiple_of(2),
                now: wanted::LocalTime::parse("2026-06-01T12:00"),
                issued: None,
                says: &|name, lang| name.len() > lang.len(),
            };
            assert!(wanted::check(&read, &here).len() <= wanted::MOST_FAULTS);
        }
        Err(bad) => {
            assert!((1..=wanted::MOST_FAULTS).contains(&bad.faults.len()));
            let bytes: usize = bad.faults.iter().map(|fault| fault.to_string().len()).sum();
            assert!(bytes <= 20_000, "{bytes} bytes of faults");
        }
    }
}

fn reply(topics: &Topics, booth: BoothId, command: String) {
    let reply = Topic::Reply(booth, command);
    let name = topics.name(&reply);
    assert_eq!(
        topics.parse(&name),
        Some(reply),
        "a reply that no hub reads"
    );
    assert!(!name.ends_with('/') && name.len() < 200);
}

pub fn seeds() -> Vec<Vec<u8>> {
    let online = (
        "booth/1/hub/state",
        r#"{"state":"online","ts":"2026-01-01T00:00:00.000Z"}"#,
    );
    let ack = |index: usize, status: &str, missing: &str| {
        format!(
            r#"{{"clip_id":"{}","status":"{status}","sha256":"{}","missing":{missing},"reason":"no","ts":"t"}}"#,
            CLIPS[index],
            hash(index)
        )
    };
    let topic = |index: usize| format!("booth/1/dn/rundhoej-1/ack/{}", CLIPS[index]);
    let (t0, t1, t2) = (topic(0), topic(1), topic(2));
    let (stored, partial) = (
        ack(0, "stored", "[]"),
        ack(0, "partial", "[[0,16384],[20000,40000]]"),
    );
    let (reject, discard) = (ack(1, "reject", "[]"), ack(1, "discard", "[]"));
    let far = ack(
        2,
        "partial",
        "[[0,5],[18446744073709551600,18446744073709551615]]",
    );
    vec![
        script(&[
            online,
            ("!puback 0", ""),
            ("!puback 0", ""),
            ("!puback 0", ""),
            ("!puback 0", ""),
            (&t0, &stored),
        ]),
        script(&[
            online,
            ("!puback 0", ""),
            ("!puback 0", ""),
            ("!puback 0", ""),
            ("!puback 0", ""),
            (&t0, &partial),
            ("!wait 20000", ""),
            (&t0, &stored),
        ]),
        script(&[online, ("!closed", ""), ("!puback 0", ""), (&t1, &reject)]),
        script(&[
            online,
            ("!closed", ""),
            ("!puback 3", ""),
            (&t1, &discard),
            ("!wait 700000", ""),
        ]),
        script(&[
            online,
            ("!disconnect", ""),
            ("!connect 300", ""),
            ("!puback 0", ""),
            (&t2, &far),
            ("!puback 0", ""),
        ]),
        script(&[
            online,
            ("!puback 1", ""),
            ("!wait 31000", ""),
            ("!puback 2", ""),
            ("booth/1/hub/state", ""),
        ]),
        script(&[
            online,
            ("!puback 4", ""),
            ("!puback 4", ""),
            ("!puback 5", ""),
            ("!wait 31000", ""),
            ("!puback 4", ""),
            ("!connect 20000", ""),
            (&t0, &stored),
        ]),
        script(&[
            online,
            ("!closed", ""),
            ("!puback 0", ""),
            (&t1, &reject),
            (
                "booth/1/hub/state",
                r#"{"state":"online","version":"2","max_clip_bytes":9,"schemas":[1,2]}"#,
            ),
            ("!puback 0", ""),
            (&t1, &reject),
            online,
            ("!wait 3600000", ""),
            ("booth/1/dn/rundhoej-1/cmd/resend", "{}"),
            (
                "booth/1/dn/rundhoej-1/cmd/resend",
                r#"{"clip_id":"6f9619ff-8b86-4d01-b42d-00cf4fc964f0"}"#,
            ),
        ]),
        script(&[
            ("booth/1/dn/rundhoej-1/cmd/rebirth", "{}"),
            ("booth/1/dn/rundhoej-1/cmd/ring", "{}"),
            ("booth/1/dn/rundhoej-1/cmd/drain", r#"{"minutes":5}"#),
            ("booth/1/dn/rundhoej-1/cmd/reload", "{}"),
            (
                "booth/1/dn/rundhoej-1/cmd/reboot",
                r#"{"body":"{\"booth\":\"rundhoej-1\",\"command\":\"reboot\",\"issued_at\":\"2026-11-29T00:00:00Z\",\"expires_at\":\"2026-11-30T00:00:00Z\",\"nonce\":\"1\"}","minisig":"x"}"#,
            ),
            ("booth/1/dn/rundhoej-1/config", "{}"),
        ]),
    ]
}
