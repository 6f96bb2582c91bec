//! Retention: what is kept for how long, and the warning before anything is deleted.
//!
//! Owns: the tables `retention` and `retention_warning`, and the page `/rights/retention`. Once a day each message is looked at by a pure
//! function ([`decide`]). A message is deleted only when its time is over *and* its warning stood on so many days on which the hub ran:
//! a hub that was away for a year warns first, and a clock that jumps is one day at most, and the next look with the right time takes the
//! warning back. Never does: delete a vote, which holds no words; delete what an open case is about; write down what a message said. A
//! failure leaves every message complete; the next look goes on.

mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use booth_database::{Connection, OptionalExtension, Transaction, params};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use booth_contract::time::{Mono, rfc3339};

use super::leaving;
use crate::City;
use crate::centre::Deletion;
use crate::config::RetentionConfig;
use crate::store::{Act, Actor, CityError};

pub(super) use page::routes;

/// Two looks of one running hub lie at least so far apart, milliseconds, whatever the clock on the wall says.
const LEAST_BETWEEN: u64 = 20 * 60 * 60 * 1_000;
/// The mark of the day of the last look.
const MARK: &str = "retention";

/// When this hub looked last, since it began.
#[derive(Debug, Default)]
pub(crate) struct Retention(Mutex<Option<Mono>>);

/// What kind of message it is to retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Nobody has decided about it.
    Waiting,
    /// It is not shown.
    Rejected,
    /// It is counted and not shown.
    Heard,
    /// It is shown.
    Published,
}

impl Class {
    const ALL: [Self; 4] = [Self::Waiting, Self::Rejected, Self::Heard, Self::Published];

    fn of(state: &str) -> Self {
        match state {
            "published" => Self::Published,
            "heard" => Self::Heard,
            "rejected" => Self::Rejected,
            _ => Self::Waiting,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Rejected => "rejected",
            Self::Heard => "heard",
            Self::Published => "published",
        }
    }

    /// The days for which it is kept.
    fn days(self, rules: &RetentionConfig) -> u32 {
        match self {
            Self::Waiting => rules.waiting_days,
            Self::Rejected => rules.rejected_days,
            Self::Heard => rules.heard_days,
            Self::Published => rules.published_days_after_campaign,
        }
    }
}

/// A warning as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Warning {
    class: Class,
    /// Days on which the hub ran and showed it.
    stood: u32,
}

/// What is to be done about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Leave,
    /// Warn from today on.
    Warn,
    /// Its warning stood one day more.
    Stand,
    /// Its time is longer than it was: the warning goes.
    TakeBack,
    /// Its time is over, and the warning stood for long enough.
    Delete,
}

fn days(number: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(number))
}

/// When a message's time is over: so many days after what its class counts from. What lies beyond all time is never over.
fn due(rules: &RetentionConfig, class: Class, from: Option<Timestamp>) -> Option<Timestamp> {
    from?.checked_add(days(class.days(rules))).ok()
}

/// What is to be done today about a message of this class whose time is over at `due`.
fn decide(
    rules: &RetentionConfig,
    now: Timestamp,
    class: Class,
    due: Option<Timestamp>,
    warning: Option<Warning>,
) -> Step {
    let warns_from = due.and_then(|due| due.checked_sub(days(rules.warn_days)).ok());
    let is_near = warns_from.is_some_and(|from| from <= now);
    let is_over = due.is_some_and(|due| due <= now);
    match warning {
        None if is_near => Step::Warn,
        None => Step::Leave,
        Some(_) if !is_near => Step::TakeBack,
        // What was decided since begins another time.
        Some(warning) if warning.class != class => Step::Warn,
        Some(warning) if is_over && warning.stood.saturating_add(1) >= rules.warn_days => {
            Step::Delete
        }
        Some(_) => Step::Stand,
    }
}

/// A message as retention sees it.
struct Seen {
    id: String,
    class: Class,
    /// What its time counts from; `None` while that has not come.
    from: Option<Timestamp>,
    warning: Option<Warning>,
    is_in_case: bool,
}

