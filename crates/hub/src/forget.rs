//! `booth-hub forget BOOTH`: clears every retained topic of a retired booth.
//!
//! Owns: which topics those are. Never does: delete a clip. A failure leaves the topics that were not
//! reached; running it again is harmless.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::Packet;
use rumqttc::{AsyncClient, Event, Outgoing, PublishOptions};
use tokio::time::Instant;

use super::config::HubConfig;
use super::login;
use super::store::{self, StoreError};
use booth_contract::{AlertId, BoothId, Topic, Topics};
use booth_host::config_file::ConfigError;
use booth_host::link::login::Login;
use booth_host::link::route::Unlucky;
use booth_host::link::trouble::Trouble;
use booth_host::link::wire::Line;

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

/// What one connection has cleared so far.
struct Clearing {
    /// Topics that are still to be cleared.
    to_clear: Vec<String>,
    /// Every topic that was to be cleared.
    asked: BTreeSet<String>,
    /// Topics handed to the client that have no packet id yet.
    in_order: VecDeque<String>,
    /// Topics by the packet id of their message, until the broker answers it.
    unanswered: HashMap<u16, String>,
    /// The broker has not yet sent a cleared topic back.
    echo_awaited: bool,
    answered: usize,
    subscribed: bool,
}

impl Clearing {
    fn new(wanted: &BTreeSet<String>) -> Self {
        Self {
            to_clear: wanted.iter().cloned().collect(),
            asked: wanted.clone(),
            in_order: VecDeque::new(),
            unanswered: HashMap::new(),
            echo_awaited: true,
            answered: 0,
            subscribed: false,
        }
    }

    /// Clears what is to be cleared, once the hub hears what the broker sends back.
    fn go_on(&mut self, client: &AsyncClient) -> Result<(), Attempt> {
        if !self.subscribed {
            return Ok(());
        }
        for topic in self.to_clear.drain(..) {
            self.in_order.push_back(topic.clone());
            client
                .try_publish(topic, "", PublishOptions::at_least_once().retained())
                .map_err(gone)?;
        }
        Ok(())
    }

    /// The broker echoes the cleared topic after everything that was retained before, so the echo shows that nothing is left.
    fn is_done(&self) -> bool {
        self.subscribed && self.answered == self.asked.len() && !self.echo_awaited
    }

    fn event(
        &mut self,
        event: Event,
        client: &AsyncClient,
        line: &Line,
        filter: &str,
    ) -> Result<(), Attempt> {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                client
                    .try_subscribe(filter, QoS::AtLeastOnce)
                    .map_err(gone)?;
            }
            Event::Incoming(Packet::SubAck(suback)) => {
                self.subscribed = true;
                let answer = line.answer(suback.pkid).unwrap_or_default();
                self.echo_awaited = answer.codes.iter().all(|code| *code < 0x80);
            }
            Event::Incoming(Packet::Publish(publish)) => {
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                if publish.payload.is_empty() {
                    self.echo_awaited = false;
                } else if publish.retain && self.asked.insert(topic.clone()) {
                    self.to_clear.push(topic);
                }
            }
            Event::Outgoing(Outgoing::Publish(packet_id)) if packet_id != 0 => {
                if let Some(topic) = self.in_order.pop_front() {
                    self.unanswered.insert(packet_id, topic);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                self.answered += 1;
                let topic = self.unanswered.remove(&ack.pkid).unwrap_or_default();
                let answer = line.answer(ack.pkid).unwrap_or_default();
                if answer.codes.iter().any(|code| *code >= 0x80) {
                    return Err(Attempt::Final(ForgetError::Refused(topic)));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The client takes nothing more.
fn gone<E>(_: E) -> Attempt {
    Attempt::Again("the connection to the broker ended".into())
}

/// Whether another attempt is of use after this.
fn attempt_of(trouble: &Trouble) -> Attempt {
    let why = trouble.to_string();
    match trouble.what.is_final() {
        true => Attempt::Final(ForgetError::Broker(why)),
        false => Attempt::Again(why),
    }
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
    let filter = format!("{}/#", branch_of(topics, booth));
    let mut clearing = Clearing::new(wanted);
    loop {
        clearing.go_on(&client)?;
        if clearing.is_done() {
            break;
        }
        let mut poll = pin!(events.poll());
        let event = tokio::select! {
            event = &mut poll => event,
            () = tokio::time::sleep_until(deadline) => {
                return Err(Attempt::Again("the broker did not confirm in time".into()));
            }
        };
        match event {
            Ok(event) => clearing.event(event, &client, &line, &filter)?,
            Err(error) => return Err(attempt_of(&Trouble::of(login, &line, &error))),
        }
    }
    client.try_disconnect_now().map_err(gone)?;
    // Runs until the DISCONNECT is written.
    while events.poll().await.is_ok() {
        if Instant::now() > deadline {
            break;
        }
    }
    Ok(clearing.asked.len())
}

/// `{root}/up/{booth}`
fn branch_of(topics: &Topics, booth: &BoothId) -> String {
    let state = topics.name(&Topic::State(booth.clone()));
    state.trim_end_matches("/state").to_owned()
}
