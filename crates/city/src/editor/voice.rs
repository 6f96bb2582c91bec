//! The booth's own voice, as the booth plays it, for the preview of a visit.
//!
//! Owns: nothing; the recordings are the gateway's own files, so that a word that sounds otherwise there sounds otherwise here. Never does:
//! decode.

use gateway_core::prompt::{Language, Word};

macro_rules! recordings {
    ($( $variant:ident = $name:literal, $english:literal, $danish:literal; )*) => {
        /// The recording of a word, a whole Ogg Opus file.
        pub(super) fn recording(word: Word, language: Language) -> &'static [u8] {
            match (language, word) {
                $(
                    (Language::English, Word::$variant) => {
                        include_bytes!(concat!("../../../../src/adapters/voice/en/", $name, ".opus"))
                    }
                    (Language::Danish, Word::$variant) => {
                        include_bytes!(concat!("../../../../src/adapters/voice/da/", $name, ".opus"))
                    }
                )*
            }
        }
    };
}

gateway_core::words!(recordings);

/// The word of this name.
pub(super) fn word(name: &str) -> Option<Word> {
    Word::ALL.iter().find(|word| word.name() == name).copied()
}
