//! All contacts of a booth together: from levels of lines to what a citizen does. Pure.
//!
//! Owns: which decoder a line belongs to, and when the next one has to be asked. Never does: read a line; kernel time stamps
//! come in. A part that is stuck is reported once, and the others go on.

use std::time::Duration;

use super::dial::{DialDecoder, DialLayout, DialNews};
use super::hook::{HookFilter, HookNews};
use super::keypad::{Closed, Contact, KeyNews, KeypadDecoder};
use super::session::{HandsetEvent, Key, KeySource};
use super::stuck::{KeyWatch, StuckKeys};
use booth_contract::time::Mono;

/// The service button has to be held for this long.
const SERVICE_HELD: Duration = Duration::from_secs(5);
/// A button that is held from the start on for longer than this does not make the booth learn the hook's rest.
const TAUGHT_WITHIN: Duration = Duration::from_secs(30);
/// A button that is held for longer than this is stuck.
const SERVICE_STUCK: Duration = Duration::from_secs(60);
/// A lift within this time after the service button was held is the technician's.
const SERVICE_WAITS: Duration = Duration::from_secs(60);
/// How long a button and the tamper contact must rest.
const SETTLES: Duration = Duration::from_millis(30);
/// A keypad is scanned again after this while a key is closed.
const SCAN: Duration = Duration::from_millis(10);

/// A contact by its purpose. It is *active* when its name is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Line {
    /// The handset is off its hook.
    OffHook,
    /// The dial's pulse contact is open.
    DialPulse,
    /// The dial is not at rest.
    DialOffNormal,
    /// The push button is pressed.
    Button,
    /// The technician's button inside the case is pressed.
    ServiceButton,
    /// The booth's case is open.
    Tamper,
    /// A key of this row is pressed, while the keypad waits for any key.
    KeypadRow,
}

impl Line {
    /// Its key under `[handset]` in booth.toml.
    pub fn key(self) -> &'static str {
        match self {
            Line::OffHook => "hook",
            Line::DialPulse => "dial_pulse",
            Line::DialOffNormal => "dial_off_normal",
            Line::Button => "button",
            Line::ServiceButton => "service_button",
            Line::Tamper => "tamper",
            Line::KeypadRow => "keypad.rows",
        }
    }
}

/// An output line that the booth sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutLine {
    /// The lamp.
    Lamp,
    /// The bell, or what drives it: on while it sounds.
    Ringer,
}

impl OutLine {
    /// Its key under `[handset]` in booth.toml.
    pub fn key(self) -> &'static str {
        match self {
            OutLine::Lamp => "lamp",
            OutLine::Ringer => "ringer",
        }
    }
}

/// What the contacts say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelNews {
    /// A citizen did this.
    Handset(Mono, HandsetEvent),
    /// The case was opened or closed.
    Tamper(bool),
    /// A part got stuck or came free.
    Stuck(Stuck),
    /// The service button was held with the handset on its hook: the next lift is the technician's.
    ServiceAwaited,
    /// The service button has been held long enough, from the start on: when it is let go, the hook's position at rest is
    /// learned.
    HookAwaited,
    /// The service button was held from the start on and let go: the hook's position now is its rest.
    HookAtRest,
}

/// What is stuck.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stuck {
    /// The dial stands in mid-turn.
    pub dial: bool,
    /// Keys that nobody presses: they stay down, or repeat by themselves.
    pub key: StuckKeys,
    /// The hook switch chatters.
    pub hook: bool,
    /// The service button does not come up.
    pub service: bool,
}

/// What a booth has beside its hook switch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PanelParts {
    /// A dial, its layout, and whether it has an off-normal contact.
    pub dial: Option<(DialLayout, bool)>,
    /// A keypad.
    pub keypad: bool,
}

/// A service button that is held.
#[derive(Debug, Clone, Copy)]
struct Held {
    since: Mono,
    from_the_start: bool,
    is_told: bool,
    is_stuck: bool,
}

impl Held {
    fn new(since: Mono, from_the_start: bool) -> Self {
        Self {
            since,
            from_the_start,
            is_told: false,
            is_stuck: false,
        }
    }
}

/// The contacts of one booth.
#[derive(Debug, Clone)]
pub struct Panel {
    hook: HookFilter,
    dial: Option<DialDecoder>,
    keypad: Option<KeypadDecoder>,
    scanned: Mono,
    button: Contact,
    button_watch: KeyWatch,
    tamper: Contact,
    service: Contact,
    /// Since when the service button is held, and how far that has been reported.
    service_held: Option<Held>,
    /// Until when a lift is the technician's.
    service_until: Mono,
}

