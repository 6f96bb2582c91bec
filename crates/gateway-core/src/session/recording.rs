//! Recording: the act of consent, the tone, what ends a take, and what the recorder reports of it.
//!
//! Owns: the times within a recording. Never does: decide what becomes of the words; `after` does.

use super::after::Hears;
use super::machine::{RECORDER_LIMIT, SAVED, Session};
use super::offer::OpenQuestion;
use super::state::State;
use super::{Asked, Command, Prompt, RecorderNews, TakeId};
use crate::counters::Counter;
use crate::prompt::Word;
use booth_contract::time::Mono;
use booth_contract::{EndedBy, Publish};
use std::time::Duration;

/// Time for the first word.
const FIRST_WORD: Duration = Duration::from_secs(20);
/// Soft tone this long before silence ends a recording.
const SILENCE_WARNING: Duration = Duration::from_secs(5);
/// Soft tone this long before the limit.
const LIMIT_WARNING: Duration = Duration::from_secs(15);
/// Voice that began during a soft tone and is shorter than this is the tone itself.
const ECHO: Duration = Duration::from_secs(1);

/// What a citizen says or has said, from the act of consent until it is closed or deleted.
#[derive(Debug, Clone)]
pub(super) struct Current {
    pub(super) take: TakeId,
    pub(super) question: OpenQuestion,
    /// The key that was the consent to record.
    pub(super) key: Option<String>,
    /// What was allowed beyond it.
    pub(super) publish: Publish,
    /// What was allowed before each change, and when it was changed.
    pub(super) allowed: Vec<(Mono, Publish)>,
    /// The longest that it may last.
    pub(super) max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recording {
    pub(super) take: TakeId,
    pub(super) began: Mono,
    pub(super) max: Duration,
    spoke: bool,
    /// Since when nobody speaks; `None` while somebody does.
    quiet: Option<Mono>,
    /// Voice that began while a soft tone played: the microphone may only have heard the earpiece.
    echo: Option<Mono>,
    silence_warned: bool,
    limit_warned: bool,
}

impl Recording {
    fn speaks(&mut self) {
        self.spoke = true;
        self.quiet = None;
        self.silence_warned = false;
    }

    fn limit_warning(&self) -> Mono {
        self.began + self.max.saturating_sub(LIMIT_WARNING)
    }
}

impl Session {
    /// What a clip that answers this question says of it.
    pub(super) fn asked_by(&self, question: &OpenQuestion, choice: Option<u8>) -> Asked {
        Asked {
            question_id: question.id.clone(),
            campaign_id: question.campaign_id.clone(),
            lang: self.visit.lang.clone(),
            config_version: self.offer.config_version,
            choice,
        }
    }

    /// The active act of consent: words are kept from here on, and not before.
    pub(super) fn consent(
        &mut self,
        now: Mono,
        question: &OpenQuestion,
        key: Option<String>,
        out: &mut Vec<Command>,
    ) {
        if !self.can_record() {
            self.out_of_order(now, out);
            return;
        }
        let take = self.next_take();
        self.saved_until = None;
        self.visit.has_chosen = true;
        self.current = Some(Current {
            take,
            question: question.clone(),
            key: key.clone(),
            publish: Publish::No,
            allowed: Vec::new(),
            max: question.max.unwrap_or(self.offer.limits.max),
        });
        self.forget_receipt();
        self.receipt_of = Some(take);
        self.state = State::Tone { take };
        out.push(Command::Arm {
            take,
            asked: self.asked_by(question, None),
            key,
        });
        self.play(now, vec![Prompt::Tone], out);
    }

    /// Ends a take that a citizen ended; too short a one is discarded.
    pub(super) fn finish(&self, take: TakeId, ended_by: EndedBy, at: Mono, out: &mut Vec<Command>) {
        let min = match ended_by {
            EndedBy::HangUp | EndedBy::Key => self.rules.min,
            EndedBy::Limit | EndedBy::Silence | EndedBy::DeviceLost | EndedBy::Power => {
                Duration::ZERO
            }
        };
        out.push(Command::Finish {
            take,
            ended_by,
            at,
            min,
        });
    }

    pub(super) fn end_recording(
        &mut self,
        take: TakeId,
        ended_by: EndedBy,
        now: Mono,
        out: &mut Vec<Command>,
    ) {
        self.stop_play(out);
        self.quiet_since = now;
        self.finish(take, ended_by, now, out);
        let broken = ended_by == EndedBy::DeviceLost;
        self.state = State::Finishing {
            take,
            until: now + RECORDER_LIMIT,
            deletes: false,
            broken,
            next: None,
        };
    }

