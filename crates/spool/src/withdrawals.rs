//! Withdrawals: citizens who take a message back, until the hub has said that it knows.
//!
//! Owns: the files in `withdrawals/`, one each (docs/spool-format.md §10). Never does: see a receipt, which is sealed, or drop a
//! withdrawal: where there is no room for another one, whoever brings it is told so. A power cut leaves a withdrawal whole or not at
//! all, and one that was acknowledged always.

use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::clip_file::is_clip_id;
use super::disk::{publish, read_whole};
use super::error::is_verdict;
use super::folders::Folders;
use super::{Inner, OpenReport, Spool, SpoolError, locked};
use booth_contract::{BodyHash, ClipId, Withdrawal};
use gateway_core::delivery::Receipt;

/// Most withdrawals that wait on a card. Each takes a citizen half a minute of dialling, so that this is a day of nothing else, while
/// the hub is away.
pub const MOST_WITHDRAWALS: usize = 1_000;
/// What a file's name ends with.
const SUFFIX: &str = ".json";
/// Longest file that is read.
pub(super) const LONGEST_FILE: u64 = 32 * 1024;

/// A withdrawal on the card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptWithdrawal {
    /// Its id.
    pub id: ClipId,
    /// SHA-256 of the text in its `sealed`, hex: what an ack for it carries.
    pub sha256: BodyHash,
    /// When it was dialled, by the wall clock at that time, in ms since 1970.
    pub kept_at_ms: i64,
}

impl KeptWithdrawal {
    fn of(withdrawal: &Withdrawal) -> Self {
        let at = withdrawal.ts.parse::<Timestamp>();
        Self {
            id: withdrawal.id.clone(),
            sha256: BodyHash::of_digest(&Sha256::digest(withdrawal.sealed.as_bytes())),
            kept_at_ms: at.map_or(0, |at| at.as_millisecond()),
        }
    }
}

/// The withdrawals that wait.
#[derive(Default)]
pub(super) struct Withdrawals {
    known: BTreeMap<Uuid, KeptWithdrawal>,
    /// Files that the card does not give back now; they are read again ([`Inner::read_withdrawals_again`]).
    unread: usize,
    /// The card does not say which there are.
    is_unlisted: bool,
}

impl Withdrawals {
    /// Whether some may not be known.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_unlisted || self.unread > 0
    }
}

/// Why a withdrawal's file is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWithdrawal {
    #[error("its checksum is missing or wrong")]
    Checksum,
    #[error("it is no withdrawal: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is another one's")]
    OtherId,
}

fn to_file(withdrawal: &Withdrawal) -> Vec<u8> {
    let mut text = withdrawal.to_json();
    text.push(b'\n');
    let sum = crc32c::crc32c(&text);
    text.extend_from_slice(format!("crc32c:{sum:08x}\n").as_bytes());
    text
}

/// The payload in a file, and what it says.
pub(super) fn of_file(text: &[u8], id: Uuid) -> Result<(Vec<u8>, Withdrawal), NoWithdrawal> {
    let end = text.iter().position(|byte| *byte == b'\n');
    let (line, sum) = text.split_at(end.ok_or(NoWithdrawal::Checksum)? + 1);
    if sum != format!("crc32c:{:08x}\n", crc32c::crc32c(line)).as_bytes() {
        return Err(NoWithdrawal::Checksum);
    }
    let payload = &line[..line.len() - 1];
    let withdrawal: Withdrawal = serde_json::from_slice(payload)?;
    match withdrawal.id == id.to_string() {
        true => Ok((payload.to_vec(), withdrawal)),
        false => Err(NoWithdrawal::OtherId),
    }
}

pub(super) fn id_of(name: &str) -> Option<Uuid> {
    let id = name.strip_suffix(SUFFIX).filter(|id| is_clip_id(id))?;
    Uuid::parse_str(id).ok()
}

/// Reads the withdrawals when the spool is opened.
pub(super) fn read(folders: &Folders, report: &mut OpenReport) -> Withdrawals {
    let mut found = Withdrawals::default();
    found.read(folders, &mut report.set_aside, true);
    found
}

