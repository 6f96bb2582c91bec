//! Lamp and bell.
//!
//! Owns: their cadences in time. Never does: decide what they show; commands and the panel's news do.

use std::time::Duration;

use crate::adapters::handset_lines::{Lines, LinesError};
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::bell::Ringing;
use gateway_core::panel::OutLine;
use gateway_core::session::Lamp;
use gateway_core::sign::Sign;

/// How often a lamp or bell that changes by itself is looked at.
const BLINK: Duration = Duration::from_millis(40);
/// How long the lamp answers a technician who holds the service button.
const ANSWER: Duration = Duration::from_secs(3);

/// Whether the lamp is lit (docs/lamp.md): steady = ready, fast = recording, double flash = saved, dark = out of order,
/// slow = starting, triple flash = a technician is served, mostly lit with short gaps = an update is being written.
pub fn is_lit(lamp: Lamp, now: Mono) -> bool {
    match lamp {
        Lamp::Ready => true,
        Lamp::Listening => now.0 % 500 < 250,
        Lamp::Saved => matches!(now.0 % 1000 / 125, 0 | 2),
        Lamp::OutOfOrder => false,
        Lamp::Starting => now.0 % 2000 < 1000,
        Lamp::Service => matches!(now.0 % 2000 / 125, 0 | 2 | 4),
        Lamp::Update => now.0 % 1000 >= 125,
    }
}

/// Lamp and bell: their present state and the state they should have.
pub(super) struct Outputs {
    pub(super) lamp: Lamp,
    /// Until then the lamp answers a technician.
    pub(super) answers: Mono,
    pub(super) ringing: Option<(Ringing, Mono)>,
    pub(super) sign: Option<(Sign, Mono)>,
    pub(super) lit: Option<bool>,
    pub(super) sounds: Option<bool>,
}

impl Default for Outputs {
    fn default() -> Self {
        Self {
            lamp: Lamp::Starting,
            answers: Mono(0),
            ringing: None,
            sign: None,
            lit: None,
            sounds: None,
        }
    }
}

impl Outputs {
    pub(super) fn ring(&mut self, ringing: Ringing) {
        self.ringing = Some((ringing, clock::mono()));
    }

    /// Ends bell and sign at a lift: the citizen's hand is near the bell, and the lamp is for the citizen.
    pub(super) fn lifted(&mut self) {
        self.ringing = None;
        self.sign = None;
    }

    /// Answers a technician who holds the service button.
    pub(super) fn answer(&mut self) {
        self.answers = clock::mono() + ANSWER;
        self.ring(Ringing::chirp());
    }

    /// Switches the outputs that have to change. Returns how long they stay so; `None` until something happens.
    pub(super) fn switch(
        &mut self,
        lines: &mut dyn Lines,
        now: Mono,
    ) -> Result<Option<Duration>, LinesError> {
        let lamp = match now < self.answers {
            true => Lamp::Service,
            false => self.lamp,
        };
        let sign = |(sign, since): (Sign, Mono)| sign.is_lit(now.since(since));
        let signed = self.sign.and_then(sign);
        if signed.is_none() {
            self.sign = None;
        }
        let lit = match signed {
            Some(lit) if now >= self.answers => lit,
            _ => is_lit(lamp, now),
        };
        if self.lit != Some(lit) {
            self.lit = Some(lit);
            lines.switch(OutLine::Lamp, lit)?;
        }
        self.ringing
            .take_if(|(ringing, since)| ringing.is_over(now.since(*since)));
        let ringing = self.ringing.as_ref();
        let sounds = ringing.is_some_and(|(ringing, since)| ringing.sounds(now.since(*since)));
        if self.sounds != Some(sounds) {
            self.sounds = Some(sounds);
            lines.switch(OutLine::Ringer, sounds)?;
        }
        let steady = matches!(lamp, Lamp::Ready | Lamp::OutOfOrder)
            && self.ringing.is_none()
            && self.sign.is_none();
        Ok((!steady).then_some(BLINK))
    }
}
