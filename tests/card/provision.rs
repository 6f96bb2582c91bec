//! Provisioning from the card's FAT partition: on a disk in memory that loses power at every step, and with the real program
//! on real folders, a real broker and a sound card stand-in.
#![allow(clippy::disallowed_methods)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

use booth_gateway::config::Config;
use booth_gateway::provision::vault::{Role, Vault};
use booth_gateway::provision::{Hands, Outcome, Places, Source, provision};
use booth_host::config_file::ConfigFault;
use booth_spool::disk::{Disk, read_whole};
use booth_testkit::gateway::{Gateway, fixtures};
use booth_testkit::hub::Broker;
use booth_testkit::model_disk::{EIO, ENOSPC, EROFS, Fault, Left, ModelDisk};
use booth_testkit::pulse::{EAR, MIC, Pulse};
use booth_testkit::wait::until;

const GOOD: &str = "[booth]\nid = \"rundhoej-1\"\nname = \"Before\"\n[privacy]\nseal = false\n\
                    [mqtt]\nurl = \"mqtt://127.0.0.1:1\"\npassword_file = \"mqtt-password\"\n";

fn newer() -> String {
    GOOD.replace("Before", "After")
}

// ----- On a disk in memory -----

fn places() -> Places {
    Places::new(Path::new("/boot"), Path::new("/data"), None)
}

fn card(files: &[(&str, &[u8])]) -> ModelDisk {
    let disk = ModelDisk::new();
    for folder in ["/boot", "/data"] {
        disk.make_folder(Path::new(folder)).expect("a folder");
    }
    disk.sync_everything(Path::new("/boot")).expect("synced");
    for (name, bytes) in files {
        disk.put(&Path::new("/boot").join(name), bytes);
    }
    disk
}

/// Provisions as at a boot; a connection can be set up with any password that can be read and is not `bad`.
fn boot(disk: &ModelDisk) -> Result<Outcome, String> {
    boot_giving(disk, &|_| Ok(()))
}

fn boot_giving(
    disk: &ModelDisk,
    give: &dyn Fn(&Path) -> std::io::Result<()>,
) -> Result<Outcome, String> {
    let usable = |config: &Config| match password_of(disk, config).as_deref() {
        Some(b"bad") => Err(ConfigFault::that("[mqtt]", "that is no password").into()),
        Some(_) => Ok(()),
        None if config.mqtt.password_file.is_none() => Ok(()),
        None => Err(ConfigFault::that("[mqtt]", "no file").into()),
    };
    let hands = Hands {
        disk,
        usable: &usable,
        give,
    };
    let wall = "2026-11-25T10:00:00Z".parse().expect("a time");
    provision(&hands, &places(), wall).map_err(|error| error.to_string())
}

fn password_of(disk: &ModelDisk, config: &Config) -> Option<Vec<u8>> {
    disk.content(config.mqtt.password_file.as_deref()?)
}

/// The effective configuration, if it is one that `run` takes.
fn effective(disk: &ModelDisk) -> Option<Config> {
    let bytes = disk.content(Path::new("/data/config/booth.toml"))?;
    let config: Config = toml::from_str(std::str::from_utf8(&bytes).ok()?).ok()?;
    config.check("booth.toml").is_ok().then_some(config)
}

fn sets(disk: &ModelDisk) -> Vec<(u64, Vec<u8>)> {
    let vault = Vault {
        disk,
        folder: Path::new("/data/credentials"),
    };
    let (sets, _) = vault.sets().expect("read");
    let content = |set| vault.content(set, Role::Password).expect("read");
    sets.iter().map(|set| (set.number, content(set))).collect()
}

fn confirm(disk: &ModelDisk, number: u64) -> std::io::Result<()> {
    let folder = Path::new("/data/credentials");
    Vault { disk, folder }.confirm(number)
}

fn on_fat(disk: &ModelDisk, name: &str) -> Option<Vec<u8>> {
    disk.content(&Path::new("/boot").join(name))
}

/// A booth that has connected with the password `one`.
fn connected() -> ModelDisk {
    let disk = card(&[
        ("booth.toml", GOOD.as_bytes()),
        ("MQTT-PASSWORD", b"one\r\n"),
    ]);
    let outcome = boot(&disk).expect("provisioned");
    assert_eq!((outcome.source, outcome.faults), (Source::Card, Vec::new()));
    confirm(&disk, 1).expect("noted");
    disk.sync_everything(Path::new("/")).expect("synced");
    disk
}

#[test]
fn a_card_with_a_code_of_an_earlier_version_runs_says_so_and_is_refused_by_check_config() {
    let text = format!("{GOOD}[service]\ncode = \"0990\"\n");
    let disk = card(&[
        ("booth.toml", text.as_bytes()),
        ("MQTT-PASSWORD", b"one\r\n"),
    ]);
    let outcome = boot(&disk).expect("provisioned");
    assert_eq!((outcome.source, outcome.faults), (Source::Card, Vec::new()));
    let told = |note: &&String| note.contains("[service] code \"0990\"");
    assert_eq!(
        outcome.notes.iter().filter(told).count(),
        1,
        "{:?}",
        outcome.notes
    );
    let config = effective(&disk).expect("a booth runs with it");
    assert!(
        booth_gateway::settings::session_rules(&config)
            .service_code
            .is_empty()
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("booth.toml");
    std::fs::write(
        &file,
        text.replace("password_file = \"mqtt-password\"\n", ""),
    )
    .expect("a file");
    let checked = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .args(["check-config", "--config"])
        .arg(&file)
        .output()
        .expect("it runs");
    assert_eq!(checked.status.code(), Some(78));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        said.contains("booth.toml: [service] code \"0990\"")
            && said.contains("six to eight digits"),
        "{said}"
    );
}

#[test]
fn a_secret_is_moved_once_kept_when_it_is_gone_and_replaced_only_after_it_has_connected() {
    let disk = connected();
    assert_eq!(on_fat(&disk, "MQTT-PASSWORD"), None);
    assert_eq!(sets(&disk), [(1, b"one".to_vec())]);
    // Its absence is no error.
    let outcome = boot(&disk).expect("provisioned");
    let news = &outcome.secrets[0];
    assert_eq!(news.since.as_deref(), Some("2026-11-25T10:00:00Z"));
    assert!(news.fault.is_none() && !news.is_new);
    let before = disk.operations();
    boot(&disk).expect("provisioned");
    // One sync of the folder, and nothing is written.
    assert_eq!(disk.operations() - before, 1);
    // A new one is a candidate; the one that connected stays.
    disk.put(Path::new("/boot/mqtt-password.txt"), b"two");
    let outcome = boot(&disk).expect("provisioned");
    assert!(outcome.secrets[0].is_new);
    assert_eq!(outcome.candidate, Some(2));
    assert_eq!(sets(&disk), [(1, b"one".to_vec()), (2, b"two".to_vec())]);
    let config = effective(&disk).expect("a configuration");
    assert_eq!(password_of(&disk, &config).as_deref(), Some(&b"two"[..]));
    // Another one before it has connected: the first still stays.
    disk.put(Path::new("/boot/mqtt-password"), b"three");
    boot(&disk).expect("provisioned");
    assert_eq!(sets(&disk), [(1, b"one".to_vec()), (3, b"three".to_vec())]);
    confirm(&disk, 3).expect("noted");
    assert_eq!(boot(&disk).expect("provisioned").candidate, None);
    assert_eq!(sets(&disk), [(3, b"three".to_vec())]);
}

