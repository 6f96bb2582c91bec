//! The booth's connection to the broker: MQTT 5 through rumqttc, one event loop per connection.
//!
//! Owns: subscribing, pairing each publish with its PUBACK, asking for our own state after a wordless end, noticing a broker that
//! closes without a reason. Never does: judge whether another device has our name, or connect again before the loop says
//! how; keep a message for later. The caller's outbox is the only truth, and a lost connection forgets everything here
//! except what it has learned of the broker. rumqttc's own reconnection is never used: it drops or duplicates what was in
//! flight. The way to the broker and the sentences about it are [`booth_host::link`]'s.
#![allow(clippy::disallowed_methods)] // waits between connections

mod learned;
mod trial;

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{LastWill, LastWillProperties, Packet, PublishProperties};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Outgoing, PublishOptions, SubscribeFilterInput,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use booth_contract::BrokerState;
use booth_contract::MAX_INCOMING_BYTES;
use booth_contract::{Topic, Topics};
use booth_host::link::back_off::BackOff;
use booth_host::link::login::{Login, Terms, leave};
use booth_host::link::trouble::{self, Trouble, What};
use booth_host::link::wire::Line;
use gateway_core::delivery::Puback;
use gateway_core::rival::Loss;

use super::outbox::Outlet;
pub use super::outbox::{Kind, MqttCommand, Outbound};
use learned::{Learned, Owed, Sent};
pub use trial::{Trial, try_once};

/// Longest Correlation Data that is sent back, bytes.
const MAX_CORRELATION: usize = 256;
/// Most messages without PUBACK, even where the broker allows more.
const MAX_IN_FLIGHT: usize = 12;
const SESSION_EXPIRY_S: u32 = 120;
const WILL_DELAY_S: u32 = 60;
/// How long publishing the last messages may take.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// How long a broker may answer pings alone while it owes an answer to a message or a subscription. A slow network takes bytes, or
/// brings an answer now and then, and both begin this anew.
const OWED_PATIENCE: Duration = Duration::from_secs(300);
/// Most topics of prompts that are asked for, or given up, before the broker has answered.
const MOST_ASKED_AT_ONCE: usize = 4;
/// After this many refusals in a row our own state is not subscribed to again: some brokers end the connection of a client
/// that asks for too much.
const MAY_NOT_ASK: u32 = 2;

/// Where to connect, and under which identity.
#[derive(Debug, Clone)]
pub struct MqttSettings {
    /// Broker and login.
    pub login: Login,
    /// What to subscribe to before anything else.
    pub filters: Vec<String>,
    /// The contract's topics, by which the link knows what a message is.
    pub topics: Topics,
}

/// A retained will, made anew for each connection. Its topic is the booth's own state.
#[derive(Debug, Clone)]
pub struct Will {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
}

/// What the connection reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MqttEvent {
    /// Connected and subscribed.
    Connected {
        /// The largest packet that the broker takes, as far as is known.
        max_packet: Option<u32>,
    },
    /// Not connected (any more). The next attempt waits for [`MqttCommand::ConnectAgain`].
    Disconnected {
        /// A sentence for operations.
        why: String,
        /// What kind of trouble it is, for a technician who can only listen.
        state: BrokerState,
        /// What the end says of another device that uses this identity.
        loss: Loss,
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
        trouble: Trouble,
        /// Since when it had been connected and subscribed, if it had.
        stood_since: Option<Instant>,
    },
    Stopped,
}

