//! The prompts of one language, from `prompts/<language>/<name>.opus` or `.wav`.
//!
//! Owns: reading them, and what stands in for a missing or broken one. Opus stays encoded in memory
//! until it is played; WAV is encoded when it is read. Never does: fail; a broken file is a warning
//! and a tone.
#![allow(clippy::disallowed_methods)] // reads prompt files

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::opus::{PACKET_SAMPLES, SpeechEncoder};
use super::tones;
use crate::contract::hex;
use crate::gateway::session::Prompt;

/// Largest prompt file that is read, bytes.
const MAX_FILE: u64 = 8_000_000;
/// Longest prompt, seconds.
const MAX_SECONDS: u64 = 90;
/// Sample rates of WAV files that are speech.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

enum Sound {
    /// Opus packets, samples to skip at the start, samples to play.
    Opus {
        packets: Vec<Box<[u8]>>,
        skip: usize,
        samples: u64,
    },
    Tone(&'static [tones::Stretch]),
}

/// Everything that can be played.
pub struct Prompts {
    sounds: HashMap<Prompt, Sound>,
    notice_id: Option<String>,
}

/// The file name of a prompt, without extension.
pub fn file_name(prompt: &Prompt) -> &str {
    match prompt {
        Prompt::Notice => "notice",
        Prompt::Menu => "menu",
        Prompt::Tone => "tone",
        Prompt::Repeat => "repeat",
        Prompt::NoSuchQuestion => "no_such_question",
        Prompt::LimitSoon => "limit_soon",
        Prompt::Thanks => "thanks",
        Prompt::Goodbye => "goodbye",
        Prompt::TooShort => "too_short",
        Prompt::OffHook => "off_hook",
        Prompt::OutOfOrder => "out_of_order",
        Prompt::Emergency => "emergency",
        Prompt::TestTone => "test_tone",
        Prompt::Question(name) => name,
    }
}

const NAMED: [Prompt; 12] = [
    Prompt::Notice,
    Prompt::Menu,
    Prompt::Tone,
    Prompt::Repeat,
    Prompt::NoSuchQuestion,
    Prompt::LimitSoon,
    Prompt::Thanks,
    Prompt::Goodbye,
    Prompt::TooShort,
    Prompt::OffHook,
    Prompt::OutOfOrder,
    Prompt::Emergency,
];

impl Prompts {
    /// Reads the named prompts and those of the questions; answers a sentence for each broken file.
    pub fn load(dir: &Path, language: &str, questions: &[String]) -> (Self, Vec<String>) {
        let folder = dir.join(language);
        let mut broken = Vec::new();
        let mut prompts = Self {
            sounds: HashMap::new(),
            notice_id: None,
        };
        let own = questions.iter().map(|name| Prompt::Question(name.clone()));
        for prompt in NAMED.into_iter().chain(own) {
            let sound = match read(&folder, file_name(&prompt)) {
                Ok(Some((bytes, sound))) => {
                    if prompt == Prompt::Notice {
                        prompts.notice_id = Some(hex(&Sha256::digest(&bytes))[..16].to_owned());
                    }
                    sound
                }
                Ok(None) => Sound::Tone(tones::tone_for(&prompt)),
                Err(why) => {
                    broken.push(format!("{why}; a tone stands in for it"));
                    Sound::Tone(tones::tone_for(&prompt))
                }
            };
            prompts.sounds.insert(prompt, sound);
        }
        (prompts, broken)
    }

    /// These bytes as the notice and nothing else: what the fuzz targets play.
    #[doc(hidden)]
    pub fn of_one_file(extension: &str, bytes: &[u8]) -> Result<Self, String> {
        let sound = decoded(extension, bytes)?;
        Ok(Self {
            sounds: HashMap::from([(Prompt::Notice, sound)]),
            notice_id: None,
        })
    }

    /// First 16 hex digits of the notice's SHA-256; `None` while a tone stands in for it.
    pub fn notice_id(&self) -> Option<&str> {
        self.notice_id.as_deref()
    }

    /// Begins to play a prompt.
    pub fn player(&self, prompt: &Prompt) -> Player<'_> {
        match self.sounds.get(prompt) {
            Some(Sound::Opus {
                packets,
                skip,
                samples,
            }) => Player {
                left: packets,
                decoder: opus::Decoder::new(48_000, opus::Channels::Mono).ok(),
                skip: *skip,
                samples: *samples,
                tone: None,
            },
            Some(Sound::Tone(tone)) => Player::tone(tone),
            None => Player::tone(tones::tone_for(prompt)),
        }
    }
}

