//! A database that takes nothing: full, held by another program, write-protected, or taken away under the hub. What is shown stays, nothing is half
//! done, and what is withdrawn is shown to nobody all the same.
#![allow(clippy::disallowed_methods)] // takes files away

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use booth_contract::ClipId;
use booth_database::Connection;

use super::*;
use crate::City;
use crate::people::Role;
use crate::testing::{FakeCentre, ask, city, limit, request, seated, spoken};
use crate::web::{for_citizens, for_staff};

const WORDS: &str = "Flere bænke ved kirken";

/// A city with a published message `shown` and a waiting one `open`.
fn town() -> (Arc<City>, Arc<FakeCentre>, tempfile::TempDir) {
    let (city, centre, folder) = city();
    for id in ["shown", "open"] {
        centre.have().arrived.push(spoken(id));
    }
    city.follow(false).expect("taken over");
    let published = city.store.change_quietly(|tx| {
        Ok(tx.execute(
            "UPDATE message SET state = 'published', transcript = ?1, transcript_lang = 'da', published_at = '2026-08-04T00:00:00.000Z',
               decided_at = '2026-08-04T00:00:00.000Z', decided_by = 1 WHERE id = 'shown'",
            [WORDS],
        )?)
    });
    assert_eq!(published.expect("published"), 1);
    (city, centre, folder)
}

/// What a citizen is shown at this address.
async fn seen(city: &Arc<City>, path: &str) -> (StatusCode, String) {
    let (status, _, page) = ask(&for_citizens(city), request(path, "", None)).await;
    (status, page)
}

fn state_of(city: &City, id: &str) -> String {
    let state = city.store.read(|db| {
        db.query_row("SELECT state FROM message WHERE id = ?1", [id], |row| {
            row.get(0)
        })
    });
    state.expect("a row")
}

/// Makes the writing connection refuse every write, as on a disk that the kernel has mounted read-only; or takes that back.
fn protect(city: &City, is_on: bool) {
    let writer = locked(&city.store.writer);
    let set = writer.db.pragma_update(None, "query_only", is_on);
    set.expect("set");
}

/// A decision at the desk: the answer's status and page.
async fn decide(city: &Arc<City>, cookie: &str, token: &str) -> (StatusCode, String) {
    let form = format!("version=0&transcript=Ja&transcript_lang=da&do=heard&form_token={token}");
    let request = request("/desk/message/open", cookie, Some(&form));
    let (status, _, page) = ask(&for_staff(city), request).await;
    (status, page)
}

#[test]
fn a_full_database_takes_over_nothing_by_halves_and_goes_on_when_there_is_room() {
    let (city, centre, _folder) = town();
    for number in 0..1_200 {
        centre
            .have()
            .arrived
            .push(spoken(&format!("more-{number}")));
    }
    limit(&city, None);
    assert!(matches!(city.follow(true), Err(CityError::Database(_))));
    let here = |city: &City| -> (usize, String) {
        let read = city.store.read(|db| {
            let messages = db.query_row("SELECT count(*) FROM message", [], |row| row.get(0))?;
            let mark = "SELECT value FROM mark WHERE name = 'arrived'";
            Ok((messages, db.query_row(mark, [], |row| row.get(0))?))
        });
        read.expect("a number")
    };
    let (messages, mark) = here(&city);
    // As many as the mark says, and not one of a batch that did not fit.
    assert_eq!((messages % 500, mark), (2, messages.to_string()));
    limit(&city, Some(1_000_000));
    city.follow(true).expect("there is room");
    assert_eq!(here(&city), (1_202, "1202".into()));
}

#[tokio::test]
async fn what_is_withdrawn_is_shown_to_nobody_although_the_database_takes_nothing() {
    let (city, centre, _folder) = town();
    for path in [
        "/da/",
        "/da/messages",
        "/da/message/shown",
        "/data/messages.csv",
    ] {
        let (status, page) = seen(&city, path).await;
        assert!(status.is_success() && page.contains(WORDS), "{path}");
    }
    protect(&city, true);
    // Beside it something arrives that cannot be taken over either.
    centre.have().arrived.push(spoken("late"));
    centre.have().gone.push(ClipId::from("shown".to_owned()));
    assert!(city.follow(false).is_err());
    for path in [
        "/da/",
        "/da/messages",
        "/da/message/shown",
        "/da/kiosk",
        "/sound/shown.opus",
        "/data/messages.csv",
        "/data/comments.csv",
    ] {
        let (_, page) = seen(&city, path).await;
        assert!(!page.contains(WORDS), "{path}");
    }
    assert_eq!(seen(&city, "/da/").await.0, StatusCode::OK);
    let (status, _) = seen(&city, "/da/message/shown").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(
        state_of(&city, "shown"),
        "published",
        "the row is still there"
    );
    protect(&city, false);
    city.follow(false).expect("it takes again");
    let left: i64 = city
        .store
        .read(|db| db.query_row("SELECT count(*) FROM message", [], |row| row.get(0)))
        .expect("a number");
    assert_eq!(left, 2, "open and late");
    let (_, gone) = seen(&city, "/data/withdrawn.csv").await;
    assert!(gone.contains("shown"));
}

