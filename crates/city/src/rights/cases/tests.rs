//! A case finds what is near, and nothing is looked at or taken out unseen.

use std::io::Read;

use super::*;
use crate::people::Role;
use crate::testing::{FakeCentre, ask, city, person, request, seated, spoken};
use crate::web::for_staff;

fn arrives(city: &City, centre: &FakeCentre) {
    let near = spoken("near");
    let mut later = spoken("later");
    later.spoken_at = Some("2026-08-03T15:00:00Z".parse().expect("a time"));
    let mut elsewhere = spoken("elsewhere");
    elsewhere.booth_id = Some("other-1".into());
    let mut have = centre.have();
    have.arrived = vec![near, later, elsewhere];
    have.sounds.insert("near".into(), b"OggS sound".to_vec());
    drop(have);
    city.follow(false).expect("followed");
}

fn opening() -> Opening {
    Opening {
        received: "2026-08-31".into(),
        asked: "access".into(),
        place: "booth:rundhoej-1".into(),
        day: "2026-08-03".into(),
        time: "12:20".into(),
        minutes: "30".into(),
        note: "journal 26/4711".into(),
    }
}

fn acts(city: &City) -> Vec<(String, String, String)> {
    let read = city.store.read(|db| {
        db.prepare("SELECT what, about, detail FROM act ORDER BY seq")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect()
    });
    read.expect("acts")
}

#[test]
fn the_deadline_is_one_month_and_never_a_day_that_there_is_not() {
    let day = |text: &str| text.parse::<Date>().expect("a day");
    assert_eq!(deadline(day("2026-08-15")), day("2026-09-15"));
    assert_eq!(deadline(day("2026-01-31")), day("2026-02-28"));
    assert_eq!(deadline(day("2026-12-31")), day("2027-01-31"));
}

#[test]
fn a_case_that_cannot_be_searched_is_refused_with_what_to_do() {
    let today: Date = "2026-09-01".parse().expect("a day");
    assert!(opening().judged(today).is_ok());
    for spoil in [
        |one: &mut Opening| one.day = "yesterday".into(),
        |one: &mut Opening| one.day = "2026-09-02".into(),
        |one: &mut Opening| one.time = "noon".into(),
        |one: &mut Opening| one.minutes = "0".into(),
        |one: &mut Opening| one.minutes = "721".into(),
        |one: &mut Opening| one.place = "booth:".into(),
        |one: &mut Opening| one.place = "'; DROP TABLE message".into(),
        |one: &mut Opening| one.asked = "money".into(),
        |one: &mut Opening| one.note = "x".repeat(501),
    ] {
        let mut spoilt = opening();
        spoil(&mut spoilt);
        assert!(
            matches!(spoilt.judged(today), Err(CityError::Refused(_))),
            "{spoilt:?}"
        );
    }
}

#[test]
fn a_case_finds_what_is_near_in_place_and_time_and_nothing_else_is_within_it() {
    let (city, centre, _folder) = city();
    arrives(&city, &centre);
    let who = person(7, &[Role::Administrator]);
    let id = open(&city, &who, &opening()).expect("a case");
    let case = open_one(&city, id).expect("open");
    // 10:00 UTC is 12:00 in Aarhus in August.
    let found = search(&city, &who, &case).expect("found");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, "near");
    assert!(within(&city, id, "near").is_ok());
    for other in ["later", "elsewhere", "nothing"] {
        assert!(within(&city, id, other).is_err(), "{other}");
    }
    let acts = acts(&city);
    assert_eq!(acts[0].0, "opened a case");
    assert_eq!(
        acts[1],
        (
            "searched for a case".into(),
            format!("case {id}"),
            "{\"found\":1}".into()
        )
    );
}

#[test]
fn the_zip_has_the_sound_the_words_and_the_facts() {
    let (city, centre, _folder) = city();
    arrives(&city, &centre);
    let written = city.store.change_quietly(|tx| {
        Ok(tx.execute(
            "UPDATE message SET transcript = 'Flere træer', decided_by = 3, second_by = 4 WHERE id = 'near'",
            [],
        )?)
    });
    written.expect("written");
    let who = person(7, &[Role::Administrator]);
    let id = open(&city, &who, &opening()).expect("a case");
    let bytes = taking::zip(&city, id, "near").expect("a ZIP");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).expect("it opens");
    let mut text = |name: &str| {
        let mut text = Vec::new();
        let mut file = zip.by_name(name).expect("it is there");
        file.read_to_end(&mut text).expect("it is whole");
        text
    };
    assert_eq!(text("sound.opus"), b"OggS sound");
    assert_eq!(text("transcript.txt"), "Flere træer".as_bytes());
    let facts: serde_json::Value = serde_json::from_slice(&text("facts.json")).expect("JSON");
    assert_eq!(facts["said_at"], "2026-08-03T10:00:00.000Z");
    assert!(facts.get("decided_by").is_none() && facts.get("second_by").is_none());
    centre.have().refuses = Some(crate::centre::CentreError::Sealed);
    assert!(
        taking::zip(&city, id, "near").is_err(),
        "without its sound it is no answer"
    );
}

