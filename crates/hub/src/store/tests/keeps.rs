//! Stored clips stay: versions in dispute, lost files, lost and foreign databases, and rebuilding a database.

use super::*;

/// Files in `disputed`, with their content.
fn apart(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let Ok(folder) = fs::read_dir(bench.dir().join("disputed")) else {
        return Vec::new();
    };
    folder
        .map(|entry| {
            let path = entry.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("reads"))
        })
        .collect()
}

fn from(
    bench: &mut Bench,
    sender: &str,
    clip: &Clip,
    bytes: std::ops::Range<usize>,
) -> Option<Ack> {
    let mut last = None;
    for at in bytes.clone().step_by(10_000) {
        let to = (at + 10_000).min(bytes.end);
        let topic = format!("{sender}/part/{}/{at}", clip.id);
        last = bench.send(&topic, &clip.body[at..to]).or(last);
    }
    last
}

fn offer_from(bench: &mut Bench, sender: &str, clip: &Clip) -> Option<Ack> {
    let manifest = clip.manifest.to_string();
    bench.send(&format!("{sender}/clip/{}", clip.id), manifest.as_bytes())
}

#[test]
fn a_version_that_lacked_one_byte_never_replaces_the_clip_that_was_stored_meanwhile() {
    for sender in [BOOTH, "rundhoej-2"] {
        let mut bench = Bench::new();
        let good = clip(CLIP, 1);
        let bad = in_other_words(&good, 100);
        assert_eq!(offer_from(&mut bench, sender, &bad), None);
        from(&mut bench, sender, &bad, 0..39_999);
        assert_eq!(
            status(bench.whole(&good)),
            Some(AckStatus::Stored),
            "{sender}"
        );
        let last = from(&mut bench, sender, &bad, 39_999..40_000);
        assert_ne!(status(last), Some(AckStatus::Stored));
        let ack = offer_from(&mut bench, sender, &bad).expect("an answer");
        assert_eq!(ack.status, AckStatus::Reject);
        from(&mut bench, sender, &bad, 0..40_000);
        assert_eq!(bench.file(&good).as_ref(), Some(&good.body));
        let row: String = bench
            .store
            .db
            .query_row("SELECT sha256 FROM clip", [], |row| row.get(0))
            .expect("one row");
        assert_eq!(row, good.manifest["sha256"]);
        let kept = apart(&bench);
        assert!(
            kept.iter().any(|(_, bytes)| *bytes == bad.body),
            "for an operator"
        );
        assert!(
            kept.iter()
                .any(|(name, _)| name.contains(sender) && name.ends_with(".json"))
        );
        let reasons: Vec<_> = bench
            .fleet()
            .refused
            .into_iter()
            .map(|r| r.reason)
            .collect();
        assert!(
            reasons.iter().any(|why| why.contains("disputed/")),
            "{reasons:?}"
        );
    }
}

#[test]
fn an_offer_without_its_body_never_makes_the_true_clip_a_reject() {
    let good = clip(CLIP, 1);
    for sender in [BOOTH, "rundhoej-2"] {
        for bytes in [20_000, 40_000, 60_000_u64] {
            let mut bench = Bench::new();
            let mut bad = in_other_words(&good, 100);
            bad.manifest["bytes"] = json!(bytes);
            assert_eq!(offer_from(&mut bench, sender, &bad), None);
            from(&mut bench, sender, &bad, 0..10_000);
            bench.offer(&good);
            bench = bench.restart();
            let mut last = None;
            for _ in 0..4 {
                last = bench.offer(&good).or(last);
                last = from(&mut bench, BOOTH, &good, 0..40_000).or(last);
            }
            assert_eq!(status(last), Some(AckStatus::Stored), "{sender} {bytes}");
            assert_eq!(bench.file(&good).as_ref(), Some(&good.body));
        }
    }
}

