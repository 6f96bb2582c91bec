//! `[handset] usb` of booth.toml: which key of a USB handset, a numeric pad or a keyboard has which purpose.
//!
//! Owns: the names of keys, as the kernel has them, and the digits of every pad. Never does: open a device.

use std::path::PathBuf;

use serde::Deserialize;

use booth_host::config_file::Faults;
use gateway_core::session::Key;

/// Keys that may be the hook: the kernel's name in small letters without `KEY_`, and its code (linux/input-event-codes.h).
const NAMED: [(&str, u16); 24] = [
    ("phone", 169),
    ("pickup_phone", 0x1bd),
    ("hangup_phone", 0x1be),
    ("numlock", 69),
    ("kpplus", 78),
    ("kpminus", 74),
    ("kpslash", 98),
    ("kpdot", 83),
    ("kpequal", 117),
    ("kpcomma", 121),
    ("backspace", 14),
    ("tab", 15),
    ("esc", 1),
    ("space", 57),
    ("playpause", 164),
    ("mute", 113),
    ("micmute", 248),
    ("volumeup", 115),
    ("volumedown", 114),
    ("f1", 59),
    ("f2", 60),
    ("f3", 61),
    ("f4", 62),
    ("media", 226),
];

/// The row of digits of a keyboard, 1 to 9 and 0, begins here; that of a telephone, 0 to 9, there.
const FIRST_DIGIT: u16 = 2;
const FIRST_NUMERIC: u16 = 0x200;
/// The numeric pad's digits, 0 to 9.
const PAD: [u16; 10] = [82, 79, 80, 81, 75, 76, 77, 71, 72, 73];
/// `*`: of the numeric pad, and of a telephone.
const STARS: [u16; 2] = [55, 0x20a];
/// `#`: Enter of the numeric pad and of a keyboard, and that of a telephone.
const HASHES: [u16; 3] = [96, 28, 0x20b];

/// What the hook's key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookIs {
    /// The handset is lifted while the key is down.
    Down,
    /// The handset is lifted while the key is up: its weight holds the key.
    Up,
    /// There is no hook: each press lifts and hangs up in turn.
    Pressed,
}

/// `[handset] usb`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usb {
    /// The input device, best by its name in /dev/input/by-id.
    pub device: PathBuf,
    /// The hook's key.
    pub hook: String,
    /// What it says.
    pub hook_is: HookIs,
    /// Without a hook: so long after the last key it counts as hung up.
    pub hang_up_after_s: u64,
}

impl Default for Usb {
    fn default() -> Self {
        Self {
            device: PathBuf::new(),
            hook: "phone".into(),
            hook_is: HookIs::Down,
            hang_up_after_s: 300,
        }
    }
}

impl Usb {
    /// The code of the hook's key.
    pub fn hook_code(&self) -> Option<u16> {
        let found = NAMED.iter().find(|(name, _)| *name == self.hook);
        found.map(|(_, code)| *code)
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        if self.device.as_os_str().is_empty() {
            let why = "names no device; `ls -l /dev/input/by-id` lists them, take the one that ends in -event-kbd";
            faults.that("[handset] usb.device", why);
        }
        if self.hook_code().is_none() {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            let why = format!(
                "\"{}\" is no key; use one of {}",
                self.hook,
                names.join(", ")
            );
            faults.of("[handset] usb.hook", why);
        }
        if !(30..=3_600).contains(&self.hang_up_after_s) {
            faults.of("[handset] usb.hang_up_after_s", "use 30 to 3600");
        }
    }
}

/// What a key of a pad, a keyboard or a telephone dials.
pub fn dialled(code: u16) -> Option<Key> {
    let digit = |at: usize| u8::try_from(at).ok().map(Key::Digit);
    if STARS.contains(&code) {
        return Some(Key::Star);
    }
    if HASHES.contains(&code) {
        return Some(Key::Hash);
    }
    if let Some(at) = PAD.iter().position(|pad| *pad == code) {
        return digit(at);
    }
    match (
        code.checked_sub(FIRST_DIGIT),
        code.checked_sub(FIRST_NUMERIC),
    ) {
        (Some(at @ 0..=9), _) => digit(usize::from((at + 1) % 10)),
        (_, Some(at @ 0..=9)) => digit(usize::from(at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pad_dials_each_key_of_a_telephone_once() {
        for pad in [
            [82, 79, 80, 81, 75, 76, 77, 71, 72, 73, 55, 96],
            [11, 2, 3, 4, 5, 6, 7, 8, 9, 10, 55, 28],
            [
                0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x20a, 0x20b,
            ],
        ] {
            let keys: Vec<Option<Key>> = pad.into_iter().map(dialled).collect();
            let digits = (0..10).map(|digit| Some(Key::Digit(digit)));
            let all: Vec<Option<Key>> = digits.chain([Some(Key::Star), Some(Key::Hash)]).collect();
            assert_eq!(keys, all, "{pad:?}");
        }
        for (name, code) in NAMED {
            assert_eq!(dialled(code), None, "{name}");
        }
        assert_eq!([0, 12, 0x20c, u16::MAX].map(dialled), [None; 4]);
    }
}
