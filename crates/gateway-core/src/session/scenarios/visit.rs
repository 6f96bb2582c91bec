//! From the lift to a message that is kept, and what ends it otherwise.

use super::*;

#[test]
fn lifting_alone_never_records_and_no_key_ends_in_a_counted_goodbye() {
    let mut booth = Booth::new();
    booth.reach_the_choice();
    booth.seconds(10 + 4 + 19);
    assert_eq!(booth.state(), "question");
    assert_eq!(booth.played(&Prompt::Repeat), 1);
    booth.seconds(1);
    assert_eq!(booth.state(), "goodbye");
    assert_eq!(booth.count(Counter::Refused), 1);
    assert!(booth.armed().is_empty());
}

#[test]
fn a_visit_is_kept_when_the_citizen_hangs_up() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(5);
    booth.hang_up();
    assert_eq!(booth.state(), "idle");
    assert_eq!(booth.ends(), [EndedBy::HangUp]);
    assert_eq!(booth.count(Counter::Clips), 1);
    assert!(booth.said.contains(&Command::Lamp(Lamp::Saved)));
    booth.seconds(3);
    assert_eq!(booth.said.last(), Some(&Command::Lamp(Lamp::Ready)));
}

#[test]
fn capture_is_armed_before_the_tone_and_kept_after_it() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    let at =
        |wanted: &dyn Fn(&Command) -> bool| booth.said.iter().position(wanted).expect("was said");
    let arm = at(&|command| matches!(command, Command::Arm { .. }));
    let tone = at(
        &|command| matches!(command, Command::Play { prompts, .. } if prompts == &[Prompt::Tone]),
    );
    let keep = at(&|command| matches!(command, Command::Keep { .. }));
    assert!(arm < tone && tone < keep);
}

#[test]
fn hanging_up_is_obeyed_in_every_state_and_the_next_lift_works() {
    for seconds in [0, 1, 3, 5, 30, 38, 120, 400, 2000] {
        let mut booth = Booth::new();
        booth.lift();
        booth.seconds(seconds);
        booth.hang_up();
        assert_eq!(booth.state(), "idle", "after {seconds} s");
        assert_eq!(booth.playing, None);
        booth.said.clear();
        booth.reach_the_recording();
    }
    let mut booth = Booth::new();
    booth.reach_the_choice();
    booth.press(Key::Digit(1));
    booth.hang_up(); // inside the tone
    assert_eq!(
        (booth.state(), booth.count(Counter::Discarded)),
        ("idle", 1)
    );
    booth.seconds(60);
    booth.reach_the_recording();
}

#[test]
fn too_short_a_take_is_counted_never_silent() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.pass(Duration::from_millis(400));
    booth.press(Key::Hash);
    assert_eq!(booth.count(Counter::Discarded), 1);
    assert_eq!(booth.played(&Prompt::TooShort), 1);
    assert_eq!(booth.played(&Prompt::Thanks), 0);
}

#[test]
fn the_digit_decides_which_question_is_answered() {
    let mut booth = Booth::with(rules(), &[1, 2, 7]);
    booth.lift();
    booth.seconds(3);
    assert_eq!(booth.played(&Prompt::Menu), 1);
    booth.press(Key::Digit(3));
    assert_eq!(booth.played(&Prompt::NoSuchQuestion), 1);
    booth.press(Key::Digit(7));
    assert_eq!(booth.armed(), ["q7"]);
}

#[test]
fn a_digit_during_the_notice_waits_until_it_has_been_heard() {
    let mut booth = Booth::new();
    booth.lift();
    booth.press(Key::Digit(1));
    assert!(booth.armed().is_empty());
    booth.seconds(2);
    assert_eq!(booth.armed(), ["q1"]);
}

#[test]
fn hash_is_consent_only_when_one_question_is_open() {
    let mut booth = Booth::new();
    booth.reach_the_choice();
    booth.press(Key::Hash);
    assert_eq!(booth.armed(), ["q1"]);
    let mut booth = Booth::with(rules(), &[1, 2]);
    booth.reach_the_choice();
    booth.press(Key::Hash);
    assert!(booth.armed().is_empty());
}

#[test]
fn silence_ends_a_recording_only_after_something_was_said() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(14);
    assert_eq!(booth.played(&Prompt::LimitSoon), 0);
    booth.voice(true);
    booth.seconds(30);
    booth.voice(false);
    booth.seconds(6);
    assert_eq!(
        booth.played(&Prompt::LimitSoon),
        1,
        "a soft tone before silence ends it"
    );
    booth.voice(true); // speaking on cancels
    booth.seconds(20);
    assert_eq!(booth.state(), "recording");
    booth.voice(false);
    booth.seconds(10);
    assert_eq!(booth.ends(), [EndedBy::Silence]);
    assert_eq!(booth.played(&Prompt::Thanks), 1);
}

