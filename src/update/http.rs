//! Fetching an update over HTTP(S), as one stream that survives broken connections.
//!
//! Owns: the connection, continuing with `Range` (RFC 9110 §14) where it broke, and how often that is tried. Never does:
//! trust what it fetched. The signature and the payload's hash are checked afterwards, so TLS only keeps others from reading
//! along, and the roots of the system and of `[mqtt] ca_file` are good enough.
#![allow(clippy::disallowed_methods)] // owns the sockets, and waits between its tries

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, BodyReader};

use crate::trust::whence::Whence;

use booth_contract::time::Mono;
use booth_host::tls::pem::Wanted;
use booth_host::{clock, tls};

/// Longest address, bytes.
pub const LONGEST_URL: usize = 1024;
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How much patience there is for a bad line.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Most tries in a row that bring not one byte.
    pub tries: u32,
    /// Pause before the second try; doubled before each further one.
    pub pause: Duration,
    /// A connection that brings nothing for this long is given up.
    pub silence: Duration,
    /// Time limit for the whole file.
    pub whole: Duration,
    /// The time in which a server has to send `least` bytes.
    pub window: Duration,
    /// The fewest bytes in each window.
    pub least: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 10,
            pause: Duration::from_secs(2),
            silence: Duration::from_secs(60),
            whole: Duration::from_secs(24 * 3600),
            // 14 kbit/s: the slowest line that brings an image within a day.
            window: Duration::from_secs(600),
            least: 1 << 20,
        }
    }
}

/// Checks whether `text` is an address that can be fetched; says what is wrong with it if not.
pub fn check_url(text: &str) -> Result<(), String> {
    let wrong = |why: &str| {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        Err(format!(
            "{shown:?} {why}; send the address of an update file, http://… or https://…"
        ))
    };
    if text.len() > LONGEST_URL {
        return wrong("is longer than 1024 bytes");
    }
    let Some(rest) = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    else {
        return wrong("is neither http:// nor https://");
    };
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("has a blank or a letter that is not ASCII");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return wrong("names no host");
    }
    if host.contains('@') {
        // A login would be shown in the state file and in the log.
        return wrong("holds a login");
    }
    match text.parse::<ureq::http::Uri>() {
        Ok(_) => Ok(()),
        Err(_) => wrong("is no address"),
    }
}

/// Whether an update may be fetched from this address, as far as that can be decided without a network.
///
/// # Errors
/// A sentence with the remedy.
pub fn check_whence(url: &str, whence: &Whence) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|_| format!("{url:?} is no address"))?;
    admitted(&uri, whence)
}

fn admitted(uri: &Uri, whence: &Whence) -> Result<(), String> {
    let host = uri.host().unwrap_or_default();
    let is_https = uri.scheme_str() == Some("https");
    let admitted = whence.admits(is_https, host);
    admitted.map_err(|why| format!("{host} {why}"))
}

/// A file at an address, read from its first byte to its last.
pub struct Download {
    agent: Agent,
    url: String,
    at: u64,
    total: Option<u64>,
    /// The file's strong ETag: only a strong one proves that the bytes are the same (RFC 9110 §8.8.1).
    etag: Option<String>,
    body: Option<BodyReader<'static>>,
    patience: Patience,
    failures: u32,
    until: Mono,
    /// When the window began, and how many bytes came since.
    window: (Mono, u64),
}

/// Resolves an address and checks where it leads before any connection is made, at each redirect too.
#[derive(Debug)]
struct Guarded {
    whence: Whence,
    inner: DefaultResolver,
}

/// An address that must not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotAllowed(String);

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let refused =
            |why: String| ureq::Error::Other(Box::new(NotAllowed(format!("{host} {why}"))));
        admitted(uri, &self.whence).map_err(|why| ureq::Error::Other(Box::new(NotAllowed(why))))?;
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        let mut last = Ok(());
        for address in found.iter() {
            match self.whence.admits_address(host, address.ip()) {
                Ok(()) => allowed.push(*address),
                Err(why) => last = Err(why.to_string()),
            }
        }
        match last {
            Err(why) if allowed.is_empty() => Err(refused(why)),
            _ => Ok(allowed),
        }
    }
}

enum Fault {
    /// A fault that may be gone at the next try.
    Passing(String),
    /// A fault that will stay.
    Lasting(String),
}

