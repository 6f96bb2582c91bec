//! `booth-hub pilot`: everything for a first booth on one machine, broker, hub and booth, in one folder and in one go.
//!
//! ```text
//! flags, or answers on the terminal ─▶ pilot.toml ─▶ city.key ─▶ passwords ─▶ broker/ ─▶ hub.toml ─▶ booth.toml ─▶ prompts/ ─▶ account ─▶ campaign.toml
//! ```
//!
//! Owns: the order of the steps, and that each is done once. Never does: assume a language, a country's numbers, a time zone, a licence or a retention;
//! write over a file; start a program that stays; keep the administrator's password. What was begun and failed is gone on with by the same line.
#![allow(clippy::disallowed_methods)] // makes the folder and its files

mod answers;
mod files;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use booth_city::CityError;
use booth_city::people::Roll;
use booth_city::people::accounts::{self, NewAccount};
use booth_contract::COURIER;
use booth_host::config_file::ConfigError;
use booth_host::plain_file::{make_private, make_private_folder, read_at_most};
use booth_host::{city_broker, clock, say};

use self::answers::Answers;
pub use self::answers::Pilot;
use crate::campaign::speaker;
use crate::config::HubConfig;
use crate::enrol::{self, EnrolError};
use crate::keys::{self, KeysError};

/// The administrator's name.
const ADMINISTRATOR: &str = "admin";
/// What the answers are kept in; a folder without it is not ours.
const ANSWERS: &str = "pilot.toml";
/// Longest of our own files, bytes.
const MOST_BYTES: u64 = 65_536;

/// Why not everything was made.
#[derive(Debug, thiserror::Error)]
pub enum PilotError {
    /// Answers are missing, and nobody can be asked.
    #[error(
        "nothing is assumed, and this is missing: {0}. Name it with these flags, or run the command in a terminal, where it asks"
    )]
    Missing(String),
    /// An answer that cannot be.
    #[error("{0}")]
    Answer(String),
    /// An answer that differs from the one of an earlier run.
    #[error(
        "{flag}: this pilot was begun with {was:?}, and nothing is written over. Leave the flag out, or name another folder"
    )]
    Other {
        /// Which.
        flag: &'static str,
        /// What was answered before.
        was: String,
    },
    /// The folder has something else in it.
    #[error("{} has something in it that this command has not made: name a new folder", .0.display())]
    NotOurs(PathBuf),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The broker's files.
    #[error(
        "the broker: {0}. Install Debian's packages with `apt install mosquitto espeak-ng`, and run the same line again"
    )]
    Broker(String),
    /// The notice's sound.
    #[error("the notice {0}. Then run the same line again")]
    Notice(String),
    /// The city's key.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A password.
    #[error(transparent)]
    Password(#[from] EnrolError),
    /// The account.
    #[error("the account: {0}")]
    Account(#[from] CityError),
    /// What was made is no good configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl PilotError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes what is not there yet, and says each step and what comes next.
///
/// # Errors
/// See [`PilotError`]; what was made stays, and the same line goes on with it.
pub fn run(asked: &Pilot) -> Result<(), PilotError> {
    let folder = std::path::absolute(&asked.folder)
        .map_err(|source| PilotError::file(&asked.folder, source))?;
    let known = known(&folder)?;
    let answers = answers::complete(asked, known.as_ref(), io::stdin().is_terminal())?;
    let making = Making {
        folder: &folder,
        answers: &answers,
    };
    make_folder(&folder)?;
    if known.is_none() {
        let text = toml::to_string(&answers).expect("answers are texts and numbers");
        making.file(ANSWERS, || Ok(text.into_bytes()), "what you answered")?;
    }
    making.all()
}

/// The answers of an earlier run; an error where the folder is somebody else's.
fn known(folder: &Path) -> Result<Option<Answers>, PilotError> {
    let path = folder.join(ANSWERS);
    match read_at_most(&path, MOST_BYTES) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let read = toml::from_str(&text);
            read.map(Some).map_err(|why| {
                PilotError::file(&path, io::Error::new(io::ErrorKind::InvalidData, why))
            })
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            let entries = fs::read_dir(folder);
            match entries.is_ok_and(|mut entries| entries.next().is_some()) {
                true => Err(PilotError::NotOurs(folder.to_owned())),
                false => Ok(None),
            }
        }
        Err(why) => Err(PilotError::file(&path, why)),
    }
}

fn make_folder(path: &Path) -> Result<(), PilotError> {
    make_private_folder(path).map_err(|source| PilotError::file(path, source))
}

/// What is being made.
struct Making<'a> {
    folder: &'a Path,
    answers: &'a Answers,
}

