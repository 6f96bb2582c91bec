//! What goes to the broker and what comes from it.
//!
//! Owns: tokens, the count of bytes, where an answer goes. Never does: wait for the broker; what waits lies in the outbox.

use super::{Gateway, ReplyTo, TELEGRAM};
use crate::adapters::handset::HandsetCommand;
use crate::adapters::mqtt::{Kind, MqttEvent, Outbound};
use crate::adapters::outbox::GaveWay;
use booth_contract::time::Mono;
use booth_contract::{BoothId, BrokerState, Topic};
use gateway_core::booth::Event;
use gateway_core::inbox::Inbound;
use gateway_core::{inbox, unreadable};
use serde_json::json;

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
        if !self.booth.is_connected() {
            return;
        }
        let token = self.event_token();
        self.next_telegram += 1;
        let topic = self.topics.name(topic);
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
            }
            MqttEvent::Disconnected {
                why,
                state,
                taken_over,
            } => {
                log::warn!(fault = "broker"; "{why}");
                self.broker_state = state;
                self.update_untold();
                self.decide(now, Event::Disconnected { why, taken_over });
            }
            MqttEvent::Answered { token, answer, why } if token & TELEGRAM == 0 => {
                let verdicts = self.booth.delivery.puback(now, token, answer, &why);
                self.settle(now, verdicts);
            }
            // Operations may not be listening; that is no fault of the booth.
            MqttEvent::Answered { token, .. } => self.update_answered(token),
            MqttEvent::Incoming {
                topic,
                payload,
                correlation,
            } => {
                self.correlation = correlation;
                self.incoming(now, &topic, &payload);
            }
        }
    }

    pub(super) fn incoming(&mut self, now: Mono, topic: &str, payload: &[u8]) {
        match inbox::read(&self.topics, topic, payload) {
            Inbound::Hub(hub) => {
                self.booth.quarantine.hub_says(&hub);
                self.hub_is(now, &hub);
            }
            Inbound::HubUnreadable(why) => {
                // The first reason stays in the alert, so that the alert is reported once.
                self.booth
                    .evidence
                    .hub_unreadable
                    .get_or_insert_with(|| why.clone());
                self.unreadable(now, unreadable::Kind::HubState, why);
            }
            Inbound::AckUnreadable(why) => self.unreadable(now, unreadable::Kind::Ack, why),
            Inbound::Ack(ack) => {
                let verdicts = self.booth.delivery.ack(now, &ack);
                self.settle(now, verdicts);
            }
            Inbound::Rebirth(booth) => {
                let to = self.reply_to(booth);
                self.asked_to_introduce(now, to);
            }
            Inbound::SelfTest(booth) => {
                let to = self.reply_to(booth);
                self.asked_to_test(now, to);
            }
            Inbound::Ring(booth, rings) => {
                let to = self.reply_to(booth);
                match self.booth.may_ring(&self.around()) {
                    Ok(()) => {
                        let ringing = self.config.bell.ringing(rings);
                        let rings = ringing.rings;
                        self.to_handset(HandsetCommand::Ring(ringing));
                        self.reply(to, "ring".into(), &json!({ "ok": 1, "rings": rings }));
                    }
                    Err(silent) => self.refuse(to, "ring", silent.sentence()),
                }
            }
            Inbound::Update(booth, url) => self.asked_for_update(booth, url),
            Inbound::CancelUpdate(booth) => self.asked_to_cancel_update(booth),
            Inbound::Resend(booth, wanted) => self.asked_to_resend(now, booth, wanted),
            Inbound::UnknownCommand(booth, command) => {
                let to = self.reply_to(booth);
                self.refuse(to, &command, "this version does not know the command");
            }
            Inbound::Odd(what) => self.unreadable(now, unreadable::Kind::Other, what),
        }
    }

    /// Counts and logs a message that cannot be read; it changes nothing else.
    pub(super) fn unreadable(&mut self, now: Mono, kind: unreadable::Kind, why: String) {
        let about = format!("unreadable {}", kind.word());
        let sentence = self.booth.unreadable.note(now, kind, why);
        log::warn!(about = about.as_str(); "{sentence}");
    }

    /// Where the answer to the latest command goes.
    pub(super) fn reply_to(&mut self, booth: BoothId) -> ReplyTo {
        let correlation = self.correlation.take();
        ReplyTo { booth, correlation }
    }

    pub(super) fn reply(&mut self, to: ReplyTo, command: String, reply: &serde_json::Value) {
        let topic = Topic::Reply(to.booth, command);
        let payload = reply.to_string().into_bytes();
        self.telegram(&topic, payload, Kind::Answer, None, to.correlation);
    }
}
