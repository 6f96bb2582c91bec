//! The real program updates a booth made of files: its card, firmware and restart are files and a script, its gateway answers
//! on a real socket, the update comes over a real HTTP server whose connections break.
#![allow(clippy::disallowed_methods)]

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use booth_contract::hex;
use booth_gateway::status::Status;
use booth_gateway::trust::whence::Whence;
use booth_gateway::update::container::{MANIFEST, PAYLOAD, SIGNATURE, pack};
use booth_gateway::update::http::{Download, Patience};
use booth_host::line_server::{self, LineSocket};
use booth_testkit::gateway::{BoothHome, Gateway};
use booth_testkit::http_server::{Manners, Server};
use booth_testkit::hub::{Booth as Listener, Broker};
use booth_testkit::wait::until;
use minisign::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const SLOT: usize = 2 << 20;
const LETTER_AT: usize = 70_011;
const AUTOBOOT: &str = "[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";

fn payload(seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..1_500 * 1024usize)
        .map(|at| (at / 3) as u8 ^ seed)
        .collect();
    bytes[LETTER_AT - 11..=LETTER_AT].copy_from_slice(b"booth.slot=a");
    bytes
}

fn image_id(seed: u8) -> String {
    format!("{seed:02x}").repeat(32)
}

fn update_file(pair: &KeyPair, seed: u8) -> Vec<u8> {
    let payload = payload(seed);
    let manifest = json!({
        "format": 1, "board": "raspberry-pi-arm64", "version": format!("0.{seed}.0"), "image_id": image_id(seed),
        "released": 1000, "counter": seed, "kernel": "7.3.4", "slot_bytes": payload.len(),
        "slot_sha256": hex(&Sha256::digest(&payload)), "slot_letter_at": [LETTER_AT], "allow_older": false,
    });
    let text = manifest.to_string();
    let signature = minisign::sign(None, &pair.sk, text.as_bytes(), None, None)
        .expect("signed")
        .into_string();
    pack(&[
        (MANIFEST, text.as_bytes()),
        (SIGNATURE, signature.as_bytes()),
        (PAYLOAD, &payload),
    ])
}

/// A booth below a folder.
struct Booth {
    root: tempfile::TempDir,
    pair: KeyPair,
    status: Arc<Mutex<Status>>,
    _socket: LineSocket,
}

