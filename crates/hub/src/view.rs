//! What the pages show, as plain data.
//!
//! Owns: the shape of both pages' content and the seam ([`Views`]) between the store, which fills it,
//! and the pages, which draw it. Never does: touch the database, a file or a clock. Holds nothing.

use std::sync::Arc;

use crate::course::Point;
use crate::keys::Keyring;
use crate::store::{BodyFiles, Happened};
use booth_contract::fleet::DEFAULT_INTERVAL_S;
use booth_contract::{BodyHash, CardId, ClipId, ConfigReport, Health, Presence, Severity};

/// Most bars of a chart.
pub const MOST_BARS: usize = 30;
/// Most days of a chart.
pub const MOST_DAYS: usize = 14;

/// Everything the people's page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswersView {
    /// When it was put together.
    pub generated_at: jiff::Timestamp,
    /// Answers per question id, most first; an answer without a question is `"-"`. At most [`MOST_BARS`].
    pub by_question: Vec<(String, u64)>,
    /// How many questions there are.
    pub questions: u64,
    /// Booth id, name, answers; most first. At most [`MOST_BARS`].
    pub by_booth: Vec<(String /* booth id */, String /* name */, u64)>,
    /// How many booths there are.
    pub booths: u64,
    /// Answers per day, oldest first: the last [`MOST_DAYS`] days that have any and do not lie in the future. The day is that of
    /// the recording where its clock was set, else that of the receipt.
    pub by_day: Vec<(jiff::civil::Date, u64)>,
    /// All votes that were cast, and how they were cast by question; the questions with the most votes first. At most [`MOST_BARS`].
    pub votes: u64,
    /// See `votes`.
    pub polls: Vec<PollView>,
    /// How many questions are voted on.
    pub polls_total: u64,
    /// One page of the spoken answers, the newest first.
    pub clips: Vec<ClipView>,
    /// How many spoken answers are newer than the first of the page.
    pub newer: u64,
    /// All spoken answers.
    pub spoken: u64,
    /// All answers, spoken and chosen; test clips are in no count.
    pub total: u64,
}

/// The votes on one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollView {
    /// The campaign that it belongs to.
    pub campaign_id: Option<String>,
    /// The question.
    pub question_id: String,
    /// The digit of each option that was chosen, and how often, by digit.
    pub options: Vec<(u8, u64)>,
    /// Votes cast.
    pub votes: u64,
    /// How many of them came in bursts: [`BURST_VOTES`] or more at one booth within `burst_seconds`.
    pub in_bursts: u64,
    /// See [`burst_seconds`].
    pub burst_seconds: i64,
    /// Votes that are not counted, by the reason: `used`, `unknown`, `missing` or `sealed`, of their one-time code.
    pub not_counted: Vec<(String, u64)>,
}

/// So many votes on one question at one booth within [`BURST_SECONDS`] are a burst: whoever votes hears the notice, chooses, and hangs
/// up, so that nobody votes so fast by the rules. They are counted all the same, and marked.
pub const BURST_VOTES: u64 = 5;
/// See [`BURST_VOTES`].
pub const BURST_SECONDS: i64 = 60;

/// Within how many seconds so many votes are a burst, where the booth leaves this pause between two: faster than the pause allows, and
/// never less than [`BURST_SECONDS`].
pub fn burst_seconds(min_pause_s: u32) -> i64 {
    let by_the_rules = i64::from(min_pause_s) * (BURST_VOTES as i64 - 1);
    (by_the_rules - 1).max(BURST_SECONDS)
}

/// A place in a list whose newest entries come first: an entry's time, which sorts as text, and its id. The place stays the same
/// when newer entries come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The entry's time, RFC 3339 UTC with milliseconds.
    pub at: String,
    /// The entry's id.
    pub id: String,
}

impl Cursor {
    /// The character between time and id; neither contains it.
    const BETWEEN: char = '~';
    /// Longest text that is read as a cursor, in bytes.
    const LONGEST: usize = 200;

