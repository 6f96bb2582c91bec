//! The bell: cadences, quiet hours and the times it rings by itself. Pure.
//!
//! Owns: whether it may ring now, and when it sounds. Never does: know the time; local minutes come in. It rings only for
//! a booth that can take a message, with the handset on its hook, and stops when that is lifted.

use std::time::Duration;

use booth_contract::time::Mono;
pub use booth_contract::wanted::{DAY_MINUTES, minute_of, span_of};

/// Most rings of one call (contract §3.7).
pub const MOST_RINGS: u8 = 5;

/// One call of the bell: a number of rings of one cadence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ringing {
    /// Sound and pause in turns, beginning with sound; one ring.
    pub cadence: Vec<Duration>,
    /// How often it is repeated.
    pub rings: u8,
}

impl Ringing {
    /// A single short sound, the answer to a technician.
    pub fn chirp() -> Self {
        Self {
            cadence: vec![Duration::from_millis(200)],
            rings: 1,
        }
    }

    /// The same with another number of rings, if one is named: at least one, at most [`MOST_RINGS`].
    pub fn times(&self, rings: Option<u64>) -> Self {
        let rings = rings.map_or(self.rings, |rings| {
            u8::try_from(rings).unwrap_or(MOST_RINGS)
        });
        Self {
            cadence: self.cadence.clone(),
            rings: rings.clamp(1, MOST_RINGS),
        }
    }

    /// Whether it sounds this long after its beginning.
    pub fn sounds(&self, since: Duration) -> bool {
        let ring = self.ring();
        if ring.is_zero() || self.is_over(since) {
            return false;
        }
        let mut place = Duration::from_millis((since.as_millis() % ring.as_millis()) as u64);
        for (n, part) in self.cadence.iter().enumerate() {
            if place < *part {
                return n % 2 == 0;
            }
            place -= *part;
        }
        false
    }

    /// Whether it has come to its end.
    pub fn is_over(&self, since: Duration) -> bool {
        since >= self.ring() * u32::from(self.rings)
    }

    fn ring(&self) -> Duration {
        self.cadence.iter().sum()
    }
}

/// Why the bell stays silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// There is no bell.
    NoBell,
    /// People sleep.
    QuietHours,
    /// Somebody is at the handset.
    InUse,
    /// The booth cannot take a message.
    NotReady,
    /// Nobody knows what time it is.
    ClockUnset,
}

impl Silent {
    /// The sentence for the person who asked for the ring.
    pub fn sentence(self) -> &'static str {
        match self {
            Silent::NoBell => "this booth has no bell ([handset] ringer)",
            Silent::QuietHours => "these are quiet hours ([bell] quiet)",
            Silent::InUse => "the handset is off its hook",
            Silent::NotReady => "the booth cannot take a message now",
            Silent::ClockUnset => "the clock is not synchronised, so that it could be a quiet hour",
        }
    }
}

/// What the bell depends on at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The local minute of the day, if the clock can be believed.
    pub minute: Option<u16>,
    /// The handset is off its hook.
    pub off_hook: bool,
    /// A citizen can speak.
    pub ready: bool,
}

/// When the bell rings by itself, and when never.
#[derive(Debug, Clone, Default)]
pub struct Bell {
    has_bell: bool,
    /// Minutes of the day at which it rings.
    at: Vec<u16>,
    /// When the quiet hours begin and end; they pass midnight where the end is the smaller number.
    quiet: Option<(u16, u16)>,
    /// The minute in which it last rang by itself, or would have rung.
    last: Option<u16>,
    looked: Option<Mono>,
}

impl Bell {
    /// A bell that rings at these minutes of the day and never in the quiet hours.
    pub fn new(has_bell: bool, at: Vec<u16>, quiet: Option<(u16, u16)>) -> Self {
        Self {
            has_bell,
            at,
            quiet,
            last: None,
            looked: None,
        }
    }

    /// When it never rings.
    pub fn quiet(&self) -> Option<(u16, u16)> {
        self.quiet
    }

    /// Other quiet hours count from now on.
    pub fn keep_quiet(&mut self, quiet: Option<(u16, u16)>) {
        self.quiet = quiet;
    }

