//! What the city needs of the hub.
//!
//! Owns: the seam between what arrived (the hub's store, its campaigns, its booths) and what people make of it (this crate). The hub
//! implements [`Centre`]; tests implement it in memory. Never does: anything itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use booth_contract::wanted::Wanted;
use booth_contract::{ClipId, MediaHash, Publish};
use jiff::Timestamp;

use crate::sentence;
use crate::watch::Sighting;
use crate::words::Sentence;

/// Why the hub did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CentreError {
    /// There is no such message, or it was withdrawn.
    #[error("{}", self.told())]
    NotThere,
    /// It is sealed to a key that is not here.
    #[error("{}", self.told())]
    Sealed,
    /// What was sent in is not what it should be; the sentence is for whoever sent it.
    #[error("{0}")]
    Refused(Sentence),
    /// The one-time code of a vote was used before.
    #[error("{}", self.told())]
    CodeUsed,
    /// The one-time code of a vote is on no list of its campaign.
    #[error("{}", self.told())]
    CodeUnknown,
    /// Too much at once; it may be tried again.
    #[error("{}", self.told())]
    Busy,
    /// The hub's store failed; the words are for the log.
    #[error("the hub's store failed: {0}")]
    Failed(String),
}

impl From<Sentence> for CentreError {
    fn from(sentence: Sentence) -> Self {
        Self::Refused(sentence)
    }
}

impl CentreError {
    /// What a reader is told, in the reader's language.
    pub fn told(&self) -> Sentence {
        match self {
            Self::NotThere => sentence!("staff-no-message"),
            Self::Sealed => sentence!("fault-sealed"),
            Self::Refused(sentence) => sentence.clone(),
            Self::CodeUsed => sentence!("home-code-used"),
            Self::CodeUnknown => sentence!("home-code-unknown"),
            Self::Busy => sentence!("fault-busy"),
            Self::Failed(_) => sentence!("fault-503-what"),
        }
    }
}

/// Where a message came from (contract §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the contract's own
pub enum Source {
    Booth,
    Web,
    Phone,
    Workshop,
}

impl Source {
    /// All of them, in the order in which pages show them.
    pub const ALL: [Self; 4] = [Self::Booth, Self::Web, Self::Phone, Self::Workshop];

    /// The contract's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Booth => "booth",
            Self::Web => "web",
            Self::Phone => "phone",
            Self::Workshop => "workshop",
        }
    }

    /// Reads the contract's word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.word() == word)
    }
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Spoken.
    Spoken,
    /// Written: from home, or at a workshop.
    Written,
    /// A vote.
    Vote,
}

impl Kind {
    /// The contract's word (§3.3).
    pub fn word(self) -> &'static str {
        match self {
            Self::Spoken => "audio",
            Self::Written => "text",
            Self::Vote => "choice",
        }
    }

    /// Reads the contract's word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Spoken, Self::Written, Self::Vote]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// One message as it arrived. Test clips and clips that wait for an operator are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrived {
    /// Its id; it stays the same in every release of open data.
    pub id: ClipId,
    /// What it is.
    pub kind: Kind,
    /// Where it came from.
    pub source: Source,
    /// The booth where it was spoken; `None` unless `source` is a booth.
    pub booth_id: Option<String>,
    /// The campaign, where it belongs to one.
    pub campaign_id: Option<String>,
    /// The question.
    pub question_id: Option<String>,
    /// The digit that was chosen, for a vote.
    pub choice: Option<u8>,
    /// The citizen's language, e.g. `da`.
    pub lang: Option<String>,
    /// When it was spoken, by the corrected clock; `None` where that is not known.
    pub spoken_at: Option<Timestamp>,
    /// When the hub stored it.
    pub received_at: Timestamp,
    /// How long it is, in ms; 0 where it has no sound.
    pub duration_ms: u64,
    /// Share of half seconds with speech in them, 0 to 1.
    pub speech_ratio: Option<f64>,
    /// Loudness over the whole, dBFS.
    pub rms_dbfs: Option<f64>,
    /// A power cut ended it.
    pub recovered: bool,
    /// What its citizen allowed to be published.
    pub may_publish: Publish,
    /// The notice that its citizen heard or read.
    pub notice_id: Option<String>,
    /// Whoever runs the hub has marked it as a child's.
    pub is_child: bool,
}

