//! A scene in words: what the page shows. Pure.
//!
//! Owns: which of the screen's sentences and which of the city's texts stand where. Never does: keep anything.
//!
//! Every sentence that is spoken is on the screen: as the headline, as what a key does, or among what is said.

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::sentences::{Say, instead_of, language_name};
use super::{Keys, Show};
use crate::adapters::prompts::Prompts;
use crate::adapters::prompts::centre::Centre;
use booth_contract::CODE_DIGITS;
use booth_contract::receipt::{DIGITS, Receipt};
use booth_contract::time::Mono;
use gateway_core::prompt::{Language, Prompt, Word};
use gateway_core::session::{Does, Hint, Key, Kind, Named, Phase, Scene};

/// Digits of a receipt that stand together.
const GROUP: usize = 3;

/// What the page is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mood {
    Ready,
    Closed,
    Notice,
    Ask,
    Record,
    Done,
}

/// A key, or a digit, and what it does.
#[derive(Debug, Serialize)]
struct Row<'a> {
    key: String,
    text: &'a str,
    chosen: bool,
}

/// A receipt as it stands on the page; overwritten when it is dropped.
struct Groups(Zeroizing<String>);

impl Groups {
    fn of(receipt: Option<&Receipt>) -> Self {
        let Some(receipt) = receipt else {
            return Self(Zeroizing::new(String::new()));
        };
        let mut digits = Zeroizing::new(receipt.digits());
        // Twice as much as it needs, so that no digit stays behind where it was.
        let mut text = Zeroizing::new(String::with_capacity(2 * digits.len()));
        for (place, digit) in digits.iter_mut().enumerate() {
            if place > 0 && place % GROUP == 0 {
                text.push(' ');
            }
            text.push(char::from(b'0' + *digit));
        }
        Self(text)
    }
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// What the page shows, as it is sent.
#[derive(Serialize)]
pub(super) struct View<'a> {
    lang: &'a str,
    mood: Mood,
    /// Beside the light: what goes on.
    state: &'static str,
    headline: &'a str,
    next: &'a str,
    said: String,
    options: Vec<Row<'a>>,
    hints: Vec<Row<'a>>,
    receipt: Groups,
    /// How many digits are dialled, where a receipt or a one-time code is.
    dialled: Option<usize>,
    /// And how many it has.
    whole: usize,
    /// Somebody is recorded: the light and the level are shown.
    live: bool,
    left_ms: Option<u64>,
    left_word: &'static str,
    level_name: &'static str,
}

/// Whoever looks up words for one view.
struct Words<'a> {
    lang: &'a str,
    language: Language,
    prompts: &'a Prompts,
    centre: &'a Centre,
    keys: Keys,
}

