//! Whoever has a booth's password, or a hand on the hub's disk: what was acknowledged is there, or is asked for again, or is named,
//! and is never another one's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use booth_contract::AckStatus;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, booth_hub};
use booth_testkit::wait::until;

const BOOTH: &str = "rundhoej-1";

fn store(home: &Home) -> PathBuf {
    home.path().join("store")
}

fn runs(home: &Home, command: &[&str]) -> (Option<i32>, String) {
    let config = home.config();
    let arguments = [command, &["--config", config.to_str().expect("a name")]].concat();
    let ended = booth_hub(&arguments);
    let said = [ended.stdout, ended.stderr].concat();
    (
        ended.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// What `check` has found, with its exit status.
fn checked(home: &Home) -> (Option<i32>, Value) {
    let (status, said) = runs(home, &["check", "--json"]);
    // How far it is stands between, if it takes long.
    let line = said.lines().find(|line| line.starts_with('{'));
    (
        status,
        serde_json::from_str(line.expect("a line")).expect("JSON"),
    )
}

fn findings(home: &Home) -> Vec<(String, String)> {
    let (status, checked) = checked(home);
    let findings = checked["findings"].as_array().expect("a list");
    assert_eq!(status, Some(i32::from(!findings.is_empty())), "{checked}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .map(|found| (text(&found["what"]), text(&found["clip_id"])))
        .collect()
}

/// The same clip with other words of the same length.
fn another_version(clip: &Clip) -> Clip {
    let mut body = clip.body.clone();
    body[0] ^= 1;
    let hash = Sha256::digest(&body);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut manifest = clip.manifest.clone();
    manifest["sha256"] = json!(hash);
    Clip {
        id: clip.id.clone(),
        body,
        manifest,
    }
}

fn remove_database(home: &Home) {
    for name in ["hub.sqlite", "hub.sqlite-wal", "hub.sqlite-shm"] {
        let _ = std::fs::remove_file(store(home).join(name));
    }
}

fn is_body(home: &Home, clip: &Clip) -> bool {
    std::fs::read(home.clip_file(&clip.id)).is_ok_and(|body| body == clip.body)
}

#[test]
fn a_version_that_lacks_one_byte_waits_in_vain_for_the_true_clip_to_be_stored() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    let thief = Booth::connect(broker.port, "rundhoej-2");
    booth.hub_becomes("online");
    thief.hub_becomes("online");
    let clip = Clip::new(BOOTH, 1);
    let bad = another_version(&clip);
    let size = bad.body.len();
    thief.offer(&bad);
    thief.send_parts(&bad, 0, size - 1);
    thief.is_judged();
    booth.deliver(&clip);
    thief.send_parts(&bad, size - 1, size);
    assert_eq!(thief.ack().status, AckStatus::Reject);
    thief.offer(&bad);
    assert_eq!(thief.ack().status, AckStatus::Reject);
    assert!(is_body(&home, &clip));
    booth.offer(&clip);
    assert_eq!(booth.ack().status, AckStatus::Stored);
    hub.shows("operations", "disputed/");
    let kept: Vec<_> = std::fs::read_dir(store(&home).join("disputed"))
        .expect("a folder")
        .map(|entry| std::fs::read(entry.expect("a file").path()).expect("reads"))
        .collect();
    assert!(kept.contains(&bad.body));
    assert_eq!(findings(&home), []);
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn a_database_that_goes_under_a_running_hub_ends_it_before_anything_is_acknowledged() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let mut hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let first = Clip::new(BOOTH, 1);
    booth.deliver(&first);
    remove_database(&home);
    let second = Clip::new(BOOTH, 2);
    booth.offer(&second);
    booth.send_parts(&second, 0, second.body.len());
    hub.says("was removed or replaced while the hub runs");
    until("the hub ends", || (!hub.is_running()).then_some(()));
    let acks = booth.hub_becomes("lost");
    assert!(
        acks.iter().all(|ack| ack.status != AckStatus::Stored),
        "{acks:?}"
    );
    // Nor does it begin anew, and no service manager starts it for ever.
    let (status, said) = runs(&home, &["serve"]);
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("booth-hub rebuild"), "{said}");
    let (status, said) = runs(&home, &["rebuild"]);
    assert_eq!(status, Some(0), "{said}");
    let hub = Hub::start(&home);
    booth.hub_becomes("online");
    booth.offer(&first);
    assert_eq!(booth.ack().status, AckStatus::Stored);
    booth.deliver(&second);
    assert!(is_body(&home, &first) && is_body(&home, &second));
    assert_eq!(findings(&home), []);
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn rubbish_in_the_databases_place_is_a_sentence_and_no_endless_restart() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let clip = Clip::new(BOOTH, 1);
    booth.deliver(&clip);
    assert_eq!(hub.stop().code(), Some(0));
    booth.hub_becomes("lost");
    remove_database(&home);
    let database = store(&home).join("hub.sqlite");
    std::fs::write(&database, vec![b'x'; 20_000]).expect("written");
    let (status, said) = runs(&home, &["serve"]);
    assert_eq!(status, Some(78), "{said}");
    assert!(
        said.contains("damaged or no database") && said.contains("rebuild"),
        "{said}"
    );
    assert_eq!(findings(&home), [("database".to_owned(), String::new())]);
    let (status, said) = runs(&home, &["rebuild"]);
    assert_eq!(status, Some(0), "{said}");
    let kept = std::fs::read(store(&home).join("hub.sqlite.before-1")).expect("beside it");
    assert_eq!(kept.len(), 20_000);
    let _hub = Hub::start(&home);
    booth.hub_becomes("online");
    booth.offer(&clip);
    assert_eq!(booth.ack().status, AckStatus::Stored);
}

#[test]
fn a_body_that_is_gone_is_asked_for_again_and_one_that_rots_is_named() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let (gone, rotten) = (Clip::new(BOOTH, 1), Clip::new(BOOTH, 2));
    booth.deliver(&gone);
    booth.deliver(&rotten);
    assert_eq!(findings(&home), []);
    std::fs::remove_file(home.clip_file(&gone.id)).expect("removed");
    std::fs::write(home.clip_file(&rotten.id), another_version(&rotten).body).expect("rots");
    let named = |what: &str, clip: &Clip| (what.to_owned(), clip.id.clone());
    let expected = [
        named("missing_body", &gone),
        named("different_body", &rotten),
    ];
    assert_eq!(findings(&home), expected);
    booth.offer(&gone);
    let ack = booth.ack();
    assert_eq!((ack.status, ack.missing.len()), (AckStatus::Partial, 1));
    hub.says("was stored");
    booth.send_parts(&gone, 0, gone.body.len());
    assert_eq!(booth.ack().status, AckStatus::Stored);
    assert!(is_body(&home, &gone));
    assert_eq!(findings(&home), expected[1..]);
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn a_backup_of_the_database_from_yesterday_forgets_no_clip_of_today() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let booth = Booth::connect(broker.port, BOOTH);
    let database = store(&home).join("hub.sqlite");
    let mut backup = Vec::new();
    for n in 1..=2 {
        let hub = Hub::start(&home);
        booth.hub_becomes("online");
        booth.deliver(&Clip::new(BOOTH, n));
        assert_eq!(hub.stop().code(), Some(0));
        booth.hub_becomes("lost");
        if n == 1 {
            backup = std::fs::read(&database).expect("a database");
        }
    }
    std::fs::write(&database, backup).expect("restored");
    let today = Clip::new(BOOTH, 2);
    assert_eq!(
        findings(&home),
        [("not_in_database".to_owned(), today.id.clone())]
    );
    let hub = Hub::start(&home);
    booth.hub_becomes("online");
    // Other words under its id come too late, although the database does not know it.
    let bad = another_version(&today);
    booth.offer(&bad);
    assert_eq!(booth.ack().status, AckStatus::Reject);
    booth.offer(&today);
    assert_eq!(booth.ack().status, AckStatus::Stored);
    assert!(is_body(&home, &today));
    assert_eq!(findings(&home), []);
    assert_eq!(hub.stop().code(), Some(0));
}

