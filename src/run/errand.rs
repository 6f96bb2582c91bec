//! A technician's order that takes minutes: what the loop and the thread that carries it out tell each other meanwhile.
//!
//! Owns: that a citizen at the handset goes first, that the booth's card can be closed, and how often the technician hears how far it is. Never does:
//! the work itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Gateway;
use super::service::words;
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::prompt::{Language, Word};
use gateway_core::session::ServiceNews;
use gateway_core::spoken;

/// How often a technician who stays on the line hears how far it is.
const SAID_EVERY: Duration = Duration::from_secs(15);
/// How often the thread says that it still works.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// Pause between two looks whether the citizen has gone.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the loop tells the thread while that works.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    /// Somebody is at the handset who is no technician: wait.
    pub(super) holds: Arc<AtomicBool>,
    /// End after this file.
    pub(super) stops: Arc<AtomicBool>,
}

/// The loop's own side: how far it is.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    /// How many messages are done with.
    pub(super) messages: u64,
    said_at: Mono,
    signals: Signals,
}

impl Errand {
    /// It begins.
    pub(super) fn begin(now: Mono, signals: Signals) -> Self {
        Self {
            messages: 0,
            said_at: now,
            signals,
        }
    }

    /// Whether the technician is to hear now how far it is.
    pub(super) fn is_to_be_said(&mut self, now: Mono) -> bool {
        let is_due = self.said_at + SAID_EVERY <= now;
        if is_due {
            self.said_at = now;
        }
        is_due
    }
}

/// The thread's own side.
pub(super) struct Pace {
    pub(super) signals: Signals,
    pub(super) told_at: Mono,
}

impl Pace {
    /// It begins.
    pub(super) fn begin(signals: Signals) -> Self {
        Self {
            signals,
            told_at: clock::mono(),
        }
    }

    /// Waits while a citizen is there, and has it told now and then that the thread still works; `false` ends it.
    pub(super) fn goes_on(&mut self, tell: impl FnOnce()) -> bool {
        let stops = || self.signals.stops.load(Ordering::Relaxed);
        while self.signals.holds.load(Ordering::Relaxed) && !stops() {
            std::thread::park_timeout(PATIENCE);
        }
        let now = clock::mono();
        if self.told_at + TOLD_EVERY <= now {
            self.told_at = now;
            tell();
        }
        !self.signals.stops.load(Ordering::Relaxed)
    }
}

impl Gateway {
    fn errands(&self) -> impl Iterator<Item = &Errand> {
        self.old_card.iter().chain(&self.copying)
    }

    /// The booth's own card is to be closed: what works with it ends first. Whether anything did.
    pub(super) fn stop_errands(&self) -> bool {
        for errand in self.errands() {
            errand.signals.stops.store(true, Ordering::Relaxed);
        }
        self.errands().next().is_some()
    }

    /// Whether they wait is decided at each turn.
    pub(super) fn hold_errands(&self) {
        for errand in self.errands() {
            let holds = self.booth.has_visitor() && !self.booth.session().is_in_service();
            errand.signals.holds.store(holds, Ordering::Relaxed);
        }
    }

    /// Says these words, a number of messages, and more words, if a technician is there to hear them.
    pub(super) fn say_messages(&mut self, now: Mono, first: Word, messages: u64, last: &[Word]) {
        let language = Language::of(&self.config.session.language);
        let mut said = vec![first];
        said.extend(spoken::messages_counted(messages, language));
        said.extend(last);
        self.say_words(now, &said);
    }

    pub(super) fn say_words(&mut self, now: Mono, said: &[Word]) {
        if self.booth.session().is_in_service() {
            self.say(now, ServiceNews::Card(words(said)));
        }
    }
}
