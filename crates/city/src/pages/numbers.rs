//! What a page says first: how many messages came in, from where, and what became of them.
//!
//! Owns: the row of figures. Each figure says what it counts; sources stand apart below it.

use maud::{Markup, html};

use super::tally::{Standing, Tally, booth_days};
use super::voice::Voice;
use crate::centre::Source;
use crate::draw::Amount;

/// One figure: a number, what it counts, and what stands below it.
fn figure(number: &str, label: &str, below: &Markup) -> Markup {
    html! { div { dt { (label) } dd { (number) } @if !below.0.is_empty() { dd class="below" { (below) } } } }
}

fn sources(voice: &Voice<'_>, parts: &[Amount]) -> Markup {
    let shown: Vec<String> = Source::ALL
        .iter()
        .zip(parts)
        .filter(|(_, amount)| **amount != Amount::Few)
        .map(|(source, amount)| {
            voice.with(
                "source-part",
                &[
                    ("source", &voice.source(*source)),
                    ("shown", &voice.tongue.amount(*amount)),
                ],
            )
        })
        .collect();
    html! { (shown.join(" · ")) }
}

/// All figures of a scope.
pub(super) fn figures(voice: &Voice<'_>, tally: &Tally, with_votes: bool) -> Markup {
    let received = Amount::of(tally.received());
    let by_source = |numbers: [u64; 4]| numbers.map(Amount::of);
    let from: [u64; 4] = tally.messages.map(|row| row.iter().sum());
    let none = html! {};
    let standing = |standing: Standing| voice.tongue.amount(Amount::of(tally.standing(standing)));
    html! {
        dl class="figures" {
            (figure(&voice.tongue.amount(received), &voice.say("figure-received"), &sources(voice, &by_source(from))))
            (figure(&standing(Standing::Published), &voice.say("figure-published"), &none))
            (figure(&standing(Standing::Heard), &voice.say("figure-heard"), &html! { (voice.say("figure-heard-what")) }))
            (figure(&standing(Standing::Waiting), &voice.say("figure-waiting"), &none))
            (figure(&standing(Standing::Rejected), &voice.say("figure-rejected"), &none))
            (figure(&standing(Standing::Withdrawn), &voice.say("figure-withdrawn"), &none))
            @if tally.standing(Standing::Expired) > 0 {
                (figure(&standing(Standing::Expired), &voice.say("figure-expired"), &none))
            }
            @if with_votes && tally.votes_cast() > 0 {
                (figure(&voice.tongue.amount(Amount::of(tally.votes_cast())), &voice.say("votes-cast"), &sources(voice, &by_source(tally.votes))))
            }
            @if let Some(rate) = tally.per_booth_day() {
                (figure(&voice.tongue.rate(rate), &voice.say("per-booth-day"), &html! { (voice.with("booth-days-n", &[("shown", &voice.tongue.rate(booth_days(tally.ready_minutes)))])) }))
            }
        }
    }
}
