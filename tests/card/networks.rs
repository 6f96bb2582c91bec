//! `[network]` of booth.toml: the secrets' way from FAT to the booth's own partition, on a disk in memory that loses power at
//! every step; and the profiles, with the real program and read back by NetworkManager's own reader where it is installed.
#![allow(clippy::disallowed_methods)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use booth_gateway::provision::network::{ConnectionNews, Way, confirm};
use booth_gateway::provision::{Hands, Outcome, Places, Source, provision};
use booth_spool::disk::Disk;
use booth_testkit::model_disk::{EROFS, Fault, Left, ModelDisk};

const LEAST: &str = "[booth]\nid = \"rundhoej-1\"\n[privacy]\nseal = false\n";
const WIFI: &str = "[[network.wifi]]\nssid = \"Kommune Gæst\"\npassword_file = \"wifi-password\"\n";
const MODEM: &str = "[network.modem]\napn = \"internet.example\"\npin_file = \"pin\"\n";
const PROFILES: &str = "/nm";
const SECRETS: &str = "/data/network";

fn card(network: &str, files: &[(&str, &str)]) -> ModelDisk {
    let disk = ModelDisk::new();
    for folder in ["/boot", "/data", PROFILES] {
        disk.make_folder(Path::new(folder)).expect("a folder");
    }
    disk.sync_everything(Path::new("/")).expect("synced");
    put(&disk, "booth.toml", &format!("{LEAST}{network}"));
    for (name, text) in files {
        put(&disk, name, text);
    }
    disk
}

fn put(disk: &ModelDisk, name: &str, text: &str) {
    disk.put(&Path::new("/boot").join(name), text.as_bytes());
}

fn on_fat(disk: &ModelDisk, name: &str) -> bool {
    disk.content(&Path::new("/boot").join(name)).is_some()
}

fn try_boot(disk: &ModelDisk) -> Result<Outcome, String> {
    let hands = Hands {
        disk,
        usable: &|_| Ok(()),
        give: &|_| Ok(()),
    };
    let places = Places::new(Path::new("/boot"), Path::new("/data"), None);
    let places = places.with_network(Some(Path::new(PROFILES)));
    let wall = "2026-11-25T10:00:00Z".parse().expect("a time");
    provision(&hands, &places, wall).map_err(|error| error.to_string())
}

fn boot(disk: &ModelDisk) -> Outcome {
    let outcome = try_boot(disk).expect("provisioned");
    assert_eq!(outcome.faults, Vec::<String>::new());
    outcome
}

fn of(outcome: &Outcome, way: Way) -> &ConnectionNews {
    let found = outcome.networks.iter().find(|network| network.way == way);
    found.expect("a connection")
}

/// The lines of a key in all profiles whose name begins so, newest first.
fn lines(disk: &ModelDisk, begins: &str, key: &str) -> Vec<String> {
    let mut files = disk.files();
    files.retain(|path| path.starts_with(PROFILES) && path.to_string_lossy().contains(begins));
    files.sort_by_key(|path| path.to_string_lossy().len());
    let text =
        |path: &PathBuf| String::from_utf8(disk.content(path).expect("there")).expect("text");
    let all: Vec<String> = files.iter().map(text).collect();
    let all = all.iter().flat_map(|text| text.lines());
    all.filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::to_owned)
        .collect()
}

fn connects(disk: &ModelDisk, uuid: &str) {
    confirm(disk, Path::new(SECRETS), |other| other == uuid, true).expect("noted");
}

/// The boot lasts long enough for a modem, and nothing connects.
fn lasts(disk: &ModelDisk) {
    connects(disk, "none");
}

