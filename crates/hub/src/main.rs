//! The hub's program: arguments, configuration, run, exit status; the only place that exits.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use booth_contract::{BoothId, Publish};
use booth_host::config_file::ConfigError;
use booth_host::say;
use booth_host::{clock, crew, journal, out};
use booth_hub::areas::{self, Areas, AreasError};
use booth_hub::backups;
use booth_hub::campaign::{self, Campaign, CampaignError};
use booth_hub::config::HubConfig;
use booth_hub::desk;
use booth_hub::dpia::{self, DpiaError};
use booth_hub::forget::{self, ForgetError};
use booth_hub::ingest;
use booth_hub::keys::{self, KeysError};
use booth_hub::people::{self, People, PeopleError};
use booth_hub::recordings::{self, Keeper};
use booth_hub::serve::{self, ServeError};
use booth_hub::side_door::RunningHub;
use booth_hub::store::{
    self, Accepted, BackupError, Checked, Happened, Progress, Rebuilt, StoreError,
};
use booth_hub::unseal;
use clap::{Parser, Subcommand};

/// EX_CONFIG of sysexits.h: a bad configuration; systemd does not restart on it.
const EX_CONFIG: u8 = 78;

/// The centre of the telephone booths: receives the citizens' spoken answers and the booths' health
/// from an MQTT broker, keeps them, and shows them on two pages.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration, or a store that somebody must look at.
#[derive(Debug, Parser)]
#[command(name = "booth-hub", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive clips and health, keep them, and show the pages, until stopped
    ///
    /// Needs an MQTT 5 broker, for example Mosquitto with docs/mosquitto.acl. Connects to that of [mqtt]
    /// url and stays connected; a broker that is away is no failure: the booths keep their clips until
    /// the hub is back. A booth may delete a clip only after the hub
    /// has it on disk. SIGTERM stops cleanly. A database that is missing, damaged or another's beside clips ends it with 78:
    /// see booth-hub check and booth-hub rebuild.
    ///
    /// A smallest hub.toml:
    ///
    ///   [mqtt]
    ///   url = "mqtts://broker.example:8883"
    ///   username = "hub"
    ///   password_file = "mqtt-password"
    ///
    /// [mqtt] ca_file names the authority of the broker's certificate (the system's roots without), cert_file and
    /// key_file the hub's own certificate, where the broker wants one.
    ///
    ///   [store]
    ///   dir = "/var/lib/booth-hub"
    ///   reserve_bytes = 200_000_000     # with less free the hub takes nothing more, and the booths keep their clips
    ///
    ///   [http]
    ///   listen = "127.0.0.1:8080"
    ///
    ///   [[booth]]
    ///   id = "rundhoej-1"
    ///   name = "Rundhøj Torv"
    ///
    /// Sealed clips stay sealed in the store. With the city's private key the pages play them, each opened in memory; without one they show
    /// that somebody spoke, and `booth-hub open` opens a clip where the key is:
    ///
    ///   [privacy]
    ///   identities = ["/etc/booth-hub/city.key"]     # or a systemd credential's name; never within the store
    ///   recipients = ["age1..."]     # the city's public keys; without them the public halves of identities count
    ///
    /// What comes open from a booth is sealed to the recipients before it is kept, and Operations names booths that seal to others. What
    /// must not come back with an old database lies in a second folder beside [store] dir, with -private behind its name: see
    /// docs/hub-store.md before making backups. /withdraw is the page on which citizens take a message back; a proxy may pass it to
    /// the public, and nothing else.
    ///
    /// When the hub has come (back), every booth says anew how it is, each after 0 to `[mqtt] jitter_s` seconds: 10 by
    /// default, at most 600; a large fleet needs more.
    ///
    /// The pages need a login as soon as there is an account: booth-hub people add. They listen on a loopback address; elsewhere only
    /// with a proxy with TLS in front, `[http] behind_proxy = true`, or with `[http] cert_file` and `key_file`. A proxy may take a prefix
    /// away; if it passes its own name on as Host, `[http] names = ["its.name"]` makes them answer to it. Other names are refused.
    ///
    /// Machines ask /healthz (does it turn?) and /readyz (does it take messages? 503 says why not) without a login, and /metrics with the token
    /// of `[http] metrics_token_file`: see docs/monitoring.md.
    ///
    /// Each sender has a budget: whoever sends more than any booth is dropped beyond it, and named on the operations page. Names that the hub itself logs in with are no booths': what comes from them is ignored and shown.
    #[command(verbatim_doc_comment)]
    Serve {
        /// The desk of a hub that has no private key: reads its store, opens clips in memory with [privacy] identities, shows them
        /// on loopback, and works off what citizens take back (docs/hub-sealed.md). Takes no clips and needs no broker
        #[arg(long)]
        sealed: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Prove every stored body and every row of the database against each other
    ///
    /// Reads everything and changes nothing; works beside a running hub. Says each thing that is missing, extra or different, and what
    /// to do about it. On many clips it takes as long as reading them all; how far it is stands on standard error.
    ///
    /// Exit status: 0 all is as it should be, 1 something was found, 2 wrong usage, 78 bad configuration.
    #[command(verbatim_doc_comment)]
    Check {
        /// One JSON object instead of lines for people
        #[arg(long)]
        json: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Make the database anew from the clips' files
    ///
    /// Each clip has its manifest beside its body; from these the database is made, and what only the database before knew (booths,
    /// alerts, events) is taken over from it if it can be read. The database before is kept beside the new one. The hub must be
    /// stopped. No clip's file is changed. Running it twice is harmless.
    #[command(verbatim_doc_comment)]
    Rebuild {
        /// One JSON object instead of lines for people
        #[arg(long)]
        json: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Make a backup of the store, while the hub runs or is stopped
    ///
    /// Copies both databases as they are at one moment, every clip that the backup has not yet, what was published, and, apart from these,
    /// what citizens took back. The hub goes on taking clips meanwhile. Run it every day, from systemd/booth-hub-backup.timer or cron, as
    /// the hub's user, into a folder on another disk:
    ///
    ///   sudo -u booth-hub booth-hub backup /mnt/backup/booth-hub
    ///
    /// FOLDER holds one backup, which each run brings up to date:
    ///
    ///   backup.json    which backup is whole; written last. Without this file there is none
    ///   store/         databases, clips without their envelopes, prompts
    ///   beside/        what was taken back, what waits, one-time codes: only added to, and never to be replaced by an older copy
    ///   short-lived/   envelopes and what is in dispute, for --keep-days; without them nobody opens a sealed message
    ///
    /// What a citizen took back is overwritten in FOLDER by the next run. Copies that you make of FOLDER still have it: delete them after
    /// --keep-days, too, at least those of short-lived/, and of the whole where messages lie open (docs/hub-store.md).
    /// The key of receipts is never in it: keep it on paper or with the city's keys. A run that is cut off leaves the backup before.
    ///
    /// What the store itself lacks, is said, and is no failure of the backup: booth-hub check says what to do.
    ///
    /// Exit status: 0 it is whole, 1 it is not, 2 wrong usage, 78 bad configuration.
    #[command(verbatim_doc_comment)]
    Backup {
        /// An empty folder, or that of an earlier backup
        folder: PathBuf,
        /// For how many days envelopes of earlier runs stay; older ones are overwritten and deleted
        #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..))]
        keep_days: u16,
        /// One JSON object instead of lines for people
        #[arg(long)]
        json: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Put a backup back where the store was lost
    ///
    /// The hub must be stopped, and [store] dir empty or not there: nothing is put over a store. Leave what is there of the folder with
    /// -private beside it: what is newer in it stays. What citizens took back, before or after the backup, is not there again. In the end every
    /// body is read, as by booth-hub check. Then put receipt-key back from its own copy, if that was lost, and start the hub. Clips that
    /// came after the backup are asked for again from the booths that still have them. Cut off, it is run again.
    ///
    /// Exit status: 0 it is back and all is as it should be, 1 it is not, 2 wrong usage, 78 bad configuration.
    #[command(verbatim_doc_comment)]
    Restore {
        /// The folder of the backup
        folder: PathBuf,
        /// One JSON object instead of lines for people
        #[arg(long)]
        json: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Delete a clip as if its citizen had taken it back
    ///
    /// For a receipt that fits two clips, and for a wish that came another way. The hub that runs on the store deletes it within
    /// seconds, else the next one before it serves. It cannot be undone, and a booth that still has the clip deletes it too.
    #[command(verbatim_doc_comment)]
    Withdraw {
        /// The clip's id
        clip: String,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Mark a clip as a child's: its voice is never to be published
    ///
    /// The mark is kept with the clip and shown beside it. It works beside a running hub.
    #[command(verbatim_doc_comment)]
    Child {
        /// The clip's id
        clip: String,
        /// Take the mark away
        #[arg(long)]
        undo: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Take in a folder of recordings, for example of a telephone line, as answers to a question
    ///
    /// Any sound that the hub reads: WAV, MP3, M4A, Ogg, WebM. Each becomes a message with the source "phone" and waits for a moderator.
    /// Running it again keeps nothing twice, and nothing comes again that was taken back meanwhile. The time of a recording is that of its
    /// file. It works beside a running hub, which keeps each recording, and while the hub is stopped.
    #[command(verbatim_doc_comment)]
    ImportRecordings {
        /// The folder
        folder: PathBuf,
        /// The campaign, as it was published
        #[arg(long)]
        campaign: String,
        /// The question that the recordings answer
        #[arg(long)]
        question: String,
        /// The language that is spoken
        #[arg(long, default_value = "da")]
        language: String,
        /// What the callers heard before they spoke, word for word
        #[arg(long)]
        notice: String,
        /// What the callers allowed to be published
        #[arg(long, default_value = "no", value_parser = ["no", "text", "voice"])]
        publish: String,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Count clips that are held because their sender had not announced their card
    ///
    /// A clip in another booth's name, or under another booth's card, is stored and neither counted nor shown. Operations shows it
    /// among what to look at. After a look, this counts it. It works beside a running hub.
    #[command(verbatim_doc_comment)]
    Accept {
        /// The clip's id
        #[arg(required_unless_present = "card", conflicts_with = "card")]
        clip: Option<String>,
        /// All clips of this card, and those that come under it from the same booths
        #[arg(long, value_name = "CARD")]
        card: Option<String>,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Tell what befell a booth: alerts that are raised or over, and events
    ///
    /// What a booth has said stays here when it takes it back: whoever has its password cannot erase an alarm. Works beside a running
    /// hub.
    #[command(verbatim_doc_comment)]
    History {
        /// The booth's id, for example rundhoej-1
        #[arg(value_parser = BoothId::parse)]
        booth: BoothId,
        /// One JSON object a line instead of words for people
        #[arg(long)]
        json: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Write, check and publish what the booths ask: questions, votes, prompts, hours
    Campaign {
        #[command(subcommand)]
        command: Campaign,
    },
    /// Make and change the accounts of those who listen, decide and look after the booths
    People {
        #[command(subcommand)]
        command: People,
    },
    /// Write drafts of the impact assessment (GDPR Art. 35) and of the record of processing (Art. 30), from the configuration in force
    ///
    /// Two Markdown files. What the program cannot know is marked in them: a person fills it in, judges it and signs. A file that is
    /// there is never written over.
    Dpia {
        /// da or en
        #[arg(long, value_name = "LANGUAGE", default_value = "da")]
        language: String,
        /// The folder for both files
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        output: PathBuf,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Take over the city's areas from a GeoJSON file
    Areas {
        #[command(subcommand)]
        command: Areas,
    },
    /// Make the city's keys
    Keys {
        #[command(subcommand)]
        command: Keys,
    },
    /// Open a sealed clip with a private key, and nothing else
    ///
    /// Needs no configuration, no store and no network. Writes an Ogg Opus file that any player plays. A clip that is not whole is opened as
    /// far as it is, and the last line says where it ends and why.
    ///
    /// Exit status: 0 it is whole, 1 it is not, or it was not opened, 2 wrong usage.
    #[command(verbatim_doc_comment)]
    Open {
        /// The sealed clip
        file: PathBuf,
        /// A file with a private key; may be given several times, the one that fits is used
        #[arg(long, value_name = "KEY", required = true)]
        identity: Vec<PathBuf>,
        /// Where the opened clip goes; without it, <clip id>.opus in this folder
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Clear the retained topics of a retired booth
    ///
    /// The broker keeps a booth's last state, birth, health, configuration and alerts for ever; a booth
    /// that was taken down would be shown as lost for ever. This clears them, and the booth's place in
    /// the fleet. Its clips stay. Run it when the booth is off, and remove its [[booth]] entry from
    /// hub.toml. It works beside a running hub, and running it twice is harmless.
    #[command(verbatim_doc_comment)]
    Forget {
        /// The booth's id, for example rundhoej-1
        #[arg(value_parser = BoothId::parse)]
        booth: BoothId,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Keys {
    /// Make a new key: a private half for a file and a sheet of paper, and a public half for the booths
    ///
    /// Booths seal what citizens say to public keys and never have a private one. Make the key on a computer that is not the hub's,
    /// print the paper, delete its file, and lock the paper away. If every copy of the private key is lost, so is all that was sealed to it;
    /// whoever has one can hear it. The files are those of the age command (age-encryption.org).
    #[command(verbatim_doc_comment)]
    New {
        /// Where the private key goes; the file must not be there yet
        #[arg(long, value_name = "FILE")]
        identity: PathBuf,
        /// Where a page to be printed goes: the private key in letters and as a QR code
        #[arg(long, value_name = "FILE.html")]
        paper: Option<PathBuf>,
    },
    /// Say the public key and the name of a private key, for example of one that was typed from paper
    Show {
        /// A file with a private key
        identity: PathBuf,
    },
}

/// What went wrong, by exit status.
enum Failure {
    Config(String),
    Operation(String),
    /// A dead worker, which was reported at once.
    Reported,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Config(error) => error.into(),
            ServeError::Store(error) => error.into(),
            error @ ServeError::Keys(_) => Self::Config(error.to_string()),
            ServeError::Worker(_) => Self::Reported,
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let sentence = format!("the store cannot be opened: {error}");
        match error.needs_an_operator() {
            // A service manager that started it again would hear the same.
            true => Self::Config(sentence),
            false => Self::Operation(sentence),
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::Operation(error.to_string())
    }
}

impl From<CampaignError> for Failure {
    fn from(error: CampaignError) -> Self {
        match error {
            CampaignError::Config(error) => error.into(),
            CampaignError::Store(error) => error.into(),
            other @ (CampaignError::File { .. }
            | CampaignError::Refused(_)
            | CampaignError::Told(_)) => Self::Operation(other.to_string()),
        }
    }
}

impl From<PeopleError> for Failure {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Config(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<AreasError> for Failure {
    fn from(error: AreasError) -> Self {
        match error {
            AreasError::Config(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<DpiaError> for Failure {
    fn from(error: DpiaError) -> Self {
        Self::Operation(error.to_string())
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        Self::Operation(error.to_string())
    }
}

impl From<ForgetError> for Failure {
    fn from(error: ForgetError) -> Self {
        match error {
            ForgetError::Config(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}

fn main() -> ExitCode {
    match out::arguments::<Arguments>() {
        Ok(arguments) => out::status(run_command(arguments.command)),
        Err(status) => status,
    }
}

fn run_command(command: Command) -> ExitCode {
    match command {
        Command::Serve { .. } => {
            journal::init_daemon("booth-hub", log::LevelFilter::Info);
            crew::log_panics();
        }
        Command::Check { .. }
        | Command::Rebuild { .. }
        | Command::Backup { .. }
        | Command::Restore { .. }
        | Command::Accept { .. }
        | Command::ImportRecordings { .. }
        | Command::Withdraw { .. }
        | Command::Child { .. }
        | Command::History { .. }
        | Command::Campaign { .. }
        | Command::People { .. }
        | Command::Dpia { .. }
        | Command::Areas { .. }
        | Command::Keys { .. }
        | Command::Open { .. }
        | Command::Forget { .. } => journal::init("booth-hub", log::LevelFilter::Info),
    }
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(sentence)) => {
            log::error!("{sentence}");
            ExitCode::from(EX_CONFIG)
        }
        Err(Failure::Operation(sentence)) => {
            log::error!("{sentence}");
            ExitCode::FAILURE
        }
        Err(Failure::Reported) => ExitCode::FAILURE,
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Operation(format!("the system refuses: {error}")))?;
    match command {
        Command::Serve { sealed, config } => {
            let config = HubConfig::load(&config)?;
            match sealed {
                true => Ok(runtime.block_on(desk::serve(config))?),
                false => Ok(runtime.block_on(serve::serve(config))?),
            }
        }
        Command::Withdraw { clip, config } => {
            let config = HubConfig::load(&config)?;
            if !ingest::is_clip_id(&clip) {
                return Err(Failure::Operation(format!("{clip:?} is no clip's id")));
            }
            store::ask_to_withdraw(&config.store.dir, clock::wall(), &clip.into())?;
            say!("The hub deletes it within seconds, or before it serves again.");
            Ok(())
        }
        Command::Child { clip, undo, config } => {
            let config = HubConfig::load(&config)?;
            match store::mark_child(&config.store.dir, &clip.into(), !undo)? {
                true => say!("It is marked."),
                false => return Err(Failure::Operation("there is no such clip".into())),
            }
            Ok(())
        }
        Command::Check { json, config } => {
            let config = HubConfig::load(&config)?;
            let checked = store::check(&config.store.dir, Progress::new("read"))?;
            tell_checked(&checked, json);
            match checked.findings.is_empty() {
                true => Ok(()),
                false => Err(Failure::Reported),
            }
        }
        Command::Rebuild { json, config } => {
            let config = HubConfig::load(&config)?;
            let rebuilt = store::rebuild(&config.store.dir, Progress::new("read"))?;
            tell_rebuilt(&rebuilt, json);
            Ok(())
        }
        Command::Backup {
            folder,
            keep_days,
            json,
            config,
        } => {
            let dir = HubConfig::load(&config)?.store.dir;
            let progress = Progress::new("copied");
            let made = store::backup(&dir, &folder, keep_days, clock::wall(), progress)?;
            backups::tell_made(&made, json);
            Ok(())
        }
        Command::Restore {
            folder,
            json,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            let rules = serve::store_rules(&config);
            let restored = store::restore(&folder, &rules, Progress::new)?;
            backups::tell_restored(&restored, json);
            if !json {
                tell_checked(&restored.checked, false);
            }
            match restored.checked.findings.is_empty() {
                true => Ok(()),
                false => Err(Failure::Reported),
            }
        }
        Command::ImportRecordings {
            folder,
            campaign,
            question,
            language,
            notice,
            publish,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            let asked = campaign::has_question(&config.store.dir, &campaign, &question)?;
            if !asked {
                return Err(Failure::Operation(format!(
                    "There is no question {question:?} in a published campaign {campaign:?}: booth-hub campaign list names them."
                )));
            }
            let import = recordings::Import {
                folder,
                campaign,
                question,
                language,
                notice,
                may_publish: match publish.as_str() {
                    "text" => Publish::Text,
                    "voice" => Publish::Voice,
                    _ => Publish::No,
                },
            };
            // Which one it is may change until the lock is asked for: the hub's own lock decides.
            let mut store;
            let mut keeper = match serve::stopped_store(&config) {
                Ok(opened) => {
                    store = opened;
                    Keeper::Stopped(&mut store)
                }
                Err(ServeError::Store(StoreError::InUse(_))) => {
                    Keeper::Running(RunningHub::at(&config.store.dir)?)
                }
                Err(error) => return Err(error.into()),
            };
            let imported = recordings::import(&mut keeper, &import, |n, of, path, what| {
                say!(
                    "{n}/{of} {}: {what}",
                    drives_no_terminal(&path.display().to_string())
                );
            })?;
            say!(
                "{} new, {} here before, {} left out. They wait for a moderator as source \"phone\".",
                imported.new,
                imported.before,
                imported.left_out.len()
            );
            Ok(())
        }
        Command::Accept { clip, card, config } => {
            let config = HubConfig::load(&config)?;
            let what = match (clip, card) {
                (Some(clip), _) => Accepted::Clip(clip.into()),
                (None, card) => Accepted::Card(card.unwrap_or_default().into()),
            };
            match store::accept(&config.store.dir, clock::wall(), &what)? {
                0 => say!("No such clip is held."),
                1 => say!("One clip counts from now on."),
                n => say!("{n} clips count from now on."),
            }
            Ok(())
        }
        Command::History {
            booth,
            json,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            for happened in store::history(&config.store.dir, &booth)? {
                let Happened { at, what, id, text } = &happened;
                match json {
                    true => say!("{}", serde_json::json!(happened)),
                    false => say!("{at} {what} {id}: {}", drives_no_terminal(text)),
                }
            }
            Ok(())
        }
        Command::Campaign { command } => Ok(runtime.block_on(campaign::run(command))?),
        Command::People { command } => Ok(people::run(command)?),
        Command::Dpia {
            language,
            output,
            config,
        } => {
            let config = HubConfig::load(&config)?;
            for path in dpia::write(&config, &language, &output)? {
                say!("{}", path.display());
            }
            Ok(())
        }
        Command::Areas { command } => Ok(areas::run(command)?),
        Command::Keys { command } => run_keys(command),
        Command::Open {
            file,
            identity,
            output,
        } => open(&file, &identity, output),
        Command::Forget { booth, config } => {
            let config = HubConfig::load(&config)?;
            let cleared = runtime.block_on(forget::forget(&config, &booth))?;
            campaign::forget_booth(&config.store.dir, &booth)?;
            say!("{booth} is forgotten: {cleared} topics cleared; its clips stay.");
            if config.booths.iter().any(|expected| expected.id == booth) {
                say!("hub.toml still expects it: remove its [[booth]] entry.");
            }
            Ok(())
        }
    }
}

fn run_keys(command: Keys) -> Result<(), Failure> {
    let recipient = match command {
        Keys::New { identity, paper } => {
            let made = keys::make(&identity, paper.as_deref(), clock::wall())?;
            say!("The private key is in {}.", identity.display());
            if let Some(paper) = paper {
                let paper = paper.display();
                say!("Print {paper}, delete it, and lock the sheet away.");
            }
            made.recipient
        }
        Keys::Show { identity } => keys::read(&identity)?.recipient(),
    };
    say!("Public key, for the booths: {recipient}");
    say!("Its name in reports: {}", recipient.id());
    Ok(())
}

fn open(file: &Path, identities: &[PathBuf], output: Option<PathBuf>) -> Result<(), Failure> {
    let unsealed = unseal::unseal(file, identities, output)
        .map_err(|error| Failure::Operation(error.to_string()))?;
    let seconds = unsealed.duration_ms as f64 / 1_000.0;
    say!(
        "{}: {seconds:.1} s, in {}",
        unsealed.clip,
        unsealed.output.display()
    );
    let sentence = unseal::sentence(&unsealed.ending);
    if !unsealed.ending.has_all() {
        return Err(Failure::Operation(sentence));
    }
    say!("{sentence}");
    Ok(())
}

fn tell_checked(checked: &Checked, json: bool) {
    if json {
        return say!("{}", serde_json::json!(checked));
    }
    for found in &checked.findings {
        say!(
            "{}: {}: {}. What to do: {}.",
            found.what,
            found.path.display(),
            found.why,
            found.remedy
        );
    }
    let Checked {
        clips,
        bodies,
        bytes,
        ..
    } = checked;
    let found = match checked.findings.len() {
        0 => "all is as it should be".to_owned(),
        1 => "one thing is not as it should be".to_owned(),
        n => format!("{n} things are not as they should be"),
    };
    say!("{clips} clips in the database, {bodies} bodies read ({bytes} bytes): {found}.");
}

fn tell_rebuilt(rebuilt: &Rebuilt, json: bool) {
    if json {
        return say!("{}", serde_json::json!(rebuilt));
    }
    for clip_id in &rebuilt.lost {
        say!(
            "{clip_id}: its body is missing or damaged; if its booth offers it again, it is asked for it."
        );
    }
    for path in &rebuilt.without_manifest {
        say!(
            "{}: a body without its manifest, of which nothing is known; if its booth offers it again, it is taken in.",
            path.display()
        );
    }
    match &rebuilt.before {
        Some(before) => say!("The database before is {}.", before.display()),
        None => say!("There was no database before."),
    }
    if !rebuilt.is_carried_over {
        say!(
            "What only a database knows is lost: births, health, alerts, events and what was to be looked at (the booths say most of it again \
             when the hub comes), and the times of clips that were spoken before their booth's clock was right."
        );
    }
    say!(
        "The database has {} clips, {} of them held, {} without a whole body; {} ids are withdrawn.",
        rebuilt.clips,
        rebuilt.held,
        rebuilt.lost.len(),
        rebuilt.withdrawn
    );
}

/// What comes from outside, with its control characters written out.
fn drives_no_terminal(text: &str) -> String {
    let written = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(written).collect()
}
