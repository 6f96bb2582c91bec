//! Clips in quarantine, and their way back (contract §3.4, §3.6, §3.7).
//!
//! Owns: why each clip is there, and when it is offered again: by itself when the present hub is another one than the hub
//! that refused it, or because somebody asks. Never does: touch the card, or let go of a clip; the keeper moves it, delivery
//! sends it. A restart loses nothing: what must be known is in the clip's own file (docs/spool-format.md §5).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::retry::Retry;
use booth_contract::time::Mono;
use booth_contract::{AlertId, BootId, ClipId, HubState, Presence};

/// A clip leaves quarantine by itself at most this often.
const BY_ITSELF: Duration = Duration::from_secs(3600);
/// Clips that come back at a time, so that the card has pauses between them.
pub const BATCH: usize = 16;
/// First and last pause after the card did not let a clip out.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LAST_PAUSE: Duration = Duration::from_secs(3600);
/// Longest reason, in characters.
const LONGEST_REASON: usize = 500;
/// Longest version of a hub that is remembered, in characters.
const LONGEST_VERSION: usize = 64;
/// Most schemas of a hub that are remembered.
const MOST_SCHEMAS: usize = 32;

/// Why a clip is in quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The hub refused it.
    Hub,
    /// Its file is not what was written.
    Damage,
    /// Its file could not be read when the spool was opened, and may be whole.
    Unread,
    /// The reason is not known any more.
    Unknown,
}

/// The statements of a hub that decide which clips it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubTerms {
    /// Which program, and which version of it.
    #[serde(default)]
    pub version: Option<String>,
    /// Largest clip body that it takes, bytes.
    #[serde(default)]
    pub max_clip_bytes: Option<u64>,
    /// Versions of the manifest that it reads, in order.
    #[serde(default)]
    pub schemas: Option<Vec<u32>>,
}

impl HubTerms {
    /// Takes the terms from a hub's state, cut to what is worth remembering.
    pub fn of(state: &HubState) -> Self {
        let cut = |text: &String| text.chars().take(LONGEST_VERSION).collect();
        let schemas = state.schemas.clone().map(|mut schemas| {
            schemas.sort_unstable();
            schemas.dedup();
            schemas.truncate(MOST_SCHEMAS);
            schemas
        });
        Self {
            version: state.version.as_ref().map(cut),
            max_clip_bytes: state.max_clip_bytes,
            schemas,
        }
    }
}

/// A moment of one machine boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The machine boot.
    pub boot_id: BootId,
    /// Time on its boot-time clock.
    pub mono_ms: u64,
}

/// What is remembered of a clip that is in quarantine, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Why it is or was there.
    pub cause: Cause,
    /// The same in words.
    pub reason: String,
    /// What the hub that refused it had said of itself; `None` where that is not known.
    #[serde(default)]
    pub hub: Option<HubTerms>,
    /// When it last came back by itself.
    #[serde(default)]
    pub returned: Option<Moment>,
    /// It came out, or was about to come out.
    #[serde(default)]
    pub is_out: bool,
}

impl Note {
    fn new(cause: Cause, reason: &str, hub: Option<HubTerms>) -> Self {
        Self {
            cause,
            reason: reason.chars().take(LONGEST_REASON).collect(),
            hub,
            returned: None,
            is_out: false,
        }
    }

    /// The hub refused it.
    pub fn refused(reason: &str, hub: Option<HubTerms>) -> Self {
        Self::new(Cause::Hub, reason, hub)
    }

    /// Its file is not what was written.
    pub fn damaged(reason: &str) -> Self {
        Self::new(Cause::Damage, reason, None)
    }

    /// Its file could not be read.
    pub fn unread(reason: &str) -> Self {
        Self::new(Cause::Unread, reason, None)
    }

    /// It is not known why the clip is there.
    pub fn unknown(reason: &str) -> Self {
        Self::new(Cause::Unknown, reason, None)
    }
}

/// Which clips somebody wants offered again (contract §3.7, `resend`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All that the hub or the broker refused.
    All,
    /// This clip.
    One(ClipId),
}

#[derive(Debug)]
struct Held {
    note: Note,
    /// The keeper was instructed to bring it back.
    is_leaving: bool,
    retry: Retry,
}

/// The clips in quarantine.
#[derive(Debug)]
pub struct Quarantine {
    boot_id: BootId,
    clips: BTreeMap<ClipId, Held>,
    /// The clip that was refused last, named in the alert's sentence.
    latest: Option<ClipId>,
    /// What the present hub says of itself.
    hub: Option<HubTerms>,
}

impl Quarantine {
    /// A quarantine of which nothing is known yet, in this boot of the machine.
    pub fn new(boot_id: BootId) -> Self {
        Self {
            boot_id,
            clips: BTreeMap::new(),
            latest: None,
            hub: None,
        }
    }

