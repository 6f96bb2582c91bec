//! Speech to Ogg Opus, page by page (RFC 6716, RFC 7845).
//!
//! Owns: the encoder and the muxer of one clip. Never does: write a file. A page is half a second and can be played by
//! itself, so every page that has reached the card plays.

use opus::{Application, Bandwidth, Bitrate, Channels, Encoder, Signal};

use serde::Deserialize;

use crate::pages::{After, Pages};
use crate::samples::{RATE, Samples, take_off};
use zeroize::Zeroizing;

/// Samples of one packet, 20 ms.
pub const PACKET_SAMPLES: usize = Samples::in_ms(20).as_len();
/// Packets of one page: half a second.
const PACKETS_PER_PAGE: u64 = 25;
/// Samples of one page.
pub const PAGE_SAMPLES: Samples = packets(PACKETS_PER_PAGE);
/// Samples that wait until they are encoded together, 260 ms, half a page: called for each packet alone, the encoder's code
/// and tables have left the processor's cache, and encoding takes half as long again.
const BATCH_SAMPLES: usize = 13 * PACKET_SAMPLES;
/// Largest packet that libopus makes of 20 ms (RFC 6716 §3.2.1).
const MAX_PACKET: usize = 1275;

/// The samples of so many packets.
const fn packets(count: u64) -> Samples {
    Samples::new(count * PACKET_SAMPLES as u64)
}

/// The highest frequency of speech that the codec keeps (RFC 6716 §2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// 8 kHz.
    #[default]
    Wide,
    /// 12 kHz.
    Superwide,
    /// 20 kHz.
    Full,
}

