//! A Mosquitto for a city, as docs/mosquitto.acl describes it: those access rules, the settings that their head names, and a
//! password of its own for each role.
//!
//! Owns: the files in the broker's folder, and the command that starts it there. Never does: start it. Only the listener differs
//! from a city's: it is on loopback and without TLS, as for a demonstration, a test, or a pilot on one machine.
#![allow(clippy::disallowed_methods)] // writes the files, and starts the program that hashes passwords

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The access rules as they are shipped.
pub const RULES: &str = include_str!("../../../docs/mosquitto.acl");

/// The settings that the head of the access rules names: keys and values, in their order.
pub fn settings(rules: &str) -> Vec<(&str, &str)> {
    rules
        .lines()
        .skip_while(|line| !line.starts_with("# In mosquitto.conf"))
        .skip(1)
        .map_while(|line| line.strip_prefix("#   "))
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            let value = value.split(" #").next().unwrap_or_default().trim();
            (!value.is_empty()).then_some((key, value))
        })
        .collect()
}

/// The text of a mosquitto.conf with these settings; the listener is one of loopback, without TLS. A broker that root starts stays
/// root: any other user could not read files of root's in a folder of root's.
pub fn configuration(settings: &[(&str, &str)], port: u16, is_root: bool) -> String {
    let mut lines = vec!["log_dest stderr".to_owned(), "persistence false".to_owned()];
    if is_root {
        lines.push("user root".to_owned());
    }
    for (key, value) in settings {
        match *key {
            "listener" => lines.push(format!("listener {port} 127.0.0.1")),
            "cafile" | "certfile" | "keyfile" => {}
            _ => lines.push(format!("{key} {value}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The same for a broker that is started anywhere, by anybody, and keeps what it has to repeat: its files lie in this folder.
pub fn lasting_configuration(settings: &[(&str, &str)], port: u16, folder: &Path) -> String {
    let is_root = rustix::process::geteuid().is_root();
    let text = configuration(settings, port, is_root);
    let folder = folder.display();
    let line = |line: &str| match line.split_once(' ') {
        Some(("persistence", _)) => {
            format!("persistence true\npersistence_location {folder}/\nautosave_interval 30")
        }
        Some((key @ ("password_file" | "acl_file"), name)) => format!("{key} {folder}/{name}"),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join("\n") + "\n"
}

/// Writes what the broker reads into its folder: configuration, access rules, and hashed passwords of these users.
pub fn write_files(folder: &Path, port: u16, users: &[(&str, &str)]) -> Result<(), String> {
    let is_root = rustix::process::geteuid().is_root();
    let config = configuration(&settings(RULES), port, is_root);
    write_with(folder, &config, users)
}

/// The same for a broker that is started anywhere and keeps what it has to repeat.
pub fn write_lasting_files(folder: &Path, port: u16, users: &[(&str, &str)]) -> Result<(), String> {
    let config = lasting_configuration(&settings(RULES), port, folder);
    write_with(folder, &config, users)
}

fn write_with(folder: &Path, config: &str, users: &[(&str, &str)]) -> Result<(), String> {
    let settings = settings(RULES);
    let named = |key: &str| {
        let found = settings.iter().find(|(named, _)| *named == key);
        found
            .map(|(_, name)| *name)
            .ok_or_else(|| format!("the head of docs/mosquitto.acl names no {key}"))
    };
    let passwords = named("password_file")?;
    let plain: String = users
        .iter()
        .map(|(user, password)| format!("{user}:{password}\n"))
        .collect();
    for (name, text) in [
        ("mosquitto.conf", config),
        (named("acl_file")?, RULES),
        (passwords, &plain),
    ] {
        write_private(&folder.join(name), text)?;
    }
    // The file's words, and not its arguments, which every user of the machine can read.
    let output = program("mosquitto_passwd")
        .args(["-U", passwords])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!("mosquitto_passwd does not start: {error}; it is in Debian's package mosquitto")
        })?;
    let hashed = std::fs::read_to_string(folder.join(passwords)).unwrap_or_default();
    if output.status.success()
        && users
            .iter()
            .all(|(user, _)| hashed.contains(&format!("{user}:$")))
    {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!(
        "mosquitto_passwd has not hashed the passwords ({}): {said}",
        output.status
    ))
}

/// The broker as it is started in that folder.
pub fn broker(folder: &Path) -> Command {
    let mut command = program("mosquitto");
    command.args(["-c", "mosquitto.conf"]).current_dir(folder);
    command
}

/// A program of Mosquitto's; Debian has the broker where the PATH of an ordinary user does not look.
fn program(name: &str) -> Command {
    let beside = PathBuf::from("/usr/sbin").join(name);
    if beside.is_file() {
        Command::new(beside)
    } else {
        Command::new(name)
    }
}

/// Writes a file for one pair of eyes: Mosquitto warns of files that others can read, and says that later versions refuse them.
pub fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}
