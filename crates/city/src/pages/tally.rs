//! Counters: what a page says in numbers about the city, a campaign, a question or an area.
//!
//! Owns: what is counted as what. Pure. A *message* is spoken or written; a *vote* is counted apart from it, everywhere.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use crate::centre::Source;
use crate::places::exposure;
use crate::small_cells;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody has decided yet.
    Waiting,
    /// To be read here, and perhaps to be heard.
    Published,
    /// Counted and themed, not shown.
    Heard,
    /// Not published, with a reason.
    Rejected,
    /// Taken back by its citizen, or deleted at somebody's request.
    Withdrawn,
    /// Deleted when its time was over.
    Expired,
}

impl Standing {
    pub(super) fn of(state: &str) -> Self {
        match state {
            "published" => Self::Published,
            "heard" => Self::Heard,
            "rejected" => Self::Rejected,
            _ => Self::Waiting,
        }
    }

    fn is_gone(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Expired)
    }
}

/// Where the row of a source lies in an array.
pub(crate) fn place_of(source: Source) -> usize {
    match source {
        Source::Booth => 0,
        Source::Web => 1,
        Source::Phone => 2,
        Source::Workshop => 3,
    }
}

/// Rows of the day in the heat map: two hours each.
pub(crate) const HOURS: usize = 12;

/// A theme within a tally: messages that somebody has listened to and tagged.
#[derive(Debug, Clone, Default)]
pub(crate) struct ThemeTally {
    /// By source.
    pub(crate) messages: [u64; 4],
    /// By week, the Monday.
    pub(crate) weeks: BTreeMap<Date, u64>,
    /// By area.
    pub(crate) areas: BTreeMap<String, u64>,
}

/// See the module's comment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Messages by source and by what became of them.
    pub(crate) messages: [[u64; 6]; 4],
    /// Votes cast, by source; what was taken back is not among them.
    pub(crate) votes: [u64; 4],
    /// Votes cast by digit and source.
    pub(crate) choices: BTreeMap<u8, [u64; 4]>,
    /// Messages of booths by weekday (Monday first) and two hours.
    pub(crate) hours: [[u64; HOURS]; 7],
    /// Messages by week (the Monday) and source.
    pub(crate) weeks: BTreeMap<Date, [u64; 4]>,
    /// Messages by area and source.
    pub(crate) areas: BTreeMap<String, [u64; 4]>,
    /// By theme.
    pub(crate) themes: BTreeMap<i64, ThemeTally>,
    /// Messages that are part of an idea.
    pub(crate) grouped: u64,
    /// Minutes in which booths were ready.
    pub(crate) ready_minutes: u64,
    /// The same by area.
    pub(crate) ready_minutes_of_areas: BTreeMap<String, u64>,
    /// Areas in which a booth stands or stood.
    pub(crate) areas_with_booth: BTreeSet<String>,
}

/// One message or vote, as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) source: Source,
    pub(super) is_vote: bool,
    pub(super) standing: Standing,
    pub(super) choice: Option<u8>,
    pub(super) area: Option<&'a str>,
    pub(super) week: Option<Date>,
    pub(super) hour: usize,
    pub(super) weekday: usize,
}

impl Tally {
    pub(super) fn add(&mut self, one: &Counted<'_>) {
        let source = place_of(one.source);
        if one.is_vote {
            if !one.standing.is_gone() {
                self.votes[source] += 1;
                if let Some(choice) = one.choice {
                    self.choices.entry(choice).or_default()[source] += 1;
                }
            }
            return;
        }
        self.messages[source][one.standing as usize] += 1;
        if one.standing.is_gone() {
            return;
        }
        if let Some(week) = one.week {
            self.weeks.entry(week).or_default()[source] += 1;
        }
        if let Some(area) = one.area {
            entry(&mut self.areas, area)[source] += 1;
        }
        if one.source == Source::Booth {
            let row = &mut self.hours[one.weekday.clamp(1, 7) - 1];
            row[(one.hour / 2).min(HOURS - 1)] += 1;
        }
    }

    /// Counts everything that another tally counted, too. Ready minutes are no part of it: they belong to a place, not to a message.
    pub(super) fn take_in(&mut self, other: &Self) {
        for (own, more) in self.messages.iter_mut().zip(&other.messages) {
            add_all(own, more);
        }
        for (own, more) in self.hours.iter_mut().zip(&other.hours) {
            add_all(own, more);
        }
        add_all(&mut self.votes, &other.votes);
        for (choice, more) in &other.choices {
            add_all(self.choices.entry(*choice).or_default(), more);
        }
        for (week, more) in &other.weeks {
            add_all(self.weeks.entry(*week).or_default(), more);
        }
        for (area, more) in &other.areas {
            add_all(entry(&mut self.areas, area), more);
        }
        for (theme, more) in &other.themes {
            let own = self.themes.entry(*theme).or_default();
            add_all(&mut own.messages, &more.messages);
            for (week, number) in &more.weeks {
                *own.weeks.entry(*week).or_default() += number;
            }
            for (area, number) in &more.areas {
                *entry(&mut own.areas, area) += number;
            }
        }
        self.grouped += other.grouped;
    }

    /// Everything that came in, also what was withdrawn since.
    pub(crate) fn received(&self) -> u64 {
        self.messages.iter().flatten().sum()
    }

    /// Messages that were not taken back, by source; also those whose time is over, so that a rate does not sink with time.
    pub(crate) fn kept_by_source(&self) -> [u64; 4] {
        self.messages
            .map(|row| row.iter().sum::<u64>() - row[Standing::Withdrawn as usize])
    }

    /// Messages that stand so.
    pub(crate) fn standing(&self, standing: Standing) -> u64 {
        self.messages.iter().map(|row| row[standing as usize]).sum()
    }

    /// Messages about which somebody has decided.
    pub(crate) fn moderated(&self) -> u64 {
        [Standing::Published, Standing::Heard, Standing::Rejected]
            .map(|standing| self.standing(standing))
            .iter()
            .sum()
    }

    /// Votes cast.
    pub(crate) fn votes_cast(&self) -> u64 {
        self.votes.iter().sum()
    }

    /// Messages that came from a booth and are still here, for each booth-day; nothing where no such day is known, or there are too few messages.
    pub(crate) fn per_booth_day(&self) -> Option<f64> {
        rate(self.kept_by_source()[0], self.ready_minutes)
    }

    /// The same in one area.
    pub(crate) fn per_booth_day_in(&self, area: &str) -> Option<f64> {
        let here = self.areas.get(area).map_or(0, |row| row[0]);
        let minutes = self.ready_minutes_of_areas.get(area);
        rate(here, minutes.copied().unwrap_or(0))
    }
}

fn add_all<const N: usize>(own: &mut [u64; N], more: &[u64; N]) {
    for (own, more) in own.iter_mut().zip(more) {
        *own += more;
    }
}

/// Of the number as it is shown: the exact one could be told from its rate.
fn rate(messages: u64, ready_minutes: u64) -> Option<f64> {
    let shown = small_cells::shown(messages);
    (shown > 0).then(|| exposure::per_booth_day(shown, ready_minutes))?
}

/// Minutes as booth-days.
pub(crate) fn booth_days(ready_minutes: u64) -> f64 {
    ready_minutes as f64 / exposure::BOOTH_DAY as f64
}

/// The entry of a key, which is copied only the first time.
pub(super) fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key)
        .unwrap_or_else(|| unreachable!("it was just put in"))
}
