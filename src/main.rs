//! `booth-gateway`: the daemon beside the booth, and the technician's tool.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods)] // looks which configuration is there

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use booth_gateway::adapters::handset_sim;
use booth_gateway::config::Config;
use booth_gateway::doctor::{self, Show};
use booth_gateway::provision::{self, Places, Source};
use booth_gateway::run::{self, Ended, RunError};
use booth_gateway::status;
use booth_gateway::update::verbs::{Updater, told, usual_patience};
use booth_gateway::update::{self, state::Store};
use booth_host::{clock, crew, journal, out};
use booth_host::{complain, say};
use booth_spool::real_disk::RealDisk;
use clap::{Parser, Subcommand};

/// Bad configuration (EX_CONFIG of sysexits.h); the service manager does not try again.
const EX_CONFIG: u8 = 78;

/// Records citizens' spoken answers at a telephone booth, keeps them on the card and delivers them over
/// MQTT until the centre confirms each one by its hash.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration."
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the booth until SIGTERM; SIGHUP reads questions and prompts again.
    Run {
        #[command(flatten)]
        config: ConfigFile,
        /// Write every edge of hook, dial and buttons with the kernel's stamp to this file, to send along with a report of
        /// a booth that misunderstands. It says what was dialled when, grows with every visit, and is not for the
        /// simulated handset.
        #[arg(long, value_name = "FILE")]
        record_trace: Option<PathBuf>,
        /// With a bad configuration, or none, come up as "not set up": say so through the handset, the lamp and the log,
        /// record and publish nothing, and start by itself when SIGHUP finds a good configuration. Without this flag
        /// `run` ends with 78. The SD image uses it.
        #[arg(long)]
        setup_on_error: bool,
        /// The folder of `provision --without-data`: its configuration is used where FILE is not there.
        #[arg(long, value_name = "DIR")]
        without_data: Option<PathBuf>,
    },
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
    Provision {
        /// The mounted FAT partition.
        #[arg(long, value_name = "DIR")]
        boot: PathBuf,
        /// The folder on the booth's own partition; what is made there belongs to this folder's owner. A booth.toml that
        /// does not name [spool] dir has its spool here.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Where `run` reads the effective configuration; by default DATA/config/booth.toml.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The folder where NetworkManager reads profiles: those of [network] in booth.toml are written there at every
        /// boot. Without it networks are somebody else's business.
        #[arg(long, value_name = "DIR")]
        network: Option<PathBuf>,
        /// A folder in RAM where everything is made when the booth's own partition takes no writes, so that the booth comes
        /// up and says so; `run --without-data` finds it there. Secrets then stay on FAT.
        #[arg(long, value_name = "DIR")]
        without_data: Option<PathBuf>,
        /// Only bring BOOTH-STATUS.TXT up to date with what the running gateway says; written if that is news.
        #[arg(long)]
        status: bool,
        /// The folder for the secrets of [network], of root's and in one of root's; by default DATA/network.
        #[arg(long, value_name = "DIR")]
        secrets: Option<PathBuf>,
        /// Keep [update] keys of the card's booth.toml in this folder of root's, where `update` believes them; with --status, the
        /// day, if the clock is synchronised.
        #[arg(long, value_name = "DIR")]
        trust: Option<PathBuf>,
    },
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
        booth-gateway update --describe x.update                 what a file holds, and whether a key of this booth signed it"
    )]
    Update {
        /// The update file, or its address (http://, https://).
        #[arg(value_name = "FILE|URL")]
        source: Option<String>,
        /// Do not restart: the next restart is the trial.
        #[arg(long, requires = "source")]
        no_reboot: bool,
        /// How far the latest update is.
        #[arg(long, conflicts_with_all = ["source", "describe", "trial", "requested"])]
        status: bool,
        /// Print the state file instead of sentences.
        #[arg(long, requires = "status")]
        json: bool,
        /// Say what an update file holds, without writing anything; on any machine.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "trial", "requested"])]
        describe: Option<PathBuf>,
        /// At the start of the machine: note what became of an update; on trial, watch the gateway and commit, or restart
        /// into the version from before (booth-trial.service).
        #[arg(long, conflicts_with_all = ["source", "requested"])]
        trial: bool,
        /// Give a version on trial so many seconds to prove itself.
        #[arg(long, value_name = "N", requires = "trial", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        after_s: Option<u64>,
        /// Do what the centre has asked for by cmd/update (booth-update.service).
        #[arg(long, conflicts_with = "source")]
        requested: bool,
        #[command(flatten)]
        config: ConfigFile,
        /// A folder laid out like a booth's files, for tests and rigs.
        #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
        root: PathBuf,
        /// Ready for so many seconds is proof; for tests and rigs.
        #[arg(long, hide = true, value_name = "N", requires = "trial")]
        steady_s: Option<u64>,
    },
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
        booth-gateway doctor --live              watch contacts, last key and level meter; Ctrl-C ends\n  \
        booth-gateway doctor --live --seconds 20 | tee contacts.txt    one line per change"
    )]
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        /// Print {"ok": 0|1, "booth_id", "gateway": "running"|"silent"|"stopped"|"unknown", "misconfigured": 0|1,
        /// "findings": [{"area", "subject", "verdict": "ok"|"not_checked"|"warning"|"fault", "sentence", "remedy"}]}.
        #[arg(long, conflicts_with_all = ["live", "console"])]
        json: bool,
        /// Show contacts, last key and level meter four times a second until Ctrl-C. Without a running gateway the
        /// doctor holds lines and microphone until then.
        #[arg(long)]
        live: bool,
        /// The same for a screen that nobody logs in at (booth-console.service): waits for a gateway and shows its
        /// faults with their remedies, and never takes a line itself.
        #[arg(long, conflicts_with = "live")]
        console: bool,
        /// End a live view after so many seconds.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        seconds: Option<u64>,
    },
    /// Drive a simulated handset: one line to its control socket, e.g. `handset lift`, `handset dial 5`.
    #[command(
        after_help = "Lines: lift, hang-up, dial 0-9, dial *, dial #, button, pulse 1-10, service, state.\n\
        After `lift`, `service` is what the service button held meanwhile is on a real handset.\n\
        The booth must run with [handset] backend = \"sim\"."
    )]
    Handset {
        /// The control socket; by default the one the configuration names.
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
        /// The line.
        #[arg(required = true, value_name = "LINE")]
        line: Vec<String>,
    },
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/booth-gateway/booth.toml"
    )]
    config: PathBuf,
}

