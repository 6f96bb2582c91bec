//! Messages that wait for the broker, between the loop and the connection.
//!
//! Owns: how many messages of each kind may wait, and which one gives way. Never does: send, or keep anything for the next
//! connection. A statement (retained) waits once for each topic, and a later one replaces it; of events and answers the
//! oldest gives way; an answer that only says *not now* is not taken while many wait; a clip's message is never dropped,
//! because delivery has no more than its window on the way. What is to be subscribed to is a whole set, and the latest counts.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Most statements that wait: more topics than a booth has.
pub const MOST_STATEMENTS: usize = 128;
/// Most events.
pub const MOST_EVENTS: usize = 64;
/// Most answers to commands.
pub const MOST_ANSWERS: usize = 64;
/// While this many answers wait, further refusals are dropped.
pub const MOST_REFUSALS: usize = 32;
/// Most messages of clips; delivery has fewer than this on the way.
pub const MOST_OF_CLIPS: usize = 16;
/// For so many messages there is room at any time.
const FEW: usize = 4;

/// One message to publish, QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Returned with its PUBACK.
    pub token: u64,
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Retained.
    pub retain: bool,
    /// Message Expiry Interval, seconds.
    pub expiry_s: Option<u32>,
    /// Correlation Data of the command that this answers (MQTT 5 §3.3.2.3.6).
    pub correlation: Option<Vec<u8>>,
    /// What it is, which decides how it waits.
    pub kind: Kind,
}

/// How a message waits for its turn (see the top of this file). Health and alerts never wait behind audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Retained: the latest of its topic counts.
    Statement,
    /// Something that happened.
    Event,
    /// The answer to a command.
    Answer,
    /// The answer to a command that is not carried out.
    Refusal,
    /// A message of a clip.
    Clip,
}

/// What the connection is instructed to do.
#[derive(Debug)]
pub enum MqttCommand {
    /// Publish this.
    Publish(Outbound),
    /// Be subscribed to exactly these topics of prompts.
    Fetch(BTreeSet<String>),
    /// End this connection politely: another device uses this client's id. The evidence, in words.
    StepBack(String),
    /// Connect again after a pause.
    ConnectAgain {
        /// After the long one: another device uses this client's id.
        steps_back: bool,
    },
    /// Publish these, disconnect cleanly and end.
    Stop(Vec<Outbound>),
}

#[derive(Debug, Default)]
struct Waiting {
    /// All messages except those of clips, in their order.
    telegrams: VecDeque<Outbound>,
    clips: VecDeque<Outbound>,
    /// What is to be subscribed to, if that has changed.
    fetched: Option<BTreeSet<String>>,
    steps_back_from: Option<String>,
    /// The connection that is lost is to be made again; whether after the long pause.
    again: Option<bool>,
    last_words: Option<Vec<Outbound>>,
}

impl Waiting {
    fn count(&self, kinds: &[Kind]) -> usize {
        let of_them = |message: &&Outbound| kinds.contains(&message.kind);
        self.telegrams.iter().filter(of_them).count()
    }

    fn drop_oldest(&mut self, kinds: &[Kind]) -> Option<GaveWay> {
        let is_one = |message: &Outbound| kinds.contains(&message.kind);
        let at = self.telegrams.iter().position(is_one)?;
        self.telegrams.remove(at).map(GaveWay::Lost)
    }
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Notify,
    is_abandoned: AtomicBool,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The loop's side. When it is dropped the connection ends.
#[derive(Debug)]
pub struct Outbox(Arc<Shared>);

/// The connection's side.
#[derive(Debug)]
pub struct Outlet(Arc<Shared>);

/// A message that will never leave, because of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GaveWay {
    /// A statement that was replaced by a later one on its topic.
    Replaced(Outbound),
    /// There is no room for it.
    Lost(Outbound),
}

/// Nothing waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nothing;

/// An outbox and its other side.
pub fn pair() -> (Outbox, Outlet) {
    let shared = Arc::new(Shared::default());
    (Outbox(shared.clone()), Outlet(shared))
}

