//! One connection: the stream through the filter, and a record of what the broker sent.
//!
//! Owns: the broker's answers word for word, when it was last heard, and how the stream ended. Never does: judge them. A broker
//! that accepts a connection and does not answer CONNECT is given up here.
#![allow(clippy::disallowed_methods)] // the wait for CONNACK

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::filter::{Connack, Filter, Heard, KEEP_ALIVE_S, Parting};
use super::route::{self, Step, Stream};
use super::trouble::What;

/// How long a broker may take to answer CONNECT.
pub(super) const LOGIN_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that are read at a time.
const CHUNK: usize = 16 * 1024;
/// Where they are read to: on the stack, because between two reads nothing is there, and a simulated city has ten thousand connections.
const SPACE: [MaybeUninit<u8>; CHUNK] = [MaybeUninit::uninit(); CHUNK];
/// Most reads for the broker's last packet, after writing has failed.
const LAST_READS: usize = 64;
/// While reading is paused the library is given an answer to its pings this often, because it gives up a broker that answers none.
const HELD_PING: Duration = Duration::from_secs(5);
/// PINGRESP (MQTT 5 §3.13).
const PINGRESP: [u8; 2] = [0xD0, 0];
/// Most answers that wait for their reader; the library passes each on before it reads much further.
const MOST_TOLD: usize = 1024;
/// What is written in pieces larger than this is more than pings and acknowledgements, bytes.
const SMALL_TALK: usize = 64;

/// The record of one connection; clones share it.
#[derive(Debug, Clone)]
pub struct Line(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    steps: Vec<Step>,
    connack: Option<Connack>,
    acks: VecDeque<Heard>,
    parting: Option<Parting>,
    broken: Option<What>,
    heard_at: Instant,
    /// When the network last took something other than small talk.
    fed_at: Instant,
    /// Reading from the broker is paused.
    is_held: bool,
    /// Wakes the reader when reading goes on.
    reader: Option<Waker>,
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
            fed_at: Instant::now(),
            is_held: false,
            reader: None,
        })))
    }
}

impl Line {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a step on the way to the broker.
    pub fn step(&self, step: Step) {
        self.book().steps.push(step);
    }

    /// Every step so far.
    pub fn steps(&self) -> Vec<Step> {
        self.book().steps.clone()
    }

    /// The address of the TCP connection.
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

    /// Pauses reading from the broker, or goes on with it: the network makes the broker wait, and writing goes on. A message that
    /// has begun is read to its end.
    pub fn hold(&self, is_held: bool) {
        let mut book = self.book();
        if book.is_held && !is_held {
            // Silence during the pause is not the broker's fault.
            book.heard_at = Instant::now();
        }
        book.is_held = is_held;
        if let (false, Some(reader)) = (is_held, book.reader.take()) {
            reader.wake();
        }
    }

    /// Whether reading is paused.
    pub fn is_held(&self) -> bool {
        self.book().is_held
    }

    /// Whether reading is paused; if it is, `reader` is woken when it goes on.
    fn holds_up(&self, reader: &Waker) -> bool {
        let mut book = self.book();
        book.reader = book.is_held.then(|| reader.clone());
        book.is_held
    }

    /// When the last byte came.
    pub fn heard_at(&self) -> Instant {
        self.book().heard_at
    }

    /// When the network last took a piece of a message that is being sent, however slowly.
    pub fn fed_at(&self) -> Instant {
        self.book().fed_at
    }

    /// When a broker counts as dead unless it is heard before. It is pinged once in a keep-alive, and so must be heard at least
    /// that often; half a keep-alive and the time for a login are added as a grace.
    pub fn dead_at(&self) -> Instant {
        let book = self.book();
        let keep_alive_s = book
            .connack
            .as_ref()
            .map_or(KEEP_ALIVE_S, Connack::effective_keep_alive_s);
        book.heard_at + Duration::from_secs(keep_alive_s.into()).mul_f64(1.5) + LOGIN_PATIENCE
    }

    /// The answer to the message or subscription with this packet id, word for word; the library must have passed it on just
    /// before.
    pub fn answer(&self, packet_id: u16) -> Option<Answer> {
        let mut book = self.book();
        while let Some(heard) = book.acks.pop_front() {
            match heard {
                Heard::Puback {
                    packet,
                    code,
                    reason,
                } if packet == packet_id => {
                    return Some(Answer {
                        codes: vec![code],
                        reason,
                    });
                }
                Heard::Suback {
                    packet,
                    codes,
                    reason,
                } if packet == packet_id => return Some(Answer { codes, reason }),
                _ => {}
            }
        }
        None
    }