/// Decodes one prompt piece by piece.
pub struct Player<'a> {
    left: &'a [Box<[u8]>],
    decoder: Option<opus::Decoder>,
    skip: usize,
    samples: u64,
    tone: Option<Vec<i16>>,
}

impl Player<'_> {
    fn tone(stretches: &[tones::Stretch]) -> Self {
        Self {
            left: &[],
            decoder: None,
            skip: 0,
            samples: 0,
            tone: Some(tones::samples(stretches)),
        }
    }

    /// The next piece, at most 120 ms; `None` at the end.
    pub fn next_piece(&mut self) -> Option<Vec<i16>> {
        if let Some(tone) = self.tone.take() {
            return Some(tone);
        }
        let decoder = self.decoder.as_mut()?;
        while let [packet, left @ ..] = self.left {
            if self.samples == 0 {
                return None; // what follows the end that the file names is not decoded
            }
            self.left = left;
            let mut pcm = vec![0; 5760];
            // A packet that cannot be decoded is a gap, not an end.
            let count = decoder.decode(packet, &mut pcm, false).unwrap_or(0);
            pcm.truncate(count);
            let skipped = self.skip.min(count);
            self.skip -= skipped;
            pcm.drain(..skipped);
            pcm.truncate(usize::try_from(self.samples).unwrap_or(usize::MAX));
            self.samples -= pcm.len() as u64;
            if !pcm.is_empty() {
                return Some(pcm);
            }
        }
        None
    }
}

fn read(folder: &Path, name: &str) -> Result<Option<(Vec<u8>, Sound)>, String> {
    for extension in ["opus", "wav"] {
        let path = folder.join(format!("{name}.{extension}"));
        let meta = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            meta => meta.map_err(|error| format!("{}: cannot be read: {error}", path.display()))?,
        };
        if meta.len() > MAX_FILE {
            return Err(format!(
                "{}: is larger than {MAX_FILE} bytes",
                path.display()
            ));
        }
        let bytes = std::fs::read(&path)
            .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
        return match decoded(extension, &bytes) {
            Ok(sound) => Ok(Some((bytes, sound))),
            Err(why) => Err(format!("{}: {why}", path.display())),
        };
    }
    Ok(None)
}

fn decoded(extension: &str, bytes: &[u8]) -> Result<Sound, String> {
    if extension == "opus" {
        from_ogg(bytes)
    } else {
        from_wav(bytes)
    }
}

/// Takes an Ogg Opus file apart (RFC 7845). One without an end is refused: it was cut short in copying.
fn from_ogg(bytes: &[u8]) -> Result<Sound, String> {
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
    Ok(Sound::Opus {
        packets,
        skip,
        samples,
    })
}

