//! Keys that no finger presses, as on wet keypads: held for longer than a minute, or repeated faster than a hand can. Pure.
//!
//! Owns: when a key stops counting, and when it counts again. Never does: scan a keypad, or tell a press. What a key did until it stopped
//! counting was told as presses, and a visit bears them.

use std::fmt;
use std::time::Duration;

use super::session::Key;
use booth_contract::time::Mono;

/// A key that is held for longer is stuck.
const HELD: Duration = Duration::from_secs(60);
/// Changes and presses are counted over this time.
const MINUTE: Duration = Duration::from_secs(60);
/// More changes in a minute are not bounces.
const MOST_CHANGES: u32 = 1_200;
/// More presses of one key in a minute are not made by a citizen: a receipt has 12 digits, the longest code 8.
const MOST_PRESSES: u32 = 40;
/// A key that was stuck counts again after it has been open for this long.
const RESTED: Duration = Duration::from_secs(10);

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// It stays pressed.
    Held,
    /// It opens and closes by itself.
    Repeats,
}

/// Watches one key.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyWatch {
    is_closed: bool,
    /// Since when it is.
    since: Mono,
    /// When the running minute began, and what happened in it.
    minute: Mono,
    changes: u32,
    presses: u32,
    fault: Option<KeyFault>,
}

impl KeyWatch {
    /// Takes its contact as it was read, bounces and all.
    pub fn level(&mut self, at: Mono, is_closed: bool) {
        if is_closed != self.is_closed {
            self.is_closed = is_closed;
            self.since = at;
            self.count(at);
            self.changes += 1;
        }
    }

    /// A press of it was told.
    pub fn pressed(&mut self, at: Mono) {
        self.count(at);
        self.presses += 1;
    }

    fn count(&mut self, at: Mono) {
        if at.since(self.minute) >= MINUTE {
            (self.minute, self.changes, self.presses) = (at, 0, 0);
        }
    }

    /// Time passes. Whether it became stuck or counts again.
    pub fn tick(&mut self, now: Mono) -> bool {
        let before = self.fault;
        let unchanged = now.since(self.since);
        self.fault = match before {
            None if self.repeats() => Some(KeyFault::Repeats),
            None if self.is_closed && unchanged >= HELD => Some(KeyFault::Held),
            Some(_) if !self.is_closed && unchanged >= RESTED => {
                (self.changes, self.presses) = (0, 0);
                None
            }
            fault => fault,
        };
        self.fault != before
    }

    fn repeats(&self) -> bool {
        self.changes > MOST_CHANGES || self.presses > MOST_PRESSES
    }

    /// When [`KeyWatch::tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        match (self.fault, self.is_closed) {
            (None, _) if self.repeats() => Some(self.since),
            (None, true) => Some(self.since + HELD),
            (Some(_), false) => Some(self.since + RESTED),
            (None, false) | (Some(_), true) => None,
        }
    }

    /// Why it does not count.
    pub fn fault(&self) -> Option<KeyFault> {
        self.fault
    }
}

/// The keys that do not count.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct StuckKeys {
    /// One bit a key, by its place in [`NAMED`].
    held: u16,
    repeats: u16,
}

/// Every key that can be stuck, in the order in which they are told.
const NAMED: [Key; 13] = [
    Key::Digit(1),
    Key::Digit(2),
    Key::Digit(3),
    Key::Digit(4),
    Key::Digit(5),
    Key::Digit(6),
    Key::Digit(7),
    Key::Digit(8),
    Key::Digit(9),
    Key::Star,
    Key::Digit(0),
    Key::Hash,
    Key::Button,
];

impl StuckKeys {
    /// The same, with this key if it has a fault.
    #[must_use]
    pub fn with(mut self, key: Key, fault: Option<KeyFault>) -> Self {
        let bit = NAMED.iter().position(|named| *named == key);
        let bit = bit.map_or(0, |at| 1 << at);
        match fault {
            Some(KeyFault::Held) => self.held |= bit,
            Some(KeyFault::Repeats) => self.repeats |= bit,
            None => {}
        }
        self
    }

    /// Whether every key counts.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether none of the digits 1 to 9 counts, so that nobody can choose a question.
    pub fn leaves_no_digit(self) -> bool {
        let digits = NAMED.iter().enumerate();
        let mut digits = digits.filter(|(_, key)| matches!(key, Key::Digit(1..=9)));
        digits.all(|(at, _)| (self.held | self.repeats) & (1 << at) != 0)
    }
}

