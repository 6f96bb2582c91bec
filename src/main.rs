//! `booth-gateway`: the daemon beside the booth, and the technician's tool.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods)] // looks which configuration is there

#[path = "main/arguments.rs"]
mod arguments;
#[path = "main/fleet.rs"]
mod fleet;
#[path = "main/login.rs"]
mod login;
#[path = "main/provision.rs"]
mod provision;
#[path = "main/simulate.rs"]
mod simulate;
#[path = "main/spool.rs"]
mod spool;
#[path = "main/stick.rs"]
mod stick;
#[path = "main/update.rs"]
mod update;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use arguments::{Arguments, DoctorArguments, HandsetArguments, RunArguments, Verb};
use booth_gateway::adapters::handset_sim;
use booth_gateway::config::Config;
use booth_gateway::doctor::{self, Show};
use booth_gateway::provision::{check_beside, unused_prompts};
use booth_gateway::run::{self, Ended, RunError};
use booth_gateway::status::{self, Verdict};
use booth_host::{complain, say};
use booth_host::{crew, journal, out, private};

/// Bad configuration (EX_CONFIG of sysexits.h); the service manager does not try again.
const EX_CONFIG: u8 = 78;

fn main() -> ExitCode {
    match out::arguments::<Arguments>() {
        Ok(arguments) => out::status(run_verb(arguments.verb)),
        Err(status) => status,
    }
}

fn run_verb(verb: Verb) -> ExitCode {
    match verb {
        Verb::Run(arguments) => run_gateway(arguments),
        Verb::Provision(arguments) => provision::run(&arguments),
        Verb::Update(arguments) => update::run(arguments),
        Verb::CheckConfig { config, json } => check_config(&config.config, json),
        Verb::Doctor(arguments) => doctor(&arguments),
        Verb::Handset(arguments) => handset(arguments),
        Verb::Fleet(arguments) => fleet::run(arguments),
        Verb::Simulate(arguments) => simulate::run(arguments),
        Verb::Spool { verb } => spool::run(verb),
        Verb::Stick(arguments) => stick::run(arguments),
    }
}

fn run_gateway(arguments: RunArguments) -> ExitCode {
    let folder = arguments.without_data.as_ref();
    let in_ram = folder.map(|folder| folder.join("config/booth.toml"));
    let usual = arguments.config.config;
    let instead = in_ram.filter(|in_ram| !usual.exists() && in_ram.exists());
    let path = instead.unwrap_or(usual);

    journal::init_daemon("booth-gateway", log::LevelFilter::Info);
    crew::log_panics();
    if let Err(error) = private::keep_to_itself() {
        log::error!(
            "what is said could get into a core file or be read by another process: {error}"
        );
    }
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
    match runtime.block_on(run::run(
        &path,
        arguments.record_trace.as_deref(),
        arguments.setup_on_error,
    )) {
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
                RunError::Config(error) if !error.may_pass() => ExitCode::from(EX_CONFIG),
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

fn check_config(path: &Path, json: bool) -> ExitCode {
    let checked = run::check_anywhere(path).and_then(|(config, mut warnings)| {
        check_beside(&config, path)?;
        warnings.extend(unused_prompts(&config, path));
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

fn doctor(arguments: &DoctorArguments) -> ExitCode {
    let path = &arguments.config.config;
    if let Some(into) = &arguments.bundle {
        return bundle(path, into);
    }
    match (arguments.live, arguments.console) {
        (false, false) => examine(path, arguments.json),
        (true, _) => watch(path, Show::Live, arguments.seconds),
        (_, true) => watch(path, Show::Console, arguments.seconds),
    }
}

/// The doctor's table or JSON.
fn examine(path: &Path, json: bool) -> ExitCode {
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

/// The doctor's findings and more in one file.
fn bundle(path: &Path, into: &Path) -> ExitCode {
    match doctor::bundle::write(path, into) {
        Ok(examination) => {
            let faults = examination.findings.iter();
            let faults = faults.filter(|finding| finding.verdict == Verdict::Fault);
            say!(
                "{}: written, with {} findings, {} of them at fault. `tar tzf` lists what is in it.",
                into.display(),
                examination.findings.len(),
                faults.count()
            );
            ExitCode::SUCCESS
        }
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
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

fn handset(arguments: HandsetArguments) -> ExitCode {
    let socket = match arguments.socket {
        Some(socket) => socket,
        None => match Config::load(&arguments.config.config) {
            Ok(config) => config.handset.control_socket,
            Err(error) => {
                complain!("{error}");
                return ExitCode::from(EX_CONFIG);
            }
        },
    };
    match handset_sim::send_line(&socket, &arguments.line.join(" ")) {
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
