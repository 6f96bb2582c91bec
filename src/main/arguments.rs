//! What `booth-gateway` is told on its command line, and its help.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Records citizens' spoken answers at a telephone booth, keeps them on the card and delivers them over
/// MQTT until the centre confirms each one by its hash.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration."
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Run the booth until SIGTERM; SIGHUP reads questions and prompts again.
    Run(RunArguments),
    /// Make the booth's configuration of what is on the card's FAT partition; at every boot, before `run`.
    #[command(
        after_help = "Reads booth.toml from the FAT folder in any letter case, also booth.toml.txt, CRLF, UTF-8 or UTF-16. A bad
        file keeps the last good configuration. The files that [mqtt] names (password, key, certificates) are
        moved to DATA/credentials and removed from FAT; a new one replaces the old when it has connected.
        What came of it is in BOOTH-STATUS.TXT on FAT.

        Examples:
          booth-gateway provision --boot /boot/booth --data /var/lib/booth-gateway            at every boot, as root
          booth-gateway provision … --network /etc/NetworkManager/system-connections           the networks of [network], too
          booth-gateway provision --boot /boot/booth --data /var/lib/booth-gateway --status   every ten minutes

        Exit status: 0 the booth has a configuration, be it the last good one; 78 it has none; 1 its own partition refused."
    )]
    Provision(ProvisionArguments),
    /// Write a new version of the whole image into the slot that does not run, and start it on trial.
    ///
    /// The file must be signed with a key of [update] keys. It is written, read back, and started once; it is kept when
    /// the gateway has been ready for 30 s with its spool, else the version from before returns by itself, also after a
    /// power cut at any moment. Only on a booth's SD image, as root. docs/updates.md has the whole story.
    #[command(
        after_help = "Exit status: 0 done, 1 failed (the sentence says what to do; the version from before runs).\n\n\
        Examples:\n  \
        booth-gateway update booth-gateway-0.2.0-arm64.update    write, wait until nobody is in the booth, restart into the trial\n  \
        booth-gateway update https://…/x.update --no-reboot      the trial begins with the next restart\n  \
        booth-gateway update --status                            how far the latest one is\n  \
        booth-gateway update --describe x.update                 what a file holds, and whether a key of this booth signed it\n  \
        booth-gateway update new.update --differs-from old.update --into small.update\n  \
        \u{20}                                                        for a mobile link: only what differs from the version that runs"
    )]
    Update(UpdateArguments),
    /// Say what is wrong with a configuration, without touching a device or the network.
    ///
    /// The verdict is the same on every machine. What keeps no booth from running is a warning: a prompt that cannot be played, a time
    /// zone that this machine's tables lack, a password that the booth has already moved off its card.
    CheckConfig {
        #[command(flatten)]
        config: ConfigFile,
        /// Print {"ok": 0|1, "errors": […], "warnings": […]} instead of sentences.
        #[arg(long)]
        json: bool,
    },
    /// Look at the whole booth as a technician would, and say what is wrong and what to do.
    ///
    /// Looks at the configuration, every GPIO line, the sound cards and their mixer, the prompts, the card, the
    /// credentials, the broker, the hub, the clock and the machine, and changes none of it. While a gateway runs, the
    /// doctor asks it over its own socket and takes nothing from it; without one it opens lines, card and broker itself
    /// for a moment. Run it as root or as the user booth-gateway.
    #[command(
        after_help = "Verdicts: ok, not checked (the sentence says why), WARNING (the booth does its work), FAULT \
        (somebody must do something).\n\
        Exit status: 0 nothing is at fault, 1 something is, 78 the configuration is bad (the rest is looked at all the same).\n\n\
        Examples:\n  \
        booth-gateway doctor                     a table, faults last, each with its remedy\n  \
        booth-gateway doctor --json              the same for programs\n  \
        booth-gateway doctor --bundle FILE       all of it in one file for whoever helps from afar; no secrets, no voices\n  \
        booth-gateway doctor --live              watch contacts, last key and level meter; Ctrl-C ends\n  \
        booth-gateway doctor --live --seconds 20 | tee contacts.txt    one line per change"
    )]
    Doctor(DoctorArguments),
    /// Drive a simulated handset: one line to its control socket, e.g. `handset lift`, `handset dial 5`.
    #[command(
        after_help = "Lines: lift, hang-up, dial 0-9, dial *, dial #, button, pulse 1-10, service, state.\n\
        After `lift`, `service` is what the service button held meanwhile is on a real handset.\n\
        The booth must run with [handset] backend = \"sim\"."
    )]
    Handset(HandsetArguments),
    /// Watch the booths of a city in this terminal, worst first, through the broker.
    ///
    /// Log in with an operator's own name; its access is that of *operations* in docs/mosquitto.acl: state, birth, health, alerts, events
    /// and replies, and never a citizen's words. Nothing is published. The connection comes back by itself.
    #[command(
        after_help = "Keys: arrows choose a booth, Enter shows it, / finds, f filters, s sorts, l is the log, ? tells all, q ends.\n\
        Exit status of --once: 0 citizens can speak at every booth that was heard; 1 not at all of them, none was heard, or the broker cannot be reached; 2 wrong usage.\n\n\
        Examples:\n  \
        booth-gateway fleet --url mqtts://broker.example --user anna --password-file p --ca-file ca.pem\n  \
        booth-gateway fleet … --once                 a table, the worst first\n  \
        booth-gateway fleet … --once --json          one JSON object\n  \
        booth-gateway fleet … --json                 one JSON line for each thing that happens, until Ctrl-C"
    )]
    Fleet(FleetArguments),
    /// Play a fleet of booths against a broker and count what becomes of their messages.
    ///
    /// Each booth connects, says health, and keeps, sends and lets go of its messages with the booth's own delivery and connection; only
    /// citizens, card and sound are simulated. Name a prefix that no real booth has, and a hub that may be filled: the messages stay there.
    #[command(
        after_help = "Exit status: 0 nothing lost, doubled, late or refused; 1 something was, or it could not begin; 2 wrong usage.\n\n\
        Examples:\n  \
        booth-gateway simulate --url mqtt://127.0.0.1 --booths 100 --minutes 5\n  \
        booth-gateway simulate --url mqtts://broker.example --password-file p --booths 10000 --lifts-per-hour 6 --faults faults.toml\n  \
        booth-gateway simulate … --metrics http://127.0.0.1:8080/metrics --metrics-token-file token    also what is lost and doubled\n\n\
        A file of faults (TOML), per booth: disconnects_per_hour = 2.0, power_cuts_per_hour = 0.5, bytes_per_second = 20000."
    )]
    Simulate(SimulateArguments),
    /// Look at a card that was pulled out of its booth, on any Linux machine, and copy its messages out or send them.
    ///
    /// SOURCE is the card's device (lsblk lists them), one of its partitions, an image of it, or a folder. It is only read: nothing is mounted or
    /// mended, and what a power cut left in the file system's journal is taken into account. A sealed message stays sealed. docs/pulled-card.md has the
    /// whole story.
    #[command(
        after_help = "Exit status: 0 done, 1 not everything is whole or it could not be done (the sentence says what to do), 2 wrong usage.\n\n\
        Examples:\n  \
        sudo booth-gateway spool list /dev/sdb                   what is unsent, whose, since when\n  \
        sudo booth-gateway spool verify /dev/sdb                 the same, with every checksum and every hash\n  \
        sudo booth-gateway spool export /dev/sdb /media/stick/card-7    copy it out; booth-hub import takes the folder\n  \
        sudo booth-gateway spool drain /dev/sdb --url mqtts://broker.example --user courier --password-file p    send it to the hub\n  \
        booth-gateway spool verify card.img --json               an image that was made with dd needs no root"
    )]
    Spool {
        #[command(subcommand)]
        verb: SpoolVerb,
    },
    /// Mount a USB stick for the running gateway and let go of it again; root's helper, which booth-stick.socket starts.
    ///
    /// Waits ten seconds for a stick with FAT or exFAT that is no booth's card, hands its open folder to the gateway, and says when it is safe to
    /// remove. The stick is mounted in no folder. docs/pulled-card.md has the whole story.
    #[command(
        after_help = "Exit status: 0 the gateway was served, also if it was told that there is no stick; 1 there is no gateway; 2 wrong usage.\n\n\
        Example:\n  \
        systemctl enable --now booth-stick.socket    once, as root, where neither the package nor the SD image did it"
    )]
    Stick(StickArguments),
}

