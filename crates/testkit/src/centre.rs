//! What the centre holds, looked at from outside: the hub's database and its folder of clips.
#![allow(clippy::disallowed_methods)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use booth_sealing::open::BEFORE_ENVELOPE;
use booth_spool::KeptClip;
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

/// One clip of the hub's database.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub clip_id: String,
    pub card_id: String,
    pub clip_no: u64,
    pub booth_id: String,
    pub bytes: u64,
    pub sha256: String,
    pub duration_ms: u64,
    pub recovered: bool,
    /// Boot-time clock of its first sample.
    pub started_mono_ms: u64,
}

/// The store of a hub, running or not.
pub struct Centre {
    store: PathBuf,
    db: Connection,
}

impl Centre {
    /// Opens the database for reading; the hub must have made it.
    pub fn open(store: &Path) -> Result<Self, String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(store.join("hub.sqlite"), flags)
            .map_err(|error| format!("the hub's database: {error}"))?;
        db.busy_timeout(std::time::Duration::from_secs(5))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            store: store.to_owned(),
            db,
        })
    }

    /// How many clips it has of this booth.
    pub fn count(&self, booth: &str) -> Result<u64, String> {
        self.db
            .query_row(
                "SELECT count(*) FROM clip WHERE booth_id = ?1",
                [booth],
                |row| row.get(0),
            )
            .map_err(|error| error.to_string())
    }

    /// Every clip of the database, of one booth if one is named.
    pub fn clips(&self, booth: Option<&str>) -> Result<Vec<Stored>, String> {
        let fault = |error: rusqlite::Error| error.to_string();
        let mut query = self
            .db
            .prepare(
                "SELECT clip_id, card_id, clip_no, booth_id, bytes, sha256, duration_ms, recovered, started_mono_ms
                 FROM clip WHERE ?1 IS NULL OR booth_id = ?1 ORDER BY card_id, clip_no",
            )
            .map_err(fault)?;
        let rows = query
            .query_map([booth], |row| {
                Ok(Stored {
                    clip_id: row.get(0)?,
                    card_id: row.get(1)?,
                    clip_no: row.get(2)?,
                    booth_id: row.get(3)?,
                    bytes: row.get(4)?,
                    sha256: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
                    duration_ms: row.get(6)?,
                    recovered: row.get(7)?,
                    started_mono_ms: row.get::<_, Option<u64>>(8)?.unwrap_or(0),
                })
            })
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// The clips that the hub shows an operator, with its reason.
    pub fn refused(&self) -> Result<Vec<(String, String)>, String> {
        let fault = |error: rusqlite::Error| error.to_string();
        let mut query = self
            .db
            .prepare("SELECT clip_id, reason FROM refused")
            .map_err(fault)?;
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// Checks all that the centre promises about what it stored, of one booth if one is named: each row has its
    /// file with the very hash, no body and no number is there twice, and each card's numbers run from 1 on
    /// without gaps. Answers the clips by id.
    pub fn check(&self, booth: Option<&str>) -> Result<HashMap<String, Stored>, String> {
        let clips = self.check_bodies(booth)?;
        let mut numbers: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for clip in clips.values() {
            if !numbers
                .entry(&clip.card_id)
                .or_default()
                .insert(clip.clip_no)
            {
                return Err(format!(
                    "two clips have number {} of card {}",
                    clip.clip_no, clip.card_id
                ));
            }
        }
        for (card, numbers) in &numbers {
            for (expected, found) in (1..).zip(numbers) {
                if expected != *found {
                    return Err(format!(
                        "card {card} has number {found} where {expected} belongs, of {} clips",
                        numbers.len()
                    ));
                }
            }
        }
        Ok(clips)
    }

    /// The same without the numbers.
    pub fn check_bodies(&self, booth: Option<&str>) -> Result<HashMap<String, Stored>, String> {
        let clips = self.clips(booth)?;
        let mut bodies = HashSet::new();
        for clip in &clips {
            let body = body_of(&self.store, &clip.clip_id)
                .map_err(|error| format!("clip {} has a row but no file: {error}", clip.clip_id))?;
            let found = hex_sha256(&body);
            if found != clip.sha256 || body.len() as u64 != clip.bytes {
                return Err(format!(
                    "the file of clip {} is not the body that was confirmed",
                    clip.clip_id
                ));
            }
            if !bodies.insert(found) {
                return Err(format!("the body of clip {} is stored twice", clip.clip_id));
            }
        }
        if booth.is_none() {
            self.check_files(clips.len())?;
        }
        let by_id = |clip: Stored| (clip.clip_id.clone(), clip);
        Ok(clips.into_iter().map(by_id).collect())
    }

    /// Every one of these is there with its hash; answers an error about the first that is not.
    pub fn holds<'a>(
        stored: &HashMap<String, Stored>,
        expected: impl IntoIterator<Item = &'a KeptClip>,
    ) -> Result<(), String> {
        for clip in expected {
            match stored.get(clip.clip_id.as_str()) {
                None => {
                    return Err(format!(
                        "clip {} (number {}) is lost",
                        clip.clip_id, clip.clip_no
                    ));
                }
                Some(found) if found.sha256 != clip.sha256 || found.clip_no != clip.clip_no => {
                    return Err(format!(
                        "clip {} (number {}) is another one at the centre",
                        clip.clip_id, clip.clip_no
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// As many bodies as rows, and as many manifests: with one of each per row that means no other.
    fn check_files(&self, rows: usize) -> Result<(), String> {
        let folders = std::fs::read_dir(self.store.join("clips"));
        let folders = folders.into_iter().flatten().flatten();
        let files = folders
            .filter(|entry| entry.path().is_dir())
            .flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten())
            .flatten();
        let (manifests, bodies): (Vec<_>, Vec<_>) =
            files.partition(|file| file.path().extension().is_some_and(|end| end == "json"));
        match (bodies.len(), manifests.len()) {
            (found, manifested) if found == rows && manifested == rows => Ok(()),
            (found, manifested) => Err(format!(
                "{found} bodies and {manifested} manifests for {rows} rows at the centre"
            )),
        }
    }
}

/// The body of a clip as it came, open or sealed. A sealed one's envelope lies beside the store and belongs to where zeros are
/// (docs/hub-store.md).
pub fn body_of(store: &Path, clip_id: &str) -> std::io::Result<Vec<u8>> {
    let shelf = clip_id.get(..2).unwrap_or("");
    let file = store.join("clips").join(shelf).join(clip_id);
    let open = std::fs::read(file.with_extension("opus"));
    let Err(error) = open else { return open };
    if error.kind() != std::io::ErrorKind::NotFound {
        return Err(error);
    }
    let mut body = std::fs::read(file.with_extension("sealed"))?;
    let mut private = store.as_os_str().to_owned();
    private.push("-private/envelopes");
    let envelope = std::fs::read(Path::new(&private).join(shelf).join(clip_id))?;
    let place = body.get_mut(BEFORE_ENVELOPE..BEFORE_ENVELOPE + envelope.len());
    place
        .ok_or(std::io::ErrorKind::InvalidData)?
        .copy_from_slice(&envelope);
    Ok(body)
}

/// SHA-256 in hex.
pub fn hex_sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
