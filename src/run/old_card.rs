//! An old card in a USB reader: a technician's seven has its messages taken over.
//!
//! Owns: the thread that reads it, and what the technician hears meanwhile. Never does: write to that card, read it unasked, or hold up a citizen: it
//! waits between two messages while somebody is at the handset, and the booth's own room is kept. A power cut or a card that is pulled out is made up
//! for by dialling seven again, and nothing comes twice. A reader that hangs holds up this thread alone, and the booth's card cannot be closed until
//! the gateway has started again; nothing else waits for it.
#![allow(clippy::disallowed_methods)] // lists the readers

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use serde_json::json;

use super::Gateway;
use super::errand::{Errand, Pace, Signals};
use crate::pulled::{HandOverError, Handed, HandedOver, Hearer, hand_over};
use booth_contract::export::LeftFile;
use booth_contract::time::Mono;
use booth_spool::{Refusal, Spool, SpoolError};
use gateway_core::prompt::Word;

/// What the thread is told: read what is plugged in, into this spool.
pub struct TakeOver {
    spool: Spool,
    signals: Signals,
}

/// What the thread reports.
pub enum OldCardEvent {
    /// This is on the booth's own card now.
    Handed(Handed),
    /// It still reads.
    Reads,
    /// How it ended.
    Ended(Result<HandedOver, OldCardFault>),
}

/// Why an old card was not read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum OldCardFault {
    /// Nothing is plugged in, or nothing that is a booth's card.
    #[error("there is no booth's card in a USB reader: {0}")]
    None(String),
    /// It is there and cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The booth's own card has no room for it now.
    #[error("the booth's own card takes no more: {0}")]
    NoRoom(SpoolError),
    /// The booth's own card takes no writes.
    #[error("the booth's own card does not take it: {0}")]
    NotTaken(SpoolError),
    /// It was told to stop.
    #[error("{}", HandOverError::Stopped)]
    Stopped,
}

/// Reads old cards, one order after the other; their readers are in the folder `readers`.
pub(super) fn run(readers: &Path, orders: &Receiver<TakeOver>, report: impl Fn(OldCardEvent)) {
    for TakeOver { spool, signals } in orders {
        let ended = take_over(readers, &spool, signals, &report);
        // Let go before it is said, so that the card may be closed then.
        drop(spool);
        report(OldCardEvent::Ended(ended));
    }
}

/// The thread's own side of a hand-over.
struct Listening<'a> {
    pace: Pace,
    report: &'a dyn Fn(OldCardEvent),
}

impl Hearer for Listening<'_> {
    fn handed(&mut self, handed: Handed) {
        (self.report)(OldCardEvent::Handed(handed));
    }

    fn goes_on(&mut self) -> bool {
        self.pace.goes_on(|| (self.report)(OldCardEvent::Reads))
    }
}

/// Reads every booth's card that is in a reader.
fn take_over(
    readers: &Path,
    spool: &Spool,
    signals: Signals,
    report: &dyn Fn(OldCardEvent),
) -> Result<HandedOver, OldCardFault> {
    let mut listening = Listening {
        pace: Pace::begin(signals),
        report,
    };
    let (mut read, mut broken, mut others): (Option<HandedOver>, Vec<LeftFile>, Vec<String>) =
        Default::default();
    for disk in disks(readers) {
        match hand_over(&disk, spool, &mut listening) {
            Ok(done) => read = Some(read.unwrap_or_default().and(done)),
            Err(HandOverError::Stopped) => return Err(OldCardFault::Stopped),
            Err(HandOverError::Spool(error)) => {
                return Err(match is_of_room(&error) {
                    true => OldCardFault::NoRoom(error),
                    false => OldCardFault::NotTaken(error),
                });
            }
            Err(HandOverError::Own) => others.push(HandOverError::Own.to_string()),
            Err(HandOverError::Pulled(error)) => match error.is_of_a_booths_card() {
                true => broken.push(LeftFile {
                    file: None,
                    path: disk.display().to_string(),
                    why: error.to_string(),
                }),
                false => others.push(error.to_string()),
            },
        }
    }
    match (read, broken.first()) {
        (Some(mut read), _) => {
            read.left.append(&mut broken);
            Ok(read)
        }
        (None, Some(first)) => Err(OldCardFault::Unreadable(first.why.clone())),
        (None, None) if others.is_empty() => Err(OldCardFault::None(format!(
            "nothing is plugged in, or {} is not there (docs/pulled-card.md)",
            readers.display()
        ))),
        (None, None) => Err(OldCardFault::None(others.join("; "))),
    }
}

