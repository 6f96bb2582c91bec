//! `booth-gateway fleet` as an operator and a script use it: a real Mosquitto with a city's access rules, and a real terminal.
#![allow(clippy::disallowed_methods)]

use std::process::{Command, Output};

use booth_testkit::city_broker::CityBroker;
use booth_testkit::glass::Glass;
use booth_testkit::hub::{Booth, Broker};
use booth_testkit::program::Program;
use booth_testkit::wait::until;
use serde_json::{Value, json};

fn fleet(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_booth-gateway"));
    command.arg("fleet").args(arguments).env("TERM", "xterm");
    command
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&fleet(arguments).output().expect("it runs"))
}

/// What a booth says when it has connected; nothing of it is forgotten by the broker.
fn introduces(booth: &Booth, id: &str, ready: u8) {
    let state = json!({"state": "online", "session": "1-5", "card_id": "card-1"});
    let birth = json!({"schema": 1, "booth_id": id, "name": format!("Torvet {id}"), "session": "1-5", "card_id": "card-1",
        "sw_version": "0.1.0", "health_interval_s": 60});
    booth.publish("state", true, state.to_string());
    booth.publish("birth", true, birth.to_string());
    health(booth, ready);
}

fn health(booth: &Booth, ready: u8) {
    let ts = booth_host::clock::wall().as_second();
    let health = json!({"ready": ready, "ts": ts, "clock_synced": 1, "health_interval_s": 60, "cpu_temp_c": 48});
    booth.publish("health", true, health.to_string());
    booth.is_judged();
}

fn spool_full(booth: &Booth, is_raised: bool) {
    let alert = json!({"id": "spool_full", "severity": "citizen_cannot_speak", "text": "the card is full", "since": "2026-11-29T18:00:00.000Z"});
    let payload = match is_raised {
        true => alert.to_string(),
        false => String::new(),
    };
    booth.publish("alert/spool_full", true, payload);
    booth.is_judged();
}

#[test]
fn an_operator_sees_the_worst_first_and_the_status_says_whether_all_are_ready() {
    let users = ["rundhoej-1", "torvet-2", "operations"].map(|user| (user, "right"));
    let broker = CityBroker::start(&users);
    let booths =
        ["rundhoej-1", "torvet-2"].map(|id| Booth::logged_in(broker.port, id, Some("right"), &[]));
    introduces(&booths[0], "rundhoej-1", 1);
    introduces(&booths[1], "torvet-2", 0);
    spool_full(&booths[1], true);
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "right\n").expect("written");
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let own = [
        "--url",
        &url,
        "--user",
        "operations",
        "--password-file",
        password.to_str().expect("a name"),
    ];
    let once = |more: &[&str]| run(&[&own[..], more].concat());

    let (status, table, errors) = once(&["--once"]);
    assert_eq!(status, Some(1), "{table}{errors}");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "1 of 2 can take messages; 1 cannot, because the card has no room for another message."
    );
    assert!(
        lines[1].starts_with("torvet-2") && lines[1].ends_with("the card is full"),
        "{table}"
    );
    assert!(
        lines[2].starts_with("rundhoej-1") && lines[2].ends_with("fine"),
        "{table}"
    );
    let (_, only, _) = once(&["--once", "--show", "fine", "--find", "RUND"]);
    assert_eq!(only.lines().count(), 2, "{only}");

    spool_full(&booths[1], false);
    health(&booths[1], 1);
    let (status, text, errors) = once(&["--once", "--json"]);
    assert_eq!(status, Some(0), "{text}{errors}");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&answer["ok"], answer["booths"].as_array().map(Vec::len)),
        (&json!(1), Some(2))
    );
    assert_eq!(answer["booths"][0]["name"], "Torvet rundhoej-1");

    // Whoever may not log in is told what to look at.
    std::fs::write(&password, "wrong\n").expect("written");
    let (status, _, errors) = once(&["--once"]);
    assert_eq!(status, Some(1));
    assert!(
        errors.contains("refuses user \"operations\"") && errors.contains("--password-file"),
        "{errors}"
    );
}

