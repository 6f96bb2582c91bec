//! `booth-hub import`: what `booth-gateway spool export` copied off a pulled card comes into the store.
//!
//! Owns: that a file of the export is what its receipt says, and which store takes it: a hub that runs is handed each clip, of a hub that is stopped the
//! store's lock is taken. Never does: change the folder, open what is sealed, or take in what is not whole: that is named and left. Running it again
//! takes nothing twice, and nothing that its citizen took back meanwhile; a failure leaves what was taken so far taken.
#![allow(clippy::disallowed_methods)] // reads the export

pub mod card;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use booth_contract::export::{
    BadExport, CLIPS, EXPORT_SCHEMA, ExportReceipt, ExportedClip, ExportedWithdrawal, RECEIPT_FILE,
    WITHDRAWALS, body_name, json_name,
};
use booth_contract::{BodyHash, BoothId, ClipKind, MAX_JSON_BYTES, Manifest};
use booth_host::plain_file;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ingest::is_clip_id;
use crate::recordings::Keeper;
use crate::side_door::MOST_CLIP;
use crate::store::{Brought, StoreError, Took};

/// Largest receipt that is read: of a full card of 32 GB.
const MOST_RECEIPT: u64 = 128 << 20;

/// Why nothing is taken in, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no receipt, and no spool either.
    #[error(
        "{} has no {RECEIPT_FILE}: it is no export, or one that was cut off. Export again from the card: booth-gateway spool export CARD FOLDER", .0.display()
    )]
    NoReceipt(PathBuf),
    /// A card was named, and what reads cards is not here.
    #[error(
        "booth-gateway, which reads cards, is not here: install its package (docs/installing.md) or put the program beside booth-hub; or run \
         booth-gateway spool export CARD FOLDER where it is, and booth-hub import FOLDER here"
    )]
    NoProgram,
    /// It cannot be run.
    #[error("booth-gateway cannot be run: {0}")]
    Program(io::Error),
    /// It made no export, and has said why.
    #[error("{} was not exported: booth-gateway has said why. Nothing was taken", .0.display())]
    NotExported(PathBuf),
    /// The short-lived folder.
    #[error("{} cannot be made or emptied: {source}; run the command as the user of the hub, or make room", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk.
    #[error(
        "the messages need {wanted_mb} MB at {} while they are taken in, and {left_mb} MB are free above the reserve ([store] reserve_bytes): make \
         room. Nothing was taken", path.display()
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// In the export and in the store.
        wanted_mb: u64,
        /// Above the reserve.
        left_mb: u64,
    },
    /// It was told to end.
    #[error("it was told to end. What was taken so far is kept; run the same command again")]
    CutOff,
    /// The receipt is torn.
    #[error(
        "{RECEIPT_FILE} in {} is damaged ({why}): export again from the card", path.display()
    )]
    BadReceipt {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        why: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error(
        "the export in {} has version {found}, and this hub knows {EXPORT_SCHEMA}: update the hub, or export with a booth-gateway of its version", path.display()
    )]
    Version {
        /// The folder.
        path: PathBuf,
        /// In the receipt.
        found: u32,
    },
    /// A file that cannot be read.
    #[error("{} cannot be read: {source}; run the command as a user who may, or plug the stick in again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error("{0}. What was taken so far is kept; run the same command again")]
    Store(#[from] StoreError),
}

/// A clip of the export, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Its id.
    pub clip_id: String,
    /// Its booth, where that is known.
    pub booth_id: Option<BoothId>,
    /// Its number on its card; `None` for a withdrawal.
    pub clip_no: Option<u64>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of something in the export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is kept from now on.
    New,
    /// It was kept before.
    Before,
    /// Its citizen has taken it back.
    TakenBack,
    /// The hub does not take it, and why.
    Refused(String),
    /// It is not whole here, and why; the hub was not asked.
    Left(String),
}

/// What came of an import.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Clips and votes, in the order of the receipt.
    pub clips: Vec<Judged>,
    /// Withdrawals; one that the hub has noted is `new`, also where it was noted before.
    pub withdrawals: Vec<Judged>,
    /// What was not whole on the card already, with the reason.
    pub left_on_the_card: Vec<(String, String)>,
}

/// The sums of one booth.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Kept from now on.
    pub new: usize,
    /// Kept before.
    pub before: usize,
    /// Taken back.
    pub taken_back: usize,
    /// Refused or left.
    pub not_taken: usize,
}

impl Imported {
    /// The sums of each booth's clips.
    pub fn by_booth(&self) -> BTreeMap<String, Sums> {
        let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
        for judged in &self.clips {
            let booth = judged.booth_id.as_ref().map(BoothId::to_string);
            let sums = sums.entry(booth.unwrap_or_default()).or_default();
            match judged.fate {
                Fate::New => sums.new += 1,
                Fate::Before => sums.before += 1,
                Fate::TakenBack => sums.taken_back += 1,
                Fate::Refused(_) | Fate::Left(_) => sums.not_taken += 1,
            }
        }
        sums
    }

    /// Everything that the hub does not have now, each as a sentence.
    pub fn sentences(&self) -> Vec<String> {
        let told = |judged: &Judged, what: &str| {
            let why = match &judged.fate {
                Fate::Refused(why) => format!("refused: {why}"),
                Fate::Left(why) => format!("left: {why}"),
                Fate::New | Fate::Before | Fate::TakenBack => return None,
            };
            let number = judged.clip_no.map(|number| format!(" (number {number})"));
            Some(format!(
                "{what} {}{}: {why}",
                judged.clip_id,
                number.unwrap_or_default()
            ))
        };
        let clips = self.clips.iter().filter_map(|judged| told(judged, "clip"));
        let withdrawals = self
            .withdrawals
            .iter()
            .filter_map(|judged| told(judged, "withdrawal"));
        let left = self.left_on_the_card.iter();
        let left = left.map(|(path, why)| format!("not exported: {path}: {why}"));
        clips.chain(withdrawals).chain(left).collect()
    }