impl Making<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    fn all(&self) -> Result<(), PilotError> {
        self.key()?;
        let password = |name: &str| -> Result<String, PilotError> {
            let file = format!("{name}-password");
            let made = || Ok(format!("{}\n", enrol::password()?).into_bytes());
            self.file(&file, made, "a password at the broker")?;
            self.text(&file)
        };
        let booth = self.answers.booth.as_str();
        let users = ["hub", booth, "operations", COURIER];
        let passwords: Vec<String> = users
            .iter()
            .map(|user| password(user))
            .collect::<Result<_, _>>()?;
        let users: Vec<(&str, &str)> = users
            .into_iter()
            .zip(passwords.iter().map(String::as_str))
            .collect();
        self.broker(&users)?;
        self.file(
            "hub.toml",
            || Ok(files::hub(self.answers)),
            "the hub's configuration",
        )?;
        let hub = HubConfig::load(&self.path("hub.toml"))?;
        let recipient = keys::read(&self.path("city.key"))?.recipient().to_string();
        let run = self.path("run");
        make_folder(&run)?;
        let toml = || Ok(files::booth(self.answers, &recipient, self.folder));
        self.file("booth.toml", toml, "the booth's configuration")?;
        self.notice()?;
        self.file(
            "campaign.toml",
            || Ok(files::campaign(self.answers)),
            "what the booth asks",
        )?;
        self.units()?;
        self.account(&hub)?;
        say!("\n{}", files::next(self.answers, self.folder));
        Ok(())
    }

    /// Makes a file for its owner alone, if it is not there.
    fn file(
        &self,
        name: &str,
        content: impl FnOnce() -> Result<Vec<u8>, PilotError>,
        what: &str,
    ) -> Result<(), PilotError> {
        let path = self.path(name);
        match self.has(name) {
            true => say!("is there: {name}, {what}"),
            false => {
                make_private(&path, &content()?).map_err(|why| PilotError::file(&path, why))?;
                say!("made: {name}, {what}");
            }
        }
        Ok(())
    }

    /// The only line of one of our files.
    fn text(&self, name: &str) -> Result<String, PilotError> {
        let path = self.path(name);
        let bytes = read_at_most(&path, MOST_BYTES).map_err(|why| PilotError::file(&path, why))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn key(&self) -> Result<(), PilotError> {
        if self.has("city.key") {
            say!("is there: city.key, the city's private key");
            return Ok(());
        }
        let paper = self.path("city-key.html");
        keys::make(&self.path("city.key"), Some(&paper), clock::wall())?;
        say!(
            "made: city.key, the city's private key, and city-key.html: print that page and lock it away"
        );
        Ok(())
    }

    fn broker(&self, users: &[(&str, &str)]) -> Result<(), PilotError> {
        let folder = self.path("broker");
        make_folder(&folder)?;
        if self.has("broker/made") {
            say!("is there: broker, the broker's configuration");
            return Ok(());
        }
        city_broker::write_lasting_files(&folder, self.answers.port, users)
            .map_err(PilotError::Broker)?;
        let mark = folder.join("made");
        make_private(&mark, b"").map_err(|why| PilotError::file(&mark, why))?;
        say!(
            "made: broker, the configuration of Mosquitto with a password for each user and the shipped access rules"
        );
        Ok(())
    }

    /// What is said before anybody speaks.
    fn notice(&self) -> Result<(), PilotError> {
        let language = &self.answers.language;
        let folder = format!("prompts/{language}");
        make_folder(&self.path(&folder))?;
        let beside = self.path("notice.wav.tmp");
        let sound = || {
            let spoken = speaker::spoken(&self.answers.notice, language, &beside);
            let spoken = spoken.map_err(PilotError::Notice)?;
            let comments = [
                ("LANGUAGE", language.as_str()),
                ("TEXT", self.answers.notice.as_str()),
            ];
            let made = booth_audio::made_prompt(&spoken, &comments);
            Ok(made
                .map_err(|why| PilotError::Notice(why.to_string()))?
                .bytes)
        };
        self.file(
            &format!("{folder}/notice.opus"),
            sound,
            "what is said before anybody speaks; record it yourself when you can",
        )
    }

    /// For a machine that starts all three by itself.
    fn units(&self) -> Result<(), PilotError> {
        make_folder(&self.path("systemd"))?;
        for (name, text) in files::units(self.folder) {
            self.file(
                &format!("systemd/{name}"),
                || Ok(text.into_bytes()),
                "a unit of systemd",
            )?;
        }
        Ok(())
    }

    fn account(&self, hub: &HubConfig) -> Result<(), PilotError> {
        make_folder(&hub.store.dir)?;
        let roll = Roll::open(&hub.store.dir)?;
        if roll.named(ADMINISTRATOR).is_ok() {
            say!(
                "is there: the account {ADMINISTRATOR}; `booth-hub people password {ADMINISTRATOR} --config {}` gives it another password",
                self.path("hub.toml").display()
            );
            return Ok(());
        }
        let password = enrol::password()?;
        let account = NewAccount {
            name: ADMINISTRATOR.to_owned(),
            shown_name: String::new(),
            roles: accounts::roles_of("administrator,moderator,operator,editor")?,
            languages: accounts::languages_of(&self.answers.pages().join(","))?,
            kept_password: None,
            subject: None,
        };
        roll.add(account, Some(&password))?;
        say!("made: the account {ADMINISTRATOR}. Its password is shown this once: {password}");
        Ok(())
    }
}
