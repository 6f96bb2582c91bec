//! Graphics over time: messages, themes, and weekday with time of day.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::themes::named_themes;
use super::{SOURCE_LOOKS, all_shown, amounts, by_source, source_heads};
use crate::draw::{self, Amount, Cell, Chart, Heat, Layer, Series, Table};
use crate::pages::picture::Picture;
use crate::pages::tally::{HOURS, Tally};
use crate::pages::voice::Voice;
use crate::small_cells;

/// Up to so many weeks are drawn as weeks, more as months.
const MOST_WEEKS: usize = 30;

/// Spans of time that follow each other without a gap: weeks, or months where there are many. Each with the Mondays in it.
struct Spans {
    starts: Vec<Date>,
    are_months: bool,
}

impl Spans {
    /// Spans for weeks with so many messages in each. A week with a few messages says nothing, so few messages are shown by months.
    fn of(weeks: &BTreeMap<Date, u64>) -> Option<Self> {
        let (first, last) = (*weeks.first_key_value()?.0, *weeks.last_key_value()?.0);
        let week = jiff::Span::new().weeks(1);
        let mut starts = Vec::new();
        let mut at = first;
        while at <= last && starts.len() < 1_000 {
            starts.push(at);
            at = at.saturating_add(week);
        }
        let all: u64 = weeks.values().sum();
        if starts.len() <= MOST_WEEKS && all >= 3 * small_cells::LEAST * starts.len() as u64 {
            return Some(Self {
                starts,
                are_months: false,
            });
        }
        let mut starts = Vec::new();
        let mut at = first.first_of_month();
        while at <= last && starts.len() < 400 {
            starts.push(at);
            at = at.saturating_add(jiff::Span::new().months(1));
        }
        Some(Self {
            starts,
            are_months: true,
        })
    }

    fn place(&self, week: Date) -> Option<usize> {
        let start = if self.are_months {
            week.first_of_month()
        } else {
            week
        };
        self.starts.binary_search(&start).ok()
    }

    /// What stands below each span: a month where it begins.
    fn names(&self, voice: &Voice<'_>) -> Vec<String> {
        let mut before = None;
        let names = self.starts.iter().map(|start| {
            let month = start.first_of_month();
            let is_new = before.replace(month) != Some(month);
            if is_new {
                voice.month(*start)
            } else {
                String::new()
            }
        });
        names.collect()
    }

    fn long_names(&self, voice: &Voice<'_>) -> Vec<String> {
        let names = self.starts.iter().map(|start| match self.are_months {
            true => voice.month(*start),
            false => voice.with("week-of", &[("day", &voice.day(&start.to_string()))]),
        });
        names.collect()
    }
}

pub(super) fn weeks(tally: &Tally, voice: &Voice<'_>) -> Option<Chart> {
    let sums = tally
        .weeks
        .iter()
        .map(|(week, row)| (*week, row.iter().sum()));
    let spans = Spans::of(&sums.collect())?;
    let mut numbers = vec![[0; 4]; spans.starts.len()];
    for (week, row) in &tally.weeks {
        if let Some(place) = spans.place(*week) {
            for (sum, number) in numbers[place].iter_mut().zip(row) {
                *sum += number;
            }
        }
    }
    let shown = by_source(&numbers);
    let layers: Vec<Layer> = SOURCE_LOOKS
        .iter()
        .enumerate()
        .filter(|(at, _)| numbers.iter().any(|row| row[*at] > 0))
        .map(|(at, (source, look))| Layer {
            name: voice.source(*source),
            look: *look,
            values: shown.iter().map(|row| row[at + 1]).collect(),
        })
        .collect();
    let names = spans.long_names(voice);
    let rows = names.into_iter().zip(&shown).map(|(name, row)| {
        let mut cells = vec![Cell::Text(name)];
        cells.extend(amounts(row));
        cells
    });
    let mut head = vec![voice.say("time"), voice.say("all-messages")];
    head.extend(source_heads(voice));
    let title = voice.say("weeks-title");
    let table = Table {
        caption: title.clone(),
        head,
        rows: rows.collect(),
    };
    let what = voice.say(if spans.are_months {
        "weeks-what-months"
    } else {
        "weeks-what"
    });
    let (pen, height) = draw::columns(&spans.names(voice), &layers, &voice.tongue);
    Some(Chart::new("weeks", title, what, table, pen, height))
}

