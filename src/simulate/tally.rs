//! The count of a simulation: what was spoken, what came back, and how long that took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// What all booths count together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) connected: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) lifts: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) confirmed: AtomicU64,
    pub(super) discarded: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) parts: AtomicU64,
    pub(super) healths: AtomicU64,
    pub(super) faults: AtomicU64,
    /// How long each clip waited for its confirmation, ms.
    waits: Mutex<Vec<u32>>,
    /// The last reason why a connection failed.
    why: Mutex<Option<String>>,
}

/// The result of a simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Connections that were made.
    pub connections: u64,
    /// Lifts of the handset; each left a message.
    pub lifts: u64,
    /// Messages that the hub has confirmed by their hash.
    pub confirmed: u64,
    /// Messages that were not confirmed when the patience was over.
    pub late: u64,
    /// Messages that the hub refused.
    pub rejected: u64,
    /// Messages that were confirmed and that the hub does not hold; known only with `--metrics`.
    pub lost: Option<u64>,
    /// Messages that the hub holds more than once; known only with `--metrics`.
    pub doubled: Option<u64>,
    /// How many messages the hub holds more than before; known only with `--metrics`.
    pub held: Option<i64>,
    /// Parts that were published.
    pub parts: u64,
    /// Healths that were published.
    pub healths: u64,
    /// Faults that were played.
    pub faults: u64,
    /// From the last word to the confirmation: the middle one, 99 of 100, and the longest; ms.
    pub wait_ms: [u32; 3],
    /// Why a connection failed last, if one did.
    pub trouble: Option<String>,
}

impl Tally {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, wait: Duration) {
        let ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        self.waits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(ms);
    }

    pub(super) fn failed(&self, why: String) {
        *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Messages that are neither confirmed nor refused.
    pub(super) fn on_the_way(&self) -> u64 {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let done = of(&self.confirmed) + of(&self.rejected) + of(&self.discarded);
        of(&self.kept).saturating_sub(done)
    }

    fn quantiles(&self) -> [u32; 3] {
        let mut waits = self
            .waits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        waits.sort_unstable();
        let at = |share: f64| {
            let place = ((waits.len() as f64 * share).ceil() as usize).saturating_sub(1);
            waits.get(place).copied().unwrap_or(0)
        };
        [at(0.5), at(0.99), at(1.0)]
    }

    /// One line of progress.
    pub(super) fn line(&self, since: Duration) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [middle, most, _] = self.quantiles();
        let mut line = format!(
            "{:>5} s  {} connected, {} lifts, {} confirmed, {} on their way; confirmed after {middle} ms, 99 of 100 within {most} ms",
            since.as_secs(),
            of(&self.connected),
            of(&self.lifts),
            of(&self.confirmed),
            self.on_the_way(),
        );
        if let Some(why) = &*self.why.lock().unwrap_or_else(PoisonError::into_inner) {
            line += &format!("; last trouble: {why}");
        }
        line
    }

    pub(super) fn report(&self, took: Duration) -> Report {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Report {
            seconds: took.as_secs_f64(),
            connections: of(&self.connections),
            lifts: of(&self.lifts),
            confirmed: of(&self.confirmed),
            late: self.on_the_way(),
            rejected: of(&self.rejected),
            lost: None,
            doubled: None,
            held: None,
            parts: of(&self.parts),
            healths: of(&self.healths),
            faults: of(&self.faults),
            wait_ms: self.quantiles(),
            trouble: self
                .why
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

impl Report {
    /// With what the hub held before and after. A message that is late may be held and not confirmed.
    pub(super) fn holding(mut self, held: Option<(u64, u64)>) -> Self {
        if let Some((before, after)) = held {
            let more = after as i64 - before as i64;
            self.held = Some(more);
            self.lost = Some((self.confirmed as i64 - more).max(0) as u64);
            self.doubled = Some((more - (self.confirmed + self.late) as i64).max(0) as u64);
        }
        self
    }

    /// Without what the hub holds now, and why.
    pub(super) fn without(mut self, why: String) -> Self {
        self.trouble = Some(why);
        self
    }

    /// Whether nothing is lost, doubled, late or refused.
    pub fn is_good(&self) -> bool {
        self.late == 0
            && self.rejected == 0
            && self.lost.unwrap_or(0) == 0
            && self.doubled.unwrap_or(0) == 0
    }

    /// The result for people.
    pub fn text(&self) -> String {
        let known = |number: Option<u64>| {
            number.map_or_else(
                || "not known (name the hub's --metrics)".to_owned(),
                |number| number.to_string(),
            )
        };
        let [middle, most, longest] = self.wait_ms;
        let mut text = format!(
            "{} lifts, {} messages confirmed in {:.0} s\n  lost:     {}\n  doubled:  {}\n  late:     {}\n  refused:  {}\n  the hub holds {} more than before\n  \
             from the last word to the confirmation: {middle} ms in the middle, {most} ms for 99 of 100, {longest} ms at most\n  \
             {} connections, {} parts, {} healths, {} faults played",
            self.lifts,
            self.confirmed,
            self.seconds,
            known(self.lost),
            known(self.doubled),
            self.late,
            self.rejected,
            self.held
                .map_or_else(|| "an unknown number".to_owned(), |held| held.to_string()),
            self.connections,
            self.parts,
            self.healths,
            self.faults,
        );
        if let Some(why) = &self.trouble {
            text += &format!("\n  last trouble: {why}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hub_holds_tells_what_is_lost_and_what_is_doubled() {
        let tally = Tally::default();
        for _ in 0..10 {
            Tally::add(&tally.kept);
        }
        for ms in 1..=8 {
            Tally::add(&tally.confirmed);
            tally.waited(Duration::from_millis(ms * 100));
        }
        let report = tally.report(Duration::from_secs(1));
        assert_eq!(
            (report.confirmed, report.late, report.wait_ms),
            (8, 2, [400, 800, 800])
        );
        let held = |before, after| {
            let report = report.clone().holding(Some((before, after)));
            (report.lost, report.doubled, report.held)
        };
        assert_eq!(held(5, 13), (Some(0), Some(0), Some(8)));
        assert_eq!(held(5, 15), (Some(0), Some(0), Some(10)));
        assert_eq!(held(5, 11), (Some(2), Some(0), Some(6)));
        assert_eq!(held(5, 17), (Some(0), Some(2), Some(12)));
        assert!(!report.is_good() && report.text().contains("not known"));
    }
}
