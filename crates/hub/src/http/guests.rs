//! Who may be connected to the pages, for how long, and how many at a time.
//!
//! Owns: the limits of connections, so that a client that opens many, or says nothing on them, takes no file descriptor that the
//! connection to the broker or the store needs. Never does: read a request.
#![allow(clippy::disallowed_methods)] // its clocks are time-outs

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use booth_city::web::peer::{Peer, one_visitor};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Connections at a time; each may have a clip's file open.
const MOST: usize = 256;
/// Connections of one address that is not this machine's own.
const MOST_OF_ONE: usize = 32;
/// Descriptors that are kept back: the broker's connection, the database, clips that are coming in, the log.
const KEPT_BACK: u64 = 256;
/// Descriptors of one connection.
const OF_ONE: u64 = 2;
/// Time within which a request's head has to be whole; an idle connection is kept for the same time.
const HEAD: Duration = Duration::from_secs(10);
/// Largest head of a request, bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// A client that has taken nothing of an answer for this long is considered gone.
const STUCK: Duration = Duration::from_secs(60);
/// The longest connection.
const LONGEST: Duration = Duration::from_secs(3600);
/// Pause after a connection that the system could not give.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Serves connections until `stop`, then those that are at work to their end; with `tls`, over TLS alone.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(most()));
    let guests = Guests::at_most(MOST_OF_ONE);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // While there is no place, no connection is accepted: clients wait in the system's queue.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        // Removes the connections that have ended.
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, from)) => guests
                .let_in(from.ip())
                .map(|guest| (stream, guest, from.ip())),
            Err(error) => {
                log::warn!(about = "pages"; "the system gives the pages no connection: {error}");
                sleep(AFTER_FAILURE).await;
                None
            }
        };
        if let (Ok(place), Some((stream, guest, from))) = (place, stream) {
            let router = router.clone().layer(axum::Extension(Peer(from)));
            let tls = tls.clone();
            connections.spawn(async move {
                let _held = (place, guest);
                // A failure concerns this client only, so that it is ignored.
                let _ = stream.set_nodelay(true);
                let answering = async {
                    match tls {
                        None => {
                            let _ = answer(stream, router).await;
                        }
                        Some(tls) => {
                            // A client that says nothing while it is to greet is given up like one that says nothing in a request.
                            if let Ok(Ok(stream)) = timeout(HEAD, tls.accept(stream)).await {
                                let _ = answer(stream, router).await;
                            }
                        }
                    }
                };
                let _ = timeout(LONGEST, answering).await;
            });
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Answers what is asked on one connection, until it ends.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    router: Router,
) -> hyper::Result<()> {
    let io = TokioIo::new(Patient::new(stream));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_header_size(HEAD_BYTES)
        .serve_connection(io, TowerToHyperService::new(router))
        .await
}

/// How many connections the descriptors of this process allow.
fn most() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    places(limit)
}

fn places(descriptors: Option<u64>) -> usize {
    let allowed = descriptors.map_or(u64::MAX, |limit| limit.saturating_sub(KEPT_BACK) / OF_ONE);
    usize::try_from(allowed).unwrap_or(MOST).clamp(8, MOST)
}

/// Who has places, by address; the addresses of one IPv6 network (/64) count as one.
#[derive(Debug, Clone)]
pub(super) struct Guests {
    /// Most places of one address.
    most: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One place of an address, taken until this value is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Guests,
    from: IpAddr,
}

impl Guests {
    /// At most this many places for one address.
    pub(super) fn at_most(most: usize) -> Self {
        let counts = Arc::default();
        Self { most, counts }
    }

    /// A place for this address; `None` if the address has all of its places. This machine's own address has no limit: a reverse
    /// proxy may run there.
    pub(super) fn let_in(&self, from: IpAddr) -> Option<Guest> {
        let from = one_visitor(from);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(from).or_default();
        if *count >= self.most && !is_this_machine(from) {
            return None;
        }
        *count += 1;
        Some(Guest {
            guests: self.clone(),
            from,
        })
    }
}

/// Of `::1` only the network is left.
fn is_this_machine(visitor: IpAddr) -> bool {
    visitor.is_loopback() || visitor == IpAddr::from(Ipv6Addr::UNSPECIFIED)
}