#[test]
fn what_is_kept_apart_is_bounded_for_each_sender() {
    let mut bench = Bench::new();
    let good = clip(CLIP, 1);
    bench.whole(&good);
    for n in 0..40 {
        let mut bad = clip(CLIP, 1);
        bad.body[n] ^= 1;
        bad.manifest["sha256"] = json!(booth_contract::hex(&Sha256::digest(&bad.body)));
        offer_from(&mut bench, "rundhoej-2", &bad);
        let last = from(&mut bench, "rundhoej-2", &bad, 0..40_000);
        assert_eq!(status(last), Some(AckStatus::Reject));
    }
    assert_eq!(apart(&bench).len(), 32);
    let reasons: Vec<_> = bench
        .fleet()
        .refused
        .into_iter()
        .map(|r| r.reason)
        .collect();
    assert!(
        reasons
            .iter()
            .any(|why| why.contains("room in disputed/ is taken"))
    );
    // Another sender has room.
    let bad = in_other_words(&good, 100);
    offer_from(&mut bench, "rundhoej-3", &bad);
    from(&mut bench, "rundhoej-3", &bad, 0..40_000);
    assert_eq!(apart(&bench).len(), 34);
}

#[test]
fn a_stored_clip_whose_body_is_gone_or_cut_is_asked_for_again_and_named() {
    for is_cut in [false, true] {
        let mut bench = Bench::new();
        let clip = clip(CLIP, 1);
        bench.whole(&clip);
        let path = record::path(
            &bench.dir().join("clips"),
            &CLIP.into(),
            Part::Body(BodyKind::OggOpus),
        );
        match is_cut {
            true => fs::write(&path, &clip.body[..100]).expect("cut"),
            false => fs::remove_file(&path).expect("removed"),
        }
        let checked = check(&bench.dir(), Progress::new("read")).expect("checks");
        assert_eq!(checked.findings.len(), 1, "{checked:?}");
        let ack = bench.offer(&clip).expect("an answer");
        assert_eq!(
            (ack.status, ack.missing),
            (AckStatus::Partial, vec![ByteRange(0, 40_000)])
        );
        let mut bench = bench.restart();
        assert_eq!(
            status(bench.offer(&clip)),
            Some(AckStatus::Partial),
            "still"
        );
        assert_eq!(
            status(from(&mut bench, BOOTH, &clip, 0..40_000)),
            Some(AckStatus::Stored)
        );
        assert_eq!(bench.file(&clip).as_ref(), Some(&clip.body));
        assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
        assert_eq!(
            apart(&bench).len(),
            usize::from(is_cut),
            "nothing is deleted"
        );
        assert!(bench.fleet().refused[0].reason.contains("missing"));
        let checked = check(&bench.dir(), Progress::new("read")).expect("checks");
        assert_eq!(checked.findings, []);
    }
}

#[test]
fn a_manifest_that_is_gone_is_written_again_before_its_clip_is_acknowledged_again() {
    let mut bench = Bench::new();
    let clip = clip(CLIP, 1);
    bench.whole(&clip);
    let path = record::path(&bench.dir().join("clips"), &CLIP.into(), Part::Record);
    let before = record::read(&path).expect("reads").expect("a record");
    assert_eq!(before.manifest, clip.manifest.to_string());
    fs::remove_file(&path).expect("removed");
    let checked = check(&bench.dir(), Progress::new("read")).expect("checks");
    assert_eq!(checked.findings[0].what, "missing_manifest");
    assert_eq!(status(bench.offer(&clip)), Some(AckStatus::Stored));
    assert_eq!(record::read(&path).expect("reads"), Some(before));
}

#[test]
fn a_database_that_is_removed_or_replaced_under_the_hub_ends_it_and_acknowledges_nothing() {
    for (suffix, is_replaced) in [("", false), ("", true), ("-wal", false)] {
        let mut bench = Bench::new();
        bench.whole(&numbered(1));
        let file = identity::beside(&database_in(&bench.dir()), suffix);
        fs::remove_file(&file).expect("removed");
        if is_replaced {
            fs::write(&file, b"").expect("made");
        }
        let clip = numbered(2);
        bench.whole_uncommitted(&clip);
        let error = bench.store.commit().expect_err("nothing may leave");
        assert!(error.is_fatal(), "{error}");
        assert!(error.to_string().contains("booth-hub rebuild"), "{error}");
        let error = bench.store.probe(bench.wall).expect_err("nor later");
        assert!(error.is_fatal(), "{error}");
    }
}

