//! The hook switch: from edges to lifts and hang-ups. Pure.
//!
//! A lift is told at its first edge and taken back if it was only a bounce. A hang-up is told once the
//! switch has rested for the bounce time, with the time of its first edge, so that a glitch of a few
//! milliseconds neither ends nor splits a recording.

use std::time::Duration;

use super::session::HandsetEvent;
use super::time::Mono;

/// Turns levels into events.
#[derive(Debug, Clone)]
pub struct HookFilter {
    debounce: Duration,
    told_off: bool,
    /// First edge of a hang-up that has not rested yet.
    resting: Option<Mono>,
}

impl HookFilter {
    /// Begins with the level found at start, which is no event.
    pub fn new(debounce: Duration, off_hook: bool) -> Self {
        Self {
            debounce,
            told_off: off_hook,
            resting: None,
        }
    }

    /// Takes an edge, or a level read again, in.
    pub fn level(&mut self, at: Mono, off_hook: bool) -> Option<(Mono, HandsetEvent)> {
        match (self.told_off, off_hook) {
            (false, true) => {
                self.told_off = true;
                self.resting = None;
                Some((at, HandsetEvent::Lifted))
            }
            (true, true) => {
                self.resting = None;
                None
            }
            (true, false) => {
                self.resting.get_or_insert(at);
                self.tick(at)
            }
            (false, false) => None,
        }
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Option<(Mono, HandsetEvent)> {
        let first = self.resting.filter(|first| *first + self.debounce <= now)?;
        self.resting = None;
        self.told_off = false;
        Some((first, HandsetEvent::HungUp))
    }

    /// What was told last.
    pub fn is_off(&self) -> bool {
        self.told_off
    }

    /// When [`HookFilter::tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        self.resting.map(|first| first + self.debounce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(edges: &[(u64, bool)]) -> Vec<(u64, HandsetEvent)> {
        let mut filter = HookFilter::new(Duration::from_millis(20), false);
        let mut told = Vec::new();
        for (at, off) in edges {
            if let Some(due) = filter.deadline().filter(|due| due.0 <= *at) {
                told.extend(filter.tick(due));
            }
            told.extend(filter.level(Mono(*at), *off));
        }
        told.extend(filter.deadline().and_then(|due| filter.tick(due)));
        told.into_iter().map(|(at, event)| (at.0, event)).collect()
    }

    #[test]
    fn a_lift_is_told_at_its_first_edge_and_bounces_are_not_told() {
        assert_eq!(
            played(&[
                (100, true),
                (102, false),
                (103, true),
                (109, false),
                (110, true)
            ]),
            [(100, HandsetEvent::Lifted)]
        );
    }

    #[test]
    fn a_glitch_does_not_hang_up_and_a_hang_up_has_the_time_of_its_first_edge() {
        let told = played(&[
            (0, true),
            (500, false),
            (502, true),
            (900, false),
            (905, true),
            (906, false),
        ]);
        assert_eq!(
            told,
            [(0, HandsetEvent::Lifted), (906, HandsetEvent::HungUp)]
        );
    }

    #[test]
    fn a_knock_that_bounces_back_is_a_lift_and_a_hang_up() {
        assert_eq!(
            played(&[(0, true), (3, false)]),
            [(0, HandsetEvent::Lifted), (3, HandsetEvent::HungUp)]
        );
    }
}
