//! `booth-gateway doctor` with real components: PulseAudio as the card and its mixer, Mosquitto, a running gateway that
//! must not notice.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use booth_host::line_server;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::{Broker, Home, Hub};
use booth_testkit::pulse::{EAR, MIC, MIXER, Pulse};
use booth_testkit::wait::until;
use serde_json::Value;

/// Where there is no sound card at all.
fn deaf() -> Vec<(&'static str, PathBuf)> {
    vec![("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf".into())]
}

fn doctor(config: &Path, environment: Vec<(&'static str, PathBuf)>, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_booth-gateway"));
    command
        .arg("doctor")
        .arg("--config")
        .arg(config)
        .args(more)
        .envs(environment)
        .stdin(Stdio::null());
    command
}

/// What the doctor finds, as JSON, its exit status, and all that it printed.
fn examined(config: &Path, environment: Vec<(&'static str, PathBuf)>) -> (Value, i32, String) {
    let output = doctor(config, environment, &["--json"])
        .output()
        .expect("runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let found = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {all}"));
    (found, output.status.code().expect("an exit status"), all)
}

/// The findings of one subject: verdict, sentence and remedy.
fn about<'a>(found: &'a Value, area: &str, subject: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let findings = found["findings"].as_array().expect("a list").iter();
    findings
        .filter(|finding| finding["area"] == area && finding["subject"] == subject)
        .map(|f| {
            (
                text(&f["verdict"]),
                text(&f["sentence"]),
                text(&f["remedy"]),
            )
        })
        .collect()
}

fn verdict<'a>(found: &'a Value, area: &str, subject: &str) -> &'a str {
    let all = about(found, area, subject);
    all.first()
        .unwrap_or_else(|| panic!("nothing about {area} {subject} in {found:#}"))
        .0
}

/// Puts lines into `[audio]` of a booth.
fn with_audio(booth: &BoothHome, lines: &str) {
    let text = std::fs::read_to_string(booth.config()).expect("a file");
    let text = text.replace("[audio]\n", &format!("[audio]\n{lines}"));
    std::fs::write(booth.config(), text).expect("a file");
}

/// A broker that writes down who connects.
fn telling_broker() -> Broker {
    Broker::start(
        "allow_anonymous true\nlog_dest file broker.log\nlog_type all\n",
        |_| (),
    )
}

fn connects(broker: &Broker) -> usize {
    let log = std::fs::read_to_string(broker.folder().join("broker.log")).unwrap_or_default();
    let lines = log.lines();
    lines
        .filter(|line| line.contains("New client connected") && line.contains("rundhoej-1"))
        .count()
}

#[test]
fn without_a_gateway_the_doctor_looks_for_itself_and_changes_nothing() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = BoothHome::new(broker.port, "");
    with_audio(
        &booth,
        &format!("mixer = \"{MIXER}\"\ncapture_control = \"Capture\"\ncapture_percent = 40\n"),
    );
    std::fs::create_dir(booth.spool()).expect("a folder");
    let (found, status, all) = examined(&booth.config(), pulse.environment());
    assert_eq!(status, 0, "{all}");
    assert_eq!(
        (&found["ok"], &found["gateway"]),
        (&1.into(), &"stopped".into())
    );
    for (area, subject) in [
        ("configuration", "booth.toml"),
        ("sound", "microphone"),
        ("sound", "earpiece"),
        ("broker", "tcp"),
        ("broker", "connect"),
        ("broker", "subscribe"),
        ("hub", "state"),
        ("card", "spool.dir"),
        ("card", "room"),
        ("prompts", "notice"),
    ] {
        assert_eq!(
            verdict(&found, area, subject),
            "ok",
            "{area} {subject}: {all}"
        );
    }
    // The mixer is looked at and not touched.
    let mixer = about(&found, "mixer", "capture_control");
    assert!(
        mixer[0].0 == "warning" && mixer[0].1.contains("booth.toml wants 40 %"),
        "{mixer:?}"
    );
    let volume = pulse.pactl(&["get-source-volume", "line.monitor"]);
    assert!(volume.expect("a volume").contains(" 100%"));
    assert_eq!(booth.files("."), Vec::<PathBuf>::new(), "it left something");
    hub.kill();
}

