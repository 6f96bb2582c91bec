//! Opening the spool, whatever state the card was left in (docs/spool-format.md §3, §4 and §6).
//!
//! Owns: the order of the steps. Never does: delete a file with audio in it, or give up on a damaged one: a file that cannot be
//! read is set aside and reported. If opening is cut off at any point, the next opening comes to the same result.

use booth_contract::CardId;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::card::{CARD_FILE, Card, CardFault, CardFound};
use super::chores::{Chore, at_once};
use super::clip_file::{CutOff, rfc3339};
use super::disk::{Disk, Open, read_whole};
use super::error::is_verdict;
use super::folders::Folders;
use super::ledger::{Contents, Entry, Ledger, LedgerError};
use super::settle::{LONGEST_FILE, Numbering, Unsettled};
use super::survey::{Survey, Unread, survey};
use super::{Index, Inner, LedgerNews, OpenFacts, OpenReport, SpoolError, locked, withdrawals};
use gateway_core::quarantine::Note;

/// If there are more new files than this, one syncfs replaces one sync for each.
const SYNCED_ONE_BY_ONE: usize = 32;
/// After so many failed openings in a row a `card.json` or `orders.json` that the card does not give back is given up.
pub(super) const CARD_TRIES: u32 = 5;

pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: &Path,
    facts: OpenFacts,
) -> Result<(Inner, OpenReport), SpoolError> {
    let has_ledger = facts.ledger;
    open_with(disk, dir, facts, |folders, report| match has_ledger {
        true => open_ledger(folders, report),
        false => (None, Contents::default()),
    })
}

/// Opens the spool; `ledger` provides the ledger and its contents.
pub(super) fn open_with(
    disk: Arc<dyn Disk>,
    dir: &Path,
    facts: OpenFacts,
    ledger: impl FnOnce(&Folders, &mut OpenReport) -> (Option<Ledger>, Contents),
) -> Result<(Inner, OpenReport), SpoolError> {
    let folders = Folders::make(disk, dir, facts.ballast_bytes)?;
    let lock_file = dir.join("lock");
    let lock = folders
        .disk
        .lock(&lock_file)
        .map_err(|error| SpoolError::io("locking", lock_file, error))?
        .ok_or_else(|| SpoolError::InUse {
            dir: dir.to_path_buf(),
        })?;

    let mut report = OpenReport::nothing_yet();
    let found = find_card(&folders, dir, facts.failed_before)?;
    let orders = super::orders::find(&folders, dir, facts.failed_before, &mut report)?;
    let (ledger, contents) = ledger(&folders, &mut report);
    let survey = survey(&folders, contents.entries)?;
    let identity = Identity {
        found,
        ledger_card_id: contents.card_id.clone(),
    };
    let (mut card, replaced) = identity.settle(&facts, &survey, &mut report);

    let ledger_is_of_this_card = contents.card_id.as_deref() == Some(card.card_id.as_str());
    if let Some(counters) = contents.counters
        && counters.card_id == card.card_id
        && counters.saves > card.counter_saves
    {
        card.counter_saves = counters.saves;
        card.counters = counters.values;
    }
    // Numbers whose files are gone or cannot be read are not given again.
    let known = survey.highest_number(&card.card_id);
    if survey.has_losses() {
        card.clip_no_floor = card.clip_no_floor.max(known);
    }
    if replaced {
        set_card_aside(&folders, dir, &mut report)?;
    }
    let is_saved = save_card(&folders, dir, &card, &mut report)?;
    let next_no = card.clip_no_floor.max(known) + 1;
    let withdrawals = withdrawals::read(&folders, &mut report);
    let inner = Inner {
        folders,
        boot_id: facts.boot_id,
        max_bytes: facts.max_bytes,
        reserve_bytes: facts.reserve_bytes,
        numbering: Mutex::new(Numbering::new(next_no)),
        last_no: AtomicU64::new(next_no - 1),
        identity: card.clone(),
        card: Mutex::new(card),
        index: Mutex::new(Index::default()),
        unread: Mutex::default(),
        withdrawals: Mutex::new(withdrawals),
        is_unread: AtomicBool::new(false),
        has_unread_ledger: Mutex::new(ledger.is_none() && facts.ledger),
        ledger: Mutex::new(ledger),
        chores: Mutex::default(),
        reader: Mutex::default(),
        orders: Mutex::new(orders),
        trouble: Mutex::new(report.card_unsaved.clone()),
        _lock: lock,
    };
    inner.take_in(survey, is_saved, ledger_is_of_this_card, &mut report);
    inner.folders.lay_ballast(facts.reserve_bytes);
    report.clips = locked(&inner.index)
        .clips
        .values()
        .filter(|e| e.quarantine.is_none())
        .count();
    Ok((inner, report))
}

