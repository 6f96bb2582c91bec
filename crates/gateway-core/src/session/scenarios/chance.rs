//! Whatever citizens do: every take had consent, and one fate.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Deed {
    Lift,
    HangUp,
    Press(Key, KeySource),
    Serve,
    Voice(bool),
    Parts(bool),
    Wait(u64),
}

/// Any key.
pub(in crate::session) fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        (0u8..10).prop_map(Key::Digit),
        Just(Key::Star),
        Just(Key::Hash),
        Just(Key::Button)
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        2 => Just(Deed::Lift),
        2 => Just(Deed::HangUp),
        4 => (key(), prop_oneof![Just(KeySource::Keypad), Just(KeySource::Dial)]).prop_map(|(k, s)| Deed::Press(k, s)),
        1 => Just(Deed::Serve),
        1 => any::<bool>().prop_map(Deed::Voice),
        1 => any::<bool>().prop_map(Deed::Parts),
        5 => (0u64..40_000).prop_map(Deed::Wait),
        1 => (0u64..2_000_000).prop_map(Deed::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_citizens_do_every_take_had_consent_and_one_fate(deeds in prop::collection::vec(deed(), 1..80)) {
        let mut offer = offer_of(vec![
            publishing(1, MayPublish::AskVoice),
            question(2),
            vote(3, &[2, 3, 7]),
            vote_with_codes(4, &[2, 9]),
        ]);
        offer.languages = vec![OtherLanguage { digit: 8, lang: "en".into() }];
        offer.answers = vec![OpenAnswer {
            question_id: "q2".into(),
            digit: 9,
            prompt: Prompt::Question("a".into()),
        }];
        let mut booth = Booth::offering(rules(), offer);
        let mut pressed = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Lift => booth.lift(),
                Deed::HangUp => {
                    booth.hang_up();
                    prop_assert_eq!(booth.state(), "idle");
                    prop_assert_eq!(booth.playing, None);
                    prop_assert!(booth.session.receipt.is_none() && booth.session.current.is_none());
                }
                Deed::Press(key, source) => {
                    pressed.push(key);
                    booth.input(Input::Handset(HandsetEvent::Key(key, source)));
                }
                Deed::Serve => booth.input(Input::Handset(HandsetEvent::Service)),
                Deed::Voice(active) => booth.voice(active),
                Deed::Parts(works) => booth.input(Input::Parts(Parts { capture: works, ..WORKS })),
                Deed::Wait(ms) => booth.pass(Duration::from_millis(ms)),
            }
            if booth.state() != "idle" {
                prop_assert!(booth.session.deadline().is_some(), "{} has no deadline", booth.state());
            }
        }
        booth.hang_up();
        // The recorder of these tests is strict about the order of its commands; here is what they came to.
        let mut open = 0i32;
        let mut key_seen = false;
        for command in &booth.said {
            match command {
                Command::Arm { key, .. } => {
                    prop_assert!(key.is_some(), "consent without an act");
                    key_seen = true;
                }
                Command::SessionOpened { .. } => open += 1,
                Command::SessionClosed => open -= 1,
                _ => {}
            }
            prop_assert!((0..=1).contains(&open));
        }
        prop_assert_eq!(open, 0);
        let stages = booth.stages();
        prop_assert!(!stages.contains(&Stage::Armed) && !stages.contains(&Stage::Held), "{:?}", stages);
        prop_assert!(key_seen || stages.len() == booth.tests_begun());
        let closed = stages.iter().filter(|stage| matches!(stage, Stage::Closed(_))).count();
        prop_assert!(booth.count(Counter::Clips) <= closed);
        prop_assert!(booth.count(Counter::Clips) + booth.tests_begun() >= closed);
        prop_assert_eq!(booth.count(Counter::Choices), booth.votes.len());
        for (publish, key) in [(Publish::Text, 8), (Publish::Voice, 9)] {
            let is_allowed = stages.contains(&Stage::Closed(publish));
            prop_assert!(!is_allowed || pressed.contains(&Key::Digit(key)), "{:?} without its key", publish);
        }
        for (_, choice) in &booth.votes {
            prop_assert!(pressed.contains(&Key::Digit(*choice)), "a vote without its key");
        }
    }
}
