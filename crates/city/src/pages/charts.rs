//! The graphics of the pages: which numbers each is drawn from, and in which words.
//!
//! Owns: the list of graphics of each scope, and their addresses `/chart/{lang}/{scope}/{name}.svg` and `.csv`. Never does: draw; `draw` does.

mod campaigns;
mod places;
mod themes;
mod times;

use maud::{Markup, html};

use super::known::CampaignNow;
use super::picture::Picture;
use super::tally::Tally;
use super::voice::{Voice, segment};
use crate::centre::Source;
use crate::draw::{Amount, Cell, Chart};

/// What a page is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    City,
    Campaign(String),
    Question(String, String),
    Area(String),
}

impl Scope {
    /// Its part of the addresses of graphics. A name that holds a dot is written with its escape, so that the parts can be told.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::City => "city".into(),
            Self::Campaign(id) => format!("campaign.{}", segment(id)),
            Self::Question(campaign, id) => {
                format!("question.{}.{}", segment(campaign), segment(id))
            }
            Self::Area(id) => format!("area.{}", segment(id)),
        }
    }

    /// Reads it; the escapes are undone by whoever reads the address, so that a name with a dot is tried in each way.
    pub(crate) fn read(text: &str, picture: &Picture) -> Option<Self> {
        if text == "city" {
            return Some(Self::City);
        }
        let (kind, rest) = text.split_once('.')?;
        match kind {
            "campaign" => picture
                .campaign(rest)
                .map(|_| Self::Campaign(rest.to_owned())),
            "area" => picture.area(rest).map(|_| Self::Area(rest.to_owned())),
            "question" => rest.match_indices('.').find_map(|(at, _)| {
                let (campaign, id) = (&rest[..at], &rest[at + 1..]);
                picture.campaign(campaign)?.question(id)?;
                Some(Self::Question(campaign.to_owned(), id.to_owned()))
            }),
            _ => None,
        }
    }

    pub(crate) fn tally(&self, picture: &Picture) -> Tally {
        match self {
            Self::City => picture.whole().clone(),
            Self::Campaign(id) => picture.of_campaign(id),
            Self::Question(campaign, id) => picture.of_question(campaign, id),
            Self::Area(id) => picture.of_area(id),
        }
    }

    fn campaign<'a>(&self, picture: &'a Picture) -> Option<&'a CampaignNow> {
        match self {
            Self::Campaign(id) | Self::Question(id, _) => picture.campaign(id),
            _ => None,
        }
    }
}

/// Every graphic of a scope, by name. Graphics without numbers are left out.
pub(crate) fn chart(
    name: &str,
    scope: &Scope,
    picture: &Picture,
    voice: &Voice<'_>,
) -> Option<Chart> {
    let tally = scope.tally(picture);
    match name {
        "map" => places::map(scope, &tally, picture, voice),
        "themes" => themes::themes(&tally, picture, voice),
        "weeks" => times::weeks(&tally, voice),
        "hours" => times::hours(&tally, voice),
        "trends" => times::trends(&tally, picture, voice),
        "matrix" => places::matrix(&tally, picture, voice),
        "path" => scope
            .campaign(picture)
            .and_then(|one| campaigns::path(one, &tally, picture, voice)),
        "votes" => campaigns::votes(scope, &tally, picture, voice),
        _ => None,
    }
}

/// A graphic within a page, with its table and its files.
pub(crate) fn figure(
    name: &str,
    scope: &Scope,
    picture: &Picture,
    voice: &Voice<'_>,
    is_open: bool,
) -> Markup {
    let Some(chart) = chart(name, scope, picture, voice) else {
        return html! {};
    };
    let file = format!("chart/{}/{}/{name}", voice.language(), scope.address());
    html! {
        figure class=(if is_open { "chart beside" } else { "chart" }) id=(format!("chart-{name}")) {
            figcaption { h3 { (chart.title) } p { (chart.description) } }
            (chart.svg())
            @if is_open { (chart.table.html(&voice.tongue)) }
            @else { details { summary { (voice.say("chart-table")) } (chart.table.html(&voice.tongue)) } }
            p class="get" {
                a href=(voice.citizen.to(&format!("{file}.svg"))) download aria-label=(format!("{}: {}", voice.say("chart-svg"), chart.title)) { (voice.say("chart-svg")) }
                a href=(voice.citizen.to(&format!("{file}.csv"))) download aria-label=(format!("{}: {}", voice.say("chart-csv"), chart.title)) { (voice.say("chart-csv")) }
            }
        }
    }
}

/// Names of the sources, and how each looks.
const SOURCE_LOOKS: [(Source, (&str, &str)); 4] = [
    (Source::Booth, ("s-booth", "#b3122b")),
    (Source::Web, ("s-web", "#2f6f73")),
    (Source::Phone, ("s-phone", "#c98a1b")),
    (Source::Workshop, ("s-workshop", "#5a5ea6")),
];

fn source_heads(voice: &Voice<'_>) -> Vec<String> {
    SOURCE_LOOKS
        .iter()
        .map(|(source, _)| voice.source(*source))
        .collect()
}

/// Rows of numbers by source: the sum first, then each source.
fn by_source(rows: &[[u64; 4]]) -> Vec<Vec<Amount>> {
    let rows = rows.iter().map(|row| {
        let sum = row.iter().sum();
        [sum]
            .iter()
            .chain(row)
            .map(|count| Amount::of(*count))
            .collect()
    });
    rows.collect()
}

/// Rows of numbers as they are shown.
fn all_shown(rows: &[Vec<u64>]) -> Vec<Vec<Amount>> {
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|count| Amount::of(*count)).collect());
    rows.collect()
}

fn amounts(row: &[Amount]) -> impl Iterator<Item = Cell> + '_ {
    row.iter().map(|amount| Cell::Amount(*amount))
}
