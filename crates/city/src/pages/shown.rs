//! Published messages: the only place where the pages read what a citizen said.
//!
//! Owns: which messages are shown, and what of them. Never does: show one that is not published, has no transcript, may not be published, or
//! belongs to a campaign that is not public or to a question that is stopped, or one that is taken back and cannot be deleted yet. The day
//! and the part of the day are shown, and never the minute.

use booth_database::{Connection, OptionalExtension, Row, params, params_from_iter, types::Value};
use maud::{Markup, html};

use super::picture::Picture;
use super::voice::{Voice, segment};
use crate::City;
use crate::centre::Source;

/// A published message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) source: Source,
    pub(crate) is_spoken: bool,
    pub(crate) placement: Option<i64>,
    pub(crate) area: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) question: Option<String>,
    pub(crate) day: String,
    pub(crate) hour: u8,
    pub(crate) transcript: String,
    pub(crate) transcript_lang: Option<String>,
    pub(crate) translation: Option<(String, Option<String>)>,
    /// Its voice can be heard.
    pub(crate) has_voice: bool,
    pub(crate) duration_ms: u64,
    pub(crate) published_at: String,
    /// When it was published, or corrected since.
    pub(crate) updated_at: String,
    pub(crate) themes: Vec<i64>,
}

/// What must hold of every message that is shown.
pub(crate) const SHOWN: &str = "state = 'published' AND kind <> 'choice' AND may_publish <> 'no' AND trim(coalesce(transcript, '')) <> ''";

const COLUMNS: &str = "id, source, kind, placement, area_id, campaign_id, question_id, day, hour, transcript, transcript_lang, translation,
  translation_lang, with_voice = 1 AND may_publish = 'voice' AND child = 0 AND kind = 'audio', duration_ms, published_at,
  (SELECT group_concat(theme_id) FROM message_theme WHERE message_id = message.id),
  coalesce(changed_at, published_at)";

fn message_of(row: &Row<'_>) -> booth_database::Result<Message> {
    let source: String = row.get(1)?;
    let kind: String = row.get(2)?;
    let (translation, translation_lang): (Option<String>, Option<String>) =
        (row.get(11)?, row.get(12)?);
    let themes: Option<String> = row.get(16)?;
    let themes = themes.unwrap_or_default();
    Ok(Message {
        id: row.get(0)?,
        source: Source::of(&source).unwrap_or(Source::Booth),
        is_spoken: kind == "audio",
        placement: row.get(3)?,
        area: row.get(4)?,
        campaign: row.get(5)?,
        question: row.get(6)?,
        day: row.get(7)?,
        hour: row.get(8)?,
        transcript: row.get(9)?,
        transcript_lang: row.get(10)?,
        translation: translation
            .filter(|text| !text.trim().is_empty())
            .map(|text| (text, translation_lang)),
        has_voice: row.get(13)?,
        duration_ms: row.get(14)?,
        published_at: row.get::<_, Option<String>>(15)?.unwrap_or_default(),
        updated_at: row.get::<_, Option<String>>(17)?.unwrap_or_default(),
        themes: themes.split(',').filter_map(|id| id.parse().ok()).collect(),
    })
}

/// Which messages a list has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) campaign: Option<&'a str>,
    pub(crate) question: Option<&'a str>,
    pub(crate) area: Option<&'a str>,
    pub(crate) theme: Option<&'a [i64]>,
    /// Only those that were published before this one: the time and the id of the last one that was seen.
    pub(crate) before: Option<(&'a str, &'a str)>,
}

/// A theme of more messages than this is common.
const COMMON: u64 = 1_000;

/// The newest published messages.
pub(crate) fn list(
    city: &City,
    db: &Connection,
    picture: &Picture,
    wanted: &Wanted<'_>,
    most: usize,
) -> booth_database::Result<Vec<Message>> {
    let mut sql = format!("SELECT {COLUMNS} FROM message WHERE {SHOWN}");
    let mut values: Vec<Value> = Vec::new();
    for (column, value) in [
        ("campaign_id", wanted.campaign),
        ("question_id", wanted.question),
        ("area_id", wanted.area),
    ] {
        if let Some(value) = value {
            values.push(value.to_owned().into());
            sql.push_str(&format!(" AND {column} = ?{}", values.len()));
        }
    }
    if let Some(themes) = wanted.theme {
        let known = themes
            .iter()
            .filter_map(|id| picture.whole().themes.get(id));
        let number: u64 = known.flat_map(|theme| theme.messages).sum();
        let themes: Vec<String> = themes.iter().map(i64::to_string).collect();
        let themes = themes.join(",");
        // Of a theme of many, the newest ones are soon met on the way from the newest message; those of a rare one are looked up.
        sql.push_str(&match number > COMMON {
            true => format!(" AND EXISTS (SELECT 1 FROM message_theme WHERE message_id = message.id AND theme_id IN ({themes}))"),
            false => format!(" AND id IN (SELECT message_id FROM message_theme WHERE theme_id IN ({themes}))"),
        });
    }
    for id in &picture.hidden {
        values.push(id.clone().into());
        sql.push_str(&format!(" AND campaign_id IS NOT ?{}", values.len()));
    }
    for (campaign, question) in picture.stopped.each() {
        values.extend([campaign.to_owned().into(), question.to_owned().into()]);
        let (campaign, question) = (values.len() - 1, values.len());
        sql.push_str(&format!(
            " AND NOT (campaign_id IS ?{campaign} AND question_id IS ?{question})"
        ));
    }
    if let Some((at, id)) = wanted.before {
        values.extend([at.to_owned().into(), id.to_owned().into()]);
        let (at, id) = (values.len() - 1, values.len());
        sql.push_str(&format!(" AND (published_at, id) < (?{at}, ?{id})"));
    }
    sql.push_str(&format!(
        " ORDER BY published_at DESC, id DESC LIMIT {most}"
    ));
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(values), message_of)?;
    let is_there = |row: &booth_database::Result<Message>| match row {
        Ok(message) => !city.withheld.has(&message.id),
        Err(_) => true,
    };
    rows.filter(is_there).collect()
}

