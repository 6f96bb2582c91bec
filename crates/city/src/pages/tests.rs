//! The citizens' pages over a made-up year: what each must be, and what none may show.
#![allow(clippy::disallowed_methods)] // a test reads its language files

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use booth_contract::{MediaHash, Publish};
use tower::ServiceExt;

use super::picture::Picture;
use crate::City;
use crate::centre::{BoothNow, Campaign, Choice, Question};
use crate::config::CityConfig;
use crate::follow::forget;
use crate::made_up::{CAMPAIGNS, QUESTIONS, fill};
use crate::testing::{FakeCentre, city_with};
use crate::web::for_citizens;

mod stopped;

struct Town {
    city: Arc<City>,
    centre: Arc<FakeCentre>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

impl Town {
    async fn ask(&self, request: Request<Body>) -> Answer {
        let router: Router = for_citizens(&self.city);
        let response = router.oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 10_000_000)
            .await
            .expect("a body");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_vec(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        self.ask(request).await
    }

    fn change(&self, sql: &str) {
        let changed = self
            .city
            .store
            .change_quietly(|db| Ok(db.execute_batch(sql)?));
        changed.expect("changed");
        self.city.look_again();
    }

    fn one(&self, sql: &str) -> String {
        let found = self
            .city
            .store
            .read(|db| db.query_row(sql, [], |row| row.get(0)));
        found.expect("a row")
    }
}

fn languages() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("languages")
}

fn both(da: &str, en: &str) -> BTreeMap<String, String> {
    [("da", da), ("en", en)]
        .map(|(language, text)| (language.to_owned(), text.to_owned()))
        .into()
}

fn hash() -> MediaHash {
    MediaHash::parse(&"ab".repeat(32)).expect("a hash")
}

fn campaign(id: &str, title: &str, (asks, votes): (&str, &str)) -> Campaign {
    let spoken = Question {
        id: asks.into(),
        digit: 1,
        text: both(
            "Hvad skal der ske på torvet?",
            "What should happen on the square?",
        ),
        prompt: [("da".to_owned(), hash())].into(),
        options: Vec::new(),
        may_publish: Publish::Voice,
        max_seconds: Some(120),
        needs_code: false,
        answer: BTreeMap::new(),
        answer_prompt: BTreeMap::new(),
    };
    let option = |digit, da, en| Choice {
        digit,
        id: format!("o{digit}"),
        text: both(da, en),
        prompt: BTreeMap::new(),
    };
    let vote = Question {
        id: votes.into(),
        digit: 2,
        text: both(
            "Hvilken farve skal bænken have?",
            "Which colour should the bench have?",
        ),
        prompt: BTreeMap::new(),
        options: vec![option(2, "Grøn", "Green"), option(3, "Rød", "Red")],
        ..spoken.clone()
    };
    Campaign {
        id: id.into(),
        title: title.into(),
        from: None,
        until: None,
        booths: None,
        languages: vec!["da".into(), "en".into()],
        questions: vec![spoken, vote],
        notice: both(
            "Kommunen optager, hvad du siger nu.",
            "The city records what you say now.",
        ),
        children: "text".into(),
    }
}

/// A city with a made-up year of so many messages, in four languages.
fn town(messages: u64) -> Town {
    let config = CityConfig {
        languages: Some(languages()),
        offers: ["da", "en", "uk", "ar"].map(str::to_owned).into(),
        contact: "Borgerservice, tlf. 89 40 00 00".into(),
        ..CityConfig::default()
    };
    let (city, centre, folder) = city_with(config);
    {
        let mut have = centre.have();
        have.campaigns = CAMPAIGNS
            .iter()
            .zip(QUESTIONS)
            .map(|((id, da, _), asked)| campaign(id, da, asked))
            .collect();
        have.prompts.insert(hash().to_string(), (0..=255).collect());
        have.booths = (0..12)
            .map(|booth| BoothNow {
                id: format!("booth-{booth}"),
                name: format!("Boks {booth}"),
                is_ready: booth % 4 != 0,
                today: BTreeMap::new(),
                said_at: None,
            })
            .collect();
    }
    fill(&city.store, &city.zone, messages).expect("filled");
    Town {
        city,
        centre,
        _folder: folder,
    }
}

