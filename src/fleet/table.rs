//! The fleet for scripts: a table of lines, JSON, and one JSON line for each line of the log.

use booth_contract::AlertId;
use booth_contract::fleet::{self, Seen, span};
use booth_contract::time::{Timestamp, rfc3339};
use serde_json::{Value, json};

use super::book::{Book, Entry};
use super::choice::Choice;
use super::row::Row;

/// Whether citizens can speak at every booth that was heard, and one was.
pub(super) fn is_ready(rows: &[Row<'_>]) -> bool {
    !rows.is_empty() && rows.iter().all(|row| row.standing().takes_messages())
}

/// Why a booth stands as it does: its worst alert, or since when it is silent.
pub(super) fn why(row: &Row<'_>) -> String {
    let age = || {
        row.health_age_s().map_or_else(
            || "no health was heard".into(),
            |age| format!("last health {} ago", span(age)),
        )
    };
    match (row.standing(), row.alerts()) {
        (fleet::Standing::Silent, _) => age(),
        (_, [(_, worst), others @ ..]) => match others.len() {
            0 => worst.text.clone(),
            more => format!("{} (and {more} more)", worst.text),
        },
        _ if row.has_two_machines() => "two machines use this id".into(),
        _ => String::new(),
    }
}

/// The table for a person who reads lines: the sentence, then the booths that are wanted.
pub(super) fn text(book: &Book, choice: &Choice, now: Timestamp) -> String {
    let rows = book.rows(now);
    let wanted = choice.of(&rows);
    let width = wanted
        .iter()
        .map(|row| row.booth_id().chars().count())
        .max()
        .unwrap_or(0);
    let mut text = fleet::sentence(&rows) + "\n";
    for note in book.notes(now) {
        text += &note;
        text.push('\n');
    }
    for row in &wanted {
        let line = format!(
            "{:<width$}  {:<20}  {}",
            row.booth_id(),
            row.standing().word(),
            why(row)
        );
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// The same for programs.
pub(super) fn json(book: &Book, choice: &Choice, now: Timestamp) -> Value {
    let rows = book.rows(now);
    let booths: Vec<Value> = choice.of(&rows).iter().map(of_booth).collect();
    json!({
        "ok": u8::from(is_ready(&rows)),
        "at": rfc3339(now),
        "sentence": fleet::sentence(&rows),
        "notes": book.notes(now),
        "hub": book.hub,
        "booths": booths,
    })
}

fn of_booth(row: &Row<'_>) -> Value {
    let alerts = row.alerts().iter().map(|(id, raised)| {
        json!({
            "id": id,
            "severity": raised.severity,
            "text": raised.text,
            "since": raised.since,
            "remedy": AlertId::parse(id).map(AlertId::remedy),
        })
    });
    json!({
        "booth_id": row.booth_id(),
        "name": row.name(),
        "standing": row.standing().key(),
        "takes_messages": u8::from(row.standing().takes_messages()),
        "presence": row.presence(),
        "ready": row.ready().map(u8::from),
        "health_age_s": row.health_age_s(),
        "oldest_unsent_s": row.oldest_unsent_s(),
        "sw_version": row.sw_version(),
        "alerts": alerts.collect::<Vec<_>>(),
        "health": row.booth.health,
    })
}

/// One line of the log.
pub(super) fn of_entry(entry: &Entry) -> Value {
    json!({
        "at": rfc3339(entry.at),
        "kind": entry.kind.key(),
        "booth_id": entry.booth,
        "text": entry.text,
    })
}
