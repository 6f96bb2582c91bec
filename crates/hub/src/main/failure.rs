//! What went wrong, and the exit status that tells it.

use booth_host::config_file::ConfigError;
use booth_hub::areas::AreasError;
use booth_hub::campaign::CampaignError;
use booth_hub::dpia::DpiaError;
use booth_hub::enrol::EnrolError;
use booth_hub::forget::ForgetError;
use booth_hub::imports::ImportError;
use booth_hub::keys::KeysError;
use booth_hub::people::PeopleError;
use booth_hub::pilot::PilotError;
use booth_hub::serve::ServeError;
use booth_hub::store::{BackupError, StoreError};

/// What went wrong, by exit status.
pub(super) enum Failure {
    Config(String),
    Operation(String),
    /// A dead worker, which was reported at once.
    Reported,
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Config(error) => error.into(),
            ServeError::Store(error) => error.into(),
            error @ ServeError::Keys(_) => Self::Config(error.to_string()),
            ServeError::Worker(_) => Self::Reported,
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let sentence = format!("the store cannot be opened: {error}");
        match error.needs_an_operator() {
            // A service manager that started it again would hear the same.
            true => Self::Config(sentence),
            false => Self::Operation(sentence),
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::Operation(error.to_string())
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::Operation(error.to_string())
    }
}

impl From<CampaignError> for Failure {
    fn from(error: CampaignError) -> Self {
        match error {
            CampaignError::Config(error) => error.into(),
            CampaignError::Store(error) => error.into(),
            other @ (CampaignError::File { .. }
            | CampaignError::Refused(_)
            | CampaignError::Told(_)) => Self::Operation(other.to_string()),
        }
    }
}

impl From<PeopleError> for Failure {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Config(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<AreasError> for Failure {
    fn from(error: AreasError) -> Self {
        match error {
            AreasError::Config(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<DpiaError> for Failure {
    fn from(error: DpiaError) -> Self {
        Self::Operation(error.to_string())
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        Self::Operation(error.to_string())
    }
}

impl From<ForgetError> for Failure {
    fn from(error: ForgetError) -> Self {
        match error {
            ForgetError::Config(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<EnrolError> for Failure {
    fn from(error: EnrolError) -> Self {
        match error {
            EnrolError::Store(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}

impl From<PilotError> for Failure {
    fn from(error: PilotError) -> Self {
        match error {
            PilotError::Config(error) => error.into(),
            other => Self::Operation(other.to_string()),
        }
    }
}
