//! Clips that leave the card, because they are released or withdrawn, and withdrawals that the hub has.
//!
//! Owns: the order of the steps (docs/spool-format.md §5). Never does: delete without a [`Receipt`] for the very hash on the card.
//! If a release is cut off in between, the clip is offered again.

use booth_contract::ClipId;
use uuid::Uuid;

use super::folders::erase;
use super::ledger::{Entry, Ledger};
use super::{Inner, Spool, SpoolError, locked};
use gateway_core::delivery::Receipt;

/// The result of a batch of receipts.
#[derive(Debug, Default)]
pub struct Released {
    /// Clips and withdrawals that were deleted.
    pub clips: Vec<ClipId>,
    /// Bytes of their files.
    pub file_bytes: u64,
    /// Receipts that deleted nothing, and why.
    pub refused: Vec<SpoolError>,
    /// Those of the refused receipts that only the card refused: to be tried again.
    pub kept_back: Vec<Receipt>,
}

impl Spool {
    /// Deletes a clip that the centre has, as the receipt's hash proves.
    pub fn release(&self, receipt: Receipt) -> Result<(), SpoolError> {
        self.inner
            .delete(vec![receipt])
            .refused
            .pop()
            .map_or(Ok(()), Err)
    }

    /// Deletes many clips with one write of the floor, one sync of the folder and one of the ledger. Receipts that the card refuses
    /// are returned, to be tried again.
    pub fn release_many(&self, receipts: Vec<Receipt>) -> Released {
        self.inner.delete(receipts)
    }

    /// The same, but an error if the card let none of the clips go.
    pub fn release_all(&self, receipts: Vec<Receipt>) -> Result<Released, SpoolError> {
        let mut released = self.release_many(receipts);
        match released.clips.is_empty() && !released.kept_back.is_empty() {
            true => Err(released.refused.remove(0)),
            false => Ok(released),
        }
    }

    /// Deletes a clip that was withdrawn at the centre. The proof is the same, only the reason differs.
    pub fn discard_withdrawn(&self, receipt: Receipt) -> Result<(), SpoolError> {
        self.release(receipt)
    }
}

impl Inner {
    fn delete(&self, receipts: Vec<Receipt>) -> Released {
        let mut released = Released::default();
        let receipts = self.delete_withdrawals(receipts, &mut released);
        let mut proven: Vec<(Uuid, Entry, Receipt)> = Vec::new();
        for receipt in receipts {
            match self.entry(receipt.clip_id()) {
                Ok((_, entry)) if &entry.clip.sha256 != receipt.sha256() => {
                    let clip_id = receipt.clip_id().clone();
                    released.refused.push(SpoolError::WrongReceipt { clip_id });
                }
                Ok((id, entry)) => proven.push((id, entry, receipt)),
                Err(error) => released.refused.push(error),
            }
        }
        if proven.is_empty() {
            return released;
        }
        if let Err(error) = self.raise_floor(&proven) {
            released.refused.push(error);
            released.kept_back = proven.into_iter().map(|(_, _, receipt)| receipt).collect();
            return released;
        }
        self.with_ledger(|ledger: &Ledger| {
            proven
                .iter()
                .try_for_each(|(id, ..)| ledger.remove_clip(*id))?;
            ledger.sync()
        });
        self.drop_unread_ledger();
        let mut folders = Vec::new();
        let mut gone = Vec::new();
        for (id, entry, receipt) in proven {
            let path = self.clip_path(id, &entry);
            let held = self.folders.hold(&path);
            match self.folders.disk.unlink(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    released
                        .refused
                        .push(SpoolError::io("removing", path, error));
                    released.kept_back.push(receipt);
                    continue;
                }
                _ => {}
            }
            locked(&self.reader).forget(id);
            locked(&self.index).remove(id);
            released.file_bytes += entry.file_bytes;
            released.clips.push(entry.clip.clip_id);
            let folder = path.parent().unwrap_or(&self.folders.clips).to_path_buf();
            gone.push((folder.clone(), held));
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.retain(|folder| {
            // If the removal is not durable, a power cut brings the clip back; it is then offered again, which the hub answers at
            // once.
            let synced = self.folders.disk.sync_folder(folder);
            if let Err(error) = &synced {
                log::warn!("a release may come undone at a power cut: {error}");
            }
            synced.is_ok()
        });
        for (folder, held) in gone {
            if folders.contains(&folder) {
                erase(held);
            }
        }
        released
    }

    /// Makes sure, before the files of these clips are removed, that their numbers are never given again.
    fn raise_floor(&self, leaving: &[(Uuid, Entry, Receipt)]) -> Result<(), SpoolError> {
        let numbering = locked(&self.numbering);
        let given = numbering.next_no - 1;
        let mut card = locked(&self.card);
        let needed = leaving
            .iter()
            .filter(|(_, entry, _)| entry.clip.card_id == card.card_id)
            .map(|(_, entry, _)| entry.clip.clip_no)
            .max()
            .unwrap_or(0);
        if needed <= card.clip_no_floor {
            return Ok(());
        }
        let mut raised = card.clone();
        raised.clip_no_floor = given.max(needed);
        self.save_card(&raised)?;
        *card = raised;
        Ok(())
    }

    /// Sets aside a ledger that could not be opened: it would count the clips that leave now as missing.
    fn drop_unread_ledger(&self) {
        let mut unread = locked(&self.has_unread_ledger);
        if *unread {
            match self.folders.set_ledger_aside() {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    log::warn!(
                        "the ledger that could not be opened could not be set aside: {error}"
                    );
                }
                _ => *unread = false,
            }
        }
    }
}
