//! What the pages show, read from the database on a connection of its own.
//!
//! Owns: the questions that the pages ask of the store; `lists` and `gaps` have the longer ones. Never does: write. A failure shows
//! as an empty page with the reason in `broker_detail`, and in the log.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use booth_database::{Connection, OptionalExtension, params};
use jiff::Timestamp;

use super::bodies::{Bodies, BodiesAway};
use super::envelopes::BodyFiles;
use super::private::Private;
use super::{StoreError, gaps, lists, schema, unreadable, votes};
use crate::alerts;
use crate::campaign;
use crate::config::ExpectedBooth;
use crate::course::Course;
use crate::ingest::{is_clip_id, shortened};
use crate::keys::Keyring;
use crate::view::SealedClip;
use crate::view::{
    AlertView, AnswersView, BoothPage, BoothView, ClipFile, FleetView, MOST_BARS, MOST_DAYS, Place,
    PollView, RefusedPage, Views,
};
use booth_contract::fleet;
use booth_contract::{
    Birth, BodyHash, BodyKind, ClipId, ConsentMode, Health, Presence, Severity, reading,
};
use booth_host::clock;

/// Two machines under one id are shown for this long after the second was heard.
const TWO_MACHINES_HOURS: i64 = 24;
/// Most keys of one birth that are looked at: a booth seals to at most 32.
const MOST_KEYS: usize = 32;
/// Most clips to look at that the operations page shows, the latest first; the others are on pages of their own.
const SHOWN_REFUSED: usize = 20;

/// Whether the hub is connected to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerStatus {
    /// Connected, and subscribed.
    pub connected: bool,
    /// One sentence.
    pub detail: String,
    /// That another hub uses this one's client id, and what to do about it.
    pub rival: Option<String>,
}

/// The pages' view of the store.
#[derive(Debug)]
pub struct StoreViews {
    pub(super) db: Mutex<Connection>,
    /// The store's folder.
    store: PathBuf,
    bodies: Bodies,
    private: Private,
    keys: Arc<Keyring>,
    /// The names of the keys that booths are to seal to: those of the private keys, and those that are expected besides.
    known_keys: Vec<String>,
    expected: Vec<ExpectedBooth>,
    broker: Arc<Mutex<BrokerStatus>>,
    counts: Kept<Counts>,
    fleet: Kept<FleetView>,
    /// How the booths' values went.
    pub(super) course: Course,
}

/// Counts over all clips.
#[derive(Debug, Clone)]
struct Counts {
    by_question: Vec<(String, u64)>,
    questions: u64,
    by_booth: Vec<(String, String, u64)>,
    booths: u64,
    by_day: Vec<(jiff::civil::Date, u64)>,
    total: u64,
    votes: u64,
    polls: Vec<PollView>,
    polls_total: u64,
}