/// One published message.
pub(crate) fn one(
    city: &City,
    db: &Connection,
    picture: &Picture,
    id: &str,
) -> booth_database::Result<Option<Message>> {
    let message = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message WHERE id = ?1 AND {SHOWN}"
        ))?
        .query_row(params![id], message_of)
        .optional()?;
    Ok(message.filter(|message| {
        let campaign = message.campaign.as_ref();
        let is_public = campaign.is_none_or(|id| !picture.hidden.contains(id));
        let (campaign, question) = (message.campaign.as_deref(), message.question.as_deref());
        let is_stopped = picture.stopped.has_some(campaign, question);
        is_public && !is_stopped && !city.withheld.has(id)
    }))
}

/// The ideas that a message is part of.
pub(super) fn ideas_of(db: &Connection, id: &str) -> booth_database::Result<Vec<i64>> {
    db.prepare_cached("SELECT idea_id FROM message_idea WHERE message_id = ?1 ORDER BY idea_id")?
        .query_map([id], |row| row.get(0))?
        .collect()
}

/// The part of the day in which an hour lies, as open data has it.
pub(crate) fn part_of_day(hour: u8) -> &'static str {
    match hour {
        0..6 => "night",
        6..12 => "morning",
        12..18 => "afternoon",
        _ => "evening",
    }
}

/// When, where and how a message came, in one line.
pub(super) fn circumstances(voice: &Voice<'_>, picture: &Picture, message: &Message) -> Markup {
    let stand = picture
        .stands
        .iter()
        .find(|stand| Some(stand.number) == message.placement);
    let area = message.area.as_deref().and_then(|id| picture.area(id));
    let part = voice.say(&format!("part-{}", part_of_day(message.hour)));
    html! {
        @if let Some(stand) = stand { bdi { (stand.place) } ", " }
        @if let Some(area) = area { a href=(voice.here(&format!("area/{}", segment(&area.id)))) { bdi { (area.name) } } " · " }
        (voice.day(&message.day)) ", " (part) " · " (voice.source(message.source))
    }
}

/// The themes of a message.
pub(super) fn chips(voice: &Voice<'_>, picture: &Picture, message: &Message) -> Markup {
    html! {
        @if !message.themes.is_empty() {
            ul class="chips" aria-label=(voice.say("themes")) {
                @for theme in message.themes.iter().filter_map(|id| picture.themes.get(id)) { li { (voice.said(&theme.name)) } }
            }
        }
    }
}

/// A message within a list.
pub(super) fn card(voice: &Voice<'_>, picture: &Picture, message: &Message) -> Markup {
    let language = voice.language();
    let translated = message
        .translation
        .as_ref()
        .filter(|(_, lang)| lang.as_deref() == Some(language));
    let other = |lang: &Option<String>| lang.clone().filter(|lang| lang != language);
    let address = voice.here(&format!("message/{}", segment(&message.id)));
    let opens = if message.has_voice {
        "message-open-voice"
    } else {
        "message-open"
    };
    html! {
        article class="card message" {
            @match translated {
                Some((text, _)) => {
                    blockquote dir="auto" { span class="more" { (text) } }
                    p class="meta" { (voice.say("translated")) }
                },
                None => { blockquote lang=[other(&message.transcript_lang)] dir="auto" { span class="more" { (message.transcript) } } },
            }
            (chips(voice, picture, message))
            p class="meta" { (circumstances(voice, picture, message)) }
            p { a href=(address) aria-label=(format!("{}: {}", voice.say(opens), super::voice::start_of(&message.transcript))) {
                (voice.say(opens))
            } }
        }
    }
}
