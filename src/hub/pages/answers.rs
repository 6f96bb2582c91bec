//! The page for people: how many answered what, where and when, and the answers themselves.

use maud::{Markup, html};

use super::paging::Part;
use super::{Base, bars, count, moment, page};
use crate::hub::view::{AnswersView, ClipView};

/// Days in the chart.
const DAYS: usize = 14;

/// The page; `size` is how many clips one has, if its address says it.
pub fn answers(view: &AnswersView, size: Option<usize>) -> Markup {
    let named = |id: &str, name: &str| {
        if name.is_empty() {
            id.to_owned()
        } else {
            name.to_owned()
        }
    };
    let by_booth: Vec<(String, u64)> = view
        .by_booth
        .iter()
        .map(|(id, name, number)| (named(id, name), *number))
        .collect();
    let by_day: Vec<(String, u64)> = view
        .by_day
        .iter()
        .rev()
        .take(DAYS)
        .map(|(day, number)| (day.to_string(), *number))
        .collect();
    let part = Part {
        what: "spoken answers",
        newer: view.newer,
        shown: view.clips.len() as u64,
        total: view.spoken,
        ends: view
            .clips
            .first()
            .zip(view.clips.last())
            .map(|(first, last)| (first.cursor(), last.cursor())),
        size,
        newest: "./",
    };
    let by_day_title = match view.by_day.len() {
        0..=DAYS => "By day".to_owned(),
        days => format!("By day, the last {DAYS} of {days}"),
    };
    let body = html! {
        p.note { "This page is internal: until a person has listened, no answer may be published." }
        h1 { (count(view.total, "answer", "answers")) " from " (count(view.by_booth.len() as u64, "booth", "booths")) }
        @if view.total == 0 {
            p { "Nobody has answered yet. A clip appears here as soon as a booth has delivered it; "
                a href="operations" { "Operations" } " shows whether the booths can take messages." }
        } @else {
            div.grid {
                section.card { h2 { "By question" } (bars("Answers by question", &view.by_question)) }
                section.card { h2 { "By booth" } (bars("Answers by booth", &by_booth)) }
                section.card { h2 { (by_day_title) } (bars("Answers by day, newest first", &by_day)) }
            }
            h2 { @if view.newer == 0 { "Newest answers" } @else { "Answers" } }
            @if view.spoken > 0 {
                p.soft { (part.sentence()) }
                ol.clips { @for clip in &view.clips { (entry(clip)) } }
                (part.links())
            } @else {
                p { "All of them were chosen by a digit; none was spoken." }
            }
        }
    };
    page("Answers", Base::BESIDE, false, &body)
}

fn entry(clip: &ClipView) -> Markup {
    let seconds = clip.duration_ms / 1000;
    let place = if clip.booth_name.is_empty() {
        &clip.booth_id
    } else {
        &clip.booth_name
    };
    let when = clip.started_at.as_deref().unwrap_or(&clip.received_at);
    html! {
        li {
            div {
                strong { (clip.question_id.as_deref().unwrap_or("no question")) } " · " (place)
                div.soft {
                    (moment(when)) " · " (seconds / 60) ":" (format!("{:02}", seconds % 60))
                    @if let Some(lang) = &clip.lang { " · " (lang) }
                }
                @if clip.recovered { span.tag { "recovered after a power cut" } }
                @if !clip.clock_synced { span.tag { "booth's clock was not set" } }
                @if clip.ended_by == "device_lost" { span.tag { "the microphone was lost" } }
            }
            audio controls preload="none" src={ "clips/" (clip.clip_id) }
                aria-label={ "Answer at " (place) ", " (moment(when)) } {}
        }
    }
}
