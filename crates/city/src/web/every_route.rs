//! Attacks on every page for staff, whatever room it is of: the routes are read from the sources, so that a new one is attacked, too.
#![allow(clippy::disallowed_methods)] // reads the sources

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, StatusCode};
use http_body::Frame;

use super::door::{Need, ROOMS, need_of_staff};
use super::{POLICY, for_staff};
use crate::City;
use crate::people::accounts::{self, NewAccount};
use crate::people::{Right, Role, sessions};
use crate::testing::{FakeCentre, ask, city, request, spoken};

/// The first steps of addresses that citizens reach.
const CITIZENS: [&str; 9] = [
    "{lang}",
    "chart",
    "data",
    "feed",
    "prompt",
    "sound",
    "style.css",
    "answer.css",
    "answer.js",
];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    path: String,
    is_read: bool,
    is_change: bool,
}

/// Every route of a file: the address, and what stands behind it up to the end of the call.
fn routes_in(source: &str) -> Vec<Route> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let calls = source.split(".route(").skip(1);
    let routes = calls.filter_map(|rest| {
        let path = rest.trim_start().strip_prefix('"')?.split('"').next()?;
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        })?;
        let handlers = &rest[..end];
        Some(Route {
            path: path.to_owned(),
            is_read: handlers.contains("get(") || handlers.contains("file("),
            is_change: handlers.contains("post("),
        })
    });
    routes.collect()
}

/// Every route for staff.
fn staff_routes() -> Vec<Route> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut routes = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.contains("test") && name != "every_route.rs" {
                routes.extend(routes_in(&std::fs::read_to_string(path).expect("a source")));
            }
        }
    }
    let first = |route: &Route| {
        route.path[1..]
            .split('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    routes.retain(|route| route.path != "/" && !CITIZENS.contains(&first(route).as_str()));
    assert!(routes.len() > 25, "{routes:?}");
    routes.into_iter().collect()
}

/// The address with something in its gaps.
fn filled(path: &str, gap: &str) -> String {
    let steps = path.split('/').map(|step| match step.find('{') {
        None => step.to_owned(),
        Some(at) => {
            let end = step.find('}').map_or("", |end| &step[end + 1..]);
            format!("{}{gap}{end}", &step[..at])
        }
    });
    steps.collect::<Vec<_>>().join("/")
}

/// A session of somebody with these roles, and with all rights of a partner in these campaigns.
fn seat(
    city: &City,
    name: &str,
    shown: &str,
    roles: &[Role],
    campaigns: &[&str],
) -> (String, String) {
    let new = NewAccount {
        name: name.into(),
        shown_name: shown.into(),
        roles: roles.iter().copied().collect(),
        languages: vec!["en".into()],
        kept_password: None,
        subject: None,
    };
    let now = booth_host::clock::wall();
    let rights = Right::ALL
        .into_iter()
        .filter(|right| right.is_for_partners())
        .collect();
    let secret = city.store.change_quietly(|tx| {
        let account = accounts::add(tx, now, &new)?;
        for campaign in campaigns {
            accounts::set_campaign(tx, account, campaign, "2999-12-31", &rights)?;
        }
        sessions::begin(tx, now, account)
    });
    let secret = secret.expect("a session");
    (format!("booth-hub={}", secret.text()), secret.form_token())
}

fn two_messages(city: &Arc<City>, centre: &FakeCentre) {
    let mut other = spoken("0190b6b1-0000-7000-8000-000000000002");
    other.campaign_id = Some("other".into());
    let own = spoken("0190b6b1-0000-7000-8000-000000000001");
    centre.have().arrived.extend([own, other]);
    city.follow(true).expect("followed");
}

#[test]
fn every_room_has_its_need_and_no_address_is_open_by_accident() {
    let mut rooms: BTreeSet<String> = BTreeSet::new();
    for route in staff_routes() {
        let first = route.path[1..].split('/').next().unwrap_or_default();
        rooms.insert(first.to_owned());
        if !matches!(first, "staff.css" | "staff.js" | "login") {
            let need = need_of_staff(&route.path);
            assert!(
                !matches!(need, Need::Nothing | Need::Whoever),
                "{}",
                route.path
            );
        }
    }
    rooms.remove("acts");
    let named = ROOMS.map(|(room, _)| room.to_owned());
    for room in rooms {
        assert!(
            named.contains(&room),
            "{room} is not among web::door::ROOMS"
        );
    }
    for path in [
        "/acts",
        "/",
        "/desk2",
        "/no/such/page",
        "//desk",
        "/Desk",
        "/staff.css.bak",
    ] {
        let need = need_of_staff(path);
        let is_shut = matches!(need, Need::Right(Right::Administer));
        assert!(is_shut || path == "//desk", "{path}: {need:?}");
    }
}

/// Somebody's roles and campaigns, and the cookie and token.
type Seated<'a> = (Vec<Role>, Vec<&'a str>, (String, String));

