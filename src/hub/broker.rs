//! An MQTT 5 broker inside the hub, for the demonstration only: rumqttd.
//!
//! Owns: starting it on loopback. It keeps everything in memory, asks for no password, answers every
//! publish with Success (never NoMatchingSubscribers) and ends a taken-over session without 0x8E; wills
//! with delay, retained messages, wildcards and 16 KiB parts were tried and work. It ends with the process.
#![allow(clippy::disallowed_methods)] // tries the port first

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Longest payload it takes, bytes: a prompt, and some.
const MAX_PAYLOAD: usize = 128 * 1024;

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The port.
    #[error(
        "the embedded broker cannot listen on {0}: {1}; change [embedded_broker] listen or stop the other program"
    )]
    Listen(SocketAddr, io::Error),
    /// It would be open to everybody.
    #[error("the embedded broker asks for no password, so it listens on loopback only; {0} is not")]
    NotLoopback(SocketAddr),
    /// Its own refusal.
    #[error("the embedded broker does not start: {0}")]
    Start(String),
}

/// Starts it and returns once it accepts connections.
pub fn start(listen: SocketAddr) -> Result<(), BrokerError> {
    if !listen.ip().is_loopback() {
        return Err(BrokerError::NotLoopback(listen));
    }
    // The broker only logs a port in use; trying it first gives the sentence.
    drop(TcpListener::bind(listen).map_err(|error| BrokerError::Listen(listen, error))?);
    let text = format!(
        "id = 0\n[router]\nid = 0\nmax_connections = 100\nmax_outgoing_packet_count = 200\n\
         max_segment_size = 1048576\nmax_segment_count = 10\n\
         [v5.1]\nname = \"v5\"\nlisten = \"{listen}\"\nnext_connection_delay_ms = 1\n\
         [v5.1.connections]\nconnection_timeout_ms = 10000\nmax_payload_size = {MAX_PAYLOAD}\n\
         max_inflight_count = 100\ndynamic_filters = true\n"
    );
    let config: rumqttd::Config =
        toml::from_str(&text).map_err(|error| BrokerError::Start(error.to_string()))?;
    std::thread::Builder::new()
        .name("embedded-broker".into())
        .spawn(move || {
            if let Err(error) = rumqttd::Broker::new(config).start() {
                log::error!("the embedded broker has ended: {error}");
            }
        })
        .map_err(|error| BrokerError::Start(error.to_string()))?;
    for _ in 0..500 {
        if TcpStream::connect_timeout(&listen, Duration::from_millis(200)).is_ok() {
            return Ok(());
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    Err(BrokerError::Start("it accepts no connection".into()))
}
