//! A booth as a device of Home Assistant, at a city's broker with the access rules that this repository ships.
#![allow(clippy::disallowed_methods)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use booth_testkit::city_broker::CityBroker;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::Booth as Listener;
use booth_testkit::repository;
use booth_testkit::wait::until;
use serde_json::{Value, json};

const TOPIC: &str = "homeassistant/device/rundhoej-1/config";

fn city() -> CityBroker {
    let users = ["rundhoej-1", "torvet-2", "homeassistant", "operations"];
    CityBroker::start(&users.map(|user| (user, "secret")))
}

fn booth(broker: &CityBroker, mqtt: &str) -> BoothHome {
    let port = broker.port;
    let mqtt = format!("url = \"mqtt://127.0.0.1:{port}\"\npassword_file = \"p\"\n{mqtt}");
    let home = BoothHome::with_mqtt(&mqtt, "");
    std::fs::write(home.path().join("p"), "secret").expect("written");
    home
}

fn home_assistant(broker: &CityBroker) -> Listener {
    let filters = [
        "homeassistant/#",
        "booth/1/up/+/state",
        "booth/1/up/+/health",
        "booth/1/up/+/clip/+",
    ];
    Listener::logged_in(
        broker.port,
        "homeassistant",
        Some("secret"),
        &filters.map(str::to_owned),
    )
}

/// By its own code, where a Python that has it is named.
fn judged_by_home_assistant(heard: &Value) {
    let Some(python) = std::env::var_os("HOME_ASSISTANT_PYTHON") else {
        booth_host::complain!(
            "!! NOT RUN: Home Assistant itself: HOME_ASSISTANT_PYTHON names no Python (3.13) with the packages homeassistant and paho-mqtt"
        );
        return;
    };
    let script = repository().join("tests/booth/home_assistant.py");
    let mut judge = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut typed = judge.stdin.take().expect("a pipe");
    typed
        .write_all(heard.to_string().as_bytes())
        .expect("typed");
    drop(typed);
    assert!(judge.wait().expect("it ends").success());
}

#[test]
fn a_booth_that_is_told_to_is_found_by_home_assistant_with_what_it_says_anyway() {
    let broker = city();
    let home = booth(&broker, "home_assistant = true");
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    // Home Assistant that comes later finds it: it is retained.
    let listener = home_assistant(&broker);
    let (mut device, mut health, mut state) = (None, None, None);
    until("the device, its availability and its health", || {
        let heard = listener.try_hear(Duration::from_secs(1))?;
        let payload: Value = serde_json::from_slice(&heard.payload).expect("JSON");
        match String::from_utf8_lossy(&heard.topic).as_ref() {
            TOPIC => device = Some(payload),
            "booth/1/up/rundhoej-1/state" => state = Some(payload),
            "booth/1/up/rundhoej-1/health" => health = Some(payload),
            other => panic!("{other}"),
        }
        (device.is_some() && health.is_some() && state.is_some()).then_some(())
    });
    let (device, health) = (device.expect("a device"), health.expect("health"));
    let state = state.expect("a state");
    assert_eq!(state["state"], "online");
    assert_eq!(
        device["components"]["ready"]["state_topic"],
        "booth/1/up/rundhoej-1/health"
    );
    assert_eq!(
        device["components"]["ready"]["value_template"],
        "{{ value_json.ready }}"
    );
    assert_eq!(health["ready"], 0, "without a microphone");
    assert!(health["faults"].as_u64() > Some(0));
    judged_by_home_assistant(&json!({ "discovery": device, "health": health, "state": state }));
    assert!(gateway.stop().success());
}

#[test]
fn without_the_option_nothing_is_said_to_home_assistant() {
    let broker = city();
    let home = booth(&broker, "");
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    let listener = home_assistant(&broker);
    let heard = listener.hear("health");
    assert_eq!(heard.topic, "booth/1/up/rundhoej-1/health");
    listener.is_judged();
    while let Some(heard) = listener.try_hear(Duration::from_millis(100)) {
        let topic = String::from_utf8_lossy(&heard.topic).into_owned();
        assert!(!topic.starts_with("homeassistant/"), "{topic}");
    }
    assert!(gateway.stop().success());
}

#[test]
fn no_login_describes_another_booth_to_home_assistant() {
    let broker = city();
    let listener = home_assistant(&broker);
    for user in ["torvet-2", "operations"] {
        let client = Listener::logged_in(broker.port, user, Some("secret"), &[]);
        for topic in [
            TOPIC,
            "homeassistant/status",
            "homeassistant/sensor/x/config",
        ] {
            client.publish_at(topic, true, "{}");
        }
        client.publish_at(&format!("homeassistant/device/{user}/config"), false, user);
        client.is_judged();
    }
    let heard = listener.hear("");
    assert_eq!(
        heard.topic, "homeassistant/device/torvet-2/config",
        "each booth itself, and nobody else"
    );
    listener.is_judged();
    assert!(listener.try_hear(Duration::from_millis(100)).is_none());
}
