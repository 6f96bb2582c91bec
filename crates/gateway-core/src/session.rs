//! What a citizen lives through, from lifting the handset to hanging it up.
//!
//! Owns: every rule of a visit: notice, question, consent by an active act, tone, recording, its four
//! ends, goodbye, off-hook tone, emergency numbers. Never does: read a clock, play or record. Every
//! state but idle has a deadline, so that no citizen and no fault holds the booth for ever.

mod machine;
#[cfg(test)]
mod scenarios;
mod service;
#[cfg(test)]
mod visitors;

use std::time::Duration;

use super::counters::Counter;
use super::health::Parts;
use super::prompt::Prompt;
use booth_contract::time::Mono;
use booth_contract::{ConsentMode, EndedBy};
pub use machine::Session;

/// One recording attempt; unique while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TakeId(pub u64);

/// One thing played in the earpiece; unique while the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlayId(pub u64);

/// A key the citizen pressed or dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// `*`
    Star,
    /// `#`
    Hash,
    /// The push button of a booth without digits.
    Button,
}

/// Where a key came from: on a rotary dial, any digit ends a recording; on a keypad only `#` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// A keypad or a button.
    Keypad,
    /// A rotary dial.
    Dial,
}

/// What the handset did, debounced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandsetEvent {
    /// Off its hook.
    Lifted,
    /// Back on its hook.
    HungUp,
    /// A key.
    Key(Key, KeySource),
    /// The lift that was just reported is a technician's, who used the service button.
    Service,
}

/// What the lamp shows to citizens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lamp {
    /// Not started yet.
    Starting,
    /// Lift the handset.
    Ready,
    /// Recording.
    Listening,
    /// The message is durable; shown for three seconds.
    Saved,
    /// Cannot take messages.
    OutOfOrder,
    /// A technician is served.
    Service,
    /// An update is being written; leave the power on.
    Update,
}

/// The limits of a visit, from `[session]`.
#[derive(Debug, Clone)]
pub struct SessionRules {
    /// How consent is given.
    pub consent: ConsentMode,
    /// Numbers that stop everything, as digits.
    pub emergency_numbers: Vec<Vec<u8>>,
    /// The digits that make the booth speak of itself: a 0, then others; empty means that there is no code.
    pub service_code: Vec<u8>,
    /// Longest recording.
    pub max: Duration,
    /// Shorter takes that the citizen ended are discarded.
    pub min: Duration,
    /// Silence after speech that ends a recording; zero = never.
    pub silence: Duration,
    /// From the end of the last prompt to the goodbye.
    pub choose: Duration,
}

/// A question that can be answered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenQuestion {
    /// Its id in the manifest.
    pub id: String,
    /// The digit that chooses it.
    pub digit: u8,
    /// Its prompt.
    pub prompt: Prompt,
}

/// What the recorder reports to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecorderNews {
    /// The first kept frame was captured.
    Started(TakeId),
    /// Somebody began or ceased to speak.
    Voice {
        /// Which take.
        take: TakeId,
        /// Speaking now.
        active: bool,
        /// Since when.
        at: Mono,
    },
    /// The clip is durable.
    Kept(TakeId),
    /// The take is deleted: it was too short, or the session asked for that.
    Discarded(TakeId),
    /// The card refused it.
    Failed(TakeId),
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Where the handset was found at the start. Off-hook then is no lift.
    HandsetAtStart {
        /// Off its hook.
        off_hook: bool,
    },
    /// The handset did something.
    Handset(HandsetEvent),
    /// A play was heard to its end, or given up.
    PlayEnded(PlayId),
    /// The recorder reports something.
    Recorder(RecorderNews),
    /// Which parts of the booth work.
    Parts(Parts),
    /// Which questions are open.
    Questions(Vec<OpenQuestion>),
    /// The loop has something for a technician to hear.
    Service(ServiceNews),
    /// Whether an update is under way.
    Update(bool),
    /// Whether the case is open, where the booth can tell.
    CaseOpen(bool),
    /// The deadline has come.
    Tick,
}

/// What the loop lets a technician at the handset hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceNews {
    /// How the booth is; the test message follows.
    Report(Vec<Prompt>),
    /// What became of the test message; after it, the booth waits for keys.
    Outcome(Vec<Prompt>),
    /// The card may be taken out, or may not.
    Card(Vec<Prompt>),
}

/// What a technician at the handset asks of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAsk {
    /// Say how the booth is: [`ServiceNews::Report`].
    Report,
    /// The test message is on the card; say when the centre has it: [`ServiceNews::Outcome`].
    Sent,
    /// The centre has not confirmed it; say why: [`ServiceNews::Outcome`].
    Unconfirmed,
    /// It could not be recorded; say so: [`ServiceNews::Outcome`].
    Failed,
    /// Say which key closes the card: [`ServiceNews::Card`].
    OfferNine,
    /// Close the card and say so: [`ServiceNews::Card`].
    CloseCard,
    /// Say what closing the card takes: [`ServiceNews::Card`].
    MayNotClose,
    /// The technician is gone.
    Left,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Play these, one after the other, in place of anything that plays now.
    Play {
        /// Named in [`Input::PlayEnded`].
        id: PlayId,
        /// What.
        prompts: Vec<Prompt>,
        /// Louder by this many steps of 9 dB.
        gain_steps: u8,
    },
    /// Silence in the earpiece, at once.
    StopPlay,
    /// Consent was given: make a clip ready; nothing captured before counts.
    Arm {
        /// The take.
        take: TakeId,
        /// The question it answers.
        question_id: String,
        /// The key that was the consent.
        key: Option<String>,
    },
    /// A technician speaks a test message: make a clip ready, marked as a test.
    ArmTest {
        /// The take.
        take: TakeId,
    },
    /// A technician wants this.
    Service(ServiceAsk),
    /// The tone is over: keep what is captured from now on.
    Keep {
        /// The take.
        take: TakeId,
        /// From when.
        from: Mono,
    },
    /// End the take at `at` and keep it.
    Finish {
        /// The take.
        take: TakeId,
        /// Why.
        ended_by: EndedBy,
        /// When.
        at: Mono,
        /// Discard it instead if it is shorter.
        min: Duration,
    },
    /// Delete the take.
    Discard {
        /// The take.
        take: TakeId,
    },
    /// Somebody is recorded (true), so that taps of the hook are no digits.
    Recording(bool),
    /// Show this.
    Lamp(Lamp),
    /// Count this.
    Count(Counter),
    /// Report this event to the centre (`event/{kind}`).
    Event(&'static str),
    /// Somebody left the handset off for a quarter of an hour, or hung it up at last.
    HandsetLeftOff(bool),
    /// A citizen is here; takes from this one on do not leave the booth yet.
    SessionOpened {
        /// The next take's id.
        first_take: TakeId,
    },
    /// The citizen is gone, or timed out: what was kept may leave.
    SessionClosed,
}
