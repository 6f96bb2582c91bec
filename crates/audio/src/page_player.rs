//! Plays what was just said, from its pages.
//!
//! Owns: decoding one packet at a time, and overwriting what it has decoded from. Never does: hold more of the sound than one group of
//! pages and one packet.

use booth_contract::ogg_page;
use zeroize::Zeroizing;

use crate::samples::{RATE, Samples};

/// Largest piece of sound: 120 ms, the longest packet of Opus (RFC 6716 §2).
const PIECE: usize = Samples::in_ms(120).as_len();
/// Header packets before the sound (RFC 7845 §3).
const HEADERS: u8 = 2;

/// Decodes a stream of [`crate::OggOpus`] piece by piece.
pub struct PagePlayer {
    /// `None` where libopus gives none: nothing is heard then.
    decoder: Option<opus::Decoder>,
    /// Whole pages, one group of them.
    pages: Zeroizing<Vec<u8>>,
    /// Where in them the next page begins.
    next_page: usize,
    /// The segment table of this page that is left, and where in `pages` its next packet begins.
    segments: Vec<u8>,
    next_segment: usize,
    body_at: usize,
    headers: u8,
    /// Samples before the first that is heard.
    skip: Samples,
}

impl Default for PagePlayer {
    fn default() -> Self {
        Self {
            decoder: opus::Decoder::new(RATE, opus::Channels::Mono).ok(),
            pages: Zeroizing::default(),
            next_page: 0,
            segments: Vec::new(),
            next_segment: 0,
            body_at: 0,
            headers: HEADERS,
            skip: Samples::ZERO,
        }
    }
}

impl PagePlayer {
    /// The next piece of sound, at most 120 ms; `None` at the end. `more` gives the next group of whole pages.
    pub fn next_piece(
        &mut self,
        mut more: impl FnMut() -> Option<Zeroizing<Vec<u8>>>,
    ) -> Option<Zeroizing<Vec<i16>>> {
        loop {
            let packet = self.next_packet(&mut more)?;
            let packet = &self.pages[packet];
            if self.headers > 0 {
                self.headers -= 1;
                if let (Some(b"OpusHead"), Some(&[low, high])) =
                    (packet.get(..8), packet.get(10..12))
                {
                    self.skip = Samples::new(u64::from(u16::from_le_bytes([low, high])));
                }
                continue;
            }
            let mut sound = Zeroizing::new(vec![0; PIECE]);
            // A packet that cannot be decoded is a gap and not an end.
            let decoder = self.decoder.as_mut()?;
            let count = decoder.decode(packet, &mut sound, false).unwrap_or(0);
            let skipped = self.skip.as_len().min(count);
            self.skip -= Samples::new(skipped as u64);
            sound.copy_within(skipped..count, 0);
            sound.truncate(count - skipped);
            if !sound.is_empty() {
                return Some(sound);
            }
        }
    }

    /// Where in `pages` the next packet lies. A packet never goes on on another page.
    fn next_packet(
        &mut self,
        more: &mut impl FnMut() -> Option<Zeroizing<Vec<u8>>>,
    ) -> Option<std::ops::Range<usize>> {
        loop {
            if self.next_segment < self.segments.len() {
                let rest = &self.segments[self.next_segment..];
                let last = rest.iter().position(|segment| *segment < 255);
                let count = last.map_or(rest.len(), |last| last + 1);
                let length: usize = rest[..count].iter().map(|bytes| usize::from(*bytes)).sum();
                let from = self.body_at;
                self.next_segment += count;
                self.body_at += length;
                return Some(from..self.body_at);
            }
            let Some(length) = ogg_page::length(&self.pages[self.next_page..]) else {
                self.pages = more()?;
                self.next_page = 0;
                continue;
            };
            let page = &self.pages[self.next_page..self.next_page + length];
            let table = &page[27..27 + usize::from(page[26])];
            self.body_at = self.next_page + 27 + table.len();
            self.segments = table.to_vec();
            self.next_segment = 0;
            self.next_page += length;
        }
    }
}

impl Drop for PagePlayer {
    fn drop(&mut self) {
        // The decoder holds the last sound that it made.
        if let Some(decoder) = &mut self.decoder
            && decoder.reset_state().is_err()
        {
            log::warn!("the decoder does not forget what was heard");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Band, OggOpus, PAGE_SAMPLES, SpeechEncoder};

    #[test]
    fn what_is_heard_is_what_was_said_to_the_sample_but_for_the_silence_behind_it() {
        let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
        let mut stream = OggOpus::new(7, encoder.pre_skip(), &[("BOOTH_ID", "rundhoej-1")]);
        let said: Vec<i16> = (0..130_000_i64)
            .map(|at| {
                ((at as f64 / 48_000.0 * 440.0 * std::f64::consts::TAU).sin() * 9_000.0) as i16
            })
            .collect();
        let mut groups = Vec::new();
        for samples in said.chunks(PAGE_SAMPLES.as_len()) {
            stream.push(&mut encoder, samples).expect("encodes");
            groups.push(stream.take_page());
        }
        groups.push(stream.finish(&mut encoder).expect("ends"));
        // Groups of several pages come where the card was slow.
        let last = groups.pop().expect("a group");
        groups.last_mut().expect("a group").extend(last);
        let mut groups = groups.into_iter();
        let mut player = PagePlayer::default();
        let mut heard = Vec::new();
        while let Some(piece) = player.next_piece(|| groups.next().map(Zeroizing::new)) {
            assert!(piece.len() <= PIECE);
            heard.extend_from_slice(&piece);
        }
        let more = heard.len() - said.len();
        assert!(more < 2 * 960, "{more} samples behind the end");
        let power = |samples: &[i16]| -> f64 {
            samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64
        };
        let difference: Vec<i16> = said
            .iter()
            .zip(&heard)
            .map(|(said, heard)| said.wrapping_sub(*heard))
            .collect();
        let (signal, noise) = (power(&said), power(&difference[48_000..120_000]));
        assert!(noise * 4.0 < signal, "signal {signal}, noise {noise}");
    }

    #[test]
    fn what_is_no_page_is_no_sound() {
        for rubbish in [&b""[..], b"OggS", &[0xFF; 300]] {
            let mut groups = [Zeroizing::new(rubbish.to_vec())].into_iter();
            assert!(PagePlayer::default().next_piece(|| groups.next()).is_none());
        }
    }
}