/// Whether there will be room when the booth's own messages are sent.
fn is_of_room(error: &SpoolError) -> bool {
    matches!(
        error,
        SpoolError::Refused(Refusal::Full | Refusal::Reserve)
            | SpoolError::FullDisk { .. }
            | SpoolError::TooManyWithdrawals
    )
}

/// What is plugged in, in an order of its own.
fn disks(readers: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(readers) else {
        return Vec::new();
    };
    let mut disks: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    disks.sort();
    disks
}

impl Gateway {
    /// A technician wants the card in the reader to be taken over.
    pub(super) fn take_over(&mut self, now: Mono) {
        if let Some(reading) = &self.old_card {
            let messages = reading.messages;
            return self.say_messages(now, Word::OldCardSoFar, messages, &[]);
        }
        let signals = Signals::default();
        let spool = self.spool.clone().filter(|_| !self.is_closing);
        let order = spool.map(|spool| TakeOver {
            spool,
            signals: signals.clone(),
        });
        let is_taken = order
            .zip(self.old_cards.as_ref())
            .is_some_and(|(order, old_cards)| old_cards.offer(order));
        if !is_taken {
            return self.say_words(now, &[Word::OldCardNotNow]);
        }
        log::info!("an old card is to be taken over");
        self.old_card = Some(Errand::begin(now, signals));
        self.event("old_card", json!({ "begins": 1 }));
        self.say_words(now, &[Word::OldCardBegins]);
    }

    /// What the thread that reads an old card reports.
    pub(super) fn old_card_event(&mut self, now: Mono, event: OldCardEvent) {
        match event {
            OldCardEvent::Handed(Handed::Withdrawal(kept)) => self.offer_withdrawal(now, kept),
            OldCardEvent::Handed(Handed::Clip(clip)) => {
                self.offer_aged(now, &clip);
                if let Some(reading) = &mut self.old_card {
                    reading.messages += 1;
                }
            }
            OldCardEvent::Reads => {
                if let Some(reading) = &mut self.old_card
                    && reading.is_to_be_said(now)
                {
                    let messages = reading.messages;
                    self.say_messages(now, Word::OldCardSoFar, messages, &[]);
                }
            }
            OldCardEvent::Ended(ended) => {
                self.old_card = None;
                self.old_card_ended(now, ended);
            }
        }
    }