impl Download {
    /// A download that has fetched nothing yet. `ca` is trusted beside the system's roots; `whence` says where the address
    /// and its redirects may lead.
    pub fn new(
        url: &str,
        ca: Option<&Path>,
        whence: Whence,
        patience: Patience,
    ) -> Result<Self, String> {
        check_url(url)?;
        let mut roots = rustls_native_certs::load_native_certs().certs;
        if let Some(ca) = ca {
            roots.extend(tls::certificates(ca, Wanted::Authority).map_err(|e| e.to_string())?);
        }
        let roots = roots
            .iter()
            .map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(tls::provider()))
            .root_certs(RootCerts::from(roots))
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent(concat!("booth-gateway/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .timeout_connect(Some(patience.silence))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .timeout_resolve(Some(patience.silence))
            // Behind a proxy it could not be checked where an address leads.
            .proxy(None)
            .build();
        let resolver = Guarded {
            whence,
            inner: DefaultResolver::default(),
        };
        let agent = Agent::with_parts(agent, DefaultConnector::default(), resolver);
        Ok(Self {
            agent,
            url: url.to_owned(),
            at: 0,
            total: None,
            etag: None,
            body: None,
            patience,
            failures: 0,
            until: clock::mono() + patience.whole,
            window: (clock::mono(), 0),
        })
    }

    /// Checks the time limits: for the whole file, and for the bytes that have to come in each window.
    fn is_in_time(&mut self) -> Result<(), String> {
        let now = clock::mono();
        if now >= self.until {
            return Err("the file did not come within a day".into());
        }
        let (began, came) = self.window;
        if now.since(began) >= self.patience.window {
            let least = self.patience.least;
            if came < least {
                let minutes = self.patience.window.as_secs() / 60;
                return Err(format!(
                    "the server is too slow: {came} bytes in {minutes} minutes, and {least} are the least; take a nearer server, or look after the booth's network"
                ));
            }
            self.window = (now, 0);
        }
        Ok(())
    }

    /// Connects and continues at byte `at` of the file.
    fn connect(&mut self) -> Result<BodyReader<'static>, Fault> {
        let passing = |error: &dyn std::fmt::Display| Fault::Passing(error.to_string());
        let mut request = self.agent.get(&self.url);
        if self.at > 0 {
            request = request.header("Range", format!("bytes={}-", self.at));
            if let Some(etag) = &self.etag {
                request = request.header("If-Range", etag);
            }
        }
        let response = request.call().map_err(|error| match error {
            ureq::Error::Other(other) if other.is::<NotAllowed>() => {
                Fault::Lasting(other.to_string())
            }
            other => passing(&other),
        })?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let length = header("content-length").and_then(|text| text.parse::<u64>().ok());
        let etag = header("etag")
            .filter(|etag| etag.starts_with('"'))
            .map(str::to_owned);
        let (from, total) = match response.status().as_u16() {
            200 => (0, length),
            206 => match header("content-range").and_then(content_range) {
                Some((from, total)) if from == self.at => (from, Some(total)),
                _ => {
                    return Err(Fault::Lasting(
                        "the server answers with another part of the file".into(),
                    ));
                }
            },
            status @ (408 | 425 | 429 | 500..=599) => {
                return Err(Fault::Passing(format!("the server answers {status}")));
            }
            status => {
                return Err(Fault::Lasting(format!(
                    "the server answers {status}; check the address"
                )));
            }
        };
        let is_other =
            |before: &Option<u64>| before.is_some() && total.is_some() && *before != total;
        if self.at > 0
            && (is_other(&self.total)
                || (self.etag.is_some() && etag.is_some() && self.etag != etag))
        {
            return Err(Fault::Lasting(
                "the file at the server was replaced meanwhile; start again".into(),
            ));
        }
        self.total = total.or(self.total);
        self.etag = etag.or(self.etag.take());
        let mut body = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        // A server without ranges sends the file from the beginning.
        let mut skip = self.at - from;
        let mut block = vec![0; 1 << 16];
        while skip > 0 {
            self.is_in_time().map_err(Fault::Lasting)?;
            let most = block.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            match body.read(&mut block[..most]) {
                Ok(0) => return Err(Fault::Passing("the connection ended".into())),
                Ok(read) => {
                    skip -= read as u64;
                    self.window.1 += read as u64;
                }
                Err(error) => return Err(passing(&error)),
            }
        }
        Ok(body)
    }

    /// Waits before the next try, or fails if there is none.
    fn rest(&mut self, why: &str) -> io::Result<()> {
        self.body = None;
        self.failures += 1;
        if self.failures >= self.patience.tries || clock::mono() >= self.until {
            return Err(self.lasting(why));
        }
        log::warn!(at = self.at, tries = self.failures; "fetching the update: {why}");
        let pause = self
            .patience
            .pause
            .saturating_mul(1 << (self.failures - 1).min(10));
        let pause = pause.min(LONGEST_PAUSE);
        std::thread::sleep(pause);
        // The pause does not count against the server.
        self.window.0 = self.window.0 + pause;
        Ok(())
    }

    fn lasting(&self, why: &str) -> io::Error {
        io::Error::other(format!("{}: {why} (after {} bytes)", self.url, self.at))
    }
}

/// First byte and length of the whole in `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = range.split_once('-')?.0;
    Some((from.parse().ok()?, total.parse().ok()?))
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Err(why) = self.is_in_time() {
                return Err(self.lasting(&why));
            }
            let mut body = match self.body.take() {
                Some(body) => body,
                None => match self.connect() {
                    Ok(body) => body,
                    Err(Fault::Passing(why)) => {
                        self.rest(&why)?;
                        continue;
                    }
                    Err(Fault::Lasting(why)) => return Err(self.lasting(&why)),
                },
            };
            match body.read(buffer) {
                Ok(0) if self.total.is_some_and(|total| self.at < total) => {
                    self.rest("the connection ended")?
                }
                Ok(0) => return Ok(0),
                Ok(read) => {
                    self.body = Some(body);
                    self.at += read as u64;
                    self.window.1 += read as u64;
                    self.failures = 0;
                    return Ok(read);
                }
                Err(error) => self.rest(&error.to_string())?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_fetched_are_named() {
        for good in [
            "http://10.0.2.2:8000/a.update",
            "https://updates.example/x?y=z",
        ] {
            assert_eq!(check_url(good), Ok(()));
        }
        let long = format!("http://x/{}", "a".repeat(LONGEST_URL));
        for bad in [
            "",
            "x",
            "ftp://x/",
            "file:///etc/shadow",
            "http://",
            "http:///x",
            "http://a b/",
            "http://x/\n",
            "http://name:word@x/",
            "http://ø/",
            "HTTP://x/",
            long.as_str(),
        ] {
            let said = check_url(bad).expect_err("refused");
            assert!(
                said.contains("send the address") && said.len() < 250,
                "{said}"
            );
        }
    }

    #[test]
    fn a_range_is_understood() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 10)));
        for bad in ["", "bytes */10", "bytes 5-9/*", "5-9/10"] {
            assert_eq!(content_range(bad), None);
        }
    }
}
