//! The rotary dial: from the edges of its contacts to digits. Pure.
//!
//! Owns: what is a pulse, and which pulses are one digit. Never does: read a line or a clock; times are the kernel's stamps
//! of the edges. A dial that stands still in mid-turn is a fault: it is reported once, and gives no digit.
//!
//! While the finger plate runs back, the pulse contact opens once per unit: nominally 10 pulses a second with 60 %
//! break, in use 8 to 12 and 50 to 80 %; digits are at least 200 ms apart (ITU-T Q.310-class registers accept as much).
//! The off-normal contact is closed from the first movement until rest. Both bounce.

use std::time::Duration;

use serde::Deserialize;

use booth_contract::time::Mono;

/// How long the pulse contact must be open on balance before it counts as a pulse: the shortest break is 41 ms.
const OPEN: i64 = 12;
/// Closing counts this much more than opening: chatter in equal parts is closed, the shortest make (17 ms) is enough.
const CLOSING_WEIGHT: i64 = 3;
/// No dial gives two pulses closer together: 12 a second are 83 ms apart, less what the first was late by chatter.
const APART: Duration = Duration::from_millis(40);
/// Closed for this long the digit is over, where there is no off-normal contact: a make lasts 62 ms at most, the pause
/// between digits at least 200.
const DIGIT_ENDS: Duration = Duration::from_millis(150);
/// The off-normal contact must be at rest for this long.
const AT_REST: Duration = Duration::from_millis(30);
/// The longest turn: ten pulses at 8 a second, the finger's way there, and a slow child.
const STUCK: Duration = Duration::from_secs(15);

/// Which number of pulses is which digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialLayout {
    /// One pulse is 1, ten are 0: nearly everywhere, and in Denmark.
    #[default]
    OneFirst,
    /// One pulse is 0, ten are 9: Sweden.
    ZeroFirst,
}

/// What the dial says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialNews {
    /// A digit, at the time of its last pulse.
    Digit(u8),
    /// The dial has stood in mid-turn for long, or its pulse contact stays open.
    Stuck,
    /// The dial is at rest again.
    Free,
}

/// Decodes one dial.
#[derive(Debug, Clone)]
pub struct DialDecoder {
    layout: DialLayout,
    has_off_normal: bool,
    /// Level of the pulse contact, and since when it has not been accounted for.
    is_open: bool,
    accounted: Mono,
    /// Time that the contact was open on balance, in ms, between 0 and [`OPEN`].
    balance: i64,
    /// Whether the pulse that is going on has been counted.
    in_pulse: bool,
    pulses: u8,
    last_pulse: Option<Mono>,
    /// When the balance last reached closed.
    closed_at: Mono,
    is_off_normal: bool,
    /// During a turn: since when the off-normal contact has been at rest.
    resting: Option<Mono>,
    turn_began: Option<Mono>,
    is_stuck: bool,
    /// The handset was hung up during this turn: it gives no digit.
    is_forgotten: bool,
}

impl DialDecoder {
    /// A dial at rest.
    pub fn new(layout: DialLayout, has_off_normal: bool) -> Self {
        Self {
            layout,
            has_off_normal,
            is_open: false,
            accounted: Mono(0),
            balance: 0,
            in_pulse: false,
            pulses: 0,
            last_pulse: None,
            closed_at: Mono(0),
            is_off_normal: false,
            resting: None,
            turn_began: None,
            is_stuck: false,
            is_forgotten: false,
        }
    }

    /// The pulse contact opened or closed, or was read again.
    pub fn pulse(&mut self, at: Mono, is_open: bool) -> Option<DialNews> {
        self.account(at);
        if is_open && !self.is_open && !self.has_off_normal {
            self.turn_began.get_or_insert(at);
        }
        self.is_open = is_open;
        self.tick(at)
    }

