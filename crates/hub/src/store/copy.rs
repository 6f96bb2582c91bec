//! What the desk knows of a hub's store: a database of its own, made from the files beside the bodies, and what citizens take back.
//!
//! Owns: a scratch database, which is brought up to the files again and again, and the desk's verdicts. Never does: write into the
//! store, or read a body. The receipts in the scratch database are hashes under a key that dies with the desk.
#![allow(clippy::disallowed_methods)] // reads another hub's files

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use booth_database::{Connection, TransactionBehavior, params};
use jiff::Timestamp;

use super::private::{Private, Source, Waiting};
use super::record::{self, Part};
use super::withdrawals::Paces;
use super::{StoreError, rows, schema};
use crate::receipts::{Opener, ReceiptMark};
use booth_contract::ClipId;
use booth_contract::time::{Mono, rfc3339};

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct StoreCopy {
    db: Connection,
    clips: PathBuf,
    private: Private,
    opener: Opener,
    paces: Paces,
    /// Withdrawals that had their turn, by the names of their files: comparing one again with clips that came since guesses nothing, and costs no
    /// turn.
    tried: HashMap<OsString, ReceiptMark>,
    /// Withdrawals that were told of, and verdicts that were handed over.
    told: BTreeSet<OsString>,
    /// Those of which the hub was told that they fit no clip yet.
    told_of_none: BTreeSet<OsString>,
}

/// What one look at the withdrawals has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Clips that the hub is to delete, and whether it was told so.
    pub deletes: Vec<(ClipId, bool)>,
    /// Withdrawals that wait: their clip has not come, or their turn.
    pub waiting: usize,
}

impl StoreCopy {
    /// A copy of the store in `dir`, in a new database at `scratch`.
    ///
    /// # Errors
    /// Every error of the database.
    pub(crate) fn begin(scratch: &Path, dir: &Path, opener: Opener) -> Result<Self, StoreError> {
        Ok(Self {
            db: schema::open(scratch)?,
            clips: dir.join("clips"),
            private: Private::beside(dir),
            opener,
            paces: Paces::default(),
            tried: HashMap::new(),
            told: BTreeSet::new(),
            told_of_none: BTreeSet::new(),
        })
    }

    /// Takes in what is new, and forgets what is gone; answers how many clips there are.
    ///
    /// # Errors
    /// Every error of the file system and the database.
    pub(crate) fn look(&mut self) -> Result<u64, StoreError> {
        let zone = jiff::tz::TimeZone::system();
        let mut gone: BTreeSet<String> = self
            .db
            .prepare("SELECT clip_id FROM kept")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        self.db.begin(TransactionBehavior::Immediate)?;
        for path in record::all(&self.clips) {
            let path = path?;
            let Some((clip_id, Part::Record)) = record::named(&path) else {
                continue;
            };
            if self.private.is_buried(&clip_id) || gone.remove(clip_id.as_str()) {
                continue;
            }
            // A file that was deleted meanwhile, or is not whole, is looked at the next time.
            let Ok(Some(mut record)) = record::read(&path) else {
                continue;
            };
            let Some(manifest) = record.believed(&clip_id) else {
                continue;
            };
            record.receipt = None;
            if let Some(sealed) = &manifest.sealed
                && let Ok(opened) = self.opener.of_clip(&clip_id, None, sealed)
            {
                record.receipt = Some(opened.receipt);
            }
            rows::from_record(&self.db, &zone, &record, &manifest, false)?;
        }
        for clip_id in &gone {
            rows::forget(&self.db, &ClipId::from(clip_id.as_str()))?;
        }
        self.db.commit()?;
        let clips = self
            .db
            .query_row("SELECT count(*) FROM kept", [], |row| row.get(0))?;
        Ok(clips)
    }