#[test]
fn a_card_that_does_not_answer_about_a_secret_costs_no_set_of_secrets() {
    let disk = connected();
    // A candidate beside the one that connected.
    disk.put(Path::new("/boot/mqtt-password"), b"two");
    boot(&disk).expect("provisioned");
    let before = (sets(&disk), effective(&disk).map(|config| config.mqtt.url));
    for unread in ["set-1", "set-2", "confirmed"] {
        for fails in [1, u32::MAX] {
            let mut left = fails;
            disk.set_faults(move |operation| {
                let path = operation.path.to_string_lossy();
                let is_it = path.starts_with("/data") && path.contains(unread);
                if !is_it || operation.verb.is_change() || left == 0 {
                    return None;
                }
                left -= 1;
                Some(Fault {
                    errno: EIO,
                    left: Left::Nothing,
                })
            });
            let booted = boot(&disk);
            // Once is asked again; for good ends the provisioning before anything is changed.
            assert_eq!(booted.is_ok(), fails == 1, "{unread}: {booted:?}");
            disk.heal();
            let after = (sets(&disk), effective(&disk).map(|config| config.mqtt.url));
            assert_eq!(after, before, "{unread}");
        }
    }
}

#[test]
fn a_secret_that_cannot_be_one_stays_on_the_card_and_changes_nothing() {
    let disk = connected();
    disk.put(Path::new("/boot/mqtt-password"), b"bad");
    let outcome = boot(&disk).expect("provisioned");
    let fault = outcome.secrets[0].fault.as_deref().expect("a fault");
    assert!(fault.contains("no password"), "{fault}");
    assert_eq!(on_fat(&disk, "mqtt-password").as_deref(), Some(&b"bad"[..]));
    assert_eq!(sets(&disk), [(1, b"one".to_vec())]);
    let config = effective(&disk).expect("a configuration");
    assert_eq!(password_of(&disk, &config).as_deref(), Some(&b"one"[..]));
}

#[test]
fn a_name_typed_wrong_takes_none_of_the_cards_own_files_away() {
    for (name, on_card) in [
        ("booth.toml", "booth.toml"),
        ("config", "config.txt"),
        ("CONFIG.TXT", "config.txt"),
        ("start4.elf", "start4.elf"),
        ("../data/config/good.toml", "booth.toml"),
    ] {
        let text = GOOD.replace("mqtt-password", name);
        let disk = card(&[("booth.toml", text.as_bytes())]);
        if on_card != "booth.toml" {
            disk.put(&Path::new("/boot").join(on_card), b"arm_64bit=1\n");
        }
        let outcome = boot(&disk).expect("provisioned");
        assert_eq!(outcome.source, Source::Card);
        let fault = outcome.secrets[0].fault.as_deref().expect("a fault");
        assert!(fault.contains("name"), "{fault}");
        assert!(on_fat(&disk, on_card).is_some(), "{name} took {on_card}");
        assert_eq!(sets(&disk), []);
    }
}

#[test]
fn without_its_password_a_booth_records_and_says_what_is_missing() {
    let disk = card(&[("booth.toml", GOOD.as_bytes())]);
    let outcome = boot(&disk).expect("provisioned");
    assert_eq!(outcome.source, Source::Card);
    let fault = outcome.secrets[0].fault.as_deref().expect("a fault");
    assert!(fault.contains("never found"), "{fault}");
    let config = effective(&disk).expect("a configuration");
    assert_eq!((config.mqtt.url, config.mqtt.password_file), (None, None));
}

#[test]
fn a_bad_file_keeps_the_last_good_configuration_and_none_at_all_is_not_set_up() {
    let disk = connected();
    let before = disk.content(Path::new("/data/config/booth.toml"));
    for (name, bytes, part) in [
        (
            "booth.toml",
            "[booth]\nid = “x”\n".as_bytes(),
            "booth.toml:2",
        ),
        (
            "booth.toml",
            b"[booth]\nid = \"rundhoej-1\"\nnaem = 1\n",
            "did you mean `name`",
        ),
        ("booth.toml", b"\xff\xfe[", "UTF-16"),
        ("booth.toml", &[b'#'; (1 << 20) + 1], "longer than"),
        (
            "BOOTH.TOML.TXT",
            GOOD.as_bytes(),
            "BOOTH.TOML.TXT and booth.toml",
        ),
    ] {
        disk.put(&Path::new("/boot").join(name), bytes);
        let outcome = boot(&disk).expect("provisioned");
        let since = "2026-11-25T10:00:00Z".to_owned();
        assert_eq!(outcome.source, Source::Kept { since });
        let faults = outcome.faults.join("\n");
        assert!(faults.contains(part), "{part}: {faults}");
        assert_eq!(disk.content(Path::new("/data/config/booth.toml")), before);
    }
    disk.take_away(Path::new("/boot/BOOTH.TOML.TXT"));
    disk.take_away(Path::new("/boot/booth.toml"));
    let outcome = boot(&disk).expect("provisioned");
    assert!(matches!(outcome.source, Source::Kept { .. }));
    assert!(outcome.notes[0].contains("goes on"), "{:?}", outcome.notes);
    // Nothing was ever good.
    let disk = card(&[
        ("._booth.toml", b"\0\x05\x16\x07"),
        ("booth (1).toml", GOOD.as_bytes()),
    ]);
    let outcome = boot(&disk).expect("provisioned");
    assert_eq!(outcome.source, Source::NotSetUp);
    assert!(outcome.faults[0].contains("There is booth (1).toml: rename it"));
    let why = disk.content(Path::new("/data/config/booth.faults"));
    assert!(why.is_some_and(|why| why.starts_with(b"There is no booth.toml")));
    // And a good one sets it up.
    disk.put(Path::new("/boot/Booth.TOML"), newer().as_bytes());
    assert_eq!(boot(&disk).expect("provisioned").source, Source::Card);
    assert_eq!(disk.content(Path::new("/data/config/booth.faults")), None);
    assert!(effective(&disk).is_some());
}

