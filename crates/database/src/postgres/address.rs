//! Where PostgreSQL is, and as whom to connect.
//!
//! Owns: which addresses are refused before anything is sent, and which are reached over TLS. Never does: show a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use booth_host::tls::{self, TlsError};
use postgres::Config;
use postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A server that does not take a connection in this time is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server that confirms nothing for this long is away: otherwise a statement to a machine without power waits for many minutes.
const SILENCE: Duration = Duration::from_secs(15);

/// Where PostgreSQL is.
#[derive(Clone)]
pub struct Address {
    config: Config,
    /// The authorities of its certificate; `None` are the system's.
    ca_file: Option<PathBuf>,
}

/// Why an address is refused. The sentence is to follow the address' key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No address.
    #[error(
        "is no address of PostgreSQL ({0}); write it as postgres://user@%2Frun%2Fpostgresql/database, or postgres://user@127.0.0.1:5432/database"
    )]
    NoAddress(String),
    /// It lacks something.
    #[error("names no {0}; write it as postgres://user@%2Frun%2Fpostgresql/database")]
    Lacks(&'static str),
    /// A password where everybody sees it.
    #[error(
        "holds a password: write it into a file of its own, and name that as [store] database_password_file"
    )]
    HoldsPassword,
    /// TLS over a socket.
    #[error("asks for TLS over a socket, where PostgreSQL speaks none: leave sslmode away")]
    TlsOverSocket,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, with a remedy.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let no_address = |why: String| AddressError::NoAddress(why);
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(no_address("it does not begin with postgres://".to_owned()));
        }
        // What the parser says may contain the text.
        // libpq's names for what is always done here: the authority and the name are verified.
        let mut config: Config = text
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require")
            .parse()
            .map_err(|_| no_address("it cannot be read".to_owned()))?;
        if config.get_password().is_some() {
            return Err(AddressError::HoldsPassword);
        }
        if config.get_hosts().is_empty() {
            return Err(AddressError::Lacks("server"));
        }
        if config.get_user().is_none() {
            return Err(AddressError::Lacks("user"));
        }
        if config.get_dbname().is_none() {
            return Err(AddressError::Lacks("database"));
        }
        let is_own = config.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => is_this_machine(name),
        });
        let has_socket = config
            .get_hosts()
            .iter()
            .any(|host| matches!(host, Host::Unix(_)));
        let mode = match config.get_ssl_mode() {
            SslMode::Disable => SslMode::Disable,
            SslMode::Prefer if is_own => SslMode::Disable,
            _ if has_socket => return Err(AddressError::TlsOverSocket),
            _ => SslMode::Require,
        };
        config
            .ssl_mode(mode)
            .connect_timeout(PATIENCE)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .application_name("booth-hub");
        Ok(Self {
            config,
            ca_file: None,
        })
    }

    /// The same with a password.
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// The same, trusting the authorities of this file instead of the system's, where it is reached over TLS.
    ///
    /// # Errors
    /// A file without an authority, and a system without any. The sentence is to follow the address' key.
    pub fn trusting(mut self, ca_file: Option<&Path>) -> Result<Self, String> {
        self.ca_file = ca_file.map(Path::to_owned);
        match self.tls() {
            Ok(_) => Ok(self),
            Err(TlsError::NoRoots) => Err(
                "is reached over TLS, and this system knows no certificate authority: install ca-certificates, or name the authority of the \
                 server's certificate as [store] database_ca_file"
                    .into(),
            ),
            Err(error) => Err(format!("is reached over TLS, and {error}")),
        }
    }

    /// The TLS of a connection, read anew for each, so that a new authority counts; `None` where there is none.
    pub(super) fn tls(&self) -> Result<Option<MakeRustlsConnect>, TlsError> {
        if self.config.get_ssl_mode() == SslMode::Disable {
            return Ok(None);
        }
        let client = tls::client_config(self.ca_file.as_deref(), None)?;
        Ok(Some(MakeRustlsConnect::new((*client).clone())))
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

fn is_this_machine(name: &str) -> bool {
    name == "localhost"
        || name
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// Server, user and database, for a log.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.config.get_user().unwrap_or_default();
        let database = self.config.get_dbname().unwrap_or_default();
        write!(f, "postgres://{user}@")?;
        for (at, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match host {
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
            }
        }
        write!(f, "/{database}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_password_and_says_where_it_leads() {
        let address = Address::parse("postgres://hub@%2Frun%2Fpostgresql:5499/booth");
        let address = address.expect("an address").with_password("geheim");
        assert_eq!(address.to_string(), "postgres://hub@/run/postgresql/booth");
        assert!(!format!("{address:?}").contains("geheim"));
    }

    #[test]
    fn what_cannot_work_or_is_read_by_others_is_refused() {
        let fault = |text: &str| Address::parse(text).expect_err("refused");
        assert_eq!(
            fault("postgres://hub:geheim@127.0.0.1/booth"),
            AddressError::HoldsPassword
        );
        assert_eq!(
            fault("postgres://hub@%2Frun%2Fpostgresql/booth?sslmode=require"),
            AddressError::TlsOverSocket
        );
        assert_eq!(
            fault("postgres://hub@127.0.0.1"),
            AddressError::Lacks("database")
        );
        assert_eq!(
            fault("postgres://127.0.0.1/booth"),
            AddressError::Lacks("user")
        );
        let said = fault("postgres://hub:geheim@[/booth").to_string();
        assert!(!said.contains("geheim"), "{said}");
        assert!(matches!(fault("mysql://x"), AddressError::NoAddress(_)));
        for good in [
            "postgres://hub@localhost/booth",
            "postgresql://hub@[::1]:5432/booth",
            "postgres://hub@db.example/booth?sslmode=disable",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn another_machine_is_reached_over_tls_unless_the_address_says_otherwise() {
        for (text, mode) in [
            ("postgres://hub@db.example/booth", SslMode::Require),
            (
                "postgres://hub@db.example/booth?sslmode=prefer",
                SslMode::Require,
            ),
            (
                "postgres://hub@127.0.0.1/booth?sslmode=verify-full",
                SslMode::Require,
            ),
            (
                "postgres://hub@localhost,db.example/booth",
                SslMode::Require,
            ),
            ("postgres://hub@localhost/booth", SslMode::Disable),
            ("postgres://hub@%2Frun%2Fpostgresql/booth", SslMode::Disable),
            (
                "postgres://hub@db.example/booth?sslmode=disable",
                SslMode::Disable,
            ),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.config.get_ssl_mode(), mode, "{text}");
        }
        let address = Address::parse("postgres://hub@db.example/booth").expect("an address");
        let fault = address.trusting(Some(Path::new("nowhere/ca.pem")));
        let fault = fault.expect_err("no authority");
        assert!(
            fault.starts_with("is reached over TLS, and nowhere/ca.pem"),
            "{fault}"
        );
    }
}
