//! The hub as the city's rooms use it ([`booth_city::centre::Centre`]).
//!
//! Owns: a reading connection of its own, and the ways in and out that the city may use. Never does: decide what is published. Blocks.
#![allow(clippy::disallowed_methods)] // reads prompts, and looks which file the database is

mod counted;
mod networks;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use booth_city::centre::{
    Arrived, Body, BoothNow, Campaign, Checked, Deletion, Gone, Kind, Placed, Source, Stopped,
    Submission, Taken, Tell, Withdrawal,
};
pub use booth_city::centre::{Centre, CentreError};
use booth_city::sentence;
use booth_city::watch::Sighting;
use booth_contract::{ClipId, MediaHash, OneTimeCode, Presence, Publish, reading};
use booth_database::{Connection, OptionalExtension, Row, params};
use jiff::Timestamp;
use serde::Deserialize;

use self::counted::{CountedToday, counted};
use self::networks::network_in;
use crate::campaign;
use crate::campaign::editor;
use crate::config::HubConfig;
use crate::door::{Door, Shut};
use crate::monitoring::Meters;
use crate::sightings;
use crate::store::measures::free_at;
use crate::store::{self, Entry, Kept, Levels, OWN_SENDERS, StoreError, VoteCode, VoteCodes};
use crate::view::{BoothView, FleetView, Views};
use crate::withdrawing::{self, Withdrawing};
use booth_host::clock;

/// See the module's comment.
pub struct HubCentre {
    db: Mutex<Connection>,
    dir: PathBuf,
    config: HubConfig,
    views: Arc<dyn Views>,
    door: Option<Arc<Door>>,
    meters: Option<Arc<Meters>>,
    withdrawing: Option<Arc<Withdrawing>>,
    campaigns: campaign::Known,
}

/// How much longer than its question allows an answer may be, seconds: a browser stops its recording late.
const LATE_SECONDS: u64 = 3;
/// The longest answer where its question names no limit, seconds: a booth's.
const LONGEST_ANSWER: u64 = 180;
/// Most letters of a written answer.
const MOST_LETTERS: usize = 5_000;

impl HubCentre {
    /// For the store that this configuration names.
    ///
    /// # Errors
    /// A database that cannot be opened.
    pub fn open(config: HubConfig, views: Arc<dyn Views>) -> Result<Self, StoreError> {
        let dir = config.store.dir.clone();
        Ok(Self {
            db: Mutex::new(store::open_for_reading(&dir)?),
            dir,
            config,
            views,
            door: None,
            withdrawing: None,
            meters: None,
            campaigns: campaign::Known::default(),
        })
    }

    /// The same, which also takes answers and withdrawals.
    pub fn taking(self, door: Arc<Door>, withdrawing: Arc<Withdrawing>) -> Self {
        Self {
            door: Some(door),
            withdrawing: Some(withdrawing),
            ..self
        }
    }

    /// The same, which also sees what the store's thread has found wrong with its bucket.
    pub fn hearing(self, meters: Arc<Meters>) -> Self {
        Self {
            meters: Some(meters),
            ..self
        }
    }

    /// What is wrong with an answer, before anything of it is kept; the levels of its sound, and whether it is a vote with a code.
    fn judged(&self, submission: &mut Submission) -> Result<(Levels, bool), CentreError> {
        let campaigns = self.campaigns()?;
        let campaign = campaigns
            .iter()
            .find(|campaign| campaign.id == submission.campaign_id);
        let question = campaign.and_then(|campaign| {
            let mut questions = campaign.questions.iter();
            questions.find(|question| question.id == submission.question_id)
        });
        let Some(question) = question else {
            return Err(sentence!("hub-no-question").into());
        };
        if self
            .stopped()?
            .has(&submission.campaign_id, &submission.question_id)
        {
            return Err(sentence!("hub-question-stopped").into());
        }
        // No more than was asked for, whatever a form says.
        submission.may_publish = match (question.may_publish, submission.may_publish) {
            (Publish::Voice, wanted) => wanted,
            (Publish::Text, Publish::Voice | Publish::Text) => Publish::Text,
            _ => Publish::No,
        };
        match &submission.body {
            Body::Vote(digit) => {
                if !question.options.iter().any(|option| option.digit == *digit) {
                    return Err(sentence!("hub-no-answer").into());
                }
                submission.may_publish = Publish::No;
                return Ok((Levels::default(), question.needs_code));
            }
            _ if !question.options.is_empty() => {
                return Err(sentence!("hub-choose").into());
            }
            Body::Written(text) => {
                if text.trim().is_empty() {
                    return Err(sentence!("hub-nothing-written").into());
                }
                if text.chars().count() > MOST_LETTERS {
                    return Err(sentence!("hub-text-too-long").into());
                }
                if submission.may_publish == Publish::Voice {
                    submission.may_publish = Publish::Text;
                }
            }
            Body::Spoken(ogg, _) => {
                let most = question.max_seconds.unwrap_or(LONGEST_ANSWER) + LATE_SECONDS;
                let measured = booth_audio::measured(ogg, most)
                    .map_err(|why| sentence!("hub-bad-answer", why = why.what))?;
                submission.body = Body::Spoken(ogg.clone(), measured.length.ms());
                let levels = Levels {
                    rms_dbfs: measured.rms_dbfs,
                    peak_dbfs: measured.peak_dbfs,
                    speech_ratio: Some(measured.speech_ratio),
                };
                return Ok((levels, false));
            }
        }
        Ok((Levels::default(), false))
    }

