//! A stored clip over HTTP: whole, in a range, or in several (RFC 9110 §14, §15.3.7).
//!
//! Owns: the status, fields and bytes of the answer. Never does: hold an open clip's file in memory, or a thread while a slow reader
//! takes his time: each piece is read when the one before has been taken. A file that ends early ends the connection. A sealed clip
//! is opened in memory, which is overwritten when the answer has gone.
#![allow(clippy::disallowed_methods)] // the clip's file is opened here

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use crate::store::BodyFiles;
use crate::view::{ClipFile, SealedClip};
use booth_city::web::range::{self, Asked, Span};
use booth_city::web::validators::{Validators, Verdict};
use booth_contract::written::text_of_body;
use booth_sealing::{Ending, OpenError};

const TYPE: &str = "audio/ogg";
const TYPE_OF_TEXT: &str = "text/plain; charset=utf-8";
/// Longest sealed clip that is opened, in bytes: at the highest bit rate of a booth four minutes, at the usual one an hour and a half.
const MOST_OPENED: u64 = 16_500_000;
/// How many sealed clips may be open in memory, one for each answer that is under way. Whoever reads slowly keeps others from listening and
/// the hub from nothing.
const OPENED_AT_MOST: usize = 16;
static OPENED: Semaphore = Semaphore::const_new(OPENED_AT_MOST);
/// Bytes that are read at a time.
const PIECE: u64 = 64 * 1024;

/// Why a clip cannot be played.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unplayable {
    /// Its file cannot be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// It cannot be unsealed.
    #[error(transparent)]
    Sealed(#[from] OpenError),
    /// It is another clip, under this one's name.
    #[error("what is sealed there is another clip")]
    OtherClip,
    /// Its end is missing although no power cut ended it, or it was changed.
    #[error("it is not whole: {0:?}")]
    NotWhole(Ending),
    /// It should be a text, and is none.
    #[error("it holds no text")]
    NoText,
    /// Longer than a clip that is opened in memory.
    #[error("it has {0} bytes, more than are opened in memory")]
    TooLong(u64),
    /// As many as may be are open in memory.
    #[error("too many sealed clips are open")]
    Busy,
}

/// Opens the file and answers a GET or HEAD.
///
/// # Errors
/// When the file cannot be opened, or cannot be unsealed.
pub(super) async fn answer(
    clip: ClipFile,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Unplayable> {
    let validators = Validators::new(clip.sha256.as_str(), clip.stored_at);
    let with_range = match validators.judge(headers, method == Method::GET) {
        Verdict::Failed => return Ok(bare(StatusCode::PRECONDITION_FAILED, &validators)),
        Verdict::NotModified => return Ok(bare(StatusCode::NOT_MODIFIED, &validators)),
        Verdict::Serve { with_range } => with_range,
    };
    if clip.is_text {
        return written(clip, &validators).await;
    }
    let files = clip.files.clone();
    let sealed = match clip.sealed.clone() {
        Some(sealed) => Some((sealed, OPENED.try_acquire().map_err(|_| Unplayable::Busy)?)),
        None => None,
    };
    let opened = tokio::task::spawn_blocking(move || Sound::open(&files, sealed));
    let (sound, len) = opened.await.map_err(io::Error::other)??;
    let asked = match with_range {
        false => Asked::Whole,
        true => asked_for(headers, len),
    };
    let whole = Span {
        first: 0,
        last: len.saturating_sub(1),
    };
    let (status, content_range, content_type, pieces) = match asked {
        Asked::Nothing => {
            let mut response = bare(StatusCode::RANGE_NOT_SATISFIABLE, &validators);
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{len}"),
            );
            return Ok(response);
        }
        Asked::Whole => {
            let pieces = if len == 0 {
                Vec::new()
            } else {
                vec![Piece::Of(whole)]
            };
            (StatusCode::OK, None, TYPE.to_owned(), pieces)
        }
        Asked::One(span) => {
            let says = content_range(span, len);
            let pieces = vec![Piece::Of(span)];
            (
                StatusCode::PARTIAL_CONTENT,
                Some(says),
                TYPE.to_owned(),
                pieces,
            )
        }
        Asked::Several(spans) => {
            // A file cannot contain its own hash, so that the boundary never occurs in the file.
            let boundary = format!("booth-hub-{}", clip.sha256);
            let kind = format!("multipart/byteranges; boundary={boundary}");
            let pieces = parts(&spans, len, &boundary);
            (StatusCode::PARTIAL_CONTENT, None, kind, pieces)
        }
    };
    let body = SoundBody::new(sound, pieces);
    let bytes = body.left;
    let mut response = bare(status, &validators);
    *response.body_mut() = Body::new(body);
    set(&mut response, header::CONTENT_TYPE, &content_type);
    set(&mut response, header::CONTENT_LENGTH, &bytes.to_string());
    if let Some(content_range) = content_range {
        set(&mut response, header::CONTENT_RANGE, &content_range);
    }
    Ok(response)
}

