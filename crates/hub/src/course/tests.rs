//! The course over its database: what is kept, what is summed up, and what a flood or a restart does to it.

use std::sync::mpsc::sync_channel;

use super::*;

const NOW: i64 = 1_790_000_000;

fn booth(id: &str) -> BoothId {
    BoothId::parse(id).expect("an id")
}

fn said(at: i64, id: &str, temperature: f64) -> Note {
    let health = format!("{{\"ready\":1,\"cpu_temp_c\":{temperature},\"unheard_of\":7}}");
    Note {
        at,
        booth: booth(id),
        health: Health::from_json(health.as_bytes()).expect("health"),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// The means of one value.
fn means(folder: &Path, now: i64, id: &str, span: Span) -> Vec<(i64, f64)> {
    let course = Course::of(folder);
    let points = course.points(at(now), id, &["cpu_temp_c"], span);
    let points = points.expect("a database").into_iter();
    points
        .filter_map(|point| Some((point.at, point.values[0]?.mean)))
        .collect()
}

#[test]
fn a_day_is_seen_by_five_minutes_and_a_week_by_hours_with_least_most_and_mean() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(&file_in(folder.path())).expect("opens");
    let from = NOW / HOUR_S * HOUR_S - 3 * HOUR_S;
    let minutes: Vec<Note> = (0..180)
        .map(|n| said(from + n * 60, "a-1", 40.0 + (n / 60) as f64))
        .collect();
    writer.keep(&minutes).expect("kept");
    let now = from + 3 * HOUR_S;
    // The third hour has just ended: late notes of it may wait still.
    writer.sum_up(now + 60).expect("summed up");
    assert_eq!(
        means(folder.path(), now + 60, "a-1", Span::Week),
        [(from, 40.0), (from + HOUR_S, 41.0)]
    );
    writer.sum_up(now + SETTLED_AFTER_S).expect("summed up");
    assert_eq!(means(folder.path(), now + 200, "a-1", Span::Week).len(), 3);
    assert_eq!(means(folder.path(), now, "a-1", Span::Day).len(), 36);
    let course = Course::of(folder.path());
    let names = ["ready", "cpu_temp_c", "xruns", "x; DROP TABLE said"];
    let points = course
        .points(at(now + 200), "a-1", &names, Span::Quarter)
        .expect("reads");
    let step = Span::Quarter.step();
    assert!(
        points.iter().all(|point| point.at % step == 0),
        "{points:?}"
    );
    let of = |n: usize| points.iter().filter_map(move |point| point.values[n]);
    assert_eq!(of(1).map(|range| range.least).reduce(f64::min), Some(40.0));
    assert_eq!(of(1).map(|range| range.most).reduce(f64::max), Some(42.0));
    assert!(of(0).all(|range| range.mean == 1.0));
    assert_eq!((of(2).count(), of(3).count()), (0, 0));
    assert!(means(folder.path(), now, "b-2", Span::Day).is_empty());
}

#[test]
fn all_booths_are_looked_through_once_in_an_hour_and_a_new_one_has_its_turn_in_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::open(&file_in(folder.path())).expect("opens");
    let hour = NOW / HOUR_S * HOUR_S;
    writer.keep(&[said(hour, "a-1", 40.0)]).expect("kept");
    let now = hour + HOUR_S + SETTLED_AFTER_S;
    writer.sum_up(now).expect("summed up");
    assert_eq!(writer.summed_until, None, "there may be more of them");
    writer.sum_up(now).expect("nothing is left");
    assert_eq!(writer.summed_until, Some(hour + HOUR_S));
    writer.keep(&[said(hour + 9, "b-2", 50.0)]).expect("kept");
    writer.sum_up(now).expect("not looked");
    assert!(means(folder.path(), now, "b-2", Span::Week).is_empty());
    writer.sum_up(now + HOUR_S).expect("summed up");
    assert_eq!(
        means(folder.path(), now + HOUR_S, "b-2", Span::Week),
        [(hour, 50.0)]
    );
}

#[test]
fn each_health_is_deleted_after_a_week_and_its_hour_stays_two_years() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_in(folder.path());
    let mut writer = Writer::open(&file).expect("opens");
    writer.keep(&[said(NOW, "a-1", 40.0)]).expect("kept");
    let rows = |table: &str| -> i64 {
        let db = Connection::open(&file).expect("opens");
        let count = format!("SELECT count(*) FROM {table}");
        db.query_row(&count, [], |row| row.get(0)).expect("counts")
    };
    writer.sum_up(NOW + 2 * HOUR_S).expect("summed up");
    assert_eq!((rows("said"), rows("hour")), (1, 1));
    writer
        .sum_up(NOW + SAID_KEPT_S + HOUR_S)
        .expect("summed up");
    assert_eq!((rows("said"), rows("hour")), (0, 1));
    // A hub that comes back after three years begins anew.
    writer
        .sum_up(NOW + HOURS_KEPT_S + 2 * HOUR_S)
        .expect("summed up");
    assert_eq!((rows("said"), rows("hour")), (0, 0));
}

