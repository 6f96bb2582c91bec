//! What really happened, and the promises held against it.
//!
//! Owns: for every take what was said, what the spool called safe, and what became of it; every invariant. Never does:
//! change anything in the world.

use std::collections::{BTreeMap, BTreeSet};

use booth_contract::time::Mono;
use booth_contract::{Ack, AckStatus, AlertId, ClipKind, Manifest, Publish, Topic, Topics};
use booth_gateway::run::{Fix, KeeperEvent};
use booth_spool::{KeptClip, OpenReport, Spool};
use gateway_core::session::TakeId;

use super::World;
use super::plan::SECOND;

/// A refusal is known at the handset after the keeper's look and a turn of the loop.
const TOLD_WITHIN: u64 = 12 * SECOND;
/// Speech that a cut may cost.
const MOST_LOST_MS: u64 = 1_000;

/// How a take stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Open,
    /// The spool said: kept.
    Finished,
    /// Cut off by a death or a refusing card; this much had been spoken.
    CutOff {
        spoken_ms: u64,
    },
    /// The closing write is in doubt: with its last page, or without.
    Unsure {
        spoken_ms: u64,
    },
    Discarded,
    /// Told to be discarded, and neither marked nor gone.
    HalfDiscarded,
    /// Deleted by its citizen after it had its number: nothing is left but what declares that one void.
    Void,
}

/// What became of it at the centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    Stored,
    Rejected,
    Withdrawn,
}

struct Spoken {
    life: u64,
    visit: u64,
    armed_at: u64,
    /// Body that the spool called safe.
    safe: Vec<u8>,
    safe_ms: u64,
    last_page: Vec<u8>,
    sha256: Option<String>,
    clip_no: Option<(String, u64)>,
    stand: Stand,
    there: There,
    is_withdrawn: bool,
    /// Its citizen heard that the booth has taken note of the withdrawal.
    is_noted: bool,
    is_vote: bool,
    /// Its citizen pressed the key that deletes it.
    is_deleted: bool,
    /// In which life the booth took it back, because the card did not delete it at once.
    taken_back: Option<u64>,
    /// Its citizen pressed the key for text, and the one for the voice.
    allowed: (bool, bool),
    was_released: bool,
    /// The manifest as it left for the first time, by its checksum.
    offered: Option<u32>,
}

impl Spoken {
    /// Whether it must be somewhere.
    fn is_owed(&self) -> bool {
        match self.stand {
            Stand::Finished | Stand::Void => true,
            Stand::CutOff { .. } | Stand::Unsure { .. } | Stand::Open => self.safe_ms > 0,
            Stand::Discarded | Stand::HalfDiscarded => false,
        }
    }
}

/// The book of everything said.
#[derive(Default)]
pub struct Truth {
    takes: BTreeMap<String, Spoken>,
    /// Clips owed that are not at the centre yet.
    owed: BTreeSet<String>,
    /// Numbers by card: who has each.
    numbers: BTreeMap<(String, u64), String>,
    /// Since when the card's look has refused.
    refused_since: Option<u64>,
    /// What was armed or cast last.
    latest: Option<String>,
    /// The latest vote: in which life, and when.
    latest_vote: Option<(u64, u64)>,
    /// The one before it, which counts again where the card did not take the latest.
    vote_before: Option<(u64, u64)>,
    /// The withdrawals that left the booth, by their ids.
    withdrawals: BTreeSet<String>,
}

impl World {
    /// Consent: every take has an act of its own, in this visit, with the handset off its hook.
    pub(super) fn armed(&mut self, take: TakeId, clip_id: &str) {
        if self.citizen.acts == 0 {
            return self.broken(format!("take {take:?} was armed without an act of consent"));
        }
        self.citizen.acts = 0;
        self.begins(clip_id);
    }

