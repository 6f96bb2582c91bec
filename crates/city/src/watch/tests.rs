//! The watch over its database and its page: what becomes an alert, who is told, and what people do about it.
//! Longer than 500 lines: one scene, and a test per promise.

use std::sync::Arc;

use axum::http::StatusCode;

use super::*;
use crate::alarm::tests::{PATIENCE, mail_server};
use crate::alarm::{AlarmConfig, Way};
use crate::centre::BoothNow;
use crate::config::CityConfig;
use crate::people::Role;
use crate::testing::{FakeCentre, Seat, city_with, seated};

fn sighting(subject: &str, kind: &str, severity: Severity) -> Sighting {
    Sighting {
        subject: subject.into(),
        kind: kind.into(),
        severity,
        text: "said in English".into(),
        since: None,
        number: 3,
    }
}

/// A city in which one person is on duty, behind a webhook that nobody answers.
fn scene() -> (Arc<City>, Arc<FakeCentre>, tempfile::TempDir) {
    let mut config = CityConfig::default();
    config.watch.duty = vec![Duty {
        name: "duty".into(),
        webhook: Some("http://127.0.0.1:1/".into()),
        ..Duty::default()
    }];
    let (city, centre, folder) = city_with(config);
    let booth = |id: &str| BoothNow {
        id: id.into(),
        name: format!("Booth {id}"),
        is_ready: true,
        today: Default::default(),
        said_at: None,
    };
    centre.have().booths = vec![booth("a-1"), booth("b-2")];
    (city, centre, folder)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).expect("a time")
}

