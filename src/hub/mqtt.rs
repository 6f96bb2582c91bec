//! The hub's link to the broker.
//!
//! Owns: the connection and its recovery, the subscription, the hub's presence in `{root}/hub/state`,
//! and when a message is acknowledged to the broker: after the store handled it. Never does: decide
//! what an answer is, or touch the store. A lost connection leaves unacknowledged messages, which the
//! booths send again: every connection starts clean, with its own event loop.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{LastWill, Packet, Publish, PublishProperties};
use rumqttc::{AsyncClient, Event, EventLoop, Outgoing, PublishOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::ingest::{Answer, rfc3339};
use super::login::{RECEIVE_MAXIMUM, terms};
use super::presence::About;
use super::store::{self, BrokerStatus, Message};
use super::worker::{Job, Outcome, Token};
use crate::adapters::clock;
use crate::contract::{HubState, Topic, Topics};
use crate::link::back_off::BackOff;
use crate::link::login::{Login, leave};
use crate::link::route::Unlucky;
use crate::link::trouble::{self, Trouble, What};
use crate::link::wire::Line;

/// Requests that may wait in the client: a PUBACK and an answer per message, and presence.
const MAX_REQUESTS: usize = 4 * RECEIVE_MAXIMUM as usize;
/// Presence is said again this often, and expires after three times that (contract §3).
const PRESENCE_EVERY: Duration = Duration::from_secs(60);
const PRESENCE_EXPIRY_S: u32 = 180;
/// A clean stop takes at most this long.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// A connection that lasted this long ends the warning of another hub.
const SETTLED: Duration = Duration::from_secs(15 * 60);

/// The task that keeps the hub connected.
pub struct Link {
    /// Whom to connect to.
    pub login: Login,
    /// Topic root.
    pub topics: Topics,
    /// What it says of itself.
    pub about: About,
    /// The store's folder, where `booth-hub forget` leaves a note.
    pub dir: PathBuf,
    /// To the store's thread.
    pub jobs: SyncSender<Job>,
    /// From the store's thread.
    pub outcomes: UnboundedReceiver<Outcome>,
    /// What the pages show.
    pub status: Arc<Mutex<BrokerStatus>>,
    /// Called when both this loop and the store's thread have just shown that they work.
    pub alive: Box<dyn FnMut()>,
    /// Becomes true when the hub is to stop.
    pub stop: watch::Receiver<bool>,
    /// Counts the connections.
    pub connection: u64,
    /// What was learned of the broker.
    pub learned: Learned,
}

/// What a link has learned of its broker, over all its connections.
#[derive(Debug, Default)]
pub struct Learned {
    unlucky: Unlucky,
    /// The broker has taken our presence: what is retained there since is ours or another hub's.
    is_introduced: bool,
    /// The connection before ended without a word: is there another hub?
    suspects: bool,
    /// How often another hub has taken the connection over.
    rivals: u32,
}

/// Why a connection ended.
enum Ended {
    /// On request.
    Stopped,
    /// By a fault; since when it had been online, if it had.
    Failed(Fault, Option<Instant>),
}

/// What ends a connection.
enum Fault {
    /// The broker, or the way to it.
    Broker(Box<Trouble>),
    /// Something in the hub itself.
    Own(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Own(why)
    }
}

/// What a connection has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Subscribing,
    /// Waiting for what is retained as the hub's state.
    Asking,
    Probing,
    Online,
    /// Waiting for the store's last answers.
    Finishing,
    /// `lost` was published.
    Leaving,
}

impl Link {
    /// Stays connected until told to stop.
    pub async fn run(mut self) {
        let mut back_off = BackOff::default();
        loop {
            match self.connected().await {
                Ended::Stopped => return,
                Ended::Failed(fault, stood_since) => {
                    let (mut why, is_rival) = match &fault {
                        // The hub's own command is no other hub.
                        Fault::Broker(trouble)
                            if trouble.is_rival() && store::is_forgetting(&self.dir) =>
                        {
                            ("booth-hub forget has the connection".to_owned(), false)
                        }
                        Fault::Broker(trouble) => (trouble.to_string(), trouble.is_rival()),
                        Fault::Own(why) => (why.clone(), false),
                    };
                    let stood = stood_since.map_or(Duration::ZERO, |since| since.elapsed());
                    let pause = back_off.after(stood, is_rival);
                    if is_rival {
                        why += &format!("; this hub steps back for {} s", pause.as_secs());
                        self.note_rival();
                    }
                    self.say(false, why);
                    if self.pause(pause).await {
                        return;
                    }
                }
            }
        }
    }

