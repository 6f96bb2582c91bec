//! A GeoJSON file becomes areas: each with a name, and a shape in degrees.
//!
//! Owns: what is refused, with the sentence that says what to do. One feature is read at a time, so that a file of 20 MB needs little more
//! than its own size. Never does: change what there is.

use std::collections::BTreeMap;
use std::fmt;

use geojson::{Feature, GeometryValue, JsonValue, Position};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::shape::{Ring, Shape};

/// Largest file, bytes, and most points in it: twice what a city's finest map has.
pub(crate) const MOST_BYTES: usize = 20_000_000;
const MOST_POINTS: usize = 1_000_000;
/// Most features.
const MOST_FEATURES: usize = 5_000;
/// Longest name, characters, and most properties of a feature that are looked at.
const LONGEST_NAME: usize = 100;
const MOST_PROPERTIES: usize = 100;
/// Where a name usually stands, the likeliest first.
const USUAL: [&str; 10] = [
    "name",
    "navn",
    "Name",
    "Navn",
    "NAME",
    "NAVN",
    "title",
    "titel",
    "bydel",
    "lokalsamfund",
];

const REMEDY: &str = "bring the file to longitude and latitude first: ogr2ogr -t_srs EPSG:4326 -lco RFC7946=YES areas.geojson YOUR-FILE";

/// An area as a file has it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) shape: Shape,
    /// How many features it was made of.
    pub(super) parts: usize,
}

/// One feature with what it could be called.
struct Piece {
    named: BTreeMap<String, String>,
    shape: Shape,
}

/// Reads a file. Features of the same name become one area.
///
/// # Errors
/// A sentence for whoever has the file.
pub(super) fn found(bytes: &[u8], name_property: Option<&str>) -> Result<Vec<Found>, String> {
    if bytes.len() > MOST_BYTES {
        return Err(format!(
            "The file has {} MB, and at most {} are read: make it coarser, as with ogr2ogr -simplify 0.0001, or take out what are no areas.",
            bytes.len() / 1_000_000,
            MOST_BYTES / 1_000_000
        ));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Each point begins with a bracket, and little else does.
    if bytes.iter().filter(|byte| **byte == b'[').count() > MOST_POINTS {
        return Err(format!(
            "The file has more than {MOST_POINTS} points: make it coarser, as with ogr2ogr -simplify 0.00005."
        ));
    }
    let mut reader = Reader::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = json.deserialize_map(&mut reader).and_then(|()| json.end());
    if let Some(why) = reader.refused {
        return Err(why);
    }
    read.map_err(|error| {
        format!(
            "The file is no GeoJSON: {error}. Save it as GeoJSON (RFC 7946), a FeatureCollection."
        )
    })?;
    if !reader.is_collection {
        return Err("The file is no FeatureCollection: save the areas as GeoJSON with a name for each (RFC 7946 §3.3).".into());
    }
    if reader.pieces.is_empty() {
        return Err("The file has no area in it.".into());
    }
    named(reader.pieces, name_property)
}

/// Gives each piece its name, and puts pieces of one name together.
fn named(pieces: Vec<Piece>, wanted: Option<&str>) -> Result<Vec<Found>, String> {
    let has_all = |property: &str| {
        pieces
            .iter()
            .all(|piece| piece.named.contains_key(property))
    };
    let property = match wanted {
        Some(property) => property.to_owned(),
        None => match USUAL.iter().find(|property| has_all(property)) {
            Some(property) => (*property).to_owned(),
            None => {
                return Err(format!(
                    "The file does not say which property is the name of an area: its features have {}. Name the right one.",
                    properties(&pieces)
                ));
            }
        },
    };
    let mut found: Vec<Found> = Vec::new();
    let all = properties(&pieces);
    for (n, piece) in pieces.into_iter().enumerate() {
        let Some(name) = piece.named.get(&property) else {
            return Err(format!(
                "Feature {} has no text under \"{property}\"; the features have {all}.",
                n + 1
            ));
        };
        match found.iter_mut().find(|found| found.name == *name) {
            Some(known) => {
                known.shape.coordinates.extend(piece.shape.coordinates);
                known.parts += 1;
            }
            None => found.push(Found {
                name: name.clone(),
                shape: piece.shape,
                parts: 1,
            }),
        }
    }
    Ok(found)
}

fn properties(pieces: &[Piece]) -> String {
    let names = pieces.first().map(|piece| piece.named.keys());
    let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
    match names.is_empty() {
        true => "no property that is a text".into(),
        false => names.join(", "),
    }
}

#[derive(Default)]
struct Reader {
    is_collection: bool,
    pieces: Vec<Piece>,
    /// Why it goes no further.
    refused: Option<String>,
}

impl Reader {
    fn refuse<E: serde::de::Error>(&mut self, why: String) -> E {
        self.refused.get_or_insert(why);
        E::custom("refused")
    }
}

impl<'de> Visitor<'de> for &mut Reader {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of GeoJSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => {
                    let kind: JsonValue = map.next_value()?;
                    self.is_collection = kind == "FeatureCollection";
                    if !self.is_collection {
                        let why = format!(
                            "The file is a {kind} and no FeatureCollection: save the areas as GeoJSON with a name for each (RFC 7946 §3.3)."
                        );
                        return Err(self.refuse(why));
                    }
                }
                "crs" => {
                    let crs: JsonValue = map.next_value()?;
                    if let Some(name) = other_crs(&crs) {
                        let why = format!("The file is in another projection ({name}): {REMEDY}.");
                        return Err(self.refuse(why));
                    }
                }
                "features" => map.next_value_seed(Features(self))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The name of a projection that is not RFC 7946's own.
fn other_crs(crs: &JsonValue) -> Option<String> {
    let name = crs.pointer("/properties/name")?.as_str()?;
    let is_own = name.contains("CRS84") || name.ends_with(":4326") || name.ends_with("/4326");
    (!is_own).then(|| name.chars().take(80).collect())
}

struct Features<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Features<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Features<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(feature) = list.next_element::<Feature>()? {
            let n = self.0.pieces.len() + 1;
            if n > MOST_FEATURES {
                let why = format!(
                    "The file has more than {MOST_FEATURES} features: these are no areas of a city."
                );
                return Err(self.0.refuse(why));
            }
            match piece(feature, n) {
                Ok(piece) => self.0.pieces.push(piece),
                Err(why) => return Err(self.0.refuse(why)),
            }
        }
        Ok(())
    }
}