#[test]
fn a_running_gateway_is_asked_and_stays_connected() {
    let (broker, pulse) = (telling_broker(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.reaches("connected", 1);
    let before = connects(&broker);
    assert_eq!(before, 1);
    for _ in 0..3 {
        let (found, _, all) = examined(&booth.config(), pulse.environment());
        assert_eq!(found["gateway"], "running", "{all}");
        for (area, subject) in [
            ("gateway", "process"),
            ("broker", "connection"),
            ("sound", "microphone"),
            ("sound", "earpiece"),
            ("contacts", "hook"),
            ("card", "spool"),
        ] {
            assert_eq!(
                verdict(&found, area, subject),
                "ok",
                "{area} {subject}: {all}"
            );
        }
        assert_eq!(verdict(&found, "hub", "state"), "warning", "{all}");
    }
    // A recording without its question, and the other language's folder, which is no news.
    let said = line_server::ask(&booth.path().join("doctor.sock"), "status").expect("answered");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let unused = said["unused_prompts"].as_array().expect("a list");
    let is_bus = |why: &Value| {
        why.as_str()
            .is_some_and(|why| why.contains("da/bus.opus is not used"))
    };
    assert!(unused.len() == 1 && is_bus(&unused[0]), "{unused:?}");
    let state = gateway.state().expect("still there");
    assert_eq!(
        (&state["connected"], &state["ready"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        connects(&broker),
        before,
        "the doctor connected as the booth"
    );
    // Its socket is gone although it runs: nothing is taken from it either.
    std::fs::remove_file(booth.path().join("doctor.sock")).expect("a socket");
    let (found, status, all) = examined(&booth.config(), pulse.environment());
    assert_eq!((status, &found["gateway"]), (1, &"silent".into()), "{all}");
    assert_eq!(verdict(&found, "broker", "connect"), "not_checked");
    assert_eq!(
        connects(&broker),
        before,
        "the doctor connected as the booth"
    );
    assert!(gateway.stop().success());
}

#[test]
fn the_mixer_is_set_at_the_start_and_again_when_the_card_comes_back() {
    let (broker, mut pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    with_audio(
        &booth,
        &format!(
            "mixer = \"{MIXER}\"\ncapture_control = \"Capture\"\ncapture_percent = 40\n\
             playback_control = \"Master\"\nplayback_percent = 70\n"
        ),
    );
    let muted = |pulse: &Pulse| pulse.pactl(&["set-sink-mute", "ear", "1"]);
    muted(&pulse).expect("muted");
    let gateway = Gateway::start(&booth, &pulse);
    let is_set = |pulse: &Pulse| {
        let volume = |arguments: &[&str]| pulse.pactl(arguments);
        let microphone = volume(&["get-source-volume", "line.monitor"])?;
        let earpiece = volume(&["get-sink-volume", "ear"])?;
        let mute = volume(&["get-sink-mute", "ear"])?;
        let is_set = microphone.contains(" 40%") && earpiece.contains(" 70%");
        (is_set && mute.contains("no")).then_some(())
    };
    until("the mixer is set", || is_set(&pulse));
    let (found, _, all) = examined(&booth.config(), pulse.environment());
    for control in ["capture_control", "playback_control"] {
        assert_eq!(verdict(&found, "mixer", control), "ok", "{all}");
    }
    pulse.unplug();
    gateway.reaches("ready", 0);
    pulse.plug();
    muted(&pulse).expect("muted");
    until("the mixer is set again", || is_set(&pulse));
    let faults = gateway.reaches("ready", 1)["faults"].to_string();
    assert!(!faults.contains("mixer_faulty"), "{faults}");
    assert!(gateway.stop().success());
}

#[test]
fn a_control_that_is_not_there_is_named_with_those_that_are_and_the_booth_works() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    with_audio(
        &booth,
        &format!(
            "mixer = \"{MIXER}\"\ncapture_control = \"Mic\"\ncapture_percent = 40\n\
             playback_control = \"Master\"\nplayback_db = -6.0\n"
        ),
    );
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    until("the alert", || {
        let faults = gateway.state()?["faults"].to_string();
        faults.contains("mixer_faulty").then_some(())
    });
    let (found, status, all) = examined(&booth.config(), pulse.environment());
    assert_eq!(status, 1, "{all}");
    let mixer = about(&found, "mixer", "capture_control");
    assert!(
        mixer[0].0 == "fault" && mixer[0].1.contains("use one of \"Capture\""),
        "{mixer:?}"
    );
    let mixer = about(&found, "mixer", "playback_control");
    assert!(
        mixer[0].1.contains("no scale in dB; use playback_percent"),
        "{mixer:?}"
    );
    assert_eq!(verdict(&found, "mixer", "mixer_faulty"), "fault");
    assert!(gateway.stop().success());
}

#[test]
fn a_bad_configuration_is_78_and_the_rest_is_looked_at_all_the_same() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let good = std::fs::read_to_string(booth.config()).expect("a file");
    // A value that cannot work: everything else is known.
    let text = good.replace("interval_s = 1", "interval_s = 0");
    std::fs::write(booth.config(), text).expect("a file");
    let (found, status, all) = examined(&booth.config(), pulse.environment());
    assert_eq!((status, &found["misconfigured"]), (78, &1.into()), "{all}");
    let faults = about(&found, "configuration", "booth.toml");
    assert!(
        faults[0].0 == "fault" && faults[0].1.contains("interval_s"),
        "{faults:?}"
    );
    assert_eq!(verdict(&found, "broker", "connect"), "ok", "{all}");
    assert_eq!(verdict(&found, "sound", "earpiece"), "ok", "{all}");
    // One that cannot be read: the machine is all that is known.
    std::fs::write(booth.config(), good.replace("interval_s", "intervall_s")).expect("a file");
    let (found, status, all) = examined(&booth.config(), pulse.environment());
    assert_eq!(
        (status, &found["gateway"]),
        (78, &"unknown".into()),
        "{all}"
    );
    let faults = about(&found, "configuration", "booth.toml");
    assert!(
        faults[0].1.contains("did you mean `interval_s`?"),
        "{faults:?}"
    );
    assert_eq!(about(&found, "machine", "network").len(), 1, "{all}");
}

#[test]
fn a_chip_and_a_card_that_are_not_there_are_faults_with_remedies() {
    let booth = BoothHome::with_mqtt("", "");
    let text = std::fs::read_to_string(booth.config()).expect("a file");
    let text = text
        .replace(
            "backend = \"sim\"",
            "backend = \"cdev\"\nchip = \"/dev/no-such-chip\"",
        )
        .replace(
            &format!("input = \"{MIC}\""),
            "input = \"plughw:CARD=gone,DEV=0\"",
        )
        .replace(
            &format!("output = \"{EAR}\""),
            "output = \"plughw:CARD=gone,DEV=0\"",
        );
    std::fs::write(booth.config(), text).expect("a file");
    with_audio(&booth, "capture_control = \"Mic\"\ncapture_db = 12.0\n");
    let (found, status, all) = examined(&booth.config(), deaf());
    assert_eq!((status, &found["ok"]), (1, &0.into()), "{all}");
    for (area, subject, word) in [
        ("contacts", "chip", "/dev/no-such-chip"),
        ("contacts", "backend", "/dev/no-such-chip"),
        ("sound", "input", "\"gone\""),
        ("sound", "output", "\"gone\""),
        ("sound", "microphone", "gone"),
        ("sound", "earpiece", "gone"),
        ("mixer", "capture_control", "hw:CARD=gone"),
    ] {
        let found = about(&found, area, subject);
        let (verdict, sentence, remedy) = found
            .first()
            .unwrap_or_else(|| panic!("{area} {subject}: {all}"));
        assert!(
            *verdict == "fault" && sentence.contains(word) && !remedy.is_empty(),
            "{area} {subject}: {found:?}"
        );
    }
}

#[test]
fn credentials_are_judged_and_never_printed() {
    let broker = Broker::with_password();
    let mqtt = format!(
        "url = \"mqtt://127.0.0.1:{}\"\npassword_file = \"password\"",
        broker.port
    );
    let booth = BoothHome::with_mqtt(&mqtt, "");
    let (found, status, all) = examined(&booth.config(), deaf());
    assert_eq!(status, 78, "{all}");
    let faults = about(&found, "credentials", "password_file");
    assert!(
        faults[0].0 == "fault" && faults[0].1.contains("cannot be read"),
        "{faults:?}"
    );
    let file = booth.path().join("password");
    std::fs::write(&file, "Zauberwort-4711\n").expect("a file");
    let (found, status, all) = examined(&booth.config(), deaf());
    assert_eq!(status, 1, "{all}");
    let refused = about(&found, "broker", "connect");
    assert!(
        refused[0].0 == "fault" && refused[0].1.contains("refuses user \"rundhoej-1\""),
        "{refused:?}"
    );
    assert_eq!(verdict(&found, "hub", "state"), "not_checked");
    assert_eq!(
        verdict(&found, "credentials", "password_file"),
        "warning",
        "mode 0644"
    );
    assert!(!all.contains("Zauberwort"), "{all}");
    let table = doctor(&booth.config(), deaf(), &[]).output().expect("runs");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("FAULT") && table.contains("do: "), "{table}");
    assert!(!table.contains("Zauberwort"), "{table}");
}

#[test]
fn over_tls_the_broker_must_prove_its_name_and_its_dates_are_told() {
    let broker = Broker::with_tls("localhost");
    let url = |host: &str| {
        let ca = broker.folder().join("ca.pem");
        format!("url = \"mqtts://{host}:{}\"\nca_file = {ca:?}", broker.port)
    };
    let booth = BoothHome::with_mqtt(&url("localhost"), "");
    let (found, _, all) = examined(&booth.config(), deaf());
    for subject in ["tls", "certificate", "connect"] {
        assert_eq!(verdict(&found, "broker", subject), "ok", "{subject}: {all}");
    }
    assert_eq!(verdict(&found, "credentials", "ca_file"), "ok", "{all}");
    let booth = BoothHome::with_mqtt(&url("127.0.0.1"), "");
    let (found, status, all) = examined(&booth.config(), deaf());
    assert_eq!(
        (status, verdict(&found, "broker", "tls")),
        (1, "fault"),
        "{all}"
    );
}

#[test]
fn hostile_lines_on_the_doctors_socket_neither_stop_nor_tire_the_gateway() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let socket = booth.path().join("doctor.sock");
    let answer = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).expect("a socket");
        // A line that is too long ends the connection before all of it was read.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    };
    let long = vec![b'x'; 100_000];
    for line in [
        &b"\n"[..],
        b"\xff\xfe\0\n",
        b"STATUS\n",
        b"status status\n",
        b"{}\n",
        &long,
    ] {
        let said = answer(line);
        assert!(said.is_empty() || said.starts_with("error: "), "{said}");
    }
    assert_eq!(answer(b""), "");
    // Nobody is kept out for long by connections that say nothing.
    let idle: Vec<UnixStream> = (0..64)
        .filter_map(|_| UnixStream::connect(&socket).ok())
        .collect();
    assert!(answer(b"status\n").starts_with("error: too many"));
    drop(idle);
    let status = until("an answer", || {
        let said = answer(b"status\n");
        serde_json::from_str::<Value>(&said).ok()
    });
    assert_eq!(status["booth_id"], "rundhoej-1");
    assert_eq!(status["contacts"][0]["name"], "hook");
    assert!(status["microphone"]["rms_dbfs"].is_number(), "{status}");
    assert_eq!(gateway.state().expect("still there")["ready"], 1);
    assert!(gateway.stop().success());
    assert!(!socket.exists(), "a clean stop leaves no socket");
}

