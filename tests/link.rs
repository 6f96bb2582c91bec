//! The gateway against a real broker: logins, certificates, access rules, nobody listening, rubbish, a stolen identity,
//! a full card. No sound card is needed: the clips lie on the card before it starts.
#![allow(clippy::disallowed_methods)]

#[path = "support/spool_rig.rs"]
mod rig;
#[allow(dead_code)] // each test uses its part
mod support {
    pub mod gateway;
    pub mod hub;
    pub mod pulse;
    pub mod wait;
}

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::gateway::{BoothHome, Gateway};
use support::hub::{Booth, Broker, Home, Hub};
use support::wait::until;

const BOOTH: &str = "rundhoej-1";

/// Puts clips on the booth's card.
fn with_clips(booth: &BoothHome, clips: usize) -> Vec<String> {
    let (spool, _) = rig::open(&booth.spool());
    (0..clips).map(|_| rig::record(&spool, 4).clip_id).collect()
}

fn has_fault(gateway: &Gateway, alert: &str) {
    until(alert, || {
        let state = gateway.state()?;
        let faults = state["faults"].as_array()?.clone();
        faults.iter().any(|fault| fault == alert).then_some(())
    });
}

/// Certificates of a throw-away authority: `ca.pem`; `cert.pem` for the broker; `booth.pem` for a booth; and another
/// authority's `other-ca.pem`.
fn certificates(folder: &Path) {
    let authority = |name: &str| {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("signed").pem();
        (rcgen::Issuer::new(parameters, key), pem)
    };
    let (issuer, ca) = authority("the city's");
    let (_, other) = authority("somebody else's");
    let mut files = vec![
        ("ca.pem".to_owned(), ca),
        ("other-ca.pem".to_owned(), other),
    ];
    for (file, name) in [("cert", "localhost"), ("booth", BOOTH)] {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])
            .expect("parameters")
            .signed_by(&key, &issuer)
            .expect("signed");
        files.push((format!("{file}.pem"), certificate.pem()));
        files.push((format!("{file}.key"), key.serialize_pem()));
    }
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

fn passwords(folder: &Path, users: &[&str]) {
    for (at, user) in users.iter().enumerate() {
        let mut made = Command::new("mosquitto_passwd");
        made.arg("-b");
        if at == 0 {
            made.arg("-c");
        }
        let status = made
            .args(["passwords", user, &format!("{user}-secret")])
            .current_dir(folder)
            .status()
            .expect("mosquitto_passwd runs");
        assert!(status.success());
    }
}

#[test]
fn over_tls_the_booth_checks_the_broker_and_shows_its_certificate_and_password() {
    let rules = "allow_anonymous false\npassword_file passwords\nuse_username_as_clientid true\n\
        cafile ca.pem\ncertfile cert.pem\nkeyfile cert.key\nrequire_certificate true\n";
    let broker = Broker::start(rules, |folder| {
        certificates(folder);
        passwords(folder, &[BOOTH]);
    });
    let files = broker.folder().to_owned();
    std::fs::write(files.join("right"), format!("{BOOTH}-secret\n")).expect("a file");
    std::fs::write(files.join("wrong"), "guess").expect("a file");
    let says = |ca: &str, certificate: bool, password: &str, sentence: &str| {
        let mut lines = format!(
            "url = \"mqtts://localhost:{}\"\nca_file = {:?}\npassword_file = {:?}\n",
            broker.port,
            files.join(ca),
            files.join(password),
        );
        if certificate {
            lines += &format!(
                "cert_file = {:?}\nkey_file = {:?}\n",
                files.join("booth.pem"),
                files.join("booth.key")
            );
        }
        let booth = BoothHome::with_mqtt(&lines, "");
        let clips = with_clips(&booth, 1);
        let gateway = Gateway::start_deaf(&booth);
        gateway.says(sentence);
        assert!(!gateway.log().contains("secret") && !gateway.log().contains("guess"));
        assert!(gateway.stop().success());
        assert_eq!(booth.files("clips").len(), clips.len(), "nothing is lost");
    };
    says("ca.pem", true, "right", "connected to the broker");
    says("other-ca.pem", true, "right", "check ca_file");
    says("ca.pem", false, "right", "TLS with the broker");
    says("ca.pem", true, "wrong", "check the password file");
}