impl<'a> Words<'a> {
    fn say(&self, say: Say) -> &'static str {
        say.text(self.language)
    }

    /// The text that came with a prompt.
    fn citys(&self, prompt: &'a Prompt) -> Option<&'a str> {
        self.centre.text(self.prompts, prompt, self.lang)
    }

    /// The text of a prompt, or the screen's sentence in its place.
    fn text(&self, prompt: &'a Prompt) -> Option<&'a str> {
        let own = self.citys(prompt);
        own.or_else(|| instead_of(prompt).map(|say| self.say(say)))
    }

    /// The text of what has a name; the name itself where it has no text.
    fn name(&self, named: &'a Named) -> &'a str {
        let own = match named.kind {
            Kind::Own => self.citys(&named.prompt),
            Kind::Answer => Some(self.say(Say::WhatCameOfIt)),
            Kind::Language => language_name(&named.id),
        };
        own.unwrap_or(&named.id)
    }

    /// What stands on a key of this booth; `None` where the booth has no such key, or where it does nothing.
    fn key(&self, key: Key, does: Does) -> Option<String> {
        let button = || self.say(Say::Button).to_owned();
        Some(match (self.keys, key, does) {
            (_, Key::Button, _) => button(),
            (Keys::None, _, Does::EndsRecording) => button(),
            (Keys::None, ..) => return None,
            (Keys::Dial, _, Does::EndsRecording) => self.say(Say::AnyDigit).to_owned(),
            (Keys::Hook, _, Does::EndsRecording) => return None,
            (Keys::Dial | Keys::Hook, Key::Star, _) => "0".to_owned(),
            (Keys::Dial | Keys::Hook, Key::Hash, _) => return None,
            (Keys::Pad, Key::Star, _) => "*".to_owned(),
            (Keys::Pad, Key::Hash, _) => "#".to_owned(),
            (_, Key::Digit(digit), _) => digit.to_string(),
        })
    }

    fn row(&self, hint: &Hint, phase: Phase) -> Option<Row<'a>> {
        // A dial's 0 is a digit of the receipt, or of the code.
        if matches!(phase, Phase::Withdrawing | Phase::Coding) && self.keys != Keys::Pad {
            return None;
        }
        let does = match hint.does {
            Does::Repeats if phase == Phase::Receipt => Say::Slower,
            Does::Repeats if matches!(phase, Phase::Withdrawing | Phase::Coding) => Say::BeginAgain,
            Does::Repeats => Say::Louder,
            Does::Consents => Say::Start,
            Does::EndsRecording => Say::Finish,
            Does::HearsIt => Say::HearIt,
            Does::SaysAgain => Say::SpeakAgain,
            Does::Deletes => Say::Delete,
            Does::SaysReceipt => Say::YourReceipt,
            Does::AsksAnother => Say::Another,
            Does::AllowsText => Say::PublishText,
            Does::AllowsVoice => Say::PublishVoice,
            Does::Casts => Say::Cast,
        };
        Some(Row {
            key: self.key(hint.key, hint.does)?,
            text: self.say(does),
            chosen: hint.is_on,
        })
    }

    /// All that is said, as one text, without what stands elsewhere on the page.
    fn said(&self, said: &'a [Prompt], is_elsewhere: impl Fn(&'a Prompt) -> bool) -> String {
        let mut all = String::new();
        let mut names_key = false;
        for prompt in said {
            let digit = digit_of(prompt);
            if digit.is_some() && names_key {
                continue;
            }
            names_key = names_a_key(prompt);
            if names_key || is_elsewhere(prompt) {
                continue;
            }
            let Some(text) = self.text(prompt) else {
                continue;
            };
            // What is dialled is read as it stands on the keys; other numbers are words.
            let is_dialled = all.ends_with(|c: char| c == ':' || c.is_ascii_digit());
            if !all.is_empty() {
                all.push(' ');
            }
            match digit.filter(|_| is_dialled) {
                Some(digit) => all.push(digit),
                None => all.push_str(text),
            }
        }
        all
    }
}

/// Whether two sentences are the same but for the sign at their end.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &'_ str| text.trim_end_matches(['.', '!', '?', ':']).len();
    one[..plain(one)] == other[..plain(other)]
}

/// The digit that a word says.
fn digit_of(prompt: &Prompt) -> Option<char> {
    match prompt {
        Prompt::InLanguage(_, prompt) => digit_of(prompt),
        Prompt::Word(word) => ('0'..='9').find(|digit| Word::of_char(*digit) == Some(*word)),
        _ => None,
    }
}

/// Whether a sentence names a key, with its digit after it or in it: the key stands on the page with what it does.
fn names_a_key(prompt: &Prompt) -> bool {
    match prompt {
        Prompt::InLanguage(_, prompt) => names_a_key(prompt),
        Prompt::Word(word) => matches!(
            word,
            Word::OfferLanguage
                | Word::Dial
                | Word::DialToSpeak
                | Word::PressToSpeak
                | Word::HearAnswer
                | Word::MenuHear
                | Word::MenuAgain
                | Word::MenuDelete
                | Word::MenuReceipt
                | Word::MenuAnother
                | Word::ReceiptAgain
                | Word::ReceiptSlower
                | Word::SoFar
        ),
        _ => false,
    }
}

/// What the screen keeps of what is said: not the digits of a receipt or a code. A receipt's are shown from the visit itself for as long as its
/// citizen wants to see them.
pub(super) fn kept(said: &[Prompt]) -> Vec<Prompt> {
    let mut is_receipt = false;
    let is_kept = |prompt: &&Prompt| match prompt {
        Prompt::Pause => false,
        prompt if digit_of(prompt).is_some() => !is_receipt,
        prompt => {
            let intros = [Word::ReceiptIntro, Word::ReceiptAgain, Word::SoFar].map(Prompt::Word);
            is_receipt = intros.contains(prompt);
            true
        }
    };
    said.iter().filter(is_kept).cloned().collect()
}

