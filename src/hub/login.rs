//! Whom the hub connects to, and as whom.
//!
//! Owns: the options of every connection that the hub's commands make, and the sentences about those
//! that fail. Never does: connect. Holds the password; never shows it.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, MqttOptions, StateError};
use rumqttc::{NetworkOptions, TlsConfiguration, Transport};

use super::config::{BrokerUrl, HubConfig};
use crate::adapters::tls;
use crate::config::ConfigError;

/// Most messages that the broker may have unacknowledged with us (MQTT 5 §3.1.2.11.3).
pub const RECEIVE_MAXIMUM: u16 = 256;
/// Largest message that the broker may send us; parts have at most 16 KiB.
const MAX_PACKET_BYTES: u32 = 64 * 1024;
/// Most of our own messages unacknowledged by the broker.
const MAX_OUTGOING: u16 = 128;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT_S: u64 = 20;

/// Whom to connect to, and as whom.
#[derive(Clone)]
pub struct Login {
    /// The broker.
    pub broker: BrokerUrl,
    /// User name and password.
    pub user: Option<(String, String)>,
    /// For `mqtts://`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// MQTT client id.
    pub client_id: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Login({} at {}:{})",
            self.client_id, self.broker.host, self.broker.port
        )
    }
}

impl Login {
    /// From the configuration: reads the password and the certificates.
    pub fn new(config: &HubConfig, broker: BrokerUrl) -> Result<Self, ConfigError> {
        let password = config.password()?;
        let user = config
            .mqtt
            .username
            .as_ref()
            .map(|user| (user.clone(), password.unwrap_or_default()));
        let tls = if broker.tls {
            let ca = config.mqtt.ca_file.as_deref();
            let client = tls::client_config(ca, None)
                .map_err(|error| ConfigError(vec![format!("[mqtt] {error}")]))?;
            Some(client)
        } else {
            None
        };
        Ok(Self {
            broker,
            user,
            tls,
            client_id: config.mqtt.client_id.clone(),
        })
    }

    /// The options of a fresh connection.
    pub fn options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(
            self.client_id.clone(),
            self.broker.host.clone(),
            self.broker.port,
        );
        if let Some((user, password)) = &self.user {
            options.set_credentials(user, password);
        }
        if let Some(tls) = &self.tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
                tls.clone(),
            )));
        }
        let mut network = NetworkOptions::new();
        // Every PUBACK is a write of its own: with Nagle's algorithm the last one waits for a delayed ACK.
        network.set_tcp_nodelay(true);
        options
            .set_network_options(network)
            .set_clean_start(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECT_TIMEOUT_S)
            .set_max_packet_size(Some(MAX_PACKET_BYTES))
            .set_receive_maximum(Some(RECEIVE_MAXIMUM))
            .set_outgoing_inflight_upper_limit(MAX_OUTGOING);
        options
    }

    /// One sentence about a failed connection.
    pub fn sentence(&self, error: &ConnectionError) -> String {
        let broker = format!("the broker at {}:{}", self.broker.host, self.broker.port);
        match error {
            ConnectionError::ConnectionRefused(
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
            ) => format!(
                "{broker} refuses the user name or password: check [mqtt] username and password_file"
            ),
            ConnectionError::ConnectionRefused(code) => format!("{broker} refuses: {code:?}"),
            ConnectionError::Io(error)
            | ConnectionError::MqttState(StateError::Io(error))
            | ConnectionError::Tls(rumqttc::v5::TlsError::Io(error)) => {
                if self.tls.is_some() && error.to_string().contains("certificate") {
                    format!(
                        "{broker} shows a certificate that cannot be trusted: {error}; check [mqtt] ca_file and the host name"
                    )
                } else {
                    format!("{broker} cannot be reached: {error}")
                }
            }
            ConnectionError::Tls(error) => format!("{broker} cannot be reached over TLS: {error}"),
            ConnectionError::Timeout(_) => {
                format!("{broker} does not answer within {CONNECT_TIMEOUT_S} s")
            }
            ConnectionError::MqttState(StateError::ConnectionAborted) => {
                format!("{broker} closed the connection")
            }
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })
                if *reason_code == DisconnectReasonCode::SessionTakenOver =>
            {
                format!(
                    "{broker} gave the connection to another client with the id {:?}",
                    self.client_id
                )
            }
            other => format!("{broker}: {other}"),
        }
    }
}
