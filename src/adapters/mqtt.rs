//! The connection to the broker: MQTT 5 through rumqttc, one event loop per connection.
//!
//! Owns: connecting, subscribing, pairing each publish with its PUBACK, back-off. Never does: keep a
//! message for later; the caller's outbox is the only truth, and a lost connection forgets everything
//! here. rumqttc's own reconnection is never used: it drops or duplicates what was in flight.
#![allow(clippy::disallowed_methods)] // back-off sleeps; its jitter is drawn here

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, DisconnectReasonCode, Filter, LastWill, LastWillProperties, Packet,
    PubAckReason, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::contract::MAX_INCOMING_BYTES;
use crate::gateway::delivery::Puback;
use crate::gateway::spoken::BrokerState;

/// Longest Correlation Data that is sent back, bytes.
const MAX_CORRELATION: usize = 256;
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT_S: u64 = 20;
/// The event loop speaks at least once per keep-alive; silence for longer is a peer that no longer reads.
const STALLED: Duration = Duration::from_secs(45 + CONNECT_TIMEOUT_S);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(15);
/// Somebody else uses this identity: taking it back at once would only start a fight.
const TAKEN_OVER_PAUSE: Duration = Duration::from_secs(180);
/// A connection that lasted this long was a good one.
const GOOD_CONNECTION: Duration = Duration::from_secs(20);
/// So many connections in a row that the broker closed soon after they stood look like a second device with this
/// identity: not every broker says so (Mosquitto 2.0.11 closes without a word).
const CLOSED_SOON: u32 = 5;
/// Most messages without PUBACK, whatever the broker allows.
const MAX_IN_FLIGHT: usize = 12;
const SESSION_EXPIRY_S: u32 = 120;
const WILL_DELAY_S: u32 = 60;

/// Where to connect, and as whom.
#[derive(Clone)]
pub struct MqttSettings {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS, if spoken.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Client id and user name.
    pub client_id: String,
    /// Password.
    pub password: Option<String>,
    /// What to subscribe to before anything else.
    pub filters: Vec<String>,
}

/// A retained will, made anew for each connection.
#[derive(Debug, Clone)]
pub struct Will {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

/// One message to publish, QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Returned with its PUBACK.
    pub token: u64,
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Retained.
    pub retain: bool,
    /// Message Expiry Interval, seconds.
    pub expiry_s: Option<u32>,
    /// Correlation Data of the command that this answers (MQTT 5 §3.3.2.3.6).
    pub correlation: Option<Vec<u8>>,
    /// Goes before everything that is not: health and alerts never wait behind audio.
    pub urgent: bool,
}

/// What the connection is told.
#[derive(Debug)]
pub enum MqttCommand {
    /// Publish this.
    Publish(Outbound),
    /// Publish these, disconnect cleanly and end.
    Stop(Vec<Outbound>),
}

/// What the connection reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MqttEvent {
    /// Connected and subscribed.
    Connected {
        /// The broker's Maximum Packet Size.
        max_packet: Option<u32>,
    },
    /// Not connected (any more).
    Disconnected {
        /// A sentence for operations.
        why: String,
        /// What kind of trouble it is, for who can only listen.
        state: BrokerState,
        /// Somebody else took the session over (reason 0x8E).
        taken_over: bool,
    },
    /// The broker answered a publish.
    Answered {
        /// Which.
        token: u64,
        /// What.
        answer: Puback,
        /// The reason in words.
        why: String,
    },
    /// A message for us.
    Incoming {
        /// Topic.
        topic: String,
        /// Payload.
        payload: Vec<u8>,
        /// Its Correlation Data, to be sent back with a reply.
        correlation: Option<Vec<u8>>,
    },
}

enum End {
    Lost {
        why: String,
        state: BrokerState,
        taken_over: bool,
        /// It had been connected and subscribed.
        stood: bool,
    },
    Stopped,
}