    /// The off-normal contact left rest or came back to it, or was read again.
    pub fn off_normal(&mut self, at: Mono, is_off_normal: bool) -> Option<DialNews> {
        self.account(at);
        match (self.is_off_normal, is_off_normal) {
            (false, true) => {
                // Pulses while the dial was at rest are no digit.
                if self.turn_began.is_none() {
                    self.turn_began = Some(at);
                    self.pulses = 0;
                }
                self.resting = None;
            }
            (true, false) => self.resting = Some(at),
            _ => {}
        }
        self.is_off_normal = is_off_normal;
        self.tick(at)
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Option<DialNews> {
        self.account(now);
        let began = self.turn_began?;
        let is_over = match self.has_off_normal {
            true => self.resting.is_some_and(|since| since + AT_REST <= now),
            false => !self.is_open && !self.in_pulse && self.closed_at + DIGIT_ENDS <= now,
        };
        if is_over {
            let pulses = std::mem::take(&mut self.pulses);
            (self.turn_began, self.resting) = (None, None);
            let is_forgotten = std::mem::take(&mut self.is_forgotten);
            if std::mem::take(&mut self.is_stuck) {
                return Some(DialNews::Free);
            }
            let digit = self.digit(pulses).filter(|_| !is_forgotten);
            return digit.map(DialNews::Digit);
        }
        if !self.is_stuck && began + STUCK <= now {
            self.is_stuck = true;
            return Some(DialNews::Stuck);
        }
        None
    }

    /// When [`DialDecoder::tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        let began = self.turn_began?;
        let stuck = (!self.is_stuck).then(|| began + STUCK);
        let over = match self.has_off_normal {
            true => self.resting.map(|since| since + AT_REST),
            false if self.is_open => None,
            // Until the balance reaches closed, and the digit ends.
            false if self.in_pulse => Some(self.accounted + self.until_closed() + DIGIT_ENDS),
            false => Some(self.closed_at + DIGIT_ENDS),
        };
        stuck.into_iter().chain(over).min()
    }

    /// Whether [`DialNews::Stuck`] was reported and [`DialNews::Free`] not yet.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// The handset was hung up: a digit that was begun does not count.
    pub fn forget(&mut self) {
        self.is_forgotten = self.turn_began.is_some();
    }

    fn digit(&self, pulses: u8) -> Option<u8> {
        match (self.layout, pulses) {
            (DialLayout::OneFirst, 1..=10) => Some(pulses % 10),
            (DialLayout::ZeroFirst, 1..=10) => Some(pulses - 1),
            _ => None,
        }
    }

    fn until_closed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.balance / CLOSING_WEIGHT + 1).unwrap_or(0))
    }

    /// Brings the balance up to `now`, and counts a pulse if that makes one.
    fn account(&mut self, now: Mono) {
        let span = now.since(self.accounted).as_millis();
        let span = i64::try_from(span.min(1_000_000)).unwrap_or(0);
        if self.is_open {
            let missing = OPEN - self.balance;
            self.balance = (self.balance + span).min(OPEN);
            if self.balance == OPEN && !self.in_pulse {
                self.in_pulse = true;
                let at = self.accounted + Duration::from_millis(missing.unsigned_abs());
                // A contact that opens again so soon is chatter of the same pulse.
                if self.last_pulse.is_none_or(|last| at.since(last) >= APART) {
                    self.pulses = self.pulses.saturating_add(1);
                    self.last_pulse = Some(at);
                }
            }
        } else if span * CLOSING_WEIGHT > self.balance {
            if self.in_pulse {
                self.in_pulse = false;
                self.closed_at = self.accounted + self.until_closed();
            }
            self.balance = 0;
        } else {
            self.balance -= span * CLOSING_WEIGHT;
        }
        self.accounted = self.accounted.max(now);
    }
}

/// Contacts as they turn and chatter, for tests.
#[cfg(test)]
pub(super) mod contacts {
    /// An edge: its time, whether it belongs to the pulse contact, and whether the contact is open or off-normal.
    pub(crate) type Edge = (u64, bool, bool);

    /// A dial as it turns.
    #[derive(Debug, Clone)]
    pub(crate) struct Dial {
        pub pulses_per_s: f64,
        pub break_share: f64,
        /// Longest chatter after an edge, ms; never more than half of the phase it begins.
        pub chatter_ms: u64,
        pub seed: u64,
    }

    impl Dial {
        pub(crate) fn next(&mut self, bound: u64) -> u64 {
            self.seed = self
                .seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.seed >> 33) % bound.max(1)
        }

        /// An edge at `at` into a phase of `phase` ms, with chatter.
        pub(crate) fn edge(
            &mut self,
            edges: &mut Vec<Edge>,
            at: u64,
            phase: u64,
            of_pulses: bool,
            level: bool,
        ) {
            edges.push((at, of_pulses, level));
            let until = at + self.next(self.chatter_ms.min(phase / 2) + 1);
            let mut now = at;
            loop {
                let back = now + 1 + self.next(3);
                let again = back + 1 + self.next(2);
                if again > until {
                    return;
                }
                edges.extend([(back, of_pulses, !level), (again, of_pulses, level)]);
                now = again;
            }
        }

