//! The bytes of a clip file: preamble and records (docs/spool-format.md §1).
//!
//! Owns: framing, checksums, and where a torn tail begins. Never does: interpret a payload or touch a disk.

use std::ops::Range;

use uuid::Uuid;

/// First bytes of every clip file.
const MAGIC: [u8; 7] = *b"BOOTHCL";
/// Version of the format.
const VERSION: u8 = 1;
/// Bytes of the preamble.
pub(crate) const PREAMBLE_BYTES: usize = 24;
/// Bytes before a record's payload.
pub(crate) const HEAD_BYTES: usize = 16;
/// Most bytes whose checksums are computed in the search for records behind damage, besides those of the file itself: a file full
/// of bytes that look like heads must not delay the start. Speech contains such bytes once in some 100 GB.
const SEARCH_BYTES: usize = 64 << 20;
/// Longest payload.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Facts known when the take is armed.
    Header = 1,
    /// The time at which the first kept sample was captured.
    Start = 2,
    /// About half a second of the body.
    Frame = 3,
    /// The manifest.
    Closing = 4,
    /// The take was deleted on purpose.
    Discarded = 5,
    /// The manifest as it is offered, if the closing record was made before the clock was right.
    Offered = 6,
    /// No content: fills the rest of a page of the card.
    Padding = 7,
    /// Why the clip went to quarantine, or that it came out.
    Note = 8,
    /// The words have ended, and how; the take is still open.
    Held = 9,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [
            Kind::Header,
            Kind::Start,
            Kind::Frame,
            Kind::Closing,
            Kind::Discarded,
            Kind::Offered,
            Kind::Padding,
            Kind::Note,
            Kind::Held,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// The first bytes of the file of clip `id`.
pub(crate) fn preamble(id: Uuid) -> [u8; PREAMBLE_BYTES] {
    let mut bytes = [0; PREAMBLE_BYTES];
    bytes[..7].copy_from_slice(&MAGIC);
    bytes[7] = VERSION;
    bytes[8..].copy_from_slice(id.as_bytes());
    bytes
}

/// The version of the format in which this clip file is written; `None` if it is no clip file.
pub(crate) fn version_of(bytes: &[u8]) -> Option<u8> {
    bytes.strip_prefix(&MAGIC)?.first().copied()
}

/// Whether this program reads that version.
pub(crate) fn is_known(version: u8) -> bool {
    version == VERSION
}

/// The value with which every checksum in the file of clip `id` begins.
pub(crate) fn salt(id: Uuid) -> u32 {
    crc32c::crc32c(&preamble(id))
}

/// Adds a record whose payload is all `parts` one after another.
pub(crate) fn push(buffer: &mut Vec<u8>, salt: u32, kind: Kind, sequence: u32, parts: &[&[u8]]) {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    assert!(
        bytes <= MAX_PAYLOAD_BYTES,
        "a record's payload has {bytes} bytes; callers limit it"
    );
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
    head[4] = kind as u8;
    head[8..12].copy_from_slice(&sequence.to_le_bytes());
    let sum = parts
        .iter()
        .fold(crc32c::crc32c_append(salt, &head[..12]), |sum, part| {
            crc32c::crc32c_append(sum, part)
        });
    head[12..].copy_from_slice(&sum.to_le_bytes());
    buffer.extend_from_slice(&head);
    for part in parts {
        buffer.extend_from_slice(part);
    }
}

/// A record's head, taken apart but not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// Its kind; `None` for one that this program does not know.
    pub kind: Option<Kind>,
    /// Its place among the records.
    pub sequence: u32,
    sum: u32,
    summed: [u8; 12],
}

impl Head {
    /// `None` if these bytes cannot be a head.
    pub(crate) fn parse(bytes: &[u8; HEAD_BYTES]) -> Option<Head> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let payload_bytes = word(0) as usize;
        if payload_bytes > MAX_PAYLOAD_BYTES || bytes[4] == 0 || bytes[5..8] != [0, 0, 0] {
            return None;
        }
        let mut summed = [0; 12];
        summed.copy_from_slice(&bytes[..12]);
        Some(Head {
            payload_bytes,
            kind: Kind::of(bytes[4]),
            sequence: word(8),
            sum: word(12),
            summed,
        })
    }

    /// Whether the checksum confirms that `payload` is the one that was written.
    pub(crate) fn fits(&self, salt: u32, payload: &[u8]) -> bool {
        let sum = crc32c::crc32c_append(salt, &self.summed);
        payload.len() == self.payload_bytes && crc32c::crc32c_append(sum, payload) == self.sum
    }
}

/// A valid record in a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its kind; `None` for one that this program does not know.
    pub kind: Option<Kind>,
    /// Its place among the records.
    pub sequence: u32,
    /// Where its head begins.
    pub at: usize,
    /// Where its payload lies.
    pub payload: Range<usize>,
}

/// The record whose head begins at `at`, if it is whole and its checksum is right.
fn record_at(bytes: &[u8], salt: u32, at: usize) -> Option<Record> {
    let head = Head::parse(bytes.get(at..at + HEAD_BYTES)?.try_into().ok()?)?;
    let payload = at + HEAD_BYTES..at + HEAD_BYTES + head.payload_bytes;
    head.fits(salt, bytes.get(payload.clone())?)
        .then_some(Record {
            kind: head.kind,
            sequence: head.sequence,
            at,
            payload,
        })
}