impl Drop for Guest {
    fn drop(&mut self) {
        let counts = self.guests.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.from);
            }
        }
    }
}

/// A stream that gives up when the client takes nothing.
struct Patient<S> {
    stream: S,
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            stuck: None,
        }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(STUCK)));
        stuck
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judge(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge(context, closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn whatever_the_system_allows_broker_and_store_keep_their_descriptors() {
        for (limit, wanted) in [
            (None, MOST),
            (Some(8_192), MOST),
            (Some(1_024), 256),
            (Some(512), 128),
            (Some(256), 8),
            (Some(0), 8),
        ] {
            assert_eq!(places(limit), wanted, "{limit:?}");
        }
    }

    #[test]
    fn one_address_has_its_share_and_this_machine_all_of_them() {
        let guests = Guests::at_most(MOST_OF_ONE);
        let from = |text: &str| text.parse::<IpAddr>().expect("an address");
        let stranger = from("192.0.2.1");
        let mut there: Vec<_> = (0..MOST_OF_ONE).map(|_| guests.let_in(stranger)).collect();
        assert!(there.iter().all(Option::is_some) && guests.let_in(stranger).is_none());
        assert!(guests.let_in(from("192.0.2.2")).is_some());
        let network = |at| from(&format!("2001:db8:0:1::{at}"));
        let household: Vec<_> = (0..MOST_OF_ONE)
            .map(|at| guests.let_in(network(at)))
            .collect();
        assert!(household.iter().all(Option::is_some));
        assert!(guests.let_in(network(MOST_OF_ONE)).is_none());
        assert!(guests.let_in(from("2001:db8:0:2::1")).is_some());
        drop(household);
        there.pop();
        assert!(guests.let_in(stranger).is_some(), "whoever left makes room");
        let own = ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(from);
        let own: Vec<_> = (0..300).map(|n| guests.let_in(own[n % 3])).collect();
        assert!(own.iter().all(Option::is_some));
        drop((there, own));
        assert!(guests.counts.lock().expect("whole").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_of_an_answer_is_given_up_and_whoever_is_slow_is_not() {
        let (ours, mut theirs) = tokio::io::duplex(1_000);
        let mut patient = Patient::new(ours);
        let reading = async {
            let mut taken = [0; 1_000];
            for _ in 0..10 {
                sleep(STUCK - Duration::from_secs(1)).await;
                theirs.read_exact(&mut taken).await.expect("read");
            }
            theirs
        };
        let (written, _theirs) = tokio::join!(patient.write_all(&[7; 10_500]), reading);
        written.expect("slowly");
        let error = patient
            .write_all(&[7; 1_000])
            .await
            .expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn pages_with_a_certificate_answer_over_tls_and_to_nothing_else() {
        use tokio::net::TcpStream;
        use tokio_rustls::TlsConnector;
        use tokio_rustls::rustls::pki_types::ServerName;
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let tls = booth_host::tls::server_config(&certificate, &key).expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", axum::routing::get(|| async { "a page" }));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = serve(listener, Some(TlsAcceptor::from(tls)), router, async {
            let _ = stopped.await;
        });
        let asking = async {
            const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let config = booth_host::tls::client_config(Some(&certificate), None);
            let connector = TlsConnector::from(config.expect("a client"));
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = TcpStream::connect(address).await.expect("connected");
            let mut stream = connector.connect(name, stream).await.expect("greeted");
            stream.write_all(ASK).await.expect("sent");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("read");
            let mut bare = TcpStream::connect(address).await.expect("connected");
            bare.write_all(ASK).await.expect("sent");
            let mut nothing = Vec::new();
            // The end may come as a reset.
            let _ = bare.read_to_end(&mut nothing).await;
            drop(stop);
            (answer, nothing)
        };
        let ((), (answer, nothing)) = tokio::join!(serving, asking);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.starts_with("HTTP/1.1 200") && text.ends_with("a page"),
            "{text}"
        );
        assert!(!String::from_utf8_lossy(&nothing).contains("a page"));
    }
}