impl<'a> View<'a> {
    /// What there is to be seen at `now`.
    pub(super) fn of(show: &'a Show, now: Mono, keys: Keys) -> Self {
        let (scene, said) = (&show.scene, show.said.as_slice());
        let language = Language::of(&scene.lang);
        let words = Words {
            lang: &scene.lang,
            language,
            prompts: &show.prompts,
            centre: &show.centre,
            keys,
        };
        let phase = match scene.phase {
            Phase::Ready if !show.is_ready => Phase::OutOfOrder,
            phase => phase,
        };
        let (mood, headline, next) = head(scene, phase, said, &words);
        let is_private = matches!(phase, Phase::Ready | Phase::Service);
        let is_named = |prompt: &Prompt| {
            let mut named = scene.options.iter().chain(&scene.question);
            named.any(|named| named.prompt == *prompt)
        };
        let is_elsewhere = |prompt: &'a Prompt| {
            let is_there = |text: &str| is_same(text, headline) || is_same(text, next);
            is_named(prompt) || words.text(prompt).is_some_and(is_there)
        };
        let is_live = phase == Phase::Recording;
        // Where a digit chooses what the headline says already, it answers.
        let is_headline = |named: &Named| {
            phase == Phase::Asking && scene.question.as_ref().is_some_and(|asked| asked == named)
        };
        let mut options: Vec<Row<'a>> = scene
            .options
            .iter()
            .map(|named| Row {
                key: named.digit.to_string(),
                text: match is_headline(named) {
                    true => words.say(Say::AnswerIt),
                    false => words.name(named),
                },
                chosen: scene.chosen == Some(named.digit),
            })
            .collect();
        let is_option = |hint: &&Hint| matches!(hint.key, Key::Digit(_) | Key::Button);
        let (main, others): (Vec<&Hint>, Vec<&Hint>) = scene.hints.iter().partition(is_option);
        options.extend(main.into_iter().filter_map(|hint| words.row(hint, phase)));
        let others = others.into_iter();
        Self {
            lang: match language {
                Language::Danish => "da",
                Language::English => "en",
            },
            mood,
            state: if is_live {
                words.say(Say::Recording)
            } else {
                ""
            },
            headline,
            next,
            said: match is_private {
                true => String::new(),
                false => words.said(said, is_elsewhere),
            },
            options,
            hints: others.filter_map(|hint| words.row(hint, phase)).collect(),
            receipt: Groups::of(scene.receipt.as_ref()),
            dialled: matches!(phase, Phase::Withdrawing | Phase::Coding).then_some(scene.dialled),
            whole: match phase {
                Phase::Coding => CODE_DIGITS,
                _ => DIGITS,
            },
            live: is_live,
            left_ms: scene
                .until
                .map(|until| u64::try_from(until.since(now).as_millis()).unwrap_or(u64::MAX)),
            left_word: words.say(Say::TimeLeft),
            level_name: words.say(Say::YourVoice),
        }
    }
}

