//! A USB stick receives an export: a technician's eight has the booth's own messages copied onto it.
//!
//! Owns: the thread that copies them, and what the technician hears meanwhile. Never does: mount (root's helper does, `crate::stick`), take anything off
//! the booth's card, or hold up a citizen: it waits between two messages while somebody is at the handset. A stick is called safe to remove only when
//! the helper has said that everything is on it and nobody holds it. A stick that hangs holds up this thread alone, and the booth's card cannot be
//! closed until the gateway has started again; nothing else waits for it.
#![allow(clippy::disallowed_methods)] // looks for a free name, and deletes what it has begun on the stick

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};

use super::Gateway;
use super::errand::{Errand, Pace, Signals};
use crate::pulled::{ExportError, Exported, Own, Progress, PulledError, Running};
use crate::stick::{self, Refusal, Stick, StickError};
use booth_contract::BoothId;
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::prompt::Word;

/// Exports that were begun on one stick within a second, by clocks that are wrong.
const MOST_NAMES: u32 = 99;

/// What the thread is told: copy the messages of this booth.
pub struct ExportToStick {
    own: Own,
    signals: Signals,
}

/// What the thread reports.
pub enum StickEvent {
    /// It still copies; so many messages are on the stick.
    Copies(usize),
    /// How it ended.
    Ended {
        /// What is on the stick, or why nothing is.
        copied: Result<Copied, StickFault>,
        /// Whether a stick was mounted and is safe to remove.
        is_out: bool,
    },
}

/// What is on a stick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The folder.
    pub folder: String,
    /// Messages and votes.
    pub clips: usize,
    /// Withdrawals.
    pub withdrawals: usize,
    /// Files of the card that are not whole.
    pub left: usize,
}

/// Why nothing was copied, or nothing that counts.
#[derive(Debug, thiserror::Error)]
pub enum StickFault {
    /// Nothing waits on the card.
    #[error("nothing waits on this card, so nothing was copied")]
    Nothing,
    /// The booth's own card does not give its messages.
    #[error("the booth's own card cannot be read: {0}")]
    Card(PulledError),
    /// There is no stick, or it was not let go.
    #[error(transparent)]
    Stick(StickError),
    /// It has no room for them.
    #[error(
        "the stick has {free_mb} MB free, and the messages need {wanted_mb} MB: make room or use a larger one, and dial 8 again"
    )]
    NoRoom {
        /// What is free.
        free_mb: u64,
        /// What is needed.
        wanted_mb: u64,
    },
    /// It became full.
    #[error(
        "the stick became full while the messages were copied: use a larger one, and dial 8 again"
    )]
    Full,
    /// It failed, or was pulled out.
    #[error("the stick failed or was pulled out ({0}): use another one, and dial 8 again")]
    Gone(String),
    /// It was told to stop.
    #[error("{}", ExportError::Stopped)]
    Stopped,
}

impl From<ExportError> for StickFault {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Pulled(error) => Self::Card(error),
            ExportError::NoRoom {
                free_mb, wanted_mb, ..
            } => Self::NoRoom { free_mb, wanted_mb },
            ExportError::Full(_) => Self::Full,
            // It took writes when it was mounted: the kernel writes no more to what fails.
            ExportError::WriteProtected(_) => Self::Gone("it takes no more writes".into()),
            ExportError::Gone { source, .. } => Self::Gone(source.to_string()),
            ExportError::NotRead(_) => {
                Self::Gone("it does not give back what was written to it".into())
            }
            ExportError::NotEmpty(_) | ExportError::Inside(_) => {
                Self::Gone("the export's folder is taken".into())
            }
            ExportError::Stopped => Self::Stopped,
        }
    }
}

impl From<StickError> for StickFault {
    fn from(error: StickError) -> Self {
        match error {
            StickError::Stopped => Self::Stopped,
            error => Self::Stick(error),
        }
    }
}

