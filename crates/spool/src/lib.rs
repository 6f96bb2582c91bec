//! The clips on the card: a citizen's words, kept until the centre has confirmed them.
//!
//! Owns: everything under `[spool] dir` (docs/spool-format.md). Never does: read a clock, make a random
//! number, talk to a network, delete a clip without a [`Receipt`]. After a failure, and after a power
//! cut at any moment, what was durable stays and the next [`Spool::open`] finishes it.
//!
//! ```text
//! recorder ─ begin ─▶ ClipWriter ─ append … hold, close ─▶ clips/<id>.clip ─ manifest, read_body ─▶ delivery
//!                                                           └──────── release(Receipt) ◀────────┘
//! ```
//!
//! [`Spool`] is cheap to clone and may be used from several threads; every call blocks on the disk.
//! Locks are taken in the order withdrawals, chores, numbering, card, index, ledger, never backwards.

mod card;
mod chores;
mod clip_file;
pub mod disk;
mod error;
mod folders;
pub mod inspect;
mod ledger;
mod orders;
mod purge;
mod quarantine;
mod read;
pub mod real_disk;
mod record;
mod recovery;
mod release;
mod settle;
mod survey;
mod take;
mod taken_over;
mod times;
mod vote;
mod withdrawals;
mod writer;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use booth_contract::{BodyHash, BootId, BoothId, CardId, ClipId, ClipKind, EndedBy, Manifest};
#[cfg(doc)]
use gateway_core::delivery::Receipt;
use gateway_core::quarantine::Note;

pub use booth_contract::FrameFacts;
pub use card::{Card, CardError, CardFault};
pub use clip_file::{NewClip, StartFacts};
pub use error::{Refusal, SpoolError};
pub use release::Released;
pub use settle::{LONGEST_FILE, Mended};
pub use taken_over::TakenOver;
pub use withdrawals::{KeptWithdrawal, MOST_WITHDRAWALS};
pub use writer::ClipWriter;

use disk::{Disk, DiskStats};
use folders::Folders;
use ledger::{Counters, Entry, Ledger, LedgerError};
use settle::Numbering;

/// Room that must be left under `max_bytes` before a take may begin: the longest clip at the highest usual bitrate.
const CLIP_HEADROOM_BYTES: u64 = 2 << 20;

/// Size of the ballast of a booth's spool: enough for the rest of the longest recording, the card's identity, and sled's opening.
/// Recording is refused when less than twice this much is free, whatever `reserve_bytes` says.
pub const BALLAST_BYTES: u64 = 2 << 20;

/// What the spool needs to know when it is opened.
#[derive(Debug, Clone)]
pub struct OpenFacts {
    /// The machine's boot id.
    pub boot_id: BootId,
    /// A fresh random UUID, used as `card_id` if the card has none.
    pub fresh_card_id: CardId,
    /// Wall clock, in ms since 1970.
    pub wall_ms: i64,
    /// `[spool] max_bytes`
    pub max_bytes: u64,
    /// `[spool] reserve_bytes`
    pub reserve_bytes: u64,
    /// Whether to keep a ledger. Without one every open reads every clip file.
    pub ledger: bool,
    /// The CID register of the SD card with the spool, where there is one.
    pub card_cid: Option<String>,
    /// Serial number of this machine, where it has one.
    pub hw_serial: Option<String>,
    /// Size of the ballast, [`BALLAST_BYTES`] on a booth; 0 means none.
    pub ballast_bytes: u64,
    /// How many openings in a row have failed before this one.
    pub failed_before: u32,
}

