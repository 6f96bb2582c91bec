//! `booth-hub import`: which store takes the clips of a pulled card, and what is said of it.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use booth_contract::BoothId;
use booth_host::{complain, crew, say};
use booth_hub::config::HubConfig;
use booth_hub::imports;
use booth_hub::imports::card::{self, Exported};
use booth_hub::recordings::Keeper;
use booth_hub::serve::{self, ServeError, Signals};
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

/// The command. SIGTERM and SIGINT end it between two clips, and nothing of a card's export stays.
pub(super) async fn run(
    config: HubConfig,
    source: PathBuf,
    booth: Option<String>,
    json: bool,
) -> Result<(), Failure> {
    let mut signals = Signals::hear()?;
    let is_to_end = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_to_end);
    let work = move || take_in(&config, &source, booth.as_deref(), json, &told);
    let mut work = pin!(crew::aside("import", work));
    loop {
        tokio::select! {
            taken = &mut work => return taken.unwrap_or_else(|death| Err(Failure::Operation(death.to_string()))),
            () = signals.one() => is_to_end.store(true, Ordering::Relaxed),
        }
    }
}

fn take_in(
    config: &HubConfig,
    source: &Path,
    booth: Option<&str>,
    json: bool,
    is_to_end: &AtomicBool,
) -> Result<(), Failure> {
    let booth = booth.map(BoothId::parse).transpose();
    let booth = booth.map_err(|error| Failure::Operation(error.to_string()))?;
    // Deleted at the end, whatever comes.
    let exported = match card::is_one(source) {
        true => Some(Exported::of(
            source,
            &config.store.dir,
            config.store.reserve_bytes,
            is_to_end,
        )?),
        false => None,
    };
    let exports = exported.as_ref().map(Exported::folder);
    let folder = exports.as_deref().unwrap_or(source);
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
            !is_to_end.load(Ordering::Relaxed)
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
