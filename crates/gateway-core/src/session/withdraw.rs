//! Taking a message back at the handset (contract §3.9).
//!
//! Owns: the digits of a receipt while they are dialled, and the way in for slow hands. Never does: know whether such a message exists;
//! nobody at a booth is told.

use super::dialled::Dialled;
use super::machine::{RECORDER_LIMIT, Session};
use super::state::State;
use super::{Command, Key, PlayId, Prompt};
use crate::prompt::Word;
use booth_contract::receipt::{DIGITS, Receipt};
use booth_contract::time::Mono;
use std::time::Duration;

/// How long slow hands may take from the end of what the booth says to the next digit of the code.
const SLOW_GAP: Duration = Duration::from_secs(20);
/// So long the sentence about one more 0 takes: a 0 before its end answers something else.
const OFFER_HEARD: Duration = Duration::from_secs(6);

/// The code that opens a withdrawal, dialled more slowly than its digits have to follow each other. Where 0 repeats, three slow ones may also
/// be somebody who hears badly: so the booth says what one more 0 does, and only that one opens the withdrawal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlowCode {
    /// The last digits, as many as the code has at most.
    digits: Vec<u8>,
    at: Mono,
    /// What plays, or was played last, with the sentence about one more 0 before it.
    offered: Option<PlayId>,
}

/// What a digit means for a code that is dialled slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slowly {
    /// Nothing.
    Nothing,
    /// It completes the code: the booth says what one more 0 does.
    Offers,
    /// It is the 0 that was asked for.
    Opens,
}

/// A receipt that is being dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Withdrawing {
    /// Receipts can be sealed here, so that a withdrawal can leave the booth.
    pub(super) is_possible: bool,
    pub(super) dialled: Dialled,
    /// The card is to answer by then.
    until: Option<Mono>,
}

impl Withdrawing {
    fn new(is_possible: bool) -> Self {
        Self {
            is_possible,
            dialled: Dialled::of(DIGITS),
            until: None,
        }
    }
}

impl Session {
    /// What this key means for the code when it is dialled slowly. It does what it always does all the same, unless it opens.
    pub(super) fn dials_slowly(&mut self, now: Mono, key: Key) -> Slowly {
        let before = std::mem::take(&mut self.visit.slowly);
        let Key::Digit(digit) = key else {
            return Slowly::Nothing;
        };
        let code = &self.rules.withdraw_code;
        if code.is_empty() || self.takes_no_code() {
            return Slowly::Nothing;
        }
        let is_heard = self.playing.is_none();
        let gap = now.since(before.at.max(self.quiet_since));
        let follows = !is_heard || gap <= self.patient(SLOW_GAP);
        let is_offered = before.offered.is_some() && before.offered == self.last_play();
        let was_heard = now.since(before.at) >= OFFER_HEARD;
        if follows && is_offered && was_heard && digit == 0 {
            return Slowly::Opens;
        }
        let mut digits = before.digits;
        if !follows {
            digits.clear();
        }
        digits.push(digit);
        digits.drain(..digits.len().saturating_sub(code.len()));
        let is_whole = digits == *code;
        self.visit.slowly = SlowCode {
            digits,
            at: now,
            offered: None,
        };
        match is_whole {
            true => Slowly::Offers,
            false => Slowly::Nothing,
        }
    }

    /// Says what one more 0 does before what a slow code made the booth say. Not behind it: whoever pauses and does not listen would never hear it.
    pub(super) fn offer_withdrawal(&mut self, out: &mut [Command]) {
        let playing = self.playing.map(|(id, _)| id);
        for command in out.iter_mut().rev() {
            if let Command::Play { id, prompts, .. } = command
                && Some(*id) == playing
            {
                prompts.insert(0, Prompt::Word(Word::WithdrawSlow));
                self.visit.slowly.offered = playing;
                // Slow hands are given time.
                self.visit.is_patient = true;
                return;
            }
        }
    }

    /// Somebody dialled the code: the booth says what that opened.
    pub(super) fn open_withdrawal(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.leave(now, out);
        self.state = State::Withdrawing(Withdrawing::new(self.can_seal));
        self.quiet_since = now;
        let word = match self.can_seal {
            true => Word::WithdrawIntro,
            false => Word::WithdrawNot,
        };
        self.play(now, vec![Prompt::Word(word)], out);
    }

    pub(super) fn withdrawal_due(&self, withdrawing: &Withdrawing) -> Option<Mono> {
        withdrawing
            .until
            .or(self.dialling_due(&withdrawing.dialled))
    }

    pub(super) fn tick_withdrawal(
        &mut self,
        now: Mono,
        withdrawing: &Withdrawing,
        out: &mut Vec<Command>,
    ) {
        if self.withdrawal_due(withdrawing).is_none_or(|due| now < due) {
            return;
        }
        match withdrawing.until {
            Some(_) => self.withdrawal_kept(now, false, out),
            None if self.tick_dialling(now, out) => self.lead_back(now, out),
            None => {}
        }
    }

    /// Back to the notice or the question, or to what the booth says where nothing is asked.
    pub(super) fn lead_back(&mut self, now: Mono, out: &mut Vec<Command>) {
        self.stop_play(out);
        self.digits.clear();
        if !self.can_record() {
            self.out_of_order(now, out);
        } else if self.visit.notice_heard {
            self.ask(now, false, None, out);
        } else {
            self.read_notice(now, out);
        }
    }

    /// A key while a receipt is dialled: 0 is one of its digits, and `*` begins again.
    pub(super) fn withdrawal_key(&mut self, now: Mono, key: Key, out: &mut Vec<Command>) {
        let State::Withdrawing(withdrawing) = &mut self.state else {
            return;
        };
        if !withdrawing.is_possible || withdrawing.until.is_some() {
            return;
        }
        match key {
            Key::Star => {
                withdrawing.dialled = Dialled::of(DIGITS);
                self.digits.clear();
                self.louder();
                self.play(now, vec![Prompt::Word(Word::WithdrawIntro)], out);
            }
            Key::Digit(digit) => {
                let dialled = withdrawing.dialled.push(digit);
                self.stop_play(out);
                self.quiet_since = now;
                if let Some(dialled) = dialled {
                    self.digits.clear();
                    self.receipt_dialled(now, &dialled, out);
                }
            }
            Key::Hash | Key::Button => {}
        }
    }

    fn receipt_dialled(&mut self, now: Mono, dialled: &[u8], out: &mut Vec<Command>) {
        match Receipt::parse(dialled) {
            Ok(receipt) => {
                if let State::Withdrawing(withdrawing) = &mut self.state {
                    withdrawing.until = Some(now + RECORDER_LIMIT);
                }
                out.push(Command::Withdraw { receipt });
            }
            Err(_) => self.play(now, vec![Prompt::Word(Word::WithdrawWrong)], out),
        }
    }

    /// The card has the withdrawal, or has not.
    pub(super) fn withdrawal_kept(&mut self, now: Mono, is_kept: bool, out: &mut Vec<Command>) {
        let State::Withdrawing(withdrawing) = &mut self.state else {
            return;
        };
        if withdrawing.until.take().is_none() {
            return;
        }
        self.visit.has_chosen = true;
        let word = match is_kept {
            true => Word::WithdrawNoted,
            false => Word::WithdrawFailed,
        };
        self.play(now, vec![Prompt::Word(word)], out);
    }
}
