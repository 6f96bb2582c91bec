//! Second thoughts, publication, receipts.

use super::*;

fn gain(booth: &Booth) -> u8 {
    let gain = |command: &Command| match command {
        Command::Play { gain_steps, .. } | Command::PlayBack { gain_steps, .. } => {
            Some(*gain_steps)
        }
        _ => None,
    };
    booth.said.iter().rev().find_map(gain).unwrap_or(0)
}

#[test]
fn hanging_up_after_speaking_keeps_the_message_and_silence_publishes_nothing() {
    for wait in [0, 1, 10, 50] {
        let mut booth = Booth::asking(MayPublish::AskVoice);
        booth.reach_the_menu();
        assert_eq!(booth.stages(), [Stage::Held], "open until then");
        booth.seconds(wait);
        assert_eq!(booth.count(Counter::Clips), 0);
        booth.hang_up();
        assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
        assert_eq!(booth.count(Counter::Clips), 1);
        let closed = booth
            .said
            .iter()
            .position(|c| matches!(c, Command::Close { .. }));
        let over = booth.said.iter().position(|c| *c == Command::SessionClosed);
        assert!(closed < over, "closed before anything may leave the booth");
    }
}

#[test]
fn a_message_whose_citizen_lays_the_handset_down_is_closed_at_the_off_hook_time_out() {
    let mut booth = Booth::asking(MayPublish::AskText);
    booth.reach_the_menu();
    booth.digit(8);
    booth.seconds(59);
    assert_eq!(booth.stages(), [Stage::Held]);
    booth.seconds(2);
    assert_eq!(booth.state(), "off_hook");
    assert_eq!(booth.stages(), [Stage::Closed(Publish::Text)]);
    booth.hang_up();
    assert_eq!(booth.count(Counter::Clips), 1);
}

#[test]
fn publication_is_what_its_own_key_said_last() {
    let kinds = [MayPublish::No, MayPublish::AskText, MayPublish::AskVoice];
    for may in kinds {
        for keys in [
            &[][..],
            &[8],
            &[9],
            &[8, 9],
            &[9, 8],
            &[8, 8],
            &[9, 9],
            &[8, 8, 8],
            &[1, 2, 0, 3],
        ] {
            let mut booth = Booth::asking(may);
            booth.reach_the_menu();
            let mut wanted = Publish::No;
            for key in keys {
                booth.digit(*key);
                booth.seconds(6);
                let asked = match (may, key) {
                    (MayPublish::AskText | MayPublish::AskVoice, 8) => Publish::Text,
                    (MayPublish::AskVoice, 9) => Publish::Voice,
                    _ => continue,
                };
                wanted = if wanted == asked { Publish::No } else { asked };
                let word = match wanted {
                    Publish::No => Word::MayNot,
                    Publish::Text => Word::MayText,
                    Publish::Voice => Word::MayVoice,
                };
                assert!(booth.says(word), "{may:?} {keys:?}");
            }
            booth.hang_up();
            assert_eq!(booth.stages(), [Stage::Closed(wanted)], "{may:?} {keys:?}");
        }
    }
}

#[test]
fn publication_is_asked_only_where_the_question_says_so() {
    for (may, text, voice) in [
        (MayPublish::No, 0, 0),
        (MayPublish::AskText, 1, 0),
        (MayPublish::AskVoice, 0, 1),
    ] {
        let mut booth = Booth::asking(may);
        booth.reach_the_menu();
        assert_eq!(
            (booth.worded(Word::AskText), booth.worded(Word::AskVoice)),
            (text, voice)
        );
    }
}

#[test]
fn what_was_said_can_be_heard_and_louder_and_the_menu_comes_again() {
    let mut booth = Booth::new();
    booth.reach_the_menu();
    booth.digit(3);
    assert!(matches!(
        booth.said.last(),
        Some(Command::PlayBack { gain_steps: 0, .. })
    ));
    booth.seconds(1);
    booth.digit(0);
    assert!(matches!(
        booth.said.last(),
        Some(Command::PlayBack { gain_steps: 1, .. })
    ));
    let menus = booth.worded(Word::MenuHear);
    booth.seconds(3);
    assert_eq!(booth.worded(Word::MenuHear), menus + 1);
    booth.press(Key::Star);
    assert_eq!((booth.worded(Word::MenuHear), gain(&booth)), (menus + 2, 2));
    // A digit ends it at once.
    booth.digit(3);
    booth.digit(3);
    booth.hang_up();
    assert_eq!(booth.playing, None);
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
    booth.lift();
    assert_eq!(gain(&booth), 0, "back at the hang-up");
}

