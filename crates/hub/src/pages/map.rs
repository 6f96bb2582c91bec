//! The map of the booths by state, with the same in a table beside it.
//!
//! Owns: how a state looks on the map: a shape, a sign and a colour each, so that none is told by its colour alone. Booths that lie close
//! together are one mark with their number, in the looks of the worst of them, so that ten booths and ten thousand can be read. Never does:
//! know where a booth stands; the city does.

use std::collections::BTreeMap;

use booth_city::places::Whereabouts;
use booth_contract::fleet::{Seen, Standing};
use maud::{Markup, html};

use super::{Base, count, grouped};
use crate::view::BoothView;

/// Marks that are closer than this, in units of the drawing, are one.
const CLOSE: f64 = 26.0;
/// Up to so many booths the table names each; more are counted by area.
const MOST_NAMED: usize = 40;
/// Most booths without a place that are named.
const MOST_ELSEWHERE: usize = 50;
/// Half the width of a mark for one booth, and of one for several.
const SMALL: f64 = 7.0;
const LARGE: f64 = 11.0;

/// Booths on one place of the drawing.
#[derive(Debug, Clone, PartialEq)]
struct Mark<'a> {
    at: (f64, f64),
    booths: Vec<&'a BoothView>,
}

impl Mark<'_> {
    /// The state of the worst of them.
    fn worst(&self) -> Standing {
        let all = self.booths.iter().map(|booth| booth.standing());
        all.min().unwrap_or(Standing::Fine)
    }

    /// What it shows, in words.
    fn said(&self) -> String {
        match self.booths.as_slice() {
            [one] => format!("{}: {}", one.called(), one.standing().word()),
            several => format!(
                "{}: {}",
                count(several.len() as u64, "booth", "booths"),
                states(several)
            ),
        }
    }
}

/// `2 cannot take messages, 10 fine`
fn states(booths: &[&BoothView]) -> String {
    let each = Standing::ALL.into_iter().filter_map(|state| {
        let number = number_of(booths, state);
        (number > 0).then(|| format!("{} {}", grouped(number), state.word()))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn number_of(booths: &[&BoothView], state: Standing) -> u64 {
    let its = booths.iter().filter(|booth| booth.standing() == state);
    its.count() as u64
}

/// The marks of these booths: those that lie in one square of the drawing are one.
fn marks<'a>(booths: &[&'a BoothView], whereabouts: &Whereabouts) -> Vec<Mark<'a>> {
    let mut squares: BTreeMap<(i64, i64), Mark<'a>> = BTreeMap::new();
    for &booth in booths {
        let spot = whereabouts.booths.get(&booth.booth_id);
        let Some((x, y)) = spot.and_then(|spot| spot.at) else {
            continue;
        };
        let square = ((x / CLOSE).floor() as i64, (y / CLOSE).floor() as i64);
        let mark = squares.entry(square).or_insert_with(|| Mark {
            at: (0.0, 0.0),
            booths: Vec::new(),
        });
        mark.at = (mark.at.0 + x, mark.at.1 + y);
        mark.booths.push(booth);
    }
    let middle = |mut mark: Mark<'a>| {
        let number = mark.booths.len() as f64;
        mark.at = (mark.at.0 / number, mark.at.1 / number);
        mark
    };
    let mut marks: Vec<Mark<'a>> = squares.into_values().map(middle).collect();
    // The worst is drawn last, above what it touches.
    marks.sort_by_key(|mark| std::cmp::Reverse(mark.worst()));
    marks
}

/// The sign of a state, which stands in the mark of a single booth and in the legend.
fn sign(state: Standing) -> &'static str {
    match state {
        Standing::CannotSpeak => "✕",
        Standing::Silent => "?",
        Standing::NeverHeard => "–",
        Standing::NeedsVisit => "!",
        Standing::Watch => "•",
        Standing::Fine => "✓",
    }
}

/// The outline of a state's mark around the origin, as the path of an SVG.
fn outline(state: Standing, r: f64) -> String {
    let corners: &[(f64, f64)] = match state {
        Standing::CannotSpeak => &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
        Standing::Silent => &[(0.0, -1.25), (1.25, 1.0), (-1.25, 1.0)],
        Standing::NeverHeard => &[
            (-0.5, -1.1),
            (0.5, -1.1),
            (1.1, -0.5),
            (1.1, 0.5),
            (0.5, 1.1),
            (-0.5, 1.1),
            (-1.1, 0.5),
            (-1.1, -0.5),
        ],
        Standing::NeedsVisit => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        Standing::Watch => &[
            (-1.2, 0.0),
            (-0.6, -1.0),
            (0.6, -1.0),
            (1.2, 0.0),
            (0.6, 1.0),
            (-0.6, 1.0),
        ],
        Standing::Fine => {
            let (r, d) = (r * 1.1, r * 2.2);
            return format!(
                "M-{r:.1} 0a{r:.1} {r:.1} 0 1 0 {d:.1} 0a{r:.1} {r:.1} 0 1 0-{d:.1} 0Z"
            );
        }
    };
    let places = corners
        .iter()
        .map(|(x, y)| format!("{:.1} {:.1}", x * r, y * r));
    format!("M{}Z", places.collect::<Vec<_>>().join("L"))
}

