//! The booth that this process runs on: its slots, its firmware, its gateway.
//!
//! Owns: where everything is on the image, opened as the updater needs it. Never does: decide. Every path is below one
//! folder, `/` on a booth, so that a test can build a booth of files.
#![allow(clippy::disallowed_methods)] // reads procfs, sysfs and the image's own files

mod partition;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use super::boot::{AutobootFile, FlagError, LONGEST_AUTOBOOT, OneShot, Slot, Tryboot};
use super::manifest::Image;
use super::slot::Device;
use super::state::Store;
use crate::config::STATE_FOLDER;
use booth_contract::time::Mono;
use booth_spool::real_disk::RealDisk;
use partition::Partition;

/// Made by the initrd if the running slot is not the one that `[all]` names.
const ON_TRIAL: &str = "/run/booth/on-trial";
/// Written by the initrd: the name of the disk that the running slot is on, e.g. `mmcblk0`.
const DISK: &str = "/run/booth/disk";
/// Written by the updater: the boot and when its trial began.
const TRIAL_BEGAN: &str = "/run/booth/trial-began";
/// If the beginning of a trial cannot be noted, it is taken to be this long after the kernel's start at the latest.
const STARTED_BY: Duration = Duration::from_secs(120);

/// Why this process cannot update a booth here.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the sentences say it
pub enum HereError {
    #[error("only root can write a slot; on a booth, send the update from the centre")]
    NotRoot,
    #[error(
        "this machine does not run a booth's SD image, and only that has a second slot; see docs/updates.md"
    )]
    NoBooth,
    #[error("the kernel was started with booth.slot={0}; write the card again")]
    Slot(String),
    #[error("/run/booth/image.json cannot be understood ({0}); write the card again")]
    Image(#[source] serde_json::Error),
    #[error(
        "this card takes no writes, or has no room for data; use another card with the newest image"
    )]
    NoData,
}

/// A machine that does not restart, after everything that was tried.
#[derive(Debug, thiserror::Error)]
#[error("{0}; switch the booth off and on")]
pub struct RestartError(#[source] NotRestarted);

/// What became of one way to restart.
#[derive(Debug, thiserror::Error)]
enum NotRestarted {
    #[error("the machine was told to restart and did not")]
    Ignored,
    #[error("`systemctl {words}` ended with {status}")]
    Refused { words: String, status: ExitStatus },
    #[error("{}: {error}", path.display())]
    NotRun {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// The places of a booth's files.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
}

impl Places {
    /// The places below this folder; `/` on a booth.
    pub fn below(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The place of a file, named by its path on a booth.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether the files are this machine's.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The folder with the state, for reading only.
    pub fn store(&self) -> Store {
        Store {
            disk: Arc::new(RealDisk::shared()),
            folder: self.at(STATE_FOLDER),
        }
    }

    /// The kernel's id of this boot.
    pub fn boot_id(&self) -> String {
        let text = self.text("/proc/sys/kernel/random/boot_id");
        text.unwrap_or_default().trim().to_owned()
    }

    /// Whether the initrd has started a slot that `[all]` does not name.
    pub fn is_marked_on_trial(&self) -> bool {
        self.at(ON_TRIAL).exists()
    }

    /// An error unless this process is root: only root may write slots and restart the machine.
    pub fn need_root(&self) -> Result<(), HereError> {
        if self.is_real() && !rustix::process::geteuid().is_root() {
            return Err(HereError::NotRoot);
        }
        Ok(())
    }

    /// When the trial of this boot began on the boot-time clock: the same for every process that asks, even if the one
    /// before it has died.
    pub fn trial_began(&self, now: Mono) -> Mono {
        let (place, boot_id) = (self.at(TRIAL_BEGAN), self.boot_id());
        let noted = std::fs::read_to_string(&place).ok().and_then(|text| {
            let (boot, began) = text.trim().split_once(' ')?;
            (boot == boot_id).then_some(Mono(began.parse().ok()?))
        });
        if let Some(began) = noted {
            return began.min(now);
        }
        match std::fs::write(&place, format!("{boot_id} {}\n", now.0)) {
            Ok(()) => now,
            // The kernel's start needs no note.
            Err(_) => now.min(Mono(0) + STARTED_BY),
        }
    }

    /// Restarts the machine through the service manager, so that everything is stopped cleanly. An error if that has not
    /// happened within `within`; off a booth the request alone counts as success.
    pub fn restart_cleanly(&self, within: Duration) -> Result<(), RestartError> {
        let done = self.restart_by(&["reboot"], within);
        done.map_err(RestartError)
    }

    /// The same, and by force where that does not help.
    pub fn restart(&self, within: Duration) -> Result<(), RestartError> {
        let force = "--force";
        self.restart_by(&["reboot"], within)
            .or_else(|_| self.restart_by(&["reboot", force], within))
            .or_else(|_| self.restart_by(&["reboot", force, force], within))
            .map_err(RestartError)
    }

    fn restart_by(&self, words: &[&str], within: Duration) -> Result<(), NotRestarted> {
        let path = self.at("/usr/bin/systemctl");
        let failed = match Command::new(&path).args(words).status() {
            Ok(status) if status.success() => {
                if !self.is_real() {
                    return Ok(());
                }
                // SIGTERM ends this wait.
                std::thread::sleep(within);
                NotRestarted::Ignored
            }
            Ok(status) => NotRestarted::Refused {
                words: words.join(" "),
                status,
            },
            Err(error) => NotRestarted::NotRun { path, error },
        };
        log::error!("{failed}");
        Err(failed)
    }

    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.at(path)).ok()
    }
}

/// The booth's image, as it was found.
pub struct Booth {
    places: Places,
    /// The image that runs.
    pub running: Image,
    /// The slot that it runs in.
    pub slot: Slot,
    disk: String,
    tryboot: Option<PathBuf>,
}

/// The value of a word `name=value` on the kernel's command line.
fn word<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let words = line.split_whitespace();
    words
        .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .next_back()
}

