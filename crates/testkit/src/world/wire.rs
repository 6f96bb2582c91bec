//! Booth, network and broker: a stand-in for `adapters::mqtt` and for what lies behind it.
//!
//! Owns: connections with their keep-alive and back-off, the time that bytes take, loss, holes and slowness; a broker
//! with QoS 1, reason codes, a queue that is full, retained presence, wills and take-overs. Never does: know what a
//! clip is. The link keeps nothing for a later connection, as `adapters::mqtt` does not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;

use booth_contract::{AlertId, BrokerState, Presence};
use booth_gateway::adapters::mqtt::{Kind, MqttCommand, MqttEvent, Outbound};
use booth_gateway::run::Happening;
use gateway_core::delivery::Puback;
use gateway_core::rival::Loss;

use super::plan::{MINUTE, SECOND};
use super::{Event, World};

const FIRST_PAUSE: u64 = 500;
const LAST_PAUSE: u64 = 15 * SECOND;
const TAKEN_OVER_PAUSE: u64 = 180 * SECOND;
const GOOD_CONNECTION: u64 = 20 * SECOND;
const CONNECT_TIMEOUT: u64 = 20 * SECOND;
const MAX_IN_FLIGHT: usize = 12;
/// One and a half keep-alives: then the broker gives a silent client up.
const BROKER_PATIENCE: u64 = 45 * SECOND;
const WILL_DELAY: u64 = MINUTE;
/// What may wait in the link: the delivery window, and what the booth says about itself.
const MOST_WAITING: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Pausing,
    Opening,
    Ready,
}

/// How the booth's end finds that its connection is over.
enum Lost {
    Refused,
    NoAnswer,
    Silent,
    Reset,
    BrokerStopped,
    /// The broker says so.
    TakenOver,
    /// It closes a connection that another client has taken over, and says nothing.
    WithoutAWord,
    /// The booth leaves, for this reason.
    SteppedBack(String),
}

impl Lost {
    fn why(&self) -> String {
        match self {
            Lost::Refused => "connection refused".into(),
            Lost::NoAnswer => "the broker did not answer".into(),
            Lost::Silent => "the broker no longer answers".into(),
            Lost::Reset => "reset by peer".into(),
            Lost::BrokerStopped => "the broker ended the connection".into(),
            Lost::TakenOver => "the session was taken over".into(),
            Lost::WithoutAWord => "the broker closed the connection without a word".into(),
            Lost::SteppedBack(evidence) => format!("another device: {evidence}"),
        }
    }

    fn loss(&self) -> Loss {
        match self {
            Lost::TakenOver => Loss::TakenOver,
            Lost::SteppedBack(_) => Loss::SteppedBack,
            _ => Loss::Other,
        }
    }

    fn is_wordless(&self) -> bool {
        matches!(self, Lost::Reset | Lost::WithoutAWord)
    }
}

/// What another device says of itself in the booth's name.
const OF_ANOTHER: &[u8] =
    br#"{"state":"online","session":"1-1","card_id":"another-card","boot_id":"another-boot","ts":null}"#;
const OWN_STATE: &str = "booth/1/up/rundhoej-1/state";
/// A loop that has heard of another device leaves within this time.
const LEAVES_WITHIN: u64 = 5 * SECOND;

/// The booth's end.
pub struct Link {
    phase: Phase,
    /// Counts what this life tried; part of the connection's number.
    connection: u64,
    pause: u64,
    /// The pause that was drawn when the connection was lost; the loop says whether it counts.
    drawn: u64,
    begun: u64,
    /// The broker has answered the publish of the booth's own state, in this life.
    is_introduced: bool,
    /// The connection before ended without a word.
    suspects: bool,
    /// When evidence of another device reached the loop, until the booth has connected again.
    rival_at: Option<u64>,
    urgent: VecDeque<Outbound>,
    waiting: VecDeque<Outbound>,
    in_flight: usize,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Pausing,
            connection: 0,
            pause: FIRST_PAUSE,
            drawn: 0,
            begun: 0,
            is_introduced: false,
            suspects: false,
            rival_at: None,
            urgent: VecDeque::new(),
            waiting: VecDeque::new(),
            in_flight: 0,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }
}

