//! `booth-gateway update`: chooses the form, and shows what came of it.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use booth_gateway::update::Described;
use booth_gateway::update::verbs::{Updater, VerbError, make_differing, told, usual_patience};
use booth_host::{complain, journal, out, say};

use crate::arguments::UpdateArguments;

/// The verb `update`.
pub(super) fn run(arguments: UpdateArguments) -> ExitCode {
    let updater = Updater::new(&arguments.root, &arguments.config.config);
    let Some(done) = follow(&updater, arguments) else {
        complain!("name an update file or its address; --help has examples");
        return ExitCode::from(2);
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Does what the arguments name; `None` if they name nothing.
fn follow(updater: &Updater, arguments: UpdateArguments) -> Option<Result<(), VerbError>> {
    if let (Some(new), Some(old), Some(into)) =
        (&arguments.source, &arguments.differs_from, &arguments.into)
    {
        return Some(differing(Path::new(new), old, into));
    }
    if let Some(source) = &arguments.source {
        return Some(updater.install(source, !arguments.no_reboot));
    }
    if let Some(file) = &arguments.describe {
        return Some(describe(updater, file));
    }
    if arguments.status {
        return Some(show(updater, arguments.json));
    }
    if arguments.wait_for_rest {
        return Some(updater.wait_until_empty());
    }
    if arguments.requested {
        journal::init("booth-update", log::LevelFilter::Info);
        return Some(updater.requested());
    }
    if arguments.trial {
        journal::init("booth-trial", log::LevelFilter::Info);
        let (patience, steady) = usual_patience();
        let patience = arguments.after_s.map_or(patience, Duration::from_secs);
        let steady = arguments.steady_s.map_or(steady, Duration::from_secs);
        return Some(updater.trial(patience, steady).map(drop));
    }
    None
}

fn show(updater: &Updater, json: bool) -> Result<(), VerbError> {
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

fn describe(updater: &Updater, file: &Path) -> Result<(), VerbError> {
    let Described {
        manifest,
        signed,
        base,
    } = updater.describe(file)?;
    say!(
        "{}",
        serde_json::to_string_pretty(&manifest).expect("a manifest holds only text and numbers")
    );
    if let Some(base) = base {
        say!("it holds what differs from the image {base}, for booths on which that one runs");
    }
    match signed {
        Ok(()) => say!("whole, and signed with a key that this booth takes"),
        Err(why) => say!("whole, but not to be taken here: {why}"),
    }
    Ok(())
}

fn differing(new: &Path, old: &Path, into: &Path) -> Result<(), VerbError> {
    let (whole, small) = make_differing(new, old, into)?;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    complain!(
        "{}: {:.1} MB instead of {:.1} MB",
        into.display(),
        megabytes(small),
        megabytes(whole)
    );
    Ok(())
}