/// A finished clip on the card. Small; the manifest is read on demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptClip {
    /// UUID v4.
    pub clip_id: ClipId,
    /// What it is. Versions before votes wrote no kind beside a clip in the ledger.
    #[serde(default = "speech")]
    pub kind: ClipKind,
    /// Its number on `card_id`.
    pub clip_no: u64,
    /// The card that gave the number.
    pub card_id: CardId,
    /// The booth where it was spoken.
    pub booth_id: BoothId,
    /// The machine boot in which it was spoken.
    pub boot_id: BootId,
    /// Bytes of the body.
    pub bytes: u64,
    /// Hash of the body, in hex; empty for a void number.
    pub sha256: BodyHash,
    /// Duration of the words.
    pub duration_ms: u64,
    /// Whether it was finished from what a power cut left.
    pub recovered: bool,
    /// What ended the recording.
    pub ended_by: EndedBy,
    /// Whether it was made in service mode.
    pub test: bool,
    /// Whether the manifest's time is by a synchronised clock.
    pub clock_synced: bool,
    /// When the words ended, by the wall clock at that time, in ms since 1970.
    pub kept_at_ms: i64,
    /// When the words ended, by the boot-time clock of `boot_id`, in ms.
    pub kept_mono_ms: u64,
    /// Root mean square level.
    pub rms_dbfs: Option<f64>,
    /// Peak level.
    pub peak_dbfs: Option<f64>,
    /// Share of frames with speech, 0 to 1.
    pub speech_ratio: Option<f64>,
}

fn speech() -> ClipKind {
    ClipKind::Audio
}

impl KeptClip {
    fn of(manifest: &Manifest) -> KeptClip {
        let duration_ms = manifest.duration_ms.unwrap_or(0);
        let start = manifest
            .started_at
            .as_deref()
            .and_then(|text| text.parse::<Timestamp>().ok());
        let span = i64::try_from(duration_ms).unwrap_or(i64::MAX);
        KeptClip {
            clip_id: manifest.clip_id.clone(),
            kind: manifest.kind,
            clip_no: manifest.clip_no,
            card_id: manifest.card_id.clone(),
            booth_id: manifest.booth_id.clone(),
            boot_id: manifest.boot_id.clone(),
            bytes: manifest.bytes,
            sha256: manifest.sha256.clone().unwrap_or_default(),
            duration_ms,
            recovered: manifest.recovered != 0,
            ended_by: manifest.ended_by.unwrap_or(EndedBy::Power),
            test: manifest.test != 0,
            clock_synced: manifest.clock_synced != Some(0),
            kept_at_ms: start
                .map_or(0, |start| start.as_millisecond())
                .saturating_add(span),
            kept_mono_ms: manifest
                .started_mono_ms
                .unwrap_or(0)
                .saturating_add(duration_ms),
            rms_dbfs: manifest.rms_dbfs,
            peak_dbfs: manifest.peak_dbfs,
            speech_ratio: manifest.speech_ratio,
        }
    }
}

/// Whether a take may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Whether [`Spool::begin`] would accept.
    pub accepts: bool,
    /// Why not, if it would not.
    pub reason: Option<Refusal>,
    /// Free bytes of the file system.
    pub free_bytes: u64,
    /// Bytes of all clip files, quarantine included.
    pub used_bytes: u64,
    /// `[spool] max_bytes`
    pub max_bytes: u64,
}

/// What happened to the ledger when the spool was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerNews {
    /// It was opened as it was.
    Intact,
    /// There was none; it was made from the files.
    Made,
    /// It was damaged (with the reason), was set aside and made again from the files.
    Rebuilt(String),
    /// The spool runs without a ledger, with the reason.
    Off(String),
}

/// What [`Spool::open`] found and did.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenReport {
    /// Whether the card has a new identity, because this is its first start or the old one could not be read.
    pub is_new_card: bool,
    /// Why the old identity could not be used, if that was so.
    pub card_unreadable: Option<String>,
    /// The `card_id` of the card that this one is a copy of, as its different CID shows. The copy has an identity of its own now.
    pub card_cloned: Option<CardId>,
    /// The serial number of the machine that the card was in before, if it was another one.
    pub hardware_changed: Option<String>,
    /// Whether the card had not seen this boot of the machine before.
    pub is_new_boot: bool,
    /// Why the card's identity could not be saved, if that failed; [`Spool::mend`] tries again.
    pub card_unsaved: Option<String>,
    /// What happened to the ledger.
    pub ledger: LedgerNews,
    /// How many finished clips were found, including recovered ones, without quarantined ones.
    pub clips: usize,
    /// Cut-off takes that were finished now.
    pub recovered: Vec<KeptClip>,
    /// How many takes without audio were removed.
    pub removed_empty: u32,
    /// How many takes were removed that had been deleted on purpose and whose file was still there.
    pub removed_discarded: u32,
    /// How many takes could not be finished now; [`Spool::mend`] tries again.
    pub left_unsettled: u32,
    /// Names in `aside/` of files that were moved or copied there now, with the reason.
    pub set_aside: Vec<(String, String)>,
    /// Clips whose file the card does not give back now, with the reason; [`Spool::mend`] tries again.
    pub unread: Vec<(ClipId, String)>,
    /// How many more files are to be set aside, removed, moved to quarantine or declared void; [`Spool::mend`] does it little by
    /// little.
    pub left_over: usize,
    /// Clips moved to quarantine now because they are damaged, with the reason.
    pub damaged: Vec<(ClipId, String)>,
    /// Clips that the ledger knows and whose file is gone or cannot be read: (card_id, clip_no, clip_id). Each number is declared
    /// void to the centre.
    pub missing: Vec<(CardId, u64, ClipId)>,
    /// Why the memory of the centre's commands begins anew.
    pub orders_unread: Option<String>,
}

