//! Which senders the hub does not listen to for a while, because they flood it and nobody else could be heard.
//!
//! Owns: who is shut out and for how long, and which subscriptions follow from that. Pure: time is an input. Never does: send
//! anything, or judge what is too much ([`super::intake`] does).
//!
//! All senders share one queue at the broker. A sender that publishes faster than the hub acknowledges fills it, and the broker
//! then drops what exceeds the queue, whichever sender it is from. MQTT has no filter for "all but one": while a sender is shut
//! out, the hub subscribes to each other sender that it knows by name. New senders are heard again when that is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::intake::{MOST_SENDERS, QUIET};
use booth_contract::Topics;
use booth_contract::time::Mono;

/// How long a sender is shut out for the first time. The time doubles with each repetition.
const FIRST: Duration = Duration::from_secs(60);
/// The longest time that a sender is shut out, and therefore the longest that a new booth waits to be heard.
const LONGEST: Duration = Duration::from_secs(600);

/// A change of the hub's subscriptions. Carried out in their order, the changes miss no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Subscribe to everybody, and have the broker send its retained messages: a sender may be new.
    Everybody,
    /// Subscribe to these filters.
    Listen(Vec<String>),
    /// Unsubscribe from this filter.
    Leave(String),
}

#[derive(Debug)]
struct Out {
    /// When the hub listens to this sender again; `None` while it listens.
    until: Option<Mono>,
    /// When the sender was shut out last, and for how long.
    since: Mono,
    span: Duration,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Fence {
    topics: Topics,
    known: BTreeSet<String>,
    outs: BTreeMap<String, Out>,
    /// The filters that the connection is subscribed to instead of everybody.
    listening: Option<BTreeSet<String>>,
}

impl Fence {
    /// A fence that shuts nobody out and knows these senders.
    pub fn new(topics: Topics, known: impl IntoIterator<Item = String>) -> Self {
        Self {
            topics,
            known: known.into_iter().take(MOST_SENDERS).collect(),
            outs: BTreeMap::new(),
            listening: None,
        }
    }

    /// Remembers a sender that was heard.
    pub fn know(&mut self, sender: &str) {
        if !self.known.contains(sender) && self.known.len() < MOST_SENDERS {
            self.known.insert(sender.to_owned());
        }
    }

    /// A new connection: it is subscribed to everybody.
    pub fn connected(&mut self, now: Mono) -> Vec<Ask> {
        self.listening = None;
        self.follow(now)
    }

    /// Shuts `sender` out; answers for how long, or `None` if it was shut out already.
    pub fn shut(&mut self, now: Mono, sender: &str) -> Option<Duration> {
        let before = self.outs.get(sender);
        if sender.is_empty() || before.is_some_and(|out| out.until.is_some()) {
            return None;
        }
        let span = before.map_or(FIRST, |out| (out.span * 2).min(LONGEST));
        let out = Out {
            until: Some(now + span),
            since: now,
            span,
        };
        self.outs.insert(sender.to_owned(), out);
        Some(span)
    }