    /// A vote: of an option that its citizen pressed after the one before, and not before the pause is over.
    pub(super) fn voted(&mut self, clip_id: &str, choice: u8) {
        if !self.citizen.pressed.contains(&choice) {
            return self.broken(format!("option {choice} is cast, which nobody chose"));
        }
        self.citizen.pressed.clear();
        let (life, now) = (self.life, self.now);
        let pause = self.plan.min_pause_s * SECOND;
        let latest = self.truth.latest_vote.replace((life, now));
        if latest.is_some_and(|(before, at)| before == life && now + 50 < at + pause) {
            return self.broken(format!(
                "a vote is cast {latest:?}, before its pause is over"
            ));
        }
        self.truth.vote_before = latest;
        self.outcome.votes += 1;
        self.begins(clip_id);
        if let Some(spoken) = self.spoken(clip_id) {
            spoken.is_vote = true;
        }
    }

    /// The card did not take the vote: whoever comes next waits for no pause.
    pub(super) fn vote_failed(&mut self) {
        self.truth.latest_vote = self.truth.vote_before.take();
    }

    fn begins(&mut self, clip_id: &str) {
        self.truth.latest = Some(clip_id.to_owned());
        let spoken = Spoken {
            life: self.life,
            visit: self.citizen.visit,
            armed_at: self.now,
            safe: Vec::new(),
            safe_ms: 0,
            last_page: Vec::new(),
            sha256: None,
            clip_no: None,
            stand: Stand::Open,
            there: There::Nothing,
            is_withdrawn: false,
            is_noted: false,
            is_vote: false,
            is_deleted: false,
            taken_back: None,
            allowed: (false, false),
            was_released: false,
            offered: None,
        };
        self.truth.takes.insert(clip_id.to_owned(), spoken);
    }

    fn spoken(&mut self, clip_id: &str) -> Option<&mut Spoken> {
        self.truth.takes.get_mut(clip_id)
    }

    pub(super) fn take_begun(&mut self, clip_id: &str) {
        if self.spoken(clip_id).is_none() {
            self.broken(format!("clip {clip_id} was begun without a take"));
        }
    }

    pub(super) fn kept_from(&mut self, clip_id: &str, from: u64) {
        if let Some(spoken) = self.spoken(clip_id)
            && from < spoken.armed_at
        {
            let armed_at = spoken.armed_at;
            self.broken(format!(
                "clip {clip_id} keeps sound from {from}, before the consent at {armed_at}"
            ));
        }
    }

    pub(super) fn page_is_safe(&mut self, clip_id: &str, body: &[u8], ms: u64) {
        if let Some(spoken) = self.spoken(clip_id) {
            spoken.safe.extend_from_slice(body);
            spoken.safe_ms += ms;
            self.truth.owed.insert(clip_id.to_owned());
        }
    }

    pub(super) fn take_finished(&mut self, clip: &KeptClip, last: &[u8]) {
        let now = self.now;
        if self
            .spoken(&clip.clip_id)
            .is_some_and(|spoken| spoken.is_deleted)
        {
            return self.broken(format!("{} is kept, and was deleted", clip.clip_id));
        }
        let is_withdrawn = self.chance.below(1_000) < self.plan.withdrawn;
        let key = (clip.card_id.to_string(), clip.clip_no);
        if let Some(spoken) = self.spoken(&clip.clip_id) {
            spoken.safe.extend_from_slice(last);
            spoken.safe_ms = clip.duration_ms;
            spoken.sha256 = Some(clip.sha256.to_string());
            spoken.clip_no = Some(key.clone());
            spoken.stand = Stand::Finished;
            spoken.is_withdrawn |= is_withdrawn;
            self.truth.owed.insert(clip.clip_id.to_string());
        }
        if is_withdrawn {
            self.hub.withdraw(now, &clip.clip_id);
        }
        self.outcome.kept += 1;
        self.number_given(key, &clip.clip_id);
    }

    fn number_given(&mut self, key: (String, u64), clip_id: &str) {
        let other = self.truth.numbers.insert(key.clone(), clip_id.to_owned());
        if let Some(other) = other.filter(|other| other != clip_id) {
            self.broken(format!(
                "number {key:?} was given to {other} and to {clip_id}"
            ));
        }
    }

