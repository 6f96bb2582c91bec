//! Where provisioning reads and writes. Pure.

use std::path::{Path, PathBuf};

use super::{WRITTEN, prompts};

/// The folders and files that provisioning works with.
#[derive(Debug, Clone)]
pub struct Places {
    /// The mounted FAT partition.
    pub boot: PathBuf,
    /// The booth's own partition, or its folder there.
    pub data: PathBuf,
    /// The effective configuration.
    pub config: PathBuf,
    /// The folder that `[spool] dir` and prompts are relative to; the same as `data`, except where that takes no writes.
    pub spool: PathBuf,
    /// Everything that is made here is lost with the power, so no secret may leave FAT.
    pub is_volatile: bool,
    /// Where secrets of networks are kept, root's alone.
    pub secrets: PathBuf,
    /// Where NetworkManager reads profiles; `None` leaves networks to others.
    pub network: Option<PathBuf>,
}

impl Places {
    /// The places in these folders; `config` is `DATA/config/booth.toml` by default.
    pub fn new(boot: &Path, data: &Path, config: Option<&Path>) -> Self {
        let usual = data.join("config").join(WRITTEN);
        Self {
            boot: boot.to_owned(),
            data: data.to_owned(),
            config: config.map_or(usual, Path::to_owned),
            spool: data.to_owned(),
            is_volatile: false,
            secrets: data.join("network"),
            network: None,
        }
    }

    /// The same with a folder for NetworkManager's profiles.
    pub fn with_network(mut self, network: Option<&Path>) -> Self {
        self.network = network.map(Path::to_owned);
        self
    }

    /// The same with another folder for the secrets of networks than `DATA/network`: DATA may be the gateway's own, and root
    /// must not work in a folder that another user could replace by a link.
    pub fn with_secrets(mut self, secrets: Option<&Path>) -> Self {
        if let Some(secrets) = secrets {
            self.secrets = secrets.to_owned();
        }
        self
    }

    /// The same for a machine whose own partition takes no writes: everything is made in `folder`, in RAM. The spool stays
    /// in its place, so that the gateway notices that nothing can be kept.
    pub fn without_data(mut self, folder: &Path) -> Self {
        self.data = folder.to_owned();
        self.config = folder.join("config").join(WRITTEN);
        // The secrets go beside the folder, because the folder itself is given to the gateway.
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        self.secrets = folder.with_file_name(format!("{name}-network"));
        self.is_volatile = true;
        self
    }

    /// `DATA/config`.
    pub fn kept(&self) -> PathBuf {
        self.data.join("config")
    }

    /// `DATA/credentials`.
    pub fn credentials(&self) -> PathBuf {
        self.data.join("credentials")
    }

    /// `DATA/prompts`: a copy of those on FAT.
    pub fn prompts(&self) -> PathBuf {
        self.data.join(prompts::FOLDER)
    }

    pub(super) fn faults(&self) -> PathBuf {
        faults_file(&self.config)
    }
}

/// The file beside a configuration that says why the booth is not set up, a sentence a line.
pub fn faults_file(config: &Path) -> PathBuf {
    config.with_extension("faults")
}
