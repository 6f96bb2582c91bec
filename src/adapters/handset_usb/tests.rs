//! Over a FIFO of the kernel's structures: this machine's kernel has no uinput. What only a real device has (being taken for one program, keys that are
//! down at the start) is in docs/hardware-checklist.md.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel, sync_channel};

use gateway_core::keypad::{KeyNews, KeypadDecoder};
use gateway_core::liveness::Beat;
use gateway_core::session::{HandsetEvent, KeySource};

use super::*;
use crate::adapters::handset::{self, HandsetCommand, HandsetLinks, HandsetReport, HandsetView};
use crate::config::{Backend, Usb};

const PHONE: u16 = 169;
const KPPLUS: u16 = 78;

/// The booth's own thread over a FIFO.
struct Rig {
    _folder: tempfile::TempDir,
    path: PathBuf,
    device: Option<File>,
    stop: Arc<AtomicBool>,
    wake: Wake,
    told: Receiver<HandsetReport>,
    thread: Option<std::thread::JoinHandle<()>>,
    _commands: std::sync::mpsc::SyncSender<HandsetCommand>,
}

impl Rig {
    fn new(hook: &str, hook_is: HookIs) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("event0");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .expect("a FIFO");
        // Opened for both, so that opening waits for nobody.
        let device = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .expect("its other end");
        let config = Handset {
            backend: Backend::Usb,
            usb: Usb {
                device: path.clone(),
                hook: hook.into(),
                hook_is,
                ..Usb::default()
            },
            ..Handset::default()
        };
        let (wake, stop) = (
            Wake::new().expect("an eventfd"),
            Arc::<AtomicBool>::default(),
        );
        let (commands, orders) = sync_channel(4);
        let links = HandsetLinks {
            commands: orders,
            wake: wake.clone(),
            view: Arc::<HandsetView>::default(),
            stop: stop.clone(),
            alive: Beat::default(),
            taught: folder.path().join("hook"),
        };
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            let opened = handset::open(&config, None);
            assert!(opened.as_ref().is_ok_and(|(name, _)| *name == "usb"));
            handset::watch(&config, None, opened, &links, |report| {
                let _ = tell.send(report);
            });
        });
        Self {
            _folder: folder,
            path,
            device: Some(device),
            stop,
            wake,
            told,
            thread: Some(thread),
            _commands: commands,
        }
    }

    /// Events as the kernel writes them: type, code, value.
    fn write(&mut self, events: &[(u16, u16, i32)]) {
        let device = self.device.as_mut().expect("plugged in");
        device.write_all(&bytes(events)).expect("written");
    }

    fn press(&mut self, codes: &[u16]) {
        let events: Vec<_> = codes
            .iter()
            .flat_map(|code| {
                [
                    (EV_KEY, *code, 1),
                    (EV_SYN, 0, 0),
                    (EV_KEY, *code, 0),
                    (EV_SYN, 0, 0),
                ]
            })
            .collect();
        self.write(&events);
    }

    /// The next thing that somebody did with the handset.
    fn event(&self) -> HandsetEvent {
        loop {
            let report = self
                .told
                .recv_timeout(Duration::from_secs(20))
                .expect("a report");
            if let HandsetReport::Event { event, .. } = report {
                return event;
            }
        }
    }

    /// The next word about whether the hook works.
    fn works(&self) -> Result<(), String> {
        loop {
            let report = self
                .told
                .recv_timeout(Duration::from_secs(20))
                .expect("a report");
            if let HandsetReport::Works(works) = report {
                return works.map_err(|why| why.to_string());
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.wake.call();
        let thread = self.thread.take().expect("a thread");
        thread.join().expect("it ends");
    }
}

fn bytes(events: &[(u16, u16, i32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, code, value) in events {
        bytes.extend_from_slice(&[0; TIME]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&code.to_ne_bytes());
        bytes.extend_from_slice(&value.to_ne_bytes());
    }
    bytes
}

fn digit(digit: u8) -> HandsetEvent {
    HandsetEvent::Key(Key::Digit(digit), KeySource::Keypad)
}

#[test]
fn a_usb_handset_is_lifted_dialled_and_hung_up_and_no_press_is_lost_however_quick() {
    let mut rig = Rig::new("phone", HookIs::Down);
    assert_eq!(rig.works(), Ok(()));
    rig.write(&[(EV_KEY, PHONE, 1), (EV_SYN, 0, 0)]);
    assert_eq!(rig.event(), HandsetEvent::Lifted);
    // All at once, each let go within the same read; the second 1 is another press.
    rig.press(&[79, 79, 80, 82, 55, 96]);
    let star_and_hash = [Key::Star, Key::Hash].map(|key| HandsetEvent::Key(key, KeySource::Keypad));
    for wanted in [digit(1), digit(1), digit(2), digit(0)]
        .into_iter()
        .chain(star_and_hash)
    {
        assert_eq!(rig.event(), wanted);
    }
    // Keys that overlap, and one that is held and repeats.
    rig.write(&[
        (EV_KEY, 2, 1),
        (EV_KEY, 3, 1),
        (EV_KEY, 2, 0),
        (EV_KEY, 3, 2),
        (EV_KEY, 3, 2),
        (EV_KEY, 3, 0),
    ]);
    assert_eq!([rig.event(), rig.event()], [digit(1), digit(2)]);
    // Keys without a meaning, and an event in two pieces.
    let hang_up = bytes(&[
        (EV_KEY, 30, 1),
        (EV_KEY, 30, 0),
        (4, 4, 458_756),
        (EV_KEY, PHONE, 0),
    ]);
    let (one, other) = hang_up.split_at(hang_up.len() - 3);
    let device = rig.device.as_mut().expect("plugged in");
    device.write_all(one).expect("written");
    device.write_all(other).expect("written");
    assert_eq!(rig.event(), HandsetEvent::HungUp);
}

#[test]
fn however_late_the_looks_come_each_press_counts_once() {
    // Milliseconds between the looks of a thread that a busy machine lets run now and then; the last one is a calm one.
    for steps in [[61, 61], [100, 41], [5, 70], [70, 5], [300, 900], [10, 10]] {
        let (mut keys, mut decoder) = (Keys::default(), KeypadDecoder::default());
        let pressed = [1, 1, 2, 2, 2, 0].map(Key::Digit);
        for key in pressed {
            keys.press(key, 79);
            keys.release(79);
        }
        let mut counted = Vec::new();
        let mut now = clock::mono();
        for step in steps.into_iter().cycle().take(400) {
            now = now + Duration::from_millis(step);
            if let Some(KeyNews::Pressed(key)) = decoder.scan(now, keys.shown(now)) {
                counted.push(key);
            }
        }
        assert_eq!(counted, pressed, "looks every {steps:?} ms");
    }
}

#[test]
fn without_a_hook_one_key_lifts_and_hangs_up_in_turn() {
    let mut rig = Rig::new("kpplus", HookIs::Pressed);
    assert_eq!(rig.works(), Ok(()));
    for _ in 0..2 {
        rig.press(&[KPPLUS]);
        assert_eq!(rig.event(), HandsetEvent::Lifted);
        rig.press(&[81]);
        assert_eq!(rig.event(), digit(3));
        rig.press(&[KPPLUS]);
        assert_eq!(rig.event(), HandsetEvent::HungUp);
    }
}

#[test]
fn whoever_walks_away_from_a_handset_without_a_hook_has_hung_up_after_a_while() {
    let mut lines = UsbLines {
        device: Device::Fifo(File::open("/dev/null").expect("a file")),
        path: PathBuf::new(),
        hook: KPPLUS,
        hook_is: HookIs::Pressed,
        hang_up_after: Duration::ZERO,
        is_off_hook: true,
        touched_at: clock::mono(),
        is_recording: false,
        keys: Keys::default(),
        begun: Vec::new(),
    };
    assert!(lines.hangs_up_at().is_some_and(|at| at <= clock::mono()));
    lines.hang_up_after = Duration::from_secs(300);
    assert!(lines.hangs_up_at().is_some_and(|at| at > clock::mono()));
    // Whoever speaks presses no key; the wait begins anew when they have ended.
    lines.touched_at = Mono(0);
    lines.recording(true);
    assert_eq!(lines.hangs_up_at(), None);
    lines.recording(false);
    assert!(lines.hangs_up_at() >= Some(Mono(0) + lines.hang_up_after));
    assert!(lines.touched_at > Mono(0));
    lines.hook_is = HookIs::Down;
    assert_eq!(lines.hangs_up_at(), None);
}

#[test]
fn a_handset_that_is_pulled_out_is_told_and_found_again() {
    let mut rig = Rig::new("phone", HookIs::Down);
    assert_eq!(rig.works(), Ok(()));
    rig.write(&[(EV_KEY, PHONE, 1)]);
    assert_eq!(rig.event(), HandsetEvent::Lifted);
    rig.device = None;
    let why = rig.works().expect_err("it is gone");
    assert!(why.contains("plug it in again"), "{why}");
    let again = File::options()
        .read(true)
        .write(true)
        .open(&rig.path)
        .expect("its other end");
    rig.device = Some(again);
    assert_eq!(rig.works(), Ok(()));
    // It was found on its hook.
    assert_eq!(rig.event(), HandsetEvent::HungUp);
    rig.press(&[PHONE]);
    assert_eq!(
        [rig.event(), rig.event()],
        [HandsetEvent::Lifted, HandsetEvent::HungUp]
    );
}

#[test]
fn a_device_that_is_none_or_has_no_such_key_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Handset {
        backend: Backend::Usb,
        ..Handset::default()
    };
    config.usb.device = folder.path().join("none");
    let why = open(&config).err().expect("no device").to_string();
    assert!(
        why.contains("/dev/input/by-id") && why.contains("group input"),
        "{why}"
    );
    config.usb.device = "/dev/null".into();
    assert!(open(&config).is_err());
}