/// What is open and raised, what is over, and the notices (over or not, sent or not).
fn state(city: &City) -> (Vec<String>, Vec<String>, Vec<(bool, bool)>) {
    let read = city.store.read(|db| {
        let list = |sql: &str| -> booth_database::Result<Vec<String>> {
            let mut statement = db.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let open = list("SELECT subject || ' ' || kind FROM watch WHERE over_at IS NULL AND raised_at IS NOT NULL ORDER BY 1")?;
        let over = list("SELECT subject || ' ' || kind FROM watch WHERE over_at IS NOT NULL ORDER BY 1")?;
        let mut statement = db.prepare("SELECT is_over, sent_at IS NOT NULL FROM watch_notice ORDER BY 1, 2")?;
        let notices = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((open, over, notices.collect::<booth_database::Result<_>>()?))
    });
    read.expect("a database")
}

/// As if what is due had been sent.
fn sent(city: &City) {
    let sql = "UPDATE watch_notice SET sent_at = made_at WHERE sent_at IS NULL";
    let done = city
        .store
        .change_quietly(|tx| Ok(tx.execute(sql, []).map(drop)?));
    done.expect("written");
}

#[test]
fn what_comes_and_goes_by_itself_is_no_alert_and_what_stays_is_told_once_and_once_that_it_is_over()
{
    let (city, centre, _folder) = scene();
    let silent = sighting("a-1", "silent", Severity::CitizenCannotSpeak);
    centre.have().sightings = vec![silent.clone()];
    city.watch(at(0)).expect("looked");
    centre.have().sightings.clear();
    city.watch(at(20)).expect("looked");
    city.watch(at(141)).expect("looked");
    assert_eq!(
        state(&city),
        (vec![], vec![], vec![]),
        "it was away for 20 s"
    );
    centre.have().sightings = vec![silent];
    for second in (200..=320).step_by(20) {
        city.watch(at(second)).expect("looked");
    }
    assert_eq!(state(&city).0, ["a-1 silent"]);
    for second in (340..2_000).step_by(20) {
        city.watch(at(second)).expect("looked");
    }
    assert_eq!(
        state(&city).2,
        [(false, false)],
        "one notice, however often it is seen"
    );
    sent(&city);
    // It flickers: that is no end.
    centre.have().sightings.clear();
    city.watch(at(2_000)).expect("looked");
    centre.have().sightings = vec![sighting("a-1", "silent", Severity::CitizenCannotSpeak)];
    city.watch(at(2_020)).expect("looked");
    assert_eq!(state(&city).0, ["a-1 silent"]);
    centre.have().sightings.clear();
    for second in [2_040, 2_060, 2_200, 2_220, 9_000] {
        city.watch(at(second)).expect("looked");
    }
    let (open, over, notices) = state(&city);
    assert_eq!((open, over), (vec![], vec!["a-1 silent".to_owned()]));
    assert_eq!(
        notices,
        [(false, true), (true, false)],
        "one word that it is over"
    );
}

/// One look by each way.
fn tell_all(city: &City, now: Timestamp) -> Result<(), CityError> {
    let mailed = tell::tell_due(city, now, Way::Mail);
    tell::tell_due(city, now, Way::Webhook).and(mailed)
}

#[test]
fn what_was_over_before_it_was_told_is_told_to_nobody_and_what_was_told_meanwhile_is_told_to_be_over()
 {
    let (city, centre, _folder) = scene();
    centre.have().sightings = vec![sighting("a-1", "power", Severity::NeedsVisit)];
    city.watch(at(0)).expect("looked");
    assert_eq!(state(&city).2, [(false, false)]);
    // The other side does not answer: it is tried again later, and the fault is kept.
    tell_all(&city, at(1)).expect("tried");
    let fault: String = city
        .store
        .read(|db| {
            db.query_row(
                "SELECT fault FROM watch_notice WHERE tries = 1 AND next_at > made_at",
                [],
                |row| row.get(0),
            )
        })
        .expect("a fault");
    assert!(!fault.is_empty());
    centre.have().sightings.clear();
    city.watch(at(20)).expect("looked");
    city.watch(at(200)).expect("looked");
    assert_eq!(state(&city).2, []);
}

#[test]
fn what_comes_and_goes_all_day_is_over_later_each_time() {
    let (city, centre, _folder) = scene();
    let power = sighting("a-1", "power", Severity::NeedsVisit);
    // Seen each six minutes, for an hour.
    for second in (0..3_600).step_by(120) {
        let seen = (second % 360 == 0).then(|| power.clone());
        centre.have().sightings = seen.into_iter().collect();
        city.watch(at(second)).expect("looked");
    }
    let (open, over, _) = state(&city);
    assert_eq!(
        (open.len(), over.len()),
        (1, 1),
        "two minutes without it are an end once, and not a second time on that day"
    );
    // It is well at last: four minutes later that is told.
    centre.have().sightings.clear();
    for second in [3_600, 3_720, 3_850] {
        city.watch(at(second)).expect("looked");
    }
    assert_eq!(state(&city).0, Vec::<String>::new());
}

#[test]
fn of_one_booth_so_many_alerts_that_are_over_are_kept_and_of_the_others_all() {
    let (city, centre, _folder) = scene();
    let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 700)
       INSERT INTO watch (subject, kind, severity, text, number, first_seen, raised_at, over_at)
       SELECT CASE WHEN n <= 3 THEN 'b-2' ELSE 'a-1' END, 'power', '2 needs_visit', '', 0, ?1, ?1, ?1 FROM n";
    let before = booth_contract::time::rfc3339(at(-60));
    let filled = city
        .store
        .change_quietly(|tx| Ok(tx.execute(sql, [before]).map(drop)?));
    filled.expect("written");
    centre.have().sightings = vec![sighting("a-1", "case_open", Severity::Watch)];
    city.watch(at(0)).expect("looked");
    centre.have().sightings.clear();
    city.watch(at(20)).expect("looked");
    city.watch(at(150)).expect("looked");
    let over = state(&city).1;
    let of = |booth: &str| over.iter().filter(|one| one.starts_with(booth)).count();
    assert_eq!((of("a-1"), of("b-2")), (500, 3));
    assert!(over.contains(&"a-1 case_open".to_owned()), "the latest");
}

