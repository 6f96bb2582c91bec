//! Slow hands and weak ears.

use super::*;

/// A citizen waits this long before every digit.
const SLOW: u64 = 15;

fn slowly(booth: &mut Booth, digits: &[u8]) {
    for digit in digits {
        booth.seconds(SLOW);
        booth.digit(*digit);
    }
}

#[test]
fn somebody_who_pauses_fifteen_seconds_before_every_digit_completes_every_flow() {
    // Speaks, hears it, says it again, allows text and voice, hears the receipt, goes on to a vote, casts it.
    let questions = || {
        offer_of(vec![
            publishing(1, MayPublish::AskVoice),
            vote(2, &[2, 3, 4]),
        ])
    };
    let mut booth = Booth::offering(rules(), questions());
    booth.lift();
    booth.seconds(8);
    slowly(&mut booth, &[1]);
    assert_eq!(booth.state(), "question");
    let speak = |booth: &mut Booth| {
        booth.seconds(SLOW);
        booth.voice(true);
        booth.seconds(20);
        booth.press(Key::Hash);
        assert_eq!(booth.state(), "after");
    };
    speak(&mut booth);
    slowly(&mut booth, &[3, 4]);
    speak(&mut booth);
    slowly(&mut booth, &[8, 9, 6, 0, 7]);
    assert_eq!(
        booth.stages(),
        [Stage::Deleted, Stage::Closed(Publish::Voice)]
    );
    slowly(&mut booth, &[2, 3, 2, 1]);
    assert_eq!(booth.votes, [("q2".to_owned(), 2)]);
    slowly(&mut booth, &[6, 7, 1]);
    speak(&mut booth);
    slowly(&mut booth, &[5]);
    booth.seconds(SLOW);
    booth.hang_up();
    assert_eq!(booth.stages()[2..], [Stage::Deleted]);
    assert_eq!(booth.count(Counter::Refused), 0);
    // Takes a message back: the booth asks for one more 0, because three slow ones may be somebody who hears badly.
    booth.lift();
    slowly(&mut booth, &[0, 0, 0]);
    assert!(booth.says(Word::WithdrawSlow));
    slowly(&mut booth, &[0]);
    assert_eq!(booth.state(), "withdrawal");
    let receipt = receipt_of(TakeId(4));
    slowly(&mut booth, &receipt.digits());
    assert_eq!(booth.withdrawn, [receipt]);
    // Votes with a one-time code.
    let code = OneTimeCode::generate(|bytes| bytes.fill(35), &[]).expect("a code");
    booth.input(Input::Offer(offer_of(vec![vote_with_codes(1, &[2, 3])])));
    booth.hang_up();
    booth.lift();
    slowly(&mut booth, &[2]);
    let digits: Vec<u8> = code.to_text().bytes().map(|byte| byte - b'0').collect();
    slowly(&mut booth, &digits);
    assert_eq!(booth.codes, [code]);
    assert_eq!(booth.votes.last(), Some(&("q1".to_owned(), 2)));
}

#[test]
fn asking_for_a_repetition_doubles_every_waiting_time_until_the_hang_up() {
    let until_goodbye = |booth: &mut Booth| {
        let from = booth.now;
        while booth.state() == "question" {
            booth.seconds(1);
        }
        booth.now.since(from).as_secs()
    };
    let mut booth = Booth::new();
    booth.reach_the_choice();
    assert_eq!(until_goodbye(&mut booth), 10 + 4 + 20);
    booth.hang_up();
    booth.reach_the_choice();
    booth.press(Key::Star);
    booth.seconds(2);
    assert_eq!(until_goodbye(&mut booth), 20 + 4 + 40);
    booth.hang_up();
    booth.reach_the_choice();
    assert_eq!(until_goodbye(&mut booth), 10 + 4 + 20);
    // The first word, and the off-hook tone.
    let mut booth = Booth::new();
    booth.reach_the_choice();
    booth.dial(0);
    booth.digit(1);
    booth.seconds(2 + 39);
    assert_eq!(booth.state(), "recording");
    booth.seconds(1);
    assert_eq!(booth.ends(), [EndedBy::Silence]);
    booth.seconds(2 + 119);
    assert_eq!(booth.state(), "after");
    booth.seconds(1);
    assert_eq!(booth.state(), "off_hook");
}

#[test]
fn one_key_repeats_at_every_prompt_and_louder_by_two_steps_at_most() {
    let louder = |booth: &Booth| match booth.said.last() {
        Some(Command::Play { gain_steps, .. } | Command::PlayBack { gain_steps, .. }) => {
            *gain_steps
        }
        other => panic!("{other:?}"),
    };
    type Way = fn(&mut Booth);
    let ways: [(&str, Way); 9] = [
        ("the notice", |booth| booth.lift()),
        ("the question", Booth::reach_the_choice),
        ("the menu", Booth::reach_the_menu),
        ("the own words", |booth| {
            booth.reach_the_menu();
            booth.digit(3);
        }),
        ("the receipt", |booth| {
            booth.reach_the_menu();
            booth.digit(6);
        }),
        ("a vote", |booth| {
            booth.input(Input::Offer(offer_of(vec![vote(1, &[2, 3])])));
            booth.lift();
            booth.seconds(3);
        }),
        ("what was chosen", |booth| {
            booth.input(Input::Offer(offer_of(vec![vote(1, &[2, 3])])));
            booth.lift();
            booth.seconds(3);
            booth.digit(2);
        }),
        ("a vote that was cast", |booth| {
            booth.input(Input::Offer(offer_of(vec![vote(1, &[2, 3])])));
            booth.lift();
            booth.seconds(3);
            booth.digit(2);
            booth.digit(1);
        }),
        ("no question", |booth| {
            booth.input(Input::Offer(offer_of(Vec::new())));
            booth.lift();
        }),
    ];
    for (what, way) in ways {
        for (key, source) in [
            (Key::Star, KeySource::Keypad),
            (Key::Digit(0), KeySource::Dial),
        ] {
            let mut booth = Booth::new();
            way(&mut booth);
            let state = booth.state();
            for gain in [1, 2, 2] {
                booth.seconds(6);
                // Whatever went on meanwhile is left out of account: only a repetition makes it louder.
                booth.input(Input::Handset(HandsetEvent::Key(key, source)));
                assert_eq!(louder(&booth), gain, "{what} {key:?}");
            }
            if state != "notice" {
                assert_eq!(booth.state(), state, "{what}");
            }
        }
    }
}
