//! The city's keys: a new one with its paper copy, and reading one from its file.
//!
//! Owns: the file of a private key, in the form of `age-keygen`. Never does: keep a private key anywhere else, or print one.
#![allow(clippy::disallowed_methods)] // keys are files of their own, beside no store

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use booth_contract::time::rfc3339;
use booth_host::plain_file;
use booth_sealing::{
    EnvelopeError, Identity, KernelRandom, KeyError, NoRandom, OpenError, Opened, Recipient,
};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use qrcodegen::{QrCode, QrCodeEcc};
use zeroize::Zeroizing;

/// Longest file of a key that is read, in bytes.
const MOST_BYTES: u64 = 16_384;
/// Letters of a private key that stand together on paper.
const GROUP: usize = 6;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A key that must not be lost would be.
    #[error("{}: this file is there already; a key that is overwritten is lost, and with it all that was sealed to it. Name another file", .0.display())]
    Exists(PathBuf),
    /// Others can read it.
    #[error("{}: other users can read this private key (mode {mode:o}); take that away with `chmod 600`", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// No private key in it.
    #[error("{}: {error}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: KeyError,
    },
    /// No key of receipts in it.
    #[error("{}: this file holds no key of receipts; restore it from its backup. Without it nobody can withdraw what was left before", .0.display())]
    NoReceiptKey(PathBuf),
    /// No chance to be had.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// A new key, and where it lies.
#[derive(Debug)]
pub struct NewKey {
    /// What booths seal to: it belongs into `[privacy] recipients` of their configuration.
    pub recipient: Recipient,
}

/// Makes a key. Its private half goes to `identity`, which nobody else may read, and to `paper`, an HTML page to be printed.
/// Neither file may exist.
pub fn make(identity: &Path, paper: Option<&Path>, at: Timestamp) -> Result<NewKey, KeysError> {
    let key = Identity::generate(&mut KernelRandom)?;
    let (recipient, secret) = (key.recipient(), key.to_text());
    let made_at = rfc3339(at);
    let text = Zeroizing::new(format!(
        "# made: {made_at}\n# public key: {recipient}\n{}\n",
        *secret
    ));
    write_new(identity, text.as_bytes())?;
    if let Some(paper) = paper {
        let page = Zeroizing::new(page(&recipient, &secret, &made_at).into_string());
        write_new(paper, page.as_bytes())?;
    }
    Ok(NewKey { recipient })
}

/// Reads a private key from a file: one line of its own, as this program and `age-keygen` write it, or as it was typed from paper, in groups
/// and over several lines. Lines that begin with `#` are passed over.
pub fn read(path: &Path) -> Result<Identity, KeysError> {
    let bytes = read_private(path)?;
    parse(&String::from_utf8_lossy(&bytes)).map_err(|error| KeysError::Key {
        path: path.to_owned(),
        error,
    })
}

/// Reads a secret's file, which nobody else may be able to read.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let fault = |error| KeysError::File {
        path: path.to_owned(),
        error,
    };
    let bytes = Zeroizing::new(plain_file::read_at_most(path, MOST_BYTES).map_err(fault)?);
    let mode = std::fs::metadata(path).map_err(fault)?.mode() & 0o777;
    // The service manager's credentials may be readable for the service's group, and lie where nobody else comes.
    let is_credential = std::env::var_os("CREDENTIALS_DIRECTORY")
        .is_some_and(|credentials| path.starts_with(credentials));
    if mode & 0o077 != 0 && !is_credential {
        return Err(KeysError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(bytes)
}

/// The private keys with which this hub opens sealed clips for its pages; none at a hub that only keeps them. They come from files
/// apart from the store, and are overwritten in memory at the end.
#[derive(Debug, Default)]
pub struct Keyring(Vec<Identity>);

impl Keyring {
    /// Reads every file.
    ///
    /// # Errors
    /// The first file that cannot be read or holds no private key.
    pub fn read(files: &[PathBuf]) -> Result<Self, KeysError> {
        files
            .iter()
            .map(|file| read(file))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the keys that it opens for.
    pub fn ids(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|identity| identity.recipient().id())
            .collect()
    }

    /// A ring of these keys.
    pub fn of(keys: Vec<Identity>) -> Self {
        Self(keys)
    }

    /// The public halves: whom this hub seals to what it keeps.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.0.iter().map(Identity::recipient).collect()
    }

    /// Opens an envelope: an age file with a few bytes in it.
    ///
    /// # Errors
    /// It is sealed to other keys, or is no such file.
    pub fn open_envelope(&self, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, EnvelopeError> {
        booth_sealing::envelope::open(envelope, &self.0)
    }

    /// Opens a sealed body.
    ///
    /// # Errors
    /// It is sealed to other keys, or is no sealed body.
    pub fn open(&self, body: &[u8]) -> Result<Opened, OpenError> {
        booth_sealing::open(body, &self.0)
    }
}

fn parse(text: &str) -> Result<Identity, KeyError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut typed = Zeroizing::new(String::with_capacity(text.len()));
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    typed.extend(lines.flat_map(str::split_whitespace));
    Identity::parse(&typed)
}

/// Makes a secret's file, durable and readable for its owner alone.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), KeysError> {
    plain_file::make_private(path, content).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeysError::Exists(path.to_owned()),
        _ => KeysError::File {
            path: path.to_owned(),
            error,
        },
    })
}