    /// The cursor as it stands in an address: nothing in it needs to be escaped in a query (RFC 3986 §3.4).
    pub fn text(&self) -> String {
        format!("{}{}{}", self.at, Self::BETWEEN, self.id)
    }

    /// Reads a cursor; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once(Self::BETWEEN)?;
        let is_plain = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'.'))
        };
        let is_one = text.len() <= Self::LONGEST
            && at.parse::<jiff::Timestamp>().is_ok()
            && is_plain(at)
            && is_plain(id)
            && !id.is_empty();
        is_one.then(|| Self {
            at: at.to_owned(),
            id: id.to_owned(),
        })
    }
}

/// Which page of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The first one.
    Newest,
    /// The entries after this one.
    OlderThan(Cursor),
    /// The entries before this one, next to it.
    NewerThan(Cursor),
}

/// One clip as the page for people shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the contract's own (§3.3)
pub struct ClipView {
    pub clip_id: ClipId,
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
    /// When the hub committed it, RFC 3339 UTC, by the hub's clock.
    pub received_at: String,
    /// The keys that it is sealed to.
    pub key_ids: Vec<String>,
    /// Whether the pages can play it: it is not sealed, or this hub has a private key.
    pub can_be_heard: bool,
    /// It came open, and this hub has sealed it.
    pub is_sealed_here: bool,
    pub campaign_id: Option<String>,
    /// The version of the centre's configuration under which it was spoken.
    pub config_version: Option<u64>,
    /// What the citizen allowed to be published, as the manifest says it.
    pub publish: Option<String>,
    /// The notice that the citizen heard.
    pub notice_id: Option<String>,
    /// Somebody who has listened took it for a child's.
    pub child: bool,
}

impl ClipView {
    /// Its place in the list.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            at: self.received_at.clone(),
            id: self.clip_id.to_string(),
        }
    }
}

/// Everything the operations page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetView {
    /// When it was put together.
    pub generated_at: jiff::Timestamp,
    /// The database did not answer: nothing is known of the booths, and nothing is known to be well.
    pub is_unknown: bool,
    /// Whether the hub itself is connected to the broker and subscribed.
    pub broker_connected: bool,
    /// One sentence about the broker: since when, or what failed.
    pub broker_detail: String,
    /// That another hub uses this one's client id, and what to do about it.
    pub broker_rival: Option<String>,
    /// Expected and heard booths.
    pub booths: Vec<BoothView>,
    /// Clip numbers that the hub does not have; of each booth only the cards heard last, and only so many entries in all.
    pub gaps: Vec<GapView>,
    /// How many such entries there are.
    pub gaps_total: u64,
    /// What an operator should look at, the latest first: refused clips, and stored ones that were flagged.
    pub refused: Vec<RefusedView>,
    /// How many such clips there are in all.
    pub refused_total: u64,
    /// Messages of the last days that could not be read, the latest first.
    pub unreadable: Listed<UnreadableView>,
    /// Senders that have exceeded a budget and have not kept within it for a whole day since, the latest first.
    pub over_budget: Listed<UnreadableView>,
    /// Withdrawals that wait: for their turn, or for the desk where the city's key is.
    pub withdrawals_waiting: u64,
}

impl FleetView {
    /// Of a hub that has no connection and knows of no booth.
    pub(crate) fn empty(generated_at: jiff::Timestamp) -> Self {
        Self {
            generated_at,
            is_unknown: false,
            broker_connected: false,
            broker_detail: String::new(),
            broker_rival: None,
            booths: Vec::new(),
            gaps: Vec::new(),
            gaps_total: 0,
            refused: Vec::new(),
            refused_total: 0,
            unreadable: Listed::default(),
            over_budget: Listed::default(),
            withdrawals_waiting: 0,
        }
    }
}

/// The part of a list that a page shows, and the length of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The first entries.
    pub entries: Vec<T>,
    /// How many entries there are.
    pub total: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            total: 0,
        }
    }
}

impl<T> Listed<T> {
    /// How many entries are not shown.
    pub fn more(&self) -> u64 {
        self.total.saturating_sub(self.entries.len() as u64)
    }
}

