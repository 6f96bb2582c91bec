//! Somebody may be in danger: a named contact is told at once, a second one after a time without an answer.
//!
//! ```text
//! a moderator's key, or the word list ──▶ alarm ──▶ alarm_notice (contact × way) ──▶ mail, webhook, each until it was taken
//!                                           └── an answer on the page ends it
//! ```
//!
//! Owns: the tables `alarm` and `alarm_notice`; they survive a restart, and what was sent and not noted is sent again. Never does: put the
//! words of a message into a mail. What fails is tried again with growing pauses until somebody answers.

mod config;
pub(crate) mod mail;
mod pages;
pub(crate) mod webhook;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use booth_contract::Severity;
use booth_contract::time::{Mono, rfc3339};
use booth_database::{Connection, OptionalExtension, Transaction, params};
use booth_host::clock;
use jiff::{SignedDuration, Timestamp};

pub(crate) use config::is_address;
pub use config::{AlarmConfig, Contact};
pub(crate) use pages::routes;

use crate::City;
use crate::people::Person;
use crate::store::{Act, CityError};
use crate::watch::Sighting;

/// How often it is looked for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Pauses between tries of one notice, seconds; the last one repeats.
const PAUSES: [i64; 5] = [10, 30, 60, 120, 300];
/// What was told and could not be written down, e.g. on a full disk, is told again after this at the soonest, and not at each look.
const UNNOTED: Duration = Duration::from_secs(900);
/// Longest remark of a moderator, characters.
const LONGEST_WHY: usize = 500;

/// What was told while the database took no writes, and until when it is not told again.
#[derive(Debug, Default)]
pub(crate) struct Unnoted(Mutex<BTreeMap<String, Mono>>);

impl Unnoted {
    fn until(&self) -> MutexGuard<'_, BTreeMap<String, Mono>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this may be told now.
    pub(crate) fn may_tell(&self, now: Mono, what: &str) -> bool {
        self.until().get(what).is_none_or(|until| now >= *until)
    }

    /// Remembers whether what was told was written down.
    ///
    /// # Errors
    /// That of `noted`.
    pub(crate) fn noted(
        &self,
        now: Mono,
        what: &str,
        is_told: bool,
        noted: Result<(), CityError>,
    ) -> Result<(), CityError> {
        match noted.is_err() && is_told {
            true => self.until().insert(what.to_owned(), now + UNNOTED),
            false => self.until().remove(what),
        };
        noted
    }
}

/// A way to a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Mail,
    Webhook,
}

impl Way {
    /// The word in the database.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }
}

/// What is told: facts of the message, none of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Telling {
    alarm: i64,
    message: String,
    at: String,
    by: String,
    why: String,
    place: Option<String>,
    said_at: Option<String>,
    contact: &'static str,
}

/// Raises an alarm about a message, unless there is one that nobody has answered. Its number.
pub(crate) fn raise(
    tx: &Transaction<'_>,
    now: Timestamp,
    message: &str,
    by: &str,
    why: &str,
) -> booth_database::Result<i64> {
    let why = crate::desk::plain(why, LONGEST_WHY);
    tx.prepare_cached(
        "INSERT INTO alarm (message_id, at, by, why) SELECT ?1, ?2, ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM alarm WHERE message_id = ?1 AND answered_at IS NULL)",
    )?
    .execute(params![message, rfc3339(now), by, why])?;
    tx.prepare_cached(
        "SELECT id FROM alarm WHERE message_id = ?1 AND answered_at IS NULL ORDER BY id DESC LIMIT 1",
    )?
    .query_row([message], |row| row.get(0))
}

/// The alarm about a message that nobody has answered.
pub(crate) fn open_of(db: &Connection, message: &str) -> booth_database::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT id FROM alarm WHERE message_id = ?1 AND answered_at IS NULL ORDER BY id DESC LIMIT 1",
    )?
    .query_row([message], |row| row.get(0))
    .optional()
}