impl Booth {
    /// Finds out where this process runs; an error for a machine that is no booth or cannot be updated.
    pub fn find(places: &Places) -> Result<Self, HereError> {
        let line = places.text("/proc/cmdline").unwrap_or_default();
        let image = places.text("/run/booth/image.json");
        let (Some(letter), Some(disk), Some(image)) =
            (word(&line, "booth.slot"), word(&line, "booth.disk"), image)
        else {
            return Err(HereError::NoBooth);
        };
        places.need_root()?;
        let slot = Slot::of_letter(letter).ok_or_else(|| HereError::Slot(letter.to_owned()))?;
        let running = serde_json::from_str(&image).map_err(HereError::Image)?;
        Ok(Self {
            running,
            slot,
            disk: disk.to_owned(),
            tryboot: word(&line, "booth.tryboot").map(|path| places.at(path)),
            places: places.clone(),
        })
    }

    /// Whether there is a place to keep an update's state.
    pub fn takes_updates(&self) -> Result<(), HereError> {
        let data = self.places.text("/run/booth/data").unwrap_or_default();
        if data.starts_with("none") {
            return Err(HereError::NoData);
        }
        Ok(())
    }

    /// The firmware of this booth.
    pub fn firmware(&self) -> Tryboot<OnBooth, Flag> {
        Tryboot {
            file: OnBooth(self.places.at("/boot/booth/autoboot.txt")),
            flag: Flag {
                named: self.tryboot.clone(),
                module: self.places.at("/sys/firmware/booth_tryboot/reboot_flags"),
                own_kernel: self.places.at("/dev/vcio"),
                argument: self.places.at("/run/systemd/reboot-param"),
            },
            running: self.slot,
        }
    }

    /// Opens a slot's partition, which must not be mounted.
    pub fn open_slot(&self, slot: Slot) -> io::Result<Box<dyn Device>> {
        assert_ne!(slot, self.slot, "the running slot is never written");
        Ok(Box::new(Partition::open(&self.partition(slot)?)?))
    }

    /// Opens the partition of the slot that runs, for reading alone.
    pub fn open_running_slot(&self) -> io::Result<Box<dyn Device>> {
        let path = self.partition(self.slot)?;
        Ok(Box::new(Partition::open_for_reading(&path)?))
    }

    /// Where a slot's partition is.
    fn partition(&self, slot: Slot) -> io::Result<PathBuf> {
        let wanted = format!("PARTUUID={}-{:02}", self.disk, slot.partition());
        // A USB stick with a copy of the card has the same PARTUUIDs; the initrd knows from which disk it was started.
        let disk = self.places.text(DISK).unwrap_or_default();
        let is_foreign = |path: &Path| {
            let real = std::fs::canonicalize(path).unwrap_or_default();
            let parent = real.parent().and_then(Path::file_name);
            !disk.trim().is_empty() && parent != Some(disk.trim().as_ref())
        };
        for entry in std::fs::read_dir(self.places.at("/sys/class/block"))?.flatten() {
            if is_foreign(&entry.path()) {
                continue;
            }
            let facts = std::fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
            let value = |key: &str| facts.lines().find_map(|line| line.strip_prefix(key));
            if facts.lines().any(|line| line == wanted)
                && let Some(name) = value("DEVNAME=")
            {
                return Ok(self.places.at("/dev").join(name));
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            match disk.trim() {
                "" => format!("no partition has {wanted}"),
                disk => format!("no partition of {disk} has {wanted}"),
            },
        ))
    }
}

