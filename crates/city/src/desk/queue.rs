//! What waits at the desk, in the order in which it is worked off: who may be in danger first, then the oldest, what is likely empty last.
//!
//! Owns: that order with a [`Place`] in it, so that a long queue is read page by page, the groups for bulk rejection, and who works on what
//! ([`claim`]). Never does: keep anybody from deciding; a claim is
//! a hint, and it ends by itself.

use booth_contract::time::rfc3339;
use booth_database::types::Value;
use booth_database::{Connection, OptionalExtension, Transaction, params, params_from_iter};
use jiff::{SignedDuration, Timestamp};

use super::decide::State;
use crate::centre::{Kind, Source};
use crate::people::{Person, Right};

/// Messages that a page shows.
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
    /// Where the booth stood.
    pub(crate) stood: Option<String>,
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
    /// Where it stands: what comes behind it is asked for with this.
    pub(crate) place: Place,
}

/// A place in the order of what matches a filter. It stays where it is while messages before and behind it come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    rank: Rank,
    /// When it was spoken; when it was decided, for what does not wait.
    at: String,
    id: String,
}

impl Place {
    /// As it stands in an address.
    pub(super) fn text(&self) -> String {
        format!("{}_{}_{}", self.rank as u8, self.at, self.id)
    }

    /// Reads that.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '_');
        let ranks = [Rank::Danger, Rank::Usual, Rank::LikelyEmpty];
        let rank: usize = parts.next()?.parse().ok()?;
        Some(Self {
            rank: *ranks.get(rank)?,
            at: parts.next()?.to_owned(),
            id: parts.next()?.to_owned(),
        })
    }
}

/// Entries of one booth within five minutes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) entries: Vec<Entry>,
}

const DANGER: &str = "m.id IN (SELECT message_id FROM alarm WHERE answered_at IS NULL
  UNION SELECT message_id FROM draft WHERE flagged IS NOT NULL)";
const EMPTY: &str = "coalesce(d.likely_empty, m.kind = 'audio' AND m.speech_ratio IS NOT NULL AND m.speech_ratio < 0.05)";

/// Whom the entries are for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// A page: all of them.
    Page,
    /// The next message of a person: those that nobody else works on, that do not wait for somebody else's agreement alone, and whose
    /// language the person understands unless it was asked for.
    Next,
}

/// What matches a filter, in order, behind a place where one is named, at most `most`.
pub(crate) fn entries(
    db: &Connection,
    now: Timestamp,
    person: &Person,
    filter: &Filter,
    behind: Option<&Place>,
    most: usize,
) -> booth_database::Result<Vec<Entry>> {
    let asked = Asked {
        db,
        now,
        person,
        filter,
        whom: For::Page,
    };
    asked.entries(behind, most)
}

/// The next message for a person, behind the one that is named; behind the last one the first.
pub(crate) fn next(
    db: &Connection,
    now: Timestamp,
    person: &Person,
    filter: &Filter,
    behind: Option<&str>,
) -> booth_database::Result<Option<Entry>> {
    let asked = Asked {
        db,
        now,
        person,
        filter,
        whom: For::Next,
    };
    let place = behind.map(|id| asked.place_of(id)).transpose()?.flatten();
    if let Some(place) = place
        && let Some(later) = asked.entries(Some(&place), 1)?.pop()
    {
        return Ok(Some(later));
    }
    let first = asked.entries(None, 2)?.into_iter();
    let mut others = first.filter(|entry| behind != Some(entry.id.as_str()));
    Ok(others.next())
}

/// One question to the queue.
struct Asked<'a> {
    db: &'a Connection,
    now: Timestamp,
    person: &'a Person,
    filter: &'a Filter,
    whom: For,
}

