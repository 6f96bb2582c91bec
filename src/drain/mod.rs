//! `booth-gateway spool drain`: what is unsent on a pulled card is sent from a laptop.
//!
//! ```text
//! card ─▶ pulled::Load ─▶ gateway_core::delivery (the booth's own) ─▶ adapters::mqtt (the booth's own) ─▶ broker ─▶ hub
//!                              ◀── acks, by hash ◀──────────────────────────────────────────────────────────────┘
//! what became of each message ─▶ receipt, sentences, exit status
//! ```
//!
//! Owns: in whose branch a message is sent, when it is waited no longer, and the receipt. Decides nothing about a single message: the booth's own
//! delivery offers, repeats and lets go. Never does: change the card, say anything of a booth's state, open what is sealed, or leave a will.
#![allow(clippy::disallowed_methods)] // looks whether the receipt can be written, and waits

mod outcome;
mod receipt;
mod told;
mod way;

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use booth_contract::{BoothId, COURIER, Topics};
use booth_host::link::login::Login;
use booth_spool::disk::publish;
use booth_spool::real_disk::RealDisk;

use crate::pulled::{self, Load, PulledError};

pub use outcome::{Ended, Fate};
pub use receipt::{DrainReceipt, Sent, SentSlip};
pub use told::sentences;
use way::Way;

/// In whose branch of topics messages are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// Each in that of the booth where it was spoken.
    Courier,
    /// All in that of this booth, as if the card were in it.
    Booth(BoothId),
}

impl Sender {
    /// What the name at the broker allows.
    ///
    /// # Errors
    /// A name that is neither, as a sentence.
    pub fn of(user: &str) -> Result<Self, String> {
        match user {
            COURIER => Ok(Self::Courier),
            booth => BoothId::parse(booth).map(Self::Booth).map_err(|why| {
                format!(
                    "--user: log in as \"{COURIER}\", who may send for every booth, or as the booth itself, with its id ({why})"
                )
            }),
        }
    }

    pub(crate) fn booth(&self) -> Option<&BoothId> {
        match self {
            Self::Courier => None,
            Self::Booth(booth) => Some(booth),
        }
    }
}

/// What is to be sent where.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The device, partition, image or folder.
    pub source: PathBuf,
    /// The broker, and who sends.
    pub login: Login,
    /// The city's root topic.
    pub root: String,
    /// In whose branch.
    pub sender: Sender,
    /// The booth at which withdrawals were dialled, where the card does not say.
    pub withdrawals_of: Option<BoothId>,
    /// Where the receipt is written.
    pub receipt: PathBuf,
    /// How long it is waited without anything that goes on.
    pub patience: Duration,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// What is to be read.
    #[error(transparent)]
    Pulled(#[from] PulledError),
    /// The receipt would lie on the card.
    #[error("the receipt {} would lie in what is only read: name another place with --receipt", .0.display())]
    Inside(PathBuf),
    /// It cannot be written.
    #[error("the receipt {} cannot be written: {source}; name another place with --receipt. Nothing was sent", path.display())]
    NoReceipt {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It could be written at the beginning and not at the end.
    #[error("everything is done, but its receipt {} cannot be written: {source}. Run the same line again: what the hub has is confirmed at once", path.display())]
    ReceiptLost {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// Sends everything that is whole on what is named, until the hub has answered for all of it, nothing goes on any more, or `stop` ends it. `tell` hears
/// what is done, and how many bytes of how many.
///
/// # Errors
/// What keeps it from beginning. What fails afterwards stands in the receipt.
pub async fn drain(
    wanted: &Wanted,
    tell: &mut dyn FnMut(&'static str, u64, u64),
    stop: impl Future<Output = ()>,
) -> Result<DrainReceipt, DrainError> {
    if pulled::lies_in(&wanted.source, &wanted.receipt) {
        return Err(DrainError::Inside(wanted.receipt.clone()));
    }
    try_to_write(&wanted.receipt)?;
    let load = Load::of(&wanted.source, &mut |done, all| tell("reading", done, all))?;
    let topics = Topics::new(wanted.root.trim_matches('/'));
    let way = Way::new(load, topics, wanted);
    let receipt = way.go(wanted, tell, stop).await;
    keep(&wanted.receipt, &receipt.to_json()).map_err(|source| DrainError::ReceiptLost {
        path: wanted.receipt.clone(),
        source,
    })?;
    Ok(receipt)
}

/// Nothing is sent before it is known that its receipt can be written; one that is there is kept.
fn try_to_write(path: &Path) -> Result<(), DrainError> {
    let made = File::create_new(path).and_then(|_| std::fs::remove_file(path));
    made.map_err(|source| DrainError::NoReceipt {
        path: path.to_owned(),
        source,
    })
}

fn keep(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    publish(&RealDisk::new(), folder, &name, text)
}
