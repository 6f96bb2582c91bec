//! Bodies that are not whole yet: one file per clip and sender, parts written at their offsets.
//!
//! Owns: the folder `staging`, which ranges of each clip have arrived, and the limits. Never does: acknowledge anything; nothing
//! here is fsynced before the body is whole. What is dropped at each limit: a sender over its share loses its own longest untouched
//! body; over the total, the longest untouched body of all is dropped; a body that was left alone for an hour is dropped. A dropped
//! body comes again, because its clip was never acknowledged. A failure or a restart leaves files that the next start removes.
#![allow(clippy::disallowed_methods)] // the hub's own file work: staging is not durable on purpose

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::StoreError;
use super::private::wipe;
use crate::receipts::{CodeMark, ReceiptMark};
use booth_contract::ranges::RangeSet;
use booth_contract::time::Mono;
use booth_contract::{BodyHash, BoothId, ClipId, Manifest};

/// Most unfinished bodies of one sender; the contract lets a booth await eight acks.
const MAX_PER_SENDER: usize = 32;
/// Most unfinished bodies in all.
const MAX_TOTAL: usize = 8192;
/// Most separate ranges of one body; a part that would make more of them is refused.
const MAX_PIECES: usize = 4096;
/// Most files that stay open between two parts.
const MAX_OPEN: usize = 32;
/// Most versions of one body.
pub(super) const MAX_VERSIONS: usize = 4;
/// How long an unfinished body may be left alone, in ms.
const EXPIRY_MS: u64 = 3_600_000;

/// A manifest whose body is to come.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    /// The manifest, which was believed.
    pub manifest: Manifest,
    /// The manifest as it came.
    pub raw: Vec<u8>,
    /// The receipt's hash, where this hub could open it; the manifest is without the sealed receipt then.
    pub receipt: Option<ReceiptMark>,
    /// The hash of the one-time code with which a vote was cast, where this hub could open it.
    pub code: Option<CodeMark>,
    /// How often the whole body did not have the manifest's hash.
    mismatches: u32,
}

impl Offer {
    /// The offer of a manifest that was believed.
    pub(super) fn new(manifest: Manifest, raw: Vec<u8>, receipt: Option<ReceiptMark>) -> Self {
        Self {
            manifest,
            raw,
            receipt,
            code: None,
            mismatches: 0,
        }
    }

    /// Whether both offers are of the same body.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.manifest.sha256 == other.manifest.sha256 && self.manifest.bytes == other.manifest.bytes
    }
}

/// An unfinished body: what its sender said of it, and what has arrived.
#[derive(Debug)]
pub(super) struct Staged {
    /// The versions that its sender has offered, the newest last. Parts do not say which version they belong to: the hash of all
    /// bytes decides it.
    pub offers: Vec<Offer>,
    /// Which bytes are in the file.
    pub ranges: RangeSet,
    touched: Mono,
}

impl Staged {
    /// Adds another version. Parts that have come so far belong to an earlier version, if there was one, and are forgotten.
    pub(super) fn add(&mut self, offer: Offer) {
        if !self.offers.is_empty() {
            self.ranges.clear();
        }
        if self.offers.len() >= MAX_VERSIONS {
            self.offers.remove(0);
        }
        self.offers.push(offer);
    }

    /// The versions whose bytes have all arrived, the newest first.
    pub(super) fn whole(&self) -> impl Iterator<Item = &Offer> {
        let is_whole = |offer: &&Offer| self.ranges.covers(0, offer.manifest.bytes);
        self.offers.iter().rev().filter(is_whole)
    }

    /// Counts a whole body that had no version's hash against this version, and forgets its bytes. Other versions that were whole
    /// are forgotten with them.
    pub(super) fn mismatched(&mut self, offer: &Offer) -> u32 {
        let ranges = std::mem::take(&mut self.ranges);
        self.offers
            .retain(|other| other.is_as(offer) || !ranges.covers(0, other.manifest.bytes));
        match self.offers.iter_mut().find(|other| other.is_as(offer)) {
            Some(offer) => {
                offer.mismatches += 1;
                offer.mismatches
            }
            None => 0,
        }
    }
}

/// The sender and the clip's id.
pub(super) type Key = (BoothId, ClipId);

/// All unfinished bodies.
#[derive(Debug)]
pub(super) struct Staging {
    dir: PathBuf,
    bodies: HashMap<Key, Staged>,
    per_sender: HashMap<BoothId, usize>,
    /// Files of the bodies that were written to last, the latest at the end.
    open: VecDeque<(Key, File)>,
}

