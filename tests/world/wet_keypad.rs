//! A keypad in the rain: citizens press keys all day, beside one key that nobody presses and that is closed for long or again and again.

use std::time::Duration;

use booth_contract::time::Mono;
use booth_testkit::model_disk::Chance;
use gateway_core::keypad::{COLUMNS, Closed, ROWS};
use gateway_core::panel::{Panel, PanelNews, PanelParts};
use gateway_core::session::{HandsetEvent, Key};

/// A keypad and a button, scanned every 10 ms as the handset's thread does.
struct Keypad {
    panel: Panel,
    now: u64,
    chance: Chance,
    /// Closed by the rain, and by a finger.
    wet: Option<(usize, usize)>,
    finger: Option<(usize, usize)>,
    pressed: Vec<Key>,
    stuck: Vec<String>,
}

impl Keypad {
    fn new(seed: u64) -> Self {
        let parts = PanelParts {
            keypad: true,
            ..PanelParts::default()
        };
        Self {
            panel: Panel::new(parts, Duration::from_millis(20), false),
            now: 1_000,
            chance: Chance::new(seed),
            wet: None,
            finger: None,
            pressed: Vec::new(),
            stuck: Vec::new(),
        }
    }

    /// The place of a key that is not `but`.
    fn another(&mut self, but: (usize, usize)) -> (usize, usize) {
        loop {
            let place = (
                self.chance.below(ROWS as u64) as usize,
                self.chance.below(COLUMNS as u64) as usize,
            );
            if place != but {
                return place;
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 10 {
            self.now += 10;
            let closed = [self.wet, self.finger].into_iter().flatten();
            let closed = closed.fold(Closed::default(), |all, (row, column)| {
                all.with(row, column)
            });
            let mut news = self.panel.tick(Mono(self.now));
            news.extend(self.panel.keys(Mono(self.now), closed));
            for news in news {
                match news {
                    PanelNews::Handset(_, HandsetEvent::Key(key, _)) => self.pressed.push(key),
                    PanelNews::Stuck(stuck) => self.stuck.push(stuck.key.to_string()),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// A finger presses a key, which bounces; the key that it means.
    fn presses(&mut self, place: (usize, usize)) -> Key {
        for _ in 0..self.chance.below(3) {
            self.finger = Some(place);
            self.pass(10);
            self.finger = None;
            self.pass(10);
        }
        self.finger = Some(place);
        let held = 60 + self.chance.below(400);
        self.pass(held);
        self.finger = None;
        let pause = 100 + self.chance.below(900);
        self.pass(pause);
        let at = place.0 * COLUMNS + place.1;
        [1, 2, 3, 4, 5, 6, 7, 8, 9]
            .get(at)
            .map_or([Key::Star, Key::Digit(0), Key::Hash][at % 3], |digit| {
                Key::Digit(*digit)
            })
    }

    /// The rain closes and opens the key once, in its own rhythm.
    fn drips(&mut self, wet: (usize, usize)) {
        self.wet = Some(wet);
        let closed = 10 * (1 + self.chance.below(60));
        self.pass(closed);
        self.wet = None;
        let open = 10 * (1 + self.chance.below(60));
        self.pass(open);
    }

    /// Citizens press other keys; what they meant.
    fn citizens(&mut self, wet: (usize, usize), presses: u64) -> Vec<Key> {
        (0..presses)
            .map(|_| {
                let place = self.another(wet);
                self.presses(place)
            })
            .collect()
    }
}

#[test]
fn beside_a_key_that_the_rain_holds_down_every_other_press_is_told_and_none_of_its_own() {
    for seed in 0..40 {
        let mut keypad = Keypad::new(seed);
        let wet = keypad.another((ROWS, COLUMNS));
        keypad.wet = Some(wet);
        keypad.pass(62_000);
        assert_eq!(keypad.stuck.len(), 1, "seed {seed}");
        assert!(
            keypad.stuck[0].contains("stays pressed"),
            "seed {seed}: {:?}",
            keypad.stuck
        );
        keypad.pressed.clear();
        let meant = keypad.citizens(wet, 60);
        assert_eq!(keypad.pressed, meant, "seed {seed}");
        // Dry again: told once more, and the key is one like any other.
        keypad.wet = None;
        keypad.pass(12_000);
        assert_eq!(keypad.stuck.len(), 2, "seed {seed}");
        assert_eq!(keypad.stuck[1], "", "seed {seed}");
        keypad.pressed.clear();
        let meant = keypad.presses(wet);
        assert_eq!(keypad.pressed, [meant], "seed {seed}");
    }
}

#[test]
fn a_key_that_the_rain_repeats_disturbs_for_a_minute_and_then_no_more() {
    for seed in 0..40 {
        let mut keypad = Keypad::new(seed);
        let wet = keypad.another((ROWS, COLUMNS));
        let begun = keypad.now;
        while keypad.stuck.is_empty() {
            keypad.drips(wet);
            assert!(
                keypad.now - begun < 120_000,
                "seed {seed}: it is never told"
            );
        }
        assert!(
            keypad.stuck[0].contains("repeats by itself"),
            "seed {seed}: {:?}",
            keypad.stuck
        );
        let rubbish = keypad.pressed.len();
        assert!(rubbish <= 41, "seed {seed}: {rubbish} presses disturbed");
        // It goes on for ten minutes, and nobody hears of it again.
        for _ in 0..600 {
            keypad.drips(wet);
        }
        assert_eq!(
            (keypad.pressed.len(), keypad.stuck.len()),
            (rubbish, 1),
            "seed {seed}"
        );
        keypad.pass(12_000);
        assert_eq!(keypad.stuck.len(), 2, "seed {seed}");
        keypad.pressed.clear();
        let meant = keypad.citizens((ROWS, COLUMNS), 20);
        assert_eq!(keypad.pressed, meant, "seed {seed}");
    }
}

#[test]
fn citizens_who_press_all_day_are_never_taken_for_rain() {
    for seed in 0..10 {
        let mut keypad = Keypad::new(seed);
        let meant = keypad.citizens((ROWS, COLUMNS), 3_000);
        assert_eq!(keypad.pressed, meant, "seed {seed}");
        assert!(keypad.stuck.is_empty(), "seed {seed}: {:?}", keypad.stuck);
    }
}