impl Panel {
    /// Begins with the hook as it was found; that is no event.
    pub fn new(parts: PanelParts, hook_debounce: Duration, off_hook: bool) -> Self {
        Self {
            hook: HookFilter::new(hook_debounce, off_hook),
            dial: parts
                .dial
                .map(|(layout, has_off_normal)| DialDecoder::new(layout, has_off_normal)),
            keypad: parts.keypad.then(KeypadDecoder::default),
            scanned: Mono(0),
            button: Contact::new(SETTLES, false),
            button_watch: KeyWatch::default(),
            tamper: Contact::new(SETTLES, false),
            service: Contact::new(SETTLES, false),
            service_held: None,
            service_until: Mono(0),
        }
    }

    /// The service button was held when the machine started.
    pub fn starts_in_service(&mut self, now: Mono) {
        self.service = Contact::new(SETTLES, true);
        self.service_held = Some(Held::new(now, true));
    }

    /// Whether short taps of the hook are digits.
    pub fn set_hook_flash(&mut self, flash: bool) {
        self.hook.set_flash(flash);
    }

    /// Whether the handset may be being hung up right now: the earpiece is silent meanwhile.
    pub fn is_hook_resting(&self) -> bool {
        self.hook.is_resting()
    }

    /// Edges of the hook switch in the last hour.
    pub fn hook_toggles_1h(&self, now: Mono) -> u64 {
        self.hook.toggles_1h(now)
    }

    /// Takes an edge, or a level read again. What had become due before it is reported first: a thread that ran late may
    /// bring a hang-up and the next citizen's lift at once, and they are two visits.
    pub fn level(&mut self, at: Mono, line: Line, is_active: bool) -> Vec<PanelNews> {
        let mut news = self.tick(at);
        match line {
            Line::OffHook => {
                let told = self.hook.level(at, is_active);
                self.hook_told(at, told, &mut news);
            }
            Line::DialPulse => {
                let told = self.dial.as_mut().and_then(|d| d.pulse(at, is_active));
                self.dial_told(at, told, &mut news);
            }
            Line::DialOffNormal => {
                let told = self.dial.as_mut().and_then(|d| d.off_normal(at, is_active));
                self.dial_told(at, told, &mut news);
            }
            Line::Button => {
                self.button_watch.level(at, is_active);
                let told = self.button.level(at, is_active);
                self.button_told(told, &mut news);
            }
            Line::Tamper => {
                let told = self.tamper.level(at, is_active);
                news.extend(told.map(|(_, open)| PanelNews::Tamper(open)));
            }
            Line::ServiceButton => {
                let told = self.service.level(at, is_active);
                self.service_told(told, &mut news);
            }
            Line::KeypadRow => {}
        }
        news
    }

    /// Takes a scan of the keypad.
    pub fn keys(&mut self, at: Mono, closed: Closed) -> Vec<PanelNews> {
        self.scanned = at;
        let told = self.keypad.as_mut().and_then(|k| k.scan(at, closed));
        let news = told.map(|news| match news {
            KeyNews::Pressed(key) => {
                PanelNews::Handset(at, HandsetEvent::Key(key, KeySource::Keypad))
            }
            KeyNews::Stuck => PanelNews::Stuck(self.stuck()),
        });
        news.into_iter().collect()
    }

    /// Whether the handset is off its hook, as was last reported.
    pub fn is_off_hook(&self) -> bool {
        self.hook.is_off()
    }

    /// Whether a key of the keypad is down or was a moment ago.
    pub fn is_key_down(&self) -> bool {
        self.keypad.as_ref().is_some_and(KeypadDecoder::is_busy)
    }

    /// Whether the keypad is to be scanned although no row has an edge.
    pub fn wants_scan(&self, now: Mono) -> bool {
        self.is_key_down() && self.scanned + SCAN <= now
    }

    /// Time passes.
    pub fn tick(&mut self, now: Mono) -> Vec<PanelNews> {
        let mut news = Vec::new();
        while let Some(told) = self.hook.tick(now) {
            self.hook_told(now, Some(told), &mut news);
        }
        let told = self.dial.as_mut().and_then(|dial| dial.tick(now));
        self.dial_told(now, told, &mut news);
        let told = self.button.tick(now);
        self.button_told(told, &mut news);
        if self.button_watch.tick(now) {
            news.push(PanelNews::Stuck(self.stuck()));
        }
        let told = self.tamper.tick(now);
        news.extend(told.map(|(_, open)| PanelNews::Tamper(open)));
        let told = self.service.tick(now);
        self.service_told(told, &mut news);
        self.service_tick(now, &mut news);
        news
    }