/// A live view, ended with the value.
struct View(Child);

impl Drop for View {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_live_view_tells_each_change_through_the_gateway() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let booth = BoothHome::new(broker.port, "");
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    let mut live = doctor(
        &booth.config(),
        pulse.environment(),
        &["--live", "--seconds", "600"],
    );
    let mut view = View(live.stdout(Stdio::piped()).spawn().expect("runs"));
    let mut lines = BufReader::new(view.0.stdout.take().expect("a pipe")).lines();
    let mut reaches = |word: &str| {
        let found = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(word));
        assert!(found.is_some(), "the view ended without {word:?}");
    };
    reaches("hook at rest");
    gateway.handset("lift");
    reaches("hook ACTIVE");
    gateway.handset("dial 7");
    reaches("key 7");
    gateway.handset("hang-up");
    reaches("hook at rest");
    assert!(gateway.stop().success());
    reaches("not running, or does not answer");
}

#[test]
fn a_console_without_a_gateway_says_so_and_a_live_view_opens_the_microphone_itself() {
    let pulse = Pulse::start();
    let booth = BoothHome::with_mqtt("", "");
    let run = |more: &[&str]| {
        let output = doctor(&booth.config(), pulse.environment(), more)
            .output()
            .expect("runs");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = run(&["--console", "--seconds", "1"]);
    assert!(said.contains("not running"), "{said}");
    assert!(
        !said.contains("dBFS"),
        "a console opens no microphone: {said}"
    );
    let said = run(&["--live", "--seconds", "3"]);
    assert!(
        said.contains("No gateway runs") && said.contains("dBFS"),
        "{said}"
    );
}
