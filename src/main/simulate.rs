//! `booth-gateway simulate`: the arguments become what is wanted, Ctrl-C ends the citizens, and the report is said.

use std::process::ExitCode;
use std::time::Duration;

use booth_gateway::simulate::{Faults, Report, SimulateError, Wanted, simulate};
use booth_host::{complain, crew, say};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::SimulateArguments;

/// Longest time that is played or waited, minutes.
const MOST_MINUTES: f64 = 10_000.0;

pub(super) fn run(arguments: SimulateArguments) -> ExitCode {
    let is_json = arguments.json;
    let wanted = match wanted(arguments) {
        Ok(wanted) => wanted,
        Err(why) => {
            complain!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let played = runtime
        .map_err(SimulateError::System)
        .and_then(|runtime| runtime.block_on(play(&wanted)));
    match played {
        Ok(report) => {
            match is_json {
                true => say!("{}", serde_json::json!(report)),
                false => say!("{}", report.text()),
            }
            match report.is_good() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: SimulateArguments) -> Result<Wanted, String> {
    let span = |name: &str, minutes: f64| match (0.0..=MOST_MINUTES).contains(&minutes) {
        true => Ok(Duration::from_secs_f64(minutes * 60.0)),
        false => Err(format!("{name} {minutes}: 0 to {MOST_MINUTES} minutes")),
    };
    let faults = arguments.faults.as_deref().map(Faults::read).transpose();
    Ok(Wanted {
        seconds: span("--minutes", arguments.minutes)?.as_secs(),
        patience: span("--patience", arguments.patience)?,
        faults: faults.map_err(|why| why.to_string())?.unwrap_or_default(),
        url: arguments.url,
        root: arguments.root,
        prefix: arguments.prefix,
        booths: arguments.booths,
        lifts_per_hour: arguments.lifts_per_hour,
        message_s: arguments.message_s,
        health_s: arguments.health_s,
        password_file: arguments.password_file,
        ca_file: arguments.ca_file,
        metrics: arguments.metrics.zip(arguments.metrics_token_file),
        seed: arguments.seed,
    })
}

/// The first Ctrl-C ends the citizens, and what they said still leaves; the second one ends the program.
async fn play(wanted: &Wanted) -> Result<Report, SimulateError> {
    let (stop, stopped) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listening = crew::errand("interrupt", async move {
        let _ = interrupt.recv().await;
        complain!("nobody comes any more; what was said still leaves. Ctrl-C again ends at once");
        let _ = stop.send(true);
        let _ = interrupt.recv().await;
        std::process::exit(1);
    });
    let report = simulate(wanted, stopped).await;
    listening.abort();
    report
}
