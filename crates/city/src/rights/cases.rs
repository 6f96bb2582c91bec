//! Cases: a person without a receipt asks to know, to delete or to correct what they said (GDPR Art. 15 to 17).
//!
//! Owns: the tables `rights_case` and `rights_case_message`. A case says where and when somebody spoke, as they remember it, and finds the
//! messages around that; only these can be read, heard, exported or deleted for it, and each of these is an act in the log with the case's
//! number and who did it. Never does: keep a name or an address; the city's own journal has those. Closing a case erases where and when. A
//! failure leaves the case as it was.

mod pages;
mod taking;
#[cfg(test)]
mod tests;

use booth_database::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Span, Timestamp};
use serde_json::json;

use booth_contract::ClipId;
use booth_contract::time::rfc3339;
use booth_host::clock;

use super::leaving;
use crate::City;
use crate::centre::Deletion;
use crate::people::Person;
use crate::sentence;
use crate::store::{Act, CityError};

pub(super) use pages::routes;

/// Most messages that a search finds: with more, its time is too wide.
const MOST_FOUND: usize = 200;
/// Widest search, minutes before and after.
const WIDEST: u32 = 12 * 60;
/// Longest note, characters.
const LONGEST_NOTE: usize = 500;

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Access,
    Deletion,
    Correction,
}

impl Asked {
    pub(super) const ALL: [Self; 3] = [Self::Access, Self::Deletion, Self::Correction];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Deletion => "deletion",
            Self::Correction => "correction",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|asked| asked.word() == word)
    }
}

/// How a case ended.
pub(super) const OUTCOMES: [&str; 4] = ["done", "partly", "not_found", "refused"];

/// A case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) id: i64,
    /// The local day on which the request came.
    pub(super) opened: String,
    /// The local day on which it must be answered at the latest.
    pub(super) due: String,
    pub(super) asked: Asked,
    /// `booth:ID`, `place:NAME` or `home`; empty for a closed case, like what follows.
    pub(super) place: String,
    pub(super) day: String,
    pub(super) time: String,
    pub(super) minutes: u32,
    /// The number in the city's journal, or what else helps.
    pub(super) note: String,
    pub(super) closed: Option<String>,
    pub(super) outcome: Option<String>,
}

/// What opens a case, as it was typed.
#[derive(Debug, Clone, Default)]
pub(super) struct Opening {
    pub(super) received: String,
    pub(super) asked: String,
    pub(super) place: String,
    pub(super) day: String,
    pub(super) time: String,
    pub(super) minutes: String,
    pub(super) note: String,
}

/// One month after this day (GDPR Art. 12(3)); of a month without such a day, its last one.
pub(super) fn deadline(received: Date) -> Date {
    received
        .checked_add(Span::new().months(1))
        .unwrap_or(received)
}

impl Opening {
    /// The case that this opens, without a number yet.
    fn judged(&self, today: Date) -> Result<Case, CityError> {
        let day = |text: &str| text.trim().parse::<Date>();
        let Ok(received) = day(&self.received) else {
            return Err(sentence!("rights-bad-received").into());
        };
        let Ok(spoken) = day(&self.day) else {
            return Err(sentence!("rights-bad-day").into());
        };
        if received > today || spoken > today {
            return Err(sentence!("rights-future").into());
        }
        let Ok(time) = self.time.trim().parse::<Time>() else {
            return Err(sentence!("rights-bad-time").into());
        };
        let minutes = self.minutes.trim().parse::<u32>().ok();
        let Some(minutes) = minutes.filter(|minutes| (1..=WIDEST).contains(minutes)) else {
            return Err(sentence!("rights-bad-minutes").into());
        };
        let Some(asked) = Asked::of(&self.asked) else {
            return Err(sentence!("rights-bad-asked").into());
        };
        let place = self.place.trim();
        let is_place = ["booth:", "place:"].iter().any(|kind| {
            place
                .strip_prefix(kind)
                .is_some_and(|rest| !rest.is_empty())
        });
        if !is_place && place != "home" {
            return Err(sentence!("rights-bad-place").into());
        }
        if self.note.chars().count() > LONGEST_NOTE {
            return Err(sentence!("rights-note-too-long").into());
        }
        Ok(Case {
            id: 0,
            opened: received.to_string(),
            due: deadline(received).to_string(),
            asked,
            place: place.to_owned(),
            day: spoken.to_string(),
            time: time.strftime("%H:%M").to_string(),
            minutes,
            note: self.note.trim().to_owned(),
            closed: None,
            outcome: None,
        })
    }
}