/// The card's identity, or what lies in its place.
fn find_card(folders: &Folders, dir: &Path, failed_before: u32) -> Result<CardFound, SpoolError> {
    match Card::load(folders.disk.as_ref(), dir) {
        Ok(found) => Ok(found),
        // A booth that can never open its spool again would be worse than a booth whose card has a new id.
        Err(error)
            if failed_before >= CARD_TRIES && error.kind() != io::ErrorKind::PermissionDenied =>
        {
            let why = CardFault::NotGiven(error.to_string());
            Ok(CardFound::Unreadable(why))
        }
        Err(error) => Err(SpoolError::io("reading", dir.join(CARD_FILE), error)),
    }
}

/// Saves the card's identity; answers whether that worked.
fn save_card(
    folders: &Folders,
    dir: &Path,
    card: &Card,
    report: &mut OpenReport,
) -> Result<bool, SpoolError> {
    let Err(error) = folders.with_room(|| card.save(folders.disk.as_ref(), dir)) else {
        return Ok(true);
    };
    let error = SpoolError::io("writing", dir.join(CARD_FILE), error);
    // Under a new identity that cannot be saved no clip has been kept, so that nothing is lost by failing.
    if report.is_new_card {
        return Err(error);
    }
    report.card_unsaved = Some(error.to_string());
    Ok(false)
}

impl OpenReport {
    /// The report of an opening of which nothing is known yet.
    fn nothing_yet() -> Self {
        Self {
            is_new_card: false,
            card_unreadable: None,
            card_cloned: None,
            hardware_changed: None,
            is_new_boot: false,
            card_unsaved: None,
            ledger: LedgerNews::Off("not asked for".into()),
            clips: 0,
            recovered: Vec::new(),
            removed_empty: 0,
            removed_discarded: 0,
            left_unsettled: 0,
            set_aside: Vec::new(),
            unread: Vec::new(),
            left_over: 0,
            damaged: Vec::new(),
            missing: Vec::new(),
            orders_unread: None,
        }
    }
}

/// Opens the ledger; a damaged one is set aside and made again, empty.
fn open_ledger(folders: &Folders, report: &mut OpenReport) -> (Option<Ledger>, Contents) {
    let existed = folders
        .disk
        .list(&folders.ledger)
        .is_ok_and(|listed| !listed.is_empty());
    report.ledger = if existed {
        LedgerNews::Intact
    } else {
        LedgerNews::Made
    };
    let try_open = || {
        folders
            .disk
            .make_folder(&folders.ledger)
            .map_err(|error| LedgerError::Disk(error.to_string()))?;
        Ledger::open(&folders.disk, &folders.ledger)
    };
    let first = match try_open() {
        // sled cannot open on a full card, not even for reading.
        Err(LedgerError::Disk(_)) if is_full(folders) && folders.drop_ballast() => try_open(),
        other => other,
    };
    let opened = match first {
        Err(LedgerError::Damaged(why)) => match folders.set_ledger_aside() {
            Ok(name) => {
                report.set_aside.push((name, why.clone()));
                report.ledger = LedgerNews::Rebuilt(why);
                try_open()
            }
            Err(error) => Err(LedgerError::Disk(error.to_string())),
        },
        other => other,
    };
    match opened {
        Ok((ledger, contents)) => (Some(ledger), contents),
        Err(error) => {
            report.ledger = LedgerNews::Off(error.to_string());
            (None, Contents::default())
        }
    }
}