#[test]
fn a_soft_tone_heard_by_the_microphone_is_no_speech_but_speaking_on_is() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(15);
    assert_eq!(booth.played(&Prompt::LimitSoon), 1);
    booth.voice(true);
    booth.pass(Duration::from_millis(500));
    booth.voice(false);
    booth.seconds(5);
    assert_eq!(
        booth.ends(),
        [EndedBy::Silence],
        "an echo does not keep a silent recording open"
    );
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(15);
    booth.voice(true);
    booth.seconds(30);
    assert_eq!(booth.state(), "recording");
}

#[test]
fn no_first_word_within_twenty_seconds_ends_the_take() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(19);
    assert_eq!(booth.state(), "recording");
    booth.seconds(1);
    assert_eq!(booth.ends(), [EndedBy::Silence]);
}

#[test]
fn silence_of_zero_seconds_never_ends_a_recording() {
    let mut booth = Booth::new();
    let mut never = offer_of(vec![question(1)]);
    never.limits.silence = Duration::ZERO;
    booth.input(Input::Offer(never));
    booth.reach_the_recording();
    booth.seconds(179);
    assert_eq!(booth.state(), "recording");
}

#[test]
fn the_limit_is_announced_and_another_digit_may_follow() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.voice(true);
    booth.seconds(164);
    assert_eq!(booth.played(&Prompt::LimitSoon), 0);
    booth.seconds(1);
    assert_eq!(booth.played(&Prompt::LimitSoon), 1);
    booth.seconds(15);
    assert_eq!(booth.ends(), [EndedBy::Limit]);
    assert_eq!(booth.state(), "after");
    booth.seconds(3);
    booth.press(Key::Digit(7));
    booth.press(Key::Digit(1));
    assert_eq!(booth.armed(), ["q1", "q1"]);
}

#[test]
fn one_one_two_keeps_nothing_and_says_that_this_telephone_cannot_help() {
    let mut booth = Booth::new();
    booth.reach_the_choice();
    booth.press(Key::Digit(1));
    booth.seconds(2);
    assert_eq!(booth.state(), "recording");
    booth.press(Key::Digit(1));
    booth.press(Key::Digit(2));
    assert_eq!(booth.count(Counter::EmergencyDialled), 1);
    assert_eq!(booth.count(Counter::Clips), 0);
    assert_eq!(booth.played(&Prompt::Emergency), 1);
}

#[test]
fn on_a_dial_the_second_digit_of_an_emergency_number_does_not_keep_the_take() {
    let mut booth = Booth::new();
    booth.reach_the_choice();
    booth.dial(1);
    booth.seconds(4);
    booth.dial(1);
    assert_eq!(booth.state(), "after");
    // The rest of the call is recorded by nobody.
    assert_eq!(booth.ends(), [EndedBy::Key]);
    assert_eq!(booth.stages(), [Stage::Held]);
    booth.seconds(2);
    booth.dial(2);
    assert_eq!(booth.stages(), [Stage::Deleted]);
    assert_eq!(booth.count(Counter::EmergencyDialled), 1);
    assert_eq!(
        (booth.count(Counter::Clips), booth.count(Counter::Discarded)),
        (0, 1)
    );
}

#[test]
fn a_take_is_kept_by_no_emergency_number_that_is_dialled_slowly() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.voice(true);
    booth.seconds(30);
    let at = booth.now;
    for digit in [1, 1, 2] {
        booth.dial(digit);
        booth.pass(Duration::from_millis(4_500));
    }
    let cut = booth.said.iter().find_map(|command| match command {
        Command::Finish { at, .. } => Some(*at),
        _ => None,
    });
    assert_eq!(cut, Some(at), "nothing is recorded from the first digit on");
    assert_eq!(booth.stages(), [Stage::Deleted]);
    assert_eq!(booth.count(Counter::EmergencyDialled), 1);
    assert_eq!(booth.count(Counter::Clips), 0);
    // Two digits and no third: what was said stays, once.
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.voice(true);
    booth.seconds(30);
    booth.dial(1);
    booth.dial(1);
    booth.seconds(6);
    assert!(booth.says(Word::MessageKept));
    booth.hang_up();
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
    assert_eq!(booth.count(Counter::Clips), 1);
    // A hang-up meanwhile keeps it, too.
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.voice(true);
    booth.seconds(30);
    booth.dial(1);
    booth.hang_up();
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
    // What was too short to keep is counted once, whatever follows.
    for rest in [&[1, 2][..], &[3], &[]] {
        let mut booth = Booth::new();
        booth.reach_the_choice();
        booth.dial(1);
        booth.pass(Duration::from_millis(2_100));
        booth.dial(1);
        rest.iter().for_each(|digit| booth.dial(*digit));
        booth.hang_up();
        assert_eq!(booth.stages(), [Stage::TooShort], "{rest:?}");
        assert_eq!(booth.count(Counter::Discarded), 1, "{rest:?}");
    }
}

