//! The path of a campaign, and the result of a vote.

use super::{Scope, source_heads};
use crate::draw::{self, Amount, Bar, Cell, Chart, Step, Table};
use crate::pages::known::{CampaignNow, Phase};
use crate::pages::picture::Picture;
use crate::pages::tally::{Standing, Tally};
use crate::pages::voice::Voice;
use crate::small_cells;

pub(super) fn path(
    one: &CampaignNow,
    tally: &Tally,
    picture: &Picture,
    voice: &Voice<'_>,
) -> Option<Chart> {
    let heard = tally.received();
    let votes = tally.votes_cast()
        + one
            .ideas
            .iter()
            .filter_map(|idea| idea.vote.as_ref())
            .filter(|(campaign, ..)| *campaign != one.asked.id)
            .map(|(campaign, question, digit)| {
                let tally = picture.of_question(campaign, question);
                tally.choices.get(digit).map_or(0, |row| row.iter().sum())
            })
            .sum::<u64>();
    let outcomes = one
        .ideas
        .iter()
        .filter(|idea| !idea.outcome.is_empty())
        .count() as u64;
    let decided = outcomes + u64::from(!one.reply.is_empty());
    let messages = [heard, tally.moderated(), tally.grouped].map(Amount::of);
    let votes_shown = Amount::of(votes);
    let share = |amount: Amount| match amount {
        Amount::Number(number) if heard > 0 => Some(number as f64 / heard as f64),
        _ => None,
    };
    let ideas = one.ideas.len() as u64;
    let withdrawn = voice.counted(
        "path-withdrawn",
        Amount::of(tally.standing(Standing::Withdrawn)),
    );
    let steps = [
        (
            "heard",
            messages[0],
            format!("{} {withdrawn}", voice.counted("path-heard-n", messages[0])),
            share(messages[0]),
            heard > 0,
        ),
        (
            "moderated",
            messages[1],
            voice.counted("path-moderated-n", messages[1]),
            share(messages[1]),
            tally.moderated() > 0,
        ),
        (
            "grouped",
            messages[2],
            voice.whole("path-grouped-n", ideas),
            share(messages[2]),
            ideas > 0,
        ),
        (
            "voted",
            votes_shown,
            voice.counted("path-voted-n", votes_shown),
            None,
            votes > 0,
        ),
        (
            "decided",
            Amount::Number(decided),
            voice.whole("path-decided-n", decided),
            None,
            decided > 0 || one.phase == Phase::Decided,
        ),
    ];
    let mut drawn = Vec::new();
    let mut rows = Vec::new();
    for (name, number, counts, share, is_reached) in steps {
        let name = voice.say(&format!("path-{name}"));
        rows.push(vec![
            Cell::Text(name.clone()),
            Cell::Amount(number),
            Cell::Text(counts.clone()),
        ]);
        drawn.push(Step {
            name,
            number: voice.tongue.amount(number),
            counts,
            share,
            is_reached,
        });
    }
    let title = voice.say("path-title");
    let table = Table {
        caption: title.clone(),
        head: vec![
            voice.say("path-station"),
            voice.say("number"),
            voice.say("path-counts"),
        ],
        rows,
    };
    let (pen, height) = draw::path(&drawn, &voice.tongue);
    Some(Chart::new(
        "path",
        title,
        voice.say("path-what"),
        table,
        pen,
        height,
    ))
}

pub(super) fn votes(
    scope: &Scope,
    tally: &Tally,
    picture: &Picture,
    voice: &Voice<'_>,
) -> Option<Chart> {
    let Scope::Question(campaign, id) = scope else {
        return None;
    };
    let question = picture.campaign(campaign)?.question(id)?;
    if question.options.is_empty() {
        return None;
    }
    let numbers: Vec<[u64; 4]> = question
        .options
        .iter()
        .map(|option| {
            tally
                .choices
                .get(&option.digit)
                .copied()
                .unwrap_or_default()
        })
        .collect();
    let is_over = picture.campaign(campaign)?.are_votes_in;
    let sums: Vec<u64> = numbers.iter().map(|row| row.iter().sum()).collect();
    let said = small_cells::votes(&sums, is_over);
    let whole: u64 = said.each.iter().sum();
    let mut order: Vec<usize> = (0..question.options.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(said.each[*at]));
    let name = |at: usize| {
        voice
            .text(&question.options[at].text, &question.options[at].id)
            .to_owned()
    };
    let amount = |at: usize| match (said.each[at], said.are_exact) {
        (0, false) => Amount::Few,
        (votes, _) => Amount::Number(votes),
    };
    let bars: Vec<Bar> = order
        .iter()
        .map(|at| {
            let share = said.each[*at] as f64 / whole.max(1) as f64 * 100.0;
            let share = voice.tongue.number(share.round() as u64);
            Bar {
                name: name(*at),
                amount: amount(*at),
                // A share beside "under 5" would say what the words do not.
                beside: match amount(*at) {
                    Amount::Few => String::new(),
                    Amount::Number(_) => voice.with("percent", &[("n", &share)]),
                },
            }
        })
        .collect();
    let rows = order.iter().map(|at| {
        let mut cells = vec![Cell::Text(name(*at)), Cell::Amount(amount(*at))];
        cells.extend(
            numbers[*at]
                .iter()
                .map(|count| Cell::Amount(Amount::of(*count))),
        );
        cells
    });
    let mut head = vec![voice.say("votes-option"), voice.say("votes-cast")];
    head.extend(source_heads(voice));
    let title = voice.say("votes-title");
    let table = Table {
        caption: title.clone(),
        head,
        rows: rows.collect(),
    };
    let whole = if whole == 0 {
        Amount::Few
    } else {
        Amount::Number(whole)
    };
    let what = voice.counted(
        if is_over {
            "votes-what"
        } else {
            "votes-what-open"
        },
        whole,
    );
    let (pen, height) = draw::bars(&bars, &voice.tongue);
    Some(Chart::new("votes", title, what, table, pen, height))
}
