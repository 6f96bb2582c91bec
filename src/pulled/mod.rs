//! `booth-gateway spool`: what lies on a card that was pulled out of its booth, seen on any Linux machine.
//!
//! Owns: what may be named (a device, a partition, an image, a folder), where on it the spool is looked for, and what is said of it: [`device`]
//! reads a card's bytes, [`file_system`] the ext4 on it, [`journal`] what a power cut left in its journal, [`found`] looks for spools and at every clip,
//! [`told`] says what is there, [`export`] copies it out, [`load`] gives each message to whoever sends it, [`hand_over`] takes all of them into another spool, [`beside`] copies those of a booth that runs. What a clip's file is, `booth_spool::inspect` says. Never does: write to what it reads,
//! mount anything, open a sealed body, or need root where the file may be read.

mod beside;
mod device;
mod export;
mod file_system;
mod found;
mod hand_over;
mod journal;
mod load;
mod told;

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

pub use beside::{Own, Running};
pub use export::{ExportError, Exported, Progress, export};
pub use found::{Finding, Found, Spools, Totals, may_be_a_booths_card};
pub use hand_over::{HandOverError, Handed, HandedOver, Hearer, hand_over};
pub use load::{Load, NotRead, Parcel, Slip};
pub(crate) use told::counted;
pub use told::{json, sentences};

/// Why nothing can be said of what was named.
#[derive(Debug, thiserror::Error)]
pub enum PulledError {
    /// There is no such thing.
    #[error(
        "there is no {}: name the card's device (lsblk lists them), one of its partitions, an image of it, or a folder", .0.display()
    )]
    Missing(PathBuf),
    /// This user may not read it.
    #[error(
        "this user may not read {}: run the same line with sudo; nothing on the card is written either way", .0.display()
    )]
    Forbidden(PathBuf),
    /// Neither a file, nor a folder, nor a block device.
    #[error("{} is neither a device nor a file nor a folder with a card's content", .0.display())]
    Strange(PathBuf),
    /// It could not be opened or read at all.
    #[error(
        "{} cannot be read: {source}. Try another reader or another port; if it stays so, send the card to whoever recovers data from cards",
        path.display()
    )]
    Unreadable {
        /// What was named.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// No file system of a booth is on it.
    #[error("{}: {why}", path.display())]
    NoFileSystem {
        /// What was named.
        path: PathBuf,
        /// What lies there instead, and what to do.
        why: device::Instead,
    },
    /// There is an ext4, and it cannot be read.
    #[error(
        "the file system at byte {at} of {} is damaged: {why}. Leave the card as it is: copy it (sudo dd if=CARD of=card.img bs=4M \
         conv=noerror,sync), mend the copy (e2fsck -y on its partition), and name the copy",
        path.display()
    )]
    DamagedFileSystem {
        /// What was named.
        path: PathBuf,
        /// Where the file system begins.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// There is no spool.
    #[error(
        "no booth's spool is on {}: it was looked for as `spool`, `booth-gateway/spool`, `var/lib/booth-gateway/spool` and below every \
         folder near the top. If [spool] dir lies elsewhere, name that folder", .0.display()
    )]
    NoSpool(PathBuf),
    /// It is an export, not a card.
    #[error("{} is an export already: booth-hub import takes it in", .0.display())]
    Export(PathBuf),
}

impl PulledError {
    /// Whether what cannot be read is a booth's card, and not something else that was plugged in.
    pub(crate) fn is_of_a_booths_card(&self) -> bool {
        match self {
            // The gateway may read every disk of a reader: what it may not read is not as it should be.
            Self::DamagedFileSystem { .. } | Self::Forbidden(_) => true,
            // A reader without a card in it.
            Self::Unreadable { source, .. } => {
                source.raw_os_error() != Some(Errno::NOMEDIUM.raw_os_error())
            }
            Self::Missing(_)
            | Self::Strange(_)
            | Self::NoFileSystem { .. }
            | Self::NoSpool(_)
            | Self::Export(_) => false,
        }
    }

    fn opening(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::PermissionDenied => Self::Forbidden(path),
            _ => Self::Unreadable { path, source },
        }
    }
}

/// Whether a file or folder would lie in the folder that is read.
pub(crate) fn lies_in(read: &Path, written: &Path) -> bool {
    match (read.canonicalize(), std::path::absolute(written)) {
        (Ok(read), Ok(written)) => written.starts_with(read),
        _ => false,
    }
}

/// Looks at every spool on what is named; `proves` computes every body's hash, too. `tell` hears how many bytes of how many were looked at.
///
/// # Errors
/// See [`PulledError`]. A file that is not whole is no error.
pub fn look(
    named: &Path,
    proves: bool,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Spools, PulledError> {
    found::open(named)?.look(proves, tell)
}
