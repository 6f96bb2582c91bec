//! `booth-hub serve`: builds the hub from its parts and runs it until it is told to stop.
//!
//! Owns: the order of starting and stopping, and what systemd hears. Never does: any part's own work.
//! A failure at start leaves nothing running and one sentence.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::config::HubConfig;
use super::login::Login;
use super::mqtt::Link;
use super::store::{BrokerStatus, Store, StoreError, StoreRules, StoreViews};
use super::{http, worker};
use crate::config::ConfigError;
use crate::contract::Topics;

/// Why the hub did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot work: exit 78.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The pages' address.
    #[error("the pages cannot listen on {0}: {1}; change [http] listen or stop the other program")]
    Listen(SocketAddr, io::Error),
    /// The pages ended.
    #[error("the pages ended: {0}")]
    Pages(io::Error),
    /// A thread or signal handler could not be set up.
    #[error("the system refuses: {0}")]
    System(io::Error),
    /// The store's thread ended by itself.
    #[error("the store's thread ended by itself")]
    Link,
}

/// Runs the hub until SIGTERM or SIGINT.
pub async fn serve(config: HubConfig) -> Result<(), ServeError> {
    let login = Login::new(&config, config.broker()?)?;
    let store = Store::open(&StoreRules {
        dir: config.store.dir.clone(),
        max_clip_bytes: config.store.max_clip_bytes,
        root: config.mqtt.root.clone(),
    })?;
    let listen = config.http.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| ServeError::Listen(listen, error))?;
    let address = listener
        .local_addr()
        .map_err(|error| ServeError::Listen(listen, error))?;

    let status = Arc::new(Mutex::new(BrokerStatus {
        connected: false,
        detail: format!("connecting to {}:{}", login.broker.host, login.broker.port),
    }));
    let views = StoreViews::open(&config.store.dir, config.booths.clone(), status.clone())?;
    let (outcomes_in, outcomes) = mpsc::unbounded_channel();
    let (jobs, store_thread) = worker::start(store, outcomes_in).map_err(ServeError::System)?;

    let (stop, stopped) = watch::channel(false);
    let mut pages_stop = stopped.clone();
    let mut pages = tokio::spawn(http::serve(listener, Arc::new(views), async move {
        let _ = pages_stop.wait_for(|stop| *stop).await;
    }));
    let link = Link {
        login,
        topics: Topics::new(config.mqtt.root.clone()),
        jobs,
        outcomes,
        status,
        alive: Box::new(|| tell_systemd(&[NotifyState::Watchdog])),
        stop: stopped,
        connection: 0,
    };
    let mut term = signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = signal(tokio::signal::unix::SignalKind::interrupt())?;
    log::info!(
        "booth-hub is up: pages on http://{address}/, clips in {}",
        config.store.dir.display()
    );
    tell_systemd(&[NotifyState::Ready]);

    let mut link = std::pin::pin!(link.run());
    let result = tokio::select! {
        _ = term.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = &mut link => Err(ServeError::Link),
        ended = &mut pages => Err(ServeError::Pages(match ended {
            Ok(Ok(())) => io::Error::other("without a reason"),
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        })),
    };
    tell_systemd(&[NotifyState::Stopping]);
    let link_is_over = matches!(result, Err(ServeError::Link));
    // Every receiver may be gone already.
    let _ = stop.send(true);
    if !link_is_over {
        link.as_mut().await;
    }
    pages.abort();
    // The link is gone and with it the last sender of jobs: the store ends after its last batch.
    if store_thread.join().is_err() {
        log::error!("the store's thread panicked");
    }
    log::info!("booth-hub has stopped");
    result
}

fn signal(
    kind: tokio::signal::unix::SignalKind,
) -> Result<tokio::signal::unix::Signal, ServeError> {
    tokio::signal::unix::signal(kind).map_err(ServeError::System)
}

/// Without systemd this does nothing.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("systemd does not listen: {error}");
    }
}
