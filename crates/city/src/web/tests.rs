//! Attacks on the door, and what it does for whoever may come in.

mod in_danish;

use std::net::IpAddr;

use axum::Router;
use axum::http::StatusCode;
use booth_contract::time::Mono;

use super::peer::Peer;
use super::{LoginLimits, Need, behind_the_door, for_staff};
use crate::City;
use crate::config::CityConfig;
use crate::people::accounts::{self, NewAccount};
use crate::people::{Right, Role, passwords};
use crate::testing::{ask, city, city_with, request, seated};

const PASSWORD: &str = "en rød telefon på torvet";

fn with_password(city: &City, name: &str) {
    let new = NewAccount {
        name: name.into(),
        shown_name: String::new(),
        roles: [Role::Administrator].into(),
        languages: vec!["en".into()],
        kept_password: Some(passwords::kept_of(PASSWORD, name).expect("good")),
        subject: None,
    };
    let now = booth_host::clock::wall();
    let added = city.store.change_quietly(|tx| accounts::add(tx, now, &new));
    added.expect("added");
}

fn encoded(text: &str) -> String {
    let bytes = text.bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}

fn credentials(name: &str, password: &str, next: &str) -> String {
    let (name, password, next) = (encoded(name), encoded(password), encoded(next));
    format!("name={name}&password={password}&next={next}")
}

async fn log_in(pages: &Router, cookie: &str, form: &str) -> (StatusCode, String, String, String) {
    let (status, headers, text) = ask(pages, request("/login", cookie, Some(form))).await;
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    (status, header("location"), header("set-cookie"), text)
}

