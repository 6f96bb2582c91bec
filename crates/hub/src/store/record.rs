//! A clip's record: the manifest that made it, as it came, in a file beside the body.
//!
//! Owns: the names of all files in `clips/`, and the record's form. Never does: fsync a new record; the store's commit fsyncs body
//! and record together. The database can be made anew from these files. A record that a power cut has torn was promised to nobody
//! and counts as absent; a record is replaced only by one of the same manifest.
#![allow(clippy::disallowed_methods)] // the hub's own file work; the store fsyncs it

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::StoreError;
use super::bodies::Bodies;
use super::codes::Verdict;
use super::envelopes::BodyFiles;
use super::private::Private;
use crate::ingest::{self, is_clip_id};
use crate::receipts::ReceiptMark;
use booth_contract::hex;
use booth_contract::{BodyHash, BodyKind, BoothId, ClipId, ClipKind, MAX_JSON_BYTES, Manifest};

/// Version of the record's form.
const SCHEMA: u32 = 1;
/// Every byte of a manifest may take six bytes in JSON (`\u0000`); the other fields are short.
const MAX_BYTES: u64 = 6 * MAX_JSON_BYTES as u64 + 4096;

/// A body that the hub sealed itself, or that was carried into a bucket: its length and its hash, with its envelope in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AtRest {
    pub bytes: u64,
    pub sha256: BodyHash,
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    schema: u32,
    /// The booth in whose branch of topics the manifest came.
    pub sender: BoothId,
    /// When the clip was whole at the hub, RFC 3339 UTC.
    pub received_at: String,
    /// The clip was held: its sender had not announced its card.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_held: bool,
    /// When a held clip was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<String>,
    /// The receipt's hash under the hub's own key; the manifest is without the sealed receipt then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<ReceiptMark>,
    /// What the body's file is, where the hub sealed a body that came open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_rest: Option<AtRest>,
    /// Somebody who has listened took it for a child's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub child: bool,
    /// What became of a vote that needs a one-time code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Verdict>,
    manifest_sha256: String,
    /// The manifest, byte for byte; without its sealed receipt where `receipt` stands in its place.
    pub manifest: String,
}

impl Record {
    /// The record of a manifest that was believed, and therefore is text.
    pub(super) fn new(sender: &BoothId, received_at: String, manifest: &[u8]) -> Self {
        Self {
            schema: SCHEMA,
            sender: sender.clone(),
            received_at,
            is_held: false,
            accepted_at: None,
            receipt: None,
            at_rest: None,
            child: false,
            code: None,
            manifest_sha256: hex(&Sha256::digest(manifest)),
            manifest: String::from_utf8_lossy(manifest).into_owned(),
        }
    }

    /// Whether the clip is still held.
    pub(super) fn waits_for_a_look(&self) -> bool {
        self.is_held && self.accepted_at.is_none()
    }

    /// What its body's file must be; `None` for a manifest without a body.
    pub(super) fn kept(&self, manifest: &Manifest) -> Option<Kept> {
        kept(manifest, self.at_rest.as_ref())
    }

    /// The manifest, if it can be one of `clip_id`. The hub's present limit of bytes does not apply: the clip was taken in already.
    pub(super) fn believed(&self, clip_id: &ClipId) -> Option<Manifest> {
        ingest::believe(clip_id, self.manifest.as_bytes(), u64::MAX).ok()
    }
}

/// Writes the record; the caller has it fsynced, with its folder.
///
/// # Errors
/// Every error of the file system.
pub(super) fn write(path: &Path, record: &Record) -> Result<(), StoreError> {
    let text = serde_json::to_vec(record)
        .map_err(|error| StoreError::file("writing", path, error.into()))?;
    // A record that is durable already must not be replaced by one that is not.
    publish(path, &text, path.exists())
}

/// Gives a whole file its name and replaces a file that had it; if `is_durable`, the new file is durable before. `booth-hub accept`
/// works beside the hub, so that each process has an unfinished file of its own.
///
/// # Errors
/// Every error of the file system.
pub(super) fn publish(path: &Path, content: &[u8], is_durable: bool) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.{}", std::process::id()));
    fs::write(&unfinished, content).map_err(|e| StoreError::file("writing", &unfinished, e))?;
    if is_durable {
        super::fsync(&unfinished)?;
    }
    fs::rename(&unfinished, path).map_err(|e| StoreError::file("renaming to", path, e))
}

