//! Nothing is deleted before its time, nor before its warning has stood.

use proptest::prelude::*;

use super::*;
use crate::centre::CentreError;
use crate::people::Role;
use crate::testing::{ask, city_with, person, request, seated, spoken};
use crate::web::for_staff;

const DAY: u64 = 24 * 60 * 60 * 1_000;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn rules() -> RetentionConfig {
    RetentionConfig {
        waiting_days: 30,
        warn_days: 5,
        ..RetentionConfig::default()
    }
}

/// Looks on these days after the message came; the day of its deletion.
fn life(rules: &RetentionConfig, looks: impl IntoIterator<Item = i64>) -> (Option<i64>, u32) {
    let came = at("2026-01-01T12:00:00Z");
    let due = due(rules, Class::Waiting, Some(came));
    let mut warning: Option<Warning> = None;
    let mut shown = 0;
    for day in looks {
        let now = came + SignedDuration::from_hours(24 * day);
        match decide(rules, now, Class::Waiting, due, warning) {
            Step::Leave => {}
            Step::TakeBack => (warning, shown) = (None, 0),
            Step::Warn => {
                warning = Some(Warning {
                    class: Class::Waiting,
                    stood: 0,
                });
                shown = 0;
            }
            Step::Stand => {
                shown += 1;
                warning = warning.map(|warning| Warning {
                    stood: warning.stood + 1,
                    ..warning
                });
            }
            Step::Delete => return (Some(day), shown + 1),
        }
    }
    (None, shown)
}

#[test]
fn a_message_is_warned_of_before_its_time_and_goes_when_it_is_over() {
    assert_eq!(life(&rules(), 0..100), (Some(30), 5));
}

#[test]
fn a_hub_that_was_away_warns_for_all_days_before_it_deletes() {
    assert_eq!(life(&rules(), 200..300), (Some(205), 5));
    let away_after_the_warning = (0..27).chain(200..300);
    assert_eq!(life(&rules(), away_after_the_warning), (Some(203), 5));
}

#[test]
fn a_clock_that_jumps_for_a_day_deletes_nothing_and_takes_its_warning_back() {
    let jumps = [1, 2, 3_000, 4, 5, 6].into_iter().chain(7..100);
    assert_eq!(life(&rules(), jumps), (Some(30), 5));
}

#[test]
fn what_has_no_end_yet_is_left_alone() {
    let due = due(&rules(), Class::Published, None);
    let warning = Some(Warning {
        class: Class::Published,
        stood: 99,
    });
    let now = at("2099-01-01T00:00:00Z");
    assert_eq!(
        decide(&rules(), now, Class::Published, due, None),
        Step::Leave
    );
    assert_eq!(
        decide(&rules(), now, Class::Published, due, warning),
        Step::TakeBack
    );
}

#[test]
fn a_decision_begins_another_warning() {
    let rules = rules();
    let due = Some(at("2026-01-01T00:00:00Z"));
    let warning = Some(Warning {
        class: Class::Waiting,
        stood: 99,
    });
    let now = at("2026-06-01T00:00:00Z");
    assert_eq!(
        decide(&rules, now, Class::Rejected, due, warning),
        Step::Warn
    );
}

proptest! {
    /// Whatever days the hub runs on, and wherever its clock stands on each.
    #[test]
    fn nothing_goes_before_its_time_or_its_warning(days in prop::collection::vec(0i64..90, 1..120), warn in 1u32..20) {
        let rules = RetentionConfig { warn_days: warn, ..rules() };
        if let (Some(day), shown) = life(&rules, days) {
            prop_assert!(day >= 30);
            prop_assert!(shown >= warn);
        }
    }
}

fn count(city: &City, sql: &str) -> u64 {
    city.store
        .read(|db| db.query_row(sql, [], |row| row.get(0)))
        .expect("a number")
}

fn looks(city: &City, days: std::ops::Range<u64>) -> Result<(), CityError> {
    for day in days {
        let now = at("2026-08-03T12:00:00Z") + SignedDuration::from_hours(24 * day as i64);
        look(city, now, Mono(day * DAY))?;
    }
    Ok(())
}

fn with_rules() -> crate::config::CityConfig {
    crate::config::CityConfig {
        retention: rules(),
        ..Default::default()
    }
}

#[test]
fn the_hub_deletes_what_is_over_and_counts_it_without_its_content() {
    let (city, centre, _folder) = city_with(with_rules());
    let mut vote = spoken("vote");
    vote.kind = crate::centre::Kind::Vote;
    vote.choice = Some(2);
    centre.have().arrived = vec![spoken("one"), spoken("two"), vote];
    city.follow(false).expect("followed");
    looks(&city, 0..28).expect("looked");
    assert_eq!(count(&city, "SELECT count(*) FROM retention_warning"), 2);
    assert_eq!(count(&city, "SELECT count(*) FROM message"), 3);
    looks(&city, 28..31).expect("looked");
    assert_eq!(
        count(&city, "SELECT count(*) FROM message WHERE kind = 'choice'"),
        1
    );
    assert_eq!(count(&city, "SELECT count(*) FROM message"), 1);
    assert_eq!(
        count(
            &city,
            "SELECT number FROM retention WHERE class = 'waiting'"
        ),
        2
    );
    assert_eq!(
        count(&city, "SELECT count(*) FROM gone WHERE why = 'retention'"),
        2
    );
    assert_eq!(centre.have().deleted.len(), 2);
    // The hub reports them as gone: nothing changes, and nothing is counted twice.
    city.follow(true).expect("followed");
    assert_eq!(count(&city, "SELECT sum(number) FROM retention"), 2);
    assert_eq!(
        count(&city, "SELECT count(*) FROM gone WHERE why = 'withdrawn'"),
        0
    );
}

