//! Whose updates a booth takes, and from where: the settings `[update]` of booth.toml, by which the updater decides; and whose
//! signed commands it obeys: `[control]`. Pure.

pub mod control;
pub mod keys;
mod signer;
pub mod whence;

use std::fmt;

/// Most keys of a kind.
const MOST_KEYS: usize = 16;

/// Why an entry of `[update]` or `[control]` cannot be used: the configuration is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryError {
    /// One of `keys` is none; its beginning.
    NoKey(String),
    /// One of `keys` is a secret key.
    SecretKey,
    /// More `keys` than a booth knows.
    TooManyKeys,
    /// One of `[control] keys` is none; its beginning.
    NoControlKey(String),
    /// One of `[control] keys` is a secret key.
    SecretControlKey,
    /// More `[control] keys` than a booth knows.
    TooManyControlKeys,
    /// One of `allow` is no place; its beginning.
    NoPlace(String),
    /// More in `allow` than a booth looks through.
    TooManyPlaces,
}

impl EntryError {
    /// The key of booth.toml that has the entry.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NoKey(_) | Self::SecretKey | Self::TooManyKeys => "[update] keys",
            Self::NoControlKey(_) | Self::SecretControlKey | Self::TooManyControlKeys => {
                "[control] keys"
            }
            Self::NoPlace(_) | Self::TooManyPlaces => "[update] allow",
        }
    }

    /// What is wrong with the entry, and what to do.
    pub fn why(&self) -> String {
        match self {
            Self::NoKey(shown) | Self::NoControlKey(shown) => format!(
                "{shown:?} is no minisign public key; write the line of minisign.pub that begins with RW"
            ),
            Self::SecretKey => {
                "this is a SECRET key; whoever has read it can sign updates. Take it out here, make a new pair with \
                 `minisign -G`, and write the line of minisign.pub that begins with RW"
                    .to_owned()
            }
            Self::SecretControlKey => {
                "this is a SECRET key; whoever has read it can command the booths. Take it out here, make a new pair with \
                 `minisign -G`, and write the line of minisign.pub that begins with RW"
                    .to_owned()
            }
            Self::TooManyKeys | Self::TooManyControlKeys => {
                format!("more than {}; remove those that sign no more", MOST_KEYS)
            }
            Self::NoPlace(shown) => format!(
                "{shown:?} is no host, address or network; write one like \"updates.example\", \"10.0.0.5\" or \"10.0.0.0/8\""
            ),
            Self::TooManyPlaces => {
                format!("more than {} entries; name a network instead", whence::MOST)
            }
        }
    }
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key(), self.why())
    }
}

impl std::error::Error for EntryError {}
