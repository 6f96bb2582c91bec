//! A file or a piece of memory over HTTP: whole, in a range, or in several (RFC 9110 §14, §15.3.7).
//!
//! Owns: the status, fields and bytes of the answer. Never does: hold a file in memory, or a thread while a slow reader takes his time: each
//! piece is read when the one before has been taken. A file that ends early ends the connection.
#![allow(clippy::disallowed_methods)] // a piece is read on a thread of the runtime's; a panic there ends the answer

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::SemaphorePermit;
use tokio::task::JoinHandle;

use booth_city::web::range::{self, Asked, Span};
use booth_city::web::sound::{bare, set};
use booth_city::web::validators::Validators;

use super::guests::Guest;

/// Bytes that are read at a time.
const PIECE: u64 = 64 * 1024;

/// What is answered with, before a range is cut out of it.
pub(super) struct Whole<'a> {
    /// Its media type.
    pub kind: &'static str,
    /// Its length, bytes.
    pub len: u64,
    /// A text that does not occur in it.
    pub boundary: &'a str,
}

/// The answer with all of it, or, where the request's fields count, with what their `Range` asks for.
pub(super) fn answer(
    source: Source,
    whole: &Whole<'_>,
    validators: &Validators,
    with_range: Option<&HeaderMap>,
) -> Response {
    let len = whole.len;
    let asked = with_range.map_or(Asked::Whole, |headers| range::asked_by(headers, len));
    let all = Span {
        first: 0,
        last: len.saturating_sub(1),
    };
    let kind = whole.kind.to_owned();
    let partial = StatusCode::PARTIAL_CONTENT;
    let (status, content_range, content_type, pieces) = match asked {
        Asked::Nothing => {
            let mut response = bare(StatusCode::RANGE_NOT_SATISFIABLE, validators);
            let says = format!("bytes */{len}");
            set(&mut response, header::CONTENT_RANGE, &says);
            return response;
        }
        Asked::Whole if len == 0 => (StatusCode::OK, None, kind, Vec::new()),
        Asked::Whole => (StatusCode::OK, None, kind, vec![Piece::Of(all)]),
        Asked::One(span) => {
            let says = content_range(span, len);
            (partial, Some(says), kind, vec![Piece::Of(span)])
        }
        Asked::Several(spans) => {
            let boundary = format!("booth-hub-{}", whole.boundary);
            let kind = format!("multipart/byteranges; boundary={boundary}");
            let pieces = parts(&spans, whole, &boundary);
            (partial, None, kind, pieces)
        }
    };
    let body = SourceBody::new(source, pieces);
    let bytes = body.left;
    let mut response = bare(status, validators);
    *response.body_mut() = Body::new(body);
    set(&mut response, header::CONTENT_TYPE, &content_type);
    set(&mut response, header::CONTENT_LENGTH, &bytes.to_string());
    if let Some(content_range) = content_range {
        set(&mut response, header::CONTENT_RANGE, &content_range);
    }
    response
}

fn content_range(span: Span, len: u64) -> String {
    format!("bytes {}-{}/{len}", span.first, span.last)
}

/// The body of `multipart/byteranges` (§14.6).
fn parts(spans: &[Span], whole: &Whole<'_>, boundary: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(2 * spans.len() + 1);
    for (at, span) in spans.iter().enumerate() {
        let before = if at == 0 { "" } else { "\r\n" };
        let (kind, says) = (whole.kind, content_range(*span, whole.len));
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {says}\r\n\r\n"
        );
        pieces.extend([Piece::Text(head.into()), Piece::Of(*span)]);
    }
    pieces.push(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
    pieces
}

/// What a body is made of.
enum Piece {
    Text(Bytes),
    Of(Span),
}

/// A file's place among all, and among those of its visitor.
pub(super) type FilePlace = (SemaphorePermit<'static>, Guest);

/// Where the bytes are, and their place among those that may be open.
pub(super) enum Source {
    File {
        file: Arc<File>,
        _place: Option<FilePlace>,
    },
    Memory {
        bytes: Bytes,
        _place: SemaphorePermit<'static>,
    },
}

impl Source {
    /// A file, which holds this place as long as it is read.
    pub(super) fn of(file: File, place: Option<FilePlace>) -> Self {
        Self::File {
            file: Arc::new(file),
            _place: place,
        }
    }
}

/// A body that is read from a file as it is taken.
struct SourceBody {
    source: Source,
    pieces: VecDeque<Piece>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    left: u64,
}

impl SourceBody {
    fn new(source: Source, pieces: Vec<Piece>) -> Self {
        let bytes = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Of(span) => span.bytes(),
        };
        Self {
            left: pieces.iter().map(bytes).sum(),
            source,
            pieces: pieces.into(),
            reading: None,
        }
    }

    /// Begins to read the next piece of a span of this file; the rest of the span stays at the front of the queue.
    fn read(&mut self, file: Arc<File>, span: Span) -> JoinHandle<io::Result<Bytes>> {
        let now = span.bytes().min(PIECE);
        if now < span.bytes() {
            let first = span.first + now;
            self.pieces.push_front(Piece::Of(Span { first, ..span }));
        }
        tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; now as usize];
            file.read_exact_at(&mut bytes, span.first)?;
            Ok(bytes.into())
        })
    }
}

impl http_body::Body for SourceBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(context));
                self.reading = None;
                return Poll::Ready(Some(match read {
                    Ok(Ok(bytes)) => {
                        self.left -= bytes.len() as u64;
                        Ok(Frame::data(bytes))
                    }
                    Ok(Err(error)) => Err(error),
                    Err(ended) => Err(io::Error::other(ended)),
                }));
            }
            match self.pieces.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Text(text)) => {
                    self.left -= text.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(text))));
                }
                Some(Piece::Of(span)) => match &self.source {
                    Source::File { file, .. } => {
                        let file = Arc::clone(file);
                        self.reading = Some(self.read(file, span));
                    }
                    Source::Memory { bytes, .. } => {
                        let bytes = bytes.slice(span.first as usize..=span.last as usize);
                        self.left -= bytes.len() as u64;
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                },
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