    /// The closing write failed or was cut off: the last page may be there or not.
    pub(super) fn take_unsure(&mut self, clip_id: &str, last: &[u8], spoken_ms: u64) {
        if let Some(spoken) = self.spoken(clip_id) {
            spoken.last_page = last.to_vec();
            spoken.stand = Stand::Unsure { spoken_ms };
        }
    }

    /// The card refused a page; what was said until `to` had a page or half a second more.
    pub(super) fn take_failed(&mut self, clip_id: &str, _to: u64) {
        if let Some(spoken) = self.spoken(clip_id)
            && spoken.stand == Stand::Open
        {
            spoken.stand = Stand::CutOff {
                spoken_ms: spoken.safe_ms + 500,
            };
        }
    }

    pub(super) fn take_discarded(&mut self, clip_id: &str, is_done: bool) {
        if let Some(spoken) = self.spoken(clip_id) {
            spoken.stand = if is_done {
                Stand::Discarded
            } else {
                Stand::HalfDiscarded
            };
            self.truth.owed.remove(clip_id);
            self.outcome.discarded += u64::from(is_done);
        }
    }

    /// The card did not delete it at once: whatever comes of it, nothing but its number leaves while this booth knows.
    pub(super) fn is_taken_back(&mut self, clip_id: &str) {
        let life = self.life;
        if let Some(spoken) = self.spoken(clip_id) {
            spoken.taken_back = Some(life);
            self.truth.owed.remove(clip_id);
        }
    }

    /// Nothing is left of what its citizen deleted; or nothing but its number.
    fn came_to_nothing(&mut self, clip_id: &str, void: Option<&KeptClip>) {
        let Some(spoken) = self.spoken(clip_id) else {
            return self.broken(format!("{clip_id} is taken back, which nobody spoke"));
        };
        if spoken.taken_back.is_none() {
            return self.broken(format!("{clip_id} is taken back, and nobody deleted it"));
        }
        let Some(void) = void else {
            return self.take_discarded(clip_id, true);
        };
        let key = (void.card_id.to_string(), void.clip_no);
        spoken.stand = Stand::Void;
        spoken.safe = Vec::new();
        spoken.last_page = Vec::new();
        spoken.sha256 = Some(String::new());
        spoken.clip_no = Some(key.clone());
        spoken.offered = None;
        self.truth.owed.insert(clip_id.to_owned());
        self.outcome.voided += 1;
        self.number_given(key, clip_id);
    }

    /// The process is about to be gone.
    pub(super) fn takes_cut_off(&mut self) {
        let now = self.now;
        let Some(process) = &self.process else { return };
        let recorder = &process.recorder;
        let current = recorder.take.as_ref().map(|take| {
            (
                take.clip_id.clone(),
                take.spoken(recorder.heard_to(now) + 25),
            )
        });
        for (clip_id, spoken) in &mut self.truth.takes {
            if spoken.stand != Stand::Open {
                continue;
            }
            let said = match &current {
                Some((id, Some((from, to)))) if id == clip_id => to.saturating_sub(*from),
                _ => 0,
            };
            spoken.stand = Stand::CutOff { spoken_ms: said };
        }
    }

    /// Only what the centre has, by its own hash, may go.
    pub(super) fn check_receipt(&mut self, clip_id: &str, sha256: &str) {
        if self.truth.withdrawals.contains(clip_id) {
            return;
        }
        let Some(spoken) = self.truth.takes.get_mut(clip_id) else {
            return self.broken(format!("a receipt for {clip_id}, which nobody spoke"));
        };
        let fits = spoken.sha256.as_deref().is_none_or(|own| own == sha256);
        let is_there = matches!(spoken.there, There::Stored | There::Withdrawn);
        spoken.was_released = true;
        if !fits || !is_there {
            self.broken(format!(
                "clip {clip_id} is let go by a receipt for {sha256}; at the centre: {is_there}"
            ));
        }
    }

