//! What the booth says about itself: state, birth, alerts, events; health has a room of its own.

use booth_contract::time::rfc3339;

use jiff::Timestamp;
use serde_json::json;

use super::Gateway;
use crate::adapters::mqtt::Kind;
use booth_contract::time::Mono;
use booth_contract::{
    Alert, AlertId, Birth, BootId, BoothState, CardId, EVENT_KINDS, Presence, SCHEMA, Session,
    Topic,
};
use booth_host::crew::Death;
use gateway_core::liveness::LivenessNews;

/// Most events that wait for a connection; the oldest gives way.
const MAX_WAITING_EVENTS: usize = 64;

/// The identity that the booth publishes under; shared with the connection for its will.
#[derive(Debug, Clone, Default)]
pub struct Speaker {
    /// The card's id, empty while the card cannot be read.
    pub card_id: CardId,
    /// How often the machine has started with this card.
    pub boot_count: u64,
    /// The kernel's boot id.
    pub boot_id: BootId,
    /// Boot-time clock at the latest CONNECT, ms.
    pub connect_ms: u64,
}

impl Speaker {
    /// The session of the latest CONNECT.
    pub fn session(&self) -> Session {
        Session {
            boot_count: self.boot_count,
            connect_ms: self.connect_ms,
        }
    }

    /// A state payload, made at `wall`; for a will that is the time when it was made, not when it is published.
    pub fn state(&self, state: Presence, wall: Timestamp) -> Vec<u8> {
        let now = Some(rfc3339(wall));
        let will = state == Presence::Lost;
        let payload = BoothState {
            state,
            session: self.session(),
            card_id: self.card_id.clone(),
            boot_id: self.boot_id.clone(),
            ts: if will { None } else { now.clone() },
            connected_at: if will { now } else { None },
        };
        serde_json::to_vec(&payload).expect("a state holds only text and numbers")
    }
}

impl Gateway {
    /// Publishes everything that must be current at the broker and at the hub.
    pub(super) fn introduce(&mut self, now: Mono) {
        let booth = self.config.booth.id.clone();
        let state = self.speaker().state(Presence::Online, self.machine.wall());
        self.publish(&Topic::State(booth.clone()), state, Kind::Statement, None);
        self.publish_birth();
        self.publish_to_home_assistant();
        // Every id of the table is published, raised or empty, so that no alert of an earlier process or card stays.
        for id in AlertId::ALL {
            self.publish_alert(*id);
        }
        for (kind, payload) in std::mem::take(&mut self.waiting_events) {
            self.publish(
                &Topic::Event(booth.clone(), kind),
                payload,
                Kind::Event,
                None,
            );
        }
        self.say_config();
        self.report_update();
        self.publish_health(now);
    }

    pub(super) fn publish_birth(&mut self) {
        let speaker = self.speaker();
        let card = self.spool.as_ref().map(booth_spool::Spool::identity);
        let config = &self.config;
        let about = &self.about;
        let birth = Birth {
            schema: SCHEMA,
            booth_id: Some(config.booth.id.clone()),
            name: config.booth.name.clone(),
            session: speaker.session(),
            boot_id: speaker.boot_id.clone(),
            boot_count: speaker.boot_count,
            card_id: speaker.card_id.clone(),
            previous_card_id: card.as_ref().and_then(|card| card.previous_card_id.clone()),
            card_first_seen: card.map(|card| card.first_seen.clone()).unwrap_or_default(),
            hw_model: about.hw_model.clone(),
            hw_serial: about.hw_serial.clone(),
            image_id: about.image_id.clone(),
            os_version: about.os_version.clone(),
            sw_version: env!("CARGO_PKG_VERSION").into(),
            sw_commit: option_env!("BOOTH_COMMIT").map(str::to_owned),
            config_hash: self.config_hash.clone(),
            recipient_key_ids: self.seal_to.ids(),
            sealed: Some(config.privacy.seal),
            consent_mode: Some(config.session.consent),
            audio_in: config.audio.input.clone(),
            audio_out: config.audio.output.clone(),
            handset_backend: self.backend.into(),
            ip: self.machine.ip(),
            mac: self.machine.mac(),
            started_at: self.started_at.clone(),
            health_interval_s: config.health.interval_s,
        };
        let payload = serde_json::to_vec(&birth).expect("a birth holds only text and numbers");
        self.publish(
            &Topic::Birth(self.config.booth.id.clone()),
            payload,
            Kind::Statement,
            None,
        );
    }

    pub(super) fn publish_alert(&mut self, id: AlertId) {
        let speaker = self.speaker();
        let payload = match self.booth.alerts().get(id) {
            Some(raised) => serde_json::to_vec(&Alert {
                id: id.as_str().into(),
                severity: Some(id.severity()),
                since: raised.since.clone(),
                clock_synced: u8::from(raised.clock_synced),
                text: raised.text.clone(),
                session: Some(speaker.session()),
                card_id: speaker.card_id,
            })
            .expect("an alert holds only text and numbers"),
            None => Vec::new(),
        };
        let topic = Topic::Alert(self.config.booth.id.clone(), id.as_str().into());
        self.publish(&topic, payload, Kind::Statement, None);
    }

    /// Reports an event to the centre, now or at the next connect.
    pub(super) fn event(&mut self, kind: &str, more: serde_json::Value) {
        // The hub keeps room for events of these kinds, even if much else is published in this booth's name.
        debug_assert!(EVENT_KINDS.contains(&kind), "{kind} stands in no table");
        let mut payload = json!({
            "kind": kind,
            "ts": rfc3339(self.machine.wall()),
            "mono_ms": self.machine.mono().0,
            "boot_id": self.speaker().boot_id,
            "card_id": self.speaker().card_id,
        });
        if let (Some(object), serde_json::Value::Object(more)) = (payload.as_object_mut(), more) {
            object.extend(more);
        }
        let payload = payload.to_string().into_bytes();
        if self.booth.is_connected() {
            self.publish(
                &Topic::Event(self.config.booth.id.clone(), kind.into()),
                payload,
                Kind::Event,
                None,
            );
        } else {
            if self.waiting_events.len() == MAX_WAITING_EVENTS {
                self.waiting_events.pop_front();
            }
            self.waiting_events.push_back((kind.to_owned(), payload));
        }
    }

    /// Reports to the centre, too, why the gateway hangs: nobody logs in to a booth to read that.
    pub(super) fn report_liveness(&mut self, news: LivenessNews) {
        match news {
            LivenessNews::Hangs { thread, limit } => {
                let limit_s = limit.as_secs();
                log::error!(
                    fault = format!("thread {thread}");
                    "the thread {thread} has not moved for {limit_s} s: it hangs. The watchdog is no longer fed, so that \
                     the service manager starts the gateway again"
                );
                self.event(
                    "thread_hangs",
                    json!({ "thread": thread, "limit_s": limit_s }),
                );
            }
            LivenessNews::MovesAgain { thread } => {
                log::warn!(over = format!("thread {thread}"); "the thread {thread} moves again; the watchdog is fed again");
                self.event("thread_moves", json!({ "thread": thread }));
            }
        }
    }

    /// Reports a thread that has died: the gateway ends now.
    pub(super) fn report_death(&mut self, death: &Death) {
        self.event(
            "worker_died",
            json!({ "worker": death.name, "text": death.how }),
        );
    }
}
