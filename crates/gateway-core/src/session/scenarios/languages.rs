//! Languages, and what the menu says.

use super::*;

fn two_languages(questions: Vec<OpenQuestion>) -> Booth {
    let mut offer = offer_of(questions);
    offer.languages = vec![
        OtherLanguage {
            digit: 8,
            lang: "en".into(),
        },
        OtherLanguage {
            digit: 9,
            lang: "de".into(),
        },
    ];
    Booth::offering(rules(), offer)
}

/// The language of the last play.
fn lang(booth: &Booth) -> &str {
    let lang = |command: &'_ Command| matches!(command, Command::Play { .. });
    match booth.said.iter().rev().find(|command| lang(command)) {
        Some(Command::Play { lang, .. }) => lang,
        _ => "",
    }
}

#[test]
fn each_language_offers_itself_in_its_own_words_before_the_questions() {
    let mut booth = two_languages(vec![question(1)]);
    booth.lift();
    booth.seconds(2);
    let offered = |lang: &str, word| Prompt::InLanguage(lang.into(), Box::new(Prompt::Word(word)));
    assert_eq!(
        booth.last_play()[..5],
        [
            offered("en", Word::OfferLanguage),
            offered("en", Word::Eight),
            offered("de", Word::OfferLanguage),
            offered("de", Word::Nine),
            Prompt::Question("q1".into()),
        ]
    );
}

#[test]
fn a_language_holds_for_one_visit_and_its_notice_is_heard_before_anything_is_recorded() {
    let mut booth = two_languages(vec![question(1), question(2)]);
    booth.lift();
    booth.seconds(4);
    booth.digit(8);
    assert_eq!((booth.state(), lang(&booth)), ("notice", "en"));
    assert_eq!(booth.last_play(), [Prompt::Notice]);
    // A digit of a question waits until this notice is over, too.
    booth.digit(1);
    assert!(booth.armed().is_empty());
    booth.seconds(4);
    let asked = booth.said.iter().find_map(|command| match command {
        Command::Arm { asked, .. } => Some(asked.clone()),
        _ => None,
    });
    assert_eq!(asked.expect("armed").lang, "en");
    booth.seconds(5);
    booth.press(Key::Hash);
    assert!(booth.says(Word::MenuHear));
    assert_eq!(lang(&booth), "en");
    booth.hang_up();
    booth.lift();
    assert_eq!(lang(&booth), "da", "the next citizen starts anew");
}

#[test]
fn a_language_dialled_during_the_notice_takes_effect_when_that_has_been_heard() {
    let mut booth = two_languages(vec![question(1)]);
    booth.lift();
    booth.digit(9);
    assert_eq!(lang(&booth), "da");
    booth.seconds(2);
    assert_eq!((booth.state(), lang(&booth)), ("notice", "de"));
    booth.seconds(2);
    // The language that is spoken does not offer itself.
    let own = |prompt: &Prompt| matches!(prompt, Prompt::InLanguage(lang, _) if lang == "de");
    assert!(!booth.last_play().iter().any(own));
    assert_eq!(booth.count(Counter::Refused), 0);
}

#[test]
fn the_menu_says_what_is_open_with_the_digit_of_each_and_one_question_is_asked_at_once() {
    let mut booth = Booth::with(rules(), &[2, 1]);
    booth.lift();
    booth.seconds(2);
    let dial = |digit| [Prompt::Word(Word::Dial), Prompt::Word(digit)];
    let mut wanted = vec![Prompt::Menu, Prompt::Question("q1".into())];
    wanted.extend(dial(Word::One));
    wanted.push(Prompt::Question("q2".into()));
    wanted.extend(dial(Word::Two));
    assert_eq!(booth.last_play(), wanted);
    let mut booth = Booth::new();
    booth.lift();
    booth.seconds(2);
    assert_eq!(
        booth.last_play(),
        [
            Prompt::Question("q1".into()),
            Prompt::Word(Word::DialToSpeak),
            Prompt::Word(Word::One)
        ]
    );
}

#[test]
fn a_question_of_the_centre_ends_at_its_own_limit() {
    let short = OpenQuestion {
        max: Some(Duration::from_secs(30)),
        ..question(1)
    };
    let mut booth = Booth::offering(rules(), offer_of(vec![short]));
    booth.reach_the_recording();
    booth.voice(true);
    booth.seconds(15);
    assert_eq!(booth.played(&Prompt::LimitSoon), 1);
    booth.seconds(15);
    assert_eq!(booth.ends(), [EndedBy::Limit]);
}

#[test]
fn a_question_that_closes_while_it_is_answered_is_answered_to_the_end() {
    let mut booth = Booth::new();
    booth.reach_the_recording();
    booth.input(Input::Offer(offer_of(Vec::new())));
    booth.seconds(5);
    booth.press(Key::Hash);
    assert_eq!(booth.state(), "after");
    booth.hang_up();
    assert_eq!(booth.stages(), [Stage::Closed(Publish::No)]);
}