    /// Shows the status, and tells the log.
    fn say(&mut self, connected: bool, detail: String) {
        if connected {
            log::info!(over = "broker"; "{detail}");
        } else {
            log::warn!(fault = "broker"; "{detail}; trying again");
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.connected = connected;
        status.detail = detail;
    }

    /// Another hub has the identity: the pages say so until a connection has lasted.
    fn note_rival(&mut self) {
        self.learned.rivals += 1;
        let times = match self.learned.rivals {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.rival = Some(format!(
            "Another hub with the client id {:?} took the broker's connection over {times}, last at {}: clips go to whichever is connected. \
             Stop one of the two, or give it a [mqtt] client_id, a root and booths of its own.",
            self.login.client_id,
            rfc3339(clock::wall())
        ));
    }

    /// A connection that has lasted is nobody else's.
    fn settle(&mut self, online_since: Option<Instant>) {
        if self.learned.rivals > 0 && online_since.is_some_and(|since| since.elapsed() >= SETTLED) {
            self.learned.rivals = 0;
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.rival = None;
        }
    }

    /// Waits; answers whether the hub is to stop. The store is still asked whether it lives.
    async fn pause(&mut self, how_long: Duration) -> bool {
        let mut over = pin!(tokio::time::sleep_until(Instant::now() + how_long));
        let mut tick = ticking();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                () = &mut over => return *self.stop.borrow(),
                () = told(&mut stop) => return true,
                _ = tick.tick() => ask_whether_alive(&self.jobs),
                outcome = self.outcomes.recv() => match outcome {
                    Some(Outcome::Ticked) => (self.alive)(),
                    Some(_) => {} // of the last connection: the booth asks again
                    None => return true,
                },
            }
        }
    }

    /// One connection, from CONNECT to its end.
    async fn connected(&mut self) -> Ended {
        self.connection += 1;
        let will = LastWill::new(
            self.topics.name(&Topic::HubState),
            self.about.lost(None),
            QoS::AtLeastOnce,
            true,
            None,
        );
        let terms = terms(MAX_REQUESTS, true, Some(will));
        let (client, events, line) = self.login.client(terms, &self.learned.unlucky);
        let mut session = Session {
            client,
            line: line.clone(),
            login: self.login.clone(),
            topics: self.topics.clone(),
            about: self.about.clone(),
            connection: self.connection,
            phase: Phase::Connecting,
            asks: self.learned.suspects && self.learned.is_introduced,
            is_introduced: self.learned.is_introduced,
            unanswered: 0,
            said: 0,
            heard: 0,
        };
        let mut online_since = None;
        let ended = self.attend(&mut session, events, &mut online_since).await;
        self.learned.is_introduced = session.is_introduced;
        if let Some(address) = line.address() {
            let has_answered = line.connack().is_some();
            self.learned.unlucky.note(address, has_answered);
        }
        match ended {
            Ok(()) => Ended::Stopped,
            Err(fault) => {
                self.learned.suspects =
                    matches!(&fault, Fault::Broker(trouble) if trouble.is_wordless());
                Ended::Failed(fault, online_since)
            }
        }
    }

    /// Works a connection's events off; `Ok` is a stop on request.
    async fn attend(
        &mut self,
        session: &mut Session,
        mut events: EventLoop,
        online_since: &mut Option<Instant>,
    ) -> Result<(), Fault> {
        let mut tick = ticking();
        let mut presence_due =
            tokio::time::interval_at(Instant::now() + PRESENCE_EVERY, PRESENCE_EVERY);
        presence_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_by: Option<Instant> = None;
        let mut stop = self.stop.clone();
        loop {
            // The event loop's future must never be dropped half-way: it would strand a packet.
            let polled = {
                let mut poll = pin!(events.poll());
                loop {
                    let dead_at = session.line.dead_at();
                    tokio::select! {
                        polled = &mut poll => break polled,
                        outcome = self.outcomes.recv() => match outcome {
                            Some(Outcome::Ticked) => (self.alive)(),
                            Some(outcome) => session.report(outcome)?,
                            None => return Err(Fault::Own("the store's thread ended".into())),
                        },
                        _ = tick.tick() => {
                            ask_whether_alive(&self.jobs);
                            self.settle(*online_since);
                        }
                        _ = presence_due.tick(), if session.phase == Phase::Online => session.say_online()?,
                        () = tokio::time::sleep_until(dead_at), if session.phase != Phase::Connecting => {
                            if session.line.dead_at() <= Instant::now() {
                                return Err(session.broker(What::Dead));
                            }
                        }
                        () = told(&mut stop), if stop_by.is_none() => {
                            stop_by = Some(Instant::now() + STOP_PATIENCE);
                            if session.phase != Phase::Online {
                                return Ok(());
                            }
                            session.phase = Phase::Finishing;
                            session.leave_if_done()?;
                        }
                        () = tokio::time::sleep_until(stop_by.unwrap_or(dead_at)), if stop_by.is_some() => {
                            return Ok(());
                        }
                    }
                    if session.phase == Phase::Online && online_since.is_none() {
                        *online_since = Some(Instant::now());
                        let since = rfc3339(clock::wall());
                        let broker = &self.login.broker;
                        self.say(true, format!("connected to {broker} since {since}"));
                    }
                }
            };
            match polled {
                Ok(event) => {
                    if let Err(fault) = session.event(event, &self.jobs) {
                        // The other hub's word must not give way to this one's will.
                        if matches!(&fault, Fault::Broker(trouble) if trouble.is_rival()) {
                            leave(&session.client, &mut events).await;
                        }
                        return Err(fault);
                    }
                }
                Err(_) if session.phase == Phase::Leaving => return Ok(()),
                Err(error) => {
                    let trouble = Trouble::of(&self.login, &session.line, &error);
                    return Err(Fault::Broker(Box::new(trouble)));
                }
            }
        }
    }
}

