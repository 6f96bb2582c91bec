//! Votes with one-time codes.

use super::*;

fn booth_with_codes() -> Booth {
    let offer = offer_of(vec![question(1), vote_with_codes(2, &[2, 3, 9])]);
    Booth::offering(rules(), offer)
}

fn code() -> [u8; 10] {
    let mut at = 3_u8;
    let random = |bytes: &mut [u8]| {
        for byte in bytes {
            at = at.wrapping_mul(29).wrapping_add(7);
            *byte = at;
        }
    };
    let code = OneTimeCode::generate(random, &[vec![9, 1, 1]]).expect("a code");
    let digits: Vec<u8> = code.to_text().bytes().map(|byte| byte - b'0').collect();
    digits.try_into().expect("ten")
}

/// To the code of the option on 3.
fn reach_the_code(booth: &mut Booth) {
    booth.lift();
    booth.seconds(8);
    booth.digit(2);
    booth.seconds(8);
    booth.digit(3);
    booth.seconds(2);
    assert!(booth.says(Word::YouChose) && booth.says(Word::CodeIntro));
    assert!(!booth.says(Word::HangUpToCast));
}

fn dial_code(booth: &mut Booth, digits: &[u8], source: KeySource) {
    for digit in digits {
        let key = HandsetEvent::Key(Key::Digit(*digit), source);
        booth.input(Input::Handset(key));
        booth.seconds(1);
    }
}

#[test]
fn the_last_digit_of_a_code_casts_the_vote_with_it_and_the_receipt_is_offered() {
    for source in [KeySource::Keypad, KeySource::Dial] {
        let mut booth = booth_with_codes();
        reach_the_code(&mut booth);
        let digits = code();
        dial_code(&mut booth, &digits[..9], source);
        assert!(booth.votes.is_empty());
        dial_code(&mut booth, &digits[9..], source);
        assert_eq!(booth.votes, [("q2".to_owned(), 3)]);
        assert_eq!(booth.codes, [OneTimeCode::parse(&digits).expect("a code")]);
        assert!(booth.says(Word::VoteCast) && booth.says(Word::MenuReceipt));
        booth.hang_up();
        assert_eq!(booth.votes.len(), 1, "once");
        assert_eq!(booth.count(Counter::Choices), 1);
    }
}

#[test]
fn a_wrong_code_is_said_and_asked_again_and_casts_nothing() {
    let mut booth = booth_with_codes();
    reach_the_code(&mut booth);
    let mut wrong = code();
    wrong[4] = (wrong[4] + 1) % 10;
    dial_code(&mut booth, &wrong, KeySource::Dial);
    assert!(booth.says(Word::CodeWrong));
    assert!(booth.votes.is_empty());
    dial_code(&mut booth, &code(), KeySource::Dial);
    assert_eq!(booth.votes.len(), 1);
}

#[test]
fn without_a_whole_code_nothing_is_cast_whatever_ends_the_visit() {
    // The hang-up.
    let mut booth = booth_with_codes();
    reach_the_code(&mut booth);
    dial_code(&mut booth, &code()[..9], KeySource::Keypad);
    booth.hang_up();
    assert!(booth.votes.is_empty());
    assert_eq!(booth.count(Counter::LeftEarly), 1);
    // Nobody dials: what was dialled is said once, then the options, then a goodbye.
    let mut booth = booth_with_codes();
    reach_the_code(&mut booth);
    dial_code(&mut booth, &[0, 4], KeySource::Dial);
    booth.seconds(8);
    assert!(booth.says(Word::SoFar) && booth.says(Word::Four));
    booth.seconds(13);
    assert!(booth.last_play().contains(&Prompt::Question("o9".into())));
    booth.seconds(60);
    assert_eq!(booth.state(), "goodbye");
    assert!(booth.votes.is_empty());
    // The microphone dies.
    let mut booth = booth_with_codes();
    reach_the_code(&mut booth);
    booth.input(Input::Parts(Parts {
        capture: false,
        ..WORKS
    }));
    assert_eq!(booth.state(), "out_of_order");
    booth.hang_up();
    assert!(booth.votes.is_empty());
    // A card that refuses the vote.
    let mut booth = booth_with_codes();
    booth.card_works = false;
    reach_the_code(&mut booth);
    dial_code(&mut booth, &code(), KeySource::Keypad);
    assert_eq!(booth.worded(Word::VoteCast), 0);
    assert_eq!(booth.state(), "out_of_order");
}

#[test]
fn star_begins_the_code_again_and_hash_leads_back_to_the_options() {
    let mut booth = booth_with_codes();
    reach_the_code(&mut booth);
    dial_code(&mut booth, &[7, 7, 7], KeySource::Keypad);
    booth.press(Key::Star);
    assert!(booth.says(Word::CodeIntro));
    booth.press(Key::Hash);
    assert!(!booth.says(Word::CodeIntro));
    booth.digit(9);
    assert!(booth.last_play().contains(&Prompt::Question("o9".into())));
    dial_code(&mut booth, &code(), KeySource::Keypad);
    assert_eq!(booth.votes, [("q2".to_owned(), 9)]);
}

#[test]
fn digits_of_a_code_open_neither_service_nor_withdrawal_and_an_emergency_number_still_counts() {
    let numbers = SessionRules {
        emergency_numbers: vec![vec![9, 1, 1], vec![1, 1, 2]],
        ..rules()
    };
    let offer = || offer_of(vec![question(1), vote_with_codes(2, &[2, 3, 9])]);
    let mut booth = Booth::offering(numbers.clone(), offer());
    reach_the_code(&mut booth);
    dial_code(&mut booth, &[0, 0, 0], KeySource::Dial);
    assert_eq!(booth.state(), "question");
    booth.press(Key::Star);
    dial_code(&mut booth, &CODE, KeySource::Keypad);
    assert_eq!(booth.state(), "question");
    dial_code(&mut booth, &[1, 1, 2], KeySource::Keypad);
    assert_eq!(booth.played(&Prompt::Emergency), 1);
    booth.hang_up();
    // Where an option begins the number.
    let mut booth = Booth::offering(numbers, offer());
    booth.lift();
    booth.seconds(8);
    booth.digit(2);
    booth.seconds(8);
    dial_code(&mut booth, &[9, 1, 1], KeySource::Keypad);
    assert_eq!(booth.played(&Prompt::Emergency), 1);
    booth.hang_up();
    assert!(booth.votes.is_empty());
}

#[test]
fn a_booth_that_can_seal_nothing_takes_no_code_and_says_so() {
    let mut booth = booth_with_codes();
    booth.input(Input::CanSeal(false));
    booth.lift();
    booth.seconds(8);
    booth.digit(2);
    assert!(booth.says(Word::CodeNot));
    booth.digit(3);
    booth.hang_up();
    assert!(booth.votes.is_empty());
}

#[test]
fn nobody_can_read_the_digits_of_a_code_in_what_a_session_shows_of_itself() {
    let mut booth = booth_with_codes();
    reach_the_code(&mut booth);
    dial_code(&mut booth, &[8, 5, 3, 7], KeySource::Keypad);
    let shown = format!("{:?}", booth.session.state);
    assert!(shown.contains("4 of 10 digits"), "{shown}");
    assert!(booth.session.keys_are_private());
    assert_eq!(booth.session.scene().dialled, 4);
}
