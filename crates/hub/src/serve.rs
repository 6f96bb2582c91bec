//! `booth-hub serve`: builds the hub from its parts and runs it until it is asked to stop.
//!
//! Owns: the order of starting and stopping, and what is reported to systemd. Never does: any part's own work. A failure at start
//! leaves nothing running and one sentence.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::campaign;
use super::centre::HubCentre;
use super::config::HubConfig;
use super::course;
use super::door::Door;
use super::fence::{Fence, Hears};
use super::http::{self, Names, Pages, UpdateFiles};
use super::imports;
use super::intake::Intake;
use super::keys::{Keyring, KeysError};
use super::login;
use super::monitoring::{Meters, Monitoring, Token};
use super::mqtt::{Learned, Link};
use super::orders;
use super::presence::About;
use super::receipts::{Opener, ReceiptKey};
use super::rollout::Rollouts;
use super::side_door::SideDoor;
use super::store::private::Private;
use super::store::{BrokerStatus, Share, Store, StoreError, StoreRules, StoreViews};
use super::view::Views;
use super::withdrawing::{How, Withdrawing};
use super::worker::{self, Outcome};
use booth_city::{City, CityError};
use booth_contract::Topics;
use booth_host::config_file::{ConfigError, ConfigFault};
use booth_host::crew::{self, Crew, Death};
use booth_host::tls;
use booth_host::{clock, journal};
use booth_sealing::Recipients;