#[test]
fn a_last_good_configuration_that_is_damaged_is_not_used_and_nothing_that_works_is_taken_away() {
    let disk = connected();
    let good = Path::new("/data/network/good.toml");
    let mut bytes = disk.content(good).expect("a file");
    *bytes.last_mut().expect("bytes") = b'#';
    disk.put(good, &bytes);
    disk.put(Path::new("/boot/booth.toml"), b"[booth");
    let outcome = boot(&disk).expect("provisioned");
    assert!(outcome.notes[0].contains("damaged"), "{:?}", outcome.notes);
    assert!(effective(&disk).is_some());
}

#[test]
fn another_booths_file_is_taken_and_told_at_every_boot() {
    let disk = connected();
    let other = GOOD.replace("rundhoej-1", "torvet-2");
    disk.put(Path::new("/boot/booth.toml"), other.as_bytes());
    let told = "This card was the booth rundhoej-1 before and is torvet-2 now.";
    for _ in 0..3 {
        let outcome = boot(&disk).expect("provisioned");
        assert_eq!(
            (outcome.source, outcome.booth_id.as_str()),
            (Source::Card, "torvet-2")
        );
        assert!(outcome.notes[0].starts_with(told), "{:?}", outcome.notes);
    }
    // A change of something else does not forget it, nor does a bad file.
    let renamed = other.replace("Before", "After");
    for text in [renamed.as_str(), "[booth"] {
        disk.put(Path::new("/boot/booth.toml"), text.as_bytes());
        let outcome = boot(&disk).expect("provisioned");
        assert!(outcome.notes[0].starts_with(told), "{:?}", outcome.notes);
    }
    let spool = effective(&disk).expect("a configuration").spool.dir;
    assert_eq!(
        spool,
        Path::new("/data"),
        "the same spool: nothing that was said is left behind"
    );
    // The same booth again has nothing to tell.
    disk.put(Path::new("/boot/booth.toml"), GOOD.as_bytes());
    let outcome = boot(&disk).expect("provisioned");
    assert!(outcome.notes[0].contains("booth torvet-2 before and is rundhoej-1"));
}

#[test]
fn a_partition_that_is_missing_or_cannot_be_read_keeps_what_is_known_and_says_what_to_do() {
    let disk = connected();
    let before = disk.content(Path::new("/data/config/booth.toml"));
    disk.set_faults(|operation| {
        let is_fat = operation.path.starts_with("/boot");
        is_fat.then_some(Fault {
            errno: EIO,
            left: Left::Nothing,
        })
    });
    let outcome = boot(&disk).expect("provisioned");
    assert!(matches!(outcome.source, Source::Kept { .. }));
    let faults = outcome.faults.join("\n");
    assert!(
        faults.contains("BOOTH cannot be read") && faults.contains("another card"),
        "{faults}"
    );
    assert_eq!(disk.content(Path::new("/data/config/booth.toml")), before);
    // Never provisioned, and no partition at all: not set up, with the same words for the handset.
    let disk = ModelDisk::new();
    disk.make_folder(Path::new("/data")).expect("a folder");
    let outcome = boot(&disk).expect("provisioned");
    assert_eq!(outcome.source, Source::NotSetUp);
    let why = disk
        .content(Path::new("/data/config/booth.faults"))
        .expect("a file");
    assert!(String::from_utf8_lossy(&why).contains("BOOTH cannot be read"));
}

/// Cuts the power at every step of one boot, in several ways, and looks at what is there.
fn cut_everywhere(before: &ModelDisk, look: impl Fn(&ModelDisk, &str)) -> u64 {
    let count = {
        let disk = before.snapshot();
        boot(&disk).expect("provisioned");
        disk.operations()
    };
    assert!(count > 5, "only {count} steps");
    for step in 0..count {
        let cut = before.snapshot();
        cut.cut_power_after(step);
        assert!(boot(&cut).is_err() || cut.is_off(), "step {step}");
        for seed in 0..12 {
            look(&cut.power_cut(seed), &format!("step {step}, seed {seed}"));
        }
    }
    count
}

#[test]
fn a_power_cut_at_any_step_of_the_first_provisioning_loses_nothing() {
    let before = card(&[("booth.toml", GOOD.as_bytes()), ("mqtt-password", b"one")]);
    cut_everywhere(&before, |disk, place| {
        let has_set = sets(disk).iter().any(|(_, password)| password == b"one");
        let is_on_fat = on_fat(disk, "mqtt-password").as_deref() == Some(b"one");
        assert!(has_set || is_on_fat, "{place}: the password is lost");
        let outcome = boot(disk).expect("provisioned");
        assert_eq!(outcome.source, Source::Card, "{place}");
        let config = effective(disk).expect("a configuration");
        assert_eq!(
            password_of(disk, &config).as_deref(),
            Some(&b"one"[..]),
            "{place}"
        );
        assert_eq!(on_fat(disk, "mqtt-password"), None, "{place}");
    });
}

#[test]
fn a_power_cut_at_any_step_of_a_change_leaves_a_configuration_and_a_password_that_work() {
    let before = connected();
    before.put(Path::new("/boot/booth.toml"), newer().as_bytes());
    before.put(Path::new("/boot/mqtt-password"), b"two");
    cut_everywhere(&before, |disk, place| {
        // As the gateway would find it.
        let config = effective(disk).unwrap_or_else(|| panic!("{place}: no configuration"));
        assert!(
            ["Before", "After"].contains(&config.booth.name.as_str()),
            "{place}"
        );
        let password = password_of(disk, &config);
        let works = [Some(&b"one"[..]), Some(b"two")].contains(&password.as_deref());
        assert!(works, "{place}: {password:?}");
        assert!(
            sets(disk).contains(&(1, b"one".to_vec())),
            "{place}: what connected is gone"
        );
        boot(disk).expect("provisioned");
        let config = effective(disk).expect("a configuration");
        assert_eq!(config.booth.name, "After", "{place}");
        assert_eq!(
            password_of(disk, &config).as_deref(),
            Some(&b"two"[..]),
            "{place}"
        );
        assert_eq!(on_fat(disk, "mqtt-password"), None, "{place}");
        let kept: Vec<Vec<u8>> = sets(disk)
            .into_iter()
            .map(|(_, password)| password)
            .collect();
        assert_eq!(kept, [b"one".to_vec(), b"two".to_vec()], "{place}");
    });
}

#[test]
fn a_power_cut_before_a_bad_secret_was_looked_at_does_not_make_it_a_good_one() {
    let before = connected();
    before.put(Path::new("/boot/mqtt-password"), b"bad");
    cut_everywhere(&before, |disk, place| {
        let outcome = boot(disk).expect("provisioned");
        assert!(outcome.secrets[0].fault.is_some(), "{place}");
        let config = effective(disk).expect("a configuration");
        assert_eq!(
            password_of(disk, &config).as_deref(),
            Some(&b"one"[..]),
            "{place}"
        );
        assert_eq!(
            on_fat(disk, "mqtt-password").as_deref(),
            Some(&b"bad"[..]),
            "{place}"
        );
    });
}

