//! `booth-gateway fleet`: the arguments become whom to watch, and what came of it the exit status.

use std::process::ExitCode;
use std::time::Duration;

use booth_contract::fleet::{SORTS, Standing};
use booth_gateway::fleet::{self, Choice, FleetError, Wanted};
use booth_host::complain;

use crate::arguments::FleetArguments;
use crate::login;

pub(super) fn run(arguments: FleetArguments) -> ExitCode {
    let (is_once, as_json) = (arguments.once, arguments.json);
    let wanted = wanted(arguments);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let watched = runtime.map_err(FleetError::System).and_then(|runtime| {
        runtime.block_on(async {
            match (is_once, as_json) {
                (true, _) => fleet::once(&wanted, as_json).await,
                (false, true) => fleet::stream(&wanted).await.map(|()| true),
                (false, false) => fleet::watch(&wanted).await.map(|()| true),
            }
        })
    });
    match watched {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: FleetArguments) -> Wanted {
    // clap has refused every other word.
    let show = Standing::ALL
        .into_iter()
        .find(|standing| Some(standing.key()) == arguments.show.as_deref());
    let sort = SORTS
        .iter()
        .position(|(key, _)| Some(*key) == arguments.sort.as_deref());
    Wanted {
        asked: login::asked(arguments.login),
        root: arguments.root,
        choice: Choice::new(show, sort.unwrap_or_default(), &arguments.find),
        patience: Duration::from_secs(arguments.patience),
    }
}
