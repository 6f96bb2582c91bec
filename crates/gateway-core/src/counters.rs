//! What citizens did, counted per card and per local day.
//!
//! Owns: `*_total` (never reset by a restart) and `*_today` (since local midnight). Never does: know
//! what day it is; the caller says.

use std::collections::BTreeMap;

use booth_contract::Health;

/// Something that is counted (contract §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// The handset was lifted.
    Lifts,
    /// A recording was kept.
    Clips,
    /// A choice by digit was kept.
    Choices,
    /// Goodbye was said without a choice.
    Refused,
    /// Hung up before a choice.
    LeftEarly,
    /// A take too short to keep, or ended before it began.
    Discarded,
    /// An emergency number was dialled.
    EmergencyDialled,
    /// Somebody dialled digits in the form of a service code that are not this booth's code.
    WrongCodes,
}

impl Counter {
    /// All of them.
    pub const ALL: [Counter; 8] = [
        Counter::Lifts,
        Counter::Clips,
        Counter::Choices,
        Counter::Refused,
        Counter::LeftEarly,
        Counter::Discarded,
        Counter::EmergencyDialled,
        Counter::WrongCodes,
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
            Counter::WrongCodes => "wrong_codes",
        }
    }

    /// Where its counts stand in health: in total, and today.
    fn places(self, health: &mut Health) -> (&mut Option<u64>, &mut Option<u64>) {
        match self {
            Counter::Lifts => (&mut health.lifts_total, &mut health.lifts_today),
            Counter::Clips => (&mut health.clips_total, &mut health.clips_today),
            Counter::Choices => (&mut health.choices_total, &mut health.choices_today),
            Counter::Refused => (&mut health.refused_total, &mut health.refused_today),
            Counter::LeftEarly => (&mut health.left_early_total, &mut health.left_early_today),
            Counter::Discarded => (&mut health.discarded_total, &mut health.discarded_today),
            Counter::EmergencyDialled => (
                &mut health.emergency_dialled_total,
                &mut health.emergency_dialled_today,
            ),
            Counter::WrongCodes => (&mut health.wrong_codes_total, &mut health.wrong_codes_today),
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
    /// Bytes handed to the connection since local midnight.
    sent_today: u64,
    /// How many boots of this card were caused by a watchdog's reset, and the number of the latest such boot.
    watchdog_resets: u64,
    watchdog_boot: u64,
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
        let read = |name: &str| saved.get(name).copied().unwrap_or(0);
        counters.sent_today = read("tx_bytes_today");
        counters.watchdog_resets = read("watchdog_resets");
        counters.watchdog_boot = read("watchdog_boot");
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
        saved.insert("tx_bytes_today".into(), self.sent_today);
        saved.insert("watchdog_resets".into(), self.watchdog_resets);
        saved.insert("watchdog_boot".into(), self.watchdog_boot);
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

    /// Counts bytes that were handed to the connection, on this local day. They are saved together with the next other
    /// change, so a restart loses the bytes since then; saving them by themselves would cost the card a write for every
    /// message.
    pub fn sent(&mut self, bytes: u64, day: i64) {
        self.turn_to(day);
        self.sent_today = self.sent_today.saturating_add(bytes);
    }

    /// Takes bytes off the count that were not sent after all.
    pub fn unsent(&mut self, bytes: u64) {
        self.sent_today = self.sent_today.saturating_sub(bytes);
    }

    /// Bytes handed to the connection since local midnight.
    pub fn sent_today(&self) -> u64 {
        self.sent_today
    }

    /// Notes that a watchdog's reset caused this boot of the card; true if that was not known yet.
    pub fn watchdog_reset(&mut self, boot_count: u64) -> bool {
        let is_news = self.watchdog_boot != boot_count;
        if is_news {
            self.watchdog_boot = boot_count;
            self.watchdog_resets = self.watchdog_resets.saturating_add(1);
        }
        is_news
    }

    /// How many boots of this card were caused by a watchdog's reset, as far as this program saw them.
    pub fn watchdog_resets(&self) -> u64 {
        self.watchdog_resets
    }

    /// Starts `today` anew when the day is another one.
    pub fn turn_to(&mut self, day: i64) {
        if day != self.day {
            self.day = day;
            self.today.clear();
            self.sent_today = 0;
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
            let (total, today) = counter.places(health);
            *total = Some(self.total(counter));
            *today = Some(self.today(counter));
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
    fn a_watchdogs_reset_is_counted_once_for_its_boot_however_often_the_program_starts() {
        let mut counters = Counters::default();
        assert!(counters.watchdog_reset(4));
        let mut again = Counters::restored(&counters.saved());
        assert!(!again.watchdog_reset(4));
        assert_eq!(again.watchdog_resets(), 1);
        assert!(again.watchdog_reset(7));
        assert_eq!(Counters::restored(&again.saved()).watchdog_resets(), 2);
    }

    #[test]
    fn sent_bytes_begin_anew_at_midnight_and_go_on_after_a_restart() {
        let mut counters = Counters::default();
        counters.sent(1_000, 20_000);
        counters.sent(234, 20_000);
        let mut again = Counters::restored(&counters.saved());
        again.turn_to(20_000);
        assert_eq!(again.sent_today(), 1_234);
        again.sent(u64::MAX, 20_000);
        assert_eq!(again.sent_today(), u64::MAX);
        again.turn_to(20_001);
        assert_eq!(again.sent_today(), 0);
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
