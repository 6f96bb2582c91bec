//! Which broker the hub connects to, and under which name.
//!
//! Owns: making the login of `hub.toml` for every connection that the hub's commands make. Never does: connect.

use rumqttc::mqttbytes::v5::LastWill;

use super::config::HubConfig;
use booth_host::config_file::{ConfigError, ConfigFault};
use booth_host::link::login::{Login, Terms};
use booth_host::tls;

/// Most messages to the hub that the broker may have unacknowledged (MQTT 5 §3.1.2.11.3). Further messages wait in the broker's own
/// queue, and Mosquitto drops what exceeds that queue: so this is how much of a flood finds a place while the hub is not on the
/// processor. The hub must not rely on the limit: Mosquitto 2.0.11 had 1,255 unacknowledged where 256 was announced.
pub const RECEIVE_MAXIMUM: u16 = 2048;
/// Largest message that the broker may send to the hub; parts have at most 16 KiB.
const MAX_PACKET_BYTES: u32 = 64 * 1024;
/// Most of the hub's own messages that the broker has not acknowledged.
const MAX_OUTGOING: u16 = 128;

/// Packets that share a write: most of what the hub sends is a PUBACK for each message.
const BATCH: usize = 32;

/// Makes the login of the configuration: reads the password and the certificates.
pub fn login(config: &HubConfig) -> Result<Login, ConfigError> {
    let broker = config.broker()?;
    let mqtt = &config.mqtt;
    let password = config.password()?;
    let user = mqtt
        .username
        .as_ref()
        .map(|user| (user.clone(), password.unwrap_or_default()));
    let tls = match broker.tls {
        true => {
            let identity = mqtt.cert_file.as_deref().zip(mqtt.key_file.as_deref());
            let client = tls::client_config(mqtt.ca_file.as_deref(), identity);
            Some(client.map_err(|error| ConfigFault::that("[mqtt]", error))?)
        }
        false => None,
    };
    Ok(Login {
        broker,
        tls,
        client_id: mqtt.client_id.clone(),
        user,
        check: "check [mqtt] username and password_file",
    })
}

/// The terms of one of the hub's connections; up to `requests` messages may wait in the client.
pub fn terms(requests: usize, manual_acks: bool, will: Option<LastWill>) -> Terms {
    Terms {
        max_packet: MAX_PACKET_BYTES,
        receive_maximum: Some(RECEIVE_MAXIMUM),
        in_flight: MAX_OUTGOING,
        requests,
        batch: BATCH,
        session_expiry_s: None,
        manual_acks,
        will,
    }
}