impl Withdrawals {
    /// Reads those that are not known. What is none goes to `aside/`, and what was never acknowledged is removed.
    fn read(&mut self, folders: &Folders, set_aside: &mut Vec<(String, String)>, is_first: bool) {
        (self.unread, self.is_unlisted) = (0, false);
        let folder = &folders.withdrawals;
        let disk = folders.disk.as_ref();
        let listed = match disk.list(folder) {
            Ok(listed) => listed,
            Err(error) => {
                self.is_unlisted = error.kind() != io::ErrorKind::NotFound;
                if self.is_unlisted && is_first {
                    log::error!("withdrawals cannot be listed now, and are read later: {error}");
                }
                return;
            }
        };
        // A process that was killed may not have synced a name.
        if !listed.is_empty()
            && let Err(error) = disk.sync_folder(folder)
        {
            log::debug!("syncing {}: {error}", folder.display());
        }
        let mut strange = Vec::new();
        for file in listed {
            let path = folder.join(&file.name);
            if file.name.ends_with(".tmp") && !file.is_folder {
                if let Err(error) = disk.unlink(&path) {
                    log::debug!("removing {}: {error}", path.display());
                }
                continue;
            }
            let Some(id) = id_of(&file.name).filter(|_| !file.is_folder) else {
                strange.push((path, "it is no withdrawal".to_owned()));
                continue;
            };
            if self.known.contains_key(&id) {
                continue;
            }
            match read_whole(disk, &path, LONGEST_FILE) {
                Ok(text) => match of_file(&text, id) {
                    Ok((_, withdrawal)) => {
                        self.known.insert(id, KeptWithdrawal::of(&withdrawal));
                    }
                    Err(why) => strange.push((path, why.to_string())),
                },
                Err(error) if is_verdict(&error) => strange.push((path, error.to_string())),
                Err(error) => {
                    if is_first {
                        log::error!(
                            "withdrawal {id} cannot be read now, and is read later: {error}"
                        );
                    }
                    self.unread += 1;
                }
            }
        }
        let paths: Vec<_> = strange.iter().map(|(path, _)| path.clone()).collect();
        for ((path, why), moved) in strange.into_iter().zip(folders.set_all_aside(&paths)) {
            match moved {
                Ok(name) => set_aside.push((name, why)),
                Err(error) => log::error!("{} cannot be set aside: {error}", path.display()),
            }
        }
    }
}

impl Spool {
    /// Keeps a withdrawal. Durable when this returns.
    ///
    /// # Errors
    /// There are [`MOST_WITHDRAWALS`], or the card refuses it: nothing is kept then that anybody was told of.
    pub fn keep_withdrawal(&self, withdrawal: &Withdrawal) -> Result<KeptWithdrawal, SpoolError> {
        self.inner.keep_withdrawal(withdrawal)
    }

    /// The withdrawals that wait, oldest first.
    pub fn withdrawals(&self) -> Vec<KeptWithdrawal> {
        let known = locked(&self.inner.withdrawals);
        let mut all: Vec<KeptWithdrawal> = known.known.values().cloned().collect();
        all.sort_by_key(|withdrawal| withdrawal.kept_at_ms);
        all
    }

    /// The payload of a withdrawal, byte for byte the same every time.
    pub fn withdrawal(&self, id: &ClipId) -> Result<Vec<u8>, SpoolError> {
        let unknown = || SpoolError::UnknownClip {
            clip_id: id.clone(),
        };
        let uuid = Uuid::parse_str(id).map_err(|_| unknown())?;
        if !locked(&self.inner.withdrawals).known.contains_key(&uuid) {
            return Err(unknown());
        }
        let folders = &self.inner.folders;
        let path = folders.withdrawals.join(format!("{uuid}{SUFFIX}"));
        let damaged = |why: String| SpoolError::Damaged {
            clip_id: id.clone(),
            why,
        };
        let text = match read_whole(folders.disk.as_ref(), &path, LONGEST_FILE) {
            Err(error) if is_verdict(&error) => return Err(damaged(error.to_string())),
            other => other.map_err(|error| SpoolError::io("reading", &path, error))?,
        };
        match of_file(&text, uuid) {
            Ok((payload, _)) => Ok(payload),
            Err(why) => Err(damaged(why.to_string())),
        }
    }
}