const COLUMNS: &str =
    "id, opened_at, due_day, asked, place, day, about_time, minutes, note, closed_at, outcome";

fn case_of(row: &Row<'_>) -> booth_database::Result<Case> {
    Ok(Case {
        id: row.get(0)?,
        opened: row.get(1)?,
        due: row.get(2)?,
        asked: Asked::of(&row.get::<_, String>(3)?).unwrap_or(Asked::Access),
        place: row.get(4)?,
        day: row.get(5)?,
        time: row.get(6)?,
        minutes: row.get(7)?,
        note: row.get(8)?,
        closed: row.get(9)?,
        outcome: row.get(10)?,
    })
}

/// All cases: the open ones by their deadline, then the closed ones, the latest first.
pub(super) fn all(db: &Connection) -> booth_database::Result<Vec<Case>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM rights_case
         ORDER BY closed_at IS NOT NULL, CASE WHEN closed_at IS NULL THEN due_day END, closed_at DESC, id LIMIT 1000"
    ))?
    .query_map([], case_of)?
    .collect()
}

fn one(db: &Connection, id: i64) -> booth_database::Result<Option<Case>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM rights_case WHERE id = ?1"))?
        .query_row([id], case_of)
        .optional()
}

/// A case that is open.
fn open_one(city: &City, id: i64) -> Result<Case, CityError> {
    match city.store.read(|db| one(db, id))? {
        Some(case) if case.closed.is_none() => Ok(case),
        Some(_) => Err(sentence!("rights-is-closed").into()),
        None => Err(crate::centre::CentreError::NotThere.into()),
    }
}

/// Opens a case; its number.
pub(super) fn open(city: &City, who: &Person, opening: &Opening) -> Result<i64, CityError> {
    let now = clock::wall();
    let today = now.to_zoned_datetime(city.zone.clone()).date();
    let case = opening.judged(today)?;
    // The act names the number, which the row gets first: both in one transaction.
    let next: i64 = city.store.read(|db| {
        db.query_row(
            "SELECT coalesce(max(id), 0) + 1 FROM rights_case",
            [],
            |row| row.get(0),
        )
    })?;
    let act = Act::new(who.actor(), "opened a case", about(next));
    let act = act.with(json!({ "asked": case.asked.word(), "due": case.due }));
    city.store.change(act, |tx| {
        tx.execute(
            "INSERT INTO rights_case (id, opened_at, opened_by, due_day, asked, place, day, about_time, minutes, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                next,
                case.opened,
                who.account,
                case.due,
                case.asked.word(),
                case.place,
                case.day,
                case.time,
                case.minutes,
                case.note
            ],
        )?;
        Ok(next)
    })
}

fn about(case: i64) -> String {
    format!("case {case}")
}

/// Searches at another time or place.
pub(super) fn search_elsewhere(
    city: &City,
    who: &Person,
    id: i64,
    opening: &Opening,
) -> Result<(), CityError> {
    let known = open_one(city, id)?;
    let today = clock::wall().to_zoned_datetime(city.zone.clone()).date();
    let opening = Opening {
        received: known.opened.clone(),
        asked: known.asked.word().into(),
        note: known.note.clone(),
        ..opening.clone()
    };
    let case = opening.judged(today)?;
    let act = Act::new(who.actor(), "changed a case", about(id));
    city.store.change(act, |tx| {
        tx.execute(
            "UPDATE rights_case SET place = ?2, day = ?3, about_time = ?4, minutes = ?5 WHERE id = ?1 AND closed_at IS NULL",
            params![id, case.place, case.day, case.time, case.minutes],
        )?;
        Ok(())
    })
}

