//! Warnings about what comes in malformed.
//!
//! Owns: the name under which the log counts one sender's malformed messages, so that they are news once and then a line an hour
//! (`booth_host::news`). Never does: decide what is malformed.

/// One malformed message from `sender`; `sentence` says what was wrong with it.
pub fn note(sender: &str, sentence: &str) {
    // With "from" before it a sender's name cannot be mistaken for the name of one of the hub's own faults.
    log::warn!(about = format!("from {sender}"); "{sentence}");
}
