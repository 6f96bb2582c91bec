//! Receipts: the twelve digits with which a citizen takes a message back (contract §3.9).
//!
//! Owns: what a receipt is made of, its check digit (ISO 7064 MOD 11,10), and the texts in which it is sealed. Never does: seal, or
//! show a digit: whoever knows a receipt can delete a message, so its digits are overwritten in memory and printed nowhere.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use super::ClipId;

/// How many digits a receipt has, the check digit included.
pub const DIGITS: usize = 12;
/// An emergency number that no code contains, whatever is configured (contract §3.9).
pub const ALWAYS_EMERGENCY: [u8; 3] = [1, 1, 2];
/// How many codes are tried before a list of forbidden numbers counts as one that leaves no code. With `112` alone one in a hundred
/// codes is forbidden; with every two-digit number but a few, all are.
const TRIES: usize = 10_000;

/// A receipt: eleven random digits and a check digit. Overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt(Box<[u8; DIGITS]>);

/// Why dialled digits are no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadReceipt {
    /// There are not twelve digits.
    Length(usize),
    /// Something in it is no digit.
    NoDigit,
    /// The check digit does not fit: a digit is wrong, or two were swapped.
    Check,
}

impl fmt::Display for BadReceipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(digits) => {
                write!(f, "a receipt has {DIGITS} digits, and these are {digits}")
            }
            Self::NoDigit => f.write_str("a receipt is made of digits alone"),
            Self::Check => {
                f.write_str("a digit of this receipt is wrong: compare it with what you wrote down")
            }
        }
    }
}

impl std::error::Error for BadReceipt {}

impl Receipt {
    /// Makes a receipt that contains none of the `forbidden` numbers (digits 0 to 9) and not `112`. `random` fills what it is given
    /// with bytes that nobody can foresee. `None` if the forbidden numbers leave no receipt, or `random` gives nothing but the same.
    pub fn generate(random: impl FnMut(&mut [u8]), forbidden: &[Vec<u8>]) -> Option<Self> {
        Self::generate_after(&[], random, forbidden)
    }

    /// The same, for a receipt that is dialled right after these digits: none of the numbers is in both together, either, except
    /// where the prefix alone has it.
    pub fn generate_after(
        prefix: &[u8],
        mut random: impl FnMut(&mut [u8]),
        forbidden: &[Vec<u8>],
    ) -> Option<Self> {
        for _ in 0..TRIES {
            let mut receipt = Self(Box::new([0; DIGITS]));
            fill(&mut receipt.0[..], &mut random)?;
            let dialled = Zeroizing::new([prefix, &receipt.0[..]].concat());
            let has = |number: &[u8]| holds(&dialled, prefix.len(), number);
            if !has(&ALWAYS_EMERGENCY) && !forbidden.iter().any(|number| has(number)) {
                return Some(receipt);
            }
        }
        None
    }

    /// Takes digits, each 0 to 9, as they were dialled.
    ///
    /// # Errors
    /// They are no receipt.
    pub fn parse(digits: &[u8]) -> Result<Self, BadReceipt> {
        checked(digits).map(Self)
    }

    /// Takes a text as people write it: blanks, dots and hyphens between the digits do not count.
    ///
    /// # Errors
    /// It is no receipt.
    pub fn parse_text(text: &str) -> Result<Self, BadReceipt> {
        let digits = digits_of(text, DIGITS)?;
        Self::parse(&digits)
    }

    /// The digits, each 0 to 9. Whoever takes them overwrites them.
    pub fn digits(&self) -> [u8; DIGITS] {
        *self.0
    }

    /// The digits as a text of twelve characters.
    pub fn to_text(&self) -> Zeroizing<String> {
        text_of(&self.0[..])
    }

