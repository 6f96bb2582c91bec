//! Graphics by place: the map, and themes by area.

use super::themes::named_themes;
use super::{Scope, all_shown, amounts, by_source, source_heads};
use crate::draw::{self, Amount, Cell, Chart, Coat, MapArea, MapWords, Matrix, Pin, Table};
use crate::pages::picture::Picture;
use crate::pages::tally::{Tally, ThemeTally, booth_days};
use crate::pages::voice::{Voice, segment};

/// Most columns of the matrix.
const MOST_COLUMNS: usize = 8;

pub(super) fn map(
    scope: &Scope,
    tally: &Tally,
    picture: &Picture,
    voice: &Voice<'_>,
) -> Option<Chart> {
    if picture.areas.is_empty() {
        return None;
    }
    let numbers: Vec<[u64; 4]> = picture
        .areas
        .iter()
        .map(|area| tally.areas.get(&area.id).copied().unwrap_or_default())
        .collect();
    let shown = by_source(&numbers);
    let has_days = tally.ready_minutes > 0;
    let mut areas = Vec::new();
    let mut rows = Vec::new();
    for (at, (area, amounts_here)) in picture.areas.iter().zip(&shown).enumerate() {
        let has_booth = tally.areas_with_booth.contains(&area.id);
        let (sum, booths) = (amounts_here[0], amounts_here[1]);
        // A rate would give away the number that is not said.
        let rate = match booths {
            Amount::Few => None,
            Amount::Number(_) => tally.per_booth_day_in(&area.id),
        };
        let coat = match (has_booth, has_days, rate, sum) {
            (false, ..) => Coat::NoBooth,
            (true, true, Some(rate), _) => Coat::Value(rate),
            (true, false, _, Amount::Number(number)) => Coat::Value(number as f64),
            (true, ..) => Coat::Unsaid,
        };
        let said = voice.counted("messages-n", sum);
        areas.push(MapArea {
            shape: &area.shape,
            number: at + 1,
            coat,
            tip: format!("{}: {said}", area.name),
        });
        let name = format!("{} {}", at + 1, area.name);
        let address = voice.here(&format!("area/{}", segment(&area.id)));
        let minutes = tally
            .ready_minutes_of_areas
            .get(&area.id)
            .copied()
            .unwrap_or(0);
        let mut row = vec![Cell::Link(name, address)];
        row.extend(amounts(amounts_here));
        match has_booth {
            true => row.extend([Cell::Rate(Some(booth_days(minutes))), Cell::Rate(rate)]),
            false => row.extend([Cell::Text(voice.say("map-no-booth")), Cell::Rate(None)]),
        }
        rows.push(row);
    }
    let pins: Vec<Pin> = match scope {
        Scope::City => picture.stands.iter().collect::<Vec<_>>(),
        _ => {
            let asked = scope
                .campaign(picture)
                .and_then(|one| one.asked.booths.clone());
            let stands = picture.stands.iter();
            stands
                .filter(|stand| {
                    asked
                        .as_ref()
                        .is_none_or(|booths| booths.contains(&stand.booth))
                })
                .collect()
        }
    }
    .into_iter()
    .filter(|stand| stand.until.is_none())
    .filter_map(|stand| {
        Some(Pin {
            at: stand.at?,
            tip: stand.place.clone(),
        })
    })
    .collect();
    let most = areas.iter().map(|area| match area.coat {
        Coat::Value(value) => value,
        _ => 0.0,
    });
    let most = most.fold(0.0, f64::max);
    let scale = |value: f64| match has_days {
        true => voice.tongue.rate(value),
        false => voice.tongue.number(value as u64),
    };
    let words = MapWords {
        measure: voice.say(if has_days {
            "map-per-day"
        } else {
            "map-messages"
        }),
        no_booth: voice.say("map-no-booth"),
        unsaid: voice.say("map-unsaid"),
        booth_now: voice.say("map-booth-now"),
        least: voice.tongue.number(0),
        most: scale(most),
    };
    let mut head = vec![voice.say("area"), voice.say("all-messages")];
    head.extend(source_heads(voice));
    head.extend([voice.say("booth-days"), voice.say("per-booth-day")]);
    let title = voice.say("map-title");
    let table = Table {
        caption: title.clone(),
        head,
        rows,
    };
    let (pen, height) = draw::map(&areas, &pins, &words, &voice.tongue)?;
    Some(Chart::new(
        "map",
        title,
        voice.say("map-what"),
        table,
        pen,
        height,
    ))
}

pub(super) fn matrix(tally: &Tally, picture: &Picture, voice: &Voice<'_>) -> Option<Chart> {
    let mut named = named_themes(tally, picture, voice);
    named.truncate(MOST_COLUMNS);
    let areas: Vec<_> = picture
        .areas
        .iter()
        .filter(|area| {
            named
                .iter()
                .any(|(_, theme)| theme.areas.contains_key(&area.id))
        })
        .collect();
    if areas.is_empty() || named.len() < 2 {
        return None;
    }
    let number = |area: &str, theme: &ThemeTally| theme.areas.get(area).copied().unwrap_or(0);
    let numbers: Vec<Vec<u64>> = areas
        .iter()
        .map(|area| {
            named
                .iter()
                .map(|(_, theme)| number(&area.id, theme))
                .collect()
        })
        .collect();
    let shown = all_shown(&numbers);
    let matrix = Matrix {
        columns: named.iter().map(|(name, _)| name.clone()).collect(),
        rows: areas.iter().map(|area| area.name.clone()).collect(),
        cells: shown.clone(),
    };
    let mut head = vec![voice.say("area")];
    head.extend(matrix.columns.iter().cloned());
    let rows = areas.iter().zip(&shown).map(|(area, row)| {
        let mut cells = vec![Cell::Text(area.name.clone())];
        cells.extend(amounts(row));
        cells
    });
    let title = voice.say("matrix-title");
    let table = Table {
        caption: title.clone(),
        head,
        rows: rows.collect(),
    };
    let (pen, height) = draw::matrix(&matrix, &voice.tongue);
    Some(Chart::new(
        "matrix",
        title,
        voice.say("matrix-what"),
        table,
        pen,
        height,
    ))
}
