//! Whether a booth may have been moved without anybody saying so: it stands at a place, and is heard from a network in which it never was there.
//!
//! ```text
//! observe: network known? ──no──▶ new ──a quarter of an hour──▶ doubted: the placement ends where the new network began
//!                                                                 │ "it still stands there"  → as before, the network is known
//!                                                                 └ a move is entered        → the new place begins, nothing is in doubt
//! ```
//!
//! Owns: the table `placement_network`. Never does: say where a booth stands. A booth whose networks change often, as on a mobile link, is never
//! in doubt.

use booth_database::{Connection, OptionalExtension, Transaction, params};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use booth_contract::Severity;
use booth_contract::time::rfc3339;

use super::placement;
use crate::sentence;
use crate::store::CityError;
use crate::watch::Sighting;

/// So long after a placement began each network is simply learnt.
const LEARNS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A network has to last for so long before it says anything: a router that restarts gives others away for a moment.
const LASTS: SignedDuration = SignedDuration::from_mins(15);
/// A placement with so many networks is on a link whose networks say nothing.
const ROAMS: usize = 4;

/// A placement that is in doubt, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub(crate) placement: i64,
    pub(crate) booth_id: String,
    pub(crate) place: String,
    /// When the booth was first heard from the other network, RFC 3339 UTC.
    pub(crate) since: String,
}

/// Notes in which network each of these booths is heard now.
pub(crate) fn observe(
    db: &Transaction<'_>,
    zone: &TimeZone,
    networks: &[(String, String)],
    now: Timestamp,
) -> Result<(), CityError> {
    for (booth, network) in networks {
        see(db, zone, booth, network, now)?;
    }
    Ok(())
}

