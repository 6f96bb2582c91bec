//! Keys and plain contacts: from levels to presses. Pure.
//!
//! Owns: when a contact that bounces has changed, and which key of a matrix was pressed. Never does: scan a matrix or read a
//! clock. A key that is stuck ([`super::stuck`]) gives no presses, and the others count as if it were not there.

use std::time::Duration;

use super::session::Key;
use super::stuck::{KeyWatch, StuckKeys};
use booth_contract::time::Mono;

/// A key counts when it is alone for this long.
const SETTLED: Duration = Duration::from_millis(20);
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
    /// A key became stuck, or counts again.
    Stuck,
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

    /// The place of the only key that is closed.
    fn only(self) -> Option<usize> {
        (self.0.count_ones() == 1).then(|| self.0.trailing_zeros() as usize)
    }

    fn has(self, at: usize) -> bool {
        self.0 & (1 << at) != 0
    }
}

/// The row and the column of a key; `None` for one that no keypad has.
pub fn place_of(key: Key) -> Option<(usize, usize)> {
    let at = (0..ROWS * COLUMNS).find(|at| self::key(*at) == key)?;
    Some((at / COLUMNS, at % COLUMNS))
}

/// The key at a place of the matrix.
fn key(at: usize) -> Key {
    LAYOUT[at / COLUMNS][at % COLUMNS]
}

/// Decodes a keypad's scans.
#[derive(Debug, Clone, Default)]
pub struct KeypadDecoder {
    /// As it was scanned, stuck keys and all.
    scanned: Closed,
    watches: [KeyWatch; ROWS * COLUMNS],
    /// The keys that are closed and count, and since when they are.
    closed: Closed,
    since: Mono,
    /// The key that was reported and is still held.
    told: Option<usize>,
}

impl KeypadDecoder {
    /// Takes one scan. Scans come at least every 10 ms while a key is closed.
    pub fn scan(&mut self, at: Mono, closed: Closed) -> Option<KeyNews> {
        self.scanned = closed;
        for (place, watch) in self.watches.iter_mut().enumerate() {
            watch.level(at, closed.has(place));
        }
        self.tick(at)
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Option<KeyNews> {
        // All of them are asked, whatever the first one says.
        let changed = self
            .watches
            .iter_mut()
            .filter_map(|watch| watch.tick(now).then_some(()));
        if changed.count() > 0 {
            return Some(KeyNews::Stuck);
        }
        let closed = self.counting();
        if closed != self.closed {
            self.closed = closed;
            self.since = now;
        }
        if now.since(self.since) < SETTLED {
            return None;
        }
        if self.closed.is_empty() {
            self.told = None;
            return None;
        }
        // Two keys at once choose nothing; the one that stays down alone counts.
        let at = self.closed.only()?;
        if self.told.replace(at) == Some(at) {
            return None;
        }
        self.watches[at].pressed(now);
        Some(KeyNews::Pressed(key(at)))
    }

    /// What is closed of the keys that are not stuck.
    fn counting(&self) -> Closed {
        let watches = self.watches.iter().enumerate();
        let stuck = watches.filter(|(_, watch)| watch.fault().is_some());
        Closed(stuck.fold(self.scanned.0, |all, (at, _)| all & !(1 << at)))
    }

    /// The keys that do not count.
    pub fn stuck(&self) -> StuckKeys {
        let watches = self.watches.iter().enumerate();
        watches.fold(StuckKeys::default(), |all, (at, watch)| {
            all.with(key(at), watch.fault())
        })
    }

    /// Whether the next scan is due soon: something is closed or settling, or was stuck a moment ago.
    pub fn is_busy(&self) -> bool {
        !self.scanned.is_empty() || self.told.is_some() || !self.stuck().is_empty()
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
    fn a_key_that_is_held_for_ever_is_told_once_and_when_it_counts_again() {
        let told = scanned(&[(0, &[(0, 0)]), (400_000, &[]), (420_000, &[])]);
        let wanted = [
            KeyNews::Pressed(Key::Digit(1)),
            KeyNews::Stuck,
            KeyNews::Stuck,
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn beside_a_key_that_is_stuck_the_others_count_and_it_does_not() {
        let wet = (1, 1);
        let told = scanned(&[
            (0, &[wet]),
            (100_000, &[wet, (0, 0)]),
            (100_200, &[wet]),
            (101_000, &[wet, (3, 2)]),
            (101_200, &[]),
            (103_000, &[wet]),
            (103_200, &[]),
            (120_000, &[wet]),
            (120_200, &[]),
        ]);
        let wanted = [
            KeyNews::Pressed(Key::Digit(5)),
            KeyNews::Stuck,
            KeyNews::Pressed(Key::Digit(1)),
            KeyNews::Pressed(Key::Hash),
            KeyNews::Stuck,
            KeyNews::Pressed(Key::Digit(5)),
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
