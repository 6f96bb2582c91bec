//! Plays one sound piece by piece.
//!
//! Owns: decoding, the level of what is played, the trimming at both ends. Never does: read a file.

use std::borrow::Cow;

use crate::ogg::{Layout, Link};
use crate::samples::{RATE, Samples};

/// Largest piece of sound, samples: 120 ms, the longest packet of Opus (RFC 6716 §2).
const PIECE: usize = Samples::in_ms(120).as_len();

/// The decoder of a stream.
enum Decoder {
    One(opus::Decoder),
    Many(opus::MSDecoder, Vec<f32>),
}

impl Decoder {
    fn new(link: &Link) -> Option<Self> {
        let gain = i32::from(link.gain);
        match &link.layout {
            Layout::Plain => {
                let mut decoder = opus::Decoder::new(RATE, opus::Channels::Mono).ok()?;
                decoder.set_gain(gain).ok()?;
                Some(Self::One(decoder))
            }
            Layout::Many {
                streams,
                coupled,
                mapping,
                shares,
            } => {
                let decoder = opus::MSDecoder::new(RATE, *streams, *coupled, mapping);
                let mut decoder = decoder.ok()?;
                decoder.set_gain(gain).ok()?;
                Some(Self::Many(decoder, shares.clone()))
            }
        }
    }

    /// The samples of a packet; none for a packet that cannot be decoded, which is a gap and not an end.
    fn decode(&mut self, packet: &[u8]) -> Vec<i16> {
        match self {
            Self::One(decoder) => {
                let mut pcm = vec![0; PIECE];
                let count = decoder.decode(packet, &mut pcm, false).unwrap_or(0);
                pcm.truncate(count);
                pcm
            }
            Self::Many(decoder, shares) => {
                let mut pcm = vec![0.0; PIECE * shares.len()];
                let count = decoder.decode_float(packet, &mut pcm, false).unwrap_or(0);
                let frames = pcm.chunks_exact(shares.len()).take(count);
                let mix = |frame: &[f32]| -> f32 {
                    frame.iter().zip(&*shares).map(|(s, part)| s * part).sum()
                };
                frames
                    .map(|frame| (mix(frame) * 32_768.0).clamp(-32_768.0, 32_767.0) as i16)
                    .collect()
            }
        }
    }
}

/// Decodes one sound piece by piece.
pub struct Player<'a> {
    links: Cow<'a, [Link]>,
    /// The stream that is played, and its next packet.
    link: usize,
    next: usize,
    decoder: Option<Decoder>,
    /// Samples to skip and then to play.
    skip: Samples,
    samples: Samples,
    /// Sound that needs no decoder; it comes first.
    plain: Option<Vec<i16>>,
    /// Everything is played at this share of its level.
    gain: f64,
    /// Silence after the last packet.
    pause: Samples,
}

impl<'a> Player<'a> {
    pub(crate) fn of(links: Cow<'a, [Link]>) -> Self {
        let mut player = Self {
            links,
            link: 0,
            next: 0,
            decoder: None,
            skip: Samples::ZERO,
            samples: Samples::ZERO,
            plain: None,
            gain: 1.0,
            pause: Samples::ZERO,
        };
        player.begin();
        player
    }

    /// Plays these samples, all in one piece.
    pub fn of_samples(samples: Vec<i16>) -> Self {
        Self {
            plain: Some(samples),
            ..Self::of(Cow::Borrowed(&[]))
        }
    }

    /// The same at this share of its level, 0 to 1.
    pub fn softer(self, gain: f64) -> Self {
        Self { gain, ..self }
    }

    /// The same with so much silence behind it.
    pub fn followed_by(self, pause: Samples) -> Self {
        Self { pause, ..self }
    }

    /// The stream `link` from its beginning.
    fn begin(&mut self) {
        self.next = 0;
        let link = self.links.get(self.link);
        self.decoder = link.and_then(Decoder::new);
        (self.skip, self.samples) =
            link.map_or_else(Default::default, |link| (link.skip, link.samples));
    }

    /// The next piece, at most 120 ms unless the samples were given; `None` at the end.
    pub fn next_piece(&mut self) -> Option<Vec<i16>> {
        let mut piece = self.next_at_full_level()?;
        if self.gain < 1.0 {
            for sample in &mut piece {
                *sample = (f64::from(*sample) * self.gain) as i16;
            }
        }
        Some(piece)
    }

    fn next_at_full_level(&mut self) -> Option<Vec<i16>> {
        if let Some(samples) = self.plain.take() {
            return Some(samples);
        }
        while self.link < self.links.len() {
            if let Some(piece) = self.next_of_stream() {
                return Some(piece);
            }
            self.link += 1;
            self.begin();
        }
        let silence = self.pause.as_len().min(PIECE);
        self.pause -= Samples::new(silence as u64);
        (silence > 0).then(|| vec![0; silence])
    }

    fn next_of_stream(&mut self) -> Option<Vec<i16>> {
        let decoder = self.decoder.as_mut()?;
        // Sound after the end that the file names is not decoded.
        while self.samples > Samples::ZERO {
            let packet = self.links.get(self.link)?.packets.get(self.next)?;
            self.next += 1;
            let mut pcm = decoder.decode(packet);
            let skipped = self.skip.as_len().min(pcm.len());
            self.skip -= Samples::new(skipped as u64);
            pcm.drain(..skipped);
            pcm.truncate(self.samples.as_len());
            self.samples -= Samples::of(&pcm);
            if !pcm.is_empty() {
                return Some(pcm);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opus::{Band, PACKET_SAMPLES, SpeechEncoder};

    #[test]
    fn what_follows_the_end_of_a_prompt_is_not_decoded() {
        let mut encoder = SpeechEncoder::new(24_000, 0, Band::Wide).expect("an encoder");
        let packet = encoder.packet(&[0; PACKET_SAMPLES]).expect("encodes");
        let packets = vec![packet.into_boxed_slice(); 1_000];
        let links = [Link::plain(packets, Samples::ZERO, Samples::new(10))];
        let mut player = Player::of(Cow::Borrowed(&links));
        assert_eq!(player.next_piece().map(|piece| piece.len()), Some(10));
        assert_eq!(player.next, 1);
        assert!(player.next_piece().is_none());
    }
}
