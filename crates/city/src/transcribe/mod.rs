//! Drafts of transcripts by a command of the city's, and the lists of words by which what arrives is looked through.
//!
//! ```text
//! message ──▶ draft_due ──▶ sound from the hub ──▶ hook (one at a time, low priority, a time limit) ──▶ draft ──▶ watch_words ──▶ alarm
//! ```
//!
//! Owns: the tables `draft` and `draft_due`, the pauses after a fault. Never does: publish; a draft is a machine's until a person takes it.
//! What fails, or is sealed to a key that is not here, is put aside and tried again with growing pauses; what was never tried goes first.

mod config;
mod draft;
mod hook;
mod watch_words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use booth_contract::ClipId;
use booth_contract::time::rfc3339;
use booth_database::{Connection, OptionalExtension, Transaction, params};
use booth_host::clock;
use jiff::{SignedDuration, Timestamp};

pub use config::TranscribeConfig;
pub(crate) use draft::language as is_language;
use hook::HookFault;
pub(crate) use watch_words::WatchWords;

use crate::City;
use crate::alarm;
use crate::centre::{CentreError, Kind};
use crate::store::CityError;

/// How often it is looked for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pauses of one message after each fault, minutes. Behind the last one it is given up where the command has made a draft of another message just
/// before; a command that is broken for everybody is tried again.
const PAUSES: [i64; 5] = [1, 5, 30, 120, 360];
/// Pauses of the command as a whole after faults in a row, seconds.
const PAUSES_OF_ALL: [i64; 5] = [0, 10, 60, 300, 600];
/// When a message is tried again that is sealed to a key which is not here: nothing changes by itself.
const PAUSE_WHERE_SEALED: SignedDuration = SignedDuration::from_mins(30);
/// So many sealed messages in a row are no exceptions: from then on the next one waits for [`PAUSE_OF_ALL_WHERE_SEALED`].
const MANY_SEALED: usize = 5;
/// See [`MANY_SEALED`].
const PAUSE_OF_ALL_WHERE_SEALED: SignedDuration = SignedDuration::from_mins(1);
/// When a message is given up: never.
const NEVER: &str = "9999-12-31T00:00:00.000Z";

/// The state of the command, for the page and for the next try.
#[derive(Debug, Default)]
pub(crate) struct Recogniser {
    health: Mutex<Health>,
    stop: AtomicBool,
}

#[derive(Debug, Clone, Default)]
struct Health {
    faults_in_a_row: usize,
    sealed_in_a_row: usize,
    /// The last sound that could be opened became a draft.
    works: bool,
    rests_until: Option<Timestamp>,
    fault: Option<String>,
}

impl Recogniser {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why there are no drafts at this moment; `None` where there are.
    pub(crate) fn fault(&self) -> Option<String> {
        self.health().fault.clone()
    }

    fn rests(&self, now: Timestamp) -> bool {
        self.health().rests_until.is_some_and(|until| now < until)
    }

    fn succeeded(&self) {
        *self.health() = Health {
            works: true,
            ..Health::default()
        };
    }

    /// Whether the command worked right before.
    fn failed(&self, now: Timestamp, fault: String) -> bool {
        let mut health = self.health();
        let place = health.faults_in_a_row.min(PAUSES_OF_ALL.len() - 1);
        health.rests_until = Some(now + SignedDuration::from_secs(PAUSES_OF_ALL[place]));
        health.faults_in_a_row += 1;
        health.sealed_in_a_row = 0;
        health.fault = Some(fault);
        std::mem::take(&mut health.works)
    }

    fn sealed(&self, now: Timestamp) {
        let mut health = self.health();
        health.sealed_in_a_row += 1;
        if health.sealed_in_a_row >= MANY_SEALED {
            health.rests_until = Some(now + PAUSE_OF_ALL_WHERE_SEALED);
        }
        health.fault = Some(CentreError::Sealed.to_string());
    }
}

/// Ends a running command when the work is dropped.
struct Stops(Arc<City>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.recogniser.stop.store(true, Ordering::Release);
    }
}

