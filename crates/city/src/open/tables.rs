//! The rows of each table of the open data.
//!
//! Owns: which rows leave, in which order, and that they leave one by one. Never does: change anything.

use std::io::Write;

use booth_database::{Connection, Row};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::columns;
use crate::City;
use crate::centre::Question;
use crate::draw::harmless;
use crate::pages::{LeftOut, SHOWN, at_this_moment};
use crate::small_cells::{self, LEAST};
use crate::store::CityError;

type Csv<'a> = csv::Writer<&'a mut dyn Write>;

fn begin<'a>(out: &'a mut dyn Write, file: &str) -> Result<Csv<'a>, CityError> {
    let mut csv = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    let names = columns::of(file).columns.iter().map(|column| column.name);
    csv.write_record(names).map_err(unwritten)?;
    Ok(csv)
}

fn unwritten(error: impl std::fmt::Display) -> CityError {
    CityError::Failed(format!("it cannot be written: {error}"))
}

fn part_of_day(hour: i64) -> &'static str {
    match hour {
        0..6 => "night",
        6..12 => "morning",
        12..18 => "afternoon",
        _ => "evening",
    }
}

/// The day of a moment of the database in the city's time zone.
fn day_here(city: &City, at: &str) -> String {
    let moment = at.parse();
    moment.map_or_else(
        |_| at.chars().take(10).collect(),
        |moment| city.day_of(moment),
    )
}

/// What the pages show, the oldest first.
fn published() -> String {
    format!("FROM message m WHERE {SHOWN} ORDER BY m.published_at, m.id")
}

/// Asks for rows on a connection of its own, so that a slow reader keeps no page waiting, and writes each as it comes.
fn each(
    city: &City,
    query: &str,
    mut write: impl FnMut(&Row<'_>) -> Result<(), CityError>,
) -> Result<(), CityError> {
    let db = city.store.reader_of_its_own()?;
    let mut statement = db.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        write(&row)?;
    }
    Ok(())
}

pub(super) fn messages(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let mut csv = begin(out, "messages.csv")?;
    let address = city.config.address.trim_end_matches('/').to_owned();
    let language = city.config.offers[0].clone();
    let left_out = LeftOut::of(city)?;
    let query = format!(
        "SELECT m.id, coalesce(m.campaign_id, ''), coalesce(m.question_id, ''), coalesce(m.area_id, ''), m.day, m.hour, m.source,
           coalesce(m.transcript_lang, m.lang, ''), coalesce(m.transcript, ''), coalesce(m.translation, ''),
           coalesce(m.translation_lang, ''),
           coalesce((SELECT group_concat(t.name, '\n') FROM message_theme mt JOIN theme t ON t.id = mt.theme_id WHERE mt.message_id = m.id), ''),
           coalesce((SELECT group_concat(i.idea_id, ';') FROM message_idea i WHERE i.message_id = m.id), ''),
           m.with_voice = 1 AND m.may_publish = 'voice' AND m.child = 0 AND m.kind = 'audio'
         {}",
        published()
    );
    each(city, &query, |row| {
        let text = |at: usize| row.get::<_, String>(at);
        let id = text(0)?;
        if city.withheld.has(&id) || left_out.has(&text(1)?, &text(2)?) {
            return Ok(());
        }
        let has_voice: bool = row.get(13)?;
        let themes = text(11)?;
        let themes: Vec<String> = themes
            .lines()
            .map(|name| said(name, &language).replace(';', ","))
            .collect();
        let sound = match has_voice {
            true => format!("{address}/sound/{id}.opus"),
            false => String::new(),
        };
        let page = format!("{address}/{language}/message/{id}");
        csv.write_record([
            id,
            text(1)?,
            text(2)?,
            text(3)?,
            text(4)?,
            part_of_day(row.get(5)?).to_owned(),
            text(6)?,
            text(7)?,
            harmless(&text(8)?),
            harmless(&text(9)?),
            text(10)?,
            harmless(&themes.join(";")),
            text(12)?,
            u8::from(has_voice).to_string(),
            sound,
            page,
        ])
        .map_err(unwritten)
    })?;
    csv.flush().map_err(unwritten)
}