#[test]
fn a_database_that_breaks_under_the_hub_is_read_whole_before_the_next_start_promises_anything() {
    let mut bench = Bench::new();
    for n in 1..=40 {
        bench.whole_uncommitted(&numbered(n));
    }
    bench.store.commit().expect("commits");
    let dir = bench.dir();
    let broken = || {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        StoreError::Database(rusqlite::Error::SqliteFailure(code, None).into())
    };
    assert!(broken().is_fatal());
    bench.store.ends_by(&broken());
    drop(bench.store);
    // The fault was a passing one: the whole database can be read.
    drop(Store::open(&rules(&dir)).expect("opens"));
    let store = Store::open(&rules(&dir)).expect("opens");
    store.ends_by(&broken());
    drop(store);
    let database = database_in(&dir);
    let mut bytes = fs::read(&database).expect("reads");
    let from = bytes.len() / 2;
    bytes[from..from + 40_000].fill(0x5a);
    fs::write(&database, bytes).expect("damaged");
    let error = Store::open(&rules(&dir)).expect_err("broken");
    assert!(error.needs_an_operator(), "{error}");
    assert_eq!(
        rebuild(&dir, Progress::new("read"))
            .expect("rebuilds")
            .clips,
        40
    );
    Store::open(&rules(&dir)).expect("opens");
}

#[test]
fn nothing_begins_anew_beside_clips() {
    let bench = Bench::new();
    let dir = bench.dir();
    let mut bench = bench;
    bench.whole(&numbered(1));
    drop(bench.store);
    let database = database_in(&dir);
    let whole = fs::read(&database).expect("reads");
    let foreign = {
        let other = Bench::new();
        let path = database_in(&other.dir());
        drop(other.store);
        fs::read(path).expect("reads")
    };
    let attempts: [(&str, Option<&[u8]>); 5] = [
        ("missing or empty", None),
        ("missing or empty", Some(b"")),
        ("damaged or no database", Some(&[b'x'; 9_000])),
        ("damaged or no database", Some(&whole[..whole.len() / 2])),
        ("not the database of the clips", Some(&foreign)),
    ];
    for (says, content) in attempts {
        fs::remove_file(&database).expect("removed");
        if let Some(content) = content {
            fs::write(&database, content).expect("written");
        }
        let opened = Store::open(&rules(&dir));
        // Half a database may open; reading from it then fails for good.
        if content.is_some_and(|content| content.len() == whole.len() / 2) && opened.is_ok() {
            drop(opened);
        } else {
            let error = opened.expect_err(says);
            assert!(error.needs_an_operator(), "{error}");
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().contains("booth-hub rebuild"), "{error}");
        }
        if content.is_none() {
            fs::write(&database, b"").expect("left as it was found");
        }
    }
    let rebuilt = rebuild(&dir, Progress::new("read")).expect("rebuilds");
    assert_eq!((rebuilt.clips, rebuilt.lost.len()), (1, 0));
    assert!(rebuilt.before.expect("kept beside").exists());
    Store::open(&rules(&dir)).expect("opens");
}