#[tokio::test]
async fn another_roles_page_is_shown_to_nobody_whatever_the_room() {
    let (city, centre, _folder) = city();
    two_messages(&city, &centre);
    let pages = for_staff(&city);
    let somebody: Vec<Seated> = [
        (vec![Role::Moderator], vec![]),
        (vec![Role::Editor], vec![]),
        (vec![Role::Operator], vec![]),
        (vec![Role::Administrator], vec![]),
        (vec![Role::Partner], vec![]),
        (vec![Role::Partner], vec!["plads"]),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, (roles, campaigns))| {
        let seat = seat(&city, &format!("person-{n}"), "", &roles, &campaigns);
        (roles, campaigns, seat)
    })
    .collect();
    let mut asked = 0;
    for route in staff_routes() {
        let need = need_of_staff(&route.path);
        // Nothing has this number: who may change something changes nobody who is asked later.
        let path = filled(&route.path, "999");
        for form in [false, true] {
            if !(if form { route.is_change } else { route.is_read }) {
                continue;
            }
            // Nobody who is not logged in.
            let nobody = ask(&pages, request(&path, "", form.then_some("a=b"))).await;
            if !matches!(need, Need::Nothing | Need::Whoever) {
                assert_eq!(nobody.0, StatusCode::SEE_OTHER, "{path}");
                let location = nobody.1["location"].to_str().expect("text").to_owned();
                let login = location.trim_start_matches("../");
                assert!(login.starts_with("login"), "{path}: {location}");
            }
            for (roles, campaigns, (cookie, token)) in &somebody {
                // Not out of the session that goes on being asked.
                if path == "/logout" || matches!(need, Need::Nothing | Need::Whoever) {
                    continue;
                }
                let by_role =
                    |right: Right| roles.iter().any(|role| role.rights().contains(&right));
                let (may, is_sure) = match need {
                    Need::Right(right) => (by_role(right), true),
                    Need::Somewhere(right) => {
                        let own = !campaigns.is_empty() && right.is_for_partners();
                        (by_role(right) || own, by_role(right))
                    }
                    _ => (true, true),
                };
                let typed = format!("form_token={token}");
                let answer = ask(&pages, request(&path, cookie, form.then_some(&typed))).await;
                asked += 1;
                let who = format!("{roles:?} {campaigns:?} {path} form {form}: {}", answer.2);
                match may {
                    false => assert_eq!(answer.0, StatusCode::FORBIDDEN, "{who}"),
                    true if is_sure => assert_ne!(answer.0, StatusCode::FORBIDDEN, "{who}"),
                    true => {}
                }
                let policy = &answer.1["content-security-policy"];
                let policy = policy.to_str().expect("text");
                assert_eq!(policy, POLICY, "{who}");
                assert_eq!(answer.1["x-content-type-options"], "nosniff", "{who}");
                assert_eq!(answer.1["referrer-policy"], "same-origin", "{who}");
                if form && may {
                    // The same without the token, and from another site.
                    let forged = ask(&pages, request(&path, cookie, Some("a=b"))).await;
                    assert_eq!(forged.0, StatusCode::FORBIDDEN, "{who}");
                    let mut other = request(&path, cookie, Some(&typed));
                    let site = "cross-site".parse().expect("a value");
                    other.headers_mut().insert("sec-fetch-site", site);
                    assert_eq!(ask(&pages, other).await.0, StatusCode::FORBIDDEN, "{who}");
                }
            }
        }
    }
    assert!(asked > 150, "{asked}");
}

#[tokio::test]
async fn a_partner_hears_and_sees_no_message_of_another_campaign() {
    let (city, centre, _folder) = city();
    two_messages(&city, &centre);
    let sound = vec![1, 2, 3];
    for n in [1, 2] {
        let id = format!("0190b6b1-0000-7000-8000-00000000000{n}");
        centre.have().sounds.insert(id, sound.clone());
    }
    let pages = for_staff(&city);
    let (cookie, _) = seat(&city, "mette", "", &[Role::Partner], &["plads"]);
    for route in staff_routes() {
        if !route.is_read || !route.path.starts_with("/desk/message/{id}") {
            continue;
        }
        let path = filled(&route.path, "0190b6b1-0000-7000-8000-000000000002");
        let (status, _, text) = ask(&pages, request(&path, &cookie, None)).await;
        let is_shut = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&status);
        assert!(is_shut, "{path}: {status} {text}");
    }
    let (status, _, text) = ask(&pages, request("/desk", &cookie, None)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!text.contains("000000000002"), "{text}");
}