fn piece(feature: Feature, n: usize) -> Result<Piece, String> {
    let mut named = BTreeMap::new();
    for (key, value) in feature
        .properties
        .into_iter()
        .flatten()
        .take(MOST_PROPERTIES)
    {
        let text = match value {
            JsonValue::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            JsonValue::Number(number) => number.to_string(),
            _ => continue,
        };
        let is_name = !text.is_empty()
            && text.chars().count() <= LONGEST_NAME
            && !text.chars().any(char::is_control);
        if is_name {
            named.insert(key, text);
        }
    }
    let Some(geometry) = feature.geometry else {
        return Err(format!(
            "Feature {n} has no shape: take it out of the file, or draw it."
        ));
    };
    let polygons = match geometry.value {
        GeometryValue::Polygon { coordinates } => vec![coordinates],
        GeometryValue::MultiPolygon { coordinates } => coordinates,
        other => {
            return Err(format!(
                "Feature {n} is a {} and no area: leave only polygons in the file.",
                other.type_name()
            ));
        }
    };
    let mut shape = Shape::default();
    for polygon in polygons {
        let rings = polygon.iter().map(|ring| self::ring(ring, n));
        let rings = rings.collect::<Result<Vec<Ring>, String>>()?;
        if !rings.is_empty() {
            shape.coordinates.push(rings);
        }
    }
    match shape.coordinates.is_empty() {
        true => Err(format!(
            "Feature {n} has an empty shape: take it out of the file."
        )),
        false => Ok(Piece { named, shape }),
    }
}

fn ring(positions: &[Position], n: usize) -> Result<Ring, String> {
    let mut ring = Ring::with_capacity(positions.len());
    for position in positions {
        let &[lon, lat, ..] = position.as_slice() else {
            return Err(format!(
                "Feature {n} has a point with one number: points are longitude and latitude."
            ));
        };
        if !(-180.0..=180.0).contains(&lon) || !(-90.0..=90.0).contains(&lat) {
            return Err(format!(
                "Feature {n} has a point at {lon}, {lat}, which is no longitude and latitude (the file is in another projection, as EPSG:25832): \
                 {REMEDY}."
            ));
        }
        ring.push([lon, lat]);
    }
    if ring.len() < 4 || ring.first() != ring.last() {
        return Err(format!(
            "Feature {n} has a ring that is not closed: its last point must be its first one, and it needs at least four (RFC 7946 §3.1.6)."
        ));
    }
    Ok(ring)
}
