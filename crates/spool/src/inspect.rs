//! A spool that is only looked at: a card outside its booth, read without changing a byte of it.
//!
//! Owns: what each file of the spool is, said of the file alone (docs/spool-format.md §1, §4): the ledger is not believed. Never does: write, lock,
//! finish a take, or know where the bytes come from: a [`Source`] gives them. What a source does not give is told as that, and is no damage.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::card::{self, CARD_FILE, CardFound};
use super::clip_file::{CutOff, Found, read, retimed, taken_apart};
use super::disk::{Disk, Listed, read_whole};
use super::error::is_verdict;
use super::folders::clip_of;
use super::real_disk::RealDisk;
use super::record;
use super::settle::LONGEST_FILE;
use super::{Card, CardFault, KeptClip, withdrawals};
use booth_contract::manifest::text_of_choice;
use booth_contract::{BodyHash, BootId, BoothId, CardId, ClipId, ClipKind, Manifest};

/// Where the files of a spool come from.
pub trait Source {
    /// The entries of a folder, in no order; `NotFound` if there is none.
    ///
    /// # Errors
    /// A disk that does not answer.
    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>>;
    /// A whole plain file; a longer one than `limit` is `InvalidData`.
    ///
    /// # Errors
    /// A file that is missing or not given.
    fn read(&self, file: &Path, limit: u64) -> io::Result<Vec<u8>>;
}

impl Source for RealDisk {
    fn list(&self, folder: &Path) -> io::Result<Vec<Listed>> {
        Disk::list(self, folder)
    }

    fn read(&self, file: &Path, limit: u64) -> io::Result<Vec<u8>> {
        read_whole(self, file, limit)
    }
}

/// A file of the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolFile {
    /// Its path, by the source's names.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Whether it lies in `quarantine/`.
    pub in_quarantine: bool,
    /// The clip or the withdrawal that it is named after; `None` for a name that is none, and for what is no plain file.
    pub id: Option<Uuid>,
}

/// What lies in a spool.
#[derive(Debug)]
pub struct Contents {
    /// The card's identity, or why it is not known.
    pub card: Result<Card, CardFault>,
    /// The clips' files; one that lies in both folders is named once, as in `clips/`.
    pub clips: Vec<SpoolFile>,
    /// The withdrawals' files.
    pub withdrawals: Vec<SpoolFile>,
    /// How many files the booth has set aside because it could not read them.
    pub aside: usize,
}

/// Whether there is a spool in this folder.
pub fn is_spool(source: &dyn Source, folder: &Path) -> bool {
    let has = |name: &str| {
        let listed = source.list(folder).unwrap_or_default();
        listed.iter().any(|entry| entry.name == name)
    };
    let clips = source.list(&folder.join("clips"));
    clips
        .is_ok_and(|clips| has(CARD_FILE) || clips.iter().any(|file| clip_of(&file.name).is_some()))
}

/// Lists the spool in this folder.
///
/// # Errors
/// A folder that is not given.
pub fn contents(source: &dyn Source, folder: &Path) -> io::Result<Contents> {
    let card = match Card::found(source.read(&folder.join(CARD_FILE), card::LONGEST_FILE)) {
        Ok(CardFound::Known(card)) => Ok(*card),
        Ok(CardFound::Missing) => Err(CardFault::NotGiven("it is missing".into())),
        Ok(CardFound::Unreadable(why)) => Err(why),
        Err(error) => Err(CardFault::NotGiven(error.to_string())),
    };
    let mut clips = files(source, &folder.join("clips"), false, clip_of)?;
    let known: Vec<Option<Uuid>> = clips.iter().map(|file| file.id).collect();
    let quarantine = files(source, &folder.join("quarantine"), true, clip_of)?;
    let quarantine = quarantine.into_iter();
    clips.extend(quarantine.filter(|file| file.id.is_none() || !known.contains(&file.id)));
    clips.sort_by(|a, b| a.path.cmp(&b.path));
    let withdrawals = files(
        source,
        &folder.join("withdrawals"),
        false,
        withdrawals::id_of,
    )?;
    let aside = files(source, &folder.join("aside"), false, clip_of)?;
    Ok(Contents {
        card,
        clips,
        withdrawals: withdrawals
            .into_iter()
            .filter(|file| file.id.is_some())
            .collect(),
        // A folder there is an old ledger.
        aside: aside.iter().filter(|file| file.bytes > 0).count(),
    })
}

