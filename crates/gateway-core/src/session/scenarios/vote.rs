//! Votes.

use super::*;

fn booth_with_a_vote() -> Booth {
    Booth::offering(rules(), offer_of(vec![question(1), vote(2, &[2, 3, 7])]))
}

/// To the options of the vote on digit 2.
fn reach_the_options(booth: &mut Booth) {
    booth.lift();
    booth.seconds(8);
    booth.digit(2);
    booth.seconds(8);
    assert_eq!(booth.state(), "question");
}

#[test]
fn a_vote_says_each_option_with_its_digit_and_hanging_up_casts_what_was_chosen_last() {
    let mut booth = booth_with_a_vote();
    reach_the_options(&mut booth);
    let said = booth.last_play();
    for (name, digit) in [("o2", Word::Two), ("o3", Word::Three), ("o7", Word::Seven)] {
        let name = Prompt::Question(name.into());
        let at = said.iter().position(|prompt| *prompt == name);
        let after = &said[at.expect("said") + 1..][..2];
        assert_eq!(after, [Prompt::Word(Word::Dial), Prompt::Word(digit)]);
    }
    booth.digit(2);
    booth.seconds(3);
    booth.digit(3);
    assert!(booth.says(Word::YouChose) && booth.says(Word::HangUpToCast));
    assert!(booth.last_play().contains(&Prompt::Question("o3".into())));
    assert!(booth.votes.is_empty(), "nothing is cast before that");
    booth.hang_up();
    assert_eq!(booth.votes, [("q2".to_owned(), 3)]);
    assert_eq!(booth.count(Counter::Choices), 1);
    assert_eq!((booth.count(Counter::Clips), booth.armed().len()), (0, 0));
    let asked = booth.said.iter().find_map(|command| match command {
        Command::Cast { asked, .. } => Some(asked.clone()),
        _ => None,
    });
    let asked = asked.expect("cast");
    assert_eq!(asked.campaign_id.as_deref(), Some("spring"));
    assert_eq!((asked.config_version, &*asked.lang), (Some(7), "da"));
}

#[test]
fn one_casts_at_once_and_offers_receipt_and_another_question() {
    let mut booth = booth_with_a_vote();
    reach_the_options(&mut booth);
    booth.digit(7);
    assert_eq!(booth.state(), "question", "7 is an option here");
    booth.digit(1);
    assert_eq!(booth.votes, [("q2".to_owned(), 7)]);
    assert_eq!(booth.state(), "after");
    for word in [Word::VoteCast, Word::MenuReceipt, Word::MenuAnother] {
        assert!(booth.says(word), "{word:?}");
    }
    booth.digit(6);
    let wanted = receipt_of(TakeId(1)).digits().to_vec();
    assert_eq!(receipts_said(booth.last_play()), [wanted.clone(), wanted]);
    booth.digit(3);
    assert!(booth.says(Word::NotOffered));
    booth.digit(7);
    booth.digit(1);
    assert_eq!(booth.armed(), ["q1"]);
    booth.seconds(5);
    booth.hang_up();
    assert_eq!((booth.votes.len(), booth.count(Counter::Choices)), (1, 1));
}

#[test]
fn nothing_is_cast_without_a_choice_and_a_vote_is_cast_once_whatever_ends_the_visit() {
    // Without a choice: the options come once more, and then a goodbye.
    let mut booth = booth_with_a_vote();
    reach_the_options(&mut booth);
    booth.digit(1);
    booth.seconds(6);
    assert!(booth.says(Word::NotOffered));
    booth.seconds(60);
    assert_eq!(
        (booth.state(), booth.count(Counter::Refused)),
        ("goodbye", 1)
    );
    booth.hang_up();
    assert!(booth.votes.is_empty());
    // Left lying: cast at the end of the visit.
    let mut booth = booth_with_a_vote();
    reach_the_options(&mut booth);
    booth.digit(2);
    booth.seconds(70);
    assert_eq!(booth.state(), "off_hook");
    booth.hang_up();
    assert_eq!(booth.votes, [("q2".to_owned(), 2)]);
    // Off to another question.
    let offer = offer_of(vec![question(1), vote(2, &[2, 3])]);
    let mut booth = Booth::offering(rules(), offer);
    reach_the_options(&mut booth);
    booth.digit(2);
    booth.digit(7);
    assert_eq!(booth.votes, [("q2".to_owned(), 2)]);
    assert_eq!(booth.state(), "question");
    booth.hang_up();
    assert_eq!((booth.votes.len(), booth.count(Counter::LeftEarly)), (1, 0));
}

#[test]
fn the_next_vote_at_this_booth_waits_for_its_pause_and_is_told_how_long() {
    let mut booth = booth_with_a_vote();
    reach_the_options(&mut booth);
    booth.digit(2);
    booth.hang_up();
    booth.lift();
    booth.seconds(8);
    booth.digit(2);
    assert!(booth.says(Word::VoteLater) && booth.says(Word::Minute));
    booth.digit(3);
    assert!(!booth.says(Word::YouChose));
    // The other question can be answered meanwhile.
    booth.digit(1);
    assert_eq!(booth.armed(), ["q1"]);
    booth.hang_up();
    booth.seconds(30);
    reach_the_options(&mut booth);
    booth.digit(3);
    booth.hang_up();
    assert_eq!(booth.votes.len(), 2);
}

