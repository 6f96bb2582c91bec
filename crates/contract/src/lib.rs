//! What the gateway and the hub have in common; each fact is stated once.
//!
//! Owns: the spelling of every topic, the shape of every payload, the table of alerts, how a booth stands, the address of a broker, time
//! as an input, and the frame of a clip's body (Ogg). Never does: input or output of any kind. The words are those of the public contract,
//! and beneath it those of MQTT 5 (OASIS).

pub mod ack;
pub mod alert;
pub mod birth;
pub mod broker;
pub mod code;
pub mod config_report;
pub mod export;
pub mod fleet;
pub mod frame_facts;
pub mod health;
pub mod ids;
pub mod manifest;
pub mod ogg_page;
pub mod ranges;
pub mod reading;
pub mod receipt;
pub mod signed;
pub mod state;
pub mod time;
pub mod topic;
pub mod wanted;
pub mod withdrawal;
pub mod written;

pub use ack::{Ack, AckStatus, ByteRange};
pub use alert::{Alert, AlertId, Severity};
pub use birth::Birth;
pub use broker::{BrokerState, BrokerUrl};
pub use code::{BadCode, CODE_DIGITS, OneTimeCode};
pub use config_report::ConfigReport;
pub use frame_facts::FrameFacts;
pub use health::{Health, finite};
pub use ids::{BodyHash, BootId, CardId, ClipId, MediaHash};
pub use manifest::{BodyKind, ClipKind, Consent, ConsentMode, EndedBy, Manifest, Publish};
pub use receipt::{BadReceipt, Receipt};
pub use signed::{BadBody, Signed, SignedBody};
pub use state::{BoothState, HubState, Presence, Session};
pub use topic::{BoothId, COMMANDS, COURIER, EVENT_KINDS, RESERVED_IDS, Topic, Topics};
pub use withdrawal::Withdrawal;

/// Version of the payloads in this contract, carried as `schema` in birth and manifest.
pub const SCHEMA: u32 = 1;

/// Largest part of a clip body in one message, in bytes (contract §3).
pub const MAX_PART_BYTES: usize = 16_384;

/// Largest message from the hub or an operator that a booth reads, in bytes. Prompts
/// (`{root}/media/…`, at most 100 KiB) are the biggest.
pub const MAX_INCOMING_BYTES: u32 = 128 * 1024;

/// Largest JSON payload that either side parses, in bytes; a longer one is refused without being parsed.
pub const MAX_JSON_BYTES: usize = 16_384;

/// Lower-case hex, as every hash in a payload is written.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
