//! Whoever owns the broker plays the hub for a sealed booth: takes what a citizen said, confirms it, asks, closes the booth and opens it
//! again, and sends it a configuration with his own notice. Contract §3.7 says what he may. Real broker, real gateway, real speech.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use booth_contract::{Manifest, Topics, ogg_page};
use booth_sealing::{Ending, Identity, KernelRandom, open};
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth as Login, Broker};
use booth_testkit::pulse::Pulse;
use booth_testkit::speech::decode;
use booth_testkit::wait::until;
use rumqttc::PublishOptions;
use rumqttc::mqttbytes::v5::{Publish, PublishProperties};
use serde_json::{Value, json};

const BOOTH: &str = "booth/1/up/rundhoej-1/";

fn identity() -> Identity {
    Identity::generate(&mut KernelRandom).expect("an identity")
}

/// The broker's owner, and everything that he has heard.
struct Owner {
    login: Login,
    heard: Vec<Publish>,
    asked: u32,
}

impl Owner {
    fn listens(&mut self) {
        while let Some(heard) = self.login.try_hear(Duration::from_millis(20)) {
            self.heard.push(heard);
        }
    }

    /// The topics below the booth's branch that begin so, with what came last on each.
    fn latest(&self, tail: &str) -> BTreeMap<String, Vec<u8>> {
        let mut latest = BTreeMap::new();
        for heard in &self.heard {
            let topic = String::from_utf8_lossy(&heard.topic).into_owned();
            if let Some(own) = topic.strip_prefix(BOOTH)
                && own.starts_with(tail)
            {
                latest.insert(own.to_owned(), heard.payload.to_vec());
            }
        }
        latest
    }

    /// The one JSON of this topic, once it satisfies the question.
    fn waits_for(&mut self, tail: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        until(tail, || {
            self.listens();
            let latest = self.latest(tail);
            let values = latest.values();
            let mut values = values.filter_map(|text| serde_json::from_slice(text).ok());
            values.find(|value| is_it(value))
        })
    }

    /// A command, and the booth's answer to it.
    fn asks(&mut self, command: &str, payload: Value) -> Value {
        self.asked += 1;
        let asked = format!("asked {}", self.asked);
        let properties = PublishProperties {
            correlation_data: Some(asked.clone().into_bytes().into()),
            ..PublishProperties::default()
        };
        let options = PublishOptions::at_least_once().properties(properties);
        let topic = format!("booth/1/dn/rundhoej-1/cmd/{command}");
        self.login
            .publish_with(&topic, payload.to_string().into_bytes(), options);
        until("the booth answers", || {
            self.listens();
            let mut heard = self.heard.iter();
            let answer = heard.find(|heard| {
                let properties = heard.properties.as_ref();
                let data = properties.and_then(|all| all.correlation_data.as_ref());
                data.is_some_and(|data| data.as_ref() == asked.as_bytes())
            })?;
            serde_json::from_slice(&answer.payload).ok()
        })
    }

    /// Plays the hub.
    fn is_the_hub(&self) {
        let state = json!({"state": "online", "ts": "2026-11-29T12:00:00Z", "version": "booth-hub 1",
            "max_clip_bytes": 8 << 20, "schemas": [1], "jitter_s": 0});
        let topic = Topics::new("booth/1").name(&booth_contract::Topic::HubState);
        self.login.publish_at(&topic, true, state.to_string());
    }
}

/// Pieces of the packets of an Ogg file that say something.
fn pieces(ogg: &[u8]) -> Vec<Vec<u8>> {
    let (mut pieces, mut rest) = (Vec::new(), ogg);
    while !rest.is_empty() {
        let (page, later) = rest.split_at(ogg_page::length(rest).expect("a page"));
        rest = later;
        let (table, mut body) = page[27..].split_at(usize::from(page[26]));
        for &segment in table {
            let (packet, after) = body.split_at(usize::from(segment));
            body = after;
            // Silence is the same three bytes everywhere; the two headers are no speech.
            if packet.len() > 40 && !packet.starts_with(b"Opus") {
                pieces.push(packet[..24].to_vec());
            }
        }
    }
    pieces
}

