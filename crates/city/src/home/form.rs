//! What a citizen's form brings: a few short fields, and one recording.
//!
//! Owns: the limits of what is taken in: fields, letters, bytes of a recording, recordings in memory at a time. Never does: judge what was
//! said. A recording that is too large is refused while it comes: what goes beyond the limit is thrown away as it arrives, and a sender who
//! goes on for long is cut off.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body as Sent, Bytes, HttpBody};
use axum::extract::{FromRequest, Multipart, Request};
use http_body::Frame;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::web::patient;

/// Most fields of a form.
const MOST_FIELDS: usize = 24;
/// Most bytes of all short fields.
const MOST_TEXT: usize = 64 * 1024;
/// How many times the limit of a recording is thrown away before its sender is cut off, so that a browser still reads the answer.
const PATIENCE: u64 = 4;
/// Recordings that may be in memory at a time.
const AT_A_TIME: usize = 8;
static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME);

/// A body of so many bytes at most, of which one piece is taken at a time: what takes a form apart reads as long as there is something
/// to read, and would hold all of it in memory.
struct Measured {
    body: Sent,
    left: u64,
    is_over: Arc<AtomicBool>,
    may_go_on: bool,
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !std::mem::replace(&mut self.may_go_on, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.may_go_on = false;
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > self.left {
                self.is_over.store(true, Ordering::Relaxed);
                let why = std::io::Error::from(std::io::ErrorKind::FileTooLarge);
                return Poll::Ready(Some(Err(axum::Error::new(why))));
            }
            self.left -= bytes;
        }
        Poll::Ready(frame)
    }
}

/// A form that came whole.
#[derive(Default)]
pub(super) struct Form {
    fields: BTreeMap<String, String>,
    /// The recording, if one is in it.
    pub(super) sound: Option<Vec<u8>>,
    /// Its place among the recordings in memory.
    _place: Option<SemaphorePermit<'static>>,
}

/// Why a form was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is no form of ours, or was cut off.
    Broken,
    /// Its recording has too many bytes, or its text.
    TooLarge,
    /// As many recordings as may be are on their way.
    Busy,
}

impl Form {
    /// Reads a form; a recording may have so many bytes.
    pub(super) async fn read(request: Request, most_bytes: u64) -> Result<Self, Unread> {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let request = request.map(|body| {
            let most = PATIENCE * most_bytes + MOST_TEXT as u64;
            Sent::new(Measured {
                body: patient(body),
                left: most,
                is_over,
                may_go_on: false,
            })
        });
        let unread = |_| match over.load(Ordering::Relaxed) {
            true => Unread::TooLarge,
            false => Unread::Broken,
        };
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| Unread::Broken)?;
        let mut form = Self::default();
        let (mut number, mut text_bytes) = (0, 0);
        let mut is_too_large = false;
        while let Some(mut part) = parts.next_field().await.map_err(unread)? {
            number += 1;
            if number > MOST_FIELDS {
                return Err(Unread::Broken);
            }
            let name = part.name().unwrap_or_default().to_owned();
            if name == "sound" {
                let (mut sound, mut came) = (Vec::new(), 0_u64);
                while let Some(piece) = part.chunk().await.map_err(unread)? {
                    if form._place.is_none() {
                        form._place = Some(PLACES.try_acquire().map_err(|_| Unread::Busy)?);
                    }
                    came += piece.len() as u64;
                    if came > most_bytes {
                        is_too_large = true;
                        sound = Vec::new();
                        continue;
                    }
                    sound.extend_from_slice(&piece);
                }
                form.sound = (!sound.is_empty()).then_some(sound);
                continue;
            }
            let mut value = Vec::new();
            while let Some(piece) = part.chunk().await.map_err(unread)? {
                text_bytes += piece.len();
                if text_bytes > MOST_TEXT {
                    return Err(Unread::TooLarge);
                }
                value.extend_from_slice(&piece);
            }
            let value = String::from_utf8(value).map_err(|_| Unread::Broken)?;
            form.fields.insert(name, value);
        }
        match is_too_large {
            true => Err(Unread::TooLarge),
            false => Ok(form),
        }
    }

    /// A field; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// Whether a box was ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }
}

/// A text as it was typed: line ends of this machine, without what is not seen, without blanks around it.
pub(super) fn tidy(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let seen = text
        .chars()
        .filter(|letter| *letter == '\n' || *letter == '\t' || !letter.is_control());
    seen.collect::<String>().trim().to_owned()
}
