//! Files with certificates and keys, as people make, convert and send them.
//!
//! Owns: what such a file is, and one sentence with the right remedy for every kind that cannot be used as it is. Never does: skip
//! a certificate silently, or guess a passphrase. Pure.

use std::borrow::Cow;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::der::{self, Shape};
use crate::text::{quoted, text_of};

/// What is wrong with a file, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// What is wrong, to follow the file's name.
    pub what: String,
    /// What to do; a command where there is one.
    pub remedy: String,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// What a file should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `ca_file`: the authority that signs the broker's certificate.
    Authority,
    /// `cert_file`: this program's own certificate.
    Certificate,
    /// `key_file`: the key of that certificate.
    Key,
}

impl Wanted {
    pub(super) fn words(self) -> &'static str {
        match self {
            Wanted::Authority => "the certificate of the authority that signed the broker's",
            Wanted::Certificate => "the client certificate",
            Wanted::Key => "the private key of cert_file",
        }
    }
}

/// A file's text without the characters that editors and mail programs put around its lines.
pub fn cleaned(bytes: &[u8]) -> Cow<'_, [u8]> {
    // Text between the blocks is for people, and may be in any encoding.
    let decoded = text_of(bytes).map(String::into_bytes);
    let text = match (&decoded, bytes) {
        (Ok(text), _) => text,
        (Err(_), [0xef, 0xbb, 0xbf, rest @ ..]) => rest,
        (Err(_), bytes) => bytes,
    };
    let lines = text.split(|byte| *byte == b'\n' || *byte == b'\r');
    let mut clean: Vec<u8> = Vec::with_capacity(text.len() + 1);
    for line in lines
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
    {
        // An older name of the same block.
        match line {
            b"-----BEGIN X509 CERTIFICATE-----" => clean.extend(b"-----BEGIN CERTIFICATE-----"),
            b"-----END X509 CERTIFICATE-----" => clean.extend(b"-----END CERTIFICATE-----"),
            line => clean.extend(line),
        }
        clean.push(b'\n');
    }
    Cow::Owned(clean)
}

/// Every certificate in a file with this name.
pub fn certificates_in(
    bytes: &[u8],
    name: &str,
    wanted: Wanted,
) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let (clean, labels) = blocks(bytes, name, wanted)?;
    let count = |label: &str| labels.iter().filter(|own| *own == label).count();
    if count("TRUSTED CERTIFICATE") > 0 {
        let command = format!(
            "openssl x509 -in {} -out {}",
            quoted(name),
            made_of(name, "")
        );
        return Err(Unusable {
            what: "holds a certificate in OpenSSL's own form (TRUSTED CERTIFICATE)".into(),
            remedy: convert(&command),
        });
    }
    let expected = count("CERTIFICATE");
    if expected == 0 {
        return Err(no_certificate(&labels, name, wanted));
    }
    let mut all = Vec::new();
    for (number, certificate) in CertificateDer::pem_slice_iter(&clean).enumerate() {
        let whole = certificate.ok().filter(|der| der::validity(der).is_some());
        let Some(whole) = whole else {
            return Err(damaged(&format!("certificate number {} in it", number + 1)));
        };
        all.push(whole);
    }
    match all.len() == expected {
        true => Ok(all),
        false => Err(damaged("one of its certificates")),
    }
}

/// The private key in a file with this name.
pub fn key_in(bytes: &[u8], name: &str) -> Result<PrivateKeyDer<'static>, Unusable> {
    let (clean, labels) = blocks(bytes, name, Wanted::Key)?;
    let has = |label: &str| labels.iter().any(|own| own == label);
    let is_locked = has("ENCRYPTED PRIVATE KEY")
        || clean
            .windows(21)
            .any(|word| word == b"Proc-Type: 4,ENCRYPTE");
    if is_locked {
        return Err(locked(name, ""));
    }
    let is_key = |label: &&String| {
        matches!(
            label.as_str(),
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY"
        )
    };
    if labels.iter().any(|label| is_key(&label)) {
        let key = PrivateKeyDer::from_pem_slice(&clean).map_err(|_| damaged("the key in it"))?;
        return match rustls::crypto::ring::sign::any_supported_type(&key) {
            Ok(_) => Ok(key),
            Err(_) => Err(Unusable {
                what: "holds a key that is damaged or of a kind that is not used here".into(),
                remedy: "use RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519, and have a certificate made for it".into(),
            }),
        };
    }
    let unusable = |what: &str, remedy: &str| {
        Err(Unusable {
            what: what.into(),
            remedy: remedy.into(),
        })
    };
    let needs = format!("put {} there as PEM", Wanted::Key.words());
    if has("OPENSSH PRIVATE KEY") {
        unusable("holds a key of SSH, which TLS does not use", &needs)
    } else if has("DSA PRIVATE KEY") {
        unusable("holds a DSA key, which TLS does not use any more", &needs)
    } else if has("CERTIFICATE") {
        let remedy = "put the private key there that belongs to cert_file; if the two files were exchanged, change their names in cert_file and key_file";
        unusable("holds a certificate and no private key", remedy)
    } else if has("PUBLIC KEY") {
        unusable("holds a public key and no private one", &needs)
    } else if has("CERTIFICATE REQUEST") || has("NEW CERTIFICATE REQUEST") {
        unusable(
            "holds a request for a certificate and no private key",
            &needs,
        )
    } else {
        unusable(
            "holds no private key (no line -----BEGIN PRIVATE KEY-----)",
            &needs,
        )
    }
}