/// Every value of this attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let begin = format!(" {attribute}=\"");
    html.split(begin.as_str())
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

/// The address that a relative one means on this page.
fn resolved(page: &str, link: &str) -> String {
    let link = link.replace("&amp;", "&");
    let (path, query) = match link.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (link, None),
    };
    let page = page.split('?').next().expect("a path");
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            ".." => {
                assert!(parts.len() > 1, "{path} leads above the pages, on {page}");
                parts.pop();
            }
            "." => {}
            part => parts.push(part),
        }
    }
    let slash = if path.ends_with("./") || path == "." {
        "/"
    } else {
        ""
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{slash}{query}", parts.join("/"))
}

/// What must hold of every page.
fn check(page: &str, html: &str) {
    let language = page.split('/').nth(1).expect("a language");
    let direction = if language == "ar" { "rtl" } else { "ltr" };
    assert!(
        html.contains(&format!("<html lang=\"{language}\" dir=\"{direction}\">")),
        "{page} says its language and direction"
    );
    assert_eq!(
        html.matches("<h1").count(),
        1,
        "{page} has one first heading"
    );
    for banned in [
        "<script",
        "<style",
        " style=\"",
        "javascript:",
        " onclick=",
        " onload=",
    ] {
        assert!(!html.contains(banned), "{page} has {banned}");
    }
    assert!(
        html.contains("id=\"main\""),
        "{page} has its content marked"
    );
    for field in values(html, "id")
        .iter()
        .filter(|id| ["why", "theme"].contains(id))
    {
        assert!(
            html.contains(&format!("<label for=\"{field}\"")),
            "{page} names {field}"
        );
    }
    let ids = values(html, "id");
    let unique: BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{page} uses each id once: {ids:?}");
    for title in html
        .split("<svg")
        .skip(1)
        .map(|svg| svg.split('>').next().unwrap_or(""))
    {
        let is_named = title.contains("aria-labelledby")
            || title.contains("aria-label")
            || title.contains("aria-hidden");
        assert!(is_named, "{page}: a graphic without a name: {title}");
    }
    for link in values(html, "href").iter().chain(&values(html, "src")) {
        let is_ours = !link.contains("://") && !link.starts_with("//");
        assert!(
            is_ours || link.starts_with("data:,"),
            "{page} leads elsewhere: {link}"
        );
    }
}

/// Pages of other rooms that these pages lead to.
fn is_of_another_room(address: &str) -> bool {
    let rest = address.splitn(3, '/').nth(2).unwrap_or("");
    rest.starts_with("answer/") || rest == "withdraw"
}