#[derive(Default)]
struct Index {
    clips: HashMap<Uuid, Entry>,
    /// Bytes of the files in `clips/`.
    kept_bytes: u64,
    /// Durable bytes of the files being written.
    open_bytes: u64,
}

impl Index {
    fn used_bytes(&self) -> u64 {
        self.kept_bytes + self.open_bytes
    }

    fn insert(&mut self, id: Uuid, entry: Entry) {
        self.kept_bytes += entry.file_bytes;
        if let Some(old) = self.clips.insert(id, entry) {
            self.kept_bytes -= old.file_bytes;
        }
    }

    fn remove(&mut self, id: Uuid) {
        if let Some(old) = self.clips.remove(&id) {
            self.kept_bytes -= old.file_bytes;
        }
    }
}

struct Inner {
    folders: Folders,
    boot_id: BootId,
    max_bytes: u64,
    reserve_bytes: u64,
    numbering: Mutex<Numbering>,
    /// The highest number given, for callers that must not wait for a write.
    last_no: AtomicU64,
    card: Mutex<Card>,
    /// The card's identity when the spool was opened; the card's id never changes after that.
    identity: Card,
    index: Mutex<Index>,
    ledger: Mutex<Option<Ledger>>,
    /// Files in quarantine that the card does not give back, so that nothing is known of them.
    unread: Mutex<BTreeMap<Uuid, Note>>,
    withdrawals: Mutex<withdrawals::Withdrawals>,
    /// Whether there is an unreadable file that may hold the next number.
    is_unread: AtomicBool,
    /// Whether a ledger that could not be opened still lies there; it must be set aside before a clip that it knows is removed.
    has_unread_ledger: Mutex<bool>,
    /// Work that was found at the opening and can wait.
    chores: Mutex<VecDeque<chores::Chore>>,
    reader: Mutex<read::Reader>,
    /// What the card remembers of the centre's commands.
    orders: Mutex<gateway_core::orders::Remembered>,
    /// Why the card refused the last write; `None` once a write works again.
    trouble: Mutex<Option<String>>,
    _lock: Box<dyn Send + Sync>,
}

/// Locks the mutex, also after a thread panicked while it held the lock: the values are complete, because each is changed in one
/// step.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The spool. See the module's comment.
#[derive(Clone)]
pub struct Spool {
    inner: Arc<Inner>,
}

