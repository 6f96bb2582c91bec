//! What waits at the desk, in the order in which it is worked off: who may be in danger first, then the oldest, what is likely empty last.
//!
//! Owns: that order, the groups for bulk rejection, and who works on what ([`claim`]). Never does: keep anybody from deciding; a claim is
//! a hint, and it ends by itself.

use booth_contract::time::rfc3339;
use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Transaction, params, params_from_iter};

use super::decide::State;
use crate::centre::{Kind, Source};
use crate::people::{Person, Right};

/// Messages that are looked at for the next one, and that a page shows.
pub(super) const MOST_SHOWN: usize = 200;
/// Messages of a booth within such a span of time are one group.
const GROUP_MINUTES: i64 = 5;
/// Without a draft: so little speech means that nobody spoke.
pub(crate) const EMPTY_BELOW: f64 = 0.05;

/// Which messages somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) lang: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) source: Option<Source>,
    /// Something else than what waits.
    pub(crate) state: Option<State>,
}

/// Where a message stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Somebody may be in danger.
    Danger,
    /// As it came.
    Usual,
    /// Probably nobody speaks.
    LikelyEmpty,
}

/// A message in the queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) version: i64,
    pub(crate) kind: Kind,
    pub(crate) source: Source,
    pub(crate) booth_id: Option<String>,
    pub(crate) place: Option<String>,
    pub(crate) campaign_id: Option<String>,
    pub(crate) question_id: Option<String>,
    pub(crate) lang: Option<String>,
    pub(crate) said_at: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) rank: Rank,
    pub(crate) has_draft: bool,
    /// Who works on it, and the name.
    pub(crate) claimed_by: Option<(i64, String)>,
    /// Who proposed to publish it.
    pub(crate) proposed_by: Option<i64>,
}

/// Entries of one booth within five minutes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) entries: Vec<Entry>,
}

const DANGER: &str = "m.id IN (SELECT message_id FROM alarm WHERE answered_at IS NULL
  UNION SELECT message_id FROM draft WHERE flagged IS NOT NULL)";
const EMPTY: &str = "coalesce(d.likely_empty, m.kind = 'audio' AND m.speech_ratio IS NOT NULL AND m.speech_ratio < 0.05)";

/// What matches a filter, in order, at most `most`.
pub(crate) fn entries(
    db: &Connection,
    now: Timestamp,
    person: &Person,
    filter: &Filter,
    most: usize,
) -> rusqlite::Result<Vec<Entry>> {
    let ranks: &[(Rank, String)] = match filter.state {
        None | Some(State::Waiting) => &[
            (Rank::Danger, DANGER.to_owned()),
            (Rank::Usual, format!("NOT ({EMPTY}) AND NOT ({DANGER})")),
            (Rank::LikelyEmpty, format!("({EMPTY}) AND NOT ({DANGER})")),
        ],
        Some(_) => &[(Rank::Usual, "1".to_owned())],
    };
    let mut found = Vec::new();
    for (rank, condition) in ranks {
        let room = most.saturating_sub(found.len());
        if room == 0 {
            break;
        }
        found.extend(of_rank(db, now, person, filter, *rank, condition, room)?);
    }
    Ok(found)
}

fn of_rank(
    db: &Connection,
    now: Timestamp,
    person: &Person,
    filter: &Filter,
    rank: Rank,
    condition: &str,
    most: usize,
) -> rusqlite::Result<Vec<Entry>> {
    let mut values: Vec<Value> = vec![rfc3339(now).into()];
    let mut where_ = String::new();
    let mut and = |column: &str, value: &str, values: &mut Vec<Value>| {
        values.push(value.to_owned().into());
        where_ += &format!(" AND {column} = ?{}", values.len());
    };
    if let Some(lang) = &filter.lang {
        and("m.lang", lang, &mut values);
    }
    if let Some(campaign) = &filter.campaign {
        and("m.campaign_id", campaign, &mut values);
    }
    if let Some(source) = filter.source {
        and("m.source", source.word(), &mut values);
    }
    if let Some(own) = person.where_may(Right::Listen) {
        let places = own.iter().map(|campaign| {
            values.push((*campaign).to_owned().into());
            format!("?{}", values.len())
        });
        let places: Vec<String> = places.collect();
        where_ += &format!(" AND m.campaign_id IN ({})", places.join(","));
    }
    let (state, order) = match filter.state {
        None | Some(State::Waiting) => ("waiting", "m.said_at, m.id"),
        Some(state) => (state.word(), "m.decided_at DESC, m.id"),
    };
    let sql = format!(
        "SELECT m.id, m.version, m.kind, m.source, m.booth_id, p.place, m.campaign_id, m.question_id, m.lang, m.said_at, m.duration_ms,
           d.message_id IS NOT NULL, c.account, coalesce(a.shown_name, ''), m.decided_by
         FROM message m LEFT JOIN draft d ON d.message_id = m.id LEFT JOIN placement p ON p.id = m.placement
           LEFT JOIN claim c ON c.message_id = m.id AND c.until > ?1 LEFT JOIN account a ON a.id = c.account
         WHERE m.state = '{state}' AND m.kind <> 'choice' AND {condition}{where_} ORDER BY {order} LIMIT {most}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), |row| {
        let claimed: Option<i64> = row.get(12)?;
        let name: String = row.get(13)?;
        let said_at: String = row.get(9)?;
        Ok(Entry {
            id: row.get(0)?,
            version: row.get(1)?,
            kind: Kind::of(&row.get::<_, String>(2)?).unwrap_or(Kind::Spoken),
            source: Source::of(&row.get::<_, String>(3)?).unwrap_or(Source::Booth),
            booth_id: row.get(4)?,
            place: row.get(5)?,
            campaign_id: row.get(6)?,
            question_id: row.get(7)?,
            lang: row.get(8)?,
            said_at: said_at.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            duration_ms: row.get(10)?,
            rank,
            has_draft: row.get(11)?,
            claimed_by: claimed.map(|account| (account, name)),
            proposed_by: row.get(14)?,
        })
    })?;
    rows.collect()
}

