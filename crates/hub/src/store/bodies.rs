//! Where whole bodies lie: in `clips/`, or, once they were carried there, as objects in a bucket of an S3-compatible store.
//!
//! Owns: what `[store] bodies` may say, the note `bodies.toml` in the store's folder that says the same to every program, the names of
//! objects, and what is said when the bucket does not do its work. Never does: carry a body ([`mover`](super::mover) does), or keep a manifest or an
//! envelope in a bucket. A body in the folder counts before one in the bucket.
#![allow(clippy::disallowed_methods)] // reads and writes the note

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use booth_host::plain_file;
use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::private::Private;
use super::record::{self, Part};
use super::{StoreError, fsync};
use booth_contract::{BodyHash, BodyKind, ClipId};

/// The region that is named to a server that has none.
const ANY_REGION: &str = "us-east-1";

/// The bucket with the bodies, and how it is reached. Holds no secret, but the name of the file that does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodiesAway {
    /// `s3://bucket/prefix`; the prefix may be missing.
    pub bodies: String,
    /// `https://s3.example` of another server than Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region, where the server has regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The name of the access key.
    pub key_id: String,
    /// The file with the key's secret.
    pub secret_file: PathBuf,
    /// Another machine may be spoken to without TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_clear: bool,
}

/// What the store's folder says of its bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// What this store's bucket is marked with, so that no other one is taken for it; the hub chooses it.
    mark: String,
    /// A body was on its way there: something may be there although no note beside a clip says so.
    has_begun: bool,
    /// Where it is, and how the hub reaches it.
    reached: BodiesAway,
}

/// The bucket does not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodiesError {
    /// The configuration cannot be used.
    #[error("[store] {0}")]
    Setting(String),
    /// It knows this key not, or not for this.
    #[error(
        "{place} refuses this hub ({why}): look at [store] bodies_key_id and bodies_secret_file, and whether this key may list, read, write and \
         delete there"
    )]
    Refused {
        /// The bucket and the prefix.
        place: String,
        /// What it said.
        why: String,
    },
    /// There is no such bucket.
    #[error(
        "{place} is not there: make the bucket, or correct [store] bodies, bodies_endpoint and bodies_region"
    )]
    NoBucket {
        /// The bucket and the prefix.
        place: String,
    },
    /// It does not answer, or not as it should.
    #[error(
        "{place} does not answer as it should ({why}): look at that server and the way to it; what is not in it stays in the store's folder, and the \
         hub goes on by itself"
    )]
    Away {
        /// The bucket and the prefix.
        place: String,
        /// What happened.
        why: String,
    },
    /// What lies there is not what was put there.
    #[error("{object} is not what was put there: run booth-hub check, and look at that server")]
    Altered {
        /// The object.
        object: String,
    },
}

impl BodiesError {
    /// Whether starting again changes nothing before somebody has acted.
    pub(super) fn needs_an_operator(&self) -> bool {
        matches!(
            self,
            Self::Setting(_) | Self::Refused { .. } | Self::NoBucket { .. }
        )
    }
}

