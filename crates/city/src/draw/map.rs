//! The map: the city's areas, coloured by a number, and where booths stand.
//!
//! Owns: reading GeoJSON shapes (RFC 7946), the projection and the simplification. The projection is equirectangular, with the meridians drawn
//! together by the cosine of the middle latitude: right enough for a city. An area without a booth is hatched, because no number is no zero.

use geojson::{GeoJson, GeometryValue, Position};

use super::pen::{Anchor, INK, SOFT, on_step, step};
use super::{Pen, Tongue, step_of};

/// The rings of an area, longitude and latitude.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    rings: Vec<Vec<(f64, f64)>>,
}

/// How an area is filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Coat {
    /// No booth stands or stood there.
    NoBooth,
    /// There was one, and the number is not said.
    Unsaid,
    /// So much.
    Value(f64),
}

/// An area of the map.
#[derive(Debug, Clone)]
pub(crate) struct MapArea<'a> {
    pub(crate) shape: &'a Shape,
    /// Its number in the table beside the map.
    pub(crate) number: usize,
    pub(crate) coat: Coat,
    /// Its name and what it has, for a pointer that rests on it.
    pub(crate) tip: String,
}

/// Where a booth stands.
#[derive(Debug, Clone)]
pub(crate) struct Pin {
    /// Longitude and latitude.
    pub(crate) at: (f64, f64),
    pub(crate) tip: String,
}

/// The words of the legend.
#[derive(Debug, Clone)]
pub(crate) struct MapWords {
    /// What the colour says.
    pub(crate) measure: String,
    pub(crate) no_booth: String,
    pub(crate) unsaid: String,
    pub(crate) booth_now: String,
    /// How the ends of the scale are said.
    pub(crate) least: String,
    pub(crate) most: String,
}

const WIDTH: f64 = 400.0;
const HIGHEST: f64 = 430.0;
/// Points of all shapes together: more are thinned out further, so that the page stays small.
const MOST_POINTS: usize = 2_500;

/// The outlines of a GeoJSON geometry, feature or collection. What cannot be read, or lies on no globe, has none.
pub(crate) fn shape_of(text: &str) -> Shape {
    let mut shape = Shape::default();
    if let Ok(read) = text.parse::<GeoJson>() {
        match read {
            GeoJson::Geometry(geometry) => shape.take(&geometry.value),
            GeoJson::Feature(feature) => {
                if let Some(geometry) = feature.geometry {
                    shape.take(&geometry.value);
                }
            }
            GeoJson::FeatureCollection(collection) => {
                for geometry in collection
                    .features
                    .iter()
                    .filter_map(|one| one.geometry.as_ref())
                {
                    shape.take(&geometry.value);
                }
            }
        }
    }
    shape
}

impl Shape {
    /// Whether there is no outline.
    pub(crate) fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    fn take(&mut self, value: &GeometryValue) {
        match value {
            GeometryValue::Polygon { coordinates } => self.rings(coordinates),
            GeometryValue::MultiPolygon { coordinates } => {
                for polygon in coordinates {
                    self.rings(polygon);
                }
            }
            GeometryValue::GeometryCollection { geometries } => {
                for geometry in geometries {
                    self.take(&geometry.value);
                }
            }
            _ => {}
        }
    }

    fn rings(&mut self, rings: &[Vec<Position>]) {
        for ring in rings {
            let points = ring.iter().filter_map(|point| match point.as_slice() {
                [lon, lat, ..] if lon.abs() <= 180.0 && lat.abs() <= 90.0 => Some((*lon, *lat)),
                _ => None,
            });
            let points: Vec<(f64, f64)> = points.collect();
            if points.len() >= 4 && points.len() == ring.len() {
                self.rings.push(points);
            }
        }
    }
}

/// From places on the globe to places on the drawing.
struct Projection {
    west: f64,
    north: f64,
    across: f64,
    scale: f64,
    height: f64,
}

