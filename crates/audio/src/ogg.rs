//! Ogg Opus files, taken apart into packets (RFC 3533, RFC 7845).
//!
//! Owns: every valid shape of such a file: with or without its end flag, beginning late in its stream, several streams one
//! after the other or side by side, header gain, more than two channels. Never does: decode.
//!
//! The pages are read here and not by the `ogg` crate, whose reader refuses a second stream with the first one's serial
//! number, and a stream whose first pages were left out.

use crate::mono::{self, Place};
use crate::samples::{RATE, Samples};
use crate::sound::{Coded, MAX_SECONDS, Remedy, Unplayable, too_long};
use booth_contract::ogg_page::checksum;

/// Flags of a page (RFC 3533 §6).
const CONTINUED: u8 = 1;
const BEGINS: u8 = 2;
/// Granule position of a page on which no packet ends.
const NO_PACKET_ENDS: i64 = -1;
/// Most packets of a second: the shortest have 2.5 ms (RFC 6716 §2.1.4).
const MOST_PACKETS: usize = 400;
/// Most streams, one after the other or side by side.
const MOST_LINKS: usize = 100;

/// One stream of a sound.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub packets: Vec<Box<[u8]>>,
    /// Samples to skip at the start.
    pub skip: Samples,
    /// Samples to play.
    pub samples: Samples,
    /// Output gain, 1/256 dB (RFC 7845 §5.1).
    pub gain: i16,
    pub layout: Layout,
}

/// How the packets are decoded.
#[derive(Debug, Clone)]
pub(crate) enum Layout {
    /// One or two channels; the decoder mixes them itself.
    Plain,
    /// Several Opus streams in each packet (RFC 7845 §5.1.1).
    Many {
        streams: u8,
        coupled: u8,
        mapping: Vec<u8>,
        /// The share of each channel in what is played.
        shares: Vec<f32>,
    },
}

impl Link {
    /// One channel at its own level.
    pub(crate) fn plain(packets: Vec<Box<[u8]>>, skip: Samples, samples: Samples) -> Self {
        Self {
            packets,
            skip,
            samples,
            gain: 0,
            layout: Layout::Plain,
        }
    }
}

/// What is in an Ogg file, by the first packet of its first stream with sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inside {
    Opus,
    Vorbis,
    Flac,
    Speex,
    Other,
}

/// Looks at the first packets of the streams with which a file begins.
pub(crate) fn inside(bytes: &[u8]) -> Inside {
    let mut pages = Pages { bytes, at: 0 };
    let firsts = std::iter::from_fn(|| pages.next().and_then(Result::ok));
    let mut kinds = firsts
        .take_while(|page| page.flags & BEGINS != 0)
        .map(|page| match page.body {
            [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', ..] => Inside::Opus,
            [1, b'v', b'o', b'r', b'b', b'i', b's', ..] => Inside::Vorbis,
            [0x7f, b'F', b'L', b'A', b'C', ..] => Inside::Flac,
            [b'S', b'p', b'e', b'e', b'x', b' ', ..] => Inside::Speex,
            _ => Inside::Other,
        });
    let sound = kinds.find(|kind| *kind != Inside::Other);
    sound.unwrap_or(Inside::Other)
}

/// Refuses a file in which more than [`MOST_LINKS`] streams begin: each costs its reader memory or time, and few bytes. Every place is
/// counted that any reader may take for a beginning.
pub(crate) fn few_streams(bytes: &[u8]) -> Result<(), Unplayable> {
    let begins = |head: &&[u8]| head.starts_with(b"OggS\0") && head[5] & BEGINS != 0;
    match bytes.windows(6).filter(begins).nth(MOST_LINKS) {
        None => Ok(()),
        Some(_) => {
            let what = format!("holds more than {MOST_LINKS} streams");
            Err(Unplayable::new(what, Remedy::Convert))
        }
    }
}

/// Longest comment header that is read, bytes; pictures are longer, and their text is none.
const LONGEST_COMMENTS: usize = 64 * 1024;

/// The comment header of the first Opus stream (RFC 7845 §5.2): its second packet, as far as it is there.
pub(crate) fn comment_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut serial = None;
    let mut header = Vec::new();
    for page in (Pages { bytes, at: 0 }) {
        let page = page.ok()?;
        if page.flags & BEGINS != 0 {
            let is_opus = page.body.starts_with(b"OpusHead");
            serial = serial.or(is_opus.then_some(page.serial));
            continue;
        }
        if serial != Some(page.serial) {
            continue;
        }
        let (piece, ends) = page.pieces().next()?;
        header.extend_from_slice(piece);
        if ends || header.len() > LONGEST_COMMENTS {
            return Some(header);
        }
    }
    None
}

/// Takes an Ogg Opus file apart. A file that ends in the middle of a page was cut short in copying and is refused.
pub(crate) fn from_ogg(bytes: &[u8]) -> Result<Coded, Unplayable> {
    from_ogg_within(bytes, MAX_SECONDS)
}