#[tokio::test]
async fn a_childs_message_is_shown_to_nobody_although_the_database_cannot_note_the_mark() {
    let (city, centre, _folder) = town();
    protect(&city, true);
    centre.have().arrived[0].is_child = true;
    assert!(city.follow(false).is_err());
    for path in ["/da/messages", "/da/message/shown", "/data/messages.csv"] {
        assert!(!seen(&city, path).await.1.contains(WORDS), "{path}");
    }
    protect(&city, false);
    city.follow(false).expect("it takes again");
    assert_eq!(state_of(&city, "shown"), "waiting");
    assert!(!city.withheld.has("shown"), "the row says it now");
}

/// Whether these words stand in a file of the database.
fn stands_in(folder: &Path, name: &str) -> bool {
    let bytes = std::fs::read(folder.join(name)).expect("a file");
    bytes
        .windows(WORDS.len())
        .any(|part| part == WORDS.as_bytes())
}

#[test]
fn what_is_withdrawn_leaves_the_databases_log_as_soon_as_no_reader_is_in_the_way() {
    let (city, centre, folder) = town();
    let folder = folder.path();
    assert!(stands_in(folder, "city.sqlite-wal"), "else nothing is seen");
    // Somebody reads for long.
    let reader = city.store.reader_of_its_own().expect("a reader");
    reader.execute_batch("BEGIN").expect("begins");
    let count = "SELECT count(*) FROM message";
    let _: i64 = reader
        .query_row(count, [], |row| row.get(0))
        .expect("a number");
    centre.have().gone.push(ClipId::from("shown".to_owned()));
    city.follow(false).expect("let go, reader or not");
    assert!(stands_in(folder, "city.sqlite-wal"), "it is read");
    reader.execute_batch("COMMIT").expect("ends");
    city.follow(false).expect("nothing new");
    for name in ["city.sqlite", "city.sqlite-wal"] {
        assert!(!stands_in(folder, name), "{name}");
    }
    // Where no words went, the log stays as it is.
    city.store
        .change_quietly(|tx| {
            let words = "UPDATE message SET transcript = ?1 WHERE id = 'open'";
            Ok(tx.execute(words, [WORDS])?)
        })
        .expect("written");
    city.follow(false).expect("nothing new");
    assert!(stands_in(folder, "city.sqlite-wal"));
}

#[test]
fn a_log_that_cannot_be_emptied_holds_up_nothing_and_is_tried_again() {
    let (city, centre, folder) = town();
    let wal = folder.path().join("city.sqlite-wal");
    let aside = folder.path().join("aside");
    // The log is another file than the one that is open: it is not touched.
    locked(&city.store.writer).log_is_to_be_emptied = true;
    std::fs::rename(&wal, &aside).expect("moved");
    city.follow(false).expect("nothing new");
    assert!(locked(&city.store.writer).log_is_to_be_emptied);
    std::fs::rename(&aside, &wal).expect("moved back");
    centre.have().gone.push(ClipId::from("shown".to_owned()));
    city.follow(false).expect("let go");
    assert!(!locked(&city.store.writer).log_is_to_be_emptied);
    assert!(!stands_in(folder.path(), "city.sqlite-wal"));
}

#[tokio::test]
async fn a_write_protected_database_shows_what_it_has_and_says_what_it_cannot_keep() {
    let (city, _centre, _folder) = town();
    let (cookie, token) = seated(&city, "anna", &[Role::Moderator]);
    protect(&city, true);
    assert!(seen(&city, "/da/").await.1.contains(WORDS));
    assert_eq!(seen(&city, "/da/message/shown").await.0, StatusCode::OK);
    // The desk is read, and says that it took nothing.
    let (status, _, page) = ask(&for_staff(&city), request("/desk", &cookie, None)).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let (status, page) = decide(&city, &cookie, &token).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("Nothing was changed"), "{page}");
    assert_eq!(state_of(&city, "open"), "waiting");
    // A report is not lost in silence.
    let report = Request::post("/da/message/shown/report")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("why=nabo"))
        .expect("a request");
    let (status, _, page) = ask(&for_citizens(&city), report).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("Intet er gjort halvt"), "{page}");
    protect(&city, false);
    let (status, _) = decide(&city, &cookie, &token).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(state_of(&city, "open"), "heard");
}