/// Keeps a connection until asked to stop. `connecting` is called at each CONNECT and returns the will; a client that says nothing of itself has none.
/// After a connection that ended without a word, the state that is retained at the will's topic is asked for, and reported as it comes.
///
/// Of several settings (credentials that are new, and those before them) the next is tried when one did not lead to a
/// connection, and the first again after every connection; `accepted` gets the number of the settings that the broker has
/// taken, once it has granted the subscriptions.
///
/// While `reports` is full nothing is read from the broker. `wrap` sees each report before it is sent.
pub async fn run<T>(
    choices: Vec<MqttSettings>,
    connecting: impl Fn() -> Option<Will>,
    mut outgoing: Outlet,
    reports: mpsc::Sender<T>,
    wrap: impl Fn(MqttEvent) -> T,
    accepted: impl Fn(usize),
) {
    let mut back_off = BackOff::default();
    let mut learned = Learned::default();
    let mut choice = 0;
    while let Some(settings) = choices.get(choice) {
        let wrapped = |event| {
            if matches!(event, MqttEvent::Connected { .. }) {
                accepted(choice);
            }
            wrap(event)
        };
        let connection = Connection {
            settings,
            will: connecting(),
            reports: &reports,
            wrap: &wrapped,
        };
        let end = connection.run(&mut outgoing, &mut learned).await;
        let End::Lost {
            trouble,
            stood_since,
        } = end
        else {
            return;
        };
        choice = match stood_since {
            Some(_) => 0,
            None => (choice + 1) % choices.len(),
        };
        let parted = MqttEvent::Disconnected {
            why: trouble.to_string(),
            state: trouble.state(),
            loss: match &trouble.what {
                What::Rival(_) => Loss::SteppedBack,
                _ if trouble.is_rival() => Loss::TakenOver,
                _ => Loss::Other,
            },
        };
        // If the loop is gone, the connection ends too.
        let _ = reports.send(wrap(parted)).await;
        let stood = stood_since.map_or(Duration::ZERO, |since| since.elapsed());
        // Publishes that were made meanwhile belong to a connection that is gone.
        let steps_back = loop {
            match outgoing.recv(true).await {
                Some(MqttCommand::ConnectAgain { steps_back }) => break steps_back,
                Some(MqttCommand::Stop(_)) | None => return,
                Some(_) => {}
            }
        };
        let wait = back_off.after(stood, steps_back);
        let stop = async {
            while let Some(command) = outgoing.recv(true).await {
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

/// What one connection is made of.
struct Connection<'a, T, W> {
    settings: &'a MqttSettings,
    will: Option<Will>,
    reports: &'a mpsc::Sender<T>,
    wrap: &'a W,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Subscribing,
    /// Waiting for the answer whether our own state may be read.
    Asking,
    Ready,
}

struct Link<'a, T, W> {
    connection: &'a Connection<'a, T, W>,
    client: AsyncClient,
    line: Line,
    learned: &'a mut Learned,
    phase: Phase,
    ready_since: Option<Instant>,
    /// Handed to the event loop, without a packet id yet.
    handed: VecDeque<Sent>,
    /// Sent, without PUBACK.
    in_flight: HashMap<u16, Sent>,
    sent: u64,
    /// Messages taken from the outbox: those the window has room for, or the last ones.
    waiting: VecDeque<Outbound>,
    limit: usize,
    announced: Option<u32>,
    retains: bool,
    /// The topics of prompts that are to be subscribed to, those that are, and how many answers the broker owes about them.
    wanted: BTreeSet<String>,
    subscribed: BTreeSet<String>,
    unanswered: usize,
    /// When the broker last answered something that it owed, or began to owe something.
    moved_at: Instant,
    /// Reports that go out before anything else is read.
    unreported: Vec<MqttEvent>,
    /// The last messages are on their way, and have until then.
    stopping: Option<Instant>,
}

impl<T, W> Connection<'_, T, W>
where
    W: Fn(MqttEvent) -> T,
{
    async fn run(&self, outgoing: &mut Outlet, learned: &mut Learned) -> End {
        let login = &self.settings.login;
        let (client, mut events, line) = login.client(terms(self.will.as_ref()), &learned.unlucky);
        let mut link = Link::new(self, client, line, learned);
        loop {
            let event = match link.next(&mut events, outgoing).await {
                Next::Event(event) => event,
                Next::StepBack(evidence) => {
                    let end = link.lost(login.trouble(What::Rival(evidence)));
                    leave(&link.client, &mut events).await;
                    return end;
                }
                Next::End(end) => return end,
            };
            if link.stopping.is_some() && (event.is_err() || link.is_idle()) {
                leave(&link.client, &mut events).await;
                return End::Stopped;
            }
            match event {
                Ok(event) => {
                    let taken = link.event(event);
                    link.report().await;
                    if let Err(what) = taken {
                        let is_to_be_polite = matches!(what, What::NoQos1);
                        let end = link.lost(login.trouble(what));
                        if is_to_be_polite {
                            leave(&link.client, &mut events).await;
                        }
                        return end;
                    }
                    if link.stopping.is_some() && link.is_idle() {
                        leave(&link.client, &mut events).await;
                        return End::Stopped;
                    }
                }
                Err(error) => {
                    let trouble = Trouble::of(login, &link.line, &error);
                    return link.lost(trouble);
                }
            }
        }
    }
}

/// What a connection waited for.
#[allow(clippy::large_enum_variant)] // one at a time, taken apart at once
enum Next {
    Event(Result<Event, ConnectionError>),
    StepBack(String),
    End(End),
}

fn terms(will: Option<&Will>) -> Terms {
    let will = will.map(|will| {
        let properties = LastWillProperties {
            delay_interval: Some(WILL_DELAY_S),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        LastWill::new(
            &*will.topic,
            will.payload.clone(),
            QoS::AtLeastOnce,
            true,
            Some(properties),
        )
    });
    Terms {
        max_packet: MAX_INCOMING_BYTES,
        receive_maximum: None,
        in_flight: 64,
        requests: 2 * MAX_IN_FLIGHT + MOST_ASKED_AT_ONCE + 1,
        batch: 1,
        session_expiry_s: Some(if will.is_some() { SESSION_EXPIRY_S } else { 0 }),
        manual_acks: false,
        will,
    }
}

fn subscriptions<'a>(
    filters: impl IntoIterator<Item = &'a String>,
) -> impl Iterator<Item = SubscribeFilterInput> {
    filters
        .into_iter()
        .map(|filter| SubscribeFilterInput::new(filter.clone(), QoS::AtLeastOnce))
}

impl<'a, T, W> Link<'a, T, W>
where
    W: Fn(MqttEvent) -> T,
{
    fn new(
        connection: &'a Connection<'a, T, W>,
        client: AsyncClient,
        line: Line,
        learned: &'a mut Learned,
    ) -> Self {
        Self {
            connection,
            client,
            line,
            learned,
            phase: Phase::Connecting,
            ready_since: None,
            handed: VecDeque::new(),
            in_flight: HashMap::new(),
            sent: 0,
            waiting: VecDeque::new(),
            limit: MAX_IN_FLIGHT,
            announced: None,
            retains: true,
            wanted: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            unanswered: 0,
            moved_at: Instant::now(),
            unreported: Vec::new(),
            stopping: None,
        }
    }

    /// Publishes what the caller has until there is an event, or the connection is over.
    async fn next(&mut self, events: &mut EventLoop, outgoing: &mut Outlet) -> Next {
        // The event loop's future must never be dropped half-way: it would strand a packet.
        let mut poll = pin!(events.poll());
        loop {
            // While the loop is busy nothing is read: what the broker sends waits in the broker's memory.
            self.report().await;
            let dead_at = self.line.dead_at();
            let is_due = self.phase != Phase::Connecting || self.stopping.is_some();
            let dues = [self.stopping, self.owed_until()];
            let deadline = dues.into_iter().flatten().fold(dead_at, Instant::min);
            let wants_messages = self.has_room();
            tokio::select! {
                event = &mut poll => return Next::Event(event),
                command = outgoing.recv(wants_messages), if self.stopping.is_none() => match command {
                    Some(MqttCommand::Publish(message)) => self.publish(message),
                    Some(MqttCommand::Fetch(topics)) => {
                        self.wanted = topics;
                        self.ask_for_prompts();
                    }
                    Some(MqttCommand::StepBack(evidence)) => return Next::StepBack(evidence),
                    // It was for a connection before this one.
                    Some(MqttCommand::ConnectAgain { .. }) => {}
                    Some(MqttCommand::Stop(last)) => {
                        if self.phase != Phase::Ready {
                            return Next::End(End::Stopped);
                        }
                        self.waiting.clear();
                        last.into_iter().for_each(|message| self.publish(message));
                        self.stopping = Some(Instant::now() + STOP_PATIENCE);
                    }
                    None => return Next::End(End::Stopped),
                },
                () = sleep_until(deadline), if is_due => {
                    if self.stopping.is_some() {
                        return Next::Event(Err(ConnectionError::RequestsDone));
                    }
                    if self.line.dead_at() <= Instant::now() {
                        let login = &self.connection.settings.login;
                        return Next::End(self.lost(login.trouble(What::Dead)));
                    }
                    if self.owed_until().is_some_and(|until| until <= Instant::now()) {
                        let login = &self.connection.settings.login;
                        let what = What::OnlyPings(OWED_PATIENCE);
                        return Next::End(self.lost(login.trouble(what)));
                    }
                }
            }
        }
    }

    /// Whether the broker owes an answer to something other than a ping.
    fn is_owed(&self) -> bool {
        let is_subscribing = matches!(self.phase, Phase::Subscribing | Phase::Asking);
        let has_published = !self.handed.is_empty() || !self.in_flight.is_empty();
        is_subscribing || has_published || self.unanswered > 0
    }

    /// Something is about to be asked of the broker.
    fn asks(&mut self) {
        if !self.is_owed() {
            self.moved_at = Instant::now();
        }
    }

    /// Until when a broker that owes something is waited for, unless something moves.
    fn owed_until(&self) -> Option<Instant> {
        let moved_at = self.moved_at.max(self.line.fed_at());
        self.is_owed().then(|| moved_at + OWED_PATIENCE)
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.handed.is_empty() && self.in_flight.is_empty()
    }

    /// Whether a message can be taken from the outbox. A message that is taken while nothing is connected would be lost.
    fn has_room(&self) -> bool {
        let window = self.handed.len() + self.in_flight.len() < self.limit;
        self.phase != Phase::Ready || (window && self.waiting.is_empty())
    }

    /// Sends the waiting reports; a busy loop is waited for.
    async fn report(&mut self) {
        if self.unreported.is_empty() {
            return;
        }
        let begun = Instant::now();
        for event in self.unreported.drain(..) {
            let report = (self.connection.wrap)(event);
            // If the loop is gone, the connection ends too.
            let _ = self.connection.reports.send(report).await;
        }
        // Meanwhile nothing was read: that the broker has not answered is not its fault.
        self.moved_at += begun.elapsed();
    }

    /// The connection is over; what was learned from it is kept.
    fn lost(&mut self, mut trouble: Trouble) -> End {
        if let Some(address) = self.line.address() {
            let has_answered = self.line.connack().is_some();
            self.learned.unlucky.note(address, has_answered);
        }
        if self.phase == Phase::Asking {
            self.learned.may_not_ask += 1;
        }
        let owed = self.owed();
        self.learned.end(&mut trouble, owed);
        End::Lost {
            trouble,
            stood_since: self.ready_since,
        }
    }

    fn owed(&self) -> Option<Owed> {
        let all = || self.in_flight.values().chain(&self.handed);
        let oldest = all().min_by_key(|sent| sent.number)?;
        let largest = all().min_by_key(|sent| (Reverse(sent.size), sent.number))?;
        Some(Owed {
            oldest: oldest.clone(),
            largest: largest.clone(),
            count: all().count(),
        })
    }

    fn refuse(&mut self, (token, topic): (u64, &str), answer: Puback, why: String) {
        self.tell_refused(topic, &why);
        self.unreported
            .push(MqttEvent::Answered { token, answer, why });
    }

    /// Delivery knows of clips and withdrawals, and says what becomes of them. Of everything else nobody but the log would hear.
    fn tell_refused(&self, topic: &str, why: &str) {
        let is_delivered = |topic| {
            matches!(
                topic,
                Topic::Clip(..) | Topic::Part(..) | Topic::Withdraw(..)
            )
        };
        if !self.is(topic, is_delivered) {
            log::warn!(about = "refused";
                "the broker does not take {topic} ({why}): give this booth's user the rules of docs/mosquitto.acl, and look at the broker's limits");
        }
    }

    /// Whether the contract has this topic, and it is one of those.
    fn is(&self, topic: &str, those: impl FnOnce(Topic) -> bool) -> bool {
        let topics = &self.connection.settings.topics;
        topics.parse(topic).is_some_and(those)
    }

    fn publish(&mut self, message: Outbound) {
        let size = size_of(&message);
        let is_larger = self.announced.is_some_and(|max| size > max as usize);
        if is_larger || self.learned.refuses(size) {
            let why = format!("{size} bytes are more than the broker takes");
            let what = (message.token, message.topic.as_str());
            return self.refuse(what, Puback::TooLarge, why);
        }
        if self.phase == Phase::Ready {
            self.waiting.push_back(message);
            self.top_up();
        }
    }

    fn top_up(&mut self) {
        while self.handed.len() + self.in_flight.len() < self.limit {
            let Some(message) = self.waiting.pop_front() else {
                return;
            };
            self.sent += 1;
            let sent = Sent {
                token: message.token,
                topic: message.topic.clone(),
                bytes: message.payload.len(),
                size: size_of(&message),
                number: self.sent,
                is_part: self.is(&message.topic, |topic| matches!(topic, Topic::Part(..))),
            };
            let properties = PublishProperties {
                message_expiry_interval: message.expiry_s,
                correlation_data: message.correlation.map(Into::into),
                ..PublishProperties::default()
            };
            self.asks();
            let options = PublishOptions::at_least_once()
                .retain(message.retain && self.retains)
                .properties(properties);
            let handed = self
                .client
                .try_publish(message.topic, message.payload, options);
            if handed.is_err() {
                // The client itself refuses this topic: the queue is longer than the window, so it is not full.
                let why = "the client refuses it".to_owned();
                self.refuse((sent.token, &sent.topic), Puback::Refused, why);
                continue;
            }
            self.handed.push_back(sent);
        }
    }

    /// Handles one event; an error ends the connection.
    fn event(&mut self, event: Event) -> Result<(), What> {
        if let Event::Incoming(
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PubAck(_),
        ) = event
        {
            self.moved_at = Instant::now();
        }
        match event {
            Event::Incoming(Packet::ConnAck(_)) => self.accepted(),
            Event::Incoming(Packet::SubAck(ack)) if self.phase == Phase::Ready => {
                let answer = self.line.answer(ack.pkid).unwrap_or_default();
                if answer.codes.iter().any(|code| *code >= 0x80) {
                    let why = trouble::answered(&answer);
                    log::warn!(about = "media"; "the broker does not let this booth read prompts ({why}); give it read access to media/# of the root, as docs/mosquitto.acl does");
                }
                self.answered_about_prompts();
                Ok(())
            }
            Event::Incoming(Packet::UnsubAck(_)) => {
                self.answered_about_prompts();
                Ok(())
            }
            Event::Incoming(Packet::SubAck(ack)) => self.subscribed(ack.pkid),
            Event::Outgoing(Outgoing::Publish(pkid)) if pkid != 0 => {
                let odd = |why: String| What::Odd(why);
                let sent = self
                    .handed
                    .pop_front()
                    .ok_or_else(|| odd("a publish that nobody handed over".into()))?;
                match self.in_flight.insert(pkid, sent) {
                    Some(_) => Err(odd(format!("packet id {pkid} was used twice"))),
                    None => Ok(()),
                }
            }
            Event::Outgoing(Outgoing::AwaitAck(pkid)) => Err(What::Odd(format!(
                "the broker owes an answer to packet {pkid}"
            ))),
            Event::Incoming(Packet::PubAck(ack)) => self.answered(ack.pkid),
            Event::Incoming(Packet::Publish(message)) => {
                // The contract has no topic that is not UTF-8.
                let Ok(topic) = String::from_utf8(message.topic.to_vec()) else {
                    return Ok(());
                };
                // On a slow line prompts take their time, and what the broker owes comes after them.
                if self.subscribed.contains(&topic) {
                    self.moved_at = Instant::now();
                }
                self.unreported.push(MqttEvent::Incoming {
                    topic,
                    payload: message.payload.to_vec(),
                    correlation: message
                        .properties
                        .and_then(|properties| properties.correlation_data)
                        .filter(|data| data.len() <= MAX_CORRELATION)
                        .map(|data| data.to_vec()),
                });
                Ok(())
            }
            Event::Incoming(_) | Event::Outgoing(_) | Event::Auth(_) => Ok(()),
        }
    }

    fn accepted(&mut self) -> Result<(), What> {
        let connack = self.line.connack().unwrap_or_default();
        if !connack.takes_qos_1 {
            return Err(What::NoQos1);
        }
        self.announced = connack.max_packet;
        self.retains = connack.retains;
        let receive = connack.receive_maximum.unwrap_or(u16::MAX);
        self.limit = MAX_IN_FLIGHT.min(usize::from(receive)).max(1);
        self.phase = Phase::Subscribing;
        let filters = subscriptions(&self.connection.settings.filters);
        let asked = self.client.try_subscribe_many(filters);
        asked.map_err(|error| What::Odd(error.to_string()))
    }

    fn subscribed(&mut self, pkid: u16) -> Result<(), What> {
        let answer = self.line.answer(pkid).unwrap_or_default();
        let refused = answer.codes.iter().position(|code| *code >= 0x80);
        if self.phase == Phase::Asking {
            self.learned.may_not_ask = match refused {
                Some(_) => MAY_NOT_ASK,
                None => 0,
            };
            self.stands();
            return Ok(());
        }
        if let Some(at) = refused {
            let filters = &self.connection.settings.filters;
            let filter = filters.get(at).cloned().unwrap_or_default();
            return Err(What::NotSubscribed { filter, answer });
        }
        let learned = &self.learned;
        let may_ask =
            learned.suspects && learned.is_introduced && learned.may_not_ask < MAY_NOT_ASK;
        if let Some(will) = self.connection.will.as_ref().filter(|_| may_ask) {
            let own_state = SubscribeFilterInput::new(will.topic.clone(), QoS::AtLeastOnce);
            if self.client.try_subscribe_many([own_state]).is_ok() {
                self.phase = Phase::Asking;
                return Ok(());
            }
        }
        self.stands();
        Ok(())
    }

    /// Subscribes to the prompts that are wanted, and lets go of the others; a few at a time.
    fn ask_for_prompts(&mut self) {
        if self.phase != Phase::Ready || self.unanswered > 0 {
            return;
        }
        self.asks();
        let gone = self.subscribed.difference(&self.wanted);
        for topic in gone.take(MOST_ASKED_AT_ONCE).cloned().collect::<Vec<_>>() {
            if self.client.try_unsubscribe(topic.clone()).is_ok() {
                self.unanswered += 1;
                self.subscribed.remove(&topic);
            }
        }
        let new = self.wanted.difference(&self.subscribed);
        let new: Vec<String> = new.take(MOST_ASKED_AT_ONCE).cloned().collect();
        if !new.is_empty() && self.client.try_subscribe_many(subscriptions(&new)).is_ok() {
            self.unanswered += 1;
            self.subscribed.extend(new);
        }
    }

    fn answered_about_prompts(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        self.ask_for_prompts();
    }

    fn stands(&mut self) {
        self.phase = Phase::Ready;
        self.ready_since = Some(Instant::now());
        self.unreported.push(MqttEvent::Connected {
            max_packet: self.learned.max_packet(self.announced),
        });
        self.ask_for_prompts();
    }

    fn answered(&mut self, pkid: u16) -> Result<(), What> {
        let sent = self
            .in_flight
            .remove(&pkid)
            .ok_or_else(|| What::Odd("an answer to nothing".into()))?;
        let answer = self.line.answer(pkid).unwrap_or_default();
        let code = answer.codes.first().copied().unwrap_or(0);
        let will = self.connection.will.as_ref();
        if code < 0x80 && will.is_some_and(|will| sent.topic == will.topic) {
            self.learned.is_introduced = true;
        }
        let why = trouble::answered(&answer);
        if code >= 0x80 {
            self.tell_refused(&sent.topic, &why);
        }
        self.unreported.push(MqttEvent::Answered {
            token: sent.token,
            answer: judge(code),
            why,
        });
        self.top_up();
        Ok(())
    }
}

/// Upper limit for the length of the whole packet, bytes: fixed header, lengths, packet id and expiry need less than 32.
fn size_of(message: &Outbound) -> usize {
    let correlation = message.correlation.as_ref().map_or(0, Vec::len);
    message.topic.len() + message.payload.len() + correlation + 32
}

/// What a PUBACK's reason code (MQTT 5 §3.4.2.1) means for the message; below 0x80 it was taken (§2.4).
fn judge(code: u8) -> Puback {
    match code {
        0x10 => Puback::NoSubscriber,
        0..0x80 => Puback::Success,
        0x95 => Puback::TooLarge,
        0x97 => Puback::Quota,
        // Not authorized, topic name invalid, payload format invalid.
        0x87 | 0x90 | 0x99 => Puback::Refused,
        _ => Puback::Later,
    }
}
