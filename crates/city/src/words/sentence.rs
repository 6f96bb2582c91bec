//! A sentence for a reader whose language is not known yet.
//!
//! Owns: what a refusal carries instead of words. Whoever refuses names a text of the files of languages and fills its gaps with
//! [`sentence!`](crate::sentence); whoever shows it says it in the reader's language ([`Words::tell`](super::Words::tell)). In the log and on
//! the command line it reads in the program's own English. Never does: hold words of its own; a test reads the sources for that.

use std::fmt;
use std::sync::LazyLock;

use fluent_bundle::FluentValue;

use super::Words;

/// The languages of the program itself, without a city's changes.
static OWN: LazyLock<Option<Words>> = LazyLock::new(|| Words::read(None).ok());

/// A text of the files of languages, with what fills its gaps. [`sentence!`](crate::sentence) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    name: &'static str,
    gaps: Vec<(&'static str, Gap)>,
}

/// What fills a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// What somebody typed, a name, a day, or what another program said.
    Text(String),
    /// A number, by which a language may choose its plural.
    Number(i64),
    /// A sentence, in the reader's language.
    Said(Box<Sentence>),
    /// Several, with this between them.
    Several(Vec<Sentence>, &'static str),
}

/// A text of the files of languages by its name, with its gaps: `sentence!("places-no-area")`, `sentence!("areas-too-many", n = 501)`.
#[macro_export]
macro_rules! sentence {
    ($name:literal $(, $gap:ident = $value:expr)* $(,)?) => {
        $crate::words::Sentence::of($name, vec![$((stringify!($gap), $crate::words::Gap::from($value))),*])
    };
}

impl Sentence {
    /// For [`sentence!`](crate::sentence) alone, whose names and gaps a test holds against the files.
    #[doc(hidden)]
    pub fn of(name: &'static str, gaps: Vec<(&'static str, Gap)>) -> Self {
        Self { name, gaps }
    }

    /// Its name in the files of languages.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// In the program's own English.
impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*OWN {
            Some(words) => f.write_str(&words.tell("en", self)),
            None => f.write_str(self.name),
        }
    }
}

impl Words {
    /// Says a sentence in a language.
    pub fn tell(&self, language: &str, sentence: &Sentence) -> String {
        let filled = |gap: &Gap| -> FluentValue<'static> {
            match gap {
                Gap::Text(text) => text.clone().into(),
                Gap::Number(number) => (*number).into(),
                Gap::Said(sentence) => self.tell(language, sentence).into(),
                Gap::Several(sentences, between) => {
                    let said: Vec<_> = sentences
                        .iter()
                        .map(|one| self.tell(language, one))
                        .collect();
                    said.join(between).into()
                }
            }
        };
        let gaps: Vec<_> = sentence
            .gaps
            .iter()
            .map(|(gap, value)| (*gap, filled(value)))
            .collect();
        self.say_with(language, sentence.name, &gaps)
    }
}

impl From<String> for Gap {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Gap {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<&str> for Gap {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<usize> for Gap {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Sentence> for Gap {
    fn from(sentence: Sentence) -> Self {
        Self::Said(Box::new(sentence))
    }
}

impl From<(Vec<Sentence>, &'static str)> for Gap {
    fn from((sentences, between): (Vec<Sentence>, &'static str)) -> Self {
        Self::Several(sentences, between)
    }
}