/// A message that a search found: what is known without hearing or reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) booth: Option<String>,
    pub(super) place: Option<String>,
    pub(super) said_at: String,
    pub(super) duration_ms: u64,
    pub(super) state: String,
    pub(super) lang: Option<String>,
}

/// From when to when a case's search goes, UTC.
fn window(city: &City, case: &Case) -> Option<(String, String)> {
    let day: Date = case.day.parse().ok()?;
    let time: Time = case.time.parse().ok()?;
    let about = day
        .to_datetime(time)
        .to_zoned_datetime(city.zone.clone())
        .ok()?
        .timestamp();
    let side = SignedDuration::from_mins(i64::from(case.minutes));
    Some((rfc3339(about - side), rfc3339(about + side)))
}

/// The messages around what a case says; only `wanted`, where one is named.
fn find(
    city: &City,
    db: &Connection,
    case: &Case,
    wanted: Option<&str>,
) -> booth_database::Result<Vec<Found>> {
    let Some((from, to)) = window(city, case) else {
        return Ok(Vec::new());
    };
    let mut values: Vec<Value> = vec![from.into(), to.into()];
    let place = match case.place.split_once(':') {
        Some(("booth", booth)) => {
            values.push(booth.to_owned().into());
            "m.booth_id = ?3"
        }
        Some((_, name)) => {
            values.push(name.to_owned().into());
            "p.place = ?3"
        }
        None => "m.source <> 'booth'",
    };
    let one = match wanted {
        Some(id) => {
            values.push(id.to_owned().into());
            format!("AND m.id = ?{}", values.len())
        }
        None => String::new(),
    };
    let sql = format!(
        "SELECT m.id, m.kind, m.source, m.booth_id, p.place, m.said_at, m.duration_ms, m.state, m.lang
         FROM message m LEFT JOIN placement p ON p.id = m.placement
         WHERE m.said_at BETWEEN ?1 AND ?2 AND {place} {one}
           AND m.id NOT IN (SELECT message_id FROM leaving) ORDER BY m.said_at, m.id LIMIT {}",
        MOST_FOUND + 1
    );
    db.prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| {
            Ok(Found {
                id: row.get(0)?,
                kind: row.get(1)?,
                source: row.get(2)?,
                booth: row.get(3)?,
                place: row.get(4)?,
                said_at: row.get(5)?,
                duration_ms: row.get(6)?,
                state: row.get(7)?,
                lang: row.get(8)?,
            })
        })?
        .collect()
}

/// Searches for the messages of an open case, and writes down who did.
pub(super) fn search(city: &City, who: &Person, case: &Case) -> Result<Vec<Found>, CityError> {
    let found = city.store.read(|db| find(city, db, case, None))?;
    let act = Act::new(who.actor(), "searched for a case", about(case.id));
    let act = act.with(json!({ "found": found.len() }));
    city.store.change(act, |_| Ok(()))?;
    Ok(found)
}

/// A message of an open case's search. Any other one is not there for it.
pub(super) fn within(city: &City, case: i64, id: &str) -> Result<(Case, Found), CityError> {
    let case = open_one(city, case)?;
    let found = city.store.read(|db| find(city, db, &case, Some(id)))?;
    match found.into_iter().next() {
        Some(found) => Ok((case, found)),
        None => Err(crate::centre::CentreError::NotThere.into()),
    }
}

