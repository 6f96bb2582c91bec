//! Opening the spool, whatever state the card was left in.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::disk::Disk;
use super::format::{Kind, parse, push_record};
use super::ledger::Ledger;
use super::ogg_end::{end_page, is_ended};
use super::{
    Card, ClipWriter, FrameFacts, Inner, KeptClip, Limits, Spool, SpoolError, State, kept_clip,
};
use crate::contract::EndedBy;

/// What the opening found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Recordings that a power cut had left unfinished, now kept.
    pub recovered: Vec<String>,
    /// What could not be read and was moved to `aside/`, a sentence each.
    pub moved_aside: Vec<String>,
    /// A card that had none before, or lost its identity.
    pub new_card: bool,
}

/// What the spool must be told, as it reads no clock and draws no lots.
#[derive(Debug, Clone)]
pub struct OpenFacts {
    /// The kernel's boot id.
    pub boot_id: String,
    /// A fresh random id, used if the card has none.
    pub new_card_id: String,
    /// Now, RFC 3339 UTC.
    pub now: String,
}

impl Spool {
    /// Opens the spool in `dir`, making it if need be; finishes what a power cut left.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        limits: Limits,
        facts: &OpenFacts,
    ) -> Result<(Self, OpenReport), SpoolError> {
        let mut report = OpenReport::default();
        for name in ["", "clips", "quarantine", "aside"] {
            let path = dir.join(name);
            disk.create_dir(&path)
                .map_err(SpoolError::io("make", &path))?;
        }
        disk.sync_dir(dir).map_err(SpoolError::io("sync", dir))?;
        let lock_path = dir.join("lock");
        let lock = disk.lock(&lock_path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => SpoolError::Locked(dir.to_owned()),
            _ => SpoolError::io("lock", &lock_path)(error),
        })?;
        let (card, card_changed) = read_card(&*disk, dir, facts, &mut report)?;
        let ledger = open_ledger(&*disk, dir, &mut report)?;
        let next_clip_no = card.clip_no_floor + 1;
        let quarantine = dir.join("quarantine");
        let quarantined_names = disk
            .list(&quarantine)
            .map_err(SpoolError::io("list", &quarantine))?;
        let spool = Self {
            inner: Arc::new(Inner {
                disk,
                dir: dir.to_owned(),
                limits,
                state: Mutex::new(State {
                    card,
                    clips: BTreeMap::new(),
                    ledger,
                    next_clip_no,
                    writing: HashSet::new(),
                    unfinished: HashSet::new(),
                    quarantined: quarantined_names.len() as u64,
                    used_bytes: 0,
                    closed: None,
                    body_index: None,
                    fsyncs_ms: VecDeque::new(),
                    written_bytes: 0,
                }),
                _lock: lock,
            }),
        };
        if card_changed {
            let card = spool.card();
            spool.publish_card(&card)?;
        }
        for name in quarantined_names {
            spool.note_number(&quarantine.join(name));
        }
        spool.read_clips(&mut report)?;
        Ok((spool, report))
    }

    /// Keeps the numbers of quarantined clips taken.
    fn note_number(&self, path: &Path) {
        let parsed = self
            .inner
            .disk
            .read(path)
            .ok()
            .and_then(|bytes| parse(&bytes));
        let Some(parsed) = parsed else { return };
        let mut state = self.state();
        if let Some(closing) = parsed.closing
            && parsed.header.card_id == state.card.card_id
        {
            state.next_clip_no = state.next_clip_no.max(closing.clip_no + 1);
        }
    }

    fn read_clips(&self, report: &mut OpenReport) -> Result<(), SpoolError> {
        let folder = self.inner.dir.join("clips");
        let names = self
            .inner
            .disk
            .list(&folder)
            .map_err(SpoolError::io("list", &folder))?;
        let known = self.state().ledger.clips().map_err(SpoolError::Ledger)?;
        let mut unfinished = Vec::new();
        let mut present = HashSet::new();
        for name in &names {
            let path = folder.join(name);
            let Some(clip_id) = name.strip_suffix(".clip") else {
                self.set_aside(&path, "is no clip file", report);
                continue;
            };
            let len = self
                .inner
                .disk
                .len(&path)
                .map_err(SpoolError::io("measure", &path))?;
            present.insert(clip_id.to_owned());
            if let Some(clip) = known.get(clip_id).filter(|clip| clip.file_len == len) {
                self.add(clip.clone());
                continue;
            }
            let bytes = match self.inner.disk.read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.set_aside(&path, &format!("cannot be read ({error})"), report);
                    continue;
                }
            };
            match parse(&bytes) {
                // A header that never became durable: nobody had spoken yet.
                None if len < 8192 && parse_is_torn_header(&bytes) => self.unlink(&path)?,
                None => self.set_aside(&path, "has no readable header", report),
                Some(parsed) if parsed.header.clip.clip_id != clip_id => {
                    self.set_aside(&path, "holds another clip than its name says", report);
                }
                Some(parsed) => match &parsed.closing {
                    Some(closing) => {
                        let body_ok = closing.bytes == parsed.body_len()
                            && super::hex(&sha2::Digest::finalize(parsed.body_hash(&bytes)))
                                == closing.sha256;
                        if body_ok {
                            let clip = kept_clip(
                                &parsed.header,
                                parsed.start.as_ref(),
                                closing,
                                parsed.valid,
                                parsed.closing_at,
                            );
                            self.add(clip.clone());
                            self.state()
                                .ledger
                                .put_clip(&clip)
                                .map_err(SpoolError::Ledger)?;
                        } else {
                            self.set_aside(
                                &path,
                                "has a body that is not the one it was closed with",
                                report,
                            );
                        }
                    }
                    None => unfinished.push(clip_id.to_owned()),
                },
            }
        }
        for clip_id in known.keys().filter(|clip_id| !present.contains(*clip_id)) {
            self.state()
                .ledger
                .remove_clip(clip_id)
                .map_err(SpoolError::Ledger)?;
        }
        // Numbers are given only now that every number in use is known.
        for clip_id in unfinished {
            if let Some(kept) = self.recover(&clip_id)? {
                report.recovered.push(kept.clip_id);
            }
        }
        self.state().ledger.flush().map_err(SpoolError::Ledger)
    }

    fn add(&self, clip: KeptClip) {
        let mut state = self.state();
        if clip.card_id == state.card.card_id {
            state.next_clip_no = state.next_clip_no.max(clip.clip_no + 1);
        }
        state.used_bytes += clip.file_len;
        state.clips.insert(clip.clip_id.clone(), clip);
    }

    /// Finishes recordings that a failed write left unfinished while running; answers those now kept.
    pub fn mend(&self) -> Result<Vec<KeptClip>, SpoolError> {
        let unfinished: Vec<String> = self.state().unfinished.iter().cloned().collect();
        let mut kept = Vec::new();
        for clip_id in unfinished {
            kept.extend(self.recover(&clip_id)?);
            self.state().unfinished.remove(&clip_id);
        }
        Ok(kept)
    }

    /// Finishes one file: cut the torn tail, end the stream, close. `None` if nothing had been kept.
    fn recover(&self, clip_id: &str) -> Result<Option<KeptClip>, SpoolError> {
        let path = self.clip_path(clip_id);
        let bytes = match self.inner.disk.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(SpoolError::io("read", &path))?,
        };
        let Some(parsed) = parse(&bytes) else {
            self.unlink(&path)?;
            return Ok(None);
        };
        let Some((start, last)) = parsed
            .start
            .clone()
            .zip(parsed.last_piece(&bytes))
            .filter(|_| !parsed.discarded)
        else {
            self.unlink(&path)?;
            return Ok(None);
        };
        let end = if is_ended(last) {
            Vec::new()
        } else {
            end_page(last, parsed.header.pre_skip).unwrap_or_default()
        };
        let file = self
            .inner
            .disk
            .reopen(&path, parsed.valid)
            .map_err(SpoolError::io("cut", &path))?;
        let mut writer = ClipWriter {
            spool: self.clone(),
            file,
            path,
            seq: parsed.next_seq,
            len: parsed.valid,
            body: parsed.body_len(),
            hash: parsed.body_hash(&bytes),
            levels: parsed.levels,
            header: parsed.header,
            start: Some(start.clone()),
            done: false,
        };
        let mut tail = Vec::new();
        if !end.is_empty() {
            writer.push_frame(&mut tail, &start, &end, FrameFacts::default());
        }
        writer.close(tail, EndedBy::Power, true).map(Some)
    }

    fn unlink(&self, path: &Path) -> Result<(), SpoolError> {
        self.inner
            .disk
            .remove(path)
            .map_err(SpoolError::io("delete", path))?;
        let folder = self.inner.dir.join("clips");
        self.inner
            .disk
            .sync_dir(&folder)
            .map_err(SpoolError::io("sync", &folder))
    }

    fn set_aside(&self, path: &Path, why: &str, report: &mut OpenReport) {
        report
            .moved_aside
            .push(set_aside(&*self.inner.disk, &self.inner.dir, path, why));
    }
}