/// The way between, in both directions.
#[derive(Default)]
pub struct Net {
    /// Nothing passes until then; what is sent meanwhile waits, as TCP has it.
    pub hole_until: u64,
    pub slow_until: u64,
    pub slow_latency: u64,
    pub bytes_per_s: u64,
    /// By direction: when the line is free, and when the latest message arrives.
    free: [u64; 2],
    latest: [u64; 2],
}

const UP: usize = 0;
const DOWN: usize = 1;

/// A message that the broker keeps for the hub.
#[derive(Debug, Clone)]
pub struct Kept {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

/// What the broker says to clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    Takes,
    Quota,
    Denies,
}

pub struct Broker {
    pub is_up: bool,
    pub temper: Temper,
    /// The booth's connection as the broker sees it, and its will.
    pub booth: Option<u64>,
    /// The booth is subscribed to its own state.
    reads_own_state: bool,
    will: Option<Vec<u8>>,
    will_due: Option<u64>,
    pub hub_is_there: bool,
    pub hub_queue: VecDeque<Kept>,
    /// What the hub said of itself, retained, and until when.
    pub hub_state: Option<(Vec<u8>, u64)>,
    retained: BTreeMap<String, Vec<u8>>,
}

impl Broker {
    pub(crate) fn new() -> Self {
        Self {
            is_up: true,
            temper: Temper::Takes,
            booth: None,
            reads_own_state: false,
            will: None,
            will_due: None,
            hub_is_there: false,
            hub_queue: VecDeque::new(),
            hub_state: None,
            retained: BTreeMap::new(),
        }
    }
}

/// On its way to the broker.
pub enum Up {
    Connect {
        will: Vec<u8>,
        asks_for_own_state: bool,
    },
    Publish(Outbound),
    Goodbye,
}

/// On its way to the booth.
#[derive(Clone)]
pub enum Down {
    Connected,
    Answered {
        token: u64,
        answer: Puback,
        is_own_state: bool,
    },
    Message {
        topic: String,
        payload: Vec<u8>,
    },
    TakenOver,
    /// The broker closes the connection and says nothing.
    Closed,
}

impl World {
    fn travel(&mut self, way: usize, bytes: u64) -> u64 {
        let net = &mut self.net;
        let is_slow = self.now < net.slow_until;
        let latency = self.plan.latency_ms + if is_slow { net.slow_latency } else { 0 };
        let jitter = self.chance.below(latency / 2 + 1);
        let mut start = self.now.max(net.free[way]).max(net.hole_until);
        if is_slow && net.bytes_per_s > 0 {
            start += bytes * 1_000 / net.bytes_per_s;
        }
        net.free[way] = start;
        let at = (start + latency + jitter).max(net.latest[way]);
        net.latest[way] = at;
        at
    }

    fn up(&mut self, what: Up, bytes: u64) {
        let Some(process) = &self.process else { return };
        let connection = (self.life << 20) | process.link.connection;
        let at = self.travel(UP, bytes + 60);
        self.at(
            at,
            Event::Up {
                connection,
                what: Box::new(what),
            },
        );
    }

    pub(super) fn down(&mut self, what: Down, bytes: u64) {
        if let Some(connection) = self.broker.booth {
            let at = self.travel(DOWN, bytes + 60);
            self.at(
                at,
                Event::Down {
                    connection,
                    what: Box::new(what),
                },
            );
        }
    }

    pub(super) fn link_after(&mut self, ms: u64) {
        if let Some(process) = &self.process {
            let connection = process.link.connection;
            self.at(
                self.now + ms,
                Event::LinkTries {
                    life: self.life,
                    connection,
                },
            );
        }
    }

