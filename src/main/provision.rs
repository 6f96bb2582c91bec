//! `booth-gateway provision`: provisions, or brings the status file up to date, and logs what came of it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use booth_gateway::provision::{self, Outcome, Places, Source};
use booth_gateway::update::{self, state::Store};
use booth_host::{clock, journal};
use booth_spool::real_disk::RealDisk;

use crate::EX_CONFIG;
use crate::arguments::ProvisionArguments;

/// The verb `provision`.
pub(super) fn run(arguments: &ProvisionArguments) -> ExitCode {
    journal::init("booth-provision", log::LevelFilter::Info);
    let places = Places::new(
        &arguments.boot,
        &arguments.data,
        arguments.config.as_deref(),
    )
    .with_network(arguments.network.as_deref())
    .with_secrets(arguments.secrets.as_deref());
    let store = arguments.trust.as_ref().map(|folder| Store {
        disk: Arc::new(RealDisk::shared()),
        folder: folder.clone(),
    });
    let without_data = arguments.without_data.as_deref();
    match arguments.status {
        true => refresh(&places, without_data, store.as_ref()),
        false => provision(&places, without_data, store.as_ref()),
    }
}

fn refresh(places: &Places, without_data: Option<&Path>, store: Option<&Store>) -> ExitCode {
    // The image makes the folder; a machine without it takes no updates.
    if let Some(store) = store
        && store.folder.is_dir()
        && clock::clock_synced()
        && let Err(error) = store.see_day(update::day_of(clock::wall()))
    {
        log::warn!("the day: {}: {error}", store.folder.display());
    }
    match provision::refresh_status(places, without_data) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("BOOTH-STATUS.TXT: {error}");
            ExitCode::FAILURE
        }
    }
}

fn provision(places: &Places, without_data: Option<&Path>, store: Option<&Store>) -> ExitCode {
    // The keys come first: a key that the technician has removed must not count any more, even if the rest fails.
    if let Some(store) = store
        && let Some(trust) = provision::trusted(&RealDisk::new(), &places.boot)
        && let Err(error) = store.trust(&trust)
    {
        log::error!("the keys of updates: {}: {error}", store.folder.display());
    }
    match provision::provision_here(places, without_data) {
        Ok(outcome) => {
            log_outcome(&outcome);
            match outcome.source {
                Source::Card | Source::Kept { .. } => ExitCode::SUCCESS,
                Source::NotSetUp => ExitCode::from(EX_CONFIG),
            }
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn log_outcome(outcome: &Outcome) {
    for line in outcome.faults.iter().chain(&outcome.notes) {
        log::warn!("{line}");
    }
    for news in &outcome.secrets {
        match &news.fault {
            Some(why) => log::warn!("{}: {why}", news.role.key()),
            None if news.is_new => log::info!("{}: taken from the card", news.role.key()),
            None => {}
        }
    }
    for secret in outcome.networks.iter().flat_map(|network| &network.secrets) {
        match &secret.fault {
            Some(why) => log::warn!("[network] {}: {why}", secret.name),
            None if secret.is_new => log::info!("[network] {}: taken from the card", secret.name),
            None => {}
        }
    }
    match &outcome.source {
        Source::Card => log::info!("set up with the card's booth.toml"),
        Source::Kept { since } => {
            log::warn!("the booth goes on with its configuration of {since}");
        }
        Source::NotSetUp => log::error!("the booth is not set up"),
    }
}
