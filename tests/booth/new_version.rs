//! Another version that a package has installed begins when nobody is at the handset.
#![allow(clippy::disallowed_methods)]

use std::process::{Command, Stdio};

use booth_contract::Manifest;
use booth_testkit::gateway::{BoothHome, Gateway, fixtures};
use booth_testkit::hub::{Booth as Listener, Broker};
use booth_testkit::pulse::Pulse;
use booth_testkit::speech::decode;
use booth_testkit::wait::until;

#[test]
fn whoever_starts_a_new_version_waits_for_a_citizen_who_speaks_and_the_message_is_whole() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let hub = Listener::listening(broker.port, "hub", &["booth/1/up/+/clip/+".into()]);
    hub.publish_at("booth/1/hub/state", true, r#"{"state":"online"}"#);
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let wav = booth.path().join("speech.wav");
    decode(&fixtures().join("speech/da.opus"), &wav).expect("decoded");
    gateway.records();
    let mut waiting = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .args(["update", "--wait-for-rest", "--config"])
        .arg(booth.config())
        .stdin(Stdio::null())
        .spawn()
        .expect("runs");
    // It asks several times while somebody speaks.
    pulse.speak(&wav);
    assert!(
        waiting.try_wait().expect("asked").is_none(),
        "it did not wait for a citizen who speaks"
    );
    gateway.handset("hang-up");
    let ended = until("it has waited", || waiting.try_wait().expect("asked"));
    assert!(ended.success(), "{ended}");
    // This is what the unit does then.
    assert!(gateway.stop().success());
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let offered = hub.hear("");
    let manifest: Manifest = serde_json::from_slice(&offered.payload).expect("a manifest");
    assert_eq!(manifest.recovered, 0, "{manifest:?}");
    assert!(manifest.duration_ms > Some(3_000), "{manifest:?}");
    assert!(gateway.stop().success());
}

#[test]
fn where_no_gateway_runs_nobody_is_waited_for() {
    let booth = BoothHome::new(1, "");
    let done = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .args(["update", "--wait-for-rest", "--config"])
        .arg(booth.config())
        .status();
    assert!(done.expect("runs").success());
}
