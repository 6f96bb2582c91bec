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
use crate::sentence;
use crate::words::{Gap, Sentence};

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
pub(super) fn found(bytes: &[u8], name_property: Option<&str>) -> Result<Vec<Found>, Sentence> {
    if bytes.len() > MOST_BYTES {
        let mb = bytes.len() / 1_000_000;
        return Err(sentence!(
            "areas-too-large",
            mb = mb,
            most = MOST_BYTES / 1_000_000
        ));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Each point begins with a bracket, and little else does.
    if bytes.iter().filter(|byte| **byte == b'[').count() > MOST_POINTS {
        return Err(sentence!("areas-too-many-points", most = MOST_POINTS));
    }
    let mut reader = Reader::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = json.deserialize_map(&mut reader).and_then(|()| json.end());
    if let Some(why) = reader.refused {
        return Err(why);
    }
    read.map_err(|error| sentence!("areas-no-geojson", why = error.to_string()))?;
    if !reader.is_collection {
        return Err(sentence!("areas-no-collection"));
    }
    if reader.pieces.is_empty() {
        return Err(sentence!("areas-none"));
    }
    named(reader.pieces, name_property)
}

/// Gives each piece its name, and puts pieces of one name together.
fn named(pieces: Vec<Piece>, wanted: Option<&str>) -> Result<Vec<Found>, Sentence> {
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
                return Err(sentence!(
                    "areas-which-name",
                    properties = properties(&pieces)
                ));
            }
        },
    };
    let mut found: Vec<Found> = Vec::new();
    let all = properties(&pieces);
    for (n, piece) in pieces.into_iter().enumerate() {
        let Some(name) = piece.named.get(&property) else {
            return Err(sentence!(
                "areas-no-name",
                n = n + 1,
                property = property,
                properties = all
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

fn properties(pieces: &[Piece]) -> Gap {
    let names = pieces.first().map(|piece| piece.named.keys());
    let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
    match names.is_empty() {
        true => sentence!("areas-no-properties").into(),
        false => names.join(", ").into(),
    }
}

#[derive(Default)]
struct Reader {
    is_collection: bool,
    pieces: Vec<Piece>,
    /// Why it goes no further.
    refused: Option<Sentence>,
}

impl Reader {
    fn refuse<E: serde::de::Error>(&mut self, why: Sentence) -> E {
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
                        let kind = kind.to_string();
                        return Err(self.refuse(sentence!("areas-other-kind", kind = kind)));
                    }
                }
                "crs" => {
                    let crs: JsonValue = map.next_value()?;
                    if let Some(name) = other_crs(&crs) {
                        return Err(self.refuse(sentence!("areas-other-projection", name = name)));
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
                let why = sentence!("areas-too-many-features", most = MOST_FEATURES);
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

fn piece(feature: Feature, n: usize) -> Result<Piece, Sentence> {
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
        return Err(sentence!("areas-no-shape", n = n));
    };
    let polygons = match geometry.value {
        GeometryValue::Polygon { coordinates } => vec![coordinates],
        GeometryValue::MultiPolygon { coordinates } => coordinates,
        other => {
            return Err(sentence!(
                "areas-no-polygon",
                n = n,
                kind = other.type_name()
            ));
        }
    };
    let mut shape = Shape::default();
    for polygon in polygons {
        let rings = polygon.iter().map(|ring| self::ring(ring, n));
        let rings = rings.collect::<Result<Vec<Ring>, Sentence>>()?;
        if !rings.is_empty() {
            shape.coordinates.push(rings);
        }
    }
    match shape.coordinates.is_empty() {
        true => Err(sentence!("areas-empty-shape", n = n)),
        false => Ok(Piece { named, shape }),
    }
}

fn ring(positions: &[Position], n: usize) -> Result<Ring, Sentence> {
    let mut ring = Ring::with_capacity(positions.len());
    for position in positions {
        let &[lon, lat, ..] = position.as_slice() else {
            return Err(sentence!("areas-one-number", n = n));
        };
        if !(-180.0..=180.0).contains(&lon) || !(-90.0..=90.0).contains(&lat) {
            return Err(sentence!(
                "areas-point-outside",
                n = n,
                lon = lon.to_string(),
                lat = lat.to_string()
            ));
        }
        ring.push([lon, lat]);
    }
    if ring.len() < 4 || ring.first() != ring.last() {
        return Err(sentence!("areas-open-ring", n = n));
    }
    Ok(ring)
}
