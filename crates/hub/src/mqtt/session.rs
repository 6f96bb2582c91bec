//! One connection of the hub: what the broker says on it, and what is to be said.
//!
//! Owns: the subscriptions, the PUBACKs, the hub's presence, the clean stop, and what waits for a place in the client. Never does:
//! wait, or decide what an answer is.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{
    Packet, Publish, PublishProperties, RetainForwardRule, SubscribeFilter,
};
use rumqttc::{AsyncClient, Event, Outgoing, PublishOptions};

use super::{Asks, Fault, Phase};
use crate::fence::{Ask, Fence};
use crate::ingest::{Answer, shortened};
use crate::intake::{Came, Intake};
use crate::monitoring::Meters;
use crate::orders::{EXPIRES_AFTER, Order};
use crate::presence::{About, Kin};
use crate::worker::Outcome;
use booth_contract::{HubState, Topic, Topics, reading};
use booth_host::clock;
use booth_host::link::login::Login;
use booth_host::link::trouble::{self, What};
use booth_host::link::wire::Line;

/// Most filters in one SUBSCRIBE.
const MOST_FILTERS: usize = 64;
/// The hub's presence expires after this, seconds (contract §3); it is said three times in it.
const PRESENCE_EXPIRY_S: u32 = 180;

/// A packet that is to be sent to the broker.
pub(super) enum Say {
    /// PUBACK.
    Ack(u16),
    /// Topic, payload and how.
    Publish(String, Vec<u8>, PublishOptions),
    /// SUBSCRIBE to filters, and whether the broker is to send the retained messages.
    Listen(Vec<String>, RetainForwardRule),
    /// UNSUBSCRIBE from a filter.
    Leave(String),
}

/// The state of one connection.
pub(super) struct Session {
    pub(super) client: AsyncClient,
    pub(super) line: Line,
    pub(super) login: Login,
    pub(super) topics: Topics,
    /// The topic of the hub's own state.
    pub(super) own_state: String,
    pub(super) about: About,
    /// Whether this link says that the hub is there; a worker's does not.
    pub(super) is_introducing: bool,
    pub(super) connection: u64,
    pub(super) phase: Phase,
    /// Whether, and why, to look for another hub's presence.
    pub(super) asks: Asks,
    /// The other hub, as it calls itself.
    pub(super) other: Option<String>,
    pub(super) is_introduced: bool,
    /// Reading is paused, because the intake is full.
    pub(super) is_holding: bool,
    /// Packet ids whose PUBACK has not been written yet. If the broker sends the same id again meanwhile, a second PUBACK would be
    /// an error to the client.
    pub(super) acking: HashSet<u16>,
    /// Packets that have no place in the client yet. Their number is bounded: while the client cannot write it does not read
    /// either.
    pub(super) outbox: VecDeque<Say>,
    /// The broker has refused a subscription to a sender by its name.
    pub(super) knows_no_names: bool,
    /// How many publishes were handed to the client, and how many of them the broker has acknowledged.
    pub(super) said: u64,
    pub(super) heard: u64,
    pub(super) meters: Arc<Meters>,
}

pub(super) type Step = Result<(), Fault>;

impl Session {
    pub(super) fn broker(&self, what: What) -> Fault {
        Fault::Broker(Box::new(self.login.trouble(what)))
    }