#[tokio::test]
async fn every_page_that_a_link_leads_to_is_there_and_is_as_it_should_be() {
    let town = town(3_000);
    let mut waiting: Vec<String> = ["/da/", "/en/", "/uk/", "/ar/"].map(str::to_owned).into();
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut kinds = BTreeSet::new();
    let mut of_kind: BTreeMap<String, u32> = BTreeMap::new();
    while let Some(page) = waiting.pop() {
        let answer = town.get(&page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        assert!(!answer.headers.contains_key(header::SET_COOKIE), "{page}");
        let kind = answer.headers[header::CONTENT_TYPE]
            .to_str()
            .expect("text")
            .to_owned();
        kinds.insert(kind.clone());
        if !kind.starts_with("text/html") {
            assert!(!answer.body.is_empty(), "{page}");
            continue;
        }
        let html = answer.text();
        check(&page, &html);
        for link in values(&html, "href").iter().chain(&values(&html, "src")) {
            if link.starts_with("data:") || link.starts_with('#') {
                continue;
            }
            let address = resolved(&page, link);
            if is_of_another_room(&address) || !seen.insert(address.clone()) {
                continue;
            }
            // A few of each kind in each language: there are a thousand messages.
            let mut parts = address.split('/');
            let kind = format!(
                "{:?} {:?}",
                parts.nth(1),
                parts.next().map(|part| part.split('?').next())
            );
            let number = of_kind.entry(kind).or_default();
            *number += 1;
            if *number <= 6 && !address.starts_with("/sound/") {
                waiting.push(address);
            }
        }
    }
    for kind in [
        "image/svg+xml",
        "text/csv; charset=utf-8",
        "application/atom+xml; charset=utf-8",
        "text/css; charset=utf-8",
        "audio/ogg",
    ] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
    let pages = seen.iter().filter(|page| page.starts_with("/ar/")).count();
    assert!(pages > 30, "{pages} pages in Arabic");
}

#[tokio::test]
async fn nothing_is_shown_that_is_not_published() {
    let town = town(0);
    town.change(
        "INSERT INTO campaign (id, title, summary, is_public) VALUES ('secret', '{\"da\":\"Hemmelig\"}', '{}', 0);
         INSERT INTO message (id, kind, source, campaign_id, question_id, said_at, day, hour, weekday, received_at, duration_ms, recovered, may_publish, state, transcript, with_voice, child, published_at) VALUES
         ('m1','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','published','ordet er frit',1,0,'2026-06-02T10:00:00.000Z'),
         ('m2','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','waiting','HEMMELIGT venter',1,0,NULL),
         ('m3','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'no','published','HEMMELIGT nej',1,0,'2026-06-02T10:00:00.000Z'),
         ('m4','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','published','   ',1,0,'2026-06-02T10:00:00.000Z'),
         ('m5','audio','booth','secret','x','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','published','HEMMELIGT emne',1,0,'2026-06-02T10:00:00.000Z'),
         ('m6','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'text','published','kun tekst',1,0,'2026-06-02T10:00:00.000Z'),
         ('m7','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','published','et barn',1,1,'2026-06-02T10:00:00.000Z'),
         ('m8','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','rejected','HEMMELIGT afvist',1,0,NULL),
         ('m9','audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','heard','HEMMELIGT hørt',1,0,NULL);",
    );
    for page in [
        "/da/",
        "/da/messages",
        "/da/campaign/square-2026",
        "/da/question/square-2026/square",
        "/feed/square-2026.atom",
        "/da/kiosk",
        "/da/kiosk?slide=2",
        "/da/print/square-2026",
    ] {
        let answer = town.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        let html = answer.text();
        assert!(!html.to_uppercase().contains("HEMMELIG"), "{page}");
    }
    assert!(town.get("/da/").await.text().contains("ordet er frit"));
    for hidden in ["m2", "m3", "m4", "m5", "m8", "m9", "none"] {
        assert_eq!(
            town.get(&format!("/da/message/{hidden}")).await.status,
            StatusCode::NOT_FOUND,
            "{hidden}"
        );
        assert_eq!(
            town.get(&format!("/sound/{hidden}.opus")).await.status,
            StatusCode::NOT_FOUND,
            "{hidden}"
        );
    }
    assert_eq!(
        town.get("/da/campaign/secret").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        town.get("/feed/secret.atom").await.status,
        StatusCode::NOT_FOUND
    );
    // Text alone, and a child: to be read, not to be heard.
    for (id, text) in [("m6", "kun tekst"), ("m7", "et barn")] {
        let html = town.get(&format!("/da/message/{id}")).await.text();
        assert!(html.contains(text) && !html.contains("<audio"), "{id}");
        assert_eq!(
            town.get(&format!("/sound/{id}.opus")).await.status,
            StatusCode::NOT_FOUND,
            "{id}"
        );
    }
    assert!(
        town.get("/da/message/m1")
            .await
            .text()
            .contains("sound/m1.opus")
    );
}

#[tokio::test]
async fn a_message_that_was_taken_back_is_gone_from_every_page_and_counted_as_that() {
    let town = town(0);
    town.change(
        "INSERT INTO message (id, kind, source, campaign_id, question_id, said_at, day, hour, weekday, received_at, duration_ms, recovered, may_publish, state, transcript, published_at)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
         SELECT 'm' || i, 'audio','booth','square-2026','square','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','published','ord nummer ' || i,'2026-06-02T10:00:00.000Z' FROM n;",
    );
    assert!(town.get("/da/").await.text().contains("ord nummer 10"));
    for number in 6..=10 {
        let gone = town
            .city
            .store
            .change_quietly(|db| Ok(crate::follow::forget(db, &format!("m{number}"))?));
        gone.expect("gone");
    }
    town.city.look_again();
    for page in [
        "/da/",
        "/da/campaign/square-2026",
        "/feed/square-2026.atom",
        "/da/messages",
        "/da/kiosk?slide=1",
    ] {
        let html = town.get(page).await.text();
        assert!(!html.contains("ord nummer 10"), "{page}");
    }
    assert_eq!(
        town.get("/da/message/m10").await.status,
        StatusCode::NOT_FOUND
    );
    let html = town.get("/en/").await.text();
    let figure = |number: &str, label: &str| format!("<dt>{label}</dt><dd>{number}</dd>");
    for (number, label) in [
        ("10", "messages received"),
        ("5", "messages published"),
        ("5", "messages taken back"),
    ] {
        assert!(html.contains(&figure(number, label)), "{number} {label}");
    }
}

#[tokio::test]
async fn numbers_are_counted_anew_where_the_database_or_what_is_asked_has_changed_and_else_not() {
    let town = town(300);
    let newest = |before: &Picture| Picture::of(&town.city, Some(before)).expect("numbers");
    let first = Picture::of(&town.city, None).expect("numbers");
    assert!(newest(&first).has_the_numbers_of(&first));
    // By another program, e.g. `booth-hub areas import`.
    let path = town._folder.path().join("city.sqlite");
    let other = booth_database::Connection::open(path).expect("opens");
    let taken = other.execute(
        "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE kind <> 'choice' LIMIT 100)",
        [],
    );
    assert_eq!(taken.expect("deleted"), 100);
    let second = newest(&first);
    assert!(!second.has_the_numbers_of(&first));
    assert_eq!(second.whole().received() + 100, first.whole().received());
    assert!(newest(&second).has_the_numbers_of(&second));
    // The booths of a campaign say which ready minutes are its own.
    let minutes = |picture: &Picture| picture.of_campaign("square-2026").ready_minutes;
    town.centre.have().campaigns[0].booths = Some(vec!["booth-1".into()]);
    let third = newest(&second);
    assert!(minutes(&third) > 0 && minutes(&third) < minutes(&second));
    town.change("UPDATE campaign SET is_public = 0 WHERE id = 'square-2026';");
    let fourth = newest(&third);
    assert_eq!(fourth.of_campaign("square-2026").received(), 0);
    assert!(fourth.whole().received() < third.whole().received());
}

#[tokio::test]
async fn a_page_that_was_drawn_is_sent_from_memory_until_the_city_has_changed() {
    let town = town(300);
    let picture = town.city.picture().await.expect("numbers");
    let first = town.get("/da/").await;
    assert!(picture.ready("da/").is_ok());
    assert_eq!(first.body, town.get("/da/").await.body);
    town.change("UPDATE campaign SET title = '{\"da\":\"Et nyt navn\"}' WHERE id = 'square-2026';");
    assert!(town.get("/da/").await.text().contains("Et nyt navn"));
}

#[tokio::test]
async fn a_page_whose_words_are_not_shown_any_more_is_not_sent_again_and_not_kept() {
    let town = town(300);
    let id = town.one("SELECT id FROM message WHERE state = 'published' ORDER BY published_at DESC, id DESC LIMIT 1");
    let address = format!("message/{id}");
    assert!(town.get("/da/").await.text().contains(&address));
    let deleted = town.city.store.change_quietly(|db| Ok(forget(db, &id)?));
    deleted.expect("deleted");
    town.city.forget_pages();
    assert!(!town.get("/da/").await.text().contains(&address));
    // A page whose words were read before they were forgotten, and which is ready only then.
    town.city.look_again();
    let picture = town.city.picture().await.expect("numbers");
    let late = picture.ready("late").expect_err("not drawn yet");
    town.city.forget_pages();
    let page = super::picture::Ready {
        plain: Default::default(),
        gzip: Default::default(),
    };
    picture.keep(late, "late".into(), page);
    assert!(picture.ready("late").is_err());
}

#[tokio::test]
async fn words_of_citizens_and_names_are_never_markup() {
    let town = town(0);
    let bad = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    town.city
        .store
        .change_quietly(|db| {
            db.execute(
                "INSERT INTO message (id, kind, source, campaign_id, question_id, area_id, said_at, day, hour, weekday, received_at, duration_ms, recovered, may_publish, state, transcript, published_at)
                 VALUES ('m1','audio','booth','square-2026','square','a0','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice','published',?1,'2026-06-02T10:00:00.000Z')",
                [bad],
            )?;
            db.execute("UPDATE area SET name = ?1", [bad])?;
            db.execute("UPDATE theme SET name = ?1 WHERE id = 1", [bad])?;
            db.execute("UPDATE campaign SET title = ?1, reply = ?1", [bad])?;
            db.execute("UPDATE placement SET place = ?1", [bad])?;
            db.execute("INSERT INTO message_theme (message_id, theme_id) VALUES ('m1', 1)", [])?;
            Ok(())
        })
        .expect("changed");
    town.city.look_again();
    for page in [
        "/da/",
        "/da/messages",
        "/da/message/m1",
        "/da/area/a0",
        "/da/campaign/square-2026",
        "/da/kiosk?slide=1",
        "/da/print/square-2026",
        "/feed/square-2026.atom",
        "/chart/da/city/map.svg",
    ] {
        let answer = town.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        let html = answer.text();
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{page}"
        );
        assert!(html.contains("&lt;script"), "{page} shows it as what it is");
    }
}

#[tokio::test]
async fn graphics_are_whole_files_and_their_tables_have_the_same_numbers() {
    let town = town(3_000);
    for (scope, names) in [
        (
            "city",
            &["map", "themes", "weeks", "hours", "trends", "matrix"][..],
        ),
        ("campaign.square-2026", &["path", "map", "themes", "weeks"]),
        ("question.square-2026.colour", &["votes"]),
        ("area.a1", &["themes", "hours"]),
    ] {
        for name in names {
            for language in ["da", "ar"] {
                let address = format!("/chart/{language}/{scope}/{name}");
                let svg = town.get(&format!("{address}.svg")).await;
                assert_eq!(svg.status, StatusCode::OK, "{address}");
                let svg = svg.text();
                assert!(
                    svg.starts_with("<?xml")
                        && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""),
                    "{address}"
                );
                assert!(
                    svg.contains("<title id=") && svg.contains("<desc id="),
                    "{address}"
                );
                let direction = if language == "ar" {
                    "direction=\"rtl\""
                } else {
                    "direction=\"ltr\""
                };
                assert!(
                    svg.contains(direction) && !svg.contains("style="),
                    "{address}"
                );
                let mut reader = quick_xml::Reader::from_str(&svg);
                loop {
                    match reader.read_event() {
                        Ok(quick_xml::events::Event::Eof) => break,
                        Ok(_) => {}
                        Err(error) => panic!("{address}: {error}"),
                    }
                }
                let csv = town.get(&format!("{address}.csv")).await.text();
                assert!(csv.lines().count() > 2, "{address}: {csv}");
            }
        }
    }
    let csv = town.get("/chart/en/city/map.csv").await.text();
    assert!(csv.starts_with("Area,All messages,from a booth,from the web,by telephone,from a workshop,Booth-days,messages per booth-day"), "{csv}");
    let without = csv
        .lines()
        .find(|line| line.starts_with("11 "))
        .expect("an area");
    assert!(without.contains("no booth"), "{without}");
}

#[tokio::test]
async fn no_count_on_any_page_lies_between_one_and_four() {
    let town = town(0);
    town.change(
        "INSERT INTO message (id, kind, source, campaign_id, question_id, area_id, said_at, day, hour, weekday, received_at, duration_ms, recovered, may_publish, state)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 13)
         SELECT 'm' || i, 'audio', iif(i < 4, 'web', 'booth'), 'square-2026', 'square', 'a' || (i % 3), '2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',9000,0,'voice', iif(i < 3, 'rejected', 'heard') FROM n;",
    );
    for chart in ["map", "weeks", "hours"] {
        let csv = town
            .get(&format!("/chart/en/city/{chart}.csv"))
            .await
            .text();
        for cell in csv
            .lines()
            .skip(1)
            .flat_map(|line| line.split(',').skip(1).take(5))
        {
            let number: u64 = cell.parse().unwrap_or(0);
            assert_eq!(number % 5, 0, "{chart}: {cell}");
        }
    }
    let html = town.get("/en/").await.text();
    assert!(
        html.contains("<dt>messages rejected</dt><dd>under 5</dd>"),
        "two were rejected"
    );
    assert!(
        html.contains(
            "<dt>messages received</dt><dd>10</dd><dd class=\"below\">from a booth 10</dd>"
        ),
        "thirteen came, three of them from the web"
    );
}

#[tokio::test]
async fn a_reader_gets_the_language_that_the_browser_likes_and_every_link_keeps_it() {
    let town = town(0);
    for (says, gets) in [
        (Some("en-GB,en;q=0.9,da;q=0.8"), "./en/"),
        (Some("de, ar;q=0.5"), "./ar/"),
        (Some("uk;q=0"), "./da/"),
        (Some("\u{7f}nonsense;;q=x,,"), "./da/"),
        (None, "./da/"),
    ] {
        let mut request = Request::get("/");
        if let Some(says) = says.filter(|says| says.is_ascii() && !says.contains('\u{7f}')) {
            request = request.header(header::ACCEPT_LANGUAGE, says);
        }
        let answer = town
            .ask(request.body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.headers[header::LOCATION], gets, "{says:?}");
    }
    let html = town.get("/en/campaign/square-2026").await.text();
    assert!(
        html.contains("href=\"../../da/campaign/square-2026\""),
        "the same page in Danish"
    );
    assert_eq!(town.get("/fr/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(town.get("/da").await.headers[header::LOCATION], "./da/");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_readers_language_and_in_the_pages_frame() {
    let town = town(0);
    for (page, title) in [
        ("/da/campaign/none", "Den side er her ikke"),
        ("/en/message/none", "That page is not here"),
        ("/ar/area/none", ""),
    ] {
        let answer = town.get(page).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
        let html = answer.text();
        check(page, &html);
        assert!(html.contains(title), "{page}");
    }
    let html = town.get("/nowhere/at/all").await.text();
    assert!(html.contains("<h1"), "{html}");
}

#[tokio::test]
async fn a_report_is_kept_for_a_moderator_without_a_trace_of_who_sent_it_and_only_some_of_them() {
    let town = town(500);
    let id = town.one("SELECT id FROM message WHERE state = 'published' LIMIT 1");
    let send = |why: &str| {
        Request::post(format!("/da/message/{id}/report"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("why={why}")))
            .expect("a request")
    };
    for _ in 0..8 {
        let answer = town.ask(send("Den+n%C3%A6vner+min+nabo")).await;
        assert_eq!(answer.status, StatusCode::OK);
        check(&format!("/da/message/{id}"), &answer.text());
    }
    assert_eq!(
        town.one("SELECT CAST(count(*) AS TEXT) FROM complaint WHERE why = 'Den nævner min nabo'"),
        "5"
    );
    assert_eq!(
        town.ask(send("++")).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    // One visitor fills nobody's desk, whatever the messages are.
    let from = |last: u8| {
        let mut request = send("Igen");
        let peer = crate::web::peer::Peer(std::net::Ipv4Addr::new(192, 0, 2, last).into());
        request.extensions_mut().insert(peer);
        request
    };
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(town.ask(from(1)).await.status);
    }
    assert_eq!(statuses.pop(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert!(statuses.iter().all(|status| *status == StatusCode::OK));
    assert_eq!(town.ask(from(2)).await.status, StatusCode::OK);
    let other = Request::post("/da/message/none/report")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("why=x"))
        .expect("a request");
    assert_eq!(town.ask(other).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_hub_that_is_away_is_said_plainly_and_costs_nothing() {
    let town = town(100);
    town.change("ALTER TABLE message RENAME TO away;");
    let answer = town.get("/da/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let html = answer.text();
    assert!(
        html.contains("Intet er gjort halvt") && !html.contains("no such table"),
        "{html}"
    );
    town.change("ALTER TABLE away RENAME TO message;");
    assert_eq!(town.get("/da/").await.status, StatusCode::OK);
    drop(town.centre);
}

#[tokio::test]
async fn a_prompt_can_be_sought_and_the_kiosk_goes_on_by_itself() {
    let town = town(200);
    let request = Request::get(format!("/prompt/{}.opus", hash()))
        .header(header::RANGE, "bytes=4-7")
        .body(Body::empty())
        .expect("a request");
    let answer = town.ask(request).await;
    assert_eq!(
        (answer.status, answer.body),
        (StatusCode::PARTIAL_CONTENT, vec![4, 5, 6, 7])
    );
    for bad in [
        "/prompt/x.opus",
        "/prompt/..%2f..%2fetc%2fpasswd.opus",
        "/sound/..%2fx.opus",
    ] {
        assert_eq!(town.get(bad).await.status, StatusCode::NOT_FOUND, "{bad}");
    }
    let kiosk = town.get("/da/kiosk?slide=3").await;
    assert_eq!(kiosk.headers["refresh"], "20; url=kiosk?slide=4");
    assert!(
        !town
            .get("/da/kiosk?slide=3&stay=1")
            .await
            .headers
            .contains_key("refresh")
    );
}

/// The texts of a language file, by the headings of their rooms.
fn names(language: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text =
        std::fs::read_to_string(languages().join(format!("{language}.ftl"))).expect("a file");
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut room = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            room = heading.to_owned();
        } else if let Some((name, _)) = line.split_once(" =")
            && !name.starts_with([' ', '#', '-'])
        {
            rooms
                .entry(room.clone())
                .or_default()
                .insert(name.to_owned());
        }
    }
    rooms
}

/// Rooms whose texts citizens read.
const FOR_CITIZENS: [&str; 5] = ["", "pages", "draw", "home", "withdraw"];

#[test]
fn every_language_says_everything_that_danish_says_to_citizens() {
    let danish = names("da");
    let english = names("en");
    for (room, wanted) in &danish {
        let has = english.get(room).cloned().unwrap_or_default();
        assert_eq!(&has, wanted, "## {room} in English");
    }
    for language in ["uk", "ar"] {
        let has = names(language);
        for room in FOR_CITIZENS {
            let said = has.get(room).cloned().unwrap_or_default();
            let wanted = danish.get(room).into_iter().flatten();
            let missing: Vec<&String> = wanted.filter(|name| !said.contains(*name)).collect();
            assert!(
                missing.is_empty(),
                "{language} lacks in ## {room}: {missing:?}"
            );
        }
    }
}

#[test]
fn plural_rules_are_each_languages_own() {
    let town = town(0);
    let words = &town.city.words;
    let said = |language: &str, n: u64| {
        let gaps = [("n", n.into()), ("shown", n.to_string().into())];
        words.say_with(language, "votes-n", &gaps)
    };
    assert_eq!(
        (said("da", 1), said("da", 20)),
        ("1 afgivet stemme".into(), "20 afgivne stemmer".into())
    );
    let ukrainian: BTreeSet<String> = [1, 3, 5]
        .map(|n| said("uk", n).replace(char::is_numeric, ""))
        .into();
    assert_eq!(ukrainian.len(), 3, "{ukrainian:?}");
    let arabic: BTreeSet<String> = [2, 5, 20, 100]
        .map(|n| said("ar", n).replace(char::is_numeric, ""))
        .into();
    assert!(arabic.len() >= 3, "{arabic:?}");
}

/// `BOOTH_CITY_PAGES=127.0.0.1:8099 cargo test -p booth-city -- --ignored --nocapture looked_at`: serves a made-up year, for tests/browser
/// and for people; it ends when it is killed.
#[tokio::test]
#[ignore = "serves pages to be looked at until it is killed"]
async fn a_made_up_year_to_be_looked_at() {
    let town = town(6_000);
    let address = std::env::var("BOOTH_CITY_PAGES").expect("BOOTH_CITY_PAGES=address:port");
    let listener = tokio::net::TcpListener::bind(&address)
        .await
        .expect("a free port");
    println!("http://{address}/");
    axum::serve(listener, for_citizens(&town.city))
        .await
        .expect("served");
}
