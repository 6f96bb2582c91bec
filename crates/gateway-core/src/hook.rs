//! The hook switch: from edges to lifts and hang-ups. Pure.
//!
//! A lift is reported at its first edge and taken back if it was only a bounce. A hang-up is reported once the switch has
//! rested for the bounce time, with the time of its first edge, so that a glitch of a few milliseconds neither ends nor
//! splits a recording. A switch that chatters is reported once, and counts as on its hook until it rests. With hook-flash
//! dialling, short taps are digits.

use std::collections::VecDeque;
use std::time::Duration;

use super::session::{HandsetEvent, Key, KeySource};
use booth_contract::time::Mono;

/// Edges and lifts are counted over this time.
const MINUTE: Duration = Duration::from_secs(60);
/// More lifts in a minute are not made by a citizen: a hand needs more than a second for each.
const MOST_LIFTS: usize = 40;
/// More edges in a minute are not bounces.
const MOST_EDGES: u32 = 1_200;
/// A switch that chattered is believed again after this long without an edge.
const RESTED: Duration = Duration::from_secs(10);
/// A tap of hook-flash dialling is at least this long; shorter ones are bounces.
const SHORTEST_TAP: Duration = Duration::from_millis(20);
/// With hook-flash dialling, a longer break is a hang-up.
const LONGEST_TAP: Duration = Duration::from_millis(400);
/// With hook-flash dialling, the digit ends after this long off the hook.
const DIGIT_ENDS: Duration = Duration::from_millis(400);
/// Minutes of edges that are remembered.
const HOUR: usize = 60;

/// What the hook switch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookNews {
    /// A citizen did this, at this time.
    Event(Mono, HandsetEvent),
    /// The switch has begun to chatter (true), or come to rest (false).
    Chatters(bool),
}

/// Turns levels into events.
#[derive(Debug, Clone)]
pub struct HookFilter {
    debounce: Duration,
    told_off: bool,
    /// First edge of a hang-up that has not rested yet.
    resting: Option<Mono>,
    /// Hook-flash dialling is on, and nobody is recorded.
    flash: bool,
    taps: u8,
    tapped: Mono,
    level: bool,
    last_edge: Mono,
    lifts: VecDeque<Mono>,
    /// Edges in the running minute, and when it began.
    edges: (u32, Mono),
    /// Edges of the running minute that belong to a chatter that was reported already.
    excused: u32,
    /// Edges of the minutes before it, latest first.
    earlier: VecDeque<u32>,
    chatters: bool,
    /// The switch came to rest off its hook, and the lift has not been reported yet.
    lift_is_due: bool,
}

impl HookFilter {
    /// Begins with the level found at start, which is no event.
    pub fn new(debounce: Duration, off_hook: bool) -> Self {
        Self {
            debounce,
            told_off: off_hook,
            resting: None,
            flash: false,
            taps: 0,
            tapped: Mono(0),
            level: off_hook,
            last_edge: Mono(0),
            lifts: VecDeque::new(),
            edges: (0, Mono(0)),
            excused: 0,
            earlier: VecDeque::new(),
            chatters: false,
            lift_is_due: false,
        }
    }

    /// Sets whether short taps are digits. They never are while somebody is recorded: each hang-up would have to wait until
    /// it is clear that it is no tap.
    pub fn set_flash(&mut self, flash: bool) {
        self.flash = flash;
        self.taps = 0;
    }

