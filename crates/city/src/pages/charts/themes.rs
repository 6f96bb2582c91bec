//! Themes, the most frequent first.

use std::collections::BTreeMap;

use super::source_heads;
use crate::draw::{self, Amount, Bar, Cell, Chart, Table};
use crate::pages::picture::Picture;
use crate::pages::tally::{Tally, ThemeTally};
use crate::pages::voice::Voice;
use crate::small_cells;

/// Most bars; the others are in the table.
const MOST_THEMES: usize = 10;

/// Themes by name, the most frequent first: campaigns may have themes of the same name.
pub(super) fn named_themes(
    tally: &Tally,
    picture: &Picture,
    voice: &Voice<'_>,
) -> Vec<(String, ThemeTally)> {
    let mut by_name: BTreeMap<String, ThemeTally> = BTreeMap::new();
    for (id, theme) in &tally.themes {
        let Some(known) = picture.themes.get(id) else {
            continue;
        };
        let sum = by_name
            .entry(voice.text(&known.name, "?").to_owned())
            .or_default();
        for (source, number) in theme.messages.iter().enumerate() {
            sum.messages[source] += number;
        }
        for (week, number) in &theme.weeks {
            *sum.weeks.entry(*week).or_default() += number;
        }
        for (area, number) in &theme.areas {
            *sum.areas.entry(area.clone()).or_default() += number;
        }
    }
    let mut themes: Vec<(String, ThemeTally)> = by_name.into_iter().collect();
    themes.sort_by_key(|(_, theme)| std::cmp::Reverse(theme.messages.iter().sum::<u64>()));
    themes
}

pub(super) fn themes(tally: &Tally, picture: &Picture, voice: &Voice<'_>) -> Option<Chart> {
    let named = named_themes(tally, picture, voice);
    if named.is_empty() {
        return None;
    }
    let sums = named
        .iter()
        .enumerate()
        .map(|(at, (_, theme))| (at, theme.messages.iter().sum()));
    let merged = small_cells::merged(sums);
    let mut rows = Vec::new();
    let mut bars = Vec::new();
    for (at, sum) in &merged.rows {
        let (name, theme) = &named[*at];
        let mut cells = vec![Cell::Text(name.clone()), Cell::Amount(Amount::Number(*sum))];
        cells.extend(
            theme
                .messages
                .iter()
                .map(|count| Cell::Amount(Amount::of(*count))),
        );
        rows.push(cells);
        bars.push(Bar {
            name: name.clone(),
            amount: Amount::Number(*sum),
            beside: String::new(),
        });
    }
    bars.truncate(MOST_THEMES);
    if merged.merged > 0 {
        let name = voice.whole("themes-others", merged.merged as u64);
        let mut cells = vec![Cell::Text(name), Cell::Amount(Amount::of(merged.other))];
        cells.extend([const { Cell::Amount(Amount::Few) }; 4]);
        rows.push(cells);
    }
    if bars.is_empty() {
        return None;
    }
    let mut head = vec![voice.say("theme"), voice.say("all-messages")];
    head.extend(source_heads(voice));
    let title = voice.say("themes-title");
    let table = Table {
        caption: title.clone(),
        head,
        rows,
    };
    let (pen, height) = draw::bars(&bars, &voice.tongue);
    Some(Chart::new(
        "themes",
        title,
        voice.say("themes-what"),
        table,
        pen,
        height,
    ))
}
