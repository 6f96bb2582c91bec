//! What the machine says about itself, from procfs and sysfs.
//!
//! Owns: reading the kernel's own figures. Never does: invent one; a value that this machine does
//! not have, or that makes no sense, is `None` and is left out of health.
#![allow(clippy::disallowed_methods)] // reads procfs and sysfs

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use booth_host::private;
use gateway_core::partition::{self, Partition};
use gateway_core::power::Supply;

/// No file here is longer than this; a longer one is not read.
const LONGEST: u64 = 1 << 20;
/// Temperatures that a silicon sensor can report, °C.
const POSSIBLE_CELSIUS: std::ops::RangeInclusive<f64> = -55.0..=150.0;
/// Signals that a radio can report, dBm; some drivers give a percentage instead.
const POSSIBLE_DBM: std::ops::RangeInclusive<f64> = -120.0..=-1.0;
/// Mount options of a file system that cannot be written. Since Linux 6.13 ext4 stays `rw` after an error and reports it by
/// an option of its own.
const READ_ONLY: [&str; 3] = ["ro", "emergency_ro", "shutdown"];
/// The bit of a watchdog's options and of its status at boot that means "it has reset the machine"
/// (`WDIOF_CARDRESET`, linux/watchdog.h).
const CARD_RESET: u64 = 0x20;

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
    /// Whether the root file system itself is read-only, even where this process has another view of it.
    pub root_ro: Option<bool>,
    /// Signal of the first wireless interface that has one, dBm.
    pub wifi_rssi_dbm: Option<f64>,
    /// Whether any hardware interface has a link.
    pub link_up: Option<bool>,
    /// What this process made the kernel write to storage since its start, ledger included, MB (proc(5), `io`).
    pub written_mb: Option<f64>,
    /// How full the spool's file system is, computed like df(1), per cent.
    pub data_used_pct: Option<f64>,
    /// Errors that ext4 has noted in the superblock of the spool's file system; only e2fsck(8) clears them.
    pub ext4_errors: Option<u64>,
}

/// One mount of /proc/self/mountinfo (proc(5)).
struct Mount {
    point: PathBuf,
    is_read_only: bool,
    is_file_system_read_only: bool,
}

/// Where a machine reports its supply voltage, so that a look costs two short reads and no search.
#[derive(Debug, Clone, Default)]
pub struct SupplyFiles {
    alarm: Option<PathBuf>,
    throttled: Option<PathBuf>,
}

impl SupplyFiles {
    /// One look.
    pub fn look(&self) -> Supply {
        let text = |path: &Option<PathBuf>| path.as_deref().and_then(text);
        Supply {
            alarm: match text(&self.alarm).as_deref() {
                Some("0") => Some(false),
                Some("1") => Some(true),
                _ => None,
            },
            throttled: text(&self.throttled)
                .and_then(|bits| u32::from_str_radix(bits.trim_start_matches("0x"), 16).ok()),
        }
    }
}

/// The machine's own figures. Every path is looked for under one folder, which is `/` except in tests.
#[derive(Debug, Clone)]
pub struct Sensors {
    root: PathBuf,
}

/// Which image a machine runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Image {
    /// SHA-256 of its root file system, hex.
    pub image_id: String,
    /// The gateway's release that the image was built for.
    #[serde(default)]
    pub version: String,
}

impl Default for Sensors {
    fn default() -> Self {
        Self::under("/")
    }
}

impl Sensors {
    /// Sensors whose `/proc` and `/sys` lie in this folder, given from the root on.
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Reads what there is; the spool is at `place`.
    pub fn readings(&self, place: &Path) -> Readings {
        let kib = |kib: u64| round(kib as f64 / 1024.0);
        Readings {
            cpu_temp_c: self.hottest_zone(),
            load1: self
                .first_word("proc/loadavg")
                .and_then(|word| word.parse().ok())
                .filter(|load: &f64| load.is_finite() && *load >= 0.0),
            mem_free_mb: self.number_after("proc/meminfo", "MemAvailable:").map(kib),
            rss_mb: self.number_after("proc/self/status", "VmRSS:").map(kib),
            root_ro: self.root_read_only(),
            wifi_rssi_dbm: self.wifi_signal(),
            link_up: self.link_up(),
            written_mb: self
                .number_after("proc/self/io", "write_bytes:")
                .or_else(private::bytes_written)
                .map(|bytes| round(bytes as f64 / 1e6)),
            data_used_pct: used_pct_at(place),
            ext4_errors: self.ext4_errors(place),
        }
    }

    /// Where this machine reports its supply voltage.
    pub fn supply_files(&self) -> SupplyFiles {
        SupplyFiles {
            alarm: self.voltage_alarm(),
            throttled: self.throttled(),
        }
    }