    fn service_tick(&mut self, now: Mono, news: &mut Vec<PanelNews>) {
        let is_off = self.hook.is_off();
        let Some(held) = &mut self.service_held else {
            return;
        };
        if !held.is_told && held.since + SERVICE_HELD <= now {
            held.is_told = true;
            if held.from_the_start {
                news.push(PanelNews::HookAwaited);
            } else if !is_off {
                self.service_until = now + SERVICE_WAITS;
                news.push(PanelNews::ServiceAwaited);
            }
        }
        if !held.is_stuck && held.since + SERVICE_STUCK <= now {
            held.is_stuck = true;
            news.push(PanelNews::Stuck(self.stuck()));
        }
    }

    fn service_told(&mut self, told: Option<(Mono, bool)>, news: &mut Vec<PanelNews>) {
        match told {
            Some((at, true)) => self.service_held = Some(Held::new(at, false)),
            Some((at, false)) => {
                let Some(held) = self.service_held.take() else {
                    return;
                };
                let span = at.since(held.since);
                if held.from_the_start && (SERVICE_HELD..TAUGHT_WITHIN).contains(&span) {
                    news.push(PanelNews::HookAtRest);
                }
                if held.is_stuck {
                    news.push(PanelNews::Stuck(self.stuck()));
                }
            }
            None => {}
        }
    }

    /// When [`Panel::tick`] or a scan is due.
    pub fn deadline(&self) -> Option<Mono> {
        let dues = [
            self.hook.deadline(),
            self.dial.as_ref().and_then(DialDecoder::deadline),
            self.button.deadline(),
            self.button_watch.deadline(),
            self.tamper.deadline(),
            self.service.deadline(),
            self.service_held.and_then(|held| match held {
                Held { is_told: false, .. } => Some(held.since + SERVICE_HELD),
                Held {
                    is_stuck: false, ..
                } => Some(held.since + SERVICE_STUCK),
                Held { .. } => None,
            }),
            self.is_key_down().then(|| self.scanned + SCAN),
        ];
        dues.into_iter().flatten().min()
    }

    /// What is stuck now.
    pub fn stuck(&self) -> Stuck {
        Stuck {
            dial: self.dial.as_ref().is_some_and(DialDecoder::is_stuck),
            key: (self.keypad.as_ref())
                .map_or_else(StuckKeys::default, KeypadDecoder::stuck)
                .with(Key::Button, self.button_watch.fault()),
            hook: self.hook.chatters(),
            service: self.service_held.is_some_and(|held| held.is_stuck),
        }
    }

    fn dial_told(&self, at: Mono, told: Option<DialNews>, news: &mut Vec<PanelNews>) {
        news.extend(told.map(|told| match told {
            DialNews::Digit(digit) => {
                PanelNews::Handset(at, HandsetEvent::Key(Key::Digit(digit), KeySource::Dial))
            }
            DialNews::Stuck | DialNews::Free => PanelNews::Stuck(self.stuck()),
        }));
    }

    fn button_told(&mut self, told: Option<(Mono, bool)>, news: &mut Vec<PanelNews>) {
        let Some((at, true)) = told else { return };
        if self.button_watch.fault().is_none() {
            self.button_watch.pressed(at);
            let pressed = HandsetEvent::Key(Key::Button, KeySource::Keypad);
            news.push(PanelNews::Handset(at, pressed));
        }
    }