/// One page of what an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPage {
    /// The latest first.
    pub entries: Vec<RefusedView>,
    /// How many entries are newer than the first of the page.
    pub newer: u64,
    /// How many entries there are in all.
    pub total: u64,
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
    /// Its last health.
    pub health: Option<Arc<Health>>,
    /// Whether the last health is older than three intervals, or there is none from a booth that was heard.
    pub stale: bool,
    /// Age of the last health, in seconds by the hub's clock.
    pub health_age_s: Option<u64>,
    /// How often the booth promises to send health, in seconds.
    pub health_interval_s: u64,
    /// Age of the oldest clip not yet acknowledged, in seconds, as of the last health.
    pub oldest_unsent_s: Option<u64>,
    /// Clips on its card, as of the last health.
    pub spool_clips: Option<u64>,
    /// Raised alerts, worst first.
    pub alerts: Vec<AlertView>,
    /// From its birth: the card that is in it.
    pub card_id: Option<CardId>,
    /// From its birth.
    pub sw_version: Option<String>,
    /// When the hub last stored a clip spoken there, RFC 3339 UTC.
    pub last_clip_at: Option<String>,
    /// From its birth: whether it seals clips.
    pub sealed: Option<bool>,
    /// From its birth: it records whoever lifts the handset, without asking. For closed events.
    pub consent_is_implied: bool,
    /// From its birth: the names of keys that it seals to and that this hub does not know. Empty where the hub knows none at all.
    pub unknown_keys: Vec<String>,
    /// Two machines (`hw_serial`) claim this id.
    pub two_serials: bool,
    /// What it said last of the centre's configuration.
    pub config: Option<ConfigReport>,
}

impl BoothView {
    /// A booth of `hub.toml` from which nothing was ever heard.
    pub(crate) fn never_heard(booth_id: &str) -> Self {
        Self {
            booth_id: booth_id.to_owned(),
            name: String::new(),
            place: String::new(),
            expected: true,
            heard: false,
            presence: None,
            ready: None,
            health: None,
            stale: false,
            health_age_s: None,
            health_interval_s: DEFAULT_INTERVAL_S,
            oldest_unsent_s: None,
            spool_clips: None,
            alerts: Vec::new(),
            card_id: None,
            sw_version: None,
            last_clip_at: None,
            sealed: None,
            consent_is_implied: false,
            unknown_keys: Vec::new(),
            two_serials: false,
            config: None,
        }
    }
}

/// One raised alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertView {
    /// An id of the table, or of a later version's table.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
    /// When it was raised, as the booth says.
    pub since: String,
    /// Whether the booth has said it since the hub connected and since the booth introduced itself.
    pub confirmed: bool,
}

/// Messages of a sender that the hub could not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableView {
    /// The sender in the topic; not always a booth.
    pub sender: String,
    /// The kind of message it should have been, as the topic calls it.
    pub kind: String,
    /// How many messages.
    pub times: u64,
    /// When the last one came, RFC 3339 UTC.
    pub last_at: String,
    /// What was wrong with the last one.
    pub why: String,
}

/// Clip numbers of one card that the hub does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapView {
    /// The card that gave the numbers.
    pub card_id: CardId,
    /// Where that card was last.
    pub booth_id: String,
    /// Missing numbers as `(first, last)`, both inclusive; only the lowest ranges if there are very many.
    pub missing: Vec<(u64, u64)>,
    /// How many numbers are missing in all.
    pub numbers: u64,
    /// `missing_between`, `still_on_booth` or `card_gone`.
    pub kind: String,
    /// When that card was last heard, RFC 3339 UTC.
    pub last_seen: String,
}

/// A clip that an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedView {
    /// When it was refused or flagged, RFC 3339 UTC.
    pub at: String,
    /// The sender, a booth's id.
    pub booth_id: String,
    /// The clip's id in the topic.
    pub clip_id: ClipId,
    /// The reason, one sentence.
    pub reason: String,
    /// Its place in the list.
    pub cursor: Cursor,
}

