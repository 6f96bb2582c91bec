//! `[bell]`, `[service]` and `[selftest]` of booth.toml.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use booth_host::config_file::Faults;

use super::session::Session;
use gateway_core::bell::{Bell as Ringer, MOST_RINGS, Ringing, minute_of, span_of};
use gateway_core::microphone::ToneTest;

/// When and how the bell rings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Bell {
    /// Sound and pause in turns, ms, beginning with sound: one ring. By default one second in five, as in most of
    /// Europe (ITU-T E.180).
    pub cadence_ms: Vec<u64>,
    /// Rings of one call.
    pub rings: u8,
    /// Local times at which it rings by itself, `HH:MM`.
    pub at: Vec<String>,
    /// The hours in which it never rings, `HH:MM-HH:MM`; empty means that there are none.
    pub quiet: String,
}

impl Default for Bell {
    fn default() -> Self {
        Self {
            cadence_ms: vec![1_000, 4_000],
            rings: 3,
            at: Vec::new(),
            quiet: "20:00-09:00".into(),
        }
    }
}

impl Bell {
    /// One call as configured, or with another number of rings.
    pub fn ringing(&self, rings: Option<u64>) -> Ringing {
        let rings = rings.map_or(self.rings, |rings| {
            u8::try_from(rings).unwrap_or(MOST_RINGS)
        });
        Ringing {
            cadence: self
                .cadence_ms
                .iter()
                .copied()
                .map(Duration::from_millis)
                .collect(),
            rings: rings.clamp(1, MOST_RINGS),
        }
    }

    /// The rules of a booth that has a bell, or has none.
    pub fn ringer(&self, has_bell: bool) -> Ringer {
        let at = self.at.iter().filter_map(|time| minute_of(time)).collect();
        Ringer::new(has_bell, at, span_of(&self.quiet))
    }

    pub(super) fn check(&self, has_bell: bool, faults: &mut Faults) {
        let parts = &self.cadence_ms;
        if parts.is_empty() || parts.len() > 8 || parts.iter().any(|ms| !(50..=10_000).contains(ms))
        {
            let why = "use 1 to 8 times of 50 to 10000 ms, sound and pause in turns";
            faults.of("[bell] cadence_ms", why);
        }
        if !(1..=MOST_RINGS).contains(&self.rings) {
            faults.of("[bell] rings", format!("use 1 to {MOST_RINGS}"));
        }
        for time in self.at.iter().filter(|time| minute_of(time).is_none()) {
            let why = format!("{time:?} is no time of day; write \"HH:MM\"");
            faults.of("[bell] at", why);
        }
        if !self.quiet.is_empty() && span_of(&self.quiet).is_none() {
            let why = format!(
                "{:?} is no span; write \"HH:MM-HH:MM\", or \"\" for never quiet",
                self.quiet
            );
            faults.of("[bell] quiet", why);
        }
        if !self.at.is_empty() && !has_bell {
            faults.of("[bell] at", "without [handset] ringer there is no bell");
        }
    }
}

/// How many digits a service code has, the 0 at its beginning included (contract §2).
const CODE_DIGITS: std::ops::RangeInclusive<usize> = 6..=8;
/// An emergency number that no code may contain, whatever is configured (contract §3.9).
const ALWAYS_EMERGENCY: &str = "112";

/// How a technician makes himself known to the booth.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Service {
    /// Digits that make the booth speak of itself; empty means that only the service button does.
    pub code: String,
    /// The folder in which the disks of USB readers appear, each under its own name.
    pub usb_disks: PathBuf,
    /// Where root's helper that mounts a USB stick is asked.
    pub usb_stick: PathBuf,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            code: String::new(),
            usb_disks: "/dev/booth-usb".into(),
            usb_stick: "/run/booth-stick.sock".into(),
        }
    }
}

impl Service {
    /// The code as digits; empty if it cannot be a code in a booth with these numbers and codes.
    pub fn digits(&self, session: &Session) -> Vec<u8> {
        match self.wrong_code(session) {
            Some(_) => Vec::new(),
            None => self.code.bytes().map(|byte| byte - b'0').collect(),
        }
    }

    /// What is wrong with the code. A booth also runs with a wrong code, or without one (contract §2).
    pub(super) fn wrong_code(&self, session: &Session) -> Option<WrongCode> {
        let code = self.code.as_str();
        if code.is_empty() {
            return None;
        }
        let is_digits = code.bytes().all(|byte| byte.is_ascii_digit());
        let begins_well = code.starts_with('0') && !code.starts_with("00");
        if !is_digits || !CODE_DIGITS.contains(&code.len()) || !begins_well {
            return Some(WrongCode::Form(code.to_owned()));
        }
        let withdraw = session.withdraw_code.as_str();
        if !withdraw.is_empty() && code.contains(withdraw) {
            return Some(WrongCode::Withdrawal(code.to_owned()));
        }
        has_emergency_number(code, &session.emergency_numbers)
            .then(|| WrongCode::Emergency(code.to_owned()))
    }
}

/// Why a service code counts for none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WrongCode {
    #[error("{0:?} has not the form of a code")]
    Form(String),
    #[error("{0:?} holds an emergency number")]
    Emergency(String),
    #[error("{0:?} holds [session] withdraw_code, which would open a withdrawal meanwhile")]
    Withdrawal(String),
}

/// What a service code is made of.
pub(super) const RIGHT_CODE: &str = "use six to eight digits that begin with one 0 and hold no emergency number, \
                                     known to the city's technicians alone, or \"\" for none";

/// Whether dialling these digits includes an emergency number.
pub(super) fn has_emergency_number(digits: &str, emergency: &[String]) -> bool {
    let holds = |number: &str| !number.is_empty() && digits.contains(number);
    holds(ALWAYS_EMERGENCY) || emergency.iter().any(|number| holds(number))
}

/// Whether the microphone is tested by a tone in the earpiece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// With a real handset the test is made and may close the booth.
    Auto,
    /// The test is made and may close the booth.
    On,
    /// The tone decides nothing; only samples that never change close the booth.
    Off,
    /// The test is made and reported, and nothing closes the booth: for a rig whose sound card delivers digital silence.
    Tell,
}

/// The self-test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct SelfTest {
    pub tone: Tone,
    /// Local time of the nightly test, `HH:MM`; empty is never.
    pub at: String,
}

impl Default for SelfTest {
    fn default() -> Self {
        Self {
            tone: Tone::Auto,
            at: "03:30".into(),
        }
    }
}

impl SelfTest {
    /// The minute of the day of the nightly test.
    pub fn minute(&self) -> Option<u16> {
        minute_of(&self.at)
    }

    /// How far the test may close a booth.
    pub fn tone_test(&self, is_simulated: bool) -> ToneTest {
        match self.tone {
            Tone::On => ToneTest::Judges,
            Tone::Auto if is_simulated => ToneTest::TellsOnly,
            Tone::Auto => ToneTest::Judges,
            Tone::Off => ToneTest::ConstantOnly,
            Tone::Tell => ToneTest::TellsOnly,
        }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if !self.at.is_empty() && self.minute().is_none() {
            let why = format!(
                "{:?} is no time of day; write \"HH:MM\", or \"\" for never",
                self.at
            );
            faults.of("[selftest] at", why);
        }
    }
}
