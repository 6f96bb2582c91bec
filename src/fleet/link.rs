//! The connection of somebody who only watches: subscribes to what operations may read, and comes back by itself.
//!
//! Owns: the subscriptions, and the pauses between two connections. Never does: publish anything, or judge what comes. A connection that is
//! lost costs nothing but what was not retained meanwhile.
#![allow(clippy::disallowed_methods)] // waits between two connections

use std::pin::pin;
use std::time::Duration;

use booth_contract::MAX_INCOMING_BYTES;
use booth_host::link::asked::by_arguments;
use booth_host::link::back_off::BackOff;
use booth_host::link::login::{Login, Terms, leave};
use booth_host::link::route::Unlucky;
use booth_host::link::trouble::{Trouble, What};
use booth_host::link::wire::Line;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{Packet, Publish};
use rumqttc::{ConnectionError, Event, EventLoop, SubscribeFilterInput};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// What the connection tells.
#[derive(Debug)]
pub(super) enum News {
    /// Connected and subscribed.
    Connected,
    /// Not connected (any more); the next attempt follows by itself.
    Lost(Box<Trouble>),
    /// A message.
    Message(Message),
}

/// A message of a booth or of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// It was retained at the broker before this connection.
    pub(super) is_retained: bool,
    /// What is left of its expiry, seconds.
    pub(super) left_s: Option<u32>,
}

/// What is subscribed to.
#[derive(Debug, Clone)]
pub(super) struct Filters {
    /// Without one of these nothing can be watched.
    pub(super) needed: Vec<String>,
    /// Whether there are booths of another version; a broker may refuse it.
    pub(super) wished: String,
}

/// How a connection ended, and since when it had stood, if it had.
struct End {
    trouble: Box<Trouble>,
    stood_since: Option<Instant>,
}

/// Stays connected until nobody reads the news any more.
pub(super) async fn run(login: Login, filters: Filters, news: mpsc::Sender<News>) {
    let mut back_off = BackOff::default();
    let mut unlucky = Unlucky::default();
    while !news.is_closed() {
        let end = connected(&login, &filters, &mut unlucky, &news).await;
        let lasted = end
            .stood_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        let pause = back_off.after(lasted, end.trouble.is_rival());
        if news.send(News::Lost(end.trouble)).await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

fn terms() -> Terms {
    Terms {
        max_packet: MAX_INCOMING_BYTES,
        receive_maximum: None,
        in_flight: 1,
        requests: 8,
        batch: 1,
        session_expiry_s: Some(0),
        manual_acks: false,
        will: None,
    }
}

fn asked(filters: &[String]) -> Vec<SubscribeFilterInput> {
    let filters = filters.iter().cloned();
    filters
        .map(|filter| SubscribeFilterInput::new(filter, QoS::AtLeastOnce))
        .collect()
}

async fn connected(
    login: &Login,
    filters: &Filters,
    unlucky: &mut Unlucky,
    news: &mpsc::Sender<News>,
) -> End {
    let (client, mut events, line) = login.client(terms(), unlucky);
    let mut stood_since = None;
    let mut is_accepted = false;
    let what = loop {
        match next(&mut events, &line, is_accepted, news).await {
            Next::NobodyReads => break None,
            Next::Dead => break Some(What::Dead),
            Next::Event(Err(error)) => break Some(Trouble::of(login, &line, &error).what),
            Next::Event(Ok(Event::Incoming(Packet::ConnAck(_)))) => {
                is_accepted = true;
                let _ = client.try_subscribe_many(asked(&filters.needed));
            }
            Next::Event(Ok(Event::Incoming(Packet::SubAck(ack)))) if stood_since.is_none() => {
                let answer = line.answer(ack.pkid).unwrap_or_default();
                let refused = answer.codes.iter().position(|code| *code >= 0x80);
                if let Some(at) = refused {
                    let filter = filters.needed.get(at).cloned().unwrap_or_default();
                    break Some(What::NotSubscribed { filter, answer });
                }
                stood_since = Some(Instant::now());
                let _ = client.try_subscribe_many(asked(std::slice::from_ref(&filters.wished)));
                let _ = news.send(News::Connected).await;
            }
            Next::Event(Ok(Event::Incoming(Packet::Publish(message)))) => {
                // The contract has no topic that is not UTF-8.
                if let Ok(topic) = String::from_utf8(message.topic.to_vec()) {
                    let _ = news.send(News::Message(read(topic, &message))).await;
                }
            }
            Next::Event(Ok(_)) => {}
        }
    };
    if let Some(address) = line.address() {
        unlucky.note(address, line.connack().is_some());
    }
    if matches!(what, None | Some(What::NotSubscribed { .. })) {
        leave(&client, &mut events).await;
    }
    End {
        trouble: Box::new(login.trouble(what.unwrap_or(What::Ended))),
        stood_since,
    }
}

/// What went wrong, with the remedy.
pub(super) fn sentence(trouble: &Trouble) -> String {
    by_arguments(&trouble.to_string())
}

/// What a connection waited for.
#[allow(clippy::large_enum_variant)] // one at a time, taken apart at once
enum Next {
    Event(Result<Event, ConnectionError>),
    Dead,
    NobodyReads,
}

async fn next(
    events: &mut EventLoop,
    line: &Line,
    is_accepted: bool,
    news: &mpsc::Sender<News>,
) -> Next {
    // The event loop's future must never be dropped half-way: it would strand a packet. Here it is dropped only with the connection.
    let mut poll = pin!(events.poll());
    loop {
        tokio::select! {
            event = &mut poll => return Next::Event(event),
            () = sleep_until(line.dead_at()), if is_accepted => {
                if line.dead_at() <= Instant::now() {
                    return Next::Dead;
                }
            }
            () = news.closed() => return Next::NobodyReads,
        }
    }
}

fn read(topic: String, message: &Publish) -> Message {
    let properties = message.properties.as_ref();
    Message {
        topic,
        payload: message.payload.to_vec(),
        is_retained: message.retain,
        left_s: properties.and_then(|properties| properties.message_expiry_interval),
    }
}