    /// The code of a vote that needs one, and the id under which it is kept.
    fn code_of(&self, submission: &Submission) -> Result<(ClipId, VoteCode), CentreError> {
        // Whoever enters what others wrote on paper has no codes to type.
        let (Source::Web, Some(typed)) = (submission.source, &submission.code) else {
            return Err(sentence!("hub-needs-code").into());
        };
        let code = OneTimeCode::parse_text(typed)
            .map_err(|why| sentence!("hub-bad-code", why = why.to_string()))?;
        let codes = VoteCodes::open(&self.dir).map_err(failed)?;
        Ok(codes.vote_from_home(&submission.campaign_id, &submission.question_id, code))
    }

    /// The fleet; where the database does not answer nothing may be taken for well.
    fn fleet(&self) -> Result<FleetView, CentreError> {
        let fleet = self.views.fleet();
        match fleet.is_unknown {
            true => Err(CentreError::Failed(fleet.broker_detail)),
            false => Ok(fleet),
        }
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HubCentre {
    /// What each booth has counted since its midnight, and when it said so.
    fn counted(&self) -> booth_database::Result<BTreeMap<String, CountedToday>> {
        let db = self.db();
        let mut statement = db.prepare_cached(
            "SELECT booth_id, health, health_at FROM booth WHERE health IS NOT NULL",
        )?;
        let rows = statement.query_map([], |row| {
            let health: String = row.get(1)?;
            let heard_at: Option<String> = row.get(2)?;
            Ok((
                row.get::<_, String>(0)?,
                counted(&health, heard_at.as_deref()),
            ))
        })?;
        rows.collect()
    }
}

/// What a booth's event `placed` says. Its own time counts where it has one that is not ahead of the hub's.
fn placed_from(booth: String, heard: &str, payload: &str) -> Option<Placed> {
    let fields: serde_json::Value = serde_json::from_str(payload).ok()?;
    let heard: Timestamp = heard.parse().ok()?;
    let own = fields.get("ts").and_then(|ts| ts.as_str()?.parse().ok());
    Some(Placed {
        booth,
        number: u32::try_from(fields.get("place")?.as_u64()?).ok()?,
        at: own.filter(|own: &Timestamp| *own <= heard).unwrap_or(heard),
    })
}

impl HubCentre {
    /// The highest number in a column; 0 for a table without rows.
    fn highest(&self, column: &str, table: &str) -> Result<i64, CentreError> {
        self.db()
            .prepare_cached(&format!("SELECT coalesce(max({column}), 0) FROM {table}"))
            .and_then(|mut asked| asked.query_row([], |row| row.get(0)))
            .map_err(failed)
    }

    /// Why a clip has no file that can be opened here.
    fn why_not(&self, id: &ClipId) -> Result<CentreError, CentreError> {
        let is_here: bool = self
            .db()
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM clip WHERE clip_id = ?1 AND bytes > 0)")
            .and_then(|mut asked| asked.query_row([id.as_str()], |row| row.get(0)))
            .map_err(failed)?;
        Ok(match is_here {
            true => CentreError::Sealed,
            false => CentreError::NotThere,
        })
    }
}

fn failed(error: impl std::fmt::Display) -> CentreError {
    CentreError::Failed(error.to_string())
}

/// What the city sees: no tests, nothing that an operator has to look at first, and no vote without the code that it needs.
const COUNTED: &str = "held = 0 AND test = 0 AND coalesce(code, 'counted') = 'counted'";

/// What a manifest says of its sound and its time, as far as it makes sense.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default, deserialize_with = "reading::lenient")]
    started_at: Option<String>,
    #[serde(default, deserialize_with = "reading::lenient")]
    speech_ratio: Option<f64>,
    #[serde(default, deserialize_with = "reading::lenient")]
    rms_dbfs: Option<f64>,
}

