//! What a real booth and a real hub say to each other fits docs/schema, topic by topic.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::time::Duration;

use booth_contract::receipt::Receipt;
use booth_contract::{MAX_PART_BYTES, Topic, Topics};
use booth_sealing::{Identity, KernelRandom, Random};
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth as Listener, Broker, Home, Hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::schemas::misfits;
use booth_testkit::wait::until;
use serde_json::Value;

/// The topic's name and the schemas that its payload may fit; none for bytes.
fn schema(topic: &Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::State(_) => ("state", "booth-state"),
        Topic::Birth(_) => ("birth", "birth"),
        Topic::Health(_) => ("health", "health"),
        Topic::Alert(..) => ("alert", "alert"),
        Topic::Event(..) => ("event", "event"),
        Topic::Clip(..) => ("clip", "manifest"),
        Topic::Part(..) => ("part", ""),
        Topic::Withdraw(..) => ("withdraw", "withdrawal"),
        Topic::Reply(..) => ("reply", "reply"),
        Topic::ConfigReport(_) => ("config applied", "config-report"),
        Topic::Ack(..) => ("ack", "ack"),
        Topic::ConfigWanted(_) => ("config wanted", "config-wanted"),
        Topic::Cmd(..) => ("command", "command"),
        Topic::Media(_) => ("media", ""),
        Topic::HubState => ("hub state", "hub-state"),
    }
}

fn campaign() -> String {
    let sounds = fixtures().join("sounds");
    let sound = |name: &str| sounds.join(name).display().to_string();
    format!(
        "id = \"tree\"\ntitle = \"A tree\"\nbooths = [\"rundhoej-1\"]\n\n[[question]]\nid = \"which\"\ndigit = 1\nkind = \"choose\"\n\
         text.da = \"Hvilket træ?\"\nsound.da = {:?}\n\
         [[question.option]]\nid = \"lime\"\ndigit = 2\ntext.da = \"Lind\"\nsound.da = {:?}\n\
         [[question.option]]\nid = \"oak\"\ndigit = 3\ntext.da = \"Eg\"\nsound.da = {:?}\n",
        sound("tone.flac"),
        sound("tone.ogg"),
        sound("tone.m4a")
    )
}

/// Lifts, dials this, hangs up.
fn dials(gateway: &Gateway, digits: &str) {
    gateway.handset("lift");
    gateway.reaches("session", "question");
    for digit in digits.chars() {
        gateway.handset(&format!("dial {digit}"));
    }
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
}

#[test]
fn every_message_of_a_real_run_fits_its_schema() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let listener = Listener::listening(broker.port, "listener", &["#".into()]);
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::sealed(broker.port, Some(&city.recipient().to_string()), "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("hub_online", 1);
    gateway.reaches("ready", 1);

    // A message, an answer of the hub.
    gateway.takes_a_message(&booth, &pulse);
    gateway.reaches("session", "idle");
    // A message that is taken back, whatever it was.
    let chance = |bytes: &mut [u8]| KernelRandom.fill(bytes).expect("chance");
    let receipt = Receipt::generate(chance, &[]).expect("a receipt");
    dials(&gateway, &format!("000{}", &*receipt.to_text()));
    // A campaign, and a vote in it.
    home.publishes(&campaign());
    until("the campaign is in force", || {
        let version = gateway.state()?["config_version"].as_u64()?;
        (version > 0).then_some(())
    });
    dials(&gateway, "12");
    // The centre's commands, one of them with a fault.
    for (command, payload) in [
        ("rebirth", "{}"),
        ("ring", r#"{"rings":2}"#),
        ("resend", r#"{"clip_id":"no such"}"#),
    ] {
        let topic = format!("booth/1/dn/rundhoej-1/cmd/{command}");
        listener.publish_at(&topic, false, payload);
    }
    gateway.reaches("spool_clips", 0);

    let topics = Topics::new("booth/1");
    let (mut heard, mut payloads) = (BTreeMap::new(), Vec::new());
    let mut is_over = false;
    let mut programs = Some((gateway, hub));
    loop {
        let patience = Duration::from_secs(if is_over { 2 } else { 30 });
        let Some(message) = listener.try_hear(patience) else {
            assert!(is_over, "only {heard:?} in half a minute");
            break;
        };
        let name = String::from_utf8_lossy(&message.topic).into_owned();
        let topic = topics
            .parse(&name)
            .unwrap_or_else(|| panic!("{name} is no topic of the contract"));
        let (kind, schema) = schema(&topic);
        *heard.entry(kind).or_insert(0) += 1;
        match (schema, message.payload.as_ref()) {
            // An alert that is over.
            ("alert", b"") => *heard.entry("cleared").or_insert(0) += 1,
            ("", bytes) if kind == "part" => assert!(bytes.len() <= MAX_PART_BYTES),
            ("", bytes) => assert!(bytes.starts_with(b"OggS")),
            (schema, text) => {
                let payload: Value =
                    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{name}: {error}"));
                payloads.push((schema, payload));
            }
        }
        // All fifteen topics, and both ways of an alert: then both programs end, and what they say at their end counts, too.
        if heard.len() == 16
            && let Some((gateway, hub)) = programs.take()
        {
            assert!(gateway.stop().success());
            assert!(hub.stop().success());
            is_over = true;
        }
    }
    assert!(payloads.len() > 50, "{heard:?}");
    let is_offline = |(schema, payload): &(&str, Value)| {
        *schema == "booth-state" && payload["state"] == "offline"
    };
    assert!(payloads.iter().any(is_offline));
    assert_eq!(misfits(&payloads), [""; 0]);
}
