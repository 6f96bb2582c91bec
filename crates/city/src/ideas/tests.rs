//! Ideas over the database and on their pages.

use std::sync::Arc;

use axum::http::StatusCode;
use booth_host::clock;

use super::*;
use crate::City;
use crate::people::Role;
use crate::testing::{FakeCentre, ask, city, request, seated, spoken};
use crate::web::for_staff;

fn with(ids: &[&str]) -> (Arc<City>, Arc<FakeCentre>, tempfile::TempDir) {
    let (city, centre, folder) = city();
    for id in ids {
        centre.have().arrived.push(spoken(id));
    }
    let mut other = spoken("other");
    other.campaign_id = Some("havn".into());
    centre.have().arrived.push(other);
    city.follow(false).expect("taken over");
    (city, centre, folder)
}

fn texts(text: &str) -> Texts {
    [("da".to_owned(), text.to_owned())].into()
}

fn made(city: &City) -> i64 {
    let made = city.store.change_quietly(|tx| {
        make(
            tx,
            clock::wall(),
            1,
            "plads",
            &texts("En bænk"),
            &Texts::new(),
        )
    });
    made.expect("an idea")
}

#[test]
fn every_message_keeps_the_link_to_what_became_of_it_and_one_of_another_campaign_stays_outside() {
    let (city, centre, _folder) = with(&["a", "b"]);
    let id = made(&city);
    let added = city.store.change_quietly(|tx| {
        let wanted = ["a", "b", "other", "none", "a"].map(str::to_owned);
        Ok(add(tx, id, &wanted)?)
    });
    assert_eq!(added.expect("added"), 2);
    let vote = VotePlace {
        campaign: "afstemning".into(),
        question: "hvilken".into(),
        digit: 3,
    };
    let outcome = texts("Bænken står der");
    city.store
        .change_quietly(|tx| {
            set_vote(tx, id, Some(&vote))?;
            write(
                tx,
                clock::wall(),
                id,
                &texts("En bænk"),
                &texts("Under træet"),
                &outcome,
            )
        })
        .expect("written");
    let of = |message: &str| {
        city.store
            .read(|db| of_message(db, message))
            .expect("ideas")
    };
    let idea = of("a").pop().expect("an idea");
    assert_eq!(
        (idea.vote.as_ref(), idea.outcome.as_ref(), idea.messages),
        (Some(&vote), Some(&outcome), 2)
    );
    assert!(idea.outcome_at.is_some());
    centre.have().gone.push("b".to_owned().into());
    city.follow(false).expect("let go");
    assert_eq!(of("a")[0].messages, 1);
    city.store
        .change_quietly(|tx| {
            take_out(tx, id, "a")?;
            set_vote(tx, id, None)?;
            Ok(())
        })
        .expect("taken out");
    assert_eq!(of("a"), []);
    let idea = city
        .store
        .read(|db| super::idea(db, id))
        .expect("a store")
        .expect("an idea");
    assert_eq!(idea.vote, None);
}

#[test]
fn an_idea_has_a_title() {
    let (city, _, _folder) = with(&[]);
    for title in [Texts::new(), texts(" \u{202e} ")] {
        let refused = city
            .store
            .change_quietly(|tx| make(tx, clock::wall(), 1, "plads", &title, &Texts::new()));
        assert!(matches!(refused, Err(CityError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_idea_is_made_filled_and_answered_by_plain_forms_and_only_by_moderators() {
    let (city, centre, _folder) = with(&["a"]);
    drop(centre);
    city.store
        .change_quietly(|tx| {
            tx.execute("UPDATE message SET state = 'heard', transcript = 'En <b>bænk</b>', transcript_lang = 'da' WHERE id = 'a'", [])?;
            Ok(())
        })
        .expect("heard");
    let pages = for_staff(&city);
    let (cookie, token) = seated(&city, "anna", &[Role::Moderator]);
    let post = async |path: &str, form: &str| {
        let form = format!("form_token={token}&{form}");
        ask(&pages, request(path, &cookie, Some(&form))).await
    };
    let (status, headers, _) = post(
        "/ideas",
        "campaign=plads&title_da=B%C3%A6nke&title_en=Benches&body_da=",
    )
    .await;
    assert_eq!(
        (status, &headers["location"]),
        (StatusCode::SEE_OTHER, &"ideas/1".parse().expect("a value"))
    );
    let (status, _, page) = ask(&pages, request("/ideas/1?words=b%C3%A6nk", &cookie, None)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        page.contains("Benches") && page.contains("&lt;b&gt;bænk&lt;/b&gt;"),
        "{page}"
    );
    post("/ideas/1/messages", "message=a&message=other").await;
    let shown = page.split_once("name=\"seen\" value=\"");
    let seen = shown.and_then(|(_, rest)| rest.split('"').next());
    let seen = format!("title_en=Benches&seen={}", seen.expect("what was seen"));
    post("/ideas/1", &format!("{seen}&outcome_en=They+stand")).await;
    // A form that was drawn before does not erase what came of it.
    let (status, _, page) = post("/ideas/1", &format!("{seen}&outcome_en=")).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
    let (_, _, page) = ask(&pages, request("/ideas/1", &cookie, None)).await;
    assert!(
        page.contains("They stand") && page.contains("ideas/1/out"),
        "{page}"
    );
    let (cookie, _) = seated(&city, "erik", &[Role::Editor]);
    let (status, ..) = ask(&pages, request("/ideas/1", &cookie, None)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
