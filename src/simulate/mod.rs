//! `booth-gateway simulate`: plays a fleet of booths against a broker, to see whether broker and hub bear it before the city does.
//!
//! ```text
//! plan (rates, faults) ─▶ booth × N: lifts → clips in memory ─▶ delivery (the booth's own) ─▶ mqtt (the booth's own) ─▶ broker ─▶ hub
//!                                     ◀── acks, by hash ◀──────────────────────────────────────────────────────────────────┘
//! tally: lost, doubled, late, and what the hub holds
//! ```
//!
//! Owns: when simulated citizens lift, what goes wrong, and the count. Sends with the booth's own delivery and connection, so that a clip is
//! offered, resent and let go as a real booth does. Never does: open a card or a device, or speak for a booth of another name than its own.
#![allow(clippy::disallowed_methods)] // reads the clock, and waits between looks

mod booth;
mod held;
mod plan;
mod tally;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use booth_audio::{Band, OggOpus, OpusError, RATE, SpeechEncoder};
use booth_contract::{BoothId, BrokerUrl, Topics};
use booth_host::link::login::Login;
use booth_host::password::{self, PasswordError};
use booth_host::tls::{self, TlsError};
use booth_host::{clock, complain, crew};
use tokio::sync::watch;

use self::booth::{Body, SimulatedBooth};
use self::held::{Held, HeldError};
use self::plan::{Chance, Plan};
pub use self::plan::{Faults, PlanError};
pub use self::tally::Report;
use self::tally::Tally;

/// Most booths of one simulation: as many as a hub keeps.
const MOST_BOOTHS: u32 = 10_000;
/// Longest message, seconds.
const LONGEST: u32 = 180;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Bit rate of the messages, bit/s: a booth's default.
const BITRATE: u32 = 24_000;

/// What is to be played.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The broker.
    pub url: String,
    /// The city's root topic.
    pub root: String,
    /// The beginning of the booths' ids; a number follows.
    pub prefix: String,
    /// How many booths.
    pub booths: u32,
    /// Lifts of each booth in an hour.
    pub lifts_per_hour: f64,
    /// For how long citizens come, in seconds.
    pub seconds: u64,
    /// The length of each message, in seconds.
    pub message_s: u32,
    /// How often each booth says health, in seconds.
    pub health_s: u64,
    /// How long it is waited afterwards until everything is confirmed.
    pub patience: Duration,
    /// The password of every booth; each logs in under its own id.
    pub password_file: Option<PathBuf>,
    /// Whom to trust, for `mqtts://`.
    pub ca_file: Option<PathBuf>,
    /// What goes wrong.
    pub faults: Faults,
    /// The hub's `/metrics`, and the file with its token.
    pub metrics: Option<(String, PathBuf)>,
    /// The same seed plays the same lifts.
    pub seed: u64,
}