/// The arguments of `stick`.
#[derive(clap::Args)]
pub(super) struct StickArguments {
    /// The folder in which the disks of USB readers appear, as `[service] usb_disks` names it.
    #[arg(long, value_name = "DIR", default_value = "/dev/booth-usb")]
    pub(super) disks: PathBuf,
    /// Mount ext4, too; for tests and rigs.
    #[arg(long, hide = true)]
    pub(super) ext4: bool,
}

/// What is done with a pulled card.
#[derive(Subcommand)]
pub(super) enum SpoolVerb {
    /// Say what is unsent on the card: of which booth, how many, how long, since when.
    List(LookArguments),
    /// The same, and prove with every record's checksum and every body's hash that it is whole; 1 if not.
    Verify(LookArguments),
    /// Copy every whole message into a new folder, read it back, and write a receipt last.
    ///
    /// What is not whole is copied as it lies on the card, into left/. The card keeps everything: it can go back into a booth, and what the hub has
    /// meanwhile is confirmed at once.
    Export {
        /// The device, partition, image or folder.
        source: PathBuf,
        /// A folder that is empty or does not exist.
        to: PathBuf,
        /// Print the receipt instead of sentences.
        #[arg(long)]
        json: bool,
    },
    /// Send every whole message to the hub, over the broker, as the booth itself would.
    ///
    /// Log in as "courier", who may send for every booth (docs/mosquitto.acl) and is in nobody's way; or as the booth itself, with its id, while it is off:
    /// two with one name throw each other off. A message that the hub has already is confirmed at once. The card keeps everything.
    #[command(
        after_help = "Exit status: 0 everything of the card is at the hub; 1 not everything is, and the sentence says what to do; 2 wrong usage. In the receipt\n\
        \"may_succeed_later\": 1 means that broker or hub was not there, or did not answer: run the same line later.\n\n\
        Examples:\n  \
        sudo booth-gateway spool drain /dev/sdb --url mqtts://broker.example --user courier --password-file p\n  \
        booth-gateway spool drain card.img --url … --user rundhoej-1 --password-file mqtt-password --receipt card-7.json"
    )]
    Drain(Box<DrainArguments>),
}

