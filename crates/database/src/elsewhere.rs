//! The note in a store's folder that says in which database of PostgreSQL its rows are.
//!
//! Owns: the file `database.toml` there, and how one connects by it. Never does: hold a password; the note names the file that does.
#![allow(clippy::disallowed_methods)] // reads and writes the note

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use booth_host::{password, plain_file};
use serde::{Deserialize, Serialize};

use crate::postgres::{Address, Role};
use crate::{Connection, Error};

/// Where the rows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// The address, without a password.
    pub database: String,
    /// The file with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// The authorities of the server's certificate, where it is on another machine; without it the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Why nobody can connect by a note.
#[derive(Debug, thiserror::Error)]
pub enum ElsewhereError {
    /// The note.
    #[error("{} cannot be used: {source}", path.display())]
    Note {
        /// The note.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The address, or the file with the password.
    #[error("[store] database {0}")]
    Address(String),
    /// PostgreSQL.
    #[error(transparent)]
    Database(#[from] Error),
}

impl Elsewhere {
    /// The address, with the password.
    ///
    /// # Errors
    /// An address that cannot be used, a file without a password, and one without an authority.
    pub fn address(&self) -> Result<Address, ElsewhereError> {
        let address = Address::parse(&self.database);
        let address = address.map_err(|why| ElsewhereError::Address(why.to_string()))?;
        let address = address.trusting(self.ca_file.as_deref());
        let address = address.map_err(ElsewhereError::Address)?;
        let Some(file) = &self.password_file else {
            return Ok(address);
        };
        let password = password::read(file);
        let password = password.map_err(|why| ElsewhereError::Address(why.to_string()))?;
        Ok(address.with_password(&password))
    }

    /// Connects to it.
    ///
    /// # Errors
    /// Those of [`Self::address`], and a server that does not answer, or refuses.
    pub fn open(&self, namespace: &'static str, role: Role) -> Result<Connection, ElsewhereError> {
        Ok(Connection::open_postgres(
            &self.address()?,
            namespace,
            role,
        )?)
    }

    /// Leaves the note in a folder, durably.
    ///
    /// # Errors
    /// The file system's.
    pub fn note(&self, dir: &Path) -> Result<(), ElsewhereError> {
        let path = note_in(dir);
        let written = toml::to_string(self)
            .map_err(io::Error::other)
            .and_then(|text| plain_file::replace_private(&path, text.as_bytes()));
        written.map_err(|source| ElsewhereError::Note { path, source })
    }
}

/// The note's path in a folder.
pub fn note_in(dir: &Path) -> PathBuf {
    dir.join("database.toml")
}

/// What the folder's note says; `None` where its rows are in files of their own.
///
/// # Errors
/// A note that cannot be read.
pub fn of(dir: &Path) -> Result<Option<Elsewhere>, ElsewhereError> {
    let path = note_in(dir);
    let read = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    read.map_err(|source| ElsewhereError::Note { path, source })
}

/// Connects to the rows of this folder, if they are elsewhere.
///
/// # Errors
/// A note, an address or a server that cannot be used.
pub fn connect(
    dir: &Path,
    namespace: &'static str,
    role: Role,
) -> Result<Option<Connection>, ElsewhereError> {
    let noted = of(dir)?;
    noted.map(|noted| noted.open(namespace, role)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_what_was_left_and_holds_no_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path();
        assert!(of(dir).expect("read").is_none());
        let password_file = dir.join("password");
        fs::write(&password_file, "geheim\n").expect("written");
        let left = Elsewhere {
            database: "postgres://hub@127.0.0.1/booth".into(),
            password_file: Some(password_file),
            ca_file: None,
        };
        left.note(dir).expect("left");
        assert_eq!(of(dir).expect("read"), Some(left.clone()));
        let text = fs::read_to_string(note_in(dir)).expect("read");
        assert!(!text.contains("geheim"), "{text}");
        let address = left.address().expect("an address");
        assert!(!format!("{address:?}{address}").contains("geheim"));
        fs::write(note_in(dir), "database = 3").expect("written");
        let fault = of(dir).expect_err("no note").to_string();
        assert!(fault.contains("database.toml cannot be used"), "{fault}");
        let without = Elsewhere {
            database: left.database,
            password_file: Some(dir.join("nowhere")),
            ca_file: None,
        };
        let fault = without.address().expect_err("no password").to_string();
        assert!(fault.contains("put the file there"), "{fault}");
    }
}
