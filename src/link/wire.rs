//! One connection as the outside sees it: the stream through the filter, and a book of what came.
//!
//! Owns: what the broker has said word for word, when it was last heard, and how the stream ended. Never does: judge. A broker
//! that accepts a connection and does not answer CONNECT is given up here.
#![allow(clippy::disallowed_methods)] // the wait for CONNACK

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::filter::{Connack, Filter, KEEP_ALIVE_S, Parting, Told};
use super::route::{self, Step, Stream};
use super::trouble::What;

/// How long a broker may take to answer CONNECT.
pub(super) const LOGIN_PATIENCE: Duration = Duration::from_secs(20);
/// Read at a time, bytes.
const CHUNK: usize = 16 * 1024;
/// Most reads for a last word, when writing has failed.
const LAST_READS: usize = 64;
/// Most answers that wait for their reader; the library hands each on before it reads much further.
const MOST_TOLD: usize = 1024;

/// What is known of one connection; clones are the same book.
#[derive(Debug, Clone)]
pub struct Line(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    steps: Vec<Step>,
    connack: Option<Connack>,
    acks: VecDeque<Told>,
    parting: Option<Parting>,
    broken: Option<What>,
    heard_at: Instant,
}

/// The broker's answer to a message or a subscription, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// One reason code for a message, one for each filter of a subscription.
    pub codes: Vec<u8>,
    /// Reason String, if it gave one.
    pub reason: Option<String>,
}

impl Default for Line {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Book {
            steps: Vec::new(),
            connack: None,
            acks: VecDeque::new(),
            parting: None,
            broken: None,
            heard_at: Instant::now(),
        })))
    }
}

impl Line {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more step on the way.
    pub fn step(&self, step: Step) {
        self.book().steps.push(step);
    }

    /// Every step so far.
    pub fn steps(&self) -> Vec<Step> {
        self.book().steps.clone()
    }

    /// The address that a connection stands with.
    pub fn address(&self) -> Option<SocketAddr> {
        let book = self.book();
        book.steps.iter().rev().find_map(|step| match step {
            Step::Tcp(address) => Some(*address),
            _ => None,
        })
    }

    /// The broker's CONNACK.
    pub fn connack(&self) -> Option<Connack> {
        self.book().connack.clone()
    }

    /// The broker's DISCONNECT.
    pub fn parting(&self) -> Option<Parting> {
        self.book().parting.clone()
    }

    /// How the stream ended.
    pub fn broken(&self) -> Option<What> {
        self.book().broken.clone()
    }

    /// When the last byte came.
    pub fn heard_at(&self) -> Instant {
        self.book().heard_at
    }

    /// When a broker counts as dead unless it is heard before: it has to be heard at least once in a keep-alive, because it is
    /// pinged that often, and half as long again and a connection's length is its grace.
    pub fn dead_at(&self) -> Instant {
        let book = self.book();
        let keep_alive_s = book
            .connack
            .as_ref()
            .map_or(KEEP_ALIVE_S, Connack::effective_keep_alive_s);
        book.heard_at + Duration::from_secs(keep_alive_s.into()).mul_f64(1.5) + LOGIN_PATIENCE
    }

    /// The answer to the message or subscription with this packet id, word for word; the library has just passed it on.
    pub fn answer(&self, packet_id: u16) -> Option<Answer> {
        let mut book = self.book();
        while let Some(told) = book.acks.pop_front() {
            match told {
                Told::Puback {
                    packet,
                    code,
                    reason,
                } if packet == packet_id => {
                    return Some(Answer {
                        codes: vec![code],
                        reason,
                    });
                }
                Told::Suback {
                    packet,
                    codes,
                    reason,
                } if packet == packet_id => return Some(Answer { codes, reason }),
                _ => {}
            }
        }
        None
    }

    fn note(&self, told: Vec<Told>) {
        let mut book = self.book();
        book.heard_at = Instant::now();
        for told in told {
            match told {
                Told::Connack(connack) => book.connack = Some(connack),
                Told::Disconnect(parting) => book.parting = Some(parting),
                ack => {
                    if book.acks.len() >= MOST_TOLD {
                        book.acks.pop_front();
                    }
                    book.acks.push_back(ack);
                }
            }
        }
    }

    fn ended(&self, what: What) {
        self.book().broken.get_or_insert(what);
    }
}

/// The stream that the library reads and writes.
pub struct Wire {
    stream: Stream,
    filter: Filter,
    line: Line,
    /// Filtered, not read yet: from `at` on.
    ready: Vec<u8>,
    at: usize,
    raw: Box<[u8]>,
    told: Vec<Told>,
    /// Runs until CONNACK.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Puts the filter on a stream.
    pub fn new(stream: Stream, line: Line) -> Self {
        line.note(Vec::new());
        Self {
            stream,
            filter: Filter::default(),
            line,
            ready: Vec::new(),
            at: 0,
            raw: vec![0; CHUNK].into_boxed_slice(),
            told: Vec::new(),
            patience: Some(Box::pin(sleep(LOGIN_PATIENCE))),
        }
    }

    fn broke(&self, error: io::Error) -> io::Error {
        let what = match route::tls_error(&error) {
            Some(fault) => What::Tls(fault.clone()),
            None => What::Broken(error.to_string()),
        };
        self.line.ended(what);
        error
    }

    /// A broker that throws us out says why and closes; what was being written then fails first.
    fn hear_last_words(&mut self, context: &mut Context<'_>) {
        for _ in 0..LAST_READS {
            let mut raw = ReadBuf::new(&mut self.raw);
            let read = Pin::new(&mut self.stream).poll_read(context, &mut raw);
            if !matches!(read, Poll::Ready(Ok(()))) || raw.filled().is_empty() {
                return;
            }
            self.filter
                .push(raw.filled(), &mut self.ready, &mut self.told);
            self.line.note(std::mem::take(&mut self.told));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let waiting = &this.ready[this.at..];
            if !waiting.is_empty() {
                let taken = waiting.len().min(buffer.remaining());
                buffer.put_slice(&waiting[..taken]);
                this.at += taken;
                return Poll::Ready(Ok(()));
            }
            if let Some(patience) = &mut this.patience
                && patience.as_mut().poll(context).is_ready()
            {
                this.line.ended(What::Silent);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let mut raw = ReadBuf::new(&mut this.raw);
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut raw));
            if let Err(error) = read {
                return Poll::Ready(Err(this.broke(error)));
            }
            if raw.filled().is_empty() {
                this.line.ended(What::Ended);
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.at = 0;
            this.filter
                .push(raw.filled(), &mut this.ready, &mut this.told);
            if this
                .told
                .iter()
                .any(|told| matches!(told, Told::Connack(_)))
            {
                this.patience = None;
            }
            this.line.note(std::mem::take(&mut this.told));
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.stream).poll_write(context, bytes));
        if written.is_err() {
            this.hear_last_words(context);
        }
        Poll::Ready(written.map_err(|error| this.broke(error)))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(Pin::new(&mut this.stream).poll_flush(context));
        if flushed.is_err() {
            this.hear_last_words(context);
        }
        Poll::Ready(flushed.map_err(|error| this.broke(error)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