/// Makes drafts until it is dropped.
pub(crate) async fn work(city: Arc<City>) {
    city.recogniser.stop.store(false, Ordering::Release);
    let stops = Stops(city);
    let city = &stops.0;
    hook::sweep();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        loop {
            match city.aside(|city| step(city, clock::wall())).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    log::warn!(about = "drafts"; "no draft can be made: {error}");
                    break;
                }
            }
        }
    }
}

/// A message that is due.
struct Due {
    id: String,
    kind: Kind,
    lang: Option<String>,
    speech_ratio: Option<f64>,
    is_waiting: bool,
    tries: usize,
}

/// Looks at the next message that is due; whether there was one.
fn step(city: &City, now: Timestamp) -> Result<bool, CityError> {
    let hears = !city.config.transcribe.command.is_empty() && !city.recogniser.rests(now);
    let Some(due) = city.store.read(|db| next_due(db, now, hears))? else {
        return Ok(false);
    };
    if !due.is_waiting {
        // Somebody has decided already.
        city.store.change_quietly(|tx| Ok(done(tx, &due.id)?))?;
        return Ok(true);
    }
    match due.kind {
        Kind::Written => look_through(city, now, &due)?,
        _ => make_draft(city, now, &due)?,
    }
    Ok(true)
}

/// Of what was never tried the message that came last comes first: somebody in danger does not wait behind a backlog. What was put aside follows,
/// what is due for longest first.
fn next_due(db: &Connection, now: Timestamp, hears: bool) -> booth_database::Result<Option<Due>> {
    let kinds: &[&str] = if hears { &["text", "audio"] } else { &["text"] };
    let orders = [
        "x.why IS NULL ORDER BY x.next_at DESC",
        "x.why IS NOT NULL ORDER BY x.next_at",
    ];
    for (kind, order) in kinds
        .iter()
        .flat_map(|kind| orders.map(|order| (kind, order)))
    {
        let found = db
            .prepare_cached(&format!(
                "SELECT m.id, m.kind, m.lang, m.speech_ratio, m.state = 'waiting', x.tries
                 FROM draft_due x JOIN message m ON m.id = x.message_id
                 WHERE x.kind = ?1 AND x.next_at <= ?2 AND {order} LIMIT 1"
            ))?
            .query_row(params![kind, rfc3339(now)], |row| {
                Ok(Due {
                    id: row.get(0)?,
                    kind: Kind::of(&row.get::<_, String>(1)?).unwrap_or(Kind::Spoken),
                    lang: row.get(2)?,
                    speech_ratio: row.get(3)?,
                    is_waiting: row.get(4)?,
                    tries: row.get(5)?,
                })
            })
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn done(tx: &Transaction<'_>, id: &str) -> booth_database::Result<()> {
    tx.prepare_cached("DELETE FROM draft_due WHERE message_id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Puts a message off; behind the last pause it is given up, where it `may_be`. What it says, the desk shows.
fn put_off(
    city: &City,
    now: Timestamp,
    due: &Due,
    why: &str,
    may_be: bool,
) -> Result<(), CityError> {
    let last = PAUSES.len() - 1;
    let next_at = match PAUSES.get(due.tries) {
        None if may_be => NEVER.to_owned(),
        known => {
            let minutes = known.copied().unwrap_or(PAUSES[last]);
            rfc3339(now + SignedDuration::from_mins(minutes))
        }
    };
    put_aside(city, due, due.tries + 1, &next_at, why)
}

/// Puts a message aside that is sealed to a key which is not here: it costs no try.
fn put_off_sealed(city: &City, now: Timestamp, due: &Due) -> Result<(), CityError> {
    let next_at = rfc3339(now + PAUSE_WHERE_SEALED);
    put_aside(
        city,
        due,
        due.tries,
        &next_at,
        &CentreError::Sealed.to_string(),
    )
}

fn put_aside(
    city: &City,
    due: &Due,
    tries: usize,
    next_at: &str,
    why: &str,
) -> Result<(), CityError> {
    city.store.change_quietly(|tx| {
        tx.prepare_cached(
            "UPDATE draft_due SET tries = ?2, next_at = ?3, why = ?4 WHERE message_id = ?1",
        )?
        .execute(params![due.id, tries, next_at, why])?;
        Ok(())
    })
}

/// A written message has no draft; its words are looked through, and not kept here.
fn look_through(city: &City, now: Timestamp, due: &Due) -> Result<(), CityError> {
    let text = match city.centre.text(&ClipId::from(due.id.clone())) {
        Ok(text) => text,
        Err(CentreError::NotThere) => {
            return city.store.change_quietly(|tx| Ok(done(tx, &due.id)?));
        }
        Err(CentreError::Sealed) => return put_off_sealed(city, now, due),
        Err(error) => return put_off(city, now, due, &error.to_string(), false),
    };
    let languages: Vec<&str> = due.lang.iter().map(String::as_str).collect();
    let flagged = city.watch_words.found_in(&languages, &text);
    let draft = draft::Draft {
        text: String::new(),
        lang: due.lang.clone(),
        model: None,
        segments: Vec::new(),
        likely_empty: text.trim().is_empty(),
    };
    keep(city, now, due, &draft, flagged.as_deref())
}

fn make_draft(city: &City, now: Timestamp, due: &Due) -> Result<(), CityError> {
    let sound = match city.centre.sound(&ClipId::from(due.id.clone())) {
        Ok(sound) => sound,
        Err(CentreError::NotThere) => {
            return city.store.change_quietly(|tx| Ok(done(tx, &due.id)?));
        }
        Err(CentreError::Sealed) => {
            city.recogniser.sealed(now);
            return put_off_sealed(city, now, due);
        }
        Err(error) => return put_off(city, now, due, &error.to_string(), false),
    };
    let asked = due.lang.as_deref().and_then(draft::language);
    let asked = asked.or_else(|| city.config.offers.first().cloned());
    let asked = asked.unwrap_or_else(|| "en".into());
    let settings = &city.config.transcribe;
    let stop = &city.recogniser.stop;
    let answer = hook::ask(&settings.command, &sound, &asked, settings.seconds, stop);
    let read = answer
        .and_then(|answer| draft::read(&answer, due.speech_ratio).map_err(HookFault::Rubbish));
    match read {
        Ok(draft) => {
            city.recogniser.succeeded();
            let languages = [Some(asked.as_str()), draft.lang.as_deref()];
            let languages: Vec<&str> = languages.into_iter().flatten().collect();
            let flagged = city.watch_words.found_in(&languages, &draft.text);
            keep(city, now, due, &draft, flagged.as_deref())
        }
        // The hub ends; the next one tries again.
        Err(HookFault::Stopped) => {
            let hour = SignedDuration::from_hours(1);
            city.recogniser.health().rests_until = Some(now + hour);
            Ok(())
        }
        Err(fault) => {
            log::warn!(about = "drafts"; "the command of [city.transcribe]: {fault}");
            // The time that it took counts.
            let now = clock::wall().max(now);
            let worked = city.recogniser.failed(now, fault.to_string());
            match fault {
                HookFault::Setup(_) => Ok(()),
                fault => put_off(city, now, due, &fault.to_string(), worked),
            }
        }
    }
}

/// Keeps a draft, unless its message is gone meanwhile, and calls for help where a word of the list was found.
fn keep(
    city: &City,
    now: Timestamp,
    due: &Due,
    draft: &draft::Draft,
    flagged: Option<&str>,
) -> Result<(), CityError> {
    let segments = serde_json::to_string(&draft.segments).unwrap_or_default();
    city.store.change_quietly(|tx| {
        let kept = tx
            .prepare_cached(
                "INSERT OR REPLACE INTO draft (message_id, text, lang, model, segments, at, likely_empty, flagged)
                 SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM message WHERE id = ?1",
            )?
            .execute(params![
                due.id,
                draft.text,
                draft.lang,
                draft.model,
                segments,
                rfc3339(now),
                draft.likely_empty && flagged.is_none(),
                flagged,
            ])?;
        done(tx, &due.id)?;
        if kept > 0 && flagged.is_some() {
            alarm::raise(tx, now, &due.id, "word list", "")?;
        }
        Ok(())
    })
}

/// Why a message has no draft, where that is known.
pub(crate) fn why_none(db: &Connection, id: &str) -> booth_database::Result<Option<String>> {
    let why = db
        .prepare_cached("SELECT why FROM draft_due WHERE message_id = ?1")?
        .query_row([id], |row| row.get::<_, Option<String>>(0))
        .optional()?;
    Ok(why.flatten())
}

#[cfg(test)]
mod tests;