    /// What the keeper tells: mended clips have their numbers.
    pub(super) fn keeper_told(&mut self, event: &KeeperEvent) {
        match event {
            KeeperEvent::Mended(clips, _) => {
                for clip in clips {
                    self.say(|| format!("mended: {} number {}", clip.clip_id, clip.clip_no));
                    self.came_back(clip);
                }
            }
            KeeperEvent::Probed(result) => self.say(|| format!("probed: {result:?}")),
            KeeperEvent::Closed(result) => self.say(|| format!("closed: {result:?}")),
            KeeperEvent::Centre(_) => {}
            KeeperEvent::Remembered(written) => {
                if let Err(error) = written {
                    self.say(|| format!("the memory of commands: {error}"));
                }
            }
            KeeperEvent::Purged(clip_id, _) => {
                self.broken(format!("nobody has asked to give {clip_id} up"));
            }
            KeeperEvent::TakenBack(clip_id, void) => {
                self.say(|| format!("taken back: {clip_id} {void:?}"));
                self.came_to_nothing(clip_id, void.as_ref());
            }
            KeeperEvent::Room(room) => self.say(|| format!("room: {room:?}")),
            KeeperEvent::Damaged(why) | KeeperEvent::Failed(why) => {
                self.say(|| format!("keeper: {why}"));
            }
            KeeperEvent::Fixed(clips) => {
                let failed = clips.iter().find(|(_, done)| !matches!(done, Fix::Done));
                if let Some((clip_id, done)) = failed {
                    self.say(|| format!("the manifest of {clip_id} cannot be fixed now: {done:?}"));
                }
            }
            KeeperEvent::FoundWithdrawals(found) => {
                self.say(|| format!("{} withdrawals are read after all", found.len()));
            }
            KeeperEvent::Withdrawn(result) => self.say(|| format!("a withdrawal: {result:?}")),
            KeeperEvent::Quarantined(clip_id, note) => {
                self.say(|| format!("{clip_id} is in quarantine: {note:?}"));
            }
            KeeperEvent::BroughtBack(clips) => {
                for (clip_id, result) in clips {
                    self.say(|| format!("out of quarantine: {clip_id} {result:?}"));
                    if result.is_ok()
                        && let Some(spoken) = self.truth.takes.get_mut(clip_id.as_str())
                        && spoken.there == There::Rejected
                    {
                        spoken.there = There::Nothing;
                        self.truth.owed.insert(clip_id.to_string());
                        self.outcome.returned += 1;
                    }
                }
            }
            KeeperEvent::Opened(spool, report) => self.spool_opened(spool, report),
        }
    }

    /// A take that was finished late or recovered.
    fn came_back(&mut self, clip: &KeptClip) {
        self.number_given((clip.card_id.to_string(), clip.clip_no), &clip.clip_id);
        let Some(spoken) = self.truth.takes.get_mut(clip.clip_id.as_str()) else {
            return self.broken(format!("clip {} came from nowhere", clip.clip_id));
        };
        let said = match spoken.stand {
            Stand::Discarded => {
                return self.broken(format!(
                    "the discarded take {} was brought back",
                    clip.clip_id
                ));
            }
            Stand::CutOff { spoken_ms } | Stand::Unsure { spoken_ms } => spoken_ms,
            Stand::Open | Stand::Finished | Stand::HalfDiscarded | Stand::Void => spoken.safe_ms,
        };
        spoken.sha256 = Some(clip.sha256.to_string());
        spoken.clip_no = Some((clip.card_id.to_string(), clip.clip_no));
        let safe_ms = spoken.safe_ms;
        if spoken.taken_back != Some(self.life) {
            self.truth.owed.insert(clip.clip_id.to_string());
        }
        self.outcome.recovered += u64::from(clip.recovered);
        if clip.duration_ms < safe_ms || clip.duration_ms + MOST_LOST_MS < said {
            self.broken(format!(
                "clip {} came back with {} ms; {safe_ms} ms were safe and {said} ms were said",
                clip.clip_id, clip.duration_ms
            ));
        }
    }

