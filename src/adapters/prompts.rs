//! The prompts of one language, from `prompts/<language>/<name>.opus` or `.wav`.
//!
//! Owns: reading them, and what stands in for a missing or broken one: a tone, or for a word the
//! booth's own voice. Opus stays encoded in memory until it is played; WAV is encoded when it is read.
//! Words are rarely said: of them nothing stays in memory, and a file is read again when it is played.
//! Never does: fail; a broken file is a warning.
#![allow(clippy::disallowed_methods)] // reads prompt files

mod ogg;
mod wav;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{tones, voice};
use crate::contract::hex;
use crate::gateway::session::Prompt;
use crate::gateway::spoken::{Language, Word};

/// Largest prompt file that is read, bytes.
const MAX_FILE: u64 = 8_000_000;
/// Longest prompt, seconds.
const MAX_SECONDS: u64 = 90;
/// The self-test's tone is played 16 dB below the others, some −30 dBFS: nobody in the street hears it.
const TEST_TONE_GAIN: f64 = 0.16;
/// Parts of a prompt below this level are its pauses, root mean square of samples: some −50 dBFS.
const PAUSE_LEVEL: f64 = 100.0;
/// Largest piece of sound, samples: 120 ms, the longest packet of Opus (RFC 6716 §2).
const PIECE: usize = 5_760;

/// A whole prompt, encoded.
struct Coded {
    packets: Vec<Box<[u8]>>,
    /// Samples to skip at the start.
    skip: usize,
    /// Samples to play.
    samples: u64,
}

enum Sound {
    Coded(Coded),
    Tone(&'static [tones::Stretch]),
}

/// Everything that can be played.
pub struct Prompts {
    sounds: HashMap<Prompt, Sound>,
    notice_id: Option<String>,
    language: Language,
    /// The off-hook tone is played at this share of its level: never louder than the notice.
    off_hook_gain: f64,
    /// The folder's files that are played instead of the booth's own voice.
    words: HashMap<Word, PathBuf>,
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
        Prompt::BoothName => "booth_name",
        Prompt::Pause => "pause",
        Prompt::Word(word) => word.name(),
    }
}

const NAMED: [Prompt; 13] = [
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
    Prompt::BoothName,
];

impl Prompts {
    /// Reads the named prompts and those of the questions; answers a sentence for each broken file.
    pub fn load(dir: &Path, language: &str, questions: &[String]) -> (Self, Vec<String>) {
        let folder = dir.join(language);
        let mut broken = Vec::new();
        let mut prompts = Self {
            sounds: HashMap::new(),
            notice_id: None,
            language: Language::of(language),
            off_hook_gain: 1.0,
            words: HashMap::new(),
        };
        let own = questions.iter().map(|name| Prompt::Question(name.clone()));
        for prompt in NAMED.into_iter().chain(own) {
            let sound = match find(&folder, file_name(&prompt))
                .and_then(|file| file.map(|file| Ok((file.coded()?, file.bytes))).transpose())
            {
                Ok(Some((coded, bytes))) => {
                    if prompt == Prompt::Notice {
                        prompts.notice_id = Some(hex(&Sha256::digest(&bytes))[..16].to_owned());
                    }
                    Sound::Coded(coded)
                }
                Ok(None) => Sound::Tone(tones::tone_for(&prompt)),
                Err(why) => {
                    broken.push(format!("{why}; a tone stands in for it"));
                    Sound::Tone(tones::tone_for(&prompt))
                }
            };
            prompts.sounds.insert(prompt, sound);
        }
        for word in Word::ALL {
            let file = find(&folder, word.name()).and_then(|file| {
                file.map(|file| file.check().map(|()| file.path))
                    .transpose()
            });
            match file {
                Ok(Some(path)) => drop(prompts.words.insert(*word, path)),
                Ok(None) => {}
                Err(why) => broken.push(format!("{why}; the booth's own voice stands in for it")),
            }
        }
        let level = |prompt| level(prompts.player(prompt));
        let (notice, off_hook) = (level(&Prompt::Notice), level(&Prompt::OffHook));
        prompts.off_hook_gain = (notice / off_hook.max(1.0)).min(1.0);
        (prompts, broken)
    }

    /// These bytes as the notice and nothing else: what the fuzz targets play.
    #[doc(hidden)]
    pub fn of_one_file(extension: &str, bytes: &[u8]) -> Result<Self, String> {
        Ok(Self {
            sounds: HashMap::from([(Prompt::Notice, Sound::Coded(coded(extension, bytes)?))]),
            notice_id: None,
            language: Language::English,
            off_hook_gain: 1.0,
            words: HashMap::new(),
        })
    }

    /// First 16 hex digits of the notice's SHA-256; `None` while a tone stands in for it.
    pub fn notice_id(&self) -> Option<&str> {
        self.notice_id.as_deref()
    }

    /// The folder has the booth's spoken name.
    pub fn has_booth_name(&self) -> bool {
        matches!(
            self.sounds.get(&Prompt::BoothName),
            Some(Sound::Coded { .. })
        )
    }

