//! `booth-gateway doctor`: looks at a booth as a technician would, and says what is wrong and what to do.
//!
//! Owns: what is looked at, and the verdicts. Never does: change anything; neither a mixer nor a running gateway, which
//! is asked over its own socket because its lines, its card and its identity at the broker are taken.

mod contacts;
mod finding;
mod status;

pub use contacts::{Contact, contacts};
pub use finding::{Finding, Verdict, has_fault, table};
pub use status::{LastKey, Microphone, QUESTION, Raised, Status, key_name};
