//! The page for people: how many answered what, where and when, and the answers themselves.

use maud::{Markup, html};

use super::paging::Part;
use super::{Base, Head, bars, count, grouped, moment, more, page};
use crate::ingest::shortened;
use crate::view::{AnswersView, BURST_VOTES, ClipView, MOST_DAYS, PollView};

/// The page; `size` is the number of clips on one page, if the address gives it.
pub fn answers(head: &Head, view: &AnswersView, size: Option<usize>) -> Markup {
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
    let of_days: u64 = view.by_day.iter().map(|(_, number)| number).sum();
    let of_other_days = view.total.saturating_sub(of_days);
    let by_day_title = match of_other_days {
        0 => "By day".to_owned(),
        _ => format!("By day, the last {MOST_DAYS}"),
    };
    let by_question: Vec<(String, u64)> = view
        .by_question
        .iter()
        .map(|(question, number)| (shortened(question), *number))
        .collect();
    let body = html! {
        p.note { "This page is internal: until a person has listened, no answer may be published." }
        h1 { (count(view.total, "answer", "answers")) " from " (count(view.booths, "booth", "booths")) }
        @if view.votes > 0 {
            p.soft { (count(view.total.saturating_sub(view.votes), "was spoken", "were spoken")) ", "
                (count(view.votes, "vote was cast", "votes were cast")) "." }
        }
        @if view.total == 0 {
            p { "Nobody has answered yet. A clip appears here as soon as a booth has delivered it; "
                a href="operations" { "Operations" } " shows whether the booths can take messages." }
        } @else {
            div.grid {
                section.card { h2 { "By question" } (bars("Answers by question", &by_question))
                    (more(view.questions.saturating_sub(by_question.len() as u64), "questions")) }
                section.card { h2 { "By booth" } (bars("Answers by booth", &by_booth))
                    (more(view.booths.saturating_sub(by_booth.len() as u64), "booths")) }
                section.card { h2 { (by_day_title) } (bars("Answers by day, newest first", &by_day))
                    @if of_other_days > 0 { p.soft { (count(of_other_days, "answer", "answers")) " of other days" } } }
            }
            @if !view.polls.is_empty() {
                h2 { "Votes cast" }
                div.grid { @for poll in &view.polls { (votes(poll)) } }
                (more(view.polls_total.saturating_sub(view.polls.len() as u64), "questions with votes"))
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
    page(head, "Answers", Base::BESIDE, &body)
}

/// The votes on one question: as bars, and the same numbers in a table.
fn votes(poll: &PollView) -> Markup {
    let question = shortened(&poll.question_id);
    let named: Vec<(String, u64)> = poll
        .options
        .iter()
        .map(|(digit, number)| (format!("Option {digit}"), *number))
        .collect();
    html! {
        section.card {
            h2 { (question) }
            @if let Some(campaign) = &poll.campaign_id { p.soft { "Campaign " (shortened(campaign)) } }
            (bars(&format!("Votes on {question} by option"), &named))
            table {
                thead { tr { th scope="col" { "Option" } th scope="col" { "Votes cast" } th scope="col" { "Share" } } }
                tbody { @for (digit, number) in &poll.options { tr {
                    td { (digit) } td { (grouped(*number)) } td { (share(*number, poll.votes)) }
                } } }
            }
            p.soft { (count(poll.votes, "vote cast", "votes cast")) }
            @for (why, number) in &poll.not_counted {
                p.warn { (count(*number, "vote", "votes")) " not counted: " (not_counted(why)) }
            }
            @if poll.in_bursts > 0 {
                p.warn { (count(poll.in_bursts, "vote", "votes")) " in bursts" }
                p.soft { (BURST_VOTES) " or more at one booth within " (poll.burst_seconds) " s. They are counted; look at them before the result is used." }
            }
        }
    }
}

/// Why votes are not counted.
fn not_counted(why: &str) -> &'static str {
    match why {
        "used" => "their code had been used before",
        "unknown" => "their code is on no list of this campaign",
        "missing" => "they came without a code, which this question needs",
        _ => "their code is sealed to a key that this hub does not hold",
    }
}

/// A share in percent, with one decimal.
fn share(part: u64, of: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / of.max(1) as f64)
}

/// What the citizen allowed to be published.
fn allowed(publish: &str) -> &'static str {
    match publish {
        "text" => "text may be published",
        "voice" => "text and voice may be published",
        _ => "not to be published",
    }
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
                strong { (clip.question_id.as_deref().map_or("no question".to_owned(), shortened)) } " · " (place)
                div.soft {
                    (moment(when)) " · " (seconds / 60) ":" (format!("{:02}", seconds % 60))
                    @if let Some(lang) = &clip.lang { " · " (shortened(lang)) }
                    @if let Some(campaign) = &clip.campaign_id { " · campaign " (shortened(campaign)) }
                    @if let Some(version) = clip.config_version { " · configuration " (version) }
                    @if let Some(publish) = &clip.publish { " · " (allowed(publish)) }
                    @if let Some(notice) = &clip.notice_id { " · notice " (shortened(notice)) }
                }
                @if clip.child { span.tag { "a child's: never publish its voice" } }
                @if clip.recovered { span.tag { "recovered after a power cut" } }
                @if !clip.clock_synced { span.tag { "booth's clock was not set" } }
                @if clip.ended_by == "device_lost" { span.tag { "the microphone was lost" } }
            }
            @if clip.can_be_heard {
                audio controls preload="none" src={ "clips/" (clip.clip_id) }
                    aria-label={ "Answer at " (place) ", " (moment(when)) } {}
            } @else {
                p.soft { "Sealed: it is opened where the city's key is, with booth-hub open." }
            }
        }
    }
}