/// `autoboot.txt` on the card's FAT partition.
pub struct OnBooth(PathBuf);

impl AutobootFile for OnBooth {
    fn read(&self) -> io::Result<Vec<u8>> {
        use std::io::Read;
        let mut bytes = Vec::new();
        let most = LONGEST_AUTOBOOT as u64 + 1;
        File::open(&self.0)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rewrite(&self, bytes: &[u8]) -> io::Result<()> {
        // The file is overwritten in place with the same length: the firmware must find it in the same cluster at any
        // moment.
        let file = OpenOptions::new().write(true).open(&self.0)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    }
}

/// The one-shot flag, set by the means that this kernel offers.
pub struct Flag {
    named: Option<PathBuf>,
    module: PathBuf,
    own_kernel: PathBuf,
    argument: PathBuf,
}

/// The argument that Raspberry Pi's own kernel gets with the restart.
const ARGUMENT: &str = "0 tryboot";

impl Flag {
    /// Whether the flag can be set already: modules are still loaded while the machine starts.
    pub fn is_there(&self) -> bool {
        self.file().unwrap_or(&self.own_kernel).exists()
    }

    /// The file that takes the flag; `None` means the argument of Raspberry Pi's own kernel.
    fn file(&self) -> Option<&PathBuf> {
        let module = self.module.exists().then_some(&self.module);
        self.named.as_ref().or(module)
    }

    fn write(&self, is_set: bool) -> Result<(), FlagError> {
        let fault = |path: &Path, error: io::Error| FlagError::File {
            path: path.to_owned(),
            error,
        };
        if let Some(flag) = self.file() {
            let value = if is_set { "1\n" } else { "0\n" };
            let mut file = OpenOptions::new()
                .write(true)
                .open(flag)
                .map_err(|error| fault(flag, error))?;
            return io::Write::write_all(&mut file, value.as_bytes())
                .map_err(|error| fault(flag, error));
        }
        if !self.own_kernel.exists() {
            return Err(FlagError::NoMeans);
        }
        let done = match is_set {
            true => std::fs::write(&self.argument, ARGUMENT),
            false => std::fs::remove_file(&self.argument),
        };
        match done {
            Err(error) if is_set || error.kind() != io::ErrorKind::NotFound => {
                Err(fault(&self.argument, error))
            }
            _ => Ok(()),
        }
    }
}

impl OneShot for Flag {
    fn set(&self) -> Result<(), FlagError> {
        self.write(true)
    }

    fn clear(&self) -> Result<(), FlagError> {
        self.write(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_command_line_counts() {
        let line = "quiet booth.slot=a xbooth.slot=c booth.slot=b booth.disk=4b1b00f5\n";
        assert_eq!(word(line, "booth.slot"), Some("b"));
        assert_eq!(word(line, "booth.disk"), Some("4b1b00f5"));
        assert_eq!(word(line, "booth.tryboot"), None);
    }

    #[test]
    fn a_machine_that_is_no_booth_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let said = Booth::find(&Places::below(folder.path()))
            .err()
            .expect("refused")
            .to_string();
        assert!(said.contains("does not run a booth's SD image"), "{said}");
    }

    #[test]
    fn the_flag_takes_the_way_that_this_kernel_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let mut flag = Flag {
            named: None,
            module: at("module"),
            own_kernel: at("vcio"),
            argument: at("argument"),
        };
        let read = |name: &str| std::fs::read_to_string(at(name)).ok();
        let said = flag.set().expect_err("no way").to_string();
        assert!(said.contains("booth_tryboot"));
        assert!(flag.clear().is_err());
        std::fs::write(at("vcio"), "").expect("written");
        assert_eq!(
            (flag.set().is_ok(), read("argument").as_deref()),
            (true, Some("0 tryboot"))
        );
        assert_eq!((flag.clear().is_ok(), read("argument")), (true, None));
        assert!(flag.clear().is_ok());
        std::fs::write(at("module"), "").expect("written");
        assert_eq!(
            (flag.set().is_ok(), read("module").as_deref()),
            (true, Some("1\n"))
        );
        assert_eq!(read("argument"), None);
        flag.named = Some(at("named"));
        assert!(flag.set().is_err(), "a file that is named is never made");
        std::fs::write(at("named"), "").expect("written");
        assert_eq!(
            (flag.clear().is_ok(), read("named").as_deref()),
            (true, Some("0\n"))
        );
    }
}
