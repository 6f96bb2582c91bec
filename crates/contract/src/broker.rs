//! The broker's address (the `url` of booth.toml and hub.toml), and the state of the connection to it.
//!
//! Owns: taking the address apart, and a sentence with a remedy for an address that cannot work. Never does: look a name up.

use std::fmt;
use std::net::IpAddr;

/// The state of the connection to the broker, as far as a technician needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BrokerState {
    /// The connection is up.
    Connected,
    /// `[mqtt] url` is missing.
    NotConfigured,
    /// No answer, or the connection was refused or cut.
    NotReached,
    /// The broker does not accept the user name or the password.
    LoginRefused,
    /// The broker's host name has no address.
    NameNotFound,
    /// The certificates, or the clock by which they are judged, are wrong.
    TlsFailed,
}

/// A broker's address taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Host name, or an address without brackets; also the name that the broker's certificate must carry.
    pub host: String,
    /// TCP port; 1883 for `mqtt://` and 8883 for `mqtts://` by default (IANA).
    pub port: u16,
    /// Whether the connection is encrypted with TLS.
    pub tls: bool,
}

impl BrokerUrl {
    /// Whether the broker runs on this machine: a loopback address, or the name that stands for one (RFC 6761 §6.3).
    pub fn is_this_machine(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Takes `mqtt://host[:port]` or `mqtts://host[:port]` apart, or says what is wrong with it. An IPv6 address stands in brackets
    /// (RFC 3986 §3.2.2).
    ///
    /// # Errors
    /// The first thing that cannot be, with the address in its sentence.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let bad = |why| BadUrl {
            url: url.to_owned(),
            why,
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| bad(UrlFault::NoScheme))?;
        let (tls, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(bad(UrlFault::UnknownScheme)),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = host_and_port(rest).map_err(bad)?;
        Ok(Self {
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            tls,
        })
    }
}

/// The host and, where it is given, the port of what stands behind the scheme.
fn host_and_port(rest: &str) -> Result<(&str, Option<u16>), UrlFault> {
    if rest.contains('@') {
        return Err(UrlFault::HoldsLogin);
    }
    if rest.contains(['/', '?', '#']) {
        return Err(UrlFault::HoldsMore);
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => in_brackets(rest)?,
        None => match rest.split_once(':') {
            Some((_, tail)) if tail.contains(':') => return Err(UrlFault::NoBrackets),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    can_be_a_host(host)?;
    let port = port
        .map(|port| port.parse().map_err(|_| UrlFault::BadPort))
        .transpose()?;
    match port {
        Some(0) => Err(UrlFault::BadPort),
        port => Ok((host, port)),
    }
}

/// The same of what stands behind an opening bracket.
fn in_brackets(rest: &str) -> Result<(&str, Option<&str>), UrlFault> {
    let (host, tail) = rest.split_once(']').ok_or(UrlFault::NoClosingBracket)?;
    // A link-local address names its interface behind a % (RFC 4007 §11).
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    if !address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_ipv6())
    {
        return Err(UrlFault::NoIpv6InBrackets);
    }
    match tail.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if tail.is_empty() => Ok((host, None)),
        None => Err(UrlFault::BadPort),
    }
}

fn can_be_a_host(host: &str) -> Result<(), UrlFault> {
    if host.is_empty() {
        return Err(UrlFault::NoHost);
    }
    if host.contains(|sign: char| sign.is_whitespace() || sign.is_control()) {
        return Err(UrlFault::SpaceInHost);
    }
    match host.is_ascii() {
        true => Ok(()),
        false => Err(UrlFault::ForeignLetters),
    }
}

/// An address that cannot be a broker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadUrl {
    /// The address as it was written.
    pub url: String,
    /// What is wrong with it.
    pub why: UrlFault,
}

