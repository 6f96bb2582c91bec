//! What operators do at the pages of a running hub: a booth over time, commands, and alerts with somebody on duty.
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use booth_sealing::{Identity, KernelRandom};
use booth_testkit::hub::{Booth, Broker, Home, Hub};
use booth_testkit::staff::Staff;
use booth_testkit::wait::until;
use serde_json::{Value, json};

const PASSWORD: &str = "korrekt hest batteri";
const BOOTH: &str = "rundhoej-1";

/// Takes every request that comes and answers 200; the bodies come out in their order.
fn listener() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (sender, bodies) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
            let mut asked = Vec::new();
            let mut block = [0; 4096];
            while let Ok(n @ 1..) = stream.read(&mut block) {
                asked.extend_from_slice(&block[..n]);
                let text = String::from_utf8_lossy(&asked).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.trim().parse::<usize>().ok())?
                });
                if body.len() >= length.unwrap_or(0) {
                    let _ = stream.write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    );
                    if sender.send(body.to_owned()).is_err() {
                        return;
                    }
                    break;
                }
            }
        }
    });
    (port, bodies)
}

fn says_health(booth: &Booth, temperature: f64) {
    booth.publish(
        "health",
        true,
        json!({"ready": 1, "cpu_temp_c": temperature, "health_interval_s": 60}).to_string(),
    );
}