impl Projection {
    fn of<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Option<Self> {
        let (mut west, mut east, mut south, mut north) = (f64::MAX, f64::MIN, f64::MAX, f64::MIN);
        for (lon, lat) in points {
            (west, east) = (west.min(*lon), east.max(*lon));
            (south, north) = (south.min(*lat), north.max(*lat));
        }
        if west >= east || south >= north {
            return None;
        }
        let across = ((south + north) / 2.0).to_radians().cos().max(0.01);
        let (wide, high) = ((east - west) * across, north - south);
        let scale = ((WIDTH - 4.0) / wide).min((HIGHEST - 4.0) / high);
        Some(Self {
            west: west - ((WIDTH - 4.0) / scale - wide) / across / 2.0,
            north,
            across,
            scale,
            height: high * scale + 4.0,
        })
    }

    fn place(&self, (lon, lat): (f64, f64)) -> (f64, f64) {
        let x = (lon - self.west) * self.across * self.scale + 2.0;
        let y = (self.north - lat) * self.scale + 2.0;
        (x, y)
    }
}

/// The points without which the line would differ by more than `tolerance` (Douglas and Peucker).
fn simplified(points: &[(f64, f64)], tolerance: f64) -> Vec<(f64, f64)> {
    let Some(last) = points.len().checked_sub(1).filter(|last| *last > 1) else {
        return points.to_vec();
    };
    let mut keeps = vec![false; points.len()];
    keeps[0] = true;
    keeps[last] = true;
    // A ring begins where it ends: its farthest point halves it.
    let mut waiting = vec![(0, last)];
    while let Some((from, to)) = waiting.pop() {
        let farthest = (from + 1..to)
            .map(|at| (at, distance(points[at], points[from], points[to])))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, far)) = farthest
            && far > tolerance
        {
            keeps[at] = true;
            waiting.extend([(from, at), (at, to)]);
        }
    }
    let kept = points.iter().zip(keeps).filter(|(_, keep)| *keep);
    kept.map(|(point, _)| *point).collect()
}

