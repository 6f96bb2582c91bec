//! The messages of a pulled card for whoever sends them: which there are, and their bytes piece by piece.
//!
//! Owns: that a message is sent as it lies on the card, byte for byte, and that few of them are in memory. Never does: send, or change the card. A file
//! that the card gives no more, or gives otherwise than before, is told as that.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

use booth_contract::export::LeftFile;
use booth_contract::{BodyHash, ClipId, Withdrawal, reading};
use booth_spool::KeptClip;
use booth_spool::inspect::{self, Looked, SpoolFile, WholeClip};
use sha2::{Digest, Sha256};

use super::found::{self, OF_ASIDE, Opened, Place};
use super::{PulledError, counted};

/// Messages in memory at a time: as many as delivery has on the way, and some that leave meanwhile.
const MOST_HELD: usize = 16;

/// A whole message on the card.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// What is known of it.
    pub clip: KeptClip,
    /// Why it is in quarantine, if it is.
    pub quarantine: Option<String>,
    place: usize,
    file: SpoolFile,
}

/// A withdrawal on the card.
#[derive(Debug, Clone)]
pub struct Slip {
    /// Its payload, as it is sent.
    pub payload: Vec<u8>,
    /// Hash of what is sealed in it, which the hub's answer names.
    pub sha256: BodyHash,
}

/// Why a piece of a message is not there.
#[derive(Debug, PartialEq, Eq)]
pub enum NotRead {
    /// The card does not give the file now; it may later.
    Now(String),
    /// It is not what it was when the card was looked at.
    Changed(String),
}

/// What a card has for the hub.
pub struct Load {
    opened: Opened,
    /// The whole messages.
    pub parcels: HashMap<ClipId, Parcel>,
    /// The withdrawals.
    pub slips: HashMap<ClipId, Slip>,
    /// What cannot be sent, each with the reason.
    pub left: Vec<LeftFile>,
    /// What else is to be known, in sentences.
    pub notes: Vec<String>,
    held: HashMap<ClipId, WholeClip>,
}

impl Load {
    /// Looks at every message of what is named and proves it. `tell` hears how many bytes of how many were looked at.
    ///
    /// # Errors
    /// See [`PulledError`].
    pub fn of(named: &Path, tell: &mut dyn FnMut(u64, u64)) -> Result<Self, PulledError> {
        let opened = found::open(named)?;
        let (mut parcels, mut slips, mut left) = (HashMap::new(), HashMap::new(), Vec::new());
        let Ok(()) = opened.walk(true, tell, &mut |_, place, file, looked| {
            match looked {
                Looked::Whole(whole) => {
                    let parcel = Parcel {
                        clip: whole.clip,
                        quarantine: whole.quarantine,
                        place,
                        file: file.clone(),
                    };
                    parcels.insert(parcel.clip.clip_id.clone(), parcel);
                }
                Looked::Nothing => {}
                looked => left.push(left_file(file, found::left(&looked))),
            }
            Ok::<(), Infallible>(())
        });
        for place in opened.places() {
            for file in &place.contents.withdrawals {
                match inspect::withdrawal(&*place.source, file) {
                    Ok((id, payload)) => {
                        slips.insert(id, Slip::new(payload));
                    }
                    Err(why) => left.push(left_file(file, why)),
                }
            }
            left.extend(left_aside(place));
        }
        let notes = opened.notes().to_vec();
        Ok(Self {
            opened,
            parcels,
            slips,
            left,
            notes,
            held: HashMap::new(),
        })
    }

    /// The manifest of a message, as it is sent.
    ///
    /// # Errors
    /// See [`NotRead`].
    pub fn manifest(&mut self, clip_id: &ClipId) -> Result<Vec<u8>, NotRead> {
        Ok(self.whole(clip_id)?.manifest().to_vec())
    }

    /// The bytes `[from, to)` of its body.
    ///
    /// # Errors
    /// See [`NotRead`].
    pub fn part(&mut self, clip_id: &ClipId, from: u64, to: u64) -> Result<Vec<u8>, NotRead> {
        let (mut at, mut part) = (0, Vec::new());
        for piece in self.whole(clip_id)?.body() {
            let end = at + piece.len() as u64;
            let (first, last) = (from.max(at), to.min(end));
            if first < last {
                let within = (first - at) as usize..(last - at) as usize;
                part.extend_from_slice(&piece[within]);
            }
            at = end;
        }
        Ok(part)
    }

    /// The message is sent no more.
    pub fn let_go(&mut self, clip_id: &ClipId) {
        self.held.remove(clip_id);
    }

    fn whole(&mut self, clip_id: &ClipId) -> Result<&WholeClip, NotRead> {
        if !self.held.contains_key(clip_id) {
            let whole = self.read(clip_id)?;
            if self.held.len() >= MOST_HELD {
                self.held.clear();
            }
            self.held.insert(clip_id.clone(), whole);
        }
        Ok(&self.held[clip_id])
    }

    fn read(&self, clip_id: &ClipId) -> Result<WholeClip, NotRead> {
        let changed = || NotRead::Changed("it is not what it was a moment ago".into());
        let parcel = self.parcels.get(clip_id).ok_or_else(changed)?;
        let place = self.opened.places().get(parcel.place).ok_or_else(changed)?;
        match place.look(&parcel.file, false) {
            Looked::Whole(whole) if whole.clip == parcel.clip => Ok(*whole),
            Looked::NotGiven(error) => Err(NotRead::Now(error.to_string())),
            Looked::Whole(_) | Looked::Nothing => Err(changed()),
            looked => Err(NotRead::Changed(found::left(&looked))),
        }
    }

    /// Where a message lies on the card.
    pub fn path(&self, clip_id: &ClipId) -> String {
        let parcel = self.parcels.get(clip_id);
        parcel.map_or_else(String::new, |parcel| parcel.file.path.display().to_string())
    }
}

impl Slip {
    fn new(payload: Vec<u8>) -> Self {
        let sealed = reading::object::<Withdrawal>(&payload).map(|withdrawal| withdrawal.sealed);
        let digest = Sha256::digest(sealed.unwrap_or_default().as_bytes());
        Self {
            payload,
            sha256: BodyHash::of_digest(&digest),
        }
    }
}

/// What the booth has set aside is not sent.
pub(super) fn left_aside(place: &Place) -> Option<LeftFile> {
    let files = place.contents.aside;
    (files > 0).then(|| LeftFile {
        file: None,
        path: format!("{}/aside", place.shown),
        why: format!("{}, {OF_ASIDE}", counted(files, "file")),
    })
}

pub(super) fn left_file(file: &SpoolFile, why: String) -> LeftFile {
    LeftFile {
        file: None,
        path: file.path.display().to_string(),
        why,
    }
}
