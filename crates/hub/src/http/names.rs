//! Under which names the pages may be asked for.
//!
//! Owns: the judgement of a request's host. Pure. Never does: resolve a name.
//!
//! A stranger's web page may make its own name point at this machine (DNS rebinding) and then read the answers as if they were its
//! own. It cannot choose the host that the browser names in the request.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// The names under which the pages may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Where the pages listen.
    listen: IpAddr,
    /// From the configuration, for a reverse proxy that passes its own name on.
    more: Vec<String>,
}

impl Names {
    /// The names of pages that listen on this address and have these further names.
    pub fn new(listen: IpAddr, more: &[String]) -> Self {
        Self {
            listen: listen.to_canonical(),
            more: more.iter().map(|name| plain(name)).collect(),
        }
    }

    /// Whether a request names these pages. The host of its address counts, where it has one, as well as `Host` (RFC 9112 §3.2.2).
    pub fn are_asked(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
            _ => None,
        };
        let Some(host): Option<Authority> = host else {
            return false;
        };
        self.has(host.host()) && uri.host().is_none_or(|host| self.has(host))
    }

    /// Whether `host` is one of the names. An address cannot be made to point here by a stranger; it counts if the pages listen on
    /// it.
    fn has(&self, host: &str) -> bool {
        let host = plain(host);
        let address = host.trim_start_matches('[').trim_end_matches(']');
        match address.parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback() || self.listen.is_unspecified() || address == self.listen
            }
            Err(_) => host == "localhost" || self.more.contains(&host),
        }
    }
}

/// A name without the differences that do not matter: case, and the root's dot at its end.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(names: &Names, target: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().expect("a value"));
        }
        names.are_asked(&target.parse().expect("a target"), &headers)
    }

    #[test]
    fn the_machines_own_names_and_the_configured_ones_count_and_no_other() {
        let names = Names::new([127, 0, 0, 1].into(), &["Centre.Example.".into()]);
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.3.2.1",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "centre.example",
            "centre.example:443",
            "CENTRE.example.",
        ] {
            assert!(asked(&names, "/", &[host]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "centre.example.evil",
            "192.0.2.1",
            "0.0.0.0",
            "evil.example@localhost:80@evil.example",
            "local host",
            "[::1",
        ] {
            assert!(!asked(&names, "/", &[host]), "{host}");
        }
    }

    #[test]
    fn a_request_without_a_host_or_with_two_or_for_another_address_is_refused() {
        let names = Names::new([127, 0, 0, 1].into(), &[]);
        assert!(!asked(&names, "/", &[]));
        assert!(!asked(&names, "/", &["localhost", "localhost"]));
        assert!(!asked(&names, "http://evil.example/", &["localhost"]));
        assert!(!asked(&names, "http://localhost/", &["evil.example"]));
        assert!(asked(&names, "http://localhost/", &["127.0.0.1"]));
    }

    #[test]
    fn pages_on_one_address_are_asked_for_by_it_and_pages_on_all_by_any() {
        let one = Names::new([192, 0, 2, 1].into(), &[]);
        assert!(asked(&one, "/", &["192.0.2.1:8080"]) && !asked(&one, "/", &["192.0.2.2"]));
        let all = Names::new([0, 0, 0, 0].into(), &[]);
        assert!(asked(&all, "/", &["192.0.2.2"]) && asked(&all, "/", &["[2001:db8::1]:80"]));
        assert!(!asked(&all, "/", &["evil.example"]));
    }
}