#[test]
fn to_say_it_again_deletes_what_was_said_and_asks_the_same_consent() {
    let mut booth = Booth::asking(MayPublish::AskText);
    booth.reach_the_menu();
    booth.digit(8);
    booth.digit(4);
    assert_eq!(booth.stages(), [Stage::Deleted, Stage::Armed]);
    assert_eq!(booth.armed(), ["q1", "q1"]);
    let keys = booth.said.iter().filter_map(|command| match command {
        Command::Arm { key, .. } => Some(key.clone()),
        _ => None,
    });
    assert_eq!(
        keys.collect::<Vec<_>>(),
        [Some("1".into()), Some("1".into())]
    );
    booth.seconds(2);
    assert_eq!(booth.state(), "recording");
    booth.seconds(5);
    booth.hang_up();
    // What was allowed for the first one is not assumed for the second.
    assert_eq!(booth.stages(), [Stage::Deleted, Stage::Closed(Publish::No)]);
    assert_eq!(
        (booth.count(Counter::Clips), booth.count(Counter::Discarded)),
        (1, 1)
    );
}

#[test]
fn deleted_is_gone_at_once_counted_and_never_closed() {
    let mut booth = Booth::asking(MayPublish::AskText);
    booth.reach_the_menu();
    booth.digit(8);
    booth.digit(5);
    assert_eq!(booth.stages(), [Stage::Deleted]);
    assert_eq!(booth.worded(Word::Deleted), 1);
    assert_eq!(booth.count(Counter::Discarded), 1);
    for key in [6, 3, 5] {
        booth.digit(key);
    }
    booth.hang_up();
    assert!(
        !booth
            .said
            .iter()
            .any(|c| matches!(c, Command::Close { .. }))
    );
    assert_eq!(booth.count(Counter::Clips), 0);
    assert_eq!(booth.count(Counter::LeftEarly), 0, "somebody spoke");
    // The booth can be used on, also in the same visit.
    let mut booth = Booth::new();
    booth.reach_the_menu();
    booth.digit(5);
    booth.seconds(1);
    booth.digit(1);
    booth.seconds(5);
    booth.hang_up();
    assert_eq!(booth.stages(), [Stage::Deleted, Stage::Closed(Publish::No)]);
}

#[test]
fn a_message_is_called_deleted_when_it_is_and_not_before() {
    let mut booth = Booth::new();
    booth.reach_the_menu();
    let take = TakeId(booth.session_take());
    let five = Input::Handset(HandsetEvent::Key(Key::Digit(5), KeySource::Keypad));
    let said = booth.session.handle(booth.now, five);
    assert!(said.contains(&Command::Discard { take }));
    assert!(!said.iter().any(|c| matches!(c, Command::Play { .. })));
    // The card refuses, or does not answer.
    let mut silent = booth.session.clone();
    booth.input(Input::Recorder(RecorderNews::Failed(take)));
    assert_eq!(
        (booth.state(), booth.worded(Word::Deleted)),
        ("out_of_order", 0)
    );
    silent.handle(booth.now + Duration::from_secs(10), Input::Tick);
    assert_eq!(silent.state_name(), "out_of_order");
    // A hang-up meanwhile does not delete twice.
    let mut booth = Booth::new();
    booth.reach_the_menu();
    for key in [Key::Digit(5), Key::Digit(5)] {
        let key = Input::Handset(HandsetEvent::Key(key, KeySource::Keypad));
        booth.session.handle(booth.now, key);
    }
    let said = booth
        .session
        .handle(booth.now, Input::Handset(HandsetEvent::HungUp));
    assert!(
        !said
            .iter()
            .any(|c| matches!(c, Command::Discard { .. } | Command::Close { .. }))
    );
}

#[test]
fn question_digits_do_not_count_after_speaking_and_seven_leads_to_another_question() {
    let mut booth = Booth::with(rules(), &[1, 2, 3]);
    booth.lift();
    booth.seconds(12);
    booth.digit(1);
    booth.seconds(7);
    booth.press(Key::Hash);
    booth.digit(2);
    booth.seconds(6);
    assert_eq!(booth.armed(), ["q1"]);
    assert!(booth.says(Word::NotOffered));
    booth.digit(7);
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
    assert_eq!(booth.state(), "question");
    booth.digit(2);
    booth.seconds(7);
    booth.hang_up();
    assert_eq!(booth.armed(), ["q1", "q2"]);
    assert_eq!(booth.count(Counter::Clips), 2);
}

