//! The configuration that counts: the card's own where it is good, and the last good one otherwise.
//!
//! Owns: `good.toml`. Never does: take the last good one away for one that is bad.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::card::Found;
use super::guise::LONGEST_TEXT;
use super::judge::{Judged, judge};
use super::{Places, ProvisionError, Source, at, replace, vault};
use crate::config::Config;
use booth_spool::disk::{Disk, read_whole};

const GOOD: &str = "good.toml";
/// The beginning of the line before the text in `good.toml`.
const GOOD_MARK: &str = "#: ";

/// A configuration that can be used, with the credentials' names as written.
pub(super) struct Good {
    pub config: Config,
    pub table: Table,
    /// When it came, RFC 3339.
    pub since: String,
    /// Of its text, hex.
    pub hash: String,
    /// The booth that this card was before.
    pub before: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct GoodFacts {
    since: String,
    sha256: String,
    /// The booth that this card belonged to before.
    #[serde(default)]
    before: Option<String>,
}

impl Good {
    /// The booth that this card was before, if it was another one.
    pub(super) fn other_booth(&self) -> Option<&str> {
        let before = self.before.as_deref()?;
        (before != self.config.booth.id.as_str()).then_some(before)
    }
}

/// Chooses the configuration and keeps it if it comes from the card.
pub(super) fn choose(
    disk: &dyn Disk,
    places: &Places,
    found: &Found,
    judged: &Judged,
    now: &str,
    notes: &mut Vec<String>,
) -> Result<(Option<Good>, Source), ProvisionError> {
    let earlier = last_good(disk, places, notes);
    let Some(config) = judged.config.clone() else {
        let source = earlier.as_ref().map_or(Source::NotSetUp, |earlier| {
            let since = earlier.since.clone();
            Source::Kept { since }
        });
        return Ok((earlier, source));
    };
    let text = found.text.as_deref().unwrap_or_default();
    let hash = vault::hash(text.as_bytes());
    let facts = match earlier {
        Some(earlier) if earlier.hash == hash => {
            let facts = GoodFacts {
                since: earlier.since,
                sha256: hash.clone(),
                before: earlier.before,
            };
            // An earlier version has not made root's copy, and the gateway can have changed its own copy. Neither is
            // needed now.
            if let Err(error) = keep_good(disk, places, text, &facts) {
                notes.push(format!("{error}."));
            }
            facts
        }
        earlier => {
            let before = earlier.and_then(|earlier| {
                let is_other = earlier.config.booth.id != config.booth.id;
                let id = is_other.then(|| earlier.config.booth.id.to_string());
                id.or(earlier.before)
            });
            let facts = GoodFacts {
                since: now.to_owned(),
                sha256: hash.clone(),
                before,
            };
            keep_good(disk, places, text, &facts)?;
            facts
        }
    };
    let good = Good {
        config,
        table: judged.table.clone(),
        since: facts.since,
        hash,
        before: facts.before,
    };
    Ok((Some(good), Source::Card))
}

/// The last good text, if its hash proves that it is unchanged. Root's own copy is used where there is one. The copy in the
/// gateway's folder is less safe: an intruder in the gateway could use it, while the card's own file is bad, to make root
/// forget passwords and take files from FAT.
pub(super) fn last_good(disk: &dyn Disk, places: &Places, notes: &mut Vec<String>) -> Option<Good> {
    let read = |folder: &Path| read_whole(disk, &folder.join(GOOD), LONGEST_TEXT + 1024);
    let bytes = match read(&places.secrets) {
        // This version has not provisioned anything yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => read(&places.kept()),
        own => own,
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            notes.push(format!(
                "The last good configuration cannot be read: {error}."
            ));
            return None;
        }
    };
    let whole = String::from_utf8(bytes).ok();
    let good = whole.as_deref().and_then(|whole| {
        let (facts, text) = whole.split_once('\n')?;
        let facts: GoodFacts = serde_json::from_str(facts.strip_prefix(GOOD_MARK)?).ok()?;
        if vault::hash(text.as_bytes()) != facts.sha256 {
            return None;
        }
        // A newer version may judge differently.
        let judged = judge(text, GOOD);
        Some(Good {
            config: judged.config?,
            table: judged.table,
            since: facts.since,
            hash: facts.sha256,
            before: facts.before,
        })
    });
    if good.is_none() {
        notes.push("The last good configuration is damaged, or no longer good for this version; it is not used.".into());
    }
    good
}

/// Writes the good text into root's own folder, from which it is read, and into `DATA/config`, where earlier versions look
/// for it.
fn keep_good(
    disk: &dyn Disk,
    places: &Places,
    text: &str,
    facts: &GoodFacts,
) -> Result<(), ProvisionError> {
    let facts = serde_json::to_string(facts).unwrap_or_default();
    let whole = format!("{GOOD_MARK}{facts}\n{text}");
    for folder in [&places.secrets, &places.kept()] {
        let path = folder.join(GOOD);
        replace(disk, &path, whole.as_bytes()).map_err(at("writing", &path))?;
    }
    Ok(())
}