#[test]
fn a_power_cut_while_a_connection_is_noted_leaves_both_passwords() {
    let before = connected();
    before.put(Path::new("/boot/mqtt-password"), b"two");
    boot(&before).expect("provisioned");
    for step in 0..6 {
        let cut = before.snapshot();
        cut.cut_power_after(step);
        let noted = confirm(&cut, 2);
        for seed in 0..12 {
            let disk = cut.power_cut(seed);
            let folder = Path::new("/data/credentials");
            let confirmed = Vault {
                disk: &disk,
                folder,
            }
            .confirmed();
            assert!([Some(1), Some(2)].contains(&confirmed), "{confirmed:?}");
            assert!(noted.is_err() || confirmed == Some(2));
            assert_eq!(sets(&disk).len(), 2);
        }
    }
}

#[test]
fn a_card_that_refuses_writes_is_told_and_the_booth_is_set_up_all_the_same() {
    for errno in [EROFS, ENOSPC, EIO] {
        let disk = card(&[("booth.toml", GOOD.as_bytes()), ("mqtt-password", b"one")]);
        disk.set_faults(move |operation| {
            let is_fat = operation.path.starts_with("/boot") && operation.verb.is_change();
            is_fat.then_some(Fault {
                errno,
                left: Left::Nothing,
            })
        });
        for _ in 0..2 {
            let outcome = boot(&disk).expect("provisioned");
            assert_eq!(outcome.source, Source::Card);
            let notes = outcome.notes.join("\n");
            assert!(
                notes.contains("mqtt-password could not be removed"),
                "{notes}"
            );
            assert_eq!(sets(&disk), [(1, b"one".to_vec())]);
        }
        disk.heal();
        assert_eq!(
            boot(&disk).expect("provisioned").notes,
            Vec::<String>::new()
        );
        assert_eq!(on_fat(&disk, "mqtt-password"), None);
    }
}

#[test]
fn whatever_the_booths_own_partition_refuses_what_worked_before_still_works() {
    let before = connected();
    before.put(Path::new("/boot/booth.toml"), newer().as_bytes());
    before.put(Path::new("/boot/mqtt-password"), b"two");
    let count = {
        let disk = before.snapshot();
        boot(&disk).expect("provisioned");
        disk.operations()
    };
    for step in 0..count {
        for left in [Left::Nothing, Left::Half, Left::All] {
            let disk = before.snapshot();
            disk.fail_at(
                step,
                Fault {
                    errno: ENOSPC,
                    left,
                },
            );
            let _ = boot(&disk);
            let config = effective(&disk).expect("a configuration");
            let password = password_of(&disk, &config);
            assert!([Some(&b"one"[..]), Some(b"two")].contains(&password.as_deref()));
            assert!(sets(&disk).contains(&(1, b"one".to_vec())));
            disk.heal();
            boot(&disk).expect("provisioned");
            let config = effective(&disk).expect("a configuration");
            assert_eq!(password_of(&disk, &config).as_deref(), Some(&b"two"[..]));
        }
    }
}

