//! What the pages show, read from the database on a connection of its own.
//!
//! Owns: the questions that the pages ask of the store, and how gaps in clip numbers are named. Never
//! does: write. A failure shows as an empty page with the reason in `broker_detail`, and in the log.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, clip_path, database_in, schema};
use crate::adapters::clock;
use crate::contract::{Birth, BodyKind, Health, Presence, Severity};
use crate::hub::config::ExpectedBooth;
use crate::hub::ingest::is_clip_id;
use crate::hub::view::{AnswersView, BoothView, ClipView, FleetView, GapView, RefusedView, Views};

/// A booth that never said its interval is taken to mean this.
const DEFAULT_INTERVAL_S: u64 = 60;
/// Two machines under one id are shown for this long after the second was heard.
const TWO_MACHINES_HOURS: i64 = 24;
/// Most ranges shown of one card and kind.
const MAX_SHOWN_RANGES: usize = 200;
/// Most entries shown to an operator.
const MAX_SHOWN_REFUSED: i64 = 200;

/// Whether the hub is connected to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerStatus {
    /// Connected, and subscribed.
    pub connected: bool,
    /// One sentence.
    pub detail: String,
}

/// The pages' view of the store.
#[derive(Debug)]
pub struct StoreViews {
    db: Mutex<Connection>,
    clips: PathBuf,
    expected: Vec<ExpectedBooth>,
    broker: Arc<Mutex<BrokerStatus>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StoreViews {
    /// Opens the database that [`super::Store`] made in `dir`.
    pub fn open(
        dir: &Path,
        expected: Vec<ExpectedBooth>,
        broker: Arc<Mutex<BrokerStatus>>,
    ) -> Result<Self, StoreError> {
        let db = schema::open_for_reading(&database_in(dir))?;
        Ok(Self {
            db: Mutex::new(db),
            clips: dir.join("clips"),
            expected,
            broker,
        })
    }

    fn read_answers(&self, now: Timestamp, limit: usize) -> rusqlite::Result<AnswersView> {
        const COUNTED: &str = "FROM clip WHERE test = 0 AND kind IN ('audio', 'choice')";
        let db = locked(&self.db);
        let by_question = db
            .prepare_cached(&format!(
                "SELECT coalesce(question_id, '-') AS q, count(*) AS n {COUNTED} GROUP BY q ORDER BY n DESC, q"
            ))?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let by_booth = db
            .prepare_cached(&format!(
                "SELECT booth_id AS b, count(*) AS n {COUNTED} GROUP BY b ORDER BY n DESC, b"
            ))?
            .query_map([], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
            })?
            .map(|row| row.map(|(id, n)| (id.clone(), self.name_of(&db, &id), n)))
            .collect::<rusqlite::Result<_>>()?;
        let by_day: Vec<(String, u64)> = db
            .prepare_cached(&format!(
                "SELECT day, count(*) {COUNTED} GROUP BY day ORDER BY day"
            ))?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let total = db
            .prepare_cached(&format!("SELECT count(*) {COUNTED}"))?
            .query_row([], |row| row.get(0))?;
        let clips = db
            .prepare_cached(
                "SELECT clip_id, booth_id, question_id, lang, started_at, clock_synced, duration_ms,
                   ended_by, recovered, bytes, received_at
                 FROM clip WHERE test = 0 AND kind = 'audio' ORDER BY received_at DESC, clip_id LIMIT ?1",
            )?
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], clip_from)?
            .map(|clip| {
                clip.map(|mut clip| {
                    clip.booth_name = self.name_of(&db, &clip.booth_id);
                    clip
                })
            })
            .collect::<rusqlite::Result<_>>()?;
        Ok(AnswersView {
            generated_at: now,
            by_question,
            by_booth,
            by_day: by_day
                .into_iter()
                .filter_map(|(day, n)| Some((day.parse().ok()?, n)))
                .collect(),
            clips,
            total,
        })
    }

    /// A booth's name: as the city gave it, else as the booth calls itself, else empty.
    fn name_of(&self, db: &Connection, id: &str) -> String {
        if let Some(booth) = self.expected.iter().find(|booth| booth.id.as_str() == id)
            && !booth.name.is_empty()
        {
            return booth.name.clone();
        }
        let birth: Option<String> = db
            .prepare_cached("SELECT birth FROM booth WHERE booth_id = ?1")
            .and_then(|mut statement| statement.query_row([id], |row| row.get(0)).optional())
            .ok()
            .flatten()
            .flatten();
        birth
            .and_then(|text| serde_json::from_str::<Birth>(&text).ok())
            .map(|birth| birth.name)
            .unwrap_or_default()
    }

    pub(super) fn read_fleet(&self, now: Timestamp) -> rusqlite::Result<FleetView> {
        let db = locked(&self.db);
        let broker = locked(&self.broker).clone();
        let mut booths: Vec<BoothView> = db
            .prepare_cached(
                "SELECT booth.booth_id, booth.birth, booth.health, booth.health_at,
                   card_at_booth.presence,
                   (SELECT max(received_at) FROM clip WHERE clip.booth_id = booth.booth_id)
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
                })
            })?
            .map(|heard| self.booth_view(&db, now, heard?))
            .collect::<rusqlite::Result<_>>()?;
        for expected in &self.expected {
            if !booths
                .iter()
                .any(|booth| booth.booth_id == expected.id.as_str())
            {
                booths.push(never_heard(expected));
            }
        }
        booths.sort_by(|a, b| a.booth_id.cmp(&b.booth_id));
        let refused = db
            .prepare_cached(
                "SELECT at, booth_id, clip_id, reason, times FROM refused
                 ORDER BY at DESC, rowid DESC LIMIT ?1",
            )?
            .query_map([MAX_SHOWN_REFUSED], |row| {
                let (reason, times): (String, u64) = (row.get(3)?, row.get(4)?);
                Ok(RefusedView {
                    at: row.get(0)?,
                    booth_id: row.get(1)?,
                    clip_id: row.get(2)?,
                    reason: if times > 1 {
                        format!("{reason} ({times} times)")
                    } else {
                        reason
                    },
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(FleetView {
            generated_at: now,
            broker_connected: broker.connected,
            broker_detail: broker.detail,
            booths,
            gaps: gaps(&db)?,
            refused,
        })
    }

    fn booth_view(
        &self,
        db: &Connection,
        now: Timestamp,
        heard: HeardBooth,
    ) -> rusqlite::Result<BoothView> {
        let expected = self
            .expected
            .iter()
            .find(|booth| booth.id.as_str() == heard.booth_id.as_str());
        let birth: Option<Birth> = heard
            .birth
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        let health = heard
            .health
            .as_deref()
            .and_then(|text| Health::from_json(text.as_bytes()).ok());
        let count = |name: &str| {
            let value = health.as_ref()?.get(name)?;
            (0.0..9.0e15).contains(&value).then_some(value as u64)
        };
        let health_interval_s = count("health_interval_s")
            .or(birth.as_ref().map(|birth| birth.health_interval_s))
            .filter(|seconds| (1..=86_400).contains(seconds))
            .unwrap_or(DEFAULT_INTERVAL_S);
        let health_age_s = heard
            .health_at
            .as_deref()
            .and_then(|at| at.parse::<Timestamp>().ok())
            .map(|at| u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0));
        let mut alerts: Vec<(String, Severity, String, String)> = db
            .prepare_cached("SELECT id, severity, text, since FROM alert WHERE booth_id = ?1")?
            .query_map([&heard.booth_id], |row| {
                Ok((
                    row.get(0)?,
                    severity(&row.get::<_, String>(1)?),
                    row.get(2)?,
                    row.get(3)?,
                ))
            })?
            .collect::<rusqlite::Result<_>>()?;
        alerts.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        let recent = now - jiff::SignedDuration::from_hours(TWO_MACHINES_HOURS);
        let machines: u64 = db
            .prepare_cached(
                "SELECT count(*) FROM machine_at_booth WHERE booth_id = ?1 AND last_birth >= ?2",
            )?
            .query_row(
                params![heard.booth_id, crate::hub::ingest::rfc3339(recent)],
                |row| row.get(0),
            )?;
        Ok(BoothView {
            name: self.name_of(db, &heard.booth_id),
            place: expected
                .map(|booth| booth.place.clone())
                .unwrap_or_default(),
            expected: expected.is_some(),
            heard: true,
            presence: heard.presence.as_deref().and_then(presence),
            ready: health
                .as_ref()
                .and_then(|health| health.get("ready"))
                .map(|ready| ready == 1.0),
            stale: health_age_s.is_none_or(|age| age > 3 * health_interval_s),
            health_age_s,
            health_interval_s,
            oldest_unsent_s: count("oldest_unsent_s"),
            spool_clips: count("spool_clips"),
            alerts,
            sw_version: birth.as_ref().map(|birth| birth.sw_version.clone()),
            last_clip_at: heard.last_clip_at,
            sealed: birth.as_ref().map(|birth| birth.sealed),
            two_serials: machines > 1,
            booth_id: heard.booth_id,
        })
    }

    fn read_clip_file(&self, clip_id: &str) -> rusqlite::Result<Option<PathBuf>> {
        let kept: Option<String> = locked(&self.db)
            .prepare_cached("SELECT body FROM clip WHERE clip_id = ?1 AND kind = 'audio'")?
            .query_row([clip_id], |row| row.get(0))
            .optional()?
            .flatten();
        Ok((kept.as_deref() == Some("ogg-opus"))
            .then(|| clip_path(&self.clips, clip_id, Some(BodyKind::OggOpus))))
    }
}

/// A booth's row.
struct HeardBooth {
    booth_id: String,
    birth: Option<String>,
    health: Option<String>,
    health_at: Option<String>,
    presence: Option<String>,
    last_clip_at: Option<String>,
}

impl Views for StoreViews {
    fn answers(&self, limit: usize) -> AnswersView {
        let now = clock::wall();
        self.read_answers(now, limit).unwrap_or_else(|error| {
            log::error!("the pages cannot read the database: {error}");
            AnswersView {
                generated_at: now,
                by_question: Vec::new(),
                by_booth: Vec::new(),
                by_day: Vec::new(),
                clips: Vec::new(),
                total: 0,
            }
        })
    }

    fn fleet(&self) -> FleetView {
        let now = clock::wall();
        self.read_fleet(now).unwrap_or_else(|error| {
            log::error!("the pages cannot read the database: {error}");
            FleetView {
                generated_at: now,
                broker_connected: locked(&self.broker).connected,
                broker_detail: format!("the hub's database cannot be read: {error}"),
                booths: Vec::new(),
                gaps: Vec::new(),
                refused: Vec::new(),
            }
        })
    }

    fn clip_file(&self, clip_id: &str) -> Option<PathBuf> {
        if !is_clip_id(clip_id) {
            return None;
        }
        self.read_clip_file(clip_id).unwrap_or_else(|error| {
            log::error!("the pages cannot read the database: {error}");
            None
        })
    }
}

fn clip_from(row: &Row<'_>) -> rusqlite::Result<ClipView> {
    Ok(ClipView {
        clip_id: row.get(0)?,
        booth_id: row.get(1)?,
        booth_name: String::new(),
        question_id: row.get(2)?,
        lang: row.get(3)?,
        started_at: row.get(4)?,
        clock_synced: row.get(5)?,
        duration_ms: row.get(6)?,
        ended_by: row.get(7)?,
        recovered: row.get(8)?,
        bytes: row.get(9)?,
        received_at: row.get(10)?,
    })
}

fn never_heard(expected: &ExpectedBooth) -> BoothView {
    BoothView {
        booth_id: expected.id.as_str().to_owned(),
        name: expected.name.clone(),
        place: expected.place.clone(),
        expected: true,
        heard: false,
        presence: None,
        ready: None,
        stale: false,
        health_age_s: None,
        health_interval_s: DEFAULT_INTERVAL_S,
        oldest_unsent_s: None,
        spool_clips: None,
        alerts: Vec::new(),
        sw_version: None,
        last_clip_at: None,
        sealed: None,
        two_serials: false,
    }
}

fn presence(text: &str) -> Option<Presence> {
    serde_json::from_value(text.into()).ok()
}

fn severity(text: &str) -> Severity {
    serde_json::from_value(text.into()).unwrap_or(Severity::Watch)
}

/// What is known of one card's numbers.
struct CardNumbers {
    card_id: String,
    booth_id: String,
    last_seen: String,
    /// Whether this is the booth's card now.
    current: bool,
    /// From health: the highest number given.
    last_clip_no: u64,
    /// From health: the lowest number still on the card; `None` if it was never said.
    oldest_kept: Option<u64>,
    /// From health: nothing is on the card any more.
    empty: bool,
    /// The highest number that is here.
    highest: u64,
}

/// The audit of clip numbers: what each card gave and is not here, by where it must be.
fn gaps(db: &Connection) -> rusqlite::Result<Vec<GapView>> {
    // A card is audited at the booth where it was heard last.
    let cards: Vec<CardNumbers> = db
        .prepare_cached(
            "SELECT c.card_id, c.booth_id, c.last_seen, booth.card_id IS c.card_id,
               coalesce(c.last_clip_no, 0), c.oldest_clip_no_kept, c.spool_clips IS 0,
               coalesce((SELECT max(clip_no) FROM clip WHERE clip.card_id = c.card_id), 0),
               max(c.last_seen)
             FROM card_at_booth c LEFT JOIN booth ON booth.booth_id = c.booth_id
             GROUP BY c.card_id ORDER BY c.booth_id, c.card_id",
        )?
        .query_map([], |row| {
            Ok(CardNumbers {
                card_id: row.get(0)?,
                booth_id: row.get(1)?,
                last_seen: row.get(2)?,
                current: row.get(3)?,
                last_clip_no: row.get(4)?,
                oldest_kept: row.get(5)?,
                empty: row.get(6)?,
                highest: row.get(7)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut between: std::collections::HashMap<String, Vec<(u64, u64)>> = Default::default();
    let mut statement = db.prepare_cached(
        "SELECT card_id, before + 1, clip_no - 1 FROM (
           SELECT card_id, clip_no,
             lag(clip_no, 1, 0) OVER (PARTITION BY card_id ORDER BY clip_no) AS before FROM clip)
         WHERE clip_no > before + 1 LIMIT 10000",
    )?;
    let holes = statement.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, u64>(1)?,
            row.get::<_, u64>(2)?,
        ))
    })?;
    for hole in holes {
        let (card, first, last) = hole?;
        between.entry(card).or_default().push((first, last));
    }
    let mut found = Vec::new();
    for card in cards {
        let mut missing = between.remove(&card.card_id).unwrap_or_default();
        if card.last_clip_no > card.highest {
            missing.push((card.highest + 1, card.last_clip_no));
        }
        found.extend(named(&card, &missing));
    }
    Ok(found)
}

