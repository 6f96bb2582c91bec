//! What became of a message, and how the whole ended.

use serde::Serialize;

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fate", content = "why")]
pub enum Fate {
    /// The hub has it, now or before.
    Stored,
    /// Its citizen has taken it back; the hub wants it gone.
    TakenBack,
    /// The hub does not believe it, and why.
    Rejected(String),
    /// The broker does not let it through, and why.
    NotLetThrough(String),
    /// The card gave it no more, and why.
    NotRead(String),
    /// It is not known at which booth it was dialled.
    NoBooth,
    /// Nobody has answered.
    Unanswered,
}

impl Fate {
    /// Whether nothing remains to be done for it.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Stored | Self::TakenBack)
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// There is an answer to everything.
    Done,
    /// The broker could not be reached, or not any more.
    NoBroker,
    /// The broker does not take the login.
    LoginRefused,
    /// Another client uses the same name.
    NameInUse,
    /// The hub was not there.
    HubAway,
    /// The hub did not answer any more.
    HubSilent,
    /// Whoever ran it has ended it.
    Stopped,
}

impl Ended {
    /// Whether the same line may succeed later without anything being changed.
    pub fn is_for_now(&self) -> bool {
        matches!(
            self,
            Self::NoBroker | Self::NameInUse | Self::HubAway | Self::HubSilent | Self::Stopped
        )
    }
}
