//! A handset on USB: a telephone, a numeric pad or a keyboard encoder that is an input device of the kernel.
//!
//! Owns: the device, taken for this program alone so that no console reads what citizens press, and its keys as the lines of a booth: the hook, and a
//! keypad. A key that was pressed and let go between two looks counts all the same, and keys that overlap count one after the other. Never does: believe
//! a key's repetitions, or stay with a device that was pulled out: the caller opens it again. A FIFO of the kernel's structures stands in for a device.
#![allow(clippy::disallowed_methods)] // opens the device

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::handset_lines::{Edges, Lines, LinesError};
use super::wake::Wake;
use crate::config::{Handset, HookIs, dialled};
use booth_contract::time::Mono;
use booth_host::clock;
use gateway_core::keypad::{Closed, place_of};
use gateway_core::panel::{Line, OutLine};
use gateway_core::session::Key;

/// A `struct input_event` (linux/input.h): a time of two machine words, type, code, value.
const TIME: usize = 2 * size_of::<usize>();
const EVENT: usize = TIME + 8;
/// Events that are read at once.
const AT_ONCE: usize = 64;
/// Types of events, and the code by which the kernel says that it has dropped some.
const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const SYN_DROPPED: u16 = 3;
/// A key is shown for at least so long, and after it none for so long: more than the core needs to believe it.
const SHOWN: Duration = Duration::from_millis(60);
const GAP: Duration = Duration::from_millis(40);
/// Keys that wait to be shown; somebody who leans on the pad gets no more.
const MOST_KEYS: usize = 16;

/// Why the handset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsbError {
    /// It cannot be opened.
    #[error(
        "usb: [handset] usb.device {}: {source}; is it plugged in (`ls -l /dev/input/by-id`), and is the user in the group input?",
        path.display()
    )]
    Open {
        /// The device.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// Another program has taken it for itself.
    #[error("usb: {} is used by another program ({source}); end that, or name another device", path.display())]
    Held {
        /// The device.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// It has no such key.
    #[error("usb: {} has no key \"{key}\": name the one that its hook presses in [handset] usb.hook (`evtest` shows it)", path.display())]
    NoHook {
        /// The device.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// It is gone.
    #[error("usb: {} is gone ({why}): plug it in again", path.display())]
    Gone {
        /// The device.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

/// Where events come from.
enum Device {
    Input(Box<evdev::Device>),
    Fifo(File),
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Input(device) => device.as_fd(),
            Self::Fifo(file) => file.as_fd(),
        }
    }
}

impl Device {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Input(device) => Ok(rustix::io::read(device.as_fd(), into)?),
            Self::Fifo(file) => file.read(into),
        }
    }

    /// The keys that are down; of a FIFO it is not known.
    fn down(&self) -> io::Result<BTreeSet<u16>> {
        match self {
            Self::Input(device) => Ok(device
                .get_key_state()?
                .iter()
                .map(|key| key.code())
                .collect()),
            Self::Fifo(_) => Ok(BTreeSet::new()),
        }
    }
}

struct UsbLines {
    device: Device,
    path: PathBuf,
    hook: u16,
    hook_is: HookIs,
    hang_up_after: Duration,
    is_off_hook: bool,
    /// The last key, or the end of the last recording, for a handset without a hook.
    touched_at: Mono,
    /// Somebody speaks: silence and the longest recording end that, and no key has to be pressed meanwhile.
    is_recording: bool,
    keys: Keys,
    /// An event that has come in part.
    begun: Vec<u8>,
}

/// Takes the device for this program alone, or says what is wrong with it.
pub fn open(config: &Handset) -> Result<Box<dyn Lines>, UsbError> {
    let usb = &config.usb;
    let path = usb.device.clone();
    let device = device(&path)?;
    let Some(hook) = usb.hook_code().filter(|code| has(&device, *code)) else {
        return Err(UsbError::NoHook {
            path,
            key: usb.hook.clone(),
        });
    };
    let mut lines = UsbLines {
        device,
        path,
        hook,
        hook_is: usb.hook_is,
        hang_up_after: Duration::from_secs(usb.hang_up_after_s),
        is_off_hook: false,
        touched_at: clock::mono(),
        is_recording: false,
        keys: Keys::default(),
        begun: Vec::new(),
    };
    lines.is_off_hook = lines.hook_level()?.unwrap_or_default();
    Ok(Box::new(lines))
}