#[tokio::test]
async fn a_script_in_a_text_or_an_address_runs_on_no_page_and_no_path_leads_out() {
    const EVIL: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>";
    let (city, centre, _folder) = city();
    let mut message = spoken("0190b6b1-0000-7000-8000-000000000001");
    message.campaign_id = Some(EVIL.into());
    message.question_id = Some(EVIL.into());
    message.booth_id = Some(EVIL.into());
    message.lang = Some("en".into());
    centre.have().arrived.push(message);
    city.follow(true).expect("followed");
    city.store
        .change_quietly(|tx| {
            tx.execute("UPDATE message SET transcript = ?1, transcript_lang = 'en'", [EVIL])?;
            tx.execute(
                "INSERT INTO idea (id, campaign_id, title, body, made_at) VALUES (1, ?1, json_object('en', ?1), json_object('en', ?1), '2026-01-01T00:00:00.000Z')",
                [EVIL],
            )?;
            tx.execute(
                "INSERT INTO placement (id, booth_id, place, area_id, since) VALUES (1, ?1, ?1, NULL, '2026-01-01T00:00:00.000Z')",
                [EVIL],
            )?;
            Ok(())
        })
        .expect("written");
    let (cookie, _) = seat(&city, "eva", EVIL, &Role::ALL, &[]);
    let pages = for_staff(&city);
    let query = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for route in staff_routes().iter().filter(|route| route.is_read) {
        for gap in [
            "1",
            "0190b6b1-0000-7000-8000-000000000001",
            query,
            "..%2F..%2F..%2F..%2Fetc%2Fpasswd",
            "%2e%2e%2f%2e%2e%2fcity.sqlite",
            "..%5C..%5Ccity.sqlite",
            "%00",
        ] {
            let path = filled(&route.path, gap);
            let path = format!(
                "{path}?about={query}&campaign={query}&next={query}&q={query}&done={query}"
            );
            let (status, headers, text) = ask(&pages, request(&path, &cookie, None)).await;
            assert!(
                status != StatusCode::INTERNAL_SERVER_ERROR,
                "{path}: {text}"
            );
            assert!(
                !text.contains("<script>alert") && !text.contains("<img src=x"),
                "{path}: {text}"
            );
            assert!(
                !text.contains("root:") && !text.contains("SQLite format 3"),
                "{path}"
            );
            let kind = headers
                .get("content-type")
                .and_then(|kind| kind.to_str().ok());
            if kind.is_some_and(|kind| kind.starts_with("text/html")) {
                for inline in [
                    " style=\"",
                    " onclick=",
                    " onload=",
                    "<style",
                    "javascript:",
                ] {
                    assert!(!text.contains(inline), "{path} has {inline}: {text}");
                }
            }
        }
    }
}

/// A form with a file that never ends.
struct Endless {
    first: Option<String>,
    sent: Arc<AtomicU64>,
}

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = match self.first.take() {
            Some(first) => Bytes::from(first),
            None => Bytes::from_static(&[b'x'; 64 * 1024]),
        };
        self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[tokio::test]
async fn an_upload_without_an_end_is_cut_off_whatever_the_room() {
    let (city, _, _folder) = city();
    let pages = for_staff(&city);
    let (cookie, token) = seat(&city, "eva", "", &Role::ALL, &[]);
    for route in staff_routes().iter().filter(|route| route.is_change) {
        if route.path == "/logout" {
            continue;
        }
        for is_multipart in [false, true] {
            let sent = Arc::new(AtomicU64::new(0));
            let (kind, first) = match is_multipart {
                true => (
                    "multipart/form-data; boundary=b",
                    format!(
                        "--b\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\n{token}\r\n--b\r\nContent-Disposition: form-data; \
                         name=\"file\"; filename=\"x\"\r\n\r\n"
                    ),
                ),
                false => (
                    "application/x-www-form-urlencoded",
                    format!("form_token={token}&text="),
                ),
            };
            let body = Endless {
                first: Some(first),
                sent: Arc::clone(&sent),
            };
            let request = Request::builder()
                .method("POST")
                .uri(filled(&route.path, "1"))
                .header("host", "localhost")
                .header("cookie", &cookie)
                .header("sec-fetch-site", "same-origin")
                .header("content-type", kind)
                .body(Body::new(body))
                .expect("a request");
            let (status, _, text) = ask(&pages, request).await;
            let sent = sent.load(Ordering::Relaxed);
            // The largest file that a room takes is an area's GeoJSON.
            assert!(sent < 70_000_000, "{}: {sent} bytes were read", route.path);
            let is_done = status.is_success() && is_multipart;
            assert!(
                !is_done || sent < 1_000_000,
                "{}: {status} {text}",
                route.path
            );
        }
    }
}
