//! Taking a message back at the handset.

use super::*;

fn zeros(booth: &mut Booth, source: KeySource) {
    for _ in 0..3 {
        let zero = HandsetEvent::Key(Key::Digit(0), source);
        booth.input(Input::Handset(zero));
        booth.seconds(4);
    }
}

fn dial_receipt(booth: &mut Booth, receipt: &Receipt, pause: u64) {
    for digit in receipt.digits() {
        booth.digit(digit);
        booth.seconds(pause);
    }
}

#[test]
fn a_receipt_is_taken_and_nobody_is_told_whether_there_was_such_a_message() {
    for source in [KeySource::Keypad, KeySource::Dial] {
        let mut booth = Booth::new();
        booth.lift();
        zeros(&mut booth, source);
        assert_eq!(booth.state(), "withdrawal");
        assert!(booth.says(Word::WithdrawIntro));
        for take in [5, 6] {
            let receipt = receipt_of(TakeId(take));
            dial_receipt(&mut booth, &receipt, 1);
            assert_eq!(booth.withdrawn.last(), Some(&receipt));
            assert!(booth.says(Word::WithdrawNoted));
        }
        booth.hang_up();
        assert_eq!(booth.withdrawn.len(), 2);
        assert_eq!(booth.count(Counter::LeftEarly), 0);
        booth.reach_the_recording();
    }
}

#[test]
fn it_opens_where_nothing_is_asked_and_where_the_booth_is_out_of_order() {
    for parts in [
        WORKS,
        Parts {
            capture: false,
            ..WORKS
        },
    ] {
        let mut booth = Booth::with(rules(), &[]);
        booth.input(Input::Parts(parts));
        booth.lift();
        assert_eq!(booth.state(), "out_of_order");
        zeros(&mut booth, KeySource::Dial);
        dial_receipt(&mut booth, &receipt_of(TakeId(3)), 1);
        assert_eq!(booth.withdrawn.len(), 1);
        // The zeros asked for a repetition, too: there is twice the time.
        booth.seconds(41);
        assert_eq!(booth.state(), "out_of_order", "led back");
    }
}

#[test]
fn it_opens_in_every_state_of_a_visit_but_while_somebody_is_recorded() {
    // During the question, the menu after speaking, a vote, a goodbye.
    let mut booth = Booth::new();
    booth.reach_the_choice();
    zeros(&mut booth, KeySource::Keypad);
    assert_eq!(booth.state(), "withdrawal");
    let mut booth = Booth::asking(MayPublish::AskText);
    booth.reach_the_menu();
    booth.digit(8);
    zeros(&mut booth, KeySource::Dial);
    assert_eq!(booth.state(), "withdrawal");
    assert_eq!(booth.stages(), [Stage::Closed(Publish::Text)], "kept");
    let mut booth = Booth::offering(rules(), offer_of(vec![vote(1, &[2, 3])]));
    booth.lift();
    booth.seconds(9);
    booth.digit(2);
    zeros(&mut booth, KeySource::Dial);
    assert_eq!(booth.state(), "withdrawal");
    assert_eq!(booth.votes.len(), 1);
    // While recording a 0 of a dial ends the recording, and is no part of the code.
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(3);
    zeros(&mut booth, KeySource::Dial);
    assert_eq!(booth.state(), "after");
    booth.dial(0);
    assert_eq!(
        booth.state(),
        "withdrawal",
        "three zeros after it are the code"
    );
    let mut booth = Booth::new();
    booth.reach_the_recording();
    zeros(&mut booth, KeySource::Keypad);
    assert_eq!(booth.state(), "recording");
}

#[test]
fn zeros_too_far_apart_repeat_and_the_third_says_what_a_fourth_one_does() {
    let mut booth = Booth::new();
    booth.reach_the_choice();
    for n in 1..=3 {
        assert!(!booth.says(Word::WithdrawSlow));
        booth.dial(0);
        assert_eq!(booth.played(&Prompt::Question("q1".into())), 1 + n);
        if n < 3 {
            booth.seconds(6);
        }
    }
    let said = booth.last_play();
    assert_eq!(said.first(), Some(&Prompt::Word(Word::WithdrawSlow)));
    // Whoever has not heard it to its end only asks for a repetition.
    booth.dial(0);
    assert_eq!(booth.state(), "question");
    assert!(booth.says(Word::WithdrawSlow));
    booth.seconds(3);
    // Every other digit does what it always does.
    booth.digit(1);
    assert_eq!(booth.armed(), ["q1"]);
    booth.seconds(3);
    booth.press(Key::Hash);
    // Zeros before a recording are no part of the code after it.
    booth.seconds(6);
    booth.dial(0);
    assert!(!booth.says(Word::WithdrawSlow));
    assert_eq!(booth.state(), "after");
}

