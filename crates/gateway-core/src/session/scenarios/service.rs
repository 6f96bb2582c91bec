//! A technician's visit.

use super::*;

#[test]
fn a_technician_hears_the_report_speaks_three_seconds_and_learns_what_became_of_them() {
    let mut booth = Booth::new();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    assert_eq!(booth.state(), "service");
    assert_eq!(booth.said.last(), Some(&Command::Lamp(Lamp::Service)));
    // The report and the tone, two seconds each, then three seconds of message.
    booth.seconds(4);
    assert_eq!(booth.tests_begun(), 1);
    booth.seconds(3);
    assert_eq!(booth.ends(), [EndedBy::Limit]);
    assert_eq!(booth.asked, [ServiceAsk::Report, ServiceAsk::Sent]);
    let outcome = ServiceNews::Outcome(vec![Prompt::Thanks]);
    booth.input(Input::Service(outcome.clone()));
    assert_eq!(booth.played(&Prompt::Thanks), 1);
    booth.seconds(3);
    booth.hang_up();
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::Left));
    // A test message is not counted, and a technician does not count as somebody who left early.
    for counter in [Counter::Clips, Counter::Discarded, Counter::LeftEarly] {
        assert_eq!(booth.count(counter), 0, "{counter:?}");
    }
    booth.input(Input::Service(outcome));
    assert_eq!(booth.state(), "idle");
    booth.reach_the_recording();
}

#[test]
fn the_service_code_is_understood_in_every_state_and_what_was_being_said_is_kept() {
    let mut booth = Booth::new();
    booth.lift();
    booth.dial_all(&CODE);
    assert_eq!(booth.state(), "service");
    booth.hang_up();
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(5);
    for digit in CODE {
        booth.press(Key::Digit(digit));
        booth.seconds(1);
    }
    assert_eq!(booth.state(), "service");
    assert_eq!(booth.ends()[0], EndedBy::Key);
    assert_eq!(booth.count(Counter::Clips), 1);
    // Dialled too slowly, the digits are no code.
    let mut booth = Booth::new();
    booth.lift();
    for digit in [0, 3, 7, 4, 1] {
        booth.dial(digit);
        booth.seconds(1);
    }
    booth.seconds(6);
    booth.dial(5);
    assert_ne!(booth.state(), "service");
    assert_eq!(booth.count(Counter::WrongCodes), 0);
}

#[test]
fn wrong_service_codes_are_counted_and_each_makes_the_right_one_wait_longer_and_no_citizen() {
    const WRONG: [u8; 6] = [0, 3, 7, 4, 1, 6];
    let dial_until = |session: &mut Session, last: Mono| {
        let lifted = last - Duration::from_millis(3_000);
        session.handle(lifted, Input::Handset(HandsetEvent::Lifted));
        for (at, digit) in CODE.into_iter().enumerate() {
            let at = last - Duration::from_millis(500) * (5 - at as u32);
            let key = HandsetEvent::Key(Key::Digit(digit), KeySource::Dial);
            session.handle(at, Input::Handset(key));
        }
        session.is_in_service()
    };
    let mut booth = Booth::new();
    for (wrong, pause_s) in [5, 10, 20, 40, 80, 160, 300, 300].into_iter().enumerate() {
        booth.lift();
        booth.dial_all(&WRONG);
        assert_eq!(booth.count(Counter::WrongCodes), wrong + 1);
        let due = booth.now - Duration::from_millis(1_500) + Duration::from_secs(pause_s);
        booth.hang_up();
        for (last, is_understood) in [(due - Duration::from_millis(1), false), (due, true)] {
            let mut session = booth.session.clone();
            assert_eq!(
                dial_until(&mut session, last),
                is_understood,
                "after {wrong}"
            );
        }
        // During the pause a citizen can speak as always, and nothing dialled in it counts as a try.
        booth.seconds(1);
        if pause_s > 40 {
            booth.reach_the_recording();
            booth.hang_up();
            booth.lift();
            booth.dial_all(&WRONG);
            booth.hang_up();
            assert_eq!(booth.count(Counter::WrongCodes), wrong + 1);
        }
        let left = due.since(booth.now);
        booth.pass(left);
    }
    // After the right code, the next wrong one starts with the first pause again.
    let now = booth.now;
    assert!(dial_until(
        &mut booth.session,
        now + Duration::from_secs(60)
    ));
    booth.now = now + Duration::from_secs(61);
    booth.hang_up();
    booth.lift();
    booth.dial_all(&WRONG);
    let due = booth.now - Duration::from_millis(1_500) + Duration::from_secs(5);
    booth.hang_up();
    assert!(dial_until(&mut booth.session, due));
}

