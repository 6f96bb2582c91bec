//! Keys and plain contacts: from levels to presses. Pure.
//!
//! Owns: when a contact that bounces has changed, and which key of a matrix was pressed. Never does: scan a matrix or read a
//! clock. A key that stays down is reported once as stuck, and gives one press.

use std::time::Duration;

use super::session::Key;
use booth_contract::time::Mono;

/// A key counts when it is alone for this long.
const SETTLED: Duration = Duration::from_millis(20);
/// A key that is held for longer is stuck.
const STUCK: Duration = Duration::from_secs(60);
/// The keys of a telephone by row and column (ITU-T E.161).
const LAYOUT: [[Key; 3]; 4] = [
    [Key::Digit(1), Key::Digit(2), Key::Digit(3)],
    [Key::Digit(4), Key::Digit(5), Key::Digit(6)],
    [Key::Digit(7), Key::Digit(8), Key::Digit(9)],
    [Key::Star, Key::Digit(0), Key::Hash],
];
/// Rows of a keypad.
pub const ROWS: usize = LAYOUT.len();
/// Columns of a keypad.
pub const COLUMNS: usize = LAYOUT[0].len();

/// What a keypad says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyNews {
    /// Pressed, at the time it was first seen.
    Pressed(Key),
    /// Held for a minute.
    Stuck,
    /// Nothing is held any more.
    Free,
}

/// Which keys of a matrix are closed: one bit a key, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Closed(u16);

impl Closed {
    /// The same, with this key.
    #[must_use]
    pub fn with(self, row: usize, column: usize) -> Self {
        match row < ROWS && column < COLUMNS {
            true => Self(self.0 | 1 << (row * COLUMNS + column)),
            false => self,
        }
    }

    /// Whether no key is.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn only(self) -> Option<Key> {
        let at = self.0.trailing_zeros() as usize;
        (self.0.count_ones() == 1).then(|| LAYOUT[at / COLUMNS][at % COLUMNS])
    }
}

/// Decodes a keypad's scans.
#[derive(Debug, Clone, Default)]
pub struct KeypadDecoder {
    closed: Closed,
    since: Mono,
    /// The key that was reported and is still held.
    told: Option<Key>,
    is_stuck: bool,
}

impl KeypadDecoder {
    /// Takes one scan. Scans come at least every 10 ms while a key is closed.
    pub fn scan(&mut self, at: Mono, closed: Closed) -> Option<KeyNews> {
        if closed != self.closed {
            self.closed = closed;
            self.since = at;
        }
        self.tick(at)
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Option<KeyNews> {
        let held = now.since(self.since);
        if held < SETTLED {
            return None;
        }
        if self.closed.is_empty() {
            self.told = None;
            return std::mem::take(&mut self.is_stuck).then_some(KeyNews::Free);
        }
        if held >= STUCK && !self.is_stuck {
            self.is_stuck = true;
            return Some(KeyNews::Stuck);
        }
        // Two keys at once choose nothing; the one that stays down alone counts.
        let key = self.closed.only()?;
        let is_new = self.told.replace(key) != Some(key);
        is_new.then_some(KeyNews::Pressed(key))
    }

    /// Whether [`KeyNews::Stuck`] was reported and [`KeyNews::Free`] not yet.
    pub fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Whether the next scan is due soon: something is closed or settling.
    pub fn is_busy(&self) -> bool {
        !self.closed.is_empty() || self.told.is_some() || self.is_stuck
    }
}

/// A contact that bounces.
#[derive(Debug, Clone)]
pub struct Contact {
    settles: Duration,
    told: bool,
    /// First edge of a change that has not lasted yet.
    changing: Option<Mono>,
}

impl Contact {
    /// A contact that was found in this state; that is no event.
    pub fn new(settles: Duration, is_active: bool) -> Self {
        Self {
            settles,
            told: is_active,
            changing: None,
        }
    }

    /// An edge, or a level read again.
    pub fn level(&mut self, at: Mono, is_active: bool) -> Option<(Mono, bool)> {
        if is_active == self.told {
            self.changing = None;
            return None;
        }
        self.changing.get_or_insert(at);
        self.tick(at)
    }

    /// Time passes: the new state, once it has lasted, with the time of its first edge.
    pub fn tick(&mut self, now: Mono) -> Option<(Mono, bool)> {
        let first = self.changing.filter(|first| *first + self.settles <= now)?;
        self.changing = None;
        self.told = !self.told;
        Some((first, self.told))
    }

    /// When [`Contact::tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        self.changing.map(|first| first + self.settles)
    }

    /// The state that was last reported.
    pub fn is_active(&self) -> bool {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(scans: &[(u64, &[(usize, usize)])]) -> Vec<KeyNews> {
        let mut keypad = KeypadDecoder::default();
        let mut news = Vec::new();
        for (n, (at, keys)) in scans.iter().enumerate() {
            let closed = keys.iter().fold(Closed::default(), |all, (row, column)| {
                all.with(*row, *column)
            });
            let until = scans.get(n + 1).map_or(at + 100, |next| next.0);
            for now in (*at..until).step_by(10) {
                news.extend(keypad.scan(Mono(now), closed));
            }
        }
        news
    }

    #[test]
    fn every_key_of_the_matrix_is_told_once_however_long_it_is_held() {
        for (row, column, key) in [
            (0, 0, Key::Digit(1)),
            (2, 2, Key::Digit(9)),
            (3, 0, Key::Star),
            (3, 1, Key::Digit(0)),
            (3, 2, Key::Hash),
        ] {
            let told = scanned(&[(0, &[(row, column)]), (5_000, &[])]);
            assert_eq!(told, [KeyNews::Pressed(key)]);
        }
    }

    #[test]
    fn a_bounce_is_no_second_press_and_two_presses_are_two() {
        let key: &[(usize, usize)] = &[(1, 1)];
        let bounces = [
            (0, key),
            (10, &[][..]),
            (20, key),
            (200, &[]),
            (210, key),
            (230, &[]),
        ];
        assert_eq!(scanned(&bounces), [KeyNews::Pressed(Key::Digit(5))]);
        let twice = [(0, key), (100, &[][..]), (200, key), (300, &[])];
        assert_eq!(scanned(&twice), [KeyNews::Pressed(Key::Digit(5)); 2]);
    }

    #[test]
    fn two_keys_at_once_are_none_until_one_is_left() {
        let told = scanned(&[(0, &[(0, 0), (0, 1)]), (500, &[(0, 1)]), (900, &[])]);
        assert_eq!(told, [KeyNews::Pressed(Key::Digit(2))]);
    }

    #[test]
    fn a_key_that_is_held_for_ever_is_told_once_and_when_it_is_free() {
        let told = scanned(&[(0, &[(0, 0)]), (400_000, &[])]);
        let wanted = [
            KeyNews::Pressed(Key::Digit(1)),
            KeyNews::Stuck,
            KeyNews::Free,
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_contact_is_told_when_it_has_settled_with_the_time_of_its_first_edge() {
        let mut contact = Contact::new(Duration::from_millis(30), false);
        for (at, level) in [(100, true), (104, false), (106, true), (112, true)] {
            assert_eq!(contact.level(Mono(at), level), None);
        }
        assert_eq!(contact.deadline(), Some(Mono(136)));
        assert_eq!(contact.tick(Mono(136)), Some((Mono(106), true)));
        assert_eq!(contact.level(Mono(200), false), None);
        assert_eq!(contact.level(Mono(240), false), Some((Mono(200), false)));
    }
}
