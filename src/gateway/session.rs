//! What a citizen lives through, from lifting the handset to hanging it up.

use super::time::Mono;
use crate::contract::{Consent, EndedBy};

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
}

/// A prompt by its name in the contract (§2), or a question's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Prompt {
    /// Who records, why, and what becomes of it.
    Notice,
    /// Which digit is which question; played only when several are open.
    Menu,
    /// "Speak now."
    Tone,
    /// Introduces a question that is asked again.
    Repeat,
    /// The digit dialled belongs to no question.
    NoSuchQuestion,
    /// Soft tone: the recording is about to end.
    LimitSoon,
    /// Thank you; hang up or dial again.
    Thanks,
    /// A polite goodbye.
    Goodbye,
    /// That was too short to keep.
    TooShort,
    /// Off-hook tone.
    OffHook,
    /// The booth cannot take messages.
    OutOfOrder,
    /// This telephone cannot call for help.
    Emergency,
    /// A question's own prompt, by its file name without extension.
    Question(String),
}

/// What the lamp says to citizens.
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
}
