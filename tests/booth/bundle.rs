//! `booth-gateway doctor --bundle`: what helps from afar is in it, and nothing that a citizen said or that opens something.
#![allow(clippy::disallowed_methods)]

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use booth_contract::receipt::Receipt;
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::hub::Broker;
use booth_testkit::pulse::Pulse;
use booth_testkit::searched::holds;
use serde_json::Value;

/// Every value of the configuration, or of a file that it names, that opens something.
const SECRETS: &[&str] = &[
    "sentinel-mqtt-password",
    "c2VudGluZWwtb2YtYS1rZXk",
    "sentinel-wifi-password",
    "sentinel-modem-password",
    "sentinel-modem-user",
    "73519264",
    "0357913",
];

/// A machine whose journal repeats everything that it should not.
fn telling_journal(folder: &Path, lines: &[String]) -> std::ffi::OsString {
    let programs = folder.join("programs");
    std::fs::create_dir(&programs).expect("a folder");
    std::fs::write(folder.join("lines"), lines.join("\n")).expect("written");
    let script = format!("#!/bin/sh\ncat {}\n", folder.join("lines").display());
    let program = programs.join("journalctl");
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("executable");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(programs).chain(std::env::split_paths(&path));
    std::env::join_paths(all).expect("a path")
}

fn bundle(config: &Path, into: &Path, path: &std::ffi::OsStr) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_booth-gateway"));
    command.args(["doctor", "--config"]).arg(config);
    command.arg("--bundle").arg(into).env("PATH", path);
    command.env("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf");
    command.stdin(Stdio::null()).output().expect("runs")
}

/// The bytes of the archive, as gzip unpacks them.
fn unpacked(file: &Path) -> Vec<u8> {
    let mut program = Command::new("gzip")
        .arg("-dc")
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip runs");
    let mut bytes = Vec::new();
    let output = program.stdout.as_mut().expect("a pipe");
    output.read_to_end(&mut bytes).expect("read");
    assert!(program.wait().expect("ended").success());
    bytes
}

/// Pieces of a clip's file that are sound: neither its facts nor its paddings.
fn sound(clip: &[u8]) -> Vec<&[u8]> {
    let is_sound = |piece: &&[u8]| piece.iter().filter(|byte| !byte.is_ascii()).count() > 6;
    clip.chunks_exact(24).filter(is_sound).collect()
}

fn secret_files(folder: &Path) {
    for (name, content) in [
        ("mqtt-password", "sentinel-mqtt-password\n"),
        (
            "booth.key",
            "-----BEGIN PRIVATE KEY-----\nc2VudGluZWwtb2YtYS1rZXk=\n-----END PRIVATE KEY-----\n",
        ),
        (
            "booth.pem",
            "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n",
        ),
        ("wifi-password", "sentinel-wifi-password"),
        ("modem-password", "sentinel-modem-password"),
        ("sim-pin", "73519264"),
    ] {
        std::fs::write(folder.join(name), content).expect("written");
    }
}