/// The class of a state's colour.
fn class(state: Standing) -> &'static str {
    match state {
        Standing::CannotSpeak | Standing::Silent => "m-bad",
        Standing::NeverHeard => "m-soft",
        Standing::NeedsVisit => "m-warn",
        Standing::Watch | Standing::Fine => "m-good",
    }
}

/// A number that fits into a mark.
fn short(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..10_000 => format!("{}.{}k", number / 1_000, number % 1_000 / 100),
        _ => format!("{}k", number / 1_000),
    }
}

fn drawn(mark: &Mark<'_>) -> Markup {
    let state = mark.worst();
    let is_one = mark.booths.len() == 1;
    let (radius, text) = match is_one {
        true => (SMALL, sign(state).to_owned()),
        false => (LARGE, short(mark.booths.len())),
    };
    html! {
        g transform={ "translate(" (format!("{:.1}", mark.at.0)) " " (format!("{:.1}", mark.at.1)) ")" } {
            title { (mark.said()) }
            path class=(class(state)) d=(outline(state, radius)) {}
            text class="in" y="3.5" text-anchor="middle" { (text) }
        }
    }
}

fn picture(booths: &[&BoothView], whereabouts: &Whereabouts) -> Markup {
    let (width, height) = whereabouts.size;
    html! {
        svg.map viewBox={ "0 0 " (width) " " (format!("{height:.0}")) } role="img" aria-labelledby="map-title map-what" {
            title id="map-title" { "Booths by state" }
            desc id="map-what" { (states(booths)) ". The table beside the map says the same." }
            @for (name, outline) in &whereabouts.areas { path.area d=(outline) { title { (name) } } }
            @for mark in marks(booths, whereabouts) { (drawn(&mark)) }
        }
    }
}

/// What each mark means, for the states that there are.
fn legend(booths: &[&BoothView]) -> Markup {
    let there = Standing::ALL
        .into_iter()
        .filter(|state| number_of(booths, *state) > 0);
    html! {
        ul.legend {
            @for state in there { li {
                svg.map viewBox="-10 -10 20 20" aria-hidden="true" { path class=(class(state)) d=(outline(state, SMALL)) {} text class="in" y="3.5" text-anchor="middle" { (sign(state)) } }
                (state.word())
            } }
            li { "A number: so many booths close together, shown like the worst of them." }
        }
    }
}

/// The map of these booths, the same in a table, and those that have no place; nothing where no booth has one.
pub(super) fn map(booths: &[&BoothView], whereabouts: &Whereabouts) -> Markup {
    let is_placed = |booth: &&&BoothView| whereabouts.booths.contains_key(&booth.booth_id);
    let placed: Vec<&BoothView> = booths.iter().filter(is_placed).copied().collect();
    let elsewhere: Vec<&BoothView> = booths
        .iter()
        .filter(|booth| !is_placed(booth))
        .copied()
        .collect();
    let is_drawn = |booth: &&BoothView| whereabouts.booths[&booth.booth_id].at.is_some();
    let can_be_drawn = placed.iter().any(is_drawn);
    html! {
        @if !placed.is_empty() {
            section aria-labelledby="map" {
                h2 id="map" { "Where they stand" }
                div.beside {
                    @if can_be_drawn {
                        figure { (picture(&placed, whereabouts)) figcaption { (legend(&placed)) } }
                    }
                    div.scroll tabindex="0" {
                        @if placed.len() <= MOST_NAMED { (by_booth(&placed, whereabouts)) } @else { (by_area(&placed, whereabouts)) }
                    }
                }
                @if !elsewhere.is_empty() { (without(&elsewhere)) }
            }
        }
    }
}

fn told(state: Standing) -> Markup {
    html! { (sign(state)) " " (state.word()) }
}

fn by_booth(booths: &[&BoothView], whereabouts: &Whereabouts) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Booth" } th scope="col" { "Place" } th scope="col" { "Area" } th scope="col" { "State" } } }
            tbody { @for booth in booths {
                @let spot = &whereabouts.booths[&booth.booth_id];
                tr {
                    th scope="row" { a href={ (Base::BESIDE.to("booth/")) (booth.booth_id) } { (booth.called()) } }
                    td { (spot.place) }
                    td { (spot.area.as_deref().unwrap_or("–")) @if spot.at.is_none() { div.soft { "not on the map" } } }
                    td { (told(booth.standing())) }
                }
            } }
        }
    }
}