const ANSWERS: [Kind; 2] = [Kind::Answer, Kind::Refusal];

impl Outbox {
    /// Lets a message wait. Returns the message that will never leave because of it: an older one, or itself.
    pub fn put(&self, message: Outbound) -> Option<GaveWay> {
        let mut waiting = self.0.waiting();
        let gives_way = match message.kind {
            Kind::Clip if waiting.clips.len() >= MOST_OF_CLIPS => {
                return Some(GaveWay::Lost(message));
            }
            Kind::Clip => {
                waiting.clips.push_back(message);
                drop(waiting);
                self.0.news.notify_one();
                return None;
            }
            Kind::Statement => {
                // The later statement goes to the end of the queue: a birth begins an introduction, and what follows a birth
                // must have been published after it.
                let same = |other: &Outbound| {
                    other.kind == Kind::Statement && other.topic == message.topic
                };
                let at = waiting.telegrams.iter().position(same);
                let replaced = at.and_then(|at| waiting.telegrams.remove(at));
                match waiting.count(&[Kind::Statement]) >= MOST_STATEMENTS {
                    true => waiting.drop_oldest(&[Kind::Statement]),
                    false => replaced.map(GaveWay::Replaced),
                }
            }
            Kind::Event => match waiting.count(&[Kind::Event]) >= MOST_EVENTS {
                true => waiting.drop_oldest(&[Kind::Event]),
                false => None,
            },
            Kind::Refusal if waiting.count(&ANSWERS) >= MOST_REFUSALS => {
                return Some(GaveWay::Lost(message));
            }
            Kind::Answer | Kind::Refusal => match waiting.count(&ANSWERS) >= MOST_ANSWERS {
                true => waiting.drop_oldest(&ANSWERS),
                false => None,
            },
        };
        waiting.telegrams.push_back(message);
        drop(waiting);
        self.0.news.notify_one();
        gives_way
    }

    /// Whether everything but the messages of clips has been taken.
    pub fn is_all_sent(&self) -> bool {
        self.0.waiting().telegrams.is_empty()
    }

    /// From now on these topics of prompts are subscribed to and no others, in this connection.
    pub fn fetch(&self, topics: BTreeSet<String>) {
        self.0.waiting().fetched = Some(topics);
        self.0.news.notify_one();
    }

    /// The connection is to end politely, for this reason.
    pub fn step_back(&self, evidence: String) {
        self.0.waiting().steps_back_from = Some(evidence);
        self.0.news.notify_one();
    }

    /// The connection that was reported as lost is to be made again.
    pub fn connect_again(&self, steps_back: bool) {
        self.0.waiting().again = Some(steps_back);
        self.0.news.notify_one();
    }

    /// Only these messages still leave; then the connection ends.
    pub fn stop(&self, last: Vec<Outbound>) {
        let mut waiting = self.0.waiting();
        *waiting = Waiting {
            last_words: Some(last),
            ..Waiting::default()
        };
        drop(waiting);
        self.0.news.notify_one();
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.is_abandoned.store(true, Ordering::Release);
        self.0.news.notify_one();
    }
}

impl Outlet {
    /// The next message: first the last ones before the end, then all others, and those of clips at the end.
    pub fn try_recv(&mut self) -> Result<MqttCommand, Nothing> {
        self.next(true).ok_or(Nothing)
    }

    fn next(&self, wants_messages: bool) -> Option<MqttCommand> {
        let mut waiting = self.0.waiting();
        if let Some(last) = waiting.last_words.take() {
            return Some(MqttCommand::Stop(last));
        }
        if let Some(evidence) = waiting.steps_back_from.take() {
            return Some(MqttCommand::StepBack(evidence));
        }
        if let Some(steps_back) = waiting.again.take() {
            return Some(MqttCommand::ConnectAgain { steps_back });
        }
        if let Some(topics) = waiting.fetched.take() {
            return Some(MqttCommand::Fetch(topics));
        }
        if !wants_messages {
            return None;
        }
        let message = waiting.telegrams.pop_front();
        if waiting.telegrams.is_empty() {
            // An introduction takes room for many statements, once in a connection.
            waiting.telegrams.shrink_to(FEW);
        }
        let message = message.or_else(|| waiting.clips.pop_front());
        message.map(MqttCommand::Publish)
    }

