//! Who is told next, and when nobody is: pure, time is an input.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A booth that runs the new version must be ready for so long before the next wave begins.
const STEADY: SignedDuration = SignedDuration::from_mins(10);
/// A booth that was ready and is not after the update is given so long.
const MAY_BE_UNREADY: SignedDuration = SignedDuration::from_mins(15);
/// A booth that says nothing of its update for so long has failed: a mobile link may take hours.
const MAY_BE_QUIET: SignedDuration = SignedDuration::from_hours(6);
/// A booth that is there and runs the new version so long after its last word has kept it: a trial and the wait for a quiet moment before it are
/// over by then, and the word of it was lost while the hub was away.
const MUST_BE_KEPT: SignedDuration = SignedDuration::from_hours(2);
/// A booth that is there and has not answered for so long has not got the command, and is told again, so often in all.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_mins(20);
const MOST_TOLD: u32 = 3;
/// What a booth answers that works on an update already.
const UNDER_WAY: &str = "an update is under way";
/// Most booths that fetch an update at the same time.
const MOST_AT_ONCE: usize = 20;

/// How far a booth is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Its turn has not come.
    Waits,
    /// It was told.
    Told,
    /// It runs the new version.
    Done,
    /// It went back, or never came to it; the sentence says what is known.
    Failed(String),
}

/// One booth of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The booth.
    pub booth: String,
    /// How far it is.
    pub standing: Standing,
    /// When it was told, or since when it is there with the new version.
    pub since: Option<Timestamp>,
    /// What it said last of its update.
    pub phase: Option<String>,
    /// Whether citizens could speak there when it was told.
    pub was_ready: bool,
    /// Since when citizens cannot speak there, after the update.
    pub unready_since: Option<Timestamp>,
    /// When the hub listened again, after it was away while the booth was at work: a silence counts from then on.
    #[serde(default)]
    pub listened_since: Option<Timestamp>,
    /// The mark of what it had said of an earlier update when it was told.
    #[serde(default)]
    pub said_before: Option<String>,
    /// How often it was told.
    #[serde(default)]
    pub times_told: u32,
    /// The wave in which it was told, from 1 on.
    pub wave: u32,
}

/// A version on its way through the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// The version, as booths say it in their birth.
    pub version: String,
    /// Where the update's file is.
    pub url: String,
    /// Who began it, and when.
    pub by: String,
    /// See `by`.
    pub begun_at: Timestamp,
    /// The booths, in the order in which they are told.
    pub booths: Vec<Progress>,
    /// The wave that is under way, from 1 on.
    pub wave: u32,
    /// Why no further booth is told.
    pub stopped: Option<String>,
    /// When every booth had it.
    pub done_at: Option<Timestamp>,
}

/// What is known of a booth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// It is connected, and its health is fresh.
    pub is_online: bool,
    /// A citizen can speak there.
    pub is_ready: bool,
    /// The version that it runs.
    pub version: Option<String>,
    /// What it said last of an update.
    pub said: Option<Said>,
}

/// What `event/update` and `reply/update` say (docs/updates.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It works on it.
    UnderWay,
    /// The new version is what starts from now on.
    Committed,
    /// The version from before runs.
    GaveUp,
}

/// What a booth said of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When the hub heard it.
    pub at: Timestamp,
    /// What it means.
    pub phase: Phase,
    /// The booth's word for it, and its reason.
    pub words: String,
    /// What tells it from another event of the same words: a booth says an outcome again until its broker has taken it.
    pub mark: String,
}

impl Said {
    /// Reads an event; `None` for what is none.
    pub fn read(at: &str, payload: &str) -> Option<Self> {
        let fields: Value = serde_json::from_str(payload).ok()?;
        let word = fields.get("phase")?.as_str()?;
        let phase = match word {
            "committed" => Phase::Committed,
            "rolled_back" | "failed" => Phase::GaveUp,
            _ => Phase::UnderWay,
        };
        let word: String = word.chars().take(40).collect();
        let words = match fields.get("reason").and_then(Value::as_str) {
            Some(reason) if !reason.is_empty() => {
                format!("{word}: {}", reason.chars().take(300).collect::<String>())
            }
            _ => word,
        };
        Some(Self {
            at: at.parse().ok()?,
            phase,
            words,
            mark: fields
                .get("phase_at")
                .map_or_else(String::new, |at| at.to_string().chars().take(40).collect()),
        })
    }