    /// Every opening of the spool shows every clip that is owed.
    pub(super) fn spool_opened(&mut self, spool: &Spool, report: &OpenReport) {
        self.say(|| {
            format!(
                "the spool has {} clips, {} recovered, {} unsettled, aside {:?}, damaged {:?}",
                report.clips,
                report.recovered.len(),
                report.left_unsettled,
                report.set_aside,
                report.damaged
            )
        });
        for clip in &report.recovered {
            self.came_back(clip);
        }
        if report.left_unsettled > 0 {
            return;
        }
        let mut there: BTreeMap<String, KeptClip> = BTreeMap::new();
        let quarantined = spool.quarantined_clips().into_iter().map(|(clip, _)| clip);
        for clip in spool.clips().into_iter().chain(quarantined) {
            there.insert(clip.clip_id.to_string(), clip);
        }
        for (clip_id, clip) in &there {
            let is_void = clip.sha256.is_empty();
            if is_void
                && self
                    .truth
                    .takes
                    .get(clip_id)
                    .is_some_and(|spoken| spoken.taken_back.is_some())
            {
                self.came_to_nothing(clip_id, Some(clip));
                continue;
            }
            match self
                .truth
                .takes
                .get(clip_id)
                .map(|spoken| (spoken.stand, spoken.sha256.clone()))
            {
                None => self.broken(format!("clip {clip_id} came from nowhere")),
                Some((Stand::Discarded, _)) => {
                    self.broken(format!("the discarded take {clip_id} was brought back"));
                }
                Some((_, Some(sha256))) if sha256 != clip.sha256 => {
                    self.broken(format!("clip {clip_id} has another body than it had"));
                }
                Some((_, None)) => self.came_back(clip),
                Some(_) => {}
            }
        }
        let lost = self.truth.owed.iter().find(|clip_id| {
            !there.contains_key(*clip_id)
                && self
                    .truth
                    .takes
                    .get(*clip_id)
                    .is_some_and(|spoken| spoken.there == There::Nothing)
                && !self.is_aside(clip_id)
        });
        if let Some(lost) = lost.cloned() {
            self.broken(format!(
                "clip {lost} is neither on the card nor at the centre after the start"
            ));
        }
    }

    fn is_aside(&self, clip_id: &str) -> bool {
        self.disk.files().iter().any(|path| {
            path.starts_with("/spool/aside") && path.to_string_lossy().contains(clip_id)
        })
    }

    /// Whatever is owed has its file on the card or its copy at the centre.
    pub(super) fn nothing_is_lost(&mut self) {
        let files: BTreeSet<String> = self
            .disk
            .files()
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        let lost = self.truth.owed.iter().find(|clip_id| {
            !files.contains(&format!("{clip_id}.clip"))
                && self
                    .truth
                    .takes
                    .get(*clip_id)
                    .is_some_and(|spoken| spoken.there == There::Nothing)
                && !self.is_aside(clip_id)
        });
        if let Some(lost) = lost.cloned() {
            self.broken(format!(
                "clip {lost} is neither on the card nor at the centre"
            ));
        }
    }

    /// The hub has said something about a clip.
    pub(super) fn answered(&mut self, ack: &Ack) {
        let clip_id = &ack.clip_id;
        if self.truth.withdrawals.contains(clip_id.as_str()) {
            return;
        }
        let Some(spoken) = self.truth.takes.get_mut(clip_id.as_str()) else {
            return self.broken(format!("the hub answers for {clip_id}, which nobody spoke"));
        };
        match ack.status {
            AckStatus::Partial => {}
            AckStatus::Reject => {
                if spoken.there == There::Nothing {
                    spoken.there = There::Rejected;
                    self.outcome.rejected += 1;
                }
            }
            AckStatus::Discard => {
                if !spoken.is_withdrawn {
                    return self.broken(format!("clip {clip_id} is called withdrawn and is not"));
                }
                spoken.there = There::Withdrawn;
                self.truth.owed.remove(clip_id.as_str());
            }
            AckStatus::Stored => {
                if spoken.there == There::Stored {
                    return;
                }
                spoken.there = There::Stored;
                self.outcome.stored += 1;
                self.check_stored(&ack.clip_id.clone());
            }
        }
    }