/// What is wrong with a broker's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlFault {
    /// No `://` stands in it.
    NoScheme,
    /// Its scheme is neither `mqtt` nor `mqtts`.
    UnknownScheme,
    /// A user or a password stands in it.
    HoldsLogin,
    /// A path, a query or a fragment stands in it.
    HoldsMore,
    /// The bracket around an IPv6 address is not closed.
    NoClosingBracket,
    /// What stands in brackets is no IPv6 address.
    NoIpv6InBrackets,
    /// An IPv6 address stands without brackets, or the port cannot be read.
    NoBrackets,
    /// The port is no number from 1 to 65535.
    BadPort,
    /// The host is empty.
    NoHost,
    /// White space or a control character stands in the host.
    SpaceInHost,
    /// The host is not ASCII.
    ForeignLetters,
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => "has no scheme",
            Self::UnknownScheme => "has an unknown scheme",
            Self::HoldsLogin => "holds a login; the password belongs into password_file",
            Self::HoldsMore => "holds more than host and port",
            Self::NoClosingBracket => "lacks a closing ]",
            Self::NoIpv6InBrackets => "has no IPv6 address in its brackets",
            Self::NoBrackets => "has an IPv6 address without brackets, or no valid port",
            Self::BadPort => "has no valid port",
            Self::NoHost => "names no host",
            Self::SpaceInHost => "has a space in its host",
            Self::ForeignLetters => {
                "has letters in its host that no name server knows: write the name as xn--…"
            }
        })
    }
}

/// The fault, and what to write instead.
impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {}; write mqtt://host:1883 or mqtts://host:8883, nothing more, \
             and an IPv6 address in brackets: mqtts://[2001:db8::1]:8883",
            self.url, self.why
        )
    }
}

impl std::error::Error for BadUrl {}

/// Written as `host:port`, with an IPv6 address in brackets.
impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_told_again() {
        for (url, host, port, tls, told) in [
            (
                "mqtts://broker.example",
                "broker.example",
                8883,
                true,
                "broker.example:8883",
            ),
            (
                "mqtt://broker.example:1999/",
                "broker.example",
                1999,
                false,
                "broker.example:1999",
            ),
            (
                "MQTTS://192.0.2.1",
                "192.0.2.1",
                8883,
                true,
                "192.0.2.1:8883",
            ),
            ("mqtt://[::1]:1884/", "::1", 1884, false, "[::1]:1884"),
            (
                "mqtts://[2001:db8::7]",
                "2001:db8::7",
                8883,
                true,
                "[2001:db8::7]:8883",
            ),
            (
                "mqtt://[fe80::1%eth0]",
                "fe80::1%eth0",
                1883,
                false,
                "[fe80::1%eth0]:1883",
            ),
        ] {
            let taken = BrokerUrl::parse(url).expect(url);
            assert_eq!(
                (taken.host.as_str(), taken.port, taken.tls),
                (host, port, tls)
            );
            assert_eq!(taken.to_string(), told);
        }
    }

    #[test]
    fn what_cannot_work_is_told_with_what_to_write() {
        for (url, says) in [
            ("broker", "mqtt://"),
            ("tcp://x", "mqtt://"),
            ("mqtt://", "nothing more"),
            ("mqtt://a:b", "port"),
            ("mqtt://a:0", "port"),
            ("mqtt://a:65536", "port"),
            ("mqtt://u:p@host", "password_file"),
            ("mqtt://h/p", "nothing more"),
            ("mqtt://h?x", "nothing more"),
            ("mqtt://h//", "nothing more"),
            ("mqtt://::1", "brackets"),
            ("mqtts://2001:db8::1:8883", "brackets"),
            ("mqtt://[::1", "closing ]"),
            ("mqtt://[::1]x", "port"),
            ("mqtt://[broker]", "brackets"),
            ("mqtt://a b", "space"),
            ("mqtt://bücher.example", "xn--"),
        ] {
            let why = BrokerUrl::parse(url).expect_err(url).to_string();
            assert!(why.contains(says), "{url}: {why}");
        }
    }
}
