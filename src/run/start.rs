//! Puts the gateway together, runs the loop, takes it apart.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::ended::{Ended, RunError, setup};
use super::stand_in::StandIn;
use super::turning::{CLOSING, farewell, turn_until_stopped};
use super::workers::{FirstOpening, Reporter, Started, Starter};
use super::{Gateway, Happening, ThisMachine, connections};
use crate::adapters::wake::Wake;
use crate::config::Config;
use crate::settings::check;
use booth_host::crew::Crew;
use booth_host::{crew, systemd};
use booth_spool::{OpenReport, Spool, SpoolError};
use gateway_core::liveness::Liveness;

/// Most happenings that wait for the loop; a worker that reports one more waits until there is room.
const MOST_HAPPENINGS: usize = 1024;
/// How long the start waits for the spool: after that the booth answers, however much lies on its card.
const OPENING: Duration = Duration::from_secs(5);

/// The configuration, or one that stands in for it, and why.
fn configuration(path: &Path, setup_on_error: bool) -> Result<(Config, Option<String>), RunError> {
    let (config, not_set_up) = match check(path) {
        Ok(config) => (config, None),
        Err(error) if setup_on_error => {
            let stand_in = StandIn::new(path, error);
            (stand_in.config, Some(stand_in.why))
        }
        Err(error) => return Err(error.into()),
    };
    for why in config.warnings_here() {
        log::warn!("{why}");
    }
    Ok((config, not_set_up))
}

/// The spool, if it is open in time. A spool that another process has is an error.
async fn first_opened(
    opened: oneshot::Receiver<FirstOpening>,
) -> Result<Option<(Spool, OpenReport)>, RunError> {
    let opened = match tokio::time::timeout(OPENING, opened).await {
        Ok(Ok(Err(error @ SpoolError::InUse { .. }))) => return Err(error.into()),
        // A booth whose card cannot be written still reports that, on the handset and to operations.
        Ok(Ok(Err(error))) => {
            log::error!("{error}");
            None
        }
        Ok(Ok(Ok(opened))) => Some(opened),
        // Not set up; or the keeper is dead, which the crew reports.
        Ok(Err(_)) => None,
        Err(_) => {
            let limit_s = OPENING.as_secs();
            log::warn!(
                "the spool is not open after {limit_s} s; the booth answers, and takes messages when it is"
            );
            None
        }
    };
    Ok(opened)
}

/// Runs the gateway until SIGTERM or SIGINT. With `setup_on_error` a bad configuration does not end it: the booth runs as
/// *not set up*, says so and records nothing, until SIGHUP finds a good configuration.
pub async fn run(
    path: &Path,
    trace: Option<&Path>,
    setup_on_error: bool,
) -> Result<Ended, RunError> {
    run_witnessed(path, trace, setup_on_error, |_| {}).await
}

/// The same with a witness, which sees everything that a worker reports to the loop, on the worker's own thread. The tests
/// of dead workers use one: it panics in a worker's thread, and that worker is dead.
pub async fn run_witnessed(
    path: &Path,
    trace: Option<&Path>,
    setup_on_error: bool,
    witness: impl Fn(&Happening) + Send + Sync + 'static,
) -> Result<Ended, RunError> {
    let mut crew = Crew::gather();
    let (config, not_set_up) = configuration(path, setup_on_error)?;
    let choices = connections::choices(&config)?;
    let (happened, mut happenings) = mpsc::channel(MOST_HAPPENINGS);
    let witness = Arc::new(witness);
    let stop = Arc::new(AtomicBool::new(false));
    let wake = Wake::new().map_err(setup("the handset's thread cannot be woken"))?;
    let mut starter = Starter {
        config: &config,
        path,
        is_set_up: not_set_up.is_none(),
        reporter: Reporter { happened, witness },
        stop: stop.clone(),
        wake: wake.clone(),
        liveness: Liveness::default(),
    };
    let (keeper, kept, opened) = starter.keeper()?;
    let opened = first_opened(opened).await?;
    let Started {
        workers,
        mut connection,
        sockets: _sockets,
    } = starter.workers(keeper, trace, choices)?;
    let liveness = starter.liveness;
    let mut gateway = Gateway::new(config, path, Box::new(ThisMachine), workers);
    if let Some(why) = not_set_up {
        gateway.stand_in(why);
    }
    gateway.open_screen();
    gateway.begin(opened);
    let reports = &mut connection.reports;
    let turning = turn_until_stopped(&mut gateway, liveness, &mut happenings, reports, &mut crew);
    let ended = crew::watched("loop", turning).await;
    // No worker waits for a loop that has ended.
    happenings.close();
    connection.reports.close();
    crew.dismiss();
    systemd::stopping();
    stop.store(true, Ordering::Relaxed);
    wake.call();
    match ended {
        Ok(ended) => {
            if let Err(RunError::Worker(death)) = &ended {
                gateway.report_death(death);
            }
            farewell(gateway, connection.task, kept).await;
            ended
        }
        Err(death) => {
            log::error!("{death}; the gateway ends");
            // What a broken loop holds is not believed; the keeper's earlier commands are still carried out.
            drop(gateway);
            let _ = tokio::time::timeout(CLOSING, kept).await;
            Err(death.into())
        }
    }
}
