//! Warnings about what comes in malformed.
//!
//! Owns: under which name the log knows one sender's rubbish, so that it is news once and then a line an hour
//! (`booth_host::news`). Never does: decide what is rubbish.

/// One malformed message from `sender`; `sentence` says what was wrong with it.
pub fn note(sender: &str, sentence: &str) {
    // No booth can take the name of one of the hub's own faults.
    log::warn!(about = format!("from {sender}"); "{sentence}");
}
