//! The states of a visit, and how long each may last.
//!
//! Owns: every state's name and deadline, so that no citizen and no fault holds the booth for ever.

use super::after::Hears;
use super::asking::Asking;
use super::code::Coding;
use super::machine::{DIGIT_GAP, LEFT_OFF_AFTER, OFF_HOOK_AFTER, Session};
use super::recording::Recording;
use super::vote::{Ballot, Choosing};
use super::withdraw::{SlowCode, Withdrawing};
use super::{Key, KeySource, RecorderNews, TakeId};
use booth_contract::time::Mono;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// The notice plays; a key pressed meanwhile waits for its end.
    Notice {
        pending: Option<(Key, KeySource)>,
    },
    /// The questions play, or wait for a choice since their end.
    Asking(Asking),
    /// A vote: its options play, or wait for a choice.
    Choosing(Choosing),
    /// An option was chosen, and the code with which it counts is dialled.
    Coding(Coding),
    /// The vote is on its way to the card.
    Casting {
        ballot: Ballot,
        until: Mono,
        next: Option<(Key, KeySource)>,
    },
    /// The vote is on the card.
    Voted {
        ballot: Ballot,
        hears: Hears,
    },
    /// Armed; the tone plays.
    Tone {
        take: TakeId,
    },
    /// The tone is over; the first kept frame is on its way.
    Starting {
        take: TakeId,
        until: Mono,
    },
    Recording(Recording),
    /// The words were ended by a dialled digit that may be the beginning of an emergency number, which deletes them.
    Undecided {
        take: TakeId,
        /// Without a further digit of the number they are kept then.
        until: Mono,
        /// What the recorder said meanwhile.
        came: Option<RecorderNews>,
    },
    /// The recorder ends the words, or deletes them.
    Finishing {
        take: TakeId,
        until: Mono,
        deletes: bool,
        broken: bool,
        next: Option<(Key, KeySource)>,
    },
    /// The words are held; their citizen may hear, repeat or delete them.
    After {
        hears: Hears,
    },
    /// Goodbye or the emergency announcement said; only hanging up is left.
    Goodbye,
    /// The off-hook tone plays until then, or is over.
    OffHook {
        until: Mono,
    },
    OutOfOrder,
    /// Somebody takes a message back.
    Withdrawing(Withdrawing),
    /// A technician is served.
    Service(Service),
}

/// How far a technician's visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// The report plays, or is on its way.
    Report,
    /// The tone before the test message plays.
    Tone { take: TakeId },
    /// The first kept frame is on its way.
    Starting { take: TakeId, until: Mono },
    /// The test message is being recorded.
    Speaking { take: TakeId, until: Mono },
    /// The recorder closes it.
    Finishing { take: TakeId, until: Mono },
    /// The centre is to confirm it.
    Confirming { until: Mono },
    /// Keys are waited for.
    Waiting,
    /// The number of the place is dialled.
    Place {
        /// What was dialled so far; 0 for nothing.
        number: u32,
        /// Nothing further comes then.
        until: Mono,
    },
}

impl Service {
    pub(super) fn take(self) -> Option<TakeId> {
        match self {
            Service::Tone { take }
            | Service::Starting { take, .. }
            | Service::Speaking { take, .. }
            | Service::Finishing { take, .. } => Some(take),
            Service::Report
            | Service::Confirming { .. }
            | Service::Waiting
            | Service::Place { .. } => None,
        }
    }

    /// The take that the recorder has not been asked to end yet.
    pub(super) fn open_take(self) -> Option<TakeId> {
        match self {
            Service::Tone { take }
            | Service::Starting { take, .. }
            | Service::Speaking { take, .. } => Some(take),
            Service::Finishing { .. }
            | Service::Report
            | Service::Confirming { .. }
            | Service::Waiting
            | Service::Place { .. } => None,
        }
    }
}

