//! The way of a message out of the city for another reason than its citizen's receipt.
//!
//! Owns: the table `leaving`. First it is written down that a message is to go, and why, with the act of whoever wants it; then the hub is
//! asked to delete it; then it is forgotten here. A failure between two steps leaves the message complete and noted, and [`go_on`] ends
//! what was begun. Never does: decide which message goes.

use booth_database::{Transaction, params};

use booth_contract::ClipId;

use crate::City;
use crate::centre::Deletion;
use crate::follow;
use crate::store::CityError;

/// Messages that are ended in one go, so that nobody waits long for the database.
const AT_ONCE: usize = 200;

fn word(why: Deletion) -> &'static str {
    match why {
        Deletion::Retention => "retention",
        Deletion::Case => "case",
    }
}

/// Notes that a message is to go; `class` and `at` say where it is counted.
pub(super) fn note(
    tx: &Transaction<'_>,
    id: &str,
    why: Deletion,
    class: &str,
    at: &str,
) -> booth_database::Result<()> {
    tx.prepare_cached(
        "INSERT OR IGNORE INTO leaving (message_id, why, class, at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![id, word(why), class, at])?;
    Ok(())
}

/// Ends what was begun, what somebody asked for first; whether there may be more.
pub(super) fn go_on(city: &City) -> Result<bool, CityError> {
    let begun: Vec<(String, Deletion)> = city.store.read(|db| {
        db.prepare_cached(
            "SELECT message_id, why = 'retention' FROM leaving ORDER BY why = 'retention', at, message_id LIMIT ?1",
        )?
        .query_map([AT_ONCE], |row| {
            let why = match row.get(1)? {
                true => Deletion::Retention,
                false => Deletion::Case,
            };
            Ok((row.get(0)?, why))
        })?
        .collect()
    })?;
    for (id, why) in &begun {
        city.centre.delete(&ClipId::from(id.clone()), *why)?;
    }
    if !begun.is_empty() {
        city.store.change_forgetting(|tx| {
            let mut words_went = false;
            for (id, _) in &begun {
                words_went |= follow::forget(tx, id)?;
            }
            Ok(words_went)
        })?;
    }
    Ok(begun.len() == AT_ONCE)
}
