//! How the pages of a take become the bytes of its clip: sealed to the city's keys, or, where a booth is told not to seal, as they are.
//!
//! Owns: the key of a take, which lives in this process's memory alone and is overwritten at the take's end. Never does: write, or
//! fall back from sealing to what is not sealed.

use booth_contract::{BodyKind, ogg_page};
use booth_sealing::body::MAX_FRAME;
use booth_sealing::{DataKey, EnvelopeError, Facts, KernelRandom, Recipients, Sealer};
use booth_spool::FrameFacts;
use uuid::Uuid;
use zeroize::Zeroize;

/// Why a take cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackingError {
    /// Its id is no UUID, which a sealed clip needs.
    #[error("the clip's id is no UUID: {0}")]
    Id(#[from] uuid::Error),
    /// It cannot be sealed.
    #[error("the message cannot be sealed: {0}")]
    Seal(#[from] EnvelopeError),
}

/// The packing of one take.
pub(super) enum Packing {
    /// The body is the Ogg Opus file.
    Open,
    /// The body is a sealed clip (docs/sealed-clip.md).
    Sealed(Box<Sealed>),
}

pub(super) struct Sealed {
    sealer: Sealer,
    /// The body's head, until the first frame takes it along: no word is on the card without what opens it.
    head: Vec<u8>,
}

impl Packing {
    /// Begins a take; `seal_to` are the keys that it is sealed to.
    ///
    /// # Errors
    /// The clip's id is none, or the kernel gives no random bytes.
    pub(super) fn begin(clip_id: &str, seal_to: Option<&Recipients>) -> Result<Self, PackingError> {
        let Some(recipients) = seal_to else {
            return Ok(Self::Open);
        };
        let clip = Uuid::parse_str(clip_id)?;
        let mut random = KernelRandom;
        let key = DataKey::generate(&mut random).map_err(EnvelopeError::from)?;
        let (sealer, head) = Sealer::begin(clip, &key, recipients, &mut random)?;
        Ok(Self::Sealed(Box::new(Sealed { sealer, head })))
    }

    /// What a manifest calls this packing.
    pub(super) fn kind(&self) -> BodyKind {
        match self {
            Self::Open => BodyKind::OggOpus,
            Self::Sealed(_) => BodyKind::SealedOggOpus,
        }
    }

    /// The bytes of a frame. They are written as they are returned, also if a write is tried again.
    pub(super) fn pack(&mut self, facts: FrameFacts, pages: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Open => pages,
            Self::Sealed(sealed) => {
                let (mut body, last) = sealed.all_but_the_last(&pages);
                body.extend(sealed.sealer.seal(within(facts), last));
                overwritten(pages);
                body
            }
        }
    }

    /// The bytes of the last frame.
    pub(super) fn pack_last(self, facts: FrameFacts, pages: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Open => pages,
            Self::Sealed(mut sealed) => {
                let (mut body, last) = sealed.all_but_the_last(&pages);
                body.extend(sealed.sealer.seal_last(within(facts), last));
                overwritten(pages);
                body
            }
        }
    }
}

impl Sealed {
    /// The head, where it is still here, and frames of those pages that do not fit into one frame with the last ones. What gathered
    /// while the card was slow may be that long; its facts go with the last frame.
    fn all_but_the_last<'a>(&mut self, pages: &'a [u8]) -> (Vec<u8>, &'a [u8]) {
        let mut body = std::mem::take(&mut self.head);
        let mut rest = pages;
        while let Some(fitting) = fitting(rest) {
            let (first, later) = rest.split_at(fitting);
            body.extend(self.sealer.seal(Facts::default(), first));
            rest = later;
        }
        (body, rest)
    }
}

/// How many bytes of these pages are whole pages that fit into a frame; `None` if all do.
fn fitting(pages: &[u8]) -> Option<usize> {
    let most = MAX_FRAME - Facts::BYTES;
    if pages.len() <= most {
        return None;
    }
    let mut end = 0;
    loop {
        let page = ogg_page::length(&pages[end..])?;
        if end + page > most {
            // A page has at most 65,307 bytes (RFC 3533 §6), so at least one fits.
            return Some(end);
        }
        end += page;
    }
}

/// Overwrites what was said.
fn overwritten(mut pages: Vec<u8>) {
    pages.zeroize();
}

fn within(facts: FrameFacts) -> Facts {
    Facts {
        samples: facts.samples,
        mean_square: facts.mean_square,
        peak: facts.peak,
        has_speech: facts.speech,
    }
}