#[test]
fn the_three_roles_of_the_example_rules_may_what_the_contract_says_and_no_more() {
    let rules = "allow_anonymous false\npassword_file passwords\nuse_username_as_clientid true\nacl_file acl\n";
    let users = [BOOTH, "rundhoej-2", "hub", "operations"];
    let broker = Broker::start(rules, |folder| {
        passwords(folder, &users);
        let acl = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mosquitto.acl");
        std::fs::copy(acl, folder.join("acl")).expect("the example");
    });
    let all = ["booth/1/#".to_owned()];
    let as_user =
        |user: &str| Booth::logged_in(broker.port, user, Some(&format!("{user}-secret")), &all);
    let [booth, other, hub, operations] = users.map(as_user);
    // Each says something on every topic; what comes through to whom, in order, ends with a word that all may hear.
    for tail in [
        "state",
        "birth",
        "health",
        "config",
        "alert/power",
        "event/boot",
        "reply/rebirth",
        "clip/x",
        "part/x/0",
        "withdraw/x",
    ] {
        booth.publish(tail, false, "said");
    }
    other.publish_at(&format!("booth/1/up/{BOOTH}/health"), false, "forged");
    other.publish_at("booth/1/hub/state", false, "forged");
    operations.publish_at(&format!("booth/1/dn/{BOOTH}/cmd/purge"), false, "forged");
    // Whoever wrote without leave has been refused before its next, allowed, message is taken.
    booth.publish("event/end", false, "end");
    other.publish("event/end", false, "end");
    let heard_until = |client: &Booth, tail: &str, times: usize| {
        let (mut topics, mut ends) = (Vec::new(), 0);
        while ends < times {
            let message = client.hear("");
            let topic = String::from_utf8_lossy(&message.topic).into_owned();
            assert_ne!(&message.payload[..], b"forged", "{topic}");
            if topic.ends_with(tail) {
                ends += 1;
            } else {
                topics.push(topic);
            }
        }
        topics
    };
    assert_eq!(heard_until(&hub, "event/end", 2).len(), 10);
    let seen = heard_until(&operations, "event/end", 2);
    assert_eq!(seen.len(), 7, "{seen:?}");
    assert!(
        !seen.iter().any(|topic| ["clip/", "part/", "withdraw/"]
            .iter()
            .any(|part| topic.contains(part))),
        "{seen:?}"
    );
    hub.publish_at(&format!("booth/1/dn/{BOOTH}/ack/x"), false, "for one");
    hub.publish_at("booth/1/media/abc", false, "for booths");
    hub.publish_at("booth/1/hub/state", false, "for all");
    assert_eq!(heard_until(&booth, "hub/state", 1).len(), 2);
    assert_eq!(heard_until(&other, "hub/state", 1), ["booth/1/media/abc"]);
    assert_eq!(heard_until(&operations, "hub/state", 1).len(), 0);
}

#[test]
fn a_broker_that_refuses_clips_by_its_rules_keeps_them_on_the_card_with_an_alert() {
    let broker = Broker::start("allow_anonymous true\nacl_file acl\n", |folder| {
        let acl =
            format!("pattern readwrite booth/1/#\nuser {BOOTH}\ntopic deny booth/1/up/+/part/#\n");
        std::fs::write(folder.join("acl"), acl).expect("a file");
    });
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(broker.port, "");
    with_clips(&booth, 2);
    let gateway = Gateway::start_deaf(&booth);
    has_fault(&gateway, "clip_refused_by_broker");
    gateway.reaches("spool_clips", 2);
    hub.kill();
}

#[test]
fn nobody_listening_keeps_the_clip_and_raises_an_alert() {
    let broker = Broker::open();
    let says_online = Booth::connect(broker.port, "somebody");
    let online = json!({"state": "online", "ts": "2026-01-01T00:00:00.000Z"}).to_string();
    says_online.publish_at("booth/1/hub/state", true, online);
    let booth = BoothHome::new(broker.port, "");
    with_clips(&booth, 1);
    let gateway = Gateway::start_deaf(&booth);
    has_fault(&gateway, "hub_not_listening");
    gateway.reaches("spool_clips", 1);
    assert_eq!(booth.files("clips").len(), 1);
}

#[test]
fn rubbish_and_lies_on_every_topic_that_a_booth_reads_release_nothing() {
    let broker = Broker::open();
    let booth = BoothHome::new(broker.port, "");
    let clips = with_clips(&booth, 2);
    let gateway = Gateway::start_deaf(&booth);
    gateway.says("connected to the broker");
    let liar = Booth::listening(
        broker.port,
        "liar",
        &[format!("booth/1/up/{BOOTH}/reply/#")],
    );
    let dn = |tail: &str| format!("booth/1/dn/{BOOTH}/{tail}");
    let ack = |clip: &str, sha256: Value| {
        json!({"clip_id": clip, "status": "stored", "sha256": sha256, "missing": [], "ts": null})
            .to_string()
    };
    liar.publish_at(
        &dn(&format!("ack/{}", clips[0])),
        false,
        ack(&clips[0], json!("0".repeat(64))),
    );
    liar.publish_at(
        &dn(&format!("ack/{}", clips[0])),
        false,
        ack(&clips[0], Value::Null),
    );
    liar.publish_at(
        &dn(&format!("ack/{}", clips[0])),
        false,
        ack(&clips[1], Value::Null),
    );
    liar.publish_at(
        &dn("ack/nobody"),
        false,
        ack("nobody", json!("0".repeat(64))),
    );
    for payload in [
        &b""[..],
        b"{",
        b"\xff\xfe\x00",
        &[b'['; 20_000],
        &vec![b'x'; 300_000],
    ] {
        for tail in ["ack/x", "config", "cmd/purge", "cmd/\u{1F4DE}", "nonsense"] {
            liar.publish_at(&dn(tail), false, payload);
        }
        liar.publish_at("booth/1/hub/state", false, payload);
        liar.publish_at("booth/1/media/abc", false, payload);
    }
    // It still answers, and has not taken a word of it.
    liar.publish_at(&dn("cmd/rebirth"), false, "{}");
    liar.hear("reply/rebirth");
    gateway.reaches("spool_clips", 2);
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    gateway.reaches("spool_clips", 0);
    for clip in &clips {
        assert!(home.clip_file(clip).exists());
    }
    hub.kill();
}

