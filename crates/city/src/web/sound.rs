//! A sound in memory over HTTP: whole or in a range, so that a player can seek (RFC 9110 §14).
//!
//! Owns: the status and the fields of the answer. Never does: read a file, or decide who may hear it. Several ranges at once get the
//! whole sound, as §14.2 lets a server choose.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use booth_contract::hex;

use super::range::{self, Asked};
use super::validators::{Validators, Verdict};

/// Answers a GET or HEAD for this Ogg Opus file, which is as it is since `modified`.
pub fn answer(ogg: Vec<u8>, modified: Timestamp, method: &Method, headers: &HeaderMap) -> Response {
    let len = ogg.len() as u64;
    let validators = Validators::new(&hex(&Sha256::digest(&ogg)), modified);
    let with_range = match validators.judge(headers, method == Method::GET) {
        Verdict::Failed => return bare(StatusCode::PRECONDITION_FAILED, &validators),
        Verdict::NotModified => return bare(StatusCode::NOT_MODIFIED, &validators),
        Verdict::Serve { with_range } => with_range,
    };
    let asked = match with_range {
        true => range::asked_by(headers, len),
        false => Asked::Whole,
    };
    let ogg = Bytes::from(ogg);
    let (status, says, body) = match asked {
        Asked::Whole | Asked::Several(_) => (StatusCode::OK, None, ogg),
        Asked::Nothing => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            Some(format!("bytes */{len}")),
            Bytes::new(),
        ),
        Asked::One(span) => {
            let says = format!("bytes {}-{}/{len}", span.first, span.last);
            let part = ogg.slice(span.first as usize..=span.last as usize);
            (StatusCode::PARTIAL_CONTENT, Some(says), part)
        }
    };
    let mut response = bare(status, &validators);
    set(&mut response, header::CONTENT_TYPE, "audio/ogg");
    if let Some(says) = says {
        set(&mut response, header::CONTENT_RANGE, &says);
    }
    *response.body_mut() = Body::from(body);
    response
}

/// An answer without a body so far, with the fields that every answer about a file has.
pub fn bare(status: StatusCode, validators: &Validators) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, validators.etag());
    if let Some(date) = validators.last_modified() {
        set(&mut response, header::LAST_MODIFIED, &date);
    }
    response
}

/// Sets a field; a value that no field can have is left out.
pub fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            headers.insert(
                header::RANGE,
                HeaderValue::from_str(range).expect("a value"),
            );
        }
        answer(
            (0..100).collect(),
            Timestamp::UNIX_EPOCH,
            &Method::GET,
            &headers,
        )
    }

    #[test]
    fn a_player_gets_the_bytes_that_it_asks_for() {
        let length = |response: &Response| {
            http_body::Body::size_hint(response.body())
                .exact()
                .expect("known")
        };
        let whole = asked(None);
        assert_eq!((whole.status(), length(&whole)), (StatusCode::OK, 100));
        let part = asked(Some("bytes=10-19"));
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()[header::CONTENT_RANGE], "bytes 10-19/100");
        assert_eq!(length(&part), 10);
        let beyond = asked(Some("bytes=100-"));
        assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(beyond.headers()[header::CONTENT_RANGE], "bytes */100");
        assert_eq!(length(&beyond), 0);
    }

    #[test]
    fn a_browser_that_has_the_sound_is_not_sent_it_again() {
        let first = asked(None);
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let again = answer(
            (0..100).collect(),
            Timestamp::UNIX_EPOCH,
            &Method::GET,
            &headers,
        );
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = answer(vec![1], Timestamp::UNIX_EPOCH, &Method::GET, &headers);
        assert_eq!(other.status(), StatusCode::OK);
    }
}
