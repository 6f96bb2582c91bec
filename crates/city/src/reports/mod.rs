//! The council's report: what a campaign was, what was said in it and what came of it, as it was on one day.
//!
//! Owns: the table `report` and the pages below `/reports`. A report is frozen as numbers and texts of editors; of a citizen's words it holds
//! ids alone, so that a quotation that is taken back is gone from every report, which then says so and keeps its numbers. Every number of
//! messages is one that the public may see ([`crate::small_cells`]). Never does: change a report. A failure leaves none behind.

mod blocks;
mod gather;
mod odt;
mod pages;
#[cfg(test)]
mod tests;
mod written;

use std::sync::Arc;

use axum::Router;
use booth_database::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use booth_contract::time::rfc3339;
use booth_host::clock;

use crate::City;
use crate::centre::CentreError;
use crate::pages::texts::Texts;
use crate::people::{Person, Right};
use crate::store::{Act, CityError};

pub(crate) fn routes() -> Router<Arc<City>> {
    pages::routes()
}

/// A report as it is frozen. Numbers of messages are as they are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Frozen {
    campaign: String,
    title: Texts,
    summary: Texts,
    /// The local day.
    made_on: String,
    from: Option<String>,
    until: Option<String>,
    /// Phase, local day of its beginning and of its end.
    phases: Vec<(String, String, Option<String>)>,
    places: Vec<Place>,
    ready_minutes: u64,
    /// Steps of a visit by name, and how many came so far.
    funnel: Vec<(String, u64)>,
    /// Messages by source.
    sources: Vec<(String, u64)>,
    /// Messages by what became of them.
    standing: Vec<(String, u64)>,
    questions: Vec<Asked>,
    themes: Vec<Themed>,
    /// Messages of themes with fewer than five, together.
    other_themes: u64,
    ideas: Vec<Thought>,
    reply: Texts,
    reply_on: Option<String>,
    limits: Texts,
}

/// Where a booth stood for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Place {
    place: String,
    area: Option<String>,
    since: String,
    until: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    id: String,
    text: Texts,
    messages: u64,
    /// Votes cast for each option; none for a question that is answered in words.
    votes: Vec<(Texts, u64)>,
    /// Whether the votes are as they were cast; else they are rounded down, and 0 means fewer than five.
    #[serde(default)]
    are_exact: bool,
    is_over: bool,
    reply: Texts,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Themed {
    name: Texts,
    messages: u64,
    /// Ids of published messages; their words are read when the report is shown.
    quotes: Vec<String>,
}

/// An idea and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Thought {
    title: Texts,
    body: Texts,
    messages: u64,
    outcome: Texts,
    outcome_on: Option<String>,
}

/// A report in the list.
struct Listed {
    id: i64,
    campaign: String,
    made_at: String,
}

/// Who may make and read the reports of a campaign.
fn may(person: &Person, campaign: &str) -> bool {
    person.may(Right::Export, Some(campaign))
}

/// Freezes a report of a campaign; its number.
fn freeze(city: &City, who: &Person, campaign: &str) -> Result<i64, CityError> {
    let now = clock::wall();
    let frozen = gather::gather(city, campaign, now)?;
    let body = serde_json::to_string(&frozen)
        .map_err(|why| CityError::Failed(format!("the report cannot be written: {why}")))?;
    let act = Act::new(who.actor(), "froze a report", campaign);
    city.store.change(act, |tx| {
        tx.execute(
            "INSERT INTO report (campaign_id, made_at, made_by, body) VALUES (?1, ?2, ?3, ?4)",
            params![campaign, rfc3339(now), who.account, body],
        )?;
        Ok(tx.last_insert_rowid()?)
    })
}

/// All reports, the latest first.
fn all(db: &Connection) -> booth_database::Result<Vec<Listed>> {
    db.prepare_cached("SELECT id, campaign_id, made_at FROM report ORDER BY id DESC LIMIT 1000")?
        .query_map([], |row| {
            Ok(Listed {
                id: row.get(0)?,
                campaign: row.get(1)?,
                made_at: row.get(2)?,
            })
        })?
        .collect()
}

/// A report that this person may read.
fn one(city: &City, who: &Person, id: i64) -> Result<Frozen, CityError> {
    let body: Option<String> = city.store.read(|db| {
        db.prepare_cached("SELECT body FROM report WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()
    })?;
    let body = body.ok_or(CentreError::NotThere)?;
    let frozen: Frozen = serde_json::from_str(&body)
        .map_err(|why| CityError::Failed(format!("the report cannot be read: {why}")))?;
    match may(who, &frozen.campaign) {
        true => Ok(frozen),
        false => Err(CentreError::NotThere.into()),
    }
}

/// Writes down that a report was taken out as a file.
fn taken(city: &City, who: &Person, id: i64, form: &'static str) -> Result<(), CityError> {
    let act = Act::new(who.actor(), "took out a report", format!("report {id}"));
    city.store
        .change(act.with(json!({ "form": form })), |_| Ok(()))
}