/// The end of each campaign that is known to end. One without an end is not over.
fn ends(city: &City, db: &Connection) -> Result<BTreeMap<String, Option<Timestamp>>, CityError> {
    let mut ends = BTreeMap::new();
    for campaign in city.centre.campaigns()? {
        let until = campaign.until.as_deref().and_then(|until| {
            let local: jiff::civil::DateTime = until.parse().ok()?;
            let zoned = local.to_zoned_datetime(city.zone.clone()).ok()?;
            Some(zoned.timestamp())
        });
        ends.insert(campaign.id, until);
    }
    let mut statement =
        db.prepare("SELECT campaign_id, max(since) FROM phase WHERE phase = 'decided' GROUP BY 1")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, since): (String, String) = (row.get(0)?, row.get(1)?);
        let since: Option<Timestamp> = since.parse().ok();
        let end = ends.entry(id).or_insert(None);
        // Whichever is later: nothing goes while a page still says that something is to come.
        *end = (*end).max(since);
    }
    Ok(ends)
}

fn seen(
    db: &Connection,
    ends: &BTreeMap<String, Option<Timestamp>>,
) -> booth_database::Result<Vec<Seen>> {
    let mut statement = db.prepare(
        "SELECT m.id, m.state, m.campaign_id, m.received_at, coalesce(m.decided_at, m.received_at),
           coalesce(m.published_at, m.decided_at, m.received_at), w.class, w.stood,
           EXISTS (SELECT 1 FROM rights_case_message c JOIN rights_case ON rights_case.id = c.case_id
             WHERE c.message_id = m.id AND closed_at IS NULL)
         FROM message m LEFT JOIN retention_warning w ON w.message_id = m.id
         WHERE m.kind <> 'choice' AND m.id NOT IN (SELECT message_id FROM leaving)",
    )?;
    let rows = statement.query_map([], |row| {
        let class = Class::of(&row.get::<_, String>(1)?);
        let moment = |column| -> booth_database::Result<Option<Timestamp>> {
            Ok(row.get::<_, String>(column)?.parse().ok())
        };
        let campaign: Option<String> = row.get(2)?;
        let from = match class {
            Class::Waiting => moment(3)?,
            Class::Rejected | Class::Heard => moment(4)?,
            Class::Published => {
                let published = moment(5)?;
                match campaign.and_then(|id| ends.get(&id).copied()) {
                    Some(end) => end.map(|end| published.map_or(end, |at| at.max(end))),
                    // A campaign that nobody knows any more, or none.
                    None => published,
                }
            }
        };
        let (word, stood): (Option<String>, Option<u32>) = (row.get(6)?, row.get(7)?);
        let warning = word.zip(stood).map(|(word, stood)| Warning {
            class: Class::of(&word),
            stood,
        });
        Ok(Seen {
            id: row.get(0)?,
            class,
            from,
            warning,
            is_in_case: row.get(8)?,
        })
    })?;
    rows.collect()
}

/// See [`City::keep_retention`].
pub(super) fn look(city: &City, now: Timestamp, mono: Mono) -> Result<(), CityError> {
    leaving::go_on(city)?;
    let today = city.day_of(now);
    let looked: Option<String> = city.store.read(|db| {
        db.prepare_cached("SELECT value FROM mark WHERE name = ?1")?
            .query_row([MARK], |row| row.get(0))
            .optional()
    })?;
    let mut last = city
        .retention
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let is_soon = last.is_some_and(|last| mono.0.saturating_sub(last.0) < LEAST_BETWEEN);
    if is_soon || looked.as_deref() == Some(&today) {
        return Ok(());
    }
    day(city, now, &today)?;
    *last = Some(mono);
    drop(last);
    while leaving::go_on(city)? {}
    Ok(())
}

