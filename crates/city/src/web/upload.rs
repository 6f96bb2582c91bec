//! What comes in with a request: for how long it may stand still, and the first field of a form with files.
//!
//! Owns: the patience with a sender. Never does: hold a file in memory; it looks at the beginning of a form and passes everything on.
#![allow(clippy::disallowed_methods)] // its clock is a time-out

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::Fault;
use crate::sentence;

/// A sender who sends nothing for this long is given up.
const STUCK: Duration = Duration::from_secs(20);
/// The longest time that one request may take to come.
const LONGEST: Duration = Duration::from_secs(600);
/// Most bytes in which the first field of a form has to stand.
const FIRST_FIELD: usize = 4 * 1024;

/// A body whose sender may neither stand still nor take for ever.
pub(super) struct Upload {
    first: Option<Bytes>,
    rest: Body,
    stuck: Pin<Box<Sleep>>,
    over: Instant,
}

impl Upload {
    /// A body that was not begun.
    pub(super) fn of(rest: Body) -> Body {
        Self::with(None, rest)
    }

    fn with(first: Option<Bytes>, rest: Body) -> Body {
        Body::new(Self {
            first,
            rest,
            stuck: Box::pin(sleep(STUCK)),
            over: Instant::now() + LONGEST,
        })
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let polled = Pin::new(&mut self.rest).poll_frame(context);
        if polled.is_ready() {
            let next = (Instant::now() + STUCK).min(self.over);
            self.stuck.as_mut().reset(next);
            return polled;
        }
        self.stuck.as_mut().poll(context).map(|()| {
            let slow = std::io::Error::from(std::io::ErrorKind::TimedOut);
            Some(Err(axum::Error::new(slow)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.rest.size_hint();
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let exact = hint.exact().map(|rest| rest + first);
        match exact {
            Some(exact) => hint = SizeHint::with_exact(exact),
            None => hint.set_lower(hint.lower() + first),
        }
        hint
    }
}

/// The same for a body that no form of staff brings.
pub(crate) fn patient(body: Body) -> Body {
    Upload::of(body)
}

/// The boundary of a form with files (RFC 7578 §4.1); `None` for another kind of body.
pub(super) fn boundary_of(kind: &str) -> Option<String> {
    let mut parts = kind.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.eq_ignore_ascii_case("boundary")
            .then(|| value.trim_matches('"').to_owned())
    })?;
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// Reads the value of the first field, which must have this name, and gives the body back as it was. An empty value where it has not.
pub(super) async fn first_field(
    boundary: &str,
    name: &str,
    body: Body,
) -> Result<(Vec<u8>, Body), Fault> {
    let mut body = Upload::of(body);
    let mut read: Vec<u8> = Vec::new();
    let value = loop {
        if let Some(value) = field_in(&read, boundary, name) {
            break value;
        }
        if read.len() > FIRST_FIELD {
            break Vec::new();
        }
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        match frame {
            None => break Vec::new(),
            Some(Err(_)) => return Err(too_slow()),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    read.extend_from_slice(&bytes);
                }
            }
        }
    };
    Ok((value, Upload::with(Some(read.into()), body)))
}

/// The value of the first field; `None` while it is not whole.
fn field_in(read: &[u8], boundary: &str, name: &str) -> Option<Vec<u8>> {
    let find = |in_: &[u8], what: &[u8]| in_.windows(what.len()).position(|part| part == what);
    let head_end = find(read, b"\r\n\r\n")?;
    let (head, rest) = (&read[..head_end], &read[head_end + 4..]);
    let value_end = find(rest, b"\r\n--")?;
    let is_first = head.starts_with(format!("--{boundary}\r\n").as_bytes());
    let is_it = find(head, format!("name=\"{name}\"").as_bytes()).is_some();
    match is_first && is_it {
        true => Some(rest[..value_end].to_vec()),
        false => Some(Vec::new()),
    }
}

pub(super) fn too_slow() -> Fault {
    Fault::new(StatusCode::REQUEST_TIMEOUT, sentence!("staff-too-slow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_counts_and_no_other() {
        let field = |text: &str| field_in(text.as_bytes(), "b", "form_token");
        let of = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let right = of("form_token", "abc");
        assert_eq!(field(&format!("{right}--b--\r\n")).expect("whole"), b"abc");
        for cut in 0..right.len() {
            assert_eq!(field(&right[..cut]), None, "{cut}");
        }
        let second = format!("{}{right}--b--", of("other", "x"));
        assert_eq!(field(&second).expect("whole"), b"");
    }

    #[test]
    fn a_boundary_is_found_however_it_is_written() {
        assert_eq!(
            boundary_of("multipart/form-data; boundary=x1").as_deref(),
            Some("x1")
        );
        assert_eq!(
            boundary_of("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"").as_deref(),
            Some("a b")
        );
        assert_eq!(boundary_of("application/x-www-form-urlencoded"), None);
        assert_eq!(boundary_of("multipart/form-data"), None);
        assert_eq!(
            boundary_of(&format!("multipart/form-data; boundary={}", "x".repeat(71))),
            None
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_still_is_given_up_and_what_was_read_is_passed_on() {
        let whole =
            "--b\r\nContent-Disposition: form-data; name=\"form_token\"\r\n\r\nabc\r\n--b--\r\n";
        let (value, body) = first_field("b", "form_token", Body::from(whole))
            .await
            .expect("whole");
        assert_eq!(value, b"abc");
        let passed = axum::body::to_bytes(body, 1_000).await.expect("whole");
        assert_eq!(&passed[..], whole.as_bytes());
        struct Silent;
        impl HttpBody for Silent {
            type Data = Bytes;
            type Error = axum::Error;
            fn poll_frame(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
                Poll::Pending
            }
        }
        let fault = first_field("b", "form_token", Body::new(Silent)).await;
        assert_eq!(
            fault.expect_err("silent").status,
            StatusCode::REQUEST_TIMEOUT
        );
        let begun = axum::body::to_bytes(Upload::of(Body::new(Silent)), 1_000).await;
        assert!(begun.is_err());
    }
}