fn see(
    db: &Transaction<'_>,
    zone: &TimeZone,
    booth: &str,
    network: &str,
    now: Timestamp,
) -> Result<(), CityError> {
    let standing: Option<(i64, String)> = db
        .prepare_cached(
            "SELECT id, since FROM placement WHERE booth_id = ?1 AND since <= ?2 AND until IS NULL",
        )?
        .query_row(params![booth, rfc3339(now)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((placement, since)) = standing else {
        return Ok(());
    };
    let known: Vec<(String, String, bool)> = db
        .prepare_cached(
            "SELECT network, first_seen, is_known FROM placement_network WHERE placement = ?1",
        )?
        .query_map([placement], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<booth_database::Result<_>>()?;
    let this = known.iter().find(|(one, ..)| one == network);
    let is_new = |first: &str| {
        let first = first.parse::<Timestamp>();
        first.is_ok_and(|first| now.duration_since(first) < LASTS)
    };
    match this {
        Some((_, _, true)) => {
            // It is back where it was: whatever came between says nothing.
            if known.iter().any(|(_, _, is_known)| !is_known) {
                db.execute(
                    "DELETE FROM placement_network WHERE placement = ?1 AND is_known = 0",
                    [placement],
                )?;
            }
        }
        Some((_, first, false)) if is_new(first) => {}
        Some((_, first, false)) => {
            db.execute(
                "UPDATE placement_network SET is_doubted = 1 WHERE placement = ?1 AND network = ?2",
                params![placement, network],
            )?;
            placement::ends(db, zone, placement, Some(first.as_str()))?;
        }
        None if known.len() >= ROAMS => {}
        None => {
            let began = since.parse::<Timestamp>().unwrap_or(now);
            let is_learnt = known.is_empty() || now.duration_since(began) < LEARNS;
            db.execute(
                "INSERT INTO placement_network (placement, network, first_seen, is_known) VALUES (?1, ?2, ?3, ?4)",
                params![placement, network, rfc3339(now), is_learnt],
            )?;
        }
    }
    Ok(())
}

/// The placements that are in doubt: nobody has said since where these booths stand.
pub(crate) fn doubts(db: &Connection) -> booth_database::Result<Vec<Doubt>> {
    let mut statement = db.prepare_cached(
        "SELECT placement.id, booth_id, place, first_seen FROM placement_network JOIN placement ON placement.id = placement
         WHERE is_doubted = 1
           AND placement.until IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM placement AS later WHERE later.booth_id = placement.booth_id AND later.since >= placement.until)
         ORDER BY booth_id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Doubt {
            placement: row.get(0)?,
            booth_id: row.get(1)?,
            place: row.get(2)?,
            since: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// What whoever is on duty is told of them.
pub(crate) fn sightings(db: &Connection) -> booth_database::Result<Vec<Sighting>> {
    let sighting = |doubt: Doubt| Sighting {
        subject: doubt.booth_id,
        kind: "where_is".into(),
        severity: Severity::NeedsVisit,
        text: String::new(),
        since: doubt.since.parse().ok(),
        number: 0,
    };
    Ok(doubts(db)?.into_iter().map(sighting).collect())
}

/// Somebody says that the booth still stands there: it is as if nobody had doubted it, and the network is known from now on.
///
/// # Errors
/// The placement is not in doubt any more.
pub(crate) fn still_there(
    db: &Transaction<'_>,
    zone: &TimeZone,
    placement: i64,
) -> Result<(), CityError> {
    if !doubts(db)?.iter().any(|doubt| doubt.placement == placement) {
        return Err(sentence!("places-no-doubt").into());
    }
    placement::ends(db, zone, placement, None)?;
    Ok(all_known(db, placement)?)
}

/// Somebody has said until when a booth stands there: no network of that placement says anything against it.
pub(super) fn all_known(db: &Transaction<'_>, placement: i64) -> booth_database::Result<()> {
    db.execute(
        "UPDATE placement_network SET is_doubted = 0, is_known = 1 WHERE placement = ?1",
        [placement],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // opens a store in a folder of its own

    use super::*;
    use crate::places::placement::Site;
    use crate::store::Store;

    const ZONE: TimeZone = TimeZone::UTC;
    const DAY: i64 = 24 * 60;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + minutes * 60).expect("a time")
    }

    struct Town(Store, #[allow(dead_code)] tempfile::TempDir);

    impl Town {
        fn with_a_booth_on_the_square() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let town = Self(Store::open(folder.path()).expect("opens"), folder);
            town.moves(0, "Torvet");
            town
        }

        fn moves(&self, minute: i64, place: &str) {
            let site = Site {
                place: place.into(),
                ..Site::default()
            };
            let moved = self
                .0
                .change_quietly(|db| placement::move_booth(db, &ZONE, "torv-1", at(minute), &site));
            moved.expect("moved");
        }

        fn hears(&self, minute: i64, network: &str) {
            let heard = [("torv-1".to_owned(), network.to_owned())];
            let seen = self
                .0
                .change_quietly(|db| observe(db, &ZONE, &heard, at(minute)));
            seen.expect("seen");
        }

        /// Where the booth stands now, by the database.
        fn place(&self) -> Option<String> {
            let all = self.0.read(placement::all).expect("read");
            let standing = all.into_iter().find(|one| one.until.is_none());
            standing.map(|one| one.site.place)
        }

        fn doubts(&self) -> Vec<Doubt> {
            self.0.read(doubts).expect("read")
        }
    }

    #[test]
    fn a_booth_in_a_network_that_it_never_had_stands_nowhere_until_somebody_says_where() {
        let town = Town::with_a_booth_on_the_square();
        town.hears(1, "10.1.2.0/24");
        town.hears(2 * DAY, "10.1.3.0/24");
        assert!(town.doubts().is_empty(), "the first days are for learning");
        town.hears(30 * DAY, "10.9.9.0/24");
        town.hears(30 * DAY + 14, "10.9.9.0/24");
        assert_eq!(town.place().as_deref(), Some("Torvet"));
        town.hears(30 * DAY + 16, "10.9.9.0/24");
        let doubts = town.doubts();
        assert_eq!(doubts.len(), 1);
        assert_eq!(
            (doubts[0].place.as_str(), doubts[0].since.clone()),
            ("Torvet", rfc3339(at(30 * DAY)))
        );
        assert_eq!(town.place(), None);
        let seen = town.0.read(sightings).expect("read");
        assert_eq!(
            (seen[0].subject.as_str(), seen[0].kind.as_str()),
            ("torv-1", "where_is")
        );
        // It still stands there: the placement goes on, and the network is known.
        let id = doubts[0].placement;
        let still = || town.0.change_quietly(|db| still_there(db, &ZONE, id));
        still().expect("said");
        assert!(still().is_err(), "it is said once");
        assert_eq!(town.place().as_deref(), Some("Torvet"));
        town.hears(40 * DAY, "10.9.9.0/24");
        town.hears(41 * DAY, "10.9.9.0/24");
        assert!(town.doubts().is_empty());
        // So does a placement that an editor opens again.
        town.hears(45 * DAY, "10.7.7.0/24");
        town.hears(45 * DAY + 20, "10.7.7.0/24");
        assert_eq!(town.place(), None);
        let site = Site {
            place: "Torvet".into(),
            ..Site::default()
        };
        let opened = town
            .0
            .change_quietly(|db| placement::change(db, &ZONE, id, at(0), None, &site));
        opened.expect("opened");
        town.hears(46 * DAY, "10.7.7.0/24");
        assert_eq!(town.place().as_deref(), Some("Torvet"));
        // The next doubt ends with a move.
        let known = "DELETE FROM placement_network WHERE network <> '10.1.2.0/24'";
        let few = town.0.change_quietly(|db| Ok(db.execute(known, [])?));
        few.expect("forgotten");
        town.hears(50 * DAY, "fd00:1::/64");
        town.hears(50 * DAY + 20, "fd00:1::/64");
        assert_eq!(town.doubts().len(), 1);
        town.moves(51 * DAY, "Havnen");
        assert!(town.doubts().is_empty());
        assert_eq!(town.place().as_deref(), Some("Havnen"));
    }

    #[test]
    fn a_network_that_comes_for_a_moment_and_a_link_whose_networks_change_say_nothing() {
        let town = Town::with_a_booth_on_the_square();
        town.hears(1, "10.1.2.0/24");
        for day in 20..40 {
            town.hears(day * DAY, "192.168.0.0/24");
            town.hears(day * DAY + 10, "10.1.2.0/24");
        }
        assert!(town.doubts().is_empty());
        let town = Town::with_a_booth_on_the_square();
        for hour in 0..6 {
            town.hears(hour * 60, &format!("100.64.{hour}.0/24"));
        }
        for day in 10..20 {
            town.hears(day * DAY, &format!("100.65.{day}.0/24"));
            town.hears(day * DAY + 600, &format!("100.65.{day}.0/24"));
        }
        assert!(town.doubts().is_empty());
        assert_eq!(town.place().as_deref(), Some("Torvet"));
    }

    #[test]
    fn a_booth_that_stands_nowhere_is_not_looked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let town = Town(Store::open(folder.path()).expect("opens"), folder);
        town.hears(1, "10.1.2.0/24");
        town.hears(100 * DAY, "10.1.3.0/24");
        assert!(town.doubts().is_empty());
    }
}