#[test]
fn after_the_quiet_hours_the_first_is_told_first_and_the_others_when_he_does_not_take_it_on() {
    let duty = |name: &str| Duty {
        name: name.into(),
        webhook: Some("http://127.0.0.1:1/".into()),
        ..Duty::default()
    };
    let mut config = CityConfig::default();
    config.watch.duty = vec![duty("first"), duty("second"), duty("third")];
    config.watch.quiet = Some("22:00-07:00".into());
    let (city, centre, _folder) = city_with(config);
    let told = || -> Vec<String> {
        let read = city.store.read(|db| {
            let mut statement = db.prepare("SELECT duty FROM watch_notice ORDER BY duty")?;
            statement.query_map([], |row| row.get(0))?.collect()
        });
        read.expect("a database")
    };
    centre.have().sightings = vec![sighting("a-1", "power", Severity::NeedsVisit)];
    let local = |time: &str| -> Timestamp {
        let time: jiff::civil::DateTime = time.parse().expect("a time");
        let zoned = time.to_zoned_datetime(city.zone.clone());
        zoned.expect("is there").timestamp()
    };
    city.watch(local("2026-03-05T23:00")).expect("looked");
    assert_eq!(told(), Vec::<String>::new());
    city.watch(local("2026-03-06T07:00")).expect("looked");
    assert_eq!(
        told(),
        ["first"],
        "it waited for eight hours, and he did not"
    );
    city.watch(local("2026-03-06T07:29")).expect("looked");
    assert_eq!(told(), ["first"]);
    city.watch(local("2026-03-06T07:30")).expect("looked");
    assert_eq!(told(), ["first", "second"]);
    // It is put off for a while: then again one after the other.
    let put_off = "UPDATE watch SET snoozed_until = ?1";
    let until = booth_contract::time::rfc3339(local("2026-03-06T12:00"));
    let done = city
        .store
        .change_quietly(|tx| Ok(tx.execute(put_off, [until]).map(drop)?));
    done.expect("written");
    city.watch(local("2026-03-06T12:00")).expect("looked");
    assert_eq!(told(), ["first", "second"]);
    city.watch(local("2026-03-06T13:00")).expect("looked");
    assert_eq!(told(), ["first", "second", "third"]);
}

#[test]
fn many_booths_have_their_turn_one_part_after_the_other() {
    let (city, centre, _folder) = scene();
    let ready = |n: usize| BoothNow {
        id: format!("b-{n:03}"),
        name: String::new(),
        is_ready: true,
        today: Default::default(),
        said_at: None,
    };
    centre.have().booths = (0..QUIET_AT_ONCE + 50).map(ready).collect();
    let looked = |second: i64| -> Vec<i64> {
        city.watch(at(second)).expect("looked");
        let quiet = city.looks.quiet.lock().expect("looks");
        let since = |(at, _): &(Timestamp, Option<Sighting>)| at.as_second() - 1_790_000_000;
        quiet.values().map(since).collect()
    };
    assert_eq!(looked(0), vec![0; QUIET_AT_ONCE]);
    let both = [vec![0; QUIET_AT_ONCE], vec![20; 50]].concat();
    assert_eq!(looked(20), both);
    assert_eq!(looked(599), both, "each has its turn once in ten minutes");
    assert_eq!(looked(600)[0], 600);
    centre.have().booths.truncate(1);
    assert_eq!(looked(620), [600]);
}

#[test]
fn a_silence_of_weeks_does_not_become_what_is_usual() {
    let (city, _, _folder) = scene();
    let from: Timestamp = "2026-03-02T00:00:00Z".parse().expect("a time");
    // Two lifts in each hour of the day for three weeks, and then nobody.
    let filled = city.store.change_quietly(|tx| {
        let mut row = tx.prepare(
            "INSERT INTO ready_hour (booth_id, hour, minutes, lifts) VALUES ('a-1', ?1, ?2, ?3)",
        )?;
        for n in 0..24 * 90 {
            let hour = booth_contract::time::rfc3339(from + SignedDuration::from_hours(n));
            let is_lifted = n < 24 * 21 && (8..20).contains(&(n % 24));
            let lifts = i64::from(is_lifted) * 2;
            row.execute(booth_database::params![hour, (1_i64 << 60) - 1, lifts])?;
        }
        Ok(())
    });
    filled.expect("written");
    for days in [23, 60, 89] {
        let now = from + SignedDuration::from_hours(24 * days);
        let booths = ["a-1".to_owned()];
        let found = city
            .store
            .read(|db| quiet::too_quiet(db, &city.zone, now, &booths));
        assert_eq!(found.expect("read").len(), 1, "day {days}");
    }
}