#[test]
fn a_test_message_that_nobody_confirms_or_that_cannot_be_recorded_is_told() {
    let mut booth = Booth::new();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.seconds(4 + 3 + 20);
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::Unconfirmed));
    booth.hang_up();
    let mut booth = Booth::new();
    booth.input(Input::Parts(Parts {
        capture: false,
        ..WORKS
    }));
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.seconds(4);
    assert_eq!(booth.asked, [ServiceAsk::Report, ServiceAsk::Failed]);
    assert_eq!(booth.tests_begun(), 0);
    // The card goes while the message is spoken.
    let mut booth = Booth::new();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.seconds(5);
    booth.input(Input::Parts(Parts {
        capture: false,
        ..WORKS
    }));
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::Failed));
    booth.hang_up();
    assert_eq!(booth.state(), "idle");
}

#[test]
fn nine_closes_the_card_and_zero_repeats_the_report_louder() {
    let mut booth = Booth::new();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.seconds(1);
    booth.press(Key::Star);
    assert!(
        booth
            .said
            .iter()
            .any(|command| matches!(command, Command::Play { gain_steps: 1, .. }))
    );
    // While the report plays, a nine may have been pressed by a child.
    booth.press(Key::Digit(9));
    booth.press(Key::Digit(9));
    assert_eq!(
        booth.asked,
        [
            ServiceAsk::Report,
            ServiceAsk::Report,
            ServiceAsk::OfferNine,
            ServiceAsk::CloseCard
        ]
    );
    assert_eq!(booth.tests_begun(), 0);
    booth.hang_up();
    assert_eq!(booth.state(), "idle");
}

#[test]
fn five_and_a_number_say_where_the_booth_stands_on_keys_and_on_a_dial() {
    let in_service = || {
        let mut booth = Booth::new();
        booth.lift();
        booth.input(Input::Handset(HandsetEvent::Service));
        booth.seconds(1);
        booth.press(Key::Digit(5));
        booth
    };
    let placed = |booth: &Booth| -> Vec<u32> {
        let asked = booth.asked.iter();
        let placed = asked.filter_map(|ask| match ask {
            ServiceAsk::Place(number) => Some(*number),
            _ => None,
        });
        placed.collect()
    };
    let mut booth = in_service();
    assert_eq!(booth.played(&Prompt::Word(Word::PlaceIntro)), 1);
    for digit in [1, 0, 9] {
        booth.press(Key::Digit(digit));
        booth.seconds(1);
    }
    booth.press(Key::Hash);
    assert_eq!(placed(&booth), [109]);
    assert_eq!(
        booth.played(&Prompt::Repeat),
        2,
        "after the report, the answer"
    );
    booth.hang_up();
    assert_eq!(booth.state(), "idle");
    // A dial has no hash: the number ends when nothing follows.
    let mut booth = in_service();
    booth.seconds(8);
    for digit in [2, 0] {
        booth.dial(digit);
        booth.seconds(3);
    }
    assert!(placed(&booth).is_empty());
    booth.seconds(6);
    assert_eq!(placed(&booth), [20]);
    // Nothing dialled, a star, and hanging up say nothing; a number that is too long stays as it was.
    let mut booth = in_service();
    booth.seconds(20);
    booth.press(Key::Digit(5));
    booth.press(Key::Digit(7));
    booth.press(Key::Star);
    booth.press(Key::Digit(5));
    booth.press(Key::Digit(7));
    booth.hang_up();
    assert!(placed(&booth).is_empty());
    assert_eq!(booth.state(), "idle");
    let mut booth = in_service();
    for _ in 0..9 {
        booth.press(Key::Digit(3));
    }
    booth.press(Key::Hash);
    assert_eq!(placed(&booth), [333_333]);
}

