//! The way to the broker: prompts first, then the configurations that name them, then what nobody wants any more is cleared.
//!
//! Owns: one short connection beside the running hub's, and that order. Never does: decide what is published. What was published before a
//! connection ended is published again by the next attempt, which is harmless: everything here is retained.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use booth_contract::{BoothId, ConfigReport, MediaHash, Topic, Topics, reading};
use booth_host::link::login::{Login, leave};
use booth_host::link::route::Unlucky;
use booth_host::link::trouble::Trouble;
use booth_host::link::wire::Line;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{Packet, Publish};
use rumqttc::{AsyncClient, Event, EventLoop, Outgoing, PublishOptions};
use tokio::time::{Instant, sleep_until};

use super::CampaignError;
use crate::{login, store};

/// How often a connection is made again after a running hub has taken it back.
const ATTEMPTS: u32 = 5;
/// The broker confirms the next message within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that the broker has not confirmed.
const MOST_ON_THE_WAY: usize = 4;
/// Bytes of a message besides its payload, at most: the topic and MQTT's own.
const AROUND: usize = 256;

/// What is to be published.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Prompts.
    pub(super) media: Vec<(MediaHash, Vec<u8>)>,
    /// A payload for each booth.
    pub(super) configurations: Vec<(BoothId, Vec<u8>)>,
    /// Prompts that nobody wants any more.
    pub(super) unwanted: Vec<MediaHash>,
}

impl Load {
    /// Whether there is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.media.is_empty() && self.configurations.is_empty() && self.unwanted.is_empty()
    }

    /// The messages in the order in which each group is confirmed before the next one leaves.
    fn groups(&self, topics: &Topics) -> [VecDeque<(String, Vec<u8>)>; 3] {
        let media = self.media.iter();
        let media =
            media.map(|(hash, bytes)| (topics.name(&Topic::Media(hash.clone())), bytes.clone()));
        let wanted = self.configurations.iter();
        let wanted = wanted.map(|(booth, payload)| {
            (
                topics.name(&Topic::ConfigWanted(booth.clone())),
                payload.clone(),
            )
        });
        let unwanted = self.unwanted.iter();
        let unwanted = unwanted.map(|hash| (topics.name(&Topic::Media(hash.clone())), Vec::new()));
        [media.collect(), wanted.collect(), unwanted.collect()]
    }
}

/// How an attempt failed.
enum Attempt {
    Again(String),
    Final(CampaignError),
}

/// A connection that goes on hearing the booths' reports.
pub(super) struct Ear {
    client: AsyncClient,
    events: EventLoop,
    topics: Topics,
}