/// Keeps a connection until told to stop. `connecting` is called at each CONNECT and answers the will.
///
/// Of several settings (credentials that are new, and those before them) the next is tried when one did not lead to a
/// connection, and the first again after every connection; `accepted` is told which one the broker has taken, once it has
/// granted the subscriptions.
pub async fn run(
    choices: Vec<MqttSettings>,
    connecting: impl Fn() -> Will,
    mut commands: mpsc::UnboundedReceiver<MqttCommand>,
    report: impl Fn(MqttEvent),
    accepted: impl Fn(usize),
) {
    let mut pause = FIRST_PAUSE;
    let mut fight = Fight::default();
    let mut choice = 0;
    while let Some(settings) = choices.get(choice) {
        let begun = Instant::now();
        let watched = |event| {
            if matches!(event, MqttEvent::Connected { .. }) {
                accepted(choice);
            }
            report(event);
        };
        let end = connection(settings, &connecting(), &mut commands, &watched).await;
        let End::Lost {
            mut why,
            state,
            taken_over,
            stood,
        } = end
        else {
            return;
        };
        let was_good = begun.elapsed() >= GOOD_CONNECTION;
        choice = match stood {
            true => 0,
            false => (choice + 1) % choices.len(),
        };
        let is_suspect = fight.is_likely_after(stood, was_good);
        if is_suspect && !taken_over {
            why += "; this happened again and again soon after connecting: perhaps another device uses this booth's id";
        }
        report(MqttEvent::Disconnected {
            why,
            state,
            taken_over: taken_over || is_suspect,
        });
        if was_good {
            pause = FIRST_PAUSE;
        }
        let wait = if taken_over {
            TAKEN_OVER_PAUSE
        } else {
            pause.mul_f64(lot())
        };
        pause = (pause * 2).min(LAST_PAUSE);
        // Publishes made meanwhile belong to a connection that is no more.
        let stop = async {
            while let Some(command) = commands.recv().await {
                if matches!(command, MqttCommand::Stop(_)) {
                    break;
                }
            }
        };
        if timeout(wait, stop).await.is_ok() {
            return;
        }
    }
}

/// How often in a row the broker has closed a connection soon after it stood.
#[derive(Default)]
struct Fight {
    closed_soon: u32,
}

impl Fight {
    /// Takes one end in; whether a second device with this identity is likely.
    fn is_likely_after(&mut self, stood: bool, was_good: bool) -> bool {
        if was_good {
            self.closed_soon = 0;
        } else {
            self.closed_soon += u32::from(stood);
        }
        self.closed_soon >= CLOSED_SOON
    }
}

/// Full jitter: anything between nothing and the whole pause.
fn lot() -> f64 {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / f64::from(u32::MAX)
}

struct Link<'a, R> {
    client: AsyncClient,
    report: &'a R,
    /// Handed to the event loop, without a packet id yet.
    handed: VecDeque<u64>,
    /// Sent, without PUBACK.
    in_flight: HashMap<u16, u64>,
    urgent: VecDeque<Outbound>,
    waiting: VecDeque<Outbound>,
    limit: usize,
    max_packet: Option<u32>,
    ready: bool,
}

async fn connection<R: Fn(MqttEvent)>(
    settings: &MqttSettings,
    will: &Will,
    commands: &mut mpsc::UnboundedReceiver<MqttCommand>,
    report: &R,
) -> End {
    let (client, mut events) = AsyncClient::new(options(settings, Some(will)), 2 * MAX_IN_FLIGHT);
    let mut link = Link {
        client,
        report,
        handed: VecDeque::new(),
        in_flight: HashMap::new(),
        urgent: VecDeque::new(),
        waiting: VecDeque::new(),
        limit: MAX_IN_FLIGHT,
        max_packet: None,
        ready: false,
    };
    let mut stopping: Option<Instant> = None;
    loop {
        let event = {
            let mut poll = pin!(events.poll());
            let stalled = Instant::now() + STALLED;
            loop {
                let deadline = stopping.map_or(stalled, |at| at.min(stalled));
                tokio::select! {
                    event = &mut poll => break event,
                    command = commands.recv(), if stopping.is_none() => match command {
                        Some(MqttCommand::Publish(message)) => link.publish(message),
                        Some(MqttCommand::Stop(last)) => {
                            if !link.ready {
                                return End::Stopped;
                            }
                            link.waiting.clear();
                            link.urgent.clear();
                            last.into_iter().for_each(|message| link.publish(message));
                            stopping = Some(Instant::now() + Duration::from_secs(3));
                        }
                        None => return End::Stopped,
                    },
                    () = sleep_until(deadline) => {
                        if stopping.is_some() {
                            break Err(ConnectionError::RequestsDone);
                        }
                        return End::Lost {
                            why: "the broker no longer reads".into(),
                            state: BrokerState::NotReached,
                            taken_over: false,
                            stood: link.ready,
                        };
                    }
                }
            }
        };
        if stopping.is_some() && (event.is_err() || link.is_idle()) {
            return leave(&link.client, &mut events).await;
        }
        match event {
            Ok(event) => {
                if let Err(why) = link.event(event, &settings.filters) {
                    return End::Lost {
                        why,
                        state: BrokerState::NotReached,
                        taken_over: false,
                        stood: link.ready,
                    };
                }
                if stopping.is_some() && link.is_idle() {
                    return leave(&link.client, &mut events).await;
                }
            }
            Err(error) => return lost(&error, settings, link.ready),
        }
    }
}