    pub(super) fn news(&mut self, now: Mono, news: RecorderNews, out: &mut Vec<Command>) {
        let about = match news {
            RecorderNews::Started(take)
            | RecorderNews::Voice { take, .. }
            | RecorderNews::Held(take)
            | RecorderNews::Kept(take)
            | RecorderNews::Discarded(take)
            | RecorderNews::Failed(take) => take,
        };
        if let State::Undecided { take, came, .. } = &mut self.state
            && *take == about
            && !matches!(news, RecorderNews::Voice { .. })
        {
            // It counts once it is known what was dialled.
            came.get_or_insert(news);
            return;
        }
        // Test messages are not counted.
        let is_test = self.test_take == Some(about);
        match news {
            RecorderNews::Held(_) => self.saved_until = Some(now + SAVED),
            RecorderNews::Kept(_) => {
                let counter = self.counted_as(about);
                out.extend((!is_test).then_some(Command::Count(counter)));
                self.saved_until = Some(now + SAVED);
            }
            RecorderNews::Discarded(_) if is_test => {}
            RecorderNews::Discarded(_) => out.push(Command::Count(Counter::Discarded)),
            RecorderNews::Failed(_) => self.vote_failed(about),
            RecorderNews::Started(_) | RecorderNews::Voice { .. } => {}
        }
        if let State::Service(service) = self.state
            && service.take() == Some(about)
        {
            self.service_take(now, service, about, news, out);
            return;
        }
        match (&mut self.state, news) {
            (State::Starting { take, .. }, RecorderNews::Started(_)) if *take == about => {
                let max = match &self.current {
                    Some(current) => current.max,
                    None => self.offer.limits.max,
                };
                self.state = State::Recording(Recording {
                    take: about,
                    began: now,
                    max,
                    spoke: false,
                    quiet: Some(now),
                    echo: None,
                    silence_warned: false,
                    // A limit of a few seconds needs no warning.
                    limit_warned: max <= LIMIT_WARNING,
                });
            }
            (State::Recording(recording), RecorderNews::Voice { active, at, .. })
                if recording.take == about =>
            {
                if active && self.playing.is_some() {
                    recording.echo = Some(at);
                } else if active {
                    recording.speaks();
                } else if recording
                    .echo
                    .take()
                    .is_none_or(|began| at.since(began) >= ECHO)
                {
                    recording.speaks();
                    recording.quiet = Some(at);
                }
            }
            (
                State::Finishing {
                    take,
                    broken,
                    next,
                    deletes: false,
                    ..
                },
                RecorderNews::Held(_),
            ) if *take == about => {
                let (broken, next) = (*broken, *next);
                self.state = State::After { hears: Hears::Menu };
                self.held(now, broken, next, out);
            }
            // The citizen has gone, or does something else: nothing more was allowed.
            (_, RecorderNews::Held(take)) => out.push(Command::Close {
                take,
                publish: Publish::No,
            }),
            (
                State::Finishing {
                    take,
                    broken,
                    next,
                    deletes,
                    ..
                },
                RecorderNews::Discarded(_),
            ) if *take == about => {
                let said = match *deletes {
                    true => Prompt::Word(Word::Deleted),
                    false => Prompt::TooShort,
                };
                let (broken, next) = (*broken, *next);
                self.is_gone(now, said, broken, next, out);
            }
            (State::Casting { ballot, next, .. }, RecorderNews::Kept(_))
                if ballot.take == about =>
            {
                let (ballot, next) = (ballot.clone(), *next);
                self.was_cast(now, ballot, next, out);
            }
            (
                State::Finishing {
                    take,
                    next,
                    deletes: false,
                    ..
                },
                RecorderNews::Failed(_),
            ) if *take == about => {
                Self::delete_unheld(about, *next, out);
                self.out_of_order(now, out);
            }
            (
                State::Tone { take }
                | State::Starting { take, .. }
                | State::Finishing { take, .. }
                | State::Recording(Recording { take, .. }),
                RecorderNews::Failed(_),
            ) if *take == about => self.out_of_order(now, out),
            (State::Casting { ballot, .. }, RecorderNews::Failed(_)) if ballot.take == about => {
                self.out_of_order(now, out)
            }
            // News of a take that this state does not wait for, or whose citizen has gone.
            _ => {}
        }
    }

    /// Silence that ends this recording, and since when it lasts.
    fn silence_end(&self, recording: &Recording) -> Option<Mono> {
        let silence = self.offer.limits.silence;
        let limit = if recording.spoke { silence } else { FIRST_WORD };
        if silence.is_zero() {
            None
        } else {
            recording.quiet.map(|quiet| quiet + self.patient(limit))
        }
    }

    pub(super) fn recording_deadline(&self, recording: &Recording) -> Mono {
        let limit = recording.began + recording.max;
        let limit = if recording.limit_warned {
            limit
        } else {
            recording.limit_warning().min(limit)
        };
        let limit = recording
            .echo
            .map_or(limit, |began| limit.min(began + ECHO));
        match self.silence_end(recording) {
            Some(end) if recording.silence_warned || !self.warns_of_silence(recording) => {
                limit.min(end)
            }
            Some(end) => limit.min(end - SILENCE_WARNING),
            None => limit,
        }
    }

    fn warns_of_silence(&self, recording: &Recording) -> bool {
        !recording.spoke || self.patient(self.offer.limits.silence) > SILENCE_WARNING
    }

    pub(super) fn tick_recording(
        &mut self,
        now: Mono,
        recording: &Recording,
        out: &mut Vec<Command>,
    ) {
        if recording.began + recording.max <= now {
            self.end_recording(recording.take, EndedBy::Limit, now, out);
            return;
        }
        if recording.echo.is_some_and(|began| now.since(began) >= ECHO) {
            // It lasts longer than any tone, so somebody speaks on.
            if let State::Recording(current) = &mut self.state {
                current.echo = None;
                current.speaks();
            }
            return;
        }
        let silence_end = self.silence_end(recording);
        if silence_end.is_some_and(|end| end <= now) {
            self.end_recording(recording.take, EndedBy::Silence, now, out);
            return;
        }
        let limit_soon = !recording.limit_warned && recording.limit_warning() <= now;
        let silence_soon = !recording.silence_warned
            && self.warns_of_silence(recording)
            && silence_end.is_some_and(|end| end - SILENCE_WARNING <= now);
        if let State::Recording(current) = &mut self.state {
            current.limit_warned |= limit_soon;
            current.silence_warned |= silence_soon;
        }
        if limit_soon || silence_soon {
            self.play(now, vec![Prompt::LimitSoon], out);
        }
    }
}
