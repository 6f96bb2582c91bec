//! Visits, played in virtual time.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::prompt::Word;
use booth_contract::time::Mono;

pub(super) const CODE: [u8; 6] = [0, 3, 7, 4, 1, 5];

pub(super) fn rules() -> SessionRules {
    SessionRules {
        consent: ConsentMode::Digit,
        emergency_numbers: vec![vec![1, 1, 2]],
        service_code: CODE.to_vec(),
        max: Duration::from_secs(180),
        min: Duration::from_secs(1),
        silence: Duration::from_secs(10),
        choose: Duration::from_secs(20),
    }
}

fn question(digit: u8) -> OpenQuestion {
    let id = format!("q{digit}");
    OpenQuestion {
        prompt: Prompt::Question(id.clone()),
        id,
        digit,
    }
}

const WORKS: Parts = Parts {
    capture: true,
    playback: true,
    spool: true,
};

/// A booth whose prompts last two seconds and whose recorder answers at once.
pub(super) struct Booth {
    pub(super) session: Session,
    pub(super) now: Mono,
    pub(super) said: Vec<Command>,
    playing: Option<(PlayId, Mono)>,
    recorder: Option<(Mono, TakeId)>,
    /// What a technician asked for.
    pub(super) asked: Vec<ServiceAsk>,
}

impl Booth {
    pub(super) fn with(rules: SessionRules, digits: &[u8]) -> Self {
        let mut booth = Self {
            session: Session::new(rules),
            now: Mono(1_000),
            said: Vec::new(),
            playing: None,
            recorder: None,
            asked: Vec::new(),
        };
        booth.input(Input::HandsetAtStart { off_hook: false });
        booth.input(Input::Questions(
            digits.iter().map(|digit| question(*digit)).collect(),
        ));
        booth.input(Input::Parts(WORKS));
        booth
    }

    fn new() -> Self {
        Self::with(rules(), &[1])
    }

