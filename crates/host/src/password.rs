//! Password files, saved with any editor: only this module reads them.
//!
//! Owns: which part of such a file is the password, where it is looked for, and what is reported of a file that holds none. Never
//! does: show a password.
#![allow(clippy::disallowed_methods)] // reads password files

use std::io;
use std::path::{Path, PathBuf};

use super::plain_file::read_at_most;
use crate::text::{NoText, text_of};

/// Longest password that MQTT carries, bytes (MQTT 5 §1.5.6).
pub const LONGEST: u64 = 65_535;

/// The remedy for a file that holds no password.
const ALONE: &str = "write the password into it, alone on one line";
/// Where a certificate or a key belongs.
const ELSEWHERE: &str = "name certificates as ca_file, cert_file and key_file";

/// Why bytes are no password. The sentence is to follow the file's name, and has a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPassword {
    /// More bytes than [`LONGEST`].
    #[error("is longer than the {LONGEST} bytes that a password may have; {ALONE}")]
    TooLong,
    /// A certificate or a key in its binary form.
    #[error("is a certificate or a key and no password; {ALONE}, and {ELSEWHERE}")]
    IsCertificate,
    /// A certificate or a key as PEM.
    #[error("holds a certificate or a key and no password; {ALONE}, and {ELSEWHERE}")]
    HoldsCertificate,
    /// No text.
    #[error(transparent)]
    NoText(#[from] NoText),
    /// Nothing but line ends.
    #[error("is empty; {ALONE}")]
    Empty,
    /// Several lines.
    #[error("has {0} lines; {ALONE}")]
    Lines(usize),
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The file cannot be read.
    #[error("{}: the password cannot be read: {source}; {}", path.display(), remedy(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file holds no password.
    #[error("{} {why}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        why: NoPassword,
    },
}

/// What to do about a file that cannot be read.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "put the file there, with the password alone on one line",
        io::ErrorKind::PermissionDenied => {
            "let the program's user read it: chown root:booth-gateway, chmod 0640"
        }
        io::ErrorKind::IsADirectory => "a file of that name is needed",
        _ => "copy it there again",
    }
}

/// The password in these bytes, without byte order mark and line ends around it.
///
/// # Errors
/// What the bytes are instead.
pub fn of(bytes: &[u8]) -> Result<String, NoPassword> {
    if bytes.len() as u64 > LONGEST {
        return Err(NoPassword::TooLong);
    }
    // A certificate in its binary form begins with these bytes, and no text does.
    if bytes.starts_with(&[0x30, 0x82]) {
        return Err(NoPassword::IsCertificate);
    }
    let text = text_of(bytes)?;
    let password = text.trim_matches('\n');
    if password.is_empty() {
        return Err(NoPassword::Empty);
    }
    if password.trim_start().starts_with("-----BEGIN ") {
        return Err(NoPassword::HoldsCertificate);
    }
    match password.lines().count() {
        1 => Ok(password.to_owned()),
        lines => Err(NoPassword::Lines(lines)),
    }
}

/// Reads a password file. If `path` is not there, systemd's credentials are searched for that name.
///
/// # Errors
/// A file that cannot be read, or that holds no password.
pub fn read(path: &Path) -> Result<String, PasswordError> {
    let mut found = read_at_most(path, LONGEST);
    if found.is_err()
        && let Some(dir) = std::env::var_os("CREDENTIALS_DIRECTORY")
        && let Some(name) = path.file_name()
    {
        found = read_at_most(&Path::new(&dir).join(name), LONGEST).or(found);
    }
    let path = || path.to_owned();
    let bytes = found.map_err(|source| PasswordError::Unreadable {
        path: path(),
        source,
    })?;
    of(&bytes).map_err(|why| PasswordError::Bad { path: path(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str) -> Vec<u8> {
        format!("\u{feff}{text}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect()
    }

    #[test]
    fn a_password_is_the_same_from_every_editor() {
        for bytes in [
            b"Zauber wort".to_vec(),
            b"Zauber wort\n".to_vec(),
            b"Zauber wort\r\n\r\n".to_vec(),
            b"\nZauber wort\n".to_vec(),
            b"Zauber wort\r".to_vec(),
            b"\xef\xbb\xbfZauber wort\r\n".to_vec(),
            utf16("Zauber wort"),
            utf16("Zauber wort\r\n"),
            "Zauber wort\n"
                .encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect(),
        ] {
            assert_eq!(of(&bytes).as_deref(), Ok("Zauber wort"), "{bytes:x?}");
        }
        // Blanks may be part of a password.
        assert_eq!(of(b" x \n").as_deref(), Ok(" x "));
    }

    #[test]
    fn what_is_no_password_is_named_with_its_remedy_and_never_shown() {
        let long = vec![b'x'; LONGEST as usize + 1];
        for (bytes, part) in [
            (&b""[..], "is empty; write"),
            (b"\r\n\n", "is empty"),
            (b"\xef\xbb\xbf", "is empty"),
            (b"geheim\ngeheim\n", "has 2 lines"),
            (b"ge\0heim", "zero bytes"),
            (b"gehe\xefm", "not UTF-8"),
            (b"{\\rtf1 geheim}", "RTF"),
            (b"\n-----BEGIN CERTIFICATE-----\ngeheim\n", "ca_file"),
            (b"\x30\x82\x01\x0ageheim", "ca_file"),
            (&long, "longer than"),
        ] {
            let why = of(bytes).expect_err("no password").to_string();
            assert!(
                why.contains(part) && !why.contains("geheim"),
                "{part}: {why}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, part) in [
            (folder.path().join("none"), "put the file there"),
            (folder.path().to_owned(), "a file of that name is needed"),
        ] {
            let why = read(&path).expect_err("no password").to_string();
            assert!(
                why.contains("cannot be read") && why.contains(part),
                "{why}"
            );
        }
        assert!(
            read(Path::new("/dev/zero"))
                .is_err_and(|why| why.to_string().contains("no plain file"))
        );
        let long = folder.path().join("long");
        let file = std::fs::File::create(&long).expect("a file");
        file.set_len(1 << 40).expect("a long file");
        assert!(read(&long).is_err_and(|why| why.to_string().contains("longer than")));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_it_takes_is_one_line(bytes: Vec<u8>) {
            if let Ok(password) = of(&bytes) {
                proptest::prop_assert!(!password.is_empty() && !password.contains(['\n', '\r', '\0']));
            }
        }
    }
}
