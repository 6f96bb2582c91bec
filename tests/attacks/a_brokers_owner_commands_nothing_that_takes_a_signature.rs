//! Whoever owns the broker sends a booth the commands that take a signature: without one, with one of his own, changed in any field,
//! and as fast as the broker takes them. Real broker, real gateway, real minisign.

use std::time::Duration;

use booth_contract::Signed;
use booth_sealing::{Identity, KernelRandom};
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Booth as Login, Broker};
use booth_testkit::pulse::Pulse;
use booth_testkit::wait::until;
use jiff::Timestamp;
use minisign::KeyPair;
use rumqttc::PublishOptions;
use rumqttc::mqttbytes::v5::PublishProperties;
use serde_json::{Value, json};

const COMMANDS: [&str; 3] = ["reboot", "purge", "recipients"];
/// Forged commands of one flood; Mosquitto keeps 1,000 for a booth that does not keep up.
const FLOOD: usize = 2_000;

fn pair() -> KeyPair {
    KeyPair::generate_unencrypted_keypair().expect("a pair")
}

fn identity() -> Identity {
    Identity::generate(&mut KernelRandom).expect("an identity")
}

fn sign(pair: &KeyPair, body: &str) -> Signed {
    let signature = minisign::sign(None, &pair.sk, body.as_bytes(), None, None);
    Signed {
        body: body.to_owned(),
        minisig: signature.expect("signed").into_string(),
    }
}

/// What the city would sign.
fn body(command: &str, nonce: &str, recipient: &str) -> Value {
    let now = Timestamp::now();
    json!({
        "booth": "rundhoej-1",
        "command": command,
        "issued_at": now.to_string(),
        "expires_at": (now + Duration::from_secs(3_600)).to_string(),
        "nonce": nonce,
        "clip_id": "6f9619ff-8b86-4d01-b42d-00cf4fc964f0",
        "version": 1,
        "recipients": [recipient],
    })
}

struct Scene {
    owner: Login,
    asked: u32,
}

impl Scene {
    fn send(&self, command: &str, payload: &[u8], correlation: &str) {
        let properties = PublishProperties {
            correlation_data: Some(correlation.as_bytes().to_vec().into()),
            ..PublishProperties::default()
        };
        let options = PublishOptions::at_least_once().properties(properties);
        let topic = format!("booth/1/dn/rundhoej-1/cmd/{command}");
        self.owner.publish_with(&topic, payload.to_vec(), options);
    }

    /// Sends a command and waits for the answer to this very message.
    fn ask(&mut self, command: &str, payload: &[u8]) -> Value {
        self.asked += 1;
        let asked = format!("asked {}", self.asked);
        self.send(command, payload, &asked);
        until("the booth answers", || self.answer_to(&asked))
    }

    /// The same where the broker may drop the command or its answer: the command is repeated.
    fn ask_until_answered(&mut self, command: &str, payload: &[u8]) -> Value {
        until("the booth answers after a flood", || {
            self.asked += 1;
            let asked = format!("asked {}", self.asked);
            self.send(command, payload, &asked);
            (0..40).find_map(|_| self.answer_to(&asked))
        })
    }

    /// The answer to this message, if one comes at once.
    fn answer_to(&self, asked: &str) -> Option<Value> {
        let heard = self.owner.try_hear(Duration::from_millis(50))?;
        let correlation = heard.properties.as_ref()?.correlation_data.as_ref()?;
        (correlation.as_ref() == asked.as_bytes())
            .then(|| serde_json::from_slice(&heard.payload).expect("JSON"))
    }
}