impl Staging {
    /// Empties the folder and begins with no bodies.
    pub(super) fn open(dir: PathBuf) -> Result<Self, StoreError> {
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|e| StoreError::file("emptying", &dir, e))?;
        }
        fs::create_dir_all(&dir).map_err(|e| StoreError::file("creating", &dir, e))?;
        Ok(Self {
            dir,
            bodies: HashMap::new(),
            per_sender: HashMap::new(),
            open: VecDeque::new(),
        })
    }

    /// The unfinished body of `clip_id` from `sender`.
    pub(super) fn get_mut(&mut self, sender: &BoothId, clip_id: &ClipId) -> Option<&mut Staged> {
        self.bodies.get_mut(&(sender.clone(), clip_id.clone()))
    }

    /// The same body, or a new one, for which the rules above make room.
    pub(super) fn begin(&mut self, now: Mono, sender: &BoothId, clip_id: &ClipId) -> &mut Staged {
        let key = (sender.clone(), clip_id.clone());
        if !self.bodies.contains_key(&key) {
            if self.per_sender.get(sender).copied().unwrap_or(0) >= MAX_PER_SENDER {
                self.drop_longest_untouched(|(owner, _)| owner == sender);
            }
            if self.bodies.len() >= MAX_TOTAL {
                self.drop_longest_untouched(|_| true);
            }
            *self.per_sender.entry(sender.clone()).or_default() += 1;
        }
        let staged = self.bodies.entry(key).or_insert_with(|| Staged {
            offers: Vec::new(),
            ranges: RangeSet::default(),
            touched: now,
        });
        staged.touched = now;
        staged
    }

    /// Writes a part at its place. `Ok(false)`: the body is in too many pieces to take it.
    pub(super) fn write(
        &mut self,
        now: Mono,
        sender: &BoothId,
        clip_id: &ClipId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let staged = self.begin(now, sender, clip_id);
        let end = offset + bytes.len() as u64;
        if staged.ranges.covers(offset, end) {
            return Ok(true);
        }
        if staged.ranges.pieces() >= MAX_PIECES && staged.ranges.end() != offset {
            return Ok(false);
        }
        let path = self.path(sender, clip_id);
        self.file(sender, clip_id)?
            .write_all_at(bytes, offset)
            .map_err(|e| StoreError::file("writing", &path, e))?;
        if let Some(staged) = self.get_mut(sender, clip_id) {
            staged.ranges.insert(offset, end);
        }
        Ok(true)
    }

    /// The file of a body, made if it is new; it stays open until too many others are open.
    fn file(&mut self, sender: &BoothId, clip_id: &ClipId) -> Result<&File, StoreError> {
        let path = self.path(sender, clip_id);
        let is_its = |((owner, id), _): &(Key, File)| owner == sender && id == clip_id;
        let latest = match self.open.iter().position(is_its) {
            Some(at) => self.open.remove(at),
            None => None,
        };
        let latest = match latest {
            Some(open) => open,
            None => {
                let file = OpenOptions::new()
                    .create(true)
                    .read(true)
                    .write(true)
                    .truncate(false)
                    .open(&path)
                    .map_err(|e| StoreError::file("opening", &path, e))?;
                ((sender.clone(), clip_id.clone()), file)
            }
        };
        if self.open.len() >= MAX_OPEN {
            self.open.pop_front();
        }
        self.open.push_back(latest);
        self.open
            .back()
            .map(|(_, file)| file)
            .ok_or_else(|| StoreError::file("opening", &path, std::io::ErrorKind::NotFound.into()))
    }

    /// The clips of which something is here.
    pub(super) fn clips(&self) -> BTreeSet<ClipId> {
        self.bodies
            .keys()
            .map(|(_, clip_id)| clip_id.clone())
            .collect()
    }

    /// Bodies of which a version has such a receipt.
    pub(super) fn of_receipts(&self, is_such: impl Fn(&ReceiptMark) -> bool) -> Vec<Key> {
        let has_such = |staged: &Staged| {
            let mut marks = staged
                .offers
                .iter()
                .filter_map(|offer| offer.receipt.as_ref());
            marks.any(&is_such)
        };
        let those = self.bodies.iter().filter(|(_, staged)| has_such(staged));
        those.map(|(key, _)| key.clone()).collect()
    }

    /// Forgets a body, file included.
    pub(super) fn remove(&mut self, sender: &BoothId, clip_id: &ClipId) -> Result<(), StoreError> {
        let path = self.path(sender, clip_id);
        self.forget(sender, clip_id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::file("removing", &path, error))
            }
            _ => Ok(()),
        }
    }

    /// Forgets every body of this clip, or that of one sender; what came of it is overwritten.
    pub(super) fn erase(
        &mut self,
        clip_id: &ClipId,
        only: Option<&BoothId>,
    ) -> Result<(), StoreError> {
        let is_meant = |sender: &BoothId| only.is_none_or(|only| only == sender);
        let of_it = self.bodies.keys().filter(|(_, id)| id == clip_id);
        let senders: Vec<BoothId> = of_it.map(|(sender, _)| sender.clone()).collect();
        for sender in senders.into_iter().filter(is_meant) {
            let path = self.path(&sender, clip_id);
            self.forget(&sender, clip_id);
            wipe(&path)?;
        }
        Ok(())
    }

    /// Forgets a body whose file was moved elsewhere.
    pub(super) fn forget(&mut self, sender: &BoothId, clip_id: &ClipId) {
        self.open
            .retain(|((owner, id), _)| owner != sender || id != clip_id);
        if self
            .bodies
            .remove(&(sender.clone(), clip_id.clone()))
            .is_some()
            && let Some(count) = self.per_sender.get_mut(sender)
        {
            *count -= 1;
            if *count == 0 {
                self.per_sender.remove(sender);
            }
        }
    }

    /// SHA-256 of a body's first `bytes`, in hex.
    pub(super) fn hash_of_first(
        &mut self,
        sender: &BoothId,
        clip_id: &ClipId,
        bytes: u64,
    ) -> Result<BodyHash, StoreError> {
        let path = self.path(sender, clip_id);
        let file = self.file(sender, clip_id)?;
        hash_of(file, bytes).map_err(|e| StoreError::file("reading", &path, e))
    }

    /// The first bytes of a body, `most` of them where it has so many.
    pub(super) fn beginning(
        &mut self,
        sender: &BoothId,
        clip_id: &ClipId,
        most: usize,
    ) -> Result<Vec<u8>, StoreError> {
        let path = self.path(sender, clip_id);
        let file = self.file(sender, clip_id)?;
        let mut begins = vec![0; most];
        let read = file.read_at(&mut begins, 0);
        begins.truncate(read.map_err(|e| StoreError::file("reading", &path, e))?);
        Ok(begins)
    }

    /// Cuts a whole body to `bytes`; it is not fsynced.
    pub(super) fn cut(
        &mut self,
        sender: &BoothId,
        clip_id: &ClipId,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let path = self.path(sender, clip_id);
        let file = self.file(sender, clip_id)?;
        let length = file
            .metadata()
            .map_err(|e| StoreError::file("reading", &path, e))?
            .len();
        if length != bytes {
            file.set_len(bytes)
                .map_err(|e| StoreError::file("cutting", &path, e))?;
        }
        Ok(())
    }

    /// Drops bodies that were left alone too long; answers how many.
    pub(super) fn expire(&mut self, now: Mono) -> Result<usize, StoreError> {
        let old: Vec<Key> = self
            .bodies
            .iter()
            .filter(|(_, staged)| now.0.saturating_sub(staged.touched.0) > EXPIRY_MS)
            .map(|(key, _)| key.clone())
            .collect();
        for (sender, clip_id) in &old {
            self.remove(sender, clip_id)?;
        }
        Ok(old.len())
    }

    /// Where a body's file is. Both names were checked: neither can leave the folder.
    pub(super) fn path(&self, sender: &BoothId, clip_id: &ClipId) -> PathBuf {
        self.dir.join(format!("{clip_id}.{sender}"))
    }

    fn drop_longest_untouched(&mut self, may_go: impl Fn(&Key) -> bool) {
        let oldest = self
            .bodies
            .iter()
            .filter(|(key, _)| may_go(key))
            .min_by_key(|(_, staged)| staged.touched)
            .map(|(key, _)| key.clone());
        if let Some((sender, clip_id)) = oldest {
            log::warn!(booth = sender.as_str(), clip_id = clip_id.as_str();
                "an unfinished clip of {sender} was dropped from staging to make room; it will be asked for again");
            if let Err(error) = self.remove(&sender, &clip_id) {
                log::warn!("{error}");
            }
        }
    }
}

