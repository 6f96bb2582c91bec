//! What machines ask of the hub: is it alive, is it ready, and its figures for Prometheus.
//!
//! Owns: `/healthz`, `/readyz` and `/metrics` ([`pages`]), what the running parts count ([`Meters`]), the names and units of a booth's values
//! ([`values`]), and the text of a scrape ([`figures`]). Never does: change anything, ask the store's thread, or say a word, a name or a place
//! of anybody.

mod figures;
mod meters;
mod pages;
#[cfg(test)]
mod tests;
mod token;
mod values;

pub use meters::{KINDS, Meters};
pub use pages::Monitoring;
pub use token::{Token, TokenError};
