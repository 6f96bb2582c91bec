//! Prompts of a centre: small Ogg Opus files of a tone, made here.

use ogg::{PacketWriteEndInfo, PacketWriter};

/// Samples in a packet of 20 ms at 48 kHz.
const PACKET: usize = 960;

/// A tone of this pitch and length as Ogg Opus, some 24 kbit/s; a pitch of 0 is silence.
pub fn tone(hertz: f64, ms: usize) -> Vec<u8> {
    coded(hertz, ms, 24_000)
}

/// The same at another number of bits per second.
pub fn coded(hertz: f64, ms: usize, bitrate: i32) -> Vec<u8> {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip)
        .expect("an encoder");
    encoder
        .set_bitrate(opus::Bitrate::Bits(bitrate))
        .expect("a bit rate");
    let skip = encoder.get_lookahead().expect("a look-ahead");
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::new(&mut bytes);
    let serial = 1;
    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend(u16::try_from(skip).expect("short").to_le_bytes());
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let page = PacketWriteEndInfo::EndPage;
    writer.write_packet(head, serial, page, 0).expect("written");
    let tags = b"OpusTags\x04\0\0\0test\0\0\0\0".to_vec();
    writer.write_packet(tags, serial, page, 0).expect("written");
    let samples = ms * 48 + usize::try_from(skip).expect("positive");
    let packets = samples.div_ceil(PACKET);
    for n in 0..packets {
        let sample = |at: usize| {
            let phase = (n * PACKET + at) as f64 * hertz * std::f64::consts::TAU / 48_000.0;
            (phase.sin() * 8_000.0) as i16
        };
        let samples: Vec<i16> = (0..PACKET).map(sample).collect();
        let packet = encoder.encode_vec(&samples, 1_500).expect("encodes");
        let is_last = n + 1 == packets;
        let end = match n {
            _ if is_last => PacketWriteEndInfo::EndStream,
            n if n % 25 == 24 => PacketWriteEndInfo::EndPage,
            _ => PacketWriteEndInfo::NormalPacket,
        };
        let granule = ((n + 1) * PACKET) as u64;
        writer
            .write_packet(packet, serial, end, granule)
            .expect("written");
    }
    drop(writer);
    bytes
}
