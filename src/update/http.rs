//! Fetching an update over HTTP(S), as one stream that survives broken connections.
//!
//! Owns: the connection, continuing with `Range` (RFC 9110 §14) where it broke, and how often that is tried. Never does:
//! trust what it fetched. The signature and the payload's hash are checked afterwards, so TLS only keeps others from reading
//! along, and the roots of the system and of `[mqtt] ca_file` are good enough.
#![allow(clippy::disallowed_methods)] // owns the sockets, and waits between its tries

mod address;

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, BodyReader};

use crate::trust::whence::Whence;
use address::admitted;
pub use address::{AddressError, Elsewhere, LONGEST_URL, NoUrl, check_url, check_whence};

use booth_contract::time::Mono;
use booth_host::clock;
use booth_host::tls::{self, TlsError};

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

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let refused = |why: Elsewhere| ureq::Error::Other(Box::new(why));
        admitted(uri, &self.whence).map_err(refused)?;
        let found = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        let mut allowed = self.empty();
        let mut last = Ok(());
        for address in found.iter() {
            match self.whence.admits_address(host, address.ip()) {
                Ok(()) => allowed.push(*address),
                Err(why) => last = Err(why),
            }
        }
        match last {
            Err(why) if allowed.is_empty() => {
                let host = host.to_owned();
                Err(refused(Elsewhere { host, why }))
            }
            _ => Ok(allowed),
        }
    }
}

/// Why a download cannot begin.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum DownloadError {
    #[error(transparent)]
    Url(#[from] NoUrl),
    /// The authority that the broker's certificate is checked by cannot be read.
    #[error(transparent)]
    Authority(#[from] TlsError),
}

/// Why a download does not go on.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Line(#[source] Box<ureq::Error>),
    #[error("{0}")]
    Read(#[source] io::Error),
    #[error("the connection ended")]
    Ended,
    #[error("the server answers {0}")]
    Busy(u16),
    #[error("the server answers {0}; check the address")]
    Refused(u16),
    #[error(
        "a web page came instead of the file, as from a network that wants a login; check the address, and look after the booth's network"
    )]
    Page,
    #[error(transparent)]
    Elsewhere(Elsewhere),
    #[error("the server answers with another part of the file")]
    OtherPart,
    #[error("the file at the server was replaced meanwhile; start again")]
    Replaced,
    #[error("the file did not come within a day")]
    TooLong,
    #[error(
        "the server is too slow: {came} bytes in {minutes} minutes, and {least} are the least; take a nearer server, or look after the booth's network"
    )]
    TooSlow { came: u64, minutes: u64, least: u64 },
}

impl Fault {
    /// Whether it may be gone at the next try.
    fn is_passing(&self) -> bool {
        match self {
            Self::Line(_) | Self::Read(_) | Self::Ended | Self::Busy(_) | Self::Page => true,
            Self::Refused(_)
            | Self::Elsewhere(_)
            | Self::OtherPart
            | Self::Replaced
            | Self::TooLong
            | Self::TooSlow { .. } => false,
        }
    }
}

impl From<ureq::Error> for Fault {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Other(other) => match other.downcast::<Elsewhere>() {
                Ok(elsewhere) => Self::Elsewhere(*elsewhere),
                Err(other) => Self::Line(Box::new(ureq::Error::Other(other))),
            },
            other => Self::Line(Box::new(other)),
        }
    }
}

/// The end of a download that has failed for good.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {fault} (after {at} bytes)")]
struct Stopped {
    url: String,
    at: u64,
    #[source]
    fault: Fault,
}

/// What a server says of the bytes that it sends.
struct Part {
    /// The first byte's place in the file.
    from: u64,
    /// Length of the whole file.
    total: Option<u64>,
    etag: Option<String>,
}

impl Part {
    /// Of the answer to a question for the bytes from `at` on.
    fn of<B>(response: &Response<B>, at: u64) -> Result<Self, Fault> {
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let is_page = header("content-type")
            .is_some_and(|kind| kind.trim().to_ascii_lowercase().starts_with("text/html"));
        if is_page && response.status().is_success() {
            return Err(Fault::Page);
        }
        let (from, total) = match response.status().as_u16() {
            200 => (
                0,
                header("content-length").and_then(|text| text.parse().ok()),
            ),
            206 => match header("content-range").and_then(content_range) {
                Some((from, total)) if from == at => (from, Some(total)),
                _ => return Err(Fault::OtherPart),
            },
            status @ (408 | 425 | 429 | 500..=599) => return Err(Fault::Busy(status)),
            status => return Err(Fault::Refused(status)),
        };
        let etag = header("etag").filter(|etag| etag.starts_with('"'));
        Ok(Self {
            from,
            total,
            etag: etag.map(str::to_owned),
        })
    }
}