/// A result of the database that is reused for nine times as long as it took, so that pages take at most a tenth of the database's
/// time however much is stored and however often they are requested.
#[derive(Debug)]
struct Kept<T>(Mutex<Option<(u64, T)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Kept<T> {
    fn get(&self, ask: impl FnOnce() -> booth_database::Result<T>) -> booth_database::Result<T> {
        let mut kept = locked(&self.0);
        let began = clock::mono().0;
        if let Some((until, answer)) = &*kept
            && began < *until
        {
            return Ok(answer.clone());
        }
        let answer = ask()?;
        let now = clock::mono().0;
        *kept = Some((now + 9 * (now - began), answer.clone()));
        Ok(answer)
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoreViews {
    /// Opens the database that [`super::Store`] made in `dir`.
    pub fn open(
        dir: &Path,
        expected: Vec<ExpectedBooth>,
        broker: Arc<Mutex<BrokerStatus>>,
    ) -> Result<Self, StoreError> {
        Self::with(schema::open_in_for_reading(dir)?, dir, expected, broker)
    }

    /// The same with a database that lies elsewhere than the clips.
    pub(crate) fn of(
        database: &Path,
        dir: &Path,
        expected: Vec<ExpectedBooth>,
        broker: Arc<Mutex<BrokerStatus>>,
    ) -> Result<Self, StoreError> {
        Self::with(schema::open_for_reading(database)?, dir, expected, broker)
    }

    fn with(
        db: Connection,
        dir: &Path,
        expected: Vec<ExpectedBooth>,
        broker: Arc<Mutex<BrokerStatus>>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            db: Mutex::new(db),
            store: dir.to_owned(),
            bodies: Bodies::of(dir)?,
            private: Private::beside(dir),
            keys: Arc::default(),
            known_keys: Vec::new(),
            expected,
            broker,
            counts: Kept::default(),
            fleet: Kept::default(),
            course: Course::of(dir),
        })
    }

    /// The same, for a program that reaches the bucket of the bodies with a key of its own.
    ///
    /// # Errors
    /// A bucket's configuration that cannot be used, and a system that gives no thread.
    pub fn reaching(mut self, own: Option<&BodiesAway>) -> Result<Self, StoreError> {
        self.bodies = Bodies::reached(&self.store, own)?;
        if let Some(bucket) = self.bodies.bucket() {
            bucket.is_set_up()?;
        }
        Ok(self)
    }

    /// The same with the private keys that open sealed clips.
    pub fn opening_with(mut self, keys: impl Into<Arc<Keyring>>) -> Self {
        self.keys = keys.into();
        self.known_keys.extend(self.keys.ids());
        self
    }

    /// The same with the names of further keys that booths may seal to.
    pub fn expecting_keys(mut self, ids: Vec<String>) -> Self {
        self.known_keys.extend(ids);
        self
    }

    fn read_answers(
        &self,
        now: Timestamp,
        limit: usize,
        place: &Place,
    ) -> booth_database::Result<AnswersView> {
        let db = locked(&self.db);
        let counts = self.counts.get(|| self.count(&db, now))?;
        let spoken = lists::SPOKEN.total(&db)?;
        let mut clips = lists::SPOKEN.page(&db, limit, place)?;
        let known = self.keys.ids();
        for clip in &mut clips {
            clip.booth_name = self.name_of(&db, &clip.booth_id);
            let is_ours = clip.key_ids.iter().any(|id| known.contains(id));
            clip.can_be_heard |= is_ours || (clip.is_sealed_here && !known.is_empty());
        }
        let newer = match clips.first() {
            Some(first) => lists::SPOKEN.newer_than(&db, &first.cursor())?,
            None => spoken,
        };
        Ok(AnswersView {
            generated_at: now,
            by_question: counts.by_question,
            questions: counts.questions,
            by_booth: counts.by_booth,
            booths: counts.booths,
            by_day: counts.by_day,
            votes: counts.votes,
            polls: counts.polls,
            polls_total: counts.polls_total,
            clips,
            newer,
            spoken,
            total: counts.total,
        })
    }

    fn count(&self, db: &Connection, now: Timestamp) -> booth_database::Result<Counts> {
        let counted = format!(
            "FROM clip WHERE test = 0 AND kind IN ('audio', 'choice') AND {}",
            votes::COUNTS
        );
        // What was published is a remark about votes; without it they are counted all the same.
        let asked = campaign::asked(&self.store).unwrap_or_default();
        let number = |what: &str| {
            db.prepare_cached(&format!("SELECT {what} {counted}"))?
                .query_row([], |row| row.get(0))
        };
        let by_question = db
            .prepare_cached(&format!(
                "SELECT coalesce(question_id, '-') AS q, count(*) AS n {counted} GROUP BY q
                 ORDER BY n DESC, q LIMIT ?1"
            ))?
            .query_map([MOST_BARS], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<booth_database::Result<_>>()?;
        let by_booth = db
            .prepare_cached(&format!(
                "SELECT booth_id AS b, count(*) AS n {counted} GROUP BY b ORDER BY n DESC, b LIMIT ?1"
            ))?
            .query_map([MOST_BARS], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
            })?
            .map(|row| row.map(|(id, n)| (id.clone(), self.name_of(db, &id), n)))
            .collect::<booth_database::Result<_>>()?;
        // A booth east of the hub may be a day ahead; a clock that is further ahead is wrong.
        let tomorrow = (now + jiff::SignedDuration::from_hours(24))
            .to_zoned_datetime(jiff::tz::TimeZone::system())
            .date();
        let mut by_day: Vec<(String, u64)> = db
            .prepare_cached(&format!(
                "SELECT day, count(*) {counted} AND day <= ?1 GROUP BY day ORDER BY day DESC LIMIT ?2"
            ))?
            .query_map(params![tomorrow.to_string(), MOST_DAYS], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<booth_database::Result<_>>()?;
        by_day.reverse();
        let votes::Polls {
            votes,
            polls,
            total: polls_total,
        } = votes::polls(db, &|campaign, question| {
            asked
                .get(campaign)
                .and_then(|asked| asked.min_pause_s.get(question).copied())
                .unwrap_or(0)
        })?;
        Ok(Counts {
            votes,
            polls,
            polls_total,
            by_question,
            questions: number("count(DISTINCT coalesce(question_id, '-'))")?,
            by_booth,
            booths: number("count(DISTINCT booth_id)")?,
            by_day: by_day
                .into_iter()
                .filter_map(|(day, n)| Some((day.parse().ok()?, n)))
                .collect(),
            total: number("count(*)")?,
        })
    }

    fn read_refused(&self, limit: usize, place: &Place) -> booth_database::Result<RefusedPage> {
        let db = locked(&self.db);
        let entries = lists::REFUSED.page(&db, limit, place)?;
        let total = lists::REFUSED.total(&db)?;
        let newer = match entries.first() {
            Some(first) => lists::REFUSED.newer_than(&db, &first.cursor)?,
            None => total,
        };
        Ok(RefusedPage {
            entries,
            newer,
            total,
        })
    }

    /// A booth's name: the one of `hub.toml`, else the booth's own, else empty.
    fn name_of(&self, db: &Connection, id: &str) -> String {
        if let Some(booth) = self.expected.iter().find(|booth| booth.id.as_str() == id)
            && !booth.name.is_empty()
        {
            return shortened(&booth.name);
        }
        let birth: Option<String> = db
            .prepare_cached("SELECT birth FROM booth WHERE booth_id = ?1")
            .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
            .ok()
            .flatten()
            .flatten();
        birth
            .and_then(|text| reading::object::<Birth>(text.as_bytes()).ok())
            .map(|birth| shortened(&birth.name))
            .unwrap_or_default()
    }

    pub(super) fn read_fleet(&self, now: Timestamp) -> booth_database::Result<FleetView> {
        let fleet = {
            let db = locked(&self.db);
            self.fleet.get(|| self.look_at_fleet(&db, now))?
        };
        let broker = locked(&self.broker).clone();
        Ok(FleetView {
            broker_connected: broker.connected,
            broker_detail: broker.detail,
            broker_rival: broker.rival,
            ..fleet
        })
    }

    fn look_at_fleet(&self, db: &Connection, now: Timestamp) -> booth_database::Result<FleetView> {
        let came_at = alerts::came_at(db)?;
        let mut booths: Vec<BoothView> = db
            .prepare_cached(
                "SELECT booth.booth_id, booth.birth, booth.health, booth.health_at,
                   card_at_booth.presence,
                   (SELECT max(received_at) FROM clip WHERE clip.booth_id = booth.booth_id),
                   booth.health_live, booth.introduced_at, booth.config
                 FROM booth LEFT JOIN card_at_booth
                   ON card_at_booth.booth_id = booth.booth_id AND card_at_booth.card_id = booth.card_id
                 ORDER BY booth.booth_id",
            )?
            .query_map([], |row| {
                Ok(HeardBooth {
                    booth_id: row.get(0)?,
                    birth: row.get(1)?,
                    health: row.get(2)?,
                    health_at: row.get(3)?,
                    presence: row.get(4)?,
                    last_clip_at: row.get(5)?,
                    health_live: row.get(6)?,
                    introduced_at: row.get(7)?,
                    config: row.get(8)?,
                })
            })?
            .map(|heard| self.booth_view(db, now, &came_at, heard?))
            .collect::<booth_database::Result<_>>()?;
        let heard: HashSet<String> = booths.iter().map(|booth| booth.booth_id.clone()).collect();
        let unheard = self.expected.iter();
        let unheard = unheard.filter(|expected| !heard.contains(expected.id.as_str()));
        booths.extend(unheard.map(never_heard));
        booths.sort_by(|a, b| a.booth_id.cmp(&b.booth_id));
        let gaps = gaps::gaps(db)?;
        let refused = lists::REFUSED.page(db, SHOWN_REFUSED, &Place::Newest)?;
        Ok(FleetView {
            booths,
            gaps: gaps.entries,
            gaps_total: gaps.total,
            refused,
            refused_total: lists::REFUSED.total(db)?,
            unreadable: unreadable::shown(db, now)?,
            over_budget: unreadable::over_budget(db, now)?,
            withdrawals_waiting: self.private.waiting_number(),
            ..FleetView::empty(now)
        })
    }

    fn booth_view(
        &self,
        db: &Connection,
        now: Timestamp,
        came_at: &str,
        heard: HeardBooth,
    ) -> booth_database::Result<BoothView> {
        let expected = self
            .expected
            .iter()
            .find(|booth| booth.id.as_str() == heard.booth_id.as_str());
        let birth: Option<Birth> = heard
            .birth
            .as_deref()
            .and_then(|text| reading::object(text.as_bytes()).ok());
        let health = heard
            .health
            .as_deref()
            .and_then(|text| Health::from_json(text.as_bytes()).ok());
        let count = |name: &str| fleet::whole(health.as_ref()?, name);
        let health_interval_s = fleet::interval_s(health.as_ref(), birth.as_ref());
        let health_age_s = heard
            .health_at
            .as_deref()
            .and_then(|at| at.parse::<Timestamp>().ok())
            .map(|at| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0));
        let alerts = alerts_shown(db, came_at, &heard)?;
        let stale = fleet::is_stale(health_age_s, health_interval_s);
        // A booth that sends health is there, even if the broker kept no state of it for this hub.
        let is_heard = heard.health_live && !stale;
        let presence = heard.presence.as_deref().and_then(presence);
        Ok(BoothView {
            name: self.name_of(db, &heard.booth_id),
            place: expected
                .map(|booth| booth.place.clone())
                .unwrap_or_default(),
            expected: expected.is_some(),
            heard: true,
            presence: presence.or(is_heard.then_some(Presence::Online)),
            ready: health
                .as_ref()
                .and_then(|health| health.get("ready"))
                .map(|ready| ready == 1.0),
            health: health.clone().map(Arc::new),
            stale,
            health_age_s,
            health_interval_s,
            oldest_unsent_s: count("oldest_unsent_s"),
            spool_clips: count("spool_clips"),
            alerts,
            card_id: birth.as_ref().map(|birth| birth.card_id.clone()),
            sw_version: birth
                .as_ref()
                .map(|birth| shortened(&birth.sw_version))
                .filter(|version| !version.is_empty()),
            last_clip_at: heard.last_clip_at,
            sealed: birth.as_ref().and_then(|birth| birth.sealed),
            consent_is_implied: birth
                .as_ref()
                .is_some_and(|birth| birth.consent_mode == Some(ConsentMode::Implied)),
            unknown_keys: self.unknown_keys(birth.as_ref()),
            two_serials: recent_machines(db, now, &heard.booth_id)? > 1,
            config: heard
                .config
                .and_then(|text| reading::object(text.as_bytes()).ok()),
            booth_id: heard.booth_id,
        })
    }

    /// Keys that a booth seals to and that this hub does not know: somebody may have put them on its card.
    fn unknown_keys(&self, birth: Option<&Birth>) -> Vec<String> {
        if self.known_keys.is_empty() {
            return Vec::new();
        }
        let named = birth.map(|birth| birth.recipient_key_ids.as_slice());
        let named = named.unwrap_or_default().iter().take(MOST_KEYS);
        named
            .filter(|id| !self.known_keys.contains(id))
            .map(|id| shortened(id))
            .collect()
    }

    fn read_clip_file(&self, clip_id: &ClipId) -> booth_database::Result<Option<ClipFile>> {
        type Kept = (Option<String>, Option<String>, String, bool, Option<String>);
        let kept: Option<Kept> = locked(&self.db)
            .prepare_cached(
                "SELECT body, sha256, received_at, recovered, rest_sha256
                 FROM clip WHERE clip_id = ?1 AND kind IN ('audio', 'text')",
            )?
            .query_row([clip_id.as_str()], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })
            .optional()?;
        let Some((Some(body), sha256, received_at, recovered, rest_sha256)) = kept else {
            return Ok(None);
        };
        let is_sealed_here = rest_sha256.is_some();
        let of_body: Option<BodyHash> = rest_sha256.or_else(|| sha256.clone()).map(Into::into);
        let kind = match body.as_str() {
            "ogg-opus" if !is_sealed_here => BodyKind::OggOpus,
            "text/1" if !is_sealed_here => BodyKind::Text,
            _ if self.keys.is_empty() => return Ok(None),
            _ => BodyKind::SealedOggOpus,
        };
        let sealed = (kind == BodyKind::SealedOggOpus).then(|| SealedClip {
            clip_id: clip_id.clone(),
            recovered,
            keys: self.keys.clone(),
        });
        Ok(Some(ClipFile {
            files: BodyFiles::of(&self.bodies, &self.private, clip_id, kind, of_body.as_ref()),
            sha256: sha256.map(Into::into).unwrap_or_default(),
            stored_at: received_at.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            sealed,
            is_text: body == "text/1",
        }))
    }
}

