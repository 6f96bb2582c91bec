//! Speech to Ogg Opus, page by page (RFC 6716, RFC 7845).
//!
//! Owns: the encoder and the muxer of one clip. Never does: write a file. Half a second is one page,
//! so that every page that reached the card plays.

use ogg::{PacketWriteEndInfo, PacketWriter};
use opus::{Application, Bandwidth, Bitrate, Channels, Encoder, Signal};

use crate::config::Band;

/// Samples of one 20 ms packet at 48 kHz.
pub const PACKET_SAMPLES: usize = 960;
/// Packets of one page: half a second.
const PACKETS_PER_PAGE: u64 = 25;
/// Largest packet that libopus makes of 20 ms (RFC 6716 §3.2.1).
const MAX_PACKET: usize = 1275;

/// The encoder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the Opus encoder: {0}")]
pub struct OpusError(#[from] opus::Error);

/// An encoder, kept from clip to clip and reset between them.
pub struct SpeechEncoder {
    encoder: Encoder,
    pre_skip: u32,
}

impl SpeechEncoder {
    /// Mono, 48 kHz, for speech that is stored: no forward error correction, no discontinuous transmission. `bitrate` is in
    /// bit/s, `complexity` 0 to 10. `band` is an upper limit: at a low bit rate the codec keeps less.
    pub fn new(bitrate: u32, complexity: u8, band: Band) -> Result<Self, OpusError> {
        let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(i32::try_from(bitrate).unwrap_or(i32::MAX)))?;
        encoder.set_complexity(i32::from(complexity))?;
        encoder.set_vbr(true)?;
        encoder.set_signal(Signal::Voice)?;
        encoder.set_max_bandwidth(match band {
            Band::Wide => Bandwidth::Wideband,
            Band::Superwide => Bandwidth::Superwideband,
            Band::Full => Bandwidth::Fullband,
        })?;
        encoder.set_inband_fec(false)?;
        encoder.set_dtx(false)?;
        let pre_skip = u32::try_from(encoder.get_lookahead()?).unwrap_or(0);
        Ok(Self { encoder, pre_skip })
    }

    /// Encoder delay in samples at 48 kHz (RFC 7845 §4.2).
    pub fn pre_skip(&self) -> u32 {
        self.pre_skip
    }

    /// One packet of [`PACKET_SAMPLES`] samples.
    pub fn packet(&mut self, samples: &[i16]) -> Result<Vec<u8>, OpusError> {
        let mut packet = [0; MAX_PACKET];
        let len = self.encoder.encode(samples, &mut packet)?;
        Ok(packet[..len].to_vec())
    }

    /// Forgets what was said before.
    pub fn reset(&mut self) -> Result<(), OpusError> {
        Ok(self.encoder.reset_state()?)
    }
}

/// One clip's stream.
pub struct OggOpus {
    muxer: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    pre_skip: u32,
    waiting: Vec<i16>,
    packets: u64,
    samples: u64,
}

impl OggOpus {
    /// Begins a stream: identification and comment header, a page each (RFC 7845 §3).
    pub fn new(serial: u32, pre_skip: u32, comments: &[(&str, &str)]) -> Self {
        let mut muxer = PacketWriter::new(Vec::with_capacity(4096));
        let mut head = b"OpusHead\x01\x01".to_vec();
        head.extend_from_slice(&(pre_skip as u16).to_le_bytes());
        head.extend_from_slice(&48_000u32.to_le_bytes());
        head.extend_from_slice(&[0, 0, 0]); // no gain, one channel, mapping family 0
        let mut tags = b"OpusTags".to_vec();
        let text = |tags: &mut Vec<u8>, text: &str| {
            tags.extend_from_slice(&(text.len() as u32).to_le_bytes());
            tags.extend_from_slice(text.as_bytes());
        };
        text(&mut tags, opus::version());
        tags.extend_from_slice(&(comments.len() as u32).to_le_bytes());
        for (key, value) in comments {
            text(&mut tags, &format!("{key}={value}"));
        }
        for header in [head, tags] {
            write(&mut muxer, header, serial, PacketWriteEndInfo::EndPage, 0);
        }
        Self {
            muxer,
            serial,
            pre_skip,
            waiting: Vec::with_capacity(PACKET_SAMPLES),
            packets: 0,
            samples: 0,
        }
    }

