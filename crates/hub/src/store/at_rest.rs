//! Bodies that come open, from a booth that does not seal, are sealed before they are kept.
//!
//! Owns: how an open body becomes a sealed one: its Ogg pages, as they are, in frames. Never does: change a page, or keep an open body
//! beside the sealed one. A failure leaves the open body in staging, which the next start empties.
#![allow(clippy::disallowed_methods)] // the hub's own file work; the store's commit fsyncs it

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::record::AtRest;
use super::staging::Offer;
use super::{Store, StoreError};
use booth_contract::ogg_page;
use booth_contract::{BodyHash, BodyKind, BoothId, ClipId, ClipKind, FrameFacts};
use booth_sealing::body::MAX_FRAME;
use booth_sealing::{DataKey, KernelRandom, Recipients, Sealer};

/// Most bytes of pages in one frame.
const MOST_PAGES: usize = MAX_FRAME - FrameFacts::BYTES;
/// Bytes of a page before its segment table (RFC 3533 §6).
const BEFORE_SEGMENTS: usize = 27;

impl Store {
    /// Seals from now on whatever comes open, to these keys.
    pub fn sealing_to(mut self, keys: Option<Recipients>) -> Self {
        self.seals_to = keys;
        self
    }

    /// Where the sealed form of a staged body is made.
    pub(super) fn sealed_beside(&self, sender: &BoothId, clip_id: &ClipId) -> PathBuf {
        let mut name = self.staging.path(sender, clip_id).into_os_string();
        name.push(".sealed");
        PathBuf::from(name)
    }

    /// Seals a staged body that came open; answers the sealed file, which lies in staging too. `None` where nothing is to be sealed:
    /// the body is sealed already, this hub knows no key, or the body is no Ogg file and holds nothing that plays.
    pub(super) fn seal_staged(
        &self,
        sender: &BoothId,
        offer: &Offer,
    ) -> Result<Option<(PathBuf, AtRest)>, StoreError> {
        let manifest = &offer.manifest;
        let Some(keys) = &self.seals_to else {
            return Ok(None);
        };
        if manifest.body == Some(BodyKind::SealedOggOpus) {
            return Ok(None);
        }
        let open = self.staging.path(sender, &manifest.clip_id);
        let sealed = self.sealed_beside(sender, &manifest.clip_id);
        let samples = manifest.duration_ms.unwrap_or(0).saturating_mul(48);
        let clip = uuid::Uuid::try_parse(&manifest.clip_id).unwrap_or_default();
        let facts = FrameFacts {
            samples: u32::try_from(samples).unwrap_or(u32::MAX),
            ..FrameFacts::NONE
        };
        let sealing = match manifest.kind {
            ClipKind::Text => seal_text(&open, &sealed, clip, keys),
            _ => seal(&open, &sealed, clip, facts, keys),
        };
        match sealing {
            Ok(at_rest) => Ok(Some((sealed, at_rest))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                log::warn!(clip_id = manifest.clip_id.as_str();
                    "a body that came open is no Ogg file: it is kept as it came, and cannot be sealed");
                Ok(None)
            }
            Err(error) => Err(StoreError::file("sealing", &open, error)),
        }
    }
}

/// Writes the pages of `open` into `sealed`.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for what are no pages, and every error of the file system.
fn seal(
    open: &Path,
    sealed: &Path,
    clip: uuid::Uuid,
    facts: FrameFacts,
    keys: &Recipients,
) -> io::Result<AtRest> {
    let mut pages = BufReader::with_capacity(64 << 10, File::open(open)?);
    let mut out = Hashed {
        file: BufWriter::new(File::create(sealed)?),
        hasher: Sha256::new(),
        bytes: 0,
    };
    let key = DataKey::generate(&mut KernelRandom).map_err(io::Error::other)?;
    let (mut sealer, head) =
        Sealer::begin(clip, &key, keys, &mut KernelRandom).map_err(io::Error::other)?;
    out.write(&head)?;
    // Room for all of it at once: a buffer that grew would leave speech behind in memory.
    let mut frame = Zeroizing::new(Vec::with_capacity(MOST_PAGES));
    let mut page = Zeroizing::new(Vec::with_capacity(MOST_PAGES));
    let mut end = None;
    while read_page(&mut pages, &mut page)? {
        end = ogg_page::walk(&page, end);
        if end.is_none() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if frame.len() + page.len() > MOST_PAGES {
            out.write(&sealer.seal(FrameFacts::NONE, &frame))?;
            frame.clear();
        }
        frame.extend_from_slice(&page);
    }
    if end.is_none() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    out.write(&sealer.seal_last(facts, &frame))?;
    out.file.flush()?;
    Ok(AtRest {
        bytes: out.bytes,
        sha256: BodyHash::of_digest(&out.hasher.finalize()),
    })
}

/// Writes the text of `open` into `sealed`: one frame, which is the last.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for a text that is longer than a frame, and every error of the file system.
fn seal_text(
    open: &Path,
    sealed: &Path,
    clip: uuid::Uuid,
    keys: &Recipients,
) -> io::Result<AtRest> {
    let text = Zeroizing::new(std::fs::read(open)?);
    if text.len() > MOST_PAGES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut out = Hashed {
        file: BufWriter::new(File::create(sealed)?),
        hasher: Sha256::new(),
        bytes: 0,
    };
    let key = DataKey::generate(&mut KernelRandom).map_err(io::Error::other)?;
    let (sealer, head) =
        Sealer::begin(clip, &key, keys, &mut KernelRandom).map_err(io::Error::other)?;
    out.write(&head)?;
    out.write(&sealer.seal_last(FrameFacts::NONE, &text))?;
    out.file.flush()?;
    Ok(AtRest {
        bytes: out.bytes,
        sha256: BodyHash::of_digest(&out.hasher.finalize()),
    })
}

/// A file that is hashed as it is written.
struct Hashed {
    file: BufWriter<File>,
    hasher: Sha256,
    bytes: u64,
}

impl Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }
}

/// Reads the next page; answers `false` at the end.
fn read_page(from: &mut impl Read, page: &mut Vec<u8>) -> io::Result<bool> {
    page.clear();
    if from.take(BEFORE_SEGMENTS as u64).read_to_end(page)? == 0 {
        return Ok(false);
    }
    let is_page = page.len() == BEFORE_SEGMENTS && page.starts_with(b"OggS");
    let segments = match is_page {
        true => u64::from(page[BEFORE_SEGMENTS - 1]),
        false => return Err(io::ErrorKind::InvalidData.into()),
    };
    from.take(segments).read_to_end(page)?;
    let body: u64 = page[BEFORE_SEGMENTS..].iter().map(|n| u64::from(*n)).sum();
    from.take(body).read_to_end(page)?;
    match ogg_page::length(page) == Some(page.len()) {
        true => Ok(true),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}