    /// Whether it may ring now.
    pub fn may_ring(&self, moment: Moment) -> Result<(), Silent> {
        let is_quiet = |minute: u16| match self.quiet {
            Some((from, to)) if from <= to => (from..to).contains(&minute),
            Some((from, to)) => minute >= from || minute < to,
            None => false,
        };
        match moment.minute {
            _ if !self.has_bell => Err(Silent::NoBell),
            _ if moment.off_hook => Err(Silent::InUse),
            _ if !moment.ready => Err(Silent::NotReady),
            None if self.quiet.is_some() => Err(Silent::ClockUnset),
            Some(minute) if is_quiet(minute) => Err(Silent::QuietHours),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether it may ring for a sign, even where the booth cannot take a message. With an unset clock it may as well: a
    /// sign is given when somebody has just put a card in.
    pub fn may_sign(&self, moment: Moment) -> bool {
        let is_told = Moment {
            ready: true,
            ..moment
        };
        matches!(self.may_ring(is_told), Ok(()) | Err(Silent::ClockUnset))
    }

    /// Whether it rings by itself now; asked at least twice a minute. A minute that was missed is not made up for.
    pub fn is_due(&mut self, now: Mono, moment: Moment) -> bool {
        if self
            .looked
            .is_some_and(|looked| now.since(looked) < Duration::from_secs(10))
        {
            return false;
        }
        self.looked = Some(now);
        let Some(minute) = moment.minute else {
            return false;
        };
        let is_new = self.last != Some(minute);
        self.last = Some(minute);
        is_new && self.at.contains(&minute) && self.may_ring(moment).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(minute: u16) -> Moment {
        Moment {
            minute: Some(minute),
            off_hook: false,
            ready: true,
        }
    }

    #[test]
    fn a_cadence_sounds_and_pauses_and_ends() {
        let ms = Duration::from_millis;
        let ringing = Ringing {
            cadence: vec![ms(400), ms(200), ms(400), ms(2_000)],
            rings: 2,
        };
        let heard = |at| ringing.sounds(ms(at));
        for at in [0, 399, 600, 999, 3_000, 3_399, 3_600] {
            assert!(heard(at), "{at}");
        }
        for at in [400, 599, 1_000, 2_999, 3_400, 4_000, 6_000, 600_000] {
            assert!(!heard(at), "{at}");
        }
        assert!(!ringing.is_over(ms(5_999)) && ringing.is_over(ms(6_000)));
    }

    #[test]
    fn no_bell_rings_in_quiet_hours_over_midnight_or_under_a_citizens_ear() {
        let bell = Bell::new(true, vec![], span_of("21:30-08:00"));
        for minute in [21 * 60 + 30, 23 * 60, 0, 7 * 60 + 59] {
            assert_eq!(
                bell.may_ring(moment(minute)),
                Err(Silent::QuietHours),
                "{minute}"
            );
        }
        for minute in [8 * 60, 12 * 60, 21 * 60 + 29] {
            assert_eq!(bell.may_ring(moment(minute)), Ok(()), "{minute}");
        }
        let noon = moment(720);
        let off_hook = Moment {
            off_hook: true,
            ..noon
        };
        assert_eq!(bell.may_ring(off_hook), Err(Silent::InUse));
        let broken = Moment {
            ready: false,
            ..noon
        };
        assert_eq!(bell.may_ring(broken), Err(Silent::NotReady));
        let timeless = Moment {
            minute: None,
            ..noon
        };
        assert_eq!(bell.may_ring(timeless), Err(Silent::ClockUnset));
        assert_eq!(Bell::default().may_ring(noon), Err(Silent::NoBell));
    }

    #[test]
    fn the_schedule_rings_once_at_its_minute_and_not_when_quiet() {
        let mut bell = Bell::new(true, vec![600, 1_350], span_of("22:00-09:00"));
        let mut rang = Vec::new();
        for second in (0..86_400u64).step_by(2) {
            let minute = (second / 60) as u16;
            if bell.is_due(Mono(second * 1_000 + 1), moment(minute)) {
                rang.push(minute);
            }
        }
        assert_eq!(rang, [600]);
    }

    #[test]
    fn times_of_day_are_read_and_rubbish_is_none() {
        assert_eq!(minute_of("00:00"), Some(0));
        assert_eq!(minute_of("23:59"), Some(DAY_MINUTES - 1));
        for bad in ["24:00", "12:60", "1:00", "12", "", "aa:bb", "12:0", "+1:00"] {
            assert_eq!(minute_of(bad), None, "{bad:?}");
        }
        assert_eq!(span_of("22:00-09:00"), Some((1_320, 540)));
        assert_eq!(span_of("22:00"), None);
    }
}