/// How many messages wait, of those that the person may hear.
pub(crate) fn number(db: &Connection, person: &Person) -> rusqlite::Result<u64> {
    let own = person.where_may(Right::Listen);
    let (where_, values): (String, Vec<String>) = match own {
        None => (String::new(), Vec::new()),
        Some(own) => {
            let places: Vec<String> = (1..=own.len()).map(|n| format!("?{n}")).collect();
            let values = own.into_iter().map(str::to_owned).collect();
            (
                format!(" AND campaign_id IN ({})", places.join(",")),
                values,
            )
        }
    };
    db.prepare_cached(&format!(
        "SELECT count(*) FROM message WHERE state = 'waiting' AND kind <> 'choice'{where_}"
    ))?
    .query_row(params_from_iter(values), |row| row.get(0))
}

/// Neighbours of one booth within five minutes become a group; the order stays.
pub(crate) fn grouped(entries: Vec<Entry>) -> Vec<Group> {
    let key = |entry: &Entry| {
        let slice = entry.said_at.as_second().div_euclid(GROUP_MINUTES * 60);
        let alone = entry.booth_id.is_none().then(|| entry.id.clone());
        (entry.rank, entry.booth_id.clone(), alone, slice)
    };
    let mut groups: Vec<Group> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for entry in entries {
        match places.get(&format!("{:?}", key(&entry))) {
            Some(place) => {
                let group: &mut Group = &mut groups[*place];
                group.entries.push(entry);
            }
            None => {
                places.insert(format!("{:?}", key(&entry)), groups.len());
                groups.push(Group {
                    entries: vec![entry],
                });
            }
        }
    }
    groups
}

/// The next message for a person behind the one that is named: nobody else works on it, it does not wait for somebody else's agreement
/// alone, and the person understands its language unless it was asked for.
pub(crate) fn next<'a>(
    entries: &'a [Entry],
    person: &Person,
    filter: &Filter,
    behind: Option<&str>,
) -> Option<&'a Entry> {
    let is_free = |entry: &&Entry| {
        let others = entry.claimed_by.as_ref();
        let is_others = others.is_some_and(|(account, _)| *account != person.account);
        let is_own_proposal = entry.proposed_by == Some(person.account);
        let lang = entry.lang.as_ref();
        let understands = lang.is_none_or(|lang| person.languages.contains(lang));
        !is_others && !is_own_proposal && (understands || filter.lang.is_some())
    };
    let place = behind.and_then(|id| entries.iter().position(|entry| entry.id == id));
    let (before, after) = entries.split_at(place.map_or(0, |place| place + 1));
    let before = &before[..before.len().saturating_sub(1)];
    let later = after.iter().find(is_free);
    later.or_else(|| before.iter().find(is_free))
}

/// Says that a person works on a message; who else does, if somebody does.
pub(crate) fn claim(
    tx: &Transaction<'_>,
    now: Timestamp,
    minutes: i64,
    account: i64,
    id: &str,
) -> rusqlite::Result<Option<(String, Timestamp)>> {
    let until = rfc3339(now + SignedDuration::from_mins(minutes));
    tx.prepare_cached(
        "INSERT INTO claim (message_id, account, until) SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM message WHERE id = ?1)
         ON CONFLICT (message_id) DO UPDATE SET account = excluded.account, until = excluded.until
         WHERE claim.account = excluded.account OR claim.until <= ?4",
    )?
    .execute(params![id, account, until, rfc3339(now)])?;
    let other = tx
        .prepare_cached(
            "SELECT coalesce(a.shown_name, ''), c.until FROM claim c LEFT JOIN account a ON a.id = c.account
             WHERE c.message_id = ?1 AND c.account <> ?2",
        )?
        .query_row(params![id, account], |row| {
            let until: String = row.get(1)?;
            Ok((row.get(0)?, until.parse().unwrap_or(now)))
        })
        .optional()?;
    Ok(other)
}

/// Lets go of everything else that a person had.
pub(crate) fn let_go_of_others(
    tx: &Transaction<'_>,
    account: i64,
    id: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM claim WHERE account = ?2 AND message_id <> ?1")?
        .execute(params![id, account])?;
    Ok(())
}
