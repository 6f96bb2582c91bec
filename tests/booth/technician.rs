//! What a technician and operations learn of a booth: self-test, service by handset, the bell; real gateway, sound card
//! stand-in, broker and hub.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;

use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth, Broker, Home, Hub};
use booth_testkit::pulse::Pulse;
use booth_testkit::wait::until;
use serde_json::Value;

/// Somebody at operations.
fn operations(broker: &Broker) -> Booth {
    let up = |kind: &str| format!("booth/1/up/rundhoej-1/{kind}");
    Booth::listening(broker.port, "operations", &[up("event/#"), up("reply/#")])
}

/// The next message on a topic that ends so.
fn message(operations: &Booth, tail: &str) -> Value {
    serde_json::from_slice(&operations.hear(tail).payload).expect("JSON")
}

fn command(operations: &Booth, name: &str, payload: &str) {
    operations.publish_at(&format!("booth/1/dn/rundhoej-1/cmd/{name}"), false, payload);
}

fn has_fault(gateway: &Gateway, id: &str) -> bool {
    let state = gateway.state().expect("a state");
    state["faults"]
        .as_array()
        .expect("faults")
        .contains(&id.into())
}

/// A file of digital silence, this long.
fn silence(booth: &BoothHome, ms: u32) -> PathBuf {
    let file = booth.path().join("silence.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&file, spec).expect("a file");
    (0..ms * 48).for_each(|_| wav.write_sample(0i16).expect("written"));
    wav.finalize().expect("written");
    file
}

#[test]
fn a_microphone_that_died_is_found_by_silent_recordings_and_the_tone_and_the_booth_opens_again() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let coupled = pulse.couple();
    let booth = BoothHome::new(broker.port, "[selftest]\ntone = \"on\"\n");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.reaches("connected", 1);
    gateway.says("self-test: the microphone hears the test tone");
    let operations = operations(&broker);
    pulse.uncouple(&coupled);
    // Three visits in which the microphone gives nothing.
    let nothing = silence(&booth, 1_500);
    for _ in 0..3 {
        assert!(!has_fault(&gateway, "microphone_silent"));
        gateway.handset("lift");
        gateway.reaches("session", "question");
        gateway.handset("dial 1");
        gateway.reaches("session", "recording");
        pulse.speak(&nothing);
        gateway.handset("hang-up");
        gateway.reaches("session", "idle");
        gateway.says("kept");
        gateway.clear_log();
    }
    let event = message(&operations, "event/selftest");
    assert_eq!(event["ok"], 0, "{event}");
    gateway.reaches("ready", 0);
    assert!(has_fault(&gateway, "microphone_dead") && has_fault(&gateway, "microphone_silent"));
    // Whoever lifts now is told, and not invited.
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    gateway.handset("hang-up");
    // It is mended; operations ask for another test.
    pulse.couple();
    command(&operations, "selftest", "{}");
    let reply = message(&operations, "reply/selftest");
    let findings = reply["findings"].as_array().expect("findings");
    let verdict = |area: &str, subject: &str| {
        let found = findings
            .iter()
            .find(|finding| finding["area"] == area && finding["subject"] == subject);
        found.unwrap_or_else(|| panic!("{subject} is missing: {reply}"))["verdict"].clone()
    };
    for subject in ["microphone", "hook", "controls", "card"] {
        assert_eq!(verdict("selftest", subject), "ok", "{reply}");
    }
    // Nobody is at the centre in this test; the doctor's own findings come along.
    assert_eq!(verdict("selftest", "centre"), "fault");
    assert_eq!(verdict("card", "spool"), "ok");
    assert_eq!(reply["ok"], 0);
    gateway.reaches("ready", 1);
    gateway.handset("lift");
    gateway.reaches("session", "question");
    assert!(gateway.stop().success());
}

