//! Ranked bars: each with its name above it and its number behind it.

use super::pen::{Anchor, BAR, INK, REST, SOFT, cut};
use super::{Amount, Pen, Tongue};

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    /// What it counts.
    pub(crate) name: String,
    /// How much.
    pub(crate) amount: Amount,
    /// What else stands behind the number, e.g. a share.
    pub(crate) beside: String,
}

const WIDTH: f64 = 400.0;
const ROW: f64 = 44.0;

/// Draws them from the top in their order.
pub(crate) fn bars(bars: &[Bar], tongue: &Tongue) -> (Pen, f64) {
    let mut pen = Pen::new(WIDTH, tongue);
    pen.hatch("few-bars");
    let most = bars.iter().map(|bar| bar.amount.drawn()).max().unwrap_or(0);
    for (at, bar) in bars.iter().enumerate() {
        let top = at as f64 * ROW;
        pen.text(
            INK,
            (0.0, top + 15.0),
            Anchor::Start,
            15.0,
            &cut(&bar.name, 50),
        );
        let room = WIDTH - 96.0;
        let said = tongue.amount(bar.amount);
        pen.rect(REST, (0.0, top + 21.0, room, 14.0), "");
        match bar.amount {
            Amount::Number(number) if most > 0 => {
                let length = (number as f64 / most as f64 * room).max(2.0);
                pen.rect(BAR, (0.0, top + 21.0, length, 14.0), "");
            }
            Amount::Number(_) => {}
            Amount::Few => pen.hatched("few-bars", (0.0, top + 21.0, 24.0, 14.0), ""),
        }
        pen.bold(INK, (room + 8.0, top + 34.0), Anchor::Start, 15.0, &said);
        if !bar.beside.is_empty() {
            pen.text(SOFT, (WIDTH, top + 34.0), Anchor::End, 12.0, &bar.beside);
        }
    }
    (pen, bars.len() as f64 * ROW)
}
