//! What a booth's link learns of its broker, from one connection to the next.
//!
//! Owns: limits that were found by trying, and suspicions. Never does: keep a message.
#![allow(clippy::disallowed_methods)] // how long a limit has been known

use std::time::Duration;

use booth_host::link::route::Unlucky;
use booth_host::link::trouble::{Trouble, Unanswered, What};
use tokio::time::Instant;

/// After this many closings in a row with the same message, the broker counts as one that takes no packets of its size.
const CLOSED_AFTER_IT: u32 = 3;
/// Smaller packets than this are not tried, bytes: where the broker has said that one was too large, and where that is only guessed. A broker that
/// ends connections for another reason would else cut every clip into crumbs for a day.
const SMALLEST_PACKET: u32 = 1024;
const SMALLEST_GUESS: u32 = 4096;
/// Other messages than parts of a clip are suspected only from this size on, bytes: brokers that end connections for other reasons end them after
/// a birth, too, and health and manifests are smaller than this.
const SUSPECTED_FROM: usize = 4096;
/// How long a limit of the broker holds that was found by trying.
const LIMIT_HOLDS: Duration = Duration::from_secs(24 * 3600);

/// A limit that the broker did not announce.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// Parts are no larger than this, bytes.
    parts: u32,
    /// What is as large as this is not sent, bytes: the connection ended after it.
    refused_from: usize,
    /// When it was found out.
    at: Instant,
}

/// What a link has learned of its broker, over all its connections.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) unlucky: Unlucky,
    /// The broker has answered the publish of our own state: what is retained there from now on is ours or another
    /// device's.
    pub(super) is_introduced: bool,
    /// The connection before ended without a reason, so another device may have taken it over.
    pub(super) suspects: bool,
    /// How often in a row the broker refused to let us read our own state, or ended the connection when asked.
    pub(super) may_not_ask: u32,
    /// The largest message that the broker had not answered when it closed without a reason, and how often in a row.
    pub(super) closed_after: Option<(String, u32)>,
    limit: Option<Limit>,
}

impl Learned {
    /// Learns from the end of a connection; `trouble` then names what had just been sent.
    pub(super) fn end(&mut self, trouble: &mut Trouble, owed: Option<Owed>) {
        let is_wordless = trouble.is_wordless();
        self.suspects = is_wordless;
        let Some(owed) = owed.filter(|_| is_wordless || trouble.is_too_large()) else {
            self.closed_after = None;
            return;
        };
        let largest = owed.largest;
        let times = match self.closed_after.take() {
            Some((topic, times)) if topic == largest.topic => times + 1,
            _ => 1,
        };
        let may_be_its_size = largest.is_part || largest.size >= SUSPECTED_FROM;
        if trouble.is_too_large() {
            self.find_limit(largest.size, SMALLEST_PACKET);
        } else if times >= CLOSED_AFTER_IT && may_be_its_size {
            self.find_limit(largest.size, SMALLEST_GUESS);
        }
        self.closed_after = Some((largest.topic.clone(), times));
        if is_wordless {
            let unanswered = |sent: Sent| Unanswered {
                topic: sent.topic,
                bytes: sent.bytes,
            };
            trouble.what = What::EndedAfter {
                how: Box::new(trouble.what.clone()),
                oldest: unanswered(owed.oldest),
                largest: unanswered(largest),
                count: owed.count,
                times,
            };
        }
    }

    fn find_limit(&mut self, size: usize, smallest: u32) {
        let half = u32::try_from(size / 2).unwrap_or(u32::MAX);
        self.limit = Some(Limit {
            parts: half.max(smallest),
            refused_from: size.max(smallest as usize + 1),
            at: Instant::now(),
        });
    }

    fn found(&self) -> Option<&Limit> {
        let limit = self.limit.as_ref();
        limit.filter(|limit| limit.at.elapsed() < LIMIT_HOLDS)
    }

    /// The largest packet of a part, at most what the broker announces.
    pub(super) fn max_packet(&self, announced: Option<u32>) -> Option<u32> {
        let found = self.found().map(|limit| limit.parts);
        announced.into_iter().chain(found).min()
    }

    /// Whether a packet of this size would end the connection, as far as that was found out.
    pub(super) fn refuses(&self, size: usize) -> bool {
        self.found().is_some_and(|limit| size >= limit.refused_from)
    }
}

/// A message that the broker has not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) token: u64,
    pub(super) topic: String,
    /// Length of its payload.
    pub(super) bytes: usize,
    /// Length of the whole packet.
    pub(super) size: usize,
    /// Rises with each message of a connection.
    pub(super) number: u64,
    /// It is a part of a clip (contract §3.3).
    pub(super) is_part: bool,
}

/// The messages that the broker has not answered. It may answer several at once, so any of them can be the reason why it
/// closed.
pub(super) struct Owed {
    pub(super) oldest: Sent,
    /// The largest of them, and of several of that size the oldest.
    pub(super) largest: Sent,
    pub(super) count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is learned when the broker ends the connection in this way, again and again, after a part in a packet of so many bytes.
    fn learned(what: &What, size: usize) -> Learned {
        let part = Sent {
            token: 1,
            topic: "booth/1/up/rundhoej-1/part/x/0".into(),
            bytes: size,
            size,
            number: 1,
            is_part: true,
        };
        let mut learned = Learned::default();
        for _ in 0..CLOSED_AFTER_IT {
            let mut trouble = Trouble {
                broker: "broker.example".into(),
                client_id: "booth-rundhoej-1".into(),
                user: "rundhoej-1".into(),
                check: "",
                what: what.clone(),
            };
            let owed = Owed {
                oldest: part.clone(),
                largest: part.clone(),
                count: 1,
            };
            learned.end(&mut trouble, Some(owed));
        }
        learned
    }

    #[test]
    fn a_limit_that_is_only_guessed_is_never_below_four_kilobytes() {
        let most = |what: &What, size| learned(what, size).max_packet(None);
        assert_eq!(most(&What::Ended, 16_384), Some(8_192));
        assert_eq!(most(&What::Ended, 5_000), Some(4_096));
        let guessed = learned(&What::Ended, 900);
        assert_eq!(guessed.max_packet(None), Some(4_096));
        assert!(!guessed.refuses(4_096) && guessed.refuses(4_097));
        // A smaller one that the broker announces counts.
        assert_eq!(guessed.max_packet(Some(2_000)), Some(2_000));
    }
}
