//! Giving numbers, and finishing later what the card refused to write or to give back.
//!
//! Owns: the next clip number and the list of unsettled takes. Never does: give a number while one is in doubt. A failure leaves
//! the take on the list; if the process ends, recovery finishes it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::clip_file::{CutOff, Ending, Found, read};
use super::disk::{Open, read_whole};
use super::error::is_verdict;
use super::folders::open_clip;
use super::ledger::Entry;
use super::take::{Finished, Take};
use super::{Inner, KeptClip, KeptWithdrawal, SpoolError, locked};
use booth_contract::FrameFacts;
use booth_contract::{ClipId, EndedBy, Publish};
use gateway_core::quarantine::Note;

/// Longest clip file that is read; the longest recording makes a far shorter one.
pub const LONGEST_FILE: u64 = 64 << 20;
/// How often the card may refuse a file while it takes other writes, before the booth goes on without the file: it is set aside, or
/// is moved to quarantine if it cannot be read.
const TRIES: u32 = 5;

/// How often the card may refuse the copy of what lies behind damage while it takes other writes, before the take is finished without
/// it: less often than the take itself is tried.
const COPY_TRIES: u32 = TRIES - 1;

/// Reason for a clip's quarantine, if its file could be read at last and states no reason itself.
const WAS_UNREAD: &str = "the card did not give it back when the spool was opened";

/// Work on a file that could not be done yet.
pub(super) enum Unsettled {
    /// The write that ends the words failed, with this last frame, or the one that closes the take, without any.
    Finish {
        take: Box<Take>,
        last: Vec<u8>,
        facts: FrameFacts,
        ended_by: EndedBy,
        publish: Publish,
    },
    /// The writer was dropped, or a power cut ended the take; the file is good up to `durable_to`.
    Abandoned {
        id: Uuid,
        durable_to: u64,
        wanted_no: Option<u64>,
        /// Whether valid records follow, of which a copy is kept before they are cut off.
        has_stranded: bool,
    },
    /// The take was deleted on purpose, or never begun.
    Unlink { id: Uuid },
    /// A vote that the card refused and does not let go either: its file may have a number.
    Uncast { id: Uuid },
    /// The card does not give the file back. Unless the ledger knows the clip, the file may hold a number.
    Unread {
        id: Uuid,
        in_quarantine: bool,
        known: Option<Box<Entry>>,
    },
}

impl Unsettled {
    /// Whether the next number depends on it.
    pub(super) fn holds_up_numbers(&self) -> bool {
        match self {
            Self::Unlink { .. } => false,
            Self::Unread { known, .. } => known.is_none(),
            Self::Finish { .. } | Self::Abandoned { .. } | Self::Uncast { .. } => true,
        }
    }

    fn id(&self) -> Uuid {
        match self {
            Self::Finish { take, .. } => take.id,
            Self::Abandoned { id, .. }
            | Self::Unlink { id }
            | Self::Uncast { id }
            | Self::Unread { id, .. } => *id,
        }
    }
}

/// The next number and the work that has to be done before it is given. Locked until a write that gives a number is durable.
pub(super) struct Numbering {
    pub next_no: u64,
    pub unsettled: VecDeque<(Unsettled, u32)>,
    /// Unreadable files for which a number is kept back.
    kept_back: HashSet<Uuid>,
    /// How often the copy of what lies behind damage was refused.
    uncopied: HashMap<Uuid, u32>,
    /// Results for takes that were settled since the last [`Inner::mend`].
    pub mended: Mended,
}

impl Numbering {
    pub(super) fn new(next_no: u64) -> Self {
        Self {
            next_no,
            unsettled: VecDeque::new(),
            kept_back: HashSet::new(),
            uncopied: HashMap::new(),
            mended: Mended::default(),
        }
    }

    /// Whether a write is still to be repeated.
    pub(super) fn owes_a_write(&self) -> bool {
        let is_write = |(job, _): &(Unsettled, u32)| !matches!(job, Unsettled::Unread { .. });
        self.unsettled.iter().any(is_write)
    }

