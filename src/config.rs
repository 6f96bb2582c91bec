//! Typed configuration: unknown keys are refused with file, line and a suggestion.
//!
//! Owns: the shape of `booth.toml`, its defaults and the check for values that cannot work. Never does: touch a device or a
//! network, or demand that a prompt file exists.

mod audio;
mod body;
mod codes;
mod control;
mod handset;
mod mqtt;
mod network;
mod screen;
mod session;
mod usb;
mod warning;
pub mod zone;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::trust::keys::Keys;
use crate::trust::whence::Whence;
pub use audio::{Audio, ControlKind, Loudness, MixerControl, NoMixer};
pub use body::{Bell, SelfTest, Service, Tone};
use booth_contract::BoothId;
pub use booth_host::config_file::parse;
use booth_host::config_file::{
    ConfigError, ConfigFault, Faults, LONGEST_FILE, parse_bytes, read, unread,
};
use booth_host::plain_file::patiently;
use booth_sealing::{KeyError, Recipient, Recipients, SealTo};
use booth_spool::disk::{Disk, read_whole};
pub use control::{Control, NO_DAY, day};
use gateway_core::prompt::Language;
pub use handset::{Backend, Contact, Handset, Hook, Keypad, Level, Output, Pull};
pub use mqtt::{Confirm, Mqtt};
pub use network::{Fixed, Modem, Network, SecretFault, SecretKind, Wifi, Wired};
pub use screen::Screen;
pub use session::{PublishQuestion, Question, QuestionKind, Session, VoteOption};
pub use usb::{HookIs, Usb, dialled};
pub use warning::ConfigWarning;

/// The folder of root's on the card's data partition in which the updater keeps its state.
pub const STATE_FOLDER: &str = "/data/booth-update";

/// `booth.toml`. Relative names need the file's own path to be resolved: see [`Config::load`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the names are the contract's own (§2)
pub struct Config {
    pub booth: Booth,
    #[serde(default)]
    pub mqtt: Mqtt,
    #[serde(default)]
    pub handset: Handset,
    #[serde(default)]
    pub audio: Audio,
    #[serde(default)]
    pub session: Session,
    #[serde(default, rename = "question")]
    pub questions: Vec<Question>,
    #[serde(default)]
    pub spool: Spool,
    #[serde(default)]
    pub privacy: Privacy,
    #[serde(default)]
    pub control: Control,
    #[serde(default)]
    pub health: Health,
    #[serde(default)]
    pub bell: Bell,
    #[serde(default)]
    pub service: Service,
    #[serde(default)]
    pub selftest: SelfTest,
    #[serde(default)]
    pub update: Update,
    #[serde(default)]
    pub doctor: Doctor,
    #[serde(default)]
    pub network: Network,
    #[serde(default)]
    pub screen: Screen,
}