/// `HUB_KILLS=500` for the table of docs/reliability.md.
#[test]
fn a_hub_killed_again_and_again_while_it_ingests_loses_and_doubles_nothing() {
    let kills = std::env::var("HUB_KILLS").ok().and_then(|n| n.parse().ok());
    let kills: u64 = kills.unwrap_or(12);
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let booth = Booth::connect(broker.port, BOOTH);
    let mut stored: BTreeSet<String> = BTreeSet::new();
    let clips: Vec<Clip> = (1..=6 * kills)
        .map(|n| {
            let body = (0..33_000_u64).map(|at| (at.wrapping_mul(n) >> 5) as u8);
            Clip::with_body(BOOTH, n, body.collect())
        })
        .collect();
    for n in 0..kills {
        let hub = Hub::start(&home);
        booth.hub_becomes("online");
        let offered = clips.iter().filter(|clip| !stored.contains(&clip.id));
        for clip in offered.take(6) {
            booth.offer(clip);
            booth.send_parts(clip, 0, clip.body.len());
        }
        let enough = stored.len() + (n % 6) as usize;
        while stored.len() < enough {
            let ack = booth.ack();
            if ack.status == AckStatus::Stored {
                stored.insert(ack.clip_id.to_string());
            }
        }
        hub.kill();
        let late = booth.hub_becomes("lost").into_iter();
        stored.extend(
            late.filter(|ack| ack.status == AckStatus::Stored)
                .map(|ack| ack.clip_id.to_string()),
        );
        for clip in clips.iter().filter(|clip| stored.contains(&clip.id)) {
            assert!(is_body(&home, clip), "after kill {n}: {}", clip.id);
        }
    }
    let hub = Hub::start(&home);
    booth.hub_becomes("online");
    for clip in &clips {
        booth.offer(clip);
        booth.send_parts(clip, 0, clip.body.len());
        let is_this =
            |ack: &booth_contract::Ack| ack.clip_id == clip.id && ack.status == AckStatus::Stored;
        while !is_this(&booth.ack()) {}
        assert!(is_body(&home, clip));
    }
    assert_eq!(findings(&home), []);
    assert_eq!(checked(&home).1["clips"], clips.len());
    assert_eq!(hub.stop().code(), Some(0));
}

#[test]
fn a_hub_without_room_says_lost_and_why_and_comes_back_when_there_is_room() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let enough = std::fs::read_to_string(home.config()).expect("a configuration");
    // More than any disk of these tests has: nothing need be filled.
    let too_much = enough.replace("[http]", "reserve_bytes = 1_000_000_000_000\n[http]");
    if free_bytes(home.path()) > 900_000_000_000 {
        return;
    }
    std::fs::write(home.config(), too_much).expect("written");
    let hub = Hub::start(&home);
    hub.says("are to stay free");
    hub.shows("operations", "are to stay free");
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("lost");
    assert_eq!(hub.stop().code(), Some(0));
    std::fs::write(home.config(), enough).expect("written");
    let _hub = Hub::start(&home);
    booth.hub_becomes("online");
    booth.deliver(&Clip::new(BOOTH, 1));
}

fn free_bytes(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).expect("a file system");
    disk.f_bavail * disk.f_frsize
}
