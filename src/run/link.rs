//! What goes to the broker and what comes from it.
//!
//! Owns: tokens, the count of bytes, where an answer goes. Never does: wait for the broker; what waits lies in the outbox.

use super::{Gateway, TELEGRAM};
use crate::adapters::mqtt::{Kind, MqttEvent, Outbound};
use crate::adapters::outbox::GaveWay;
use booth_contract::time::Mono;
use booth_contract::{BrokerState, Topic};
use gateway_core::booth::{Event, Reply};
use gateway_core::delivery::Puback;

impl Gateway {
    /// Publishes anything that is not a part of a clip; dropped while there is no connection, because
    /// everything retained is published again at the next one.
    pub(super) fn publish(
        &mut self,
        topic: &Topic,
        payload: Vec<u8>,
        kind: Kind,
        expiry_s: Option<u32>,
    ) {
        self.telegram(topic, payload, kind, expiry_s, None);
    }

    pub(super) fn telegram(
        &mut self,
        topic: &Topic,
        payload: Vec<u8>,
        kind: Kind,
        expiry_s: Option<u32>,
        correlation: Option<Vec<u8>>,
    ) {
        let topic = self.topics.name(topic);
        self.telegram_at(topic, payload, kind, expiry_s, correlation);
    }

    /// The same on a topic outside the contract.
    pub(super) fn telegram_at(
        &mut self,
        topic: String,
        payload: Vec<u8>,
        kind: Kind,
        expiry_s: Option<u32>,
        correlation: Option<Vec<u8>>,
    ) {
        if !self.booth.is_connected() {
            return;
        }
        let token = self.event_token();
        self.next_telegram += 1;
        self.count_sent(&topic, &payload);
        let lost = self.mqtt.as_ref().and_then(|outbox| {
            outbox.put(Outbound {
                token,
                topic,
                payload,
                retain: kind == Kind::Statement,
                expiry_s,
                correlation,
                kind,
            })
        });
        match lost {
            None => {}
            Some(GaveWay::Replaced(earlier)) => self.count_unsent(&earlier),
            Some(GaveWay::Lost(lost)) => {
                log::warn!(about = "outbox"; "more waits for the broker than there is room for; {} is not sent", lost.topic);
                self.count_unsent(&lost);
                self.update_lost(lost.token);
            }
        }
    }

    /// The connection leaves the broker politely.
    pub(super) fn step_back(&self, evidence: String) {
        if let Some(outbox) = &self.mqtt {
            outbox.step_back(evidence);
        }
    }

    /// The connection tries again.
    pub(super) fn connect_again(&self, steps_back: bool) {
        if let Some(outbox) = &self.mqtt {
            outbox.connect_again(steps_back);
        }
    }

    /// A message will not go to the connection after all: takes it off the count.
    pub(super) fn count_unsent(&mut self, message: &Outbound) {
        let bytes = message.topic.len() + message.payload.len();
        self.booth.counters.unsent(bytes as u64);
    }

    /// The token for the next published message that is not a part of a clip.
    pub(super) fn event_token(&self) -> u64 {
        TELEGRAM | self.next_telegram
    }

    /// Counts topic and payload of a message that goes to the connection.
    pub(super) fn count_sent(&mut self, topic: &str, payload: &[u8]) {
        let bytes = topic.len() + payload.len();
        self.booth.counters.sent(bytes as u64, self.local_day());
    }

    pub(super) fn mqtt_event(&mut self, now: Mono, event: MqttEvent) {
        match event {
            MqttEvent::Connected { max_packet } => {
                log::info!(over = "broker"; "connected to the broker");
                self.was_connected = true;
                self.broker_state = BrokerState::Connected;
                self.decide(now, Event::Connected { max_packet });
                self.campaigns_connected(now);
            }
            MqttEvent::Disconnected { why, state, loss } => {
                log::warn!(fault = "broker"; "{why}");
                self.broker_state = state;
                self.centre.campaigns.disconnected();
                self.update_unreported();
                self.decide(now, Event::Disconnected { why, loss });
            }
            MqttEvent::Answered { token, answer, why } if token & TELEGRAM == 0 => {
                let verdicts = self.booth.delivery.puback(now, token, answer, &why);
                self.settle(now, verdicts);
            }
            MqttEvent::Answered { token, answer, .. } => match answer {
                Puback::Success => self.update_answered(token),
                // What nobody heard is told again.
                Puback::NoSubscriber
                | Puback::Later
                | Puback::Quota
                | Puback::TooLarge
                | Puback::Refused => self.update_lost(token),
            },
            MqttEvent::Incoming {
                topic,
                payload,
                correlation,
            } => match self.topics.parse(&topic) {
                // The sound of a prompt is not read here.
                Some(Topic::Media(hash)) => self.media_came(now, hash, payload),
                _ => self.decide(
                    now,
                    Event::Incoming {
                        topic,
                        payload,
                        correlation,
                    },
                ),
            },
        }
    }

    /// Answers a command of the centre.
    pub(super) fn reply(&mut self, reply: Reply) {
        let kind = match reply.is_refusal {
            true => Kind::Refusal,
            false => Kind::Answer,
        };
        if reply.is_refusal {
            let why = reply.payload["error"].as_str().unwrap_or_default();
            log::warn!(about = "refused command"; "cmd/{} of the centre is refused: {why}", reply.command);
        }
        let topic = Topic::Reply(reply.to.booth, reply.command);
        let payload = reply.payload.to_string().into_bytes();
        self.telegram(&topic, payload, kind, None, reply.to.correlation);
    }
}
