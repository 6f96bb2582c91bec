//! A short, seeded slice of the fuzzing (`make fuzz`): the same cases, mutated seeds instead of guided ones.
#![allow(clippy::disallowed_methods)]

#[path = "../../fuzz/cases/mod.rs"]
mod cases;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Numbers that look random and come again with the same seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }
}

/// Numbers at the edges, as text and as bytes.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "null",
];

/// One input made of others: flips, cuts, splices, huge numbers, repetition.
fn mutated(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 0xff, b'"', b'{', b'/', b'\n'][dice.below(6)],
            2 => bytes.truncate(at),
            3 => {
                let to = at + dice.below(40);
                bytes.drain(at..to.min(bytes.len()));
            }
            4 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            5 => bytes = with_number(dice, &bytes),
            6 if bytes.len() >= 8 => {
                let width = [1, 2, 4, 8][dice.below(4)];
                let at = dice.below(bytes.len() - width);
                let number = [0u64, 1, u64::MAX, u64::MAX >> 1, 1 << 20][dice.below(5)];
                bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
            }
            _ => {
                let to = (at + dice.below(200)).min(bytes.len());
                let piece = bytes[at..to].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// Puts a number of [`NUMBERS`] in place of one that is there.
fn with_number(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|&at| is_digit(at) && (at == 0 || !is_digit(at - 1)))
        .collect();
    if starts.is_empty() {
        return bytes.to_vec();
    }
    let from = starts[dice.below(starts.len())];
    let to = (from..).find(|&at| !is_digit(at)).unwrap_or(bytes.len());
    let number = NUMBERS[dice.below(NUMBERS.len())].as_bytes();
    [&bytes[..from], number, &bytes[to..]].concat()
}

/// Feeds `count` inputs to one case; the first that breaks a promise is shown with its seed.
fn slice(name: &str, count: u64) {
    let case = cases::CASES.iter().find(|case| case.name == name);
    let case = case.expect("the table has it");
    let seeds = (case.seeds)();
    for seed in &seeds {
        (case.run)(seed);
    }
    for number in 1..=count {
        let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let input = mutated(&mut dice, &seeds);
        if catch_unwind(AssertUnwindSafe(|| (case.run)(&input))).is_err() {
            panic!(
                "case {name}, input {number} of the slice: {:?}",
                String::from_utf8_lossy(&input)
            );
        }
    }
}

/// What fuzzing found, by case: `fuzz/finds/<case>/<what it was>`.
#[test]
fn nothing_that_was_found_once_breaks_a_promise_again() {
    let finds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/finds");
    let mut fed = 0;
    for case in cases::CASES {
        let Ok(files) = std::fs::read_dir(finds.join(case.name)) else {
            continue;
        };
        for file in files {
            let path = file.expect("a name").path();
            let input = std::fs::read(&path).expect("a find");
            let fine = catch_unwind(AssertUnwindSafe(|| (case.run)(&input))).is_ok();
            assert!(fine, "{} breaks it again", path.display());
            fed += 1;
        }
    }
    assert!(fed >= 16, "only {fed} finds are there");
}

#[test]
fn any_clip_file_is_recovered_or_set_aside_and_the_booth_goes_on() {
    slice("clip_file", 2_000);
}

#[test]
fn no_value_of_the_ledger_or_card_stops_the_start_or_hides_a_clip() {
    slice("ledger", 1_500);
}

#[test]
fn no_message_makes_a_booth_panic_or_let_go_of_a_clip() {
    slice("to_booth", 10_000);
}

#[test]
fn no_message_stops_the_hub_or_makes_it_answer_what_no_booth_reads() {
    slice("to_hub", 1_500);
}

#[test]
fn a_configuration_is_refused_in_a_sentence_or_works() {
    slice("config", 5_000);
}

#[test]
fn every_line_of_the_control_socket_is_answered() {
    slice("control_socket", 10_000);
}

#[test]
fn whatever_is_asked_of_the_pages_is_answered_in_the_words_of_http_and_changes_nothing() {
    slice("to_pages", 3_000);
}

#[test]
fn no_manifest_takes_a_booth_back_and_no_address_leads_inside() {
    slice("update_manifest", 20_000);
}

#[test]
fn a_broken_prompt_is_refused_or_played_to_its_end() {
    slice("prompt", 3_000);
}

#[test]
fn a_sealed_clip_from_anybody_is_opened_as_far_as_it_is_whole() {
    slice("sealed_clip", 3_000);
}