/// Splits a card's missing numbers by where they must be.
fn named(card: &CardNumbers, missing: &[(u64, u64)]) -> Vec<GapView> {
    let gap = |kind: &str, mut missing: Vec<(u64, u64)>| {
        missing.truncate(MAX_SHOWN_RANGES);
        (!missing.is_empty()).then(|| GapView {
            card_id: card.card_id.clone(),
            booth_id: card.booth_id.clone(),
            missing,
            kind: kind.to_owned(),
            last_seen: card.last_seen.clone(),
        })
    };
    if !card.current {
        return gap("card_gone", missing.to_vec()).into_iter().collect();
    }
    // From this number on the booth has them; what it never said cannot be called lost. A card that
    // says it is empty still has what it recorded since.
    let kept_from = match (card.oldest_kept, card.empty) {
        (_, true) => card.last_clip_no + 1,
        (Some(oldest), false) if oldest > 0 => oldest,
        _ => 1,
    };
    let lost: Vec<(u64, u64)> = missing
        .iter()
        .filter(|(first, _)| *first < kept_from)
        .map(|&(first, last)| (first, last.min(kept_from - 1)))
        .collect();
    let kept: Vec<(u64, u64)> = missing
        .iter()
        .filter(|(_, last)| *last >= kept_from)
        .map(|&(first, last)| (first.max(kept_from), last))
        .collect();
    [gap("missing_between", lost), gap("still_on_booth", kept)]
        .into_iter()
        .flatten()
        .collect()
}