/// The clean text and the names of its blocks; if it is no PEM at all, an error that says what the file is.
fn blocks<'a>(
    bytes: &'a [u8],
    name: &str,
    wanted: Wanted,
) -> Result<(Cow<'a, [u8]>, Vec<String>), Unusable> {
    if let Some(shape) = der::shape(bytes) {
        return Err(binary(shape, name, wanted));
    }
    if bytes.starts_with(&[0xfe, 0xed, 0xfe, 0xed]) {
        let archive = made_of_with(name, "", "p12");
        let command = format!(
            "keytool -importkeystore -srckeystore {} -destkeystore {archive} -deststoretype PKCS12",
            quoted(name)
        );
        return Err(Unusable {
            what: "is a keystore of Java".into(),
            remedy: format!(
                "make PKCS#12 of it ({command}), and take certificate and key out of that with openssl pkcs12"
            ),
        });
    }
    let clean = cleaned(bytes);
    let needs = format!("put {} there as PEM", wanted.words());
    if clean.is_empty() {
        return Err(Unusable {
            what: "is empty".into(),
            remedy: needs,
        });
    }
    let lines = clean.split(|byte| *byte == b'\n');
    let begins = lines.filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        Some(label.to_owned())
    });
    let labels: Vec<String> = begins.collect();
    let is_mangled = |line: &[u8]| {
        let has = |word: &[u8]| line.windows(word.len()).any(|own| own == word);
        let is_meant = has(b"BEGIN CERTIFICATE") || has(b"BEGIN ") && has(b"PRIVATE KEY");
        is_meant && !(line.starts_with(b"-----BEGIN ") && line.ends_with(b"-----"))
    };
    let what = if clean.split(|byte| *byte == b'\n').any(is_mangled) {
        "has other lines around its blocks than -----BEGIN …----- and -----END …----- with five plain dashes each, as word processors make them"
    } else if !labels.is_empty() {
        return Ok((clean, labels));
    } else if clean.starts_with(b"MI")
        && clean
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=\n".contains(byte))
    {
        "has lost its first and last line (-----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----, or … PRIVATE KEY …)"
    } else if bytes.first() == Some(&0x30) || clean.contains(&0) {
        "is no text, and damaged or of an unknown kind"
    } else {
        "holds no block of PEM (no line that begins with -----BEGIN)"
    };
    Err(Unusable {
        what: what.into(),
        remedy: format!("copy it again without opening it in an editor, or {needs}"),
    })
}

