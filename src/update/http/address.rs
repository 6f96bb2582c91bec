//! Which addresses an update can be fetched from, as far as the text says. Pure.

use ureq::http::Uri;

use crate::trust::EntryError;
use crate::trust::whence::{NotAdmitted, Whence};

/// Longest address, bytes.
pub const LONGEST_URL: usize = 1024;

/// A text that is no address of an update file; the beginning of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} {why}; send the address of an update file, http://… or https://…")]
pub struct NoUrl {
    shown: String,
    #[source]
    why: BadUrl,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum BadUrl {
    #[error("is longer than 1024 bytes")]
    TooLong,
    #[error("is neither http:// nor https://")]
    Scheme,
    #[error("has a blank or a letter that is not ASCII")]
    Character,
    #[error("names no host")]
    NoHost,
    /// It would be shown in the state file and in the log.
    #[error("holds a login")]
    Login,
    #[error("is no address")]
    Form,
}

/// Why an address that the centre has sent is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum AddressError {
    #[error(transparent)]
    NoUrl(#[from] NoUrl),
    #[error("{0:?} is no address")]
    NoUri(String),
    #[error(transparent)]
    Elsewhere(#[from] Elsewhere),
    /// The setting that allows addresses is bad.
    #[error(transparent)]
    Allow(#[from] EntryError),
}

/// A host that may not be asked, or the place that its name leads to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} {why}")]
pub struct Elsewhere {
    pub(super) host: String,
    #[source]
    pub(super) why: NotAdmitted,
}

/// Checks whether `text` is an address that can be fetched.
pub fn check_url(text: &str) -> Result<(), NoUrl> {
    check_form(text).map_err(|why| NoUrl {
        shown: text.chars().filter(|c| !c.is_control()).take(80).collect(),
        why,
    })
}

fn check_form(text: &str) -> Result<(), BadUrl> {
    if text.len() > LONGEST_URL {
        return Err(BadUrl::TooLong);
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    let rest = rest.ok_or(BadUrl::Scheme)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BadUrl::Character);
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Err(BadUrl::NoHost);
    }
    if host.contains('@') {
        return Err(BadUrl::Login);
    }
    match text.parse::<Uri>() {
        Ok(_) => Ok(()),
        Err(_) => Err(BadUrl::Form),
    }
}

/// Whether an update may be fetched from this address, as far as that can be decided without a network.
pub fn check_whence(url: &str, whence: &Whence) -> Result<(), AddressError> {
    let uri = url.parse::<Uri>();
    let uri = uri.map_err(|_| AddressError::NoUri(url.to_owned()))?;
    Ok(admitted(&uri, whence)?)
}

/// Whether the host of this address may be asked.
pub(super) fn admitted(uri: &Uri, whence: &Whence) -> Result<(), Elsewhere> {
    let host = uri.host().unwrap_or_default();
    let is_https = uri.scheme_str() == Some("https");
    let admitted = whence.admits(is_https, host);
    admitted.map_err(|why| Elsewhere {
        host: host.to_owned(),
        why,
    })
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
            let said = check_url(bad).expect_err("refused").to_string();
            assert!(
                said.contains("send the address") && said.len() < 250,
                "{said}"
            );
        }
    }
}
