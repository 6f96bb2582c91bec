//! The booth gateway.
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
//! [`gateway_core`] is pure: events that carry their time go in, commands and the next deadline come out. [`booth_spool`] is
//! the card's memory. [`booth_contract`] holds every topic and payload that this program and the hub (`crates/hub`) share;
//! [`booth_host`] holds what both need of a machine, and the link to the broker. In this crate, [`adapters`] touch the
//! outside world, one subject per file, and [`run`] is the only loop. [`doctor`] looks at all of it for a technician,
//! [`provision`] sets it up from a card, [`update`] replaces all of it, [`pulled`] reads a card that was taken out of it, and [`drain`] sends what is on it; [`stick`] mounts a USB stick for an export.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![deny(unreachable_pub)]

pub mod adapters;
pub mod config;
pub mod doctor;
pub mod drain;
pub mod fleet;
pub mod provision;
pub mod pulled;
pub mod run;
pub mod settings;
pub mod simulate;
pub mod status;
pub mod stick;
pub mod trust;
pub mod update;
