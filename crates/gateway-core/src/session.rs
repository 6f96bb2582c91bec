//! What a citizen lives through, from lifting the handset to hanging it up.
//!
//! Owns: every rule of a visit: notice, languages, questions, consent by an active act, tone, recording, its four
//! ends, second thoughts, publication, votes, receipts, withdrawal, goodbye, off-hook tone, emergency numbers. Never does: read a clock, play or record. Every
//! state but idle has a deadline, so that no citizen and no fault holds the booth for ever.

mod after;
mod asking;
mod code;
mod dialled;
mod hands;
mod machine;
mod offer;
mod recording;
#[cfg(test)]
mod scenarios;
mod scene;
mod service;
mod state;
#[cfg(test)]
mod visitors;
mod vote;
mod withdraw;

use std::time::Duration;

use super::counters::Counter;
use super::health::Parts;
use super::prompt::Prompt;
use booth_contract::OneTimeCode;
use booth_contract::receipt::Receipt;
use booth_contract::time::Mono;
use booth_contract::{ConsentMode, EndedBy, Publish};
pub use machine::Session;
pub use offer::{
    Choice, Limits, MayPublish, Offer, OpenAnswer, OpenQuestion, OtherLanguage, QuestionKind,
};
pub use scene::{Does, Hint, Kind, Named, Phase, Scene};
pub use vote::Voted;

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

/// The rules of a visit that hold as long as the booth runs, from booth.toml; what the centre may change is in [`Offer`].
#[derive(Debug, Clone)]
pub struct SessionRules {
    /// How consent is given.
    pub consent: ConsentMode,
    /// Numbers that stop everything, as digits.
    pub emergency_numbers: Vec<Vec<u8>>,
    /// The digits that make the booth speak of itself: a 0, then others; empty means that there is no code.
    pub service_code: Vec<u8>,
    /// The digits after which the booth takes a receipt; empty means that there are none.
    pub withdraw_code: Vec<u8>,
    /// Shorter takes that the citizen ended are discarded.
    pub min: Duration,
    /// Whether what is said is sealed on the card: a service code alone may have it copied then.
    pub seals: bool,
}

/// What a take or a vote answers, as its clip says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The question.
    pub question_id: String,
    /// Its campaign, where the centre asked it.
    pub campaign_id: Option<String>,
    /// The language in which the citizen was asked.
    pub lang: String,
    /// The centre's configuration that was in force.
    pub config_version: Option<u64>,
    /// The digit of a vote; `None` for speech.
    pub choice: Option<u8>,
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
    /// The words are durable, and the take is open: its citizen can hear, repeat or delete it.
    Held(TakeId),
    /// The clip is durable and has its number.
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
    /// What a citizen is offered from now on.
    Offer(Offer),
    /// Whether receipts can be sealed: a public key of the city is known.
    CanSeal(bool),
    /// The receipt of a take or a vote that was just armed or cast; `None` where none can be sealed.
    Receipt {
        /// Which take.
        take: TakeId,
        /// Its receipt.
        receipt: Option<Receipt>,
    },
    /// Whether the withdrawal is on the card.
    WithdrawalKept(bool),
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
    /// What became of a key that was dialled: the card may be taken out, or may not; how far the reading of an old one, or the copy onto a stick, is.
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
    /// The booth stands at the place with this number; say so: [`ServiceNews::Card`].
    Place(u32),
    /// Take over the messages of the card in the USB reader, and say how far that is: [`ServiceNews::Card`].
    TakeOver,
    /// Copy the messages of this card onto a USB stick, and say how far that is: [`ServiceNews::Card`].
    Export,
    /// Say what copying messages that lie open takes: [`ServiceNews::Card`].
    MayNotExport,
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
        /// The language of this visit.
        lang: String,
        /// Louder by this many steps of 9 dB.
        gain_steps: u8,
        /// Slowly: the gaps between words are longer.
        slow: bool,
    },
    /// Let the citizen hear the take that is held, in place of anything that plays now.
    PlayBack {
        /// Named in [`Input::PlayEnded`].
        id: PlayId,
        /// The take.
        take: TakeId,
        /// Louder by this many steps of 9 dB.
        gain_steps: u8,
    },
    /// Silence in the earpiece, at once.
    StopPlay,
    /// Consent was given: make a clip ready; nothing captured before counts.
    Arm {
        /// The take.
        take: TakeId,
        /// What it answers.
        asked: Asked,
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
    /// End the words at `at` and hold them: [`RecorderNews::Held`].
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
    /// Delete the take, from the card and with its key, at any time before it is closed.
    Discard {
        /// The take.
        take: TakeId,
    },
    /// Give the held take its number and let it go: [`RecorderNews::Kept`].
    Close {
        /// The take.
        take: TakeId,
        /// What its citizen allowed.
        publish: Publish,
    },
    /// Keep a vote: [`RecorderNews::Kept`].
    Cast {
        /// The vote's own number among the takes.
        take: TakeId,
        /// What it answers.
        asked: Asked,
        /// The digit that was chosen.
        choice: u8,
        /// The one-time code with which it counts, to be sealed beside the receipt.
        code: Option<OneTimeCode>,
    },
    /// Seal this receipt and keep it on the card as a withdrawal: [`Input::WithdrawalKept`].
    Withdraw {
        /// The receipt that was dialled.
        receipt: Receipt,
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