#[tokio::test]
async fn a_database_that_another_program_holds_keeps_no_reader_waiting() {
    let (city, centre, folder) = town();
    let (cookie, token) = seated(&city, "anna", &[Role::Moderator]);
    let holder = Connection::open(folder.path().join("city.sqlite")).expect("opens");
    holder.execute_batch("BEGIN IMMEDIATE").expect("held");
    // Patience with another program is not what is looked at here.
    let set = locked(&city.store.writer).db.busy_timeout(Duration::ZERO);
    set.expect("set");
    centre.have().arrived.push(spoken("late"));
    assert!(city.follow(false).is_err());
    assert!(seen(&city, "/da/").await.1.contains(WORDS));
    let (status, page) = decide(&city, &cookie, &token).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.contains("Nothing was changed"), "{page}");
    holder.execute_batch("ROLLBACK").expect("let go");
    city.follow(false).expect("it goes on");
    assert_eq!(state_of(&city, "late"), "waiting");
    let (status, _) = decide(&city, &cookie, &token).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_database_whose_file_is_taken_away_takes_nothing_more_until_it_is_back() {
    let (city, centre, folder) = town();
    let (cookie, token) = seated(&city, "anna", &[Role::Moderator]);
    let move_all = |from: &Path, to: &Path| {
        for end in ["", "-wal", "-shm"] {
            let name = format!("city.sqlite{end}");
            std::fs::rename(from.join(&name), to.join(&name)).expect("moved");
        }
    };
    let elsewhere = tempfile::tempdir_in(folder.path()).expect("a folder");
    move_all(folder.path(), elsewhere.path());
    let nothing = || city.store.change_quietly(|_| Ok(()));
    let why = nothing().expect_err("it is not there");
    assert!(matches!(why, CityError::Replaced(_)), "{why}");
    assert!(why.to_string().contains("city.sqlite was removed"), "{why}");
    centre.have().arrived.push(spoken("late"));
    assert!(city.follow(false).is_err());
    let (status, page) = decide(&city, &cookie, &token).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
    assert_eq!(state_of(&city, "open"), "waiting");
    assert!(seen(&city, "/da/").await.1.contains(WORDS));
    // Another file in its place is not taken for it.
    let file = folder.path().join("city.sqlite");
    std::fs::write(&file, "another").expect("written");
    assert!(nothing().is_err());
    std::fs::remove_file(&file).expect("removed");
    move_all(elsewhere.path(), folder.path());
    city.follow(false).expect("it goes on");
    let (status, _) = decide(&city, &cookie, &token).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

#[test]
fn a_file_that_is_no_database_is_named_with_the_remedy_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("city.sqlite");
    let rubbish = b"not a database, but long enough to be looked at as one".repeat(100);
    std::fs::write(&path, &rubbish).expect("written");
    let why = Store::open(folder.path()).expect_err("refused").to_string();
    assert!(
        why.contains("city.sqlite cannot be used") && why.contains("restore it"),
        "{why}"
    );
    assert_eq!(std::fs::read(&path).expect("read"), rubbish);
}

#[test]
fn a_database_of_the_first_version_is_brought_up_to_date_with_all_its_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    schema::first_version(&folder.path().join("city.sqlite"));
    let store = Store::open(folder.path()).expect("opens");
    let found = store.read(|db| {
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let rows: i64 = db.query_row("SELECT count(*) FROM mark", [], |row| row.get(0))?;
        let is_there = "SELECT count(*) FROM sqlite_schema WHERE name = 'message_decided'";
        Ok((version, rows, db.query_row(is_there, [], |row| row.get(0))?))
    });
    assert_eq!(found.expect("reads"), (schema::VERSION, 1, 1));
}

#[test]
fn programs_that_start_together_bring_a_database_up_to_date_once() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("city.sqlite");
        schema::first_version(&path);
        let first = booth_database::Connection::open(&path).expect("opens");
        first
            .pragma_update(None, "journal_mode", "WAL")
            .expect("set");
        let together = std::sync::Barrier::new(8);
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    together.wait();
                    schema::open(&path).expect("up to date");
                });
            }
        });
    }
}

#[test]
fn a_store_whose_folder_is_missing_says_so_and_makes_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("store");
    let why = Store::open(&missing).expect_err("refused").to_string();
    assert!(
        why.contains("does not exist") && why.contains("booth-hub serve"),
        "{why}"
    );
    assert!(std::fs::read_dir(&missing).is_err());
}
