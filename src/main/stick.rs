//! `booth-gateway stick`: root's helper, on the socket that the service manager hands over.

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;

use booth_gateway::stick::{Helper, Kind, ServeError, serve};
use booth_host::{complain, journal};

use crate::arguments::StickArguments;

/// The verb `stick`.
pub(super) fn run(arguments: StickArguments) -> ExitCode {
    journal::init("booth-stick", log::LevelFilter::Info);
    let mut kinds = Kind::USUAL.to_vec();
    kinds.extend(arguments.ext4.then_some(Kind::Ext4));
    let helper = Helper {
        disks: arguments.disks,
        kinds,
    };
    let listener = std::io::stdin().as_fd().try_clone_to_owned();
    let served = listener
        .map_err(ServeError::NoSocket)
        .and_then(|listener| serve(&UnixListener::from(listener), &helper));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            complain!("{why}");
            ExitCode::FAILURE
        }
    }
}
