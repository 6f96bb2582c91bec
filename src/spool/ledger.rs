//! sled as the ledger: small records, made durable by hand, and never the only copy of a clip.
//!
//! Owns: the folder `ledger/`. Never does: hold audio, or a fact that cannot be found again in the
//! clip files and `card.json`. A failure is answered by the caller setting the folder aside.
#![allow(clippy::disallowed_methods)] // sled does its own file work; its files are synced here

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::KeptClip;

/// An open ledger.
pub struct Ledger {
    db: sled::Db,
    /// A second descriptor of sled's log: fdatasync acts on the file, not on the descriptor.
    log: File,
}

impl Ledger {
    /// Opens or makes the ledger on a thread of its own: a panic inside sled is an error here.
    pub fn open(dir: &Path) -> Result<Self, String> {
        let path = dir.to_owned();
        std::thread::Builder::new()
            .name("ledger-open".into())
            .spawn(move || Self::open_here(&path))
            .map_err(|error| error.to_string())?
            .join()
            .map_err(|_| "sled panicked while opening".to_owned())?
    }

    fn open_here(dir: &Path) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(1 << 20)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace)
            .open()
            .map_err(|error| text(&error))?;
        let sync = |path: &Path| -> Result<(), String> {
            File::open(path)
                .and_then(|file| file.sync_all())
                .map_err(|error| text(&error))
        };
        for name in ["conf", "db", "blobs"] {
            let path = dir.join(name);
            if path.exists() {
                sync(&path)?;
            }
        }
        sync(dir)?;
        if let Some(parent) = dir.parent() {
            sync(parent)?;
        }
        let log = File::open(dir.join("db")).map_err(|error| text(&error))?;
        let ledger = Self { db, log };
        ledger.clips()?; // reads everything once, so that damage shows now
        Ok(ledger)
    }

    /// Every clip that was known.
    pub fn clips(&self) -> Result<BTreeMap<String, KeptClip>, String> {
        let mut clips = BTreeMap::new();
        for entry in self.db.scan_prefix(b"clip/") {
            let (_, value) = entry.map_err(|error| error.to_string())?;
            // A value that cannot be read is as good as none: the clip file is read instead.
            if let Ok(clip) = serde_json::from_slice::<KeptClip>(&value) {
                clips.insert(clip.clip_id.clone(), clip);
            }
        }
        Ok(clips)
    }

    /// Saved counters.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        self.db
            .scan_prefix(b"counter/")
            .flatten()
            .filter_map(|(key, value)| {
                let name = std::str::from_utf8(&key)
                    .ok()?
                    .strip_prefix("counter/")?
                    .to_owned();
                Some((name, u64::from_be_bytes(value.as_ref().try_into().ok()?)))
            })
            .collect()
    }

    /// Notes a clip; not durable before [`Ledger::flush`].
    pub fn put_clip(&self, clip: &KeptClip) -> Result<(), String> {
        let value = serde_json::to_vec(clip).map_err(|error| error.to_string())?;
        self.db
            .insert(format!("clip/{}", clip.clip_id), value)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Forgets a clip; not durable before [`Ledger::flush`].
    pub fn remove_clip(&self, clip_id: &str) -> Result<(), String> {
        self.db
            .remove(format!("clip/{clip_id}"))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// Notes counters that changed; not durable before [`Ledger::flush`].
    pub fn put_counters(&self, counters: &BTreeMap<String, u64>) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        for (name, value) in counters {
            batch.insert(format!("counter/{name}").as_bytes(), &value.to_be_bytes());
        }
        self.db
            .apply_batch(batch)
            .map_err(|error| error.to_string())
    }

    /// Makes everything durable: sled's flush ends in sync_file_range, so fdatasync follows.
    pub fn flush(&self) -> Result<(), String> {
        self.db.flush().map_err(|error| error.to_string())?;
        self.log.sync_data().map_err(|error| error.to_string())
    }
}