    /// Takes an edge, or a level read again. The caller asks [`HookFilter::tick`] about `at` first.
    pub fn level(&mut self, at: Mono, off_hook: bool) -> Option<HookNews> {
        if off_hook == self.level {
            return None;
        }
        self.level = off_hook;
        self.lift_is_due = false;
        self.last_edge = at;
        self.count(at);
        if self.chatters {
            return None;
        }
        if self.edges.0 - self.excused > MOST_EDGES {
            return Some(self.begin_to_chatter());
        }
        match (self.told_off, off_hook) {
            (false, true) => {
                self.lifts.push_back(at);
                self.lifts.retain(|lift| at.since(*lift) < MINUTE);
                if self.lifts.len() > MOST_LIFTS {
                    return Some(self.begin_to_chatter());
                }
                self.told_off = true;
                self.resting = None;
                self.taps = 0;
                Some(HookNews::Event(at, HandsetEvent::Lifted))
            }
            (true, true) => {
                let tap = self.resting.take().map(|first| at.since(first));
                if self.flash && tap.is_some_and(|tap| tap >= SHORTEST_TAP) {
                    self.taps = self.taps.saturating_add(1);
                    self.tapped = at;
                }
                None
            }
            (true, false) => {
                self.resting.get_or_insert(at);
                self.tick(at)
            }
            (false, false) => None,
        }
    }

