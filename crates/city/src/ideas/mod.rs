//! Ideas: messages that say the same, grouped under a title, with what came of them.
//!
//! Owns: the tables `idea` and `message_idea`, and the moderators' pages of them. Never does: make an option of a vote of an idea; the
//! editor does, and notes it with [`set_vote`]. Every message keeps the link to what became of it.

mod pages;

use std::collections::BTreeMap;

use booth_contract::time::rfc3339;
use booth_database::{Connection, OptionalExtension, Row, Transaction, params};
use jiff::Timestamp;

pub(crate) use pages::routes;

use crate::desk::plain;
use crate::sentence;
use crate::store::CityError;

/// Texts by language.
pub(crate) type Texts = BTreeMap<String, String>;

/// Longest title and longest text, characters.
pub(crate) const LONGEST_TITLE: usize = 120;
pub(crate) const LONGEST_BODY: usize = 4_000;
/// Most messages that are added to an idea at once.
const MOST_AT_ONCE: usize = 500;

/// Where an idea is voted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VotePlace {
    pub(crate) campaign: String,
    pub(crate) question: String,
    pub(crate) digit: u8,
}

/// An idea.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Idea {
    pub(crate) id: i64,
    pub(crate) campaign_id: String,
    pub(crate) title: Texts,
    pub(crate) body: Texts,
    pub(crate) made_at: String,
    /// Where it is an option of a vote.
    pub(crate) vote: Option<VotePlace>,
    /// What came of it.
    pub(crate) outcome: Option<Texts>,
    pub(crate) outcome_at: Option<String>,
    /// How many messages it has, published or not. Small numbers are not for the public.
    pub(crate) messages: u64,
}

impl Idea {
    /// What people write of it: title, text and what came of it.
    fn written(&self) -> (&Texts, &Texts, &Option<Texts>) {
        (&self.title, &self.body, &self.outcome)
    }

    /// A text in this language, or in any.
    pub(crate) fn in_language<'a>(texts: &'a Texts, language: &str) -> &'a str {
        let found = texts.get(language).filter(|text| !text.is_empty());
        let found = found.or_else(|| texts.values().find(|text| !text.is_empty()));
        found.map_or("", String::as_str)
    }
}

const COLUMNS: &str = "i.id, i.campaign_id, i.title, i.body, i.made_at, i.vote_campaign, i.vote_question, i.vote_digit, i.outcome,
  i.outcome_at, (SELECT count(*) FROM message_idea x WHERE x.idea_id = i.id)";

fn from_row(row: &Row<'_>) -> booth_database::Result<Idea> {
    let texts = |json: String| serde_json::from_str::<Texts>(&json).unwrap_or_default();
    let campaign: Option<String> = row.get(5)?;
    let question: Option<String> = row.get(6)?;
    let digit: Option<u8> = row.get(7)?;
    let vote = match (campaign, question, digit) {
        (Some(campaign), Some(question), Some(digit)) => Some(VotePlace {
            campaign,
            question,
            digit,
        }),
        _ => None,
    };
    Ok(Idea {
        id: row.get(0)?,
        campaign_id: row.get(1)?,
        title: texts(row.get(2)?),
        body: texts(row.get(3)?),
        made_at: row.get(4)?,
        vote,
        outcome: row.get::<_, Option<String>>(8)?.map(texts),
        outcome_at: row.get(9)?,
        messages: row.get(10)?,
    })
}

/// An idea by its number.
pub(crate) fn idea(db: &Connection, id: i64) -> booth_database::Result<Option<Idea>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM idea i WHERE i.id = ?1"))?
        .query_row([id], from_row)
        .optional()
}

/// The ideas of a campaign, those with the most messages first; of all campaigns, where none is named.
pub(crate) fn of_campaign(
    db: &Connection,
    campaign: Option<&str>,
) -> booth_database::Result<Vec<Idea>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM idea i WHERE ?1 IS NULL OR i.campaign_id = ?1 ORDER BY 11 DESC, i.id LIMIT 1000"
    ))?;
    let rows = statement.query_map([campaign], from_row)?;
    rows.collect()
}

