//! One connection to see whether there can be one.
//!
//! Owns: what it showed. Never does: publish, or leave a will.

use std::time::Duration;

use rumqttc::Event;
use rumqttc::mqttbytes::v5::Packet;
use tokio::time::Instant;

use super::{MqttSettings, subscriptions, terms};
use booth_host::link::login::leave;
use booth_host::link::route::{Step, Unlucky};
use booth_host::link::trouble::{self, Trouble, What};

/// What one trial connection showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Every step on the way.
    pub steps: Vec<Step>,
    /// CONNECT was accepted, or why not.
    pub connected: Result<(), Trouble>,
    /// The filters and whether each was granted, or why not; empty while the broker has not answered.
    pub granted: Vec<(String, Result<(), String>)>,
    /// The first message on the awaited topic.
    pub heard: Option<Vec<u8>>,
}

/// Goes the same way as `run` and connects once, but without a will and without publishing, waits this long for a message on
/// `topic`, and leaves. If another client is connected under the same identity, the broker disconnects it.
pub async fn try_once(settings: &MqttSettings, topic: &str, patience: Duration) -> Trial {
    let login = &settings.login;
    let (client, mut events, line) = login.client(terms(None), &Unlucky::default());
    let mut trial = Trial {
        steps: Vec::new(),
        connected: Err(login.trouble(What::Silent)),
        granted: Vec::new(),
        heard: None,
    };
    // Until CONNACK every step has a limit of its own.
    let mut until = None;
    loop {
        let event = match until {
            None => events.poll().await,
            Some(until) => match tokio::time::timeout_at(until, events.poll()).await {
                Ok(event) => event,
                Err(_) => break,
            },
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if !line.connack().unwrap_or_default().takes_qos_1 {
                    trial.connected = Err(login.trouble(What::NoQos1));
                    break;
                }
                trial.connected = Ok(());
                until = Some(Instant::now() + patience);
                if client
                    .try_subscribe_many(subscriptions(&settings.filters))
                    .is_err()
                {
                    break;
                }
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let answer = line.answer(ack.pkid).unwrap_or_default();
                let codes = answer.codes.iter().map(|code| match code {
                    0..0x80 => Ok(()),
                    _ => Err(trouble::answered_with(*code, &answer)),
                });
                trial.granted = settings.filters.iter().cloned().zip(codes).collect();
            }
            Ok(Event::Incoming(Packet::Publish(message))) if message.topic == topic => {
                trial.heard = Some(message.payload.to_vec());
                break;
            }
            Ok(_) => {}
            Err(error) => {
                trial.connected = Err(Trouble::of(login, &line, &error));
                break;
            }
        }
    }
    trial.steps = line.steps();
    if trial.connected.is_ok() {
        leave(&client, &mut events).await;
    }
    trial
}