/// A message that is no more: withdrawn by its citizen, or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Its place in the list of what is gone; the list only grows.
    pub place: i64,
    /// Its id.
    pub id: ClipId,
}

/// An answer that does not come from a booth.
pub struct Submission {
    /// `web`, `phone` or `workshop`.
    pub source: Source,
    /// The campaign.
    pub campaign_id: String,
    /// The question.
    pub question_id: String,
    /// What is said.
    pub body: Body,
    /// Its language.
    pub lang: String,
    /// When it was said; now, where `None`.
    pub said_at: Option<Timestamp>,
    /// What may be published.
    pub may_publish: Publish,
    /// The notice that was read.
    pub notice_id: String,
    /// The one-time code of a vote, where the question asks for one.
    pub code: Option<String>,
}

/// What an answer consists of.
pub enum Body {
    /// A complete Ogg Opus file (RFC 7845), with its length in ms.
    Spoken(Vec<u8>, u64),
    /// A text.
    Written(String),
    /// A digit.
    Vote(u8),
}

/// What became of a submission.
pub struct Taken {
    /// Its id.
    pub id: ClipId,
    /// Its receipt: 12 digits, shown once and kept by nobody.
    pub receipt: Option<String>,
}

/// A campaign as the hub has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: String,
    /// Its title, for people.
    pub title: String,
    /// From this local time on, `YYYY-MM-DDTHH:MM`.
    pub from: Option<String>,
    /// Up to this local time.
    pub until: Option<String>,
    /// The booths that have it; `None` means all.
    pub booths: Option<Vec<String>>,
    /// The languages in which it is asked, the first one first.
    pub languages: Vec<String>,
    /// What is asked.
    pub questions: Vec<Question>,
    /// The notice's text by language, where the campaign has its own.
    pub notice: BTreeMap<String, String>,
    /// What may be published of a child's message: `text`, `voice` or `not_published`.
    pub children: String,
}

/// A question of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its id.
    pub id: String,
    /// Its digit at the booth.
    pub digit: u8,
    /// Its text by language.
    pub text: BTreeMap<String, String>,
    /// Its sound by language.
    pub prompt: BTreeMap<String, MediaHash>,
    /// The options of a vote, by digit; empty for a question that is answered in words.
    pub options: Vec<Choice>,
    /// What a citizen may allow to be published at most.
    pub may_publish: Publish,
    /// The longest answer, seconds.
    pub max_seconds: Option<u64>,
    /// A vote counts only with a one-time code.
    pub needs_code: bool,
    /// "You said, we did", by language.
    pub answer: BTreeMap<String, String>,
    /// Its sound.
    pub answer_prompt: BTreeMap<String, MediaHash>,
}

/// An option of a vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its digit, 2 to 9.
    pub digit: u8,
    /// Its id.
    pub id: String,
    /// Its text by language.
    pub text: BTreeMap<String, String>,
    /// Its sound by language.
    pub prompt: BTreeMap<String, MediaHash>,
}

/// Questions that are stopped, by the ids of their campaigns and their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopped(pub BTreeMap<String, BTreeSet<String>>);

impl Stopped {
    /// Whether this question is.
    pub fn has(&self, campaign: &str, question: &str) -> bool {
        let of_campaign = self.0.get(campaign);
        of_campaign.is_some_and(|questions| questions.contains(question))
    }

    /// The same where either may be missing: what belongs to no question is not stopped.
    pub fn has_some(&self, campaign: Option<&str>, question: Option<&str>) -> bool {
        let both = campaign.zip(question);
        both.is_some_and(|(campaign, question)| self.has(campaign, question))
    }