fn arrived_from(row: &Row<'_>) -> booth_database::Result<(i64, Option<Arrived>)> {
    let place: i64 = row.get(0)?;
    let moment = |text: Option<String>| text.and_then(|text| text.parse::<Timestamp>().ok());
    let kind = Kind::of(&row.get::<_, String>(2)?);
    let received = moment(row.get(10)?);
    let (Some(kind), Some(received_at)) = (kind, received) else {
        return Ok((place, None));
    };
    // What a booth says of itself does not count here.
    let sender: String = row.get(3)?;
    let own = OWN_SENDERS.iter().find(|(_, name)| *name == sender);
    let source = own.map_or(Source::Booth, |(source, _)| *source);
    let is_clock_right: bool = row.get(16)?;
    // SQLite reads JSON otherwise than the store that believed it, and one odd manifest would hold up all that come after it.
    let said: Said = reading::object(&row.get::<_, Vec<u8>>(12)?).unwrap_or_default();
    // The manifest stays as it came: another time than its own is one that was corrected.
    let by_its_clock = moment(said.started_at);
    let is_right = |at: &Timestamp| is_clock_right || by_its_clock != Some(*at);
    let arrived = Arrived {
        id: ClipId::from(row.get::<_, String>(1)?),
        kind,
        source,
        booth_id: (source == Source::Booth).then(|| row.get(4)).transpose()?,
        campaign_id: row.get(5)?,
        question_id: row.get(6)?,
        choice: row.get(7)?,
        lang: row.get(8)?,
        spoken_at: moment(row.get(9)?).filter(is_right),
        received_at,
        duration_ms: row.get(11)?,
        speech_ratio: said.speech_ratio,
        rms_dbfs: said.rms_dbfs,
        recovered: row.get(13)?,
        may_publish: match row.get::<_, Option<String>>(14)?.as_deref() {
            Some("text") => Publish::Text,
            Some("voice") => Publish::Voice,
            _ => Publish::No,
        },
        notice_id: row.get(15)?,
        is_child: row.get(17)?,
    };
    Ok((place, Some(arrived)))
}