/// Why the hub did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot work: exit 78.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A private key cannot be read: exit 78.
    #[error("[privacy] identities: {0}")]
    Keys(#[from] KeysError),
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    /// The pages' address.
    #[error("the pages cannot listen on {0}: {2}; change {1} or stop the other program")]
    Listen(SocketAddr, &'static str, io::Error),
    /// The database of what people decided, or a language.
    #[error(transparent)]
    City(#[from] CityError),
    /// A thread or signal handler could not be set up.
    #[error("the system refuses: {0}")]
    System(io::Error),
    /// A thread or task is no more.
    #[error(transparent)]
    Worker(#[from] Death),
}

/// Runs the hub until SIGTERM or SIGINT.
pub async fn serve(config: HubConfig) -> Result<(), ServeError> {
    serve_witnessed(config, |_| {}).await
}

/// The same with a witness: a function that sees everything that the store reports, on the store's thread. A test of a dead worker
/// passes one that panics, which kills that thread.
pub async fn serve_witnessed(
    config: HubConfig,
    witness: impl Fn(&Outcome) + Send + 'static,
) -> Result<(), ServeError> {
    let mut crew = Crew::gather();
    let login = login::login(&config)?;
    let keys = Arc::new(Keyring::read(&config.privacy.identities)?);
    let (share, hears) = match config.ingest.workers {
        0 => (Share::All, Hears::Everything),
        _ => (Share::Centre, Hears::Reports),
    };
    let (store, withdrawing) = open_store(&config, &keys, share)?;
    if let Err(error) = imports::card::tidy(&config.store.dir) {
        log::warn!("what a killed import has left beside the store cannot be deleted: {error}");
    }
    let expected = config.booths.iter().map(|booth| booth.id.to_string());
    let known: Vec<String> = expected.chain(store.senders()?).collect();
    let (listener, address) = listen(&config).await?;
    let tls = own_tls(&config)?;
    let token = metrics_token(&config)?;
    let scheme = if tls.is_some() { "https" } else { "http" };

    let status = Arc::new(Mutex::new(BrokerStatus {
        connected: false,
        detail: format!("connecting to {}", login.broker),
        rival: None,
    }));
    let views = StoreViews::open(&config.store.dir, config.booths.clone(), status.clone())?
        .opening_with(keys)
        .expecting_keys(expected_keys(&config));
    #[allow(clippy::disallowed_methods)]
    // It holds at most one outcome for each waiting job, and the number of these is limited.
    let (outcomes_in, outcomes) = mpsc::unbounded_channel();
    let report = move |outcome| {
        witness(&outcome);
        outcomes_in.send(outcome).is_ok()
    };
    let meters = Arc::new(Meters::new(clock::mono()));
    let (notes, course_thread) = course::start(&config.store.dir).map_err(ServeError::System)?;
    let (jobs, store_thread) = worker::start(store.noting(notes), Arc::clone(&meters), report)
        .map_err(ServeError::System)?;

    let (stop, stopped) = watch::channel(false);
    let mut pages_stop = stopped.clone();
    let names = Names::new(config.http.listen.ip(), &config.http.names);
    let views: Arc<dyn Views> = Arc::new(views);
    let door = Arc::new(Door::new(jobs.clone()));
    let centre = HubCentre::open(config.clone(), views.clone())?
        .taking(Arc::clone(&door), Arc::clone(&withdrawing))
        .hearing(Arc::clone(&meters));
    let centre = Arc::new(centre);
    let city = City::open(&config.store.dir, config.city.clone(), centre)?;
    let forgetting = Arc::clone(&city);
    let forgotten = crew::aside("city", move || forgetting.forget_first()).await;
    if let Err(error) = forgotten? {
        log::warn!(about = "city"; "what citizens took back is withheld from their pages: {error}");
    }
    let monitoring = Monitoring::new(
        &config,
        token,
        Arc::clone(&meters),
        Arc::clone(&status),
        Arc::clone(&views),
        Arc::clone(&city),
    )?;
    let (orders, ordered) = orders::channel(Arc::clone(&status));
    let rollouts = Rollouts::open(&config.store.dir, views.clone(), orders.clone())?;
    let rollouts = Arc::new(rollouts);
    let update_files = config.updates.folder.clone();
    let update_files = update_files.map(|folder| UpdateFiles::new(folder, &config.city.address));
    let staff = Pages {
        orders,
        rollouts: Arc::clone(&rollouts),
        update_files: update_files.clone(),
        views,
        names,
        withdrawing,
        city: Arc::clone(&city),
        monitoring,
        hub: Arc::new(config.clone()),
    };
    let tls_of_citizens = tls.clone();
    let showing = async move {
        let stop = async move {
            let _ = pages_stop.wait_for(|stop| *stop).await;
        };
        http::serve_with(listener, tls, staff, stop).await;
    };
    let pages = crew::task("pages", showing);
    let following = crew::task("city", follow(Arc::clone(&city)));
    let drafting = crew::task("drafts", Arc::clone(&city).make_drafts());
    let alarming = crew::task("alarms", Arc::clone(&city).tell_alarms());
    let rolling = crew::task("rollout", roll_out(rollouts));
    let watching = crew::task("duty", Arc::clone(&city).tell_duty());
    let keeping = crew::task("retention", keep_retention(Arc::clone(&city)));
    let citizens = match config.city.listen {
        None => None,
        Some(wanted) => {
            let (listener, address) = listen_on(wanted, "[city] listen").await?;
            let mut stop = stopped.clone();
            let mut router = booth_city::web::for_citizens(&city);
            if let Some(files) = update_files {
                router = router.merge(files.router());
            }
            let tls = tls_of_citizens;
            log::info!("pages for citizens on {scheme}://{address}/");
            Some(crew::task("citizens", async move {
                let stop = async move {
                    let _ = stop.wait_for(|stop| *stop).await;
                };
                http::guests::serve(listener, tls, router, stop).await;
            }))
        }
    };
    let importing = match SideDoor::open(&config.store.dir) {
        Ok(side_door) => Some(crew::task("import", side_door.take(Arc::clone(&door)))),
        Err(error) => {
            log::warn!("{error}; booth-hub import-recordings needs this hub stopped");
            None
        }
    };
    let campaigns = crew::task("campaigns", campaign::welcome(config.clone()));
    let link = Link {
        login,
        topics: Topics::new(config.mqtt.root.clone()),
        about: About::new(&config),
        dir: config.store.dir.clone(),
        intake: Intake::new(Topics::new(config.mqtt.root.clone())),
        fence: Fence::new(Topics::new(config.mqtt.root.clone()), hears, known),
        leases: None,
        jobs,
        at_store: 0,
        outcomes,
        orders: ordered,
        status,
        alive: alive(&meters),
        stop: stopped,
        connection: 0,
        learned: Learned::default(),
        meters,
    };
    let mut signals = Signals::hear()?;
    log::info!(
        "booth-hub is up: pages on {scheme}://{address}/, clips in {}",
        config.store.dir.display()
    );
    tell_systemd(&[NotifyState::Ready]);

    let mut link = std::pin::pin!(crew::watched("link", link.run()));
    let (result, link_is_over) = signals.or_end_of(&mut crew, link.as_mut()).await;
    crew.dismiss();
    tell_systemd(&[NotifyState::Stopping]);
    // All receivers may be gone already.
    let _ = stop.send(true);
    if !link_is_over {
        let _ = link.as_mut().await;
    }
    let tasks = [
        pages, following, drafting, alarming, watching, rolling, keeping, campaigns,
    ];
    for task in tasks.into_iter().chain(citizens).chain(importing) {
        task.abort();
        let _ = task.await;
    }
    door.shut();
    // The link has ended, and with it the last sender of jobs: the store's thread ends after its last batch, if it has not died.
    let _ = store_thread.join();
    // The store held the only way to it.
    let _ = course_thread.join();
    log::info!("booth-hub has stopped");
    Ok(result?)
}

/// The signals that end a process: SIGTERM and SIGINT.
pub struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Hears them from here on.
    ///
    /// # Errors
    /// A system that gives none.
    pub fn hear() -> Result<Self, ServeError> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    pub async fn one(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for one of them, or for a death. Whether the link has ended by itself.
    pub(crate) async fn or_end_of(
        &mut self,
        crew: &mut Crew,
        mut link: Pin<&mut impl Future<Output = Result<(), Death>>>,
    ) -> (Result<(), Death>, bool) {
        let mut link_is_over = false;
        let result = tokio::select! {
            () = self.one() => Ok(()),
            death = crew.death() => Err(death),
            ended = &mut link => {
                link_is_over = true;
                Err(match ended {
                    Err(death) => death,
                    // The link ends by itself when the store's thread has died; the reason of that death comes a moment later.
                    Ok(()) => crew.death().await,
                })
            }
        };
        if let Err(death) = &result {
            log::error!("{death}; the hub ends");
        }
        (result, link_is_over)
    }
}

/// How often the city looks for what arrived, and how often it looks for messages that an operator admitted late.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
const LOOK_BACK_EVERY: u32 = 60;
/// How often it looks which booths are ready: more often than each minute, so that none is passed over.
const OBSERVE_EVERY: u32 = 20;

/// How often it is looked how far a rollout is.
const ROLL_EVERY: Duration = Duration::from_secs(10);

/// Carries a rollout on, until it is dropped.
async fn roll_out(rollouts: Arc<Rollouts>) {
    let mut due = tokio::time::interval(ROLL_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let rollouts = Arc::clone(&rollouts);
        let looked = crew::aside("rollout", move || rollouts.look(clock::wall())).await;
        if let Ok(Err(error)) = looked {
            log::warn!(about = "rollout"; "a rollout waits: {error}");
        }
    }
}

/// How often the city looks whether a message's time is over; most looks end at once.
const RETENTION_EVERY: Duration = Duration::from_secs(60);

/// Keeps the city's retention beside what arrives, until it is dropped. What fails is tried again at the next look.
async fn keep_retention(city: Arc<City>) {
    let mut due = tokio::time::interval(RETENTION_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let city = Arc::clone(&city);
        let looked = crew::aside("retention", move || city.keep_retention()).await;
        if let Ok(Err(error)) = looked {
            log::warn!(about = "retention"; "retention waits, and nothing is half deleted: {error}");
        }
    }
}

/// How often the city looks whether its numbers have changed, so that no reader waits for them.
const COUNT_EVERY: u32 = 5;

/// Takes over what arrives, until it is dropped. What fails is tried again at the next look.
async fn follow(city: Arc<City>) {
    let mut due = tokio::time::interval(FOLLOW_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for turn in (0..LOOK_BACK_EVERY).cycle() {
        due.tick().await;
        let looking = Arc::clone(&city);
        let look = move || match turn % OBSERVE_EVERY {
            // A minute in which the city cannot be asked is not counted.
            0 => looking.look_around(clock::wall(), turn == 0),
            _ => looking.follow(false),
        };
        let looked = crew::aside("city", look).await;
        if let Ok(Err(error)) = looked {
            log::warn!(about = "city"; "the city does not see what arrives: {error}");
        }
        if turn % COUNT_EVERY == 0 {
            city.keep_numbers_fresh().await;
        }
    }
}

/// Opens the store of a hub that is stopped, as the hub itself would.
///
/// # Errors
/// A key or a store that cannot be opened.
pub fn stopped_store(config: &HubConfig) -> Result<Store, ServeError> {
    let keys = Arc::new(Keyring::read(&config.privacy.identities)?);
    open_store(config, &keys, Share::All).map(|(store, _)| store)
}

/// What the store is opened with.
pub fn store_rules(config: &HubConfig) -> StoreRules {
    StoreRules {
        dir: config.store.dir.clone(),
        max_clip_bytes: config.store.max_clip_bytes,
        root: config.mqtt.root.clone(),
        database: config.store.elsewhere(),
        bodies: config.store.bodies_away(),
    }
}

/// What a link calls whenever it and the store's thread have just shown that they work.
pub(crate) fn alive(meters: &Arc<Meters>) -> Box<dyn FnMut()> {
    let meters = Arc::clone(meters);
    Box::new(move || {
        meters.alive(clock::mono());
        tell_systemd(&[NotifyState::Watchdog]);
        journal::tell_due();
    })
}

/// Opens the store for this share of the work, by the configuration; its receipts are not opened yet.
pub(crate) fn open_for(
    config: &HubConfig,
    keys: &Keyring,
    share: Share,
) -> Result<Store, ServeError> {
    Ok(Store::open_as(&store_rules(config), share)?
        .keeping_free(config.store.reserve_bytes)
        .counting_days_in(config.city.zone())
        .sealing_to(seals_to(config, keys))
        .avoiding(config.codes.digits()))
}

/// The key of receipts of this configuration's store.
pub(crate) fn receipt_key(config: &HubConfig) -> Result<Arc<ReceiptKey>, ServeError> {
    let file = Private::beside(&config.store.dir).receipt_key()?;
    Ok(Arc::new(ReceiptKey::read_or_make(&file)?))
}

/// Opens the store, with what opens receipts where there is a private key; a booth that logs in under one of the hub's own names is
/// refused.
fn open_store(
    config: &HubConfig,
    keys: &Arc<Keyring>,
    share: Share,
) -> Result<(Store, Arc<Withdrawing>), ServeError> {
    let dir = &config.store.dir;
    let mut store = open_for(config, keys, share)?;
    let how = match (keys.is_empty(), seals_to(config, keys)) {
        (false, _) => {
            let key = receipt_key(config)?;
            let opener = Opener::new(keys.clone(), key.clone());
            store = store.opening_receipts(opener)?;
            How::Matched(key)
        }
        (true, Some(to)) => How::Sealed(to),
        (true, None) => How::NotHere,
    };
    let store = store.refusing(config.own_names())?;
    Ok((store, Arc::new(Withdrawing::new(dir, how))))
}

/// Whom bodies that come open are sealed to before they are kept.
fn seals_to(config: &HubConfig, keys: &Keyring) -> Option<Recipients> {
    let named = config.privacy.seals_to().unwrap_or_default();
    named.or_else(|| Recipients::new(keys.recipients()).ok())
}

/// The names of the keys that booths may seal to besides this hub's own.
pub(crate) fn expected_keys(config: &HubConfig) -> Vec<String> {
    let named = config.privacy.seals_to().unwrap_or_default();
    named.map_or_else(Vec::new, |keys| keys.ids())
}

/// What whoever scrapes the figures has to show.
fn metrics_token(config: &HubConfig) -> Result<Option<Token>, ServeError> {
    let Some(file) = &config.http.metrics_token_file else {
        return Ok(None);
    };
    let token = Token::read(file);
    let token = token.map_err(|why| ConfigFault::that("[http] metrics_token_file", why));
    Ok(Some(token.map_err(ConfigError::from)?))
}

/// The pages' own TLS, where they have a certificate.
fn own_tls(config: &HubConfig) -> Result<Option<TlsAcceptor>, ServeError> {
    let (Some(certificate), Some(key)) = (&config.http.cert_file, &config.http.key_file) else {
        return Ok(None);
    };
    let tls = tls::server_config(certificate, key).map_err(|error| {
        let (what, remedy) = error.what_and_remedy();
        ServeError::Config(ConfigFault::of("[http] cert_file", format!("{what} {remedy}")).into())
    })?;
    Ok(Some(TlsAcceptor::from(tls)))
}

/// The pages' socket, and its address.
pub(crate) async fn listen(config: &HubConfig) -> Result<(TcpListener, SocketAddr), ServeError> {
    listen_on(config.http.listen, "[http] listen").await
}

async fn listen_on(
    wanted: SocketAddr,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |error| ServeError::Listen(wanted, key, error);
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn signal(kind: SignalKind) -> Result<Signal, ServeError> {
    tokio::signal::unix::signal(kind).map_err(ServeError::System)
}

/// Without systemd this does nothing.
pub(crate) fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::debug!("systemd does not listen: {error}");
    }
}
