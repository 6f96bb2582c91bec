//! A file that is written while it leaves.
//!
//! Owns: the narrow channel between the thread that writes and the connection that takes: a slow reader slows the writer, and one that goes
//! away ends it. Never does: hold more than some pieces. A fault in the middle ends the connection, so that nobody takes half a file for a
//! whole one.

use std::io::{self, BufWriter, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use booth_host::crew;
use http_body::Frame;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::City;
use crate::store::CityError;

/// Pieces on their way, each of at most [`PIECE`] bytes.
const MOST_PIECES: usize = 8;
const PIECE: usize = 64 * 1024;

/// A body that `write` fills on a thread of its own.
pub(super) fn body(
    city: Arc<City>,
    write: impl FnOnce(&City, &mut dyn Write) -> Result<(), CityError> + Send + 'static,
) -> Body {
    let (pieces, leaving) = channel(MOST_PIECES);
    let end = pieces.clone();
    crew::task("open data", async move {
        let written = crew::aside("open data", move || {
            let mut out = BufWriter::with_capacity(PIECE, Pieces(pieces));
            write(&city, &mut out)?;
            out.flush()
                .map_err(|error| CityError::Refused(error.to_string()))
        })
        .await;
        let why = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(death) => death.to_string(),
        };
        // Whoever has gone away reads no fault.
        if end.send(Err(io::Error::other(why.clone()))).await.is_ok() {
            log::warn!(about = "open data"; "a file of the open data could not be written to its end: {why}");
        }
    });
    Body::new(Leaving(leaving))
}

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

struct Leaving(Receiver<Piece>);

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
