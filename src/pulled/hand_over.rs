//! A card's messages, handed over to the spool of the booth in whose reader it is.
//!
//! Owns: which files are handed over, and what is said of those that are not. Never does: change the card, or hand over the booth's own one. What is
//! handed over is durable before it is told; a card that is pulled out meanwhile is read again, and nothing comes twice.

use std::path::Path;

use booth_contract::export::LeftFile;
use booth_contract::{CardId, Withdrawal, reading};
use booth_spool::inspect::{self, Looked, SpoolFile};
use booth_spool::{KeptClip, KeptWithdrawal, Spool, SpoolError, TakenOver};

use super::found::{self, Place};
use super::{PulledError, load};

/// Largest file that is taken for a message: an hour at 64 kbit/s has 29 MB. The gateway holds it twice for a moment.
const MOST_BYTES: u64 = 40 << 20;

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
    /// The other card, where it says which one it is.
    pub card_id: Option<CardId>,
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
}

/// Hands every message and withdrawal of what is named over to `spool`. `hand` gets each of them when it is durable there; `tell` hears how many
/// bytes of how many were looked at.
///
/// # Errors
/// See [`HandOverError`]. What was handed over before stays.
pub fn hand_over(
    named: &Path,
    spool: &Spool,
    hand: &mut dyn FnMut(Handed),
    tell: &mut dyn FnMut(u64, u64),
) -> Result<HandedOver, HandOverError> {
    let opened = found::open(named)?;
    let card_of = |place: &Place| {
        place
            .contents
            .card
            .as_ref()
            .ok()
            .map(|card| card.card_id.clone())
    };
    let mut done = HandedOver {
        card_id: opened.places().iter().find_map(card_of),
        ..HandedOver::default()
    };
    if done.card_id.as_ref() == Some(&spool.identity().card_id) {
        return Err(HandOverError::Own);
    }
    opened.walk::<HandOverError>(true, tell, &mut |place, _, file, looked| {
        done.file(place, file, looked, spool, hand)
    })?;
    for place in opened.places() {
        for file in &place.contents.withdrawals {
            done.withdrawal(place, file, spool, hand)?;
        }
    }
    Ok(done)
}

impl HandedOver {
    fn file(
        &mut self,
        place: &Place,
        file: &SpoolFile,
        looked: Looked,
        spool: &Spool,
        hand: &mut dyn FnMut(Handed),
    ) -> Result<(), HandOverError> {
        let Some(id) = file.id.filter(|_| file.bytes <= MOST_BYTES) else {
            let why = match looked {
                Looked::Nothing => return Ok(()),
                Looked::Whole(_) | Looked::Unfinished(_) => "it is too large for a message".into(),
                looked => found::left(&looked),
            };
            self.leave(file, why);
            return Ok(());
        };
        let taken = match looked {
            Looked::Nothing => return Ok(()),
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
                hand(Handed::Clip(clip));
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
        hand: &mut dyn FnMut(Handed),
    ) -> Result<(), HandOverError> {
        let payload = match inspect::withdrawal(&*place.source, file) {
            Ok((_, payload)) => payload,
            Err(why) => {
                self.leave(file, why);
                return Ok(());
            }
        };
        let withdrawal: Withdrawal = match reading::object(&payload) {
            Ok(withdrawal) => withdrawal,
            Err(why) => {
                self.leave(file, why.to_string());
                return Ok(());
            }
        };
        if spool
            .withdrawals()
            .iter()
            .any(|kept| kept.id == withdrawal.id)
        {
            self.here += 1;
            return Ok(());
        }
        let kept = spool.keep_withdrawal(&withdrawal)?;
        self.withdrawals += 1;
        hand(Handed::Withdrawal(kept));
        Ok(())
    }

    fn leave(&mut self, file: &SpoolFile, why: String) {
        self.left.push(load::left_file(file, why));
    }
}