/// Whether these bytes are the beginning of a header record that was never fsynced whole.
fn parse_is_torn_header(bytes: &[u8]) -> bool {
    let magic = super::MAGIC;
    bytes.len() < magic.len() || {
        // No record but the header can be in the file yet, so its length must reach the file's end.
        let length = bytes
            .get(8..12)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_le_bytes);
        bytes.iter().all(|byte| *byte == 0) || bytes.len() < magic.len() + 16 + length as usize
    }
}

/// Moves something to `aside/` under a name that is free; answers the sentence for the report.
fn set_aside(disk: &dyn Disk, dir: &Path, path: &Path, why: &str) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let aside = dir.join("aside");
    let taken = disk.list(&aside).unwrap_or_default();
    let free = (0u32..)
        .map(|n| format!("{name}.{n}"))
        .find(|free| !taken.contains(free))
        .unwrap_or_default();
    let moved = disk
        .rename(path, &aside.join(&free))
        .and_then(|()| disk.sync_dir(&aside))
        .and_then(|()| disk.sync_dir(path.parent().unwrap_or(dir)));
    match moved {
        Ok(()) => format!("{name} {why}; moved to aside/{free}"),
        Err(error) => format!("{name} {why}, and cannot be moved aside: {error}"),
    }
}

fn read_card(
    disk: &dyn Disk,
    dir: &Path,
    facts: &OpenFacts,
    report: &mut OpenReport,
) -> Result<(Card, bool), SpoolError> {
    let path = dir.join("card.json");
    let found = match disk.read(&path) {
        Ok(bytes) => match serde_json::from_slice::<Card>(&bytes) {
            Ok(card) => Some(card),
            Err(error) => {
                let why = format!("cannot be read ({error})");
                report.moved_aside.push(set_aside(disk, dir, &path, &why));
                None
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(SpoolError::io("read", &path)(error)),
    };
    Ok(match found {
        Some(card) if card.last_boot_id == facts.boot_id => (card, false),
        Some(mut card) => {
            card.boot_count += 1;
            card.last_boot_id = facts.boot_id.clone();
            (card, true)
        }
        None => {
            report.new_card = true;
            let card = Card {
                card_id: facts.new_card_id.clone(),
                previous_card_id: foreign_card(disk, dir),
                first_seen: facts.now.clone(),
                boot_count: 1,
                last_boot_id: facts.boot_id.clone(),
                clip_no_floor: 0,
                counters: BTreeMap::new(),
            };
            (card, true)
        }
    })
}

/// The identity that clips on a card without one still carry.
fn foreign_card(disk: &dyn Disk, dir: &Path) -> Option<String> {
    let folder = dir.join("clips");
    let names = disk.list(&folder).ok()?;
    names.iter().rev().find_map(|name| {
        let head = disk.read_at(&folder.join(name), 0, 8192).ok()?;
        Some(parse(&head)?.header.card_id)
    })
}

/// Opens the ledger; one that cannot be read is set aside and made again. At most two old ones are kept.
fn open_ledger(disk: &dyn Disk, dir: &Path, report: &mut OpenReport) -> Result<Ledger, SpoolError> {
    let path = dir.join("ledger");
    let why = match Ledger::open(&path) {
        Ok(ledger) => return Ok(ledger),
        Err(why) => why,
    };
    report.moved_aside.push(set_aside(
        disk,
        dir,
        &path,
        &format!("cannot be read ({why})"),
    ));
    let aside = dir.join("aside");
    let mut old: Vec<String> = disk.list(&aside).unwrap_or_default();
    old.retain(|name| name.starts_with("ledger."));
    old.sort_by_key(|name| name.rsplit('.').next().and_then(|n| n.parse::<u32>().ok()));
    for name in old.iter().take(old.len().saturating_sub(2)) {
        let path = aside.join(name);
        disk.remove_dir_all(&path)
            .map_err(SpoolError::io("delete", &path))?;
    }
    Ledger::open(&path).map_err(SpoolError::Ledger)
}

/// Marks a file as discarded in place, for tests of recovery.
#[doc(hidden)]
pub fn discarded_record(seq: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_record(&mut bytes, seq, Kind::Discarded, &[]);
    bytes
}
