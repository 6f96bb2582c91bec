//! Asking for a restart of the machine.
//!
//! Owns: the request that `booth-restart.path` waits for. The gateway has no right to restart anything; root's helper has that one and
//! no other. The request lies in RAM, so that it cannot outlive the restart. Never does: restart.
#![allow(clippy::disallowed_methods)] // an empty file in RAM

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// The unit that waits for the request.
const UNIT: &str = "booth-restart.path";
/// Where the service manager looks for units that are enabled: one that is only installed waits for nothing.
const ENABLED: [&str; 2] = [
    "/etc/systemd/system/multi-user.target.wants",
    "/usr/lib/systemd/system/multi-user.target.wants",
];
/// The request, in `RuntimeDirectory=` of booth-gateway.service.
const REQUEST: &str = "/run/booth-gateway/restart";

/// Why the machine is not asked to restart.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// Nobody waits for the request.
    #[error(
        "this booth cannot restart its machine: {UNIT} is not enabled; docs/commands.md says how"
    )]
    NoHelper,
    /// The request could not be left.
    #[error("{}: {error}", place.display())]
    NotLeft {
        /// Its file.
        place: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// Root's helper.
#[derive(Debug, Clone)]
pub struct RestartHelper {
    enabled: Vec<PathBuf>,
    request: PathBuf,
}

impl RestartHelper {
    /// The helper of this machine.
    pub fn here() -> Self {
        Self {
            enabled: ENABLED.iter().map(PathBuf::from).collect(),
            request: REQUEST.into(),
        }
    }

    /// Whether there is a helper.
    ///
    /// # Errors
    /// There is none.
    pub fn is_there(&self) -> Result<(), RestartError> {
        let is_enabled = self.enabled.iter().any(|folder| folder.join(UNIT).exists());
        let has_place = self.request.parent().is_some_and(Path::is_dir);
        match is_enabled && has_place {
            true => Ok(()),
            false => Err(RestartError::NoHelper),
        }
    }

    /// Leaves the request.
    ///
    /// # Errors
    /// Why that failed.
    pub fn ask(&self) -> Result<(), RestartError> {
        self.is_there()?;
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.request);
        made.map(drop).map_err(|error| RestartError::NotLeft {
            place: self.request.clone(),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_left_only_where_somebody_waits_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let helper = RestartHelper {
            enabled: vec![folder.path().join("none"), folder.path().join("wants")],
            request: folder.path().join("run/restart"),
        };
        let refused = helper.ask().expect_err("nobody waits").to_string();
        assert!(refused.contains("booth-restart.path"), "{refused}");
        std::fs::create_dir(folder.path().join("wants")).expect("a folder");
        std::fs::write(folder.path().join(UNIT), "").expect("a unit");
        assert!(helper.is_there().is_err(), "installed, and not enabled");
        std::fs::write(folder.path().join("wants").join(UNIT), "").expect("a unit");
        assert!(helper.is_there().is_err(), "without its folder in RAM");
        std::fs::create_dir(folder.path().join("run")).expect("a folder");
        assert!(helper.ask().is_ok() && helper.ask().is_ok());
        assert!(folder.path().join("run/restart").exists());
    }
}
