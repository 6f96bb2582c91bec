//! The hub's link to the broker.
//!
//! Owns: the connection and its recovery, the subscription, the hub's presence in `{root}/hub/state`, and when reading stops: while
//! [`Intake`] is full. Never does: decide what an answer is, whose message is next, or touch the store. Every connection starts
//! clean, with its own event loop; messages that the broker held for the connection before are sent again by the booths.
//!
//! A message is acknowledged (PUBACK) as soon as it has its place here or is refused. If it were acknowledged only when stored, one
//! sender's messages would take the whole Receive Maximum, and everybody else's would wait behind them at the broker.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{
    LastWill, Packet, Publish, PublishProperties, RetainForwardRule, SubscribeFilter,
};
use rumqttc::{AsyncClient, Event, EventLoop, Outgoing, PublishOptions};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::complaints;
use super::fence::{Ask, Fence};
use super::ingest::{Answer, shortened};
use super::intake::{Came, Intake, Tell};
use super::login::{RECEIVE_MAXIMUM, terms};
use super::presence::{About, Kin};
use super::store::{self, BrokerStatus};
use super::worker::{Job, MAX_WAITING, Outcome};
use booth_contract::time::rfc3339;
use booth_contract::{HubState, Topic, Topics};
use booth_host::clock;
use booth_host::link::back_off::BackOff;
use booth_host::link::login::{Login, leave};
use booth_host::link::route::Unlucky;
use booth_host::link::trouble::{self, Trouble, What};
use booth_host::link::wire::Line;

/// Most filters in one SUBSCRIBE.
const MOST_FILTERS: usize = 64;
/// Requests that may wait in the client; further ones wait in the session's outbox.
const MAX_REQUESTS: usize = RECEIVE_MAXIMUM as usize;
/// Most messages that the store has at a time: one batch at work, and half of the next one. The others wait in the intake, by
/// sender. The difference to the store's limit keeps a place for the link's own questions.
const MOST_AT_STORE: usize = MAX_WAITING - 64;
/// Most reports of the store that are handled before anything else is looked at.
const MOST_REPORTS: usize = 64;
/// Most packets that are handled in a row before anything else is looked at: waiting for many things costs more than most messages.
const MOST_IN_A_ROW: u32 = 64;
/// The hub's presence is published again this often, and expires after three times that (contract §3).
const PRESENCE_EVERY: Duration = Duration::from_secs(60);
const PRESENCE_EXPIRY_S: u32 = 180;
/// A clean stop takes at most this long.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause of a hub whose connection another hub took over. The pause starts at three minutes and doubles: each time that
/// one of two hubs comes back, every booth introduces itself anew.
const LONGEST_STEP_BACK: Duration = Duration::from_secs(3600);
/// A connection that lasted this long ends the warning of another hub: the other hub would have come back by then.
const SETTLED: Duration = Duration::from_secs(2 * 3600);

/// The task that keeps the hub connected.
pub struct Link {
    /// The broker, and the names to log in with.
    pub login: Login,
    /// Topic root.
    pub topics: Topics,
    /// What the hub says of itself.
    pub about: About,
    /// The store's folder, where `booth-hub forget` leaves a note.
    pub dir: PathBuf,
    /// Messages that came and have not gone to the store yet.
    pub intake: Intake,
    /// Senders that the hub does not listen to.
    pub fence: Fence,
    /// The way to the store's thread.
    pub jobs: SyncSender<Job>,
    /// Jobs that the store has not reported yet.
    pub at_store: usize,
    /// The reports of the store's thread.
    pub outcomes: UnboundedReceiver<Outcome>,
    /// What the pages show of the link.
    pub status: Arc<Mutex<BrokerStatus>>,
    /// Called when both this loop and the store's thread have just shown that they work.
    pub alive: Box<dyn FnMut()>,
    /// Becomes true when the hub is to stop.
    pub stop: watch::Receiver<bool>,
    /// Counts the connections.
    pub connection: u64,
    /// What the link has learned of its broker.
    pub learned: Learned,
}

/// What a link has learned of its broker, over all its connections.
#[derive(Debug, Default)]
pub struct Learned {
    unlucky: Unlucky,
    /// The broker has accepted the hub's presence: what is retained there since then is this hub's or another hub's.
    is_introduced: bool,
    /// The connection before ended without a reason: there may be another hub.
    suspects: bool,
    /// How often another hub has taken the connection over.
    rivals: u32,
    /// The other hub, as it calls itself.
    other: Option<String>,
    /// The broker refuses the hub a subscription to one sender by its name, but allows one to everybody.
    knows_no_names: bool,
}

