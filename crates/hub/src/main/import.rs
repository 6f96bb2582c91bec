//! `booth-hub import`: which store takes the clips of a pulled card, and what is said of it.

use std::path::Path;

use booth_contract::BoothId;
use booth_host::{complain, say};
use booth_hub::config::HubConfig;
use booth_hub::imports;
use booth_hub::recordings::Keeper;
use booth_hub::serve::{self, ServeError};
use booth_hub::side_door::RunningHub;
use booth_hub::store::{Store, StoreError};

use crate::failure::Failure;

/// So many clips are between two lines of progress.
const TELL_EVERY: usize = 500;

/// The running hub, or the store of one that is stopped, which `store` holds then. Which one it is may change until the lock is asked for: the hub's
/// own lock decides.
pub(super) fn keeper<'a>(
    config: &HubConfig,
    store: &'a mut Option<Store>,
) -> Result<Keeper<'a>, Failure> {
    match serve::stopped_store(config) {
        Ok(opened) => Ok(Keeper::Stopped(store.insert(opened))),
        Err(ServeError::Store(StoreError::InUse(_))) => {
            Ok(Keeper::Running(RunningHub::at(&config.store.dir)?))
        }
        Err(error) => Err(error.into()),
    }
}

/// The command.
pub(super) fn run(
    config: &HubConfig,
    folder: &Path,
    booth: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let booth = booth.map(BoothId::parse).transpose();
    let booth = booth.map_err(|error| Failure::Operation(error.to_string()))?;
    let receipt = imports::open(folder)?;
    let mut store = None;
    let mut keeper = keeper(config, &mut store)?;
    let imported = imports::import(
        &mut keeper,
        folder,
        &receipt,
        booth.as_ref(),
        |done, all| {
            if done % TELL_EVERY == 0 {
                complain!("{done} of {all} clips");
            }
        },
    )?;
    if json {
        say!("{}", serde_json::json!(imported));
    } else {
        for (booth, sums) in imported.by_booth() {
            say!(
                "{booth}: {} taken, {} here before, {} taken back by their citizens, {} not taken.",
                sums.new,
                sums.before,
                sums.taken_back,
                sums.not_taken
            );
        }
        if !imported.withdrawals.is_empty() {
            say!(
                "{} withdrawals of citizens are worked off within a minute.",
                imported.withdrawals.len()
            );
        }
        for sentence in imported.sentences() {
            say!("{}", super::drives_no_terminal(&sentence));
        }
    }
    match imported.has_all() {
        true => {
            if !json {
                say!("The hub has everything that was whole on the card.");
            }
            Ok(())
        }
        false => Err(Failure::Reported),
    }
}
