//! What the booths say about themselves, and what an operator sees of it.

use serde_json::json;

use super::{BOOTH, Bench, numbered};
use crate::hub::view::Views;

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
    use crate::contract::Presence::{Lost, Offline, Online};
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
    use crate::contract::Presence::Online;
    let mut bench = Bench::new();
    bench.birth("card-1", "50-1", "s1");
    bench.state("card-1", "50-1", "online");
    bench.state("card-2", "1-1", "online");
    bench.birth("card-2", "1-1", "s1");
    bench.state("card-1", "50-1", "lost");
    assert_eq!(bench.presence(), Some(Online));
    bench.birth("card-1", "50-1", "s1"); // a repeat
    bench.state("card-2", "1-1", "offline");
    assert_eq!(bench.presence(), Some(crate::contract::Presence::Offline));
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
            .map(|alert| alert.0.clone())
            .collect()
    };
    assert_eq!(ids(&bench), ["capture_lost", "clock_unset"]);
    bench.send(&format!("{BOOTH}/alert/capture_lost"), b"");
    assert_eq!(ids(&bench), ["clock_unset"]);
}

#[test]
fn a_cleared_state_topic_forgets_the_booth_but_not_its_clips() {
    let mut bench = Bench::new();
    bench.birth("card-1", "1-1", "s1");
    bench.whole(&numbered(1));
    bench.send(&format!("{BOOTH}/state"), b"");
    assert!(bench.fleet().booths.is_empty());
    assert_eq!(bench.views().answers(9).total, 1);
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
    let started = |bench: &Bench, clip: &super::Clip| -> (String, String) {
        bench
            .store
            .db
            .query_row(
                "SELECT started_at, day FROM clip WHERE clip_id = ?1",
                [&clip.id],
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
    bench.send(
        &format!("{BOOTH}/event/clock_step"),
        step("boot-a", 1).as_bytes(),
    );
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
