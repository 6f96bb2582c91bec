//! TLS with rustls: whom to trust, which certificate to show, and when it ends.
//!
//! Owns: reading certificates and keys ([`pem`] says what such a file is), and the meaning of a failed handshake ([`refusal`]).
//! Never does: trust any other authority than a broker's `ca_file` where one is given.
//! The provider is named, because several in one program would make rustls panic.
#![allow(clippy::disallowed_methods)] // reads certificate files

mod der;
pub mod pem;
pub mod refusal;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::password::{self, PasswordError};
use super::plain_file::read_at_most;
pub use der::validity;
use pem::{Unusable, Wanted};

/// Longest file of certificates or keys that is read, bytes: the roots of a whole system take a quarter of it.
const LONGEST_FILE: u64 = 1 << 20;

/// What is wrong with a certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{path} {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: Unusable,
    },
    /// A certificate that says no day on which it ends.
    #[error("{0}: a certificate in it cannot be understood (RFC 5280 §4.1)")]
    NoEnd(PathBuf),
    /// The system has no roots.
    #[error("no certificate authority is known to this system; set [mqtt] ca_file")]
    NoRoots,
    /// rustls refuses its own settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

impl TlsError {
    fn file(path: &Path, why: Unusable) -> Self {
        Self::File {
            path: path.to_owned(),
            why,
        }
    }

    /// What is wrong, and what to do about it.
    pub fn what_and_remedy(&self) -> (String, String) {
        match self {
            Self::File { path, why } => (
                format!("{} {}.", path.display(), why.what),
                why.remedy.clone(),
            ),
            Self::NoEnd(_) => (format!("{self}."), "Copy it again.".into()),
            Self::NoRoots => (
                "No certificate authority is known to this system.".into(),
                "Set [mqtt] ca_file, or install ca-certificates.".into(),
            ),
            Self::Setup(_) => (format!("{self}."), "Tell whoever runs the booth.".into()),
        }
    }
}

/// The cryptography of every connection of the program.
pub fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::ring::default_provider();
    // A Pi before the 5 has no AES instructions, so that ChaCha20-Poly1305 (RFC 8439) comes first.
    provider
        .cipher_suites
        .sort_by_key(|suite| !format!("{:?}", suite.suite()).contains("CHACHA20"));
    provider
}

/// Has every client of this program that brings no cryptography of its own use [`provider`].
pub fn is_everybodys() {
    // Who was first has said the same.
    let _ = provider().install_default();
}

/// A client that trusts `ca`, or the system's roots, and shows `identity` (certificate, key) if given.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path, Wanted::Authority)? {
                roots.add(certificate).map_err(|error| {
                    let what = format!("holds a certificate that cannot be understood ({error})");
                    let remedy =
                        "put the certificate of the authority that signed the broker's there"
                            .into();
                    TlsError::file(path, Unusable { what, remedy })
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
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots);
    let config = match identity {
        Some((certificate, key)) => {
            let own = Arc::new(own_identity(certificate, key, &provider)?);
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own)))
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// The TLS of an HTTP client: trusts the system's roots and, where one is named, the authorities in `ca` beside them.
///
/// # Errors
/// A file that cannot be read or holds no authority.
pub fn for_http(ca: Option<&Path>) -> Result<TlsConfig, TlsError> {
    let mut roots = rustls_native_certs::load_native_certs().certs;
    if let Some(ca) = ca {
        roots.extend(certificates(ca, Wanted::Authority)?);
    }
    let roots = roots
        .iter()
        .map(|root| Certificate::from_der(root).to_owned());
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(provider()))
        .root_certs(RootCerts::from(roots))
        .build())
}

/// A server that shows `certificate` to everybody and speaks HTTP/1.1.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(provider());
    let own = Arc::new(own_identity(certificate, key, &provider)?);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// This program's own identity: a certificate, followed by its chain, and its key.
