//! What the kernel and the network say of this machine, and the journal's latest lines.
//!
//! Owns: which files and which units are read. Never does: change anything, or wait for a program without end.
#![allow(clippy::disallowed_methods)] // lists procfs and sysfs

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::adapters::sensors::{self, Sensors};
use booth_host::plain_file::read_at_most;

/// What is read of one file of the kernel, bytes.
const MOST_OF_A_FILE: u64 = 64 << 10;
/// What is kept of the journal's output, bytes; the latest lines count.
const MOST_OF_THE_JOURNAL: usize = 1 << 20;
/// How long journalctl may take, seconds.
const PATIENCE_S: &str = "20";

/// Files that say what the machine is and how it is.
const MACHINE: &[&str] = &[
    "/proc/version",
    "/etc/os-release",
    "/proc/cmdline",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/self/mounts",
    "/proc/partitions",
    "/proc/asound/cards",
    "/proc/asound/pcm",
    "/sys/kernel/debug/gpio",
];
/// Files that say how the network is.
const NETWORK: &[&str] = &[
    "/proc/net/dev",
    "/proc/net/route",
    "/proc/net/if_inet6",
    "/proc/net/wireless",
    "/etc/resolv.conf",
];
/// What sysfs says of each interface.
const OF_AN_INTERFACE: &[&str] = &[
    "operstate",
    "carrier",
    "carrier_changes",
    "mtu",
    "speed",
    "address",
];
/// The units whose lines are taken (systemd/).
const UNITS: &[&str] = &[
    "booth-gateway",
    "booth-provision",
    "booth-update",
    "booth-trial",
    "booth-restart",
    "booth-stick",
    "booth-status",
    "booth-console",
    "booth-wifi-country",
    "booth-new-version",
];

/// The facts of the machine.
pub(super) fn machine() -> String {
    let sensors = Sensors::default();
    let known = [
        ("model", sensors.hw_model()),
        ("system", sensors.os_version()),
        ("address", sensors::ip()),
        (
            "image",
            sensors
                .image()
                .map(|image| format!("{} {}", image.version, image.image_id)),
        ),
    ];
    let mut text = String::new();
    for (what, value) in known {
        let _ = writeln!(text, "{what}: {}", value.as_deref().unwrap_or("not known"));
    }
    text + &files(MACHINE)
}

/// The facts of the network.
pub(super) fn network() -> String {
    let mut text = String::new();
    let mut names: Vec<_> = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    for name in names {
        let _ = writeln!(text, "interface {}", name.to_string_lossy());
        for fact in OF_AN_INTERFACE {
            let path = Path::new("/sys/class/net").join(&name).join(fact);
            if let Ok(said) = read_at_most(&path, MOST_OF_A_FILE) {
                let _ = writeln!(text, "  {fact}: {}", String::from_utf8_lossy(&said).trim());
            }
        }
    }
    text + &files(NETWORK)
}

/// These files one below the other; one that cannot be read says why.
fn files(names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        let _ = writeln!(text, "\n== {name}");
        match read_at_most(Path::new(name), MOST_OF_A_FILE) {
            Ok(bytes) => text += &String::from_utf8_lossy(&bytes),
            Err(error) => {
                let _ = writeln!(text, "not read: {error}");
            }
        }
    }
    text
}

/// The latest lines of our units.
pub(super) fn journal() -> String {
    let units: Vec<String> = UNITS.iter().map(|unit| format!("--unit={unit}")).collect();
    let mut words = vec!["--lines=2000"];
    words.extend(units.iter().map(String::as_str));
    journalctl(&words)
}

/// The latest lines of the kernel.
pub(super) fn kernel() -> String {
    journalctl(&["--dmesg", "--lines=500"])
}

/// What journalctl prints, or why it printed nothing. It is ended after a while: a broken journal may make it search for hours.
fn journalctl(words: &[&str]) -> String {
    let output = Command::new("timeout")
        .args([
            PATIENCE_S,
            "journalctl",
            "--no-pager",
            "--output=short-iso-precise",
        ])
        .args(words)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return format!("not read: timeout cannot be started: {error}\n"),
    };
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.len() > MOST_OF_THE_JOURNAL {
        let from = text.len() - MOST_OF_THE_JOURNAL;
        let line = text.bytes().skip(from).position(|byte| byte == b'\n');
        text.drain(..from + line.map_or(0, |line| line + 1));
    }
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let _ = writeln!(
            text,
            "not read to its end: journalctl: {}: {}",
            output.status,
            said.trim()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why_and_the_rest_is_there() {
        let text = files(&["/proc/version", "/no/such/file"]);
        assert!(text.contains("Linux version"), "{text}");
        assert!(text.contains("== /no/such/file\nnot read: "), "{text}");
    }

    #[test]
    fn each_of_the_booths_units_is_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_hubs = name.starts_with("booth-hub");
            if let Some(unit) = name.strip_suffix(".service").filter(|_| !is_hubs) {
                assert!(UNITS.contains(&unit), "{unit} is not read");
            }
        }
    }
}