#[test]
fn the_receipt_is_said_twice_digit_by_digit_and_more_slowly_on_request() {
    let mut booth = Booth::new();
    booth.reach_the_menu();
    assert!(booth.says(Word::MenuReceipt));
    booth.digit(6);
    let wanted = receipt_of(TakeId(1)).digits().to_vec();
    let said = booth.last_play().to_vec();
    assert_eq!(receipts_said(&said), [wanted.clone(), wanted.clone()]);
    let pauses = |prompts: &[Prompt]| prompts.iter().filter(|p| **p == Prompt::Pause).count();
    // Between any two digits there is time to write.
    let digits: Vec<_> = said.iter().skip(1).take(25).collect();
    let is_pause = |prompt: &&Prompt| **prompt == Prompt::Pause;
    assert!(
        digits
            .chunks(2)
            .take(3)
            .all(|pair| pair.iter().any(&is_pause))
    );
    booth.digit(0);
    let slower = booth.last_play().to_vec();
    assert_eq!(receipts_said(&slower), [wanted.clone(), wanted]);
    assert!(pauses(&slower) >= 2 * pauses(&said));
    assert!(matches!(
        booth.said.last(),
        Some(Command::Play {
            slow: true,
            gain_steps: 1,
            ..
        })
    ));
    // It says how it is used: the code before it.
    let how = said
        .iter()
        .position(|p| *p == Prompt::Word(Word::ReceiptHow));
    let code = &said[how.expect("said how") + 1..][..3];
    assert!(
        code.iter()
            .all(|prompt| *prompt == Prompt::Word(Word::Zero))
    );
    booth.hang_up();
    assert_eq!(booth.session.receipt, None);
}

#[test]
fn a_booth_without_a_key_of_the_city_offers_no_receipt_and_says_so() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    let take = TakeId(booth.session_take());
    booth.input(Input::Receipt {
        take,
        receipt: None,
    });
    booth.seconds(5);
    booth.press(Key::Hash);
    assert!(!booth.says(Word::MenuReceipt));
    booth.digit(6);
    assert!(booth.says(Word::NoReceipt));
}

#[test]
fn a_receipt_of_another_take_is_never_said() {
    let mut booth = Booth::new();
    booth.reach_the_menu();
    booth.digit(7);
    booth.input(Input::Receipt {
        take: TakeId(1),
        receipt: Some(receipt_of(TakeId(1))),
    });
    assert_eq!(booth.session.receipt, None);
    booth.digit(1);
    booth.seconds(7);
    booth.press(Key::Hash);
    booth.digit(6);
    let wanted = receipt_of(TakeId(2)).digits().to_vec();
    assert_eq!(receipts_said(booth.last_play()), [wanted.clone(), wanted]);
}

#[test]
fn an_emergency_number_in_the_menu_keeps_the_finished_take_and_allows_nothing_by_the_way() {
    for (number, before) in [
        ([1, 1, 2], None),
        ([1, 1, 2], Some(8)),
        ([9, 9, 9], None),
        ([9, 1, 1], None),
        ([9, 1, 1], Some(8)),
        ([1, 5, 5], None),
        ([1, 4, 4], None),
        ([5, 5, 5], Some(8)),
        ([4, 4, 4], None),
        ([8, 8, 9], None),
    ] {
        let numbers = SessionRules {
            emergency_numbers: vec![number.to_vec()],
            ..rules()
        };
        let offer = offer_of(vec![publishing(1, MayPublish::AskVoice)]);
        let mut booth = Booth::offering(numbers, offer);
        booth.reach_the_menu();
        let mut wanted = Publish::No;
        if let Some(key) = before {
            booth.digit(key);
            booth.seconds(8);
            wanted = Publish::Text;
        }
        for digit in number {
            booth.digit(digit);
            booth.seconds(2);
        }
        assert_eq!(booth.played(&Prompt::Emergency), 1, "{number:?}");
        assert_eq!(booth.count(Counter::EmergencyDialled), 1);
        assert_eq!(booth.stages(), [Stage::Closed(wanted)], "{number:?}");
        assert_eq!(booth.state(), "goodbye");
        booth.hang_up();
        assert_eq!(booth.count(Counter::Clips), 1);
    }
}

#[test]
fn a_key_that_could_begin_an_emergency_number_does_what_it_says_when_no_number_follows() {
    let numbers = SessionRules {
        emergency_numbers: vec![vec![5, 5, 5], vec![4, 1]],
        ..rules()
    };
    let menu = || {
        let mut booth = Booth::with(numbers.clone(), &[1]);
        booth.reach_the_menu();
        booth
    };
    let mut booth = menu();
    booth.digit(5);
    assert_eq!(booth.stages(), [Stage::Held]);
    booth.seconds(5);
    assert_eq!(booth.stages(), [Stage::Deleted]);
    // Whoever hangs up after it means it, too.
    let mut booth = menu();
    booth.digit(5);
    booth.hang_up();
    assert_eq!(booth.stages(), [Stage::Deleted]);
    // Another key settles it, and does its own.
    let mut booth = menu();
    booth.digit(4);
    booth.digit(3);
    assert_eq!(booth.stages(), [Stage::Deleted, Stage::Armed]);
}

