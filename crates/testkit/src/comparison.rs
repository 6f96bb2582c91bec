//! What a run of `make compare` has found: its tables as docs/comparison.md shows them, and the picture of the main rows.
//!
//! Owns: which of two figures is the better one, the reason beside each row that the project loses, and the drawing. Never does: measure.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub machine: String,
    pub date: String,
    /// Of which state of the repository the programs were.
    pub commit: String,
    pub tables: Vec<Table>,
}

/// Figures of several programs at one work; the first column is ours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub id: String,
    pub heading: String,
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub figure: String,
    pub better: Better,
    pub cells: Vec<Cell>,
}

/// Which of two numbers is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Lower,
    Higher,
    /// It says how large the work was.
    Neither,
}

/// A number, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    Number(f64),
    Words(String),
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or_else(|| Cell::Words("–".into()), Cell::Number)
    }
}

impl Cell {
    /// As it is shown: three digits that count.
    pub fn text(&self) -> String {
        match self {
            Cell::Words(words) => words.clone(),
            Cell::Number(number) if number.fract() == 0.0 || number.abs() >= 100.0 => {
                format!("{number:.0}")
            }
            Cell::Number(number) if number.abs() >= 10.0 => format!("{number:.1}"),
            Cell::Number(number) => format!("{number:.2}"),
        }
    }

    /// The number that is shown.
    fn shown(&self) -> Option<f64> {
        match self {
            Cell::Words(_) => None,
            Cell::Number(_) => self.text().parse().ok(),
        }
    }
}

/// Why a row is lost where it is lost.
const REASONS: [(&str, &str); 11] = [
    (
        "messages or clips that came behind a later one",
        "meant so: of more than eight that wait every second one is the newest, so that what is said today is not stuck behind last week (contract §3.4)",
    ),
    (
        "bytes written for each byte of a clip, as the kernel counts",
        "half a second is durable at a time, so each page of 4 KiB is written for some 1.5 kB of speech, and once more when the clip is confirmed; a bridge gets a finished clip in messages of 15 kB",
    ),
    (
        "bytes written to the card for each byte of a clip, with the file system's own",
        "the same: two syncs a second, and ext4's journal with each",
    ),
    (
        "from the centre's return to the first clip or message, s",
        "the pause between two tries grows while the centre is away, with chance in it, so that a city's booths do not all come at once; a hub that has just started opens its store first",
    ),
    (
        "from the first to the last, s",
        "each clip is offered, hashed, synced by the hub, answered, overwritten on the card and let go, and a clip of 20 s is small for that; a bridge forgets a message as soon as the next broker has it in memory. Clips of a minute leave at 163 MB/s on a quiet machine (docs/reliability.md)",
    ),
    (
        "drain, MB/s",
        "each clip is offered, hashed, synced by the hub, answered, overwritten on the card and let go, and a clip of 20 s is small for that; a bridge forgets a message as soon as the next broker has it in memory. Clips of a minute leave at 163 MB/s on a quiet machine (docs/reliability.md)",
    ),
    (
        "most resident memory, MiB",
        "the program has the sound card's library, Opus, TLS and the ledger in it, and it knows of each clip what its manifest says",
    ),
    (
        "CPU, s a minute, threads of the recorder",
        "it looks for a voice, takes levels, seals, and syncs the card twice a second beside encoding",
    ),
    (
        "CPU, s a minute, everything, the sound card's stand-in included",
        "the stand-in's plug-in says *ready* before a period is there, and the library that the gateway uses for ALSA asks again and again meanwhile; a kernel sound card does not (docs/sound.md)",
    ),
    (
        "resident memory, MiB",
        "the gateway is the whole booth: prompts, earpiece, spool, delivery, TLS",
    ),
    (
        "speech lost at kill -9, s, most",
        "what is not yet half a second is in memory, so that the card lives longer",
    ),
];

impl Row {
    /// Whether somebody else's number is the better one.
    pub fn is_lost(&self) -> bool {
        let Some(ours) = self.cells.first().and_then(Cell::shown) else {
            return false;
        };
        let mut others = self.cells.iter().skip(1).filter_map(Cell::shown);
        others.any(|other| match self.better {
            Better::Lower => other < ours,
            Better::Higher => other > ours,
            Better::Neither => false,
        })
    }

    /// The reason that stands beside it.
    pub fn reason(&self) -> &'static str {
        let known = REASONS.iter().find(|(figure, _)| *figure == self.figure);
        known.map_or("", |(_, reason)| reason)
    }
}

impl Table {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n| figure |", self.heading);
        for column in &self.columns {
            let _ = write!(text, " {column} |");
        }
        text += " where we lose, and why |\n|";
        text += &" --- |".repeat(self.columns.len() + 2);
        text.push('\n');
        for row in &self.rows {
            let _ = write!(text, "| {} |", row.figure);
            for cell in &row.cells {
                let _ = write!(text, " {} |", cell.text());
            }
            let why = match row.is_lost() {
                true => row.reason(),
                false => "",
            };
            let _ = writeln!(text, " {why} |");
        }
        text
    }

    fn row(&self, figure: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.figure == figure)
    }
}

