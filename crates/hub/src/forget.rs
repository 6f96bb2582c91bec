//! `booth-hub forget BOOTH`: clears every retained topic of a retired booth.
//!
//! Owns: which topics those are. Never does: delete a clip. A failure leaves the topics that were not
//! reached; running it again is harmless.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::Packet;
use rumqttc::{Event, Outgoing, PublishOptions};
use tokio::time::Instant;

use super::config::HubConfig;
use super::login;
use super::store::{self, StoreError};
use booth_contract::{AlertId, BoothId, Topic, Topics};
use booth_host::config_file::ConfigError;
use booth_host::link::login::Login;
use booth_host::link::route::Unlucky;
use booth_host::link::trouble::{Trouble, What};

/// How often the hub connects again after a running hub has taken the connection back.
const ATTEMPTS: u32 = 5;
/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a booth could not be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The configuration cannot work: exit 78.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The broker.
    #[error("{0}")]
    Broker(String),
    /// The broker's access rules.
    #[error(
        "the broker does not let the hub clear {0}: give the hub's user the role of docs/mosquitto.acl"
    )]
    Refused(String),
}

/// Clears the topics and the hub's own rows; answers how many topics were cleared.
pub async fn forget(config: &HubConfig, booth: &BoothId) -> Result<usize, ForgetError> {
    let mut login = login::login(config)?;
    // A client id of its own: a broker that does not bind ids to users then keeps both connections.
    login.client_id = format!("{}-forget", login.client_id);
    let topics = Topics::new(config.mqtt.root.clone());
    let alerts = store::forget_booth(&config.store.dir, booth)?;
    let mut wanted: BTreeSet<String> = [
        Topic::State(booth.clone()),
        Topic::Birth(booth.clone()),
        Topic::Health(booth.clone()),
        Topic::ConfigReport(booth.clone()),
        Topic::ConfigWanted(booth.clone()),
    ]
    .iter()
    .map(|topic| topics.name(topic))
    .collect();
    let table = AlertId::ALL.iter().map(|id| id.as_str().to_owned());
    wanted.extend(
        table
            .chain(alerts)
            .map(|id| topics.name(&Topic::Alert(booth.clone(), id))),
    );
    store::note_forgetting(&config.store.dir);
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match clear(&login, &topics, booth, &wanted).await {
            Ok(cleared) => {
                // A running hub may have noted the booth again from a topic that was still retained.
                store::forget_booth(&config.store.dir, booth)?;
                return Ok(cleared);
            }
            Err(Attempt::Final(error)) => return Err(error),
            Err(Attempt::Again(why)) => last = why,
        }
    }
    Err(ForgetError::Broker(last))
}

/// How an attempt failed.
enum Attempt {
    Again(String),
    Final(ForgetError),
}

/// One connection: clears the topics that are known, and every other topic that turns out to be retained.
async fn clear(
    login: &Login,
    topics: &Topics,
    booth: &BoothId,
    wanted: &BTreeSet<String>,
) -> Result<usize, Attempt> {
    let (client, mut events, line) =
        login.client(login::terms(1024, false, None), &Unlucky::default());
    let deadline = Instant::now() + PATIENCE;
    let mut to_clear: Vec<String> = wanted.iter().cloned().collect();
    let mut asked: BTreeSet<String> = wanted.clone();
    let mut in_order = std::collections::VecDeque::new();
    let mut unanswered = std::collections::HashMap::new();
    let mut echo_awaited = true;
    let mut answered = 0;
    let mut subscribed = false;
    let gone = |_| Attempt::Again("the connection to the broker ended".into());
    loop {
        if subscribed {
            for topic in to_clear.drain(..) {
                in_order.push_back(topic.clone());
                client
                    .try_publish(topic, "", PublishOptions::at_least_once().retained())
                    .map_err(gone)?;
            }
            // The broker echoes the cleared topic after everything that was retained before, so the echo shows that nothing is
            // left.
            if answered == asked.len() && !echo_awaited {
                break;
            }
        }
        let mut poll = pin!(events.poll());
        let event = tokio::select! {
            event = &mut poll => event,
            () = tokio::time::sleep_until(deadline) => {
                return Err(Attempt::Again("the broker did not confirm in time".into()));
            }
        };
        match event {
            Err(error) => {
                let trouble = Trouble::of(login, &line, &error);
                let is_final = matches!(
                    trouble.what,
                    What::NoAddress(_)
                        | What::Unreached(_)
                        | What::Tls(_)
                        | What::TlsEnded(_)
                        | What::NoCertificateName(_)
                        | What::Silent
                        | What::Refused(_)
                );
                let why = trouble.to_string();
                return Err(match is_final {
                    true => Attempt::Final(ForgetError::Broker(why)),
                    false => Attempt::Again(why),
                });
            }
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let filter = format!("{}/#", branch_of(topics, booth));
                client
                    .try_subscribe(filter, QoS::AtLeastOnce)
                    .map_err(gone)?;
            }
            Ok(Event::Incoming(Packet::SubAck(suback))) => {
                subscribed = true;
                let answer = line.answer(suback.pkid).unwrap_or_default();
                echo_awaited = answer.codes.iter().all(|code| *code < 0x80);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                if publish.payload.is_empty() {
                    echo_awaited = false;
                } else if publish.retain && asked.insert(topic.clone()) {
                    to_clear.push(topic);
                }
            }
            Ok(Event::Outgoing(Outgoing::Publish(packet_id))) if packet_id != 0 => {
                if let Some(topic) = in_order.pop_front() {
                    unanswered.insert(packet_id, topic);
                }
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                answered += 1;
                let topic = unanswered.remove(&ack.pkid).unwrap_or_default();
                let answer = line.answer(ack.pkid).unwrap_or_default();
                if answer.codes.iter().any(|code| *code >= 0x80) {
                    return Err(Attempt::Final(ForgetError::Refused(topic)));
                }
            }
            Ok(_) => {}
        }
    }
    client.try_disconnect_now().map_err(gone)?;
    // Runs until the DISCONNECT is written.
    while events.poll().await.is_ok() {
        if Instant::now() > deadline {
            break;
        }
    }
    Ok(asked.len())
}

/// `{root}/up/{booth}`
fn branch_of(topics: &Topics, booth: &BoothId) -> String {
    let state = topics.name(&Topic::State(booth.clone()));
    state.trim_end_matches("/state").to_owned()
}
