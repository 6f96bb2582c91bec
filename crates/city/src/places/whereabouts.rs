//! Where the booths stand at this moment, for a map of operations.
//!
//! Owns: the ground of that map (the areas' outlines) and the place of each booth on it: where it stands, or the middle of its area where that
//! is all that is known. Never does: know how a booth is; the hub does, and draws it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use booth_contract::time::rfc3339;
use booth_database::Connection;
use booth_host::clock;

use crate::City;
use crate::draw::{Ground, Shape};
use crate::store::CityError;

/// A place on the map.
type Point = (f64, f64);

/// The ground of the map, and where each booth is on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Whereabouts {
    /// Width and height of the drawing; 0 where nothing can be drawn.
    pub size: (f64, f64),
    /// The areas, each with its name and with its outline as the path of an SVG.
    pub areas: Vec<(String, String)>,
    /// Where booths stand, by their ids; a booth without a placement is not here.
    pub booths: BTreeMap<String, Spot>,
}

/// Where a booth stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spot {
    /// The place, as people call it.
    pub place: String,
    /// The name of its area, where it is in one.
    pub area: Option<String>,
    /// Its place on the drawing; `None` where neither a position nor an area is known, or nothing can be drawn.
    pub at: Option<(f64, f64)>,
}

/// A placement that is in force.
struct Stand {
    booth: String,
    place: String,
    area: Option<String>,
    /// Longitude and latitude.
    at: Option<(f64, f64)>,
}

fn stands(db: &Connection) -> booth_database::Result<Vec<Stand>> {
    let now = rfc3339(clock::wall());
    db.prepare_cached(
        "SELECT booth_id, place, area_id, lon, lat FROM placement WHERE since <= ?1 AND (until IS NULL OR until > ?1)",
    )?
    .query_map([now], |row| {
        Ok(Stand {
            booth: row.get(0)?,
            place: row.get(1)?,
            area: row.get(2)?,
            at: Option::zip(row.get(3)?, row.get(4)?),
        })
    })?
    .collect()
}

impl City {
    /// Where the booths stand.
    ///
    /// # Errors
    /// A database that does not answer.
    pub fn whereabouts(&self) -> Result<Whereabouts, CityError> {
        let (areas, stands) = self
            .store
            .read(|db| Ok((crate::pages::areas_drawn(self, db)?, stands(db)?)))?;
        Ok(drawn(areas, stands))
    }
}

fn drawn(areas: Vec<(String, String, Arc<Shape>)>, stands: Vec<Stand>) -> Whereabouts {
    let shapes: Vec<&Shape> = areas.iter().map(|(_, _, shape)| &**shape).collect();
    // Where no outline says how far the city reaches, the booths do.
    let places: Vec<(f64, f64)> = match shapes.iter().all(|shape| shape.is_empty()) {
        true => stands.iter().filter_map(|stand| stand.at).collect(),
        false => Vec::new(),
    };
    let ground = Ground::of(&shapes, &places);
    // Name and middle of each area.
    let known: HashMap<&str, (&str, Option<Point>)> = areas
        .iter()
        .enumerate()
        .map(|(n, (id, name, _))| {
            let middle = ground.as_ref().and_then(|ground| ground.middle(n));
            (id.as_str(), (name.as_str(), middle))
        })
        .collect();
    let booths = stands.into_iter().map(|stand| {
        let area = stand.area.as_deref().and_then(|id| known.get(id));
        let own = ground.as_ref().zip(stand.at);
        let own = own.and_then(|(ground, at)| ground.place(at));
        let spot = Spot {
            place: stand.place,
            area: area.map(|(name, _)| (*name).to_owned()),
            at: own.or_else(|| area.and_then(|(_, middle)| *middle)),
        };
        (stand.booth, spot)
    });
    let booths = booths.collect();
    let outlines = areas.iter().enumerate().filter_map(|(n, (_, name, _))| {
        let outline = ground.as_ref()?.outline(n);
        (!outline.is_empty()).then(|| (name.clone(), outline))
    });
    Whereabouts {
        size: ground.as_ref().map_or((0.0, 0.0), Ground::size),
        areas: outlines.collect(),
        booths,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::shape_of;

    const SQUARE: &str = r#"{"type":"Polygon","coordinates":[[[10.1,56.1],[10.2,56.1],[10.2,56.2],[10.1,56.2],[10.1,56.1]]]}"#;

    fn stand(booth: &str, area: Option<&str>, at: Option<(f64, f64)>) -> Stand {
        Stand {
            booth: booth.into(),
            place: format!("at {booth}"),
            area: area.map(str::to_owned),
            at,
        }
    }

    fn square() -> Vec<(String, String, Arc<Shape>)> {
        let shape = Arc::new(shape_of(SQUARE));
        vec![("midt".into(), "Midtbyen".into(), shape)]
    }

    #[test]
    fn a_booth_is_where_it_stands_or_else_in_the_middle_of_its_area() {
        let stands = vec![
            stand("a", Some("midt"), Some((10.1, 56.2))),
            stand("b", Some("midt"), None),
            // Far away: its position is a slip of the pen, its area is not.
            stand("c", Some("midt"), Some((12.0, 55.0))),
            stand("d", None, None),
        ];
        let map = drawn(square(), stands);
        let at = |booth: &str| map.booths[booth].at;
        let (a, b) = (at("a").expect("drawn"), at("b").expect("drawn"));
        assert!(a.1 < b.1, "north is above: {a:?} {b:?}");
        let middle = (map.size.0 / 2.0, map.size.1 / 2.0);
        assert!((b.0 - middle.0).abs() < 1.0 && (b.1 - middle.1).abs() < 1.0);
        assert_eq!(at("c"), Some(b));
        assert_eq!(at("d"), None);
        assert_eq!(map.booths["a"].area.as_deref(), Some("Midtbyen"));
        assert_eq!(map.areas.len(), 1);
    }

    #[test]
    fn a_city_without_areas_is_drawn_by_its_booths_and_one_booth_alone_is_not_drawn() {
        let two = vec![
            stand("a", None, Some((10.1, 56.1))),
            stand("b", None, Some((10.2, 56.2))),
        ];
        let map = drawn(Vec::new(), two);
        assert!(map.booths.values().all(|spot| spot.at.is_some()));
        let map = drawn(Vec::new(), vec![stand("a", None, Some((10.1, 56.1)))]);
        assert_eq!((map.size, map.booths["a"].at), ((0.0, 0.0), None));
        assert_eq!(drawn(Vec::new(), Vec::new()), Whereabouts::default());
    }
}
