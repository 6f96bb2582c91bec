//! The page of questions: which are asked, which are stopped and how far the booths are with that, and the one confirmation before a question
//! is stopped or given back.

use maud::{Markup, html};

use super::{Asking, Base, Head, count, grouped, moment, page};
use crate::campaign::stops::{Asked, Seen};

/// Most booths that are named where a stop is not in force yet.
const MOST_NAMED: usize = 20;
/// The page's address, and that of the confirmation.
const HERE: &str = "questions";
const CHANGE: &str = "questions/change";

/// All questions; those that are stopped first.
pub(crate) fn questions(head: &Head, all: &[Asked], is_done: bool) -> Markup {
    let stopped: Vec<(&Asked, &Seen)> = all
        .iter()
        .filter_map(|asked| Some((asked, asked.stop.as_ref()?)))
        .collect();
    let body = html! {
        h1 { (sentence(all.len(), stopped.len())) }
        @if is_done { p.note role="status" { span.good { "✓ " } "It is done. Booths that are connected have it within a minute; load this page again to see how far they are." } }
        p.soft { "A question that is stopped is asked at no booth, and its pages, the messages to it and its votes are hidden from citizens. \
            Nothing is deleted: given back, all of it is there again." }
        @for (asked, seen) in &stopped { (stop(asked, seen)) }
        @if all.is_empty() {
            p { "No campaign is published. What a booth's own booth.toml asks is stopped there." }
        } @else {
            div.scroll tabindex="0" { table {
                thead { tr { th { "Campaign" } th { "Digit" } th { "Question" } th { "State" } } }
                tbody { @for asked in all { (row(asked)) } }
            } }
        }
        p { a href=(Base::BESIDE.to("operations")) { "All booths" } }
    };
    page(head, "Questions", Base::BESIDE, &body)
}

fn sentence(all: usize, stopped: usize) -> String {
    match (all, stopped) {
        (0, _) => "No question is published.".into(),
        (1, 0) => "The question is asked.".into(),
        (all, 0) => format!("All {all} questions are asked."),
        (1, _) => "The question is stopped.".into(),
        (all, 1) => format!("1 of {all} questions is stopped."),
        (all, stopped) => format!("{stopped} of {all} questions are stopped."),
    }
}

fn row(asked: &Asked) -> Markup {
    html! {
        tr {
            td { (asked.title) div.soft { code { (asked.campaign) } } }
            td { @match asked.digit { Some(digit) => (digit), None => "–" } }
            td { (asked.text) div.soft { code { (asked.question) } } }
            td { @match &asked.stop {
                Some(_) => span.bad { "✕ stopped" },
                None => span.good { "✓ asked" },
            } div { a href=(change_of(asked)) {
                @if asked.stop.is_some() { "Give it back" } @else { "Stop it" }
                span.unseen { ": " (asked.text) }
            } } }
        }
    }
}

fn change_of(asked: &Asked) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("campaign", &asked.campaign);
    query.append_pair("question", &asked.question);
    format!("{}?{}", Base::BESIDE.to(CHANGE), query.finish())
}

/// What is stopped, since when, by whom, why, and where that is in force.
fn stop(asked: &Asked, seen: &Seen) -> Markup {
    html! {
        div.note {
            p { span.bad { "✕ Stopped: " } (named(asked)) }
            (facts(seen))
        }
    }
}

fn facts(seen: &Seen) -> Markup {
    let Seen {
        stop,
        in_force,
        connected,
        behind,
        away,
        owed,
    } = seen;
    html! {
        p { "Since " (moment(&stop.at)) " by " (stop.by) ": " (stop.why) }
        p {
            @if *connected == 0 { "None of its booths is connected. " }
            @else if (*in_force, *connected) == (1, 1) { span.good { "✓ " } "In force at the one connected booth. " }
            @else if in_force == connected { span.good { "✓ " } "In force at all " (count(*connected, "connected booth", "connected booths")) ". " }
            @else { span.warn { "… " } "In force at " (grouped(*in_force)) " of " (count(*connected, "connected booth", "connected booths")) ". " }
            @if *away == 1 { "One booth is not connected, and takes it as soon as it is. " }
            @if *away > 1 { (grouped(*away)) " booths are not connected, and take it as soon as they are. " }
            @if *owed > 0 { "The broker has not taken it yet for " (count(*owed, "booth", "booths")) "; the hub tries again at least every half minute. " }
        }
        @if !behind.is_empty() {
            ul {
                @for (booth, what) in behind.iter().take(MOST_NAMED) { li { (booth) ": " (what) } }
                @if behind.len() > MOST_NAMED { li { "and " (grouped((behind.len() - MOST_NAMED) as u64)) " more" } }
            }
        }
    }
}

fn named(asked: &Asked) -> String {
    match asked.text.is_empty() {
        true => format!("{} of {}", asked.question, asked.title),
        false => format!("“{}”, {}", asked.text, asked.title),
    }
}

/// The one confirmation.
pub(crate) fn change(head: &Head, asked: &Asked, asking: &Asking, refused: Option<&str>) -> Markup {
    let base = Base::of("/questions/change");
    let title = match asked.stop {
        None => "Stop this question?",
        Some(_) => "Give this question back?",
    };
    let body = html! {
        h1 { (title) }
        @if let Some(why) = refused { div.note role="alert" { p { span.bad { "Nothing was changed: " } (why) } } }
        blockquote { (named(asked)) }
        form method="post" action=(base.to(CHANGE)) {
            input type="hidden" name="form_token" value=(asking.form_token);
            input type="hidden" name="campaign" value=(asked.campaign);
            input type="hidden" name="question" value=(asked.question);
            @match &asked.stop {
                None => {
                    p { "It is gone from every connected booth within a minute, and from the others as soon as they are connected. A booth without another \
                        question does not invite meanwhile. Its pages, the messages to it and its votes are hidden from citizens, and answers from home are refused." }
                    p { label for="why" { "Why, in one sentence. It stays in the log of acts: do not repeat what a citizen said." } }
                    p { input id="why" name="why" size="60" maxlength="300" required; }
                    button name="do" value="stop" { "Stop it at all booths now" }
                },
                Some(seen) => {
                    (facts(seen))
                    p { "The booths ask it again within a minute, and everything that citizens could see of it is there again." }
                    button name="do" value="resume" { "Ask it again at all booths" }
                },
            }
        }
        p { a href=(base.to(HERE)) { "Leave it as it is" } }
    };
    page(head, title, base, &body)
}
