//! Places by number: an editor prepares a place at a desk, and a technician says its number at the booth.
//!
//! ```text
//! page: number, site ─▶ place_number ─┐
//! booth: event/placed ─▶ Centre::placed ─▶ placed ─┴▶ move_booth, from when it was said on
//! ```
//!
//! Owns: the tables `place_number` and `placed`. What was said of a number that nobody has prepared waits until somebody does, or until the booth
//! is placed otherwise; so does what cannot be carried out, with its reason, and nothing else waits for it. Never does: believe a booth about
//! another one.

use booth_database::{Connection, OptionalExtension, Transaction, params};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use booth_contract::Severity;
use booth_contract::time::rfc3339;

use super::placement::{self, Site};
use crate::City;
use crate::centre::Placed;
use crate::follow;
use crate::sentence;
use crate::store::{Act, Actor, CityError};
use crate::watch::Sighting;
use crate::words::Sentence;

/// The first number that is proposed: a child who found the service button by chance dials less.
const FIRST: u32 = 101;
/// Largest number: a technician dials six digits at most.
const LAST: u32 = 999_999;
/// Most words that are read in one look.
const AT_ONCE: usize = 200;
/// How far the events were read, among the marks.
const MARK: &str = "placed";

/// A place that was prepared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbered {
    pub(crate) number: u32,
    pub(crate) site: Site,
}

/// Every place that was prepared, by its number.
pub(crate) fn all(db: &Connection) -> booth_database::Result<Vec<Numbered>> {
    let mut statement = db.prepare_cached("SELECT * FROM place_number ORDER BY number")?;
    let rows = statement.query_map([], |row| {
        Ok(Numbered {
            number: row.get("number")?,
            site: Site::from_row(row)?,
        })
    })?;
    rows.collect()
}

/// A number that is free.
pub(crate) fn next(known: &[Numbered]) -> u32 {
    known.last().map_or(FIRST, |last| {
        last.number.saturating_add(1).clamp(FIRST, LAST)
    })
}

/// Prepares a place; one that had the number before is replaced.
///
/// # Errors
/// A site or a number that cannot be.
pub(crate) fn prepare(db: &Transaction<'_>, number: u32, site: &Site) -> Result<(), CityError> {
    if !(1..=LAST).contains(&number) {
        return Err(sentence!("places-bad-number", last = LAST.to_string()).into());
    }
    site.check(db)?;
    db.execute(
        "INSERT OR REPLACE INTO place_number VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            number,
            site.place.trim(),
            site.area_id,
            site.at.map(|(lat, _)| lat),
            site.at.map(|(_, lon)| lon),
            site.campaign_id
        ],
    )?;
    Ok(())
}

/// Takes a number out.
pub(crate) fn forget(db: &Transaction<'_>, number: u32) -> Result<(), CityError> {
    db.execute("DELETE FROM place_number WHERE number = ?1", [number])?;
    Ok(())
}

/// Takes over what technicians said since the last look, and moves the booths whose places are known.
///
/// # Errors
/// A database or a hub that does not answer; the next look sees the same.
pub(crate) fn look(city: &City) -> Result<(), CityError> {
    let newest = city.centre.newest_word()?;
    let read = city.store.read(|db| follow::number(db, MARK))?;
    // A store that was restored or rebuilt counts from the beginning again; what was carried out is not carried out twice.
    let read = if newest < read { 0 } else { read };
    let said = city.centre.placed(read, AT_ONCE)?;
    let waits: bool = city
        .store
        .read(|db| db.query_row("SELECT EXISTS (SELECT 1 FROM placed)", [], |row| row.get(0)))?;
    let upto = match said.last() {
        Some((place, _)) if said.len() == AT_ONCE => *place,
        _ => newest,
    };
    if upto != read || !said.is_empty() {
        city.store.change_quietly(|db| {
            for placed in said.iter().filter_map(|(_, placed)| placed.as_ref()) {
                note(db, placed)?;
            }
            Ok(follow::set(db, MARK, &upto.to_string())?)
        })?;
    }
    if said.is_empty() && !waits {
        return Ok(());
    }
    for (placed, site) in city.store.read(ready)? {
        let act = Act::new(Actor::Hub, "booth placed by handset", &placed.booth);
        let done = city
            .store
            .change(act, |db| carry_out(db, &city.zone, &placed, &site));
        match done {
            Err(CityError::Refused(why)) => put_aside(city, &placed, &why)?,
            done => done?,
        }
    }
    Ok(())
}

