//! The pause from one vote to the next, over a restart: what the card remembers of the latest votes.
//!
//! Owns: which votes are remembered, and how old each counts after a restart. Never does: hold the pause; the visit does. A card that
//! refuses the memory costs the pause that a restart would have kept.

use std::time::Duration;

use super::{Around, Booth};
use crate::orders::{KeptVote, Remembered};
use crate::session::Voted;
use booth_contract::time::Mono;

impl Booth {
    /// A vote was cast, or the card has refused one: the card is to remember since when each question waits.
    pub(super) fn remember_votes(&mut self, now: Mono, around: &Around) {
        let wall_ms = around.wall.as_millisecond();
        let boot_id = self.rules.centre.boot_id.clone();
        let kept = |(question, Voted { at, older }): (&str, Voted)| {
            let age = now.since(at) + older;
            KeptVote {
                question: question.to_owned(),
                boot_id: boot_id.clone(),
                at_ms: at.0,
                older_ms: u64::try_from(older.as_millis()).unwrap_or(u64::MAX),
                wall_ms: wall_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
            }
        };
        let voted: Vec<KeptVote> = self.session.voted().map(kept).collect();
        // Within a boot the boot-time clock alone tells; the wall clock may have been corrected since.
        let is_same = |one: &KeptVote, other: &KeptVote| {
            (&one.question, &one.boot_id, one.at_ms)
                == (&other.question, &other.boot_id, other.at_ms)
        };
        let kept = &self.orders.memory.voted;
        let is_new = kept.len() != voted.len()
            || !kept
                .iter()
                .zip(&voted)
                .all(|(one, other)| is_same(one, other));
        if is_new {
            self.orders.memory.voted = voted;
            self.remember();
        }
    }

    /// Goes on with the pauses that an earlier process began.
    pub(super) fn resume_pauses(&mut self, now: Mono, around: &Around) {
        let boot_id = &self.rules.centre.boot_id;
        for (question, at, older) in since(&self.orders.memory, boot_id, now, around) {
            self.session.was_voted(question, at, older);
        }
    }
}