/// The alerts that a booth has raised, the worst first.
fn alerts_shown(
    db: &Connection,
    came_at: &str,
    heard: &HeardBooth,
) -> booth_database::Result<Vec<AlertView>> {
    let confirmed_from = alerts::confirmed_from(came_at, heard.introduced_at.as_deref());
    let mut alerts: Vec<AlertView> = db
        .prepare_cached(
            "SELECT id, severity, text, since, said_at >= ?2 FROM alert WHERE booth_id = ?1",
        )?
        .query_map([&heard.booth_id, &confirmed_from], |row| {
            Ok(AlertView {
                id: row.get(0)?,
                severity: severity(&row.get::<_, String>(1)?),
                text: row.get(2)?,
                since: row.get(3)?,
                confirmed: row.get(4)?,
            })
        })?
        .collect::<booth_database::Result<_>>()?;
    alerts.sort_by(|a, b| (a.severity, &a.id).cmp(&(b.severity, &b.id)));
    Ok(alerts)
}

/// How many machines have said a birth in this booth's name lately.
fn recent_machines(db: &Connection, now: Timestamp, booth_id: &str) -> booth_database::Result<u64> {
    let recent = now - jiff::SignedDuration::from_hours(TWO_MACHINES_HOURS);
    db.prepare_cached(
        "SELECT count(*) FROM machine_at_booth WHERE booth_id = ?1 AND last_birth >= ?2",
    )?
    .query_row(
        params![booth_id, booth_contract::time::rfc3339(recent)],
        |row| row.get(0),
    )
}

