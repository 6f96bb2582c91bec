//! Numbers as they are said.
//!
//! Owns: the order of a number's words. Danish says the ones before the tens ("en og tyve") and
//! counts in two genders ("en besked", "et minut"); in English both are "one".

use crate::prompt::{Language, Word};

/// The largest number that is said; a larger one becomes "more than" this.
pub(super) const MAX_NUMBER: u64 = 999_999;

/// The gender of what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gender {
    /// "en": besked, time, dag, fejl.
    Common,
    /// "et": minut, hundrede, tusind.
    Neuter,
}

const BELOW_TWENTY: [Word; 20] = [
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
    Word::Ten,
    Word::Eleven,
    Word::Twelve,
    Word::Thirteen,
    Word::Fourteen,
    Word::Fifteen,
    Word::Sixteen,
    Word::Seventeen,
    Word::Eighteen,
    Word::Nineteen,
];

const TENS: [Word; 8] = [
    Word::Twenty,
    Word::Thirty,
    Word::Forty,
    Word::Fifty,
    Word::Sixty,
    Word::Seventy,
    Word::Eighty,
    Word::Ninety,
];

/// A number of things of this gender.
pub(super) fn words(value: u64, gender: Gender, language: Language) -> Vec<Word> {
    let mut said = Vec::new();
    if value > MAX_NUMBER {
        said.push(Word::MoreThan);
    }
    let value = value.min(MAX_NUMBER);
    let (thousands, rest) = (value / 1_000, value % 1_000);
    if thousands > 0 {
        below_thousand(thousands, Gender::Neuter, language, &mut said);
        said.push(Word::Thousand);
        if (1..100).contains(&rest) {
            said.push(Word::And);
        }
    }
    if rest > 0 || thousands == 0 {
        below_thousand(rest, gender, language, &mut said);
    }
    said
}

fn below_thousand(value: u64, gender: Gender, language: Language, said: &mut Vec<Word>) {
    let (hundreds, rest) = (value / 100, value % 100);
    if hundreds > 0 {
        said.push(small(hundreds, Gender::Neuter));
        said.push(Word::Hundred);
        if rest > 0 {
            said.push(Word::And);
        }
    }
    match rest {
        0 if hundreds > 0 => {}
        0..20 => said.push(small(rest, gender)),
        _ => {
            let (tens, ones) = (ten(rest / 10), rest % 10);
            match (ones, language) {
                (0, _) => said.push(tens),
                (_, Language::English) => said.extend([tens, small(ones, gender)]),
                // Before a ten the one is always "en".
                (_, Language::Danish) => {
                    said.extend([small(ones, Gender::Common), Word::And, tens]);
                }
            }
        }
    }
}

fn small(value: u64, gender: Gender) -> Word {
    if value == 1 && gender == Gender::Common {
        return Word::OneCommon;
    }
    BELOW_TWENTY[(value % 20) as usize]
}

/// `tens` is 2 to 9.
fn ten(tens: u64) -> Word {
    TENS[(tens.clamp(2, 9) - 2) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: u64, gender: Gender, language: Language) -> String {
        let texts: Vec<&str> = words(value, gender, language)
            .into_iter()
            .map(|word| word.text(language))
            .collect();
        texts.join(" ")
    }

    #[test]
    fn danish_says_the_ones_before_the_tens_and_minds_the_gender() {
        let common = |value| said(value, Gender::Common, Language::Danish);
        let neuter = |value| said(value, Gender::Neuter, Language::Danish);
        for (value, wanted) in [
            (0, "nul"),
            (1, "en"),
            (2, "to"),
            (20, "tyve"),
            (21, "en og tyve"),
            (32, "to og tredive"),
            (43, "tre og fyrre"),
            (50, "halvtreds"),
            (64, "fire og tres"),
            (75, "fem og halvfjerds"),
            (86, "seks og firs"),
            (97, "syv og halvfems"),
            (100, "et hundrede"),
            (101, "et hundrede og en"),
            (121, "et hundrede og en og tyve"),
            (1_000, "et tusind"),
            (1_001, "et tusind og en"),
            (1_100, "et tusind et hundrede"),
            (21_000, "en og tyve tusind"),
            (101_019, "et hundrede og et tusind og nitten"),
            (
                1_000_000,
                "mere end ni hundrede og ni og halvfems tusind ni hundrede og ni og halvfems",
            ),
        ] {
            assert_eq!(common(value), wanted);
        }
        assert_eq!(neuter(1), "et");
        assert_eq!(neuter(21), "en og tyve");
        assert_eq!(neuter(301), "tre hundrede og et");
    }

    #[test]
    fn english_says_the_tens_before_the_ones() {
        let english = |value| said(value, Gender::Common, Language::English);
        for (value, wanted) in [
            (0, "zero"),
            (1, "one"),
            (12, "twelve"),
            (21, "twenty one"),
            (90, "ninety"),
            (121, "one hundred and twenty one"),
            (2_005, "two thousand and five"),
            (2_500, "two thousand five hundred"),
            (
                u64::MAX,
                "more than nine hundred and ninety nine thousand nine hundred and ninety nine",
            ),
        ] {
            assert_eq!(english(value), wanted);
        }
    }

    /// The number that the words mean, added up independently of the code above.
    fn heard(text: &str, language: Language) -> u64 {
        let value = |word: &str| {
            (0..20)
                .chain((20..100).step_by(10))
                .chain([100, 1_000])
                .find(|value| {
                    let name = format!("number_{value}");
                    Word::ALL
                        .iter()
                        .any(|known| known.name() == name && known.text(language) == word)
                })
                .or((word == "en").then_some(1))
                .unwrap_or(0)
        };
        let (mut whole, mut part) = (0, 0);
        for word in text
            .split(' ')
            .filter(|word| !matches!(*word, "and" | "og"))
        {
            match value(word) {
                1_000 => {
                    whole = part * 1_000;
                    part = 0;
                }
                100 => part *= 100,
                value => part += value,
            }
        }
        whole + part
    }

    #[test]
    fn every_number_up_to_the_largest_means_itself() {
        for language in Language::ALL {
            for value in (0..=2_200)
                .chain((2_200..=MAX_NUMBER).step_by(997))
                .chain([MAX_NUMBER])
            {
                for gender in [Gender::Common, Gender::Neuter] {
                    let text = said(value, gender, language);
                    assert_eq!(heard(&text, language), value, "{text}");
                }
            }
        }
    }
}
