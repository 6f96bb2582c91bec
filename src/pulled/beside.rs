//! The messages of a booth that runs, copied beside it into a folder that `booth-hub import` takes.
//!
//! Owns: what counts for a message while the gateway goes on with its spool: one that leaves meanwhile, because the hub has confirmed it or its
//! citizen has deleted it, is no fault and is not copied; what is being said now is no message yet; one whose end the card has not taken yet is
//! waited for a moment, and then named as left. Never does: take the spool's lock, or change it.

use std::path::Path;
use std::time::Duration;

use booth_contract::{BoothId, ClipId};
use booth_spool::Spool;
use booth_spool::inspect::{self, Looked, SpoolFile};

use super::PulledError;
use super::export::{ExportError, Exported, Progress, Writing};
use super::found::{self, Opened, Place};

/// How often a file that is not whole is looked at once more, and the pause before each look: the gateway may be writing it, or moving it.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Whose spool it is, and what the booth itself knows of it.
#[derive(Clone)]
pub struct Own {
    /// The booth.
    pub booth: BoothId,
    /// Its spool, which knows what it owes.
    pub spool: Spool,
    /// What citizens have deleted and the card has not.
    pub deleted: Vec<ClipId>,
}

impl Own {
    fn owes(&self, file: &SpoolFile) -> bool {
        file.id.is_some_and(|id| self.spool.owes(id))
    }

    fn is_deleted(&self, file: &SpoolFile) -> bool {
        let mut deleted = self.deleted.iter();
        deleted.any(|clip_id| file.id.is_some_and(|id| id.to_string() == clip_id.as_str()))
    }
}

/// The spool of a booth that runs.
pub struct Running<'a> {
    opened: Opened,
    own: &'a Own,
}

impl<'a> Running<'a> {
    /// Lists what is on it now.
    ///
    /// # Errors
    /// See [`PulledError`].
    pub fn open(spool: &Path, own: &'a Own) -> Result<Self, PulledError> {
        found::open(spool).map(|opened| Self { opened, own })
    }

    /// Whether there is nothing to copy: a take that is armed or being said has a file, too.
    pub fn is_empty(&self) -> bool {
        let is_nothing = |place: &Place, file: &SpoolFile| {
            let looked = place.look(file, false);
            matches!(at_rest(place, file, looked, self.own), Looked::Nothing)
        };
        self.opened.places().iter().all(|place| {
            let contents = &place.contents;
            contents.withdrawals.is_empty()
                && contents.clips.iter().all(|file| is_nothing(place, file))
        })
    }

    /// Copies it into the folder `to`, which must be empty or new, as [`super::export`] does. Withdrawals are said to be of this booth.
    ///
    /// # Errors
    /// See [`ExportError`]; the folder has no receipt then.
    pub fn export(
        &self,
        to: &Path,
        oversee: &mut dyn FnMut(Progress) -> bool,
    ) -> Result<Exported, ExportError> {
        let mut writing = Writing::begin(to, &self.opened)?.of_a_running(self.own);
        writing.copy(&self.opened, oversee)?;
        writing.finish(&self.opened.named)
    }
}

/// What a file is when the gateway has done with it; [`Looked::Nothing`] for one that has left, and for what is being said.
pub(super) fn at_rest(place: &Place, file: &SpoolFile, mut looked: Looked, own: &Own) -> Looked {
    if own.is_deleted(file) {
        return Looked::Nothing;
    }
    for _ in 0..LOOKS {
        match looked {
            Looked::Whole(_) | Looked::Nothing | Looked::OtherVersion(_) => return looked,
            // It is being said: a card on which a power cut ended a take was tidied up when the gateway began, or owes that.
            Looked::Unfinished(_) if !own.owes(file) => return Looked::Nothing,
            Looked::Unfinished(_)
            | Looked::Damaged(..)
            | Looked::NoClip(_)
            | Looked::NotGiven(_) => {}
        }
        std::thread::park_timeout(PAUSE);
        match now(place, file) {
            Some(file) => looked = place.look(&file, true),
            None => return Looked::Nothing,
        }
    }
    looked
}

/// Whether a file is no longer on the card.
pub(super) fn has_left(place: &Place, file: &SpoolFile) -> bool {
    now(place, file).is_none()
}

/// Where a file lies now: a message that the hub refuses is moved. It stays where it was if the card does not say.
fn now(place: &Place, file: &SpoolFile) -> Option<SpoolFile> {
    let spool = file.path.parent().and_then(Path::parent);
    let Some(Ok(contents)) = spool.map(|spool| inspect::contents(&*place.source, spool)) else {
        return Some(file.clone());
    };
    let mut here = contents.clips.into_iter().chain(contents.withdrawals);
    here.find(|other| other.path == file.path || (file.id.is_some() && other.id == file.id))
}