/// A booth's row.
struct HeardBooth {
    booth_id: String,
    birth: Option<String>,
    health: Option<String>,
    health_at: Option<String>,
    presence: Option<String>,
    last_clip_at: Option<String>,
    health_live: bool,
    introduced_at: Option<String>,
    config: Option<String>,
}

impl Views for StoreViews {
    fn answers_at(&self, limit: usize, place: &Place) -> AnswersView {
        let now = clock::wall();
        self.read_answers(now, limit, place)
            .unwrap_or_else(|error| {
                log::error!("the pages cannot read the database: {error}");
                AnswersView {
                    generated_at: now,
                    by_question: Vec::new(),
                    questions: 0,
                    by_booth: Vec::new(),
                    booths: 0,
                    by_day: Vec::new(),
                    votes: 0,
                    polls: Vec::new(),
                    polls_total: 0,
                    clips: Vec::new(),
                    newer: 0,
                    spoken: 0,
                    total: 0,
                }
            })
    }

    fn fleet(&self) -> FleetView {
        let now = clock::wall();
        self.read_fleet(now).unwrap_or_else(|error| {
            log::error!("the pages cannot read the database: {error}");
            FleetView {
                is_unknown: true,
                broker_connected: locked(&self.broker).connected,
                broker_detail: format!("the hub's database cannot be read: {error}"),
                ..FleetView::empty(now)
            }
        })
    }

