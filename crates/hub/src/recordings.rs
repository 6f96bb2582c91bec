//! `booth-hub import-recordings`: a folder of recordings, e.g. of a telephone line, becomes messages of the source `phone`.
//!
//! Owns: which files are taken, and that each is taken once: a recording's id follows from its question and its bytes, so that running it
//! again keeps nothing twice, and nothing that was taken back meanwhile comes again. Never does: change or delete a file of the folder. A hub
//! that runs is handed each recording and keeps it; of a hub that is stopped the store's lock is taken. A failure leaves the recordings that
//! were kept so far kept; running it again goes on.
#![allow(clippy::disallowed_methods)] // reads the recordings

use std::path::{Path, PathBuf};

use booth_city::centre::{Body, Source, Submission};
use booth_contract::{ClipId, Publish};
use booth_host::clock;
use sha2::{Digest, Sha256};

use crate::door::clip_id_of;
use crate::side_door::RunningHub;
use crate::store::{Brought, Entry, Kept, Levels, Store, StoreError, Took};

/// Largest file that is read, bytes.
const MOST_BYTES: u64 = 64 << 20;
/// Longest recording, seconds.
const MOST_SECONDS: u64 = 600;

/// What is imported, and what whoever called was told.
#[derive(Debug, Clone)]
pub struct Import {
    /// The folder; folders in it are not looked into.
    pub folder: PathBuf,
    /// The campaign.
    pub campaign: String,
    /// The question that they answer.
    pub question: String,
    /// Their language.
    pub language: String,
    /// What the callers heard before they spoke, word for word.
    pub notice: String,
    /// What they allowed to be published.
    pub may_publish: Publish,
}

/// Who keeps the recordings, or the clips of a pulled card.
pub enum Keeper<'a> {
    /// The store of a hub that is stopped.
    Stopped(&'a mut Store),
    /// The hub itself.
    Running(RunningHub),
}

impl Keeper<'_> {
    /// Takes in a clip or a withdrawal of a pulled card, durably.
    pub(crate) fn bring(&mut self, brought: &Brought) -> Result<Took, StoreError> {
        let store = match self {
            Self::Running(hub) => return hub.bring(brought),
            Self::Stopped(store) => store,
        };
        let took = store
            .take_in(clock::wall(), clock::mono(), brought)
            .and_then(|took| store.commit().map(|()| took));
        if took.is_err() {
            store.roll_back();
        }
        took
    }

    /// Keeps a recording, durably; whether it is new.
    fn keep(&mut self, entry: &Entry, clip_id: &ClipId) -> Result<bool, StoreError> {
        let store = match self {
            Self::Running(hub) => return hub.keep(entry, clip_id),
            Self::Stopped(store) => store,
        };
        let kept = store
            .submit(clock::wall(), clock::mono(), entry, clip_id)
            .and_then(|kept| store.commit().map(|()| kept));
        match kept {
            Ok(Kept::New(..)) => Ok(true),
            Ok(Kept::Before(_) | Kept::NotCounted(_)) => Ok(false),
            Err(error) => {
                store.drop_submission(clock::wall(), clip_id, true)?;
                Err(error)
            }
        }
    }
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Recordings that are kept from now on.
    pub new: usize,
    /// Recordings that were kept before, or withdrawn since.
    pub before: usize,
    /// Files that are no recordings, each with the reason.
    pub left_out: Vec<(PathBuf, String)>,
}

/// Imports the folder's recordings in the order of their names; `tell` hears of each file: its number, how many there are, and what came
/// of it.
///
/// # Errors
/// A folder that cannot be read, and a store that cannot keep a recording.
pub fn import(
    keeper: &mut Keeper<'_>,
    import: &Import,
    mut tell: impl FnMut(usize, usize, &Path, &str),
) -> Result<Imported, StoreError> {
    let failed = |error| StoreError::file("reading", &import.folder, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&import.folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let mut imported = Imported::default();
    for (place, path) in files.iter().enumerate() {
        let what = match one(keeper, import, path)? {
            Ok(true) => {
                imported.new += 1;
                "kept".to_owned()
            }
            Ok(false) => {
                imported.before += 1;
                "kept before, or taken back since".to_owned()
            }
            Err(why) => {
                let told = format!("left out: it {why}");
                imported.left_out.push((path.clone(), why));
                told
            }
        };
        tell(place + 1, files.len(), path, &what);
    }
    Ok(imported)
}

/// One recording: whether it is new, or why it is none.
fn one(
    keeper: &mut Keeper<'_>,
    import: &Import,
    path: &Path,
) -> Result<Result<bool, String>, StoreError> {
    let failed = |error| StoreError::file("reading", path, error);
    let bytes = booth_host::plain_file::read_at_most(path, MOST_BYTES).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Ok(Err(format!("has more than {} MB", MOST_BYTES >> 20)));
    }
    let made = match booth_audio::made_answer(&bytes, MOST_SECONDS, booth_audio::Sender::Operator) {
        Ok(made) => made,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let modified = std::fs::metadata(path).and_then(|file| file.modified());
    let said_at = modified
        .ok()
        .and_then(|at| jiff::Timestamp::try_from(at).ok());
    let mut hasher = Sha256::new();
    for part in [
        import.campaign.as_bytes(),
        import.question.as_bytes(),
        &bytes,
    ] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize()[..16]);
    let clip_id = clip_id_of(id);
    let notice = booth_contract::hex(&Sha256::digest(import.notice.as_bytes()));
    let levels = made.levels;
    let entry = Entry {
        clip_id: Some(clip_id.clone()),
        submission: Submission {
            source: Source::Phone,
            campaign_id: import.campaign.clone(),
            question_id: import.question.clone(),
            body: Body::Spoken(made.bytes, levels.length.ms()),
            lang: import.language.clone(),
            said_at,
            may_publish: import.may_publish,
            notice_id: notice[..16].to_owned(),
            code: None,
        },
        levels: Levels {
            rms_dbfs: levels.rms_dbfs,
            peak_dbfs: levels.peak_dbfs,
            speech_ratio: Some(levels.speech_ratio),
        },
        code: None,
    };
    keeper.keep(&entry, &clip_id).map(Ok)
}