    /// Whether no number may be given at present.
    pub(super) fn is_held_up(&self) -> bool {
        self.unsettled.iter().any(|(job, _)| job.holds_up_numbers())
    }

    pub(super) fn push(&mut self, unsettled: Unsettled) {
        self.unsettled.push_back((unsettled, 0));
    }
}

/// What [`super::Spool::mend`] did.
#[derive(Debug, Default)]
pub struct Mended {
    /// Clips that are whole now; to be delivered like any other.
    pub kept: Vec<KeptClip>,
    /// Which of these are takes that were finished late, and nothing that the card gives back.
    pub finished: Vec<ClipId>,
    /// Withdrawals that the card did not give back before; to be delivered like any other.
    pub withdrawals: Vec<KeptWithdrawal>,
    /// Names in `aside/` of takes whose file the card refuses for good, with the reason.
    pub set_aside: Vec<(String, String)>,
    /// Clips that were found to be in quarantine or were moved there, and why.
    pub quarantined: Vec<(ClipId, Note)>,
    /// Why the card still refuses writes, if it does.
    pub trouble: Option<String>,
    /// Whether work is left to be tried again.
    pub is_unfinished: bool,
}

impl Inner {
    /// Closes a take whose words have ended, and gives it its number.
    pub(super) fn close(
        &self,
        take: Take,
        ended_by: EndedBy,
        publish: Publish,
    ) -> Result<KeptClip, SpoolError> {
        let clip_id = take.header.clip.clip_id.clone();
        let mut numbering = locked(&self.numbering);
        self.settle(&mut numbering);
        let mut job = Unsettled::Finish {
            take: Box::new(take),
            last: Vec::new(),
            facts: FrameFacts::NONE,
            ended_by,
            publish,
        };
        if numbering.is_held_up() {
            numbering.push(job);
            let why = "an earlier clip waits for the card as well".into();
            return Err(SpoolError::NotDurable { clip_id, why });
        }
        match self.try_one(&mut job, &mut numbering) {
            Ok(Some(kept)) => {
                self.note_trouble(None);
                Ok(kept)
            }
            Ok(None) => Err(SpoolError::NothingSaid { clip_id }),
            Err(error) => {
                self.note_trouble(Some(&error));
                numbering.push(job);
                Err(SpoolError::NotDurable {
                    clip_id,
                    why: error.to_string(),
                })
            }
        }
    }

    /// Deletes a take on purpose.
    pub(super) fn discard(&self, mut take: Take) -> Result<(), SpoolError> {
        let id = take.id;
        let marked = take.mark_discarded();
        drop(take);
        let unlinked = self.unlink(id);
        if unlinked.is_err() {
            locked(&self.numbering).push(Unsettled::Unlink { id });
        }
        // A durably removed file is better than a marked one.
        match (marked, unlinked) {
            (_, Ok(())) => Ok(()),
            (Ok(()), Err(error)) => {
                log::warn!("a discarded take is marked but not removed yet: {error}");
                Ok(())
            }
            (Err(error), Err(_)) => {
                self.note_trouble(Some(&error));
                Err(error)
            }
        }
    }

