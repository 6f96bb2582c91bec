//! The path of a campaign: one station below the other, each with its number; where the path has not come to, the line is dashed.

use super::pen::{Anchor, BAR, INK, REST, SOFT, cut};
use super::{Pen, Tongue};

/// One station.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Its name.
    pub(crate) name: String,
    /// Its number, as it is said.
    pub(crate) number: String,
    /// What the number counts.
    pub(crate) counts: String,
    /// How much of the first station is left here, 0 to 1, where both count the same.
    pub(crate) share: Option<f64>,
    /// Whether the campaign has come here.
    pub(crate) is_reached: bool,
}

const WIDTH: f64 = 400.0;
const ROW: f64 = 72.0;
const LINE: f64 = 20.0;

/// Draws them from the top.
pub(crate) fn path(steps: &[Step], tongue: &Tongue) -> (Pen, f64) {
    let mut pen = Pen::new(WIDTH, tongue);
    for (at, pair) in steps.windows(2).enumerate() {
        let y = at as f64 * ROW + 20.0;
        pen.way(
            (LINE, y + 12.0),
            (LINE, y + ROW - 12.0),
            !pair[1].is_reached,
        );
    }
    for (at, step) in steps.iter().enumerate() {
        let y = at as f64 * ROW + 20.0;
        pen.disc((LINE, y), 11.0, step.is_reached);
        pen.bold(
            INK,
            (48.0, y + 6.0),
            Anchor::Start,
            17.0,
            &cut(&step.name, 24),
        );
        pen.bold(INK, (WIDTH, y + 8.0), Anchor::End, 24.0, &step.number);
        pen.text(
            SOFT,
            (48.0, y + 25.0),
            Anchor::Start,
            13.0,
            &cut(&step.counts, 48),
        );
        if let Some(share) = step.share {
            let room = WIDTH - 48.0;
            pen.rect(REST, (48.0, y + 32.0, room, 6.0), "");
            pen.rect(BAR, (48.0, y + 32.0, share.clamp(0.0, 1.0) * room, 6.0), "");
        }
    }
    (pen, steps.len() as f64 * ROW - 10.0)
}