/// The error for a binary file, with the command that makes PEM of it.
fn binary(shape: Shape, name: &str, wanted: Wanted) -> Unusable {
    let own = quoted(name);
    let made = made_of(name, "");
    let unusable = |what: &str, remedy: String| Unusable {
        what: what.into(),
        remedy,
    };
    match (shape, wanted) {
        (Shape::Certificate, Wanted::Key) => unusable(
            "is a certificate in binary form (DER) and no private key",
            "put the private key there that belongs to cert_file, as PEM".into(),
        ),
        (Shape::Certificate, _) => unusable(
            "is a certificate in binary form (DER)",
            convert(&format!("openssl x509 -inform DER -in {own} -out {made}")),
        ),
        (Shape::Key, Wanted::Key) => unusable(
            "is a private key in binary form (DER)",
            convert(&format!("openssl pkey -inform DER -in {own} -out {made}")),
        ),
        (Shape::LockedKey, Wanted::Key) => locked(name, "-inform DER "),
        (Shape::Key | Shape::LockedKey, wanted) => unusable(
            "is a private key and no certificate",
            format!("put {} there as PEM", wanted.words()),
        ),
        (Shape::Request, wanted) => unusable(
            "is a request for a certificate (DER) and none itself",
            format!("put {} there as PEM", wanted.words()),
        ),
        (Shape::Pkcs12, wanted) => {
            let what = match wanted {
                Wanted::Authority => "-cacerts -nokeys",
                Wanted::Certificate => "-clcerts -nokeys",
                Wanted::Key => "-nocerts -nodes",
            };
            let ending = if wanted == Wanted::Key { "-key" } else { "" };
            let made = made_of(name, ending);
            unusable(
                "is an archive of certificates and keys (PKCS#12)",
                format!(
                    "take {} out of it: openssl pkcs12 -in {own} {what} -out {made}, and name that file instead",
                    wanted.words()
                ),
            )
        }
        (Shape::Pkcs7, Wanted::Key) => unusable(
            "is a list of certificates (PKCS#7) and no private key",
            "put the private key there that belongs to cert_file, as PEM".into(),
        ),
        (Shape::Pkcs7, _) => unusable(
            "is a list of certificates (PKCS#7)",
            convert(&format!(
                "openssl pkcs7 -inform DER -print_certs -in {own} -out {made}"
            )),
        ),
    }
}

fn no_certificate(labels: &[String], name: &str, wanted: Wanted) -> Unusable {
    let has = |word: &str| labels.iter().any(|label| label.ends_with(word));
    let needs = format!("put {} there as PEM", wanted.words());
    let (what, remedy) = if has("PRIVATE KEY") && wanted == Wanted::Certificate {
        let exchanged =
            "if the two files were exchanged, change their names in cert_file and key_file";
        (
            "holds a private key and no certificate",
            format!("{needs}; {exchanged}"),
        )
    } else if has("PRIVATE KEY") {
        (
            "holds a private key and no certificate",
            format!("{needs}, and keep that key where it belongs"),
        )
    } else if has("CERTIFICATE REQUEST") {
        (
            "holds a request for a certificate and none itself",
            format!("{needs}, as the authority has made it of the request"),
        )
    } else if has("PKCS7") {
        let command = format!(
            "openssl pkcs7 -print_certs -in {} -out {}",
            quoted(name),
            made_of(name, "")
        );
        ("holds a list of certificates (PKCS#7)", convert(&command))
    } else if has("PUBLIC KEY") {
        ("holds a public key and no certificate", needs)
    } else {
        (
            "holds no certificate (no line -----BEGIN CERTIFICATE-----)",
            needs,
        )
    };
    Unusable {
        what: what.into(),
        remedy,
    }
}

fn locked(name: &str, form: &str) -> Unusable {
    let command = format!(
        "openssl pkey {form}-in {} -out {}",
        quoted(name),
        made_of(name, "-plain")
    );
    Unusable {
        what: "holds a private key that a passphrase protects, and nobody is there to type it"
            .into(),
        remedy: format!("take the passphrase away ({command}), and name that file instead"),
    }
}

/// The error for a certificate of version 1, which TLS programs no longer accept as their own.
pub(super) fn old_version(name: &str) -> Unusable {
    Unusable {
        what: "is a certificate of X.509 version 1, which no broker takes".into(),
        remedy: format!(
            "have it signed as version 3: openssl x509 -req … with -extfile and a file that says basicConstraints=CA:FALSE; `openssl x509 -in {} -noout -text` shows the version",
            quoted(name)
        ),
    }
}

fn damaged(what: &str) -> Unusable {
    Unusable {
        what: format!("is damaged: {what} is not whole"),
        remedy: "copy the file again".into(),
    }
}

fn convert(command: &str) -> String {
    format!("convert it ({command}), and name that file instead")
}

/// A name for the file that a command makes of this one.
fn made_of(name: &str, addition: &str) -> String {
    made_of_with(name, addition, "pem")
}

fn made_of_with(name: &str, addition: &str, ending: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let made = format!("{stem}{addition}.{ending}");
    match made.eq_ignore_ascii_case(name) {
        true => quoted(&format!("{stem}{addition}-new.{ending}")),
        false => quoted(&made),
    }
}
