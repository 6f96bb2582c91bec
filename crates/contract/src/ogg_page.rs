//! Whole Ogg pages (RFC 3533 §6): the position that a stream has reached, and the page that closes a stream that was cut off.
//!
//! The `ogg` crate can only write a stream from its beginning; recovery has to continue one.

/// The end-of-stream flag of a page.
const END_OF_STREAM: u8 = 4;
/// Granule position of a page on which no packet ends.
const NO_PACKET_ENDS: u64 = u64::MAX;
/// 20 ms of silence, mono: one CELT fullband frame (RFC 6716 §3.1), as encoders write digital silence.
const SILENT_PACKET: [u8; 3] = [0xF8, 0xFF, 0xFE];
/// Samples of that packet at 48 kHz.
const SILENT_SAMPLES: u64 = 960;

/// The position of a stream after its last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEnd {
    /// Serial number of the stream.
    pub serial: u32,
    /// Number of its last page.
    pub sequence: u32,
    /// Granule position: samples at 48 kHz up to here, pre-skip included (RFC 7845 §4).
    pub granule: u64,
    /// Samples before the first that is played, as the stream's first page says (RFC 7845 §5.1); 0 if that page has no Opus header.
    pub pre_skip: u16,
    /// Whether the last page ends the stream.
    pub has_ended: bool,
}

/// Reads `bytes`, which must be one or more whole pages; `before` is the stream's position before them. `None` if they are no such
/// pages. The pages' checksums are not verified: the record around the pages has a checksum of its own.
pub fn walk(bytes: &[u8], before: Option<StreamEnd>) -> Option<StreamEnd> {
    let mut end = before;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (page, later) = rest.split_at(length(rest)?);
        let granule = u64::from_le_bytes(page[6..14].try_into().ok()?);
        let kept = end.map_or(0, |end| end.granule);
        let pre_skip = match end {
            Some(end) => end.pre_skip,
            None => pre_skip(&page[27 + usize::from(page[26])..]),
        };
        end = Some(StreamEnd {
            serial: u32::from_le_bytes(page[14..18].try_into().ok()?),
            sequence: u32::from_le_bytes(page[18..22].try_into().ok()?),
            granule: if granule == NO_PACKET_ENDS {
                kept
            } else {
                granule
            },
            pre_skip,
            has_ended: page[5] & END_OF_STREAM != 0,
        });
        rest = later;
    }
    if bytes.is_empty() { None } else { end }
}

/// Bytes of the page that `bytes` begin with, header and body; `None` if they begin with no whole page.
pub fn length(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < 27 || bytes[..4] != *b"OggS" || bytes[4] != 0 {
        return None;
    }
    let segments = bytes.get(27..27 + usize::from(bytes[26]))?;
    let body: usize = segments.iter().map(|&bytes| usize::from(bytes)).sum();
    let length = 27 + segments.len() + body;
    (length <= bytes.len()).then_some(length)
}

