//! What the pages show, as plain data.
//!
//! Owns: the shape of both pages' content and the seam ([`Views`]) between the store, which fills it,
//! and the pages, which draw it. Never does: touch the database, a file or a clock. Holds nothing.

use std::path::PathBuf;

use crate::contract::{Presence, Severity};

/// Everything the people's page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswersView {
    /// When it was put together.
    pub generated_at: jiff::Timestamp,
    /// Answers per question id, most first; an answer without a question is `"-"`.
    pub by_question: Vec<(String, u64)>,
    /// Booth id, name, answers; most first.
    pub by_booth: Vec<(String /* booth id */, String /* name */, u64)>,
    /// Answers per day, oldest first; the day is that of the recording where its clock was set, else
    /// that of the receipt.
    pub by_day: Vec<(jiff::civil::Date, u64)>,
    /// The newest spoken answers.
    pub clips: Vec<ClipView>,
    /// All answers, spoken and chosen; test clips are in no count.
    pub total: u64,
}

/// One clip as the people's page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the contract's own (§3.3)
pub struct ClipView {
    pub clip_id: String,
    pub booth_id: String,
    pub booth_name: String,
    pub question_id: Option<String>,
    pub lang: Option<String>,
    pub started_at: Option<String>,
    pub clock_synced: bool,
    pub duration_ms: u64,
    pub ended_by: String,
    pub recovered: bool,
    pub bytes: u64,
    /// The hub's time of the commit, RFC 3339 UTC.
    pub received_at: String,
}

/// Everything the operations page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetView {
    /// When it was put together.
    pub generated_at: jiff::Timestamp,
    /// Whether the hub itself is connected to the broker and subscribed.
    pub broker_connected: bool,
    /// One sentence about the broker: since when, or what failed.
    pub broker_detail: String,
    /// Expected and heard booths.
    pub booths: Vec<BoothView>,
    /// Clip numbers that are not here.
    pub gaps: Vec<GapView>,
    /// What an operator should look at: refused clips, and stored ones that were flagged.
    pub refused: Vec<RefusedView>,
}

/// One booth as the operations page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct BoothView {
    /// The booth's id.
    pub booth_id: String,
    /// From `hub.toml`, else from its birth, else empty.
    pub name: String,
    /// From `hub.toml`, else empty.
    pub place: String,
    /// Whether `hub.toml` names it.
    pub expected: bool,
    /// Whether anything was ever heard from it.
    pub heard: bool,
    /// Its retained state, by the ordering rules of the contract (§3).
    pub presence: Option<Presence>,
    /// Health's `ready`.
    pub ready: Option<bool>,
    /// Whether the last health is older than three intervals, or there is none from a booth that was heard.
    pub stale: bool,
    /// Age of the last health, in seconds by the hub's clock.
    pub health_age_s: Option<u64>,
    /// How often it promises health, in seconds.
    pub health_interval_s: u64,
    /// Age of the oldest clip not yet acknowledged, in seconds, as of the last health.
    pub oldest_unsent_s: Option<u64>,
    /// Clips on its card, as of the last health.
    pub spool_clips: Option<u64>,
    /// Raised alerts, worst first: id, severity, text, since.
    pub alerts: Vec<(String, Severity, String, String)>,
    /// From its birth.
    pub sw_version: Option<String>,
    /// When the hub last stored a clip spoken there, RFC 3339 UTC.
    pub last_clip_at: Option<String>,
    /// From its birth: whether it seals clips.
    pub sealed: Option<bool>,
    /// Two machines (`hw_serial`) claim this id.
    pub two_serials: bool,
}

/// Clip numbers of one card that the hub does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapView {
    /// The card that gave the numbers.
    pub card_id: String,
    /// Where that card was last.
    pub booth_id: String,
    /// Missing numbers as `(first, last)`, both inclusive.
    pub missing: Vec<(u64, u64)>,
    /// `missing_between`, `still_on_booth` or `card_gone`.
    pub kind: String,
    /// When that card was last heard, RFC 3339 UTC.
    pub last_seen: String,
}

/// A clip that an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedView {
    /// When, RFC 3339 UTC.
    pub at: String,
    /// The sender.
    pub booth_id: String,
    /// The clip, as the topic named it.
    pub clip_id: String,
    /// One sentence.
    pub reason: String,
}

/// What the pages ask. Calls may block for a database read of some milliseconds.
pub trait Views: Send + Sync + 'static {
    /// The people's page, with at most `limit` clips.
    fn answers(&self, limit: usize) -> AnswersView;
    /// The operations page.
    fn fleet(&self) -> FleetView;
    /// The file of a stored, unsealed clip.
    fn clip_file(&self, clip_id: &str) -> Option<PathBuf>;
}