#[test]
fn a_technician_hears_how_the_booth_is_sends_a_test_message_and_takes_the_card_out() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.reaches("hub_online", 1);
    let operations = operations(&broker);
    let ear = booth.path().join("ear.raw");
    let listener = pulse.listen(&ear);
    gateway.handset("lift");
    gateway.handset("service");
    gateway.reaches("session", "service");
    assert_eq!(message(&operations, "event/service")["begins"], 1);
    let (_, report) = gateway.says("a technician hears");
    // The simulated booth spells its id, and says what it knows.
    for part in ["r u n d h ø j", "ikke", "Tal efter tonen"] {
        assert!(
            part == "r u n d h ø j" || report.contains(part),
            "{part}: {report}"
        );
    }
    // The report is heard, then three seconds are recorded.
    until("a test message begins", || {
        (!booth.files("clips").is_empty()).then_some(())
    });
    pulse.speak(&fixtures().join("speech/da.opus"));
    gateway.says("confirmed");
    gateway.says("Centralen har bekræftet");
    let clip = gateway.says("kept").1;
    let clip_id = clip
        .split_whitespace()
        .find_map(|word| word.strip_prefix("clip_id="))
        .expect("its id");
    let stored = home.clip_file(clip_id);
    assert!(stored.exists());
    gateway.reaches("spool_clips", 0);
    // It is in no count of citizens' messages.
    gateway.handset("dial 9");
    gateway.says("Kortet kan tages ud");
    gateway.reaches("ready", 0);
    assert!(has_fault(&gateway, "card_closed"));
    drop(listener);
    let heard = std::fs::read(&ear).expect("the ear");
    let loud = heard
        .chunks_exact(2)
        .filter(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 1_000)
        .count();
    // Half a minute of speech is in the earpiece.
    assert!(loud > 10 * 48_000 / 10, "{loud} loud samples");
    gateway.handset("hang-up");
    assert_eq!(message(&operations, "event/service")["begins"], 0);
    // Nobody is invited while the card may be taken out.
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    gateway.handset("hang-up");
    assert!(gateway.stop().success());
    hub.kill();
}

#[test]
fn a_command_to_ring_is_answered_with_what_became_of_it() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("connected", 1);
    let operations = operations(&broker);
    for payload in ["{\"rings\":2}", "", "\u{1}[[["] {
        command(&operations, "ring", payload);
        let reply = message(&operations, "reply/ring");
        assert_eq!(reply["ok"], 0, "{reply}");
        assert!(
            reply["error"]
                .as_str()
                .is_some_and(|why| why.contains("no bell")),
            "{reply}"
        );
    }
    assert!(gateway.stop().success());
}

#[test]
fn before_a_planned_swap_nobody_is_invited_everything_leaves_and_the_answer_says_that_the_card_may_go()
 {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    // The hub is away, so that a message waits.
    gateway.takes_a_message(&booth, &pulse);
    gateway.reaches("spool_clips", 1);
    let operations = operations(&broker);
    gateway.reaches("connected", 1);
    command(&operations, "drain", r#"{"minutes": 30}"#);
    gateway.reaches("ready", 0);
    assert!(has_fault(&gateway, "draining"));
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    gateway.handset("hang-up");
    assert_eq!(booth.files("clips").len(), 1);
    let home = Home::new(broker.port, "[[booth]]\nid = \"rundhoej-1\"\n");
    let hub = Hub::start(&home);
    let reply = message(&operations, "reply/drain");
    assert_eq!(
        (&reply["ok"], &reply["quarantined"]),
        (&1.into(), &0.into()),
        "{reply}"
    );
    let closed_s = reply["closed_for_s"].as_u64().expect("seconds");
    assert!((1_000..=1_800).contains(&closed_s), "{reply}");
    gateway.reaches("spool_clips", 0);
    assert!(hub.page("").contains("1 answer"), "{}", hub.page(""));
    // It stays closed until the card is out, and 0 minutes end that.
    gateway.reaches("ready", 0);
    command(&operations, "drain", r#"{"minutes": 0}"#);
    gateway.reaches("ready", 1);
    assert!(gateway.stop().success());
}
