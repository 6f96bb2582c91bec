//! The hub's link to the broker.
//!
//! Owns: the connection and its recovery, the subscription, the hub's presence in `{root}/hub/state`, and when reading stops: while
//! [`Intake`] is full. Never does: decide what an answer is, whose message is next, or touch the store. Every connection starts
//! clean, with its own event loop; messages that the broker held for the connection before are sent again by the booths.
//!
//! A message is acknowledged (PUBACK) as soon as it has its place here or is refused. If it were acknowledged only when stored, one
//! sender's messages would take the whole Receive Maximum, and everybody else's would wait behind them at the broker.

mod session;

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::LastWill;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use self::session::Session;
use super::complaints;
use super::fence::Fence;
use super::ingest::shortened;
use super::ingest_worker::Leases;
use super::intake::{Intake, Tell};
use super::login::{RECEIVE_MAXIMUM, terms};
use super::monitoring::Meters;
use super::orders::Order;
use super::presence::About;
use super::store::{self, BrokerStatus, Message};
use super::worker::{Job, MAX_WAITING, Outcome};
use booth_contract::time::rfc3339;
use booth_contract::{Topic, Topics};
use booth_host::clock;
use booth_host::link::back_off::BackOff;
use booth_host::link::login::{Login, leave};
use booth_host::link::route::Unlucky;
use booth_host::link::trouble::{Trouble, What};
use booth_host::link::wire::Line;

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
    /// A worker's booths; without it this link is the hub's, which says that it is there.
    pub leases: Option<Arc<Leases>>,
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
    /// What operators tell the booths to do.
    pub orders: tokio::sync::mpsc::Receiver<Order>,
    /// Becomes true when the hub is to stop.
    pub stop: watch::Receiver<bool>,
    /// Counts the connections.
    pub connection: u64,
    /// What the link has learned of its broker.
    pub learned: Learned,
    /// Where what comes and goes is counted.
    pub meters: Arc<Meters>,
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
                        // `booth-hub forget` or `campaign` took the connection: it is no other hub.
                        Fault::Broker(trouble)
                            if trouble.is_rival() && store::is_forgetting(&self.dir) =>
                        {
                            (
                                "another booth-hub command has the connection".to_owned(),
                                false,
                            )
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
                () = asked_to_stop(&mut stop) => return true,
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

    /// Hands the store the next messages. What came of a booth that another worker has meanwhile is that worker's: the booth sends it again.
    fn feed(&mut self) -> Result<(), Fault> {
        while self.at_store < MOST_AT_STORE {
            let Some(message) = self.intake.pop(clock::mono()) else {
                break;
            };
            if self.is_mine(&message) {
                self.hand_over(Job::Message(message))?;
            }
        }
        Ok(())
    }

    fn is_mine(&self, message: &Message) -> bool {
        self.leases.as_ref().is_none_or(|leases| {
            let sender = self.topics.sender(&message.topic).unwrap_or_default();
            leases.has(clock::mono(), sender)
        })
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
        self.meters.waiting(self.intake.waiting(), self.at_store);
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
        if let Some(leases) = &self.leases {
            self.fence.lease(leases.held(now));
        }
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
        let will = self.leases.is_none().then(|| {
            let topic = self.topics.name(&Topic::HubState);
            LastWill::new(topic, self.about.lost(None), QoS::AtLeastOnce, true, None)
        });
        let terms = terms(MAX_REQUESTS, true, will);
        let (client, events, line) = self.login.client(terms, &self.learned.unlucky);
        let mut session = self.session(client, line.clone());
        let mut online_since = None;
        let ended = self.attend(&mut session, events, &mut online_since).await;
        if let Some(leases) = &self.leases {
            leases.online(false);
        }
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

    /// The state of a connection that begins.
    fn session(&self, client: AsyncClient, line: Line) -> Session {
        Session {
            client,
            line,
            login: self.login.clone(),
            topics: self.topics.clone(),
            own_state: self.topics.name(&Topic::HubState),
            about: self.about.clone(),
            is_introducing: self.leases.is_none(),
            connection: self.connection,
            phase: Phase::Connecting,
            asks: match self.learned.suspects && self.learned.is_introduced {
                _ if self.leases.is_some() => Asks::No,
                true => Asks::WhetherAnother,
                false
                    if self.learned.rivals > 0 || self.learned.suspects || self.connection == 1 =>
                {
                    Asks::Who
                }
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
            meters: Arc::clone(&self.meters),
        }
    }

    /// Handles a connection's events; `Ok` means that it stopped on request.
    async fn attend(
        &mut self,
        session: &mut Session,
        mut events: EventLoop,
        online_since: &mut Option<Instant>,
    ) -> Result<(), Fault> {
        let mut watch = Watch::new(self.stop.clone());
        while let Some(polled) = self
            .next_event(session, &mut events, &mut watch, online_since)
            .await?
        {
            match polled {
                Ok(event) => {
                    if let Err(fault) = self.happened(session, event) {
                        // The other hub's presence must not be replaced by this one's will.
                        if matches!(&fault, Fault::Broker(trouble) if trouble.is_rival()) {
                            leave(&session.client, &mut events).await;
                        }
                        return Err(fault);
                    }
                }
                Err(_) if session.phase == Phase::Leaving => return Ok(()),
                Err(error) => {
                    let trouble = Trouble::of(&self.login, &session.line, &error);
                    return Err(Fault::Broker(Box::new(trouble)));
                }
            }
        }
        Ok(())
    }

    /// The connection's next event; meanwhile everything else has its turn. `None` when the hub has stopped on request.
    async fn next_event(
        &mut self,
        session: &mut Session,
        events: &mut EventLoop,
        watch: &mut Watch,
        online_since: &mut Option<Instant>,
    ) -> Result<Option<Result<Event, ConnectionError>>, Fault> {
        // The event loop's future must never be dropped half-way: it would strand a packet.
        let mut poll = pin!(events.poll());
        let mut polled = match watch.in_a_row < MOST_IN_A_ROW {
            true => at_once(poll.as_mut()).await,
            false => None,
        };
        loop {
            if polled.is_some() {
                watch.in_a_row += 1;
                return Ok(polled);
            }
            watch.in_a_row = 0;
            let dead_at = session.line.dead_at();
            tokio::select! {
                biased;
                number = self.outcomes.recv_many(&mut watch.outcomes, MOST_REPORTS) => {
                    if number == 0 {
                        return Err(Fault::Own("the store's thread ended".into()));
                    }
                    for outcome in &watch.outcomes {
                        self.reported(outcome);
                    }
                    for outcome in watch.outcomes.drain(..) {
                        session.report(outcome)?;
                    }
                    self.go_on(session)?;
                }
                _ = watch.tick.tick() => {
                    self.tick();
                    self.fence(session);
                    self.settle(*online_since);
                    self.go_on(session)?;
                }
                Some(order) = self.orders.recv(), if session.phase == Phase::Online => session.order(&order),
                _ = watch.presence_due.tick(), if session.phase == Phase::Online => session.say_online(),
                () = tokio::time::sleep_until(dead_at), if session.phase != Phase::Connecting && !session.is_holding => {
                    if session.line.dead_at() <= Instant::now() {
                        return Err(session.broker(What::Dead));
                    }
                }
                () = asked_to_stop(&mut watch.stop), if watch.stop_by.is_none() => {
                    watch.stop_by = Some(Instant::now() + STOP_PATIENCE);
                    if session.phase != Phase::Online {
                        return Ok(None);
                    }
                    session.phase = Phase::Finishing;
                    session.leave_if_done(self.is_done())?;
                }
                () = tokio::time::sleep_until(watch.stop_by.unwrap_or(dead_at)), if watch.stop_by.is_some() => {
                    return Ok(None);
                }
                got = &mut poll => polled = Some(got),
            }
            session.post();
            if session.phase == Phase::Online && online_since.is_none() {
                *online_since = Some(Instant::now());
                self.came_online(session);
            }
        }
    }

    /// Hands the store what it has places for, and follows what that means for the connection.
    fn go_on(&mut self, session: &mut Session) -> Result<(), Fault> {
        self.feed()?;
        session.hold_while_full(&self.intake);
        session.leave_if_done(self.is_done())
    }

    fn came_online(&mut self, session: &mut Session) {
        if let Some(leases) = &self.leases {
            leases.online(true);
            self.fence.lease(leases.held(clock::mono()));
        }
        if !self.learned.knows_no_names {
            session.ask(self.fence.connected(clock::mono()));
        }
        let since = rfc3339(clock::wall());
        let broker = &self.login.broker;
        self.say(true, format!("connected to {broker} since {since}"));
    }

    /// One event of the connection.
    fn happened(&mut self, session: &mut Session, event: Event) -> Result<(), Fault> {
        let phase = session.phase;
        let outcome = session.event(event, &mut self.intake, &mut self.fence);
        self.learned.knows_no_names |= session.knows_no_names;
        // What is due by the clock alone waits for the next tick: looking at every known sender costs more than a message.
        if self.intake.has_floods() {
            self.fence(session);
        }
        if let Some(other) = session.other.take() {
            self.note_other(other);
        }
        outcome?;
        if session.phase == Phase::Probing && phase != Phase::Probing {
            self.hand_over(Job::Probe(self.connection))?;
        }
        self.feed()?;
        session.hold_while_full(&self.intake);
        session.post();
        Ok(())
    }
}

/// What is looked at beside the connection's events.
struct Watch {
    tick: tokio::time::Interval,
    presence_due: tokio::time::Interval,
    stop: watch::Receiver<bool>,
    /// When a stop that was asked for takes no longer.
    stop_by: Option<Instant>,
    /// How many events came one after the other.
    in_a_row: u32,
    outcomes: Vec<Outcome>,
}

impl Watch {
    fn new(stop: watch::Receiver<bool>) -> Self {
        let mut presence_due =
            tokio::time::interval_at(Instant::now() + PRESENCE_EVERY, PRESENCE_EVERY);
        presence_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            tick: ticking(),
            presence_due,
            stop,
            stop_by: None,
            in_a_row: 0,
            outcomes: Vec::new(),
        }
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
async fn asked_to_stop(stop: &mut watch::Receiver<bool>) {
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