    /// `stored` is said of the true bytes only.
    fn check_stored(&mut self, clip_id: &str) {
        let Some((manifest, body)) = self.hub.stored(clip_id) else {
            return self.broken(format!("clip {clip_id} is called stored and is not there"));
        };
        let Some(spoken) = self.truth.takes.get_mut(clip_id) else {
            return;
        };
        let is_true = match spoken.stand {
            Stand::Finished => body == spoken.safe,
            Stand::Discarded => false,
            Stand::Void => body.is_empty(),
            _ => body.starts_with(&spoken.safe),
        };
        let number = spoken.clip_no.clone();
        spoken.safe = Vec::new();
        spoken.last_page = Vec::new();
        let is_open = spoken.stand == Stand::Open;
        self.hub.forget_body(clip_id);
        self.truth.owed.remove(clip_id);
        if !is_true || is_open {
            return self.broken(format!(
                "clip {clip_id} is stored with other bytes than were spoken"
            ));
        }
        let said: Option<(String, u64)> =
            manifest.map(|manifest: Manifest| (manifest.card_id.to_string(), manifest.clip_no));
        if let (Some(said), Some(number)) = (said, number)
            && said != number
        {
            self.broken(format!(
                "clip {clip_id} has number {number:?} and arrives as {said:?}"
            ));
        }
    }

    /// Nothing about a recording leaves before its citizen has gone.
    pub(super) fn leaves_the_booth(&mut self, topic: &str, payload: &[u8]) {
        let clip_id = match Topics::new("booth/1").parse(topic) {
            Some(Topic::Clip(_, clip_id) | Topic::Part(_, clip_id, _)) => clip_id,
            Some(Topic::Withdraw(_, id)) => {
                self.truth.withdrawals.insert(id.to_string());
                return;
            }
            _ => return self.notes_health(topic, payload),
        };
        if topic.contains("/clip/") {
            self.check_allowed(&clip_id, payload);
        }
        let Some(spoken) = self.truth.takes.get_mut(clip_id.as_str()) else {
            return self.broken(format!("{topic} leaves, which nobody spoke"));
        };
        if topic.contains("/clip/") {
            let sum = crc32c::crc32c(payload);
            if *spoken.offered.get_or_insert(sum) != sum {
                return self.broken(format!("{topic} leaves with another manifest than before"));
            }
        }
        let (life, visit, stand) = (spoken.life, spoken.visit, spoken.stand);
        let is_of_its_number_alone = serde_json::from_slice::<Manifest>(payload)
            .is_ok_and(|manifest| manifest.kind == ClipKind::Void);
        let is_to_be_gone = stand == Stand::Void || spoken.taken_back == Some(self.life);
        if is_to_be_gone && !is_of_its_number_alone {
            return self.broken(format!("{topic} leaves, which its citizen has deleted"));
        }
        let is_gone =
            self.citizen.is_written_off || visit != self.citizen.visit || life != self.life;
        if !is_gone {
            self.broken(format!("{topic} leaves while its citizen is at the booth"));
        }
        if stand == Stand::Discarded {
            self.broken(format!("{topic} leaves although its take was discarded"));
        }
    }

    /// What may be published is what its citizen pressed a key for; nothing, if a power cut ended the visit.
    fn check_allowed(&mut self, clip_id: &str, payload: &[u8]) {
        let (Ok(manifest), Some(spoken)) = (
            serde_json::from_slice::<Manifest>(payload),
            self.truth.takes.get(clip_id),
        ) else {
            return;
        };
        let Some(consent) = manifest.consent else {
            return;
        };
        let (text, voice) = spoken.allowed;
        let is_allowed = match consent.publish {
            Publish::No => true,
            Publish::Text => text && manifest.recovered == 0,
            Publish::Voice => voice && manifest.recovered == 0,
        };
        let is_deleted = spoken.is_deleted && manifest.recovered == 0;
        if !is_allowed || is_deleted {
            self.broken(format!(
                "{clip_id} leaves with publish = {:?}; allowed {:?}, deleted {is_deleted}",
                consent.publish,
                (text, voice)
            ));
        }
    }

