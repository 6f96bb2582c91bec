//! The shape of an area: polygons with holes, on the globe.
//!
//! Owns: its form in the database (a GeoJSON MultiPolygon, RFC 7946 §3.1.7), and whether a point lies in it. Pure.

use serde::{Deserialize, Serialize};

/// A point: longitude and latitude, degrees (WGS 84).
pub(crate) type Point = [f64; 2];

/// A closed ring: its last point is its first one.
pub(crate) type Ring = Vec<Point>;

/// Polygons, each with its outer ring first and then its holes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "MultiPolygon")]
pub(crate) struct Shape {
    pub(crate) coordinates: Vec<Vec<Ring>>,
}

impl Shape {
    /// Reads it as it stands in the database.
    pub(crate) fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As it stands in the database.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.coordinates.iter().flatten()
    }

    /// Whether the point lies in it. A point in a hole does not.
    pub(crate) fn has(&self, point: Point) -> bool {
        self.coordinates.iter().any(|polygon| {
            // A ring that is crossed changes the side; a hole changes it back.
            let crossed = polygon.iter().filter(|ring| is_inside(ring, point));
            crossed.count() % 2 == 1
        })
    }
}

/// Whether a ray to the east crosses the ring an odd number of times.
fn is_inside(ring: &[Point], [x, y]: Point) -> bool {
    let mut is_inside = false;
    for edge in ring.windows(2) {
        let &[[ax, ay], [bx, by]] = edge else {
            continue;
        };
        if (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax {
            is_inside = !is_inside;
        }
    }
    is_inside
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn square(x: f64, y: f64, side: f64) -> Ring {
        let (a, b) = (x + side, y + side);
        vec![[x, y], [a, y], [a, b], [x, b], [x, y]]
    }

    #[test]
    fn a_point_in_a_hole_is_outside_and_one_on_the_island_in_it_is_inside() {
        let shape = Shape {
            coordinates: vec![
                vec![square(0.0, 0.0, 10.0), square(2.0, 2.0, 6.0)],
                vec![square(4.0, 4.0, 2.0)],
            ],
        };
        assert!(shape.has([1.0, 1.0]) && shape.has([5.0, 5.0]));
        assert!(!shape.has([3.0, 3.0]) && !shape.has([11.0, 5.0]) && !shape.has([-1.0, 5.0]));
        assert_eq!(Shape::of(&shape.text()), Some(shape));
    }

    #[test]
    fn a_point_beside_a_corner_is_on_one_side_of_a_shared_border() {
        let left = Shape {
            coordinates: vec![vec![square(0.0, 0.0, 1.0)]],
        };
        let right = Shape {
            coordinates: vec![vec![square(1.0, 0.0, 1.0)]],
        };
        for y in [0.0, 0.25, 0.5, 0.999] {
            assert_ne!(left.has([1.0, y]), right.has([1.0, y]), "{y}");
        }
    }
}