/// The records of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The valid records from the beginning on.
    pub records: Vec<Record>,
    /// Offset of the first byte that belongs to none of them.
    pub valid_to: usize,
    /// Valid records behind the damage, if there is any.
    pub stranded: Vec<Record>,
    /// Whether the search behind the damage was given up, so that there may be more records.
    pub is_cut_short: bool,
}

/// Finds the records of a file. `None` if it does not begin with the preamble of clip `id`.
pub(crate) fn scan(bytes: &[u8], id: Uuid) -> Option<Scan> {
    if bytes.get(..PREAMBLE_BYTES)? != preamble(id) {
        return None;
    }
    let salt = salt(id);
    let mut records = Vec::new();
    let mut valid_to = PREAMBLE_BYTES;
    while let Some(record) = record_at(bytes, salt, valid_to)
        && record.sequence as usize == records.len()
    {
        valid_to = record.payload.end;
        records.push(record);
    }
    let (stranded, is_cut_short) = stranded(bytes, salt, valid_to, records.len());
    Some(Scan {
        records,
        valid_to,
        stranded,
        is_cut_short,
    })
}

/// Whether there may be a valid record of clip `id` in a file that does not begin as it should.
pub(crate) fn has_any_record(bytes: &[u8], id: Uuid) -> bool {
    let (found, is_cut_short) = stranded(bytes, salt(id), 0, 0);
    is_cut_short || !found.is_empty()
}

/// Valid records from `from` on, wherever they begin, and whether the search was given up.
fn stranded(bytes: &[u8], salt: u32, from: usize, sequence: usize) -> (Vec<Record>, bool) {
    // The sequence numbers are bounded, because a file has no more records than heads fit into it.
    let sequences = sequence..=bytes.len() / HEAD_BYTES;
    let mut left = SEARCH_BYTES + bytes.len();
    let mut found: Vec<Record> = Vec::new();
    let mut at = from;
    while let Some(head) = bytes.get(at..at + HEAD_BYTES) {
        let head = head.try_into().ok().and_then(Head::parse);
        let Some(head) = head.filter(|head| sequences.contains(&(head.sequence as usize))) else {
            at += 1;
            continue;
        };
        match left.checked_sub(head.payload_bytes) {
            Some(rest) => left = rest,
            None => return (found, true),
        }
        match record_at(bytes, salt, at) {
            Some(record) => {
                at = record.payload.end;
                found.push(record);
            }
            None => at += 1,
        }
    }
    (found, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: Uuid) -> Vec<u8> {
        let mut bytes = preamble(id).to_vec();
        push(&mut bytes, salt(id), Kind::Header, 0, &[b"{}"]);
        push(&mut bytes, salt(id), Kind::Frame, 1, &[b"facts", b"audio"]);
        push(&mut bytes, salt(id), Kind::Frame, 2, &[b"facts", b"more"]);
        bytes
    }

    #[test]
    fn records_come_back_as_they_were_written() {
        let id = Uuid::from_u128(7);
        let bytes = file(id);
        let scan = scan(&bytes, id).unwrap();
        assert_eq!(scan.valid_to, bytes.len());
        assert_eq!(scan.records.len(), 3);
        assert_eq!(&bytes[scan.records[1].payload.clone()], b"factsaudio");
        assert!(scan.stranded.is_empty());
    }

    #[test]
    fn a_record_of_another_clip_is_not_taken_for_one_of_this_file() {
        let id = Uuid::from_u128(7);
        let mut bytes = file(id);
        let whole = bytes.len();
        push(
            &mut bytes,
            salt(Uuid::from_u128(8)),
            Kind::Frame,
            3,
            &[b"old block"],
        );
        assert_eq!(scan(&bytes, id).unwrap().valid_to, whole);
    }

    #[test]
    fn the_first_damaged_record_ends_the_file_and_later_ones_are_seen() {
        let id = Uuid::from_u128(7);
        let mut bytes = file(id);
        let second = scan(&bytes, id).unwrap().records[1].clone();
        bytes[second.payload.start] ^= 1;
        let scan = scan(&bytes, id).unwrap();
        assert_eq!(scan.valid_to, second.at);
        assert_eq!(scan.stranded.len(), 1);
        assert_eq!(scan.stranded[0].sequence, 2);
    }

    #[test]
    fn a_file_that_looks_like_heads_everywhere_is_searched_for_a_bounded_time() {
        let id = Uuid::from_u128(7);
        let mut bytes = file(id);
        let whole = bytes.len();
        // Bytes that look like a head at every 8th byte: 256 KiB of payload, a valid kind, and a possible sequence number.
        for _ in 0..(8 << 20) / 8 {
            bytes.extend_from_slice(&[0, 0, 4, 0, 1, 0, 0, 0]);
        }
        let scan = scan(&bytes, id).unwrap();
        assert_eq!((scan.valid_to, scan.records.len()), (whole, 3));
        assert!(scan.is_cut_short && scan.stranded.is_empty());
    }

    #[test]
    fn zeros_are_no_record() {
        let id = Uuid::from_u128(0);
        let mut bytes = file(id);
        let whole = bytes.len();
        bytes.extend_from_slice(&[0; 4096]);
        assert_eq!(scan(&bytes, id).unwrap().valid_to, whole);
    }
}