    /// The citizen presses a digit while the words are held, or the vote is cast; `is_first` after the recording.
    pub(super) fn pressed_after(&mut self, digit: u8, is_first: bool) {
        let latest = self.truth.latest.clone().unwrap_or_default();
        let visit = self.citizen.visit;
        if let Some(spoken) = self.spoken(&latest)
            && spoken.visit == visit
            && spoken.stand == Stand::Open
            && !spoken.is_vote
        {
            match digit {
                5 if is_first => spoken.is_deleted = true,
                8 => spoken.allowed.0 = true,
                9 => spoken.allowed.1 = true,
                _ => {}
            }
        }
    }

    /// The clip whose receipt a citizen hears now.
    pub(super) fn latest_of_this_visit(&self) -> Option<String> {
        let latest = self.truth.latest.clone()?;
        let spoken = self.truth.takes.get(&latest)?;
        (spoken.visit == self.citizen.visit && spoken.life == self.life).then_some(latest)
    }

    /// A citizen has dialled the whole receipt of this clip.
    pub(super) fn asks_back(&mut self, clip_id: &str) {
        if let Some(spoken) = self.spoken(clip_id) {
            spoken.is_withdrawn = true;
        }
    }

    /// And has heard that the booth has taken note.
    pub(super) fn is_noted(&mut self, clip_id: &str) {
        self.outcome.noted += 1;
        if let Some(spoken) = self.spoken(clip_id) {
            spoken.is_noted = true;
        }
    }

    fn notes_health(&mut self, topic: &str, payload: &[u8]) {
        if topic.ends_with("/health") {
            let health = booth_contract::Health::from_json(payload);
            self.last_ready = health.ok().and_then(|health| health.get("ready"));
        }
    }

    /// A card that is full, or that is known to refuse, invites nobody.
    pub(super) fn check_invitation(&mut self) {
        let now = self.now;
        let is_draining = |process: &super::process::Process| process.gateway.is_draining();
        if self.process.as_ref().is_some_and(is_draining) {
            self.broken("the booth invites to speak while the centre empties it".into());
        }
        if let Some(since) = self.truth.refused_since
            && now - since > TOLD_WITHIN
        {
            self.broken(format!(
                "the booth invites to speak; the card has had no room since {since}"
            ));
        }
    }

    /// Looks whether the card has room, as `statvfs` says it.
    pub(super) fn note_room(&mut self) {
        use booth_spool::disk::Disk;
        let free = self
            .disk
            .free_bytes(std::path::Path::new("/spool"))
            .unwrap_or(u64::MAX);
        let refuses = free < self.plan.reserve;
        self.truth.refused_since = match (refuses, self.truth.refused_since) {
            (false, _) => None,
            (true, since) => since.or(Some(self.now)),
        };
    }