impl Asked<'_> {
    fn is_waiting(&self) -> bool {
        matches!(self.filter.state, None | Some(State::Waiting))
    }

    /// The ranks in their order, each with its condition.
    fn ranks(&self) -> Vec<(Rank, String)> {
        match self.is_waiting() {
            true => vec![
                (Rank::Danger, DANGER.to_owned()),
                (Rank::Usual, format!("NOT ({EMPTY}) AND NOT ({DANGER})")),
                (Rank::LikelyEmpty, format!("({EMPTY}) AND NOT ({DANGER})")),
            ],
            false => vec![(Rank::Usual, "1".to_owned())],
        }
    }

    fn entries(&self, behind: Option<&Place>, most: usize) -> booth_database::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for (rank, condition) in self.ranks() {
            let room = most.saturating_sub(found.len());
            if room == 0 {
                break;
            }
            let behind = match behind {
                Some(place) if place.rank > rank => continue,
                Some(place) => Some(place).filter(|place| place.rank == rank),
                None => None,
            };
            found.extend(self.of_rank(rank, &condition, behind, room)?);
        }
        Ok(found)
    }

    /// Where a message stands, or stood before it was decided.
    fn place_of(&self, id: &str) -> booth_database::Result<Option<Place>> {
        let at = match self.is_waiting() {
            true => "m.said_at",
            false => "coalesce(m.decided_at, '')",
        };
        let sql = format!(
            "SELECT {at}, {DANGER}, {EMPTY} FROM message m LEFT JOIN draft d ON d.message_id = m.id WHERE m.id = ?1"
        );
        self.db
            .prepare_cached(&sql)?
            .query_row([id], |row| {
                let rank = match (self.is_waiting(), row.get(1)?, row.get(2)?) {
                    (true, true, _) => Rank::Danger,
                    (true, false, true) => Rank::LikelyEmpty,
                    _ => Rank::Usual,
                };
                let (at, id) = (row.get(0)?, id.to_owned());
                Ok(Place { rank, at, id })
            })
            .optional()
    }

    fn of_rank(
        &self,
        rank: Rank,
        condition: &str,
        behind: Option<&Place>,
        most: usize,
    ) -> booth_database::Result<Vec<Entry>> {
        let (filter, person) = (self.filter, self.person);
        let mut values: Vec<Value> = vec![rfc3339(self.now).into()];
        let mut place = |value: &str| {
            values.push(value.to_owned().into());
            format!("?{}", values.len())
        };
        let mut where_ = String::new();
        // The plus keeps the search in the index of this order: a campaign has far more messages than a page shows.
        for (column, value) in [
            ("m.lang", filter.lang.as_deref()),
            ("+m.campaign_id", filter.campaign.as_deref()),
            ("m.source", filter.source.map(Source::word)),
        ] {
            if let Some(value) = value {
                where_ += &format!(" AND {column} = {}", place(value));
            }
        }
        if let Some(own) = person.where_may(Right::Listen) {
            let own: Vec<String> = own.into_iter().map(&mut place).collect();
            where_ += &format!(" AND +m.campaign_id IN ({})", own.join(","));
        }
        if self.whom == For::Next {
            let account = person.account;
            where_ += &format!(
                " AND coalesce(c.account, {account}) = {account} AND m.decided_by IS NOT {account}"
            );
            if filter.lang.is_none() {
                let own = person.languages.iter().map(String::as_str);
                let own: Vec<String> = own.map(&mut place).collect();
                where_ += &format!(" AND (m.lang IS NULL OR m.lang IN ({}))", own.join(","));
            }
        }
        let (state, at, order) = match filter.state {
            None | Some(State::Waiting) => ("waiting", "m.said_at", "m.said_at, m.id"),
            Some(state) => (state.word(), "m.decided_at", "m.decided_at DESC, m.id"),
        };
        if !self.is_waiting() {
            where_ += " AND m.decided_at IS NOT NULL";
        }
        if let Some(behind) = behind {
            let (then, id) = (place(&behind.at), place(&behind.id));
            let beyond = if self.is_waiting() { ">" } else { "<" };
            where_ +=
                &format!(" AND {at} {beyond}= {then} AND ({at} {beyond} {then} OR m.id > {id})");
        }
        let sql = format!(
            "SELECT m.id, m.version, m.kind, m.source, m.booth_id, p.place, m.campaign_id, m.question_id, m.lang, m.said_at, m.duration_ms,
               d.message_id IS NOT NULL, c.account, coalesce(a.shown_name, ''), {at}, m.decided_by
             FROM message m LEFT JOIN draft d ON d.message_id = m.id LEFT JOIN placement p ON p.id = m.placement
               LEFT JOIN claim c ON c.message_id = m.id AND c.until > ?1 LEFT JOIN account a ON a.id = c.account
             WHERE m.state = '{state}' AND m.kind <> 'choice' AND {condition}{where_} ORDER BY {order} LIMIT {most}"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| {
            let claimed: Option<i64> = row.get(12)?;
            let name: String = row.get(13)?;
            let said_at: String = row.get(9)?;
            let id: String = row.get(0)?;
            Ok(Entry {
                place: Place {
                    rank,
                    at: row.get(14)?,
                    id: id.clone(),
                },
                id,
                version: row.get(1)?,
                kind: Kind::of(&row.get::<_, String>(2)?).unwrap_or(Kind::Spoken),
                source: Source::of(&row.get::<_, String>(3)?).unwrap_or(Source::Booth),
                booth_id: row.get(4)?,
                stood: row.get(5)?,
                campaign_id: row.get(6)?,
                question_id: row.get(7)?,
                lang: row.get(8)?,
                said_at: said_at.parse().unwrap_or(Timestamp::UNIX_EPOCH),
                duration_ms: row.get(10)?,
                rank,
                has_draft: row.get(11)?,
                claimed_by: claimed.map(|account| (account, name)),
                proposed_by: row.get(15)?,
            })
        })?;
        rows.collect()
    }
}

/// How many messages wait, of those that the person may hear.
pub(crate) fn number(db: &Connection, person: &Person) -> booth_database::Result<u64> {
    let own = person.where_may(Right::Listen);
    let (where_, values): (String, Vec<String>) = match own {
        None => (String::new(), Vec::new()),
        Some(own) => {
            let places: Vec<String> = (1..=own.len()).map(|n| format!("?{n}")).collect();
            let values = own.into_iter().map(str::to_owned).collect();
            (
                // The plus keeps the count in the index of what waits: a campaign has far more messages than wait.
                format!(" AND +campaign_id IN ({})", places.join(",")),
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

/// Says that a person works on a message; who else does, if somebody does.
pub(crate) fn claim(
    tx: &Transaction<'_>,
    now: Timestamp,
    minutes: i64,
    account: i64,
    id: &str,
) -> booth_database::Result<Option<(String, Timestamp)>> {
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
) -> booth_database::Result<()> {
    tx.prepare_cached("DELETE FROM claim WHERE account = ?2 AND message_id <> ?1")?
        .execute(params![id, account])?;
    Ok(())
}
