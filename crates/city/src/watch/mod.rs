//! What is wrong with the booths and with the hub itself, watched for whoever is on duty.
//!
//! ```text
//! Centre::sightings ─┐
//! quiet (ready_hour) ┴▶ look ──▶ keep: raised after a while, over after a while ──▶ tell: who is on duty, by mail and webhook
//!                                  ▲ pages: taken on, assigned, noted, snoozed; a booth paused
//! ```
//!
//! Owns: the tables `watch`, `watch_notice` and `watch_pause`; they survive a restart, and what was sent and not noted is sent again. An alert
//! is told once, and once that it is over. Never does: judge a booth's own alerts anew, or send a citizen's words.

mod duty;
mod keep;
mod pages;
mod quiet;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use booth_contract::Severity;
use booth_contract::time::Mono;
use booth_host::clock;
use jiff::{SignedDuration, Timestamp};

pub use duty::{Duty, WatchConfig};
pub(crate) use pages::routes;
pub(crate) use tell::work;

use crate::City;
use crate::alarm;
use crate::places;
use crate::store::CityError;

/// How often it is looked whether a booth is too quiet: that reads weeks of hours.
const QUIET_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Most booths of which that is looked at a time: what arrives waits meanwhile. Ten thousand booths have their turn within [`QUIET_EVERY`].
const QUIET_AT_ONCE: usize = 350;

/// Something that is wrong at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The booth's id; empty for the hub itself.
    pub subject: String,
    /// A booth's alert (contract §3.5), or one of [`KINDS`].
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence in English, where a booth or a library said it; empty where the kind says it all.
    pub text: String,
    /// Since when it is so, as far as that is known.
    pub since: Option<Timestamp>,
    /// The number that belongs to the kind: booths, clips, lifts, seconds; 0 where none does.
    pub number: i64,
}

/// What the centre sees by itself. Each has its sentence and its remedy in the files of languages: `watch-is-…`, `watch-do-…`.
pub const KINDS: [&str; 20] = [
    "silent",
    "fleet_silent",
    "too_quiet",
    "gaps",
    "clock_off",
    "hub_clock",
    "two_machines",
    "where_is",
    "place_unknown",
    "place_refused",
    "broker",
    "disk",
    "backup",
    "bodies",
    "workers",
    "workers_unseen",
    "withdrawals",
    "follow",
    "retention",
    "alarms",
];

/// What is remembered of the looks.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// Of each booth that is ready, whether it is too quiet, and when that was looked at.
    quiet: Mutex<BTreeMap<String, (Timestamp, Option<Sighting>)>>,
    /// The parts of the city's own work that failed when they were tried last, since when they fail, and why.
    failing: Mutex<BTreeMap<&'static str, (Timestamp, String)>>,
    /// When a look went well last, in ms since the machine's start; 0 if none did.
    well_at: AtomicU64,
}

impl Looks {
    /// When a look went well last.
    fn well_at(&self) -> Mono {
        Mono(self.well_at.load(Ordering::Relaxed))
    }

    /// Remembers whether a part of the city's own work went well just now; the next look sees what does not. The kind is one of [`KINDS`].
    pub(crate) fn worked(
        &self,
        kind: &'static str,
        now: Timestamp,
        worked: Result<(), CityError>,
    ) -> Result<(), CityError> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &worked {
            Ok(()) => drop(failing.remove(kind)),
            Err(error) => {
                let one = failing.entry(kind).or_insert((now, String::new()));
                one.1 = error.to_string();
            }
        }
        worked
    }

    fn failing(&self) -> Vec<Sighting> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = failing.iter().map(|(kind, (since, why))| Sighting {
            subject: String::new(),
            kind: (*kind).to_owned(),
            severity: Severity::NeedsVisit,
            text: why.clone(),
            since: Some(*since),
            number: 0,
        });
        seen.collect()
    }
}

impl City {
    /// Looks at what is wrong now.
    ///
    /// # Errors
    /// A database or a hub that does not answer; the next look sees the same.
    pub(crate) fn watch(&self, now: Timestamp) -> Result<(), CityError> {
        self.look(now)?;
        let well_at = clock::mono().0;
        self.looks.well_at.store(well_at, Ordering::Relaxed);
        Ok(())
    }

    fn look(&self, now: Timestamp) -> Result<(), CityError> {
        let paused = self.store.read(|db| keep::paused(db, now))?;
        let mut seen = self.centre.sightings(now, &paused)?;
        seen.extend(self.looks.failing());
        seen.extend(self.store.read(alarm::sightings)?);
        seen.extend(self.too_quiet(now)?);
        seen.extend(self.store.read(places::network::sightings)?);
        seen.extend(self.store.read(places::numbers::sightings)?);
        let is_idle = seen.is_empty() && !self.store.read(keep::has_open)?;
        if is_idle {
            return Ok(());
        }
        self.store.change_quietly(|tx| {
            keep::note(tx, now, &seen)?;
            Ok(tell::call_up(tx, now, &self.zone, &self.config.watch)?)
        })
    }

    fn too_quiet(&self, now: Timestamp) -> Result<Vec<Sighting>, CityError> {
        let quiet = &self.looks.quiet;
        let mut quiet = quiet.lock().unwrap_or_else(PoisonError::into_inner);
        let booths = self.centre.booths()?;
        let ready = booths.into_iter().filter(|booth| booth.is_ready);
        let ready: BTreeSet<String> = ready.map(|booth| booth.id).collect();
        quiet.retain(|booth, _| ready.contains(booth));
        let is_due = |booth: &&String| {
            let looked = quiet.get(*booth);
            looked.is_none_or(|(at, _)| !(*at..*at + QUIET_EVERY).contains(&now))
        };
        let due = ready.iter().filter(is_due).take(QUIET_AT_ONCE);
        let due: Vec<String> = due.cloned().collect();
        let found = self
            .store
            .read(|db| quiet::too_quiet(db, &self.zone, now, &due))?;
        for booth in due {
            let one = found.iter().find(|one| one.subject == booth).cloned();
            quiet.insert(booth, (now, one));
        }
        Ok(quiet.values().filter_map(|(_, one)| one.clone()).collect())
    }
}