#[test]
fn a_brokers_owner_rings_asks_closes_and_confirms_but_reads_no_word_and_changes_no_key() {
    let (city, his) = (identity(), identity());
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let recipient = city.recipient();
    let home = BoothHome::sealed(broker.port, Some(&recipient.to_string()), "");
    let gateway = Gateway::start(&home, &pulse);
    gateway.reaches("ready", 1);
    let mut owner = Owner {
        login: Login::listening(broker.port, "hub", &[format!("{BOOTH}#")]),
        heard: Vec::new(),
        asked: 0,
    };
    owner.is_the_hub();
    gateway.reaches("hub_online", 1);

    // A citizen speaks, and takes a receipt.
    let wav: PathBuf = home.path().join("speech.wav");
    decode(&fixtures().join("speech/da.opus"), &wav).expect("decoded");
    gateway.records();
    pulse.speak(&wav);
    gateway.handset("dial #");
    gateway.reaches("session", "after");
    gateway.handset("hang-up");

    // He has the whole of it.
    let (manifest, body) = until("manifest and body", || {
        owner.listens();
        let (_, manifest) = owner.latest("clip/").pop_first()?;
        let manifest: Manifest = serde_json::from_slice(&manifest).ok()?;
        let mut parts: Vec<(u64, Vec<u8>)> = owner
            .latest(&format!("part/{}/", manifest.clip_id))
            .into_iter()
            .filter_map(|(topic, part)| Some((topic.rsplit('/').next()?.parse().ok()?, part)))
            .collect();
        parts.sort();
        let body: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part).collect();
        (body.len() as u64 == manifest.bytes).then_some((manifest, body))
    });
    assert!(
        open(&body, std::slice::from_ref(&his)).is_err(),
        "he opens it"
    );
    let opened = open(&body, std::slice::from_ref(&city)).expect("the city opens it");
    assert_eq!(opened.ending, Ending::Whole);
    let pieces = pieces(&opened.ogg);
    assert!(pieces.len() > 50, "only {} pieces", pieces.len());
    let sealed = manifest.sealed.as_deref().expect("a receipt");
    let receipt = booth_sealing::envelope::open_text(sealed, std::slice::from_ref(&city));
    let receipt: booth_contract::receipt::ClipSecret =
        serde_json::from_slice(&receipt.expect("the city's")).expect("a secret");
    let his_keys = std::slice::from_ref(&his);
    assert!(booth_sealing::envelope::open_text(sealed, his_keys).is_err());

    // He may confirm it, and the booth lets it go: that is what contract §3.7 gives him.
    let ack = json!({"clip_id": manifest.clip_id, "status": "stored", "sha256": manifest.sha256, "ts": ""});
    let topic = format!("booth/1/dn/rundhoej-1/ack/{}", manifest.clip_id);
    owner.login.publish_at(&topic, false, ack.to_string());
    gateway.reaches("spool_clips", 0);

    // He may ask, and close the booth for a while.
    let answer = owner.asks("selftest", json!({}));
    assert!(answer["ok"].is_number(), "a finding, good or bad: {answer}");
    owner.asks("rebirth", json!({}));
    owner.asks("ring", json!({"rings": 1}));
    owner.asks("drain", json!({"minutes": 1}));
    gateway.reaches("ready", 0);
    owner.asks("drain", json!({"minutes": 0}));
    gateway.reaches("ready", 1);

    // His keys and his notice are not taken, in whatever he calls it.
    let to_him = his.recipient().to_string();
    let body = json!({"booth": "rundhoej-1", "command": "recipients", "version": 9, "recipients": [to_him]});
    let answer = owner.asks(
        "recipients",
        json!({"body": body.to_string(), "minisig": ""}),
    );
    assert_eq!(answer["ok"], 0, "{answer}");
    assert_eq!(owner.asks("recipients", body)["ok"], 0);
    let config = json!({"schema": 1, "version": 4_000_000_000_u64, "recipients": [to_him], "privacy": {"recipients": [to_him]},
        "prompts": {"notice": {"da": "0".repeat(64)}}});
    owner
        .login
        .publish_at("booth/1/dn/rundhoej-1/config", true, config.to_string());
    let report = owner.waits_for("config", |report| report["wanted"] == 4_000_000_000_u64);
    assert!(
        report["errors"].to_string().contains("prompts.notice"),
        "{report}"
    );
    assert_eq!(report["applied"], Value::Null);
    gateway.kill();
    let gateway = Gateway::start(&home, &pulse);
    gateway.reaches("ready", 1);
    owner
        .heard
        .retain(|heard| !heard.topic.ends_with(b"/birth"));
    let birth = owner.waits_for("birth", |birth| birth["recipient_key_ids"].is_array());
    assert_eq!(birth["recipient_key_ids"], json!([recipient.id()]));
    assert_eq!(birth["sealed"], true);

    // Of all that he has heard, nothing is a word or a receipt.
    owner.listens();
    for heard in &owner.heard {
        let topic = String::from_utf8_lossy(&heard.topic);
        let has = |piece: &[u8]| heard.payload.windows(piece.len()).any(|part| part == piece);
        assert!(
            !pieces.iter().any(|piece| has(piece)),
            "{topic} holds a word"
        );
        assert!(
            !has(receipt.receipt.as_str().as_bytes()),
            "{topic} holds the receipt"
        );
    }
    assert!(gateway.stop().success());
}
