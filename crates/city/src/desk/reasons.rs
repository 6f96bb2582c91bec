//! The city's reasons to reject a message.
//!
//! Owns: the usual list, and how a reason is called. A city that names its own writes their texts into its files of languages, as
//! `reason-<id>`. Never does: judge.

use crate::City;

/// The usual reasons.
pub(crate) const USUAL: [&str; 8] = [
    "empty",
    "unintelligible",
    "off-topic",
    "names-somebody",
    "insult",
    "unlawful",
    "advertising",
    "twice",
];

/// How a reason is called in a language; its id, where nobody wrote a text for it.
pub(crate) fn reason_label(city: &City, language: &str, reason: &str) -> String {
    let name = format!("reason-{reason}");
    let said = city.words.say(language, &name);
    match said == name {
        true => reason.to_owned(),
        false => said,
    }
}