/// Reads 16-bit WAV of any rate, mixes to mono, resamples linearly and encodes.
fn from_wav(bytes: &[u8]) -> Result<Sound, String> {
    let mut reader = hound::WavReader::new(Cursor::new(bytes))
        .map_err(|error| format!("is no valid WAV file: {error}"))?;
    let spec = reader.spec();
    if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
        return Err("is not 16-bit PCM; convert it with sox or to Opus".into());
    }
    if !RATES.contains(&spec.sample_rate) {
        return Err(format!(
            "has {} samples per second; use {} to {}",
            spec.sample_rate,
            RATES.start(),
            RATES.end()
        ));
    }
    let channels = usize::from(spec.channels.max(1));
    let all: Result<Vec<i16>, _> = reader.samples::<i16>().collect();
    let all = all.map_err(|error| format!("is cut short: {error}"))?;
    let mono: Vec<f64> = all
        .chunks_exact(channels)
        .map(|frame| frame.iter().map(|sample| f64::from(*sample)).sum::<f64>() / channels as f64)
        .collect();
    let rate = f64::from(spec.sample_rate);
    let count = (mono.len() as f64 * 48_000.0 / rate) as u64;
    if count == 0 || count > MAX_SECONDS * 48_000 {
        return Err(format!("is empty or longer than {MAX_SECONDS} s"));
    }
    let at = |i: u64| {
        let place = i as f64 * rate / 48_000.0;
        let (low, part) = (place as usize, place.fract());
        let low_value = mono.get(low).copied().unwrap_or(0.0);
        let high_value = mono.get(low + 1).copied().unwrap_or(low_value);
        (low_value + (high_value - low_value) * part) as i16
    };
    let mut encoder = SpeechEncoder::new(32_000, 5).map_err(|error| error.to_string())?;
    let skip = encoder.pre_skip() as usize;
    let mut packets = Vec::new();
    let mut next = 0;
    while next < count + skip as u64 {
        let piece: Vec<i16> = (next..next + PACKET_SAMPLES as u64)
            .map(|i| if i < count { at(i) } else { 0 })
            .collect();
        next += PACKET_SAMPLES as u64;
        packets.push(
            encoder
                .packet(&piece)
                .map_err(|error| error.to_string())?
                .into_boxed_slice(),
        );
    }
    Ok(Sound::Opus {
        packets,
        skip,
        samples: count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::opus::OggOpus;

    fn speech() -> Vec<u8> {
        let mut encoder = SpeechEncoder::new(24_000, 5).expect("an encoder");
        let mut stream = OggOpus::new(1, encoder.pre_skip(), &[]);
        let tone = tones::samples(&[(500.0, 0.0, 1500)]);
        stream.push(&mut encoder, &tone).expect("encodes");
        let mut bytes = stream.take_page();
        bytes.extend(stream.finish(&mut encoder).expect("ends"));
        bytes
    }

    fn length(prompts: &Prompts, prompt: &Prompt) -> usize {
        let mut player = prompts.player(prompt);
        std::iter::from_fn(|| player.next_piece())
            .map(|piece| piece.len())
            .sum()
    }

    #[test]
    fn opus_and_wav_play_to_the_sample_and_a_cut_file_becomes_a_tone() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("da");
        std::fs::create_dir(&folder).expect("a folder");
        let whole = speech();
        std::fs::write(folder.join("notice.opus"), &whole).expect("written");
        std::fs::write(folder.join("thanks.opus"), &whole[..whole.len() - 40]).expect("written");
        std::fs::write(folder.join("goodbye.wav"), b"RIFFxxxx").expect("written");
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut wav = hound::WavWriter::create(folder.join("square.wav"), spec).expect("written");
        for _ in 0..32_000 {
            wav.write_sample(1000i16).expect("written");
        }
        wav.finalize().expect("written");
        let (prompts, broken) = Prompts::load(dir.path(), "da", &["square".into()]);
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(
            broken
                .iter()
                .any(|why| why.contains("thanks.opus") && why.contains("cut short")),
            "{broken:?}"
        );
        assert_eq!(length(&prompts, &Prompt::Notice), 72_000);
        assert_eq!(length(&prompts, &Prompt::Question("square".into())), 48_000);
        assert_eq!(
            length(&prompts, &Prompt::Thanks),
            tones::samples(tones::tone_for(&Prompt::Thanks)).len()
        );
        assert_eq!(prompts.notice_id().map(str::len), Some(16));
    }

    #[test]
    fn what_follows_the_end_of_a_prompt_is_not_decoded() {
        let mut encoder = SpeechEncoder::new(24_000, 0).expect("an encoder");
        let packet = encoder.packet(&[0; PACKET_SAMPLES]).expect("encodes");
        let sound = Sound::Opus {
            packets: vec![packet.into_boxed_slice(); 1_000],
            skip: 0,
            samples: 10,
        };
        let prompts = Prompts {
            sounds: HashMap::from([(Prompt::Notice, sound)]),
            notice_id: None,
        };
        let mut player = prompts.player(&Prompt::Notice);
        assert_eq!(player.next_piece().map(|piece| piece.len()), Some(10));
        assert!(player.next_piece().is_none());
        assert_eq!(player.left.len(), 999);
    }

    #[test]
    fn a_wav_file_at_a_rate_that_is_no_speech_is_refused() {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 23,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut bytes = Cursor::new(Vec::new());
        let mut wav = hound::WavWriter::new(&mut bytes, spec).expect("a header");
        (0..1_900).for_each(|_| wav.write_sample(0i16).expect("written"));
        wav.finalize().expect("written");
        let refused = Prompts::of_one_file("wav", bytes.get_ref());
        assert!(refused.is_err_and(|why| why.contains("4000 to 384000")));
    }

    #[test]
    fn an_absent_folder_is_all_tones_and_claims_no_notice() {
        let (prompts, broken) = Prompts::load(Path::new("no/such/folder"), "da", &[]);
        assert!(broken.is_empty());
        assert_eq!(prompts.notice_id(), None);
        assert!(length(&prompts, &Prompt::Notice) > 0);
    }
}