/// A written message, whole.
async fn written(clip: ClipFile, validators: &Validators) -> Result<Response, Unplayable> {
    let opened = tokio::task::spawn_blocking(move || text(&clip));
    let text = opened.await.map_err(io::Error::other)??;
    let mut response = bare(StatusCode::OK, validators);
    response.headers_mut().remove(header::ACCEPT_RANGES);
    set(&mut response, header::CONTENT_TYPE, TYPE_OF_TEXT);
    *response.body_mut() = Body::from(text);
    Ok(response)
}

/// The text of a written message.
///
/// # Errors
/// When its file cannot be read, cannot be unsealed, or holds no text.
pub(super) fn text(clip: &ClipFile) -> Result<String, Unplayable> {
    let body = match &clip.sealed {
        None => clip.files.read()?,
        Some(sealed) => {
            let opened = sealed.keys.open(&clip.files.read()?)?;
            if opened.clip.to_string() != sealed.clip_id.as_str() {
                return Err(Unplayable::OtherClip);
            }
            match (opened.text, opened.ending) {
                (Some(text), Ending::Whole) => text.to_vec(),
                (_, ending) => return Err(Unplayable::NotWhole(ending)),
            }
        }
    };
    let text = text_of_body(&body).ok_or(Unplayable::NoText)?;
    Ok(text.to_owned())
}

/// A whole clip, opened in memory.
///
/// # Errors
/// When its file cannot be opened, or cannot be unsealed.
pub(super) fn whole(clip: &ClipFile) -> Result<Vec<u8>, Unplayable> {
    let sealed = match clip.sealed.clone() {
        Some(sealed) => Some((sealed, OPENED.try_acquire().map_err(|_| Unplayable::Busy)?)),
        None => None,
    };
    let (sound, len) = Sound::open(&clip.files, sealed)?;
    match sound {
        Sound::Memory { ogg, .. } => Ok(ogg.to_vec()),
        Sound::File(_) if len > MOST_OPENED => Err(Unplayable::TooLong(len)),
        Sound::File(file) => {
            let mut bytes = vec![0; len as usize];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        }
    }
}

/// What `Range` asks for. `Range` is no list header: several lines of it are not joined.
fn asked_for(headers: &HeaderMap, len: u64) -> Asked {
    let mut values = headers.get_all(header::RANGE).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => range::asked(value.to_str().unwrap_or_default(), len),
        _ => Asked::Whole,
    }
}

/// An answer without a body so far, with the fields that every answer about the file has.
fn bare(status: StatusCode, validators: &Validators) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, validators.etag());
    if let Some(date) = validators.last_modified() {
        set(&mut response, header::LAST_MODIFIED, &date);
    }
    response
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn content_range(span: Span, len: u64) -> String {
    format!("bytes {}-{}/{len}", span.first, span.last)
}

/// The body of `multipart/byteranges` (§14.6).
fn parts(spans: &[Span], len: u64, boundary: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(2 * spans.len() + 1);
    for (at, span) in spans.iter().enumerate() {
        let before = if at == 0 { "" } else { "\r\n" };
        let says = content_range(*span, len);
        let head = format!(
            "{before}--{boundary}\r\nContent-Type: {TYPE}\r\nContent-Range: {says}\r\n\r\n"
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

/// Where a clip's bytes are.
enum Sound {
    File(Arc<File>),
    /// What was sealed, and its place among those that may be open.
    Memory {
        ogg: Bytes,
        _place: SemaphorePermit<'static>,
    },
}

impl Sound {
    /// The clip, and how many bytes it has.
    fn open(
        files: &BodyFiles,
        sealed: Option<(SealedClip, SemaphorePermit<'static>)>,
    ) -> Result<(Self, u64), Unplayable> {
        let file = File::open(&files.body)?;
        let len = file.metadata()?.len();
        let Some((sealed, place)) = sealed else {
            return Ok((Self::File(Arc::new(file)), len));
        };
        if len > MOST_OPENED {
            return Err(Unplayable::TooLong(len));
        }
        let body = files.read()?;
        let opened = sealed.keys.open(&body)?;
        if opened.clip.to_string() != sealed.clip_id.as_str() {
            return Err(Unplayable::OtherClip);
        }
        match &opened.ending {
            Ending::Whole => {}
            Ending::Cut if sealed.recovered => {}
            ending => return Err(Unplayable::NotWhole(ending.clone())),
        }
        let ogg = Bytes::from_owner(opened.ogg);
        let len = ogg.len() as u64;
        Ok((Self::Memory { ogg, _place: place }, len))
    }
}

/// A body that is read from a file as it is taken.
struct SoundBody {
    sound: Sound,
    pieces: VecDeque<Piece>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    left: u64,
}

impl SoundBody {
    fn new(sound: Sound, pieces: Vec<Piece>) -> Self {
        let bytes = |piece: &Piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Of(span) => span.bytes(),
        };
        Self {
            left: pieces.iter().map(bytes).sum(),
            sound,
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

impl http_body::Body for SoundBody {
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
                Some(Piece::Of(span)) => match &self.sound {
                    Sound::File(file) => {
                        let file = Arc::clone(file);
                        self.reading = Some(self.read(file, span));
                    }
                    Sound::Memory { ogg, .. } => {
                        let bytes = ogg.slice(span.first as usize..=span.last as usize);
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
