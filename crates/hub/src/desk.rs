//! `booth-hub serve --sealed`: the desk of a hub that has no private key, on the machine where that key is (docs/hub-sealed.md).
//!
//! Reads the hub's store as files, from its disk, a mount or a copy: opens clips in memory for its own pages on loopback and for those of the
//! hub's staff, which `relay` shows here, and matches what citizens take back. Never does: write a word or a receipt to a disk, talk to the broker, or delete anything itself: it leaves
//! its verdict beside the withdrawal, and whoever may write there is believed by the hub.
#![allow(clippy::disallowed_methods)] // its scratch database is a file of its own

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::config::HubConfig;
use super::http::{self, Names};
use super::keys::Keyring;
use super::receipts::{Opener, ReceiptKey};
use super::relay::Relay;
use super::serve::{ServeError, Signals, expected_keys, listen};
use super::store::copy::StoreCopy;
use super::store::{BrokerStatus, StoreError, StoreViews};
use super::view::Views;
use booth_host::config_file::ConfigFault;
use booth_host::crew::Crew;
use booth_host::{clock, crew};

/// How often the desk looks for new clips and withdrawals.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A folder that is there while the desk runs: in memory where the system offers one.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, ServeError> {
        let in_memory = Path::new("/dev/shm");
        let above = match (std::env::var_os("XDG_RUNTIME_DIR"), in_memory.is_dir()) {
            (Some(own), _) => PathBuf::from(own),
            (None, true) => in_memory.to_owned(),
            (None, false) => std::env::temp_dir(),
        };
        let folder = above.join(format!("booth-hub-desk-{}", std::process::id()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(ServeError::System)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            log::warn!("{} cannot be removed: {error}", self.0.display());
        }
    }
}

/// Runs the desk until SIGTERM or SIGINT.
///
/// # Errors
/// No private key, a store that cannot be read, or an address that is taken.
pub async fn serve(config: HubConfig) -> Result<(), ServeError> {
    let mut crew = Crew::gather();
    let keys = Arc::new(Keyring::read(&config.privacy.identities)?);
    if keys.is_empty() {
        let why = "names no file: the desk opens clips with the city's private key; name its file";
        return Err(ServeError::Config(
            ConfigFault::that("[privacy] identities", why).into(),
        ));
    }
    // It plays what nobody else may hear, and has no login.
    if !config.http.listen.ip().to_canonical().is_loopback() {
        let why = "is not a loopback address: the desk opens what citizens said for this machine alone, whatever public says";
        return Err(ServeError::Config(
            ConfigFault::that("[http] listen", why).into(),
        ));
    }
    let dir = config.store.dir.clone();
    if !dir.join("clips").is_dir() {
        let why =
            "has no folder clips: the desk reads a hub's store, or a copy of it; name its folder";
        return Err(ServeError::Config(
            ConfigFault::that("[store] dir", why).into(),
        ));
    }
    let scratch = Scratch::make()?;
    let database = scratch.0.join("desk.sqlite");
    // Hashes of receipts under a key that ends with this process.
    let opener = Opener::new(keys.clone(), Arc::new(ReceiptKey::make()?));
    let mut copy = StoreCopy::begin(&database, &dir, opener)?;
    let clips = copy.look()?;
    let (listener, address) = listen(&config).await?;
    let status = Arc::new(Mutex::new(BrokerStatus {
        connected: false,
        detail: "this is the desk, which reads a hub's store and has no broker.".into(),
        rival: None,
    }));
    let views = StoreViews::of(&database, &dir, config.booths.clone(), status)?
        .reaching(config.store.bodies_away().as_ref())?
        .opening_with(keys)
        .expecting_keys(expected_keys(&config));
    let names = Names::new(config.http.listen.ip(), &config.http.names);
    let views: Arc<dyn Views> = Arc::new(views);
    let relay = Relay::of(&config.desk, Arc::clone(&views));
    let relay = relay.map_err(|fault| ServeError::Config(fault.into()))?;
    let is_whole = relay.is_some();
    let pages = crew::task("pages", async move {
        let stop = std::future::pending();
        match relay {
            Some(relay) => http::serve_before(relay.router(), listener, views, names, stop).await,
            None => http::serve(listener, views, names, stop).await,
        }
    });
    log::info!("the desk is up: {clips} clips, pages on http://{address}/");
    match is_whole {
        true => log::info!("moderators decide on http://{address}/desk"),
        false => {
            log::info!("[desk] hub names no hub: messages are heard here, and nothing is decided")
        }
    }
    let mut signals = Signals::hear()?;
    let mut due = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = signals.one() => break,
            death = crew.death() => return Err(death.into()),
            _ = due.tick() => {}
        }
        let looking = crew::aside("desk", move || {
            let looked = look(&mut copy);
            (copy, looked)
        });
        let (back, looked) = looking.await?;
        copy = back;
        if let Err(error) = looked {
            log::error!("the store cannot be read: {error}");
        }
    }
    crew.dismiss();
    pages.abort();
    log::info!("the desk has stopped");
    Ok(())
}

/// One look at everything.
fn look(copy: &mut StoreCopy) -> Result<(), StoreError> {
    copy.look()?;
    let looked = copy.match_withdrawals(clock::wall(), clock::mono())?;
    for (clip_id, is_told) in &looked.deletes {
        match is_told {
            true => {
                log::info!(clip_id = clip_id.as_str(); "a citizen takes clip {clip_id} back; the hub is told")
            }
            false => log::error!(clip_id = clip_id.as_str();
                "a citizen takes clip {clip_id} back, and the hub cannot be told from here: run `booth-hub withdraw {clip_id}` at the hub"),
        }
    }
    Ok(())
}