/// Keeps why a word cannot be carried out, and says it once. It is tried again at each look: an editor may have mended the place.
fn put_aside(city: &City, placed: &Placed, why: &Sentence) -> Result<(), CityError> {
    let why = why.to_string();
    let known: Option<String> = city.store.read(|db| {
        db.prepare_cached("SELECT why FROM placed WHERE booth_id = ?1")?
            .query_row([&placed.booth], |row| row.get(0))
    })?;
    if known.as_ref() == Some(&why) {
        return Ok(());
    }
    let (booth, number) = (&placed.booth, placed.number);
    log::warn!(about = "places"; "{booth} cannot be placed at number {number}, as a technician said: {why}");
    city.store.change_quietly(|db| {
        db.execute(
            "UPDATE placed SET why = ?2 WHERE booth_id = ?1",
            params![booth, why],
        )?;
        Ok(())
    })
}

/// The latest word of a booth counts, if nobody has placed it since.
fn note(db: &Transaction<'_>, placed: &Placed) -> booth_database::Result<()> {
    let at = rfc3339(placed.at);
    let latest: Option<String> = db
        .prepare_cached("SELECT max(since) FROM placement WHERE booth_id = ?1")?
        .query_row([&placed.booth], |row| row.get(0))?;
    if latest.is_none_or(|latest| latest < at) {
        db.prepare_cached(
            "INSERT INTO placed (booth_id, number, at) VALUES (?1, ?2, ?3)
             ON CONFLICT (booth_id) DO UPDATE SET number = ?2, at = ?3, why = NULL WHERE at < ?3",
        )?
        .execute(params![placed.booth, placed.number, at])?;
    }
    Ok(())
}

/// What waits and can be carried out, or is over: somebody has placed the booth since.
fn ready(db: &Connection) -> booth_database::Result<Vec<(Placed, Option<Site>)>> {
    let mut statement = db.prepare_cached(
        "SELECT place_number.number, place, area_id, lat, lon, campaign_id, placed.booth_id, placed.number, placed.at
         FROM placed LEFT JOIN place_number ON place_number.number = placed.number
         WHERE place_number.number IS NOT NULL
            OR EXISTS (SELECT 1 FROM placement WHERE placement.booth_id = placed.booth_id AND since >= placed.at)",
    )?;
    let rows = statement.query_map([], |row| {
        let known: Option<u32> = row.get(0)?;
        let at: String = row.get(8)?;
        let placed = Placed {
            booth: row.get(6)?,
            number: row.get(7)?,
            at: at.parse().unwrap_or(Timestamp::UNIX_EPOCH),
        };
        let site = match known {
            Some(_) => Some(Site::from_row(row)?),
            None => None,
        };
        Ok((placed, site))
    })?;
    rows.collect()
}

fn carry_out(
    db: &Transaction<'_>,
    zone: &TimeZone,
    placed: &Placed,
    site: &Option<Site>,
) -> Result<(), CityError> {
    let later: Option<i64> = db
        .query_row(
            "SELECT id FROM placement WHERE booth_id = ?1 AND since >= ?2",
            params![placed.booth, rfc3339(placed.at)],
            |row| row.get(0),
        )
        .optional()?;
    if let (Some(site), None) = (site, later) {
        placement::move_booth(db, zone, &placed.booth, placed.at, site)?;
    }
    db.execute("DELETE FROM placed WHERE booth_id = ?1", [&placed.booth])?;
    Ok(())
}

