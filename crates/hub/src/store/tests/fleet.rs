//! Fleet tests: what booths say about themselves, and what an operator sees of it.

use serde_json::json;

use super::{BOOTH, Bench, Connection, database_in, forget_booth, gaps, numbered};
use crate::view::Views;
use booth_contract::BoothId;

#[test]
fn gaps_are_named_by_where_the_clip_must_be() {
    let mut bench = Bench::new();
    bench.birth("card-1", "4-100", "s1");
    for clip_no in [1, 2, 5] {
        bench.whole(&numbered(clip_no));
    }
    bench.health(
        json!({"boot_count": 4, "last_clip_no": 8, "oldest_clip_no_kept": 4, "spool_clips": 4}),
    );
    let kinds: Vec<_> = bench
        .fleet()
        .gaps
        .into_iter()
        .map(|g| (g.kind, g.missing))
        .collect();
    assert_eq!(
        kinds,
        [
            ("missing_between".to_owned(), vec![(3, 3)]),
            ("still_on_booth".to_owned(), vec![(4, 4), (6, 8)]),
        ]
    );
    // Health of another start says nothing about this card's numbers.
    bench.health(json!({"boot_count": 3, "last_clip_no": 100}));
    assert_eq!(bench.fleet().gaps[1].missing, [(4, 4), (6, 8)]);
    bench.birth("card-2", "1-5", "s1");
    let gaps = bench.fleet().gaps;
    assert_eq!(
        (gaps[0].kind.as_str(), &gaps[0].missing),
        ("card_gone", &vec![(3, 4), (6, 8)])
    );
}

#[test]
fn a_late_will_never_hides_a_booth_that_is_back() {
    use booth_contract::Presence::{Lost, Offline, Online};
    let mut bench = Bench::new();
    bench.state("card-1", "9-500", "online");
    bench.state("card-1", "10-20", "online");
    bench.state("card-1", "9-500", "lost");
    assert_eq!(bench.presence(), Some(Online));
    bench.state("card-1", "10-20", "lost");
    assert_eq!(bench.presence(), Some(Lost));
    bench.state("card-1", "10-20", "online");
    assert_eq!(
        bench.presence(),
        Some(Lost),
        "a repeat of the same session's beginning"
    );
    bench.state("card-1", "10-900", "offline");
    assert_eq!(bench.presence(), Some(Offline));
    let bench = bench.restart();
    assert_eq!(
        bench.presence(),
        Some(Offline),
        "a restart keeps the picture"
    );
}

#[test]
fn another_card_takes_over_by_its_birth_and_the_old_ones_will_is_history() {
    use booth_contract::Presence::Online;
    let mut bench = Bench::new();
    bench.birth("card-1", "50-1", "s1");
    bench.state("card-1", "50-1", "online");
    bench.state("card-2", "1-1", "online");
    bench.birth("card-2", "1-1", "s1");
    bench.state("card-1", "50-1", "lost");
    assert_eq!(bench.presence(), Some(Online));
    bench.birth("card-1", "50-1", "s1"); // a repeat
    bench.state("card-2", "1-1", "offline");
    assert_eq!(bench.presence(), Some(booth_contract::Presence::Offline));
}

#[test]
fn two_machines_under_one_id_are_flagged_for_a_day() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.birth("card-1", "1-1", "s1");
    assert!(!bench.fleet().booths[0].two_serials);
    bench.birth("card-2", "1-7", "s2");
    assert!(bench.fleet().booths[0].two_serials);
    bench.wall += jiff::SignedDuration::from_hours(25);
    assert!(!bench.fleet().booths[0].two_serials);
}

