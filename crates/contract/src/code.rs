//! One-time codes for votes: ten digits of a list that the hub makes (contract §3.9 on codes of any kind).
//!
//! Owns: what a code is made of and its check digit, the same as a receipt's. Never does: show a digit, or know which codes are on a list.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::receipt::{ALWAYS_EMERGENCY, BadReceipt, checked, digits_of, fill, holds, text_of};

/// How many digits a code has, the check digit included: two fewer than a receipt, so that neither is taken for the other.
pub const CODE_DIGITS: usize = 10;
/// How many codes are tried before a list of emergency numbers counts as one that leaves none.
const TRIES: usize = 10_000;

/// A one-time code: nine random digits and a check digit. Overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeCode(Box<[u8; CODE_DIGITS]>);

/// Why dialled or typed digits are no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCode {
    /// There are not ten digits.
    Length(usize),
    /// Something in it is no digit.
    NoDigit,
    /// The check digit does not fit: a digit is wrong, or two were swapped.
    Check,
}

impl fmt::Display for BadCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(digits) => {
                write!(f, "a code has {CODE_DIGITS} digits, and these are {digits}")
            }
            Self::NoDigit => f.write_str("a code is made of digits alone"),
            Self::Check => f.write_str("a digit of this code is wrong: compare it with the paper"),
        }
    }
}

impl std::error::Error for BadCode {}

/// The same fault of the same digits, in a code's words.
impl From<BadReceipt> for BadCode {
    fn from(bad: BadReceipt) -> Self {
        match bad {
            BadReceipt::Length(digits) => Self::Length(digits),
            BadReceipt::NoDigit => Self::NoDigit,
            BadReceipt::Check => Self::Check,
        }
    }
}

impl OneTimeCode {
    /// Makes a code that contains neither `112` nor one of these emergency numbers (digits 0 to 9), whatever was dialled right before
    /// it: it does not begin with the end of one, either. `random` fills what it is given with bytes that nobody can foresee. `None` if
    /// the numbers leave no code, or `random` gives nothing but the same.
    pub fn generate(mut random: impl FnMut(&mut [u8]), emergency: &[Vec<u8>]) -> Option<Self> {
        for _ in 0..TRIES {
            let mut code = Self(Box::new([0; CODE_DIGITS]));
            fill(&mut code.0[..], &mut random)?;
            let is_near = |number: &[u8]| {
                let begins = (1..number.len()).any(|from| code.0.starts_with(&number[from..]));
                begins || holds(&code.0[..], 0, number)
            };
            if !is_near(&ALWAYS_EMERGENCY) && !emergency.iter().any(|number| is_near(number)) {
                return Some(code);
            }
        }
        None
    }

    /// Takes digits, each 0 to 9, as they were dialled.
    ///
    /// # Errors
    /// They are no code.
    pub fn parse(digits: &[u8]) -> Result<Self, BadCode> {
        Ok(Self(checked(digits)?))
    }

    /// Takes a text as people write it: blanks, dots and hyphens between the digits do not count.
    ///
    /// # Errors
    /// It is no code.
    pub fn parse_text(text: &str) -> Result<Self, BadCode> {
        let digits = digits_of(text, CODE_DIGITS)?;
        Self::parse(&digits)
    }

    /// The digits as a text of ten characters.
    pub fn to_text(&self) -> Zeroizing<String> {
        text_of(&self.0[..])
    }

    /// The same in groups, for paper: `012 345 6789`.
    pub fn for_paper(&self) -> Zeroizing<String> {
        let text = self.to_text();
        Zeroizing::new([&text[..3], &text[3..6], &text[6..]].join(" "))
    }
}

impl Drop for OneTimeCode {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Without a digit.
impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTimeCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that repeat with their seed (splitmix64).
    fn chance(mut seed: u64) -> impl FnMut(&mut [u8]) {
        move |bytes| {
            for byte in bytes {
                seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                *byte = (mixed ^ (mixed >> 31)) as u8;
            }
        }
    }

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn no_code_of_a_million_contains_an_emergency_number_whatever_was_dialled_before_it() {
        let numbers = ["911", "999"].map(digits);
        let mut random = chance(1);
        for _ in 0..1_000_000 {
            let code = OneTimeCode::generate(&mut random, &numbers).expect("a code");
            let text = code.to_text();
            for number in ["112", "911", "999"] {
                assert!(!text.contains(number), "{}", *text);
                for before in 1..number.len() {
                    let dialled = format!("{}{}", &number[..before], *text);
                    assert!(!dialled.contains(number), "{dialled}");
                }
            }
            assert_eq!(OneTimeCode::parse_text(&text), Ok(code));
        }
    }

    #[test]
    fn every_single_wrong_digit_is_caught_and_what_is_no_code_is_told() {
        let code = OneTimeCode::generate(chance(3), &[]).expect("a code");
        let right = digits(&code.to_text());
        for at in 0..CODE_DIGITS {
            for wrong in (0..10).filter(|wrong| *wrong != right[at]) {
                let mut digits = right.clone();
                digits[at] = wrong;
                assert_eq!(OneTimeCode::parse(&digits), Err(BadCode::Check));
            }
        }
        assert_eq!(OneTimeCode::parse_text(&code.for_paper()), Ok(code.clone()));
        assert_eq!(OneTimeCode::parse(&right[1..]), Err(BadCode::Length(9)));
        assert_eq!(OneTimeCode::parse(&[10; 10]), Err(BadCode::NoDigit));
        assert_eq!(OneTimeCode::parse_text("12"), Err(BadCode::Length(2)));
        let long = format!("{}1", *code.to_text());
        assert_eq!(OneTimeCode::parse_text(&long), Err(BadCode::Length(11)));
        assert_eq!(OneTimeCode::parse_text("x"), Err(BadCode::NoDigit));
        assert_eq!(format!("{code:?}"), "OneTimeCode");
    }

    #[test]
    fn numbers_that_leave_no_code_give_none_and_end() {
        let all: Vec<Vec<u8>> = (0..10).map(|digit| vec![digit]).collect();
        assert_eq!(OneTimeCode::generate(chance(1), &all), None);
        assert_eq!(OneTimeCode::generate(|_| {}, &[]), None);
    }
}
