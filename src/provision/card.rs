//! `booth.toml` on the card's FAT partition: found under the names that laptops give it, and read.
//!
//! Never does: write, or look at another partition.

use std::io;
use std::path::Path;

use super::WRITTEN;
use super::guise::{self, LONGEST_TEXT, printable};
use super::judge::{Judged, judge};
use crate::update::state::Trust;
use booth_host::config_file::ConfigFault;
use booth_host::text::text_of;
use booth_spool::disk::{Disk, Listed, read_whole};

/// What was found on FAT.
pub(super) struct Found {
    /// What is in the folder, empty if it cannot be read.
    pub listed: Vec<Listed>,
    /// The name of the one file that can be `booth.toml`.
    pub file: Option<String>,
    /// Its text, or why there is none.
    pub text: Result<String, NoText>,
}

/// Why a card gives no text of a `booth.toml`.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoText {
    #[error(
        "The card's partition BOOTH cannot be read: {0}. Write the image to the card again, or use another card."
    )]
    Partition(#[source] io::Error),
    /// There is no such file; names that somebody may have meant.
    #[error("There is no booth.toml on the card's partition BOOTH.{}", hint(.0))]
    Absent(Vec<String>),
    #[error("There are {} on the card: leave the right one and delete the other.", .0.join(" and "))]
    Several(Vec<String>),
    #[error("{0} is a folder; a file of that name is needed")]
    Folder(String),
    #[error("{0}: is longer than {LONGEST_TEXT} bytes; it cannot be a configuration")]
    TooLong(String),
    #[error(
        "{file}: cannot be read: {error}. Copy it to the card again; if that does not help, use another card."
    )]
    Unreadable {
        file: String,
        #[source]
        error: io::Error,
    },
    #[error("{file}: {why}")]
    Encoding { file: String, why: String },
}

fn hint(near: &[String]) -> String {
    match near {
        [] => String::new(),
        _ => format!(" There is {}: rename it.", near.join(", ")),
    }
}

impl Found {
    /// Whether the card can be read and has no `booth.toml` at all.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self.text, Err(NoText::Absent(_)))
    }

    /// The verdict on the text.
    pub(super) fn judged(&self) -> Judged {
        match &self.text {
            Ok(text) => judge(text, self.file.as_deref().unwrap_or(WRITTEN)),
            Err(why) => Judged::nothing(ConfigFault::whole(why)),
        }
    }
}

/// Looks at FAT.
pub(super) fn look(disk: &dyn Disk, boot: &Path) -> Found {
    let listed = match disk.list(boot) {
        Ok(listed) => listed,
        Err(error) => {
            return Found {
                listed: Vec::new(),
                file: None,
                text: Err(NoText::Partition(error)),
            };
        }
    };
    let (file, text) = match guise::named(&listed, WRITTEN)[..] {
        [] => (None, Err(NoText::Absent(guise::near_misses(&listed)))),
        [one] => {
            let name = printable(&one.name);
            (Some(name.clone()), text_in(disk, boot, one, name))
        }
        ref several => {
            let names = several.iter().map(|entry| printable(&entry.name));
            (None, Err(NoText::Several(names.collect())))
        }
    };
    Found { listed, file, text }
}

fn text_in(disk: &dyn Disk, boot: &Path, entry: &Listed, file: String) -> Result<String, NoText> {
    if entry.is_folder {
        return Err(NoText::Folder(file));
    }
    match read_whole(disk, &boot.join(&entry.name), LONGEST_TEXT) {
        Ok(bytes) => text_of(&bytes).map_err(|why| NoText::Encoding {
            file,
            why: why.to_string(),
        }),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(NoText::TooLong(file)),
        Err(error) => Err(NoText::Unreadable { file, error }),
    }
}

/// The update settings of the card's own file, if that is a good one. Only a person with the card in his hands may say whose
/// updates are taken and from where; a copy in the gateway's own folder may not. Only FAT is read, so that nothing left by a
/// gateway can keep a technician from withdrawing a key.
pub fn trusted(disk: &dyn Disk, boot: &Path) -> Option<Trust> {
    let found = look(disk, boot);
    let config = found.judged().config?;
    Some(Trust {
        keys: config.update.keys,
        booth: config.booth.id.to_string(),
        allow: config.update.allow,
    })
}