#[test]
fn three_slow_zeros_and_the_one_that_is_asked_for_open_a_withdrawal_and_too_slow_ones_do_not() {
    for source in [KeySource::Dial, KeySource::Keypad] {
        let mut booth = Booth::new();
        booth.reach_the_choice();
        let zero = |booth: &mut Booth| {
            booth.input(Input::Handset(HandsetEvent::Key(Key::Digit(0), source)));
        };
        for _ in 0..3 {
            booth.seconds(15);
            zero(&mut booth);
            assert_eq!(booth.state(), "question");
        }
        assert!(booth.says(Word::WithdrawSlow), "{source:?}");
        booth.seconds(15);
        zero(&mut booth);
        assert_eq!(booth.state(), "withdrawal", "{source:?}");
        let receipt = receipt_of(TakeId(9));
        dial_receipt(&mut booth, &receipt, 15);
        assert_eq!(booth.withdrawn, [receipt]);
    }
    // After speaking the message is kept.
    let mut booth = Booth::asking(MayPublish::AskText);
    booth.reach_the_menu();
    for _ in 0..4 {
        booth.seconds(15);
        booth.dial(0);
    }
    assert_eq!(booth.state(), "withdrawal");
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
    // Where nothing is asked.
    let mut booth = Booth::offering(rules(), offer_of(Vec::new()));
    booth.lift();
    for _ in 0..4 {
        booth.seconds(15);
        booth.dial(0);
    }
    assert_eq!(booth.state(), "withdrawal");
    // Longer than anybody waits: the goodbye came in between, and it is none of the sentence that asked.
    let mut booth = Booth::new();
    booth.reach_the_choice();
    for _ in 0..3 {
        booth.dial(0);
        booth.seconds(10);
    }
    booth.seconds(41);
    booth.dial(0);
    assert_ne!(booth.state(), "withdrawal");
}

#[test]
fn a_wrong_digit_is_said_and_asked_again() {
    let mut booth = Booth::new();
    booth.lift();
    zeros(&mut booth, KeySource::Keypad);
    let receipt = receipt_of(TakeId(9));
    let mut digits = receipt.digits();
    digits[7] = (digits[7] + 3) % 10;
    for digit in digits {
        booth.digit(digit);
        booth.seconds(1);
    }
    assert!(booth.says(Word::WithdrawWrong));
    assert!(booth.withdrawn.is_empty());
    // A star begins again, also for who counts digits of emergency numbers.
    for digit in [4, 1, 1] {
        booth.digit(digit);
    }
    booth.press(Key::Star);
    assert!(booth.says(Word::WithdrawIntro));
    booth.digit(2);
    assert_eq!(booth.played(&Prompt::Emergency), 0);
    booth.press(Key::Star);
    dial_receipt(&mut booth, &receipt, 1);
    assert_eq!(booth.withdrawn, [receipt]);
}

#[test]
fn twenty_seconds_without_a_digit_lead_back_to_the_notice_that_nobody_heard() {
    let mut booth = Booth::new();
    booth.lift();
    for _ in 0..3 {
        booth.digit(0);
    }
    booth.digit(4);
    booth.seconds(19);
    assert_eq!(booth.state(), "withdrawal");
    booth.seconds(1);
    assert_eq!(booth.state(), "notice", "it was cut off before its end");
    booth.seconds(4);
    booth.digit(1);
    booth.seconds(5);
    booth.hang_up();
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
    assert!(booth.withdrawn.is_empty());
}