/// Overwrites and removes what [`publish`] had not given its name when a program was killed, in this folder and all below: a manifest
/// or an envelope that nobody would ever look for again. Files of a program that runs stay, and files that are younger than `age`: the programs of
/// another unit cannot be seen from within a unit (user_namespaces(7)).
///
/// # Errors
/// Every error of the file system.
pub(super) fn sweep(folder: &Path, age: Duration) -> Result<(), StoreError> {
    let failed = |error| StoreError::file("reading", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            sweep(&entry.path(), age)?;
        } else if kind.is_file() && is_left_over(&entry.file_name().to_string_lossy()) {
            let written = entry.metadata().and_then(|file| file.modified());
            let is_old = |at: SystemTime| at.elapsed().is_ok_and(|since| since >= age);
            if age.is_zero() || written.is_ok_and(is_old) {
                super::private::wipe(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Whether this is the name of an unfinished file whose program runs no more.
fn is_left_over(name: &str) -> bool {
    let parts = name
        .strip_prefix('.')
        .and_then(|name| name.rsplit_once('.'));
    let program = parts.and_then(|(_, program)| program.parse::<u32>().ok());
    program.is_some_and(|program| {
        // A program that has just begun has written nothing: what has its number is another one's.
        program == std::process::id() || !Path::new(&format!("/proc/{program}")).exists()
    })
}

/// Reads the record; `None` if there is none, or none that is whole.
///
/// # Errors
/// Every error of the file system.
pub(super) fn read(path: &Path) -> Result<Option<Record>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::file("opening", path, error)),
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES)
        .read_to_end(&mut text)
        .map_err(|e| StoreError::file("reading", path, e))?;
    Ok(serde_json::from_slice(&text)
        .ok()
        .filter(|record: &Record| {
            record.schema == SCHEMA
                && record.manifest_sha256 == hex(&Sha256::digest(record.manifest.as_bytes()))
        }))
}

/// What a file in `clips/` is, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The words, open or sealed.
    Body(BodyKind),
    /// The manifest of a clip with words.
    Record,
    /// The manifest of a number that was given up: the words may still come.
    Void,
    /// The mark of a clip that a citizen withdrew.
    Withdrawn,
    /// The note that the body is in a bucket.
    Away,
}

const PARTS: [(Part, &str); 7] = [
    (Part::Body(BodyKind::OggOpus), "opus"),
    (Part::Body(BodyKind::Text), "text"),
    (Part::Body(BodyKind::SealedOggOpus), "sealed"),
    (Part::Record, "json"),
    (Part::Void, "void.json"),
    (Part::Withdrawn, "withdrawn"),
    (Part::Away, "away"),
];

/// Where a clip's file lies. The id was checked: it cannot leave the folder.
pub(super) fn path(clips: &Path, clip_id: &ClipId, part: Part) -> PathBuf {
    let suffix = suffix(part);
    clips
        .join(&clip_id[..2])
        .join(format!("{clip_id}.{suffix}"))
}

/// How the name of such a file ends.
pub(super) fn suffix(part: Part) -> &'static str {
    let known = PARTS.iter().find(|(of, _)| *of == part);
    known.map_or("", |(_, suffix)| suffix)
}

/// What a body's file must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub kind: BodyKind,
    bytes: u64,
    sha256: Option<BodyHash>,
}

impl Kept {
    /// The hash of its body.
    pub(super) fn sha256(&self) -> Option<&BodyHash> {
        self.sha256.as_ref()
    }

    /// Whether a file with this hash and length is it.
    pub(super) fn is_as(&self, found: Option<&(BodyHash, u64)>) -> bool {
        found
            .is_some_and(|(hash, bytes)| *bytes == self.bytes && Some(hash) == self.sha256.as_ref())
    }
}

/// What the file of a manifest's body must be: as it came, or as the hub has sealed it.
pub(super) fn kept(manifest: &Manifest, at_rest: Option<&AtRest>) -> Option<Kept> {
    let kept = match at_rest {
        _ if manifest.bytes == 0 => return None,
        Some(AtRest { bytes, sha256 }) => Kept {
            kind: BodyKind::SealedOggOpus,
            bytes: *bytes,
            sha256: Some(sha256.clone()),
        },
        None => Kept {
            kind: manifest.body.unwrap_or(BodyKind::OggOpus),
            bytes: manifest.bytes,
            sha256: manifest.sha256.clone(),
        },
    };
    Some(kept)
}

/// Whether the body lies in its place, by its hash; always true where there is none.
///
/// # Errors
/// Every error of the file system.
pub(super) fn has_whole_body(
    bodies: &Bodies,
    private: &Private,
    clip_id: &ClipId,
    kept: Option<&Kept>,
) -> Result<bool, StoreError> {
    let Some(kept) = kept else { return Ok(true) };
    let files = BodyFiles::of(bodies, private, clip_id, kept.kind, kept.sha256());
    Ok(kept.is_as(files.hash()?.as_ref()))
}

/// Which file is the clip's record.
pub(super) fn record_of(manifest: &Manifest) -> Part {
    match manifest.kind {
        ClipKind::Void => Part::Void,
        ClipKind::Audio | ClipKind::Choice | ClipKind::Text => Part::Record,
    }
}

/// The clip that a file belongs to, and what the file is, by its name.
pub(super) fn named(path: &Path) -> Option<(ClipId, Part)> {
    let name = path.file_name()?.to_str()?;
    let (clip_id, suffix) = name.split_once('.')?;
    let (part, _) = PARTS.iter().find(|(_, known)| *known == suffix)?;
    let folder = path.parent()?.file_name()?.to_str()?;
    (is_clip_id(clip_id) && folder == &clip_id[..2]).then(|| (clip_id.into(), *part))
}

/// Every file in `clips/`, folder by folder; files whose name begins with a dot are left out.
pub(super) fn all(clips: &Path) -> impl Iterator<Item = Result<PathBuf, StoreError>> + use<> {
    let read = |folder: &Path| -> Result<Vec<PathBuf>, StoreError> {
        let failed = |error| StoreError::file("reading", folder, error);
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    };
    let (folders, fault) = match read(clips) {
        Ok(folders) => (folders, None),
        Err(error) => (Vec::new(), Some(Err(error))),
    };
    let files = folders.into_iter().flat_map(move |folder| {
        if !folder.is_dir() {
            return vec![Ok(folder)];
        }
        match read(&folder) {
            Ok(files) => files.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    });
    fault.into_iter().chain(files)
}
