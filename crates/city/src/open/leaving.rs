//! A file that is written while it leaves.
//!
//! Owns: the narrow channel between the thread that writes and the connection that takes: a slow reader slows the writer, and one that goes
//! away ends it. Never does: hold more than some pieces. A fault in the middle ends the connection, so that nobody takes half a file for a
//! whole one.

use std::io::{self, BufWriter, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use booth_host::crew;
use http_body::Frame;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::City;
use crate::store::CityError;

/// Pieces on their way, each of at most [`PIECE`] bytes.
const MOST_PIECES: usize = 8;
const PIECE: usize = 64 * 1024;

/// Files that are written at a time.
const MOST: usize = 8;
static PLACES: Semaphore = Semaphore::const_new(MOST);

/// A body that `write` fills on a thread of its own; `None` while too many are under way.
pub(super) fn body(
    city: Arc<City>,
    write: impl FnOnce(&City, &mut dyn Write) -> Result<(), CityError> + Send + 'static,
) -> Option<Body> {
    let place = PLACES.try_acquire().ok()?;
    let (pieces, leaving) = channel(MOST_PIECES);
    let end = pieces.clone();
    let work = move || {
        let _held = place;
        let mut out = BufWriter::with_capacity(PIECE, Pieces(pieces));
        let written = write(&city, &mut out).and_then(|()| {
            out.flush()
                .map_err(|error| CityError::Failed(error.to_string()))
        });
        let last = match written {
            Ok(()) => Ok(Bytes::new()),
            Err(why) => {
                log::warn!(about = "open data"; "a file of the open data was not written to its end: {why}");
                Err(io::Error::other(why.to_string()))
            }
        };
        // Whoever has gone away reads no end.
        let _ = end.blocking_send(last);
    };
    if let Err(why) = crew::contain("open data", work) {
        log::warn!(about = "open data"; "the system gives no thread: {why}");
        return None;
    }
    Some(Body::new(Leaving {
        pieces: leaving,
        is_whole: false,
    }))
}

/// A piece of the file; an empty one is its end.
type Piece = Result<Bytes, io::Error>;

struct Pieces(Sender<Piece>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(PIECE)];
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(taken)))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Leaving {
    pieces: Receiver<Piece>,
    is_whole: bool,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        let piece = ready!(self.pieces.poll_recv(context));
        Poll::Ready(match piece {
            Some(Ok(bytes)) if bytes.is_empty() => {
                self.is_whole = true;
                None
            }
            Some(piece) => Some(piece.map(Frame::data)),
            None => Some(Err(io::Error::other("the file was not written to its end"))),
        })
    }
}
