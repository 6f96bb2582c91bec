//! What becomes of a message: the rules by which somebody decides, and nothing else.
//!
//! Owns: [`judge`], a pure function from what is known of a message, what a person changed in it and what the person wants, to what follows,
//! or to the reason why not. Never does: read a clock or the database; `desk::act` carries it out.
//!
//! The rules: nothing is published without a transcript, without the citizen's permission, or by somebody who does not understand it. The
//! voice needs the citizen's own key, and is never a child's. A child's text, and every text where the city wants two listeners, is published
//! when two people stand for the same words. Votes are counted and never decided.

use std::collections::BTreeSet;

use booth_contract::Publish;

use crate::centre::Kind;
use crate::sentence;
use crate::words::Sentence;

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// Nobody has decided, or a first person has and a second has to agree.
    Waiting,
    /// Shown to everybody.
    Published,
    /// Counted with its themes, and not shown.
    Heard,
    /// Not shown, for a reason of the city's list.
    Rejected,
}

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Waiting, Self::Published, Self::Heard, Self::Rejected];

    /// The word in the database.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Published => "published",
            Self::Heard => "heard",
            Self::Rejected => "rejected",
        }
    }

    /// Reads that word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// A text in a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) words: String,
    pub(crate) lang: String,
}

/// What people made of a message: its words, and what is taken out of its sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) transcript: Option<Text>,
    /// Marked as a translation wherever it is shown.
    pub(crate) translation: Option<Text>,
    pub(crate) trim_from_ms: Option<u64>,
    pub(crate) trim_to_ms: Option<u64>,
    pub(crate) silenced: Vec<(u64, u64)>,
    /// A child speaks, or seems to.
    pub(crate) is_child: bool,
}

/// Where the decision stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    /// The voice is published, too; in [`State::Waiting`] it is what the first person proposes.
    pub(crate) with_voice: bool,
    /// Who decided; in [`State::Waiting`] who proposed to publish it.
    pub(crate) decided_by: Option<i64>,
    /// Who agreed.
    pub(crate) second_by: Option<i64>,
}

impl Standing {
    /// Nobody has decided anything.
    pub(crate) const OPEN: Self = Self {
        state: State::Waiting,
        reason: None,
        with_voice: false,
        decided_by: None,
        second_by: None,
    };
}

/// What is known of a message when somebody decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) kind: Kind,
    pub(crate) may_publish: Publish,
    /// The campaign lets a child's words be published as text.
    pub(crate) child_text_is_allowed: bool,
    pub(crate) content: Content,
    pub(crate) standing: Standing,
}

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Only keep what was changed.
    Keep,
    /// Show the text.
    PublishText,
    /// Show the text, and let everybody hear the voice.
    PublishVoice,
    /// Count it with its themes, and show nothing.
    Heard,
    /// Show nothing, for a reason of the list.
    Reject(String),
    /// It waits again; its words stay.
    Undo,
}

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decider<'a> {
    pub(crate) account: i64,
    pub(crate) understands: &'a BTreeSet<String>,
    pub(crate) may_publish: bool,
    pub(crate) may_transcribe: bool,
}

/// The city's own rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Every publication takes two people.
    pub(crate) second_listener: bool,
    /// The reasons of a rejection.
    pub(crate) reasons: &'a [String],
}

/// Why something was not done. [`Refusal::name`] is the text that says it, with the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// A vote is counted, not decided.
    Vote,
    /// The person may not decide here.
    NotYours,
    /// Its citizen did not allow it.
    CitizenSaidNo,
    /// Its citizen did not allow the voice.
    NoKeyForTheVoice,
    /// There is no voice in a written message.
    NoVoice,
    /// A child's voice.
    ChildsVoice,
    /// The campaign publishes nothing of children.
    ChildNotPublished,
    /// No transcript, no publication.
    NoTranscript,
    /// The person does not understand it.
    NotUnderstood,
    /// The person does not understand the language that is spoken, and a translation does not stand for a voice.
    VoiceNotUnderstood,
    /// This hub has no key, so that it could let nobody hear the voice.
    SealedHere,
    /// Not in the city's list.
    UnknownReason,
    /// The trimming or a silence is no span of time within the message.
    BadCut,
}

