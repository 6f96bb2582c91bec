//! TLS with rustls: whom to trust, who we are, and until when.
//!
//! Owns: reading certificates and keys. Never does: trust anybody else when a `ca_file` is given.
//! The provider is named, because several in one program would make rustls panic.
#![allow(clippy::disallowed_methods)] // reads certificate files

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// What is wrong with a certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("{path}: {why}; a PEM file with {wanted} is needed")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A certificate that says no day on which it ends.
    #[error("{0}: a certificate in it cannot be understood (RFC 5280 §4.1)")]
    NoEnd(PathBuf),
    /// The system has no roots.
    #[error("no certificate authority is known to this system; set [mqtt] ca_file")]
    NoRoots,
    /// Certificate and key do not fit, or the like.
    #[error("the client certificate cannot be used: {0}")]
    Identity(rustls::Error),
    /// rustls refuses its own settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// What encrypts, for every connection of the program.
pub fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    // A Pi before the 5 has no AES instructions: ChaCha20-Poly1305 (RFC 8439) first.
    provider
        .cipher_suites
        .sort_by_key(|suite| !format!("{:?}", suite.suite()).contains("CHACHA20"));
    provider
}

/// A client that trusts `ca`, or the system's roots, and shows `identity` (certificate, key) if given.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path, "the certificate authority")? {
                roots.add(certificate).map_err(|error| TlsError::File {
                    path: path.to_owned(),
                    why: error.to_string(),
                    wanted: "the certificate authority",
                })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoRoots);
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots);
    let config = match identity {
        Some((certificate, key)) => {
            let chain = certificates(certificate, "the client certificate")?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File {
                path: key.to_owned(),
                why: error.to_string(),
                wanted: "the private key",
            })?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(TlsError::Identity)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Every certificate of a PEM file; `wanted` says in an error what it should hold.
pub fn certificates(
    path: &Path,
    wanted: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |why: String| TlsError::File {
        path: path.to_owned(),
        why,
        wanted,
    };
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| file(error.to_string()))?
        .collect();
    let all = all.map_err(|error| file(error.to_string()))?;
    if all.is_empty() {
        Err(file("holds no certificate".into()))
    } else {
        Ok(all)
    }
}

/// When the first of the file's certificates ends (`notAfter`).
pub fn first_end(path: &Path) -> Result<Timestamp, TlsError> {
    let ends = certificates(path, "a certificate")?
        .iter()
        .map(|certificate| not_after(certificate).ok_or_else(|| TlsError::NoEnd(path.to_owned())))
        .collect::<Result<Vec<_>, _>>()?;
    let first = ends.into_iter().min();
    first.ok_or_else(|| TlsError::NoEnd(path.to_owned()))
}

/// Tags of ASN.1's distinguished encoding (ITU-T X.690) that stand before a certificate's validity.
mod tag {
    pub const INTEGER: u8 = 0x02;
    pub const UTC_TIME: u8 = 0x17;
    pub const GENERALIZED_TIME: u8 = 0x18;
    pub const SEQUENCE: u8 = 0x30;
    /// `[0]`, the version.
    pub const VERSION: u8 = 0xa0;
}

/// `notAfter` of one certificate.
fn not_after(der: &[u8]) -> Option<Timestamp> {
    validity(der).map(|(_, not_after)| not_after)
}

/// `notBefore` and `notAfter` of one certificate, by the order of fields in RFC 5280 §4.1.
pub fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let certificate = &mut { der };
    let to_be_signed = &mut field(&mut field(certificate, tag::SEQUENCE)?, tag::SEQUENCE)?;
    if to_be_signed.first() == Some(&tag::VERSION) {
        field(to_be_signed, tag::VERSION)?;
    }
    field(to_be_signed, tag::INTEGER)?; // serialNumber
    field(to_be_signed, tag::SEQUENCE)?; // signature
    field(to_be_signed, tag::SEQUENCE)?; // issuer
    let validity = &mut field(to_be_signed, tag::SEQUENCE)?;
    let not_before = time(validity)?;
    Some((not_before, time(validity)?))
}

/// Takes one field off the front; answers what is in it, if it has this tag.
fn field<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (&found, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    *der = rest;
    (found == tag).then_some(inside)
}