#[test]
fn a_brokers_owner_restarts_no_booth_gives_up_no_clip_and_changes_no_key() {
    let (city, thief) = (pair(), pair());
    let (ours, his) = (identity(), identity());
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let control = format!("[control]\nkeys = [\"{}\"]\n", city.pk.to_base64());
    let recipient = ours.recipient().to_string();
    let home = BoothHome::sealed(broker.port, Some(&recipient), &control);
    let gateway = Gateway::start(&home, &pulse);
    gateway.says("a citizen can speak");
    let filters = ["birth", "reply/#"].map(|tail| format!("booth/1/up/rundhoej-1/{tail}"));
    let mut scene = Scene {
        owner: Login::listening(broker.port, "hub", &filters),
        asked: 0,
    };
    gateway.reaches("connected", 1);
    let to_him = his.recipient().to_string();
    let refused = |answer: &Value| {
        let why = answer["error"].as_str().unwrap_or_default();
        assert!(answer["ok"] == 0 && !why.is_empty(), "{answer}");
        assert!(answer.get("waiting").is_none(), "{answer}");
    };
    for command in COMMANDS {
        let wanted = body(command, "n-1", &to_him);
        // Bare, with no signature, and with one of his own.
        refused(&scene.ask(command, wanted.to_string().as_bytes()));
        let unsigned = json!({ "body": wanted.to_string(), "minisig": "" });
        refused(&scene.ask(command, unsigned.to_string().as_bytes()));
        let own = sign(&thief, &wanted.to_string());
        refused(&scene.ask(command, &own.to_json()));
        // The city's signature of one text under another, field by field.
        let good = sign(&city, &body(command, "n-1", &recipient).to_string());
        for (key, value) in [
            ("booth", json!(["rundhoej-1", "x-1"])),
            ("command", json!("reboot")),
            ("expires_at", json!("2099-01-01T00:00:00Z")),
            ("nonce", json!("n-2")),
            ("recipients", json!([to_him])),
        ] {
            let mut changed = body(command, "n-1", &recipient);
            changed[key] = value;
            let forged = Signed {
                body: changed.to_string(),
                minisig: good.minisig.clone(),
            };
            refused(&scene.ask(command, &forged.to_json()));
        }
        // What the city has signed for another booth, or for another command.
        let mut other = body(command, "n-3", &recipient);
        other["booth"] = json!("torvet-2");
        refused(&scene.ask(command, &sign(&city, &other.to_string()).to_json()));
        let another = COMMANDS.iter().find(|other| **other != command);
        let good = sign(&city, &body(command, "n-4", &recipient).to_string());
        refused(&scene.ask(another.expect("one"), &good.to_json()));
    }
    // As fast as the broker takes them: they take no place, and a citizen is served.
    let forged = sign(&thief, &body("recipients", "n-5", &to_him).to_string());
    for n in 0..FLOOD {
        scene.send(COMMANDS[n % 3], &forged.to_json(), "flood");
    }
    gateway.handset("lift");
    gateway.handset("hang-up");
    // Mosquitto drops what comes for a full queue: the flood is over when a forged command is answered again.
    refused(&scene.ask_until_answered("recipients", &forged.to_json()));
    // What the city itself signs is taken, or waits for a clock: on a machine that has no right time nobody can say whether it is late.
    let good = sign(&city, &body("recipients", "n-6", &recipient).to_string());
    let answer = scene.ask("recipients", &good.to_json());
    assert!(
        answer["ok"] == 1 || answer["waiting"] == "clock",
        "{answer}"
    );
    // And a second time it is not.
    let answer = scene.ask("recipients", &good.to_json());
    assert!(answer["ok"] == 0, "{answer}");
    assert_eq!(gateway.state().expect("a state")["ready"], 1);
    // The keys are the city's still, also after a power cut.
    gateway.kill();
    let gateway = Gateway::start(&home, &pulse);
    let birth = until("a birth of this start", || {
        let heard = scene.owner.try_hear(Duration::from_millis(50))?;
        heard.topic.ends_with(b"/birth").then_some(heard.payload)
    });
    let birth: Value = serde_json::from_slice(&birth).expect("JSON");
    assert_eq!(birth["recipient_key_ids"], json!([ours.recipient().id()]));
    drop(gateway);
}
