//! A new version for the fleet, in waves: one booth, then a tenth, then the rest, and no further where one comes back worse.
//!
//! ```text
//! fleet, event/update, reply/update ──facts──▶ plan (pure: who is next, is it over, must it stop?) ──▶ orders: cmd/update ──▶ booths
//!                                  └──▶ rollout.json: a restart of the hub goes on with it
//! ```
//!
//! Owns: `rollout.json` beside the store's database, and the look each ten seconds. Never does: judge an update's signature; each booth does,
//! and keeps the way back.
#![allow(clippy::disallowed_methods)] // sets its file aside

mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use booth_contract::{BoothId, Presence};
use booth_database::Connection;
use booth_host::plain_file;
use jiff::Timestamp;

pub use self::plan::{Facts, Phase, Progress, Rollout, Said, Standing};
use crate::orders::{Orders, order_of};
use crate::store::{self, StoreError};
use crate::view::{FleetView, Views};

/// Longest file that is read, in bytes: ten thousand booths take some 2 MB.
const LONGEST: u64 = 16 << 20;

/// What an operator asked for cannot be done; the sentence says why.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// What was typed, or when.
    #[error("{0}")]
    Not(String),
    /// The file.
    #[error("the rollout cannot be kept in {file}: {why}", file = .0.display(), why = .1)]
    File(PathBuf, io::Error),
}

/// The rollout that is under way, or the last one.
pub struct Rollouts {
    file: PathBuf,
    events: Mutex<Connection>,
    views: Arc<dyn Views>,
    orders: Orders,
    state: Mutex<Option<Rollout>>,
    /// The hub was not connected at the last look, or has just started.
    was_away: AtomicBool,
}

impl Rollouts {
    /// Of the store in this folder; goes on with what was under way.
    ///
    /// # Errors
    /// A database that cannot be opened. A file that cannot be read is set aside and told in the log.
    pub fn open(dir: &Path, views: Arc<dyn Views>, orders: Orders) -> Result<Self, StoreError> {
        let file = dir.join("rollout.json");
        let state = read(&file).unwrap_or_else(|error| {
            log::error!(
                "{} cannot be read, and no rollout goes on: {error}",
                file.display()
            );
            let aside = file.with_extension("json.unreadable");
            if let Err(error) = fs::rename(&file, aside) {
                log::error!("it cannot be set aside: {error}");
            }
            None
        });
        Ok(Self {
            file,
            events: Mutex::new(store::open_for_reading(dir)?),
            views,
            orders,
            state: Mutex::new(state),
            was_away: AtomicBool::new(true),
        })
    }

    fn state(&self) -> MutexGuard<'_, Option<Rollout>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rollout as it is now.
    pub fn now(&self) -> Option<Rollout> {
        self.state().clone()
    }

    /// Begins one for these booths, or for all that the hub knows.
    ///
    /// # Errors
    /// Something that cannot be, or another rollout that is under way.
    pub fn begin(
        &self,
        now: Timestamp,
        by: &str,
        version: &str,
        url: &str,
        booths: &[String],
    ) -> Result<(), RolloutError> {
        let no = |why: String| Err(RolloutError::Not(why));
        let version = version.trim();
        if version.is_empty() || version.len() > 64 || version.chars().any(char::is_whitespace) {
            return no(format!(
                "{version:?} is no version; write it as booths say it, e.g. 0.2.0."
            ));
        }
        let is_address = url.starts_with("https://") || url.starts_with("http://");
        if !is_address || url.chars().any(char::is_whitespace) {
            return no(format!(
                "{url:?} is no address of an update; write https://…"
            ));
        }
        let fleet = self.views.fleet();
        let known: Vec<&str> = fleet
            .booths
            .iter()
            .map(|booth| booth.booth_id.as_str())
            .collect();
        if let Some(unknown) = booths.iter().find(|booth| !known.contains(&booth.as_str())) {
            return no(format!("There is no booth {unknown:?}."));
        }
        let mut named = BTreeSet::new();
        let wanted: Vec<String> = match booths.is_empty() {
            true => known.iter().map(|id| (*id).to_owned()).collect(),
            // A booth that stands there twice has one turn.
            false => booths
                .iter()
                .filter(|booth| named.insert(booth.as_str()))
                .cloned()
                .collect(),
        };
        if wanted.is_empty() {
            return no("There is no booth yet.".into());
        }
        let mut state = self.state();
        if state.as_ref().is_some_and(Rollout::is_under_way) {
            return no("A rollout is under way. Stop it first.".into());
        }
        let rollout = Rollout::new(now, by, version, url, wanted);
        self.keep(&rollout)?;
        *state = Some(rollout);
        Ok(())
    }

