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
