//! The sign at the end of a first boot: lamp and bell show whether the booth is good or not good, to the person who put the
//! card in. Pure.
//!
//! Owns: when the sign is given, once for each configuration of a card, and its patterns. Never does: ask for a network,
//! disturb a person who has lifted the handset, or ring in hours that are known to be quiet.

use std::time::Duration;

use super::bell::Ringing;
use booth_contract::time::Mono;

/// Good is shown when the booth has been ready for this long.
const LASTS: Duration = Duration::from_secs(3);
/// Not good is shown when the parts have had this long to be found.
const SETTLED: Duration = Duration::from_secs(90);
/// The same for a booth that is not set up, which has no parts to wait for.
const NOT_SET_UP: Duration = Duration::from_secs(10);
/// How long good is shown.
const GOOD_FOR: Duration = Duration::from_secs(4);
/// How long not good is shown.
const NOT_GOOD_FOR: Duration = Duration::from_secs(30);

/// What the sign says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A citizen can speak.
    Good,
    /// No citizen can speak.
    NotGood,
}

impl Sign {
    /// Whether the lamp is lit this long after the sign's beginning; `None` once it is over. Good: a flicker, five times a
    /// second. Not good: one long and three short, again and again.
    pub fn is_lit(self, since: Duration) -> Option<bool> {
        let ms = since.as_millis();
        match self {
            Sign::Good => (since < GOOD_FOR).then_some(ms % 200 < 100),
            Sign::NotGood => (since < NOT_GOOD_FOR).then_some(
                matches!(ms % 3_000, 0..1_000 | 1_500..1_625 | 1_750..1_875 | 2_000..2_125),
            ),
        }
    }

    /// The bell's part. Good: once, for a second. Not good: three short ones.
    pub fn ringing(self) -> Ringing {
        let (sound, rings) = match self {
            Sign::Good => (1_000, 1),
            Sign::NotGood => (200, 3),
        };
        let pause = (rings > 1).then_some(Duration::from_millis(300));
        Ringing {
            cadence: std::iter::once(Duration::from_millis(sound))
                .chain(pause)
                .collect(),
            rings,
        }
    }
}

/// What the sign depends on at one moment.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// A citizen can speak.
    pub is_ready: bool,
    /// There is a good configuration.
    pub is_set_up: bool,
    /// The handset is off its hook.
    pub off_hook: bool,
}

/// A sign that is due now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What it says.
    pub sign: Sign,
    /// Whether it was never given for this configuration, so that the bell may ring, too.
    pub is_first: bool,
}

/// Whether a sign is still to be given in this boot.
#[derive(Debug, Clone)]
pub struct FirstBoot {
    /// Stands for the configuration.
    configuration: u64,
    started: Mono,
    /// What the card remembers: the configurations for which good and not good were shown last.
    known: Option<(Option<u64>, Option<u64>)>,
    ready_since: Option<Mono>,
    is_over: bool,
    not_good_was_told: bool,
}

impl FirstBoot {
    /// At the program's start; `configuration` is a different number for each configuration.
    pub fn new(started: Mono, configuration: u64) -> Self {
        Self {
            configuration,
            started,
            known: None,
            ready_since: None,
            is_over: false,
            not_good_was_told: false,
        }
    }

    /// The card can be read: the configurations for which good and not good were shown last.
    pub fn card_says(&mut self, good: Option<u64>, not_good: Option<u64>) {
        self.is_over |= good == Some(self.configuration);
        self.known.get_or_insert((good, not_good));
    }

    /// What the card has to remember; `None` while the card has not been read.
    pub fn remembered(&self) -> Option<(Option<u64>, Option<u64>)> {
        self.known
    }

    /// Asked at every turn of the loop.
    pub fn look(&mut self, now: Mono, view: View) -> Option<Due> {
        if self.is_over {
            return None;
        }
        if view.off_hook {
            // A person who lifts hears for himself whether the booth works; where nobody can speak, the sign waits.
            self.is_over = view.is_ready;
            return None;
        }
        if !view.is_ready {
            self.ready_since = None;
            return self.look_for_trouble(now, view.is_set_up);
        }
        let since = *self.ready_since.get_or_insert(now);
        if now.since(since) < LASTS {
            return None;
        }
        self.is_over = true;
        let (good, _) = self.known.get_or_insert((None, None));
        *good = Some(self.configuration);
        Some(Due {
            sign: Sign::Good,
            is_first: true,
        })
    }

    fn look_for_trouble(&mut self, now: Mono, is_set_up: bool) -> Option<Due> {
        let patience = if is_set_up { SETTLED } else { NOT_SET_UP };
        if self.not_good_was_told || now.since(self.started) < patience {
            return None;
        }
        self.not_good_was_told = true;
        let is_first = match &mut self.known {
            Some((_, told)) => told.replace(self.configuration) != Some(self.configuration),
            // With a card that cannot be read it would ring at every boot, so the bell stays silent; but at a booth that is
            // not set up somebody is standing, and it rings.
            None => !is_set_up,
        };
        Some(Due {
            sign: Sign::NotGood,
            is_first,
        })
    }