/// Why the hub's own state is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    No,
    /// To report which other hub is there.
    Who,
    /// To give way to another hub that is there.
    WhetherAnother,
}

/// Why a connection ended.
enum Ended {
    /// On request.
    Stopped,
    /// By a fault; with the time since when the connection had been online, if it had.
    Failed(Fault, Option<Instant>),
}

/// What ends a connection.
enum Fault {
    /// The broker, or the way to it.
    Broker(Box<Trouble>),
    /// Something in the hub itself.
    Own(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Own(why)
    }
}

/// What a connection has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Subscribing,
    /// Waiting for what is retained as the hub's state.
    Asking,
    Probing,
    Online,
    /// Waiting for the store's last answers.
    Finishing,
    /// `lost` was published.
    Leaving,
}

impl Link {
    /// Stays connected until it is asked to stop.
    pub async fn run(mut self) {
        let mut back_off = BackOff::default();
        loop {
            match self.connected().await {
                Ended::Stopped => return,
                Ended::Failed(fault, stood_since) => {
                    let (mut why, is_rival) = match &fault {
                        // `booth-hub forget` took the connection: it is no other hub.
                        Fault::Broker(trouble)
                            if trouble.is_rival() && store::is_forgetting(&self.dir) =>
                        {
                            ("booth-hub forget has the connection".to_owned(), false)
                        }
                        Fault::Broker(trouble) => (trouble.to_string(), trouble.is_rival()),
                        Fault::Own(why) => (why.clone(), false),
                    };
                    let stood = stood_since.map_or(Duration::ZERO, |since| since.elapsed());
                    let mut pause = back_off.after(stood, is_rival);
                    if is_rival {
                        pause = step_back(pause, self.learned.rivals);
                        why += &format!("; this hub steps back for {} s", pause.as_secs());
                        self.note_rival();
                    }
                    self.say(false, why);
                    if self.pause(pause).await {
                        return;
                    }
                }
            }
        }
    }

    /// Shows the status on the pages and logs it.
    fn say(&mut self, connected: bool, detail: String) {
        if connected {
            log::info!(over = "broker"; "{detail}");
        } else {
            log::warn!(fault = "broker"; "{detail}; trying again");
        }
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.connected = connected;
        status.detail = detail;
    }

    /// Another hub uses the identity: the pages show it until a connection has lasted.
    fn note_rival(&mut self) {
        self.learned.rivals += 1;
        self.show_rival();
    }

    /// Another hub has said which it is.
    fn note_other(&mut self, other: String) {
        if self.learned.other.as_ref() != Some(&other) {
            log::warn!(
                about = "another hub";
                "another hub uses this one's client id {:?}: {other} (machine, store, process, start in ms)",
                self.login.client_id
            );
            self.learned.other = Some(other);
        }
        self.show_rival();
    }

    fn show_rival(&mut self) {
        let times = match self.learned.rivals {
            // The other hub had the connection when this one came.
            0 => "has had the broker's connection and did not say goodbye, seen".to_owned(),
            1 => "took the broker's connection over once, last".to_owned(),
            times => format!("took the broker's connection over {times} times, last"),
        };
        let who = match &self.learned.other {
            Some(other) => format!(", {other} (machine, store, process, start in ms),"),
            None => String::new(),
        };
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.rival = Some(format!(
            "Another hub with the client id {:?}{who} {times} at {}: clips go to whichever is connected. \
             Stop one of the two, or give it a [mqtt] client_id, a root and booths of its own.",
            self.login.client_id,
            rfc3339(clock::wall())
        ));
    }

    /// A connection that has lasted long enough shows that no other hub wants it.
    fn settle(&mut self, online_since: Option<Instant>) {
        let has_other = self.learned.rivals > 0 || self.learned.other.is_some();
        if has_other && online_since.is_some_and(|since| since.elapsed() >= SETTLED) {
            self.learned.rivals = 0;
            self.learned.other = None;
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.rival = None;
        }
    }

    /// Waits between two connections; answers whether the hub is to stop. Meanwhile the store is still asked whether it lives.
    async fn pause(&mut self, how_long: Duration) -> bool {
        let mut over = pin!(tokio::time::sleep_until(Instant::now() + how_long));
        let mut tick = ticking();
        let mut stop = self.stop.clone();
        loop {
            tokio::select! {
                () = &mut over => return *self.stop.borrow(),
                () = told(&mut stop) => return true,
                _ = tick.tick() => self.tick(),
                outcome = self.outcomes.recv() => match outcome {
                    Some(outcome) => {
                        // The answer belongs to the last connection: the booth will ask again.
                        self.reported(&outcome);
                    }
                    None => return true,
                },
            }
        }
    }