#[test]
fn a_database_that_is_made_anew_answers_as_the_one_before() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.whole(&numbered(1));
    let mut void = numbered(2);
    void.manifest["kind"] = json!("void");
    void.manifest["bytes"] = json!(0);
    void.manifest["sha256"] = Value::Null;
    bench.offer(&void);
    bench.whole(&numbered(2));
    let choice = choice(3);
    bench.offer(&choice);
    let held = numbered(4);
    offer_from(&mut bench, "rundhoej-2", &held);
    from(&mut bench, "rundhoej-2", &held, 0..40_000);
    let mut accepted = numbered(5);
    accepted.manifest["card_id"] = json!("card-5");
    offer_from(&mut bench, "rundhoej-2", &accepted);
    from(&mut bench, "rundhoej-2", &accepted, 0..40_000);
    accept(
        &bench.dir(),
        bench.wall,
        &Accepted::Clip(accepted.id.clone()),
    )
    .expect("accepts");
    let gone = numbered(6);
    bench.whole(&gone);
    fs::remove_file(record::path(
        &bench.dir().join("clips"),
        &gone.id,
        Part::Body(BodyKind::OggOpus),
    ))
    .expect("removed");
    bench
        .store
        .withdraw(bench.wall, &CLIP.into())
        .expect("withdraws");
    let rows = |bench: &Bench| -> Vec<String> {
        let mut rows = bench
            .store
            .db
            .prepare(
                "SELECT clip_id || sender || received_at || day || kind || held || hex(manifest) FROM kept ORDER BY 1",
            )
            .expect("a query");
        let rows = rows.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    };
    let before = rows(&bench);
    assert_eq!(before.len(), 6);
    for loses_the_database in [false, true] {
        let mut rebuilt = Rebuilt::default();
        bench = bench.while_closed(|dir| {
            if loses_the_database {
                fs::remove_file(database_in(dir)).expect("removed");
            }
            rebuilt = rebuild(dir, Progress::new("read")).expect("rebuilds");
        });
        assert_eq!(rebuilt.is_carried_over, !loses_the_database);
        assert_eq!((rebuilt.clips, rebuilt.held, rebuilt.withdrawn), (6, 1, 1));
        assert_eq!(rebuilt.lost, std::slice::from_ref(&gone.id));
        assert_eq!(rows(&bench), before);
        assert_eq!(
            bench.fleet().booths.len(),
            2,
            "who sent, and who introduced itself"
        );
        let found = check(&bench.dir(), Progress::new("read"))
            .expect("checks")
            .findings;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].what, found[0].clip_id.as_ref()),
            ("missing_body", Some(&gone.id))
        );
    }
    assert_eq!(
        status(bench.offer(&clip(CLIP, 9))),
        Some(AckStatus::Discard)
    );
    assert_eq!(
        status(bench.offer(&gone)),
        Some(AckStatus::Partial),
        "asked for again"
    );
    assert_eq!(status(bench.offer(&numbered(1))), Some(AckStatus::Stored));
}

#[test]
fn a_rebuild_that_was_cut_off_between_its_two_renames_loses_nothing_that_stands_only_in_a_database()
{
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.whole(&numbered(1));
    let dir = bench.dir();
    drop(bench.store);
    rebuild(&dir, Progress::new("read")).expect("rebuilds");
    // A second rebuild, up to the first of its two renames.
    let database = database_in(&dir);
    let before = identity::beside(&database, ".before-2");
    fs::write(identity::beside(&database, ".new"), b"whole or not").expect("written");
    fs::rename(&database, &before).expect("renamed");
    fs::write(identity::beside(&database, "-wal"), b"").expect("written");
    let rebuilt = rebuild(&dir, Progress::new("read")).expect("rebuilds");
    assert!(rebuilt.is_carried_over);
    assert_eq!(rebuilt.before.as_ref(), Some(&before));
    let store = Store::open(&rules(&dir)).expect("opens");
    assert_eq!(store.senders().expect("reads"), [BOOTH]);
}

#[test]
fn a_database_that_root_makes_anew_is_the_hubs_own() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        return; // nobody else can give a file away
    }
    let mut bench = Bench::new();
    bench.whole(&numbered(1));
    let dir = bench.dir();
    drop(bench.store);
    chown(&dir, Some(65_534), Some(65_534)).expect("given away");
    rebuild(&dir, Progress::new("read")).expect("rebuilds");
    let owner = |path: &Path| fs::metadata(path).map(|file| file.uid()).expect("there");
    assert_eq!(owner(&database_in(&dir)), 65_534);
}

#[test]
fn a_hub_that_runs_keeps_its_database() {
    let bench = Bench::new();
    let error = rebuild(&bench.dir(), Progress::new("read")).expect_err("in use");
    assert!(error.to_string().contains("another booth-hub"), "{error}");
}

