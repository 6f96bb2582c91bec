//! Why a form of `booth-gateway update` fails: a sentence each, for the terminal and for the state.

use std::io;
use std::path::PathBuf;

use super::request::{Cancelled, MOST_ATTEMPTS, RequestError};
use crate::update::UpdateError;
use crate::update::here::{HereError, RestartError};
use crate::update::http::DownloadError;
use crate::update::state::SettingsError;
use booth_host::config_file::ConfigError;

/// Why a form of the verb did not do what it is for.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum VerbError {
    #[error(transparent)]
    Here(#[from] HereError),
    /// The gateway's configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error(transparent)]
    Update(#[from] UpdateError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Restart(#[from] RestartError),
    /// The restart into a trial.
    #[error("{0}, and send the update again")]
    NoTrial(#[source] RestartError),
    #[error("{}: {error}; name an update file", path.display())]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{}: {error}; name a file in a folder that can be written", path.display())]
    Written {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("the earlier update names no image; take the .update file of a release")]
    NoBase,
    /// The folder of the state, or its lock.
    #[error("{}: {error}", path.display())]
    Store {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error(transparent)]
    State(io::Error),
    #[error("another update is being written; see `booth-gateway update --status`")]
    Locked,
    #[error(
        "the booth was in use for an hour without a break; send the update again at another time"
    )]
    InUse,
    #[error(
        "the update was begun {MOST_ATTEMPTS} times and never came to its end; see the booth's supply and log"
    )]
    Attempts,
    #[error("{Cancelled}")]
    Cancelled,
    #[error(
        "the gateway does not answer and the spool's card.json cannot be read ({0}), so nobody could say whether \
         the new version keeps what was recorded; see `booth-gateway doctor`, and send the update again"
    )]
    UnknownCard(String),
}

impl From<Cancelled> for VerbError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Why the gateway says nothing of itself.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum AskError {
    #[error("the gateway is not set up: {0}")]
    NotSetUp(#[source] ConfigError),
    #[error("the gateway does not answer on {}: {error}", socket.display())]
    Silent {
        socket: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("the gateway's answer cannot be understood: {0}")]
    Answer(#[from] serde_json::Error),
}