    /// The alarm of the kernel's driver raspberrypi-hwmon (Documentation/hwmon/raspberrypi-hwmon.rst).
    fn voltage_alarm(&self) -> Option<PathBuf> {
        let chips = self.folder("sys/class/hwmon");
        let chip = chips
            .into_iter()
            .find(|chip| self.text(chip.join("name")).as_deref() == Some("rpi_volt"))?;
        Some(chip.join("in0_lcrit_alarm"))
    }

    /// The firmware's latest answer to the kernel; the folder is `soc` up to the Pi 4 and `soc@…` on the 5.
    fn throttled(&self) -> Option<PathBuf> {
        let socs = self.folder("sys/devices/platform");
        socs.into_iter().find_map(|soc| {
            let name = soc.file_name()?.to_str()?.to_owned();
            let is_soc = name == "soc" || name.starts_with("soc@");
            let file = soc.join(format!("{name}:firmware/get_throttled"));
            (is_soc && file.exists()).then_some(file)
        })
    }

    /// Whether a watchdog's reset was the reason for this boot; `None` where the watchdog's driver cannot know that. The
    /// Raspberry Pi's (bcm2835_wdt) cannot: there the watchdog carries out every reboot.
    pub fn watchdog_reset(&self) -> Option<bool> {
        let hex = |path: PathBuf| {
            let text = self.text(path)?;
            match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => text.parse().ok(),
            }
        };
        let watchdogs = self.folder("sys/class/watchdog");
        let verdicts = watchdogs.into_iter().filter_map(|watchdog| {
            let has_reset = hex(watchdog.join("bootstatus"))? & CARD_RESET != 0;
            let can_know = hex(watchdog.join("options")).is_some_and(|bits| bits & CARD_RESET != 0);
            (has_reset || can_know).then_some(has_reset)
        });
        verdicts.reduce(|one, other| one || other)
    }

    /// Whether this process finds the file system of `place` read-only, as after an error with `errors=remount-ro`.
    pub fn is_read_only(&self, place: &Path) -> Option<bool> {
        let place = fs::canonicalize(place).ok()?;
        let mounts = self.mounts()?;
        // The mount with the longest matching path is the right one; of two mounts at one place the later hides the earlier.
        let mount = mounts
            .iter()
            .filter(|mount| place.starts_with(&mount.point))
            .max_by_key(|mount| mount.point.components().count())?;
        Some(mount.is_read_only)
    }

    /// Model of the machine from the device tree, e.g. `Raspberry Pi 4 Model B Rev 1.5`.
    pub fn hw_model(&self) -> Option<String> {
        self.text("proc/device-tree/model")
    }

    /// Serial number of the board from the device tree.
    pub fn hw_serial(&self) -> Option<String> {
        self.text("proc/device-tree/serial-number")
    }

    /// The CID register of the SD card that `place` (or the nearest folder above it that exists) is on: 32 hex digits that
    /// the maker gave it (SD Physical Layer Specification §5.2). `None` where the file system is on no SD card.
    pub fn card_cid(&self, place: &Path) -> Option<String> {
        let block = self.block_device(place)?;
        // A partition lies in its disk's folder, and the disk in that of its card.
        let cid = block
            .ancestors()
            .take(4)
            .find_map(|folder| self.text(folder.join("device/cid")))?;
        let is_cid = cid.len() == 32 && cid.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_cid.then_some(cid)
    }

    /// `PRETTY_NAME` of os-release(5).
    pub fn os_version(&self) -> Option<String> {
        let release = self.text("etc/os-release")?;
        let line = release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    }

    /// Which image runs, where this machine runs one: what its initrd has put into `/run/booth/image.json`.
    pub fn image(&self) -> Option<Image> {
        let image: Image = serde_json::from_str(&self.text("run/booth/image.json")?).ok()?;
        let is_hash = |id: &str| {
            (8..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        is_hash(&image.image_id).then_some(image)
    }

    /// What the image found of the card's data partition at this boot; `note` is the file of earlier boots' notes.
    pub fn partition(&self, note: &Path) -> Option<Partition> {
        let found = Partition::read(&self.text(partition::TOLD_AT)?)?;
        Some(found.with_note(&text(note).unwrap_or_default()))
    }

    /// Hardware address of the first interface that is up.
    pub fn mac(&self) -> Option<String> {
        self.interfaces()
            .into_iter()
            .find_map(|interface| self.text(interface.join("address")))
    }

    /// The folder of the block device that `place` is on.
    fn block_device(&self, place: &Path) -> Option<PathBuf> {
        let device = place
            .ancestors()
            .find_map(|folder| fs::metadata(folder).ok())?
            .dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let link = format!("sys/dev/block/{major}:{minor}");
        fs::canonicalize(self.root.join(link)).ok()
    }

    fn ext4_errors(&self, place: &Path) -> Option<u64> {
        let block = self.block_device(place)?;
        let name = block.file_name()?;
        let file = Path::new("sys/fs/ext4").join(name).join("errors_count");
        self.text(file)?.parse().ok()
    }

    fn hottest_zone(&self) -> Option<f64> {
        self.folder("sys/class/thermal")
            .into_iter()
            .filter_map(|zone| self.text(zone.join("temp"))?.parse::<f64>().ok())
            .map(|milli| milli / 1000.0)
            .filter(|celsius| POSSIBLE_CELSIUS.contains(celsius))
            .reduce(f64::max)
    }

    fn number_after(&self, path: &str, name: &str) -> Option<u64> {
        let text = self.text(path)?;
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse().ok()
    }

    fn first_word(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        text.split_whitespace().next().map(str::to_owned)
    }

    /// The whole of a short text file, without surrounding blanks and zeros.
    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        text(&self.root.join(path))
    }

    /// What is in a folder, by name.
    fn folder(&self, path: impl AsRef<Path>) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten();
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }

    fn mounts(&self) -> Option<Vec<Mount>> {
        let table = self.text("proc/self/mountinfo")?;
        Some(table.lines().filter_map(mount).collect())
    }

    /// A service in a sandbox sees a root as read-only that can be written (systemd's `ProtectSystem=`); only the file
    /// system's own options say what the root is.
    fn root_read_only(&self) -> Option<bool> {
        let mounts = self.mounts()?;
        let root = mounts
            .iter()
            .rev()
            .find(|mount| mount.point == Path::new("/"))?;
        Some(root.is_file_system_read_only)
    }

    fn wifi_signal(&self) -> Option<f64> {
        let table = self.text("proc/net/wireless")?;
        let level = |line: &str| {
            let word = line.split_whitespace().nth(3)?;
            let level: f64 = word.trim_end_matches('.').parse().ok()?;
            POSSIBLE_DBM.contains(&level).then_some(level)
        };
        table.lines().skip(2).find_map(level)
    }

    /// Folders of the hardware interfaces that have a link.
    fn interfaces(&self) -> Vec<PathBuf> {
        let mut interfaces = self.folder("sys/class/net");
        interfaces.retain(|interface| {
            let is_hardware = interface.join("device").exists();
            is_hardware
                && match self.text(interface.join("operstate")).as_deref() {
                    Some("up") => true,
                    // The drivers of modems and the like report only whether there is a carrier (RFC 2863 §3.1.14).
                    Some("unknown") => self.text(interface.join("carrier")).as_deref() == Some("1"),
                    _ => false,
                }
        });
        interfaces
    }

    fn link_up(&self) -> Option<bool> {
        let knows = self.root.join("sys/class/net").is_dir();
        knows.then(|| !self.interfaces().is_empty())
    }
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    let read = file.take(LONGEST).read_to_string(&mut text).ok()?;
    if read as u64 == LONGEST {
        return None;
    }
    let text = text.trim_matches(['\0', '\n', ' ']);
    (!text.is_empty()).then(|| text.to_owned())
}