#[test]
fn a_clock_that_is_years_ahead_for_an_hour_takes_no_more_than_the_oldest_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_in(folder.path());
    let mut writer = Writer::open(&file).expect("opens");
    for day in 0..5 {
        let note = said(NOW + day * 86_400, "a-1", 40.0);
        writer.keep(&[note]).expect("kept");
    }
    let hours = || -> i64 {
        let db = Connection::open(&file).expect("opens");
        let count = "SELECT count(*) FROM hour";
        db.query_row(count, [], |row| row.get(0)).expect("counts")
    };
    let today = NOW + 5 * 86_400;
    writer.sum_up(today).expect("summed up");
    assert_eq!(hours(), 5);
    for _ in 0..9 {
        writer.sum_up(today + 30 * 365 * 86_400).expect("summed up");
    }
    assert_eq!(hours(), 4);
    writer.sum_up(today + HOUR_S).expect("summed up");
    assert_eq!(hours(), 4);
}

#[test]
fn a_flood_of_one_booth_takes_one_place_in_five_seconds_and_a_restart_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_in(folder.path());
    let flood: Vec<Note> = (0..1_000)
        .map(|n| said(NOW + n / 100, "a-1", 40.0))
        .chain([said(NOW + 9, "b-2", 50.0)])
        .collect();
    let mut writer = Writer::open(&file).expect("opens");
    writer.keep(&flood).expect("kept");
    drop(writer);
    let mut writer = Writer::open(&file).expect("opens again");
    // The clock was set back: what is said then replaces what was said at that second.
    writer.keep(&[said(NOW, "a-1", 60.0)]).expect("kept");
    let count = "SELECT count(*) FROM said";
    let rows: i64 = writer
        .db
        .query_row(count, [], |row| row.get(0))
        .expect("counts");
    assert_eq!(rows, 3);
    writer.forget(&booth("a-1")).expect("forgotten");
    let rows: i64 = writer
        .db
        .query_row(count, [], |row| row.get(0))
        .expect("counts");
    assert_eq!(rows, 1);
    // It may speak again.
    writer.keep(&[said(NOW + 20, "a-1", 41.0)]).expect("kept");
    assert_eq!(means(folder.path(), NOW + 20, "a-1", Span::Day).len(), 1);
}

#[test]
fn a_value_that_a_later_version_says_gets_its_column_and_the_old_rows_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_in(folder.path());
    Writer::open(&file)
        .expect("opens")
        .keep(&[said(NOW, "a-1", 40.0)])
        .expect("kept");
    let db = Connection::open(&file).expect("opens");
    for column in ["said DROP COLUMN v_xruns", "hour DROP COLUMN v_xruns_mean"] {
        db.execute_batch(&format!("ALTER TABLE {column}"))
            .expect("as before");
    }
    drop(db);
    let mut writer = Writer::open(&file).expect("opens again");
    writer.keep(&[said(NOW + 60, "a-1", 41.0)]).expect("kept");
    writer.sum_up(NOW + 2 * HOUR_S).expect("summed up");
    assert_eq!(means(folder.path(), NOW + 60, "a-1", Span::Day).len(), 1);
    let course = Course::of(folder.path());
    let points = course.points(at(NOW + 60), "a-1", &["xruns"], Span::Day);
    assert_eq!(points.expect("reads")[0].values, [None]);
}

#[test]
fn a_database_that_cannot_be_used_costs_the_pictures_alone_and_heals_when_it_can_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_in(folder.path());
    std::fs::create_dir(&file).expect("a folder in its place");
    let mut writer = None;
    let now = clock::wall().as_second();
    let note = [said(now, "a-1", 40.0)];
    assert!(write(&mut writer, &file, &note).is_err());
    std::fs::remove_dir(&file).expect("gone");
    write(&mut writer, &file, &note).expect("written");
    assert_eq!(means(folder.path(), now, "a-1", Span::Day).len(), 1);
    // Nobody waits where the queue is full.
    let (notes, _waiting) = sync_channel(1);
    let notes = Notes {
        notes,
        dropped: Arc::default(),
    };
    for _ in 0..3 {
        notes.note(at(NOW), &booth("a-1"), Health::default());
    }
    assert_eq!(notes.dropped.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_store_that_has_gone_is_no_death_of_the_thread_that_notes() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut crew = crew::Crew::gather();
    let (notes, thread) = start(folder.path()).expect("a thread");
    drop(notes);
    thread.join().expect("it ends");
    let death = tokio::time::timeout(Duration::ZERO, crew.death()).await;
    assert!(death.is_err(), "{death:?}");
}
