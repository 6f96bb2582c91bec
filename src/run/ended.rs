//! Why a gateway did not start, or has ended.
//!
//! Owns: the errors and the ends of a run. Never does: end one.

use booth_host::config_file::ConfigError;
use booth_host::crew::Death;
use booth_spool::SpoolError;

/// Why the gateway did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Bad configuration: exit status 78.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Somebody else has the spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A part could not be set up.
    #[error("{0}")]
    Setup(String),
    /// A thread or task is no more: the service manager starts everything again.
    #[error(transparent)]
    Worker(#[from] Death),
}

/// Why a gateway that ran has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop.
    Stopped,
    /// It was not set up and has a good configuration now: start it again.
    StartAgain,
}

/// The error of a part that could not be set up.
pub(super) fn setup(what: &'static str) -> impl Fn(std::io::Error) -> RunError {
    move |error| RunError::Setup(format!("{what}: {error}"))
}
