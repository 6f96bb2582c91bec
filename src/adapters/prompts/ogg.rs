//! Ogg Opus prompts, taken apart into packets (RFC 3533, RFC 7845).

use std::io::Cursor;

use super::{Coded, MAX_SECONDS};

/// Takes an Ogg Opus file apart (RFC 7845). One without an end is refused: it was cut short in copying.
pub(super) fn from_ogg(bytes: &[u8]) -> Result<Coded, String> {
    let mut reader = ogg::PacketReader::new(Cursor::new(bytes));
    let mut packets = Vec::new();
    let mut skip = 0;
    let mut end = None;
    let mut number = 0u32;
    while let Some(packet) = reader
        .read_packet()
        .map_err(|error| format!("is no valid Ogg file: {error:?}"))?
    {
        match number {
            0 => {
                if !packet.data.starts_with(b"OpusHead") || packet.data.len() < 19 {
                    return Err("is Ogg, but not Opus".into());
                }
                skip = usize::from(u16::from_le_bytes([packet.data[10], packet.data[11]]));
            }
            1 => {}
            _ => {
                if packet.last_in_stream() {
                    end = Some(packet.absgp_page());
                }
                packets.push(packet.data.into_boxed_slice());
            }
        }
        number += 1;
        if u64::from(number) > MAX_SECONDS * 400 {
            return Err(format!("is longer than {MAX_SECONDS} s"));
        }
    }
    let end = end.ok_or("is cut short: its end is missing")?;
    let samples = end.saturating_sub(skip as u64);
    if samples == 0 || samples > MAX_SECONDS * 48_000 {
        return Err(format!("is empty or longer than {MAX_SECONDS} s"));
    }
    Ok(Coded {
        packets,
        skip,
        samples,
    })
}