/// From a point to the line through two others.
fn distance(point: (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (px, py) = (point.0 - from.0, point.1 - from.1);
    let length = dx.hypot(dy);
    match length > 1e-9 {
        true => (dx * py - dy * px).abs() / length,
        false => px.hypot(py),
    }
}

/// The middle of a ring, and its surface.
fn centre(ring: &[(f64, f64)]) -> ((f64, f64), f64) {
    let (mut surface, mut x, mut y) = (0.0, 0.0, 0.0);
    for pair in ring.windows(2) {
        let part = pair[0].0 * pair[1].1 - pair[1].0 * pair[0].1;
        surface += part;
        x += (pair[0].0 + pair[1].0) * part;
        y += (pair[0].1 + pair[1].1) * part;
    }
    match surface.abs() > 1e-9 {
        true => (
            (x / (3.0 * surface), y / (3.0 * surface)),
            surface.abs() / 2.0,
        ),
        false => (ring.first().copied().unwrap_or_default(), 0.0),
    }
}

fn outline(rings: &[Vec<(f64, f64)>]) -> String {
    use super::pen::short;
    let mut d = String::new();
    for ring in rings {
        let mut before = (0.0, 0.0);
        for (at, (x, y)) in ring.iter().enumerate() {
            // Relative steps of whole tenths are the shortest way to write it, and add up to the same places.
            let (x, y) = ((x * 10.0).round() / 10.0, (y * 10.0).round() / 10.0);
            match at {
                0 => d.push_str(&format!("M{} {}", short(x), short(y))),
                _ => {
                    let (dx, dy) = (short(x - before.0), short(y - before.1));
                    let gap = if dy.starts_with('-') { "" } else { " " };
                    d.push_str(&format!("l{dx}{gap}{dy}"));
                }
            }
            before = (x, y);
        }
        d.push('Z');
    }
    d
}

/// A map without anything on it yet: outlines as they are drawn, and where places of the globe lie between them.
pub(crate) struct Ground {
    projection: Projection,
    outlines: Vec<Vec<Vec<(f64, f64)>>>,
}

impl Ground {
    /// Of these shapes, thinned out so that a page stays small, and wide enough for these places; `None` where there is no extent.
    pub(crate) fn of(shapes: &[&Shape], places: &[(f64, f64)]) -> Option<Self> {
        let points = shapes.iter().flat_map(|shape| shape.rings.iter().flatten());
        let projection = Projection::of(points.chain(places))?;
        let drawn: Vec<Vec<Vec<(f64, f64)>>> = shapes
            .iter()
            .map(|shape| {
                let rings = shape.rings.iter();
                rings
                    .map(|ring| ring.iter().map(|point| projection.place(*point)).collect())
                    .collect()
            })
            .collect();
        let mut tolerance = 0.35;
        let thin = |tolerance: f64| -> Vec<Vec<Vec<(f64, f64)>>> {
            let areas = drawn.iter();
            areas
                .map(|rings| {
                    let rings = rings.iter().map(|ring| simplified(ring, tolerance));
                    rings.filter(|ring| ring.len() > 2).collect()
                })
                .collect()
        };
        let mut outlines = thin(tolerance);
        while outlines.iter().flatten().map(Vec::len).sum::<usize>() > MOST_POINTS
            && tolerance < 8.0
        {
            tolerance *= 1.6;
            outlines = thin(tolerance);
        }
        Some(Self {
            projection,
            outlines,
        })
    }

    /// Its width and height.
    pub(crate) fn size(&self) -> (f64, f64) {
        (WIDTH, self.projection.height)
    }

    /// A place of the globe on the drawing; `None` where it lies beside it.
    pub(crate) fn place(&self, at: (f64, f64)) -> Option<(f64, f64)> {
        let (x, y) = self.projection.place(at);
        let is_on = (0.0..=WIDTH).contains(&x) && (0.0..=self.projection.height).contains(&y);
        is_on.then_some((x, y))
    }

    /// The outline of a shape as the path of an SVG.
    pub(crate) fn outline(&self, shape: usize) -> String {
        outline(&self.outlines[shape])
    }

    /// The middle of a shape's largest part.
    pub(crate) fn middle(&self, shape: usize) -> Option<(f64, f64)> {
        let middles = self.outlines[shape].iter().map(|ring| centre(ring));
        let largest = middles.max_by(|a, b| a.1.total_cmp(&b.1));
        largest.map(|(middle, _)| middle)
    }
}

/// Draws it; `None` where no area has an outline.
pub(crate) fn map(
    areas: &[MapArea<'_>],
    pins: &[Pin],
    words: &MapWords,
    tongue: &Tongue,
) -> Option<(Pen, f64)> {
    let shapes: Vec<&Shape> = areas.iter().map(|area| area.shape).collect();
    let ground = Ground::of(&shapes, &[])?;
    let thinned = &ground.outlines;
    let value = |area: &MapArea<'_>| match area.coat {
        Coat::Value(value) => value,
        _ => 0.0,
    };
    let most = areas.iter().map(value).fold(0.0, f64::max);
    let mut pen = Pen::fixed(WIDTH, tongue);
    pen.hatch("no-booth");
    for (area, rings) in areas.iter().zip(thinned) {
        let d = outline(rings);
        match area.coat {
            Coat::NoBooth => pen.shape("hatched", "url(#no-booth)", &d, &area.tip),
            Coat::Unsaid => pen.shape("rest", "#e8e0d5", &d, &area.tip),
            Coat::Value(value) => {
                let look = step(step_of(value, most));
                pen.shape(look.0, look.1, &d, &area.tip);
            }
        }
    }
    for (area, rings) in areas.iter().zip(thinned) {
        let middles = rings.iter().map(|ring| centre(ring));
        let largest = middles.max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some(((x, y), surface)) = largest
            && surface > 130.0
        {
            let grade = match area.coat {
                Coat::Value(value) => Some(step_of(value, most)),
                _ => None,
            };
            let look = grade.map_or(INK, on_step);
            pen.bold(
                look,
                (x, y + 4.0),
                Anchor::Middle,
                11.5,
                &tongue.number(area.number as u64),
            );
        }
    }
    for pin in pins {
        if let Some(place) = ground.place(pin.at) {
            pen.pin(place, &pin.tip);
        }
    }
    Some(legend(pen, ground.size().1, words))
}

/// What the colours, the hatching and the pins mean. It runs in the direction of the language.
fn legend(mut pen: Pen, top: f64, words: &MapWords) -> (Pen, f64) {
    pen.mirror_by_language();
    let mut y = top + 20.0;
    pen.text(INK, (0.0, y), Anchor::Start, 13.0, &words.measure);
    y += 8.0;
    for grade in 0..5u8 {
        pen.rect(step(grade), (f64::from(grade) * 44.0, y, 44.0, 12.0), "");
    }
    y += 26.0;
    pen.text(SOFT, (0.0, y), Anchor::Start, 12.0, &words.least);
    pen.text(SOFT, (220.0, y), Anchor::End, 12.0, &words.most);
    y += 14.0;
    for (hatched, what) in [(true, &words.no_booth), (false, &words.unsaid)] {
        match hatched {
            true => pen.hatched("no-booth", (0.0, y, 22.0, 13.0), ""),
            false => pen.rect(super::pen::REST, (0.0, y, 22.0, 13.0), ""),
        }
        pen.text(INK, (30.0, y + 11.0), Anchor::Start, 12.5, what);
        y += 20.0;
    }
    pen.small_pin((11.0, y + 13.0));
    pen.text(INK, (30.0, y + 11.0), Anchor::Start, 12.5, &words.booth_now);
    (pen, y + 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: &str = r#"{"type":"Polygon","coordinates":[[[10.1,56.1],[10.2,56.1],[10.2,56.2],[10.1,56.2],[10.1,56.1]]]}"#;

    fn tongue() -> Tongue {
        Tongue {
            language: "en".into(),
            is_rtl: false,
            thousands: ",".into(),
            decimal: ".".into(),
            few: "<5".into(),
        }
    }

    fn words() -> MapWords {
        let word = String::new();
        MapWords {
            measure: word.clone(),
            no_booth: "no booth".into(),
            unsaid: word.clone(),
            booth_now: word.clone(),
            least: word.clone(),
            most: word,
        }
    }

    fn drawn(coat: Coat, shape: &Shape) -> Option<String> {
        let area = MapArea {
            shape,
            number: 1,
            coat,
            tip: "here".into(),
        };
        map(&[area], &[], &words(), &tongue()).map(|(pen, _)| pen.done().1)
    }

    #[test]
    fn an_area_without_a_booth_is_hatched_and_one_with_nothing_said_is_not() {
        let shape = shape_of(SQUARE);
        let hatched = "fill=\"url(#no-booth)\" stroke=\"#fff\"";
        assert!(
            drawn(Coat::NoBooth, &shape)
                .expect("drawn")
                .contains(hatched)
        );
        assert!(
            !drawn(Coat::Value(0.0), &shape)
                .expect("drawn")
                .contains(hatched)
        );
    }

    #[test]
    fn a_map_in_metres_or_with_nonsense_has_no_outline_and_breaks_nothing() {
        for text in [
            r#"{"type":"Polygon","coordinates":[[[572000,6222000],[573000,6222000],[573000,6223000],[572000,6222000]]]}"#,
            r#"{"type":"Point","coordinates":[10,56]}"#,
            r#"{"type":"Polygon","coordinates":[]}"#,
            "",
            "[]",
        ] {
            let shape = shape_of(text);
            assert_eq!(shape, Shape::default(), "{text}");
            assert_eq!(drawn(Coat::NoBooth, &shape), None);
        }
    }

    #[test]
    fn a_city_is_not_stretched() {
        // A tenth of a degree of longitude is 0.56 of one of latitude there.
        let shape = shape_of(SQUARE);
        let projection = Projection::of(shape.rings.iter().flatten()).expect("a map");
        let (left, right) = (
            projection.place((10.1, 56.1)),
            projection.place((10.2, 56.1)),
        );
        let (top, bottom) = (
            projection.place((10.1, 56.2)),
            projection.place((10.1, 56.1)),
        );
        let ratio = (right.0 - left.0) / (bottom.1 - top.1);
        assert!((ratio - 0.5573).abs() < 0.001, "{ratio}");
    }

    #[test]
    fn an_outline_of_very_many_points_is_thinned_out() {
        let ring: Vec<String> = (0..=20_000)
            .map(|at| {
                let turn = f64::from(at % 20_000) / 20_000.0 * std::f64::consts::TAU;
                format!("[{},{}]", 10.0 + turn.cos() * 0.2, 56.0 + turn.sin() * 0.1)
            })
            .collect();
        let text = format!(
            "{{\"type\":\"Polygon\",\"coordinates\":[[{}]]}}",
            ring.join(",")
        );
        let svg = drawn(Coat::Value(1.0), &shape_of(&text)).expect("drawn");
        assert!(svg.len() < 6_000, "{}", svg.len());
    }
}