    /// CONNECT.
    pub(super) fn link_tries(&mut self, connection: u64) {
        let mono = self.facts.mono().0;
        let wall = jiff::Timestamp::from_millisecond(self.facts.wall_ms()).unwrap_or_default();
        let now = self.now;
        let Some(process) = &mut self.process else {
            return;
        };
        let link = &mut process.link;
        if link.connection != connection || link.phase != Phase::Pausing {
            return;
        }
        let (stepped_back, is_early) = match link.rival_at.take() {
            Some(at) => (true, now - at < TAKEN_OVER_PAUSE),
            None => (false, false),
        };
        let asks_for_own_state = link.suspects && link.is_introduced;
        link.phase = Phase::Opening;
        link.connection += 1;
        link.begun = now;
        let will = {
            let mut speaker = process
                .speaker
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            speaker.connect_ms = mono;
            speaker.state(Presence::Lost, wall)
        };
        let (life, connection) = (self.life, process.link.connection);
        if stepped_back {
            self.outcome.stepped_back += 1;
            self.has_stepped_back(is_early);
        }
        if !self.broker.is_up {
            return self.link_lost(&Lost::Refused);
        }
        self.net.free = [now; 2];
        self.net.latest = [now; 2];
        self.up(
            Up::Connect {
                will,
                asks_for_own_state,
            },
            300,
        );
        self.at(
            now + CONNECT_TIMEOUT,
            Event::LinkPatience { life, connection },
        );
    }

    /// The broker did not answer in time.
    pub(super) fn link_patience(&mut self, connection: u64) {
        if let Some(process) = &self.process
            && process.link.connection == connection
            && process.link.phase == Phase::Opening
        {
            self.link_lost(&Lost::NoAnswer);
        }
    }

    /// The booth connects again after another device had its name: not too early, and not in silence.
    fn has_stepped_back(&mut self, is_early: bool) {
        let is_said = self.process.as_ref().is_some_and(|process| {
            let faults = process.gateway.faults();
            faults.contains_key(&AlertId::DuplicateIdentity)
        });
        if is_early {
            self.broken("the booth fights for its name with another device".into());
        } else if !is_said {
            self.broken("another device has the booth's name, and no alert says so".into());
        }
    }

    /// A loop that knows of another device does not stay, and one that knows of none says nothing of one.
    pub(super) fn believes_evidence(&mut self) {
        let Some(process) = &self.process else { return };
        let faults = process.gateway.faults();
        let is_said = faults.contains_key(&AlertId::DuplicateIdentity);
        let stays = process.link.is_ready()
            && process
                .link
                .rival_at
                .is_some_and(|at| self.now - at > LEAVES_WITHIN);
        if stays {
            self.broken("the booth stays connected beside another device of its name".into());
        } else if is_said && self.rival_in_life != Some(self.life) {
            self.broken("an alert says that another device has the booth's name; none had".into());
        }
    }

    /// What the loop wants of the link besides publishing.
    pub(super) fn link_obeys(&mut self, command: MqttCommand) {
        match command {
            MqttCommand::StepBack(evidence) => {
                let is_ready = |process: &super::process::Process| process.link.is_ready();
                if self.process.as_ref().is_some_and(is_ready) {
                    self.up(Up::Goodbye, 100);
                    self.link_lost(&Lost::SteppedBack(evidence));
                }
            }
            MqttCommand::ConnectAgain { steps_back } => {
                let Some(process) = &self.process else { return };
                let wait = match steps_back {
                    true => TAKEN_OVER_PAUSE,
                    false => process.link.drawn,
                };
                self.link_after(wait + 1);
            }
            MqttCommand::Publish(message) => self.publish(message),
            MqttCommand::Fetch(_) | MqttCommand::Stop(_) => {}
        }
    }

    /// The booth's end has found out.
    fn link_lost(&mut self, lost: &Lost) {
        let now = self.now;
        let lot = self.chance.below(1_001);
        let Some(process) = &mut self.process else {
            return;
        };
        let link = &mut process.link;
        if link.phase == Phase::Pausing {
            return;
        }
        link.phase = Phase::Pausing;
        link.waiting.clear();
        link.urgent.clear();
        link.in_flight = 0;
        if now - link.begun >= GOOD_CONNECTION {
            link.pause = FIRST_PAUSE;
        }
        link.drawn = link.pause * lot / 1_000;
        link.pause = (link.pause * 2).min(LAST_PAUSE);
        link.suspects = lost.is_wordless();
        if lost.loss() == Loss::TakenOver {
            link.rival_at = Some(now);
        }
        let (why, loss) = (lost.why(), lost.loss());
        self.say(|| format!("the booth's connection is lost: {why}"));
        self.tell_loop(
            1,
            Happening::Mqtt(MqttEvent::Disconnected {
                why,
                state: BrokerState::NotReached,
                loss,
            }),
        );
    }

