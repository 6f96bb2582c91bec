//! The city's areas: from a file into the database, and out of it for a map.
//!
//! Owns: the table `area`. An area keeps its id for as long as it keeps its name. Never does: take an area away that a placement names;
//! such a file is refused, and what was in force stays.

use std::collections::BTreeSet;

use booth_database::{Connection, OptionalExtension, Transaction, params};

use super::read;
use super::shape::{Point, Shape};
use super::simplify::Weighing;
use crate::sentence;
use crate::store::CityError;
use crate::words::Sentence;

/// Most areas: a map with more is not read by anybody.
const MOST: usize = 500;
/// Points that a page can carry in all, and points for finding the area of a place.
const ON_A_PAGE: usize = 3_000;
const FINE: usize = 100_000;
/// Longest id.
const LONGEST_ID: usize = 40;

/// The areas of a file.
#[derive(Debug)]
pub(crate) struct NewAreas {
    areas: Vec<NewArea>,
    points: usize,
    kept: usize,
    together: Vec<String>,
}

#[derive(Debug)]
struct NewArea {
    id: String,
    name: String,
    coarse: Shape,
    fine: Shape,
}

/// Reads a GeoJSON file (RFC 7946). `name_property` says which property is the name, where that cannot be guessed.
///
/// # Errors
/// A sentence for whoever has the file.
pub(crate) fn read(bytes: &[u8], name_property: Option<&str>) -> Result<NewAreas, CityError> {
    let found = read::found(bytes, name_property)?;
    if found.len() > MOST {
        return Err(sentence!("areas-too-many", n = found.len(), most = MOST).into());
    }
    let shapes: Vec<Shape> = found.iter().map(|found| found.shape.clone()).collect();
    let points = shapes.iter().flat_map(Shape::rings).map(Vec::len).sum();
    let weighing = Weighing::of(&shapes);
    drop(shapes);
    let (coarse, fine) = (weighing.thinned(ON_A_PAGE), weighing.thinned(FINE));
    let kept = coarse.iter().flat_map(Shape::rings).map(Vec::len).sum();
    let together = found.iter().filter(|found| found.parts > 1);
    let together = together.map(|found| found.name.clone()).collect();
    let mut taken = BTreeSet::new();
    let areas = found.into_iter().zip(coarse.into_iter().zip(fine));
    let areas = areas
        .map(|(found, (coarse, fine))| {
            let id = free_id(&found.name, &mut taken);
            NewArea {
                id,
                name: found.name,
                coarse,
                fine,
            }
        })
        .collect();
    Ok(NewAreas {
        areas,
        points,
        kept,
        together,
    })
}

impl NewAreas {
    /// What came in, for whoever sent it.
    pub(crate) fn came(&self) -> Sentence {
        let places = self.areas.iter().flat_map(|area| area.coarse.rings());
        let (mut west, mut south, mut east, mut north) = (180.0f64, 90.0f64, -180.0f64, -90.0f64);
        for [lon, lat] in places.flatten() {
            (west, east) = (west.min(*lon), east.max(*lon));
            (south, north) = (south.min(*lat), north.max(*lat));
        }
        let degrees = |angle: f64| format!("{angle:.2}");
        let came = sentence!(
            "areas-came",
            number = self.areas.len(),
            south = degrees(south),
            north = degrees(north),
            west = degrees(west),
            east = degrees(east),
            kept = self.kept,
            points = self.points,
        );
        match self.together.is_empty() {
            true => came,
            false => sentence!(
                "areas-came-together",
                came = came,
                names = self.together.join(", ")
            ),
        }
    }
}

/// An id of the name that nobody has.
fn free_id(name: &str, taken: &mut BTreeSet<String>) -> String {
    let slug = slug(name);
    let mut id = slug.clone();
    let mut n = 2;
    while !taken.insert(id.clone()) {
        id = format!("{slug}-{n}");
        n += 1;
    }
    id
}

/// A name as it may stand in an address.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.to_lowercase().chars() {
        match letter {
            'æ' | 'ä' => slug.push_str("ae"),
            'ø' | 'ö' => slug.push_str("oe"),
            'å' => slug.push_str("aa"),
            'é' | 'è' => slug.push('e'),
            'ü' => slug.push_str("ue"),
            letter if letter.is_ascii_alphanumeric() => slug.push(letter),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    let mut slug: String = slug.chars().take(LONGEST_ID).collect();
    while slug.ends_with('-') {
        slug.pop();
    }
    match slug.is_empty() {
        true => "area".into(),
        false => slug,
    }
}

/// Puts the areas in the place of those that there are.
///
/// # Errors
/// An area that is missing in the file and that a placement names.
pub(crate) fn replace(db: &Transaction<'_>, new: &NewAreas) -> Result<(), CityError> {
    let known: Vec<(String, String)> = db
        .prepare("SELECT id, name FROM area")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<booth_database::Result<_>>()?;
    let id_of = |area: &NewArea| {
        let by_name = known.iter().find(|(_, name)| *name == area.name);
        by_name.map_or_else(|| area.id.clone(), |(id, _)| id.clone())
    };
    let ids: Vec<String> = new.areas.iter().map(id_of).collect();
    let different: BTreeSet<&String> = ids.iter().collect();
    if different.len() < ids.len() {
        return Err(sentence!("areas-same-id").into());
    }
    let mut missing = Vec::new();
    let mut named = db.prepare(
        "SELECT placement.area_id, coalesce(area.name, placement.area_id), placement.booth_id FROM placement
         LEFT JOIN area ON area.id = placement.area_id WHERE placement.area_id IS NOT NULL GROUP BY placement.area_id ORDER BY 2",
    )?;
    let rows = named.query_map([], |row| {
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, String>(2)?,
        ))
    })?;
    for row in rows {
        let (id, name, booth) = row?;
        if !different.contains(&id) {
            missing.push(sentence!("areas-lacking-one", name = name, booth = booth));
        }
    }
    if !missing.is_empty() {
        return Err(sentence!("areas-lacking", areas = (missing, ", ")).into());
    }
    db.execute("DELETE FROM area", [])?;
    let mut insert = db.prepare(
        "INSERT INTO area (id, name, place, geometry, fine) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (place, (area, id)) in new.areas.iter().zip(&ids).enumerate() {
        insert.execute(params![
            id,
            area.name,
            place,
            area.coarse.text(),
            area.fine.text()
        ])?;
    }
    Ok(())
}

/// The ids and names of all areas, in their order.
pub(crate) fn names(db: &Connection) -> booth_database::Result<Vec<(String, String)>> {
    let mut statement = db.prepare_cached("SELECT id, name FROM area ORDER BY place")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// An area's name.
pub(crate) fn name_of(db: &Connection, id: &str) -> booth_database::Result<Option<String>> {
    db.prepare_cached("SELECT name FROM area WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}

/// The area in which a point lies: its id.
pub(crate) fn at(db: &Connection, point: Point) -> booth_database::Result<Option<String>> {
    let mut statement = db.prepare_cached("SELECT id, fine FROM area ORDER BY place")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let shape = Shape::of(&row.get::<_, String>(1)?);
        if shape.is_some_and(|shape| shape.has(point)) {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