    /// Begins to play a prompt.
    pub fn player(&self, prompt: &Prompt) -> Player<'_> {
        if let Prompt::Word(word) = prompt {
            return self.saying(*word);
        }
        let gain = match prompt {
            Prompt::TestTone => TEST_TONE_GAIN,
            Prompt::OffHook => self.off_hook_gain,
            _ => 1.0,
        };
        let player = match self.sounds.get(prompt) {
            Some(Sound::Coded(coded)) => {
                Player::of(Cow::Borrowed(&coded.packets), coded.skip, coded.samples)
            }
            Some(Sound::Tone(tone)) => Player::tone(tone),
            None => Player::tone(tones::tone_for(prompt)),
        };
        Player { gain, ..player }
    }

    fn saying(&self, word: Word) -> Player<'_> {
        let own = self.words.get(&word).and_then(|path| {
            File::open(path.clone())
                .and_then(|file| file.coded())
                // It was whole when the prompts were loaded; the booth speaks nevertheless.
                .inspect_err(|why| log::warn!("{why}; the booth's own voice stands in for it"))
                .ok()
        });
        let coded = match own {
            Some(coded) => Ok(coded),
            None => ogg::from_ogg(voice::recording(word, self.language)),
        };
        match coded {
            Ok(coded) => Player {
                pause: word.pause_ms() as usize * 48,
                ..Player::of(Cow::Owned(coded.packets), coded.skip, coded.samples)
            },
            Err(_) => Player::tone(tones::tone_for(&Prompt::Word(word))),
        }
    }
}

/// The level of a prompt without its pauses: root mean square of its samples.
fn level(mut player: Player<'_>) -> f64 {
    let (mut squares, mut count) = (0.0, 0usize);
    while let Some(piece) = player.next_piece() {
        for block in piece.chunks(960) {
            let sum: f64 = block.iter().map(|s| f64::from(*s).powi(2)).sum();
            if sum > PAUSE_LEVEL.powi(2) * block.len() as f64 {
                squares += sum;
                count += block.len();
            }
        }
    }
    (squares / count.max(1) as f64).sqrt()
}

/// Decodes one prompt piece by piece.
pub struct Player<'a> {
    packets: Cow<'a, [Box<[u8]>]>,
    next: usize,
    decoder: Option<opus::Decoder>,
    skip: usize,
    samples: u64,
    tone: Option<Vec<i16>>,
    /// Everything is played at this share of its level.
    gain: f64,
    /// Samples of silence after the last packet.
    pause: usize,
}

impl<'a> Player<'a> {
    fn of(packets: Cow<'a, [Box<[u8]>]>, skip: usize, samples: u64) -> Self {
        Self {
            packets,
            next: 0,
            decoder: opus::Decoder::new(48_000, opus::Channels::Mono).ok(),
            skip,
            samples,
            tone: None,
            gain: 1.0,
            pause: 0,
        }
    }

    fn tone(stretches: &[tones::Stretch]) -> Self {
        Self {
            tone: Some(tones::samples(stretches)),
            decoder: None,
            ..Self::of(Cow::Borrowed(&[]), 0, 0)
        }
    }

    /// The next piece, at most 120 ms unless it is a tone; `None` at the end.
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
        if let Some(tone) = self.tone.take() {
            return Some(tone);
        }
        if let Some(piece) = self.next_of_recording() {
            return Some(piece);
        }
        let silence = self.pause.min(PIECE);
        self.pause -= silence;
        (silence > 0).then(|| vec![0; silence])
    }

    fn next_of_recording(&mut self) -> Option<Vec<i16>> {
        let decoder = self.decoder.as_mut()?;
        // What follows the end that the file names is not decoded.
        while self.samples > 0 {
            let packet = self.packets.get(self.next)?;
            self.next += 1;
            let mut pcm = vec![0; PIECE];
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

/// A file of the prompt folder.
struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn open(path: PathBuf) -> Result<Self, String> {
        let unreadable =
            |error: std::io::Error| format!("{}: cannot be read: {error}", path.display());
        let meta = std::fs::metadata(&path).map_err(unreadable)?;
        if meta.len() > MAX_FILE {
            let path = path.display();
            return Err(format!("{path}: is larger than {MAX_FILE} bytes"));
        }
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        Ok(Self { path, bytes })
    }

    fn extension(&self) -> &str {
        let extension = self.path.extension().and_then(|name| name.to_str());
        extension.unwrap_or_default()
    }

    fn coded(&self) -> Result<Coded, String> {
        coded(self.extension(), &self.bytes)
            .map_err(|why| format!("{}: {why}", self.path.display()))
    }

    /// Whether it can be played, without the work of encoding it.
    fn check(&self) -> Result<(), String> {
        let playable = match self.extension() {
            "opus" => ogg::from_ogg(&self.bytes).map(drop),
            _ => wav::Speech::read(&self.bytes).map(drop),
        };
        playable.map_err(|why| format!("{}: {why}", self.path.display()))
    }
}

fn find(folder: &Path, name: &str) -> Result<Option<File>, String> {
    for extension in ["opus", "wav"] {
        let path = folder.join(format!("{name}.{extension}"));
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            _ => return File::open(path).map(Some),
        }
    }
    Ok(None)
}

