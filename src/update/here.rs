//! The booth that this process runs on: its slots, its firmware, its gateway.
//!
//! Owns: where everything is on the image, opened as the updater needs it. Never does: decide. Every path is below one
//! folder, `/` on a booth, so that a test can build a booth of files.
#![allow(clippy::disallowed_methods)] // reads procfs, sysfs and the image's own files

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Advice, OFlags, fadvise};

use super::boot::{AutobootFile, LONGEST_AUTOBOOT, OneShot, Slot, Tryboot};
use super::manifest::Image;
use super::slot::Device;
use super::state::Store;
use crate::config::STATE_FOLDER;
use booth_contract::time::Mono;
use booth_spool::real_disk::RealDisk;

/// Made by the initrd if the running slot is not the one that `[all]` names.
const ON_TRIAL: &str = "/run/booth/on-trial";
/// Written by the initrd: the name of the disk that the running slot is on, e.g. `mmcblk0`.
const DISK: &str = "/run/booth/disk";
/// Written by the updater: the boot and when its trial began.
const TRIAL_BEGAN: &str = "/run/booth/trial-began";
/// If the beginning of a trial cannot be noted, it is taken to be this long after the kernel's start at the latest.
const STARTED_BY: Duration = Duration::from_secs(120);
const DIRECT_ALIGNMENT: usize = 4096;

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
    pub fn need_root(&self) -> Result<(), String> {
        if self.is_real() && !rustix::process::geteuid().is_root() {
            return Err(
                "only root can write a slot; on a booth, send the update from the centre".into(),
            );
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
    pub fn restart_cleanly(&self, within: Duration) -> Result<(), String> {
        self.restart_by(&[&["reboot"]], within)
    }

    /// The same, and by force where that does not help.
    pub fn restart(&self, within: Duration) -> Result<(), String> {
        let ways: [&[&str]; 3] = [
            &["reboot"],
            &["reboot", "--force"],
            &["reboot", "--force", "--force"],
        ];
        self.restart_by(&ways, within)
    }

    fn restart_by(&self, ways: &[&[&str]], within: Duration) -> Result<(), String> {
        let systemctl = self.at("/usr/bin/systemctl");
        let mut said = String::new();
        for words in ways {
            match Command::new(&systemctl).args(*words).status() {
                Ok(status) if status.success() => {
                    if !self.is_real() {
                        return Ok(());
                    }
                    // SIGTERM ends this wait.
                    std::thread::sleep(within);
                    said = "the machine was told to restart and did not".into();
                }
                Ok(status) => {
                    said = format!("`systemctl {}` ended with {status}", words.join(" "));
                }
                Err(error) => said = format!("{}: {error}", systemctl.display()),
            }
            log::error!("{said}");
        }
        Err(format!("{said}; switch the booth off and on"))
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
    /// Finds out where this process runs. The error is a sentence with its remedy, for a machine that is no booth or cannot
    /// be updated.
    pub fn find(places: &Places) -> Result<Self, String> {
        let line = places.text("/proc/cmdline").unwrap_or_default();
        let image = places.text("/run/booth/image.json");
        let (Some(letter), Some(disk), Some(image)) =
            (word(&line, "booth.slot"), word(&line, "booth.disk"), image)
        else {
            return Err("this machine does not run a booth's SD image, and only that has a second slot; see docs/updates.md".into());
        };
        places.need_root()?;
        let slot = Slot::of_letter(letter).ok_or_else(|| {
            format!("the kernel was started with booth.slot={letter}; write the card again")
        })?;
        let running = serde_json::from_str(&image).map_err(|error| {
            format!("/run/booth/image.json cannot be understood ({error}); write the card again")
        })?;
        Ok(Self {
            running,
            slot,
            disk: disk.to_owned(),
            tryboot: word(&line, "booth.tryboot").map(|path| places.at(path)),
            places: places.clone(),
        })
    }

    /// Whether there is a place to keep an update's state; a sentence with its remedy if not.
    pub fn takes_updates(&self) -> Result<(), String> {
        let data = self.places.text("/run/booth/data").unwrap_or_default();
        if data.starts_with("none") {
            return Err("this card takes no writes, or has no room for data; use another card with the newest image".into());
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
                return Ok(Box::new(Partition::open(
                    &self.places.at("/dev").join(name),
                )?));
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

    fn write(&self, is_set: bool) -> Result<(), String> {
        let fault = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
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
            return Err("this kernel cannot ask the firmware for it; the image lacks the module booth_tryboot".into());
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
    fn set(&self) -> Result<(), String> {
        self.write(true)
    }

    fn clear(&self) -> Result<(), String> {
        self.write(false)
    }
}

/// A partition, or a file in its place.
struct Partition {
    file: File,
    /// For reads past the page cache; `None` where the file system cannot do that.
    direct: Option<File>,
    bytes: u64,
}

impl Partition {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = |flags: OFlags| i32::try_from(flags.bits()).unwrap_or(0);
        // On a block device O_EXCL refuses a mounted one (open(2)).
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags(OFlags::EXCL))
            .open(path)?;
        let direct = OpenOptions::new()
            .read(true)
            .custom_flags(flags(OFlags::DIRECT))
            .open(path)
            .ok();
        // Seeking to the end gives a block device's length.
        let bytes = io::Seek::seek(&mut &file, io::SeekFrom::End(0))?;
        Ok(Self {
            file,
            direct,
            bytes,
        })
    }
}

impl Device for Partition {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let Some(direct) = &self.direct else {
            // What is durable is dropped from memory, so that the read gets it from the card.
            fadvise(&self.file, 0, None, Advice::DontNeed)?;
            return self.file.read_exact_at(buffer, offset);
        };
        let mut room = vec![0; buffer.len() + DIRECT_ALIGNMENT];
        let from = room.as_ptr().align_offset(DIRECT_ALIGNMENT);
        let aligned = &mut room[from..from + buffer.len()];
        direct.read_exact_at(aligned, offset)?;
        buffer.copy_from_slice(aligned);
        Ok(())
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
            .expect("refused");
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
        assert!(flag.set().expect_err("no way").contains("booth_tryboot"));
        assert!(flag.clear().is_err());
        std::fs::write(at("vcio"), "").expect("written");
        assert_eq!(
            (flag.set(), read("argument").as_deref()),
            (Ok(()), Some("0 tryboot"))
        );
        assert_eq!((flag.clear(), read("argument")), (Ok(()), None));
        assert_eq!(flag.clear(), Ok(()));
        std::fs::write(at("module"), "").expect("written");
        assert_eq!(
            (flag.set(), read("module").as_deref()),
            (Ok(()), Some("1\n"))
        );
        assert_eq!(read("argument"), None);
        flag.named = Some(at("named"));
        assert!(flag.set().is_err(), "a file that is named is never made");
        std::fs::write(at("named"), "").expect("written");
        assert_eq!(
            (flag.clear(), read("named").as_deref()),
            (Ok(()), Some("0\n"))
        );
    }

    #[test]
    fn a_partition_is_read_back_from_where_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("slot");
        std::fs::write(&path, vec![0; 1 << 16]).expect("written");
        let mut partition = Partition::open(&path).expect("open");
        assert_eq!(partition.bytes(), 1 << 16);
        partition.write_at(&[7; 1024], 4096).expect("written");
        partition.flush().expect("flushed");
        let mut back = [0; 1536];
        partition.read_at(&mut back, 4096).expect("read");
        assert!(back[..1024] == [7; 1024] && back[1024..] == [0; 512]);
        assert!(partition.read_at(&mut back, 1 << 16).is_err());
    }
}