    fn link_reset(&mut self, connection: u64) {
        let is_current = self
            .process
            .as_ref()
            .is_some_and(|process| connection == ((self.life << 20) | process.link.connection));
        if is_current {
            self.link_lost(&Lost::Reset);
        }
    }

    /// A reset that both ends see.
    pub(super) fn connection_reset(&mut self) {
        self.broker_loses_booth(true);
        self.link_lost(&Lost::Reset);
    }

    /// The process or the machine is gone. A killed process's socket is reset; a machine without power is silent.
    pub(super) fn network_gone(&mut self, is_silent: bool) {
        if is_silent {
            if let Some(connection) = self.broker.booth {
                self.at(
                    self.now + BROKER_PATIENCE,
                    Event::BrokerGivesUp { connection },
                );
            }
        } else {
            self.broker_loses_booth(true);
        }
    }

    pub(super) fn black_hole(&mut self, ms: u64) {
        self.net.hole_until = self.net.hole_until.max(self.now + ms);
        let patience = 31 * SECOND + self.chance.below(34 * SECOND);
        if let Some(process) = &self.process
            && process.link.is_ready()
            && ms > patience
        {
            let connection = process.link.connection;
            self.at(
                self.now + patience,
                Event::LinkStalled {
                    life: self.life,
                    connection,
                },
            );
        }
        if let Some(connection) = self.broker.booth
            && ms > BROKER_PATIENCE
        {
            self.at(
                self.now + BROKER_PATIENCE,
                Event::BrokerGivesUp { connection },
            );
        }
    }

    pub(super) fn link_stalled(&mut self, connection: u64) {
        if self
            .process
            .as_ref()
            .is_some_and(|process| process.link.connection == connection)
        {
            self.link_lost(&Lost::Silent);
        }
    }

    /// What the loop wants published.
    fn publish(&mut self, message: Outbound) {
        self.leaves_the_booth(&message.topic, &message.payload);
        let Some(process) = &mut self.process else {
            return;
        };
        if process.link.phase != Phase::Ready {
            return;
        }
        let link = &mut process.link;
        let queue = if message.kind != Kind::Clip {
            &mut link.urgent
        } else {
            &mut link.waiting
        };
        queue.push_back(message);
        if link.waiting.len() + link.urgent.len() > MOST_WAITING {
            self.broken(format!("{MOST_WAITING} messages wait in the link"));
        }
        self.top_up();
    }

    fn top_up(&mut self) {
        loop {
            let Some(process) = &mut self.process else {
                return;
            };
            if process.link.in_flight >= MAX_IN_FLIGHT {
                return;
            }
            let next = process.link.urgent.pop_front();
            let Some(message) = next.or_else(|| process.link.waiting.pop_front()) else {
                return;
            };
            process.link.in_flight += 1;
            let bytes = message.payload.len() as u64;
            self.up(Up::Publish(message), bytes);
        }
    }

    /// A clean stop says `offline` and leaves no will.
    pub(super) fn says_goodbye(&mut self) {
        if self
            .process
            .as_ref()
            .is_some_and(|process| process.link.is_ready())
        {
            self.up(Up::Goodbye, 100);
        }
    }