    /// Takes samples in. When half a second is full, its page stands ready in [`OggOpus::take_page`].
    pub fn push(
        &mut self,
        encoder: &mut SpeechEncoder,
        mut samples: &[i16],
    ) -> Result<(), OpusError> {
        self.samples += samples.len() as u64;
        while !samples.is_empty() {
            let room = PACKET_SAMPLES - self.waiting.len();
            let (now, later) = samples.split_at(room.min(samples.len()));
            self.waiting.extend_from_slice(now);
            samples = later;
            if self.waiting.len() == PACKET_SAMPLES {
                let packet = encoder.packet(&self.waiting)?;
                self.waiting.clear();
                self.packets += 1;
                let end = if self.packets.is_multiple_of(PACKETS_PER_PAGE) {
                    PacketWriteEndInfo::EndPage
                } else {
                    PacketWriteEndInfo::NormalPacket
                };
                let granule = self.packets * PACKET_SAMPLES as u64;
                write(&mut self.muxer, packet, self.serial, end, granule);
            }
        }
        Ok(())
    }

    /// How many samples fit before the page is full.
    pub fn page_room(&self) -> usize {
        let in_page =
            (self.packets % PACKETS_PER_PAGE) as usize * PACKET_SAMPLES + self.waiting.len();
        PACKETS_PER_PAGE as usize * PACKET_SAMPLES - in_page
    }

    /// The bytes that are ready, whole pages only.
    pub fn take_page(&mut self) -> Vec<u8> {
        std::mem::take(self.muxer.inner_mut())
    }

    /// Ends the stream: plays out the encoder's delay and trims the last packet to the sample (RFC 7845 §4.4).
    pub fn finish(mut self, encoder: &mut SpeechEncoder) -> Result<Vec<u8>, OpusError> {
        let end = self.samples + u64::from(self.pre_skip);
        loop {
            self.waiting.resize(PACKET_SAMPLES, 0);
            let packet = encoder.packet(&self.waiting)?;
            self.waiting.clear();
            self.packets += 1;
            let encoded = self.packets * PACKET_SAMPLES as u64;
            if encoded >= end {
                write(
                    &mut self.muxer,
                    packet,
                    self.serial,
                    PacketWriteEndInfo::EndStream,
                    end,
                );
                return Ok(self.take_page());
            }
            write(
                &mut self.muxer,
                packet,
                self.serial,
                PacketWriteEndInfo::NormalPacket,
                encoded,
            );
        }
    }
}

fn write(
    muxer: &mut PacketWriter<'static, Vec<u8>>,
    packet: Vec<u8>,
    serial: u32,
    end: PacketWriteEndInfo,
    granule: u64,
) {
    muxer
        .write_packet(packet, serial, end, granule)
        .expect("a vector takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_exact_to_the_sample() {
        for samples in [1, 647, 648, 649, 960, 24_000, 24_001, 100_000] {
            let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
            let mut stream = OggOpus::new(7, encoder.pre_skip(), &[("BOOTH_ID", "rundhoej-1")]);
            stream
                .push(&mut encoder, &vec![0; samples])
                .expect("encodes");
            let mut bytes = stream.take_page();
            bytes.extend(stream.finish(&mut encoder).expect("ends"));
            let mut reader = ogg::PacketReader::new(std::io::Cursor::new(bytes));
            let mut last = None;
            while let Some(packet) = reader.read_packet().expect("valid pages") {
                last = Some((packet.absgp_page(), packet.last_in_stream()));
            }
            assert_eq!(
                last,
                Some((samples as u64 + u64::from(encoder.pre_skip()), true))
            );
        }
    }
}
