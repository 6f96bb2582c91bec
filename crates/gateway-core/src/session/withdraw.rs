//! Taking a message back at the handset (contract §3.9).
//!
//! Owns: the digits of a receipt while they are dialled. Never does: know whether such a message exists; nobody at a booth is told.

use super::dialled::Dialled;
use super::machine::{RECORDER_LIMIT, Session};
use super::state::State;
use super::{Command, Key, Prompt};
use crate::prompt::Word;
use booth_contract::receipt::{DIGITS, Receipt};
use booth_contract::time::Mono;

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