    /// Each of them.
    pub fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        let campaigns = self.0.iter();
        campaigns.flat_map(|(campaign, questions)| {
            let questions = questions.iter();
            questions.map(move |question| (campaign.as_str(), question.as_str()))
        })
    }
}

/// A booth at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct BoothNow {
    /// Its id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Whether a citizen can speak there.
    pub is_ready: bool,
    /// Counters of a day, by the names of health (contract §3.2): `lifts`, `clips`, `refused`, `left_early`, `discarded`. They count from
    /// local midnight on, of the day of `said_at`.
    pub today: BTreeMap<String, u64>,
    /// When the booth said so; `None` where that is not known, and then the counters belong to no day.
    pub said_at: Option<Timestamp>,
}

/// A technician's word, by the handset, that a booth stands at the place with this number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Which booth.
    pub booth: String,
    /// The place's number.
    pub number: u32,
    /// When it was said, by the booth's clock, or else when the hub heard it.
    pub at: Timestamp,
}

/// Something to say about a campaign's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The line that it is about, from 1 on; `None` for the whole file.
    pub line: Option<usize>,
    /// The key, as people call it: `question "square" digit`.
    pub key: String,
    /// What is wrong, or worth a look, and what would be right: it follows the key.
    pub why: String,
}

/// Something that a campaign says, in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// What it is: `question "square"`, `question "colour" option "red"`, `question "square" answer`, `prompt "notice"`.
    pub what: String,
    /// The language.
    pub lang: String,
    /// What is said.
    pub text: Option<String>,
    /// The name of the recording that is played instead, where there is one.
    pub sound: Option<String>,
    /// Where it stands in the file.
    pub line: usize,
    /// The prompt that was made of it as it is, with its length in ms; `None` while it is to be made.
    pub made: Option<(MediaHash, u64)>,
}

/// What is known of a campaign's file, without changing anything.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// The campaign's id; empty where the file has none.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The language in which the booths ask first.
    pub language: String,
    /// What must be mended before it can be published.
    pub faults: Vec<Remark>,
    /// What is worth a look.
    pub remarks: Vec<Remark>,
    /// Everything that it says.
    pub sayings: Vec<Saying>,
    /// The configuration of a booth with this campaign alone, where the file is right. A prompt that is not made yet has a hash that
    /// belongs to no sound.
    pub wanted: Option<Wanted>,
}

/// Takes the sentences that tell how far something is.
pub type Tell<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Why the city has a message deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Its time is over: what citizens take back goes first.
    Retention,
    /// Somebody asked for it without a receipt.
    Case,
}

/// What became of a receipt that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// It is noted. Whether there is such a message is told to nobody.
    Noted,
    /// It is no receipt: wrong length or check digit.
    NoReceipt,
    /// Too many tries.
    TooMany,
}

