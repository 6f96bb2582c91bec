//! Whole Ogg pages (RFC 3533 §6): where a stream stands, and the page that closes one that was cut off.
//!
//! The `ogg` crate can only write a stream from its beginning; recovery has to continue one.

/// The end-of-stream flag of a page.
const END_OF_STREAM: u8 = 4;
/// Granule position of a page on which no packet ends.
const NO_PACKET_ENDS: u64 = u64::MAX;
/// 20 ms of silence, mono: one CELT fullband frame (RFC 6716 §3.1), as encoders make it of digital silence.
const SILENT_PACKET: [u8; 3] = [0xF8, 0xFF, 0xFE];
/// Samples in it at 48 kHz.
const SILENT_SAMPLES: u64 = 960;

/// Where a stream stands after its last page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamEnd {
    /// Serial number of the stream.
    pub serial: u32,
    /// Number of its last page.
    pub sequence: u32,
    /// Granule position: samples at 48 kHz up to here, pre-skip included (RFC 7845 §4).
    pub granule: u64,
    /// Whether the last page ends the stream.
    pub has_ended: bool,
}

/// Walks over `bytes`, which must be whole pages and at least one; `before` is where the stream stood.
/// `None` if they are not. Checksums of pages are not looked at: the record around them has one.
pub(crate) fn walk(bytes: &[u8], before: Option<StreamEnd>) -> Option<StreamEnd> {
    let mut end = before;
    let mut rest = bytes;
    while !rest.is_empty() {
        if rest.len() < 27 || rest[..4] != *b"OggS" || rest[4] != 0 {
            return None;
        }
        let segments = usize::from(rest[26]);
        let body: usize = rest
            .get(27..27 + segments)?
            .iter()
            .map(|&bytes| usize::from(bytes))
            .sum();
        let granule = u64::from_le_bytes(rest[6..14].try_into().ok()?);
        let kept = end.map_or(0, |end| end.granule);
        end = Some(StreamEnd {
            serial: u32::from_le_bytes(rest[14..18].try_into().ok()?),
            sequence: u32::from_le_bytes(rest[18..22].try_into().ok()?),
            granule: if granule == NO_PACKET_ENDS {
                kept
            } else {
                granule
            },
            has_ended: rest[5] & END_OF_STREAM != 0,
        });
        rest = rest.get(27 + segments + body..)?;
    }
    if bytes.is_empty() { None } else { end }
}

/// The page that ends a stream which stands at `end`: 20 ms of silence with the end-of-stream flag.
pub(crate) fn closing_page(end: StreamEnd) -> Vec<u8> {
    let mut page = Vec::with_capacity(27 + 1 + SILENT_PACKET.len());
    page.extend_from_slice(b"OggS");
    page.push(0);
    page.push(END_OF_STREAM);
    page.extend_from_slice(&end.granule.saturating_add(SILENT_SAMPLES).to_le_bytes());
    page.extend_from_slice(&end.serial.to_le_bytes());
    page.extend_from_slice(&end.sequence.wrapping_add(1).to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    page.push(1);
    page.push(SILENT_PACKET.len() as u8);
    page.extend_from_slice(&SILENT_PACKET);
    let sum = checksum(&page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// CRC-32 of a page: polynomial 0x04c11db7, not reflected, from 0, nothing added at the end (RFC 3533 §6).
fn checksum(page: &[u8]) -> u32 {
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
                has_ended: false
            }
        );
        let page = closing_page(before);
        assert_eq!(
            walk(&page, Some(before)).unwrap(),
            StreamEnd {
                serial: 9,
                sequence: 1,
                granule: 25_272,
                has_ended: true
            }
        );
        // The reader checks the page's checksum.
        stream.extend_from_slice(&page);
        let mut reader = ogg::PacketReader::new(std::io::Cursor::new(stream));
        assert_eq!(reader.read_packet().unwrap().unwrap().data, b"first");
        let packet = reader.read_packet().unwrap().unwrap();
        assert_eq!(packet.data, SILENT_PACKET);
        assert!(packet.last_in_stream());
    }

    #[test]
    fn a_part_of_a_page_is_not_taken_for_pages() {
        let page = closing_page(StreamEnd {
            serial: 1,
            sequence: 1,
            granule: 1,
            has_ended: false,
        });
        assert!(walk(&page, None).is_some());
        assert!(walk(&page[..page.len() - 1], None).is_none());
        assert!(walk(&[], None).is_none());
        assert!(walk(b"speech", None).is_none());
    }
}