/// Why nothing was played.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A value that cannot be.
    #[error("{0}")]
    Value(String),
    /// The broker's address.
    #[error("--url: {0}")]
    Url(String),
    /// The password's file.
    #[error("--password-file: {0}")]
    Password(#[from] PasswordError),
    /// The certificate's file.
    #[error("--ca-file: {0}")]
    Tls(#[from] TlsError),
    /// The encoder.
    #[error("{0}")]
    Opus(#[from] OpusError),
    /// The hub's figures.
    #[error("--metrics: {0}")]
    Held(#[from] HeldError),
    /// The system.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

impl Wanted {
    fn check(&self) -> Result<(), SimulateError> {
        let no = |why: String| Err(SimulateError::Value(why));
        if !(1..=MOST_BOOTHS).contains(&self.booths) {
            return no(format!(
                "--booths {}: 1 to {MOST_BOOTHS} can be played",
                self.booths
            ));
        }
        if !(1..=LONGEST).contains(&self.message_s) {
            return no(format!(
                "--message-s {}: a message has 1 to {LONGEST} seconds",
                self.message_s
            ));
        }
        if !(0.0..=3_600.0).contains(&self.lifts_per_hour) {
            return no(format!(
                "--lifts-per-hour {}: 0 to 3600",
                self.lifts_per_hour
            ));
        }
        if !(1..=86_400).contains(&self.health_s) {
            return no(format!("--health-s {}: 1 to 86400", self.health_s));
        }
        // The last one has the longest id.
        self.booth(self.booths)?;
        Ok(())
    }

    fn booth(&self, number: u32) -> Result<BoothId, SimulateError> {
        let id = BoothId::parse(&format!("{}{number}", self.prefix));
        id.map_err(|why| SimulateError::Value(format!("--prefix: {why}")))
    }

    fn login(&self) -> Result<Login, SimulateError> {
        let broker = BrokerUrl::parse(&self.url);
        let broker = broker.map_err(|why| SimulateError::Url(why.to_string()))?;
        let tls = match broker.tls {
            true => Some(tls::client_config(self.ca_file.as_deref(), None)?),
            false => None,
        };
        let password = self
            .password_file
            .as_deref()
            .map(password::read)
            .transpose()?;
        Ok(Login {
            broker,
            tls,
            client_id: String::new(),
            user: password.map(|password| (String::new(), password)),
            check: "check --password-file, and that the broker knows each booth by its id",
        })
    }
}

/// Each booth takes a descriptor, and the process some besides.
fn make_room(booths: u32) -> Result<(), SimulateError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::from(booths) + 100;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| {
        SimulateError::Value(format!(
            "--booths {booths}: this needs {wanted} open files, and the system allows {}; raise it with `ulimit -n {wanted}`",
            limit.maximum.map_or_else(|| "fewer".to_owned(), |most| most.to_string())
        ))
    })
}

/// Plays the fleet until its time is over and everything is confirmed, or `stop` becomes true.
///
/// # Errors
/// What keeps it from beginning; what fails afterwards stands in the report.
pub async fn simulate(
    wanted: &Wanted,
    mut stop: watch::Receiver<bool>,
) -> Result<Report, SimulateError> {
    wanted.check()?;
    make_room(wanted.booths)?;
    let login = wanted.login()?;
    let body = Arc::new(spoken(wanted.message_s)?);
    let held = wanted.metrics.as_ref();
    let held = held.map(|(url, token)| Held::at(url, token)).transpose()?;
    let before = held.as_ref().map(Held::ask).transpose()?;
    let tally = Arc::new(Tally::default());
    let plan = Plan {
        lifts_per_hour: wanted.lifts_per_hour,
        health: Duration::from_secs(wanted.health_s),
        faults: wanted.faults,
        // A thousand connections in five seconds is what a broker sees after its own restart.
        ramp: Duration::from_millis(u64::from(wanted.booths) * 5),
    };
    let (close, closed) = watch::channel(false);
    let mut chance = Chance::new(wanted.seed);
    let topics = Topics::new(wanted.root.clone());
    let mut playing = Vec::new();
    for number in 1..=wanted.booths {
        let id = wanted.booth(number)?;
        let mut login = login.clone();
        id.as_str().clone_into(&mut login.client_id);
        if let Some((user, _)) = &mut login.user {
            id.as_str().clone_into(user);
        }
        let booth = SimulatedBooth::new(
            id,
            login,
            topics.clone(),
            Arc::clone(&body),
            plan,
            chance.branch(),
            Arc::clone(&tally),
        );
        playing.push(crew::errand("booth", booth.live(closed.clone())));
    }
    let began = clock::mono();
    let mut tell = tokio::time::interval(TELL_EVERY);
    tell.tick().await;
    let mut ended_at = None;
    loop {
        tokio::select! {
            _ = tell.tick() => complain!("{}", tally.line(clock::mono().since(began))),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            changed = stop.changed(), if ended_at.is_none() => {
                if changed.is_err() || *stop.borrow() {
                    ended_at = Some(clock::mono());
                    let _ = close.send(true);
                }
            }
        }
        let now = clock::mono();
        match ended_at {
            None if now.since(began) >= Duration::from_secs(wanted.seconds) => {
                ended_at = Some(now);
                let _ = close.send(true);
            }
            Some(at) if tally.on_the_way() == 0 || now.since(at) >= wanted.patience => break,
            _ => {}
        }
    }
    let report = tally.report(clock::mono().since(began));
    for booth in playing {
        booth.abort();
        let _ = booth.await;
    }
    // What was played is told also where the hub does not say what it holds.
    Ok(match held.as_ref().map(Held::ask).transpose() {
        Ok(after) => report.holding(before.zip(after)),
        Err(why) => report.without(format!("--metrics: {why}")),
    })
}

/// One message, in the format that booths send: a tone that swells and fades like syllables.
fn spoken(seconds: u32) -> Result<Body, OpusError> {
    let mut encoder = SpeechEncoder::new(BITRATE, 5, Band::Wide)?;
    let mut ogg = OggOpus::new(0x0b00_7400, encoder.pre_skip(), &[("TITLE", "simulated")]);
    let samples = u64::from(RATE) * u64::from(seconds);
    let mut bytes = Vec::new();
    let mut second = Vec::with_capacity(RATE as usize);
    for n in 0..samples {
        let t = n as f64 / f64::from(RATE);
        let syllable = (t * 4.0 * std::f64::consts::PI).sin().max(0.0);
        let voice = (t * 180.0 * std::f64::consts::TAU).sin()
            + 0.5 * (t * 720.0 * std::f64::consts::TAU).sin();
        second.push((voice * syllable * 6_000.0) as i16);
        if second.len() == RATE as usize {
            ogg.push(&mut encoder, &second)?;
            bytes.extend(ogg.take_page());
            second.clear();
        }
    }
    bytes.extend(ogg.finish(&mut encoder)?);
    Ok(Body::new(bytes, u64::from(seconds) * 1_000))
}