/// Says goodbye, so that the broker does not publish the will.
async fn leave(client: &AsyncClient, events: &mut EventLoop) -> End {
    if client.try_disconnect().is_ok() {
        let _ = timeout(Duration::from_secs(2), async {
            while events.poll().await.is_ok() {}
        })
        .await;
    }
    End::Stopped
}

fn options(settings: &MqttSettings, will: Option<&Will>) -> MqttOptions {
    let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_connection_timeout(CONNECT_TIMEOUT_S)
        .set_clean_start(true)
        .set_session_expiry_interval(Some(SESSION_EXPIRY_S))
        .set_max_packet_size(Some(MAX_INCOMING_BYTES))
        // The default reserves memory for 65 535 messages.
        .set_outgoing_inflight_upper_limit(64);
    let mut network = NetworkOptions::new();
    // Every message is a write of its own: with Nagle's algorithm the last one waits for a delayed ACK.
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    if let Some(password) = &settings.password {
        options.set_credentials(&settings.client_id, password);
    } else {
        options.set_credentials(&settings.client_id, "");
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(Transport::Tls(TlsConfiguration::Rustls(tls.clone())));
    }
    let Some(will) = will else { return options };
    let properties = LastWillProperties {
        delay_interval: Some(WILL_DELAY_S),
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    options.set_last_will(LastWill::new(
        &*will.topic,
        will.payload.clone(),
        QoS::AtLeastOnce,
        true,
        Some(properties),
    ));
    options
}

/// What one connection for a look was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// CONNECT was accepted, or why not.
    pub connected: Result<(), String>,
    /// The filters and whether each was granted; empty while the broker has not answered.
    pub granted: Vec<(String, bool)>,
    /// The first message on the topic that was waited for.
    pub heard: Option<Vec<u8>>,
}

/// Connects once as `run` would, but without a will and publishing nothing, waits for a message on `topic` and leaves.
/// Whoever is connected under the same identity is thrown off by the broker.
pub async fn try_once(settings: &MqttSettings, topic: &str, patience: Duration) -> Trial {
    let mut options = options(settings, None);
    options.set_session_expiry_interval(Some(0));
    let (client, mut events) = AsyncClient::new(options, 2 * MAX_IN_FLIGHT);
    let mut trial = Trial {
        connected: Err(format!(
            "the broker {}:{} accepts the connection and says nothing",
            settings.host, settings.port
        )),
        granted: Vec::new(),
        heard: None,
    };
    let looking = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    trial.connected = Ok(());
                    let filters = settings.filters.iter();
                    let filters = filters.map(|filter| Filter::new(filter, QoS::AtLeastOnce));
                    if client.try_subscribe_many(filters).is_err() {
                        return;
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let is_granted = |code| matches!(code, &SubscribeReasonCode::Success(_));
                    let codes = ack.return_codes.iter().map(is_granted);
                    trial.granted = settings.filters.iter().cloned().zip(codes).collect();
                }
                Ok(Event::Incoming(Packet::Publish(message))) if message.topic == topic => {
                    trial.heard = Some(message.payload.to_vec());
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    if let End::Lost { why, .. } = lost(&error, settings, false) {
                        trial.connected = Err(why);
                    }
                    return;
                }
            }
        }
    };
    let _ = timeout(patience, looking).await;
    if trial.connected.is_ok() {
        leave(&client, &mut events).await;
    }
    trial
}