fn by_area(booths: &[&BoothView], whereabouts: &Whereabouts) -> Markup {
    let mut areas: BTreeMap<&str, Vec<&BoothView>> = BTreeMap::new();
    for booth in booths {
        let area = whereabouts.booths[&booth.booth_id].area.as_deref();
        areas
            .entry(area.unwrap_or("in no area"))
            .or_default()
            .push(booth);
    }
    let there: Vec<Standing> = Standing::ALL
        .into_iter()
        .filter(|state| number_of(booths, *state) > 0)
        .collect();
    html! {
        table {
            thead { tr { th scope="col" { "Area" } @for state in &there { th scope="col" { (told(*state)) } } th scope="col" { "All" } } }
            tbody { @for (area, booths) in &areas { tr {
                th scope="row" { (area) }
                @for state in &there { td { (grouped(number_of(booths, *state))) } }
                td { (grouped(booths.len() as u64)) }
            } } }
        }
    }
}

fn without(booths: &[&BoothView]) -> Markup {
    html! {
        h3 { (count(booths.len() as u64, "booth has no place", "booths have no place")) }
        p.soft { "An editor says under Places where a booth stands." }
        ul {
            @for booth in booths.iter().take(MOST_ELSEWHERE) {
                li { a href={ (Base::BESIDE.to("booth/")) (booth.booth_id) } { (booth.called()) } ": " (told(booth.standing())) }
            }
            @if booths.len() > MOST_ELSEWHERE { li { "and " (grouped((booths.len() - MOST_ELSEWHERE) as u64)) " more" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_city::places::Spot;
    use booth_contract::Presence;
    use std::collections::BTreeSet;

    fn booth(id: &str, ready: bool) -> BoothView {
        BoothView {
            heard: true,
            presence: Some(Presence::Online),
            ready: Some(ready),
            ..BoothView::never_heard(id)
        }
    }

    fn at(x: f64, y: f64) -> Spot {
        Spot {
            place: "Torvet".into(),
            area: Some("Midtbyen".into()),
            at: Some((x, y)),
        }
    }

    fn whereabouts(spots: impl IntoIterator<Item = (String, Spot)>) -> Whereabouts {
        Whereabouts {
            size: (400.0, 300.0),
            areas: vec![("Midtbyen".into(), "M0 0h400v300z".into())],
            booths: spots.into_iter().collect(),
        }
    }

    #[test]
    fn each_state_has_a_shape_a_sign_and_a_word_of_its_own() {
        let shapes: BTreeSet<String> = Standing::ALL.map(|state| outline(state, 7.0)).into();
        let signs: BTreeSet<&str> = Standing::ALL.map(sign).into();
        let words: BTreeSet<&str> = Standing::ALL.map(Standing::word).into();
        assert_eq!((shapes.len(), signs.len(), words.len()), (6, 6, 6));
    }

    #[test]
    fn booths_close_together_are_one_mark_like_the_worst_of_them() {
        let fleet = [
            booth("a", true),
            booth("b", false),
            booth("c", true),
            booth("d", true),
        ];
        let booths: Vec<&BoothView> = fleet.iter().collect();
        let places = whereabouts([
            ("a".into(), at(100.0, 100.0)),
            ("b".into(), at(102.0, 101.0)),
            ("c".into(), at(300.0, 200.0)),
        ]);
        let marks = marks(&booths, &places);
        assert_eq!(marks.len(), 2);
        let last = marks.last().expect("a mark");
        assert_eq!(last.worst(), Standing::CannotSpeak);
        assert_eq!(last.said(), "2 booths: 1 cannot take messages, 1 fine");
        assert_eq!(marks[0].said(), "c: fine");
        let page = map(&booths, &places).into_string();
        assert!(page.contains("1 booth has no place") && page.contains("✕ cannot take messages"));
    }

    #[test]
    fn ten_thousand_booths_are_few_marks_and_a_row_for_each_area() {
        let fleet: Vec<BoothView> = (0..10_000)
            .map(|n| booth(&format!("b-{n}"), n % 100 > 0))
            .collect();
        let booths: Vec<&BoothView> = fleet.iter().collect();
        let places = whereabouts((0..10_000).map(|n| {
            let (x, y) = (f64::from(n % 397), f64::from(n % 293));
            (format!("b-{n}"), at(x, y))
        }));
        let page = map(&booths, &places).into_string();
        let marks = page.matches("<g ").count();
        assert!((50..250).contains(&marks), "{marks}");
        assert!(page.len() < 60_000, "{}", page.len());
        assert!(
            page.contains("<td>100</td><td>9,900</td><td>10,000</td>"),
            "{page}"
        );
    }

    #[test]
    fn a_fleet_whose_places_nobody_has_said_has_no_map() {
        let fleet = [booth("a", true)];
        let booths: Vec<&BoothView> = fleet.iter().collect();
        assert_eq!(map(&booths, &Whereabouts::default()).into_string(), "");
        // A place without a position is in the table alone.
        let spot = Spot {
            at: None,
            ..at(0.0, 0.0)
        };
        let page = map(&booths, &whereabouts([("a".into(), spot)])).into_string();
        assert!(
            !page.contains("<svg") && page.contains("not on the map"),
            "{page}"
        );
    }

    #[test]
    fn numbers_fit_into_a_mark() {
        let shown = [2, 999, 1_000, 1_250, 10_000, 12_345].map(short);
        assert_eq!(shown, ["2", "999", "1.0k", "1.2k", "10k", "12k"]);
    }
}
