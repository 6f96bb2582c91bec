//! The pages of one Ogg stream (RFC 3533 §6), as a clip needs them: a page is made of whole packets, and nothing of a packet stays in
//! memory when its page has left.
//!
//! The crate `ogg` writes the same bytes, and frees its buffers as they are.

use zeroize::{Zeroize, Zeroizing};

/// Bytes before a page's segment table.
const FIXED: usize = 27;
/// Most segments of a page.
const MOST_SEGMENTS: usize = 255;
/// Room for a page of speech up to 60 kbit/s, and its header: a buffer that grew would leave speech behind in memory.
const PAGE_BYTES: usize = 4 * 1024;

/// What stands behind a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Another packet, on the same page if it has room.
    Packet,
    /// The page ends.
    PageEnd,
    /// The stream ends.
    StreamEnd,
}

/// The pages of one stream.
pub(crate) struct Pages {
    serial: u32,
    sequence: u32,
    segments: Vec<u8>,
    body: Zeroizing<Vec<u8>>,
    granule: u64,
    ready: Vec<u8>,
}

impl Pages {
    pub(crate) fn new(serial: u32) -> Self {
        Self {
            serial,
            sequence: 0,
            segments: Vec::with_capacity(MOST_SEGMENTS),
            body: spacious(),
            granule: 0,
            ready: Vec::with_capacity(PAGE_BYTES),
        }
    }

    /// Adds a packet that ends at this granule position.
    pub(crate) fn push(&mut self, packet: &[u8], granule: u64, after: After) {
        let segments = packet.len() / 255 + 1;
        if self.segments.len() + segments > MOST_SEGMENTS {
            self.end_page(false);
        }
        self.segments.extend(std::iter::repeat_n(255, segments - 1));
        self.segments.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
        self.granule = granule;
        if after != After::Packet {
            self.end_page(after == After::StreamEnd);
        }
    }

    fn end_page(&mut self, ends_stream: bool) {
        let begins = u8::from(self.sequence == 0) << 1;
        let ends = u8::from(ends_stream) << 2;
        let at = self.ready.len();
        self.ready.extend_from_slice(b"OggS\0");
        self.ready.push(begins | ends);
        self.ready.extend_from_slice(&self.granule.to_le_bytes());
        self.ready.extend_from_slice(&self.serial.to_le_bytes());
        self.ready.extend_from_slice(&self.sequence.to_le_bytes());
        self.ready.extend_from_slice(&[0; 4]);
        self.ready.push(self.segments.len() as u8);
        self.ready.extend_from_slice(&self.segments);
        self.ready.extend_from_slice(&self.body);
        let sum = checksum(&self.ready[at..]);
        self.ready[at + 22..at + 26].copy_from_slice(&sum.to_le_bytes());
        self.sequence += 1;
        self.segments.clear();
        self.body.zeroize();
        debug_assert!(self.ready.len() >= at + FIXED);
    }

    /// The pages that have ended. The caller overwrites them.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.ready, Vec::with_capacity(PAGE_BYTES))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.ready.zeroize();
    }
}

fn spacious() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(PAGE_BYTES))
}

/// CRC-32 of a page as [`booth_contract::ogg_page::checksum`] has it, with a table: it is part of each half second.
fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum: u32, byte| {
        (sum << 8) ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = sum & 0x8000_0000 != 0;
            sum <<= 1;
            if carry {
                sum ^= 0x04c1_1db7;
            }
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use ogg::{PacketWriteEndInfo, PacketWriter};

    #[test]
    fn the_pages_are_those_of_another_writer_byte_for_byte() {
        let mut other = PacketWriter::new(Vec::new());
        let mut pages = Pages::new(7);
        let mut ours = Vec::new();
        for number in 0..400_u64 {
            // Lengths around those at which a segment is full, and pages of one packet and of many.
            let length = [0, 1, 60, 254, 255, 256, 509, 510, 511, 1275][number as usize % 10];
            let packet: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
            let (after, info) = match number {
                399 => (After::StreamEnd, PacketWriteEndInfo::EndStream),
                0 | 1 => (After::PageEnd, PacketWriteEndInfo::EndPage),
                n if n % 25 == 1 => (After::PageEnd, PacketWriteEndInfo::EndPage),
                _ => (After::Packet, PacketWriteEndInfo::NormalPacket),
            };
            pages.push(&packet, number * 960, after);
            other
                .write_packet(packet, 7, info, number * 960)
                .expect("a vector takes it");
            ours.extend(pages.take());
        }
        assert_eq!(ours, other.into_inner());
    }

    #[test]
    fn nothing_of_a_packet_stays_when_its_page_has_left() {
        let mut pages = Pages::new(7);
        pages.push(&[0xA5; 300], 960, After::PageEnd);
        let left = pages.take();
        assert!(left.windows(255).any(|window| window == [0xA5; 255]));
        assert!(pages.body.is_empty() && pages.body.capacity() >= PAGE_BYTES);
        assert!(pages.ready.is_empty());
    }

    #[test]
    fn the_checksum_is_that_of_the_contract() {
        for length in [0, 1, 27, 300, 4_000] {
            let page: Vec<u8> = (0..length).map(|at| (at * 31) as u8).collect();
            assert_eq!(checksum(&page), booth_contract::ogg_page::checksum(&page));
        }
    }
}