    /// Whether the hub has everything that was whole on the card.
    pub fn has_all(&self) -> bool {
        let mut judged = self.clips.iter().chain(&self.withdrawals);
        judged.all(|judged| matches!(judged.fate, Fate::New | Fate::Before | Fate::TakenBack))
    }
}

/// Opens the export in this folder.
///
/// # Errors
/// A folder that is none, a receipt that is none, and one of another version.
pub fn open(folder: &Path) -> Result<ExportReceipt, ImportError> {
    let path = folder.join(RECEIPT_FILE);
    let text = match plain_file::read_at_most(&path, MOST_RECEIPT) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ImportError::NoReceipt(folder.to_owned()));
        }
        Err(source) => return Err(ImportError::Unreadable { path, source }),
    };
    ExportReceipt::read(&text).map_err(|bad| {
        let path = folder.to_owned();
        match bad {
            BadExport::Version(found) => ImportError::Version { path, found },
            BadExport::NotUnderstood(why) => ImportError::BadReceipt { path, why },
        }
    })
}

/// Takes in everything of the export that is whole; `booth` is whose withdrawals they are where the export does not say. `tell` hears how many clips of how
/// many are done, and says whether to go on.
///
/// # Errors
/// A store that cannot keep anything now, and [`ImportError::CutOff`].
pub fn import(
    keeper: &mut Keeper<'_>,
    folder: &Path,
    receipt: &ExportReceipt,
    booth: Option<&BoothId>,
    mut tell: impl FnMut(usize, usize) -> bool,
) -> Result<Imported, ImportError> {
    let mut imported = Imported::default();
    for (done, clip) in receipt.clips.iter().enumerate() {
        let fate = match brought(folder, clip) {
            Ok(brought) => keeper.bring(&brought)?.into(),
            Err(why) => Fate::Left(why),
        };
        imported.clips.push(Judged {
            clip_id: clip.clip_id.to_string(),
            booth_id: Some(clip.booth_id.clone()),
            clip_no: Some(clip.clip_no),
            fate,
        });
        if !tell(done + 1, receipt.clips.len()) {
            return Err(ImportError::CutOff);
        }
    }
    for withdrawal in &receipt.withdrawals {
        let booth_id = withdrawal.booth_id.as_ref().or(booth);
        let fate = match withdrawn(folder, withdrawal, booth_id) {
            Ok(brought) => keeper.bring(&brought)?.into(),
            Err(why) => Fate::Left(why),
        };
        imported.withdrawals.push(Judged {
            clip_id: withdrawal.id.to_string(),
            booth_id: booth_id.cloned(),
            clip_no: None,
            fate,
        });
    }
    let left = receipt.left.iter();
    imported.left_on_the_card = left
        .map(|left| (left.path.clone(), left.why.clone()))
        .collect();
    Ok(imported)
}

impl From<Took> for Fate {
    fn from(took: Took) -> Self {
        match took {
            Took::New => Self::New,
            Took::Before => Self::Before,
            Took::TakenBack => Self::TakenBack,
            Took::Refused(why) => Self::Refused(why),
        }
    }
}

/// A file of the folder with the hash that the receipt says, or why not.
fn file(path: &Path, most: u64, sha256: &BodyHash) -> Result<Vec<u8>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = plain_file::read_at_most(path, most).map_err(|error| format!("{name}: {error}"))?;
    match BodyHash::of_digest(&Sha256::digest(&bytes)) == *sha256 {
        true => Ok(bytes),
        false => Err(format!(
            "{name} is not what was exported: the copy is damaged. Export again from the card"
        )),
    }
}

/// A clip of the export as the hub is told of it, or why it is not whole.
fn brought(folder: &Path, clip: &ExportedClip) -> Result<Brought, String> {
    // The id names files: nothing but a UUID may.
    if !is_clip_id(&clip.clip_id) {
        return Err("its id is none".into());
    }
    let clips = folder.join(CLIPS);
    let path = clips.join(json_name(&clip.clip_id));
    let json = file(&path, MAX_JSON_BYTES as u64, &clip.manifest_sha256)?;
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|error| format!("its manifest is not understood: {error}"))?;
    if manifest.clip_id != clip.clip_id || manifest.booth_id != clip.booth_id {
        return Err("its manifest is another clip's".into());
    }
    let has_body = manifest.bytes > 0 && manifest.kind == ClipKind::Audio;
    let body = match (&manifest.sha256, has_body) {
        (Some(sha256), true) => file(
            &clips.join(body_name(&clip.clip_id)),
            MOST_CLIP as u64,
            sha256,
        )?,
        _ => Vec::new(),
    };
    Ok(Brought {
        booth_id: manifest.booth_id,
        id: manifest.clip_id,
        json,
        body: Some(body),
    })
}

fn withdrawn(
    folder: &Path,
    withdrawal: &ExportedWithdrawal,
    booth: Option<&BoothId>,
) -> Result<Brought, String> {
    if !is_clip_id(&withdrawal.id) {
        return Err("its id is none".into());
    }
    let Some(booth_id) = booth else {
        let why = "the card does not say at which booth it was dialled: name the booth where the card was with --booth";
        return Err(why.into());
    };
    let path = folder.join(WITHDRAWALS).join(json_name(&withdrawal.id));
    let json = file(&path, MAX_JSON_BYTES as u64, &withdrawal.file_sha256)?;
    Ok(Brought {
        booth_id: booth_id.clone(),
        id: withdrawal.id.clone(),
        json,
        body: None,
    })
}