/// Whether the card has less room than a ledger needs to open.
fn is_full(folders: &Folders) -> bool {
    folders
        .disk
        .free_bytes(&folders.root)
        .is_ok_and(|free| free < folders.ballast_bytes)
}

/// Evidence of the card's identity.
struct Identity {
    found: CardFound,
    ledger_card_id: Option<CardId>,
}

impl Identity {
    /// The identity to go on with, and whether it replaces a file that cannot be read.
    fn settle(self, facts: &OpenFacts, survey: &Survey, report: &mut OpenReport) -> (Card, bool) {
        let (mut card, replaced) = match self.found {
            CardFound::Known(card) if is_copy(&card, facts) => {
                report.is_new_card = true;
                report.card_cloned = Some(card.card_id.clone());
                let fresh = facts.fresh_card_id.clone();
                (
                    Card::new(fresh, Some(card.card_id), rfc3339(facts.wall_ms)),
                    false,
                )
            }
            CardFound::Known(card) => (*card, false),
            found => {
                let previous = self.ledger_card_id.or_else(|| {
                    let latest = survey.entries().max_by_key(|entry| entry.clip.kept_at_ms);
                    let cut = survey
                        .cut_off
                        .last()
                        .map(|(_, cut, _)| cut.header.card_id.clone());
                    cut.or_else(|| latest.map(|entry| entry.clip.card_id.clone()))
                });
                let (why, replaced) = match found {
                    CardFound::Unreadable(why) => (Some(why.to_string()), true),
                    _ => (previous.is_some().then(|| "it is gone".to_owned()), false),
                };
                report.is_new_card = true;
                report.card_unreadable = why;
                (
                    Card::new(
                        facts.fresh_card_id.clone(),
                        previous,
                        rfc3339(facts.wall_ms),
                    ),
                    replaced,
                )
            }
        };
        if card.boot_id != facts.boot_id {
            card.boot_id.clone_from(&facts.boot_id);
            card.boot_count += 1;
            report.is_new_boot = true;
        }
        if facts.card_cid.is_some() {
            card.cid.clone_from(&facts.card_cid);
        }
        if facts.hw_serial.is_some() && card.hw_serial != facts.hw_serial {
            report.hardware_changed = card.hw_serial.take();
            card.hw_serial.clone_from(&facts.hw_serial);
        }
        (card, replaced)
    }
}

/// Whether the identity was made on a different SD card.
fn is_copy(card: &Card, facts: &OpenFacts) -> bool {
    card.cid
        .as_ref()
        .zip(facts.card_cid.as_ref())
        .is_some_and(|(made_on, here)| made_on != here)
}

fn set_card_aside(
    folders: &Folders,
    dir: &Path,
    report: &mut OpenReport,
) -> Result<(), SpoolError> {
    let path = dir.join(CARD_FILE);
    let why = report.card_unreadable.clone().unwrap_or_default();
    let name = folders
        .set_aside(&path)
        .map_err(|error| SpoolError::io("setting aside", path, error))?;
    report.set_aside.push((name, why));
    Ok(())
}