    pub(super) fn input(&mut self, input: Input) {
        let commands = self.session.handle(self.now, input);
        for command in commands {
            self.said.push(command.clone());
            match command {
                Command::Play { id, prompts, .. } => {
                    self.playing =
                        Some((id, self.now + Duration::from_secs(2 * prompts.len() as u64)));
                }
                Command::StopPlay => self.playing = None,
                Command::Keep { take, from } => {
                    self.recorder = Some((from, take));
                    self.input(Input::Recorder(RecorderNews::Started(take)));
                }
                Command::Finish { take, at, min, .. } => {
                    let began = self
                        .recorder
                        .filter(|(_, kept)| *kept == take)
                        .map_or(at, |(began, _)| began);
                    let news = if at.since(began) < min {
                        RecorderNews::Discarded(take)
                    } else {
                        RecorderNews::Kept(take)
                    };
                    self.input(Input::Recorder(news));
                }
                Command::Discard { take } => {
                    self.input(Input::Recorder(RecorderNews::Discarded(take)))
                }
                Command::Service(ask) => {
                    self.asked.push(ask);
                    let said = vec![Prompt::Repeat];
                    match ask {
                        ServiceAsk::Report => self.input(Input::Service(ServiceNews::Report(said))),
                        ServiceAsk::Unconfirmed | ServiceAsk::Failed => {
                            self.input(Input::Service(ServiceNews::Outcome(said)));
                        }
                        ServiceAsk::OfferNine | ServiceAsk::CloseCard | ServiceAsk::MayNotClose => {
                            self.input(Input::Service(ServiceNews::Card(said)))
                        }
                        ServiceAsk::Sent | ServiceAsk::Left => {}
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn lift(&mut self) {
        self.input(Input::Handset(HandsetEvent::Lifted));
    }

    pub(super) fn hang_up(&mut self) {
        self.input(Input::Handset(HandsetEvent::HungUp));
    }

    pub(super) fn press(&mut self, key: Key) {
        self.input(Input::Handset(HandsetEvent::Key(key, KeySource::Keypad)));
    }

    fn dial(&mut self, digit: u8) {
        self.input(Input::Handset(HandsetEvent::Key(
            Key::Digit(digit),
            KeySource::Dial,
        )));
    }

    pub(super) fn voice(&mut self, active: bool) {
        let take = TakeId(self.session_take());
        self.input(Input::Recorder(RecorderNews::Voice {
            take,
            active,
            at: self.now,
        }));
    }

    fn session_take(&self) -> u64 {
        self.recorder.map_or(0, |(_, take)| take.0)
    }

    /// Lets time pass, with every deadline and every end of a prompt at its moment.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..100_000 {
            let play = self.playing.map(|(_, at)| at);
            let next = play.into_iter().chain(self.session.deadline()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if let Some((id, _)) = self.playing.filter(|(_, at)| *at <= self.now) {
                self.playing = None;
                self.input(Input::PlayEnded(id));
            } else {
                self.input(Input::Tick);
            }
        }
        self.now = end;
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// To the end of notice and question of one open question.
    fn reach_the_choice(&mut self) {
        self.lift();
        self.seconds(4);
        assert_eq!(self.state(), "question");
    }

    pub(super) fn reach_the_recording(&mut self) {
        self.reach_the_choice();
        self.press(Key::Digit(1));
        self.seconds(2);
        assert_eq!(self.state(), "recording");
    }

    fn dial_all(&mut self, digits: &[u8]) {
        for digit in digits {
            self.dial(*digit);
            self.pass(Duration::from_millis(1_500));
        }
    }

    fn tests_begun(&self) -> usize {
        let armed = |command: &&Command| matches!(command, Command::ArmTest { .. });
        self.said.iter().filter(armed).count()
    }

    pub(super) fn state(&self) -> &'static str {
        self.session.state_name()
    }

    fn count(&self, counter: Counter) -> usize {
        self.said
            .iter()
            .filter(|command| **command == Command::Count(counter))
            .count()
    }

    fn played(&self, prompt: &Prompt) -> usize {
        self.said
            .iter()
            .filter(|command| matches!(command, Command::Play { prompts, .. } if prompts.contains(prompt)))
            .count()
    }

    fn ends(&self) -> Vec<EndedBy> {
        let end = |command: &Command| match command {
            Command::Finish { ended_by, .. } => Some(*ended_by),
            _ => None,
        };
        self.said.iter().filter_map(end).collect()
    }

    fn armed(&self) -> Vec<String> {
        let armed = |command: &Command| match command {
            Command::Arm { question_id, .. } => Some(question_id.clone()),
            _ => None,
        };
        self.said.iter().filter_map(armed).collect()
    }
}

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
    let mut booth = Booth::with(
        SessionRules {
            silence: Duration::ZERO,
            ..rules()
        },
        &[1],
    );
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
    assert!(booth.ends().is_empty());
    booth.seconds(2);
    booth.dial(2);
    assert_eq!(booth.count(Counter::EmergencyDialled), 1);
    assert_eq!(
        (booth.count(Counter::Clips), booth.count(Counter::Discarded)),
        (0, 1)
    );
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
    booth.reach_the_recording();
    booth.press(Key::Hash);
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
    for key in [Key::Star, Key::Digit(9), Key::Digit(1)] {
        let mut booth = Booth::new();
        booth.reach_the_recording();
        booth.seconds(3);
        booth.press(Key::Hash);
        booth.seconds(3);
        assert_eq!(booth.state(), "after");
        booth.input(Input::Parts(Parts {
            spool: false,
            ..WORKS
        }));
        booth.press(key);
        assert_eq!(booth.state(), "out_of_order", "{key:?}");
        assert_eq!(booth.played(&Prompt::OutOfOrder), 1);
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
    let mut booth = Booth::with(rules(), &[]);
    booth.lift();
    assert_eq!(booth.state(), "out_of_order");
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
pub(super) fn key() -> impl Strategy<Value = Key> {
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
    fn whatever_citizens_do_every_take_had_consent_and_one_end(deeds in prop::collection::vec(deed(), 1..60)) {
        let mut booth = Booth::with(rules(), &[1, 2]);
        for deed in deeds {
            match deed {
                Deed::Lift => booth.lift(),
                Deed::HangUp => {
                    booth.hang_up();
                    prop_assert_eq!(booth.state(), "idle");
                    prop_assert_eq!(booth.playing, None);
                }
                Deed::Press(key, source) => booth.input(Input::Handset(HandsetEvent::Key(key, source))),
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
        let mut armed = std::collections::BTreeMap::new();
        let mut key_seen = false;
        let mut open = 0i32;
        for command in &booth.said {
            match command {
                Command::Arm { take, key, .. } => {
                    prop_assert!(key.is_some(), "consent without an act");
                    prop_assert!(armed.insert(*take, 0).is_none());
                    key_seen = true;
                }
                Command::ArmTest { take } => prop_assert!(armed.insert(*take, 0).is_none()),
                Command::Keep { take, .. } => prop_assert!(armed.contains_key(take)),
                Command::Finish { take, .. } | Command::Discard { take } => {
                    *armed.entry(*take).or_insert(9) += 1;
                }
                Command::SessionOpened { .. } => open += 1,
                Command::SessionClosed => open -= 1,
                _ => {}
            }
            prop_assert!((0..=1).contains(&open));
        }
        prop_assert!(armed.values().all(|ends| *ends == 1), "{:?}", armed);
        prop_assert!(key_seen || armed.len() == booth.tests_begun());
        prop_assert_eq!(open, 0);
    }
}