/// The same of a file that may play for so many seconds.
pub(crate) fn from_ogg_within(bytes: &[u8], seconds: u64) -> Result<Coded, Unplayable> {
    few_streams(bytes)?;
    let most_packets = seconds as usize * MOST_PACKETS;
    let mut links: Vec<Link> = Vec::new();
    let mut open: Option<Stream> = None;
    let (mut packets, mut samples) = (0, Samples::ZERO);
    for page in (Pages { bytes, at: 0 }) {
        let page = page?;
        if page.flags & BEGINS != 0 {
            let is_opus = page.body.starts_with(b"OpusHead");
            // Streams side by side all begin before the first goes on (RFC 3533 §4): the first one with Opus is played.
            let is_beside = open.as_ref().is_some_and(|stream| !stream.has_begun);
            if !is_opus || is_beside {
                continue;
            }
            links.extend(open.take().and_then(Stream::into_link));
            open = Some(Stream::new(&page)?);
            continue;
        }
        let Some(stream) = open.as_mut().filter(|stream| stream.serial == page.serial) else {
            continue;
        };
        let before = (stream.packets.len(), stream.total);
        stream.take(&page);
        packets += stream.packets.len() - before.0;
        samples += stream.total - before.1;
        let too_many = packets > most_packets;
        // Samples that a stream holds before its beginning and after its end are a second at most.
        if too_many || samples > Samples::in_s(seconds + links.len() as u64 + 2) {
            return Err(too_long(seconds));
        }
    }
    links.extend(open.take().and_then(Stream::into_link));
    match links.iter().map(|link| link.samples).sum() {
        Samples::ZERO => Err(Unplayable::new("has no sound in it", Remedy::Again)),
        samples if samples > Samples::in_s(seconds) => Err(too_long(seconds)),
        _ => Ok(Coded { links, kept: None }),
    }
}

/// One page.
struct Page<'a> {
    flags: u8,
    granule: i64,
    serial: u32,
    segments: &'a [u8],
    body: &'a [u8],
}

impl<'a> Page<'a> {
    /// Its pieces of packets, and whether each ends here.
    fn pieces(&self) -> impl Iterator<Item = (&'a [u8], bool)> + use<'a> {
        let (mut segments, mut body) = (self.segments, self.body);
        std::iter::from_fn(move || {
            let last = segments.iter().position(|length| *length < 255);
            let count = last.map_or(segments.len(), |last| last + 1);
            let (own, rest) = segments.split_at(count);
            let length: usize = own.iter().map(|length| usize::from(*length)).sum();
            let (piece, after) = body.split_at_checked(length)?;
            (segments, body) = (rest, after);
            (count > 0).then_some((piece, last.is_some()))
        })
    }
}

/// Iterates over the pages of a file, and skips bytes that are no page.
struct Pages<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Pages<'a> {
    type Item = Result<Page<'a>, Unplayable>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..)?;
        let begins = rest.windows(4).position(|word| word == b"OggS")?;
        let start = self.at + begins;
        let page = page_at(&rest[begins..]);
        self.at = match &page {
            Some(Ok((_, length))) => start + length,
            _ => self.bytes.len(),
        };
        let Some(page) = page else {
            let what = format!("is cut short in the middle of a page, at byte {start}");
            return Some(Err(Unplayable::new(what, Remedy::Again)));
        };
        Some(page.map(|(page, _)| page).map_err(|what| {
            Unplayable::new(
                format!("is damaged: the page at byte {start} {what}"),
                Remedy::Again,
            )
        }))
    }
}

