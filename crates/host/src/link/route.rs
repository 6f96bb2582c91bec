//! From a broker's name to a stream: resolve, race the addresses, TLS.
//!
//! Owns: the order of addresses and their limits (RFC 8305 "Happy Eyeballs"): each has a limit of its own, IPv4 and IPv6 take
//! turns, and the next address starts a quarter of a second after the one before, whether that one is still waiting or not. Never
//! does: speak MQTT, or ask a proxy. The system's resolver answers for both families at once and in the order of RFC 6724. It sets
//! its own limits, so that a thread of its own waits for it.
#![allow(clippy::disallowed_methods)] // opens sockets

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::trouble::What;
use crate::crew;
use booth_contract::BrokerUrl;

/// After this long a silent name server is given up.
const RESOLVING: Duration = Duration::from_secs(10);
/// Most threads of the whole program that wait for the system's resolver at a time.
const MOST_RESOLVERS: usize = 4;
/// Longest wait for one address: for TCP, and then for TLS.
const ANSWERING: Duration = Duration::from_secs(10);
/// How long an address is ahead of the next (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// The head start of an address that took a connection the last time, but where no broker answered.
const HEAD_START_OF_UNLUCKY: Duration = Duration::from_secs(2);
/// Most addresses that are tried.
const MOST_ADDRESSES: usize = 8;

/// A step on the way to the broker, for a caller that reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The name's addresses, in the order in which they are tried.
    Resolved(Vec<SocketAddr>),
    /// This address led nowhere.
    Failed(SocketAddr, String),
    /// A TCP connection stands.
    Tcp(SocketAddr),
    /// A TLS connection stands; with the broker's own certificate.
    Tls(Option<CertificateDer<'static>>),
}

/// Addresses that accepted a connection and then never answered CONNECT: the next time they are tried last.
#[derive(Debug, Clone, Default)]
pub struct Unlucky(Vec<SocketAddr>);

impl Unlucky {
    /// Notes whether the broker at an address has answered.
    pub fn note(&mut self, address: SocketAddr, has_answered: bool) {
        self.0.retain(|other| *other != address);
        if !has_answered {
            self.0.push(address);
            if self.0.len() > MOST_ADDRESSES {
                self.0.remove(0);
            }
        }
    }
}

/// A stream to the broker.
#[derive(Debug)]
pub enum Stream {
    /// Not encrypted.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Goes the whole way to the broker. `report` is called at each step.
pub async fn open(
    broker: &BrokerUrl,
    tls: Option<&Arc<rustls::ClientConfig>>,
    unlucky: &Unlucky,
    report: impl Fn(Step),
) -> Result<Stream, What> {
    let addresses = resolve(&broker.host, broker.port)
        .await
        .map_err(What::NoAddress)?;
    let order = order(addresses, unlucky);
    report(Step::Resolved(
        order.iter().map(|(address, _)| *address).collect(),
    ));
    let name = match tls {
        Some(_) => {
            let name = ServerName::try_from(broker.host.clone());
            Some(name.map_err(|_| What::NoCertificateName(broker.host.clone()))?)
        }
        None => None,
    };
    let attempt = |address| {
        let tls = tls.cloned().zip(name.clone());
        async move {
            let tcp = tcp(address).await?;
            match tls {
                Some((config, name)) => shake_hands(address, tcp, config, name).await,
                None => Ok(Stream::Plain(tcp)),
            }
        }
    };
    let failed = |address, what: &What| report(Step::Failed(address, what.of_one_address()));
    let (address, stream) = race(order, attempt, failed).await?;
    report(Step::Tcp(address));
    if let Stream::Tls(stream) = &stream {
        let chain = stream.get_ref().1.peer_certificates();
        let own = chain.and_then(|chain| chain.first());
        report(Step::Tls(own.map(|own| own.clone().into_owned())));
    }
    Ok(stream)
}

/// The addresses of a host.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    if WAITING.fetch_add(1, Ordering::Relaxed) >= MOST_RESOLVERS {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        return Err("the name server is still silent about earlier questions".into());
    }
    let (found, finding) = oneshot::channel();
    let name = host.to_owned();
    // The resolver has no time limit of its own; its thread ends with it, or with the program.
    let spawned = crew::lend("resolver", move || {
        let addresses = (name.as_str(), port).to_socket_addrs();
        WAITING.fetch_sub(1, Ordering::Relaxed);
        let addresses = addresses.map(|all| all.collect::<Vec<_>>());
        let _ = found.send(addresses.map_err(|error| error.to_string()));
    });
    if let Err(error) = spawned {
        WAITING.fetch_sub(1, Ordering::Relaxed);
        return Err(error.to_string());
    }
    match timeout(RESOLVING, finding).await {
        Ok(Ok(Ok(addresses))) if addresses.is_empty() => Err("the name has no address".into()),
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => Err(format!(
            "no answer of the name server in {} s",
            RESOLVING.as_secs()
        )),
    }
}