/// What whoever is on duty is told: a technician said a number that nobody has prepared, or one where the booth cannot be placed.
pub(crate) fn sightings(db: &Connection) -> booth_database::Result<Vec<Sighting>> {
    let mut statement =
        db.prepare_cached("SELECT booth_id, number, at, why FROM placed ORDER BY booth_id")?;
    let rows = statement.query_map([], |row| {
        let at: String = row.get(2)?;
        let why: Option<String> = row.get(3)?;
        Ok(Sighting {
            subject: row.get(0)?,
            kind: match why {
                Some(_) => "place_refused".into(),
                None => "place_unknown".into(),
            },
            severity: Severity::NeedsVisit,
            text: why.unwrap_or_default(),
            since: at.parse().ok(),
            number: row.get(1)?,
        })
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::city;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + 60 * minute).expect("a time")
    }

    fn site(place: &str) -> Site {
        Site {
            place: place.into(),
            ..Site::default()
        }
    }

    fn says(city: &crate::testing::FakeCentre, number: u32, minute: i64) {
        let placed = Placed {
            booth: "torv-1".into(),
            number,
            at: at(minute),
        };
        city.have().placed.push(Some(placed));
    }

    fn places(city: &City) -> Vec<(String, String)> {
        let all = city.store.read(placement::all).expect("read");
        all.into_iter()
            .map(|one| (one.site.place, one.since))
            .collect()
    }

    #[test]
    fn a_number_said_at_the_booth_moves_it_from_then_on_also_one_that_is_prepared_later() {
        let (city, centre, _folder) = city();
        let prepare = |number, place| {
            let site = site(place);
            city.store
                .change_quietly(|db| prepare(db, number, &site))
                .expect("prepared");
        };
        let look = || look(&city).expect("looked");
        let seen = || city.store.read(sightings).expect("read");
        prepare(101, "Torvet");
        assert_eq!(next(&city.store.read(all).expect("read")), 102);
        look();
        says(&centre, 101, 10);
        look();
        look();
        assert_eq!(places(&city), [("Torvet".to_owned(), rfc3339(at(10)))]);
        assert!(seen().is_empty());
        // A number that nobody has prepared is told, and counts from when it was said once it is.
        says(&centre, 102, 20);
        look();
        assert_eq!(places(&city).len(), 1);
        assert_eq!(
            (seen()[0].subject.as_str(), seen()[0].number),
            ("torv-1", 102)
        );
        prepare(102, "Havnen");
        look();
        assert_eq!(places(&city)[0], ("Havnen".to_owned(), rfc3339(at(20))));
        assert!(seen().is_empty());
        // A hub whose store was restored tells it all again: nothing moves.
        centre.have().newest_word = Some(1);
        look();
        centre.have().newest_word = None;
        look();
        assert_eq!(places(&city).len(), 2);
        assert!(seen().is_empty());
        // Whoever is at the desk has the last word.
        says(&centre, 999, 30);
        look();
        let moved = city.store.change_quietly(|db| {
            placement::move_booth(db, &city.zone, "torv-1", at(31), &site("Skolen"))
        });
        moved.expect("moved");
        look();
        assert_eq!(places(&city)[0].0, "Skolen");
        assert!(seen().is_empty());
    }

    #[test]
    fn a_number_that_cannot_be_carried_out_says_why_and_holds_up_no_other() {
        let (city, centre, _folder) = city();
        let gone = Site {
            area_id: Some("gone".into()),
            ..site("Torvet")
        };
        city.store
            .change_quietly(|db| {
                db.execute(
                    "INSERT INTO place_number (number, place, area_id) VALUES (101, ?1, ?2)",
                    params![gone.place, gone.area_id],
                )?;
                prepare(db, 102, &site("Havnen"))
            })
            .expect("prepared");
        says(&centre, 101, 10);
        centre.have().placed.push(Some(Placed {
            booth: "torv-2".into(),
            number: 102,
            at: at(11),
        }));
        look(&city).expect("looked");
        assert_eq!(places(&city), [("Havnen".to_owned(), rfc3339(at(11)))]);
        let seen = city.store.read(sightings).expect("read");
        assert_eq!((seen.len(), seen[0].kind.as_ref()), (1, "place_refused"));
        assert!(!seen[0].text.is_empty());
        // A look at the same writes nothing.
        let changes = || -> i64 {
            let total = city.store.change_quietly(|db| {
                Ok(db.query_row("SELECT total_changes()", [], |row| row.get(0))?)
            });
            total.expect("a number")
        };
        let before = changes();
        look(&city).expect("looked");
        assert_eq!(changes(), before);
        city.store
            .change_quietly(|db| prepare(db, 101, &site("Torvet")))
            .expect("mended");
        look(&city).expect("looked");
        assert_eq!(places(&city).len(), 2);
        assert!(city.store.read(sightings).expect("read").is_empty());
    }

    #[test]
    fn what_cannot_be_read_among_many_words_costs_none_of_the_others() {
        let (city, centre, _folder) = city();
        let torvet = site("Torvet");
        city.store
            .change_quietly(|db| prepare(db, 101, &torvet))
            .expect("prepared");
        centre.have().placed = vec![None; AT_ONCE];
        says(&centre, 101, 10);
        look(&city).expect("looked");
        look(&city).expect("looked");
        assert_eq!(places(&city).len(), 1);
    }

    #[test]
    fn a_number_that_no_technician_can_dial_is_refused() {
        let (city, _centre, _folder) = city();
        for number in [0, 1_000_000] {
            let refused = city
                .store
                .change_quietly(|db| prepare(db, number, &site("Torvet")));
            assert!(refused.is_err(), "{number}");
        }
    }
}