impl Spool {
    /// Opens the spool in `dir`, makes what is missing, and finishes takes that were cut off. Fails if another process uses the
    /// spool, or if the card cannot be used at all. Damage is not an error, but is stated in the report.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        facts: OpenFacts,
    ) -> Result<(Spool, OpenReport), SpoolError> {
        let (inner, report) = recovery::open(disk, dir, facts)?;
        Ok((
            Spool {
                inner: Arc::new(inner),
            },
            report,
        ))
    }

    /// The same, with these keys and values in place of a ledger, for the fuzz targets. One damaged value makes all of them count
    /// as lost, as in a real ledger.
    #[doc(hidden)]
    pub fn open_with_values(
        disk: Arc<dyn Disk>,
        dir: &Path,
        facts: OpenFacts,
        values: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(Spool, OpenReport), SpoolError> {
        let (inner, report) = recovery::open_with(disk, dir, facts, |_, report| {
            let mut contents = ledger::Contents::default();
            let taken = values
                .iter()
                .try_for_each(|(key, value)| contents.take(key, value));
            match taken {
                Ok(()) => (None, contents),
                Err(error) => {
                    report.ledger = LedgerNews::Rebuilt(error.to_string());
                    (None, ledger::Contents::default())
                }
            }
        })?;
        let inner = Arc::new(inner);
        Ok((Spool { inner }, report))
    }

    /// Begins a take: its header is durable when this returns. Refused without [`Spool::room`].
    pub fn begin(&self, clip: NewClip) -> Result<ClipWriter, SpoolError> {
        writer::begin(&self.inner, clip)
    }

    /// Deletes a take that is out of its writer's hands because the card refused a write, as [`ClipWriter::discard`] does. False if it
    /// is not there any more: it was finished meanwhile, or there was nothing to keep of it.
    pub fn discard_unfinished(&self, clip_id: &ClipId) -> Result<bool, SpoolError> {
        self.inner.discard_unfinished(clip_id)
    }

    /// Checks whether the card takes a write: a small file is written, made durable and removed.
    pub fn probe(&self) -> Result<(), SpoolError> {
        const NAME: &str = "probe";
        let folders = &self.inner.folders;
        let written = folders
            .with_room(|| disk::publish(&*folders.disk, &folders.root, NAME, b"self-test\n"))
            .and_then(|()| folders.disk.unlink(&folders.root.join(NAME)));
        written.map_err(|error| SpoolError::io("writing", folders.root.join(NAME), error))
    }

    /// Whether a take may begin. Costs one statvfs.
    pub fn room(&self) -> Room {
        self.inner.room()
    }

    /// Tries again what the card refused to do. To be called every few seconds while [`Spool::room`] says *unwritable*, and
    /// otherwise now and then. Takes that are finished late are returned by this function only.
    pub fn mend(&self) -> Mended {
        self.inner.mend()
    }

    /// Bytes that clips and running takes have on the card. Does not read the card.
    pub fn used_bytes(&self) -> u64 {
        locked(&self.inner.index).used_bytes()
    }

    /// How many finished clips are on the card, and the lowest number among this card's own.
    pub fn holdings(&self) -> (usize, Option<u64>) {
        let own = &self.inner.identity.card_id;
        let index = locked(&self.inner.index);
        let clips = index.clips.values().filter(|e| e.quarantine.is_none());
        let numbers = clips
            .clone()
            .filter(|entry| entry.clip.card_id == *own)
            .map(|entry| entry.clip.clip_no);
        (clips.count(), numbers.min())
    }

    /// The finished clips on the card, oldest first: those of other cards before those of this card, by number. Without quarantined
    /// clips.
    pub fn clips(&self) -> Vec<KeptClip> {
        let own = &self.inner.identity.card_id;
        let index = locked(&self.inner.index);
        let mut clips: Vec<KeptClip> = index
            .clips
            .values()
            .filter(|entry| entry.quarantine.is_none())
            .map(|entry| entry.clip.clone())
            .collect();
        drop(index);
        clips.sort_unstable_by(|a, b| {
            let key = |clip: &KeptClip| (clip.card_id == *own, clip.clip_no);
            (key(a), &a.card_id).cmp(&(key(b), &b.card_id))
        });
        clips
    }

    /// The card as it was when the spool was opened: its identity and boot count. Does not wait for any write.
    pub fn identity(&self) -> &Card {
        &self.inner.identity
    }

    /// Whether everything that citizens said is on the card, and no failed write is still to be repeated.
    pub fn is_settled(&self) -> bool {
        !locked(&self.inner.numbering).owes_a_write()
    }

    /// Whether this take is a citizen's message that the card has not finished yet; not while it is being said, and not once it is deleted.
    pub fn owes(&self, id: Uuid) -> bool {
        self.inner.owes(id)
    }

    /// The card's identity and boot count, with its present counters and clocks.
    pub fn card(&self) -> Card {
        locked(&self.inner.card).clone()
    }

    /// The highest clip number given on this card; 0 before the first. Does not wait for any write.
    pub fn last_clip_no(&self) -> u64 {
        self.inner.last_no.load(Ordering::Relaxed)
    }

    /// Bytes written, failures, and how long syncs take.
    pub fn disk_stats(&self) -> DiskStats {
        self.inner.folders.disk.stats()
    }

    /// The counters of this card, as last saved.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        locked(&self.inner.card).counters.clone()
    }

    /// Makes the counters durable, and with them the ledger's entries of new clips.
    pub fn save_counters(&self, counters: &BTreeMap<String, u64>) -> Result<(), SpoolError> {
        let inner = &self.inner;
        let mut card = locked(&inner.card);
        card.counters.clone_from(counters);
        card.counter_saves += 1;
        let saved = Counters {
            card_id: card.card_id.clone(),
            saves: card.counter_saves,
            values: card.counters.clone(),
        };
        let noted = inner.with_ledger(|ledger| {
            ledger.put_counters(&saved)?;
            ledger.sync()
        });
        if noted {
            Ok(())
        } else {
            inner.save_card(&card)
        }
    }

    /// Writes a checkpoint of everything that is not in the clip files, at a clean stop.
    pub fn checkpoint(&self) -> Result<(), SpoolError> {
        self.inner.with_ledger(Ledger::sync);
        self.inner.save_card(&locked(&self.inner.card))
    }
}