/// The ideas that a message belongs to.
pub(crate) fn of_message(db: &Connection, message: &str) -> booth_database::Result<Vec<Idea>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM message_idea l JOIN idea i ON i.id = l.idea_id WHERE l.message_id = ?1 ORDER BY i.id"
    ))?;
    let rows = statement.query_map([message], from_row)?;
    rows.collect()
}

fn json(texts: &Texts, most: usize) -> String {
    let kept = texts
        .iter()
        .map(|(language, text)| (language, plain(text, most)));
    let kept: BTreeMap<_, _> = kept.filter(|(_, text)| !text.is_empty()).collect();
    serde_json::json!(kept).to_string()
}

/// Makes an idea; its number.
///
/// # Errors
/// An idea without a title.
pub(crate) fn make(
    tx: &Transaction<'_>,
    now: Timestamp,
    account: i64,
    campaign: &str,
    title: &Texts,
    body: &Texts,
) -> Result<i64, CityError> {
    let title = json(title, LONGEST_TITLE);
    if title == "{}" {
        return Err(sentence!("ideas-no-title").into());
    }
    tx.prepare_cached(
        "INSERT INTO idea (campaign_id, title, body, made_at, made_by) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        campaign,
        title,
        json(body, LONGEST_BODY),
        rfc3339(now),
        account
    ])?;
    Ok(tx.last_insert_rowid()?)
}

/// Writes title, text and what came of it anew.
///
/// # Errors
/// An idea without a title.
pub(crate) fn write(
    tx: &Transaction<'_>,
    now: Timestamp,
    id: i64,
    title: &Texts,
    body: &Texts,
    outcome: &Texts,
) -> Result<(), CityError> {
    let title = json(title, LONGEST_TITLE);
    if title == "{}" {
        return Err(sentence!("ideas-no-title").into());
    }
    let outcome = Some(json(outcome, LONGEST_BODY)).filter(|json| json != "{}");
    tx.prepare_cached(
        "UPDATE idea SET title = ?2, body = ?3, outcome = ?4,
           outcome_at = CASE WHEN ?4 IS NULL THEN NULL WHEN outcome IS ?4 THEN outcome_at ELSE ?5 END WHERE id = ?1",
    )?
    .execute(params![id, title, json(body, LONGEST_BODY), outcome, rfc3339(now)])?;
    Ok(())
}

/// Puts messages into an idea; those of another campaign stay outside. How many went in.
pub(crate) fn add(
    tx: &Transaction<'_>,
    idea: i64,
    messages: &[String],
) -> booth_database::Result<usize> {
    let mut added = 0;
    for message in messages.iter().take(MOST_AT_ONCE) {
        added += tx
            .prepare_cached(
                "INSERT OR IGNORE INTO message_idea (message_id, idea_id)
                 SELECT m.id, i.id FROM message m JOIN idea i ON i.id = ?2 AND i.campaign_id = coalesce(m.campaign_id, '')
                 WHERE m.id = ?1 AND m.kind <> 'choice'",
            )?
            .execute(params![message, idea])?;
    }
    Ok(added)
}

/// Takes a message out of an idea.
pub(crate) fn take_out(
    tx: &Transaction<'_>,
    idea: i64,
    message: &str,
) -> booth_database::Result<()> {
    tx.prepare_cached("DELETE FROM message_idea WHERE message_id = ?1 AND idea_id = ?2")?
        .execute(params![message, idea])?;
    Ok(())
}

/// Notes that an idea is an option of a vote, or is none any more.
pub(crate) fn set_vote(
    tx: &Transaction<'_>,
    idea: i64,
    vote: Option<&VotePlace>,
) -> booth_database::Result<()> {
    tx.prepare_cached(
        "UPDATE idea SET vote_campaign = ?2, vote_question = ?3, vote_digit = ?4 WHERE id = ?1",
    )?
    .execute(params![
        idea,
        vote.map(|vote| &vote.campaign),
        vote.map(|vote| &vote.question),
        vote.map(|vote| vote.digit)
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests;