    /// The switch begins to chatter: that is reported, and a citizen who is there counts as having hung up.
    fn begin_to_chatter(&mut self) -> HookNews {
        self.chatters = true;
        self.told_off = false;
        self.resting = None;
        self.taps = 0;
        self.lifts.clear();
        HookNews::Chatters(true)
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Option<HookNews> {
        if self.chatters {
            if self.last_edge + RESTED > now {
                return None;
            }
            self.chatters = false;
            self.excused = self.edges.0;
            // Somebody who holds the handset by now may speak.
            self.lift_is_due = self.level;
            return Some(HookNews::Chatters(false));
        }
        if std::mem::take(&mut self.lift_is_due) {
            self.told_off = true;
            return Some(HookNews::Event(now, HandsetEvent::Lifted));
        }
        if self.taps > 0 && self.level && self.tapped + DIGIT_ENDS <= now {
            let taps = std::mem::take(&mut self.taps);
            let key = Key::Digit(taps % 10);
            let event = HandsetEvent::Key(key, KeySource::Dial);
            return (taps <= 10).then_some(HookNews::Event(now, event));
        }
        let first = self
            .resting
            .filter(|first| *first + self.patience() <= now)?;
        self.resting = None;
        self.told_off = false;
        self.taps = 0;
        Some(HookNews::Event(first, HandsetEvent::HungUp))
    }

    fn patience(&self) -> Duration {
        match self.flash {
            true => self.debounce.max(LONGEST_TAP),
            false => self.debounce,
        }
    }

    fn count(&mut self, at: Mono) {
        while at.since(self.edges.1) >= MINUTE {
            self.excused = 0;
            if at.since(self.edges.1) >= MINUTE * (HOUR as u32 + 1) {
                self.earlier.clear();
                self.edges = (0, at);
            } else {
                self.earlier.push_front(self.edges.0);
                self.earlier.truncate(HOUR);
                self.edges = (0, self.edges.1 + MINUTE);
            }
        }
        self.edges.0 += 1;
    }

    /// Edges of the last hour, by whole minutes.
    pub fn toggles_1h(&self, now: Mono) -> u64 {
        let past = usize::try_from(now.since(self.edges.1).as_secs() / 60).unwrap_or(HOUR);
        let earlier = self.earlier.iter().take(HOUR.saturating_sub(past));
        let running = if past <= HOUR { self.edges.0 } else { 0 };
        u64::from(running) + earlier.map(|edges| u64::from(*edges)).sum::<u64>()
    }

    /// Whether the handset is off its hook, as was last reported.
    pub fn is_off(&self) -> bool {
        self.told_off
    }

    /// Whether somebody may be hanging up right now: the earpiece is silent meanwhile.
    pub fn is_resting(&self) -> bool {
        self.resting.is_some()
    }

    /// Whether it chatters.
    pub fn chatters(&self) -> bool {
        self.chatters
    }

    /// The level that was seen last.
    pub fn level_now(&self) -> bool {
        self.level
    }

    /// When [`HookFilter::tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        let rested = (self.chatters || self.lift_is_due).then_some(self.last_edge + RESTED);
        let digit = (self.taps > 0 && self.level).then_some(self.tapped + DIGIT_ENDS);
        let hung_up = self.resting.map(|first| first + self.patience());
        [rested, digit, hung_up].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(filter: &mut HookFilter, edges: &[(u64, bool)]) -> Vec<HookNews> {
        let mut told = Vec::new();
        for (at, off) in edges {
            while let Some(due) = filter.deadline().filter(|due| due.0 <= *at) {
                told.extend(filter.tick(due));
            }
            told.extend(filter.level(Mono(*at), *off));
        }
        while let Some(due) = filter.deadline() {
            told.extend(filter.tick(due));
        }
        told
    }

    fn played(edges: &[(u64, bool)]) -> Vec<(u64, HandsetEvent)> {
        let mut filter = HookFilter::new(Duration::from_millis(20), false);
        events(run(&mut filter, edges))
    }

    fn events(told: Vec<HookNews>) -> Vec<(u64, HandsetEvent)> {
        let event = |news| match news {
            HookNews::Event(at, event) => Some((at.0, event)),
            HookNews::Chatters(_) => None,
        };
        told.into_iter().filter_map(event).collect()
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

    #[test]
    fn a_hook_that_chatters_for_an_hour_is_told_once_and_believed_again_when_it_rests() {
        // Every 300 ms up, every 300 ms down: each of them could be a citizen.
        let edges: Vec<_> = (0..12_000u64).map(|n| (n * 300, n % 2 == 0)).collect();
        let mut filter = HookFilter::new(Duration::from_millis(20), false);
        let mut told = run(&mut filter, &edges);
        let chatters: Vec<_> = told
            .iter()
            .filter(|news| matches!(news, HookNews::Chatters(_)))
            .collect();
        assert_eq!(
            chatters,
            [&HookNews::Chatters(true), &HookNews::Chatters(false)]
        );
        assert!(told.len() < 2 * MOST_LIFTS + 4, "{} things", told.len());
        assert_eq!(filter.toggles_1h(Mono(3_600_000)), 12_000);
        told = run(&mut filter, &[(3_700_000, true), (3_701_000, false)]);
        assert_eq!(
            events(told),
            [
                (3_700_000, HandsetEvent::Lifted),
                (3_701_000, HandsetEvent::HungUp)
            ]
        );
    }

    #[test]
    fn a_chatter_too_fast_to_be_lifts_is_told_as_well() {
        let edges: Vec<_> = (0..3_000u64).map(|n| (n * 7, n % 2 == 0)).collect();
        let mut filter = HookFilter::new(Duration::from_millis(20), false);
        let told = run(&mut filter, &edges);
        assert_eq!(
            told,
            [
                HookNews::Event(Mono(0), HandsetEvent::Lifted),
                HookNews::Chatters(true),
                HookNews::Chatters(false)
            ]
        );
    }

    #[test]
    fn taps_of_the_hook_are_a_digit_only_where_hook_flash_is_on() {
        let mut edges = vec![(1_000, true)];
        for tap in 0..3 {
            edges.extend([(2_000 + tap * 200, false), (2_080 + tap * 200, true)]);
        }
        edges.push((9_000, false));
        let digit = |key| HandsetEvent::Key(Key::Digit(key), KeySource::Dial);
        let mut filter = HookFilter::new(Duration::from_millis(20), false);
        filter.set_flash(true);
        assert_eq!(
            events(run(&mut filter, &edges)),
            [
                (1_000, HandsetEvent::Lifted),
                (2_880, digit(3)),
                (9_000, HandsetEvent::HungUp)
            ]
        );
        // Without hook-flash dialling, each tap is a hang-up and a new lift.
        assert_eq!(played(&edges).len(), 8);
    }

    #[test]
    fn toggles_of_more_than_an_hour_ago_are_forgotten() {
        let mut filter = HookFilter::new(Duration::from_millis(20), false);
        run(&mut filter, &[(0, true), (1_000, false), (120_000, true)]);
        assert_eq!(filter.toggles_1h(Mono(121_000)), 3);
        assert_eq!(filter.toggles_1h(Mono(3_700_000)), 1);
        assert_eq!(filter.toggles_1h(Mono(9_000_000)), 0);
    }
}
