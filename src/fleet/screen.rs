//! The screen: the sentence on top, the booths below it, and beside them the log or the booth that is chosen.
//!
//! Owns: what stands where. Never does: read a clock or a keyboard; the same book and choice give the same screen. Colour says nothing
//! that a word does not say, too.

use booth_contract::AlertId;
use booth_contract::fleet::{self, SORTS, Seen, Standing, span};
use booth_contract::time::Timestamp;
use booth_contract::{Presence, Severity};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row as Cells, Table, TableState, Wrap};

use super::book::{Book, Entry};
use super::choice::{Beside, Choice};
use super::row::Row;
use super::table::why;

/// Lines of the log below the list.
const LOG_LINES: u16 = 7;
/// Most notes above the list.
const MOST_NOTES: usize = 3;
/// The keys, and what they do.
const KEYS: [(&str, &str); 10] = [
    ("↑ ↓  PgUp PgDn  Home End", "another booth"),
    (
        "Enter",
        "the chosen booth, its alerts with their remedies, and back",
    ),
    (
        "/",
        "only booths whose id or name has a text; Enter keeps it, Esc forgets it",
    ),
    (
        "f",
        "only booths that stand so; again: the next standing, at last all",
    ),
    ("s", "another order"),
    ("l", "the log alone, and back"),
    ("Esc", "everything as at the beginning"),
    ("?", "these keys, and back"),
    ("q  Ctrl-C", "the end"),
    (
        "",
        "The list renews itself; nothing here changes anything at a booth.",
    ),
];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, book: &Book, choice: &Choice, now: Timestamp) {
    let rows = book.rows(now);
    let wanted = choice.of(&rows);
    let notes: Vec<String> = book.notes(now).into_iter().take(MOST_NOTES).collect();
    let width = frame.area().width;
    let head = head(book, &rows, &notes, now);
    let head_lines = lines_of(&head, width).min(frame.area().height / 2);
    let [top, middle, foot] = Layout::vertical([
        Constraint::Length(head_lines),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head).wrap(Wrap { trim: true }), top);
    match choice.beside {
        Beside::Keys => keys(frame, middle),
        Beside::LogAlone => log(frame, middle, book, choice.back),
        Beside::Log => {
            let [list, below] =
                Layout::vertical([Constraint::Min(3), Constraint::Length(LOG_LINES + 1)])
                    .areas(middle);
            booths(frame, list, &wanted, rows.len(), choice);
            log(frame, below, book, 0);
        }
        Beside::Booth => {
            let [list, below] =
                Layout::vertical([Constraint::Percentage(40), Constraint::Percentage(60)])
                    .areas(middle);
            booths(frame, list, &wanted, rows.len(), choice);
            if let Some(row) = wanted.get(choice.place(&wanted)) {
                booth(frame, below, row, book);
            }
        }
    }
    frame.render_widget(Paragraph::new(foot_line(choice)), foot);
}

fn head(book: &Book, rows: &[Row<'_>], notes: &[String], now: Timestamp) -> Vec<Line<'static>> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let sentence = match rows.is_empty() {
        true => "No booth has been heard yet.".to_owned(),
        false => fleet::sentence(rows),
    };
    let mut lines = vec![Line::styled(sentence, bold)];
    let warn = Style::new().fg(Color::Yellow);
    lines.extend(notes.iter().map(|note| Line::styled(note.clone(), warn)));
    let broker = match &book.broker {
        Ok(since) => format!("connected since {}", hour(*since)),
        Err(_) => "not connected".into(),
    };
    let hub = match book.hub {
        Some(Presence::Online) => "hub online",
        Some(Presence::Offline | Presence::Lost) => "hub lost",
        None => "hub not heard",
    };
    lines.push(Line::styled(
        format!("{} · {broker} · {hub}", hour(now)),
        Style::new().add_modifier(Modifier::DIM),
    ));
    lines
}

/// How many lines a text takes at this width, by its words.
fn lines_of(lines: &[Line<'_>], width: u16) -> u16 {
    let paragraph = |line: &Line<'_>| {
        let (mut count, mut used) = (1_u16, 0_usize);
        let text: String = line
            .spans
            .iter()
            .map(|span| span.content.as_ref())
            .collect();
        for word in text.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > usize::from(width) {
                count += 1;
                used = length;
            } else {
                used += length + usize::from(used > 0);
            }
        }
        count
    };
    lines.iter().map(paragraph).sum()
}

fn style_of(standing: Standing) -> Style {
    match standing {
        Standing::CannotSpeak | Standing::Silent => Style::new().fg(Color::Red),
        Standing::NeverHeard | Standing::NeedsVisit => Style::new().fg(Color::Yellow),
        Standing::Watch => Style::new().fg(Color::Cyan),
        Standing::Fine => Style::new().fg(Color::Green),
    }
}