    /// What is sealed into the manifest of a clip (contract §3.3, `sealed`): JSON. `code` is the one-time code with which a vote was cast.
    pub fn text_for_clip(&self, clip_id: &ClipId, code: Option<&str>) -> Zeroizing<Vec<u8>> {
        written(&ClipSecret {
            v: SECRET_VERSION,
            clip_id: clip_id.clone(),
            receipt: Secret(self.to_text()),
            code: code.map(|code| Secret(Zeroizing::new(code.to_owned()))),
        })
    }

    /// What is sealed into a withdrawal: JSON.
    pub fn text_for_withdrawal(&self, id: &ClipId) -> Zeroizing<Vec<u8>> {
        written(&WithdrawalSecret {
            v: SECRET_VERSION,
            id: id.clone(),
            receipt: Secret(self.to_text()),
        })
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Without a digit.
impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}

/// Fills all but the last with random digits, and the last with their check digit; `None` from a source that gives no usable byte.
pub(super) fn fill(digits: &mut [u8], random: &mut impl FnMut(&mut [u8])) -> Option<()> {
    let (check, drawn) = digits.split_last_mut()?;
    for place in &mut *drawn {
        *place = random_digit(random)?;
    }
    *check = check_digit(drawn);
    Some(())
}

/// These digits, each 0 to 9, if they are so many and the last one is the check digit of the others.
pub(super) fn checked<const N: usize>(digits: &[u8]) -> Result<Box<[u8; N]>, BadReceipt> {
    let digits: &[u8; N] = digits
        .try_into()
        .map_err(|_| BadReceipt::Length(digits.len()))?;
    if digits.iter().any(|digit| *digit > 9) {
        return Err(BadReceipt::NoDigit);
    }
    match check_digit(&digits[..N - 1]) == digits[N - 1] {
        true => Ok(Box::new(*digits)),
        false => Err(BadReceipt::Check),
    }
}

/// Digits as a text.
pub(super) fn text_of(digits: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(digits.len()));
    for digit in digits {
        text.push(char::from(b'0' + digit));
    }
    text
}

/// The digits of a text of at most so many, without what people write between them.
pub(super) fn digits_of(text: &str, most: usize) -> Result<Zeroizing<Vec<u8>>, BadReceipt> {
    let mut digits = Zeroizing::new(Vec::with_capacity(most));
    for character in text.chars() {
        match character.to_digit(10) {
            // Nothing longer is read, so that the buffer never grows and leaves digits behind.
            Some(_) if digits.len() == most => return Err(BadReceipt::Length(most + 1)),
            Some(digit) => digits.push(digit as u8),
            None if character.is_whitespace() || matches!(character, '-' | '.' | '–') => {}
            None => return Err(BadReceipt::NoDigit),
        }
    }
    Ok(digits)
}

/// A digit of which each is as likely as any other; `None` from a source that gives no usable byte.
fn random_digit(random: &mut impl FnMut(&mut [u8])) -> Option<u8> {
    // 250 is the largest multiple of ten in a byte.
    (0..TRIES).find_map(|_| {
        let mut byte = Zeroizing::new([u8::MAX]);
        random(&mut *byte);
        (byte[0] < 250).then(|| byte[0] % 10)
    })
}

/// Whether `number` is in `digits`, not all of it before `from`.
pub(super) fn holds(digits: &[u8], from: usize, number: &[u8]) -> bool {
    !number.is_empty()
        && digits
            .windows(number.len())
            .enumerate()
            .any(|(at, window)| at + number.len() > from && window == number)
}

/// The check digit of ISO 7064, MOD 11,10.
fn check_digit(digits: &[u8]) -> u8 {
    let product = digits.iter().fold(10_u32, |product, digit| {
        let sum = match (product + u32::from(*digit)) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    ((11 - product) % 10) as u8
}

/// Version of the sealed texts.
const SECRET_VERSION: u32 = 1;

/// A text that is overwritten when it is dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Zeroizing::new(String::deserialize(deserializer)?)))
    }
}

