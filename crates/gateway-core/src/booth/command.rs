//! What a booth wants done.

use booth_contract::time::Mono;

use crate::bell::Ringing;
use crate::health::AlertChange;
use crate::microphone::Verdict;
use crate::session;
use crate::sign::Sign;

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
                | Command::Visit(session::Command::Event(_) | session::Command::Service(_))
        )
    }
}
