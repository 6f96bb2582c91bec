//! Graphics: numbers in, SVG markup and a table out. Pure.
//!
//! Owns: how a number looks. Never does: ask the database, or know a language; whoever draws brings the words. Every graphic has a title, a
//! sentence that says what it counts, and a table with the same numbers ([`Table`]). Colour is never alone: each cell, bar and area also
//! has its number, its pattern or its place in the table.
//!
//! A graphic is complete by its attributes, so that a downloaded file looks the same everywhere; the pages' style sheet changes the colours
//! by class, for dark screens. Attributes of style are not used, because the pages' policy forbids them.

mod bars;
mod heat;
mod map;
mod matrix;
mod path;
mod pen;
mod table;
mod time;

pub(crate) use bars::{Bar, bars};
pub(crate) use heat::{Heat, heat};
pub(crate) use map::{Coat, Ground, MapArea, MapWords, Pin, Shape, map, shape_of};
pub(crate) use matrix::{Matrix, matrix};
pub(crate) use path::{Step, path};
pub(crate) use pen::Pen;
pub use table::harmless;
pub(crate) use table::{Cell, Table};
pub(crate) use time::{Layer, Series, columns, small_multiples};

use maud::{Markup, PreEscaped, html};

use crate::small_cells;

/// A number of people's messages or votes, as the public may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// So many, as it is shown.
    Number(u64),
    /// Nobody, or too few to be said.
    Few,
}

impl Amount {
    /// A count by the rule of [`small_cells`].
    pub(crate) fn of(count: u64) -> Self {
        match count < small_cells::LEAST {
            true => Self::Few,
            false => Self::Number(small_cells::shown(count)),
        }
    }

    /// The number for a bar's length; what is not said is drawn as nothing.
    pub(crate) fn drawn(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Few => 0,
        }
    }
}

/// What a graphic must be told about a language.
#[derive(Debug, Clone)]
pub(crate) struct Tongue {
    /// Its tag, e.g. `da`.
    pub(crate) language: String,
    /// Written from right to left.
    pub(crate) is_rtl: bool,
    /// What stands between thousands.
    pub(crate) thousands: String,
    /// What stands before decimals.
    pub(crate) decimal: String,
    /// "fewer than 5", short.
    pub(crate) few: String,
}

impl Tongue {
    /// A whole number.
    pub(crate) fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let mut said = String::with_capacity(digits.len() + 4);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                said.push_str(&self.thousands);
            }
            said.push(digit);
        }
        said
    }

    /// A number with one decimal, or two below one.
    pub(crate) fn rate(&self, rate: f64) -> String {
        let parts = if rate < 1.0 { 100 } else { 10 };
        let all = (rate * f64::from(parts)).round().max(0.0) as u64;
        let (whole, part) = (all / u64::from(parts as u8), all % u64::from(parts as u8));
        let width = if parts == 100 { 2 } else { 1 };
        format!("{}{}{part:0width$}", self.number(whole), self.decimal)
    }

    /// An amount.
    pub(crate) fn amount(&self, amount: Amount) -> String {
        match amount {
            Amount::Number(number) => self.number(number),
            Amount::Few => self.few.clone(),
        }
    }
}

/// A finished graphic.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// Its name in addresses and in the ids of its parts.
    pub(crate) name: &'static str,
    /// What it shows.
    pub(crate) title: String,
    /// What it counts.
    pub(crate) description: String,
    /// The same as a table.
    pub(crate) table: Table,
    width: f64,
    height: f64,
    body: String,
    tongue: Tongue,
}

impl Chart {
    /// What the pen has drawn, with its words.
    pub(crate) fn new(
        name: &'static str,
        title: String,
        description: String,
        table: Table,
        pen: Pen,
        height: f64,
    ) -> Self {
        let (width, body, tongue) = pen.done();
        Self {
            name,
            title,
            description,
            table,
            width,
            height,
            body,
            tongue,
        }
    }

    /// The picture within a page.
    pub(crate) fn svg(&self) -> Markup {
        self.markup(false)
    }

    /// The picture as a file of its own, on white.
    pub(crate) fn file(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
            self.markup(true).into_string()
        )
    }

    fn markup(&self, is_file: bool) -> Markup {
        let (title, description) = (format!("{}-t", self.name), format!("{}-d", self.name));
        let direction = if self.tongue.is_rtl { "rtl" } else { "ltr" };
        let view = format!("0 0 {} {}", pen::short(self.width), pen::short(self.height));
        html! {
            svg viewBox=(view) role="img" aria-labelledby=(format!("{title} {description}")) direction=(direction)
                xml:lang=[is_file.then_some(&self.tongue.language)] lang=[(!is_file).then_some(&self.tongue.language)]
                xmlns=[is_file.then_some("http://www.w3.org/2000/svg")]
                font-family="system-ui, sans-serif"
                width=[is_file.then(|| pen::short(self.width * 2.0))] height=[is_file.then(|| pen::short(self.height * 2.0))] {
                title id=(title) { (self.title) }
                desc id=(description) { (self.description) }
                @if is_file { (PreEscaped("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>")) }
                (PreEscaped(&self.body))
            }
        }
    }
}

/// Which of five steps of colour a value has, 0 to 4; 0 is nothing at all.
pub(crate) fn step_of(value: f64, most: f64) -> u8 {
    if value <= 0.0 || most <= 0.0 {
        return 0;
    }
    ((value / most * 4.0).ceil() as u8).clamp(1, 4)
}

/// The colours of the steps, on paper.
pub(crate) const STEPS: [&str; 5] = ["#f3e9e2", "#eec2b6", "#de8a7c", "#c5434a", "#8a0f22"];

/// The colour of letters on each step, on paper.
pub(crate) const ON_STEPS: [&str; 5] = ["#1f1b18", "#1f1b18", "#1f1b18", "#fff", "#fff"];