/// The files of one folder; none if there is no such folder.
fn files(
    source: &dyn Source,
    folder: &Path,
    in_quarantine: bool,
    id_of: impl Fn(&str) -> Option<Uuid>,
) -> io::Result<Vec<SpoolFile>> {
    let listed = match source.list(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let file = |entry: Listed| SpoolFile {
        path: folder.join(&entry.name),
        bytes: if entry.is_folder { 0 } else { entry.bytes },
        in_quarantine,
        id: id_of(&entry.name).filter(|_| !entry.is_folder),
    };
    Ok(listed.into_iter().map(file).collect())
}

/// A whole clip, taken from its file.
#[derive(Debug)]
pub struct WholeClip {
    /// What is known of it.
    pub clip: KeptClip,
    /// Why it is in quarantine, if it is.
    pub quarantine: Option<String>,
    file: Vec<u8>,
    manifest: Range<usize>,
    body: Vec<Range<usize>>,
    /// Whether the manifest may have left the booth, so that it stays as it is.
    is_offered: bool,
    /// The manifest with the right time.
    corrected: Option<Vec<u8>>,
}

impl WholeClip {
    /// Gives a message that was never offered the right time, if the card has noted the clocks of its boot: the booth does so before it
    /// offers one.
    pub fn correct(&mut self, clocks: &BTreeMap<BootId, i64>) {
        let offset = clocks.get(&self.clip.boot_id);
        let Some(offset) = offset.filter(|_| !self.clip.clock_synced && !self.is_offered) else {
            return;
        };
        if let Ok(manifest) = serde_json::from_slice::<Manifest>(self.manifest()) {
            let manifest = retimed(manifest, *offset);
            self.clip = KeptClip::of(&manifest);
            self.corrected = Some(manifest.to_json());
        }
    }

    /// The file, byte for byte as it lies on the card.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The manifest as it is sent.
    pub fn manifest(&self) -> &[u8] {
        match &self.corrected {
            Some(manifest) => manifest,
            None => &self.file[self.manifest.clone()],
        }
    }

    /// The body's pieces in their order.
    pub fn body(&self) -> impl Iterator<Item = &[u8]> {
        self.body.iter().map(|piece| &self.file[piece.clone()])
    }

    /// Whether the body has the hash that the manifest says, which no checksum of a record proves.
    fn has_its_hash(&self, manifest: &Manifest) -> bool {
        let digest = match manifest.kind {
            ClipKind::Void => return true,
            ClipKind::Choice => {
                let question_id = manifest.question_id.as_deref().unwrap_or_default();
                let choice = manifest.choice.unwrap_or_default();
                Sha256::digest(text_of_choice(&manifest.clip_id, question_id, choice).as_bytes())
            }
            ClipKind::Audio | ClipKind::Text => {
                let mut hash = Sha256::new();
                self.body().for_each(|piece| hash.update(piece));
                hash.finalize()
            }
        };
        manifest.sha256 == Some(BodyHash::of_digest(&digest))
    }
}

/// A take that was cut off, and which the card's next start in a booth finishes.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    /// Its id.
    pub clip_id: ClipId,
    /// The booth where it was spoken.
    pub booth_id: BoothId,
    /// Its card.
    pub card_id: CardId,
    /// When it was armed, by the wall clock at that time, in ms since 1970.
    pub armed_at_ms: i64,
    /// How long what is there of it is.
    pub duration_ms: u64,
}

