//! A card's messages, handed over to the spool of the booth in whose reader it is.
//!
//! Owns: which files are handed over, and what is said of those that are not. Never does: change the card, or hand over the booth's own one. What is
//! handed over is durable before it is told; a card that is pulled out meanwhile is read again, and nothing comes twice.

use std::path::Path;

use booth_contract::export::LeftFile;
use booth_contract::{CardId, Withdrawal, reading};
use booth_spool::inspect::{self, Looked, SpoolFile};
use booth_spool::{KeptClip, KeptWithdrawal, MOST_WITHDRAWALS, Spool, SpoolError, TakenOver};

use super::found::{self, Place};
use super::{PulledError, load};

/// Largest file that is taken for a message: an hour at 48 kbit/s has 22 MB. The gateway holds it twice for a moment.
const MOST_BYTES: u64 = 24 << 20;
/// Most withdrawals that wait on the booth's card when one more is taken over: citizens have the other half of the places.
const MOST_WAITING: usize = MOST_WITHDRAWALS / 2;

/// Something that is on the booth's own card now.
#[derive(Debug, Clone, PartialEq)]
pub enum Handed {
    /// A message, a vote, or a number that the other card has given up.
    Clip(Box<KeptClip>),
    /// A citizen takes a message back.
    Withdrawal(KeptWithdrawal),
}

/// What came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct HandedOver {
    /// The cards that say which ones they are.
    pub cards: Vec<CardId>,
    /// How many clips were handed over.
    pub clips: usize,
    /// How many withdrawals.
    pub withdrawals: usize,
    /// How many were here before.
    pub here: usize,
    /// What stays on the other card alone, each with the reason.
    pub left: Vec<LeftFile>,
}

/// Why it ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// What is to be read.
    #[error(transparent)]
    Pulled(#[from] PulledError),
    /// It is the booth's own card.
    #[error("this is the booth's own card")]
    Own,
    /// This booth's card does not take it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// It was told to stop.
    #[error("it was stopped, because the booth's own card is to be closed; dial 7 again later")]
    Stopped,
}

/// Who hears of a hand-over.
pub trait Hearer {
    /// This is durable on the booth's card.
    fn handed(&mut self, handed: Handed);
    /// Called before each file, and may wait there; `false` ends the hand-over.
    fn goes_on(&mut self) -> bool;
}

/// Hands every message and withdrawal of what is named over to `spool`.
///
/// # Errors
/// See [`HandOverError`]. What was handed over before stays.
pub fn hand_over(
    named: &Path,
    spool: &Spool,
    hearer: &mut dyn Hearer,
) -> Result<HandedOver, HandOverError> {
    let mut opened = found::open(named)?;
    let mut done = HandedOver::default();
    for place in opened.places() {
        if let Ok(card) = &place.contents.card {
            if card.card_id == spool.identity().card_id {
                return Err(HandOverError::Own);
            }
            spool.learn_clocks(&card.clocks)?;
            done.cards.push(card.card_id.clone());
        }
    }
    for file in opened.leave_larger(MOST_BYTES) {
        done.leave(&file, "it is too large for a message".into());
    }
    opened.walk::<HandOverError>(true, &mut |_, _| {}, &mut |place, _, file, looked| {
        if !hearer.goes_on() {
            return Err(HandOverError::Stopped);
        }
        // Once more before each: the booth forgets the clocks of boots of which it has no message.
        if let Ok(card) = &place.contents.card {
            spool.learn_clocks(&card.clocks)?;
        }
        done.file(place, file, looked, spool, hearer)
    })?;
    for place in opened.places() {
        for file in &place.contents.withdrawals {
            if !hearer.goes_on() {
                return Err(HandOverError::Stopped);
            }
            done.withdrawal(place, file, spool, hearer)?;
        }
        done.left.extend(load::left_aside(place));
    }
    Ok(done)
}

impl HandedOver {
    /// The same with what came of another card.
    pub fn and(mut self, other: Self) -> Self {
        self.cards.extend(other.cards);
        self.clips += other.clips;
        self.withdrawals += other.withdrawals;
        self.here += other.here;
        self.left.extend(other.left);
        self
    }

    fn file(
        &mut self,
        place: &Place,
        file: &SpoolFile,
        looked: Looked,
        spool: &Spool,
        hearer: &mut dyn Hearer,
    ) -> Result<(), HandOverError> {
        let Some(id) = file.id else {
            if !matches!(looked, Looked::Nothing) {
                self.leave(file, found::left(&looked));
            }
            return Ok(());
        };
        let taken = match looked {
            Looked::Nothing => TakenOver::Nothing,
            Looked::Whole(whole) => spool.take_over(id, whole.file())?,
            Looked::Unfinished(_) => match inspect::raw(&*place.source, file) {
                Ok(bytes) => spool.take_over(id, &bytes)?,
                Err(error) => TakenOver::Left(found::left(&Looked::NotGiven(error))),
            },
            looked => TakenOver::Left(found::left(&looked)),
        };
        match taken {
            TakenOver::Kept(clip) => {
                self.clips += 1;
                hearer.handed(Handed::Clip(clip));
            }
            TakenOver::Here => self.here += 1,
            TakenOver::Nothing => {}
            TakenOver::Left(why) => self.leave(file, why),
        }
        Ok(())
    }

