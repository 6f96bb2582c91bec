//! What whoever watches has chosen: which booths, in which order, which one is looked at, and what each key changes.
//!
//! Owns: the choice, and its keys. Pure. Never does: draw, or read a keyboard.

use booth_contract::fleet::{SORTS, Seen, Standing, order};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::row::Row;

/// Longest text that is looked for, in characters.
const LONGEST: usize = 40;

/// What stands beside the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Beside {
    /// The latest lines of the log.
    #[default]
    Log,
    /// The booth that is chosen.
    Booth,
    /// The log alone, instead of the list.
    LogAlone,
    /// The keys.
    Keys,
}

/// What a key has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// Nothing that is seen.
    Nothing,
    /// The screen is another one.
    Changed,
    /// The end.
    Ends,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// The booths of this standing alone.
    pub(super) show: Option<Standing>,
    /// The place in [`SORTS`].
    pub(super) sort: usize,
    /// Part of a booth's id or name, in small letters.
    pub(super) find: String,
    /// A text to look for is being typed.
    pub(super) is_typing: bool,
    /// The booth that is chosen, whatever its place.
    pub(super) chosen: Option<String>,
    pub(super) beside: Beside,
    /// How many lines of the log come after the last one that is shown.
    pub(super) back: usize,
}

impl Choice {
    /// What is shown at first: the booths of one standing, in the order at a place of [`SORTS`], whose id or name has a text.
    pub fn new(show: Option<Standing>, sort: usize, find: &str) -> Self {
        Self {
            show,
            sort,
            find: find.to_lowercase(),
            ..Self::default()
        }
    }

    /// The booths that are wanted, in the order that is wanted.
    pub(super) fn of<'a>(&self, rows: &[Row<'a>]) -> Vec<Row<'a>> {
        let is_wanted = |row: &&Row<'a>| {
            self.show.is_none_or(|show| row.standing() == show) && row.has(&self.find)
        };
        let mut wanted: Vec<Row<'a>> = rows.iter().filter(is_wanted).cloned().collect();
        wanted.sort_by(|a, b| order(self.sort, a, b));
        wanted
    }

    /// The place of the chosen booth; the first one where none is chosen or it is not shown.
    pub(super) fn place(&self, rows: &[Row<'_>]) -> usize {
        let chosen = self.chosen.as_deref();
        let at = rows.iter().position(|row| Some(row.booth_id()) == chosen);
        at.unwrap_or(0)
    }

    fn moves(&mut self, rows: &[Row<'_>], by: isize) {
        let last = rows.len().saturating_sub(1);
        let at = self.place(rows).saturating_add_signed(by).min(last);
        self.chosen = rows.get(at).map(|row| row.booth_id().to_owned());
    }

    fn scrolls(&mut self, lines: usize, by: isize) {
        self.back = self
            .back
            .saturating_add_signed(by)
            .min(lines.saturating_sub(1));
    }

    /// A key was pressed; `rows` are those that are shown, and `lines` the length of the log.
    pub(super) fn key(&mut self, key: KeyEvent, rows: &[Row<'_>], lines: usize) -> Done {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Done::Ends,
                _ => Done::Nothing,
            };
        }
        match self.is_typing {
            true => self.typed(key.code),
            false => self.pressed(key.code, rows, lines),
        }
    }

    fn typed(&mut self, key: KeyCode) -> Done {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.find.clear();
            }
            KeyCode::Backspace => {
                self.find.pop();
            }
            KeyCode::Char(sign) if self.find.chars().count() < LONGEST => {
                self.find.extend(sign.to_lowercase());
            }
            _ => return Done::Nothing,
        }
        Done::Changed
    }

    fn pressed(&mut self, key: KeyCode, rows: &[Row<'_>], lines: usize) -> Done {
        let is_log = self.beside == Beside::LogAlone;
        match key {
            KeyCode::Char('q') => return Done::Ends,
            KeyCode::Up | KeyCode::Char('k') if is_log => self.scrolls(lines, 1),
            KeyCode::Down | KeyCode::Char('j') if is_log => self.scrolls(lines, -1),
            KeyCode::PageUp if is_log => self.scrolls(lines, 10),
            KeyCode::PageDown if is_log => self.scrolls(lines, -10),
            KeyCode::Up | KeyCode::Char('k') => self.moves(rows, -1),
            KeyCode::Down | KeyCode::Char('j') => self.moves(rows, 1),
            KeyCode::PageUp => self.moves(rows, -10),
            KeyCode::PageDown => self.moves(rows, 10),
            KeyCode::Home | KeyCode::Char('g') => self.moves(rows, isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.moves(rows, isize::MAX),
            KeyCode::Enter => self.toggle(Beside::Booth),
            KeyCode::Char('l') => self.toggle(Beside::LogAlone),
            KeyCode::Char('?') => self.toggle(Beside::Keys),
            KeyCode::Char('s') => self.sort = (self.sort + 1) % SORTS.len(),
            KeyCode::Char('f') => self.show = next(self.show),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => {
                *self = Self {
                    chosen: self.chosen.take(),
                    ..Self::default()
                };
            }
            _ => return Done::Nothing,
        }
        Done::Changed
    }

    fn toggle(&mut self, beside: Beside) {
        self.back = 0;
        self.beside = match self.beside == beside {
            true => Beside::Log,
            false => beside,
        };
    }
}

/// The next standing to show alone, after the last one all. A booth that was never heard is not known here.
fn next(show: Option<Standing>) -> Option<Standing> {
    let mut after = Standing::ALL
        .into_iter()
        .filter(|one| *one != Standing::NeverHeard);
    match show {
        None => after.next(),
        Some(shown) => after.find(|one| *one > shown),
    }
}