#[test]
fn a_lost_card_or_a_late_answer_leaves_no_take_open() {
    // The recorder does not answer: the booth is out of order, and what it holds after all is closed when it says so.
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(5);
    let take = TakeId(booth.session_take());
    let commands = booth.session.handle(
        booth.now,
        Input::Handset(HandsetEvent::Key(Key::Hash, KeySource::Keypad)),
    );
    assert!(commands.iter().any(|c| matches!(c, Command::Finish { .. })));
    booth.seconds(11);
    assert_eq!(booth.state(), "out_of_order");
    let late = booth
        .session
        .handle(booth.now, Input::Recorder(RecorderNews::Held(take)));
    assert!(late.contains(&Command::Close {
        take,
        publish: Publish::No
    }));
}

#[test]
fn a_message_is_deleted_also_if_the_key_came_before_the_recorders_answer() {
    for by_hang_up in [true, false] {
        let mut booth = Booth::new();
        booth.reach_the_recording();
        booth.seconds(5);
        let take = TakeId(booth.session_take());
        let mut said = Vec::new();
        for key in [Key::Hash, Key::Digit(5)] {
            let key = Input::Handset(HandsetEvent::Key(key, KeySource::Keypad));
            said.extend(booth.session.handle(booth.now, key));
        }
        assert!(!said.contains(&Command::Discard { take }));
        // Help that is called for, a technician, a card that refuses: the same.
        let key = |digit| Input::Handset(HandsetEvent::Key(Key::Digit(digit), KeySource::Keypad));
        for inputs in [
            vec![key(1), key(1), key(2)],
            vec![Input::Handset(HandsetEvent::Service)],
            vec![Input::Recorder(RecorderNews::Failed(take))],
        ] {
            let mut session = booth.session.clone();
            let mut said = Vec::new();
            for input in inputs {
                said.extend(session.handle(booth.now, input));
            }
            let deletes = |command: &&Command| **command == Command::Discard { take };
            assert_eq!(said.iter().filter(deletes).count(), 1, "{said:?}");
        }
        let (now, end) = match by_hang_up {
            true => (booth.now, Input::Handset(HandsetEvent::HungUp)),
            false => (booth.now + Duration::from_secs(10), Input::Tick),
        };
        let said = booth.session.handle(now, end);
        assert!(said.contains(&Command::Discard { take }));
    }
}

#[test]
fn to_say_it_again_in_a_booth_that_has_closed_allows_nothing() {
    let mut booth = Booth::asking(MayPublish::AskText);
    booth.reach_the_menu();
    booth.digit(8);
    booth.input(Input::Parts(Parts {
        capture: false,
        ..WORKS
    }));
    booth.digit(4);
    assert_eq!(booth.state(), "out_of_order");
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
}

#[test]
fn what_became_of_earlier_answers_is_heard_on_its_digit_and_offered_once_after_a_message() {
    let answer = |question: &str, digit| OpenAnswer {
        question_id: question.into(),
        digit,
        prompt: Prompt::Question(format!("a{digit}")),
    };
    let mut offer = offer_of(vec![question(1), question(2)]);
    offer.answers = vec![answer("q2", 4), answer("q1", 5)];
    let mut booth = Booth::offering(rules(), offer.clone());
    booth.lift();
    booth.seconds(8);
    booth.digit(4);
    assert_eq!(booth.last_play()[0], Prompt::Question("a4".into()));
    assert_eq!(booth.state(), "question");
    booth.digit(1);
    booth.seconds(7);
    booth.press(Key::Hash);
    // The one to the same question is offered.
    let offered = booth.last_play().windows(2);
    let offered = offered.filter(|pair| pair[0] == Prompt::Word(Word::HearAnswerNext));
    let offered: Vec<&Prompt> = offered.map(|pair| &pair[1]).collect();
    assert_eq!(offered, [&Prompt::Word(Word::Five)]);
    booth.digit(0);
    assert!(!booth.says(Word::HearAnswerNext), "once");
    booth.digit(7);
    booth.digit(5);
    assert_eq!(booth.last_play()[0], Prompt::Question("a5".into()));
    // Where nothing is asked any more, the answers can still be heard.
    offer.questions.clear();
    let mut booth = Booth::offering(rules(), offer);
    booth.lift();
    assert!(booth.says(Word::NoQuestion) && booth.says(Word::HearAnswer));
    booth.digit(4);
    assert_eq!(booth.last_play(), [Prompt::Question("a4".into())]);
}