/// The hub, as the city uses it. Every call may block for a read of the disk; none may be called on an asynchronous thread.
pub trait Centre: Send + Sync + 'static {
    /// Messages whose place is beyond `after`, in their order, at most `limit`, each with its place. Places rise; a store that was rebuilt
    /// begins anew, under another [`Centre::store_name`].
    fn arrived(&self, after: i64, limit: usize) -> Result<Vec<(i64, Arrived)>, CentreError>;
    /// The place of the newest message that is there; 0 without any. It sinks when that message goes, and the next one may get its place.
    fn newest(&self) -> Result<i64, CentreError>;
    /// How many messages there are, so that one that was admitted late is noticed.
    fn number(&self) -> Result<u64, CentreError>;
    /// The name of the store; another name means other places.
    fn store_name(&self) -> Result<String, CentreError>;
    /// What is gone, beyond `after`, at most `limit`.
    fn gone(&self, after: i64, limit: usize) -> Result<Vec<Gone>, CentreError>;
    /// The place of what went last; 0 where nothing is gone. A store that was restored has a lower one.
    fn newest_gone(&self) -> Result<i64, CentreError>;
    /// The messages that whoever runs the hub has marked as a child's, in no order. A mark may come, and go, at any time.
    fn children(&self) -> Result<Vec<ClipId>, CentreError>;
    /// The sound of a message, a complete Ogg Opus file, opened in memory.
    fn sound(&self, id: &ClipId) -> Result<Vec<u8>, CentreError>;
    /// The text of a written message.
    fn text(&self, id: &ClipId) -> Result<String, CentreError>;
    /// Keeps an answer like a booth's: durable, sealed at rest, with a receipt.
    fn submit(&self, submission: Submission) -> Result<Taken, CentreError>;
    /// Takes back the message of a receipt.
    fn withdraw(&self, from: IpAddr, receipt: &str) -> Result<Withdrawal, CentreError>;
    /// Deletes a message as if its citizen had withdrawn it, in the turn of this reason.
    fn delete(&self, id: &ClipId, why: Deletion) -> Result<(), CentreError>;
    /// The campaigns that were published to the booths and not taken back, with those that are over.
    fn campaigns(&self) -> Result<Vec<Campaign>, CentreError>;
    /// The questions that are stopped at this moment, of whatever campaign: no booth asks them, and citizens see neither them nor what was
    /// said to them.
    fn stopped(&self) -> Result<Stopped, CentreError>;
    /// One prompt as Ogg Opus.
    fn prompt(&self, hash: &MediaHash) -> Result<Vec<u8>, CentreError>;
    /// What is wrong with the booths and the hub at this moment; booths that are paused are no part of the fleet.
    fn sightings(
        &self,
        now: Timestamp,
        paused: &BTreeSet<String>,
    ) -> Result<Vec<Sighting>, CentreError>;
    /// Whether the hub takes messages: it is connected to the broker, and its store answers.
    fn takes_messages(&self) -> bool;
    /// The booths.
    fn booths(&self) -> Result<Vec<BoothNow>, CentreError>;
    /// The booths that are connected, each with the network that it says it is in, e.g. `10.1.2.0/24`; without those where that says nothing.
    fn networks(&self) -> Result<Vec<(String, String)>, CentreError>;
    /// What technicians said beyond `after`, in its order, at most `limit`, each with its place; `None` for what cannot be read. Places rise; see
    /// [`Centre::newest_word`].
    fn placed(&self, after: i64, limit: usize) -> Result<Vec<(i64, Option<Placed>)>, CentreError>;
    /// The place of the newest event that is there; 0 without any. A store that was restored or rebuilt has a lower one.
    fn newest_word(&self) -> Result<i64, CentreError>;
    /// The TOML of a campaign that is in force, as it was published.
    fn campaign_file(&self, id: &str) -> Result<String, CentreError>;
    /// Checks a campaign's TOML as the command does. `sound` in it names what [`Centre::keep_sound`] has kept.
    fn check_campaign(&self, toml: &str) -> Result<Checked, CentreError>;
    /// Keeps a recording for a campaign's `sound`, and returns the name to write there. What cannot be a prompt is refused.
    fn keep_sound(&self, sound: &[u8]) -> Result<String, CentreError>;
    /// Makes the prompts of a campaign's TOML that are not made yet: texts are spoken, recordings are levelled. What cannot be made is
    /// among the faults.
    fn make_prompts(&self, toml: &str, tell: Tell<'_>) -> Result<Checked, CentreError>;
    /// The texts that the city must sign before this campaign can be published, each for other booths; none where no signature is needed.
    fn texts_to_sign(&self, toml: &str) -> Result<Vec<String>, CentreError>;
    /// Publishes a campaign to its booths, with its prompts made and with the signed texts (text, signature of minisign) where it needs
    /// them. Returns when each booth has it in force or refuses it, or after a minute and a half; what is published stays so.
    fn publish_campaign(
        &self,
        toml: &str,
        signed: &[(String, String)],
        tell: Tell<'_>,
    ) -> Result<(), CentreError>;
}
