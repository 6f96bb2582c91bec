//! Which booth stood where, from when to when, and in which campaign.
//!
//! Owns: the table `placement`. Two placements of a booth never overlap. Each change counts the booth's messages and minutes of that time
//! anew, in the same transaction, so that a change that was forgotten for a week ends up as if it had been made in time. Never does: guess
//! where a booth stands.

use booth_database::{Connection, OptionalExtension, Row, Transaction, params};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use booth_contract::BoothId;
use booth_contract::time::rfc3339;
use booth_contract::topic::BadBoothId;

use super::exposure;
use crate::sentence;
use crate::store::CityError;

/// Longest name of a place, characters.
const LONGEST_PLACE: usize = 120;
/// After every time that there is, as times sort.
const NEVER: &str = "9999";

/// A booth at a place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placement {
    pub(crate) id: i64,
    pub(crate) booth_id: String,
    pub(crate) site: Site,
    /// RFC 3339 UTC, as in the database.
    pub(crate) since: String,
    /// Not there any more from then on; `None` while it stands there.
    pub(crate) until: Option<String>,
}

/// Where a booth stands, and for what.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Site {
    /// The place, as people call it.
    pub(crate) place: String,
    pub(crate) area_id: Option<String>,
    /// Latitude and longitude, degrees.
    pub(crate) at: Option<(f64, f64)>,
    /// The campaign that it stands there for, where it is one alone.
    pub(crate) campaign_id: Option<String>,
}

impl Site {
    /// Of a row that has a site's columns.
    pub(super) fn from_row(row: &Row<'_>) -> booth_database::Result<Self> {
        let lat: Option<f64> = row.get("lat")?;
        let lon: Option<f64> = row.get("lon")?;
        Ok(Self {
            place: row.get("place")?,
            area_id: row.get("area_id")?,
            at: lat.zip(lon),
            campaign_id: row.get("campaign_id")?,
        })
    }

    pub(super) fn check(&self, db: &Connection) -> Result<(), CityError> {
        let place = self.place.trim();
        if place.is_empty() || place.chars().any(char::is_control) {
            return Err(sentence!("places-no-place").into());
        }
        if place.chars().count() > LONGEST_PLACE {
            return Err(sentence!("places-place-too-long").into());
        }
        if let Some((lat, lon)) = self.at
            && (!(-90.0..=90.0).contains(&lat) || !(-180.0..=180.0).contains(&lon))
        {
            return Err(sentence!("places-bad-position").into());
        }
        if let Some(area) = &self.area_id
            && super::areas::name_of(db, area)?.is_none()
        {
            return Err(sentence!("places-no-such-area").into());
        }
        Ok(())
    }
}

fn from_row(row: &Row<'_>) -> booth_database::Result<Placement> {
    Ok(Placement {
        id: row.get("id")?,
        booth_id: row.get("booth_id")?,
        site: Site::from_row(row)?,
        since: row.get("since")?,
        until: row.get("until")?,
    })
}

const COLUMNS: &str = "id, booth_id, place, area_id, lat, lon, since, until, campaign_id";

/// Every placement, booth by booth, the latest first.
pub(crate) fn all(db: &Connection) -> booth_database::Result<Vec<Placement>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM placement ORDER BY booth_id, since DESC"
    ))?;
    let rows = statement.query_map([], from_row)?;
    rows.collect()
}

/// One placement.
pub(crate) fn one(db: &Connection, id: i64) -> booth_database::Result<Option<Placement>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM placement WHERE id = ?1"))?
        .query_row([id], from_row)
        .optional()
}

/// Moves a booth: what was in force at `at` ends then, and the booth stands at the new site from then on, until the placement that follows
/// or for good.
///
/// # Errors
/// A site that cannot be, or a booth whose placement begins at this very time.
pub(crate) fn move_booth(
    db: &Transaction<'_>,
    zone: &TimeZone,
    booth: &str,
    at: Timestamp,
    site: &Site,
) -> Result<i64, CityError> {
    BoothId::parse(booth).map_err(|why| match why {
        BadBoothId::Form(typed) => sentence!("places-bad-booth", booth = format!("{typed:?}")),
        BadBoothId::Reserved(typed) => {
            sentence!("places-reserved-booth", booth = format!("{typed:?}"))
        }
    })?;
    site.check(db)?;
    let since = rfc3339(at);
    let before: Option<(i64, String)> = db
        .query_row(
            "SELECT id, since FROM placement WHERE booth_id = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2)",
            params![booth, since],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    if let Some((id, began)) = before {
        if began == since {
            return Err(sentence!("places-same-time").into());
        }
        db.execute(
            "UPDATE placement SET until = ?2 WHERE id = ?1",
            params![id, since],
        )?;
    }
    let until: Option<String> = db.query_row(
        "SELECT min(since) FROM placement WHERE booth_id = ?1 AND since > ?2",
        params![booth, since],
        |row| row.get(0),
    )?;
    db.execute(
        "INSERT INTO placement (booth_id, place, area_id, lat, lon, since, until, campaign_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            booth,
            site.place.trim(),
            site.area_id,
            site.at.map(|(lat, _)| lat),
            site.at.map(|(_, lon)| lon),
            since,
            until,
            site.campaign_id
        ],
    )?;
    let id = db.last_insert_rowid()?;
    recount(db, zone, booth, &since, until.as_deref())?;
    Ok(id)
}

