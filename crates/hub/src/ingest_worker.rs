//! `booth-hub ingest`: a worker that takes in what citizens said at the booths that it has leased, beside the hub that serves.
//!
//! ```text
//! broker ──clips, parts, withdrawals of its booths──▶ worker ── store (its rows in PostgreSQL, its files in the hub's folder)
//!        ◀──ack─────────────────────────────────────────┘        ▲
//!        ──what booths say of themselves──▶ booth-hub serve ─────┘──▶ pages, withdrawals, bodies into the bucket
//! ```
//!
//! Owns: the order of starting and stopping a worker. Never does: serve a page, or say that the hub is there: the hub that serves does. A worker that
//! dies at any moment has acknowledged nothing that is not stored; another one has its booths some seconds later, and the booths send again what was
//! not acknowledged.

mod leases;

use std::sync::{Arc, Mutex};

use booth_contract::Topics;
use booth_host::{clock, crew};
use sd_notify::NotifyState;
use tokio::sync::{mpsc, watch};

pub use self::leases::Leases;
pub(crate) use self::leases::living;

use self::leases::Keeper;
use crate::config::HubConfig;
use crate::fence::{Fence, Hears};
use crate::intake::Intake;
use crate::keys::Keyring;
use crate::login;
use crate::monitoring::Meters;
use crate::mqtt::{Learned, Link};
use crate::presence::About;
use crate::receipts::Opener;
use crate::serve::{ServeError, Signals, alive, open_for, receipt_key, tell_systemd};
use crate::store::{BrokerStatus, Share, Store};
use crate::worker;

/// Runs the worker of this number until SIGTERM or SIGINT.
///
/// # Errors
/// See [`ServeError`].
pub async fn work(config: HubConfig, number: u16) -> Result<(), ServeError> {
    let mut crew = crew::Crew::gather();
    let login = login::login(&config.of_worker(number)?)?;
    let store = open_store(&config, number)?;
    let status = Arc::new(Mutex::new(BrokerStatus {
        connected: false,
        detail: format!("connecting to {}", login.broker),
        rival: None,
    }));
    let meters = Arc::new(Meters::new(clock::mono()));
    #[allow(clippy::disallowed_methods)]
    // It holds at most one outcome for each waiting job, and the number of these is limited.
    let (outcomes_in, outcomes) = mpsc::unbounded_channel();
    let report = move |outcome| outcomes_in.send(outcome).is_ok();
    let (jobs, store_thread) =
        worker::start(store, Arc::clone(&meters), report).map_err(ServeError::System)?;
    let leases = Arc::new(Leases::default());
    let keeper = Keeper::start(
        config.store.dir.clone(),
        number.to_string(),
        Arc::clone(&leases),
    )
    .map_err(ServeError::System)?;

    let topics = Topics::new(config.mqtt.root.clone());
    let (stop, stopped) = watch::channel(false);
    // Commands of operators are sent by the hub that serves.
    let (_no_orders, orders) = mpsc::channel(1);
    let link = Link {
        login,
        topics: topics.clone(),
        about: About::new(&config),
        dir: config.store.dir.clone(),
        intake: Intake::new(topics.clone()),
        fence: Fence::new(topics, Hears::Words, []),
        leases: Some(leases),
        jobs,
        at_store: 0,
        outcomes,
        orders,
        status,
        alive: alive(&meters),
        stop: stopped,
        connection: 0,
        learned: Learned::default(),
        meters,
    };
    let mut signals = Signals::hear()?;
    log::info!(
        "worker {number} is up, clips in {}",
        config.store.dir.display()
    );
    tell_systemd(&[NotifyState::Ready]);
    let mut link = std::pin::pin!(crew::watched("link", link.run()));
    let (result, link_is_over) = signals.or_end_of(&mut crew, link.as_mut()).await;
    crew.dismiss();
    tell_systemd(&[NotifyState::Stopping]);
    let _ = stop.send(true);
    if !link_is_over {
        let _ = link.as_mut().await;
    }
    // Everything that came is answered: other workers may have the booths.
    keeper.end();
    let _ = store_thread.join();
    log::info!("worker {number} has stopped");
    Ok(result?)
}

/// Opens the store of the hub that serves.
fn open_store(config: &HubConfig, number: u16) -> Result<Store, ServeError> {
    let keys = Arc::new(Keyring::read(&config.privacy.identities)?);
    let store = open_for(config, &keys, Share::Worker(number))?.ignoring(config.own_names());
    if keys.is_empty() {
        return Ok(store);
    }
    let opener = Opener::new(keys, receipt_key(config)?);
    Ok(store.opening_new_receipts(opener))
}
