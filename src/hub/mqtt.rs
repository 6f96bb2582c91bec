//! The hub's link to the broker.
//!
//! Owns: the connection and its recovery, the subscription, the hub's presence in `{root}/hub/state`,
//! and when a message is acknowledged to the broker: after the store handled it. Never does: decide
//! what an answer is, or touch the store. A lost connection leaves unacknowledged messages, which the
//! booths send again: every connection starts clean, with its own event loop.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::pin::pin;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    LastWill, Packet, PubAckReason, Publish, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::ingest::{Answer, rfc3339};
use super::login::{Login, RECEIVE_MAXIMUM};
use super::store::{BrokerStatus, Message};
use super::worker::{Job, Outcome, Token};
use crate::adapters::clock;
use crate::contract::{HubState, Presence, Topic, Topics};

/// Requests that may wait in the client: a PUBACK and an answer per message, and presence.
const MAX_REQUESTS: usize = 4 * RECEIVE_MAXIMUM as usize;
/// Nothing at all from the event loop for this long means a stalled peer.
const STALL: Duration = Duration::from_secs(65);
/// Presence is said again this often, and expires after three times that (contract §3).
const PRESENCE_EVERY: Duration = Duration::from_secs(60);
const PRESENCE_EXPIRY_S: u32 = 180;
const BACK_OFF_MIN_MS: u64 = 500;
const BACK_OFF_MAX_MS: u64 = 15_000;
/// A clean stop takes at most this long.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The task that keeps the hub connected.
pub struct Link {
    /// Whom to connect to.
    pub login: Login,
    /// Topic root.
    pub topics: Topics,
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
}

/// Why a connection ended.
enum Ended {
    /// On request.
    Stopped,
    /// By a fault; whether it had been online.
    Failed(String, bool),
}

/// What a connection has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Subscribing,
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
        let mut failures = 0;
        loop {
            match self.connected().await {
                Ended::Stopped => return,
                Ended::Failed(why, was_online) => {
                    if was_online {
                        failures = 0;
                    }
                    self.say(false, why);
                    if self.pause(back_off(failures)).await {
                        return;
                    }
                    failures += 1;
                }
            }
        }
    }

    /// Shows the status, and logs it when it is news.
    fn say(&mut self, connected: bool, detail: String) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.connected != connected || status.detail != detail {
            if connected {
                log::info!("{detail}");
            } else {
                log::warn!("{detail}; trying again");
            }
            *status = BrokerStatus { connected, detail };
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
        let mut options = self.login.options();
        options.set_manual_acks(true);
        options.set_last_will(LastWill::new(
            self.topics.name(&Topic::HubState),
            presence(Presence::Lost, false),
            QoS::AtLeastOnce,
            true,
            None,
        ));
        let (client, mut events) = AsyncClient::new(options, MAX_REQUESTS);
        let mut session = Session {
            client,
            topics: self.topics.clone(),
            connection: self.connection,
            phase: Phase::Connecting,
            unanswered: 0,
            said: 0,
            heard: 0,
            dropped: 0,
            warned: false,
        };
        let mut tick = ticking();
        let mut presence_due =
            tokio::time::interval_at(Instant::now() + PRESENCE_EVERY, PRESENCE_EVERY);
        presence_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_by: Option<Instant> = None;
        let mut was_online = false;
        let mut stop = self.stop.clone();
        loop {
            // The event loop's future must never be dropped half-way: it would strand a packet.
            let mut poll = pin!(events.poll());
            let stall = Instant::now() + STALL;
            let polled = loop {
                let step = tokio::select! {
                    polled = &mut poll => break polled,
                    outcome = self.outcomes.recv() => match outcome {
                        Some(Outcome::Ticked) => { (self.alive)(); Ok(()) }
                        Some(outcome) => session.report(outcome),
                        None => Err("the store's thread ended".into()),
                    },
                    _ = tick.tick() => { ask_whether_alive(&self.jobs); Ok(()) }
                    _ = presence_due.tick(), if session.phase == Phase::Online => session.say_online(),
                    () = tokio::time::sleep_until(stall) => Err(format!(
                        "the broker at {}:{} has stopped reading", self.login.broker.host, self.login.broker.port)),
                    () = told(&mut stop), if stop_by.is_none() => {
                        stop_by = Some(Instant::now() + STOP_PATIENCE);
                        if session.phase == Phase::Online {
                            session.phase = Phase::Finishing;
                            session.leave_if_done()
                        } else {
                            return Ended::Stopped;
                        }
                    }
                    () = tokio::time::sleep_until(stop_by.unwrap_or(stall)), if stop_by.is_some() => {
                        return Ended::Stopped;
                    }
                };
                if let Err(why) = step {
                    return Ended::Failed(why, was_online);
                }
                if session.phase == Phase::Online && !was_online {
                    was_online = true;
                    let broker = &self.login.broker;
                    let since = rfc3339(clock::wall());
                    self.say(
                        true,
                        format!("connected to {}:{} since {since}", broker.host, broker.port),
                    );
                }
            };
            let event = match polled {
                Ok(event) => event,
                Err(_) if session.phase == Phase::Leaving => return Ended::Stopped,
                Err(error) => return Ended::Failed(self.login.sentence(&error), was_online),
            };
            if let Err(why) = session.event(event, &self.jobs) {
                return Ended::Failed(why, was_online);
            }
        }
    }
}

