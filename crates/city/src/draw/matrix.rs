//! A matrix: rows with long names, columns by a number whose name stands below.

use super::pen::{Anchor, INK, SOFT, cut, on_step, step};
use super::{Amount, Pen, Tongue, step_of};

/// What is drawn.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    /// The columns' names; they stand below, and their numbers above.
    pub(crate) columns: Vec<String>,
    /// The rows' names.
    pub(crate) rows: Vec<String>,
    /// The cells of each row.
    pub(crate) cells: Vec<Vec<Amount>>,
}

const WIDTH: f64 = 400.0;
const LEFT: f64 = 136.0;
const ROW: f64 = 28.0;
const TOP: f64 = 24.0;

/// Draws it.
pub(crate) fn matrix(matrix: &Matrix, tongue: &Tongue) -> (Pen, f64) {
    let mut pen = Pen::new(WIDTH, tongue);
    let most = matrix.cells.iter().flatten().map(|cell| cell.drawn()).max();
    let most = most.unwrap_or(0) as f64;
    let wide = ((WIDTH - LEFT) / matrix.columns.len().max(1) as f64).min(66.0);
    for at in 0..matrix.columns.len() {
        let x = LEFT + (at as f64 + 0.5) * wide;
        pen.bold(
            INK,
            (x, 16.0),
            Anchor::Middle,
            13.0,
            &tongue.number(at as u64 + 1),
        );
    }
    for (row, (name, cells)) in matrix.rows.iter().zip(&matrix.cells).enumerate() {
        let y = TOP + row as f64 * ROW;
        pen.text(
            INK,
            (LEFT - 8.0, y + 19.0),
            Anchor::End,
            13.0,
            &cut(name, 18),
        );
        for (column, amount) in cells.iter().enumerate() {
            let x = LEFT + column as f64 * wide;
            let place = (x + 1.0, y + 1.0, wide - 2.0, ROW - 2.0);
            let middle = (x + wide / 2.0, y + 19.0);
            match amount {
                Amount::Few => {
                    pen.rect(step(0), place, "");
                    pen.text(SOFT, middle, Anchor::Middle, 12.5, "\u{b7}");
                }
                Amount::Number(number) => {
                    let grade = step_of(*number as f64, most);
                    pen.rect(step(grade), place, "");
                    if *number > 0 {
                        let said = tongue.number(*number);
                        pen.text(on_step(grade), middle, Anchor::Middle, 12.5, &said);
                    }
                }
            }
        }
    }
    let mut y = TOP + matrix.rows.len() as f64 * ROW + 18.0;
    for (at, name) in matrix.columns.iter().enumerate() {
        let number = tongue.number(at as u64 + 1);
        pen.bold(INK, (LEFT - 8.0, y), Anchor::End, 13.0, &number);
        pen.text(INK, (LEFT + 2.0, y), Anchor::Start, 13.0, &cut(name, 36));
        y += 19.0;
    }
    pen.text(SOFT, (LEFT - 12.0, y + 1.0), Anchor::Middle, 14.0, "\u{b7}");
    pen.text(
        SOFT,
        (LEFT + 2.0, y + 1.0),
        Anchor::Start,
        12.5,
        &tongue.few,
    );
    (pen, y + 10.0)
}