/// The arguments of `spool drain`.
#[derive(clap::Args)]
pub(super) struct DrainArguments {
    /// The device, partition, image or folder.
    pub(super) source: PathBuf,
    #[command(flatten)]
    pub(super) login: LoginArguments,
    /// The city's root topic.
    #[arg(long, value_name = "TOPIC", default_value = "booth/1")]
    pub(super) root: String,
    /// The booth at which withdrawals on the card were dialled, where it has messages of several booths or of none.
    #[arg(long, value_name = "ID")]
    pub(super) booth: Option<String>,
    /// The receipt's file, which must not be there yet; by default drained-TIME.json in this folder.
    #[arg(long, value_name = "FILE")]
    pub(super) receipt: Option<PathBuf>,
    /// How long it is waited while nothing goes on, in seconds: for the broker, for the hub, for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) patience: u64,
    /// Print the receipt instead of sentences.
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `spool list` and `spool verify`.
#[derive(clap::Args)]
pub(super) struct LookArguments {
    /// The device, partition, image or folder.
    pub(super) source: PathBuf,
    /// For programs.
    #[arg(long)]
    pub(super) json: bool,
}

/// A login at the broker.
#[derive(clap::Args)]
pub(super) struct LoginArguments {
    /// The broker, e.g. mqtts://broker.example.
    #[arg(long, value_name = "URL")]
    pub(super) url: String,
    /// Your name at the broker.
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// The file with your password.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub(super) password_file: Option<PathBuf>,
    /// MQTT client id; by default your name. Two terminals with the same one take the connection from each other.
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,
    /// Whom to trust, for mqtts; without it the system's authorities.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Your certificate, where the broker asks for one.
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub(super) cert_file: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(super) key_file: Option<PathBuf>,
}

/// The arguments of `fleet`.
#[derive(clap::Args)]
pub(super) struct FleetArguments {
    #[command(flatten)]
    pub(super) login: LoginArguments,
    /// The city's root topic.
    #[arg(long, value_name = "TOPIC", default_value = "booth/1")]
    pub(super) root: String,
    /// Only booths that stand so.
    #[arg(long, value_name = "STANDING", value_parser = ["cannot", "silent", "visit", "watch", "fine"])]
    pub(super) show: Option<String>,
    /// The order.
    #[arg(long, value_name = "ORDER", value_parser = ["worst", "unsent", "health", "hot", "card", "version", "name"])]
    pub(super) sort: Option<String>,
    /// Only booths whose id or name has this text.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) find: String,
    /// Say once how the fleet stands, and end.
    #[arg(long)]
    pub(super) once: bool,
    /// With --once one JSON object; without it one JSON line for each thing that happens.
    #[arg(long)]
    pub(super) json: bool,
    /// How long --once waits at most, in seconds; where the broker repeats nothing, a little more than the booths' interval of health.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(super) patience: u64,
}

/// The arguments of `simulate`.
#[derive(clap::Args)]
pub(super) struct SimulateArguments {
    /// The broker, e.g. mqtt://127.0.0.1:1883 or mqtts://broker.example.
    #[arg(long, value_name = "URL")]
    pub(super) url: String,
    /// The city's root topic.
    #[arg(long, value_name = "TOPIC", default_value = "booth/1")]
    pub(super) root: String,
    /// The beginning of the booths' ids; a number follows.
    #[arg(long, value_name = "TEXT", default_value = "simulated-")]
    pub(super) prefix: String,
    /// How many booths, at most 10000.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) booths: u32,
    /// Lifts of each booth in an hour; each leaves a message.
    #[arg(long, value_name = "M", default_value_t = 6.0)]
    pub(super) lifts_per_hour: f64,
    /// For how long citizens come.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    pub(super) minutes: f64,
    /// The length of each message, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub(super) message_s: u32,
    /// How often each booth says health, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(super) health_s: u64,
    /// How long it is waited afterwards until everything is confirmed.
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    pub(super) patience: f64,
    /// The password of all booths; each logs in under its own id.
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Whom to trust, for mqtts; without it the system's authorities.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// What goes wrong, see below.
    #[arg(long, value_name = "FILE")]
    pub(super) faults: Option<PathBuf>,
    /// The hub's /metrics, to know what it holds before and after; nobody else may send to it meanwhile.
    #[arg(long, value_name = "URL", requires = "metrics_token_file")]
    pub(super) metrics: Option<String>,
    /// The file with the token of /metrics.
    #[arg(long, value_name = "FILE", requires = "metrics")]
    pub(super) metrics_token_file: Option<PathBuf>,
    /// The same seed plays the same lifts.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Print the result as JSON instead of sentences.
    #[arg(long)]
    pub(super) json: bool,
}

/// The arguments of `run`.
#[derive(clap::Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// Write every edge of hook, dial and buttons with the kernel's stamp to this file, to send along with a report of
    /// a booth that misunderstands. It says what was dialled when, grows with every visit, and is not for the
    /// simulated handset.
    #[arg(long, value_name = "FILE")]
    pub(super) record_trace: Option<PathBuf>,
    /// With a bad configuration, or none, come up as "not set up": say so through the handset, the lamp and the log,
    /// record and publish nothing, and start by itself when SIGHUP finds a good configuration. Without this flag
    /// `run` ends with 78. The SD image uses it.
    #[arg(long)]
    pub(super) setup_on_error: bool,
    /// The folder of `provision --without-data`: its configuration is used where FILE is not there.
    #[arg(long, value_name = "DIR")]
    pub(super) without_data: Option<PathBuf>,
}

