//! A login at the broker that stands in a command's arguments.
//!
//! Owns: how `--url`, `--user`, `--password-file`, `--client-id`, `--ca-file`, `--cert-file` and `--key-file` become a [`Login`], and that the link's
//! sentences name these arguments. Never does: connect, or show a password.

use std::path::PathBuf;

use booth_contract::BrokerUrl;

use super::login::Login;
use crate::password::{self, PasswordError};
use crate::tls::{self, TlsError};

/// What the arguments say.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The broker.
    pub url: String,
    /// The user's name at the broker.
    pub user: Option<String>,
    /// The user's password.
    pub password_file: Option<PathBuf>,
    /// MQTT client id; by default the user's name.
    pub client_id: Option<String>,
    /// Whom to trust, for `mqtts://`.
    pub ca_file: Option<PathBuf>,
    /// The user's certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why the arguments are no login.
#[derive(Debug, thiserror::Error)]
pub enum AskedError {
    /// The broker's address.
    #[error("--url: {0}")]
    Url(String),
    /// The password's file.
    #[error("--password-file: {0}")]
    Password(#[from] PasswordError),
    /// A password without a name.
    #[error("--password-file needs --user, the name that the password belongs to")]
    NoUser,
    /// A certificate's file.
    #[error("--ca-file, --cert-file, --key-file: {0}")]
    Tls(#[from] TlsError),
}

impl Asked {
    /// The login; `nameless` is the client id of somebody without a name.
    ///
    /// # Errors
    /// See [`AskedError`].
    pub fn login(&self, nameless: &str) -> Result<Login, AskedError> {
        let broker = BrokerUrl::parse(&self.url);
        let broker = broker.map_err(|why| AskedError::Url(why.to_string()))?;
        let identity = self.identity.as_ref();
        let identity = identity.map(|(certificate, key)| (certificate.as_path(), key.as_path()));
        let tls = match broker.tls {
            true => Some(tls::client_config(self.ca_file.as_deref(), identity)?),
            false => None,
        };
        let password = self.password_file.as_deref().map(password::read);
        let user = match (self.user.clone(), password.transpose()?) {
            (None, Some(_)) => return Err(AskedError::NoUser),
            (user, password) => user.map(|user| (user, password.unwrap_or_default())),
        };
        let own = user.as_ref().map(|(name, _)| name.clone());
        let client_id = self.client_id.clone().or(own);
        Ok(Login {
            broker,
            tls,
            client_id: client_id.unwrap_or_else(|| nameless.to_owned()),
            user,
            check: "check --user and --password-file",
        })
    }
}

/// A sentence of the link with arguments in the place of the keys of booth.toml.
pub fn by_arguments(sentence: &str) -> String {
    let keys = [
        ("[mqtt] url", "--url"),
        ("[mqtt] ca_file", "--ca-file"),
        ("[mqtt] client_id", "--client-id"),
    ];
    keys.iter()
        .fold(sentence.to_owned(), |text, (key, argument)| {
            text.replace(key, argument)
        })
}