#[test]
fn once_a_visit_is_over_no_digits_begin_it_again() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.press(Key::Hash);
    booth.seconds(200);
    assert_eq!(booth.state(), "off_hook");
    let armed = booth.armed().len();
    for digits in [[1, 1, 2], [0, 0, 0]] {
        booth.dial_all(&digits);
        booth.seconds(10);
        assert_eq!(booth.state(), "off_hook", "{digits:?}");
    }
    booth.dial(1);
    booth.seconds(30);
    assert_eq!(booth.armed().len(), armed);
    assert_eq!(booth.played(&Prompt::Emergency), 1);
}

#[test]
fn a_booth_whose_card_refuses_does_not_say_that_nothing_is_asked() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    let take = TakeId(booth.session_take());
    booth.input(Input::Recorder(RecorderNews::Failed(take)));
    assert_eq!(booth.state(), "out_of_order");
    assert!(!booth.says(Word::NoQuestion));
    assert_eq!(booth.played(&Prompt::OutOfOrder), 1);
}

#[test]
fn on_a_dial_any_digit_ends_the_take_where_it_was_dialled() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.voice(true);
    booth.seconds(30);
    let at = booth.now;
    booth.dial(1);
    booth.seconds(5);
    assert!(booth.said.iter().any(|command| matches!(
        command,
        Command::Finish { ended_by: EndedBy::Key, at: cut, .. } if *cut == at
    )));
    booth.hang_up();
    assert_eq!(booth.count(Counter::Clips), 1);
}

#[test]
fn emergency_digits_too_far_apart_are_no_emergency() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    for digit in [1, 1, 2] {
        booth.seconds(6);
        booth.voice(true);
        booth.press(Key::Digit(digit));
    }
    assert_eq!(booth.count(Counter::EmergencyDialled), 0);
    assert_eq!(booth.state(), "recording");
}

#[test]
fn a_handset_left_off_sounds_closes_the_session_and_recovers_by_itself() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(3);
    booth.press(Key::Hash);
    booth.seconds(2); // thank-you
    booth.seconds(59);
    assert_eq!(booth.state(), "after");
    assert!(!booth.said.contains(&Command::SessionClosed));
    booth.seconds(1);
    assert_eq!(booth.state(), "off_hook");
    assert!(booth.said.contains(&Command::SessionClosed));
    booth.seconds(181);
    let tones = booth.played(&Prompt::OffHook);
    assert!(
        tones > 80 && booth.playing.is_none(),
        "three minutes of tone, then quiet"
    );
    booth.seconds(900 - 60 - 182);
    assert!(!booth.said.contains(&Command::HandsetLeftOff(true)));
    booth.seconds(1);
    assert!(booth.said.contains(&Command::HandsetLeftOff(true)));
    booth.hang_up();
    assert!(booth.said.contains(&Command::HandsetLeftOff(false)));
    booth.reach_the_recording();
}

#[test]
fn an_earpiece_that_is_gone_is_not_asked_again_and_again_for_the_off_hook_tone() {
    let mut booth = Booth::new();
    booth.reach_the_menu();
    booth.seconds(62);
    assert_eq!(booth.state(), "off_hook");
    booth.input(Input::Parts(Parts {
        playback: false,
        ..WORKS
    }));
    let before = booth.played(&Prompt::OffHook);
    // Every play ends in the moment in which it is asked for.
    for _ in 0..100 {
        if let Some((id, _)) = booth.playing.take() {
            booth.input(Input::PlayEnded(id));
        }
    }
    assert_eq!(booth.played(&Prompt::OffHook), before);
    booth.seconds(900);
    assert!(booth.said.contains(&Command::HandsetLeftOff(true)));
}

