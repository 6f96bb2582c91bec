//! The way of a message out of the city for another reason than its citizen's receipt.
//!
//! Owns: the table `leaving`. First it is written down that a message is to go, and why, with the act of whoever wants it; then the hub is
//! asked to delete it; then it is forgotten here. A failure between two steps leaves the message complete and noted, and [`go_on`] ends
//! what was begun. Never does: decide which message goes.

use booth_database::{Transaction, params};

use booth_contract::ClipId;

use crate::City;
use crate::follow;
use crate::store::CityError;

/// Messages that are ended in one go, so that nobody waits long for the database.
const AT_ONCE: usize = 200;

/// Why a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its time is over.
    Retention,
    /// Somebody asked for it without a receipt.
    Case,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Case => "case",
        }
    }
}

/// Notes that a message is to go; `class` and `at` say where it is counted.
pub(super) fn note(
    tx: &Transaction<'_>,
    id: &str,
    why: Why,
    class: &str,
    at: &str,
) -> booth_database::Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO leaving (message_id, why, class, at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![id, why.word(), class, at])?;
    Ok(())
}

/// Ends what was begun; whether there may be more.
pub(super) fn go_on(city: &City) -> Result<bool, CityError> {
    let begun: Vec<String> = city.store.read(|db| {
        db.prepare_cached("SELECT message_id FROM leaving ORDER BY at, message_id LIMIT ?1")?
            .query_map([AT_ONCE], |row| row.get(0))?
            .collect()
    })?;
    for id in &begun {
        city.centre.delete(&ClipId::from(id.clone()))?;
    }
    if !begun.is_empty() {
        city.store.change_forgetting(|tx| {
            let mut words_went = false;
            for id in &begun {
                words_went |= follow::forget(tx, id)?;
            }
            Ok(words_went)
        })?;
    }
    Ok(begun.len() == AT_ONCE)
}
