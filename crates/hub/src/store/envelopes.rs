//! Where a sealed body's envelope lies: apart from the body, so that deleting a few hundred bytes deletes the words.
//!
//! Owns: how an envelope is taken out of a body and read with it again. The body's file keeps its length; where its envelope was are
//! zeros. Never does: open an envelope. The order of things: the envelope is durable before anybody is told that the clip is stored,
//! and before it is taken out of a body that was told to be stored already. A cut between leaves a body that has its envelope in both
//! places, or one of a clip that comes again.
#![allow(clippy::disallowed_methods)] // the hub's own file work; each step names its fsync

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use sha2::{Digest, Sha256};

use super::bodies::{Bodies, BodiesError, Object};
use super::private::{Private, make_folder};
use super::record::{self, AtRest, Part};
use super::rows::{self, Known};
use super::{RECORDS_AT_ONCE, Store, StoreError, fsync, staging};
use booth_contract::{BodyHash, BodyKind, ClipId};
use booth_sealing::open::{BEFORE_ENVELOPE, envelope_length};

/// Where a body lies, and the file of its envelope, which may not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyFiles {
    /// The body.
    pub body: PathBuf,
    /// Its envelope; a body that is not sealed has none.
    pub envelope: Option<PathBuf>,
    /// Its object in a bucket, for a body that has no file.
    pub(super) object: Option<Object>,
}

impl BodyFiles {
    /// The files of a clip's body.
    pub(super) fn of(
        bodies: &Bodies,
        private: &Private,
        clip_id: &ClipId,
        kind: BodyKind,
        sha256: Option<&BodyHash>,
    ) -> Self {
        Self {
            body: record::path(bodies.clips(), clip_id, Part::Body(kind)),
            envelope: (kind == BodyKind::SealedOggOpus).then(|| private.envelope(clip_id)),
            object: bodies.object(clip_id, kind, sha256),
        }
    }

    /// Where it lies, for a sentence.
    pub fn place(&self) -> PathBuf {
        match &self.object {
            Some(object) if !self.body.exists() => object.bucket.path_of(&object.name),
            _ => self.body.clone(),
        }
    }

    /// The file of the body; `None` for one that is in a bucket alone.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.body) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.object.is_some() => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The bytes of the object, with the envelope still apart; `None` where there is no bucket, or no such object in it.
    ///
    /// # Errors
    /// A bucket that does not do its work.
    pub(super) fn fetch(&self) -> Result<Option<Bytes>, BodiesError> {
        match &self.object {
            Some(object) => object.bucket.get(&object.name),
            None => Ok(None),
        }
    }

    /// The same for a copy: only bytes that, with the envelope in its place, are the body. Without the envelope nobody can tell, nor open them.
    ///
    /// # Errors
    /// Every error of the file system, and a bucket that does not do its work.
    pub(super) fn fetch_to_copy(&self) -> Result<Option<Bytes>, StoreError> {
        let failed = |error| StoreError::file("reading", &self.place(), error);
        let Some(body) = self.fetch()? else {
            return Ok(None);
        };
        let is_known = self.envelope.is_none() || self.envelope().map_err(failed)?.is_some();
        let is_true = !is_known || self.whole(body.to_vec()).map_err(failed)?.is_some();
        Ok(is_true.then_some(body))
    }

    /// The body with its envelope in its place; `None` for one that is not what its object's name says.
    fn whole(&self, mut body: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        self.close(&mut body)?;
        let sha256 = BodyHash::of_digest(&Sha256::digest(&body));
        let is_true = self
            .object
            .as_ref()
            .is_some_and(|object| object.sha256 == sha256);
        Ok(is_true.then_some(body))
    }

    /// The note that the body was carried into the bucket.
    pub(super) fn note(&self) -> PathBuf {
        self.body.with_extension(record::suffix(Part::Away))
    }