#[test]
fn a_hub_that_fails_deletes_nothing_halfway_and_ends_it_later() {
    let (city, centre, _folder) = city_with(with_rules());
    centre.have().arrived = vec![spoken("one")];
    city.follow(false).expect("followed");
    looks(&city, 0..30).expect("looked");
    centre.have().refuses = Some(CentreError::Failed("full".into()));
    assert!(looks(&city, 30..31).is_err());
    assert_eq!(count(&city, "SELECT count(*) FROM message"), 1);
    assert_eq!(count(&city, "SELECT count(*) FROM retention"), 0);
    centre.have().refuses = None;
    // The same day: what was begun is ended.
    looks(&city, 30..31).expect("looked");
    assert_eq!(count(&city, "SELECT count(*) FROM message"), 0);
    assert_eq!(count(&city, "SELECT sum(number) FROM retention"), 1);
}

#[test]
fn a_warning_is_a_days_at_most_however_often_the_hub_begins() {
    let (city, centre, folder) = city_with(with_rules());
    centre.have().arrived = vec![spoken("one")];
    city.follow(false).expect("followed");
    drop(city);
    for _ in 0..20 {
        let city = City::open(folder.path(), with_rules(), centre.clone()).expect("a city");
        look(&city, at("2027-08-03T12:00:00Z"), Mono(0)).expect("looked");
        assert_eq!(count(&city, "SELECT stood FROM retention_warning"), 0);
    }
}

#[test]
fn days_that_a_clock_runs_through_in_an_hour_count_once() {
    let (city, centre, _folder) = city_with(with_rules());
    centre.have().arrived = vec![spoken("one")];
    city.follow(false).expect("followed");
    for day in 0..20 {
        let now = at("2027-08-03T12:00:00Z") + SignedDuration::from_hours(24 * day);
        look(&city, now, Mono(day as u64 * 1_000)).expect("looked");
    }
    assert_eq!(count(&city, "SELECT stood FROM retention_warning"), 0);
}

#[test]
fn what_an_open_case_is_about_is_kept() {
    let (city, centre, _folder) = city_with(with_rules());
    centre.have().arrived = vec![spoken("one")];
    city.follow(false).expect("followed");
    let done = city.store.change_quietly(|tx| {
        tx.execute_batch(
            "INSERT INTO rights_case VALUES (1, '2026-08-04', 1, '2026-09-04', 'access', 'home', '2026-08-03', '12:00', 60, '', NULL, NULL);
             INSERT INTO rights_case_message VALUES (1, 'one');",
        )?;
        Ok(())
    });
    done.expect("a case");
    looks(&city, 0..60).expect("looked");
    assert_eq!(count(&city, "SELECT count(*) FROM message"), 1);
    let closed = city.store.change_quietly(|tx| {
        Ok(tx.execute("UPDATE rights_case SET closed_at = '2026-10-02'", [])?)
    });
    closed.expect("closed");
    looks(&city, 60..80).expect("looked");
    assert_eq!(count(&city, "SELECT count(*) FROM message"), 0);
}

#[test]
fn a_published_message_waits_for_the_end_of_its_campaign() {
    let (city, centre, _folder) = city_with(crate::config::CityConfig {
        retention: RetentionConfig {
            published_days_after_campaign: 10,
            warn_days: 2,
            ..rules()
        },
        ..Default::default()
    });
    centre.have().arrived = vec![spoken("one")];
    let mut campaign = crate::centre::Campaign {
        id: "plads".into(),
        title: "Plads".into(),
        from: None,
        until: None,
        booths: None,
        languages: vec!["da".into()],
        questions: Vec::new(),
        notice: Default::default(),
        children: "text".into(),
    };
    centre.have().campaigns = vec![campaign.clone()];
    city.follow(false).expect("followed");
    let published = city.store.change_quietly(|tx| {
        Ok(tx.execute(
            "UPDATE message SET state = 'published', transcript = 'ja', published_at = '2026-08-04T00:00:00Z'",
            [],
        )?)
    });
    published.expect("published");
    looks(&city, 0..100).expect("looked");
    assert_eq!(
        count(&city, "SELECT count(*) FROM message"),
        1,
        "it has no end"
    );
    campaign.until = Some("2026-10-01T00:00".into());
    centre.have().campaigns = vec![campaign];
    looks(&city, 100..110).expect("looked");
    assert_eq!(count(&city, "SELECT count(*) FROM message"), 0);
    assert_eq!(
        count(
            &city,
            "SELECT was_published FROM gone WHERE why = 'retention'"
        ),
        1,
        "it stands in withdrawn.csv"
    );
}

#[tokio::test]
async fn the_page_says_what_is_due_and_only_to_who_may_search() {
    let (city, centre, _folder) = city_with(with_rules());
    centre.have().arrived = vec![spoken("one")];
    city.follow(false).expect("followed");
    looks(&city, 0..28).expect("looked");
    let pages = for_staff(&city);
    let (cookie, _) = seated(&city, "anna", &[Role::Administrator]);
    let (status, _, text) = ask(&pages, request("/rights/retention", &cookie, None)).await;
    assert_eq!(status, 200);
    assert!(
        text.contains("without a decision") && text.contains("<td>1</td>"),
        "{text}"
    );
    let (cookie, _) = seated(&city, "mads", &[Role::Moderator]);
    let (status, ..) = ask(&pages, request("/rights/retention", &cookie, None)).await;
    assert_eq!(status, 403);
    assert!(!person(1, &[Role::Editor]).may(crate::people::Right::Search, None));
}