/// What lies in `/data/prompts`, by path below it.
fn prompts(disk: &ModelDisk) -> Vec<(String, Vec<u8>)> {
    let all = disk.files().into_iter().filter_map(|path| {
        let name = path.strip_prefix("/data/prompts").ok()?;
        let bytes = disk.content(&path)?;
        Some((name.to_string_lossy().into_owned(), bytes))
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// A card with prompts, as a Mac leaves them.
fn with_prompts(files: &[(&str, &[u8])]) -> ModelDisk {
    let disk = card(&[("booth.toml", GOOD.as_bytes()), ("mqtt-password", b"one")]);
    for folder in ["/boot/Prompts", "/boot/Prompts/DA"] {
        disk.make_folder(Path::new(folder)).expect("a folder");
    }
    disk.sync_everything(Path::new("/")).expect("synced");
    for (name, bytes) in files {
        disk.put(&Path::new("/boot/Prompts/DA").join(name), bytes);
    }
    disk
}

fn named(files: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let all = files.iter();
    all.map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect()
}

#[test]
fn prompts_are_copied_to_where_the_gateway_reads_and_the_last_ones_stay_when_the_card_has_none() {
    let disk = with_prompts(&[
        ("NOTICE.OPUS", b"notice"),
        ("square.wav", b"square"),
        ("._square.wav", b"debris"),
        ("read me.txt", b"text"),
    ]);
    let first = named(&[("da/notice.opus", b"notice"), ("da/square.wav", b"square")]);
    assert_eq!(
        boot(&disk).expect("provisioned").notes,
        Vec::<String>::new()
    );
    let played = |disk: &ModelDisk| effective(disk).expect("one").session.prompts;
    assert_eq!(played(&disk), Path::new("/data/prompts"));
    assert_eq!(prompts(&disk), first);
    // Nothing new costs nothing but the usual sync of one folder.
    boot(&disk).expect("provisioned");
    let before = disk.operations();
    boot(&disk).expect("provisioned");
    assert_eq!(disk.operations() - before, 1);
    // What has changed is replaced, what has gone goes.
    disk.put(Path::new("/boot/Prompts/DA/NOTICE.OPUS"), b"Notice");
    disk.take_away(Path::new("/boot/Prompts/DA/square.wav"));
    boot(&disk).expect("provisioned");
    let second = named(&[("da/notice.opus", b"Notice")]);
    assert_eq!(prompts(&disk), second);
    // One that is beyond all measure is told and stands in nobody's way; a card without any changes nothing.
    disk.put(Path::new("/boot/Prompts/DA/menu.wav"), &vec![0; 8_000_001]);
    let notes = boot(&disk).expect("provisioned").notes.join(" ");
    assert!(notes.contains("DA/menu.wav"), "{notes}");
    assert_eq!(prompts(&disk), second);
    disk.take_away(Path::new("/boot/Prompts"));
    assert_eq!(
        boot(&disk).expect("provisioned").notes,
        Vec::<String>::new()
    );
    assert_eq!(prompts(&disk), second);
    assert_eq!(played(&disk), Path::new("/data/prompts"));
}

#[test]
fn the_gateway_is_given_its_configuration_before_prompts_are_copied_and_after_an_error() {
    let disk = with_prompts(&[("notice.opus", b"notice")]);
    // What was given while there was a configuration and no prompt yet.
    let given = Mutex::new(Vec::new());
    let give = |path: &Path| {
        let is_early = prompts(&disk).is_empty() && effective(&disk).is_some();
        given
            .lock()
            .expect("the list")
            .push((is_early, path.to_owned()));
        Ok(())
    };
    boot_giving(&disk, &give).expect("provisioned");
    assert!(!prompts(&disk).is_empty());
    for path in ["config", "credentials", "config/booth.toml"] {
        let wanted = (true, Path::new("/data").join(path));
        assert!(given.lock().expect("the list").contains(&wanted), "{path}");
    }
    // The credentials' folder refuses: what lies beside it is the gateway's all the same.
    given.lock().expect("the list").clear();
    disk.put(Path::new("/boot/MQTT-PASSWORD"), b"two");
    disk.set_faults(|operation| {
        let is_theirs =
            operation.path.starts_with("/data/credentials") && operation.verb.is_change();
        is_theirs.then_some(Fault {
            errno: EROFS,
            left: Left::Nothing,
        })
    });
    boot_giving(&disk, &give).expect_err("the partition refuses");
    let given = given.into_inner().expect("the list");
    let config = Path::new("/data/config/booth.toml");
    assert!(given.iter().any(|(_, path)| path == config), "{given:?}");
}

#[test]
fn prompts_that_are_passed_over_are_told_on_the_card_and_those_that_lie_flat_are_copied() {
    let disk = with_prompts(&[
        ("NOTICE.MP3", b"notice"),
        ("notice.wma", b"asf"),
        ("menu", b"menu"),
        ("read me.txt", b"text"),
        (".DS_Store", b"debris"),
    ]);
    disk.make_folder(Path::new("/boot/Prompts/DA/old"))
        .expect("a folder");
    disk.put(Path::new("/boot/Prompts/Thanks.FLAC"), b"thanks");
    disk.put(Path::new("/boot/Prompts/prompts.zip"), b"zip");
    disk.put(Path::new("/boot/goodbye.wav"), b"goodbye");
    disk.put(Path::new("/boot/holiday.wav"), b"somebody's own");
    let told = boot(&disk).expect("provisioned").notes;
    let copied = named(&[("da/notice.mp3", b"notice"), ("thanks.flac", b"thanks")]);
    assert_eq!(prompts(&disk), copied);
    assert_eq!(told.len(), 5, "{told:#?}");
    for parts in [
        [
            "DA/notice.wma is not used",
            "ffmpeg -i notice.wma -ac 1 notice.opus",
        ],
        ["DA/menu is not used", "ffmpeg -i menu -ac 1 menu.opus"],
        ["DA/old/ is not looked at", "one folder up"],
        ["prompts.zip is not used: it is an archive", "unpack it"],
        [
            "goodbye.wav lies beside booth.toml",
            "put it into the folder prompts",
        ],
    ] {
        let is_told = |line: &&String| parts.iter().all(|part| line.contains(part));
        assert!(
            told.iter().any(|line| is_told(&line)),
            "{parts:?} missing in {told:#?}"
        );
    }
    // At the next boot they are still there, and told; nothing is copied again.
    boot(&disk).expect("provisioned");
    let before = disk.operations();
    assert_eq!(boot(&disk).expect("provisioned").notes, told);
    assert_eq!(disk.operations() - before, 1);
    disk.take_away(Path::new("/boot/Prompts/Thanks.FLAC"));
    boot(&disk).expect("provisioned");
    assert_eq!(prompts(&disk), copied[..1]);
}

#[test]
fn codes_that_are_none_and_former_names_of_zones_keep_no_booth_from_running() {
    let text = "[booth]\nid = \"rundhoej-1\"\ntimezone = \"US/Eastern\"\n[network]\ncountry = \"UK\"\n\
                [session]\nlanguage = \"dk\"\n[privacy]\nseal = false\n";
    let disk = card(&[("booth.toml", text.as_bytes())]);
    let outcome = boot(&disk).expect("provisioned");
    assert_eq!((&outcome.source, outcome.faults.len()), (&Source::Card, 0));
    assert!(effective(&disk).is_some());
    let notes = outcome.notes.join("\n");
    for part in ["the United Kingdom is \"GB\"", "Danish is \"da\""] {
        assert!(notes.contains(part), "{part} missing in {notes}");
    }
}

#[test]
fn a_certificate_that_cannot_be_used_as_it_is_stays_on_the_card_byte_for_byte_with_what_to_do() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let wanted = rcgen::CertificateParams::new(vec!["authority".into()]).expect("a name");
    let made = wanted.self_signed(&key).expect("a certificate");
    let text = GOOD.replace("password_file", "ca_file = \"City CA.cer\"\npassword_file");
    let disk = card(&[
        ("booth.toml", text.as_bytes()),
        ("mqtt-password", b"one"),
        ("city ca.CER", made.der()),
    ]);
    let outcome = boot(&disk).expect("provisioned");
    assert_eq!(outcome.source, Source::Card);
    let fault = outcome.secrets.iter().find_map(|news| news.fault.as_ref());
    let fault = fault.expect("told");
    let command = "openssl x509 -inform DER -in './city ca.CER' -out './city ca.pem'";
    assert!(fault.contains(command), "{fault}");
    assert_eq!(
        on_fat(&disk, "city ca.CER").as_deref(),
        Some(made.der().as_ref())
    );
    // As PEM with a byte order mark it is taken, and none of it is lost.
    let two = format!("\u{feff}{0}{0}", made.pem().replace('\n', "\r\n"));
    disk.take_away(Path::new("/boot/city ca.CER"));
    disk.put(Path::new("/boot/City CA.cer"), two.as_bytes());
    let outcome = boot(&disk).expect("provisioned");
    assert!(
        outcome.secrets.iter().all(|news| news.fault.is_none()),
        "{:?}",
        outcome.secrets
    );
    let config = effective(&disk).expect("a configuration");
    let kept = disk
        .content(config.mqtt.ca_file.as_deref().expect("named"))
        .expect("kept");
    let kept = String::from_utf8(kept).expect("text");
    assert!(kept.starts_with("-----BEGIN") && kept.matches("-----BEGIN CERT").count() == 2);
}

#[test]
fn prompts_that_the_booths_own_partition_refuses_are_told_and_the_former_ones_stay() {
    for errno in [ENOSPC, EROFS] {
        let disk = with_prompts(&[("notice.opus", b"old"), ("square.wav", b"square")]);
        boot(&disk).expect("provisioned");
        let before = prompts(&disk);
        disk.put(Path::new("/boot/Prompts/DA/notice.opus"), b"new");
        disk.take_away(Path::new("/boot/Prompts/DA/square.wav"));
        disk.set_faults(move |operation| {
            let is_theirs =
                operation.path.starts_with("/data/prompts") && operation.verb.is_change();
            is_theirs.then_some(Fault {
                errno,
                left: Left::Half,
            })
        });
        let outcome = boot(&disk).expect("provisioned");
        assert_eq!(outcome.source, Source::Card);
        let notes = outcome.notes.join(" ");
        assert!(notes.contains("could not be copied"), "{notes}");
        let there = prompts(&disk);
        assert!(before.iter().all(|prompt| there.contains(prompt)));
    }
}

#[test]
fn a_power_cut_at_any_step_of_the_copying_leaves_each_prompt_whole_the_old_or_the_new() {
    let before = with_prompts(&[("notice.opus", b"notice"), ("square.wav", b"square")]);
    boot(&before).expect("provisioned");
    before.sync_everything(Path::new("/")).expect("synced");
    before.put(Path::new("/boot/Prompts/DA/notice.opus"), &[7; 3_000]);
    before.put(Path::new("/boot/Prompts/DA/menu.opus"), b"menu");
    before.take_away(Path::new("/boot/Prompts/DA/square.wav"));
    cut_everywhere(&before, |disk, place| {
        let mut has_notice = false;
        for (name, bytes) in prompts(disk) {
            let is_whole = match name.as_str() {
                "da/notice.opus" => {
                    has_notice = true;
                    bytes == b"notice" || bytes == [7; 3_000]
                }
                "da/square.wav" => bytes == b"square",
                "da/menu.opus" => bytes == b"menu",
                other => other.ends_with(".tmp"),
            };
            assert!(is_whole, "{place}: {name}");
        }
        assert!(has_notice, "{place}: the notice is lost");
        boot(disk).expect("provisioned");
        let now = named(&[("da/menu.opus", b"menu"), ("da/notice.opus", &[7; 3_000])]);
        assert_eq!(prompts(disk), now, "{place}");
    });
}

// ----- The real program -----

/// A card's two partitions as folders.
struct Card {
    folder: tempfile::TempDir,
}

impl Card {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["boot", "data"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self { folder }
    }

    fn boot(&self) -> PathBuf {
        self.folder.path().join("boot")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn config(&self) -> PathBuf {
        self.data().join("config/booth.toml")
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.boot().join(name), bytes).expect("a file");
    }

    /// `booth.toml` of a simulated booth that speaks to the broker on this port.
    fn text(&self, port: u16) -> String {
        format!(
            "[booth]\nid = \"rundhoej-1\"\nname = \"Rundhøj Torv\"\ncontact = \"Borgerservice\"\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\npassword_file = \"mqtt-password\"\n\
             [handset]\nbackend = \"sim\"\ncontrol_socket = {socket:?}\n\
             [audio]\ninput = \"{MIC}\"\noutput = \"{EAR}\"\n\
             [spool]\nreserve_bytes = 1_000_000\n[privacy]\nseal = false\n\
             [session]\nprompts = {prompts:?}\nlanguage = \"da\"\n\
             [[question]]\nid = \"square\"\ndigit = 1\nkind = \"speak\"\n",
            socket = self.socket(),
            prompts = fixtures().join("prompts"),
        )
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("handset.sock")
    }

    fn provision(&self, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
            .args(["provision", "--boot"])
            .arg(self.boot())
            .arg("--data")
            .arg(self.data())
            .args(more)
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    }

    /// Provisions, and answers the exit status.
    fn boots(&self) -> Option<i32> {
        let output = self.provision(&[]);
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.code()
    }

    fn status(&self) -> String {
        std::fs::read_to_string(self.boot().join("BOOTH-STATUS.TXT")).unwrap_or_default()
    }

    fn start(&self, arguments: &[&str], pulse: Option<&Pulse>) -> Gateway {
        let deaf = || vec![("ALSA_CONFIG_PATH", "/usr/share/alsa/alsa.conf".into())];
        let environment = pulse.map_or_else(deaf, Pulse::environment);
        Gateway::start_at(&self.config(), self.socket(), arguments, environment)
    }

    /// Brings the status up to date; whether it has this by then.
    fn tells(&self, part: &str) -> Option<()> {
        assert!(self.provision(&["--status"]).status.success());
        self.status().contains(part).then_some(())
    }
}

fn utf16(text: &str) -> Vec<u8> {
    let text = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_card_that_was_written_with_notepad_sets_the_booth_up_and_says_so() {
    let card = Card::new();
    card.put("BOOTH.TOML.TXT", utf16(&card.text(1883)));
    card.put("._BOOTH.TOML.TXT", [0, 5, 22, 7]);
    card.put("Mqtt-Password.txt", utf16("geheim\n"));
    assert_eq!(card.boots(), Some(0));
    let password = card.data().join("credentials/set-1/password");
    assert_eq!(std::fs::read(&password).expect("a file"), b"geheim");
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&password), 0o600);
    assert_eq!(mode(&card.data().join("credentials")), 0o700);
    assert_eq!(mode(&card.config()), 0o600);
    assert!(!card.boot().join("Mqtt-Password.txt").exists());
    let status = card.status();
    for part in [
        "\u{feff}BOOTH STATUS",
        "Den er sat op med kortets booth.toml.\r\n",
        "It is set up with the booth.toml of this card.",
        "[booth] id (line 2): applied",
        "Password (mqtt-password): taken from the card now",
    ] {
        assert!(status.contains(part), "{part} missing in\n{status}");
    }
    assert!(!status.contains("geheim"));
    let checked = Command::new(env!("CARGO_BIN_EXE_booth-gateway"))
        .args(["check-config", "--config"])
        .arg(card.config())
        .output()
        .expect("it runs");
    assert!(checked.status.success(), "{checked:?}");
    // The next boot has nothing to do; a bad file then changes nothing but the status.
    assert_eq!(card.boots(), Some(0));
    assert!(card.status().contains("kept since"));
    let before = std::fs::read(card.config()).expect("a file");
    card.put("BOOTH.TOML.TXT", utf16("[booth]\nid = “hub”\n"));
    assert_eq!(card.boots(), Some(0));
    assert_eq!(std::fs::read(card.config()).expect("a file"), before);
    let status = card.status();
    assert!(
        status.contains("BOOTH.TOML.TXT:2: “ is a typographic quotation mark"),
        "{status}"
    );
    assert!(status.contains("Kortets booth.toml bruges IKKE"));
}

#[test]
fn a_partition_of_the_booth_that_refuses_is_told_on_the_card_and_is_a_failure() {
    let card = Card::new();
    card.put("booth.toml", card.text(1883));
    std::fs::remove_dir_all(card.data()).expect("removed");
    std::fs::write(card.data(), "in the way").expect("a file");
    assert_eq!(card.boots(), Some(1));
    let status = card.status();
    assert!(
        status.contains("DO NOT FORMAT THIS CARD") && status.contains("making way in"),
        "{status}"
    );
    assert!(status.contains("FORMATÉR IKKE"));
}

#[test]
fn what_root_makes_belongs_to_who_runs_the_gateway() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !booth_testkit::mounting::is_possible("the owner of what root makes") {
        return;
    }
    let card = Card::new();
    card.put("mqtt-password", "one");
    let text = card.text(1883);
    let line = text.lines().find(|line| line.starts_with("prompts = "));
    card.put("booth.toml", text.replace(line.expect("a line"), ""));
    std::fs::create_dir_all(card.boot().join("prompts/da")).expect("a folder");
    card.put("prompts/da/notice.opus", "notice");
    chown(card.data(), Some(4711), Some(4712)).expect("as root");
    assert_eq!(card.boots(), Some(0));
    for file in [
        "config",
        "config/booth.toml",
        "config/good.toml",
        "credentials",
        "credentials/set-1",
        "credentials/set-1/password",
        "prompts",
        "prompts/da",
        "prompts/da/notice.opus",
    ] {
        let facts = card.data().join(file).metadata().expect("there");
        assert_eq!((facts.uid(), facts.gid()), (4711, 4712), "{file}");
    }
}