#[test]
fn what_is_deleted_for_a_case_is_gone_and_is_no_withdrawal() {
    let (city, centre, _folder) = city();
    arrives(&city, &centre);
    let who = person(7, &[Role::Administrator]);
    let id = open(&city, &who, &opening()).expect("a case");
    assert!(delete(&city, &who, id, "later").is_err(), "it is not near");
    delete(&city, &who, id, "near").expect("deleted");
    assert_eq!(centre.have().deleted, [clip("near")]);
    let gone: Vec<(String, String)> = city
        .store
        .read(|db| {
            db.prepare("SELECT id, why FROM gone")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .expect("read");
    assert_eq!(gone, [("near".to_owned(), "case".to_owned())]);
    let last = acts(&city).pop().expect("an act");
    assert_eq!(
        (last.0.as_str(), last.1.as_str()),
        ("deleted for a case", "near")
    );
}

#[test]
fn a_hub_that_is_away_deletes_it_later_and_it_is_found_no_more() {
    let (city, centre, _folder) = city();
    arrives(&city, &centre);
    let who = person(7, &[Role::Administrator]);
    let id = open(&city, &who, &opening()).expect("a case");
    centre.have().refuses = Some(crate::centre::CentreError::Busy);
    delete(&city, &who, id, "near").expect("it is noted");
    assert!(within(&city, id, "near").is_err());
    centre.have().refuses = None;
    city.keep_retention().expect("looked");
    assert_eq!(centre.have().deleted, [clip("near")]);
}

#[test]
fn a_closed_case_keeps_no_place_no_time_and_no_message() {
    let (city, centre, _folder) = city();
    arrives(&city, &centre);
    let who = person(7, &[Role::Administrator]);
    let id = open(&city, &who, &opening()).expect("a case");
    did(&city, &who, "read for a case", id, "near").expect("noted");
    assert!(close(&city, &who, id, "anyhow").is_err());
    close(&city, &who, id, "done").expect("closed");
    let case = city
        .store
        .read(|db| one(db, id))
        .expect("read")
        .expect("there");
    assert_eq!(
        (
            case.place.as_str(),
            case.day.as_str(),
            case.time.as_str(),
            case.note.as_str()
        ),
        ("", "", "", "")
    );
    assert_eq!(case.outcome.as_deref(), Some("done"));
    assert!(!is_noted(&city, id, "near").expect("read"));
    assert!(
        within(&city, id, "near").is_err(),
        "nothing more is shown for it"
    );
}

#[tokio::test]
async fn pages_need_the_right_and_write_down_each_look() {
    let (city, centre, _folder) = city();
    arrives(&city, &centre);
    let pages = for_staff(&city);
    let (cookie, token) = seated(&city, "anna", &[Role::Administrator]);
    let form = format!(
        "form_token={token}&received=2026-08-31&asked=deletion&place=booth%3Arundhoej-1&day=2026-08-03&time=12%3A00&minutes=60&note=%3Cb%3E"
    );
    let (status, headers, text) = ask(&pages, request("/rights", &cookie, Some(&form))).await;
    assert_eq!(status, 303, "{text}");
    assert_eq!(headers["location"], "rights/1");
    let (status, _, text) = ask(&pages, request("/rights/1", &cookie, None)).await;
    assert_eq!(status, 200);
    assert!(text.contains("rights/1/message/near") && text.contains("&lt;b&gt;"));
    assert!(!text.contains("later"));
    let (status, _, text) = ask(&pages, request("/rights/1/message/near", &cookie, None)).await;
    assert_eq!(status, 200, "{text}");
    let (status, _, sound) = ask(&pages, request("/rights/1/sound/near", &cookie, None)).await;
    assert_eq!((status.as_u16(), sound.as_str()), (200, "OggS sound"));
    let token_only = format!("form_token={token}");
    let (status, headers, _) = ask(
        &pages,
        request("/rights/1/export/near", &cookie, Some(&token_only)),
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "application/zip");
    let (status, ..) = ask(
        &pages,
        request("/rights/1/delete/near", &cookie, Some(&token_only)),
    )
    .await;
    assert_eq!(status, 422, "nobody said that they are sure");
    let sure = format!("{token_only}&sure=yes");
    let (status, ..) = ask(
        &pages,
        request("/rights/1/delete/near", &cookie, Some(&sure)),
    )
    .await;
    assert_eq!(status, 303);
    let (status, ..) = ask(&pages, request("/rights/1/message/near", &cookie, None)).await;
    assert_eq!(status, 404);
    let did: Vec<String> = acts(&city).into_iter().map(|act| act.0).collect();
    for wanted in [
        "opened a case",
        "searched for a case",
        "read for a case",
        "heard for a case",
        "exported for a case",
        "deleted for a case",
    ] {
        assert!(did.iter().any(|what| what == wanted), "{wanted}: {did:?}");
    }
    let (cookie, token) = seated(&city, "mads", &[Role::Moderator, Role::Editor]);
    for page in [
        "/rights",
        "/rights/1",
        "/rights/1/message/later",
        "/rights/1/sound/later",
    ] {
        let (status, ..) = ask(&pages, request(page, &cookie, None)).await;
        assert_eq!(status, 403, "{page}");
    }
    for page in [
        "/rights",
        "/rights/1/export/later",
        "/rights/1/delete/later",
        "/rights/1/close",
    ] {
        let form = format!("form_token={token}&sure=yes");
        let (status, ..) = ask(&pages, request(page, &cookie, Some(&form))).await;
        assert_eq!(status, 403, "{page}");
    }
}