/// A text by language as JSON, in this language; else in whichever it has.
fn said(texts: &str, language: &str) -> String {
    let Ok(Value::Object(texts)) = serde_json::from_str(texts) else {
        return texts.to_owned();
    };
    let own = texts.get(language).or_else(|| texts.values().next());
    own.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A row of counts: campaign, area, day.
type Cell = (String, String, String);

/// Every message that was received, whatever became of it, by campaign, area and day, without what the public is given nothing of.
fn received(db: &Connection, left_out: &LeftOut) -> booth_database::Result<Vec<(Cell, u64)>> {
    let mut asked = db.prepare(
        "SELECT campaign_id, area_id, day, question_id, sum(n) FROM (
           SELECT coalesce(campaign_id, '') AS campaign_id, coalesce(area_id, '') AS area_id, day,
               coalesce(question_id, '') AS question_id, count(*) AS n
             FROM message WHERE kind <> 'choice' GROUP BY 1, 2, 3, 4
           UNION ALL
           SELECT coalesce(campaign_id, ''), coalesce(area_id, ''), coalesce(day, ''), coalesce(question_id, ''), count(*)
             FROM gone WHERE kind <> 'choice' GROUP BY 1, 2, 3, 4)
         GROUP BY 1, 2, 3, 4",
    )?;
    let mut rows = asked.query([])?;
    let mut cells = std::collections::BTreeMap::<Cell, u64>::new();
    while let Some(row) = rows.next()? {
        let cell: Cell = (row.get(0)?, row.get(1)?, row.get(2)?);
        let question: String = row.get(3)?;
        if !left_out.has(&cell.0, &question) {
            *cells.entry(cell).or_default() += row.get::<_, u64>(4)?;
        }
    }
    Ok(cells.into_iter().collect())
}

/// The counts as they are shown: days with fewer than five become months, such months the area's rest, such rests the campaign's.
pub(super) fn merged_counts(cells: Vec<(Cell, u64)>) -> Vec<(Cell, u64)> {
    let mut shown = Vec::new();
    let mut left = cells;
    let coarser: [fn(Cell) -> Cell; 3] = [
        |(campaign, area, day)| {
            let month = day.get(..7).unwrap_or_default().to_owned();
            (campaign, area, month)
        },
        |(campaign, area, _)| (campaign, area, String::new()),
        |(campaign, _, _)| (campaign, String::new(), String::new()),
    ];
    for coarser in coarser.into_iter().map(Some).chain([None]) {
        let mut small = std::collections::BTreeMap::<Cell, u64>::new();
        for (cell, count) in left {
            if count >= LEAST {
                shown.push((cell, small_cells::shown(count)));
            } else if let Some(coarser) = coarser {
                *small.entry(coarser(cell)).or_default() += count;
            }
        }
        left = small.into_iter().collect();
    }
    // A coarser row may fall on the place of one that is shown already.
    let mut rows = std::collections::BTreeMap::<Cell, u64>::new();
    for (cell, count) in shown {
        *rows.entry(cell).or_default() += count;
    }
    rows.into_iter().collect()
}

pub(super) fn counts(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let mut csv = begin(out, "counts_by_area_day.csv")?;
    let left_out = LeftOut::of(city)?;
    let cells = city.store.read(|db| received(db, &left_out))?;
    for ((campaign, area, day), count) in merged_counts(cells) {
        csv.write_record([campaign, area, day, count.to_string()])
            .map_err(unwritten)?;
    }
    csv.flush().map_err(unwritten)
}

pub(super) fn votes(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let mut csv = begin(out, "votes.csv")?;
    let cast: Vec<(String, String, u8, u64)> = city.store.read(|db| {
        db.prepare(
            "SELECT campaign_id, question_id, choice, count(*) FROM message
             WHERE kind = 'choice' AND campaign_id IS NOT NULL AND question_id IS NOT NULL AND choice IS NOT NULL GROUP BY 1, 2, 3",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect()
    })?;
    let left_out = LeftOut::of(city)?;
    for campaign in city.centre.campaigns()? {
        let is_over = city.store.read(|db| at_this_moment(city, db, &campaign))?;
        let is_over = is_over.are_votes_in;
        let is_shown = |question: &&Question| {
            !question.options.is_empty() && !left_out.has(&campaign.id, &question.id)
        };
        for question in campaign.questions.iter().filter(is_shown) {
            let of = |digit: u8| {
                let found = cast.iter().find(|(id, asked, choice, _)| {
                    *id == campaign.id && *asked == question.id && *choice == digit
                });
                found.map_or(0, |(_, _, _, votes)| *votes)
            };
            let counted: Vec<u64> = question
                .options
                .iter()
                .map(|option| of(option.digit))
                .collect();
            let shown = small_cells::votes(&counted, is_over);
            for (option, votes) in question.options.iter().zip(&shown.each) {
                csv.write_record([
                    campaign.id.clone(),
                    question.id.clone(),
                    option.digit.to_string(),
                    option.id.clone(),
                    votes.to_string(),
                    u8::from(shown.are_exact).to_string(),
                ])
                .map_err(unwritten)?;
            }
        }
    }
    csv.flush().map_err(unwritten)
}

/// GeoJSON (RFC 7946), feature by feature.
fn features(
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn FnMut(Value) -> Result<(), CityError>) -> Result<(), CityError>,
) -> Result<(), CityError> {
    out.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")
        .map_err(unwritten)?;
    let mut is_first = true;
    write(&mut |feature| {
        let before: &[u8] = if is_first { b"\n" } else { b",\n" };
        is_first = false;
        out.write_all(before).map_err(unwritten)?;
        serde_json::to_writer(&mut *out, &feature).map_err(unwritten)
    })?;
    out.write_all(b"\n]}\n").map_err(unwritten)
}