/// Everything the page of one booth shows.
#[derive(Debug, Clone, PartialEq)]
pub struct BoothPage {
    /// When it was put together.
    pub generated_at: jiff::Timestamp,
    /// Its row of the fleet.
    pub booth: BoothView,
    /// How the values of [`crate::pages::names`] went, for each of [`crate::course::Span::ALL`].
    pub courses: [Vec<Point>; 3],
    /// What it said and the hub could not read.
    pub unreadable: Vec<UnreadableView>,
    /// Its alerts over time, its events and its replies, the latest first.
    pub happened: Listed<Happened>,
    /// Clip numbers that the hub does not have.
    pub gaps: Vec<GapView>,
    /// The cards that were there, the last one first.
    pub cards: Vec<CardView>,
    /// The machines that started under its id within the last 30 days, the last one first.
    pub machines: Vec<MachineView>,
}

/// A card that was at a booth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardView {
    /// The card.
    pub card_id: CardId,
    /// When it was heard there first and last, RFC 3339 UTC.
    pub first_seen: String,
    /// See `first_seen`.
    pub last_seen: String,
    /// The highest number that it gave a message.
    pub last_clip_no: Option<u64>,
    /// The booth has announced it, or an operator has accepted it.
    pub is_announced: bool,
    /// It is in the booth now.
    pub is_current: bool,
}

/// A machine that started under a booth's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineView {
    /// Its serial number.
    pub hw_serial: String,
    /// When it started last, RFC 3339 UTC.
    pub last_birth: String,
}

/// The file of a clip, and its hash and date.
#[derive(Debug, Clone)]
pub struct ClipFile {
    /// Where it lies. It never changes.
    pub files: BodyFiles,
    /// SHA-256 of the file, hex.
    pub sha256: BodyHash,
    /// When the hub stored it.
    pub stored_at: jiff::Timestamp,
    /// What opens it, if it is sealed.
    pub sealed: Option<SealedClip>,
    /// It is a written message, and no sound.
    pub is_text: bool,
}

/// A sealed clip, and what it must be when it is opened.
#[derive(Debug, Clone)]
pub struct SealedClip {
    /// The clip that it must be.
    pub clip_id: ClipId,
    /// Its manifest says that a power cut ended it, so that its last frame may be missing.
    pub recovered: bool,
    /// What opens it.
    pub keys: Arc<Keyring>,
}

/// The questions that the pages ask. A call may block for a database read of some milliseconds.
pub trait Views: Send + Sync + 'static {
    /// The page for people, with at most `limit` clips from this place on.
    fn answers_at(&self, limit: usize, place: &Place) -> AnswersView;
    /// The page for people with the newest clips.
    fn answers(&self, limit: usize) -> AnswersView {
        self.answers_at(limit, &Place::Newest)
    }
    /// The operations page.
    fn fleet(&self) -> FleetView;
    /// The page of one booth; `None` for a booth that is neither expected nor heard.
    fn booth(&self, booth_id: &str) -> Option<BoothPage>;
    /// What an operator should look at: at most `limit` entries from this place on.
    fn refused(&self, limit: usize, place: &Place) -> RefusedPage;
    /// The file of a stored clip that the pages can play.
    fn clip_file(&self, clip_id: &ClipId) -> Option<ClipFile>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_list_survives_an_address_and_nothing_else_is_one() {
        let cursor = Cursor {
            at: "2026-03-01T10:00:00.000Z".into(),
            id: "6f9619ff-8b86-4d01-b42d-00cf4fc964ff".into(),
        };
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor.clone()));
        assert!(!cursor.text().contains(['&', '#', '+', '%', ' ', '"']));
        for bad in [
            "",
            "~",
            "~x",
            "2026-03-01T10:00:00.000Z",
            "2026-03-01T10:00:00.000Z~",
            "yesterday~x",
            "2026-03-01T10:00:00.000Z~a'b",
            "2026-03-01T10:00:00.000Z~ø",
            &format!("2026-03-01T10:00:00.000Z~{}", "x".repeat(200)),
        ] {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }
}
