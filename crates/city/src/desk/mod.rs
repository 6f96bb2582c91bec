//! The moderator's desk: what waits, one message at a time, and what becomes of it.
//!
//! ```text
//! message ──▶ queue ──▶ pages (one message: waveform, draft, themes) ──▶ act ──▶ judge (decide) ──▶ row, themes, log
//!                                       ▲ sound (levelled for the desk; cut and silenced for everybody)
//! ```
//!
//! Owns: decisions, themes, claims, and the sound that is published. Never does: delete a message; its citizen does, or retention.

mod act;
mod complaints;
mod config;
pub(crate) mod decide;
mod form;
mod pages;
mod queue;
mod reasons;
mod rows;
mod sound;
mod themes;
mod view_message;
mod view_queue;
mod waveform;

pub(crate) use act::note_hearing;
pub use config::DeskConfig;
pub(crate) use pages::routes;
pub(crate) use queue::EMPTY_BELOW;
pub(crate) use rows::plain;
pub(crate) use sound::{Sounds, published_sound};

#[cfg(test)]
mod tests;