fn main() -> ExitCode {
    match out::arguments::<Arguments>() {
        Ok(arguments) => out::status(run_verb(arguments.verb)),
        Err(status) => status,
    }
}

fn run_verb(verb: Verb) -> ExitCode {
    match verb {
        Verb::Run {
            config,
            record_trace,
            setup_on_error,
            without_data,
        } => {
            let in_ram = without_data.map(|folder| folder.join("config/booth.toml"));
            let instead = in_ram.filter(|in_ram| !config.config.exists() && in_ram.exists());
            let path = instead.unwrap_or(config.config);
            run_gateway(&path, record_trace.as_deref(), setup_on_error)
        }
        Verb::Provision {
            boot,
            data,
            config,
            network,
            without_data,
            status,
            secrets,
            trust,
        } => {
            let places = Places::new(&boot, &data, config.as_deref());
            let places = places
                .with_network(network.as_deref())
                .with_secrets(secrets.as_deref());
            provision(&places, without_data.as_deref(), status, trust.as_deref())
        }
        Verb::Update {
            source,
            no_reboot,
            status,
            json,
            describe,
            trial,
            after_s,
            requested,
            config,
            root,
            steady_s,
        } => {
            let updater = Updater::new(&root, &config.config);
            let done = match (source, describe) {
                (Some(source), _) => updater.install(&source, !no_reboot),
                (_, Some(file)) => describe_update(&updater, &file),
                _ if status => show_update(&updater, json),
                _ if requested => {
                    journal::init("booth-update", log::LevelFilter::Info);
                    updater.requested()
                }
                _ if trial => {
                    journal::init("booth-trial", log::LevelFilter::Info);
                    let (patience, steady) = usual_patience();
                    let patience = after_s.map_or(patience, Duration::from_secs);
                    let steady = steady_s.map_or(steady, Duration::from_secs);
                    updater.trial(patience, steady).map(drop)
                }
                _ => {
                    complain!("name an update file or its address; --help has examples");
                    return ExitCode::from(2);
                }
            };
            match done {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => {
                    complain!("{why}");
                    ExitCode::FAILURE
                }
            }
        }
        Verb::CheckConfig { config, json } => check_config(&config.config, json),
        Verb::Doctor {
            config,
            json,
            live,
            console,
            seconds,
        } => match (live, console) {
            (false, false) => doctor(&config.config, json),
            (true, _) => watch(&config.config, Show::Live, seconds),
            (_, true) => watch(&config.config, Show::Console, seconds),
        },
        Verb::Handset {
            socket,
            config,
            line,
        } => handset(socket, &config.config, &line.join(" ")),
    }
}

