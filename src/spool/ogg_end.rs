//! Ends an Ogg Opus stream that was cut at a page: one more page with an end-of-stream flag.
//!
//! Ogg: RFC 3533 §6; Opus in Ogg: RFC 7845 §4. The page holds one packet of one byte, a 20 ms frame
//! of length zero (RFC 6716 §3.1: SILK, wideband, mono), which plays out what the decoder still holds.

const SILENT_PACKET: u8 = 0x48;
const END_OF_STREAM: u8 = 0x04;

/// The page to append after `last`, the body's last piece, which ends in a whole page. `None` if it holds no page.
pub fn end_page(last: &[u8], pre_skip: u32) -> Option<Vec<u8>> {
    let page = last_page(last)?;
    let granule = u64::from_le_bytes(page.get(6..14)?.try_into().ok()?);
    let sequence = u32::from_le_bytes(page.get(18..22)?.try_into().ok()?);
    let mut end = Vec::with_capacity(29);
    end.extend_from_slice(b"OggS");
    end.push(0);
    end.push(END_OF_STREAM);
    // The decoder's delay is played out; the rest of the 20 ms is trimmed (RFC 7845 §4.4).
    end.extend_from_slice(&(granule + u64::from(pre_skip.min(960))).to_le_bytes());
    end.extend_from_slice(page.get(14..18)?); // serial number
    end.extend_from_slice(&sequence.wrapping_add(1).to_le_bytes());
    end.extend_from_slice(&[0; 4]);
    end.extend_from_slice(&[1, 1]); // one segment of one byte
    end.push(SILENT_PACKET);
    let crc = checksum(&end);
    end[22..26].copy_from_slice(&crc.to_le_bytes());
    Some(end)
}

/// Whether the last page of `last` ends the stream.
pub fn is_ended(last: &[u8]) -> bool {
    last_page(last).is_some_and(|page| page[5] & END_OF_STREAM != 0)
}

/// Walks the pages; answers the last whole one.
fn last_page(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    while bytes.len() >= 27 && bytes.starts_with(b"OggS") {
        let segments = bytes[26] as usize;
        let table = bytes.get(27..27 + segments)?;
        let len = 27 + segments + table.iter().map(|byte| *byte as usize).sum::<usize>();
        found = Some(bytes.get(..len)?);
        bytes = &bytes[len..];
    }
    found
}

/// CRC-32 with polynomial 0x04c11db7, not reflected, over a page whose checksum field is zero (RFC 3533 §6).
fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |mut crc: u32, byte| {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = if crc & 0x8000_0000 != 0 {
                (crc << 1) ^ 0x04c1_1db7
            } else {
                crc << 1
            };
        }
        crc
    })
}
