//! Which prompts are subscribed to. Pure.
//!
//! Owns: that only a few are on their way at a time, so that a booth on a slow line, or a broker that sends all at once, takes little
//! memory; and that one whose prompt does not come holds up no other. Never does: subscribe.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use booth_contract::MediaHash;
use booth_contract::time::Mono;

/// Most prompts on their way at a time.
pub(super) const WINDOW: usize = 4;
/// A prompt that has not come after this time is taken to be published later: it stays subscribed to, and the next one is asked for.
/// Four of the largest take 51 s at 64 kbit/s.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How far a prompt has come that is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Subscribed to since then.
    Since(Mono),
    /// It came; the card has not said yet what became of it.
    Came,
    /// Nothing, or something else, came: whoever publishes it brings it.
    Waits,
}

/// How one that came has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is not needed any more: it is on the card, or is none.
    Done,
    /// It was another one.
    Other,
    /// The card did not take it: it has to be sent again, later.
    Later,
}

/// The subscriptions of one connection.
#[derive(Debug)]
pub(super) struct Fetching {
    is_connected: bool,
    asked: BTreeMap<MediaHash, Asked>,
    /// Not to be asked for until [`Fetching::hurry`].
    later: BTreeSet<MediaHash>,
    /// What was said last; `None` where something was said in an earlier connection, of which the caller may still hold a part.
    said: Option<BTreeSet<MediaHash>>,
}

impl Default for Fetching {
    /// Without a connection.
    fn default() -> Self {
        Self {
            is_connected: false,
            asked: BTreeMap::new(),
            later: BTreeSet::new(),
            said: Some(BTreeSet::new()),
        }
    }
}

impl Fetching {
    /// A new connection, in which nothing is subscribed to.
    pub(super) fn connected(&mut self) {
        self.disconnected();
        self.is_connected = true;
    }

    pub(super) fn disconnected(&mut self) {
        self.is_connected = false;
        // What has come is still on its way to the card.
        self.asked.retain(|_, asked| *asked == Asked::Came);
        self.said = self.said.take().filter(BTreeSet::is_empty);
    }

    /// A prompt came; returns whether it was waited for.
    pub(super) fn came(&mut self, hash: &MediaHash) -> bool {
        match self.asked.get_mut(hash) {
            Some(asked @ (Asked::Since(_) | Asked::Waits)) => {
                *asked = Asked::Came;
                true
            }
            Some(Asked::Came) | None => false,
        }
    }

    /// What became of one that came.
    pub(super) fn ended(&mut self, hash: &MediaHash, ended: Ended) {
        match ended {
            Ended::Done => drop(self.asked.remove(hash)),
            Ended::Other => drop(self.asked.insert(hash.clone(), Asked::Waits)),
            Ended::Later => {
                self.asked.remove(hash);
                self.later.insert(hash.clone());
            }
        }
    }

    /// What the card did not take is asked for again.
    pub(super) fn hurry(&mut self) {
        self.later.clear();
    }

    /// What is to be subscribed to, if that has changed. `missing`: in the order in which they are wanted.
    pub(super) fn look(&mut self, now: Mono, missing: &[MediaHash]) -> Option<BTreeSet<MediaHash>> {
        self.asked
            .retain(|hash, asked| *asked == Asked::Came || missing.contains(hash));
        self.later.retain(|hash| missing.contains(hash));
        if !self.is_connected {
            return None;
        }
        for asked in self.asked.values_mut() {
            if matches!(asked, Asked::Since(since) if now.since(*since) >= PATIENCE) {
                *asked = Asked::Waits;
            }
        }
        let on_their_way = self.asked.values().filter(|asked| **asked != Asked::Waits);
        let room = WINDOW.saturating_sub(on_their_way.count());
        let new: Vec<&MediaHash> = missing
            .iter()
            .filter(|hash| !self.asked.contains_key(*hash) && !self.later.contains(*hash))
            .take(room)
            .collect();
        for hash in new {
            self.asked.insert(hash.clone(), Asked::Since(now));
        }
        let wanted: BTreeSet<MediaHash> = self.asked.keys().cloned().collect();
        (self.said.as_ref() != Some(&wanted)).then(|| {
            self.said = Some(wanted.clone());
            wanted
        })
    }

    /// When the next one is asked for although nothing came.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let waits = self.asked.values().filter_map(|asked| match asked {
            Asked::Since(since) => Some(*since + PATIENCE),
            Asked::Came | Asked::Waits => None,
        });
        waits.min()
    }
}