    /// Reads the answer to the command; a booth that does not take it has given up.
    pub fn reply(at: &str, payload: &str) -> Option<Self> {
        let fields: Value = serde_json::from_str(payload).ok()?;
        let (phase, words) = match fields.get("ok")?.as_u64()? {
            0 => {
                let why = fields.get("error").and_then(Value::as_str);
                let why: String = why.unwrap_or("no reason").chars().take(300).collect();
                match why.starts_with(UNDER_WAY) {
                    true => (Phase::UnderWay, why),
                    false => (Phase::GaveUp, format!("it does not take the update: {why}")),
                }
            }
            _ => (Phase::UnderWay, "accepted".to_owned()),
        };
        Some(Self {
            at: at.parse().ok()?,
            phase,
            words,
            mark: String::new(),
        })
    }
}

impl Rollout {
    /// Nobody has been told yet.
    pub fn new(now: Timestamp, by: &str, version: &str, url: &str, booths: Vec<String>) -> Self {
        let waits = |booth| Progress {
            booth,
            standing: Standing::Waits,
            since: None,
            phase: None,
            was_ready: false,
            unready_since: None,
            listened_since: None,
            said_before: None,
            times_told: 0,
            wave: 0,
        };
        Self {
            version: version.to_owned(),
            url: url.to_owned(),
            by: by.to_owned(),
            begun_at: now,
            booths: booths.into_iter().map(waits).collect(),
            wave: 1,
            stopped: None,
            done_at: None,
        }
    }

    /// Whether it is looked at: it is not over, even if it is stopped.
    pub fn is_under_way(&self) -> bool {
        self.done_at.is_none() && self.stopped.is_none()
    }

    /// The hub listens again after it heard nothing for a while: what it did not hear meanwhile is no silence of a booth.
    pub fn hub_was_away(&mut self, now: Timestamp) {
        for one in &mut self.booths {
            one.unready_since = None;
            if one.standing == Standing::Told {
                one.listened_since = Some(now);
            }
        }
    }

    /// No further booth is told.
    pub fn stop(&mut self, why: String) {
        self.stopped.get_or_insert(why);
    }

    /// It goes on: what had failed waits for its turn again.
    pub fn go_on(&mut self) {
        self.stopped = None;
        for one in &mut self.booths {
            // While it was stopped nobody looked.
            one.unready_since = None;
            if matches!(one.standing, Standing::Failed(_)) {
                one.standing = Standing::Waits;
                (one.since, one.wave, one.times_told) = (None, 0, 0);
            }
        }
    }

    /// A booth could not be told after all.
    pub fn was_not_told(&mut self, booth: &str) {
        if let Some(one) = self.booths.iter_mut().find(|one| one.booth == booth) {
            one.standing = Standing::Waits;
            (one.since, one.wave) = (None, 0);
            one.times_told = one.times_told.saturating_sub(1);
        }
    }

    /// How many booths the wave that is under way may have: one, then a tenth, then all.
    fn size(&self) -> usize {
        match self.wave {
            1 => 1,
            2 => self.booths.len().div_ceil(10),
            _ => usize::MAX,
        }
    }

    /// Takes over what is known now; answers which booths are to be told.
    pub fn step(&mut self, now: Timestamp, facts: &BTreeMap<String, Facts>) -> Vec<String> {
        let unknown = Facts::default();
        let version = self.version.clone();
        for one in &mut self.booths {
            let known = facts.get(&one.booth).unwrap_or(&unknown);
            one.see(now, &version, known);
        }
        let failed = self.booths.iter().find_map(|one| match &one.standing {
            Standing::Failed(why) => Some(format!("{}: {why}", one.booth)),
            _ => None,
        });
        if let Some(why) = failed {
            self.stop(why);
            return Vec::new();
        }
        if self.booths.iter().all(|one| one.standing == Standing::Done) {
            self.done_at = Some(now);
            return Vec::new();
        }
        if self.is_wave_over(now, facts) {
            self.wave += 1;
        }
        self.tell(now, facts)
    }

    /// Every booth of the wave runs the new version and was steady for a while, and the wave has as many as it may, or as are there.
    fn is_wave_over(&self, now: Timestamp, facts: &BTreeMap<String, Facts>) -> bool {
        // Booths that had the version before are of no wave, and prove nothing.
        let of_wave: Vec<&Progress> = self
            .booths
            .iter()
            .filter(|one| one.wave == self.wave)
            .collect();
        let is_steady = |one: &&Progress| {
            one.standing == Standing::Done
                && one.unready_since.is_none()
                && one
                    .since
                    .is_some_and(|since| now.duration_since(since) >= STEADY)
        };
        let waits =
            |one: &Progress| one.standing == Standing::Waits && self.may_be_told(one, facts);
        let is_full = of_wave.len() >= self.size() || !self.booths.iter().any(waits);
        self.wave < 3 && !of_wave.is_empty() && is_full && of_wave.iter().all(is_steady)
    }

