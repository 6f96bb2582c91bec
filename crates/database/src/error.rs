//! Why a database did not do what it was asked.
//!
//! Owns: the sentence of each fault, and what kind of fault it is. Never does: show a value that was to be written, or a password.

use booth_host::causes;
use booth_host::tls::refusal;
use rusqlite::ErrorCode;

/// Why a database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite's, and every fault of a value that is the same in both.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL does not answer.
    #[error(
        "PostgreSQL does not answer ({0}): nothing that was confirmed is lost, and the program connects again by itself; see whether the server \
         runs"
    )]
    Away(String),
    /// There is no TLS with PostgreSQL.
    #[error(
        "PostgreSQL cannot be trusted with what the hub keeps: {what}; {remedy}. Nothing that was confirmed is lost, and the program tries again by itself"
    )]
    Tls {
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// PostgreSQL refused a statement.
    #[error("PostgreSQL: {message} ({code})")]
    Postgres {
        /// SQLSTATE, five characters.
        code: String,
        /// What the server says, without the values.
        message: String,
    },
    /// A statement of the transaction failed before.
    #[error(
        "the transaction was given up, because a statement of it had failed: nothing of it is kept"
    )]
    GivenUp,
    /// Something that one of the two does not have.
    #[error("{0}")]
    NotHere(&'static str),
}

impl From<rusqlite::types::FromSqlError> for Error {
    fn from(error: rusqlite::types::FromSqlError) -> Self {
        Self::Sqlite(error.into())
    }
}

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The code of SQLite's fault, if it is one of SQLite's.
    pub fn sqlite_error_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// A column that holds what cannot be read.
    pub fn unreadable(
        column: usize,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why.into())
            .into()
    }

    /// Whether the database was away, so that the same may succeed in a moment.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Tls { .. })
    }

    /// What PostgreSQL said of a statement, or that it says nothing any more.
    pub(crate) fn of_postgres(error: &::postgres::Error) -> Self {
        match error.as_db_error() {
            // Class 57P: an operator ends the server or the connection. Class 08: the connection failed. 53300: too many connections.
            Some(said)
                if said.code().code().starts_with("57P")
                    || said.code().code().starts_with("08")
                    || said.code().code() == "53300" =>
            {
                Self::Away(said.message().to_owned())
            }
            Some(said) => Self::Postgres {
                code: said.code().code().to_owned(),
                message: said.message().to_owned(),
            },
            None if error
                .to_string()
                .starts_with("error performing TLS handshake") =>
            {
                let (what, remedy) = handshake(error);
                Self::Tls { what, remedy }
            }
            None if error.is_closed() || is_of_the_connection(error) => {
                Self::Away(causes::told(error))
            }
            None => Self::Postgres {
                code: "client".to_owned(),
                message: causes::told(error),
            },
        }
    }
}

/// What a failed handshake means, and what to do.
fn handshake(error: &::postgres::Error) -> (String, &'static str) {
    let refused = causes::of(error).find_map(|error| {
        // An error of the connection holds that of TLS, and does not name it as its cause.
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        tls.or_else(|| error.downcast_ref())
    });
    match refused {
        Some(tls) => (
            refusal::what_and_remedy(tls).0,
            "look at [store] database_ca_file, which must hold the certificate of the authority that signed the server's, and write a name \
             of that certificate into [store] database",
        ),
        None => (
            causes::told(error),
            "set ssl = on in the server's postgresql.conf, with a certificate; where nobody else is on that network, end [store] database with \
             ?sslmode=disable",
        ),
    }
}

/// Whether the cause is one of the connection's.
fn is_of_the_connection(error: &::postgres::Error) -> bool {
    causes::of(error).any(|error| error.is::<std::io::Error>())
        || error.to_string().starts_with("error connecting")
}

/// A row that may be missing.
pub trait OptionalExtension<T> {
    /// `None` where no row was found.
    ///
    /// # Errors
    /// Every other fault.
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalExtension<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(Error::Sqlite(rusqlite::Error::QueryReturnedNoRows)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