#[test]
fn a_further_loss_is_told_although_the_first_was_taken_on() {
    let (city, centre, _folder) = scene();
    let gaps = |number| Sighting {
        number,
        ..sighting("a-1", "gaps", Severity::NeedsVisit)
    };
    centre.have().sightings = vec![gaps(2)];
    city.watch(at(0)).expect("looked");
    city.watch(at(1_800)).expect("looked");
    assert_eq!(state(&city).2, [(false, false)]);
    sent(&city);
    let taken = city.store.change_quietly(|tx| {
        let sql = "UPDATE watch SET taken_by = 'olga', taken_at = first_seen";
        Ok(tx.execute(sql, []).map(drop)?)
    });
    taken.expect("written");
    city.watch(at(1_820)).expect("looked");
    assert_eq!(state(&city).2, [(false, true)], "nothing is new");
    centre.have().sightings = vec![gaps(3)];
    city.watch(at(1_840)).expect("looked");
    assert_eq!(state(&city).2, [(false, true)], "that is the same loss");
    centre.have().sightings = vec![gaps(5)];
    city.watch(at(5_500)).expect("looked");
    assert_eq!(state(&city).2, [(false, false)], "two more are lost");
    sent(&city);
    // Some of them came after all.
    centre.have().sightings = vec![gaps(4)];
    city.watch(at(9_900)).expect("looked");
    assert_eq!(state(&city).2, [(false, true)]);
}

#[test]
fn a_word_that_it_is_over_is_given_up_after_a_day() {
    let (city, centre, _folder) = scene();
    let stays = sighting("b-2", "power", Severity::NeedsVisit);
    centre.have().sightings = vec![
        stays.clone(),
        sighting("a-1", "power", Severity::NeedsVisit),
    ];
    city.watch(at(0)).expect("looked");
    sent(&city);
    centre.have().sightings = vec![stays];
    city.watch(at(20)).expect("looked");
    city.watch(at(200)).expect("looked");
    let ends = |city: &City| state(city).2.iter().filter(|(is_over, _)| *is_over).count();
    assert_eq!(ends(&city), 1);
    // Nobody takes it for more than a day.
    for hours in [12, 25, 26, 50] {
        city.watch(at(hours * 3_600)).expect("looked");
    }
    assert_eq!(ends(&city), 0);
}

#[test]
fn what_was_told_and_could_not_be_written_down_waits() {
    let (city, centre, _folder) = scene();
    centre.have().sightings = vec![sighting("a-1", "power", Severity::NeedsVisit)];
    city.watch(at(0)).expect("looked");
    let full = Err(CityError::Failed("the disk is full".into()));
    let now = clock::mono();
    let noted = city.unnoted.noted(now, "watch duty webhook", true, full);
    assert!(noted.is_err());
    let tries = |city: &City| -> i64 {
        let sql = "SELECT tries FROM watch_notice";
        let read = city
            .store
            .read(|db| db.query_row(sql, [], |row| row.get(0)));
        read.expect("a notice")
    };
    tell_all(&city, at(1)).expect("nothing is to be told");
    assert_eq!(tries(&city), 0);
    let noted = city.unnoted.noted(now, "watch duty webhook", true, Ok(()));
    noted.expect("noted");
    tell_all(&city, at(1)).expect("tried");
    assert_eq!(tries(&city), 1);
}

#[test]
fn what_is_wrong_is_seen_also_where_nothing_that_arrives_can_be_taken_over() {
    let (city, centre, _folder) = scene();
    let broken = city
        .store
        .change_quietly(|tx| Ok(tx.execute_batch("DROP TABLE mark")?));
    broken.expect("dropped");
    centre.have().sightings = vec![sighting("", "disk", Severity::CitizenCannotSpeak)];
    assert!(city.look_around(at(0), true).is_err());
    assert_eq!(state(&city).0, [" disk"]);
}

#[test]
fn what_a_booth_raised_before_it_fell_silent_is_not_over() {
    let (city, centre, _folder) = scene();
    let power = sighting("a-1", "power", Severity::NeedsVisit);
    let silent = sighting("a-1", "silent", Severity::CitizenCannotSpeak);
    let broker = sighting("", "broker", Severity::CitizenCannotSpeak);
    centre.have().sightings = vec![power];
    city.watch(at(0)).expect("looked");
    let stays = |city: &City, from: i64| {
        for second in (from..from + 1_000).step_by(20) {
            city.watch(at(second)).expect("looked");
        }
        assert!(state(city).0.contains(&"a-1 power".to_owned()));
    };
    for (n, unknown) in [silent, broker].into_iter().enumerate() {
        centre.have().sightings = vec![unknown];
        stays(&city, 1_000 * (n as i64 + 1));
    }
    centre.have().sightings.clear();
    for second in [4_000, 4_200] {
        city.watch(at(second)).expect("looked");
    }
    assert_eq!(state(&city).0, Vec::<String>::new());
}

