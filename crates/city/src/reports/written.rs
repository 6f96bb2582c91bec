//! A report as HTML and as CSV.

use maud::{Markup, html};

use super::blocks::Block;
use crate::draw::harmless;
use crate::store::CityError;

/// The blocks as HTML, within a `main`.
pub(super) fn html_of(blocks: &[Block]) -> Markup {
    html! {
        @for block in blocks {
            @match block {
                Block::Title(text) => { h1 { (text) } },
                Block::Heading(text) => { h2 { (text) } },
                Block::Smaller(text) => { h3 { (text) } },
                Block::Text(text) => { @for line in text.lines().filter(|line| !line.trim().is_empty()) { p { (line) } } },
                Block::Quote { words: Some(words), about } => { blockquote dir="auto" { p { (words) } footer { (about) } } },
                Block::Quote { words: None, about } => { p.note { em { (about) } } },
                Block::Table { name, head, rows } => {
                    div.wide tabindex="0" role="region" aria-label=(name) { table {
                        caption { (name) }
                        thead { tr { @for cell in head { th scope="col" { (cell) } } } }
                        tbody { @for row in rows { tr { @for (at, cell) in row.iter().enumerate() {
                            @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                        } } } }
                    } }
                },
            }
        }
    }
}

/// The report as one table: the table's name, the row, the column and the value. Quotations are rows, too.
pub(super) fn csv_of(blocks: &[Block]) -> Result<Vec<u8>, CityError> {
    let unwritten = |why: String| CityError::Failed(format!("it cannot be written: {why}"));
    let mut csv = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    let mut put = |row: [&str; 4]| {
        csv.write_record(row.map(harmless))
            .map_err(|why| unwritten(why.to_string()))
    };
    put(["section", "row", "column", "value"])?;
    let mut section = String::new();
    for block in blocks {
        match block {
            Block::Title(text) => put(["title", "", "", text])?,
            Block::Heading(text) | Block::Smaller(text) => section.clone_from(text),
            Block::Text(text) => put([&section, "", "", text])?,
            Block::Quote { words, about } => {
                put([&section, about, "", words.as_deref().unwrap_or_default()])?;
            }
            Block::Table { name, head, rows } => {
                for row in rows {
                    let Some((first, cells)) = row.split_first() else {
                        continue;
                    };
                    for (column, cell) in head.iter().skip(1).zip(cells) {
                        put([name, first, column, cell])?;
                    }
                }
            }
        }
    }
    csv.into_inner()
        .map_err(|why| unwritten(why.error().to_string()))
}
