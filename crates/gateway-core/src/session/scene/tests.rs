//! What is to be seen in each part of a visit.

use std::time::Duration;

use super::*;
use crate::health::Parts;
use crate::session::{
    Command, HandsetEvent, Input, KeySource, MayPublish, Offer, OpenAnswer, OtherLanguage, PlayId,
    QuestionKind, RecorderNews, SessionRules, TakeId,
};

/// A booth whose prompts end when the test says so.
struct Booth {
    session: Session,
    now: Mono,
    playing: Option<PlayId>,
}

impl Booth {
    /// A question to speak to, a vote, an answer and a second language.
    fn new() -> Self {
        let question = |digit: u8, kind, publish| OpenQuestion {
            id: format!("q{digit}"),
            campaign_id: None,
            digit,
            prompt: Prompt::Question(format!("q{digit}")),
            kind,
            publish,
            max: (digit == 1).then_some(Duration::from_secs(90)),
        };
        let option = |digit: u8| Choice {
            digit,
            id: format!("o{digit}"),
            prompt: Prompt::Question(format!("o{digit}")),
        };
        let vote = QuestionKind::Choose {
            options: vec![option(2), option(3)],
            min_pause: Duration::ZERO,
            codes: false,
        };
        let offer = Offer {
            questions: vec![
                question(4, vote, MayPublish::No),
                question(1, QuestionKind::Speak, MayPublish::AskVoice),
            ],
            answers: vec![OpenAnswer {
                question_id: "old".into(),
                digit: 5,
                prompt: Prompt::Question("came_of_it".into()),
            }],
            languages: vec![OtherLanguage {
                digit: 8,
                lang: "en".into(),
            }],
            lang: "da".into(),
            ..Offer::default()
        };
        let rules = SessionRules {
            consent: ConsentMode::Digit,
            emergency_numbers: vec![vec![1, 1, 2]],
            service_code: Vec::new(),
            withdraw_code: vec![0, 0, 0],
            min: Duration::from_secs(1),
            seals: true,
        };
        let mut booth = Self {
            session: Session::new(rules),
            now: Mono(1_000),
            playing: None,
        };
        booth.happens(Input::HandsetAtStart { off_hook: false });
        booth.works(true);
        booth.happens(Input::CanSeal(true));
        booth.happens(Input::Offer(offer));
        booth
    }

    fn works(&mut self, does: bool) {
        self.happens(Input::Parts(Parts {
            capture: does,
            playback: true,
            spool: true,
        }));
    }

    fn happens(&mut self, input: Input) -> Scene {
        self.now = self.now + Duration::from_secs(6);
        for command in self.session.handle(self.now, input) {
            match command {
                Command::Play { id, .. } | Command::PlayBack { id, .. } => self.playing = Some(id),
                Command::StopPlay => self.playing = None,
                _ => {}
            }
        }
        self.session.scene()
    }

    fn is(&mut self, event: HandsetEvent) -> Scene {
        self.happens(Input::Handset(event))
    }

    fn press(&mut self, key: Key) -> Scene {
        self.is(HandsetEvent::Key(key, KeySource::Keypad))
    }

    fn dial(&mut self, digit: u8) -> Scene {
        self.press(Key::Digit(digit))
    }

    /// What plays is over.
    fn heard(&mut self) -> Scene {
        let id = self.playing.take().expect("something plays");
        self.happens(Input::PlayEnded(id))
    }

    /// Lifts, hears the notice, chooses the first question and speaks.
    fn speaks(&mut self) -> TakeId {
        self.is(HandsetEvent::Lifted);
        self.heard();
        self.dial(1);
        let take = TakeId(1);
        self.heard();
        self.happens(Input::Recorder(RecorderNews::Started(take)));
        take
    }
}

fn digits(scene: &Scene) -> Vec<(u8, Kind)> {
    let options = scene.options.iter();
    options.map(|option| (option.digit, option.kind)).collect()
}

fn keys(scene: &Scene) -> Vec<(Key, Does)> {
    scene
        .hints
        .iter()
        .map(|hint| (hint.key, hint.does))
        .collect()
}

fn about(scene: &Scene) -> Option<&str> {
    scene.question.as_ref().map(|question| question.id.as_str())
}

#[test]
fn every_part_of_a_spoken_visit_shows_its_question_and_what_each_key_does() {
    let mut booth = Booth::new();
    let before = booth.session.scene();
    assert_eq!((before.phase, before.lang.as_str()), (Phase::Ready, "da"));
    assert_eq!((&before.options, &before.hints), (&Vec::new(), &Vec::new()));

    let all = [
        (1, Kind::Own),
        (4, Kind::Own),
        (5, Kind::Answer),
        (8, Kind::Language),
    ];
    let scene = booth.is(HandsetEvent::Lifted);
    assert_eq!((scene.phase, digits(&scene)), (Phase::Notice, all.to_vec()));
    let scene = booth.heard();
    assert_eq!((scene.phase, digits(&scene)), (Phase::Asking, all.to_vec()));
    assert_eq!(keys(&scene), [(Key::Star, Does::Repeats)]);
    assert_eq!(about(&scene), None, "several are open");

    let scene = booth.dial(1);
    assert_eq!((scene.phase, about(&scene)), (Phase::Tone, Some("q1")));
    assert_eq!(scene.options, []);
    booth.heard();
    let take = TakeId(1);
    let scene = booth.happens(Input::Recorder(RecorderNews::Started(take)));
    assert_eq!((scene.phase, about(&scene)), (Phase::Recording, Some("q1")));
    assert_eq!(keys(&scene), [(Key::Hash, Does::EndsRecording)]);
    assert_eq!(scene.until, Some(booth.now + Duration::from_secs(90)));

    let scene = booth.press(Key::Hash);
    assert_eq!((scene.phase, scene.until), (Phase::Saving, None));
    let scene = booth.happens(Input::Recorder(RecorderNews::Held(take)));
    assert_eq!(scene.phase, Phase::After);
    let digit = Key::Digit;
    let menu = [
        (digit(3), Does::HearsIt),
        (digit(4), Does::SaysAgain),
        (digit(5), Does::Deletes),
        (digit(7), Does::AsksAnother),
        (digit(8), Does::AllowsText),
        (digit(9), Does::AllowsVoice),
        (Key::Star, Does::Repeats),
    ];
    assert_eq!(keys(&scene), menu, "no receipt was made");
}