#[test]
fn a_tree_of_another_version_a_broker_with_tls_and_a_pipe_are_met_with_a_sentence() {
    let broker = Broker::open();
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let booth = Booth::connect(broker.port, "torvet-2");
    booth.publish_at("booth/2/up/torvet-2/state", true, "{}");
    booth.is_judged();
    // On a busy machine the first connection may take longer than this patience.
    let (status, text) = until("the other tree is heard", || {
        let (status, text, _) = run(&["--url", &url, "--once", "--patience", "2"]);
        text.contains("booth/2").then_some((status, text))
    });
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("there are booths below booth/2: name it with --root"),
        "{text}"
    );
    let (status, _, errors) = run(&["--url", &url]);
    assert_eq!(status, Some(1));
    assert!(
        errors.contains("no terminal") && errors.contains("--once"),
        "{errors}"
    );
    let (status, _, errors) = run(&["--url", &url, "--show", "lazy"]);
    assert_eq!(status, Some(2), "{errors}");

    let tls = Broker::with_tls("localhost");
    let url = format!("mqtts://localhost:{}", tls.port);
    let ca = tls.folder().join("ca.pem");
    let ca = ca.to_str().expect("a name");
    let trusted = ["--url", &url, "--ca-file", ca, "--once", "--patience", "2"];
    let (status, text) = until("a broker with TLS is watched", || {
        let (status, text, errors) = run(&trusted);
        errors.is_empty().then_some((status, text))
    });
    assert_eq!(status, Some(1), "{text}");
    assert!(text.starts_with("No booth"), "{text}");
    let (status, _, errors) = run(&["--url", &url, "--once"]);
    assert_eq!(status, Some(1));
    assert!(
        errors.contains("TLS") || errors.contains("certificate"),
        "{errors}"
    );
}

#[test]
fn a_program_hears_what_happens_line_by_line_also_after_a_restart_of_the_broker() {
    let mut broker = Broker::open();
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    // Standard output is the log that is waited for.
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" >&2"]);
    command.arg(env!("CARGO_BIN_EXE_booth-gateway"));
    command.args(["fleet", "--url", &url, "--json"]);
    let watching = Program::start("fleet", &mut command).expect("it starts");
    let hears = |text: &str| -> Value {
        let (_, line) = watching.says(text).expect("heard");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(hears("connected to the broker")["kind"], "broker");
    let booth = Booth::connect(broker.port, "torvet-2");
    spool_full(&booth, true);
    let raised = hears("spool_full: the card is full");
    assert_eq!(
        (&raised["kind"], &raised["booth_id"]),
        (&json!("alert"), &json!("torvet-2"))
    );
    drop(booth);
    watching.clear_log();
    broker.stop();
    assert_eq!(hears("the broker 127.0.0.1")["kind"], "broker");
    broker.start_again();
    hears("connected to the broker");
    let booth = Booth::connect(broker.port, "torvet-2");
    booth.publish("event/boot", false, "{}");
    booth.is_judged();
    assert_eq!(hears("\"event\"")["booth_id"], "torvet-2");
}

#[test]
fn in_a_terminal_the_fleet_lives_obeys_keys_outlives_the_broker_and_leaves_the_terminal_as_it_was()
{
    let mut broker = Broker::open();
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let booth = Booth::connect(broker.port, "torvet-2");
    introduces(&booth, "torvet-2", 1);
    let mut glass = Glass::around(fleet(&["--url", &url]), 120, 30);
    glass.shows("The booth can take messages");
    glass.shows("Torvet torvet-2");
    spool_full(&booth, true);
    health(&booth, 0);
    glass.shows("1 cannot, because the card has no room");
    glass.types("\r");
    glass.shows("Restore the connection so that clips can leave");
    glass.types("\rs");
    glass.shows("the oldest unsent message first");
    glass.types("/nobody\r");
    glass.shows("0 of 1 booths");
    glass.types("\u{1b}");
    glass.shows("1 of 1 booths");

    drop(booth);
    broker.stop();
    glass.shows("No connection to the broker");
    glass.shows("not connected");
    broker.start_again();
    glass.shows("connected since");
    let booth = Booth::connect(broker.port, "torvet-2");
    spool_full(&booth, false);
    introduces(&booth, "torvet-2", 1);
    glass.shows("The booth can take messages");

    glass.types("q");
    assert_eq!(glass.ends(), Some(0));
    glass.was_told("\u{1b}[?1049l");
    glass.was_told("\u{1b}[?25h");
}