    /// No further booth is told, or, with `None`, it goes on where it was stopped: what had failed is tried again.
    ///
    /// # Errors
    /// No rollout, or a file that cannot be written.
    pub fn stop(&self, why: Option<String>) -> Result<(), RolloutError> {
        let mut state = self.state();
        let Some(mut rollout) = state.clone() else {
            return Err(RolloutError::Not("There is no rollout.".into()));
        };
        if rollout.done_at.is_some() {
            let why = "The rollout is over: every booth has the version.";
            return Err(RolloutError::Not(why.into()));
        }
        match why {
            Some(why) => rollout.stop(why),
            None => rollout.go_on(),
        }
        self.keep(&rollout)?;
        *state = Some(rollout);
        Ok(())
    }

    /// Looks how far it is, and tells the booths whose turn it is.
    ///
    /// # Errors
    /// A database that does not answer, or a file that cannot be written; the next look sees the same.
    pub fn look(&self, now: Timestamp) -> Result<(), RolloutError> {
        let mut state = self.state();
        let Some(before) = state.as_ref().filter(|rollout| rollout.is_under_way()) else {
            return Ok(());
        };
        let fleet = self.views.fleet();
        if fleet.is_unknown {
            return Err(RolloutError::Not(fleet.broker_detail));
        }
        // A hub that hears no booth judges none.
        if !fleet.broker_connected {
            self.was_away.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let facts = self
            .facts(fleet)
            .map_err(|error| RolloutError::Not(error.to_string()))?;
        let mut rollout = before.clone();
        if self.was_away.load(Ordering::Relaxed) {
            rollout.hub_was_away(now);
        }
        let next = rollout.step(now, &facts);
        if !next.is_empty() {
            // No booth is told again and again by a hub that cannot write it down.
            self.keep(&rollout)?;
        }
        for id in next {
            let fields = [
                ("command".to_owned(), "update".to_owned()),
                ("url".to_owned(), rollout.url.clone()),
            ];
            let given = BoothId::parse(&id)
                .map_err(|why| why.to_string())
                .and_then(|booth| order_of(&booth, &fields).map_err(|why| why.to_string()))
                .and_then(|order| self.orders.give(order).map_err(|why| why.to_string()));
            match given {
                Ok(()) => log::info!("{id} is told to update to {}", rollout.version),
                Err(why) => {
                    log::warn!(about = "rollout"; "{id} cannot be told to update yet: {why}");
                    rollout.was_not_told(&id);
                }
            }
        }
        if let (None, Some(why)) = (&before.stopped, &rollout.stopped) {
            log::error!(about = "rollout"; "the rollout of {} is stopped: {why}", rollout.version);
        }
        if rollout != *before {
            self.keep(&rollout)?;
            *state = Some(rollout);
        }
        self.was_away.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// What is known of each booth.
    fn facts(&self, fleet: FleetView) -> booth_database::Result<BTreeMap<String, Facts>> {
        let said = self.said()?;
        let booths = fleet.booths.into_iter();
        Ok(booths
            .map(|booth| {
                let facts = Facts {
                    is_online: booth.presence == Some(Presence::Online) && !booth.stale,
                    is_ready: booth.ready == Some(true),
                    version: booth.sw_version,
                    said: said.get(&booth.booth_id).cloned(),
                };
                (booth.booth_id, facts)
            })
            .collect())
    }

    /// What each booth said last of an update.
    fn said(&self) -> booth_database::Result<BTreeMap<String, Said>> {
        let db = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // Each booth's last one is found by an index, however many events there are.
        let mut statement = db.prepare_cached(
            "SELECT event.booth_id, kind, at, payload FROM booth JOIN event ON seq = max(
               coalesce((SELECT max(seq) FROM event e WHERE e.booth_id = booth.booth_id AND e.kind = 'update'), 0),
               coalesce((SELECT max(seq) FROM event e WHERE e.booth_id = booth.booth_id AND e.kind = 'reply/update'), 0))",
        )?;
        let mut rows = statement.query([])?;
        let mut said = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (kind, at): (String, String) = (row.get(1)?, row.get(2)?);
            let payload: String = row.get(3)?;
            let one = match kind.as_str() {
                "update" => Said::read(&at, &payload),
                _ => Said::reply(&at, &payload),
            };
            if let Some(one) = one {
                said.insert(row.get(0)?, one);
            }
        }
        Ok(said)
    }

    /// Durable before anybody is told that it is so.
    fn keep(&self, rollout: &Rollout) -> Result<(), RolloutError> {
        serde_json::to_vec_pretty(rollout)
            .map_err(io::Error::from)
            .and_then(|text| plain_file::replace_private(&self.file, &text))
            .map_err(|error| RolloutError::File(self.file.clone(), error))
    }
}

fn read(file: &Path) -> io::Result<Option<Rollout>> {
    let text = match plain_file::read_at_most(file, LONGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is too long"));
    }
    Ok(Some(serde_json::from_slice(&text)?))
}