#[test]
fn a_new_password_has_the_former_one_beside_it_until_it_has_connected() {
    let disk = card(WIFI, &[("WIFI-PASSWORD.TXT", "\u{feff}first one\r\n")]);
    let outcome = boot(&disk);
    assert!(of(&outcome, Way::Wifi).secrets[0].is_new);
    assert!(!on_fat(&disk, "WIFI-PASSWORD.TXT"));
    assert_eq!(lines(&disk, "wifi", "psk"), ["first one"]);
    assert_eq!(lines(&disk, "wifi", "autoconnect-retries"), ["0"]);
    let first = of(&outcome, Way::Wifi).profiles[0].clone();
    connects(&disk, &first);
    // Its absence is no error, and a boot without news writes nothing but syncs one folder.
    disk.sync_everything(Path::new("/")).expect("synced");
    let outcome = boot(&disk);
    assert_eq!(of(&outcome, Way::Wifi).secrets[0].fault, None);
    let before = disk.operations();
    boot(&disk);
    assert_eq!(disk.operations() - before, 1);
    // A new one is preferred; the one that connected stays, through a third, too.
    for newest in ["second one", "third one"] {
        put(&disk, "wifi-password", newest);
        let outcome = boot(&disk);
        assert_eq!(lines(&disk, "wifi", "psk"), [newest, "first one"]);
        assert_eq!(lines(&disk, "wifi", "autoconnect-priority"), ["20", "19"]);
        assert_eq!(
            lines(&disk, "wifi", "autoconnect-retries"),
            Vec::<String>::new()
        );
        let profiles = &of(&outcome, Way::Wifi).profiles;
        assert_eq!(
            profiles[1], first,
            "the former profile is the one that is known to connect"
        );
        // That the former connects says nothing for the newest.
        connects(&disk, &profiles[1]);
        boot(&disk);
        assert_eq!(lines(&disk, "wifi", "psk"), [newest, "first one"]);
    }
    let outcome = boot(&disk);
    connects(&disk, &of(&outcome, Way::Wifi).profiles[0]);
    boot(&disk);
    assert_eq!(lines(&disk, "wifi", "psk"), ["third one"]);
}

#[test]
fn a_secret_that_cannot_be_one_stays_on_the_card_and_the_network_goes_on_with_the_former() {
    let disk = card(WIFI, &[("wifi-password", "first one")]);
    boot(&disk);
    put(&disk, "wifi-password", "short");
    let outcome = boot(&disk);
    let fault = of(&outcome, Way::Wifi).secrets[0]
        .fault
        .clone()
        .expect("a fault");
    assert!(
        fault.contains("has 5 characters") && !fault.contains("short"),
        "{fault}"
    );
    assert!(on_fat(&disk, "wifi-password"));
    assert_eq!(lines(&disk, "wifi", "psk"), ["first one"]);
}

#[test]
fn a_network_without_its_password_is_left_out_and_told_and_the_booth_is_set_up_all_the_same() {
    let disk = card(&format!("{WIFI}{MODEM}"), &[]);
    let outcome = boot(&disk);
    assert_eq!(outcome.source, Source::Card);
    for way in [Way::Wifi, Way::Modem] {
        let connection = of(&outcome, way);
        assert!(connection.profiles.is_empty());
        let fault = connection.secrets[0].fault.as_deref().expect("a fault");
        assert!(
            fault.contains("was never found; put it beside booth.toml"),
            "{fault}"
        );
    }
    assert_eq!(lines(&disk, "booth-", "type"), ["ethernet"]);
}

#[test]
fn a_pin_that_does_not_connect_is_tried_at_two_boots_and_not_until_the_sim_card_is_locked() {
    let disk = card(MODEM, &[("pin", "1234\n")]);
    for _ in 0..2 {
        boot(&disk);
        assert_eq!(lines(&disk, "modem", "pin"), ["1234"]);
        assert_eq!(lines(&disk, "modem", "autoconnect-retries"), ["1"]);
        // However often it is looked at, a boot is one.
        lasts(&disk);
        lasts(&disk);
    }
    let outcome = boot(&disk);
    let fault = of(&outcome, Way::Modem).secrets[0]
        .fault
        .clone()
        .expect("a fault");
    assert!(
        fault.contains("at 2 boots") && fault.contains("once more"),
        "{fault}"
    );
    assert_eq!(lines(&disk, "modem", "type"), Vec::<String>::new());
    lasts(&disk);
    // Once more by hand; one that has connected is tried for ever.
    put(&disk, "pin", "1234");
    let outcome = boot(&disk);
    assert_eq!(lines(&disk, "modem", "pin"), ["1234"]);
    connects(&disk, &of(&outcome, Way::Modem).profiles[0]);
    for _ in 0..4 {
        boot(&disk);
        lasts(&disk);
        assert_eq!(lines(&disk, "modem", "pin"), ["1234"]);
        assert_eq!(lines(&disk, "modem", "autoconnect-retries"), ["0"]);
    }
    // A new one begins anew and has no twin that would try the old one.
    put(&disk, "pin", "9999");
    for _ in 0..2 {
        boot(&disk);
        lasts(&disk);
        assert_eq!(lines(&disk, "modem", "pin"), ["9999"]);
    }
    boot(&disk);
    assert_eq!(lines(&disk, "modem", "pin"), Vec::<String>::new());
}