    /// The subscriptions that are due.
    pub fn follow(&mut self, now: Mono) -> Vec<Ask> {
        for out in self.outs.values_mut() {
            out.until = out.until.filter(|until| now < *until);
        }
        self.outs
            .retain(|_, out| out.until.is_some() || now.since(out.since) < QUIET);
        let is_out = |sender: &String| self.outs.get(sender).is_some_and(|out| out.until.is_some());
        let wanted = self.outs.values().any(|out| out.until.is_some()).then(|| {
            let known = self.known.iter().filter(|sender| !is_out(sender));
            known.cloned().collect::<BTreeSet<String>>()
        });
        let filter = |sender: &String| self.topics.sender_filter(sender);
        let asks = match (&self.listening, &wanted) {
            (None, None) => Vec::new(),
            (None, Some(wanted)) => vec![
                Ask::Listen(wanted.iter().map(filter).collect()),
                Ask::Leave(self.topics.hub_filter()),
            ],
            (Some(now), None) => {
                let leave = now.iter().map(filter).map(Ask::Leave);
                std::iter::once(Ask::Everybody).chain(leave).collect()
            }
            (Some(now), Some(wanted)) => {
                let listen: Vec<_> = wanted.difference(now).map(filter).collect();
                let leave = now.difference(wanted).map(filter).map(Ask::Leave);
                let listen = (!listen.is_empty()).then_some(Ask::Listen(listen));
                listen.into_iter().chain(leave).collect()
            }
        };
        self.listening = wanted;
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1000;

    fn fence(known: &[&str]) -> Fence {
        Fence::new(
            Topics::new("booth/1"),
            known.iter().map(|id| (*id).to_owned()),
        )
    }

    fn listen(senders: &[&str]) -> Ask {
        Ask::Listen(senders.iter().map(|id| filter(id)).collect())
    }

    fn filter(sender: &str) -> String {
        format!("booth/1/up/{sender}/#")
    }

    #[test]
    fn whoever_is_shut_out_is_left_and_the_others_are_listened_to_first() {
        let mut fence = fence(&["calm-1", "loud-1"]);
        fence.know("calm-2");
        assert_eq!(fence.follow(Mono(0)), []);
        assert_eq!(fence.shut(Mono(0), "loud-1"), Some(FIRST));
        let everybody = "booth/1/up/+/#".to_owned();
        assert_eq!(
            fence.follow(Mono(0)),
            [listen(&["calm-1", "calm-2"]), Ask::Leave(everybody)]
        );
        assert_eq!(fence.shut(Mono(1), "loud-1"), None, "what is on its way");
        assert_eq!(fence.follow(Mono(1)), [], "once");
        // A second sender is shut out, and then a third that had not been heard.
        assert!(fence.shut(Mono(30 * SECOND), "calm-2").is_some());
        assert!(fence.shut(Mono(30 * SECOND), "new-1").is_some());
        assert_eq!(
            fence.follow(Mono(30 * SECOND)),
            [Ask::Leave(filter("calm-2"))]
        );
        assert_eq!(fence.follow(Mono(59 * SECOND)), []);
        assert_eq!(fence.follow(Mono(60 * SECOND)), [listen(&["loud-1"])]);
        assert_eq!(
            fence.follow(Mono(90 * SECOND)),
            [
                Ask::Everybody,
                Ask::Leave(filter("calm-1")),
                Ask::Leave(filter("loud-1"))
            ]
        );
        assert_eq!(fence.follow(Mono(91 * SECOND)), []);
    }

    #[test]
    fn the_pause_doubles_up_to_ten_minutes_and_begins_anew_after_a_quiet_day() {
        let mut fence = fence(&[]);
        let mut now = Mono(0);
        let spans: Vec<u64> = (0..6)
            .map(|_| {
                let span = fence.shut(now, "loud-1").expect("heard before");
                fence.follow(now);
                now = now + span;
                fence.follow(now);
                span.as_secs()
            })
            .collect();
        assert_eq!(spans, [60, 120, 240, 480, 600, 600]);
        now = now + QUIET;
        fence.follow(now);
        assert_eq!(fence.shut(now, "loud-1"), Some(FIRST));
    }

    #[test]
    fn a_new_connection_hears_everybody_until_it_is_told_who_is_out() {
        let mut fence = fence(&["calm-1"]);
        assert_eq!(fence.connected(Mono(0)), []);
        fence.shut(Mono(0), "loud-1");
        let asks = fence.follow(Mono(0));
        assert_eq!(fence.connected(Mono(1)), asks);
    }

    #[test]
    fn who_is_known_by_name_is_bounded_and_nobody_without_a_name_is_shut_out() {
        let mut fence = fence(&[]);
        for n in 0..2 * MOST_SENDERS {
            fence.know(&format!("booth-{n}"));
        }
        assert_eq!(fence.known.len(), MOST_SENDERS);
        assert_eq!(fence.shut(Mono(0), ""), None);
    }
}
