//! The booth gateway and its hub.
//!
//! A citizen lifts the handset of a telephone booth, hears a question and speaks. The gateway beside
//! the booth records the answer, keeps it on its card and sends it over MQTT until the hub at the
//! centre confirms that very clip by its hash.
//!
//! What flows where:
//!
//! ```text
//! handset ──edges──▶ adapters::handset_* ──Input──▶ ┌──────────┐ ──Command──▶ playback ──▶ earpiece
//! microphone ─frames─▶ capture ─ring─▶ recorder ──▶ │ run loop │ ──Command──▶ recorder ─▶ spool ─▶ card
//! broker ◀──────── adapters::mqtt ◀──── Publish ─── └──────────┘ ◀──Kept─────────────────── spool
//! ```
//!
//! [`gateway`] is pure: events with the time in them go in, commands and the next deadline come out.
//! [`adapters`] touch the outside, one thing per file. [`run`] is the only loop. [`link`] is the way to the broker.
//! [`contract`] holds every topic and payload that both programs share. [`spool`] is the card's memory.
//! [`doctor`] looks at all of it for a technician, [`update`] replaces all of it. [`hub`] is the centre, a second house
//! with the same rules.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod adapters;
pub mod config;
pub mod contract;
pub mod doctor;
pub mod gateway;
#[cfg(feature = "hub")]
pub mod hub;
pub mod link;
pub mod provision;
pub mod run;
pub mod spool;
pub mod update;