/// The file `name` of an unpacked bundle.
fn part(folder: &Path, name: &str) -> String {
    let path = folder.join("booth-bundle").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_bundle_holds_what_helps_and_no_secret_no_receipt_and_no_word_of_a_citizen() {
    let (broker, pulse) = (Broker::open(), Pulse::start());
    let mqtt = format!(
        "url = \"mqtt://127.0.0.1:{}\"\npassword_file = \"mqtt-password\"\ncert_file = \"booth.pem\"\nkey_file = \"booth.key\"",
        broker.port
    );
    let more = "[service]\ncode = \"0357913\"\n\
        [[network.wifi]]\nssid = \"Kommune\"\npassword_file = \"wifi-password\"\n\
        [network.modem]\nuser = \"sentinel-modem-user\"\npassword_file = \"modem-password\"\npin_file = \"sim-pin\"\n";
    let booth = BoothHome::with_mqtt(&mqtt, more);
    secret_files(booth.path());
    let gateway = Gateway::start(&booth, &pulse);
    gateway.reaches("ready", 1);
    gateway.takes_a_message(&booth, &pulse);
    gateway.reaches("spool_clips", 1);

    let receipt = Receipt::generate(|bytes| bytes.fill(7), &[]).expect("a receipt");
    let mut lines: Vec<String> = SECRETS
        .iter()
        .map(|secret| format!("2026-11-29T12:00:00 it said {secret}"))
        .collect();
    lines.push(format!("somebody noted {}", &*receipt.to_text()));
    lines.push("AGE-SECRET-KEY-1QQPQ lies here".into());
    lines.push("an ordinary line of the journal".into());
    let path = telling_journal(booth.path(), &lines);
    let file = booth.path().join("bundle.tar.gz");
    let made = bundle(&booth.config(), &file, &path);
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(
        made.status.success() && said.contains("bundle.tar.gz"),
        "{made:?}"
    );
    let mode = std::fs::metadata(&file)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let folder = tempfile::tempdir().expect("a folder");
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(&file).arg("-C").arg(folder.path());
    let tar = tar.output().expect("tar runs");
    assert!(tar.status.success() && tar.stderr.is_empty(), "{tar:?}");
    let json =
        |name: &str| -> Value { serde_json::from_str(&part(folder.path(), name)).expect(name) };
    assert_eq!(json("about.json")["booth_id"], "rundhoej-1");
    assert!(
        json("findings.json")["findings"]
            .as_array()
            .expect("a list")
            .len()
            > 5
    );
    let status = json("status.json");
    assert_eq!(
        (&status["ready"], &status["spool_clips"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        status["last_key"],
        Value::Null,
        "what was dialled is nobody's"
    );
    let configuration = part(folder.path(), "booth.toml");
    for kept in [
        "rundhoej-1",
        "ssid = \"Kommune\"",
        "wifi-password",
        "127.0.0.1",
    ] {
        assert!(
            configuration.contains(kept),
            "{kept} is not in {configuration}"
        );
    }
    assert!(part(folder.path(), "journal.txt").contains("an ordinary line of the journal"));
    assert!(part(folder.path(), "machine.txt").contains("Linux version"));
    assert!(part(folder.path(), "network.txt").contains("interface lo"));

    let bytes = unpacked(&file);
    for secret in SECRETS
        .iter()
        .copied()
        .chain([&**receipt.to_text(), "QQPQ"])
    {
        assert!(
            !holds(&bytes, secret.as_bytes()),
            "{secret} is in the bundle"
        );
    }
    let clip = std::fs::read(booth.files("clips").pop().expect("a clip")).expect("read");
    let said = sound(&clip);
    assert!(said.len() > 200, "only {} pieces of sound", said.len());
    for piece in said {
        assert!(!holds(&bytes, piece), "a word is in the bundle");
    }

    // What is there stays.
    let again = bundle(&booth.config(), &file, &path);
    let why = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && why.contains("is there already; name a file that is not"),
        "{why}"
    );
    assert_eq!(unpacked(&file), bytes);
    assert!(gateway.stop().success());
}

#[test]
fn a_configuration_that_nobody_can_read_gives_a_bundle_without_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("booth.toml");
    let path = telling_journal(folder.path(), &["nothing".into()]);
    for (number, text) in [
        // No TOML at all.
        "[service]\ncode = \"0357913\"\n[mqtt\nurl = \"mqtt://u:0357913@host\"\n",
        // TOML, and no configuration.
        "[booth]\nid = \"a-1\"\n[control]\nkeys = \"0357913\"\n[privacy]\nrecipients = \"0357913\"\n",
        "[booth]\nid = \"a-1\"\npassword = \"0357913\"\n[mqtt]\npassword_file = \"0357913\"\nurl = \"0357913\"\n",
        "[booth]\nid = \"a-1\"\n[service]\ncode = 357913\n",
    ]
    .iter()
    .enumerate()
    {
        std::fs::write(&config, text).expect("written");
        let file = folder.path().join(format!("{number}.tar.gz"));
        let made = bundle(&config, &file, &path);
        assert!(made.status.success(), "{text}: {made:?}");
        let bytes = unpacked(&file);
        assert!(!holds(&bytes, b"357913"), "{text}: {}", String::from_utf8_lossy(&bytes));
        assert!(holds(&bytes, b"\"misconfigured\": 1"), "{text}");
    }
}

#[test]
fn a_bundle_that_cannot_be_written_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = bundle(
        &folder.path().join("booth.toml"),
        &folder.path().join("no/such/folder.tar.gz"),
        std::ffi::OsStr::new("/nowhere"),
    );
    let why = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(
        !made.status.success() && why.contains("in a folder that you may write"),
        "{why}"
    );
}
