//! How far a broker can be reached, step by step: name, TCP, TLS.
//!
//! Owns: one short connection for a look. Never does: speak MQTT; `mqtt` does. Every step has an end.
#![allow(clippy::disallowed_methods)] // opens a socket

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};

/// A name server that is silent is given up after this.
const RESOLVING: Duration = Duration::from_secs(10);
/// Longest wait for TCP, and for each answer of TLS.
const CONNECTING: Duration = Duration::from_secs(8);
/// Most addresses that are tried.
const MOST_ADDRESSES: usize = 4;

/// The addresses of a host.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let (found, finding) = mpsc::channel();
    let name = host.to_owned();
    // The resolver has no time limit of its own; its thread ends with it, or with the program.
    let resolver = std::thread::Builder::new().name("resolver".into());
    let resolving = move || {
        let addresses = (name.as_str(), port).to_socket_addrs();
        let addresses = addresses.map(|all| all.take(MOST_ADDRESSES).collect::<Vec<_>>());
        let _ = found.send(addresses.map_err(|error| error.to_string()));
    };
    resolver
        .spawn(resolving)
        .map_err(|error| error.to_string())?;
    match finding.recv_timeout(RESOLVING) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err("the name has no address".into()),
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer in {} s", RESOLVING.as_secs())),
    }
}

/// Connects to the first address that answers.
pub fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut why = "there is no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECTING) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    Err(why)
}

/// Shakes hands; answers the broker's own certificate.
pub fn shake_hands(
    mut stream: TcpStream,
    host: &str,
    config: &Arc<rustls::ClientConfig>,
) -> Result<Option<CertificateDer<'static>>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let limits = stream
        .set_read_timeout(Some(CONNECTING))
        .and_then(|()| stream.set_write_timeout(Some(CONNECTING)));
    limits.map_err(|error| error.to_string())?;
    let mut session =
        rustls::ClientConnection::new(config.clone(), name).map_err(|error| error.to_string())?;
    while session.is_handshaking() {
        session
            .complete_io(&mut stream)
            .map_err(|error| error.to_string())?;
    }
    let chain = session.peer_certificates();
    Ok(chain
        .and_then(|chain| chain.first())
        .map(|certificate| certificate.clone().into_owned()))
}