/// The pre-skip of an identification header (RFC 7845 §5.1).
fn pre_skip(header: &[u8]) -> u16 {
    match (header.get(..8), header.get(10..12)) {
        (Some(b"OpusHead"), Some(&[low, high])) => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}

/// The page that ends a stream at `end` of which `samples` were spoken: as many packets of silence as the encoder's delay needs,
/// with the end-of-stream flag, trimmed so that exactly those samples are played (RFC 7845 §4.4). If the earlier pages play more
/// than that already, the silence is trimmed away, and nothing of those pages.
pub fn closing_page(end: StreamEnd, samples: u64) -> Vec<u8> {
    let packets = u64::from(end.pre_skip).div_ceil(SILENT_SAMPLES).max(1);
    let wanted = samples.saturating_add(u64::from(end.pre_skip));
    let missing = wanted.saturating_sub(end.granule);
    let granule = end.granule + missing.min(packets * SILENT_SAMPLES);
    let packets = packets as usize;
    let mut page = Vec::with_capacity(27 + packets * (1 + SILENT_PACKET.len()));
    page.extend_from_slice(b"OggS");
    page.push(0);
    page.push(END_OF_STREAM);
    page.extend_from_slice(&granule.to_le_bytes());
    page.extend_from_slice(&end.serial.to_le_bytes());
    page.extend_from_slice(&end.sequence.wrapping_add(1).to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    page.push(packets as u8);
    page.extend(std::iter::repeat_n(SILENT_PACKET.len() as u8, packets));
    page.extend(std::iter::repeat_n(SILENT_PACKET, packets).flatten());
    let sum = checksum(&page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// CRC-32 of a page: polynomial 0x04c11db7, not reflected, from 0, nothing added at the end (RFC 3533 §6).
pub fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum, &byte| {
        (0..8).fold(sum ^ (u32::from(byte) << 24), |sum: u32, _| {
            if sum & 0x8000_0000 == 0 {
                sum << 1
            } else {
                (sum << 1) ^ 0x04c1_1db7
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_page_is_one_that_an_ogg_reader_accepts() {
        let mut writer = ogg::PacketWriter::new(Vec::new());
        let end_page = ogg::PacketWriteEndInfo::EndPage;
        writer
            .write_packet(&b"first"[..], 9, end_page, 24_312)
            .unwrap();
        let mut stream = writer.into_inner();
        let before = walk(&stream, None).unwrap();
        assert_eq!(
            before,
            StreamEnd {
                serial: 9,
                sequence: 0,
                granule: 24_312,
                pre_skip: 0,
                has_ended: false
            }
        );
        let page = closing_page(before, 25_272);
        assert_eq!(
            walk(&page, Some(before)).unwrap(),
            StreamEnd {
                serial: 9,
                sequence: 1,
                granule: 25_272,
                pre_skip: 0,
                has_ended: true
            }
        );
        // The reader verifies the page's checksum.
        stream.extend_from_slice(&page);
        let mut reader = ogg::PacketReader::new(std::io::Cursor::new(stream));
        assert_eq!(reader.read_packet().unwrap().unwrap().data, b"first");
        let packet = reader.read_packet().unwrap().unwrap();
        assert_eq!(packet.data, SILENT_PACKET);
        assert!(packet.last_in_stream());
    }

    #[test]
    fn a_part_of_a_page_is_not_taken_for_pages() {
        let end = StreamEnd {
            serial: 1,
            sequence: 1,
            granule: 1,
            pre_skip: 312,
            has_ended: false,
        };
        let page = closing_page(end, 1);
        assert!(walk(&page, None).is_some());
        assert!(walk(&page[..page.len() - 1], None).is_none());
        assert!(walk(&[], None).is_none());
        assert!(walk(b"speech", None).is_none());
    }

    #[test]
    fn a_closed_stream_plays_the_samples_that_were_spoken_whatever_the_encoders_delay_is() {
        let at = |pre_skip: u16, granule: u64| StreamEnd {
            serial: 1,
            sequence: 7,
            granule,
            pre_skip,
            has_ended: false,
        };
        for (pre_skip, packets) in [
            (0, 1),
            (120, 1),
            (312, 1),
            (960, 1),
            (961, 2),
            (u16::MAX, 69),
        ] {
            // Only whole packets are encoded, and the samples of the encoder's delay are still missing.
            let page = closing_page(at(pre_skip, 24_000), 24_000);
            let end = walk(&page, Some(at(pre_skip, 24_000))).expect("a page");
            assert_eq!(end.granule - u64::from(pre_skip), 24_000, "{pre_skip}");
            assert_eq!(usize::from(page[26]), packets);
            assert_eq!(page.len(), 27 + packets * 4);
        }
        // Numbers that do not fit the pages: the position never goes backwards, and no silence is added.
        for samples in [0, 23_000, u64::MAX] {
            let page = closing_page(at(312, 24_000), samples);
            let end = walk(&page, None).expect("a page");
            assert!((24_000..=24_960).contains(&end.granule), "{samples}");
        }
    }

    #[test]
    fn the_delay_is_read_from_the_first_page_alone() {
        let head = |text: &[u8]| {
            let mut writer = ogg::PacketWriter::new(Vec::new());
            let packet = [text, &[1, 1], &312_u16.to_le_bytes(), &[0; 7]].concat();
            let end_page = ogg::PacketWriteEndInfo::EndPage;
            writer.write_packet(packet, 9, end_page, 0).unwrap();
            writer.into_inner()
        };
        let first = walk(&head(b"OpusHead"), None).expect("a page");
        assert_eq!(first.pre_skip, 312);
        let again = walk(
            &head(b"OpusHead"),
            Some(StreamEnd {
                pre_skip: 5,
                ..first
            }),
        );
        assert_eq!(again.expect("a page").pre_skip, 5);
        assert_eq!(walk(&head(b"vorbis.."), None).expect("a page").pre_skip, 0);
    }
}
