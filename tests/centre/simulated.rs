//! `booth-gateway simulate` against a real broker and a real hub.
#![allow(clippy::disallowed_methods)]

use std::process::{Command, Output};

use booth_testkit::hub::{Broker, Home, Hub};
use booth_testkit::wait::until;
use serde_json::Value;

use crate::monitoring::with_token;

fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .arg("simulate")
        .args(arguments)
        .output()
        .expect("it runs")
}

#[test]
fn a_simulated_fleet_with_faults_loses_and_doubles_nothing_and_says_so() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let token = with_token(&home);
    let faults = home.path().join("faults.toml");
    std::fs::write(
        &faults,
        "disconnects_per_hour = 400.0\npower_cuts_per_hour = 200.0\n",
    )
    .expect("written");
    let hub = Hub::start(&home);
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let metrics = format!("{}metrics", hub.address());
    let path = |path: &std::path::Path| path.to_str().expect("a name").to_owned();
    let (token, faults) = (path(&token), path(&faults));
    let played = simulate(&[
        "--url",
        &url,
        "--booths",
        "20",
        "--lifts-per-hour",
        "600",
        "--minutes",
        "0.3",
        "--message-s",
        "3",
        "--faults",
        &faults,
        "--metrics",
        &metrics,
        "--metrics-token-file",
        &token,
        "--json",
    ]);
    let said = String::from_utf8_lossy(&played.stderr).into_owned();
    assert!(
        played.status.success(),
        "{said} {}",
        String::from_utf8_lossy(&played.stdout)
    );
    let report: Value = serde_json::from_slice(&played.stdout).expect("JSON");
    let lifts = report["lifts"].as_u64().expect("a number");
    assert!(
        lifts > 20 && report["faults"].as_u64() > Some(3),
        "{report}"
    );
    assert_eq!(report["confirmed"], lifts, "{report}");
    assert_eq!(report["held"], lifts, "{report}");
    for none in ["lost", "doubled", "late", "rejected"] {
        assert_eq!(report[none], 0, "{report}");
    }
    // The hub knows the booths by what they said.
    until("the page shows the booths", || {
        let page = hub.page("operations");
        (page.contains("simulated-20") && page.contains("unsealed")).then_some(())
    });
    let one = hub.page("booth/simulated-7");
    assert!(
        one.contains("Temperature of the processor") && one.contains("48.5"),
        "{one}"
    );
    let unknown = hub.fetch("booth/nobody", "");
    assert_eq!(unknown.0, 404);
    let csv = String::from_utf8(hub.fetch("operations.csv", "").1).expect("text");
    assert_eq!(csv.lines().count(), 21, "{csv}");
}

#[test]
fn what_cannot_be_played_is_refused_in_a_sentence() {
    let url = "mqtt://127.0.0.1:1";
    for (arguments, says) in [
        (&["--url", url, "--booths", "0"][..], "--booths 0"),
        (
            &["--url", url, "--message-s", "999"],
            "a message has 1 to 180 seconds",
        ),
        (
            &["--url", url, "--lifts-per-hour", "NaN"],
            "--lifts-per-hour",
        ),
        (&["--url", url, "--prefix", "Rundhøj"], "--prefix"),
        (&["--url", "http://x"], "--url"),
        (
            &["--url", url, "--faults", "/nowhere/faults.toml"],
            "--faults",
        ),
        (
            &["--url", url, "--password-file", "/nowhere/p"],
            "--password-file",
        ),
        (&["--url", url, "--minutes=-1"], "--minutes"),
    ] {
        let refused = simulate(arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains(says),
            "{arguments:?}: {said}"
        );
    }
}
