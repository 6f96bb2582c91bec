//! The page for people: how many answered what, where and when, and the answers themselves.

use maud::{Markup, html};

use super::{bars, count, moment, page};
use crate::hub::view::{AnswersView, ClipView};

/// The page; `more` is how many clips its link to more of them asks for.
pub fn answers(view: &AnswersView, more: usize) -> Markup {
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
        .take(14)
        .map(|(day, number)| (day.to_string(), *number))
        .collect();
    let body = html! {
        p.note { "This page is internal: until a person has listened, no answer may be published." }
        h1 { (count(view.total, "answer", "answers")) " from " (count(view.by_booth.len() as u64, "booth", "booths")) }
        @if view.total == 0 {
            p { "Nobody has answered yet. A clip appears here as soon as a booth has delivered it; "
                a href="/operations" { "Operations" } " shows whether the booths can take messages." }
        } @else {
            div.grid {
                section.card { h2 { "By question" } (bars("Answers by question", &view.by_question)) }
                section.card { h2 { "By booth" } (bars("Answers by booth", &by_booth)) }
                section.card { h2 { "By day" } (bars("Answers by day, newest first", &by_day)) }
            }
            h2 { "Newest answers" }
            ol.clips { @for clip in &view.clips { (entry(clip)) } }
            @if (view.clips.len() as u64) < view.total && more <= 1000 {
                p { a href={ "/?clips=" (more) } { "Show more" } }
            }
        }
    };
    page("Answers", false, &body)
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
            audio controls preload="none" src={ "/clips/" (clip.clip_id) }
                aria-label={ "Answer at " (place) ", " (moment(when)) } {}
        }
    }
}
