//! Where PostgreSQL is, and as whom to connect.
//!
//! Owns: which addresses are refused before anything is sent. Never does: show a password.

use std::fmt;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode};

/// A server that does not take a connection in this time is away.
const PATIENCE: Duration = Duration::from_secs(5);
/// A server that confirms nothing for this long is away: otherwise a statement to a machine without power waits for many minutes.
const SILENCE: Duration = Duration::from_secs(15);

/// Where PostgreSQL is.
#[derive(Clone)]
pub struct Address(Config);

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
    /// In the open.
    #[error(
        "is reached without TLS, and whoever is on the way could read what the hub keeps: use a socket or a tunnel to 127.0.0.1 (ssh -L, \
         WireGuard), or end it with ?sslmode=disable where nobody else is on that network"
    )]
    InTheOpen,
    /// TLS is asked for.
    #[error(
        "asks for TLS, which the hub does not speak to PostgreSQL: use a socket or a tunnel to 127.0.0.1 (ssh -L, WireGuard)"
    )]
    Tls,
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
        let mut config: Config = text
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
        match config.get_ssl_mode() {
            SslMode::Disable => {}
            SslMode::Prefer if is_own => {}
            SslMode::Prefer => return Err(AddressError::InTheOpen),
            _ => return Err(AddressError::Tls),
        }
        config
            .ssl_mode(SslMode::Disable)
            .connect_timeout(PATIENCE)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .application_name("booth-hub");
        Ok(Self(config))
    }

    /// The same with a password.
    pub fn with_password(mut self, password: &str) -> Self {
        self.0.password(password);
        self
    }

    pub(super) fn config(&self) -> &Config {
        &self.0
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
        let user = self.0.get_user().unwrap_or_default();
        let database = self.0.get_dbname().unwrap_or_default();
        write!(f, "postgres://{user}@")?;
        for (at, host) in self.0.get_hosts().iter().enumerate() {
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
            fault("postgres://hub@db.example/booth"),
            AddressError::InTheOpen
        );
        assert_eq!(
            fault("postgres://hub@127.0.0.1/booth?sslmode=require"),
            AddressError::Tls
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
}