#[test]
fn a_pause_says_once_what_was_dialled_so_far_and_takes_nothing_from_the_twenty_seconds() {
    let mut booth = Booth::new();
    booth.lift();
    zeros(&mut booth, KeySource::Dial);
    // The zeros asked for a repetition, too: everything waits twice as long.
    let receipt = receipt_of(TakeId(4));
    let digits = receipt.digits();
    for digit in &digits[..5] {
        booth.dial(*digit);
        booth.seconds(1);
    }
    booth.seconds(14);
    assert!(!booth.says(Word::SoFar));
    booth.seconds(1);
    assert!(booth.says(Word::SoFar));
    let said: Vec<u8> = booth
        .last_play()
        .iter()
        .filter_map(|prompt| {
            (0..10).find(|digit| *prompt == super::super::asking::digit_said(*digit))
        })
        .collect();
    assert_eq!(said, &digits[..5]);
    booth.seconds(23);
    assert_eq!(
        (booth.state(), booth.worded(Word::SoFar)),
        ("withdrawal", 1)
    );
    for digit in &digits[5..] {
        booth.dial(*digit);
        booth.seconds(1);
    }
    assert_eq!(booth.withdrawn, [receipt]);
    // Whoever dials no more is led back in his time.
    booth.dial(3);
    booth.seconds(39);
    assert_eq!(booth.state(), "withdrawal");
    booth.seconds(1);
    assert_ne!(booth.state(), "withdrawal");
}

#[test]
fn a_card_that_does_not_take_it_is_told() {
    let mut booth = Booth::new();
    booth.card_works = false;
    booth.lift();
    zeros(&mut booth, KeySource::Keypad);
    dial_receipt(&mut booth, &receipt_of(TakeId(2)), 1);
    assert!(booth.says(Word::WithdrawFailed));
    booth.card_works = true;
    dial_receipt(&mut booth, &receipt_of(TakeId(2)), 1);
    assert!(booth.says(Word::WithdrawNoted));
    // The card never answers.
    let mut booth = Booth::new();
    booth.lift();
    zeros(&mut booth, KeySource::Keypad);
    let receipt = receipt_of(TakeId(2));
    for digit in receipt.digits() {
        let key = Input::Handset(HandsetEvent::Key(Key::Digit(digit), KeySource::Keypad));
        booth.session.handle(booth.now, key);
    }
    booth.seconds(10);
    assert!(booth.says(Word::WithdrawFailed));
    booth.seconds(21);
    assert_eq!(booth.state(), "question");
}

#[test]
fn without_a_key_of_the_city_nothing_can_be_taken_back_and_the_booth_says_so() {
    let mut booth = Booth::new();
    booth.input(Input::CanSeal(false));
    booth.reach_the_choice();
    zeros(&mut booth, KeySource::Dial);
    assert_eq!(booth.worded(Word::WithdrawNot), 1);
    assert_eq!(booth.state(), "question");
    assert!(booth.withdrawn.is_empty());
}

#[test]
fn emergency_numbers_count_and_the_service_code_does_not_while_a_receipt_is_dialled() {
    let mut booth = Booth::new();
    booth.lift();
    zeros(&mut booth, KeySource::Keypad);
    for digit in CODE {
        booth.digit(digit);
    }
    assert_eq!(booth.state(), "withdrawal");
    for digit in [1, 1, 2] {
        booth.digit(digit);
    }
    assert_eq!(booth.played(&Prompt::Emergency), 1);
    assert!(booth.withdrawn.is_empty());
}

#[test]
fn no_code_that_a_citizen_dials_is_found_in_what_the_machine_shows_of_itself() {
    let mut booth = Booth::new();
    booth.lift();
    for _ in 0..3 {
        booth.digit(0);
    }
    for digit in [7, 7, 7, 7, 7] {
        booth.digit(digit);
    }
    assert!(booth.session.keys_are_private());
    let shown = format!("{:?}", booth.session.state);
    assert!(shown.contains("dialled: 5"), "{shown}");
    assert!(!shown.contains('7'), "{shown}");
}

#[test]
fn a_booth_whose_code_is_none_or_another_opens_by_that_alone() {
    for (code, opens) in [
        (vec![], false),
        (vec![0, 0, 7], false),
        (vec![0, 0, 0], true),
    ] {
        let other = SessionRules {
            withdraw_code: code.clone(),
            ..rules()
        };
        let mut booth = Booth::with(other, &[1]);
        booth.lift();
        zeros(&mut booth, KeySource::Keypad);
        assert_eq!(booth.state() == "withdrawal", opens, "{code:?}");
        booth.hang_up();
        booth.lift();
        for digit in [0, 0, 7] {
            booth.digit(digit);
        }
        assert_eq!(booth.state() == "withdrawal", code == [0, 0, 7]);
    }
}