/// Changes a placement: where, and from when to when.
///
/// # Errors
/// Times at which the booth stands elsewhere, or that end before they begin; a site that cannot be.
pub(crate) fn change(
    db: &Transaction<'_>,
    zone: &TimeZone,
    id: i64,
    since: Timestamp,
    until: Option<Timestamp>,
    site: &Site,
) -> Result<(), CityError> {
    let known = one(db, id)?.ok_or_else(gone)?;
    site.check(db)?;
    let (since, until) = (rfc3339(since), until.map(rfc3339));
    if until.as_ref().is_some_and(|until| *until <= since) {
        return Err(sentence!("places-backwards").into());
    }
    let other: Option<(String, String, Option<String>)> = db
        .query_row(
            "SELECT place, since, until FROM placement WHERE booth_id = ?1 AND id <> ?2 AND since < coalesce(?4, ?5)
               AND coalesce(until, ?5) > ?3 ORDER BY since LIMIT 1",
            params![known.booth_id, id, since, until, NEVER],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()?;
    if let Some((place, from, to)) = other {
        let from = shown(zone, &from);
        let refused = match to {
            Some(to) => {
                sentence!(
                    "places-two-places",
                    place = place,
                    from = from,
                    to = shown(zone, &to)
                )
            }
            None => sentence!("places-two-places-for-good", place = place, from = from),
        };
        return Err(refused.into());
    }
    db.execute(
        "UPDATE placement SET place = ?2, area_id = ?3, lat = ?4, lon = ?5, since = ?6, until = ?7, campaign_id = ?8 WHERE id = ?1",
        params![
            id,
            site.place.trim(),
            site.area_id,
            site.at.map(|(lat, _)| lat),
            site.at.map(|(_, lon)| lon),
            since,
            until,
            site.campaign_id
        ],
    )?;
    super::network::all_known(db, id)?;
    let from = since.min(known.since);
    let to = until.zip(known.until).map(|(a, b)| a.max(b));
    recount(db, zone, &known.booth_id, &from, to.as_deref())
}

/// Takes a placement out that was entered by mistake: for that time nobody has said where the booth stood.
///
/// # Errors
/// It is gone already.
pub(crate) fn remove(db: &Transaction<'_>, zone: &TimeZone, id: i64) -> Result<(), CityError> {
    let known = one(db, id)?.ok_or_else(gone)?;
    db.execute("DELETE FROM placement WHERE id = ?1", [id])?;
    recount(
        db,
        zone,
        &known.booth_id,
        &known.since,
        known.until.as_deref(),
    )
}

/// Lets a placement end at this time, or, with `None`, go on. Whoever calls sees to it that nothing comes after it.
///
/// # Errors
/// It is gone.
pub(super) fn ends(
    db: &Transaction<'_>,
    zone: &TimeZone,
    id: i64,
    until: Option<&str>,
) -> Result<(), CityError> {
    let known = one(db, id)?.ok_or_else(gone)?;
    db.execute(
        "UPDATE placement SET until = ?2 WHERE id = ?1",
        params![id, until],
    )?;
    let from = until.map(str::to_owned).or(known.until);
    let from = from.unwrap_or(known.since);
    recount(db, zone, &known.booth_id, &from, None)
}

pub(super) fn gone() -> CityError {
    sentence!("places-placement-gone").into()
}

/// A time of the database as it is shown to people here.
pub(crate) fn shown(zone: &TimeZone, at: &str) -> String {
    let at = at.parse::<Timestamp>();
    at.map_or_else(
        |_| String::new(),
        |at| {
            at.to_zoned_datetime(zone.clone())
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        },
    )
}

/// A local time as a form sends it, `YYYY-MM-DDTHH:MM`.
///
/// # Errors
/// No such time.
pub(crate) fn local(zone: &TimeZone, text: &str) -> Result<Timestamp, CityError> {
    let text = text.trim().replace(' ', "T");
    let time = text.parse::<jiff::civil::DateTime>();
    let moment = time.and_then(|time| time.to_zoned_datetime(zone.clone()));
    let moment = moment.map(|moment| moment.timestamp());
    moment.map_err(|_| sentence!("places-bad-time").into())
}

/// The same where the form was filled in with a stored time, which has seconds that the form does not show: as it was shown it is the stored one.
///
/// # Errors
/// No such time.
pub(super) fn typed(
    zone: &TimeZone,
    text: &str,
    stored: Option<&str>,
) -> Result<Timestamp, CityError> {
    let is_as_shown = |stored: &&str| shown(zone, stored) == text.trim().replace('T', " ");
    let kept = stored
        .filter(is_as_shown)
        .and_then(|stored| stored.parse().ok());
    kept.map_or_else(|| local(zone, text), Ok)
}

/// Counts the messages and the ready minutes of a booth anew from one time to another.
fn recount(
    db: &Transaction<'_>,
    zone: &TimeZone,
    booth: &str,
    from: &str,
    to: Option<&str>,
) -> Result<(), CityError> {
    db.execute(
        "UPDATE message SET (placement, area_id) = (
           SELECT id, area_id FROM placement
           WHERE placement.booth_id = message.booth_id AND since <= said_at AND (until IS NULL OR until > said_at)
           ORDER BY since DESC LIMIT 1)
         WHERE booth_id = ?1 AND said_at >= ?2 AND said_at < ?3",
        params![booth, from, to.unwrap_or(NEVER)],
    )?;
    exposure::count_anew(db, zone, booth, from, to)?;
    Ok(())
}

#[cfg(test)]
mod tests;