/// Since when each question waits, and how much older its vote is than that. In another boot of the machine the wall clock tells; one that
/// says less than nothing has gone by counts as none: a pause is then held once more, and never forgotten.
fn since(
    memory: &Remembered,
    boot_id: &booth_contract::BootId,
    now: Mono,
    around: &Around,
) -> Vec<(String, Mono, Duration)> {
    let of = |kept: &KeptVote| {
        if kept.boot_id == *boot_id {
            let older = Duration::from_millis(kept.older_ms);
            return (kept.question.clone(), Mono(kept.at_ms).min(now), older);
        }
        let age_ms = around.wall.as_millisecond() - kept.wall_ms;
        let older = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        (kept.question.clone(), now, older)
    };
    memory.voted.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{around, booth_with, works};
    use super::super::{CentreRules, Command, Event};
    use super::*;
    use crate::prompt::{Prompt, Word};
    use crate::session::{
        self, Choice, HandsetEvent, Input, Key, KeySource, Limits, Offer, OpenQuestion,
        QuestionKind, RecorderNews,
    };

    const PAUSE: Duration = Duration::from_secs(120);

    struct Rig {
        booth: Booth,
        now: Mono,
        card: Remembered,
        votes: usize,
        said: Vec<Prompt>,
        wall_ms: i64,
    }

    impl Rig {
        /// A start with this card at this moment of this boot.
        fn start(card: Remembered, boot_id: &str, now: Mono, wall_ms: i64) -> Self {
            let id = booth_contract::BoothId::parse("rundhoej-1").expect("an id");
            let topics = booth_contract::Topics::new("booth/1");
            let mut rig = Self {
                booth: booth_with(CentreRules::bare(id, topics, boot_id.into())),
                now,
                card: card.clone(),
                votes: 0,
                said: Vec::new(),
                wall_ms,
            };
            works(&mut rig.booth);
            rig.happen(Event::SpoolOpened {
                card_id: "card-1".into(),
                saved: Default::default(),
                boot_count: 1,
                is_known: false,
                watchdog_reset: false,
                first_seen: None,
                memory: Box::new(card),
            });
            let option = |digit: u8| Choice {
                digit,
                id: format!("o{digit}"),
                prompt: Prompt::Question(format!("o{digit}")),
            };
            let question = OpenQuestion {
                id: "tree".into(),
                campaign_id: None,
                digit: 1,
                prompt: Prompt::Question("tree".into()),
                kind: QuestionKind::Choose {
                    options: vec![option(2), option(3)],
                    min_pause: PAUSE,
                    codes: false,
                },
                publish: session::MayPublish::No,
                max: None,
            };
            rig.visit(Input::HandsetAtStart { off_hook: false });
            rig.visit(Input::Offer(Offer {
                questions: vec![question],
                lang: "da".into(),
                limits: Limits::default(),
                ..Offer::default()
            }));
            rig.happen(Event::Turn);
            rig
        }

        fn visit(&mut self, input: Input) {
            self.happen(Event::Visit(input));
        }

        fn happen(&mut self, event: Event) {
            let mut around = around(self.now);
            around.wall =
                booth_contract::time::Timestamp::from_millisecond(self.wall_ms).expect("a time");
            let mut events = vec![event];
            while let Some(event) = events.pop() {
                for command in self.booth.handle(self.now, &around, event) {
                    match command {
                        Command::Visit(session::Command::Play { id, prompts, .. }) => {
                            self.said.extend(prompts);
                            events.push(Event::PlayEnded(id));
                        }
                        Command::Visit(session::Command::Cast { take, .. }) => {
                            self.votes += 1;
                            events.push(Event::Visit(Input::Recorder(RecorderNews::Kept(take))));
                        }
                        Command::Remember(memory) => {
                            self.card = (*memory).clone();
                            events.push(Event::Remembered(Ok(memory)));
                        }
                        _ => {}
                    }
                }
            }
        }

        /// Lifts, votes and hangs up; answers whether the vote was taken.
        fn votes(&mut self) -> bool {
            let before = self.votes;
            self.said.clear();
            self.visit(Input::Handset(HandsetEvent::Lifted));
            let key = HandsetEvent::Key(Key::Digit(2), KeySource::Keypad);
            self.visit(Input::Handset(key));
            self.visit(Input::Handset(HandsetEvent::HungUp));
            let is_cast = self.votes > before;
            assert_ne!(is_cast, self.said.contains(&Prompt::Word(Word::VoteLater)));
            is_cast
        }
    }

    const WALL: i64 = 1_796_122_800_000;

    #[test]
    fn a_restart_in_the_same_boot_holds_the_pause_to_its_second_whatever_the_wall_clock_says() {
        let mut booth = Rig::start(Remembered::default(), "boot-1", Mono(600_000), WALL);
        assert!(booth.votes());
        assert!(!booth.votes());
        let card = booth.card;
        assert_eq!(card.voted.len(), 1);
        for (after_s, wall_ms, is_open) in [(119, WALL + 9_000_000, false), (120, WALL, true)] {
            let now = Mono(600_000 + after_s * 1_000);
            let mut again = Rig::start(card.clone(), "boot-1", now, wall_ms);
            assert_eq!(again.votes(), is_open, "{after_s}");
        }
    }

    #[test]
    fn after_another_boot_the_wall_clock_tells_and_one_that_went_back_holds_the_pause_once_more() {
        let mut booth = Rig::start(Remembered::default(), "boot-1", Mono(600_000), WALL);
        assert!(booth.votes());
        let card = booth.card;
        for (wall_ms, is_open) in [
            (WALL + 60_000, false),
            (WALL + 130_000, true),
            (WALL - 9_000_000, false),
        ] {
            let mut again = Rig::start(card.clone(), "boot-2", Mono(20_000), wall_ms);
            assert_eq!(again.votes(), is_open, "{wall_ms}");
            again.now = Mono(20_000 + 120_000);
            again.wall_ms += 120_000;
            assert!(again.votes() || is_open);
        }
    }
}
