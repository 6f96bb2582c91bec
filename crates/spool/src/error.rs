//! What can go wrong with the spool, in sentences an operator can act on.

use booth_contract::ClipId;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why the spool takes no further message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `[spool] max_bytes` is reached.
    Full,
    /// The file system has less than `[spool] reserve_bytes` free.
    Reserve,
    /// The card refuses to be written.
    Unwritable,
    /// The card does not give a clip file back, which may hold the number that comes next.
    Unread,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Full => "the spool holds as much as [spool] max_bytes allows",
            Refusal::Reserve => "the file system has less free than [spool] reserve_bytes asks for",
            Refusal::Unwritable => "the card refuses to be written",
            Refusal::Unread => {
                "the card does not give a clip file back, which may hold the next clip number; it is tried again"
            }
        })
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process holds the lock.
    #[error(
        "another gateway is already using the spool at {dir}; stop it, or give this one its own [spool] dir"
    )]
    InUse {
        /// The spool.
        dir: PathBuf,
    },
    /// The file system is mounted read-only.
    #[error(
        "the spool at {path} is on a read-only file system ({doing}); remount it read-write or replace the card"
    )]
    ReadOnly {
        /// What was to be written.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
    },
    /// The file system is full.
    #[error("the file system of the spool is full ({doing} {path}); free some room on it")]
    FullDisk {
        /// What was to be written.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
    },
    /// Any other failure of the disk.
    #[error("the spool failed at {doing} {path}: {source}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The spool is not open.
    #[error("the spool is not open: the card is closed for a technician, or cannot be opened")]
    NotOpen,
    /// A clip stays in quarantine although it may leave.
    #[error("clip {clip_id} cannot be let out of quarantine now: {why}")]
    NotNow {
        /// The clip.
        clip_id: ClipId,
        /// The cause.
        why: String,
    },
    /// Only a clip in quarantine is given up.
    #[error("clip {clip_id} is not in quarantine; only what waits there can be given up")]
    NotInQuarantine {
        /// The clip.
        clip_id: ClipId,
    },
    /// As many withdrawals wait as a card takes.
    #[error(
        "no withdrawal can be taken: as many wait for the hub as a card takes; let the booth reach its hub"
    )]
    TooManyWithdrawals,
    /// No take may begin.
    #[error("no message can be taken: {0}")]
    Refused(Refusal),
    /// The take's last words are not durable yet. What is on the card stays, and is finished as soon as the card takes writes again.
    #[error(
        "clip {clip_id} could not be written to the card and is kept unfinished until that works: {why}"
    )]
    NotDurable {
        /// The take.
        clip_id: ClipId,
        /// The cause.
        why: String,
    },
    /// The facts or bytes of a take are not what the format allows.
    #[error("clip {clip_id} cannot be written: {why}")]
    BadTake {
        /// The take.
        clip_id: ClipId,
        /// What is wrong.
        why: &'static str,
    },
    /// The take had no audio, so there is nothing to keep.
    #[error("clip {clip_id} has no audio; nothing is kept of it")]
    NothingSaid {
        /// The take.
        clip_id: ClipId,
    },
    /// No clip of this id is on the card.
    #[error("there is no clip {clip_id} on this card")]
    UnknownClip {
        /// The id asked for.
        clip_id: ClipId,
    },
    /// A receipt for other bytes than those on the card.
    #[error(
        "the receipt for clip {clip_id} is for another hash than the clip on the card has; nothing was deleted"
    )]
    WrongReceipt {
        /// The clip.
        clip_id: ClipId,
    },
    /// The file is not what was written.
    #[error("clip {clip_id} is damaged on the card: {why}")]
    Damaged {
        /// The clip.
        clip_id: ClipId,
        /// What is wrong.
        why: String,
    },
}

impl SpoolError {
    /// A failure of the disk at `doing` something with `path`.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, doing },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::FullDisk { path, doing }
            }
            _ => Self::Io {
                path,
                doing,
                source,
            },
        }
    }

    /// Whether the card failed to give something back. That says nothing about its content, which may be readable later.
    pub(crate) fn is_of_reading(&self) -> bool {
        matches!(self, Self::Io { doing, source, .. }
            if ["reading", "opening"].contains(doing) && source.kind() != io::ErrorKind::NotFound)
    }

    /// Whether the error means that the file is not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// Whether the whole card fails and not just this file: other files then fail in the same way.
    pub(crate) fn is_of_the_whole_card(&self) -> bool {
        matches!(self, Self::ReadOnly { .. } | Self::FullDisk { .. })
    }
}

/// Whether a failed read is a verdict about the file, which is shorter or longer than it can be, and not about the disk, which did
/// answer.
pub(crate) fn is_verdict(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
    )
}