/// The addresses of both families in turns (RFC 8305 §4), the unlucky ones last; with each its head start over the next.
fn order(addresses: Vec<SocketAddr>, unlucky: &Unlucky) -> Vec<(SocketAddr, Duration)> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    let is_first_v6 = seen.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) = seen
        .into_iter()
        .partition(|address| address.is_ipv6() == is_first_v6);
    let mut turns = Vec::new();
    while !one.is_empty() || !other.is_empty() {
        turns.extend(one.pop_front());
        turns.extend(other.pop_front());
    }
    let (last, first): (Vec<_>, Vec<_>) = turns
        .into_iter()
        .partition(|address| unlucky.0.contains(address));
    let all: Vec<SocketAddr> = first
        .iter()
        .chain(&last)
        .copied()
        .take(MOST_ADDRESSES)
        .collect();
    let head_start = |at: usize| match all.get(at + 1) {
        Some(next) if last.contains(next) => HEAD_START_OF_UNLUCKY,
        _ => HEAD_START,
    };
    let with_start = all.iter().enumerate();
    with_start
        .map(|(at, address)| (*address, head_start(at)))
        .collect()
}

/// Starts the attempts in their order, each ahead of the next by its head start or until it fails, and takes the first that
/// succeeds. If none does, returns the failure that got furthest.
async fn race<T, F: Future<Output = Result<T, What>> + Send>(
    order: Vec<(SocketAddr, Duration)>,
    attempt: impl Fn(SocketAddr) -> F,
    failed: impl Fn(SocketAddr, &What),
) -> Result<(SocketAddr, T), What> {
    let mut waiting: VecDeque<_> = order.into();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut worst: Option<What> = None;
    let mut next_at = Instant::now();
    loop {
        if (running.is_empty() || Instant::now() >= next_at)
            && let Some((address, head_start)) = waiting.pop_front()
        {
            running.push((address, Box::pin(attempt(address))));
            next_at = Instant::now() + head_start;
        }
        if running.is_empty() {
            return Err(worst.unwrap_or_else(|| What::NoAddress("the name has no address".into())));
        }
        tokio::select! {
            (address, result) = first_of(&mut running) => match result {
                Ok(value) => return Ok((address, value)),
                Err(what) => {
                    failed(address, &what);
                    worst = Some(match worst.take() {
                        Some(before) => before.and(what),
                        None => what,
                    });
                    next_at = Instant::now();
                }
            },
            () = sleep_until(next_at), if !waiting.is_empty() => {}
        }
    }
}

/// Waits for the first future that is done, and removes it.
async fn first_of<T, F: Future<Output = T>>(
    running: &mut Vec<(SocketAddr, Pin<Box<F>>)>,
) -> (SocketAddr, T) {
    poll_fn(|context| {
        for at in 0..running.len() {
            if let Poll::Ready(result) = running[at].1.as_mut().poll(context) {
                let (address, _) = running.swap_remove(at);
                return Poll::Ready((address, result));
            }
        }
        Poll::Pending
    })
    .await
}

async fn tcp(address: SocketAddr) -> Result<TcpStream, What> {
    let connecting = timeout(ANSWERING, TcpStream::connect(address)).await;
    let unreached = |why: String| What::Unreached(vec![(address, why)]);
    let stream = connecting
        .map_err(|_| unreached(no_answer()))?
        .map_err(|error| unreached(error.to_string()))?;
    // Every message is a write of its own: with Nagle's algorithm the last one waits for a delayed ACK.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn shake_hands(
    address: SocketAddr,
    tcp: TcpStream,
    config: Arc<rustls::ClientConfig>,
    name: ServerName<'static>,
) -> Result<Stream, What> {
    let shaking = timeout(ANSWERING, TlsConnector::from(config).connect(name, tcp)).await;
    match shaking {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => Err(match tls_error(&error) {
            Some(fault) => What::Tls(fault.clone()),
            None => What::TlsEnded(format!("{address}: {error}")),
        }),
        Err(_) => Err(What::TlsEnded(format!("{address}: {}", no_answer()))),
    }
}