fn run_gateway(path: &Path, trace: Option<&Path>, setup_on_error: bool) -> ExitCode {
    journal::init_daemon("booth-gateway", log::LevelFilter::Info);
    crew::log_panics();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            log::error!("the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run::run(path, trace, setup_on_error)) {
        Ok(Ended::Stopped) => ExitCode::SUCCESS,
        Ok(Ended::StartAgain) => {
            drop(runtime);
            start_again()
        }
        // The dead worker was logged at once.
        Err(RunError::Worker(_)) => ExitCode::FAILURE,
        Err(error) => {
            log::error!("{error}");
            match error {
                RunError::Config(_) => ExitCode::from(EX_CONFIG),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// The same process from its beginning: every device is let go, and the service manager sees no end.
fn start_again() -> ExitCode {
    let error = match std::env::current_exe() {
        Ok(program) => Command::new(program)
            .args(std::env::args_os().skip(1))
            .exec(),
        Err(error) => error,
    };
    log::error!("the gateway cannot be started again: {error}");
    ExitCode::FAILURE
}

fn show_update(updater: &Updater, json: bool) -> Result<(), String> {
    let state = updater.state()?;
    match json {
        true => say!(
            "{}",
            serde_json::to_string_pretty(&state).expect("a state holds only text and numbers")
        ),
        false => out::print(told(&state)),
    }
    Ok(())
}

fn describe_update(updater: &Updater, file: &Path) -> Result<(), String> {
    let (manifest, signed) = updater.describe(file)?;
    say!(
        "{}",
        serde_json::to_string_pretty(&manifest).expect("a manifest holds only text and numbers")
    );
    match signed {
        Ok(()) => say!("whole, and signed with a key that this booth takes"),
        Err(why) => say!("whole, but not to be taken here: {why}"),
    }
    Ok(())
}

fn provision(
    places: &Places,
    without_data: Option<&Path>,
    only_status: bool,
    trust: Option<&Path>,
) -> ExitCode {
    journal::init("booth-provision", log::LevelFilter::Info);
    let store = trust.map(|folder| Store {
        disk: Arc::new(RealDisk::shared()),
        folder: folder.to_owned(),
    });
    if only_status {
        // The image makes the folder; a machine without it takes no updates.
        if let Some(store) = &store
            && store.folder.is_dir()
            && clock::clock_synced()
            && let Err(error) = store.see_day(update::day_of(clock::wall()))
        {
            log::warn!("the day: {}: {error}", store.folder.display());
        }
        return match provision::refresh_status(places, without_data) {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => {
                log::error!("BOOTH-STATUS.TXT: {error}");
                ExitCode::FAILURE
            }
        };
    }
    // The keys come first: a key that the technician has removed must not count any more, even if the rest fails.
    if let Some(store) = &store
        && let Some(trust) = provision::trusted(&RealDisk::new(), &places.boot)
        && let Err(error) = store.trust(&trust)
    {
        log::error!("the keys of updates: {}: {error}", store.folder.display());
    }
    match provision::provision_here(places, without_data) {
        Ok(outcome) => {
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
                    None if secret.is_new => {
                        log::info!("[network] {}: taken from the card", secret.name)
                    }
                    None => {}
                }
            }
            match &outcome.source {
                Source::Card => log::info!("set up with the card's booth.toml"),
                Source::Kept { since } => {
                    log::warn!("the booth goes on with its configuration of {since}")
                }
                Source::NotSetUp => {
                    log::error!("the booth is not set up");
                    return ExitCode::from(EX_CONFIG);
                }
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check_config(path: &Path, json: bool) -> ExitCode {
    let checked = run::check_anywhere(path).and_then(|(config, mut warnings)| {
        provision::check_beside(&config, path)?;
        warnings.extend(provision::unused_prompts(&config, path));
        Ok(warnings)
    });
    let (warnings, errors) = match checked {
        Ok(warnings) => (warnings, Vec::new()),
        Err(error) => (Vec::new(), error.sentences()),
    };
    if json {
        say!(
            "{}",
            serde_json::json!({ "ok": u8::from(errors.is_empty()), "errors": errors, "warnings": warnings })
        );
    } else if errors.is_empty() {
        for why in &warnings {
            complain!("warning: {why}");
        }
        say!("{}: ok", path.display());
    } else {
        errors.iter().for_each(|error| complain!("{error}"));
    }
    if errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EX_CONFIG)
    }
}

/// The doctor's table or JSON.
fn doctor(path: &Path, json: bool) -> ExitCode {
    let examination = doctor::examine(path);
    match json {
        true => say!("{:#}", examination.to_json()),
        false => out::print(status::table(&examination.findings)),
    }
    if examination.is_misconfigured {
        ExitCode::from(EX_CONFIG)
    } else if status::has_fault(&examination.findings) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn watch(path: &Path, show: Show, seconds: Option<u64>) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            // A console screen has no reader of the journal, so the reason is shown on the screen.
            match show {
                Show::Console => say!("{error}"),
                Show::Live => complain!("{error}"),
            }
            return ExitCode::from(EX_CONFIG);
        }
    };
    match doctor::live(&config, show, seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn handset(socket: Option<PathBuf>, config: &Path, line: &str) -> ExitCode {
    let socket = match socket {
        Some(socket) => socket,
        None => match Config::load(config) {
            Ok(config) => config.handset.control_socket,
            Err(error) => {
                complain!("{error}");
                return ExitCode::from(EX_CONFIG);
            }
        },
    };
    match handset_sim::send_line(&socket, line) {
        Ok(reply) if reply.starts_with("error") => {
            complain!("{reply}");
            ExitCode::FAILURE
        }
        Ok(reply) => {
            say!("{reply}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}
