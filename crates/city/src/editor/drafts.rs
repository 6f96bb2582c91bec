//! Campaigns that are being edited: a draft lies beside the published file until it is published, or dropped.
//!
//! Owns: the table `campaign_draft`. Never does: overwrite what somebody else has written meanwhile. Each form carries the version that it
//! was drawn from; a form of an older one is refused with who changed it, and nothing is lost: the browser still has what was written.

use booth_contract::hex;
use booth_contract::time::rfc3339;
use booth_database::{Connection, OptionalExtension, Transaction, params};
use booth_host::clock;
use sha2::{Digest, Sha256};

use crate::City;
use crate::centre::CentreError;
use crate::people::Person;
use crate::sentence;
use crate::store::{Act, CityError};

/// A campaign's file as an editor has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) id: String,
    pub(crate) toml: String,
    /// Rises with each change; 0 is the published file without a draft.
    pub(crate) version: u64,
    /// The published file has changed since the draft was begun.
    pub(crate) is_overtaken: bool,
    /// The campaign is published.
    pub(crate) is_published: bool,
    /// When the draft was changed last, and by whom.
    pub(crate) changed: Option<(String, String)>,
}

fn hash_of(toml: &str) -> String {
    hex(&Sha256::digest(toml.as_bytes()))
}

/// The file of a published campaign.
fn published(city: &City, id: &str) -> Result<Option<String>, CityError> {
    match city.centre.campaign_file(id) {
        Ok(toml) => Ok(Some(toml)),
        Err(CentreError::NotThere) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

struct Row {
    toml: String,
    base: String,
    version: u64,
    changed: (String, String),
}

fn row(db: &Connection, id: &str) -> booth_database::Result<Option<Row>> {
    db.prepare_cached(
        "SELECT toml, base, version, changed_at, changed_by FROM campaign_draft WHERE id = ?1",
    )?
    .query_row([id], |row| {
        Ok(Row {
            toml: row.get(0)?,
            base: row.get(1)?,
            version: row.get(2)?,
            changed: (row.get(3)?, row.get(4)?),
        })
    })
    .optional()
}

/// What there is of a campaign: its draft, or its published file. `None` where there is neither.
pub(crate) fn open(city: &City, id: &str) -> Result<Option<Work>, CityError> {
    let published = published(city, id)?;
    let base = published.as_deref().map(hash_of).unwrap_or_default();
    let is_published = published.is_some();
    if let Some(row) = city.store.read(|db| row(db, id))? {
        return Ok(Some(Work {
            id: id.to_owned(),
            toml: row.toml,
            version: row.version,
            is_overtaken: row.base != base,
            is_published,
            changed: Some(row.changed),
        }));
    }
    Ok(published.map(|toml| Work {
        id: id.to_owned(),
        toml,
        version: 0,
        is_overtaken: false,
        is_published,
        changed: None,
    }))
}

/// The ids of all drafts.
pub(crate) fn all(db: &Connection) -> booth_database::Result<Vec<String>> {
    let mut statement = db.prepare_cached("SELECT id FROM campaign_draft ORDER BY id")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Keeps a campaign's file as a draft, if nobody has changed it since `version`. Returns the new version.
///
/// # Errors
/// Somebody has.
pub(crate) fn save(
    city: &City,
    person: &Person,
    id: &str,
    version: u64,
    toml: &str,
) -> Result<u64, CityError> {
    let base = published(city, id)?
        .as_deref()
        .map(hash_of)
        .unwrap_or_default();
    let act = Act::new(person.actor(), "campaign edited", id);
    city.store.change(act, |db| {
        same_version(db, id, version)?;
        db.execute(
            "INSERT INTO campaign_draft (id, toml, base, version, changed_at, changed_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (id) DO UPDATE SET toml = ?2, version = ?4, changed_at = ?5, changed_by = ?6",
            params![id, toml, base, version + 1, rfc3339(clock::wall()), person.shown_name],
        )?;
        Ok(version + 1)
    })
}

fn same_version(db: &Transaction<'_>, id: &str, version: u64) -> Result<(), CityError> {
    let known = row(db, id)?;
    match known {
        Some(row) if row.version != version => {
            let (at, who) = row.changed;
            Err(sentence!("editor-changed-by", who = who, at = at).into())
        }
        None if version != 0 => Err(sentence!("editor-draft-gone").into()),
        _ => Ok(()),
    }
}

/// Lets the published file count as the beginning of the draft again: whoever edits has seen that it changed.
pub(crate) fn rebase(city: &City, person: &Person, work: &Work) -> Result<(), CityError> {
    let base = published(city, &work.id)?
        .as_deref()
        .map(hash_of)
        .unwrap_or_default();
    let act = Act::new(person.actor(), "campaign edited", work.id.as_str());
    city.store.change(act, |db| {
        same_version(db, &work.id, work.version)?;
        db.execute(
            "UPDATE campaign_draft SET base = ?2 WHERE id = ?1",
            params![work.id, base],
        )?;
        Ok(())
    })
}

/// Throws a draft away.
///
/// # Errors
/// Somebody has changed it since.
pub(crate) fn drop_draft(
    city: &City,
    person: &Person,
    id: &str,
    version: u64,
) -> Result<(), CityError> {
    let act = Act::new(person.actor(), "draft dropped", id);
    city.store.change(act, |db| {
        same_version(db, id, version)?;
        db.execute("DELETE FROM campaign_draft WHERE id = ?1", [id])?;
        Ok(())
    })
}

/// Notes that a campaign was published as its draft had it. What somebody has saved meanwhile stays: made of the draft that was published, it goes on
/// from there; made of the file that was published before, it is overtaken.
pub(crate) fn noted(
    city: &City,
    person: &Person,
    work: &Work,
    title: &str,
    language: &str,
    more: impl FnOnce(&Transaction<'_>) -> booth_database::Result<()>,
) -> Result<(), CityError> {
    let id = work.id.as_str();
    let base = published(city, id).ok().flatten();
    let base = base.as_deref().map(hash_of);
    let act = Act::new(person.actor(), "campaign published", id);
    let title = serde_json::json!({ language: title }).to_string();
    city.store.change(act, |db| {
        db.execute(
            "DELETE FROM campaign_draft WHERE id = ?1 AND version = ?2",
            params![id, work.version],
        )?;
        if work.version > 0 {
            db.execute(
                "UPDATE campaign_draft SET base = coalesce(?2, base) WHERE id = ?1",
                params![id, base],
            )?;
        }
        db.execute(
            "INSERT OR IGNORE INTO campaign (id, title, summary) VALUES (?1, ?2, '{}')",
            params![id, title],
        )?;
        more(db)?;
        Ok(())
    })
}