/// The arguments of `provision`.
#[derive(clap::Args)]
pub(super) struct ProvisionArguments {
    /// The mounted FAT partition.
    #[arg(long, value_name = "DIR")]
    pub(super) boot: PathBuf,
    /// The folder on the booth's own partition; what is made there belongs to this folder's owner. A booth.toml that
    /// does not name [spool] dir has its spool here.
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Where `run` reads the effective configuration; by default DATA/config/booth.toml.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// The folder where NetworkManager reads profiles: those of [network] in booth.toml are written there at every
    /// boot. Without it networks are somebody else's business.
    #[arg(long, value_name = "DIR")]
    pub(super) network: Option<PathBuf>,
    /// A folder in RAM where everything is made when the booth's own partition takes no writes, so that the booth comes
    /// up and says so; `run --without-data` finds it there. Secrets then stay on FAT.
    #[arg(long, value_name = "DIR")]
    pub(super) without_data: Option<PathBuf>,
    /// Only bring BOOTH-STATUS.TXT up to date with what the running gateway says; written if that is news.
    #[arg(long)]
    pub(super) status: bool,
    /// The folder for the secrets of [network], of root's and in one of root's; by default DATA/network.
    #[arg(long, value_name = "DIR")]
    pub(super) secrets: Option<PathBuf>,
    /// Keep [update] keys of the card's booth.toml in this folder of root's, where `update` believes them; with --status, the
    /// day, if the clock is synchronised.
    #[arg(long, value_name = "DIR")]
    pub(super) trust: Option<PathBuf>,
}

