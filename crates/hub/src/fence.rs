//! To which senders a link listens: all of them, or those that a worker has leased, without those that flood it so that nobody else could be heard.
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

/// What a link takes in of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// All that it says.
    Everything,
    /// What it says of itself, and which clips it has: workers take in what citizens said, at booths that were heard.
    Reports,
    /// What citizens said there, of the senders that this worker has leased alone.
    Words,
}

/// A change of the hub's subscriptions. Carried out in their order, the changes miss no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Subscribe to everybody with these filters, and have the broker send its retained messages: a sender may be new.
    Everybody(Vec<String>),
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
    hears: Hears,
    /// The senders that have been heard; for a worker, those that it has leased.
    known: BTreeSet<String>,
    outs: BTreeMap<String, Out>,
    /// The filters that the connection is subscribed to instead of everybody.
    listening: Option<BTreeSet<String>>,
}

impl Fence {
    /// A fence that shuts nobody out and knows these senders.
    pub fn new(topics: Topics, hears: Hears, known: impl IntoIterator<Item = String>) -> Self {
        Self {
            topics,
            hears,
            known: known.into_iter().take(MOST_SENDERS).collect(),
            outs: BTreeMap::new(),
            listening: None,
        }
    }

    /// Remembers a sender that was heard. A worker knows those that it has leased, and no other.
    pub fn know(&mut self, sender: &str) {
        let is_new = self.hears != Hears::Words && !self.known.contains(sender);
        if is_new && self.known.len() < MOST_SENDERS {
            self.known.insert(sender.to_owned());
        }
    }

    /// These are the senders that a worker has leased now.
    pub fn lease(&mut self, leased: BTreeSet<String>) {
        self.known = leased;
    }

    /// The filters with which a connection begins: everybody's, or none for a worker.
    pub fn at_first(&self) -> Vec<String> {
        match self.hears {
            Hears::Words => Vec::new(),
            _ => self.filters("+"),
        }
    }

    /// A new connection: it is subscribed to [`Self::at_first`].
    pub fn connected(&mut self, now: Mono) -> Vec<Ask> {
        self.listening = (self.hears == Hears::Words).then(BTreeSet::new);
        self.follow(now)
    }

    /// What is subscribed to of one sender, `+` for everybody.
    fn filters(&self, sender: &str) -> Vec<String> {
        match self.hears {
            Hears::Everything => vec![self.topics.sender_filter(sender)],
            Hears::Reports => {
                let mut filters = self.topics.report_filters(sender);
                filters.push(self.topics.clip_filter(sender));
                filters
            }
            Hears::Words => self.topics.word_filters(sender),
        }
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
        let is_by_name =
            self.hears == Hears::Words || self.outs.values().any(|out| out.until.is_some());
        let wanted = is_by_name.then(|| {
            let known = self.known.iter().filter(|sender| !is_out(sender));
            known.cloned().collect::<BTreeSet<String>>()
        });
        let listen_to = |senders: &mut dyn Iterator<Item = &String>| {
            let filters: Vec<String> = senders.flat_map(|sender| self.filters(sender)).collect();
            (!filters.is_empty()).then_some(Ask::Listen(filters))
        };
        let leave = |sender: &str| self.filters(sender).into_iter().map(Ask::Leave);
        let asks = match (&self.listening, &wanted) {
            (None, None) => Vec::new(),
            (None, Some(wanted)) => {
                let listen = listen_to(&mut wanted.iter());
                listen.into_iter().chain(leave("+")).collect()
            }
            (Some(now), None) => {
                let everybody = Ask::Everybody(self.filters("+"));
                let leave = now.iter().flat_map(|sender| leave(sender));
                std::iter::once(everybody).chain(leave).collect()
            }
            (Some(now), Some(wanted)) => {
                let listen = listen_to(&mut wanted.difference(now));
                let leave = now.difference(wanted).flat_map(|sender| leave(sender));
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
        fence_that(Hears::Everything, known)
    }

    fn fence_that(hears: Hears, known: &[&str]) -> Fence {
        Fence::new(
            Topics::new("booth/1"),
            hears,
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
                Ask::Everybody(vec!["booth/1/up/+/#".to_owned()]),
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
    fn a_worker_listens_to_what_citizens_said_at_its_own_booths_and_to_nothing_else() {
        let leased = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let words = |sender: &str| Topics::new("booth/1").word_filters(sender);
        let mut fence = fence_that(Hears::Words, &[]);
        assert!(fence.at_first().is_empty());
        assert_eq!(fence.connected(Mono(0)), [], "it has leased none");
        fence.know("stranger-1");
        assert_eq!(fence.follow(Mono(1)), []);
        fence.lease(leased(&["a-1", "b-1"]));
        let both = [words("a-1"), words("b-1")].concat();
        assert_eq!(fence.follow(Mono(2)), [Ask::Listen(both.clone())]);
        assert_eq!(fence.follow(Mono(3)), []);
        // A new connection has no subscriptions yet.
        assert_eq!(fence.connected(Mono(4)), [Ask::Listen(both)]);
        // One goes to another worker; one that floods is left for a while, and listened to again.
        fence.lease(leased(&["b-1", "c-1"]));
        let left: Vec<Ask> = words("a-1").into_iter().map(Ask::Leave).collect();
        let change = [vec![Ask::Listen(words("c-1"))], left].concat();
        assert_eq!(fence.follow(Mono(5)), change);
        assert_eq!(fence.shut(Mono(5), "b-1"), Some(FIRST));
        let left: Vec<Ask> = words("b-1").into_iter().map(Ask::Leave).collect();
        assert_eq!(fence.follow(Mono(5)), left);
        assert_eq!(fence.follow(Mono(5) + FIRST), [Ask::Listen(words("b-1"))]);
    }

    #[test]
    fn a_centre_with_workers_listens_to_what_booths_say_of_themselves_also_by_name() {
        let reports = |sender: &str| {
            let topics = Topics::new("booth/1");
            [
                topics.report_filters(sender),
                vec![topics.clip_filter(sender)],
            ]
            .concat()
        };
        let mut fence = fence_that(Hears::Reports, &["calm-1", "loud-1"]);
        assert_eq!(fence.at_first(), reports("+"));
        assert_eq!(fence.connected(Mono(0)), []);
        fence.shut(Mono(0), "loud-1");
        let left: Vec<Ask> = reports("+").into_iter().map(Ask::Leave).collect();
        let change = [vec![Ask::Listen(reports("calm-1"))], left].concat();
        assert_eq!(fence.follow(Mono(0)), change);
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