    fn withdrawal(
        &mut self,
        place: &Place,
        file: &SpoolFile,
        spool: &Spool,
        hearer: &mut dyn Hearer,
    ) -> Result<(), HandOverError> {
        let found = inspect::withdrawal(&*place.source, file).and_then(|(_, payload)| {
            reading::object::<Withdrawal>(&payload).map_err(|why| why.to_string())
        });
        let withdrawal = match found {
            Ok(withdrawal) => withdrawal,
            Err(why) => {
                self.leave(file, why);
                return Ok(());
            }
        };
        let waiting = spool.withdrawals();
        if waiting.iter().any(|kept| kept.id == withdrawal.id) {
            self.here += 1;
            return Ok(());
        }
        if waiting.len() >= MOST_WAITING {
            return Err(SpoolError::TooManyWithdrawals.into());
        }
        if let Some(refusal) = spool.room().reason {
            return Err(SpoolError::Refused(refusal).into());
        }
        let kept = spool.keep_withdrawal(&withdrawal)?;
        self.withdrawals += 1;
        hearer.handed(Handed::Withdrawal(kept));
        Ok(())
    }

    /// A file stays on its card.
    fn leave(&mut self, file: &SpoolFile, why: String) {
        self.left.push(load::left_file(file, why));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // reads what was exported
mod tests {
    use super::*;
    use crate::pulled::{Load, export};
    use booth_contract::Manifest;
    use booth_contract::export::{CLIPS, json_name};
    use booth_contract::time::Mono;
    use booth_spool::StartFacts;
    use booth_testkit::spool_rig::{long_speech, new_clip, open, open_on};
    use std::sync::Arc;

    /// When each of these boots began, ms since 1970.
    const BEGAN: [i64; 2] = [1_767_225_600_000, 1_767_312_000_000];

    /// A card with a message of each of two boots, said a minute after each by a clock that became right later; and their ids.
    fn card() -> (tempfile::TempDir, Vec<uuid::Uuid>) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ids = Vec::new();
        for (boot, began) in ["boot-a", "boot-b"].iter().zip(BEGAN) {
            let disk = Arc::new(booth_spool::real_disk::RealDisk::new());
            let (spool, _) = open_on(disk, folder.path(), boot).expect("a card");
            let mut clip = new_clip();
            clip.armed = StartFacts {
                wall_ms: 60_000,
                mono: Mono(60_000),
                clock_synced: false,
            };
            ids.push(clip.clip_id.parse().expect("an id"));
            let [first, last] = [&long_speech()[0], &long_speech()[1]];
            let mut writer = spool.begin(clip).expect("a take");
            writer.append(&first.pages, first.facts).expect("kept");
            let ended = booth_contract::EndedBy::HangUp;
            writer.finish(&last.pages, last.facts, ended).expect("kept");
            spool.note_clock(began).expect("noted");
        }
        (folder, ids)
    }

    fn times(manifests: &[Vec<u8>]) -> Vec<(Option<String>, Option<u8>)> {
        let manifests = manifests.iter().map(|bytes| {
            let manifest: Manifest = serde_json::from_slice(bytes).expect("a manifest");
            (manifest.started_at, manifest.clock_synced)
        });
        manifests.collect()
    }

    fn right() -> Vec<(Option<String>, Option<u8>)> {
        let started = ["2026-01-01T00:01:00.000Z", "2026-01-02T00:01:00.000Z"];
        started.map(|at| (Some(at.to_owned()), Some(1))).to_vec()
    }

    #[test]
    fn a_message_said_before_the_clock_was_right_leaves_a_pulled_card_with_the_time_that_the_card_knows()
     {
        let (card, ids) = card();
        let to = tempfile::tempdir().expect("a folder");
        let exported = export(card.path(), to.path(), &mut |_, _, _| {}).expect("an export");
        assert_eq!(exported.receipt.clips.len(), 2);
        let file = |id: &uuid::Uuid| {
            let name = json_name(&id.to_string().into());
            std::fs::read(to.path().join(CLIPS).join(name)).expect("a manifest")
        };
        let manifests: Vec<_> = ids.iter().map(file).collect();
        assert_eq!(times(&manifests), right());
        let mut load = Load::of(card.path(), &mut |_, _| {}).expect("a card");
        let sent = ids.iter().map(|id| load.manifest(&id.to_string().into()));
        let sent: Vec<_> = sent.collect::<Result<_, _>>().expect("manifests");
        assert_eq!(sent, manifests, "the same for a laptop that sends");
    }

    /// The booth's clock is set at every message.
    struct Restless<'a>(&'a Spool, i64);

    impl Hearer for Restless<'_> {
        fn handed(&mut self, _: Handed) {}

        fn goes_on(&mut self) -> bool {
            self.1 += 10_000;
            self.0.note_clock(self.1).expect("noted");
            true
        }
    }

    #[test]
    fn a_booth_whose_clock_is_set_during_a_hand_over_keeps_the_other_cards_clocks() {
        let (card, ids) = card();
        let own = tempfile::tempdir().expect("a folder");
        let (spool, _) = open(own.path());
        let done = hand_over(card.path(), &spool, &mut Restless(&spool, 0)).expect("taken over");
        assert_eq!((done.clips, done.left.len()), (2, 0));
        let manifest = |id: &uuid::Uuid| {
            let clip_id = id.to_string().into();
            spool.fix(&clip_id).expect("fixed");
            spool.manifest(&clip_id).expect("a manifest")
        };
        let manifests: Vec<_> = ids.iter().map(manifest).collect();
        assert_eq!(times(&manifests), right());
    }
}