    /// When it has to be asked again.
    pub fn deadline(&self) -> Option<Mono> {
        let since = self.ready_since.filter(|_| !self.is_over)?;
        Some(since + LASTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: View = View {
        is_ready: true,
        is_set_up: true,
        off_hook: false,
    };
    const BROKEN: View = View {
        is_ready: false,
        ..READY
    };
    const LIFTED: View = View {
        off_hook: true,
        ..READY
    };

    fn booth() -> FirstBoot {
        let mut booth = FirstBoot::new(Mono(0), 7);
        booth.card_says(None, None);
        booth
    }

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000)
    }

    #[test]
    fn a_first_boot_that_is_good_is_told_once_and_not_at_the_next() {
        let mut booth = booth();
        assert_eq!(booth.look(at(20), READY), None);
        assert_eq!(booth.deadline(), Some(at(23)));
        let good = Due {
            sign: Sign::Good,
            is_first: true,
        };
        assert_eq!(booth.look(at(23), READY), Some(good));
        assert_eq!(booth.look(at(24), READY), None);
        let (told, not_good) = booth.remembered().expect("known");
        assert_eq!((told, not_good), (Some(7), None));
        let mut next = FirstBoot::new(Mono(0), 7);
        next.card_says(told, not_good);
        assert_eq!(
            (next.look(at(20), READY), next.look(at(30), READY)),
            (None, None)
        );
        // Another booth.toml counts as another first boot.
        let mut other = FirstBoot::new(Mono(0), 8);
        other.card_says(told, not_good);
        other.look(at(20), READY);
        assert_eq!(other.look(at(24), READY), Some(good));
    }

    #[test]
    fn not_good_is_told_at_every_boot_and_rung_once_and_good_follows_when_it_is_mended() {
        let mut booth = booth();
        assert_eq!(booth.look(at(89), BROKEN), None);
        let first = booth.look(at(90), BROKEN);
        assert_eq!(
            first,
            Some(Due {
                sign: Sign::NotGood,
                is_first: true
            })
        );
        assert_eq!(booth.look(at(200), BROKEN), None);
        let (good, not_good) = booth.remembered().expect("known");
        let mut next = FirstBoot::new(Mono(0), 7);
        next.card_says(good, not_good);
        let again = next.look(at(90), BROKEN);
        assert_eq!(
            again,
            Some(Due {
                sign: Sign::NotGood,
                is_first: false
            })
        );
        next.look(at(300), READY);
        assert_eq!(
            next.look(at(303), READY).map(|due| due.sign),
            Some(Sign::Good)
        );
    }

    #[test]
    fn a_booth_that_is_ready_for_a_moment_only_is_not_told_to_be_good() {
        let mut booth = booth();
        for second in (0..80).step_by(2) {
            assert_eq!(booth.look(at(second), READY), None);
            assert_eq!(booth.look(at(second + 1), BROKEN), None);
        }
    }

    #[test]
    fn whoever_has_lifted_is_not_disturbed() {
        let mut used = booth();
        used.look(at(20), READY);
        assert_eq!(used.look(at(22), LIFTED), None);
        assert_eq!(used.look(at(60), READY), None);
        let mut waiting = booth();
        let off_hook = View {
            off_hook: true,
            ..BROKEN
        };
        assert_eq!(waiting.look(at(100), off_hook), None);
        assert!(waiting.look(at(101), BROKEN).is_some());
    }

    #[test]
    fn without_a_card_or_a_configuration_not_good_is_told_all_the_same() {
        let mut no_card = FirstBoot::new(Mono(0), 7);
        let told = no_card.look(at(90), BROKEN).expect("a sign");
        assert_eq!((told.sign, told.is_first), (Sign::NotGood, false));
        assert_eq!(no_card.remembered(), None);
        let mut not_set_up = FirstBoot::new(Mono(0), 7);
        let view = View {
            is_set_up: false,
            ..BROKEN
        };
        assert_eq!(not_set_up.look(at(9), view), None);
        assert!(not_set_up.look(at(10), view).expect("a sign").is_first);
    }

    #[test]
    fn the_two_signs_cannot_be_taken_for_each_other_and_end() {
        let lit = |sign: Sign, ms: u64| sign.is_lit(Duration::from_millis(ms));
        let flashes = |sign| {
            let all: Vec<bool> = (0..3_000).filter_map(|ms| lit(sign, ms)).collect();
            all.windows(2).filter(|pair| pair[0] && !pair[1]).count()
        };
        assert_eq!((flashes(Sign::Good), flashes(Sign::NotGood)), (15, 4));
        assert_eq!(
            (lit(Sign::Good, 3_999), lit(Sign::Good, 4_000)),
            (Some(false), None)
        );
        assert_eq!(lit(Sign::NotGood, 30_000), None);
        let sounds = |sign: Sign| {
            let ringing = sign.ringing();
            let all: Vec<bool> = (0..3_000)
                .map(|ms| ringing.sounds(Duration::from_millis(ms)))
                .collect();
            let starts =
                all.windows(2).filter(|pair| !pair[0] && pair[1]).count() + usize::from(all[0]);
            (starts, all.iter().filter(|sounds| **sounds).count())
        };
        assert_eq!(
            (sounds(Sign::Good), sounds(Sign::NotGood)),
            ((1, 1_000), (3, 600))
        );
    }
}