    fn hook_told(&mut self, now: Mono, told: Option<HookNews>, news: &mut Vec<PanelNews>) {
        let Some(told) = told else { return };
        let hung_up = match told {
            HookNews::Chatters(begins) => {
                news.push(PanelNews::Stuck(self.stuck()));
                // A citizen who was there counts as gone when the hook begins to chatter.
                begins.then_some(PanelNews::Handset(now, HandsetEvent::HungUp))
            }
            HookNews::Event(at, event) => Some(PanelNews::Handset(at, event)),
        };
        let Some(told @ PanelNews::Handset(at, event)) = hung_up else {
            return;
        };
        news.push(told);
        match event {
            HandsetEvent::HungUp => {
                if let Some(dial) = &mut self.dial {
                    dial.forget();
                }
            }
            HandsetEvent::Lifted
                if (self.service.is_active() && !self.stuck().service)
                    || at < self.service_until =>
            {
                self.service_until = Mono(0);
                // The button has made this lift the technician's, and counts for nothing else.
                if let Some(held) = &mut self.service_held {
                    held.is_told = true;
                    held.from_the_start = false;
                }
                news.push(PanelNews::Handset(at, HandsetEvent::Service));
            }
            HandsetEvent::Lifted | HandsetEvent::Key(..) | HandsetEvent::Service => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dial::contacts::Dial;
    use super::*;

    fn panel() -> Panel {
        let parts = PanelParts {
            dial: Some((DialLayout::OneFirst, true)),
            keypad: false,
        };
        Panel::new(parts, Duration::from_millis(20), false)
    }

    fn events(news: Vec<PanelNews>) -> Vec<(u64, HandsetEvent)> {
        let events = news.into_iter().filter_map(|news| match news {
            PanelNews::Handset(at, event) => Some((at.0, event)),
            _ => None,
        });
        events.collect()
    }

    #[test]
    fn a_hang_up_and_a_lift_that_are_read_late_and_together_are_two_citizens() {
        let mut panel = panel();
        let mut told = Vec::new();
        for (at, off_hook) in [(100, true), (5_000, false), (5_200, true), (9_000, false)] {
            told.extend(panel.level(Mono(at), Line::OffHook, off_hook));
        }
        told.extend(panel.tick(Mono(20_000)));
        assert_eq!(
            events(told),
            [
                (100, HandsetEvent::Lifted),
                (5_000, HandsetEvent::HungUp),
                (5_200, HandsetEvent::Lifted),
                (9_000, HandsetEvent::HungUp)
            ]
        );
    }

    #[test]
    fn a_digit_that_is_dialled_while_the_handset_is_hung_up_is_none() {
        let mut panel = panel();
        let mut told = panel.level(Mono(0), Line::OffHook, true);
        told.extend(panel.level(Mono(1_000), Line::DialOffNormal, true));
        told.extend(panel.level(Mono(1_200), Line::OffHook, false));
        for pulse in 0..3 {
            told.extend(panel.level(Mono(1_300 + pulse * 100), Line::DialPulse, true));
            told.extend(panel.level(Mono(1_360 + pulse * 100), Line::DialPulse, false));
        }
        told.extend(panel.level(Mono(1_350), Line::OffHook, true));
        told.extend(panel.level(Mono(1_700), Line::DialOffNormal, false));
        told.extend(panel.tick(Mono(3_000)));
        let keys = events(told);
        assert!(
            keys.iter()
                .all(|(_, event)| !matches!(event, HandsetEvent::Key(..))),
            "{keys:?}"
        );
    }

    /// A visit of somebody who dials: the edges, and the events that they mean.
    fn visit(dial: &mut Dial, at: u64) -> (Vec<(u64, Line, bool)>, Vec<HandsetEvent>, u64) {
        let mut edges = Vec::new();
        let mut meant = vec![HandsetEvent::Lifted];
        let mut now = at;
        // The hook chatters as the dial's contacts do, and flicks once in a while.
        let hook = |dial: &mut Dial, edges: &mut Vec<_>, at, off_hook| {
            let mut chatter = Vec::new();
            dial.edge(&mut chatter, at, 200, true, off_hook);
            edges.extend(
                chatter
                    .into_iter()
                    .map(|(at, _, level)| (at, Line::OffHook, level)),
            );
        };
        hook(dial, &mut edges, now, true);
        now += 400;
        for _ in 0..dial.next(4) {
            if dial.next(3) == 0 {
                edges.extend([(now, Line::OffHook, false), (now + 2, Line::OffHook, true)]);
                now += 100;
            }
            let pulses = 1 + dial.next(10);
            meant.push(HandsetEvent::Key(
                Key::Digit((pulses % 10) as u8),
                KeySource::Dial,
            ));
            let mut turn = Vec::new();
            now = dial.turn(&mut turn, now, pulses) + 200;
            let of = |of_pulses| match of_pulses {
                true => Line::DialPulse,
                false => Line::DialOffNormal,
            };
            edges.extend(
                turn.into_iter()
                    .map(|(at, of_pulses, level)| (at, of(of_pulses), level)),
            );
        }
        now += dial.next(3_000);
        hook(dial, &mut edges, now, false);
        meant.push(HandsetEvent::HungUp);
        (edges, meant, now + 100 + dial.next(5_000))
    }

    fn service_panel(off_hook: bool) -> Panel {
        Panel::new(PanelParts::default(), Duration::from_millis(20), off_hook)
    }

    #[test]
    fn a_service_button_that_is_held_from_the_start_teaches_when_it_is_let_go_and_a_stuck_one_nothing()
     {
        let taught = |released: u64| {
            let mut panel = service_panel(false);
            panel.starts_in_service(Mono(0));
            let mut news = panel.tick(Mono(5_000));
            assert_eq!(news, [PanelNews::HookAwaited]);
            news.extend(panel.level(Mono(released), Line::ServiceButton, false));
            news.extend(panel.tick(Mono(released + 100)));
            news.contains(&PanelNews::HookAtRest)
        };
        assert!(taught(6_000) && taught(29_000));
        assert!(!taught(31_000) && !taught(3_600_000));
    }

    #[test]
    fn a_service_button_that_does_not_come_up_is_told_once_and_makes_no_citizen_a_technician() {
        let mut panel = service_panel(false);
        let mut news = panel.level(Mono(1_000), Line::ServiceButton, true);
        for second in 1..4_000 {
            news.extend(panel.tick(Mono(1_000 + second * 1_000)));
        }
        let stuck = |is_so| {
            PanelNews::Stuck(Stuck {
                service: is_so,
                ..Stuck::default()
            })
        };
        assert_eq!(news, [PanelNews::ServiceAwaited, stuck(true)]);
        let lifted = panel.level(Mono(5_000_000), Line::OffHook, true);
        assert_eq!(events(lifted), [(5_000_000, HandsetEvent::Lifted)]);
        let mut news = panel.level(Mono(5_010_000), Line::ServiceButton, false);
        news.extend(panel.tick(Mono(5_010_100)));
        assert_eq!(news, [stuck(false)]);
        assert_eq!(panel.deadline(), None);
    }

    #[test]
    fn a_wet_button_gives_its_consent_at_most_for_a_minute() {
        let mut panel = panel();
        let mut told = Vec::new();
        for n in 0..600 {
            told.extend(panel.level(Mono(n * 1_000), Line::Button, true));
            told.extend(panel.tick(Mono(n * 1_000 + 400)));
            told.extend(panel.level(Mono(n * 1_000 + 500), Line::Button, false));
            told.extend(panel.tick(Mono(n * 1_000 + 900)));
        }
        assert_eq!(panel.deadline(), Some(Mono(599_500 + 10_000)));
        told.extend(panel.tick(Mono(609_500)));
        let presses = events(told.clone());
        assert_eq!(presses.len(), 41, "{presses:?}");
        let stuck = told.iter().filter_map(|news| match news {
            PanelNews::Stuck(stuck) => Some(stuck.key.to_string()),
            _ => None,
        });
        let stuck: Vec<String> = stuck.collect();
        assert_eq!(stuck.len(), 2, "{stuck:?}");
        assert!(
            stuck[0].starts_with("the button repeats by itself"),
            "{stuck:?}"
        );
        assert_eq!((stuck[1].as_str(), panel.deadline()), ("", None));
    }

    #[test]
    fn ten_thousand_visits_are_told_as_they_were() {
        let mut dial = Dial {
            pulses_per_s: 10.0,
            break_share: 0.6,
            chatter_ms: 40,
            seed: 20_261_125,
        };
        let (mut panel, mut at) = (panel(), 1_000);
        for n in 0..10_000 {
            dial.pulses_per_s = 8.0 + dial.next(4_001) as f64 / 1_000.0;
            dial.break_share = 0.5 + dial.next(301) as f64 / 1_000.0;
            let (mut edges, meant, end) = visit(&mut dial, at);
            edges.sort_by_key(|(at, ..)| *at);
            // The thread runs late now and then, and then reads all gathered edges at once.
            let mut asked = at;
            let mut told = Vec::new();
            for (at, line, level) in edges {
                if at >= asked {
                    told.extend(panel.tick(Mono(at - 1)));
                    asked = at + if dial.next(5) == 0 { dial.next(400) } else { 0 };
                }
                told.extend(panel.level(Mono(at), line, level));
            }
            told.extend(panel.tick(Mono(end)));
            let told: Vec<HandsetEvent> =
                events(told).into_iter().map(|(_, event)| event).collect();
            assert_eq!(told, meant, "visit {n}: {dial:?}");
            at = end + 1;
        }
    }
}