impl Download {
    /// A download that has fetched nothing yet. `ca` is trusted beside the system's roots; `whence` says where the address
    /// and its redirects may lead.
    pub fn new(
        url: &str,
        ca: Option<&Path>,
        whence: Whence,
        patience: Patience,
    ) -> Result<Self, DownloadError> {
        check_url(url)?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls::for_http(ca)?)
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
    fn is_in_time(&mut self) -> Result<(), Fault> {
        let now = clock::mono();
        if now >= self.until {
            return Err(Fault::TooLong);
        }
        let (began, came) = self.window;
        if now.since(began) >= self.patience.window {
            let least = self.patience.least;
            if came < least {
                return Err(Fault::TooSlow {
                    came,
                    minutes: self.patience.window.as_secs() / 60,
                    least,
                });
            }
            self.window = (now, 0);
        }
        Ok(())
    }

    /// Connects and continues at byte `at` of the file.
    fn connect(&mut self) -> Result<BodyReader<'static>, Fault> {
        let mut request = self.agent.get(&self.url);
        if self.at > 0 {
            request = request.header("Range", format!("bytes={}-", self.at));
            if let Some(etag) = &self.etag {
                request = request.header("If-Range", etag);
            }
        }
        let response = request.call()?;
        let part = Part::of(&response, self.at)?;
        if self.at > 0 && self.is_another_file(&part) {
            return Err(Fault::Replaced);
        }
        self.total = part.total.or(self.total);
        self.etag = part.etag.or(self.etag.take());
        let mut body = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        self.skip(&mut body, self.at - part.from)?;
        Ok(body)
    }

    /// Whether the server has another file than the one of which bytes are here.
    fn is_another_file(&self, part: &Part) -> bool {
        let differs = |before: Option<u64>, now: Option<u64>| {
            before.zip(now).is_some_and(|(before, now)| before != now)
        };
        let etags = self.etag.as_ref().zip(part.etag.as_ref());
        differs(self.total, part.total) || etags.is_some_and(|(before, now)| before != now)
    }

    /// Passes over bytes that are here: a server without ranges sends the file from the beginning.
    fn skip(&mut self, body: &mut BodyReader, mut bytes: u64) -> Result<(), Fault> {
        let mut block = vec![0; 1 << 16];
        while bytes > 0 {
            self.is_in_time()?;
            let most = block
                .len()
                .min(usize::try_from(bytes).unwrap_or(usize::MAX));
            match body.read(&mut block[..most]) {
                Ok(0) => return Err(Fault::Ended),
                Ok(read) => {
                    bytes -= read as u64;
                    self.window.1 += read as u64;
                }
                Err(error) => return Err(Fault::Read(error)),
            }
        }
        Ok(())
    }

    /// Waits before the next try, or fails if there is none.
    fn rest(&mut self, fault: Fault) -> io::Result<()> {
        self.body = None;
        self.failures += 1;
        if self.failures >= self.patience.tries || clock::mono() >= self.until {
            return Err(self.stopped(fault));
        }
        log::warn!(at = self.at, tries = self.failures; "fetching the update: {fault}");
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

    fn stopped(&self, fault: Fault) -> io::Error {
        io::Error::other(Stopped {
            url: self.url.clone(),
            at: self.at,
            fault,
        })
    }
}

/// Whether this is how a web page begins, whatever its server calls it; no update does.
fn is_page(begins: &[u8]) -> bool {
    begins.trim_ascii_start().first() == Some(&b'<')
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
            if let Err(fault) = self.is_in_time() {
                return Err(self.stopped(fault));
            }
            let mut body = match self.body.take() {
                Some(body) => body,
                None => match self.connect() {
                    Ok(body) => body,
                    Err(fault) if fault.is_passing() => {
                        self.rest(fault)?;
                        continue;
                    }
                    Err(fault) => return Err(self.stopped(fault)),
                },
            };
            match body.read(buffer) {
                Ok(0) if self.total.is_some_and(|total| self.at < total) => {
                    self.rest(Fault::Ended)?
                }
                Ok(0) => return Ok(0),
                Ok(read) if self.at == 0 && is_page(&buffer[..read]) => {
                    (self.total, self.etag) = (None, None);
                    self.rest(Fault::Page)?;
                }
                Ok(read) => {
                    self.body = Some(body);
                    self.at += read as u64;
                    self.window.1 += read as u64;
                    self.failures = 0;
                    return Ok(read);
                }
                Err(error) => self.rest(Fault::Read(error))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_understood() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, 10)));
        for bad in ["", "bytes */10", "bytes 5-9/*", "5-9/10"] {
            assert_eq!(content_range(bad), None);
        }
    }
}