    pub(super) fn arrives_at_broker(&mut self, connection: u64, what: Up) {
        if !self.broker.is_up {
            return;
        }
        match what {
            Up::Connect {
                will,
                asks_for_own_state,
            } => {
                // A try that was given up meanwhile ends as a reset.
                let is_current = self.process.as_ref().is_some_and(|process| {
                    process.link.phase == Phase::Opening
                        && connection == ((self.life << 20) | process.link.connection)
                });
                if !is_current {
                    return;
                }
                self.broker_loses_booth(false);
                self.broker.booth = Some(connection);
                self.broker.will = Some(will);
                self.broker.will_due = None;
                self.down(Down::Connected, 20);
                self.broker.reads_own_state = asks_for_own_state && self.plan.lets_read_own_state;
                if self.broker.reads_own_state
                    && let Some(payload) = self.broker.retained.get(OWN_STATE).cloned()
                {
                    self.own_state(payload);
                }
                if let Some((payload, until)) = self.broker.hub_state.clone()
                    && until > self.now
                {
                    self.down(
                        Down::Message {
                            topic: "booth/1/hub/state".into(),
                            payload,
                        },
                        60,
                    );
                }
            }
            // The broker has given this connection up: its end is reset.
            _ if self.broker.booth != Some(connection) => self.link_reset(connection),
            Up::Goodbye => {
                self.broker.booth = None;
                self.broker.will = None;
            }
            Up::Publish(message) => {
                let token = message.token;
                let is_own_state = message.topic == OWN_STATE;
                if is_own_state && self.broker.reads_own_state {
                    self.own_state(message.payload.clone());
                }
                let answer = self.broker_takes(message);
                self.down(
                    Down::Answered {
                        token,
                        answer,
                        is_own_state,
                    },
                    4,
                );
            }
        }
    }

    /// For a booth that has subscribed to its own state.
    fn own_state(&mut self, payload: Vec<u8>) {
        let topic = OWN_STATE.to_owned();
        self.down(Down::Message { topic, payload }, 200);
    }

    fn broker_takes(&mut self, message: Outbound) -> Puback {
        let is_clip = message.topic.contains("/clip/") || message.topic.contains("/part/");
        if message.retain {
            if message.payload.is_empty() {
                self.broker.retained.remove(&message.topic);
            } else {
                self.broker
                    .retained
                    .insert(message.topic.clone(), message.payload.clone());
            }
        }
        match self.broker.temper {
            Temper::Quota if is_clip => return Puback::Quota,
            Temper::Denies if is_clip => return Puback::Refused,
            _ => {}
        }
        if !self.broker.hub_is_there {
            return Puback::NoSubscriber;
        }
        if self.broker.hub_queue.len() >= self.plan.queue_limit {
            return match self.plan.tells_quota {
                true => Puback::Quota,
                false => Puback::Success,
            };
        }
        let copies = match self.chance.below(1_000) {
            lot if lot < self.plan.doubled && !self.is_quiet() => 2,
            lot if lot + self.plan.dropped >= 1_000 && !self.is_quiet() => 0,
            _ => 1,
        };
        for _ in 0..copies {
            self.for_hub(message.topic.clone(), message.payload.clone(), false);
        }
        Puback::Success
    }

    fn for_hub(&mut self, topic: String, payload: Vec<u8>, retained: bool) {
        self.broker.hub_queue.push_back(Kept {
            topic,
            payload,
            retained,
        });
        self.wake_hub(3);
    }

    pub(super) fn arrives_at_booth(&mut self, connection: u64, what: Down) {
        let life = self.life;
        let Some(process) = &mut self.process else {
            return;
        };
        let link = &mut process.link;
        if connection != ((life << 20) | link.connection) || link.phase == Phase::Pausing {
            return;
        }
        match what {
            Down::Connected => {
                link.phase = Phase::Ready;
                let max_packet = self.plan.max_packet;
                self.say(|| "the booth is connected".into());
                self.tell_loop(1, Happening::Mqtt(MqttEvent::Connected { max_packet }));
            }
            Down::Answered {
                token,
                answer,
                is_own_state,
            } => {
                link.is_introduced |= is_own_state;
                link.in_flight = link.in_flight.saturating_sub(1);
                let why = format!("{answer:?}");
                self.tell_loop(
                    1,
                    Happening::Mqtt(MqttEvent::Answered { token, answer, why }),
                );
                self.top_up();
            }
            Down::Message { topic, payload } => {
                if topic == OWN_STATE && payload == OF_ANOTHER {
                    link.rival_at = Some(self.now);
                }
                self.tell_loop(
                    1,
                    Happening::Mqtt(MqttEvent::Incoming {
                        topic,
                        payload,
                        correlation: None,
                    }),
                );
            }
            Down::Closed => self.link_lost(&Lost::WithoutAWord),
            Down::TakenOver => self.link_lost(&Lost::TakenOver),
        }
    }

