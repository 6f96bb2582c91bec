//! The thread that reads for the loop, so that the loop never waits for the card.
//!
//! Owns: reading the messages of clips, reading `booth.toml` and the prompts again, and measuring the machine at its own pace.
//! Never does: decide. It keeps no spool between two reads, so that a card that is closed is let go. A card that stalls holds
//! up this thread alone: clips leave later, health says what was measured last.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::stand_in::reason;
use crate::adapters::prompts::Prompts;
use crate::adapters::prompts::folder::Weight;
use crate::adapters::sensors::{Readings, Sensors};
use crate::config::{Config, Question};
use crate::settings::check;
use booth_contract::BrokerUrl;
use booth_contract::time::Mono;
use booth_host::config_file::ConfigError;
use booth_host::{clock, tls};
use booth_spool::disk::Disk;
use booth_spool::real_disk::RealDisk;
use booth_spool::{Spool, SpoolError};
use gateway_core::delivery::{Send, What};
use gateway_core::liveness::Beat;

/// The machine is measured at least this often, and not more often than health is published.
const MEASURE: Duration = Duration::from_secs(60);

/// What the reader is asked for.
pub enum ReadCommand {
    /// A message of a clip.
    Message {
        /// Where the clip lies.
        spool: Spool,
        /// Which message.
        send: Send,
    },
    /// The configuration and the prompts that it names.
    Configuration,
}

/// What the reader reports.
pub enum ReadEvent {
    /// The payload of a message, or why the card does not give it.
    Message {
        /// What was asked for.
        send: Send,
        /// Its bytes.
        read: Result<Vec<u8>, SpoolError>,
    },
    /// The configuration as it stands in its file now, or what is wrong with it.
    Configuration(Result<Box<ReadAgain>, NotGood>),
    /// The machine was measured.
    Measured(Box<Measured>),
}

/// A configuration that was read again.
pub struct ReadAgain {
    pub(super) config: Config,
    pub(super) hash: String,
    pub(super) prompts: Arc<Prompts>,
}

/// A configuration that cannot be used.
pub struct NotGood {
    pub(super) error: ConfigError,
    /// The reason in the words of provisioning, which has seen the card itself, if it left one.
    pub(super) why: String,
}

/// What the machine said of itself at one time; what it cannot know is `None`.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The kernel's figures.
    pub readings: Readings,
    /// Bytes that may still be written beside the spool.
    pub free_bytes: Option<u64>,
    /// When the first certificate of the file that [`certificate_file`] names ends.
    pub certificate_ends: Option<Timestamp>,
}

impl Measured {
    /// Measures now; the spool lies at `place`. Reads the card.
    pub fn now(sensors: &Sensors, place: &Path, certificate: Option<&Path>) -> Self {
        Self {
            readings: sensors.readings(place),
            free_bytes: RealDisk::new().free_bytes(place).ok(),
            certificate_ends: certificate.and_then(|file| tls::first_end(file).ok()),
        }
    }
}

/// How often the machine is measured: as often as health is published, and at least every [`MEASURE`].
fn pace(config: &Config) -> Duration {
    MEASURE.min(Duration::from_secs(config.health.interval_s))
}

/// The file of the certificate that ends first: the client's or, without one, the authority's. None without TLS and with the
/// system's roots.
pub fn certificate_file(config: &Config) -> Option<&Path> {
    let mqtt = &config.mqtt;
    let url = mqtt.url.as_deref()?;
    let speaks_tls = BrokerUrl::parse(url).is_ok_and(|url| url.tls);
    let file = mqtt.cert_file.as_deref().or(mqtt.ca_file.as_deref())?;
    speaks_tls.then_some(file)
}

/// The prompts that a configuration names; says in the log what of their folder is not used.
pub(super) fn load_prompts(config: &Config) -> Arc<Prompts> {
    let names: Vec<String> = config
        .questions
        .iter()
        .flat_map(Question::prompt_names)
        .collect();
    let (prompts, unused) =
        Prompts::load(&config.session.prompts, &config.session.language, &names);
    for file in unused {
        match file.weight {
            Weight::Lacking | Weight::Spare => log::warn!("{file}"),
            Weight::Elsewhere => log::info!("{file}"),
        }
    }
    Arc::new(prompts)
}

/// Which file this booth runs by, for operations: the first 16 hex digits of its SHA-256.
#[allow(clippy::disallowed_methods)] // reads booth.toml
pub(super) fn hash_of(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    booth_contract::hex(&Sha256::digest(&bytes))[..16].to_owned()
}

/// Reads a message of a clip.
pub fn read_message(spool: &Spool, send: Send) -> ReadEvent {
    let read = match send.what {
        What::Manifest => spool.manifest(&send.clip_id),
        What::Withdrawal => spool.withdrawal(&send.clip_id),
        What::Part { from, to } => spool.read_body(&send.clip_id, from, (to - from) as usize),
    };
    ReadEvent::Message { send, read }
}

/// Where the reader finds what does not come with each command.
pub struct Reader {
    config_path: PathBuf,
    place: PathBuf,
    certificate: Option<PathBuf>,
    every: Duration,
}

impl Reader {
    /// How long the reader may be silent: a card may stall for minutes, and a message that is being recorded outlives that.
    pub const SILENT_AT_MOST: Duration = Duration::from_secs(600);

    /// A reader for a gateway with this configuration, which lies at `config_path`.
    pub fn new(config: &Config, config_path: &Path) -> Self {
        Self {
            config_path: config_path.to_owned(),
            place: config.spool.dir.clone(),
            certificate: certificate_file(config).map(Path::to_owned),
            every: pace(config),
        }
    }

    /// Reads what was asked for.
    pub(super) fn read(&self, command: ReadCommand) -> ReadEvent {
        match command {
            ReadCommand::Message { spool, send } => read_message(&spool, send),
            ReadCommand::Configuration => {
                let path = &self.config_path;
                let read_again = check(path).map(|config| {
                    Box::new(ReadAgain {
                        hash: hash_of(path),
                        prompts: load_prompts(&config),
                        config,
                    })
                });
                ReadEvent::Configuration(read_again.map_err(|error| NotGood {
                    why: reason(path, &error),
                    error,
                }))
            }
        }
    }

    fn measure(&self) -> ReadEvent {
        let certificate = self.certificate.as_deref();
        let measured = Measured::now(&Sensors::default(), &self.place, certificate);
        ReadEvent::Measured(Box::new(measured))
    }

    /// Works until the commands end, touching `alive` at every turn.
    pub fn run(&self, alive: &Beat, commands: &Receiver<ReadCommand>, report: impl Fn(ReadEvent)) {
        let (mut measure_due, mut every) = (Mono(0), self.every);
        loop {
            alive.touch();
            let now = clock::mono();
            if measure_due <= now {
                report(self.measure());
                measure_due = now + every;
            }
            match commands.recv_timeout(measure_due.since(clock::mono())) {
                Ok(command) => {
                    let read = self.read(command);
                    if let ReadEvent::Configuration(Ok(again)) = &read {
                        every = pace(&again.config);
                        measure_due = measure_due.min(now + every);
                    }
                    report(read);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