#[tokio::test]
async fn a_login_gives_a_new_cookie_that_no_script_reads_and_leads_on() {
    let (city, _, _folder) = city();
    with_password(&city, "anna");
    let pages = for_staff(&city);
    let form = credentials(" Anna ", PASSWORD, "desk/x?y=1");
    let (status, location, cookie, _) = log_in(&pages, "", &form).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(location, "./desk/x?y=1");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    // The session that the browser had before is over, and its secret is not used again: nobody can plant one.
    let planted = cookie.split(';').next().expect("a pair").to_owned();
    let (_, _, again, _) = log_in(&pages, &planted, &form).await;
    assert_ne!(planted, again.split(';').next().expect("a pair"));
    let (status, ..) = ask(&pages, request("/logout", &planted, Some("form_token=x"))).await;
    assert_eq!(status, StatusCode::SEE_OTHER, "to the login");
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_told_the_same_and_only_so_often() {
    let (city, _, _folder) = city();
    with_password(&city, "anna");
    let pages = for_staff(&city);
    let (status, _, cookie, wrong) = log_in(&pages, "", &credentials("anna", "x", "")).await;
    assert_eq!(
        (status, cookie.as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "")
    );
    let (_, _, _, unknown) = log_in(&pages, "", &credentials("nobody", "x", "")).await;
    assert_eq!(wrong, unknown);
    for (name, host) in [("anna", 1), ("nobody", 2)] {
        let mut told = Vec::new();
        for _ in 0..11 {
            let from = Peer([192, 0, 2, 10 * host].into());
            let mut tried = request("/login", "", Some(&credentials(name, "x", "")));
            tried.extensions_mut().insert(from);
            told.push(ask(&pages, tried).await.0);
        }
        let wrong = |status: &&StatusCode| **status == StatusCode::UNPROCESSABLE_ENTITY;
        assert_eq!(told.iter().filter(wrong).count(), 10, "{name}: {told:?}");
        assert_eq!(told.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    }
}

#[test]
fn a_visitor_who_guesses_keeps_nobody_else_out_and_a_name_is_not_guessed_at_from_everywhere() {
    let limits = LoginLimits::default();
    let visitor = |n: u8| IpAddr::from([192, 0, 2, n]);
    let name = [7; 32];
    // One from one place, slowly enough for the limit of all together.
    let tries = |from: u8, begun_s: u64| {
        let take = |n| limits.take(Mono(1_000 * (begun_s + n)), visitor(from), name);
        (0..60).filter(|n| take(*n)).count()
    };
    assert!((10..13).contains(&tries(1, 0)));
    assert!(
        limits.take(Mono(60_000), visitor(2), name),
        "whose name it is"
    );
    // One visitor after the other, each for a minute: a hundred, and three more each minute.
    let all: usize = (3..30).map(|from| tries(from, 60 * u64::from(from))).sum();
    assert!((150..200).contains(&all), "{all}");
}

#[tokio::test]
async fn the_way_back_from_the_login_leads_to_a_page_of_ours_and_nowhere_else() {
    let (city, _, _folder) = city();
    with_password(&city, "anna");
    let pages = for_staff(&city);
    for next in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\evil.example",
        "javascript:alert(1)",
        "desk/../../x",
        "..//evil.example",
        ".//evil.example",
        "desk\r\nSet-Cookie: x=y",
        "login?next=login",
        "%2f%2fevil.example",
        "/evil.example",
    ] {
        let (_, location, ..) = log_in(&pages, "", &credentials("anna", PASSWORD, next)).await;
        assert_eq!(location, "./rights", "{next}");
    }
}

#[tokio::test]
async fn a_change_needs_a_page_of_ours_a_session_and_its_token() {
    let (city, _, _folder) = city();
    let (cookie, token) = seated(&city, "anna", &[Role::Moderator]);
    let (other_cookie, other_token) = seated(&city, "bo", &[Role::Moderator]);
    let pages = for_staff(&city);
    let form = format!("form_token={token}");
    for (site, status) in [
        ("cross-site", StatusCode::FORBIDDEN),
        ("same-site", StatusCode::FORBIDDEN),
        ("", StatusCode::FORBIDDEN),
    ] {
        let mut forged = request("/logout", &cookie, Some(&form));
        let headers = forged.headers_mut();
        headers.insert("sec-fetch-site", site.parse().expect("a value"));
        assert_eq!(ask(&pages, forged).await.0, status, "{site}");
    }
    for (origin, wanted) in [
        (None, StatusCode::FORBIDDEN),
        (Some("null"), StatusCode::FORBIDDEN),
        (Some("https://evil.example"), StatusCode::FORBIDDEN),
        (
            Some("https://localhost.evil.example"),
            StatusCode::FORBIDDEN,
        ),
        (Some("http://localhost:9"), StatusCode::FORBIDDEN),
    ] {
        let mut forged = request("/logout", &cookie, Some(&form));
        forged.headers_mut().remove("sec-fetch-site");
        if let Some(origin) = origin {
            let headers = forged.headers_mut();
            headers.insert("origin", origin.parse().expect("a value"));
        }
        assert_eq!(ask(&pages, forged).await.0, wanted, "{origin:?}");
    }
    for form in [
        String::new(),
        "form_token=".into(),
        format!("form_token={other_token}"),
        format!("a=b&x_form_token={token}"),
    ] {
        let (status, _, text) = ask(&pages, request("/logout", &cookie, Some(&form))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{form}");
        assert!(text.contains("not of your session"), "{text}");
    }
    let (status, headers, _) = ask(&pages, request("/logout", "", Some(&form))).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(headers["location"], "login");
    let right = format!("a=b&form_token={other_token}");
    let (status, headers, _) = ask(&pages, request("/logout", &other_cookie, Some(&right))).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert!(
        headers["set-cookie"]
            .to_str()
            .expect("text")
            .contains("Max-Age=0")
    );
    let mut scripted = request("/logout", &cookie, Some(""));
    let headers = scripted.headers_mut();
    headers.insert("x-form-token", token.parse().expect("a value"));
    assert_eq!(ask(&pages, scripted).await.0, StatusCode::SEE_OTHER);
}

fn hubs_pages(city: &std::sync::Arc<City>) -> Router {
    let pages = Router::new()
        .route("/", axum::routing::get(|| async { "what citizens said" }))
        .route("/operations", axum::routing::get(|| async { "booths" }))
        .route("/clips/{id}", axum::routing::get(|| async { "a sound" }))
        .route("/withdraw", axum::routing::post(|| async { "taken back" }));
    behind_the_door(city, pages, |path| match path {
        "/" => Need::Right(Right::Listen),
        "/operations" => Need::Right(Right::Operate),
        _ if path.starts_with("/clips/") => Need::Right(Right::Listen),
        _ => Need::Nothing,
    })
}

#[tokio::test]
async fn the_hubs_own_pages_need_a_login_as_soon_as_there_is_an_account() {
    let (city, _, _folder) = city();
    let pages = hubs_pages(&city);
    let (status, _, text) = ask(&pages, request("/", "", None)).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "what citizens said")
    );
    let (cookie, _) = seated(&city, "anna", &[Role::Moderator]);
    let (status, headers, _) = ask(&pages, request("/", "", None)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(headers["location"], "login");
    assert_eq!(
        ask(&pages, request("/", &cookie, None)).await.0,
        StatusCode::OK
    );
    let (status, headers, text) = ask(&pages, request("/operations", &cookie, None)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(
        text.contains("booths&#39; operation") || text.contains("booths' operation"),
        "{text}"
    );
    assert!(
        headers["content-security-policy"]
            .to_str()
            .expect("text")
            .contains("style-src 'self'")
    );
    // Whoever hears a clip is written down, once for each time that it begins, and whoever hears it without its beginning, too.
    for (clip, range) in [
        ("0190", None),
        ("0190", Some("bytes=0-")),
        ("0190", Some("bytes=5000-")),
        ("0191", Some("bytes=1-")),
        ("0191", Some("bytes=-99999999")),
    ] {
        let mut heard = request(&format!("/clips/{clip}.opus"), &cookie, None);
        if let Some(range) = range {
            let range = range.parse().expect("a value");
            heard.headers_mut().insert("range", range);
        }
        assert_eq!(ask(&pages, heard).await.0, StatusCode::OK);
    }
    let acts = |clip: &str| {
        let acts = city
            .store
            .read(|db| crate::store::acts_before(db, None, clip, 10));
        acts.expect("reads")
    };
    assert_eq!(acts("0191").len(), 1);
    let acts = acts("0190");
    assert_eq!(acts.len(), 2);
    assert!(
        acts.iter()
            .all(|act| act.what == "listened" && act.who.ends_with(" anna"))
    );
    // Citizens take a message back without a login and without a token.
    let (status, ..) = ask(&pages, request("/withdraw", "", Some("receipt=1"))).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_form_on_the_hubs_own_pages_says_where_it_comes_from() {
    let (city, _, _folder) = city();
    let (_, headers, _) = ask(&hubs_pages(&city), request("/", "", None)).await;
    assert_eq!(headers["referrer-policy"], "same-origin");
}

#[tokio::test]
async fn behind_a_proxy_nobody_hears_anything_before_the_first_account() {
    let config = CityConfig {
        is_behind_tls: true,
        ..CityConfig::default()
    };
    let (city, _, _folder) = city_with(config);
    let (status, ..) = ask(&hubs_pages(&city), request("/", "", None)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    with_password(&city, "anna");
    let (_, _, cookie, _) = log_in(&for_staff(&city), "", &credentials("anna", PASSWORD, "")).await;
    assert!(
        cookie.starts_with("__Host-booth-hub=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_session_ends_when_it_rests_when_it_is_old_and_when_its_account_changes() {
    use crate::people::{accounts, sessions};
    use jiff::SignedDuration;
    let (city, _, _folder) = city();
    let began = booth_host::clock::wall();
    let start = || {
        let begun = city.store.change_quietly(|tx| {
            let new = NewAccount {
                name: format!("p{}", uuid::Uuid::from_u128(rand_of()).simple()),
                shown_name: String::new(),
                roles: [Role::Administrator, Role::Moderator].into(),
                languages: Vec::new(),
                kept_password: None,
                subject: None,
            };
            let id = accounts::add(tx, began, &new)?;
            Ok((id, sessions::begin(tx, began, id)?))
        });
        begun.expect("a session")
    };
    let is_in = |secret: &sessions::Secret, after: SignedDuration| {
        let looked = city
            .store
            .read(|db| sessions::look(db, began + after, "2026-01-01", secret));
        looked.expect("reads").is_some()
    };
    let hours = SignedDuration::from_hours;
    let (_, rests) = start();
    assert!(is_in(&rests, hours(7)) && !is_in(&rests, hours(8)));
    let (_, used) = start();
    for hour in (4..7 * 24).step_by(4) {
        assert!(is_in(&used, hours(hour)), "{hour}");
        let noted = city
            .store
            .change_quietly(|tx| sessions::noted(tx, began + hours(hour), &used));
        noted.expect("noted");
    }
    assert!(!is_in(&used, hours(7 * 24)));
    type Change = fn(&booth_database::Transaction<'_>, i64) -> Result<(), crate::CityError>;
    let changes: [Change; 3] = [
        |tx, id| accounts::set_password(tx, id, "x"),
        |tx, id| accounts::close(tx, booth_host::clock::wall(), id),
        |tx, id| accounts::set_roles(tx, id, &[Role::Administrator].into()),
    ];
    for change in changes {
        let (id, secret) = start();
        assert!(is_in(&secret, hours(0)));
        city.store
            .change_quietly(|tx| change(tx, id))
            .expect("changed");
        assert!(!is_in(&secret, hours(0)));
    }
    // The table has no secret.
    let secret = used.text().to_owned();
    let has = city.store.read(|db| {
        db.query_row(
            "SELECT count(*) FROM session WHERE hash = ?1",
            [&secret],
            |row| row.get::<_, i64>(0),
        )
    });
    assert_eq!(has.expect("reads"), 0);
}

fn rand_of() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("chance");
    u128::from_be_bytes(bytes)
}