impl Inner {
    fn room(&self) -> Room {
        let used_bytes = locked(&self.index).used_bytes();
        let free = self.folders.disk.free_bytes(&self.folders.root);
        let free_bytes = free.as_ref().copied().unwrap_or(0);
        let reason = if self.is_unread.load(Ordering::Relaxed) {
            Some(Refusal::Unread)
        } else if free.is_err() || locked(&self.trouble).is_some() {
            Some(Refusal::Unwritable)
        } else if free_bytes < self.reserve_bytes.max(2 * self.folders.ballast_bytes) {
            Some(Refusal::Reserve)
        } else if used_bytes.saturating_add(CLIP_HEADROOM_BYTES) > self.max_bytes {
            Some(Refusal::Full)
        } else {
            None
        };
        Room {
            accepts: reason.is_none(),
            reason,
            free_bytes,
            used_bytes,
            max_bytes: self.max_bytes,
        }
    }

    fn save_card(&self, card: &Card) -> Result<(), SpoolError> {
        let disk = self.folders.disk.as_ref();
        self.folders
            .with_room(|| card.save(disk, &self.folders.root))
            .map_err(|error| {
                SpoolError::io("writing", self.folders.root.join(card::CARD_FILE), error)
            })
    }

    /// Notes that the card refused a write, or (`None`) that it took one.
    fn note_trouble(&self, trouble: Option<&SpoolError>) {
        *locked(&self.trouble) = trouble.map(ToString::to_string);
    }

    /// Runs `work` on the ledger if there is one; true if that worked. A ledger that fails is set aside and the spool goes on
    /// without it; the next start makes a new one.
    fn with_ledger(&self, work: impl FnOnce(&Ledger) -> Result<(), LedgerError>) -> bool {
        let mut guard = locked(&self.ledger);
        let Some(ledger) = guard.as_ref() else {
            return false;
        };
        match work(ledger) {
            Ok(()) => true,
            Err(error) => {
                log::error!(
                    "the ledger failed and is set aside; the clips are not affected: {error}"
                );
                *guard = None;
                if let Err(error) = self.folders.set_ledger_aside() {
                    log::error!("the ledger could not be set aside: {error}");
                }
                false
            }
        }
    }

    /// The entry of a clip.
    fn entry(&self, clip_id: &ClipId) -> Result<(Uuid, Entry), SpoolError> {
        let unknown = || SpoolError::UnknownClip {
            clip_id: clip_id.clone(),
        };
        let id = Uuid::parse_str(clip_id).map_err(|_| unknown())?;
        let entry = locked(&self.index)
            .clips
            .get(&id)
            .cloned()
            .ok_or_else(unknown)?;
        Ok((id, entry))
    }
}