impl Booth {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let at = |path: &str| root.path().join(path);
        let pair = KeyPair::generate_unencrypted_keypair().expect("a pair");
        for folder in [
            "proc/sys/kernel/random",
            "run/booth",
            "boot/booth",
            "dev",
            "data",
            "usr/bin",
            "spool",
        ] {
            std::fs::create_dir_all(at(folder)).expect("a folder");
        }
        for (number, name) in [(2, "mmcblk0p2"), (3, "mmcblk0p3"), (4, "mmcblk0p4")] {
            let block = at("sys/class/block").join(name);
            std::fs::create_dir_all(&block).expect("a folder");
            let text = format!(
                "MAJOR=179\nDEVNAME={name}\nPARTN={number}\nPARTUUID=4b1b00f5-{number:02}\n"
            );
            std::fs::write(block.join("uevent"), text).expect("written");
            std::fs::write(at("dev").join(name), vec![0; SLOT]).expect("written");
        }
        std::fs::write(at("boot/booth/autoboot.txt"), AUTOBOOT).expect("written");
        std::fs::write(at("run/booth/data"), "whole\nnothing to repair\n").expect("written");
        std::fs::write(at("dev/flag"), "").expect("written");
        let systemctl = at("usr/bin/systemctl");
        std::fs::write(
            &systemctl,
            format!("#!/bin/sh\necho $* >>{}\n", at("restarts").display()),
        )
        .expect("written");
        std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755))
            .expect("a mode");
        let text = format!(
            "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n[doctor]\nsocket = {:?}\n[spool]\ndir = {:?}\n[update]\nkeys = [{:?}]\nallow = [\"127.0.0.1\"]\n",
            at("run/doctor.sock"),
            at("spool"),
            pair.pk.to_base64()
        );
        // The technician's file, and what provisioning makes of it: the effective one, and whom root trusts.
        std::fs::write(at("boot/booth/booth.toml"), &text).expect("written");
        let status = Arc::new(Mutex::new(Status {
            ready: 1,
            session: "idle".into(),
            card_id: "card".into(),
            last_clip_no: 7,
            ..Status::default()
        }));
        let answers = status.clone();
        let socket = line_server::listen(&at("run/doctor.sock"), "doctor", move |_| {
            serde_json::to_string(&*answers.lock().expect("a status")).expect("JSON")
        });
        let booth = Self {
            status,
            pair,
            _socket: socket.expect("a socket"),
            root,
        };
        let provisioned = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
            .arg("provision")
            .args(["--boot".as_ref(), booth.at("boot/booth").as_os_str()])
            .args(["--data".as_ref(), booth.at("spool").as_os_str()])
            .args([
                "--trust".as_ref(),
                booth.at("data/booth-update").as_os_str(),
            ])
            .output()
            .expect("runs");
        assert!(provisioned.status.success(), "{provisioned:?}");
        booth.starts('a', 1, "boot-1");
        booth
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// The firmware has started this slot.
    fn starts(&self, letter: char, seed: u8, boot_id: &str) {
        let flag = "booth.tryboot=/dev/flag";
        let line = format!("quiet booth.slot={letter} booth.disk=4b1b00f5 {flag}\n");
        std::fs::write(self.at("proc/cmdline"), line).expect("written");
        std::fs::write(
            self.at("proc/sys/kernel/random/boot_id"),
            format!("{boot_id}\n"),
        )
        .expect("written");
        let image = json!({
            "image_id": image_id(seed), "version": format!("0.{seed}.0"), "released": 1000, "counter": seed,
            "board": "raspberry-pi-arm64", "kernel": "7.3.4",
        });
        std::fs::write(self.at("run/booth/image.json"), image.to_string()).expect("written");
        std::fs::write(self.at("dev/flag"), "").expect("written");
        let _ = std::fs::remove_file(self.at("restarts"));
    }

    fn update(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
            .arg("update")
            .args(arguments)
            .args(["--root".as_ref(), self.root.path().as_os_str()])
            .args([
                "--config".as_ref(),
                self.at("spool/config/booth.toml").as_os_str(),
            ])
            .output()
            .expect("runs")
    }

    fn does(&self, arguments: &[&str]) -> String {
        let output = self.update(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    fn file(&self, seed: u8) -> String {
        let path = self.at("x.update");
        std::fs::write(&path, update_file(&self.pair, seed)).expect("written");
        path.to_str().expect("a name").to_owned()
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.does(&["--status", "--json"])).expect("JSON")
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_default()
    }

    /// What a slot begins with.
    fn slot(&self, name: &str) -> Vec<u8> {
        let mut bytes = std::fs::read(self.at("dev").join(name)).expect("read");
        bytes.truncate(payload(0).len());
        bytes
    }

    fn ask_from_the_centre(&self, id: &str, url: &str) {
        std::fs::create_dir_all(self.at("spool/update")).expect("a folder");
        let request = json!({ "id": id, "url": url });
        std::fs::write(self.at("spool/update/request.json"), request.to_string()).expect("written");
    }

    fn take_request_back(&self) {
        std::fs::remove_file(self.at("spool/update/request.json")).expect("removed");
    }

    fn has_request(&self) -> bool {
        self.at("spool/update/request.json").exists()
    }
}

fn in_slot(seed: u8, letter: u8) -> Vec<u8> {
    let mut bytes = payload(seed);
    bytes[LETTER_AT] = letter;
    bytes
}

