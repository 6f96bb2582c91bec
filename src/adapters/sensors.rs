//! What the machine says about itself, from procfs and sysfs.
//!
//! Owns: reading the kernel's own figures. Never does: invent one; a value that this machine does
//! not have is `None` and is left out of health.
#![allow(clippy::disallowed_methods)] // reads procfs and sysfs

use std::fs;
use std::path::Path;

/// One reading of everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings {
    /// Hottest thermal zone, °C.
    pub cpu_temp_c: Option<f64>,
    /// Load average over one minute.
    pub load1: Option<f64>,
    /// Available memory, MiB.
    pub mem_free_mb: Option<f64>,
    /// Resident memory of this process, MiB.
    pub rss_mb: Option<f64>,
    /// 1 while the firmware throttles (bits 0–3 of `get_throttled`).
    pub throttled_now: Option<bool>,
    /// 1 if it did since boot (bits 16–19).
    pub throttled_since_boot: Option<bool>,
    /// Whether the root file system is mounted read-only.
    pub root_ro: Option<bool>,
    /// Signal of the first wireless interface, dBm.
    pub wifi_rssi_dbm: Option<f64>,
    /// Whether any interface but loopback is up.
    pub link_up: Option<bool>,
    /// What this process made the kernel write to storage since its start, ledger included, MB (proc(5), `io`).
    pub written_mb: Option<f64>,
}

/// Reads what there is.
pub fn read() -> Readings {
    let throttled = number_in("/sys/devices/platform/soc/soc:firmware/get_throttled", 16);
    Readings {
        cpu_temp_c: hottest_zone(),
        load1: first_word("/proc/loadavg").and_then(|word| word.parse().ok()),
        mem_free_mb: number_after("/proc/meminfo", "MemAvailable:").map(|kib| round(kib / 1024.0)),
        rss_mb: number_after("/proc/self/status", "VmRSS:").map(|kib| round(kib / 1024.0)),
        throttled_now: throttled.map(|bits| bits & 0xf != 0),
        throttled_since_boot: throttled.map(|bits| bits & 0xf_0000 != 0),
        root_ro: root_read_only(),
        wifi_rssi_dbm: wifi_signal(),
        link_up: link_up(),
        written_mb: number_after("/proc/self/io", "write_bytes:").map(|bytes| round(bytes / 1e6)),
    }
}

/// Model of the machine from the device tree, e.g. `Raspberry Pi 4 Model B Rev 1.5`.
pub fn hw_model() -> Option<String> {
    text("/proc/device-tree/model")
}

/// Serial number of the board from the device tree.
pub fn hw_serial() -> Option<String> {
    text("/proc/device-tree/serial-number")
}

/// The CID register of the SD card that `place` (or the nearest folder above it that exists) is on: 32 hex digits that
/// the maker gave it (SD Physical Layer Specification §5.2). `None` where the file system is on no SD card.
pub fn card_cid(place: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let device = place
        .ancestors()
        .find_map(|folder| fs::metadata(folder).ok())?
        .dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let block = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    // A partition lies in its disk's folder, and the disk in that of its card.
    let cid = block
        .ancestors()
        .take(4)
        .find_map(|folder| text(folder.join("device/cid").to_str()?))?;
    let is_cid = cid.len() == 32 && cid.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_cid.then_some(cid)
}

/// `PRETTY_NAME` of os-release(5).
pub fn os_version() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let line = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

/// Hardware address of the first interface that is up.
pub fn mac() -> Option<String> {
    interfaces()
        .into_iter()
        .find_map(|name| text(&format!("/sys/class/net/{name}/address")))
}

/// The address this machine would speak from; no packet is sent (connect(2) on UDP only picks a route).
pub fn ip() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // TEST-NET-1, RFC 5737: never a real host
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn hottest_zone() -> Option<f64> {
    let zones = fs::read_dir("/sys/class/thermal").ok()?;
    zones
        .flatten()
        .filter_map(|zone| fs::read_to_string(zone.path().join("temp")).ok())
        .filter_map(|milli| milli.trim().parse::<f64>().ok())
        .map(|milli| milli / 1000.0)
        .reduce(f64::max)
}

fn number_after(path: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn first_word(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()?
        .split_whitespace()
        .next()
        .map(str::to_owned)
}

fn number_in(path: &str, radix: u32) -> Option<u64> {
    let word = first_word(path)?;
    u64::from_str_radix(word.trim_start_matches("0x"), radix).ok()
}

fn text(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim_matches(['\0', '\n', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

fn root_read_only() -> Option<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let root = mounts
        .lines()
        .rev()
        .find(|line| line.split(' ').nth(1) == Some("/"))?;
    Some(
        root.split(' ')
            .nth(3)?
            .split(',')
            .any(|option| option == "ro"),
    )
}

fn wifi_signal() -> Option<f64> {
    let table = fs::read_to_string("/proc/net/wireless").ok()?;
    let line = table.lines().nth(2)?;
    line.split_whitespace()
        .nth(3)?
        .trim_end_matches('.')
        .parse()
        .ok()
}

fn interfaces() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            name != "lo"
                && Path::new("/sys/class/net")
                    .join(name)
                    .join("device")
                    .exists()
        })
        .filter(|name| text(&format!("/sys/class/net/{name}/operstate")).as_deref() == Some("up"))
        .collect();
    names.sort();
    names
}

fn link_up() -> Option<bool> {
    Path::new("/sys/class/net")
        .exists()
        .then(|| !interfaces().is_empty())
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_knows_its_memory_and_leaves_out_what_it_has_not() {
        let readings = read();
        assert!(readings.rss_mb.is_some_and(|mb| mb > 0.5));
        assert!(readings.mem_free_mb.is_some_and(|mb| mb > 1.0));
        assert_eq!(number_in("/no/such/file", 16), None);
    }
}