    /// What the hub says to the booth.
    pub(super) fn hub_publishes(&mut self, topic: String, payload: Vec<u8>) {
        let lot = self.chance.below(1_000);
        let quiet = self.is_quiet();
        let copies = match lot {
            lot if lot < self.plan.doubled && !quiet => 2,
            lot if lot + self.plan.dropped >= 1_000 && !quiet => 0,
            _ => 1,
        };
        for _ in 0..copies {
            let bytes = payload.len() as u64;
            let (topic, payload) = (topic.clone(), payload.clone());
            self.down(Down::Message { topic, payload }, bytes);
        }
    }

    /// The hub's presence, retained.
    pub(super) fn hub_says(&mut self, online: bool) {
        let payload = self.hub.presence(online, self.now);
        let until = if online {
            self.now + 180 * SECOND
        } else {
            u64::MAX
        };
        self.broker.hub_state = Some((payload.clone(), until));
        let bytes = payload.len() as u64;
        self.down(
            Down::Message {
                topic: "booth/1/hub/state".into(),
                payload,
            },
            bytes,
        );
    }

    pub(super) fn broker_gives_up(&mut self, connection: u64) {
        if self.broker.booth == Some(connection) && self.booth_is_silent() {
            self.broker_loses_booth(true);
        }
    }

    /// Whether nothing of the booth has come for long.
    fn booth_is_silent(&self) -> bool {
        let is_there = self.process.as_ref().is_some_and(|process| {
            Some((self.life << 20) | process.link.connection) == self.broker.booth
                && process.link.is_ready()
        });
        !is_there || self.net.hole_until > self.now
    }

    fn broker_loses_booth(&mut self, with_will: bool) {
        if self.broker.booth.take().is_some() && with_will {
            self.broker.will_due = Some(self.now + WILL_DELAY);
            self.at(self.now + WILL_DELAY, Event::Will);
        }
    }

    pub(super) fn will_is_due(&mut self) {
        if self.broker.will_due.is_some_and(|due| due <= self.now)
            && self.broker.booth.is_none()
            && let Some(will) = self.broker.will.take()
        {
            self.broker.will_due = None;
            let topic = OWN_STATE.to_owned();
            self.broker.retained.insert(topic.clone(), will.clone());
            if self.broker.hub_is_there {
                self.for_hub(topic, will, false);
            }
        }
    }

    /// Somebody else comes with the booth's name.
    pub(super) fn taken_over(&mut self, ms: u64) {
        if self.broker.booth.is_some() {
            self.rival_in_life = Some(self.life);
            let parting = match self.plan.tells_of_take_overs {
                true => Down::TakenOver,
                false => Down::Closed,
            };
            self.down(parting, 4);
            self.broker.booth = None;
            self.broker.will = None;
            let says = (OWN_STATE.to_owned(), OF_ANOTHER.to_vec());
            self.broker.retained.extend([says]);
        }
        self.say(|| format!("another machine takes the booth's name for {ms} ms"));
    }

    pub(super) fn broker_stops(&mut self, ms: u64, is_persistent: bool) {
        self.say(|| format!("the broker restarts ({is_persistent}), away for {ms} ms"));
        self.broker.is_up = false;
        self.broker.booth = None;
        self.broker.will = None;
        self.broker.hub_is_there = false;
        self.broker.hub_queue.clear();
        if !is_persistent {
            self.broker.hub_state = None;
            self.broker.retained.clear();
        }
        self.link_lost(&Lost::BrokerStopped);
        self.hub_loses_broker();
        self.at(self.now + ms, Event::BrokerStarts);
    }

    /// What a hub gets that subscribes.
    pub(super) fn retained_for_hub(&mut self) {
        if !self.plan.keeps_for_wildcards {
            return;
        }
        for (topic, payload) in self.broker.retained.clone() {
            self.for_hub(topic, payload, true);
        }
    }
}