#[test]
fn a_right_pin_survives_boots_that_were_cut_short_before_a_modem_could_connect() {
    let disk = card(MODEM, &[("pin", "1234")]);
    for _ in 0..10 {
        boot(&disk);
        confirm(&disk, Path::new(SECRETS), |_| false, false).expect("noted");
        assert_eq!(lines(&disk, "modem", "pin"), ["1234"]);
    }
    // Only what lasted counts, and what lies between takes nothing back.
    boot(&disk);
    lasts(&disk);
    boot(&disk);
    boot(&disk);
    assert_eq!(lines(&disk, "modem", "pin"), ["1234"]);
    lasts(&disk);
    boot(&disk);
    assert_eq!(lines(&disk, "modem", "pin"), Vec::<String>::new());
}

#[test]
fn a_pin_that_has_not_connected_is_in_one_profile_while_a_password_has_a_former_one() {
    let modem = format!("{MODEM}user = \"u\"\npassword_file = \"modem-password\"\n");
    let disk = card(&modem, &[("pin", "1234"), ("modem-password", "one")]);
    let outcome = boot(&disk);
    connects(&disk, &of(&outcome, Way::Modem).profiles[0]);
    put(&disk, "modem-password", "two");
    boot(&disk);
    assert_eq!(lines(&disk, "modem", "password"), ["two", "one"]);
    put(&disk, "pin", "9999");
    boot(&disk);
    assert_eq!(lines(&disk, "modem", "pin"), ["9999"]);
    assert_eq!(lines(&disk, "modem", "autoconnect-retries"), ["1"]);
}

#[test]
fn a_card_that_keeps_the_pins_file_does_not_have_it_tried_for_ever() {
    let disk = card(MODEM, &[("pin", "1234")]);
    disk.set_faults(|operation| {
        let is_fat = operation.path.starts_with("/boot") && operation.verb.is_change();
        is_fat.then_some(Fault {
            errno: EROFS,
            left: Left::Nothing,
        })
    });
    for _ in 0..2 {
        let outcome = boot(&disk);
        assert!(outcome.notes.join(" ").contains("pin could not be removed"));
        assert_eq!(lines(&disk, "modem", "pin"), ["1234"]);
        lasts(&disk);
    }
    boot(&disk);
    assert_eq!(lines(&disk, "modem", "pin"), Vec::<String>::new());
}

#[test]
fn a_slot_that_was_made_up_leads_out_of_no_folder() {
    let disk = card(WIFI, &[("wifi-password", "first one")]);
    let outcome = boot(&disk);
    let wifi = of(&outcome, Way::Wifi);
    let slot = &wifi.secrets[0].slot;
    let record = Path::new(SECRETS).join(format!("{slot}.json"));
    disk.put(
        Path::new("/data/x.json"),
        &disk.content(&record).expect("there"),
    );
    let list = Path::new(SECRETS).join("networks");
    let text = String::from_utf8(disk.content(&list).expect("there")).expect("text");
    disk.put(&list, text.replace(slot, "../x").as_bytes());
    let before = disk.operations();
    connects(&disk, &wifi.profiles[0]);
    assert_eq!(disk.operations(), before, "nothing is written");
}

/// What is in the gateway's folder says that the newest secrets were all connected by a profile that is.
fn lie(disk: &ModelDisk, outcome: &Outcome, uuid: &str) {
    let mut outcome = outcome.clone();
    for network in &mut outcome.networks {
        network.profiles = vec![uuid.into()];
    }
    let bytes = serde_json::to_vec(&outcome).expect("JSON");
    disk.put(Path::new("/data/config/outcome.json"), &bytes);
}