    /// Counts one report of the store.
    fn reported(&mut self, outcome: &Outcome) {
        self.at_store = self.at_store.saturating_sub(outcome.jobs());
        if let Outcome::Ticked { is_tight } = outcome {
            self.intake.note_room(*is_tight);
            (self.alive)();
        }
    }

    /// Whether every message that came has been answered.
    fn is_done(&self) -> bool {
        self.at_store == 0 && self.intake.is_done()
    }

    /// Hands the store the next messages.
    fn feed(&mut self) -> Result<(), Fault> {
        while self.at_store < MOST_AT_STORE {
            let Some(message) = self.intake.pop(clock::mono()) else {
                break;
            };
            self.hand_over(Job::Message(message))?;
        }
        Ok(())
    }

    fn hand_over(&mut self, job: Job) -> Result<(), Fault> {
        // There is always a place for the job, as long as the thread lives.
        let handed = self.jobs.try_send(job);
        handed.map_err(|_| Fault::Own("the store's thread ended".into()))?;
        self.at_store += 1;
        Ok(())
    }

    /// Once a second: asks whether the store lives, and reports senders that exceed their budgets. While the store has so many jobs
    /// that there is no place for the question, their reports prove that it lives.
    fn tick(&mut self) {
        let Tell { over, dropped } = self.intake.tick(clock::mono());
        if dropped > 0 {
            log::warn!(
                about = "dropped";
                "{dropped} messages of QoS 0 were dropped: too much waits for the store"
            );
        }
        let over = over.into_iter().map(|over| {
            let (sender, times, why) = (shortened(&over.sender), over.times, &over.why);
            complaints::note(
                &format!("{sender} budget"),
                &format!("{times} messages from {sender} were dropped: {why}; look at this sender"),
            );
            Job::Over(over)
        });
        for job in over.chain([Job::Tick]) {
            if self.jobs.try_send(job).is_ok() {
                self.at_store += 1;
            }
        }
    }

    /// Shuts out senders that flood the hub, and makes the changes of the subscriptions that are due.
    fn fence(&mut self, session: &mut Session) {
        if self.learned.knows_no_names {
            // At such a broker nobody can be shut out.
            self.intake.floods();
            return;
        }
        if session.phase != Phase::Online {
            return;
        }
        let now = clock::mono();
        for sender in self.intake.floods() {
            let Some(span) = self.fence.shut(now, &sender) else {
                continue;
            };
            let seconds = span.as_secs();
            complaints::note(
                &format!("{sender} flood"),
                &format!(
                    "{} floods the hub, which does not listen to it for {seconds} s; look at this sender",
                    shortened(&sender)
                ),
            );
        }
        session.ask(self.fence.follow(now));
    }

    /// One connection, from CONNECT to its end.
    async fn connected(&mut self) -> Ended {
        self.connection += 1;
        let will = LastWill::new(
            self.topics.name(&Topic::HubState),
            self.about.lost(None),
            QoS::AtLeastOnce,
            true,
            None,
        );
        let terms = terms(MAX_REQUESTS, true, Some(will));
        let (client, events, line) = self.login.client(terms, &self.learned.unlucky);
        let mut session = Session {
            client,
            line: line.clone(),
            login: self.login.clone(),
            topics: self.topics.clone(),
            own_state: self.topics.name(&Topic::HubState),
            about: self.about.clone(),
            connection: self.connection,
            phase: Phase::Connecting,
            asks: match self.learned.suspects && self.learned.is_introduced {
                true => Asks::WhetherAnother,
                false if self.learned.rivals > 0 || self.connection == 1 => Asks::Who,
                false => Asks::No,
            },
            other: None,
            is_introduced: self.learned.is_introduced,
            is_holding: false,
            acking: HashSet::new(),
            outbox: VecDeque::new(),
            knows_no_names: false,
            said: 0,
            heard: 0,
        };
        let mut online_since = None;
        let ended = self.attend(&mut session, events, &mut online_since).await;
        self.learned.is_introduced = session.is_introduced;
        if let Some(address) = line.address() {
            let has_answered = line.connack().is_some();
            self.learned.unlucky.note(address, has_answered);
        }
        match ended {
            Ok(()) => Ended::Stopped,
            Err(fault) => {
                self.learned.suspects =
                    matches!(&fault, Fault::Broker(trouble) if trouble.is_wordless());
                Ended::Failed(fault, online_since)
            }
        }
    }