        /// One turn for this many pulses from `at` on. Returns when the dial is at rest again.
        pub(crate) fn turn(&mut self, edges: &mut Vec<Edge>, at: u64, pulses: u64) -> u64 {
            let period = 1_000.0 / self.pulses_per_s;
            let broken = (period * self.break_share) as u64;
            let made = period as u64 - broken;
            self.edge(edges, at, 200, false, true);
            let mut now = at + 120 + 60 * pulses;
            for _ in 0..pulses {
                self.edge(edges, now, broken, true, true);
                self.edge(edges, now + broken, made, true, false);
                now += broken + made;
            }
            let rest = now + 20;
            self.edge(edges, rest, 200, false, false);
            rest
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::contacts::{Dial, Edge};
    use super::*;

    fn heard(edges: &[Edge], layout: DialLayout, has_off_normal: bool) -> Vec<DialNews> {
        let mut dial = DialDecoder::new(layout, has_off_normal);
        let mut news = Vec::new();
        let mut edges = edges.to_vec();
        edges.sort_by_key(|(at, ..)| *at);
        for (at, of_pulses, level) in edges {
            while let Some(due) = dial.deadline().filter(|due| due.0 < at) {
                news.extend(dial.tick(due));
            }
            news.extend(match of_pulses {
                true => dial.pulse(Mono(at), level),
                false if has_off_normal => dial.off_normal(Mono(at), level),
                false => None,
            });
        }
        for _ in 0..4 {
            news.extend(dial.deadline().and_then(|due| dial.tick(due)));
        }
        news
    }

    fn digits(of: &[u8]) -> Vec<DialNews> {
        of.iter().map(|digit| DialNews::Digit(*digit)).collect()
    }

    fn any_dial() -> impl Strategy<Value = Dial> {
        (8.0..12.0f64, 0.5..0.8f64, 0..=40u64, any::<u64>()).prop_map(
            |(pulses_per_s, break_share, chatter_ms, seed)| Dial {
                pulses_per_s,
                break_share,
                chatter_ms,
                seed,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_dial_between_8_and_12_pulses_a_second_is_understood(
            mut dial in any_dial(), wanted in proptest::collection::vec(0..=9u8, 1..6), has_off_normal: bool, zero_first: bool,
        ) {
            let (mut edges, mut at) = (Vec::new(), 1_000);
            for digit in &wanted {
                let pulses = match (zero_first, digit) {
                    (true, digit) => u64::from(*digit) + 1,
                    (false, 0) => 10,
                    (false, digit) => u64::from(*digit),
                };
                at = dial.turn(&mut edges, at, pulses) + 200;
            }
            let layout = if zero_first { DialLayout::ZeroFirst } else { DialLayout::OneFirst };
            prop_assert_eq!(heard(&edges, layout, has_off_normal), digits(&wanted));
        }
    }

    #[test]
    fn a_finger_that_only_touches_the_plate_dials_nothing() {
        let edges = [
            (0, false, true),
            (300, false, false),
            (310, true, true),
            (312, true, false),
        ];
        assert_eq!(heard(&edges, DialLayout::OneFirst, true), []);
        assert_eq!(heard(&edges, DialLayout::OneFirst, false), []);
    }

    #[test]
    fn a_dial_that_stands_in_mid_turn_is_told_once_and_gives_no_digit() {
        let mut edges = vec![(0, false, true), (1_000, true, true)];
        edges.extend((2..200).map(|second| (second * 1_000, true, second % 2 == 1)));
        edges.push((200_000, true, false));
        edges.push((201_000, false, false));
        let told = [DialNews::Stuck, DialNews::Free];
        assert_eq!(heard(&edges, DialLayout::OneFirst, true), told);
        let stuck_open = [(0, true, true), (60_000, true, false)];
        assert_eq!(heard(&stuck_open, DialLayout::OneFirst, false), told);
    }

    #[test]
    fn a_turn_during_which_the_handset_was_hung_up_is_no_digit_and_the_next_one_is() {
        let mut steady = Dial {
            pulses_per_s: 10.0,
            break_share: 0.6,
            chatter_ms: 0,
            seed: 1,
        };
        let mut edges = Vec::new();
        let rest = steady.turn(&mut edges, 0, 5);
        let mut dial = DialDecoder::new(DialLayout::OneFirst, true);
        let mut news = Vec::new();
        for (n, (at, of_pulses, level)) in edges.into_iter().enumerate() {
            if n == 4 {
                dial.forget();
            }
            news.extend(match of_pulses {
                true => dial.pulse(Mono(at), level),
                false => dial.off_normal(Mono(at), level),
            });
        }
        news.extend(dial.tick(Mono(rest + 100)));
        assert_eq!(news, []);
        let mut edges = Vec::new();
        steady.turn(&mut edges, rest + 300, 2);
        for (at, of_pulses, level) in edges {
            news.extend(match of_pulses {
                true => dial.pulse(Mono(at), level),
                false => dial.off_normal(Mono(at), level),
            });
        }
        news.extend(dial.deadline().and_then(|due| dial.tick(due)));
        assert_eq!(news, digits(&[2]));
    }
}