pub(super) fn placements(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let left_out = LeftOut::of(city)?;
    features(out, |feature| {
        let query = "SELECT id, place, area_id, lat, lon, since, until, campaign_id FROM placement ORDER BY id";
        each(city, query, |row| {
            let place: Option<(f64, f64)> = Option::zip(row.get(4)?, row.get(3)?);
            let day = |at: Option<String>| at.map(|at| day_here(city, &at));
            let campaign: Option<String> = row.get(7)?;
            let campaign = campaign.filter(|campaign| !left_out.has_campaign(campaign));
            feature(json!({
                "type": "Feature",
                "id": row.get::<_, i64>(0)?,
                "geometry": place.map(|(lon, lat)| json!({"type": "Point", "coordinates": [lon, lat]})),
                "properties": {
                    "placement": row.get::<_, i64>(0)?,
                    "place": row.get::<_, String>(1)?,
                    "area_id": row.get::<_, Option<String>>(2)?,
                    "since": day(row.get(5)?),
                    "until": day(row.get(6)?),
                    "campaign_id": campaign,
                },
            }))
        })
    })
}

pub(super) fn areas(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    features(out, |feature| {
        each(
            city,
            "SELECT id, name, geometry FROM area ORDER BY place",
            |row| {
                let geometry: Value =
                    serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or(Value::Null);
                feature(json!({
                    "type": "Feature",
                    "id": row.get::<_, String>(0)?,
                    "geometry": geometry,
                    "properties": {"area_id": row.get::<_, String>(0)?, "name": row.get::<_, String>(1)?},
                }))
            },
        )
    })
}

pub(super) fn exposure(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let mut csv = begin(out, "exposure.csv")?;
    let query =
        "SELECT e.placement, coalesce(p.area_id, ''), e.day, e.ready_minutes FROM exposure e
         JOIN placement p ON p.id = e.placement ORDER BY e.placement, e.day";
    each(city, query, |row| {
        let minutes: f64 = row.get(3)?;
        csv.write_record([
            row.get::<_, i64>(0)?.to_string(),
            row.get(1)?,
            row.get(2)?,
            format!("{:.1}", minutes / 60.0),
        ])
        .map_err(unwritten)
    })?;
    csv.flush().map_err(unwritten)
}

pub(super) fn withdrawn(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let mut csv = begin(out, "withdrawn.csv")?;
    each(
        city,
        "SELECT id, at FROM gone WHERE was_published = 1 ORDER BY at, id",
        |row| {
            let (id, at): (String, String) = (row.get(0)?, row.get(1)?);
            csv.write_record([id, day_here(city, &at)])
                .map_err(unwritten)
        },
    )?;
    csv.flush().map_err(unwritten)
}

/// A number that is the message's alone, of 53 bits, so that every reader of numbers keeps it whole.
pub(super) fn number_of(id: &str) -> u64 {
    let hash = Sha256::digest(id.as_bytes());
    let first = hash.first_chunk::<8>().expect("32 bytes");
    u64::from_be_bytes(*first) >> 11
}

pub(super) fn comments(city: &City, out: &mut dyn Write) -> Result<(), CityError> {
    let mut csv = begin(out, "comments.csv")?;
    let left_out = LeftOut::of(city)?;
    let query = format!(
        "SELECT m.id, m.day, coalesce(m.transcript, ''), coalesce(m.campaign_id, ''), coalesce(m.question_id, '') {}",
        published()
    );
    each(city, &query, |row| {
        let (id, day, text): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (campaign, question): (String, String) = (row.get(3)?, row.get(4)?);
        if city.withheld.has(&id) || left_out.has(&campaign, &question) {
            return Ok(());
        }
        let noon = day.parse::<jiff::civil::Date>().ok().and_then(|day| {
            day.at(12, 0, 0, 0)
                .to_zoned_datetime(city.zone.clone())
                .ok()
        });
        let number = number_of(&id).to_string();
        csv.write_record([
            noon.as_ref()
                .map_or(0, |noon| noon.timestamp().as_millisecond())
                .to_string(),
            noon.map(|noon| noon.timestamp().to_string())
                .unwrap_or_default(),
            number.clone(),
            number,
            "0".into(),
            "0".into(),
            "1".into(),
            harmless(&text),
        ])
        .map_err(unwritten)
    })?;
    csv.flush().map_err(unwritten)
}