impl Inner {
    /// Reads what the card did not give back before; answers what it gives now, and whether something is left.
    pub(super) fn read_withdrawals_again(
        &self,
        set_aside: &mut Vec<(String, String)>,
    ) -> (Vec<KeptWithdrawal>, bool) {
        let mut withdrawals = locked(&self.withdrawals);
        if !withdrawals.is_incomplete() {
            return (Vec::new(), false);
        }
        let before: Vec<Uuid> = withdrawals.known.keys().copied().collect();
        withdrawals.read(&self.folders, set_aside, false);
        let new = withdrawals.known.iter();
        let new = new.filter(|(id, _)| before.binary_search(id).is_err());
        let new = new.map(|(_, kept)| kept.clone()).collect();
        (new, withdrawals.is_incomplete())
    }

    fn keep_withdrawal(&self, withdrawal: &Withdrawal) -> Result<KeptWithdrawal, SpoolError> {
        let id = Uuid::parse_str(&withdrawal.id)
            .ok()
            .filter(|id| withdrawal.id == id.to_string())
            .ok_or_else(|| SpoolError::BadTake {
                clip_id: withdrawal.id.clone(),
                why: "the withdrawal's id is no UUID in lower case with hyphens",
            })?;
        let mut withdrawals = locked(&self.withdrawals);
        if withdrawals.known.len() + withdrawals.unread >= MOST_WITHDRAWALS {
            return Err(SpoolError::TooManyWithdrawals);
        }
        let folder = &self.folders.withdrawals;
        let disk = self.folders.disk.as_ref();
        let name = format!("{id}{SUFFIX}");
        let text = to_file(withdrawal);
        let written = self.folders.with_room(|| {
            if disk.make_folder(folder)? {
                disk.sync_folder(&self.folders.root)?;
            }
            publish(disk, folder, &name, &text)
        });
        if let Err(error) = written {
            let error = SpoolError::io("writing", folder.join(name), error);
            self.note_trouble(Some(&error));
            return Err(error);
        }
        let kept = KeptWithdrawal::of(withdrawal);
        withdrawals.known.insert(id, kept.clone());
        Ok(kept)
    }

    /// Removes the withdrawals that these receipts prove to be at the hub; the other receipts come back.
    pub(super) fn delete_withdrawals(
        &self,
        receipts: Vec<Receipt>,
        released: &mut super::Released,
    ) -> Vec<Receipt> {
        let mut withdrawals = locked(&self.withdrawals);
        let mut others = Vec::new();
        let mut has_removed = false;
        for receipt in receipts {
            let known = Uuid::parse_str(receipt.clip_id()).ok();
            let known = known.and_then(|id| Some((id, withdrawals.known.get(&id)?)));
            let Some((id, kept)) = known else {
                others.push(receipt);
                continue;
            };
            let clip_id = receipt.clip_id().clone();
            if kept.sha256 != *receipt.sha256() {
                released.refused.push(SpoolError::WrongReceipt { clip_id });
                continue;
            }
            let path = self.folders.withdrawals.join(format!("{id}{SUFFIX}"));
            match self.folders.disk.unlink(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    released
                        .refused
                        .push(SpoolError::io("removing", path, error));
                    released.kept_back.push(receipt);
                }
                _ => {
                    has_removed = true;
                    withdrawals.known.remove(&id);
                    released.clips.push(clip_id);
                }
            }
        }
        if has_removed && let Err(error) = self.folders.disk.sync_folder(&self.folders.withdrawals)
        {
            // A withdrawal that comes back is offered again, and the hub answers at once.
            log::warn!("a withdrawal that the hub has may come back at a power cut: {error}");
        }
        others
    }
}