    /// What the note says; `None` for a body that was not carried away, or was another one.
    pub(super) fn away(&self) -> io::Result<Option<AtRest>> {
        let Some(object) = &self.object else {
            return Ok(None);
        };
        match fs::read(self.note()) {
            Ok(text) => {
                let noted = serde_json::from_slice::<AtRest>(&text).ok();
                Ok(noted.filter(|noted| noted.sha256 == object.sha256))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many bytes the body has, in the folder or by the note; `None` where there is none.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(crate) fn length(&self) -> io::Result<Option<u64>> {
        match fs::metadata(&self.body) {
            Ok(file) => Ok(Some(file.len()).filter(|_| file.is_file())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(self.away()?.map(|noted| noted.bytes))
            }
            Err(error) => Err(error),
        }
    }

    /// Puts the envelope into its place, where it lies apart.
    fn close(&self, body: &mut [u8]) -> io::Result<()> {
        if let Some(envelope) = self.envelope()?
            && let Some(place) = body.get_mut(BEFORE_ENVELOPE..BEFORE_ENVELOPE + envelope.len())
        {
            place.copy_from_slice(&envelope);
        }
        Ok(())
    }

    /// The body as it was sealed, with its envelope in its place.
    ///
    /// # Errors
    /// Every error of the file system, and a bucket that does not do its work.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match (fs::read(&self.body), &self.object) {
            (Ok(mut body), _) => {
                self.close(&mut body)?;
                Ok(body)
            }
            (Err(error), Some(_)) if error.kind() == io::ErrorKind::NotFound => {
                let body = Vec::from(self.fetch()?.ok_or(error)?);
                self.whole(body)?.ok_or_else(|| {
                    let object = self.place().display().to_string();
                    BodiesError::Altered { object }.into()
                })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// The bytes of the body's file, which may go into a bucket: its envelope, where it has one, lies apart, and with it the body has its hash.
    /// `None` for one that is not so. A cut may have left the envelope in the body as well; it is taken out first.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn to_carry(&self) -> Result<Option<Bytes>, StoreError> {
        let failed = |error| StoreError::file("reading", &self.body, error);
        let mut body = fs::read(&self.body).map_err(failed)?;
        let mut whole = body.clone();
        self.close(&mut whole).map_err(failed)?;
        let sha256 = BodyHash::of_digest(&Sha256::digest(&whole));
        if self.object.as_ref().map(|object| &object.sha256) != Some(&sha256) {
            return Ok(None);
        }
        let Some(envelope) = &self.envelope else {
            return Ok(Some(body.into()));
        };
        let head = whole.first_chunk().and_then(envelope_length);
        let apart = self.envelope().map_err(failed)?.unwrap_or_default();
        let (Some(length), Some(place)) = (
            head.filter(|length| *length > 0 && *length == apart.len()),
            body.get_mut(BEFORE_ENVELOPE..BEFORE_ENVELOPE + apart.len()),
        ) else {
            return Ok(None);
        };
        if place.iter().any(|byte| *byte != 0) {
            place.fill(0);
            fsync(envelope)?;
            fsync(envelope.parent().unwrap_or(envelope))?;
            blank(&self.body, length as u64)?;
            fsync(&self.body)?;
        }
        Ok(Some(body.into()))
    }

    /// The envelope, where it lies apart.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn envelope(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(path) = &self.envelope else {
            return Ok(None);
        };
        match booth_host::plain_file::read_at_most(path, booth_sealing::envelope::MAX_BYTES as u64)
        {
            Ok(envelope) => Ok(Some(envelope)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a file elsewhere is this body, its envelope apart.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn are_copied(&self, to: &Path, noted: &AtRest) -> Result<bool, StoreError> {
        let copy = Self {
            body: to.to_owned(),
            envelope: self.envelope.clone(),
            object: None,
        };
        let found = copy.hash()?;
        Ok(found.is_some_and(|(sha256, bytes)| sha256 == noted.sha256 && bytes == noted.bytes))
    }

    /// Whether the body's words can be opened at all: its envelope is in the body or beside it.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn has_envelope(&self) -> io::Result<bool> {
        let Some(path) = &self.envelope else {
            return Ok(true);
        };
        if path.exists() {
            return Ok(true);
        }
        let Some(body) = self.open()? else {
            // A body that has its envelope in it is not carried away.
            return Ok(false);
        };
        let mut first = [0; 1];
        let read = body.read_at(&mut first, BEFORE_ENVELOPE as u64)?;
        Ok(read == 0 || first[0] != 0)
    }

    /// SHA-256 and length of the body as it was sealed, fetched from the bucket where it is there alone; `None` where there is no body.
    ///
    /// # Errors
    /// Every error of the file system, and a bucket that does not do its work.
    pub(super) fn hash_of_all(&self) -> Result<Option<(BodyHash, u64)>, StoreError> {
        let failed = |error| StoreError::file("reading", &self.body, error);
        if self.body.exists() || self.away().map_err(failed)?.is_none() {
            return self.hash();
        }
        let Some(body) = self.fetch()? else {
            return Ok(None);
        };
        let mut body = Vec::from(body);
        self.close(&mut body).map_err(failed)?;
        let hash = BodyHash::of_digest(&Sha256::digest(&body));
        Ok(Some((hash, body.len() as u64)))
    }

    /// The same of the file in the folder, or, where it was carried away, as its note says; `None` where there is no body.
    ///
    /// # Errors
    /// Every error of the file system.
    pub(super) fn hash(&self) -> Result<Option<(BodyHash, u64)>, StoreError> {
        let failed = |error| StoreError::file("reading", &self.body, error);
        if !self.body.exists()
            && let Some(noted) = self.away().map_err(failed)?
        {
            return Ok(Some((noted.sha256, noted.bytes)));
        }
        let Some(envelope) = self.envelope().map_err(failed)? else {
            return staging::hash_at(&self.body);
        };
        let file = match File::open(&self.body) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let bytes = file.metadata().map_err(failed)?.len();
        let mut head = vec![0; BEFORE_ENVELOPE + envelope.len()];
        if file.read_exact_at(&mut head, 0).is_err() {
            return staging::hash_at(&self.body);
        }
        head[BEFORE_ENVELOPE..].copy_from_slice(&envelope);
        let mut hasher = Sha256::new();
        hasher.update(&head);
        staging::hash_on(&file, head.len() as u64, u64::MAX, hasher)
            .map(|hash| Some((hash, bytes)))
            .map_err(failed)
    }
}

/// Writes a body's envelope to its own file, which the caller syncs with its folder; answers its length. `None` for a body that has
/// none in it.
///
/// # Errors
/// Every error of the file system.
fn copy_out(body: &Path, envelope: &Path) -> Result<Option<u64>, StoreError> {
    let failed = |error| StoreError::file("reading", body, error);
    let file = File::open(body).map_err(failed)?;
    let mut before = [0; BEFORE_ENVELOPE];
    if file.read_exact_at(&mut before, 0).is_err() {
        return Ok(None);
    }
    let Some(length) = envelope_length(&before).filter(|length| *length > 0) else {
        return Ok(None);
    };
    let mut content = vec![0; length];
    if file
        .read_exact_at(&mut content, BEFORE_ENVELOPE as u64)
        .is_err()
        || content[0] == 0
    {
        return Ok(None);
    }
    make_folder(envelope.parent().unwrap_or(envelope))?;
    record::publish(envelope, &content, envelope.exists())?;
    Ok(Some(length as u64))
}

/// Puts zeros where a body's envelope was; the caller syncs the file.
///
/// # Errors
/// Every error of the file system.
fn blank(body: &Path, length: u64) -> Result<(), StoreError> {
    let failed = |error| StoreError::file("writing", body, error);
    let file = OpenOptions::new().write(true).open(body).map_err(failed)?;
    file.write_all_at(&vec![0; length as usize], BEFORE_ENVELOPE as u64)
        .map_err(failed)
}

/// Puts an envelope back into its body, durably: for a body that leaves its place.
///
/// # Errors
/// Every error of the file system.
pub(super) fn put_back(files: &BodyFiles) -> Result<(), StoreError> {
    let failed = |error| StoreError::file("writing", &files.body, error);
    let Some(envelope) = files.envelope().map_err(failed)? else {
        return Ok(());
    };
    let file = OpenOptions::new()
        .write(true)
        .open(&files.body)
        .map_err(failed)?;
    if file.metadata().map_err(failed)?.len() >= (BEFORE_ENVELOPE + envelope.len()) as u64 {
        file.write_all_at(&envelope, BEFORE_ENVELOPE as u64)
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
    }
    Ok(())
}

impl Store {
    /// Takes the envelope out of a body that is not in its place yet; the commit syncs both.
    pub(super) fn take_envelope_out(
        &mut self,
        body: &Path,
        clip_id: &ClipId,
    ) -> Result<(), StoreError> {
        let envelope = self.private.envelope(clip_id);
        if self.private_disk.is_none() {
            let dir = self.private.dir();
            make_folder(dir)?;
            let disk = File::open(dir).map_err(|e| StoreError::file("opening", dir, e))?;
            self.private_disk = Some(disk);
        }
        if let Some(length) = copy_out(body, &envelope)? {
            self.private_dirty
                .extend(envelope.parent().map(Path::to_owned));
            self.private_dirty.insert(envelope);
            blank(body, length)?;
        }
        Ok(())
    }

    /// Has the commit sync an envelope that lay there before.
    pub(super) fn envelope_was_there(&mut self, files: &BodyFiles) {
        if let Some(envelope) = files.envelope.as_ref().filter(|path| path.exists()) {
            self.private_dirty
                .extend(envelope.parent().map(Path::to_owned));
            self.private_dirty.insert(envelope.clone());
        }
    }

    /// Takes the envelopes out of the bodies of a store of an earlier version.
    pub(super) fn take_old_envelopes_out(&mut self) -> Result<(), StoreError> {
        let is_done: bool =
            self.db
                .query_row("SELECT has_envelopes_apart FROM store", [], |row| {
                    row.get(0)
                })?;
        if is_done {
            return Ok(());
        }
        let mut last = ClipId::default();
        loop {
            let clips = rows::known_after(&self.db, &last, RECORDS_AT_ONCE)?;
            let Some(clip) = clips.last() else { break };
            last.clone_from(&clip.clip_id);
            self.take_envelopes_out_of(&clips)?;
        }
        self.db
            .execute("UPDATE store SET has_envelopes_apart = 1", [])?;
        Ok(())
    }

    /// First every envelope is durable, then the places of all are blanked.
    fn take_envelopes_out_of(&mut self, clips: &[Known]) -> Result<(), StoreError> {
        let mut copied = Vec::new();
        for clip in clips {
            if clip.body() != Some(Part::Body(BodyKind::SealedOggOpus)) {
                continue;
            }
            let body = record::path(
                &self.clips,
                &clip.clip_id,
                Part::Body(BodyKind::SealedOggOpus),
            );
            if !body.exists() {
                continue;
            }
            let envelope = self.private.envelope(&clip.clip_id);
            if let Some(length) = copy_out(&body, &envelope)? {
                copied.push((body, envelope, length));
            }
        }
        for (_, envelope, _) in &copied {
            fsync(envelope)?;
            fsync(envelope.parent().unwrap_or(envelope))?;
        }
        for (body, _, length) in &copied {
            blank(body, *length)?;
            fsync(body)?;
        }
        Ok(())
    }
}