/// The encoder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the Opus encoder: {0}")]
pub struct OpusError(#[from] opus::Error);

/// An encoder, kept from clip to clip and reset between them.
pub struct SpeechEncoder {
    encoder: Encoder,
    pre_skip: Samples,
}

impl SpeechEncoder {
    /// Mono, 48 kHz, for speech that is stored: no forward error correction, no discontinuous transmission. `bitrate` is in
    /// bit/s, `complexity` 0 to 10. `band` is an upper limit: at a low bit rate the codec keeps less.
    pub fn new(bitrate: u32, complexity: u8, band: Band) -> Result<Self, OpusError> {
        let mut encoder = Encoder::new(RATE, Channels::Mono, Application::Voip)?;
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
        let pre_skip = u64::try_from(encoder.get_lookahead()?).unwrap_or(0);
        Ok(Self {
            encoder,
            pre_skip: Samples::new(pre_skip),
        })
    }

    /// The encoder's delay (RFC 7845 §4.2).
    pub fn pre_skip(&self) -> Samples {
        self.pre_skip
    }

    /// One packet of [`PACKET_SAMPLES`] samples.
    pub fn packet(&mut self, samples: &[i16]) -> Result<Vec<u8>, OpusError> {
        self.with_packet(samples, <[u8]>::to_vec)
    }

    /// The same for whoever needs the packet for a moment: it is overwritten afterwards.
    fn with_packet<T>(
        &mut self,
        samples: &[i16],
        work: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, OpusError> {
        let mut packet = Zeroizing::new([0; MAX_PACKET]);
        let len = self.encoder.encode(samples, &mut *packet)?;
        Ok(work(&packet[..len]))
    }

    /// Forgets the sound of the clip before.
    pub fn reset(&mut self) -> Result<(), OpusError> {
        Ok(self.encoder.reset_state()?)
    }
}

/// The identification and the comment header of a stream of one channel at its own level (RFC 7845 §5).
pub(crate) fn headers(pre_skip: Samples, comments: &[(&str, &str)]) -> [Vec<u8>; 2] {
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend_from_slice(&(pre_skip.count() as u16).to_le_bytes());
    head.extend_from_slice(&RATE.to_le_bytes());
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
    [head, tags]
}

/// One clip's stream. What waits in it is overwritten when it is dropped.
pub struct OggOpus {
    pages: Pages,
    pre_skip: Samples,
    waiting: Zeroizing<Vec<i16>>,
    packets: u64,
    samples: Samples,
}

impl OggOpus {
    /// Begins a stream: identification and comment header, a page each (RFC 7845 §3).
    pub fn new(serial: u32, pre_skip: Samples, comments: &[(&str, &str)]) -> Self {
        let mut pages = Pages::new(serial);
        for header in headers(pre_skip, comments) {
            pages.push(&header, 0, After::PageEnd);
        }
        Self {
            pages,
            pre_skip,
            waiting: Zeroizing::new(Vec::with_capacity(BATCH_SAMPLES)),
            packets: 0,
            samples: Samples::ZERO,
        }
    }

    /// Takes samples. When half a second is full, its page is ready in [`OggOpus::take_page`].
    pub fn push(
        &mut self,
        encoder: &mut SpeechEncoder,
        mut samples: &[i16],
    ) -> Result<(), OpusError> {
        self.samples += Samples::of(samples);
        while !samples.is_empty() {
            let room = BATCH_SAMPLES - self.waiting.len();
            let room = self.page_room().as_len().min(room);
            let (now, later) = samples.split_at(room.min(samples.len()));
            self.waiting.extend_from_slice(now);
            samples = later;
            if now.len() == room {
                self.encode_waiting(encoder)?;
            }
        }
        Ok(())
    }

    /// Encodes the whole packets that wait.
    fn encode_waiting(&mut self, encoder: &mut SpeechEncoder) -> Result<(), OpusError> {
        let whole = self.waiting.len() / PACKET_SAMPLES * PACKET_SAMPLES;
        for samples in self.waiting[..whole].chunks_exact(PACKET_SAMPLES) {
            let number = self.packets + 1;
            let after = match number.is_multiple_of(PACKETS_PER_PAGE) {
                true => After::PageEnd,
                false => After::Packet,
            };
            let pages = &mut self.pages;
            encoder.with_packet(samples, |packet| {
                pages.push(packet, packets(number).count(), after);
            })?;
            self.packets = number;
        }
        take_off(&mut self.waiting, whole);
        Ok(())
    }

    /// How many samples fit before the page is full.
    pub fn page_room(&self) -> Samples {
        let coded = packets(self.packets % PACKETS_PER_PAGE);
        PAGE_SAMPLES - coded - Samples::of(&self.waiting)
    }

    /// The bytes that are ready, whole pages only. Whoever seals them overwrites them.
    pub fn take_page(&mut self) -> Vec<u8> {
        self.pages.take()
    }

    /// Ends the stream: plays out the encoder's delay and trims the last packet to the sample (RFC 7845 §4.4).
    pub fn finish(mut self, encoder: &mut SpeechEncoder) -> Result<Vec<u8>, OpusError> {
        self.encode_waiting(encoder)?;
        let end = self.samples + self.pre_skip;
        loop {
            self.waiting.resize(PACKET_SAMPLES, 0);
            let encoded = packets(self.packets + 1);
            let (granule, after) = match encoded >= end {
                true => (end, After::StreamEnd),
                false => (encoded, After::Packet),
            };
            let pages = &mut self.pages;
            encoder.with_packet(&self.waiting, |packet| {
                pages.push(packet, granule.count(), after);
            })?;
            self.waiting.clear();
            self.packets += 1;
            if after == After::StreamEnd {
                return Ok(self.take_page());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of the tests' sound.
    const SECONDS: usize = 3;

    /// Power of a tone in decoded samples, dB below a full one: one line of the Fourier transform.
    fn level_db(samples: &[i16], hz: f64) -> f64 {
        let angle = |at: usize| at as f64 * hz / 48_000.0 * std::f64::consts::TAU;
        let sum = |of: &dyn Fn(f64) -> f64| -> f64 {
            let products = samples.iter().enumerate();
            products.map(|(at, s)| f64::from(*s) * of(angle(at))).sum()
        };
        let (real, imaginary) = (sum(&f64::cos), sum(&f64::sin));
        let amplitude = 2.0 * real.hypot(imaginary) / samples.len() as f64 / 32_768.0;
        20.0 * amplitude.max(1e-9).log10()
    }

    #[test]
    fn packets_are_the_same_however_the_samples_come() {
        let sound: Vec<i16> = (0..72_345i64)
            .map(|i| ((i * i) % 9_001 - 4_500) as i16)
            .collect();
        let coded = |piece: usize| {
            let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
            let mut stream = OggOpus::new(7, encoder.pre_skip(), &[]);
            let mut bytes = Vec::new();
            for samples in sound.chunks(piece) {
                stream.push(&mut encoder, samples).expect("encodes");
                if stream.page_room() == PAGE_SAMPLES {
                    bytes.extend(stream.take_page());
                }
            }
            bytes.extend(stream.finish(&mut encoder).expect("ends"));
            bytes
        };
        let one_by_one = {
            let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
            let packets = sound.chunks_exact(PACKET_SAMPLES);
            packets
                .map(|samples| encoder.packet(samples).expect("encodes"))
                .collect::<Vec<_>>()
        };
        let all_at_once = coded(sound.len());
        let mut reader = ogg::PacketReader::new(std::io::Cursor::new(&all_at_once));
        let packets = std::iter::from_fn(|| reader.read_packet().expect("valid pages"));
        let packets: Vec<_> = packets.skip(2).map(|packet| packet.data).collect();
        assert_eq!(packets[..one_by_one.len()], one_by_one);
        for piece in [480, 960, 1_440, 5_000, 24_000, 24_001] {
            assert_eq!(coded(piece), all_at_once, "{piece} samples at a time");
        }
    }

    #[test]
    fn each_band_keeps_what_lies_below_its_limit_and_nothing_above() {
        let tones = [3_000.0, 10_000.0, 15_000.0];
        let at = |i: usize, hz: f64| (i as f64 * hz / 48_000.0 * std::f64::consts::TAU).sin();
        let sound: Vec<i16> = (0..SECONDS * 48_000)
            .map(|i| tones.iter().map(|hz| at(i, *hz) * 6_000.0).sum::<f64>() as i16)
            .collect();
        for (band, widest, kept) in [
            (Band::Wide, Bandwidth::Wideband, 1),
            (Band::Superwide, Bandwidth::Superwideband, 2),
            (Band::Full, Bandwidth::Fullband, 3),
        ] {
            // At a booth's bit rate noise may stand for a tone; the other rate is no limit.
            for bitrate in [24_000, 64_000] {
                let mut encoder = SpeechEncoder::new(bitrate, 5, band).expect("an encoder");
                let mut decoder = opus::Decoder::new(48_000, Channels::Mono).expect("a decoder");
                let (mut heard, mut found) = (Vec::new(), Vec::new());
                for samples in sound.chunks_exact(PACKET_SAMPLES) {
                    let packet = encoder.packet(samples).expect("encodes");
                    found.push(opus::packet::get_bandwidth(&packet).expect("a band") as i32);
                    let mut piece = [0; PACKET_SAMPLES];
                    decoder.decode(&packet, &mut piece, false).expect("decodes");
                    heard.extend(piece);
                }
                let most = found.into_iter().max();
                assert_eq!(most, Some(widest as i32), "{band:?} at {bitrate} bit/s");
                for (place, hz) in tones.into_iter().enumerate() {
                    let level = level_db(&heard[48_000..], hz);
                    let told = format!("{band:?} at {bitrate} bit/s, {hz} Hz: {level} dB");
                    assert!(place < kept || level < -100.0, "{told}");
                    assert!(place >= kept || bitrate < 64_000 || level > -16.0, "{told}");
                }
            }
        }
    }

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
                Some((samples as u64 + encoder.pre_skip().count(), true))
            );
        }
    }
}