pub(super) fn trends(tally: &Tally, picture: &Picture, voice: &Voice<'_>) -> Option<Chart> {
    let mut named = named_themes(tally, picture, voice);
    named.truncate(6);
    let mut weeks: BTreeMap<Date, u64> = BTreeMap::new();
    for (week, number) in named.iter().flat_map(|(_, theme)| &theme.weeks) {
        *weeks.entry(*week).or_default() += number / named.len() as u64;
    }
    let spans = Spans::of(&weeks)?;
    if spans.starts.len() < 2 {
        return None;
    }
    let numbers: Vec<Vec<u64>> = named
        .iter()
        .map(|(_, theme)| {
            let mut row = vec![0; spans.starts.len()];
            for (week, number) in &theme.weeks {
                if let Some(place) = spans.place(*week) {
                    row[place] += number;
                }
            }
            row
        })
        .collect();
    let mut shown = all_shown(&numbers);
    // A theme of which no span has enough to be said is left out.
    let mut named = named.into_iter();
    let (named, kept): (Vec<_>, Vec<_>) = shown
        .drain(..)
        .filter_map(|row| Some((named.next()?, row)))
        .filter(|(_, row)| row.iter().any(|amount| *amount != Amount::Few))
        .unzip();
    let shown = kept;
    if shown.is_empty() {
        return None;
    }
    let series: Vec<Series> = named
        .iter()
        .zip(&shown)
        .map(|((name, _), values)| Series {
            name: name.clone(),
            values: values.clone(),
        })
        .collect();
    let mut head = vec![voice.say("time")];
    head.extend(named.iter().map(|(name, _)| name.clone()));
    let names = spans.long_names(voice);
    let rows = names.into_iter().enumerate().map(|(at, name)| {
        let mut cells = vec![Cell::Text(name)];
        cells.extend(shown.iter().map(|row| Cell::Amount(row[at])));
        cells
    });
    let title = voice.say("trends-title");
    let table = Table {
        caption: title.clone(),
        head,
        rows: rows.collect(),
    };
    let (pen, height) = draw::small_multiples(&spans.names(voice), &series, &voice.tongue);
    Some(Chart::new(
        "trends",
        title,
        voice.say("trends-what"),
        table,
        pen,
        height,
    ))
}

pub(super) fn hours(tally: &Tally, voice: &Voice<'_>) -> Option<Chart> {
    if tally.hours.iter().flatten().sum::<u64>() == 0 {
        return None;
    }
    let numbers: Vec<Vec<u64>> = (0..HOURS)
        .map(|row| tally.hours.iter().map(|day| day[row]).collect())
        .collect();
    let shown = all_shown(&numbers);
    // Numbers run from left to right in every language.
    let name = |row: usize| match voice.tongue.is_rtl {
        true => format!("\u{2066}{}\u{2013}{}\u{2069}", row * 2, row * 2 + 2),
        false => format!("{}\u{2013}{}", row * 2, row * 2 + 2),
    };
    let days: Vec<String> = (1..=7)
        .map(|day| voice.say(&format!("weekday-{day}")))
        .collect();
    let heat = Heat {
        columns: days.clone(),
        rows: (0..HOURS).map(name).collect(),
        cells: shown.clone(),
    };
    let mut head = vec![voice.say("hours-hour")];
    head.extend(days);
    let rows = shown.iter().enumerate().map(|(row, amounts_of)| {
        let mut cells = vec![Cell::Text(name(row))];
        cells.extend(amounts(amounts_of));
        cells
    });
    let title = voice.say("hours-title");
    let table = Table {
        caption: title.clone(),
        head,
        rows: rows.collect(),
    };
    let (pen, height) = draw::heat(&heat, &voice.tongue);
    Some(Chart::new(
        "hours",
        title,
        voice.say("hours-what"),
        table,
        pen,
        height,
    ))
}
