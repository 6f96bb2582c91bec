//! `booth-hub dpia`: drafts of the impact assessment and of the record of processing, from the configuration in force.
//!
//! Owns: gathering what is in force, and the two files. Never does: change the store, or write over a file that is there: a person may
//! have filled it in. A failure leaves at most the first file.
#![allow(clippy::disallowed_methods)] // looks for the city's database, and writes the two files

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use booth_city::CityError;
use booth_city::people::Roll;
use booth_city::rights::drafts::{self, Keys, LANGUAGES, Processing, Way};
use booth_city::words::{BadWords, Words};
use booth_host::clock;

use crate::campaign::{self, CampaignError};
use crate::config::HubConfig;

/// Why there are no drafts.
#[derive(Debug, thiserror::Error)]
pub enum DpiaError {
    /// The accounts.
    #[error(transparent)]
    City(#[from] CityError),
    /// The campaigns.
    #[error(transparent)]
    Campaign(#[from] CampaignError),
    /// The texts of pages.
    #[error(transparent)]
    Words(#[from] BadWords),
    /// There are no drafts in this language.
    #[error("there are drafts in {known}, not in {asked:?}", known = LANGUAGES.join(" and "), asked = .0)]
    Language(String),
    /// A file.
    #[error(
        "{0} cannot be written: {1}; nothing is written over, name another folder with --output"
    )]
    File(PathBuf, io::Error),
}

/// Writes `impact-assessment.LANGUAGE.md` and `record-of-processing.LANGUAGE.md` into a folder; returns their names.
///
/// # Errors
/// See [`DpiaError`].
pub fn write(config: &HubConfig, language: &str, folder: &Path) -> Result<Vec<PathBuf>, DpiaError> {
    if !LANGUAGES.contains(&language) {
        return Err(DpiaError::Language(language.into()));
    }
    let dir = &config.store.dir;
    let accounts = match dir.join("city.sqlite").exists() {
        true => Roll::open(dir)?.all()?,
        false => Vec::new(),
    };
    let campaigns = match dir.exists() {
        true => campaign::for_city(dir)?,
        false => Vec::new(),
    };
    let booths: Vec<_> = config
        .booths
        .iter()
        .map(|booth| {
            let id = booth.id.as_str().to_owned();
            (id, booth.name.clone(), booth.place.clone())
        })
        .collect();
    let now = clock::wall().to_zoned_datetime(config.city.zone());
    let day = now.date().to_string();
    let privacy = &config.privacy;
    let processing = Processing {
        city: &config.city,
        keys: match (privacy.identities.is_empty(), privacy.recipients.is_empty()) {
            (false, _) => Keys::Here,
            (true, false) => Keys::Elsewhere,
            (true, true) => Keys::None,
        },
        recipients: privacy.recipients.len().max(privacy.identities.len()),
        way: match (config.http.behind_proxy, &config.http.cert_file) {
            (true, _) => Way::Proxy,
            (false, Some(_)) => Way::OwnCertificate,
            (false, None) => Way::SameMachine,
        },
        booths: &booths,
        campaigns: &campaigns,
        accounts: &accounts,
        day: &day,
    };
    let words = Words::read(config.city.languages.as_deref())?;
    let made = drafts::drafts(&processing, &words, language);
    let mut written = Vec::new();
    for (name, text) in [
        ("impact-assessment", made.impact),
        ("record-of-processing", made.record),
    ] {
        let path = folder.join(format!("{name}.{language}.md"));
        let put = || {
            let mut file = File::create_new(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        put().map_err(|why| DpiaError::File(path.clone(), why))?;
        written.push(path);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_drafts_are_written_once_and_never_over_what_a_person_filled_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = HubConfig::default();
        config.store.dir = folder.path().join("store");
        config.city.retention.heard_days = 211;
        for language in LANGUAGES {
            let written = write(&config, language, folder.path()).expect("written");
            assert_eq!(written.len(), 2);
            for path in &written {
                let text = std::fs::read_to_string(path).expect("it is there");
                assert!(text.contains("| 211 |"), "{}", path.display());
            }
            assert!(matches!(
                write(&config, language, folder.path()),
                Err(DpiaError::File(..))
            ));
        }
        assert!(!config.store.dir.exists(), "no store is made");
        assert!(matches!(
            write(&config, "fr", folder.path()),
            Err(DpiaError::Language(_))
        ));
    }
}