/// One connection's books.
struct Session {
    client: AsyncClient,
    topics: Topics,
    connection: u64,
    phase: Phase,
    /// Messages handed to the store and not reported yet.
    unanswered: usize,
    /// Publishes asked of the client, and acknowledged by the broker.
    said: u64,
    heard: u64,
    dropped: u64,
    warned: bool,
}

type Step = Result<(), String>;

impl Session {
    fn event(&mut self, event: Event, jobs: &SyncSender<Job>) -> Step {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.phase = Phase::Subscribing;
                self.client
                    .try_subscribe(self.topics.hub_filter(), QoS::AtLeastOnce)
                    .map_err(|_| "the subscription could not be asked for".into())
            }
            Event::Incoming(Packet::SubAck(suback)) => {
                if !suback
                    .return_codes
                    .iter()
                    .all(|code| matches!(code, SubscribeReasonCode::Success(_)))
                {
                    return Err(format!(
                        "the broker refuses the subscription to {}: give the hub's user the role of docs/mosquitto.acl",
                        self.topics.hub_filter()
                    ));
                }
                self.phase = Phase::Probing;
                self.hand_over(jobs, Job::Probe(self.connection))
            }
            Event::Incoming(Packet::Publish(publish)) => self.message(publish, jobs),
            Event::Incoming(Packet::PubAck(ack)) => {
                self.heard += 1;
                if !matches!(
                    ack.reason,
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers
                ) && !std::mem::replace(&mut self.warned, true)
                {
                    log::warn!(
                        "the broker refuses what the hub publishes ({:?}): give the hub's user the role of docs/mosquitto.acl",
                        ack.reason
                    );
                }
                self.leave_if_done()
            }
            // A packet id is still in use: the books of this connection cannot be trusted any more.
            Event::Outgoing(Outgoing::AwaitAck(_)) => {
                Err("the broker acknowledges out of order".into())
            }
            Event::Incoming(_) | Event::Outgoing(_) => Ok(()),
        }
    }

    fn message(&mut self, publish: Publish, jobs: &SyncSender<Job>) -> Step {
        if matches!(self.phase, Phase::Finishing | Phase::Leaving) {
            return Ok(()); // unacknowledged: it comes again
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
                self.dropped += 1;
                if self.dropped.is_power_of_two() {
                    log::warn!(
                        "{} messages of QoS 0 were dropped: the store is behind",
                        self.dropped
                    );
                }
            }
            return Ok(());
        }
        self.unanswered += 1;
        self.hand_over(jobs, Job::Message(token, message))
    }

    fn hand_over(&self, jobs: &SyncSender<Job>, job: Job) -> Step {
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => "the store is too far behind".to_owned(),
            TrySendError::Disconnected(_) => "the store's thread ended".to_owned(),
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
                    if token.packet_id != 0 {
                        let handled = Publish {
                            qos: QoS::AtLeastOnce,
                            pkid: token.packet_id,
                            ..Publish::default()
                        };
                        self.client.try_ack(&handled).map_err(|_| behind())?;
                    }
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
            Outcome::Failed(why) => Err(format!("the hub cannot store: {why}")),
        }
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
            .try_publish(self.topics.name(&topic), QoS::AtLeastOnce, false, payload)
            .map_err(|_| behind())
    }

    fn say_online(&mut self) -> Step {
        self.said += 1;
        let expires = PublishProperties {
            message_expiry_interval: Some(PRESENCE_EXPIRY_S),
            ..PublishProperties::default()
        };
        self.client
            .try_publish_with_properties(
                self.topics.name(&Topic::HubState),
                QoS::AtLeastOnce,
                true,
                presence(Presence::Online, true),
                expires,
            )
            .map_err(|_| behind())
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
                    QoS::AtLeastOnce,
                    true,
                    presence(Presence::Lost, true),
                )
                .map_err(|_| behind());
        }
        if self.phase == Phase::Leaving && self.heard >= self.said {
            return self.client.try_disconnect().map_err(|_| behind());
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

fn behind() -> String {
    "the broker does not take the hub's answers".into()
}

fn presence(state: Presence, with_time: bool) -> Vec<u8> {
    let state = HubState {
        ts: with_time.then(|| rfc3339(clock::wall())),
        ..HubState::bare(state)
    };
    serde_json::to_vec(&state).unwrap_or_default()
}

fn ticking() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Full jitter between zero and a bound that doubles.
fn back_off(failures: u32) -> Duration {
    let bound = (BACK_OFF_MIN_MS << failures.min(10)).min(BACK_OFF_MAX_MS);
    let chance = RandomState::new().build_hasher().finish();
    Duration::from_millis(chance % (bound + 1))
}