impl Refusal {
    /// What says it.
    pub(crate) fn sentence(self) -> Sentence {
        match self {
            Self::Vote => sentence!("desk-refused-vote"),
            Self::NotYours => sentence!("staff-without-publish"),
            Self::CitizenSaidNo => sentence!("desk-refused-citizen-said-no"),
            Self::NoKeyForTheVoice => sentence!("desk-refused-no-key-for-the-voice"),
            Self::NoVoice => sentence!("desk-refused-no-voice"),
            Self::ChildsVoice => sentence!("desk-refused-childs-voice"),
            Self::ChildNotPublished => sentence!("desk-refused-child-not-published"),
            Self::NoTranscript => sentence!("desk-refused-no-transcript"),
            Self::NotUnderstood => sentence!("desk-refused-not-understood"),
            Self::VoiceNotUnderstood => sentence!("desk-refused-voice-not-understood"),
            Self::SealedHere => sentence!("desk-refused-sealed-here"),
            Self::UnknownReason => sentence!("desk-refused-unknown-reason"),
            Self::BadCut => sentence!("desk-refused-bad-cut"),
        }
    }
}

/// What follows when this person, having made `content` of the message, wants this.
pub(crate) fn judge(
    known: &Known,
    content: &Content,
    wish: &Wish,
    decider: Decider<'_>,
    rules: Rules<'_>,
) -> Result<Standing, Refusal> {
    if known.kind == Kind::Vote {
        return Err(Refusal::Vote);
    }
    let is_open = known.standing.state == State::Waiting;
    let may = match (wish, is_open) {
        // To change the words of what is published is to publish other words.
        (Wish::Keep, true) => decider.may_transcribe,
        _ => decider.may_publish,
    };
    if !may {
        return Err(Refusal::NotYours);
    }
    are_spans(content)?;
    let is_changed = *content != known.content;
    let decided = |state, reason| Standing {
        state,
        reason,
        decided_by: Some(decider.account),
        ..Standing::OPEN
    };
    match wish {
        Wish::Undo => Ok(Standing::OPEN),
        Wish::Heard => Ok(decided(State::Heard, None)),
        Wish::Reject(reason) => match rules.reasons.contains(reason) {
            true => Ok(decided(State::Rejected, Some(reason.clone()))),
            false => Err(Refusal::UnknownReason),
        },
        Wish::PublishText => publish(known, content, false, is_changed, decider, rules),
        Wish::PublishVoice => publish(known, content, true, is_changed, decider, rules),
        Wish::Keep if !is_changed => Ok(known.standing.clone()),
        Wish::Keep => match known.standing.state {
            // What was proposed was proposed with other words.
            State::Waiting => Ok(Standing::OPEN),
            State::Published => {
                let with_voice = known.standing.with_voice && !content.is_child;
                publish(known, content, with_voice, is_changed, decider, rules)
            }
            State::Heard | State::Rejected => Ok(known.standing.clone()),
        },
    }
}

