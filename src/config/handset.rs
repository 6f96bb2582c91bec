//! `[handset]` of booth.toml: which line has which purpose.

use std::path::PathBuf;

use serde::Deserialize;

use super::usb::Usb;
use booth_host::config_file::Faults;
use gateway_core::dial::DialLayout;
use gateway_core::keypad::{COLUMNS, ROWS};
use gateway_core::panel::{Line, OutLine};

/// The backend that reads the hook switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Backend {
    Auto,
    Rppal,
    Cdev,
    Usb,
    Sim,
}

/// A level on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Level {
    Low,
    High,
}

impl Level {
    /// Whether a line that is high or low is at this level.
    pub fn is(self, is_high: bool) -> bool {
        is_high == (self == Level::High)
    }
}

/// A resistor inside the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Pull {
    Up,
    Down,
    None,
}

/// The hook switch's line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Hook {
    pub line: u32,
    pub off_hook: Level,
    pub pull: Pull,
    pub debounce_ms: u64,
}

impl Default for Hook {
    fn default() -> Self {
        Self {
            line: 17,
            off_hook: Level::Low,
            pull: Pull::Up,
            debounce_ms: 20,
        }
    }
}

/// An output line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Output {
    pub line: u32,
    /// The level at which the output is on.
    #[serde(default = "default_on")]
    pub on: Level,
}

fn default_on() -> Level {
    Level::High
}

/// The line of a contact beside the hook switch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Contact {
    pub line: u32,
    /// The level while the pulse contact is open, the dial is not at rest, the button is pressed, or the case is open. The
    /// default suits a contact to ground with a pull-up, which is high while open: high for `dial_pulse` and `tamper`, low
    /// for all others.
    pub active: Option<Level>,
    #[serde(default = "default_pull")]
    pub pull: Pull,
}

fn default_pull() -> Pull {
    Pull::Up
}

/// The lines of a keypad, which is scanned: rows are read, pulled up; columns are driven low one by one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Keypad {
    /// Top to bottom: 1 2 3, 4 5 6, 7 8 9, * 0 #.
    pub rows: [u32; ROWS],
    /// Left to right.
    pub columns: [u32; COLUMNS],
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Handset {
    pub backend: Backend,
    pub chip: Option<PathBuf>,
    pub hook: Hook,
    pub dial_pulse: Option<Contact>,
    pub dial_off_normal: Option<Contact>,
    pub dial_layout: DialLayout,
    pub keypad: Option<Keypad>,
    pub button: Option<Contact>,
    pub service_button: Option<Contact>,
    pub tamper: Option<Contact>,
    pub lamp: Option<Output>,
    pub ringer: Option<Output>,
    /// Short taps of the hook dial digits, where there is neither dial nor keypad.
    pub hook_flash: bool,
    /// A handset on USB, of the backend `usb`.
    pub usb: Usb,
    pub control_socket: PathBuf,
}

impl Handset {
    /// Whether a citizen has the keys of a telephone.
    pub fn has_keypad(&self) -> bool {
        self.keypad.is_some() || self.backend == Backend::Usb
    }

    /// Every contact with a line of its own: its purpose, its line, the level at which it is active, and its resistor.
    pub fn contacts(&self) -> Vec<(Line, u32, Level, Pull)> {
        let hook = &self.hook;
        let mut all = vec![(Line::OffHook, hook.line, hook.off_hook, hook.pull)];
        let others = [
            (Line::DialPulse, &self.dial_pulse, Level::High),
            (Line::DialOffNormal, &self.dial_off_normal, Level::Low),
            (Line::Button, &self.button, Level::Low),
            (Line::ServiceButton, &self.service_button, Level::Low),
            (Line::Tamper, &self.tamper, Level::High),
        ];
        for (line, contact, usual) in others {
            all.extend(contact.as_ref().map(|contact| {
                (
                    line,
                    contact.line,
                    contact.active.unwrap_or(usual),
                    contact.pull,
                )
            }));
        }
        all
    }

    /// Every line that the booth sets.
    pub fn outputs(&self) -> Vec<(OutLine, &Output)> {
        let all = [(OutLine::Lamp, &self.lamp), (OutLine::Ringer, &self.ringer)];
        all.into_iter()
            .filter_map(|(line, output)| Some((line, output.as_ref()?)))
            .collect()
    }

    /// Every line with its key in booth.toml, by number; the same number twice is a fault.
    pub fn lines(&self) -> Vec<(u32, String)> {
        let mut used: Vec<(u32, String)> = self
            .contacts()
            .into_iter()
            .map(|(line, number, ..)| (number, line.key().to_owned()))
            .collect();
        let outputs = self.outputs().into_iter();
        used.extend(outputs.map(|(line, output)| (output.line, line.key().to_owned())));
        if let Some(keypad) = &self.keypad {
            let rows = keypad
                .rows
                .iter()
                .map(|line| (*line, "keypad.rows".to_owned()));
            let columns = keypad
                .columns
                .iter()
                .map(|line| (*line, "keypad.columns".to_owned()));
            used.extend(rows.chain(columns));
        }
        used.sort();
        used
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if self.backend == Backend::Usb {
            self.usb.check(faults);
        }
        for pair in self.lines().windows(2) {
            let [(line, one), (same, other)] = pair else {
                continue;
            };
            if line == same {
                let why = format!("and {other} share line {line}");
                faults.that(format!("[handset] {one}"), why);
            }
        }
        if self.dial_off_normal.is_some() && self.dial_pulse.is_none() {
            let why = "without dial_pulse there are no digits";
            faults.of("[handset] dial_off_normal", why);
        }
        if self.hook_flash && (self.dial_pulse.is_some() || self.keypad.is_some()) {
            let why = "a booth with a dial or a keypad needs no taps of the hook";
            faults.of("[handset] hook_flash", why);
        }
        if self.hook.debounce_ms > 1000 {
            let why = "more than 1000 would swallow hang-ups";
            faults.of("[handset] hook.debounce_ms", why);
        }
    }
}

impl Default for Handset {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            chip: None,
            hook: Hook::default(),
            dial_pulse: None,
            dial_off_normal: None,
            dial_layout: DialLayout::default(),
            keypad: None,
            button: None,
            tamper: None,
            service_button: None,
            lamp: None,
            ringer: None,
            hook_flash: false,
            usb: Usb::default(),
            control_socket: "/run/booth-gateway/handset.sock".into(),
        }
    }
}