#[test]
fn a_prompt_is_copied_once_with_its_time_and_given_to_who_runs_the_gateway() {
    let card = Card::new();
    let text = card.text(1883);
    let line = text.lines().find(|line| line.starts_with("prompts = "));
    card.put("booth.toml", text.replace(line.expect("a line"), ""));
    std::fs::create_dir_all(card.boot().join("prompts/da")).expect("a folder");
    card.put("prompts/da/Notice.opus", "notice");
    assert_eq!(card.boots(), Some(0));
    let copy = card.data().join("prompts/da/notice.opus");
    let facts = |path: &Path| path.metadata().expect("there");
    use std::os::unix::fs::MetadataExt;
    let first = facts(&copy);
    assert_eq!(first.permissions().mode() & 0o777, 0o600);
    assert_eq!(first.uid(), facts(&card.data()).uid());
    assert_eq!(
        first.modified().expect("a time"),
        facts(&card.boot().join("prompts/da/Notice.opus"))
            .modified()
            .expect("a time")
    );
    assert_eq!(card.boots(), Some(0));
    assert_eq!(facts(&copy).ino(), first.ino(), "the same file");
    // The same length at another time.
    card.put("prompts/da/Notice.opus", "NOTICE");
    assert_eq!(card.boots(), Some(0));
    assert_eq!(std::fs::read(&copy).expect("a file"), b"NOTICE");
    let config = std::fs::read_to_string(card.config()).expect("a file");
    let folder = card.data().join("prompts");
    assert!(config.contains(folder.to_str().expect("text")), "{config}");
}