#[test]
fn whoever_is_on_duty_gets_one_mail_of_all_that_is_new_and_one_that_it_is_over() {
    let (smtp, mails) = mail_server();
    let mut config = CityConfig {
        offers: vec!["en".into()],
        ..CityConfig::default()
    };
    config.alarm.smtp = Some(smtp);
    config.alarm.from = "booths@city.example".into();
    config.alarm.desk = "https://desk.example/".into();
    config.watch.duty = vec![Duty {
        name: "duty".into(),
        mail: Some("duty@city.example".into()),
        ..Duty::default()
    }];
    let (city, centre, _folder) = city_with(config);
    centre.have().sightings = vec![
        sighting("a-1", "power", Severity::NeedsVisit),
        sighting("", "disk", Severity::CitizenCannotSpeak),
    ];
    city.watch(at(0)).expect("looked");
    tell_all(&city, at(1)).expect("told");
    let (to, mail) = mails.recv_timeout(PATIENCE).expect("a mail");
    assert!(to.contains("<duty@city.example>"), "{to}");
    let mail = unfolded(&mail);
    for part in [
        "Subject: ",
        "a-1: The supply",
        "no room on the disk",
        "3 MiB left",
        "https://desk.example/watch",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    tell_all(&city, at(2)).expect("told");
    assert!(mails.try_recv().is_err(), "once");
    centre.have().sightings.clear();
    for second in [20, 200, 400] {
        city.watch(at(second)).expect("looked");
        tell_all(&city, at(second)).expect("told");
    }
    let (_, over) = mails.recv_timeout(PATIENCE).expect("a mail");
    assert!(unfolded(&over).contains("a-1: The supply"), "{over}");
    assert!(mails.try_recv().is_err(), "one word that it is over");
    assert_eq!(
        state(&city).2,
        [(false, true), (false, true), (true, true), (true, true)]
    );
}

/// A mail's text without the soft breaks of quoted-printable (RFC 2045 §6.7).
fn unfolded(mail: &str) -> String {
    mail.replace("=\r\n", "")
}

#[tokio::test]
async fn whoever_takes_an_alert_on_keeps_it_from_others_and_a_paused_booth_is_left_alone() {
    let (city, centre, _folder) = scene();
    centre.have().sightings = vec![
        sighting("a-1", "power", Severity::NeedsVisit),
        sighting("b-2", "capture_lost", Severity::CitizenCannotSpeak),
        sighting("", "disk", Severity::CitizenCannotSpeak),
    ];
    let now = booth_host::clock::wall();
    city.watch(now).expect("looked");
    let seat = Seat::of(&city, seated(&city, "olga", &[Role::Operator]));
    let (status, page) = seat.get("/watch").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.find("b-2: No sound")
            .is_some_and(|worst| Some(worst) < page.find("a-1: The supply")),
        "{page}"
    );
    assert!(
        page.contains("the hub: no room on the disk") && page.contains("3 MiB left"),
        "{page}"
    );
    let id: i64 = city
        .store
        .read(|db| {
            db.query_row("SELECT id FROM watch WHERE subject = 'b-2'", [], |row| {
                row.get(0)
            })
        })
        .expect("an alert");
    let (status, ..) = seat
        .post(
            &format!("/watch/alert/{id}"),
            "do=take&note=plug+%3Cb%3E&assigned=Bo",
        )
        .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (_, page) = seat.get("/watch").await;
    assert!(
        page.contains("plug &lt;b&gt;") && page.contains("taken on by"),
        "{page}"
    );
    let (status, ..) = seat.post("/watch/alert/999", "do=take").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // Nobody else is told of it, however long it stands.
    sent(&city);
    let told = |city: &City| state(city).2.len();
    let before = told(&city);
    city.watch(now + SignedDuration::from_hours(3))
        .expect("looked");
    assert_eq!(told(&city), before);
    // A pause: its alerts are over without a word.
    for bad in [
        "booth=a-1&hours=3",
        "booth=nowhere&hours=8",
        "booth=a-1&hours=x1",
    ] {
        let (status, ..) = seat.post("/watch/pause", bad).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}");
    }
    let (status, ..) = seat
        .post("/watch/pause", "booth=a-1&hours=8&why=moved")
        .await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    city.watch(booth_host::clock::wall()).expect("looked");
    let (open, over, _) = state(&city);
    assert_eq!((open.len(), over), (2, vec!["a-1 power".to_owned()]));
    let (_, page) = seat.get("/watch").await;
    assert!(page.contains("moved"), "{page}");
    // Whoever may not look after the fleet sees nothing of it.
    let other = Seat::of(&city, seated(&city, "eva", &[Role::Editor]));
    assert_eq!(other.get("/watch").await.0, StatusCode::FORBIDDEN);
}