    pub(super) fn event(&mut self, event: Event, intake: &mut Intake, fence: &mut Fence) -> Step {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                if self
                    .line
                    .connack()
                    .is_some_and(|connack| !connack.takes_qos_1)
                {
                    return Err(self.broker(What::NoQos1));
                }
                let at_first = fence.at_first();
                if at_first.is_empty() {
                    self.phase = Phase::Probing;
                    return Ok(());
                }
                self.phase = Phase::Subscribing;
                self.subscribe(&at_first)
            }
            Event::Incoming(Packet::SubAck(suback)) => self.subscribed(suback.pkid, fence),
            Event::Incoming(Packet::Publish(publish)) => self.message(publish, intake, fence),
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
                self.leave_if_done(false)
            }
            Event::Outgoing(Outgoing::PubAck(packet_id)) => {
                self.acking.remove(&packet_id);
                Ok(())
            }
            // A packet id is still in use: the state of this connection cannot be trusted any more.
            Event::Outgoing(Outgoing::AwaitAck(_)) => {
                Err(self.broker(What::Odd("the broker acknowledges out of order".into())))
            }
            Event::Incoming(_) | Event::Outgoing(_) | Event::Auth(_) => Ok(()),
        }
    }

    fn subscribe(&self, filters: &[String]) -> Step {
        let filters = filters.iter().cloned();
        let filters = filters.map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        let asked = self.client.try_subscribe_many(filters);
        asked.map_err(|_| "the subscription could not be asked for".to_owned().into())
    }

    fn subscribed(&mut self, packet_id: u16, fence: &Fence) -> Step {
        let answer = self.line.answer(packet_id).unwrap_or_default();
        let is_refused = answer.codes.iter().any(|code| *code >= 0x80);
        match self.phase {
            Phase::Subscribing if is_refused => {
                let filter = fence.at_first().join(", ");
                return Err(self.broker(What::NotSubscribed { filter, answer }));
            }
            Phase::Subscribing if self.asks != Asks::No => {
                self.phase = Phase::Asking;
                return self.subscribe(std::slice::from_ref(&self.own_state));
            }
            Phase::Subscribing | Phase::Asking => self.phase = Phase::Probing,
            // A worker knows its booths by their names alone.
            _ if is_refused && fence.at_first().is_empty() => {
                let filter = self.topics.word_filters("+").join(", ");
                return Err(self.broker(What::NotSubscribed { filter, answer }));
            }
            // At this broker a sender that floods cannot be shut out; the hub subscribes to everybody again.
            _ if is_refused && !self.knows_no_names => {
                self.knows_no_names = true;
                log::warn!(
                    about = "refused";
                    "the broker lets the hub subscribe to no booth by its name ({}): give the hub's user the role of docs/mosquitto.acl",
                    trouble::answered(&answer)
                );
                self.ask(vec![Ask::Everybody(fence.at_first())]);
            }
            _ => {}
        }
        Ok(())
    }

    /// Queues changes of the subscriptions, in their order.
    pub(super) fn ask(&mut self, asks: Vec<Ask>) {
        for ask in asks {
            match ask {
                Ask::Everybody(all) => {
                    let say = Say::Listen(all, RetainForwardRule::OnEverySubscribe);
                    self.outbox.push_back(say);
                }
                // The retained messages of these senders have been received already.
                Ask::Listen(filters) => self.outbox.extend(
                    filters
                        .chunks(MOST_FILTERS)
                        .map(|some| Say::Listen(some.to_vec(), RetainForwardRule::Never)),
                ),
                Ask::Leave(filter) => self.outbox.push_back(Say::Leave(filter)),
            }
        }
    }

    /// Reads what is retained as the hub's state, and judges whether another hub published it.
    fn presence_heard(&mut self, publish: &Publish) -> Step {
        let state: Option<HubState> = reading::object(&publish.payload).ok();
        let Some(state) = state.filter(|_| publish.retain) else {
            self.acknowledge(publish.pkid);
            return Ok(());
        };
        if self.about.kin(&state) == Kin::Another {
            self.other = state.instance.as_deref().map(shortened);
        }
        // A hub that was connected just before gives way to another one; a hub that newly connects only reports it.
        if self.asks == Asks::WhetherAnother && self.about.is_anothers(&state) {
            return Err(self.broker(What::Rival(format!(
                "another hub has been connected ({})",
                String::from_utf8_lossy(&publish.payload)
            ))));
        }
        self.acknowledge(publish.pkid);
        Ok(())
    }

    fn message(&mut self, publish: Publish, intake: &mut Intake, fence: &mut Fence) -> Step {
        if matches!(self.phase, Phase::Finishing | Phase::Leaving) {
            return Ok(()); // it comes again
        }
        if publish.topic == self.own_state {
            return self.presence_heard(&publish);
        }
        let topic = String::from_utf8_lossy(&publish.topic);
        let properties = publish.properties.as_ref();
        let came = Came {
            topic: &topic,
            payload: &publish.payload,
            retained: publish.retain,
            expiry_s: properties.and_then(|properties| properties.message_expiry_interval),
            is_unpromised: publish.qos == QoS::AtMostOnce,
        };
        let (sender, levels) = self.topics.came_up(&topic).unwrap_or_default();
        // A message without a place was counted and will be reported by the intake.
        let has_place = intake.push(clock::mono(), came);
        let bytes = topic.len() + publish.payload.len();
        self.meters.came(levels, bytes, has_place);
        if has_place && !sender.is_empty() {
            fence.know(sender);
        }
        self.acknowledge(publish.pkid);
        Ok(())
    }

    /// Backpressure: messages that are not read wait at the broker.
    pub(super) fn hold_while_full(&mut self, intake: &Intake) {
        let is_holding = match self.is_holding {
            true => !intake.has_drained(),
            false => intake.is_full(),
        };
        if is_holding != self.is_holding {
            self.is_holding = is_holding;
            self.line.hold(is_holding);
        }
    }

    /// Handles a report of the store.
    pub(super) fn report(&mut self, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Handled(Some(answer)) => self.answer(&answer),
            Outcome::Probed(connection) if connection == self.connection => {
                if self.phase == Phase::Probing {
                    self.phase = Phase::Online;
                    self.say_online();
                }
                Ok(())
            }
            Outcome::Handled(None)
            | Outcome::Remembered
            | Outcome::Probed(_)
            | Outcome::Ticked { .. } => Ok(()),
            Outcome::Failed { why, .. } => Err(format!("the hub cannot store: {why}").into()),
        }
    }

    /// Sends a PUBACK; a message of QoS 0 has no packet id and needs none.
    fn acknowledge(&mut self, packet_id: u16) {
        if packet_id != 0 && self.acking.insert(packet_id) {
            self.outbox.push_back(Say::Ack(packet_id));
        }
    }

    fn publish(&mut self, topic: &Topic, payload: Vec<u8>, options: PublishOptions) {
        self.said += 1;
        let topic = self.topics.name(topic);
        self.outbox.push_back(Say::Publish(topic, payload, options));
    }

    /// Hands the client as many packets as it has places for.
    pub(super) fn post(&mut self) {
        while let Some(say) = self.outbox.front() {
            let taken = match say {
                Say::Ack(packet_id) => self.client.try_ack(&Publish {
                    qos: QoS::AtLeastOnce,
                    pkid: *packet_id,
                    ..Publish::default()
                }),
                Say::Publish(topic, payload, options) => {
                    self.client
                        .try_publish(topic.clone(), payload.clone(), options.clone())
                }
                Say::Listen(filters, retained) => {
                    self.client
                        .try_subscribe_many(filters.iter().map(|filter| SubscribeFilter {
                            retain_forward_rule: retained.clone(),
                            ..SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce)
                        }))
                }
                Say::Leave(filter) => self.client.try_unsubscribe(filter.clone()),
            };
            if taken.is_err() {
                return;
            }
            self.outbox.pop_front();
        }
    }

    fn answer(&mut self, answer: &Answer) -> Step {
        // Before CONNACK nothing may be sent: the answer is dropped, and its booth offers the clip again.
        if self.phase == Phase::Connecting {
            return Ok(());
        }
        let topic = Topic::Ack(answer.booth.clone(), answer.ack.clip_id.clone());
        let payload = serde_json::to_vec(&answer.ack).map_err(|error| error.to_string())?;
        self.publish(&topic, payload, PublishOptions::at_least_once());
        self.meters.answered(answer.ack.status);
        Ok(())
    }

    /// A command of an operator; one that has waited too long is dropped.
    pub(super) fn order(&mut self, order: &Order) {
        if clock::mono().since(order.given_at) > EXPIRES_AFTER {
            log::warn!(
                "the command {} to {} was given too long ago and is not sent",
                order.command,
                order.booth
            );
            return;
        }
        let properties = PublishProperties {
            message_expiry_interval: u32::try_from(EXPIRES_AFTER.as_secs()).ok(),
            correlation_data: Some(format!("hub {}", order.given_at.0).into_bytes().into()),
            ..PublishProperties::default()
        };
        let topic = Topic::Cmd(order.booth.clone(), order.command.to_owned());
        let options = PublishOptions::at_least_once().properties(properties);
        self.publish(&topic, order.payload.clone(), options);
    }

    pub(super) fn say_online(&mut self) {
        if !self.is_introducing {
            return;
        }
        let expires = PublishProperties {
            message_expiry_interval: Some(PRESENCE_EXPIRY_S),
            ..PublishProperties::default()
        };
        let options = self.retained().properties(expires);
        let payload = self.about.online(clock::wall());
        self.publish(&Topic::HubState, payload, options);
    }

    /// The options of a retained publish, or of a plain one at a broker that keeps no retained messages and would refuse one.
    fn retained(&self) -> PublishOptions {
        let retains = self.line.connack().is_none_or(|connack| connack.retains);
        PublishOptions::at_least_once().retain(retains)
    }

    /// A clean stop: once the store has answered everything (`is_done`) publish `lost`; once that is acknowledged disconnect.
    pub(super) fn leave_if_done(&mut self, is_done: bool) -> Step {
        if self.phase == Phase::Finishing && is_done {
            self.phase = Phase::Leaving;
            if self.is_introducing {
                // The contract has only this word for a hub that is not there.
                let lost = self.about.lost(Some(clock::wall()));
                self.publish(&Topic::HubState, lost, self.retained());
                return Ok(());
            }
        }
        if self.phase == Phase::Leaving && self.heard >= self.said {
            let left = self.client.try_disconnect_now();
            return left.map_err(|_| {
                "the broker does not take the hub's goodbye"
                    .to_owned()
                    .into()
            });
        }
        Ok(())
    }
}