#[test]
fn a_vote_that_the_card_refuses_is_told_and_costs_nobody_a_pause() {
    let mut booth = booth_with_a_vote();
    booth.card_works = false;
    reach_the_options(&mut booth);
    booth.digit(2);
    booth.digit(1);
    assert_eq!(booth.state(), "out_of_order");
    assert_eq!(booth.worded(Word::VoteCast), 0);
    assert_eq!(booth.count(Counter::Choices), 0);
    booth.hang_up();
    booth.card_works = true;
    reach_the_options(&mut booth);
    booth.digit(2);
    booth.hang_up();
    assert_eq!(booth.votes.len(), 1);
}

#[test]
fn what_was_chosen_is_cast_also_where_the_booth_closes_meanwhile() {
    let broken = [
        Parts {
            capture: false,
            ..WORKS
        },
        Parts {
            spool: false,
            ..WORKS
        },
    ];
    for parts in broken {
        let mut booth = booth_with_a_vote();
        reach_the_options(&mut booth);
        booth.digit(3);
        booth.input(Input::Parts(parts));
        assert_eq!(booth.state(), "out_of_order");
        booth.hang_up();
        assert_eq!(booth.votes, [("q2".to_owned(), 3)]);
    }
}

#[test]
fn a_vote_that_is_the_only_question_is_held_at_once() {
    let mut booth = Booth::offering(rules(), offer_of(vec![vote(1, &[2, 3])]));
    booth.lift();
    booth.seconds(8);
    booth.digit(3);
    booth.digit(1);
    assert_eq!(booth.votes, [("q1".to_owned(), 3)]);
    booth.hang_up();
    // An option dialled during the notice counts when that has been heard, and is still not cast.
    booth.seconds(60);
    booth.lift();
    booth.digit(2);
    booth.seconds(2);
    assert!(booth.says(Word::YouChose));
    assert_eq!(booth.votes.len(), 1);
    booth.hang_up();
    assert_eq!(booth.votes.len(), 2);
    // Too early for the next one: the booth says so and waits for the hang-up.
    booth.lift();
    booth.seconds(4);
    assert!(booth.says(Word::VoteLater));
    assert_eq!(booth.state(), "goodbye");
}

#[test]
fn a_vote_that_is_the_only_question_is_chosen_first_where_an_option_has_a_languages_digit() {
    let mut offer = offer_of(vec![vote(1, &[2, 8])]);
    offer.languages = vec![OtherLanguage {
        digit: 8,
        lang: "en".into(),
    }];
    let mut booth = Booth::offering(rules(), offer);
    booth.lift();
    booth.seconds(8);
    // Whoever wants English votes for nothing.
    booth.digit(8);
    assert_eq!(booth.state(), "notice");
    booth.seconds(8);
    booth.hang_up();
    assert!(booth.votes.is_empty());
    booth.lift();
    booth.seconds(8);
    booth.digit(2);
    assert_eq!(booth.played(&Prompt::NoSuchQuestion), 1);
    booth.digit(1);
    booth.seconds(8);
    booth.digit(8);
    booth.hang_up();
    assert_eq!(booth.votes, [("q1".to_owned(), 8)]);
}

#[test]
fn an_emergency_number_casts_nothing_that_was_not_cast() {
    // 911 where 9 is an option: the second digit is no cast.
    let numbers = SessionRules {
        emergency_numbers: vec![vec![9, 1, 1]],
        ..rules()
    };
    let mut booth = Booth::offering(numbers, offer_of(vec![vote(1, &[2, 9])]));
    booth.lift();
    booth.seconds(8);
    for digit in [9, 1, 1] {
        booth.digit(digit);
        booth.seconds(1);
    }
    assert_eq!(booth.played(&Prompt::Emergency), 1);
    booth.hang_up();
    assert!(booth.votes.is_empty());
    // 112 before a choice.
    let mut booth = booth_with_a_vote();
    reach_the_options(&mut booth);
    for digit in [1, 1, 2] {
        booth.digit(digit);
        booth.seconds(1);
    }
    assert_eq!(booth.played(&Prompt::Emergency), 1);
    booth.hang_up();
    assert!(booth.votes.is_empty());
}

#[test]
fn a_vote_and_a_message_in_one_visit_are_counted_as_what_they_are() {
    let mut booth = booth_with_a_vote();
    reach_the_options(&mut booth);
    booth.digit(2);
    booth.digit(1);
    booth.digit(7);
    booth.digit(1);
    booth.seconds(7);
    booth.press(Key::Hash);
    booth.hang_up();
    assert_eq!(
        (booth.count(Counter::Choices), booth.count(Counter::Clips)),
        (1, 1)
    );
}
