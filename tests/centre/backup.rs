//! Backups with the real programs: made while the hub runs, killed anywhere, put back where the store was lost.
#![allow(clippy::disallowed_methods)] // looks at the folders

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use booth_contract::AckStatus;
use booth_testkit::hub::{Booth, Broker, Clip, Home, Hub, booth_hub};
use booth_testkit::hub_program::hub_program;
use booth_testkit::wait::until;
use serde_json::Value;

const BOOTH: &str = "rundhoej-1";

fn runs(home: &Home, arguments: &[&str]) -> Output {
    let config = home.config().display().to_string();
    booth_hub(&[arguments, &["--config", config.as_str()]].concat())
}

/// What a command says in JSON, if it ends well.
fn says(home: &Home, arguments: &[&str]) -> Value {
    let ran = runs(home, &[arguments, &["--json"]].concat());
    let complained = String::from_utf8_lossy(&ran.stderr).into_owned();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{arguments:?}: {said}{complained}");
    serde_json::from_str(&said).expect("JSON")
}

/// A backup that is under way.
fn begins(home: &Home, folder: &str) -> Child {
    let mut command = Command::new(hub_program());
    command.args(["backup", folder, "--config"]);
    command.arg(home.config()).stdout(Stdio::null());
    command.spawn().expect("it starts")
}

fn store(home: &Home) -> PathBuf {
    home.path().join("store")
}

#[test]
fn a_store_that_was_lost_is_put_back_and_what_came_since_is_asked_for_and_kept_once() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let folder = elsewhere.path().join("backup").display().to_string();
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let clips: Vec<Clip> = (1..=9).map(|n| Clip::new(BOOTH, n)).collect();
    for clip in &clips[..4] {
        booth.deliver(clip);
    }
    // Clips come in while a backup is made.
    let mut under_way = begins(&home, &folder);
    for clip in &clips[4..6] {
        booth.deliver(clip);
    }
    assert!(under_way.wait().expect("it ends").success());
    let made = says(&home, &["backup", &folder]);
    assert_eq!(made["clips"], 6);
    for clip in &clips[6..] {
        booth.deliver(clip);
    }
    // Taken back after the backup.
    let gone = &clips[1];
    assert!(runs(&home, &["withdraw", &gone.id]).status.success());
    until("deleted", || {
        (!home.clip_file(&gone.id).exists()).then_some(())
    });
    // Nothing is put over a store.
    let refused = runs(&home, &["restore", &folder]);
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(why.contains("is not empty"), "{why}");
    hub.kill();
    booth.hub_becomes("lost");
    std::fs::remove_dir_all(store(&home)).expect("lost");

    let restored = says(&home, &["restore", &folder]);
    assert_eq!(
        (&restored["clips"], &restored["taken_back"]),
        (&5.into(), &1.into())
    );
    let hub = Hub::start(&home);
    booth.hub_becomes("online");
    for (n, clip) in clips.iter().enumerate() {
        booth.offer(clip);
        match n {
            1 => assert_eq!(booth.ack().status, AckStatus::Discard),
            0..6 => assert_eq!(booth.ack().status, AckStatus::Stored),
            _ => {
                booth.send_parts(clip, 0, clip.body.len());
                assert_eq!(booth.ack().status, AckStatus::Stored);
            }
        }
    }
    let checked = says(&home, &["check"]);
    assert_eq!(
        (&checked["clips"], &checked["bodies"]),
        (&8.into(), &8.into())
    );
    assert!(!home.clip_file(&gone.id).exists());
    for clip in clips.iter().filter(|clip| clip.id != gone.id) {
        assert_eq!(
            std::fs::read(home.clip_file(&clip.id)).expect("kept"),
            clip.body
        );
    }
    // And the next backup has forgotten what was taken back.
    assert_eq!(says(&home, &["backup", &folder])["clips"], 8);
    let id = &gone.id[..];
    let words = Path::new(&folder)
        .join("store/clips")
        .join(&id[..2])
        .join(format!("{id}.opus"));
    assert!(!words.exists());
    assert!(hub.stop().success());
}

/// Whether a folder has an entry whose path begins like this.
fn has(folder: &Path, beginning: &[&str]) -> bool {
    let Some((first, rest)) = beginning.split_first() else {
        return true;
    };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| (*first == "*" || entry.file_name() == *first) && has(&entry.path(), rest))
}

#[test]
fn a_backup_that_is_killed_at_any_moment_is_plainly_unfinished_or_leaves_the_one_before() {
    let broker = Broker::open();
    let home = Home::new(broker.port, "");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let hub = Hub::start(&home);
    let booth = Booth::connect(broker.port, BOOTH);
    booth.hub_becomes("online");
    let mut clip_no = 0;
    let mut delivers = |clips: u64| {
        for _ in 0..clips {
            clip_no += 1;
            booth.deliver(&Clip::new(BOOTH, clip_no));
        }
        clip_no
    };
    let mut delivered = delivers(12);
    let moments: [&[&str]; 6] = [
        &["unfinished"],
        &["store", "databases", "*", "hub.sqlite"],
        &["store", "clips", "*", "*"],
        &["short-lived", "*", "envelopes"],
        &["backup.json"],
        &["no such moment"],
    ];
    for is_first in [true, false] {
        for moment in moments {
            let folder = elsewhere
                .path()
                .join(format!("{is_first}-{}", moment.join("-").replace('*', "x")));
            let name = folder.display().to_string();
            let before = (!is_first).then(|| {
                let before = says(&home, &["backup", &name])["clips"].clone();
                delivered = delivers(1);
                before
            });
            let is_there = || has(&folder, moment);
            let was_there = is_there();
            let mut backup = begins(&home, &name);
            let ended = until("the moment", || {
                let ended = backup.try_wait().expect("a child").is_some();
                (ended || was_there || is_there()).then_some(ended)
            });
            let _ = backup.kill();
            backup.wait().expect("it ends");
            let other = Home::new(broker.port, "");
            if !folder.join("backup.json").exists() {
                assert!(is_first && !ended, "{moment:?}");
                let refused = runs(&other, &["restore", &name]);
                let why = String::from_utf8_lossy(&refused.stderr).into_owned();
                assert!(why.contains("holds no whole backup"), "{why}");
                assert!(!store(&other).exists());
            } else {
                let restored = says(&other, &["restore", &name]);
                let clips = &restored["clips"];
                let whole = Value::from(delivered);
                assert!(
                    Some(clips) == before.as_ref() || *clips == whole,
                    "{moment:?}: {clips}"
                );
            }
            // The next one is whole, whatever was left.
            assert_eq!(says(&home, &["backup", &name])["clips"], delivered);
            assert!(!folder.join("unfinished").exists());
        }
    }
    assert!(hub.stop().success());
}
