//! What `booth-hub` is told on its command line, and its help.

use std::path::PathBuf;

use booth_contract::BoothId;
use booth_hub::areas::Areas;
use booth_hub::campaign::Campaign;
use booth_hub::people::People;
use booth_hub::pilot::Pilot;
use clap::{Parser, Subcommand};

/// The centre of the telephone booths: receives the citizens' spoken answers and the booths' health
/// from an MQTT broker, keeps them, and shows them on two pages.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration, or a store that somebody must look at.
#[derive(Debug, Parser)]
#[command(name = "booth-hub", version)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
    ///   # database = "postgres://booth-hub@%2Frun%2Fpostgresql/booth"  # without it a file in dir; docs/hub-store.md
    ///   # database_password_file = "database-password"
    ///   # database_ca_file = "database-ca.pem"  # of a server on another machine, which is reached over TLS
    ///   # bodies = "s3://bucket/prefix"  # without it in dir; docs/hub-store.md
    ///   # bodies_endpoint = "https://s3.example:9000"
    ///   # bodies_key_id = "booth-hub"
    ///   # bodies_secret_file = "bodies-secret"
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
    /// Take in what citizens said, as one of several workers beside the hub that serves, until stopped
    ///
    /// For a country's booths: one process may have too much to take in. hub.toml is the same for all of them:
    ///
    ///   [store]
    ///   database = "postgres://booth-hub@%2Frun%2Fpostgresql/booth"
    ///
    ///   [ingest]
    ///   workers = 2
    ///
    /// booth-hub serve shows, commands and deletes, says at the broker that the hub is there, and hears what booths say of themselves; the workers
    /// take in what citizens said there. Each booth is one worker's at a time, by a lease in the database; when a worker dies, the others have its
    /// booths within ten seconds. Each logs in at the broker under a name of its own, `hub-1` besides `hub` (docs/mosquitto.acl has both). Workers
    /// work on the folder of the hub that serves ([store] dir), on the same machine: see docs/hub-workers.md.
    ///
    /// SIGTERM stops cleanly and gives the booths to the other workers at once.
    #[command(verbatim_doc_comment)]
    Ingest {
        /// The number of this worker, from 1 to [ingest] workers
        #[arg(long, value_name = "N")]
        worker: u16,
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
    /// Move what is known of the clips from hub.sqlite to PostgreSQL
    ///
    /// For a city that outgrows one file, or whose operations keep their databases in PostgreSQL. Stop the hub first; the booths keep
    /// their clips until it is back. DATABASE is empty and belongs to the hub's user:
    ///
    ///   sudo -u postgres createuser booth-hub
    ///   sudo -u postgres createdb -O booth-hub -E UTF8 -T template0 booth
    ///   sudo systemctl stop booth-hub
    ///   sudo -u booth-hub booth-hub migrate postgres://booth-hub@%2Frun%2Fpostgresql/booth
    ///
    /// All rows are copied in one transaction; clips and everything else stay in the folder. At its end it says which lines hub.toml
    /// needs, and a hub without them does not start. hub.sqlite is kept as hub.sqlite.moved: delete it once the hub runs well, because
    /// what citizens take back later is still named in it. A run that is cut off leaves hub.sqlite as it was: run it again.
    #[command(verbatim_doc_comment)]
    Migrate {
        /// The address of the database, without a password
        #[arg(value_name = "DATABASE")]
        database: String,
        /// The file with the password, where one is needed
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// The certificate of the authority that signed the server's, where it is on another machine and its authority not one of the system's
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// One JSON object instead of lines for people
        #[arg(long)]
        json: bool,
        /// The configuration, as it is: without [store] database
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
    /// It has one form wherever the store keeps its rows and bodies: rows of PostgreSQL are written into hub.sqlite, bodies are fetched from
    /// their bucket, each once.
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
    /// Rows go into the database that [store] database names, which must be empty; without that line into the folder. Bodies go into the
    /// folder, and from there into the bucket of [store] bodies once the hub runs.
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
    /// Take in the messages of a card that was pulled out of its booth
    ///
    /// CARD is the card itself (a device), an image of it, or a spool's folder; then booth-gateway must be installed here, and what it exports lies
    /// beside the store until it is taken in. Or CARD is the folder that `booth-gateway spool export` made elsewhere. Every clip takes the way that it takes over MQTT: manifest and hash are
    /// verified, what its citizen took back stays gone, what is sealed stays sealed. Running it again takes nothing twice; when a booth sends
    /// the same clip later it is confirmed as usual. What is not whole is named and left. It works beside a running hub and while the hub is
    /// stopped.
    #[command(
        verbatim_doc_comment,
        after_help = "Exit status: 0 the hub has everything that was whole on the card, 1 it has not (each with its reason), 78 bad configuration.\n\n\
        Examples:\n  \
        sudo booth-hub import /dev/sdb                         the card at the hub\n  \
        sudo booth-gateway spool export /dev/sdb /srv/card-7   or on any Linux machine with the card, and then\n  \
        booth-hub import /srv/card-7                           what was taken, by booth\n  \
        booth-hub import /srv/card-7 --json                    what became of each clip"
    )]
    Import {
        /// The card, its image, a spool's folder, or the folder with receipt.json
        #[arg(value_name = "CARD")]
        folder: PathBuf,
        /// The booth where the card was; needed only for withdrawals of a card that does not say it
        #[arg(long, value_name = "ID")]
        booth: Option<String>,
        /// For programs
        #[arg(long)]
        json: bool,
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
    /// Make everything that a new booth, or a new card of a booth, needs
    ///
    /// Writes into a new folder: booth.toml, with the city's time zone ([city] time_zone), its password at the broker, the broker's authority, and a label for the card's bag. Tells the broker
    /// by `[enrol] command` of hub.toml, where one is named. For a booth that is there it says what its card still holds. Nothing is
    /// written over, and the password is kept nowhere else.
    ///
    ///   [enrol]
    ///   url = "mqtts://broker.example:8883"           # the broker as booths reach it; without it [mqtt] url
    ///   control_keys = ["RW…"]                        # whose signed commands the booths obey
    ///   command = ["/usr/local/bin/add-booth", "{booth}"]     # gets the password on standard input (docs/operations.md)
    ///
    /// With --wait it then follows the booth to its first ready.
    #[command(verbatim_doc_comment)]
    Enrol {
        /// The booth's id, for example rundhoej-1
        #[arg(value_parser = BoothId::parse)]
        booth: BoothId,
        /// Its name for people
        #[arg(long, default_value = "")]
        name: String,
        /// Where it stands, for the label
        #[arg(long, default_value = "")]
        place: String,
        /// The folder for its files; without it, card-BOOTH in this folder
        #[arg(long, value_name = "FOLDER")]
        output: Option<PathBuf>,
        /// Follow it for so many minutes until a citizen can speak there
        #[arg(long, value_name = "MINUTES", default_value_t = 0)]
        wait: u64,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/booth-hub/hub.toml")]
        config: PathBuf,
    },
    /// Make everything for a first booth on one machine: broker, hub and booth
    ///
    /// Makes in one folder, each for its owner alone: the city's key with its paper, a password for each user of the broker, Mosquitto's
    /// configuration with the shipped access rules, hub.toml, booth.toml, the notice, units for systemd, an account with a password that is
    /// shown once, and a campaign with one question. Then it says which commands to start. docs/pilot.md tells the way from a bare machine.
    ///
    /// Nothing is assumed that differs from country to country: what no flag names is asked on the terminal, and in a script is an error. Run
    /// again it goes on where it ended, and writes over nothing.
    ///
    ///   booth-hub pilot /srv/pilot
    #[command(verbatim_doc_comment)]
    Pilot(Box<Pilot>),
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
        /// Where the opened clip goes; without it, <clip id>.opus (a written message: <clip id>.txt) in this folder
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
pub(super) enum Keys {
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