/// A moderator says that somebody may be in danger.
pub(crate) fn raised_by(
    city: &City,
    person: &Person,
    message: &str,
    why: &str,
) -> Result<i64, CityError> {
    let now = clock::wall();
    let act = Act::new(person.actor(), "called for help", message);
    city.store.change(act, |tx| {
        Ok(raise(tx, now, message, &person.shown_name, why)?)
    })
}

/// Somebody takes an alarm on: nobody else is told.
pub(crate) fn answer(city: &City, person: &Person, alarm: i64) -> Result<bool, CityError> {
    let now = rfc3339(clock::wall());
    city.store.change_telling(|tx| {
        let answered = tx
            .prepare_cached(
                "UPDATE alarm SET answered_at = ?2, answered_by = ?3 WHERE id = ?1 AND answered_at IS NULL
                 RETURNING message_id",
            )?
            .query_map(params![alarm, now, person.shown_name], |row| {
                row.get::<_, String>(0)
            })?
            .collect::<booth_database::Result<Vec<_>>>()?;
        let acts = answered
            .iter()
            .map(|message| Act::new(person.actor(), "answered an alarm", message.clone()));
        let acts: Vec<Act> = acts.collect();
        Ok((!acts.is_empty(), acts))
    })
}

/// Tells contacts until it is dropped.
pub(crate) async fn work(city: Arc<City>) {
    let failed = |error| log::error!(about = "alarms"; "an alarm waits: {error}");
    by_each_way(&city, LOOK_EVERY, tell_due, failed).await;
}

/// Tells who is due by each way until it is dropped. Each way has its own turn: no webhook waits for a mail server.
pub(crate) async fn by_each_way(
    city: &Arc<City>,
    look_every: Duration,
    tell_due: fn(&City, Timestamp, Way) -> Result<(), CityError>,
    failed: fn(CityError),
) {
    let by = async |way| {
        let mut look = tokio::time::interval(look_every);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let told = city.aside(move |city| tell_due(city, clock::wall(), way));
            if let Err(error) = told.await {
                failed(error);
            }
        }
    };
    tokio::join!(by(Way::Mail), by(Way::Webhook));
}

/// The pause after so many tries.
pub(crate) fn pause(tries: usize) -> SignedDuration {
    SignedDuration::from_secs(PAUSES[tries.min(PAUSES.len() - 1)])
}

/// Tells everybody who is due at this time by this way.
fn tell_due(city: &City, now: Timestamp, way: Way) -> Result<(), CityError> {
    let open = city.store.read(has_open)?;
    if !open {
        return Ok(());
    }
    let config = &city.config.alarm;
    city.store
        .change_quietly(|tx| Ok(call_up(tx, now, config)?))?;
    for (telling, tries) in city.store.read(|db| due(db, now, way))? {
        let what = format!("alarm {} {} {}", telling.alarm, telling.contact, way.word());
        if !city.unnoted.may_tell(clock::mono(), &what) {
            continue;
        }
        let contact = match telling.contact {
            "first" => &config.first,
            _ => &config.second,
        };
        let sent = match (way, &contact.mail, &contact.webhook) {
            (Way::Mail, Some(to), _) => mail::send(city, to, &telling),
            (Way::Webhook, _, Some(to)) => webhook::send(config, to, &telling, now),
            // The configuration has changed since.
            _ => Err("nobody is named there any more".into()),
        };
        let (alarm, contact) = (telling.alarm, telling.contact);
        if let Err(fault) = &sent {
            let way = way.word();
            log::error!(about = "alarms"; "alarm {alarm}: {way} to the {contact} contact: {fault}");
        }
        let noted = city.store.change_quietly(|tx| {
            match &sent {
                Ok(()) => tx
                    .prepare_cached(
                        "UPDATE alarm_notice SET sent_at = ?4, tries = tries + 1, fault = NULL
                         WHERE alarm = ?1 AND contact = ?2 AND way = ?3",
                    )?
                    .execute(params![alarm, contact, way.word(), rfc3339(now)])?,
                Err(fault) => tx
                    .prepare_cached(
                        "UPDATE alarm_notice SET next_at = ?4, tries = tries + 1, fault = ?5
                         WHERE alarm = ?1 AND contact = ?2 AND way = ?3",
                    )?
                    .execute(params![
                        alarm,
                        contact,
                        way.word(),
                        rfc3339(now + pause(tries)),
                        fault
                    ])?,
            };
            Ok(())
        });
        let is_told = sent.is_ok();
        city.unnoted.noted(clock::mono(), &what, is_told, noted)?;
    }
    Ok(())
}

