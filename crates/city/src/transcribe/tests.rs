//! Drafts over the database, with commands that work, hang and answer rubbish.
#![allow(clippy::disallowed_methods)] // looks for the recogniser

use std::sync::Arc;

use super::*;
use crate::config::CityConfig;
use crate::testing::{FakeCentre, city_with, spoken};

fn with(command: &[&str], seconds: u64) -> (Arc<City>, Arc<FakeCentre>, tempfile::TempDir) {
    let mut config = CityConfig::default();
    config.transcribe.command = command.iter().map(|word| (*word).to_owned()).collect();
    config.transcribe.seconds = seconds;
    let (city, centre, folder) = city_with(config);
    {
        let mut have = centre.have();
        have.arrived.push(spoken("a"));
        have.sounds.insert("a".into(), b"sound".to_vec());
    }
    city.follow(false).expect("taken over");
    (city, centre, folder)
}

fn drafts(city: &City) -> Vec<(String, String, Option<String>, bool)> {
    let found = city.store.read(|db| {
        let mut statement = db.prepare(
            "SELECT message_id, text, flagged, likely_empty FROM draft ORDER BY message_id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.collect()
    });
    found.expect("drafts")
}

fn alarms(city: &City) -> Vec<(String, String)> {
    let found = city.store.read(|db| {
        let mut statement = db.prepare("SELECT message_id, by FROM alarm ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    });
    found.expect("alarms")
}

const SAYS: &str = r#"printf '{"language":"%s","segments":[{"start":0,"end":2,"text":"%s"}],"model":"test"}\n' "$2" "$3""#;

fn saying(text: &str) -> Vec<&str> {
    vec!["/bin/sh", "-c", SAYS, "hook", "{file}", "{language}", text]
}

#[test]
fn what_arrives_gets_a_draft_and_is_done_once() {
    let (city, _, _folder) = with(&saying("Flere bænke"), 60);
    let now = clock::wall();
    assert!(step(&city, now).expect("a store"));
    assert_eq!(
        drafts(&city),
        [("a".into(), "Flere bænke".into(), None, false)]
    );
    assert!(!step(&city, now).expect("a store"));
    assert_eq!(alarms(&city), []);
}

#[test]
fn a_word_of_the_list_calls_for_help_on_arrival_in_spoken_and_in_written_messages() {
    let (city, centre, _folder) = with(&saying("jeg tænker på SELVMORD"), 60);
    let mut written = spoken("b");
    written.kind = crate::centre::Kind::Written;
    centre.have().arrived.push(written);
    centre
        .have()
        .texts
        .insert("b".into(), "Han slår mig.".into());
    city.follow(false).expect("taken over");
    let now = clock::wall();
    while step(&city, now).expect("a store") {}
    let found = drafts(&city);
    assert_eq!(found[0].2.as_deref(), Some("selvmord"));
    // The words of a written message are not kept a second time.
    assert_eq!(
        (found[1].1.as_str(), found[1].2.as_deref()),
        ("", Some("han slår mig"))
    );
    let mut told = alarms(&city);
    told.sort();
    assert_eq!(
        told,
        [
            ("a".into(), "word list".into()),
            ("b".into(), "word list".into())
        ]
    );
}

#[test]
fn a_command_that_hangs_crashes_or_answers_rubbish_is_said_and_tried_again_with_growing_pauses() {
    for script in ["sleep 100", "exit 1", "echo rubbish"] {
        let (city, _, _folder) = with(&["/bin/sh", "-c", script, "hook", "{file}"], 1);
        let mut now = clock::wall();
        for (tries, pause) in (1..).zip([0, 1, 5, 30, 120, 360]) {
            now += SignedDuration::from_mins(pause) + SignedDuration::from_mins(11);
            assert!(step(&city, now).expect("a store"), "{script}: try {tries}");
            assert!(city.recogniser.fault().is_some());
            assert!(!step(&city, now).expect("a store"), "{script}: not at once");
            let noted: i64 = city
                .store
                .read(|db| db.query_row("SELECT tries FROM draft_due", [], |row| row.get(0)))
                .expect("noted");
            assert_eq!(noted, tries);
        }
        // Nothing shows that it is the message: the command may be broken for everybody.
        now += SignedDuration::from_hours(7);
        assert!(step(&city, now).expect("a store"), "{script}: once more");
        // It works for another one, and not for this one.
        city.recogniser.succeeded();
        now += SignedDuration::from_hours(7);
        assert!(step(&city, now).expect("a store"), "{script}: the last try");
        let late = now + SignedDuration::from_hours(24 * 365);
        assert!(
            !step(&city, late).expect("a store"),
            "{script}: it is given up"
        );
        let why = city.store.read(|db| why_none(db, "a")).expect("a store");
        assert!(why.is_some_and(|why| !why.is_empty()));
        assert_eq!(drafts(&city), []);
    }
}

#[test]
fn a_command_that_is_missing_costs_no_message_its_tries() {
    let (city, _, _folder) = with(&["/no/such/command", "{file}"], 60);
    let mut now = clock::wall();
    for _ in 0..20 {
        now += SignedDuration::from_mins(11);
        assert!(step(&city, now).expect("a store"));
    }
    assert!(
        city.recogniser
            .fault()
            .is_some_and(|why| why.contains("/no/such/command"))
    );
    let tries: i64 = city
        .store
        .read(|db| db.query_row("SELECT tries FROM draft_due", [], |row| row.get(0)))
        .expect("it waits");
    assert_eq!(tries, 0);
}

#[test]
fn a_sealed_hub_makes_no_drafts_and_says_why() {
    let (city, centre, _folder) = with(&saying("x"), 60);
    centre.have().refuses = Some(CentreError::Sealed);
    let now = clock::wall();
    step(&city, now).expect("a store");
    assert!(!step(&city, now).expect("a store"), "it rests");
    assert!(
        city.recogniser
            .fault()
            .is_some_and(|why| why.contains("sealed"))
    );
    centre.have().refuses = None;
    assert!(step(&city, now + SignedDuration::from_mins(31)).expect("a store"));
    assert_eq!(drafts(&city).len(), 1);
}

/// When a message is looked at next, and how often it was tried.
fn due_of(city: &City, id: &str) -> (String, i64) {
    let asked = "SELECT next_at, tries FROM draft_due WHERE message_id = ?1";
    let found = city
        .store
        .read(|db| db.query_row(asked, [id], |row| Ok((row.get(0)?, row.get(1)?))));
    found.expect("it waits")
}

#[test]
fn a_message_that_is_sealed_to_another_key_is_put_aside_and_holds_up_no_other() {
    let (city, centre, _folder) = with(&saying("x"), 60);
    let mut newest = spoken("b");
    newest.received_at += SignedDuration::from_hours(1);
    let mut written = spoken("c");
    written.kind = crate::centre::Kind::Written;
    centre.have().arrived.extend([newest, written]);
    centre.have().sealed.insert("b".into());
    city.follow(false).expect("taken over");
    centre.have().refuses = Some(CentreError::Sealed);
    let mut now = clock::wall();
    for _ in 0..20 {
        assert!(step(&city, now).expect("a store"), "the written one");
        assert!(step(&city, now).expect("a store"), "the newest one");
        centre.have().refuses = None;
        if drafts(&city).is_empty() {
            assert!(step(&city, now).expect("a store"), "and the other at once");
        }
        assert!(!step(&city, now).expect("a store"));
        centre.have().refuses = Some(CentreError::Sealed);
        now += SignedDuration::from_mins(31);
    }
    let found = drafts(&city);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "a");
    for id in ["b", "c"] {
        assert_eq!(due_of(&city, id).1, 0, "{id}: it costs no try");
        let why = city.store.read(|db| why_none(db, id)).expect("a store");
        assert!(why.is_some_and(|why| why.contains("sealed")), "{id}");
    }
}

#[test]
fn a_hub_without_the_key_puts_one_message_aside_a_minute_and_not_all_at_once() {
    let (city, centre, _folder) = with(&saying("x"), 60);
    for number in 0..20 {
        centre
            .have()
            .arrived
            .push(spoken(&format!("more-{number}")));
    }
    city.follow(false).expect("taken over");
    centre.have().refuses = Some(CentreError::Sealed);
    let mut now = clock::wall();
    let mut steps = 0;
    while step(&city, now).expect("a store") {
        steps += 1;
    }
    assert_eq!(steps, MANY_SEALED);
    now += PAUSE_OF_ALL_WHERE_SEALED;
    assert!(step(&city, now).expect("a store"));
    assert!(!step(&city, now).expect("a store"));
}

#[test]
fn what_was_never_tried_goes_first_the_newest_before_all_and_what_was_put_aside_by_its_time() {
    let (city, centre, _folder) = with(&saying("x"), 60);
    for id in ["b", "c", "d"] {
        centre.have().arrived.push(spoken(id));
        centre.have().sounds.insert(id.into(), b"sound".to_vec());
    }
    city.follow(false).expect("taken over");
    let now = clock::wall();
    let before = |minutes| rfc3339(now - SignedDuration::from_mins(minutes));
    let all = [
        ("a", before(1), Some("broken")),
        ("b", before(30), None),
        ("c", before(20), None),
        ("d", before(10), Some("broken")),
    ];
    city.store
        .change_quietly(|tx| {
            for (id, next_at, why) in &all {
                tx.execute(
                    "UPDATE draft_due SET next_at = ?2, why = ?3 WHERE message_id = ?1",
                    params![id, next_at, why],
                )?;
            }
            Ok(())
        })
        .expect("written");
    let mut order = Vec::new();
    while let Some(due) = city
        .store
        .read(|db| next_due(db, now, true))
        .expect("a store")
    {
        city.store
            .change_quietly(|tx| Ok(done(tx, &due.id)?))
            .expect("done");
        order.push(due.id);
    }
    assert_eq!(order, ["c", "b", "d", "a"]);
}

#[test]
fn what_was_decided_or_withdrawn_meanwhile_gets_no_draft() {
    let (city, centre, _folder) = with(&saying("x"), 60);
    centre.have().arrived.push(spoken("b"));
    centre.have().sounds.insert("b".into(), b"sound".to_vec());
    city.follow(false).expect("taken over");
    city.store
        .change_quietly(|tx| {
            tx.execute("UPDATE message SET state = 'heard' WHERE id = 'a'", [])?;
            Ok(())
        })
        .expect("decided");
    centre.have().gone.push("b".to_owned().into());
    city.follow(false).expect("let go");
    while step(&city, clock::wall()).expect("a store") {}
    assert_eq!(drafts(&city), []);
    let due: i64 = city
        .store
        .read(|db| db.query_row("SELECT count(*) FROM draft_due", [], |row| row.get(0)))
        .expect("a number");
    assert_eq!(due, 0);
}

#[test]
fn votes_are_looked_at_by_no_machine() {
    let (city, centre, _folder) = with(&saying("x"), 60);
    let mut vote = spoken("v");
    vote.kind = crate::centre::Kind::Vote;
    centre.have().arrived.push(vote);
    city.follow(false).expect("taken over");
    while step(&city, clock::wall()).expect("a store") {}
    assert_eq!(drafts(&city).len(), 1);
}

fn repository() -> &'static std::path::Path {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).expect("crates, repository")
}

fn is_installed(program: &str) -> bool {
    let asked = std::process::Command::new(program).arg("-version").output();
    asked.is_ok()
}

/// What the hook of this command makes of a fixture's speech, with everything between them.
fn drafted(command: &[&str], language: &str) -> Vec<(String, String, Option<String>, bool)> {
    let (city, centre, _folder) = with(command, 3_600);
    let fixture = format!("tests/fixtures/speech/{language}.opus");
    let sound = std::fs::read(repository().join(fixture)).expect("the fixture");
    centre.have().sounds.insert("a".into(), sound);
    city.store
        .change_quietly(|tx| {
            tx.execute("UPDATE message SET lang = ?1", [language])?;
            Ok(())
        })
        .expect("written");
    step(&city, clock::wall()).expect("a store");
    assert_eq!(city.recogniser.fault(), None);
    drafts(&city)
}

#[test]
fn a_small_recogniser_drafts_what_is_said_through_the_whole_pipe() {
    let python = repository().join("target/sphinx/bin/python");
    if !python.exists() || !is_installed("ffmpeg") {
        booth_host::complain!(
            "!! a small recogniser: NOT RUN. python3 -m venv target/sphinx && target/sphinx/bin/pip install pocketsphinx==5.1.1; apt install ffmpeg"
        );
        return;
    }
    let hook = repository().join("docs/draft_pocketsphinx.py");
    let (python, hook) = (python.display().to_string(), hook.display().to_string());
    let found = drafted(&[&python, &hook, "{file}", "{language}"], "en");
    let [(_, text, None, false)] = found.as_slice() else {
        panic!("{found:?}");
    };
    // Most words are right, as far as this recogniser goes.
    assert!(text.contains("people can sit"), "{text}");
}

#[test]
fn the_hook_for_whisper_cpp_reads_what_its_command_line_answers() {
    if !is_installed("ffmpeg") || !is_installed("python3") {
        booth_host::complain!("!! the hook for whisper.cpp: NOT RUN: apt install ffmpeg python3");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // In its place: a program with the same options, that looks at the sound and answers in the same shape.
    let stand_in = folder.path().join("whisper-cli");
    let script = "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in -of) out=$2;; -l) lang=$2;; -f) wav=$2;; esac; shift; done\n\
        [ $(wc -c < $wav) -gt 100000 ] || exit 9\n\
        printf '{\"result\":{\"language\":\"%s\"},\"transcription\":[{\"offsets\":{\"from\":0,\"to\":2500},\"text\":\" Flere b\\303\\246nke\"},\
        {\"offsets\":{\"from\":2500,\"to\":4000},\"text\":\" [BLANK_AUDIO]\"}]}' $lang > $out.json\n";
    std::fs::write(&stand_in, script).expect("written");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&stand_in, mode).expect("it runs");
    let hook = repository().join("docs/draft_whisper_cpp.py");
    let (hook, stand_in) = (hook.display().to_string(), stand_in.display().to_string());
    let command = [
        "python3",
        &hook,
        "{file}",
        "{language}",
        "/models/ggml-x.bin",
        &stand_in,
    ];
    let found = drafted(&command, "da");
    assert_eq!(
        found,
        [("a".to_owned(), "Flere bænke".to_owned(), None, false)]
    );
    let left = std::fs::read_dir("/dev/shm").expect("a folder").flatten();
    let left = left.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("booth-whisper-")
    });
    assert_eq!(left.count(), 0);
}