/// A time of RFC 5280 §4.1.2.5: to the second, in UTC.
fn time(der: &mut &[u8]) -> Option<Timestamp> {
    let text = match *der.first()? {
        tag::UTC_TIME => {
            let text = std::str::from_utf8(field(der, tag::UTC_TIME)?).ok()?;
            let century = if text >= "50" { "19" } else { "20" };
            format!("{century}{text}")
        }
        tag::GENERALIZED_TIME => {
            let text = std::str::from_utf8(field(der, tag::GENERALIZED_TIME)?).ok()?;
            text.to_owned()
        }
        _ => return None,
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    // The last second of the year 9999 means that there is no end; it is one day more than the calendar here has.
    Some(
        jiff::tz::TimeZone::UTC
            .to_timestamp(at)
            .unwrap_or(Timestamp::MAX),
    )
}

/// Reads a password file: relative names are also looked for among systemd's credentials. The trailing
/// line end is not part of the password.
pub fn read_password(path: &Path) -> Result<String, String> {
    let mut found = std::fs::read_to_string(path);
    if found.is_err()
        && let Some(dir) = std::env::var_os("CREDENTIALS_DIRECTORY")
        && let Some(name) = path.file_name()
    {
        found = std::fs::read_to_string(Path::new(&dir).join(name));
    }
    let text = found
        .map_err(|error| format!("{}: the password cannot be read: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that ends on this day, as PEM.
    fn until(year: i32, month: u8, day: u8) -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut wanted = rcgen::CertificateParams::new(vec!["rundhoej-1".into()]).expect("a name");
        wanted.not_after = rcgen::date_time_ymd(year, month, day);
        wanted.self_signed(&key).expect("a certificate").pem()
    }

    fn file(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("booth.pem");
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    fn end_of(text: impl AsRef<[u8]>) -> Option<String> {
        let (_folder, path) = file(text);
        first_end(&path).ok().map(|end| end.to_string())
    }

    #[test]
    fn the_first_certificate_of_a_file_to_end_counts() {
        // Before 2050 the day is written in two digits of the year, from then on in four.
        let (soon, late) = (until(2031, 3, 9), until(2064, 12, 24));
        assert_eq!(end_of(&soon).as_deref(), Some("2031-03-09T00:00:00Z"));
        assert_eq!(end_of(&late).as_deref(), Some("2064-12-24T00:00:00Z"));
        assert_eq!(
            end_of(late.clone() + &soon).as_deref(),
            Some("2031-03-09T00:00:00Z")
        );
        assert_eq!(
            end_of(until(1999, 1, 2)).as_deref(),
            Some("1999-01-02T00:00:00Z")
        );
    }

    #[test]
    fn a_certificate_tells_from_when_on_it_is_valid() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut wanted = rcgen::CertificateParams::new(vec!["broker".into()]).expect("a name");
        wanted.not_before = rcgen::date_time_ymd(2024, 2, 3);
        wanted.not_after = rcgen::date_time_ymd(2061, 12, 31);
        let made = wanted.self_signed(&key).expect("a certificate");
        let (before, after) = validity(made.der()).expect("dates");
        assert_eq!(before.to_string(), "2024-02-03T00:00:00Z");
        assert_eq!(after.to_string(), "2061-12-31T00:00:00Z");
    }

    #[test]
    fn a_certificate_without_an_end_ends_after_everything() {
        let mut der = &b"\x18\x0f99991231235959Z"[..];
        assert_eq!(time(&mut der), Some(Timestamp::MAX));
    }

    #[test]
    fn no_file_and_no_certificate_have_no_end() {
        assert!(first_end(Path::new("/no/such/file.pem")).is_err());
        assert_eq!(end_of(""), None);
        assert_eq!(
            end_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            None
        );
    }

    #[test]
    fn a_certificate_that_is_cut_has_no_end_and_a_changed_one_never_panics() {
        let (_folder, path) = file(until(2031, 3, 9));
        let whole = certificates(&path, "one")
            .expect("a certificate")
            .remove(0)
            .to_vec();
        for length in 0..whole.len() {
            // The outermost length no longer fits.
            assert_eq!(not_after(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for value in [0x00, 0x30, 0x7f, 0x80, 0x84, 0x88, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = not_after(&changed);
            }
        }
    }
}