fn has_open(db: &Connection) -> booth_database::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM alarm WHERE answered_at IS NULL)")?
        .query_row([], |row| row.get(0))
}

/// Each contact whose turn it is gets a notice by each way that is configured.
fn call_up(
    tx: &Transaction<'_>,
    now: Timestamp,
    config: &AlarmConfig,
) -> booth_database::Result<()> {
    let late = rfc3339(now - SignedDuration::from_mins(config.wait_minutes));
    let now = rfc3339(now);
    tx.prepare_cached(
        "UPDATE alarm SET second_at = ?1 WHERE answered_at IS NULL AND second_at IS NULL AND at <= ?2",
    )?
    .execute(params![now, late])?;
    let contacts = [
        ("first", &config.first, ""),
        ("second", &config.second, " AND second_at IS NOT NULL"),
    ];
    for (which, contact, condition) in contacts {
        let ways = [
            (Way::Mail, contact.mail.is_some()),
            (Way::Webhook, contact.webhook.is_some()),
        ];
        for (way, _) in ways.into_iter().filter(|(_, is_there)| *is_there) {
            tx.prepare_cached(&format!(
                "INSERT OR IGNORE INTO alarm_notice (alarm, contact, way, next_at)
                 SELECT id, ?1, ?2, ?3 FROM alarm WHERE answered_at IS NULL{condition}"
            ))?
            .execute(params![which, way.word(), now])?;
        }
    }
    Ok(())
}

fn due(db: &Connection, now: Timestamp, way: Way) -> booth_database::Result<Vec<(Telling, usize)>> {
    let mut statement = db.prepare_cached(
        "SELECT a.id, a.message_id, a.at, a.by, a.why, coalesce(p.place, m.booth_id), m.said_at, n.contact, n.tries
         FROM alarm_notice n JOIN alarm a ON a.id = n.alarm LEFT JOIN message m ON m.id = a.message_id
           LEFT JOIN placement p ON p.id = m.placement
         WHERE a.answered_at IS NULL AND n.sent_at IS NULL AND n.next_at <= ?1 AND n.way = ?2
         ORDER BY a.id, n.contact LIMIT 100",
    )?;
    let rows = statement.query_map(params![rfc3339(now), way.word()], |row| {
        let contact: String = row.get(7)?;
        let telling = Telling {
            alarm: row.get(0)?,
            message: row.get(1)?,
            at: row.get(2)?,
            by: row.get(3)?,
            why: row.get(4)?,
            place: row.get(5)?,
            said_at: row.get(6)?,
            contact: if contact == "first" {
                "first"
            } else {
                "second"
            },
        };
        Ok((telling, row.get(8)?))
    })?;
    rows.collect()
}

/// Alarms that nobody has answered and that cannot be told to somebody, for whoever is on duty.
pub(crate) fn sightings(db: &Connection) -> booth_database::Result<Vec<Sighting>> {
    let mut statement = db.prepare_cached(
        "SELECT count(*), min(a.at), max(n.fault) FROM alarm_notice n JOIN alarm a ON a.id = n.alarm
         WHERE a.answered_at IS NULL AND n.sent_at IS NULL AND n.fault IS NOT NULL HAVING count(*) > 0",
    )?;
    let rows = statement.query_map([], |row| {
        let since: String = row.get(1)?;
        Ok(Sighting {
            subject: String::new(),
            kind: "alarms".into(),
            severity: Severity::NeedsVisit,
            text: row.get(2)?,
            since: since.parse().ok(),
            number: row.get(0)?,
        })
    })?;
    rows.collect()
}

#[cfg(test)]
pub(crate) mod tests;
