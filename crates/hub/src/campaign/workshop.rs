//! The prompts that were made, by their hashes.
//!
//! Owns: the folder `campaigns/media` with a file for each prompt, and which saying was made into which. Never does: delete a prompt that a
//! configuration may still name, for `undo` publishes it again, or one that was made a short time ago and is still to be published. A failure leaves the prompts that were made before.
#![allow(clippy::disallowed_methods)] // reads sound files, keeps prompts

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use booth_audio::{MAX_SECONDS, MadePrompt, Remedy, Unplayable, made_prompt};
use booth_city::sentence;
use booth_city::words::Sentence;
use booth_contract::{MediaHash, hex};
use booth_host::plain_file;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::CampaignError;
use super::file::Saying;
use super::speaker;

/// Largest sound file that is read, bytes: 90 s of two channels at 96 kHz and 32 bits are 70 millions.
const MOST_BYTES: u64 = 100_000_000;
/// A prompt that no configuration names is kept for so long: its campaign is still to be published.
const KEPT_UNPUBLISHED: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);
/// Rises when prompts of the same source come out differently, so that they are made again.
const MAKING: &str = "1";

/// A prompt that lies ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Made {
    /// Its hash, and its file's name.
    pub(super) hash: MediaHash,
    /// How long it plays, ms.
    pub(super) ms: u64,
    pub(super) bytes: usize,
    /// Its bit rate, bit/s.
    pub(super) bitrate: u32,
    /// How loud it is, LUFS.
    pub(super) lufs: f64,
}

/// Whether a sound file can be made into a prompt, as far as that is known without making it.
///
/// # Errors
/// A sentence that follows the file's key.
pub(super) fn looked_at(saying: &Saying) -> Result<(), String> {
    let Some(path) = &saying.sound else {
        return Ok(());
    };
    let bytes = read(path)?;
    booth_audio::check(&bytes).map_err(|why| unplayable(path, &why))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = plain_file::read_at_most(path, MOST_BYTES)
        .map_err(|error| format!("names {}, which cannot be read: {error}", path.display()))?;
    match bytes.len() as u64 > MOST_BYTES {
        true => Err(format!(
            "names {}, which is larger than {MOST_BYTES} bytes: no prompt is so long",
            path.display()
        )),
        false => Ok(bytes),
    }
}

fn unplayable(path: &Path, why: &Unplayable) -> String {
    let remedy = remedy(why.remedy);
    format!("names {}, which {}: {remedy}", path.display(), why.what)
}

/// What to do about a sound that cannot be a prompt.
pub(super) fn remedy(remedy: Remedy) -> Sentence {
    match remedy {
        Remedy::Convert => sentence!("hub-remedy-convert"),
        Remedy::Again => sentence!("hub-remedy-again"),
        Remedy::Shorten => sentence!("hub-remedy-shorten"),
        Remedy::Unpack => sentence!("hub-remedy-unpack"),
    }
}

/// The folder.
#[derive(Debug)]
pub(super) struct Workshop {
    folder: PathBuf,
    /// By a hash of what each was made of.
    made: BTreeMap<String, Made>,
}

