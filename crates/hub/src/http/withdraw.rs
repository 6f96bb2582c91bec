//! `/withdraw`: the form, and what is typed into it.
//!
//! Owns: where a visitor comes from, and what was typed, which is overwritten in memory. Never does: judge a receipt.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use tokio::time::timeout;
use zeroize::{Zeroize, Zeroizing};

use super::Pairs;
use crate::pages::{self, Language};
use crate::withdrawing::{Taken, Withdrawing};
use booth_city::City;
use booth_city::web::peer::visitor;
use booth_host::{clock, crew};

/// Longest form that is read, in bytes.
const MOST_BYTES: usize = 1024;
/// How long a form may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// The policy of this page: it may send its form here. Its style stands in it, so that a proxy passes on this one address alone.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = super::hash_of(&[pages::STYLE, pages::WITHDRAW_FORM]);
    super::policy(&format!(
        "default-src 'none'; style-src '{style}'; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ))
});

type Here = State<Option<Arc<Withdrawing>>>;

/// The empty form; where the citizens' pages run, theirs.
pub(super) async fn page(
    State(here): Here,
    city: Option<Extension<Arc<City>>>,
    Query(query): Pairs,
    headers: HeaderMap,
) -> Response {
    let language = language(&query, &headers);
    let theirs = city.and_then(|Extension(city)| city.citizens_page(language.code(), "withdraw"));
    if let Some(theirs) = theirs.filter(|_| here.is_some()) {
        return Redirect::to(&theirs).into_response();
    }
    let taken = here.is_none().then_some(Taken::NotHere);
    shown(here.as_deref(), language, taken)
}

/// What was typed.
pub(super) async fn typed(State(here): Here, Query(query): Pairs, request: Request) -> Response {
    let language = language(&query, request.headers());
    let Some(withdrawing) = here else {
        return shown(None, language, Some(Taken::NotHere));
    };
    let from = visitor(request.extensions(), request.headers());
    let form = timeout(PATIENCE, to_bytes(request.into_body(), MOST_BYTES)).await;
    let typed = match form {
        Ok(Ok(form)) => receipt_of(form),
        // Too long, or too slow: nothing that a browser sends from this page.
        Ok(Err(_)) | Err(_) => Zeroizing::new(String::new()),
    };
    let taking = Arc::clone(&withdrawing);
    let taken = crew::aside("pages", move || {
        taking.take(clock::wall(), clock::mono(), from, &typed)
    });
    let taken = taken.await.unwrap_or(Taken::Failed);
    shown(Some(&withdrawing), language, Some(taken))
}

fn language(query: &[(String, String)], headers: &HeaderMap) -> Language {
    let asked = query.iter().find(|(key, _)| key == "lang");
    let accepted = headers.get(header::ACCEPT_LANGUAGE);
    Language::of(
        asked.map(|(_, value)| value.as_str()),
        accepted.and_then(|value| value.to_str().ok()),
    )
}