/// The page at the beginning of these bytes, and its length; `None` if the bytes end before the page does.
fn page_at(bytes: &[u8]) -> Option<Result<(Page<'_>, usize), &'static str>> {
    let head = bytes.get(..27)?;
    if head[4] != 0 {
        return Some(Err("is of an unknown version"));
    }
    let segments = bytes.get(27..27 + usize::from(head[26]))?;
    let length: usize = segments.iter().map(|length| usize::from(*length)).sum();
    let whole = 27 + segments.len() + length;
    let body = bytes.get(27 + segments.len()..whole)?;
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let mut unsummed = bytes[..whole].to_vec();
    unsummed[22..26].fill(0);
    if checksum(&unsummed) != number(22) {
        return Some(Err("has a wrong checksum"));
    }
    let granule = u64::from(number(6)) | u64::from(number(10)) << 32;
    let page = Page {
        flags: head[5],
        granule: granule.cast_signed(),
        serial: number(14),
        segments,
        body,
    };
    Some(Ok((page, whole)))
}

/// A stream while its pages are read.
struct Stream {
    serial: u32,
    head: Link,
    /// A page after its first has come.
    has_begun: bool,
    /// The comment header has come (RFC 7845 §5.2).
    has_comments: bool,
    /// The beginning of a packet that continues on the next page.
    pending: Option<Vec<u8>>,
    packets: Vec<Box<[u8]>>,
    /// Samples of all packets.
    total: Samples,
    /// Position of the first sample: not 0 in a stream whose recording began late (RFC 7845 §4.5).
    start: Option<i64>,
    /// Position of the stream after its latest page.
    end: i64,
}

impl Stream {
    fn new(page: &Page<'_>) -> Result<Self, Unplayable> {
        Ok(Self {
            serial: page.serial,
            head: head(page.body)?,
            has_begun: false,
            has_comments: false,
            pending: None,
            packets: Vec::new(),
            total: Samples::ZERO,
            start: None,
            end: 0,
        })
    }

    fn take(&mut self, page: &Page<'_>) {
        self.has_begun = true;
        let mut pending = self.pending.take();
        let mut is_first = true;
        for (piece, ends) in page.pieces() {
            let goes_on = std::mem::take(&mut is_first) && page.flags & CONTINUED != 0;
            let begun = match (goes_on, pending.take()) {
                (true, Some(begun)) => Some(begun),
                // The beginning of this packet was left out.
                (true, None) => None,
                (false, _) => Some(Vec::new()),
            };
            let whole = begun.map(|mut begun| {
                begun.extend_from_slice(piece);
                begun
            });
            match ends {
                true => whole.into_iter().for_each(|packet| self.packet(packet)),
                false => pending = whole,
            }
        }
        self.pending = pending;
        if page.granule != NO_PACKET_ENDS && self.total > Samples::ZERO {
            let total = i64::try_from(self.total.count()).unwrap_or(i64::MAX);
            self.start
                .get_or_insert(page.granule.saturating_sub(total).max(0));
            self.end = page.granule;
        }
    }

    fn packet(&mut self, packet: Vec<u8>) {
        if !std::mem::replace(&mut self.has_comments, true) && packet.starts_with(b"OpusTags") {
            return;
        }
        // A packet that no decoder takes has no length; a packet that is left out is a gap, not an end.
        let samples = opus::packet::get_nb_samples(&packet, RATE).unwrap_or(0);
        if samples > 0 {
            self.total += Samples::new(samples as u64);
            self.packets.push(packet.into_boxed_slice());
        }
    }

    /// `None` if nothing of the stream is played.
    fn into_link(self) -> Option<Link> {
        let said = self.end.saturating_sub(self.start.unwrap_or(0));
        // The last page names a smaller end where the last packet is not played whole (RFC 7845 §4.4).
        let said = Samples::new(u64::try_from(said).unwrap_or(0));
        let samples = said.min(self.total).saturating_sub(self.head.skip);
        (samples > Samples::ZERO).then_some(Link {
            packets: self.packets,
            samples,
            ..self.head
        })
    }
}

/// The identification header (RFC 7845 §5.1).
fn head(packet: &[u8]) -> Result<Link, Unplayable> {
    let damaged = || Unplayable::new("has a damaged Opus header", Remedy::Again);
    let fixed: &[u8; 19] = packet.first_chunk().ok_or_else(damaged)?;
    let (version, channels, family) = (fixed[8], usize::from(fixed[9]), fixed[18]);
    if version & 0xf0 != 0 {
        let what = format!("is Opus of version {version}, which nobody knows yet");
        return Err(Unplayable::new(what, Remedy::Convert));
    }
    let layout = match (family, channels) {
        (0, 1 | 2) => Layout::Plain,
        (1, 1..=8) | (2 | 255, 1..) => {
            let mapping = packet.get(21..21 + channels).ok_or_else(damaged)?.to_vec();
            let (streams, coupled) = (packet[19], packet[20]);
            let decoders = opus::MSDecoder::new(RATE, streams, coupled, &mapping);
            decoders.map_err(|_| damaged())?;
            Layout::Many {
                streams,
                coupled,
                mapping,
                shares: shares(family, channels),
            }
        }
        _ => {
            let what = format!("is Opus of {channels} channels in family {family}");
            return Err(Unplayable::new(what, Remedy::Convert));
        }
    };
    Ok(Link {
        packets: Vec::new(),
        skip: Samples::new(u64::from(u16::from_le_bytes([fixed[10], fixed[11]]))),
        samples: Samples::ZERO,
        gain: i16::from_le_bytes([fixed[16], fixed[17]]),
        layout,
    })
}

/// The share of each channel in what is played.
fn shares(family: u8, channels: usize) -> Vec<f32> {
    use Place::{Behind, Centre, Deep, Front};
    match (family, channels) {
        // The orders of RFC 7845 §5.1.1.2.
        (1, 3) => mono::shares(&[Front, Centre, Front]),
        (1, 5) => mono::shares(&[Front, Centre, Front, Behind, Behind]),
        (1, 6) => mono::shares(&[Front, Centre, Front, Behind, Behind, Deep]),
        (1, 7) => mono::shares(&[Front, Centre, Front, Behind, Behind, Behind, Deep]),
        (1, 8) => mono::shares(&[Front, Centre, Front, Behind, Behind, Behind, Behind, Deep]),
        // The first channel of a sphere (RFC 8486) is the sound at its centre.
        (2, _) => {
            let mut shares = vec![0.0; channels];
            shares[0] = 1.0;
            shares
        }
        _ => mono::usual_shares(channels),
    }
}