#[test]
fn a_gateway_that_lies_about_what_connected_loses_no_former_password_and_locks_no_sim_card() {
    let disk = card(
        &format!("{WIFI}{MODEM}"),
        &[("wifi-password", "first one"), ("pin", "1234")],
    );
    let outcome = boot(&disk);
    connects(&disk, &of(&outcome, Way::Wifi).profiles[0]);
    put(&disk, "wifi-password", "second one");
    for _ in 0..2 {
        let outcome = boot(&disk);
        // The cable is in, and the mobile network refuses the PIN.
        let wired = &of(&outcome, Way::Wired).profiles[0];
        lie(&disk, &outcome, wired);
        connects(&disk, wired);
    }
    boot(&disk);
    assert_eq!(lines(&disk, "wifi", "psk"), ["second one", "first one"]);
    assert_eq!(lines(&disk, "modem", "pin"), Vec::<String>::new());
}

#[test]
fn nothing_is_confirmed_before_this_version_has_set_the_networks_up_itself() {
    let disk = card(WIFI, &[("wifi-password", "first one")]);
    let outcome = boot(&disk);
    let list = Path::new(SECRETS).join("networks");
    disk.take_away(&list);
    let before = disk.operations();
    let profile = &of(&outcome, Way::Wifi).profiles[0];
    connects(&disk, profile);
    assert_eq!(disk.operations(), before, "nothing is written");
    boot(&disk);
    assert!(disk.content(&list).is_some());
    connects(&disk, profile);
    assert!(disk.operations() > before);
}

