//! The table beside a graphic, as HTML and as CSV (RFC 4180).
//!
//! Owns: both forms of the same cells. Never does: round differently in one than in the other but for the language's signs.

use maud::{Markup, html};

use super::{Amount, Tongue};

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// A text.
    Text(String),
    /// A text that leads to a page, by its relative address.
    Link(String, String),
    /// A number of messages or votes.
    Amount(Amount),
    /// A number with a decimal, or nothing where it is not known.
    Rate(Option<f64>),
}

/// A table whose first column says what each row is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Table {
    /// What it shows.
    pub(crate) caption: String,
    /// The columns.
    pub(crate) head: Vec<String>,
    /// The rows, each as long as the head.
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The table within a page.
    pub(crate) fn html(&self, tongue: &Tongue) -> Markup {
        let is_number = |column: usize| {
            let cell = self.rows.first().and_then(|row| row.get(column));
            !matches!(cell, None | Some(Cell::Text(_) | Cell::Link(..)))
        };
        html! {
            // Reached by the keyboard, because it can be wider than a telephone.
            div class="scroll" tabindex="0" role="region" aria-label=(self.caption) {
                table {
                    caption { (self.caption) }
                    thead {
                        tr {
                            @for (column, name) in self.head.iter().enumerate() {
                                th scope="col" class=[is_number(column).then_some("n")] { (name) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (column, cell) in row.iter().enumerate() {
                                    @if column == 0 {
                                        th scope="row" { (shown(cell, tongue)) }
                                    } @else {
                                        td class=[is_number(column).then_some("n")] { (shown(cell, tongue)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The table as a file: numbers with a point and without signs between thousands, and `<5` for what is too little to be said.
    ///
    /// # Errors
    /// None in memory; the writer's own.
    pub(crate) fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.head.iter().map(|name| harmless(name)))?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|cell| match cell {
                Cell::Text(text) | Cell::Link(text, _) => harmless(text),
                Cell::Amount(Amount::Number(number)) => number.to_string(),
                Cell::Amount(Amount::Few) => "<5".into(),
                Cell::Rate(Some(rate)) if *rate < 1.0 => format!("{rate:.2}"),
                Cell::Rate(Some(rate)) => format!("{rate:.1}"),
                Cell::Rate(None) => String::new(),
            }))?;
        }
        writer
            .into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    }
}

/// A cell that no spreadsheet takes for a formula: what begins like one gets an apostrophe before it.
pub fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn shown(cell: &Cell, tongue: &Tongue) -> Markup {
    html! {
        @match cell {
            Cell::Text(text) => { bdi { (text) } },
            Cell::Link(text, address) => { a href=(address) { bdi { (text) } } },
            Cell::Amount(amount) => { (tongue.amount(*amount)) },
            Cell::Rate(Some(rate)) => { (tongue.rate(*rate)) },
            Cell::Rate(None) => { span aria-hidden="true" { "–" } },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_formula_is_none_in_the_file() {
        let table = Table {
            caption: "x".into(),
            head: vec!["a".into(), "b".into()],
            rows: vec![
                vec![Cell::Text("=1+1".into()), Cell::Amount(Amount::Few)],
                vec![Cell::Text("a, \"b\"".into()), Cell::Rate(Some(1.25))],
            ],
        };
        let csv = String::from_utf8(table.csv().expect("written")).expect("text");
        assert_eq!(csv, "a,b\n'=1+1,<5\n\"a, \"\"b\"\"\",1.2\n");
    }
}