impl Config {
    /// Reads `booth.toml`, checks every value and makes relative paths absolute, starting from the file's folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (config, checked) = Self::read_unchecked(path)?;
        checked.map(|()| config)
    }

    /// The same for root, which must not trust what an unprivileged gateway can write: it reads through a disk that guards
    /// its folder.
    pub fn load_guarded(disk: &dyn Disk, path: &Path) -> Result<Self, ConfigError> {
        let bytes = patiently(|| read_whole(disk, path, LONGEST_FILE))
            .map_err(|error| unread(path, &error))?;
        let mut config: Self = parse_bytes(&bytes, path)?;
        config.check(&path.display().to_string())?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// The same for a search for faults: returns the configuration, and separately what is wrong with its values.
    pub fn read_unchecked(path: &Path) -> Result<(Self, Result<(), ConfigError>), ConfigError> {
        let mut config: Self = read(path)?;
        let checked = config.check(&path.display().to_string());
        let beside = path.parent().unwrap_or(Path::new("."));
        config.resolve(beside);
        Ok((config, checked))
    }

    /// Where a running gateway answers the doctor: by default beside the handset's control socket.
    pub fn doctor_socket(&self) -> PathBuf {
        let beside = self.handset.control_socket.with_file_name("doctor.sock");
        self.doctor.socket.clone().unwrap_or(beside)
    }

    /// Where a running gateway writes the address of the screen's page, for whoever starts the browser: beside the handset's
    /// control socket.
    pub fn screen_note(&self) -> PathBuf {
        self.handset.control_socket.with_file_name("screen")
    }

    /// A recording at this bitrate may not become larger than what a power cut leaves can be read again.
    fn check_lengths(&self, faults: &mut Faults) {
        let (bitrate, longest) = (self.audio.bitrate, self.audio.longest_take_s());
        let why = |seconds: u64| {
            format!(
                "{seconds} at [audio] bitrate {bitrate} makes recordings that could not be read again after a power cut: use at most {longest}, or a lower bitrate"
            )
        };
        if self.session.max_seconds > longest {
            faults.that("[session] max_seconds", why(self.session.max_seconds));
        }
        for question in &self.questions {
            if let Some(seconds) = question.max_seconds.filter(|seconds| *seconds > longest) {
                let id = &question.id;
                faults.that(
                    "[[question]]",
                    format!("{id:?}: max_seconds {}", why(seconds)),
                );
            }
        }
    }

    /// Checks for values that cannot work; the error names every fault at once.
    pub fn check(&self, file: &str) -> Result<(), ConfigError> {
        let mut faults = Faults::new(file);
        if let Err(why) = zone::check(&self.booth.timezone) {
            faults.that("[booth] timezone", why);
        }
        self.mqtt.check(&mut faults);
        self.audio.check(&mut faults);
        self.handset.check(&mut faults);
        self.bell.check(self.handset.ringer.is_some(), &mut faults);
        self.selftest.check(&mut faults);
        self.network.check(&self.mqtt.file_names(), &mut faults);
        self.update.check(&mut faults);
        self.screen.check(&mut faults);
        self.session.check(&mut faults);
        for (index, question) in self.questions.iter().enumerate() {
            question.check(&self.questions[..index], &mut faults);
        }
        self.session.check_consent(&self.questions, &mut faults);
        self.check_lengths(&mut faults);
        if self.spool.max_bytes < 1_000_000 {
            faults.of("[spool] max_bytes", "less than 1 MB holds no message");
        }
        if let Err(wrong) = self.privacy.seal_to() {
            for wrong in wrong {
                faults.of("[privacy] recipients", wrong);
            }
        }
        if let Some(until) = &self.privacy.key_until
            && day(until).is_none()
        {
            faults.that("[privacy] key_until", format!("{until:?} {NO_DAY}"));
        }
        self.control.check(&mut faults);
        if !(1..=86_400).contains(&self.health.interval_s) {
            faults.of("[health] interval_s", "use 1 to 86400 seconds");
        }
        faults.verdict()
    }

    /// Mistakes that do not keep a booth from running, the same on every machine.
    pub fn warnings(&self) -> Vec<ConfigWarning> {
        let mut all = Vec::new();
        all.extend(self.network.wrong_country());
        all.extend(self.service.wrong_code(&self.session).map(|wrong| {
            let meanwhile = "The booth takes no service code meanwhile";
            let remedy = format!("{}. {meanwhile}", body::RIGHT_CODE);
            ConfigWarning::new(format!("[service] code {wrong}"), remedy)
        }));
        all.extend(self.session.wrong_withdraw_code());
        all.extend(self.mqtt.open_password());
        if let Some(wrong) = codes::wrong_language(&self.session.language) {
            let voice = match Language::of(&self.session.language) {
                Language::Danish => "Danish",
                Language::English => "English",
            };
            let meanwhile = format!("The booth's own voice speaks {voice} meanwhile");
            all.push(wrong.warning(&meanwhile));
        }
        all
    }

    /// Why the service code is ignored. Cards in the field have codes that earlier versions accepted, so a bad code does not
    /// keep a booth from running; it is among the warnings, and `check-config` refuses it.
    pub fn service_fault(&self) -> Option<ConfigFault> {
        let wrong = self.service.wrong_code(&self.session)?;
        let why = format!("{wrong}; {}", body::RIGHT_CODE);
        Some(ConfigFault::that("[service] code", why))
    }

    /// The warnings, and those that only this machine can give.
    pub fn warnings_here(&self) -> Vec<ConfigWarning> {
        let mut all = self.warnings();
        all.extend(zone::lacking(&self.booth.timezone));
        all
    }

    fn resolve(&mut self, beside: &Path) {
        self.mqtt.resolve(beside);
        self.session.prompts = beside.join(&self.session.prompts);
        self.spool.dir = beside.join(&self.spool.dir);
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Booth {
    pub id: BoothId,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub contact: String,
    #[serde(default = "default_timezone")]
    pub timezone: String,
}

fn default_timezone() -> String {
    "Europe/Copenhagen".into()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Spool {
    pub dir: PathBuf,
    pub max_bytes: u64,
    pub reserve_bytes: u64,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            dir: "/var/lib/booth-gateway".into(),
            max_bytes: 4_000_000_000,
            reserve_bytes: 200_000_000,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Privacy {
    pub recipients: Vec<String>,
    pub seal: bool,
    /// The last day on which the recipients should be in use, `YYYY-MM-DD`: for `key_days_left` in health.
    pub key_until: Option<String>,
}

/// Why messages cannot be sealed to `[privacy] recipients`. What stands there is not repeated: it may be a private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongRecipient {
    /// An entry, counted from 1, is no public key.
    #[error("entry {0}: {1}")]
    Entry(usize, KeyError),
    /// They cannot be used together.
    #[error("{0}")]
    Together(KeyError),
}

impl Privacy {
    /// What becomes of what is said.
    ///
    /// # Errors
    /// Each entry that is no public key.
    pub fn seal_to(&self) -> Result<SealTo, Vec<WrongRecipient>> {
        let (mut keys, mut wrong) = (Vec::new(), Vec::new());
        for (entry, text) in (1..).zip(&self.recipients) {
            match Recipient::parse(text) {
                Ok(key) => keys.push(key),
                Err(error) => wrong.push(WrongRecipient::Entry(entry, error)),
            }
        }
        match (wrong.is_empty(), self.seal, keys.is_empty()) {
            (false, ..) => Err(wrong),
            (true, false, _) => Ok(SealTo::Open),
            (true, true, true) => Ok(SealTo::Nobody),
            (true, true, false) => match Recipients::new(keys) {
                Ok(keys) => Ok(SealTo::Keys(keys.into())),
                Err(error) => Err(vec![WrongRecipient::Together(error)]),
            },
        }
    }
}

impl Default for Privacy {
    fn default() -> Self {
        Self {
            recipients: Vec::new(),
            seal: true,
            key_until: None,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Health {
    pub interval_s: u64,
}

impl Default for Health {
    fn default() -> Self {
        Self { interval_s: 60 }
    }
}

/// Whose updates this booth takes, and from where.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Update {
    /// minisign's public keys; without any, no update is taken.
    pub keys: Vec<String>,
    /// Hosts, addresses and networks that an update may come from although they are not public, or by `http://`.
    pub allow: Vec<String>,
    /// The folder in which the updater, which runs as root, keeps its state.
    pub state: PathBuf,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            allow: Vec::new(),
            state: STATE_FOLDER.into(),
        }
    }
}

impl Update {
    fn check(&self, faults: &mut Faults) {
        let keys = Keys::parse(&self.keys).err();
        let allow = Whence::parse(&self.allow).err();
        for fault in keys.into_iter().chain(allow) {
            faults.of(fault.key(), fault.why());
        }
    }
}

/// Settings of `booth-gateway doctor`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Doctor {
    /// Where a running gateway answers the doctor; by default `doctor.sock` beside `[handset] control_socket`.
    pub socket: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
