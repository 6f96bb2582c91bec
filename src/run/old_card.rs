//! An old card in a USB reader: a technician's seven has its messages taken over.
//!
//! Owns: the thread that reads it, and what the technician hears meanwhile. Never does: write to that card, read it unasked, or hold up a citizen: what
//! is spoken here goes first, and the booth's own room is kept. A reader that hangs holds up this thread alone; a power cut or a card that is pulled
//! out is made up for by dialling seven again, and nothing comes twice.
#![allow(clippy::disallowed_methods)] // lists the readers

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::json;

use super::Gateway;
use crate::pulled::{HandOverError, Handed, HandedOver, PulledError, hand_over};
use booth_contract::time::Mono;
use booth_spool::Spool;
use gateway_core::prompt::{Language, Prompt, Word};
use gateway_core::session::ServiceNews;
use gateway_core::spoken;

/// How often a technician who stays on the line hears how far it is.
const SAID_EVERY: Duration = Duration::from_secs(15);

/// What the thread is told: read what is plugged in, into this spool.
pub struct TakeOver(pub Spool);

/// What the thread reports.
pub enum OldCardEvent {
    /// This is on the booth's own card now.
    Handed(Handed),
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
    #[error(transparent)]
    Unreadable(PulledError),
    /// This booth's own card does not take it.
    #[error("this booth's card does not take the old one's messages: {0}")]
    NoRoom(booth_spool::SpoolError),
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    messages: u64,
    said_at: Mono,
}

/// Reads old cards, one after the other; their readers are in the folder `readers`.
pub(super) fn run(readers: &Path, orders: &Receiver<TakeOver>, report: impl Fn(OldCardEvent)) {
    for TakeOver(spool) in orders {
        let ended = take_over(readers, &spool, &|handed| {
            report(OldCardEvent::Handed(handed));
        });
        // Let go before it is said, so that the card may be closed then.
        drop(spool);
        report(OldCardEvent::Ended(ended));
    }
}

/// Reads the first booth's card that is in a reader.
fn take_over(
    readers: &Path,
    spool: &Spool,
    report: &dyn Fn(Handed),
) -> Result<HandedOver, OldCardFault> {
    let mut others = Vec::new();
    let mut broken = None;
    for disk in disks(readers) {
        match hand_over(&disk, spool, &mut |handed| report(handed), &mut |_, _| {}) {
            Ok(done) => return Ok(done),
            Err(HandOverError::Spool(error)) => return Err(OldCardFault::NoRoom(error)),
            Err(HandOverError::Own) => others.push("the booth's own card".to_owned()),
            Err(HandOverError::Pulled(error)) => match error.is_of_a_booths_card() {
                true => broken = Some(error),
                false => others.push(error.to_string()),
            },
        }
    }
    match broken {
        Some(error) => Err(OldCardFault::Unreadable(error)),
        None if others.is_empty() => Err(OldCardFault::None(format!(
            "nothing is plugged in, or {} is not there (docs/technician.md)",
            readers.display()
        ))),
        None => Err(OldCardFault::None(others.join("; "))),
    }
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
        if let Some(reading) = self.old_card {
            return self.say_messages(now, Word::OldCardSoFar, reading.messages, &[]);
        }
        let order = self.spool.clone().map(TakeOver);
        let is_taken = order
            .zip(self.old_cards.as_ref())
            .is_some_and(|(order, old_cards)| old_cards.offer(order));
        if !is_taken {
            return self.say_words(now, &[Word::OldCardNoRoom]);
        }
        log::info!("an old card is to be taken over");
        self.old_card = Some(Reading {
            messages: 0,
            said_at: now,
        });
        self.event("old_card", json!({ "begins": 1 }));
        self.say_words(now, &[Word::OldCardBegins]);
    }

    /// What the thread that reads an old card reports.
    pub(super) fn old_card_event(&mut self, now: Mono, event: OldCardEvent) {
        match event {
            OldCardEvent::Handed(Handed::Withdrawal(kept)) => self.offer_withdrawal(now, kept),
            OldCardEvent::Handed(Handed::Clip(clip)) => {
                self.offer_aged(now, &clip);
                let Some(reading) = &mut self.old_card else {
                    return;
                };
                reading.messages += 1;
                if reading.said_at + SAID_EVERY <= now {
                    reading.said_at = now;
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
                        "begins": 0, "ok": 1, "card_id": done.card_id, "clips": clips,
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
                };
                self.say_words(now, &[said]);
            }
        }
    }

    /// Says these words, a number of messages, and more words, if a technician is there to hear them.
    fn say_messages(&mut self, now: Mono, first: Word, messages: u64, last: &[Word]) {
        let language = Language::of(&self.config.session.language);
        let mut said = vec![first];
        said.extend(spoken::messages_counted(messages, language));
        said.extend(last);
        self.say_words(now, &said);
    }

    fn say_words(&mut self, now: Mono, said: &[Word]) {
        if self.booth.session().is_in_service() {
            let said = said.iter().copied().map(Prompt::Word).collect();
            self.say(now, ServiceNews::Card(said));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_testkit::spool_rig::{open, record};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn only_a_booths_card_is_read_whatever_else_is_plugged_in() {
        let (readers, own) = (folder(), folder());
        let (spool, _) = open(own.path());
        let fault = |readers: &Path| take_over(readers, &spool, &|_| {}).expect_err("no card");
        let gone = readers.path().join("none");
        assert!(fault(&gone).to_string().contains("nothing is plugged in"));
        // A stick with holiday pictures, a reader without a card, and the booth's own card.
        std::fs::write(readers.path().join("sda"), vec![0x55; 1 << 20]).expect("a stick");
        std::fs::write(readers.path().join("sdb"), "").expect("a reader");
        std::os::unix::fs::symlink(own.path(), readers.path().join("sdc")).expect("a link");
        let why = fault(readers.path()).to_string();
        assert!(why.contains("the booth's own card"), "{why}");
        // The old card beside all of them.
        let old = folder();
        let clip = {
            let (other, _) = open(old.path());
            record(&other, 2)
        };
        std::os::unix::fs::symlink(old.path(), readers.path().join("sdd")).expect("a link");
        let handed = std::cell::RefCell::new(Vec::new());
        let done = take_over(readers.path(), &spool, &|one| handed.borrow_mut().push(one));
        let done = done.expect("taken over");
        assert_eq!((done.clips, done.here, done.left.len()), (1, 0, 0));
        assert_eq!(done.card_id, Some(clip.card_id.clone()));
        assert_eq!(handed.into_inner(), [Handed::Clip(Box::new(clip.clone()))]);
        assert_eq!(spool.clips(), [clip]);
        // A second time nothing is new.
        let again = take_over(readers.path(), &spool, &|_| panic!("nothing is new"));
        let again = again.expect("read");
        assert_eq!((again.clips, again.here), (0, 1));
    }
}