/// A sentence for whoever looks after the booth; empty if every key counts.
impl fmt::Display for StuckKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (bits, one, many) in [
            (self.held, "stays pressed", "stay pressed"),
            (self.repeats, "repeats by itself", "repeat by themselves"),
        ] {
            let keys = NAMED.iter().enumerate();
            let keys = keys.filter(|(at, _)| bits & (1 << at) != 0);
            let names: Vec<String> = keys.map(|(_, key)| name(*key)).collect();
            if let Some((last, others)) = names.split_last() {
                parts.push(match others.is_empty() {
                    true => format!("{last} {one}"),
                    false => format!("{} and {last} {many}", others.join(", ")),
                });
            }
        }
        match parts.is_empty() {
            true => Ok(()),
            false => write!(f, "{}; such presses do not count", parts.join("; ")),
        }
    }
}

/// `false` if there are none: so the traces of contacts say it.
impl fmt::Debug for StuckKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_empty() {
            true => f.write_str("false"),
            false => fmt::Display::fmt(self, f),
        }
    }
}

fn name(key: Key) -> String {
    match key {
        Key::Digit(digit) => format!("key {digit}"),
        Key::Star => "key *".into(),
        Key::Hash => "key #".into(),
        Key::Button => "the button".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_choose_once_the_last_digit_is_stuck() {
        let stuck = |digits: std::ops::RangeInclusive<u8>| {
            digits.fold(StuckKeys::default(), |all, digit| {
                let fault = match digit % 2 {
                    0 => KeyFault::Held,
                    _ => KeyFault::Repeats,
                };
                all.with(Key::Digit(digit), Some(fault))
            })
        };
        assert!(!StuckKeys::default().leaves_no_digit());
        assert!(!stuck(0..=8).leaves_no_digit());
        assert!(stuck(1..=9).leaves_no_digit());
    }

    #[test]
    fn a_key_that_is_held_for_a_minute_stops_counting_until_it_has_rested() {
        let mut key = KeyWatch::default();
        key.level(Mono(1_000), true);
        assert_eq!(key.deadline(), Some(Mono(61_000)));
        assert!(!key.tick(Mono(60_999)) && key.tick(Mono(61_000)));
        assert_eq!((key.fault(), key.deadline()), (Some(KeyFault::Held), None));
        key.level(Mono(500_000), false);
        key.level(Mono(505_000), true);
        key.level(Mono(506_000), false);
        assert_eq!(key.deadline(), Some(Mono(516_000)));
        assert!(!key.tick(Mono(515_999)) && key.tick(Mono(516_000)));
        assert_eq!((key.fault(), key.deadline()), (None, None));
    }

    #[test]
    fn a_key_that_repeats_stops_counting_and_one_that_a_citizen_presses_does_not() {
        let presses = |pause_ms: u64| {
            let mut key = KeyWatch::default();
            (0..600).find(|n| {
                let at = Mono(n * pause_ms);
                key.level(at, true);
                key.pressed(at);
                key.level(Mono(at.0 + pause_ms / 2), false);
                key.tick(at)
            })
        };
        assert_eq!(presses(200), Some(u64::from(MOST_PRESSES)));
        assert_eq!(presses(1_600), None);
        // A contact that flickers so fast that no press is ever told.
        let mut key = KeyWatch::default();
        let told = (0..6_000_u64).find(|n| {
            key.level(Mono(n * 10), n % 2 == 0);
            key.tick(Mono(n * 10))
        });
        assert_eq!(told, Some(u64::from(MOST_CHANGES)));
        assert_eq!(key.fault(), Some(KeyFault::Repeats));
    }

    #[test]
    fn the_sentence_names_every_key_and_what_it_does() {
        let none = StuckKeys::default();
        let says = |keys: StuckKeys| keys.to_string();
        assert_eq!(
            (says(none), format!("{none:?}")),
            (String::new(), "false".into())
        );
        let held = none.with(Key::Digit(5), Some(KeyFault::Held));
        assert_eq!(says(held), "key 5 stays pressed; such presses do not count");
        let both = held
            .with(Key::Button, Some(KeyFault::Repeats))
            .with(Key::Star, Some(KeyFault::Repeats))
            .with(Key::Digit(1), Some(KeyFault::Held))
            .with(Key::Digit(2), None);
        assert_eq!(
            says(both),
            "key 1 and key 5 stay pressed; key * and the button repeat by themselves; such presses do not count"
        );
    }
}
