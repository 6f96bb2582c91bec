//! As few points as a page can carry: borders by Douglas and Peucker, cut where areas meet, so that two neighbours keep the same border.
//!
//! Owns: which points stay. Pure. A border that two areas have in the same points stays the same for both, because it is one piece between
//! two points where areas part, and a piece is thinned out the same way from either end. Where a file has no common points, nothing is
//! shared that could stay so.

use std::collections::HashMap;

use super::shape::{Point, Ring, Shape};

/// A point on a grid of a millionth of a degree, some 10 cm: points that are meant to be the same are.
type Place = (i32, i32);

const GRID: f64 = 1e6;

fn place([lon, lat]: Point) -> Place {
    ((lon * GRID).round() as i32, (lat * GRID).round() as i32)
}

fn point((x, y): Place) -> Point {
    [f64::from(x) / GRID, f64::from(y) / GRID]
}

/// A ring with how much each point matters: the distance, in degrees of latitude, from which on it may be left out.
struct Weighed {
    ring: Vec<Place>,
    weights: Vec<f64>,
}

/// Shapes whose points are weighed once, so that they can be thinned out to any number.
pub(crate) struct Weighing {
    /// Shape, polygon, ring.
    shapes: Vec<Vec<Vec<Weighed>>>,
}

impl Weighing {
    /// Weighs the points of all shapes together.
    pub(crate) fn of(shapes: &[Shape]) -> Self {
        let rings: Vec<Vec<Vec<Vec<Place>>>> = shapes
            .iter()
            .map(|shape| {
                let polygons = shape.coordinates.iter();
                polygons
                    .map(|rings| rings.iter().map(on_grid).collect())
                    .collect()
            })
            .collect();
        let latitudes = shapes.iter().flat_map(Shape::rings).flatten();
        let (sum, number) =
            latitudes.fold((0.0, 0.0), |(sum, number), at| (sum + at[1], number + 1.0));
        let narrow = (sum / f64::max(number, 1.0)).to_radians().cos();
        let partings = partings(rings.iter().flatten().flatten());
        let weighed = rings.into_iter().map(|polygons| {
            let polygons = polygons.into_iter();
            polygons
                .map(|rings| {
                    let rings = rings.into_iter();
                    rings.map(|ring| weigh(ring, &partings, narrow)).collect()
                })
                .collect()
        });
        Self {
            shapes: weighed.collect(),
        }
    }

    /// The shapes with at most some `most` points in all. Rings that are too small to be seen then are left out, but never the whole of
    /// an area.
    pub(crate) fn thinned(&self, most: usize) -> Vec<Shape> {
        let all = self.shapes.iter().flatten().flatten();
        let mut weights: Vec<f64> = all.flat_map(|ring| ring.weights.iter().copied()).collect();
        let least = match weights.len() > most {
            false => 0.0,
            true => {
                let (_, least, _) = weights.select_nth_unstable_by(most, |a, b| b.total_cmp(a));
                *least
            }
        };
        self.shapes
            .iter()
            .map(|polygons| thinned(polygons, least))
            .collect()
    }
}

/// The points of a ring on the grid, each once, without the last one that closes it.
fn on_grid(ring: &Ring) -> Vec<Place> {
    let mut places: Vec<Place> = ring.iter().map(|at| place(*at)).collect();
    places.dedup();
    while places.len() > 1 && places.first() == places.last() {
        places.pop();
    }
    places
}

/// The points where rings part: those that have other neighbours in another ring.
fn partings<'a>(rings: impl Iterator<Item = &'a Vec<Place>>) -> HashMap<Place, bool> {
    let mut neighbours: HashMap<Place, (Place, Place, bool)> = HashMap::new();
    for ring in rings {
        let n = ring.len();
        for (at, here) in ring.iter().enumerate() {
            let (a, b) = (ring[(at + n - 1) % n], ring[(at + 1) % n]);
            let (a, b) = (a.min(b), a.max(b));
            let known = neighbours.entry(*here).or_insert((a, b, false));
            if (known.0, known.1) != (a, b) {
                known.2 = true;
            }
        }
    }
    neighbours
        .into_iter()
        .filter(|(_, known)| known.2)
        .map(|(here, _)| (here, true))
        .collect()
}