/// The headline, and what to do next.
fn head<'a>(
    scene: &'a Scene,
    phase: Phase,
    said: &'a [Prompt],
    words: &Words<'a>,
) -> (Mood, &'a str, &'a str) {
    let say = |say| words.say(say);
    let spoken = |word: Word| word.text(words.language);
    let asked = scene.question.as_ref().map(|question| words.name(question));
    // The first sentence of what is said is the news: thanks, too short, deleted.
    let news = said.iter().find_map(|prompt| words.text(prompt));
    match phase {
        Phase::Ready => (
            Mood::Ready,
            say(Say::LiftHandset),
            say(Say::AnswerAQuestion),
        ),
        Phase::OutOfOrder => (Mood::Closed, say(Say::OutOfOrder), say(Say::TryLater)),
        Phase::NothingAsked => (Mood::Closed, say(Say::NothingAsked), say(Say::TryLater)),
        Phase::Service => (Mood::Closed, say(Say::OutOfOrder), say(Say::Service)),
        Phase::OffHook => (Mood::Closed, say(Say::OffHook), say(Say::HangUp)),
        Phase::Notice => (Mood::Notice, say(Say::BeforeYouSpeak), say(Say::ReadFirst)),
        Phase::Asking | Phase::Choosing => match asked {
            Some(question) => (Mood::Ask, question, say(Say::PressToAnswer)),
            None => (Mood::Ask, say(Say::ChooseQuestion), say(Say::PressDigit)),
        },
        Phase::Chosen => (Mood::Ask, asked.unwrap_or(""), spoken(Word::HangUpToCast)),
        Phase::Coding => (Mood::Ask, say(Say::DialCode), spoken(Word::CodeIntro)),
        Phase::Casting => (Mood::Done, say(Say::Casting), ""),
        Phase::Voted => (Mood::Done, spoken(Word::VoteCast), say(Say::HangUp)),
        Phase::Tone => (Mood::Ask, asked.unwrap_or(""), say(Say::SpeakAfterTone)),
        Phase::Recording => (Mood::Record, asked.unwrap_or(""), say(Say::SpeakNow)),
        Phase::Saving => (Mood::Done, say(Say::Saving), ""),
        Phase::After => (
            Mood::Done,
            news.unwrap_or(say(Say::ThankYou)),
            spoken(Word::MessageKept),
        ),
        Phase::PlayingBack => (Mood::Done, say(Say::YourWords), spoken(Word::MessageKept)),
        Phase::Receipt => (
            Mood::Done,
            say(Say::YourReceipt),
            spoken(Word::ReceiptIntro),
        ),
        Phase::Withdrawing => (Mood::Ask, say(Say::DialReceipt), news.unwrap_or("")),
        Phase::Goodbye => (
            Mood::Done,
            news.unwrap_or(say(Say::Goodbye)),
            say(Say::HangUp),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::path::Path;
    use std::sync::Arc;

    const PHASES: [Phase; 20] = [
        Phase::Ready,
        Phase::OutOfOrder,
        Phase::NothingAsked,
        Phase::Notice,
        Phase::Asking,
        Phase::Choosing,
        Phase::Chosen,
        Phase::Coding,
        Phase::Casting,
        Phase::Voted,
        Phase::Tone,
        Phase::Recording,
        Phase::Saving,
        Phase::After,
        Phase::PlayingBack,
        Phase::Receipt,
        Phase::Withdrawing,
        Phase::Goodbye,
        Phase::OffHook,
        Phase::Service,
    ];

    fn own(digit: u8, id: &str) -> Named {
        Named {
            kind: Kind::Own,
            digit,
            id: id.into(),
            prompt: Prompt::Question(id.into()),
        }
    }

    fn scene(phase: Phase, lang: &str) -> Scene {
        Scene {
            phase,
            lang: lang.into(),
            question: Some(own(1, "square")),
            options: vec![own(1, "square")],
            chosen: None,
            hints: Vec::new(),
            receipt: None,
            dialled: 0,
            until: None,
        }
    }

    fn seen(scene: Scene, said: &[Prompt], keys: Keys) -> Value {
        let (prompts, _) = Prompts::load(Path::new("no/such/folder"), &scene.lang, &[]);
        let show = Show {
            scene,
            said: said.to_vec(),
            prompts: Arc::new(prompts),
            centre: Arc::default(),
            is_ready: true,
        };
        serde_json::to_value(View::of(&show, Mono(1_000), keys)).expect("JSON")
    }

    #[test]
    fn whatever_goes_on_the_screen_says_so_in_the_language_of_the_visit() {
        for phase in PHASES {
            let in_language = |lang| seen(scene(phase, lang), &[], Keys::Pad);
            let (danish, english) = (in_language("da"), in_language("en-GB"));
            assert_eq!(
                (&danish["lang"], &english["lang"]),
                (&"da".into(), &"en".into())
            );
            for view in [&danish, &english] {
                assert_ne!(view["headline"], "", "{phase:?}");
            }
            let texts = |view: &Value| format!("{}{}", view["headline"], view["next"]);
            assert_ne!(texts(&danish), texts(&english), "{phase:?}");
            assert_eq!(danish["live"], phase == Phase::Recording);
        }
    }

    #[test]
    fn what_is_said_is_read_and_what_stands_beside_a_key_is_not_read_twice() {
        let mut scene = scene(Phase::Asking, "en");
        scene.options.push(own(2, "bus"));
        scene.question = None;
        let dial_two = Word::of_char('2').expect("a word");
        let said = [
            Prompt::NoSuchQuestion,
            Prompt::Menu,
            Prompt::Question("bus".into()),
            Prompt::Word(Word::Dial),
            Prompt::Word(dial_two),
            Prompt::Tone,
            Prompt::Word(Word::Louder),
        ];
        let view = seen(scene, &said, Keys::Pad);
        assert_eq!(view["said"], "No question has that digit. Louder.");
        let options = view["options"].as_array().expect("a list");
        let rows: Vec<_> = options
            .iter()
            .map(|row| (&row["key"], &row["text"]))
            .collect();
        assert_eq!(
            rows,
            [
                (&"1".into(), &"square".into()),
                (&"2".into(), &"bus".into())
            ]
        );
    }

    #[test]
    fn a_technicians_words_and_those_of_a_booth_at_rest_are_not_shown() {
        for phase in [Phase::Service, Phase::Ready] {
            let said = [Prompt::Word(Word::ServiceIntro), Prompt::Word(Word::One)];
            assert_eq!(seen(scene(phase, "en"), &said, Keys::Pad)["said"], "");
        }
    }

    #[test]
    fn a_receipt_stands_in_groups_of_three_and_a_dialled_one_is_only_counted() {
        let digits = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
        let receipt = (0..=9).find_map(|last| {
            let all: Vec<u8> = digits.into_iter().chain([last]).collect();
            Receipt::parse(&all).ok()
        });
        let mut shown = scene(Phase::Receipt, "da");
        shown.receipt = receipt;
        let view = seen(shown, &[], Keys::Pad);
        let text = view["receipt"].as_str().expect("a text").to_owned();
        assert!(
            text.starts_with("012 345 678 90") && text.len() == 15,
            "{text}"
        );
        assert_eq!(view["dialled"], Value::Null);
        let mut dialled = scene(Phase::Withdrawing, "da");
        dialled.dialled = 7;
        let view = seen(dialled, &[], Keys::Pad);
        assert_eq!(
            (&view["dialled"], &view["receipt"]),
            (&7.into(), &"".into())
        );
    }

    #[test]
    fn keys_are_named_as_they_stand_on_this_booth_and_those_that_it_lacks_are_not() {
        let hints = |keys, does, key| {
            let mut scene = scene(Phase::Recording, "en");
            scene.options.clear();
            scene.hints = vec![Hint {
                key,
                does,
                is_on: false,
            }];
            let view = seen(scene, &[], keys);
            let all = [&view["hints"], &view["options"]]
                .map(|list| list.as_array().expect("a list").clone());
            all.concat()
                .first()
                .map(|row| row["key"].as_str().expect("a key").to_owned())
        };
        for (keys, key, does, face) in [
            (Keys::Pad, Key::Star, Does::Repeats, Some("*")),
            (Keys::Pad, Key::Hash, Does::EndsRecording, Some("#")),
            (Keys::Dial, Key::Star, Does::Repeats, Some("0")),
            (
                Keys::Dial,
                Key::Hash,
                Does::EndsRecording,
                Some("any digit"),
            ),
            (Keys::Hook, Key::Star, Does::Repeats, Some("0")),
            (Keys::Hook, Key::Hash, Does::EndsRecording, None),
            (Keys::None, Key::Star, Does::Repeats, None),
            (
                Keys::None,
                Key::Hash,
                Does::EndsRecording,
                Some("the button"),
            ),
            (Keys::None, Key::Button, Does::Consents, Some("the button")),
            (Keys::Pad, Key::Digit(5), Does::Deletes, Some("5")),
        ] {
            assert_eq!(hints(keys, does, key).as_deref(), face, "{keys:?} {does:?}");
        }
    }

    #[test]
    fn what_is_left_is_told_from_now_on() {
        let mut scene = scene(Phase::Recording, "da");
        scene.until = Some(Mono(61_500));
        assert_eq!(seen(scene.clone(), &[], Keys::Pad)["left_ms"], 60_500);
        scene.until = Some(Mono(0));
        assert_eq!(seen(scene, &[], Keys::Pad)["left_ms"], 0);
    }
}