impl Inner {
    /// Does what the survey found to be necessary.
    fn take_in(
        &self,
        survey: Survey,
        is_saved: bool,
        ledger_is_of_this_card: bool,
        report: &mut OpenReport,
    ) {
        let doubtful = self.believe(&survey);
        let own = locked(&self.card).card_id.clone();
        let mut used: HashSet<u64> = survey
            .entries()
            .filter(|entry| entry.clip.card_id == own)
            .map(|entry| entry.clip.clip_no)
            .collect();
        self.with_ledger(|ledger| {
            if !ledger_is_of_this_card {
                ledger.put_card(&own)?;
            }
            survey
                .found
                .iter()
                .filter(|(id, _)| !doubtful.contains(id))
                .try_for_each(|(id, entry)| ledger.put_clip(*id, entry))?;
            ledger.sync()
        });
        for (_, entry) in &survey.missing {
            let clip = &entry.clip;
            report
                .missing
                .push((clip.card_id.clone(), clip.clip_no, clip.clip_id.clone()));
        }
        {
            let mut index = locked(&self.index);
            for (id, entry) in survey.known.into_iter().chain(survey.found) {
                index.insert(id, entry);
            }
        }
        let doubled: HashSet<Uuid> = survey.doubled.iter().copied().collect();
        for id in survey.doubled {
            self.undouble(id, report);
        }
        self.finish_leaving(&doubled);
        // Some chores of each kind are done now, so that their results are visible at once; the others wait, so that citizens do
        // not wait for them.
        let mut chores = VecDeque::new();
        let later = |(id, entry)| Chore::Damaged(id, Box::new(entry));
        for (id, entry) in at_once(survey.damaged, &mut chores, later) {
            self.quarantine_damaged(id, entry, report);
        }
        let later = |(path, why)| Chore::SetAside(path, why);
        let unreadable = at_once(survey.unreadable, &mut chores, later);
        let all = self.set_many_aside(unreadable);
        report.set_aside.extend(all.done);
        for (path, _, error) in all.refused {
            self.trouble_with("setting aside", &path, error);
        }
        // If the floor could not be saved, only the ledger remembers these numbers, and its entries must stay.
        if is_saved {
            self.declare_missing(survey.missing, &mut chores);
        }
        for (ids, removed) in [
            (survey.discarded, &mut report.removed_discarded),
            (survey.empty, &mut report.removed_empty),
        ] {
            for id in at_once(ids, &mut chores, Chore::Unlink) {
                *removed += u32::from(self.remove_found(id));
            }
        }
        // Before any number is given, because one of these files may hold that number.
        for file in survey.unread {
            self.note_unread(file, report);
        }
        for id in survey.astray {
            self.finish_astray(id, report);
        }
        for (id, cut, known) in survey.cut_off {
            // The number in the closing record or the ledger, unless another clip has it. A number that another card gave is not
            // used here.
            let wanted = known
                .or(cut.clip_no)
                .filter(|_| cut.header.card_id == own)
                .filter(|clip_no| used.insert(*clip_no));
            self.finish_found(id, cut, wanted, report);
        }
        report.left_unsettled =
            u32::try_from(locked(&self.numbering).unsettled.len()).unwrap_or(u32::MAX);
        report.left_over = chores.len();
        *locked(&self.chores) = chores;
    }

    /// Declares void the numbers whose files are gone, some of them now.
    fn declare_missing(&self, missing: Vec<(Uuid, Entry)>, chores: &mut VecDeque<Chore>) {
        let later = |(id, entry)| Chore::Void(id, Box::new(entry));
        // The void declaration of a number takes the name of the lost file, so that it waits until that file is set aside.
        let missing = match chores.is_empty() {
            true => at_once(missing, chores, later),
            false => {
                chores.extend(missing.into_iter().map(later));
                Vec::new()
            }
        };
        for (id, entry) in missing {
            if let Err(error) = self.declare_void(id, &entry) {
                log::error!(
                    "clip {} of the card is gone and cannot be declared void yet: {error}",
                    entry.clip.clip_no
                );
                self.note_trouble(Some(&error));
            }
        }
    }

    /// Removes a file that holds nothing to keep; answers whether it is gone. If not, [`Spool::mend`] tries again.
    fn remove_found(&self, id: Uuid) -> bool {
        let Err(error) = self.folders.unlink_clip(&self.folders.clips, id) else {
            return true;
        };
        let path = self.folders.clip(&self.folders.clips, id);
        self.trouble_with("removing", &path, error);
        locked(&self.numbering).push(Unsettled::Unlink { id });
        false
    }

    /// Notes a file that the card does not give back now.
    fn note_unread(&self, file: Unread, report: &mut OpenReport) {
        let error = SpoolError::io("reading", &file.path, file.why);
        if let (true, Some(mut entry)) = (file.in_quarantine, file.known.clone()) {
            // The file is read again before it leaves quarantine.
            if entry.quarantine.is_none() {
                let note = entry.note.insert(Note::unread(&error.to_string()));
                entry.quarantine = Some(note.reason.clone());
            }
            locked(&self.index).insert(file.id, entry);
            return;
        }
        let clip_id = file.id.to_string().into();
        report.unread.push((clip_id, error.to_string()));
        log::error!("a clip file is read later: {error}");
        let job = Unsettled::Unread {
            id: file.id,
            in_quarantine: file.in_quarantine,
            known: file.known.map(Box::new),
        };
        if job.holds_up_numbers() {
            self.note_trouble(Some(&error));
            self.is_unread.store(true, Ordering::Relaxed);
        }
        locked(&self.numbering).push(job);
    }