    /// Handles a connection's events; `Ok` means that it stopped on request.
    async fn attend(
        &mut self,
        session: &mut Session,
        mut events: EventLoop,
        online_since: &mut Option<Instant>,
    ) -> Result<(), Fault> {
        let mut tick = ticking();
        let mut presence_due =
            tokio::time::interval_at(Instant::now() + PRESENCE_EVERY, PRESENCE_EVERY);
        presence_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_by: Option<Instant> = None;
        let mut stop = self.stop.clone();
        let mut in_a_row = 0;
        let mut outcomes = Vec::new();
        loop {
            // The event loop's future must never be dropped half-way: it would strand a packet.
            let polled = {
                let mut poll = pin!(events.poll());
                let mut polled = match in_a_row < MOST_IN_A_ROW {
                    true => at_once(poll.as_mut()).await,
                    false => None,
                };
                loop {
                    if let Some(polled) = polled {
                        in_a_row += 1;
                        break polled;
                    }
                    in_a_row = 0;
                    let dead_at = session.line.dead_at();
                    tokio::select! {
                        biased;
                        number = self.outcomes.recv_many(&mut outcomes, MOST_REPORTS) => {
                            if number == 0 {
                                return Err(Fault::Own("the store's thread ended".into()));
                            }
                            for outcome in &outcomes {
                                self.reported(outcome);
                            }
                            for outcome in outcomes.drain(..) {
                                session.report(outcome)?;
                            }
                            self.feed()?;
                            session.hold_while_full(&self.intake);
                            session.leave_if_done(self.is_done())?;
                        }
                        _ = tick.tick() => {
                            self.tick();
                            self.fence(session);
                            self.settle(*online_since);
                            self.feed()?;
                            session.hold_while_full(&self.intake);
                            session.leave_if_done(self.is_done())?;
                        }
                        _ = presence_due.tick(), if session.phase == Phase::Online => session.say_online(),
                        () = tokio::time::sleep_until(dead_at), if session.phase != Phase::Connecting && !session.is_holding => {
                            if session.line.dead_at() <= Instant::now() {
                                return Err(session.broker(What::Dead));
                            }
                        }
                        () = told(&mut stop), if stop_by.is_none() => {
                            stop_by = Some(Instant::now() + STOP_PATIENCE);
                            if session.phase != Phase::Online {
                                return Ok(());
                            }
                            session.phase = Phase::Finishing;
                            session.leave_if_done(self.is_done())?;
                        }
                        () = tokio::time::sleep_until(stop_by.unwrap_or(dead_at)), if stop_by.is_some() => {
                            return Ok(());
                        }
                        got = &mut poll => polled = Some(got),
                    }
                    session.post();
                    if session.phase == Phase::Online && online_since.is_none() {
                        *online_since = Some(Instant::now());
                        if !self.learned.knows_no_names {
                            session.ask(self.fence.connected(clock::mono()));
                        }
                        let since = rfc3339(clock::wall());
                        let broker = &self.login.broker;
                        self.say(true, format!("connected to {broker} since {since}"));
                    }
                }
            };
            match polled {
                Ok(event) => {
                    let phase = session.phase;
                    let happened = session.event(event, &mut self.intake, &mut self.fence);
                    self.learned.knows_no_names |= session.knows_no_names;
                    // What is due by the clock alone waits for the next tick: looking at every known sender costs more than a message.
                    if self.intake.has_floods() {
                        self.fence(session);
                    }
                    if let Some(other) = session.other.take() {
                        self.note_other(other);
                    }
                    if let Err(fault) = happened {
                        // The other hub's presence must not be replaced by this one's will.
                        if matches!(&fault, Fault::Broker(trouble) if trouble.is_rival()) {
                            leave(&session.client, &mut events).await;
                        }
                        return Err(fault);
                    }
                    if session.phase == Phase::Probing && phase != Phase::Probing {
                        self.hand_over(Job::Probe(self.connection))?;
                    }
                    self.feed()?;
                    session.hold_while_full(&self.intake);
                    session.post();
                }
                Err(_) if session.phase == Phase::Leaving => return Ok(()),
                Err(error) => {
                    let trouble = Trouble::of(&self.login, &session.line, &error);
                    return Err(Fault::Broker(Box::new(trouble)));
                }
            }
        }
    }
}