    /// Every queue has its bound.
    pub(super) fn bounds_hold(&mut self) {
        let Some(process) = &self.process else { return };
        let unsent = process.gateway.delivery().unsent();
        let commands = process.recorder.queue.len();
        let known = self.truth.takes.len();
        if unsent > known {
            self.broken(format!(
                "{unsent} clips are unsent, only {known} takes were ever begun"
            ));
        }
        if commands > 64 {
            self.broken("more than 64 commands wait for the recorder".into());
        }
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_settled(&self) -> bool {
        let Some(process) = &self.process else {
            return false;
        };
        let is_owed = self.truth.owed.iter().any(|clip_id| {
            self.truth.takes.get(clip_id).is_some_and(|spoken| {
                spoken.is_owed() && spoken.there == There::Nothing && !self.is_aside(clip_id)
            })
        });
        let on_the_card = self
            .disk
            .files()
            .iter()
            .any(|path| path.starts_with("/spool/clips"));
        // A withdrawal that the card refused may have left a file; that is the next start's business.
        !is_owed
            && !on_the_card
            && process.gateway.delivery().unsent() == 0
            && process.gateway.delivery().unsent_withdrawals() == 0
            && process.gateway.is_ready()
            && self.last_ready == Some(1.0)
            && self.is_known_at_the_hub()
    }

    /// The hub's page shows the alerts that are raised, and no others. A broker whose queue holds fewer messages than a booth has
    /// to say drops some of them for ever.
    fn is_known_at_the_hub(&self) -> bool {
        let Some(process) = &self.process else {
            return false;
        };
        let raised = process.gateway.faults().keys();
        let raised = raised.map(|id| id.as_str().to_owned()).collect();
        self.plan.queue_limit < AlertId::ALL.len() * 2 || self.hub.alerts() == raised
    }

    /// Why it is not settled, for people.
    pub(super) fn unsettled(&self) -> String {
        let Some(process) = &self.process else {
            return "the gateway does not run".into();
        };
        let owed: Vec<&String> = self
            .truth
            .owed
            .iter()
            .filter(|clip_id| {
                self.truth
                    .takes
                    .get(*clip_id)
                    .is_some_and(|spoken| spoken.there == There::Nothing)
            })
            .take(3)
            .collect();
        let files = self.disk.files();
        let files: Vec<_> = files
            .iter()
            .filter(|path| path.starts_with("/spool/clips"))
            .take(3)
            .collect();
        format!(
            "owed {owed:?}, {files:?} on the card, {} unsent, faults {:?}, at the hub {:?}, last health says ready = {:?}",
            process.gateway.delivery().unsent(),
            process.gateway.faults(),
            self.hub.alerts(),
            self.last_ready
        )
    }

    /// After the quiet end: every number once and without gaps, every clip where it must be.
    pub(super) fn check_end(&mut self) {
        let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (card, number) in self.truth.numbers.keys() {
            let most = highest.entry(card).or_default();
            *most = (*most).max(*number);
            *counts.entry(card).or_default() += 1;
        }
        let gap = highest
            .iter()
            .find(|(card, most)| counts[*card] != **most)
            .map(|(card, most)| {
                format!(
                    "card {card} has numbers up to {most} and only {} clips",
                    counts[card]
                )
            });
        if let Some(gap) = gap {
            return self.broken(gap);
        }
        let mut wrong = None;
        let quarantined = self.disk.files();
        let is_quarantined = |clip_id: &str| {
            quarantined.iter().any(|path| {
                path.starts_with("/spool/quarantine") && path.to_string_lossy().contains(clip_id)
            })
        };
        for (clip_id, spoken) in &self.truth.takes {
            if spoken.is_noted && self.hub.stored(clip_id).is_some() {
                wrong = Some(format!("{clip_id} was taken back and is at the centre"));
            }
            let lost = match spoken.stand {
                Stand::CutOff { spoken_ms } | Stand::Unsure { spoken_ms } => spoken_ms,
                _ => 0,
            };
            if spoken.there == There::Nothing
                && spoken.sha256.is_none()
                && lost > MOST_LOST_MS
                && !self.is_aside(clip_id)
            {
                wrong = Some(format!(
                    "{lost} ms of {clip_id} were said and nothing came back"
                ));
            }
            if spoken.there == There::Rejected && !is_quarantined(clip_id) {
                wrong = Some(format!(
                    "clip {clip_id} was rejected and is not in quarantine"
                ));
            }
        }
        if let Some(wrong) = wrong {
            return self.broken(wrong);
        }
        if let Some((gaps, _)) = self.hub.audit() {
            let bad = gaps
                .iter()
                .find(|gap| gap.kind == "missing_between")
                .cloned();
            let explained = self
                .truth
                .takes
                .values()
                .any(|spoken| spoken.there != There::Stored && spoken.clip_no.is_some());
            if let Some(gap) = bad.filter(|_| !explained) {
                self.broken(format!(
                    "the hub's audit misses {:?} of card {}",
                    gap.missing, gap.card_id
                ));
            }
        }
    }
}

/// A time for the trace.
pub fn shown(now: u64, mono: Mono) -> String {
    let (s, ms) = (now / 1_000, now % 1_000);
    format!(
        "d{} {:02}:{:02}:{:02}.{ms:03} (+{})",
        s / 86_400,
        s / 3_600 % 24,
        s / 60 % 60,
        s % 60,
        mono.0
    )
}