#[test]
fn health_goes_stale_after_three_intervals_and_retained_health_keeps_its_age() {
    let mut bench = Bench::new();
    let health = json!({"ready": 1, "health_interval_s": 60, "oldest_unsent_s": 7, "ts": 1.0});
    bench.health(health.clone());
    let seen = |bench: &Bench| {
        let booth = bench.fleet().booths.remove(0);
        (booth.ready, booth.stale, booth.health_age_s)
    };
    bench.wall += jiff::SignedDuration::from_secs(180);
    assert_eq!(seen(&bench), (Some(true), false, Some(180)));
    bench.wall += jiff::SignedDuration::from_secs(1);
    assert_eq!(seen(&bench), (Some(true), true, Some(181)));
    let topic = format!("{BOOTH}/health");
    bench.send_retained(&topic, health.to_string().as_bytes(), true, None);
    bench.store.commit().expect("commits");
    assert_eq!(
        seen(&bench),
        (Some(true), true, Some(181)),
        "the same words are not news"
    );
    bench.send_retained(&topic, br#"{"ready":0}"#, true, Some(7 * 86_400 - 50));
    bench.store.commit().expect("commits");
    assert_eq!(seen(&bench), (Some(false), false, Some(50)));
}

#[test]
fn alerts_are_kept_worst_first_until_an_empty_payload_clears_them() {
    let mut bench = Bench::new();
    let alert = |id: &str, severity: &str| {
        json!({"id": id, "severity": severity, "since": "2026-03-01T10:00:00Z", "clock_synced": 1,
            "text": "why", "session": "1-1", "card_id": "card-1"})
        .to_string()
    };
    for (id, severity) in [
        ("clock_unset", "watch"),
        ("capture_lost", "citizen_cannot_speak"),
    ] {
        bench.send(
            &format!("{BOOTH}/alert/{id}"),
            alert(id, severity).as_bytes(),
        );
    }
    let ids = |bench: &Bench| -> Vec<String> {
        bench.fleet().booths[0]
            .alerts
            .iter()
            .map(|alert| alert.id.clone())
            .collect()
    };
    assert_eq!(ids(&bench), ["capture_lost", "clock_unset"]);
    bench.send(&format!("{BOOTH}/alert/capture_lost"), b"");
    assert_eq!(ids(&bench), ["clock_unset"]);
}

#[test]
fn whatever_somebody_clears_at_the_broker_the_history_stays() {
    let mut bench = Bench::new();
    bench.introduces_itself("1-1", &["power"], &[]);
    bench.alert("tampered", "1-1");
    bench.send(&format!("{BOOTH}/event/tamper"), b"{}");
    bench.send(&format!("{BOOTH}/config"), b"{}");
    let before = bench.fleet().booths;
    for tail in ["state", "birth", "health", "config", "event/tamper"] {
        bench.send(&format!("{BOOTH}/{tail}"), b"");
    }
    assert_eq!(bench.fleet().booths, before);
    bench.seconds_pass(60);
    bench.send(&format!("{BOOTH}/alert/tampered"), b"");
    assert_eq!(shown(&bench), [("power".to_owned(), true)]);
    let (events, over): (i64, String) = bench
        .store
        .db
        .query_row(
            "SELECT (SELECT count(*) FROM event WHERE kind = 'tamper'),
               (SELECT id || ' ' || said_at || ' ' || cleared_at FROM alert_history)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("kept");
    assert_eq!(events, 1);
    assert_eq!(
        over,
        "tampered 2026-03-02T10:00:00.000Z 2026-03-02T10:01:00.000Z"
    );
    // The hub's own command makes the hub forget the booth.
    forget_booth(&bench.dir(), &BoothId::parse(BOOTH).expect("an id")).expect("forgets");
    assert!(bench.fleet().booths.is_empty());
}

#[test]
fn no_flood_of_events_pushes_another_kind_out_nor_its_own_beginning() {
    let mut bench = Bench::new();
    bench.send_uncommitted(&format!("{BOOTH}/event/tamper"), br#"{"first":1}"#);
    bench.send_uncommitted(&format!("{BOOTH}/event/boot"), br#"{"first":1}"#);
    for n in 0..700 {
        bench.send_uncommitted(&format!("{BOOTH}/event/kind-{n}"), b"{}");
    }
    for kind in ["noise", "tamper", "boot"] {
        for n in 0..600 {
            let payload = format!("{{\"n\":{n}}}");
            bench.send_uncommitted(&format!("{BOOTH}/event/{kind}"), payload.as_bytes());
        }
    }
    bench.store.commit().expect("commits");
    let count = |of: &str| -> i64 {
        let query = format!("SELECT count(*) FROM event WHERE {of}");
        let row = bench.store.db.query_row(&query, [], |row| row.get(0));
        row.expect("counted")
    };
    assert_eq!(count("kind = 'tamper' AND payload LIKE '%first%'"), 1);
    assert_eq!(count("kind = 'boot' AND payload LIKE '%first%'"), 1);
    assert_eq!(count("payload LIKE '%599%'"), 3, "and the latest of each");
    assert!((500..550).contains(&count("true")));
}

#[test]
fn no_flood_of_alerts_pushes_a_severe_one_out_of_the_history_or_keeps_it_from_being_raised() {
    let mut bench = Bench::new();
    bench.alert("microphone_silent", "1-1");
    bench.send(&format!("{BOOTH}/alert/microphone_silent"), b"");
    for n in 0..600 {
        for id in [&*format!("invented-{n}"), "power"] {
            bench.send_uncommitted(&format!("{BOOTH}/alert/{id}"), alert(id, "1-1").as_bytes());
            bench.send_uncommitted(&format!("{BOOTH}/alert/{id}"), b"");
        }
    }
    for n in 0..70 {
        let id = format!("invented-{n}");
        bench.send_uncommitted(&format!("{BOOTH}/alert/{id}"), alert(&id, "1-1").as_bytes());
    }
    bench.store.commit().expect("commits");
    bench.alert("capture_lost", "1-1");
    let raised: Vec<String> = shown(&bench).into_iter().map(|(id, _)| id).collect();
    assert_eq!(raised.len(), 65);
    assert!(raised.contains(&"capture_lost".to_owned()));
    let count = |of: &str| -> i64 {
        let query = format!("SELECT count(*) FROM alert_history WHERE {of}");
        let row = bench.store.db.query_row(&query, [], |row| row.get(0));
        row.expect("counted")
    };
    assert_eq!(count("id = 'microphone_silent'"), 1);
    assert!((40..48).contains(&count("id = 'power'")));
    assert!((400..432).contains(&count("true")));
}

#[test]
fn an_alert_that_is_played_down_is_kept_as_it_was() {
    let mut bench = Bench::new();
    for severity in ["citizen_cannot_speak", "watch", "watch"] {
        let payload = json!({"severity": severity, "text": severity}).to_string();
        bench.send(&format!("{BOOTH}/alert/capture_lost"), payload.as_bytes());
    }
    let query = "SELECT count(*) || ' ' || min(severity) FROM alert_history";
    let was: String = bench
        .store
        .db
        .query_row(query, [], |row| row.get(0))
        .expect("kept");
    assert_eq!(was, "1 citizen_cannot_speak");
    assert_eq!(shown(&bench).len(), 1);
}

#[test]
fn invented_machines_are_bounded() {
    let mut bench = Bench::new();
    for n in 1..=40 {
        bench.birth("card-1", &format!("1-{n}"), &format!("s{n}"));
    }
    let query = "SELECT count(*) FROM machine_at_booth";
    let machines: i64 = bench
        .store
        .db
        .query_row(query, [], |row| row.get(0))
        .expect("counted");
    assert_eq!(machines, 16);
    assert!(bench.fleet().booths[0].two_serials);
}

/// How many rows were changed so far: a measure of work that does not depend on what else the computer does.
fn changes(bench: &Bench) -> u64 {
    bench.store.db.total_changes()
}

#[test]
fn what_clock_steps_cost_does_not_grow_with_what_was_stored_and_all_clips_get_their_time() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    for clip_no in 1..=2_500 {
        let mut clip = numbered(clip_no);
        clip.manifest["kind"] = json!("void");
        clip.manifest["bytes"] = json!(0);
        clip.manifest["sha256"] = serde_json::Value::Null;
        clip.manifest["clock_synced"] = json!(0);
        clip.manifest["started_mono_ms"] = json!(clip_no);
        bench.send_uncommitted(
            &format!("{BOOTH}/clip/{}", clip.id),
            clip.manifest.to_string().as_bytes(),
        );
    }
    bench.store.commit().expect("commits");
    let step = |bench: &mut Bench, n: i64| {
        let payload = json!({"boot_id": "b", "clock_synced": 1,
            "wall_minus_mono_ms": 1_771_070_400_000_i64 + n * 60_000});
        let topic = format!("{BOOTH}/event/clock_step");
        bench.send(&topic, payload.to_string().as_bytes());
    };
    let before = changes(&bench);
    step(&mut bench, 0);
    assert!(changes(&bench) - before < 1_010);
    for _ in 0..2 {
        step(&mut bench, 0);
    }
    let right = |bench: &Bench| -> i64 {
        let query = "SELECT count(*) FROM clip WHERE day = '2026-02-14'";
        bench
            .store
            .db
            .query_row(query, [], |row| row.get(0))
            .expect("counted")
    };
    assert_eq!(right(&bench), 2_500);
    let before = changes(&bench);
    for n in 0..500 {
        step(&mut bench, n % 50);
    }
    let all = changes(&bench) - before;
    assert!(all < 3 * 2_500 + 500 * 10, "{all} rows were changed");
    assert_eq!(right(&bench), 2_500);
    for n in 0..400 {
        let payload =
            json!({"boot_id": format!("b-{n}"), "clock_synced": 1, "wall_minus_mono_ms": 5});
        bench.send(
            &format!("{BOOTH}/event/clock_step"),
            payload.to_string().as_bytes(),
        );
    }
    let query = "SELECT count(*) FROM boot_clock";
    let pairs: i64 = bench
        .store
        .db
        .query_row(query, [], |row| row.get(0))
        .expect("counted");
    assert_eq!(pairs, 256);
}

#[test]
fn a_time_that_cannot_be_counts_for_the_day_of_the_receipt_and_is_shown_as_such() {
    let mut bench = Bench::new();
    for (n, started_at) in [
        (1, "9999-01-01T00:00:00.000Z"),
        (2, "2026-03-03T10:00:01.000Z"),
        (3, "1970-01-01T00:00:00.000Z"),
        (4, "2026-03-03T10:00:00.000Z"),
        (5, "2024-03-03T10:00:00.000Z"),
    ] {
        let mut clip = numbered(n);
        clip.manifest["started_at"] = json!(started_at);
        clip.manifest["started_mono_ms"] = serde_json::Value::Null;
        bench.whole(&clip);
    }
    // A pair of clocks does not make such a time true either.
    let payload = json!({"boot_id": "b", "clock_synced": 1, "wall_minus_mono_ms": i64::MAX / 2});
    bench.send(
        &format!("{BOOTH}/event/clock_step"),
        payload.to_string().as_bytes(),
    );
    let answers = bench.views().answers(10);
    let days: Vec<(String, u64)> = answers
        .by_day
        .iter()
        .map(|(day, n)| (day.to_string(), *n))
        .collect();
    let expected = [("2024-03-03", 1), ("2026-03-02", 3), ("2026-03-03", 1)];
    assert_eq!(days, expected.map(|(day, n)| (day.to_owned(), n)));
    let unset: Vec<Option<String>> = answers
        .clips
        .iter()
        .filter(|clip| !clip.clock_synced)
        .map(|clip| clip.started_at.clone())
        .collect();
    assert_eq!(unset, [None, None, None], "the pages show the receipt");
}

#[test]
fn clips_of_a_wrong_clock_get_their_day_when_the_booths_clock_becomes_right_before_or_after() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    let unset = |clip_no: u64, boot: &str, mono_ms: u64| {
        let mut clip = numbered(clip_no);
        clip.manifest["clock_synced"] = json!(0);
        clip.manifest["started_at"] = json!("1970-01-01T00:01:00.000Z");
        clip.manifest["started_mono_ms"] = json!(mono_ms);
        clip.manifest["boot_id"] = json!(boot);
        clip
    };
    let arrived = |bench: &Bench, after: i64| -> Vec<(i64, String, Option<String>)> {
        use crate::centre::{Centre, HubCentre};
        let mut config = crate::config::HubConfig::default();
        config.store.dir = bench.dir();
        let views = std::sync::Arc::new(bench.views());
        let centre = HubCentre::open(config, views).expect("opens");
        let arrived = centre.arrived(after, 10).expect("read").into_iter();
        let told = arrived.map(|(place, one)| {
            (
                place,
                one.id.to_string(),
                one.spoken_at.map(|at| at.to_string()),
            )
        });
        told.collect()
    };
    let started = |bench: &Bench, clip: &super::Clip| -> (String, String) {
        bench
            .store
            .db
            .query_row(
                "SELECT started_at, day FROM clip WHERE clip_id = ?1",
                [clip.id.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .expect("stored")
    };
    let (before, other) = (unset(1, "boot-a", 60_000), unset(2, "boot-b", 60_000));
    bench.whole(&before);
    bench.whole(&other);
    // 2026-02-14T12:00:00Z minus nothing: the boot-time clock began at noon.
    let step = |boot: &str, synced: u8| {
        json!({"kind": "clock_step", "boot_id": boot, "wall_minus_mono_ms": 1_771_070_400_000_i64,
            "clock_synced": synced})
        .to_string()
    };
    bench.send(
        &format!("{BOOTH}/event/clock_step"),
        step("boot-b", 0).as_bytes(),
    );
    bench.send("rundhoej-2/event/clock_step", step("boot-b", 1).as_bytes());
    bench.send(&format!("{BOOTH}/event/clock_step"), b"{\"boot_id\":5}");
    let first = arrived(&bench, 0);
    assert!(
        first.len() == 2 && first.iter().all(|(_, _, at)| at.is_none()),
        "{first:?}"
    );
    let newest = first.last().map_or(0, |(place, ..)| *place);
    bench.send(
        &format!("{BOOTH}/event/clock_step"),
        step("boot-a", 1).as_bytes(),
    );
    // The city sees what was corrected once more.
    let again = arrived(&bench, newest);
    let again: Vec<_> = again
        .iter()
        .map(|(_, id, at)| (id.as_str(), at.as_deref()))
        .collect();
    assert_eq!(again, [(before.id.as_str(), Some("2026-02-14T12:01:00Z"))]);
    let after = unset(3, "boot-a", 120_000);
    bench.whole(&after);
    assert_eq!(
        started(&bench, &before),
        ("2026-02-14T12:01:00.000Z".into(), "2026-02-14".into())
    );
    assert_eq!(started(&bench, &after).0, "2026-02-14T12:02:00.000Z");
    assert_eq!(
        started(&bench, &other).0,
        "1970-01-01T00:01:00.000Z",
        "another boot, an unset clock and another booth say nothing about it"
    );
}

fn alert(id: &str, session: &str) -> String {
    json!({"id": id, "severity": "needs_visit", "since": "2026-03-01T10:00:00Z", "clock_synced": 1,
        "text": "why", "session": session, "card_id": "card-1"})
    .to_string()
}

/// The alerts on the page, and whether each is confirmed.
fn shown(bench: &Bench) -> Vec<(String, bool)> {
    let booths = bench.fleet().booths;
    let alerts = booths.into_iter().flat_map(|booth| booth.alerts);
    alerts.map(|alert| (alert.id, alert.confirmed)).collect()
}

impl Bench {
    fn alert(&mut self, id: &str, session: &str) {
        let payload = alert(id, session);
        self.send(&format!("{BOOTH}/alert/{id}"), payload.as_bytes());
    }

    fn seconds_pass(&mut self, seconds: i64) {
        self.wall += jiff::SignedDuration::from_secs(seconds);
    }

    /// The hub was away for ten minutes; the broker kept nothing for it.
    fn comes_back(self) -> Self {
        let mut bench = self.restart();
        bench.seconds_pass(600);
        bench.store.probe(bench.wall).expect("probes");
        bench.seconds_pass(1);
        bench
    }

    /// What a booth says when the hub has connected: these alerts are raised, these are not.
    fn introduces_itself(&mut self, session: &str, raised: &[&str], empty: &[&str]) {
        self.state("card-1", session, "online");
        self.birth("card-1", session, "s1");
        for id in empty {
            self.send(&format!("{BOOTH}/alert/{id}"), b"");
        }
        for id in raised {
            self.alert(id, session);
        }
        self.health(json!({"ready": 1, "health_interval_s": 60, "faults": raised.len()}));
    }
}

#[test]
fn an_alert_that_was_cleared_while_the_hub_was_away_goes_when_the_booth_introduces_itself() {
    let mut bench = Bench::new();
    bench.store.probe(bench.wall).expect("probes");
    bench.introduces_itself("1-1", &["power", "clock_unset", "of_an_old_version"], &[]);
    let all = |confirmed: bool| -> Vec<(String, bool)> {
        ["clock_unset", "of_an_old_version", "power"]
            .map(|id| (id.to_owned(), confirmed))
            .to_vec()
    };
    assert_eq!(shown(&bench), all(true));
    let mut bench = bench.comes_back();
    assert_eq!(shown(&bench), all(false), "nobody has said it to this hub");
    // One alert is said to be cleared, one is still raised, one is not in the table of the program that the booth runs now.
    bench.introduces_itself("2-1", &["power"], &["clock_unset"]);
    assert_eq!(shown(&bench), [("power".to_owned(), true)]);
    let booth = bench.fleet().booths.remove(0);
    assert_eq!((booth.ready, booth.stale), (Some(true), false));
}

#[test]
fn an_alert_that_was_lost_on_its_way_stays_as_not_confirmed_and_not_for_ever() {
    let mut bench = Bench::new();
    bench.store.probe(bench.wall).expect("probes");
    bench.introduces_itself("1-1", &["power", "temperature"], &[]);
    let mut bench = bench.comes_back();
    // The booth counts two alerts, the hub hears of one: the broker dropped the other.
    bench.state("card-1", "1-1", "online");
    bench.birth("card-1", "1-1", "s1");
    bench.alert("power", "1-1");
    bench.health(json!({"ready": 1, "faults": 2}));
    assert_eq!(
        shown(&bench),
        [
            ("power".to_owned(), true),
            ("temperature".to_owned(), false)
        ]
    );
    // A booth that goes on counting more alerts than it says does not keep the lost one there for ever.
    for _ in 0..61 {
        bench.seconds_pass(60);
        bench.health(json!({"ready": 1, "faults": 2}));
    }
    assert_eq!(shown(&bench), [("power".to_owned(), true)]);
}

#[test]
fn a_booth_that_does_not_introduce_itself_keeps_its_alerts_as_not_confirmed() {
    let mut bench = Bench::new();
    bench.store.probe(bench.wall).expect("probes");
    bench.introduces_itself("1-1", &["power"], &[]);
    let mut bench = bench.comes_back();
    for _ in 0..200 {
        bench.seconds_pass(60);
        bench.health(json!({"ready": 1, "faults": 1}));
    }
    assert_eq!(shown(&bench), [("power".to_owned(), false)]);
    // A retained birth is from the booth, but no introduction: the broker may have dropped the rest.
    let topic = format!("{BOOTH}/birth");
    let birth = json!({"session": "1-1", "card_id": "card-1"}).to_string();
    bench.send_retained(&topic, birth.as_bytes(), true, None);
    bench.health(json!({"ready": 1, "faults": 0}));
    assert_eq!(shown(&bench), [("power".to_owned(), false)]);
    let topic = format!("{BOOTH}/alert/power");
    bench.send_retained(&topic, alert("power", "1-1").as_bytes(), true, None);
    bench.store.commit().expect("commits");
    assert_eq!(shown(&bench), [("power".to_owned(), true)]);
}

#[test]
fn a_raised_alert_that_overtakes_the_birth_of_its_introduction_is_confirmed() {
    let mut bench = Bench::new();
    bench.store.probe(bench.wall).expect("probes");
    bench.seconds_pass(1);
    bench.alert("power", "1-1");
    bench.seconds_pass(5);
    bench.introduces_itself("1-1", &[], &[]);
    assert_eq!(shown(&bench), [("power".to_owned(), true)]);
}

#[test]
fn a_new_hub_shows_a_healthy_booth_as_soon_as_it_has_introduced_itself() {
    let mut bench = Bench::new();
    bench.store.probe(bench.wall).expect("probes");
    bench.seconds_pass(3);
    bench.introduces_itself("7-1", &[], &["power", "spool_full"]);
    let view = bench.fleet();
    assert_eq!(
        crate::pages::sentence(&view),
        "The booth can take messages."
    );
}

#[test]
fn a_booth_that_says_health_and_nothing_else_is_there_while_it_does() {
    use booth_contract::Presence::Online;
    let mut bench = Bench::new();
    let topic = format!("{BOOTH}/health");
    bench.send_retained(&topic, br#"{"ready":1}"#, true, Some(7 * 86_400));
    bench.store.commit().expect("commits");
    assert_eq!(bench.presence(), None, "the broker had kept it");
    bench.health(json!({"ready": 1, "health_interval_s": 60}));
    assert_eq!(bench.presence(), Some(Online));
    bench.seconds_pass(181);
    assert_eq!(bench.presence(), None);
    // What the booth says of its presence counts more than its health.
    bench.state("card-1", "1-1", "offline");
    bench.health(json!({"ready": 1}));
    assert_eq!(bench.presence(), Some(booth_contract::Presence::Offline));
}

#[test]
fn of_a_booths_messages_only_what_is_needed_is_judged() {
    let odd = [
        "null",
        "7",
        "-1.5",
        "true",
        "\"x\"",
        "[]",
        "{\"a\":[1]}",
        "1e300",
    ];
    let card = r#""session":"1-1","card_id":"card-1""#;
    let messages: [(&str, String, &[&str]); 5] = [
        (
            "state",
            format!(r#"{{"state":"online",{card},"#),
            &["boot_id", "ts", "connected_at", "new"],
        ),
        (
            "birth",
            format!("{{{card},"),
            &[
                "schema",
                "name",
                "boot_id",
                "boot_count",
                "previous_card_id",
                "card_first_seen",
                "hw_model",
                "hw_serial",
                "image_id",
                "os_version",
                "sw_version",
                "sw_commit",
                "config_hash",
                "recipient_key_ids",
                "sealed",
                "consent_mode",
                "audio_in",
                "audio_out",
                "handset_backend",
                "ip",
                "mac",
                "started_at",
                "health_interval_s",
                "new",
            ],
        ),
        (
            "health",
            r#"{"ready":1,"#.into(),
            &[
                "ts",
                "load1",
                "faults",
                "boot_count",
                "health_interval_s",
                "new",
            ],
        ),
        (
            "alert/power",
            "{".into(),
            &[
                "severity",
                "since",
                "clock_synced",
                "text",
                "card_id",
                "new",
            ],
        ),
        (
            "event/boot",
            "{".into(),
            &["ts", "kind", "mono_ms", "boot_id", "card_id", "new"],
        ),
    ];
    let mut bench = Bench::new();
    let mut senders = 0;
    for (tail, start, fields) in &messages {
        for field in *fields {
            for value in odd {
                let payload = format!("{start}\"{field}\":{value}}}");
                let sender = format!("booth-{senders}");
                senders += 1;
                bench.send_uncommitted(&format!("{sender}/{tail}"), payload.as_bytes());
                let booth = BoothId::parse(&sender).expect("an id");
                let alerts = crate::fleet::alerts_of(&bench.store.db, &booth).expect("read");
                let has_alert = *tail == "alert/power";
                assert_eq!(alerts.len(), usize::from(has_alert), "{tail}: {payload}");
            }
        }
    }
    bench.store.commit().expect("commits");
    let view = bench.fleet();
    assert_eq!(view.unreadable.total, 0);
    assert_eq!(view.booths.len(), senders, "each was heard");
    // An alert without a severity and a sentence has those of the table.
    let mut bench = Bench::new();
    bench.send(&format!("{BOOTH}/alert/spool_full"), b"{}");
    let alert = bench.fleet().booths.remove(0).alerts.remove(0);
    assert_eq!(alert.severity, booth_contract::Severity::CitizenCannotSpeak);
    assert_eq!(alert.text, booth_contract::AlertId::SpoolFull.meaning());
}

#[test]
fn what_cannot_be_read_changes_nothing_and_is_counted_for_each_booth_and_kind() {
    let mut bench = Bench::new();
    bench.introduces_itself("1-1", &["power"], &[]);
    let before = bench.fleet().booths;
    let large = format!("\"{}\"", "x".repeat(20_000));
    for (tail, payload) in [
        ("state", r#"{"state":"online","session":"1-1"}"#),
        (
            "state",
            r#"{"state":"perhaps","session":"1-1","card_id":"card-1"}"#,
        ),
        (
            "state",
            r#"{"state":"lost","session":11,"card_id":"card-1"}"#,
        ),
        ("birth", "{}"),
        (
            "birth",
            r#"{"booth_id":"other-1","session":"2-1","card_id":"card-1"}"#,
        ),
        ("health", "[1]"),
        ("health", r#"{"ready":"yes"}"#),
        ("health", &large),
        ("alert/power", "cleared"),
        ("alert/power", r#"{"id":"temperature"}"#),
        ("event/boot", "[]"),
        ("event/clock_step", r#"{"boot_id":"b"}"#),
        ("reply/ring", "7"),
        ("config", "\u{0}"),
        ("part/x/0", "sound"),
        ("clip/x", "{}"),
        ("withdrawal", "{}"),
    ] {
        bench.send(&format!("{BOOTH}/{tail}"), payload.as_bytes());
    }
    let view = bench.fleet();
    assert_eq!(view.booths, before);
    let mut counts: Vec<(String, u64)> = view
        .unreadable
        .entries
        .iter()
        .map(|said| {
            assert_eq!(said.sender, BOOTH);
            (said.kind.clone(), said.times)
        })
        .collect();
    counts.sort();
    let expected = [
        ("alert", 2),
        ("birth", 2),
        ("clip", 1),
        ("config", 1),
        ("event", 2),
        ("health", 3),
        ("part", 1),
        ("reply", 1),
        ("state", 3),
        ("topic", 1),
    ];
    assert_eq!(
        counts,
        expected.map(|(kind, times)| (kind.to_owned(), times))
    );
    // A restart does not make the hub forget; a week of quiet does.
    let mut bench = bench.restart();
    assert_eq!(bench.fleet().unreadable.entries.len(), expected.len());
    bench.seconds_pass(7 * 86_400 + 1);
    assert_eq!(bench.fleet().unreadable.total, 0);
}

#[test]
fn endless_senders_of_rubbish_fill_no_disk() {
    let mut bench = Bench::new();
    for sender in 0..2_500 {
        bench.send_uncommitted(&format!("rubbish-{sender}/state"), b"x");
    }
    bench.store.commit().expect("commits");
    assert_eq!(bench.fleet().unreadable.total, 2_000);
}

#[test]
fn whoever_is_no_booth_delivers_nothing_and_is_shown() {
    let mut bench = Bench::new();
    // An earlier version of the hub took this name for a booth.
    let birth = r#"{"session":"1-1","card_id":"c"}"#;
    bench.send("centre/birth", birth.as_bytes());
    assert_eq!(bench.fleet().booths.len(), 1);
    let names = vec!["centre".to_owned(), "booth-hub-2".to_owned()];
    bench.store = bench.store.refusing(names).expect("the database works");
    assert_eq!(bench.fleet().booths, []);
    for sender in ["hub", "operations", "booth-hub", "booth-hub-2", "centre"] {
        let clip = numbered(1);
        for (tail, payload) in [
            (
                "state",
                br#"{"state":"online","session":"1-1","card_id":"c"}"#.to_vec(),
            ),
            ("birth", birth.as_bytes().to_vec()),
            ("health", br#"{"ready":1}"#.to_vec()),
            ("alert/power", b"{}".to_vec()),
            (
                &*format!("clip/{}", clip.id),
                clip.manifest.to_string().into_bytes(),
            ),
            (
                &*format!("part/{}/0", clip.id),
                clip.body[..16_384].to_vec(),
            ),
        ] {
            assert_eq!(bench.send(&format!("{sender}/{tail}"), &payload), None);
        }
    }
    let view = bench.fleet();
    assert_eq!(view.booths, []);
    assert_eq!(bench.views().answers(9).total, 0);
    let counts: Vec<_> = view
        .unreadable
        .entries
        .iter()
        .map(|said| (said.kind.as_str(), said.times))
        .collect();
    assert_eq!(counts, [("sender", 6); 5]);
    // A booth is still heard beside these senders.
    bench.whole(&numbered(1));
    assert_eq!(bench.views().answers(9).total, 1);
}

const TOO_HIGH: &str = "9007199254740992-9007199254740992";

#[test]
fn no_single_word_silences_a_booth_and_what_was_invented_in_steps_is_seen_and_forgotten() {
    use booth_contract::Presence::{Lost, Online};
    let mut bench = Bench::new();
    bench.introduces_itself("5-1", &["power"], &[]);
    bench.state("card-1", TOO_HIGH, "lost");
    bench.birth("card-1", TOO_HIGH, "s9");
    bench.state("card-1", "1006-1", "lost");
    assert_eq!(bench.presence(), Some(Online));
    let said = |bench: &Bench| -> Vec<(String, u64, String)> {
        let entries = bench.fleet().unreadable.entries.into_iter();
        let mut said: Vec<_> = entries
            .map(|said| (said.kind, said.times, said.why))
            .collect();
        said.sort();
        said
    };
    let counts = |bench: &Bench| -> Vec<u64> { said(bench).iter().map(|said| said.1).collect() };
    assert_eq!(counts(&bench), [1, 2], "a birth and two states");
    bench.introduces_itself("6-1", &[], &["power"]);
    assert_eq!(shown(&bench), []);
    // An invented session can rise in steps. The booth is then not heard, and the page shows that and what to do.
    bench.state("card-1", "900-1", "lost");
    bench.birth("card-1", "900-1", "s9");
    bench.introduces_itself("7-1", &[], &[]);
    assert_eq!(bench.presence(), Some(Lost));
    assert_eq!(counts(&bench), [2, 3]);
    assert!(
        said(&bench)
            .iter()
            .all(|said| said.2.contains("booth-hub forget rundhoej-1"))
    );
    let booth = BoothId::parse(BOOTH).expect("an id");
    forget_booth(&bench.dir(), &booth).expect("forgets");
    bench.introduces_itself("7-2", &["power"], &[]);
    assert_eq!(bench.presence(), Some(Online));
    assert_eq!(shown(&bench), [("power".to_owned(), true)]);
    assert_eq!(bench.fleet().unreadable.total, 0);
}

#[test]
fn a_card_that_started_again_and_again_unheard_or_lay_in_a_drawer_is_heard_at_once() {
    use booth_contract::Presence::Online;
    let mut bench = Bench::new();
    bench.introduces_itself("5-1", &[], &[]);
    bench.state("card-1", "5-1", "lost");
    // The booth has started every two seconds, for three days without a broker.
    bench.seconds_pass(3 * 86_400);
    bench.introduces_itself("129605-1", &[], &[]);
    assert_eq!(bench.presence(), Some(Online));
    // The card was at another hub, under the same name.
    bench.seconds_pass(365 * 86_400);
    bench.introduces_itself("200000-1", &[], &[]);
    // A card that was never heard before, however often it has started.
    bench.state("card-2", "5000000-1", "online");
    bench.birth("card-2", "5000000-1", "s1");
    assert_eq!(bench.presence(), Some(Online));
    assert_eq!(bench.fleet().unreadable.total, 0);
}

#[test]
fn a_late_will_or_what_the_broker_had_kept_is_no_sign_of_a_stranger() {
    let mut bench = Bench::new();
    bench.introduces_itself("5-1", &[], &[]);
    bench.introduces_itself("6-1", &[], &[]);
    bench.state("card-1", "5-1", "lost");
    for tail in ["state", "birth"] {
        let old = r#"{"state":"online","session":"5-1","card_id":"card-1"}"#;
        bench.send_retained(&format!("{BOOTH}/{tail}"), old.as_bytes(), true, None);
    }
    bench.store.commit().expect("commits");
    assert_eq!(bench.fleet().unreadable.total, 0);
}

#[test]
fn what_is_lost_is_listed_before_what_is_on_its_way_however_many_booths_there_are() {
    let bench = Bench::new();
    let db = Connection::open(database_in(&bench.dir())).expect("opens");
    // Four hundred booths have two clips on their way; the last one has lost the first of them.
    db.execute_batch(
        "INSERT INTO booth (booth_id, first_heard, card_id)
           WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 400)
           SELECT printf('b-%03d', n), '', printf('c-%03d', n) FROM n;
         INSERT INTO card_at_booth (booth_id, card_id, first_seen, last_seen, last_clip_no, oldest_clip_no_kept, spool_clips)
           SELECT booth_id, card_id, '', '2026-03-01T10:00:00.000Z', 2, 1, 2 FROM booth;
         UPDATE card_at_booth SET oldest_clip_no_kept = 2, spool_clips = 1 WHERE booth_id = 'b-400';",
    )
    .expect("filled");
    let listed = gaps::gaps(&db).expect("read");
    assert_eq!((listed.total, listed.entries.len()), (401, 300));
    let last = listed.entries.last().expect("entries");
    assert_eq!(
        (last.booth_id.as_str(), last.kind.as_str(), &last.missing),
        ("b-400", gaps::MISSING, &vec![(1, 1)])
    );
    assert_eq!(listed.entries[0].booth_id, "b-001");
}
