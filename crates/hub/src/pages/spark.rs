//! A small picture of how one value went: a band from the least to the greatest, and a line at the mean.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::course::{Range, Span};

/// The picture's size, in its own units.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 36.0;
/// Room above and below the line.
const MARGIN: f64 = 3.0;

/// A greater value is none: no booth measures it, and no picture has room for it.
const GREATEST: f64 = 1e15;

/// The picture of these points, the oldest first; nothing where there is none. A time without a point is a gap in it.
pub(super) fn spark(name: &str, span: Span, now: i64, points: &[(i64, Range)]) -> Markup {
    let is_value = |value: f64| value.abs() < GREATEST;
    let points: Vec<(i64, Range)> = points
        .iter()
        .filter(|(_, range)| {
            [range.least, range.most, range.mean]
                .into_iter()
                .all(is_value)
        })
        .copied()
        .collect();
    let (Some(least), Some(most)) = (
        points.iter().map(|(_, range)| range.least).reduce(f64::min),
        points.iter().map(|(_, range)| range.most).reduce(f64::max),
    ) else {
        return html! { span.soft { "nothing noted" } };
    };
    let from = now - span.seconds();
    // The first point began a little before the picture does.
    let x = |at: i64| (at - from).max(0) as f64 / span.seconds() as f64 * WIDTH;
    let height = most - least;
    let y = |value: f64| match height > 0.0 {
        true => HEIGHT - MARGIN - (value - least) / height * (HEIGHT - 2.0 * MARGIN),
        false => HEIGHT / 2.0,
    };
    let (mut band, mut mean) = (String::new(), String::new());
    for run in points.chunk_by(|(a, _), (b, _)| b - a <= span.step() * 3 / 2) {
        let end = |at: i64| x((at + span.step()).min(now));
        let Some((last, last_range)) = run.last() else {
            continue;
        };
        let over = run.iter().map(|(at, range)| (x(*at), range.most));
        let over = over.chain([(end(*last), last_range.most)]);
        let under = run.iter().rev().map(|(at, range)| (x(*at), range.least));
        let under = [(end(*last), last_range.least)].into_iter().chain(under);
        path(&mut band, over.chain(under).map(|(x, value)| (x, y(value))));
        band.push('Z');
        let line = run.iter().map(|(at, range)| (x(*at), range.mean));
        let line = line.chain([(end(*last), last_range.mean)]);
        path(&mut mean, line.map(|(x, value)| (x, y(value))));
    }
    let said = format!(
        "{name}, the last {}: from {} to {}, at last {}",
        words(span),
        number(least),
        number(most),
        number(points.last().map_or(least, |(_, range)| range.mean))
    );
    html! {
        svg.spark viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(said) {
            title { (said) }
            path.band d=(band) {}
            path.mean d=(mean) vector-effect="non-scaling-stroke" {}
        }
        div.soft { (number(least)) @if height > 0.0 { " – " (number(most)) } }
    }
}

/// A span in words.
pub(super) fn words(span: Span) -> &'static str {
    match span {
        Span::Day => "24 hours",
        Span::Week => "7 days",
        Span::Quarter => "90 days",
    }
}

/// A number as short as it can be read: whole numbers whole, others with at most two places.
pub(super) fn number(value: f64) -> String {
    if value.abs() >= GREATEST {
        return format!("{value:e}");
    }
    let value = if value.abs() >= 100.0 {
        value.round()
    } else {
        value
    };
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

fn path(into: &mut String, points: impl Iterator<Item = (f64, f64)>) {
    for (n, (x, y)) in points.enumerate() {
        let _ = write!(into, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: f64) -> Range {
        Range {
            least: value - 1.0,
            most: value + 1.0,
            mean: value,
        }
    }

    #[test]
    fn a_gap_in_what_was_said_is_a_gap_in_the_picture_and_nothing_leaves_it() {
        let now = 1_000_000_000;
        let day: Vec<(i64, Range)> = (0..288)
            .filter(|n| !(100..120).contains(n))
            .map(|n| (now - 86_400 + n * 300, at(40.0 + (n % 7) as f64)))
            .collect();
        let drawn = spark("cpu_temp_c", Span::Day, now, &day).into_string();
        let mean = drawn.split("class=\"mean\" d=\"").nth(1).expect("a line");
        let mean = mean.split('"').next().expect("its end");
        assert_eq!(mean.matches('M').count(), 2, "{mean}");
        for pair in mean.split(['M', 'L']).filter(|pair| !pair.is_empty()) {
            let (x, y) = pair.split_once(' ').expect("two numbers");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!(
                (0.0..=WIDTH).contains(&x) && (0.0..=HEIGHT).contains(&y),
                "{pair}"
            );
        }
        assert!(drawn.contains("from 39 to 47, at last 40"), "{drawn}");
        let flat = spark("ready", Span::Week, now, &[(now - 7_200, at(0.0))]).into_string();
        assert!(!flat.contains("NaN"), "{flat}");
        // What a booth invents costs its own point.
        let mut invented = day.clone();
        for (n, value) in [(3, f64::MAX), (4, -f64::MAX), (5, f64::INFINITY)] {
            invented[n].1 = at(value);
        }
        invented[6].1.mean = f64::NAN;
        invented[0].0 -= 200;
        let drawn = spark("cpu_temp_c", Span::Day, now, &invented).into_string();
        assert!(
            !drawn.contains("NaN") && !drawn.contains("inf") && !drawn.contains("M-"),
            "{drawn}"
        );
        assert!(drawn.contains("from 39 to 47"), "{drawn}");
        let nothing = spark("ready", Span::Week, now, &[]).into_string();
        assert!(nothing.contains("nothing noted"));
    }

    #[test]
    fn numbers_are_short_and_whole_where_they_are_whole() {
        for (value, text) in [
            (0.0, "0"),
            (-0.001, "0"),
            (1.0, "1"),
            (41.25, "41.25"),
            (41.2, "41.2"),
            (123.6, "124"),
            (-67.0, "-67"),
            (1_234_567.0, "1234567"),
            (-2.5e300, "-2.5e300"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