impl<R: Fn(MqttEvent)> Link<'_, R> {
    fn is_idle(&self) -> bool {
        let is_queue_empty = self.urgent.is_empty() && self.waiting.is_empty();
        is_queue_empty && self.handed.is_empty() && self.in_flight.is_empty()
    }

    fn publish(&mut self, message: Outbound) {
        // Fixed header, topic length, packet id and properties need less than 64 bytes.
        let size = message.topic.len() + message.payload.len() + 64;
        if self.max_packet.is_some_and(|max| size > max as usize) {
            let why = format!("{size} bytes are more than the broker takes");
            (self.report)(MqttEvent::Answered {
                token: message.token,
                answer: Puback::Refused,
                why,
            });
            return;
        }
        if self.ready {
            let queue = if message.urgent {
                &mut self.urgent
            } else {
                &mut self.waiting
            };
            queue.push_back(message);
            self.top_up();
        }
    }

    fn top_up(&mut self) {
        while self.handed.len() + self.in_flight.len() < self.limit {
            let next = self.urgent.pop_front();
            let Some(message) = next.or_else(|| self.waiting.pop_front()) else {
                return;
            };
            let Outbound {
                token,
                topic,
                payload,
                retain,
                expiry_s,
                correlation,
                urgent: _,
            } = message;
            let properties = PublishProperties {
                message_expiry_interval: expiry_s,
                correlation_data: correlation.map(Into::into),
                ..PublishProperties::default()
            };
            let handed = self.client.try_publish_with_properties(
                topic,
                QoS::AtLeastOnce,
                retain,
                payload,
                properties,
            );
            if handed.is_err() {
                // A topic the client itself refuses; the queue is longer than the window.
                let why = "the client refuses it".to_owned();
                (self.report)(MqttEvent::Answered {
                    token,
                    answer: Puback::Refused,
                    why,
                });
                continue;
            }
            self.handed.push_back(token);
        }
    }

    /// Takes one event in; `Err` tears the connection down.
    fn event(&mut self, event: Event, filters: &[String]) -> Result<(), String> {
        match event {
            Event::Incoming(Packet::ConnAck(ack)) => {
                let properties = ack.properties.as_ref();
                self.max_packet = properties.and_then(|properties| properties.max_packet_size);
                let receive = properties
                    .and_then(|properties| properties.receive_max)
                    .unwrap_or(u16::MAX);
                self.limit = MAX_IN_FLIGHT.min(usize::from(receive)).max(1);
                let filters = filters
                    .iter()
                    .map(|filter| Filter::new(filter, QoS::AtLeastOnce));
                self.client
                    .try_subscribe_many(filters)
                    .map_err(|error| error.to_string())?;
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                let refused = ack
                    .return_codes
                    .iter()
                    .find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
                if let Some(code) = refused {
                    return Err(format!(
                        "the broker refuses the subscription ({code:?}); check its access rules"
                    ));
                }
                self.ready = true;
                (self.report)(MqttEvent::Connected {
                    max_packet: self.max_packet,
                });
            }
            Event::Outgoing(Outgoing::Publish(pkid)) if pkid != 0 => {
                let token = self
                    .handed
                    .pop_front()
                    .ok_or("a publish that nobody handed over")?;
                if self.in_flight.insert(pkid, token).is_some() {
                    return Err(format!("packet id {pkid} was used twice"));
                }
            }
            Event::Outgoing(Outgoing::AwaitAck(pkid)) => {
                return Err(format!("the broker owes an answer to packet {pkid}"));
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                let token = self
                    .in_flight
                    .remove(&ack.pkid)
                    .ok_or("an answer to nothing")?;
                (self.report)(MqttEvent::Answered {
                    token,
                    answer: judge(&ack.reason),
                    why: format!("{:?}", ack.reason),
                });
                self.top_up();
            }
            Event::Incoming(Packet::Publish(message)) => {
                // A topic that is not UTF-8 is none of the contract's.
                if let Ok(topic) = String::from_utf8(message.topic.to_vec()) {
                    (self.report)(MqttEvent::Incoming {
                        topic,
                        payload: message.payload.to_vec(),
                        correlation: message
                            .properties
                            .and_then(|properties| properties.correlation_data)
                            .filter(|data| data.len() <= MAX_CORRELATION)
                            .map(|data| data.to_vec()),
                    });
                }
            }
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
        Ok(())
    }
}

fn judge(reason: &PubAckReason) -> Puback {
    match reason {
        PubAckReason::Success => Puback::Success,
        PubAckReason::NoMatchingSubscribers => Puback::NoSubscriber,
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse => Puback::Later,
        PubAckReason::QuotaExceeded => Puback::Quota,
        PubAckReason::NotAuthorized
        | PubAckReason::TopicNameInvalid
        | PubAckReason::PayloadFormatInvalid => Puback::Refused,
    }
}

/// Whether an error is TLS's own, whatever it is wrapped in.
fn is_tls_alert(error: &ConnectionError) -> bool {
    let is_invalid =
        matches!(error, ConnectionError::Io(io) if io.kind() == std::io::ErrorKind::InvalidData);
    is_invalid || error.to_string().contains("received fatal alert")
}