impl StickFault {
    /// What the technician hears.
    fn word(&self) -> Word {
        match self {
            Self::Nothing => Word::NoMessages,
            Self::Card(_) => Word::OldCardNotNow,
            Self::Stick(StickError::NoHelper { .. }) => Word::StickNoHelper,
            Self::Stick(StickError::Refused(Refusal::None(_) | Refusal::Unusable(_))) => {
                Word::StickNone
            }
            Self::Stick(StickError::Refused(Refusal::Locked(_))) => Word::StickLocked,
            Self::NoRoom { .. } | Self::Full => Word::StickFull,
            Self::Stick(_) | Self::Gone(_) => Word::StickGone,
            Self::Stopped => Word::PressNine,
        }
    }

    /// What the centre is told.
    fn told(&self) -> Value {
        let mut told = json!({ "begins": 0, "ok": 0, "text": self.to_string() });
        if let Self::NoRoom { wanted_mb, .. } = self {
            told["needs_mb"] = json!(wanted_mb);
        }
        told
    }
}

/// Where things are.
pub(super) struct Places {
    /// The booth's own spool.
    pub(super) spool: PathBuf,
    /// Where root's helper is asked.
    pub(super) helper: PathBuf,
}

/// Makes exports, one order after the other.
pub(super) fn run(places: &Places, orders: &Receiver<ExportToStick>, report: impl Fn(StickEvent)) {
    for ExportToStick { own, signals } in orders {
        let mut watch = Watch::begin(signals, &report);
        let (copied, is_out) = copy(places, &own, &mut watch);
        // Let go before it is said, so that the card may be closed then.
        drop(own);
        report(StickEvent::Ended { copied, is_out });
    }
}

/// The thread's own side of an export.
struct Watch<'a> {
    pace: Pace,
    report: &'a dyn Fn(StickEvent),
}

impl<'a> Watch<'a> {
    fn begin(signals: Signals, report: &'a dyn Fn(StickEvent)) -> Self {
        let pace = Pace::begin(signals);
        Self { pace, report }
    }

    /// Waits while a citizen is there; `false` ends the export.
    fn goes_on(&mut self, messages: usize) -> bool {
        let report = self.report;
        self.pace.goes_on(|| report(StickEvent::Copies(messages)))
    }
}

/// Makes one export, and says whether there is a stick that is safe to remove.
fn copy(places: &Places, own: &Own, watch: &mut Watch<'_>) -> (Result<Copied, StickFault>, bool) {
    match Running::open(&places.spool, own) {
        Err(error) => return (Err(StickFault::Card(error)), false),
        Ok(running) if running.is_empty() => return (Err(StickFault::Nothing), false),
        Ok(_) => {}
    }
    let stick = match stick::ask(&places.helper, &mut || watch.goes_on(0)) {
        Ok(stick) => stick,
        Err(error) => return (Err(error.into()), false),
    };
    log::info!("the stick {} is mounted", stick.name());
    let copied = onto(&stick, places, own, watch);
    match (copied, stick.release()) {
        (copied, Ok(())) => (copied, true),
        (Err(fault), Err(error)) => {
            log::warn!("{error}");
            (Err(fault), false)
        }
        // Whatever was read back before: it is not proved that it stays there.
        (Ok(_), Err(error)) => (Err(error.into()), false),
    }
}

/// Copies the messages onto a stick that is mounted. What cannot be finished is deleted there again.
fn onto(
    stick: &Stick,
    places: &Places,
    own: &Own,
    watch: &mut Watch<'_>,
) -> Result<Copied, StickFault> {
    // Listed once more: the helper may have waited for the stick.
    let running = Running::open(&places.spool, own).map_err(StickFault::Card)?;
    let name = free_name(&stick.folder(), &own.booth);
    let folder = stick.folder().join(&name);
    let is_lost = Cell::new(false);
    let exported = running.export(&folder, &mut |progress: Progress| {
        is_lost.set(!stick.is_held());
        !is_lost.get() && watch.goes_on(progress.messages)
    });
    let failed = match exported {
        Ok(Exported { receipt, .. }) => {
            for left in &receipt.left {
                log::warn!(
                    "not whole on this booth's card: {}: {}",
                    left.path,
                    left.why
                );
            }
            return Ok(Copied {
                folder: name,
                clips: receipt.clips.len(),
                withdrawals: receipt.withdrawals.len(),
                left: receipt.left.len(),
            });
        }
        Err(_) if is_lost.get() => StickError::Silent("it ended".into()).into(),
        Err(error) => error.into(),
    };
    // A stick that is gone does not do it; what stays there has no receipt, and no hub takes it.
    let _ = std::fs::remove_dir_all(&folder);
    Err(failed)
}