fn device(path: &Path) -> Result<Device, UsbError> {
    let failed = |source| UsbError::Open {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path)
        .map_err(failed)?
        .file_type()
        .is_fifo()
    {
        let how = OFlags::NONBLOCK.bits().cast_signed();
        let fifo = File::options().read(true).custom_flags(how).open(path);
        return fifo.map(Device::Fifo).map_err(failed);
    }
    let mut device = evdev::Device::open(path).map_err(failed)?;
    device.grab().map_err(|source| UsbError::Held {
        path: path.to_owned(),
        source,
    })?;
    Ok(Device::Input(Box::new(device)))
}

/// Whether the device has this key.
fn has(device: &Device, code: u16) -> bool {
    match device {
        Device::Input(device) => device
            .supported_keys()
            .is_some_and(|keys| keys.contains(evdev::KeyCode(code))),
        Device::Fifo(_) => true,
    }
}

impl UsbLines {
    fn gone(&self, why: impl ToString) -> UsbError {
        UsbError::Gone {
            path: self.path.clone(),
            why: why.to_string(),
        }
    }

    /// Whether the handset is lifted by what its key is now; `None` where only presses tell.
    fn hook_level(&self) -> Result<Option<bool>, UsbError> {
        let is_down = || -> Result<bool, UsbError> {
            let down = self.device.down().map_err(|error| self.gone(error))?;
            Ok(down.contains(&self.hook))
        };
        Ok(match self.hook_is {
            HookIs::Pressed => None,
            HookIs::Down => Some(is_down()?),
            HookIs::Up if matches!(self.device, Device::Fifo(_)) => None,
            HookIs::Up => Some(!is_down()?),
        })
    }

    /// Reads what is there.
    fn read(&mut self, now: Mono, edges: &mut Edges) -> Result<(), UsbError> {
        let mut bytes = [0; EVENT * AT_ONCE];
        let count = match self.device.read(&mut bytes) {
            Ok(0) => return Err(self.gone("its other end was closed")),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(self.gone(error)),
        };
        self.begun.extend_from_slice(&bytes[..count]);
        let whole = self.begun.len() - self.begun.len() % EVENT;
        let events: Vec<u8> = self.begun.drain(..whole).collect();
        for event in events.chunks_exact(EVENT) {
            let word = |at: usize| u16::from_ne_bytes([event[TIME + at], event[TIME + at + 1]]);
            let (kind, code) = (word(0), word(2));
            let value = [4, 5, 6, 7].map(|at| event[TIME + at]);
            match (kind, code, i32::from_ne_bytes(value)) {
                (EV_SYN, SYN_DROPPED, _) => self.read_again(now, edges)?,
                (EV_KEY, code, value @ 0..=1) => self.key(now, code, value == 1, edges),
                _ => {}
            }
        }
        Ok(())
    }

    /// The kernel has dropped events: what is down now counts.
    fn read_again(&mut self, now: Mono, edges: &mut Edges) -> Result<(), UsbError> {
        self.keys.let_go();
        if let Some(is_off_hook) = self.hook_level()? {
            self.is_off_hook = is_off_hook;
            edges.push((now, Line::OffHook, is_off_hook));
        }
        Ok(())
    }

    fn key(&mut self, now: Mono, code: u16, is_down: bool, edges: &mut Edges) {
        self.touched_at = now;
        if code == self.hook {
            let is_off_hook = match self.hook_is {
                HookIs::Down => is_down,
                HookIs::Up => !is_down,
                HookIs::Pressed if is_down => !self.is_off_hook,
                HookIs::Pressed => return,
            };
            self.is_off_hook = is_off_hook;
            edges.push((now, Line::OffHook, is_off_hook));
        } else if let Some(key) = dialled(code) {
            match is_down {
                true => self.keys.press(key, code),
                false => self.keys.release(code),
            }
        }
    }