    fn booth(&self, booth_id: &str) -> Option<BoothPage> {
        self.read_booth(clock::wall(), booth_id)
            .unwrap_or_else(|error| {
                log::error!("the pages cannot read the database: {error}");
                None
            })
    }

    fn refused(&self, limit: usize, place: &Place) -> RefusedPage {
        self.read_refused(limit, place).unwrap_or_else(|error| {
            log::error!("the pages cannot read the database: {error}");
            RefusedPage {
                entries: Vec::new(),
                newer: 0,
                total: 0,
            }
        })
    }

    fn clip_file(&self, clip_id: &ClipId) -> Option<ClipFile> {
        if !is_clip_id(clip_id) {
            return None;
        }
        self.read_clip_file(clip_id).unwrap_or_else(|error| {
            log::error!("the pages cannot read the database: {error}");
            None
        })
    }
}

fn never_heard(expected: &ExpectedBooth) -> BoothView {
    BoothView {
        name: expected.name.clone(),
        place: expected.place.clone(),
        ..BoothView::never_heard(expected.id.as_str())
    }
}

fn presence(text: &str) -> Option<Presence> {
    serde_json::from_value(text.into()).ok()
}

fn severity(text: &str) -> Severity {
    serde_json::from_value(text.into()).unwrap_or(Severity::Watch)
}