impl From<BodiesError> for io::Error {
    fn from(error: BodiesError) -> Self {
        let kind = match &error {
            BodiesError::Altered { .. } => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl BodiesAway {
    /// The bucket, and the prefix of every object's name without slashes around it.
    ///
    /// # Errors
    /// What is wrong with the address, as the end of a sentence.
    pub fn bucket_and_prefix(&self) -> Result<(&str, &str), String> {
        let wanted = "must be like \"s3://bucket/prefix\"";
        let Some(rest) = self.bodies.strip_prefix("s3://") else {
            return Err(format!("{wanted}, and is {:?}", self.bodies));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_bucket = (3..=63).contains(&bucket.len()) && bucket.chars().all(is_of_a_name);
        let is_level = |level: &str| {
            !level.is_empty() && !matches!(level, "." | "..") && level.chars().all(is_of_a_name)
        };
        let is_prefix = prefix.is_empty() || prefix.split('/').all(is_level);
        match is_bucket && is_prefix && prefix.len() <= 200 {
            true => Ok((bucket, prefix)),
            false => Err(format!(
                "{wanted}, with letters, digits, dots and hyphens alone, and is {:?}",
                self.bodies
            )),
        }
    }

    /// Whether both are at one place.
    fn is_at(&self, other: &Self) -> bool {
        self.bodies.trim_end_matches('/') == other.bodies.trim_end_matches('/')
    }

    /// The region, or what stands for one.
    pub(super) fn region(&self) -> &str {
        self.region.as_deref().unwrap_or(ANY_REGION)
    }

    /// What is wrong with the endpoint, as the end of a sentence.
    fn endpoint_fault(&self) -> Option<String> {
        let endpoint = self.endpoint.as_deref()?;
        let (is_clear, rest) = match endpoint.split_once("://") {
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            _ => return Some("must begin with https:// (or http:// on this machine)".into()),
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Some("must be a server and a port alone, like https://s3.example:9000".into());
        }
        let server = match authority.rsplit_once(':') {
            Some((server, port)) if port.parse::<u16>().is_ok() => server,
            _ => authority,
        };
        let server = server.trim_start_matches('[').trim_end_matches(']');
        let is_here = server == "localhost"
            || server
                .parse()
                .is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        (is_clear && !is_here && !self.in_clear).then(|| {
            "leads to another machine without TLS: use https://, or say bodies_in_clear = true where nobody else is on that network".into()
        })
    }

    /// Every key that cannot work, and why.
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let Err(why) = self.bucket_and_prefix() {
            faults.push(("[store] bodies", why));
        }
        if let Some(why) = self.endpoint_fault() {
            faults.push(("[store] bodies_endpoint", why));
        }
        faults
    }
}

impl Note {
    /// Leaves it in a folder, durably.
    fn leave(&self, dir: &Path) -> Result<(), StoreError> {
        self.write(&note_in(dir))
    }

    fn write(&self, path: &Path) -> Result<(), StoreError> {
        toml::to_string(self)
            .map_err(io::Error::other)
            .and_then(|text| plain_file::replace_private(path, text.as_bytes()))
            .map_err(|error| StoreError::file("writing", path, error))
    }
}

/// The note's path in a folder.
pub(super) fn note_in(dir: &Path) -> PathBuf {
    dir.join("bodies.toml")
}

/// What the folder's note says; `None` where all bodies are in the folder.
///
/// # Errors
/// A note that cannot be read.
pub(super) fn noted(dir: &Path) -> Result<Option<Note>, StoreError> {
    read_note(&note_in(dir))
}

fn read_note(path: &Path) -> Result<Option<Note>, StoreError> {
    let read = match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    read.map_err(|error| StoreError::file("reading", path, error))
}

/// Whether the folder and the configuration say the same. A folder without a note says nothing.
///
/// # Errors
/// [`StoreError::BodiesMoved`], and a note that cannot be read.
pub fn bodies_agree(dir: &Path, wanted: Option<&BodiesAway>) -> Result<(), StoreError> {
    agree(dir, wanted, noted(dir)?.as_ref())
}

fn agree(dir: &Path, wanted: Option<&BodiesAway>, noted: Option<&Note>) -> Result<(), StoreError> {
    match (wanted, noted) {
        (_, None) => Ok(()),
        (Some(wanted), Some(noted)) if wanted.is_at(&noted.reached) => Ok(()),
        (_, Some(noted)) if !noted.has_begun && has_nothing_there(dir) => Ok(()),
        (_, Some(noted)) => Err(StoreError::BodiesMoved {
            dir: dir.to_owned(),
            bodies: noted.reached.bodies.clone(),
        }),
    }
}

/// Whether nothing of this store is in the bucket that its note names: it may name another one.
fn has_nothing_there(dir: &Path) -> bool {
    let leaving = Private::beside(dir).leaving();
    !are_any_away(&dir.join("clips")) && leaving.is_ok_and(|leaving| leaving.is_empty())
}

/// Notes what the configuration says, if it may say that.
///
/// # Errors
/// [`StoreError::BodiesMoved`], and every error of the file system.
pub(super) fn bind(dir: &Path, wanted: Option<&BodiesAway>) -> Result<(), StoreError> {
    let noted = noted(dir)?;
    agree(dir, wanted, noted.as_ref())?;
    let Some(wanted) = wanted else {
        return match noted {
            Some(_) => lay_aside(dir),
            None => Ok(()),
        };
    };
    let before = match &noted {
        None => read_note(&aside_in(dir))?,
        noted => (*noted).clone(),
    };
    let mut note = Note {
        // A store has one mark, wherever its bucket is: what it has marked it takes for its own again.
        mark: before.map_or_else(|| uuid::Uuid::new_v4().to_string(), |before| before.mark),
        has_begun: noted
            .as_ref()
            .is_some_and(|noted| noted.has_begun && noted.reached.is_at(wanted)),
        reached: wanted.clone(),
    };
    // Every program finds the secret by it, wherever it was started.
    if let Ok(absolute) = std::path::absolute(&wanted.secret_file) {
        note.reached.secret_file = absolute;
    }
    match noted == Some(note.clone()) {
        true => Ok(()),
        false => note.leave(dir),
    }
}

/// Notes, before the first body is put there, that the bucket is not to be exchanged any more.
///
/// # Errors
/// Every error of the file system.
pub(super) fn begins(dir: &Path) -> Result<(), StoreError> {
    match noted(dir)? {
        Some(noted) if !noted.has_begun => Note {
            has_begun: true,
            ..noted
        }
        .leave(dir),
        _ => Ok(()),
    }
}

fn aside_in(dir: &Path) -> PathBuf {
    dir.join("bodies.toml.before")
}

/// Keeps the note of a bucket in which nothing is, for its mark.
fn lay_aside(dir: &Path) -> Result<(), StoreError> {
    let path = note_in(dir);
    fs::rename(&path, aside_in(dir)).map_err(|error| StoreError::file("renaming", &path, error))?;
    fsync(dir)
}

/// Whether any body was carried away from this folder.
pub(super) fn are_any_away(clips: &Path) -> bool {
    let is_note = |file: &Result<PathBuf, StoreError>| match file {
        Ok(file) => matches!(record::named(file), Some((_, Part::Away))),
        Err(_) => true,
    };
    record::all(clips).any(|file| is_note(&file))
}

/// Puts the note of a backup, whose bodies are all in the folder again, where a hub finds its mark: it takes the bucket of before for its own, and
/// may have another one, or none. Whether there was one.
///
/// # Errors
/// Every error of the file system.
pub(super) fn put_back(from: &Path, dir: &Path) -> Result<bool, StoreError> {
    match read_note(from)? {
        Some(note) => note.write(&aside_in(dir)).map(|()| true),
        None => Ok(false),
    }
}

/// The bodies of a store.
#[derive(Debug, Clone)]
pub(super) struct Bodies {
    clips: PathBuf,
    bucket: Option<Arc<Bucket>>,
}

impl Bodies {
    /// The bodies of the store in this folder, as its note says. Nothing is asked of a bucket yet, and no secret is needed before.
    ///
    /// # Errors
    /// A note that cannot be read, and a system that gives no thread.
    pub(super) fn of(dir: &Path) -> Result<Self, StoreError> {
        Self::reached(dir, None)
    }

    /// The same, for a program that reaches the bucket with a key of its own.
    ///
    /// # Errors
    /// The same.
    pub(super) fn reached(dir: &Path, own: Option<&BodiesAway>) -> Result<Self, StoreError> {
        let bucket = match noted(dir)? {
            Some(noted) => Some(Bucket::open(own.unwrap_or(&noted.reached), &noted.mark)?),
            None => None,
        };
        Ok(Self {
            clips: dir.join("clips"),
            bucket,
        })
    }

    /// The folder.
    pub(super) fn clips(&self) -> &Path {
        &self.clips
    }

    /// The bucket, where there is one.
    pub(super) fn bucket(&self) -> Option<&Arc<Bucket>> {
        self.bucket.as_ref()
    }

    /// The object of a body, where there is a bucket.
    pub(super) fn object(
        &self,
        clip_id: &ClipId,
        kind: BodyKind,
        sha256: Option<&BodyHash>,
    ) -> Option<Object> {
        let bucket = self.bucket.clone()?;
        let sha256 = sha256?.clone();
        Some(Object {
            name: name_of(clip_id, kind, &sha256),
            bucket,
            sha256,
        })
    }
}

/// The object of a body: its name in the bucket says whose it is, and the hash that the body had when it was sealed.
#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) bucket: Arc<Bucket>,
    /// Its name below the prefix.
    pub(super) name: String,
    /// SHA-256 of the body with its envelope in its place.
    pub(super) sha256: BodyHash,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.bucket.place() == other.bucket.place()
    }
}

impl Eq for Object {}

/// The name of a body's object. Two versions of a clip have two names, so that an object is never replaced by another body.
pub(super) fn name_of(clip_id: &ClipId, kind: BodyKind, sha256: &BodyHash) -> String {
    let suffix = record::suffix(Part::Body(kind));
    format!("{}/{clip_id}/{sha256}.{suffix}", &clip_id[..2])
}

/// What all names of a clip's objects begin with.
pub(super) fn folder_of(clip_id: &ClipId) -> String {
    format!("{}/{clip_id}", &clip_id[..2])
}

/// The clip and the hash that an object's name says.
pub(super) fn named(name: &str) -> Option<(ClipId, BodyHash)> {
    let [beginning, clip_id, file] = name.split('/').collect::<Vec<_>>()[..] else {
        return None;
    };
    let (sha256, _) = file.split_once('.')?;
    let is_one = crate::ingest::is_clip_id(clip_id) && clip_id.starts_with(beginning);
    (is_one && sha256.len() == 64).then(|| (clip_id.into(), sha256.to_owned().into()))
}