#[test]
fn a_receipt_is_seen_only_while_its_citizen_wants_to_and_nothing_of_a_visit_afterwards() {
    let mut booth = Booth::new();
    let before = booth.session.scene();
    let take = booth.speaks();
    let receipt = Receipt::parse(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 9]);
    let receipt = receipt.or_else(|_| {
        let mut made = (0..=9).map(|last| Receipt::parse(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, last]));
        made.find(Result::is_ok).expect("a check digit")
    });
    let receipt = receipt.expect("a receipt");
    booth.happens(Input::Receipt {
        take,
        receipt: Some(receipt.clone()),
    });
    booth.press(Key::Hash);
    let scene = booth.happens(Input::Recorder(RecorderNews::Held(take)));
    assert_eq!(scene.receipt, None);
    assert!(keys(&scene).contains(&(Key::Digit(6), Does::SaysReceipt)));

    let scene = booth.dial(8);
    let is_on = |scene: &Scene, does| {
        scene
            .hints
            .iter()
            .any(|hint| hint.does == does && hint.is_on)
    };
    assert!(is_on(&scene, Does::AllowsText) && !is_on(&scene, Does::AllowsVoice));
    let scene = booth.dial(9);
    assert!(!is_on(&scene, Does::AllowsText) && is_on(&scene, Does::AllowsVoice));

    let scene = booth.dial(6);
    assert_eq!(
        (scene.phase, scene.receipt),
        (Phase::Receipt, Some(receipt))
    );
    let scene = booth.dial(3);
    assert_eq!((scene.phase, scene.receipt), (Phase::PlayingBack, None));
    booth.dial(6);
    let scene = booth.is(HandsetEvent::HungUp);
    assert_eq!(scene, before);
}

#[test]
fn a_vote_shows_its_options_and_the_one_that_was_chosen() {
    let mut booth = Booth::new();
    let before = booth.session.scene();
    booth.is(HandsetEvent::Lifted);
    booth.heard();
    let scene = booth.dial(4);
    assert_eq!((scene.phase, about(&scene)), (Phase::Choosing, Some("q4")));
    assert_eq!(digits(&scene)[..2], [(2, Kind::Own), (3, Kind::Own)]);
    let scene = booth.dial(3);
    assert_eq!((scene.phase, scene.chosen), (Phase::Chosen, Some(3)));
    assert_eq!(digits(&scene), [(2, Kind::Own), (3, Kind::Own)]);
    assert!(keys(&scene).contains(&(Key::Digit(1), Does::Casts)));
    let scene = booth.dial(1);
    assert_eq!((scene.phase, scene.chosen), (Phase::Casting, Some(3)));
    let scene = booth.happens(Input::Recorder(RecorderNews::Kept(TakeId(1))));
    assert_eq!((scene.phase, about(&scene)), (Phase::Voted, Some("q4")));
    assert_eq!(booth.is(HandsetEvent::HungUp), before);
}

#[test]
fn a_receipt_that_is_dialled_is_counted_and_another_language_is_that_of_its_visit() {
    let mut booth = Booth::new();
    booth.is(HandsetEvent::Lifted);
    let scene = {
        booth.heard();
        booth.dial(8)
    };
    assert_eq!((scene.phase, scene.lang.as_str()), (Phase::Notice, "en"));
    booth.heard();
    // Zeros in succession.
    for _ in 0..3 {
        let input = Input::Handset(HandsetEvent::Key(Key::Digit(0), KeySource::Keypad));
        booth.session.handle(booth.now, input);
    }
    let scene = booth.session.scene();
    assert_eq!((scene.phase, scene.dialled), (Phase::Withdrawing, 0));
    let scene = booth.dial(7);
    assert_eq!(scene.dialled, 1);
    assert!(!format!("{scene:?}").contains("digits"), "{scene:?}");
    let scene = booth.is(HandsetEvent::HungUp);
    assert_eq!(
        (scene.phase, scene.dialled, scene.lang.as_str()),
        (Phase::Ready, 0, "da")
    );
}

#[test]
fn a_booth_that_cannot_record_and_one_that_asks_nothing_say_so() {
    let mut booth = Booth::new();
    booth.works(false);
    assert_eq!(booth.session.scene().phase, Phase::OutOfOrder);
    booth.works(true);
    booth.happens(Input::Offer(Offer {
        lang: "da".into(),
        ..Offer::default()
    }));
    assert_eq!(booth.session.scene().phase, Phase::NothingAsked);
    assert_eq!(booth.is(HandsetEvent::Lifted).phase, Phase::NothingAsked);
}