/// Writes down that somebody read, heard or exported a message for a case, before it is shown.
pub(super) fn did(
    city: &City,
    who: &Person,
    what: &'static str,
    case: i64,
    id: &str,
) -> Result<(), CityError> {
    let act = Act::new(who.actor(), what, id).with(json!({ "case": case }));
    city.store.change(act, |tx| {
        tx.execute(
            "INSERT OR IGNORE INTO rights_case_message (case_id, message_id) VALUES (?1, ?2)",
            params![case, id],
        )?;
        Ok(())
    })
}

/// Whether it is written down that a message was looked at for this case.
pub(super) fn is_noted(city: &City, case: i64, id: &str) -> Result<bool, CityError> {
    city.store.read(|db| {
        db.query_row(
            "SELECT EXISTS (SELECT 1 FROM rights_case_message WHERE case_id = ?1 AND message_id = ?2)",
            params![case, id],
            |row| row.get(0),
        )
    })
}

/// Deletes a message for a case.
pub(super) fn delete(city: &City, who: &Person, case: i64, id: &str) -> Result<(), CityError> {
    within(city, case, id)?;
    let act = Act::new(who.actor(), "deleted for a case", id).with(json!({ "case": case }));
    let at = rfc3339(clock::wall());
    city.store.change(act, |tx| {
        Ok(leaving::note(tx, id, Deletion::Case, "case", &at)?)
    })?;
    // A hub that does not answer is asked again every minute.
    if let Err(error) = leaving::go_on(city) {
        log::warn!(about = "rights"; "a message that is to be deleted waits for the hub: {error}");
    }
    Ok(())
}

/// Closes a case: where and when somebody spoke is erased, and so is which messages were looked at. The log of acts keeps who did what.
pub(super) fn close(city: &City, who: &Person, id: i64, outcome: &str) -> Result<(), CityError> {
    open_one(city, id)?;
    if !OUTCOMES.contains(&outcome) {
        return Err(sentence!("rights-no-outcome").into());
    }
    let today = city.day_of(clock::wall());
    let act = Act::new(who.actor(), "closed a case", about(id));
    city.store
        .change(act.with(json!({ "outcome": outcome })), |tx| {
            tx.execute(
                "UPDATE rights_case SET closed_at = ?2, outcome = ?3, place = '', day = '', about_time = '', minutes = 0, note = ''
                 WHERE id = ?1",
                params![id, today, outcome],
            )?;
            tx.execute("DELETE FROM rights_case_message WHERE case_id = ?1", [id])?;
            Ok(())
        })
}

/// Where somebody can have spoken: the value of a case, and its name for people.
pub(super) fn places(
    city: &City,
    db: &Connection,
) -> booth_database::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let named: Vec<String> = db
        .prepare_cached("SELECT DISTINCT place FROM placement ORDER BY place")?
        .query_map([], |row| row.get(0))?
        .collect::<booth_database::Result<_>>()?;
    found.extend(
        named
            .into_iter()
            .map(|name| (format!("place:{name}"), name)),
    );
    let mut booths: std::collections::BTreeMap<String, String> = Default::default();
    for booth in city.centre.booths().unwrap_or_default() {
        booths.insert(booth.id, booth.name);
    }
    let mut statement = db.prepare_cached("SELECT DISTINCT booth_id FROM placement")?;
    let placed = statement.query_map([], |row| row.get::<_, String>(0))?;
    for id in placed {
        booths.entry(id?).or_default();
    }
    found.extend(booths.into_iter().map(|(id, name)| {
        let shown = match name.is_empty() || name == id {
            true => id.clone(),
            false => format!("{name} ({id})"),
        };
        (format!("booth:{id}"), shown)
    }));
    Ok(found)
}

/// The local time of a moment in the database.
pub(super) fn local(city: &City, moment: &str) -> String {
    let zoned = moment.parse::<Timestamp>();
    zoned.map_or_else(
        |_| moment.to_owned(),
        |at| {
            let at = at.to_zoned_datetime(city.zone.clone());
            at.strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}

fn clip(id: &str) -> ClipId {
    ClipId::from(id.to_owned())
}