    /// The first waves go to booths where citizens can speak, because only there it can be seen that they still can.
    fn may_be_told(&self, one: &Progress, facts: &BTreeMap<String, Facts>) -> bool {
        let known = facts.get(&one.booth);
        known.is_some_and(|known| known.is_online && (known.is_ready || self.wave > 2))
    }

    /// The booths whose turn it is: those that are there, as many as the wave and the link may bear.
    fn tell(&mut self, now: Timestamp, facts: &BTreeMap<String, Facts>) -> Vec<String> {
        let of = |wanted: &dyn Fn(&Progress) -> bool| {
            self.booths.iter().filter(|one| wanted(one)).count()
        };
        let told = of(&|one| one.standing == Standing::Told);
        let of_wave = of(&|one| one.wave == self.wave);
        let room = MOST_AT_ONCE.saturating_sub(told);
        let room = room.min(self.size().saturating_sub(of_wave));
        let is_next =
            |one: &Progress| one.standing == Standing::Waits && self.may_be_told(one, facts);
        let places = self.booths.iter().enumerate();
        let next: Vec<usize> = places
            .filter(|(_, one)| is_next(one))
            .map(|(place, _)| place)
            .take(room)
            .collect();
        let wave = self.wave;
        let mut ids = Vec::new();
        for place in next {
            let one = &mut self.booths[place];
            one.standing = Standing::Told;
            one.since = Some(now);
            one.listened_since = None;
            one.times_told += 1;
            let said = facts.get(&one.booth).and_then(|known| known.said.as_ref());
            one.said_before = said.map(|said| said.mark.clone());
            one.phase = None;
            one.was_ready = facts.get(&one.booth).is_some_and(|known| known.is_ready);
            one.wave = wave;
            ids.push(one.booth.clone());
        }
        ids
    }
}

impl Progress {
    fn see(&mut self, now: Timestamp, version: &str, known: &Facts) {
        let runs_it = known.version.as_deref() == Some(version);
        // After a clock that was set back nothing lies ahead.
        self.since = self.since.map(|since| since.min(now));
        // What was said before this booth was told is of another update.
        let said = known
            .said
            .as_ref()
            .filter(|said| self.since.is_some_and(|since| said.at >= since))
            .filter(|said| said.mark.is_empty() || self.said_before.as_ref() != Some(&said.mark));
        if let (Standing::Told, Some(said)) = (&self.standing, said) {
            self.phase = Some(said.words.clone());
        }
        match self.standing {
            Standing::Waits if runs_it => self.done(now),
            Standing::Told => {
                let gave_up = said.filter(|said| said.phase == Phase::GaveUp);
                let is_committed = said.is_some_and(|said| said.phase == Phase::Committed);
                let last = said.map(|said| said.at).or(self.since).unwrap_or(now);
                let last = last.max(self.listened_since.unwrap_or(last)).min(now);
                let is_kept = known.is_online && now.duration_since(last) > MUST_BE_KEPT;
                if let Some(said) = gave_up {
                    self.standing = Standing::Failed(said.words.clone());
                } else if runs_it && (is_committed || is_kept) {
                    self.done(now);
                } else if let Some(runs) = &known.version
                    && is_committed
                    && now.duration_since(last) > STEADY
                {
                    let why = format!("it has taken the update in, and says that it runs {runs}");
                    self.standing = Standing::Failed(why);
                } else if said.is_none()
                    && !runs_it
                    && known.is_online
                    && self.times_told < MOST_TOLD
                    && now.duration_since(last) > TOLD_AGAIN
                {
                    self.standing = Standing::Waits;
                    (self.since, self.wave) = (None, 0);
                } else if now.duration_since(last) > MAY_BE_QUIET {
                    self.standing =
                        Standing::Failed("it has said nothing of its update for six hours".into());
                }
            }
            Standing::Done => self.watch(now, runs_it, known),
            Standing::Waits | Standing::Failed(_) => {}
        }
    }

    fn done(&mut self, now: Timestamp) {
        self.standing = Standing::Done;
        self.since = Some(now);
    }

    /// It runs the new version: does it still, and can citizens speak there as before?
    fn watch(&mut self, now: Timestamp, runs_it: bool, known: &Facts) {
        if self.wave == 0 {
            return;
        }
        if !runs_it && known.version.is_some() {
            let runs = known.version.as_deref().unwrap_or_default();
            self.standing = Standing::Failed(format!("it went back to {runs}"));
            return;
        }
        if !self.was_ready || (known.is_online && known.is_ready) {
            // It must be steady anew.
            if self.unready_since.take().is_some() {
                self.since = Some(now);
            }
            return;
        }
        let since = *self.unready_since.get_or_insert(now);
        if now.duration_since(since) > MAY_BE_UNREADY {
            self.standing = Standing::Failed(
                "citizens could speak there before the update, and cannot now".into(),
            );
        }
    }
}
