//! Which broker to connect to, and under which name.
//!
//! Owns: the options of every connection that booth, doctor and hub make, and the connector that goes the way of [`route`]. Never
//! does: connect by itself; the event loop does that at its first poll. Holds the password; never shows it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::mqttbytes::v5::LastWill;
use rumqttc::{AckMode, AsyncClient, EventLoop, MqttOptions};
use tokio::time::timeout;

use super::filter::KEEP_ALIVE_S;
use super::route::{self, Unlucky};
use super::trouble::{Trouble, What};
use super::wire::{Line, Wire};
use booth_contract::BrokerUrl;

/// The library's limit for the whole way, as a last resort: every step has a shorter limit of its own.
const WHOLE_WAY: Duration = Duration::from_secs(180);

/// How long a goodbye may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Says goodbye, so that the broker does not publish the will.
pub async fn leave(client: &AsyncClient, events: &mut EventLoop) {
    if client.try_disconnect_now().is_ok() {
        let until_written = async { while events.poll().await.is_ok() {} };
        let _ = timeout(LEAVE_PATIENCE, until_written).await;
    }
}

/// Which broker to connect to, and under which name.
#[derive(Clone)]
pub struct Login {
    /// The broker.
    pub broker: BrokerUrl,
    /// The settings of TLS, for `mqtts://`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// MQTT client id.
    pub client_id: String,
    /// User name and password.
    pub user: Option<(String, String)>,
    /// The keys of the configuration to check when the broker refuses the login.
    pub check: &'static str,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({} at {})", self.client_id, self.broker)
    }
}

/// What a connection is for.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Largest packet that the broker may send to this client, bytes.
    pub max_packet: u32,
    /// Most messages to this client that the broker may have unacknowledged (MQTT 5 §3.1.2.11.3).
    pub receive_maximum: Option<u16>,
    /// Most messages of this client that the broker has not acknowledged.
    pub in_flight: u16,
    /// Requests that may wait in the client.
    pub requests: usize,
    /// Packets that share a write. On a slow link a long batch would keep PINGREQ waiting.
    pub batch: usize,
    /// Session Expiry Interval.
    pub session_expiry_s: Option<u32>,
    /// Whether messages are acknowledged by hand.
    pub manual_acks: bool,
    /// The will.
    pub will: Option<LastWill>,
}

impl Login {
    /// Makes a fresh client; it connects at the first poll. An event loop is used for one connection only.
    pub fn client(&self, terms: Terms, unlucky: &Unlucky) -> (AsyncClient, EventLoop, Line) {
        let line = Line::default();
        let host = self.broker.host.clone();
        let mut options = MqttOptions::new(&self.client_id, (host, self.broker.port));
        options
            .set_keep_alive(KEEP_ALIVE_S)
            .set_connect_timeout(WHOLE_WAY)
            .set_clean_start(true)
            .set_session_expiry_interval(terms.session_expiry_s)
            .set_max_packet_size(Some(terms.max_packet))
            .set_receive_maximum(terms.receive_maximum)
            // The default reserves memory for 65,535 messages.
            .set_outgoing_inflight_upper_limit(terms.in_flight)
            .set_max_request_batch(terms.batch);
        if terms.manual_acks {
            options.set_ack_mode(AckMode::Manual);
        }
        if let Some((user, password)) = &self.user {
            options.set_credentials(user, password.clone());
        }
        if let Some(will) = terms.will {
            options.set_last_will(will);
        }
        let (login, book, unlucky) = (self.clone(), line.clone(), unlucky.clone());
        options.set_socket_connector(move |_, _| {
            let (login, line, unlucky) = (login.clone(), book.clone(), unlucky.clone());
            async move {
                let report = |step| line.step(step);
                route::open(&login.broker, login.tls.as_ref(), &unlucky, report)
                    .await
                    .map(|stream| Wire::new(stream, line.clone()))
                    .map_err(|what| io::Error::other(login.trouble(what)))
            }
        });
        let (client, mut events) = AsyncClient::builder(options)
            .capacity(terms.requests)
            .build();
        // The library begins with room for 128 events, 50 KB, and hands each on before the next one is read.
        events.state.events = VecDeque::new();
        (client, events, line)
    }

    /// A report of trouble with this broker.
    pub fn trouble(&self, what: What) -> Trouble {
        Trouble {
            broker: self.broker.to_string(),
            client_id: self.client_id.clone(),
            user: match &self.user {
                Some((user, _)) => user.clone(),
                None => self.client_id.clone(),
            },
            check: self.check,
            what,
        }
    }
}
