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
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{url:?} {why}; write mqtt://host:1883 or mqtts://host:8883, nothing more, \
                 and an IPv6 address in brackets: mqtts://[2001:db8::1]:8883"
            )
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("has no scheme"))?;
        let (tls, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(wrong("has an unknown scheme")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(wrong(
                "holds a login; the password belongs into password_file",
            ));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("holds more than host and port"));
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, tail) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("lacks a closing ]"))?;
                // A link-local address names its interface behind a % (RFC 4007 §11).
                let address = host.split_once('%').map_or(host, |(address, _)| address);
                if !address
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_ipv6())
                {
                    return Err(wrong("has no IPv6 address in its brackets"));
                }
                match tail.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if tail.is_empty() => (host, None),
                    None => return Err(wrong("has no valid port")),
                }
            }
            None => match rest.split_once(':') {
                Some((_, tail)) if tail.contains(':') => {
                    return Err(wrong(
                        "has an IPv6 address without brackets, or no valid port",
                    ));
                }
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        if host.contains(|sign: char| sign.is_whitespace() || sign.is_control()) {
            return Err(wrong("has a space in its host"));
        }
        if !host.is_ascii() {
            return Err(wrong(
                "has letters in its host that no name server knows: write the name as xn--…",
            ));
        }
        let port = match port {
            None => default_port,
            Some(port) => port.parse().map_err(|_| wrong("has no valid port"))?,
        };
        if port == 0 {
            return Err(wrong("has no valid port"));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }
}

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
            let why = BrokerUrl::parse(url).expect_err(url);
            assert!(why.contains(says), "{url}: {why}");
        }
    }
}
