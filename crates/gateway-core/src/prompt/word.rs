//! The words of the booth's own voice and the languages it speaks.
//!
//! Owns: what a word is and how it is found. The table itself is `table`.

/// A language that the booth speaks by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// `en`, and where `[session] language` names another.
    English,
    /// `da`.
    Danish,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 2] = [Language::English, Language::Danish];

    /// The language of a tag such as `da` or `da-DK` (RFC 5646); English for one that the booth does not speak.
    pub fn of(tag: &str) -> Self {
        let primary = tag.split(['-', '_']).next().unwrap_or(tag).trim();
        if primary.eq_ignore_ascii_case("da") {
            Self::Danish
        } else {
            Self::English
        }
    }
}

macro_rules! enum_of_words {
    ($( $variant:ident = $name:literal, $english:literal, $danish:literal; )*) => {
        /// A word or a whole sentence that has a recording in every language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Word {
            $( #[doc = $english] $variant, )*
        }

        impl Word {
            /// The whole table, in its order.
            pub const ALL: &'static [Word] = &[ $( Word::$variant, )* ];

            /// The name of its recording, without folder and extension.
            pub fn name(self) -> &'static str {
                match self { $( Word::$variant => $name, )* }
            }

            /// What is said.
            pub fn text(self, language: Language) -> &'static str {
                match (language, self) {
                    $(
                        (Language::English, Word::$variant) => $english,
                        (Language::Danish, Word::$variant) => $danish,
                    )*
                }
            }
        }
    };
}

crate::words!(enum_of_words);

const LETTERS: [Word; 26] = [
    Word::LetterA,
    Word::LetterB,
    Word::LetterC,
    Word::LetterD,
    Word::LetterE,
    Word::LetterF,
    Word::LetterG,
    Word::LetterH,
    Word::LetterI,
    Word::LetterJ,
    Word::LetterK,
    Word::LetterL,
    Word::LetterM,
    Word::LetterN,
    Word::LetterO,
    Word::LetterP,
    Word::LetterQ,
    Word::LetterR,
    Word::LetterS,
    Word::LetterT,
    Word::LetterU,
    Word::LetterV,
    Word::LetterW,
    Word::LetterX,
    Word::LetterY,
    Word::LetterZ,
];

/// As they are read, not counted.
const DIGITS: [Word; 10] = [
    Word::Zero,
    Word::One,
    Word::Two,
    Word::Three,
    Word::Four,
    Word::Five,
    Word::Six,
    Word::Seven,
    Word::Eight,
    Word::Nine,
];

impl Word {
    /// A letter, a digit, or one of `-`, `.` and `:`.
    pub fn of_char(character: char) -> Option<Self> {
        match character.to_ascii_lowercase() {
            '-' => Some(Self::Dash),
            '.' => Some(Self::Dot),
            ':' => Some(Self::Colon),
            letter @ 'a'..='z' => LETTERS.get(letter as usize - 'a' as usize).copied(),
            digit => {
                let value = digit.to_digit(10)?;
                DIGITS.get(usize::try_from(value).ok()?).copied()
            }
        }
    }

    /// Silence after it, ms: the words of a number are near to each other, a letter stands apart, a sentence ends.
    pub fn pause_ms(self) -> u32 {
        let english = self.text(Language::English);
        if english.ends_with(['.', ':']) {
            350
        } else if english.len() == 1 || matches!(self, Self::Dash | Self::Dot | Self::Colon) {
            80
        } else {
            40
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_file_names_and_no_text_is_empty() {
        let mut names: Vec<&str> = Word::ALL.iter().map(|word| word.name()).collect();
        let plain = |name: &&str| {
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        assert!(names.iter().all(plain));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Word::ALL.len());
        for language in Language::ALL {
            assert!(Word::ALL.iter().all(|word| !word.text(language).is_empty()));
        }
    }

    #[test]
    fn letters_digits_and_signs_are_said_as_themselves() {
        for character in ('a'..='z').chain('0'..='9') {
            let word = Word::of_char(character).expect("a word");
            let number = format!("number_{character}");
            let letter = format!("letter_{character}");
            assert!(word.name() == number || word.name() == letter, "{word:?}");
        }
        assert_eq!(Word::of_char('-'), Some(Word::Dash));
        assert_eq!(Word::of_char('Q'), Some(Word::LetterQ));
        assert_eq!(Word::of_char('å'), None);
        assert_eq!(Word::of_char('٣'), None);
    }

    #[test]
    fn a_language_that_the_booth_does_not_speak_is_english() {
        assert_eq!(Language::of("da"), Language::Danish);
        assert_eq!(Language::of("DA-dk"), Language::Danish);
        for tag in ["en", "de", "", "dansk", "-", "\u{0}"] {
            assert_eq!(Language::of(tag), Language::English);
        }
    }
}
