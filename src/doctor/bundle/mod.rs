//! `booth-gateway doctor --bundle`: what a person far away needs to help, in one file that may be sent by mail.
//!
//! Owns: what is in the file. Never does: read a message, a receipt or a key into it. What booth.toml says is shown key by key
//! ([`harmless`]), and every text of others is cleaned of the booth's own secrets ([`scrub`]). A failure leaves no file behind.

mod facts;
pub mod harmless;
mod scrub;
mod tar;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Examination, examine, gateway};
use crate::config::Config;
use booth_contract::time::rfc3339;
use booth_host::config_file::LONGEST_FILE;
use booth_host::plain_file::{make_private, read_at_most};
use booth_host::{clock, text};
use harmless::Purged;
use scrub::Scrub;
use tar::Archive;

/// The folder in the archive.
const FOLDER: &str = "booth-bundle";
/// Longest file with a secret that is read to look for its lines elsewhere.
const LONGEST_SECRET: u64 = 64 << 10;

const README: &str = "\
This is a support bundle of a booth, made by `booth-gateway doctor --bundle`.

about.json      when it was made, by which version, of which booth
findings.json   what the doctor found, as `doctor --json` prints it
status.json     what the running gateway says of itself; without the last key that was pressed
booth.toml      the configuration that the gateway reads, without secrets: (removed) stands for a value that is not shown
journal.txt     the latest lines of the gateway's units
kernel.txt      the latest lines of the kernel
machine.txt     what the kernel says of the machine
network.txt     what it says of the network

It holds no message and nothing that a citizen said or dialled, no receipt, no password, no code, no key and no certificate.
It holds names: of the booth, of its networks and of its broker, and their addresses.
";

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Something of that name is there.
    #[error("{} is there already; name a file that is not, so that nothing is lost", .0.display())]
    IsThere(PathBuf),
    /// It cannot be written.
    #[error("{} cannot be written: {error}; name a file in a folder that you may write, with some megabytes free", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        error: io::Error,
    },
}

/// Looks at everything and writes it into this file, which must not be there; returns what was found.
///
/// # Errors
/// The file cannot be made.
pub fn write(config: &Path, into: &Path) -> Result<Examination, BundleError> {
    let examination = examine(config);
    let unwritable = |error| BundleError::Unwritable {
        path: into.to_owned(),
        error,
    };
    let packed = pack(config, &examination).map_err(unwritable)?;
    match make_private(into, &packed) {
        Ok(()) => Ok(examination),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(BundleError::IsThere(into.to_owned()))
        }
        Err(error) => Err(unwritable(error)),
    }
}

fn pack(path: &Path, examination: &Examination) -> io::Result<Vec<u8>> {
    let now = clock::wall();
    let mut scrub = Scrub::default();
    let configuration = configuration(path, &mut scrub);
    let pretty = |mut value: Value| {
        scrub.value(&mut value);
        format!("{value:#}\n")
    };
    let about = json!({
        "schema": 1,
        "made_at": rfc3339(now),
        "booth_id": examination.booth_id,
        "gateway": examination.gateway,
        "sw_version": env!("CARGO_PKG_VERSION"),
        "sw_commit": option_env!("BOOTH_COMMIT"),
    });
    let files = [
        ("README.txt", README.to_owned()),
        ("about.json", pretty(about)),
        ("findings.json", pretty(examination.to_json())),
        ("status.json", pretty(status(path))),
        ("booth.toml", scrub.text(&configuration)),
        ("journal.txt", scrub.text(&facts::journal())),
        ("kernel.txt", scrub.text(&facts::kernel())),
        ("machine.txt", scrub.text(&facts::machine())),
        ("network.txt", scrub.text(&facts::network())),
    ];
    let mut archive = Archive::new(now.as_second());
    for (name, content) in files {
        archive.add(&format!("{FOLDER}/{name}"), content.as_bytes())?;
    }
    archive.finish()
}

/// What a running gateway says of itself.
fn status(path: &Path) -> Value {
    let socket = match Config::read_unchecked(path) {
        Ok((config, _)) => config.doctor_socket(),
        Err(_) => {
            return json!({ "not_asked": "the configuration that names its socket cannot be read" });
        }
    };
    match gateway::ask(&socket) {
        Ok(mut status) => {
            // A digit is a vote, or a part of a code.
            status.last_key = None;
            json!(status)
        }
        Err((_, why)) => json!({ "not_answered": why }),
    }
}

/// The configuration without its secrets. What was taken out, and what the files with secrets hold, is looked for in the other texts.
fn configuration(path: &Path, scrub: &mut Scrub) -> String {
    let bytes = match read_at_most(path, LONGEST_FILE) {
        Ok(bytes) => bytes,
        Err(error) => return format!("# not read: {}: {error}\n", path.display()),
    };
    let written = match text::text_of(&bytes) {
        Ok(written) => written,
        Err(error) => return format!("# not shown: {}: {error}\n", path.display()),
    };
    let Ok(whole) = written.parse::<toml::Table>() else {
        scrub.add_quoted(&written);
        return "# not shown: it cannot be parsed, so that nobody knows what in it is secret\n"
            .into();
    };
    let purged = Purged::of(&whole);
    purged.removed.iter().for_each(|secret| scrub.add(secret));
    let beside = path.parent().unwrap_or(Path::new("."));
    for name in secret_files(&whole) {
        match read_at_most(&beside.join(name), LONGEST_SECRET) {
            Ok(secret) => scrub.add_lines(&secret),
            // Who writes a password where its file's name belongs, names no file.
            Err(_) if !Path::new(name).is_absolute() => scrub.add(name),
            Err(_) => {}
        }
    }
    toml::to_string(&purged.table).unwrap_or_default()
}

/// The names of the files with secrets that a configuration has anywhere.
fn secret_files(table: &toml::Table) -> Vec<&str> {
    let mut names = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::String(name)
                if ["password_file", "key_file", "pin_file"].contains(&key.as_str()) =>
            {
                names.push(name.as_str());
            }
            toml::Value::Table(inner) => names.extend(secret_files(inner)),
            toml::Value::Array(list) => {
                let tables = list.iter().filter_map(toml::Value::as_table);
                names.extend(tables.flat_map(secret_files));
            }
            _ => {}
        }
    }
    names
}