fn no_answer() -> String {
    format!("no answer in {} s", ANSWERING.as_secs())
}

/// TLS's own error, where it is one.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| address(text)).collect()
    }

    /// Runs a race in virtual time; returns which attempt won, when, and when each one started, in ms.
    async fn raced(
        order: Vec<(SocketAddr, Duration)>,
        behaves: impl Fn(SocketAddr) -> (u64, bool),
    ) -> (Result<SocketAddr, What>, u64, Vec<(SocketAddr, u64)>) {
        let begun = Instant::now();
        let now = || u64::try_from(begun.elapsed().as_millis()).expect("a while");
        let started = Mutex::new(Vec::new());
        let attempt = |address| {
            started.lock().expect("unpoisoned").push((address, now()));
            let (after_ms, is_good) = behaves(address);
            async move {
                sleep(Duration::from_millis(after_ms)).await;
                match is_good {
                    true => Ok(()),
                    false => Err(What::Unreached(vec![(address, "refused".into())])),
                }
            }
        };
        let won = race(order, attempt, |_, _| {}).await;
        let starts = started.into_inner().expect("unpoisoned");
        (won.map(|(address, ())| address), now(), starts)
    }

    #[test]
    fn the_families_take_turns_beginning_with_the_resolvers_first() {
        let all = addresses(&[
            "[2001:db8::1]:1",
            "[2001:db8::2]:1",
            "[2001:db8::1]:1",
            "192.0.2.1:1",
            "192.0.2.2:1",
            "192.0.2.3:1",
        ]);
        let order = order(all, &Unlucky::default());
        let told: Vec<String> = order
            .iter()
            .map(|(address, _)| address.to_string())
            .collect();
        assert_eq!(
            told,
            [
                "[2001:db8::1]:1",
                "192.0.2.1:1",
                "[2001:db8::2]:1",
                "192.0.2.2:1",
                "192.0.2.3:1"
            ]
        );
        assert!(
            order
                .iter()
                .all(|(_, head_start)| *head_start == HEAD_START)
        );
    }

    #[test]
    fn an_address_where_no_broker_answered_goes_last_until_it_answers() {
        let all = addresses(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
        let mut unlucky = Unlucky::default();
        unlucky.note(all[0], false);
        let first = |unlucky: &Unlucky| order(all.clone(), unlucky);
        assert_eq!(
            first(&unlucky),
            [
                (all[1], HEAD_START),
                (all[2], HEAD_START_OF_UNLUCKY),
                (all[0], HEAD_START)
            ]
        );
        unlucky.note(all[0], true);
        assert_eq!(first(&unlucky)[0].0, all[0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_swallows_packets_keeps_nobody_off() {
        let all = addresses(&["[2001:db8::1]:1", "192.0.2.1:1"]);
        let order = order(all.clone(), &Unlucky::default());
        let (won, at, starts) = raced(order, |address| match address.is_ipv6() {
            true => (3_600_000, true),
            false => (40, true),
        })
        .await;
        assert_eq!(won, Ok(all[1]));
        assert_eq!((at, starts), (290, vec![(all[0], 0), (all[1], 250)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once_and_the_earliest_success_wins() {
        let all = addresses(&["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1"]);
        let order = order(all.clone(), &Unlucky::default());
        // The first fails at 10 ms, the second succeeds at 910, the third (from 260 on) at 560; the fourth (from 510) is too late.
        let takes = [(10, false), (900, true), (300, true), (800, true)];
        let behaves = |address: SocketAddr| {
            let at = all.iter().position(|one| *one == address).expect("known");
            takes[at]
        };
        let (won, at, starts) = raced(order, behaves).await;
        assert_eq!((won, at), (Ok(all[2]), 560));
        let starts: Vec<u64> = starts.into_iter().map(|(_, at)| at).collect();
        assert_eq!(starts, [0, 10, 260, 510]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_none_answers_every_address_is_named() {
        let all = addresses(&["192.0.2.1:1", "192.0.2.2:1"]);
        let order = order(all, &Unlucky::default());
        let (won, at, _) = raced(order, |_| (100, false)).await;
        let Err(What::Unreached(why)) = won else {
            panic!("{won:?}")
        };
        assert_eq!((why.len(), at), (2, 200));
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_is_told() {
        let why = resolve("no-such-host.invalid", 1883).await;
        assert!(why.is_err(), "{why:?}");
        assert_eq!(
            resolve("::1", 1883).await,
            Ok(addresses(&["[::1]:1883"])),
            "an address is no name"
        );
    }
}