#[test]
fn a_last_good_configuration_that_the_gateway_wrote_forgets_no_password_and_takes_nothing_from_the_card()
 {
    for has_own in [true, false] {
        let disk = card(WIFI, &[("wifi-password", "first one")]);
        boot(&disk);
        let its_own = Path::new("/data/config/good.toml");
        let roots = Path::new(SECRETS).join("good.toml");
        assert_eq!(disk.content(its_own), disk.content(&roots));
        // One that names no network, and a secret that is none of its.
        let other = ModelDisk::new();
        for folder in ["/boot", "/data", PROFILES] {
            other.make_folder(Path::new(folder)).expect("a folder");
        }
        let lie = format!("{LEAST}[mqtt]\npassword_file = \"wifi-password\"\n[network]\n");
        put(&other, "booth.toml", &lie);
        boot(&other);
        disk.put(its_own, &other.content(its_own).expect("there"));
        if !has_own {
            // A card of a former version, whose file on BOOTH is good once more: root's copy is made by that.
            disk.take_away(&roots);
            boot(&disk);
            assert_eq!(disk.content(its_own), disk.content(&roots));
            disk.put(its_own, &other.content(its_own).expect("there"));
        }
        put(&disk, "booth.toml", "[booth");
        put(&disk, "wifi-password", "second one");
        let outcome = try_boot(&disk).expect("provisioned");
        assert!(matches!(outcome.source, Source::Kept { .. }));
        assert_eq!(
            outcome.secrets,
            [],
            "no credential of the broker's is taken"
        );
        assert_eq!(lines(&disk, "wifi", "psk"), ["second one", "first one"]);
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_a_password_that_has_connected_and_loses_no_new_one() {
    let before = card(WIFI, &[("wifi-password", "first one")]);
    let outcome = boot(&before);
    connects(&before, &of(&outcome, Way::Wifi).profiles[0]);
    before.sync_everything(Path::new("/")).expect("synced");
    put(&before, "wifi-password", "second one");
    let count = {
        let disk = before.snapshot();
        boot(&disk);
        disk.operations()
    };
    assert!(count > 5, "only {count} steps");
    for step in 0..count {
        let cut = before.snapshot();
        cut.cut_power_after(step);
        let _ = try_boot(&cut);
        for seed in 0..12 {
            let disk = cut.power_cut(seed);
            // The profiles are in RAM: what the next boot makes of the rest is what counts.
            boot(&disk);
            let place = format!("step {step}, seed {seed}");
            assert_eq!(
                lines(&disk, "wifi", "psk"),
                ["second one", "first one"],
                "{place}"
            );
            assert!(!on_fat(&disk, "wifi-password"), "{place}");
        }
    }
}

#[test]
fn what_nobody_names_any_more_is_forgotten_and_a_bad_file_forgets_nothing() {
    let disk = card(WIFI, &[("wifi-password", "first one")]);
    disk.put(Path::new("/nm/home.nmconnection"), b"[connection]\n");
    boot(&disk);
    put(&disk, "booth.toml", "[booth");
    assert!(matches!(
        try_boot(&disk).expect("provisioned").source,
        Source::Kept { .. }
    ));
    assert_eq!(lines(&disk, "wifi", "psk"), ["first one"]);
    put(&disk, "booth.toml", LEAST);
    boot(&disk);
    assert_eq!(lines(&disk, "wifi", "psk"), Vec::<String>::new());
    assert!(
        disk.content(Path::new("/nm/home.nmconnection")).is_some(),
        "somebody else's"
    );
    let kept = disk.files().into_iter().filter(|path| {
        path.starts_with(SECRETS) && path.extension().is_some_and(|end| end == "json")
    });
    assert_eq!(kept.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn profiles_that_cannot_be_written_are_told_and_the_booth_is_set_up_all_the_same() {
    let disk = card(WIFI, &[("wifi-password", "first one")]);
    disk.set_faults(|operation| {
        let is_theirs = operation.path.starts_with(PROFILES) && operation.verb.is_change();
        is_theirs.then_some(Fault {
            errno: EROFS,
            left: Left::Nothing,
        })
    });
    let outcome = boot(&disk);
    assert_eq!(outcome.source, Source::Card);
    assert!(
        outcome.notes[0].contains("could not be set up"),
        "{:?}",
        outcome.notes
    );
    assert!(disk.content(Path::new("/data/config/booth.toml")).is_some());
}

#[test]
fn a_partition_that_refuses_early_leaves_the_networks_that_there_were() {
    for network in [WIFI, &format!("{WIFI}{MODEM}")] {
        let disk = card(network, &[("wifi-password", "first one"), ("pin", "1234")]);
        boot(&disk);
        let before = lines(&disk, "wifi", "psk");
        assert_eq!(before.len(), 1, "{before:?}");
        lasts(&disk);
        // The next start finds no profiles, another booth.toml, and a partition that takes no writes.
        for file in disk.files() {
            if file.starts_with(PROFILES) {
                disk.take_away(&file);
            }
        }
        put(&disk, "booth.toml", &format!("# new\n{LEAST}{network}"));
        disk.set_faults(|operation| {
            let is_data = operation.path.starts_with("/data") && operation.verb.is_change();
            is_data.then_some(Fault {
                errno: EROFS,
                left: Left::Nothing,
            })
        });
        try_boot(&disk).expect_err("the partition refuses");
        assert_eq!(lines(&disk, "wifi", "psk"), before);
    }
}

// ----- The real program -----

struct Folders(tempfile::TempDir);

impl Folders {
    fn new(booth: &str, files: &[(&str, &str)]) -> Self {
        let folders = Self(tempfile::tempdir().expect("a folder"));
        for name in ["boot", "data"] {
            std::fs::create_dir(folders.at(name)).expect("a folder");
        }
        for (name, text) in [("booth.toml", booth)].iter().chain(files) {
            std::fs::write(folders.at("boot").join(name), text).expect("a file");
        }
        folders
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn boots(&self) -> Option<i32> {
        let status = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
            .arg("provision")
            .args([
                "--boot".into(),
                self.at("boot"),
                "--data".into(),
                self.at("data"),
            ])
            .args(["--network".into(), self.at("nm")])
            .stderr(Stdio::null())
            .status();
        status.expect("it runs").code()
    }
}

#[test]
fn profiles_and_secrets_are_for_one_pair_of_eyes_and_the_status_tells_no_secret() {
    let booth = format!("{LEAST}[network]\ncountry = \"DK\"\n{WIFI}");
    let folders = Folders::new(&booth, &[("wifi-password", "hemmeligt")]);
    assert_eq!(folders.boots(), Some(0));
    let mode = |path: PathBuf| path.metadata().expect("there").permissions().mode() & 0o777;
    let place = folders.at("data/network");
    assert_eq!(mode(place.clone()), 0o700);
    for entry in std::fs::read_dir(&place).expect("a folder") {
        assert_eq!(mode(entry.expect("a file").path()), 0o600);
    }
    assert_eq!(
        std::fs::read_to_string(place.join("country")).expect("a file"),
        "DK\n"
    );
    for name in ["booth-wired", "booth-wifi-1"] {
        assert_eq!(mode(folders.at(&format!("nm/{name}.nmconnection"))), 0o600);
    }
    let status = std::fs::read_to_string(folders.at("boot/BOOTH-STATUS.TXT")).expect("a file");
    for part in [
        "Wi-Fi \"Kommune Gæst\": set up",
        "wifi-password: taken from the card now",
        "Wired, DHCP",
    ] {
        assert!(status.contains(part), "{part} missing in {status}");
    }
    for (name, text) in [
        ("status", status),
        ("outcome", read(&folders.at("data/config/outcome.json"))),
    ] {
        assert!(!text.contains("hemmeligt"), "{name} tells the password");
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a file")
}

#[test]
fn secrets_can_lie_in_a_folder_of_roots_and_no_link_of_the_gateways_is_followed() {
    let folders = Folders::new(&format!("{LEAST}{WIFI}"), &[("wifi-password", "hemmeligt")]);
    let secrets = folders.at("secrets");
    let boots = |more: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_booth-gateway"));
        program
            .args(["provision", "--boot"])
            .arg(folders.at("boot"));
        program.arg("--data").arg(folders.at("data"));
        program.arg("--network").arg(folders.at("nm"));
        program.arg("--secrets").arg(&secrets).args(more);
        program
            .stderr(Stdio::null())
            .status()
            .expect("it runs")
            .code()
    };
    assert_eq!(boots(&[]), Some(0));
    assert_eq!(boots(&["--status"]), Some(0));
    assert_eq!(std::fs::read_dir(&secrets).expect("a folder").count(), 3);
    assert!(!folders.at("data/network").exists());
    assert!(read(&folders.at("nm/booth-wifi-1.nmconnection")).contains("hemmeligt"));
    // The gateway owns DATA, and puts a link to somewhere else there.
    let (config, other) = (folders.at("data/config"), folders.at("elsewhere"));
    std::fs::rename(&config, &other).expect("moved");
    std::os::unix::fs::symlink(&other, &config).expect("a link");
    let before = std::fs::read_dir(&other).expect("a folder").count();
    std::fs::write(folders.at("boot/booth.toml"), format!("# new\n{LEAST}")).expect("a file");
    assert_eq!(
        boots(&["--status"]),
        Some(1),
        "nothing behind a link is read"
    );
    assert_eq!(boots(&[]), Some(0));
    assert_eq!(std::fs::read_dir(&other).expect("a folder").count(), before);
    assert!(!read(&other.join("good.toml")).contains("# new"));
    assert!(read(&folders.at("data/config/good.toml")).contains("# new"));
    let status = read(&folders.at("boot/BOOTH-STATUS.TXT"));
    assert!(
        status.contains("config lies in set-aside (it is no folder)"),
        "{status}"
    );
    assert_eq!(boots(&["--status"]), Some(0));
}

#[test]
fn a_booth_that_is_not_set_up_has_its_wired_network() {
    let folders = Folders::new("[booth", &[]);
    assert_eq!(folders.boots(), Some(78));
    assert!(read(&folders.at("nm/booth-wired.nmconnection")).contains("type=ethernet"));
}

#[test]
fn letters_that_are_no_country_reach_no_kernel_and_are_told_with_the_right_ones() {
    let booth = format!("{LEAST}[network]\ncountry = \"UK\"\n{WIFI}");
    let folders = Folders::new(&booth, &[("wifi-password", "hemmeligt")]);
    assert_eq!(folders.boots(), Some(0));
    assert!(!folders.at("data/network/country").exists());
    let status = read(&folders.at("boot/BOOTH-STATUS.TXT"));
    assert!(status.contains("the United Kingdom is \"GB\""), "{status}");
    assert!(folders.at("nm/booth-wifi-1.nmconnection").exists());
}

#[test]
fn check_config_looks_at_the_secrets_that_lie_beside_it() {
    let folders = Folders::new(
        &format!("{LEAST}{WIFI}{MODEM}"),
        &[("wifi-password", "short")],
    );
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
            .args([
                "check-config".into(),
                "--config".into(),
                folders.at("boot/booth.toml"),
            ])
            .output()
            .expect("it runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (status, why) = check();
    assert_eq!(status, Some(78));
    assert!(
        why.contains("[network] wifi-password has 5 characters"),
        "{why}"
    );
    // One that is not there yet is no fault.
    std::fs::remove_file(folders.at("boot/wifi-password")).expect("removed");
    assert_eq!(check(), (Some(0), String::new()));
}

/// NetworkManager's own reader and writer (`nmcli --offline`, 1.40 or newer), where it is installed.
fn nmcli(arguments: &[&str], stdin: &str) -> Option<String> {
    let mut child = Command::new("nmcli")
        .args(["--offline", "connection"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = child.stdin.take().expect("piped");
    input.write_all(stdin.as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "NetworkManager refuses\n{stdin}");
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// A value as NetworkManager writes it.
fn value(text: &str, key: &str) -> Option<String> {
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    found.map(str::to_owned)
}

#[test]
fn networkmanager_reads_every_value_as_it_was_meant() {
    if Command::new("nmcli")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        let line = "!! profiles read by NetworkManager itself: NOT RUN, there is no nmcli here\n";
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    }
    let ssids = [
        "plain",
        "Kommune Gæst",
        " a ",
        "1;2;",
        "\\s;\\",
        "#[x]=",
        "a\tb",
        "日本",
    ];
    let passwords = [
        "12345678",
        "  two  blanks  ",
        "back\\slash\\s",
        "semi;colon;",
        "#[x] = \"q\"'",
        "%s$HOME`x`",
    ];
    for (ssid, password) in ssids.iter().zip(passwords.iter().cycle()) {
        let ssid_toml = toml::Value::from(*ssid).to_string();
        let booth = format!(
            "{LEAST}[[network.wifi]]\nssid = {ssid_toml}\npassword_file = \"w\"\nhidden = true\n\
             [network.modem]\napn = \"internet.example\"\nuser = \"u; \"\npassword_file = \"m\"\npin_file = \"p\"\n\
             [network.wired]\naddress = \"192.0.2.10/24\"\ngateway = \"192.0.2.1\"\ndns = [\"192.0.2.53\", \"2001:db8::1\", \"192.0.2.54\"]\n"
        );
        let files = [("w", *password), ("m", password), ("p", "0042")];
        let folders = Folders::new(&booth, &files);
        assert_eq!(folders.boots(), Some(0));
        let ours = |name: &str| {
            let text = read(&folders.at(&format!("nm/{name}.nmconnection")));
            nmcli(&["modify", "connection.id", "x"], &text).expect("there")
        };
        let theirs = nmcli(
            &[
                "add",
                "type",
                "wifi",
                "con-name",
                "x",
                "ssid",
                ssid,
                "wifi.hidden",
                "yes",
                "wifi-sec.key-mgmt",
                "wpa-psk",
                "wifi-sec.psk",
                password,
            ],
            "",
        );
        let theirs = theirs.expect("there");
        let wifi = ours("booth-wifi-1");
        for key in ["ssid", "psk", "key-mgmt", "hidden", "mode"] {
            assert!(value(&theirs, key).is_some(), "{key}: {theirs}");
            assert_eq!(value(&wifi, key), value(&theirs, key), "{key} of {ssid:?}");
        }
        for key in [
            "autoconnect-priority",
            "autoconnect-retries",
            "route-metric",
            "powersave",
        ] {
            assert!(value(&wifi, key).is_some(), "{key}: {wifi}");
        }
        let theirs = nmcli(
            &[
                "add",
                "type",
                "gsm",
                "con-name",
                "x",
                "apn",
                "internet.example",
                "user",
                "u; ",
                "password",
                password,
                "gsm.pin",
                "0042",
            ],
            "",
        );
        let (modem, theirs) = (ours("booth-modem"), theirs.expect("there"));
        for key in ["apn", "username", "password", "pin"] {
            assert!(value(&theirs, key).is_some(), "{key}: {theirs}");
            assert_eq!(
                value(&modem, key),
                value(&theirs, key),
                "{key} with {password:?}"
            );
        }
        let theirs = nmcli(
            &[
                "add",
                "type",
                "ethernet",
                "con-name",
                "x",
                "ipv4.method",
                "manual",
                "ipv4.addresses",
                "192.0.2.10/24",
                "ipv4.gateway",
                "192.0.2.1",
                "ipv4.dns",
                "192.0.2.53,192.0.2.54",
                "ipv6.dns",
                "2001:db8::1",
            ],
            "",
        );
        let (wired, theirs) = (ours("booth-wired"), theirs.expect("there"));
        let dns = |text: &str| {
            text.lines()
                .filter(|line| line.starts_with("dns="))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(dns(&wired), dns(&theirs));
        assert_eq!(dns(&wired).len(), 2);
        assert_eq!(value(&wired, "address1"), value(&theirs, "address1"));
        assert_eq!(value(&wired, "method"), Some("manual".into()));
    }
}
