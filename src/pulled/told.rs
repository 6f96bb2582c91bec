//! What is on a pulled card, for a technician and for a script.

use std::fmt::Write;

use booth_contract::time::rfc3339;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::found::{Found, OF_ASIDE, Spools, Totals};

/// For a technician: what is unsent, whose, since when, how long, and what is not whole.
pub fn sentences(spools: &Spools) -> String {
    let mut text = String::new();
    for note in &spools.notes {
        line(&mut text, &format!("note: {note}"));
    }
    for found in &spools.spools {
        line(&mut text, &head(found));
    }
    let booths = spools.by_booth();
    if spools.are_sent() {
        line(
            &mut text,
            "Nothing is unsent: the hub has confirmed every message of this card.",
        );
    } else if booths.is_empty() {
        line(
            &mut text,
            "No whole message is unsent. What follows may be messages, or is for the hub: keep the card.",
        );
    }
    for (booth, totals) in &booths {
        line(&mut text, &format!("booth {booth}: {}", told(totals)));
    }
    if booths.len() > 1 {
        line(
            &mut text,
            "The card has messages of more than one booth: each goes to the hub under its own booth's name.",
        );
    }
    for found in &spools.spools {
        rest(&mut text, found);
    }
    text
}

fn line(text: &mut String, words: &str) {
    let _ = writeln!(text, "{words}");
}

fn head(found: &Found) -> String {
    match &found.card {
        Ok(card) => format!(
            "{}: card {}, first seen {}, {} starts, last number {}",
            found.place, card.card_id, card.first_seen, card.boot_count, card.clip_no_floor
        ),
        Err(why) => format!(
            "{}: the card's identity is not known ({why}); its messages are not touched by that",
            found.place
        ),
    }
}

/// E.g. `37 messages (2 min 04 s, 1.2 MB) and 3 votes since 2026-11-02T08:14:00.000Z, the last one of …`.
fn told(totals: &Totals) -> String {
    let mut said = format!(
        "{} ({}, {:.1} MB), {}",
        counted(totals.messages, "message"),
        length(totals.duration_ms),
        totals.bytes as f64 / 1e6,
        counted(totals.votes, "vote")
    );
    if let Some((first, last)) = totals.span {
        let _ = write!(
            said,
            ", since {}, the last one of {}",
            time(first),
            time(last)
        );
    }
    let parts = [
        (totals.undated, "said before the booth's clock was right"),
        (totals.tests, "tests"),
        (totals.quarantined, "in quarantine"),
        (totals.voids, "numbers that were given up"),
        (totals.unfinished, "cut off by a power cut"),
    ];
    for (number, what) in parts.into_iter().filter(|(number, _)| *number > 0) {
        let _ = write!(said, "; {number} {what}");
    }
    said
}

fn rest(text: &mut String, found: &Found) {
    if found.withdrawals > 0 {
        let waiting = counted(found.withdrawals, "withdrawal");
        line(
            text,
            &format!("{waiting} of citizens who take a message back: an export takes them along."),
        );
    }
    if !found.unfinished.is_empty() {
        let takes = counted(found.unfinished.len(), "message");
        line(
            text,
            &format!(
                "{takes} cut off by a power cut: put the card into a booth once, which finishes and sends it; an export keeps the file."
            ),
        );
    }
    for waiting in &found.clips {
        if let Some(why) = &waiting.quarantine {
            line(
                text,
                &format!("quarantine: number {}: {why}", waiting.clip.clip_no),
            );
        }
    }
    for finding in &found.findings {
        line(
            text,
            &format!("NOT WHOLE: {}: {}", finding.path, finding.why),
        );
    }
    if found.aside > 0 {
        let files = counted(found.aside, "file");
        line(
            text,
            &format!("{files} in aside/, {OF_ASIDE}. An export leaves them there."),
        );
    }
}

/// E.g. `1 vote`, `3 votes`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

fn length(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

fn time(ms: i64) -> String {
    rfc3339(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The same for a script.
pub fn json(spools: &Spools) -> Value {
    let booths: serde_json::Map<String, Value> = spools
        .by_booth()
        .into_iter()
        .map(|(booth, totals)| (booth.to_string(), of_booth(&totals)))
        .collect();
    json!({
        "source": spools.named.display().to_string(),
        "is_whole": u8::from(spools.is_whole()),
        "bytes": spools.bytes,
        "booths": booths,
        "notes": spools.notes,
        "spools": spools.spools.iter().map(of_spool).collect::<Vec<_>>(),
    })
}

fn of_booth(totals: &Totals) -> Value {
    json!({
        "messages": totals.messages,
        "votes": totals.votes,
        "voids": totals.voids,
        "tests": totals.tests,
        "quarantined": totals.quarantined,
        "unfinished": totals.unfinished,
        "undated": totals.undated,
        "bytes": totals.bytes,
        "duration_ms": totals.duration_ms,
        "since": totals.span.map(|(first, _)| time(first)),
        "until": totals.span.map(|(_, last)| time(last)),
    })
}

fn of_spool(found: &Found) -> Value {
    let clips: Vec<Value> = found
        .clips
        .iter()
        .map(|waiting| {
            let mut clip = json!(waiting.clip);
            clip["quarantine"] = json!(waiting.quarantine);
            clip
        })
        .collect();
    let unfinished: Vec<Value> = found
        .unfinished
        .iter()
        .map(|take| {
            json!({
                "clip_id": take.clip_id, "booth_id": take.booth_id, "card_id": take.card_id,
                "armed_at": time(take.armed_at_ms), "duration_ms": take.duration_ms,
            })
        })
        .collect();
    let findings = found.findings.iter();
    json!({
        "place": found.place,
        "card_id": found.card.as_ref().ok().map(|card| &card.card_id),
        "clips": clips,
        "unfinished": unfinished,
        "withdrawals": found.withdrawals,
        "aside": found.aside,
        "not_whole": findings.map(|finding| json!({"path": finding.path, "why": finding.why})).collect::<Vec<_>>(),
    })
}
