//! What a booth wants done.

use booth_contract::ClipId;
use booth_contract::time::Mono;

use super::configuration::Came;
use super::desk::Reply;
use crate::bell::Ringing;
use crate::delivery::Verdict as Settled;
use crate::health::AlertChange;
use crate::microphone::Verdict;
use crate::orders::Remembered;
use crate::sign::Sign;
use crate::{quarantine, session, unreadable};

/// How the microphone was listened to in a self-test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Listened {
    /// Not in this test.
    NotNow,
    /// It gave no answer.
    InVain,
    /// The tone was this loud, dB below full scale.
    Heard(f64),
}

/// What has to be done.
#[derive(Debug)]
pub enum Command {
    /// For recorder, earpiece, lamp, or the technician.
    Visit(session::Command),
    /// Ask the recorder what the microphone hears.
    Hear,
    /// Play the self-test's tone, as [`TEST_TONE`].
    PlayTone,
    /// Ask the card to take a write.
    Probe,
    /// Report a self-test.
    SelfTested {
        /// Of the microphone.
        verdict: Verdict,
        /// How that was found.
        listened: Listened,
    },
    /// The card has to note how far the wall clock is ahead of the boot-time clock, ms.
    NoteClock(i64),
    /// Report the pair of clocks.
    SayClock {
        /// Wall clock minus boot-time clock.
        wall_minus_mono_ms: i64,
        /// Whether the wall clock is right.
        is_right: bool,
    },
    /// Say everything that must be current at the broker and at the hub.
    Introduce,
    /// The centre wants this configuration.
    Configure(Box<Came>),
    /// Report an alert that was raised or cleared.
    SayAlert {
        /// Which.
        change: AlertChange,
        /// The parts are still starting.
        is_starting: bool,
    },
    /// Say health.
    SayHealth,
    /// A citizen can speak for the first time in this boot.
    FirstReady(Mono),
    /// Show people who look at the service whether the booth is ready.
    ShowReady(bool),
    /// Show this by the lamp.
    ShowSign(Sign),
    /// Ring.
    Ring(Ringing),
    /// Ring by the schedule.
    RingBySchedule(Ringing),
    /// Leave the broker politely, so that the will is not published: another device uses this booth's name. The evidence, in
    /// words.
    StepBack(String),
    /// Connect again after a pause.
    ConnectAgain {
        /// After the long one, because another device uses this booth's name.
        steps_back: bool,
    },
    /// Answer a command of the centre.
    Reply(Reply),
    /// Do this with clips that the hub has answered.
    Settle(Vec<Settled>),
    /// Report that the hub has come (true) or gone.
    SayHub(bool),
    /// Report a message that could not be read; a sentence.
    SayUnreadable(unreadable::Kind, String),
    /// Report that the centre asks for clips again.
    SayResend {
        /// So many leave quarantine.
        returns: usize,
        /// So many had been refused by the broker.
        retried: usize,
    },
    /// Let these clips out of quarantine.
    BringBack {
        /// The clips.
        clips: Vec<ClipId>,
        /// This moment, if nobody asked.
        by_itself: Option<quarantine::Moment>,
    },
    /// Leave a request for this update to the updater.
    RequestUpdate(String),
    /// Take the request back.
    CancelUpdate,
    /// Read the configuration again.
    Reload,
    /// Write this memory to the card: [`Event::Remembered`](super::Event::Remembered).
    Remember(Box<Remembered>),
    /// Give up a clip in quarantine: [`Event::Purged`](super::Event::Purged).
    Purge {
        /// The clip.
        clip_id: ClipId,
        /// Why, in words; may be empty.
        reason: String,
    },
    /// Seal to these public keys from now on, and introduce them.
    SealTo(Vec<String>),
    /// Restart the machine: [`Event::RestartAsked`](super::Event::RestartAsked).
    Restart,
    /// Save what has changed, if the card can take it.
    Save,
    /// The machine was reset by its watchdog.
    ResetByWatchdog,
}

impl Command {
    /// Whether it is said to the broker.
    pub(super) fn is_said(&self) -> bool {
        matches!(
            self,
            Command::SelfTested { .. }
                | Command::SayClock { .. }
                | Command::Introduce
                | Command::SayAlert { .. }
                | Command::SayHealth
                | Command::Reply(_)
                | Command::Visit(session::Command::Event(_) | session::Command::Service(_))
        )
    }
}
