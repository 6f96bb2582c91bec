//! What citizens did, counted per card and per local day.
//!
//! Owns: `*_total` (never reset by a restart) and `*_today` (since local midnight). Never does: know
//! what day it is; the caller says.

use std::collections::BTreeMap;

use crate::contract::Health;

/// Something that is counted (contract §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// The handset was lifted.
    Lifts,
    /// A recording was kept.
    Clips,
    /// A choice by digit was kept.
    Choices,
    /// Goodbye without a choice.
    Refused,
    /// Hung up before a choice.
    LeftEarly,
    /// A take too short to keep, or ended before it began.
    Discarded,
    /// An emergency number was dialled.
    EmergencyDialled,
}

impl Counter {
    /// All of them.
    pub const ALL: [Counter; 7] = [
        Counter::Lifts,
        Counter::Clips,
        Counter::Choices,
        Counter::Refused,
        Counter::LeftEarly,
        Counter::Discarded,
        Counter::EmergencyDialled,
    ];

    /// The name before `_total` and `_today`.
    pub fn name(self) -> &'static str {
        match self {
            Counter::Lifts => "lifts",
            Counter::Clips => "clips",
            Counter::Choices => "choices",
            Counter::Refused => "refused",
            Counter::LeftEarly => "left_early",
            Counter::Discarded => "discarded",
            Counter::EmergencyDialled => "emergency_dialled",
        }
    }
}

/// The counts of one card.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    total: BTreeMap<Counter, u64>,
    today: BTreeMap<Counter, u64>,
    /// Day number (days since 1970-01-01, local) of `today`.
    day: i64,
}

impl Counters {
    /// What was saved, under the names that [`Counters::saved`] gave.
    pub fn restored(saved: &BTreeMap<String, u64>) -> Self {
        let mut counters = Self::default();
        for counter in Counter::ALL {
            let read = |suffix: &str| saved.get(&format!("{}_{suffix}", counter.name())).copied();
            counters.total.insert(counter, read("total").unwrap_or(0));
            counters.today.insert(counter, read("today").unwrap_or(0));
        }
        counters.day = saved
            .get("day")
            .and_then(|day| i64::try_from(*day).ok())
            .unwrap_or(0);
        counters
    }

    /// Everything, under stable names.
    pub fn saved(&self) -> BTreeMap<String, u64> {
        let mut saved = BTreeMap::new();
        for counter in Counter::ALL {
            saved.insert(format!("{}_total", counter.name()), self.total(counter));
            saved.insert(format!("{}_today", counter.name()), self.today(counter));
        }
        saved.insert("day".into(), u64::try_from(self.day).unwrap_or(0));
        saved
    }

    /// Counts one, on this local day.
    pub fn count(&mut self, counter: Counter, day: i64) {
        self.turn_to(day);
        for counts in [&mut self.total, &mut self.today] {
            let count = counts.entry(counter).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Starts `today` anew when the day is another one.
    pub fn turn_to(&mut self, day: i64) {
        if day != self.day {
            self.day = day;
            self.today.clear();
        }
    }

    /// Since the card's first start.
    pub fn total(&self, counter: Counter) -> u64 {
        self.total.get(&counter).copied().unwrap_or(0)
    }

    /// Since local midnight.
    pub fn today(&self, counter: Counter) -> u64 {
        self.today.get(&counter).copied().unwrap_or(0)
    }

    /// Writes all of them into a health message.
    pub fn report(&self, health: &mut Health) {
        for counter in Counter::ALL {
            health.set_count(&format!("{}_total", counter.name()), self.total(counter));
            health.set_count(&format!("{}_today", counter.name()), self.today(counter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_is_full_stays_full() {
        let saved = BTreeMap::from([("lifts_total".to_owned(), u64::MAX)]);
        let mut counters = Counters::restored(&saved);
        counters.count(Counter::Lifts, 1);
        assert_eq!(counters.total(Counter::Lifts), u64::MAX);
    }

    #[test]
    fn counts_survive_a_restart_and_today_ends_at_midnight() {
        let mut counters = Counters::default();
        counters.count(Counter::Lifts, 20_000);
        counters.count(Counter::Lifts, 20_000);
        let mut again = Counters::restored(&counters.saved());
        assert_eq!(again, {
            let mut whole = counters.clone();
            for counter in Counter::ALL {
                whole.total.entry(counter).or_default();
                whole.today.entry(counter).or_default();
            }
            whole
        });
        again.count(Counter::Lifts, 20_001);
        assert_eq!(
            (again.total(Counter::Lifts), again.today(Counter::Lifts)),
            (3, 1)
        );
    }
}
