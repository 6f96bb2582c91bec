//! A stored clip over HTTP: whole, in a range, or in several (RFC 9110 §14, §15.3.7).
//!
//! Owns: opening the clip. A sealed clip is opened in memory, which is overwritten when the answer has gone. Never does: cut a range out of
//! it (`ranged` does).
#![allow(clippy::disallowed_methods)] // the clip's file is opened here

use std::io;
use std::os::unix::fs::FileExt;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ranged::{self, Source, Whole};
use crate::store::BodyFiles;
use crate::view::{ClipFile, SealedClip};
use booth_city::web::sound::{bare, set};
use booth_city::web::validators::{Validators, Verdict};
use booth_contract::written::text_of_body;
use booth_sealing::{Ending, OpenError};

const TYPE: &str = "audio/ogg";
const TYPE_OF_TEXT: &str = "text/plain; charset=utf-8";
/// Longest sealed clip that is opened, in bytes: at the highest bit rate of a booth four minutes, at the usual one an hour and a half.
const MOST_OPENED: u64 = crate::store::MOST_CARRIED;
/// How many sealed clips may be open in memory, one for each answer that is under way. Whoever reads slowly keeps others from listening and
/// the hub from nothing.
const OPENED_AT_MOST: usize = 16;
static OPENED: Semaphore = Semaphore::const_new(OPENED_AT_MOST);

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
    let opened = tokio::task::spawn_blocking(move || open(&files, sealed));
    let (source, len) = opened.await.map_err(io::Error::other)??;
    let whole = Whole {
        kind: TYPE,
        len,
        // A file cannot contain its own hash, so that the boundary never occurs in the file.
        boundary: clip.sha256.as_str(),
    };
    Ok(ranged::answer(
        source,
        &whole,
        &validators,
        with_range.then_some(headers),
    ))
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
    let (source, len) = open(&clip.files, sealed)?;
    match source {
        Source::Memory { bytes, .. } => Ok(bytes.to_vec()),
        Source::File { .. } if len > MOST_OPENED => Err(Unplayable::TooLong(len)),
        Source::File { file, .. } => {
            let mut bytes = vec![0; len as usize];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        }
    }
}

fn is_not_too_long(files: &BodyFiles) -> Result<(), Unplayable> {
    match files.length()? {
        Some(len) if len > MOST_OPENED => Err(Unplayable::TooLong(len)),
        _ => Ok(()),
    }
}

/// The clip, and how many bytes it has.
fn open(
    files: &BodyFiles,
    sealed: Option<(SealedClip, SemaphorePermit<'static>)>,
) -> Result<(Source, u64), Unplayable> {
    let file = files.open()?;
    let (sealed, place) = match (&file, sealed) {
        (Some(_), Some((sealed, place))) => (sealed, place),
        (Some(file), None) => {
            let len = file.metadata()?.len();
            return Ok((Source::of(file.try_clone()?, None), len));
        }
        // What is in a bucket is fetched into memory.
        (None, None) => {
            is_not_too_long(files)?;
            let place = OPENED.try_acquire().map_err(|_| Unplayable::Busy)?;
            let bytes = Bytes::from(files.read()?);
            let len = bytes.len() as u64;
            let source = Source::Memory {
                bytes,
                _place: place,
            };
            return Ok((source, len));
        }
        (None, Some((sealed, place))) => (sealed, place),
    };
    is_not_too_long(files)?;
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
    let source = Source::Memory {
        bytes: ogg,
        _place: place,
    };
    Ok((source, len))
}