fn own_identity(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(certificate, Wanted::Certificate)?;
    let (bytes, name) = read(key, Wanted::Key)?;
    let own_key = || pem::key_in(&bytes, &name).map_err(|why| TlsError::file(key, why));
    let first = chain.first().map(|own| der::version(own));
    if first == Some(Some(1)) {
        let name = certificate
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        return Err(TlsError::file(certificate, pem::old_version(&name)));
    }
    match CertifiedKey::from_der(chain.clone(), own_key()?, provider) {
        Ok(own) => Ok(own),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let fits = |own: &CertificateDer<'static>| {
                let alone =
                    own_key().map(|key| CertifiedKey::from_der(vec![own.clone()], key, provider));
                matches!(alone, Ok(Ok(_)))
            };
            let why = match chain.iter().any(fits) {
                true => Unusable {
                    what: format!(
                        "has another certificate first than the one of {}",
                        key.display()
                    ),
                    remedy: "put the booth's own certificate before those of its authorities"
                        .into(),
                },
                false => Unusable {
                    what: format!("is the certificate of another key than {}", key.display()),
                    remedy: "put the key and the certificate there that were made for each other"
                        .into(),
                },
            };
            Err(TlsError::file(certificate, why))
        }
        Err(error) => Err(TlsError::file(
            certificate,
            Unusable {
                what: format!("cannot be used ({error})"),
                remedy: "have a certificate made for this key, X.509 version 3".into(),
            },
        )),
    }
}

/// Every certificate of a file; in a `cert_file` the own certificate first.
pub fn certificates(path: &Path, wanted: Wanted) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (bytes, name) = read(path, wanted)?;
    pem::certificates_in(&bytes, &name, wanted).map_err(|why| TlsError::file(path, why))
}

/// Whether one of these certificates may sign others; also true where that cannot be found out.
pub fn has_authority(certificates: &[CertificateDer<'static>]) -> bool {
    certificates
        .iter()
        .any(|own| der::is_authority(own) != Some(false))
}

/// The earliest end (`notAfter`) of the file's certificates.
pub fn first_end(path: &Path) -> Result<Timestamp, TlsError> {
    let ends = certificates(path, Wanted::Certificate)?
        .iter()
        .map(|certificate| validity(certificate).map(|(_, after)| after))
        .map(|after| after.ok_or_else(|| TlsError::NoEnd(path.to_owned())))
        .collect::<Result<Vec<_>, _>>()?;
    let first = ends.into_iter().min();
    first.ok_or_else(|| TlsError::NoEnd(path.to_owned()))
}

/// Reads a password file; see [`password::read`].
pub fn read_password(path: &Path) -> Result<String, PasswordError> {
    password::read(path)
}

/// The bytes of a certificate's or key's file, and its name, quoted for a command.
fn read(path: &Path, wanted: Wanted) -> Result<(Vec<u8>, String), TlsError> {
    let bytes = read_at_most(path, LONGEST_FILE).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "let the program's user read it: chown root:booth-gateway, chmod 0640".into()
            }
            io::ErrorKind::IsADirectory => "a file of that name is needed".into(),
            _ => format!("put {} there as PEM", wanted.words()),
        };
        let what = format!("cannot be read: {error}");
        TlsError::file(path, Unusable { what, remedy })
    })?;
    if bytes.len() as u64 > LONGEST_FILE {
        let why = Unusable {
            what: format!("is longer than {LONGEST_FILE} bytes"),
            remedy: format!("put {} there as PEM, and nothing else", wanted.words()),
        };
        return Err(TlsError::file(path, why));
    }
    let name = path.file_name().unwrap_or_default();
    Ok((bytes, name.to_string_lossy().into_owned()))
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
        // Until 2049 the certificate writes the year in two digits, from 2050 on in four.
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
    fn no_file_and_no_certificate_have_no_end() {
        assert!(first_end(Path::new("/no/such/file.pem")).is_err());
        assert_eq!(end_of(""), None);
        assert_eq!(
            end_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            None
        );
    }
}