fn booths(frame: &mut Frame<'_>, area: Rect, wanted: &[Row<'_>], all: usize, choice: &Choice) {
    let at = choice.place(wanted);
    // Only what may be seen is laid out: a fleet is longer than any screen.
    let room = usize::from(area.height);
    let first = at.saturating_sub(room);
    let shown = wanted.iter().skip(first).take(2 * room);
    let cells = shown.map(|row| {
        let said = |name: &str, unit: &str| {
            row.value(name)
                .map_or_else(String::new, |value| format!("{value:.0}{unit}"))
        };
        let unsent = row.oldest_unsent_s().filter(|age| *age > 0);
        Cells::new([
            Cell::from(row.called().to_owned()),
            Cell::from(Span::styled(
                row.standing().word(),
                style_of(row.standing()),
            )),
            Cell::from(row.health_age_s().map_or_else(|| "–".into(), span)),
            Cell::from(unsent.map_or_else(String::new, span)),
            Cell::from(said("cpu_temp_c", " °C")),
            Cell::from(said("data_used_pct", " %")),
            Cell::from(why(row)),
        ])
    });
    let widths = [
        Constraint::Length(24),
        Constraint::Length(20),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(5),
        Constraint::Min(10),
    ];
    let header = [
        "Booth", "Standing", "Health", "Unsent", "Heat", "Card", "Why",
    ];
    let title = format!(
        " {} of {all} booths, {} ",
        wanted.len(),
        SORTS[choice.sort].1
    );
    let dim = Style::new().add_modifier(Modifier::DIM);
    let table = Table::new(cells, widths)
        .header(Cells::new(header).style(dim))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::new().borders(Borders::TOP).title(title));
    let mut state = TableState::new().with_selected((!wanted.is_empty()).then(|| at - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn booth(frame: &mut Frame<'_>, area: Rect, row: &Row<'_>, book: &Book) {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    let mut lines = vec![Line::from(vec![
        Span::styled(row.standing().word(), style_of(row.standing())),
        Span::raw(match row.health_age_s() {
            Some(age) => format!(" · last health {} ago", span(age)),
            None => " · no health was heard".into(),
        }),
    ])];
    for (id, raised) in row.alerts() {
        let style = match raised.severity {
            Severity::CitizenCannotSpeak => Style::new().fg(Color::Red),
            Severity::NeedsVisit => Style::new().fg(Color::Yellow),
            Severity::Watch => Style::new().fg(Color::Cyan),
        };
        lines.push(Line::from(vec![
            Span::styled(format!("{id} "), style),
            Span::raw(raised.text.clone()),
            Span::styled(format!(" (since {})", raised.since), dim),
        ]));
        if let Some(id) = AlertId::parse(id) {
            lines.push(Line::styled(format!("  → {}", id.remedy()), dim));
        }
    }
    if let Some(birth) = &row.booth.birth {
        let said = |what: &Option<String>| what.clone().unwrap_or_else(|| "–".into());
        lines.push(Line::raw(format!(
            "software {} · machine {} · address {} · card {}",
            birth.sw_version,
            said(&birth.hw_model),
            said(&birth.ip),
            birth.card_id.chars().take(8).collect::<String>()
        )));
    }
    if let Some(health) = &row.booth.health {
        let values = booth_contract::Health::NAMES.iter();
        let said = values.filter_map(|name| Some(format!("{name} {}", short(health.get(name)?))));
        lines.push(Line::styled(said.collect::<Vec<_>>().join("  "), dim));
    }
    let own = book.log.iter().rev();
    let own = own.filter(|entry| entry.booth.as_deref() == Some(row.booth_id()));
    lines.extend(own.take(5).map(line_of));
    let title = Span::styled(format!(" {} ({}) ", row.called(), row.booth_id()), bold);
    let block = Block::new().borders(Borders::TOP).title(title);
    let text = Paragraph::new(lines).wrap(Wrap { trim: true }).block(block);
    frame.render_widget(text, area);
}

/// A number without needless digits.
fn short(value: f64) -> String {
    match value.fract() == 0.0 {
        true => format!("{value:.0}"),
        false => format!("{value:.1}"),
    }
}

fn log(frame: &mut Frame<'_>, area: Rect, book: &Book, back: usize) {
    let room = usize::from(area.height.saturating_sub(1));
    let lines: Vec<Line<'_>> = book
        .log
        .iter()
        .rev()
        .skip(back)
        .take(room)
        .map(line_of)
        .collect();
    let title = match back {
        0 => " What happened, the latest first ".to_owned(),
        back => format!(" What happened, before the {back} latest "),
    };
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn line_of(entry: &Entry) -> Line<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    let who = entry.booth.clone().unwrap_or_default();
    Line::from(vec![
        Span::styled(format!("{} ", hour(entry.at)), dim),
        Span::raw(match who.is_empty() {
            true => String::new(),
            false => format!("{who}: "),
        }),
        Span::raw(entry.text.clone()),
    ])
}

fn keys(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, does)| Line::raw(format!("{key:<26}{does}")))
        .collect();
    let block = Block::new().borders(Borders::TOP).title(" Keys ");
    frame.render_widget(
        Paragraph::new(lines)
            .wrap(Wrap { trim: false })
            .block(block),
        area,
    );
}

fn foot_line(choice: &Choice) -> Line<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    if choice.is_typing {
        return Line::raw(format!(
            "whose id or name has: {}▏  Enter keeps it, Esc forgets it",
            choice.find
        ));
    }
    let mut text =
        "↑↓ booth  Enter details  / find  f filter  s order  l log  ? keys  q end".to_owned();
    if let Some(show) = choice.show {
        text += &format!("   only: {}", show.word());
    }
    if !choice.find.is_empty() {
        text += &format!("   only with: {}", choice.find);
    }
    Line::styled(text, dim)
}

/// The time of a day, UTC.
fn hour(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}