#[test]
fn what_the_centre_sees_has_its_title_sentence_and_remedy_in_both_languages() {
    let (city, _, _folder) = scene();
    for kind in KINDS {
        for language in ["da", "en"] {
            for part in ["title", "is", "do"] {
                let name = format!("watch-{part}-{kind}");
                let said = city.words.say_with(
                    language,
                    &name,
                    &[("n", 3.into()), ("since", "x".into()), ("text", "y".into())],
                );
                assert!(
                    said != name && !said.contains("{$"),
                    "{language} {name}: {said}"
                );
            }
        }
    }
}

#[test]
fn a_duty_that_cannot_be_told_is_refused_with_the_key() {
    let config = |text: &str| -> String {
        let watch: WatchConfig = toml::from_str(text).expect("TOML");
        let mut faults = booth_host::config_file::Faults::new("hub.toml");
        watch.check(&AlarmConfig::default(), &mut faults);
        let verdict = faults.verdict();
        verdict.map_or_else(|refused| refused.to_string(), |()| String::new())
    };
    for (text, says) in [
        ("[[duty]]\nname = \"a\"\n", "neither mail nor webhook"),
        (
            "[[duty]]\nname = \"a\"\nmail = \"a@x.example\"\n",
            "no mail server",
        ),
        (
            "[[duty]]\nname = \"a\"\nwebhook = \"ftp://x\"\n",
            "no address",
        ),
        (
            "[[duty]]\nname = \"a\"\nwebhook = \"https://x\"\ndays = [\"monday\"]\n",
            "no day",
        ),
        ("quiet = \"22-7\"\n", "no time of the day"),
        ("wait_minutes = 0\n", "between 1 and 1440"),
        ("heartbeat = \"x\"\n", "no address"),
    ] {
        let faults = config(text);
        assert!(faults.contains(says), "{text}: {faults:?}");
    }
    assert!(config("quiet = \"22:00-07:00\"\nheartbeat = \"https://x.example/a\"\n").is_empty());
}

#[test]
fn what_of_the_hubs_own_work_fails_for_minutes_is_told_and_is_over_when_it_goes_well() {
    let (city, centre, _folder) = scene();
    let id = "0190b6b1-0000-7000-8000-000000000001";
    centre.have().arrived.push(crate::testing::spoken(id));
    city.follow(false).expect("followed");
    let refused = crate::centre::CentreError::Failed("the disk is full".into());
    centre.have().refuses = Some(refused);
    city.store
        .change_quietly(|tx| {
            Ok(tx.execute(
                "INSERT INTO leaving (message_id, why, class, at) VALUES (?1, 'retention', 'waiting', 'then')",
                [id],
            )?)
        })
        .expect("noted");
    assert!(city.keep_retention().is_err());
    city.store
        .change_quietly(|tx| {
            Ok(tx.execute_batch(
                "INSERT INTO alarm (message_id, at, by, why) VALUES ('m-2', '2026-09-21T10:00:00.000Z', 'who', 'why');
                 INSERT INTO alarm_notice (alarm, contact, way, next_at, tries, fault)
                   SELECT id, 'first', 'mail', 'then', 3, 'refused' FROM alarm;",
            )?)
        })
        .expect("noted");
    city.watch(at(0)).expect("looked");
    assert!(state(&city).0.is_empty(), "it may go well the next time");
    city.watch(at(300)).expect("looked");
    assert_eq!(state(&city).0, [" alarms", " retention"]);
    centre.have().refuses = None;
    city.keep_retention().expect("kept");
    city.store
        .change_quietly(|tx| Ok(tx.execute("UPDATE alarm SET answered_at = 'now'", [])?))
        .expect("answered");
    city.watch(at(310)).expect("looked");
    city.watch(at(440)).expect("looked");
    assert!(state(&city).0.is_empty());
    assert_eq!(state(&city).1, [" alarms", " retention"]);
}
