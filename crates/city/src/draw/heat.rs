//! A heat map: columns and rows of cells, each with its number.

use super::pen::{Anchor, INK, SOFT, on_step, step};
use super::{Amount, Pen, Tongue, step_of};

/// What is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Heat {
    /// The columns' names, short.
    pub(crate) columns: Vec<String>,
    /// The rows' names, short.
    pub(crate) rows: Vec<String>,
    /// The cells of each row.
    pub(crate) cells: Vec<Vec<Amount>>,
}

const WIDTH: f64 = 400.0;
const LEFT: f64 = 62.0;
const ROW: f64 = 27.0;
const TOP: f64 = 22.0;

/// Draws it.
pub(crate) fn heat(heat: &Heat, tongue: &Tongue) -> (Pen, f64) {
    let mut pen = Pen::new(WIDTH, tongue);
    let most = heat.cells.iter().flatten().map(|cell| cell.drawn()).max();
    let most = most.unwrap_or(0) as f64;
    let wide = (WIDTH - LEFT) / heat.columns.len().max(1) as f64;
    for (at, name) in heat.columns.iter().enumerate() {
        let x = LEFT + (at as f64 + 0.5) * wide;
        pen.text(SOFT, (x, 15.0), Anchor::Middle, 13.0, name);
    }
    for (row, (name, cells)) in heat.rows.iter().zip(&heat.cells).enumerate() {
        let y = TOP + row as f64 * ROW;
        pen.text(SOFT, (LEFT - 8.0, y + 18.0), Anchor::End, 12.5, name);
        for (column, amount) in cells.iter().enumerate() {
            let x = LEFT + column as f64 * wide;
            let place = (x + 1.0, y + 1.0, wide - 2.0, ROW - 2.0);
            let middle = (x + wide / 2.0, y + 18.0);
            match amount {
                Amount::Few => {
                    pen.rect(step(0), place, "");
                    pen.text(SOFT, middle, Anchor::Middle, 12.0, "\u{b7}");
                }
                Amount::Number(number) => {
                    let grade = step_of(*number as f64, most);
                    pen.rect(step(grade), place, "");
                    if *number > 0 {
                        let said = tongue.number(*number);
                        pen.text(on_step(grade), middle, Anchor::Middle, 12.0, &said);
                    }
                }
            }
        }
    }
    let bottom = TOP + heat.rows.len() as f64 * ROW;
    pen.text(
        SOFT,
        (LEFT + 8.0, bottom + 19.0),
        Anchor::Middle,
        14.0,
        "\u{b7}",
    );
    pen.text(
        INK,
        (LEFT + 18.0, bottom + 19.0),
        Anchor::Start,
        12.5,
        &tongue.few,
    );
    (pen, bottom + 26.0)
}
