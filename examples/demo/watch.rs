//! The city's operations in the demonstration: logged in as that role, they see which booth is there and what is wrong with it.
//!
//! Owns: one connection to the broker. Never does: hear clips; the access rules keep them away.
#![allow(clippy::disallowed_methods)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use booth_contract::{Alert, Presence, Topic, Topics};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{Packet, SubscribeReasonCode};
use rumqttc::{Client, ConnectionError, Event, MqttOptions};

use booth_stage::stage::{Fault, Stage, Steps};

/// Between two connections.
const RECONNECT: Duration = Duration::from_millis(200);

/// What operations have seen so far.
#[derive(Debug, Default)]
struct Seen {
    is_subscribed: AtomicBool,
    is_online: AtomicBool,
    /// Why the broker lets them see nothing.
    refusal: Mutex<Option<String>>,
}

pub struct Operations(Arc<Seen>);

impl Operations {
    /// Connects, and waits until the broker has granted what this role may read.
    pub fn connect(stage: &Stage, port: u16, password: &str) -> Result<Self, Fault> {
        let mut options = MqttOptions::new("operations", ("127.0.0.1", port));
        options
            .set_credentials("operations", password.to_owned())
            .set_keep_alive(60)
            .set_outgoing_inflight_upper_limit(8);
        let (client, mut connection) = Client::builder(options).capacity(8).build();
        let seen = Arc::new(Seen::default());
        let (told, steps) = (seen.clone(), stage.steps.clone());
        std::thread::spawn(move || {
            for event in connection.iter() {
                let refusal = match event {
                    // A session is clean, so that every connection subscribes again.
                    Ok(Event::Incoming(Packet::ConnAck(_))) => ["state", "alert/+"]
                        .iter()
                        .map(|tail| format!("booth/1/up/+/{tail}"))
                        .find_map(|filter| client.subscribe(filter, QoS::AtLeastOnce).err())
                        .map(|error| error.to_string()),
                    Ok(Event::Incoming(Packet::SubAck(granted))) => {
                        let is_granted = |code: &SubscribeReasonCode| {
                            matches!(code, SubscribeReasonCode::Success(_))
                        };
                        let all = granted.return_codes.iter().all(is_granted);
                        told.is_subscribed.fetch_or(all, Ordering::Relaxed);
                        (!all).then(|| {
                            format!(
                                "it answers the subscription with {:?}",
                                granted.return_codes
                            )
                        })
                    }
                    Ok(Event::Incoming(Packet::Publish(message))) => {
                        told.heard(
                            &String::from_utf8_lossy(&message.topic),
                            &message.payload,
                            &steps,
                        );
                        None
                    }
                    Ok(_) => None,
                    Err(ConnectionError::ConnectionRefused(code)) => {
                        std::thread::park_timeout(RECONNECT);
                        Some(format!("it answers the login with {code:?}"))
                    }
                    // A broker that has ended is the stage's news.
                    Err(_) => {
                        std::thread::park_timeout(RECONNECT);
                        None
                    }
                };
                if refusal.is_some() {
                    *told.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
                }
            }
        });
        let operations = Self(seen);
        operations.wait_for(stage, "operations are logged in", |seen| {
            &seen.is_subscribed
        })?;
        Ok(operations)
    }

    /// Waits until they see the booth online.
    pub fn see_the_booth(&self, stage: &Stage) -> Result<(), Fault> {
        self.wait_for(stage, "operations see the booth online", |seen| {
            &seen.is_online
        })
    }

    fn wait_for(
        &self,
        stage: &Stage,
        what: &str,
        which: impl Fn(&Seen) -> &AtomicBool,
    ) -> Result<(), Fault> {
        stage.wait_for(what, "broker", || {
            let refusal = self
                .0
                .refusal
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            match refusal {
                Some(refusal) => Err(Fault {
                    why: format!("the broker does not let operations in: {refusal}"),
                    program: Some("broker".into()),
                }),
                None => Ok(which(&self.0).load(Ordering::Relaxed).then_some(())),
            }
        })
    }
}

impl Seen {
    fn heard(&self, topic: &str, payload: &[u8], steps: &Steps) {
        match Topics::new("booth/1").parse(topic) {
            Some(Topic::State(_)) => {
                let state: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
                let presence = serde_json::from_value(state["state"].clone());
                let is_online = matches!(presence, Ok(Presence::Online));
                self.is_online.store(is_online, Ordering::Relaxed);
            }
            Some(Topic::Alert(booth, id)) => {
                // An empty one is one that is not raised.
                if let Ok(alert) = serde_json::from_slice::<Alert>(payload) {
                    steps.next(&format!(
                        "operations hear an alert of {booth}: {id}, {}",
                        alert.text
                    ));
                }
            }
            _ => {}
        }
    }
}
