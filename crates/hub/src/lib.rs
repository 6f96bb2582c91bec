//! The centre: receives clips and health, keeps them, shows them.
//!
//! ```text
//! broker ──publish──▶ mqtt ── intake ──Message──▶ worker thread ── store ──▶ clips/ and hub.sqlite
//!        ◀──PUBACK────┘│◀────────── answers ────────────┘                        │
//!        ◀──ack────────┘                                                         │
//! browser ◀────────────────── http, pages ◀────────── view ◀─────────────────────┘
//! ```
//!
//! A clip is acknowledged to its booth (`stored`) only after its file and its row are on the disk. PUBACK promises nothing: the
//! hub's session ends with its connection, and the broker then drops every message that it still had for the hub.

pub mod alerts;
pub mod areas;
pub mod backups;
pub mod budget;
pub mod campaign;
pub mod centre;
pub mod complaints;
pub mod config;
pub mod course;
pub mod desk;
pub mod door;
pub mod dpia;
pub mod enrol;
pub mod fence;
pub mod fleet;
pub mod forget;
pub mod http;
pub mod imports;
pub mod ingest;
pub mod ingest_worker;
pub mod intake;
pub mod keys;
pub mod login;
pub mod monitoring;
pub mod mqtt;
pub mod orders;
mod pace;
pub mod pages;
pub mod people;
pub mod pilot;
pub mod presence;
pub mod receipts;
pub mod recordings;
mod relay;
pub mod rollout;
pub mod serve;
pub mod side_door;
mod sightings;
pub mod store;
pub mod unseal;
pub mod view;
pub mod withdrawing;
pub mod worker;