    /// Makes sure that finished clips are on the card, because a killed process may have left them in memory only. Returns the
    /// clips for which that failed: the ledger must not vouch for them.
    fn believe(&self, survey: &Survey) -> HashSet<Uuid> {
        let is_of_this_boot = |entry: &Entry| entry.clip.boot_id == self.boot_id;
        let others = survey.found.iter().filter(|(_, e)| !is_of_this_boot(e));
        let are_many = others.count() > SYNCED_ONE_BY_ONE;
        let everything = match are_many {
            true => self.folders.disk.sync_everything(&self.folders.root),
            false => Ok(()),
        };
        if let Err(error) = &everything {
            let error = io::Error::new(error.kind(), error.to_string());
            self.trouble_with("syncing", &self.folders.root, error);
        }
        let mut doubtful = HashSet::new();
        for (id, entry) in &survey.found {
            let path = self.clip_path(*id, entry);
            let synced = match (is_of_this_boot(entry), are_many) {
                (false, true) if everything.is_ok() => Ok(()),
                _ => self.believe_one(&path, entry),
            };
            if let Err(error) = synced {
                self.trouble_with("syncing", &path, error);
                doubtful.insert(*id);
            }
        }
        doubtful
    }

    /// The same for one file.
    pub(super) fn believe_one(&self, path: &Path, entry: &Entry) -> io::Result<()> {
        match entry.clip.boot_id == self.boot_id {
            true => self.write_again(path, entry.file_bytes),
            false => self
                .folders
                .disk
                .open(path, Open::Read)
                .and_then(|file| file.sync_data()),
        }
    }

    /// Completes the move of clips that were on their way out of quarantine when the power failed.
    fn finish_leaving(&self, doubled: &HashSet<Uuid>) {
        let leaving: Vec<(Uuid, Entry)> = locked(&self.index)
            .clips
            .iter()
            .filter(|(id, entry)| {
                let is_out = entry.note.as_ref().is_some_and(|note| note.is_out);
                is_out && entry.quarantine.is_some() && !doubled.contains(id)
            })
            .map(|(id, entry)| (*id, entry.clone()))
            .collect();
        for (id, mut entry) in leaving {
            let (from, to) = (&self.folders.quarantine, &self.folders.clips);
            match self.folders.move_clip(id, from, to) {
                Ok(()) => {
                    entry.quarantine = None;
                    self.with_ledger(|ledger| ledger.put_clip(id, &entry));
                    locked(&self.index).insert(id, entry);
                }
                Err(error) => self.trouble_with("moving", &self.folders.clip(from, id), error),
            }
        }
    }

    /// Reads the first bytes of a file and writes them again, durably. After a failed fsync the kernel marks pages as clean that
    /// the card does not have, for later processes too, until the machine starts again; another fsync would not write them.
    pub(super) fn write_again(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let disk = self.folders.disk.as_ref();
        let mut content = read_whole(disk, path, LONGEST_FILE)?;
        content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        let file = disk.open(path, Open::Write)?;
        file.write_at(&content, 0)?;
        file.sync_data()
    }