    /// The spool was opened: these clips are in quarantine, and no others.
    pub fn found(&mut self, clips: impl IntoIterator<Item = (ClipId, Note)>) {
        self.clips.clear();
        self.latest = None;
        for (clip_id, note) in clips {
            self.entered(&clip_id, note);
        }
    }

    /// A clip goes to quarantine, or is there already; `note` is what is known of it.
    pub fn entered(&mut self, clip_id: &ClipId, note: Note) {
        let is_whole = note.cause != Cause::Damage;
        let held = Held {
            note,
            is_leaving: false,
            retry: Retry::new(FIRST_PAUSE, LAST_PAUSE),
        };
        self.clips.insert(clip_id.clone(), held);
        match is_whole {
            true => self.latest = Some(clip_id.clone()),
            false => self.find_latest(),
        }
    }

    /// Finds the clip for the alert's sentence where the latest has come out or is damaged.
    fn find_latest(&mut self) {
        let is_whole = |clip_id: &ClipId| {
            let held = self.clips.get(clip_id);
            held.is_some_and(|held| held.note.cause != Cause::Damage)
        };
        if !self.latest.as_ref().is_some_and(is_whole) {
            self.latest = self.clips.keys().rev().find(|id| is_whole(id)).cloned();
        }
    }

    /// The hub says something of itself. A hub that goes offline says nothing about what it takes.
    pub fn hub_says(&mut self, state: &HubState) {
        if state.state == Presence::Online {
            self.hub = Some(HubTerms::of(state));
        }
    }

