//! Random visitors of any kind: whatever they do, the next citizen can speak into the booth afterwards.

use proptest::prelude::*;

use super::scenarios::{Booth, CODE, key, rules};
use super::*;

/// The longest time that a booth needs after a hang-up: the recorder's own limit for closing a take.
const REST: Duration = Duration::from_secs(10);

/// One thing that somebody in front of a booth, its case shut, can do.
#[derive(Debug, Clone)]
enum Deed {
    Lift,
    HangUp,
    /// Lift and hang up this many times, quickly.
    Chatter(u8),
    Press(Key, KeySource),
    /// Digits in a row, from one source.
    Dial(Vec<u8>, KeySource),
    Voice(bool),
    Wait(u64),
}

fn source() -> impl Strategy<Value = KeySource> {
    prop_oneof![Just(KeySource::Keypad), Just(KeySource::Dial)]
}

fn deed() -> impl Strategy<Value = Deed> {
    // Digits that were published or overheard, that lead to closing a card, that call for help, and that look like a code.
    let digits = prop_oneof![
        Just(vec![0, 9, 9, 0, 9, 9]),
        Just([CODE.as_slice(), &[9, 9, 9]].concat()),
        Just(CODE.to_vec()),
        Just(vec![9, 9]),
        Just(vec![1, 1, 2]),
        Just(vec![0, 0, 0]),
        prop::collection::vec(0u8..10, 1..20),
    ];
    prop_oneof![
        3 => Just(Deed::Lift),
        2 => Just(Deed::HangUp),
        1 => (1u8..60).prop_map(Deed::Chatter),
        4 => (key(), source()).prop_map(|(key, source)| Deed::Press(key, source)),
        4 => (digits, source()).prop_map(|(digits, source)| Deed::Dial(digits, source)),
        1 => any::<bool>().prop_map(Deed::Voice),
        5 => (0u64..40_000).prop_map(Deed::Wait),
        1 => (0u64..2_000_000).prop_map(Deed::Wait),
    ]
}

fn act(booth: &mut Booth, deed: Deed) {
    match deed {
        Deed::Lift => booth.lift(),
        Deed::HangUp => booth.hang_up(),
        Deed::Chatter(times) => {
            for _ in 0..times {
                booth.lift();
                booth.pass(Duration::from_millis(30));
                booth.hang_up();
                booth.pass(Duration::from_millis(30));
            }
        }
        Deed::Press(key, source) => {
            booth.input(Input::Handset(HandsetEvent::Key(key, source)));
        }
        Deed::Dial(digits, source) => {
            for digit in digits {
                let key = HandsetEvent::Key(Key::Digit(digit), source);
                booth.input(Input::Handset(key));
                booth.pass(Duration::from_millis(700));
            }
        }
        Deed::Voice(active) => booth.voice(active),
        Deed::Wait(ms) => booth.pass(Duration::from_millis(ms)),
    }
}

proptest! {
    #[test]
    fn whatever_a_visitor_did_the_next_citizen_comes_to_the_question_and_is_recorded(
        deeds in prop::collection::vec(deed(), 1..80),
        questions in 1u8..4,
    ) {
        let digits: Vec<u8> = (1..=questions).collect();
        let mut booth = Booth::with(rules(), &digits);
        for deed in deeds {
            act(&mut booth, deed);
        }
        booth.hang_up();
        prop_assert!(!booth.asked.contains(&ServiceAsk::CloseCard), "a visitor closed the card");
        booth.pass(REST);
        let left_off = booth.said.iter().rev().find_map(|command| match command {
            Command::HandsetLeftOff(left_off) => Some(*left_off),
            _ => None,
        });
        prop_assert_ne!(left_off, Some(true));
        booth.lift();
        prop_assert_eq!(booth.state(), "notice");
        // The notice, and then the questions with their menu.
        booth.seconds(2 + 2 * (u64::from(questions) + 1));
        prop_assert_eq!(booth.state(), "question");
        booth.press(Key::Digit(1));
        booth.seconds(2);
        prop_assert_eq!(booth.state(), "recording");
        let from = booth.now;
        booth.seconds(3);
        booth.hang_up();
        let is_kept = booth.said.iter().rev().any(|command| matches!(
            command,
            Command::Finish { at, ended_by: EndedBy::HangUp, .. } if *at > from
        ));
        prop_assert!(is_kept);
    }
}

#[test]
fn a_code_that_a_visitor_overheard_leaves_the_next_citizen_his_booth() {
    let mut booth = Booth::with(rules(), &[1]);
    for _ in 0..20 {
        for deed in [
            Deed::Lift,
            Deed::Dial([CODE.as_slice(), &[9, 9]].concat(), KeySource::Dial),
            Deed::Wait(30_000),
            Deed::Dial(vec![9, 9], KeySource::Keypad),
            Deed::HangUp,
        ] {
            act(&mut booth, deed);
        }
    }
    assert!(!booth.asked.contains(&ServiceAsk::CloseCard));
    assert!(booth.asked.contains(&ServiceAsk::MayNotClose));
    booth.reach_the_recording();
}