/// The paper copy: a page without anything from elsewhere, that prints on one sheet.
fn page(recipient: &Recipient, secret: &str, made_at: &str) -> Markup {
    let (begins, letters) = secret.split_at(secret.find('1').map_or(0, |at| at + 1));
    let letters: Vec<char> = letters.chars().collect();
    let groups = letters.chunks(GROUP).map(|group| group.iter().collect());
    let groups: Vec<String> = groups.collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Private key " (recipient.id()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Private key of the telephone booths" }
                p.warning {
                    "Whoever has this sheet can hear everything that citizens said under this key. If all copies are lost, nobody "
                    "ever hears it. Keep it locked away, and apart from the computers."
                }
                table {
                    tr { th { "Key" } td { code { (recipient.id()) } } }
                    tr { th { "Made" } td { (made_at) } }
                    tr { th { "Public key" } td { code { (recipient.to_string()) } } }
                    tr { th { "For clips from" } td.line {} }
                    tr { th { "until" } td.line {} }
                    tr { th { "Copy number, keeper" } td.line {} }
                }
                h2 { "The private key" }
                div.secret {
                    (qr_code(secret, "The private key as a QR code"))
                    ol { li { code { (begins) } } @for row in groups.chunks(4) { li { code { (row.join(" ")) } } } }
                }
                p {
                    "To use it: type it into a file (spaces and line breaks do not matter, nor do capital letters as long as all or none are; a typing error is noticed), and open "
                    "a clip with " code { "booth-hub open FILE --identity KEY" } ". The " code { "age" } " command and docs/open_sealed_clip.py "
                    "open it too."
                }
            }
        }
    }
}

const STYLE: &str = "body{font:11pt/1.4 sans-serif;max-width:17cm;margin:1.5cm auto;color:#000;background:#fff}\
table{border-collapse:collapse;width:100%}th{text-align:left;width:32%;font-weight:normal}td,th{border-bottom:1px solid #999;padding:.25em 0}\
code{font:10.5pt monospace}td code{word-break:break-all}.line{height:1.6em}.warning{border:2px solid #000;padding:.6em}\
.secret{display:flex;gap:1cm;align-items:center}.secret svg{width:5.5cm;height:5.5cm;flex:none}.secret ol{margin:0}.secret code{font-size:13pt}\
@page{size:A4;margin:1cm}";

/// The QR code (ISO/IEC 18004) of a text, as an SVG picture with the quiet zone that the standard asks for.
pub(crate) fn qr_code(text: &str, label: &str) -> Markup {
    let code =
        QrCode::encode_text(text, QrCodeEcc::Quartile).expect("it is shorter than a QR code holds");
    let dark = |x: i32, y: i32| code.get_module(x, y);
    let mut path = String::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|&x| dark(x, y)) {
            path += &format!("M{x},{y}h1v1h-1z");
        }
    }
    let size = code.size() + 8;
    html! {
        svg viewBox=(format!("-4 -4 {size} {size}")) role="img" aria-label=(label) {
            path d=(path) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn made(folder: &Path) -> (PathBuf, PathBuf, Recipient) {
        let (identity, paper) = (folder.join("city.key"), folder.join("city.html"));
        let key = make(&identity, Some(&paper), Timestamp::UNIX_EPOCH).unwrap();
        (identity, paper, key.recipient)
    }

    #[test]
    fn a_new_key_is_read_back_from_its_file_and_from_its_paper() {
        let folder = tempfile::tempdir().unwrap();
        let (identity, paper, recipient) = made(folder.path());
        assert_eq!(read(&identity).unwrap().recipient(), recipient);
        let page = std::fs::read_to_string(&paper).unwrap();
        let rows = page
            .split("<li><code>")
            .skip(1)
            .map(|row| row.split('<').next().unwrap());
        let typed = rows.collect::<Vec<_>>().join("\n");
        assert_eq!(parse(&typed).unwrap().recipient(), recipient);
        assert_eq!(parse(&typed.to_lowercase()).unwrap().recipient(), recipient);
        let mistyped = typed.replacen('Q', "P", 1).replacen('S', "Z", 3);
        assert!(parse(&mistyped).is_err());
    }

    #[test]
    fn nobody_else_may_read_a_key_and_none_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (identity, paper, recipient) = made(folder.path());
        for path in [&identity, &paper] {
            let mode = std::fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        let again = make(&identity, None, Timestamp::UNIX_EPOCH);
        assert!(matches!(again, Err(KeysError::Exists(_))));
        let other = folder.path().join("other.key");
        let paper_again = make(&other, Some(&paper), Timestamp::UNIX_EPOCH);
        assert!(matches!(paper_again, Err(KeysError::Exists(_))));
        assert_eq!(read(&identity).unwrap().recipient(), recipient);
    }

    fn write_private(path: &Path, content: &[u8]) {
        let _ = std::fs::remove_file(path);
        write_new(path, content).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let (identity, ..) = made(folder.path());
        std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = read(&identity).unwrap_err().to_string();
        assert!(
            refused.contains("mode 640") && refused.contains("chmod 600"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_no_private_key_is_refused_with_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (_, _, recipient) = made(folder.path());
        let refused = |text: &str| {
            let path = folder.path().join("some.key");
            write_private(&path, text.as_bytes());
            read(&path).unwrap_err().to_string()
        };
        assert!(refused(&recipient.to_string()).contains("this is a public key"));
        assert!(refused("").contains("this is no key"));
        assert!(refused("\u{feff}# only a comment\n").contains("this is no key"));
        assert!(refused("AGE-SECRET-KEY-1QQQQ").contains("typing error"));
        let missing = read(&folder.path().join("nothing"))
            .unwrap_err()
            .to_string();
        assert!(missing.contains("nothing"), "{missing}");
    }
}