    /// An interrupted move to quarantine may leave one file under both names: it then stays in `clips/`. If the file in quarantine
    /// differs from the one in `clips/`, it is set aside.
    fn undouble(&self, id: Uuid, report: &mut OpenReport) {
        let folders = &self.folders;
        let second = folders.clip(&folders.quarantine, id);
        let content = |path: &Path| match read_whole(folders.disk.as_ref(), path, LONGEST_FILE) {
            Err(error) if !is_verdict(&error) => Err(error),
            other => Ok(other.ok()),
        };
        let (first, second_content) =
            match (content(&folders.clip(&folders.clips, id)), content(&second)) {
                (Ok(first), Ok(second)) => (first, second),
                // It cannot be known whether they differ; the next start checks again.
                (Err(error), _) | (_, Err(error)) => {
                    return self.trouble_with("reading", &second, error);
                }
            };
        let done = if first.is_some() && first == second_content {
            folders.unlink_clip(&folders.quarantine, id)
        } else {
            folders.set_aside(&second).map(|name| {
                let why = "the same clip is in clips/, with other content".to_owned();
                report.set_aside.push((name, why));
            })
        };
        if let Err(error) = done {
            self.trouble_with("removing", &second, error);
        }
    }

    pub(super) fn trouble_with(&self, doing: &'static str, path: &Path, error: io::Error) {
        let error = SpoolError::io(doing, path, error);
        log::error!("{error}");
        self.note_trouble(Some(&error));
    }

    fn quarantine_damaged(&self, id: Uuid, mut entry: Entry, report: &mut OpenReport) {
        let why = entry.quarantine.clone().unwrap_or_default();
        if let Err(error) =
            self.folders
                .move_clip(id, &self.folders.clips, &self.folders.quarantine)
        {
            self.trouble_with(
                "moving to quarantine",
                &self.folders.clip(&self.folders.clips, id),
                error,
            );
            // The folder in which the file lies decides; reading the file will fail and report the damage.
            entry.quarantine = None;
        }
        self.with_ledger(|ledger| ledger.put_clip(id, &entry));
        report.damaged.push((entry.clip.clip_id.clone(), why));
        locked(&self.index).insert(id, entry);
    }

    /// Finishes a take that was moved to quarantine because it could not be read at that time.
    fn finish_astray(&self, id: Uuid, report: &mut OpenReport) {
        let mut numbering = locked(&self.numbering);
        let finished = match numbering.is_held_up() {
            true => Ok(None),
            false => self.read_late(id, true, None, &mut numbering),
        };
        match finished {
            Ok(Some(clip)) => return report.recovered.push(clip),
            Ok(None) => {}
            Err(error) => {
                log::error!("a take in quarantine cannot be finished yet: {error}");
                self.note_trouble(Some(&error));
            }
        }
        numbering.push(Unsettled::Unread {
            id,
            in_quarantine: true,
            known: None,
        });
    }

    fn finish_found(&self, id: Uuid, cut: CutOff, wanted_no: Option<u64>, report: &mut OpenReport) {
        let durable_to = cut.valid_to;
        let mut has_stranded = cut.has_stranded;
        let mut numbering = locked(&self.numbering);
        let is_blocked = !numbering.unsettled.is_empty();
        let finished = match is_blocked {
            true => Err(None),
            false => self
                .copy_stranded(id, &mut has_stranded, durable_to, &mut numbering, report)
                .and_then(|()| self.finish_cut_off(id, cut, wanted_no, &mut numbering))
                .map_err(Some),
        };
        match finished {
            Ok(clip) => report.recovered.push(clip),
            Err(error) => {
                if let Some(error) = error {
                    log::error!("a take that was cut off cannot be finished yet: {error}");
                    self.note_trouble(Some(&error));
                }
                numbering.push(Unsettled::Abandoned {
                    id,
                    durable_to,
                    wanted_no,
                    has_stranded,
                });
            }
        }
    }

    /// Keeps a copy of a file in which valid records follow the damage, before it is cut.
    fn copy_stranded(
        &self,
        id: Uuid,
        has_stranded: &mut bool,
        valid_to: u64,
        numbering: &mut Numbering,
        report: &mut OpenReport,
    ) -> Result<(), SpoolError> {
        if !*has_stranded {
            return Ok(());
        }
        let path = self.folders.clip(&self.folders.clips, id);
        let bytes = read_whole(self.folders.disk.as_ref(), &path, LONGEST_FILE)
            .map_err(|error| SpoolError::io("reading", &path, error))?;
        let copy = self.keep_a_copy(id, &path, &bytes, valid_to, numbering)?;
        report.set_aside.extend(copy);
        *has_stranded = false;
        Ok(())
    }
}