#[test]
fn after_a_message_nobody_is_asked_for_another_that_the_full_card_cannot_keep() {
    for key in [Key::Digit(4), Key::Digit(7)] {
        let mut booth = Booth::new();
        booth.reach_the_menu();
        booth.seconds(3);
        booth.input(Input::Parts(Parts {
            spool: false,
            ..WORKS
        }));
        booth.press(key);
        assert_eq!(booth.state(), "out_of_order", "{key:?}");
        assert_eq!(booth.played(&Prompt::OutOfOrder), 1);
        assert_eq!(
            booth.stages(),
            [Stage::Closed(Publish::No)],
            "kept, not said again"
        );
    }
}

#[test]
fn a_booth_that_is_not_set_up_says_that_and_not_that_it_is_out_of_order() {
    let mut booth = Booth::with(rules(), &[]);
    let words = Prompt::Word(Word::NotSetUp);
    booth.session.closed_with(words.clone());
    booth.input(Input::Parts(Parts {
        spool: false,
        ..WORKS
    }));
    booth.lift();
    assert_eq!(booth.state(), "out_of_order");
    assert_eq!(booth.played(&words), 1);
    assert_eq!(booth.played(&Prompt::OutOfOrder), 0);
}

#[test]
fn nobody_is_invited_to_speak_into_a_booth_that_cannot_keep_it() {
    let broken = [
        Parts {
            capture: false,
            ..WORKS
        },
        Parts {
            spool: false,
            ..WORKS
        },
        Parts {
            playback: false,
            ..WORKS
        },
    ];
    for parts in broken {
        let mut booth = Booth::new();
        booth.input(Input::Parts(parts));
        booth.lift();
        assert_eq!(booth.state(), "out_of_order");
        assert_eq!(
            (
                booth.played(&Prompt::Notice),
                booth.played(&Prompt::OutOfOrder)
            ),
            (0, 1)
        );
        booth.hang_up();
        booth.input(Input::Parts(WORKS));
        booth.reach_the_choice();
        booth.input(Input::Parts(parts));
        assert_eq!(booth.state(), "out_of_order", "also before the choice");
        booth.hang_up();
        booth.input(Input::Parts(WORKS));
        booth.reach_the_recording();
    }
}

#[test]
fn a_booth_where_nothing_is_asked_says_that_and_not_that_it_is_out_of_order() {
    let mut booth = Booth::with(rules(), &[]);
    booth.lift();
    assert_eq!(booth.state(), "out_of_order");
    assert_eq!(booth.worded(Word::NoQuestion), 1);
    assert_eq!(booth.played(&Prompt::OutOfOrder), 0);
    booth.hang_up();
    booth.input(Input::Offer(offer_of(vec![question(1)])));
    booth.reach_the_choice();
    // The last question closes while somebody listens.
    // Who has heard it may still answer; it is not asked again.
    booth.input(Input::Offer(offer_of(Vec::new())));
    assert_eq!(booth.worded(Word::NoQuestion), 1);
    booth.press(Key::Star);
    assert_eq!(booth.worded(Word::NoQuestion), 2);
}

#[test]
fn nobody_answers_a_question_that_was_not_heard() {
    let other = || {
        let other = OpenQuestion {
            id: "other".into(),
            ..publishing(1, MayPublish::AskVoice)
        };
        Offer {
            config_version: Some(8),
            ..offer_of(vec![other])
        }
    };
    let asked = |booth: &Booth| {
        let asked = booth.said.iter().rev().find_map(|command| match command {
            Command::Arm { asked, .. } | Command::Cast { asked, .. } => Some(asked.clone()),
            _ => None,
        });
        let asked = asked.expect("armed or cast");
        (asked.question_id, asked.config_version)
    };
    // The configuration changes while somebody listens: the key belongs to what was heard.
    let mut booth = Booth::new();
    booth.reach_the_choice();
    booth.input(Input::Offer(other()));
    booth.digit(1);
    assert_eq!(asked(&booth), ("q1".into(), Some(7)));
    booth.seconds(7);
    booth.press(Key::Hash);
    assert!(!booth.says(Word::AskVoice));
    // Asked again, it is the new one.
    booth.digit(7);
    booth.digit(1);
    assert_eq!(asked(&booth), ("other".into(), Some(8)));
    // A vote counts under the configuration that was read out.
    let mut booth = Booth::offering(rules(), offer_of(vec![vote(1, &[2, 3])]));
    booth.lift();
    booth.seconds(8);
    booth.input(Input::Offer(other()));
    booth.digit(2);
    booth.hang_up();
    assert_eq!(asked(&booth), ("q1".into(), Some(7)));
    // The next citizen hears the new offer.
    booth.reach_the_choice();
    booth.digit(1);
    assert_eq!(asked(&booth), ("other".into(), Some(8)));
}

