//! What a campaign says of messages of children, and what its notice has to say of it.
//!
//! Owns: the three ways, and the sentence about each. Never does: mark a message; whoever listens does (`booth-hub child`).

use serde::{Deserialize, Serialize};

/// What may become of a message that whoever listened has marked as a child's, in public, where its speaker allowed that at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Children {
    /// Never the voice; the text only when names, school and address are gone and a second person agrees.
    #[default]
    Text,
    /// As every other message.
    Voice,
    /// Nothing.
    NotPublished,
}

impl Children {
    /// The way of this name in a campaign's file.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "voice" => Some(Self::Voice),
            "not_published" => Some(Self::NotPublished),
            _ => None,
        }
    }

    /// Whether the voice may be published.
    pub fn may_publish_voice(self) -> bool {
        self == Self::Voice
    }

    /// Whether the text may be published.
    pub fn may_publish_text(self) -> bool {
        self != Self::NotPublished
    }

    /// Whether the text needs the consent of a second person, who has seen that names, school and address are gone.
    pub fn needs_second_person(self) -> bool {
        self == Self::Text
    }

    /// What a citizen has to be told before the key that starts recording, for whoever writes the notice.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Text => {
                "a child's voice is never published; its text only without names, school and address"
            }
            Self::Voice => "a child's message may be published like any other",
            Self::NotPublished => "nothing of what a child says is published",
        }
    }
}

/// Whether a notice speaks of children at all, in the languages in which that can be seen; `None` in others.
pub(super) fn speaks_of_children(notice: &str, lang: &str) -> Option<bool> {
    let words: &[&str] = match lang.split('-').next() {
        Some("da") => &["barn", "børn"],
        Some("en") => &["child"],
        _ => return None,
    };
    let notice = notice.to_lowercase();
    Some(words.iter().any(|word| notice.contains(word)))
}