    fn old_card_ended(&mut self, now: Mono, ended: Result<HandedOver, OldCardFault>) {
        match ended {
            Ok(done) => {
                let (clips, left) = (done.clips, done.left.len());
                log::info!(
                    clips = clips, withdrawals = done.withdrawals, here_before = done.here, left = left;
                    "an old card was taken over"
                );
                for file in &done.left {
                    log::warn!("it stays on the old card: {}: {}", file.path, file.why);
                }
                self.event(
                    "old_card",
                    json!({
                        "begins": 0, "ok": 1, "cards": done.cards, "clips": clips,
                        "withdrawals": done.withdrawals, "here_before": done.here, "left": left,
                    }),
                );
                let last: &[Word] = match left {
                    0 => &[Word::OldCardOut],
                    _ => &[Word::OldCardLeft, Word::OldCardOut],
                };
                self.say_messages(now, Word::OldCardRead, clips as u64, last);
            }
            Err(fault) => {
                log::warn!("an old card was not taken over: {fault}");
                let text = fault.to_string();
                self.event("old_card", json!({ "begins": 0, "ok": 0, "text": text }));
                let said = match fault {
                    OldCardFault::None(_) => Word::OldCardNone,
                    OldCardFault::Unreadable(_) => Word::OldCardUnreadable,
                    OldCardFault::NoRoom(_) => Word::OldCardNoRoom,
                    OldCardFault::NotTaken(_) => Word::OldCardNotNow,
                    OldCardFault::Stopped => Word::PressNine,
                };
                self.say_words(now, &[said]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_spool::KeptClip;
    use booth_testkit::spool_rig::{clip_file, open, record};
    use std::cell::RefCell;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    /// An old card with so many messages, in a reader of this name.
    fn old_card(readers: &Path, name: &str, messages: usize) -> (tempfile::TempDir, Vec<KeptClip>) {
        let old = folder();
        let (other, _) = open(old.path());
        let clips = (0..messages).map(|_| record(&other, 2)).collect();
        symlink(old.path(), readers.join(name)).expect("a link");
        (old, clips)
    }

    fn read(readers: &Path, spool: &Spool) -> (Result<HandedOver, OldCardFault>, Vec<KeptClip>) {
        let handed = RefCell::new(Vec::new());
        let done = take_over(readers, spool, Signals::default(), &|event| {
            if let OldCardEvent::Handed(Handed::Clip(clip)) = event {
                handed.borrow_mut().push(*clip);
            }
        });
        (done, handed.into_inner())
    }

    #[test]
    fn only_booths_cards_are_read_and_all_of_them_whatever_else_is_plugged_in() {
        let (readers, own) = (folder(), folder());
        let (spool, _) = open(own.path());
        let fault = |readers: &Path| read(readers, &spool).0.expect_err("no card").to_string();
        let gone = readers.path().join("none");
        assert!(fault(&gone).contains("nothing is plugged in"));
        // A stick with holiday pictures, a reader without a card, and the booth's own card.
        std::fs::write(readers.path().join("sda"), vec![0x55; 1 << 20]).expect("a stick");
        std::fs::write(readers.path().join("sdb"), "").expect("a reader");
        symlink(own.path(), readers.path().join("sdc")).expect("a link");
        let why = fault(readers.path());
        assert!(why.contains("the booth's own card"), "{why}");
        // Two old cards beside all of them.
        let (_first, one) = old_card(readers.path(), "sdd", 1);
        let (second, two) = old_card(readers.path(), "sde", 2);
        let (done, handed) = read(readers.path(), &spool);
        let done = done.expect("taken over");
        assert_eq!((done.clips, done.here, done.left.len()), (3, 0, 0));
        assert_eq!(done.cards.len(), 2);
        assert!(
            [one, two.clone()]
                .concat()
                .iter()
                .all(|clip| handed.contains(clip))
        );
        // A second time nothing is new. What became damaged there stays, and the rest is said to be here.
        let hurt = clip_file(second.path(), &two[0].clip_id);
        let mut words = std::fs::read(&hurt).expect("a message");
        let middle = words.len() / 3;
        words[middle] ^= 0x40;
        std::fs::write(&hurt, words).expect("written");
        let (again, handed) = read(readers.path(), &spool);
        let again = again.expect("read");
        assert_eq!((again.clips, again.here, again.left.len()), (0, 2, 1));
        assert!(handed.is_empty());
    }

    #[test]
    fn a_reading_ends_when_the_booths_card_is_to_be_closed_and_waits_while_a_citizen_is_there() {
        let (readers, own) = (folder(), folder());
        let (spool, _) = open(own.path());
        let (_old, clips) = old_card(readers.path(), "sda", 5);
        let signals = Signals::default();
        let handed = RefCell::new(0);
        let stops = signals.stops.clone();
        let done = take_over(readers.path(), &spool, signals, &|event| {
            if let OldCardEvent::Handed(_) = event {
                *handed.borrow_mut() += 1;
                stops.store(*handed.borrow() == 2, Ordering::Relaxed);
            }
        });
        assert!(matches!(done, Err(OldCardFault::Stopped)));
        assert_eq!((handed.into_inner(), spool.clips().len()), (2, 2));
        // Held: nothing is taken until the citizen has gone.
        let signals = Signals::default();
        signals.holds.store(true, Ordering::Relaxed);
        let holds = signals.holds.clone();
        let waiting = std::thread::spawn({
            let (readers, spool) = (readers.path().to_owned(), spool.clone());
            move || take_over(&readers, &spool, signals, &|_| {}).map(|done| done.clips)
        });
        for _ in 0..20 {
            std::thread::park_timeout(Duration::from_millis(20));
            assert_eq!(spool.clips().len(), 2, "it waits");
        }
        holds.store(false, Ordering::Relaxed);
        assert_eq!(waiting.join().expect("it ends").expect("read"), 3);
        assert_eq!(spool.clips().len(), clips.len());
    }
}