#[test]
fn the_code_alone_closes_no_card_and_an_open_case_beside_it_does() {
    let mut booth = Booth::new();
    booth.lift();
    booth.dial_all(&CODE);
    for _ in 0..4 {
        booth.press(Key::Digit(9));
        booth.seconds(3);
    }
    let refused = |asked: &[ServiceAsk]| {
        let of_it = asked.iter().filter(|ask| **ask == ServiceAsk::MayNotClose);
        of_it.count()
    };
    assert_eq!(refused(&booth.asked), 4);
    assert!(
        !booth.asked.contains(&ServiceAsk::CloseCard)
            && !booth.asked.contains(&ServiceAsk::OfferNine)
    );
    // The service button of an earlier visit does not count for this one.
    booth.hang_up();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.hang_up();
    booth.lift();
    booth.dial_all(&CODE);
    booth.dial_all(&[9, 9]);
    assert_eq!(refused(&booth.asked), 6);
    booth.input(Input::CaseOpen(true));
    booth.press(Key::Digit(9));
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::CloseCard));
}

#[test]
fn a_technician_who_lays_the_handset_down_is_called_back_and_the_booth_recovers() {
    let mut booth = Booth::new();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.seconds(200);
    assert_eq!(booth.state(), "off_hook");
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::Left));
    booth.hang_up();
    booth.reach_the_recording();
}

#[test]
fn an_emergency_number_ends_a_technicians_visit_too() {
    let mut booth = Booth::new();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.dial_all(&[1, 1, 2]);
    assert_eq!(booth.state(), "goodbye");
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::Left));
}

#[test]
fn seven_asks_for_an_old_card_once_each_time_and_news_of_it_reach_only_a_technician() {
    let mut booth = Booth::new();
    booth.lift();
    booth.press(Key::Digit(7));
    assert!(booth.asked.is_empty(), "a citizen's seven is none");
    booth.hang_up();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.press(Key::Digit(7));
    // The report ends with it, and no test message is asked for.
    booth.seconds(6);
    assert_eq!(booth.tests_begun(), 0);
    booth.press(Key::Digit(7));
    let asked = booth
        .asked
        .iter()
        .filter(|ask| **ask == ServiceAsk::TakeOver);
    assert_eq!(asked.count(), 2);
    let news = ServiceNews::Card(vec![Prompt::Thanks]);
    booth.input(Input::Service(news.clone()));
    assert_eq!(booth.played(&Prompt::Thanks), 1);
    booth.hang_up();
    booth.lift();
    booth.input(Input::Service(news));
    assert_eq!(
        booth.played(&Prompt::Thanks),
        1,
        "a citizen hears nothing of it"
    );
}

#[test]
fn eight_asks_for_a_copy_on_a_stick_each_time_and_is_no_citizens_key() {
    let mut booth = Booth::new();
    booth.lift();
    booth.press(Key::Digit(8));
    assert!(booth.asked.is_empty(), "a citizen's eight is none");
    booth.hang_up();
    booth.lift();
    booth.dial_all(&CODE);
    booth.press(Key::Digit(8));
    // The report ends with it, and no test message is asked for.
    booth.seconds(6);
    assert_eq!(booth.tests_begun(), 0);
    booth.press(Key::Digit(8));
    let asked = booth.asked.iter().filter(|ask| **ask == ServiceAsk::Export);
    assert_eq!(asked.count(), 2, "what is sealed takes the code alone");
    assert!(!booth.asked.contains(&ServiceAsk::MayNotExport));
}

#[test]
fn what_lies_open_is_copied_for_those_alone_who_could_take_the_card() {
    let open = SessionRules {
        seals: false,
        ..rules()
    };
    let mut booth = Booth::with(open, &[1]);
    booth.lift();
    booth.dial_all(&CODE);
    booth.press(Key::Digit(8));
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::MayNotExport));
    booth.input(Input::CaseOpen(true));
    booth.press(Key::Digit(8));
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::Export));
    booth.input(Input::CaseOpen(false));
    booth.press(Key::Digit(8));
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::MayNotExport));
    // The service button is as good as the open case.
    booth.hang_up();
    booth.lift();
    booth.input(Input::Handset(HandsetEvent::Service));
    booth.press(Key::Digit(8));
    assert_eq!(booth.asked.last(), Some(&ServiceAsk::Export));
}