/// One connection's books.
struct Session {
    client: AsyncClient,
    line: Line,
    login: Login,
    topics: Topics,
    about: About,
    connection: u64,
    phase: Phase,
    /// Whether to look for another hub's presence.
    asks: bool,
    is_introduced: bool,
    /// Messages handed to the store and not reported yet.
    unanswered: usize,
    /// Publishes asked of the client, and acknowledged by the broker.
    said: u64,
    heard: u64,
}

type Step = Result<(), Fault>;

impl Session {
    fn broker(&self, what: What) -> Fault {
        Fault::Broker(Box::new(self.login.trouble(what)))
    }

    fn event(&mut self, event: Event, jobs: &SyncSender<Job>) -> Step {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                if self
                    .line
                    .connack()
                    .is_some_and(|connack| !connack.takes_qos_1)
                {
                    return Err(self.broker(What::NoQos1));
                }
                self.phase = Phase::Subscribing;
                self.subscribe(self.topics.hub_filter())
            }
            Event::Incoming(Packet::SubAck(suback)) => self.subscribed(suback.pkid, jobs),
            Event::Incoming(Packet::Publish(publish)) => self.message(publish, jobs),
            Event::Incoming(Packet::PubAck(ack)) => {
                self.heard += 1;
                let answer = self.line.answer(ack.pkid).unwrap_or_default();
                let is_refused = answer.codes.iter().any(|code| *code >= 0x80);
                self.is_introduced |= !is_refused;
                if is_refused {
                    log::warn!(
                        about = "refused";
                        "the broker refuses what the hub publishes ({}): give the hub's user the role of docs/mosquitto.acl",
                        trouble::answered(&answer)
                    );
                }
                self.leave_if_done()
            }
            // A packet id is still in use: the books of this connection cannot be trusted any more.
            Event::Outgoing(Outgoing::AwaitAck(_)) => {
                Err(self.broker(What::Odd("the broker acknowledges out of order".into())))
            }
            Event::Incoming(_) | Event::Outgoing(_) | Event::Auth(_) => Ok(()),
        }
    }

    fn subscribe(&self, filter: String) -> Step {
        let asked = self.client.try_subscribe(filter, QoS::AtLeastOnce);
        asked.map_err(|_| "the subscription could not be asked for".to_owned().into())
    }

    fn subscribed(&mut self, packet_id: u16, jobs: &SyncSender<Job>) -> Step {
        let answer = self.line.answer(packet_id).unwrap_or_default();
        if self.phase == Phase::Subscribing {
            if answer.codes.iter().any(|code| *code >= 0x80) {
                let filter = self.topics.hub_filter();
                return Err(self.broker(What::NotSubscribed { filter, answer }));
            }
            if std::mem::take(&mut self.asks) {
                self.phase = Phase::Asking;
                return self.subscribe(self.topics.name(&Topic::HubState));
            }
        }
        self.phase = Phase::Probing;
        self.hand_over(jobs, Job::Probe(self.connection))
    }

    /// What stands as the hub's state, asked for because the connection before ended without a word.
    fn presence_heard(&mut self, publish: &Publish) -> Step {
        let state: Option<HubState> = serde_json::from_slice(&publish.payload).ok();
        let is_anothers = state.is_some_and(|state| self.about.is_anothers(&state));
        match publish.retain && is_anothers {
            true => Err(self.broker(What::Rival(format!(
                "another hub has been connected ({})",
                String::from_utf8_lossy(&publish.payload)
            )))),
            false => self.acknowledge(publish.pkid),
        }
    }

    fn message(&mut self, publish: Publish, jobs: &SyncSender<Job>) -> Step {
        if matches!(self.phase, Phase::Finishing | Phase::Leaving) {
            return Ok(()); // unacknowledged: it comes again
        }
        if publish.topic == self.topics.name(&Topic::HubState) {
            return self.presence_heard(&publish);
        }
        let token = Token {
            connection: self.connection,
            packet_id: publish.pkid,
        };
        let message = Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload.to_vec(),
            retained: publish.retain,
            expiry_s: publish.properties.and_then(|p| p.message_expiry_interval),
        };
        if publish.qos == QoS::AtMostOnce {
            // Nobody was promised anything: such a one may be dropped when the store is behind.
            if jobs.try_send(Job::Message(token, message)).is_ok() {
                self.unanswered += 1;
            } else {
                log::warn!(about = "dropped"; "a message of QoS 0 was dropped: the store is behind");
            }
            return Ok(());
        }
        self.unanswered += 1;
        self.hand_over(jobs, Job::Message(token, message))
    }

    fn hand_over(&self, jobs: &SyncSender<Job>, job: Job) -> Step {
        jobs.try_send(job).map_err(|error| {
            Fault::Own(match error {
                TrySendError::Full(_) => "the store is too far behind".to_owned(),
                TrySendError::Disconnected(_) => "the store's thread ended".to_owned(),
            })
        })
    }

    /// What the store reports: answers leave first, then the PUBACK.
    fn report(&mut self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Handled(token, answer) => {
                if let Some(answer) = answer {
                    self.answer(&answer)?;
                }
                if token.connection == self.connection {
                    self.unanswered -= 1;
                    self.acknowledge(token.packet_id)?;
                }
                self.leave_if_done()
            }
            Outcome::Probed(connection) if connection == self.connection => {
                if self.phase == Phase::Probing {
                    self.phase = Phase::Online;
                    return self.say_online();
                }
                Ok(())
            }
            Outcome::Probed(_) | Outcome::Ticked => Ok(()),
            Outcome::Failed(why) => Err(format!("the hub cannot store: {why}").into()),
        }
    }

    /// PUBACK; a message of QoS 0 has no packet id and wants none.
    fn acknowledge(&self, packet_id: u16) -> Step {
        if packet_id == 0 {
            return Ok(());
        }
        let handled = Publish {
            qos: QoS::AtLeastOnce,
            pkid: packet_id,
            ..Publish::default()
        };
        self.client.try_ack(&handled).map_err(|_| behind())
    }

    fn answer(&mut self, answer: &Answer) -> Step {
        // An answer can wait for the broker, never for the hub: before CONNACK nothing is sent.
        if self.phase == Phase::Connecting {
            return Ok(());
        }
        let topic = Topic::Ack(answer.booth.clone(), answer.ack.clip_id.clone());
        let payload = serde_json::to_vec(&answer.ack).map_err(|error| error.to_string())?;
        self.said += 1;
        self.client
            .try_publish(
                self.topics.name(&topic),
                payload,
                PublishOptions::at_least_once(),
            )
            .map_err(|_| behind())
    }

    fn say_online(&mut self) -> Step {
        self.said += 1;
        let expires = PublishProperties {
            message_expiry_interval: Some(PRESENCE_EXPIRY_S),
            ..PublishProperties::default()
        };
        let options = self.retained().properties(expires);
        let payload = self.about.online(clock::wall());
        self.client
            .try_publish(self.topics.name(&Topic::HubState), payload, options)
            .map_err(|_| behind())
    }

    /// A broker that keeps no retained messages would refuse one.
    fn retained(&self) -> PublishOptions {
        let retains = self.line.connack().is_none_or(|connack| connack.retains);
        PublishOptions::at_least_once().retain(retains)
    }

    /// A clean stop: once the store has answered everything say `lost`; once that is acknowledged leave.
    fn leave_if_done(&mut self) -> Step {
        if self.phase == Phase::Finishing && self.unanswered == 0 {
            self.phase = Phase::Leaving;
            self.said += 1;
            // The contract knows no other word for a hub that is not there.
            return self
                .client
                .try_publish(
                    self.topics.name(&Topic::HubState),
                    self.about.lost(Some(clock::wall())),
                    self.retained(),
                )
                .map_err(|_| behind());
        }
        if self.phase == Phase::Leaving && self.heard >= self.said {
            return self.client.try_disconnect_now().map_err(|_| behind());
        }
        Ok(())
    }
}

/// Resolves when the hub is to stop; a sender that is gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Asks for a [`Outcome::Ticked`]. A full queue is no matter: its reports prove the same.
fn ask_whether_alive(jobs: &SyncSender<Job>) {
    let _ = jobs.try_send(Job::Tick);
}

fn behind() -> Fault {
    Fault::Own("the broker does not take the hub's answers".into())
}

fn ticking() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