/// The arguments of `update`.
#[derive(clap::Args)]
pub(super) struct UpdateArguments {
    /// The update file, or its address (http://, https://).
    #[arg(value_name = "FILE|URL")]
    pub(super) source: Option<String>,
    /// Do not restart: the next restart is the trial.
    #[arg(long, requires = "source")]
    pub(super) no_reboot: bool,
    /// Make of FILE an update that holds only what differs from this earlier one, for booths on which that one runs; on any machine.
    #[arg(long, value_name = "OLD", requires = "source", requires = "into")]
    pub(super) differs_from: Option<PathBuf>,
    /// Where the smaller update is written.
    #[arg(long, value_name = "FILE", requires = "differs_from")]
    pub(super) into: Option<PathBuf>,
    /// How far the latest update is.
    #[arg(long, conflicts_with_all = ["source", "describe", "trial", "requested"])]
    pub(super) status: bool,
    /// Print the state file instead of sentences.
    #[arg(long, requires = "status")]
    pub(super) json: bool,
    /// Say what an update file holds, without writing anything; on any machine.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "trial", "requested"])]
    pub(super) describe: Option<PathBuf>,
    /// Wait until nobody is at the handset, and end: for whoever starts the gateway anew after another version was installed
    /// as a Debian package (booth-new-version.service).
    #[arg(long, conflicts_with_all = ["source", "describe", "trial", "requested", "status"])]
    pub(super) wait_for_rest: bool,
    /// At the start of the machine: note what became of an update; on trial, watch the gateway and commit, or restart
    /// into the version from before (booth-trial.service).
    #[arg(long, conflicts_with_all = ["source", "requested"])]
    pub(super) trial: bool,
    /// Give a version on trial so many seconds to prove itself.
    #[arg(long, value_name = "N", requires = "trial", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) after_s: Option<u64>,
    /// Do what the centre has asked for by cmd/update (booth-update.service).
    #[arg(long, conflicts_with = "source")]
    pub(super) requested: bool,
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// A folder laid out like a booth's files, for tests and rigs.
    #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
    pub(super) root: PathBuf,
    /// Ready for so many seconds is proof; for tests and rigs.
    #[arg(long, hide = true, value_name = "N", requires = "trial")]
    pub(super) steady_s: Option<u64>,
}

/// The arguments of `doctor`.
#[derive(clap::Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// Print {"ok": 0|1, "booth_id", "gateway": "running"|"silent"|"stopped"|"unknown", "misconfigured": 0|1,
    /// "findings": [{"area", "subject", "verdict": "ok"|"not_checked"|"warning"|"fault", "sentence", "remedy"}]}.
    #[arg(long, conflicts_with_all = ["live", "console"])]
    pub(super) json: bool,
    /// Write one file (tar, gzip) with everything that helps from afar: the findings, the configuration without secrets, the
    /// state, the latest lines of the journal, the kernel's and the network's facts. It holds no message, receipt, password,
    /// code or key. FILE must not be there yet. Exit status 0 says that it is written, whatever was found.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "live", "console"])]
    pub(super) bundle: Option<PathBuf>,
    /// Show contacts, last key and level meter four times a second until Ctrl-C. Without a running gateway the
    /// doctor holds lines and microphone until then.
    #[arg(long)]
    pub(super) live: bool,
    /// The same for a screen that nobody logs in at (booth-console.service): waits for a gateway and shows its
    /// faults with their remedies, and never takes a line itself.
    #[arg(long, conflicts_with = "live")]
    pub(super) console: bool,
    /// End a live view after so many seconds.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) seconds: Option<u64>,
}

/// The arguments of `handset`.
#[derive(clap::Args)]
pub(super) struct HandsetArguments {
    /// The control socket; by default the one the configuration names.
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The line.
    #[arg(required = true, value_name = "LINE")]
    pub(super) line: Vec<String>,
}

#[derive(clap::Args)]
pub(super) struct ConfigFile {
    /// The configuration.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/booth-gateway/booth.toml"
    )]
    pub(super) config: PathBuf,
}
