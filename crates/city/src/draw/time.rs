//! What changes over time: columns, one above the other by where messages came from, and small ones of the same width below each other.

use super::pen::{Anchor, BAR, INK, Look, SOFT, cut};
use super::{Amount, Pen, Tongue};

const WIDTH: f64 = 400.0;
const LEFT: f64 = 52.0;
const HIGH: f64 = 150.0;
const TOP: f64 = 14.0;

/// One part of each column.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// What it is.
    pub(crate) name: String,
    /// Its look: the class and the colour on paper.
    pub(crate) look: (&'static str, &'static str),
    /// Its value in each span of time.
    pub(crate) values: Vec<Amount>,
}

/// A row of small columns.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// What it is.
    pub(crate) name: String,
    /// Its value in each span of time.
    pub(crate) values: Vec<Amount>,
}

/// A round number not below this one.
fn ceiling(most: u64) -> u64 {
    let mut unit = 1;
    loop {
        for factor in [1, 2, 5] {
            if unit * factor >= most.max(4) {
                return unit * factor;
            }
        }
        unit *= 10;
    }
}

/// Which spans get a name: the first one of each that is not too close to the one before.
fn named(spans: &[String], wide: f64, room: f64) -> Vec<usize> {
    let mut named: Vec<usize> = Vec::new();
    for (at, name) in spans.iter().enumerate() {
        let is_free = named
            .last()
            .is_none_or(|last| (at - last) as f64 * wide >= room);
        if !name.is_empty() && is_free {
            named.push(at);
        }
    }
    named
}

/// Columns of layers, with a legend. `spans` names each span of time, or is empty where no name is to stand.
pub(crate) fn columns(spans: &[String], layers: &[Layer], tongue: &Tongue) -> (Pen, f64) {
    let mut pen = Pen::new(WIDTH, tongue);
    let sum = |at: usize| -> u64 { layers.iter().map(|layer| layer.values[at].drawn()).sum() };
    let top = ceiling((0..spans.len()).map(sum).max().unwrap_or(0));
    let base = TOP + HIGH;
    for part in [0.0, 0.5, 1.0] {
        let y = base - part * HIGH;
        pen.line((LEFT, y), (WIDTH, y));
        let value = (part * top as f64) as u64;
        pen.text(
            SOFT,
            (LEFT - 5.0, y + 4.0),
            Anchor::End,
            11.5,
            &tongue.number(value),
        );
    }
    let wide = (WIDTH - LEFT) / spans.len().max(1) as f64;
    let gap = if wide > 5.0 { 1.0 } else { wide * 0.15 };
    for at in 0..spans.len() {
        let mut y = base;
        for layer in layers {
            let high = layer.values[at].drawn() as f64 / top as f64 * HIGH;
            if high > 0.0 {
                let x = LEFT + at as f64 * wide;
                let look = Look(layer.look.0, layer.look.1);
                pen.rect(look, (x + gap, y - high, wide - 2.0 * gap, high), "");
                y -= high;
            }
        }
    }
    for at in named(spans, wide, 78.0) {
        let x = LEFT + at as f64 * wide;
        pen.text(SOFT, (x, base + 17.0), Anchor::Start, 11.5, &spans[at]);
    }
    let mut y = base + 40.0;
    for pair in layers.chunks(2) {
        for (layer, x) in pair.iter().zip([LEFT, LEFT + 180.0]) {
            pen.rect(
                Look(layer.look.0, layer.look.1),
                (x, y - 11.0, 13.0, 13.0),
                "",
            );
            pen.text(
                INK,
                (x + 20.0, y),
                Anchor::Start,
                13.0,
                &cut(&layer.name, 22),
            );
        }
        y += 21.0;
    }
    (pen, y - 8.0)
}

/// Small columns, one row for each series, all to the same scale.
pub(crate) fn small_multiples(spans: &[String], series: &[Series], tongue: &Tongue) -> (Pen, f64) {
    const ROW: f64 = 58.0;
    let mut pen = Pen::new(WIDTH, tongue);
    let all = series.iter().flat_map(|one| &one.values);
    let most = all.map(|value| value.drawn()).max().unwrap_or(0).max(1);
    let wide = WIDTH / spans.len().max(1) as f64;
    for (row, one) in series.iter().enumerate() {
        let base = row as f64 * ROW + 52.0;
        pen.text(
            INK,
            (0.0, base - 37.0),
            Anchor::Start,
            13.5,
            &cut(&one.name, 44),
        );
        let highest = one
            .values
            .iter()
            .map(|value| value.drawn())
            .max()
            .unwrap_or(0);
        let said = tongue.number(highest);
        pen.text(
            SOFT,
            (WIDTH, base - 37.0),
            Anchor::End,
            12.0,
            &format!("\u{25b2} {said}"),
        );
        pen.line((0.0, base), (WIDTH, base));
        for (at, value) in one.values.iter().enumerate() {
            let x = at as f64 * wide;
            let gap = (wide * 0.1).min(2.0);
            match value {
                Amount::Few | Amount::Number(0) => {}
                Amount::Number(number) => {
                    let high = *number as f64 / most as f64 * 32.0;
                    pen.rect(BAR, (x + gap, base - high, wide - 2.0 * gap, high), "");
                }
            }
        }
    }
    let bottom = series.len() as f64 * ROW + 14.0;
    for at in named(spans, wide, 78.0) {
        pen.text(
            SOFT,
            (at as f64 * wide, bottom),
            Anchor::Start,
            11.5,
            &spans[at],
        );
    }
    (pen, bottom + 6.0)
}