    /// Matches the withdrawals that wait with the clips, and tells the hub which clips it is to delete.
    ///
    /// # Errors
    /// Every error of the file system and the database.
    pub(crate) fn match_withdrawals(
        &mut self,
        wall: Timestamp,
        mono: Mono,
    ) -> Result<Looked, StoreError> {
        let mut looked = Looked::default();
        let of_none = self.private.of_none()?;
        let waiting = self.private.waiting()?;
        let name_of = |path: &Path| path.file_name().unwrap_or_default().to_owned();
        let all = waiting.iter().chain(&of_none);
        let names: BTreeSet<OsString> = all.map(|(path, _)| name_of(path)).collect();
        self.tried.retain(|name, _| names.contains(name));
        let waits = waiting
            .into_iter()
            .map(|(path, source)| (path, source, true));
        let of_none = of_none
            .into_iter()
            .map(|(path, source)| (path, source, false));
        for (path, source, waits) in waits.chain(of_none) {
            let name = name_of(&path);
            if !source.may_guess() || self.told.contains(&name) {
                continue;
            }
            looked.waiting += usize::from(waits);
            let mark = match self.tried.get(&name) {
                Some(mark) => mark.clone(),
                None => {
                    let Some(mark) = self.mark_of(&path) else {
                        continue;
                    };
                    if !self.paces.take(mono, &source) {
                        continue;
                    }
                    self.tried.insert(name.clone(), mark.clone());
                    mark
                }
            };
            let fits: Vec<ClipId> = self
                .db
                .prepare_cached("SELECT clip_id FROM kept WHERE receipt = ?1 LIMIT 2")?
                .query_map(params![mark.as_str()], |row| {
                    Ok(row.get::<_, String>(0)?.into())
                })?
                .collect::<Result<_, _>>()?;
            match fits.as_slice() {
                [] if waits && !self.told_of_none.contains(&name) => {
                    let verdict = Waiting {
                        fits_none: Some(name.to_string_lossy().into_owned()),
                        ..Waiting::default()
                    };
                    if self.tell(wall, &clip_of(&name), verdict) {
                        self.told_of_none.insert(name);
                    }
                }
                [] => {}
                [clip_id] => {
                    let verdict = Waiting {
                        clip_id: Some(clip_id.clone()),
                        settles: Some(name.to_string_lossy().into_owned()),
                        ..Waiting::default()
                    };
                    let is_told = self.tell(wall, clip_id, verdict);
                    looked.deletes.push((clip_id.clone(), is_told));
                    looked.waiting -= usize::from(waits);
                    self.told.insert(name);
                }
                [first, second, ..] => {
                    log::error!(
                        "a citizen's receipt fits the clips {first} and {second}: neither is deleted. Find out which one is meant, then \
                         booth-hub withdraw CLIP at the hub"
                    );
                    self.told.insert(name);
                }
            }
        }
        Ok(looked)
    }

    /// The hash of the receipt of a withdrawal, if it can be opened here.
    fn mark_of(&self, path: &Path) -> Option<ReceiptMark> {
        let waiting = Private::read_waiting(path).ok().flatten()?;
        let sealed = waiting.sealed.as_ref()?;
        self.opener.of_withdrawal(&waiting.id, sealed).ok()
    }

    /// Leaves a verdict for the hub beside the withdrawal, under this id; answers whether that was possible.
    fn tell(&self, wall: Timestamp, id: &ClipId, verdict: Waiting) -> bool {
        let verdict = Waiting {
            id: id.clone(),
            at: rfc3339(wall),
            ..verdict
        };
        // A booth chooses the ids of its withdrawals: what is said of one takes no other verdict's name.
        let apart = match &verdict.fits_none {
            Some(name) => format!("none-{}", name.split('.').nth(1).unwrap_or_default()),
            None => "-".to_owned(),
        };
        let told = self.private.keep_waiting(&Source::Desk, &apart, &verdict);
        if let Err(error) = &told {
            log::warn!("the hub cannot be told what is taken back: {error}");
        }
        told.is_ok()
    }
}

/// The id that a withdrawal's file is named after.
fn clip_of(name: &OsStr) -> ClipId {
    let name = name.to_string_lossy();
    name.split('.').next().unwrap_or_default().into()
}
