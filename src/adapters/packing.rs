//! How the pages of a take become the bytes of its clip: sealed to the city's keys, or, where its configuration says not to seal, as they are.
//!
//! Owns: the key of a take, which lives in this process's memory alone and is overwritten at the take's end. Never does: write, or
//! fall back from sealing to what is not sealed.

use booth_contract::{BodyKind, FrameFacts, ogg_page};
use booth_sealing::body::MAX_FRAME;
use booth_sealing::{DataKey, EnvelopeError, KernelRandom, SealTo, Sealer, wash_stack};
use uuid::Uuid;
use zeroize::Zeroize;

/// Why a take cannot be packed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PackingError {
    /// It must be sealed, and there is no key.
    #[error("the message cannot be sealed: no key of the city is known")]
    NoKey,
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
    /// Begins a take.
    ///
    /// # Errors
    /// There is no key, the clip's id is none, or the kernel gives no random bytes.
    pub(super) fn begin(clip_id: &str, seal_to: &SealTo) -> Result<Self, PackingError> {
        let recipients = match seal_to {
            SealTo::Nobody => return Err(PackingError::NoKey),
            SealTo::Open => return Ok(Self::Open),
            SealTo::Keys(recipients) => recipients,
        };
        let clip = Uuid::parse_str(clip_id)?;
        let mut random = KernelRandom;
        let key = DataKey::generate(&mut random).map_err(EnvelopeError::from)?;
        let (sealer, head) = Sealer::begin(clip, &key, recipients, &mut random)?;
        drop(key);
        wash_stack();
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
                body.extend(sealed.sealer.seal(facts, last));
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
                body.extend(sealed.sealer.seal_last(facts, last));
                overwritten(pages);
                wash_stack();
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
            body.extend(self.sealer.seal(FrameFacts::NONE, first));
            rest = later;
        }
        (body, rest)
    }
}

/// How many bytes of these pages are whole pages that fit into a frame; `None` if all do.
fn fitting(pages: &[u8]) -> Option<usize> {
    let most = MAX_FRAME - FrameFacts::BYTES;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use booth_sealing::{Ending, Identity, Recipients, open};

    const CLIP: &str = "1b4e28ba-2fa1-4d13-a3ae-6f1f2c1d9e01";
    const FACTS: FrameFacts = FrameFacts {
        samples: 24_000,
        mean_square: 0.25,
        peak: 9_000,
        speech: true,
    };

    fn city() -> (Identity, SealTo) {
        let city = Identity::generate(&mut KernelRandom).expect("a key");
        let keys = Recipients::new(vec![city.recipient()]).expect("one key");
        (city, SealTo::Keys(Arc::new(keys)))
    }

    /// A page with one packet of so many bytes.
    fn page(number: u32, length: usize) -> Vec<u8> {
        let mut page = b"OggS\0\0".to_vec();
        page.extend((u64::from(number) + 1).to_le_bytes());
        page.extend(7_u32.to_le_bytes());
        page.extend(number.to_le_bytes());
        page.extend([0; 4]);
        let table: Vec<u8> = (0..length / 255)
            .map(|_| 255)
            .chain([(length % 255) as u8])
            .collect();
        page.push(table.len() as u8);
        page.extend(&table);
        page.extend(vec![number as u8 + 1; length]);
        page
    }

    #[test]
    fn without_a_key_no_take_begins() {
        let refused = Packing::begin(CLIP, &SealTo::Nobody);
        assert!(matches!(refused, Err(PackingError::NoKey)));
        assert!(matches!(
            Packing::begin("clip", &city().1),
            Err(PackingError::Id(_))
        ));
    }

    #[test]
    fn a_booth_that_does_not_seal_writes_the_pages_as_they_are() {
        let mut packing = Packing::begin(CLIP, &SealTo::Open).expect("it begins");
        assert_eq!(packing.kind(), BodyKind::OggOpus);
        assert_eq!(packing.pack(FACTS, page(0, 100)), page(0, 100));
        assert_eq!(packing.pack_last(FACTS, page(1, 50)), page(1, 50));
    }

    #[test]
    fn what_gathered_is_sealed_whole_however_long_it_is_and_the_head_goes_with_the_first_frame() {
        let (city, seal_to) = city();
        for gathered in [1, 3, 40] {
            let mut packing = Packing::begin(CLIP, &seal_to).expect("it begins");
            assert_eq!(packing.kind(), BodyKind::SealedOggOpus);
            let pages: Vec<u8> = (0..gathered).flat_map(|n| page(n, 30_000)).collect();
            let first = packing.pack(FACTS, pages.clone());
            assert!(first.starts_with(b"BOOTHSC\x01"));
            let last = packing.pack_last(FACTS, page(gathered, 100));
            assert!(!last.starts_with(b"BOOTHSC"));
            let opened =
                open(&[first, last].concat(), std::slice::from_ref(&city)).expect("the city's");
            assert_eq!(opened.ending, Ending::Whole);
            assert_eq!(opened.samples(), 48_000);
            let said = [pages, page(gathered, 100)].concat();
            assert!(opened.ogg.starts_with(&said));
        }
    }
}
