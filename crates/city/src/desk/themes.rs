//! Themes: what people say a message is about, made where they are needed.
//!
//! Owns: the tables `theme` and `message_theme`. Never does: give a theme to a message without a person.

use std::collections::BTreeMap;

use booth_database::{Connection, Transaction, params};

use super::rows::{Message, plain};
use crate::sentence;
use crate::store::CityError;

/// Longest name of a theme, characters.
const LONGEST_NAME: usize = 60;
/// Most themes of a campaign, and of one message.
const MOST_OF_CAMPAIGN: usize = 200;
const MOST_OF_MESSAGE: usize = 20;

/// A theme of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) id: i64,
    /// By language.
    pub(crate) name: BTreeMap<String, String>,
}

impl Theme {
    /// Its name in this language, or in any.
    pub(crate) fn in_language(&self, language: &str) -> &str {
        let name = self
            .name
            .get(language)
            .or_else(|| self.name.values().next());
        name.map_or("", String::as_str)
    }
}

/// The themes that somebody gives a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Of those that there are.
    pub(crate) ids: Vec<i64>,
    /// Further ones, by their names.
    pub(crate) new: Vec<String>,
    /// The language of these names.
    pub(crate) language: String,
}

/// All themes of a campaign, the most used first.
pub(crate) fn of_campaign(
    db: &Connection,
    campaign: Option<&str>,
) -> booth_database::Result<Vec<Theme>> {
    let mut statement = db.prepare_cached(
        "SELECT t.id, t.name FROM theme t WHERE t.campaign_id = ?1
         ORDER BY (SELECT count(*) FROM message_theme x WHERE x.theme_id = t.id) DESC, t.id",
    )?;
    let rows = statement.query_map([campaign.unwrap_or_default()], |row| {
        let name: String = row.get(1)?;
        Ok(Theme {
            id: row.get(0)?,
            name: serde_json::from_str(&name).unwrap_or_default(),
        })
    })?;
    rows.collect()
}

/// The numbers of a message's themes.
pub(crate) fn of_message(db: &Connection, id: &str) -> booth_database::Result<Vec<i64>> {
    let mut statement = db.prepare_cached(
        "SELECT theme_id FROM message_theme WHERE message_id = ?1 ORDER BY theme_id",
    )?;
    let rows = statement.query_map([id], |row| row.get(0))?;
    rows.collect()
}

/// Gives a message these themes and no others.
pub(super) fn set(
    tx: &Transaction<'_>,
    message: &Message,
    chosen: &Chosen,
) -> Result<(), CityError> {
    let campaign = message.campaign_id.as_deref();
    let mut known = of_campaign(tx, campaign)?;
    let mut ids: Vec<i64> = chosen.ids.clone();
    ids.retain(|id| known.iter().any(|theme| theme.id == *id));
    for name in &chosen.new {
        let name = plain(name, LONGEST_NAME).replace('\n', " ");
        if name.is_empty() {
            continue;
        }
        let is_same = |theme: &Theme| {
            let mut names = theme.name.values();
            names.any(|own| own.to_lowercase() == name.to_lowercase())
        };
        if let Some(theme) = known.iter().find(|theme| is_same(theme)) {
            ids.push(theme.id);
            continue;
        }
        if known.len() >= MOST_OF_CAMPAIGN {
            return Err(sentence!("desk-too-many-themes", n = MOST_OF_CAMPAIGN).into());
        }
        let name = BTreeMap::from([(chosen.language.clone(), name)]);
        let json = serde_json::json!(name).to_string();
        tx.prepare_cached("INSERT INTO theme (campaign_id, name) VALUES (?1, ?2)")?
            .execute(params![campaign.unwrap_or_default(), json])?;
        let id = tx.last_insert_rowid()?;
        known.push(Theme { id, name });
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(MOST_OF_MESSAGE);
    tx.prepare_cached("DELETE FROM message_theme WHERE message_id = ?1")?
        .execute([&message.id])?;
    for id in ids {
        tx.prepare_cached("INSERT INTO message_theme (message_id, theme_id) VALUES (?1, ?2)")?
            .execute(params![message.id, id])?;
    }
    Ok(())
}