fn shown(here: Option<&Withdrawing>, language: Language, taken: Option<Taken>) -> Response {
    let is_sealed = here.is_some_and(Withdrawing::is_sealed);
    let page = pages::withdraw(language, is_sealed, taken).into_string();
    let status = match taken {
        None | Some(Taken::Noted) => StatusCode::OK,
        Some(Taken::Wrong(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        Some(Taken::TooMany) => StatusCode::TOO_MANY_REQUESTS,
        Some(Taken::NotHere) => StatusCode::NOT_FOUND,
        Some(Taken::Failed) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (status, Html(page)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

/// The field `receipt` of a form (application/x-www-form-urlencoded). The form is overwritten.
fn receipt_of(form: Bytes) -> Zeroizing<String> {
    let mut receipt = Zeroizing::new(String::with_capacity(MOST_BYTES));
    let fields = form.split(|byte| *byte == b'&');
    let mut value = fields.filter_map(|field| field.strip_prefix(b"receipt="));
    if let Some(value) = value.next() {
        let mut rest = value;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let character = match byte {
                b'+' => ' ',
                b'%' => {
                    let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
                    rest = rest.get(2..).unwrap_or_default();
                    let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                    // Digits, blanks and hyphens are ASCII; whatever else was typed is none of a receipt.
                    byte.filter(u8::is_ascii).map_or('?', char::from)
                }
                other => char::from(*other),
            };
            receipt.push(character);
        }
    }
    if let Ok(mut form) = form.try_into_mut() {
        form.as_mut().zeroize();
    }
    receipt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Names, guarded, guests, router};
    use crate::receipts::ReceiptKey;
    use crate::store::private::Private;
    use crate::store::{BrokerStatus, Store, StoreRules, StoreViews};
    use crate::withdrawing::How;
    use std::sync::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Answers one request as it stands on the wire.
    async fn asked(router: axum::Router, request: String) -> String {
        let (mut citizen, hub) = tokio::io::duplex(1 << 20);
        let talking = async {
            citizen.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = String::new();
            citizen.read_to_string(&mut answer).await.expect("read");
            answer
        };
        let (_, answer) = tokio::join!(guests::answer(hub, router), talking);
        answer
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    }

    fn post(form: &str) -> String {
        let length = form.len();
        format!(
            "POST /withdraw?lang=en HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        )
    }

    #[tokio::test]
    async fn the_form_works_without_scripts_takes_a_receipt_and_tells_nobody_what_it_fits() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("store");
        let rules = StoreRules {
            dir: dir.clone(),
            max_clip_bytes: 1_000_000,
            root: "booth/1".into(),
            database: None,
            bodies: None,
        };
        drop(Store::open(&rules).expect("made"));
        let status = BrokerStatus {
            connected: true,
            detail: String::new(),
            rival: None,
        };
        let status = Arc::new(Mutex::new(status));
        let views = Arc::new(StoreViews::open(&dir, Vec::new(), status).expect("views"));
        let key = Arc::new(ReceiptKey::make().expect("a key"));
        let here = Arc::new(Withdrawing::new(&dir, How::Matched(key)));
        let pages = |here| {
            let names = Names::new(std::net::Ipv4Addr::LOCALHOST.into(), &[]);
            guarded(router(views.clone(), here), names)
        };
        let open = || pages(Some(here.clone()));
        let form = asked(open(), get("/withdraw")).await;
        assert!(
            form.starts_with("HTTP/1.1 200") && form.contains("lang=\"da\""),
            "{form}"
        );
        assert!(form.contains("form-action 'self'") && !form.contains("form-action 'none'"));
        assert!(!form.contains("<script") && form.contains("cache-control: no-store"));
        for (typed, status, says) in [
            ("receipt=002006673084", "422", "One of the digits is wrong"),
            ("receipt=12", "422", "A receipt has 12 digits"),
            ("receipt=secret", "422", "made of digits alone"),
            ("", "422", "A receipt has 12 digits"),
            (&"x".repeat(5_000), "422", "A receipt has 12 digits"),
            ("receipt=0020+0667+3085", "200", "We have taken note"),
        ] {
            let answer = asked(open(), post(typed)).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            assert!(
                answer.contains(says) && !answer.contains("6673"),
                "{answer}"
            );
        }
        assert_eq!(Private::beside(&dir).waiting_number(), 1);
        let other = asked(open(), get("/")).await;
        assert!(other.contains("form-action 'none'"));
        // A hub whose pages take nothing.
        let shut = asked(pages(None), get("/withdraw?lang=en")).await;
        assert!(
            shut.starts_with("HTTP/1.1 404") && shut.contains("dial 000"),
            "{shut}"
        );
        let shut = asked(pages(None), post("receipt=002006673085")).await;
        assert!(shut.starts_with("HTTP/1.1 404"), "{shut}");
        // Tries beyond the limit are told so, and not taken.
        for _ in 0..10 {
            asked(open(), post("receipt=002006673085")).await;
        }
        let held = asked(open(), post("receipt=002006673085")).await;
        assert!(
            held.starts_with("HTTP/1.1 429") && held.contains("too many tries"),
            "{held}"
        );
    }

    #[test]
    fn the_receipt_is_read_from_the_form_however_a_browser_writes_it() {
        for (form, typed) in [
            ("receipt=002006673085", "002006673085"),
            ("a=b&receipt=0020+0667%203085&c", "0020 0667 3085"),
            ("receipt=%30%2D1", "0-1"),
            ("receipt=%C3%B8", "??"),
            ("receipt=%", "?"),
            ("receipt=%4", "?"),
            ("receipts=1", ""),
            ("", ""),
        ] {
            assert_eq!(*receipt_of(Bytes::from(form)), typed, "{form}");
        }
    }

    #[test]
    fn a_proxy_of_this_machine_says_where_a_visitor_comes_from_and_nobody_else() {
        let visitor = |peer: &str, said: &[&str]| {
            let mut request = Request::new(axum::body::Body::empty());
            for line in said {
                let value = line.parse().expect("a value");
                request.headers_mut().append("x-forwarded-for", value);
            }
            let peer = peer.parse().expect("an address");
            request
                .extensions_mut()
                .insert(booth_city::web::peer::Peer(peer));
            super::visitor(request.extensions(), request.headers()).to_string()
        };
        assert_eq!(visitor("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
        assert_eq!(
            visitor("127.0.0.1", &["10.0.0.1, 198.51.100.1"]),
            "198.51.100.1"
        );
        assert_eq!(
            visitor("::1", &["10.0.0.1", "198.51.100.2"]),
            "198.51.100.2"
        );
        assert_eq!(visitor("127.0.0.1", &["unknown"]), "127.0.0.1");
        assert_eq!(visitor("127.0.0.1", &[]), "127.0.0.1");
    }
}