#[test]
fn a_lost_sound_card_keeps_what_was_said() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(5);
    booth.input(Input::Parts(Parts {
        capture: false,
        ..WORKS
    }));
    assert_eq!(booth.ends(), [EndedBy::DeviceLost]);
    assert_eq!(booth.count(Counter::Clips), 1);
    assert_eq!(booth.state(), "out_of_order");
}

#[test]
fn a_quick_hang_up_and_lift_are_two_citizens() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.seconds(2);
    booth.hang_up();
    booth.lift();
    assert_eq!(booth.state(), "notice");
    booth.seconds(4);
    booth.press(Key::Digit(1));
    booth.seconds(4);
    booth.hang_up();
    assert_eq!(booth.count(Counter::Clips), 2);
    let takes: Vec<_> = booth
        .said
        .iter()
        .filter_map(|command| match command {
            Command::Finish { take, .. } => Some(*take),
            _ => None,
        })
        .collect();
    assert_ne!(takes[0], takes[1]);
}

#[test]
fn a_handset_found_off_its_hook_is_no_lift() {
    let mut booth = Booth::new();
    booth.input(Input::HandsetAtStart { off_hook: true });
    booth.lift();
    assert_eq!(booth.state(), "idle");
    booth.hang_up();
    booth.lift();
    assert_eq!(booth.state(), "notice");
}

#[test]
fn star_repeats_louder_until_the_citizen_hangs_up() {
    let mut booth = Booth::new();
    booth.reach_the_choice();
    for _ in 0..3 {
        booth.press(Key::Star);
    }
    assert!(matches!(
        booth.said.last(),
        Some(Command::Play { gain_steps: 2, .. })
    ));
    booth.hang_up();
    booth.lift();
    assert!(
        booth
            .said
            .iter()
            .rev()
            .any(|c| matches!(c, Command::Play { gain_steps: 0, .. }))
    );
}

#[test]
fn a_prompt_whose_end_is_never_told_does_not_hold_the_booth() {
    let mut booth = Booth::new();
    booth.lift();
    booth.playing = None; // the earpiece never answers
    booth.seconds(121);
    assert_eq!(booth.state(), "question");
}

#[test]
fn a_button_is_consent_where_the_booth_has_one() {
    let mut booth = Booth::with(
        SessionRules {
            consent: ConsentMode::Button,
            ..rules()
        },
        &[1],
    );
    booth.reach_the_choice();
    booth.press(Key::Digit(1));
    assert!(booth.armed().is_empty());
    booth.press(Key::Button);
    assert_eq!(booth.armed(), ["q1"]);
    // Nothing is said of digits that such a booth has not.
    assert_eq!(booth.worded(Word::PressToSpeak), 1);
    booth.seconds(5);
    booth.press(Key::Button);
    assert_eq!(
        booth.last_play(),
        [Prompt::Thanks, Prompt::Word(Word::MessageKept)]
    );
    booth.press(Key::Button);
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
    booth.press(Key::Button);
    assert_eq!(booth.armed(), ["q1", "q1"]);
}

#[test]
fn the_lamp_asks_to_leave_the_power_on_and_never_hides_that_nobody_can_speak() {
    let mut booth = Booth::new();
    booth.input(Input::Update(true));
    assert_eq!(booth.said.last(), Some(&Command::Lamp(Lamp::Update)));
    booth.input(Input::Parts(Parts {
        capture: false,
        ..WORKS
    }));
    assert_eq!(booth.said.last(), Some(&Command::Lamp(Lamp::OutOfOrder)));
    booth.input(Input::Parts(WORKS));
    assert_eq!(booth.said.last(), Some(&Command::Lamp(Lamp::Update)));
    // During an update the booth can be used as always.
    booth.reach_the_recording();
    assert!(booth.said.contains(&Command::Lamp(Lamp::Listening)));
    booth.seconds(5);
    booth.hang_up();
    booth.seconds(3);
    assert_eq!(booth.count(Counter::Clips), 1);
    assert_eq!(booth.said.last(), Some(&Command::Lamp(Lamp::Update)));
    booth.input(Input::Update(false));
    assert_eq!(booth.said.last(), Some(&Command::Lamp(Lamp::Ready)));
}