fn coded(extension: &str, bytes: &[u8]) -> Result<Coded, String> {
    if extension == "opus" {
        ogg::from_ogg(bytes)
    } else {
        wav::Speech::read(bytes)?.coded()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::adapters::opus::{OggOpus, PACKET_SAMPLES, SpeechEncoder};
    use crate::config::Band;

    fn speech() -> Vec<u8> {
        let mut encoder = SpeechEncoder::new(24_000, 5, Band::Wide).expect("an encoder");
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
        let mut encoder = SpeechEncoder::new(24_000, 0, Band::Wide).expect("an encoder");
        let packet = encoder.packet(&[0; PACKET_SAMPLES]).expect("encodes");
        let packets = vec![packet.into_boxed_slice(); 1_000];
        let mut player = Player::of(Cow::Borrowed(&packets), 0, 10);
        assert_eq!(player.next_piece().map(|piece| piece.len()), Some(10));
        assert!(player.next_piece().is_none());
        assert_eq!(player.next, 1);
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
    fn a_citys_recording_of_a_word_wins_and_a_broken_one_leaves_the_booths_own_voice() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("da");
        std::fs::create_dir(&folder).expect("a folder");
        let own = Prompts::load(dir.path(), "da", &[]).0;
        std::fs::write(folder.join("louder.opus"), speech()).expect("written");
        std::fs::write(folder.join("dot.opus"), b"rubbish").expect("written");
        std::fs::write(folder.join("dash.wav"), b"RIFFxxxx").expect("written");
        std::fs::write(folder.join("booth_name.opus"), speech()).expect("written");
        let (prompts, broken) = Prompts::load(dir.path(), "da", &[]);
        assert_eq!(broken.len(), 2, "{broken:?}");
        assert!(broken.iter().all(|why| why.contains("own voice")));
        assert!(prompts.has_booth_name() && !own.has_booth_name());
        let louder = Prompt::Word(Word::Louder);
        let pause = Word::Louder.pause_ms() as usize * 48;
        assert_eq!(length(&prompts, &louder), 72_000 + pause);
        for word in [Word::Dot, Word::Dash, Word::NoFaults] {
            let word = Prompt::Word(word);
            assert_eq!(length(&prompts, &word), length(&own, &word));
        }
        // The card loses the file while the booth is up.
        std::fs::remove_file(folder.join("louder.opus")).expect("removed");
        assert_eq!(length(&prompts, &louder), length(&own, &louder));
    }

    #[test]
    fn a_language_without_a_voice_is_spoken_in_english() {
        let load = |language| Prompts::load(Path::new("no/such/folder"), language, &[]).0;
        let word = Prompt::Word(Word::NotSetUp);
        let pieces = |prompts: &Prompts| -> Vec<i16> {
            let mut player = prompts.player(&word);
            std::iter::from_fn(|| player.next_piece())
                .flatten()
                .collect()
        };
        assert_eq!(pieces(&load("de")), pieces(&load("en")));
        assert_ne!(pieces(&load("da")), pieces(&load("en")));
    }

    #[test]
    fn the_off_hook_tone_is_never_louder_than_the_notice_and_the_test_tone_is_quiet() {
        let dir = tempfile::tempdir().expect("a folder");
        let (tones, _) = Prompts::load(dir.path(), "da", &[]);
        let of = |prompts: &Prompts, prompt| level(prompts.player(&prompt));
        assert!(of(&tones, Prompt::OffHook) <= of(&tones, Prompt::Notice) * 1.01);
        assert!((500.0..1_000.0).contains(&of(&tones, Prompt::TestTone)));
        // A city's own: a soft notice and an off-hook tone at full scale.
        let folder = dir.path().join("da");
        std::fs::create_dir(&folder).expect("a folder");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 48_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        for (name, amplitude) in [("notice", 2_000.0), ("off_hook", 30_000.0)] {
            let file = folder.join(format!("{name}.wav"));
            let mut wav = hound::WavWriter::create(file, spec).expect("written");
            for i in 0..48_000 {
                let wave = (f64::from(i) / 48.0).sin() * amplitude;
                wav.write_sample(wave as i16).expect("written");
            }
            wav.finalize().expect("written");
        }
        let (own, broken) = Prompts::load(dir.path(), "da", &[]);
        assert!(broken.is_empty(), "{broken:?}");
        let (notice, off_hook) = (of(&own, Prompt::Notice), of(&own, Prompt::OffHook));
        assert!((1_200.0..1_600.0).contains(&notice), "{notice}");
        assert!(off_hook <= notice * 1.05, "{off_hook} {notice}");
    }

    #[test]
    fn an_absent_folder_is_all_tones_and_claims_no_notice() {
        let (prompts, broken) = Prompts::load(Path::new("no/such/folder"), "da", &[]);
        assert!(broken.is_empty());
        assert_eq!(prompts.notice_id(), None);
        assert!(length(&prompts, &Prompt::Notice) > 0);
    }
}
