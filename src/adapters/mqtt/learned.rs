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
/// Smaller packets than this are not tried, bytes.
const SMALLEST_PACKET: u32 = 1024;
/// How long a limit of the broker holds that was found by trying.
const LIMIT_HOLDS: Duration = Duration::from_secs(24 * 3600);

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
    /// A limit that the broker did not announce, and when it was found out.
    pub(super) limit: Option<(u32, Instant)>,
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
        if trouble.is_too_large() || times >= CLOSED_AFTER_IT {
            self.find_limit(largest.size);
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

    fn find_limit(&mut self, size: usize) {
        let half = u32::try_from(size / 2).unwrap_or(u32::MAX);
        self.limit = Some((half.max(SMALLEST_PACKET), Instant::now()));
    }

    /// The largest packet that may be sent, at most what the broker announces.
    pub(super) fn max_packet(&self, announced: Option<u32>) -> Option<u32> {
        let found = self
            .limit
            .filter(|(_, at)| at.elapsed() < LIMIT_HOLDS)
            .map(|(limit, _)| limit);
        announced.into_iter().chain(found).min()
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
}

/// The messages that the broker has not answered. It may answer several at once, so any of them can be the reason why it
/// closed.
pub(super) struct Owed {
    pub(super) oldest: Sent,
    /// The largest of them, and of several of that size the oldest.
    pub(super) largest: Sent,
    pub(super) count: usize,
}