fn publish(
    known: &Known,
    content: &Content,
    with_voice: bool,
    is_changed: bool,
    decider: Decider<'_>,
    rules: Rules<'_>,
) -> Result<Standing, Refusal> {
    if known.may_publish == Publish::No {
        return Err(Refusal::CitizenSaidNo);
    }
    let transcript = content.transcript.as_ref();
    let transcript = transcript.filter(|text| !text.words.trim().is_empty());
    let transcript = transcript.ok_or(Refusal::NoTranscript)?;
    let understands = |text: &Text| decider.understands.contains(&text.lang);
    let translation = content.translation.as_ref();
    let translation = translation.filter(|text| !text.words.trim().is_empty());
    if !understands(transcript) && !translation.is_some_and(understands) {
        return Err(Refusal::NotUnderstood);
    }
    if content.is_child && !known.child_text_is_allowed {
        return Err(Refusal::ChildNotPublished);
    }
    if with_voice {
        match () {
            () if known.kind != Kind::Spoken => return Err(Refusal::NoVoice),
            () if known.may_publish != Publish::Voice => return Err(Refusal::NoKeyForTheVoice),
            () if content.is_child => return Err(Refusal::ChildsVoice),
            () if !understands(transcript) => return Err(Refusal::VoiceNotUnderstood),
            () => {}
        }
    }
    let published = Standing {
        state: State::Published,
        reason: None,
        with_voice,
        decided_by: Some(decider.account),
        second_by: None,
    };
    if !rules.second_listener && !content.is_child {
        return Ok(published);
    }
    let before = &known.standing;
    let first = before.decided_by.filter(|_| !is_changed);
    match (before.state, first) {
        // A second person stands for the same words; the voice takes both, too.
        (State::Waiting, Some(first)) if first != decider.account => Ok(Standing {
            with_voice: with_voice && before.with_voice,
            decided_by: Some(first),
            second_by: Some(decider.account),
            ..published
        }),
        // Two stand for it already, and nothing more is shown than they stand for.
        (State::Published, Some(_))
            if before.second_by.is_some() && (before.with_voice || !with_voice) =>
        {
            Ok(Standing {
                with_voice,
                ..before.clone()
            })
        }
        _ => Ok(Standing {
            state: State::Waiting,
            ..published
        }),
    }
}

