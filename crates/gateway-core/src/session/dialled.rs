//! Digits that are dialled one after the other into a number which nobody else may learn: a receipt, a one-time code.
//!
//! Owns: the digits while they are dialled, saying them again after a pause, and giving up. Never does: know what they mean, or keep one
//! in memory after its use.

use super::asking::digit_said;
use super::machine::Session;
use super::state::State;
use super::{Command, Prompt};
use crate::prompt::Word;
use booth_contract::time::Mono;
use std::time::Duration;
use zeroize::Zeroizing;

/// Without a digit for this long the booth goes back to what it asks.
const GIVES_UP_AFTER: Duration = Duration::from_secs(20);
/// Before that, it says once what was dialled so far: on a dial no key is left to ask for it.
const SAYS_AGAIN_AFTER: Duration = Duration::from_secs(8);
/// From the end of that to giving up, at least.
const TIME_AFTER: Duration = Duration::from_secs(4);
/// Digits that are read together.
const GROUP: usize = 3;

/// Digits so far.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Dialled {
    digits: Zeroizing<Vec<u8>>,
    /// How many make it whole.
    whole: usize,
    /// Since when there is no new digit, once the digits were said again.
    waits_since: Option<Mono>,
}

/// Says how many digits are dialled, and not which.
impl std::fmt::Debug for Dialled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} digits", self.len(), self.whole)
    }
}

impl Dialled {
    /// No digit of a number that has so many.
    pub(super) fn of(whole: usize) -> Self {
        Self {
            // Room for all of them, so that no digit stays behind where it was.
            digits: Zeroizing::new(Vec::with_capacity(whole)),
            whole,
            waits_since: None,
        }
    }

    /// How many digits are dialled.
    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    /// Takes a digit. Returns the whole number with the last one, and begins again then.
    pub(super) fn push(&mut self, digit: u8) -> Option<Zeroizing<Vec<u8>>> {
        self.waits_since = None;
        self.digits.push(digit);
        (self.len() == self.whole).then(|| std::mem::replace(self, Self::of(self.whole)).digits)
    }

    /// The digits in the groups in which a receipt is read.
    fn said(&self) -> Vec<Prompt> {
        let mut said = vec![Prompt::Word(Word::SoFar)];
        for group in self.digits.chunks(GROUP) {
            said.push(Prompt::Pause);
            said.extend(group.iter().map(|digit| digit_said(*digit)));
        }
        said
    }
}

impl Session {
    /// The number that is being dialled.
    fn dialling(&mut self) -> Option<&mut Dialled> {
        match &mut self.state {
            State::Withdrawing(withdrawing) => Some(&mut withdrawing.dialled),
            State::Coding(coding) => Some(&mut coding.dialled),
            _ => None,
        }
    }

    /// When something is due for whoever dials a number.
    pub(super) fn dialling_due(&self, dialled: &Dialled) -> Option<Mono> {
        let is_quiet = self.playing.is_none();
        let due = match dialled.waits_since {
            None if dialled.len() > 0 => self.quiet_since + self.patient(SAYS_AGAIN_AFTER),
            None => self.quiet_since + self.patient(GIVES_UP_AFTER),
            Some(since) => {
                let after = self.quiet_since + self.patient(TIME_AFTER);
                after.max(since + self.patient(GIVES_UP_AFTER))
            }
        };
        is_quiet.then_some(due)
    }

    /// Says what was dialled so far, if that is what is due. Answers whether the time is up instead.
    pub(super) fn tick_dialling(&mut self, now: Mono, out: &mut Vec<Command>) -> bool {
        let since = self.quiet_since;
        let Some(dialled) = self.dialling() else {
            return false;
        };
        if dialled.len() == 0 || dialled.waits_since.is_some() {
            return true;
        }
        dialled.waits_since = Some(since);
        let said = dialled.said();
        // The digits are not kept to be said once more.
        self.said.clear();
        self.play_once(now, said, false, out);
        false
    }
}