/// The content of the age file in a manifest's `sealed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClipSecret {
    /// 1.
    pub v: u32,
    /// The clip that it was sealed for.
    pub clip_id: ClipId,
    /// Twelve digits ([`Receipt::parse_text`]).
    pub receipt: Secret,
    /// The one-time code with which a vote was cast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Secret>,
}

/// The content of the age file in a withdrawal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawalSecret {
    /// 1.
    pub v: u32,
    /// The withdrawal that it was sealed for.
    pub id: ClipId,
    /// Twelve digits ([`Receipt::parse_text`]).
    pub receipt: Secret,
}

/// Longest sealed text, in bytes: a buffer that grew would leave the digits behind in memory.
const LONGEST_SECRET: usize = 1024;

fn written(secret: &impl Serialize) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_SECRET));
    serde_json::to_writer(&mut *text, secret).expect("a secret holds only texts and a number");
    text
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

    fn numbers(all: &[&str]) -> Vec<Vec<u8>> {
        let digits = |text: &&str| text.bytes().map(|byte| byte - b'0').collect();
        all.iter().map(digits).collect()
    }

    #[test]
    fn the_check_digit_is_that_of_iso_7064() {
        // German tax numbers (their digits alone), Croatian OIBs, and numbers of other implementations.
        for known in [
            "86095742719",
            "47036892816",
            "65929970489",
            "33392005961",
            "794623",
            "002006673085",
        ] {
            let digits = &numbers(&[known])[0];
            let (check, rest) = digits.split_last().expect("digits");
            assert_eq!(check_digit(rest), *check, "{known}");
        }
    }

    #[test]
    fn no_code_of_a_million_contains_an_emergency_number_also_across_its_prefix() {
        for (seed, forbidden) in [
            (1, numbers(&["112"])),
            (2, numbers(&["911", "999"])),
            (3, numbers(&["112", "001", "0001", "114"])),
        ] {
            let mut random = chance(seed);
            let mut seen = [0_u32; 10];
            for _ in 0..1_000_000 {
                let receipt =
                    Receipt::generate_after(&[0, 0, 0], &mut random, &forbidden).expect("a code");
                let dialled = format!("000{}", *receipt.to_text());
                assert!(!dialled.contains("112"), "{dialled}");
                for number in &forbidden {
                    let number: String = number.iter().map(|d| char::from(b'0' + d)).collect();
                    assert!(!dialled.contains(&number), "{dialled} has {number}");
                }
                assert_eq!(Receipt::parse(&receipt.digits()), Ok(receipt.clone()));
                seen[usize::from(receipt.digits()[3])] += 1;
            }
            // Each digit comes about as often as any other.
            assert!(
                seen.iter().all(|n| (90_000..110_000).contains(n)),
                "{seen:?}"
            );
        }
    }

    #[test]
    fn numbers_that_leave_no_code_give_none_and_end() {
        let all: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(Receipt::generate(chance(1), &numbers(&all)), None);
        assert_eq!(Receipt::generate(|_| {}, &[]), None);
        assert_eq!(
            Receipt::generate(|bytes| bytes.fill(1), &numbers(&["11"])),
            None
        );
        // An empty number forbids nothing, and one that the prefix has by itself neither.
        assert!(Receipt::generate(chance(1), &[Vec::new()]).is_some());
        let zeros = numbers(&["000"]);
        let receipt = Receipt::generate_after(&[0, 0, 0], chance(1), &zeros).expect("a code");
        assert_ne!(receipt.digits()[0], 0);
    }

    #[test]
    fn every_single_wrong_digit_is_caught_and_all_swaps_but_the_few_that_the_norm_lets_pass() {
        let mut random = chance(7);
        let (mut swaps, mut missed) = (0, 0);
        for _ in 0..20_000 {
            let right = Receipt::generate(&mut random, &[])
                .expect("a code")
                .digits();
            for at in 0..DIGITS {
                for wrong in (0..10).filter(|wrong| *wrong != right[at]) {
                    let mut digits = right;
                    digits[at] = wrong;
                    assert_eq!(Receipt::parse(&digits), Err(BadReceipt::Check));
                }
            }
            for at in (1..DIGITS).filter(|at| right[at - 1] != right[*at]) {
                let mut digits = right;
                digits.swap(at - 1, at);
                let is_caught = Receipt::parse(&digits).is_err();
                // MOD 11,10 takes two neighbours for each other only where the sum before them makes both orders the same.
                assert_eq!(is_caught, !passes_swapped(&right, at), "{right:?} at {at}");
                swaps += 1;
                missed += usize::from(!is_caught);
            }
        }
        assert!(missed * 40 < swaps, "{missed} of {swaps}");
    }

    /// Whether the norm's own formula, written out as the sum that must be 1 modulo 10, takes both orders of two neighbours.
    fn passes_swapped(digits: &[u8; DIGITS], at: usize) -> bool {
        let doubled = |product: u32, digit: u8| match (product + u32::from(digit)) % 10 {
            0 => 20 % 11,
            sum => 2 * sum % 11,
        };
        let before = digits[..at - 1].iter().fold(10, |p, d| doubled(p, *d));
        let (first, second) = (digits[at - 1], digits[at]);
        if at == DIGITS - 1 {
            return (doubled(before, second) + u32::from(first)) % 10 == 1;
        }
        doubled(doubled(before, first), second) == doubled(doubled(before, second), first)
    }

    #[test]
    fn what_is_no_receipt_is_told_and_people_may_write_it_in_groups() {
        assert_eq!(Receipt::parse(&[1; 11]), Err(BadReceipt::Length(11)));
        assert_eq!(Receipt::parse(&[1; 13]), Err(BadReceipt::Length(13)));
        assert_eq!(Receipt::parse(&[10; 12]), Err(BadReceipt::NoDigit));
        let right = Receipt::parse_text("0020 0667-3085").expect("a receipt");
        assert_eq!(*right.to_text(), "002006673085");
        assert_eq!(Receipt::parse_text(" 002.006.673.085\n"), Ok(right.clone()));
        for (text, why) in [
            ("", BadReceipt::Length(0)),
            ("00200667308", BadReceipt::Length(11)),
            ("0020066730855", BadReceipt::Length(13)),
            ("002006673084", BadReceipt::Check),
            ("00200667308x", BadReceipt::NoDigit),
            ("００２００６６７３０８５", BadReceipt::NoDigit),
        ] {
            assert_eq!(Receipt::parse_text(text), Err(why), "{text}");
        }
        let shown = format!(
            "{right:?} {:?}",
            right.text_for_clip(&"c".into(), None).len()
        );
        assert_eq!(shown, "Receipt 46");
    }

    #[test]
    fn the_sealed_texts_are_those_of_the_contract_and_are_read_back() {
        let receipt = Receipt::parse_text("002006673085").expect("a receipt");
        let clip = receipt.text_for_clip(&"c".into(), None);
        assert_eq!(
            str::from_utf8(&clip),
            Ok(r#"{"v":1,"clip_id":"c","receipt":"002006673085"}"#)
        );
        let vote = receipt.text_for_clip(&"c".into(), Some("4711"));
        let read: ClipSecret = serde_json::from_slice(&vote).expect("a secret");
        assert_eq!(read.code.as_ref().map(Secret::as_str), Some("4711"));
        assert_eq!(
            Receipt::parse_text(read.receipt.as_str()),
            Ok(receipt.clone())
        );
        assert!(!format!("{read:?}").contains("0020"));
        let withdrawal = receipt.text_for_withdrawal(&"w".into());
        assert_eq!(
            str::from_utf8(&withdrawal),
            Ok(r#"{"v":1,"id":"w","receipt":"002006673085"}"#)
        );
        let read: WithdrawalSecret = serde_json::from_slice(&withdrawal).expect("a secret");
        assert_eq!((read.v, read.id.as_str()), (1, "w"));
    }
}