#[test]
fn a_booth_updates_from_a_file_proves_itself_and_goes_on_from_the_centre() {
    let booth = Booth::new();
    assert!(
        booth
            .does(&["--status"])
            .contains("no update on this card yet")
    );
    assert!(
        booth
            .does(&["--describe", &booth.file(2)])
            .contains("signed with a key that this booth takes")
    );
    let said = booth.does(&[&booth.file(2)]);
    assert!(
        said.contains("writing 100 %") && said.contains("reading back 100 %"),
        "{said}"
    );
    assert!(booth.slot("mmcblk0p3") == in_slot(2, b'b'));
    assert_eq!(
        (
            booth.read("dev/flag").as_str(),
            booth.read("restarts").as_str()
        ),
        ("1\n", "reboot\n")
    );
    assert_eq!(booth.read("boot/booth/autoboot.txt"), AUTOBOOT);
    let state = booth.state();
    assert_eq!(
        (
            &state["phase"],
            &state["kept"]["last_clip_no"],
            &state["to"]["version"]
        ),
        (&json!("armed"), &json!(7), &json!("0.2.0"))
    );
    // For the unprivileged gateway to read.
    let mode = std::fs::metadata(booth.at("data/booth-update/state.json"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);

    booth.starts('b', 2, "boot-2");
    booth.status.lock().expect("a status").last_clip_no = 9;
    booth.does(&["--trial", "--steady-s", "1"]);
    assert_eq!(booth.state()["phase"], "committed");
    let committed = AUTOBOOT
        .replace("partition=2", "partition=x")
        .replace("partition=3", "partition=2");
    assert_eq!(
        booth.read("boot/booth/autoboot.txt"),
        committed.replace("partition=x", "partition=3")
    );
    assert_eq!(booth.read("restarts"), "");

    // The next one comes from the centre, over a line that breaks.
    booth.starts('b', 2, "boot-3");
    booth.does(&["--trial"]);
    assert_eq!(booth.state()["phase"], "committed");
    let cut_after = Some(600_000);
    let server = Server::start(
        update_file(&booth.pair, 3),
        Manners {
            cut_after,
            ..Manners::default()
        },
    );
    booth.ask_from_the_centre("request-1", &server.url);
    booth.does(&["--requested"]);
    assert!(booth.slot("mmcblk0p2") == in_slot(3, b'a'));
    assert_eq!(server.ranges(), ["", "bytes=600000-", "bytes=1200000-"]);
    assert!(!booth.has_request());
    assert_eq!(
        (
            booth.state()["phase"].clone(),
            booth.read("restarts").as_str()
        ),
        (json!("armed"), "reboot\n")
    );

    // It has lost the spool: it goes back, and says why.
    booth.starts('a', 3, "boot-4");
    booth.status.lock().expect("a status").card_id = "another".into();
    booth.does(&["--trial", "--steady-s", "1", "--after-s", "2"]);
    let state = booth.state();
    assert_eq!(state["phase"], "rolled_back");
    assert!(
        state["reason"].as_str().expect("text").contains("card_id"),
        "{state}"
    );
    assert_eq!(booth.read("restarts"), "reboot\n");
    assert_eq!(
        booth.read("boot/booth/autoboot.txt"),
        committed.replace("partition=x", "partition=3")
    );
    // The old one runs again and keeps that in mind.
    booth.starts('b', 2, "boot-5");
    booth.does(&["--trial"]);
    assert_eq!(booth.state()["phase"], "rolled_back");
    assert!(booth.does(&["--status"]).contains("card_id"));
}

#[test]
fn a_trial_that_ended_with_the_power_is_noted_by_the_old_version() {
    let booth = Booth::new();
    booth.does(&[&booth.file(2), "--no-reboot"]);
    assert_eq!(
        (
            booth.read("dev/flag").as_str(),
            booth.read("restarts").as_str()
        ),
        ("1\n", "")
    );
    // Within the same start nothing has come of it yet.
    booth.does(&["--trial"]);
    assert_eq!(booth.state()["phase"], "armed");
    booth.starts('a', 1, "boot-2");
    booth.does(&["--trial"]);
    let state = booth.state();
    assert_eq!(
        (&state["phase"], &state["to"]["version"]),
        (&json!("rolled_back"), &json!("0.2.0"))
    );
}

#[test]
fn a_request_that_cannot_be_followed_ends_with_its_reason_and_is_not_begun_again() {
    let booth = Booth::new();
    let server = Server::start(
        update_file(&booth.pair, 2),
        Manners {
            first: Some((404, 1)),
            ..Manners::default()
        },
    );
    for (url, why) in [
        (server.url.as_str(), "the server answers 404"),
        ("file:///etc/shadow", "neither http:// nor https://"),
    ] {
        booth.ask_from_the_centre(why, url);
        let output = booth.update(&["--requested"]);
        assert!(!output.status.success());
        let state = booth.state();
        assert_eq!(state["phase"], "failed");
        assert!(
            state["reason"].as_str().expect("text").contains(why),
            "{state}"
        );
        // Whoever sent an address learns nothing of what is behind it.
        let told = state["told"].as_str().expect("text");
        let is_fetched = url.starts_with("http");
        assert_eq!(told.contains("could not be fetched"), is_fetched, "{state}");
        assert!(
            !told.contains(why) && !told.contains("127.0.0.1"),
            "{state}"
        );
        assert!(!booth.has_request());
    }
    // One that the power has broken off three times is not begun a fourth.
    let mut state = booth.state();
    state["request"] = "again".into();
    state["attempts"] = 3.into();
    std::fs::write(booth.at("data/booth-update/state.json"), state.to_string()).expect("written");
    booth.ask_from_the_centre("again", &server.url);
    assert!(!booth.update(&["--requested"]).status.success());
    assert!(
        booth.state()["reason"]
            .as_str()
            .expect("text")
            .contains("begun 3 times")
    );
    assert_eq!(booth.read("restarts"), "");
    // Nothing to do is no fault.
    booth.does(&["--requested"]);
}

#[test]
fn a_booth_whose_technician_named_no_key_takes_no_update_whatever_the_gateways_own_file_says() {
    let booth = Booth::new();
    let file = booth.file(2);
    // The gateway's own configuration still names the key; what root trusts does not.
    std::fs::write(booth.at("data/booth-update/keys"), "").expect("written");
    assert!(
        booth
            .read("spool/config/booth.toml")
            .contains(&booth.pair.pk.to_base64())
    );
    let output = booth.update(&[&file]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("this booth takes no updates"),
        "{output:?}"
    );
    assert!(booth.slot("mmcblk0p3").iter().all(|byte| *byte == 0));
}

#[test]
fn where_there_is_no_slot_to_write_it_says_so() {
    let booth = Booth::new();
    let file = booth.file(2);
    let says = |remedy: &str| {
        let output = booth.update(&[&file]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && said.contains(remedy),
            "{said}"
        );
    };
    std::fs::write(booth.at("run/booth/data"), "none\nthe card is too small\n").expect("written");
    says("use another card");
    std::fs::write(booth.at("run/booth/data"), "whole\n").expect("written");
    std::fs::remove_file(booth.at("dev/flag")).expect("removed");
    says("the restart on trial cannot be asked for");
    std::fs::write(booth.at("dev/flag"), "").expect("written");
    std::fs::remove_dir_all(booth.at("sys/class/block/mmcblk0p3")).expect("removed");
    says("PARTUUID=4b1b00f5-03");
    std::fs::write(booth.at("boot/booth/autoboot.txt"), "").expect("written");
    says("write the card again");
    std::fs::remove_file(booth.at("run/booth/image.json")).expect("removed");
    says("does not run a booth's SD image");
    // Without a booth, a file can still be looked at.
    assert!(booth.does(&["--describe", &file]).contains("0.2.0"));
    assert_eq!(booth.update(&[]).status.code(), Some(2));
}

#[test]
fn a_trial_that_cannot_be_judged_ends_with_a_restart_and_one_that_is_none_ends_at_once() {
    let booth = Booth::new();
    let arm = || {
        std::fs::write(booth.at("boot/booth/autoboot.txt"), AUTOBOOT).expect("written");
        booth.starts('a', 1, "boot-1");
        booth.does(&[&booth.file(2)]);
        booth.starts('b', 2, "boot-2");
        let _ = std::fs::remove_file(booth.at("run/booth/trial-began"));
    };
    let trial = || booth.does(&["--trial", "--steady-s", "0", "--after-s", "1"]);
    // The firmware's file cannot be read: the state, or the initrd's mark, says that it may be one.
    arm();
    std::fs::write(booth.at("boot/booth/autoboot.txt"), "").expect("written");
    trial();
    assert_eq!(booth.read("restarts"), "reboot\n");
    // Nor what runs.
    arm();
    std::fs::remove_file(booth.at("run/booth/image.json")).expect("removed");
    std::fs::write(booth.at("run/booth/on-trial"), "").expect("written");
    trial();
    assert_eq!(booth.read("restarts"), "reboot\n");
    std::fs::remove_file(booth.at("run/booth/on-trial")).expect("removed");
    // The data is another one, and there is nowhere to keep a note.
    arm();
    std::fs::write(booth.at("run/booth/data"), "none\nno room\n").expect("written");
    std::fs::remove_dir_all(booth.at("data")).expect("removed");
    std::fs::write(booth.at("data"), "").expect("written");
    std::fs::write(booth.at("run/booth/on-trial"), "").expect("written");
    trial();
    assert_eq!(booth.read("restarts"), "reboot\n");
    std::fs::remove_file(booth.at("run/booth/on-trial")).expect("removed");
    // Without a trial there is nothing to wait for.
    booth.starts('a', 1, "boot-3");
    booth.does(&["--trial"]);
    std::fs::remove_file(booth.at("data")).expect("removed");
    std::fs::create_dir(booth.at("data")).expect("a folder");
    booth.does(&["--trial"]);
    std::fs::write(booth.at("boot/booth/autoboot.txt"), "").expect("written");
    booth.does(&["--trial"]);
    assert_eq!(booth.read("restarts"), "");
}

#[test]
fn a_restart_that_is_refused_is_asked_for_harder_and_its_time_is_the_boots() {
    let booth = Booth::new();
    booth.does(&[&booth.file(2)]);
    booth.starts('b', 2, "boot-2");
    booth.status.lock().expect("a status").ready = 0;
    let systemctl = |refused: &str| {
        let text = format!(
            "#!/bin/sh\necho $* >>{}\ncase \"$*\" in {refused}) exit 1;; esac\n",
            booth.at("restarts").display()
        );
        std::fs::write(booth.at("usr/bin/systemctl"), text).expect("written");
    };
    systemctl("*");
    let trial = ["--trial", "--steady-s", "0", "--after-s", "1"];
    assert!(!booth.update(&trial).status.success());
    let ladder = "reboot\nreboot --force\nreboot --force --force\n";
    assert_eq!(booth.read("restarts"), ladder);
    let reason = booth.state()["reason"].clone();
    // The service starts it again: it has been given up, and only the restart is missing, whatever the gateway says now.
    booth.status.lock().expect("a status").ready = 1;
    systemctl("reboot");
    booth.does(&["--trial"]);
    assert_eq!(
        booth.read("restarts"),
        format!("{ladder}reboot\nreboot --force\n")
    );
    assert_eq!(
        (
            booth.state()["phase"].clone(),
            booth.state()["reason"].clone()
        ),
        (json!("rolled_back"), reason)
    );
    assert_eq!(booth.read("boot/booth/autoboot.txt"), AUTOBOOT);
}

#[test]
fn a_gateway_that_does_not_answer_leaves_the_spools_own_word() {
    let booth = Booth::new();
    std::fs::remove_file(booth.at("run/doctor.sock")).expect("removed");
    let file = booth.file(2);
    // What stands there but cannot be read keeps the trial from being armed.
    std::fs::write(booth.at("spool/card.json"), "?").expect("written");
    let output = booth.update(&[&file]);
    assert!(!output.status.success(), "{output:?}");
    let state = booth.state();
    assert!(
        state["phase"] == "failed"
            && state["reason"]
                .as_str()
                .expect("text")
                .contains("card.json"),
        "{state}"
    );
    assert_eq!(booth.read("dev/flag"), "0\n");
    let card = json!({
        "schema": 1, "card_id": "card", "previous_card_id": null, "first_seen": "x", "boot_id": "y", "boot_count": 1,
        "clip_no_floor": 5, "counter_saves": 0, "counters": {},
    });
    let line = format!("{card}\n");
    let sum = crc32c::crc32c(line.as_bytes());
    std::fs::write(
        booth.at("spool/card.json"),
        format!("{line}crc32c:{sum:08x}\n"),
    )
    .expect("written");
    booth.does(&[&file]);
    let kept = booth.state()["kept"].clone();
    assert_eq!(
        (&kept["card_id"], &kept["last_clip_no"]),
        (&json!("card"), &json!(5))
    );
}

#[test]
fn a_request_to_a_booth_that_cannot_follow_it_is_told_and_gone() {
    let booth = Booth::new();
    for (path, text, why) in [
        ("run/booth/data", "none\nno room\n", "use another card"),
        ("data/booth-update/keys", "RWnonsense\n", "key"),
        ("run/booth/image.json", "?", "image.json"),
    ] {
        let before = booth.read(path);
        std::fs::write(booth.at(path), text).expect("written");
        booth.ask_from_the_centre(why, "http://127.0.0.1:1/x");
        assert!(!booth.update(&["--requested"]).status.success());
        let state = booth.state();
        assert!(
            state["phase"] == "failed" && state["reason"].as_str().expect("text").contains(why),
            "{state}"
        );
        assert!(!booth.has_request());
        std::fs::write(booth.at(path), before).expect("written");
    }
}

#[test]
fn a_stick_with_a_copy_of_the_card_is_never_written() {
    let booth = Booth::new();
    std::fs::write(booth.at("run/booth/disk"), "mmcblk0\n").expect("written");
    let class = booth.at("sys/class/block");
    let place = |disk: &str, part: &str| {
        let real = booth.at("sys/devices").join(disk).join(part);
        std::fs::create_dir_all(&real).expect("a folder");
        let text = format!("DEVNAME={part}\nPARTUUID=4b1b00f5-03\n");
        std::fs::write(real.join("uevent"), text).expect("written");
        std::fs::write(booth.at("dev").join(part), vec![0; SLOT]).expect("written");
        let _ = std::fs::remove_dir_all(class.join(part));
        std::os::unix::fs::symlink(&real, class.join(part)).expect("a link");
    };
    place("sda", "sda3");
    std::fs::remove_dir_all(class.join("mmcblk0p3")).expect("removed");
    let output = booth.update(&[&booth.file(2)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no partition of mmcblk0"), "{said}");
    place("mmcblk0", "mmcblk0p3");
    booth.does(&[&booth.file(2)]);
    assert!(booth.slot("mmcblk0p3") == in_slot(2, b'b'));
    assert!(booth.slot("sda3").iter().all(|byte| *byte == 0));
}

fn patience() -> Patience {
    Patience {
        tries: 3,
        pause: Duration::ZERO,
        ..Patience::default()
    }
}

fn fetched(url: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut download = Download::new(url, None, Whence::anywhere(), patience())
        .map_err(|error| error.to_string())?;
    download
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[test]
fn a_download_goes_on_where_its_connection_broke_whatever_the_server_can() {
    let file: Vec<u8> = (0..300_000u32).map(|at| (at / 7) as u8).collect();
    for (ranges, etag) in [
        (true, Some("\"1\"")),
        (true, None),
        (true, Some("W/\"1\"")),
        (false, None),
    ] {
        // Without ranges each try brings a little more only if the server lets it.
        let cut_after = if ranges { Some(70_000) } else { None };
        let manners = Manners {
            cut_after,
            ranges,
            etag,
            first: Some((503, 2)),
            ..Manners::default()
        };
        let server = Server::start(file.clone(), manners);
        assert!(fetched(&server.url).expect("whole") == file);
        assert_eq!(server.ranges().len(), if ranges { 7 } else { 3 });
    }
    // A server that sends everything again: what is there already is passed over.
    let server = Server::start(
        file.clone(),
        Manners {
            ranges: false,
            ..Manners::default()
        },
    );
    let mut download =
        Download::new(&server.url, None, Whence::anywhere(), patience()).expect("an address");
    server.behave(|manners| manners.cut_after = Some(100_000));
    let mut bytes = vec![0; 100_000];
    download.read_exact(&mut bytes).expect("a part");
    server.behave(|manners| manners.cut_after = None);
    download.read_to_end(&mut bytes).expect("the rest");
    assert!(bytes == file);
    assert_eq!(server.ranges(), ["", "bytes=100000-"]);
}

#[test]
fn a_web_page_of_a_network_that_wants_a_login_ends_no_download() {
    let file: Vec<u8> = (0..200_000u32).map(|at| (at / 7) as u8).collect();
    let page = "<html><body>Please log in</body></html>";
    for kind in ["text/html; charset=utf-8", "Text/HTML", "text/plain", ""] {
        let manners = Manners {
            page: Some((kind, page, 2)),
            ..Manners::default()
        };
        let server = Server::start(file.clone(), manners);
        assert!(fetched(&server.url).expect("whole") == file, "{kind}");
        assert_eq!(server.ranges().len(), 3, "{kind}");
    }
    // One that comes in the middle is no part of the file either, nor another file.
    let server = Server::start(file.clone(), Manners::default());
    server.behave(|manners| manners.cut_after = Some(70_000));
    let mut download =
        Download::new(&server.url, None, Whence::anywhere(), patience()).expect("an address");
    let mut bytes = vec![0; 70_000];
    download.read_exact(&mut bytes).expect("a part");
    server.behave(|manners| {
        manners.cut_after = None;
        manners.page = Some(("text/html", page, 1));
    });
    download.read_to_end(&mut bytes).expect("the rest");
    assert!(bytes == file);
    // Where nothing else ever comes, that is said.
    let manners = Manners {
        page: Some(("text/html", page, 9)),
        ..Manners::default()
    };
    let server = Server::start(file, manners);
    let said = fetched(&server.url).expect_err("no file");
    assert!(said.contains("a web page came instead"), "{said}");
    assert_eq!(server.ranges().len(), 3);
}

#[test]
fn neither_an_address_nor_a_redirect_leads_where_the_technician_has_not_allowed_it() {
    let whence = |allow: &[&str]| Whence::parse(allow).expect("entries");
    let fetched = |url: &str, whence: Whence| {
        let mut download =
            Download::new(url, None, whence, patience()).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let read = download.read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| error.to_string())
    };
    let inside = Server::start(vec![7; 1_000], Manners::default());
    let by_name = inside.url.replace("127.0.0.1", "localhost");
    for url in [&inside.url, &by_name] {
        let said = fetched(url, whence(&[])).expect_err("refused");
        assert!(said.contains("[update] allow"), "{said}");
        assert_eq!(
            fetched(url, whence(&["localhost", "127.0.0.0/8", "::1"]))
                .expect("allowed")
                .len(),
            1_000
        );
    }
    let asked = inside.ranges().len();
    // One that may be asked sends on to one that may not.
    let outside = Server::start(
        Vec::new(),
        Manners {
            location: Some(inside.url.replace("127.0.0.1", "127.0.0.2")),
            ..Manners::default()
        },
    );
    let said = fetched(&outside.url, whence(&["127.0.0.1"])).expect_err("refused");
    assert!(
        said.contains("127.0.0.2") && said.contains("[update] allow"),
        "{said}"
    );
    assert_eq!(inside.ranges().len(), asked, "nobody connected");
}

#[test]
fn a_server_that_drips_is_given_up() {
    let server = Server::start(
        vec![7; 100_000],
        Manners {
            drips: true,
            ..Manners::default()
        },
    );
    let patience = Patience {
        window: Duration::from_millis(300),
        least: 10_000,
        ..patience()
    };
    let mut download =
        Download::new(&server.url, None, Whence::anywhere(), patience).expect("an address");
    let said = download.read_to_end(&mut Vec::new()).expect_err("given up");
    assert!(said.to_string().contains("too slow"), "{said}");
}

#[test]
fn an_update_that_the_centre_takes_back_ends_and_changes_nothing() {
    let booth = Booth::new();
    let server = Server::start(
        update_file(&booth.pair, 2),
        Manners {
            drips: true,
            ..Manners::default()
        },
    );
    booth.ask_from_the_centre("1", &server.url);
    std::thread::scope(|threads| {
        let following = threads.spawn(|| booth.update(&["--requested"]));
        until("it is being fetched", || {
            (!server.ranges().is_empty()).then_some(())
        });
        booth.take_request_back();
        let output = following.join().expect("it ends");
        assert!(!output.status.success());
    });
    let state = booth.state();
    assert_eq!(state["phase"], "failed");
    assert!(
        state["reason"]
            .as_str()
            .expect("text")
            .contains("cancelled"),
        "{state}"
    );
    assert!(booth.slot("mmcblk0p3").iter().all(|byte| *byte == 0));
}

#[test]
fn a_download_that_cannot_come_whole_ends_with_a_sentence() {
    let file = vec![7; 300_000];
    // Not one byte, three times.
    let manners = Manners {
        cut_after: Some(0),
        ..Manners::default()
    };
    let server = Server::start(file.clone(), manners);
    assert!(fetched(&server.url).is_err());
    assert_eq!(server.ranges().len(), 3);
    for (status, tries) in [(404, 1), (503, 3)] {
        let server = Server::start(
            file.clone(),
            Manners {
                first: Some((status, 9)),
                ..Manners::default()
            },
        );
        let said = fetched(&server.url).expect_err("refused");
        assert!(
            said.contains(&format!("the server answers {status}")),
            "{said}"
        );
        assert_eq!(server.ranges().len(), tries);
    }
    // Another file in the middle of this one.
    let server = Server::start(
        file.clone(),
        Manners {
            cut_after: Some(100_000),
            ..Manners::default()
        },
    );
    let mut download =
        Download::new(&server.url, None, Whence::anywhere(), patience()).expect("an address");
    download.read_exact(&mut [0; 100_000]).expect("a part");
    server.serve(vec![8; 300_000]);
    server.behave(|manners| manners.etag = Some("\"2\""));
    let said = download
        .read_to_end(&mut Vec::new())
        .expect_err("refused")
        .to_string();
    assert!(said.contains("was replaced"), "{said}");
    // Nobody there.
    let port = booth_testkit::hub::free_port();
    assert!(fetched(&format!("http://127.0.0.1:{port}/x")).is_err());
}

#[test]
fn the_centre_asks_the_gateway_leaves_a_request_and_every_outcome_is_told_once() {
    let broker = Broker::open();
    let updater = tempfile::tempdir().expect("a folder");
    let pair = KeyPair::generate_unencrypted_keypair().expect("a pair");
    let home = |keys: &str| {
        BoothHome::new(
            broker.port,
            &format!(
                "[update]\nkeys = [{keys}]\nallow = [\"x\", \"127.0.0.1\"]\nstate = {:?}\n",
                updater.path()
            ),
        )
    };
    let up = |kind: &str| format!("booth/1/up/rundhoej-1/{kind}");
    let operations = Listener::listening(
        broker.port,
        "operations",
        &[up("event/update"), up("reply/#")],
    );
    let heard = |tail: &str| -> Value {
        serde_json::from_slice(&operations.hear(tail).payload).expect("JSON")
    };
    let ask = |payload: &str| {
        operations.publish_at("booth/1/dn/rundhoej-1/cmd/update", false, payload);
        heard("reply/update")
    };
    let url = r#"{"url":"https://updates.example/0.2.0.update"}"#;

    let keyless = home("");
    let gateway = Gateway::start_deaf(&keyless);
    gateway.reaches("connected", 1);
    let reply = ask(url);
    assert!(
        reply["ok"] == 0
            && reply["error"]
                .as_str()
                .expect("text")
                .contains("[update] keys"),
        "{reply}"
    );
    gateway.stop();

    let home = home(&format!("{:?}", pair.pk.to_base64()));
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    for bad in ["", "{}", r#"{"url":"file:///etc/shadow"}"#] {
        let reply = ask(bad);
        assert!(
            reply["ok"] == 0 && reply["error"].as_str().expect("text").contains("send"),
            "{reply}"
        );
    }
    assert_eq!(ask(url)["accepted"], 1);
    let request = home.spool().join("update/request.json");
    let text = std::fs::read_to_string(&request).expect("the request");
    let request: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(request["url"], "https://updates.example/0.2.0.update");

    // What the updater writes is told, phase by phase.
    let write = |phase: &str, at: &str, reason: &str| {
        let state = json!({
            "schema": 1, "phase": phase, "at": at, "reason": reason,
            "to": { "image_id": image_id(2), "version": "0.2.0" },
        });
        let new = updater.path().join("new");
        std::fs::write(&new, state.to_string()).expect("written");
        std::fs::rename(&new, updater.path().join("state.json")).expect("renamed");
    };
    write("writing", "2026-11-25T12:00:00.000Z", "");
    let event = heard("event/update");
    assert_eq!(
        (&event["phase"], &event["image_id"]),
        (&json!("writing"), &json!(image_id(2)))
    );
    let reply = ask(url);
    assert!(
        reply["error"]
            .as_str()
            .expect("text")
            .contains("under way (writing)"),
        "{reply}"
    );
    // An updater that was killed is not waited for.
    std::fs::remove_file(home.spool().join("update/request.json")).expect("removed");
    let mut ended = Command::new("true").spawn().expect("runs");
    ended.wait().expect("ended");
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("an id");
    let state = json!({
        "schema": 1, "phase": "verified", "at": "2026-11-25T12:10:00.000Z", "pid": ended.id(), "boot_id": boot_id.trim(),
    });
    std::fs::write(updater.path().join("state.json"), state.to_string()).expect("written");
    assert_eq!(heard("event/update")["phase"], "verified");
    assert_eq!(heard("event/update")["phase"], "failed");
    assert_eq!(ask(url)["accepted"], 1);
    // A restart, as into a trial that fails; the outcome is told by whoever runs then.
    gateway.stop();
    write(
        "rolled_back",
        "2026-11-25T12:20:00.000Z",
        "the gateway was not ready",
    );
    let gateway = Gateway::start_deaf(&home);
    let event = heard("event/update");
    assert_eq!(
        (&event["phase"], &event["reason"]),
        (&json!("rolled_back"), &json!("the gateway was not ready"))
    );
    let told = home.spool().join("update/told");
    until("it is noted that it was told", || {
        std::fs::read_to_string(&told)
            .ok()?
            .starts_with("rolled_back")
            .then_some(())
    });
    gateway.stop();
    // Told once: the next thing that is heard is the next news.
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    write("committed", "2026-11-25T13:00:00.000Z", "");
    assert_eq!(heard("event/update")["phase"], "committed");
    gateway.stop();
    assert!(Path::new(&told).exists());
}

#[test]
fn an_outcome_that_nobody_heard_is_told_until_somebody_does() {
    let broker = Broker::open();
    let updater = tempfile::tempdir().expect("a folder");
    let state = json!({
        "schema": 1, "phase": "rolled_back", "at": "2026-11-25T12:20:00.000Z", "reason": "the gateway was not ready",
    });
    std::fs::write(updater.path().join("state.json"), state.to_string()).expect("written");
    let home = BoothHome::new(
        broker.port,
        &format!("[update]\nkeys = []\nstate = {:?}\n", updater.path()),
    );
    let told = home.spool().join("update/told");
    let up = |kind: &str| format!("booth/1/up/rundhoej-1/{kind}");
    // Nobody listens to events. The broker answers in order: what comes after the outcome shows that it had it.
    let others = Listener::listening(broker.port, "others", &[up("health")]);
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    others.hear("health");
    gateway.stop();
    assert!(!told.exists(), "nobody heard it");
    let gateway = Gateway::start_deaf(&home);
    gateway.reaches("connected", 1);
    others.hear("health");
    // The hub comes.
    let hub = Listener::listening(broker.port, "hub", &[up("event/update")]);
    hub.publish_at("booth/1/hub/state", true, r#"{"state":"online"}"#);
    let event: Value = serde_json::from_slice(&hub.hear("event/update").payload).expect("JSON");
    assert_eq!(event["phase"], "rolled_back");
    until("it is noted that it was told", || {
        told.exists().then_some(())
    });
    gateway.stop();
}