    /// Deletes a take that waits to be finished.
    pub(super) fn discard_unfinished(&self, clip_id: &ClipId) -> Result<bool, SpoolError> {
        let job = {
            let mut numbering = locked(&self.numbering);
            let of_take = |(job, _): &(Unsettled, u32)| {
                let is_take = matches!(job, Unsettled::Finish { .. } | Unsettled::Abandoned { .. });
                is_take && job.id().to_string() == clip_id.as_str()
            };
            let at = numbering.unsettled.iter().position(of_take);
            at.and_then(|at| numbering.unsettled.remove(at))
        };
        let id = match job {
            Some((Unsettled::Finish { take, .. }, _)) => {
                return self.discard(*take).map(|()| true);
            }
            Some((job, _)) => job.id(),
            None => return Ok(false),
        };
        let path = self.folders.clip(&self.folders.clips, id);
        let found = read_whole(self.folders.disk.as_ref(), &path, LONGEST_FILE)
            .ok()
            .map(|bytes| read(&bytes, id));
        let taken_up = match found {
            Some(Found::CutOff(cut)) => open_clip(&self.folders, &path, Open::Write)
                .map(|file| Take::resume(id, *cut, file, path))
                .ok(),
            _ => None,
        };
        match taken_up {
            Some(take) => self.discard(take)?,
            // Without its mark it must not be forgotten that it has to go.
            None => {
                if let Err(error) = self.unlink(id) {
                    locked(&self.numbering).push(Unsettled::Unlink { id });
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    /// Whether this take waits to be finished, or its file to be read.
    pub(super) fn owes(&self, id: Uuid) -> bool {
        let numbering = locked(&self.numbering);
        let mut jobs = numbering.unsettled.iter();
        jobs.any(|(job, _)| {
            job.id() == id && !matches!(job, Unsettled::Unlink { .. } | Unsettled::Uncast { .. })
        })
    }

    /// Whether the card may still have a file of this clip that nothing is known of.
    pub(super) fn may_have(&self, clip_id: &ClipId) -> bool {
        let is_it = |id: Uuid| id.to_string() == clip_id.as_str();
        let is_unsettled = {
            let numbering = locked(&self.numbering);
            numbering.unsettled.iter().any(|(job, _)| is_it(job.id()))
        };
        is_unsettled || locked(&self.unread).keys().any(|id| is_it(*id))
    }

    /// Settles what is unsettled, checks that the card takes writes, and returns the results.
    pub(super) fn mend(&self) -> Mended {
        let mut strange = Vec::new();
        let (withdrawals, are_some_unread) = self.read_withdrawals_again(&mut strange);
        let mut numbering = locked(&self.numbering);
        self.settle(&mut numbering);
        let mut mended = std::mem::take(&mut numbering.mended);
        drop(numbering);
        mended.withdrawals = withdrawals;
        mended.set_aside.append(&mut strange);
        if locked(&self.trouble).is_some() {
            match self.probe() {
                Ok(()) if !locked(&self.numbering).is_held_up() => self.note_trouble(None),
                Ok(()) => {}
                Err(error) => self.note_trouble(Some(&error)),
            }
        }
        if locked(&self.trouble).is_none() {
            self.do_chores(&mut mended);
            self.folders.lay_ballast(self.reserve_bytes);
        }
        mended.trouble.clone_from(&locked(&self.trouble));
        let is_settled = locked(&self.numbering).unsettled.is_empty();
        mended.is_unfinished = mended.trouble.is_some() || !is_settled || are_some_unread;
        mended
    }

    /// Settles what is unsettled before a take begins.
    pub(super) fn settle_all(&self) {
        let mut numbering = locked(&self.numbering);
        if !numbering.unsettled.is_empty() {
            self.settle(&mut numbering);
            if !numbering.is_held_up() {
                self.note_trouble(None);
            }
        }
    }

    pub(super) fn settle(&self, numbering: &mut Numbering) {
        self.settle_each(numbering);
        let is_unread = |(job, _): &(Unsettled, u32)| {
            matches!(job, Unsettled::Unread { .. }) && job.holds_up_numbers()
        };
        let is_held_up = numbering.unsettled.iter().any(is_unread);
        self.is_unread.store(is_held_up, Ordering::Relaxed);
    }

    fn settle_each(&self, numbering: &mut Numbering) {
        for _ in 0..numbering.unsettled.len() {
            let Some((mut job, failures)) = numbering.unsettled.pop_front() else {
                break;
            };
            match self.try_one(&mut job, numbering) {
                Ok(Some(kept)) => {
                    if matches!(job, Unsettled::Finish { .. } | Unsettled::Abandoned { .. }) {
                        numbering.mended.finished.push(kept.clip_id.clone());
                    }
                    numbering.mended.kept.push(kept);
                }
                Ok(None) => {}
                Err(error) if !job.holds_up_numbers() => {
                    if failures == 0 {
                        log::warn!("a take is settled later: {error}");
                    }
                    numbering
                        .unsettled
                        .push_back((job, failures.saturating_add(1)));
                }
                Err(error) => {
                    // A failure counts against this file only if the card takes other writes meanwhile.
                    let is_of_this_file = !error.is_of_the_whole_card() && self.probe().is_ok();
                    let failures = failures + u32::from(is_of_this_file);
                    let is_hopeless = is_of_this_file && failures >= TRIES;
                    let goes_on = is_hopeless
                        && match error.is_of_reading() {
                            true => self.leave_unread(&job, &error, numbering),
                            false => self.give_up(&job, &error, numbering),
                        };
                    if goes_on {
                        continue;
                    }
                    self.note_trouble(Some(&error));
                    // Back to the front of the list: the take that first tried to get a number gets the first one.
                    numbering.unsettled.push_front((job, failures));
                    break;
                }
            }
        }
    }

    /// Sets the file of a take aside; true if that worked.
    fn give_up(&self, job: &Unsettled, error: &SpoolError, numbering: &mut Numbering) -> bool {
        let path = self.folders.clip(&self.folders.clips, job.id());
        match self.folders.set_aside(&path) {
            Ok(name) => {
                log::error!("a take is set aside as {name}: {error}");
                numbering.mended.set_aside.push((name, error.to_string()));
                true
            }
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Goes on without a file that the card does not give back: the file stays in quarantine, is read again now and then, and the
    /// number that it may hold is not given again. True if that worked.
    fn leave_unread(&self, job: &Unsettled, error: &SpoolError, numbering: &mut Numbering) -> bool {
        let id = job.id();
        let is_there = matches!(
            job,
            Unsettled::Unread {
                in_quarantine: true,
                ..
            }
        );
        let left = self.keep_a_number_back(id, numbering).and_then(|()| {
            let (from, to) = (&self.folders.clips, &self.folders.quarantine);
            match is_there {
                true => Ok(()),
                false => self.folders.move_clip(id, from, to).map_err(|error| {
                    SpoolError::io("moving to quarantine", self.folders.clip(from, id), error)
                }),
            }
        });
        if let Err(error) = left {
            log::error!("{error}");
            return false;
        }
        let note = Note::unread(&format!("the card does not give it back: {error}"));
        log::error!("clip {id} goes to quarantine: {}", note.reason);
        locked(&self.unread).insert(id, note.clone());
        numbering
            .mended
            .quarantined
            .push((id.to_string().into(), note));
        true
    }

    /// Makes sure that a number which may be in an unreadable file is not given again. Numbers are given one after another, so that
    /// this number is one that no other file has, or the next.
    fn keep_a_number_back(&self, id: Uuid, numbering: &mut Numbering) -> Result<(), SpoolError> {
        if numbering.kept_back.contains(&id) {
            return Ok(());
        }
        let mut card = locked(&self.card);
        let floor = card.clip_no_floor;
        let given = numbering.next_no - 1;
        let known = {
            let index = locked(&self.index);
            let own = index.clips.values().map(|entry| &entry.clip);
            let own = own.filter(|clip| clip.card_id == card.card_id);
            own.filter(|clip| clip.clip_no > floor).count() as u64
        };
        let without_file = given.saturating_sub(floor).saturating_sub(known);
        if without_file > locked(&self.unread).len() as u64 {
            numbering.kept_back.insert(id);
            return Ok(());
        }
        let mut raised = card.clone();
        raised.clip_no_floor = numbering.next_no;
        self.save_card(&raised)?;
        *card = raised;
        self.gave(numbering, given + 1);
        numbering.kept_back.insert(id);
        Ok(())
    }

    /// Notes that this number has been given.
    fn gave(&self, numbering: &mut Numbering, clip_no: u64) {
        numbering.next_no = numbering.next_no.max(clip_no + 1);
        self.last_no.store(numbering.next_no - 1, Ordering::Relaxed);
    }

    /// Tries one job, with the ballast's room if there is no other. `None` if there was nothing to keep. On success the number has
    /// been given.
    fn try_one(
        &self,
        job: &mut Unsettled,
        numbering: &mut Numbering,
    ) -> Result<Option<KeptClip>, SpoolError> {
        match self.attempt(job, numbering) {
            Err(SpoolError::FullDisk { .. }) if self.folders.drop_ballast() => {
                self.attempt(job, numbering)
            }
            other => other,
        }
    }

    fn attempt(
        &self,
        job: &mut Unsettled,
        numbering: &mut Numbering,
    ) -> Result<Option<KeptClip>, SpoolError> {
        match job {
            Unsettled::Unlink { id } | Unsettled::Uncast { id } => self.unlink(*id).map(|()| None),
            Unsettled::Unread {
                id,
                in_quarantine,
                known,
            } => self.read_late(*id, *in_quarantine, known.as_deref(), numbering),
            Unsettled::Finish {
                take,
                last,
                facts,
                ended_by,
                publish,
            } => {
                let ending = Ending {
                    publish: *publish,
                    ..self.ending(numbering.next_no, *ended_by, false)
                };
                take.start = self.corrected(&take.header.boot_id, take.start);
                let has_last = !last.is_empty() || facts.samples > 0;
                let last = has_last.then_some((*facts, last.as_slice()));
                match take.finish(last, &ending) {
                    Ok(finished) => Ok(Some(self.keep(take.id, finished, numbering))),
                    Err(SpoolError::NothingSaid { .. }) => self.unlink(take.id).map(|()| None),
                    Err(error) => Err(error),
                }
            }
            Unsettled::Abandoned {
                id,
                durable_to,
                wanted_no,
                has_stranded,
            } => self.finish_file(*id, *durable_to, *wanted_no, has_stranded, numbering),
        }
    }

    fn ending(&self, clip_no: u64, ended_by: EndedBy, recovered: bool) -> Ending {
        Ending {
            clip_no,
            card_id: locked(&self.card).card_id.clone(),
            ended_by,
            recovered,
            publish: Publish::No,
        }
    }

    pub(super) fn keep(&self, id: Uuid, finished: Finished, numbering: &mut Numbering) -> KeptClip {
        let clip = KeptClip::of(&finished.manifest);
        self.gave(numbering, clip.clip_no);
        let entry = Entry {
            clip: clip.clone(),
            file_bytes: finished.file_bytes,
            closing_at: finished.closing_at,
            offered_at: None,
            quarantine: None,
            note: None,
        };
        self.with_ledger(|ledger| ledger.put_clip(id, &entry));
        locked(&self.index).insert(id, entry);
        clip
    }

    pub(super) fn unlink(&self, id: Uuid) -> Result<(), SpoolError> {
        self.folders
            .unlink_clip(&self.folders.clips, id)
            .map_err(|error| {
                SpoolError::io(
                    "removing",
                    self.folders.clip(&self.folders.clips, id),
                    error,
                )
            })
    }

    /// Reads a file that could not be read when the spool was opened, and treats it as recovery does. `None` if it is no clip to
    /// deliver.
    pub(super) fn read_late(
        &self,
        id: Uuid,
        in_quarantine: bool,
        known: Option<&Entry>,
        numbering: &mut Numbering,
    ) -> Result<Option<KeptClip>, SpoolError> {
        let (clips, quarantine) = (&self.folders.clips, &self.folders.quarantine);
        let folder = if in_quarantine { quarantine } else { clips };
        let path = self.folders.clip(folder, id);
        let content = match read_whole(self.folders.disk.as_ref(), &path, LONGEST_FILE) {
            Err(error) if !is_verdict(&error) && error.kind() != io::ErrorKind::NotFound => {
                return Err(SpoolError::io("reading", &path, error));
            }
            other => other,
        };
        let found = match &content {
            Ok(bytes) => read(bytes, id),
            Err(error) => Found::Unreadable(error.to_string()),
        };
        let content = content.unwrap_or_default();
        let bytes = content.len() as u64;
        match found {
            Found::Finished(manifest, closed) => {
                let entry = Entry::of(&manifest, &closed, bytes);
                self.believe_one(&path, &entry)
                    .map_err(|error| SpoolError::io("syncing", &path, error))?;
                Ok(self.take_in_finished(id, entry, in_quarantine, numbering))
            }
            Found::CutOff(cut) => {
                if cut.has_stranded {
                    let copy = self.keep_a_copy(id, &path, &content, cut.valid_to, numbering)?;
                    numbering.mended.set_aside.extend(copy);
                }
                drop(content);
                if in_quarantine {
                    self.folders
                        .move_clip(id, quarantine, clips)
                        .map_err(|error| SpoolError::io("moving", &path, error))?;
                }
                let wanted = known.map(|entry| entry.clip.clip_no).or(cut.clip_no);
                let is_own = cut.header.card_id == locked(&self.card).card_id;
                let wanted = wanted.filter(|clip_no| is_own && self.is_free(*clip_no, id));
                self.finish_cut_off(id, *cut, wanted, numbering).map(Some)
            }
            Found::Empty | Found::Discarded if !in_quarantine => self.unlink(id).map(|()| None),
            Found::Damaged(manifest, at, why) => {
                if !in_quarantine {
                    self.folders
                        .move_clip(id, clips, quarantine)
                        .map_err(|error| SpoolError::io("moving to quarantine", &path, error))?;
                }
                let entry = Entry::damaged(&manifest, at, bytes, &why);
                self.take_in_damaged(id, entry, &why, numbering);
                Ok(None)
            }
            Found::Empty | Found::Discarded | Found::Unreadable(_) => {
                let why = match found {
                    Found::Unreadable(why) => why,
                    _ => "there is no audio in it".into(),
                };
                self.put_aside(id, &path, why, known, numbering)
            }
        }
    }

    /// A finished clip whose file the card gives back again; the clip, if it is to be delivered.
    fn take_in_finished(
        &self,
        id: Uuid,
        mut entry: Entry,
        in_quarantine: bool,
        numbering: &mut Numbering,
    ) -> Option<KeptClip> {
        if entry.clip.card_id == locked(&self.card).card_id {
            self.gave(numbering, entry.clip.clip_no);
        }
        if in_quarantine {
            let note = entry.note.get_or_insert_with(|| Note::unknown(WAS_UNREAD));
            entry.quarantine = Some(note.reason.clone());
            let moved = (entry.clip.clip_id.clone(), note.clone());
            numbering.mended.quarantined.push(moved);
        }
        self.with_ledger(|ledger| ledger.put_clip(id, &entry));
        let clip = entry.clip.clone();
        locked(&self.index).insert(id, entry);
        (!in_quarantine).then_some(clip)
    }

    /// The same of a clip that is in quarantine because it is damaged.
    fn take_in_damaged(&self, id: Uuid, entry: Entry, why: &str, numbering: &mut Numbering) {
        if entry.clip.card_id == locked(&self.card).card_id {
            self.gave(numbering, entry.clip.clip_no);
        }
        let moved = (entry.clip.clip_id.clone(), Note::damaged(why));
        numbering.mended.quarantined.push(moved);
        self.with_ledger(|ledger| ledger.put_clip(id, &entry));
        locked(&self.index).insert(id, entry);
    }

    /// Sets a file aside that holds no clip. The number of a clip that is lost with it is declared void, and that declaration is to be
    /// delivered.
    fn put_aside(
        &self,
        id: Uuid,
        path: &Path,
        why: String,
        lost: Option<&Entry>,
        numbering: &mut Numbering,
    ) -> Result<Option<KeptClip>, SpoolError> {
        match self.folders.set_aside(path) {
            Ok(name) => numbering.mended.set_aside.push((name, why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SpoolError::io("setting aside", path, error)),
        }
        let Some(lost) = lost else {
            return Ok(None);
        };
        self.declare_void(id, lost)?;
        let declared = self.entry(&id.to_string().into());
        Ok(declared.ok().map(|(_, entry)| entry.clip))
    }

    /// Whether no other clip than `but` has that number of this card.
    fn is_free(&self, clip_no: u64, but: Uuid) -> bool {
        let card_id = locked(&self.card).card_id.clone();
        let index = locked(&self.index);
        let mut others = index.clips.iter().filter(|(id, _)| **id != but);
        !others.any(|(_, entry)| entry.clip.card_id == card_id && entry.clip.clip_no == clip_no)
    }

    /// Finishes the file of a dropped writer, as far as it is durable.
    fn finish_file(
        &self,
        id: Uuid,
        durable_to: u64,
        wanted_no: Option<u64>,
        has_stranded: &mut bool,
        numbering: &mut Numbering,
    ) -> Result<Option<KeptClip>, SpoolError> {
        let path = self.folders.clip(&self.folders.clips, id);
        let mut bytes =
            read_whole(self.folders.disk.as_ref(), &path, LONGEST_FILE).map_err(|error| {
                match is_verdict(&error) {
                    true => SpoolError::Damaged {
                        clip_id: id.to_string().into(),
                        why: error.to_string(),
                    },
                    false => SpoolError::io("reading", &path, error),
                }
            })?;
        if *has_stranded {
            let copy = self.keep_a_copy(id, &path, &bytes, durable_to, numbering)?;
            numbering.mended.set_aside.extend(copy);
            *has_stranded = false;
        }
        bytes.truncate(usize::try_from(durable_to).unwrap_or(usize::MAX));
        match read(&bytes, id) {
            Found::CutOff(cut) => self
                .finish_cut_off(id, *cut, wanted_no, numbering)
                .map(Some),
            Found::Empty | Found::Discarded => self.unlink(id).map(|()| None),
            Found::Finished(..) | Found::Damaged(..) | Found::Unreadable(_) => {
                let why = "what was written of it cannot be read back".into();
                Err(SpoolError::Damaged {
                    clip_id: id.to_string().into(),
                    why,
                })
            }
        }
    }

    /// Copies a whole file aside before it is cut although valid records follow the damage at `valid_to`. Answers the copy's name, with
    /// the reason, unless it lies there already. A card that takes other writes and never this copy does not hold up a booth for ever.
    pub(super) fn keep_a_copy(
        &self,
        id: Uuid,
        path: &Path,
        bytes: &[u8],
        valid_to: u64,
        numbering: &mut Numbering,
    ) -> Result<Option<(String, String)>, SpoolError> {
        let copied = self.folders.copy_aside(path, bytes);
        let error = match copied.map_err(|error| SpoolError::io("copying aside", path, error)) {
            Ok(name) => {
                let why = format!("valid records follow the damage at byte {valid_to}");
                return Ok(name.map(|name| (name, why)));
            }
            Err(error) => error,
        };
        let refused = numbering.uncopied.entry(id).or_default();
        *refused += u32::from(!error.is_of_the_whole_card());
        if *refused < COPY_TRIES {
            return Err(error);
        }
        log::error!("what follows byte {valid_to} of clip {id} is cut off without a copy: {error}");
        Ok(None)
    }

    /// Finishes a take that was cut off; its manifest says that it ended by `power`, unless its words had ended before.
    pub(super) fn finish_cut_off(
        &self,
        id: Uuid,
        cut: CutOff,
        wanted_no: Option<u64>,
        numbering: &mut Numbering,
    ) -> Result<KeptClip, SpoolError> {
        let path = self.folders.clip(&self.folders.clips, id);
        if cut.header.boot_id == self.boot_id {
            self.write_again(&path, cut.valid_to)
                .map_err(|error| SpoolError::io("writing", &path, error))?;
        }
        let file = open_clip(&self.folders, &path, Open::Write)?;
        let ended_by = cut.held.unwrap_or(EndedBy::Power);
        let ending = self.ending(wanted_no.unwrap_or(numbering.next_no), ended_by, true);
        // Before the number is given: a power cut in between costs a later reading of the other card nothing, because the file is here.
        self.note_finished(id, &cut);
        let mut take = Take::resume(id, cut, file, path);
        take.start = self.corrected(&take.header.boot_id, take.start);
        let finished = take.finish(None, &ending)?;
        Ok(self.keep(id, finished, numbering))
    }

    /// Checks whether the card takes writes; saves the card's identity, which may not be saved yet.
    fn probe(&self) -> Result<(), SpoolError> {
        self.save_card(&locked(&self.card))
    }
}
