//! Workers beside the hub that serves, over a real broker with the shipped access rules and a real PostgreSQL: they share out the booths, die at any
//! moment, and lose and double nothing.
#![allow(clippy::disallowed_methods)] // writes a configuration, looks at files

use std::process::{Command, Stdio};
use std::time::Duration;

use booth_contract::AckStatus;
use booth_stage::postgres::Server;
use booth_stage::program::Program;
use booth_testkit::hub::{Booth, Broker, Clip, Hub, booth_hub};
use booth_testkit::wait::until;
use booth_testkit::workers::{self, home, worker};
use serde_json::{Value, json};

/// How many booths each worker has, by PostgreSQL.
fn shares(server: &Server) -> Vec<String> {
    workers::shares(server, "booth")
}

fn number(server: &Server, sql: &str) -> u64 {
    let asked = server.psql("booth", sql).expect("asked");
    asked.trim().parse().expect("a number")
}

#[test]
fn two_workers_share_the_booths_and_one_of_them_takes_over_when_the_other_dies() {
    let server = Server::start("workers that take in what booths send").expect("it starts");
    let Some(server) = server else {
        return;
    };
    let broker = Broker::open();
    let home = home(&broker, &server.database("booth").expect("a database"), 2);
    let config = home.config().display().to_string();
    let early = booth_hub(&["ingest", "--worker", "1", "--config", &config]);
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert_eq!(early.status.code(), Some(1), "{said}");
    assert!(said.contains("start booth-hub serve there first"), "{said}");
    let third = booth_hub(&["ingest", "--worker", "3", "--config", &config]);
    let said = String::from_utf8_lossy(&third.stderr).into_owned();
    assert_eq!(third.status.code(), Some(78), "{said}");
    assert!(said.contains("there is no worker 3, only 1 to 2"), "{said}");

    let hub = Hub::start(&home);
    let booths: Vec<Booth> = (1..=4)
        .map(|n| Booth::connect(broker.port, &format!("booth-{n}")))
        .collect();
    for booth in &booths {
        booth.hub_becomes("online");
        let state =
            json!({"state": "online", "session": "1-1", "card_id": booth.id, "boot_id": "b"});
        booth.publish("state", true, state.to_string());
    }
    until("the hub knows the booths", || {
        (number(&server, "SELECT count(*) FROM hub.booth") == 4).then_some(())
    });
    let (unready, why) = hub.fetch("readyz", "");
    let why = String::from_utf8_lossy(&why).into_owned();
    assert_eq!(unready, 503, "{why}");
    assert!(why.contains("No worker takes messages in"), "{why}");
    let mut first = worker(&home, 1);
    let mut second = worker(&home, 2);
    until("each has two booths", || {
        (shares(&server) == ["1 2", "2 2"]).then_some(())
    });
    until("the hub is ready", || {
        (hub.fetch("readyz", "").0 == 200).then_some(())
    });
    // Whoever has a booth, its clips are stored and shown. A booth that changed hands just now offers its clip again.
    for (n, booth) in (1..).zip(&booths) {
        booth.deliver_patiently(&Clip::new(&booth.id, n), Duration::from_secs(2));
    }
    assert_eq!(number(&server, "SELECT count(*) FROM hub.kept"), 4);
    hub.shows("operations", "booth-4");

    first.kill();
    until("the second one has them all", || {
        (shares(&server) == ["2 4"]).then_some(())
    });
    for (n, booth) in (11..).zip(&booths) {
        booth.deliver_patiently(&Clip::new(&booth.id, n), Duration::from_secs(2));
    }
    // It ends cleanly, and nobody has a booth any more: what is offered is with nobody, and stays with its booth.
    let ended = second.terminate().expect("it ends");
    assert_eq!(ended.code(), Some(0));
    assert!(shares(&server).is_empty());
    let clip = Clip::new(&booths[0].id, 21);
    booths[0].offer(&clip);
    booths[0].send_parts(&clip, 0, clip.body.len());
    let ack = booths[0].ack_within(Duration::from_secs(2));
    assert!(ack.is_none_or(|ack| ack.status != AckStatus::Stored));
    let mut again = worker(&home, 1);
    booths[0].deliver_patiently(&clip, Duration::from_secs(2));
    assert_eq!(number(&server, "SELECT count(*) FROM hub.kept"), 9);
    assert_eq!(again.terminate().expect("it ends").code(), Some(0));
    assert_eq!(hub.stop().code(), Some(0));
    let checked = booth_hub(&["check", "--config", &config]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
}

/// A simulated fleet that plays for so long, while workers are killed in turns so many times. What was lost or doubled is none.
fn fleet_over_dying_workers(kills: u32, minutes: &str) {
    let server = Server::start("workers that die").expect("it starts");
    let Some(server) = server else {
        return;
    };
    let broker = Broker::open();
    let home = home(&broker, &server.database("booth").expect("a database"), 3);
    let hub = Hub::start(&home);
    let mut workers: Vec<Program> = (1..=3).map(|number| worker(&home, number)).collect();
    let played = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .args(["simulate", "--url"])
        .arg(format!("mqtt://127.0.0.1:{}", broker.port))
        .args([
            "--booths",
            "12",
            "--lifts-per-hour",
            "600",
            "--minutes",
            minutes,
        ])
        .args(["--message-s", "5", "--patience", "300", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let stored = || number(&server, "SELECT count(*) FROM hub.kept");
    until("the first messages are stored", || {
        (stored() > 2).then_some(())
    });
    for kill in 0..kills {
        let victim = (kill % 3) as usize;
        workers[victim].kill();
        // Not in step with anything that a worker does.
        std::thread::park_timeout(Duration::from_millis(u64::from(kill) * 137 % 900));
        workers[victim] = worker(&home, victim as u16 + 1);
        std::thread::park_timeout(Duration::from_millis(u64::from(kill) * 311 % 700));
    }
    let output = played.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{report} {said}");
    let lifts = report["lifts"].as_u64().expect("a number");
    assert!(lifts > 20, "{report}");
    assert_eq!(report["confirmed"], lifts, "{report}");
    for none in ["late", "rejected"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    // Each was confirmed by its hash, and is there once: none is lost or doubled.
    assert_eq!(stored(), lifts, "each message once");
    for worker in &mut workers {
        assert_eq!(worker.terminate().expect("it ends").code(), Some(0));
    }
    assert_eq!(hub.stop().code(), Some(0));
    let config = home.config().display().to_string();
    let checked = booth_hub(&["check", "--config", &config]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
}

#[test]
fn workers_that_are_killed_again_and_again_lose_and_double_nothing() {
    fleet_over_dying_workers(12, "0.4");
}

#[test]
#[ignore = "some ten minutes: 200 kills, by hand (docs/testing.md)"]
fn two_hundred_killed_workers_lose_and_double_nothing() {
    fleet_over_dying_workers(200, "4");
}