fn are_spans(content: &Content) -> Result<(), Refusal> {
    let end = content.trim_to_ms.unwrap_or(u64::MAX);
    let is_trimmed_right = content.trim_from_ms.unwrap_or(0) < end;
    let are_right = content.silenced.iter().all(|(from, to)| from < to);
    match is_trimmed_right && are_right {
        true => Ok(()),
        false => Err(Refusal::BadCut),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(words: &str, lang: &str) -> Option<Text> {
        Some(Text {
            words: words.into(),
            lang: lang.into(),
        })
    }

    fn known(may_publish: Publish) -> Known {
        Known {
            kind: Kind::Spoken,
            may_publish,
            child_text_is_allowed: true,
            content: Content::default(),
            standing: Standing::OPEN,
        }
    }

    fn content() -> Content {
        Content {
            transcript: text("Flere bænke på torvet", "da"),
            ..Content::default()
        }
    }

    struct World {
        understands: BTreeSet<String>,
        reasons: Vec<String>,
        second_listener: bool,
    }

    impl Default for World {
        fn default() -> Self {
            Self {
                understands: ["da".to_owned()].into(),
                reasons: vec!["insult".into()],
                second_listener: false,
            }
        }
    }

    impl World {
        fn says(
            &self,
            account: i64,
            known: &Known,
            content: &Content,
            wish: Wish,
        ) -> Result<Standing, Refusal> {
            let decider = Decider {
                account,
                understands: &self.understands,
                may_publish: true,
                may_transcribe: true,
            };
            let rules = Rules {
                second_listener: self.second_listener,
                reasons: &self.reasons,
            };
            judge(known, content, &wish, decider, rules)
        }
    }

    /// The message after somebody's decision.
    fn after(known: &Known, content: &Content, standing: Standing) -> Known {
        Known {
            content: content.clone(),
            standing,
            ..known.clone()
        }
    }

    #[test]
    fn no_transcript_no_publication() {
        let world = World::default();
        let known = known(Publish::Voice);
        for words in [None, text("", "da"), text(" \n\t", "da")] {
            let content = Content {
                transcript: words,
                ..Content::default()
            };
            for wish in [Wish::PublishText, Wish::PublishVoice] {
                let refused = world.says(1, &known, &content, wish);
                assert_eq!(refused, Err(Refusal::NoTranscript));
            }
        }
        let standing = world.says(1, &known, &content(), Wish::PublishText);
        assert_eq!(
            standing.map(|standing| standing.state),
            Ok(State::Published)
        );
    }

    #[test]
    fn the_voice_needs_the_citizens_own_key_and_silence_means_no() {
        let world = World::default();
        let voice = |may| world.says(1, &known(may), &content(), Wish::PublishVoice);
        assert!(voice(Publish::Voice).is_ok_and(|standing| standing.with_voice));
        assert_eq!(voice(Publish::Text), Err(Refusal::NoKeyForTheVoice));
        assert_eq!(voice(Publish::No), Err(Refusal::CitizenSaidNo));
        let text = world.says(1, &known(Publish::Text), &content(), Wish::PublishText);
        assert!(text.is_ok_and(|standing| !standing.with_voice));
        let written = Known {
            kind: Kind::Written,
            ..known(Publish::Voice)
        };
        let refused = world.says(1, &written, &content(), Wish::PublishVoice);
        assert_eq!(refused, Err(Refusal::NoVoice));
    }

    #[test]
    fn who_publishes_understands_the_transcript_or_a_marked_translation_and_for_a_voice_what_is_said()
     {
        let world = World::default();
        let known = known(Publish::Voice);
        let mut foreign = Content {
            transcript: text("Більше лавок", "uk"),
            ..Content::default()
        };
        let publishes = |content: &Content, wish| world.says(1, &known, content, wish);
        assert_eq!(
            publishes(&foreign, Wish::PublishText),
            Err(Refusal::NotUnderstood)
        );
        foreign.translation = text(" ", "da");
        assert_eq!(
            publishes(&foreign, Wish::PublishText),
            Err(Refusal::NotUnderstood)
        );
        foreign.translation = text("Flere bænke", "da");
        assert!(publishes(&foreign, Wish::PublishText).is_ok());
        assert_eq!(
            publishes(&foreign, Wish::PublishVoice),
            Err(Refusal::VoiceNotUnderstood)
        );
    }

    #[test]
    fn a_childs_voice_is_never_published_and_its_text_when_a_second_person_agrees() {
        let world = World::default();
        let open = known(Publish::Voice);
        let child = Content {
            is_child: true,
            ..content()
        };
        let refused = world.says(1, &open, &child, Wish::PublishVoice);
        assert_eq!(refused, Err(Refusal::ChildsVoice));
        let proposed = world
            .says(1, &open, &child, Wish::PublishText)
            .expect("may");
        assert_eq!(
            (proposed.state, proposed.decided_by),
            (State::Waiting, Some(1))
        );
        let waiting = after(&open, &child, proposed);
        // The same person twice are not two.
        let again = world
            .says(1, &waiting, &child, Wish::PublishText)
            .expect("may");
        assert_eq!(again.state, State::Waiting);
        let agreed = world
            .says(2, &waiting, &child, Wish::PublishText)
            .expect("may");
        assert_eq!(agreed.state, State::Published);
        assert_eq!((agreed.decided_by, agreed.second_by), (Some(1), Some(2)));
        let never = Known {
            child_text_is_allowed: false,
            ..open
        };
        let refused = world.says(1, &never, &child, Wish::PublishText);
        assert_eq!(refused, Err(Refusal::ChildNotPublished));
    }

    #[test]
    fn a_second_person_who_changes_the_words_proposes_anew() {
        let world = World {
            second_listener: true,
            ..World::default()
        };
        let open = known(Publish::Voice);
        let first = world
            .says(1, &open, &content(), Wish::PublishVoice)
            .expect("may");
        assert!(first.state == State::Waiting && first.with_voice);
        let waiting = after(&open, &content(), first);
        let other = Content {
            transcript: text("Færre bænke på torvet", "da"),
            ..content()
        };
        let proposed = world
            .says(2, &waiting, &other, Wish::PublishVoice)
            .expect("may");
        assert_eq!(
            (proposed.state, proposed.decided_by),
            (State::Waiting, Some(2))
        );
        // The voice takes both.
        let text_alone = world
            .says(2, &waiting, &content(), Wish::PublishText)
            .expect("may");
        assert!(text_alone.state == State::Published && !text_alone.with_voice);
        let proposed_text = Known {
            standing: Standing {
                with_voice: false,
                ..waiting.standing.clone()
            },
            ..waiting
        };
        let agreed = world.says(2, &proposed_text, &content(), Wish::PublishVoice);
        assert!(agreed.is_ok_and(|agreed| agreed.state == State::Published && !agreed.with_voice));
    }

    #[test]
    fn other_words_of_what_is_published_are_a_publication_of_their_own() {
        let alone = World::default();
        let two = World {
            second_listener: true,
            ..World::default()
        };
        let open = known(Publish::Voice);
        let shown = Known {
            content: content(),
            standing: Standing {
                state: State::Published,
                with_voice: true,
                decided_by: Some(1),
                second_by: Some(2),
                reason: None,
            },
            ..open
        };
        let mended = Content {
            transcript: text("Flere bænke på Torvet", "da"),
            ..content()
        };
        let kept = alone.says(3, &shown, &mended, Wish::Keep).expect("may");
        assert!(kept.state == State::Published && kept.decided_by == Some(3));
        let kept = two.says(3, &shown, &mended, Wish::Keep).expect("may");
        assert_eq!((kept.state, kept.decided_by), (State::Waiting, Some(3)));
        // Nothing changed: it stays as two decided it.
        let same = two.says(3, &shown, &content(), Wish::Keep).expect("may");
        assert_eq!(same, shown.standing);
        let emptied = Content::default();
        let refused = alone.says(3, &shown, &emptied, Wish::Keep);
        assert_eq!(refused, Err(Refusal::NoTranscript));
        // A child that is noticed later: the voice goes at once.
        let child = Content {
            is_child: true,
            ..content()
        };
        let kept = alone.says(3, &shown, &child, Wish::Keep).expect("may");
        assert!(kept.state == State::Waiting && !kept.with_voice);
    }

    #[test]
    fn who_may_only_transcribe_changes_words_and_decides_nothing() {
        let world = World::default();
        let helper = Decider {
            account: 1,
            understands: &world.understands,
            may_publish: false,
            may_transcribe: true,
        };
        let rules = Rules {
            second_listener: false,
            reasons: &world.reasons,
        };
        let open = known(Publish::Voice);
        let says = |known: &Known, wish: Wish| judge(known, &content(), &wish, helper, rules);
        assert!(says(&open, Wish::Keep).is_ok());
        for wish in [
            Wish::PublishText,
            Wish::PublishVoice,
            Wish::Heard,
            Wish::Reject("insult".into()),
            Wish::Undo,
        ] {
            assert_eq!(says(&open, wish), Err(Refusal::NotYours));
        }
        let shown = Known {
            standing: Standing {
                state: State::Published,
                ..Standing::OPEN
            },
            ..open
        };
        assert_eq!(says(&shown, Wish::Keep), Err(Refusal::NotYours));
    }

    #[test]
    fn a_reason_is_of_the_citys_own_list_and_votes_are_not_decided() {
        let world = World::default();
        let open = known(Publish::No);
        let reject = |reason: &str| world.says(1, &open, &content(), Wish::Reject(reason.into()));
        assert_eq!(reject("because"), Err(Refusal::UnknownReason));
        let rejected = reject("insult").expect("may");
        assert_eq!(rejected.reason.as_deref(), Some("insult"));
        let vote = Known {
            kind: Kind::Vote,
            ..open
        };
        let refused = world.says(1, &vote, &content(), Wish::Heard);
        assert_eq!(refused, Err(Refusal::Vote));
    }

    #[test]
    fn what_was_decided_can_be_undone_and_its_words_stay_proposed_to_nobody() {
        let world = World::default();
        let open = known(Publish::Voice);
        for wish in [
            Wish::PublishVoice,
            Wish::Heard,
            Wish::Reject("insult".into()),
        ] {
            let decided = world.says(1, &open, &content(), wish).expect("may");
            let there = after(&open, &content(), decided);
            let undone = world.says(2, &there, &content(), Wish::Undo).expect("may");
            assert_eq!(undone, Standing::OPEN);
        }
    }

    #[test]
    fn a_cut_is_a_span_of_time() {
        let world = World::default();
        let open = known(Publish::Voice);
        let bad = [
            Content {
                trim_from_ms: Some(2_000),
                trim_to_ms: Some(2_000),
                ..content()
            },
            Content {
                silenced: vec![(3_000, 2_000)],
                ..content()
            },
        ];
        for content in bad {
            let refused = world.says(1, &open, &content, Wish::PublishText);
            assert_eq!(refused, Err(Refusal::BadCut));
        }
    }

    fn any_publish() -> impl Strategy<Value = Publish> {
        prop_oneof![Just(Publish::No), Just(Publish::Text), Just(Publish::Voice)]
    }

    fn any_wish() -> impl Strategy<Value = Wish> {
        prop_oneof![
            1 => Just(Wish::Keep),
            3 => Just(Wish::PublishText),
            3 => Just(Wish::PublishVoice),
            1 => Just(Wish::Heard),
            1 => Just(Wish::Reject("insult".into())),
            1 => Just(Wish::Undo),
        ]
    }

    fn any_content() -> impl Strategy<Value = Content> {
        let words = prop_oneof![
            Just(None),
            Just(text("", "da")),
            Just(text("a", "da")),
            Just(text("b", "uk"))
        ];
        let translation = prop_oneof![Just(None), Just(text("c", "da"))];
        (words, translation, any::<bool>()).prop_map(|(transcript, translation, is_child)| {
            Content {
                transcript,
                translation,
                is_child,
                ..Content::default()
            }
        })
    }

    proptest! {
        #[test]
        fn whatever_people_do_what_is_published_was_allowed_is_written_down_and_was_agreed_to(
            may_publish in any_publish(),
            second_listener in any::<bool>(),
            child_text_is_allowed in any::<bool>(),
            steps in proptest::collection::vec((1..4i64, any_content(), any_wish()), 1..12),
        ) {
            let world = World { second_listener, ..World::default() };
            let mut message = Known { child_text_is_allowed, ..known(may_publish) };
            // Who stood for the words as they are.
            let mut stood: BTreeSet<i64> = BTreeSet::new();
            for (account, content, wish) in steps {
                let is_publication = matches!(wish, Wish::PublishText | Wish::PublishVoice)
                    || (wish == Wish::Keep && message.standing.state == State::Published);
                let Ok(standing) = world.says(account, &message, &content, wish) else {
                    continue;
                };
                if content != message.content || standing == Standing::OPEN {
                    stood.clear();
                }
                if is_publication {
                    stood.insert(account);
                }
                message = after(&message, &content, standing);
                if message.standing.state == State::Published {
                    let words = message.content.transcript.as_ref();
                    prop_assert!(words.is_some_and(|text| !text.words.is_empty()));
                    prop_assert!(may_publish != Publish::No);
                    let is_child = message.content.is_child;
                    prop_assert!(!message.standing.with_voice || (may_publish == Publish::Voice && !is_child));
                    prop_assert!(!is_child || child_text_is_allowed);
                    if second_listener || is_child {
                        prop_assert!(stood.len() >= 2, "{:?} {:?}", stood, message);
                        prop_assert!(message.standing.decided_by != message.standing.second_by);
                        prop_assert!(message.standing.second_by.is_some());
                    }
                } else if message.standing.state == State::Waiting && message.standing.decided_by.is_none() {
                    prop_assert_eq!(&message.standing, &Standing::OPEN);
                }
            }
        }
    }
}
