//! What citizens reported about published messages.
//!
//! Owns: reading the table `complaint`, and noting that one was looked at. Never does: take a message down; a person decides.

use booth_contract::time::rfc3339;
use booth_database::{Connection, params};
use booth_host::clock;

use crate::City;
use crate::people::{Person, Right};
use crate::store::{Act, CityError};

/// Most that are shown.
const MOST: usize = 100;

/// A report that nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) id: i64,
    pub(super) message: String,
    pub(super) at: String,
    pub(super) why: String,
}

fn read(
    db: &Connection,
    message: Option<&str>,
) -> booth_database::Result<Vec<(Complaint, Option<String>)>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT c.message_id, c.at, c.why, m.campaign_id, c.id FROM complaint c JOIN message m ON m.id = c.message_id
         WHERE c.done_at IS NULL AND (?1 IS NULL OR c.message_id = ?1) ORDER BY c.id LIMIT {MOST}"
    ))?;
    let rows = statement.query_map([message], |row| {
        let complaint = Complaint {
            id: row.get(4)?,
            message: row.get(0)?,
            at: row.get(1)?,
            why: row.get(2)?,
        };
        Ok((complaint, row.get(3)?))
    })?;
    rows.collect()
}

/// Those that the person may look at, the oldest first.
pub(super) fn open(db: &Connection, person: &Person) -> booth_database::Result<Vec<Complaint>> {
    let all = read(db, None)?.into_iter();
    let own = all.filter(|(_, campaign)| person.may(Right::Listen, campaign.as_deref()));
    Ok(own.map(|(complaint, _)| complaint).collect())
}

/// Those about one message.
pub(super) fn about(db: &Connection, message: &str) -> booth_database::Result<Vec<Complaint>> {
    let all = read(db, Some(message))?.into_iter();
    Ok(all.map(|(complaint, _)| complaint).collect())
}

/// Somebody has looked at what was reported about a message, up to the report of this number; what came later waits.
pub(super) fn done(
    city: &City,
    person: &Person,
    message: &str,
    newest: i64,
) -> Result<(), CityError> {
    let act = Act::new(person.actor(), "looked at a report", message);
    city.store.change(act, |tx| {
        tx.prepare_cached(
            "UPDATE complaint SET done_at = ?2 WHERE message_id = ?1 AND done_at IS NULL AND id <= ?3",
        )?
        .execute(params![message, rfc3339(clock::wall()), newest])?;
        Ok(())
    })
}