impl Unfinished {
    fn of(cut: &CutOff) -> Self {
        let clip = &cut.header.clip;
        Self {
            clip_id: clip.clip_id.clone(),
            booth_id: clip.booth_id.clone(),
            card_id: cut.header.card_id.clone(),
            armed_at_ms: cut.start.wall_ms,
            duration_ms: cut.tally.duration_ms(),
        }
    }
}

/// What a clip's file turned out to be.
#[derive(Debug)]
pub enum Looked {
    /// A finished clip, every checksum right.
    Whole(Box<WholeClip>),
    /// A take that a power cut ended.
    Unfinished(Box<Unfinished>),
    /// Nothing that anybody wants: it was deleted by its citizen, or ended before a word.
    Nothing,
    /// A finished clip that is not what was written, and why.
    Damaged(Box<KeptClip>, String),
    /// A clip of another version of the format.
    OtherVersion(u8),
    /// No clip, and why.
    NoClip(String),
    /// The source does not give the file now.
    NotGiven(io::Error),
}

/// Reads a clip's file and looks at the checksum of every record; `proves` computes the body's hash, too.
pub fn look(source: &dyn Source, file: &SpoolFile, proves: bool) -> Looked {
    let Some(id) = file.id else {
        return Looked::NoClip("it is no clip file".into());
    };
    let bytes = match source.read(&file.path, LONGEST_FILE) {
        Ok(bytes) => bytes,
        Err(error) if is_verdict(&error) => return Looked::NoClip(error.to_string()),
        Err(error) => return Looked::NotGiven(error),
    };
    if let Some(version) = record::version_of(&bytes).filter(|version| !record::is_known(*version))
    {
        return Looked::OtherVersion(version);
    }
    match read(&bytes, id) {
        Found::Finished(manifest, closed) => {
            let clip = KeptClip::of(&manifest);
            let Some(parts) = taken_apart(&bytes, id, &closed) else {
                return Looked::NoClip("its manifest is not where it was".into());
            };
            let reason = closed.note.filter(|_| file.in_quarantine);
            let whole = WholeClip {
                clip,
                quarantine: file.in_quarantine.then(|| {
                    let lost = || "the reason is in the ledger alone".to_owned();
                    reason.map_or_else(lost, |note| note.reason)
                }),
                file: bytes,
                manifest: parts.manifest,
                body: parts.body,
                is_offered: closed.offered_at.is_some(),
                corrected: None,
            };
            match !proves || whole.has_its_hash(&manifest) {
                true => Looked::Whole(Box::new(whole)),
                false => {
                    let why = "its body does not have the hash that its manifest says";
                    Looked::Damaged(Box::new(whole.clip), why.into())
                }
            }
        }
        Found::Damaged(manifest, _, why) => Looked::Damaged(Box::new(KeptClip::of(&manifest)), why),
        Found::CutOff(cut) => Looked::Unfinished(Box::new(Unfinished::of(&cut))),
        Found::Discarded | Found::Empty => Looked::Nothing,
        Found::Unreadable(why) => Looked::NoClip(why),
    }
}

/// The payload of a withdrawal as it is sent, from its file.
///
/// # Errors
/// A file that is none or is not given, as a sentence.
pub fn withdrawal(source: &dyn Source, file: &SpoolFile) -> Result<(ClipId, Vec<u8>), String> {
    let id = file.id.ok_or("it is no withdrawal")?;
    let text = source
        .read(&file.path, withdrawals::LONGEST_FILE)
        .map_err(|error| error.to_string())?;
    let (payload, withdrawal) =
        withdrawals::of_file(&text, id).map_err(|error| error.to_string())?;
    Ok((withdrawal.id, payload))
}

/// The bytes of a file as they lie there, for whoever keeps what is not whole.
///
/// # Errors
/// A file that is not given.
pub fn raw(source: &dyn Source, file: &SpoolFile) -> io::Result<Vec<u8>> {
    source.read(&file.path, LONGEST_FILE)
}