impl Centre for HubCentre {
    fn arrived(&self, after: i64, limit: usize) -> Result<Vec<(i64, Arrived)>, CentreError> {
        let db = self.db();
        let mut statement = db
            .prepare_cached(&format!(
                "SELECT rowid, clip_id, kind, sender, booth_id, campaign_id, question_id, choice,
                   lang, started_at, received_at, duration_ms, manifest, recovered, publish, notice_id, clock_synced, child
                 FROM kept WHERE rowid > ?1 AND {COUNTED} AND kind IN ('audio', 'choice', 'text') ORDER BY rowid LIMIT ?2"
            ))
            .map_err(failed)?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![after, most], arrived_from)
            .map_err(failed)?;
        let rows = rows
            .collect::<booth_database::Result<Vec<_>>>()
            .map_err(failed)?;
        let whole = rows
            .into_iter()
            .filter_map(|(place, message)| Some((place, message?)));
        Ok(whole.collect())
    }

    fn newest(&self) -> Result<i64, CentreError> {
        self.highest("rowid", "kept")
    }

    fn number(&self) -> Result<u64, CentreError> {
        let db = self.db();
        let count = |kind: &str| {
            db.prepare_cached(&format!(
                "SELECT count(*) FROM kept WHERE {COUNTED} AND kind = '{kind}'"
            ))?
            .query_row([], |row| row.get::<_, u64>(0))
        };
        let mut number = 0;
        for kind in [Kind::Spoken, Kind::Written, Kind::Vote] {
            number += count(kind.word()).map_err(failed)?;
        }
        Ok(number)
    }

    fn store_name(&self) -> Result<String, CentreError> {
        let name: String = self
            .db()
            .prepare_cached("SELECT name FROM store")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(failed)?;
        // A database that was made anew from the clips has their name, and other places.
        let place = store::place_of(&self.db(), &self.dir).map_err(failed)?;
        Ok(format!("{name}-{place}"))
    }

    fn gone(&self, after: i64, limit: usize) -> Result<Vec<Gone>, CentreError> {
        let db = self.db();
        let mut statement = db
            .prepare_cached(
                "SELECT rowid, clip_id FROM withdrawn WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
            )
            .map_err(failed)?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement
            .query_map(params![after, most], |row| {
                Ok(Gone {
                    place: row.get(0)?,
                    id: ClipId::from(row.get::<_, String>(1)?),
                })
            })
            .map_err(failed)?;
        rows.collect::<booth_database::Result<_>>().map_err(failed)
    }

    fn newest_gone(&self) -> Result<i64, CentreError> {
        self.highest("rowid", "withdrawn")
    }

    fn children(&self) -> Result<Vec<ClipId>, CentreError> {
        let db = self.db();
        let found = db
            .prepare_cached("SELECT clip_id FROM kept WHERE child = 1")
            .and_then(|mut asked| {
                let rows = asked.query_map([], |row| row.get::<_, String>(0))?;
                rows.collect::<booth_database::Result<Vec<_>>>()
            });
        let ids = found.map_err(failed)?.into_iter();
        Ok(ids.map(ClipId::from).collect())
    }

    fn sound(&self, id: &ClipId) -> Result<Vec<u8>, CentreError> {
        match self.views.clip_file(id) {
            Some(file) if !file.is_text => crate::http::sound_of(&file),
            Some(_) => Err(CentreError::NotThere),
            None => Err(self.why_not(id)?),
        }
    }

    fn text(&self, id: &ClipId) -> Result<String, CentreError> {
        match self.views.clip_file(id) {
            Some(file) if file.is_text => crate::http::text_of(&file),
            Some(_) => Err(CentreError::NotThere),
            // A hub without the city's key finds no file that it could open.
            None => Err(self.why_not(id)?),
        }
    }

    fn submit(&self, mut submission: Submission) -> Result<Taken, CentreError> {
        let Some(door) = &self.door else {
            return Err(sentence!("hub-takes-nothing").into());
        };
        let (levels, needs_code) = self.judged(&mut submission)?;
        let (clip_id, code) = match needs_code {
            true => self
                .code_of(&submission)
                .map(|(id, code)| (Some(id), Some(code)))?,
            false => (None, None),
        };
        let entry = Entry {
            clip_id,
            submission,
            levels,
            code,
        };
        match door.keep(entry) {
            Ok(Kept::New(id, receipt)) => Ok(Taken {
                id,
                receipt: receipt.map(|receipt| receipt.to_text().to_string()),
            }),
            // Its id follows from its code.
            Ok(Kept::Before(_)) if needs_code => Err(CentreError::CodeUsed),
            Ok(Kept::NotCounted(store::Taken::Unknown)) => Err(CentreError::CodeUnknown),
            Ok(Kept::NotCounted(_)) => Err(CentreError::CodeUsed),
            Ok(Kept::Before(_)) => Err(sentence!("hub-sent-before").into()),
            Err(Shut::Busy) => Err(CentreError::Busy),
            Err(Shut::Gone) => Err(CentreError::Failed("the hub is ending".into())),
            Err(Shut::Failed(why)) => Err(CentreError::Failed(why)),
        }
    }

    fn withdraw(&self, from: IpAddr, receipt: &str) -> Result<Withdrawal, CentreError> {
        let not_here = || CentreError::from(sentence!("withdraw-not-here"));
        let Some(withdrawing) = &self.withdrawing else {
            return Err(not_here());
        };
        match withdrawing.take(clock::wall(), clock::mono(), from, receipt) {
            withdrawing::Taken::Noted => Ok(Withdrawal::Noted),
            withdrawing::Taken::Wrong(_) => Ok(Withdrawal::NoReceipt),
            withdrawing::Taken::TooMany => Ok(Withdrawal::TooMany),
            withdrawing::Taken::NotHere => Err(not_here()),
            withdrawing::Taken::Failed => {
                Err(CentreError::Failed("a withdrawal cannot be kept".into()))
            }
        }
    }

    fn delete(&self, id: &ClipId, why: Deletion) -> Result<(), CentreError> {
        store::ask_to_delete(&self.dir, clock::wall(), id, why).map_err(failed)
    }

    fn campaigns(&self) -> Result<Vec<Campaign>, CentreError> {
        let published = self.campaigns.published(&self.dir).map_err(failed)?;
        Ok(published.campaigns.clone())
    }

    fn stopped(&self) -> Result<Stopped, CentreError> {
        let published = self.campaigns.published(&self.dir).map_err(failed)?;
        Ok(published.stopped.clone())
    }

    fn prompt(&self, hash: &MediaHash) -> Result<Vec<u8>, CentreError> {
        campaign::media_of(&self.dir, hash)
            .map_err(failed)?
            .ok_or(CentreError::NotThere)
    }

    fn sightings(
        &self,
        _now: Timestamp,
        paused: &BTreeSet<String>,
    ) -> Result<Vec<Sighting>, CentreError> {
        let mut seen = sightings::of_the_fleet(&self.fleet()?, paused);
        let store = &self.config.store;
        seen.extend(sightings::of_the_machine(
            &self.dir,
            store.reserve_bytes,
            store.backup.as_deref(),
            std::time::SystemTime::now(),
        ));
        let fault = self
            .meters
            .as_ref()
            .and_then(|meters| meters.bodies_fault());
        seen.extend(sightings::of_the_bodies(fault));
        let failing = self.meters.as_ref().map(|meters| meters.failing());
        seen.extend(sightings::of_the_work(failing.unwrap_or_default()));
        let living = self
            .meters
            .as_ref()
            .and_then(|meters| meters.living_workers());
        seen.extend(sightings::of_the_workers(
            living,
            self.config.ingest.workers,
        ));
        Ok(seen)
    }

    fn takes_messages(&self) -> bool {
        let has_room =
            free_at(&self.dir, self.config.store.reserve_bytes).is_ok_and(|free| free.is_enough);
        has_room && self.fleet().is_ok_and(|fleet| fleet.broker_connected)
    }

    fn booths(&self) -> Result<Vec<BoothNow>, CentreError> {
        let counted = self.counted().map_err(failed)?;
        let fleet = self.fleet()?;
        let now = fleet.booths.into_iter().map(|booth| {
            let (today, said_at) = counted.get(&booth.booth_id).cloned().unwrap_or_default();
            BoothNow {
                name: booth.name,
                is_ready: booth.ready == Some(true) && !booth.stale,
                id: booth.booth_id,
                today,
                said_at,
            }
        });
        Ok(now.collect())
    }

    fn networks(&self) -> Result<Vec<(String, String)>, CentreError> {
        let fleet = self.fleet()?;
        let is_connected =
            |booth: &&BoothView| !booth.stale && booth.presence == Some(Presence::Online);
        let connected = fleet.booths.iter().filter(is_connected);
        let db = self.db();
        let mut birth_of = db
            .prepare_cached("SELECT birth FROM booth WHERE booth_id = ?1")
            .map_err(failed)?;
        let mut networks = Vec::new();
        for booth in connected {
            let birth: Option<Option<String>> = birth_of
                .query_row([&booth.booth_id], |row| row.get(0))
                .optional()
                .map_err(failed)?;
            let network = birth.flatten().and_then(|birth| network_in(&birth));
            networks.extend(network.map(|network| (booth.booth_id.clone(), network)));
        }
        Ok(networks)
    }

    fn placed(&self, after: i64, limit: usize) -> Result<Vec<(i64, Option<Placed>)>, CentreError> {
        let db = self.db();
        let found = db.prepare_cached(
            "SELECT seq, booth_id, at, payload FROM event WHERE seq > ?1 AND kind = 'placed' ORDER BY seq LIMIT ?2",
        );
        let read = |row: &Row<'_>| {
            let (booth, heard, payload): (String, String, String) =
                (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((row.get::<_, i64>(0)?, placed_from(booth, &heard, &payload)))
        };
        let found = found.and_then(|mut asked| {
            let rows = asked.query_map(params![after, limit as i64], read)?;
            rows.collect::<booth_database::Result<Vec<_>>>()
        });
        found.map_err(failed)
    }

    fn newest_word(&self) -> Result<i64, CentreError> {
        self.highest("seq", "event")
    }

    fn campaign_file(&self, id: &str) -> Result<String, CentreError> {
        campaign::source_of(&self.dir, id)
            .map_err(failed)?
            .ok_or(CentreError::NotThere)
    }

    fn check_campaign(&self, toml: &str) -> Result<Checked, CentreError> {
        Ok(editor::check(&self.config, toml)?)
    }

    fn keep_sound(&self, sound: &[u8]) -> Result<String, CentreError> {
        Ok(editor::keep_sound(&self.config, sound)?)
    }

    fn make_prompts(&self, toml: &str, tell: Tell<'_>) -> Result<Checked, CentreError> {
        Ok(editor::make(&self.config, toml, tell)?)
    }

    fn texts_to_sign(&self, toml: &str) -> Result<Vec<String>, CentreError> {
        Ok(editor::to_sign(&self.config, toml)?)
    }

    fn publish_campaign(
        &self,
        toml: &str,
        signed: &[(String, String)],
        tell: Tell<'_>,
    ) -> Result<(), CentreError> {
        Ok(editor::publish(&self.config, toml, signed, tell)?)
    }
}