#[test]
fn an_operator_sees_how_a_booth_went_tells_it_what_to_do_and_reads_its_answer() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    home.has_person("olga", PASSWORD, &["--role", "operator"]);
    home.has_person("mona", PASSWORD, &["--role", "moderator"]);
    let base = hub.address().trim_end_matches('/').to_owned();
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let birth = json!({"session": "1-1", "card_id": "card-1", "boot_id": "b", "hw_serial": "0000abcd", "health_interval_s": 60});
    booth.publish("birth", true, birth.to_string());
    says_health(&booth, 41.5);
    let olga = Staff::log_in(&base, "olga", PASSWORD).expect("logged in");
    let page = until("the page has a picture", || {
        let page = olga.get(&format!("booth/{BOOTH}")).ok()?;
        page.contains("cpu_temp_c, the last 24 hours: from 41.5 to 41.5")
            .then_some(page)
    });
    for part in [
        "card-1",
        "0000abcd",
        "Ring the bell",
        "Commands that the city signs",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let at = format!("booth/{BOOTH}/order");
    let led = olga
        .post(&at, &[("command", "ring"), ("rings", "3")])
        .expect("sent");
    assert!(led.ends_with("?sent=ring"), "{led}");
    let asked = booth.hear("cmd/ring");
    assert_eq!(
        serde_json::from_slice::<Value>(&asked.payload).expect("JSON"),
        json!({"rings": 3})
    );
    let properties = asked.properties.expect("properties");
    assert!(
        properties
            .message_expiry_interval
            .is_some_and(|left| left <= 60)
    );
    assert!(properties.correlation_data.is_some());
    booth.publish("reply/ring", false, r#"{"ok":1,"rings":3}"#);
    until("the answer stands on the page", || {
        olga.get(&format!("booth/{BOOTH}"))
            .ok()?
            .contains("reply/ring")
            .then_some(())
    });
    for (fields, says) in [
        (&[("command", "ring"), ("rings", "x")][..], "422"),
        (
            &[("command", "reboot"), ("body", "{}"), ("minisig", "")],
            "422",
        ),
        (&[("command", "format")], "422"),
    ] {
        let why = olga.post(&at, fields).expect_err("refused");
        assert!(why.contains(says), "{why}");
    }
    let text = olga
        .get(&format!("booth/{BOOTH}/to-sign?command=reboot"))
        .expect("a text");
    let text: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&text["booth"], &text["command"]),
        (&json!(BOOTH), &json!("reboot"))
    );
    // A moderator neither sees the fleet nor commands it.
    let mona = Staff::log_in(&base, "mona", PASSWORD).expect("logged in");
    let refused = mona
        .post(&at, &[("command", "ring"), ("rings", "1")])
        .expect_err("refused");
    assert!(refused.contains("403"), "{refused}");
    let refused = mona.get(&format!("booth/{BOOTH}")).expect_err("refused");
    assert!(refused.contains("403"), "{refused}");
    // Where nobody is logged in nothing is commanded, whatever is sent.
    let bare = ureq::Agent::new_with_defaults()
        .post(format!("{base}/{at}"))
        .send_form([("command", "ring"), ("rings", "1")]);
    assert!(bare.is_err(), "{bare:?}");
    assert!(
        booth
            .try_hear(Duration::from_millis(300))
            .is_none_or(|heard| !heard.topic.ends_with(b"cmd/ring"))
    );
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn what_no_log_names_is_not_commanded() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    home.has_person("olga", PASSWORD, &["--role", "operator"]);
    let base = hub.address().trim_end_matches('/').to_owned();
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let olga = Staff::log_in(&base, "olga", PASSWORD).expect("logged in");
    let city = rusqlite::Connection::open(home.path().join("store/city.sqlite")).expect("opens");
    city.execute_batch(
        "CREATE TRIGGER no_room BEFORE INSERT ON act BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;",
    )
    .expect("no act is taken");
    let ring = [("command", "ring"), ("rings", "1")];
    let at = format!("booth/{BOOTH}/order");
    let why = olga.post(&at, &ring).expect_err("not sent");
    assert!(why.contains("500"), "{why}");
    let version = [("do", "begin"), ("version", "0.9.0")];
    let begin = [&version[..], &[("url", "https://updates.example/a.update")]].concat();
    let why = olga.post("updates", &begin).expect_err("not begun");
    assert!(why.contains("log of acts cannot be written"), "{why}");
    city.execute_batch("DROP TRIGGER no_room;")
        .expect("as before");
    let asked = [("command", "selftest")];
    olga.post(&at, &asked).expect("sent");
    let heard = std::iter::from_fn(|| booth.try_hear(Duration::from_secs(20)));
    let mut commands = heard.filter(|one| String::from_utf8_lossy(&one.topic).contains("/cmd/"));
    let first = commands.next().expect("a command");
    assert!(first.topic.ends_with(b"cmd/selftest"), "{:?}", first.topic);
    assert!(!olga.get("updates").expect("a page").contains("0.9.0"));
    let birth = json!({"session": "1-1", "card_id": "card-1", "boot_id": "b", "hw_serial": "0000abcd", "health_interval_s": 60});
    booth.publish("birth", true, birth.to_string());
    until("the rollout begins", || olga.post("updates", &begin).ok());
    assert!(olga.get("updates").expect("a page").contains("0.9.0"));
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn an_enrolled_booth_is_followed_to_its_first_ready_and_its_files_are_right_for_a_gateway() {
    let broker = Broker::open();
    let city = Identity::generate(&mut KernelRandom).expect("a key");
    let more = format!(
        "[privacy]\nrecipients = [\"{}\"]\n[enrol]\nurl = \"mqtts://broker.example\"\n",
        city.recipient()
    );
    let home = Home::new(broker.port, &more);
    let hub = Hub::start(&home);
    let output = home.path().join("card");
    let config = home.config();
    let enrol = || {
        let mut command = std::process::Command::new(booth_testkit::hub_program::hub_program());
        command
            .arg("enrol")
            .arg(BOOTH)
            .arg("--output")
            .arg(&output)
            .args(["--name", "Torvet", "--wait", "3", "--config"])
            .arg(&config);
        command
    };
    let mut following = enrol()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    until("the files are there", || {
        output.join("label.html").exists().then_some(())
    });
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .args(["check-config", "--config"])
        .arg(output.join("booth.toml"))
        .output()
        .expect("it runs");
    assert!(checked.status.success(), "{checked:?}");
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let state = json!({"state": "online", "session": "1-1", "card_id": "card-1", "boot_id": "b"});
    booth.publish("state", true, state.to_string());
    let birth = json!({"session": "1-1", "card_id": "card-1", "boot_id": "b"});
    booth.publish("birth", true, birth.to_string());
    until("it is followed to its first ready", || {
        booth.publish(
            "health",
            true,
            json!({"ready": 1, "spool_clips": 7}).to_string(),
        );
        following.try_wait().expect("it can be asked")
    });
    let mut said = String::new();
    following
        .stdout
        .take()
        .expect("output")
        .read_to_string(&mut said)
        .expect("text");
    assert!(
        said.contains("ready: a citizen can speak") && said.contains("[[booth]]"),
        "{said}"
    );
    // A second card of the same booth: what the first one holds is told, and nothing is written over.
    let again = enrol().output().expect("it runs");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&again.stdout),
        String::from_utf8_lossy(&again.stderr)
    );
    assert!(
        !again.status.success() && said.contains("held 7 messages") && said.contains("booth.toml"),
        "{said}"
    );
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn whoever_is_on_duty_hears_of_an_alarm_by_a_signed_webhook_and_once_that_it_is_over_and_the_heart_beats()
 {
    let broker = Broker::open();
    let (port, told) = listener();
    let (heart, beats) = listener();
    let home = Home::new(
        broker.port,
        &format!(
            "[city.alarm]\nwebhook_key_file = \"hook-key\"\n[city.watch]\nheartbeat = \"http://127.0.0.1:{heart}/\"\n\
             [[city.watch.duty]]\nname = \"night\"\nwebhook = \"http://127.0.0.1:{port}/\"\n"
        ),
    );
    std::fs::write(home.path().join("hook-key"), "a-key-of-a-test-0123456789\n").expect("written");
    let hub = Hub::start(&home);
    home.has_person("olga", PASSWORD, &["--role", "operator"]);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let birth = json!({"session": "1-1", "card_id": "card-1", "boot_id": "b"});
    booth.publish("birth", true, birth.to_string());
    let alert =
        json!({"id": "power", "text": "4.6 V at the input", "session": "1-1", "card_id": "card-1"});
    booth.publish("alert/power", true, alert.to_string());
    says_health(&booth, 40.0);
    let raised: Value =
        serde_json::from_str(&told.recv_timeout(Duration::from_secs(180)).expect("told"))
            .expect("JSON");
    let first = &raised["alerts"][0];
    assert_eq!(
        (&first["booth"], &first["kind"], &first["state"]),
        (&json!(BOOTH), &json!("power"), &json!("raised"))
    );
    assert_eq!(first["text"], "4.6 V at the input");
    let olga =
        Staff::log_in(hub.address().trim_end_matches('/'), "olga", PASSWORD).expect("logged in");
    let page = olga.get("watch").expect("a page");
    assert!(
        page.contains("4.6 V at the input") && page.contains("night"),
        "{page}"
    );
    booth.publish("alert/power", true, "");
    // The booth speaks on, so that it does not fall silent meanwhile.
    let over = until("the end is told", || {
        says_health(&booth, 40.0);
        told.recv_timeout(Duration::from_secs(10)).ok()
    });
    let over: Value = serde_json::from_str(&over).expect("JSON");
    assert_eq!(
        (&over["alerts"][0]["kind"], &over["alerts"][0]["state"]),
        (&json!("power"), &json!("over")),
        "{over}"
    );
    beats
        .recv_timeout(Duration::from_secs(120))
        .expect("the heart beats");
    assert_eq!(hub.stop().code(), Some(0));
}
