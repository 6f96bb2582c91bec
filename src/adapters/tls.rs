//! TLS towards the broker.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// What is wrong with a certificate file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// A client's configuration.
pub fn client_config(
    ca: Option<&Path>,
    cert: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    let bad = |path: &Path, error: &dyn std::fmt::Display| {
        TlsError(format!("{} cannot be read as PEM: {error}", path.display()))
    };
    if let Some(path) = ca {
        for cert in CertificateDer::pem_file_iter(path).map_err(|e| bad(path, &e))? {
            roots
                .add(cert.map_err(|e| bad(path, &e))?)
                .map_err(|e| bad(path, &e))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsError(e.to_string()))?
        .with_root_certificates(roots);
    let config = match cert {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = CertificateDer::pem_file_iter(cert)
                .and_then(Iterator::collect)
                .map_err(|e| bad(cert, &e))?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|e| bad(key, &e))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| TlsError(e.to_string()))?
        }
    };
    Ok(Arc::new(config))
}