/// What holds for one visit, from the lift to the hang-up.
#[derive(Debug, Clone, Default)]
pub(super) struct Visit {
    /// The language in which it is spoken.
    pub(super) lang: String,
    /// Louder by this many steps.
    pub(super) gain_steps: u8,
    /// Somebody asked for a repetition: every waiting time is doubled.
    pub(super) is_patient: bool,
    /// The notice was heard to its end, in this language.
    pub(super) notice_heard: bool,
    /// Something was said, chosen or taken back.
    pub(super) has_chosen: bool,
    /// What became of earlier answers was offered after a message.
    pub(super) answer_offered: bool,
    /// The technician at the handset used the service button.
    pub(super) has_button: bool,
    /// The code of a withdrawal, dialled slowly.
    pub(super) slowly: SlowCode,
}

impl Session {
    /// The state's name in the contract (§2); a withdrawal and a technician's visit have names of their own.
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Idle => "idle",
            State::Notice { .. } => "notice",
            State::Asking(_)
            | State::Choosing(_)
            | State::Coding(_)
            | State::Tone { .. }
            | State::Starting { .. } => "question",
            State::Recording(_) => "recording",
            State::Undecided { .. }
            | State::Finishing { .. }
            | State::After { .. }
            | State::Casting { .. }
            | State::Voted { .. } => "after",
            State::Goodbye => "goodbye",
            State::OffHook { .. } => "off_hook",
            State::OutOfOrder => "out_of_order",
            State::Withdrawing(_) => "withdrawal",
            State::Service(_) => "service",
        }
    }

    /// When [`Input::Tick`] must come at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        let off_hook_due = || {
            self.playing
                .is_none()
                .then(|| self.quiet_since + self.patient(OFF_HOOK_AFTER))
        };
        let state = match &self.state {
            State::Idle | State::Notice { .. } | State::Tone { .. } => None,
            State::Asking(asking) => asking
                .heard
                .map(|heard| heard + self.patience(asking.repeated)),
            State::Choosing(choosing) => match choosing.chosen {
                Some(_) => off_hook_due(),
                None => choosing
                    .heard
                    .map(|heard| heard + self.patience(choosing.repeated)),
            },
            State::Coding(coding) => self.dialling_due(&coding.dialled),
            State::Starting { until, .. }
            | State::Finishing { until, .. }
            | State::Casting { until, .. } => Some(*until),
            State::Recording(recording) => Some(self.recording_deadline(recording)),
            State::Undecided { until, .. } => Some(*until),
            State::Service(
                Service::Starting { until, .. }
                | Service::Speaking { until, .. }
                | Service::Finishing { until, .. }
                | Service::Confirming { until }
                | Service::Place { until, .. },
            ) => Some(*until),
            State::Service(Service::Tone { .. }) => None,
            State::Withdrawing(withdrawing) => self.withdrawal_due(withdrawing),
            State::After { .. }
            | State::Voted { .. }
            | State::Goodbye
            | State::OutOfOrder
            | State::Service(Service::Report | Service::Waiting) => off_hook_due(),
            State::OffHook { until } => {
                let left_off = (!self.left_off).then_some(self.quiet_since + LEFT_OFF_AFTER);
                let tone = self.playing.map(|_| *until);
                // A handset that stays off is reported once; after that nothing is due for a long time, and a hang-up is an event.
                left_off
                    .into_iter()
                    .chain(tone)
                    .min()
                    .or(Some(self.quiet_since + LEFT_OFF_AFTER * 1000))
            }
        };
        let play = self.playing.map(|(_, limit)| limit);
        let unsure = self.unsure.last().map(|(_, _, at)| *at + DIGIT_GAP);
        let due = state.into_iter().chain(play).chain(unsure);
        due.chain(self.saved_until).min()
    }

    /// How long a question waits for its digit before it is repeated, or before the goodbye.
    pub(super) fn patience(&self, repeated: bool) -> Duration {
        let choose = self.patient(self.offer.limits.choose);
        if repeated { choose } else { choose / 2 }
    }

    /// A waiting time: twice as long for somebody who asked for a repetition.
    pub(super) fn patient(&self, span: Duration) -> Duration {
        match self.visit.is_patient {
            true => span * 2,
            false => span,
        }
    }
}
