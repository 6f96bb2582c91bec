//! A prompt file of any coding: read, and played to its end.
//!
//! The first byte chooses: an odd one makes the checksum of every Ogg page right, so that the packets are reached.

use super::spool_state::pages;

/// Samples of the longest prompt, 90 s at 48 kHz.
const MAX_SAMPLES: usize = 90 * 48_000;

pub fn run(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if how & 1 == 1 {
        right_checksums(&mut bytes);
    }
    let mut player = match booth_audio::coded(&bytes) {
        Ok(coded) => coded.into_player(),
        Err(why) => {
            assert!(!why.what.is_empty() && why.what.len() < 1_000);
            return;
        }
    };
    let mut samples = 0;
    while let Some(piece) = player.next_piece() {
        assert!(!piece.is_empty(), "it never ends");
        samples += piece.len();
        assert!(samples <= MAX_SAMPLES, "longer than 90 s");
    }
    assert!(player.next_piece().is_none());
}

/// RFC 3533 §6: polynomial 0x04c11db7, not reflected, from 0.
fn right_checksums(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(rest) = bytes.get_mut(at..).filter(|rest| rest.len() >= 27) {
        if rest[..4] != *b"OggS" {
            at += 1;
            continue;
        }
        let segments = usize::from(rest[26]);
        let Some(table) = rest.get(27..27 + segments) else {
            return;
        };
        let body: usize = table.iter().map(|&bytes| usize::from(bytes)).sum();
        let Some(page) = rest.get_mut(..27 + segments + body) else {
            return;
        };
        page[22..26].fill(0);
        let sum = page.iter().fold(0u32, |sum, &byte| {
            (0..8).fold(sum ^ (u32::from(byte) << 24), |sum: u32, _| {
                (sum << 1) ^ if sum >> 31 == 0 { 0 } else { 0x04c1_1db7 }
            })
        });
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        at += 27 + segments + body;
    }
}

fn wav(tag: u16, channels: u16, rate: u32, bits: u16, samples: u32) -> Vec<u8> {
    let bytes = samples * u32::from(bits / 8);
    let frame = channels * (bits / 8);
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16u32.to_le_bytes());
    wav.extend(tag.to_le_bytes());
    wav.extend(channels.to_le_bytes());
    wav.extend(rate.to_le_bytes());
    wav.extend((rate * u32::from(frame)).to_le_bytes());
    wav.extend(frame.to_le_bytes());
    wav.extend(bits.to_le_bytes());
    wav.extend(b"data");
    wav.extend(bytes.to_le_bytes());
    wav.extend((0..bytes).map(|byte| byte as u8));
    wav
}

/// Half a second of tone in each coding that is not made here.
const SOUNDS: [&[u8]; 9] = [
    include_bytes!("../../tests/fixtures/sounds/surround.opus"),
    include_bytes!("../../tests/fixtures/sounds/tone.mp3"),
    include_bytes!("../../tests/fixtures/sounds/tone.m4a"),
    include_bytes!("../../tests/fixtures/sounds/tone-alac.m4a"),
    include_bytes!("../../tests/fixtures/sounds/tone.aac"),
    include_bytes!("../../tests/fixtures/sounds/tone.ogg"),
    include_bytes!("../../tests/fixtures/sounds/tone-flac.oga"),
    include_bytes!("../../tests/fixtures/sounds/tone.flac"),
    include_bytes!("../../tests/fixtures/sounds/tone.aiff"),
];

pub fn seeds() -> Vec<Vec<u8>> {
    let opus = pages().concat();
    let seed = |how: u8, file: &[u8]| [&[how], file].concat();
    let mut all = vec![
        seed(0, &opus),
        seed(1, &opus),
        seed(1, &opus[..opus.len() - 20]),
        // Chained.
        seed(1, &[&opus[..], &opus].concat()),
        seed(0, &wav(1, 1, 48_000, 16, 960)),
        seed(0, &wav(1, 2, 8_000, 16, 400)),
        seed(0, &wav(1, 1, 16_000, 8, 400)),
        seed(0, &wav(1, 6, 44_100, 24, 600)),
        seed(0, &wav(3, 1, 16_000, 32, 400)),
        seed(0, &wav(7, 1, 8_000, 8, 400)),
        seed(0, &wav(0x55, 1, 8_000, 8, 400)),
        seed(0, b"RIFFxxxx"),
    ];
    all.extend(SOUNDS.iter().map(|file| seed(1, file)));
    all
}