    fn note(&self, heard: Vec<Heard>) {
        let mut book = self.book();
        book.heard_at = Instant::now();
        for heard in heard {
            match heard {
                Heard::Connack(connack) => book.connack = Some(connack),
                Heard::Disconnect(parting) => book.parting = Some(parting),
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
    /// Filtered bytes that the library has not read yet, from `at` on.
    ready: Vec<u8>,
    at: usize,
    heard: Vec<Heard>,
    /// Runs until CONNACK.
    patience: Option<Pin<Box<Sleep>>>,
    /// Runs while reading is paused.
    held_ping: Option<Pin<Box<Sleep>>>,
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
            heard: Vec::new(),
            patience: Some(Box::pin(sleep(LOGIN_PATIENCE))),
            held_ping: None,
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

    /// A broker that ends the connection gives its reason and closes; the write that is under way fails before the reason is read.
    fn hear_last_words(&mut self, context: &mut Context<'_>) {
        for _ in 0..LAST_READS {
            let mut space = SPACE;
            let mut raw = ReadBuf::uninit(&mut space);
            let read = Pin::new(&mut self.stream).poll_read(context, &mut raw);
            if !matches!(read, Poll::Ready(Ok(()))) || raw.filled().is_empty() {
                return;
            }
            self.filter
                .push(raw.filled(), &mut self.ready, &mut self.heard);
            self.line.note(std::mem::take(&mut self.heard));
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
            let mut most = CHUNK;
            if this.line.holds_up(context.waker()) {
                most = most.min(this.filter.missing());
                if most == 0 {
                    let ping = this
                        .held_ping
                        .get_or_insert_with(|| Box::pin(sleep(HELD_PING)));
                    ready!(ping.as_mut().poll(context));
                    this.held_ping = None;
                    this.ready = PINGRESP.into();
                    this.at = 0;
                    continue;
                }
            } else {
                this.held_ping = None;
            }
            let mut space = SPACE;
            let mut raw = ReadBuf::uninit(&mut space[..most]);
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
                .push(raw.filled(), &mut this.ready, &mut this.heard);
            if this
                .heard
                .iter()
                .any(|heard| matches!(heard, Heard::Connack(_)))
            {
                this.patience = None;
            }
            this.line.note(std::mem::take(&mut this.heard));
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
        if matches!(written, Ok(count) if count > SMALL_TALK) {
            this.line.book().fed_at = Instant::now();
        }
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A connection that the broker has accepted.
    async fn connected() -> (TcpStream, Wire, Line) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let ours = TcpStream::connect(address).await.expect("connected");
        let (mut broker, _) = listener.accept().await.expect("accepted");
        let line = Line::default();
        let mut wire = Wire::new(Stream::Plain(ours), line.clone());
        broker.write_all(&[0x20, 3, 0, 0, 0]).await.expect("sent");
        let mut connack = [0; 8];
        wire.read_exact(&mut connack).await.expect("read");
        (broker, wire, line)
    }

    #[tokio::test]
    async fn while_reading_is_held_a_begun_message_ends_pings_are_answered_and_nothing_else_is_read()
     {
        let (mut broker, mut wire, line) = connected().await;
        let mut message = vec![0x30, 0x80, 0x80, 0x08]; // 131,072 bytes
        message.extend((0..131_072).map(|n| (n % 251) as u8));
        let mut read = vec![0; message.len()];
        broker.write_all(&message[..1_000]).await.expect("sent");
        wire.read_exact(&mut read[..1_000]).await.expect("read");
        line.hold(true);
        let next = [0x30, 3, 0, 1, b'x'];
        let rest = [&message[1_000..], &next].concat();
        let (sent, got) =
            tokio::join!(broker.write_all(&rest), wire.read_exact(&mut read[1_000..]));
        sent.expect("sent");
        got.expect("read to its end");
        assert!(read == message);
        tokio::time::pause();
        for _ in 0..20 {
            let mut answer = [0; 2];
            wire.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(answer, PINGRESP);
        }
        line.hold(false);
        assert!(
            line.dead_at() > Instant::now(),
            "its silence was wished for"
        );
        let mut got = [0; 5];
        wire.read_exact(&mut got).await.expect("read");
        assert_eq!(got, next);
    }

    #[tokio::test]
    async fn who_waits_for_a_held_broker_is_woken_when_reading_goes_on() {
        let (mut broker, mut wire, line) = connected().await;
        line.hold(true);
        broker
            .write_all(&[0x30, 3, 0, 1, b'x'])
            .await
            .expect("sent");
        let mut got = [0; 5];
        let go_on = async {
            tokio::task::yield_now().await;
            line.hold(false);
        };
        let (read, ()) = tokio::join!(wire.read_exact(&mut got), go_on);
        read.expect("read");
        assert_eq!(got, [0x30, 3, 0, 1, b'x']);
    }
}