/// A name for the export that the stick does not have yet: the booth and the time.
fn free_name(stick: &Path, booth: &BoothId) -> String {
    let name = format!("booth-{booth}-{}", clock::wall().strftime("%Y%m%d-%H%M%S"));
    let others = (2..MOST_NAMES).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(others);
    let is_free = |name: &String| !stick.join(name).exists();
    names.find(is_free).unwrap_or(name)
}

impl Gateway {
    /// A technician wants the messages copied onto a stick.
    pub(super) fn export(&mut self, now: Mono) {
        if let Some(copying) = &self.copying {
            let messages = copying.messages;
            return self.say_messages(now, Word::StickSoFar, messages, &[]);
        }
        let signals = Signals::default();
        let spool = self.spool.clone().filter(|_| !self.is_closing);
        let order = spool.map(|spool| ExportToStick {
            own: Own {
                booth: self.config.booth.id.clone(),
                spool,
                deleted: self.booth.delivery.being_taken_back(),
            },
            signals: signals.clone(),
        });
        let is_taken = order
            .zip(self.sticks.as_ref())
            .is_some_and(|(order, sticks)| sticks.offer(order));
        if !is_taken {
            return self.say_words(now, &[Word::OldCardNotNow]);
        }
        log::info!("the messages are to be copied onto a stick");
        self.copying = Some(Errand::begin(now, signals));
        self.event("stick", json!({ "begins": 1 }));
        self.say_words(now, &[Word::StickBegins]);
    }

    /// What the thread that copies reports.
    pub(super) fn stick_event(&mut self, now: Mono, event: StickEvent) {
        match event {
            StickEvent::Copies(messages) => {
                let Some(copying) = &mut self.copying else {
                    return;
                };
                copying.messages = messages as u64;
                if copying.is_to_be_said(now) {
                    self.say_messages(now, Word::StickSoFar, messages as u64, &[]);
                }
            }
            StickEvent::Ended { copied, is_out } => {
                self.copying = None;
                self.export_ended(now, copied, is_out);
            }
        }
    }

    fn export_ended(&mut self, now: Mono, copied: Result<Copied, StickFault>, is_out: bool) {
        let out = is_out.then_some(Word::StickOut);
        match copied {
            Ok(Copied {
                folder,
                clips,
                withdrawals,
                left,
            }) => {
                log::info!(
                    clips = clips, withdrawals = withdrawals, left = left;
                    "the messages were copied onto a stick, into {folder}"
                );
                self.event(
                    "stick",
                    json!({
                        "begins": 0, "ok": 1, "folder": folder, "clips": clips,
                        "withdrawals": withdrawals, "left": left,
                    }),
                );
                let damaged = (left > 0).then_some(Word::AlertSpoolDamaged);
                let last: Vec<Word> = damaged.into_iter().chain(out).collect();
                self.say_messages(now, Word::StickDone, clips as u64, &last);
            }
            Err(fault) => {
                log::warn!("no messages were copied onto a stick: {fault}");
                self.event("stick", fault.told());
                let said: Vec<Word> = std::iter::once(fault.word()).chain(out).collect();
                self.say_words(now, &said);
            }
        }
    }
}

#[cfg(test)]
#[path = "stick/tests.rs"]
mod tests;