fn weigh(ring: Vec<Place>, partings: &HashMap<Place, bool>, narrow: f64) -> Weighed {
    let n = ring.len();
    if n < 3 {
        let weights = vec![0.0; n];
        return Weighed { ring, weights };
    }
    let begin = ring
        .iter()
        .position(|here| partings.contains_key(here))
        // A ring that meets no other begins at its first point by order, whoever drew it.
        .unwrap_or_else(|| {
            let first = ring.iter().enumerate().min_by_key(|(_, here)| **here);
            first.map_or(0, |(at, _)| at)
        });
    let mut ring = ring;
    ring.rotate_left(begin);
    let mut ends: Vec<usize> = (0..n)
        .filter(|at| *at == 0 || partings.contains_key(&ring[*at]))
        .collect();
    ends.push(n);
    if ends.len() == 2 {
        // One piece that ends where it begins is cut at its farthest point.
        let from = ring[0];
        let farthest = (1..n).max_by(|a, b| {
            let of = |at: usize| distance(ring[at], from, narrow);
            of(*a).total_cmp(&of(*b)).then(ring[*b].cmp(&ring[*a]))
        });
        ends.insert(1, farthest.unwrap_or(1));
    }
    let mut weights = vec![0.0; n];
    for piece in ends.windows(2) {
        let (from, to) = (piece[0], piece[1]);
        let piece: Vec<Place> = (from..=to).map(|at| ring[at % n]).collect();
        for (at, weight) in weights_of(&piece, narrow).into_iter().enumerate() {
            weights[(from + at) % n] = weight;
        }
    }
    Weighed { ring, weights }
}

fn distance(a: Place, b: Place, narrow: f64) -> f64 {
    let x = f64::from(a.0 - b.0) * narrow;
    let y = f64::from(a.1 - b.1);
    x.hypot(y) / GRID
}