/// Turns an error into a sentence with its remedy.
fn lost(error: &ConnectionError, settings: &MqttSettings, stood: bool) -> End {
    let broker = format!("{}:{}", settings.host, settings.port);
    let mut taken_over = false;
    let why = match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => format!(
                "the broker {broker} refuses user {:?}: check the password file and the broker's user",
                settings.client_id
            ),
            other => format!("the broker {broker} refuses the connection: {other:?}"),
        },
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
            taken_over = *reason_code == DisconnectReasonCode::SessionTakenOver;
            format!("the broker {broker} ended the connection: {reason_code:?}")
        }
        ConnectionError::Timeout(_) => {
            format!("the broker {broker} did not answer in {CONNECT_TIMEOUT_S} s")
        }
        ConnectionError::Tls(error) => format!(
            "TLS with the broker {broker} failed: {error}; check ca_file, cert_file and key_file, and the host name"
        ),
        // The peer's alert (RFC 8446 §6) may come as late as the first packet: a missing client certificate does.
        ConnectionError::Io(_) | ConnectionError::MqttState(_)
            if settings.tls.is_some() && is_tls_alert(error) =>
        {
            format!(
                "TLS with the broker {broker} failed: {error}; check ca_file, cert_file and key_file, and the host name"
            )
        }
        ConnectionError::Io(error) => format!("the broker {broker} cannot be reached: {error}"),
        other => format!("the connection to the broker {broker} was lost: {other}"),
    };
    End::Lost {
        why,
        state: state_of(error, settings),
        taken_over,
        stood,
    }
}

/// The kind of trouble.
fn state_of(error: &ConnectionError, settings: &MqttSettings) -> BrokerState {
    match error {
        ConnectionError::ConnectionRefused(code)
        | ConnectionError::MqttState(StateError::ConnFail { reason: code })
            if matches!(
                code,
                ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized
            ) =>
        {
            BrokerState::LoginRefused
        }
        ConnectionError::Tls(_) => BrokerState::TlsFailed,
        ConnectionError::Io(_) | ConnectionError::MqttState(_)
            if settings.tls.is_some() && is_tls_alert(error) =>
        {
            BrokerState::TlsFailed
        }
        // The resolver's errors have no kind of their own, only these words.
        ConnectionError::Io(error) if error.to_string().contains("lookup address") => {
            BrokerState::NameNotFound
        }
        _ => BrokerState::NotReached,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A broker that lets everybody in, then says `last` and closes.
    async fn broker(listener: TcpListener, last: &'static [u8]) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 1024];
            let _ = stream.read(&mut bytes).await;
            // CONNACK: no session, success, no properties (MQTT 5 §3.2).
            let _ = stream.write_all(&[0x20, 3, 0, 0, 0]).await;
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            if read >= 4 {
                // SUBACK with the packet id of SUBSCRIBE, granted QoS 1 (§3.9).
                let _ = stream.write_all(&[0x90, 4, bytes[2], bytes[3], 0, 1]).await;
            }
            let _ = stream.write_all(last).await;
        }
    }

    async fn ends_of(last: &'static [u8], count: usize) -> Vec<(String, bool)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = tokio::spawn(broker(listener, last));
        let settings = MqttSettings {
            host: "127.0.0.1".into(),
            port,
            tls: None,
            client_id: "booth".into(),
            password: None,
            filters: vec!["a".into()],
        };
        let will = || Will {
            topic: "w".into(),
            payload: Vec::new(),
        };
        let (told, mut events) = mpsc::unbounded_channel();
        let (_stay, commands) = mpsc::unbounded_channel();
        let report = move |event| drop(told.send(event));
        let running = tokio::spawn(run(vec![settings], will, commands, report, |_| {}));
        let mut ends = Vec::new();
        while ends.len() < count {
            if let Some(MqttEvent::Disconnected {
                why, taken_over, ..
            }) = events.recv().await
            {
                ends.push((why, taken_over));
            }
        }
        running.abort();
        serving.abort();
        ends
    }

    #[tokio::test]
    async fn a_session_taken_over_is_told_as_such() {
        // DISCONNECT, reason 0x8E (§3.14.2.1).
        let ends = ends_of(&[0xE0, 2, 0x8E, 0], 1).await;
        assert!(
            ends[0].1 && ends[0].0.contains("SessionTakenOver"),
            "{ends:?}"
        );
    }

    #[test]
    fn a_broker_that_closes_again_and_again_soon_after_connecting_raises_the_same_suspicion() {
        let mut fight = Fight::default();
        let mut ends = |stood, was_good| fight.is_likely_after(stood, was_good);
        assert!(!(0..4).any(|_| ends(true, false)));
        assert!(!ends(false, false), "a broker that is away is no rival");
        assert!(ends(true, false));
        assert!(
            !ends(true, true),
            "a connection that lasted is nobody else's"
        );
        assert!(!ends(true, false));
    }
}
