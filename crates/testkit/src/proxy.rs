//! A bad network between a client and a server: a TCP proxy on loopback whose behaviour is switched while it runs.
//!
//! Owns: its listener and the pairs of connections it carries. A new mode holds for new connections and, within
//! some milliseconds, for those that stand. Everything ends when the value is dropped.
#![allow(clippy::disallowed_methods)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How the network behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes pass.
    Pass,
    /// Connections stand, nothing is read: the sender's buffers fill up.
    Stall,
    /// Every connection is reset (RST), and every new one as well.
    Reset,
    /// At most this many bits a second, each way and each connection.
    Throttle(u64),
    /// Connections are accepted and everything is read, but nothing comes out at the other end. A connection that
    /// has lost bytes this way is reset when the mode changes.
    BlackHole,
}

/// Most bytes read at a time.
const CHUNK: usize = 16 * 1024;
/// How often a waiting thread looks whether the mode has changed.
const LOOK: Duration = Duration::from_millis(20);

struct Shared {
    mode: Mutex<Mode>,
    over: AtomicBool,
    server: SocketAddr,
    /// Rises with each reset: connections of an earlier count go.
    resets: AtomicU64,
    accepted: AtomicU64,
    passed: AtomicU64,
    swallowed: AtomicU64,
    /// What the throttle has asked of the senders, µs.
    held_us: AtomicU64,
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }
}

/// The proxy.
pub struct Proxy {
    shared: Arc<Shared>,
    pub port: u16,
    accepting: Option<std::thread::JoinHandle<()>>,
}

impl Proxy {
    /// Stands between whoever connects to [`Proxy::port`] and the server on this port of loopback.
    pub fn before(server_port: u16) -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("the proxy: {error}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(fault)?;
        let port = listener.local_addr().map_err(fault)?.port();
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Pass),
            over: AtomicBool::new(false),
            server: SocketAddr::from(([127, 0, 0, 1], server_port)),
            resets: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            swallowed: AtomicU64::new(0),
            held_us: AtomicU64::new(0),
        });
        let shares = shared.clone();
        let accepting = std::thread::spawn(move || accept(&listener, &shares));
        Ok(Self {
            shared,
            port,
            accepting: Some(accepting),
        })
    }

    /// Behaves like this from now on.
    pub fn set(&self, mode: Mode) {
        *self
            .shared
            .mode
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = mode;
        if mode == Mode::Reset {
            self.reset();
        }
    }

    /// Resets what stands, once.
    pub fn reset(&self) {
        self.shared.resets.fetch_add(1, Relaxed);
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Relaxed)
    }

    /// Bytes that went into the black hole so far, both ways.
    pub fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Relaxed)
    }

    /// Bytes passed so far, both ways.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Relaxed)
    }

    /// For how long the throttle has held bytes back so far; each connection waits that long before its next bytes.
    pub fn held(&self) -> Duration {
        Duration::from_micros(self.shared.held_us.load(Relaxed))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Relaxed);
        self.reset();
        // Wakes the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Will be closed with RST, unsent bytes thrown away (SO_LINGER 0).
fn will_reset(socket: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_over() {
            return;
        }
        let Ok(client) = client else { continue };
        shared.accepted.fetch_add(1, Relaxed);
        if shared.mode() == Mode::Reset {
            will_reset(&client);
            continue;
        }
        let Ok(server) = TcpStream::connect(shared.server) else {
            continue;
        };
        for end in [&client, &server] {
            let _ = end.set_nodelay(true);
            let _ = end.set_read_timeout(Some(LOOK));
            let _ = end.set_write_timeout(Some(LOOK));
        }
        let [Ok(from_client), Ok(from_server)] = [client.try_clone(), server.try_clone()] else {
            continue;
        };
        let resets = shared.resets.load(Relaxed);
        for (from, to) in [(from_client, server), (from_server, client)] {
            let shared = shared.clone();
            std::thread::spawn(move || carry(from, to, &shared, resets));
        }
    }
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// Carries one direction to its end.
fn carry(mut from: TcpStream, mut to: TcpStream, shared: &Shared, resets: u64) {
    let mut buffer = vec![0; CHUNK];
    let mut is_swallowed = false;
    loop {
        let mode = shared.mode();
        let is_spoilt = is_swallowed && mode != Mode::BlackHole;
        if is_spoilt || shared.is_over() || shared.resets.load(Relaxed) != resets {
            // The other direction does the same: with the last handle the connection is reset.
            will_reset(&from);
            will_reset(&to);
            if is_spoilt {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            }
            return;
        }
        if mode == Mode::Stall {
            std::thread::park_timeout(LOOK);
            continue;
        }
        let most = match mode {
            // A twentieth of a second's worth.
            Mode::Throttle(bits) => usize::try_from(bits / 160).unwrap_or(CHUNK).clamp(1, CHUNK),
            _ => CHUNK,
        };
        let began = Instant::now();
        let bytes = match from.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error) if is_pause(&error) => continue,
            Err(_) => break,
        };
        if mode == Mode::BlackHole {
            is_swallowed = true;
            shared.swallowed.fetch_add(bytes as u64, Relaxed);
            continue;
        }
        let pace = match mode {
            Mode::Throttle(bits) => {
                Duration::from_secs_f64(bytes as f64 * 8.0 / bits.max(1) as f64)
            }
            _ => Duration::ZERO,
        };
        let held_us = u64::try_from(pace.as_micros()).unwrap_or(0);
        shared.held_us.fetch_add(held_us, Relaxed);
        // Counted before anybody at the other end can have seen them.
        shared.passed.fetch_add(bytes as u64, Relaxed);
        if !write_all(&mut to, &buffer[..bytes], shared, resets) {
            break;
        }
        if !pace.is_zero() {
            let due = began + pace;
            while shared.mode() == mode && !shared.is_over() {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                std::thread::park_timeout(left.min(LOOK));
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Writes what was read, whatever the mode has become meanwhile: TCP loses nothing of a connection that stands.
fn write_all(to: &mut TcpStream, mut bytes: &[u8], shared: &Shared, resets: u64) -> bool {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return false,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if is_pause(&error) => {
                if shared.is_over() || shared.resets.load(Relaxed) != resets {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
