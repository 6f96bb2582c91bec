//! `booth-gateway stick`: root's helper that mounts a USB stick for the gateway, which has no right to.
//!
//! Owns: what the two say to each other over one connection ([`Said`]): [`ask`] is the gateway's side, [`serve`] root's. [`disks`] chooses what is
//! mounted, [`mounted`] mounts it nowhere: the file system has no place in any folder, and the gateway is handed its open root. So the mount ends with
//! the two of them, however they end, and neither needs to see the other's mounts. The gateway closes what it has and ends its half of the connection;
//! the helper writes everything to the stick, proves that nobody holds it any more, and only then says that it is released. Never does: write a
//! file, mount a booth's card, or know what an export is.

mod asking;
mod disks;
mod helper;
mod mounted;

use std::fmt;

pub use asking::{Stick, StickError, ask};
pub use disks::Kind;
pub use helper::{Helper, ServeError, serve};

/// Longest sentence of the helper, bytes.
const LONGEST: usize = 1_000;

/// Why there is no stick to write on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is plugged in that may be written.
    #[error(
        "no stick is found that may be written: {0}. Plug in one that is formatted as FAT or exFAT, and dial 8 again"
    )]
    None(String),
    /// It takes no writes.
    #[error(
        "the stick is write-protected ({0}): slide its lock to the other side or use another one, and dial 8 again"
    )]
    Locked(String),
    /// It cannot be mounted.
    #[error(
        "the stick cannot be mounted: {0}. Use another one, or format this one as FAT, and dial 8 again"
    )]
    Unusable(String),
}

/// What the helper says, a line each: first one of the first two, and after a [`Said::Mounted`] one of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// The stick of this name is mounted; its open root comes along.
    Mounted(String),
    /// It is not, and why.
    Refused(Refusal),
    /// Everything is on the stick, and nobody holds it.
    Released,
    /// That is not certain, and why.
    NotReleased(String),
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, why) = match self {
            Self::Mounted(name) => ("mounted", name.as_str()),
            Self::Refused(Refusal::None(why)) => ("none", why.as_str()),
            Self::Refused(Refusal::Locked(why)) => ("locked", why.as_str()),
            Self::Refused(Refusal::Unusable(why)) => ("unusable", why.as_str()),
            Self::Released => ("released", ""),
            Self::NotReleased(why) => ("held", why.as_str()),
        };
        let why: String = why.split_whitespace().collect::<Vec<_>>().join(" ");
        let end = why.floor_char_boundary(LONGEST - 20);
        write!(f, "{word} {}", &why[..end])
    }
}

impl Said {
    /// Reads a line; `None` for one that says nothing of all this.
    fn read(line: &str) -> Option<Self> {
        let (word, why) = line
            .trim_end()
            .split_once(' ')
            .unwrap_or((line.trim_end(), ""));
        let why = why.to_owned();
        Some(match word {
            "mounted" => Self::Mounted(why),
            "none" => Self::Refused(Refusal::None(why)),
            "locked" => Self::Refused(Refusal::Locked(why)),
            "unusable" => Self::Refused(Refusal::Unusable(why)),
            "released" => Self::Released,
            "held" => Self::NotReleased(why),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_helper_says_is_one_short_line_and_comes_through_whole() {
        for said in [
            Said::Mounted("sda1".into()),
            Said::Refused(Refusal::None("nothing is plugged in".into())),
            Said::Refused(Refusal::Locked("sda1".into())),
            Said::Refused(Refusal::Unusable("sda1: no file system".into())),
            Said::Released,
            Said::NotReleased("an error".into()),
        ] {
            assert_eq!(Said::read(&format!("{said}\n")), Some(said));
        }
        let long = Said::NotReleased("æ\n".repeat(2_000)).to_string();
        assert!(long.len() < LONGEST && !long.contains('\n'), "{long}");
        assert_eq!(Said::read("hello"), None);
        assert_eq!(Said::read(""), None);
    }
}
