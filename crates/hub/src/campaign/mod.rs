//! Campaigns: what the city asks at its booths, from a file that people write to what each booth has in force.
//!
//! ```text
//! FILE.toml ──▶ file ──▶ Draft ──▶ judge ──▶ faults with their lines
//!                          │──▶ workshop (speaker) ──▶ media/<hash>.opus
//!                          ▼
//!                        Ready ──▶ register (editions, versions) ──▶ merge ──▶ one configuration a booth ──▶ broker ──▶ booths
//!                                                                  the hub's database ◀── up/{booth}/config ◀──┘
//! ```
//!
//! Owns: the folder `campaigns/` in the store's folder, and everything that goes to `dn/{booth}/config` and `media/{sha256}`. Never does:
//! publish what the booth's own check (`booth_contract::wanted::check`) would refuse, or a version that was published before. What is to be
//! published is durable before it leaves, so that a hub that dies in between goes on with a higher version.

mod author;
mod broker;
mod change;
mod children;
mod city;
mod codes;
pub(crate) mod editor;
mod file;
mod judge;
mod merge;
mod parcel;
mod progress;
mod register;
mod sent;
mod shown;
mod signing;
pub(crate) mod speaker;
pub(crate) mod stops;
mod verbs;
mod welcome;
mod workshop;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use booth_city::words::Sentence;
use booth_contract::BoothId;
use booth_host::config_file::ConfigError;

pub use children::Children;
pub(crate) use city::{Known, for_city, media_of, source_of};
pub use register::Asked;
pub(crate) use sent::{WantedOf, wanted_of};
pub use verbs::{Campaign, run};
pub(crate) use welcome::welcome;

/// Why a command about campaigns did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The campaign's file, or the hub's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or folder.
    #[error("{}: {error}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The hub's database.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// Anything else, with what to do about it.
    #[error("{0}")]
    Refused(String),
    /// The same in a sentence that the editor's page says in its reader's language.
    #[error("{0}")]
    Told(Sentence),
}

/// What is known of every campaign that was ever published from this store, by its id.
///
/// # Errors
/// A register that cannot be read.
pub fn asked(store: &Path) -> Result<BTreeMap<String, Asked>, CampaignError> {
    Ok(register::look(&register::folder_in(store))?.asked)
}

/// What may become of a child's message of this campaign, or of a question that a booth asks by itself. Of a campaign that is not known
/// here nothing is published: nobody can say what its notice promised.
///
/// # Errors
/// A register that cannot be read.
pub fn children_of(store: &Path, campaign: Option<&str>) -> Result<Children, CampaignError> {
    let Some(campaign) = campaign else {
        return Ok(Children::default());
    };
    let asked = asked(store)?;
    let known = asked.get(campaign).map(|asked| asked.children);
    Ok(known.unwrap_or(Children::NotPublished))
}

/// Whether a published campaign asks this question.
///
/// # Errors
/// A register that cannot be read.
pub fn has_question(store: &Path, campaign: &str, question: &str) -> Result<bool, CampaignError> {
    let campaigns = city::for_city(store)?;
    let mut questions = campaigns
        .iter()
        .filter(|one| one.id == campaign)
        .flat_map(|one| &one.questions);
    Ok(questions.any(|one| one.id == question))
}

/// Forgets what was sent to a booth that is retired: it gets nothing more, unless a campaign names it.
///
/// # Errors
/// A register that cannot be read or written, or that another command has.
pub fn forget_booth(store: &Path, booth: &BoothId) -> Result<(), CampaignError> {
    if !register::look(&register::folder_in(store))?
        .booths
        .contains_key(booth.as_str())
    {
        return Ok(());
    }
    let mut register = register::Register::open(store)?;
    register.state.booths.remove(booth.as_str());
    register.save()
}

impl CampaignError {
    fn file(path: &Path, error: io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            error,
        }
    }

    fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}