/// A packet that is to be sent to the broker.
enum Say {
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
struct Session {
    client: AsyncClient,
    line: Line,
    login: Login,
    topics: Topics,
    /// The topic of the hub's own state.
    own_state: String,
    about: About,
    connection: u64,
    phase: Phase,
    /// Whether, and why, to look for another hub's presence.
    asks: Asks,
    /// The other hub, as it calls itself.
    other: Option<String>,
    is_introduced: bool,
    /// Reading is paused, because the intake is full.
    is_holding: bool,
    /// Packet ids whose PUBACK has not been written yet. If the broker sends the same id again meanwhile, a second PUBACK would be
    /// an error to the client.
    acking: HashSet<u16>,
    /// Packets that have no place in the client yet. Their number is bounded: while the client cannot write it does not read
    /// either.
    outbox: VecDeque<Say>,
    /// The broker has refused a subscription to a sender by its name.
    knows_no_names: bool,
    /// How many publishes were handed to the client, and how many of them the broker has acknowledged.
    said: u64,
    heard: u64,
}

type Step = Result<(), Fault>;

impl Session {
    fn broker(&self, what: What) -> Fault {
        Fault::Broker(Box::new(self.login.trouble(what)))
    }

    fn event(&mut self, event: Event, intake: &mut Intake, fence: &mut Fence) -> Step {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                if self
                    .line
                    .connack()
                    .is_some_and(|connack| !connack.takes_qos_1)
                {
                    return Err(self.broker(What::NoQos1));
                }
                self.phase = Phase::Subscribing;
                self.subscribe(self.topics.hub_filter())
            }
            Event::Incoming(Packet::SubAck(suback)) => self.subscribed(suback.pkid),
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

    fn subscribe(&self, filter: String) -> Step {
        let asked = self.client.try_subscribe(filter, QoS::AtLeastOnce);
        asked.map_err(|_| "the subscription could not be asked for".to_owned().into())
    }

    fn subscribed(&mut self, packet_id: u16) -> Step {
        let answer = self.line.answer(packet_id).unwrap_or_default();
        let is_refused = answer.codes.iter().any(|code| *code >= 0x80);
        match self.phase {
            Phase::Subscribing if is_refused => {
                let filter = self.topics.hub_filter();
                return Err(self.broker(What::NotSubscribed { filter, answer }));
            }
            Phase::Subscribing if self.asks != Asks::No => {
                self.phase = Phase::Asking;
                return self.subscribe(self.own_state.clone());
            }
            Phase::Subscribing | Phase::Asking => self.phase = Phase::Probing,
            // At this broker a sender that floods cannot be shut out; the hub subscribes to everybody again.
            _ if is_refused && !self.knows_no_names => {
                self.knows_no_names = true;
                log::warn!(
                    about = "refused";
                    "the broker lets the hub subscribe to no booth by its name ({}): give the hub's user the role of docs/mosquitto.acl",
                    trouble::answered(&answer)
                );
                self.ask(vec![Ask::Everybody]);
            }
            _ => {}
        }
        Ok(())
    }

    /// Queues changes of the subscriptions, in their order.
    fn ask(&mut self, asks: Vec<Ask>) {
        for ask in asks {
            match ask {
                Ask::Everybody => {
                    let all = vec![self.topics.hub_filter()];
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
        let state: Option<HubState> = serde_json::from_slice(&publish.payload).ok();
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
        // A message without a place was counted and will be reported by the intake.
        if intake.push(clock::mono(), came)
            && let Some((sender, _)) = self.topics.came_up(&topic)
        {
            fence.know(sender);
        }
        self.acknowledge(publish.pkid);
        Ok(())
    }

    /// Backpressure: messages that are not read wait at the broker.
    fn hold_while_full(&mut self, intake: &Intake) {
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
    fn report(&mut self, outcome: Outcome) -> Step {
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
    fn post(&mut self) {
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
        Ok(())
    }

    fn say_online(&mut self) {
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
    fn leave_if_done(&mut self, is_done: bool) -> Step {
        if self.phase == Phase::Finishing && is_done {
            self.phase = Phase::Leaving;
            // The contract has only this word for a hub that is not there.
            let lost = self.about.lost(Some(clock::wall()));
            self.publish(&Topic::HubState, lost, self.retained());
            return Ok(());
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

/// The result of this future, if it is ready without waiting.
async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// The pause of a hub whose connection was taken over so often before.
fn step_back(first: Duration, times: u32) -> Duration {
    first
        .saturating_mul(1 << times.min(8))
        .min(LONGEST_STEP_BACK)
}

/// Resolves when the hub is to stop; a sender that is gone means the same.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn ticking() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_hubs_the_one_that_is_taken_over_again_and_again_stays_away_for_up_to_an_hour() {
        let first = Duration::from_secs(180);
        let minutes: Vec<u64> = (0..8)
            .map(|times| step_back(first, times).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [3, 6, 12, 24, 48, 60, 60, 60]);
        assert_eq!(step_back(first, u32::MAX), LONGEST_STEP_BACK);
        assert!(
            SETTLED > LONGEST_STEP_BACK,
            "peace is longer than the pause"
        );
    }
}