#[test]
fn a_booth_says_who_it_is_on_connect_and_offline_when_it_stops() {
    let broker = Broker::open();
    let listener = Booth::listening(broker.port, "ops", &[format!("booth/1/up/{BOOTH}/#")]);
    let old = json!({"id": "power", "severity": "needs_visit", "since": "", "clock_synced": 0,
        "text": "of an earlier process", "session": "1-1", "card_id": "x"});
    listener.publish_at(
        &format!("booth/1/up/{BOOTH}/alert/power"),
        true,
        old.to_string(),
    );
    listener.hear("alert/power");
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start_deaf(&booth);
    let json_of = |tail: &str| -> Value {
        serde_json::from_slice(&listener.hear(tail).payload).expect("JSON")
    };
    let state = json_of("/state");
    assert_eq!(state["state"], "online");
    let birth = json_of("/birth");
    assert_eq!(
        (&birth["booth_id"], &birth["sealed"]),
        (&json!(BOOTH), &json!(false))
    );
    assert_eq!(birth["card_id"], state["card_id"]);
    assert!(
        listener.hear("alert/power").payload.is_empty(),
        "no alert of an earlier process survives"
    );
    let health = json_of("/health");
    assert_eq!(health["ready"], 0, "there is no sound card");
    assert!(
        health
            .as_object()
            .expect("flat")
            .values()
            .all(Value::is_number)
    );
    assert!(gateway.stop().success());
    loop {
        let state = json_of("/state");
        if state["state"] != "online" {
            assert_eq!(state["state"], "offline");
            break;
        }
    }
}

#[test]
fn whoever_takes_the_identity_over_is_named_by_an_alert_and_costs_no_clip() {
    let broker = Broker::open();
    let booth = BoothHome::new(broker.port, "");
    with_clips(&booth, 1);
    let listener = Booth::listening(broker.port, "ops", &[format!("booth/1/up/{BOOTH}/#")]);
    let gateway = Gateway::start_deaf(&booth);
    // The last word of what it says on connect: now the line is quiet.
    listener.hear("/health");
    // Mosquitto 2.0.11 closes without saying why; a fight over the identity shows itself all the same.
    let is_told = || {
        let state = gateway.state().expect("alive");
        state["faults"].to_string().contains("duplicate_identity")
    };
    for fought in 1..=20 {
        let _thief = Booth::connect(broker.port, BOOTH);
        until("it is back, or has understood", || {
            let connected = gateway.log().matches("connected to the broker").count();
            (connected > fought || is_told()).then_some(())
        });
        if is_told() {
            break;
        }
        listener.hear("/health");
    }
    has_fault(&gateway, "duplicate_identity");
    gateway.reaches("spool_clips", 1);
}

/// A real file system of 64 MiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "small"])
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_file_system_is_told_lets_confirmed_clips_leave_and_recovers() {
    let Some(disk) = SmallDisk::mount() else {
        println!("!! the full file system was NOT RUN: mounting a tmpfs needs root");
        return;
    };
    let broker = Broker::open();
    let booth = BoothHome::new(broker.port, "");
    let spool = booth.spool();
    let on_disk = disk.0.path().join("spool");
    std::fs::create_dir(&on_disk).expect("a folder");
    std::os::unix::fs::symlink(on_disk, &spool).expect("a link");
    with_clips(&booth, 3);
    let gateway = Gateway::start_deaf(&booth);
    gateway.reaches("spool_clips", 3);
    // Somebody else fills it to the last byte.
    let filler = disk.0.path().join("filler");
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=4096", "status=none"])
        .arg(format!("of={}", filler.display()))
        .stderr(std::process::Stdio::null())
        .status()
        .expect("dd runs");
    assert!(!filled.success(), "the file system is full");
    has_fault(&gateway, "spool_full");
    // What the hub confirms leaves all the same, and a restart finds its way.
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    gateway.reaches("spool_clips", 0);
    until("the card is clean", || {
        booth.files("clips").is_empty().then_some(())
    });
    assert!(gateway.stop().success());
    let gateway = Gateway::start_deaf(&booth);
    has_fault(&gateway, "spool_full");
    std::fs::remove_file(&filler).expect("gone");
    until("it takes messages again", || {
        let state = gateway.state()?;
        let faults = state["faults"].as_array()?.clone();
        (!faults
            .iter()
            .any(|fault| fault == "spool_full" || fault == "spool_unwritable"))
        .then_some(())
    });
    hub.kill();
}