    /// When a handset without a hook counts as hung up.
    fn hangs_up_at(&self) -> Option<Mono> {
        let has_no_hook = self.hook_is == HookIs::Pressed && self.is_off_hook;
        (has_no_hook && !self.is_recording).then(|| self.touched_at + self.hang_up_after)
    }
}

impl Lines for UsbLines {
    fn wait(&mut self, patience: Duration, wake: &Wake) -> Result<Edges, LinesError> {
        let began = clock::mono();
        let dues = [self.keys.due(began), self.hangs_up_at()]
            .into_iter()
            .flatten();
        let patience = dues
            .map(|due| due.since(began))
            .fold(patience, Duration::min);
        let mut edges = Edges::new();
        let is_there = wake
            .wait(&self.device, patience)
            .map_err(|error| self.gone(error))?;
        let now = clock::mono();
        if is_there {
            self.read(now, &mut edges)?;
        }
        if self.hangs_up_at().is_some_and(|at| at <= now) {
            self.is_off_hook = false;
            edges.push((now, Line::OffHook, false));
        }
        if self.keys.due(now).is_some_and(|due| due <= now) {
            edges.push((now, Line::KeypadRow, true));
        }
        Ok(edges)
    }

    fn levels(&mut self) -> Result<Vec<(Line, bool)>, LinesError> {
        Ok(vec![(Line::OffHook, self.is_off_hook)])
    }

    fn scan(&mut self) -> Result<Closed, LinesError> {
        Ok(self.keys.shown(clock::mono()))
    }

    fn switch(&mut self, _: OutLine, _: bool) -> Result<(), LinesError> {
        Ok(())
    }

    fn recording(&mut self, is_recording: bool) {
        self.is_recording = is_recording;
        self.touched_at = clock::mono();
    }
}

/// One press.
#[derive(Debug, Clone, Copy)]
struct Press {
    key: Key,
    code: u16,
    is_down: bool,
    /// Since when it is shown.
    since: Option<Mono>,
    /// Whether a look saw it that came late enough to believe it.
    is_seen: bool,
}

/// Presses, shown one after the other as a pad that is scanned shows them. Time alone ends neither a press nor the rest after it: whoever looks must
/// have seen it at the end of its time, or a busy machine would lose a key.
#[derive(Debug, Default)]
struct Keys {
    waiting: VecDeque<Press>,
    /// None is shown until somebody has looked after this.
    rests_until: Option<Mono>,
}

impl Keys {
    fn press(&mut self, key: Key, code: u16) {
        if self.waiting.len() < MOST_KEYS {
            self.waiting.push_back(Press {
                key,
                code,
                is_down: true,
                since: None,
                is_seen: false,
            });
        }
    }

    fn release(&mut self, code: u16) {
        let mut pressed = self.waiting.iter_mut().rev();
        if let Some(press) = pressed.find(|press| press.code == code && press.is_down) {
            press.is_down = false;
        }
    }

    /// Nobody knows any more what is down.
    fn let_go(&mut self) {
        for press in &mut self.waiting {
            press.is_down = false;
        }
    }

    /// When the next press has to be shown; none while one is.
    fn due(&self, now: Mono) -> Option<Mono> {
        let first = self.waiting.front()?;
        let rests_until = self.rests_until.unwrap_or(now);
        first.since.is_none().then(|| rests_until.max(now))
    }

    fn shown(&mut self, now: Mono) -> Closed {
        if let Some(until) = self.rests_until {
            self.rests_until = (now < until).then_some(until);
            return Closed::default();
        }
        // Another key that is pressed meanwhile ends it, too: it may be held down by whoever dials on.
        let is_followed = self.waiting.len() > 1;
        let Some(first) = self.waiting.front_mut() else {
            return Closed::default();
        };
        if first.is_seen && (!first.is_down || is_followed) {
            self.waiting.pop_front();
            self.rests_until = Some(now + GAP);
            return Closed::default();
        }
        let since = *first.since.get_or_insert(now);
        first.is_seen |= now.since(since) >= SHOWN;
        let Some((row, column)) = place_of(first.key) else {
            return Closed::default();
        };
        Closed::default().with(row, column)
    }
}

#[cfg(test)]
mod tests;
