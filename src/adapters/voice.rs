//! The booth's own voice, embedded in the program, so that it speaks with any card and any prompt folder.
//!
//! Owns: one Ogg Opus file for each word and language. They are made by `voice/make.sh` from the
//! table of words; a word without a recording does not compile. Never does: decode.

use gateway_core::prompt::{Language, Word};

macro_rules! recordings {
    ($( $variant:ident = $name:literal, $english:literal, $danish:literal; )*) => {
        /// The recording of a word, a whole Ogg Opus file.
        pub fn recording(word: Word, language: Language) -> &'static [u8] {
            match (language, word) {
                $(
                    (Language::English, Word::$variant) => {
                        include_bytes!(concat!("voice/en/", $name, ".opus"))
                    }
                    (Language::Danish, Word::$variant) => {
                        include_bytes!(concat!("voice/da/", $name, ".opus"))
                    }
                )*
            }
        }
    };
}

gateway_core::words!(recordings);

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // reads the folder of recordings

    use std::path::{Path, PathBuf};

    use super::*;
    use crate::adapters::prompts::Prompts;
    use gateway_core::prompt::Prompt;

    /// Largest sum of all recordings, bytes: the program stays small enough to be sent over a metered link.
    const MOST: usize = 1_110_000;
    /// Samples below this are silence: −48 dBFS.
    const SILENT: i16 = 130;

    fn folder(language: Language) -> PathBuf {
        let name = match language {
            Language::English => "en",
            Language::Danish => "da",
        };
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/adapters/voice")
            .join(name)
    }

    fn tag(language: Language) -> &'static str {
        match language {
            Language::English => "en",
            Language::Danish => "da",
        }
    }

    fn each() -> impl Iterator<Item = (Language, Word)> {
        Language::ALL
            .into_iter()
            .flat_map(|language| Word::ALL.iter().map(move |word| (language, *word)))
    }

    /// What the earpiece plays of a word, without the pause after it.
    fn samples(language: Language, word: Word) -> Vec<i16> {
        let (prompts, broken) = Prompts::load(Path::new("no/such/folder"), tag(language), &[]);
        assert!(broken.is_empty());
        let mut player = prompts.player(&Prompt::Word(word));
        let mut all: Vec<i16> = std::iter::from_fn(|| player.next_piece())
            .flatten()
            .collect();
        let pause = booth_audio::Samples::in_ms(u64::from(word.pause_ms())).as_len();
        let after = all.split_off(all.len().saturating_sub(pause));
        assert!(after.len() == pause && after.iter().all(|sample| *sample == 0));
        all
    }

    #[test]
    fn every_recording_belongs_to_a_word_and_says_the_text_of_today() {
        for language in Language::ALL {
            let mut files: Vec<String> = std::fs::read_dir(folder(language))
                .expect("a folder")
                .map(|entry| entry.expect("an entry").file_name())
                .filter_map(|name| Some(name.to_str()?.strip_suffix(".opus")?.to_owned()))
                .collect();
            files.sort_unstable();
            let mut names: Vec<&str> = Word::ALL.iter().map(|word| word.name()).collect();
            names.sort_unstable();
            assert_eq!(files, names);
            let said: String = Word::ALL
                .iter()
                .map(|word| format!("{}\t{}\n", word.name(), word.text(language)))
                .collect();
            let recorded = std::fs::read_to_string(folder(language).join("words.tsv"));
            assert_eq!(
                recorded.expect("the list"),
                said,
                "a text has changed: run src/adapters/voice/make.sh"
            );
        }
    }

    #[test]
    fn every_recording_is_equally_loud_and_begins_and_ends_at_once() {
        for (language, word) in each() {
            let all = samples(language, word);
            let what = format!("{}/{}", tag(language), word.name());
            let seconds = all.len() as f64 / 48_000.0;
            assert!((0.2..10.0).contains(&seconds), "{what}: {seconds} s");
            let power: f64 = all.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            let rms = 10.0 * (power / all.len() as f64 / 32_768f64.powi(2)).log10();
            assert!((-24.5..-19.0).contains(&rms), "{what}: {rms:.1} dBFS RMS");
            let peak = all.iter().map(|sample| sample.unsigned_abs()).max();
            let peak = 20.0 * (f64::from(peak.unwrap_or(0)) / 32_768.0).log10();
            assert!(peak <= -3.0, "{what}: peak {peak:.1} dBFS");
            let loud = |sample: &i16| sample.unsigned_abs() > SILENT.unsigned_abs();
            let before = all.iter().position(loud).unwrap_or(all.len());
            let after = all.iter().rev().position(loud).unwrap_or(all.len());
            let most = 80 * 48;
            assert!(
                before <= most && after <= most,
                "{what}: {before} and {after} samples of silence"
            );
        }
    }

    #[test]
    fn no_two_words_sound_the_same_unless_their_text_is_the_same() {
        for language in Language::ALL {
            for (at, word) in Word::ALL.iter().enumerate() {
                for other in &Word::ALL[at + 1..] {
                    assert_eq!(
                        word.text(language) == other.text(language),
                        recording(*word, language) == recording(*other, language),
                        "{word:?} and {other:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_whole_voice_is_small() {
        let bytes: usize = each()
            .map(|(language, word)| recording(word, language).len())
            .sum();
        assert!(bytes <= MOST, "{bytes} bytes");
    }
}