    /// Waits for the next command; for a message only if one is wanted, for all others in any case. `None`: there will never be another. It can be
    /// dropped safely while it waits.
    pub async fn recv(&mut self, wants_messages: bool) -> Option<MqttCommand> {
        loop {
            if let Some(command) = self.next(wants_messages) {
                return Some(command);
            }
            if self.0.is_abandoned.load(Ordering::Acquire) {
                return None;
            }
            self.0.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: Kind, topic: &str, token: u64) -> Outbound {
        Outbound {
            token,
            topic: topic.into(),
            payload: Vec::new(),
            retain: kind == Kind::Statement,
            expiry_s: None,
            correlation: None,
            kind,
        }
    }

    fn tokens(out: &mut Outlet) -> Vec<u64> {
        std::iter::from_fn(|| out.try_recv().ok())
            .map(|command| match command {
                MqttCommand::Publish(message) => message.token,
                other => panic!("only messages were put there: {other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_statement_waits_once_and_after_what_was_said_before_it() {
        let (outbox, mut out) = pair();
        for (token, topic) in [(1, "birth"), (2, "alert"), (3, "birth"), (4, "health")] {
            let gave_way = outbox.put(message(Kind::Statement, topic, token));
            let expected = (token == 3).then(|| message(Kind::Statement, "birth", 1));
            assert_eq!(gave_way, expected.map(GaveWay::Replaced));
        }
        assert!(!outbox.is_all_sent());
        assert_eq!(tokens(&mut out), [2, 3, 4]);
        assert!(outbox.is_all_sent());
    }

    #[test]
    fn a_flood_of_any_kind_waits_in_its_own_room_and_takes_nobody_elses() {
        let (outbox, mut out) = pair();
        let is_lost = |kind, token: u64| {
            let topic = format!("topic {token}");
            match outbox.put(message(kind, &topic, token)) {
                Some(GaveWay::Lost(lost)) => Some(lost.token),
                Some(GaveWay::Replaced(_)) | None => None,
            }
        };
        assert_eq!(is_lost(Kind::Answer, 1), None);
        // Refusals never push an answer out.
        let refused = (100..1_100).filter_map(|token| is_lost(Kind::Refusal, token));
        assert_eq!(refused.count(), 1_000 - (MOST_REFUSALS - 1));
        let lost: Vec<u64> = (2_000..3_000)
            .filter_map(|token| is_lost(Kind::Event, token))
            .collect();
        assert_eq!(lost, Vec::from_iter(2_000..3_000 - MOST_EVENTS as u64));
        let refused = (4_000..5_000).filter_map(|token| is_lost(Kind::Clip, token));
        assert_eq!(refused.count(), 1_000 - MOST_OF_CLIPS);
        for token in 6_000..7_000 {
            is_lost(Kind::Statement, token);
        }
        let left = tokens(&mut out);
        assert_eq!(left[0], 1);
        let most = MOST_REFUSALS + MOST_EVENTS + MOST_OF_CLIPS + MOST_STATEMENTS;
        assert_eq!(left.len(), most);
        for token in 8_000..9_000 {
            is_lost(Kind::Answer, token);
        }
        assert_eq!(tokens(&mut out).len(), MOST_ANSWERS);
    }

    #[tokio::test]
    async fn last_words_come_first_and_an_outbox_that_is_gone_ends_the_wait() {
        let (outbox, mut out) = pair();
        outbox.put(message(Kind::Event, "boot", 1));
        outbox.stop(vec![message(Kind::Statement, "state", 2)]);
        assert!(matches!(out.recv(false).await, Some(MqttCommand::Stop(last)) if last.len() == 1));
        drop(outbox);
        assert!(out.recv(true).await.is_none());
    }
}
