//! The centre: receives clips and health, keeps them, shows them.
//!
//! ```text
//! broker ──publish──▶ mqtt ──Message──▶ worker thread ── store ──▶ clips/ and hub.sqlite
//!        ◀──PUBACK and ack── mqtt ◀──── answers ──────────┘            │
//! browser ◀──────────── http, pages ◀────────── view ◀─────────────────┘
//! ```
//!
//! A message is acknowledged to the broker (PUBACK) only after it was handled, and a clip to its booth
//! (`stored`) only after its file and its row are on the disk.

pub mod alerts;
pub mod complaints;
pub mod config;
pub mod fleet;
pub mod forget;
pub mod http;
pub mod ingest;
pub mod login;
pub mod mqtt;
pub mod pages;
pub mod presence;
pub mod ranges;
pub mod serve;
pub mod store;
pub mod view;
pub mod worker;