    /// What the present hub says of itself.
    pub fn hub(&self) -> Option<&HubTerms> {
        self.hub.as_ref()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// What is known of a clip in quarantine.
    pub fn note(&self, clip_id: &ClipId) -> Option<&Note> {
        self.clips.get(clip_id).map(|held| &held.note)
    }

    /// This moment, in the form that is written to the card.
    pub fn moment(&self, now: Mono) -> Moment {
        Moment {
            boot_id: self.boot_id.clone(),
            mono_ms: now.0,
        }
    }

    /// When a clip may come back by itself, if the present hub is another one than the hub that refused it.
    fn due_at(&self, held: &Held) -> Option<Mono> {
        let note = &held.note;
        let is_another_hub = match note.cause {
            Cause::Damage => return None,
            // Trying costs no more than reading the file.
            Cause::Unread => return Some(held.retry.due()),
            Cause::Hub | Cause::Unknown => self.hub.is_some() && note.hub != self.hub,
        };
        // A clip that was on its way out when the power went continues on its way.
        if !is_another_hub && !note.is_out {
            return None;
        }
        let rested = match &note.returned {
            None => Mono(0),
            Some(at) if at.boot_id == self.boot_id => Mono(at.mono_ms) + BY_ITSELF,
            // It came back in an earlier boot, so at least as long ago as this boot has lasted.
            Some(_) => Mono(0) + BY_ITSELF,
        };
        Some(rested.max(held.retry.due()))
    }

    /// Clips that come back by themselves now; each is named once until [`Quarantine::came_back`] or [`Quarantine::stays`].
    pub fn due(&mut self, now: Mono) -> Vec<ClipId> {
        let under_way = self.clips.values().filter(|held| held.is_leaving).count();
        let due: Vec<ClipId> = self
            .clips
            .iter()
            .filter(|(_, held)| !held.is_leaving)
            .filter(|(_, held)| self.due_at(held).is_some_and(|at| at <= now))
            .map(|(clip_id, _)| clip_id.clone())
            .take(BATCH.saturating_sub(under_way))
            .collect();
        self.leave(&due);
        due
    }

    /// When, after now, [`Quarantine::due`] should be asked although nothing happened.
    pub fn deadline(&self, now: Mono) -> Option<Mono> {
        self.clips
            .values()
            .filter(|held| !held.is_leaving)
            .filter_map(|held| self.due_at(held))
            .filter(|at| *at > now)
            .min()
    }

    /// The clips that come back because somebody asks for all: those that the hub refused, and those that may be whole.
    pub fn all(&self) -> Vec<ClipId> {
        let whole = self
            .clips
            .iter()
            .filter(|(_, held)| held.note.cause != Cause::Damage);
        whole.map(|(clip_id, _)| clip_id.clone()).collect()
    }

    /// The keeper is instructed to bring these clips back.
    pub fn leave(&mut self, clips: &[ClipId]) {
        for clip_id in clips {
            if let Some(held) = self.clips.get_mut(clip_id) {
                held.is_leaving = true;
            }
        }
    }

    /// A clip is out; from now on delivery sends it.
    pub fn came_back(&mut self, clip_id: &ClipId) {
        self.clips.remove(clip_id);
        self.find_latest();
    }

    /// A clip could not come out; `damage` says that its file is not what was written.
    pub fn stays(&mut self, now: Mono, clip_id: &ClipId, damage: Option<&str>) {
        let Some(held) = self.clips.get_mut(clip_id) else {
            return;
        };
        held.is_leaving = false;
        held.retry.failed(now);
        if let Some(why) = damage {
            held.note = Note {
                cause: Cause::Damage,
                reason: why.chars().take(LONGEST_REASON).collect(),
                ..held.note.clone()
            };
            self.find_latest();
        }
    }

    /// The alerts for operations.
    pub fn alerts(&self) -> BTreeMap<AlertId, String> {
        let mut alerts = BTreeMap::new();
        let damaged = |held: &&Held| held.note.cause == Cause::Damage;
        let count = self.clips.values().filter(damaged).count();
        if let Some((clip_id, held)) = self.clips.iter().find(|(_, held)| damaged(held)) {
            let text = format!(
                "{} damaged and in quarantine on the card, the first {clip_id}: {}",
                clips_are(count),
                held.note.reason
            );
            alerts.insert(AlertId::SpoolDamaged, text);
        }
        let count = self.clips.len() - count;
        if let Some((clip_id, held)) = self
            .latest
            .as_ref()
            .and_then(|latest| self.clips.get_key_value(latest))
        {
            let text = match held.note.cause {
                Cause::Hub => format!(
                    "{} in quarantine on the card; the hub refused the latest, {clip_id}: {}",
                    clips_are(count),
                    held.note.reason
                ),
                _ => format!(
                    "{} in quarantine on the card, the latest {clip_id}: {}",
                    clips_are(count),
                    held.note.reason
                ),
            };
            alerts.insert(AlertId::ClipRejected, text);
        }
        alerts
    }
}

fn clips_are(count: usize) -> String {
    match count {
        1 => "1 clip is".into(),
        many => format!("{many} clips are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn hub(version: &str, max_clip_bytes: u64) -> HubState {
        HubState {
            version: Some(version.into()),
            max_clip_bytes: Some(max_clip_bytes),
            schemas: Some(vec![1]),
            ..HubState::bare(Presence::Online)
        }
    }

    fn refused_by(state: &HubState) -> Note {
        Note::refused("too large", Some(HubTerms::of(state)))
    }

    fn quarantine(now: &HubState, clips: &[(&str, Note)]) -> Quarantine {
        let mut quarantine = Quarantine::new("boot-1".into());
        quarantine.hub_says(now);
        let clips = clips.iter().map(|(id, note)| ((*id).into(), note.clone()));
        quarantine.found(clips);
        quarantine
    }

    #[test]
    fn a_rejected_clip_comes_back_when_version_limit_or_schemas_of_the_hub_differ_and_not_before() {
        let old = hub("1.0", 1_000);
        let mut same = quarantine(&old, &[("a", refused_by(&old))]);
        assert_eq!(same.due(Mono(0)), Vec::<String>::new());
        assert_eq!(same.deadline(Mono(0)), None);
        // The hub repeats its state every minute, and its will is published when it goes.
        same.hub_says(&old);
        same.hub_says(&HubState::bare(Presence::Lost));
        assert!(same.due(Mono(0)).is_empty());
        let others = [
            hub("1.1", 1_000),
            hub("1.0", 2_000),
            HubState {
                schemas: Some(vec![1, 2]),
                ..old.clone()
            },
            // A hub that says nothing of itself counts as another one.
            HubState::bare(Presence::Online),
        ];
        for other in others {
            let mut quarantine = quarantine(&old, &[("a", refused_by(&old))]);
            quarantine.hub_says(&other);
            assert_eq!(quarantine.due(Mono(5)), ["a"], "{other:?}");
            assert!(quarantine.due(Mono(5)).is_empty(), "named once");
        }
        // The order of the schemas says nothing.
        let two = |schemas: &[u32]| HubState {
            schemas: Some(schemas.to_vec()),
            ..old.clone()
        };
        let mut turned = quarantine(&two(&[2, 1]), &[("a", refused_by(&two(&[1, 2, 2])))]);
        assert!(turned.due(Mono(0)).is_empty());
    }

    #[test]
    fn two_hubs_in_turn_bring_a_clip_back_once_an_hour_also_across_restarts() {
        let (one, other) = (hub("1.0", 1_000), hub("1.1", 1_000));
        let mut offers = Vec::new();
        let mut note = refused_by(&one);
        let mut quarantine = quarantine(&one, &[("a", note.clone())]);
        for minute in 0..300u64 {
            let now = Mono(minute * 60_000);
            let there = if minute % 2 == 0 { &one } else { &other };
            quarantine.hub_says(there);
            if minute == 90 {
                // The gateway starts again, in the same boot of the machine.
                quarantine = Quarantine::new("boot-1".into());
                quarantine.hub_says(there);
                quarantine.found([("a".into(), note.clone())]);
            }
            if quarantine.due(now) == ["a"] {
                offers.push(minute);
                quarantine.came_back(&"a".into());
                note = Note {
                    returned: Some(quarantine.moment(now)),
                    ..refused_by(there)
                };
                quarantine.entered(&"a".into(), note.clone());
            }
        }
        assert_eq!(offers, [1, 62, 123, 184, 245]);
        // After a boot it is not known how long the machine was off: the hour counts from this boot.
        let mut booted = Quarantine::new("boot-2".into());
        booted.found([("a".into(), note)]);
        booted.hub_says(&hub("2.0", 1));
        assert!(booted.due(Mono(HOUR - 1)).is_empty());
        assert_eq!(booted.deadline(Mono(5)), Some(Mono(HOUR)));
        assert_eq!(booted.due(Mono(HOUR)), ["a"]);
    }

    #[test]
    fn a_clip_of_which_nobody_knows_the_hub_gets_a_second_chance_and_a_damaged_one_does_not() {
        let there = hub("1.0", 1_000);
        let clips = [
            ("damaged", Note::damaged("a checksum")),
            ("lost", Note::unknown("the reason was lost")),
            ("early", Note::refused("no", None)),
        ];
        let mut quarantine = quarantine(&there, &clips);
        assert_eq!(quarantine.due(Mono(0)), ["early", "lost"]);
        assert_eq!(quarantine.all(), ["early", "lost"]);
        let mut without_hub = Quarantine::new("boot-1".into());
        without_hub.found(clips.map(|(id, note)| (id.into(), note)));
        assert!(without_hub.due(Mono(u64::MAX)).is_empty());
    }

    #[test]
    fn a_clip_that_the_card_does_not_let_out_is_tried_ever_more_slowly() {
        let (old, new) = (hub("1.0", 1), hub("1.1", 1));
        let mut quarantine = quarantine(&new, &[("a", refused_by(&old))]);
        let (mut now, mut tries) = (Mono(0), 0);
        while now < Mono(12 * HOUR) {
            if quarantine.due(now) == ["a"] {
                tries += 1;
                quarantine.stays(now, &"a".into(), None);
            }
            now = quarantine.deadline(now).expect("another try");
        }
        assert!((12..20).contains(&tries), "{tries}");
        // A clip that turns out to be damaged stays, and is reported as damaged.
        assert_eq!(quarantine.due(now), ["a"]);
        quarantine.stays(
            now,
            &"a".into(),
            Some("the record at byte 24 has a wrong checksum"),
        );
        assert_eq!(quarantine.deadline(now), None);
        let alerts = quarantine.alerts();
        assert!(alerts[&AlertId::SpoolDamaged].contains("byte 24"));
        assert!(!alerts.contains_key(&AlertId::ClipRejected));
    }

    #[test]
    fn many_come_back_a_few_at_a_time() {
        let (old, new) = (hub("1.0", 1), hub("1.1", 1));
        let mut quarantine = quarantine(&new, &[]);
        quarantine.found((0..100).map(|n| (format!("clip-{n:03}").into(), refused_by(&old))));
        let mut seen = 0;
        for _ in 0..50 {
            let due = quarantine.due(Mono(0));
            assert!(due.len() <= BATCH);
            for clip_id in &due {
                quarantine.came_back(clip_id);
            }
            seen += due.len();
        }
        assert_eq!(seen, 100);
        assert!(quarantine.is_empty() && quarantine.alerts().is_empty());
    }

    #[test]
    fn the_alert_says_how_many_and_the_latest_reason_and_ends_with_the_last_one() {
        let old = hub("1.0", 1);
        let mut quarantine = quarantine(&old, &[("a", refused_by(&old))]);
        quarantine.entered(&"b".into(), Note::refused("schema 2 is not known", None));
        let text = &quarantine.alerts()[&AlertId::ClipRejected];
        assert!(
            text.contains("2 clips are") && text.contains("schema 2"),
            "{text}"
        );
        quarantine.came_back(&"b".into());
        let text = &quarantine.alerts()[&AlertId::ClipRejected];
        assert!(
            text.contains("1 clip is") && text.contains("too large"),
            "{text}"
        );
        quarantine.came_back(&"a".into());
        assert!(quarantine.alerts().is_empty());
    }

    #[test]
    fn what_outsiders_say_is_cut_to_what_a_card_remembers() {
        let state = HubState {
            version: Some("v".repeat(10_000)),
            schemas: Some((0..10_000).collect()),
            ..HubState::bare(Presence::Online)
        };
        let note = Note::refused(&"no ".repeat(10_000), Some(HubTerms::of(&state)));
        let text = serde_json::to_string(&note).expect("a note");
        assert!(text.len() < 1_500, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Note>(&text).expect("a note"), note);
    }
}