/// The address this machine would speak from; no packet is sent (connect(2) on UDP only picks a route).
pub fn ip() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // TEST-NET-1, RFC 5737: never a real host
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn used_pct_at(place: &Path) -> Option<f64> {
    let facts = rustix::fs::statvfs(place).ok()?;
    used_pct(facts.f_blocks, facts.f_bfree, facts.f_bavail)
}

/// As df(1) computes it: the used part of the sum of the used blocks and those this user may still have.
fn used_pct(blocks: u64, free: u64, available: u64) -> Option<f64> {
    let used = blocks.checked_sub(free)? as f64;
    let all = used + available as f64;
    (all > 0.0).then(|| round(used / all * 100.0))
}

fn mount(line: &str) -> Option<Mount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let file_system_options = file_system.split(' ').nth(2)?;
    let is_read_only = |options: &str| options.split(',').any(|option| READ_ONLY.contains(&option));
    Some(Mount {
        point: unescaped(point),
        is_read_only: is_read_only(options) || is_read_only(file_system_options),
        is_file_system_read_only: is_read_only(file_system_options),
    })
}

/// Undoes the three octal digits by which blanks and the like are written (proc(5)).
fn unescaped(field: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match code {
            Some(code) if byte == b'\\' => {
                bytes.push(code);
                rest = &after[3..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