impl Workshop {
    /// Opens the folder within that of campaigns; it is made when the first prompt is.
    ///
    /// # Errors
    /// A list of prompts that cannot be read.
    pub(super) fn open(campaigns: &Path) -> Result<Self, CampaignError> {
        let folder = campaigns.join("media");
        let list = folder.join("made.json");
        let made = match std::fs::read(&list) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let why = format!(
                    "{} cannot be read ({error}): remove it, and make the prompts again",
                    list.display()
                );
                CampaignError::Refused(why)
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(CampaignError::file(&list, error)),
        };
        Ok(Self { folder, made })
    }

    /// The prompt that was made of a saying as it is, if its file is there.
    pub(super) fn made(&self, saying: &Saying) -> Option<&Made> {
        let made = self.made.get(&source_of(saying).ok()?)?;
        self.path(&made.hash).is_file().then_some(made)
    }

    /// Where a prompt's file is.
    pub(super) fn path(&self, hash: &MediaHash) -> PathBuf {
        self.folder.join(format!("{hash}.opus"))
    }

    /// A prompt's bytes.
    ///
    /// # Errors
    /// A file that is gone, or no longer what its name says.
    pub(super) fn bytes(&self, hash: &MediaHash) -> Result<Vec<u8>, CampaignError> {
        let path = self.path(hash);
        let bytes = std::fs::read(&path).map_err(|error| CampaignError::file(&path, error))?;
        if MediaHash::of_digest(&Sha256::digest(&bytes)).as_ref() != Some(hash) {
            let why = format!(
                "{} is damaged: remove it, and make the prompts again (booth-hub campaign prompts)",
                path.display()
            );
            return Err(CampaignError::Refused(why));
        }
        Ok(bytes)
    }

    /// Makes a prompt of a saying, and keeps it durably.
    ///
    /// # Errors
    /// A sentence that follows the saying's name, with what to do.
    pub(super) fn make(&mut self, saying: &Saying) -> Result<Made, String> {
        let source = source_of(saying)?;
        let broken =
            |error: std::io::Error| format!("cannot be kept in {}: {error}", self.folder.display());
        plain_file::make_private_folder(&self.folder).map_err(broken)?;
        let sound = match (&saying.sound, &saying.text) {
            (Some(path), _) => read(path)?,
            (None, text) => {
                let beside = self
                    .folder
                    .join(format!("spoken-{}.wav", std::process::id()));
                speaker::spoken(text.as_deref().unwrap_or_default(), &saying.lang, &beside)?
            }
        };
        let mut comments = vec![("LANGUAGE", saying.lang.as_str())];
        comments.extend(saying.text.as_deref().map(|text| ("TEXT", text)));
        let prompt = made_prompt(&sound, &comments).map_err(|why| match (&saying.sound, why) {
            (Some(path), booth_audio::NoPrompt::Unplayable(why)) => unplayable(path, &why),
            (_, booth_audio::NoPrompt::TooLong { seconds: MAX_SECONDS, fits }) => {
                format!("lasts longer than {MAX_SECONDS} s, and a prompt has room for about {fits} s: shorten it, or make two of it")
            }
            (_, why) => why.to_string(),
        })?;
        self.keep(source, prompt)
            .map_err(|error| format!("cannot be kept in {}: {error}", self.folder.display()))
    }

    /// Deletes prompts that are none of these and were made more than a month ago. Answers how many.
    ///
    /// # Errors
    /// The errors of the file system.
    pub(super) fn sweep(
        &mut self,
        wanted: &BTreeSet<MediaHash>,
        now: jiff::Timestamp,
    ) -> std::io::Result<usize> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut swept = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let hash = name.strip_suffix(".opus").and_then(MediaHash::parse);
            let Some(hash) = hash.filter(|hash| !wanted.contains(hash)) else {
                continue;
            };
            let made = jiff::Timestamp::try_from(entry.metadata()?.modified()?).unwrap_or(now);
            if now.duration_since(made) >= KEPT_UNPUBLISHED {
                swept.push((hash, entry.path()));
            }
        }
        if swept.is_empty() {
            return Ok(0);
        }
        // A prompt that the list names and that is not there would only be made again.
        self.made
            .retain(|_, made| swept.iter().all(|(hash, _)| *hash != made.hash));
        let list = serde_json::to_vec_pretty(&self.made)?;
        plain_file::replace_private(&self.folder.join("made.json"), &list)?;
        for (_, path) in &swept {
            std::fs::remove_file(path)?;
        }
        Ok(swept.len())
    }

    fn keep(&mut self, source: String, prompt: MadePrompt) -> std::io::Result<Made> {
        let digest = Sha256::digest(&prompt.bytes);
        let hash = MediaHash::of_digest(&digest).ok_or(std::io::ErrorKind::InvalidData)?;
        plain_file::replace_private(&self.path(&hash), &prompt.bytes)?;
        let made = Made {
            hash,
            ms: prompt.length.ms(),
            bytes: prompt.bytes.len(),
            bitrate: prompt.bitrate,
            lufs: (prompt.loudness * 10.0).round() / 10.0,
        };
        self.made.insert(source, made.clone());
        let list = serde_json::to_vec_pretty(&self.made)?;
        plain_file::replace_private(&self.folder.join("made.json"), &list)?;
        Ok(made)
    }
}

/// What a saying's prompt depends on, as a hash.
fn source_of(saying: &Saying) -> Result<String, String> {
    let mut all = Sha256::new();
    let mut part = |bytes: &[u8]| {
        all.update((bytes.len() as u64).to_le_bytes());
        all.update(bytes);
    };
    part(MAKING.as_bytes());
    part(saying.lang.as_bytes());
    part(saying.text.as_deref().unwrap_or_default().as_bytes());
    if let Some(path) = &saying.sound {
        part(&read(path)?);
    }
    Ok(hex(&all.finalize()))
}