/// From a point to a line between two others; to the point where both are the same.
fn from_line(at: Place, a: Place, b: Place, narrow: f64) -> f64 {
    let flat = |here: Place| {
        (
            f64::from(here.0 - a.0) * narrow,
            f64::from(here.1) - f64::from(a.1),
        )
    };
    let ((px, py), (bx, by)) = (flat(at), flat(b));
    let length = bx.mul_add(bx, by * by);
    let along = if length > 0.0 {
        (px.mul_add(bx, py * by) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (px - along * bx).hypot(py - along * by) / GRID
}

/// How much each point of a piece matters; its ends matter always. The same from either end.
fn weights_of(piece: &[Place], narrow: f64) -> Vec<f64> {
    let is_turned = piece.last() < piece.first()
        || (piece.last() == piece.first() && piece.iter().rev().lt(piece.iter()));
    let piece: Vec<Place> = match is_turned {
        true => piece.iter().rev().copied().collect(),
        false => piece.to_vec(),
    };
    let mut weights = vec![f64::INFINITY; piece.len()];
    let mut open = vec![(0, piece.len() - 1, f64::INFINITY)];
    while let Some((from, to, above)) = open.pop() {
        let mut farthest = None;
        for at in from + 1..to {
            let away = from_line(piece[at], piece[from], piece[to], narrow);
            if farthest.is_none_or(|(_, most)| away > most) {
                farthest = Some((at, away));
            }
        }
        if let Some((at, away)) = farthest {
            let weight = away.min(above);
            weights[at] = weight;
            open.push((from, at, weight));
            open.push((at, to, weight));
        }
    }
    if is_turned {
        weights.reverse();
    }
    weights
}

fn thinned(polygons: &[Vec<Weighed>], least: f64) -> Shape {
    let mut kept: Vec<Vec<Ring>> = Vec::new();
    for rings in polygons {
        let mut rings = rings.iter().map(|ring| thinned_ring(ring, least));
        if let Some(Some(outer)) = rings.next() {
            kept.push(std::iter::once(outer).chain(rings.flatten()).collect());
        }
    }
    if kept.is_empty() {
        // All of it is too small: its largest ring stays as it is.
        let outer = polygons.iter().filter_map(|rings| rings.first());
        let largest = outer.max_by_key(|ring| ring.ring.len());
        kept.extend(largest.map(|ring| vec![closed(ring.ring.clone())]));
    }
    Shape { coordinates: kept }
}

fn thinned_ring(ring: &Weighed, least: f64) -> Option<Ring> {
    let points = ring.ring.iter().zip(&ring.weights);
    let points = points.filter(|(_, weight)| **weight > least);
    let places: Vec<Place> = points.map(|(here, _)| *here).collect();
    (places.len() >= 3).then(|| closed(places))
}

fn closed(mut places: Vec<Place>) -> Ring {
    places.extend(places.first().copied());
    places.into_iter().map(point).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Two areas with a jagged border between them, drawn by each in its own direction from its own corner.
    fn neighbours(steps: usize) -> [Shape; 2] {
        let jag = |n: usize| {
            let y = n as f64 / steps as f64;
            let x = 1.0 + 0.01 * ((n * 7 % 13) as f64 - 6.0) / 6.0;
            [x, y]
        };
        let border: Vec<Point> = (0..=steps).map(jag).collect();
        let mut left = vec![[0.0, 0.0]];
        left.extend(border.iter().copied());
        left.extend([[0.0, 1.0], [0.0, 0.0]]);
        let mut right: Vec<Point> = border.iter().rev().copied().collect();
        right.extend([[2.0, 0.0], [2.0, 1.0], border[steps]]);
        [left, right].map(|ring| Shape {
            coordinates: vec![vec![ring]],
        })
    }

    fn on_the_border(shape: &Shape) -> BTreeSet<Place> {
        let all = shape.rings().flatten().map(|at| place(*at));
        all.filter(|(x, _)| (900_000..1_100_000).contains(x))
            .collect()
    }

    #[test]
    fn neighbours_keep_the_same_border_however_few_points_are_left() {
        let shapes = neighbours(400);
        let weighing = Weighing::of(&shapes);
        for most in [600, 200, 60, 20, 8] {
            let thin = weighing.thinned(most);
            let number: usize = thin.iter().flat_map(Shape::rings).map(Vec::len).sum();
            assert!(number <= most + 4, "{most}: {number}");
            assert_eq!(on_the_border(&thin[0]), on_the_border(&thin[1]), "{most}");
        }
        let all = weighing.thinned(10_000);
        // Only points on a straight line are left out where there is room for all.
        assert!(on_the_border(&all[0]).len() > 350);
    }

    #[test]
    fn a_hole_and_the_island_in_it_stay_one_line() {
        let circle = |turn: f64| -> Ring {
            let at = |n: usize| {
                let angle = (n as f64 / 200.0 + turn) * std::f64::consts::TAU;
                // Numbers that are the same on the grid whatever the turn.
                [10.0 + 0.2 * angle.cos(), 56.0 + 0.1 * angle.sin()]
            };
            (0..=200).map(at).collect()
        };
        let outer = vec![
            [9.0, 55.0],
            [11.0, 55.0],
            [11.0, 57.0],
            [9.0, 57.0],
            [9.0, 55.0],
        ];
        let mut island = circle(0.25);
        island.reverse();
        let shapes = [
            Shape {
                coordinates: vec![vec![outer, circle(0.0)]],
            },
            Shape {
                coordinates: vec![vec![island]],
            },
        ];
        let thin = Weighing::of(&shapes).thinned(40);
        let of = |ring: &Ring| -> BTreeSet<Place> { ring.iter().map(|at| place(*at)).collect() };
        let (hole, island) = (&thin[0].coordinates[0][1], &thin[1].coordinates[0][0]);
        assert!(hole.len() < 40 && hole.len() > 4);
        assert_eq!(of(hole), of(island));
    }

    #[test]
    fn small_islands_vanish_and_an_area_of_nothing_else_stays() {
        let tiny = |x: f64| -> Ring {
            let side = 0.000_1;
            vec![
                [x, 0.0],
                [x + side, 0.0],
                [x + side, side],
                [x, side],
                [x, 0.0],
            ]
        };
        let wave = |n: usize| [n as f64 / 100.0, 0.3 * (n as f64).sin()];
        let mut coast: Ring = (0..100).map(wave).collect();
        coast.extend([[1.0, 5.0], [0.0, 5.0], wave(0)]);
        let shapes = [
            Shape {
                coordinates: vec![vec![coast], vec![tiny(3.0)]],
            },
            Shape {
                coordinates: vec![vec![tiny(4.0)]],
            },
        ];
        let thin = Weighing::of(&shapes).thinned(50);
        assert_eq!(thin[1].coordinates.len(), 1);
        assert!(thin[1].coordinates[0][0].len() >= 4);
        let number: usize = thin.iter().flat_map(Shape::rings).map(Vec::len).sum();
        assert!(number < 62, "{number}");
    }
}