/// SHA-256 of a file's first `bytes`, in hex.
fn hash_of(file: &File, bytes: u64) -> std::io::Result<BodyHash> {
    hash_on(file, 0, bytes, Sha256::new())
}

/// Goes on with a hash over a file's bytes from `at` to `bytes`.
pub(super) fn hash_on(
    file: &File,
    mut at: u64,
    bytes: u64,
    mut hasher: Sha256,
) -> std::io::Result<BodyHash> {
    let mut block = vec![0; 64 * 1024];
    loop {
        let left = usize::try_from(bytes - at).unwrap_or(usize::MAX);
        let most = left.min(block.len());
        match file.read_at(&mut block[..most], at) {
            Ok(0) => return Ok(BodyHash::of_digest(&hasher.finalize())),
            Ok(n) => {
                hasher.update(&block[..n]);
                at += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// SHA-256 and length of the file at `path`; `None` if there is none.
pub(super) fn hash_at(path: &Path) -> Result<Option<(BodyHash, u64)>, StoreError> {
    match File::open(path) {
        Ok(file) => {
            let length = file
                .metadata()
                .map_err(|e| StoreError::file("reading", path, e))?
                .len();
            let hash =
                hash_of(&file, u64::MAX).map_err(|e| StoreError::file("reading", path, e))?;
            Ok(Some((hash, length)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::file("opening", path, error)),
    }
}