/// One day's look: all of it in one transaction, or nothing.
fn day(city: &City, now: Timestamp, today: &str) -> Result<(), CityError> {
    let rules = &city.config.retention;
    let db = city.store.reader_of_its_own()?;
    let ends = ends(city, &db)?;
    let messages = seen(&db, &ends)?;
    drop(db);
    let at = rfc3339(now);
    let (mut warned, mut deleted) = (BTreeMap::new(), BTreeMap::new());
    let mut steps = Vec::new();
    for message in messages {
        let due = due(rules, message.class, message.from);
        let step = match message.is_in_case {
            true => Step::Leave,
            false => decide(rules, now, message.class, due, message.warning),
        };
        match step {
            Step::Leave => continue,
            Step::Warn => *warned.entry(message.class.word()).or_insert(0u64) += 1,
            Step::Delete => *deleted.entry(message.class.word()).or_insert(0u64) += 1,
            Step::Stand | Step::TakeBack => {}
        }
        steps.push((message, due, step));
    }
    let change = |tx: &Transaction<'_>| {
        for (message, due, step) in &steps {
            carry_out(tx, message, *due, *step, &at)?;
        }
        tx.prepare_cached(
            "INSERT INTO mark VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
        )?
        .execute([MARK, today])?;
        Ok(())
    };
    match warned.is_empty() && deleted.is_empty() {
        true => city.store.change_quietly(change)?,
        false => {
            let act = Act::new(Actor::Hub, "kept retention", today);
            let act = act.with(json!({ "warned": warned, "deleted": deleted }));
            city.store.change(act, change)?;
            let number = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
            log::info!(
                about = "retention";
                "retention: {} messages will be deleted in {} days or later, see the page Rights; {} are deleted today",
                number(&warned), rules.warn_days, number(&deleted)
            );
        }
    }
    Ok(())
}

fn carry_out(
    tx: &Transaction<'_>,
    message: &Seen,
    due: Option<Timestamp>,
    step: Step,
    at: &str,
) -> booth_database::Result<()> {
    let (id, class) = (&message.id, message.class.word());
    let due = due.map(rfc3339).unwrap_or_default();
    match step {
        Step::Leave => {}
        Step::Warn => {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO retention_warning (message_id, class, since, due, stood) VALUES (?1, ?2, ?3, ?4, 0)",
            )?
            .execute(params![id, class, at, due])?;
        }
        Step::Stand => {
            tx.prepare_cached(
                "UPDATE retention_warning SET stood = stood + 1, due = ?2 WHERE message_id = ?1",
            )?
            .execute(params![id, due])?;
        }
        Step::TakeBack => {
            tx.prepare_cached("DELETE FROM retention_warning WHERE message_id = ?1")?
                .execute([id])?;
        }
        Step::Delete => leaving::note(tx, id, Deletion::Retention, class, at)?,
    }
    Ok(())
}

/// What is due: for each class and day of deletion, how many.
pub(super) struct Due {
    pub(super) class: Class,
    /// The first day on which it can be deleted, in the city's time zone.
    pub(super) day: String,
    pub(super) number: u64,
    /// Since when the warning stands: the oldest.
    pub(super) since: String,
}

/// What is warned of, the earliest first: a message goes when its time is over and its warning has stood.
fn what_is_due(city: &City, db: &Connection, now: Timestamp) -> booth_database::Result<Vec<Due>> {
    let mut statement = db.prepare_cached(
        "SELECT class, due, stood, count(*), min(since) FROM retention_warning
         WHERE message_id NOT IN (SELECT message_id FROM leaving) GROUP BY 1, 2, 3",
    )?;
    let mut rows = statement.query([])?;
    let mut found: BTreeMap<(String, Class), (u64, String)> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let class = Class::of(&row.get::<_, String>(0)?);
        let due: Option<Timestamp> = row.get::<_, String>(1)?.parse().ok();
        let left = city.config.retention.warn_days.saturating_sub(row.get(2)?);
        let has_stood = now.checked_add(days(left)).ok();
        let first = due.max(has_stood).unwrap_or(now);
        let since: String = row.get(4)?;
        let entry = found
            .entry((city.day_of(first), class))
            .or_insert((0, since.clone()));
        entry.0 += row.get::<_, u64>(3)?;
        if since < entry.1 {
            entry.1 = since;
        }
    }
    let due = found.into_iter();
    Ok(due
        .map(|((day, class), (number, since))| Due {
            class,
            day,
            number,
            since,
        })
        .collect())
}

/// What retention has deleted: the day, the class and how many, the latest first.
fn what_was_deleted(
    city: &City,
    db: &Connection,
    most: u32,
) -> booth_database::Result<Vec<(String, Class, u64)>> {
    db.prepare_cached("SELECT at, class, number FROM retention ORDER BY at DESC, class LIMIT ?1")?
        .query_map([most], |row| {
            let at: String = row.get(0)?;
            let day = at.parse().map_or(at, |at: Timestamp| city.day_of(at));
            Ok((day, Class::of(&row.get::<_, String>(1)?), row.get(2)?))
        })?
        .collect()
}