impl Ear {
    /// The next report; `None` when the connection is over: a running hub with the same name at the broker has taken it back.
    pub(super) async fn hear(&mut self) -> Option<(BoothId, ConfigReport)> {
        loop {
            match self.events.poll().await {
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if let Some(heard) = report(&self.topics, &publish) {
                        return Some(heard);
                    }
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn leave(mut self) {
        leave(&self.client, &mut self.events).await;
    }
}

fn report(topics: &Topics, publish: &Publish) -> Option<(BoothId, ConfigReport)> {
    match topics.parse(&String::from_utf8_lossy(&publish.topic))? {
        Topic::ConfigReport(booth) => Some((booth, reading::object(&publish.payload).ok()?)),
        _ => None,
    }
}

/// Publishes the load, and goes on listening to the booths that have a configuration in it. `heard` is told what comes meanwhile.
///
/// # Errors
/// The broker cannot be reached, refuses, or does not confirm.
pub(super) async fn deliver(
    login: &Login,
    topics: &Topics,
    store: &Path,
    load: &Load,
    heard: &mut (dyn FnMut(&BoothId, &ConfigReport) + Send),
) -> Result<Ear, CampaignError> {
    let mut login = login.clone();
    // A client id of its own: a broker that does not bind ids to users then keeps both connections.
    login.client_id = format!("{}-campaign", login.client_id);
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        store::note_forgetting(store);
        match attempt(&login, topics, load, heard).await {
            Ok(ear) => return Ok(ear),
            Err(Attempt::Final(error)) => return Err(error),
            Err(Attempt::Again(why)) => last = why,
        }
    }
    Err(CampaignError::Refused(last))
}

/// What one connection has published so far.
struct Sending {
    groups: [VecDeque<(String, Vec<u8>)>; 3],
    /// Topics handed to the client that have no packet id yet.
    in_order: VecDeque<String>,
    /// Topics by the packet id of their message, until the broker answers it.
    unanswered: HashMap<u16, String>,
    is_connected: bool,
    /// The group that is on its way.
    begun: usize,
}

impl Sending {
    /// Hands the client the next messages of the first group that is not done.
    fn go_on(&mut self, client: &AsyncClient) -> Result<(), Attempt> {
        while self.is_connected && self.in_order.len() + self.unanswered.len() < MOST_ON_THE_WAY {
            let on_the_way = !self.in_order.is_empty() || !self.unanswered.is_empty();
            let Some(place) = self.groups.iter().position(|group| !group.is_empty()) else {
                return Ok(());
            };
            // Between two groups the way must be clear.
            if self.begun != place && on_the_way {
                return Ok(());
            }
            self.begun = place;
            let Some((topic, payload)) = self.groups[place].pop_front() else {
                return Ok(());
            };
            self.in_order.push_back(topic.clone());
            client
                .try_publish(topic, payload, PublishOptions::at_least_once().retained())
                .map_err(|_| Attempt::Again("the connection to the broker ended".into()))?;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.is_connected
            && self.in_order.is_empty()
            && self.unanswered.is_empty()
            && self.groups.iter().all(VecDeque::is_empty)
    }
}

async fn attempt(
    login: &Login,
    topics: &Topics,
    load: &Load,
    heard: &mut (dyn FnMut(&BoothId, &ConfigReport) + Send),
) -> Result<Ear, Attempt> {
    let (client, mut events, line) =
        login.client(login::terms(1024, false, None), &Unlucky::default());
    let mut sending = Sending {
        groups: load.groups(topics),
        in_order: VecDeque::new(),
        unanswered: HashMap::new(),
        is_connected: false,
        begun: 0,
    };
    let largest = load.media.iter().map(|(_, bytes)| bytes.len());
    let largest = largest.chain(load.configurations.iter().map(|(_, payload)| payload.len()));
    let largest = largest.max().unwrap_or(0) + AROUND;
    let mut deadline = Instant::now() + PATIENCE;
    loop {
        sending.go_on(&client)?;
        if sending.is_done() {
            return Ok(Ear {
                client,
                events,
                topics: topics.clone(),
            });
        }
        let event = {
            let mut poll = pin!(events.poll());
            tokio::select! {
                event = &mut poll => event,
                () = sleep_until(deadline) => {
                    return Err(Attempt::Again("the broker did not confirm in time".into()));
                }
            }
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                fits(&line, largest)?;
                for (booth, _) in &load.configurations {
                    let filter = topics.name(&Topic::ConfigReport(booth.clone()));
                    // A broker that refuses it lets the database tell.
                    let _ = client.try_subscribe(filter, QoS::AtLeastOnce);
                }
                sending.is_connected = true;
            }
            Ok(Event::Outgoing(Outgoing::Publish(packet_id))) if packet_id != 0 => {
                if let Some(topic) = sending.in_order.pop_front() {
                    sending.unanswered.insert(packet_id, topic);
                }
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                deadline = Instant::now() + PATIENCE;
                let topic = sending.unanswered.remove(&ack.pkid).unwrap_or_default();
                let answer = line.answer(ack.pkid).unwrap_or_default();
                if answer.codes.iter().any(|code| *code >= 0x80) {
                    let why = format!(
                        "the broker does not let the hub publish on {topic}: give the hub's user the role of docs/mosquitto.acl"
                    );
                    return Err(Attempt::Final(CampaignError::Refused(why)));
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                if let Some((booth, report)) = report(topics, &publish) {
                    heard(&booth, &report);
                }
            }
            Ok(_) => {}
            Err(error) => return Err(attempt_of(&Trouble::of(login, &line, &error))),
        }
    }
}

/// Whether the broker takes messages of this size, and keeps them.
fn fits(line: &Line, largest: usize) -> Result<(), Attempt> {
    let connack = line.connack().unwrap_or_default();
    let refused = |why: String| Err(Attempt::Final(CampaignError::Refused(why)));
    if let Some(most) = connack.max_packet.filter(|most| (*most as usize) < largest) {
        return refused(format!(
            "the broker takes messages of at most {most} bytes, and the largest prompt needs {largest}: raise its limit (Mosquitto: \
             max_packet_size 131072, as in docs/mosquitto.acl), or shorten the prompt"
        ));
    }
    if !connack.retains {
        return refused("the broker keeps no retained messages, without which no booth gets its campaigns: let it keep them".into());
    }
    Ok(())
}

/// Whether another attempt is of use after this.
fn attempt_of(trouble: &Trouble) -> Attempt {
    let why = format!(
        "{trouble}. What is to be published is kept: booth-hub campaign publish sends it again"
    );
    match trouble.what.is_final() {
        true => Attempt::Final(CampaignError::Refused(why)),
        false => Attempt::Again(why),
    }
}
