//! TLS with rustls: whom to trust, and who we are.
//!
//! Owns: reading certificates and keys. Never does: trust anybody else when a `ca_file` is given.
//! The provider is named, because several in one program would make rustls panic.
#![allow(clippy::disallowed_methods)] // reads certificate files

use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// A client that trusts `ca`, or the system's roots, and shows `identity` (certificate, key) if given.
pub fn client_config(
    ca: Option<&Path>,
    identity: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut provider = rustls::crypto::ring::default_provider();
    // A Pi before the 5 has no AES instructions: ChaCha20-Poly1305 (RFC 8439) first.
    provider
        .cipher_suites
        .sort_by_key(|suite| !format!("{:?}", suite.suite()).contains("CHACHA20"));
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
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
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

fn certificates(
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