#[test]
fn a_store_of_the_version_before_gets_a_manifest_beside_every_clip() {
    let mut bench = Bench::new();
    for n in 1..=3 {
        bench.whole(&numbered(n));
    }
    bench
        .store
        .withdraw(bench.wall, &CLIP.into())
        .expect("withdraws");
    bench
        .store
        .db
        .execute("UPDATE store SET has_records = 0", [])
        .expect("as before");
    let clips = bench.dir().join("clips");
    for file in record::all(&clips).map(|file| file.expect("reads")) {
        if !matches!(record::named(&file), Some((_, Part::Body(_)))) {
            fs::remove_file(file).expect("removed");
        }
    }
    fs::remove_file(clips.join(".store")).expect("removed");
    let found = check(&bench.dir(), Progress::new("read"))
        .expect("checks")
        .findings;
    assert_eq!(found.len(), 4, "{found:?}");
    let bench = bench.restart();
    let found = check(&bench.dir(), Progress::new("read"))
        .expect("checks")
        .findings;
    assert_eq!(found, []);
}

#[test]
fn a_check_names_everything_that_is_not_as_it_should_be() {
    let mut bench = Bench::new();
    for n in 1..=5 {
        bench.whole(&numbered(n));
    }
    bench
        .store
        .withdraw(bench.wall, &CLIP.into())
        .expect("withdraws");
    let clips = bench.dir().join("clips");
    let path = |n: u64, part| record::path(&clips, &numbered(n).id, part);
    let body = Part::Body(BodyKind::OggOpus);
    let mut damaged = numbered(1).body;
    damaged[5] ^= 1;
    fs::write(path(1, body), damaged).expect("damaged");
    fs::write(path(2, Part::Record), b"{").expect("torn");
    bench
        .store
        .db
        .execute("DELETE FROM kept WHERE clip_no = 3", [])
        .expect("lost");
    fs::write(path(4, Part::Body(BodyKind::SealedOggOpus)), b"x").expect("written");
    fs::write(path(7, body), b"x").expect("written");
    fs::write(path(7, body).with_file_name("notes.txt"), b"x").expect("written");
    fs::remove_file(record::path(&clips, &CLIP.into(), Part::Withdrawn)).expect("removed");
    fs::write(path(8, Part::Withdrawn), b"x").expect("written");
    let dir = bench.dir();
    let names = || -> Vec<&'static str> {
        let checked = check(&dir, Progress::new("read")).expect("checks");
        let mut names: Vec<_> = checked.findings.iter().map(|found| found.what).collect();
        names.sort_unstable();
        names
    };
    // A young file may be on its way while a hub has the store.
    let of_rows = ["different_body", "missing_manifest", "missing_mark"];
    assert_eq!(names(), of_rows);
    let before = fs::metadata(path(1, body))
        .and_then(|file| file.modified())
        .expect("a time");
    drop(bench.store);
    let all = [
        "different_body",
        "extra_body",
        "extra_body",
        "missing_manifest",
        "missing_mark",
        "not_in_database",
        "not_in_database",
        "unknown",
    ];
    assert_eq!(names(), all);
    let after = fs::metadata(path(1, body))
        .and_then(|file| file.modified())
        .expect("a time");
    assert_eq!(before, after);
}

#[test]
fn a_hub_below_its_reserve_takes_nothing_and_comes_back_by_itself() {
    let mut bench = Bench::new();
    bench.store = bench.store.keeping_free(u64::MAX / 4);
    let message = Message {
        topic: format!("booth/1/up/{BOOTH}/part/{CLIP}/0"),
        payload: vec![1; 10_000],
        retained: false,
        expiry_s: None,
    };
    let error = bench
        .store
        .handle(bench.wall, bench.mono, &message)
        .expect_err("no room");
    assert!(error.to_string().contains("reserve_bytes"), "{error}");
    assert!(!error.is_fatal() && !error.needs_an_operator());
    bench.store.roll_back();
    assert!(bench.store.probe(bench.wall).is_err());
    bench.store.roll_back();
    bench.store = bench.store.keeping_free(0);
    bench.store.probe(bench.wall).expect("there is room");
    assert_eq!(status(bench.whole(&clip(CLIP, 1))), Some(AckStatus::Stored));
}