#[test]
fn a_folder_and_two_candidates_are_named_and_without_any_good_file_the_status_is_78() {
    let card = Card::new();
    assert_eq!(card.boots(), Some(78));
    assert!(card.status().contains("There is no booth.toml"));
    std::fs::create_dir(card.boot().join("booth.toml")).expect("a folder");
    assert_eq!(card.boots(), Some(78));
    assert!(card.status().contains("booth.toml is a folder"));
    card.put("Booth.toml.txt", card.text(1883));
    assert_eq!(card.boots(), Some(78));
    assert!(card.status().contains("Booth.toml.txt and booth.toml"));
    std::fs::remove_dir(card.boot().join("booth.toml")).expect("removed");
    assert_eq!(card.boots(), Some(0));
    assert!(!card.data().join("config/booth.faults").exists());
}

/// A small file system that can be full or read-only; unmounted with the value.
struct Small(PathBuf);

impl Small {
    fn at(place: &Path) -> Self {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "booth-test"])
            .arg(place)
            .status()
            .expect("mount runs");
        assert!(status.success(), "a tmpfs can be mounted (as root)");
        Self(place.to_owned())
    }

    fn becomes(&self, how: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.0)
            .status();
        assert!(status.expect("mount runs").success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_or_read_only_boot_partition_is_no_reason_to_stand_still() {
    if !booth_testkit::mounting::is_possible("a full or read-only boot partition") {
        return;
    }
    let card = Card::new();
    let small = Small::at(&card.boot());
    card.put("booth.toml", card.text(1883));
    card.put("mqtt-password", "one");
    small.becomes("ro");
    assert_eq!(card.boots(), Some(0));
    assert!(card.config().exists());
    assert!(card.boot().join("mqtt-password").exists());
    assert_eq!(card.status(), "");
    small.becomes("rw");
    // Full: what is removed makes room for nothing, and half a status is none.
    card.put("mqtt-password", "two");
    let filling = std::fs::write(card.boot().join("holiday.jpg"), vec![1; 1 << 20]);
    assert!(filling.is_err(), "the partition is full");
    assert_eq!(card.boots(), Some(0));
    assert!(!card.boot().join("mqtt-password").exists());
    assert!(!card.boot().join("BOOTH-STATUS.TXT.tmp").exists());
    let password = card.data().join("credentials/set-2/password");
    assert_eq!(std::fs::read(password).expect("a file"), b"two");
    std::fs::remove_file(card.boot().join("holiday.jpg")).expect("removed");
    assert_eq!(card.boots(), Some(0));
    assert!(card.status().contains("kept since"));
}

#[test]
fn a_card_without_its_boot_partition_still_starts_a_booth_that_was_set_up() {
    let card = Card::new();
    card.put("booth.toml", card.text(1));
    card.put("mqtt-password", "one");
    assert_eq!(card.boots(), Some(0));
    std::fs::remove_dir_all(card.boot()).expect("removed");
    assert_eq!(card.boots(), Some(0));
    assert!(
        !card.boot().exists(),
        "nothing is made where the partition should be"
    );
    let gateway = card.start(&["--setup-on-error"], None);
    until("its own configuration is in use", || {
        (gateway.state()?["session"] == "idle").then_some(())
    });
    assert!(!gateway.log().contains("not set up"));
    assert!(gateway.stop().success());
}

#[test]
fn without_a_data_partition_the_booth_comes_up_with_the_cards_file_says_so_and_keeps_nothing() {
    if !booth_testkit::mounting::is_possible("a booth without a data partition") {
        return;
    }
    let card = Card::new();
    card.put("booth.toml", card.text(1));
    card.put("mqtt-password", "one");
    // As the initrd leaves it: a folder that takes nothing.
    let small = Small::at(&card.data());
    small.becomes("ro");
    let in_ram = card.folder.path().join("run");
    let in_ram = in_ram.to_str().expect("text");
    for _ in 0..2 {
        let output = card.provision(&["--without-data", in_ram]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        // In RAM it would be gone with the power.
        assert!(card.boot().join("mqtt-password").exists());
    }
    let status = card.status();
    for part in [
        "CANNOT USE ITS OWN PART OF THIS CARD",
        "DO NOT FORMAT IT",
        "Send it to: Borgerservice",
    ] {
        assert!(status.contains(part), "{part} missing in\n{status}");
    }
    let gateway = card.start(&["--setup-on-error", "--without-data", in_ram], None);
    gateway.reaches("ready", 0);
    let faults = gateway.state().expect("a state")["faults"].to_string();
    assert!(faults.contains("spool_unwritable"), "{faults}");
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    gateway.handset("dial 1");
    assert_eq!(gateway.state().expect("a state")["session"], "out_of_order");
    until("the status says so", || {
        let output = card.provision(&["--status", "--without-data", in_ram]);
        assert!(output.status.success(), "{output:?}");
        card.status()
            .contains("A citizen can NOT speak now")
            .then_some(())
    });
    assert!(gateway.stop().success());
    assert_eq!(std::fs::read_dir(card.data()).expect("a folder").count(), 0);
}

#[test]
fn a_new_password_that_does_not_connect_leaves_the_booth_connected_with_the_former_one() {
    let broker = Broker::with_password();
    let card = Card::new();
    card.put("booth.toml", card.text(broker.port));
    card.put("mqtt-password", "right");
    assert_eq!(card.boots(), Some(0));
    let confirmed = card.data().join("credentials/confirmed");
    let gateway = card.start(&[], None);
    gateway.reaches("connected", 1);
    until("it is noted", || {
        (std::fs::read_to_string(&confirmed).ok()? == "1\n").then_some(())
    });
    assert!(gateway.stop().success());
    // Somebody mistypes it.
    card.put("mqtt-password", "wrong");
    assert_eq!(card.boots(), Some(0));
    let gateway = card.start(&[], None);
    gateway.reaches("connected", 1);
    gateway.says("connected with the former credentials");
    until("the status says so", || {
        card.tells("The new credentials have not connected yet")
    });
    assert!(card.status().contains("Broker: connected"));
    assert_eq!(std::fs::read_to_string(&confirmed).expect("a file"), "1\n");
    // Nothing new, nothing written.
    let file = card.boot().join("BOOTH-STATUS.TXT");
    let written = || {
        file.metadata()
            .and_then(|facts| facts.modified())
            .expect("a time")
    };
    until("what says the same is left as it is", || {
        let before = (card.status(), written());
        assert!(card.provision(&["--status"]).status.success());
        let after = (card.status(), written());
        // Whatever the booth had to say meanwhile is news; without any, nothing is written.
        if before.0 == after.0 {
            assert_eq!(before.1, after.1);
        }
        (before == after).then_some(())
    });
    assert!(gateway.stop().success());
    // And puts it right.
    card.put("mqtt-password", "right");
    assert_eq!(card.boots(), Some(0));
    let gateway = card.start(&[], None);
    until("it is noted", || {
        (std::fs::read_to_string(&confirmed).ok()? == "3\n").then_some(())
    });
    assert!(!gateway.log().contains("former credentials"));
    assert!(gateway.stop().success());
    assert_eq!(card.boots(), Some(0));
    assert!(!card.data().join("credentials/set-1").exists());
}

#[test]
fn a_booth_that_is_not_set_up_says_so_in_the_earpiece_keeps_nothing_and_starts_with_a_good_file() {
    let pulse = Pulse::start();
    let card = Card::new();
    let bad = card
        .text(1)
        .replace("id = \"rundhoej-1\"", "id = \"Hub 1\"");
    card.put("booth.toml", &bad);
    card.put("mqtt-password", "right");
    assert_eq!(card.boots(), Some(78));
    // Without the flag it ends as every bad configuration does.
    let (status, log) = card.start(&[], Some(&pulse)).ends();
    assert_eq!(status.code(), Some(78), "{log}");
    let gateway = card.start(&["--setup-on-error"], Some(&pulse));
    let (_, why) = gateway.says("this booth is not set up");
    assert!(
        why.contains("booth.toml:2: [booth] id: \"Hub 1\" is no booth id"),
        "{why}"
    );
    gateway.says("the earpiece works");
    let ear = card.folder.path().join("ear.raw");
    let listener = pulse.listen(&ear);
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    // A second of "Denne boks er ikke sat op." is loud; the out-of-order tone of the prompts is not played.
    until("the words are heard", || {
        let heard = std::fs::read(&ear).ok()?;
        let loud = heard
            .chunks_exact(2)
            .filter(|pair| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 1_000)
            .count();
        (loud > 10_000).then_some(())
    });
    drop(listener);
    // Digits do nothing; nothing is kept, and no spool is made.
    gateway.handset("dial 1");
    assert_eq!(gateway.state().expect("a state")["session"], "out_of_order");
    assert_eq!(gateway.state().expect("a state")["ready"], 0);
    gateway.handset("hang-up");
    gateway.reaches("session", "idle");
    for folder in ["clips", "ledger", "card.json", "quarantine"] {
        assert!(!card.data().join(folder).exists(), "{folder}");
    }
    // SIGHUP with the same file changes nothing, with a good one everything.
    gateway.clear_log();
    gateway.hang_up_signal();
    gateway.says("still not set up");
    card.put("booth.toml", card.text(1));
    assert_eq!(card.boots(), Some(0));
    gateway.hang_up_signal();
    gateway.says("starts again");
    gateway.reaches("ready", 1);
    assert!(card.data().join("card.json").exists());
    gateway.handset("lift");
    gateway.reaches("session", "question");
    gateway.handset("hang-up");
    assert!(gateway.stop().success());
    // The status names the card that the gateway has made.
    assert_eq!(card.boots(), Some(0));
    let made = std::fs::read_to_string(card.data().join("card.json")).expect("a file");
    let (_, id) = made.split_once("\"card_id\"").expect("an id");
    let id = id.split('"').nth(1).expect("a value");
    assert!(card.status().contains(&format!("Card: {id}")), "{id}");
}

#[test]
fn a_booth_that_is_not_set_up_and_has_no_sound_card_still_comes_up_and_stops_when_told() {
    let card = Card::new();
    std::fs::create_dir(card.data().join("config")).expect("a folder");
    let text = format!(
        "[handset]\nbackend = \"sim\"\ncontrol_socket = {:?}\n",
        card.socket()
    );
    std::fs::write(card.config(), text).expect("a file");
    let gateway = card.start(&["--setup-on-error"], None);
    let (_, why) = gateway.says("this booth is not set up");
    assert!(why.contains("missing field `booth`"), "{why}");
    gateway.handset("lift");
    gateway.reaches("session", "out_of_order");
    assert!(gateway.stop().success());
}

#[test]
fn the_outcome_of_a_boot_can_be_read_from_the_booths_own_partition() {
    let card = Card::new();
    card.put("booth.toml", card.text(1883));
    assert!(!card.provision(&["--status"]).status.success());
    assert_eq!(card.boots(), Some(0));
    let disk = booth_spool::real_disk::RealDisk::new();
    let bytes = read_whole(&disk, &card.data().join("config/outcome.json"), 1 << 20);
    let outcome: Outcome = serde_json::from_slice(&bytes.expect("a file")).expect("JSON");
    assert_eq!(
        (outcome.source, outcome.booth_id.as_str()),
        (Source::Card, "rundhoej-1")
    );
    assert!(card.provision(&["--status"]).status.success());
    assert!(card.status().contains("has not answered yet"));
}