/// What the picture shows: table, figure, and its title.
const PANELS: [(&str, &str, &str); 6] = [
    (
        "power-cut",
        "clips lost that were confirmed, per cent",
        "Power cut: confirmed clips lost, %",
    ),
    (
        "kill",
        "clips lost that were confirmed, per cent",
        "kill -9: confirmed clips lost, %",
    ),
    (
        "outage",
        "clips lost that were confirmed, per cent",
        "Outage: confirmed clips lost, %",
    ),
    ("outage", "drain, MB/s", "Drain, MB/s (longer is better)"),
    (
        "recording",
        "speech lost at a power cut, s, most",
        "Speech lost at a power cut, s",
    ),
    (
        "recording",
        "CPU, s a minute, threads of the recorder",
        "CPU while recording, s a minute",
    ),
];
/// Of a panel, in units of the picture.
const WIDE: f64 = 470.0;
const LINE: f64 = 22.0;
const NAMES: f64 = 215.0;
const BAR: f64 = 180.0;

impl Comparison {
    /// Every table, one behind the other.
    pub fn markdown(&self) -> String {
        let tables: Vec<String> = self.tables.iter().map(Table::markdown).collect();
        tables.join("\n")
    }

    /// Rows that are lost and have no reason.
    pub fn unreasoned(&self) -> Vec<&str> {
        let rows = self.tables.iter().flat_map(|table| &table.rows);
        let lost = rows.filter(|row| row.is_lost() && row.reason().is_empty());
        lost.map(|row| row.figure.as_str()).collect()
    }

    /// The picture of the main rows.
    pub fn picture(&self) -> String {
        let panels: Vec<(&Table, &Row, &str)> = PANELS
            .iter()
            .filter_map(|(table, figure, title)| {
                let table = self.tables.iter().find(|known| known.id == *table)?;
                Some((table, table.row(figure)?, *title))
            })
            .collect();
        let mut drawn = String::new();
        let mut top = 44.0;
        for two in panels.chunks(2) {
            let lines = two
                .iter()
                .map(|(table, ..)| table.columns.len())
                .max()
                .unwrap_or(0);
            for (place, (table, row, title)) in two.iter().enumerate() {
                panel(
                    &mut drawn,
                    10.0 + place as f64 * (WIDE + 20.0),
                    top,
                    table,
                    row,
                    title,
                );
            }
            top += 34.0 + lines as f64 * LINE + 18.0;
        }
        let wide = 2.0 * WIDE + 40.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {top}\" width=\"{wide}\" height=\"{top}\" role=\"img\" \
             font-family=\"DejaVu Sans, Arial, sans-serif\" font-size=\"13\">\n\
             <title>The booth gateway beside what else would be used</title>\n\
             <rect width=\"{wide}\" height=\"{top}\" fill=\"#ffffff\"/>\n\
             <text x=\"10\" y=\"26\" font-size=\"17\" font-weight=\"bold\" fill=\"#1a1a1a\">One run on one machine, {date}: ours is the dark bar</text>\n\
             {drawn}</svg>\n",
            date = escaped(&self.date)
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// One figure as bars.
fn panel(into: &mut String, left: f64, top: f64, table: &Table, row: &Row, title: &str) {
    let _ = writeln!(
        into,
        "<text x=\"{left}\" y=\"{y}\" font-weight=\"bold\" fill=\"#1a1a1a\">{title}</text>",
        y = top + 16.0,
        title = escaped(title)
    );
    let numbers = row.cells.iter().filter_map(Cell::shown);
    let most = numbers.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    for (at, (name, cell)) in table.columns.iter().zip(&row.cells).enumerate() {
        let y = top + 30.0 + at as f64 * LINE;
        let colour = if at == 0 { "#0b4f6c" } else { "#b0bec5" };
        let wide = cell
            .shown()
            .map_or(0.0, |number| (BAR * number / most).max(1.0));
        let _ = writeln!(
            into,
            "<text x=\"{end}\" y=\"{base}\" text-anchor=\"end\" fill=\"#333333\">{name}</text>\
             <rect x=\"{bar}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{high}\" fill=\"{colour}\"/>\
             <text x=\"{after:.1}\" y=\"{base}\" fill=\"#1a1a1a\">{value}</text>",
            end = left + NAMES,
            base = y + 12.5,
            name = escaped(&name.replace("\\|", "|")),
            bar = left + NAMES + 8.0,
            high = LINE - 6.0,
            after = left + NAMES + 14.0 + wide,
            value = escaped(&cell.text())
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(better: Better, cells: &[f64]) -> Row {
        Row {
            figure: "drain, MB/s".into(),
            better,
            cells: cells.iter().map(|number| Cell::Number(*number)).collect(),
        }
    }

    #[test]
    fn a_row_is_lost_where_somebody_shows_a_better_number() {
        assert!(row(Better::Higher, &[80.0, 100.0]).is_lost());
        assert!(!row(Better::Higher, &[100.0, 80.0]).is_lost());
        assert!(row(Better::Lower, &[2.0, 3.0, 1.0]).is_lost());
        // What looks the same is not lost.
        assert!(!row(Better::Lower, &[1.001, 1.0]).is_lost());
        assert!(!row(Better::Neither, &[1.0, 2.0]).is_lost());
    }

    #[test]
    fn a_peer_that_is_not_installed_has_its_words_in_the_table_and_no_bar() {
        let table = Table {
            id: "outage".into(),
            heading: "An outage".into(),
            columns: vec!["ours".into(), "<peer>".into()],
            rows: vec![Row {
                figure: "drain, MB/s".into(),
                better: Better::Higher,
                cells: vec![Cell::Number(90.0), Cell::Words("not installed".into())],
            }],
        };
        assert!(
            table
                .markdown()
                .contains("| drain, MB/s | 90 | not installed |  |")
        );
        let picture = Comparison {
            tables: vec![table],
            ..Comparison::default()
        }
        .picture();
        assert!(picture.contains("&lt;peer&gt;") && picture.contains("width=\"0.0\""));
    }
}
